"""A service as a process: how it starts, reports its state and stops."""

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
from tests.runtime.harness import ModelSystem, eventually
from tests.runtime.model import MIGRATIONS


async def test_sigterm_under_load_leaves_nothing_half_done(system: ModelSystem) -> None:
    system.settings["HUTONG_MAX_RECORDS"] = "10"
    alpha = system.start("alpha")
    system.produce_puts(400)

    async def some_applied() -> bool:
        return bool(await system.value("alpha", "select count(*) > 50 from audit"))

    await eventually(some_applied, what="alpha has applied some events")
    assert await alpha.stop() == 0
    assert await system.value("alpha", "select count(*) from outbox") == 0, "the outbox is published before the exit"
    system.start("alpha")
    system.start("beta")
    await system.assert_exactly_once("alpha", "beta")


async def test_health_and_metrics_report_the_state(system: ModelSystem) -> None:
    alpha = system.start("alpha")
    system.produce_puts(20)
    await system.assert_exactly_once("alpha")
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


async def test_a_process_without_its_schema_logs_the_reason_and_ends(system: ModelSystem) -> None:
    await system.database.execute(f'drop schema "{system.schema("alpha")}" cascade')
    alpha = system.start("alpha")
    assert await alpha.wait_for_exit() == FAILED
    assert "--migrate" in alpha.logged("start_failed")[0]["reason"]
    assert not alpha.logged("not json"), "every line is JSON, without a traceback"
    assert (await system.run_command("alpha", "--migrate"))[0] == 0
    system.start("alpha")
    system.produce_puts(10)
    await system.assert_exactly_once("alpha")


async def test_concurrent_and_repeated_migrations_are_applied_once(system: ModelSystem) -> None:
    await system.database.execute(f'drop schema "{system.schema("alpha")}" cascade')
    migrations = [migrate(system.schema("alpha"), system.settings_of("alpha"), MIGRATIONS) for _ in range(4)]
    applied = await asyncio.gather(*migrations)
    assert sorted(step for steps in applied for step in steps) == [
        f"{system.schema('alpha')}.0001_model",
        *sorted(f"runtime.{file.stem}" for file in RUNTIME.glob("*.sql")),
    ]
    assert await migrate(system.schema("alpha"), system.settings_of("alpha"), MIGRATIONS) == []


async def test_only_one_of_two_relays_is_active(system: ModelSystem) -> None:
    first = system.start("alpha", ordinal=0)
    second = system.start("alpha", ordinal=1)
    system.produce_puts(50)
    await system.assert_exactly_once("alpha")

    async def both_tried() -> bool:
        """Return whether each relay is active or its session has tried the lock, as another has for the ordinal."""
        sessions = await system.database.fetch(
            """select application_name from pg_stat_activity where application_name like $1 group by application_name
               having count(*) filter (where query like '%pg_try_advisory_lock%') = 2
                   or bool_or(query like '%outbox_waiting%')""",
            f"hutong-{system.schema('alpha')}-%",
        )
        return len(sessions) == 2

    await eventually(both_tried, what="both have tried the lock")
    active = [process for process in (first, second) if process.logged("relay_started")]
    assert len(active) == 1
    active[0].kill()
    other = second if active[0] is first else first
    system.produce_puts(50)
    await system.assert_exactly_once("alpha")
    assert other.logged("relay_started")


async def test_a_units_topic_is_consumed_and_parks_by_its_own_key(system: ModelSystem) -> None:
    def unit_put(unit: str, key: str, name: str, what: str = "ok") -> None:
        body = json.dumps({"name": name, "n": 1, "what": what}).encode()
        headers = [("ce_id", str(uuid4()).encode()), ("ce_source", b"/a unit"), ("ce_type", b"model.UnitPut.v1"),
                   ("ce_producerid", b"0"), ("ce_sequence", b"99")]  # fmt: skip
        system.produce(f"model-{system.run}.{unit}.v1", key, body, headers, 0)
        system.flush()

    system.partitions = 1
    system.create_topics(f"model-{system.run}.999901-a.v1")
    system.partitions = 4
    system.settings["HUTONG_PARTITIONS"] = "4"
    system.start("gamma")
    unit_put("999901-a", "same key", "a")
    unit_put("999901-a", "same key", "bad", "unprocessable")
    unit_put("999901-a", "same key", "b")
    unit_put("999901-a", "another key", "bad")

    async def applied(*names: str) -> bool:
        return [row["name"] for row in await system.sql("alpha", "select name from audit order by id")] == list(names)

    await eventually(lambda: applied("a", "b"), what="the valid events are applied")
    assert await system.value("alpha", "select key from parked_key") == "name bad"
    await eventually(lambda: two_parked(system), what="its follower is parked under the same key")
    system.begin_day(date(2026, 3, 1))

    async def day_completed() -> bool:
        return bool(await system.value("alpha", "select count(*) = 4 from day_state where day is not null"))

    await eventually(day_completed, what="the day is completed for every index")
    unit_put("999901-a", "k", "c")
    await eventually(lambda: applied("a", "b", "c"), what="the next day's event is applied")
    assert await system.value("alpha", "select day from audit where name = 'c'") == date(2026, 3, 1)


async def test_processes_share_the_topics_of_the_units(system: ModelSystem) -> None:
    """Each topic has one partition; assignment by range would give all of them to one process."""
    units = [f"model-{system.run}.999901-{letter}.v1" for letter in "abcd"]
    system.partitions = 1
    system.create_topics(*units)
    system.partitions = 4
    system.settings["HUTONG_PARTITIONS"] = "4"
    processes = [system.start("gamma", ordinal=ordinal) for ordinal in (0, 1)]

    async def topics_shared() -> bool:
        main = [
            [line for line in process.logged("partitions_assigned") if line["consumer"] == "main"]
            for process in processes
        ]
        latest = [set(lines[-1]["partitions"]) if lines else set() for lines in main]
        return (
            all(latest) and latest[0].isdisjoint(latest[1]) and latest[0] | latest[1] > {f"{unit}/0" for unit in units}
        )

    await eventually(topics_shared, what="each process consumes some of the units' topics")


async def test_a_group_assigned_by_range_accepts_a_process_that_prefers_round_robin(
    system: ModelSystem,
) -> None:
    """The static member of a former version is still in the group."""
    unit = f"model-{system.run}.999901-a.v1"
    system.partitions = 1
    system.create_topics(unit)
    system.partitions = 4
    system.settings["HUTONG_PARTITIONS"] = "4"
    name = system.schema("alpha")
    former = AIOKafkaConsumer(
        unit,
        bootstrap_servers=system.settings_of("alpha").kafka,
        group_id=f"hutong.{name}.main",
        group_instance_id=f"hutong-{name}-main-0",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=60_000,
        **kafka._sasl(system.settings_of("alpha")),
    )
    await former.start()
    await former.stop()
    current = system.start("gamma")

    async def started() -> bool:
        return bool(current.logged("service_started"))

    await eventually(started, what="it joins the group")


async def test_a_process_that_does_not_finish_starting_is_not_live(service: Service) -> None:
    """A process that hangs before it has consumers has none that could be silent."""
    assert service.health.liveness_failures() == []
    service.health.created_at -= 2 * service.settings.silence_timeout
    assert service.health.liveness_failures() == ["it has been starting for too long"]


async def test_metrics_of_a_partition_end_when_it_is_revoked(service: Service) -> None:
    """A lag or a halt of a partition that another process has would raise an alarm indefinitely."""
    consumer, partition = service.consumers["main"], (model.INPUT.name, 0)
    consumer.assigned = {partition}
    service.metrics.lag.labels("main", *map(str, partition)).set(7)
    consumer.halt(*partition, "for a test")
    exposed = generate_latest(service.metrics.registry).decode()
    assert f'hutong_halted{{consumer="main",partition="0",topic="{partition[0]}"}} 1.0' in exposed
    assert f'hutong_cursor_lag{{consumer="main",partition="0",topic="{partition[0]}"}} 7.0' in exposed
    await consumer.on_revoked()
    consumer.on_assigned(set())
    exposed = generate_latest(service.metrics.registry).decode()
    assert "hutong_halted{" not in exposed
    assert "hutong_cursor_lag{" not in exposed


async def test_every_process_reports_the_completed_day(service: Service) -> None:
    """Every process reports it, whichever completed it, so that none reports an old day."""
    await service.context.pool.execute("update day_state set day = '2026-03-02' where index = 0")
    await service.watchdog._gauges()
    midnight = at_midnight(date(2026, 3, 2)).timestamp()
    assert (
        service.metrics.registry.get_sample_value("hutong_day_completed_timestamp_seconds", {"index": "0"}) == midnight
    )


async def two_parked(system: ModelSystem) -> bool:
    return bool(await system.value("alpha", "select count(*) = 2 from parked_event"))


async def test_a_second_process_with_the_same_ordinal_logs_the_reason_and_ends(system: ModelSystem) -> None:
    """With the same static id, Kafka would let the two processes fence each other indefinitely."""
    first = system.start("alpha", ordinal=0)
    system.produce_puts(20)
    await system.assert_exactly_once("alpha")
    second = system.start("alpha", ordinal=0)
    assert await second.wait_for_exit() == FAILED
    assert second.logged("start_failed")[0]["reason"] == f"another process of {system.schema('alpha')} has ordinal 0"
    assert len(first.logged("partitions_assigned")) == 2, "one for each consumer: the first was not disturbed"
    first.kill()
    system.start("alpha", ordinal=0)
    system.produce_puts(20)
    await system.assert_exactly_once("alpha")


async def test_a_recreated_database_is_another_producer(system: ModelSystem) -> None:
    """Kafka is kept and the database is not: its new events start at sequence number 0 and are no duplicates."""
    alpha = system.start("alpha")
    system.start("beta")
    system.produce_puts(20)
    await system.assert_exactly_once("alpha", "beta")
    assert await alpha.stop() == 0
    await system.database.execute(f'drop schema "{system.schema("alpha")}" cascade')
    await system.migrate("alpha")
    system.start("alpha")

    async def all_applied() -> bool:
        return bool(await system.value("beta", "select count(*) = 40 from audit"))

    await eventually(all_applied, what="beta applies the new producer's events")
    assert await system.value("beta", "select count(distinct source) from producer_sequence") == 2


async def test_a_process_with_an_old_schema_logs_the_reason_and_ends(system: ModelSystem) -> None:
    await system.sql("alpha", "delete from migration where id like '%0001_model'")
    alpha = system.start("alpha")
    assert await alpha.wait_for_exit() == FAILED
    assert "is not up to date" in alpha.logged("start_failed")[0]["reason"]


async def test_a_process_without_its_keys_logs_the_reason_and_ends(system: ModelSystem) -> None:
    """Without them a parked record would be stored in plain text or lost."""
    system.settings["HUTONG_SECRETS_FILE"] = ""
    alpha = system.start("alpha")
    assert await alpha.wait_for_exit() == FAILED
    assert alpha.logged("start_failed")[0]["reason"] == "the secrets file has no parking_key"
    code, _ = await system.run_command("alpha", "--parked")
    assert code == FAILED


async def test_a_process_whose_topics_have_other_partitions_logs_the_reason_and_ends(system: ModelSystem) -> None:
    system.settings["HUTONG_PARTITIONS"] = "8"
    alpha = system.start("alpha")
    assert await alpha.wait_for_exit() == FAILED
    assert f"{system.input} (4 partitions, not 8)" in alpha.logged("start_failed")[0]["reason"]
