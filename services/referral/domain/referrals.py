"""A referral: the table of its legal transitions, the conditions of each, and the deadlines that run meanwhile.

States and rules are those of policy 4.4. What that table leaves open is decided here in favour of the child's safety:

- ``SENT`` in an open state means that another finding joins the referral: the state stays, and the level may rise.
  Only a returned referral is sent again by it, so that a new finding does not wait with a unit that cannot act.
- A person's L0 finding that joins requires a call of its own: the earlier call was about something else.
- After a reported result, and after closing, a new finding or a failed check sends the referral back to its agency
  (``REOPENED``), with new deadlines.
- A returned referral goes back to its sender. Its deadlines keep running, so that it is not forgotten meanwhile.
- ``SENT`` from a draft, ``REROUTED`` and ``REOPENED`` start the deadlines again; ``ACCEPTED`` never does.
- A rerouted or reopened referral keeps its number of returns: after the last one only forced assignment is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.vocabulary import FindingCode, Level, ReferralState, Result, ReturnReason, Transition
from services.referral.domain.calendar import county_day
from services.referral.domain.rules import URGENT, Overdue, Rules, most_urgent

DRAFT = ReferralState.DRAFT
SENT = ReferralState.SENT
ACCEPTED = ReferralState.ACCEPTED
IN_PROGRESS = ReferralState.IN_PROGRESS
RETURNED = ReferralState.RETURNED
RESULT_REPORTED = ReferralState.RESULT_REPORTED
CLOSED = ReferralState.CLOSED
WITHDRAWN = ReferralState.WITHDRAWN

TRANSITIONS: dict[tuple[ReferralState, Transition], ReferralState] = {
    (DRAFT, Transition.SENT): SENT,
    # not accepted yet
    (SENT, Transition.SENT): SENT,
    (SENT, Transition.ACCEPTED): ACCEPTED,
    (SENT, Transition.RETURNED): RETURNED,
    (SENT, Transition.ESCALATED): SENT,
    (SENT, Transition.PHONE_REPORTED): SENT,
    (SENT, Transition.WITHDRAWN): WITHDRAWN,
    (SENT, Transition.REASSIGNED): SENT,
    # accepted, not started
    (ACCEPTED, Transition.SENT): ACCEPTED,
    (ACCEPTED, Transition.STARTED): IN_PROGRESS,
    (ACCEPTED, Transition.ESCALATED): ACCEPTED,
    (ACCEPTED, Transition.PHONE_REPORTED): ACCEPTED,
    (ACCEPTED, Transition.WITHDRAWN): WITHDRAWN,
    (ACCEPTED, Transition.REASSIGNED): ACCEPTED,
    # in progress
    (IN_PROGRESS, Transition.SENT): IN_PROGRESS,
    (IN_PROGRESS, Transition.EXTENDED): IN_PROGRESS,
    (IN_PROGRESS, Transition.RESULT_REPORTED): RESULT_REPORTED,
    (IN_PROGRESS, Transition.ESCALATED): IN_PROGRESS,
    (IN_PROGRESS, Transition.PHONE_REPORTED): IN_PROGRESS,
    (IN_PROGRESS, Transition.WITHDRAWN): WITHDRAWN,
    (IN_PROGRESS, Transition.REASSIGNED): IN_PROGRESS,
    # returned to its sender
    (RETURNED, Transition.SENT): SENT,
    (RETURNED, Transition.REROUTED): SENT,
    (RETURNED, Transition.ESCALATED): RETURNED,
    (RETURNED, Transition.PHONE_REPORTED): RETURNED,
    (RETURNED, Transition.WITHDRAWN): WITHDRAWN,
    (RETURNED, Transition.REASSIGNED): RETURNED,
    # waiting for the sender's check
    (RESULT_REPORTED, Transition.REPORTER_INFORMED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.CLOSED): CLOSED,
    (RESULT_REPORTED, Transition.REOPENED): SENT,
    (RESULT_REPORTED, Transition.ESCALATED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.PHONE_REPORTED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.WITHDRAWN): WITHDRAWN,
    (RESULT_REPORTED, Transition.REASSIGNED): RESULT_REPORTED,
    # ended, but it may be reopened
    (CLOSED, Transition.REOPENED): SENT,
}
"""Every legal transition, with the state after it. Any other is refused as ``illegal_move``."""

ENDED = frozenset({CLOSED, WITHDRAWN})
NOT_ACCEPTED = frozenset({SENT, RETURNED})
"""States in which no unit has accepted it: the deadline for acceptance runs."""
UNFINISHED = frozenset({SENT, RETURNED, ACCEPTED, IN_PROGRESS})
"""States without a result: the deadline for the result runs."""
ACTIVE = frozenset({SENT, ACCEPTED, IN_PROGRESS, RESULT_REPORTED})
"""States in which the receiving unit holds it."""


class TransitionRefused(Exception):
    """A transition that is not allowed. ``code`` says why; the inbox shows it to people as text."""

    def __init__(self, code: str, state: ReferralState | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.state = state


@dataclass(frozen=True, slots=True)
class Actor:
    """Who causes a transition."""

    unit: str | None = None
    role: str | None = None
    person: str = ""


CLOCK = Actor()
"""The actor of transitions that no person makes: those by time, by facts and by merged files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """A referral of one child to one unit."""

    id: UUID
    child: UUID
    owners: tuple[UUID, ...]
    """Every child it has belonged to, the present one last: an action may still name an absorbed file."""
    route: str
    restricted: bool
    level: Level
    findings: tuple[FindingCode, ...]
    sources: tuple[UUID, ...]
    """The persons' findings it came from, in order of arrival; empty if it was derived from facts."""
    reporters: tuple[str, ...] = ()
    """The units of these persons, in the same order: each must be informed of the result."""
    shared: bool = False
    """A unit other than its sender has reported it too."""
    by_person: bool
    """A person reported or confirmed it, so only a person withdraws it."""
    item: str | None
    from_unit: str
    to_unit: str
    """The unit that must act next: the receiver or, once it is returned, the sender."""
    township: str | None
    correlation: UUID
    sent_at: datetime
    state: ReferralState = DRAFT
    version: int = 0
    accept_by: datetime | None = None
    accept_alarm_at: datetime | None = None
    result_by: datetime | None = None
    phone_by: datetime | None = None
    deadlines_from: datetime | None = None
    """The moment its deadlines are counted from: SENT, or the finding that raised its level."""
    provisional: bool = False
    """A deadline lies in a year whose working days are not published yet, so it may move."""
    expired: tuple[Overdue, ...] = ()
    """Deadlines that have expired and were escalated."""
    returns: int = 0
    return_reason: ReturnReason | None = None
    right_unit: str | None = None
    extended: bool = False
    extended_days: int = 0
    phone_reported: bool = False
    reporter_informed: bool = False
    """All reporters know the result. A later report resets it."""
    result: Result | None = None
    escalated_to: str | None = None
    closed_at: datetime | None = None
    queues: tuple[str, ...] = ()
    """Units whose queue has an entry of this referral that is not deleted yet."""
    tombstones_from: date | None = None
    """The first day whose completion emits the tombstones on stale queues."""

    @property
    def finding(self) -> UUID | None:
        return self.sources[0] if self.sources else None

    @property
    def reporter_unit(self) -> str | None:
        """The unit that reported last."""
        return self.reporters[-1] if self.reporters else None

    @property
    def call_first(self) -> bool:
        return self.level is Level.L0

    @property
    def open(self) -> bool:
        return self.state not in ENDED

    @property
    def holder(self) -> str | None:
        """The unit that holds it; None while it is returned, closed or withdrawn."""
        return self.to_unit if self.state in ACTIVE else None

    @property
    def stale_queues(self) -> tuple[str, ...]:
        """Units whose queue still has an entry although they do not hold the referral."""
        return tuple(unit for unit in self.queues if unit != self.holder)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTransition:
    """A referral after a transition, with the data of the transition itself."""

    referral: Referral
    transition: Transition
    actor: Actor
    at: datetime
    previous_unit: str | None = None
    reason: ReturnReason | None = None
    overdue: Overdue | None = None
    cause: str | None = None
    """A code for why it happened, where the transition alone does not say."""
    escalated_to: str | None = None


Transitions = tuple[AppliedTransition, ...]


def send(draft: Referral, rules: Rules, actor: Actor, *, cause: str | None = None) -> Transitions:
    """Send a draft; its deadlines start."""
    sent = _advance(draft, Transition.SENT, _deadlines(draft, rules, draft.sent_at))
    return (AppliedTransition(referral=sent, transition=Transition.SENT, actor=actor, at=sent.sent_at, cause=cause),)


def join(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    findings: tuple[FindingCode, ...],
    level: Level,
    receiver: str,
    source: UUID | None = None,
    reporter_unit: str | None = None,
    phone_reported: bool = False,
) -> Transitions:
    """Join another finding to an open referral, or reopen one with a result. The level may rise but never falls.

    ``receiver`` is the unit that gets the referral if it was returned.
    """
    all_findings = dict.fromkeys((*referral.findings, *findings))
    changes: dict[str, Any] = {
        "findings": tuple(all_findings),
        "phone_reported": referral.phone_reported or phone_reported,
    }
    if source is not None:
        assert reporter_unit is not None
        changes |= {
            "sources": (*referral.sources, source),
            "reporters": (*referral.reporters, reporter_unit),
            "reporter_informed": False,
            "by_person": True,
            "shared": referral.shared or (actor.unit or reporter_unit) != referral.from_unit,
        }
    needs_call = source is not None and level is Level.L0
    if needs_call:
        changes["phone_reported"] = phone_reported
    risen = most_urgent(referral.level, level)
    joined = replace(referral, **changes, level=risen)
    if referral.state in (RESULT_REPORTED, CLOSED):
        cause = "finding_added" if source is not None else "shown_again"
        return _reopened(joined, rules, actor, at, cause=cause)
    if referral.state is RETURNED:
        changes = _deadlines(joined, rules, max(at, referral.sent_at)) | {"to_unit": receiver}
        returned_to = referral.to_unit
        after = _advance(joined, Transition.SENT, changes)
        return (
            AppliedTransition(
                referral=after,
                transition=Transition.SENT,
                actor=actor,
                at=at,
                previous_unit=returned_to,
                cause="sent_again",
            ),
        )
    if risen is not referral.level:
        after = _advance(joined, Transition.SENT, _tightened(referral, joined, rules, at))
        return (
            AppliedTransition(referral=after, transition=Transition.SENT, actor=actor, at=at, cause="level_raised"),
        )
    after = _advance(joined, Transition.SENT, _call_due(referral, rules, at) if needs_call else None)
    return (AppliedTransition(referral=after, transition=Transition.SENT, actor=actor, at=at, cause="finding_added"),)


def accept(referral: Referral, actor: Actor, at: datetime) -> Transitions:
    """Accept it, by the receiving unit. The deadline for acceptance stops; the others keep running."""
    _by_receiver(referral, actor)
    return (
        AppliedTransition(
            referral=_advance(referral, Transition.ACCEPTED), transition=Transition.ACCEPTED, actor=actor, at=at
        ),
    )


def start(referral: Referral, actor: Actor, at: datetime) -> Transitions:
    """Start work on it, by the receiving unit."""
    _by_receiver(referral, actor)
    return (
        AppliedTransition(
            referral=_advance(referral, Transition.STARTED), transition=Transition.STARTED, actor=actor, at=at
        ),
    )


def return_referral(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    reason: ReturnReason | None,
    right_unit: str | None,
) -> Transitions:
    """Return it to its sender. The last return allowed is escalated to the coordinating unit immediately (R32)."""
    _by_receiver(referral, actor)
    _state_after(referral, Transition.RETURNED)
    if referral.returns >= rules.max_returns:
        raise TransitionRefused("too_many_returns", referral.state)
    if reason is None:
        raise TransitionRefused("reason_missing", referral.state)
    if reason is ReturnReason.WRONG_AREA and right_unit is None:
        raise TransitionRefused("right_unit_missing", referral.state)
    if right_unit == referral.to_unit:
        raise TransitionRefused("right_unit_is_yours", referral.state)
    returned = _advance(
        referral,
        Transition.RETURNED,
        {
            "to_unit": referral.from_unit,
            "returns": referral.returns + 1,
            "return_reason": reason,
            "right_unit": right_unit,
        },
    )
    applied = AppliedTransition(
        referral=returned,
        transition=Transition.RETURNED,
        actor=actor,
        at=at,
        previous_unit=referral.to_unit,
        reason=reason,
    )
    if returned.returns < rules.max_returns:
        return (applied,)
    return (applied, _escalated(returned, rules.coordinating_unit, at, cause="returned_too_often"))


def reroute(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    to_unit: str | None,
    cause: str | None = None,
) -> Transitions:
    """Send a returned referral to another unit, or to the same one again, with new deadlines."""
    if actor.unit not in _senders(referral, rules):
        raise TransitionRefused("not_yours")
    _state_after(referral, Transition.REROUTED)
    if to_unit is None:
        raise TransitionRefused("to_unit_missing", referral.state)
    changes = _deadlines(referral, rules, max(at, referral.sent_at)) | {"to_unit": to_unit}
    after = _advance(referral, Transition.REROUTED, changes)
    return (
        AppliedTransition(
            referral=after,
            transition=Transition.REROUTED,
            actor=actor,
            at=at,
            previous_unit=referral.to_unit,
            cause=cause,
        ),
    )


def extend(
    referral: Referral, rules: Rules, actor: Actor, at: datetime, *, days: int | None, reason_given: bool
) -> Transitions:
    """Extend the deadline of the result by working days; allowed once, with a reason."""
    _by_receiver(referral, actor)
    _state_after(referral, Transition.EXTENDED)
    if referral.extended:
        raise TransitionRefused("already_extended", referral.state)
    if days is None:
        raise TransitionRefused("days_missing", referral.state)
    if not reason_given:
        raise TransitionRefused("reason_missing", referral.state)
    result_by, provisional = rules.extend(referral.result_by, days)
    after = _advance(
        referral,
        Transition.EXTENDED,
        {
            "extended": True,
            "extended_days": days,
            "result_by": result_by,
            "provisional": referral.provisional or provisional,
            "expired": tuple(kind for kind in referral.expired if kind != "result"),
        },
    )
    return (AppliedTransition(referral=after, transition=Transition.EXTENDED, actor=actor, at=at),)


def report_result(
    referral: Referral, rules: Rules, actor: Actor, at: datetime, *, result: Result | None
) -> Transitions:
    """Report the result, a code. A guardian's refusal in an urgent referral is escalated immediately."""
    _by_receiver(referral, actor)
    _state_after(referral, Transition.RESULT_REPORTED)
    if result is None:
        raise TransitionRefused("result_missing", referral.state)
    reported = _advance(referral, Transition.RESULT_REPORTED, {"result": result})
    applied = AppliedTransition(referral=reported, transition=Transition.RESULT_REPORTED, actor=actor, at=at)
    if not _urgent_refusal(reported):
        return (applied,)
    escalated_to = rules.escalates_to(reported.level, reported.to_unit)
    return (applied, _escalated(reported, escalated_to, at, cause="refused_by_guardian"))


def inform_reporter(referral: Referral, rules: Rules, actor: Actor, at: datetime) -> Transitions:
    """Record that the reporters were informed of the result (未成年人保护法第11条第3款).

    The agency, the sender or the lead unit does that.
    """
    if actor.unit not in {referral.to_unit, referral.from_unit, rules.lead_unit}:
        raise TransitionRefused("not_yours")
    _state_after(referral, Transition.REPORTER_INFORMED)
    if referral.reporter_unit is None:
        raise TransitionRefused("no_reporter", referral.state)
    after = _advance(referral, Transition.REPORTER_INFORMED, {"reporter_informed": True})
    return (AppliedTransition(referral=after, transition=Transition.REPORTER_INFORMED, actor=actor, at=at),)


def phone_report(referral: Referral, rules: Rules, actor: Actor, at: datetime, *, reached: bool | None) -> Transitions:
    """Record the call required for L0. After an attempt that reached nobody the deadline keeps running."""
    if not may_call(referral, rules, actor.unit):
        raise TransitionRefused("not_yours")
    _state_after(referral, Transition.PHONE_REPORTED)
    if reached is None:
        raise TransitionRefused("reached_missing", referral.state)
    after = _advance(referral, Transition.PHONE_REPORTED, {"phone_reported": referral.phone_reported or reached})
    return (
        AppliedTransition(
            referral=after,
            transition=Transition.PHONE_REPORTED,
            actor=actor,
            at=at,
            cause=None if reached else "not_reached",
        ),
    )


def may_call(referral: Referral, rules: Rules, unit: str | None) -> bool:
    """Return whether a unit's call counts: sender, reporters, receiver, lead unit and duty unit."""
    parties = {referral.to_unit, referral.from_unit, *referral.reporters, rules.lead_unit, rules.duty_unit}
    return unit in parties


def close(referral: Referral, rules: Rules, actor: Actor, at: datetime, *, checked: bool) -> Transitions:
    """Close it, by the sender or the lead unit, after a result, a check and informing the reporters."""
    if actor.unit not in {referral.from_unit, rules.lead_unit}:
        raise TransitionRefused("self_check" if actor.unit == referral.to_unit else "not_yours")
    _state_after(referral, Transition.CLOSED)
    if referral.result is None:
        raise TransitionRefused("result_missing", referral.state)
    if _urgent_refusal(referral):
        raise TransitionRefused("guardian_refused", referral.state)
    if not checked:
        raise TransitionRefused("check_missing", referral.state)
    if referral.reporter_unit is not None and not referral.reporter_informed:
        raise TransitionRefused("reporter_not_informed", referral.state)
    after = _advance(referral, Transition.CLOSED, {"closed_at": at})
    return (AppliedTransition(referral=after, transition=Transition.CLOSED, actor=actor, at=at),)


def withdraw(referral: Referral, actor: Actor, at: datetime, *, reason_given: bool) -> Transitions:
    """Withdraw it, by its sender and with a reason, unless other units have reported it too."""
    if actor.unit != referral.from_unit:
        raise TransitionRefused("not_yours")
    _state_after(referral, Transition.WITHDRAWN)
    if not reason_given:
        raise TransitionRefused("reason_missing", referral.state)
    if referral.shared:
        raise TransitionRefused("others_reported", referral.state)
    return (
        AppliedTransition(
            referral=_advance(referral, Transition.WITHDRAWN), transition=Transition.WITHDRAWN, actor=actor, at=at
        ),
    )


def no_longer_shown(referral: Referral, at: datetime) -> Transitions:
    """Withdraw a referral whose gap is gone, if no agency has accepted it and no person asked for it.

    After acceptance the agency's own work may be why the gap is gone, and its result must not be lost.
    """
    if referral.by_person or referral.state not in NOT_ACCEPTED:
        return ()
    after = _advance(referral, Transition.WITHDRAWN)
    return (
        AppliedTransition(referral=after, transition=Transition.WITHDRAWN, actor=CLOCK, at=at, cause="no_longer_shown"),
    )


def reopen(referral: Referral, rules: Rules, actor: Actor, at: datetime) -> Transitions:
    """Reopen it, by the sender or the lead unit, after a failed check or within the county's reopening days."""
    if actor.unit not in {referral.from_unit, rules.lead_unit}:
        raise TransitionRefused("not_yours")
    _state_after(referral, Transition.REOPENED)
    if referral.state is CLOSED and not may_reopen(referral, rules, at):
        raise TransitionRefused("too_late_to_reopen", referral.state)
    return _reopened(referral, rules, actor, at)


def may_reopen(referral: Referral, rules: Rules, at: datetime) -> bool:
    """Return whether it was closed at most the county's number of reopening days ago."""
    if referral.state is not CLOSED or referral.closed_at is None:
        return False
    return county_day(at) <= county_day(referral.closed_at) + timedelta(days=rules.reopen_days)


def reassign(referral: Referral, child: UUID, at: datetime) -> tuple[Referral, Transitions]:
    """Move it to another file of the child. An ended referral moves without a transition: no unit has to act on it."""
    owners = (*(owner for owner in referral.owners if owner != child), child)
    after = replace(referral, child=child, owners=owners)
    if not referral.open:
        return after, ()
    after = _advance(after, Transition.REASSIGNED)
    return after, (AppliedTransition(referral=after, transition=Transition.REASSIGNED, actor=CLOCK, at=at),)


def running_deadlines(referral: Referral) -> Iterator[tuple[Overdue, datetime]]:
    """Yield the deadlines that run and have not expired, each with its moment."""
    if referral.state not in UNFINISHED:
        return
    if referral.state in NOT_ACCEPTED and referral.accept_alarm_at is not None and "accept" not in referral.expired:
        yield "accept", referral.accept_alarm_at
    if referral.result_by is not None and "result" not in referral.expired:
        yield "result", referral.result_by
    if referral.phone_by is not None and not referral.phone_reported and "phone_report" not in referral.expired:
        yield "phone_report", referral.phone_by


def next_alarm(referral: Referral) -> datetime | None:
    """Return the moment at which its next deadline expires."""
    return min((deadline for _, deadline in running_deadlines(referral)), default=None)


def escalate_expired(referral: Referral, rules: Rules, now: datetime) -> Transitions:
    """Escalate it once for each deadline that has expired by now."""
    transitions: list[AppliedTransition] = []
    for overdue, deadline in sorted(running_deadlines(referral), key=lambda running: (running[1], running[0])):
        if deadline > now:
            continue
        with_expired = replace(referral, expired=(*referral.expired, overdue))
        escalated = _escalated(with_expired, rules.escalates_to(referral.level, referral.to_unit), now, overdue=overdue)
        referral = escalated.referral
        transitions.append(escalated)
    return tuple(transitions)


def recount(referral: Referral, rules: Rules, at: datetime) -> tuple[Referral, Transitions]:
    """Recompute provisional deadlines once the year's working days are published (policy 3.0)."""
    if not referral.provisional:
        return referral, ()
    counted = rules.deadlines(referral.level, referral.deadlines_from or referral.sent_at)
    result_by, provisional = counted.result_by, counted.provisional
    if referral.extended_days:
        result_by, more = rules.extend(result_by, referral.extended_days)
        provisional = provisional or more
    if provisional:
        return referral, ()
    recounted = replace(
        referral,
        accept_by=counted.accept_by,
        accept_alarm_at=counted.accept_alarm_at,
        result_by=result_by,
        provisional=False,
    )
    same = (recounted.accept_by, recounted.result_by) == (referral.accept_by, referral.result_by)
    if same or referral.state not in UNFINISHED:
        return recounted, ()
    after = replace(recounted, version=referral.version + 1)
    return after, (
        AppliedTransition(
            referral=after, transition=Transition.EXTENDED, actor=CLOCK, at=at, cause="calendar_published"
        ),
    )


def counts_hours(referral: Referral) -> bool:
    """Return whether its deadlines are counted in hours and checked by the tick, not by the completed day."""
    return referral.level in URGENT


def _state_after(referral: Referral, transition: Transition) -> ReferralState:
    state = TRANSITIONS.get((referral.state, transition))
    if state is None:
        raise TransitionRefused("illegal_move", referral.state)
    return state


def _advance(referral: Referral, transition: Transition, changes: dict[str, Any] | None = None) -> Referral:
    state = _state_after(referral, transition)
    return replace(referral, **(changes or {}), state=state, version=referral.version + 1)


def _by_receiver(referral: Referral, actor: Actor) -> None:
    if actor.unit != referral.to_unit:
        raise TransitionRefused("not_yours")


def _senders(referral: Referral, rules: Rules) -> set[str]:
    senders = {referral.from_unit, rules.lead_unit}
    if referral.returns >= rules.max_returns:
        senders.add(rules.coordinating_unit)
    return senders


def _urgent_refusal(referral: Referral) -> bool:
    return referral.result is Result.REFUSED_BY_GUARDIAN and referral.level in URGENT


def _escalated(
    referral: Referral, escalated_to: str, at: datetime, *, overdue: Overdue | None = None, cause: str | None = None
) -> AppliedTransition:
    return AppliedTransition(
        referral=_advance(referral, Transition.ESCALATED, {"escalated_to": escalated_to}),
        transition=Transition.ESCALATED,
        actor=CLOCK,
        at=at,
        overdue=overdue,
        cause=cause,
        escalated_to=escalated_to,
    )


def _reopened(referral: Referral, rules: Rules, actor: Actor, at: datetime, cause: str | None = None) -> Transitions:
    fresh = {
        "result": None,
        "reporter_informed": False,
        "closed_at": None,
        "extended": False,
        "extended_days": 0,
        "escalated_to": None,
    }
    restarted = _deadlines(replace(referral, extended_days=0), rules, max(at, referral.sent_at))
    after = _advance(referral, Transition.REOPENED, restarted | fresh)
    return (AppliedTransition(referral=after, transition=Transition.REOPENED, actor=actor, at=at, cause=cause),)


def _deadlines(referral: Referral, rules: Rules, sent_at: datetime) -> dict[str, Any]:
    deadlines = rules.deadlines(referral.level, sent_at)
    return {
        "sent_at": sent_at,
        "accept_by": deadlines.accept_by,
        "accept_alarm_at": deadlines.accept_alarm_at,
        "result_by": deadlines.result_by,
        "phone_by": deadlines.phone_by,
        "deadlines_from": sent_at,
        "provisional": deadlines.provisional,
        "expired": (),
        "extended_days": 0,
    }


def _tightened(referral: Referral, joined: Referral, rules: Rules, at: datetime) -> dict[str, Any]:
    """Return the deadlines after a rise in level: counted from now, but never later than those that still run."""
    faster = rules.deadlines(joined.level, at)
    running = dict(running_deadlines(referral))
    result_by = _earlier(referral.result_by if "result" in running else None, faster.result_by)
    return {
        "accept_by": _earlier(referral.accept_by if "accept" in running else None, faster.accept_by),
        "accept_alarm_at": _earlier(running.get("accept"), faster.accept_alarm_at),
        "result_by": result_by,
        "phone_by": _earlier(running.get("phone_report"), faster.phone_by),
        "deadlines_from": at,
        # Recomputing would replace an earlier deadline that was kept by the later one of the new level.
        "provisional": faster.provisional and result_by == faster.result_by,
        "expired": (),
        "extended_days": 0,
    }


def _call_due(referral: Referral, rules: Rules, at: datetime) -> dict[str, Any]:
    """Return the deadline of the call about another L0 finding: within an hour, or sooner if one is already due."""
    return {
        "phone_by": _earlier(
            dict(running_deadlines(referral)).get("phone_report"), rules.deadlines(Level.L0, at).phone_by
        ),
        "expired": tuple(kind for kind in referral.expired if kind != "phone_report"),
    }


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    if first is None or second is None:
        return first or second
    return min(first, second)
