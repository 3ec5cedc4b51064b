"""Children's files, their keys, and merges: which file is current for an id."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import orjson

from contracts.vocabulary import FactName
from runtime import Record, Tx, columns, run_in_thread
from services.registry.domain.child_file import ChildFile
from services.registry.domain.fact_resolution import FactVersion, Source
from services.registry.store.arrays import text_array

LOCK_FILES = """
    SELECT c.child_id, c.child_version, c.opened_at, c.absorbed_by, c.absorbs, c.split_from, c.reviewed,
           c.dependency_keys, c.destroyed, c.file, c.snapshot_digest, c.number, c.founding, k.wrapped
      FROM child c
      LEFT JOIN child_key k USING (child_id)
     WHERE c.child_id = ANY($1::uuid[])
     ORDER BY c.child_id
       FOR UPDATE OF c
"""

FOUNDINGS = "SELECT child_id, founding FROM child WHERE child_id = ANY($1::uuid[])"

DEPENDING_ON = """
    SELECT child_id FROM child WHERE dependency_keys && $1::text[] AND dependency_keys <> '{}'
"""

INSERT_FILES = """
    INSERT INTO child (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                       reviewed, residence, dependency_keys, file, snapshot_digest, number, founding)
    SELECT child_id, partition, state, absorbed_by, absorbs::uuid[], split_from, child_version, opened_at,
           reviewed, residence, dependency_keys::text[], file, snapshot_digest, number, founding
      FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[],
                  $8::timestamptz[], $9::boolean[], $10::text[], $11::text[], $12::json[], $13::bytea[],
                  $14::text[], $15::text[])
           AS new (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                   reviewed, residence, dependency_keys, file, snapshot_digest, number, founding)
        ON CONFLICT DO NOTHING
"""

UPDATE_FILES = """
    UPDATE child
       SET state = new.state, absorbed_by = new.absorbed_by, absorbs = new.absorbs::uuid[],
           split_from = new.split_from, child_version = new.child_version, reviewed = new.reviewed,
           residence = new.residence, dependency_keys = new.dependency_keys::text[], file = new.file,
           snapshot_digest = new.snapshot_digest
      FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[],
                  $8::timestamptz[], $9::boolean[], $10::text[], $11::text[], $12::json[], $13::bytea[])
           AS new (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                   reviewed, residence, dependency_keys, file, snapshot_digest)
     WHERE child.child_id = new.child_id
"""

INSERT_CHILD_KEYS = """
    INSERT INTO child_key (child_id, wrapped)
    SELECT * FROM unnest($1::uuid[], $2::bytea[])
        ON CONFLICT (child_id) DO NOTHING
"""

CHILD_KEYS = "SELECT child_id, wrapped FROM child_key WHERE child_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file as it was loaded, locked until the transaction ends."""

    file: ChildFile
    snapshot_digest: bytes | None
    wrapped: bytes | None
    """The child's key; None if there is none yet, or it was destroyed."""


async def lock_files(tx: Tx, children: Collection[UUID]) -> dict[UUID, LoadedFile]:
    """Return the files of these children, locked in the order of their ids. Unknown ids are left out."""
    rows = await tx.fetch(LOCK_FILES, sorted(children, key=lambda child: child.bytes))
    return await run_in_thread(len(rows), _stored, rows)


def _stored(rows: Sequence[Record]) -> dict[UUID, LoadedFile]:
    return {row["child_id"]: LoadedFile(_file(row), row["snapshot_digest"], row["wrapped"]) for row in rows}


async def foundings(tx: Tx, children: Collection[UUID]) -> dict[UUID, str]:
    """Return for each of these ids that is taken what its file was opened for."""
    if not children:
        return {}
    return {row["child_id"]: row["founding"] for row in await tx.fetch(FOUNDINGS, list(children))}


async def files_depending_on(tx: Tx, sources: Collection[str]) -> set[UUID]:
    """Return children whose current facts, or their dates, the end of a whole file could change."""
    return {row["child_id"] for row in await tx.fetch(DEPENDING_ON, sorted(sources))}


@dataclass(frozen=True, slots=True)
class FileToSave:
    """A file to be stored."""

    file: ChildFile
    partition: int
    residence: str | None
    snapshot_digest: bytes | None


async def insert_files(tx: Tx, files: Sequence[FileToSave]) -> bool:
    """Store new files. Return False if another transaction has meanwhile stored one of them, or taken its number."""
    if not files:
        return True
    values = [*await run_in_thread(len(files), _columns, files), *_numbers(files)]
    return await tx.execute(INSERT_FILES, *values) == f"INSERT 0 {len(files)}"


async def update_files(tx: Tx, files: Sequence[FileToSave]) -> None:
    if files:
        await tx.execute(UPDATE_FILES, *await run_in_thread(len(files), _columns, files))


async def insert_child_keys(tx: Tx, keys: Mapping[UUID, bytes]) -> None:
    if keys:
        await tx.execute(INSERT_CHILD_KEYS, list(keys), list(keys.values()))


async def child_keys(tx: Tx, children: Collection[UUID]) -> dict[UUID, bytes]:
    return {row["child_id"]: row["wrapped"] for row in await tx.fetch(CHILD_KEYS, list(children))}


def _columns(files: Sequence[FileToSave]) -> list[list[object]]:
    rows = [
        (
            row.file.child,
            row.partition,
            row.file.state,
            row.file.absorbed_by,
            text_array(str(child) for child in row.file.absorbs),
            row.file.split_from,
            row.file.version,
            row.file.opened_at,
            row.file.reviewed,
            row.residence,
            text_array(row.file.dependency_keys),
            _written(row.file),
            row.snapshot_digest,
        )
        for row in files
    ]
    return columns(rows)


def _numbers(files: Sequence[FileToSave]) -> list[list[str]]:
    return [[row.file.number for row in files], [row.file.founding for row in files]]


def _written(file: ChildFile) -> str:
    return orjson.dumps(
        {
            "sources": [
                [
                    source.record,
                    source.unit,
                    source.dataset,
                    source.partition,
                    source.ends_seen,
                    source.silent,
                    source.finding,
                    [
                        [version.valid_on, version.period, version.recorded_on, version.facts]
                        for version in source.versions
                    ],
                ]
                for source in file.sources.values()
            ],
            "confirmed": file.confirmed,
            "reported_conflicts": sorted(file.reported_conflicts),
            "contributed": file.contributed,
        },
        default=str,  # the database's UUIDs are a class of their own
        option=orjson.OPT_NON_STR_KEYS,
    ).decode()


_FACTS = {name.value: name for name in FactName}


def _file(row: Record) -> ChildFile:
    kept = orjson.loads(row["file"])
    sources = {}
    day = date.fromisoformat
    for record, unit, dataset, partition, ended, silent, finding, versions in kept["sources"]:
        read = tuple(
            FactVersion(day(valid_on), period, day(recorded_on), {_FACTS[name]: value for name, value in facts.items()})
            for valid_on, period, recorded_on, facts in versions
        )
        finding_id = UUID(finding) if finding else None
        source = Source(UUID(record), unit, dataset, partition, ended, silent, read, finding_id)
        sources[source.record] = source
    return ChildFile(
        row["child_id"],
        row["number"],
        row["founding"],
        row["opened_at"],
        row["child_version"],
        tuple(UUID(child) for child in kept["confirmed"]),
        row["absorbed_by"],
        tuple(row["absorbs"]),
        row["split_from"],
        sources,
        frozenset(_FACTS[name] for name in kept["reported_conflicts"]),
        tuple(UUID(record) for record in kept["contributed"]),
        tuple(row["dependency_keys"]),
        row["reviewed"],
        row["destroyed"],
    )


CURRENT_FILES = """
    WITH RECURSIVE chain (requested, child_id) AS (
        SELECT child_id, child_id FROM unnest($1::uuid[]) AS wanted (child_id)
        UNION
        SELECT chain.requested, child.absorbed_by
          FROM chain
          JOIN child USING (child_id)
         WHERE child.absorbed_by IS NOT NULL
    )
    SELECT chain.requested, child.child_id, child.number, child.state, child.residence, child.destroyed
      FROM chain
      JOIN child USING (child_id)
     WHERE child.absorbed_by IS NULL
"""

LOCK_AGAINST_CHANGES = "SELECT FROM child WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR SHARE"

MERGE_TREES = """
    WITH RECURSIVE tree (child_id, top) AS (
        SELECT child_id, child_id FROM unnest($1::uuid[]) AS wanted (child_id)
        UNION
        SELECT child.child_id, tree.top
          FROM tree
          JOIN child ON child.child_id = ANY((SELECT absorbs FROM child WHERE child_id = tree.child_id)::uuid[])
    )
    SELECT child_id, top FROM tree
"""


@dataclass(frozen=True, slots=True)
class CurrentFile:
    """The current file for a child's id."""

    child: UUID
    number: str
    state: str
    residence: str | None
    destroyed: bool = False
    """Its key was destroyed: it identifies nobody any more."""


async def lock_against_changes(tx: Tx, children: Collection[UUID]) -> None:
    """Wait for transactions that change these files, and lock the files against changes until this one ends."""
    standing_now = {file.child for file in (await current_files(tx, children)).values()}
    await tx.execute(LOCK_AGAINST_CHANGES, sorted(standing_now, key=lambda child: child.bytes))


async def current_files(tx: Tx, children: Collection[UUID]) -> dict[UUID, CurrentFile]:
    """Return the current files for these ids, merges followed. Unknown ids are left out."""
    if not children:
        return {}
    rows = await tx.fetch(CURRENT_FILES, list(set(children)))
    return {
        row["requested"]: CurrentFile(row["child_id"], row["number"], row["state"], row["residence"], row["destroyed"])
        for row in rows
    }


async def merge_trees(tx: Tx, children: Collection[UUID]) -> dict[UUID, UUID]:
    """Return every file that these absorbed, and themselves -> the current file."""
    if not children:
        return {}
    return {row["child_id"]: row["top"] for row in await tx.fetch(MERGE_TREES, list(children))}
