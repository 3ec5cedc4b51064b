"""The five services: killed at every point, frozen, cut off, told all twice, two of each, a broker less: the same."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.topics import SERVICES
from deploy.embedded.stack import LocalStack
from tests.runtime.chain import FILES, LEAD, POISON, SCHOOLS, Deaths, Outcome, Story, a_house, outcome, taken, tell

POINTS = ("before_commit:2", "after_commit:2", "before_mark:2", "before_page:2", "after_page:2")
"""Where each service dies, one after the other, and at which passing of a process."""


IN_SEVENS = {"HUTONG_MAX_RECORDS": "7", "HUTONG_GATHERED_RECORDS": "7", "HUTONG_MUCH": "3"}
"""Small batches; and three records look like a file: snapshots are kept back, which in the reference they are not."""

KEPT_BACK = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'registry' AND relname = 'later'"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_whatever_dies_on_the_way_the_same_comes_out_of_the_chain(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """Compared with an undisturbed telling: every service's state, decrypted, and what readers take of every topic."""
    home = tmp_path / "house"
    with stack_class(tmp_path / "reference", durable=False) as stack:
        async with a_house(stack, home) as story:
            await tell(story)
            reference = await outcome(story)
            assert await story.database.fetchval(KEPT_BACK) == 0

    deaths = Deaths(POINTS)
    with stack_class(tmp_path / "disturbed", durable=False) as stack:
        async with a_house(stack, home, IN_SEVENS | {"HUTONG_SESSION_TIMEOUT": "6"}, deaths=deaths) as story:
            story.disturb = lambda dataset: disturb(story, dataset)
            await tell(story, times=2)
            await story.say_everything_again()
            disturbed = await outcome(story)
            assert await story.database.fetchval(KEPT_BACK) > 0

    with three_brokers(stack_class, tmp_path / "doubled") as stack:
        async with a_house(stack, home, IN_SEVENS, processes=2) as story:
            story.disturb = lambda dataset: bereave(stack, dataset)
            await tell(story)
            doubled = await outcome(story)
            assert all(story.at_work(f"{service}.1") for service in SERVICES)

    assert sorted(deaths.died) == sorted((service, point) for service in SERVICES for point in POINTS)
    assert len(disturbed.records) > len(list(taken(disturbed.records))) * 1.5, "much stands twice on the topics"
    assert_something_happened(reference)
    assert_poison_is_buried_or_answered(disturbed, reference)
    for told in (disturbed, doubled):
        assert_the_same(told, reference)
    for told in (reference, disturbed, doubled):
        assert_every_event_says_what_it_came_of(told)


@asynccontextmanager
async def disturb(story: Story, dataset: str) -> AsyncIterator[None]:
    """Somebody writes what is no event; every session of every service ends, whatever it is doing, or one freezes."""
    await story.poison(SCHOOLS)
    if dataset == FILES[-1]:
        async with story.frozen("registry", "record"):
            yield
        return
    yield
    await story.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hutong-%'"
    )


def three_brokers(stack_class: type[LocalStack], folder: Path) -> LocalStack:
    """Where there are containers, one."""
    if stack_class is LocalStack:
        return LocalStack(folder, brokers=3, durable=False)
    return stack_class(folder, durable=False)


@asynccontextmanager
async def bereave(stack: LocalStack, dataset: str) -> AsyncIterator[None]:
    """One of three brokers dies while the first file is on its way, and does not come back."""
    yield
    if dataset == FILES[0] and stack.kafka.brokers == 3:
        await asyncio.to_thread(stack.kafka.kill, 0)


def assert_the_same(told: Outcome, reference: Outcome) -> None:
    for table, rows in reference.tables.items():
        assert told.tables[table] == rows, table
    assert told.receipts == reference.receipts
    assert told.said.keys() == reference.said.keys()
    for key, lines in reference.said.items():
        assert told.said[key] == lines, key


def assert_something_happened(told: Outcome) -> None:
    """Two tellings in which nothing happens are the same too."""
    for table in (
        "registry.child",
        "eligibility.decision",
        "referral.referral_move",
        "notify.inbox",
        "notify.alarm_delivery",
    ):
        assert told.tables[table], table
    refused = [json.loads(row) for row in told.tables["notify.inbox"] if '"template": "action.refused"' in row]
    assert [line["unit"] for line in refused] == [LEAD] * 2
    assert len({line["subject"] for line in refused}) == 2, "each of the two actions is refused by one service"
    for service in SERVICES:
        assert told.tables[f"{service}.parked_child"] == []
        assert told.tables[f"{service}.dead_letter"] == []
        assert any('"day": "2026-09-03"' in row for row in told.tables[f"{service}.day_state"])


def assert_poison_is_buried_or_answered(poisoned: Outcome, reference: Outcome) -> None:
    """And that is all that comes of it: both are taken out of what is compared."""
    reasons = Counter(json.loads(row)["reason"] for row in poisoned.tables["intake.dead_letter"])
    times = 2 * len(FILES)
    assert reasons == Counter({reason: times for reason, *_ in POISON if reason})
    poisoned.tables["intake.dead_letter"] = []
    answers = {key: poisoned.receipts.pop(key) for key in poisoned.receipts.keys() - reference.receipts.keys()}
    answered = "".join(line for lines in answers.values() for line in lines).count('"code": "unreadable"')
    assert answered == times * sum(not reason for reason, *_ in POISON)


def assert_every_event_says_what_it_came_of(told: Outcome) -> None:
    """Correlation: its story's first event, file or day; causation: the event, or the page of a day, that caused it."""
    ids = {record.ce_id for record in told.records} | told.begun
    ours = [record for record in told.records if record.headers["ce_source"].startswith("/hutong/")]
    days = {record.headers["ce_correlationid"] for record in ours if record.kind == "clock.DayWatermark.v1"}
    said_by = set()
    for record in ours:
        service = record.headers["ce_source"].split("/")[3]
        said_by.add(service)
        assert record.headers["ce_correlationid"] in ids | days, record.kind
        of_a_day = (service, int(record.headers["ce_producerid"])) in told.of_days
        assert (record.headers["ce_causationid"] in ids) is not of_a_day, record.kind
    assert said_by == set(SERVICES)
