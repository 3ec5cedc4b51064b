"""What several kinds of news lead to: a referral, a proposal, an entry on the ledger, a duty, a hand-over."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid5

from contracts.vocabulary import DutyKind, FindingCode, LedgerReason, Level
from services.referral import routing
from services.referral.desk import Desk
from services.referral.domain import duties, ledger, referral
from services.referral.domain.calendar import county_day
from services.referral.domain.duties import Duty, Period
from services.referral.domain.gaps import Gap, turned
from services.referral.domain.ledger import Ledger
from services.referral.domain.matters import Ground, Matters
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import CLOCK, Actor, Referral
from services.referral.domain.rules import most_urgent

NAMES = UUID("6f7c1a52-93c5-5f0e-9a5c-2f1d6b1f9b41")
"""The name space of everything that referral names by its content."""

LEDGER_LEVEL = Level.L2
"""An entry on the ledger is never urgent: what is urgent about it has a referral of its own."""


def name(*parts: object) -> UUID:
    return uuid5(NAMES, "/".join(str(part) for part in parts))


# ---------------------------------------------------------------- referrals


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What is to be referred, and on whose word."""

    route: str
    findings: tuple[FindingCode, ...]
    level: Level
    at: datetime
    story: UUID
    from_unit: str
    opening: str
    """What names the referral beside child and route: a finding's id, or a code."""
    nth: int = 1
    item: str | None = None
    source: UUID | None = None
    """The person's finding."""
    reporter_unit: str | None = None
    phone_reported: bool = False
    by_person: bool = True
    township: str | None = None
    actor: Actor = CLOCK


def refer(desk: Desk, matters: Matters, matter: Matter, *, same_code: FindingCode | None = None) -> UUID:
    """Send it: join what is open on its route, reopen what was closed lately, or open a new referral.

    ``same_code``: only a referral that speaks of this finding is the same matter.
    """
    on = county_day(matter.at)
    receiver = routing.receiver(desk.county, matter.route, matter.township)
    standing = matters.open_on(matter.route, same_code)
    if standing is None:
        closed = matters.closed_on(matter.route, same_code)
        standing = closed if closed is not None and referral.may_reopen(closed, desk.rules, matter.at) else None
    if standing is not None:
        moves = referral.join(
            replace(standing, by_person=standing.by_person or matter.by_person),
            desk.rules,
            matter.actor,
            matter.at,
            findings=matter.findings,
            level=matter.level,
            receiver=receiver.unit,
            source=matter.source,
            reporter_unit=matter.reporter_unit,
            phone_reported=matter.phone_reported,
        )
        desk.move(moves, on)
        return standing.id
    child = matters.child.id
    draft = Referral(
        id=name(child, matter.route, matter.opening, matter.nth),
        child=child,
        owners=(child,),
        route=matter.route,
        restricted=routing.is_restricted(desk.county, matter.route),
        level=matter.level,
        findings=matter.findings,
        sources=() if matter.source is None else (matter.source,),
        reporters=() if matter.reporter_unit is None else (matter.reporter_unit,),
        by_person=matter.by_person,
        item=matter.item,
        from_unit=matter.from_unit,
        to_unit=receiver.unit,
        township=matter.township,
        story=matter.story,
        sent_at=matter.at,
        phone_reported=matter.phone_reported,
    )
    desk.move(referral.send(draft, desk.rules, matter.actor, because=receiver.because), on)
    return draft.id


# ---------------------------------------------------------------- what persons find


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a person found about a child."""

    finding: UUID
    codes: tuple[FindingCode, ...]
    level: Level | None
    actor: Actor
    unit: str
    place: str | None
    township: str | None
    """Where the child was found, if that is in the county."""
    at: datetime
    called: bool
    """These people have called the police station or a line."""
    story: UUID
    callers: frozenset[str] = frozenset()
    """Units that have recorded a call about it before it came."""


def found(desk: Desk, matters: Matters, what: Found) -> None:
    """Each route is referred at once, or proposed if these people have no duty to report; L0 never waits."""
    county = desk.county
    township = matters.child.township or what.township
    at_once = routing.sends_at_once(county, what.unit, what.place)
    for route, codes in routing.routed(county, what.codes):
        if matters.heard_of(what.finding, route.id):
            continue
        level = most_urgent(route.level, what.level)
        receiver = routing.receiver(county, route.id, township).unit
        called = what.called or not what.callers.isdisjoint({what.unit, receiver, county.lead_unit, county.duty_unit})
        if at_once or level is Level.L0:
            matter = Matter(
                route=route.id,
                findings=codes,
                level=level,
                at=what.at,
                story=what.story,
                from_unit=what.unit,
                opening=str(what.finding),
                source=what.finding,
                reporter_unit=what.unit,
                phone_reported=called,
                township=township,
                actor=what.actor,
            )
            _answered(desk, matters, refer(desk, matters, matter), what)
            continue
        proposal = Proposal(
            id=name(matters.child.id, "referral", route.id, what.finding),
            child=matters.child.id,
            what="referral",
            unit=routing.township_unit(county, township),
            restricted=routing.is_restricted(county, route.id),
            decide_by=desk.rules.confirm_by(level, what.at),
            story=what.story,
            township=township,
            route=route.id,
            level=level,
            findings=codes,
            finding=what.finding,
            reporter_unit=what.unit,
            phone_reported=called,
            opening=str(what.finding),
            grounds=(f"finding:{what.finding}",),
        )
        desk.propose(proposal, county_day(what.at))
    if ledger.reasons_of(what.codes) and not matters.child.person_grounds:
        desk.note_child(replace(matters.child, person_grounds=True))
    grounds = [(f"finding:{what.finding}", code) for code in what.codes]
    propose_ledger(desk, matters, grounds, what.at, what.story, township)


def _answered(desk: Desk, matters: Matters, sent: UUID, what: Found) -> None:
    """What the township was asked about, because the facts show it, a person has found: nobody has to ask any more."""
    matter = matters.referrals[sent]
    for asked in matters.undecided():
        known = asked.route == matter.route and set(asked.findings) <= set(matter.findings)
        if known and asked.finding is None and asked.level is not None and matter.level <= asked.level:
            desk.end(replace(asked, state="confirmed"), county_day(what.at), what.actor)
            settled(desk, matters, asked, sent)


# ---------------------------------------------------------------- what facts show


def propose_gap(desk: Desk, matters: Matters, gap: Gap, at: datetime) -> Gap:
    """Ask the township about a finding that must be confirmed first, unless its agency has it, as urgently."""
    if not gap.to_propose:
        return gap
    standing = matters.open_on(gap.route, gap.code)
    if standing is not None and standing.level <= gap.level:
        return replace(gap, settled_level=gap.level, referral=standing.id)
    child = matters.child
    proposal = Proposal(
        id=name(child.id, "referral", gap.route, gap.code, gap.episode, gap.proposals + 1),
        child=child.id,
        what="referral",
        unit=routing.township_unit(desk.county, child.township),
        restricted=routing.is_restricted(desk.county, gap.route),
        decide_by=desk.rules.confirm_by(gap.level, at),
        story=gap.story,
        township=child.township,
        route=gap.route,
        level=gap.level,
        item=gap.item,
        findings=(gap.code,),
        opening=gap.code,
        nth=gap.episode,
        grounds=(gap.ground,),
    )
    desk.propose(proposal, county_day(at))
    return replace(gap, proposals=gap.proposals + 1, proposal=proposal.id)


def no_longer_asked(desk: Desk, gap: Gap, on: date) -> Gap:
    """The facts no longer show what the township was asked about, or no longer ask for a person's word."""
    asked = desk.proposal(gap.proposal) if gap.proposal is not None else None
    if asked is not None and asked.undecided:
        desk.end(replace(asked, state="no_longer_shown"), on)
    return replace(gap, proposal=None)


def turn_gap(desk: Desk, matters: Matters, gap: Gap, at: datetime) -> None:
    """The day has turned: what still stands is referred, what is gone is withdrawn."""
    if gap.shown and not gap.needs_confirming and gap.referral is None:
        standing = matters.open_on(gap.route, gap.code)
        had = standing is not None and (standing.level <= gap.level or standing.state not in referral.UNFINISHED)
        gap = replace(gap, referral=standing.id if standing and had else _refer_gap(desk, matters, gap, at))
    if not gap.shown and gap.referral is not None and matters.child.absorbed_by is None:
        sent = matters.referrals.get(gap.referral)
        if sent is not None:
            desk.move(referral.no_longer_shown(sent, at), county_day(at))
    desk.note_gap(turned(gap))


def _refer_gap(desk: Desk, matters: Matters, gap: Gap, at: datetime) -> UUID:
    township = matters.child.township
    matter = Matter(
        route=gap.route,
        findings=(gap.code,),
        level=gap.level,
        at=at,
        story=gap.story,
        from_unit=routing.township_unit(desk.county, township),
        opening=gap.code,
        nth=gap.episode,
        item=gap.item,
        by_person=False,
        township=township,
    )
    return refer(desk, matters, matter, same_code=gap.code)


# ---------------------------------------------------------------- what people confirm


def confirmed(desk: Desk, matters: Matters, proposal: Proposal, actor: Actor, at: datetime, on: date) -> None:
    """A person has said yes: what was proposed happens."""
    if proposal.what == "referral":
        _send_confirmed(desk, matters, proposal, actor, at)
    elif proposal.what == "ledger":
        enter(desk, matters, proposal, actor, on)
    else:
        leave(desk, matters, actor, on, proposal.story)


def settled(desk: Desk, matters: Matters, proposal: Proposal, sent: UUID | None = None) -> None:
    """A person has decided about a finding that the facts show: not asked again while the same is shown."""
    for gap in matters.gaps.values():
        if gap.proposal == proposal.id:
            desk.note_gap(replace(gap, proposal=None, settled_level=proposal.level, referral=sent or gap.referral))
            return


def _send_confirmed(desk: Desk, matters: Matters, proposal: Proposal, actor: Actor, at: datetime) -> None:
    assert proposal.route is not None
    assert proposal.level is not None
    matter = Matter(
        route=proposal.route,
        findings=proposal.findings,
        level=proposal.level,
        at=at,
        story=proposal.story,
        from_unit=actor.unit or proposal.unit,
        opening=proposal.opening,
        nth=proposal.nth,
        item=proposal.item,
        source=proposal.finding,
        reporter_unit=proposal.reporter_unit,
        phone_reported=proposal.phone_reported,
        township=proposal.township,
        actor=actor,
    )
    settled(desk, matters, proposal, refer(desk, matters, matter))


# ---------------------------------------------------------------- the key-care ledger


def propose_ledger(
    desk: Desk,
    matters: Matters,
    grounds: Iterable[Ground],
    at: datetime,
    story: UUID,
    township: str | None,
) -> None:
    """Ask the township about an entry, or further reasons for one, on grounds that it has not been asked about.

    Restricted reasons are asked about by themselves: who reads the ordinary topics misses nothing and sees nothing.
    """
    new = matters.new_grounds(grounds)
    for hidden in (False, True):
        asked = [(ground, reason) for ground, reason in new if (reason in ledger.RESTRICTED) is hidden]
        if not asked:
            continue
        names = tuple(sorted({ground for ground, _ in asked}))
        reasons = ledger.in_order(reason for _, reason in asked)
        before = sum(
            (known.what, known.grounds, known.ledger_reasons) == ("ledger", names, reasons)
            for known in matters.proposals.values()
        )
        proposal = Proposal(
            id=name(matters.child.id, "ledger", *names, *reasons, before),
            child=matters.child.id,
            what="ledger",
            unit=routing.township_unit(desk.county, township),
            restricted=hidden,
            decide_by=desk.rules.confirm_by(LEDGER_LEVEL, at),
            story=story,
            township=township,
            ledger_reasons=reasons,
            grounds=names,
        )
        desk.propose(proposal, county_day(at))


def review_ledger(desk: Desk, matters: Matters, at: datetime) -> None:
    """At the turn of the day: what stands is proposed, what nothing speaks for any more is not.

    A finding may have come before it was known whether the child is one for the ledger, or after: the same stands.
    """
    child = matters.child
    shown = [gap for _, gap in sorted(matters.gaps.items()) if gap.shown]
    standing = {gap.ground for gap in shown}
    for proposal in matters.undecided():
        if proposal.what != "ledger":
            continue
        from_facts = all(ground.startswith("gap:") for ground in proposal.grounds)
        gone = from_facts and standing.isdisjoint(proposal.grounds)
        if gone or not any(map(matters.may_enter, proposal.ledger_reasons)):
            desk.end(replace(proposal, state="no_longer_shown"), county_day(at))
    if child.absorbed_by is not None:
        return
    grounds = [(gap.ground, gap.code) for gap in shown] + matters.reported_grounds()
    story = shown[0].story if shown else name(child.id, "ledger")
    propose_ledger(desk, matters, grounds, at, story, child.township)


def enter(desk: Desk, matters: Matters, proposal: Proposal, actor: Actor, on: date) -> None:
    """Confirmed: the entry is opened with its first duties, or gets further reasons."""
    standing = matters.on_ledger
    had: tuple[LedgerReason, ...] = () if standing is None else standing.reasons
    reasons = ledger.in_order((*had, *proposal.ledger_reasons))
    # Asked on other grounds about the same reasons: the answer is given.
    for asked in matters.undecided():
        if asked.what == "ledger" and set(asked.ledger_reasons) <= set(reasons):
            desk.end(replace(asked, state="confirmed"), on, actor)
    if standing is None:
        township = matters.child.township or proposal.township
        before = matters.ledger
        opened = Ledger(
            child=matters.child.id,
            open=True,
            reasons=reasons,
            unit=routing.township_unit(desk.county, township),
            township=township,
            entry=1 if before is None else before.entry + 1,
            opened_on=on,
            changed_on=on,
        )
        _begin(desk, opened, actor, on, proposal.story)
        return
    changed = replace(standing, reasons=reasons, changed_on=on)
    if standing.hidden and not changed.hidden:
        _surface(desk, matters, changed, actor, on, proposal.story)
        return
    desk.enter(changed, "changed", on, actor, proposal.story, restricted=proposal.restricted)


def _surface(desk: Desk, matters: Matters, entry: Ledger, actor: Actor, on: date, story: UUID) -> None:
    """Until now restricted reasons alone held it. Who reads the ordinary topics sees an entry like any other begin."""
    for duty in matters.outstanding():
        if duty.state == "created" and duty.due_on >= on:
            desk.owe(replace(duty, state="cancelled", reminders=()), "cancelled", on)
    begun = replace(entry, entry=entry.entry + 1, last_contact_on=None, last_visit_on=None)
    _begin(desk, begun, actor, on, story)


def _begin(desk: Desk, entry: Ledger, actor: Actor, on: date, story: UUID) -> None:
    """The first duties: this period's contact if there is time, and a visit soon."""
    contacts = duties.period_of(on, desk.cadence.contact_months)
    visits = duties.period_of(on, desk.cadence.visit_months)
    begun = replace(entry, contact_from=contacts.next_first, visit_from=visits.next_first)
    desk.enter(begun, "opened", on, actor, story, restricted=begun.hidden)
    first = duties.first_contact(on, desk.cadence)
    if first is not None:
        owe(desk, begun, DutyKind.CONTACT, first, on, story=story)
    due = duties.first_visit_due(on, desk.cadence, desk.rules.calendar)
    period = Period(visits.label, on, due.on)
    owe(desk, begun, DutyKind.FIRST_VISIT, period, on, story=story, provisional=due.provisional)


def leave(desk: Desk, matters: Matters, actor: Actor, on: date, story: UUID) -> None:
    """Two people have agreed: the entry is closed and its duties end."""
    standing = matters.on_ledger
    if standing is None:
        return
    closed = replace(standing, open=False, closed_on=on, contact_from=None, visit_from=None)
    desk.enter(closed, "closed", on, actor, story, restricted=closed.hidden)
    for duty in matters.outstanding():
        # What was missed stays so in the books; nobody has to make it good any more.
        ended = duty if duty.state == "missed" else replace(duty, state="cancelled", reminders=())
        desk.owe(ended, "cancelled", on)
    for proposal in matters.undecided():
        if proposal.what == "ledger_closing":
            desk.end(replace(proposal, state="no_longer_shown"), on)


# ---------------------------------------------------------------- contact and visit


def owe(
    desk: Desk,
    entry: Ledger,
    kind: DutyKind,
    period: Period,
    today: date,
    *,
    story: UUID,
    provisional: bool = False,
) -> None:
    """Create the duty of one period; what was done in it before the day turned counts."""
    matters = desk.exactly(entry.child)
    township = matters.child.township or entry.township
    reminders: tuple[date, ...] = ()
    if kind is DutyKind.CONTACT:
        reminders = duties.contact_reminders(period, desk.cadence, today)
    elif kind is DutyKind.VISIT:
        reminders = duties.visit_reminders(period, desk.cadence, today)
    duty = Duty(
        id=name(entry.child, "duty", kind, period.label, entry.entry),
        child=entry.child,
        kind=kind,
        period=period.label,
        first=period.first,
        due_on=period.last,
        unit=routing.township_unit(desk.county, township),
        township=township,
        story=story,
        restricted=entry.hidden,
        provisional=provisional,
        reminders=reminders,
    )
    desk.owe(duty, "created", today)
    done_on = entry.last_visit_on if kind is not DutyKind.CONTACT else entry.last_contact_on
    if done_on is not None and done_on >= period.first:
        done = duties.fulfil(duty, done_on)
        if done is not None:
            desk.owe(done, "fulfilled" if done.state == "fulfilled" else "fulfilled_late", today)


def acted(desk: Desk, matters: Matters, on: date, *, contact: bool, visit: bool) -> None:
    """Somebody was reached, or seen at home: the duties that this fulfils are fulfilled."""
    entry = matters.on_ledger
    if entry is None:
        return
    entry = replace(
        entry,
        last_contact_on=_later(entry.last_contact_on, on),
        last_visit_on=_later(entry.last_visit_on, on) if visit else entry.last_visit_on,
    )
    desk.note_ledger(entry)
    for duty in matters.outstanding():
        if duties.answers(duty.kind, contact=contact, visit=visit):
            done = duties.fulfil(duty, on)
            if done is not None:
                desk.owe(done, "fulfilled" if done.state == "fulfilled" else "fulfilled_late", on)


def _later(one: date | None, other: date) -> date:
    return other if one is None else max(one, other)


# ---------------------------------------------------------------- files merged and split


def hand_over(desk: Desk, source: Matters, target: Matters, at: datetime) -> None:
    """Two files are one child: everything follows, open matters with a word, what is over without one."""
    if source is target:
        return
    on = county_day(at)
    for matter in source.in_order():
        _hand_over_referral(desk, matter, target, at)
    for proposal in sorted(source.proposals.values(), key=lambda known: known.id):
        desk.part_with(proposal)
        desk.note_proposal(replace(proposal, child=target.child.id))
    for _, gap in sorted(source.gaps.items()):
        _hand_over_gap(desk, gap, target)
    _hand_over_ledger(desk, source, target, on)
    if source.child.person_grounds:
        desk.note_child(replace(target.child, person_grounds=True, turn=True))


def hand_over_findings(
    desk: Desk, source: Matters, target: Matters, findings: frozenset[UUID], at: datetime, story: UUID
) -> None:
    """One file was two children: what came from these findings follows; what also came from others is doubled."""
    grounds: list[Ground] = []
    township = target.child.township
    for matter in source.in_order():
        told = tuple(zip(matter.sources, matter.reporters, strict=True))
        moving = [(finding, unit) for finding, unit in told if finding in findings]
        if not moving:
            continue
        grounds += [(f"finding:{finding}", code) for finding, _ in moving for code in matter.findings]
        township = township or matter.township
        if len(moving) == len(told):
            _hand_over_referral(desk, matter, target, at)
            continue
        staying = [(finding, unit) for finding, unit in told if finding not in findings]
        desk.note_referral(
            replace(
                matter,
                sources=tuple(finding for finding, _ in staying),
                reporters=tuple(unit for _, unit in staying),
            )
        )
        for finding, unit in moving if matter.open else ():
            twin = Matter(
                route=matter.route,
                findings=matter.findings,
                level=matter.level,
                at=at,
                story=story,
                from_unit=matter.from_unit,
                opening=str(finding),
                item=matter.item,
                source=finding,
                reporter_unit=unit,
                phone_reported=matter.phone_reported,
                township=target.child.township or matter.township,
            )
            refer(desk, target, twin)
    named = {f"finding:{finding}" for finding in findings}
    for proposal in sorted(source.proposals.values(), key=lambda known: known.id):
        if proposal.undecided and proposal.grounds and named.issuperset(proposal.grounds):
            desk.part_with(proposal)
            desk.note_proposal(replace(proposal, child=target.child.id))
    if ledger.reasons_of(code for _, code in grounds):
        desk.note_child(replace(target.child, person_grounds=True, turn=True))
        propose_ledger(desk, target, grounds, at, story, township)


def _hand_over_referral(desk: Desk, matter: Referral, target: Matters, at: datetime) -> None:
    moved, moves = referral.hand_over(matter, target.child.id, at)
    desk.part_with(matter)
    desk.note_referral(moved)
    desk.move(moves, county_day(at))


def _hand_over_gap(desk: Desk, gap: Gap, target: Matters) -> None:
    """What was referred from facts stays tied to them: the survivor's own facts show it too, or it is withdrawn."""
    if gap.referral is None:
        return
    desk.note_gap(replace(gap, referral=None))
    if gap.key not in target.gaps or target.gaps[gap.key].over:
        episode = 1 if gap.key not in target.gaps else target.gaps[gap.key].episode + 1
        desk.note_gap(
            replace(gap, child=target.child.id, shown=False, turn=True, episode=episode, proposals=0, proposal=None)
        )
        desk.note_child(replace(target.child, turn=True))


def _hand_over_ledger(desk: Desk, source: Matters, target: Matters, on: date) -> None:
    entry = source.on_ledger
    if entry is None:
        return
    standing = target.on_ledger
    township = target.child.township or entry.township
    if standing is None:
        count = entry.entry if target.ledger is None else target.ledger.entry + entry.entry
        merged = replace(entry, child=target.child.id, entry=count, township=township)
    else:
        merged = replace(
            standing,
            reasons=ledger.in_order((*standing.reasons, *entry.reasons)),
            opened_on=min(standing.opened_on, entry.opened_on),
            changed_on=max(standing.changed_on, entry.changed_on),
            last_contact_on=_latest(standing.last_contact_on, entry.last_contact_on),
            last_visit_on=_latest(standing.last_visit_on, entry.last_visit_on),
        )
    desk.note_ledger(merged)
    desk.note_ledger(replace(entry, open=False, closed_on=on, contact_from=None, visit_from=None))
    owed = {(duty.kind, duty.period): duty for duty in target.duties.values() if duty.state != "cancelled"}
    for duty in sorted(source.duties.values(), key=lambda known: (known.due_on, known.kind, known.id)):
        double = owed.get((duty.kind, duty.period))
        if duty.outstanding and double is not None and (duty.restricted or not double.restricted):
            desk.owe(replace(duty, state="cancelled", reminders=()), "cancelled", on)
            continue
        if duty.outstanding and double is not None and double.outstanding:
            # The one that everybody sees stays: else its end would tell of the other.
            desk.owe(replace(double, state="cancelled", reminders=()), "cancelled", on)
        desk.part_with(duty)
        desk.note_duty(replace(duty, child=target.child.id))


def _latest(one: date | None, other: date | None) -> date | None:
    return max(filter(None, (one, other)), default=None)
