"""Takes a process's ordinal, from which its static member ids in Kafka are derived."""

import asyncio
from typing import Any

from runtime.backoff import Backoff
from runtime.errors import OrdinalTaken
from runtime.observe.logs import log
from runtime.settings import Settings
from runtime.storage import sql
from runtime.storage.database import infrastructure, open_session

_LOCK_SPACE = 0x6F_72_64
_TRIES, _INTERVAL = 50, 0.2
"""Long enough for the database to notice that a killed process has gone."""


class Ordinal:
    """A lock on ``service/ordinal``, held as long as its session lives."""

    def __init__(self, service: str, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._session: Any = None

    async def take(self) -> None:
        """Take the ordinal; wait for a database that does not answer.

        Raises:
            OrdinalTaken: another process has it.
        """
        for _ in range(_TRIES):
            if await self._try_lock():
                return
            await asyncio.sleep(_INTERVAL)
        raise OrdinalTaken(f"another process of {self._service} has ordinal {self._settings.ordinal}")

    def release(self) -> None:
        """End the session, and the lock with it."""
        if self._session is not None:
            self._session.terminate()

    async def _try_lock(self) -> bool:
        backoff = Backoff(self._settings)
        while True:
            try:
                if self._session is None or self._session.is_closed():
                    self._session = await open_session(self._service, self._settings)
                key = f"{self._service}/{self._settings.ordinal}"
                return bool(await self._session.fetchval(sql.TRY_LOCK, _LOCK_SPACE, key))
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("database_awaited", error=type(error).__name__)
                await backoff.wait()
