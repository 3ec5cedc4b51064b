"""While more of a file arrives, snapshots are coalesced; the newest of each key is emitted once and never lost."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from runtime import Batch, OutboundEvent, Service, Tx, partition_of
from runtime.consume.attempt import BatchAttempt
from runtime.consume.group import BULK_IDLE_SECONDS, COALESCE_SECONDS
from runtime.consume.partition import PartitionProcessor
from runtime.consume.reading import BatchReader
from runtime.handlers import InboundEvent
from runtime.observe.failpoints import EXIT_CODE
from tests.runtime import model
from tests.runtime.consume.harness import DAY_1, PARTITION, produce_step, produce_watermark, put
from tests.runtime.harness import ModelSystem, a_processor, dispatch_and_drain, eventually, keys_of, replace_handlers

BULK_RECORDS = 100


class StepSnapshot(model.Step):
    """A snapshot on the topic of ``Step``."""

    kind = "model.StepSnapshot.v1"
    snapshot = True


async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
    """Emit a step and a snapshot for every event."""
    await model.fold(batch, tx)
    outbound = []
    for inbound in batch.events:
        name, n = inbound.event.name, inbound.event.n
        outbound.append(inbound.emit(model.Step(name=name, n=n, digest="")))
        outbound.append(
            inbound.emit(StepSnapshot(name=name, n=n, digest=""), bypass_coalescing=inbound.event.what == "at once")
        )
        if inbound.event.what == "bug":
            raise KeyError("a bug")
    return outbound


@pytest.fixture
def processor(service: Service) -> PartitionProcessor:
    consumer = service.consumers["main"]
    consumer.subscription = replace(consumer.subscription, coalesce=True, linger_seconds=0.01)
    service.context.outbox._coalesces = True
    replace_handlers(consumer, {PARTITION[0]: on_put})
    return consumer.processor(*PARTITION)


async def coalesced(service: Service) -> list[str]:
    """Return the keys of the coalesced snapshots."""
    return [row["key"].decode() for row in await service.context.pool.fetch("select key from coalesced order by key")]


async def emitted(service: Service) -> list[tuple[str, int]]:
    """Return name and number of the emitted snapshots, in order."""
    snapshots = []
    for row in await service.context.pool.fetch("select value, headers from outbox order by position"):
        if b"model.StepSnapshot.v1" in row["headers"].split(b"\x00"):
            snapshot = StepSnapshot.model_validate_json(row["value"])
            snapshots.append((snapshot.name, snapshot.n))
    return snapshots


def has_coalesced(processor: PartitionProcessor) -> bool:
    return processor.coalescing_since is not None


async def test_the_newest_snapshot_of_each_key_is_emitted_when_no_more_records_arrive(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.apply([put(system, 0, "b"), put(system, 1, "a")], more_to_come=True)
    await processor.apply([put(system, 2, "b")], more_to_come=True)
    assert (await coalesced(service), await emitted(service)) == (["a", "b"], [])
    assert await service.context.pool.fetchval("select count(*) from outbox") == 3, "only snapshots are coalesced"
    await processor.flush_coalesced()
    assert (await coalesced(service), sorted(await emitted(service))) == ([], [("a", 1), ("b", 2)])
    assert not has_coalesced(processor)


async def test_a_snapshot_is_emitted_immediately_when_no_more_records_are_expected(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.apply([put(system, 0, "a")])
    assert (await coalesced(service), await emitted(service)) == ([], [("a", 0)])


async def test_a_snapshot_that_bypasses_coalescing_is_emitted_immediately(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.apply([put(system, 0, "a", "at once"), put(system, 1, "b")], more_to_come=True)
    assert (await coalesced(service), await emitted(service)) == (["b"], [("a", 0)])


async def test_a_newer_snapshot_replaces_the_coalesced_one(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    """The newer one may come from any partition; an older snapshot never follows a newer one."""
    await processor.apply([put(system, 0, "a"), put(system, 1, "b"), put(system, 2, "c")], more_to_come=True)
    await processor.apply([put(system, 3, "a", "at once")], more_to_come=True)
    inbound = InboundEvent(model.Put(name="b", n=4), system.envelope("model.Put.v1", "b"), "", 1, 0)
    async with service.context.pool.acquire() as session, session.transaction():
        rows = service.context.outbox.rows([inbound.emit(StepSnapshot(name="b", n=4, digest=""))])
        await service.context.outbox.write(session, next(iter(service.context.producer_ids.values())), rows)
    await processor.flush_coalesced()
    assert await emitted(service) == [("a", 3), ("b", 4), ("c", 2)]


async def test_a_newer_snapshot_follows_the_one_that_bypasses_coalescing(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.apply([put(system, 0, "a", "at once"), put(system, 1, "a"), put(system, 2, "b")], more_to_come=True)
    assert (await coalesced(service), await emitted(service)) == (["b"], [("a", 0), ("a", 1)])


@pytest.mark.parametrize(("what", "more"), [("ok", False), ("at once", True)])
async def test_coalesced_snapshots_are_emitted_before_newer_ones_when_a_day_is_completed(
    system: ModelSystem,
    service: Service,
    processor: PartitionProcessor,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    more: bool,
) -> None:
    """The batch that completes the day emits a newer snapshot itself."""
    await processor.apply([put(system, 0, "a")], more_to_come=True)
    read = BatchReader._read

    def completing_read(self: BatchReader, raw: Any, attempt: BatchAttempt, *more: Any) -> bool:
        attempt.completes_day = read(self, raw, attempt, *more) or raw.offset == 1
        return attempt.completes_day

    monkeypatch.setattr(BatchReader, "_read", completing_read)
    await processor.apply([put(system, 1, "a", what)], more_to_come=more)
    assert await emitted(service) == [("a", 0), ("a", 1)]


async def test_a_batch_that_is_not_committed_coalesces_nothing(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.apply([put(system, 0, "a"), put(system, 1, "ill", "bug"), put(system, 2, "b")], more_to_come=True)
    assert await coalesced(service) == ["a", "b"]
    await processor.flush_coalesced()
    assert sorted(await emitted(service)) == [("a", 0), ("b", 2)]
    assert (
        await service.context.pool.fetchval("select next_offset from consumer_cursor where topic = $1", PARTITION[0])
        == 3
    )


async def test_many_coalesced_snapshots_are_flushed_in_parts(
    system: ModelSystem, service: Service, processor: PartitionProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.consume.coalescing._FLUSH_ROWS", 3)
    await processor.apply([put(system, n, name) for n, name in enumerate("gfedcba")], more_to_come=True)
    assert await processor.apply(())
    assert await coalesced(service) == ["d", "e", "f", "g"]
    await processor.flush_coalesced()
    assert sorted(name for name, _ in await emitted(service)) == list("abcdefg")
    assert await service.context.pool.fetchval("select count(distinct (topic, partition, seq)) from outbox") == 14


async def test_a_newly_assigned_partition_emits_what_its_former_owner_coalesced(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    """The former owner died or gave up the partition."""
    consumer = service.consumers["main"]
    await processor.apply([put(system, 0, "a")], more_to_come=True)
    consumer.on_assigned(set())
    consumer.on_assigned({PARTITION})
    consumer.ready.add(PARTITION)
    consumer.flush_coalesced()
    await consumer.drain()
    assert await emitted(service) == [("a", 0)]


async def test_a_reassigned_partition_emits_what_was_coalesced_meanwhile(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    """A successor had the partition and died before this process noticed."""
    consumer = service.consumers["main"]
    await processor.flush_coalesced()
    assert not has_coalesced(processor)
    await a_processor(consumer).apply([put(system, 0, "a")], more_to_come=True)
    consumer.on_assigned({PARTITION})
    consumer.ready.add(PARTITION)
    consumer.flush_coalesced()
    await consumer.drain()
    assert await emitted(service) == [("a", 0)]


async def test_a_halted_partition_emits_its_coalesced_snapshots(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    """Snapshots of healthy events do not wait for an unhealthy one."""
    consumer = service.consumers["main"]
    await processor.apply([put(system, 0, "a")], more_to_come=True)
    consumer.halt(*PARTITION, "poison")
    consumer.flush_coalesced()
    await consumer.drain()
    assert await emitted(service) == [("a", 0)]


async def test_a_fenced_batch_may_have_left_coalesced_snapshots(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    await processor.flush_coalesced()
    assert not has_coalesced(processor)
    batch = [put(system, 0, "a")]
    await a_processor(service.consumers["main"]).apply(batch, more_to_come=True)
    await processor.apply(batch, more_to_come=True)  # fenced
    assert has_coalesced(processor)
    await processor.flush_coalesced()
    assert await emitted(service) == [("a", 0)]


async def test_coalesced_snapshots_are_emitted_only_when_the_file_has_ended(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    consumer = service.consumers["main"]
    more_available = True

    class Kafka:
        async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
            return {"place": [put(system, n, f"n{n % 3}") for n in range(BULK_RECORDS)]} if more_available else {}

    await dispatch_and_drain(consumer, await consumer.poll(Kafka()))
    more_available = False
    await consumer.poll(Kafka())
    consumer.flush_coalesced()
    await consumer.drain()
    assert await emitted(service) == [], "a file has ended only after a moment without its records"
    ended = asyncio.get_running_loop().time()

    async def is_emitted() -> bool:
        consumer.flush_coalesced()
        await consumer.drain()
        return bool(await emitted(service))

    await eventually(is_emitted, what="the snapshots are emitted")
    assert sorted(name for name, _ in await emitted(service)) == ["n0", "n1", "n2"]
    assert asyncio.get_running_loop().time() - ended > BULK_IDLE_SECONDS / 2


async def test_single_records_after_a_file_do_not_prolong_coalescing(
    system: ModelSystem, service: Service, processor: PartitionProcessor
) -> None:
    """Single records arrive all year; the snapshots of a file do not wait for them."""
    consumer = service.consumers["main"]
    offset = 0

    class Kafka:
        def __init__(self, many: int) -> None:
            self.many = many

        async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
            nonlocal offset
            offset += self.many
            return {"place": [put(system, n, f"n{n % 3}") for n in range(offset - self.many, offset)]}

    await dispatch_and_drain(consumer, await consumer.poll(Kafka(BULK_RECORDS)))
    assert (await coalesced(service), await emitted(service)) == (["n0", "n1", "n2"], [])

    async def is_emitted() -> bool:
        await dispatch_and_drain(consumer, await consumer.poll(Kafka(1)))
        consumer.flush_coalesced()
        await consumer.drain()
        return not await coalesced(service)

    await eventually(is_emitted, timeout_seconds=10 * BULK_IDLE_SECONDS, what="the snapshots are emitted")


async def test_coalesced_snapshots_are_emitted_after_the_longest_coalescing_time(
    system: ModelSystem, service: Service, processor: PartitionProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = service.consumers["main"]
    monkeypatch.setattr("runtime.consume.group.BULK_IDLE_SECONDS", 1000.0)
    consumer._bulk_at = asyncio.get_running_loop().time()
    await processor.flush_coalesced()
    await dispatch_and_drain(consumer, [put(system, 0, "a")])
    consumer.flush_coalesced()
    await consumer.drain()
    assert (await coalesced(service), await emitted(service)) == (["a"], [])
    assert processor.coalescing_since is not None
    processor._coalescing.since = processor.coalescing_since - COALESCE_SECONDS
    consumer.flush_coalesced()
    await consumer.drain()
    assert (await coalesced(service), await emitted(service)) == ([], [("a", 0)])


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
async def test_the_successor_of_a_killed_process_emits_its_coalesced_snapshots(system: ModelSystem, point: str) -> None:
    """The process is killed while it coalesces and while it flushes."""
    system.start("alpha")
    system.produce_puts(400)
    await system.wait_until_applied("alpha")
    for nth in (1, 5):
        doomed = system.start("beta", HUTONG_KILL_AT=f"{point}:{nth}", HUTONG_MAX_RECORDS="1000")
        assert await doomed.wait_for_exit() == EXIT_CODE
    system.start("beta")
    await system.assert_exactly_once("alpha", "beta")
    snapshot_keys = keys_of(system.records_of(system.end), "model.TallySnapshot.v1")
    assert len(snapshot_keys) < 200, "one snapshot for many events"


async def test_coalesced_snapshots_precede_the_watermark_of_their_day(system: ModelSystem) -> None:
    """The watermark comes in the same batch; the coalesced snapshots precede it in the log."""
    for number in range(BULK_RECORDS + 20):
        produce_step(system, 9, number, "a", 0)
    for producer in range(4):
        produce_watermark(system, producer, DAY_1)
    system.start("beta")

    async def completing_read() -> bool:
        return bool(await system.value("beta", "select count(*) > 0 from day_state where day = $1", DAY_1))

    await eventually(completing_read, what="the day is completed")

    async def published() -> bool:
        return await system.is_drained("beta")

    await eventually(published, what="everything is published")
    day_producer = await system.value("beta", "select producer_id from producer where topic = '@day' and partition = 0")
    records = [
        record for record in system.records_of(system.end) if record.partition() == partition_of("a", system.partitions)
    ]
    kinds = [
        (headers["ce_type"], headers["ce_producerid"]) for headers in (dict(record.headers()) for record in records)
    ]
    snapshots = [position for position, (kind, _) in enumerate(kinds) if kind == b"model.TallySnapshot.v1"]
    assert snapshots[-1] < kinds.index((b"clock.DayWatermark.v1", b"%d" % day_producer))
