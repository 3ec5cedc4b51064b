"""What aiokafka does not see is seen, and stops the partition it happened to, loudly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace

from confluent_kafka import TopicPartition

from runtime import Service, partition_of
from runtime.operate.watchdog import Watchdog
from tests.runtime import model
from tests.runtime.harness import Process, World, eventually


async def halted(process: Process, count: int = 1) -> list[str]:
    async def check() -> list[str]:
        reasons = [line["reason"] for line in process.said("partition_halted")]
        return reasons if len(reasons) >= count else []

    return list(await eventually(check, what="a partition halts"))


async def test_a_topic_made_anew_halts_its_partitions(world: World) -> None:
    world.settings["HUTONG_WATCHDOG_INTERVAL"] = "0.3"
    alpha = world.start("alpha")
    world.many(30)
    await world.arrived("alpha")
    world.delete_topic(world.input)

    async def made_again() -> bool:
        try:
            world.make_topics(world.input)
        except Exception:
            return False
        return True

    await eventually(made_again, what="the topic is made again")
    for _ in range(60):
        world.put("refilled", kept=False)
    world.flush()
    # The client loses its assignment with the topic, and says nothing: the watch looks at it all the same.
    reasons = await halted(alpha, world.partitions)
    assert all("created again" in reason or "gone" in reason for reason in reasons)
    assert await world.value("alpha", "select count(*) from audit where name = 'refilled'") == 0
    assert alpha.get("/health")[0] == 503
    await alpha.stop()

    again = world.start("alpha")
    reasons = await halted(again, world.partitions)
    assert all("created again" in reason for reason in reasons), "a restart does not make it forget"
    assert await world.value("alpha", "select count(*) from audit where name = 'refilled'") == 0


async def test_a_topic_made_anew_is_told_though_its_assignment_is_gone(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    """A topic that goes takes its assignment along, in silence. When it is back it is not the one that was heard."""
    place = (model.INPUT.name, 0)
    service = await service_with(watchdog_interval=0.05)
    consumer = service.consumers["main"]
    consumer.on_assigned({place})
    await consumer.on_revoked()
    await service.context.pool.execute(
        "update consumer_cursor set topic_id = 'the one that went' where topic = $1", place[0]
    )
    watching = asyncio.create_task(service.watchdog.run())

    async def halted() -> bool:
        return place in consumer.halted

    try:
        await eventually(halted, what="the partition is halted")
        assert "created again" in consumer.halted[place]
    finally:
        service.watchdog.stop()
        await watching


async def test_records_deleted_past_the_cursor_halt_that_partition_only(world: World) -> None:
    world.settings["HUTONG_WATCHDOG_INTERVAL"] = "0.3"
    alpha = world.start("alpha")
    world.many(30)
    await world.arrived("alpha")
    assert await alpha.stop() == 0
    for number in range(10):
        world.raw(world.input, f"gone-{number}", b"{}", [], 1)
    world.flush()
    kept_end = await world.value(
        "alpha",
        "select next_offset from consumer_cursor where consumer = 'main' and topic = $1 and partition = 1",
        world.input,
    )
    place = TopicPartition(world.input, 1, kept_end + 5)
    world.admin.delete_records([place])[TopicPartition(world.input, 1)].result(10)
    again = world.start("alpha")
    assert "retention overran" in (await halted(again))[0]
    for number in range(20):
        world.put(f"name-{number:03}", kept=partition_of(f"name-{number:03}", 4) != 1)
    world.flush()
    await world.exact("alpha")
    assert [line["partition"] for line in again.said("partition_halted")] == [1]
    assert await world.value("alpha", "select count(*) from dead_letter") == 0


async def test_a_consumer_that_hears_nothing_ends_the_process(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    """Without an assignment the client is healthy and silent: starting the process anew may cure it."""
    service = await service_with(silence_timeout=0.2, watchdog_interval=0.05)
    watching = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return "has been silent for too long" in (service.failure or "")

    await eventually(ended, what="the process ends")
    assert any("is silent" in silence for silence in service.health.liveness_failures())
    service.watchdog.stop()
    await watching


async def test_partitions_that_are_revoked_and_never_assigned_again_end_the_process(
    service_with: Callable[..., Awaitable[Service]],
) -> None:
    service = await service_with(silence_timeout=0.2, watchdog_interval=0.05)
    for group in service.consumers.values():
        group.subscriber = SimpleNamespace(consumer=object())
        group.interrupt.set()
        group.assigned = {(model.INPUT.name, 0)}
    watching = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return "has been silent for too long" in (service.failure or "")

    try:
        await eventually(ended, what="the process ends")
    finally:
        service.watchdog.stop()
        await watching


async def test_a_process_beyond_the_units_topics_waits_in_peace(service: Service) -> None:
    """As many can be at work as there are topics of units, which have one partition each; of one topic as many as it
    has partitions.
    """
    group = service.consumers["main"]
    group.topics = [model.INPUT.name, model.STEP.name]

    def is_standby(ordinal: int) -> bool:
        context = replace(service.context, settings=replace(service.settings, ordinal=ordinal))
        return Watchdog(context, service.consumers)._is_standby(group)

    many = service.settings.partitions
    assert [is_standby(ordinal) for ordinal in (many - 1, many, 2 * many)] == [False, True, True]
    group.subscription = replace(group.subscription, topics=(model.UNIT_INPUT,))
    assert [is_standby(ordinal) for ordinal in (many - 1, many, 2 * many)] == [False, False, True]
