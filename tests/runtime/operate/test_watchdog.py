"""The watchdog notices what aiokafka does not, and halts the affected partition."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace

from confluent_kafka import TopicPartition

from runtime import Service, partition_of
from runtime.operate.watchdog import Watchdog
from tests.runtime import model
from tests.runtime.harness import ModelSystem, Process, eventually


async def wait_until_halted(process: Process, count: int = 1) -> list[str]:
    async def check() -> list[str]:
        reasons = [line["reason"] for line in process.logged("partition_halted")]
        return reasons if len(reasons) >= count else []

    return list(await eventually(check, what="a partition is halted"))


async def test_a_recreated_topic_halts_its_partitions(system: ModelSystem) -> None:
    system.settings["HUTONG_WATCHDOG_INTERVAL"] = "0.3"
    alpha = system.start("alpha")
    system.produce_puts(30)
    await system.wait_until_applied("alpha")
    system.delete_topic(system.input)

    async def recreated() -> bool:
        try:
            system.create_topics(system.input)
        except Exception:
            return False
        return True

    await eventually(recreated, what="the topic is recreated")
    for _ in range(60):
        system.put("refilled", expected=False)
    system.flush()
    # The client loses its assignment with the topic and reports nothing; the watchdog checks the topic nevertheless.
    reasons = await wait_until_halted(alpha, system.partitions)
    assert all("created again" in reason or "gone" in reason for reason in reasons)
    assert await system.value("alpha", "select count(*) from audit where name = 'refilled'") == 0
    assert alpha.get("/health")[0] == 503
    await alpha.stop()

    restarted = system.start("alpha")
    reasons = await wait_until_halted(restarted, system.partitions)
    assert all("created again" in reason for reason in reasons), "the halt outlives a restart"
    assert await system.value("alpha", "select count(*) from audit where name = 'refilled'") == 0


async def test_a_recreated_topic_is_noticed_without_an_assignment(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    """A deleted topic loses its assignment without a report; the recreated topic has another id."""
    partition = (model.INPUT.name, 0)
    service = await service_with(watchdog_interval=0.05)
    consumer = service.consumers["main"]
    consumer.on_assigned({partition})
    await consumer.on_revoked()
    await service.context.pool.execute(
        "update consumer_cursor set topic_id = 'the deleted one' where topic = $1", partition[0]
    )
    watchdog = asyncio.create_task(service.watchdog.run())

    async def wait_until_halted() -> bool:
        return partition in consumer.halted

    try:
        await eventually(wait_until_halted, what="the partition is halted")
        assert "created again" in consumer.halted[partition]
    finally:
        service.watchdog.stop()
        await watchdog


async def test_records_deleted_past_the_cursor_halt_only_their_partition(system: ModelSystem) -> None:
    system.settings["HUTONG_WATCHDOG_INTERVAL"] = "0.3"
    alpha = system.start("alpha")
    system.produce_puts(30)
    await system.wait_until_applied("alpha")
    assert await alpha.stop() == 0
    for number in range(10):
        system.produce(system.input, f"gone-{number}", b"{}", [], 1)
    system.flush()
    kept_end = await system.value(
        "alpha",
        "select next_offset from consumer_cursor where consumer = 'main' and topic = $1 and partition = 1",
        system.input,
    )
    partition = TopicPartition(system.input, 1, kept_end + 5)
    system.admin.delete_records([partition])[TopicPartition(system.input, 1)].result(10)
    restarted = system.start("alpha")
    assert "retention overran" in (await wait_until_halted(restarted))[0]
    for number in range(20):
        system.put(f"name-{number:03}", expected=partition_of(f"name-{number:03}", 4) != 1)
    system.flush()
    await system.assert_exactly_once("alpha")
    assert [line["partition"] for line in restarted.logged("partition_halted")] == [1]
    assert await system.value("alpha", "select count(*) from dead_letter") == 0


async def test_a_consumer_without_records_or_assignment_ends_the_process(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    """Without an assignment the client is healthy and silent; a restart of the process may help."""
    service = await service_with(silence_timeout=0.2, watchdog_interval=0.05)
    watchdog = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return "has been silent for too long" in (service.failure or "")

    await eventually(ended, what="the process ends")
    assert any("is silent" in failure for failure in service.health.liveness_failures())
    service.watchdog.stop()
    await watchdog


async def test_partitions_that_are_revoked_and_never_assigned_again_end_the_process(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    service = await service_with(silence_timeout=0.2, watchdog_interval=0.05)
    for group in service.consumers.values():
        group.subscriber = SimpleNamespace(consumer=object())
        group.interrupt.set()
        group.assigned = {(model.INPUT.name, 0)}
    watchdog = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return "has been silent for too long" in (service.failure or "")

    try:
        await eventually(ended, what="the process ends")
    finally:
        service.watchdog.stop()
        await watchdog


async def test_a_process_beyond_the_units_topics_is_a_standby(service: Service) -> None:
    """As many processes can work as the units have topics, of one partition each, or as one topic has partitions."""
    group = service.consumers["main"]
    group.topics = [model.INPUT.name, model.STEP.name]

    def is_standby(ordinal: int) -> bool:
        context = replace(service.context, settings=replace(service.settings, ordinal=ordinal))
        return Watchdog(context, service.consumers)._is_standby(group)

    partitions = service.settings.partitions
    assert [is_standby(ordinal) for ordinal in (partitions - 1, partitions, 2 * partitions)] == [False, True, True]
    group.subscription = replace(group.subscription, topics=(model.UNIT_INPUT,))
    assert [is_standby(ordinal) for ordinal in (partitions - 1, partitions, 2 * partitions)] == [False, False, True]
