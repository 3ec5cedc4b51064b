"""All SQL statements of eligibility."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from runtime import Record, Tx


@dataclass(frozen=True, slots=True)
class AssessmentFile:
    """The stored state of one child: its facts and what its last assessment depends on (table ``child``)."""

    child: UUID
    partition: int
    child_version: int
    state: str
    """``candidate``, ``on_file`` or ``absorbed``."""
    absorbed_by: UUID | None
    absorbs: tuple[UUID, ...]
    claims: str
    """JSON in the form that ``mapping.serialize_claims`` writes."""
    assessment: int
    """The number of assessments emitted so far; 0 before the first."""
    assessed_on: date
    basis: str
    """Names the rules and the county's data that the answers depend on."""
    answers_digest: bytes
    """Digest (BLAKE2b, 16 bytes) of the answers last emitted; empty before the first."""
    until: date | None
    """The first day on which an answer may differ although no fact has changed; None if there is no such day."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One emitted assessment together with the inputs that reproduce it (table ``decision``)."""

    file: AssessmentFile
    """The file in the state in which it was assessed."""
    ruleset: str
    county_version: str


LOAD = """
    SELECT *
      FROM child
     WHERE child_id = ANY($1::uuid[])
     ORDER BY child_id
       FOR UPDATE
"""

# The newest version wins, whatever the order of arrival.
SAVE = """
    INSERT INTO child AS stored (child_id, partition, child_version, state, absorbed_by, absorbs, claims, assessment,
                                 assessed_on, basis, answers_digest, until)
    SELECT child_id, partition, child_version, state, absorbed_by, absorbs::uuid[], claims::json, assessment,
           assessed_on, basis, answers_digest, until
      FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::int[],
                  $9::date[], $10::text[], $11::bytea[], $12::date[])
        AS assessed (child_id, partition, child_version, state, absorbed_by, absorbs, claims, assessment, assessed_on,
                     basis, answers_digest, until)
        ON CONFLICT (child_id) DO UPDATE
       SET child_version  = excluded.child_version,
           state          = excluded.state,
           absorbed_by    = excluded.absorbed_by,
           absorbs        = excluded.absorbs,
           claims         = excluded.claims,
           assessment     = excluded.assessment,
           assessed_on    = excluded.assessed_on,
           basis          = excluded.basis,
           answers_digest = excluded.answers_digest,
           until          = excluded.until
     WHERE stored.child_version <= excluded.child_version
"""

INSERT_DECISIONS = """
    INSERT INTO decision (child_id, assessment, child_version, state, absorbed_by, absorbs, assessed_on, ruleset,
                          county_version, claims, answers_digest)
    SELECT child_id, assessment, child_version, state, absorbed_by, absorbs::uuid[], assessed_on, ruleset,
           county_version, claims::json, answers_digest
      FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::uuid[], $6::text[], $7::date[], $8::text[],
                  $9::text[], $10::text[], $11::bytea[])
        AS emitted (child_id, assessment, child_version, state, absorbed_by, absorbs, assessed_on, ruleset,
                    county_version, claims, answers_digest)
"""

LOAD_DUE = """
      WITH due AS (
    SELECT child_id
      FROM child
     WHERE partition = $1
       AND until <= $2
       AND (until, child_id) > ($3, $4)
     ORDER BY until, child_id
     LIMIT $5)
    SELECT *
      FROM child
     WHERE child_id IN (SELECT child_id FROM due)
     ORDER BY child_id
       FOR UPDATE
"""

LOAD_ON_OTHER_BASIS = """
    SELECT *
      FROM child
     WHERE partition = $1
       AND child_id > $2
       AND basis <> $3
       AND state <> 'absorbed'
     ORDER BY child_id
     LIMIT $4
       FOR UPDATE
"""

LOAD_BASIS = "SELECT basis FROM partition_basis WHERE partition = $1"

SAVE_BASIS = """
    INSERT INTO partition_basis (partition, basis)
    VALUES ($1, $2)
        ON CONFLICT (partition) DO UPDATE
       SET basis = excluded.basis
"""


async def load(tx: Tx, children: Collection[UUID]) -> dict[UUID, AssessmentFile]:
    """Load and lock the files of these children; a child without a file is missing from the result."""
    rows = await tx.fetch(LOAD, sorted(children))
    return {row["child_id"]: _file(row) for row in rows}


async def save(tx: Tx, files: Sequence[AssessmentFile]) -> None:
    """Insert or update one row per child. A row that holds a newer version is left unchanged."""
    if not files:
        return
    await tx.execute(
        SAVE,
        [file.child for file in files],
        [file.partition for file in files],
        [file.child_version for file in files],
        [file.state for file in files],
        [file.absorbed_by for file in files],
        [_array(file.absorbs) for file in files],
        [file.claims for file in files],
        [file.assessment for file in files],
        [file.assessed_on for file in files],
        [file.basis for file in files],
        [file.answers_digest for file in files],
        [file.until for file in files],
    )


async def insert_decisions(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Store what was emitted and from which inputs. A decision is never changed afterwards."""
    if not decisions:
        return
    files = [decision.file for decision in decisions]
    await tx.execute(
        INSERT_DECISIONS,
        [file.child for file in files],
        [file.assessment for file in files],
        [file.child_version for file in files],
        [file.state for file in files],
        [file.absorbed_by for file in files],
        [_array(file.absorbs) for file in files],
        [file.assessed_on for file in files],
        [decision.ruleset for decision in decisions],
        [decision.county_version for decision in decisions],
        [file.claims for file in files],
        [file.answers_digest for file in files],
    )


async def load_due(tx: Tx, partition: int, day: date, after: tuple[date, UUID], limit: int) -> list[AssessmentFile]:
    """Load and lock files of a partition whose answers may differ by ``day``.

    ``after`` is the due day and id of the last child of the previous page; only later ones are loaded.
    """
    return [_file(row) for row in await tx.fetch(LOAD_DUE, partition, day, *after, limit)]


async def load_on_other_basis(tx: Tx, partition: int, basis: str, after: UUID, limit: int) -> list[AssessmentFile]:
    """Load and lock files of a partition that were last assessed by other rules or other county data."""
    return [_file(row) for row in await tx.fetch(LOAD_ON_OTHER_BASIS, partition, after, basis, limit)]


async def load_basis(tx: Tx, partition: int) -> str | None:
    """Return the basis on which the whole partition was last assessed; None before the first day."""
    basis: str | None = await tx.fetchval(LOAD_BASIS, partition)
    return basis


async def save_basis(tx: Tx, partition: int, basis: str) -> None:
    """Record that every child of the partition has been assessed on this basis."""
    await tx.execute(SAVE_BASIS, partition, basis)


def _array(ids: Iterable[UUID]) -> str:
    """Write an array in PostgreSQL's own notation, because ``unnest`` flattens arrays of arrays."""
    return "{" + ",".join(map(str, ids)) + "}"


def _file(row: Record) -> AssessmentFile:
    return AssessmentFile(
        row["child_id"],
        row["partition"],
        row["child_version"],
        row["state"],
        row["absorbed_by"],
        tuple(row["absorbs"]),
        row["claims"],
        row["assessment"],
        row["assessed_on"],
        row["basis"],
        row["answers_digest"],
        row["until"],
    )
