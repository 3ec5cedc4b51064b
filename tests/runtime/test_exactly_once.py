"""Nothing is lost, doubled or reordered, whatever dies and whenever."""

import asyncio
import signal
from collections import Counter

import pytest

from runtime.observe.failpoints import EXIT_CODE
from runtime.storage.database import open_session
from tests.runtime.harness import Process, World, eventually, names_of


def numbers_of(log: list[object]) -> Counter[tuple[int, bytes, bytes, bytes]]:
    """How often each number of each lane stands in each partition."""
    found: Counter[tuple[int, bytes, bytes, bytes]] = Counter()
    for message in log:
        headers = dict(message.headers())  # type: ignore[attr-defined]
        found[message.partition(), headers["ce_source"], headers["ce_producerid"], headers["ce_sequence"]] += 1  # type: ignore[attr-defined]
    return found


async def test_two_hops_apply_every_event_once_and_in_order_and_its_repetition_not_at_all(world: World) -> None:
    world.start("alpha")
    beta = world.start("beta")
    world.many(500)
    await world.exact("alpha", "beta")
    steps = world.log_of(world.step)
    assert len(steps) == 500
    assert max(numbers_of(steps).values()) == 1

    for message in steps:
        world.raw(world.step, message.key(), message.value(), message.headers(), message.partition())
    world.put("name-000")
    world.flush()
    await world.exact("alpha", "beta")
    assert beta.metric("hutong_duplicates_total") == 500
    assert len(names_of(world.log_of(world.end), "model.End.v1")) == 501


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "before_mark"])
async def test_a_process_killed_there_loses_and_doubles_nothing(world: World, point: str) -> None:
    world.settings["HUTONG_MAX_RECORDS"] = "20"
    world.start("beta")
    doomed = world.start("alpha", HUTONG_KILL_AT=f"{point}:4")
    world.many(300)
    assert await doomed.stopped() == EXIT_CODE
    world.start("alpha")
    await world.exact("alpha", "beta")
    ends = world.log_of(world.end)
    assert max(numbers_of(ends).values()) == 1
    assert len(names_of(ends, "model.End.v1")) == 300
    if point == "before_mark":
        assert max(numbers_of(world.log_of(world.step)).values()) == 2


async def test_a_frozen_process_that_wakes_up_is_fenced(world: World) -> None:
    world.settings |= {"HUTONG_MAX_RECORDS": "20"}
    world.start("beta")
    zombie = world.start("alpha", ordinal=0)
    world.many(40)
    await world.arrived("alpha")
    for number in range(4):
        world.put(f"name-{number:03}", "sleep 2")
    world.flush()
    await asyncio.sleep(0.3)  # the four transactions are open now; nothing outside the frozen process shows it
    zombie.signal(signal.SIGSTOP)
    successor = world.start("alpha", ordinal=1)
    world.many(60)
    await world.arrived("alpha")
    zombie.signal(signal.SIGCONT)
    world.many(60)
    await world.exact("alpha", "beta")

    async def admits() -> bool:
        return any(line.get("event") in ("records_fenced", "retry_scheduled") for line in zombie.lines())

    await eventually(admits, what="the zombie finds out")
    assert successor.running


async def test_members_that_come_go_and_die_change_nothing(world: World) -> None:
    """Each time in the middle of long transactions: one comes, leaves in order, comes again, is killed."""
    world.settings["HUTONG_MAX_RECORDS"] = "20"
    world.start("beta")
    first = world.start("alpha", ordinal=0)
    world.many(200)

    async def has_partitions(process: Process) -> bool:
        return any(line["consumer"] == "main" and line["partitions"] for line in process.said("partitions_assigned"))

    for ends_in_order in (True, False):
        for number in range(4):
            world.put(f"name-{number:03}", "sleep 1")
        second = world.start("alpha", ordinal=1)
        world.many(100)
        await eventually(lambda second=second: has_partitions(second), what="the second member has partitions")  # type: ignore[misc]
        for number in range(4):
            world.put(f"name-{number:03}", "sleep 1")
        world.many(100)
        if ends_in_order:
            await world.arrived("alpha")
            assert await second.stop() == 0
        else:
            second.kill()
    world.many(100)
    await world.exact("alpha", "beta")
    assert len(first.said("partitions_assigned")) > 3


async def test_cut_database_connections_are_waited_out(world: World) -> None:
    world.settings["HUTONG_MAX_RECORDS"] = "10"
    world.start("beta")
    alpha = world.start("alpha")
    for _ in range(6):
        world.many(60)
        await asyncio.sleep(0.15)
        await world.database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1",
            f"hutong-%_{world.run}-%",
        )
    await world.exact("alpha", "beta")
    assert alpha.running
    assert await world.value("alpha", "select count(*) from parked_key") == 0
    assert await world.value("beta", "select count(*) from parked_key") == 0


async def test_a_connection_that_is_cut_while_a_process_starts_does_not_end_it(world: World) -> None:
    """The supervisor would start it again; but a database that comes and goes is no reason to die."""
    world.many(60)
    table = f'"{world.schema("alpha")}".incarnation'
    waiting = "from pg_locks where relation = $1::text::regclass and not granted"
    async with world.database.transaction():
        await world.database.execute(f"lock table {table}")
        alpha = world.start("alpha")
        await eventually(
            lambda: world.database.fetchval(f"select count(*) > 0 {waiting}", table), what="it asks for what is locked"
        )
        await world.database.fetch(f"select pg_terminate_backend(pid) {waiting}", table)
    await world.exact("alpha")
    assert alpha.running
    assert alpha.said("database_awaited")


async def test_the_state_is_the_same_however_the_log_is_cut(world: World) -> None:
    first = None
    base = world.run
    for size in ("1000", "7", "1"):
        world.run = f"{base}{size}"
        world.__post_init__()
        world.settings["HUTONG_MAX_RECORDS"] = world.settings["HUTONG_BULK_BATCH_RECORDS"] = size
        world.puts.clear()
        world._counts.clear()
        world.make_topics(world.input, world.step, world.end)
        await world.migrate("alpha")
        world.many(150)
        world.put("name-000", "unprocessable", kept=False)
        world.put("name-000", kept=False)
        world.flush()
        alpha = world.start("alpha")
        await world.exact("alpha")

        async def parked() -> bool:
            return bool(await world.value("alpha", "select count(*) = 2 from parked_event"))

        await eventually(parked, what="both are parked")
        assert await alpha.stop() == 0
        said = sorted((message.key(), dict(message.headers())["ce_type"]) for message in world.log_of(world.step))
        state = (await world.tallies("alpha"), said)
        first = first or state
        assert state == first


async def test_who_freezes_between_two_messages_of_a_statement_is_cut_off(world: World) -> None:
    """It has sent the statement and not its values: not idle, not at work, and it holds a cursor."""
    settings = world.of("alpha", HUTONG_TRANSACTION_TIMEOUT="1")
    frozen = await open_session(world.schema("alpha"), settings)
    await world.sql("alpha", "insert into tally (name, partition, version, digest) values ('held', 0, 0, '')")
    try:
        transaction = frozen.transaction()
        await transaction.start()
        await frozen.fetch("select from tally where name = 'held' for update")
        await frozen.prepare("select count(*) from audit")  # asyncpg does not close this with a Sync

        async def free() -> bool:
            return bool(await world.value("alpha", "select count(*) from (select from tally for update skip locked) t"))

        assert not await free()
        await eventually(free, patience=20, what="its successor has what it held")
    finally:
        frozen.terminate()
