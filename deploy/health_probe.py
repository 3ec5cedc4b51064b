"""What a running service says of itself, at the port that it wrote into its installation's folder."""

import asyncio
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from deploy.installation import Installation

PATIENCE = 2.0
"""Seconds a service may take to answer."""
LOOK = 10.0
"""Seconds between two looks."""
SILENT = 120.0
"""Seconds a process may be without life before it is ended. It ends itself sooner, if it still can."""

Question = Literal["/health", "/health/live", "/health/ready"]


def troubles(installation: Installation, process: str, question: Question = "/health") -> list[str] | None:
    """What is wrong with a service's process in its own words, nothing if all is well; None: it does not answer."""
    try:
        port = json.loads(installation.state_file(process).read_text())["port"]
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            asked.request("GET", question)
            return [str(one) for one in json.loads(asked.getresponse().read())["troubles"]]
        finally:
            asked.close()
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        # No file, nobody there, or somebody else who has that port now.
        return None


async def end_the_silent(
    installation: Installation,
    processes: Sequence[str],
    process_id: Callable[[str], int | None],
    tell: Callable[[str], None],
) -> None:
    """Kill a process that is not live for too long: its supervisor starts it again. Runs until it is cancelled.

    One that waits for its database at its start answers nobody yet, and begins anew: it holds nothing to lose, and from
    outside it looks like one that hangs.
    """
    seen: dict[str, tuple[int | None, float]] = {}
    """Name -> its process, and when that was last live or new: a predecessor's silence is not its own."""
    while True:
        await asyncio.sleep(LOOK)
        for name in processes:
            answer = await asyncio.to_thread(troubles, installation, name, "/health/live")
            process, now = process_id(name), time.monotonic()
            known, since = seen.get(name, (None, now))
            if answer == [] or process != known:
                seen[name] = process, now
            elif process is not None and now - since > SILENT:
                seen[name] = process, now
                tell(f"{name} shows no life ({'; '.join(answer or ['no answer'])}) and is ended")
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
