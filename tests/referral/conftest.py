"""Referral's handlers without a broker, on the tests' own database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from deploy.embedded.postgres import EmbeddedPostgres
from runtime import Settings
from runtime.storage.migrations import migrate
from tests.referral.harness import MIGRATIONS, ReferralHarness

NAME = "referral_tests"


@pytest.fixture(scope="session")
async def tables(postgres: EmbeddedPostgres) -> str:
    """Create one database with the service's tables for all of these tests; each test begins with empty tables."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{NAME}"')
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, NAME)
    await migrate("referral", Settings(postgres=dsn), MIGRATIONS)
    return dsn


@pytest.fixture
async def system(tables: str) -> AsyncIterator[ReferralHarness]:
    """Return the demo county on an ordinary Tuesday morning, without any case."""
    harness = await ReferralHarness.open(tables)
    yield harness
    await harness.close()
