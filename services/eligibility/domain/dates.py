"""Months, birthdays and school years, counted as the Civil Code counts them (articles 200-204, 1259)."""

from calendar import monthrange
from datetime import date, timedelta
from functools import cache


def add_months(day: date, months: int) -> date:
    """The corresponding day ``months`` later; where that month has no such day, its last one (article 202)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    month += 1
    if day.day <= 28:
        return date(year, month, day.day)
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def reaches(birth: date, age: int, *, day_after: bool = False) -> date:
    """The first day of being ``age``: the birthday, 28 February in common years for a child of 29 February.

    ``day_after``: the county counts an age as reached on the day after the birthday.
    """
    birthday = add_months(birth, 12 * age)
    return birthday + timedelta(days=1) if day_after else birthday


def age_on(birth: date, on: date, *, day_after: bool = False) -> int:
    """Full years on a day; negative before birth."""
    years = on.year - birth.year
    return years if on >= reaches(birth, years, day_after=day_after) else years - 1


def earliest(one: date | None, other: date | None) -> date | None:
    """The earlier of two days; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def latest(one: date | None, other: date | None) -> date | None:
    """The later of two days; None is never."""
    if one is None or other is None:
        return None
    return max(one, other)


@cache
def school_year_begins(year: int, cutoff: tuple[int, int]) -> date:
    """The first day of the school year that begins in ``year``: the day after the cut-off (month, day)."""
    return date(year, *cutoff) + timedelta(days=1)


def school_year_of(day: date, cutoff: tuple[int, int]) -> date:
    """The first day of the school year that ``day`` lies in."""
    begins = school_year_begins(day.year, cutoff)
    return begins if day >= begins else school_year_begins(day.year - 1, cutoff)


def years_on(begins: date, years: int) -> date:
    """The first day of the school year ``years`` after the one that begins on this day."""
    return add_months(begins, 12 * years)


def compulsory_from(birth: date, cutoff: tuple[int, int]) -> date:
    """The first day of the school year in which a child who is six by the cut-off must enter school."""
    six = add_months(birth, 72)
    begins = school_year_begins(six.year, cutoff)
    return begins if six < begins else school_year_begins(six.year + 1, cutoff)
