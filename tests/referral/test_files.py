"""Files are merged and split: whatever hangs on a child follows it."""

from datetime import date
from uuid import UUID

from contracts.referral import DutyChanged, ProposalEnded, ProposalMade, QueueEntry, ReferralChanged
from contracts.vocabulary import Answer, FindingCode, LedgerReason, ReferralState, Transition, Verb
from tests.referral.harness import POLICE, RENLI, SCHOOLS, UNATTENDED, World, a_child, gap, lane_of, only

OLD, NEW = a_child(1), a_child(2)


async def test_an_open_referral_follows_the_file_and_its_agency_hears_of_it(world: World) -> None:
    [sent] = await world.report(child=OLD)
    said = await world.hear(world.handed_over(NEW, OLD))

    [moved] = only(said, ReferralChanged)
    [entry] = only(said, QueueEntry)
    assert (moved.transition, moved.child, moved.referral) == (Transition.HANDED_OVER, NEW, sent.referral)
    assert moved.state is ReferralState.SENT
    assert (entry.child, entry.assigned) == (NEW, True)
    row = await world.session.fetchrow("select child, partition from referral")
    assert (row["child"], row["partition"]) == (NEW, lane_of(NEW))


async def test_an_action_that_names_the_absorbed_file_still_finds_its_referral(world: World) -> None:
    [sent] = await world.report(child=OLD)
    await world.hear(world.handed_over(NEW, OLD))

    assert (await world.moved(Verb.ACCEPT, SCHOOLS, sent.referral, child=OLD)).child == NEW
    assert (await world.moved(Verb.START, SCHOOLS, sent.referral, child=NEW)).child == NEW


async def test_what_is_over_follows_without_a_word(world: World) -> None:
    [sent] = await world.report(child=OLD)
    await world.moved(Verb.WITHDRAW, SCHOOLS, sent.referral, child=OLD, noted=True)

    assert await world.hear(world.handed_over(NEW, OLD)) == []
    assert await world.session.fetchval("select child from referral") == NEW


async def test_a_finding_about_the_absorbed_file_is_one_about_the_survivor(world: World) -> None:
    """In flight while the files were merged; it joins what the survivor has."""
    [sent] = await world.report(child=NEW)
    await world.hear(world.handed_over(NEW, OLD))
    [joined] = await world.report(child=OLD)

    assert (joined.child, joined.referral) == (NEW, sent.referral)


async def test_a_chain_of_mergers_ends_at_the_last_survivor(world: World) -> None:
    third = a_child(3)
    [sent] = await world.report(child=OLD)
    await world.hear(world.handed_over(third, NEW), world.handed_over(NEW, OLD))  # read in this order

    assert (await world.moved(Verb.ACCEPT, SCHOOLS, sent.referral, child=OLD)).child == third
    assert [one.child for one in await world.report(FindingCode.NO_HUKOU, child=OLD)] == [third]


async def test_a_derived_referral_stays_tied_to_the_facts_of_the_survivor(world: World) -> None:
    """The survivor shows it too: it stays. He does not: nobody has begun, so it is taken back."""
    for survivor_shows in (True, False):
        await world.forget()
        await world.hear(world.assessed(gap(), child=OLD))
        [sent] = only(await world.turn(), ReferralChanged)
        await world.hear(world.handed_over(NEW, OLD))
        await world.hear(
            world.assessed(*([gap()] if survivor_shows else []), child=NEW),
            world.assessed(child=OLD, state="absorbed", absorbed_by=NEW),
        )
        moves = only(await world.turn(), ReferralChanged)

        withdrawn = [one.referral for one in moves if one.state is ReferralState.WITHDRAWN]
        assert withdrawn == ([] if survivor_shows else [sent.referral])
        assert [one for one in moves if one.transition is Transition.SENT] == []


async def test_an_absorbed_file_shows_nothing_any_more(world: World) -> None:
    await world.hear(world.assessed(gap(), UNATTENDED, child=OLD))
    said = await world.hear(world.assessed(gap(), UNATTENDED, child=OLD, state="absorbed", absorbed_by=NEW))

    assert [type(one).__name__ for one in said] == ["ProposalEnded"]
    assert await world.turn() == []


async def test_an_open_proposal_of_the_absorbed_file_ends_and_the_survivor_s_own_is_made(world: World) -> None:
    [old] = only(await world.hear(world.assessed(UNATTENDED, child=OLD)), ProposalMade)
    await world.hear(world.handed_over(NEW, OLD))
    said = await world.hear(
        world.assessed(UNATTENDED, child=NEW), world.assessed(child=OLD, state="absorbed", absorbed_by=NEW)
    )

    [new] = only(said, ProposalMade)
    assert new.child == NEW
    assert await world.refused(Verb.CONFIRM, RENLI, proposal=old.proposal, child=OLD) == "already_decided"


async def enter(world: World, child: UUID, code: FindingCode) -> None:
    said = await world.hear(world.finding(code, child=child))
    [proposal] = [one for one in only(said, ProposalMade) if one.subject == "ledger"]
    await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)


async def test_the_ledger_of_the_absorbed_file_goes_on_at_the_survivor(world: World) -> None:
    await enter(world, OLD, FindingCode.HELP_REQUESTED)
    await world.hear(world.handed_over(NEW, OLD))
    said = await world.turn_to(date(2026, 12, 1))

    assert {(one.child, one.duty_kind) for one in only(said, DutyChanged)} == {(NEW, "contact")}
    done = await world.do(Verb.VISIT, RENLI, at_residence=True, child=OLD)
    assert {(one.child, one.change) for one in only(done, DutyChanged)} == {(NEW, "fulfilled")}


async def test_two_entries_become_one_and_nothing_is_owed_twice(world: World) -> None:
    await world.turn_to(date(2026, 12, 1))
    await enter(world, OLD, FindingCode.HELP_REQUESTED)
    await enter(world, NEW, FindingCode.SUDDEN_HARDSHIP)
    said = await world.hear(world.handed_over(NEW, OLD))
    cancelled = [one for one in only(said, DutyChanged) if one.change == "cancelled"]
    assert {one.duty_kind for one in cancelled} == {"contact", "first_visit"}

    row = await world.session.fetchrow("select reasons, open from ledger where child = $1", NEW)
    assert row["open"]
    assert row["reasons"] == [LedgerReason.FAMILY_HARDSHIP, LedgerReason.REQUEST]
    assert await world.session.fetchval("select count(*) from ledger where open") == 1


async def test_a_split_moves_what_came_from_the_findings_that_belong_elsewhere(world: World) -> None:
    mine, other = world.finding(child=OLD), world.finding(FindingCode.NO_HUKOU, child=OLD)
    [stays] = only(await world.hear(mine), ReferralChanged)
    [goes] = only(await world.hear(other), ReferralChanged)
    assert goes.finding is not None
    said = await world.hear(world.handed_over(NEW, OLD, "split", goes.finding))

    [moved] = only(said, ReferralChanged)
    assert (moved.referral, moved.child) == (goes.referral, NEW)
    assert (await world.moved(Verb.ACCEPT, SCHOOLS, stays.referral, child=OLD)).child == OLD
    assert (await world.moved(Verb.ACCEPT, POLICE, goes.referral, child=OLD)).child == NEW  # in flight


async def test_a_referral_of_two_findings_that_are_split_is_doubled(world: World) -> None:
    """Neither child's matter is lost."""
    await world.report(child=OLD)
    second = world.finding(child=OLD, unit=POLICE)
    [joined] = only(await world.hear(second), ReferralChanged)
    finding = second.event.finding  # type: ignore[attr-defined]
    said = await world.hear(world.handed_over(NEW, OLD, "split", finding))

    [twin] = only(said, ReferralChanged)
    assert (twin.child, twin.transition, twin.finding) == (NEW, Transition.SENT, finding)
    assert twin.referral != joined.referral


async def test_after_a_split_each_referral_knows_who_reported_its_own_findings(world: World) -> None:
    await world.report(child=OLD)
    second = world.finding(child=OLD, unit=POLICE)
    await world.hear(second)
    finding = second.event.finding  # type: ignore[attr-defined]
    [twin] = only(await world.hear(world.handed_over(NEW, OLD, "split", finding)), ReferralChanged)

    assert twin.reporters == (POLICE,)
    assert await world.session.fetchval("select reporters from referral where child = $1", OLD) == [SCHOOLS]


async def test_a_question_about_the_ledger_follows_the_finding_it_rests_on(world: World) -> None:
    """Still open: it goes along. Answered for the wrong child: the right one is asked about."""
    for decided in (False, True):
        await world.forget()
        finding = world.finding(FindingCode.SUDDEN_HARDSHIP, child=OLD)
        [proposal] = [one for one in only(await world.hear(finding), ProposalMade) if one.subject == "ledger"]
        if decided:
            await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal, child=OLD)
        known = finding.event.finding  # type: ignore[attr-defined]
        said = await world.hear(world.handed_over(NEW, OLD, "split", known))

        made = only(said, ProposalMade)
        assert len(made) == decided
        asked = made[0].proposal if made else proposal.proposal
        assert await world.session.fetchval("select child from proposal where id = $1", asked) == NEW
        await world.do(Verb.CONFIRM, RENLI, proposal=asked, child=NEW)
        assert await world.session.fetchval("select child from ledger where open") == NEW


async def test_the_survivor_who_is_no_child_for_the_ledger_is_no_longer_asked_about(world: World) -> None:
    """Nobody knew the candidate; he turns out to be a child of the place."""
    await world.hear(world.assessed(child=NEW, migrant=Answer.NO, statistical=Answer.NO))
    await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP, child=OLD))
    await world.hear(world.handed_over(NEW, OLD))

    assert [one.outcome for one in only(await world.turn(), ProposalEnded)] == ["no_longer_shown"]


async def test_of_two_equal_duties_the_one_that_everybody_sees_stays(world: World) -> None:
    """Whichever file survives: its end would tell of the other."""
    for survivor, absorbed in ((NEW, OLD), (OLD, NEW)):
        await world.forget()
        await world.turn_to(date(2026, 12, 1))
        await enter(world, OLD, FindingCode.HELP_REQUESTED)
        await enter(world, NEW, FindingCode.MENTAL_DISTRESS)
        said = only(await world.hear(world.handed_over(survivor, absorbed)), DutyChanged)

        assert {(one.duty_kind, one.change, one.restricted) for one in said} == {
            ("contact", "cancelled", True),
            ("first_visit", "cancelled", True),
        }


async def test_a_file_that_was_split_off_again_stands_on_its_own(world: World) -> None:
    await world.hear(world.handed_over(NEW, OLD), world.handed_over(OLD, NEW, "split"))

    assert [one.child for one in await world.report(child=OLD)] == [OLD]


async def test_a_file_absorbed_before_its_hand_over_is_heard_keeps_its_matters_for_it(world: World) -> None:
    """The two travel on different topics; the day may turn between them."""
    await world.hear(world.assessed(gap(), child=OLD))
    [sent] = only(await world.turn(), ReferralChanged)
    await world.hear(world.assessed(child=OLD, state="absorbed", absorbed_by=NEW), world.assessed(gap(), child=NEW))
    await world.turn()
    await world.hear(world.handed_over(NEW, OLD))

    row = await world.session.fetchrow("select child, state from referral where id = $1", sent.referral)
    assert (row["child"], row["state"]) == (NEW, "sent")
