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
from services.intake.domain.row import Plan, ReadRow, read, usual_key
from services.intake.domain.submission import Submission
from services.intake.domain.trouble import Trouble
from services.intake.misread import Misread
from services.intake.plans import Plans
from services.intake.saying import facts_of, iso, json_of, parted, say, stored, told, when
from services.intake.secrets import Seal, Secrets

_SPACE = UUID("5b7c1f0e-3f5a-5f0b-9d57-0a6f2d8f4c11")
"""Of attempts to read a file."""
Fate = Literal["said", "whole", "dropped", "refused", "unchanged", "again"]
"""Of a row. ``said``: it will be said onward, and counts as taken whole or with dropped cells. ``again``: it was sent
twice, and is neither counted nor answered twice."""


@dataclass(slots=True)
class _Part:
    """Part of a receipt while it is written: of the rows of one file, or of rows on their own."""

    last: InboundEvent[Row | Misread]
    """The row that causes it to be said."""
    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)


def _count(counted: _Part | Submission, fate: Fate) -> None:
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
class _Understood:
    """A row on its way through the batch."""

    heard: InboundEvent[Row | Misread]
    file: Submission | None
    dataset: str
    plan: Plan | None = None
    """None: it is refused unread, or belongs to a file that is not read."""
    row: ReadRow | None = None
    """None: not read, or known again without reading."""
    troubles: Sequence[Trouble] = ()
    named: bool = False
    """It says whom it is about."""
    record: UUID | None = None
    raw: bytes | None = None
    """Keyed hash of the cells as they stand. None: nothing is known again by it."""
    identity: bytes = b""
    content: bytes = b""

    @property
    def pair(self) -> tuple[UUID, UUID] | None:
        """By what the row is known again in its file: the pass over it, and the record, or else the row's place."""
        if self.record is None or self.file is None or self.file.state != "open":
            return self.place
        return self.file.pass_id, self.record

    @property
    def place(self) -> tuple[UUID, UUID] | None:
        """The pass over the file, and an id of the row's number in it."""
        number = _number(self.heard.event)
        if number is None or self.file is None or self.file.state != "open":
            return None
        return self.file.pass_id, uuid5(self.file.pass_id, str(number))


class Counter:
    """Where one unit's batch is served."""

    def __init__(
        self,
        tx: Tx,
        unit: str,
        plans: Plans,
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
        at, on = when(heard, self._now)
        file_sha256 = files.hash_of(event.file_sha256)
        coverage: files.Coverage = event.coverage or "unstated"
        before = self._files.get(event.submission)
        if before is not None and before.settled:
            same = before.is_the_same(
                dataset=event.dataset,
                period=event.period,
                coverage=coverage,
                rows=event.rows,
                file_sha256=file_sha256,
            )
            if not same or not before.states_more(coverage):
                before.state, before.changed = "repeated", True
                if same:
                    return [self._unread(heard, at, "same_again", (Trouble("same_file", "file"),))]
                return [self._unread(heard, at, "refused", (Trouble("submission_reused", "file"),))]
        registered = self._plans.registered(self._unit, event.dataset)
        troubles = files.reasons_to_refuse(
            dataset=event.dataset,
            registered=registered,
            unit_known=self._plans.speaker(self._unit).known,
            plan=self._plans.plan(event.dataset, event.columns, event.date_1904),
            period=event.period,
            empty=event.rows == 0 and event.coverage == "full",
            on=on,
        )
        outcome: files.Outcome = "taken"
        if troubles:
            outcome = "refused"
        elif file_sha256 is not None and await store.taken_before(
            self._tx, self._unit, event.dataset, file_sha256, self._plans.county.version, coverage
        ):
            outcome, troubles = "same_again", (Trouble("same_file", "file"),)
        else:
            newest = await store.newest_period(self._tx, self._unit, event.dataset)
            if newest is not None and event.period < newest:
                outcome = "older_period"
        if before is not None:
            await store.forget_pass(self._tx, before.pass_id)
        attempt = 1 if before is None else before.attempt + 1
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
            announced=min(event.rows, files.MOST_ROWS),
            file_sha256=None if refused else file_sha256,
            county_version=self._plans.county.version,
            valid_on=on if refused else files.speaks_of(event.period, event.valid_on, on),
            began_on=on,
            late=not refused and on > files.due_on(event.period, self._plans.county.cadence.submission_due),
            attempt=attempt,
            pass_id=uuid5(_SPACE, f"pass/{self._unit}/{event.submission}/{attempt}"),
        )
        if troubles:
            return [self._unread(heard, at, outcome, troubles)]
        await store.forget_unfinished(self._tx, self._unit, event.dataset, on)
        return []

    async def end(self, heard: InboundEvent[End]) -> list[OutboundEvent]:
        event = heard.event
        at, _ = when(heard, self._now)
        file = self._files.get(event.submission)
        if file is None:
            return [self._nothing_read(heard, at, event.submission, Trouble("no_begin", "file"))]
        if file.unread:
            if file.state == "repeated":
                file.state, file.changed = "answered", True
            return []
        if file.state == "answered":
            return [self._answer(heard, at, file, "same_again", (Trouble("same_file", "file"),))]
        newest = await store.newest_period(self._tx, self._unit, file.dataset)
        plan = self._plans.plan(file.dataset, file.columns, file.date_1904)
        ended = min(event.rows, files.MOST_ROWS)
        remarks = files.remarks_at_end(file, plan=plan, said=ended, newest=newest)
        complete = files.complete(file, ended)
        file.state, file.columns, file.changed = "answered", (), True
        if ended != file.read:
            file.announced = ended
        said: list[OutboundEvent] = []
        disappeared: list[tuple[UUID, str | None]] = []
        if file.outcome == "taken":
            whole = file.coverage == "full" and complete and not files.mostly_refused(file)
            if whole:
                disappeared = await store.forget_disappeared(self._tx, self._unit, file.dataset, file.pass_id)
            await store.save_dataset(self._tx, self._unit, file.dataset, file.period, file.pass_id if whole else None)
            await self._overtake(file)
            said += [
                say(
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
            said.append(say(heard, dated, at, file.id))
        else:
            whole = False
        if not whole:
            await store.forget_pass(self._tx, file.pass_id)
        said.append(self._answer(heard, at, file, file.outcome, remarks, len(disappeared)))
        return said

    async def _overtake(self, newer: Submission) -> None:
        """Files of older periods that are still coming are only checked from here on."""
        for file in self._files.values():
            if (file.dataset, file.state, file.outcome) == (newer.dataset, "open", "taken"):
                if file.period < newer.period:
                    file.outcome, file.changed = "older_period", True
        await store.overtake(self._tx, self._unit, newer.dataset, newer.period)

    def misread(self, heard: InboundEvent[Misread]) -> list[OutboundEvent]:
        """Answer what could not be read and is no row."""
        event = heard.event
        at, _ = when(heard, self._now)
        trouble = _unreadable("file", event)
        if event.said == Begin.kind and event.fields == ("coverage",):
            trouble = Trouble("coverage_unknown", "file")
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
            problems=told([trouble]),
            answers=(heard.envelope.id,),
        )
        return [say(heard, answer, at)]

    def _nothing_read(
        self, heard: InboundEvent[End] | InboundEvent[Misread], at: datetime, submission: UUID, trouble: Trouble
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
            problems=told([trouble]),
        )
        return say(heard, answer, at, submission)

    async def rows(self, run: Sequence[InboundEvent[Row | Misread]]) -> list[OutboundEvent]:
        """Read rows, or know them again; say onward what changed; answer all."""
        understood = [self._glance(heard) for heard in run]
        guessed = {one.record for one in understood if one.record is not None}
        kept = await store.kept(self._tx, guessed)
        for one in understood:
            if one.plan is not None:
                known = kept.get(one.record) if one.record is not None else None
                if known is not None and one.raw is not None and known.raw == one.raw:
                    one.named, one.content = True, known.content
                else:
                    self._read(one, one.plan)
        kept |= await store.kept(self._tx, {one.record for one in understood if one.record is not None} - guessed)
        met = await store.met(self._tx, {pair for one in understood if (pair := one.pair) is not None})
        met |= await store.met(self._tx, _places_of_doubles(understood, met))
        said: list[OutboundEvent] = []
        changed: dict[UUID, tuple[str | None, store.Kept]] = {}
        newly_met: dict[tuple[UUID, UUID], store.Met] = {}
        parts: dict[UUID | None, _Part] = {}
        for one in understood:
            if one.file is not None and one.file.unread:
                continue
            submission = one.heard.event.submission
            fate = self._settle(one, kept, met, newly_met)
            if fate == "again":
                continue
            part = parts.setdefault(submission, _Part(one.heard))
            part.last = one.heard
            if submission is None:
                part.answers.append(one.heard.envelope.id)
            if fate == "said" and one.record is not None:
                row = one.row or self._read(one, one.plan)
                kept[one.record] = store.Kept(one.content, one.raw)
                changed[one.record] = (iso(row.birth_date), kept[one.record])
                said.append(self._record(one, row, one.record))
                fate = "dropped" if any(trouble.refused == "cell" for trouble in one.troubles) else "whole"
            elif fate == "unchanged" and one.row is not None and one.raw is not None and one.record is not None:
                # Written another way than last time, or read by another version: known at a glance from now on.
                kept[one.record] = store.Kept(one.content, one.raw)
                changed[one.record] = (iso(one.row.birth_date), kept[one.record])
            part.troubles += one.troubles
            _count(part, fate)
            if one.file is not None and one.file.state == "open":
                _count(one.file, fate)
                one.file.changed = True
        await store.save_records(self._tx, changed)
        await store.save_met(self._tx, newly_met)
        for submission, part in parts.items():
            said += self._parts(submission, part)
        return said

    def _settle(
        self,
        one: _Understood,
        kept: Mapping[UUID, store.Kept],
        met: dict[tuple[UUID, UUID], store.Met],
        newly_met: dict[tuple[UUID, UUID], store.Met],
    ) -> Fate:
        """What becomes of a row, in the order of the file."""
        number = _number(one.heard.event)
        before = met.get(one.pair) if one.pair is not None else None
        this = number, one.content if one.named else None
        pair = one.pair if before is None or before[0] == number else one.place
        if number is not None and pair is not None and met.get(pair) == this:
            return "again"
        if pair is not None and pair not in met:
            met[pair] = newly_met[pair] = this
        if not one.named or one.record is None:
            return "refused"
        if one.file is not None and one.file.outcome == "older_period":
            return "unchanged"
        if before is not None and before[1] is not None and before[1] != one.content:
            first = "？" if before[0] is None else str(before[0])
            one.troubles = [*one.troubles, _row("duplicate_row", number, first=first)]
            return "refused"
        known = kept.get(one.record)
        return "unchanged" if known is not None and known.content == one.content else "said"

    def _glance(self, heard: InboundEvent[Row | Misread]) -> _Understood:
        """What can be told of a row before it is read: that it is refused, or perhaps that it is as it was."""
        event = heard.event
        file = self._files.get(event.submission) if event.submission is not None else None
        if isinstance(event, Misread):
            return _Understood(heard, file, "", troubles=(_unreadable("row", event),))
        dataset = file.dataset if file is not None else event.dataset or ""
        one = _Understood(heard, file, dataset)
        if file is not None and file.unread:
            return one
        refused, one.plan = self._refused_unread(event, file, dataset)
        if refused is not None:
            one.troubles = (refused,)
        if one.plan is None or event.valid_on is not None or (file is not None and file.outcome == "older_period"):
            return one
        key = usual_key(one.plan, event.cells)
        if key is not None and (cells := stored(event.cells)) is not None:
            one.record = self._secrets.record(self._unit, dataset, key)
            manner = f"{self._plans.county.version}/{one.plan.date_1904}".encode()
            one.raw = self._secrets.content(manner, cells)
        return one

    def _read(self, one: _Understood, plan: Plan | None) -> ReadRow:
        """Read a row whole. Its raw hash is kept only if nothing is wrong with it: troubles are told every time."""
        event = one.heard.event
        assert plan is not None
        assert isinstance(event, Row)
        _, on = when(one.heard, self._now)
        number = _number(event)
        row = one.row = read(plan, event.cells, number=number, on=on)
        one.named = row.names_somebody
        troubles = list(row.troubles)
        if not row.names_somebody:
            troubles.append(Trouble("names_nobody", "row", number))
        if event.valid_on is not None and event.valid_on > on:
            troubles.append(Trouble("valid_on_future", "nothing", number))
        one.troubles = troubles
        one.record = self._secrets.record(self._unit, one.dataset, row.key) if row.key is not None else None
        if troubles:
            one.raw = None
        if row.names_somebody:
            one.identity = json_of(row.identity)
            one.content = self._secrets.content(one.identity, json_of(row.facts), ",".join(row.flags).encode())
        return row

    def _refused_unread(self, event: Row, file: Submission | None, dataset: str) -> tuple[Trouble | None, Plan | None]:
        """Why a row is refused without being read; else how it is read."""
        number = _number(event)
        if event.submission is not None:
            if file is None:
                return Trouble("no_begin", "row", number), None
            if file.state != "open":
                return Trouble("after_end", "row", number), None
            plan = self._plans.plan(dataset, file.columns, file.date_1904)
            if plan is None:
                return _row("dataset_unknown", number, dataset=files.short(dataset)), None
            if not event.cells.keys() <= plan.headers:
                strangers = [header for header in event.cells if header not in plan.headers]
                return _row("column_not_announced", number, columns=files.hinted(strangers)), None
            return None, plan
        if not dataset:
            return Trouble("no_dataset", "row", number), None
        if not self._plans.speaker(self._unit).known:
            return Trouble("unit_unknown", "row", number), None
        registered = self._plans.registered(self._unit, dataset)
        plan = self._plans.plan(dataset, event.cells)
        if registered is None or plan is None:
            return _row("dataset_unknown", number, dataset=files.short(dataset)), None
        if not registered.of_the_unit:
            return _row("dataset_of_another_unit", number, dataset=files.short(dataset)), None
        if plan.sealed:
            return _row("column_sealed", number, columns=files.listed(plan.sealed)), None
        if plan.unknown:
            return _row("column_unknown", number, columns=files.hinted(plan.unknown)), None
        return None, plan

    def _record(self, one: _Understood, row: ReadRow, record: UUID) -> OutboundEvent:
        at, on = when(one.heard, self._now)
        file = one.file
        heard = one.heard.event
        assert isinstance(heard, Row)
        spoken_of = heard.valid_on or (file.valid_on if file is not None else on)
        if self._seal is None:
            self._seal = self._secrets.sealing()
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
            content=one.content.hex(),
            flags=row.flags,
        )
        return say(one.heard, event, at, file.id if file is not None else None)

    def _parts(self, submission: UUID | None, part: _Part) -> Iterator[OutboundEvent]:
        """One receipt, or several when its troubles are many; the first carries the counts."""
        at, _ = when(part.last, self._now)
        first = True
        for troubles in parted(told(part.troubles)):
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
            yield say(part.last, event, at, submission)

    def _unread(
        self, heard: InboundEvent[Begin], at: datetime, outcome: files.Outcome, troubles: Sequence[Trouble]
    ) -> OutboundEvent:
        """The answer to a file that is not read: all its rows fare alike."""
        event = heard.event
        rows = min(event.rows, files.MOST_ROWS)
        answer = SubmissionAnswered(
            unit=self._unit,
            submission=event.submission,
            dataset=files.short(event.dataset),
            period=files.short(event.period),
            outcome=outcome,
            rows=rows,
            accepted=0,
            accepted_with_drops=0,
            refused=rows if outcome == "refused" else 0,
            unchanged=0 if outcome == "refused" else rows,
            late=False,
            problems=told(troubles),
        )
        return say(heard, answer, at, event.submission)

    def _answer(
        self,
        heard: InboundEvent[End],
        at: datetime,
        file: Submission,
        outcome: files.Outcome,
        troubles: Sequence[Trouble],
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
            problems=told(troubles),
        )
        return say(heard, answer, at, file.id)


def _places_of_doubles(
    rows: Iterable[_Understood], met: Mapping[tuple[UUID, UUID], store.Met]
) -> set[tuple[UUID, UUID]]:
    """The places of rows whose record has stood at another place of the same file before."""
    numbers = {pair: number for pair, (number, _) in met.items()}
    found = set()
    for one in rows:
        number, pair = _number(one.heard.event), one.pair
        if pair is not None and numbers.setdefault(pair, number) != number and (place := one.place) is not None:
            found.add(place)
    return found


def _number(event: Row | Misread) -> int | None:
    """A row's place in its file. None: what is said cannot be one."""
    return event.number if event.number is not None and 0 <= event.number <= files.MOST_ROWS else None


def _unreadable(refused: Literal["row", "file"], event: Misread) -> Trouble:
    return Trouble("unreadable", refused, _number(event), filled=(("fields", "、".join(event.fields)),))


def _row(code: str, number: int | None, **filled: str) -> Trouble:
    return Trouble(code, "row", number, filled=tuple(filled.items()))
