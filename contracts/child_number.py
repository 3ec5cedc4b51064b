"""The short number of a child, which people read, type and dictate by telephone instead of the UUID.

It has twelve digits in groups of four and a check letter: ``4821-0937-5516-P``. The digits come from a keyed hash of
the record that opened the child's file, so they reveal nothing about the child. The letter detects every single wrong
digit and every transposition of two digits.
``child_id`` is a pure function of the county and the number. Only the standard library is used.
"""

import re
import unicodedata
from uuid import UUID, uuid5

DIGITS = 12
_CHECK = "TRWAGMYFPDXBNJZSQVHLCKE"
"""Maps the remainder modulo 23 to a letter. 10 generates the units modulo 23, so each position has another weight."""
_NAMESPACE = UUID("5b0a4c1e-8d0e-5f5b-9a54-7f6d5f9d8c11")
_FORM = re.compile(rf"(\d{{{DIGITS}}})([{_CHECK}])")
_FILLERS = re.compile(r"[\s\-‐-―−·.]+")


class InvalidChildNumber(ValueError):
    """The text is not a child number. ``code`` is ``length``, ``letter_missing`` or ``check``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def child_number(mac: bytes, *, digits: int = DIGITS) -> str:
    """Return the number for the keyed hash of the record that opened a file.

    Args:
        mac: at least 16 bytes. If another child of the county already has the number, the caller hashes the record
            again with the next counter and stores the counter, so that a replay makes the same number.
        digits: fewer than twelve only in tests, to provoke collisions.

    Returns:
        Twelve digits, without the check letter.
    """
    return str(int.from_bytes(mac[:16], "big") % 10**digits).zfill(DIGITS)


def child_id(county: str, number: str) -> UUID:
    """Return the id of the child with this number in this county (a six-digit code)."""
    return uuid5(_NAMESPACE, f"{county}/{number}")


def check_letter(number: str) -> str:
    """Return the check letter of twelve digits."""
    return _CHECK[int(number) % len(_CHECK)]


def format_child_number(number: str) -> str:
    """Format twelve digits for people: ``4821-0937-5516-P``."""
    return "-".join([*(number[start : start + 4] for start in range(0, DIGITS, 4)), check_letter(number)])


def parse_child_number(text: str) -> str:
    """Return the twelve digits of a typed number. Any spacing, full-width digits and a lower-case letter are accepted.

    Raises:
        InvalidChildNumber: the text is not a number, or its letter does not match its digits. The error never
            repeats the text.
    """
    plain = _FILLERS.sub("", unicodedata.normalize("NFKC", text)).upper()
    match = _FORM.fullmatch(plain)
    if match is None:
        missing = plain.isascii() and plain.isdigit() and len(plain) == DIGITS
        raise InvalidChildNumber("letter_missing" if missing else "length")
    number, letter = match.groups()
    if letter != check_letter(number):
        raise InvalidChildNumber("check")
    return number
