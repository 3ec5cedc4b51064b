"""A person's finding is a referral at once, whoever has to act."""

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
    World,
    a_child,
    at,
    only,
    queue,
)


def a_county_where(unit: str, **changes: Any) -> County:
    """The demo county, with one unit changed."""
    units = tuple(each.model_copy(update=changes) if each.id == unit else each for each in a_county().units)
    return a_county(units=units)


async def test_what_a_teacher_reports_is_on_the_agency_queue_with_the_same_event(world: World) -> None:
    """Sent at once, with the clocks of its level counted from the report."""
    said = await world.hear(world.finding(FindingCode.OUT_OF_SCHOOL))

    moved, entry = said[0], said[1]
    assert isinstance(moved, ReferralChanged)
    assert isinstance(entry, QueueEntry)
    assert (moved.transition, moved.state, moved.to_unit) == (Transition.SENT, ReferralState.SENT, SCHOOLS)
    assert moved.topic_name == "referral.case.v1"
    assert moved.sent_at == world.now
    assert moved.accept_by == at(world.on + timedelta(days=4), 0)  # three working days, to their end
    assert moved.inform == (RENLI,)
    assert (moved.from_unit, moved.reporter_unit, moved.reporter_informed) == (SCHOOLS, SCHOOLS, False)
    assert (entry.unit, entry.assigned, entry.version) == (SCHOOLS, True, 1)
    assert entry.topic_name == "referral.queue.341722-jtj.v1"
    assert entry.title == "义务教育阶段辍学"
    assert entry.basis
    assert not entry.call_first


async def test_l0_says_call_first_and_prints_the_hotlines(world: World) -> None:
    """The nine mandatory-report situations: a call, and the paper trail on a restricted topic."""
    said = await world.hear(world.finding(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=None))

    [moved] = only(said, ReferralChanged)
    [entry] = only(said, QueueEntry)
    assert (moved.level, moved.call_first, moved.phone_reported) == (Level.L0, True, False)
    assert moved.to_unit == POLICE
    assert entry.hotlines == HOTLINES
    assert moved.topic_name == "referral.restricted.v1"
    assert entry.topic_name == "referral.queue.341722-gaj.restricted.v1"


async def test_nothing_of_a_restricted_matter_is_said_on_an_ordinary_topic(world: World) -> None:
    """No reader of the ordinary topics can tell that it exists (policy part 4)."""
    [moved] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    await world.do(Verb.RESULT, POLICE, moved.referral, result="resolved")  # refused
    await world.finish(moved.referral, POLICE, SCHOOLS)
    await world.tick(at(world.on + timedelta(days=2)))
    await world.turn_to(world.on + timedelta(days=3))

    assert world.said
    assert {one.event.topic_name for one in world.said} == {
        "referral.restricted.v1",
        "referral.queue.341722-gaj.restricted.v1",
    }
    assert {one.sensitivity for one in world.said} == {"restricted"}


async def test_what_the_policy_restricts_stays_so_whatever_the_county_s_folder_says(world: World) -> None:
    routes = tuple(route.model_copy(update={"restricted": False}) for route in a_county().routes)
    world.county = a_county().model_copy(update={"routes": routes})
    await world.hear(world.finding(FindingCode.SUSPECTED_VIOLENCE), world.finding(FindingCode.MENTAL_DISTRESS))

    assert world.said
    assert {one.sensitivity for one in world.said} == {"restricted"}


async def test_a_finding_with_several_codes_goes_to_each_route_once(world: World) -> None:
    moves = await world.report(
        FindingCode.OUT_OF_SCHOOL, FindingCode.MENTAL_DISTRESS, FindingCode.ABANDONED_OR_LONG_UNATTENDED
    )

    assert {(moved.route, moved.to_unit) for moved in moves} == {("R1", POLICE), ("R12", SCHOOLS), ("R14", HEALTH)}
    assert len({moved.referral for moved in moves}) == 3


async def test_a_second_finding_joins_the_open_referral_and_may_raise_its_level(world: World) -> None:
    [first] = await world.report(FindingCode.MENTAL_DISTRESS)
    [second] = await world.report(FindingCode.MENTAL_DISTRESS, level=Level.L1)
    [third] = await world.report(FindingCode.MENTAL_DISTRESS, level=Level.L3)

    assert first.referral == second.referral == third.referral
    assert [one.version for one in (first, second, third)] == [1, 2, 3]
    assert [one.level for one in (first, second, third)] == [Level.L2, Level.L1, Level.L1]
    assert (second.transition, second.state, second.cause) == (Transition.SENT, ReferralState.SENT, "level_raised")
    assert third.cause == "finding_added"


async def test_a_finding_joins_where_the_agency_is_and_does_not_throw_it_back(world: World) -> None:
    [first] = await world.report()
    await world.work(first.referral, SCHOOLS, until=ReferralState.IN_PROGRESS)
    [second] = await world.report(unit=POLICE)

    assert second.state is ReferralState.IN_PROGRESS
    assert (second.reporter_unit, second.from_unit) == (POLICE, SCHOOLS)


@pytest.mark.parametrize(("days", "reopened"), [(90, True), (91, False)])
async def test_a_new_finding_reopens_what_was_closed_within_ninety_days(
    world: World, days: int, reopened: bool
) -> None:
    [first] = await world.report()
    await world.finish(first.referral, SCHOOLS, SCHOOLS)
    world.now += timedelta(days=days)
    [again] = await world.report()

    assert (again.referral == first.referral) is reopened
    assert again.transition is (Transition.REOPENED if reopened else Transition.SENT)
    assert again.state is ReferralState.SENT
    assert again.sent_at == world.now
    assert again.result is None
    assert not again.reporter_informed


async def test_the_same_finding_heard_twice_is_one(world: World) -> None:
    """Whether its referral is open, closed, or waits for the township."""
    finding = world.finding(FindingCode.OUT_OF_SCHOOL, FindingCode.HELP_REQUESTED)
    again: dict[str, Any] = {"finding": finding.event.finding}  # type: ignore[attr-defined]
    said = await world.hear(finding)
    assert await world.hear(world.finding(FindingCode.OUT_OF_SCHOOL, FindingCode.HELP_REQUESTED, **again)) == []

    await world.finish(only(said, ReferralChanged)[0].referral, SCHOOLS, SCHOOLS)
    assert await world.hear(world.finding(FindingCode.OUT_OF_SCHOOL, **again)) == []

    world.county = a_county_where(SCHOOLS, reports_at_once=False)
    suggested = world.finding(child=a_child(2))
    again = {"finding": suggested.event.finding}  # type: ignore[attr-defined]
    assert only(await world.hear(suggested), ProposalMade)
    assert await world.hear(world.finding(child=a_child(2), **again)) == []


async def test_what_was_returned_goes_out_again_with_a_new_finding(world: World) -> None:
    """The school was asked for more; meanwhile the hospital sees the child: the police have it again at once."""
    [sent] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    await world.moved(Verb.RETURN, POLICE, sent.referral, reason=ReturnReason.INFORMATION_MISSING)
    said = await world.hear(world.finding(FindingCode.SUSPECTED_VIOLENCE, unit=HEALTH))

    [moved] = only(said, ReferralChanged)
    assert (moved.referral, moved.state, moved.cause) == (sent.referral, ReferralState.SENT, "sent_again")
    assert queue(said) == [(POLICE, True, "sent")]


async def test_everybody_who_reported_is_named_and_owed_word_again(world: World) -> None:
    [first] = await world.report(unit=POLICE)
    await world.work(first.referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)
    await world.moved(Verb.INFORM_REPORTER, SCHOOLS, first.referral, channel="phone")
    [again] = await world.report(unit=HEALTH)

    assert (again.reporters, again.reporter_unit) == ((POLICE, HEALTH), HEALTH)
    assert not again.reporter_informed


async def test_a_finding_that_others_joined_is_not_withdrawn_by_the_first(world: World) -> None:
    [first] = await world.report(unit=POLICE)
    await world.report(unit=HEALTH)

    assert await world.refused(Verb.WITHDRAW, POLICE, first.referral, noted=True) == "others_reported"


async def test_a_route_to_the_township_goes_to_the_child_s_own(world: World) -> None:
    """The township on file comes before the place where the child was found."""
    [unknown] = await world.report(FindingCode.SUDDEN_HARDSHIP)
    await world.hear(world.assessed(child=a_child(2), township=QIDU_CODE))
    [known] = await world.report(FindingCode.SUDDEN_HARDSHIP, child=a_child(2))

    assert unknown.to_unit == RENLI
    assert known.to_unit == QIDU
    assert known.township == QIDU_CODE


@pytest.mark.parametrize("township", [None, "341799999"])
async def test_a_child_without_a_township_is_the_lead_unit_s(world: World, township: str | None) -> None:
    """Unknown, or not one of the county's: never lost."""
    [moved] = await world.report(FindingCode.SUDDEN_HARDSHIP, township=township)

    assert (moved.to_unit, moved.cause) == (LEAD, "township_unknown")


async def test_a_restricted_matter_for_a_unit_without_a_second_queue_goes_to_the_lead_unit(world: World) -> None:
    world.county = a_county_where(POLICE, receives_restricted=False)
    said = await world.hear(world.finding(FindingCode.SUSPECTED_VIOLENCE))

    [moved] = only(said, ReferralChanged)
    assert (moved.to_unit, moved.cause) == (LEAD, "no_restricted_queue")
    assert queue(said) == [(LEAD, True, "sent")]


async def test_a_unit_without_any_queue_still_gets_the_event(world: World) -> None:
    """Its inbox tells it; there is no queue line for a topic that is not there."""
    world.county = a_county_where(SCHOOLS, receives=False, receives_restricted=False)
    said = await world.hear(world.finding())

    [moved] = only(said, ReferralChanged)
    assert moved.to_unit == SCHOOLS
    assert queue(said) == []


async def test_a_code_that_no_route_names_goes_where_somebody_assigns_a_lead(world: World) -> None:
    county = a_county()
    routes = tuple(route.model_copy(update={"findings": ()}) if route.id == "R30" else route for route in county.routes)
    world.county = a_county(routes=routes)

    [moved] = await world.report(FindingCode.LEGAL_HELP_NEED)

    assert (moved.route, moved.to_unit) == ("R32", county.coordinating_unit)


async def test_a_county_without_any_way_for_a_code_parks_the_finding_loudly(world: World) -> None:
    world.county = a_county(routes=tuple(route for route in a_county().routes if route.id not in ("R30", "R32")))

    with pytest.raises(UnprocessableEvent, match="legal_help_need"):
        await world.report(FindingCode.LEGAL_HELP_NEED)


async def test_every_finding_code_has_a_way_in_the_demo_county(world: World) -> None:
    """Each code becomes a referral somewhere, even if only where somebody assigns a lead."""
    for number, code in enumerate(FindingCode):
        assert await world.report(code, child=a_child(number)), code


# ---------------------------------------------------------------- who may send


async def test_who_has_no_duty_to_report_suggests_and_the_township_sends(world: World) -> None:
    world.county = a_county_where(SCHOOLS, reports_at_once=False)
    said = await world.hear(world.finding(FindingCode.BEHAVIOUR_CONCERN))
    [proposal, _] = only(said, ProposalMade)

    assert only(said, ReferralChanged) == []
    assert (proposal.subject, proposal.unit, proposal.route) == ("referral", RENLI, "R9")
    assert proposal.decide_by == world.now + timedelta(hours=24)

    said = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
    [moved] = only(said, ReferralChanged)
    assert only(said, ProposalEnded)[0].outcome == "confirmed"
    assert (moved.from_unit, moved.reporter_unit) == (RENLI, SCHOOLS)
    assert moved.finding is not None


async def test_l0_never_waits_for_a_confirmation(world: World) -> None:
    """立即: whoever reports it, it is sent at once (policy 4.4, rule 5)."""
    world.county = a_county_where(SCHOOLS, reports_at_once=False)
    [moved] = await world.report(FindingCode.SUSPECTED_VIOLENCE)

    assert moved.state is ReferralState.SENT


# ---------------------------------------------------------------- the call that comes first


async def test_a_call_made_before_the_report_is_on_the_referral(world: World) -> None:
    [moved] = await world.report(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=world.now)

    assert moved.phone_reported


async def test_a_call_recorded_by_finding_counts_for_each_referral_that_must_be_called_about(world: World) -> None:
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE, FindingCode.UNATTENDED, FindingCode.OUT_OF_SCHOOL)
    moves = only(await world.hear(finding), ReferralChanged)
    named: dict[str, Any] = {"finding": moves[0].finding, "station": "派出所", "at": world.now}

    tried = only(await world.do(Verb.PHONE_REPORT, SCHOOLS, reached=False, **named), ReferralChanged)
    called = only(await world.do(Verb.PHONE_REPORT, SCHOOLS, reached=True, **named), ReferralChanged)

    assert {(one.route, one.phone_reported) for one in tried} == {("R1", False), ("R4", False)}
    assert {(one.route, one.phone_reported) for one in called} == {("R1", True), ("R4", True)}


async def test_a_call_that_is_heard_before_its_finding_is_not_forgotten(world: World) -> None:
    """The finding comes by way of the registry; the call does not."""
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE)
    known = finding.event.finding  # type: ignore[attr-defined]
    assert await world.do(Verb.PHONE_REPORT, SCHOOLS, finding=known, reached=True) == []

    [moved] = only(await world.hear(finding), ReferralChanged)
    assert moved.phone_reported


@pytest.mark.parametrize("unit", [SCHOOLS, POLICE, LEAD])
async def test_whoever_may_call_about_a_referral_may_do_so_before_it_is_there(world: World, unit: str) -> None:
    """And no stranger's call afterwards makes that undone."""
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE)
    known = finding.event.finding  # type: ignore[attr-defined]
    for caller in (unit, HEALTH):
        await world.do(Verb.PHONE_REPORT, caller, finding=known, reached=True)

    [moved] = only(await world.hear(finding), ReferralChanged)
    assert moved.phone_reported


async def test_a_call_by_finding_counts_where_the_caller_has_a_part(world: World) -> None:
    """The police have one of its two referrals: theirs is called about, the other's clock goes on."""
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE, FindingCode.UNATTENDED)
    named = only(await world.hear(finding), ReferralChanged)[0].finding
    said = await world.do(Verb.PHONE_REPORT, POLICE, finding=named, reached=True)

    assert [type(one).__name__ for one in said] == ["ReferralChanged", "QueueEntry"]
    assert [(one.route, one.phone_reported) for one in only(said, ReferralChanged)] == [("R1", True)]


async def test_a_stranger_s_call_about_a_finding_that_comes_later_does_not_silence_its_clock(world: World) -> None:
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE)
    known = finding.event.finding  # type: ignore[attr-defined]
    await world.do(Verb.PHONE_REPORT, HEALTH, finding=known, reached=True)

    [moved] = only(await world.hear(finding), ReferralChanged)
    assert not moved.phone_reported
