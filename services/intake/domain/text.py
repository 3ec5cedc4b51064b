"""Reads a cell as plain text, and masks what may not be shown of it."""

import re

from services.intake.domain.problem import CellRejected
from workbooks.text import plain

Cell = str | int | float | bool | None
"""One cell as it stands in the sender's file."""

_PLACEHOLDERS = frozenset(
    {"", "-", "--", "---", "—", "——", "/", "//", "\\", ".", "无", "不详", "未知", "暂无", "空", "待补", "待定", "没有"}
    | {"null", "none", "nan", "n/a", "na"}
)
_ERROR = re.compile(r"#(?:N/A|[A-Z]+(?:/0)?[!?]|GETTING_DATA)", re.IGNORECASE)
_DATE_LIKE = re.compile(
    r"(?:1[89]|2[01])\d\d(?:\d{2}|\d{4}|[年./-]\d{0,2}(?:[月./-]\d{0,2}[日号]?)?)?"  # a year, and what follows it
    r"|0{1,4}[年./-]?0{1,2}[月./-]?0{1,2}日?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    r"|\d{1,5}",  # a spreadsheet's serial number
    re.ASCII,
)
_MAX_EXCERPT = 40
_LONG_NUMBER = re.compile(r"\d(?:[\s()./\\·_+-]{0,3}\d){4,}[\dXx]?")
MAX_LENGTH = 200
"""Characters. No name, address or school is longer; what is, stands in the wrong column."""
MAX_RAW_LENGTH = 500
"""Characters, with all the spaces there may be. What is longer is not even looked at."""


def read_text(cell: Cell) -> str | None:
    """A cell's content as plain text; None when it is empty or only says that it is.

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
    """What is wrong with a cell that holds what became of a formula, and not its result; None: it is no such cell."""
    if text[0] == "=":
        return "formula_not_computed"
    return "formula_error" if text[0] == "#" and _ERROR.fullmatch(text) else None


def number_text(cell: int | float | bool) -> str:
    """A numeric or boolean cell as people would write it: ``3.0`` is ``3``."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)


def compact(text: str) -> str:
    """Plain text without any space, in capitals: for numbers and codes."""
    return plain(text).replace(" ", "").upper()


def mask(cell: Cell) -> str:
    """A cell's content as it may be shown on a receipt: no number, phone or name can be read from it."""
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
    """Like :func:`masked`, but what can only be a date stays readable: it is what must be mended."""
    text, _, _ = _beginning(cell).partition(" ")
    return text if _DATE_LIKE.fullmatch(text) else mask(cell)


def mask_numbers(text: str) -> str:
    """A text without any number that could be somebody's, however it is written."""
    return _LONG_NUMBER.sub("***", text)


def _beginning(cell: Cell) -> str:
    """As much of a cell as is looked at to show anything of it."""
    if cell is None:
        return ""
    return plain(cell[:MAX_LENGTH] if isinstance(cell, str) else number_text(cell))[:_MAX_EXCERPT]


def _mask_non_digits(part: str) -> str:
    """What stands beside a number may be whose it is."""
    return "".join(character if character.isdigit() or character in "Xx" else "*" for character in part)
