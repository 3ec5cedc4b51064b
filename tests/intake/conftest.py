"""A door per test: intake's handlers on real tables, undone after each test."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from runtime import Settings
from runtime.storage import migrations
from tests.intake.door import MIGRATIONS, Door

DATABASE = "intake_tests"


@pytest.fixture(scope="session")
async def intake_connection(postgres: Any) -> AsyncIterator[Any]:
    """A session in intake's schema, in a database of these tests' own."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{DATABASE}"')
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, DATABASE)
    await migrations.migrate("intake", Settings(postgres=dsn), MIGRATIONS)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "intake"})
    yield connection
    await connection.close()
    await admin.execute(f'DROP DATABASE "{DATABASE}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def door(intake_connection: Any) -> AsyncIterator[Door]:
    """Batches are transactions within one that is never committed."""
    undone = intake_connection.transaction()
    await undone.start()
    yield Door(intake_connection)
    await undone.rollback()
