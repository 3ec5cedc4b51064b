"""Working days, and the moments at which the county's days begin and end."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from contracts.vocabulary import COUNTY_TIME

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Due:
    """The last day of a period counted in working days."""

    on: date
    provisional: bool
    """The count includes days of a year whose calendar is not published yet, so the day may move."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The State Council's yearly calendar of working days (调休). An unpublished year is computed from weekends."""

    published_years: frozenset[int]
    holidays: frozenset[date]
    make_up_days: frozenset[date]

    def is_working_day(self, day: date) -> bool:
        """Return whether the day is worked: a weekday that is no holiday, or a make-up day."""
        if day in self.make_up_days:
            return True
        return day not in self.holidays and day.weekday() < SATURDAY

    def after(self, day: date, working_days: int) -> Due:
        """Return the day that is ``working_days`` after ``day``, which itself is not counted (民法典第201条).

        With zero working days that is ``day`` itself, even if it is not worked.
        """
        provisional = False
        left = working_days
        while left > 0:
            day += timedelta(days=1)
            provisional = provisional or day.year not in self.published_years
            if self.is_working_day(day):
                left -= 1
        return Due(day, provisional)


def county_day(moment: datetime) -> date:
    """Return the county's calendar day of an aware moment."""
    return moment.astimezone(COUNTY_TIME).date()


def beginning_of(day: date) -> datetime:
    """Return the moment at which the county's day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=COUNTY_TIME).astimezone(UTC)


def end_of(day: date) -> datetime:
    """Return the moment at which the county's day ends, in UTC."""
    return beginning_of(day + timedelta(days=1))
