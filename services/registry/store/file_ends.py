"""Stores the end of the last whole file of each dataset in each partition."""

from collections.abc import Mapping

from runtime import Tx
from services.registry.domain.fact_resolution import FileEnd

LOCK_FILE_ENDS_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtext('submission_end'), hashtext(current_schema()))"
LOCK_FILE_ENDS_EXCLUSIVE = "SELECT pg_advisory_xact_lock(hashtext('submission_end'), hashtext(current_schema()))"

FILE_ENDS = "SELECT unit, dataset, partition, number, period, valid_on FROM submission_end"

SAVE_FILE_ENDS = """
    INSERT INTO submission_end (unit, dataset, partition, number, period, valid_on)
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::text[], $6::date[])
        ON CONFLICT (unit, dataset, partition)
        DO UPDATE SET number = excluded.number, period = excluded.period, valid_on = excluded.valid_on
"""


async def lock_file_ends(tx: Tx, *, closing: bool) -> None:
    """Lock the ends of whole files until the transaction ends: shared, or exclusive for ``closing``.

    No file can thus become dependent on the end of a whole file while the dependent files are selected. A batch takes
    this lock first, before any row lock, so that there is no deadlock.
    """
    await tx.execute(LOCK_FILE_ENDS_EXCLUSIVE if closing else LOCK_FILE_ENDS_SHARED)


async def file_ends(tx: Tx) -> dict[tuple[str, str, int], FileEnd]:
    """Return the ends of whole files by unit, dataset and partition."""
    rows = await tx.fetch(FILE_ENDS)
    return {
        (row["unit"], row["dataset"], row["partition"]): FileEnd(row["number"], row["period"], row["valid_on"])
        for row in rows
    }


async def save_file_ends(tx: Tx, changed: Mapping[tuple[str, str, int], FileEnd]) -> None:
    """Store changed ends of whole files, by unit, dataset and partition."""
    if changed:
        places = sorted(changed)
        await tx.execute(
            SAVE_FILE_ENDS,
            [place[0] for place in places],
            [place[1] for place in places],
            [place[2] for place in places],
            [changed[place].number for place in places],
            [changed[place].period for place in places],
            [changed[place].valid_on for place in places],
        )
