"""Runs long pure computations in a thread, so that the event loop is not blocked."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREAD_THRESHOLD = 200
"""Number of events from which a thread is used (tens of milliseconds of work)."""


async def run_in_thread(many: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run pure work on a batch of ``many`` events: from ``_THREAD_THRESHOLD`` events on, in a thread.

    Meanwhile the loop serves the process's other consumers, so that a file does not delay a person's report. The work
    itself gets no faster, and it must use nothing that other code changes.
    """
    if many < _THREAD_THRESHOLD:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
