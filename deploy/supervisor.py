"""Keeps the five services (and in real use the clock) running: starts them, restarts what dies, stops them in order.

``python -m deploy.supervisor`` runs an installation until it is told to stop. A service may be killed at any line
without loss (``docs/decisions``), so that a dead one is simply started again.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.topics import SERVICES
from deploy.health_probe import end_the_silent
from deploy.installation import Installation, NoInstallationError, default_home

STOP_PATIENCE = 15.0
"""Seconds that processes get to end by themselves before they are killed."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
"""Seconds before a dead process is started again: doubled with each death in a row."""
MANY_DEATHS = 8
WITHIN = 60.0
"""So many deaths within so many seconds, and the supervisor gives up."""

Tell = Callable[[str], None]


class GaveUpError(Exception):
    """A process died again and again. Says which, how it ended and where its log is."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path


def programs(installation: Installation, *, with_clock: bool) -> tuple[Program, ...]:
    """The five services, each in as many processes as the ops team set, and the clock where time is not simulated."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUTONG_")}
    found = [
        Program(
            process,
            (sys.executable, "-m", "runtime", service, "--held"),
            inherited | installation.settings_env(service, ordinal),
            installation.logs / f"{process}.log",
        )
        for process, (service, ordinal) in installation.processes().items()
    ]
    if with_clock:
        found.append(
            Program(
                "clock",
                (sys.executable, "-m", "deploy.clock", "--held"),
                inherited | installation.clock_env(),
                installation.logs / "clock.log",
            )
        )
    return tuple(found)


class Supervisor:
    """Runs programs. ``tell`` hears one plain line for each start, death and restart.

    ``held``: the programs load and do not begin before :meth:`release`: their standard input stays open.
    """

    def __init__(self, programs: Sequence[Program], tell: Tell = lambda line: None, *, held: bool = False) -> None:
        self._hold = os.pipe() if held else None
        self._programs = {program.name: program for program in programs}
        self._tell = tell
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self.restarts: dict[str, int] = dict.fromkeys(self._programs, 0)

    async def start(self) -> None:
        """Start every program. What dies from now on is started again."""
        for program in self._programs.values():
            await self._spawn(program)
            self._keepers[program.name] = asyncio.create_task(self._keep(program), name=f"keep {program.name}")

    def release(self) -> None:
        """What the programs need is there: they begin."""
        if self._hold is not None:
            for end in self._hold:
                os.close(end)
            self._hold = None

    @property
    def services(self) -> list[str]:
        """The names of its programs that are processes of a service."""
        return [name for name in self._programs if name.partition(".")[0] in SERVICES]

    def process_id(self, name: str) -> int | None:
        """The process id of a program, None between its death and its next start."""
        process = self._running.get(name)
        return process.pid if process is not None and process.returncode is None else None

    async def wait(self) -> None:
        """Until the supervisor is stopped.

        Raises:
            GaveUpError: a program died too often. The others still run: call :meth:`stop`.
        """
        await asyncio.gather(*self._keepers.values())

    def check(self) -> None:
        """Raise :class:`GaveUpError` if a program died too often."""
        for keeper in self._keepers.values():
            if keeper.done() and not keeper.cancelled():
                keeper.result()

    async def stop(self, patience: float = STOP_PATIENCE) -> None:
        """Ask every process to end, wait, kill what is left. No process of these programs remains."""
        self._stopping = True
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        left = {name: process for name, process in self._running.items() if process.returncode is None}
        for process in left.values():
            _signal(process, signal.SIGTERM)
        waiting = [asyncio.create_task(process.wait()) for process in left.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=patience)
            for name, process in left.items():
                if process.returncode is None:
                    self._tell(f"{name} did not end within {patience:.0f} s and was killed")
                    _signal(process, signal.SIGKILL)
            if late:
                await asyncio.wait(late)
        self._running.clear()
        self.release()

    async def _spawn(self, program: Program) -> None:
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            program.log.chmod(0o600)
            self._running[program.name] = await asyncio.create_subprocess_exec(
                *program.arguments,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL if self._hold is None else self._hold[0],
                stdout=log,
                stderr=log,
                # A session of its own: Ctrl-C reaches the supervisor, which then stops its children in order.
                start_new_session=True,
                preexec_fn=_dies_with(os.getpid()),
            )
        self._tell(f"{program.name} started (process {self._running[program.name].pid})")

    async def _keep(self, program: Program) -> None:
        deaths: deque[float] = deque(maxlen=MANY_DEATHS)
        pause = FIRST_PAUSE
        while True:
            born = time.monotonic()
            code = await self._running[program.name].wait()
            now = time.monotonic()
            deaths.append(now)
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._tell(f"{program.name} ended with {how}")
            if len(deaths) == MANY_DEATHS and now - deaths[0] < WITHIN:
                raise GaveUpError(
                    f"{program.name} ended {MANY_DEATHS} times within {WITHIN:.0f} s, last with {how}; "
                    f"its log is {program.log}"
                )
            pause = FIRST_PAUSE if now - born > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)
            await self._spawn(program)
            self.restarts[program.name] += 1


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return  # ended by itself in between, which is what was wanted


def _dies_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes the program: asks the kernel to be killed when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_death_signal = 1

    def ask() -> None:
        prctl(set_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return ask


async def run(installation: Installation, *, with_clock: bool = True, tell: Tell = print) -> int:
    """Run an installation until SIGTERM or SIGINT; the exit code."""
    supervisor = Supervisor(programs(installation, with_clock=with_clock), tell)
    installation.forget_running()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await supervisor.start()
        running = asyncio.create_task(supervisor.wait())
        watching = asyncio.create_task(end_the_silent(installation, supervisor.services, supervisor.process_id, tell))
        stop = asyncio.create_task(told.wait())
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        watching.cancel()
        if running.done():
            running.result()
        running.cancel()
        return 0
    except GaveUpError as error:
        tell(f"Gave up: {error}.")
        return 1
    finally:
        await supervisor.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home(), help="the installation's folder")
    parser.add_argument("--no-clock", action="store_true", help="time is published by somebody else")
    options = parser.parse_args()
    try:
        return asyncio.run(run(Installation.load(options.home), with_clock=not options.no_clock))
    except NoInstallationError as error:
        print(str(error) if str(error).endswith("。") else f"{error}.", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
