"""A world per test: its own two model services, topics and schemas, on the stack that all tests share."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from contracts.topics import CLOCK, COUNTY
from tests.runtime.harness import Stack, World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes start, die and start again here: on a busy machine that takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def servers(stack: Any) -> Stack:
    """The shared stack's addresses; ``clock.v1`` and ``county.v1`` are there."""
    state = stack.state()
    kafka, postgres = state["kafka"], state["postgres"]
    found = Stack(kafka["bootstrap"], kafka["admin_user"], kafka["admin_password"], postgres["superuser_dsn"])
    make_house_topics(AdminClient(found.config()))
    return found


def make_house_topics(admin: AdminClient) -> None:
    there = admin.list_topics(timeout=10).topics
    missing = [name for name in (CLOCK.name, COUNTY.name) if name not in there]
    topics = [
        NewTopic(name, 1, 1, config={"cleanup.policy": "compact"} if name == COUNTY.name else {}) for name in missing
    ]
    if topics:
        for future in admin.create_topics(topics).values():
            future.result(20)


@pytest.fixture
async def world(servers: Stack, tmp_path: Path) -> AsyncIterator[World]:
    """A county that is active, a clock that has said nothing yet, and both services migrated."""
    database = await asyncpg.connect(servers.postgres)
    made = World(servers, tmp_path, database)
    forget_the_clock(made)
    made.make_topics(made.input, made.step, made.end)
    made.activate()
    await made.migrate("alpha", "beta")
    try:
        yield made
    finally:
        await made.close()
        await database.close()


def forget_the_clock(world: World) -> None:
    """Other tests' days are none of ours."""
    place = TopicPartition(CLOCK.name, 0)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    end = world.admin.list_offsets({place: latest})[place].result(10).offset
    world.admin.delete_records([TopicPartition(CLOCK.name, 0, end)])[place].result(10)
