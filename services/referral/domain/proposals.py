"""Proposals that a township or the county confirms or declines: rules suggest, people decide."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.vocabulary import FindingCode, LedgerReason, Level
from services.referral.domain.referrals import Actor, TransitionRefused

Subject = Literal["referral", "ledger", "ledger_closing"]
State = Literal["open", "escalated", "confirmed", "declined", "no_longer_shown"]
UNDECIDED: frozenset[State] = frozenset({"open", "escalated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a unit has to decide, by when, and what a confirmation leads to."""

    id: UUID
    child: UUID
    subject: Subject
    unit: str
    """The unit that decides. The lead unit may decide too."""
    restricted: bool
    decide_by: datetime
    correlation: UUID
    township: str | None
    state: State = "open"
    route: str | None = None
    level: Level | None = None
    item: str | None = None
    findings: tuple[FindingCode, ...] = ()
    finding: UUID | None = None
    """The person's finding it came from, if that person's unit may not send referrals directly."""
    reporter_unit: str | None = None
    phone_reported: bool = False
    opening_key: str = ""
    """Identifies the referral beside its child and route: a finding's id, a code, or the ground."""
    occurrence: int = 1
    """Counts the referrals of one opening key."""
    ledger_reasons: tuple[LedgerReason, ...] = ()
    grounds: tuple[str, ...] = ()
    """The names of its grounds. The same ground is proposed once."""
    requester_unit: str | None = None
    """ledger_closing: the unit that requested it. Another person has to agree (G12)."""
    requester_role: str | None = None
    requester_person: str = ""

    @property
    def undecided(self) -> bool:
        return self.state in UNDECIDED

    @property
    def alarm_at(self) -> datetime | None:
        """The moment at which it is escalated, once."""
        return self.decide_by if self.state == "open" else None


def decide(proposal: Proposal, actor: Actor, lead_unit: str, coordinating_unit: str, *, yes: bool) -> Proposal:
    """Return the proposal as a person has decided it: confirmed or declined.

    Raises:
        TransitionRefused: ``not_yours``, ``already_decided`` or ``second_person_needed``.
    """
    deciders = {proposal.unit, lead_unit}
    if proposal.state == "escalated":
        deciders.add(escalates_to(proposal, lead_unit, coordinating_unit))
    if actor.unit not in deciders:
        raise TransitionRefused("not_yours")
    if not proposal.undecided:
        raise TransitionRefused("already_decided")
    if yes and proposal.subject == "ledger_closing" and _same_person(proposal, actor):
        raise TransitionRefused("second_person_needed")
    return replace(proposal, state="confirmed" if yes else "declined")


def escalates_to(proposal: Proposal, lead_unit: str, coordinating_unit: str) -> str:
    """Return the unit to which an overdue proposal is escalated."""
    return coordinating_unit if proposal.unit == lead_unit else lead_unit


def _same_person(proposal: Proposal, actor: Actor) -> bool:
    if actor.person and actor.person == proposal.requester_person:
        return True
    return (actor.unit, actor.role) == (proposal.requester_unit, proposal.requester_role)
