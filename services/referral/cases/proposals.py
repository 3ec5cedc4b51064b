"""Proposals: what a person's decision leads to."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from services.referral.cases.ledger import close_entry, open_entry
from services.referral.cases.referrals import ReferralRequest, refer
from services.referral.domain.child_case import ChildCase
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import Actor
from services.referral.unit_of_work import UnitOfWork


def carry_out(work: UnitOfWork, case: ChildCase, proposal: Proposal, actor: Actor, at: datetime, on: date) -> None:
    """Do what a confirmed proposal proposed."""
    if proposal.subject == "referral":
        _send_confirmed(work, case, proposal, actor, at)
    elif proposal.subject == "ledger":
        open_entry(work, case, proposal, actor, on)
    else:
        close_entry(work, case, actor, on, proposal.correlation)


def record_decision(work: UnitOfWork, case: ChildCase, proposal: Proposal, sent: UUID | None = None) -> None:
    """Record on the proposal's gap that a person has decided: the same gap is not proposed again."""
    for gap in case.gaps.values():
        if gap.proposal == proposal.id:
            work.record_gap(
                replace(gap, proposal=None, decided_level=proposal.level, referral=sent or gap.referral),
            )
            return


def _send_confirmed(work: UnitOfWork, case: ChildCase, proposal: Proposal, actor: Actor, at: datetime) -> None:
    assert proposal.route is not None
    assert proposal.level is not None
    request = ReferralRequest(
        route=proposal.route,
        findings=proposal.findings,
        level=proposal.level,
        at=at,
        correlation=proposal.correlation,
        from_unit=actor.unit or proposal.unit,
        opening_key=proposal.opening_key,
        occurrence=proposal.occurrence,
        item=proposal.item,
        source=proposal.finding,
        reporter_unit=proposal.reporter_unit,
        phone_reported=proposal.phone_reported,
        township=proposal.township,
        actor=actor,
    )
    record_decision(work, case, proposal, refer(work, case, request))
