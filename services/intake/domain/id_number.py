"""Reads ID numbers: valid ones, those that can be repaired without loss, and those that must be rejected.

GB 11643-1999: six digits of area, eight of birth date, three of sequence (odd: male), one check character
(ISO 7064 MOD 11-2, by python-stdnum). The area says where the number was first issued, not where the hukou is.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal, NamedTuple

from stdnum.cn.ric import calc_check_digit

from contracts.vocabulary import PROVINCES
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell, number_text
from workbooks.text import plain

Kind = Literal["resident", "hong_kong_macao_taiwan", "foreign"]

ID_PROVINCES = PROVINCES | {"71", "81", "82", "83"}
"""First two digits of ID numbers: 71 is Taiwan; 81 to 83 are on the residence permits of people from Hong Kong, Macao
and Taiwan."""

_EIGHTEEN = re.compile(r"[0-9]{17}[0-9X]")
_FIFTEEN = re.compile(r"[0-9]{15}")
_CERTIFICATE = re.compile(r"([0-9]{17}[0-9X])([1-7])([1-4])(?:B[0-9]{1,2})?")
_TWENTY = re.compile(r"[0-9]{17}[0-9X][0-9]{2}(?:B[0-9]{1,2})?")
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?E\+?1[4-9]")
_STUDENT = re.compile(r"[GLJ][0-9]{17}[0-9X]")
_OTHER_DOCUMENT = re.compile(r"[A-Z]{3}[0-9]{12}|[HM][0-9]{8}(?:[0-9]{2})?|[EGPSD][A-Z]?[0-9]{7,8}")
"""Former permanent-resident cards of foreigners, travel permits, Chinese passports."""
_MASKED = re.compile(r"[*]{2,}|[*].|X{2,}|#{2,}|\?{2,}")
_LOOKS_LIKE_X = str.maketrans(
    {"Х": "X", "х": "X", "×": "X", "✕": "X", "✖": "X", "Ⅹ": "X", "χ": "X", "Χ": "X", "╳": "X"}
)
_IGNORED = str.maketrans(dict.fromkeys(" '’‘`´\"“”-‐‑–—_\t"))
_APOSTROPHES = ("'", "’", "‘", "`", "´")
_OTHER_DOCUMENT_KINDS = (
    "护照",
    "通行证",
    "回乡证",
    "台胞证",
    "永久居留",
    "旅行证",
    "出生医学证明",
    "出生证",
    "其他",
    "其它",
)


class IdNumber(NamedTuple):
    """A valid ID number and what it states."""

    number: str
    birth_date: date
    sex: Literal[1, 2]
    """GB/T 2261.1: 1 male, 2 female."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class OtherDocument:
    """The number of a passport, a travel permit or an older residence card; it cannot be checked."""

    number: str


@dataclass(frozen=True, slots=True)
class DisabilityCertificate:
    """A disability certificate: the holder's ID number, kind (1 to 7) and grade (1 to 4)."""

    holder: IdNumber
    kind: int
    grade: int


def read_id(cell: Cell, *, on: date, document_kind: str | None = None) -> IdNumber | OtherDocument | None:
    """Read the content of a column of ID numbers; None if the cell is empty.

    Repaired without loss: width, case, spaces, separators, apostrophes, and characters used for X. Anything else is
    rejected, never guessed.

    Args:
        cell: the content.
        on: the county's day; nobody is born after it.
        document_kind: the kind of document that the row states beside the number.

    Raises:
        CellRejected: ``id_damaged``, ``id_masked``, ``id_checksum``, ``id_birth_date``, ``id_region``, ``id_length``,
            ``id_15_digits``, ``id_immunization_code``, ``id_disability_number``, ``id_student_number``,
            ``id_unreadable``.
    """
    if isinstance(cell, str) and len(cell) == 18 and _EIGHTEEN.fullmatch(cell):
        return _read_18_digits(cell, on, marked_as_text=False)
    content = _text(cell)
    if content is None:
        return None
    text, typed = content
    if (
        document_kind is not None
        and any(kind in document_kind for kind in _OTHER_DOCUMENT_KINDS)
        and not _EIGHTEEN.fullmatch(text)
    ):
        return OtherDocument(text[:40])
    if len(text) == 18 and _EIGHTEEN.fullmatch(text):
        return _read_18_digits(text, on, marked_as_text=typed)
    if _MASKED.search(text):
        raise CellRejected("id_masked")
    if _TWENTY.fullmatch(text):
        raise CellRejected("id_disability_number")
    if _FIFTEEN.fullmatch(text):
        raise CellRejected("id_15_digits")
    if _STUDENT.fullmatch(text):
        raise CellRejected("id_student_number")
    if _OTHER_DOCUMENT.fullmatch(text):
        return OtherDocument(text)
    if len(text) >= 10 and text[:-1].isdigit():
        raise CellRejected("id_length")
    raise CellRejected("id_unreadable")


def read_adult_id(cell: Cell, *, on: date) -> str | None:
    """Read a parent's or guardian's number. A 15-digit number from before 1999 is written with 18 characters.

    Raises:
        CellRejected: as :func:`read_id`.
    """
    if isinstance(cell, str) and len(cell) == 18 and _EIGHTEEN.fullmatch(cell):
        return _read_18_digits(cell, on, marked_as_text=False).number
    content = _text(cell)
    if content is not None and _FIFTEEN.fullmatch(content[0]):
        widened = content[0][:6] + "19" + content[0][6:]
        text = widened + calc_check_digit(f"{widened}?")
        if birth_date_of(text) is None:
            raise CellRejected("id_birth_date")
        return text
    read = read_id(cell, on=on)
    return read.number if read is not None else None


def read_certificate(cell: Cell, *, on: date) -> DisabilityCertificate | IdNumber | None:
    """Read the content of a column of disability certificates: 20 characters, or the ID number alone.

    Raises:
        CellRejected: ``certificate_unreadable``, or as :func:`read_id`.
    """
    content = _text(cell)
    if content is None:
        return None
    text, typed = content
    match = _CERTIFICATE.fullmatch(text)
    if match:
        return DisabilityCertificate(_read_18_digits(match[1], on, marked_as_text=True), int(match[2]), int(match[3]))
    if _EIGHTEEN.fullmatch(text):
        return _read_18_digits(text, on, marked_as_text=typed)
    if _MASKED.search(text):
        raise CellRejected("id_masked")
    raise CellRejected("certificate_unreadable")


def has_valid_check_character(number: str) -> bool:
    """Return true if the last of 18 characters is the check character of the others."""
    return number[17] == calc_check_digit(number)


def birth_date_of(number: str) -> date | None:
    """Return the date in digits 7 to 14; None if there is no such day."""
    return _parse_day(number[6:14])


@lru_cache(maxsize=16_384)
def _parse_day(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _text(cell: Cell) -> tuple[str, bool] | None:
    """Return the number without separators, and whether an apostrophe marks it as text.

    A number that a spreadsheet stored as a number has at most fifteen correct digits.
    """
    if cell is None or isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        if abs(cell) >= 1e15 and (isinstance(cell, float) or float(cell) == cell):
            raise CellRejected("id_damaged")
        return number_text(cell), False
    text = plain(cell).upper()
    if not text or text in {"无", "-", "--", "/", "不详", "暂无", "NULL", "NONE", "未知", "待补"}:
        return None
    typed = text.startswith(_APOSTROPHES)
    text = text.translate(_IGNORED).translate(_LOOKS_LIKE_X)
    if not text:
        return None
    if len(text) == 18 and text[17] == "*" and text[:17].isdigit():
        text = text[:17] + "X"
    if _SCIENTIFIC.fullmatch(text):
        raise CellRejected("id_damaged")
    if text.endswith(".0") and text[:-2].isdigit():
        raise CellRejected("id_damaged" if len(text) > 17 else "id_length")
    return text, typed


def _read_18_digits(text: str, on: date, *, marked_as_text: bool) -> IdNumber:
    if text.endswith("000") and not marked_as_text:
        # A spreadsheet replaces the last digits by zeros. One in eleven such numbers passes the checksum by chance,
        # and only one correct number in a thousand ends so.
        raise CellRejected("id_damaged")
    born = birth_date_of(text)
    possible = born is not None and born.year >= 1900 and born <= on
    if not possible and _is_immunization_code(text, on):
        raise CellRejected("id_immunization_code")
    if not has_valid_check_character(text):
        exact = text.isdigit() and int(float(text)) == int(text)
        raise CellRejected("id_damaged" if exact else "id_checksum")
    if born is None or not possible:
        raise CellRejected("id_birth_date")
    sex: Literal[1, 2] = 1 if int(text[16]) % 2 else 2
    if text[0] == "9":
        return IdNumber(text, born, sex, "foreign")
    if text[:2] not in ID_PROVINCES:
        raise CellRejected("id_region")
    return IdNumber(text, born, sex, "hong_kong_macao_taiwan" if text[0] == "8" else "resident")


def _is_immunization_code(text: str, on: date) -> bool:
    """Return true for ten digits of the clinic, four of the birth year (never a month and day), four of sequence."""
    return text.isdigit() and text[:2] in ID_PROVINCES and 1980 <= int(text[10:14]) <= on.year
