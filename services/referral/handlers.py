"""The handlers: each loads the cases of a batch, decides event by event, saves, and returns what is emitted."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from contracts.clock import TimePassed
from contracts.eligibility import ChildAssessmentSummary, DerivedFinding
from contracts.event import Event, at_midnight
from contracts.intake import ActionAccepted
from contracts.registry import FileReassigned, FindingAssigned
from contracts.vocabulary import Verb
from runtime import Batch, DayPage, DayPageResult, InboundEvent, OutboundEvent, Tx
from services.referral import actions, routing, store
from services.referral.cases import duties
from services.referral.cases.findings import ReportedFinding, report_finding
from services.referral.cases.gaps import process_gap, propose_gap, withdraw_proposal
from services.referral.cases.ledger import review_entry_proposals
from services.referral.cases.merged_files import merge_case, reassign_findings
from services.referral.domain import gaps, proposals, referrals
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.gaps import ServiceGap, ShownFinding
from services.referral.domain.referrals import CLOCK, Actor
from services.referral.unit_of_work import UnitOfWork

CHUNK = 500
"""Children whose deadlines one tick checks at a time."""

# ---------------------------------------------------------------- persons' findings (priority consumer)


async def on_findings(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Refer persons' findings, and move cases along with files that were merged or split."""
    children: set[UUID] = set()
    findings: set[UUID] = set()
    for inbound in batch.events:
        match inbound.event:
            case FindingAssigned() as assigned:
                children.add(assigned.child)
                findings.add(assigned.finding)
            case FileReassigned() as reassigned:
                children |= {reassigned.child, reassigned.from_child}
    callers = await store.lock_findings(tx, findings)
    if any(isinstance(inbound.event, FileReassigned) for inbound in batch.events):
        work = await _open(batch, tx, children)
    else:
        work = await UnitOfWork.open_for_findings(tx, batch.county, batch.partitions, children)
    for inbound in batch.events:
        work.begin_event(inbound)
        match inbound.event:
            case FindingAssigned() as assigned:
                _apply_finding(work, inbound, assigned, callers[assigned.finding])
            case FileReassigned() as reassigned:
                _apply_reassignment(work, inbound, reassigned)
    return await work.save(tx)


def _apply_finding(
    work: UnitOfWork, inbound: InboundEvent[Event], assigned: FindingAssigned, callers: frozenset[str]
) -> None:
    report_finding(
        work,
        work.surviving_case(assigned.child),
        ReportedFinding(
            finding=assigned.finding,
            codes=assigned.findings,
            level=assigned.level,
            actor=Actor(assigned.unit, assigned.role),
            unit=assigned.unit,
            place=assigned.place,
            township=routing.township_of(work.county, assigned.township, assigned.residence_division),
            at=assigned.recorded_at,
            called=assigned.phone_reported_at is not None,
            callers=callers,
            correlation=inbound.envelope.correlation,
        ),
    )


def _apply_reassignment(work: UnitOfWork, inbound: InboundEvent[Event], reassigned: FileReassigned) -> None:
    source, target = work.case_of_file(reassigned.from_child), work.surviving_case(reassigned.child)
    at = inbound.envelope.time
    if reassigned.reason == "split" or target is source:
        # The file exists on its own again: it is no longer looked up through the file that had absorbed it.
        target = work.case_of_file(reassigned.child)
        work.record_child(replace(target.child, absorbed_by=None))
    if reassigned.reason == "split":
        reassign_findings(work, source, target, frozenset(reassigned.findings), at, inbound.envelope.correlation)
        return
    merge_case(work, source, target, at)
    work.record_child(replace(source.child, absorbed_by=reassigned.child))


# ---------------------------------------------------------------- assessments


async def on_assessed(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Propose gaps that need a confirmation immediately; other gaps wait until the day is complete."""
    assessments = [
        (inbound, inbound.event) for inbound in batch.events if isinstance(inbound.event, ChildAssessmentSummary)
    ]
    children = {
        child
        for _, assessment in assessments
        for child in (assessment.child, assessment.absorbed_by)
        if child is not None
    }
    work = await UnitOfWork.open_with_gaps(tx, batch.county, batch.partitions, children)
    # Most assessments show what the last one showed: only the others need the rest of the child's case.
    changed = {assessment.child for inbound, assessment in assessments if _changed_gaps(work, inbound, assessment)}
    await work.load_remaining(tx, {child for file in changed for child in work.merge_chain(file)}, _today(batch))
    for inbound, assessment in assessments:
        work.begin_event(inbound)
        _apply_assessment(work, inbound, assessment)
    return await work.save(tx)


def _changed_gaps(
    work: UnitOfWork, inbound: InboundEvent[Event], assessment: ChildAssessmentSummary
) -> tuple[ServiceGap, ...]:
    """Return the gaps that this assessment changes. The file of an absorbed child shows no findings."""
    shown = () if assessment.state == "absorbed" else map(_shown_finding, assessment.derived)
    gaps_before = work.case_of_file(assessment.child).gaps
    return gaps.compare(assessment.child, gaps_before, shown, inbound.envelope.correlation)


def _apply_assessment(work: UnitOfWork, inbound: InboundEvent[Event], assessment: ChildAssessmentSummary) -> None:
    case = work.case_of_file(assessment.child)
    before = case.child
    if (assessment.child_version, assessment.assessment) <= (before.version, before.assessment):
        return
    at, on = inbound.envelope.time, inbound.envelope.on
    absorbed = assessment.state == "absorbed"
    child = replace(
        before,
        version=assessment.child_version,
        assessment=assessment.assessment,
        township=routing.township_of(work.county, assessment.township, assessment.residence_division),
        migrant=assessment.migrant.answer,
        statistical=assessment.statistical.answer,
        absorbed_by=assessment.absorbed_by if absorbed else None,
    )
    population_changed = (before.migrant, before.statistical) != (child.migrant, child.statistical)
    has_grounds = bool(case.gaps) or before.person_grounds
    work.record_child(replace(child, pending=before.pending or (population_changed and has_grounds)))
    for gap in _changed_gaps(work, inbound, assessment):
        confirm = gap.current and gap.needs_confirming
        work.record_gap(propose_gap(work, case, gap, at) if confirm else withdraw_proposal(work, gap, on))
        if gap.pending and not case.child.pending:
            work.record_child(replace(case.child, pending=True))


def _shown_finding(derived: DerivedFinding) -> ShownFinding:
    return ShownFinding(
        route=derived.route,
        code=derived.code,
        level=derived.level,
        item=derived.item,
        confirm_first=derived.confirm_first,
    )


# ---------------------------------------------------------------- actions of units


async def on_actions(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Apply each action, or refuse it with a code."""
    accepted = [
        inbound.event
        for inbound in batch.events
        if isinstance(inbound.event, ActionAccepted) and inbound.event.verb in actions.HANDLED_VERBS
    ]
    called = {action.finding for action in accepted if action.verb is Verb.PHONE_REPORT and action.finding is not None}
    await store.lock_findings(tx, called)
    work = await _open_for_actions(batch, tx, accepted, called)
    for inbound in batch.events:
        if isinstance(inbound.event, ActionAccepted):
            work.begin_event(inbound)
            actions.apply(work, inbound.event, inbound.envelope.correlation)
    return await work.save(tx)


# ---------------------------------------------------------------- time


async def on_ticks(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Escalate deadlines counted in hours, and undecided proposals, at the ten-minute tick."""
    ticks = [(inbound, inbound.event.at) for inbound in batch.events if isinstance(inbound.event, TimePassed)]
    if not ticks:
        return []
    children = sorted(await store.children_with_expired_hours(tx, max(at for _, at in ticks)))
    emitted: list[list[OutboundEvent]] = [[] for _ in ticks]
    # There may be many children after an outage: chunks keep the transaction from being idle for long.
    for start in range(0, len(children), CHUNK):
        work = await _open(batch, tx, set(children[start : start + CHUNK]))
        for (inbound, at), emitted_by_tick in zip(ticks, emitted, strict=True):
            work.begin_event(inbound)
            before = len(work.emitted)
            for case in work.cases():
                _check_deadlines(work, case, at, hourly_only=True)
            emitted_by_tick.extend(work.emitted[before:])
        await work.save(tx)
    return [event for emitted_by_tick in emitted for event in emitted_by_tick]


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """Complete one page of a day: present gaps, deadlines counted in days, duties, tombstones."""
    midnight = at_midnight(page.day)
    children = await store.children_due(
        tx, page.index, midnight, page.day, page.resume, page.limit, page.county.working_days.published_years
    )
    work = await UnitOfWork.open(tx, page.county, page.partitions, children, page.day)
    work.begin_day(page)
    for child in children:
        _complete_day(work, work.case_of_file(child), page.day, midnight)
    resume = str(children[-1]) if len(children) == page.limit else None
    return DayPageResult(await work.save(tx), resume)


def _complete_day(work: UnitOfWork, case: ChildCase, day: date, midnight: datetime) -> None:
    if case.child.pending:
        for _, gap in sorted(case.gaps.items()):
            if gap.pending:
                process_gap(work, case, gap, midnight)
        review_entry_proposals(work, case, midnight)
        work.record_child(replace(case.child, pending=False))
    _check_deadlines(work, case, midnight, hourly_only=False)
    duties.complete_day(work, case, day, midnight)
    for referral in case.referrals_in_order():
        if referral.tombstones_from is not None and referral.tombstones_from <= day:
            work.emit_tombstones(referral)


def _check_deadlines(work: UnitOfWork, case: ChildCase, now: datetime, *, hourly_only: bool) -> None:
    """Escalate once for each deadline that has expired by now."""
    on = county_day(now)
    for referral in case.referrals_in_order():
        if hourly_only and not referrals.counts_hours(referral):
            continue
        counted, transitions = referrals.recount(referral, work.rules, now)
        if counted is not referral:
            work.record_referral(counted)
            work.apply(transitions, on)
            counted = case.referrals[referral.id]
        work.apply(referrals.escalate_expired(counted, work.rules, now), on)
    for proposal in case.undecided_proposals():
        if proposal.alarm_at is not None and proposal.alarm_at <= now:
            escalated_to = proposals.escalates_to(proposal, work.rules.lead_unit, work.rules.coordinating_unit)
            work.end_proposal(replace(proposal, state="escalated"), on, CLOCK, escalated_to)


# ---------------------------------------------------------------- opening the unit of work


async def _open_for_actions(
    batch: Batch[Event], tx: Tx, accepted: list[ActionAccepted], called: set[UUID]
) -> UnitOfWork:
    """Open the cases that these actions concern.

    A referral or proposal may be reassigned to another file before the child's row is locked; the loop follows it.
    """

    async def named_children() -> set[UUID]:
        return await store.children_of(
            tx,
            referrals={action.referral for action in accepted if action.referral is not None},
            proposals={action.proposal for action in accepted if action.proposal is not None},
            findings=called,
        )

    children = {action.child for action in accepted if action.child is not None} | await named_children()
    while True:
        work = await _open(batch, tx, children)
        now_named = await named_children()
        if now_named <= children:
            return work
        children |= now_named


async def _open(batch: Batch[Event], tx: Tx, children: set[UUID]) -> UnitOfWork:
    return await UnitOfWork.open(tx, batch.county, batch.partitions, children, _today(batch))


def _today(batch: Batch[Event]) -> date:
    return batch.on or batch.events[0].envelope.on
