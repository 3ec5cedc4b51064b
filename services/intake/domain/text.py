"""Folds the ways one thing is typed into one, and masks what may not be shown."""

import re
import unicodedata

from services.intake.domain.trouble import Refused

Cell = str | int | float | bool | None
"""One cell as it stands in the sender's file."""

_INVISIBLE = dict.fromkeys(
    [*range(0x09), *range(0x0E, 0x20), 0x7F, 0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, 0xFEFF]
)
_PLACEHOLDERS = frozenset(
    {"", "-", "--", "---", "—", "——", "/", "//", "\\", ".", "无", "不详", "未知", "暂无", "空", "待补", "待定", "没有"}
    | {"null", "none", "nan", "n/a", "na", "#n/a", "#ref!", "#value!", "#name?"}
)
_DATE_LIKE = re.compile(r"[\d年月日号./\-]{1,12}")
_PLAIN = re.compile(r"[!-~\u4e00-\u9fa5·、。]+").fullmatch
"""What folding would not change: nearly every cell."""
LONGEST = 200
"""Characters. No name, address or school is longer; what is, stands in the wrong column."""


def plain(text: str) -> str:
    """Full-width forms, invisible characters and runs of white space folded away."""
    if _PLAIN(text):
        return text
    return " ".join(unicodedata.normalize("NFKC", text).translate(_INVISIBLE).split())


def words(cell: Cell) -> str | None:
    """A cell's content as plain text; None when it is empty or only says that it is.

    Raises:
        Refused: ``too_long``.
    """
    if cell is None:
        return None
    text = plain(cell) if isinstance(cell, str) else number_text(cell)
    if len(text) > LONGEST:
        raise Refused("too_long")
    return None if text.lower() in _PLACEHOLDERS else text


def number_text(cell: int | float | bool) -> str:
    """A numeric or boolean cell as people would write it: ``3.0`` is ``3``."""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)


def squeezed(text: str) -> str:
    """Plain text without any space, in capitals: for numbers and codes."""
    return plain(text).replace(" ", "").upper()


def masked(cell: Cell) -> str:
    """A cell's content as it may be shown on a receipt: no number, phone or name can be read from it."""
    if cell is None:
        return ""
    text = plain(cell if isinstance(cell, str) else number_text(cell))[:40]
    if sum(character.isdigit() for character in text) >= 15:
        return f"{text[:6]}********{text[-4:]}" if len(text) >= 18 else f"{text[:6]}********"
    if sum(character.isdigit() for character in text) >= 6:
        return f"{text[:3]}****{text[-2:]}"
    return "*" if len(text) == 1 else text[:1] + "*" * min(len(text[1:]), 8)


def masked_date(cell: Cell) -> str:
    """Like :func:`masked`, but what can only be a date stays readable: it is what must be mended."""
    text = plain(cell if isinstance(cell, str) else number_text(cell)).split(" ")[0] if cell is not None else ""
    if _DATE_LIKE.fullmatch(text) and sum(character.isdigit() for character in text) <= 8:
        return text
    return masked(cell)
