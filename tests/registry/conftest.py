"""Each test has a registry with its own database."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from runtime import Settings
from runtime.storage import migrations
from tests.registry.harness import MIGRATIONS, Registry

TEMPLATE = "registry_template"


@pytest.fixture(scope="session")
async def database_template(postgres: Any) -> str:
    """Return the name of a database with the registry's schema, which is copied for every test."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{TEMPLATE}"')
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, TEMPLATE)
    await migrations.migrate("registry", Settings(postgres=dsn), MIGRATIONS)
    return TEMPLATE


@pytest.fixture
async def registry(database: Any) -> AsyncIterator[Registry]:
    connection = await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    yield Registry(connection)
    await connection.close()
