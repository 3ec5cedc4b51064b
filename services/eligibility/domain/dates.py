"""Months, birthdays and school years, counted by the Civil Code (articles 200-204, 1259)."""

from calendar import monthrange
from datetime import date, timedelta
from functools import cache


def add_months(day: date, months: int) -> date:
    """Return the corresponding day ``months`` later, or the last day of a month without that day (article 202)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    month += 1
    if day.day <= 28:
        return date(year, month, day.day)
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def reaches(birth: date, age: int, *, day_after: bool = False) -> date:
    """Return the first day of being ``age``: the birthday, or 28 February in common years for one born on 29 February.

    With ``day_after``, the age is reached on the day after the birthday.
    """
    birthday = add_months(birth, 12 * age)
    return birthday + timedelta(days=1) if day_after else birthday


def age_on(birth: date, on: date, *, day_after: bool = False) -> int:
    """Return the age in full years on a day; it is negative before birth."""
    years = on.year - birth.year
    return years if on >= reaches(birth, years, day_after=day_after) else years - 1


def earliest(one: date | None, other: date | None) -> date | None:
    """Return the earlier of two days; None means never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def latest(one: date | None, other: date | None) -> date | None:
    """Return the later of two days; None means never."""
    if one is None or other is None:
        return None
    return max(one, other)


@cache
def school_year_begins(year: int, cutoff: tuple[int, int]) -> date:
    """Return the first day of the school year that begins in ``year``: the day after the cut-off (month, day)."""
    return date(year, *cutoff) + timedelta(days=1)


def school_year_of(day: date, cutoff: tuple[int, int]) -> date:
    """Return the first day of the school year that contains ``day``."""
    begins = school_year_begins(day.year, cutoff)
    return begins if day >= begins else school_year_begins(day.year - 1, cutoff)


def years_on(begins: date, years: int) -> date:
    """Return the first day of the school year ``years`` after the one that begins on this day."""
    return add_months(begins, 12 * years)


def compulsory_from(birth: date, cutoff: tuple[int, int]) -> date:
    """Return the first day of compulsory schooling: of the first school year whose cut-off finds the child six."""
    six = add_months(birth, 72)
    begins = school_year_begins(six.year, cutoff)
    return begins if six < begins else school_year_begins(six.year + 1, cutoff)
