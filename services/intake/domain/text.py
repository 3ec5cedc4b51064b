"""Reads a cell as plain text, and masks what a receipt must not show of it."""

import re

from services.intake.domain.problem import CellRejected
from workbooks.text import plain

Cell = str | int | float | bool | None
"""The content of one cell of the sender's file."""

_PLACEHOLDERS = frozenset(
    {"", "-", "--", "---", "—", "——", "/", "//", "\\", ".", "无", "不详", "未知", "暂无", "空", "待补", "待定", "没有"}
    | {"null", "none", "nan", "n/a", "na"}
)
_ERROR = re.compile(r"#(?:N/A|[A-Z]+(?:/0)?[!?]|GETTING_DATA)", re.IGNORECASE)
_DATE_LIKE = re.compile(
    r"(?:1[89]|2[01])\d\d(?:\d{2}|\d{4}|[年./-]\d{0,2}(?:[月./-]\d{0,2}[日号]?)?)?"  # year, month, day
    r"|0{1,4}[年./-]?0{1,2}[月./-]?0{1,2}日?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    r"|\d{1,5}",  # a spreadsheet's serial number
    re.ASCII,
)
_MAX_EXCERPT = 40
_LONG_NUMBER = re.compile(r"\d(?:[\s()./\\·_+-]{0,3}\d){4,}[\dXx]?")
MAX_LENGTH = 200
"""Characters. No name, address or school is longer; a longer text is in the wrong column."""
MAX_RAW_LENGTH = 500
"""Characters, including spaces. A longer cell is rejected unread."""


def read_text(cell: Cell) -> str | None:
    """Return a cell's content as plain text; None if it is empty or a placeholder such as 无.

    Raises:
        CellRejected: ``too_long``.
    """
    if cell is None:
        return None
    text = plain(cell) if isinstance(cell, str) else number_text(cell)
    if len(text) > MAX_LENGTH:
        raise CellRejected("too_long")
    return None if text.lower() in _PLACEHOLDERS else text


def formula_problem(text: str) -> str | None:
    """Return the problem of a cell that holds a formula or its error instead of its result; else None."""
    if text[0] == "=":
        return "formula_not_computed"
    return "formula_error" if text[0] == "#" and _ERROR.fullmatch(text) else None


def number_text(cell: int | float | bool) -> str:
    """Write a numeric or boolean cell as people would: ``3.0`` becomes ``3``."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)


def compact(text: str) -> str:
    """Return plain text without spaces, in capitals, for numbers and codes."""
    return plain(text).replace(" ", "").upper()


def mask(cell: Cell) -> str:
    """Return a cell's content for a receipt: no number, phone or name can be read from it."""
    text = _beginning(cell)
    digits = sum(map(str.isdigit, text))
    if digits >= 15:
        return (
            f"{_mask_non_digits(text[:6])}********{_mask_non_digits(text[-4:])}"
            if len(text) >= 18
            else f"{_mask_non_digits(text[:6])}********"
        )
    if digits >= 6:
        return f"{_mask_non_digits(text[:3])}****{_mask_non_digits(text[-2:])}"
    return "*" if len(text) == 1 else text[:1] + "*" * min(len(text[1:]), 8)


def mask_date(cell: Cell) -> str:
    """Like :func:`mask`, but a text that can only be a date stays readable, so that it can be corrected."""
    text, _, _ = _beginning(cell).partition(" ")
    return text if _DATE_LIKE.fullmatch(text) else mask(cell)


def mask_numbers(text: str) -> str:
    """Replace every number that could be an ID or phone number, however it is written."""
    return _LONG_NUMBER.sub("***", text)


def _beginning(cell: Cell) -> str:
    """Return the start of a cell, from which the excerpt is made."""
    if cell is None:
        return ""
    return plain(cell[:MAX_LENGTH] if isinstance(cell, str) else number_text(cell))[:_MAX_EXCERPT]


def _mask_non_digits(part: str) -> str:
    """Mask everything but digits: the text beside a number may be a name."""
    return "".join(character if character.isdigit() or character in "Xx" else "*" for character in part)
