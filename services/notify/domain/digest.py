"""What a unit reads in the morning: how much it owes, in numbers."""

from dataclasses import dataclass
from datetime import datetime

from services.notify.domain.wording import COUNTED


@dataclass(frozen=True, slots=True)
class Counts:
    """Open matters of one unit at the turn of a day. L3 is counted apart: it is told once a month."""

    accept: int = 0
    answer: int = 0
    check: int = 0
    decide: int = 0
    question: int = 0
    overdue: int = 0
    contact: int = 0
    visit: int = 0
    first_visit: int = 0
    missed: int = 0
    """Contacts and visits that were not done in time, and still are to be."""
    soon: int = 0
    """Contacts and visits that were reminded of."""
    bundle: int = 0
    bundle_overdue: int = 0
    watched: int = 0
    """L3 matters of other units that were escalated to this one."""
    soonest: datetime | None = None
    """When the next of them is due, L3 apart."""


def daily(counts: Counts) -> str | None:
    """The day's numbers; None when there is nothing to say."""
    work = _joined((counts.accept, counts.answer, counts.check, counts.decide, counts.question), COUNTED[0:5])
    if work and counts.overdue:
        work += f"，其中{COUNTED[5].format(counts.overdue)}"
    care = _joined((counts.contact, counts.visit, counts.first_visit), COUNTED[6:9])
    if care and (of_these := _joined((counts.missed, counts.soon), COUNTED[9:11])):
        care += f"，其中{of_these}"
    return "；".join(part for part in (work, care) if part) or None


def monthly(counts: Counts) -> str | None:
    """The month's bundle of L3 matters; None when there are none."""
    own = _joined((counts.bundle,), COUNTED[11:12])
    if own and counts.bundle_overdue:
        own += f"，其中{COUNTED[5].format(counts.bundle_overdue)}"
    return "；".join(part for part in (own, _joined((counts.watched,), COUNTED[12:13])) if part) or None


def _joined(numbers: tuple[int, ...], forms: tuple[str, ...]) -> str:
    return "、".join(form.format(number) for number, form in zip(numbers, forms, strict=True) if number)
