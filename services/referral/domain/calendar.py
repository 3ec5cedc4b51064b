"""Working days, and the moments at which days of the county end."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

COUNTY_TIME = ZoneInfo("Asia/Shanghai")
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Due:
    """The last day of a period counted in working days."""

    on: date
    provisional: bool
    """A year was counted for which no calendar is published yet: the day may move."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The State Council's yearly calendar (调休). A year that is not published is computed from weekends."""

    published_years: frozenset[int]
    holidays: frozenset[date]
    make_up_days: frozenset[date]

    def works(self, day: date) -> bool:
        if day in self.make_up_days:
            return True
        return day not in self.holidays and day.weekday() < SATURDAY

    def after(self, day: date, working_days: int) -> Due:
        """The working day that many working days after ``day``, which itself is not counted (Civil Code 201).

        None at all: the day itself, worked or not.
        """
        provisional = False
        left = working_days
        while left > 0:
            day += timedelta(days=1)
            provisional = provisional or day.year not in self.published_years
            if self.works(day):
                left -= 1
        return Due(day, provisional)


def county_day(moment: datetime) -> date:
    """The county's calendar day of an aware moment."""
    return moment.astimezone(COUNTY_TIME).date()


def beginning_of(day: date) -> datetime:
    """The moment the county's day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=COUNTY_TIME).astimezone(UTC)


def end_of(day: date) -> datetime:
    """The moment the county's day is over, in UTC."""
    return beginning_of(day + timedelta(days=1))
