"""Persons' findings: which child each is about, and the identity that came with it."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from runtime import Tx, columns
from services.registry.domain.child_file import FindingAssignment
from services.registry.store.records import EncryptedIdentity

ASSIGN_FINDINGS = """
    INSERT INTO finding (finding_id, child_id, named)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
        ON CONFLICT (finding_id) DO NOTHING
"""

FINDING_ASSIGNMENTS = "SELECT finding_id, child_id, named FROM finding WHERE finding_id = ANY($1::uuid[])"

FINDING_ASSIGNMENTS_OF = "SELECT finding_id, child_id, named FROM finding WHERE child_id = ANY($1::uuid[])"

MOVE_FINDINGS = """
    UPDATE finding
       SET child_id = new.child_id,
           identity = CASE WHEN finding.child_id = new.child_id THEN finding.identity ELSE new.identity END
      FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS new (finding_id, child_id, identity)
     WHERE finding.finding_id = new.finding_id
"""

STORE_FINDING = "UPDATE finding SET identity = $2, sealed = $3 WHERE finding_id = $1"

FINDING_IDENTITIES = """
    SELECT finding_id, child_id, identity FROM finding WHERE finding_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

FINDING_IDENTITIES_OF = """
    SELECT finding_id, child_id, identity FROM finding WHERE child_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""


async def assign_findings(tx: Tx, findings: Mapping[UUID, FindingAssignment]) -> None:
    """Assign findings that have no assignment yet; wait for a transaction that is assigning one of them.

    This happens before files are locked, and in the order of the ids, so that there is no deadlock.
    """
    ids = sorted(findings, key=lambda finding: finding.bytes)
    await tx.execute(
        ASSIGN_FINDINGS, ids, [findings[finding].child for finding in ids], [findings[finding].named for finding in ids]
    )


async def finding_assignments(tx: Tx, ids: Collection[UUID]) -> dict[UUID, FindingAssignment]:
    if not ids:
        return {}
    rows = await tx.fetch(FINDING_ASSIGNMENTS, list(ids))
    return {row["finding_id"]: FindingAssignment(row["child_id"], row["named"]) for row in rows}


async def finding_assignments_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, FindingAssignment]:
    if not children:
        return {}
    rows = await tx.fetch(FINDING_ASSIGNMENTS_OF, list(children))
    return {row["finding_id"]: FindingAssignment(row["child_id"], row["named"]) for row in rows}


async def move_findings(tx: Tx, rows: Sequence[tuple[UUID, UUID, bytes | None]]) -> None:
    """Store rows of (finding, child, identity under that child's key)."""
    if rows:
        await tx.execute(MOVE_FINDINGS, *columns(rows))


async def store_findings(tx: Tx, rows: Sequence[tuple[UUID, bytes | None, bytes | None]]) -> None:
    """Store rows of (finding, identity under its child's key, identity as intake sealed it)."""
    if rows:
        await tx.executemany(STORE_FINDING, rows)


async def finding_identities(tx: Tx, ids: Collection[UUID]) -> dict[UUID, EncryptedIdentity]:
    rows = await tx.fetch(FINDING_IDENTITIES, list(ids))
    return {
        row["finding_id"]: EncryptedIdentity(row["finding_id"], row["child_id"], row["identity"], department=False)
        for row in rows
    }


async def finding_identities_of(tx: Tx, children: Collection[UUID]) -> list[EncryptedIdentity]:
    rows = await tx.fetch(FINDING_IDENTITIES_OF, list(children))
    return [EncryptedIdentity(row["finding_id"], row["child_id"], row["identity"], department=False) for row in rows]
