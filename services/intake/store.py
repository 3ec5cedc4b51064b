"""Every SQL statement of intake."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from runtime import Tx, columns
from services.intake.domain.submission import TOPIC_RETENTION_DAYS, Submission

_COLUMNS = (
    "submission, dataset, period, coverage, state, outcome, columns, date_1904, announced, file_sha256, "
    "county_version, valid_on, began_on, late, attempt_number, attempt_id, "
    "read, accepted, accepted_with_drops, refused, unchanged"
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
                      attempt_number = excluded.attempt_number,
                      attempt_id = excluded.attempt_id,
                      read = excluded.read,
                      accepted = excluded.accepted,
                      accepted_with_drops = excluded.accepted_with_drops,
                      refused = excluded.refused,
                      unchanged = excluded.unchanged
"""  # noqa: S608

WAS_ACCEPTED_BEFORE = """
    SELECT EXISTS (
        SELECT FROM submission
         WHERE unit = $1 AND dataset = $2 AND file_sha256 = $3 AND county_version = $4 AND coverage = $5
           AND state <> 'open' AND outcome = 'taken' AND read = announced
    )
"""

SUPERSEDE_OPEN_FILES = """
    UPDATE submission SET outcome = 'older_period'
     WHERE unit = $1 AND dataset = $2 AND period < $3 AND state = 'open' AND outcome = 'taken'
"""

NEWEST_PERIOD = "SELECT period FROM dataset_state WHERE unit = $1 AND dataset = $2"

RECORDS = "SELECT record, content_hash, raw_hash FROM record WHERE record = ANY($1)"

SEEN_ROWS = """
    SELECT seen_row.attempt_id, seen_row.record, seen_row.number, seen_row.content_hash
      FROM unnest($1::uuid[], $2::uuid[]) AS wanted (attempt_id, record)
      JOIN seen_row ON seen_row.attempt_id = wanted.attempt_id AND seen_row.record = wanted.record
"""

SAVE_SEEN_ROWS = """
    INSERT INTO seen_row (attempt_id, record, number, content_hash)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bytea[])
"""

SAVE_RECORDS = """
    INSERT INTO record (record, birth_date, content_hash, raw_hash)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[])
        ON CONFLICT (record)
        DO UPDATE SET birth_date = excluded.birth_date,
                      content_hash = excluded.content_hash,
                      raw_hash = excluded.raw_hash
"""

FULL_ATTEMPT = "SELECT full_attempt_id FROM dataset_state WHERE unit = $1 AND dataset = $2"

DELETE_DISAPPEARED = """
    DELETE FROM record
     USING seen_row AS earlier
     WHERE earlier.attempt_id = $1
       AND earlier.record = record.record
       AND NOT EXISTS (SELECT FROM seen_row AS now WHERE now.attempt_id = $2 AND now.record = earlier.record)
    RETURNING record.record, record.birth_date
"""

DELETE_ATTEMPT = "DELETE FROM seen_row WHERE attempt_id = $1"

SAVE_DATASET = """
    INSERT INTO dataset_state AS stored (unit, dataset, period, full_attempt_id)
    VALUES ($1, $2, $3, $4)
        ON CONFLICT (unit, dataset)
        DO UPDATE SET period = greatest(excluded.period, stored.period),
                      full_attempt_id = coalesce(excluded.full_attempt_id, stored.full_attempt_id)
"""

DELETE_UNFINISHED = """
    WITH unfinished AS (
        DELETE FROM submission
         WHERE unit = $1 AND dataset = $2 AND state = 'open' AND began_on < $3
        RETURNING attempt_id
    )
    DELETE FROM seen_row USING unfinished WHERE seen_row.attempt_id = unfinished.attempt_id
"""

ACCEPTED_ACTIONS = "SELECT ce_id, finding FROM accepted_action WHERE principal = $1 AND ce_id = ANY($2)"

SAVE_ACTIONS = """
    INSERT INTO accepted_action (principal, ce_id, finding)
    SELECT $1, * FROM unnest($2::uuid[], $3::uuid[])
"""


class StoredRecord(NamedTuple):
    """What is stored of a row that was emitted."""

    content_hash: bytes
    """Keyed hash of the parsed content."""
    raw_hash: bytes | None
    """Keyed hash of the raw cells; None if there were problems with them."""


SeenKey = tuple[UUID, UUID]
"""An import attempt, and the record of a row or the id of its position."""
SeenRow = tuple[int | None, bytes | None]
"""The number of a row that an import attempt has met, and its content hash; None if it identified nobody."""


async def load_submissions(tx: Tx, unit: str, wanted: Collection[UUID]) -> dict[UUID, Submission]:
    """Return the unit's files with these ids."""
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
            attempt_number=row["attempt_number"],
            attempt_id=row["attempt_id"],
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
    """Insert or replace files."""
    if not changed:
        return
    await tx.executemany(
        SAVE_SUBMISSION,
        [
            (
                unit,
                file.id,
                file.dataset,
                file.period,
                file.coverage,
                file.state,
                file.outcome,
                list(file.columns),
                file.date_1904,
                file.announced,
                file.file_sha256,
                file.county_version,
                file.valid_on,
                file.began_on,
                file.late,
                file.attempt_number,
                file.attempt_id,
                file.read,
                file.accepted,
                file.accepted_with_drops,
                file.refused,
                file.unchanged,
            )
            for file in changed
        ],
    )


async def was_accepted_before(
    tx: Tx, unit: str, dataset: str, file_sha256: str, county_version: str, coverage: str
) -> bool:
    """Return true if these bytes were accepted whole, under the same version of the county's data and coverage."""
    return bool(await tx.fetchval(WAS_ACCEPTED_BEFORE, unit, dataset, file_sha256, county_version, coverage))


async def supersede_open_files(tx: Tx, unit: str, dataset: str, period: str) -> None:
    """Mark the open files of older periods: they are only checked from here on."""
    await tx.execute(SUPERSEDE_OPEN_FILES, unit, dataset, period)


async def load_newest_period(tx: Tx, unit: str, dataset: str) -> str | None:
    """Return the newest period of which a file was accepted."""
    period: str | None = await tx.fetchval(NEWEST_PERIOD, unit, dataset)
    return period


async def load_records(tx: Tx, records: Collection[UUID]) -> dict[UUID, StoredRecord]:
    """Return what is stored of these rows; nothing for those never emitted, or disappeared since."""
    if not records:
        return {}
    rows = await tx.fetch(RECORDS, list(records))
    return {row["record"]: StoredRecord(row["content_hash"], row["raw_hash"]) for row in rows}


async def load_seen_rows(tx: Tx, keys: Collection[SeenKey]) -> dict[SeenKey, SeenRow]:
    """Return those of the rows that their import attempt has met."""
    if not keys:
        return {}
    rows = await tx.fetch(SEEN_ROWS, [attempt for attempt, _ in keys], [record for _, record in keys])
    return {(row["attempt_id"], row["record"]): (row["number"], row["content_hash"]) for row in rows}


async def save_records(tx: Tx, changed: Mapping[UUID, tuple[str | None, StoredRecord]]) -> None:
    """Store birth date and hashes of rows that were emitted."""
    if changed:
        values = changed.values()
        await tx.execute(
            SAVE_RECORDS,
            list(changed),
            [birth_date for birth_date, _ in values],
            [stored.content_hash for _, stored in values],
            [stored.raw_hash for _, stored in values],
        )


async def save_seen_rows(tx: Tx, rows: Mapping[SeenKey, SeenRow]) -> None:
    """Store which rows an import attempt has met."""
    if rows:
        values = ((*key, number, content) for key, (number, content) in rows.items())
        await tx.execute(SAVE_SEEN_ROWS, *columns(values))


async def delete_disappeared(tx: Tx, unit: str, dataset: str, attempt: UUID) -> list[tuple[UUID, str | None]]:
    """Delete and return the rows of the last complete full file that this attempt did not meet, with birth dates."""
    last = await tx.fetchval(FULL_ATTEMPT, unit, dataset)
    if last is None:
        return []
    rows = await tx.fetch(DELETE_DISAPPEARED, last, attempt)
    await tx.execute(DELETE_ATTEMPT, last)
    return sorted((row["record"], row["birth_date"]) for row in rows)


async def delete_attempt(tx: Tx, attempt: UUID) -> None:
    """Delete the rows that an import attempt has met."""
    await tx.execute(DELETE_ATTEMPT, attempt)


async def save_dataset(tx: Tx, unit: str, dataset: str, period: str, full_attempt: UUID | None) -> None:
    """Store that a file was accepted.

    ``full_attempt``: its import attempt, if rows that are missing from the next full file are to disappear.
    """
    await tx.execute(SAVE_DATASET, unit, dataset, period, full_attempt)


async def delete_unfinished(tx: Tx, unit: str, dataset: str, on: date) -> None:
    """Delete open files of the dataset that began so long ago that their end can no longer arrive."""
    await tx.execute(DELETE_UNFINISHED, unit, dataset, on - timedelta(days=TOPIC_RETENTION_DAYS))


async def load_accepted_actions(tx: Tx, principal: str, ce_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return those of the actions that were accepted before from this log-in, with the finding each made.

    A unit's two log-ins learn nothing of each other's actions, whatever ids they give them.
    """
    rows = await tx.fetch(ACCEPTED_ACTIONS, principal, list(ce_ids))
    return {row["ce_id"]: row["finding"] for row in rows}


async def save_actions(tx: Tx, principal: str, accepted: Mapping[UUID, UUID | None]) -> None:
    """Store accepted actions with the finding each made."""
    if accepted:
        await tx.execute(SAVE_ACTIONS, principal, list(accepted), list(accepted.values()))
