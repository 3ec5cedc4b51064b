"""Months, birthdays and school years, compared with plain day-by-day counting."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.eligibility.domain.dates import (
    add_months,
    age_on,
    compulsory_from,
    earliest,
    latest,
    reaches,
    school_year_of,
    years_on,
)

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))
CUTOFF = (8, 31)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2026, 8, 30), 6, date(2027, 2, 28)),
        (date(2026, 8, 28), 6, date(2027, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 3, 31), 1, date(2026, 4, 30)),
        (date(2026, 5, 23), 6, date(2026, 11, 23)),
        (date(2020, 2, 29), 84, date(2027, 2, 28)),
    ],
)
def test_a_month_without_the_day_counts_to_its_last_day(day: date, months: int, expected: date) -> None:
    """民法典第202条 defines this."""
    assert add_months(day, months) == expected


@given(DAYS, st.integers(0, 300))
def test_months_later_is_the_last_day_of_that_month_not_beyond_the_day_of_the_month(day: date, months: int) -> None:
    later = add_months(day, months)

    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day <= day.day
    tomorrow = later + timedelta(days=1)
    assert later.day == day.day or tomorrow.month != later.month


@given(DAYS, st.integers(0, 18))
def test_an_age_is_reached_on_the_birthday_and_not_the_day_before(birth: date, age: int) -> None:
    day = reaches(birth, age)

    assert age_on(birth, day) == age
    assert age_on(birth, day - timedelta(days=1)) == age - 1
    assert (day.month, day.day) == (birth.month, birth.day) or ((birth.month, birth.day) == (2, 29) and day.day == 28)


@given(DAYS, st.integers(1, 18))
def test_a_county_may_count_an_age_from_the_day_after_the_birthday(birth: date, age: int) -> None:
    day = reaches(birth, age, day_after=True)

    assert day == reaches(birth, age) + timedelta(days=1)
    assert age_on(birth, day, day_after=True) == age
    assert age_on(birth, day - timedelta(days=1), day_after=True) == age - 1


@given(DAYS)
def test_school_begins_in_the_first_year_whose_cutoff_finds_the_child_six(birth: date) -> None:
    begins = compulsory_from(birth, CUTOFF)
    cutoff = begins - timedelta(days=1)

    assert (begins.month, begins.day) == (9, 1)
    assert age_on(birth, cutoff) >= 6
    assert age_on(birth, date(cutoff.year - 1, *CUTOFF)) < 6


@given(DAYS)
def test_every_day_lies_in_one_school_year(day: date) -> None:
    begins = school_year_of(day, CUTOFF)

    assert begins <= day < years_on(begins, 1)


@given(st.none() | DAYS, st.none() | DAYS)
def test_never_is_later_than_any_day(one: date | None, other: date | None) -> None:
    far = date.max
    assert (earliest(one, other) or far) == min(one or far, other or far)
    assert (latest(one, other) or far) == max(one or far, other or far)
