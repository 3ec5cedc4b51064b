"""`python -m deploy.embedded up | down | status`: a whole house in the background, for work by hand.

Kafka, PostgreSQL, the five services and the clock, on one machine, with one county's data in force. One process holds
them all and starts again what dies; when it ends, however it ends, none of them is left.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import asyncpg
import psutil

from client.kafka_client import BrokerRefusedError
from contracts.event import COUNTY_TIME
from contracts.topics import SERVICES
from county.problem import CountyInvalid
from deploy.counties import DEMO_COUNTY
from deploy.embedded.errors import StackError, from_os_error
from deploy.embedded.stack import LocalStack, holder, read_state
from deploy.health_probe import EVENT, end_the_silent, troubles
from deploy.install import ActivationError, Servers, activate, in_force, preload, prepare, provision, read_county
from deploy.installation import Installation, NoInstallationError, check_format, default_home
from deploy.progress import LogMilestones, NoProgressError, Progress
from deploy.provision import ProvisioningError
from deploy.supervisor import GaveUpError, Supervisor, programs

PARTITIONS = 4
"""Of the topics that services share, on one machine."""
BY = "make up"
"""Who puts the county's data in force on a house that has none."""
STOP_S = 60.0
LOOK_S = 1.0
"""Between two looks at the servers."""
AGAIN_S = 5.0
"""Until a server that could not be started is tried again."""
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "status", "serve"], help="serve: up, but in the foreground")
    parser.add_argument("--home", type=Path, default=default_home(), help="where everything is kept")
    parser.add_argument("--county", type=Path, default=DEMO_COUNTY, help="the county's folder of data")
    parser.add_argument("--detach", action="store_true", help="serve: once up, speak to a log in that folder")
    options = parser.parse_args()
    home = options.home.resolve()
    try:
        match options.what:
            case "up":
                check_format(home)
                return up(home, options.county)
            case "down":
                return down(home)
            case "status":
                return status(home)
            case _:
                check_format(home)
                return serve(home, options.county, detach=options.detach)
    except asyncpg.PostgresError as error:
        return _failed(f"The database refused: {error}")
    except (StackError, ProvisioningError, ActivationError, GaveUpError, NoInstallationError, NoProgressError) as error:
        return _failed(str(error))
    except CountyInvalid as error:
        return _failed(f"{options.county} is no county's data: {error}")
    except BrokerRefusedError as error:
        return _failed(f"The broker refused: {error}")
    except OSError as error:
        return _failed(str(from_os_error(error, "working in the installation's folder")))


def _failed(sentence: str) -> int:
    print(sentence if sentence.endswith("。") else f"{sentence.rstrip('.')}.", file=sys.stderr)
    return 1


def up(home: Path, county: Path) -> int:
    """Start the house in the background; return when all of it answers.

    Asked to stop meanwhile, it leaves nothing behind, also as a shell's background job (started with SIGINT ignored).
    """
    if read_state(home / "stack") is not None:
        print("Running already.")
        return status(home)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    started = subprocess.Popen(
        [sys.executable, "-m", "deploy.embedded", "serve", "--detach", "--home", str(home), "--county", str(county)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    heard = threading.Thread(target=_pass_on, args=(started,), daemon=True)
    heard.start()
    try:
        # It gives up by itself when it makes no progress.
        while read_state(home / "stack") is None or holder(home / "stack") != started.pid:
            if started.poll() is not None:
                heard.join(1)
                return 1
            time.sleep(0.05)
    except KeyboardInterrupt:
        with suppress(psutil.NoSuchProcess):
            _end([psutil.Process(started.pid)])
        print("Stopped; no process is left behind.", file=sys.stderr)
        return INTERRUPTED
    return status(home)


def _pass_on(started: "subprocess.Popen[str]") -> None:
    """What it says until it is up."""
    assert started.stderr is not None
    for line in started.stderr:
        print(line, end="", file=sys.stderr, flush=True)


def down(home: Path) -> int:
    """Stop everything; nothing happens when nothing runs."""
    process = holder(home / "stack")
    if process is None:
        print("Nothing is running.")
        return 0
    try:
        first = psutil.Process(process)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []  # it ended by itself in between
    _end(family)
    print("Stopped.")
    return 0


def _end(family: list[psutil.Process]) -> None:
    """Ask the first to end, which ends the others in order; kill what is left after a while."""
    for process in family[:1]:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, late = psutil.wait_procs(family, STOP_S)
    for process in late:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, left = psutil.wait_procs(late, STOP_S)
    if left:
        raise StackError(f"Process {left[0].pid} does not end; end it by hand")


def status(home: Path) -> int:
    """Where the running house is to be found; the passwords stay in its folder."""
    state = read_state(home / "stack")
    if state is None:
        print("Nothing is running; `make up` starts it.")
        return 1
    print(f"Kafka         {state['kafka']['bootstrap']} (SASL_PLAINTEXT, SCRAM-SHA-512)")
    print(f"PostgreSQL    127.0.0.1:{state['postgres']['port']}, socket {state['postgres']['socket_directory']}")
    print(f"Services      {', '.join(SERVICES)} and the clock, under process {holder(home / 'stack')}")
    print(f"Installation  {home} (log-ins, keys, logs)")
    print("Look with `.venv/bin/hutong status`; `make down` stops everything.")
    return 0


def serve(home: Path, county: Path, *, detach: bool) -> int:
    """Run the house until SIGTERM or Ctrl-C."""
    return asyncio.run(_interruptible(home, county, detach=detach))


async def _interruptible(home: Path, county: Path, *, detach: bool) -> int:
    tell = Voice()
    running = asyncio.create_task(_run(home, county, tell, detach=detach))
    told = False

    def end() -> None:
        nonlocal told
        if not told:  # a second signal must not cut the stopping short
            told = True
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        # All of it has ended; what is left is a thread that may wait a minute for a broker that is gone.
        sys.stderr.flush()
        os._exit(0)
    except GaveUpError as error:
        tell(f"Gave up: {error}.")
    return 1


class Voice:
    """Speaks on standard error; once it has been turned to a log, with the time."""

    def __init__(self) -> None:
        self._stamped = False

    def __call__(self, line: str) -> None:
        stamp = f"{datetime.now(COUNTY_TIME):%Y-%m-%d %H:%M:%S} " if self._stamped else ""
        with suppress(OSError):  # a full disk, a reader that has gone: no reason to end the house
            print(stamp + line, file=sys.stderr, flush=True)

    def turn_to(self, log: Path) -> None:
        """Standard output and error go on in a file that only its owner may read."""
        with log.open("ab") as file:
            log.chmod(0o600)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(file.fileno(), stream.fileno())
        self._stamped = True


async def _run(home: Path, folder: Path, tell: Voice, *, detach: bool) -> None:
    """Servers, installation, county, services, clock; then keep them.

    Raises:
        GaveUpError: a service died too often.
    """
    county = read_county(folder, home)
    stack = LocalStack(home / "stack", postgres_port=0)
    supervisor: Supervisor | None = None
    watching: asyncio.Task[None] | None = None
    try:
        tell("Starting Kafka and PostgreSQL ...")
        loading = asyncio.create_task(asyncio.to_thread(preload))
        await _in_thread(stack.start, stack.stop)
        await loading
        tell("Making topics, users, access lists and schemas ...")
        installation = prepare(Servers.of(stack.state()), home, county, PARTITIONS)
        installation.forget_running()
        supervisor = Supervisor(programs(installation, with_clock=True), tell, held=True)
        await supervisor.start()
        await provision(installation, county)
        today = datetime.now(COUNTY_TIME).date()
        ruling = await asyncio.to_thread(in_force, installation, today)
        if ruling is None:
            await asyncio.to_thread(activate, installation, county, today, BY)
            tell(f"{county.name}, version {county.version}, is in force from {today}.")
        elif ruling.version != county.version:
            tell(
                f"Version {ruling.version} of the county's data is in force, {folder} holds {county.version}: "
                f"`hutong county activate {folder} --from DAY --by UNIT/PERSON` puts it in force."
            )
        tell("Starting five services and the clock ...")
        supervisor.release()
        await _ready(installation, supervisor)
        if detach:
            tell.turn_to(installation.logs / "supervisor.log")  # nobody listens from here on
        stack.write_state()
        watching = asyncio.create_task(end_the_silent(installation, supervisor.services, supervisor.process_id, tell))
        await _keep(stack, supervisor, tell)
    finally:
        if watching is not None:
            watching.cancel()
        if supervisor is not None:
            await supervisor.stop()
        await asyncio.to_thread(stack.stop)


async def _in_thread(work: Callable[[], object], undo: Callable[[], object]) -> None:
    """Do what blocks. Cancelled, it is undone while it goes on, and over when this returns."""
    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.to_thread(undo)
        await asyncio.gather(running, return_exceptions=True)
        raise


async def _ready(installation: Installation, supervisor: Supervisor) -> None:
    """Until every process has what it needs to work."""
    progress = Progress("the services' start", f"their logs in {installation.logs} say what they wait for")
    milestones = {name: LogMilestones(installation.logs / f"{name}.log", EVENT) for name in supervisor.services}
    waiting = supervisor.services
    while waiting:
        supervisor.check()
        if await asyncio.to_thread(troubles, installation, waiting[0], "/health/ready") == []:
            waiting.pop(0)
        else:
            ready = len(milestones) - len(waiting)
            progress.look(ready + sum(log.count() for log in milestones.values()), "events of different kinds")
            await asyncio.sleep(0.1)


async def _keep(stack: LocalStack, supervisor: Supervisor, tell: Voice) -> None:
    """Start the servers again when they die, as the supervisor does with the services.

    Raises:
        GaveUpError: a service died too often.
    """
    while True:
        supervisor.check()
        for name, server in (("Kafka", stack.kafka), ("PostgreSQL", stack.postgres)):
            if not server.running():
                tell(f"{name} ended")
                try:
                    await _in_thread(server.start, server.stop)
                    stack.write_state()
                except (StackError, OSError) as error:
                    tell(f"{name} could not be started: {error}")
                    await asyncio.sleep(AGAIN_S)  # a full disk may have been emptied by then
                else:
                    tell(f"{name} started")
        await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
