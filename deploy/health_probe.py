"""What a running service says of itself, at the port that it wrote into its installation's folder."""

import asyncio
import http.client
import json
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from deploy.installation import Installation
from deploy.progress import LogMilestones

PATIENCE = 2.0
"""Seconds a service may take to answer."""
LOOK = 10.0
"""Seconds between two looks."""
SILENT = 120.0
"""Seconds a process may be without life before it is ended. It ends itself sooner, if it still can."""
EVENT = re.compile(r'"event": "([^"]*)"')
"""What a service's log calls each kind of thing that happened: a process that starts comes to new ones."""

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

    One that has not answered yet is let be while its start makes progress. One that waits for its database answers
    nobody and makes none: it begins anew, holds nothing to lose, and from outside it looks like one that hangs.
    """
    seen: dict[str, _Life] = {}
    while True:
        await asyncio.sleep(LOOK)
        for name in processes:
            answer = await asyncio.to_thread(troubles, installation, name, "/health/live")
            process, now = process_id(name), time.monotonic()
            life = seen.get(name)
            if life is None or process != life.process:
                # A predecessor's silence is not its own.
                seen[name] = _Life(process, now, LogMilestones(installation.logs / f"{name}.log", EVENT))
            elif life.shows(answer == []):
                life.since = now
            elif process is not None and now - life.since > SILENT:
                life.since = now
                tell(f"{name} shows no life ({'; '.join(answer or ['no answer'])}) and is ended")
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


@dataclass(slots=True)
class _Life:
    """One process of a service, as it was seen last."""

    process: int | None
    since: float
    """When it was last live, new, or on its way to be live."""
    log: LogMilestones
    steps: int = 0
    """Kinds of events in its log, as long as it has not been live."""
    started: bool = False

    def shows(self, live: bool) -> bool:
        """Whether it is live, or has come further in its start."""
        self.started = self.started or live
        if self.started:
            return live
        before, self.steps = self.steps, self.log.count()
        return self.steps > before
