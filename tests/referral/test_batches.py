"""However the log is cut into batches and a day into pages: the same state, the same events, in the same order."""

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
    World,
    a_child,
    at,
    gap,
    only,
)

CHILDREN = 12
DEEDS: list[tuple[Verb, str, dict[str, Any]]] = [
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


async def in_batches(world: World, story: Callable[[World], Awaitable[None]]) -> None:
    """Tell a story one by one, by sevens and all at once: nothing may differ."""
    told: list[tuple[History, State]] = []
    for batch in (1, 7, 1000):
        await world.forget()
        world.batch = batch
        await story(world)
        told.append((world.history(), await world.state()))
    first = told[0]
    assert first[0], "the story says nothing"
    for history, state in told[1:]:
        assert history == first[0]
        assert state == first[1]


async def test_findings(world: World) -> None:
    codes = [FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE, FindingCode.HELP_REQUESTED]

    async def story(world: World) -> None:
        dice = random.Random(1)
        events = []
        for number in range(60):
            world.now += timedelta(minutes=1)
            child = a_child(dice.randrange(CHILDREN))
            if number % 15 == 14:
                events.append(world.handed_over(a_child(dice.randrange(CHILDREN)), child))
                continue
            level = dice.choice([None, Level.L1, Level.L3])
            events.append(world.finding(dice.choice(codes), dice.choice(codes), child=child, level=level))
        await world.hear(*events)

    await in_batches(world, story)


async def test_assessments_and_the_days_between_them(world: World) -> None:
    shown = [gap(), gap(FindingCode.UNINSURED, "R25", Level.L3), UNATTENDED]

    async def story(world: World) -> None:
        dice = random.Random(2)
        for _ in range(4):
            events = []
            for _ in range(50):
                world.now += timedelta(minutes=1)
                derived = [one for one in shown if dice.random() < 0.5]
                events.append(world.assessed(*derived, child=a_child(dice.randrange(CHILDREN))))
            await world.hear(*events)
            await world.turn()

    await in_batches(world, story)


async def test_actions(world: World) -> None:
    async def story(world: World) -> None:
        dice = random.Random(3)
        batch, world.batch = world.batch, 1000
        found = [world.finding(FindingCode.OUT_OF_SCHOOL, unit=POLICE, child=a_child(n)) for n in range(CHILDREN)]
        sent = only(await world.hear(*found), ReferralChanged)
        shown = [world.assessed(UNATTENDED, child=a_child(n)) for n in range(CHILDREN)]
        asked = only(await world.hear(*shown), ProposalMade)
        world.batch = batch
        events = []
        for _ in range(200):
            world.now += timedelta(minutes=1)
            matter = dice.choice(sent)
            verb, unit, changes = dice.choice(DEEDS)
            events.append(world.action(verb, unit, matter.referral, child=matter.child, **changes))
            proposal = dice.choice(asked)
            decision = dice.choice([Verb.CONFIRM, Verb.DECLINE, Verb.CONTACT])
            events.append(world.action(decision, RENLI, child=proposal.child, proposal=proposal.proposal, reached=True))
        await world.hear(*events)

    await in_batches(world, story)


async def test_what_is_heard_twice_counts_once(world: World) -> None:
    """Findings, assessments, ticks and days, each a second time under another event id."""
    dice = random.Random(5)
    codes = [FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE, FindingCode.HELP_REQUESTED]
    found = [world.finding(dice.choice(codes), child=a_child(dice.randrange(CHILDREN))) for _ in range(30)]
    shown = [world.assessed(gap(), UNATTENDED, child=a_child(number)) for number in range(CHILDREN)]
    await world.hear(*found)
    await world.hear(*shown)
    await world.turn()
    await world.tick(world.now + timedelta(hours=3))
    before = await world.state()

    again = [world.heard(heard.event, heard.topic) for heard in (*found, *shown)]
    assert await world.hear(*again[: len(found)]) == []
    assert await world.hear(*again[len(found) :]) == []
    assert await world.tick(world.now) == []
    assert await world.turn(world.on) == []
    assert await world.state() == before


async def test_however_the_consumers_take_turns_the_day_ends_the_same(world: World) -> None:
    """Findings on their express way, assessments and calls on the main one: either may be ahead of the other."""
    codes = [
        FindingCode.OUT_OF_SCHOOL,
        FindingCode.UNATTENDED,
        FindingCode.SUDDEN_HARDSHIP,
        FindingCode.MENTAL_DISTRESS,
    ]
    shown = [gap(), UNATTENDED, gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3)]
    populations = [(Answer.YES, Answer.YES), (Answer.NO, Answer.YES), (Answer.NO, Answer.NO)]
    dice = random.Random(6)
    plan: list[tuple[FindingCode, list[DerivedFinding], tuple[Answer, Answer], float]] = [
        (FindingCode.UNATTENDED, [UNATTENDED], populations[0], 0.5),
        (FindingCode.SUDDEN_HARDSHIP, [], populations[2], 0.5),
    ]
    plan += [
        (dice.choice(codes), [one for one in shown if dice.random() < 0.5], dice.choice(populations), dice.random())
        for _ in range(CHILDREN)
    ]

    async def lived(order: random.Random) -> dict[str, list[str]]:
        await world.forget()
        express, main = [], []
        for number, (code, derived, (migrant, statistical), call) in enumerate(plan):
            child = a_child(number)
            found = world.finding(code, child=child, level=Level.L0 if call < 0.3 else None)
            express.append(found)
            main.append(world.assessed(*derived, child=child, migrant=migrant, statistical=statistical))
            if call < 0.6:
                known = found.event.finding  # type: ignore[attr-defined]
                main.append(world.action(Verb.PHONE_REPORT, SCHOOLS, finding=known, child=child, reached=True))
        while express or main:
            side = express if express and (not main or order.random() < 0.5) else main
            await world.hear(side.pop(0))
        await world.turn()
        return {
            table: [str(dict(row)) for row in await world.session.fetch(query)] for table, query in OUTCOMES.items()
        }

    first = await lived(random.Random(0))
    assert all(first.values())
    for seed in range(1, 12):
        assert await lived(random.Random(seed)) == first


OUTCOMES = {
    "referrals": """
        select child, route, level, to_unit, state, findings, sources, reporters, phone_reported
        from referral order by child, route
    """,
    "questions": """
        select child, what, route, level, findings, ledger_reasons, grounds
        from proposal where state in ('open', 'escalated') order by child, what, route, grounds
    """,
    "facts": "select child, route, code, shown, referral is null as sent from gap order by child, route, code",
}
"""What there is for people to do, and why."""


async def a_county_full_of_work(world: World) -> None:
    for number in range(12):
        world.now += timedelta(minutes=1)
        child = a_child(number)
        await world.hear(world.assessed(gap(), gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3), child=child))
        said = await world.hear(world.finding(FindingCode.HELP_REQUESTED, child=child))
        [proposal] = [one for one in only(said, ProposalMade) if one.subject == "ledger"]
        await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)


@pytest.mark.parametrize("limit", [1, 7])
async def test_a_day_in_small_pages_is_the_same_day(world: World, limit: int) -> None:
    """Only the cause differs: a page is one."""

    async def lived(size: int) -> tuple[list[str], State]:
        await world.forget()
        await a_county_full_of_work(world)
        for _ in range(10):
            await world.turn(limit=size)
        return [line for _, line in world.history()], await world.state()

    whole, state = await lived(500)
    paged, paged_state = await lived(limit)

    assert paged == whole
    for rows in (state, paged_state):
        rows.pop("referral_move")  # names the page that caused it
    assert paged_state == state


async def test_a_page_that_is_done_again_says_nothing_more(world: World) -> None:
    await a_county_full_of_work(world)
    assert await world.turn()

    assert await world.turn(world.on) == []


async def test_a_finding_and_an_action_on_one_child_at_once_both_count(world: World, tables: str) -> None:
    """Two consumers, two transactions: the child's row is the lock."""
    [sent] = await world.report(unit=POLICE)
    other = await asyncpg.connect(tables, server_settings={"search_path": "referral"})
    joined = world.finding(FindingCode.OUT_OF_SCHOOL, unit=LEAD)
    accepted = world.action(Verb.ACCEPT, SCHOOLS, sent.referral)
    try:
        async with asyncio.timeout(20):
            await asyncio.gather(
                apply(world, world.session, joined, handlers.on_findings),
                apply(world, other, accepted, handlers.on_actions),
            )
    finally:
        await other.close()

    row = await world.session.fetchrow("select state, version, cardinality(sources) as sources from referral")
    assert (row["state"], row["version"], row["sources"]) == ("accepted", 3, 2)


async def test_many_lanes_that_share_children_do_not_lock_one_another_out(world: World, tables: str) -> None:
    """Rows are locked in the order of ids, whatever the order of the events."""
    dice = random.Random(4)
    batches = []
    for _ in range(6):
        children = [a_child(dice.randrange(CHILDREN)) for _ in range(20)]
        batches.append([world.finding(FindingCode.OUT_OF_SCHOOL, child=child) for child in children])
    sessions = [await asyncpg.connect(tables, server_settings={"search_path": "referral"}) for _ in range(len(batches))]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(
                    apply(world, session, batch, handlers.on_findings)
                    for session, batch in zip(sessions, batches, strict=True)
                )
            )
    finally:
        for session in sessions:
            await session.close()

    total = await world.session.fetchval("select sum(cardinality(sources)) from referral")
    assert total == 120


async def apply(
    world: World, session: Any, events: InboundEvent[Event] | list[InboundEvent[Event]], handler: Any
) -> None:
    part = events if isinstance(events, list) else [events]
    batch = Batch(part, part[0].topic, 0, world.on, at(world.on), world.county, PARTITIONS)
    async with session.transaction():
        await handler(batch, session)


async def test_ids_come_from_content_alone(world: World) -> None:
    """The same log gives the same referrals in another database."""

    async def ids() -> list[UUID]:
        await world.forget()
        await world.report(FindingCode.OUT_OF_SCHOOL, FindingCode.SUSPECTED_VIOLENCE)
        rows = await world.session.fetch("select id from referral order by id")
        return [row["id"] for row in rows]

    assert await ids() == await ids()
