"""The broker and the database are killed and start again."""

from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.stack import LocalStack
from tests.runtime.harness import ModelSystem, eventually, servers_of


@pytest.mark.timeout(600)
async def test_a_killed_broker_and_a_killed_database_are_waited_for(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """SIGKILL of the database and then of the broker under load: nothing is lost, duplicated, parked or restarted."""
    with stack_class(tmp_path / "stack", durable=False) as stack:
        servers = servers_of(stack)
        system = ModelSystem(servers, tmp_path, await asyncpg.connect(servers.postgres))
        system.settings["HUTONG_MAX_RECORDS"] = "20"
        system.create_topics(system.input, system.step, system.end)
        system.activate_county()
        await system.migrate("alpha", "beta")
        alpha, beta = system.start("alpha"), system.start("beta")
        try:
            system.produce_puts(200)
            await system.wait_until_applied("alpha")
            system.produce_puts(200)
            stack.postgres.kill()
            system.produce_puts(100)

            async def is_retrying() -> bool:
                return bool(alpha.logged("retry_scheduled"))

            await eventually(is_retrying, what="alpha waits for the database")
            stack.postgres.start()
            system.database = await asyncpg.connect(servers.postgres)
            await system.assert_exactly_once("alpha", "beta")

            system.produce_puts(200)
            stack.kafka.kill()
            stack.kafka.start()
            system.produce_puts(200)
            await system.assert_exactly_once("alpha", "beta")
            assert alpha.running
            assert beta.running
            for service in ("alpha", "beta"):
                assert await system.value(service, "select count(*) from parked_key") == 0
                assert await system.value(service, "select count(*) from dead_letter") == 0
        finally:
            await system.close()
            await system.database.close()
