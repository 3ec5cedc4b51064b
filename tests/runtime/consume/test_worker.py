"""Each partition has its own worker; the retries and the backlog of one do not affect the others."""

import asyncio
import contextlib
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
from runtime.consume import cursors, group, undecodable
from runtime.consume.assignment import RebalanceListener
from runtime.consume.group import ConsumerGroup
from runtime.consume.worker import WAITING_BATCHES, WAITING_BYTES, Worker
from tests.runtime import model
from tests.runtime.consume.harness import PARTITION, audited, put
from tests.runtime.harness import ModelSystem, dispatch_and_drain, eventually, replace_handlers

OTHER_PARTITION = (PARTITION[0], 1)


def puts(system: ModelSystem, topic_partition: tuple[str, int], offsets: Iterable[int], name: str = "a") -> list[Any]:
    records = [put(system, offset, name) for offset in offsets]
    for record in records:
        record.partition = topic_partition[1]
    return records


@pytest.fixture
async def consumer(service: Service) -> AsyncIterator[ConsumerGroup]:
    """Return a consumer with two partitions, of which one at a time has a session."""
    group = service.consumers["main"]

    async def has_beginnings() -> bool:
        try:
            await cursors.load(service.context, group.name, [PARTITION, OTHER_PARTITION])
        except ConnectionError:
            return False  # the broker does not know the new topic yet
        return True

    await eventually(has_beginnings, what="both partitions' logs have a beginning")
    group.assigned |= {PARTITION, OTHER_PARTITION}
    group.ready |= {PARTITION, OTHER_PARTITION}
    group.slots = asyncio.Semaphore(1)
    yield group
    await asyncio.wait_for(group.on_revoked(), 20)


async def test_a_partition_that_is_retried_indefinitely_does_not_delay_the_others(
    system: ModelSystem, service: Service, consumer: ConsumerGroup
) -> None:
    attempts = 0

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        nonlocal attempts
        if batch.partition == PARTITION[1]:
            attempts += 1
            raise RetryLater("indefinitely")
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch(puts(system, PARTITION, range(3)) + puts(system, OTHER_PARTITION, range(3)))
    for start in (3, 6):

        async def is_applied(start: int = start) -> bool:
            return await audited(service) == list(range(start))

        await eventually(is_applied, what="the other partition is dispatch_and_drain")
        consumer.dispatch(puts(system, OTHER_PARTITION, range(start, start + 3)))
    attempts_before = attempts

    async def attempted_again() -> bool:
        return attempts > attempts_before

    await eventually(attempted_again, what="the first partition is still retried")
    await asyncio.wait_for(consumer.on_revoked(), 5)
    assert (
        await service.context.pool.fetchval(
            "select next_offset from consumer_cursor where partition = 0 and topic = $1", PARTITION[0]
        )
        == 0
    )


async def test_a_worker_that_hangs_does_not_delay_a_rebalance(
    system: ModelSystem, service: Service, consumer: ConsumerGroup
) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    async def hang(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        started.set()
        await released.wait()
        return []

    replace_handlers(consumer, {PARTITION[0]: hang})
    consumer.dispatch(puts(system, PARTITION, [0]))
    await asyncio.wait_for(started.wait(), 20)
    consumer.revoke_timeout = 0.1
    try:
        await asyncio.wait_for(consumer.on_revoked(), 20)
    finally:
        released.set()
    assert consumer.assigned == set()
    consumer.on_assigned({PARTITION})
    consumer.ready.add(PARTITION)
    replace_handlers(consumer, {PARTITION[0]: model.on_put})
    await dispatch_and_drain(consumer, puts(system, PARTITION, [0]))
    assert await audited(service) == [0], "the next worker applies it once"


async def test_a_cancelled_worker_ends_though_its_rollback_fails(
    system: ModelSystem, service: Service, consumer: ConsumerGroup
) -> None:
    """Its partition may have come back meanwhile, and with it a worker of its own."""
    begun, over, tries = asyncio.Event(), asyncio.Event(), 0

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        nonlocal tries
        tries += 1
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await over.wait()
            raise ConnectionError("the session is gone") from None
        return []

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch(puts(system, PARTITION, [0]))
    await asyncio.wait_for(begun.wait(), 20)
    worker, processor = consumer._worker(PARTITION), consumer.processor(*PARTITION)
    consumer.revoke_timeout = 0.1
    await asyncio.wait_for(consumer.on_revoked(), 20)
    consumer.on_assigned({PARTITION})
    assert worker.working
    assert consumer.processor(*PARTITION) is not processor
    over.set()
    await asyncio.wait_for(worker.drain(), 20)
    assert tries == 1


async def test_positioning_ends_with_its_partitions_though_a_failure_takes_the_place_of_its_cancellation(
    consumer: ConsumerGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def lose_the_database(_: Iterable[tuple[str, int]]) -> None:
        if not begun.is_set():
            begun.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        raise ConnectionError("the database is away")

    monkeypatch.setattr(consumer, "position", lose_the_database)
    listener = RebalanceListener()
    listener.group = consumer
    listener._positioning = asyncio.create_task(listener._position())
    await asyncio.wait_for(begun.wait(), 20)
    revoking = asyncio.create_task(listener.on_partitions_revoked(set()))
    done, _ = await asyncio.wait([revoking], timeout=20)
    consumer.interrupt.set()
    await revoking
    assert done


async def test_a_revoked_partition_completes_only_its_transaction_in_flight(
    system: ModelSystem, service: Service, consumer: ConsumerGroup
) -> None:
    started, released = asyncio.Event(), asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        started.set()
        await released.wait()
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch(puts(system, PARTITION, [0]))
    await asyncio.wait_for(started.wait(), 20)
    consumer.dispatch(puts(system, PARTITION, [1, 2]))
    revocation = asyncio.create_task(consumer.on_revoked())
    consumer.dispatch(puts(system, PARTITION, [3]))
    await asyncio.sleep(0)
    revoked = revocation.done()
    released.set()
    await asyncio.wait_for(revocation, 20)
    assert not revoked
    assert await audited(service) == [0]
    assert not consumer.assigned


async def test_a_halt_and_a_seek_discard_queued_records(
    system: ModelSystem, service: Service, consumer: ConsumerGroup
) -> None:
    consumer.dispatch(puts(system, PARTITION, range(3)) + puts(system, OTHER_PARTITION, range(3)))
    consumer.halt(*PARTITION, "poison")
    consumer.seek(*OTHER_PARTITION, 0)
    await consumer.drain()
    assert await audited(service) == []
    await dispatch_and_drain(consumer, puts(system, OTHER_PARTITION, range(2)))
    assert await audited(service) == [0, 1]


def queued_offsets(worker: Worker) -> list[int]:
    return [raw.offset for raw in worker._queue]


async def test_records_that_are_polled_again_replace_queued_ones(system: ModelSystem, consumer: ConsumerGroup) -> None:
    """A poll may return records from before a seek, or both; no record may be in a batch twice."""
    worker = Worker(consumer, *PARTITION)
    worker.put(puts(system, PARTITION, [20, 21, 22]), bulk=False)
    worker.put(puts(system, PARTITION, [23, 24, 18, 19, 20, 21]), bulk=False)
    assert queued_offsets(worker) == [18, 19, 20, 21]
    worker.discard()
    await worker.drain()


async def test_a_partition_with_a_full_queue_is_not_polled(system: ModelSystem, consumer: ConsumerGroup) -> None:
    polled: list[set[tuple[str, int]]] = []

    class Kafka:
        async def getmany(self, *partitions: Any, timeout_ms: int, max_records: int) -> dict[Any, Any]:
            polled.append({tuple(partition) for partition in partitions})
            return {}

    released = asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        await released.wait()
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.largest_batch = 2
    consumer.dispatch(puts(system, PARTITION, range(2 * (WAITING_BATCHES + 1))))
    large = puts(system, OTHER_PARTITION, range(3))
    large[2].value += b" " * WAITING_BYTES
    await consumer.poll(Kafka())
    consumer.dispatch(large)
    await consumer.poll(Kafka())
    released.set()
    await consumer.drain()
    await consumer.poll(Kafka())
    assert polled == [{OTHER_PARTITION}, {PARTITION, OTHER_PARTITION}], "nothing is polled while every queue is full"


class Polled:
    """A Kafka without records that counts its polls."""

    def __init__(self) -> None:
        self.count = 0

    async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        self.count += 1
        return {}


async def test_a_poll_waits_until_what_was_polled_is_applied(
    system: ModelSystem, consumer: ConsumerGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records gather meanwhile, and the next transaction takes them together."""
    monkeypatch.setattr(group, "WORKER_WAIT_SECONDS", 3600.0)
    kafka, started, released = Polled(), asyncio.Event(), asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        started.set()
        await released.wait()
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch(puts(system, PARTITION, [0]))
    poll = asyncio.create_task(consumer.poll(kafka))
    await asyncio.wait_for(started.wait(), 20)
    count = kafka.count
    released.set()
    await asyncio.wait_for(poll, 20)
    assert (count, kafka.count) == (0, 1)
    assert not consumer._worker(PARTITION).working


async def test_polls_wait_only_once_for_a_worker_that_takes_long(
    system: ModelSystem, consumer: ConsumerGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        await released.wait()
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch(puts(system, PARTITION, [0]))
    await asyncio.wait_for(consumer.poll(Polled()), 20)
    monkeypatch.setattr(group, "WORKER_WAIT_SECONDS", 3600.0)
    try:
        await asyncio.wait_for(consumer.poll(Polled()), 20)
    finally:
        released.set()


class UndecodableName(str):
    """A header name that is not UTF-8, as another client may send it."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


async def put_undecodable(system: ModelSystem, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=system.stack.kafka, **kafka._sasl(system.settings_of("alpha")))
    await producer.start()
    batch = producer.create_batch()
    batch._builder = default_records._DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 10_000)
    for offset in range(2):
        batch.append(
            timestamp=1_772_323_200_000, key=b"k", value=b"{}", headers=[(UndecodableName("x"), b"")] if offset else []
        )
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.stop()


def test_the_batch_after_an_undecodable_batch_is_read() -> None:
    fetched = b""
    for base, wrong in ((0, False), (3, True), (6, False)):
        builder = default_records._DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 10_000)
        for offset in range(3):
            builder.append(
                offset, 1, b"k", b"v", [(UndecodableName("x"), b"")] if wrong and offset == 1 else [("x", b"")]
            )
        batch = bytearray(builder.build())
        batch[:8] = base.to_bytes(8, "big")
        fetched += batch
    undecodable.install()
    partition = TopicPartition("t", 0)
    records = fetcher.PartitionRecords(
        partition, MemoryRecords(fetched), [], 0, None, None, False, fetcher.READ_COMMITTED
    )
    decoded = list(records)
    assert [record.offset for record in decoded] == list(range(9))
    assert [record.offset for record in decoded if isinstance(record, undecodable.Undecodable)] == [4, 5]
    assert records.next_fetch_offset == 9


async def test_a_unit_whose_message_is_retried_does_not_delay_other_units(system: ModelSystem) -> None:
    """On the real broker one unit's partition is retried while its neighbour's is consumed."""
    units = [f"model-{system.run}.999901-{letter}.v1" for letter in "ab"]
    system.partitions = 1
    system.create_topics(*units)
    system.partitions = 4
    system.settings["HUTONG_PARALLEL"] = "1"
    gamma = system.start("gamma")

    def unit_put(topic: str, name: str, what: str = "ok") -> None:
        headers = [("ce_id", str(uuid4()).encode()), ("ce_type", b"model.UnitPut.v1"), ("ce_sequence", b"9" * 4400)]
        system.produce(topic, "k", json.dumps({"name": name, "n": 1, "what": what}).encode(), headers, 0)
        system.flush()

    await put_undecodable(system, units[0])
    unit_put(units[0], "stuck", "not yet")

    async def retried() -> bool:
        return len(gamma.logged("event_deferred")) > 1

    await eventually(retried, what="the first unit's message is retried")
    for number in range(3):
        unit_put(units[1], f"neighbour-{number}")

        async def is_applied(number: int = number) -> bool:
            return bool(
                await system.value("alpha", "select count(*) from audit where name like 'neigh%'") == number + 1
            )

        await eventually(is_applied, what="the other unit's message is dispatch_and_drain")
    reason = "in a batch with a header whose name is not UTF-8"
    assert await system.value("alpha", "select count(*) from dead_letter where reason = $1", reason) == 1
    assert await gamma.stop() == 0
