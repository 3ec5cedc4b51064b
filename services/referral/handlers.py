"""What referral does with what it hears: load, decide, save, say."""

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from contracts.clock import TimePassed
from contracts.eligibility import ChildAssessmentSummary, DerivedFinding
from contracts.event import Event, at_midnight
from contracts.intake import ActionAccepted
from contracts.registry import FileReassigned, FindingAssigned
from contracts.vocabulary import DutyKind, FindingCode, Verb
from runtime import Batch, DayPage, DayPageResult, InboundEvent, OutboundEvent, Tx
from services.referral import actions, casework, routing, store
from services.referral.desk import Desk
from services.referral.domain import duties, gaps, proposals, referral
from services.referral.domain.calendar import county_day
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Gap, Shown
from services.referral.domain.matters import Matters
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import CLOCK, Actor

PART = 500
"""Children whose clocks are looked after at a time."""

# ---------------------------------------------------------------- the express way


async def on_findings(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """A person's finding is a referral at once; a matter follows its file."""
    children: set[UUID] = set()
    findings: set[UUID] = set()
    for heard in batch.events:
        match heard.event:
            case FindingAssigned() as found:
                children.add(found.child)
                findings.add(found.finding)
            case FileReassigned() as handed:
                children |= {handed.child, handed.from_child}
    callers = await store.meet_findings(tx, findings)
    if any(isinstance(heard.event, FileReassigned) for heard in batch.events):
        desk = await _desk(batch, tx, children)
    else:
        desk = await Desk.for_findings(tx, batch.county, batch.partitions, children)
    for heard in batch.events:
        desk.hear(heard)
        match heard.event:
            case FindingAssigned() as found:
                _found(desk, heard, found, callers[found.finding])
            case FileReassigned() as handed:
                _handed_over(desk, heard, handed)
    return await desk.close(tx)


def _found(desk: Desk, heard: InboundEvent[Event], found: FindingAssigned, callers: frozenset[str]) -> None:
    casework.found(
        desk,
        desk.of(found.child),
        casework.Found(
            finding=found.finding,
            codes=found.findings,
            level=found.level,
            actor=Actor(found.unit, found.role),
            unit=found.unit,
            place=found.place,
            township=routing.township_of(desk.county, found.township, found.residence_division),
            at=found.recorded_at,
            called=found.phone_reported_at is not None,
            callers=callers,
            story=heard.envelope.correlation,
        ),
    )


def _handed_over(desk: Desk, heard: InboundEvent[Event], handed: FileReassigned) -> None:
    source, target = desk.exactly(handed.from_child), desk.of(handed.child)
    at = heard.envelope.time
    if handed.reason == "split" or target is source:
        # A file that stands on its own (again) is no longer read as the one that had absorbed it.
        target = desk.exactly(handed.child)
        desk.note_child(replace(target.child, absorbed_by=None))
    if handed.reason == "split":
        casework.hand_over_findings(desk, source, target, frozenset(handed.findings), at, heard.envelope.correlation)
        return
    casework.hand_over(desk, source, target, at)
    desk.note_child(replace(source.child, absorbed_by=handed.child))


# ---------------------------------------------------------------- what facts show


async def on_assessed(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """What must be confirmed first is proposed with the very assessment that shows it; the rest waits for the day."""
    assessments = [(heard, heard.event) for heard in batch.events if isinstance(heard.event, ChildAssessmentSummary)]
    children = {child for _, one in assessments for child in (one.child, one.absorbed_by) if child is not None}
    desk = await Desk.glance(tx, batch.county, batch.partitions, children)
    # Most assessments show what the last one showed: only the others need the child's matters.
    news = {one.child for heard, one in assessments if _changes(desk, heard, one)}
    family = {child for one in news for child in desk.family(one)}
    await desk.look_into(tx, family, _today(batch))
    for heard, one in assessments:
        desk.hear(heard)
        _assessed(desk, heard, one)
    return await desk.close(tx)


def _changes(desk: Desk, heard: InboundEvent[Event], assessed: ChildAssessmentSummary) -> tuple[Gap, ...]:
    """The gaps that this assessment changes. An absorbed file shows nothing."""
    shown = () if assessed.state == "absorbed" else map(_shown, assessed.derived)
    gaps_before = desk.exactly(assessed.child).gaps
    return gaps.compare(assessed.child, gaps_before, shown, heard.envelope.correlation)


def _assessed(desk: Desk, heard: InboundEvent[Event], assessed: ChildAssessmentSummary) -> None:
    matters = desk.exactly(assessed.child)
    before = matters.child
    if (assessed.child_version, assessed.assessment) <= (before.version, before.assessment):
        return
    at, on = heard.envelope.time, heard.envelope.on
    absorbed = assessed.state == "absorbed"
    child = replace(
        before,
        version=assessed.child_version,
        assessment=assessed.assessment,
        township=routing.township_of(desk.county, assessed.township, assessed.residence_division),
        migrant=assessed.migrant.answer,
        statistical=assessed.statistical.answer,
        absorbed_by=assessed.absorbed_by if absorbed else None,
    )
    population_changed = (before.migrant, before.statistical) != (child.migrant, child.statistical)
    asks = bool(matters.gaps) or before.person_grounds
    desk.note_child(replace(child, turn=before.turn or (population_changed and asks)))
    for gap in _changes(desk, heard, assessed):
        confirm = gap.shown and gap.needs_confirming
        desk.note_gap(
            casework.propose_gap(desk, matters, gap, at) if confirm else casework.no_longer_asked(desk, gap, on)
        )
        if gap.turn and not matters.child.turn:
            desk.note_child(replace(matters.child, turn=True))


def _shown(derived: DerivedFinding) -> Shown:
    return Shown(
        route=derived.route,
        code=derived.code,
        level=derived.level,
        item=derived.item,
        confirm_first=derived.confirm_first,
    )


# ---------------------------------------------------------------- what people do


async def on_actions(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Every action is done, or refused by name."""
    taken = [
        heard.event
        for heard in batch.events
        if isinstance(heard.event, ActionAccepted) and heard.event.verb in actions.OURS
    ]
    called = {action.finding for action in taken if action.verb is Verb.PHONE_REPORT and action.finding is not None}
    await store.meet_findings(tx, called)
    desk = await _desk_for(batch, tx, taken, called)
    for heard in batch.events:
        if isinstance(heard.event, ActionAccepted):
            desk.hear(heard)
            actions.taken(desk, heard.event, heard.envelope.correlation)
    return await desk.close(tx)


# ---------------------------------------------------------------- time


async def on_ticks(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """The ten-minute tick: clocks in hours, and proposals that nobody has decided."""
    ticks = [(heard, heard.event.at) for heard in batch.events if isinstance(heard.event, TimePassed)]
    if not ticks:
        return []
    children = sorted(await store.alarmed(tx, max(at for _, at in ticks)))
    said: list[list[OutboundEvent]] = [[] for _ in ticks]
    # After an outage there may be many: the transaction is never idle for long.
    for start in range(0, len(children), PART):
        desk = await _desk(batch, tx, set(children[start : start + PART]))
        for (heard, at), told in zip(ticks, said, strict=True):
            desk.hear(heard)
            before = len(desk.said)
            for matters in desk.everybody():
                _clocks(desk, matters, at, only_ticking=True)
            told.extend(desk.said[before:])
        await desk.close(tx)
    return [one for told in said for one in told]


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """One page of a day: gaps that stand, clocks in days, duties, tombstones."""
    midnight = at_midnight(page.day)
    children = await store.concerned(
        tx, page.index, midnight, page.day, page.resume, page.limit, page.county.working_days.published_years
    )
    desk = await Desk.open(tx, page.county, page.partitions, children, page.day)
    desk.turn_to(page)
    for child in children:
        _turn(desk, desk.exactly(child), page.day, midnight)
    resume = str(children[-1]) if len(children) == page.limit else None
    return DayPageResult(await desk.close(tx), resume)


def _turn(desk: Desk, matters: Matters, day: date, midnight: datetime) -> None:
    """What a day has to do for one child, in this order."""
    if matters.child.turn:
        for _, gap in sorted(matters.gaps.items()):
            if gap.turn:
                casework.turn_gap(desk, matters, gap, midnight)
        casework.review_ledger(desk, matters, midnight)
        desk.note_child(replace(matters.child, turn=False))
    _clocks(desk, matters, midnight, only_ticking=False)
    _duties(desk, matters, day, midnight)
    for matter in matters.in_order():
        if matter.tombstones_from is not None and matter.tombstones_from <= day:
            desk.bury(matter)


def _clocks(desk: Desk, matters: Matters, now: datetime, *, only_ticking: bool) -> None:
    """Clocks that have run out by now: each escalates once."""
    on = county_day(now)
    for matter in matters.in_order():
        if only_ticking and not referral.ticks(matter):
            continue
        counted, moves = referral.recount(matter, desk.rules, now)
        if counted is not matter:
            desk.note_referral(counted)
            desk.move(moves, on)
            counted = matters.referrals[matter.id]
        desk.move(referral.run_out(counted, desk.rules, now), on)
    for proposal in matters.undecided():
        if proposal.alarm_at is not None and proposal.alarm_at <= now:
            up = proposals.escalates_to(proposal, desk.rules.lead_unit, desk.rules.coordinating_unit)
            desk.end(replace(proposal, state="escalated"), on, CLOCK, up)


def _duties(desk: Desk, matters: Matters, day: date, midnight: datetime) -> None:
    """Contacts and visits: the new period's are created, the old one's missed, what is due soon reminded."""
    _create_duties(desk, matters, day)
    for counted in matters.outstanding():
        duty = duties.recount(counted, desk.cadence, desk.rules.calendar)
        if duty.due_on != counted.due_on:
            desk.owe(duty, "reminded", day)
        elif duty is not counted:
            desk.note_duty(duty)
        missed, is_missed = duties.miss(duty, day)
        if is_missed:
            desk.owe(missed, "missed", day)
            if duty.kind is DutyKind.CONTACT:
                _two_running(desk, matters, missed, midnight)
            continue
        reminded, is_reminded = duties.remind(duty, day)
        if is_reminded:
            desk.owe(reminded, "reminded", day)


def _create_duties(desk: Desk, matters: Matters, day: date) -> None:
    while (entry := matters.on_ledger) is not None and entry.contact_from is not None and entry.contact_from <= day:
        period = duties.period_of(entry.contact_from, desk.cadence.contact_months)
        desk.note_ledger(replace(entry, contact_from=period.next_first))
        casework.owe(desk, entry, DutyKind.CONTACT, period, day, story=_story(entry.child, period.label))
    while (entry := matters.on_ledger) is not None and entry.visit_from is not None and entry.visit_from <= day:
        period = duties.period_of(entry.visit_from, desk.cadence.visit_months)
        desk.note_ledger(replace(entry, visit_from=period.next_first))
        casework.owe(desk, entry, DutyKind.VISIT, period, day, story=_story(entry.child, period.label))


def _story(child: UUID, period: str) -> UUID:
    return casework.name(child, "duties", period)


def _two_running(desk: Desk, matters: Matters, missed: Duty, at: datetime) -> None:
    """Two contacts missed running: a guardianship risk for a person to look at (policy 3.12). The third is no news."""
    run = 1
    first = missed.first
    for duty in reversed(matters.outstanding(DutyKind.CONTACT)):
        if duty.state == "missed" and duties.follows(duty, first):
            run += 1
            first = duty.first
    code = FindingCode.GUARDIANSHIP_AT_RISK
    if run != 2:
        return
    for route, codes in routing.routed(desk.county, (code,)):
        asked = any(proposal.route == route.id and code in proposal.findings for proposal in matters.undecided())
        if asked or matters.open_on(route.id) is not None:
            continue
        ground = f"contact:{missed.period}"
        proposal = Proposal(
            id=casework.name(matters.child.id, "referral", route.id, ground),
            child=matters.child.id,
            what="referral",
            unit=missed.unit,
            restricted=routing.is_restricted(desk.county, route.id),
            decide_by=desk.rules.confirm_by(route.level, at),
            story=missed.story,
            township=missed.township,
            route=route.id,
            level=route.level,
            findings=codes,
            opening=ground,
            grounds=(ground,),
        )
        desk.propose(proposal, county_day(at))


async def _desk_for(batch: Batch[Event], tx: Tx, taken: list[ActionAccepted], called: set[UUID]) -> Desk:
    """The matters of these actions. What was handed to another file before its row was locked is followed there."""

    async def held() -> set[UUID]:
        return await store.children_of(
            tx,
            referrals={action.referral for action in taken if action.referral is not None},
            proposals={action.proposal for action in taken if action.proposal is not None},
            findings=called,
        )

    children = {action.child for action in taken if action.child is not None} | await held()
    while True:
        desk = await _desk(batch, tx, children)
        now = await held()
        if now <= children:
            return desk
        children |= now


async def _desk(batch: Batch[Event], tx: Tx, children: set[UUID]) -> Desk:
    return await Desk.open(tx, batch.county, batch.partitions, children, _today(batch))


def _today(batch: Batch[Event]) -> date:
    return batch.on or batch.events[0].envelope.on
