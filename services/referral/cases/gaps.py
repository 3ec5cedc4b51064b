"""Service gaps: each is proposed to a person, or referred if it needs no confirmation; what has ended is withdrawn."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from services.referral import routing
from services.referral.cases.referrals import ReferralRequest, refer
from services.referral.domain import referrals
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.gaps import ServiceGap, processed
from services.referral.domain.ids import content_id
from services.referral.domain.proposals import Proposal
from services.referral.unit_of_work import UnitOfWork


def propose_gap(work: UnitOfWork, case: ChildCase, gap: ServiceGap, at: datetime) -> ServiceGap:
    """Propose a referral of the gap to the township, unless an agency already has one that is as urgent."""
    if not gap.needs_proposal:
        return gap
    current = case.open_referral_on(gap.route, gap.code)
    if current is not None and current.level <= gap.level:
        return replace(gap, decided_level=gap.level, referral=current.id)
    child = case.child
    proposal = Proposal(
        id=content_id(child.id, "referral", gap.route, gap.code, gap.episode, gap.proposals + 1),
        child=child.id,
        subject="referral",
        unit=routing.township_unit(work.county, child.township),
        restricted=routing.is_restricted(work.county, gap.route),
        decide_by=work.rules.confirm_by(gap.level, at),
        correlation=gap.correlation,
        township=child.township,
        route=gap.route,
        level=gap.level,
        item=gap.item,
        findings=(gap.code,),
        opening_key=gap.code,
        occurrence=gap.episode,
        grounds=(gap.ground,),
    )
    work.propose(proposal, county_day(at))
    return replace(gap, proposals=gap.proposals + 1, proposal=proposal.id)


def withdraw_proposal(work: UnitOfWork, gap: ServiceGap, on: date) -> ServiceGap:
    """End the open proposal of a gap that the facts no longer show, or that needs no confirmation any more."""
    proposal = work.find_proposal(gap.proposal) if gap.proposal is not None else None
    if proposal is not None and proposal.undecided:
        work.end_proposal(replace(proposal, state="no_longer_shown"), on)
    return replace(gap, proposal=None)


def process_gap(work: UnitOfWork, case: ChildCase, gap: ServiceGap, at: datetime) -> None:
    """Complete the day for a gap: refer it if it is still current, withdraw its referral if it is not."""
    if gap.current and not gap.needs_confirming and gap.referral is None:
        current = case.open_referral_on(gap.route, gap.code)
        covered = current is not None and (current.level <= gap.level or current.state not in referrals.UNFINISHED)
        gap = replace(gap, referral=current.id if current and covered else _refer_gap(work, case, gap, at))
    if not gap.current and gap.referral is not None and case.child.absorbed_by is None:
        sent = case.referrals.get(gap.referral)
        if sent is not None:
            work.apply(referrals.no_longer_shown(sent, at), county_day(at))
    work.record_gap(processed(gap))


def _refer_gap(work: UnitOfWork, case: ChildCase, gap: ServiceGap, at: datetime) -> UUID:
    township = case.child.township
    request = ReferralRequest(
        route=gap.route,
        findings=(gap.code,),
        level=gap.level,
        at=at,
        correlation=gap.correlation,
        from_unit=routing.township_unit(work.county, township),
        opening_key=gap.code,
        occurrence=gap.episode,
        item=gap.item,
        by_person=False,
        township=township,
    )
    return refer(work, case, request, same_code=gap.code)
