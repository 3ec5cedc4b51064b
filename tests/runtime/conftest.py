"""A world per test: its own two model services, topics and schemas, on the stack that all tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from contracts.topics import CLOCK
from deploy.embedded.stack import LocalStack
from runtime import Service
from runtime.consume import cursors
from runtime.storage.migrations import migrate
from tests.runtime import model
from tests.runtime.harness import Stack, World, county, eventually, servers_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes start, die and start again here: on a busy machine that takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def servers(stack: LocalStack) -> Stack:
    """The shared stack's addresses; ``clock.v1`` and ``county.v1`` are there."""
    return servers_of(stack)


@pytest.fixture
async def world(servers: Stack, tmp_path: Path) -> AsyncIterator[World]:
    """A county that is active, a clock that has said nothing yet, and both services migrated."""
    database = await asyncpg.connect(servers.postgres)
    made = World(servers, tmp_path, database)
    await forget_the_clock(made)
    made.make_topics(made.input, made.step, made.end)
    made.activate()
    await made.migrate("alpha", "beta")
    try:
        yield made
    finally:
        await made.close()
        await database.close()


async def forget_the_clock(world: World) -> None:
    """Other tests' days are none of ours."""
    place = TopicPartition(CLOCK.name, 0)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]

    async def forgotten() -> bool:
        try:
            end = world.admin.list_offsets({place: latest})[place].result(10).offset
            world.admin.delete_records([TopicPartition(CLOCK.name, 0, end)])[place].result(10)
        except KafkaException as error:
            if error.args[0].retriable():
                return False  # made a moment ago: its broker does not know it yet
            raise
        return True

    await eventually(forgotten, what="the clock is empty")


@pytest.fixture
async def service(world: World) -> AsyncIterator[Service]:
    """Alpha without its process: a fresh schema, a cursor, a county; nobody polls."""
    place = (model.INPUT.name, 0)
    await world.database.execute('drop schema if exists "alpha_none" cascade')
    await migrate("alpha_none", world.of("alpha"), model.MIGRATIONS)
    there = world.admin.list_topics(timeout=10).topics
    world.make_topics(*(name for name in (model.INPUT.name, model.STEP.name) if name not in there))
    made = model.alpha(world.of("alpha", HUTONG_RETRY_LAST="0.05"))
    await made.open()
    consumer = made.consumers["main"]

    async def begun() -> bool:
        try:
            await cursors.load(made.context, consumer.name, [place])
        except ConnectionError:
            return False  # made a moment ago: its broker does not know it yet
        return True

    await eventually(begun, what="the input's log has a beginning")
    await made.context.pool.execute(
        "insert into county (version, active_from, activated_by, body) values ('1', '2026-01-01', '', $1)",
        county().model_dump_json(),
    )
    consumer.assigned.add(place)
    consumer.ready.add(place)
    yield made
    await made.close()


@pytest.fixture
async def service_with(service: Service) -> AsyncIterator[Callable[..., Awaitable[Service]]]:
    """Makes the same service with other settings."""
    made: list[Service] = []

    async def make(**changes: Any) -> Service:
        other = model.alpha(replace(service.settings, **changes))
        await other.open()
        made.append(other)
        before, after = service.consumers["main"], other.consumers["main"]
        after.assigned |= before.assigned
        after.ready |= before.ready
        return other

    yield make
    for one in made:
        await one.close()
