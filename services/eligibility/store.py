"""Every SQL statement that eligibility runs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from runtime import Record, Tx


@dataclass(frozen=True, slots=True)
class File:
    """What is kept of one child."""

    child: UUID
    partition: int
    child_version: int
    state: str
    absorbed_by: UUID | None
    absorbs: tuple[UUID, ...]
    claims: str
    """As ``wire.packed`` writes them."""
    assessment: int
    assessed_on: date
    basis: str
    content: bytes
    """Digest of what was last said."""
    until: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that was said, with the inputs to compute it again."""

    file: File
    """As it was assessed."""
    ruleset: str
    county_version: str


LOAD = """
    select *
      from child
     where child_id = any($1::uuid[])
     order by child_id
       for update
"""

# The newest version wins, whoever comes later.
SAVE = """
    insert into child as known (child_id, partition, child_version, state, absorbed_by, absorbs, claims, assessment,
                                assessed_on, basis, content, until)
    select child_id, partition, child_version, state, absorbed_by, absorbs::uuid[], claims::json, assessment,
           assessed_on, basis, content, until
      from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::int[],
                  $9::date[], $10::text[], $11::bytea[], $12::date[])
        as fresh (child_id, partition, child_version, state, absorbed_by, absorbs, claims, assessment, assessed_on,
                  basis, content, until)
        on conflict (child_id) do update
       set child_version = excluded.child_version,
           state         = excluded.state,
           absorbed_by   = excluded.absorbed_by,
           absorbs       = excluded.absorbs,
           claims        = excluded.claims,
           assessment    = excluded.assessment,
           assessed_on   = excluded.assessed_on,
           basis         = excluded.basis,
           content       = excluded.content,
           until         = excluded.until
     where known.child_version <= excluded.child_version
"""

KEEP = """
    insert into decision (child_id, assessment, child_version, state, absorbed_by, absorbs, assessed_on, ruleset,
                          county_version, claims, content)
    select child_id, assessment, child_version, state, absorbed_by, absorbs::uuid[], assessed_on, ruleset,
           county_version, claims::json, content
      from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::uuid[], $6::text[], $7::date[], $8::text[],
                  $9::text[], $10::text[], $11::bytea[])
        as said (child_id, assessment, child_version, state, absorbed_by, absorbs, assessed_on, ruleset,
                 county_version, claims, content)
"""

DUE = """
      with due as (
    select child_id
      from child
     where partition = $1
       and until <= $2
       and (until, child_id) > ($3, $4)
     order by until, child_id
     limit $5)
    select *
      from child
     where child_id in (select child_id from due)
     order by child_id
       for update
"""

ON_OTHER_BASIS = """
    select *
      from child
     where partition = $1
       and child_id > $2
       and basis <> $3
       and state <> 'absorbed'
     order by child_id
     limit $4
       for update
"""

BASIS = "select basis from partition_basis where partition = $1"

SET_BASIS = """
    insert into partition_basis (partition, basis)
    values ($1, $2)
        on conflict (partition) do update
       set basis = excluded.basis
"""


async def load(tx: Tx, children: Collection[UUID]) -> dict[UUID, File]:
    """The files of these children, locked."""
    rows = await tx.fetch(LOAD, sorted(children))
    return {row["child_id"]: _file(row) for row in rows}


async def save(tx: Tx, files: Sequence[File]) -> None:
    """Write one row a child; a row of a newer version stays."""
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
        [file.content for file in files],
        [file.until for file in files],
    )


async def keep(tx: Tx, decisions: Sequence[Decision]) -> None:
    """Write down what was said and from which inputs. Never changed afterwards."""
    if not decisions:
        return
    files = [decision.file for decision in decisions]
    await tx.execute(
        KEEP,
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
        [file.content for file in files],
    )


async def due(tx: Tx, partition: int, day: date, after: tuple[date, UUID], limit: int) -> list[File]:
    """Children of a partition whose answers may differ on this day, after the ones already done, locked."""
    return [_file(row) for row in await tx.fetch(DUE, partition, day, *after, limit)]


async def on_other_basis(tx: Tx, partition: int, basis: str, after: UUID, limit: int) -> list[File]:
    """Children of a partition that were last assessed by other rules or other county data, locked."""
    return [_file(row) for row in await tx.fetch(ON_OTHER_BASIS, partition, after, basis, limit)]


async def basis_of(tx: Tx, partition: int) -> str | None:
    """The basis that the whole partition was last assessed on; None before the first day."""
    basis: str | None = await tx.fetchval(BASIS, partition)
    return basis


async def set_basis(tx: Tx, partition: int, basis: str) -> None:
    await tx.execute(SET_BASIS, partition, basis)


def _array(ids: Iterable[UUID]) -> str:
    """An array in PostgreSQL's own notation: ``unnest`` takes arrays of arrays apart."""
    return "{" + ",".join(map(str, ids)) + "}"


def _file(row: Record) -> File:
    return File(
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
        row["content"],
        row["until"],
    )
