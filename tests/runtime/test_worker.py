"""Each partition has a worker of its own: what one tries again, or has too much of, is no matter of the others."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords

from runtime import Batch, OutboundEvent, RetryLater, Service, Tx, kafka
from runtime.consume import cursors, undecodable
from runtime.consume.group import ConsumerGroup
from runtime.consume.worker import WAITING_BATCHES, WAITING_BYTES, Worker
from tests.runtime import model
from tests.runtime.harness import World, applied, eventually, handle
from tests.runtime.test_lane import PLACE, audited, put

OTHER = (PLACE[0], 1)


def puts(world: World, place: tuple[str, int], offsets: Iterable[int], name: str = "a") -> list[Any]:
    records = [put(world, offset, name) for offset in offsets]
    for record in records:
        record.partition = place[1]
    return records


@pytest.fixture
async def consumer(service: Service) -> AsyncIterator[ConsumerGroup]:
    """With two partitions, of which one at a time has a session."""
    found = service.consumers["main"]

    async def begun() -> bool:
        try:
            await cursors.load(service.context, found.name, [PLACE, OTHER])
        except ConnectionError:
            return False  # made a moment ago: its broker does not know it yet
        return True

    await eventually(begun, what="both partitions' logs have a beginning")
    found.assigned |= {PLACE, OTHER}
    found.ready |= {PLACE, OTHER}
    found.slots = asyncio.Semaphore(1)
    yield found
    await asyncio.wait_for(found.on_revoked(), 20)


async def test_a_partition_that_is_tried_again_for_ever_holds_up_no_other(
    world: World, service: Service, consumer: ConsumerGroup
) -> None:
    tries = 0

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        nonlocal tries
        if batch.partition == PLACE[1]:
            tries += 1
            raise RetryLater("for ever")
        return await model.on_put(batch, tx)

    handle(consumer, {PLACE[0]: on_put})
    consumer.dispatch(puts(world, PLACE, range(3)) + puts(world, OTHER, range(3)))
    for start in (3, 6):

        async def done(start: int = start) -> bool:
            return await audited(service) == list(range(start))

        await eventually(done, what="the other partition is applied")
        consumer.dispatch(puts(world, OTHER, range(start, start + 3)))
    before = tries

    async def again() -> bool:
        return tries > before

    await eventually(again, what="it is tried again, all the same")
    await asyncio.wait_for(consumer.on_revoked(), 5)
    assert (
        await service.context.pool.fetchval(
            "select next_offset from consumer_cursor where partition = 0 and topic = $1", PLACE[0]
        )
        == 0
    )


async def test_a_worker_that_never_ends_does_not_hold_up_a_rebalance(
    world: World, service: Service, consumer: ConsumerGroup
) -> None:
    begun = asyncio.Event()

    async def never(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        begun.set()
        await asyncio.Event().wait()
        return []

    handle(consumer, {PLACE[0]: never})
    consumer.dispatch(puts(world, PLACE, [0]))
    await asyncio.wait_for(begun.wait(), 20)
    consumer.revoke_timeout = 0.1
    await asyncio.wait_for(consumer.on_revoked(), 20)
    assert consumer.assigned == set()
    consumer.on_assigned({PLACE})
    consumer.ready.add(PLACE)
    handle(consumer, {PLACE[0]: model.on_put})
    await applied(consumer, puts(world, PLACE, [0]))
    assert await audited(service) == [0], "it is applied once, by the worker that follows"


async def test_what_is_taken_away_ends_with_the_transaction_in_flight(
    world: World, service: Service, consumer: ConsumerGroup
) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        begun.set()
        await over.wait()
        return await model.on_put(batch, tx)

    handle(consumer, {PLACE[0]: on_put})
    consumer.dispatch(puts(world, PLACE, [0]))
    await asyncio.wait_for(begun.wait(), 20)
    consumer.dispatch(puts(world, PLACE, [1, 2]))
    taking = asyncio.create_task(consumer.on_revoked())
    consumer.dispatch(puts(world, PLACE, [3]))
    await asyncio.sleep(0)
    done = taking.done()
    over.set()
    await asyncio.wait_for(taking, 20)
    assert not done
    assert await audited(service) == [0]
    assert not consumer.assigned


async def test_what_is_halted_or_read_from_elsewhere_is_not_applied_from_the_queue(
    world: World, service: Service, consumer: ConsumerGroup
) -> None:
    consumer.dispatch(puts(world, PLACE, range(3)) + puts(world, OTHER, range(3)))
    consumer.halt(*PLACE, "poison")
    consumer.seek(*OTHER, 0)
    await consumer.drain()
    assert await audited(service) == []
    await applied(consumer, puts(world, OTHER, range(2)))
    assert await audited(service) == [0, 1]


def queued(worker: Worker) -> list[int]:
    return [raw.offset for raw in worker._queue]


async def test_what_is_polled_again_takes_the_place_of_what_was_polled_before(
    world: World, consumer: ConsumerGroup
) -> None:
    """A poll may bring what was asked for before a seek, or both: nothing may stand in a batch twice."""
    worker = Worker(consumer, *PLACE)
    worker.put(puts(world, PLACE, [20, 21, 22]), bulk=False)
    worker.put(puts(world, PLACE, [23, 24, 18, 19, 20, 21]), bulk=False)
    assert queued(worker) == [18, 19, 20, 21]
    worker.discard()
    await worker.drain()


async def test_a_partition_of_which_enough_waits_is_not_polled(world: World, consumer: ConsumerGroup) -> None:
    polled: list[set[tuple[str, int]]] = []

    class Kafka:
        async def getmany(self, *places: Any, timeout_ms: int, max_records: int) -> dict[Any, Any]:
            polled.append({tuple(place) for place in places})
            return {}

    over = asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        await over.wait()
        return await model.on_put(batch, tx)

    handle(consumer, {PLACE[0]: on_put})
    consumer.largest_batch = 2
    consumer.dispatch(puts(world, PLACE, range(2 * WAITING_BATCHES)))
    large = puts(world, OTHER, [0])
    large[0].value += b" " * WAITING_BYTES
    await consumer.poll(Kafka())
    consumer.dispatch(large)
    await consumer.poll(Kafka())
    over.set()
    await consumer.drain()
    await consumer.poll(Kafka())
    assert polled == [{OTHER}, {PLACE, OTHER}], "with nobody who could take more nothing is polled"


class NoName(str):
    """A header's name that is not UTF-8, as a client of another make may send it."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


async def put_undecodable(world: World, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=world.stack.kafka, **kafka._sasl(world.of("alpha")))
    await producer.start()
    batch = producer.create_batch()
    batch._builder = default_records._DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 10_000)
    for offset in range(2):
        batch.append(timestamp=1_772_323_200_000, key=b"k", value=b"{}", headers=[(NoName("x"), b"")] if offset else [])
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.stop()


def test_behind_a_batch_that_cannot_be_decoded_the_next_is_read() -> None:
    fetched = b""
    for base, wrong in ((0, False), (3, True), (6, False)):
        builder = default_records._DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 10_000)
        for offset in range(3):
            builder.append(offset, 1, b"k", b"v", [(NoName("x"), b"")] if wrong and offset == 1 else [("x", b"")])
        batch = bytearray(builder.build())
        batch[:8] = base.to_bytes(8, "big")
        fetched += batch
    undecodable.install()
    place = TopicPartition("t", 0)
    records = fetcher.PartitionRecords(place, MemoryRecords(fetched), [], 0, None, None, False, fetcher.READ_COMMITTED)
    found = list(records)
    assert [record.offset for record in found] == list(range(9))
    assert [record.offset for record in found if isinstance(record, undecodable.Undecodable)] == [4, 5]
    assert records.next_fetch_offset == 9


async def test_a_units_message_that_cannot_work_yet_holds_up_no_other_units(world: World) -> None:
    """On the real broker: its partition stands, and says so, while the neighbour's is read."""
    units = [f"model-{world.run}.999901-{letter}.v1" for letter in "ab"]
    world.partitions = 1
    world.make_topics(*units)
    world.partitions = 4
    world.settings["HUTONG_PARALLEL"] = "1"
    gamma = world.start("gamma")

    def unit_put(topic: str, name: str, what: str = "ok") -> None:
        headers = [("ce_id", str(uuid4()).encode()), ("ce_type", b"model.UnitPut.v1"), ("ce_sequence", b"9" * 4400)]
        world.raw(topic, "k", json.dumps({"name": name, "n": 1, "what": what}).encode(), headers, 0)
        world.flush()

    await put_undecodable(world, units[0])
    unit_put(units[0], "stuck", "not yet")

    async def tried() -> bool:
        return len(gamma.said("event_deferred")) > 1

    await eventually(tried, what="the one is tried again")
    for number in range(3):
        unit_put(units[1], f"neighbour-{number}")

        async def heard(number: int = number) -> bool:
            return bool(await world.value("alpha", "select count(*) from audit where name like 'neigh%'") == number + 1)

        await eventually(heard, what="the other's is applied")
    reason = "in a batch with a header whose name is not UTF-8"
    assert await world.value("alpha", "select count(*) from dead_letter where reason = $1", reason) == 1
    assert await gamma.stop() == 0
