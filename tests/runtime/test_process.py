"""A service as a process: it starts when it can, says how it is, and leaves nothing half done."""

import asyncio
import json
from datetime import date
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from prometheus_client import generate_latest

from contracts.event import at_midnight
from runtime import Service, kafka
from runtime.__main__ import FAILED
from runtime.storage.migrations import RUNTIME, migrate
from tests.runtime import model
from tests.runtime.harness import World, eventually
from tests.runtime.model import MIGRATIONS


async def test_sigterm_under_load_leaves_no_half_work(world: World) -> None:
    world.settings["HUTONG_MAX_RECORDS"] = "10"
    alpha = world.start("alpha")
    world.many(400)

    async def some() -> bool:
        return bool(await world.value("alpha", "select count(*) > 50 from audit"))

    await eventually(some, what="it is at work")
    assert await alpha.stop() == 0
    assert await world.value("alpha", "select count(*) from outbox") == 0, "what was said is published on the way out"
    world.start("alpha")
    world.start("beta")
    await world.exact("alpha", "beta")


async def test_health_and_metrics_say_how_it_is(world: World) -> None:
    alpha = world.start("alpha")
    world.many(20)
    await world.exact("alpha")
    for path in ("/health", "/health/live", "/health/ready"):
        status, body = alpha.get(path)
        assert (status, json.loads(body)) == (200, {"ok": True, "problems": []})
    assert alpha.metric('hutong_events_total{consumer="main"') == 20
    assert alpha.metric("hutong_published_total") == 20
    assert alpha.metric("hutong_relay_working") == 1
    _, text = alpha.get("/metrics")
    names = """cursor_lag outbox_oldest_seconds outbox_rows coalesced_rows coalesced_oldest_seconds fenced_records
        duplicates out_of_order parked_keys parked_oldest_seconds dead_letters batch_events transaction_seconds
        event_loop_lag_seconds rebalances day_completed_timestamp_seconds"""
    for name in names.split():
        assert f"hutong_{name}" in text


async def test_a_process_without_its_schema_says_so_and_ends(world: World) -> None:
    await world.database.execute(f'drop schema "{world.schema("alpha")}" cascade')
    alpha = world.start("alpha")
    assert await alpha.stopped() == FAILED
    assert "--migrate" in alpha.said("start_failed")[0]["reason"]
    assert not alpha.said("not json"), "one line a fact, and no trace"
    assert (await world.command("alpha", "--migrate"))[0] == 0
    world.start("alpha")
    world.many(10)
    await world.exact("alpha")


async def test_migrations_run_at_once_and_again_do_the_work_once(world: World) -> None:
    await world.database.execute(f'drop schema "{world.schema("alpha")}" cascade')
    runs = [migrate(world.schema("alpha"), world.of("alpha"), MIGRATIONS) for _ in range(4)]
    done = await asyncio.gather(*runs)
    assert sorted(step for steps in done for step in steps) == [
        f"{world.schema('alpha')}.0001_model",
        *sorted(f"runtime.{file.stem}" for file in RUNTIME.glob("*.sql")),
    ]
    assert await migrate(world.schema("alpha"), world.of("alpha"), MIGRATIONS) == []


async def test_two_relays_at_once_is_one_relay(world: World) -> None:
    first = world.start("alpha", ordinal=0)
    second = world.start("alpha", ordinal=1)
    world.many(50)
    await world.exact("alpha")

    async def both() -> bool:
        """Each process's relay session has asked for the lock, as another one did for the ordinal, or is at work."""
        come = await world.database.fetch(
            """select application_name from pg_stat_activity where application_name like $1 group by application_name
               having count(*) filter (where query like '%pg_try_advisory_lock%') = 2
                   or bool_or(query like '%outbox_waiting%')""",
            f"hutong-{world.schema('alpha')}-%",
        )
        return len(come) == 2

    await eventually(both, what="both have come to the lock")
    works = [process for process in (first, second) if process.said("relay_started")]
    assert len(works) == 1
    works[0].kill()
    other = second if works[0] is first else first
    world.many(50)
    await world.exact("alpha")
    assert other.said("relay_started")


async def test_a_unit_that_is_added_is_heard_and_parks_by_its_own_key(world: World) -> None:
    def unit_put(unit: str, key: str, name: str, what: str = "ok") -> None:
        body = json.dumps({"name": name, "n": 1, "what": what}).encode()
        headers = [("ce_id", str(uuid4()).encode()), ("ce_source", b"/a unit"), ("ce_type", b"model.UnitPut.v1"),
                   ("ce_producerid", b"0"), ("ce_sequence", b"99")]  # fmt: skip
        world.raw(f"model-{world.run}.{unit}.v1", key, body, headers, 0)
        world.flush()

    world.partitions = 1
    world.make_topics(f"model-{world.run}.999901-a.v1")
    world.partitions = 4
    world.settings["HUTONG_PARTITIONS"] = "4"
    world.start("gamma")
    unit_put("999901-a", "same key", "a")
    unit_put("999901-a", "same key", "bad", "unprocessable")
    unit_put("999901-a", "same key", "b")
    unit_put("999901-a", "another key", "bad")

    async def applied(*names: str) -> bool:
        return [row["name"] for row in await world.sql("alpha", "select name from audit order by id")] == list(names)

    await eventually(lambda: applied("a", "b"), what="the good ones are applied")
    assert await world.value("alpha", "select key from parked_key") == "name bad"
    await eventually(lambda: parked_two(world), what="its follower is parked under the same key")
    world.day(date(2026, 3, 1))

    async def turned() -> bool:
        return bool(await world.value("alpha", "select count(*) = 4 from day_state where day is not null"))

    await eventually(turned, what="the day turns for every index")
    unit_put("999901-a", "k", "c")
    await eventually(lambda: applied("a", "b", "c"), what="the next day's event is applied")
    assert await world.value("alpha", "select day from audit where name = 'c'") == date(2026, 3, 1)


async def test_processes_share_the_units_topics(world: World) -> None:
    """Each has one partition: shared out like the partitions of one topic, all of them would be one process's."""
    units = [f"model-{world.run}.999901-{letter}.v1" for letter in "abcd"]
    world.partitions = 1
    world.make_topics(*units)
    world.partitions = 4
    world.settings["HUTONG_PARTITIONS"] = "4"
    both = [world.start("gamma", ordinal=ordinal) for ordinal in (0, 1)]

    async def shared() -> bool:
        main = [[line for line in one.said("partitions_assigned") if line["consumer"] == "main"] for one in both]
        latest = [set(lines[-1]["partitions"]) if lines else set() for lines in main]
        return all(latest) and latest[0].isdisjoint(latest[1]) and latest[0] | latest[1] > {f"{one}/0" for one in units}

    await eventually(shared, what="each hears some of the units' topics")


async def test_a_group_that_was_shared_by_ranges_takes_a_process_that_would_rather_take_turns(world: World) -> None:
    """A version before this one stopped a moment ago: its static member is still in the group."""
    unit = f"model-{world.run}.999901-a.v1"
    world.partitions = 1
    world.make_topics(unit)
    world.partitions = 4
    world.settings["HUTONG_PARTITIONS"] = "4"
    name = world.schema("alpha")
    before = AIOKafkaConsumer(
        unit,
        bootstrap_servers=world.of("alpha").kafka,
        group_id=f"hutong.{name}.main",
        group_instance_id=f"hutong-{name}-main-0",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=60_000,
        **kafka._sasl(world.of("alpha")),
    )
    await before.start()
    await before.stop()
    now = world.start("gamma")

    async def works() -> bool:
        return bool(now.said("service_started"))

    await eventually(works, what="it joins the group")


async def test_a_process_that_does_not_begin_to_work_is_not_live(service: Service) -> None:
    """What hangs before its consumers are there looks well to whoever asks for what has gone silent."""
    assert service.health.liveness_failures() == []
    service.health.created_at -= 2 * service.settings.silence_timeout
    assert service.health.liveness_failures() == ["it has been starting for too long"]


async def test_what_another_process_has_now_is_no_longer_told_here(service: Service) -> None:
    """A lag that stays behind, a halt of a partition that is elsewhere: each would ring for ever."""
    consumer, place = service.consumers["main"], (model.INPUT.name, 0)
    consumer.assigned = {place}
    service.metrics.lag.labels("main", *map(str, place)).set(7)
    consumer.halt(*place, "for a test")
    told = generate_latest(service.metrics.registry).decode()
    assert f'hutong_halted{{consumer="main",partition="0",topic="{place[0]}"}} 1.0' in told
    assert f'hutong_cursor_lag{{consumer="main",partition="0",topic="{place[0]}"}} 7.0' in told
    await consumer.on_revoked()
    consumer.on_assigned(set())
    told = generate_latest(service.metrics.registry).decode()
    assert "hutong_halted{" not in told
    assert "hutong_cursor_lag{" not in told


async def test_the_day_is_told_by_every_process(service: Service) -> None:
    """Whichever turned it: the one that did so yesterday is not to ring today."""
    await service.context.pool.execute("update day_state set day = '2026-03-02' where index = 0")
    await service.watchdog._gauges()
    midnight = at_midnight(date(2026, 3, 2)).timestamp()
    assert (
        service.metrics.registry.get_sample_value("hutong_day_completed_timestamp_seconds", {"index": "0"}) == midnight
    )


async def parked_two(world: World) -> bool:
    return bool(await world.value("alpha", "select count(*) = 2 from parked_event"))


async def test_a_second_process_with_the_same_ordinal_says_so_and_ends(world: World) -> None:
    """With one static id Kafka lets each throw the other out, for ever: they would be busy, and do nothing."""
    first = world.start("alpha", ordinal=0)
    world.many(20)
    await world.exact("alpha")
    second = world.start("alpha", ordinal=0)
    assert await second.stopped() == FAILED
    assert second.said("start_failed")[0]["reason"] == f"another process of {world.schema('alpha')} has ordinal 0"
    assert len(first.said("partitions_assigned")) == 2, "one for each consumer: the first was not disturbed"
    first.kill()
    world.start("alpha", ordinal=0)
    world.many(20)
    await world.exact("alpha")


async def test_a_database_made_anew_is_another_writer(world: World) -> None:
    """Kafka is kept, the database is not: what it says now has numbers from 0 on, and is no repetition."""
    alpha = world.start("alpha")
    world.start("beta")
    world.many(20)
    await world.exact("alpha", "beta")
    assert await alpha.stop() == 0
    await world.database.execute(f'drop schema "{world.schema("alpha")}" cascade')
    await world.migrate("alpha")
    world.start("alpha")

    async def heard_again() -> bool:
        return bool(await world.value("beta", "select count(*) = 40 from audit"))

    await eventually(heard_again, what="the reader takes what the new one says")
    assert await world.value("beta", "select count(distinct source) from producer_sequence") == 2


async def test_a_process_with_an_old_schema_says_so_and_ends(world: World) -> None:
    await world.sql("alpha", "delete from migration where id like '%0001_model'")
    alpha = world.start("alpha")
    assert await alpha.stopped() == FAILED
    assert "is not up to date" in alpha.said("start_failed")[0]["reason"]


async def test_a_process_without_its_keys_says_so_and_ends(world: World) -> None:
    """What it would have to park would lie in the clear, or be lost."""
    world.settings["HUTONG_SECRETS_FILE"] = ""
    alpha = world.start("alpha")
    assert await alpha.stopped() == FAILED
    assert alpha.said("start_failed")[0]["reason"] == "the secrets file has no parking_key"
    code, _ = await world.command("alpha", "--parked")
    assert code == FAILED


async def test_a_process_whose_topics_have_other_partitions_says_so_and_ends(world: World) -> None:
    world.settings["HUTONG_PARTITIONS"] = "8"
    alpha = world.start("alpha")
    assert await alpha.stopped() == FAILED
    assert f"{world.input} (4 partitions, not 8)" in alpha.said("start_failed")[0]["reason"]
