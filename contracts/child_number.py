"""The short number of a child: what a person reads, types and says on the telephone instead of an id.

Twelve digits in groups of four and a check letter: ``4821-0937-5516-P``. The digits come from a keyed hash of the
record that founded the child's file, so they say nothing about the child; the letter catches every wrong digit and
every swap of two. ``child_id`` is a pure function of the county and the number. Standard library only.
"""

import re
import unicodedata
from uuid import UUID, uuid5

DIGITS = 12
_CHECK = "TRWAGMYFPDXBNJZSQVHLCKE"
"""Remainder by 23 -> letter. 10 generates the units modulo 23, so each place weighs differently. No I, O or U."""
_NAMESPACE = UUID("5b0a4c1e-8d0e-5f5b-9a54-7f6d5f9d8c11")
_FORM = re.compile(rf"(\d{{{DIGITS}}})([{_CHECK}])")
_FILLERS = re.compile(r"[\s\-‐-―−·.]+")


class InvalidChildNumber(ValueError):
    """What was typed is no child's number. ``code``: ``length``, ``letter_missing`` or ``check``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def child_number(mac: bytes, *, digits: int = DIGITS) -> str:
    """The number for a keyed hash of a founding record.

    Args:
        mac: at least 16 bytes. Where another child of the county already has the number, the caller hashes the record
            again with the next counter, and stores the counter, so that a replay makes the same number.
        digits: fewer than twelve only in tests, so that two children meet on one number.

    Returns:
        Twelve digits, without the check letter.
    """
    return str(int.from_bytes(mac[:16], "big") % 10**digits).zfill(DIGITS)


def child_id(county: str, number: str) -> UUID:
    """The id of the child that has this number in this county (six digits)."""
    return uuid5(_NAMESPACE, f"{county}/{number}")


def check_letter(number: str) -> str:
    """The letter that follows twelve digits."""
    return _CHECK[int(number) % len(_CHECK)]


def format_child_number(number: str) -> str:
    """As a person reads it: ``4821-0937-5516-P``."""
    return "-".join([*(number[start : start + 4] for start in range(0, DIGITS, 4)), check_letter(number)])


def parse_child_number(text: str) -> str:
    """The twelve digits of what a person typed: any spacing, full-width digits, a small letter.

    Raises:
        InvalidChildNumber: it is no number, or its letter does not belong to its digits. Never repeats the text.
    """
    plain = _FILLERS.sub("", unicodedata.normalize("NFKC", text)).upper()
    found = _FORM.fullmatch(plain)
    if found is None:
        missing = plain.isascii() and plain.isdigit() and len(plain) == DIGITS
        raise InvalidChildNumber("letter_missing" if missing else "length")
    number, letter = found.groups()
    if letter != check_letter(number):
        raise InvalidChildNumber("check")
    return number
