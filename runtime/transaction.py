"""The open transaction of a batch, as handlers and stores see it."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import asyncpg

Record = asyncpg.Record
"""A row, indexed by column name or position."""


class Tx(Protocol):
    """The database operations of a store. The runtime commits or rolls back, once per batch.

    It is an asyncpg connection: ``$1`` placeholders, ``jsonb`` as text, ``uuid`` and ``date`` as Python's. It offers
    only methods that the server's timeouts end when the process is frozen, and therefore no COPY.
    """

    async def fetch(self, query: str, *args: object) -> list[Record]:
        """Return all rows of a query."""

    async def fetchrow(self, query: str, *args: object) -> Any:
        """Return the first row, or None if there is none."""

    async def fetchval(self, query: str, *args: object) -> Any:
        """Return the first column of the first row, or None if there is no row."""

    async def execute(self, query: str, *args: object) -> str:
        """Execute one statement; return its command tag, for example ``UPDATE 3``."""

    async def executemany(self, command: str, args: Iterable[Sequence[object]]) -> None:
        """Execute one statement once for each sequence of arguments."""


def columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Return rows as columns, one list each, as ``unnest`` takes them. Of no rows there are no columns."""
    return [list(column) for column in zip(*rows, strict=True)]
