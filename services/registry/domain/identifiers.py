"""Validates ID numbers, which count only if undamaged, and extracts phone numbers as digits.

GB 11643-1999: 6 digits of area, 8 of birth, 3 of sequence, a check character by ISO 7064 MOD 11-2. Residence permits
for 港澳台 residents and the foreigners' permanent residence card of 2023 have the same form.
"""

import re
from datetime import date

from stdnum.iso7064 import mod_11_2

_FORM = re.compile(r"[1-9]\d{16}[\dX]")
_OLD_FORM = re.compile(r"[1-9]\d{14}")


def child_id_number(text: str, birth_date: date | None) -> str | None:
    """Return a child's ID number in one spelling, or None if it is damaged or has another birth date.

    A number without the record's birth date is a mother's in the child's column, or a slip, and no evidence.
    """
    number = text.strip().upper()
    if not _is_valid(number):
        return None
    if birth_date is None or number[6:14] != f"{birth_date:%Y%m%d}":
        return None
    return number


def guardian_id_number(text: str) -> str | None:
    """Return a guardian's ID number in one spelling; 15-digit numbers from before 1999 are extended to 18."""
    number = text.strip().upper()
    if _OLD_FORM.fullmatch(number):
        number = f"{number[:6]}19{number[6:]}"
        number += mod_11_2.calc_check_digit(number)
    return number if _is_valid(number) else None


def phones(text: str) -> tuple[str, ...]:
    """Return the phone numbers in a cell, digits only, without the country's prefix."""
    numbers = []
    for part in re.split(r"[,，;；/、|]+", text):
        digits = re.sub(r"\D", "", part)
        if len(digits) > 11 and digits.startswith(("86", "0086")):
            digits = digits.removeprefix("00").removeprefix("86")
        if len(digits) >= 7:
            numbers.append(digits)
    return tuple(dict.fromkeys(numbers))


def _is_valid(number: str) -> bool:
    if not _FORM.fullmatch(number) or mod_11_2.checksum(number) != 1:
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return True
