"""Clocks that run out: by the tick where they count hours, by the turn of the day where they count days."""

from datetime import date, timedelta

import pytest

from contracts.clock import DayBegan
from contracts.county import WorkingDays
from contracts.referral import QueueEntry, ReferralChanged
from contracts.topics import CLOCK
from contracts.vocabulary import FindingCode, Level, ReferralState, ReturnReason, Transition, Verb
from services.referral import handlers
from tests.county import a_county
from tests.referral.harness import COORDINATOR, LEAD, POLICE, RENLI, SCHOOLS, World, a_child, at, gap, only


async def test_a_call_that_was_not_recorded_goes_up_after_an_hour_and_an_acceptance_after_two(world: World) -> None:
    """L0: phone report within one hour, acceptance escalated after two, to the duty unit; each once."""
    [sent] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    start = sent.sent_at

    assert await world.tick(start + timedelta(minutes=59)) == []
    [call] = only(await world.tick(start + timedelta(hours=1)), ReferralChanged)
    assert await world.tick(start + timedelta(hours=1, minutes=50)) == []
    [acceptance] = only(await world.tick(start + timedelta(hours=2)), ReferralChanged)
    assert await world.tick(start + timedelta(hours=3)) == []

    assert (call.transition, call.overdue, call.escalated_to) == (
        Transition.ESCALATED,
        "phone_report",
        world.county.duty_unit,
    )
    assert (acceptance.overdue, acceptance.escalated_to) == ("accept", world.county.duty_unit)
    assert call.state is acceptance.state is ReferralState.SENT


async def test_a_recorded_call_and_an_acceptance_stop_their_clocks(world: World) -> None:
    [sent] = await world.report(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=world.now)
    await world.moved(Verb.ACCEPT, POLICE, sent.referral)

    assert await world.tick(sent.sent_at + timedelta(hours=23)) == []
    [late] = only(await world.tick(sent.sent_at + timedelta(hours=24)), ReferralChanged)
    assert late.overdue == "result"


async def test_an_attempt_to_call_does_not_stop_the_clock(world: World) -> None:
    [sent] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    await world.moved(Verb.PHONE_REPORT, SCHOOLS, sent.referral, reached=False)

    assert len(only(await world.tick(sent.sent_at + timedelta(hours=1)), ReferralChanged)) == 1


async def test_an_ordinary_matter_waits_for_its_day_not_for_a_tick(world: World) -> None:
    """Three working days from Tuesday: to the end of Friday."""
    [sent] = await world.report()
    assert await world.tick(at(world.on + timedelta(days=9))) == []
    said = await world.turn_to(date(2026, 11, 27))
    assert only(said, ReferralChanged) == []

    [late] = only(await world.turn(date(2026, 11, 28)), ReferralChanged)
    assert (late.referral, late.overdue, late.escalated_to) == (sent.referral, "accept", LEAD)
    assert only(await world.turn_to(date(2026, 12, 8)), ReferralChanged) == []
    [late] = only(await world.turn(date(2026, 12, 9)), ReferralChanged)
    assert late.overdue == "result"


async def test_ticks_look_at_urgent_matters_only(world: World) -> None:
    """An ordinary matter and an urgent one of the same child, both late by far: the day speaks for the first."""
    [ordinary] = await world.report()
    [urgent] = await world.report(FindingCode.SUSPECTED_VIOLENCE)
    late = only(await world.tick(world.now + timedelta(days=30)), ReferralChanged)

    assert {one.referral for one in late} == {urgent.referral}
    late = only(await world.turn(world.on + timedelta(days=30)), ReferralChanged)
    assert {one.referral for one in late} == {ordinary.referral}


async def test_a_reported_result_stops_every_clock(world: World) -> None:
    [sent] = await world.report()
    await world.work(sent.referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)

    assert only(await world.turn_to(date(2026, 12, 31)), ReferralChanged) == []


async def test_a_returned_referral_is_not_forgotten_between_two_units(world: World) -> None:
    """Nobody has signed for it: who sent it is late, and is told so."""
    [sent] = await world.report(unit=POLICE)
    await world.moved(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.NOT_MY_DUTY)
    said = await world.turn_to(date(2026, 11, 28))

    [late] = only(said, ReferralChanged)
    assert (late.state, late.to_unit, late.overdue) == (ReferralState.RETURNED, POLICE, "accept")


async def test_rerouting_starts_the_clock_anew(world: World) -> None:
    [sent] = await world.report(unit=POLICE)
    await world.moved(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.NOT_MY_DUTY)
    await world.turn_to(date(2026, 11, 26))
    await world.moved(Verb.REROUTE, POLICE, sent.referral, to_unit=RENLI)

    assert only(await world.turn_to(date(2026, 12, 1)), ReferralChanged) == []
    assert only(await world.turn(date(2026, 12, 2)), ReferralChanged)[0].overdue == "accept"


async def test_the_lead_unit_s_own_delay_is_told_to_the_coordinating_unit(world: World) -> None:
    [sent] = await world.report(FindingCode.LEGAL_HELP_NEED)
    assert sent.to_unit == LEAD

    [late] = only(await world.turn_to(date(2026, 11, 28)), ReferralChanged)
    assert late.escalated_to == COORDINATOR


async def test_ticks_that_are_read_together_escalate_as_if_read_one_by_one(world: World) -> None:
    """After an outage: the same moves, caused by the same ticks."""

    async def told(batch: int) -> list[tuple[str, str]]:
        await world.forget()
        world.batch = batch
        for number in range(4):
            await world.report(FindingCode.SUSPECTED_VIOLENCE, child=a_child(number))
            world.now += timedelta(minutes=7)
        ticks = []
        for _ in range(200):
            world.now += timedelta(minutes=10)
            ticks.append(world.heard(world.tick_event(), CLOCK.name))
        await world.hear(*ticks)
        return world.history()

    one_by_one = await told(1)
    assert len([line for line in one_by_one if '"escalated"' in line[1]]) == 12
    assert await told(7) == one_by_one
    assert await told(1000) == one_by_one


async def test_more_clocks_than_are_looked_after_at_a_time_all_run_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PART", 2)
    await world.hear(*(world.finding(FindingCode.SUSPECTED_VIOLENCE, child=a_child(n)) for n in range(5)))

    late = only(await world.tick(world.now + timedelta(hours=1)), ReferralChanged)
    assert len({one.referral for one in late}) == 5
    assert await world.tick(world.now) == []


async def test_the_beginning_of_a_day_is_no_tick(world: World) -> None:
    await world.report(FindingCode.SUSPECTED_VIOLENCE)
    world.now += timedelta(days=2)

    assert await world.hear(world.heard(DayBegan(day=world.on), CLOCK.name)) == []


async def test_a_raised_level_is_looked_after_by_the_tick(world: World) -> None:
    [sent] = await world.report()
    await world.turn()
    await world.report(level=Level.L0, phone_reported_at=world.now)

    [late] = only(await world.tick(world.now + timedelta(hours=2)), ReferralChanged)
    assert (late.referral, late.overdue) == (sent.referral, "accept")


async def test_deadlines_move_when_the_next_year_is_published(world: World) -> None:
    """In December the new year is computed from weekends; New Year's Day is published later (policy 3.0)."""
    await world.turn_to(date(2026, 12, 30))
    await world.hear(world.assessed(gap()))
    [sent] = only(await world.turn(), ReferralChanged)
    assert sent.accept_by == at(date(2027, 1, 6), 0)  # Friday 1, Monday 4, Tuesday 5
    assert sent.provisional
    assert [entry.provisional for entry in only((one.event for one in world.said), QueueEntry)] == [True]
    assert only(await world.turn(), ReferralChanged) == []

    county = a_county()
    days = county.working_days
    world.county = a_county(
        working_days=WorkingDays(
            published_years=(*days.published_years, 2027),
            holidays=(*days.holidays, date(2027, 1, 1)),
            make_up_days=days.make_up_days,
        )
    )
    [moved] = only(await world.turn(), ReferralChanged)
    assert (moved.transition, moved.cause, moved.actor_unit) == (Transition.EXTENDED, "calendar_published", None)
    assert moved.accept_by == at(date(2027, 1, 7), 0)
    assert not moved.provisional
    assert only(await world.turn(), ReferralChanged) == []
