"""Where one unit's batch is served: files are taken, rows are read or known again, both are answered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from contracts.intake import (
    Begin,
    End,
    RecordDisappeared,
    RecordRead,
    Row,
    RowsAnswered,
    SubmissionAnswered,
    SubmissionEnded,
)
from runtime import InboundEvent, OutboundEvent, Tx
from services.intake import store
from services.intake.domain import submission as files
from services.intake.domain.problem import Problem
from services.intake.domain.row import ColumnMapping, ReadRow, natural_key, read_row
from services.intake.domain.submission import Submission
from services.intake.events import (
    canonical_cells,
    canonical_json,
    emit,
    facts_of,
    iso,
    published_problems,
    recorded_time,
    split_by_size,
)
from services.intake.malformed import MalformedMessage
from services.intake.parsers import Parsers
from services.intake.secrets import Seal, Secrets

_SPACE = UUID("5b7c1f0e-3f5a-5f0b-9d57-0a6f2d8f4c11")
"""Of attempts to read a file."""
RowOutcome = Literal["said", "whole", "dropped", "refused", "unchanged", "again"]
"""Of a row. ``said``: it will be said onward, and counts as taken whole or with dropped cells. ``again``: it was sent
twice, and is neither counted nor answered twice."""


@dataclass(slots=True)
class _ReceiptPart:
    """Part of a receipt while it is written: of the rows of one file, or of rows on their own."""

    last: InboundEvent[Row | MalformedMessage]
    """The row that causes it to be said."""
    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)


def _count(counted: _ReceiptPart | Submission, fate: RowOutcome) -> None:
    counted.read += 1
    if fate == "whole":
        counted.accepted += 1
    elif fate == "dropped":
        counted.accepted_with_drops += 1
    elif fate == "refused":
        counted.refused += 1
    else:
        counted.unchanged += 1


@dataclass(slots=True)
class _PendingRow:
    """A row on its way through the batch."""

    inbound: InboundEvent[Row | MalformedMessage]
    file: Submission | None
    dataset: str
    mapping: ColumnMapping | None = None
    """None: it is refused unread, or belongs to a file that is not read."""
    row: ReadRow | None = None
    """None: not read, or known again without reading."""
    problems: Sequence[Problem] = ()
    named: bool = False
    """It says whom it is about."""
    record: UUID | None = None
    raw_hash: bytes | None = None
    """Keyed hash of the cells as they stand. None: nothing is known again by it."""
    identity: bytes = b""
    content_hash: bytes = b""

    @property
    def dedupe_key(self) -> tuple[UUID, UUID] | None:
        """By what the row is known again in its file: the pass over it, and the record, or else the row's place."""
        if self.record is None or self.file is None or self.file.state != "open":
            return self.position_key
        return self.file.attempt_id, self.record

    @property
    def position_key(self) -> tuple[UUID, UUID] | None:
        """The pass over the file, and an id of the row's number in it."""
        number = _number(self.inbound.event)
        if number is None or self.file is None or self.file.state != "open":
            return None
        return self.file.attempt_id, uuid5(self.file.attempt_id, str(number))


class SubmissionProcessor:
    """Where one unit's batch is served."""

    def __init__(
        self,
        tx: Tx,
        unit: str,
        plans: Parsers,
        secrets: Secrets,
        now: datetime | None,
        submissions: dict[UUID, Submission],
    ) -> None:
        self._tx = tx
        self._unit = unit
        self._plans = plans
        self._secrets = secrets
        self._now = now
        self._seal: Seal | None = None
        self._files = submissions

    async def save(self) -> None:
        changed = [file for file in self._files.values() if file.changed]
        await store.save_submissions(self._tx, self._unit, changed)
        for file in changed:
            file.changed = False

    async def begin(self, heard: InboundEvent[Begin]) -> list[OutboundEvent]:
        event = heard.event
        at, on = recorded_time(heard, self._now)
        file_sha256 = files.normalized_hash(event.file_sha256)
        coverage: files.Coverage = event.coverage or "unstated"
        before = self._files.get(event.submission)
        if before is not None and before.fully_processed:
            same = before.is_same_file(
                dataset=event.dataset,
                period=event.period,
                coverage=coverage,
                rows=event.rows,
                file_sha256=file_sha256,
            )
            if not same or not before.newly_states_coverage(coverage):
                before.state, before.changed = "repeated", True
                if same:
                    return [self._unread(heard, at, "same_again", (Problem("same_file", "file"),))]
                return [self._unread(heard, at, "refused", (Problem("submission_reused", "file"),))]
        registered = self._plans.dataset(self._unit, event.dataset)
        troubles = files.problems_at_begin(
            dataset=event.dataset,
            dataset_entry=registered,
            unit_registered=self._plans.sender(self._unit).registered,
            mapping=self._plans.mapping(event.dataset, event.columns, event.date_1904),
            period=event.period,
            empty=event.rows == 0 and event.coverage == "full",
            on=on,
        )
        outcome: files.Outcome = "taken"
        if troubles:
            outcome = "refused"
        elif file_sha256 is not None and await store.was_accepted_before(
            self._tx, self._unit, event.dataset, file_sha256, self._plans.county.version, coverage
        ):
            outcome, troubles = "same_again", (Problem("same_file", "file"),)
        else:
            newest = await store.load_newest_period(self._tx, self._unit, event.dataset)
            if newest is not None and event.period < newest:
                outcome = "older_period"
        if before is not None:
            await store.delete_attempt(self._tx, before.attempt_id)
        attempt = 1 if before is None else before.attempt_number + 1
        refused = outcome == "refused"
        self._files[event.submission] = Submission(
            id=event.submission,
            # Of a refused file nothing is kept that the sender wrote.
            dataset="" if refused else event.dataset,
            period="" if refused else event.period,
            coverage=coverage,
            state="answered" if troubles else "open",
            outcome=outcome,
            columns=() if troubles else event.columns,
            date_1904=event.date_1904,
            announced=min(event.rows, files.MAX_ROWS),
            file_sha256=None if refused else file_sha256,
            county_version=self._plans.county.version,
            valid_on=on if refused else files.valid_date(event.period, event.valid_on, on),
            began_on=on,
            late=not refused and on > files.due_date(event.period, self._plans.county.cadence.submission_due),
            attempt_number=attempt,
            attempt_id=uuid5(_SPACE, f"pass/{self._unit}/{event.submission}/{attempt}"),
        )
        if troubles:
            return [self._unread(heard, at, outcome, troubles)]
        await store.delete_unfinished(self._tx, self._unit, event.dataset, on)
        return []

    async def end(self, heard: InboundEvent[End]) -> list[OutboundEvent]:
        event = heard.event
        at, _ = recorded_time(heard, self._now)
        file = self._files.get(event.submission)
        if file is None:
            return [self._nothing_read(heard, at, event.submission, Problem("no_begin", "file"))]
        if file.skipped:
            if file.state == "repeated":
                file.state, file.changed = "answered", True
            return []
        if file.state == "answered":
            return [self._answer(heard, at, file, "same_again", (Problem("same_file", "file"),))]
        newest = await store.load_newest_period(self._tx, self._unit, file.dataset)
        plan = self._plans.mapping(file.dataset, file.columns, file.date_1904)
        ended = min(event.rows, files.MAX_ROWS)
        remarks = files.remarks_at_end(file, mapping=plan, stated_rows=ended, newest=newest)
        complete = files.is_complete(file, ended)
        file.state, file.columns, file.changed = "answered", (), True
        if ended != file.read:
            file.announced = ended
        said: list[OutboundEvent] = []
        disappeared: list[tuple[UUID, str | None]] = []
        if file.outcome == "taken":
            whole = file.coverage == "full" and complete and not files.mostly_refused(file)
            if whole:
                disappeared = await store.delete_disappeared(self._tx, self._unit, file.dataset, file.attempt_id)
            await store.save_dataset(
                self._tx, self._unit, file.dataset, file.period, file.attempt_id if whole else None
            )
            await self._overtake(file)
            said += [
                emit(
                    heard,
                    RecordDisappeared(
                        record=record, unit=self._unit, dataset=file.dataset, period=file.period, birth_date=born
                    ),
                    at,
                    file.id,
                )
                for record, born in disappeared
            ]
            dated = SubmissionEnded(
                submission=file.id,
                unit=self._unit,
                dataset=file.dataset,
                period=file.period,
                valid_on=file.valid_on,
                coverage="full" if whole else "delta",
            )
            said.append(emit(heard, dated, at, file.id))
        else:
            whole = False
        if not whole:
            await store.delete_attempt(self._tx, file.attempt_id)
        said.append(self._answer(heard, at, file, file.outcome, remarks, len(disappeared)))
        return said

    async def _overtake(self, newer: Submission) -> None:
        """Files of older periods that are still coming are only checked from here on."""
        for file in self._files.values():
            if (file.dataset, file.state, file.outcome) == (newer.dataset, "open", "taken"):
                if file.period < newer.period:
                    file.outcome, file.changed = "older_period", True
        await store.supersede_open_files(self._tx, self._unit, newer.dataset, newer.period)

    def answer_malformed(self, heard: InboundEvent[MalformedMessage]) -> list[OutboundEvent]:
        """Answer what could not be read and is no row."""
        event = heard.event
        at, _ = recorded_time(heard, self._now)
        trouble = _unreadable("file", event)
        if event.type == Begin.kind and event.fields == ("coverage",):
            trouble = Problem("coverage_unknown", "file")
        if event.submission is not None:
            return [self._nothing_read(heard, at, event.submission, trouble)]
        answer = RowsAnswered(
            unit=self._unit,
            submission=None,
            read=0,
            accepted=0,
            accepted_with_drops=0,
            refused=0,
            unchanged=0,
            problems=published_problems([trouble]),
            answers=(heard.envelope.id,),
        )
        return [emit(heard, answer, at)]

    def _nothing_read(
        self,
        heard: InboundEvent[End] | InboundEvent[MalformedMessage],
        at: datetime,
        submission: UUID,
        trouble: Problem,
    ) -> OutboundEvent:
        """The answer to a beginning or an end that belongs to no file."""
        answer = SubmissionAnswered(
            unit=self._unit,
            submission=submission,
            dataset="",
            period="",
            outcome="refused",
            rows=0,
            accepted=0,
            accepted_with_drops=0,
            refused=0,
            unchanged=0,
            problems=published_problems([trouble]),
        )
        return emit(heard, answer, at, submission)

    async def rows(self, run: Sequence[InboundEvent[Row | MalformedMessage]]) -> list[OutboundEvent]:
        """Read rows, or know them again; say onward what changed; answer all."""
        understood = [self._glance(heard) for heard in run]
        guessed = {one.record for one in understood if one.record is not None}
        kept = await store.load_records(self._tx, guessed)
        for one in understood:
            if one.mapping is not None:
                known = kept.get(one.record) if one.record is not None else None
                if known is not None and one.raw_hash is not None and known.raw_hash == one.raw_hash:
                    one.named, one.content_hash = True, known.content_hash
                else:
                    self._read(one, one.mapping)
        kept |= await store.load_records(
            self._tx, {one.record for one in understood if one.record is not None} - guessed
        )
        met = await store.load_seen_rows(self._tx, {pair for one in understood if (pair := one.dedupe_key) is not None})
        met |= await store.load_seen_rows(self._tx, _places_of_doubles(understood, met))
        said: list[OutboundEvent] = []
        changed: dict[UUID, tuple[str | None, store.StoredRecord]] = {}
        newly_met: dict[tuple[UUID, UUID], store.SeenRow] = {}
        parts: dict[UUID | None, _ReceiptPart] = {}
        for one in understood:
            if one.file is not None and one.file.skipped:
                continue
            submission = one.inbound.event.submission
            fate = self._settle(one, kept, met, newly_met)
            if fate == "again":
                continue
            part = parts.setdefault(submission, _ReceiptPart(one.inbound))
            part.last = one.inbound
            if submission is None:
                part.answers.append(one.inbound.envelope.id)
            if fate == "said" and one.record is not None:
                row = one.row or self._read(one, one.mapping)
                kept[one.record] = store.StoredRecord(one.content_hash, one.raw_hash)
                changed[one.record] = (iso(row.birth_date), kept[one.record])
                said.append(self._record(one, row, one.record))
                fate = "dropped" if any(trouble.refused == "cell" for trouble in one.problems) else "whole"
            elif fate == "unchanged" and one.row is not None and one.raw_hash is not None and one.record is not None:
                # Written another way than last time, or read by another version: known at a glance from now on.
                kept[one.record] = store.StoredRecord(one.content_hash, one.raw_hash)
                changed[one.record] = (iso(one.row.birth_date), kept[one.record])
            part.problems += one.problems
            _count(part, fate)
            if one.file is not None and one.file.state == "open":
                _count(one.file, fate)
                one.file.changed = True
        await store.save_records(self._tx, changed)
        await store.save_seen_rows(self._tx, newly_met)
        for submission, part in parts.items():
            said += self._parts(submission, part)
        return said

    def _settle(
        self,
        one: _PendingRow,
        kept: Mapping[UUID, store.StoredRecord],
        met: dict[tuple[UUID, UUID], store.SeenRow],
        newly_met: dict[tuple[UUID, UUID], store.SeenRow],
    ) -> RowOutcome:
        """What becomes of a row, in the order of the file."""
        number = _number(one.inbound.event)
        before = met.get(one.dedupe_key) if one.dedupe_key is not None else None
        this = number, one.content_hash if one.named else None
        pair = one.dedupe_key if before is None or before[0] == number else one.position_key
        if number is not None and pair is not None and met.get(pair) == this:
            return "again"
        if pair is not None and pair not in met:
            met[pair] = newly_met[pair] = this
        if not one.named or one.record is None:
            return "refused"
        if one.file is not None and one.file.outcome == "older_period":
            return "unchanged"
        if before is not None and before[1] is not None and before[1] != one.content_hash:
            first = "？" if before[0] is None else str(before[0])
            one.problems = [*one.problems, _row("duplicate_row", number, first=first)]
            return "refused"
        known = kept.get(one.record)
        return "unchanged" if known is not None and known.content_hash == one.content_hash else "said"

    def _glance(self, heard: InboundEvent[Row | MalformedMessage]) -> _PendingRow:
        """What can be told of a row before it is read: that it is refused, or perhaps that it is as it was."""
        event = heard.event
        file = self._files.get(event.submission) if event.submission is not None else None
        if isinstance(event, MalformedMessage):
            return _PendingRow(heard, file, "", problems=(_unreadable("row", event),))
        dataset = file.dataset if file is not None else event.dataset or ""
        one = _PendingRow(heard, file, dataset)
        if file is not None and file.skipped:
            return one
        refused, one.mapping = self._refused_unread(event, file, dataset)
        if refused is not None:
            one.problems = (refused,)
        if one.mapping is None or event.valid_on is not None or (file is not None and file.outcome == "older_period"):
            return one
        key = natural_key(one.mapping, event.cells)
        if key is not None and (cells := canonical_cells(event.cells)) is not None:
            one.record = self._secrets.record_id(self._unit, dataset, key)
            manner = f"{self._plans.county.version}/{one.mapping.date_1904}".encode()
            one.raw_hash = self._secrets.content_hash(manner, cells)
        return one

    def _read(self, one: _PendingRow, plan: ColumnMapping | None) -> ReadRow:
        """Read a row whole. Its raw hash is kept only if nothing is wrong with it: troubles are told every time."""
        event = one.inbound.event
        assert plan is not None
        assert isinstance(event, Row)
        _, on = recorded_time(one.inbound, self._now)
        number = _number(event)
        row = one.row = read_row(plan, event.cells, number=number, on=on)
        one.named = row.identifies_person
        troubles = list(row.problems)
        if not row.identifies_person:
            troubles.append(Problem("names_nobody", "row", number))
        if event.valid_on is not None and event.valid_on > on:
            troubles.append(Problem("valid_on_future", "nothing", number))
        one.problems = troubles
        one.record = self._secrets.record_id(self._unit, one.dataset, row.key) if row.key is not None else None
        if troubles:
            one.raw_hash = None
        if row.identifies_person:
            one.identity = canonical_json(row.identity)
            one.content_hash = self._secrets.content_hash(
                one.identity, canonical_json(row.facts), ",".join(row.flags).encode()
            )
        return row

    def _refused_unread(
        self, event: Row, file: Submission | None, dataset: str
    ) -> tuple[Problem | None, ColumnMapping | None]:
        """Why a row is refused without being read; else how it is read."""
        number = _number(event)
        if event.submission is not None:
            if file is None:
                return Problem("no_begin", "row", number), None
            if file.state != "open":
                return Problem("after_end", "row", number), None
            plan = self._plans.mapping(dataset, file.columns, file.date_1904)
            if plan is None:
                return _row("dataset_unknown", number, dataset=files.shorten(dataset)), None
            if not event.cells.keys() <= plan.headers:
                strangers = [header for header in event.cells if header not in plan.headers]
                return _row("column_not_announced", number, columns=files.list_masked_headers(strangers)), None
            return None, plan
        if not dataset:
            return Problem("no_dataset", "row", number), None
        if not self._plans.sender(self._unit).registered:
            return Problem("unit_unknown", "row", number), None
        registered = self._plans.dataset(self._unit, dataset)
        plan = self._plans.mapping(dataset, event.cells)
        if registered is None or plan is None:
            return _row("dataset_unknown", number, dataset=files.shorten(dataset)), None
        if not registered.belongs_to_unit:
            return _row("dataset_of_another_unit", number, dataset=files.shorten(dataset)), None
        if plan.sealed:
            return _row("column_sealed", number, columns=files.list_headers(plan.sealed)), None
        if plan.unregistered:
            return _row("column_unknown", number, columns=files.list_masked_headers(plan.unregistered)), None
        return None, plan

    def _record(self, one: _PendingRow, row: ReadRow, record: UUID) -> OutboundEvent:
        at, on = recorded_time(one.inbound, self._now)
        file = one.file
        heard = one.inbound.event
        assert isinstance(heard, Row)
        spoken_of = heard.valid_on or (file.valid_on if file is not None else on)
        if self._seal is None:
            self._seal = self._secrets.new_seal()
        event = RecordRead(
            record=record,
            unit=self._unit,
            dataset=one.dataset,
            period=file.period if file is not None else None,
            submission=file.id if file is not None else None,
            valid_on=min(spoken_of, on),
            recorded_at=at,
            birth_date=iso(row.birth_date),
            identity=self._seal(one.identity, record),
            facts=facts_of(row),
            content=one.content_hash.hex(),
            flags=row.flags,
        )
        return emit(one.inbound, event, at, file.id if file is not None else None)

    def _parts(self, submission: UUID | None, part: _ReceiptPart) -> Iterator[OutboundEvent]:
        """One receipt, or several when its troubles are many; the first carries the counts."""
        at, _ = recorded_time(part.last, self._now)
        first = True
        for troubles in split_by_size(published_problems(part.problems)):
            event = RowsAnswered(
                unit=self._unit,
                submission=submission,
                read=part.read if first else 0,
                accepted=part.accepted if first else 0,
                accepted_with_drops=part.accepted_with_drops if first else 0,
                refused=part.refused if first else 0,
                unchanged=part.unchanged if first else 0,
                problems=troubles,
                answers=tuple(part.answers) if first else (),
            )
            first = False
            yield emit(part.last, event, at, submission)

    def _unread(
        self, heard: InboundEvent[Begin], at: datetime, outcome: files.Outcome, troubles: Sequence[Problem]
    ) -> OutboundEvent:
        """The answer to a file that is not read: all its rows fare alike."""
        event = heard.event
        rows = min(event.rows, files.MAX_ROWS)
        answer = SubmissionAnswered(
            unit=self._unit,
            submission=event.submission,
            dataset=files.shorten(event.dataset),
            period=files.shorten(event.period),
            outcome=outcome,
            rows=rows,
            accepted=0,
            accepted_with_drops=0,
            refused=rows if outcome == "refused" else 0,
            unchanged=0 if outcome == "refused" else rows,
            late=False,
            problems=published_problems(troubles),
        )
        return emit(heard, answer, at, event.submission)

    def _answer(
        self,
        heard: InboundEvent[End],
        at: datetime,
        file: Submission,
        outcome: files.Outcome,
        troubles: Sequence[Problem],
        disappeared: int = 0,
    ) -> OutboundEvent:
        answer = SubmissionAnswered(
            unit=self._unit,
            submission=file.id,
            dataset=file.dataset,
            period=file.period,
            outcome=outcome,
            rows=file.read,
            accepted=file.accepted,
            accepted_with_drops=file.accepted_with_drops,
            refused=file.refused,
            unchanged=file.unchanged,
            disappeared=disappeared,
            late=file.late,
            problems=published_problems(troubles),
        )
        return emit(heard, answer, at, file.id)


def _places_of_doubles(
    rows: Iterable[_PendingRow], met: Mapping[tuple[UUID, UUID], store.SeenRow]
) -> set[tuple[UUID, UUID]]:
    """The places of rows whose record has stood at another place of the same file before."""
    numbers = {pair: number for pair, (number, _) in met.items()}
    found = set()
    for one in rows:
        number, pair = _number(one.inbound.event), one.dedupe_key
        if pair is not None and numbers.setdefault(pair, number) != number and (place := one.position_key) is not None:
            found.add(place)
    return found


def _number(event: Row | MalformedMessage) -> int | None:
    """A row's place in its file. None: what is said cannot be one."""
    return event.number if event.number is not None and 0 <= event.number <= files.MAX_ROWS else None


def _unreadable(refused: Literal["row", "file"], event: MalformedMessage) -> Problem:
    return Problem("unreadable", refused, _number(event), parameters=(("fields", "、".join(event.fields)),))


def _row(code: str, number: int | None, **filled: str) -> Problem:
    return Problem(code, "row", number, parameters=tuple(filled.items()))
