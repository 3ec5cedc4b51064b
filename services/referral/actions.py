"""What units do to referrals, proposals, ledger entries and duties: one function for each verb."""

from collections.abc import Callable
from uuid import UUID

from contracts.intake import ActionAccepted
from contracts.referral import ReferralActionRefused
from contracts.registry import is_review
from contracts.vocabulary import ReferralState, Verb
from services.referral import routing, store
from services.referral.cases.duties import fulfil_duties
from services.referral.cases.findings import ReportedFinding, report_finding
from services.referral.cases.ledger import LEDGER_LEVEL
from services.referral.cases.proposals import carry_out, record_decision
from services.referral.domain import ledger, proposals, referrals
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.ids import content_id
from services.referral.domain.ledger import LedgerEntry
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import Actor, Referral, TransitionRefused, Transitions
from services.referral.unit_of_work import UnitOfWork

BY_PERSON = frozenset({"phone", "in_person"})
"""Channels that count as the check before a referral is closed: a call or a visit (policy 4.4, rule 3)."""


def apply(work: UnitOfWork, action: ActionAccepted, correlation: UUID) -> None:
    """Apply an action, or emit why it is refused. Verbs of the registry are ignored."""
    try:
        if action.verb in ON_REFERRALS:
            _on_referral(work, action)
        elif action.verb in (Verb.CONTACT, Verb.VISIT):
            _record_contact(work, action, correlation)
        elif action.verb in (Verb.CONFIRM, Verb.DECLINE):
            _decide(work, action)
    except TransitionRefused as refusal:
        _emit_refusal(work, action, refusal.code, refusal.state, correlation)


def actor_of(action: ActionAccepted) -> Actor:
    return Actor(action.unit, action.role, action.person)


def _reason_given(action: ActionAccepted) -> bool:
    """Return whether the action gives a reason: a code, or a text that intake has seen.

    Where intake does not say whether there was a text, its own check of the action has required one.
    """
    return action.reason is not None or action.result is not None or action.noted is not False


# ---------------------------------------------------------------- referrals


def _accept(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.accept(referral, actor_of(action), action.recorded_at)


def _start(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.start(referral, actor_of(action), action.recorded_at)


def _return(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    right_unit = _known_unit(work, action.to_unit, referral.state)
    return referrals.return_referral(
        referral, work.rules, actor_of(action), action.recorded_at, reason=action.reason, right_unit=right_unit
    )


def _reroute(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    named_unit = _known_unit(work, action.to_unit, referral.state)
    receiver = None if named_unit is None else routing.qualified_receiver(work.county, referral.route, named_unit)
    return referrals.reroute(
        referral,
        work.rules,
        actor_of(action),
        action.recorded_at,
        to_unit=None if receiver is None else receiver.unit,
        cause=None if receiver is None else receiver.cause,
    )


def _extend(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.extend(
        referral,
        work.rules,
        actor_of(action),
        action.recorded_at,
        days=action.days,
        reason_given=_reason_given(action),
    )


def _result(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.report_result(referral, work.rules, actor_of(action), action.recorded_at, result=action.result)


def _withdraw(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.withdraw(referral, actor_of(action), action.recorded_at, reason_given=_reason_given(action))


def _inform_reporter(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.inform_reporter(referral, work.rules, actor_of(action), action.recorded_at)


def _close(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    checked = action.channel in BY_PERSON
    return referrals.close(referral, work.rules, actor_of(action), action.recorded_at, checked=checked)


def _reopen(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.reopen(referral, work.rules, actor_of(action), action.recorded_at)


def _phone_report(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> Transitions:
    return referrals.phone_report(referral, work.rules, actor_of(action), action.recorded_at, reached=action.reached)


ON_REFERRALS: dict[Verb, Callable[[UnitOfWork, Referral, ActionAccepted], Transitions]] = {
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


HANDLED_VERBS = frozenset({*ON_REFERRALS, Verb.CONTACT, Verb.VISIT, Verb.CONFIRM, Verb.DECLINE})


def _on_referral(work: UnitOfWork, action: ActionAccepted) -> None:
    if action.referral is None and action.verb is Verb.CLOSE and action.child is not None:
        _propose_closing(work, action, action.child)
        return
    if action.referral is None and action.verb is Verb.PHONE_REPORT and action.finding is not None:
        _phone_report_of_finding(work, action, action.finding)
        return
    referral = _known_referral(work, action)
    if referral is None:
        raise TransitionRefused("unknown_referral")
    if action.child is not None and not _belongs_to(work, action.child, referral):
        raise TransitionRefused("other_child")
    _apply(work, referral, action)


def _known_referral(work: UnitOfWork, action: ActionAccepted) -> Referral | None:
    """Return the referral that the action names, if its log-in may know of it."""
    referral = None if action.referral is None else work.find_referral(action.referral)
    return None if referral is not None and referral.restricted and not action.restricted else referral


def _known_proposal(work: UnitOfWork, action: ActionAccepted) -> Proposal | None:
    """Return the proposal that the action names, if its log-in may know of it."""
    proposal = None if action.proposal is None else work.find_proposal(action.proposal)
    return None if proposal is not None and proposal.restricted and not action.restricted else proposal


def _known_entry(entry: LedgerEntry | None, action: ActionAccepted) -> LedgerEntry | None:
    """Return the child's entry, if the action's log-in may know of it."""
    return None if entry is not None and entry.restricted_only and not action.restricted else entry


def _apply(work: UnitOfWork, referral: Referral, action: ActionAccepted) -> None:
    transitions = ON_REFERRALS[action.verb](work, referral, action)
    call = store.PhoneCall(action.unit, action.station, action.at) if action.verb is Verb.PHONE_REPORT else None
    work.apply(transitions, action.on, channel=action.channel or action.mode, call=call)


def _phone_report_of_finding(work: UnitOfWork, action: ActionAccepted, finding: UUID) -> None:
    """Apply a call that names the finding: it counts for each of its referrals that requires a call.

    A finding passes through the registry and may arrive after the call; the call is then kept for it.
    """
    open_referrals = work.open_referrals_from(finding)
    concerned = [referral for referral in open_referrals if referral.call_first] or open_referrals
    if not concerned:
        if action.reached:
            work.record_call(finding, store.PhoneCall(action.unit, action.station, action.at))
        return
    callable_by_unit = [referral for referral in concerned if referrals.may_call(referral, work.rules, action.unit)]
    for referral in callable_by_unit or concerned[:1]:
        _apply(work, referral, action)


def _belongs_to(work: UnitOfWork, child: UUID, referral: Referral) -> bool:
    """Return whether the referral belongs or belonged to the child, or to the file that absorbed the child's."""
    return child in referral.owners or work.surviving_case(child).child.id == referral.child


def _known_unit(work: UnitOfWork, unit: str | None, state: ReferralState) -> str | None:
    if unit is None:
        return None
    sending_unit = work.county.sending_unit(unit)
    if sending_unit is None:
        raise TransitionRefused("unknown_unit", state)
    return sending_unit.id


# ---------------------------------------------------------------- contact and visit


def _record_contact(work: UnitOfWork, action: ActionAccepted, correlation: UUID) -> None:
    """Record a contact or visit, refer what was found on it, and fulfil the duties that it answers.

    Findings are referred whoever made the visit; only the units that care for the child fulfil duties.
    """
    if action.child is None:
        raise TransitionRefused("child_missing")
    case = work.surviving_case(action.child)
    if action.findings:
        report = ReportedFinding(
            finding=content_id("finding", action.unit, action.ce_id),
            codes=action.findings,
            level=None,
            actor=actor_of(action),
            unit=action.unit,
            place=action.place,
            township=None,
            at=action.recorded_at,
            called=False,
            correlation=correlation,
        )
        report_finding(work, case, report)
    if case.current_entry is not None and not _may_care_for(work, case, action.unit):
        raise TransitionRefused("not_yours")
    work.record_contact(
        store.Contact(
            unit=action.unit,
            ce_id=action.ce_id,
            child=case.child.id,
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
        fulfil_duties(work, case, action.on, contact=contact, visit=visit)


def _may_care_for(work: UnitOfWork, case: ChildCase, unit: str) -> bool:
    """Return whether a unit cares for the child: the township, the unit of the entry or of a duty, the lead unit."""
    entry = case.current_entry
    if entry is None:
        return False
    township = case.child.township or entry.township
    if township is None:
        return True
    keepers = {routing.township_unit(work.county, township), entry.unit, work.county.lead_unit}
    return unit in keepers | {duty.unit for duty in case.outstanding_duties()}


# ---------------------------------------------------------------- proposals


def _decide(work: UnitOfWork, action: ActionAccepted) -> None:
    """Apply a confirmation or a refusal of a proposal. Reviews of the registry are left to the registry."""
    if action.proposal is not None and is_review(action.proposal):
        return
    proposal = _known_proposal(work, action)
    if proposal is None:
        raise TransitionRefused("unknown_proposal")
    if action.child is not None and work.surviving_case(action.child).child.id != proposal.child:
        raise TransitionRefused("other_child")
    actor = actor_of(action)
    yes = action.verb is Verb.CONFIRM
    rules = work.rules
    decided = proposals.decide(proposal, actor, rules.lead_unit, rules.coordinating_unit, yes=yes)
    case = work.case_of_file(proposal.child)
    if yes and proposal.subject == "ledger_closing":
        # The entry may have got another reason since the request, and nobody has visited the child because of it.
        ledger.check_closing(case.current_entry, reason_given=True, already_requested=False)
    work.end_proposal(decided, action.on, actor)
    if yes:
        carry_out(work, case, decided, actor, action.recorded_at, action.on)
    else:
        record_decision(work, case, decided)


def _propose_closing(work: UnitOfWork, action: ActionAccepted, child: UUID) -> None:
    """Propose that the entry be closed. That takes a reason, a visit, and a second person who agrees (G12)."""
    case = work.surviving_case(child)
    entry = _known_entry(case.current_entry, action)
    requested = any(proposal.subject == "ledger_closing" for proposal in case.undecided_proposals())
    if entry is not None and not _may_care_for(work, case, action.unit):
        raise TransitionRefused("not_yours")
    ledger.check_closing(entry, reason_given=_reason_given(action), already_requested=requested)
    assert entry is not None
    lead = work.county.lead_unit
    township = case.child.township or entry.township
    keeper = routing.township_unit(work.county, township)
    count = sum(proposal.subject == "ledger_closing" for proposal in case.proposals.values())
    correlation = content_id(entry.child, "ledger", entry.number, "closing", count)
    work.propose(
        Proposal(
            id=content_id(entry.child, "ledger_closing", entry.number, count),
            child=entry.child,
            subject="ledger_closing",
            unit=keeper if action.unit == lead else lead,
            restricted=entry.restricted_only,
            decide_by=work.rules.confirm_by(LEDGER_LEVEL, action.recorded_at),
            correlation=correlation,
            township=township,
            ledger_reasons=entry.reasons if entry.restricted_only else ledger.open_reasons(entry.reasons),
            requester_unit=action.unit,
            requester_role=action.role,
            requester_person=action.person,
        ),
        action.on,
    )


# ---------------------------------------------------------------- refusals


def _emit_refusal(
    work: UnitOfWork, action: ActionAccepted, code: str, state: ReferralState | None, correlation: UUID
) -> None:
    referral = _known_referral(work, action)
    proposal = _known_proposal(work, action)
    restricted = _answer_is_restricted(work, action, referral, proposal)
    if referral is not None:
        child = referral.child
    elif proposal is not None:
        child = proposal.child
    else:
        # No child is known: the action's own id is the key that keeps the answers to it in order.
        child = action.child or action.referral or action.proposal or action.ce_id
    work.emit(
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
        correlation,
        restricted=restricted,
    )


def _answer_is_restricted(
    work: UnitOfWork, action: ActionAccepted, referral: Referral | None, proposal: Proposal | None
) -> bool:
    """Return whether the answer goes to the restricted topics.

    It does if the action came from the restricted log-in, or if the answer would reveal something restricted that the
    action concerns.
    """
    if action.restricted:
        return True
    if action.verb is Verb.PHONE_REPORT and action.referral is None and action.finding is not None:
        return any(referral.restricted for referral in work.open_referrals_from(action.finding))
    if proposal is not None and proposal.subject == "ledger_closing":
        return _has_restricted_reasons(work.case_of_file(proposal.child).current_entry)
    if action.child is None or referral is not None:
        return False
    entry = work.surviving_case(action.child).current_entry
    if action.verb is Verb.CLOSE:
        # The obstacle to closing may be a restricted reason.
        return _has_restricted_reasons(_known_entry(entry, action))
    return action.verb in (Verb.CONTACT, Verb.VISIT) and entry is not None and entry.restricted_only


def _has_restricted_reasons(entry: LedgerEntry | None) -> bool:
    return entry is not None and not ledger.RESTRICTED.isdisjoint(entry.reasons)
