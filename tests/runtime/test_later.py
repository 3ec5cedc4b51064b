"""Snapshots that are kept back while more of a file comes: said once, the newest of each, and never forgotten."""

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
from tests.runtime.harness import World, a_processor, applied, eventually, handle, names_of
from tests.runtime.test_days import DAY_1, mark, step
from tests.runtime.test_lane import PLACE, put

MUCH = 100


class Stood(model.Step):
    """What the lane's service says here: a snapshot on its own topic."""

    kind = "model.Stood.v1"
    snapshot = True


async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
    """A step of everything, and where the name stands after it."""
    await model.fold(batch, tx)
    said = []
    for one in batch.events:
        name, n = one.event.name, one.event.n
        said.append(one.emit(model.Step(name=name, n=n, digest="")))
        said.append(one.emit(Stood(name=name, n=n, digest=""), bypass_coalescing=one.event.what == "at once"))
        if one.event.what == "bug":
            raise KeyError("a bug")
    return said


@pytest.fixture
def lane(service: Service) -> PartitionProcessor:
    consumer = service.consumers["main"]
    consumer.subscription = replace(consumer.subscription, coalesce=True, linger_seconds=0.01)
    service.context.outbox._coalesces = True
    handle(consumer, {PLACE[0]: on_put})
    return consumer.processor(*PLACE)


async def waiting(service: Service) -> list[str]:
    return [row["key"].decode() for row in await service.context.pool.fetch("select key from coalesced order by key")]


async def said(service: Service) -> list[tuple[str, int]]:
    """The snapshots that were said, in order: name and number."""
    found = []
    for row in await service.context.pool.fetch("select value, headers from outbox order by position"):
        if b"model.Stood.v1" in row["headers"].split(b"\x00"):
            stood = Stood.model_validate_json(row["value"])
            found.append((stood.name, stood.n))
    return found


def keeps(lane: PartitionProcessor) -> bool:
    return lane.coalescing_since is not None


async def test_the_newest_of_each_is_said_when_no_more_comes(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    await lane.apply([put(world, 0, "b"), put(world, 1, "a")], more_to_come=True)
    await lane.apply([put(world, 2, "b")], more_to_come=True)
    assert (await waiting(service), await said(service)) == (["a", "b"], [])
    assert await service.context.pool.fetchval("select count(*) from outbox") == 3, "only snapshots wait"
    await lane.flush_coalesced()
    assert (await waiting(service), sorted(await said(service))) == ([], [("a", 1), ("b", 2)])
    assert not keeps(lane)


async def test_who_is_not_told_that_more_comes_says_it_at_once(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    await lane.apply([put(world, 0, "a")])
    assert (await waiting(service), await said(service)) == ([], [("a", 0)])


async def test_what_goes_at_once_is_not_kept_back(world: World, service: Service, lane: PartitionProcessor) -> None:
    await lane.apply([put(world, 0, "a", "at once"), put(world, 1, "b")], more_to_come=True)
    assert (await waiting(service), await said(service)) == (["b"], [("a", 0)])


async def test_what_was_kept_back_gives_way_to_what_is_said_now(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    """By whichever lane: an older snapshot never follows a newer one."""
    await lane.apply([put(world, 0, "a"), put(world, 1, "b"), put(world, 2, "c")], more_to_come=True)
    await lane.apply([put(world, 3, "a", "at once")], more_to_come=True)
    heard = InboundEvent(model.Put(name="b", n=4), world.envelope("model.Put.v1", "b"), "", 1, 0)
    async with service.context.pool.acquire() as session, session.transaction():
        rows = service.context.outbox.rows([heard.emit(Stood(name="b", n=4, digest=""))])
        await service.context.outbox.write(session, next(iter(service.context.producer_ids.values())), rows)
    await lane.flush_coalesced()
    assert await said(service) == [("a", 3), ("b", 4), ("c", 2)]


async def test_of_two_of_one_key_the_newer_is_said_after_what_goes_at_once(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    await lane.apply([put(world, 0, "a", "at once"), put(world, 1, "a"), put(world, 2, "b")], more_to_come=True)
    assert (await waiting(service), await said(service)) == (["b"], [("a", 0), ("a", 1)])


@pytest.mark.parametrize(("what", "more"), [("ok", False), ("at once", True)])
async def test_before_a_day_ends_the_older_is_said_first(
    world: World, service: Service, lane: PartitionProcessor, monkeypatch: pytest.MonkeyPatch, what: str, more: bool
) -> None:
    """The batch that ends the day has something newer itself."""
    await lane.apply([put(world, 0, "a")], more_to_come=True)
    read = BatchReader._read

    def read_marked(self: BatchReader, raw: Any, attempt: BatchAttempt, *more: Any) -> bool:
        attempt.completes_day = read(self, raw, attempt, *more) or raw.offset == 1
        return attempt.completes_day

    monkeypatch.setattr(BatchReader, "_read", read_marked)
    await lane.apply([put(world, 1, "a", what)], more_to_come=more)
    assert await said(service) == [("a", 0), ("a", 1)]


async def test_nothing_is_kept_of_what_was_not_committed(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    await lane.apply([put(world, 0, "a"), put(world, 1, "ill", "bug"), put(world, 2, "b")], more_to_come=True)
    assert await waiting(service) == ["a", "b"]
    await lane.flush_coalesced()
    assert sorted(await said(service)) == [("a", 0), ("b", 2)]
    assert (
        await service.context.pool.fetchval("select next_offset from consumer_cursor where topic = $1", PLACE[0]) == 3
    )


async def test_much_is_said_a_part_at_a_time(
    world: World, service: Service, lane: PartitionProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.consume.coalescing._FLUSH_ROWS", 3)
    await lane.apply([put(world, n, name) for n, name in enumerate("gfedcba")], more_to_come=True)
    assert await lane.apply(())
    assert await waiting(service) == ["d", "e", "f", "g"]
    await lane.flush_coalesced()
    assert sorted(name for name, _ in await said(service)) == list("abcdefg")
    assert await service.context.pool.fetchval("select count(distinct (topic, partition, seq)) from outbox") == 14


async def test_a_lane_that_begins_says_what_was_kept_before_it(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    """By a process that died, or that had the partition until now."""
    consumer = service.consumers["main"]
    await lane.apply([put(world, 0, "a")], more_to_come=True)
    consumer.on_assigned(set())
    consumer.on_assigned({PLACE})
    consumer.ready.add(PLACE)
    consumer.flush_coalesced()
    await consumer.drain()
    assert await said(service) == [("a", 0)]


async def test_a_lane_that_is_given_again_says_what_was_kept_meanwhile(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    """By a successor that died before this process knew that it had had one."""
    consumer = service.consumers["main"]
    await lane.flush_coalesced()
    assert not keeps(lane)
    await a_processor(consumer).apply([put(world, 0, "a")], more_to_come=True)
    consumer.on_assigned({PLACE})
    consumer.ready.add(PLACE)
    consumer.flush_coalesced()
    await consumer.drain()
    assert await said(service) == [("a", 0)]


async def test_a_lane_that_is_halted_says_what_it_had_kept(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    """Children of healthy events do not wait for one that is none."""
    consumer = service.consumers["main"]
    await lane.apply([put(world, 0, "a")], more_to_come=True)
    consumer.halt(*PLACE, "poison")
    consumer.flush_coalesced()
    await consumer.drain()
    assert await said(service) == [("a", 0)]


async def test_a_batch_whose_commit_was_not_heard_of_may_have_kept_something(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    await lane.flush_coalesced()
    assert not keeps(lane)
    batch = [put(world, 0, "a")]
    await a_processor(service.consumers["main"]).apply(batch, more_to_come=True)
    await lane.apply(batch, more_to_come=True)  # fenced
    assert keeps(lane)
    await lane.flush_coalesced()
    assert await said(service) == [("a", 0)]


async def test_it_is_said_when_it_is_quiet_and_not_before(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    consumer = service.consumers["main"]
    found = True

    class Kafka:
        async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
            return {"place": [put(world, n, f"n{n % 3}") for n in range(MUCH)]} if found else {}

    await applied(consumer, await consumer.poll(Kafka()))
    found = False
    await consumer.poll(Kafka())
    consumer.flush_coalesced()
    await consumer.drain()
    assert await said(service) == [], "a file is on its way until nothing of it has come for a moment"
    ended = asyncio.get_running_loop().time()

    async def done() -> bool:
        consumer.flush_coalesced()
        await consumer.drain()
        return bool(await said(service))

    await eventually(done, what="it is said")
    assert sorted(name for name, _ in await said(service)) == ["n0", "n1", "n2"]
    assert asyncio.get_running_loop().time() - ended > BULK_IDLE_SECONDS / 2


async def test_a_few_that_follow_a_file_do_not_prolong_it(
    world: World, service: Service, lane: PartitionProcessor
) -> None:
    """Single rows come all year; what a file showed waits for none of them."""
    consumer = service.consumers["main"]
    offset = 0

    class Kafka:
        def __init__(self, many: int) -> None:
            self.many = many

        async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
            nonlocal offset
            offset += self.many
            return {"place": [put(world, n, f"n{n % 3}") for n in range(offset - self.many, offset)]}

    await applied(consumer, await consumer.poll(Kafka(MUCH)))
    assert (await waiting(service), await said(service)) == (["n0", "n1", "n2"], [])

    async def done() -> bool:
        await applied(consumer, await consumer.poll(Kafka(1)))
        consumer.flush_coalesced()
        await consumer.drain()
        return not await waiting(service)

    await eventually(done, patience=10 * BULK_IDLE_SECONDS, what="it is said")


async def test_it_is_said_though_more_comes_when_it_was_kept_for_too_long(
    world: World, service: Service, lane: PartitionProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = service.consumers["main"]
    monkeypatch.setattr("runtime.consume.group.BULK_IDLE_SECONDS", 1000.0)
    consumer._bulk_at = asyncio.get_running_loop().time()
    await lane.flush_coalesced()
    await applied(consumer, [put(world, 0, "a")])
    consumer.flush_coalesced()
    await consumer.drain()
    assert (await waiting(service), await said(service)) == (["a"], [])
    assert lane.coalescing_since is not None
    lane._coalescing.since = lane.coalescing_since - COALESCE_SECONDS
    consumer.flush_coalesced()
    await consumer.drain()
    assert (await waiting(service), await said(service)) == ([], [("a", 0)])


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
async def test_it_is_said_by_whoever_comes_after_a_process_that_was_killed(world: World, point: str) -> None:
    """Killed while it keeps, and while it says."""
    world.start("alpha")
    world.many(400)
    await world.arrived("alpha")
    for nth in (1, 5):
        doomed = world.start("beta", HUTONG_KILL_AT=f"{point}:{nth}", HUTONG_MAX_RECORDS="1000")
        assert await doomed.stopped() == EXIT_CODE
    world.start("beta")
    await world.exact("alpha", "beta")
    stands = names_of(world.log_of(world.end), "model.Stands.v1")
    assert len(stands) < 200, "once for many"


async def test_a_day_ends_when_all_is_said_that_was_kept_back_in_it(world: World) -> None:
    """The mark comes in the same batch: whatever was kept back stands before it in the log."""
    for number in range(MUCH + 20):
        step(world, 9, number, "a", 0)
    for lane in range(4):
        mark(world, lane, DAY_1)
    world.start("beta")

    async def marked() -> bool:
        return bool(await world.value("beta", "select count(*) > 0 from day_state where day = $1", DAY_1))

    await eventually(marked, what="the day has turned")

    async def published() -> bool:
        return await world._empty("beta")

    await eventually(published, what="all is published")
    own = await world.value("beta", "select producer_id from producer where topic = '@day' and partition = 0")
    there = [record for record in world.log_of(world.end) if record.partition() == partition_of("a", world.partitions)]
    kinds = [(headers["ce_type"], headers["ce_producerid"]) for headers in (dict(record.headers()) for record in there)]
    stood = [place for place, (kind, _) in enumerate(kinds) if kind == b"model.Stands.v1"]
    assert stood[-1] < kinds.index((b"clock.DayWatermark.v1", b"%d" % own))
