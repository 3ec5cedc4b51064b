"""The broker and the database themselves die, and come back."""

from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.stack import LocalStack
from tests.runtime.harness import World, eventually, servers_of


@pytest.mark.timeout(600)
async def test_a_broker_and_a_database_that_are_killed_are_waited_out(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """Kill -9 of the database's server, then of the broker, under load: nothing lost, doubled, parked or restarted."""
    with stack_class(tmp_path / "stack", durable=False) as stack:
        servers = servers_of(stack)
        world = World(servers, tmp_path, await asyncpg.connect(servers.postgres))
        world.settings["HUTONG_MAX_RECORDS"] = "20"
        world.make_topics(world.input, world.step, world.end)
        world.activate()
        await world.migrate("alpha", "beta")
        alpha, beta = world.start("alpha"), world.start("beta")
        try:
            world.many(200)
            await world.arrived("alpha")
            world.many(200)
            stack.postgres.kill()
            world.many(100)

            async def waits() -> bool:
                return bool(alpha.said("retry_scheduled"))

            await eventually(waits, what="alpha waits for the database")
            stack.postgres.start()
            world.database = await asyncpg.connect(servers.postgres)
            await world.exact("alpha", "beta")

            world.many(200)
            stack.kafka.kill()
            stack.kafka.start()
            world.many(200)
            await world.exact("alpha", "beta")
            assert alpha.running
            assert beta.running
            for which in ("alpha", "beta"):
                assert await world.value(which, "select count(*) from parked_key") == 0
                assert await world.value(which, "select count(*) from dead_letter") == 0
        finally:
            await world.close()
            await world.database.close()
