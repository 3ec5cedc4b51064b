"""Monthly contact and quarterly visit: duties that time itself makes, and what fulfils them (policy part 11)."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from contracts.vocabulary import DutyKind
from services.referral.domain.calendar import Calendar, Due

State = Literal["created", "missed", "fulfilled", "fulfilled_late", "cancelled"]
OUTSTANDING: frozenset[State] = frozenset({"created", "missed"})
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often, in months; when to remind. The county's data."""

    contact_months: int
    visit_months: int
    first_visit_days: int
    """Working days after entry."""
    entry_cutoff_day: int
    contact_reminder_day: int
    """Day of a contact period's last month."""
    visit_reminders_days: tuple[int, ...]
    """Days before a visit period's end."""


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar month, quarter or other whole number of months, counted from January."""

    label: str
    first: date
    last: date

    @property
    def next_first(self) -> date:
        return self.last + DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One contact or visit of one period, owed by one unit."""

    id: UUID
    child: UUID
    kind: DutyKind
    period: str
    first: date
    """An act counts from this day on."""
    due_on: date
    unit: str
    township: str | None
    story: UUID
    restricted: bool = False
    """Owed to an entry of which no reader of the ordinary topics knows."""
    provisional: bool = False
    """Counted into a year whose working days nobody has published: the due day may move."""
    reminders: tuple[date, ...] = ()
    """Days on which to remind, that have not come yet."""
    state: State = "created"

    @property
    def outstanding(self) -> bool:
        return self.state in OUTSTANDING

    @property
    def next_on(self) -> date | None:
        """The next day on which time does something to it."""
        if self.state != "created":
            return None
        return min((*self.reminders, self.due_on + DAY))


def period_of(day: date, months: int) -> Period:
    """The period a day lies in. One month is ``2026-11``, three are ``2026Q4``, six ``2026H2``, twelve ``2026``."""
    start = (day.month - 1) // months * months
    first = date(day.year, start + 1, 1)
    past = start + months
    last = date(day.year + past // 12, past % 12 + 1, 1) - DAY
    label = {
        1: f"{first:%Y-%m}",
        3: f"{first.year}Q{start // 3 + 1}",
        6: f"{first.year}H{start // 6 + 1}",
        12: f"{first.year}",
    }.get(months, f"{first:%Y-%m}/{months}")
    return Period(label, first, last)


def first_contact(entry: date, cadence: Cadence) -> Period | None:
    """The period of entry, if entry is early enough in it; None: the first contact is due in the next one."""
    period = period_of(entry, cadence.contact_months)
    in_last_month = (entry.year, entry.month) == (period.last.year, period.last.month)
    return None if in_last_month and entry.day > cadence.entry_cutoff_day else period


def first_visit_due(entry: date, cadence: Cadence, calendar: Calendar) -> Due:
    return calendar.after(entry, cadence.first_visit_days)


def recount(duty: Duty, cadence: Cadence, calendar: Calendar) -> Duty:
    """The calendar of a year was published meanwhile: the day it is due by may move (policy 3.0).

    What is over, or was called missed, stays as it was told.
    """
    if not duty.provisional or duty.state != "created":
        return duty
    due = first_visit_due(duty.first, cadence, calendar)
    return duty if due.provisional else replace(duty, due_on=due.on, provisional=False)


def contact_reminders(period: Period, cadence: Cadence, today: date) -> tuple[date, ...]:
    """The day of the period's last month on which to remind, if it has not passed."""
    day = min(period.last.replace(day=1) + (cadence.contact_reminder_day - 1) * DAY, period.last)
    return (day,) if day >= today else ()


def visit_reminders(period: Period, cadence: Cadence, today: date) -> tuple[date, ...]:
    """The days before the period's end on which to remind, as far as they lie in it and have not passed."""
    days = sorted(period.last - before * DAY for before in cadence.visit_reminders_days)
    return tuple(day for day in days if day >= max(today, period.first))


def remind(duty: Duty, today: date) -> tuple[Duty, bool]:
    """At most one reminder a day; days that were skipped are made good by one."""
    due = [day for day in duty.reminders if day <= today]
    if duty.state != "created" or not due:
        return duty, False
    return replace(duty, reminders=tuple(day for day in duty.reminders if day > today)), True


def miss(duty: Duty, today: date) -> tuple[Duty, bool]:
    """Missed from the day after it was due."""
    if duty.state != "created" or today <= duty.due_on:
        return duty, False
    return replace(duty, state="missed", reminders=()), True


def fulfil(duty: Duty, on: date) -> Duty | None:
    """What an act done on a day makes of an outstanding duty; None: nothing.

    An act within the period fulfils it, however late it is recorded; once the duty was called missed, or the act
    came after the due day, it is fulfilled late. An act before the period counts for nothing in it.
    """
    if not duty.outstanding or on < duty.first:
        return None
    in_time = duty.state == "created" and on <= duty.due_on
    return replace(duty, state="fulfilled" if in_time else "fulfilled_late", reminders=())


def answers(kind: DutyKind, *, contact: bool, visit: bool) -> bool:
    """A visit counts as contact; a contact is no visit."""
    return visit or contact if kind is DutyKind.CONTACT else visit


def follows(duty: Duty, first: date) -> bool:
    """Whether the period that begins on ``first`` comes right after this duty's."""
    return duty.due_on + DAY == first
