"""Every SQL statement that notify runs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from uuid import UUID

from contracts.notify import AlarmDelivered, AlarmRaised, Notice
from runtime import Record, Tx, columns
from services.notify.domain.digest import DUTY_RANK, Counts


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A notice in its inbox."""

    notice: Notice
    cause: UUID
    addressee: str
    """The unit that is meant; the inbox may be another unit's."""
    emitted_at: datetime


@dataclass(frozen=True, slots=True)
class AlarmEntry:
    """An alarm that was decided."""

    alarm: AlarmRaised
    raised_at: datetime


@dataclass(frozen=True, slots=True)
class Obligation:
    """What a unit has to do next. ``next_action`` and ``due`` mean nothing once it is closed."""

    kind: str
    id: UUID
    rank: int
    open: bool
    unit: str
    next_action: str | None
    supervisor: str | None
    """The unit that an L3 referral was escalated to. None: as before; empty: no unit any more."""
    level: str | None
    restricted: bool
    due: datetime | None
    child: UUID | None
    partition: int


# ---------------------------------------------------------------- inboxes

ADD_ENTRIES = """
    INSERT INTO inbox (notice, cause, addressee, template, unit, restricted, urgency, text, subject, child, due,
                       on_day, emitted_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
                         $8::text[], $9::uuid[], $10::uuid[], $11::timestamptz[], $12::date[], $13::timestamptz[])
        ON CONFLICT DO NOTHING
    RETURNING notice
"""


async def add_entries(tx: Tx, entries: Sequence[InboxEntry]) -> set[UUID]:
    """Add notices to their inboxes; return the ids of those that were new."""
    if not entries:
        return set()
    rows = [
        (
            notice.notice, entry.cause, entry.addressee, notice.template, notice.unit, notice.restricted,
            notice.urgency, notice.text, notice.subject, notice.child, notice.due, notice.on, entry.emitted_at,
        )
        for entry in entries
        for notice in (entry.notice,)
    ]  # fmt: skip
    return {row["notice"] for row in await tx.fetch(ADD_ENTRIES, *columns(rows))}


INBOX = """
    SELECT position, notice, template, urgency, text, subject, child, due, on_day, emitted_at
      FROM inbox
     WHERE unit = $1 AND restricted = $2 AND position > $3
     ORDER BY position
     LIMIT $4
"""


async def inbox(tx: Tx, unit: str, *, restricted: bool = False, after: int = 0, limit: int = 100) -> Sequence[Record]:
    """Return a unit's inbox after a position, oldest first."""
    return await tx.fetch(INBOX, unit, restricted, after, limit)


# ---------------------------------------------------------------- obligations

SAVE_OBLIGATIONS = """
    INSERT INTO obligation AS stored (kind, id, rank, open, unit, next_action, supervisor, level, restricted, due,
                                      child, partition)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::boolean[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::boolean[], $10::timestamptz[], $11::uuid[], $12::integer[])
     ORDER BY 1, 2
        ON CONFLICT (kind, id)
        DO UPDATE SET (rank, open, unit, next_action, supervisor, level, restricted, due, child, partition)
                    = (excluded.rank, excluded.open, excluded.unit, excluded.next_action,
                       coalesce(excluded.supervisor, stored.supervisor), excluded.level, excluded.restricted,
                       excluded.due, excluded.child, excluded.partition)
            WHERE stored.rank < excluded.rank
"""


async def save_obligations(tx: Tx, obligations: Sequence[Obligation]) -> None:
    """Save obligations; the higher rank wins. Each (kind, id) may occur once (``newest``)."""
    if obligations:
        values = [[getattr(row, field.name) for row in obligations] for field in fields(Obligation)]
        await tx.execute(SAVE_OBLIGATIONS, *values)


def newest(obligations: Sequence[Obligation]) -> list[Obligation]:
    """Return one row for each (kind, id), as saving them one after the other would leave it."""
    kept: dict[tuple[str, UUID], Obligation] = {}
    for obligation in obligations:
        earlier = kept.get((obligation.kind, obligation.id))
        if earlier is None:
            kept[(obligation.kind, obligation.id)] = obligation
        elif earlier.rank < obligation.rank:
            supervisor = earlier.supervisor if obligation.supervisor is None else obligation.supervisor
            kept[(obligation.kind, obligation.id)] = replace(obligation, supervisor=supervisor)
    return list(kept.values())


# ---------------------------------------------------------------- digests

COUNT = """
    WITH page AS (
        SELECT unit FROM (
            (SELECT DISTINCT unit FROM obligation WHERE partition = $2 AND open AND unit > $4 ORDER BY unit LIMIT $5)
            UNION
            (SELECT DISTINCT supervisor FROM obligation
              WHERE partition = $2 AND open AND supervisor <> '' AND supervisor > $4
              ORDER BY supervisor LIMIT $5)
        ) AS either
         ORDER BY unit
         LIMIT $5
    ), counted AS (
        INSERT INTO digest_count (day, partition, unit, restricted, accept, answer, check_, decide, review, overdue,
                                  contact, visit, first_visit, missed, due_soon, monthly, monthly_overdue, escalated,
                                  next_due)
        SELECT $1, $2, unit, restricted,
               count(*) FILTER (WHERE next_action = 'accept' AND NOT monthly),
               count(*) FILTER (WHERE next_action = 'answer' AND NOT monthly),
               count(*) FILTER (WHERE next_action = 'check' AND NOT monthly),
               count(*) FILTER (WHERE next_action = 'decide'),
               count(*) FILTER (WHERE next_action = 'review'),
               count(*) FILTER (WHERE late AND NOT monthly),
               count(DISTINCT child) FILTER (WHERE next_action = 'contact'),
               count(DISTINCT child) FILTER (WHERE next_action = 'visit'),
               count(DISTINCT child) FILTER (WHERE next_action = 'first_visit'),
               count(DISTINCT (next_action, child)) FILTER (WHERE missed),
               count(*) FILTER (WHERE due_soon),
               count(*) FILTER (WHERE monthly),
               count(*) FILTER (WHERE monthly AND late),
               count(*) FILTER (WHERE next_action = 'supervise'),
               min(due) FILTER (WHERE due >= $3 AND NOT monthly)
          FROM (SELECT unit, restricted, next_action, due, child,
                       kind = 'duty' AND rank = $6 AS due_soon,
                       kind = 'duty' AND rank = $7 AS missed,
                       kind = 'referral' AND level = 'L3' AS monthly,
                       kind <> 'duty' AND due IS NOT NULL AND due < $3 AS late
                  FROM obligation
                 WHERE partition = $2 AND open AND unit IN (SELECT unit FROM page)
                 UNION ALL
                SELECT supervisor, restricted, 'supervise', NULL, NULL, false, false, false, false
                  FROM obligation
                 WHERE partition = $2 AND open AND supervisor IN (SELECT unit FROM page)) AS open_obligation
         GROUP BY unit, restricted
            ON CONFLICT DO NOTHING
    )
    SELECT max(unit) AS last, count(*) AS units FROM page
"""


async def count_obligations(
    tx: Tx, day: date, partition: int, midnight: datetime, after: str, limit: int
) -> str | None:
    """Count one partition's open obligations, ``limit`` units at a time, after the unit ``after``.

    What was due before ``midnight`` is late.

    Returns:
        The last unit of this page; None after the last page.
    """
    ranks = DUTY_RANK["reminded"], DUTY_RANK["missed"]
    row = await tx.fetchrow(COUNT, day, partition, midnight, after, limit, *ranks)
    assert row is not None
    return str(row["last"]) if row["units"] == limit else None


ADD_DAY = "INSERT INTO digest_day (day) VALUES ($1) ON CONFLICT DO NOTHING"
LOCK_DAY = "SELECT day FROM digest_day WHERE day = $1 FOR UPDATE"
ADD_PARTITION = "INSERT INTO digest_partition (day, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING"
COUNT_PARTITIONS = "SELECT count(*) FROM digest_partition WHERE day = $1"


async def mark_partition_counted(tx: Tx, day: date, partition: int) -> int:
    """Record that one partition has counted; return how many have.

    Partitions that finish at the same time wait for each other here, so that exactly one of them is the last.
    """
    await tx.execute(ADD_DAY, day)
    await tx.execute(LOCK_DAY, day)
    await tx.execute(ADD_PARTITION, day, partition)
    return int(await tx.fetchval(COUNT_PARTITIONS, day))


COUNTY_COUNTS = """
    SELECT unit, restricted, sum(accept) AS accept, sum(answer) AS answer, sum(check_) AS "check",
           sum(decide) AS decide, sum(review) AS review, sum(overdue) AS overdue, sum(contact) AS contact,
           sum(visit) AS visit, sum(first_visit) AS first_visit, sum(missed) AS missed,
           sum(due_soon) AS due_soon, sum(monthly) AS monthly, sum(monthly_overdue) AS monthly_overdue,
           sum(escalated) AS escalated, min(next_due) AS next_due
      FROM digest_count
     WHERE day = $1 AND unit IN (SELECT DISTINCT unit FROM digest_count WHERE day = $1 AND unit > $2
                                  ORDER BY unit LIMIT $3)
     GROUP BY unit, restricted
     ORDER BY unit, restricted
"""


async def county_counts(tx: Tx, day: date, after: str, limit: int) -> list[tuple[str, bool, Counts]]:
    """Return the county's (unit, restricted, counts) of a day, ``limit`` units at a time."""
    names = [field.name for field in fields(Counts) if field.name != "next_due"]
    return [
        (row["unit"], row["restricted"], Counts(**{name: int(row[name]) for name in names}, next_due=row["next_due"]))
        for row in await tx.fetch(COUNTY_COUNTS, day, after, limit)
    ]


DELETE_COUNTS = "DELETE FROM digest_count WHERE day <= $1"


async def delete_partial_counts(tx: Tx, day: date) -> None:
    """Delete the counts of a day whose digests were emitted."""
    await tx.execute(DELETE_COUNTS, day)


# ---------------------------------------------------------------- alarms

ADD_ALARMS = """
    INSERT INTO alarm (alarm, unit, trigger, subject, text, on_day, raised_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::date[], $7::timestamptz[])
     ORDER BY 1
        ON CONFLICT DO NOTHING
    RETURNING alarm
"""


async def add_alarms(tx: Tx, alarms: Sequence[AlarmEntry]) -> set[UUID]:
    """Record alarms; return the ids of those that were new."""
    if not alarms:
        return set()
    rows = [
        (alarm.alarm, alarm.unit, alarm.trigger, alarm.subject, alarm.text, alarm.on, entry.raised_at)
        for entry in alarms
        for alarm in (entry.alarm,)
    ]
    return {row["alarm"] for row in await tx.fetch(ADD_ALARMS, *columns(rows))}


DELIVERED = "SELECT alarm FROM alarm_delivery WHERE alarm = ANY($1::uuid[]) AND channel = $2"


async def delivered_alarms(tx: Tx, alarms: Sequence[UUID], channel: str) -> set[UUID]:
    """Return those of ``alarms`` whose delivery over this channel has ended, well or badly."""
    return {row["alarm"] for row in await tx.fetch(DELIVERED, list(alarms), channel)}


ADD_DELIVERY = """
    INSERT INTO alarm_delivery (alarm, channel, outcome, detail) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


async def add_delivery(tx: Tx, delivery: AlarmDelivered) -> None:
    """Record the outcome of a delivery."""
    await tx.execute(ADD_DELIVERY, delivery.alarm, delivery.channel, delivery.outcome, delivery.detail)


KEEP_ALIVE = "SELECT 1"


async def keep_alive(tx: Tx) -> None:
    """Keep PostgreSQL from ending the transaction as idle."""
    await tx.execute(KEEP_ALIVE)
