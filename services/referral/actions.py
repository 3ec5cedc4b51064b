"""What a unit's people do to referrals, proposals, the ledger and its duties: one function a verb."""

from collections.abc import Callable
from uuid import UUID

from contracts.intake import ActionAccepted
from contracts.referral import ReferralActionRefused
from contracts.registry import is_review
from contracts.vocabulary import ReferralState, Verb
from services.referral import casework, routing, store
from services.referral.desk import Desk
from services.referral.domain import ledger, proposals, referral
from services.referral.domain.calendar import county_day
from services.referral.domain.ledger import Ledger
from services.referral.domain.matters import Matters
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import Actor, Moves, Referral, Refused

BY_PERSON = frozenset({"phone", "in_person"})
"""A check is a call or a visit (policy 4.4, rule 3)."""


def taken(desk: Desk, action: ActionAccepted, story: UUID) -> None:
    """Do what was asked, or say why not. Verbs of the registry are not ours."""
    try:
        if action.verb in ON_REFERRALS:
            _on_referral(desk, action)
        elif action.verb in (Verb.CONTACT, Verb.VISIT):
            _seen(desk, action, story)
        elif action.verb in (Verb.CONFIRM, Verb.DECLINE):
            _decide(desk, action)
    except Refused as refused:
        _refuse(desk, action, refused.code, refused.state, story)


def actor_of(action: ActionAccepted) -> Actor:
    return Actor(action.unit, action.role, action.person)


def _reason_given(action: ActionAccepted) -> bool:
    """A code, or words. Intake knows whether there were words; where it did not say, it has looked itself."""
    return action.reason is not None or action.result is not None or action.noted is not False


# ---------------------------------------------------------------- referrals


def _accept(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.accept(matter, actor_of(action), action.recorded_at)


def _start(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.start(matter, actor_of(action), action.recorded_at)


def _return(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    right_unit = _known_unit(desk, action.to_unit, matter.state)
    return referral.give_back(
        matter, desk.rules, actor_of(action), action.recorded_at, reason=action.reason, right_unit=right_unit
    )


def _reroute(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    wanted = _known_unit(desk, action.to_unit, matter.state)
    fit = None if wanted is None else routing.fit(desk.county, matter.route, wanted)
    return referral.reroute(
        matter,
        desk.rules,
        actor_of(action),
        action.recorded_at,
        to_unit=None if fit is None else fit.unit,
        because=None if fit is None else fit.because,
    )


def _extend(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.extend(
        matter,
        desk.rules,
        actor_of(action),
        action.recorded_at,
        days=action.days,
        reason_given=_reason_given(action),
    )


def _result(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.report_result(matter, desk.rules, actor_of(action), action.recorded_at, result=action.result)


def _withdraw(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.withdraw(matter, actor_of(action), action.recorded_at, reason_given=_reason_given(action))


def _inform_reporter(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.inform_reporter(matter, desk.rules, actor_of(action), action.recorded_at)


def _close(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    checked = action.channel in BY_PERSON
    return referral.close(matter, desk.rules, actor_of(action), action.recorded_at, checked=checked)


def _reopen(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.reopen(matter, desk.rules, actor_of(action), action.recorded_at)


def _phone_report(desk: Desk, matter: Referral, action: ActionAccepted) -> Moves:
    return referral.phone_report(matter, desk.rules, actor_of(action), action.recorded_at, reached=action.reached)


ON_REFERRALS: dict[Verb, Callable[[Desk, Referral, ActionAccepted], Moves]] = {
    Verb.ACCEPT: _accept,
    Verb.START: _start,
    Verb.RETURN: _return,
    Verb.REROUTE: _reroute,
    Verb.EXTEND: _extend,
    Verb.RESULT: _result,
    Verb.WITHDRAW: _withdraw,
    Verb.INFORM_REPORTER: _inform_reporter,
    Verb.CLOSE: _close,
    Verb.REOPEN: _reopen,
    Verb.PHONE_REPORT: _phone_report,
}


OURS = frozenset({*ON_REFERRALS, Verb.CONTACT, Verb.VISIT, Verb.CONFIRM, Verb.DECLINE})


def _on_referral(desk: Desk, action: ActionAccepted) -> None:
    if action.referral is None and action.verb is Verb.CLOSE and action.child is not None:
        _ask_to_close_ledger(desk, action, action.child)
        return
    if action.referral is None and action.verb is Verb.PHONE_REPORT and action.finding is not None:
        _phone_report_of_finding(desk, action, action.finding)
        return
    matter = _matter(desk, action)
    if matter is None:
        raise Refused("unknown_referral")
    if action.child is not None and not _is_of(desk, action.child, matter):
        raise Refused("other_child")
    _do(desk, matter, action)


def _matter(desk: Desk, action: ActionAccepted) -> Referral | None:
    """The referral that the action names, if its log-in may know of it."""
    found = None if action.referral is None else desk.referral(action.referral)
    return None if found is not None and found.restricted and not action.restricted else found


def _proposal(desk: Desk, action: ActionAccepted) -> Proposal | None:
    """The proposal that the action names, if its log-in may know of it."""
    found = None if action.proposal is None else desk.proposal(action.proposal)
    return None if found is not None and found.restricted and not action.restricted else found


def _entry(entry: Ledger | None, action: ActionAccepted) -> Ledger | None:
    """The child's entry, if the action's log-in may know of it."""
    return None if entry is not None and entry.hidden and not action.restricted else entry


def _do(desk: Desk, matter: Referral, action: ActionAccepted) -> None:
    moves = ON_REFERRALS[action.verb](desk, matter, action)
    call = store.Call(action.unit, action.station, action.at) if action.verb is Verb.PHONE_REPORT else None
    desk.move(moves, action.on, channel=action.channel or action.mode, call=call)


def _phone_report_of_finding(desk: Desk, action: ActionAccepted, finding: UUID) -> None:
    """The caller knows the finding, not the referral: the call counts for each that must be called about.

    The finding comes by way of the registry and may come later than the call.
    """
    matters = desk.of_finding(finding)
    first = [matter for matter in matters if matter.call_first] or matters
    if not first:
        if action.reached:
            desk.note_call(finding, store.Call(action.unit, action.station, action.at))
        return
    mine = [matter for matter in first if referral.may_call(matter, desk.rules, action.unit)] or first[:1]
    for matter in mine:
        _do(desk, matter, action)


def _is_of(desk: Desk, child: UUID, matter: Referral) -> bool:
    """The child it hangs on, or once hung on, or whose file was absorbed by that child's."""
    return child in matter.owners or desk.of(child).child.id == matter.child


def _known_unit(desk: Desk, unit: str | None, state: ReferralState) -> str | None:
    if unit is None:
        return None
    speaker = desk.county.sending_unit(unit)
    if speaker is None:
        raise Refused("unknown_unit", state)
    return speaker.id


# ---------------------------------------------------------------- contact and visit


def _seen(desk: Desk, action: ActionAccepted, story: UUID) -> None:
    """What was found on a contact or a visit is a finding like any other, whoever made it.

    The act itself is kept; where the child is on the ledger, it may fulfil what is owed.
    """
    if action.child is None:
        raise Refused("child_missing")
    matters = desk.of(action.child)
    if action.findings:
        what = casework.Found(
            finding=casework.name("finding", action.unit, action.ce_id),
            codes=action.findings,
            level=None,
            actor=actor_of(action),
            unit=action.unit,
            place=action.place,
            township=None,
            at=action.recorded_at,
            called=False,
            story=story,
        )
        casework.found(desk, matters, what)
    if matters.on_ledger is not None and not _may_look_after(desk, matters, action.unit):
        raise Refused("not_yours")
    desk.note_act(
        store.Act(
            unit=action.unit,
            ce_id=action.ce_id,
            child=matters.child.id,
            verb=action.verb,
            done_on=action.on,
            recorded_at=action.recorded_at,
            role=action.role,
            person=action.person,
            reached=action.reached,
            mode=action.mode,
            at_residence=action.at_residence,
        )
    )
    visit = action.verb is Verb.VISIT and action.at_residence is True and action.reached is not False
    contact = action.reached is True
    if visit or contact:
        casework.acted(desk, matters, action.on, contact=contact, visit=visit)


def _may_look_after(desk: Desk, matters: Matters, unit: str) -> bool:
    """The child's township, who keeps the entry, and the lead unit."""
    entry = matters.on_ledger
    if entry is None:
        return False
    township = matters.child.township or entry.township
    if township is None:
        return True
    keepers = {routing.township_unit(desk.county, township), entry.unit, desk.county.lead_unit}
    return unit in keepers | {duty.unit for duty in matters.outstanding()}


# ---------------------------------------------------------------- proposals


def _decide(desk: Desk, action: ActionAccepted) -> None:
    """Confirm or decline. The questions of the registry are answered by the registry, those that it knows or not."""
    if action.proposal is not None and is_review(action.proposal):
        return
    proposal = _proposal(desk, action)
    if proposal is None:
        raise Refused("unknown_proposal")
    if action.child is not None and desk.of(action.child).child.id != proposal.child:
        raise Refused("other_child")
    actor = actor_of(action)
    yes = action.verb is Verb.CONFIRM
    rules = desk.rules
    decided = proposals.decide(proposal, actor, rules.lead_unit, rules.coordinating_unit, yes=yes)
    matters = desk.exactly(proposal.child)
    if yes and proposal.what == "ledger_closing":
        # Since it was asked for, the entry may have got another reason, and nobody has looked at that yet.
        ledger.check_closing(matters.on_ledger, reason_given=True, asked_already=False)
    desk.end(decided, action.on, actor)
    if yes:
        casework.confirmed(desk, matters, decided, actor, action.recorded_at, action.on)
    else:
        casework.settled(desk, matters, decided)


def _ask_to_close_ledger(desk: Desk, action: ActionAccepted, child: UUID) -> None:
    """Closing the ledger takes a reason, a visit and a second person, in another unit or another role (G12)."""
    matters = desk.of(child)
    entry = _entry(matters.on_ledger, action)
    asked = any(proposal.what == "ledger_closing" for proposal in matters.undecided())
    if entry is not None and not _may_look_after(desk, matters, action.unit):
        raise Refused("not_yours")
    ledger.check_closing(entry, reason_given=_reason_given(action), asked_already=asked)
    assert entry is not None
    lead = desk.county.lead_unit
    township = matters.child.township or entry.township
    keeper = routing.township_unit(desk.county, township)
    count = sum(proposal.what == "ledger_closing" for proposal in matters.proposals.values())
    story = casework.name(entry.child, "ledger", entry.entry, "closing", count)
    desk.propose(
        Proposal(
            id=casework.name(entry.child, "ledger_closing", entry.entry, count),
            child=entry.child,
            what="ledger_closing",
            unit=keeper if action.unit == lead else lead,
            restricted=entry.hidden,
            decide_by=desk.rules.confirm_by(casework.LEDGER_LEVEL, action.recorded_at),
            story=story,
            township=township,
            ledger_reasons=entry.reasons if entry.hidden else ledger.open_reasons(entry.reasons),
            asked_unit=action.unit,
            asked_role=action.role,
            asked_person=action.person,
        ),
        action.on,
    )


# ---------------------------------------------------------------- refusals


def _refuse(desk: Desk, action: ActionAccepted, code: str, state: ReferralState | None, story: UUID) -> None:
    matter = _matter(desk, action)
    proposal = _proposal(desk, action)
    restricted = _of_restricted(desk, action, matter, proposal)
    if matter is not None:
        child = matter.child
    elif proposal is not None:
        child = proposal.child
    else:
        # No child is known: the unit's own number of the action keeps its answers in order.
        child = action.child or action.referral or action.proposal or action.ce_id
    desk.tell(
        ReferralActionRefused(
            child=child,
            restricted=restricted,
            on=county_day(action.recorded_at),
            unit=action.unit,
            ce_id=action.ce_id,
            verb=action.verb,
            referral=action.referral,
            code=code,
            state=state,
        ),
        story,
        restricted=restricted,
    )


def _of_restricted(desk: Desk, action: ActionAccepted, matter: Referral | None, proposal: Proposal | None) -> bool:
    """Whether the answer goes to the log-in for restricted matters.

    It does if the action came from there; else if it would tell of something restricted that the action would have
    changed, of which the ordinary log-in learns nothing at all.
    """
    if action.restricted:
        return True
    if action.verb is Verb.PHONE_REPORT and action.referral is None and action.finding is not None:
        return any(known.restricted for known in desk.of_finding(action.finding))
    if proposal is not None and proposal.what == "ledger_closing":
        return _has_hidden_reasons(desk.exactly(proposal.child).on_ledger)
    if action.child is None or matter is not None:
        return False
    entry = desk.of(action.child).on_ledger
    if action.verb is Verb.CLOSE:
        # What bars the closing may be a reason that nobody else is to know of.
        return _has_hidden_reasons(_entry(entry, action))
    return action.verb in (Verb.CONTACT, Verb.VISIT) and entry is not None and entry.hidden


def _has_hidden_reasons(entry: Ledger | None) -> bool:
    return entry is not None and not ledger.RESTRICTED.isdisjoint(entry.reasons)
