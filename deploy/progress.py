"""Waiting for a machine that may be slow: it goes on while a count grows, and ends when the count stands still."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

PATIENCE = 120.0
"""Seconds without progress after which waiting is given up."""
LIMIT = "HUTONG_START_LIMIT"
"""The setting (environment) that holds the outer limit: seconds that one wait may take, however much it moves."""
LIMIT_S = 3600.0
BETWEEN = 0.2
"""Seconds between two looks at work that goes on beside."""

T = TypeVar("T")


class NoProgressError(Exception):
    """Waiting was given up. Says what was waited for, how long, the last progress and what helps."""


def start_limit() -> float:
    """The outer limit in seconds.

    Raises:
        NoProgressError: the setting is no positive number.
    """
    said = os.environ.get(LIMIT, "")
    if not said:
        return LIMIT_S
    if not said.isdecimal() or not int(said):
        raise NoProgressError(f"{LIMIT} must be a whole number of seconds, not {said!r}")
    return float(said)


class Progress:
    """One wait. ``what`` is a noun ("Kafka's start"), ``remedy`` says what the reader of the error can do."""

    def __init__(self, what: str, remedy: str, *, patience: float | None = None, limit: float | None = None) -> None:
        self._what = what
        self._remedy = remedy
        self._patience = PATIENCE if patience is None else patience
        self._limit = start_limit() if limit is None else limit
        self._began = self._moved = time.monotonic()
        self._count = 0

    def look(self, count: int, unit: str = "steps") -> None:
        """Compare the count with the highest one so far.

        Raises:
            NoProgressError: it has not grown for the whole patience, or the outer limit has passed.
        """
        now = time.monotonic()
        if count > self._count:
            self._count, self._moved = count, now
        still, whole = now - self._moved, now - self._began
        reached = f"it had reached {self._count} {unit}" if self._count else "it had not moved at all"
        if still > self._patience:
            raise NoProgressError(
                f"{self._what} made no progress for {still:.0f} s ({reached} after {whole:.0f} s): {self._remedy}"
            )
        if whole > self._limit:
            raise NoProgressError(
                f"{self._what} was not over within {whole:.0f} s ({reached}): "
                f"on a slow machine set {LIMIT} to more than {self._limit:.0f} seconds"
            )

    async def watch(self, work: Awaitable[T], count: Callable[[], int], unit: str = "steps") -> T:
        """Await ``work`` and look at the count meanwhile; work that is given up is cancelled.

        Raises:
            NoProgressError: as :meth:`look` does.
        """
        running = asyncio.ensure_future(work)
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=BETWEEN)
                if not running.done():
                    self.look(count(), unit)
        except BaseException:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            raise
        return running.result()


class LogMilestones:
    """Counts what a growing log has said that matches a pattern; the same words again do not count.

    What the log holds already, of earlier processes, is skipped. Of a match its groups are compared.
    """

    def __init__(self, log: Path, pattern: re.Pattern[str]) -> None:
        self._log = log
        self._pattern = pattern
        self._offset = log.stat().st_size if log.exists() else 0
        self._seen: set[tuple[str | None, ...]] = set()

    def count(self) -> int:
        """How many different ones so far."""
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
