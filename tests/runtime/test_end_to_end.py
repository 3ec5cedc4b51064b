"""The outcome of the five services is the same with kills, freezes, lost connections, duplicates and a dead broker."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.topics import SERVICES
from deploy.embedded.stack import LocalStack
from tests.runtime.end_to_end import (
    FILES,
    LEAD,
    POISON,
    SCHOOLS,
    Outcome,
    ProcessKiller,
    Scenario,
    a_system,
    assert_same_outcome,
    consumed,
    outcome,
    run_scenario,
)

POINTS = ("before_commit:2", "after_commit:2", "before_mark:2", "before_page:2", "after_page:2")
"""The failpoints at which each service dies, one after the other; the number counts the passes of a process."""


SMALL_BATCHES = {"HUTONG_MAX_RECORDS": "7", "HUTONG_BULK_BATCH_RECORDS": "7", "HUTONG_BULK_RECORDS": "3"}
"""Batches of seven records; three records count as a file, so that snapshots are coalesced, unlike in the reference."""

COALESCED_ROWS = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'registry' AND relname = 'coalesced'"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_failures_do_not_change_the_outcome_of_the_five_services(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """Each service's decrypted state and the accepted events of each topic equal those of an undisturbed run."""
    home = tmp_path / "installation"
    with stack_class(tmp_path / "reference", durable=False) as stack:
        async with a_system(stack, home) as scenario:
            await run_scenario(scenario)
            reference = await outcome(scenario)
            assert await scenario.database.fetchval(COALESCED_ROWS) == 0

    killer = ProcessKiller(POINTS)
    with stack_class(tmp_path / "disturbed", durable=False) as stack:
        async with a_system(stack, home, SMALL_BATCHES | {"HUTONG_SESSION_TIMEOUT": "6"}, killer=killer) as scenario:
            scenario.disturb = lambda dataset: disturb(scenario, dataset)
            await run_scenario(scenario, times=2)
            await scenario.republish_everything()
            disturbed = await outcome(scenario)
            assert await scenario.database.fetchval(COALESCED_ROWS) > 0

    with three_brokers(stack_class, tmp_path / "doubled") as stack:
        async with a_system(stack, home, SMALL_BATCHES, processes=2) as scenario:
            scenario.disturb = lambda dataset: kill_a_broker(stack, dataset)
            await run_scenario(scenario)
            doubled = await outcome(scenario)
            assert all(scenario.has_worked(f"{service}.1") for service in SERVICES)

    assert sorted(killer.killed) == sorted((service, point) for service in SERVICES for point in POINTS)
    assert len(disturbed.records) > len(list(consumed(disturbed.records))) * 1.5, "many records are twice on the topics"
    assert_every_service_has_worked(reference)
    remove_answers_to_poison(disturbed, reference)
    for result in (disturbed, doubled):
        assert_same_outcome(result, reference)
    for result in (reference, disturbed, doubled):
        assert_every_event_has_its_correlation_and_cause(result)


@asynccontextmanager
async def disturb(scenario: Scenario, dataset: str) -> AsyncIterator[None]:
    """Write invalid messages and terminate every database session of the services, or freeze a process."""
    await scenario.poison(SCHOOLS)
    if dataset == FILES[-1]:
        async with scenario.frozen("registry", "record"):
            yield
        return
    yield
    await scenario.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hutong-%'"
    )


def three_brokers(stack_class: type[LocalStack], folder: Path) -> LocalStack:
    """Return a stack of three brokers, or of one where the stack runs in containers."""
    if stack_class is LocalStack:
        return LocalStack(folder, brokers=3, durable=False)
    return stack_class(folder, durable=False)


@asynccontextmanager
async def kill_a_broker(stack: LocalStack, dataset: str) -> AsyncIterator[None]:
    """Kill one of three brokers for good while the first file is processed."""
    yield
    if dataset == FILES[0] and stack.kafka.brokers == 3:
        await asyncio.to_thread(stack.kafka.kill, 0)


def assert_every_service_has_worked(actual: Outcome) -> None:
    """Assert that tables are filled, because two runs without any work would be equal too."""
    for table in (
        "registry.child",
        "eligibility.decision",
        "referral.referral_transition",
        "notify.inbox",
        "notify.alarm_delivery",
    ):
        assert actual.tables[table], table
    refused = [json.loads(row) for row in actual.tables["notify.inbox"] if '"template": "action.refused"' in row]
    assert [line["unit"] for line in refused] == [LEAD] * 2
    assert len({line["subject"] for line in refused}) == 2, "each of the two actions is refused by one service"
    for service in SERVICES:
        assert actual.tables[f"{service}.parked_key"] == []
        assert actual.tables[f"{service}.dead_letter"] == []
        assert any('"day": "2026-09-03"' in row for row in actual.tables[f"{service}.day_state"])


def remove_answers_to_poison(poisoned: Outcome, reference: Outcome) -> None:
    """Assert the dead letters and receipts of the invalid messages, and remove both from the comparison."""
    reasons = Counter(json.loads(row)["reason"] for row in poisoned.tables["intake.dead_letter"])
    times = 2 * len(FILES)
    assert reasons == Counter({reason: times for reason, *_ in POISON if reason})
    poisoned.tables["intake.dead_letter"] = []
    answers = {key: poisoned.receipts.pop(key) for key in poisoned.receipts.keys() - reference.receipts.keys()}
    answered = "".join(line for lines in answers.values() for line in lines).count('"code": "unreadable"')
    assert answered == times * sum(not reason for reason, *_ in POISON)


def assert_every_event_has_its_correlation_and_cause(actual: Outcome) -> None:
    """The correlation is the first event, file or day of a flow; the cause is an event or a day page."""
    ids = {record.ce_id for record in actual.records} | actual.initiating_ids
    own_records = [record for record in actual.records if record.headers["ce_source"].startswith("/hutong/")]
    days = {record.headers["ce_correlationid"] for record in own_records if record.kind == "clock.DayWatermark.v1"}
    services = set()
    for record in own_records:
        service = record.headers["ce_source"].split("/")[3]
        services.add(service)
        assert record.headers["ce_correlationid"] in ids | days, record.kind
        is_of_day_page = (service, int(record.headers["ce_producerid"])) in actual.day_producers
        assert (record.headers["ce_causationid"] in ids) is not is_of_day_page, record.kind
    assert services == set(SERVICES)
