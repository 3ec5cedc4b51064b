"""Every SQL statement intake runs."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from runtime import Tx
from services.intake.domain.submission import TOPIC_RETENTION_DAYS, Submission

_COLUMNS = (
    "submission, dataset, period, coverage, state, outcome, columns, date_1904, announced, file_sha256, "
    "county_version, valid_on, began_on, late, attempt, pass, read, accepted, accepted_with_drops, refused, unchanged"
)

SUBMISSIONS = f"SELECT {_COLUMNS} FROM submission WHERE unit = $1 AND submission = ANY($2)"  # noqa: S608

SAVE_SUBMISSION = f"""
    INSERT INTO submission (unit, {_COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
        ON CONFLICT (unit, submission)
        DO UPDATE SET dataset = excluded.dataset,
                      period = excluded.period,
                      coverage = excluded.coverage,
                      state = excluded.state,
                      outcome = excluded.outcome,
                      columns = excluded.columns,
                      date_1904 = excluded.date_1904,
                      announced = excluded.announced,
                      file_sha256 = excluded.file_sha256,
                      county_version = excluded.county_version,
                      valid_on = excluded.valid_on,
                      began_on = excluded.began_on,
                      late = excluded.late,
                      attempt = excluded.attempt,
                      pass = excluded.pass,
                      read = excluded.read,
                      accepted = excluded.accepted,
                      accepted_with_drops = excluded.accepted_with_drops,
                      refused = excluded.refused,
                      unchanged = excluded.unchanged
"""  # noqa: S608

TAKEN_BEFORE = """
    SELECT EXISTS (
        SELECT FROM submission
         WHERE unit = $1 AND dataset = $2 AND file_sha256 = $3 AND county_version = $4 AND coverage = $5
           AND state <> 'open' AND outcome = 'taken' AND read = announced
    )
"""

OVERTAKE = """
    UPDATE submission SET outcome = 'older_period'
     WHERE unit = $1 AND dataset = $2 AND period < $3 AND state = 'open' AND outcome = 'taken'
"""

NEWEST_PERIOD = "SELECT period FROM dataset_state WHERE unit = $1 AND dataset = $2"

KEPT = "SELECT record, content, raw FROM record WHERE record = ANY($1)"

MET = """
    SELECT seen.pass, seen.record, seen.number, seen.content
      FROM unnest($1::uuid[], $2::uuid[]) AS wanted (pass, record)
      JOIN seen ON seen.pass = wanted.pass AND seen.record = wanted.record
"""

SAVE_MET = """
    INSERT INTO seen (pass, record, number, content)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bytea[])
"""

SAVE_RECORDS = """
    INSERT INTO record (record, birth_date, content, raw)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[])
        ON CONFLICT (record)
        DO UPDATE SET birth_date = excluded.birth_date,
                      content = excluded.content,
                      raw = excluded.raw
"""

FULL_PASS = "SELECT full_pass FROM dataset_state WHERE unit = $1 AND dataset = $2"  # noqa: S105

FORGET_DISAPPEARED = """
    DELETE FROM record
     USING seen AS before
     WHERE before.pass = $1
       AND before.record = record.record
       AND NOT EXISTS (SELECT FROM seen AS now WHERE now.pass = $2 AND now.record = before.record)
    RETURNING record.record, record.birth_date
"""

FORGET_PASS = "DELETE FROM seen WHERE pass = $1"  # noqa: S105

SAVE_DATASET = """
    INSERT INTO dataset_state AS known (unit, dataset, period, full_pass)
    VALUES ($1, $2, $3, $4)
        ON CONFLICT (unit, dataset)
        DO UPDATE SET period = greatest(excluded.period, known.period),
                      full_pass = coalesce(excluded.full_pass, known.full_pass)
"""

FORGET_UNFINISHED = """
    WITH unfinished AS (
        DELETE FROM submission
         WHERE unit = $1 AND dataset = $2 AND state = 'open' AND began_on < $3
        RETURNING pass
    )
    DELETE FROM seen USING unfinished WHERE seen.pass = unfinished.pass
"""

TAKEN_ACTIONS = "SELECT ce_id, finding FROM action_taken WHERE unit = $1 AND ce_id = ANY($2)"

SAVE_ACTIONS = """
    INSERT INTO action_taken (unit, ce_id, finding)
    SELECT $1, * FROM unnest($2::uuid[], $3::uuid[])
"""


class StoredRecord(NamedTuple):
    """Of a row that was said onward."""

    content_hash: bytes
    """Keyed hash of what was understood."""
    raw_hash: bytes | None
    """Keyed hash of the cells that were understood so, if nothing was wrong with them."""


SeenRow = tuple[int | None, bytes | None]
"""The number of a row that a pass has met, and its content; None when it named nobody."""


async def load_submissions(tx: Tx, unit: str, wanted: Collection[UUID]) -> dict[UUID, Submission]:
    """The files of a unit with these ids, as they stand."""
    if not wanted:
        return {}
    return {
        row["submission"]: Submission(
            id=row["submission"],
            dataset=row["dataset"],
            period=row["period"],
            coverage=row["coverage"],
            state=row["state"],
            outcome=row["outcome"],
            columns=tuple(row["columns"]),
            date_1904=row["date_1904"],
            announced=row["announced"],
            file_sha256=row["file_sha256"],
            county_version=row["county_version"],
            valid_on=row["valid_on"],
            began_on=row["began_on"],
            late=row["late"],
            attempt_number=row["attempt"],
            attempt_id=row["pass"],
            read=row["read"],
            accepted=row["accepted"],
            accepted_with_drops=row["accepted_with_drops"],
            refused=row["refused"],
            unchanged=row["unchanged"],
            changed=False,
        )
        for row in await tx.fetch(SUBMISSIONS, unit, list(wanted))
    }


async def save_submissions(tx: Tx, unit: str, changed: Collection[Submission]) -> None:
    if not changed:
        return
    await tx.executemany(
        SAVE_SUBMISSION,
        [
            (
                unit,
                one.id,
                one.dataset,
                one.period,
                one.coverage,
                one.state,
                one.outcome,
                list(one.columns),
                one.date_1904,
                one.announced,
                one.file_sha256,
                one.county_version,
                one.valid_on,
                one.began_on,
                one.late,
                one.attempt_number,
                one.attempt_id,
                one.read,
                one.accepted,
                one.accepted_with_drops,
                one.refused,
                one.unchanged,
            )
            for one in changed
        ],
    )


async def was_accepted_before(
    tx: Tx, unit: str, dataset: str, file_sha256: str, county_version: str, coverage: str
) -> bool:
    """True when a file with these very bytes was taken whole, and would mean the same today."""
    return bool(await tx.fetchval(TAKEN_BEFORE, unit, dataset, file_sha256, county_version, coverage))


async def supersede_open_files(tx: Tx, unit: str, dataset: str, period: str) -> None:
    """A file of this period was taken: those of older ones that are still coming change nothing any more."""
    await tx.execute(OVERTAKE, unit, dataset, period)


async def load_newest_period(tx: Tx, unit: str, dataset: str) -> str | None:
    """The newest period of which a file was taken."""
    found: str | None = await tx.fetchval(NEWEST_PERIOD, unit, dataset)
    return found


async def load_records(tx: Tx, records: Collection[UUID]) -> dict[UUID, StoredRecord]:
    """What is kept of each of these rows; nothing for those that were never said onward, or have disappeared."""
    if not records:
        return {}
    return {row["record"]: StoredRecord(row["content"], row["raw"]) for row in await tx.fetch(KEPT, list(records))}


async def load_seen_rows(tx: Tx, wanted: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], SeenRow]:
    """Those of the (pass, record) pairs that were met before."""
    if not wanted:
        return {}
    rows = await tx.fetch(MET, [pass_id for pass_id, _ in wanted], [record for _, record in wanted])
    return {(row["pass"], row["record"]): (row["number"], row["content"]) for row in rows}


async def save_records(tx: Tx, changed: Mapping[UUID, tuple[str | None, StoredRecord]]) -> None:
    """Remember what was said onward of each row."""
    if changed:
        values = changed.values()
        await tx.execute(
            SAVE_RECORDS,
            list(changed),
            [born for born, _ in values],
            [kept.content_hash for _, kept in values],
            [kept.raw_hash for _, kept in values],
        )


async def save_seen_rows(tx: Tx, rows: Mapping[tuple[UUID, UUID], SeenRow]) -> None:
    """Remember which rows a pass has met, by (pass, record)."""
    if rows:
        columns = zip(*((*pair, number, content) for pair, (number, content) in rows.items()), strict=True)
        await tx.execute(SAVE_MET, *map(list, columns))


async def delete_disappeared(tx: Tx, unit: str, dataset: str, pass_id: UUID) -> list[tuple[UUID, str | None]]:
    """The rows of the last complete full file that this pass did not meet; they count as never said from now on."""
    before = await tx.fetchval(FULL_PASS, unit, dataset)
    if before is None:
        return []
    rows = await tx.fetch(FORGET_DISAPPEARED, before, pass_id)
    await tx.execute(FORGET_PASS, before)
    return sorted((row["record"], row["birth_date"]) for row in rows)


async def delete_attempt(tx: Tx, pass_id: UUID) -> None:
    await tx.execute(FORGET_PASS, pass_id)


async def save_dataset(tx: Tx, unit: str, dataset: str, period: str, full_pass: UUID | None) -> None:
    """A file was taken. ``full_pass``: its pass, if whose rows are missing from the next one disappear."""
    await tx.execute(SAVE_DATASET, unit, dataset, period, full_pass)


async def delete_unfinished(tx: Tx, unit: str, dataset: str, on: date) -> None:
    """Drop files of the dataset that began so long ago that their end can no longer come."""
    await tx.execute(FORGET_UNFINISHED, unit, dataset, on - timedelta(days=TOPIC_RETENTION_DAYS))


async def load_accepted_actions(tx: Tx, principal: str, ce_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Which of these actions were taken before from this log-in, with the finding each made.

    A unit's two log-ins learn nothing of each other's actions, whatever ids they give them.
    """
    rows = await tx.fetch(TAKEN_ACTIONS, principal, list(ce_ids))
    return {row["ce_id"]: row["finding"] for row in rows}


async def save_actions(tx: Tx, principal: str, taken: Mapping[UUID, UUID | None]) -> None:
    if taken:
        await tx.execute(SAVE_ACTIONS, principal, list(taken), list(taken.values()))
