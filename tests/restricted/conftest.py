"""Four services on one database, and a county whose agencies have two keys each."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from joserfc.jwk import ECKey

from contracts.county import County
from deploy.embedded.postgres import EmbeddedPostgres
from runtime import Settings
from runtime.storage import migrations
from tests.county import a_county
from tests.restricted.harness import FOLDER, SERVICES, ServicesHarness, connect

KEYS = {restricted: ECKey.generate_key("P-256", {"use": "enc"}) for restricted in (False, True)}


def a_county_with_keys() -> County:
    public = {restricted: json.dumps(key.as_dict(private=False)) for restricted, key in KEYS.items()}
    return a_county(
        units=tuple(
            unit.model_copy(
                update={
                    "public_key": public[False] if "agency" in unit.families else None,
                    "restricted_public_key": public[True] if "restricted_agency" in unit.families else None,
                }
            )
            for unit in a_county().units
        )
    )


@pytest.fixture(scope="session")
async def migrated(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute("create database restricted_tests")
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, "restricted_tests")
    for service in SERVICES:
        await migrations.migrate(service, Settings(postgres=dsn), FOLDER / service / "migrations")
    yield dsn
    await admin.execute("drop database restricted_tests with (force)")
    await admin.close()


@pytest.fixture
async def begin(migrated: str) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[ServicesHarness]]]:
    """Return a context that begins a scenario with empty tables and rolls it back at its end."""
    async with AsyncExitStack() as opened:
        sessions = {service: await connect(migrated, service) for service in SERVICES}
        for session in sessions.values():
            opened.push_async_callback(session.close)

        @asynccontextmanager
        async def scenario() -> AsyncIterator[ServicesHarness]:
            transactions = [session.transaction() for session in sessions.values()]
            for transaction in transactions:
                await transaction.start()
            yield ServicesHarness(sessions, a_county_with_keys(), KEYS)
            for transaction in transactions:
                await transaction.rollback()

        yield scenario
