"""Gaps derived from facts: referred when the day is completed, or proposed to a person immediately."""

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
    ReferralHarness,
    a_child,
    a_gap,
    at,
    only,
    queue,
)

# ---------------------------------------------------------------- service gaps


async def test_a_gap_that_is_shown_when_the_day_is_completed_is_referred(system: ReferralHarness) -> None:
    assert await system.consume(system.assessed(a_gap())) == []
    events = await system.complete_day()

    [moved] = only(events, ReferralChanged)
    assert (moved.transition, moved.to_unit, moved.finding) == (Transition.SENT, SCHOOLS, None)
    assert moved.from_unit == RENLI  # the child's township checks it
    assert (moved.reporter_unit, moved.actor_unit) == (None, None)
    assert moved.sent_at == at(system.on, 0)
    assert queue(events) == [(SCHOOLS, True, "sent")]


async def test_a_gap_that_opened_and_closed_within_a_day_is_not_referred(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap()), system.assessed())

    assert await system.complete_day() == []


async def test_a_gap_is_referred_once_in_an_episode(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap()))
    assert len(only(await system.complete_day(), ReferralChanged)) == 1
    await system.consume(system.assessed(a_gap(), a_gap(FindingCode.UNINSURED, "R25", Level.L3)))

    [other] = only(await system.complete_day(), ReferralChanged)
    assert other.findings == (FindingCode.UNINSURED,)
    await system.finish(other.referral, "341722-rsj", RENLI)
    await system.consume(system.assessed(a_gap(), a_gap(FindingCode.UNINSURED, "R25", Level.L3)))
    assert only(await system.complete_day(), ReferralChanged) == []  # served and checked, but the data is late
    await system.consume(
        system.assessed(a_gap()), system.assessed(a_gap(), a_gap(FindingCode.UNINSURED, "R25", Level.L3))
    )
    assert only(await system.complete_day(), ReferralChanged) == []  # gone and back within the day: the same gap


async def test_two_items_of_one_code_are_one_referral(system: ReferralHarness) -> None:
    hardship = [a_gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3, item=item) for item in ("B-14", "B-15")]
    await system.consume(system.assessed(*hardship, migrant=Answer.NO, statistical=Answer.NO))

    [moved] = only(await system.complete_day(), ReferralChanged)
    assert (moved.item, moved.to_unit) == ("B-14", RENLI)


async def test_a_gap_that_a_person_has_reported_already_is_not_referred_twice(system: ReferralHarness) -> None:
    [reported] = await system.report(FindingCode.OUT_OF_SCHOOL)
    await system.consume(system.assessed(a_gap()))

    assert await system.complete_day() == []
    await system.consume(system.assessed())
    assert await system.complete_day() == []  # facts do not withdraw a person's report
    assert (await system.transition(Verb.ACCEPT, SCHOOLS, reported.referral)).state is ReferralState.ACCEPTED


async def test_a_referral_not_accepted_is_withdrawn_when_its_gap_is_gone(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap()))
    await system.complete_day()
    await system.consume(system.assessed())
    events = await system.complete_day()

    [moved] = only(events, ReferralChanged)
    assert (moved.state, moved.cause, moved.actor_unit) == (ReferralState.WITHDRAWN, "no_longer_shown", None)
    assert queue(events) == [(SCHOOLS, False, "withdrawn")]
    assert queue(await system.complete_day()) == [(SCHOOLS, False, "gone")]


async def test_an_accepted_referral_stays_when_its_gap_is_gone(system: ReferralHarness) -> None:
    """The agency's work may be why it is gone, and its result is still required."""
    await system.consume(system.assessed(a_gap()))
    [sent] = only(await system.complete_day(), ReferralChanged)
    await system.transition(Verb.ACCEPT, SCHOOLS, sent.referral)
    await system.consume(system.assessed())

    assert await system.complete_day() == []
    await system.transition(Verb.START, SCHOOLS, sent.referral)


async def test_a_returned_referral_is_withdrawn_when_its_gap_is_gone(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap()))
    [sent] = only(await system.complete_day(), ReferralChanged)
    await system.transition(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.CANNOT_FIND_CHILD)
    await system.consume(system.assessed())

    [moved] = only(await system.complete_day(), ReferralChanged)
    assert moved.state is ReferralState.WITHDRAWN


async def test_a_gap_that_comes_back_opens_a_new_referral_or_reopens_the_old_one(system: ReferralHarness) -> None:
    """After a withdrawal it is a new referral; within ninety days of closing it is the old one, reopened."""
    await system.consume(system.assessed(a_gap()))
    [first] = only(await system.complete_day(), ReferralChanged)
    await system.consume(system.assessed())
    await system.complete_day()
    await system.consume(system.assessed(a_gap()))
    [second] = [
        referral
        for referral in only(await system.complete_day(), ReferralChanged)
        if referral.transition is Transition.SENT
    ]
    assert second.referral != first.referral

    await system.finish(second.referral, SCHOOLS, RENLI)
    await system.consume(system.assessed())
    await system.complete_day()
    await system.consume(system.assessed(a_gap()))
    [third] = only(await system.complete_day(), ReferralChanged)
    assert (third.referral, third.transition, third.cause) == (second.referral, Transition.REOPENED, "shown_again")


async def test_an_older_assessment_changes_nothing(system: ReferralHarness) -> None:
    newer, older = system.assessed(a_gap()), system.assessed()
    older.event.__dict__.update(child_version=0, assessment=9)
    await system.consume(newer, older)

    assert len(only(await system.complete_day(), ReferralChanged)) == 1


async def test_the_same_facts_on_another_day_are_a_newer_assessment(system: ReferralHarness) -> None:
    """One version of the file is assessed again because of a birthday."""
    first, second = system.assessed(a_gap()), system.assessed()
    second.event.__dict__.update(child_version=1, assessment=2)
    await system.consume(first, second)

    assert await system.complete_day() == []


async def test_a_route_the_county_has_dropped_is_the_lead_unit_s(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap(route="R99")))

    [moved] = only(await system.complete_day(), ReferralChanged)
    assert (moved.to_unit, moved.cause, moved.whitelist) == (LEAD, "no_such_route", ())


# ---------------------------------------------------------------- what a person confirms first


async def test_a_derived_l0_is_proposed_to_the_township_immediately(system: ReferralHarness) -> None:
    events = await system.consume(system.assessed(UNATTENDED))

    [proposal] = only(events, ProposalMade)
    assert (proposal.subject, proposal.unit, proposal.route) == ("referral", RENLI, "R4")
    assert proposal.decide_by == system.now + timedelta(hours=2)
    assert proposal.topic_name == "referral.restricted.v1"
    assert only(events, ReferralChanged) == []


async def test_urgent_findings_are_confirmed_on_every_route(system: ReferralHarness) -> None:
    events = await system.consume(
        system.assessed(a_gap(FindingCode.CHILD_LABOUR, "R28", Level.L1, confirm_first=False))
    )

    assert [proposal.decide_by - system.now for proposal in only(events, ProposalMade)] == [timedelta(hours=24)]
    assert only(await system.complete_day(), ReferralChanged) == []


async def test_a_confirmed_proposal_is_sent_by_the_unit_that_confirmed_it(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    events = await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")

    [ended] = only(events, ProposalEnded)
    [moved] = only(events, ReferralChanged)
    assert (ended.outcome, ended.actor_role) == ("confirmed", "township_civil_affairs")
    assert (moved.from_unit, moved.to_unit, moved.call_first) == (RENLI, LEAD, True)
    assert moved.reporter_unit is None
    assert await system.consume(system.assessed(UNATTENDED)) == []


async def test_facts_do_not_withdraw_a_referral_that_a_person_confirmed(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
    await system.consume(system.assessed())

    assert [
        referral
        for referral in only(await system.complete_day(), ReferralChanged)
        if referral.state is ReferralState.WITHDRAWN
    ] == []


async def test_a_declined_proposal_is_not_made_again_for_the_same_grounds(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    events = await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    assert [proposal.outcome for proposal in only(events, ProposalEnded)] == ["declined"]

    assert await system.consume(system.assessed(UNATTENDED)) == []
    await system.complete_day()
    assert only(await system.consume(system.assessed(UNATTENDED)), ProposalMade) == []
    gone_and_back = await system.consume(system.assessed(), system.assessed(UNATTENDED))
    assert only(gone_and_back, ProposalMade) == []  # the same grounds within a day


async def test_a_gap_that_was_gone_for_a_day_is_proposed_again(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await system.complete_day()
    await system.consume(system.assessed())
    await system.complete_day()

    assert len(only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)) == 1


async def test_a_declined_gap_that_becomes_more_urgent_is_proposed_again(system: ReferralHarness) -> None:
    calm = a_gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    [proposal] = only(await system.consume(system.assessed(calm)), ProposalMade)
    await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    grave = calm.model_copy(update={"level": Level.L1})

    [proposed_again] = only(await system.consume(system.assessed(grave)), ProposalMade)
    assert proposed_again.proposal != proposal.proposal


async def test_a_proposal_ends_when_its_ground_is_gone(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    [ended] = only(await system.consume(system.assessed()), ProposalEnded)

    assert (ended.proposal, ended.outcome, ended.actor_unit) == (proposal.proposal, "no_longer_shown", None)
    assert await system.refusal(Verb.CONFIRM, RENLI, proposal=proposal.proposal) == "already_decided"


async def test_a_gap_shown_again_within_the_day_is_proposed_again(system: ReferralHarness) -> None:
    """No person has declined it, so it is proposed to the township."""
    events = await system.consume(system.assessed(UNATTENDED), system.assessed(), system.assessed(UNATTENDED))

    proposals = only(events, ProposalMade)
    assert len({each.proposal for each in proposals}) == 2


async def test_a_gap_that_the_agency_already_has_is_not_proposed(system: ReferralHarness) -> None:
    await system.report(FindingCode.UNATTENDED)

    assert only(await system.consume(system.assessed(UNATTENDED)), ProposalMade) == []


async def test_a_person_s_finding_answers_the_proposal_to_the_township(system: ReferralHarness) -> None:
    """In either order the agency gets it and no proposal stays open."""
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    events = await system.consume(system.finding(FindingCode.UNATTENDED))

    [ended] = [each for each in only(events, ProposalEnded) if each.proposal == proposal.proposal]
    assert (ended.outcome, ended.actor_unit) == ("confirmed", SCHOOLS)
    assert await system.refusal(Verb.CONFIRM, RENLI, proposal=proposal.proposal) == "already_decided"
    proposed_again = await system.consume(system.assessed(), system.assessed(UNATTENDED))
    assert only(proposed_again, ProposalMade) == []


async def test_a_gap_that_the_agency_has_as_less_urgent_is_proposed_and_raises_the_level(
    system: ReferralHarness,
) -> None:
    calm = a_gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    [sent] = await system.report(FindingCode.GUARDIANSHIP_AT_RISK)
    assert only(await system.consume(system.assessed(calm)), ProposalMade) == []
    grave = calm.model_copy(update={"level": Level.L1})

    [proposal] = only(await system.consume(system.assessed(grave)), ProposalMade)
    [moved] = only(await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal), ReferralChanged)
    assert (moved.referral, moved.level, moved.cause) == (sent.referral, Level.L1, "level_raised")


@pytest.mark.parametrize(("unit", "code"), [(RENLI, None), (LEAD, None), (QIDU, "not_yours"), (POLICE, "not_yours")])
async def test_the_township_decides_or_the_lead_unit(system: ReferralHarness, unit: str, code: str | None) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)
    if code is None:
        assert only(await system.act(Verb.CONFIRM, unit, proposal=proposal.proposal), ReferralChanged)
    else:
        assert await system.refusal(Verb.CONFIRM, unit, proposal=proposal.proposal) == code


async def test_a_child_without_a_township_is_decided_by_the_lead_unit(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED, township=None)), ProposalMade)

    assert proposal.unit == LEAD


async def test_a_proposal_about_another_child_is_refused(system: ReferralHarness) -> None:
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)

    refused = await system.refusal(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=a_child(2))
    assert refused == "other_child"


# ---------------------------------------------------------------- proposals and time


async def test_an_undecided_proposal_is_escalated_to_the_county_once(system: ReferralHarness) -> None:
    """The tick escalates an L0 proposal after two hours."""
    [proposal] = only(await system.consume(system.assessed(UNATTENDED)), ProposalMade)

    assert await system.tick(proposal.decide_by - timedelta(seconds=1)) == []
    [ended] = only(await system.tick(proposal.decide_by), ProposalEnded)
    assert (ended.outcome, ended.escalated_to) == ("escalated", LEAD)
    assert await system.tick(proposal.decide_by + timedelta(hours=1)) == []


async def test_an_escalated_proposal_can_be_confirmed_by_either_unit(system: ReferralHarness) -> None:
    events = await system.consume(system.assessed(UNATTENDED), system.assessed(UNATTENDED, child=a_child(2)))
    first, second = only(events, ProposalMade)
    await system.tick(first.decide_by)

    assert only(await system.act(Verb.CONFIRM, RENLI, proposal=first.proposal), ReferralChanged)
    decided = await system.act(Verb.DECLINE, LEAD, proposal=second.proposal, child=a_child(2))
    assert only(decided, ProposalEnded)[0].outcome == "declined"


async def test_a_completed_day_makes_up_for_missing_ticks(system: ReferralHarness) -> None:
    await system.consume(system.assessed(UNATTENDED))

    assert [proposal.outcome for proposal in only(await system.complete_day(), ProposalEnded)] == ["escalated"]


async def test_the_township_is_the_one_the_child_lives_in_now(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap()), system.assessed(a_gap(), township=QIDU_CODE))
    events = await system.complete_day()

    assert only(events, ReferralChanged)[0].from_unit == QIDU
    assert only(events, QueueEntry)[0].township == QIDU_CODE
