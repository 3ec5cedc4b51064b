"""What agencies may read of children, and the log of what they were given."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from runtime import Record, Tx, columns
from services.registry.store.arrays import text_array

LOCK_DISCLOSURES = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, withdrawn_from
      FROM disclosure
     WHERE referral_id = ANY($1::uuid[])
     ORDER BY referral_id
       FOR UPDATE
"""

LOCK_OPEN_DISCLOSURES = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, withdrawn_from
      FROM disclosure
     WHERE child_id = ANY($1::uuid[]) AND unit IS NOT NULL
     ORDER BY referral_id
       FOR UPDATE
"""

SAVE_DISCLOSURES = """
    INSERT INTO disclosure (referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist,
                            digest, withdrawn_from)
    SELECT referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist::text[], digest,
           withdrawn_from::text[]
      FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::int[], $6::text[], $7::boolean[], $8::text[],
                  $9::text[], $10::bytea[], $11::text[])
           AS new (referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist, digest,
                   withdrawn_from)
        ON CONFLICT (referral_id)
        DO UPDATE SET child_id = excluded.child_id, partition = excluded.partition, version = excluded.version,
                      finding_id = excluded.finding_id, unit = excluded.unit, route = excluded.route,
                      whitelist = excluded.whitelist, digest = excluded.digest, withdrawn_from = excluded.withdrawn_from
"""

LOG_DISCLOSURES = """
    INSERT INTO disclosure_log (event_id, child_id, referral_id, unit, route, fields, at)
    SELECT event_id, child_id, referral_id, unit, route, fields::text[], at
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
           AS new (event_id, child_id, referral_id, unit, route, fields, at)
"""

WITHDRAWN = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, withdrawn_from
      FROM disclosure
     WHERE partition = $1 AND withdrawn_from <> '{}' AND referral_id > $2
     ORDER BY referral_id
     LIMIT $3
       FOR UPDATE
"""

CLEAR_WITHDRAWN = "UPDATE disclosure SET withdrawn_from = '{}' WHERE referral_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What one referral lets a unit read."""

    referral: UUID
    child: UUID
    finding: UUID | None
    version: int
    unit: str | None
    restricted: bool
    """Which of the unit's two log-ins and keys it is for; constant for a referral."""
    route: str
    whitelist: tuple[str, ...]
    digest: bytes | None = None
    withdrawn_from: tuple[str, ...] = ()


async def lock_disclosures(tx: Tx, referrals: Collection[UUID]) -> dict[UUID, Disclosure]:
    rows = await tx.fetch(LOCK_DISCLOSURES, list(referrals))
    return {row["referral_id"]: _disclosure(row) for row in rows}


async def lock_open_disclosures(tx: Tx, children: Collection[UUID]) -> list[Disclosure]:
    """Return and lock disclosures about these children that a unit may read now."""
    return [_disclosure(row) for row in await tx.fetch(LOCK_OPEN_DISCLOSURES, list(children))]


async def save_disclosures(tx: Tx, rows: Sequence[tuple[Disclosure, int]]) -> None:
    """Store disclosures, each with the partition of its child."""
    if rows:
        values = (
            (
                disclosure.referral,
                disclosure.child,
                partition,
                disclosure.finding,
                disclosure.version,
                disclosure.unit,
                disclosure.restricted,
                disclosure.route,
                text_array(disclosure.whitelist),
                disclosure.digest,
                text_array(disclosure.withdrawn_from),
            )
            for disclosure, partition in rows
        )
        await tx.execute(SAVE_DISCLOSURES, *columns(values))


async def log_disclosures(tx: Tx, rows: Sequence[tuple[UUID, Disclosure, Sequence[str], datetime]]) -> None:
    """Add rows of (event, disclosure, names of the fields, time) to the log."""
    if rows:
        values = (
            (
                event,
                disclosure.child,
                disclosure.referral,
                disclosure.unit,
                disclosure.route,
                text_array(fields),
                at,
            )
            for event, disclosure, fields, at in rows
        )
        await tx.execute(LOG_DISCLOSURES, *columns(values))


async def withdrawn_disclosures(tx: Tx, partition: int, after: UUID, limit: int) -> list[Disclosure]:
    """Return and lock disclosures that were withdrawn since the last end of a day."""
    return [_disclosure(row) for row in await tx.fetch(WITHDRAWN, partition, after, limit)]


async def clear_withdrawn(tx: Tx, referrals: Collection[UUID]) -> None:
    await tx.execute(CLEAR_WITHDRAWN, list(referrals))


def _disclosure(row: Record) -> Disclosure:
    return Disclosure(
        row["referral_id"],
        row["child_id"],
        row["finding_id"],
        row["version"],
        row["unit"],
        row["restricted"],
        row["route"],
        tuple(row["whitelist"]),
        row["digest"],
        tuple(row["withdrawn_from"]),
    )
