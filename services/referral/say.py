"""Referral's values as the events it says."""

from datetime import date
from typing import Literal

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
from services.referral.domain.ledger import Ledger, open_reasons
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import Actor, Moved, Referral

LedgerMove = Literal["opened", "changed", "closed"]
DutyMove = Literal["created", "reminded", "fulfilled", "missed", "fulfilled_late", "cancelled"]


def referral_moved(county: County, moved: Moved, on: date) -> ReferralChanged:
    referral = moved.referral
    route = county.route(referral.route)
    return ReferralChanged(
        child=referral.child,
        restricted=referral.restricted,
        on=on,
        referral=referral.id,
        version=referral.version,
        transition=moved.move,
        state=referral.state,
        route=referral.route,
        level=referral.level,
        findings=referral.findings,
        finding=referral.finding,
        item=referral.item,
        from_unit=referral.from_unit,
        to_unit=referral.to_unit,
        previous_unit=moved.previous_unit,
        right_unit=referral.right_unit if moved.move is Transition.RETURNED else None,
        inform=routing.informed(county, referral.route, referral.township),
        township=referral.township,
        whitelist=() if route is None else route.whitelist,
        sent_at=referral.sent_at,
        accept_by=referral.accept_by,
        result_by=referral.result_by,
        provisional=referral.provisional,
        overdue=moved.overdue,
        call_first=referral.call_first,
        phone_by=referral.phone_by,
        phone_reported=referral.phone_reported,
        reason=moved.reason,
        cause=moved.because,
        result=referral.result,
        reporter_unit=referral.reporter_unit,
        reporters=tuple(dict.fromkeys(referral.reporters)),
        reporter_informed=referral.reporter_informed,
        actor_unit=moved.actor.unit,
        actor_role=moved.actor.role,
        escalated_to=moved.escalated_to,
    )


def queue_entry(county: County, referral: Referral, unit: str, *, gone: bool = False) -> QueueEntry:
    """The referral as this unit sees it; ``gone``: its tombstone."""
    route = county.route(referral.route)
    speaker = county.unit(unit)
    whitelist = () if route is None else route.whitelist
    return QueueEntry(
        unit=unit,
        restricted=referral.restricted,
        referral=referral.id,
        child=referral.child,
        version=referral.version,
        state=referral.state,
        assigned=not gone and referral.holder == unit,
        route=referral.route,
        title=referral.route if route is None else route.title,
        level=referral.level,
        findings=referral.findings,
        item=referral.item,
        expects="" if route is None else route.expects,
        basis=() if route is None else tuple(Basis(place=cited.place, phrase=cited.phrase) for cited in route.basis),
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
        and speaker is not None
        and speaker.key_for(restricted=referral.restricted) is not None,
        deleted=gone,
    )


def proposal_made(proposal: Proposal, on: date) -> ProposalMade:
    return ProposalMade(
        child=proposal.child,
        restricted=proposal.restricted,
        on=on,
        proposal=proposal.id,
        subject=proposal.what,
        unit=proposal.unit,
        route=proposal.route,
        level=proposal.level,
        findings=proposal.findings,
        ledger_reasons=proposal.ledger_reasons,
        township=proposal.township,
        decide_by=proposal.decide_by,
    )


def proposal_ended(proposal: Proposal, on: date, actor: Actor, escalated_to: str | None = None) -> ProposalEnded:
    assert proposal.state != "open"
    return ProposalEnded(
        child=proposal.child,
        restricted=proposal.restricted,
        on=on,
        proposal=proposal.id,
        subject=proposal.what,
        outcome=proposal.state,
        unit=proposal.unit,
        actor_unit=actor.unit,
        actor_role=actor.role,
        escalated_to=escalated_to,
    )


def ledger_moved(
    ledger: Ledger, move: LedgerMove, on: date, unit: str, role: str, *, restricted: bool
) -> LedgerEntryChanged:
    return LedgerEntryChanged(
        child=ledger.child,
        restricted=restricted,
        on=on,
        change=move,
        reasons=ledger.reasons if restricted else open_reasons(ledger.reasons),
        unit=ledger.unit,
        township=ledger.township,
        actor_unit=unit,
        actor_role=role,
    )


def duty_moved(duty: Duty, move: DutyMove, on: date) -> DutyChanged:
    return DutyChanged(
        child=duty.child,
        restricted=duty.restricted,
        on=on,
        duty=duty.id,
        duty_kind=duty.kind,
        change=move,
        period=duty.period,
        due_on=duty.due_on,
        provisional=duty.provisional,
        unit=duty.unit,
        township=duty.township,
    )
