"""Source records, their evidence and identities, and the index of blocking keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from runtime import Record, Tx, columns, run_in_thread
from services.registry.domain.child_file import RecordAssignment
from services.registry.domain.matching import NOTHING, Evidence, Hash

ASSIGNMENTS = """
    SELECT r.record_id, r.child_id, r.finding_id, r.must_link_group, r.birth_date, r.recorded_at, r.content, r.evidence,
           c.child_version
      FROM record r
      JOIN child c USING (child_id)
     WHERE r.record_id = ANY($1::uuid[])
"""

ASSIGNMENTS_OF = """
    SELECT record_id, child_id, finding_id, must_link_group, birth_date, recorded_at, content, evidence
      FROM record
     WHERE child_id = ANY($1::uuid[])
"""

RECORD_IDENTITIES_OF = """
    SELECT record_id, child_id, department, valid_on, recorded_at, identity
      FROM record
     WHERE child_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

RECORD_IDENTITIES = """
    SELECT record_id, child_id, valid_on, identity
      FROM record
     WHERE record_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

INSERT_RECORDS = """
    INSERT INTO record (record_id, child_id, finding_id, must_link_group, birth_date, recorded_at, valid_on, department,
                        content, evidence, identity)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::timestamptz[], $7::date[],
                         $8::boolean[], $9::text[], $10::bytea[], $11::bytea[])
        ON CONFLICT (record_id) DO NOTHING
"""

UPDATE_RECORDS = """
    UPDATE record
       SET child_id = new.child_id, finding_id = new.finding_id, must_link_group = new.must_link_group,
           birth_date = new.birth_date,
           recorded_at = new.recorded_at, valid_on = new.valid_on, department = new.department,
           content = new.content, evidence = new.evidence, identity = new.identity
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::timestamptz[], $7::date[],
                  $8::boolean[], $9::text[], $10::bytea[], $11::bytea[])
           AS new (record_id, child_id, finding_id, must_link_group, birth_date, recorded_at, valid_on, department,
                   content, evidence, identity)
     WHERE record.record_id = new.record_id
"""

TOUCH_RECORDS = """
    UPDATE record
       SET recorded_at = new.recorded_at, valid_on = greatest(record.valid_on, new.valid_on)
      FROM unnest($1::uuid[], $2::timestamptz[], $3::date[]) AS new (record_id, recorded_at, valid_on)
     WHERE record.record_id = new.record_id
"""

MOVE_RECORDS = """
    UPDATE record
       SET child_id = new.child_id, must_link_group = new.must_link_group,
           identity = CASE WHEN new.moved THEN new.identity ELSE record.identity END
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::bytea[])
           AS new (record_id, child_id, must_link_group, moved, identity)
     WHERE record.record_id = new.record_id
"""


@dataclass(frozen=True, slots=True)
class StoredAssignment:
    """A record's assignment as it was loaded."""

    assignment: RecordAssignment
    child_version: int
    """Version of the file when this was read; if the locked file has another one, this must be read again."""


async def assignments(tx: Tx, ids: Collection[UUID]) -> dict[UUID, StoredAssignment]:
    rows = await tx.fetch(ASSIGNMENTS, list(ids))
    assignments = await run_in_thread(len(rows), _assignments, rows)
    return {row["record_id"]: StoredAssignment(assignments[row["record_id"]], row["child_version"]) for row in rows}


async def assignments_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, RecordAssignment]:
    """Return every record of these children, whose files must be locked."""
    rows = await tx.fetch(ASSIGNMENTS_OF, list(children))
    return await run_in_thread(len(rows), _assignments, rows)


def _assignments(rows: Sequence[Record]) -> dict[UUID, RecordAssignment]:
    return {row["record_id"]: _assignment_of(row) for row in rows}


@dataclass(frozen=True, slots=True)
class EncryptedIdentity:
    """The encrypted identity of one record or finding."""

    belongs_to: UUID
    child: UUID
    """The child whose key encrypts it."""
    identity: bytes
    department: bool = True
    valid_on: date | None = None
    recorded_at: datetime | None = None


async def record_identities_of(tx: Tx, children: Collection[UUID]) -> list[EncryptedIdentity]:
    return [
        EncryptedIdentity(
            row["record_id"], row["child_id"], row["identity"], row["department"], row["valid_on"], row["recorded_at"]
        )
        for row in await tx.fetch(RECORD_IDENTITIES_OF, list(children))
    ]


async def record_identities(tx: Tx, record_ids: Collection[UUID]) -> dict[UUID, EncryptedIdentity]:
    return {
        row["record_id"]: EncryptedIdentity(
            row["record_id"], row["child_id"], row["identity"], valid_on=row["valid_on"]
        )
        for row in await tx.fetch(RECORD_IDENTITIES, list(record_ids))
    }


@dataclass(frozen=True, slots=True)
class RecordToSave:
    """A record that was read."""

    record: UUID
    assignment: RecordAssignment
    valid_on: date
    department: bool
    identity: bytes


async def insert_records(tx: Tx, rows: Sequence[RecordToSave]) -> bool:
    """Store new records. Return False if another transaction has meanwhile stored one of them."""
    if not rows:
        return True
    return (
        await tx.execute(INSERT_RECORDS, *await run_in_thread(len(rows), _record_columns, rows))
        == f"INSERT 0 {len(rows)}"
    )


async def update_records(tx: Tx, rows: Sequence[RecordToSave]) -> None:
    if rows:
        await tx.execute(UPDATE_RECORDS, *await run_in_thread(len(rows), _record_columns, rows))


async def touch_records(tx: Tx, rows: Sequence[tuple[UUID, datetime, date]]) -> None:
    """Update (record, read at, valid on) of records whose content did not change."""
    if rows:
        await tx.execute(TOUCH_RECORDS, *columns(rows))


async def move_records(tx: Tx, rows: Sequence[tuple[UUID, RecordAssignment, bool, bytes | None]]) -> None:
    """Store new files and must-link groups of records that were not read.

    Moving a record to another file re-encrypts its identity under that child's key.
    """
    if rows:
        await tx.execute(
            MOVE_RECORDS,
            [record for record, _, _, _ in rows],
            [assignment.child for _, assignment, _, _ in rows],
            [assignment.evidence.must_link for _, assignment, _, _ in rows],
            [moved for _, _, moved, _ in rows],
            [identity for _, _, _, identity in rows],
        )


def _record_columns(rows: Sequence[RecordToSave]) -> list[list[object]]:
    return columns(
        (
            row.record,
            row.assignment.child,
            row.assignment.finding,
            row.assignment.evidence.must_link,
            row.assignment.evidence.birth_date,
            row.assignment.recorded_at,
            row.valid_on,
            row.department,
            row.assignment.content,
            pack_evidence(row.assignment.evidence),
            row.identity,
        )
        for row in rows
    )


def _assignment_of(row: Record) -> RecordAssignment:
    evidence = unpack_evidence(row["record_id"], row["birth_date"], row["must_link_group"], row["evidence"])
    return RecordAssignment(row["child_id"], evidence, row["content"], row["recorded_at"], row["finding_id"])


_HASH = 16
_NUMBER, _NAME, _FORM, _GUARDIAN, _PHONE, _PAIR = b"NAFGTP"


def pack_evidence(evidence: Evidence) -> bytes:
    """Return evidence as bytes: whether the name is unmatchable, then each hash after a letter for its kind."""
    packed = bytearray((evidence.unmatchable,))
    if evidence.number is not None:
        packed.append(_NUMBER)
        packed += evidence.number
    for kind, hashes in (
        (_NAME, evidence.names),
        (_FORM, evidence.forms),
        (_GUARDIAN, evidence.guardian_ids),
        (_PHONE, evidence.phones),
        (_PAIR, evidence.pairs),
    ):
        for digest in sorted(hashes):
            packed.append(kind)
            packed += digest
    return bytes(packed)


def unpack_evidence(record: UUID, birth_date: date | None, group: UUID | None, packed: bytes) -> Evidence:
    """Return the evidence that was given to ``pack_evidence``."""
    by_kind: dict[int, list[Hash]] = {}
    for at in range(1, len(packed), _HASH + 1):
        by_kind.setdefault(packed[at], []).append(packed[at + 1 : at + 1 + _HASH])

    def of(kind: int) -> frozenset[Hash]:
        hashes = by_kind.get(kind)
        return NOTHING if hashes is None else frozenset(hashes)

    return Evidence(
        record,
        birth_date,
        number=by_kind[_NUMBER][0] if _NUMBER in by_kind else None,
        names=of(_NAME),
        forms=of(_FORM),
        guardian_ids=of(_GUARDIAN),
        phones=of(_PHONE),
        pairs=of(_PAIR),
        unmatchable=bool(packed[0]),
        must_link=group,
    )


FIND_FILES = """
    SELECT l.key, l.child_id, c.child_version
      FROM blocking_key l
      JOIN child c USING (child_id)
     WHERE l.key = ANY($1::bytea[])
"""

ADD_TO_INDEX = """
    INSERT INTO blocking_key (key, child_id)
    SELECT * FROM unnest($1::bytea[], $2::uuid[])
        ON CONFLICT DO NOTHING
"""

REMOVE_FROM_INDEX = """
    DELETE FROM blocking_key
     USING unnest($1::bytea[], $2::uuid[]) AS gone (key, child_id)
     WHERE blocking_key.key = gone.key AND blocking_key.child_id = gone.child_id
"""


async def find_files(tx: Tx, wanted: Collection[Hash]) -> list[tuple[Hash, UUID, int]]:
    """Return (key, child, version of its file) for every hit of these blocking keys."""
    rows = await tx.fetch(FIND_FILES, sorted(wanted))
    return [(row["key"], row["child_id"], row["child_version"]) for row in rows]


async def update_index(tx: Tx, keyed: Mapping[tuple[Hash, UUID], bool]) -> None:
    """Add index entries (True) or remove them (False)."""
    more = sorted(pair for pair, present in keyed.items() if present)
    if more:
        await tx.execute(ADD_TO_INDEX, [key for key, _ in more], [child for _, child in more])
    less = [pair for pair, present in keyed.items() if not present]
    if less:
        await tx.execute(REMOVE_FROM_INDEX, [key for key, _ in less], [child for _, child in less])
