"""Provide a harness of intake on real tables, rolled back after each test."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from runtime import Settings
from runtime.storage import migrations
from tests.intake.harness import MIGRATIONS, Harness

DATABASE = "intake_tests"


@pytest.fixture(scope="session")
async def intake_connection(postgres: Any) -> AsyncIterator[Any]:
    """Return a session in intake's schema of these tests' own database."""
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
async def intake(intake_connection: Any) -> AsyncIterator[Harness]:
    """Return a harness whose batches are savepoints of a transaction that is rolled back."""
    outer = intake_connection.transaction()
    await outer.start()
    yield Harness(intake_connection)
    await outer.rollback()
