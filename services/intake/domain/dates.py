"""Reads dates as departments write them. An incomplete date is rejected, never completed."""

import re
from datetime import date, timedelta
from functools import lru_cache

from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell
from workbooks.text import plain

_SEPARATED = re.compile(
    r"(\d{4})\s*[-/.年,_ ]\s*(\d{1,2})\s*[-/.月,_ ]\s*(\d{1,2})\s*[日号]?"
    r"(?:[T ]?\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6})?")
_PARTIAL = re.compile(r"\d{6}|\d{4}\s*(?:[-/.年]\s*(?:\d{1,2}\s*[-/.月]?)?)?")
_ZERO = re.compile(r"0{1,4}[-/.年]?0{1,2}[-/.月]?0{1,2}日?(?: .*)?")
_LUNAR = ("农历", "阴历", "腊月", "正月", "闰", "初", "廿", "冬月")
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?")
_EARLIEST = date(1900, 1, 1)
_MAX_YEARS_AHEAD = 10
"""A date that is known beforehand is not later. Systems write the year 9999 for what has no end."""
_PLACEHOLDERS = frozenset({"", "-", "--", "/", "无", "不详", "未知", "暂无", "空", "null", "none", "nan", "n/a"})


def read_date(cell: Cell, *, on: date, future: bool = False, date_1904: bool = False) -> date | None:
    """Read one cell; None if it is empty.

    Args:
        cell: text, or a spreadsheet's serial number.
        on: the county's day.
        future: the date may be after ``on``.
        date_1904: serial numbers count from 1904, as the workbook states.

    Raises:
        CellRejected: ``date_unreadable``, ``date_impossible``, ``date_partial``, ``date_lunar``, ``date_future``,
            ``date_too_old``.
    """
    if cell is None or isinstance(cell, bool):
        return None
    day = _read_text(cell) if isinstance(cell, str) else _read_number(cell, date_1904)
    if isinstance(day, float):
        day = _serial(day, date_1904)
    if day is None:
        return None
    if day < _EARLIEST:
        raise CellRejected("date_too_old")
    if day > on and (not future or day.year > on.year + _MAX_YEARS_AHEAD):
        raise CellRejected("date_future")
    return day


@lru_cache(maxsize=65_536)
def _read_text(text: str) -> date | float | None:
    """Return a date, a serial number that was written as text, or None."""
    text = plain(text).lstrip("'")
    if text.lower() in _PLACEHOLDERS:
        return None
    if any(word in text for word in _LUNAR):
        raise CellRejected("date_lunar")
    match = _SEPARATED.fullmatch(text) or _COMPACT.fullmatch(text)
    if match:
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if _ZERO.fullmatch(text):
        raise CellRejected("date_unreadable")
    if _PARTIAL.fullmatch(text):
        raise CellRejected("date_partial")
    if _SERIAL.fullmatch(text):
        return float(text)
    raise CellRejected("date_unreadable")


def _read_number(number: float, date_1904: bool) -> date | float:
    if number >= 10_000_000:
        text = f"{number:.0f}"
        match = _COMPACT.fullmatch(text)
        if match is None:
            raise CellRejected("date_unreadable")
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if 1900 <= number < 2101 or 190_001 <= number <= 210_012:
        # These are a year, or a year and a month; as serials they would be days of 1905 or 2420.
        raise CellRejected("date_partial")
    return _serial(float(number), date_1904)


def _serial(number: float, date_1904: bool) -> date:
    """Return the day of a spreadsheet's serial number. Day 60 of the 1900 system, 29 February 1900, did not exist."""
    days = int(number)
    if not 1 <= days < 100_000:
        raise CellRejected("date_unreadable")
    if date_1904:
        return date(1904, 1, 1) + timedelta(days=days)
    if days == 60:
        raise CellRejected("date_impossible")
    return date(1899, 12, 31 if days < 60 else 30) + timedelta(days=days)


def _day(year: int, month: int, day: int) -> date:
    if year == 0:
        raise CellRejected("date_unreadable")
    if month == 0 or day == 0:
        raise CellRejected("date_partial")
    try:
        return date(year, month, day)
    except ValueError:
        raise CellRejected("date_impossible") from None
