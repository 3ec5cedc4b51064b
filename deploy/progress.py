"""Wait for slow operations: waiting continues while a counter grows and fails when it stalls."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

STALL_TIMEOUT = 120.0
"""Seconds without progress after which waiting fails."""
LIMIT_SETTING = "HUTONG_START_LIMIT"
"""Environment variable with the outer limit: the seconds that one wait may take in total."""
DEFAULT_LIMIT = 3600.0
POLL_INTERVAL = 0.2
"""Seconds between two checks of work in progress."""

T = TypeVar("T")


class NoProgressError(Exception):
    """An operation stalled or exceeded the limit. The message names it, its last progress and the remedy."""


def start_limit() -> float:
    """Return the outer limit in seconds.

    Raises:
        NoProgressError: the setting is not a positive number.
    """
    value = os.environ.get(LIMIT_SETTING, "")
    if not value:
        return DEFAULT_LIMIT
    if not value.isdecimal() or not int(value):
        raise NoProgressError(f"{LIMIT_SETTING} must be a whole number of seconds, not {value!r}")
    return float(value)


class ProgressMonitor:
    """Monitors one operation. ``what`` names it ("Kafka's start"); ``remedy`` ends the error message."""

    def __init__(
        self, what: str, remedy: str, *, stall_timeout: float | None = None, limit: float | None = None
    ) -> None:
        self._what = what
        self._remedy = remedy
        self._stall_timeout = STALL_TIMEOUT if stall_timeout is None else stall_timeout
        self._limit = start_limit() if limit is None else limit
        self._began = self._moved = time.monotonic()
        self._count = 0

    def check(self, count: int, unit: str = "steps") -> None:
        """Record the current count and fail if the operation has stalled.

        Raises:
            NoProgressError: the count has not grown within the stall timeout, or the outer limit has passed.
        """
        now = time.monotonic()
        if count > self._count:
            self._count, self._moved = count, now
        still, whole = now - self._moved, now - self._began
        reached = f"it had reached {self._count} {unit}" if self._count else "it had not moved at all"
        if still > self._stall_timeout:
            raise NoProgressError(
                f"{self._what} made no progress for {still:.0f} s ({reached} after {whole:.0f} s): {self._remedy}"
            )
        if whole > self._limit:
            raise NoProgressError(
                f"{self._what} was not over within {whole:.0f} s ({reached}): "
                f"on a slow machine set {LIMIT_SETTING} to more than {self._limit:.0f} seconds"
            )

    async def run(self, work: Awaitable[T], count: Callable[[], int], unit: str = "steps") -> T:
        """Await ``work`` while checking ``count``; cancel it if it stalls.

        Raises:
            NoProgressError: as for :meth:`check`.
        """
        running = asyncio.ensure_future(work)
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=POLL_INTERVAL)
                if not running.done():
                    self.check(count(), unit)
        except BaseException:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        return running.result()


class LogMilestones:
    """Counts the distinct matches of a pattern in a growing log, compared by the pattern's groups.

    Lines that the log held before, from earlier processes, are skipped.
    """

    def __init__(self, log: Path, pattern: re.Pattern[str]) -> None:
        self._log = log
        self._pattern = pattern
        self._offset = log.stat().st_size if log.exists() else 0
        self._seen: set[tuple[str | None, ...]] = set()

    def count(self) -> int:
        """Return the number of distinct matches so far."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return len(self._seen)
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._seen.update(found.groups() for found in self._pattern.finditer(whole.decode("utf-8", "replace")))
        return len(self._seen)
