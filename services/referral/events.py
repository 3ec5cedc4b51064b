"""Mapping of referral's values to its published events."""

from datetime import date
from typing import Literal, Protocol, TypedDict
from uuid import UUID

from contracts.county import County
from contracts.referral import (
    Basis,
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    QueueEntry,
    ReferralChanged,
)
from contracts.vocabulary import HOTLINES, Transition
from services.referral import routing
from services.referral.domain.duties import Duty
from services.referral.domain.ledger import LedgerEntry, open_reasons
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import Actor, AppliedTransition, Referral

LedgerChange = Literal["opened", "changed", "closed"]
DutyChange = Literal["created", "reminded", "fulfilled", "missed", "fulfilled_late", "cancelled"]


class CasePart(Protocol):
    """A part of a child's case: a referral, proposal or duty, which may be restricted."""

    @property
    def child(self) -> UUID: ...
    @property
    def restricted(self) -> bool: ...


class CommonFields(TypedDict):
    """The fields that every event about a child has."""

    child: UUID
    restricted: bool
    on: date


def _common_fields(part: CasePart, on: date) -> CommonFields:
    return {"child": part.child, "restricted": part.restricted, "on": on}


def referral_changed(county: County, applied: AppliedTransition, on: date) -> ReferralChanged:
    """Return the event of a transition of a referral."""
    referral = applied.referral
    route = county.route(referral.route)
    return ReferralChanged(
        **_common_fields(referral, on),
        referral=referral.id,
        version=referral.version,
        transition=applied.transition,
        state=referral.state,
        route=referral.route,
        level=referral.level,
        findings=referral.findings,
        finding=referral.finding,
        item=referral.item,
        from_unit=referral.from_unit,
        to_unit=referral.to_unit,
        previous_unit=applied.previous_unit,
        right_unit=referral.right_unit if applied.transition is Transition.RETURNED else None,
        inform=routing.units_to_inform(county, referral.route, referral.township),
        township=referral.township,
        whitelist=() if route is None else route.whitelist,
        sent_at=referral.sent_at,
        accept_by=referral.accept_by,
        result_by=referral.result_by,
        provisional=referral.provisional,
        overdue=applied.overdue,
        call_first=referral.call_first,
        phone_by=referral.phone_by,
        phone_reported=referral.phone_reported,
        reason=applied.reason,
        cause=applied.cause,
        result=referral.result,
        reporter_unit=referral.reporter_unit,
        reporters=tuple(dict.fromkeys(referral.reporters)),
        reporter_informed=referral.reporter_informed,
        actor_unit=applied.actor.unit,
        actor_role=applied.actor.role,
        escalated_to=applied.escalated_to,
    )


def queue_entry(county: County, referral: Referral, unit: str, *, deleted: bool = False) -> QueueEntry:
    """Return the queue entry of a referral for one unit; with ``deleted``, its tombstone."""
    route = county.route(referral.route)
    unit_settings = county.unit(unit)
    whitelist = () if route is None else route.whitelist
    return QueueEntry(
        unit=unit,
        restricted=referral.restricted,
        referral=referral.id,
        child=referral.child,
        version=referral.version,
        state=referral.state,
        assigned=not deleted and referral.holder == unit,
        route=referral.route,
        title=referral.route if route is None else route.title,
        level=referral.level,
        findings=referral.findings,
        item=referral.item,
        expects="" if route is None else route.expects,
        basis=()
        if route is None
        else tuple(Basis(place=citation.place, phrase=citation.phrase) for citation in route.basis),
        from_unit=referral.from_unit,
        township=referral.township,
        sent_at=referral.sent_at,
        accept_by=referral.accept_by,
        result_by=referral.result_by,
        provisional=referral.provisional,
        call_first=referral.call_first,
        hotlines=HOTLINES if referral.call_first else (),
        phone_reported=referral.phone_reported,
        disclosure=bool(whitelist)
        and unit_settings is not None
        and unit_settings.key_for(restricted=referral.restricted) is not None,
        deleted=deleted,
    )


def proposal_made(proposal: Proposal, on: date) -> ProposalMade:
    """Return the event of a new proposal."""
    return ProposalMade(
        **_common_fields(proposal, on),
        proposal=proposal.id,
        subject=proposal.subject,
        unit=proposal.unit,
        route=proposal.route,
        level=proposal.level,
        findings=proposal.findings,
        ledger_reasons=proposal.ledger_reasons,
        township=proposal.township,
        decide_by=proposal.decide_by,
    )


def proposal_ended(proposal: Proposal, on: date, actor: Actor, escalated_to: str | None = None) -> ProposalEnded:
    """Return the event of a proposal that was decided, escalated, or has lost its grounds."""
    assert proposal.state != "open"
    return ProposalEnded(
        **_common_fields(proposal, on),
        proposal=proposal.id,
        subject=proposal.subject,
        outcome=proposal.state,
        unit=proposal.unit,
        actor_unit=actor.unit,
        actor_role=actor.role,
        escalated_to=escalated_to,
    )


def ledger_entry_changed(
    entry: LedgerEntry, change: LedgerChange, on: date, unit: str, role: str, *, restricted: bool
) -> LedgerEntryChanged:
    """Return the event of a change of a ledger entry; ``restricted`` names all reasons, else only the open ones."""
    return LedgerEntryChanged(
        child=entry.child,
        restricted=restricted,
        on=on,
        change=change,
        reasons=entry.reasons if restricted else open_reasons(entry.reasons),
        unit=entry.unit,
        township=entry.township,
        actor_unit=unit,
        actor_role=role,
    )


def duty_changed(duty: Duty, change: DutyChange, on: date) -> DutyChanged:
    """Return the event of a change of a duty."""
    return DutyChanged(
        **_common_fields(duty, on),
        duty=duty.id,
        duty_kind=duty.kind,
        change=change,
        period=duty.period,
        due_on=duty.due_on,
        provisional=duty.provisional,
        unit=duty.unit,
        township=duty.township,
    )
