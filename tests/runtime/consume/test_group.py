"""What a consumer group polls, how long it lingers and how it cuts batches."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime import Batch, OutboundEvent, Service, Tx, run_in_thread
from runtime.consume.group import BATCHES_PER_POLL, LONG_POLL_MS, ConsumerGroup
from runtime.context import RuntimeContext
from runtime.subscription import Subscription
from tests.runtime import model
from tests.runtime.consume.harness import PARTITION, audited, put
from tests.runtime.harness import ModelSystem, dispatch_and_drain, replace_handlers

BATCH = 200
BULK = 100
MAX_PER_POLL = BATCHES_PER_POLL * BATCH


class ScriptedConsumer:
    """A Kafka consumer that returns a given number of records at each poll."""

    def __init__(self, *available: int) -> None:
        self.available = list(available)
        self.polls: list[tuple[int, int]] = []
        self.returned = 0

    async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[int]]:
        self.polls.append((timeout_ms, max_records))
        count = min(self.available.pop(0) if self.available else 0, max_records)
        start, self.returned = self.returned, self.returned + count
        return {"place": list(range(start, start + count))} if count else {}


def a_group(linger_seconds: float) -> ConsumerGroup:
    settings = SimpleNamespace(
        max_records=BATCH, bulk_batch_records=BATCH, bulk_records=BULK, parallel=2, transaction_timeout=30.0
    )
    subscription = Subscription(
        name="main", group="hutong.model.main", topics=(model.INPUT,), county="", linger_seconds=linger_seconds
    )
    return ConsumerGroup(cast("RuntimeContext", SimpleNamespace(settings=settings)), subscription)


async def polled(consumer: ConsumerGroup, kafka: ScriptedConsumer) -> list[Any]:
    return list(await consumer.poll(kafka))


async def test_a_group_without_lingering_returns_the_available_records_immediately() -> None:
    kafka = ScriptedConsumer(BULK, BULK)
    assert await polled(a_group(0.0), kafka) == list(range(BULK))
    assert kafka.polls == [(LONG_POLL_MS, BATCH)]


async def test_few_records_are_returned_immediately() -> None:
    kafka = ScriptedConsumer(BULK - 1, BULK)
    assert len(await polled(a_group(60.0), kafka)) == BULK - 1


async def test_bulk_records_are_collected_in_order_until_no_more_arrive() -> None:
    kafka = ScriptedConsumer(BULK, 7, 3, 0, 50)
    assert await polled(a_group(60.0), kafka) == list(range(BULK + 10))
    assert kafka.available == [50]


async def test_lingering_ends_when_the_batches_of_a_poll_are_full() -> None:
    kafka = ScriptedConsumer(BULK, *[BATCH] * BATCHES_PER_POLL, BATCH)
    assert len(await polled(a_group(60.0), kafka)) == MAX_PER_POLL
    assert kafka.polls[-1] == (LONG_POLL_MS, BATCH - BULK)
    assert kafka.available == [BATCH]


async def test_lingering_ends_after_linger_seconds() -> None:
    kafka = ScriptedConsumer(*[BULK] * 3)
    assert len(await polled(a_group(1e-9), kafka)) == BULK


async def test_lingering_ends_when_the_partitions_are_revoked() -> None:
    consumer = a_group(60.0)
    consumer.interrupt.set()
    assert len(await polled(consumer, ScriptedConsumer(BULK, BULK))) == BULK


@pytest.fixture
async def small_batches(service_with: Callable[..., Awaitable[Service]]) -> Service:
    """Return the service with batches of three records."""
    return await service_with(max_records=3)


async def batches_of(system: ModelSystem, service: Service, *polls: Sequence[int]) -> list[list[int]]:
    """Return the batches, as event numbers, that the handler received for these polls."""
    batches: list[list[int]] = []

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        batches.append([inbound.event.n for inbound in batch.events])
        return await model.on_put(batch, tx)

    consumer = service.consumers["main"]
    replace_handlers(consumer, {PARTITION[0]: on_put})
    for offsets in polls:
        await dispatch_and_drain(consumer, [put(system, offset) for offset in offsets])
    return batches


async def test_more_records_than_one_batch_are_applied_in_batches_and_in_order(
    system: ModelSystem, small_batches: Service
) -> None:
    assert await batches_of(system, small_batches, range(8)) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert await audited(small_batches) == list(range(8))


async def test_batches_behind_a_rejected_batch_wait_with_it(system: ModelSystem, small_batches: Service) -> None:
    """An offset gap is read again from the cursor; the second batch would be another gap if it were applied."""
    after_gap = range(5, 11)
    assert await batches_of(system, small_batches, after_gap, after_gap) == [[5, 6, 7], [8, 9, 10]]
    assert await audited(small_batches) == list(after_gap)


async def test_a_computation_in_a_thread_does_not_block_the_event_loop() -> None:
    entered = threading.Event()

    async def enter() -> None:
        entered.set()

    computed, _ = await asyncio.gather(run_in_thread(10_000, entered.wait, 5), enter())
    assert computed, "the event loop was free meanwhile"
