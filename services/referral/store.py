"""All SQL of referral: locking, loading and saving the cases of children."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from contracts.vocabulary import (
    Answer,
    DutyKind,
    FindingCode,
    LedgerReason,
    Level,
    ReferralState,
    Result,
    ReturnReason,
    Verb,
)
from runtime import Record, Tx, partition_of
from services.referral.domain.child_case import Child, ChildCase
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import ServiceGap
from services.referral.domain.ledger import LedgerEntry
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import AppliedTransition, Referral, counts_hours, next_alarm

T = TypeVar("T")

# ---------------------------------------------------------------- locking and loading

MERGE_CHAIN = """
    WITH RECURSIVE merged (id) AS (
        SELECT unnest($1::uuid[])
        UNION
        SELECT child.absorbed_by FROM merged JOIN child ON child.id = merged.id WHERE child.absorbed_by IS NOT NULL
    )
    SELECT merged.id, child.id IS NULL AS new FROM merged LEFT JOIN child ON child.id = merged.id
"""
"""The given children and the files that absorbed them, with whether a child has no row yet."""

CHILDREN_OF_REFERRALS = "SELECT DISTINCT child FROM referral WHERE id = ANY($1::uuid[])"
CHILDREN_OF_PROPOSALS = "SELECT DISTINCT child FROM proposal WHERE id = ANY($1::uuid[])"
CHILDREN_OF_FINDINGS = "SELECT DISTINCT child FROM referral WHERE sources && $1::uuid[]"

INSERT_CHILDREN = """
    INSERT INTO child (id, partition, version, assessment, person_grounds, pending)
    SELECT id, partition, -1, -1, false, false FROM unnest($1::uuid[], $2::int[]) AS new (id, partition)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
"""

LOCK_CHILDREN = """
    SELECT id, version, assessment, township, migrant, statistical, absorbed_by, person_grounds, pending
    FROM child WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""
"""A child's row is the lock on its whole case. Locking in the order of ids keeps batches from deadlocks."""

REFERRALS = "SELECT * FROM referral WHERE child = ANY($1::uuid[])"
GAPS = "SELECT * FROM service_gap WHERE child = ANY($1::uuid[])"
PROPOSALS = "SELECT * FROM proposal WHERE child = ANY($1::uuid[])"
ENTRIES = "SELECT * FROM ledger_entry WHERE child = ANY($1::uuid[])"
DUTIES = """
    SELECT * FROM duty WHERE child = ANY($1::uuid[]) AND (state IN ('created', 'missed') OR due_on >= $2)
"""
"""Outstanding duties, and all duties of periods that are not over."""

LOCK_FINDINGS = """
    INSERT INTO finding AS locked (id)
    SELECT id FROM unnest($1::uuid[]) AS new (id) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET id = excluded.id
    RETURNING locked.id, locked.called_by
"""

SAVE_CALL = """
    UPDATE finding SET called_by = array_append(called_by, $2), called_at = $3, station = $4 WHERE id = $1
"""

# ---------------------------------------------------------------- children for whom time does something

EXPIRED_HOURS = """
    SELECT child FROM referral WHERE counts_hours AND alarm_at <= $1
    UNION
    SELECT child FROM proposal WHERE alarm_at <= $1
"""

CHILDREN_DUE = """
    SELECT child FROM (
        SELECT id AS child FROM child WHERE pending AND partition = $1
        UNION
        SELECT child FROM referral WHERE partition = $1 AND alarm_at <= $2
        UNION
        SELECT child FROM referral WHERE partition = $1 AND tombstones_from <= $3
        UNION
        SELECT child FROM referral WHERE partition = $1 AND provisional
            AND extract(year FROM coalesce(result_by, accept_by) AT TIME ZONE 'UTC') = ANY($6::int[])
        UNION
        SELECT child FROM proposal WHERE partition = $1 AND alarm_at <= $2
        UNION
        SELECT child FROM ledger_entry WHERE partition = $1 AND open AND contact_from <= $3
        UNION
        SELECT child FROM ledger_entry WHERE partition = $1 AND open AND visit_from <= $3
        UNION
        SELECT child FROM duty WHERE partition = $1 AND next_on <= $3
        UNION
        SELECT child FROM duty WHERE partition = $1 AND provisional AND state = 'created'
            AND extract(year FROM due_on) = ANY($6::int[])
    ) AS due
    WHERE $4::uuid IS NULL OR child > $4
    ORDER BY child
    LIMIT $5
"""
"""One page of the children for whom a completed day does something.

The county's midnight is 16:00 UTC of the day before: in UTC, a deadline lies in the year of the day that it ends.
"""

# ---------------------------------------------------------------- saving

SAVE_CHILDREN = """
    INSERT INTO child SELECT * FROM jsonb_populate_recordset(NULL::child, $1)
    ON CONFLICT (id) DO UPDATE SET
        version = excluded.version, assessment = excluded.assessment, township = excluded.township,
        migrant = excluded.migrant, statistical = excluded.statistical, absorbed_by = excluded.absorbed_by,
        person_grounds = excluded.person_grounds, pending = excluded.pending
"""

SAVE_REFERRALS = """
    INSERT INTO referral SELECT * FROM jsonb_populate_recordset(NULL::referral, $1)
    ON CONFLICT (id) DO UPDATE SET
        child = excluded.child, partition = excluded.partition, owners = excluded.owners, level = excluded.level,
        findings = excluded.findings, sources = excluded.sources, reporters = excluded.reporters,
        shared = excluded.shared, by_person = excluded.by_person, from_unit = excluded.from_unit,
        to_unit = excluded.to_unit, sent_at = excluded.sent_at, state = excluded.state, version = excluded.version,
        accept_by = excluded.accept_by, accept_alarm_at = excluded.accept_alarm_at, result_by = excluded.result_by,
        phone_by = excluded.phone_by, deadlines_from = excluded.deadlines_from, provisional = excluded.provisional,
        expired = excluded.expired, returns = excluded.returns, return_reason = excluded.return_reason,
        right_unit = excluded.right_unit, extended = excluded.extended, extended_days = excluded.extended_days,
        phone_reported = excluded.phone_reported, reporter_informed = excluded.reporter_informed,
        result = excluded.result, escalated_to = excluded.escalated_to, closed_at = excluded.closed_at,
        queues = excluded.queues, tombstones_from = excluded.tombstones_from, alarm_at = excluded.alarm_at,
        counts_hours = excluded.counts_hours
"""

SAVE_HISTORY = """
    INSERT INTO referral_transition SELECT * FROM jsonb_populate_recordset(NULL::referral_transition, $1)
"""

SAVE_GAPS = """
    INSERT INTO service_gap SELECT * FROM jsonb_populate_recordset(NULL::service_gap, $1)
    ON CONFLICT (child, route, code) DO UPDATE SET
        level = excluded.level, item = excluded.item, needs_confirming = excluded.needs_confirming,
        current = excluded.current, episode_over = excluded.episode_over, pending = excluded.pending,
        episode = excluded.episode, correlation = excluded.correlation, proposals = excluded.proposals,
        proposal = excluded.proposal, decided_level = excluded.decided_level, referral = excluded.referral
"""

SAVE_PROPOSALS = """
    INSERT INTO proposal SELECT * FROM jsonb_populate_recordset(NULL::proposal, $1)
    ON CONFLICT (id) DO UPDATE SET
        child = excluded.child, partition = excluded.partition, state = excluded.state, alarm_at = excluded.alarm_at
"""

SAVE_ENTRIES = """
    INSERT INTO ledger_entry SELECT * FROM jsonb_populate_recordset(NULL::ledger_entry, $1)
    ON CONFLICT (child) DO UPDATE SET
        open = excluded.open, reasons = excluded.reasons, unit = excluded.unit, township = excluded.township,
        number = excluded.number, opened_on = excluded.opened_on, changed_on = excluded.changed_on,
        last_contact_on = excluded.last_contact_on, last_visit_on = excluded.last_visit_on,
        closed_on = excluded.closed_on, contact_from = excluded.contact_from, visit_from = excluded.visit_from
"""

SAVE_DUTIES = """
    INSERT INTO duty SELECT * FROM jsonb_populate_recordset(NULL::duty, $1)
    ON CONFLICT (id) DO UPDATE SET
        child = excluded.child, partition = excluded.partition, due_on = excluded.due_on,
        provisional = excluded.provisional, reminders = excluded.reminders, state = excluded.state,
        next_on = excluded.next_on
"""

SAVE_CONTACTS = """
    INSERT INTO contact SELECT * FROM jsonb_populate_recordset(NULL::contact, $1) ON CONFLICT (unit, ce_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """A call to a police station or a hotline."""

    unit: str
    """The unit whose people called."""
    station: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One transition in a referral's history."""

    applied: AppliedTransition
    done_on: date
    channel: str | None
    call: PhoneCall | None
    causation: UUID
    """The id of the event, or of the day page, that caused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact or a visit, or an attempt at one."""

    unit: str
    ce_id: UUID
    child: UUID
    verb: Verb
    done_on: date
    recorded_at: datetime
    role: str
    person: str
    reached: bool | None
    mode: str | None
    at_residence: bool | None


async def children_of(
    tx: Tx,
    *,
    referrals: Collection[UUID] = (),
    proposals: Collection[UUID] = (),
    findings: Collection[UUID] = (),
) -> set[UUID]:
    """Return the children of these referrals and proposals, and of the referrals that came from these findings."""
    children: set[UUID] = set()
    for query, ids in (
        (CHILDREN_OF_REFERRALS, referrals),
        (CHILDREN_OF_PROPOSALS, proposals),
        (CHILDREN_OF_FINDINGS, findings),
    ):
        if ids:
            children |= {row["child"] for row in await tx.fetch(query, list(ids))}
    return children


async def lock_findings(tx: Tx, findings: Iterable[UUID]) -> dict[UUID, frozenset[str]]:
    """Lock these findings and return, for each, the units whose call about it arrived before it."""
    ids = sorted(set(findings))
    if not ids:
        return {}
    return {row["id"]: frozenset(row["called_by"]) for row in await tx.fetch(LOCK_FINDINGS, ids)}


async def children_with_expired_hours(tx: Tx, now: datetime) -> set[UUID]:
    """Return the children with a deadline counted in hours, or an undecided proposal, that has expired by now."""
    return {row["child"] for row in await tx.fetch(EXPIRED_HOURS, now)}


async def children_due(
    tx: Tx,
    index: int,
    midnight: datetime,
    day: date,
    resume: str | None,
    limit: int,
    published_years: Iterable[int],
) -> Sequence[UUID]:
    """Return a page of the children of a partition index for whom the day does something, in the order of their ids."""
    after = None if resume is None else UUID(resume)
    rows = await tx.fetch(CHILDREN_DUE, index, midnight, day, after, limit, list(published_years))
    return [row["child"] for row in rows]


async def lock_cases(tx: Tx, children: Iterable[UUID], partitions: int) -> dict[UUID, ChildCase]:
    """Lock these children and the files that absorbed them; return their cases, which are still empty."""
    wanted = sorted(set(children))
    if not wanted:
        return {}
    chain = await tx.fetch(MERGE_CHAIN, wanted)
    new = sorted(row["id"] for row in chain if row["new"])
    if new:
        await tx.execute(INSERT_CHILDREN, new, [partition_of(str(child), partitions) for child in new])
    ids = [row["id"] for row in chain]
    rows = await tx.fetch(LOCK_CHILDREN, ids)
    missing = {*ids, *(row["absorbed_by"] for row in rows)} - {None, *(row["id"] for row in rows)}
    if missing:  # absorbed between the two reads
        return await lock_cases(tx, {*ids, *missing}, partitions)
    return {row["id"]: ChildCase(_child(row)) for row in rows}


async def read_gaps(tx: Tx, cases: Mapping[UUID, ChildCase]) -> None:
    """Load the service gaps of these locked cases."""
    for row in await tx.fetch(GAPS, list(cases)) if cases else ():
        gap = _gap(row)
        cases[gap.child].gaps[gap.key] = gap


async def read_cases(tx: Tx, cases: Mapping[UUID, ChildCase], children: Collection[UUID]) -> None:
    """Load the referrals, proposals and ledger entries of these locked children."""
    if not children:
        return
    ids = list(children)
    for row in await tx.fetch(REFERRALS, ids):
        cases[row["child"]].referrals[row["id"]] = _referral(row)
    for row in await tx.fetch(PROPOSALS, ids):
        cases[row["child"]].proposals[row["id"]] = _proposal(row)
    for row in await tx.fetch(ENTRIES, ids):
        cases[row["child"]].entry = _entry(row)


async def read_duties(tx: Tx, cases: Mapping[UUID, ChildCase], children: Collection[UUID], today: date) -> None:
    """Load the duties of these locked children that are outstanding or of a period not over today."""
    for row in await tx.fetch(DUTIES, list(children), today) if children else ():
        cases[row["child"]].duties[row["id"]] = _duty(row)


async def save(
    tx: Tx,
    partitions: int,
    *,
    children: Iterable[Child] = (),
    referrals: Iterable[Referral] = (),
    history: Iterable[HistoryEntry] = (),
    gaps: Iterable[ServiceGap] = (),
    proposals: Iterable[Proposal] = (),
    entries: Iterable[LedgerEntry] = (),
    duties: Iterable[Duty] = (),
    calls: Sequence[tuple[UUID, PhoneCall]] = (),
    contacts: Iterable[Contact] = (),
) -> None:
    """Write what a batch has changed, with one statement for each table."""

    def partition(child: UUID) -> dict[str, int]:
        return {"partition": partition_of(str(child), partitions)}

    await _write(tx, SAVE_CHILDREN, [_columns(child) | partition(child.id) for child in children])
    await _write(
        tx,
        SAVE_REFERRALS,
        [
            _columns(referral)
            | partition(referral.child)
            | {"alarm_at": next_alarm(referral), "counts_hours": counts_hours(referral)}
            for referral in referrals
        ],
    )
    await _write(tx, SAVE_HISTORY, [_transition(entry) for entry in history])
    await _write(tx, SAVE_GAPS, [_columns(gap) for gap in gaps])
    await _write(
        tx,
        SAVE_PROPOSALS,
        [_columns(proposal) | partition(proposal.child) | {"alarm_at": proposal.alarm_at} for proposal in proposals],
    )
    await _write(tx, SAVE_ENTRIES, [_columns(entry) | partition(entry.child) for entry in entries])
    if calls:
        await tx.executemany(SAVE_CALL, [(finding, call.unit, call.at, call.station) for finding, call in calls])
    await _write(tx, SAVE_CONTACTS, [_columns(contact) for contact in contacts])
    await _write(
        tx, SAVE_DUTIES, [_columns(duty) | partition(duty.child) | {"next_on": duty.next_on} for duty in duties]
    )


async def _write(tx: Tx, statement: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(statement, orjson.dumps(rows, default=str).decode())


def _columns(value: Any) -> dict[str, Any]:
    return {column.name: getattr(value, column.name) for column in fields(value)}


def _transition(entry: HistoryEntry) -> dict[str, Any]:
    applied, referral = entry.applied, entry.applied.referral
    return {
        "referral": referral.id,
        "version": referral.version,
        "child": referral.child,
        "transition": applied.transition,
        "state": referral.state,
        "at": applied.at,
        "done_on": entry.done_on,
        "level": referral.level,
        "to_unit": referral.to_unit,
        "previous_unit": applied.previous_unit,
        "actor_unit": applied.actor.unit,
        "actor_role": applied.actor.role,
        "actor_person": applied.actor.person,
        "reason": applied.reason,
        "result": referral.result,
        "overdue": applied.overdue,
        "cause": applied.cause,
        "escalated_to": applied.escalated_to,
        "channel": entry.channel,
        "station": None if entry.call is None else entry.call.station,
        "called_at": None if entry.call is None else entry.call.at,
        "causation": entry.causation,
    }


# ---------------------------------------------------------------- rows as values


def _reader(kind: type[T], types: Mapping[str, Any]) -> Callable[[Record], T]:
    """Return a function that makes a row a value: codes become vocabulary values, arrays become tuples."""
    columns = [(column.name, types.get(column.name)) for column in fields(kind)]  # type: ignore[arg-type]

    def read_row(row: Record) -> T:
        values: dict[str, Any] = {}
        for name, vocabulary in columns:
            value = row[name]
            if isinstance(value, list):
                value = tuple(value if vocabulary is None else map(vocabulary, value))
            elif vocabulary is not None and value is not None:
                value = vocabulary(value)
            values[name] = value
        return kind(**values)

    return read_row


_child = _reader(Child, {"migrant": Answer, "statistical": Answer})
_referral = _reader(
    Referral,
    {"level": Level, "findings": FindingCode, "state": ReferralState, "return_reason": ReturnReason, "result": Result},
)
_gap = _reader(ServiceGap, {"code": FindingCode, "level": Level, "decided_level": Level})
_proposal = _reader(Proposal, {"level": Level, "findings": FindingCode, "ledger_reasons": LedgerReason})
_entry = _reader(LedgerEntry, {"reasons": LedgerReason})
_duty = _reader(Duty, {"kind": DutyKind})
