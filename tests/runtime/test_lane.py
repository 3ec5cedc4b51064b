"""One lane by itself, on a real database: what it does with records it was given twice, too early or too late."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import NotYet, Service, Tx
from runtime.batches import Batch, Say
from runtime.migrations import migrate
from tests.runtime import model
from tests.runtime.harness import World, county

PLACE = (model.INPUT.name, 0)


@pytest.fixture
async def service(world: World) -> AsyncIterator[Service]:
    """Alpha without its process: a fresh schema, a cursor, a county; nobody polls."""
    await world.database.execute('drop schema if exists "alpha_none" cascade')
    await migrate("alpha_none", world.of("alpha"), model.MIGRATIONS)
    if model.INPUT.name not in world.admin.list_topics(timeout=10).topics:
        world.make_topics(model.INPUT.name)
    made = model.alpha(world.of("alpha", HUTONG_RETRY_LAST="0.05"))
    await made.open()
    consumer = made.consumers["main"]
    await made.cursors(consumer, [PLACE])
    await made.pool.execute(
        "insert into county (version, active_from, activated_by, body) values ('1', '2026-01-01', '', $1)",
        county().model_dump_json(),
    )
    consumer.assigned.add(PLACE)
    consumer.ready.add(PLACE)
    yield made
    await made.close()


def put(world: World, offset: int, name: str = "a", what: str = "ok") -> Any:
    envelope = world.envelope("model.Put.v1", name, None)
    body = f'{{"name": "{name}", "n": {offset}, "what": "{what}"}}'.encode()
    return SimpleNamespace(
        topic=PLACE[0],
        partition=0,
        offset=offset,
        timestamp=0,
        key=name.encode(),
        value=body,
        headers=envelope.headers(),
    )


async def audited(service: Service) -> list[int]:
    return [row["n"] for row in await service.pool.fetch("select n from audit order by id")]


async def apply(service: Service, *records: Any) -> None:
    await service.consumers["main"].apply(records)


async def test_records_polled_again_are_fenced(world: World, service: Service) -> None:
    first = [put(world, offset) for offset in range(3)]
    await apply(service, *first)
    await apply(service, *first, put(world, 3))
    await apply(service, *first)
    assert await audited(service) == [0, 1, 2, 3]
    assert await service.pool.fetchval("select count(*) from outbox") == 4


async def test_two_that_hold_the_same_partition_apply_each_record_once(world: World, service: Service) -> None:
    """A zombie and its successor at the same moment: the cursor's row lock lets one through after the other."""
    other = model.alpha(world.of("alpha"))
    await other.open()
    other.consumers["main"].ready.add(PLACE)
    records = [put(world, offset) for offset in range(40)]
    await asyncio.gather(*(apply(which, *records[: 10 + 5 * n]) for n in range(6) for which in (service, other)))
    await apply(other, *records)
    await other.close()
    assert await audited(service) == list(range(40))
    numbers = [
        row["seq"] for row in await service.pool.fetch("select seq from outbox where partition = 3 order by position")
    ]
    everything = await service.pool.fetch("select partition, seq from outbox order by position")
    assert len(everything) == 40
    assert numbers == sorted(numbers)


async def test_a_jump_of_the_log_is_seen_twice_before_it_is_believed(world: World, service: Service) -> None:
    await apply(service, put(world, 0))
    late = [put(world, 5), put(world, 6)]
    await apply(service, *late)
    assert await audited(service) == [0], "first it is read again from the cursor"
    await apply(service, *late)
    assert await audited(service) == [0, 5, 6], "aborted transactions of a plain client are no loss"
    assert not service.consumers["main"].halted


async def test_what_cannot_work_yet_is_tried_until_it_can_and_parks_nothing(world: World, service: Service) -> None:
    tries = 0

    async def not_yet(batch: Batch[Any], tx: Tx) -> list[Say]:
        nonlocal tries
        tries += 1
        await tx.execute("update ward set ticks = ticks + 1")
        if tries < 8:
            raise NotYet("something is awaited")
        return []

    service.consumers["main"].learn({PLACE[0]: not_yet}, None, None, None)
    await apply(service, put(world, 0))
    assert tries == 8
    assert await service.pool.fetchval("select ticks from ward") == 1, "seven tries were rolled back"
    assert await service.pool.fetchval("select count(*) from parked_child") == 0


async def test_a_bug_is_tried_a_few_times_before_its_event_is_parked(world: World, service: Service) -> None:
    calls: list[int] = []

    async def buggy(batch: Batch[Any], tx: Tx) -> list[Say]:
        calls.append(len(batch.events))
        if any(one.event.n == 5 for one in batch.events):
            raise KeyError("some person's name")
        await model.fold(batch, tx)
        return []

    service.consumers["main"].learn({PLACE[0]: buggy}, None, None, None)
    await apply(service, *(put(world, offset, f"n{offset}") for offset in range(8)))
    assert calls[: service.settings.tries] == [8] * service.settings.tries
    assert await audited(service) == [0, 1, 2, 3, 4, 6, 7]
    reason = await service.pool.fetchval("select reason from parked_child")
    assert reason.startswith("KeyError in test_lane.py")
    assert "name" not in reason, "a message may quote somebody's data"


async def test_a_waiting_handler_gives_way_when_its_partitions_are_taken(world: World, service: Service) -> None:
    async def never(batch: Batch[Any], tx: Tx) -> list[Say]:
        raise NotYet("for ever")

    consumer = service.consumers["main"]
    consumer.learn({PLACE[0]: never}, None, None, None)
    work = asyncio.create_task(apply(service, put(world, 0)))
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.taken(), 5)
    await asyncio.wait_for(work, 5)
    assert await service.pool.fetchval("select next_offset from consumer_cursor where topic = $1", PLACE[0]) == 0


async def test_outbox_numbers_are_dense_for_each_output_partition(world: World, service: Service) -> None:
    for start in range(0, 60, 12):
        await apply(service, *(put(world, start + n, f"name-{n % 9}") for n in range(12)))
    rows = await service.pool.fetch(
        "select topic, partition, array_agg(seq order by position) as numbers from outbox group by topic, partition"
    )
    assert len(rows) > 1
    for row in rows:
        assert row["numbers"] == list(range(len(row["numbers"])))
