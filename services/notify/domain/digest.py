"""The text of a unit's morning digest: how much it owes, in numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.vocabulary import DutyKind
from services.notify.domain.templates import COUNT_FORMS

NextAction = Literal["accept", "answer", "check", "decide", "review", "contact", "visit", "first_visit"]
"""What a unit has to do next."""

DUTY_ACTIONS: dict[DutyKind, NextAction] = {
    DutyKind.CONTACT: "contact",
    DutyKind.VISIT: "visit",
    DutyKind.FIRST_VISIT: "first_visit",
}
"""The duties that a digest counts: as due soon once a reminder was made, as late once missed and until they are made
good. They make no notice of their own before they are missed."""

DUTY_RANK = {"created": 1, "reminded": 2, "missed": 3, "cancelled": 4, "fulfilled": 4, "fulfilled_late": 4}
"""Change of a duty -> rank. A duty never goes back, whatever order its changes are read in after a merge."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one unit owes when a day is complete. L3 referrals are counted apart: their digest is monthly."""

    accept: int = 0
    answer: int = 0
    check: int = 0
    decide: int = 0
    review: int = 0
    overdue: int = 0
    contact: int = 0
    visit: int = 0
    first_visit: int = 0
    missed: int = 0
    """Contacts and visits that were not done in time and still have to be done."""
    due_soon: int = 0
    """Contacts and visits for which a reminder was made."""
    monthly: int = 0
    """Open L3 referrals."""
    monthly_overdue: int = 0
    escalated: int = 0
    """L3 referrals of other units that were escalated to this unit."""
    next_due: datetime | None = None
    """The next due time, L3 referrals apart."""


def daily(counts: Counts) -> str | None:
    """Return the day's numbers; None when the unit owes nothing."""
    work = _joined((counts.accept, counts.answer, counts.check, counts.decide, counts.review), COUNT_FORMS[0:5])
    if work and counts.overdue:
        work += f"，其中{COUNT_FORMS[5].format(counts.overdue)}"
    care = _joined((counts.contact, counts.visit, counts.first_visit), COUNT_FORMS[6:9])
    if care and (of_these := _joined((counts.missed, counts.due_soon), COUNT_FORMS[9:11])):
        care += f"，其中{of_these}"
    return "；".join(part for part in (work, care) if part) or None


def monthly(counts: Counts) -> str | None:
    """Return the month's numbers of L3 referrals; None when there are none."""
    own = _joined((counts.monthly,), COUNT_FORMS[11:12])
    if own and counts.monthly_overdue:
        own += f"，其中{COUNT_FORMS[5].format(counts.monthly_overdue)}"
    return "；".join(part for part in (own, _joined((counts.escalated,), COUNT_FORMS[12:13])) if part) or None


def _joined(numbers: tuple[int, ...], forms: tuple[str, ...]) -> str:
    return "、".join(form.format(number) for number, form in zip(numbers, forms, strict=True) if number)
