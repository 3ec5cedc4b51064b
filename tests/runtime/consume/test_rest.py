"""At rest a consumer group asks the broker rarely, and a record still reaches it at once."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher

from runtime import Service, kafka
from runtime.consume import group as group_module
from runtime.consume.group import LONG_POLL_MS, ConsumerGroup
from tests.runtime import model
from tests.runtime.harness import TIMEOUT_SECONDS, ModelSystem, eventually

PARTITION = (model.INPUT.name, 0)
PARTITIONS = {(model.INPUT.name, partition) for partition in range(4)}
WHOLE_TEST_MS = 600_000
"""Longer than a test may take: what waits this long is never done by waiting."""


@pytest.fixture
async def group(service: Service, system: ModelSystem) -> AsyncIterator[ConsumerGroup]:
    """A group with a real consumer, which has read its partitions to their ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.stack.kafka, fetch_max_wait_ms=LONG_POLL_MS, **kafka._sasl(system.settings_of("alpha"))
    )
    await consumer.start()
    group = service.consumers["main"]
    group.subscriber = SimpleNamespace(consumer=consumer)
    consumer.assign([TopicPartition(*place) for place in PARTITIONS])
    await consumer.seek_to_end()
    group.assigned = set(PARTITIONS)
    group.ready = set(PARTITIONS)
    yield group
    await consumer.stop()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The times in milliseconds that the fetch requests sent so far allow the broker to wait."""
    waits: list[int] = []
    request = fetcher.FetchRequest

    def recorded(max_wait_ms: int, *arguments: Any, **more: Any) -> Any:
        waits.append(max_wait_ms)
        return request(max_wait_ms, *arguments, **more)

    monkeypatch.setattr(fetcher, "FetchRequest", recorded)
    return waits


async def rest(group: ConsumerGroup, monkeypatch: pytest.MonkeyPatch) -> "asyncio.Task[tuple[Any, ...]]":
    """Poll until the group is at rest, and return the poll that waits then."""
    monkeypatch.setattr(group_module, "REST_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(group_module, "REST_POLL_MS", WHOLE_TEST_MS)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while group.kafka._fetcher._fetch_max_wait_ms != WHOLE_TEST_MS:
            assert await group.poll(group.kafka) == ()
    return asyncio.create_task(group.poll(group.kafka))


async def test_at_rest_the_broker_holds_a_request_until_there_is_a_record(
    group: ConsumerGroup, system: ModelSystem, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = await rest(group, monkeypatch)

    async def asked() -> bool:
        return WHOLE_TEST_MS in waits

    await eventually(asked, what="the broker may hold the request")
    system.produce(model.INPUT.name, "a", b"{}", [])
    system.flush()
    records = await asyncio.wait_for(poll, 30)
    assert [record.topic for record in records] == [model.INPUT.name]


async def test_after_a_record_requests_are_short_again(
    group: ConsumerGroup, system: ModelSystem, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition that is resumed is fetched by the next request, so the one before must end soon."""
    poll = await rest(group, monkeypatch)
    system.produce(model.INPUT.name, "a", b"{}", [])
    system.flush()
    await asyncio.wait_for(poll, 30)
    monkeypatch.setattr(group_module, "REST_AFTER_SECONDS", 600.0)
    sent = len(waits)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(waits) == sent:
            await group.poll(group.kafka)
    assert waits[sent] == LONG_POLL_MS


@pytest.mark.parametrize("begins", ["seek", "assignment"])
async def test_a_seek_or_an_assignment_ends_the_rest(
    group: ConsumerGroup, waits: list[int], monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    poll = await rest(group, monkeypatch)
    monkeypatch.setattr(group_module, "REST_AFTER_SECONDS", 600.0)
    if begins == "seek":
        group.seek(*PARTITION, 0)
    else:
        group.on_assigned(set(PARTITIONS))
    assert not group.at_rest
    assert group.kafka._fetcher._fetch_max_wait_ms == LONG_POLL_MS
    poll.cancel()


async def test_a_group_with_a_partition_that_waits_for_a_day_is_not_at_rest(
    group: ConsumerGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "REST_AFTER_SECONDS", -1.0)
    rests = [group.at_rest]
    group.block(*PARTITION)
    rests.append(group.at_rest)
    group.blocked.clear()
    group.halt(*PARTITION, "for this test")
    rests.append(group.at_rest)
    assert rests == [True, False, True]
