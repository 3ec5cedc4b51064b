"""Every SQL statement referral runs."""

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
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Gap
from services.referral.domain.ledger import Ledger
from services.referral.domain.matters import Child, Matters
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import Moved, Referral, next_alarm, ticks

T = TypeVar("T")

# ---------------------------------------------------------------- whose rows

FAMILY = """
    with recursive met (id) as (
        select unnest($1::uuid[])
        union
        select child.absorbed_by from met join child on child.id = met.id where child.absorbed_by is not null
    )
    select met.id, child.id is null as new from met left join child on child.id = met.id
"""
"""These children, and the files they were absorbed by; and which of them nobody has heard of yet."""

CHILDREN_OF_REFERRALS = "select distinct child from referral where id = any($1::uuid[])"
CHILDREN_OF_PROPOSALS = "select distinct child from proposal where id = any($1::uuid[])"
CHILDREN_OF_FINDINGS = "select distinct child from referral where sources && $1::uuid[]"

NEW_CHILDREN = """
    insert into child (id, partition, version, assessment, person_grounds, turn)
    select id, partition, -1, -1, false, false from unnest($1::uuid[], $2::int[]) as new (id, partition)
    order by id
    on conflict (id) do nothing
"""

LOCK_CHILDREN = """
    select id, version, assessment, township, migrant, statistical, absorbed_by, person_grounds, turn
    from child where id = any($1::uuid[]) order by id for update
"""
"""A child's row is the lock on all its matters: always taken in the order of ids."""

REFERRALS = "select * from referral where child = any($1::uuid[])"
GAPS = "select * from gap where child = any($1::uuid[])"
PROPOSALS = "select * from proposal where child = any($1::uuid[])"
LEDGERS = "select * from ledger where child = any($1::uuid[])"
DUTIES = """
    select * from duty where child = any($1::uuid[]) and (state in ('created', 'missed') or due_on >= $2)
"""
"""What is outstanding, and what was done in a period that is not over."""

MEET_FINDINGS = """
    insert into finding as met (id)
    select id from unnest($1::uuid[]) as new (id) order by id
    on conflict (id) do update set id = excluded.id
    returning met.id, met.called_by
"""

CALLED = """
    update finding set called_by = array_append(called_by, $2), called_at = $3, station = $4 where id = $1
"""

# ---------------------------------------------------------------- whom time concerns

ALARMED = """
    select child from referral where ticks and alarm_at <= $1
    union
    select child from proposal where alarm_at <= $1
"""

CONCERNED = """
    select child from (
        select id as child from child where turn and partition = $1
        union
        select child from referral where partition = $1 and alarm_at <= $2
        union
        select child from referral where partition = $1 and tombstones_from <= $3
        union
        select child from referral where partition = $1 and provisional
            and extract(year from coalesce(result_by, accept_by) at time zone 'UTC') = any($6::int[])
        union
        select child from proposal where partition = $1 and alarm_at <= $2
        union
        select child from ledger where partition = $1 and open and contact_from <= $3
        union
        select child from ledger where partition = $1 and open and visit_from <= $3
        union
        select child from duty where partition = $1 and next_on <= $3
        union
        select child from duty where partition = $1 and provisional and state = 'created'
            and extract(year from due_on) = any($6::int[])
    ) as concerned
    where $4::uuid is null or child > $4
    order by child
    limit $5
"""
"""One page of the children that this day has something for.

The county's midnight is four in the afternoon in Greenwich: there, a deadline lies in the year of the day it ends.
"""

# ---------------------------------------------------------------- what is written

SAVE_CHILDREN = """
    insert into child select * from jsonb_populate_recordset(null::child, $1)
    on conflict (id) do update set
        version = excluded.version, assessment = excluded.assessment, township = excluded.township,
        migrant = excluded.migrant, statistical = excluded.statistical, absorbed_by = excluded.absorbed_by,
        person_grounds = excluded.person_grounds, turn = excluded.turn
"""

SAVE_REFERRALS = """
    insert into referral select * from jsonb_populate_recordset(null::referral, $1)
    on conflict (id) do update set
        child = excluded.child, partition = excluded.partition, owners = excluded.owners, level = excluded.level,
        findings = excluded.findings, sources = excluded.sources, reporters = excluded.reporters,
        shared = excluded.shared, by_person = excluded.by_person, from_unit = excluded.from_unit,
        to_unit = excluded.to_unit, sent_at = excluded.sent_at, state = excluded.state, version = excluded.version,
        accept_by = excluded.accept_by, accept_alarm_at = excluded.accept_alarm_at, result_by = excluded.result_by,
        phone_by = excluded.phone_by, counted_from = excluded.counted_from, provisional = excluded.provisional,
        ran_out = excluded.ran_out, returns = excluded.returns, return_reason = excluded.return_reason,
        right_unit = excluded.right_unit, extended = excluded.extended, extended_days = excluded.extended_days,
        phone_reported = excluded.phone_reported, reporter_informed = excluded.reporter_informed,
        result = excluded.result, escalated_to = excluded.escalated_to, closed_at = excluded.closed_at,
        on_queue = excluded.on_queue, tombstones_from = excluded.tombstones_from, alarm_at = excluded.alarm_at,
        ticks = excluded.ticks
"""

SAVE_MOVES = "insert into referral_move select * from jsonb_populate_recordset(null::referral_move, $1)"

SAVE_GAPS = """
    insert into gap select * from jsonb_populate_recordset(null::gap, $1)
    on conflict (child, route, code) do update set
        level = excluded.level, item = excluded.item, needs_confirming = excluded.needs_confirming,
        shown = excluded.shown, over = excluded.over, turn = excluded.turn, episode = excluded.episode,
        story = excluded.story, proposals = excluded.proposals, proposal = excluded.proposal,
        settled_level = excluded.settled_level, referral = excluded.referral
"""

SAVE_PROPOSALS = """
    insert into proposal select * from jsonb_populate_recordset(null::proposal, $1)
    on conflict (id) do update set
        child = excluded.child, partition = excluded.partition, state = excluded.state, alarm_at = excluded.alarm_at
"""

SAVE_LEDGERS = """
    insert into ledger select * from jsonb_populate_recordset(null::ledger, $1)
    on conflict (child) do update set
        open = excluded.open, reasons = excluded.reasons, unit = excluded.unit, township = excluded.township,
        entry = excluded.entry, opened_on = excluded.opened_on, changed_on = excluded.changed_on,
        last_contact_on = excluded.last_contact_on, last_visit_on = excluded.last_visit_on,
        closed_on = excluded.closed_on, contact_from = excluded.contact_from, visit_from = excluded.visit_from
"""

SAVE_DUTIES = """
    insert into duty select * from jsonb_populate_recordset(null::duty, $1)
    on conflict (id) do update set
        child = excluded.child, partition = excluded.partition, due_on = excluded.due_on,
        provisional = excluded.provisional, reminders = excluded.reminders, state = excluded.state,
        next_on = excluded.next_on
"""

SAVE_ACTS = """
    insert into act select * from jsonb_populate_recordset(null::act, $1) on conflict (unit, ce_id) do nothing
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to a police station or a line: which, and when."""

    unit: str
    """Whose people called."""
    station: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a referral's history."""

    moved: Moved
    done_on: date
    channel: str | None
    call: Call | None
    cause: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
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
    """The children that these referrals and proposals, and the referrals of these findings, hang on."""
    found: set[UUID] = set()
    for query, ids in (
        (CHILDREN_OF_REFERRALS, referrals),
        (CHILDREN_OF_PROPOSALS, proposals),
        (CHILDREN_OF_FINDINGS, findings),
    ):
        if ids:
            found |= {row["child"] for row in await tx.fetch(query, list(ids))}
    return found


async def meet_findings(tx: Tx, findings: Iterable[UUID]) -> dict[UUID, frozenset[str]]:
    """Lock these findings, and say for which a call was recorded already, by which units."""
    wanted = sorted(set(findings))
    if not wanted:
        return {}
    return {row["id"]: frozenset(row["called_by"]) for row in await tx.fetch(MEET_FINDINGS, wanted)}


async def alarmed(tx: Tx, now: datetime) -> set[UUID]:
    """Children with a clock in hours, or a proposal, that has run out by now."""
    return {row["child"] for row in await tx.fetch(ALARMED, now)}


async def concerned(
    tx: Tx,
    index: int,
    midnight: datetime,
    day: date,
    resume: str | None,
    limit: int,
    published_years: Iterable[int],
) -> Sequence[UUID]:
    """A page of the children of this index for whom the day has something to do, in the order of their ids."""
    after = None if resume is None else UUID(resume)
    rows = await tx.fetch(CONCERNED, index, midnight, day, after, limit, list(published_years))
    return [row["child"] for row in rows]


async def lock(tx: Tx, children: Iterable[UUID], partitions: int) -> dict[UUID, Matters]:
    """Lock these children and the files that absorbed them."""
    wanted = sorted(set(children))
    if not wanted:
        return {}
    family = await tx.fetch(FAMILY, wanted)
    new = sorted(row["id"] for row in family if row["new"])
    if new:
        await tx.execute(NEW_CHILDREN, new, [partition_of(str(child), partitions) for child in new])
    ids = [row["id"] for row in family]
    rows = await tx.fetch(LOCK_CHILDREN, ids)
    missing = {*ids, *(row["absorbed_by"] for row in rows)} - {None, *(row["id"] for row in rows)}
    if missing:  # absorbed between the two reads
        return await lock(tx, {*ids, *missing}, partitions)
    return {row["id"]: Matters(_child(row)) for row in rows}


async def read_gaps(tx: Tx, found: Mapping[UUID, Matters]) -> None:
    """Read what the facts of these children show, who are locked."""
    for row in await tx.fetch(GAPS, list(found)) if found else ():
        gap = _gap(row)
        found[gap.child].gaps[gap.key] = gap


async def read_cases(tx: Tx, found: Mapping[UUID, Matters], children: Collection[UUID]) -> None:
    """Read the referrals, proposals and ledger entries of these children, who are locked."""
    if not children:
        return
    ids = list(children)
    for row in await tx.fetch(REFERRALS, ids):
        found[row["child"]].referrals[row["id"]] = _referral(row)
    for row in await tx.fetch(PROPOSALS, ids):
        found[row["child"]].proposals[row["id"]] = _proposal(row)
    for row in await tx.fetch(LEDGERS, ids):
        found[row["child"]].ledger = _ledger(row)


async def read_duties(tx: Tx, found: Mapping[UUID, Matters], children: Collection[UUID], today: date) -> None:
    """Read the duties of these children: what is outstanding, and what was fulfilled in a period not over today."""
    for row in await tx.fetch(DUTIES, list(children), today) if children else ():
        found[row["child"]].duties[row["id"]] = _duty(row)


async def save(
    tx: Tx,
    partitions: int,
    *,
    children: Iterable[Child] = (),
    referrals: Iterable[Referral] = (),
    moves: Iterable[Written] = (),
    gaps: Iterable[Gap] = (),
    proposals: Iterable[Proposal] = (),
    ledgers: Iterable[Ledger] = (),
    duties: Iterable[Duty] = (),
    calls: Sequence[tuple[UUID, Call]] = (),
    acts: Iterable[Act] = (),
) -> None:
    """Write what a batch has changed: one statement for each table."""

    def lane(child: UUID) -> dict[str, int]:
        return {"partition": partition_of(str(child), partitions)}

    await _write(tx, SAVE_CHILDREN, [_columns(child) | lane(child.id) for child in children])
    await _write(
        tx,
        SAVE_REFERRALS,
        [
            _columns(referral) | lane(referral.child) | {"alarm_at": next_alarm(referral), "ticks": ticks(referral)}
            for referral in referrals
        ],
    )
    await _write(tx, SAVE_MOVES, [_history(written) for written in moves])
    await _write(tx, SAVE_GAPS, [_columns(gap) for gap in gaps])
    await _write(
        tx,
        SAVE_PROPOSALS,
        [_columns(proposal) | lane(proposal.child) | {"alarm_at": proposal.alarm_at} for proposal in proposals],
    )
    await _write(tx, SAVE_LEDGERS, [_columns(ledger) | lane(ledger.child) for ledger in ledgers])
    if calls:
        await tx.executemany(CALLED, [(found, call.unit, call.at, call.station) for found, call in calls])
    await _write(tx, SAVE_ACTS, [_columns(act) for act in acts])
    await _write(tx, SAVE_DUTIES, [_columns(duty) | lane(duty.child) | {"next_on": duty.next_on} for duty in duties])


async def _write(tx: Tx, statement: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(statement, orjson.dumps(rows, default=str).decode())


def _columns(value: Any) -> dict[str, Any]:
    return {column.name: getattr(value, column.name) for column in fields(value)}


def _history(written: Written) -> dict[str, Any]:
    moved, referral = written.moved, written.moved.referral
    return {
        "referral": referral.id,
        "version": referral.version,
        "child": referral.child,
        "move": moved.move,
        "state": referral.state,
        "at": moved.at,
        "done_on": written.done_on,
        "level": referral.level,
        "to_unit": referral.to_unit,
        "previous_unit": moved.previous_unit,
        "actor_unit": moved.actor.unit,
        "actor_role": moved.actor.role,
        "actor_person": moved.actor.person,
        "reason": moved.reason,
        "result": referral.result,
        "overdue": moved.overdue,
        "because": moved.because,
        "escalated_to": moved.escalated_to,
        "channel": written.channel,
        "station": None if written.call is None else written.call.station,
        "called_at": None if written.call is None else written.call.at,
        "cause": written.cause,
    }


# ---------------------------------------------------------------- rows as values


def _reader(kind: type[T], words: Mapping[str, Any]) -> Callable[[Record], T]:
    """Makes rows into values: codes become the vocabulary's words, arrays tuples."""
    columns = [(column.name, words.get(column.name)) for column in fields(kind)]  # type: ignore[arg-type]

    def read_row(row: Record) -> T:
        values: dict[str, Any] = {}
        for name, word in columns:
            value = row[name]
            if isinstance(value, list):
                value = tuple(value if word is None else map(word, value))
            elif word is not None and value is not None:
                value = word(value)
            values[name] = value
        return kind(**values)

    return read_row


_child = _reader(Child, {"migrant": Answer, "statistical": Answer})
_referral = _reader(
    Referral,
    {"level": Level, "findings": FindingCode, "state": ReferralState, "return_reason": ReturnReason, "result": Result},
)
_gap = _reader(Gap, {"code": FindingCode, "level": Level, "settled_level": Level})
_proposal = _reader(Proposal, {"level": Level, "findings": FindingCode, "ledger_reasons": LedgerReason})
_ledger = _reader(Ledger, {"reasons": LedgerReason})
_duty = _reader(Duty, {"kind": DutyKind})
