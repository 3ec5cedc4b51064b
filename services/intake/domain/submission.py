"""Decides about whole files: which are accepted, for which period, and what their end means."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from uuid import UUID

from services.intake.domain.problem import Problem
from services.intake.domain.row import ColumnMapping
from services.intake.domain.text import mask, mask_numbers
from workbooks.text import plain

Outcome = Literal["taken", "refused", "same_again", "older_period"]
Coverage = Literal["full", "delta", "unstated"]
"""``unstated``: the sender stated neither. Nobody disappears, and no later file is compared with this one."""
State = Literal["open", "answered", "repeated"]
"""``repeated``: the file was processed, and is being sent again; its rows are neither parsed nor counted."""
TOPIC_RETENTION_DAYS = 7
"""Retention of a unit's topic: no row of an open file that began earlier can still arrive."""
MAX_ROWS = 2**31 - 1
"""Largest number of rows that is stored, whatever a file announces."""
_PERIOD = re.compile(r"[0-9]{4}H[12]")
_FIRST_YEAR = 2000
_MAX_HASH_LENGTH = 128


@dataclass(slots=True)
class Submission:
    """A file while it arrives, and what became of it."""

    id: UUID
    dataset: str
    period: str
    coverage: Coverage
    state: State
    outcome: Outcome
    """The outcome on the receipt; while the file is open, the one it will have if nothing goes wrong."""
    columns: tuple[str, ...]
    """Headers, kept only while the file is open: those of a file without a header row may be names."""
    date_1904: bool
    announced: int
    """Rows as the file's beginning states; once it has ended, as its end states, if the counts differ."""
    file_sha256: str | None
    county_version: str
    valid_on: date
    began_on: date
    late: bool
    attempt_number: int
    """Counts the beginnings of a file that began again before it ended."""
    attempt_id: UUID
    """This attempt to import the file."""
    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0
    changed: bool = field(default=True, compare=False)
    """The file must be saved."""

    @property
    def skipped(self) -> bool:
        """The file was answered when it began: its rows are neither parsed nor counted one by one."""
        return self.state == "repeated" or (self.state == "answered" and self.outcome in ("refused", "same_again"))

    @property
    def fully_processed(self) -> bool:
        """The whole file was processed. Only a file that arrived in part may be sent again under its id."""
        return self.state != "open" and self.outcome in ("taken", "older_period") and self.read == self.announced

    def is_same_file(
        self, *, dataset: str, period: str, coverage: Coverage, rows: int, file_sha256: str | None
    ) -> bool:
        """Return true if a beginning under this file's id describes the same file.

        A coverage that one of the two beginnings does not state counts as equal.
        """
        return (self.dataset, self.period, self.announced, self.file_sha256) == (
            dataset,
            period,
            min(rows, MAX_ROWS),
            file_sha256,
        ) and (self.coverage == coverage or "unstated" in (self.coverage, coverage))

    def newly_states_coverage(self, coverage: Coverage) -> bool:
        """Return true if the coverage was unstated and is stated now: the file is then processed again."""
        return self.coverage == "unstated" != coverage


@dataclass(frozen=True, slots=True)
class RegisteredDataset:
    """A dataset of the county's data, seen from one unit."""

    id: str
    belongs_to_unit: bool
    """The unit submits the dataset."""
    identifying_headers: tuple[str, ...]
    """The usual header of each column that can identify a person."""


def row_number(stated: int | None) -> int | None:
    """Return a row's number in its file; None if the stated number cannot be one."""
    return stated if stated is not None and 0 <= stated <= MAX_ROWS else None


def is_period(period: str) -> bool:
    """Return true for a period such as ``2026H2``. Only ASCII digits count, so that periods sort by time."""
    return _PERIOD.fullmatch(period) is not None and int(period[:4]) >= _FIRST_YEAR


def normalized_hash(text: str | None) -> str | None:
    """Return the hash that a sender states of a file; None if it is not one."""
    text = (text or "").strip().lower()
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_HASH_LENGTH else None


def period_start(period: str) -> date:
    """Return the first day of a period: 1 January or 1 July."""
    return date(int(period[:4]), 1 if period.endswith("H1") else 7, 1)


def period_end(period: str) -> date:
    """Return the last day of a period: 30 June or 31 December."""
    return date(int(period[:4]), 6, 30) if period.endswith("H1") else date(int(period[:4]), 12, 31)


def due_date(period: str, month_days: Sequence[str]) -> date:
    """Return the last day on which a period's file is in time. ``month_days``: ``MM-DD`` for H1 and for H2."""
    month, day = month_days[0 if period.endswith("H1") else 1].split("-")
    return date(int(period[:4]), int(month), int(day))


def valid_date(period: str, stated: date | None, on: date) -> date:
    """Return the day that a file describes: the stated one, else the last of its period; never after ``on``."""
    return min(stated or period_end(period), on)


def problems_at_begin(
    *,
    dataset: str,
    dataset_entry: RegisteredDataset | None,
    unit_registered: bool,
    mapping: ColumnMapping | None,
    period: str,
    empty: bool,
    on: date,
) -> tuple[Problem, ...]:
    """Return why a file is refused as a whole before its rows are read; empty if it is not."""
    if not unit_registered:
        return (Problem("unit_unknown", "file"),)
    if dataset_entry is None or mapping is None:
        return (_refusal("dataset_unknown", dataset=shorten(dataset)),)
    if not dataset_entry.belongs_to_unit:
        return (_refusal("dataset_of_another_unit", dataset=shorten(dataset)),)
    if mapping.forbidden:
        return (_refusal("column_forbidden", columns=list_headers(mapping.forbidden)),)
    if not mapping.can_identify_person:
        return (_refusal("columns_missing", columns="、".join(dataset_entry.identifying_headers)),)
    if any("\x00" in header for header in mapping.headers):
        return (Problem("header_unreadable", "file"),)
    if not is_period(period):
        return (_refusal("period_unreadable", period=shorten(period)),)
    if period_start(period) > on:
        return (_refusal("period_future", period=period),)
    if empty:
        return (Problem("file_empty", "file"),)
    return ()


def remarks_at_end(
    submission: Submission, *, mapping: ColumnMapping | None, stated_rows: int, newest: str | None
) -> tuple[Problem, ...]:
    """Return the remarks about a whole file at its end. ``stated_rows``: the number that its end states."""
    remarks: list[Problem] = []
    if submission.coverage == "unstated":
        remarks.append(_remark("coverage_missing"))
    if submission.outcome == "older_period":
        remarks.append(_remark("older_period", period=newest or ""))
    if not is_complete(submission, stated_rows):
        announced = stated_rows if stated_rows != submission.read else submission.announced
        remarks.append(_remark("row_count_differs", read=str(submission.read), announced=str(announced)))
    elif mostly_refused(submission):
        remarks.append(_remark("mostly_refused"))
    if mapping is not None and mapping.unregistered:
        remarks.append(_remark("column_unknown", columns=list_headers(mapping.unregistered)))
    return tuple(remarks)


def is_complete(submission: Submission, stated_rows: int) -> bool:
    """Return true if as many rows arrived as beginning and end state. Only then is an absent row evidence."""
    return submission.read == stated_rows == submission.announced


def mostly_refused(submission: Submission) -> bool:
    """Return true if more than half of the rows were refused: then an absent row is no evidence."""
    return submission.refused * 2 > submission.read


def _refusal(code: str, **filled: str) -> Problem:
    return Problem(code, "file", parameters=tuple(filled.items()))


def _remark(code: str, **filled: str) -> Problem:
    return Problem(code, "nothing", parameters=tuple(filled.items()))


def list_headers(headers: Iterable[str]) -> str:
    """Join the first twenty headers, shortened, for the sender."""
    return _join_first(headers, shorten)


def list_masked_headers(headers: Iterable[str]) -> str:
    """Join the first twenty headers, masked: those of a single row, or not of its file, may be people's data."""
    return _join_first(headers, mask)


def _join_first(headers: Iterable[str], shown: Callable[[str], str]) -> str:
    every = list(headers)
    return "、".join(shown(header) for header in every[:20]) + ("等" if len(every) > 20 else "")


def shorten(text: str) -> str:
    """Shorten what the sender wrote and mask numbers in it: headers of a file without a header row may be data."""
    return mask_numbers(plain(text[:200]))[:30]
