"""Chooses the inbox of a notice: a smaller place is notified through its parent, and no notice is lost."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitInbox:
    """A unit, as far as its inbox goes."""

    parent: str | None
    inbox: bool
    restricted_inbox: bool
    recipient: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """The inbox that a notice goes into, and the unit it is meant for."""

    inbox: str
    forward_to: str | None
    """The unit that is meant, where the inbox is another unit's."""
    unattended: str | None
    """A unit whose notices nobody receives: this raises an alarm, and the notice is kept."""


def address(inboxes: Mapping[str, UnitInbox], lead: str, unit: str, *, restricted: bool) -> Address:
    """Return the inbox for a notice to ``unit``.

    A restricted notice never falls into an ordinary inbox. Where the unit has no restricted inbox, is unknown, or has
    no inbox at all, the lead unit receives the notice and passes it on.
    """
    receiver = unit
    if unit in inboxes and inboxes[unit].parent is not None:
        receiver = str(inboxes[unit].parent)
    owner = inboxes.get(receiver)
    if owner is None or not owner.inbox:
        return Address(lead, unit, unit)
    if restricted and not owner.restricted_inbox:
        receiver = lead
    unattended = receiver if inboxes[receiver].recipient is None else None
    return Address(receiver, unit if receiver != unit else None, unattended)
