"""A rule suggests, a person decides: the proposals a township or the county confirms or declines."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.vocabulary import FindingCode, LedgerReason, Level
from services.referral.domain.referral import Actor, Refused

What = Literal["referral", "ledger", "ledger_closing"]
State = Literal["open", "escalated", "confirmed", "declined", "no_longer_shown"]
UNDECIDED: frozenset[State] = frozenset({"open", "escalated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody has to decide, until when, and what follows from a yes."""

    id: UUID
    child: UUID
    what: What
    unit: str
    """Who decides. The lead unit may always decide too."""
    restricted: bool
    decide_by: datetime
    story: UUID
    township: str | None
    state: State = "open"
    route: str | None = None
    level: Level | None = None
    item: str | None = None
    findings: tuple[FindingCode, ...] = ()
    finding: UUID | None = None
    """The person's finding it came from, where that person's unit may not send at once."""
    reporter_unit: str | None = None
    phone_reported: bool = False
    opening: str = ""
    """What would name the referral beside child and route: a finding's id, a code, the ground."""
    nth: int = 1
    """Which opening of it a yes would be."""
    ledger_reasons: tuple[LedgerReason, ...] = ()
    grounds: tuple[str, ...] = ()
    """What it rests on, by name: the same ground is proposed once."""
    asked_unit: str | None = None
    """ledger_closing: who asked. Somebody else has to agree (G12)."""
    asked_role: str | None = None
    asked_person: str = ""

    @property
    def undecided(self) -> bool:
        return self.state in UNDECIDED

    @property
    def alarm_at(self) -> datetime | None:
        """When it goes up; once."""
        return self.decide_by if self.state == "open" else None


def decide(proposal: Proposal, actor: Actor, lead_unit: str, coordinating_unit: str, *, yes: bool) -> Proposal:
    """A person's yes or no.

    Raises:
        Refused: ``not_yours``, ``already_decided`` or ``second_person_needed``.
    """
    deciders = {proposal.unit, lead_unit}
    if proposal.state == "escalated":
        deciders.add(escalates_to(proposal, lead_unit, coordinating_unit))
    if actor.unit not in deciders:
        raise Refused("not_yours")
    if not proposal.undecided:
        raise Refused("already_decided")
    if yes and proposal.what == "ledger_closing" and _same_person(proposal, actor):
        raise Refused("second_person_needed")
    return replace(proposal, state="confirmed" if yes else "declined")


def escalates_to(proposal: Proposal, lead_unit: str, coordinating_unit: str) -> str:
    """Who is told when nobody has decided in time."""
    return coordinating_unit if proposal.unit == lead_unit else lead_unit


def _same_person(proposal: Proposal, actor: Actor) -> bool:
    if actor.person and actor.person == proposal.asked_person:
        return True
    return (actor.unit, actor.role) == (proposal.asked_unit, proposal.asked_role)
