"""The state machine of a referral: its table of transitions, and invariants of any sequence of them."""

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.vocabulary import FindingCode, Level, ReferralState, Result, ReturnReason, Transition
from services.referral.domain import referrals as machine
from services.referral.domain.referrals import Actor, AppliedTransition, Referral, TransitionRefused
from services.referral.domain.rules import Rules
from services.referral.routing import rules_of
from tests.county import a_county
from tests.referral.harness import COORDINATOR, LEAD, POLICE, RENLI, SCHOOLS, TUESDAY, a_child, at

RULES: Rules = rules_of(a_county())
PUBLISHED: Rules = replace(
    RULES,
    calendar=replace(
        RULES.calendar,
        published_years=RULES.calendar.published_years | {2027},
        holidays=RULES.calendar.holidays | {date(2027, 1, 1)},
    ),
)
"""The rules once the working days of 2027 are published, with New Year's Day."""
NOW = at(TUESDAY)
SENDER, RECEIVER = Actor(RENLI, "township_civil_affairs"), Actor(SCHOOLS, "agency_officer")
STATES = tuple(ReferralState)
ANOTHER = UUID(int=9)
"""The id of another finding."""


def a_referral(state: ReferralState = ReferralState.SENT, **changes: Any) -> Referral:
    """Return a referral that a township sent to the education bureau on a person's report."""
    draft = Referral(
        id=UUID(int=1),
        child=a_child(),
        owners=(a_child(),),
        route="R12",
        restricted=False,
        level=Level.L2,
        findings=(FindingCode.OUT_OF_SCHOOL,),
        sources=(UUID(int=2),),
        reporters=(RENLI,),
        by_person=True,
        item=None,
        from_unit=RENLI,
        to_unit=SCHOOLS,
        township="341722100",
        correlation=UUID(int=3),
        sent_at=NOW,
    )
    [sent] = machine.send(draft, RULES, SENDER)
    result = Result.RESOLVED if state in (ReferralState.RESULT_REPORTED, ReferralState.CLOSED) else None
    closed_at = NOW if state is ReferralState.CLOSED else None
    return replace(sent.referral, state=state, result=result, closed_at=closed_at, **changes)


def join(
    referral: Referral, at_time: datetime, level: Level = Level.L2, source: UUID | None = ANOTHER, **changes: Any
) -> tuple[AppliedTransition, ...]:
    """Join another finding, by default one of the same township."""
    values: dict[str, Any] = {
        "findings": (),
        "receiver": SCHOOLS,
        "reporter_unit": None if source is None else RENLI,
    }
    return machine.join(referral, RULES, SENDER, at_time, level=level, source=source, **values | changes)


def make_transition(referral: Referral, transition: Transition) -> tuple[AppliedTransition, ...]:
    """Make the transition by a unit that may make it, with everything that it requires."""
    match transition:
        case Transition.SENT if referral.state is ReferralState.DRAFT:
            return machine.send(referral, RULES, SENDER)
        case Transition.SENT:
            added = (FindingCode.NEVER_ENROLLED,)
            return join(referral, NOW, findings=added)
        case Transition.ACCEPTED:
            return machine.accept(referral, RECEIVER, NOW)
        case Transition.STARTED:
            return machine.start(referral, RECEIVER, NOW)
        case Transition.RETURNED:
            reason = ReturnReason.DUPLICATE
            return machine.return_referral(referral, RULES, RECEIVER, NOW, reason=reason, right_unit=None)
        case Transition.REROUTED:
            return machine.reroute(referral, RULES, SENDER, NOW, to_unit=POLICE)
        case Transition.ESCALATED:
            return machine.escalate_expired(referral, RULES, NOW + timedelta(days=400))
        case Transition.EXTENDED:
            return machine.extend(referral, RULES, RECEIVER, NOW, days=5, reason_given=True)
        case Transition.RESULT_REPORTED:
            return machine.report_result(referral, RULES, RECEIVER, NOW, result=Result.RESOLVED)
        case Transition.REPORTER_INFORMED:
            return machine.inform_reporter(referral, RULES, RECEIVER, NOW)
        case Transition.PHONE_REPORTED:
            return machine.phone_report(referral, RULES, RECEIVER, NOW, reached=True)
        case Transition.CLOSED:
            return machine.close(replace(referral, reporter_informed=True), RULES, SENDER, NOW, checked=True)
        case Transition.WITHDRAWN:
            return machine.withdraw(referral, SENDER, NOW, reason_given=True)
        case Transition.REOPENED:
            return machine.reopen(referral, RULES, SENDER, NOW)
        case Transition.REASSIGNED:
            return machine.reassign(referral, a_child(2), NOW)[1]


TIMERS = {Transition.ESCALATED, Transition.REASSIGNED}
"""Transitions that no action requests: where they are illegal, they are left out and not refused."""
JOINS = {
    (ReferralState.RESULT_REPORTED, Transition.SENT),
    (ReferralState.CLOSED, Transition.SENT),
}
"""Another finding about a referral with a result reopens it instead."""
NEVER_BY_TIMER = {(ReferralState.RESULT_REPORTED, Transition.ESCALATED)}
"""Legal by a guardian's refusal, but not by an expired deadline."""


@pytest.mark.parametrize(("state", "transition"), sorted(machine.TRANSITIONS.keys() - NEVER_BY_TIMER))
def test_every_transition_leads_to_the_state_in_the_table(state: ReferralState, transition: Transition) -> None:
    before = a_referral(state)

    applied = make_transition(before, transition)[0]

    assert applied.transition is transition
    assert applied.referral.state is machine.TRANSITIONS[state, transition]
    assert applied.referral.version == before.version + 1


@pytest.mark.parametrize(
    ("state", "transition"),
    sorted(set(product(STATES, Transition)) - machine.TRANSITIONS.keys() - JOINS - set(product(STATES, TIMERS))),
)
def test_every_pair_that_is_not_in_the_table_is_refused_with_a_code(
    state: ReferralState, transition: Transition
) -> None:
    with pytest.raises(TransitionRefused) as refusal:
        make_transition(a_referral(state), transition)

    assert refusal.value.code == "illegal_move"
    assert refusal.value.state is state


@pytest.mark.parametrize(
    ("state", "transition"), sorted((set(product(STATES, TIMERS)) - machine.TRANSITIONS.keys()) | NEVER_BY_TIMER)
)
def test_no_deadline_changes_an_ended_referral(state: ReferralState, transition: Transition) -> None:
    if state is ReferralState.DRAFT:
        return  # a draft has no deadlines yet
    assert make_transition(a_referral(state), transition) == ()


@pytest.mark.parametrize("state", [state for state, transition in sorted(JOINS)])
def test_a_finding_reopens_a_referral_with_a_result_with_new_deadlines(state: ReferralState) -> None:
    later = NOW + timedelta(days=3)
    [applied] = join(a_referral(state), later)

    assert applied.transition is Transition.REOPENED
    assert applied.referral.state is ReferralState.SENT
    assert applied.referral.sent_at == later
    assert applied.referral.result is None


POLICY = {
    ReferralState.DRAFT: "sent",
    ReferralState.SENT: "sent accepted returned escalated phone_reported withdrawn reassigned",
    ReferralState.ACCEPTED: "sent started escalated phone_reported withdrawn reassigned",
    ReferralState.IN_PROGRESS: "sent extended result_reported escalated phone_reported withdrawn reassigned",
    ReferralState.RETURNED: "sent rerouted escalated phone_reported withdrawn reassigned",
    ReferralState.RESULT_REPORTED: "reporter_informed closed reopened escalated phone_reported withdrawn reassigned",
    ReferralState.CLOSED: "reopened",
    ReferralState.WITHDRAWN: "",
}
"""The transitions that policy 4.4 allows in each state, stated independently of the code."""


STATE_AFTER = {
    Transition.ACCEPTED: ReferralState.ACCEPTED,
    Transition.STARTED: ReferralState.IN_PROGRESS,
    Transition.RETURNED: ReferralState.RETURNED,
    Transition.REROUTED: ReferralState.SENT,
    Transition.RESULT_REPORTED: ReferralState.RESULT_REPORTED,
    Transition.CLOSED: ReferralState.CLOSED,
    Transition.WITHDRAWN: ReferralState.WITHDRAWN,
    Transition.REOPENED: ReferralState.SENT,
}
"""The state after a transition. Others keep the state, except that SENT sends a draft or a returned referral."""


def state_after(state: ReferralState, transition: Transition) -> ReferralState:
    if transition is Transition.SENT and state in (ReferralState.DRAFT, ReferralState.RETURNED):
        return ReferralState.SENT
    return STATE_AFTER.get(transition, state)


def test_the_table_is_the_one_of_the_policy() -> None:
    policy = [
        (state, transition)
        for state, transitions in POLICY.items()
        for transition in map(Transition, transitions.split())
    ]

    assert {(state, transition): state_after(state, transition) for state, transition in policy} == machine.TRANSITIONS


def test_the_table_has_every_transition_and_reaches_every_state() -> None:
    assert {transition for _, transition in machine.TRANSITIONS} == set(Transition)
    assert set(machine.TRANSITIONS.values()) == set(ReferralState) - {ReferralState.DRAFT}


# ---------------------------------------------------------------- conditions of transitions


def test_the_deadlines_start_at_sent_and_acceptance_does_not_change_them() -> None:
    sent = a_referral()
    [accepted] = machine.accept(sent, RECEIVER, NOW + timedelta(hours=30))

    assert accepted.referral.sent_at == NOW
    assert accepted.referral.result_by == sent.result_by


@pytest.mark.parametrize(
    ("reason", "right_unit", "code"),
    [
        (None, None, "reason_missing"),
        (ReturnReason.WRONG_AREA, None, "right_unit_missing"),
        (ReturnReason.WRONG_AREA, SCHOOLS, "right_unit_is_yours"),
        (ReturnReason.WRONG_AREA, POLICE, None),
        (ReturnReason.NOT_MY_DUTY, None, None),
    ],
)
def test_a_return_needs_a_reason_and_the_wrong_area_names_the_right_one(
    reason: ReturnReason | None, right_unit: str | None, code: str | None
) -> None:
    refusal = None
    try:
        machine.return_referral(a_referral(), RULES, RECEIVER, NOW, reason=reason, right_unit=right_unit)
    except TransitionRefused as refused:
        refusal = refused.code

    assert refusal == code


def test_the_second_return_is_escalated_immediately_and_a_third_is_refused() -> None:
    """After two returns the coordinating unit assigns the referral (R32)."""
    current = a_referral()
    [first] = make_transition(current, Transition.RETURNED)
    assert first.referral.to_unit == RENLI
    assert first.previous_unit == SCHOOLS

    [again] = machine.reroute(first.referral, RULES, SENDER, NOW, to_unit=SCHOOLS)
    second, escalated = make_transition(again.referral, Transition.RETURNED)
    assert second.referral.returns == 2
    assert (escalated.transition, escalated.escalated_to, escalated.cause) == (
        Transition.ESCALATED,
        COORDINATOR,
        "returned_too_often",
    )

    [assigned] = machine.reroute(escalated.referral, RULES, Actor(COORDINATOR, "coordinator"), NOW, to_unit=SCHOOLS)
    with pytest.raises(TransitionRefused, match="too_many_returns"):
        make_transition(assigned.referral, Transition.RETURNED)


def test_the_coordinating_unit_assigns_only_referrals_escalated_to_it() -> None:
    [first] = make_transition(a_referral(), Transition.RETURNED)

    with pytest.raises(TransitionRefused, match="not_yours"):
        machine.reroute(first.referral, RULES, Actor(COORDINATOR), NOW, to_unit=POLICE)


def test_an_extension_is_allowed_once_in_working_days() -> None:
    working = a_referral(ReferralState.IN_PROGRESS)
    [extended] = machine.extend(working, RULES, RECEIVER, NOW, days=5, reason_given=True)

    assert working.result_by == at(TUESDAY + timedelta(days=15), 0)  # ten working days
    assert extended.referral.result_by == at(TUESDAY + timedelta(days=22), 0)  # five more
    with pytest.raises(TransitionRefused, match="already_extended"):
        machine.extend(extended.referral, RULES, RECEIVER, NOW, days=5, reason_given=True)


@pytest.mark.parametrize(("days", "reason_given", "code"), [(None, True, "days_missing"), (5, False, "reason_missing")])
def test_an_extension_needs_days_and_a_reason(days: int | None, reason_given: bool, code: str) -> None:
    with pytest.raises(TransitionRefused, match=code):
        machine.extend(
            a_referral(ReferralState.IN_PROGRESS), RULES, RECEIVER, NOW, days=days, reason_given=reason_given
        )


@pytest.mark.parametrize(
    ("changes", "checked", "code"),
    [
        ({"result": None}, True, "result_missing"),
        ({"reporter_informed": True}, False, "check_missing"),
        ({"reporter_informed": False}, True, "reporter_not_informed"),
        (
            {"reporter_informed": True, "level": Level.L1, "result": Result.REFUSED_BY_GUARDIAN},
            True,
            "guardian_refused",
        ),
        ({"reporter_informed": True, "level": Level.L2, "result": Result.REFUSED_BY_GUARDIAN}, True, None),
        ({"reporter_informed": False, "reporters": (), "sources": ()}, True, None),
        ({"reporter_informed": True}, True, None),
    ],
)
def test_closing_needs_a_result_a_check_and_informed_reporters(
    changes: dict[str, Any], checked: bool, code: str | None
) -> None:
    reported = replace(a_referral(ReferralState.RESULT_REPORTED), **changes)
    refusal = None
    try:
        machine.close(reported, RULES, SENDER, NOW, checked=checked)
    except TransitionRefused as refused:
        refusal = refused.code

    assert refusal == code


def test_the_unit_that_did_the_work_does_not_check_it() -> None:
    reported = a_referral(ReferralState.RESULT_REPORTED, reporter_informed=True)

    with pytest.raises(TransitionRefused, match="self_check"):
        machine.close(reported, RULES, RECEIVER, NOW, checked=True)
    with pytest.raises(TransitionRefused, match="not_yours"):
        machine.close(reported, RULES, Actor(POLICE), NOW, checked=True)
    assert machine.close(reported, RULES, Actor(LEAD), NOW, checked=True)


@pytest.mark.parametrize(("level", "is_escalated"), [(Level.L1, True), (Level.L2, False)])
def test_a_guardians_refusal_in_an_urgent_referral_is_escalated(level: Level, is_escalated: bool) -> None:
    working = a_referral(ReferralState.IN_PROGRESS, level=level)
    transitions = machine.report_result(working, RULES, RECEIVER, NOW, result=Result.REFUSED_BY_GUARDIAN)

    assert [applied.transition for applied in transitions] == [Transition.RESULT_REPORTED] + [
        Transition.ESCALATED
    ] * is_escalated


@pytest.mark.parametrize(("days", "code"), [(90, None), (91, "too_late_to_reopen")])
def test_a_closed_referral_is_reopened_within_ninety_days(days: int, code: str | None) -> None:
    closed = a_referral(ReferralState.CLOSED)
    refusal = None
    try:
        machine.reopen(closed, RULES, SENDER, NOW + timedelta(days=days))
    except TransitionRefused as refused:
        refusal = refused.code

    assert refusal == code


@pytest.mark.parametrize("actor", [RECEIVER, Actor(LEAD), Actor(POLICE)])
def test_only_the_sender_withdraws(actor: Actor) -> None:
    with pytest.raises(TransitionRefused, match="not_yours"):
        machine.withdraw(a_referral(), actor, NOW, reason_given=True)


def test_a_withdrawal_needs_a_reason() -> None:
    with pytest.raises(TransitionRefused, match="reason_missing"):
        machine.withdraw(a_referral(), SENDER, NOW, reason_given=False)


def test_an_attempt_to_call_is_recorded_and_the_deadline_keeps_running() -> None:
    urgent = a_referral(level=Level.L0)
    [tried] = machine.phone_report(urgent, RULES, RECEIVER, NOW, reached=False)

    assert not tried.referral.phone_reported
    [called] = machine.phone_report(tried.referral, RULES, RECEIVER, NOW, reached=True)
    assert called.referral.phone_reported


def test_a_level_rises_and_never_falls() -> None:
    """The deadlines of L0 count from the finding that raised the level."""
    later = NOW + timedelta(days=2)
    [risen] = join(a_referral(), later, Level.L0, None)
    [same] = join(risen.referral, later, Level.L3, None)

    assert risen.cause == "level_raised"
    assert risen.referral.level is same.referral.level is Level.L0
    assert risen.referral.sent_at == NOW
    assert risen.referral.accept_by == later + timedelta(hours=1)
    assert risen.referral.phone_by == later + timedelta(hours=1)
    assert same.cause == "finding_added"


def test_a_rising_level_gives_no_deadline_more_time() -> None:
    """An old deadline an hour away is kept, although the new level allows a day."""
    almost = a_referral()
    assert almost.result_by is not None
    [risen] = join(almost, almost.result_by - timedelta(hours=1), Level.L1, None)

    assert risen.referral.result_by == almost.result_by


def test_a_new_finding_sends_a_returned_referral_again() -> None:
    """It goes to the receiver that the route names, with new deadlines."""
    [returned] = make_transition(a_referral(), Transition.RETURNED)
    later = NOW + timedelta(hours=5)
    [again] = join(returned.referral, later, Level.L0, receiver=POLICE)

    assert (again.transition, again.cause, again.previous_unit) == (Transition.SENT, "sent_again", RENLI)
    assert (again.referral.state, again.referral.to_unit) == (ReferralState.SENT, POLICE)
    assert again.referral.sent_at == later
    assert again.referral.phone_by == later + timedelta(hours=1)
    assert again.referral.returns == 1


@pytest.mark.parametrize(
    ("level", "called", "due"),
    [(Level.L0, False, True), (Level.L0, True, False), (Level.L1, False, False)],
)
def test_another_urgent_finding_requires_a_call_of_its_own(level: Level, called: bool, due: bool) -> None:
    """The earlier call was about something else; a less urgent finding requires none."""
    [sent] = machine.send(a_referral(ReferralState.DRAFT, level=Level.L0), RULES, SENDER)
    [called_about] = machine.phone_report(sent.referral, RULES, SENDER, NOW, reached=True)
    later = NOW + timedelta(days=7)
    [joined] = join(called_about.referral, later, level, phone_reported=called)

    assert joined.referral.phone_reported is not due
    assert dict(machine.running_deadlines(joined.referral)).get("phone_report") == (
        later + timedelta(hours=1) if due else None
    )


def test_another_finding_does_not_postpone_a_due_call() -> None:
    [sent] = machine.send(a_referral(ReferralState.DRAFT, level=Level.L0), RULES, SENDER)
    [joined] = join(sent.referral, NOW + timedelta(minutes=50), Level.L0)

    assert joined.referral.phone_by == NOW + timedelta(hours=1)


def test_the_sender_cannot_withdraw_a_referral_that_others_have_reported_too() -> None:
    [joined] = machine.join(
        a_referral(),
        RULES,
        Actor(POLICE),
        NOW,
        findings=(),
        level=Level.L2,
        receiver=SCHOOLS,
        source=UUID(int=9),
        reporter_unit=POLICE,
    )
    [own] = join(a_referral(), NOW)

    with pytest.raises(TransitionRefused, match="others_reported"):
        machine.withdraw(joined.referral, SENDER, NOW, reason_given=True)
    assert machine.withdraw(own.referral, SENDER, NOW, reason_given=True)
    assert joined.referral.reporters == (RENLI, POLICE)


def test_a_deadline_in_an_unpublished_year_is_provisional_and_is_recomputed_from_its_start() -> None:
    """The referral is sent as L3 in November and raised to L2 on the last day of the published calendar."""
    raised_at = at(date(2026, 12, 31))
    [sent] = machine.send(a_referral(ReferralState.DRAFT, level=Level.L3), RULES, SENDER)
    [risen] = join(replace(sent.referral, expired=("accept", "result")), raised_at, Level.L2, None)
    recounted, transitions = machine.recount(risen.referral, PUBLISHED, raised_at)

    assert not sent.referral.provisional
    assert risen.referral.provisional
    assert risen.referral.accept_by == at(date(2027, 1, 6), 0)  # Friday 1, Monday 4, Tuesday 5
    assert recounted.accept_by == at(date(2027, 1, 7), 0)
    assert [applied.cause for applied in transitions] == ["calendar_published"]
    assert not recounted.provisional


def test_a_deadline_kept_when_the_level_rose_gains_no_time_when_a_year_is_published() -> None:
    """It is due by the end of 28 December and raised on the 24th, when the new level allows more time than is left."""
    due, raised_at = at(date(2026, 12, 29), 0), at(date(2026, 12, 24))
    [risen] = join(a_referral(ReferralState.ACCEPTED, level=Level.L3, result_by=due), raised_at, Level.L2, None)

    assert (risen.referral.result_by, risen.referral.provisional) == (due, False)
    assert machine.recount(risen.referral, PUBLISHED, raised_at) == (risen.referral, ())


def test_an_extension_before_the_level_rose_is_not_granted_again_when_a_year_is_published() -> None:
    raised_at = at(date(2026, 12, 24))
    slow = a_referral(ReferralState.IN_PROGRESS, level=Level.L3, result_by=at(date(2027, 1, 30), 0))
    [longer] = machine.extend(slow, RULES, RECEIVER, raised_at, days=5, reason_given=True)
    [risen] = join(longer.referral, raised_at, Level.L2, None)
    recounted, _ = machine.recount(risen.referral, PUBLISHED, raised_at)

    assert risen.referral.provisional
    assert recounted.result_by == PUBLISHED.deadlines(Level.L2, raised_at).result_by
    assert recounted.extended


def test_each_deadline_is_escalated_once() -> None:
    draft = a_referral(ReferralState.DRAFT, level=Level.L0)
    [sent] = machine.send(draft, RULES, SENDER)
    transitions = machine.escalate_expired(sent.referral, RULES, NOW + timedelta(days=2))

    assert [applied.overdue for applied in transitions] == ["phone_report", "accept", "result"]
    assert {applied.escalated_to for applied in transitions} == {RULES.duty_unit}
    assert machine.escalate_expired(transitions[-1].referral, RULES, NOW + timedelta(days=3)) == ()


def test_a_deadline_expires_at_its_moment_and_not_before() -> None:
    sent = a_referral()
    assert sent.accept_by is not None

    assert machine.escalate_expired(sent, RULES, sent.accept_by - timedelta(microseconds=1)) == ()
    assert [applied.overdue for applied in machine.escalate_expired(sent, RULES, sent.accept_by)] == ["accept"]


# ---------------------------------------------------------------- any sequence of transitions


class AnySequence(RuleBasedStateMachine):
    """Invariants that hold whatever units and deadlines do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.referral = a_referral()
        self.now: datetime = NOW
        self.previous = self.referral
        self.returns_before_escalation = 0
        self.seen_result = self.informed = self.others_reported = False
        self.closed_properly = True

    @initialize(level=st.sampled_from(Level), reporter=st.sampled_from([None, RENLI]))
    def begin(self, level: Level, reporter: str | None) -> None:
        no_reporters: dict[str, Any] = {} if reporter is not None else {"sources": (), "reporters": ()}
        draft = replace(a_referral(), state=ReferralState.DRAFT, version=0, level=level, **no_reporters)
        self.referral = self.previous = machine.send(draft, RULES, SENDER)[0].referral

    def _apply(self, transitions: tuple[AppliedTransition, ...]) -> None:
        for applied in transitions:
            self.previous, self.referral = self.referral, applied.referral
            assert applied.referral.version == self.previous.version + 1
            assert applied.transition in POLICY[self.previous.state].split()
            assert applied.referral.state is state_after(self.previous.state, applied.transition)
            if applied.transition is Transition.RETURNED:
                self.returns_before_escalation += 1
            if applied.transition is Transition.REOPENED:
                self.seen_result = self.informed = False
            if applied.transition is Transition.RESULT_REPORTED:
                self.seen_result = True
            if applied.transition is Transition.REPORTER_INFORMED:
                self.informed = True

    def _try(self, transition: Any) -> None:
        with suppress(TransitionRefused):
            self._apply(transition())

    @rule(hours=st.integers(1, 500))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self._apply(machine.escalate_expired(self.referral, RULES, self.now))

    @rule(unit=st.sampled_from([SCHOOLS, RENLI, LEAD, POLICE]))
    def accept(self, unit: str) -> None:
        self._try(lambda: machine.accept(self.referral, Actor(unit), self.now))

    @rule(steps=st.integers(1, 4))
    def take_next_steps(self, steps: int) -> None:
        """Let the responsible unit take the next steps of the regular course."""
        for _ in range(steps):
            actor, current = Actor(self.referral.to_unit), self.referral
            match current.state:
                case ReferralState.SENT:
                    self._apply(machine.accept(current, actor, self.now))
                case ReferralState.ACCEPTED:
                    self._apply(machine.start(current, actor, self.now))
                case ReferralState.IN_PROGRESS:
                    self._apply(machine.report_result(current, RULES, actor, self.now, result=Result.RESOLVED))
                case ReferralState.RETURNED:
                    self._apply(machine.reroute(current, RULES, SENDER, self.now, to_unit=SCHOOLS))
                case ReferralState.RESULT_REPORTED:
                    self._close(RENLI, checked=True)  # whether or not the reporter knows
                case _:
                    return

    @rule()
    def start(self) -> None:
        self._try(lambda: machine.start(self.referral, Actor(self.referral.to_unit), self.now))

    @rule(reason=st.sampled_from([None, *ReturnReason]), right=st.sampled_from([None, POLICE]))
    def give_back(self, reason: ReturnReason | None, right: str | None) -> None:
        actor = Actor(self.referral.to_unit)
        self._try(
            lambda: machine.return_referral(self.referral, RULES, actor, self.now, reason=reason, right_unit=right)
        )

    @rule(unit=st.sampled_from([RENLI, LEAD, COORDINATOR, POLICE]), to=st.sampled_from([None, SCHOOLS, POLICE]))
    def reroute(self, unit: str, to: str | None) -> None:
        self._try(lambda: machine.reroute(self.referral, RULES, Actor(unit), self.now, to_unit=to))

    @rule(days=st.sampled_from([None, 1, 60]))
    def extend(self, days: int | None) -> None:
        actor = Actor(self.referral.to_unit)
        self._try(lambda: machine.extend(self.referral, RULES, actor, self.now, days=days, reason_given=True))

    @rule(result=st.sampled_from([None, *Result]))
    def report(self, result: Result | None) -> None:
        actor = Actor(self.referral.to_unit)
        self._try(lambda: machine.report_result(self.referral, RULES, actor, self.now, result=result))

    @rule()
    def inform(self) -> None:
        self._try(lambda: machine.inform_reporter(self.referral, RULES, SENDER, self.now))

    @rule(reached=st.sampled_from([None, True, False]))
    def call(self, reached: bool | None) -> None:
        self._try(lambda: machine.phone_report(self.referral, RULES, SENDER, self.now, reached=reached))

    @rule(unit=st.sampled_from([RENLI, LEAD, SCHOOLS]), checked=st.booleans())
    def close(self, unit: str, checked: bool) -> None:
        self._close(unit, checked)

    def _close(self, unit: str, checked: bool) -> None:
        def closing() -> tuple[AppliedTransition, ...]:
            before = self.referral
            transitions = machine.close(before, RULES, Actor(unit), self.now, checked=checked)
            self.closed_properly = (
                self.closed_properly
                and checked
                and self.seen_result
                and before.state is ReferralState.RESULT_REPORTED
                and unit in (RENLI, LEAD)
                and (self.informed or before.reporter_unit is None)
                and not (before.result is Result.REFUSED_BY_GUARDIAN and before.level in (Level.L0, Level.L1))
            )
            return transitions

        self._try(closing)

    @rule(level=st.sampled_from(Level), reporter=st.sampled_from([None, RENLI, POLICE]), called=st.booleans())
    @precondition(lambda self: self.referral.state is not ReferralState.WITHDRAWN)
    def another_finding(self, level: Level, reporter: str | None, called: bool) -> None:
        if self.referral.state is ReferralState.CLOSED and not machine.may_reopen(self.referral, RULES, self.now):
            return
        if reporter is not None:
            self.informed = False
            self.others_reported |= reporter != RENLI
        source = None if reporter is None else UUID(int=77 + len(self.referral.sources))
        transitions = machine.join(
            self.referral,
            RULES,
            SENDER if reporter is None else Actor(reporter),
            self.now,
            findings=(FindingCode.NEVER_ENROLLED,),
            level=level,
            receiver=SCHOOLS,
            source=source,
            reporter_unit=reporter,
            phone_reported=called,
        )
        self._apply(transitions)
        assert self.referral.holder is not None, "a unit that cannot act holds the referral"
        if reporter is not None and level is Level.L0 and not called:
            assert "phone_report" in dict(machine.running_deadlines(self.referral)), "no call is due"

    @rule()
    def reopen(self) -> None:
        self._try(lambda: machine.reopen(self.referral, RULES, SENDER, self.now))

    @rule()
    @precondition(lambda self: self.referral.version > 8)  # else most sequences end here
    def withdraw(self) -> None:
        self._try(lambda: machine.withdraw(self.referral, SENDER, self.now, reason_given=True))

    @rule()
    def follow_the_file(self) -> None:
        reassigned, transitions = machine.reassign(self.referral, a_child(2), self.now)
        self._apply(transitions)
        self.referral = replace(reassigned, version=self.referral.version)

    @invariant()
    def never_closed_without_result_check_and_informed_reporters(self) -> None:
        assert self.closed_properly
        if self.referral.state is ReferralState.CLOSED:
            assert self.referral.result is not None
            assert self.referral.reporter_informed or self.referral.reporter_unit is None

    @invariant()
    def what_others_reported_is_not_withdrawn(self) -> None:
        assert self.referral.state is not ReferralState.WITHDRAWN or not self.others_reported

    @invariant()
    def every_finding_has_its_reporter(self) -> None:
        assert len(self.referral.sources) == len(self.referral.reporters)

    @invariant()
    def the_time_of_sending_never_moves_back(self) -> None:
        assert self.referral.sent_at >= self.previous.sent_at
        assert self.referral.sent_at <= self.now

    @invariant()
    def at_most_two_returns(self) -> None:
        assert self.referral.returns == self.returns_before_escalation <= RULES.max_returns
        if self.referral.returns == RULES.max_returns and self.referral.state is ReferralState.RETURNED:
            assert self.referral.escalated_to is not None

    @invariant()
    def the_level_never_falls(self) -> None:
        assert self.referral.level <= self.previous.level

    @invariant()
    def unfinished_referrals_have_a_deadline(self) -> None:
        """An unfinished referral has a deadline that runs, or one that has expired and was escalated."""
        if self.referral.state in machine.UNFINISHED:
            assert list(machine.running_deadlines(self.referral)) or self.referral.expired


AnySequence.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnySequence = AnySequence.TestCase
