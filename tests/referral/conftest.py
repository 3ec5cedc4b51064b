"""A county's referral service without a broker: its handlers, on a database of the test's own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from deploy.embedded.postgres import EmbeddedPostgres
from runtime import Settings
from runtime.migrations import migrate
from tests.referral.harness import MIGRATIONS, ReferralHarness

NAME = "referral_tests"


@pytest.fixture(scope="session")
async def tables(postgres: EmbeddedPostgres) -> str:
    """One database with the service's tables for all of these tests; each of them begins with empty ones."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{NAME}"')
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, NAME)
    await migrate("referral", Settings(postgres=dsn), MIGRATIONS)
    return dsn


@pytest.fixture
async def system(tables: str) -> AsyncIterator[ReferralHarness]:
    """The demo county on an ordinary Tuesday morning, with nothing in it."""
    made = await ReferralHarness.open(tables)
    yield made
    await made.close()
