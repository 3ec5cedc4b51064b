"""Decides about whole files: which is taken, for which period, and what its end means."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from uuid import UUID

from services.intake.domain.row import Plan
from services.intake.domain.text import masked, number_masked
from services.intake.domain.trouble import Trouble
from workbooks.text import plain

Outcome = Literal["taken", "refused", "same_again", "older_period"]
Coverage = Literal["full", "delta", "unstated"]
"""``unstated``: the sender did not say which. Nobody disappears, and no later file is compared with this one."""
State = Literal["open", "answered", "repeated"]
"""``repeated``: it was taken, and is being sent once more; what comes of it is neither read nor counted."""
KEPT_DAYS = 7
"""How long a unit's topic keeps its events: no row of an older file that never ended can still come."""
MOST_ROWS = 2**31 - 1
"""No file has more, whatever is announced."""
_PERIOD = re.compile(r"[0-9]{4}H[12]")
_FIRST_YEAR = 2000
_LONGEST_HASH = 128


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
    attempt: int
    """A file that begins again before it ended is read from the start."""
    pass_id: UUID
    """This attempt to read this file."""
    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0
    changed: bool = field(default=True, compare=False)
    """It must be saved."""

    @property
    def unread(self) -> bool:
        """Answered as it began: its rows are neither read nor counted one by one."""
        return self.state == "repeated" or (self.state == "answered" and self.outcome in ("refused", "same_again"))

    @property
    def settled(self) -> bool:
        """It was taken, and all of it: only what came in part may be sent once more under the same id."""
        return self.state != "open" and self.outcome in ("taken", "older_period") and self.read == self.announced

    def is_the_same(self, *, dataset: str, period: str, coverage: Coverage, rows: int, file_sha256: str | None) -> bool:
        """True when what begins now under this file's id is this file, as far as its beginning tells.

        Where either of the two beginnings does not state the coverage, the other decides.
        """
        return (self.dataset, self.period, self.announced, self.file_sha256) == (
            dataset,
            period,
            min(rows, MOST_ROWS),
            file_sha256,
        ) and (self.coverage == coverage or "unstated" in (self.coverage, coverage))

    def states_more(self, coverage: Coverage) -> bool:
        """True when the coverage, unstated so far, is stated now: the file then means more, and is read once more."""
        return self.coverage == "unstated" != coverage


@dataclass(frozen=True, slots=True)
class Registered:
    """A dataset as the county's data has it, and whether the speaking unit hands it over."""

    id: str
    of_the_unit: bool
    columns: tuple[str, ...]
    """The usual header of each column that can name somebody."""


def is_period(period: str) -> bool:
    """``2026H2``: in plain digits, or periods could not be told older from newer."""
    return _PERIOD.fullmatch(period) is not None and int(period[:4]) >= _FIRST_YEAR


def hash_of(said: str | None) -> str | None:
    """The hash a sender gives of a file; None: what he gives is none."""
    text = (said or "").strip().lower()
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= _LONGEST_HASH else None


def period_starts(period: str) -> date:
    """1 January or 1 July."""
    return date(int(period[:4]), 1 if period.endswith("H1") else 7, 1)


def period_ends(period: str) -> date:
    """30 June or 31 December."""
    return date(int(period[:4]), 6, 30) if period.endswith("H1") else date(int(period[:4]), 12, 31)


def due_on(period: str, due: Sequence[str]) -> date:
    """The last day on which the period's file is in time, included. ``due``: ``MM-DD`` of either half."""
    month, day = due[0 if period.endswith("H1") else 1].split("-")
    return date(int(period[:4]), int(month), int(day))


def speaks_of(period: str, given: date | None, on: date) -> date:
    """The day a file speaks of: as given, else the last of its period; never in the future."""
    return min(given or period_ends(period), on)


def reasons_to_refuse(
    *,
    dataset: str,
    registered: Registered | None,
    unit_known: bool,
    plan: Plan | None,
    period: str,
    empty: bool,
    on: date,
) -> tuple[Trouble, ...]:
    """Why a file is refused whole, before a row of it is read. Empty: it is not."""
    if not unit_known:
        return (Trouble("unit_unknown", "file"),)
    if registered is None or plan is None:
        return (_file("dataset_unknown", dataset=short(dataset)),)
    if not registered.of_the_unit:
        return (_file("dataset_of_another_unit", dataset=short(dataset)),)
    if plan.sealed:
        return (_file("column_sealed", columns=listed(plan.sealed)),)
    if not plan.names_somebody:
        return (_file("columns_missing", columns="、".join(registered.columns)),)
    if any("\x00" in header for header in plan.headers):
        return (Trouble("header_unreadable", "file"),)
    if not is_period(period):
        return (_file("period_unreadable", period=short(period)),)
    if period_starts(period) > on:
        return (_file("period_future", period=period),)
    if empty:
        return (Trouble("file_empty", "file"),)
    return ()


def remarks_at_end(submission: Submission, *, plan: Plan | None, said: int, newest: str | None) -> tuple[Trouble, ...]:
    """What is said about a whole file when it ends. ``said``: rows, as its end says."""
    remarks: list[Trouble] = []
    if submission.coverage == "unstated":
        remarks.append(_remark("coverage_missing"))
    if submission.outcome == "older_period":
        remarks.append(_remark("older_period", period=newest or ""))
    if not complete(submission, said):
        announced = said if said != submission.read else submission.announced
        remarks.append(_remark("row_count_differs", read=str(submission.read), announced=str(announced)))
    elif mostly_refused(submission):
        remarks.append(_remark("mostly_refused"))
    if plan is not None and plan.unknown:
        remarks.append(_remark("column_unknown", columns=listed(plan.unknown)))
    return tuple(remarks)


def complete(submission: Submission, said: int) -> bool:
    """True when as many rows came as the file's beginning and its end say. Only then is silence evidence."""
    return submission.read == said == submission.announced


def mostly_refused(submission: Submission) -> bool:
    """True when more than half of the rows name nobody: who is missing from such a file cannot be told."""
    return submission.refused * 2 > submission.read


def _file(code: str, **filled: str) -> Trouble:
    return Trouble(code, "file", filled=tuple(filled.items()))


def _remark(code: str, **filled: str) -> Trouble:
    return Trouble(code, "nothing", filled=tuple(filled.items()))


def listed(headers: Iterable[str]) -> str:
    """Headers as they are named to the sender: the first twenty, shortened."""
    return _first_twenty(headers, short)


def hinted(headers: Iterable[str]) -> str:
    """Headers of a single row, or not of its file: a client that mistakes a row for them has people for headers."""
    return _first_twenty(headers, masked)


def _first_twenty(headers: Iterable[str], shown: Callable[[str], str]) -> str:
    every = list(headers)
    return "、".join(shown(header) for header in every[:20]) + ("等" if len(every) > 20 else "")


def short(text: str) -> str:
    """What a sender wrote himself, as it is told back to him: a file without headers has people for headers."""
    return number_masked(plain(text[:200]))[:30]
