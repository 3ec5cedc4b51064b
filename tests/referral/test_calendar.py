"""Working days and the deadlines counted in them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.vocabulary import Level
from services.referral.domain.calendar import Calendar, beginning_of, county_day, end_of
from services.referral.domain.rules import Rules, TimeLimits
from services.referral.routing import rules_of
from tests.county import a_county
from tests.referral.harness import at

RULES = rules_of(a_county())
CALENDAR = RULES.calendar


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 9, 30), True),  # Wednesday before National Day
        (date(2026, 10, 1), False),
        (date(2026, 10, 7), False),
        (date(2026, 10, 8), True),
        (date(2026, 10, 9), True),
        (date(2026, 10, 10), True),  # a make-up Saturday
        (date(2026, 10, 11), False),  # the Sunday after it is not
        (date(2026, 2, 14), True),  # 调休 before the Spring Festival
        (date(2026, 2, 15), False),
        (date(2026, 11, 21), False),  # an ordinary Saturday
        (date(2026, 11, 23), True),
    ],
)
def test_holidays_are_not_working_days_and_make_up_days_are(day: date, worked: bool) -> None:
    assert CALENDAR.is_working_day(day) is worked


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        (date(2026, 11, 23), 0, date(2026, 11, 23)),  # the same day, worked or not
        (date(2026, 11, 22), 0, date(2026, 11, 22)),
        (date(2026, 11, 23), 1, date(2026, 11, 24)),
        (date(2026, 11, 20), 1, date(2026, 11, 23)),  # Friday to Monday
        (date(2026, 11, 21), 1, date(2026, 11, 23)),  # Saturday to Monday: the first day is not counted
        (date(2026, 9, 30), 1, date(2026, 10, 8)),  # over the whole holiday
        (date(2026, 9, 30), 3, date(2026, 10, 10)),  # and into the make-up Saturday
        (date(2026, 9, 30), 4, date(2026, 10, 12)),
    ],
)
def test_a_working_day_deadline_skips_days_off(start: date, days: int, due: date) -> None:
    deadlines = CALENDAR.after(start, days)

    assert deadlines.on == due
    assert not deadlines.provisional


@pytest.mark.parametrize(("start", "provisional"), [(date(2026, 12, 30), False), (date(2026, 12, 31), True)])
def test_a_deadline_that_reaches_into_an_unpublished_year_is_provisional(start: date, provisional: bool) -> None:
    """31 December 2026 is the last day of the published calendar."""
    assert CALENDAR.after(start, 1).provisional is provisional


def test_an_unpublished_year_is_computed_from_weekends() -> None:
    """2 October 2028 is a Monday that no calendar names as a holiday yet."""
    assert CALENDAR.is_working_day(date(2028, 10, 2))
    assert not CALENDAR.is_working_day(date(2028, 10, 1))


def test_a_county_day_begins_eight_hours_before_the_same_day_in_utc() -> None:
    assert beginning_of(date(2026, 3, 1)) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert end_of(date(2026, 2, 28)) == beginning_of(date(2026, 3, 1))
    assert county_day(datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC)) == date(2026, 2, 28)
    assert county_day(datetime(2026, 2, 28, 16, tzinfo=UTC)) == date(2026, 3, 1)


def test_time_limits_come_from_the_county() -> None:
    """In the demo county L0 is counted in hours, with an hour for the call, and L2 in working days."""
    sent = at(date(2026, 11, 24), 9)

    urgent, ordinary = RULES.deadlines(Level.L0, sent), RULES.deadlines(Level.L2, sent)

    assert urgent.accept_by == sent + timedelta(hours=1)
    assert urgent.accept_alarm_at == sent + timedelta(hours=2)
    assert urgent.phone_by == sent + timedelta(hours=1)
    assert urgent.result_by == sent + timedelta(hours=24)
    assert ordinary.accept_by == ordinary.accept_alarm_at == at(date(2026, 11, 28), 0)
    assert ordinary.result_by == at(date(2026, 12, 9), 0)
    assert ordinary.phone_by is None


def test_same_day_acceptance_ends_with_the_county_day() -> None:
    """A county may require that L1 is accepted on the same day, worked or not."""
    rules = Rules(
        limits={Level.L1: TimeLimits(accept_days=0, result_hours=24)},
        calendar=Calendar(frozenset({2026}), frozenset(), frozenset()),
        lead_unit="1-a",
        duty_unit="1-b",
        coordinating_unit="1-c",
        max_returns=2,
        reopen_days=90,
    )

    deadlines = rules.deadlines(Level.L1, at(date(2026, 11, 22), 23, 50))  # a Sunday, ten to midnight

    assert deadlines.accept_by == at(date(2026, 11, 23), 0)


def test_a_deadline_the_county_has_not_set_does_not_exist() -> None:
    rules = Rules(
        limits={},
        calendar=CALENDAR,
        lead_unit="1-a",
        duty_unit="1-b",
        coordinating_unit="1-c",
        max_returns=2,
        reopen_days=90,
    )

    deadlines = rules.deadlines(Level.L2, at(date(2026, 11, 24)))

    assert (deadlines.accept_by, deadlines.accept_alarm_at, deadlines.result_by, deadlines.phone_by) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("level", "holder", "up"),
    [
        (Level.L0, "341722-gaj", "341722-mzj"),  # the duty unit
        (Level.L2, "341722-jtj", "341722-mzj"),  # the lead unit
        (Level.L2, "341722-mzj", "341722-feg"),  # the lead unit's own delay goes to the next higher unit
    ],
)
def test_an_expired_deadline_is_escalated_to_the_next_higher_unit(level: Level, holder: str, up: str) -> None:
    assert RULES.escalates_to(level, holder) == up
