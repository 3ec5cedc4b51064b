"""What the county has set for referrals: how long a level may take, and who is told when it took longer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from contracts.vocabulary import Level
from services.referral.domain.calendar import Calendar, county_day, end_of

Overdue = Literal["accept", "result", "phone_report"]

URGENT = frozenset({Level.L0, Level.L1})
"""Levels whose clocks count hours: the ten-minute tick looks after them (policy 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a level may take, counted from SENT; hours, or working days."""

    accept_hours: int | None = None
    accept_days: int | None = None
    result_hours: int | None = None
    result_days: int | None = None
    phone_report_hours: int | None = None
    escalate_unacknowledged_hours: int | None = None
    confirm_hours: int = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The clocks of one sending."""

    accept_by: datetime | None
    accept_alarm_at: datetime | None
    """When a missing acceptance is escalated: ``accept_by``, unless the county grants some time more."""
    result_by: datetime | None
    phone_by: datetime | None
    provisional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The county's data, as far as referral decides by it."""

    paces: Mapping[Level, Pace]
    calendar: Calendar
    lead_unit: str
    duty_unit: str
    coordinating_unit: str
    max_returns: int
    reopen_days: int

    def deadlines(self, level: Level, sent_at: datetime) -> Deadlines:
        """The clocks of a referral sent at a moment. A clock the county has not set does not run."""
        pace = self.paces.get(level, Pace())
        accept_by, early = self._by(sent_at, pace.accept_hours, pace.accept_days)
        result_by, late = self._by(sent_at, pace.result_hours, pace.result_days)
        alarm = pace.escalate_unacknowledged_hours
        return Deadlines(
            accept_by=accept_by,
            accept_alarm_at=accept_by if alarm is None else sent_at + timedelta(hours=alarm),
            result_by=result_by,
            phone_by=None if pace.phone_report_hours is None else sent_at + timedelta(hours=pace.phone_report_hours),
            provisional=early or late,
        )

    def longer(self, deadline: datetime | None, working_days: int) -> tuple[datetime | None, bool]:
        """A deadline moved by working days, and whether the day may still move."""
        if deadline is None:
            return None, False
        due = self.calendar.after(_last_day(deadline), working_days)
        return end_of(due.on), due.provisional

    def confirm_by(self, level: Level, made_at: datetime) -> datetime:
        """Until when a township decides on a proposal of this level."""
        return made_at + timedelta(hours=self.paces.get(level, Pace()).confirm_hours)

    def escalates_to(self, level: Level, holder: str) -> str:
        """Who is told when a clock runs out: for L0 the duty unit's officer, else the lead unit, never the holder."""
        if level is Level.L0:
            return self.duty_unit
        return self.coordinating_unit if holder == self.lead_unit else self.lead_unit

    def _by(self, sent_at: datetime, hours: int | None, days: int | None) -> tuple[datetime | None, bool]:
        if hours is not None:
            return sent_at + timedelta(hours=hours), False
        if days is not None:
            due = self.calendar.after(county_day(sent_at), days)
            return end_of(due.on), due.provisional
        return None, False


def _last_day(deadline: datetime) -> date:
    """The day a deadline falls on; a deadline at midnight ends the day before."""
    return county_day(deadline - timedelta(microseconds=1))


def most_urgent(one: Level, other: Level | None) -> Level:
    """The more urgent of two levels: L0 before L3."""
    return one if other is None else min(one, other)
