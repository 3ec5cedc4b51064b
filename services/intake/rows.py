"""Processes the rows of one unit's batch: each is parsed or found unchanged, emitted if it changed, and answered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID, uuid5

from contracts.intake import Row
from runtime import InboundEvent, OutboundEvent, Tx
from services.intake import events, store
from services.intake.domain import submission as files
from services.intake.domain.problem import Problem
from services.intake.domain.row import ColumnMapping, ReadRow, natural_key, read_row
from services.intake.domain.submission import Submission
from services.intake.malformed import MalformedMessage
from services.intake.parsers import Parsers
from services.intake.secrets import Seal, Secrets

RowOutcome = Literal["changed", "refused", "unchanged", "repeated"]
"""What becomes of a row. ``changed``: its record is emitted, and it counts as accepted whole or with dropped cells.
``repeated``: the same row of the same file was sent again; it is neither counted nor answered again."""


@dataclass(slots=True)
class _PendingRow:
    """A row while the batch is processed."""

    inbound: InboundEvent[Row | MalformedMessage]
    file: Submission | None
    dataset: str
    mapping: ColumnMapping | None = None
    """None if the row is refused without being parsed, or belongs to a file whose rows are skipped."""
    row: ReadRow | None = None
    """None if the row was not parsed."""
    problems: Sequence[Problem] = ()
    identifies_person: bool = False
    record: UUID | None = None
    raw_hash: bytes | None = None
    """Keyed hash of the raw cells; None if the row cannot be found unchanged by it."""
    identity: bytes = b""
    content_hash: bytes = b""
    """Keyed hash of the parsed content."""

    @property
    def number(self) -> int | None:
        """The row's number in its file; None if it is out of range."""
        return files.row_number(self.inbound.event.number)

    @property
    def dedupe_key(self) -> store.SeenKey | None:
        """The import attempt and the record, or the position key of a row without a record; None outside open files."""
        if self.record is None or self.file is None or self.file.state != "open":
            return self.position_key
        return self.file.attempt_id, self.record

    @property
    def position_key(self) -> store.SeenKey | None:
        """The import attempt and an id made from the row's number in the file."""
        if self.number is None or self.file is None or self.file.state != "open":
            return None
        return self.file.attempt_id, uuid5(self.file.attempt_id, str(self.number))

    @property
    def is_skipped(self) -> bool:
        """The row belongs to a file that was answered as it began."""
        return self.file is not None and self.file.skipped


class _Stored(NamedTuple):
    """The stored state of this batch's rows, and the batch's additions to it."""

    records: dict[UUID, store.StoredRecord]
    seen: dict[store.SeenKey, store.SeenRow]
    new_records: dict[UUID, tuple[str | None, store.StoredRecord]]
    """Record -> (birth date, stored record)."""
    new_seen: dict[store.SeenKey, store.SeenRow]

    def keep(self, pending: _PendingRow, record: UUID, row: ReadRow) -> None:
        """Record the record's last content."""
        self.records[record] = store.StoredRecord(pending.content_hash, pending.raw_hash)
        self.new_records[record] = events.iso(row.birth_date), self.records[record]

    def see(self, key: store.SeenKey, seen: store.SeenRow) -> None:
        """Record that the import attempt has processed this row."""
        self.seen[key] = self.new_seen[key] = seen


@dataclass(slots=True)
class _ReceiptPart:
    """The part of a receipt that answers this batch's rows of one file, or its rows without a file."""

    last: InboundEvent[Row | MalformedMessage]
    """The last row; it causes the receipt."""
    counts: events.RowCounts = field(default_factory=events.RowCounts)
    problems: list[Problem] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)
    """``ce_id`` of each row without a file."""


class RowProcessor:
    """Processes rows against the unit's files, which it updates in place."""

    def __init__(
        self,
        tx: Tx,
        unit: str,
        parsers: Parsers,
        secrets: Secrets,
        now: datetime | None,
        submissions: Mapping[UUID, Submission],
    ) -> None:
        self._tx = tx
        self._unit = unit
        self._parsers = parsers
        self._secrets = secrets
        self._now = now
        self._seal: Seal | None = None
        self._files = submissions

    async def process(self, rows: Sequence[InboundEvent[Row | MalformedMessage]]) -> list[OutboundEvent]:
        """Parse consecutive rows, save what changed; return changed records and the receipts."""
        pending = [self._precheck(inbound) for inbound in rows]
        stored = await self._load_and_parse(pending)
        emitted: list[OutboundEvent] = []
        parts: dict[UUID | None, _ReceiptPart] = {}
        for row in pending:
            if row.is_skipped:
                continue
            outcome = _decide(row, stored)
            if outcome == "repeated":
                continue
            if outcome == "changed":
                emitted.append(self._changed_record(row, stored))
            elif outcome == "unchanged" and row.record and row.row and row.raw_hash:
                # Typed differently, or parsed under another version: from now on the raw hash is enough.
                stored.keep(row, row.record, row.row)
            _count(row, outcome, parts)
        await store.save_records(self._tx, stored.new_records)
        await store.save_seen_rows(self._tx, stored.new_seen)
        return [*emitted, *self._receipts(parts)]

    async def _load_and_parse(self, pending: Sequence[_PendingRow]) -> _Stored:
        """Parse the rows that are not unchanged by their raw hash, and load what is stored about all of them."""
        predicted = {row.record for row in pending if row.record is not None}
        records = await store.load_records(self._tx, predicted)
        for row in pending:
            if row.mapping is None:
                continue
            last = records.get(row.record) if row.record is not None else None
            if last is not None and row.raw_hash is not None and last.raw_hash == row.raw_hash:
                row.identifies_person, row.content_hash = True, last.content_hash
            else:
                self._parse(row, row.mapping)
        actual = {row.record for row in pending if row.record is not None}
        records |= await store.load_records(self._tx, actual - predicted)
        seen = await store.load_seen_rows(self._tx, {key for row in pending if (key := row.dedupe_key) is not None})
        seen |= await store.load_seen_rows(self._tx, _positions_of_duplicates(pending, seen))
        return _Stored(records, seen, {}, {})

    def _precheck(self, inbound: InboundEvent[Row | MalformedMessage]) -> _PendingRow:
        """Find out without parsing whether a row is refused, and which record and raw hash it probably has."""
        event = inbound.event
        file = self._files.get(event.submission) if event.submission is not None else None
        if isinstance(event, MalformedMessage):
            return _PendingRow(inbound, file, "", problems=(event.problem("row"),))
        dataset = file.dataset if file is not None else event.dataset or ""
        row = _PendingRow(inbound, file, dataset)
        if row.is_skipped:
            return row
        if event.submission is not None:
            refusal, row.mapping = self._mapping_in_file(event, file)
        else:
            refusal, row.mapping = self._mapping_of_single_row(event, dataset)
        if refusal is not None:
            row.problems = (refusal,)
        if row.mapping is None or event.valid_on is not None or (file is not None and file.outcome == "older_period"):
            return row
        key = natural_key(row.mapping, event.cells)
        if key is not None and (cells := events.canonical_cells(event.cells)) is not None:
            row.record = self._secrets.record_id(self._unit, dataset, key)
            parsed_with = f"{self._parsers.county.version}/{row.mapping.date_1904}".encode()
            row.raw_hash = self._secrets.content_hash(parsed_with, cells)
        return row

    def _mapping_in_file(self, event: Row, file: Submission | None) -> tuple[Problem | None, ColumnMapping | None]:
        """Return why a row of a file is refused without being parsed, or else its column mapping."""
        number = files.row_number(event.number)
        if file is None:
            return Problem("no_begin", "row", number), None
        if file.state != "open":
            return Problem("after_end", "row", number), None
        mapping = self._parsers.mapping(file.dataset, file.columns, file.date_1904)
        if mapping is None:
            return _refusal("dataset_unknown", number, dataset=files.shorten(file.dataset)), None
        if not event.cells.keys() <= mapping.headers:
            unannounced = [header for header in event.cells if header not in mapping.headers]
            return _refusal("column_not_announced", number, columns=files.list_masked_headers(unannounced)), None
        return None, mapping

    def _mapping_of_single_row(self, event: Row, dataset: str) -> tuple[Problem | None, ColumnMapping | None]:
        """Return why a row without a file is refused without being parsed, or else its column mapping."""
        number = files.row_number(event.number)
        if not dataset:
            return Problem("no_dataset", "row", number), None
        if not self._parsers.sender(self._unit).registered:
            return Problem("unit_unknown", "row", number), None
        registered = self._parsers.dataset(self._unit, dataset)
        mapping = self._parsers.mapping(dataset, event.cells)
        if registered is None or mapping is None:
            return _refusal("dataset_unknown", number, dataset=files.shorten(dataset)), None
        if not registered.belongs_to_unit:
            return _refusal("dataset_of_another_unit", number, dataset=files.shorten(dataset)), None
        if mapping.forbidden:
            return _refusal("column_forbidden", number, columns=files.list_headers(mapping.forbidden)), None
        if mapping.unregistered:
            return _refusal("column_unknown", number, columns=files.list_masked_headers(mapping.unregistered)), None
        return None, mapping

    def _parse(self, pending: _PendingRow, mapping: ColumnMapping) -> ReadRow:
        """Parse a row. Its raw hash is kept only if it has no problem: problems are reported every time."""
        event = pending.inbound.event
        assert isinstance(event, Row)
        _, on = events.recorded_time(pending.inbound, self._now)
        row = pending.row = read_row(mapping, event.cells, number=pending.number, on=on)
        pending.identifies_person = row.identifies_person
        problems = list(row.problems)
        if not row.identifies_person:
            problems.append(Problem("names_nobody", "row", pending.number))
        if event.valid_on is not None and event.valid_on > on:
            problems.append(Problem("valid_on_future", "nothing", pending.number))
        pending.problems = problems
        pending.record = None if row.key is None else self._secrets.record_id(self._unit, pending.dataset, row.key)
        if problems:
            pending.raw_hash = None
        if row.identifies_person:
            pending.identity = events.canonical_json(row.identity)
            facts, flags = events.canonical_json(row.facts), ",".join(row.flags).encode()
            pending.content_hash = self._secrets.content_hash(pending.identity, facts, flags)
        return row

    def _changed_record(self, pending: _PendingRow, stored: _Stored) -> OutboundEvent:
        assert pending.record is not None
        assert pending.mapping is not None
        row = pending.row or self._parse(pending, pending.mapping)
        stored.keep(pending, pending.record, row)
        if self._seal is None:
            self._seal = self._secrets.new_seal()
        return events.record_read(
            pending.inbound,
            self._now,
            row,
            record=pending.record,
            unit=self._unit,
            dataset=pending.dataset,
            file=pending.file,
            identity=self._seal(pending.identity, pending.record),
            content_hash=pending.content_hash,
        )

    def _receipts(self, parts: Mapping[UUID | None, _ReceiptPart]) -> Iterator[OutboundEvent]:
        for submission, part in parts.items():
            at, _ = events.recorded_time(part.last, self._now)
            for answer in events.rows_answered(self._unit, submission, part.counts, part.problems, part.answers):
                yield events.emit(part.last, answer, at, submission)


def _decide(row: _PendingRow, stored: _Stored) -> RowOutcome:
    """Decide what becomes of a row, in the order of the file."""
    earlier = stored.seen.get(row.dedupe_key) if row.dedupe_key is not None else None
    this = row.number, row.content_hash if row.identifies_person else None
    key = row.dedupe_key if earlier is None or earlier[0] == row.number else row.position_key
    if row.number is not None and key is not None and stored.seen.get(key) == this:
        return "repeated"
    if key is not None and key not in stored.seen:
        stored.see(key, this)
    if not row.identifies_person or row.record is None:
        return "refused"
    if row.file is not None and row.file.outcome == "older_period":
        return "unchanged"
    if earlier is not None and earlier[1] is not None and earlier[1] != row.content_hash:
        first = "？" if earlier[0] is None else str(earlier[0])
        row.problems = [*row.problems, _refusal("duplicate_row", row.number, first=first)]
        return "refused"
    last = stored.records.get(row.record)
    return "unchanged" if last is not None and last.content_hash == row.content_hash else "changed"


def _count(row: _PendingRow, outcome: RowOutcome, parts: dict[UUID | None, _ReceiptPart]) -> None:
    """Count a row in its receipt, and in its file while that is open."""
    submission = row.inbound.event.submission
    part = parts.setdefault(submission, _ReceiptPart(row.inbound))
    part.last = row.inbound
    if submission is None:
        part.answers.append(row.inbound.envelope.id)
    part.problems += row.problems
    counted: list[events.RowCounts | Submission] = [part.counts]
    if row.file is not None and row.file.state == "open":
        counted.append(row.file)
        row.file.changed = True
    for counts in counted:
        counts.read += 1
        if outcome == "refused":
            counts.refused += 1
        elif outcome == "unchanged":
            counts.unchanged += 1
        elif any(problem.refused == "cell" for problem in row.problems):
            counts.accepted_with_drops += 1
        else:
            counts.accepted += 1


def _positions_of_duplicates(
    rows: Iterable[_PendingRow], seen: Mapping[store.SeenKey, store.SeenRow]
) -> set[store.SeenKey]:
    """Return the position keys of rows whose record was at another position of the same file before."""
    numbers = {key: number for key, (number, _) in seen.items()}
    positions = set()
    for row in rows:
        key, position = row.dedupe_key, row.position_key
        if key is not None and numbers.setdefault(key, row.number) != row.number and position is not None:
            positions.add(position)
    return positions


def _refusal(code: str, number: int | None, **parameters: str) -> Problem:
    return Problem(code, "row", number, parameters=tuple(parameters.items()))
