"""Contact and visit duties of a ledger entry: created by period, fulfilled by contacts, reminded and missed by days."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from contracts.vocabulary import DutyKind, FindingCode
from services.referral import routing
from services.referral.domain import duties
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.duties import Duty, Period
from services.referral.domain.ids import content_id
from services.referral.domain.ledger import LedgerEntry
from services.referral.domain.proposals import Proposal
from services.referral.unit_of_work import UnitOfWork


def create_duty(
    work: UnitOfWork,
    entry: LedgerEntry,
    kind: DutyKind,
    period: Period,
    today: date,
    *,
    correlation: UUID,
    provisional: bool = False,
) -> None:
    """Create the duty of one period; a contact or visit that already took place in the period fulfils it."""
    case = work.case_of_file(entry.child)
    township = case.child.township or entry.township
    reminders: tuple[date, ...] = ()
    if kind is DutyKind.CONTACT:
        reminders = duties.contact_reminders(period, work.cadence, today)
    elif kind is DutyKind.VISIT:
        reminders = duties.visit_reminders(period, work.cadence, today)
    duty = Duty(
        id=content_id(entry.child, "duty", kind, period.label, entry.number),
        child=entry.child,
        kind=kind,
        period=period.label,
        first=period.first,
        due_on=period.last,
        unit=routing.township_unit(work.county, township),
        township=township,
        correlation=correlation,
        restricted=entry.restricted_only,
        provisional=provisional,
        reminders=reminders,
    )
    work.change_duty(duty, "created", today)
    done_on = entry.last_visit_on if kind is not DutyKind.CONTACT else entry.last_contact_on
    if done_on is not None and done_on >= period.first:
        _fulfil(work, duty, done_on, today)


def fulfil_duties(work: UnitOfWork, case: ChildCase, on: date, *, contact: bool, visit: bool) -> None:
    """Fulfil the duties that a successful contact, or a visit at the residence, answers."""
    entry = case.current_entry
    if entry is None:
        return
    entry = replace(
        entry,
        last_contact_on=max(entry.last_contact_on or on, on),
        last_visit_on=max(entry.last_visit_on or on, on) if visit else entry.last_visit_on,
    )
    work.record_entry(entry)
    for duty in case.outstanding_duties():
        if duties.answers(duty.kind, contact=contact, visit=visit):
            _fulfil(work, duty, on, on)


def _fulfil(work: UnitOfWork, duty: Duty, done_on: date, today: date) -> None:
    fulfilled = duties.fulfil(duty, done_on)
    if fulfilled is not None:
        work.change_duty(fulfilled, "fulfilled" if fulfilled.state == "fulfilled" else "fulfilled_late", today)


def complete_day(work: UnitOfWork, case: ChildCase, day: date, midnight: datetime) -> None:
    """Create the duties of the periods that begin, mark the overdue ones missed, and remind of those due soon."""
    _create_periodic_duties(work, case, day)
    for duty in case.outstanding_duties():
        recounted = duties.recount(duty, work.cadence, work.rules.calendar)
        if recounted.due_on != duty.due_on:
            work.change_duty(recounted, "reminded", day)
        elif recounted is not duty:
            work.record_duty(recounted)
        missed, is_missed = duties.miss(recounted, day)
        if is_missed:
            work.change_duty(missed, "missed", day)
            if duty.kind is DutyKind.CONTACT:
                _propose_after_two_missed(work, case, missed, midnight)
            continue
        reminded, is_reminded = duties.remind(recounted, day)
        if is_reminded:
            work.change_duty(reminded, "reminded", day)


def _create_periodic_duties(work: UnitOfWork, case: ChildCase, day: date) -> None:
    while (entry := case.current_entry) is not None and entry.contact_from is not None and entry.contact_from <= day:
        period = duties.period_of(entry.contact_from, work.cadence.contact_months)
        work.record_entry(replace(entry, contact_from=period.next_first))
        create_duty(work, entry, DutyKind.CONTACT, period, day, correlation=_correlation(entry.child, period.label))
    while (entry := case.current_entry) is not None and entry.visit_from is not None and entry.visit_from <= day:
        period = duties.period_of(entry.visit_from, work.cadence.visit_months)
        work.record_entry(replace(entry, visit_from=period.next_first))
        create_duty(work, entry, DutyKind.VISIT, period, day, correlation=_correlation(entry.child, period.label))


def _correlation(child: UUID, period: str) -> UUID:
    return content_id(child, "duties", period)


def _propose_after_two_missed(work: UnitOfWork, case: ChildCase, missed: Duty, at: datetime) -> None:
    """Propose a guardianship risk after exactly two consecutive missed contacts (policy 3.12).

    A third missed contact adds nothing: a person has already been asked.
    """
    consecutive = 1
    first = missed.first
    for duty in reversed(case.outstanding_duties(DutyKind.CONTACT)):
        if duty.state == "missed" and duties.follows(duty, first):
            consecutive += 1
            first = duty.first
    code = FindingCode.GUARDIANSHIP_AT_RISK
    if consecutive != 2:
        return
    for route, codes in routing.routes_of(work.county, (code,)):
        proposed = any(
            proposal.route == route.id and code in proposal.findings for proposal in case.undecided_proposals()
        )
        if proposed or case.open_referral_on(route.id) is not None:
            continue
        ground = f"contact:{missed.period}"
        proposal = Proposal(
            id=content_id(case.child.id, "referral", route.id, ground),
            child=case.child.id,
            subject="referral",
            unit=missed.unit,
            restricted=routing.is_restricted(work.county, route.id),
            decide_by=work.rules.confirm_by(route.level, at),
            correlation=missed.correlation,
            township=missed.township,
            route=route.id,
            level=route.level,
            findings=codes,
            opening_key=ground,
            grounds=(ground,),
        )
        work.propose(proposal, county_day(at))
