"""Waits between retries: 50 ms, doubled up to 5 s, with jitter; an event ends a wait early."""

import asyncio
import random

from runtime.settings import Settings


class Backoff:
    """The waits of one endless retry."""

    def __init__(self, settings: Settings) -> None:
        self._first = settings.retry_first
        self._last = settings.retry_last
        self.following = self._first

    def reset(self) -> None:
        """Start again with the shortest wait, after an attempt has succeeded."""
        self.following = self._first

    async def wait(self, *wake: asyncio.Event) -> None:
        """Wait once, or until one of the events is set."""
        seconds = self.following * random.uniform(0.5, 1.0)
        self.following = min(self.following * 2, self._last)
        if not wake:
            await asyncio.sleep(seconds)
            return
        tasks = [asyncio.create_task(event.wait()) for event in wake]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
