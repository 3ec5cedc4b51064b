"""Every SQL statement notify runs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from runtime import Record, Tx
from services.notify.domain.digest import Counts
from services.notify.domain.telling import DUTY_RANK

Urgency = Literal["call", "urgent", "normal", "digest"]
What = Literal["l0", "escalated", "no_recipient"]


@dataclass(frozen=True, slots=True)
class Told:
    """A line on its way into an inbox."""

    notice: UUID
    cause: UUID
    meant_for: str
    template: str
    unit: str
    restricted: bool
    urgency: Urgency
    text: str
    about: UUID | None
    child: UUID | None
    due: datetime | None
    on: date
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Matter:
    """What is open with whom. ``turn`` and ``due`` mean nothing once it is closed."""

    kind: str
    id: UUID
    rank: int
    open: bool
    unit: str
    turn: str | None
    watcher: str | None
    """Who sees to it that it is done. None: as before; empty: nobody any more."""
    level: str | None
    restricted: bool
    due: datetime | None
    child: UUID | None
    partition: int


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm that was decided."""

    alarm: UUID
    unit: str
    what: What
    about: UUID | None
    text: str
    on: date
    raised_at: datetime


KEEP_LINES = """
    insert into inbox (notice, cause, meant_for, template, unit, restricted, urgency, text, about, child, due,
                       on_day, said_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
                         $8::text[], $9::uuid[], $10::uuid[], $11::timestamptz[], $12::date[], $13::timestamptz[])
        on conflict do nothing
    returning notice
"""


async def keep_lines(tx: Tx, told: Sequence[Told]) -> set[UUID]:
    """Put lines into their inboxes; the notices that were not there yet."""
    if not told:
        return set()
    return {row["notice"] for row in await tx.fetch(KEEP_LINES, *_columns(told))}


KEEP_MATTERS = """
    insert into matter as known (kind, id, rank, open, unit, turn, watcher, level, restricted, due, child, partition)
    select * from unnest($1::text[], $2::uuid[], $3::integer[], $4::boolean[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::boolean[], $10::timestamptz[], $11::uuid[], $12::integer[])
     order by 1, 2
        on conflict (kind, id)
        do update set (rank, open, unit, turn, watcher, level, restricted, due, child, partition)
                    = (excluded.rank, excluded.open, excluded.unit, excluded.turn,
                       coalesce(excluded.watcher, known.watcher), excluded.level, excluded.restricted, excluded.due,
                       excluded.child, excluded.partition)
            where known.rank < excluded.rank
"""


async def keep_matters(tx: Tx, matters: Sequence[Matter]) -> None:
    """Save where matters stand. The higher rank wins; each (kind, id) may stand in ``matters`` once."""
    if matters:
        await tx.execute(KEEP_MATTERS, *_columns(matters))


RAISE = """
    insert into alarm (alarm, unit, what, about, text, on_day, raised_at)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::date[], $7::timestamptz[])
     order by 1
        on conflict do nothing
    returning alarm
"""


async def raise_alarms(tx: Tx, alarms: Sequence[Raised]) -> set[UUID]:
    """Remember alarms; those that had not been raised yet."""
    if not alarms:
        return set()
    return {row["alarm"] for row in await tx.fetch(RAISE, *_columns(alarms))}


COUNT = """
    with page as (
        select unit from (
            (select distinct unit from matter where partition = $2 and open and unit > $4 order by unit limit $5)
            union
            (select distinct watcher from matter where partition = $2 and open and watcher <> '' and watcher > $4
              order by watcher limit $5)
        ) as either
         order by unit
         limit $5
    ), counted as (
        insert into digest_part (day, partition, unit, restricted, accept, answer, check_, decide, question, overdue,
                                 contact, visit, first_visit, missed, soon, bundle, bundle_overdue, watched,
                                 soonest)
        select $1, $2, unit, restricted,
               count(*) filter (where turn = 'accept' and not bundled),
               count(*) filter (where turn = 'answer' and not bundled),
               count(*) filter (where turn = 'check' and not bundled),
               count(*) filter (where turn = 'decide'),
               count(*) filter (where turn = 'question'),
               count(*) filter (where late and not bundled),
               count(distinct child) filter (where turn = 'contact'),
               count(distinct child) filter (where turn = 'visit'),
               count(distinct child) filter (where turn = 'first_visit'),
               count(distinct (turn, child)) filter (where missed),
               count(*) filter (where soon),
               count(*) filter (where bundled),
               count(*) filter (where bundled and late),
               count(*) filter (where turn = 'watch'),
               min(due) filter (where due >= $3 and not bundled)
          from (select unit, restricted, turn, due, child,
                       kind = 'duty' and rank = $6 as soon,
                       kind = 'duty' and rank = $7 as missed,
                       kind = 'referral' and level = 'L3' as bundled,
                       kind <> 'duty' and due is not null and due < $3 as late
                  from matter
                 where partition = $2 and open and unit in (select unit from page)
                 union all
                select watcher, restricted, 'watch', null, null, false, false, false, false
                  from matter
                 where partition = $2 and open and watcher in (select unit from page)) as open_matter
         group by unit, restricted
            on conflict do nothing
    )
    select max(unit) as last, count(*) as units from page
"""


async def count_matters(tx: Tx, day: date, partition: int, midnight: datetime, after: str, limit: int) -> str | None:
    """Count what one lane's children leave open, unit by unit; the last unit of the page, None after the last page."""
    ranks = DUTY_RANK["reminded"], DUTY_RANK["missed"]
    row = await tx.fetchrow(COUNT, day, partition, midnight, after, limit, *ranks)
    assert row is not None
    return str(row["last"]) if row["units"] == limit else None


ENTER_DAY = "insert into digest_day (day) values ($1) on conflict do nothing"
LOCK_DAY = "select day from digest_day where day = $1 for update"
LANE_DONE = "insert into digest_lane (day, partition) values ($1, $2) on conflict do nothing"
LANES_DONE = "select count(*) from digest_lane where day = $1"


async def lane_counted(tx: Tx, day: date, partition: int) -> int:
    """Note that one lane has counted; how many have. Lanes that finish at the same time see one another."""
    await tx.execute(ENTER_DAY, day)
    await tx.execute(LOCK_DAY, day)
    await tx.execute(LANE_DONE, day, partition)
    return int(await tx.fetchval(LANES_DONE, day))


SUMS = """
    select unit, restricted, sum(accept) as accept, sum(answer) as answer, sum(check_) as "check",
           sum(decide) as decide, sum(question) as question, sum(overdue) as overdue, sum(contact) as contact,
           sum(visit) as visit, sum(first_visit) as first_visit, sum(missed) as missed,
           sum(soon) as soon, sum(bundle) as bundle, sum(bundle_overdue) as bundle_overdue, sum(watched) as watched,
           min(soonest) as soonest
      from digest_part
     where day = $1 and unit in (select distinct unit from digest_part where day = $1 and unit > $2
                                  order by unit limit $3)
     group by unit, restricted
     order by unit, restricted
"""


async def sums(tx: Tx, day: date, after: str, limit: int) -> list[tuple[str, bool, Counts]]:
    """The whole county's numbers of a day, ``limit`` units at a time."""
    names = [field.name for field in fields(Counts) if field.name != "soonest"]
    return [
        (row["unit"], row["restricted"], Counts(**{name: int(row[name]) for name in names}, soonest=row["soonest"]))
        for row in await tx.fetch(SUMS, day, after, limit)
    ]


FORGET_PARTS = "delete from digest_part where day <= $1"


async def forget_parts(tx: Tx, day: date) -> None:
    """The day's digests are said: their parts are of no more use."""
    await tx.execute(FORGET_PARTS, day)


RUNG = "select alarm from ringing where alarm = any($1::uuid[]) and way = $2"


async def rung(tx: Tx, alarms: Sequence[UUID], way: str) -> set[UUID]:
    """For which of these alarms this way has been tried to the end."""
    return {row["alarm"] for row in await tx.fetch(RUNG, list(alarms), way)}


RING = "insert into ringing (alarm, way, outcome, detail) values ($1, $2, $3, $4) on conflict do nothing"


async def keep_ringing(tx: Tx, alarm: UUID, way: str, outcome: str, detail: str) -> None:
    await tx.execute(RING, alarm, way, outcome, detail)


STILL_HERE = "select 1"


async def still_here(tx: Tx) -> None:
    """Keep the transaction from being taken for a frozen one."""
    await tx.execute(STILL_HERE)


INBOX = """
    select position, notice, template, urgency, text, about, child, due, on_day, said_at
      from inbox
     where unit = $1 and restricted = $2 and position > $3
     order by position
     limit $4
"""


async def inbox(tx: Tx, unit: str, *, restricted: bool = False, after: int = 0, limit: int = 100) -> Sequence[Record]:
    """A unit's inbox, oldest first, from a position on (``hutong inbox``)."""
    return await tx.fetch(INBOX, unit, restricted, after, limit)


def _columns(rows: Sequence[Told] | Sequence[Matter] | Sequence[Raised]) -> list[list[object]]:
    return [[getattr(row, field.name) for row in rows] for field in fields(rows[0])]


def newest(matters: Sequence[Matter]) -> list[Matter]:
    """One row a matter, as saving them one after the other would leave it."""
    found: dict[tuple[str, UUID], Matter] = {}
    for matter in matters:
        known = found.get((matter.kind, matter.id))
        if known is None:
            found[(matter.kind, matter.id)] = matter
        elif known.rank < matter.rank:
            watcher = known.watcher if matter.watcher is None else matter.watcher
            found[(matter.kind, matter.id)] = replace(matter, watcher=watcher)
    return list(found.values())
