"""Which numbers count: an ID number only when nothing about it is damaged; phones as digits.

GB 11643-1999: 6 digits of area, 8 of birth, 3 of sequence, a check character by ISO 7064 MOD 11-2. Residence permits
for 港澳台 residents and the foreigners' permanent residence card of 2023 have the same form.
"""

import re
from datetime import date

from stdnum.iso7064 import mod_11_2

_FORM = re.compile(r"[1-9]\d{16}[\dX]")
_OLD_FORM = re.compile(r"[1-9]\d{14}")


def child_number(text: str, birth_date: date | None) -> str | None:
    """The number in one spelling; None when it is damaged or belongs to somebody born on another day.

    A number that does not carry the record's birth date is a mother's in the child's column, or a slip: evidence
    of nothing.
    """
    number = text.strip().upper()
    if not _is_valid(number):
        return None
    if birth_date is None or number[6:14] != f"{birth_date:%Y%m%d}":
        return None
    return number


def adult_number(text: str) -> str | None:
    """A guardian's number in one spelling: numbers of 15 digits from before 1999 are written out."""
    number = text.strip().upper()
    if _OLD_FORM.fullmatch(number):
        number = f"{number[:6]}19{number[6:]}"
        number += mod_11_2.calc_check_digit(number)
    return number if _is_valid(number) else None


def phones(text: str) -> tuple[str, ...]:
    """The numbers in a cell, digits only, without the country's prefix."""
    found = []
    for part in re.split(r"[,，;；/、|]+", text):
        digits = re.sub(r"\D", "", part)
        if len(digits) > 11 and digits.startswith(("86", "0086")):
            digits = digits.removeprefix("00").removeprefix("86")
        if len(digits) >= 7:
            found.append(digits)
    return tuple(dict.fromkeys(found))


def _is_valid(number: str) -> bool:
    if not _FORM.fullmatch(number) or mod_11_2.checksum(number) != 1:
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return True
