"""Cases of files that are merged or split: what belongs to a child follows the child's file."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from services.referral.cases.ledger import propose_entry
from services.referral.cases.referrals import ReferralRequest, refer
from services.referral.domain import ledger, referrals
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase, Ground
from services.referral.domain.gaps import ServiceGap
from services.referral.domain.referrals import Referral
from services.referral.unit_of_work import UnitOfWork


def merge_case(work: UnitOfWork, source: ChildCase, target: ChildCase, at: datetime) -> None:
    """Move everything from an absorbed file's case to the surviving one; only open referrals emit an event."""
    if source is target:
        return
    on = county_day(at)
    for referral in source.referrals_in_order():
        _reassign_referral(work, referral, target, at)
    for proposal in sorted(source.proposals.values(), key=lambda proposal: proposal.id):
        work.detach(proposal)
        work.record_proposal(replace(proposal, child=target.child.id))
    for _, gap in sorted(source.gaps.items()):
        _reassign_gap(work, gap, target)
    _merge_entries(work, source, target, on)
    if source.child.person_grounds:
        work.record_child(replace(target.child, person_grounds=True, pending=True))


def reassign_findings(
    work: UnitOfWork, source: ChildCase, target: ChildCase, findings: frozenset[UUID], at: datetime, correlation: UUID
) -> None:
    """Move what came from these findings alone to the split-off file; refer again what also came from others."""
    grounds: list[Ground] = []
    township = target.child.township
    for referral in source.referrals_in_order():
        reports = tuple(zip(referral.sources, referral.reporters, strict=True))
        moving = [(finding, unit) for finding, unit in reports if finding in findings]
        if not moving:
            continue
        grounds += [(f"finding:{finding}", code) for finding, _ in moving for code in referral.findings]
        township = township or referral.township
        if len(moving) == len(reports):
            _reassign_referral(work, referral, target, at)
            continue
        staying = [(finding, unit) for finding, unit in reports if finding not in findings]
        work.record_referral(
            replace(
                referral,
                sources=tuple(finding for finding, _ in staying),
                reporters=tuple(unit for _, unit in staying),
            )
        )
        for finding, unit in moving if referral.open else ():
            request = ReferralRequest(
                route=referral.route,
                findings=referral.findings,
                level=referral.level,
                at=at,
                correlation=correlation,
                from_unit=referral.from_unit,
                opening_key=str(finding),
                item=referral.item,
                source=finding,
                reporter_unit=unit,
                phone_reported=referral.phone_reported,
                township=target.child.township or referral.township,
            )
            refer(work, target, request)
    moved_grounds = {f"finding:{finding}" for finding in findings}
    for proposal in sorted(source.proposals.values(), key=lambda proposal: proposal.id):
        if proposal.undecided and proposal.grounds and moved_grounds.issuperset(proposal.grounds):
            work.detach(proposal)
            work.record_proposal(replace(proposal, child=target.child.id))
    if ledger.reasons_of(code for _, code in grounds):
        work.record_child(replace(target.child, person_grounds=True, pending=True))
        propose_entry(work, target, grounds, at, correlation, township)


def _reassign_referral(work: UnitOfWork, referral: Referral, target: ChildCase, at: datetime) -> None:
    moved, transitions = referrals.reassign(referral, target.child.id, at)
    work.detach(referral)
    work.record_referral(moved)
    work.apply(transitions, county_day(at))


def _reassign_gap(work: UnitOfWork, gap: ServiceGap, target: ChildCase) -> None:
    """Tie a gap's referral to the surviving file's facts: they show the gap too, or the referral is withdrawn."""
    if gap.referral is None:
        return
    work.record_gap(replace(gap, referral=None))
    if gap.key not in target.gaps or target.gaps[gap.key].episode_over:
        episode = 1 if gap.key not in target.gaps else target.gaps[gap.key].episode + 1
        work.record_gap(
            replace(
                gap, child=target.child.id, current=False, pending=True, episode=episode, proposals=0, proposal=None
            )
        )
        work.record_child(replace(target.child, pending=True))


def _merge_entries(work: UnitOfWork, source: ChildCase, target: ChildCase, on: date) -> None:
    entry = source.current_entry
    if entry is None:
        return
    current = target.current_entry
    township = target.child.township or entry.township
    if current is None:
        number = entry.number if target.entry is None else target.entry.number + entry.number
        merged = replace(entry, child=target.child.id, number=number, township=township)
    else:
        merged = replace(
            current,
            reasons=ledger.sorted_reasons((*current.reasons, *entry.reasons)),
            opened_on=min(current.opened_on, entry.opened_on),
            changed_on=max(current.changed_on, entry.changed_on),
            last_contact_on=_latest(current.last_contact_on, entry.last_contact_on),
            last_visit_on=_latest(current.last_visit_on, entry.last_visit_on),
        )
    work.record_entry(merged)
    work.record_entry(replace(entry, open=False, closed_on=on, contact_from=None, visit_from=None))
    owed = {(duty.kind, duty.period): duty for duty in target.duties.values() if duty.state != "cancelled"}
    for duty in sorted(source.duties.values(), key=lambda duty: (duty.due_on, duty.kind, duty.id)):
        double = owed.get((duty.kind, duty.period))
        if duty.outstanding and double is not None and (duty.restricted or not double.restricted):
            work.change_duty(replace(duty, state="cancelled", reminders=()), "cancelled", on)
            continue
        if duty.outstanding and double is not None and double.outstanding:
            # The duty on the ordinary topics stays: cancelling it would reveal the restricted one.
            work.change_duty(replace(double, state="cancelled", reminders=()), "cancelled", on)
        work.detach(duty)
        work.record_duty(replace(duty, child=target.child.id))


def _latest(one: date | None, other: date | None) -> date | None:
    return max(filter(None, (one, other)), default=None)
