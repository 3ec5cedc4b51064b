"""Contact and visit duties of children on the ledger, and what fulfils them (policy part 11)."""

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
    """How often a contact and a visit are due, in months, and when to remind. Set by the county."""

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
    """A period of whole calendar months, counted from January."""

    label: str
    first: date
    last: date

    @property
    def next_first(self) -> date:
        return self.last + DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A contact or visit of one period that one unit owes."""

    id: UUID
    child: UUID
    kind: DutyKind
    period: str
    first: date
    """The first day on which a contact or visit counts."""
    due_on: date
    unit: str
    township: str | None
    correlation: UUID
    restricted: bool = False
    """Its entry has only restricted reasons, so it never appears on the ordinary topics."""
    provisional: bool = False
    """The due day was counted in a year whose working days are not published yet, so it may move."""
    reminders: tuple[date, ...] = ()
    """The days on which reminders are still to be emitted."""
    state: State = "created"

    @property
    def outstanding(self) -> bool:
        return self.state in OUTSTANDING

    @property
    def next_on(self) -> date | None:
        """The next day whose completion must process it."""
        if self.state != "created":
            return None
        return min((*self.reminders, self.due_on + DAY))


def period_of(day: date, months: int) -> Period:
    """Return the period of ``months`` months that contains a day.

    Labels: ``2026-11`` for one month, ``2026Q4`` for three, ``2026H2`` for six, ``2026`` for twelve.
    """
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
    """Return the period of entry, or None if the entry is so late in it that the first contact is due in the next."""
    period = period_of(entry, cadence.contact_months)
    in_last_month = (entry.year, entry.month) == (period.last.year, period.last.month)
    return None if in_last_month and entry.day > cadence.entry_cutoff_day else period


def first_visit_due(entry: date, cadence: Cadence, calendar: Calendar) -> Due:
    """Return the day by which the first visit after an entry is due."""
    return calendar.after(entry, cadence.first_visit_days)


def recount(duty: Duty, cadence: Cadence, calendar: Calendar) -> Duty:
    """Recompute a provisional due day once the year's working days are published (policy 3.0).

    A duty that is fulfilled, cancelled or missed keeps its day.
    """
    if not duty.provisional or duty.state != "created":
        return duty
    due = first_visit_due(duty.first, cadence, calendar)
    return duty if due.provisional else replace(duty, due_on=due.on, provisional=False)


def contact_reminders(period: Period, cadence: Cadence, today: date) -> tuple[date, ...]:
    """Return the day of the period's last month on which to remind, if it has not passed."""
    day = min(period.last.replace(day=1) + (cadence.contact_reminder_day - 1) * DAY, period.last)
    return (day,) if day >= today else ()


def visit_reminders(period: Period, cadence: Cadence, today: date) -> tuple[date, ...]:
    """Return the days before the period's end on which to remind, if they lie in it and have not passed."""
    days = sorted(period.last - before * DAY for before in cadence.visit_reminders_days)
    return tuple(day for day in days if day >= max(today, period.first))


def remind(duty: Duty, today: date) -> tuple[Duty, bool]:
    """Return the duty and whether to remind today. Several reminders that are due become one."""
    due = [day for day in duty.reminders if day <= today]
    if duty.state != "created" or not due:
        return duty, False
    return replace(duty, reminders=tuple(day for day in duty.reminders if day > today)), True


def miss(duty: Duty, today: date) -> tuple[Duty, bool]:
    """Return the duty and whether it became missed: it does on the day after it was due."""
    if duty.state != "created" or today <= duty.due_on:
        return duty, False
    return replace(duty, state="missed", reminders=()), True


def fulfil(duty: Duty, on: date) -> Duty | None:
    """Return an outstanding duty as a contact or visit on a day fulfils it; None if it does not.

    A contact within the period fulfils it. If the duty was already missed, or the contact came after the due day, it is
    fulfilled late. A contact before the period does not count.
    """
    if not duty.outstanding or on < duty.first:
        return None
    in_time = duty.state == "created" and on <= duty.due_on
    return replace(duty, state="fulfilled" if in_time else "fulfilled_late", reminders=())


def answers(kind: DutyKind, *, contact: bool, visit: bool) -> bool:
    """Return whether a contact or visit answers a kind of duty. A visit counts as a contact, not the reverse."""
    return visit or contact if kind is DutyKind.CONTACT else visit


def follows(duty: Duty, first: date) -> bool:
    """Return whether the period that begins on ``first`` directly follows this duty's."""
    return duty.due_on + DAY == first
