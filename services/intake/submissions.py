"""Processes the files of one unit's batch: how each begins and ends, and the receipt of the whole file."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from contracts.event import Event
from contracts.intake import Begin, End, RecordDisappeared, SubmissionEnded
from runtime import InboundEvent, OutboundEvent, Tx
from services.intake import events, store
from services.intake.domain import submission as files
from services.intake.domain.problem import Problem
from services.intake.domain.submission import Submission
from services.intake.malformed import MalformedMessage
from services.intake.parsers import Parsers

_NAMESPACE = UUID("5b7c1f0e-3f5a-5f0b-9d57-0a6f2d8f4c11")
"""The ids of import attempts are made in this namespace."""
_SAME_FILE = Problem("same_file", "file")


class SubmissionProcessor:
    """Processes beginnings and ends against the unit's files, which it adds to ``submissions`` and updates in place."""

    def __init__(
        self, tx: Tx, unit: str, parsers: Parsers, now: datetime | None, submissions: dict[UUID, Submission]
    ) -> None:
        self._tx = tx
        self._unit = unit
        self._parsers = parsers
        self._now = now
        self._files = submissions

    async def save(self) -> None:
        """Write the files that changed since the last call."""
        changed = [file for file in self._files.values() if file.changed]
        await store.save_submissions(self._tx, self._unit, changed)
        for file in changed:
            file.changed = False

    async def begin(self, inbound: InboundEvent[Begin]) -> list[OutboundEvent]:
        """Open a file, or answer it at once if it is refused or nothing new."""
        event = inbound.event
        coverage: files.Coverage = event.coverage or "unstated"
        earlier = self._files.get(event.submission)
        if earlier is not None and earlier.fully_processed:
            same = earlier.is_same_file(
                dataset=event.dataset,
                period=event.period,
                coverage=coverage,
                rows=event.rows,
                file_sha256=files.normalized_hash(event.file_sha256),
            )
            if not same or not earlier.newly_states_coverage(coverage):
                earlier.state, earlier.changed = "repeated", True
                if same:
                    return self._answer_at_begin(inbound, "same_again", (_SAME_FILE,))
                return self._answer_at_begin(inbound, "refused", (Problem("submission_reused", "file"),))
        outcome, problems = await self._decide_at_begin(inbound, coverage)
        if earlier is not None:
            await store.delete_attempt(self._tx, earlier.attempt_id)
        self._open(inbound, coverage, outcome, is_open=not problems, earlier=earlier)
        if problems:
            return self._answer_at_begin(inbound, outcome, problems)
        _, on = events.recorded_time(inbound, self._now)
        await store.delete_unfinished(self._tx, self._unit, event.dataset, on)
        return []

    async def _decide_at_begin(
        self, inbound: InboundEvent[Begin], coverage: files.Coverage
    ) -> tuple[files.Outcome, tuple[Problem, ...]]:
        """Return the file's outcome as far as its beginning tells, and why its rows are not read, if so."""
        event = inbound.event
        _, on = events.recorded_time(inbound, self._now)
        problems = files.problems_at_begin(
            dataset=event.dataset,
            dataset_entry=self._parsers.dataset(self._unit, event.dataset),
            unit_registered=self._parsers.sender(self._unit).registered,
            mapping=self._parsers.mapping(event.dataset, event.columns, event.date_1904),
            period=event.period,
            empty=event.rows == 0 and event.coverage == "full",
            on=on,
        )
        if problems:
            return "refused", problems
        file_sha256 = files.normalized_hash(event.file_sha256)
        if file_sha256 is not None and await store.was_accepted_before(
            self._tx, self._unit, event.dataset, file_sha256, self._parsers.county.version, coverage
        ):
            return "same_again", (_SAME_FILE,)
        newest = await store.load_newest_period(self._tx, self._unit, event.dataset)
        if newest is not None and event.period < newest:
            return "older_period", ()
        return "taken", ()

    def _open(
        self,
        inbound: InboundEvent[Begin],
        coverage: files.Coverage,
        outcome: files.Outcome,
        *,
        is_open: bool,
        earlier: Submission | None,
    ) -> None:
        """Add the file. Nothing that the sender wrote is kept of a refused one."""
        event = inbound.event
        _, on = events.recorded_time(inbound, self._now)
        refused = outcome == "refused"
        attempt = 1 if earlier is None else earlier.attempt_number + 1
        self._files[event.submission] = Submission(
            id=event.submission,
            dataset="" if refused else event.dataset,
            period="" if refused else event.period,
            coverage=coverage,
            state="open" if is_open else "answered",
            outcome=outcome,
            columns=event.columns if is_open else (),
            date_1904=event.date_1904,
            announced=min(event.rows, files.MAX_ROWS),
            file_sha256=None if refused else files.normalized_hash(event.file_sha256),
            county_version=self._parsers.county.version,
            valid_on=on if refused else files.valid_date(event.period, event.valid_on, on),
            began_on=on,
            late=not refused and on > files.due_date(event.period, self._parsers.county.cadence.submission_due),
            attempt_number=attempt,
            attempt_id=uuid5(_NAMESPACE, f"pass/{self._unit}/{event.submission}/{attempt}"),
        )

    async def end(self, inbound: InboundEvent[End]) -> list[OutboundEvent]:
        """Close a file and answer it; if it counts, emit the records that disappeared and that it ended."""
        event = inbound.event
        file = self._files.get(event.submission)
        if file is None:
            return self._refuse(inbound, event.submission, Problem("no_begin", "file"))
        if file.skipped:
            if file.state == "repeated":
                file.state, file.changed = "answered", True
            return []
        if file.state == "answered":
            return self._answer(inbound, file, "same_again", (_SAME_FILE,))
        newest = await store.load_newest_period(self._tx, self._unit, file.dataset)
        mapping = self._parsers.mapping(file.dataset, file.columns, file.date_1904)
        stated_rows = min(event.rows, files.MAX_ROWS)
        remarks = files.remarks_at_end(file, mapping=mapping, stated_rows=stated_rows, newest=newest)
        is_full = file.coverage == "full" and files.is_complete(file, stated_rows) and not files.mostly_refused(file)
        file.state, file.columns, file.changed = "answered", (), True
        if stated_rows != file.read:
            file.announced = stated_rows
        if file.outcome != "taken":
            await store.delete_attempt(self._tx, file.attempt_id)
            return self._answer(inbound, file, file.outcome, remarks)
        disappeared = await self._apply(inbound, file, is_full=is_full)
        ended = SubmissionEnded(
            submission=file.id,
            unit=self._unit,
            dataset=file.dataset,
            period=file.period,
            valid_on=file.valid_on,
            coverage="full" if is_full else "delta",
        )
        return [
            *disappeared,
            self._emit(inbound, ended, file.id),
            *self._answer(inbound, file, "taken", remarks, len(disappeared)),
        ]

    async def _apply(self, inbound: InboundEvent[End], file: Submission, *, is_full: bool) -> list[OutboundEvent]:
        """Make a file the dataset's newest; return the records that a full one no longer contains."""
        disappeared: list[tuple[UUID, str | None]] = []
        if is_full:
            disappeared = await store.delete_disappeared(self._tx, self._unit, file.dataset, file.attempt_id)
        full_attempt = file.attempt_id if is_full else None
        await store.save_dataset(self._tx, self._unit, file.dataset, file.period, full_attempt)
        await self._supersede_open_files(file)
        if not is_full:
            await store.delete_attempt(self._tx, file.attempt_id)
        return [
            self._emit(
                inbound,
                RecordDisappeared(
                    record=record, unit=self._unit, dataset=file.dataset, period=file.period, birth_date=birth_date
                ),
                file.id,
            )
            for record, birth_date in disappeared
        ]

    async def _supersede_open_files(self, newer: Submission) -> None:
        """Open files of older periods are only checked from here on."""
        for file in self._files.values():
            if (file.dataset, file.state, file.outcome) == (newer.dataset, "open", "taken"):
                if file.period < newer.period:
                    file.outcome, file.changed = "older_period", True
        await store.supersede_open_files(self._tx, self._unit, newer.dataset, newer.period)

    def answer_malformed(self, inbound: InboundEvent[MalformedMessage]) -> list[OutboundEvent]:
        """Answer a message that could not be decoded and is no row."""
        event = inbound.event
        problem = event.problem("file")
        if event.type == Begin.kind and event.fields == ("coverage",):
            problem = Problem("coverage_unknown", "file")
        if event.submission is not None:
            return self._refuse(inbound, event.submission, problem)
        answers = events.rows_answered(self._unit, None, events.RowCounts(), [problem], [inbound.envelope.id])
        return [self._emit(inbound, answer, None) for answer in answers]

    def _refuse(
        self, inbound: InboundEvent[End] | InboundEvent[MalformedMessage], submission: UUID, problem: Problem
    ) -> list[OutboundEvent]:
        """Answer a beginning or an end that belongs to no file."""
        counts = events.RowCounts()
        answer = events.submission_answered(self._unit, submission, "", "", "refused", counts, (problem,))
        return [self._emit(inbound, answer, submission)]

    def _answer_at_begin(
        self, inbound: InboundEvent[Begin], outcome: files.Outcome, problems: tuple[Problem, ...]
    ) -> list[OutboundEvent]:
        """Answer a file whose rows are skipped: all of them count as refused, or all as unchanged."""
        event = inbound.event
        rows = min(event.rows, files.MAX_ROWS)
        refused = rows if outcome == "refused" else 0
        answer = events.submission_answered(
            self._unit,
            event.submission,
            files.shorten(event.dataset),
            files.shorten(event.period),
            outcome,
            events.RowCounts(read=rows, refused=refused, unchanged=rows - refused),
            problems,
        )
        return [self._emit(inbound, answer, event.submission)]

    def _answer(
        self,
        inbound: InboundEvent[End],
        file: Submission,
        outcome: files.Outcome,
        problems: tuple[Problem, ...],
        disappeared: int = 0,
    ) -> list[OutboundEvent]:
        answer = events.submission_answered(
            self._unit,
            file.id,
            file.dataset,
            file.period,
            outcome,
            events.RowCounts(file.read, file.accepted, file.accepted_with_drops, file.refused, file.unchanged),
            problems,
            disappeared=disappeared,
            late=file.late,
        )
        return [self._emit(inbound, answer, file.id)]

    def _emit(self, inbound: InboundEvent[Any], event: Event, correlation: UUID | None) -> OutboundEvent:
        at, _ = events.recorded_time(inbound, self._now)
        return events.emit(inbound, event, at, correlation)
