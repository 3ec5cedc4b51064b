"""Actions of units on referrals: the regular course, and every refusal."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.referral import ProposalMade, QueueEntry, ReferralActionRefused, ReferralChanged
from contracts.registry import review_id
from contracts.vocabulary import FindingCode, Level, ReferralState, Result, ReturnReason, Transition, Verb
from tests.referral.harness import (
    COORDINATOR,
    COURT,
    LEAD,
    POLICE,
    RENLI,
    SCHOOLS,
    UNATTENDED,
    ReferralHarness,
    a_child,
    at,
    only,
    queue,
)


async def a_sent_referral(system: ReferralHarness, **changes: Any) -> UUID:
    """Return a referral of an out-of-school child that the police sent to the education bureau."""
    [moved] = await system.report(FindingCode.OUT_OF_SCHOOL, unit=POLICE, **changes)
    return moved.referral


async def test_a_referral_goes_from_sent_to_closed(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    accepted = await system.transition(Verb.ACCEPT, SCHOOLS, referral)
    started = await system.transition(Verb.START, SCHOOLS, referral)
    reported = await system.transition(Verb.RESULT, SCHOOLS, referral, result=Result.SERVICE_IN_PLACE)
    informed = await system.transition(Verb.INFORM_REPORTER, SCHOOLS, referral, channel="phone")
    closed = await system.transition(Verb.CLOSE, POLICE, referral, channel="in_person")

    assert [each.state for each in (accepted, started, reported, informed, closed)] == [
        ReferralState.ACCEPTED,
        ReferralState.IN_PROGRESS,
        ReferralState.RESULT_REPORTED,
        ReferralState.RESULT_REPORTED,
        ReferralState.CLOSED,
    ]
    assert [each.version for each in (accepted, started, reported, informed, closed)] == [2, 3, 4, 5, 6]
    assert closed.reporter_informed
    assert accepted.accept_by == closed.accept_by  # counted from SENT, whatever happens later
    assert (closed.actor_unit, closed.actor_role) == (POLICE, "agency_officer")


async def test_every_transition_updates_the_queue_and_the_last_entry_is_unassigned(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    await system.finish(referral, SCHOOLS, POLICE)

    entries = [
        entry for entry in only((outbound.event for outbound in system.emitted), QueueEntry) if entry.unit == SCHOOLS
    ]
    assert [entry.version for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.assigned for entry in entries] == [True] * 5 + [False]
    assert entries[-1].state is ReferralState.CLOSED


async def test_the_tombstone_is_emitted_once_when_the_next_day_is_completed(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    await system.finish(referral, SCHOOLS, POLICE)

    assert queue(await system.complete_day(system.on)) == []  # not yet on the same day
    assert queue(await system.complete_day()) == [(SCHOOLS, False, "gone")]
    assert queue(await system.complete_day()) == []


async def test_a_returned_referral_waits_until_a_person_reroutes_it(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    returned = await system.act(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY)
    [moved] = only(returned, ReferralChanged)
    assert (moved.state, moved.to_unit, moved.previous_unit) == (ReferralState.RETURNED, POLICE, SCHOOLS)
    assert moved.reason is ReturnReason.NOT_MY_DUTY
    assert queue(returned) == [(SCHOOLS, False, "returned")]

    system.now += timedelta(days=1)
    rerouted = await system.act(Verb.REROUTE, POLICE, referral, to_unit=RENLI)
    [moved] = only(rerouted, ReferralChanged)
    assert (moved.transition, moved.state, moved.to_unit) == (Transition.REROUTED, ReferralState.SENT, RENLI)
    assert moved.sent_at == system.now
    assert queue(rerouted) == [(RENLI, True, "sent")]
    assert queue(await system.complete_days_until(system.on + timedelta(days=2))) == [(SCHOOLS, False, "gone")]


async def test_a_referral_that_comes_back_before_the_tombstone_stays_on_the_queue(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    await system.transition(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.INFORMATION_MISSING)
    await system.transition(Verb.REROUTE, POLICE, referral, to_unit=SCHOOLS)

    assert queue(await system.complete_day()) == []


async def test_the_second_return_is_escalated_to_the_coordinating_unit_which_assigns_it(
    system: ReferralHarness,
) -> None:
    referral = await a_sent_referral(system)
    for _ in range(2):
        events = await system.act(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY)
        if only(events, ReferralChanged)[-1].transition is Transition.ESCALATED:
            break
        await system.transition(Verb.REROUTE, POLICE, referral, to_unit=SCHOOLS)
    up = only(events, ReferralChanged)[-1]
    assert (up.escalated_to, up.cause) == (COORDINATOR, "returned_too_often")

    await system.transition(Verb.REROUTE, COORDINATOR, referral, to_unit=SCHOOLS)
    assert await system.refusal(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY) == "too_many_returns"


@pytest.mark.parametrize("exists", [True, False])
async def test_the_ordinary_log_in_gets_the_same_answer_for_a_restricted_proposal_as_for_an_unknown_one(
    system: ReferralHarness, exists: bool
) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    proposal_id = proposal.proposal if exists else UUID(int=1)

    events = await system.act(
        Verb.CONFIRM, RENLI, proposal=proposal_id, restricted=False, role="township_civil_affairs"
    )

    [refusal] = events
    assert isinstance(refusal, ReferralActionRefused)
    assert (refusal.code, refusal.topic_name, refusal.child) == ("unknown_proposal", "referral.case.v1", a_child())


async def test_every_answer_to_the_restricted_log_in_is_restricted(system: ReferralHarness) -> None:
    """The answer goes to the restricted topic even if the action names nothing restricted."""
    [moved] = await system.report()

    events = await system.act(Verb.START, SCHOOLS, moved.referral, restricted=True)

    assert [(refusal.code, refusal.topic_name) for refusal in only(events, ReferralActionRefused)] == [
        ("illegal_move", "referral.restricted.v1")
    ]


async def test_a_restricted_referral_rerouted_to_a_unit_without_a_restricted_queue_goes_to_the_lead_unit(
    system: ReferralHarness,
) -> None:
    [moved] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    await system.transition(Verb.RETURN, POLICE, moved.referral, reason=ReturnReason.NOT_MY_DUTY)
    without = next(unit.id for unit in system.county.units if not unit.receives_restricted and unit.parent is None)
    rerouted = await system.transition(Verb.REROUTE, SCHOOLS, moved.referral, to_unit=without)

    assert (rerouted.to_unit, rerouted.cause) == (LEAD, "no_restricted_queue")


async def test_a_failed_check_returns_the_referral_to_its_agency(system: ReferralHarness) -> None:
    """The sender has called and learned that the child is still at home."""
    referral = await a_sent_referral(system)
    await system.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    system.now += timedelta(days=1)
    reopened = await system.transition(Verb.REOPEN, POLICE, referral)

    assert (reopened.state, reopened.result, reopened.sent_at) == (ReferralState.SENT, None, system.now)


@pytest.mark.parametrize(
    ("verb", "unit", "changes", "code"),
    [
        (Verb.ACCEPT, POLICE, {}, "not_yours"),
        (Verb.START, SCHOOLS, {}, "illegal_move"),
        (Verb.RESULT, SCHOOLS, {"result": Result.RESOLVED}, "illegal_move"),
        (Verb.EXTEND, SCHOOLS, {"days": 5}, "illegal_move"),
        (Verb.RETURN, SCHOOLS, {}, "reason_missing"),
        (Verb.RETURN, SCHOOLS, {"reason": ReturnReason.WRONG_AREA}, "right_unit_missing"),
        (Verb.RETURN, SCHOOLS, {"reason": ReturnReason.WRONG_AREA, "to_unit": "341722-nobody"}, "unknown_unit"),
        (Verb.REROUTE, POLICE, {"to_unit": RENLI}, "illegal_move"),
        (Verb.REROUTE, COURT, {"to_unit": RENLI}, "not_yours"),
        (Verb.WITHDRAW, SCHOOLS, {"noted": True}, "not_yours"),
        (Verb.WITHDRAW, POLICE, {"noted": False}, "reason_missing"),
        (Verb.CLOSE, POLICE, {"channel": "phone"}, "illegal_move"),
        (Verb.CLOSE, SCHOOLS, {"channel": "phone"}, "self_check"),
        (Verb.CLOSE, COURT, {"channel": "phone"}, "not_yours"),
        (Verb.REOPEN, POLICE, {}, "illegal_move"),
        (Verb.INFORM_REPORTER, SCHOOLS, {}, "illegal_move"),
        (Verb.PHONE_REPORT, COURT, {"reached": True}, "not_yours"),
        (Verb.PHONE_REPORT, POLICE, {}, "reached_missing"),
    ],
)
async def test_an_illegal_action_is_refused_with_a_code_and_changes_nothing(
    system: ReferralHarness, verb: Verb, unit: str, changes: dict[str, Any], code: str
) -> None:
    referral = await a_sent_referral(system)
    before = await system.state()

    assert await system.refusal(verb, unit, referral, **changes) == code
    assert await system.state() == before


async def test_a_refusal_names_the_action_and_the_state(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    action = system.action(Verb.START, SCHOOLS, referral)
    [refusal] = only(await system.consume(action), ReferralActionRefused)

    assert refusal.ce_id == action.event.ce_id  # type: ignore[attr-defined]
    assert (refusal.verb, refusal.referral, refusal.state) == (Verb.START, referral, ReferralState.SENT)


async def test_an_action_on_an_unknown_referral_is_refused(system: ReferralHarness) -> None:
    assert await system.refusal(Verb.ACCEPT, SCHOOLS, UUID(int=7)) == "unknown_referral"
    assert await system.refusal(Verb.ACCEPT, SCHOOLS, None) == "unknown_referral"


async def test_an_action_that_names_another_child_is_refused(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)

    assert await system.refusal(Verb.ACCEPT, SCHOOLS, referral, child=a_child(2)) == "other_child"


@pytest.mark.parametrize("channel", [None, "letter", "message"])
async def test_a_check_is_a_call_or_a_visit(system: ReferralHarness, channel: str | None) -> None:
    referral = await a_sent_referral(system)
    await system.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    await system.transition(Verb.INFORM_REPORTER, SCHOOLS, referral, channel="letter")

    assert await system.refusal(Verb.CLOSE, POLICE, referral, channel=channel) == "check_missing"


async def test_a_referral_is_not_closed_before_the_reporter_is_informed(system: ReferralHarness) -> None:
    """The duty to inform is that of 未成年人保护法第11条第3款."""
    referral = await a_sent_referral(system)
    await system.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)

    assert await system.refusal(Verb.CLOSE, POLICE, referral, channel="phone") == "reporter_not_informed"


async def test_a_guardians_refusal_does_not_end_an_urgent_referral(system: ReferralHarness) -> None:
    [moved] = await system.report(FindingCode.SUDDEN_HARDSHIP)
    assert moved.level is Level.L1
    await system.work(moved.referral, RENLI, until=ReferralState.IN_PROGRESS)
    events = await system.act(Verb.RESULT, RENLI, moved.referral, result=Result.REFUSED_BY_GUARDIAN)
    await system.transition(Verb.INFORM_REPORTER, RENLI, moved.referral, channel="phone")

    up = only(events, ReferralChanged)[1]
    assert (up.transition, up.escalated_to, up.cause) == (Transition.ESCALATED, LEAD, "refused_by_guardian")
    assert await system.refusal(Verb.CLOSE, SCHOOLS, moved.referral, channel="phone") == "guardian_refused"


async def test_an_extension_moves_the_deadline_of_the_result_and_is_allowed_once(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    await system.work(referral, SCHOOLS, until=ReferralState.IN_PROGRESS)
    extended = await system.transition(Verb.EXTEND, SCHOOLS, referral, days=5, noted=True)

    assert extended.state is ReferralState.IN_PROGRESS
    assert extended.result_by == at(system.on + timedelta(days=22), 0)
    assert await system.refusal(Verb.EXTEND, SCHOOLS, referral, days=5, noted=True) == "already_extended"


async def test_a_withdrawn_referral_leaves_the_queue(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    events = await system.act(Verb.WITHDRAW, POLICE, referral, noted=True)

    assert only(events, ReferralChanged)[0].state is ReferralState.WITHDRAWN
    assert queue(events) == [(SCHOOLS, False, "withdrawn")]
    assert queue(await system.complete_day()) == [(SCHOOLS, False, "gone")]


async def test_a_new_finding_after_a_withdrawal_is_a_new_referral(system: ReferralHarness) -> None:
    referral = await a_sent_referral(system)
    await system.transition(Verb.WITHDRAW, POLICE, referral, noted=True)

    assert await a_sent_referral(system) != referral


async def test_verbs_of_the_registry_are_ignored(system: ReferralHarness) -> None:
    assert await system.act(Verb.VERIFY, RENLI, outcome="confirmed") == []
    assert await system.act(Verb.MERGE, LEAD, other=a_child(2)) == []
    for verb in (Verb.CONFIRM, Verb.DECLINE):  # a review, which the registry answers
        assert await system.act(verb, LEAD, proposal=review_id(a_child())) == []


@pytest.mark.parametrize("proposal", [UUID(int=7), a_child(), None])
async def test_an_unknown_proposal_is_refused_with_a_code(system: ReferralHarness, proposal: UUID | None) -> None:
    await a_sent_referral(system)
    before = await system.state()
    for verb in (Verb.CONFIRM, Verb.DECLINE):
        assert await system.refusal(verb, RENLI, proposal=proposal) == "unknown_proposal"
    assert await system.state() == before


async def test_every_transition_is_kept_in_the_history(system: ReferralHarness) -> None:
    """The history has one row for each transition, with actor, time, reason and cause."""
    referral = await a_sent_referral(system)
    await system.finish(referral, SCHOOLS, POLICE)
    rows = await system.session.fetch(
        "select * from referral_transition where referral = $1 order by version", referral
    )

    assert [row["transition"] for row in rows] == [
        "sent",
        "accepted",
        "started",
        "result_reported",
        "reporter_informed",
        "closed",
    ]
    assert rows[-1]["channel"] == "phone"
    assert rows[-1]["actor_unit"] == POLICE
    assert all(row["causation"] for row in rows)


async def test_a_recorded_call_keeps_the_station_and_the_time(system: ReferralHarness) -> None:
    """The time of a call and the station called are recorded (policy 4.4, rule 5)."""
    [moved] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    called_at = system.now + timedelta(minutes=4)
    await system.transition(Verb.PHONE_REPORT, SCHOOLS, moved.referral, reached=True, station="110", at=called_at)

    row = await system.session.fetchrow(
        "select station, called_at from referral_transition where transition = 'phone_reported'"
    )
    assert (row["station"], row["called_at"]) == ("110", called_at)


async def test_the_unit_that_returns_for_the_wrong_area_names_the_right_one_for_a_person_to_decide(
    system: ReferralHarness,
) -> None:
    referral = await a_sent_referral(system)
    returned = await system.transition(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.WRONG_AREA, to_unit=RENLI)

    assert (returned.right_unit, returned.to_unit) == (RENLI, POLICE)
