"""Entries on the key-care ledger (重点关爱服务对象信息台账): proposed, opened, changed and closed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from contracts.vocabulary import DutyKind, LedgerReason, Level
from services.referral import routing
from services.referral.cases.duties import create_duty
from services.referral.domain import duties, ledger
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase, Ground
from services.referral.domain.duties import Period
from services.referral.domain.ids import content_id
from services.referral.domain.ledger import LedgerEntry
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import Actor
from services.referral.unit_of_work import UnitOfWork

LEDGER_LEVEL = Level.L2
"""An entry on the ledger is never urgent: whatever is urgent about the child has a referral of its own."""


def propose_entry(
    work: UnitOfWork,
    case: ChildCase,
    grounds: Iterable[Ground],
    at: datetime,
    correlation: UUID,
    township: str | None,
) -> None:
    """Propose an entry, or further reasons for one, on grounds that have not been proposed yet.

    Restricted reasons get a proposal of their own: readers of the ordinary topics miss nothing and see none of them.
    """
    new = case.new_grounds(grounds)
    for restricted in (False, True):
        proposed = [(ground, reason) for ground, reason in new if (reason in ledger.RESTRICTED) is restricted]
        if not proposed:
            continue
        names = tuple(sorted({ground for ground, _ in proposed}))
        reasons = ledger.sorted_reasons(reason for _, reason in proposed)
        earlier = sum(
            (proposal.subject, proposal.grounds, proposal.ledger_reasons) == ("ledger", names, reasons)
            for proposal in case.proposals.values()
        )
        proposal = Proposal(
            id=content_id(case.child.id, "ledger", *names, *reasons, earlier),
            child=case.child.id,
            subject="ledger",
            unit=routing.township_unit(work.county, township),
            restricted=restricted,
            decide_by=work.rules.confirm_by(LEDGER_LEVEL, at),
            correlation=correlation,
            township=township,
            ledger_reasons=reasons,
            grounds=names,
        )
        work.propose(proposal, county_day(at))


def review_entry_proposals(work: UnitOfWork, case: ChildCase, at: datetime) -> None:
    """Complete the day for the ledger: end proposals whose grounds are gone, and propose on all present grounds.

    The result is the same whether a finding arrived before or after the assessment that lets the child enter.
    """
    child = case.child
    current = [gap for _, gap in sorted(case.gaps.items()) if gap.current]
    present = {gap.ground for gap in current}
    for proposal in case.undecided_proposals():
        if proposal.subject != "ledger":
            continue
        from_facts = all(ground.startswith("gap:") for ground in proposal.grounds)
        gone = from_facts and present.isdisjoint(proposal.grounds)
        if gone or not any(map(case.may_enter, proposal.ledger_reasons)):
            work.end_proposal(replace(proposal, state="no_longer_shown"), county_day(at))
    if child.absorbed_by is not None:
        return
    grounds = [(gap.ground, gap.code) for gap in current] + case.reported_grounds()
    correlation = current[0].correlation if current else content_id(child.id, "ledger")
    propose_entry(work, case, grounds, at, correlation, child.township)


def open_entry(work: UnitOfWork, case: ChildCase, proposal: Proposal, actor: Actor, on: date) -> None:
    """Open the confirmed entry with its first duties, or add the confirmed reasons to the current one."""
    current = case.current_entry
    present: tuple[LedgerReason, ...] = () if current is None else current.reasons
    reasons = ledger.sorted_reasons((*present, *proposal.ledger_reasons))
    # A proposal of the same reasons on other grounds has its answer too.
    for other in case.undecided_proposals():
        if other.subject == "ledger" and set(other.ledger_reasons) <= set(reasons):
            work.end_proposal(replace(other, state="confirmed"), on, actor)
    if current is None:
        township = case.child.township or proposal.township
        before = case.entry
        opened = LedgerEntry(
            child=case.child.id,
            open=True,
            reasons=reasons,
            unit=routing.township_unit(work.county, township),
            township=township,
            number=1 if before is None else before.number + 1,
            opened_on=on,
            changed_on=on,
        )
        _start_entry(work, opened, actor, on, proposal.correlation)
        return
    changed = replace(current, reasons=reasons, changed_on=on)
    if current.restricted_only and not changed.restricted_only:
        _make_visible(work, case, changed, actor, on, proposal.correlation)
        return
    work.change_entry(changed, "changed", on, actor, proposal.correlation, restricted=proposal.restricted)


def _make_visible(
    work: UnitOfWork, case: ChildCase, entry: LedgerEntry, actor: Actor, on: date, correlation: UUID
) -> None:
    """Start an entry that only restricted reasons held until now as a new one, visible on the ordinary topics."""
    for duty in case.outstanding_duties():
        if duty.state == "created" and duty.due_on >= on:
            work.change_duty(replace(duty, state="cancelled", reminders=()), "cancelled", on)
    started = replace(entry, number=entry.number + 1, last_contact_on=None, last_visit_on=None)
    _start_entry(work, started, actor, on, correlation)


def _start_entry(work: UnitOfWork, entry: LedgerEntry, actor: Actor, on: date, correlation: UUID) -> None:
    """Record the entry with its first duties: this period's contact if there is time, and a first visit."""
    contacts = duties.period_of(on, work.cadence.contact_months)
    visits = duties.period_of(on, work.cadence.visit_months)
    started = replace(entry, contact_from=contacts.next_first, visit_from=visits.next_first)
    work.change_entry(started, "opened", on, actor, correlation, restricted=started.restricted_only)
    first = duties.first_contact(on, work.cadence)
    if first is not None:
        create_duty(work, started, DutyKind.CONTACT, first, on, correlation=correlation)
    due = duties.first_visit_due(on, work.cadence, work.rules.calendar)
    period = Period(visits.label, on, due.on)
    create_duty(work, started, DutyKind.FIRST_VISIT, period, on, correlation=correlation, provisional=due.provisional)


def close_entry(work: UnitOfWork, case: ChildCase, actor: Actor, on: date, correlation: UUID) -> None:
    """Close the entry that two people have agreed to close, and end its duties."""
    current = case.current_entry
    if current is None:
        return
    closed = replace(current, open=False, closed_on=on, contact_from=None, visit_from=None)
    work.change_entry(closed, "closed", on, actor, correlation, restricted=closed.restricted_only)
    for duty in case.outstanding_duties():
        # A missed duty stays missed in the records; it only ceases to be owed.
        ended = duty if duty.state == "missed" else replace(duty, state="cancelled", reminders=())
        work.change_duty(ended, "cancelled", on)
    for proposal in case.undecided_proposals():
        if proposal.subject == "ledger_closing":
            work.end_proposal(replace(proposal, state="no_longer_shown"), on)
