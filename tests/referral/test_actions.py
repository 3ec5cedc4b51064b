"""What units do with their referrals: the whole way, and every way that is barred."""

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
    World,
    a_child,
    at,
    only,
    queue,
)


async def sent(world: World, **changes: Any) -> UUID:
    """A child out of school, reported by the police to the education bureau."""
    [moved] = await world.report(FindingCode.OUT_OF_SCHOOL, unit=POLICE, **changes)
    return moved.referral


async def test_the_whole_way_from_sent_to_closed(world: World) -> None:
    referral = await sent(world)
    accepted = await world.moved(Verb.ACCEPT, SCHOOLS, referral)
    started = await world.moved(Verb.START, SCHOOLS, referral)
    reported = await world.moved(Verb.RESULT, SCHOOLS, referral, result=Result.SERVICE_IN_PLACE)
    informed = await world.moved(Verb.INFORM_REPORTER, SCHOOLS, referral, channel="phone")
    closed = await world.moved(Verb.CLOSE, POLICE, referral, channel="in_person")

    assert [one.state for one in (accepted, started, reported, informed, closed)] == [
        ReferralState.ACCEPTED,
        ReferralState.IN_PROGRESS,
        ReferralState.RESULT_REPORTED,
        ReferralState.RESULT_REPORTED,
        ReferralState.CLOSED,
    ]
    assert [one.version for one in (accepted, started, reported, informed, closed)] == [2, 3, 4, 5, 6]
    assert closed.reporter_informed
    assert accepted.accept_by == closed.accept_by  # counted from SENT, for ever
    assert (closed.actor_unit, closed.actor_role) == (POLICE, "agency_officer")


async def test_every_move_is_on_the_queue_and_the_last_line_says_nothing_is_left(world: World) -> None:
    referral = await sent(world)
    await world.finish(referral, SCHOOLS, POLICE)

    lines = [entry for entry in only((one.event for one in world.said), QueueEntry) if entry.unit == SCHOOLS]
    assert [entry.version for entry in lines] == [1, 2, 3, 4, 5, 6]
    assert [entry.assigned for entry in lines] == [True] * 5 + [False]
    assert lines[-1].state is ReferralState.CLOSED


async def test_the_tombstone_follows_when_the_day_turns_and_only_once(world: World) -> None:
    referral = await sent(world)
    await world.finish(referral, SCHOOLS, POLICE)

    assert queue(await world.turn(world.on)) == []  # the same day: not yet
    assert queue(await world.turn()) == [(SCHOOLS, False, "gone")]
    assert queue(await world.turn()) == []


async def test_a_returned_referral_waits_for_a_person_who_sends_it_on(world: World) -> None:
    referral = await sent(world)
    returned = await world.do(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY)
    [moved] = only(returned, ReferralChanged)
    assert (moved.state, moved.to_unit, moved.previous_unit) == (ReferralState.RETURNED, POLICE, SCHOOLS)
    assert moved.reason is ReturnReason.NOT_MY_DUTY
    assert queue(returned) == [(SCHOOLS, False, "returned")]

    world.now += timedelta(days=1)
    rerouted = await world.do(Verb.REROUTE, POLICE, referral, to_unit=RENLI)
    [moved] = only(rerouted, ReferralChanged)
    assert (moved.transition, moved.state, moved.to_unit) == (Transition.REROUTED, ReferralState.SENT, RENLI)
    assert moved.sent_at == world.now
    assert queue(rerouted) == [(RENLI, True, "sent")]
    assert queue(await world.turn_to(world.on + timedelta(days=2))) == [(SCHOOLS, False, "gone")]


async def test_a_referral_that_comes_back_before_the_tombstone_stays_on_the_queue(world: World) -> None:
    referral = await sent(world)
    await world.moved(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.INFORMATION_MISSING)
    await world.moved(Verb.REROUTE, POLICE, referral, to_unit=SCHOOLS)

    assert queue(await world.turn()) == []


async def test_the_second_return_tells_the_coordinating_unit_who_assigns(world: World) -> None:
    referral = await sent(world)
    for _ in range(2):
        said = await world.do(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY)
        if only(said, ReferralChanged)[-1].transition is Transition.ESCALATED:
            break
        await world.moved(Verb.REROUTE, POLICE, referral, to_unit=SCHOOLS)
    up = only(said, ReferralChanged)[-1]
    assert (up.escalated_to, up.cause) == (COORDINATOR, "returned_too_often")

    await world.moved(Verb.REROUTE, COORDINATOR, referral, to_unit=SCHOOLS)
    assert await world.refused(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.NOT_MY_DUTY) == "too_many_returns"


@pytest.mark.parametrize("known", [True, False])
async def test_the_ordinary_log_in_is_told_of_a_restricted_proposal_what_it_is_told_of_an_unknown_one(
    world: World, known: bool
) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    asked = proposal.proposal if known else UUID(int=1)

    said = await world.do(Verb.CONFIRM, RENLI, proposal=asked, restricted=False, role="township_civil_affairs")

    [refusal] = said
    assert isinstance(refusal, ReferralActionRefused)
    assert (refusal.code, refusal.topic_name, refusal.child) == ("unknown_proposal", "referral.case.v1", a_child())


async def test_every_answer_to_the_second_log_in_is_restricted(world: World) -> None:
    """Whatever it was about: it asked where nobody else reads."""
    [moved] = await world.report()

    said = await world.do(Verb.START, SCHOOLS, moved.referral, restricted=True)

    assert [(one.code, one.topic_name) for one in only(said, ReferralActionRefused)] == [
        ("illegal_move", "referral.restricted.v1")
    ]


async def test_rerouting_a_restricted_matter_to_a_unit_without_eyes_for_it_gives_it_to_the_lead_unit(
    world: World,
) -> None:
    [moved] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    await world.moved(Verb.RETURN, POLICE, moved.referral, reason=ReturnReason.NOT_MY_DUTY)
    without = next(unit.id for unit in world.county.units if not unit.receives_restricted and unit.parent is None)
    rerouted = await world.moved(Verb.REROUTE, SCHOOLS, moved.referral, to_unit=without)

    assert (rerouted.to_unit, rerouted.cause) == (LEAD, "no_restricted_queue")


async def test_the_check_failed_and_the_agency_has_it_again(world: World) -> None:
    """The sender has called: the child is still at home."""
    referral = await sent(world)
    await world.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    world.now += timedelta(days=1)
    again = await world.moved(Verb.REOPEN, POLICE, referral)

    assert (again.state, again.result, again.sent_at) == (ReferralState.SENT, None, world.now)


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
async def test_what_may_not_be_done_is_refused_by_name_and_changes_nothing(
    world: World, verb: Verb, unit: str, changes: dict[str, Any], code: str
) -> None:
    referral = await sent(world)
    before = await world.state()

    assert await world.refused(verb, unit, referral, **changes) == code
    assert await world.state() == before


async def test_a_refusal_names_the_action_and_the_state(world: World) -> None:
    referral = await sent(world)
    action = world.action(Verb.START, SCHOOLS, referral)
    [refusal] = only(await world.hear(action), ReferralActionRefused)

    assert refusal.ce_id == action.event.ce_id  # type: ignore[attr-defined]
    assert (refusal.verb, refusal.referral, refusal.state) == (Verb.START, referral, ReferralState.SENT)


async def test_an_action_on_a_referral_nobody_knows_is_refused(world: World) -> None:
    assert await world.refused(Verb.ACCEPT, SCHOOLS, UUID(int=7)) == "unknown_referral"
    assert await world.refused(Verb.ACCEPT, SCHOOLS, None) == "unknown_referral"


async def test_an_action_that_names_another_child_is_refused(world: World) -> None:
    referral = await sent(world)

    assert await world.refused(Verb.ACCEPT, SCHOOLS, referral, child=a_child(2)) == "other_child"


@pytest.mark.parametrize("channel", [None, "letter", "message"])
async def test_a_check_is_a_call_or_a_visit(world: World, channel: str | None) -> None:
    referral = await sent(world)
    await world.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    await world.moved(Verb.INFORM_REPORTER, SCHOOLS, referral, channel="letter")

    assert await world.refused(Verb.CLOSE, POLICE, referral, channel=channel) == "check_missing"


async def test_done_without_word_to_the_reporter_is_not_closed(world: World) -> None:
    """未成年人保护法第11条第3款."""
    referral = await sent(world)
    await world.work(referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)

    assert await world.refused(Verb.CLOSE, POLICE, referral, channel="phone") == "reporter_not_informed"


async def test_a_guardian_who_refuses_does_not_end_an_urgent_matter(world: World) -> None:
    [moved] = await world.report(FindingCode.SUDDEN_HARDSHIP)
    assert moved.level is Level.L1
    await world.work(moved.referral, RENLI, until=ReferralState.IN_PROGRESS)
    said = await world.do(Verb.RESULT, RENLI, moved.referral, result=Result.REFUSED_BY_GUARDIAN)
    await world.moved(Verb.INFORM_REPORTER, RENLI, moved.referral, channel="phone")

    up = only(said, ReferralChanged)[1]
    assert (up.transition, up.escalated_to, up.cause) == (Transition.ESCALATED, LEAD, "refused_by_guardian")
    assert await world.refused(Verb.CLOSE, SCHOOLS, moved.referral, channel="phone") == "guardian_refused"


async def test_an_extension_moves_the_result_and_is_given_once(world: World) -> None:
    referral = await sent(world)
    await world.work(referral, SCHOOLS, until=ReferralState.IN_PROGRESS)
    extended = await world.moved(Verb.EXTEND, SCHOOLS, referral, days=5, noted=True)

    assert extended.state is ReferralState.IN_PROGRESS
    assert extended.result_by == at(world.on + timedelta(days=22), 0)
    assert await world.refused(Verb.EXTEND, SCHOOLS, referral, days=5, noted=True) == "already_extended"


async def test_a_withdrawn_referral_leaves_the_queue(world: World) -> None:
    referral = await sent(world)
    said = await world.do(Verb.WITHDRAW, POLICE, referral, noted=True)

    assert only(said, ReferralChanged)[0].state is ReferralState.WITHDRAWN
    assert queue(said) == [(SCHOOLS, False, "withdrawn")]
    assert queue(await world.turn()) == [(SCHOOLS, False, "gone")]


async def test_a_new_finding_after_a_withdrawal_is_a_new_referral(world: World) -> None:
    referral = await sent(world)
    await world.moved(Verb.WITHDRAW, POLICE, referral, noted=True)

    assert await sent(world) != referral


async def test_verbs_of_the_registry_are_none_of_ours(world: World) -> None:
    assert await world.do(Verb.VERIFY, RENLI, outcome="confirmed") == []
    assert await world.do(Verb.MERGE, LEAD, other=a_child(2)) == []
    for verb in (Verb.CONFIRM, Verb.DECLINE):  # a match question, which the registry answers for
        assert await world.do(verb, LEAD, proposal=review_id(a_child())) == []


@pytest.mark.parametrize("proposal", [UUID(int=7), a_child(), None])
async def test_a_proposal_that_nobody_made_is_refused_by_name(world: World, proposal: UUID | None) -> None:
    await sent(world)
    before = await world.state()
    for verb in (Verb.CONFIRM, Verb.DECLINE):
        assert await world.refused(verb, RENLI, proposal=proposal) == "unknown_proposal"
    assert await world.state() == before


async def test_every_move_is_kept(world: World) -> None:
    """The history has one row a move, with who, when, why and because of what."""
    referral = await sent(world)
    await world.finish(referral, SCHOOLS, POLICE)
    rows = await world.session.fetch("select * from referral_move where referral = $1 order by version", referral)

    assert [row["move"] for row in rows] == [
        "sent",
        "accepted",
        "started",
        "result_reported",
        "reporter_informed",
        "closed",
    ]
    assert rows[-1]["channel"] == "phone"
    assert rows[-1]["actor_unit"] == POLICE
    assert all(row["cause"] for row in rows)


async def test_a_recorded_call_keeps_the_station_and_the_time(world: World) -> None:
    """{time, station} are recorded when the call was made (policy 4.4, rule 5)."""
    [moved] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    called_at = world.now + timedelta(minutes=4)
    await world.moved(Verb.PHONE_REPORT, SCHOOLS, moved.referral, reached=True, station="110", at=called_at)

    row = await world.session.fetchrow("select station, called_at from referral_move where move = 'phone_reported'")
    assert (row["station"], row["called_at"]) == ("110", called_at)


async def test_the_unit_that_returns_for_the_wrong_area_names_the_right_one_for_a_person_to_decide(
    world: World,
) -> None:
    referral = await sent(world)
    returned = await world.moved(Verb.RETURN, SCHOOLS, referral, reason=ReturnReason.WRONG_AREA, to_unit=RENLI)

    assert (returned.right_unit, returned.to_unit) == (RENLI, POLICE)
