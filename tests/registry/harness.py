"""Applies events to the registry's handlers in batches of any size and reads what they emit and store."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, product
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.child_number import child_id
from contracts.county import County
from contracts.event import KINDS, Envelope, Event
from contracts.intake import ActionAccepted, FindingReported, RecordDisappeared, RecordRead, SubmissionEnded
from contracts.registry import ChildChanged
from contracts.vocabulary import FactName, FindingCode, IdentityField, Verb
from runtime import Batch, DayPage, InboundEvent, OutboundEvent
from runtime.storage.sealing import Opener, Sealer, new_keys
from services.registry import disclosures, handlers
from services.registry.identity import identity_of, report_of
from services.registry.vault import Vault
from tests.county import a_county
from tests.registry.people import Row

MIGRATIONS = Path(handlers.__file__).with_name("migrations")
NAMESPACE = UUID("00000000-0000-5000-8000-0000000000bb")
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""Noon in the county's time zone."""
TODAY = date(2026, 11, 23)
MZJ = "341722-mzj"
PARTITIONS = 4
E = TypeVar("E", bound=Event)

PRIVATE, PUBLIC = new_keys()


def an_id(*parts: object) -> UUID:
    return uuid5(NAMESPACE, "/".join(map(str, parts)))


def a_vault() -> Vault:
    return Vault(Opener(PRIVATE), AESGCM(bytes(range(32))), b"blocking_key" * 6, b"child-id" * 4)


def file_id(founding: object, vault: Vault | None = None) -> UUID:
    """Return the id of the file opened for a record or a finding, if its first number is free."""
    return child_id(a_county().code, (vault or a_vault()).child_number(str(founding), 0))


def candidate_id(finding: UUID) -> UUID:
    """Return the id of the file opened for a finding whose child is not on file."""
    return file_id(f"finding/{finding}")


def sealed_identity(identity: dict[str, str], belongs_to: UUID) -> str:
    plain = json.dumps(identity, ensure_ascii=False).encode()
    return b64encode(Sealer(PUBLIC).batch().seal(plain, str(belongs_to).encode())).decode()


def record_read(row: Row, *, at: datetime = NOON, finding: UUID | None = None) -> RecordRead:
    """Return the event that intake emits for a row."""
    record = an_id("record", row.key)
    identity = {name.value: text for name, text in row.identity.items()}
    return RecordRead(
        record=record,
        unit=row.unit,
        dataset=row.dataset,
        period=row.period,
        submission=None if row.period is None else an_id("submission", row.unit, row.dataset, row.period),
        valid_on=row.valid_on,
        recorded_at=at,
        birth_date=None if row.born is None else row.born.isoformat(),
        finding=finding,
        identity=sealed_identity(identity, record),
        facts=dict(row.facts),
        content=str(an_id("content", repr((row.identity, row.born, row.facts, row.flags)))),
        flags=row.flags,
    )


def record_disappeared(row: Row, period: str = "2027H1") -> RecordDisappeared:
    return RecordDisappeared(
        record=an_id("record", row.key),
        unit=row.unit,
        dataset=row.dataset,
        period=period,
        birth_date=None if row.born is None else row.born.isoformat(),
    )


def submission_ended(
    row: Row, period: str = "2027H1", valid_on: date = date(2027, 3, 31), coverage: Literal["full", "delta"] = "full"
) -> SubmissionEnded:
    return SubmissionEnded(
        submission=an_id("submission", row.unit, row.dataset, period),
        unit=row.unit,
        dataset=row.dataset,
        period=period,
        valid_on=valid_on,
        coverage=coverage,
    )


def finding_reported(
    name: str = "finding",
    *,
    child: UUID | None = None,
    identity: Mapping[IdentityField, str] | None = None,
    township: str | None = "341722100",
    sealed_as: str | None = None,
) -> FindingReported:
    """Return the event that intake emits for a teacher's report."""
    finding = an_id(name)
    fields = {field.value: text for field, text in (identity or {}).items()}
    return FindingReported(
        finding=finding,
        unit="341722-jtj",
        place=None,
        role="teacher",
        child=child,
        findings=(FindingCode.UNATTENDED,),
        level=None,
        township=township,
        on=TODAY,
        recorded_at=NOON,
        has_identity=bool(fields),
        identity=sealed_as or sealed_identity(fields, finding),
        ce_id=an_id("ce", name),
    )


def an_action(
    verb: Verb, *, unit: str = MZJ, role: str = "county_civil_affairs", name: str = "", **more: Any
) -> ActionAccepted:
    ce_id = an_id("action", verb, name, *sorted(more.items()))
    return ActionAccepted(
        verb=verb, unit=unit, place=None, role=role, person="mzj-01", on=TODAY, recorded_at=NOON, ce_id=ce_id, **more
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a log, with its topic, partition and time."""

    topic: str
    partition: int
    event: Event
    at: datetime = NOON


HANDLERS: dict[str, tuple[Any, ...]] = {
    "intake.record.v1": (handlers.on_records,),
    "intake.action.v1": (handlers.on_findings, handlers.on_actions),
    "referral.case.v1": (disclosures.on_referrals,),
}


class Registry:
    """One registry and its county."""

    def __init__(self, connection: Any, county: County | None = None) -> None:
        self.tx = connection
        self.county = county or a_county()
        self.vault = a_vault()
        self.events: list[Event] = []
        self.bypassing_coalescing: list[ChildChanged] = []
        """Snapshots that bypassed the coalescing buffer."""
        self._offset = 0

    async def consume(self, *events: Event, size: int = 1000, partition: int = 0, at: datetime = NOON) -> list[Event]:
        """Apply events of the record topic, in one partition."""
        return await self._apply(handlers.on_records, events, "intake.record.v1", partition, size, at)

    async def rows(self, *rows: Row, size: int = 1000, partition: int = 0) -> list[Event]:
        return await self.consume(*(record_read(row) for row in rows), size=size, partition=partition)

    async def act(self, *events: Event, size: int = 1000, partition: int = 1) -> list[Event]:
        """Apply actions of persons."""
        return await self._apply(handlers.on_actions, events, "intake.action.v1", partition, size, NOON)

    async def report(self, *events: Event, size: int = 1000, partition: int = 2) -> list[Event]:
        """Apply findings, as the priority consumer does."""
        return await self._apply(handlers.on_findings, events, "intake.action.v1", partition, size, NOON)

    async def refer(self, *events: Event, size: int = 1000, partition: int = 3) -> list[Event]:
        """Apply events of the referral service."""
        return await self._apply(disclosures.on_referrals, events, "referral.case.v1", partition, size, NOON)

    async def apply_log(self, log: Sequence[Step], size: int = 1000) -> list[Event]:
        """Apply a log in batches of at most this size, each of one partition."""
        emitted: list[OutboundEvent] = []
        inbound = [
            each for step in log for each in self.batch([step.event], step.topic, step.partition, step.at).events
        ]
        for (topic, partition), run in groupby(inbound, key=lambda each: (each.topic, each.partition)):
            events = list(run)
            for handler, start in product(HANDLERS[topic], range(0, len(events), size)):
                batch = Batch(events[start : start + size], topic, partition, TODAY, NOON, self.county, PARTITIONS)
                async with self.tx.transaction():
                    emitted += await handler(batch, self.tx, vault=self.vault)
        read_back = [_as_read(each.event) for each in emitted]
        self.events += read_back
        return read_back

    async def complete_the_day(self, limit: int = 500) -> list[Event]:
        """Run the end of the day for every output partition."""
        emitted: list[OutboundEvent] = []
        for index in range(PARTITIONS):
            resume = None
            while True:
                day = TODAY + timedelta(days=1)
                page = DayPage(
                    day,
                    index,
                    PARTITIONS,
                    resume,
                    limit,
                    self.county,
                    NOON,
                    an_id(index, resume),
                    an_id("day"),
                    "341722",
                )
                async with self.tx.transaction():
                    result = await handlers.on_day(page, self.tx)
                emitted += result.events
                resume = result.resume
                if resume is None:
                    break
        return [_as_read(outbound.event) for outbound in emitted]

    async def blocks(self, other: "Registry", work: asyncio.Task[Any]) -> bool:
        """Return whether the other registry's work waits for a lock of this transaction, instead of ending."""
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"
        while not work.done() and not await self.tx.fetchval(waits, other.tx.get_server_pid()):
            await asyncio.wait({work}, timeout=0.01)
        return not work.done()

    async def child_of(self, row: Row) -> UUID:
        child = await self.tx.fetchval("SELECT child_id FROM record WHERE record_id = $1", an_id("record", row.key))
        assert isinstance(child, UUID)
        return child

    async def clusters(self) -> set[frozenset[UUID]]:
        """Return the sets of records that are in one file."""
        rows = await self.tx.fetch("SELECT child_id, array_agg(record_id) AS records FROM record GROUP BY child_id")
        return {frozenset(row["records"]) for row in rows}

    async def file(self, child: UUID) -> dict[str, Any]:
        row = await self.tx.fetchrow("SELECT * FROM child WHERE child_id = $1", child)
        assert row is not None
        return dict(row)

    async def count(self, table: str) -> int:
        return int(await self.tx.fetchval(f"SELECT count(*) FROM {table}"))

    async def state(self) -> dict[str, list[str]]:
        """Return all that the registry stores, decrypted, without the number of disclosures that an agency was sent."""
        tables = {}
        for table, columns in {
            "child": "*",
            "record": "record_id, child_id, finding_id, must_link_group, birth_date, recorded_at, valid_on, department,"
            " content, evidence",
            "blocking_key": "*",
            "review": "*",
            "submission_end": "*",
            "reassignment": "*",
            "finding": "finding_id, child_id, named",
            "cannot_link": "*",
            "verification": "*",
            "disclosure": "*",
        }.items():
            rows = await self.tx.fetch(f"SELECT {columns} FROM {table}")
            tables[table] = sorted(repr(dict(row.items())) for row in rows)
        children = [row["child_id"] for row in await self.tx.fetch("SELECT child_id FROM child")]
        findings = [row["finding_id"] for row in await self.tx.fetch("SELECT finding_id FROM finding")]
        for name, values in (
            ("identity", await identity_of(self.tx, self.vault, children)),
            ("report", await report_of(self.tx, self.vault, findings)),
        ):
            tables[name] = sorted(repr((owner, sorted(fields.items()))) for owner, fields in values.items())
        return tables

    def snapshot(self, child: UUID) -> ChildChanged:
        """Return the child's newest snapshot."""
        snapshots = [file for file in only(self.events, ChildChanged) if file.child == child]
        return max(snapshots, key=lambda file: file.child_version)

    def chosen(self, child: UUID) -> dict[FactName, Any]:
        return {fact.name: fact.value for fact in self.snapshot(child).facts if fact.chosen}

    def batch(
        self, events: Sequence[Event], topic: str = "intake.record.v1", partition: int = 0, at: datetime = NOON
    ) -> Batch[Any]:
        """Return these events as one batch of one partition."""
        inbound: list[InboundEvent[Any]] = []
        for event in events:
            self._offset += 1
            cause = an_id("event", type(event).__name__, event.key, self._offset)
            envelope = Envelope(cause, f"/{topic}", event.kind, at, event.key, self.county.code, cause)
            inbound.append(InboundEvent(event, envelope, topic, partition, self._offset))
        return Batch(inbound, topic, partition, TODAY, NOON, self.county, PARTITIONS)

    async def reset(self) -> None:
        """Empty the registry, as if it had consumed nothing."""
        await self.tx.execute(
            "TRUNCATE child, record, blocking_key, child_key, review, submission_end, reassignment, finding,"
            " cannot_link, verification, disclosure"
        )
        self._offset = 0
        self.events = []

    async def _apply(
        self, handler: Any, events: Sequence[Event], topic: str, partition: int, size: int, at: datetime
    ) -> list[Event]:
        whole = self.batch(events, topic, partition, at)
        emitted: list[OutboundEvent] = []
        for start in range(0, len(events), size):
            batch = replace(whole, events=whole.events[start : start + size])
            async with self.tx.transaction():
                emitted += await handler(batch, self.tx, vault=self.vault)
        for outbound in emitted:
            assert outbound.time == at
            if outbound.bypass_coalescing:
                assert isinstance(outbound.event, ChildChanged)
                self.bypassing_coalescing.append(outbound.event)
        read_back = [_as_read(outbound.event) for outbound in emitted]
        self.events += read_back
        return read_back


def _as_read(event: Event) -> Event:
    """Return an event as its consumers read it: a snapshot is published as serialized JSON."""
    return KINDS[event.kind].model_validate_json(event.encoded()) if event.snapshot else event


def only(emitted: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in emitted if isinstance(event, kind)]


def with_keys(county: County, keys: dict[str, str], *, name: str = "public_key") -> County:
    """Return the county with public keys for these units. ``name`` is the attribute of the key."""
    units = tuple(unit.model_copy(update={name: keys[unit.id]}) if unit.id in keys else unit for unit in county.units)
    return a_county(units=units)
