"""The five services on their own stack in one scenario, and everything that results from it, decrypted.

With the same secrets a scenario has the same outcome at every run, whatever fails on the way.
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

NAMESPACE = UUID("00000000-0000-5000-8000-0000000000c1")
FIRST_DAY = date(2026, 9, 1)
PARTITIONS = 4
FILES = ("hukou", "residence", "school")
LEAD, POLICE, SCHOOLS = "341722-mzj", "341722-gaj", "341722-jtj"
RUNTIME_TABLES = {
    "incarnation", "producer", "consumer_cursor", "producer_sequence", "outbox_sequence", "outbox_published", "outbox",
    "county",
    "county_clock", "watermark", "migration",
}  # fmt: skip
"""Tables about the processing and not about its outcome. Parked events, dead letters and days are compared."""
WAITS_FOR_LOCK = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
Headers = list[tuple[str, str | bytes | None]]
SNAPSHOTS = {ChildChanged.kind, ChildAssessed.kind}
LATEST_ONLY = "disclosure."
"""Topics of which only the last record of each key is compared. How often a child's disclosure is sealed again depends
on how far the registry has come when the referral is opened: the priority consumer does not wait for matching."""
NONDETERMINISTIC = {
    "notify.inbox": {"position"},
    "eligibility.child": {"assessment", "child_version"},
    "eligibility.decision": {"assessment", "child_version"},
    "referral.child": {"assessment", "version"},
    "intake.submission": {"attempt_number", "attempt_id"},
    "intake.seen_row": {"attempt_id"},
    "intake.dataset_state": {"full_attempt_id"},
} | {f"{service}.day_state": {"completed_at"} for service in SERVICES}
"""Columns that depend on the machine's clock, on the order of partitions, on how often a file was started, or on how
often a snapshot was emitted: several changes in one batch have one snapshot."""
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
"""Invalid messages: the reason of the dead letter, or "" where the sender gets an answer; headers, value and key."""


@dataclass(slots=True)
class Outcome:
    """What a scenario results in."""

    tables: dict[str, list[str]] = field(default_factory=dict)
    """``service.table`` -> its decrypted rows, sorted."""
    events: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    """(topic, partition, key) -> the events that a consumer accepts, in order; of snapshots the last of each day. A
    broadcast event is under its key on each partition."""
    receipts: dict[str, list[str]] = field(default_factory=dict)
    """The receipts of each submission and action; rows are answered batch by batch, so their counts are added up."""
    records: list[Record] = field(default_factory=list)
    """Every record of every topic that the services write, unchanged."""
    initiating_ids: set[str] = field(default_factory=set)
    """Ids of the messages and files of units."""
    day_producers: set[tuple[str, int]] = field(default_factory=set)
    """(service, producer id) of the producers that emit the events of day pages."""


class ProcessKiller:
    """Kills each service at one failpoint after another, as soon as it reaches it."""

    def __init__(self, points: Iterable[str]) -> None:
        self.left: dict[str, list[str]] = {service: list(points) for service in SERVICES}
        self.killed: list[tuple[str, str]] = []
        self._programs: dict[str, Program] = {}

    def arm(self, to_run: Iterable[Program]) -> tuple[Program, ...]:
        """Return the same programs, each with its first failpoint."""
        armed = []
        for program in to_run:
            armed_program = replace(program, environment=dict(program.environment))
            self._programs[program.name] = armed_program
            self._next(program.name)
            armed.append(armed_program)
        return tuple(armed)

    def on_supervisor_line(self, line: str) -> None:
        """Handle a line of the supervisor: a service that was killed at its failpoint gets the next one."""
        name, _, exit_status = line.partition(" ended with ")
        if exit_status:
            assert exit_status == "exit code 137", line
            self.killed.append((name, self.left[name].pop(0)))
            self._next(name)

    def _next(self, name: str) -> None:
        environment = self._programs[name].environment
        assert isinstance(environment, dict)
        left = self.left[name]
        environment["HUTONG_KILL_AT"] = left[0] if left else ""


class Scenario:
    """One county's days on an installation that starts empty."""

    def __init__(self, county: County, installation: Installation, supervisor: Supervisor, database: Any) -> None:
        self.county = county
        self.installation = installation
        self.supervisor = supervisor
        self.database = database
        self.quiescence = QuiescenceMonitor(AdminClient(installation.kafka(ADMIN)), database, county)
        self.simulator = Simulator(Clock(installation.kafka("clock"), county.code))
        self.day = FIRST_DAY
        self.disturb: Callable[[str], AbstractAsyncContextManager[None]] | None = None
        """A context that is entered before a file of a dataset is sent and left while it is processed."""
        self.initiating_ids: set[str] = set()
        self._producers: dict[str, Producer] = {}

    async def wait_until_idle(self) -> None:
        self.supervisor.check()
        await self.quiescence.wait_until_idle(self.day)
        self.supervisor.check()

    async def begin_day(self, day: date) -> None:
        self.day = day
        await asyncio.to_thread(self.simulator.begin_day, day)
        await self.wait_until_idle()
        await asyncio.to_thread(self.simulator.finish_day)
        await self.wait_until_idle()

    async def submit(self, file: submissions.Submission, *, times: int = 1) -> None:
        """Send a file as a unit's client would; ``times``: how often each record and then the whole file is sent."""
        submission = str(file.submission)
        common = {"submission": submission, "dataset": file.dataset, "period": file.period}
        body = common | {"columns": list(file.columns), "rows": len(file.rows), "coverage": "full"}
        events = [("department.Begin.v1", uuid5(NAMESPACE, f"{submission}/begin"), body)]
        for row in file.rows:
            cells = {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.cells}
            body = {"submission": submission, "number": row.number, "cells": cells}
            events.append(("department.Row.v1", row.ce_id, body))
        body = {"submission": submission, "rows": len(file.rows)}
        events.append(("department.End.v1", uuid5(NAMESPACE, f"{submission}/end"), body))
        self.initiating_ids.add(submission)
        events = [event for event in events for _ in range(times)] * times
        async with self.disturb(file.dataset) if self.disturb is not None else nullcontext():
            await asyncio.to_thread(self._produce, file.unit, DEPARTMENT.name_for(file.unit), submission, events)
        await self.wait_until_idle()

    async def act(
        self, unit: str, verb: str, role: str, *, times: int = 1, restricted: bool = False, **more: Any
    ) -> None:
        """Send one action; ``times``: how often it is sent. ``restricted``: from the unit's restricted log-in."""
        key = str(more.get("child") or more.get("referral") or "new")
        ce_id = uuid5(NAMESPACE, f"{unit}/{verb}/{json.dumps(more, sort_keys=True, ensure_ascii=False)}")
        events = [("action.Action.v1", ce_id, {"verb": verb, "role": role, **more})] * times
        user, topic = (f"{unit}-restricted", RESTRICTED_ACTION) if restricted else (unit, ACTION)
        await asyncio.to_thread(self._produce, user, topic.name_for(unit), key, events)
        await self.wait_until_idle()

    @asynccontextmanager
    async def frozen(self, service: str, table: str) -> AsyncIterator[None]:
        """Freeze a process in the middle of a transaction until another process has done its work.

        ``table``: the table of the service whose lock the process waits for when it is frozen.
        """
        log = self.installation.logs / f"{service}.log"
        set_processes(self.installation.home, 2)
        [second] = [
            program for program in programs(self.installation, with_clock=False) if program.name == f"{service}.1"
        ]
        successor = Supervisor([replace(second, environment={**second.environment, "HUTONG_SESSION_TIMEOUT": "6"})])
        locker = await asyncpg.connect(self.installation.postgres_admin, database=DATABASE)
        try:
            async with locker.transaction():
                await locker.execute(f"LOCK TABLE {service}.{table} IN ACCESS EXCLUSIVE MODE")
                yield
                await eventually(
                    lambda: self.database.fetchval(WAITS_FOR_LOCK, f"hutong-{service}-0"), what=f"{service} waits"
                )
                zombie = self.supervisor.process_id(service)
                assert zombie is not None
                os.kill(zombie, signal.SIGSTOP)
            try:
                await successor.start()
                await self.wait_until_idle()
                log_size = log.stat().st_size
            finally:
                os.kill(zombie, signal.SIGCONT)
            await eventually(lambda: asyncio.to_thread(_is_fenced, log, log_size), what="the zombie notices")
            await self.wait_until_idle()
        finally:
            await successor.stop()
            await locker.close()

    async def poison(self, unit: str) -> None:
        """Produce invalid messages on both topics that the unit may write."""

        def produce() -> None:
            producer = Producer(self.installation.kafka(unit))
            for topic, kind in ((DEPARTMENT, "department.Row.v1"), (ACTION, "action.Action.v1")):
                ce_id = str(uuid5(NAMESPACE, f"poison/{kind}"))
                self.initiating_ids.add(ce_id)
                common = {"ce_specversion": "1.0", "ce_id": ce_id, "ce_source": unit, "ce_type": kind}
                for _, wrong, value, key in POISON:
                    pairs = list(({name: text.encode() for name, text in common.items()} | wrong).items())
                    envelope = Envelope.from_unit(
                        pairs,
                        key,
                        value,
                        topic=topic.name_for(unit),
                        received=datetime.now(UTC),
                        county=self.county.code,
                    )
                    self.initiating_ids.add(str(envelope.id))
                    headers: Headers = list(pairs)
                    producer.produce(topic.name_for(unit), value, key, headers=headers)
            assert producer.flush(30) == 0

        await asyncio.to_thread(produce)

    async def queue(self) -> list[dict[str, str]]:
        """Return referral and child of each entry of the restricted queue of the police."""
        user = f"{POLICE}-restricted"
        records = await asyncio.to_thread(lambda: read(self.installation, user, [RESTRICTED_QUEUE.name_for(POLICE)]))
        entries = {record.key: record.body for record in consumed(records)}
        return [
            {"referral": referral, "child": body["child"]}
            for referral, body in sorted(entries.items())
            if body is not None
        ]

    async def republish_everything(self) -> None:
        """Produce every record of the services a second time, as a relay that forgot what it published would."""
        written = {topic.name for topic in county_topics(self.county) if set(topic.writers) & set(SERVICES)}
        read_topics = {topic.name for topic in county_topics(self.county) if set(topic.readers) & set(SERVICES)}

        def republish() -> None:
            producer = Producer(self.installation.kafka(ADMIN))
            for record in read(self.installation, ADMIN, sorted(written & read_topics)):
                value = None if record.body is None else json.dumps(record.body, ensure_ascii=False).encode()
                headers: Headers = [(name, text.encode()) for name, text in record.headers.items()]
                producer.produce(record.topic, value, record.key.encode(), record.partition, headers=headers)
            assert producer.flush(30) == 0

        await asyncio.to_thread(republish)
        await self.wait_until_idle()

    def _produce(self, unit: str, topic: str, key: str, events: Iterable[tuple[str, UUID, Any]]) -> None:
        producer = self._producer(unit)
        at = at_midnight(self.day).isoformat()
        for kind, ce_id, body in events:
            # A message without a time gets the broker's, which differs at each run.
            common = {"ce_specversion": "1.0", "ce_id": ce_id, "ce_source": unit, "ce_type": kind, "ce_time": at}
            headers: Headers = [(name, str(text).encode()) for name, text in common.items()]
            self.initiating_ids.add(str(ce_id))
            producer.produce(topic, json.dumps(body, ensure_ascii=False).encode(), key.encode(), headers=headers)
        assert producer.flush(30) == 0

    def _producer(self, unit: str) -> Producer:
        """Return the unit's producer: an idempotent one is ready to send half a second after it is made."""
        if unit not in self._producers:
            self._producers[unit] = Producer(self.installation.kafka(unit) | {"enable.idempotence": True})
        return self._producers[unit]

    def has_worked(self, process: str) -> bool:
        """Return whether a process has had partitions of its service's main consumer."""
        lines = (self.installation.logs / f"{process}.log").read_text().splitlines()
        events = (json.loads(line) for line in lines if line.startswith("{"))
        return any(
            line["event"] == "partitions_assigned" and line["consumer"] == "main" and line["partitions"]
            for line in events
        )


def _is_fenced(log: Path, offset: int) -> bool:
    """Return whether a process logged that its transaction failed or that its records were fenced."""
    events = (json.loads(line) for line in log.read_bytes()[offset:].decode().splitlines() if line.startswith("{"))
    return any(line["event"] in ("retry_scheduled", "records_fenced") for line in events)


def set_processes(home: Path, count: int) -> None:
    """Set the number of processes of each service, as the ops team would."""
    (home / SETTINGS).write_text(json.dumps({service: {PROCESSES: count} for service in SERVICES}))


@asynccontextmanager
async def a_system(
    stack: LocalStack,
    home: Path,
    environment: Mapping[str, str] | None = None,
    *,
    killer: ProcessKiller | None = None,
    processes: int = 1,
) -> AsyncIterator[Scenario]:
    """Run an installation on this stack; ``home`` keeps its secrets from one run to the next.

    ``processes``: how many of each service.
    """
    county = read_county(FOLDER, home)
    installation = await install(Servers.from_state(stack.state()), home, county, PARTITIONS)
    activate(installation, county, FIRST_DAY, "operator of 341722-mzj (test)")
    set_processes(home, processes)
    to_run: tuple[Program, ...] = tuple(
        replace(program, environment={**program.environment, **(environment or {})})
        for program in programs(installation, with_clock=False)
    )
    if killer is not None:
        to_run = killer.arm(to_run)
    supervisor = Supervisor(to_run, killer.on_supervisor_line if killer is not None else lambda _: None)
    database = await asyncpg.connect(installation.postgres_admin, database=DATABASE)
    await supervisor.start()
    try:
        yield Scenario(county, installation, supervisor, database)
    finally:
        await supervisor.stop()
        await database.close()


async def run_scenario(scenario: Scenario, *, times: int = 1) -> None:
    """Run three days with files, reports and an agency's actions. ``times``: how often each record is sent."""
    await scenario.begin_day(FIRST_DAY)
    people = population.generate(scenario.county, 40, 5, FIRST_DAY, 30)
    generated = submissions.generate(scenario.county, people)
    for dataset in FILES:
        file = next(each for each in generated if each.dataset == dataset and each.expect == "taken")
        await scenario.submit(file, times=times)
    # A child on file is named by its id: a name would be matched later, at an unknown time.
    child = await scenario.database.fetchval("SELECT child_id FROM registry.child ORDER BY child_id LIMIT 1")
    township = scenario.county.townships[0].code
    for subject in ({"child": str(child)}, {"identity": {"name": "测无此人"}}):
        await scenario.act(
            SCHOOLS, "report", "teacher", times=times, findings=["suspected_violence"], township=township, **subject
        )
    await scenario.begin_day(FIRST_DAY + timedelta(days=1))
    first, *more_referrals = await scenario.queue()
    assert more_referrals, "both reports are on the queue"
    for verb in ("accept", "start"):
        await scenario.act(POLICE, verb, "police_officer", times=times, restricted=True, **first)
    await scenario.act(POLICE, "result", "police_officer", times=times, restricted=True, result="resolved", **first)
    # Neither review nor proposal exists: the registry rejects the first, referral the second.
    for proposal in (review_id(NAMESPACE), NAMESPACE):
        await scenario.act(LEAD, "confirm", "county_civil_affairs", times=times, proposal=str(proposal))
    await scenario.begin_day(FIRST_DAY + timedelta(days=2))


async def outcome(scenario: Scenario) -> Outcome:
    """Return the contents of each service's tables and of every topic."""
    result = Outcome()
    settings = Settings.from_environment(scenario.installation.settings_env("registry"))
    vault = Vault.from_settings(settings)
    for service in SERVICES:
        tables = await scenario.database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", service)
        for name in sorted({row["tablename"] for row in tables} - RUNTIME_TABLES):
            table = f"{service}.{name}"
            rows = [dict(row) for row in await scenario.database.fetch(f'SELECT * FROM "{service}"."{name}"')]
            result.tables[table] = sorted(_text(_without(row, NONDETERMINISTIC.get(table, set()))) for row in rows)
        day_producers = await scenario.database.fetch(
            f"SELECT producer_id FROM \"{service}\".producer WHERE topic = '@day'"
        )
        result.day_producers |= {(service, row["producer_id"]) for row in day_producers}
    await _decrypt(scenario.database, vault, result.tables)
    result.tables["registry.disclosure_log"] = await _last(
        scenario.database, "registry.disclosure_log", "referral_id, unit", "position", {"position", "event_id"}
    )
    result.tables["eligibility.decision"] = await _last(
        scenario.database,
        "eligibility.decision",
        "child_id, assessed_on",
        "assessment",
        NONDETERMINISTIC["eligibility.decision"],
    )
    result.initiating_ids = scenario.initiating_ids
    # Units may write anything; the ids of their messages are known without reading them.
    names = [
        topic.name
        for topic in county_topics(scenario.county)
        if topic.name.split(".")[0] not in ("department", "action")
    ]
    result.records = await asyncio.to_thread(lambda: read(scenario.installation, ADMIN, names))
    decrypt_body = _opener(scenario.installation, vault)
    days: dict[tuple[str, int], str] = {}
    for record in consumed(result.records):
        partition = (record.topic, record.partition)
        if record.kind == "clock.DayWatermark.v1":
            days[partition] = max(days.get(partition, ""), record.body["day"])
            continue
        if record.topic.startswith("receipt."):
            _add_up(result.receipts, record)
            continue
        line = _text({"type": record.kind, "id": record.ce_id, "body": decrypt_body(record)})
        if record.kind in SNAPSHOTS:
            line = _text(_without(record.body, {"assessment", "child_version"}))
        lines = result.events.setdefault((*partition, record.key), [])
        day = days.get(partition, "")
        if record.kind in SNAPSHOTS:
            lines[:] = [earlier for earlier in lines if not earlier.startswith(day + " ")]
            line = f"{day} {line}"
        if record.topic.startswith(LATEST_ONLY):
            lines.clear()
        lines.append(line)
    return result


def assert_same_outcome(actual: Outcome, reference: Outcome) -> None:
    for table, rows in reference.tables.items():
        assert actual.tables[table] == rows, table
    assert actual.receipts == reference.receipts
    assert actual.events.keys() == reference.events.keys()
    for key, lines in reference.events.items():
        assert actual.events[key] == lines, key


def _add_up(receipts: dict[str, list[str]], record: Record) -> None:
    body = record.body
    if record.kind != RowsAnswered.kind:
        if body["outcome"] != "same_again":  # a second copy has its own receipt
            receipts.setdefault(f"{record.topic} {record.key}", []).append(_text(body))
        return
    for count in ("read", "accepted", "accepted_with_drops", "refused", "unchanged"):
        sums = receipts.setdefault(f"{record.topic} {record.key} {count}", ["0"])
        sums[0] = str(int(sums[0]) + body[count])
    for field_name in ("answers", "problems"):
        lines = receipts.setdefault(f"{record.topic} {record.key} {field_name}", [])
        lines += map(_text, body[field_name])


async def _last(database: Any, table: str, group_columns: str, order_column: str, ignored: set[str]) -> list[str]:
    """Return the last row of each group, from an append-only table."""
    rows = await database.fetch(
        f"SELECT DISTINCT ON ({group_columns}) * FROM {table} ORDER BY {group_columns}, {order_column} DESC"
    )
    return sorted(_text(_without(dict(row), ignored)) for row in rows)


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def read(installation: Installation, user: str, topics: Iterable[str]) -> list[Record]:
    """Return every record of these topics, each partition in order."""
    client = KafkaClient(installation.kafka(user), user)
    try:
        return [record for topic in topics for record in client.read_new(topic)]
    finally:
        client.close()


def consumed(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records that a consumer accepts: the next one of each producer and, without a number, each id once."""
    next_sequences: dict[tuple[str, int, str, str], int] = {}
    seen: set[tuple[str, str]] = set()
    for record in records:
        if "ce_sequence" not in record.headers:
            if (record.topic, record.ce_id) not in seen:
                seen.add((record.topic, record.ce_id))
                yield record
            continue
        producer_key = (record.topic, record.partition, record.headers["ce_source"], record.headers["ce_producerid"])
        sequence = int(record.headers["ce_sequence"])
        expected = next_sequences.get(producer_key, 0)
        assert sequence <= expected, f"{record.topic}/{record.partition} has a sequence gap before {sequence}"
        if sequence == expected:
            next_sequences[producer_key] = expected + 1
            yield record


def _opener(installation: Installation, vault: Vault) -> Callable[[Record], Any]:
    keys: dict[str, Any] = {}

    def decrypt_body(record: Record) -> Any:
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

    return decrypt_body


async def _decrypt(database: Any, vault: Vault, tables: dict[str, list[str]]) -> None:
    """Replace encrypted identities by their plain text, and leave out the random keys."""
    wrapped = {row["child_id"]: row["wrapped"] for row in await database.fetch("SELECT * FROM registry.child_key")}
    keys = {child: vault.key(child, key) for child, key in wrapped.items()}
    for table, id_column in (("record", "record_id"), ("finding", "finding_id")):
        rows = []
        for row in await database.fetch(f"SELECT * FROM registry.{table}"):
            plain = dict(row)
            if row["identity"] is not None:
                identity = decrypt(keys[row["child_id"]], row[id_column], row["identity"])
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
