"""The five real services on a stack of their own, told one story; and everything that came of it, decrypted.

A story told twice with the same secrets must come out the same, whatever died on the way.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from joserfc import jwe
from joserfc.jwk import ECKey

from client.kafka_client import KafkaClient, Record
from contracts.county import County
from contracts.eligibility import ChildAssessed
from contracts.event import Envelope, at_midnight
from contracts.intake import RowsAnswered
from contracts.registry import ChildChanged, review_id
from contracts.topics import ACTION, DEPARTMENT, DISCLOSURE, RESTRICTED_ACTION, RESTRICTED_QUEUE, SERVICES
from demo.data import population, submissions
from deploy.clock import Clock, Simulator
from deploy.embedded.stack import LocalStack
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, DATABASE, PROCESSES, SETTINGS, Installation
from deploy.provision import county_topics
from deploy.quiescence import QuiescenceMonitor
from deploy.supervisor import Program, Supervisor, programs
from runtime import Settings
from services.registry.vault import Vault, decrypt
from tests.county import FOLDER
from tests.runtime.harness import eventually

SPACE = UUID("00000000-0000-5000-8000-0000000000c1")
FIRST_DAY = date(2026, 9, 1)
PARTITIONS = 4
FILES = ("hukou", "residence", "school")
LEAD, POLICE, SCHOOLS = "341722-mzj", "341722-gaj", "341722-jtj"
RUNTIME_TABLES = {
    "incarnation", "producer", "consumer_cursor", "producer_sequence", "outbox_sequence", "outbox_published", "outbox",
    "county",
    "county_clock", "watermark", "migration",
}  # fmt: skip
"""How a service got there, not where it is. What is parked, dead or of a day stays in the comparison."""
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
Headers = list[tuple[str, str | bytes | None]]
SNAPSHOTS = {ChildChanged.kind, ChildAssessed.kind}
TABLES = "disclosure."
"""Topics of which a reader keeps the last line of each key alone. How often a child's disclosure is sealed anew depends
on how far the registry's lanes are when the referral comes: the express way does not wait for the matching."""
BY_CHANCE = {
    "notify.inbox": {"position"},
    "eligibility.child": {"assessment", "child_version"},
    "eligibility.decision": {"assessment", "child_version"},
    "referral.child": {"assessment", "version"},
    "intake.submission": {"attempt_number", "attempt_id"},
    "intake.seen_row": {"attempt_id"},
    "intake.dataset_state": {"full_attempt_id"},
} | {f"{service}.day_state": {"completed_at"} for service in SERVICES}
"""Columns that tell when by the machine's clock, in which order lanes came, how often a file was begun, or how often a
snapshot was said: of several changes in one batch there is one."""
POISON: tuple[tuple[str, dict[str, bytes | None], bytes | None, bytes], ...] = (
    ("", {"ce_id": b""}, b"{}", b"new"),
    ("", {"ce_id": None}, b"{ }", b"new"),
    ("", {"ce_type": b"\xff\xfe"}, b"{}", b"new"),
    (
        "",
        {"ce_producerid": b"9" * 4400, "ce_sequence": b"9" * 4400, "ce_time": b"9999-12-31T23:59:59Z"},
        b"{}",
        b"\xff",
    ),
    ("null value on a topic that is not compacted", {}, None, b"new"),
    ("", {}, b"\xff\x00{", b"new"),
)
"""What no client should write: the reason of its dead letter, or none where its sender can be answered; what its
headers have, its value and its key."""


@dataclass(slots=True)
class Outcome:
    """What a story left behind."""

    tables: dict[str, list[str]] = field(default_factory=dict)
    """``service.table`` -> its rows, decrypted, in an order of their own."""
    said: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    """(topic, partition, key) -> what a reader takes of it, in order. Of snapshots the last of each day. What is
    broadcast stands under its key on each partition."""
    receipts: dict[str, list[str]] = field(default_factory=dict)
    """What a unit was told of each submission and action: rows are answered batch by batch, so they are added up."""
    records: list[Record] = field(default_factory=list)
    """Every record of every topic that our own write, as it stands there."""
    begun: set[str] = field(default_factory=set)
    """Ids of the messages and files that units' people began the story with."""
    of_days: set[tuple[str, int]] = field(default_factory=set)
    """(service, lane): the lanes that number what pages of days say."""


class Deaths:
    """Kills each service at one named point after another, as soon as it passes there."""

    def __init__(self, points: Iterable[str]) -> None:
        self.left: dict[str, list[str]] = {service: list(points) for service in SERVICES}
        self.died: list[tuple[str, str]] = []
        self._programs: dict[str, Program] = {}

    def doom(self, running: Iterable[Program]) -> tuple[Program, ...]:
        """The same programs, each with its first point to die at."""
        doomed = []
        for program in running:
            mortal = replace(program, environment=dict(program.environment))
            self._programs[program.name] = mortal
            self._next(program.name)
            doomed.append(mortal)
        return tuple(doomed)

    def hear(self, line: str) -> None:
        """What the supervisor tells. A service that has died at its point is given the next one."""
        name, _, how = line.partition(" ended with ")
        if how:
            assert how == "exit code 137", line
            self.died.append((name, self.left[name].pop(0)))
            self._next(name)

    def _next(self, name: str) -> None:
        environment = self._programs[name].environment
        assert isinstance(environment, dict)
        left = self.left[name]
        environment["HUTONG_KILL_AT"] = left[0] if left else ""


class Story:
    """One county's days, from an empty broker and an empty database to their end."""

    def __init__(self, county: County, installation: Installation, supervisor: Supervisor, database: Any) -> None:
        self.county = county
        self.installation = installation
        self.supervisor = supervisor
        self.database = database
        self.watch = QuiescenceMonitor(AdminClient(installation.kafka(ADMIN)), database, county)
        self.simulator = Simulator(Clock(installation.kafka("clock"), county.code))
        self.day = FIRST_DAY
        self.disturb: Callable[[str], AbstractAsyncContextManager[None]] | None = None
        """Entered before a file of a dataset is sent, and left while it is on its way."""
        self.begun: set[str] = set()
        self._producers: dict[str, Producer] = {}

    async def rest(self) -> None:
        self.supervisor.check()
        await self.watch.wait_until_idle(self.day)
        self.supervisor.check()

    async def begin(self, day: date) -> None:
        self.day = day
        await asyncio.to_thread(self.simulator.begin_day, day)
        await self.rest()
        await asyncio.to_thread(self.simulator.finish_day)
        await self.rest()

    async def hand_over(self, file: submissions.Submission, *, times: int = 1) -> None:
        """A whole file, as a unit's plain client would send it; ``times``: how often each record, and then the file."""
        submission = str(file.submission)
        about = {"submission": submission, "dataset": file.dataset, "period": file.period}
        body = about | {"columns": list(file.columns), "rows": len(file.rows), "coverage": "full"}
        said = [("department.Begin.v1", uuid5(SPACE, f"{submission}/begin"), body)]
        for row in file.rows:
            cells = {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.cells}
            body = {"submission": submission, "number": row.number, "cells": cells}
            said.append(("department.Row.v1", row.ce_id, body))
        body = {"submission": submission, "rows": len(file.rows)}
        said.append(("department.End.v1", uuid5(SPACE, f"{submission}/end"), body))
        self.begun.add(submission)
        said = [one for one in said for _ in range(times)] * times
        async with self.disturb(file.dataset) if self.disturb is not None else nullcontext():
            await asyncio.to_thread(self._say, file.unit, DEPARTMENT.name_for(file.unit), submission, said)
        await self.rest()

    async def act(
        self, unit: str, verb: str, role: str, *, times: int = 1, restricted: bool = False, **more: Any
    ) -> None:
        """One action; ``times``: how often it is sent. ``restricted``: from the unit's second log-in."""
        key = str(more.get("child") or more.get("referral") or "new")
        ce_id = uuid5(SPACE, f"{unit}/{verb}/{json.dumps(more, sort_keys=True, ensure_ascii=False)}")
        said = [("action.Action.v1", ce_id, {"verb": verb, "role": role, **more})] * times
        user, topic = (f"{unit}-restricted", RESTRICTED_ACTION) if restricted else (unit, ACTION)
        await asyncio.to_thread(self._say, user, topic.name_for(unit), key, said)
        await self.rest()

    @asynccontextmanager
    async def frozen(self, service: str, table: str) -> AsyncIterator[None]:
        """One process freezes in the middle of a transaction, another does its work, and then it wakes up.

        ``table``: what it needs there, and does not get before it is frozen.
        """
        log = self.installation.logs / f"{service}.log"
        set_processes(self.installation.home, 2)
        [second] = [one for one in programs(self.installation, with_clock=False) if one.name == f"{service}.1"]
        successor = Supervisor([replace(second, environment={**second.environment, "HUTONG_SESSION_TIMEOUT": "6"})])
        other = await asyncpg.connect(self.installation.postgres_admin, database=DATABASE)
        try:
            async with other.transaction():
                await other.execute(f"LOCK TABLE {service}.{table} IN ACCESS EXCLUSIVE MODE")
                yield
                await eventually(lambda: self.database.fetchval(WAITS, f"hutong-{service}-0"), what=f"{service} waits")
                zombie = self.supervisor.process_id(service)
                assert zombie is not None
                os.kill(zombie, signal.SIGSTOP)
            try:
                await successor.start()
                await self.rest()
                before = log.stat().st_size
            finally:
                os.kill(zombie, signal.SIGCONT)
            await eventually(lambda: asyncio.to_thread(_admits, log, before), what="the zombie finds out")
            await self.rest()
        finally:
            await successor.stop()
            await other.close()

    async def poison(self, unit: str) -> None:
        """Bytes that are no event, on both topics that the unit may write."""

        def pour() -> None:
            producer = Producer(self.installation.kafka(unit))
            for topic, kind in ((DEPARTMENT, "department.Row.v1"), (ACTION, "action.Action.v1")):
                ce_id = str(uuid5(SPACE, f"poison/{kind}"))
                self.begun.add(ce_id)
                about = {"ce_specversion": "1.0", "ce_id": ce_id, "ce_source": unit, "ce_type": kind}
                for _, wrong, value, key in POISON:
                    told = list(({name: text.encode() for name, text in about.items()} | wrong).items())
                    read = Envelope.from_unit(
                        told,
                        key,
                        value,
                        topic=topic.name_for(unit),
                        received=datetime.now(UTC),
                        county=self.county.code,
                    )
                    self.begun.add(str(read.id))
                    headers: Headers = list(told)
                    producer.produce(topic.name_for(unit), value, key, headers=headers)
            assert producer.flush(30) == 0

        await asyncio.to_thread(pour)

    async def queue(self) -> list[dict[str, str]]:
        """What stands on the restricted queue of the police: referral and child."""
        user = f"{POLICE}-restricted"
        records = await asyncio.to_thread(lambda: read(self.installation, user, [RESTRICTED_QUEUE.name_for(POLICE)]))
        standing = {record.key: record.body for record in taken(records)}
        return [
            {"referral": referral, "child": body["child"]}
            for referral, body in sorted(standing.items())
            if body is not None
        ]

    async def say_everything_again(self) -> None:
        """Every record that a service has said, a second time, as a relay that had forgotten would."""
        ours = {topic.name for topic in county_topics(self.county) if set(topic.writers) & set(SERVICES)}
        heard = {topic.name for topic in county_topics(self.county) if set(topic.readers) & set(SERVICES)}

        def again() -> None:
            producer = Producer(self.installation.kafka(ADMIN))
            for record in read(self.installation, ADMIN, sorted(ours & heard)):
                value = None if record.body is None else json.dumps(record.body, ensure_ascii=False).encode()
                headers: Headers = [(name, text.encode()) for name, text in record.headers.items()]
                producer.produce(record.topic, value, record.key.encode(), record.partition, headers=headers)
            assert producer.flush(30) == 0

        await asyncio.to_thread(again)
        await self.rest()

    def _say(self, unit: str, topic: str, key: str, said: Iterable[tuple[str, UUID, Any]]) -> None:
        producer = self._producer(unit)
        at = at_midnight(self.day).isoformat()
        for kind, ce_id, body in said:
            # With its time: what has none is given the broker's, which is another each time the story is told.
            about = {"ce_specversion": "1.0", "ce_id": ce_id, "ce_source": unit, "ce_type": kind, "ce_time": at}
            headers: Headers = [(name, str(text).encode()) for name, text in about.items()]
            self.begun.add(str(ce_id))
            producer.produce(topic, json.dumps(body, ensure_ascii=False).encode(), key.encode(), headers=headers)
        assert producer.flush(30) == 0

    def _producer(self, unit: str) -> Producer:
        """One for each log-in: an idempotent producer is ready to send half a second after it is made."""
        if unit not in self._producers:
            self._producers[unit] = Producer(self.installation.kafka(unit) | {"enable.idempotence": True})
        return self._producers[unit]

    def at_work(self, process: str) -> bool:
        """Whether a process has had partitions that bring its service what it lives on."""
        lines = (self.installation.logs / f"{process}.log").read_text().splitlines()
        said = (json.loads(line) for line in lines if line.startswith("{"))
        return any(
            line["event"] == "partitions_assigned" and line["consumer"] == "main" and line["partitions"]
            for line in said
        )


def _admits(log: Path, after: int) -> bool:
    """A process says that what it was doing had come to nothing, or had been done by another."""
    said = (json.loads(line) for line in log.read_bytes()[after:].decode().splitlines() if line.startswith("{"))
    return any(line["event"] in ("retry_scheduled", "records_fenced") for line in said)


def set_processes(home: Path, many: int) -> None:
    """As the ops team would: so many of each service."""
    (home / SETTINGS).write_text(json.dumps({service: {PROCESSES: many} for service in SERVICES}))


@asynccontextmanager
async def a_house(
    stack: LocalStack,
    home: Path,
    environment: Mapping[str, str] | None = None,
    *,
    deaths: Deaths | None = None,
    processes: int = 1,
) -> AsyncIterator[Story]:
    """An installation on this stack with its services running; ``home`` keeps its secrets from one to the next.

    ``processes``: of each service.
    """
    county = read_county(FOLDER, home)
    installation = await install(Servers.from_state(stack.state()), home, county, PARTITIONS)
    activate(installation, county, FIRST_DAY, "operator of 341722-mzj (test)")
    set_processes(home, processes)
    running: tuple[Program, ...] = tuple(
        replace(program, environment={**program.environment, **(environment or {})})
        for program in programs(installation, with_clock=False)
    )
    if deaths is not None:
        running = deaths.doom(running)
    supervisor = Supervisor(running, deaths.hear if deaths is not None else lambda _: None)
    database = await asyncpg.connect(installation.postgres_admin, database=DATABASE)
    await supervisor.start()
    try:
        yield Story(county, installation, supervisor, database)
    finally:
        await supervisor.stop()
        await database.close()


async def tell(story: Story, *, times: int = 1) -> None:
    """Files, reports, an agency at work, three days. ``times``: how often a unit sends each of its records."""
    await story.begin(FIRST_DAY)
    invented = population.generate(story.county, 40, 5, FIRST_DAY, 30)
    made = submissions.generate(story.county, invented)
    for dataset in FILES:
        file = next(one for one in made if one.dataset == dataset and one.expect == "taken")
        await story.hand_over(file, times=times)
    # Of a child on file by its id: named, it would be matched later, and how far that is, is nobody's promise.
    known = await story.database.fetchval("SELECT child_id FROM registry.child ORDER BY child_id LIMIT 1")
    where = story.county.townships[0].code
    for who in ({"child": str(known)}, {"identity": {"name": "测无此人"}}):
        await story.act(
            SCHOOLS, "report", "teacher", times=times, findings=["suspected_violence"], township=where, **who
        )
    await story.begin(FIRST_DAY + timedelta(days=1))
    first, *others = await story.queue()
    assert others, "both reports are on the queue"
    for verb in ("accept", "start"):
        await story.act(POLICE, verb, "police_officer", times=times, restricted=True, **first)
    await story.act(POLICE, "result", "police_officer", times=times, restricted=True, result="resolved", **first)
    # Nobody asked, and nobody proposed: the one is the registry's to refuse, the other referral's.
    for nobodys in (review_id(SPACE), SPACE):
        await story.act(LEAD, "confirm", "county_civil_affairs", times=times, proposal=str(nobodys))
    await story.begin(FIRST_DAY + timedelta(days=2))


async def outcome(story: Story) -> Outcome:
    """Read everything: each service's tables and every topic."""
    found = Outcome()
    settings = Settings.from_environment(story.installation.settings_env("registry"))
    vault = Vault.from_settings(settings)
    for service in SERVICES:
        tables = await story.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", service)
        for name in sorted({row["tablename"] for row in tables} - RUNTIME_TABLES):
            table = f"{service}.{name}"
            rows = [dict(row) for row in await story.database.fetch(f'SELECT * FROM "{service}"."{name}"')]
            found.tables[table] = sorted(_text(_without(row, BY_CHANCE.get(table, set()))) for row in rows)
        of_days = await story.database.fetch(f"SELECT producer_id FROM \"{service}\".producer WHERE topic = '@day'")
        found.of_days |= {(service, row["producer_id"]) for row in of_days}
    await _decrypt(story.database, vault, found.tables)
    found.tables["registry.disclosure_log"] = await _last(
        story.database, "registry.disclosure_log", "referral_id, unit", "position", {"position", "event_id"}
    )
    found.tables["eligibility.decision"] = await _last(
        story.database, "eligibility.decision", "child_id, assessed_on", "assessment", BY_CHANCE["eligibility.decision"]
    )
    found.begun = story.begun
    # What units write may be anything; what they began is known without reading it.
    names = [
        topic.name for topic in county_topics(story.county) if topic.name.split(".")[0] not in ("department", "action")
    ]
    found.records = await asyncio.to_thread(lambda: read(story.installation, ADMIN, names))
    opened = _opener(story.installation, vault)
    days: dict[tuple[str, int], str] = {}
    for record in taken(found.records):
        place = (record.topic, record.partition)
        if record.kind == "clock.DayWatermark.v1":
            days[place] = max(days.get(place, ""), record.body["day"])
            continue
        if record.topic.startswith("receipt."):
            _add_up(found.receipts, record)
            continue
        line = _text({"type": record.kind, "id": record.ce_id, "body": opened(record)})
        if record.kind in SNAPSHOTS:
            line = _text(_without(record.body, {"assessment", "child_version"}))
        lines = found.said.setdefault((*place, record.key), [])
        day = days.get(place, "")
        if record.kind in SNAPSHOTS:
            lines[:] = [one for one in lines if not one.startswith(day + " ")]
            line = f"{day} {line}"
        if record.topic.startswith(TABLES):
            lines.clear()
        lines.append(line)
    return found


def _add_up(receipts: dict[str, list[str]], record: Record) -> None:
    body = record.body
    if record.kind != RowsAnswered.kind:
        if body["outcome"] != "same_again":  # that it has come twice is told besides
            receipts.setdefault(f"{record.topic} {record.key}", []).append(_text(body))
        return
    for count in ("read", "accepted", "accepted_with_drops", "refused", "unchanged"):
        sums = receipts.setdefault(f"{record.topic} {record.key} {count}", ["0"])
        sums[0] = str(int(sums[0]) + body[count])
    for told in ("answers", "problems"):
        lines = receipts.setdefault(f"{record.topic} {record.key} {told}", [])
        lines += map(_text, body[told])


async def _last(database: Any, table: str, of_each: str, by: str, chance: set[str]) -> list[str]:
    """The last row of each, of a table that only grows."""
    rows = await database.fetch(f"SELECT DISTINCT ON ({of_each}) * FROM {table} ORDER BY {of_each}, {by} DESC")
    return sorted(_text(_without(dict(row), chance)) for row in rows)


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def read(installation: Installation, user: str, topics: Iterable[str]) -> list[Record]:
    """Every record of these topics, each partition in order."""
    client = KafkaClient(installation.kafka(user), user)
    try:
        return [record for topic in topics for record in client.read_new(topic)]
    finally:
        client.close()


def taken(records: Iterable[Record]) -> Iterator[Record]:
    """What a reader takes: exactly the next number of each lane; of what has none, each event once."""
    following: dict[tuple[str, int, str, str], int] = {}
    seen: set[tuple[str, str]] = set()
    for record in records:
        if "ce_sequence" not in record.headers:
            if (record.topic, record.ce_id) not in seen:
                seen.add((record.topic, record.ce_id))
                yield record
            continue
        lane = (record.topic, record.partition, record.headers["ce_source"], record.headers["ce_producerid"])
        sequence = int(record.headers["ce_sequence"])
        wanted = following.get(lane, 0)
        assert sequence <= wanted, f"{record.topic}/{record.partition} has a hole before {sequence}"
        if sequence == wanted:
            following[lane] = wanted + 1
            yield record


def _opener(installation: Installation, vault: Vault) -> Callable[[Record], Any]:
    keys: dict[str, Any] = {}

    def opened(record: Record) -> Any:
        body = record.body
        if body is None:
            return None
        if "identity" in body and record.kind.startswith("intake."):
            belongs_to = UUID(body["record"] if "record" in body else body["finding"])
            return body | {"identity": {str(k): v for k, v in vault.unseal(body["identity"], belongs_to).items()}}
        if record.topic.startswith(DISCLOSURE.name.partition("{")[0]):
            _, unit, *which = record.topic.removesuffix(".v1").split(".")
            user = "-".join((unit, *which))
            if user not in keys:
                keys[user] = ECKey.import_key(json.loads(installation.agency_key_file(user).read_text()))
            return body | {"jwe": json.loads(jwe.decrypt_compact(body["jwe"], keys[user]).plaintext or b"")}
        return body

    return opened


async def _decrypt(database: Any, vault: Vault, tables: dict[str, list[str]]) -> None:
    """Identities in place of what they were encrypted to, and nothing in place of the random keys."""
    wrapped = {row["child_id"]: row["wrapped"] for row in await database.fetch("SELECT * FROM registry.child_key")}
    keys = {child: vault.key(child, key) for child, key in wrapped.items()}
    for table, own in (("record", "record_id"), ("finding", "finding_id")):
        rows = []
        for row in await database.fetch(f"SELECT * FROM registry.{table}"):
            plain = dict(row)
            if row["identity"] is not None:
                identity = decrypt(keys[row["child_id"]], row[own], row["identity"])
                plain["identity"] = {str(name): text for name, text in sorted(identity.items())}
            rows.append(plain)
        tables[f"registry.{table}"] = sorted(map(_text, rows))
    tables["registry.child_key"] = sorted(map(str, keys))


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
