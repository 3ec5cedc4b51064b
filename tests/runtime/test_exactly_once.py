"""No event is lost, duplicated or reordered, whichever process dies at whatever moment."""

import asyncio
import signal
from collections import Counter

import pytest

from runtime.observe.failpoints import EXIT_CODE
from runtime.storage.database import open_session
from tests.runtime.harness import ModelSystem, Process, eventually, keys_of


def sequence_counts(records: list[object]) -> Counter[tuple[int, bytes, bytes, bytes]]:
    """Count how often each sequence number of each producer is on each partition."""
    counts: Counter[tuple[int, bytes, bytes, bytes]] = Counter()
    for message in records:
        headers = dict(message.headers())  # type: ignore[attr-defined]
        counts[message.partition(), headers["ce_source"], headers["ce_producerid"], headers["ce_sequence"]] += 1  # type: ignore[attr-defined]
    return counts


async def test_two_services_apply_every_event_once_in_order_and_drop_duplicates(system: ModelSystem) -> None:
    system.start("alpha")
    beta = system.start("beta")
    system.produce_puts(500)
    await system.assert_exactly_once("alpha", "beta")
    steps = system.records_of(system.step)
    assert len(steps) == 500
    assert max(sequence_counts(steps).values()) == 1

    for message in steps:
        system.produce(system.step, message.key(), message.value(), message.headers(), message.partition())
    system.put("name-000")
    system.flush()
    await system.assert_exactly_once("alpha", "beta")
    assert beta.metric("hutong_duplicates_total") == 500
    assert len(keys_of(system.records_of(system.end), "model.End.v1")) == 501


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "before_mark"])
async def test_a_process_killed_at_a_failpoint_loses_and_duplicates_nothing(system: ModelSystem, point: str) -> None:
    system.settings["HUTONG_MAX_RECORDS"] = "20"
    system.start("beta")
    doomed = system.start("alpha", HUTONG_KILL_AT=f"{point}:4")
    system.produce_puts(300)
    assert await doomed.wait_for_exit() == EXIT_CODE
    system.start("alpha")
    await system.assert_exactly_once("alpha", "beta")
    ends = system.records_of(system.end)
    assert max(sequence_counts(ends).values()) == 1
    assert len(keys_of(ends, "model.End.v1")) == 300
    if point == "before_mark":
        assert max(sequence_counts(system.records_of(system.step)).values()) == 2


async def test_a_frozen_process_that_wakes_up_is_fenced(system: ModelSystem) -> None:
    system.settings |= {"HUTONG_MAX_RECORDS": "20"}
    system.start("beta")
    zombie = system.start("alpha", ordinal=0)
    system.produce_puts(40)
    await system.wait_until_applied("alpha")
    for number in range(4):
        system.put(f"name-{number:03}", "sleep 2")
    system.flush()
    await asyncio.sleep(0.3)  # the four transactions are open now, which is not visible outside the frozen process
    zombie.signal(signal.SIGSTOP)
    successor = system.start("alpha", ordinal=1)
    system.produce_puts(60)
    await system.wait_until_applied("alpha")
    zombie.signal(signal.SIGCONT)
    system.produce_puts(60)
    await system.assert_exactly_once("alpha", "beta")

    async def is_fenced() -> bool:
        return any(line.get("event") in ("records_fenced", "retry_scheduled") for line in zombie.lines())

    await eventually(is_fenced, what="the zombie notices")
    assert successor.running


async def test_members_that_join_leave_and_die_change_nothing(system: ModelSystem) -> None:
    """In the middle of long transactions a member joins, leaves in order, joins again and is killed."""
    system.settings["HUTONG_MAX_RECORDS"] = "20"
    system.start("beta")
    first = system.start("alpha", ordinal=0)
    system.produce_puts(200)

    async def has_partitions(process: Process) -> bool:
        return any(line["consumer"] == "main" and line["partitions"] for line in process.logged("partitions_assigned"))

    for ends_in_order in (True, False):
        for number in range(4):
            system.put(f"name-{number:03}", "sleep 1")
        second = system.start("alpha", ordinal=1)
        system.produce_puts(100)
        await eventually(lambda second=second: has_partitions(second), what="the second member has partitions")  # type: ignore[misc]
        for number in range(4):
            system.put(f"name-{number:03}", "sleep 1")
        system.produce_puts(100)
        if ends_in_order:
            await system.wait_until_applied("alpha")
            assert await second.stop() == 0
        else:
            second.kill()
    system.produce_puts(100)
    await system.assert_exactly_once("alpha", "beta")
    assert len(first.logged("partitions_assigned")) > 3


async def test_terminated_database_connections_are_retried(system: ModelSystem) -> None:
    system.settings["HUTONG_MAX_RECORDS"] = "10"
    system.start("beta")
    alpha = system.start("alpha")
    for _ in range(6):
        system.produce_puts(60)
        await asyncio.sleep(0.15)
        await system.database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1",
            f"hutong-%_{system.run}-%",
        )
    await system.assert_exactly_once("alpha", "beta")
    assert alpha.running
    assert await system.value("alpha", "select count(*) from parked_key") == 0
    assert await system.value("beta", "select count(*) from parked_key") == 0


async def test_a_connection_that_is_terminated_at_start_does_not_end_the_process(system: ModelSystem) -> None:
    """A lost connection is retried; it is no reason to end the process."""
    system.produce_puts(60)
    table = f'"{system.schema("alpha")}".incarnation'
    waiting_locks = "from pg_locks where relation = $1::text::regclass and not granted"
    async with system.database.transaction():
        await system.database.execute(f"lock table {table}")
        alpha = system.start("alpha")
        await eventually(
            lambda: system.database.fetchval(f"select count(*) > 0 {waiting_locks}", table),
            what="it waits for the locked table",
        )
        await system.database.fetch(f"select pg_terminate_backend(pid) {waiting_locks}", table)
    await system.assert_exactly_once("alpha")
    assert alpha.running
    assert alpha.logged("database_awaited")


async def test_the_state_does_not_depend_on_batch_boundaries(system: ModelSystem) -> None:
    expected = None
    base = system.run
    for size in ("1000", "7", "1"):
        system.run = f"{base}{size}"
        system.__post_init__()
        system.settings["HUTONG_MAX_RECORDS"] = system.settings["HUTONG_BULK_BATCH_RECORDS"] = size
        system.puts.clear()
        system._counts.clear()
        system.create_topics(system.input, system.step, system.end)
        await system.migrate("alpha")
        system.produce_puts(150)
        system.put("name-000", "unprocessable", expected=False)
        system.put("name-000", expected=False)
        system.flush()
        alpha = system.start("alpha")
        await system.assert_exactly_once("alpha")

        async def parked() -> bool:
            return bool(await system.value("alpha", "select count(*) = 2 from parked_event"))

        await eventually(parked, what="both are parked")
        assert await alpha.stop() == 0
        emitted = sorted(
            (message.key(), dict(message.headers())["ce_type"]) for message in system.records_of(system.step)
        )
        actual = (await system.tallies("alpha"), emitted)
        expected = expected or actual
        assert actual == expected


async def test_a_session_frozen_in_the_middle_of_a_statement_is_terminated(system: ModelSystem) -> None:
    """The session has sent the statement and not its values: it is neither idle nor active, and it holds a lock."""
    settings = system.settings_of("alpha", HUTONG_TRANSACTION_TIMEOUT="1")
    frozen = await open_session(system.schema("alpha"), settings)
    await system.sql("alpha", "insert into tally (name, partition, version, digest) values ('held', 0, 0, '')")
    try:
        transaction = frozen.transaction()
        await transaction.start()
        await frozen.fetch("select from tally where name = 'held' for update")
        await frozen.prepare("select count(*) from audit")  # asyncpg does not close this with a Sync

        async def is_free() -> bool:
            return bool(
                await system.value("alpha", "select count(*) from (select from tally for update skip locked) t")
            )

        assert not await is_free()
        await eventually(is_free, timeout_seconds=20, what="the lock is released")
    finally:
        frozen.terminate()
