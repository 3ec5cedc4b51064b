"""What a consumer polls, and in which pieces it hands it on."""

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
from tests.runtime.harness import World, applied, handle
from tests.runtime.test_lane import PLACE, audited, put

BATCH = 200
MUCH = 100
MOST = BATCHES_PER_POLL * BATCH


class Scripted:
    """A Kafka that has so many records at each poll, and whose clock is only looked at by those who poll."""

    def __init__(self, *there: int) -> None:
        self.there = list(there)
        self.asked: list[tuple[int, int]] = []
        self.given = 0

    async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[int]]:
        self.asked.append((timeout_ms, max_records))
        many = min(self.there.pop(0) if self.there else 0, max_records)
        start, self.given = self.given, self.given + many
        return {"place": list(range(start, start + many))} if many else {}


def a_consumer(linger_seconds: float) -> ConsumerGroup:
    settings = SimpleNamespace(
        max_records=BATCH, bulk_batch_records=BATCH, bulk_records=MUCH, parallel=2, transaction_timeout=30.0
    )
    subscription = Subscription(
        name="main", group="hutong.model.main", topics=(model.INPUT,), county="", linger_seconds=linger_seconds
    )
    return ConsumerGroup(cast("RuntimeContext", SimpleNamespace(settings=settings)), subscription)


async def polled(consumer: ConsumerGroup, kafka: Scripted) -> list[Any]:
    return list(await consumer.poll(kafka))


async def test_who_does_not_gather_takes_what_there_is_at_once() -> None:
    kafka = Scripted(MUCH, MUCH)
    assert await polled(a_consumer(0.0), kafka) == list(range(MUCH))
    assert kafka.asked == [(LONG_POLL_MS, BATCH)]


async def test_little_is_handed_on_at_once() -> None:
    kafka = Scripted(MUCH - 1, MUCH)
    assert len(await polled(a_consumer(60.0), kafka)) == MUCH - 1


async def test_much_is_gathered_in_order_until_nothing_more_comes() -> None:
    kafka = Scripted(MUCH, 7, 3, 0, 50)
    assert await polled(a_consumer(60.0), kafka) == list(range(MUCH + 10))
    assert kafka.there == [50]


async def test_no_more_is_gathered_than_the_lanes_can_take() -> None:
    kafka = Scripted(MUCH, *[BATCH] * BATCHES_PER_POLL, BATCH)
    assert len(await polled(a_consumer(60.0), kafka)) == MOST
    assert kafka.asked[-1] == (LONG_POLL_MS, BATCH - MUCH)
    assert kafka.there == [BATCH]


async def test_gathering_ends_when_its_time_is_over() -> None:
    kafka = Scripted(*[MUCH] * 3)
    assert len(await polled(a_consumer(1e-9), kafka)) == MUCH


async def test_gathering_ends_when_the_partitions_are_taken() -> None:
    consumer = a_consumer(60.0)
    consumer.interrupt.set()
    assert len(await polled(consumer, Scripted(MUCH, MUCH))) == MUCH


@pytest.fixture
async def in_threes(service_with: Callable[..., Awaitable[Service]]) -> Service:
    """The service, with batches of three."""
    return await service_with(max_records=3)


async def batches_of(world: World, service: Service, *polls: Sequence[int]) -> list[list[int]]:
    """What the handler was given of these polls."""
    given: list[list[int]] = []

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        given.append([one.event.n for one in batch.events])
        return await model.on_put(batch, tx)

    consumer = service.consumers["main"]
    handle(consumer, {PLACE[0]: on_put})
    for offsets in polls:
        await applied(consumer, [put(world, offset) for offset in offsets])
    return given


async def test_what_is_more_than_a_batch_is_applied_in_pieces_and_in_order(world: World, in_threes: Service) -> None:
    assert await batches_of(world, in_threes, range(8)) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert await audited(in_threes) == list(range(8))


async def test_what_follows_a_piece_that_did_not_pass_waits_with_it(world: World, in_threes: Service) -> None:
    """A jump of the log is read again from the cursor; were the second piece tried, it would be another jump."""
    after = range(5, 11)
    assert await batches_of(world, in_threes, after, after) == [[5, 6, 7], [8, 9, 10]]
    assert await audited(in_threes) == list(after)


async def test_what_is_computed_aside_holds_up_nobody() -> None:
    served = threading.Event()

    async def somebody() -> None:
        served.set()

    computed, _ = await asyncio.gather(run_in_thread(10_000, served.wait, 5), somebody())
    assert computed, "the loop was free meanwhile"
