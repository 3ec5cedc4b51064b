"""What the rules derive from facts: referred when the day turns, or proposed to a person at once."""

from datetime import timedelta

import pytest

from contracts.referral import ProposalEnded, ProposalMade, QueueEntry, ReferralChanged
from contracts.vocabulary import Answer, FindingCode, Level, ReferralState, ReturnReason, Transition, Verb
from tests.referral.harness import (
    LEAD,
    POLICE,
    QIDU,
    QIDU_CODE,
    RENLI,
    SCHOOLS,
    UNATTENDED,
    World,
    a_child,
    at,
    gap,
    only,
    queue,
)

# ---------------------------------------------------------------- service gaps


async def test_a_gap_that_stands_when_the_day_turns_is_referred(world: World) -> None:
    assert await world.hear(world.assessed(gap())) == []
    said = await world.turn()

    [moved] = only(said, ReferralChanged)
    assert (moved.transition, moved.to_unit, moved.finding) == (Transition.SENT, SCHOOLS, None)
    assert moved.from_unit == RENLI  # who checks: the child's township
    assert (moved.reporter_unit, moved.actor_unit) == (None, None)
    assert moved.sent_at == at(world.on, 0)
    assert queue(said) == [(SCHOOLS, True, "sent")]


async def test_a_gap_that_opened_and_closed_within_a_day_refers_nobody(world: World) -> None:
    await world.hear(world.assessed(gap()), world.assessed())

    assert await world.turn() == []


async def test_a_standing_gap_is_referred_once(world: World) -> None:
    await world.hear(world.assessed(gap()))
    assert len(only(await world.turn(), ReferralChanged)) == 1
    await world.hear(world.assessed(gap(), gap(FindingCode.UNINSURED, "R25", Level.L3)))

    [other] = only(await world.turn(), ReferralChanged)
    assert other.findings == (FindingCode.UNINSURED,)
    await world.finish(other.referral, "341722-rsj", RENLI)
    await world.hear(world.assessed(gap(), gap(FindingCode.UNINSURED, "R25", Level.L3)))
    assert only(await world.turn(), ReferralChanged) == []  # served, checked; the data is late
    await world.hear(world.assessed(gap()), world.assessed(gap(), gap(FindingCode.UNINSURED, "R25", Level.L3)))
    assert only(await world.turn(), ReferralChanged) == []  # gone and back within the day: the same gap


async def test_two_items_of_one_code_are_one_referral(world: World) -> None:
    hardship = [gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3, item=item) for item in ("B-14", "B-15")]
    await world.hear(world.assessed(*hardship, migrant=Answer.NO, statistical=Answer.NO))

    [moved] = only(await world.turn(), ReferralChanged)
    assert (moved.item, moved.to_unit) == ("B-14", RENLI)


async def test_a_gap_that_a_person_has_reported_already_is_not_referred_twice(world: World) -> None:
    [reported] = await world.report(FindingCode.OUT_OF_SCHOOL)
    await world.hear(world.assessed(gap()))

    assert await world.turn() == []
    await world.hear(world.assessed())
    assert await world.turn() == []  # a person's word stands, whatever the facts show
    assert (await world.moved(Verb.ACCEPT, SCHOOLS, reported.referral)).state is ReferralState.ACCEPTED


async def test_a_gap_that_is_gone_takes_back_what_nobody_has_begun(world: World) -> None:
    await world.hear(world.assessed(gap()))
    await world.turn()
    await world.hear(world.assessed())
    said = await world.turn()

    [moved] = only(said, ReferralChanged)
    assert (moved.state, moved.cause, moved.actor_unit) == (ReferralState.WITHDRAWN, "no_longer_shown", None)
    assert queue(said) == [(SCHOOLS, False, "withdrawn")]
    assert queue(await world.turn()) == [(SCHOOLS, False, "gone")]


async def test_a_gap_that_is_gone_leaves_what_the_agency_has_signed_for(world: World) -> None:
    """It may be gone because the agency acted; its result is still wanted."""
    await world.hear(world.assessed(gap()))
    [sent] = only(await world.turn(), ReferralChanged)
    await world.moved(Verb.ACCEPT, SCHOOLS, sent.referral)
    await world.hear(world.assessed())

    assert await world.turn() == []
    await world.moved(Verb.START, SCHOOLS, sent.referral)


async def test_a_gap_that_is_gone_takes_back_what_was_returned(world: World) -> None:
    await world.hear(world.assessed(gap()))
    [sent] = only(await world.turn(), ReferralChanged)
    await world.moved(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.CANNOT_FIND_CHILD)
    await world.hear(world.assessed())

    [moved] = only(await world.turn(), ReferralChanged)
    assert moved.state is ReferralState.WITHDRAWN


async def test_a_gap_that_comes_back_is_a_new_opening_or_a_reopening(world: World) -> None:
    """Withdrawn: a new referral. Closed within ninety days: the old one, reopened."""
    await world.hear(world.assessed(gap()))
    [first] = only(await world.turn(), ReferralChanged)
    await world.hear(world.assessed())
    await world.turn()
    await world.hear(world.assessed(gap()))
    [second] = [one for one in only(await world.turn(), ReferralChanged) if one.transition is Transition.SENT]
    assert second.referral != first.referral

    await world.finish(second.referral, SCHOOLS, RENLI)
    await world.hear(world.assessed())
    await world.turn()
    await world.hear(world.assessed(gap()))
    [third] = only(await world.turn(), ReferralChanged)
    assert (third.referral, third.transition, third.cause) == (second.referral, Transition.REOPENED, "shown_again")


async def test_an_older_assessment_changes_nothing(world: World) -> None:
    newer, older = world.assessed(gap()), world.assessed()
    older.event.__dict__.update(child_version=0, assessment=9)
    await world.hear(newer, older)

    assert len(only(await world.turn(), ReferralChanged)) == 1


async def test_the_same_facts_on_another_day_are_a_newer_assessment(world: World) -> None:
    """One version of the file, assessed again because a birthday came."""
    first, second = world.assessed(gap()), world.assessed()
    second.event.__dict__.update(child_version=1, assessment=2)
    await world.hear(first, second)

    assert await world.turn() == []


async def test_a_route_the_county_has_dropped_is_the_lead_unit_s(world: World) -> None:
    await world.hear(world.assessed(gap(route="R99")))

    [moved] = only(await world.turn(), ReferralChanged)
    assert (moved.to_unit, moved.cause, moved.whitelist) == (LEAD, "no_such_route", ())


# ---------------------------------------------------------------- what a person confirms first


async def test_a_derived_l0_is_put_to_the_township_with_the_very_event_that_shows_it(world: World) -> None:
    said = await world.hear(world.assessed(UNATTENDED))

    [proposal] = only(said, ProposalMade)
    assert (proposal.subject, proposal.unit, proposal.route) == ("referral", RENLI, "R4")
    assert proposal.decide_by == world.now + timedelta(hours=2)
    assert proposal.topic_name == "referral.restricted.v1"
    assert only(said, ReferralChanged) == []


async def test_urgent_findings_are_confirmed_whatever_the_route_says(world: World) -> None:
    said = await world.hear(world.assessed(gap(FindingCode.CHILD_LABOUR, "R28", Level.L1, confirm_first=False)))

    assert [one.decide_by - world.now for one in only(said, ProposalMade)] == [timedelta(hours=24)]
    assert only(await world.turn(), ReferralChanged) == []


async def test_a_confirmed_proposal_is_sent_by_who_confirmed_it(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    said = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")

    [ended] = only(said, ProposalEnded)
    [moved] = only(said, ReferralChanged)
    assert (ended.outcome, ended.actor_role) == ("confirmed", "township_civil_affairs")
    assert (moved.from_unit, moved.to_unit, moved.call_first) == (RENLI, LEAD, True)
    assert moved.reporter_unit is None
    assert await world.hear(world.assessed(UNATTENDED)) == []


async def test_what_a_person_confirmed_is_not_taken_back_by_facts(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
    await world.hear(world.assessed())

    assert [one for one in only(await world.turn(), ReferralChanged) if one.state is ReferralState.WITHDRAWN] == []


async def test_a_declined_proposal_is_not_made_again_for_the_same_grounds(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    said = await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    assert [one.outcome for one in only(said, ProposalEnded)] == ["declined"]

    assert await world.hear(world.assessed(UNATTENDED)) == []
    await world.turn()
    assert only(await world.hear(world.assessed(UNATTENDED)), ProposalMade) == []
    gone_and_back = await world.hear(world.assessed(), world.assessed(UNATTENDED))
    assert only(gone_and_back, ProposalMade) == []  # within a day: the same grounds


async def test_what_was_gone_for_a_day_is_asked_about_again(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await world.turn()
    await world.hear(world.assessed())
    await world.turn()

    assert len(only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)) == 1


async def test_a_declined_matter_that_grows_more_urgent_is_asked_about_again(world: World) -> None:
    calm = gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    [proposal] = only(await world.hear(world.assessed(calm)), ProposalMade)
    await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    grave = calm.model_copy(update={"level": Level.L1})

    [again] = only(await world.hear(world.assessed(grave)), ProposalMade)
    assert again.proposal != proposal.proposal


async def test_a_proposal_ends_when_its_ground_is_gone(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    [ended] = only(await world.hear(world.assessed()), ProposalEnded)

    assert (ended.proposal, ended.outcome, ended.actor_unit) == (proposal.proposal, "no_longer_shown", None)
    assert await world.refused(Verb.CONFIRM, RENLI, proposal=proposal.proposal) == "already_decided"


async def test_shown_again_within_the_day_it_is_proposed_anew(world: World) -> None:
    """Nobody has declined it: the township must see it."""
    said = await world.hear(world.assessed(UNATTENDED), world.assessed(), world.assessed(UNATTENDED))

    made = only(said, ProposalMade)
    assert len({one.proposal for one in made}) == 2


async def test_nothing_is_proposed_that_the_agency_has_already(world: World) -> None:
    await world.report(FindingCode.UNATTENDED)

    assert only(await world.hear(world.assessed(UNATTENDED)), ProposalMade) == []


async def test_what_a_person_finds_answers_what_the_township_was_asked(world: World) -> None:
    """Whichever came first: the agency has it, and nobody is asked any more."""
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    said = await world.hear(world.finding(FindingCode.UNATTENDED))

    [ended] = [one for one in only(said, ProposalEnded) if one.proposal == proposal.proposal]
    assert (ended.outcome, ended.actor_unit) == ("confirmed", SCHOOLS)
    assert await world.refused(Verb.CONFIRM, RENLI, proposal=proposal.proposal) == "already_decided"
    again = await world.hear(world.assessed(), world.assessed(UNATTENDED))
    assert only(again, ProposalMade) == []


async def test_a_matter_the_agency_has_as_less_urgent_is_asked_about_and_raised(world: World) -> None:
    calm = gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    [sent] = await world.report(FindingCode.GUARDIANSHIP_AT_RISK)
    assert only(await world.hear(world.assessed(calm)), ProposalMade) == []
    grave = calm.model_copy(update={"level": Level.L1})

    [proposal] = only(await world.hear(world.assessed(grave)), ProposalMade)
    [moved] = only(await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal), ReferralChanged)
    assert (moved.referral, moved.level, moved.cause) == (sent.referral, Level.L1, "level_raised")


@pytest.mark.parametrize(("unit", "code"), [(RENLI, None), (LEAD, None), (QIDU, "not_yours"), (POLICE, "not_yours")])
async def test_the_township_decides_or_the_lead_unit(world: World, unit: str, code: str | None) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)
    if code is None:
        assert only(await world.do(Verb.CONFIRM, unit, proposal=proposal.proposal), ReferralChanged)
    else:
        assert await world.refused(Verb.CONFIRM, unit, proposal=proposal.proposal) == code


async def test_a_child_without_a_township_is_decided_by_the_lead_unit(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED, township=None)), ProposalMade)

    assert proposal.unit == LEAD


async def test_a_proposal_about_another_child_is_refused(world: World) -> None:
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)

    refused = await world.refused(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=a_child(2))
    assert refused == "other_child"


# ---------------------------------------------------------------- proposals and time


async def test_a_proposal_nobody_decides_goes_up_to_the_county_once(world: World) -> None:
    """Two hours for L0; a clock's tick is enough."""
    [proposal] = only(await world.hear(world.assessed(UNATTENDED)), ProposalMade)

    assert await world.tick(proposal.decide_by - timedelta(seconds=1)) == []
    [ended] = only(await world.tick(proposal.decide_by), ProposalEnded)
    assert (ended.outcome, ended.escalated_to) == ("escalated", LEAD)
    assert await world.tick(proposal.decide_by + timedelta(hours=1)) == []


async def test_what_went_up_can_still_be_confirmed_below_and_above(world: World) -> None:
    said = await world.hear(world.assessed(UNATTENDED), world.assessed(UNATTENDED, child=a_child(2)))
    first, second = only(said, ProposalMade)
    await world.tick(first.decide_by)

    assert only(await world.do(Verb.CONFIRM, RENLI, proposal=first.proposal), ReferralChanged)
    decided = await world.do(Verb.DECLINE, LEAD, proposal=second.proposal, child=a_child(2))
    assert only(decided, ProposalEnded)[0].outcome == "declined"


async def test_the_turn_of_the_day_makes_good_for_ticks_that_did_not_come(world: World) -> None:
    await world.hear(world.assessed(UNATTENDED))

    assert [one.outcome for one in only(await world.turn(), ProposalEnded)] == ["escalated"]


async def test_the_township_is_the_one_the_child_lives_in_now(world: World) -> None:
    await world.hear(world.assessed(gap()), world.assessed(gap(), township=QIDU_CODE))
    said = await world.turn()

    assert only(said, ReferralChanged)[0].from_unit == QIDU
    assert only(said, QueueEntry)[0].township == QIDU_CODE
