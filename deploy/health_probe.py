"""Ask a running service for its health, at the port that it wrote into its installation's folder."""

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

ANSWER_TIMEOUT = 2.0
"""Seconds a service may take to answer."""
CHECK_INTERVAL = 10.0
"""Seconds between two checks."""
LIVENESS_TIMEOUT = 120.0
"""Seconds a process may fail its liveness probe before it is killed. It exits earlier if it still can."""
LOG_EVENT = re.compile(r'"event": "([^"]*)"')
"""The name of an event in a service's log. A process that is starting logs names it has not logged before."""

Probe = Literal["/health", "/health/live", "/health/ready"]


def problems(installation: Installation, process: str, probe: Probe = "/health") -> list[str] | None:
    """Return the problems that a process reports, an empty list if it is healthy, None if it does not answer."""
    try:
        port = json.loads(installation.state_file(process).read_text())["port"]
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT)
        try:
            asked.request("GET", probe)
            return [str(problem) for problem in json.loads(asked.getresponse().read())["problems"]]
        finally:
            asked.close()
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        # There is no state file, nothing listens, or another program has the port now.
        return None


async def kill_unresponsive(
    installation: Installation,
    processes: Sequence[str],
    process_id: Callable[[str], int | None],
    log: Callable[[str], None],
) -> None:
    """Kill each process that fails its liveness probe for too long; the supervisor restarts it. Runs until cancelled.

    A process that has never answered is left alone while its start makes progress. A process that waits for its
    database makes none and is restarted, which is safe: it holds no work, and it cannot be told from one that hangs.
    """
    seen: dict[str, _ProcessHealth] = {}
    while True:
        await asyncio.sleep(CHECK_INTERVAL)
        for name in processes:
            answer = await asyncio.to_thread(problems, installation, name, "/health/live")
            process, now = process_id(name), time.monotonic()
            life = seen.get(name)
            if life is None or process != life.process:
                # A new process is not blamed for the silence of its predecessor.
                seen[name] = _ProcessHealth(process, now, LogMilestones(installation.logs / f"{name}.log", LOG_EVENT))
            elif life.is_healthy(answer == []):
                life.last_healthy = now
            elif process is not None and now - life.last_healthy > LIVENESS_TIMEOUT:
                life.last_healthy = now
                log(f"{name} is not live ({'; '.join(answer or ['no answer'])}) and is killed")
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


@dataclass(slots=True)
class _ProcessHealth:
    """The state of one process at its last check."""

    process: int | None
    last_healthy: float
    """Monotonic seconds at which it was last live, new, or making progress with its start."""
    log: LogMilestones
    milestones: int = 0
    """Number of distinct events in its log, counted until it is live for the first time."""
    started: bool = False

    def is_healthy(self, is_live: bool) -> bool:
        """Return whether it is live or its start has made progress since the last check."""
        self.started = self.started or is_live
        if self.started:
            return is_live
        before, self.milestones = self.milestones, self.log.count()
        return self.milestones > before
