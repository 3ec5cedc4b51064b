"""Computing that would keep everybody else waiting is done in a thread."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MUCH = 200
"""Events: some tens of milliseconds."""


async def run_in_thread(many: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do pure work on a batch of ``many`` events: where they are many, in a thread.

    The loop meanwhile serves the process's other consumers: a file must not hold up what a person reports. Nothing is
    gained in speed, and the work must touch nothing that anybody else changes.
    """
    if many < _MUCH:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
