"""Into whose inbox a line goes: a smaller place is told through its parent, and nothing is lost."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Office:
    """A unit of the county, as far as its inbox goes."""

    short: str
    parent: str | None
    inbox: bool
    restricted_inbox: bool
    recipient: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """An inbox, and for whom."""

    inbox: str
    answers_for: str | None
    """The unit that is meant, when it is not the inbox's own."""
    unattended: str | None
    """A unit whose lines nobody receives: an alarm, not a loss."""


def address(offices: Mapping[str, Office], lead: str, unit: str, *, restricted: bool) -> Address:
    """The inbox for a line to ``unit``.

    A restricted line never falls into an ordinary inbox: where the unit has no restricted one, and where the unit is
    unknown or has no inbox at all, the lead unit gets the line and passes it on.
    """
    speaker = unit
    if unit in offices and offices[unit].parent is not None:
        speaker = str(offices[unit].parent)
    office = offices.get(speaker)
    if office is None or not office.inbox:
        return Address(lead, unit, unit)
    if restricted and not office.restricted_inbox:
        speaker = lead
    unattended = speaker if offices[speaker].recipient is None else None
    return Address(speaker, unit if speaker != unit else None, unattended)
