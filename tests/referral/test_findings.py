"""A person's finding is referred immediately, whichever unit has to act."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.county import County
from contracts.referral import ProposalEnded, ProposalMade, QueueEntry, ReferralChanged
from contracts.vocabulary import HOTLINES, FindingCode, Level, ReferralState, ReturnReason, Transition, Verb
from runtime import UnprocessableEvent
from tests.county import a_county
from tests.referral.harness import (
    HEALTH,
    LEAD,
    POLICE,
    QIDU,
    QIDU_CODE,
    RENLI,
    SCHOOLS,
    ReferralHarness,
    a_child,
    at,
    only,
    queue,
)


def a_county_where(unit: str, **changes: Any) -> County:
    """Return the demo county with one unit changed."""
    units = tuple(each.model_copy(update=changes) if each.id == unit else each for each in a_county().units)
    return a_county(units=units)


async def test_a_teacher_s_report_reaches_the_agency_queue_with_the_same_event(system: ReferralHarness) -> None:
    """It is sent immediately, with the deadlines of its level counted from the report."""
    events = await system.consume(system.finding(FindingCode.OUT_OF_SCHOOL))

    moved, entry = events[0], events[1]
    assert isinstance(moved, ReferralChanged)
    assert isinstance(entry, QueueEntry)
    assert (moved.transition, moved.state, moved.to_unit) == (Transition.SENT, ReferralState.SENT, SCHOOLS)
    assert moved.topic_name == "referral.case.v1"
    assert moved.sent_at == system.now
    assert moved.accept_by == at(system.on + timedelta(days=4), 0)  # the end of the third working day
    assert moved.inform == (RENLI,)
    assert (moved.from_unit, moved.reporter_unit, moved.reporter_informed) == (SCHOOLS, SCHOOLS, False)
    assert (entry.unit, entry.assigned, entry.version) == (SCHOOLS, True, 1)
    assert entry.topic_name == "referral.queue.341722-jtj.v1"
    assert entry.title == "义务教育阶段辍学"
    assert entry.basis
    assert not entry.call_first


async def test_l0_requires_a_call_and_names_the_hotlines(system: ReferralHarness) -> None:
    """A situation of mandatory reporting requires a call and is referred on a restricted topic."""
    events = await system.consume(system.finding(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=None))

    [moved] = only(events, ReferralChanged)
    [entry] = only(events, QueueEntry)
    assert (moved.level, moved.call_first, moved.phone_reported) == (Level.L0, True, False)
    assert moved.to_unit == POLICE
    assert entry.hotlines == HOTLINES
    assert moved.topic_name == "referral.restricted.v1"
    assert entry.topic_name == "referral.queue.341722-gaj.restricted.v1"


async def test_a_restricted_referral_emits_nothing_on_an_ordinary_topic(system: ReferralHarness) -> None:
    """A reader of the ordinary topics cannot know that it exists (policy part 4)."""
    [moved] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    await system.act(Verb.RESULT, POLICE, moved.referral, result="resolved")  # refused
    await system.finish(moved.referral, POLICE, SCHOOLS)
    await system.tick(at(system.on + timedelta(days=2)))
    await system.complete_days_until(system.on + timedelta(days=3))

    assert system.emitted
    assert {outbound.event.topic_name for outbound in system.emitted} == {
        "referral.restricted.v1",
        "referral.queue.341722-gaj.restricted.v1",
    }
    assert {outbound.sensitivity for outbound in system.emitted} == {"restricted"}


async def test_a_route_restricted_by_policy_is_restricted_in_every_county(system: ReferralHarness) -> None:
    routes = tuple(route.model_copy(update={"restricted": False}) for route in a_county().routes)
    system.county = a_county().model_copy(update={"routes": routes})
    await system.consume(system.finding(FindingCode.SUSPECTED_VIOLENCE), system.finding(FindingCode.MENTAL_DISTRESS))

    assert system.emitted
    assert {outbound.sensitivity for outbound in system.emitted} == {"restricted"}


async def test_a_finding_with_several_codes_goes_to_each_route_once(system: ReferralHarness) -> None:
    referrals = await system.report(
        FindingCode.OUT_OF_SCHOOL, FindingCode.MENTAL_DISTRESS, FindingCode.ABANDONED_OR_LONG_UNATTENDED
    )

    assert {(referral.route, referral.to_unit) for referral in referrals} == {
        ("R1", POLICE),
        ("R12", SCHOOLS),
        ("R14", HEALTH),
    }
    assert len({referral.referral for referral in referrals}) == 3


async def test_a_second_finding_joins_the_open_referral_and_may_raise_its_level(system: ReferralHarness) -> None:
    [first] = await system.report(FindingCode.MENTAL_DISTRESS)
    [second] = await system.report(FindingCode.MENTAL_DISTRESS, level=Level.L1)
    [third] = await system.report(FindingCode.MENTAL_DISTRESS, level=Level.L3)

    assert first.referral == second.referral == third.referral
    assert [each.version for each in (first, second, third)] == [1, 2, 3]
    assert [each.level for each in (first, second, third)] == [Level.L2, Level.L1, Level.L1]
    assert (second.transition, second.state, second.cause) == (Transition.SENT, ReferralState.SENT, "level_raised")
    assert third.cause == "finding_added"


async def test_a_finding_that_joins_does_not_change_the_state_of_the_referral(system: ReferralHarness) -> None:
    [first] = await system.report()
    await system.work(first.referral, SCHOOLS, until=ReferralState.IN_PROGRESS)
    [second] = await system.report(unit=POLICE)

    assert second.state is ReferralState.IN_PROGRESS
    assert (second.reporter_unit, second.from_unit) == (POLICE, SCHOOLS)


@pytest.mark.parametrize(("days", "reopened"), [(90, True), (91, False)])
async def test_a_new_finding_reopens_what_was_closed_within_ninety_days(
    system: ReferralHarness, days: int, reopened: bool
) -> None:
    [first] = await system.report()
    await system.finish(first.referral, SCHOOLS, SCHOOLS)
    system.now += timedelta(days=days)
    [second] = await system.report()

    assert (second.referral == first.referral) is reopened
    assert second.transition is (Transition.REOPENED if reopened else Transition.SENT)
    assert second.state is ReferralState.SENT
    assert second.sent_at == system.now
    assert second.result is None
    assert not second.reporter_informed


async def test_the_same_finding_consumed_twice_counts_once(system: ReferralHarness) -> None:
    """That holds for an open referral, a closed one, and a proposal."""
    finding = system.finding(FindingCode.OUT_OF_SCHOOL, FindingCode.HELP_REQUESTED)
    same_id: dict[str, Any] = {"finding": finding.event.finding}  # type: ignore[attr-defined]
    events = await system.consume(finding)
    assert await system.consume(system.finding(FindingCode.OUT_OF_SCHOOL, FindingCode.HELP_REQUESTED, **same_id)) == []

    await system.finish(only(events, ReferralChanged)[0].referral, SCHOOLS, SCHOOLS)
    assert await system.consume(system.finding(FindingCode.OUT_OF_SCHOOL, **same_id)) == []

    system.county = a_county_where(SCHOOLS, mandatory_reporter=False)
    suggested = system.finding(child=a_child(2))
    same_id = {"finding": suggested.event.finding}  # type: ignore[attr-defined]
    assert only(await system.consume(suggested), ProposalMade)
    assert await system.consume(system.finding(child=a_child(2), **same_id)) == []


async def test_a_returned_referral_is_sent_again_by_a_new_finding(system: ReferralHarness) -> None:
    """It was returned for more information; the hospital's finding sends it to the police again immediately."""
    [sent] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    await system.transition(Verb.RETURN, POLICE, sent.referral, reason=ReturnReason.INFORMATION_MISSING)
    events = await system.consume(system.finding(FindingCode.SUSPECTED_VIOLENCE, unit=HEALTH))

    [moved] = only(events, ReferralChanged)
    assert (moved.referral, moved.state, moved.cause) == (sent.referral, ReferralState.SENT, "sent_again")
    assert queue(events) == [(POLICE, True, "sent")]


async def test_all_reporters_are_named_and_must_be_informed_again(system: ReferralHarness) -> None:
    [first] = await system.report(unit=POLICE)
    await system.work(first.referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    await system.transition(Verb.INFORM_REPORTER, SCHOOLS, first.referral, channel="phone")
    [reopened] = await system.report(unit=HEALTH)

    assert (reopened.reporters, reopened.reporter_unit) == ((POLICE, HEALTH), HEALTH)
    assert not reopened.reporter_informed


async def test_a_referral_that_others_joined_is_not_withdrawn_by_its_sender(system: ReferralHarness) -> None:
    [first] = await system.report(unit=POLICE)
    await system.report(unit=HEALTH)

    assert await system.refusal(Verb.WITHDRAW, POLICE, first.referral, noted=True) == "others_reported"


async def test_a_route_to_the_township_goes_to_the_childs_township(system: ReferralHarness) -> None:
    """The township on file takes precedence over the place where the child was found."""
    [not_on_file] = await system.report(FindingCode.SUDDEN_HARDSHIP)
    await system.consume(system.assessed(child=a_child(2), township=QIDU_CODE))
    [on_file] = await system.report(FindingCode.SUDDEN_HARDSHIP, child=a_child(2))

    assert not_on_file.to_unit == RENLI
    assert on_file.to_unit == QIDU
    assert on_file.township == QIDU_CODE


@pytest.mark.parametrize("township", [None, "341799999"])
async def test_a_child_without_a_township_is_the_lead_unit_s(system: ReferralHarness, township: str | None) -> None:
    """That holds for an unknown township and for one outside the county."""
    [moved] = await system.report(FindingCode.SUDDEN_HARDSHIP, township=township)

    assert (moved.to_unit, moved.cause) == (LEAD, "township_unknown")


async def test_a_restricted_referral_for_a_unit_without_a_restricted_queue_goes_to_the_lead_unit(
    system: ReferralHarness,
) -> None:
    system.county = a_county_where(POLICE, receives_restricted=False)
    events = await system.consume(system.finding(FindingCode.SUSPECTED_VIOLENCE))

    [moved] = only(events, ReferralChanged)
    assert (moved.to_unit, moved.cause) == (LEAD, "no_restricted_queue")
    assert queue(events) == [(LEAD, True, "sent")]


async def test_a_unit_without_any_queue_still_gets_the_event(system: ReferralHarness) -> None:
    """The unit is informed by its inbox; there is no queue topic to write to."""
    system.county = a_county_where(SCHOOLS, receives=False, receives_restricted=False)
    events = await system.consume(system.finding())

    [moved] = only(events, ReferralChanged)
    assert moved.to_unit == SCHOOLS
    assert queue(events) == []


async def test_a_code_without_a_route_goes_to_the_route_for_unassigned_findings(system: ReferralHarness) -> None:
    county = a_county()
    routes = tuple(route.model_copy(update={"findings": ()}) if route.id == "R30" else route for route in county.routes)
    system.county = a_county(routes=routes)

    [moved] = await system.report(FindingCode.LEGAL_HELP_NEED)

    assert (moved.route, moved.to_unit) == ("R32", county.coordinating_unit)


async def test_a_finding_without_any_route_is_parked(system: ReferralHarness) -> None:
    system.county = a_county(routes=tuple(route for route in a_county().routes if route.id not in ("R30", "R32")))

    with pytest.raises(UnprocessableEvent, match="legal_help_need"):
        await system.report(FindingCode.LEGAL_HELP_NEED)


async def test_every_finding_code_has_a_route_in_the_demo_county(system: ReferralHarness) -> None:
    """Each code leads to a referral, even if only on the route for unassigned findings."""
    for number, code in enumerate(FindingCode):
        assert await system.report(code, child=a_child(number)), code


# ---------------------------------------------------------------- who may send


async def test_a_finding_by_people_without_a_duty_to_report_is_proposed_to_the_township(
    system: ReferralHarness,
) -> None:
    system.county = a_county_where(SCHOOLS, mandatory_reporter=False)
    events = await system.consume(system.finding(FindingCode.BEHAVIOUR_CONCERN))
    [proposal, _] = only(events, ProposalMade)

    assert only(events, ReferralChanged) == []
    assert (proposal.subject, proposal.unit, proposal.route) == ("referral", RENLI, "R9")
    assert proposal.decide_by == system.now + timedelta(hours=24)

    events = await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
    [moved] = only(events, ReferralChanged)
    assert only(events, ProposalEnded)[0].outcome == "confirmed"
    assert (moved.from_unit, moved.reporter_unit) == (RENLI, SCHOOLS)
    assert moved.finding is not None


async def test_l0_never_waits_for_a_confirmation(system: ReferralHarness) -> None:
    """It is sent immediately for every reporter (立即, policy 4.4, rule 5)."""
    system.county = a_county_where(SCHOOLS, mandatory_reporter=False)
    [moved] = await system.report(FindingCode.SUSPECTED_VIOLENCE)

    assert moved.state is ReferralState.SENT


# ---------------------------------------------------------------- the call that comes first


async def test_a_call_made_before_the_report_is_on_the_referral(system: ReferralHarness) -> None:
    [moved] = await system.report(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=system.now)

    assert moved.phone_reported


async def test_a_call_recorded_by_finding_counts_for_each_referral_that_must_be_called_about(
    system: ReferralHarness,
) -> None:
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE, FindingCode.UNATTENDED, FindingCode.OUT_OF_SCHOOL)
    referrals = only(await system.consume(finding), ReferralChanged)
    finding_id: dict[str, Any] = {"finding": referrals[0].finding, "station": "派出所", "at": system.now}

    tried = only(await system.act(Verb.PHONE_REPORT, SCHOOLS, reached=False, **finding_id), ReferralChanged)
    called = only(await system.act(Verb.PHONE_REPORT, SCHOOLS, reached=True, **finding_id), ReferralChanged)

    assert {(each.route, each.phone_reported) for each in tried} == {("R1", False), ("R4", False)}
    assert {(each.route, each.phone_reported) for each in called} == {("R1", True), ("R4", True)}


async def test_a_call_that_arrives_before_its_finding_counts(system: ReferralHarness) -> None:
    """The finding passes through the registry, the call does not."""
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE)
    finding_id = finding.event.finding  # type: ignore[attr-defined]
    assert await system.act(Verb.PHONE_REPORT, SCHOOLS, finding=finding_id, reached=True) == []

    [moved] = only(await system.consume(finding), ReferralChanged)
    assert moved.phone_reported


@pytest.mark.parametrize("unit", [SCHOOLS, POLICE, LEAD])
async def test_every_unit_whose_call_counts_may_call_before_the_referral_exists(
    system: ReferralHarness, unit: str
) -> None:
    """A stranger's call afterwards does not undo that."""
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE)
    finding_id = finding.event.finding  # type: ignore[attr-defined]
    for caller in (unit, HEALTH):
        await system.act(Verb.PHONE_REPORT, caller, finding=finding_id, reached=True)

    [moved] = only(await system.consume(finding), ReferralChanged)
    assert moved.phone_reported


async def test_a_call_by_finding_counts_for_referrals_that_the_caller_takes_part_in(system: ReferralHarness) -> None:
    """The police hold one of its two referrals; the deadline of the call on the other keeps running."""
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE, FindingCode.UNATTENDED)
    finding_id = only(await system.consume(finding), ReferralChanged)[0].finding
    events = await system.act(Verb.PHONE_REPORT, POLICE, finding=finding_id, reached=True)

    assert [type(event).__name__ for event in events] == ["ReferralChanged", "QueueEntry"]
    assert [(referral.route, referral.phone_reported) for referral in only(events, ReferralChanged)] == [("R1", True)]


async def test_a_stranger_s_call_before_a_finding_does_not_stop_its_deadline(system: ReferralHarness) -> None:
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE)
    finding_id = finding.event.finding  # type: ignore[attr-defined]
    await system.act(Verb.PHONE_REPORT, HEALTH, finding=finding_id, reached=True)

    [moved] = only(await system.consume(finding), ReferralChanged)
    assert not moved.phone_reported
