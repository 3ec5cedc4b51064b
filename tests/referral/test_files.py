"""Merged and split files: a child's case follows the child's file."""

from datetime import date
from uuid import UUID

from contracts.referral import DutyChanged, ProposalEnded, ProposalMade, QueueEntry, ReferralChanged
from contracts.vocabulary import Answer, FindingCode, LedgerReason, ReferralState, Transition, Verb
from tests.referral.harness import (
    POLICE,
    RENLI,
    SCHOOLS,
    UNATTENDED,
    ReferralHarness,
    a_child,
    a_gap,
    only,
    partition_index_of,
)

OLD, NEW = a_child(1), a_child(2)


async def test_an_open_referral_follows_its_file_and_its_queue_entry_changes(system: ReferralHarness) -> None:
    [sent] = await system.report(child=OLD)
    events = await system.consume(system.reassigned(NEW, OLD))

    [moved] = only(events, ReferralChanged)
    [entry] = only(events, QueueEntry)
    assert (moved.transition, moved.child, moved.referral) == (Transition.REASSIGNED, NEW, sent.referral)
    assert moved.state is ReferralState.SENT
    assert (entry.child, entry.assigned) == (NEW, True)
    row = await system.session.fetchrow("select child, partition from referral")
    assert (row["child"], row["partition"]) == (NEW, partition_index_of(NEW))


async def test_an_action_that_names_the_absorbed_file_still_finds_its_referral(system: ReferralHarness) -> None:
    [sent] = await system.report(child=OLD)
    await system.consume(system.reassigned(NEW, OLD))

    assert (await system.transition(Verb.ACCEPT, SCHOOLS, sent.referral, child=OLD)).child == NEW
    assert (await system.transition(Verb.START, SCHOOLS, sent.referral, child=NEW)).child == NEW


async def test_an_ended_referral_follows_its_file_without_an_event(system: ReferralHarness) -> None:
    [sent] = await system.report(child=OLD)
    await system.transition(Verb.WITHDRAW, SCHOOLS, sent.referral, child=OLD, noted=True)

    assert await system.consume(system.reassigned(NEW, OLD)) == []
    assert await system.session.fetchval("select child from referral") == NEW


async def test_a_finding_about_the_absorbed_file_is_one_about_the_survivor(system: ReferralHarness) -> None:
    """A finding in flight during the merge joins the survivor's referral."""
    [sent] = await system.report(child=NEW)
    await system.consume(system.reassigned(NEW, OLD))
    [joined] = await system.report(child=OLD)

    assert (joined.child, joined.referral) == (NEW, sent.referral)


async def test_a_chain_of_mergers_ends_at_the_last_survivor(system: ReferralHarness) -> None:
    third = a_child(3)
    [sent] = await system.report(child=OLD)
    await system.consume(system.reassigned(third, NEW), system.reassigned(NEW, OLD))  # consumed in this order

    assert (await system.transition(Verb.ACCEPT, SCHOOLS, sent.referral, child=OLD)).child == third
    assert [each.child for each in await system.report(FindingCode.NO_HUKOU, child=OLD)] == [third]


async def test_a_derived_referral_stays_tied_to_the_facts_of_the_survivor(system: ReferralHarness) -> None:
    """It stays if the survivor's facts show the gap too; else it is withdrawn, since no agency has accepted it."""
    for survivor_shows in (True, False):
        await system.reset()
        await system.consume(system.assessed(a_gap(), child=OLD))
        [sent] = only(await system.complete_day(), ReferralChanged)
        await system.consume(system.reassigned(NEW, OLD))
        await system.consume(
            system.assessed(*([a_gap()] if survivor_shows else []), child=NEW),
            system.assessed(child=OLD, state="absorbed", absorbed_by=NEW),
        )
        changed = only(await system.complete_day(), ReferralChanged)

        withdrawn = [each.referral for each in changed if each.state is ReferralState.WITHDRAWN]
        assert withdrawn == ([] if survivor_shows else [sent.referral])
        assert [each for each in changed if each.transition is Transition.SENT] == []


async def test_an_absorbed_file_shows_no_gaps(system: ReferralHarness) -> None:
    await system.consume(system.assessed(a_gap(), UNATTENDED, child=OLD))
    events = await system.consume(system.assessed(a_gap(), UNATTENDED, child=OLD, state="absorbed", absorbed_by=NEW))

    assert [type(event).__name__ for event in events] == ["ProposalEnded"]
    assert await system.complete_day() == []


async def test_an_open_proposal_of_the_absorbed_file_ends_and_the_survivor_s_own_is_made(
    system: ReferralHarness,
) -> None:
    [old] = only(await system.consume(system.assessed(UNATTENDED, child=OLD)), ProposalMade)
    await system.consume(system.reassigned(NEW, OLD))
    events = await system.consume(
        system.assessed(UNATTENDED, child=NEW), system.assessed(child=OLD, state="absorbed", absorbed_by=NEW)
    )

    [new] = only(events, ProposalMade)
    assert new.child == NEW
    assert await system.refusal(Verb.CONFIRM, RENLI, proposal=old.proposal, child=OLD) == "already_decided"


async def enter(system: ReferralHarness, child: UUID, code: FindingCode) -> None:
    events = await system.consume(system.finding(code, child=child))
    [proposal] = [proposal for proposal in only(events, ProposalMade) if proposal.subject == "ledger"]
    await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)


async def test_the_ledger_entry_of_the_absorbed_file_continues_on_the_surviving_one(system: ReferralHarness) -> None:
    await enter(system, OLD, FindingCode.HELP_REQUESTED)
    await system.consume(system.reassigned(NEW, OLD))
    events = await system.complete_days_until(date(2026, 12, 1))

    assert {(duty.child, duty.duty_kind) for duty in only(events, DutyChanged)} == {(NEW, "contact")}
    visited = await system.act(Verb.VISIT, RENLI, at_residence=True, child=OLD)
    assert {(duty.child, duty.change) for duty in only(visited, DutyChanged)} == {(NEW, "fulfilled")}


async def test_two_entries_become_one_and_no_duty_is_owed_twice(system: ReferralHarness) -> None:
    await system.complete_days_until(date(2026, 12, 1))
    await enter(system, OLD, FindingCode.HELP_REQUESTED)
    await enter(system, NEW, FindingCode.SUDDEN_HARDSHIP)
    events = await system.consume(system.reassigned(NEW, OLD))
    cancelled = [duty for duty in only(events, DutyChanged) if duty.change == "cancelled"]
    assert {each.duty_kind for each in cancelled} == {"contact", "first_visit"}

    row = await system.session.fetchrow("select reasons, open from ledger_entry where child = $1", NEW)
    assert row["open"]
    assert row["reasons"] == [LedgerReason.FAMILY_HARDSHIP, LedgerReason.REQUEST]
    assert await system.session.fetchval("select count(*) from ledger_entry where open") == 1


async def test_a_split_moves_the_referrals_of_the_findings_that_move(system: ReferralHarness) -> None:
    first_finding, other = system.finding(child=OLD), system.finding(FindingCode.NO_HUKOU, child=OLD)
    [stays] = only(await system.consume(first_finding), ReferralChanged)
    [goes] = only(await system.consume(other), ReferralChanged)
    assert goes.finding is not None
    events = await system.consume(system.reassigned(NEW, OLD, "split", goes.finding))

    [moved] = only(events, ReferralChanged)
    assert (moved.referral, moved.child) == (goes.referral, NEW)
    assert (await system.transition(Verb.ACCEPT, SCHOOLS, stays.referral, child=OLD)).child == OLD
    assert (await system.transition(Verb.ACCEPT, POLICE, goes.referral, child=OLD)).child == NEW  # in flight


async def test_a_referral_of_two_findings_that_are_split_is_duplicated(system: ReferralHarness) -> None:
    """Neither child loses the referral."""
    await system.report(child=OLD)
    second = system.finding(child=OLD, unit=POLICE)
    [joined] = only(await system.consume(second), ReferralChanged)
    finding = second.event.finding  # type: ignore[attr-defined]
    events = await system.consume(system.reassigned(NEW, OLD, "split", finding))

    [twin] = only(events, ReferralChanged)
    assert (twin.child, twin.transition, twin.finding) == (NEW, Transition.SENT, finding)
    assert twin.referral != joined.referral


async def test_after_a_split_each_referral_has_the_reporters_of_its_own_findings(system: ReferralHarness) -> None:
    await system.report(child=OLD)
    second = system.finding(child=OLD, unit=POLICE)
    await system.consume(second)
    finding = second.event.finding  # type: ignore[attr-defined]
    [twin] = only(await system.consume(system.reassigned(NEW, OLD, "split", finding)), ReferralChanged)

    assert twin.reporters == (POLICE,)
    assert await system.session.fetchval("select reporters from referral where child = $1", OLD) == [SCHOOLS]


async def test_a_ledger_proposal_follows_the_finding_that_is_its_ground(system: ReferralHarness) -> None:
    """An open proposal follows the finding; a decision about the wrong child leads to a proposal for the right one."""
    for decided in (False, True):
        await system.reset()
        finding = system.finding(FindingCode.SUDDEN_HARDSHIP, child=OLD)
        [proposal] = [
            proposal for proposal in only(await system.consume(finding), ProposalMade) if proposal.subject == "ledger"
        ]
        if decided:
            await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal, child=OLD)
        finding_id = finding.event.finding  # type: ignore[attr-defined]
        events = await system.consume(system.reassigned(NEW, OLD, "split", finding_id))

        proposals = only(events, ProposalMade)
        assert len(proposals) == decided
        proposal_id = proposals[0].proposal if proposals else proposal.proposal
        assert await system.session.fetchval("select child from proposal where id = $1", proposal_id) == NEW
        await system.act(Verb.CONFIRM, RENLI, proposal=proposal_id, child=NEW)
        assert await system.session.fetchval("SELECT child FROM ledger_entry where open") == NEW


async def test_a_ledger_proposal_ends_when_the_surviving_child_may_not_enter(system: ReferralHarness) -> None:
    """The candidate turns out to be a local child."""
    await system.consume(system.assessed(child=NEW, migrant=Answer.NO, statistical=Answer.NO))
    await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP, child=OLD))
    await system.consume(system.reassigned(NEW, OLD))

    assert [proposal.outcome for proposal in only(await system.complete_day(), ProposalEnded)] == ["no_longer_shown"]


async def test_the_duty_on_the_ordinary_topics_is_kept_of_two_equal_ones(system: ReferralHarness) -> None:
    """Whichever file survives, cancelling the visible duty would reveal the restricted one."""
    for survivor, absorbed in ((NEW, OLD), (OLD, NEW)):
        await system.reset()
        await system.complete_days_until(date(2026, 12, 1))
        await enter(system, OLD, FindingCode.HELP_REQUESTED)
        await enter(system, NEW, FindingCode.MENTAL_DISTRESS)
        events = only(await system.consume(system.reassigned(survivor, absorbed)), DutyChanged)

        assert {(event.duty_kind, event.change, event.restricted) for event in events} == {
            ("contact", "cancelled", True),
            ("first_visit", "cancelled", True),
        }


async def test_a_file_that_is_split_off_again_has_a_case_of_its_own(system: ReferralHarness) -> None:
    await system.consume(system.reassigned(NEW, OLD), system.reassigned(OLD, NEW, "split"))

    assert [each.child for each in await system.report(child=OLD)] == [OLD]


async def test_a_file_absorbed_before_the_merge_event_arrives_keeps_its_referrals_until_then(
    system: ReferralHarness,
) -> None:
    """The assessment and the merge travel on different topics, and a day may be completed between them."""
    await system.consume(system.assessed(a_gap(), child=OLD))
    [sent] = only(await system.complete_day(), ReferralChanged)
    await system.consume(
        system.assessed(child=OLD, state="absorbed", absorbed_by=NEW), system.assessed(a_gap(), child=NEW)
    )
    await system.complete_day()
    await system.consume(system.reassigned(NEW, OLD))

    row = await system.session.fetchrow("select child, state from referral where id = $1", sent.referral)
    assert (row["child"], row["state"]) == (NEW, "sent")
