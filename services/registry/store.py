"""All the registry's SQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import orjson

from contracts.vocabulary import FactName
from runtime import Record, Tx, run_in_thread
from services.registry.domain.facts import End, Layer, Source
from services.registry.domain.files import ChildFile, Question, Seat, Told
from services.registry.domain.matching import NOTHING, Evidence, Hash, Holds

# ------------------------------------------------------------------------------------------------------------- files

LOCK = """
    SELECT c.child_id, c.child_version, c.opened_at, c.absorbed_by, c.absorbs, c.split_from, c.asked,
           c.contested, c.destroyed, c.file, c.said, c.number, c.founding, k.wrapped
      FROM child c
      LEFT JOIN child_key k USING (child_id)
     WHERE c.child_id = ANY($1::uuid[])
     ORDER BY c.child_id
       FOR UPDATE OF c
"""

FOUNDINGS = "SELECT child_id, founding FROM child WHERE child_id = ANY($1::uuid[])"

CONTESTED = """
    SELECT child_id FROM child WHERE contested && $1::text[] AND contested <> '{}'
"""

OPEN = """
    INSERT INTO child (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                       asked, residence, contested, file, said, number, founding)
    SELECT child_id, partition, state, absorbed_by, absorbs::uuid[], split_from, child_version, opened_at,
           asked, residence, contested::text[], file, said, number, founding
      FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[],
                  $8::timestamptz[], $9::boolean[], $10::text[], $11::text[], $12::json[], $13::bytea[],
                  $14::text[], $15::text[])
           AS new (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                   asked, residence, contested, file, said, number, founding)
        ON CONFLICT DO NOTHING
"""

CHANGE = """
    UPDATE child
       SET state = new.state, absorbed_by = new.absorbed_by, absorbs = new.absorbs::uuid[],
           split_from = new.split_from, child_version = new.child_version, asked = new.asked,
           residence = new.residence, contested = new.contested::text[], file = new.file, said = new.said
      FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[],
                  $8::timestamptz[], $9::boolean[], $10::text[], $11::text[], $12::json[], $13::bytea[])
           AS new (child_id, partition, state, absorbed_by, absorbs, split_from, child_version, opened_at,
                   asked, residence, contested, file, said)
     WHERE child.child_id = new.child_id
"""

NEW_KEYS = """
    INSERT INTO child_key (child_id, wrapped)
    SELECT * FROM unnest($1::uuid[], $2::bytea[])
        ON CONFLICT (child_id) DO NOTHING
"""

KEYS = "SELECT child_id, wrapped FROM child_key WHERE child_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as it was loaded, locked until the transaction ends."""

    file: ChildFile
    said: bytes | None
    wrapped: bytes | None
    """The child's key. None: there is none yet, or it was destroyed."""


async def lock(tx: Tx, children: Collection[UUID]) -> dict[UUID, Stored]:
    """The files of these children, locked in the order of their ids. Who is not on file is not in the answer."""
    rows = await tx.fetch(LOCK, sorted(children, key=lambda child: child.bytes))
    return await run_in_thread(len(rows), _stored, rows)


def _stored(rows: Sequence[Record]) -> dict[UUID, Stored]:
    return {row["child_id"]: Stored(_file(row), row["said"], row["wrapped"]) for row in rows}


async def foundings(tx: Tx, children: Collection[UUID]) -> dict[UUID, str]:
    """Return for each of these ids that is taken what its file was opened for."""
    if not children:
        return {}
    return {row["child_id"]: row["founding"] for row in await tx.fetch(FOUNDINGS, list(children))}


async def contested(tx: Tx, sources: Collection[str]) -> set[UUID]:
    """Children of whom the end of a whole file could change what stands or when it was said (``watched_by``)."""
    return {row["child_id"] for row in await tx.fetch(CONTESTED, sorted(sources))}


@dataclass(frozen=True, slots=True)
class ToSave:
    """A file to be stored."""

    file: ChildFile
    partition: int
    residence: str | None
    said: bytes | None


async def open_files(tx: Tx, files: Sequence[ToSave]) -> bool:
    """Store new files. Return False if another transaction has meanwhile stored one of them, or taken its number."""
    if not files:
        return True
    columns = [*await run_in_thread(len(files), _columns, files), *_numbers(files)]
    return await tx.execute(OPEN, *columns) == f"INSERT 0 {len(files)}"


async def change_files(tx: Tx, files: Sequence[ToSave]) -> None:
    if files:
        await tx.execute(CHANGE, *await run_in_thread(len(files), _columns, files))


async def new_keys(tx: Tx, keys: Mapping[UUID, bytes]) -> None:
    if keys:
        await tx.execute(NEW_KEYS, list(keys), list(keys.values()))


async def keys(tx: Tx, children: Collection[UUID]) -> dict[UUID, bytes]:
    return {row["child_id"]: row["wrapped"] for row in await tx.fetch(KEYS, list(children))}


def _columns(files: Sequence[ToSave]) -> list[list[object]]:
    rows = [
        (
            one.file.child,
            one.partition,
            one.file.state,
            one.file.absorbed_by,
            _array(str(child) for child in one.file.absorbs),
            one.file.split_from,
            one.file.version,
            one.file.opened_at,
            one.file.asked,
            one.residence,
            _array(one.file.contested),
            _written(one.file),
            one.said,
        )
        for one in files
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _numbers(files: Sequence[ToSave]) -> list[list[str]]:
    return [[one.file.number for one in files], [one.file.founding for one in files]]


def _array(items: Iterable[str]) -> str:
    """A PostgreSQL array literal: ``unnest`` would flatten an array of arrays."""
    return "{" + ",".join(f'"{item}"' for item in items) + "}"


def _written(file: ChildFile) -> str:
    return orjson.dumps(
        {
            "sources": [
                [
                    source.record,
                    source.unit,
                    source.dataset,
                    source.lane,
                    source.ended,
                    source.silent,
                    source.finding,
                    [[layer.valid_on, layer.period, layer.recorded_on, layer.facts] for layer in source.layers],
                ]
                for source in file.sources.values()
            ],
            "confirmed": file.confirmed,
            "told": sorted(file.told),
            "brought": file.brought,
        },
        default=str,  # the database's UUIDs are a class of their own
        option=orjson.OPT_NON_STR_KEYS,
    ).decode()


_FACTS = {name.value: name for name in FactName}


def _file(row: Record) -> ChildFile:
    kept = orjson.loads(row["file"])
    sources = {}
    day = date.fromisoformat
    for record, unit, dataset, lane, ended, silent, finding, layers in kept["sources"]:
        read = tuple(
            Layer(day(valid_on), period, day(recorded_on), {_FACTS[name]: value for name, value in facts.items()})
            for valid_on, period, recorded_on, facts in layers
        )
        found = UUID(finding) if finding else None
        source = Source(UUID(record), unit, dataset, lane, ended, silent, read, found)
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
        frozenset(_FACTS[name] for name in kept["told"]),
        tuple(UUID(record) for record in kept["brought"]),
        tuple(row["contested"]),
        row["asked"],
        row["destroyed"],
    )


# ----------------------------------------------------------------------------------------------------------- records

RECORDS = """
    SELECT r.record_id, r.child_id, r.finding_id, r.hold, r.birth_date, r.recorded_at, r.content, r.evidence,
           c.child_version
      FROM record r
      JOIN child c USING (child_id)
     WHERE r.record_id = ANY($1::uuid[])
"""

RECORDS_OF = """
    SELECT record_id, child_id, finding_id, hold, birth_date, recorded_at, content, evidence
      FROM record
     WHERE child_id = ANY($1::uuid[])
"""

IDENTITIES_OF = """
    SELECT record_id, child_id, department, valid_on, recorded_at, identity
      FROM record
     WHERE child_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

IDENTITIES = """
    SELECT record_id, child_id, valid_on, identity
      FROM record
     WHERE record_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

NEW_RECORDS = """
    INSERT INTO record (record_id, child_id, finding_id, hold, birth_date, recorded_at, valid_on, department,
                        content, evidence, identity)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::timestamptz[], $7::date[],
                         $8::boolean[], $9::text[], $10::bytea[], $11::bytea[])
        ON CONFLICT (record_id) DO NOTHING
"""

CHANGE_RECORDS = """
    UPDATE record
       SET child_id = new.child_id, finding_id = new.finding_id, hold = new.hold, birth_date = new.birth_date,
           recorded_at = new.recorded_at, valid_on = new.valid_on, department = new.department,
           content = new.content, evidence = new.evidence, identity = new.identity
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::timestamptz[], $7::date[],
                  $8::boolean[], $9::text[], $10::bytea[], $11::bytea[])
           AS new (record_id, child_id, finding_id, hold, birth_date, recorded_at, valid_on, department, content,
                   evidence, identity)
     WHERE record.record_id = new.record_id
"""

READ_AGAIN = """
    UPDATE record
       SET recorded_at = new.recorded_at, valid_on = greatest(record.valid_on, new.valid_on)
      FROM unnest($1::uuid[], $2::timestamptz[], $3::date[]) AS new (record_id, recorded_at, valid_on)
     WHERE record.record_id = new.record_id
"""

MOVE_RECORDS = """
    UPDATE record
       SET child_id = new.child_id, hold = new.hold, identity = CASE WHEN new.moved THEN new.identity
                                                                     ELSE record.identity END
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::bytea[])
           AS new (record_id, child_id, hold, moved, identity)
     WHERE record.record_id = new.record_id
"""


@dataclass(frozen=True, slots=True)
class StoredSeat:
    """A record's place as it was loaded."""

    seat: Seat
    child_version: int
    """Of the child, when this was read: an older one than is locked means that it must be read again."""


async def records(tx: Tx, ids: Collection[UUID]) -> dict[UUID, StoredSeat]:
    rows = await tx.fetch(RECORDS, list(ids))
    seats = await run_in_thread(len(rows), _seats, rows)
    return {row["record_id"]: StoredSeat(seats[row["record_id"]], row["child_version"]) for row in rows}


async def records_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, Seat]:
    """Every record of these children; to be read with their files locked."""
    rows = await tx.fetch(RECORDS_OF, list(children))
    return await run_in_thread(len(rows), _seats, rows)


def _seats(rows: Sequence[Record]) -> dict[UUID, Seat]:
    return {row["record_id"]: _seat(row) for row in rows}


@dataclass(frozen=True, slots=True)
class EncryptedIdentity:
    """What one record or finding says of who a child is."""

    belongs_to: UUID
    child: UUID
    """Under whose key it is encrypted."""
    identity: bytes
    department: bool = True
    valid_on: date | None = None
    recorded_at: datetime | None = None


async def identities_of(tx: Tx, children: Collection[UUID]) -> list[EncryptedIdentity]:
    return [
        EncryptedIdentity(
            row["record_id"], row["child_id"], row["identity"], row["department"], row["valid_on"], row["recorded_at"]
        )
        for row in await tx.fetch(IDENTITIES_OF, list(children))
    ]


async def identities(tx: Tx, record_ids: Collection[UUID]) -> dict[UUID, EncryptedIdentity]:
    return {
        row["record_id"]: EncryptedIdentity(
            row["record_id"], row["child_id"], row["identity"], valid_on=row["valid_on"]
        )
        for row in await tx.fetch(IDENTITIES, list(record_ids))
    }


@dataclass(frozen=True, slots=True)
class RecordToSave:
    """A record that was read."""

    record: UUID
    seat: Seat
    valid_on: date
    department: bool
    identity: bytes


async def new_records(tx: Tx, rows: Sequence[RecordToSave]) -> bool:
    """Store records that were not there. False: another transaction has stored one of them meanwhile."""
    if not rows:
        return True
    return (
        await tx.execute(NEW_RECORDS, *await run_in_thread(len(rows), _record_columns, rows)) == f"INSERT 0 {len(rows)}"
    )


async def change_records(tx: Tx, rows: Sequence[RecordToSave]) -> None:
    if rows:
        await tx.execute(CHANGE_RECORDS, *await run_in_thread(len(rows), _record_columns, rows))


async def read_again(tx: Tx, rows: Sequence[tuple[UUID, datetime, date]]) -> None:
    """(record, when, of which day) of records that say what they said before."""
    if rows:
        await tx.execute(READ_AGAIN, *(list(column) for column in zip(*rows, strict=True)))


async def move_records(tx: Tx, rows: Sequence[tuple[UUID, Seat, bool, bytes | None]]) -> None:
    """Records that were not read but changed file or hold. With the file their identity changes its key."""
    if rows:
        await tx.execute(
            MOVE_RECORDS,
            [record for record, _, _, _ in rows],
            [seat.child for _, seat, _, _ in rows],
            [seat.evidence.hold for _, seat, _, _ in rows],
            [moved for _, _, moved, _ in rows],
            [identity for _, _, _, identity in rows],
        )


def _record_columns(rows: Sequence[RecordToSave]) -> list[list[object]]:
    return [
        list(column)
        for column in zip(
            *(
                (
                    one.record,
                    one.seat.child,
                    one.seat.finding,
                    one.seat.evidence.hold,
                    one.seat.evidence.birth_date,
                    one.seat.recorded_at,
                    one.valid_on,
                    one.department,
                    one.seat.content,
                    packed(one.seat.evidence),
                    one.identity,
                )
                for one in rows
            ),
            strict=True,
        )
    ]


def _seat(row: Record) -> Seat:
    evidence = unpacked(row["record_id"], row["birth_date"], row["hold"], row["evidence"])
    return Seat(row["child_id"], evidence, row["content"], row["recorded_at"], row["finding_id"])


_HASH = 16
_NUMBER, _NAME, _FORM, _GUARDIAN, _PHONE, _PAIR = b"NAFGTP"


def packed(evidence: Evidence) -> bytes:
    """Evidence as bytes: whether the name is odd, then each hash behind a letter for its kind."""
    found = bytearray((evidence.odd,))
    if evidence.number is not None:
        found.append(_NUMBER)
        found += evidence.number
    for kind, hashes in (
        (_NAME, evidence.names),
        (_FORM, evidence.forms),
        (_GUARDIAN, evidence.guardian_ids),
        (_PHONE, evidence.phones),
        (_PAIR, evidence.pairs),
    ):
        for one in sorted(hashes):
            found.append(kind)
            found += one
    return bytes(found)


def unpacked(record: UUID, birth_date: date | None, hold: UUID | None, found: bytes) -> Evidence:
    """What ``packed`` was given."""
    by_kind: dict[int, list[Hash]] = {}
    for at in range(1, len(found), _HASH + 1):
        by_kind.setdefault(found[at], []).append(found[at + 1 : at + 1 + _HASH])

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
        odd=bool(found[0]),
        hold=hold,
    )


# ----------------------------------------------------------------------------------------------------------- lookups

FIND = """
    SELECT l.key, l.child_id, c.child_version
      FROM lookup l
      JOIN child c USING (child_id)
     WHERE l.key = ANY($1::bytea[])
"""

STAND = """
    INSERT INTO lookup (key, child_id)
    SELECT * FROM unnest($1::bytea[], $2::uuid[])
        ON CONFLICT DO NOTHING
"""

STAND_NO_MORE = """
    DELETE FROM lookup
     USING unnest($1::bytea[], $2::uuid[]) AS gone (key, child_id)
     WHERE lookup.key = gone.key AND lookup.child_id = gone.child_id
"""


async def find(tx: Tx, wanted: Collection[Hash]) -> list[tuple[Hash, UUID, int]]:
    """(key, child, version of the child as it was read) of every file that stands under one of these keys."""
    rows = await tx.fetch(FIND, sorted(wanted))
    return [(row["key"], row["child_id"], row["child_version"]) for row in rows]


async def stand(tx: Tx, keyed: Mapping[tuple[Hash, UUID], bool]) -> None:
    """Files are found under these keys from now on (True), or no longer."""
    more = sorted(pair for pair, stands in keyed.items() if stands)
    if more:
        await tx.execute(STAND, [key for key, _ in more], [child for _, child in more])
    less = [pair for pair, stands in keyed.items() if not stands]
    if less:
        await tx.execute(STAND_NO_MORE, [key for key, _ in less], [child for _, child in less])


# --------------------------------------------------------------------------------------------------------- decisions

APART = """
    SELECT one, other FROM apart WHERE one = ANY($1::uuid[]) OR other = ANY($1::uuid[])
"""

KEEP_APART = """
    INSERT INTO apart (one, other)
    SELECT * FROM unnest($1::uuid[], $2::uuid[])
        ON CONFLICT DO NOTHING
"""

QUESTIONS_OF = """
    SELECT question_id, child_id, other_id, evidence, conflicts, state, asked_of
      FROM question
     WHERE child_id = ANY($1::uuid[]) OR other_id = ANY($1::uuid[])
"""

QUESTIONS = """
    SELECT question_id, child_id, other_id, evidence, conflicts, state, asked_of, unit
      FROM question
     WHERE question_id = ANY($1::uuid[])
"""

SAVE_QUESTIONS = """
    INSERT INTO question (question_id, child_id, other_id, evidence, conflicts, state, asked_of, asked_on, unit)
    SELECT question_id, child_id, other_id, evidence::text[], conflicts::text[], state, asked_of::uuid[], asked_on, $9
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[])
           AS new (question_id, child_id, other_id, evidence, conflicts, state, asked_of, asked_on)
        ON CONFLICT (question_id)
        DO UPDATE SET child_id = excluded.child_id, other_id = excluded.other_id, evidence = excluded.evidence,
                      state = excluded.state, asked_of = excluded.asked_of
"""

SETTLED = """
    UPDATE question
       SET settled_on = new.done_on, settled_unit = new.unit, settled_role = new.role
      FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[]) AS new (question_id, done_on, unit, role)
     WHERE question.question_id = new.question_id
"""

HAND_OVER = """
    INSERT INTO hand_over (event_id, child_id, from_child_id, reason, records, done_on, unit, role)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (event_id, child_id, from_child_id)
        DO UPDATE SET records = hand_over.records || excluded.records
"""

VERIFIED = """
    INSERT INTO verification (event_id, child_id, unit, role, person, done_on, outcome)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (event_id) DO NOTHING
"""


async def apart(tx: Tx, holds: Collection[UUID]) -> set[Holds]:
    if not holds:
        return set()
    return {frozenset((row["one"], row["other"])) for row in await tx.fetch(APART, list(holds))}


async def keep_apart(tx: Tx, pairs: Collection[Holds]) -> None:
    if pairs:
        ordered = sorted(tuple(sorted(pair, key=lambda hold: hold.bytes)) for pair in pairs)
        await tx.execute(KEEP_APART, [pair[0] for pair in ordered], [pair[1] for pair in ordered])


async def questions_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, Question]:
    if not children:
        return {}
    return {row["question_id"]: _question(row) for row in await tx.fetch(QUESTIONS_OF, list(children))}


async def questions(tx: Tx, ids: Collection[UUID]) -> dict[UUID, tuple[Question, str]]:
    """Questions by id, each with the unit that decides."""
    if not ids:
        return {}
    return {row["question_id"]: (_question(row), row["unit"]) for row in await tx.fetch(QUESTIONS, list(ids))}


async def save_questions(tx: Tx, found: Sequence[tuple[Question, date]], unit: str) -> None:
    """New questions were asked of ``unit`` on this day; of old ones what changed is stored."""
    if found:
        questions = [one for one, _ in found]
        await tx.execute(
            SAVE_QUESTIONS,
            [one.question for one in questions],
            [one.child for one in questions],
            [one.other for one in questions],
            [_array(one.evidence) for one in questions],
            [_array(one.conflicts) for one in questions],
            [one.state for one in questions],
            [_array(map(str, one.asked_of)) for one in questions],
            [day for _, day in found],
            unit,
        )


async def settled(tx: Tx, answers: Mapping[UUID, tuple[date, str, str]]) -> None:
    """Question -> (day, unit, role) of who answered."""
    if answers:
        rows = ((question, *answer) for question, answer in answers.items())
        await tx.execute(SETTLED, *(list(column) for column in zip(*rows, strict=True)))


async def hand_over(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """(event, child, from child, reason, records, day, unit, role)"""
    if rows:
        await tx.executemany(HAND_OVER, rows)


async def verified(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """(event, child, unit, role, person, day, outcome)"""
    if rows:
        await tx.executemany(VERIFIED, rows)


def _question(row: Record) -> Question:
    return Question(
        row["question_id"],
        row["child_id"],
        row["other_id"],
        tuple(row["evidence"]),
        tuple(row["conflicts"]),
        row["state"],
        tuple(row["asked_of"]),
    )


# ---------------------------------------------------------------------------------------------------------- findings

TELL = """
    INSERT INTO finding (finding_id, child_id, named)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
        ON CONFLICT (finding_id) DO NOTHING
"""

TOLD = "SELECT finding_id, child_id, named FROM finding WHERE finding_id = ANY($1::uuid[])"

TOLD_OF = "SELECT finding_id, child_id, named FROM finding WHERE child_id = ANY($1::uuid[])"

MOVE_FINDINGS = """
    UPDATE finding
       SET child_id = new.child_id,
           identity = CASE WHEN finding.child_id = new.child_id THEN finding.identity ELSE new.identity END
      FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS new (finding_id, child_id, identity)
     WHERE finding.finding_id = new.finding_id
"""

KEEP_FINDING = "UPDATE finding SET identity = $2, sealed = $3 WHERE finding_id = $1"

FINDING_IDENTITIES = """
    SELECT finding_id, child_id, identity FROM finding WHERE finding_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

FINDING_IDENTITIES_OF = """
    SELECT finding_id, child_id, identity FROM finding WHERE child_id = ANY($1::uuid[]) AND identity IS NOT NULL
"""

STANDING = """
    WITH RECURSIVE chain (asked, child_id) AS (
        SELECT child_id, child_id FROM unnest($1::uuid[]) AS wanted (child_id)
        UNION
        SELECT chain.asked, child.absorbed_by
          FROM chain
          JOIN child USING (child_id)
         WHERE child.absorbed_by IS NOT NULL
    )
    SELECT chain.asked, child.child_id, child.number, child.state, child.residence, child.destroyed
      FROM chain
      JOIN child USING (child_id)
     WHERE child.absorbed_by IS NULL
"""

HOLD_STILL = "SELECT FROM child WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR SHARE"

ABSORBED = """
    WITH RECURSIVE tree (child_id, top) AS (
        SELECT child_id, child_id FROM unnest($1::uuid[]) AS wanted (child_id)
        UNION
        SELECT child.child_id, tree.top
          FROM tree
          JOIN child ON child.child_id = ANY((SELECT absorbs FROM child WHERE child_id = tree.child_id)::uuid[])
    )
    SELECT child_id, top FROM tree
"""


async def tell(tx: Tx, findings: Mapping[UUID, Told]) -> None:
    """Say which child a finding is about, unless that is known; waits for whoever is saying it just now.

    Always before files are locked, and in the order of the ids: so nobody waits in a circle.
    """
    ids = sorted(findings, key=lambda finding: finding.bytes)
    await tx.execute(TELL, ids, [findings[one].child for one in ids], [findings[one].named for one in ids])


async def told(tx: Tx, ids: Collection[UUID]) -> dict[UUID, Told]:
    if not ids:
        return {}
    rows = await tx.fetch(TOLD, list(ids))
    return {row["finding_id"]: Told(row["child_id"], row["named"]) for row in rows}


async def told_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, Told]:
    if not children:
        return {}
    rows = await tx.fetch(TOLD_OF, list(children))
    return {row["finding_id"]: Told(row["child_id"], row["named"]) for row in rows}


async def move_findings(tx: Tx, rows: Sequence[tuple[UUID, UUID, bytes | None]]) -> None:
    """(finding, child, identity under that child's key)"""
    if rows:
        await tx.execute(MOVE_FINDINGS, *(list(column) for column in zip(*rows, strict=True)))


async def keep_findings(tx: Tx, rows: Sequence[tuple[UUID, bytes | None, bytes | None]]) -> None:
    """(finding, identity under its child's key, or as intake sealed it)"""
    if rows:
        await tx.executemany(KEEP_FINDING, rows)


async def finding_identities(tx: Tx, ids: Collection[UUID]) -> dict[UUID, EncryptedIdentity]:
    rows = await tx.fetch(FINDING_IDENTITIES, list(ids))
    return {
        row["finding_id"]: EncryptedIdentity(row["finding_id"], row["child_id"], row["identity"], department=False)
        for row in rows
    }


async def finding_identities_of(tx: Tx, children: Collection[UUID]) -> list[EncryptedIdentity]:
    rows = await tx.fetch(FINDING_IDENTITIES_OF, list(children))
    return [EncryptedIdentity(row["finding_id"], row["child_id"], row["identity"], department=False) for row in rows]


@dataclass(frozen=True, slots=True)
class Standing:
    """The file that now stands for a child's id."""

    child: UUID
    number: str
    state: str
    residence: str | None
    destroyed: bool = False
    """Its key was destroyed: nobody is meant by this id any more."""


async def hold_still(tx: Tx, children: Collection[UUID]) -> None:
    """Wait for whoever is changing these files, and let nobody change them until the transaction ends."""
    standing_now = {one.child for one in (await standing(tx, children)).values()}
    await tx.execute(HOLD_STILL, sorted(standing_now, key=lambda child: child.bytes))


async def standing(tx: Tx, children: Collection[UUID]) -> dict[UUID, Standing]:
    """The files that now stand for these ids, merges followed. Who is not on file is not in the answer."""
    if not children:
        return {}
    rows = await tx.fetch(STANDING, list(set(children)))
    return {
        row["asked"]: Standing(row["child_id"], row["number"], row["state"], row["residence"], row["destroyed"])
        for row in rows
    }


async def absorbed(tx: Tx, children: Collection[UUID]) -> dict[UUID, UUID]:
    """Every file that these stand for, themselves included -> the file that stands."""
    if not children:
        return {}
    return {row["child_id"]: row["top"] for row in await tx.fetch(ABSORBED, list(children))}


# -------------------------------------------------------------------------------------------------------- whole files

WATCH = "SELECT pg_advisory_xact_lock_shared(hashtext('submission_end'), hashtext(current_schema()))"
CLOSE = "SELECT pg_advisory_xact_lock(hashtext('submission_end'), hashtext(current_schema()))"

ENDS = "SELECT unit, dataset, lane, number, period, valid_on FROM submission_end"

SAVE_ENDS = """
    INSERT INTO submission_end (unit, dataset, lane, number, period, valid_on)
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::text[], $6::date[])
        ON CONFLICT (unit, dataset, lane)
        DO UPDATE SET number = excluded.number, period = excluded.period, valid_on = excluded.valid_on
"""


async def watch_ends(tx: Tx, *, closing: bool) -> None:
    """Until the transaction ends no file is closed by others (``closing``: nor does anybody else change one).

    So no child can become one that a whole file changes in the moment when such children are looked for. Always the
    first thing a batch does, before it locks anything: so nobody waits in a circle.
    """
    await tx.execute(CLOSE if closing else WATCH)


async def ends(tx: Tx) -> dict[tuple[str, str, int], End]:
    rows = await tx.fetch(ENDS)
    return {
        (row["unit"], row["dataset"], row["lane"]): End(row["number"], row["period"], row["valid_on"]) for row in rows
    }


async def save_ends(tx: Tx, changed: Mapping[tuple[str, str, int], End]) -> None:
    if changed:
        places = sorted(changed)
        await tx.execute(
            SAVE_ENDS,
            [place[0] for place in places],
            [place[1] for place in places],
            [place[2] for place in places],
            [changed[place].number for place in places],
            [changed[place].period for place in places],
            [changed[place].valid_on for place in places],
        )


# ------------------------------------------------------------------------------------------------------- disclosures

LOCK_DISCLOSURES = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, gone_from
      FROM disclosure
     WHERE referral_id = ANY($1::uuid[])
     ORDER BY referral_id
       FOR UPDATE
"""

LOCK_OPEN_DISCLOSURES = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, gone_from
      FROM disclosure
     WHERE child_id = ANY($1::uuid[]) AND unit IS NOT NULL
     ORDER BY referral_id
       FOR UPDATE
"""

SAVE_DISCLOSURES = """
    INSERT INTO disclosure (referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist,
                            digest, gone_from)
    SELECT referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist::text[], digest,
           gone_from::text[]
      FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::int[], $6::text[], $7::boolean[], $8::text[],
                  $9::text[], $10::bytea[], $11::text[])
           AS new (referral_id, child_id, partition, finding_id, version, unit, restricted, route, whitelist, digest,
                   gone_from)
        ON CONFLICT (referral_id)
        DO UPDATE SET child_id = excluded.child_id, partition = excluded.partition, version = excluded.version,
                      finding_id = excluded.finding_id, unit = excluded.unit, route = excluded.route,
                      whitelist = excluded.whitelist, digest = excluded.digest, gone_from = excluded.gone_from
"""

LOG_DISCLOSURES = """
    INSERT INTO disclosure_log (event_id, child_id, referral_id, unit, route, fields, at)
    SELECT event_id, child_id, referral_id, unit, route, fields::text[], at
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
           AS new (event_id, child_id, referral_id, unit, route, fields, at)
"""

GONE = """
    SELECT referral_id, child_id, finding_id, version, unit, restricted, route, whitelist, digest, gone_from
      FROM disclosure
     WHERE partition = $1 AND gone_from <> '{}' AND referral_id > $2
     ORDER BY referral_id
     LIMIT $3
       FOR UPDATE
"""

FORGET_GONE = "UPDATE disclosure SET gone_from = '{}' WHERE referral_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What one referral lets somebody read."""

    referral: UUID
    child: UUID
    finding: UUID | None
    version: int
    unit: str | None
    restricted: bool
    """Of the referral, from its first move to its last: which of the unit's log-ins and keys it is for."""
    route: str
    whitelist: tuple[str, ...]
    digest: bytes | None = None
    gone_from: tuple[str, ...] = ()


async def lock_disclosures(tx: Tx, referrals: Collection[UUID]) -> dict[UUID, Disclosure]:
    rows = await tx.fetch(LOCK_DISCLOSURES, list(referrals))
    return {row["referral_id"]: _disclosure(row) for row in rows}


async def lock_open_disclosures(tx: Tx, children: Collection[UUID]) -> list[Disclosure]:
    """Disclosures about these children that somebody may read now."""
    return [_disclosure(row) for row in await tx.fetch(LOCK_OPEN_DISCLOSURES, list(children))]


async def save_disclosures(tx: Tx, rows: Sequence[tuple[Disclosure, int]]) -> None:
    """Each with the partition of its child."""
    if rows:
        columns = zip(
            *(
                (
                    one.referral,
                    one.child,
                    partition,
                    one.finding,
                    one.version,
                    one.unit,
                    one.restricted,
                    one.route,
                    _array(one.whitelist),
                    one.digest,
                    _array(one.gone_from),
                )
                for one, partition in rows
            ),
            strict=True,
        )
        await tx.execute(SAVE_DISCLOSURES, *(list(column) for column in columns))


async def log_disclosures(tx: Tx, rows: Sequence[tuple[UUID, Disclosure, Sequence[str], datetime]]) -> None:
    """(event, disclosure, names of the fields, when)"""
    if rows:
        columns = zip(
            *(
                (event, one.child, one.referral, one.unit, one.route, _array(fields), at)
                for event, one, fields, at in rows
            ),
            strict=True,
        )
        await tx.execute(LOG_DISCLOSURES, *(list(column) for column in columns))


async def gone(tx: Tx, partition: int, after: UUID, limit: int) -> list[Disclosure]:
    """Disclosures that were taken back lately from units that could read them."""
    return [_disclosure(row) for row in await tx.fetch(GONE, partition, after, limit)]


async def forget_gone(tx: Tx, referrals: Collection[UUID]) -> None:
    await tx.execute(FORGET_GONE, list(referrals))


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
        tuple(row["gone_from"]),
    )


# ---------------------------------------------------------------------------------------------------------- shredding

DESTROY = (
    "SELECT FROM child WHERE child_id = ANY($1::uuid[]) ORDER BY child_id FOR UPDATE",
    "DELETE FROM child_key WHERE child_id = ANY($1::uuid[])",
    "DELETE FROM lookup WHERE child_id = ANY($1::uuid[])",
    """
    UPDATE record SET evidence = '\\x00', identity = NULL, birth_date = NULL, content = '', hold = NULL
     WHERE child_id = ANY($1::uuid[])
    """,
    "UPDATE finding SET identity = NULL, sealed = NULL WHERE child_id = ANY($1::uuid[])",
    # What an agency still has is taken back when the day turns.
    """
    UPDATE disclosure SET digest = NULL, gone_from = array_append(array_remove(gone_from, unit), unit)
     WHERE child_id = ANY($1::uuid[]) AND unit IS NOT NULL AND digest IS NOT NULL
    """,
    """
    UPDATE child SET destroyed = true, contested = '{}', child_version = child_version + 1
     WHERE child_id = ANY($1::uuid[])
    """,
)


async def destroy_keys(tx: Tx, child: UUID) -> None:
    """Make a child unreadable for ever, with all files that are one with it. Facts, which name nobody, stay.

    Nothing is added to its file after that: whatever is said of the child from then on founds another.
    """
    await watch_ends(tx, closing=True)  # no merge is under way that would carry records out of the tree
    tops = {one.child for one in (await standing(tx, [child])).values()}
    tree = list(await absorbed(tx, tops))
    for statement in DESTROY:
        await tx.execute(statement, tree)
