"""Backoff doubles up to a maximum, with jitter."""

import asyncio
import time

import pytest

from runtime import Settings
from runtime.backoff import Backoff


async def test_backoff_doubles_up_to_a_maximum_and_ends_on_a_wake_up() -> None:
    backoff = Backoff(Settings(retry_first=0.001, retry_last=0.004))
    for expected in (0.001, 0.002, 0.004, 0.004):
        assert backoff.following == expected
        await backoff.wait()
    backoff = Backoff(Settings(retry_first=30, retry_last=30))
    wake = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, wake.set)
    started = time.monotonic()
    await backoff.wait(wake)
    assert time.monotonic() - started < 5


async def test_backoff_is_jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is between half and the whole of its interval."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(50):
        await Backoff(Settings(retry_first=1.0)).wait()
    assert all(0.5 <= wait <= 1.0 for wait in waits)
    assert max(waits) - min(waits) > 0.1
