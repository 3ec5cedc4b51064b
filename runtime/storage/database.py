"""Connections to PostgreSQL, and the classification of its failures."""

from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from runtime.errors import RetryLater
from runtime.settings import Settings

if TYPE_CHECKING:
    from asyncpg import Connection, Pool
    from asyncpg.pool import PoolConnectionProxy

    Database = Pool[asyncpg.Record]
    Session = Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Database = asyncpg.Pool
    Session = asyncpg.Connection

POOL_SIZE = 6
STATEMENT_TIMEOUT = 20.0
COMMAND_TIMEOUT = STATEMENT_TIMEOUT + 10
"""Seconds; a statement to which a silent server has not answered by then is given up."""
LOCK_TIMEOUT = 10.0
"""Seconds to wait for a lock, or for a session of the pool."""
_ABOUT_THE_EVENT = ("22", "23", "54", "P0")
"""SQLSTATE classes that a single event can cause: data exceptions, constraint violations, limits (a text that no index
takes), raised by a function.
Every other class is the server's, the connection's or the deployment's matter."""


def infrastructure(error: BaseException) -> bool:
    """Return whether an error is caused by no event, so that it is retried indefinitely and parks no event."""
    if isinstance(error, asyncpg.PostgresError):
        return not str(error.sqlstate or "").startswith(_ABOUT_THE_EVENT)
    if isinstance(error, asyncpg.DataError):
        return False
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    return isinstance(error, OSError | TimeoutError | KafkaError | KafkaException | RetryLater)


def server_settings(schema: str, settings: Settings) -> dict[str, str]:
    """Return the settings with which every session of a service is opened."""
    return {
        "search_path": f'"{schema}"',
        "application_name": f"hutong-{schema}-{settings.ordinal}",
        "statement_timeout": _milliseconds(STATEMENT_TIMEOUT),
        "lock_timeout": _milliseconds(LOCK_TIMEOUT),
        # A frozen process that holds a cursor's lock is cut off before its successor's lock timeout.
        "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout),
        # Frozen between two messages of one statement it is not idle, and no other timeout ends that.
        "transaction_timeout": _milliseconds(settings.transaction_timeout),
        "timezone": "UTC",
        "jit": "off",
        # A plan that was made while a table was empty is not kept for when it is full.
        "plan_cache_mode": "force_custom_plan",
    }


async def open_pool(schema: str, settings: Settings) -> Database:
    """Open a small pool of sessions in the service's schema."""
    return await asyncpg.create_pool(
        settings.postgres,
        min_size=0,
        max_size=POOL_SIZE,
        server_settings=server_settings(schema, settings),
        command_timeout=COMMAND_TIMEOUT,
        reset=_as_it_is,
    )


async def _as_it_is(session: object) -> None:
    """Do not reset a returned session: no settings, cursors or locks in it outlive a transaction."""


async def open_session(schema: str, settings: Settings, **more: str) -> Any:
    """Open a session outside the pool, for a lock that lasts as long as the session."""
    return await asyncpg.connect(
        settings.postgres,
        server_settings=server_settings(schema, settings) | more,
        command_timeout=COMMAND_TIMEOUT,
    )


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
