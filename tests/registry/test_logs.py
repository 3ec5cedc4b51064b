"""One log is applied with other batch boundaries, with duplicates, in another order of partitions and again."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.event import Envelope, Event
from contracts.registry import (
    ChildChanged,
    Disclosed,
    FactConflictFound,
    FileReassigned,
    FindingAssigned,
    RegistryActionRefused,
    ReviewRequested,
    ReviewResolved,
)
from contracts.topics import TOPICS
from contracts.vocabulary import FactName, IdentityField, ReferralState, Transition, Verb
from runtime import InboundEvent, Service, Settings, partition_of
from runtime.publish.outbox import Outbox
from runtime.storage import sql
from runtime.storage.sealing import new_keys
from runtime.topic_catalogue import TopicCatalogue
from services.registry import app
from services.registry.identity import identity_of
from services.registry.vault import Vault
from tests.county import a_county
from tests.registry.harness import (
    NAMESPACE,
    NOON,
    PARTITIONS,
    PRIVATE,
    Registry,
    Step,
    an_action,
    an_id,
    file_id,
    finding_reported,
    only,
    record_disappeared,
    record_read,
    submission_ended,
    with_keys,
)
from tests.registry.people import FATHER, MOTHER, PHONE, Row, a_number, a_row, clinic, police
from tests.registry.test_disclosures import EC, GAJ, decrypted, public, referral_changed
from tests.runtime.harness import dispatch_and_drain

RECORDS, ACTIONS, CASES = "intake.record.v1", "intake.action.v1", "referral.case.v1"
CONSUMERS = {RECORDS: ("main",), ACTIONS: ("main", "priority"), CASES: ("disclosures",)}
COUNTY = with_keys(a_county(), {GAJ: public(EC)})
DAYS = (date(2016, 3, 5), date(2016, 3, 6))
"""Two birth dates whose records are in two partitions."""


def input_partition(born: date | None) -> int:
    return partition_of("" if born is None else born.isoformat(), PARTITIONS)


def a_child_of(rng: random.Random, n: int, born: date) -> Row:
    """Return a department's row about one of some children who have much in common."""
    row = a_row(
        f"{n}",
        born=born,
        name=["例小明", "例小亮", "例小名", "例□明"][n % 4],
        id_number=rng.choice([a_number(born, sequence=n + 1), None]),
        guardian_id_number=rng.choice([MOTHER, FATHER, None]),
        guardian_phone=rng.choice([PHONE, None]),
        facts={
            FactName.SCHOOL_GRADE: rng.randint(1, 3),
            FactName.RESIDENCE_SINCE: f"2025-0{rng.randint(1, 9)}-01",
        },
        valid_on=date(2026, rng.choice([3, 9]), 30),
    )
    return rng.choice([row, police(row, facts={FactName.SCHOOL_GRADE: 9}), clinic(row)])


def a_log(seed: int, review_ids: Sequence[UUID] = (), size: int = 400, vault: Vault | None = None) -> list[Step]:
    """Return half a year's events: rows that change or come back, findings, decisions and referrals."""
    rng = random.Random(seed)
    rows: dict[str, Row] = {}
    children: list[UUID] = []
    findings: list[UUID] = []
    merged: list[tuple[UUID, UUID]] = []
    log: list[Step] = []
    while len(log) < size:
        at = NOON + timedelta(hours=len(log))
        topic = rng.choice([RECORDS, RECORDS, RECORDS, ACTIONS, CASES])
        partition = input_partition(rng.choice(DAYS)) if topic == RECORDS else rng.randrange(PARTITIONS)
        for _ in range(rng.randint(3, 25)):
            at += timedelta(minutes=1)
            if topic == RECORDS:
                event = _record(rng, partition, rows, findings, log, at)
                log += [
                    Step(topic, place, event, at) for place in (range(PARTITIONS) if event.broadcast else [partition])
                ]
                children += [file_id(an_id("record", key), vault) for key in rows]
            elif not children:
                break
            elif topic == ACTIONS:
                log.append(
                    Step(topic, partition, _action(rng, len(log), rows, children, findings, merged, review_ids), at)
                )
            else:
                number = rng.randrange(6)
                state, move = rng.choice(
                    [
                        (ReferralState.SENT, Transition.SENT),
                        (ReferralState.CLOSED, Transition.CLOSED),
                        (ReferralState.SENT, Transition.SENT),
                    ]
                )
                version = len(log)
                child = children[number % len(children)]
                log.append(
                    Step(
                        topic,
                        partition,
                        referral_changed(child, version, state, transition=move, referral=an_id("r", number)),
                        at,
                    )
                )
    return log


def _record(
    rng: random.Random, partition: int, rows: dict[str, Row], findings: list[UUID], log: list[Step], at: Any
) -> Any:
    born = next(day for day in DAYS if input_partition(day) == partition)
    roll = rng.random()
    if findings and roll < 0.1:
        finding = rng.choice(findings)
        row = a_child_of(rng, rng.randrange(10), born)
        return record_read(
            replace(row, key=f"finding/{finding}", unit="341722-jtj", dataset="finding", period=None),
            finding=finding,
            at=at,
        )
    here = [row for row in rows.values() if row.born == born]
    if roll < 0.75 or not here:
        row = a_child_of(rng, rng.randrange(10), born)
        rows[row.key] = row
        return record_read(row, at=at)
    if roll < 0.9:
        return record_disappeared(rng.choice(here))
    day = date(2026, 12, 31) + timedelta(days=len(log))
    return submission_ended(rng.choice(here), f"2027H{1 + len(log) % 2}", day)


def _action(
    rng: random.Random,
    n: int,
    rows: dict[str, Row],
    children: list[UUID],
    findings: list[UUID],
    merged: list[tuple[UUID, UUID]],
    review_ids: Sequence[UUID],
) -> Any:
    one, other = rng.choice(children), rng.choice(children)
    if review_ids and rng.random() < 0.3:
        return an_action(rng.choice([Verb.CONFIRM, Verb.DECLINE]), name=str(n), proposal=rng.choice(review_ids))
    verb = rng.choice([Verb.REPORT, Verb.VERIFY, Verb.MERGE, Verb.SPLIT, Verb.SPLIT])
    if verb is Verb.REPORT:
        event = finding_reported(
            f"finding {n}", child=rng.choice([None, one]), identity={IdentityField.ADDRESS: f"例村{n}号"}
        )
        findings.append(event.finding)
        return event
    if verb is Verb.VERIFY:
        facts = {rng.choice([FactName.SCHOOL_GRADE, FactName.DISABILITY_GRADE]): rng.randint(1, 4)}
        return an_action(verb, name=str(n), child=one, facts=facts, outcome=rng.choice(["confirmed", None]))
    if verb is Verb.MERGE:
        merged.append((one, other))
        return an_action(verb, name=str(n), child=one, other=other)
    if merged and rng.random() < 0.6:
        one, other = rng.choice(merged)
        return an_action(verb, name=str(n), child=one, other=other)
    records = rng.choice([(), (an_id("record", rng.choice(list(rows))),)])
    return an_action(verb, name=str(n), child=one, other=rng.choice([other, None]), records=records)


async def with_decisions(registry: Registry, seed: int) -> list[Step]:
    """Return the log in which persons also resolve the reviews that the registry requests in it."""
    review_ids = [event.review for event in only(await registry.apply_log(a_log(seed)), ReviewRequested)]
    await registry.reset()
    return a_log(seed, review_ids)


# ------------------------------------------------------------------------------------------------- through the runtime


@dataclass
class RunningRegistry:
    """The registry's service without Kafka: records are dispatched by the test, and the outbox is read."""

    service: Service
    registry: Registry

    async def consume(self, log: Sequence[Step], size: int, *, twice: bool = False) -> None:
        """Apply a log in batches of one partition. With ``twice`` each producer's relay sends everything again."""
        raws = _records(log, twice=twice)
        for (topic, _), run in groupby(raws, key=lambda raw: (raw.topic, raw.partition)):
            records = list(run)
            for consumer in CONSUMERS[topic]:
                for start in range(0, len(records), size):
                    await dispatch_and_drain(self.service.consumers[consumer], records[start : start + size])

    async def emitted(self) -> list[dict[str, Any]]:
        """Return the outbox in the order of each producer, with disclosures decrypted."""
        rows = await self.service.context.pool.fetch(
            "SELECT producer_id, topic, partition, seq, key, value, headers"
            " FROM outbox ORDER BY producer_id, topic, partition, seq"
        )
        events = []
        for row in rows:
            pairs = row["headers"].split(b"\x00")
            headers = {name.decode(): text.decode() for name, text in zip(pairs[::2], pairs[1::2], strict=True)}
            value = None if row["value"] is None else json.loads(row["value"])
            if value is not None and "jwe" in value:
                value["jwe"] = decrypted(SimpleNamespace(jwe=value["jwe"]))  # type: ignore[arg-type]
            events.append(
                {
                    "place": (row["producer_id"], row["topic"], row["partition"]),
                    "key": row["key"],
                    "id": headers["ce_id"],
                    "type": headers["ce_type"],
                    "value": value,
                }
            )
        return events


def _records(log: Sequence[Step], *, twice: bool) -> list[Any]:
    """Return Kafka records with sequence numbers per producer and with offsets."""
    offsets: dict[tuple[str, int], int] = {}
    numbers: dict[tuple[str, int], int] = {}
    raws: list[Any] = []

    def put(step: Step, number: int, n: int) -> None:
        partition = (step.topic, step.partition)
        offset = offsets[partition] = offsets.get(partition, -1) + 1
        event, event_id = step.event, an_id("said", n)
        envelope = Envelope(
            event_id, f"/hutong/{COUNTY.code}/said", event.kind, step.at, event.key, COUNTY.code, event_id
        )
        raws.append(
            SimpleNamespace(
                topic=step.topic,
                partition=step.partition,
                offset=offset,
                timestamp=0,
                key=event.key.encode(),
                value=event.model_dump_json().encode(),
                headers=envelope.with_sequence(step.partition, number).headers(),
            )
        )

    for _, run in groupby(enumerate(log), key=lambda event_id: (event_id[1].topic, event_id[1].partition)):
        chunk = []
        for n, step in run:
            partition = (step.topic, step.partition)
            numbers[partition] = numbers.get(partition, -1) + 1
            chunk.append((step, numbers[partition], n))
        for _ in range(2 if twice else 1):
            for event_id in chunk:
                put(*event_id)
    return raws


@pytest.fixture
async def running(
    stack: Any, postgres: Any, database_template: str, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[RunningRegistry]]]:
    """Return a function that makes registries, each with its own database."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    registries: list[tuple[str, RunningRegistry]] = []
    secrets = tmp_path / "secrets.json"
    secrets.touch(mode=0o600)
    vault = {"master_key": bytes(range(32)), "lookup_key": b"blocking_key" * 6, "child_id_key": b"child-id" * 4}
    secrets.write_text(
        json.dumps(
            {name: key.hex() for name, key in vault.items()}
            | {"registry_private_key": PRIVATE, "parking_key": new_keys()[0], "ops_public_key": new_keys()[1]}
        )
    )

    async def make() -> RunningRegistry:
        name = f"log_{len(registries)}_{tmp_path.name}"[:60]
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database_template}"')
        dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, name)
        settings = Settings(
            kafka=stack.kafka.bootstrap, postgres=dsn, county=COUNTY.code, partitions=PARTITIONS, secrets_file=secrets
        )
        service = app.create(settings)
        await service.open()
        await service.context.pool.execute(
            "insert into county (version, active_from, activated_by, body) values ('1', '2026-01-01', '', $1)",
            COUNTY.model_dump_json(),
        )
        for topic, consumers in CONSUMERS.items():
            for consumer in consumers:
                partitions = list(range(PARTITIONS))
                names = ([consumer] * PARTITIONS, [topic] * PARTITIONS, partitions)
                await service.context.pool.execute(sql.NEW_PRODUCER_IDS, *names)
                await service.context.pool.execute(
                    sql.NEW_CURSORS, *names, [0] * PARTITIONS, [str(NAMESPACE)] * PARTITIONS
                )
                service.consumers[consumer].ready |= {(topic, partition) for partition in partitions}
        connection = await asyncpg.connect(dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
        registries.append((name, RunningRegistry(service, Registry(connection, COUNTY))))
        return registries[-1][1]

    yield make
    for name, registry in registries:
        await registry.registry.tx.close()
        await registry.service.close()
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


def counted_events(emitted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of which every one counts; of snapshots and disclosures only the newest counts."""
    return [event for event in emitted if event["type"] not in (ChildChanged.kind, Disclosed.kind)]


def newest(emitted: list[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """Return each child's newest snapshot, without its version and the dates of its facts."""
    snapshots: dict[bytes, dict[str, Any]] = {}
    for event in emitted:
        if event["type"] == ChildChanged.kind:
            former = snapshots.get(event["key"])
            if former is None or former["child_version"] < event["value"]["child_version"]:
                snapshots[event["key"]] = event["value"]
    return {
        key: {
            **value,
            "child_version": None,
            "facts": [
                {name: text for name, text in fact.items() if name not in ("period", "valid_on", "recorded_on")}
                for fact in value["facts"]
            ],
        }
        for key, value in snapshots.items()
    }


@pytest.mark.parametrize("seed", range(1, 3))
async def test_batch_boundaries_and_duplicates_do_not_change_the_result_of_a_log(
    registry: Registry, running: Callable[[], Awaitable[RunningRegistry]], seed: int
) -> None:
    """The service with fence and sequence numbers has the same decrypted state and the same events and ids."""
    registry.county = COUNTY
    log = await with_decisions(registry, seed)
    variants = {"one by one": (1, False), "by seven": (7, False), "at once": (1000, False), "twice": (7, True)}
    results: dict[str, tuple[Any, ...]] = {}
    for variant, (size, twice) in variants.items():
        service = await running()
        await service.consume(log, size, twice=twice)
        emitted = await service.emitted()
        results[variant] = (await service.registry.state(), counted_events(emitted), newest(emitted))
        assert await service.service.parked() == []
    state, emitted, _ = results["one by one"]
    kinds: list[type[Event]] = [ReviewRequested, ReviewResolved, FileReassigned, FindingAssigned, FactConflictFound]
    kinds.append(RegistryActionRefused)
    assert {kind.kind for kind in kinds} == {event["type"] for event in emitted}
    assert [name for name, rows in state.items() if not rows] == []
    for variant, result in results.items():
        for part, reference in zip(result, results["one by one"], strict=True):
            assert part == reference, variant


def published(events: Sequence[Event], at: datetime = NOON) -> list[Step]:
    """Return these events as intake's outbox emits them, one partition after the other."""
    outbox = Outbox("intake", "/hutong/341722/intake/x", TopicCatalogue(TOPICS), PARTITIONS)
    cause = Envelope(NAMESPACE, "/a-client", "department.End.v1", at, "key", COUNTY.code, NAMESPACE)
    emitted = [
        InboundEvent(event, cause, "department.341722-jtj.v1", 0, n).emit(event) for n, event in enumerate(events)
    ]
    kinds = {event.kind: type(event) for event in events}
    steps = []
    for row in outbox.rows(emitted):
        assert row.value is not None
        kind = dict(pairwise(row.headers.split(b"\x00")))[b"ce_type"].decode()
        steps.append(Step(row.topic, row.partition, kinds[kind].model_validate_json(row.value), at))
    return sorted(steps, key=lambda step: step.partition)


def half_years(children: Sequence[Row]) -> list[Step]:
    """Return the school's spring file, the police's autumn file and the school's autumn file, which is unchanged.

    The police's file contradicts the school's for every second child.
    """
    spring = [replace(row, period="2026H1", valid_on=date(2026, 3, 31)) for row in children]
    grades = [{FactName.SCHOOL_GRADE: 5}, {FactName.HUKOU_DIVISION: "341702"}]
    autumn = [police(row, facts=grades[n % 2]) for n, row in enumerate(children)]
    end = submission_ended(children[0], "2026H2", date(2026, 9, 30))
    return published(
        [
            *(record_read(row) for row in [*spring, *autumn]),
            submission_ended(spring[0], "2026H1", date(2026, 3, 31)),
            end,
        ]
    )


async def test_an_unchanged_file_confirms_the_facts_of_children_on_every_partition(
    running: Callable[[], Awaitable[RunningRegistry]],
) -> None:
    """Every child's grade is dated in the new half-year, and every conflict is reported, on every partition.

    The result does not depend on batch boundaries or duplicates.
    """
    plain = {"guardian_id_number": None, "guardian_name": None, "guardian_phone": None}
    days = [date(2016, 1, 1) + timedelta(days=n) for n in range(24)]
    children = [a_row(str(n), born=day, id_number=a_number(day), **plain) for n, day in enumerate(days)]
    assert {input_partition(row.born) for row in children[::2]} == set(range(PARTITIONS))
    log = half_years(children)
    results = []
    for size, twice in ((1, False), (7, False), (1000, False), (7, True)):
        service = await running()
        await service.consume(log, size, twice=twice)
        emitted = await service.emitted()
        results.append((await service.registry.state(), counted_events(emitted), newest(emitted)))
        child_ids = {str(file_id(an_id("record", row.key))) for row in children}
        snapshots = [event["value"] for event in emitted if event["type"] == ChildChanged.kind]
        dated = {
            file["child"]
            for file in snapshots
            for fact in file["facts"]
            if (fact["name"], fact["dataset"]) == (FactName.SCHOOL_GRADE, "school")
            and (fact["period"], fact["valid_on"]) == ("2026H2", "2026-09-30")
        }
        assert dated == child_ids
        conflicts = [event["value"] for event in emitted if event["type"] == FactConflictFound.kind]
        contradicted = {str(file_id(an_id("record", row.key))) for row in children[::2]}
        assert sorted(conflict["child"] for conflict in conflicts) == sorted(contradicted)
        assert {conflict["name"] for conflict in conflicts} == {FactName.SCHOOL_GRADE}
    for result in results[1:]:
        assert result == results[0]


async def test_a_replay_of_the_whole_log_has_the_same_result(
    running: Callable[[], Awaitable[RunningRegistry]],
) -> None:
    """A replay into another database with other keys has the same ids, events and decrypted state."""
    results, wrapped = [], []
    for _ in range(2):
        service = await running()
        await service.consume(a_log(5), 40)
        keys = await service.registry.tx.fetch("SELECT * FROM child_key ORDER BY child_id")
        results.append((await service.registry.state(), await service.emitted(), [row["child_id"] for row in keys]))
        wrapped.append({row["wrapped"] for row in keys})
    assert results[0] == results[1]
    assert wrapped[0].isdisjoint(wrapped[1])


# ------------------------------------------------------------------------------------------ partitions at another pace


def three_partitions(seed: int) -> tuple[list[Step], list[list[Step]]]:
    """Return files of two birth dates and then three partitions that concern them.

    Two have rows of either date, some with a corrected date and so from the other partition; one has the actions of
    persons who merge files of both, undo that, and verify facts.
    """
    rng = random.Random(seed)
    plain = {"guardian_id_number": None, "guardian_name": None, "guardian_phone": None}
    rows = {
        (day, n): a_row(f"{day}/{n}", born=day, id_number=a_number(day, n + 1), name=f"例小{n}", **plain)
        for day in DAYS
        for n in range(4)
    }
    children = [file_id(an_id("record", row.key)) for row in rows.values()]
    first = [Step(RECORDS, input_partition(row.born), record_read(row)) for row in rows.values()]
    partitions: dict[date, list[Step]] = {day: [] for day in DAYS}
    for n in range(24):
        at = NOON + timedelta(hours=n + 1)
        day, number = rng.choice(DAYS), rng.randrange(4)
        row = rng.choice([police, clinic, lambda row: row])(rows[day, number])
        facts = {FactName.SCHOOL_GRADE: rng.randint(1, 4), FactName.RESIDENCE_DIVISION: f"34172210{number}"}
        row = replace(row, facts=facts, valid_on=date(2026, rng.choice([3, 6, 9]), 30))
        if row.dataset == "vaccination":
            row = replace(row, identity={**row.identity, IdentityField.ID_NUMBER: a_number(day, number + 1)})
        roll = rng.random()
        if roll < 0.2:
            # The row turns out to have the other birth date: versions of it on its former partition are older.
            other = DAYS[1 - DAYS.index(day)]
            sequence = rng.randrange(4)
            moved_to = {
                **row.identity,
                IdentityField.ID_NUMBER: a_number(other, sequence + 1),
                IdentityField.NAME: f"例小{sequence}",
            }
            corrected = replace(row, key=f"{row.key}/{n}", born=other, identity=moved_to)
            partitions[day].append(
                Step(RECORDS, input_partition(day), record_read(replace(row, key=corrected.key), at=at), at)
            )
            later = at + timedelta(minutes=30)
            partitions[day].append(
                Step(RECORDS, input_partition(day), record_disappeared(replace(row, key=corrected.key)), at)
            )
            partitions[other].append(Step(RECORDS, input_partition(other), record_read(corrected, at=later), later))
        elif roll < 0.3:
            partitions[day].append(Step(RECORDS, input_partition(day), record_disappeared(row), at))
        elif roll < 0.4:
            ending = submission_ended(row, f"2027H{1 + n % 2}", date(2027, 1, 1) + timedelta(days=n))
            for each in DAYS:
                partitions[each].append(Step(RECORDS, input_partition(each), ending, at))
        else:
            partitions[day].append(Step(RECORDS, input_partition(day), record_read(row, at=at), at))
    decided: list[Step] = []
    for n in range(8):
        left, right = rng.sample(children, 2)
        at = NOON + timedelta(hours=n + 1)
        merge = an_action(Verb.MERGE, name=f"merge {n}", child=left, other=right)
        undo = an_action(Verb.SPLIT, name=f"undo {n}", child=left, other=right)
        facts = {FactName.SCHOOL_GRADE: n + 1}
        verification = an_action(Verb.VERIFY, name=f"seen {n}", child=rng.choice([left, right]), facts=facts)
        decided += [Step(ACTIONS, 0, event, at) for event in ([merge, verification, undo] if n % 3 else [merge])]
        if n % 3 == 0:
            children = [child for child in children if child != right]
    return first, [*partitions.values(), decided]


def interleaved(rng: random.Random, partitions: Sequence[Sequence[Step]]) -> list[Step]:
    """Return the partitions interleaved, each in its own order."""
    order = [n for n, partition in enumerate(partitions) for _ in partition]
    rng.shuffle(order)
    at = [iter(partition) for partition in partitions]
    return [next(at[n]) for n in order]


async def files_by_content(registry: Registry) -> dict[frozenset[str], Any]:
    """Return files by their content instead of their ids: facts by source, identity and reviews."""
    files = {}
    rows = await registry.tx.fetch("SELECT * FROM child WHERE absorbed_by IS NULL")
    identities = await identity_of(registry.tx, registry.vault, [row["child_id"] for row in rows])
    for row in rows:
        sources = {source[0]: source[1:] for source in json.loads(row["file"])["sources"]}
        kept = (row["state"], row["residence"], row["dependency_keys"], identities[row["child_id"]])
        files[frozenset(sources)] = (sources, kept)
    return files


@pytest.mark.parametrize("seed", range(4))
async def test_partitions_that_concern_one_child_may_progress_at_any_pace(registry: Registry, seed: int) -> None:
    """Clusters, current facts and their sources do not depend on which partition was faster."""
    first, partitions = three_partitions(seed)
    rng = random.Random(seed)
    results = []
    for _ in range(4):
        await registry.reset()
        await registry.apply_log(first)
        await registry.apply_log(interleaved(rng, partitions), size=rng.choice([1, 5, 1000]))
        results.append(await files_by_content(registry))
    for result in results[1:]:
        assert result == results[0]
