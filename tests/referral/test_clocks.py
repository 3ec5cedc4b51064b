"""Expired deadlines: the tick escalates those counted in hours, the completed day those counted in days."""

from datetime import date, timedelta

import pytest

from contracts.clock import DayBegan
from contracts.county import WorkingDays
from contracts.referral import QueueEntry, ReferralChanged
from contracts.topics import CLOCK
from contracts.vocabulary import FindingCode, Level, ReferralState, ReturnReason, Transition, Verb
from services.referral import handlers
from tests.county import a_county
from tests.referral.harness import COORDINATOR, LEAD, POLICE, RENLI, SCHOOLS, ReferralHarness, a_child, a_gap, at, only


async def test_a_missing_call_is_escalated_after_an_hour_and_a_missing_acceptance_after_two(
    system: ReferralHarness,
) -> None:
    """L0 requires a call within one hour and acceptance within two; each is escalated once to the duty unit."""
    [sent] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    start = sent.sent_at

    assert await system.tick(start + timedelta(minutes=59)) == []
    [call] = only(await system.tick(start + timedelta(hours=1)), ReferralChanged)
    assert await system.tick(start + timedelta(hours=1, minutes=50)) == []
    [acceptance] = only(await system.tick(start + timedelta(hours=2)), ReferralChanged)
    assert await system.tick(start + timedelta(hours=3)) == []

    assert (call.transition, call.overdue, call.escalated_to) == (
        Transition.ESCALATED,
        "phone_report",
        system.county.duty_unit,
    )
    assert (acceptance.overdue, acceptance.escalated_to) == ("accept", system.county.duty_unit)
    assert call.state is acceptance.state is ReferralState.SENT


async def test_a_recorded_call_and_an_acceptance_stop_their_deadlines(system: ReferralHarness) -> None:
    [sent] = await system.report(FindingCode.SUSPECTED_VIOLENCE, phone_reported_at=system.now)
    await system.transition(Verb.ACCEPT, POLICE, sent.referral)

    assert await system.tick(sent.sent_at + timedelta(hours=23)) == []
    [late] = only(await system.tick(sent.sent_at + timedelta(hours=24)), ReferralChanged)
    assert late.overdue == "result"


async def test_an_attempt_to_call_does_not_stop_the_deadline(system: ReferralHarness) -> None:
    [sent] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    await system.transition(Verb.PHONE_REPORT, SCHOOLS, sent.referral, reached=False)

    assert len(only(await system.tick(sent.sent_at + timedelta(hours=1)), ReferralChanged)) == 1


async def test_an_ordinary_referral_is_escalated_by_the_day_and_not_by_the_tick(system: ReferralHarness) -> None:
    """Three working days from Tuesday last until the end of Friday."""
    [sent] = await system.report()
    assert await system.tick(at(system.on + timedelta(days=9))) == []
    events = await system.complete_days_until(date(2026, 11, 27))
    assert only(events, ReferralChanged) == []

    [late] = only(await system.complete_day(date(2026, 11, 28)), ReferralChanged)
    assert (late.referral, late.overdue, late.escalated_to) == (sent.referral, "accept", LEAD)
    assert only(await system.complete_days_until(date(2026, 12, 8)), ReferralChanged) == []
    [late] = only(await system.complete_day(date(2026, 12, 9)), ReferralChanged)
    assert late.overdue == "result"


async def test_ticks_check_urgent_referrals_only(system: ReferralHarness) -> None:
    """A child has an ordinary and an urgent referral, both overdue; the day escalates the ordinary one."""
    [ordinary] = await system.report()
    [urgent] = await system.report(FindingCode.SUSPECTED_VIOLENCE)
    late = only(await system.tick(system.now + timedelta(days=30)), ReferralChanged)

    assert {each.referral for each in late} == {urgent.referral}
    late = only(await system.complete_day(system.on + timedelta(days=30)), ReferralChanged)
    assert {each.referral for each in late} == {ordinary.referral}


async def test_a_reported_result_stops_every_deadline(system: ReferralHarness) -> None:
    [sent] = await system.report()
    await system.work(sent.referral, SCHOOLS, until=ReferralState.RESULT_REPORTED)

    assert only(await system.complete_days_until(date(2026, 12, 31)), ReferralChanged) == []


async def test_the_deadlines_of_a_returned_referral_keep_running(system: ReferralHarness) -> None:
    """A returned referral is not accepted, so the delay is its sender's."""
    [sent] = await system.report(unit=POLICE)
    await system.transition(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.NOT_MY_DUTY)
    events = await system.complete_days_until(date(2026, 11, 28))

    [late] = only(events, ReferralChanged)
    assert (late.state, late.to_unit, late.overdue) == (ReferralState.RETURNED, POLICE, "accept")


async def test_rerouting_starts_the_deadlines_again(system: ReferralHarness) -> None:
    [sent] = await system.report(unit=POLICE)
    await system.transition(Verb.RETURN, SCHOOLS, sent.referral, reason=ReturnReason.NOT_MY_DUTY)
    await system.complete_days_until(date(2026, 11, 26))
    await system.transition(Verb.REROUTE, POLICE, sent.referral, to_unit=RENLI)

    assert only(await system.complete_days_until(date(2026, 12, 1)), ReferralChanged) == []
    assert only(await system.complete_day(date(2026, 12, 2)), ReferralChanged)[0].overdue == "accept"


async def test_the_lead_unit_s_own_delay_is_escalated_to_the_coordinating_unit(system: ReferralHarness) -> None:
    [sent] = await system.report(FindingCode.LEGAL_HELP_NEED)
    assert sent.to_unit == LEAD

    [late] = only(await system.complete_days_until(date(2026, 11, 28)), ReferralChanged)
    assert late.escalated_to == COORDINATOR


async def test_ticks_in_one_batch_escalate_like_ticks_in_batches_of_their_own(system: ReferralHarness) -> None:
    """After an outage the same ticks cause the same transitions."""

    async def results(batch: int) -> list[tuple[str, str]]:
        await system.reset()
        system.batch = batch
        for number in range(4):
            await system.report(FindingCode.SUSPECTED_VIOLENCE, child=a_child(number))
            system.now += timedelta(minutes=7)
        ticks = []
        for _ in range(200):
            system.now += timedelta(minutes=10)
            ticks.append(system.inbound(system.tick_event(), CLOCK.name))
        await system.consume(*ticks)
        return system.history()

    one_by_one = await results(1)
    assert len([line for line in one_by_one if '"escalated"' in line[1]]) == 12
    assert await results(7) == one_by_one
    assert await results(1000) == one_by_one


async def test_more_deadlines_than_one_chunk_holds_are_all_escalated(
    system: ReferralHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 2)
    await system.consume(*(system.finding(FindingCode.SUSPECTED_VIOLENCE, child=a_child(n)) for n in range(5)))

    late = only(await system.tick(system.now + timedelta(hours=1)), ReferralChanged)
    assert len({each.referral for each in late}) == 5
    assert await system.tick(system.now) == []


async def test_midnight_is_not_a_tick(system: ReferralHarness) -> None:
    await system.report(FindingCode.SUSPECTED_VIOLENCE)
    system.now += timedelta(days=2)

    assert await system.consume(system.inbound(DayBegan(day=system.on), CLOCK.name)) == []


async def test_a_referral_whose_level_rose_is_checked_by_the_tick(system: ReferralHarness) -> None:
    [sent] = await system.report()
    await system.complete_day()
    await system.report(level=Level.L0, phone_reported_at=system.now)

    [late] = only(await system.tick(system.now + timedelta(hours=2)), ReferralChanged)
    assert (late.referral, late.overdue) == (sent.referral, "accept")


async def test_deadlines_move_when_the_next_year_is_published(system: ReferralHarness) -> None:
    """In December deadlines of the new year count weekends only; New Year's Day is published later (policy 3.0)."""
    await system.complete_days_until(date(2026, 12, 30))
    await system.consume(system.assessed(a_gap()))
    [sent] = only(await system.complete_day(), ReferralChanged)
    assert sent.accept_by == at(date(2027, 1, 6), 0)  # Friday 1, Monday 4, Tuesday 5
    assert sent.provisional
    assert [entry.provisional for entry in only((outbound.event for outbound in system.emitted), QueueEntry)] == [True]
    assert only(await system.complete_day(), ReferralChanged) == []

    county = a_county()
    days = county.working_days
    system.county = a_county(
        working_days=WorkingDays(
            published_years=(*days.published_years, 2027),
            holidays=(*days.holidays, date(2027, 1, 1)),
            make_up_days=days.make_up_days,
        )
    )
    [moved] = only(await system.complete_day(), ReferralChanged)
    assert (moved.transition, moved.cause, moved.actor_unit) == (Transition.EXTENDED, "calendar_published", None)
    assert moved.accept_by == at(date(2027, 1, 7), 0)
    assert not moved.provisional
    assert only(await system.complete_day(), ReferralChanged) == []
