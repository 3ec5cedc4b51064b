"""Supervise the five services and, in production, the clock: start them, restart them after a death, stop them.

``python -m deploy.supervisor`` runs an installation until it receives SIGTERM or SIGINT. A service may be killed at
any line without loss (``docs/decisions``), so a dead process is simply restarted.
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
from deploy.health_probe import kill_unresponsive
from deploy.installation import Installation, NoInstallationError, default_home

STOP_TIMEOUT = 15.0
"""Seconds between SIGTERM and SIGKILL."""
FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 10.0
"""Seconds before a dead process is restarted; the delay doubles with each consecutive death."""
MAX_DEATHS = 8
DEATH_WINDOW = 60.0
"""After this many deaths within this many seconds the supervisor stops."""

Log = Callable[[str], None]


class CrashLoopError(Exception):
    """A process keeps dying. The message names it, how it ended and its log."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path


def programs(installation: Installation, *, with_clock: bool) -> tuple[Program, ...]:
    """Return each service in its configured number of processes and, unless time is simulated, the clock."""
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
    """Runs programs and restarts them. ``log`` receives one line for each start, death and restart.

    With ``held``, the programs import their code and wait for the end of standard input, which :meth:`release` causes.
    """

    def __init__(self, programs: Sequence[Program], log: Log = lambda line: None, *, held: bool = False) -> None:
        self._hold = os.pipe() if held else None
        self._programs = {program.name: program for program in programs}
        self._log = log
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self.restarts: dict[str, int] = dict.fromkeys(self._programs, 0)

    async def start(self) -> None:
        """Start every program; from now on, a program that dies is restarted."""
        for program in self._programs.values():
            await self._spawn(program)
            self._monitors[program.name] = asyncio.create_task(self._monitor(program), name=f"keep {program.name}")

    def release(self) -> None:
        """Let the held programs begin."""
        if self._hold is not None:
            for end in self._hold:
                os.close(end)
            self._hold = None

    @property
    def services(self) -> list[str]:
        """The names of the programs that are processes of a service."""
        return [name for name in self._programs if name.partition(".")[0] in SERVICES]

    def process_id(self, name: str) -> int | None:
        """Return the process id of a program, or None between its death and its restart."""
        process = self._running.get(name)
        return process.pid if process is not None and process.returncode is None else None

    async def wait(self) -> None:
        """Wait until the supervisor is stopped.

        Raises:
            CrashLoopError: a program died too often. The others still run: call :meth:`stop`.
        """
        await asyncio.gather(*self._monitors.values())

    def check(self) -> None:
        """Raise :class:`CrashLoopError` if a program died too often."""
        for keeper in self._monitors.values():
            if keeper.done() and not keeper.cancelled():
                keeper.result()

    async def stop(self, grace_period: float = STOP_TIMEOUT) -> None:
        """Terminate every process, and kill those that remain after the grace period. None is left when it returns."""
        self._stopping = True
        for keeper in self._monitors.values():
            keeper.cancel()
        await asyncio.gather(*self._monitors.values(), return_exceptions=True)
        left = {name: process for name, process in self._running.items() if process.returncode is None}
        for process in left.values():
            _signal(process, signal.SIGTERM)
        waiting = [asyncio.create_task(process.wait()) for process in left.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=grace_period)
            for name, process in left.items():
                if process.returncode is None:
                    self._log(f"{name} did not end within {grace_period:.0f} s and was killed")
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
                # In a session of its own it does not receive Ctrl-C; the supervisor stops it in order.
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        self._log(f"{program.name} started (process {self._running[program.name].pid})")

    async def _monitor(self, program: Program) -> None:
        deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        pause = FIRST_BACKOFF
        while True:
            born = time.monotonic()
            code = await self._running[program.name].wait()
            now = time.monotonic()
            deaths.append(now)
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._log(f"{program.name} ended with {how}")
            if len(deaths) == MAX_DEATHS and now - deaths[0] < DEATH_WINDOW:
                raise CrashLoopError(
                    f"{program.name} ended {MAX_DEATHS} times within {DEATH_WINDOW:.0f} s, last with {how}; "
                    f"its log is {program.log}"
                )
            pause = FIRST_BACKOFF if now - born > LONGEST_BACKOFF else min(pause * 2, LONGEST_BACKOFF)
            await asyncio.sleep(pause)
            await self._spawn(program)
            self.restarts[program.name] += 1


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return  # The process has already ended.


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return a hook that makes the kernel kill the child process when its parent dies (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_death_signal = 1

    def ask() -> None:
        prctl(set_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # The parent died before the call.
            os._exit(1)

    return ask


async def run(installation: Installation, *, with_clock: bool = True, log: Log = print) -> int:
    """Run an installation until SIGTERM or SIGINT; the exit code."""
    supervisor = Supervisor(programs(installation, with_clock=with_clock), log)
    installation.clear_state_files()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await supervisor.start()
        running = asyncio.create_task(supervisor.wait())
        watching = asyncio.create_task(kill_unresponsive(installation, supervisor.services, supervisor.process_id, log))
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        watching.cancel()
        if running.done():
            running.result()
        running.cancel()
        return 0
    except CrashLoopError as error:
        log(f"Stopped: {error}.")
        return 1
    finally:
        await supervisor.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home(), help="the installation's folder")
    parser.add_argument("--no-clock", action="store_true", help="another program publishes the time")
    options = parser.parse_args()
    try:
        return asyncio.run(run(Installation.load(options.home), with_clock=not options.no_clock))
    except NoInstallationError as error:
        print(str(error) if str(error).endswith("。") else f"{error}.", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
