"""Batch and page boundaries change nothing: the state, the events and their order stay the same."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.eligibility import DerivedFinding
from contracts.event import Event
from contracts.referral import ProposalMade, ReferralChanged
from contracts.vocabulary import Answer, FindingCode, Level, Result, ReturnReason, Verb
from runtime import Batch, InboundEvent
from services.referral import handlers
from tests.referral.harness import (
    LEAD,
    PARTITIONS,
    POLICE,
    RENLI,
    SCHOOLS,
    UNATTENDED,
    ReferralHarness,
    a_child,
    a_gap,
    at,
    only,
)

CHILDREN = 12
ACTIONS: list[tuple[Verb, str, dict[str, Any]]] = [
    (Verb.ACCEPT, SCHOOLS, {}),
    (Verb.START, SCHOOLS, {}),
    (Verb.EXTEND, SCHOOLS, {"days": 3, "noted": True}),
    (Verb.RETURN, SCHOOLS, {"reason": ReturnReason.NOT_MY_DUTY}),
    (Verb.REROUTE, POLICE, {"to_unit": SCHOOLS}),
    (Verb.RESULT, SCHOOLS, {"result": Result.RESOLVED}),
    (Verb.INFORM_REPORTER, SCHOOLS, {"channel": "phone"}),
    (Verb.CLOSE, POLICE, {"channel": "phone"}),
    (Verb.REOPEN, POLICE, {}),
    (Verb.ACCEPT, RENLI, {}),
]
History = list[tuple[str, str]]
State = dict[str, list[str]]


async def in_batches(system: ReferralHarness, scenario: Callable[[ReferralHarness], Awaitable[None]]) -> None:
    """Run a scenario in batches of 1, 7 and 1000 events and compare the results."""
    results: list[tuple[History, State]] = []
    for batch in (1, 7, 1000):
        await system.reset()
        system.batch = batch
        await scenario(system)
        results.append((system.history(), await system.state()))
    first = results[0]
    assert first[0], "the scenario emits nothing"
    for history, state in results[1:]:
        assert history == first[0]
        assert state == first[1]


async def test_findings(system: ReferralHarness) -> None:
    codes = [FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE, FindingCode.HELP_REQUESTED]

    async def scenario(system: ReferralHarness) -> None:
        dice = random.Random(1)
        events = []
        for number in range(60):
            system.now += timedelta(minutes=1)
            child = a_child(dice.randrange(CHILDREN))
            if number % 15 == 14:
                events.append(system.reassigned(a_child(dice.randrange(CHILDREN)), child))
                continue
            level = dice.choice([None, Level.L1, Level.L3])
            events.append(system.finding(dice.choice(codes), dice.choice(codes), child=child, level=level))
        await system.consume(*events)

    await in_batches(system, scenario)


async def test_assessments_and_the_days_between_them(system: ReferralHarness) -> None:
    shown = [a_gap(), a_gap(FindingCode.UNINSURED, "R25", Level.L3), UNATTENDED]

    async def scenario(system: ReferralHarness) -> None:
        dice = random.Random(2)
        for _ in range(4):
            events = []
            for _ in range(50):
                system.now += timedelta(minutes=1)
                derived = [each for each in shown if dice.random() < 0.5]
                events.append(system.assessed(*derived, child=a_child(dice.randrange(CHILDREN))))
            await system.consume(*events)
            await system.complete_day()

    await in_batches(system, scenario)


async def test_actions(system: ReferralHarness) -> None:
    async def scenario(system: ReferralHarness) -> None:
        dice = random.Random(3)
        batch, system.batch = system.batch, 1000
        findings = [system.finding(FindingCode.OUT_OF_SCHOOL, unit=POLICE, child=a_child(n)) for n in range(CHILDREN)]
        sent = only(await system.consume(*findings), ReferralChanged)
        shown = [system.assessed(UNATTENDED, child=a_child(n)) for n in range(CHILDREN)]
        proposals = only(await system.consume(*shown), ProposalMade)
        system.batch = batch
        events = []
        for _ in range(200):
            system.now += timedelta(minutes=1)
            referral = dice.choice(sent)
            verb, unit, changes = dice.choice(ACTIONS)
            events.append(system.action(verb, unit, referral.referral, child=referral.child, **changes))
            proposal = dice.choice(proposals)
            decision = dice.choice([Verb.CONFIRM, Verb.DECLINE, Verb.CONTACT])
            events.append(
                system.action(decision, RENLI, child=proposal.child, proposal=proposal.proposal, reached=True)
            )
        await system.consume(*events)

    await in_batches(system, scenario)


async def test_an_event_consumed_twice_counts_once(system: ReferralHarness) -> None:
    """Findings, assessments, ticks and days are consumed a second time under other event ids."""
    dice = random.Random(5)
    codes = [FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE, FindingCode.HELP_REQUESTED]
    findings = [system.finding(dice.choice(codes), child=a_child(dice.randrange(CHILDREN))) for _ in range(30)]
    shown = [system.assessed(a_gap(), UNATTENDED, child=a_child(number)) for number in range(CHILDREN)]
    await system.consume(*findings)
    await system.consume(*shown)
    await system.complete_day()
    await system.tick(system.now + timedelta(hours=3))
    before = await system.state()

    duplicates = [system.inbound(inbound.event, inbound.topic) for inbound in (*findings, *shown)]
    assert await system.consume(*duplicates[: len(findings)]) == []
    assert await system.consume(*duplicates[len(findings) :]) == []
    assert await system.tick(system.now) == []
    assert await system.complete_day(system.on) == []
    assert await system.state() == before


async def test_any_interleaving_of_the_consumers_leads_to_the_same_day(system: ReferralHarness) -> None:
    """The priority consumer of findings and the main consumer may each be ahead of the other."""
    codes = [
        FindingCode.OUT_OF_SCHOOL,
        FindingCode.UNATTENDED,
        FindingCode.SUDDEN_HARDSHIP,
        FindingCode.MENTAL_DISTRESS,
    ]
    shown = [a_gap(), UNATTENDED, a_gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3)]
    populations = [(Answer.YES, Answer.YES), (Answer.NO, Answer.YES), (Answer.NO, Answer.NO)]
    dice = random.Random(6)
    plan: list[tuple[FindingCode, list[DerivedFinding], tuple[Answer, Answer], float]] = [
        (FindingCode.UNATTENDED, [UNATTENDED], populations[0], 0.5),
        (FindingCode.SUDDEN_HARDSHIP, [], populations[2], 0.5),
    ]
    plan += [
        (dice.choice(codes), [each for each in shown if dice.random() < 0.5], dice.choice(populations), dice.random())
        for _ in range(CHILDREN)
    ]

    async def run(order: random.Random) -> dict[str, list[str]]:
        await system.reset()
        priority, main = [], []
        for number, (code, derived, (migrant, statistical), call) in enumerate(plan):
            child = a_child(number)
            finding = system.finding(code, child=child, level=Level.L0 if call < 0.3 else None)
            priority.append(finding)
            main.append(system.assessed(*derived, child=child, migrant=migrant, statistical=statistical))
            if call < 0.6:
                finding_id = finding.event.finding  # type: ignore[attr-defined]
                main.append(system.action(Verb.PHONE_REPORT, SCHOOLS, finding=finding_id, child=child, reached=True))
        while priority or main:
            side = priority if priority and (not main or order.random() < 0.5) else main
            await system.consume(side.pop(0))
        await system.complete_day()
        return {
            table: [str(dict(row)) for row in await system.session.fetch(query)] for table, query in OUTCOMES.items()
        }

    first = await run(random.Random(0))
    assert all(first.values())
    for seed in range(1, 12):
        assert await run(random.Random(seed)) == first


OUTCOMES = {
    "referrals": """
        select child, route, level, to_unit, state, findings, sources, reporters, phone_reported
        from referral order by child, route
    """,
    "questions": """
        select child, subject, route, level, findings, ledger_reasons, grounds
        from proposal where state in ('open', 'escalated') order by child, subject, route, grounds
    """,
    "facts": """
        select child, route, code, current, referral is null as sent from service_gap order by child, route, code
    """,
}
"""What people have to do, and why."""


async def a_county_full_of_work(system: ReferralHarness) -> None:
    for number in range(12):
        system.now += timedelta(minutes=1)
        child = a_child(number)
        await system.consume(
            system.assessed(a_gap(), a_gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3), child=child)
        )
        events = await system.consume(system.finding(FindingCode.HELP_REQUESTED, child=child))
        [proposal] = [proposal for proposal in only(events, ProposalMade) if proposal.subject == "ledger"]
        await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)


@pytest.mark.parametrize("limit", [1, 7])
async def test_a_day_in_small_pages_is_the_same_day(system: ReferralHarness, limit: int) -> None:
    """Only the cause differs, since the page is the cause."""

    async def run(size: int) -> tuple[list[str], State]:
        await system.reset()
        await a_county_full_of_work(system)
        for _ in range(10):
            await system.complete_day(limit=size)
        return [line for _, line in system.history()], await system.state()

    whole, state = await run(500)
    paged, paged_state = await run(limit)

    assert paged == whole
    for rows in (state, paged_state):
        rows.pop("referral_transition")  # names the page that caused it
    assert paged_state == state


async def test_a_repeated_page_emits_nothing(system: ReferralHarness) -> None:
    await a_county_full_of_work(system)
    assert await system.complete_day()

    assert await system.complete_day(system.on) == []


async def test_a_concurrent_finding_and_action_on_one_child_both_count(system: ReferralHarness, tables: str) -> None:
    """Two transactions of two consumers wait for each other at the child's row."""
    [sent] = await system.report(unit=POLICE)
    other = await asyncpg.connect(tables, server_settings={"search_path": "referral"})
    joined = system.finding(FindingCode.OUT_OF_SCHOOL, unit=LEAD)
    accepted = system.action(Verb.ACCEPT, SCHOOLS, sent.referral)
    try:
        async with asyncio.timeout(20):
            await asyncio.gather(
                apply(system, system.session, joined, handlers.on_findings),
                apply(system, other, accepted, handlers.on_actions),
            )
    finally:
        await other.close()

    row = await system.session.fetchrow("select state, version, cardinality(sources) as sources from referral")
    assert (row["state"], row["version"], row["sources"]) == ("accepted", 3, 2)


async def test_concurrent_partitions_that_share_children_do_not_deadlock(system: ReferralHarness, tables: str) -> None:
    """Rows are locked in the order of ids, whatever the order of the events."""
    dice = random.Random(4)
    batches = []
    for _ in range(6):
        children = [a_child(dice.randrange(CHILDREN)) for _ in range(20)]
        batches.append([system.finding(FindingCode.OUT_OF_SCHOOL, child=child) for child in children])
    sessions = [await asyncpg.connect(tables, server_settings={"search_path": "referral"}) for _ in range(len(batches))]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(
                    apply(system, session, batch, handlers.on_findings)
                    for session, batch in zip(sessions, batches, strict=True)
                )
            )
    finally:
        for session in sessions:
            await session.close()

    total = await system.session.fetchval("select sum(cardinality(sources)) from referral")
    assert total == 120


async def apply(
    system: ReferralHarness, session: Any, events: InboundEvent[Event] | list[InboundEvent[Event]], handler: Any
) -> None:
    part = events if isinstance(events, list) else [events]
    batch = Batch(part, part[0].topic, 0, system.on, at(system.on), system.county, PARTITIONS)
    async with session.transaction():
        await handler(batch, session)


async def test_ids_follow_from_content_alone(system: ReferralHarness) -> None:
    """The same log gives the same referrals in another database."""

    async def ids() -> list[UUID]:
        await system.reset()
        await system.report(FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE)
        rows = await system.session.fetch("select id from referral order by id")
        return [row["id"] for row in rows]

    assert await ids() == await ids()
