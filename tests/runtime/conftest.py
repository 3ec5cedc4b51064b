"""Each test has its own model services, topics and schemas on the stack that all tests share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from contracts.topics import CLOCK
from deploy.embedded.stack import LocalStack
from runtime import Service
from runtime.consume import cursors
from runtime.storage.migrations import migrate
from tests.runtime import model
from tests.runtime.harness import ModelSystem, ServerAddresses, county, eventually, servers_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests more time: their processes start, die and start again."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def servers(stack: LocalStack) -> ServerAddresses:
    """Return the shared stack's addresses; ``clock.v1`` and ``county.v1`` exist."""
    return servers_of(stack)


@pytest.fixture
async def system(servers: ServerAddresses, tmp_path: Path) -> AsyncIterator[ModelSystem]:
    """Return a system with an active county, an empty clock topic and both services migrated."""
    database = await asyncpg.connect(servers.postgres)
    system = ModelSystem(servers, tmp_path, database)
    await empty_the_clock(system)
    system.create_topics(system.input, system.step, system.end)
    system.activate_county()
    await system.migrate("alpha", "beta")
    try:
        yield system
    finally:
        await system.close()
        await database.close()


async def empty_the_clock(system: ModelSystem) -> None:
    """Delete the days of other tests."""
    partition = TopicPartition(CLOCK.name, 0)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]

    async def emptied() -> bool:
        try:
            end = system.admin.list_offsets({partition: latest})[partition].result(10).offset
            system.admin.delete_records([TopicPartition(CLOCK.name, 0, end)])[partition].result(10)
        except KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION:
                return False  # the topic is new to the broker, or an earlier test has restarted it
            raise
        return True

    await eventually(emptied, what="the clock is empty")


@pytest.fixture
async def service(system: ModelSystem) -> AsyncIterator[Service]:
    """Return alpha without its process and without polling: a new schema, a cursor and a county."""
    partition = (model.INPUT.name, 0)
    await system.database.execute('drop schema if exists "alpha_none" cascade')
    await migrate("alpha_none", system.settings_of("alpha"), model.MIGRATIONS)
    existing = system.admin.list_topics(timeout=10).topics
    system.create_topics(*(name for name in (model.INPUT.name, model.STEP.name) if name not in existing))
    service = model.alpha(system.settings_of("alpha", HUTONG_RETRY_LAST="0.05"))
    await service.open()
    consumer = service.consumers["main"]

    async def has_beginning() -> bool:
        try:
            await cursors.load(service.context, consumer.name, [partition])
        except ConnectionError:
            return False  # the broker does not know the new topic yet
        return True

    await eventually(has_beginning, what="the input's log has a beginning")
    await service.context.pool.execute(
        "insert into county (version, active_from, activated_by, body) values ('1', '2026-01-01', '', $1)",
        county().model_dump_json(),
    )
    consumer.assigned.add(partition)
    consumer.ready.add(partition)
    yield service
    await service.close()


@pytest.fixture
async def service_with(service: Service) -> AsyncIterator[Callable[..., Awaitable[Service]]]:
    """Return a function that makes the same service with other settings."""
    services: list[Service] = []

    async def make(**changes: Any) -> Service:
        changed = model.alpha(replace(service.settings, **changes))
        await changed.open()
        services.append(changed)
        before, after = service.consumers["main"], changed.consumers["main"]
        after.assigned |= before.assigned
        after.ready |= before.ready
        return changed

    yield make
    for changed in services:
        await changed.close()
