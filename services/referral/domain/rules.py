"""What the county has set for referrals: the time limits of each level (办理时限), and escalation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from contracts.vocabulary import Level
from services.referral.domain.calendar import Calendar, county_day, end_of

Overdue = Literal["accept", "result", "phone_report"]

URGENT = frozenset({Level.L0, Level.L1})
"""Levels whose deadlines are counted in hours and checked by the ten-minute tick (policy 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """The time limits of a level, counted from SENT, in hours or in working days."""

    accept_hours: int | None = None
    accept_days: int | None = None
    result_hours: int | None = None
    result_days: int | None = None
    phone_report_hours: int | None = None
    escalate_unacknowledged_hours: int | None = None
    confirm_hours: int = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The deadlines of a referral."""

    accept_by: datetime | None
    accept_alarm_at: datetime | None
    """When a missing acceptance is escalated: ``accept_by``, unless the county allows more time."""
    result_by: datetime | None
    phone_by: datetime | None
    provisional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The county's settings that referrals are decided by."""

    limits: Mapping[Level, TimeLimits]
    calendar: Calendar
    lead_unit: str
    duty_unit: str
    coordinating_unit: str
    max_returns: int
    reopen_days: int

    def deadlines(self, level: Level, sent_at: datetime) -> Deadlines:
        """Return the deadlines of a referral sent at a moment. A deadline the county has not set is None."""
        limits = self.limits.get(level, TimeLimits())
        accept_by, accept_provisional = self._due(sent_at, limits.accept_hours, limits.accept_days)
        result_by, result_provisional = self._due(sent_at, limits.result_hours, limits.result_days)
        alarm = limits.escalate_unacknowledged_hours
        return Deadlines(
            accept_by=accept_by,
            accept_alarm_at=accept_by if alarm is None else sent_at + timedelta(hours=alarm),
            result_by=result_by,
            phone_by=None
            if limits.phone_report_hours is None
            else sent_at + timedelta(hours=limits.phone_report_hours),
            provisional=accept_provisional or result_provisional,
        )

    def extend(self, deadline: datetime | None, working_days: int) -> tuple[datetime | None, bool]:
        """Return the deadline extended by working days, and whether it is provisional."""
        if deadline is None:
            return None, False
        due = self.calendar.after(_last_day(deadline), working_days)
        return end_of(due.on), due.provisional

    def confirm_by(self, level: Level, made_at: datetime) -> datetime:
        """Return the moment by which a township must decide on a proposal of this level."""
        return made_at + timedelta(hours=self.limits.get(level, TimeLimits()).confirm_hours)

    def escalates_to(self, level: Level, holder: str) -> str:
        """Return the unit to which an overdue referral is escalated: for L0 the duty unit, else the lead unit.

        The lead unit's own delay is escalated to the coordinating unit.
        """
        if level is Level.L0:
            return self.duty_unit
        return self.coordinating_unit if holder == self.lead_unit else self.lead_unit

    def _due(self, sent_at: datetime, hours: int | None, days: int | None) -> tuple[datetime | None, bool]:
        if hours is not None:
            return sent_at + timedelta(hours=hours), False
        if days is not None:
            due = self.calendar.after(county_day(sent_at), days)
            return end_of(due.on), due.provisional
        return None, False


def _last_day(deadline: datetime) -> date:
    """Return the last day before a deadline; a deadline at midnight ends the day before."""
    return county_day(deadline - timedelta(microseconds=1))


def most_urgent(first: Level, second: Level | None) -> Level:
    """Return the more urgent of two levels; L0 is the most urgent."""
    return first if second is None else min(first, second)
