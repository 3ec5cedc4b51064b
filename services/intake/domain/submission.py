"""Decides about whole files: which is taken, for which period, and what its end means."""

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
"""``unstated``: the sender did not say which. Nobody disappears, and no later file is compared with this one."""
State = Literal["open", "answered", "repeated"]
"""``repeated``: it was taken, and is being sent once more; what comes of it is neither read nor counted."""
TOPIC_RETENTION_DAYS = 7
"""How long a unit's topic keeps its events: no row of an older file that never ended can still come."""
MAX_ROWS = 2**31 - 1
"""No file has more, whatever is announced."""
_PERIOD = re.compile(r"[0-9]{4}H[12]")
_FIRST_YEAR = 2000
_MAX_HASH_LENGTH = 128


@dataclass(slots=True)
class Submission:
    """A file while it streams in, and what became of it."""

    id: UUID
    dataset: str
    period: str
    coverage: Coverage
    state: State
    outcome: Outcome
    """What the answer is, or will be if the file ends well."""
    columns: tuple[str, ...]
    """Kept only while it is open: a file without headers has people for headers."""
    date_1904: bool
    announced: int
    """Rows, as the file's beginning says; once it has ended, as its end says, if not so many came."""
    file_sha256: str | None
    county_version: str
    valid_on: date
    began_on: date
    late: bool
    attempt_number: int
    """A file that begins again before it ended is read from the start."""
    attempt_id: UUID
    """This attempt to read this file."""
    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0
    changed: bool = field(default=True, compare=False)
    """It must be saved."""

    @property
    def skipped(self) -> bool:
        """Answered as it began: its rows are neither read nor counted one by one."""
        return self.state == "repeated" or (self.state == "answered" and self.outcome in ("refused", "same_again"))

    @property
    def fully_processed(self) -> bool:
        """It was taken, and all of it: only what came in part may be sent once more under the same id."""
        return self.state != "open" and self.outcome in ("taken", "older_period") and self.read == self.announced

    def is_same_file(
        self, *, dataset: str, period: str, coverage: Coverage, rows: int, file_sha256: str | None
    ) -> bool:
        """True when what begins now under this file's id is this file, as far as its beginning tells.

        Where either of the two beginnings does not state the coverage, the other decides.
        """
        return (self.dataset, self.period, self.announced, self.file_sha256) == (
            dataset,
            period,
            min(rows, MAX_ROWS),
            file_sha256,
        ) and (self.coverage == coverage or "unstated" in (self.coverage, coverage))

    def newly_states_coverage(self, coverage: Coverage) -> bool:
        """True when the coverage, unstated so far, is stated now: the file then means more, and is read once more."""
        return self.coverage == "unstated" != coverage


@dataclass(frozen=True, slots=True)
class RegisteredDataset:
    """A dataset as the county's data has it, and whether the speaking unit hands it over."""

    id: str
    belongs_to_unit: bool
    identifying_headers: tuple[str, ...]
    """The usual header of each column that can name somebody."""


def row_number(stated: int | None) -> int | None:
    """Return a row's number in its file; None if the stated number cannot be one."""
    return stated if stated is not None and 0 <= stated <= MAX_ROWS else None


def is_period(period: str) -> bool:
    """``2026H2``: in plain digits, or periods could not be told older from newer."""
    return _PERIOD.fullmatch(period) is not None and int(period[:4]) >= _FIRST_YEAR


def normalized_hash(text: str | None) -> str | None:
    """The hash a sender gives of a file; None: what he gives is none."""
    text = (text or "").strip().lower()
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_HASH_LENGTH else None


def period_start(period: str) -> date:
    """1 January or 1 July."""
    return date(int(period[:4]), 1 if period.endswith("H1") else 7, 1)


def period_end(period: str) -> date:
    """30 June or 31 December."""
    return date(int(period[:4]), 6, 30) if period.endswith("H1") else date(int(period[:4]), 12, 31)


def due_date(period: str, month_days: Sequence[str]) -> date:
    """The last day on which the period's file is in time, included. ``due``: ``MM-DD`` of either half."""
    month, day = month_days[0 if period.endswith("H1") else 1].split("-")
    return date(int(period[:4]), int(month), int(day))


def valid_date(period: str, stated: date | None, on: date) -> date:
    """The day a file speaks of: as given, else the last of its period; never in the future."""
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
    """Why a file is refused whole, before a row of it is read. Empty: it is not."""
    if not unit_registered:
        return (Problem("unit_unknown", "file"),)
    if dataset_entry is None or mapping is None:
        return (_refusal("dataset_unknown", dataset=shorten(dataset)),)
    if not dataset_entry.belongs_to_unit:
        return (_refusal("dataset_of_another_unit", dataset=shorten(dataset)),)
    if mapping.sealed:
        return (_refusal("column_sealed", columns=list_headers(mapping.sealed)),)
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
    """What is said about a whole file when it ends. ``said``: rows, as its end says."""
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
    """True when as many rows came as the file's beginning and its end say. Only then is silence evidence."""
    return submission.read == stated_rows == submission.announced


def mostly_refused(submission: Submission) -> bool:
    """True when more than half of the rows name nobody: who is missing from such a file cannot be told."""
    return submission.refused * 2 > submission.read


def _refusal(code: str, **filled: str) -> Problem:
    return Problem(code, "file", parameters=tuple(filled.items()))


def _remark(code: str, **filled: str) -> Problem:
    return Problem(code, "nothing", parameters=tuple(filled.items()))


def list_headers(headers: Iterable[str]) -> str:
    """Headers as they are named to the sender: the first twenty, shortened."""
    return _join_first(headers, shorten)


def list_masked_headers(headers: Iterable[str]) -> str:
    """Headers of a single row, or not of its file: a client that mistakes a row for them has people for headers."""
    return _join_first(headers, mask)


def _join_first(headers: Iterable[str], shown: Callable[[str], str]) -> str:
    every = list(headers)
    return "、".join(shown(header) for header in every[:20]) + ("等" if len(every) > 20 else "")


def shorten(text: str) -> str:
    """What a sender wrote himself, as it is told back to him: a file without headers has people for headers."""
    return mask_numbers(plain(text[:200]))[:30]
