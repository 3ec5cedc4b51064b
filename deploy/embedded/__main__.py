"""`python -m deploy.embedded up | down | status`: run a complete installation in the background on one machine.

It consists of Kafka, PostgreSQL, the five services and the clock, with one county's data in force. One process
supervises and restarts them; when it ends, for whatever reason, none of them is left.
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
from contracts.topics import SERVICES
from contracts.vocabulary import COUNTY_TIME
from county.problem import CountyInvalid
from deploy.counties import DEMO_COUNTY
from deploy.embedded.errors import StackError, from_os_error
from deploy.embedded.stack import LocalStack, lock_holder, read_state
from deploy.health_probe import LOG_EVENT, kill_unresponsive, problems
from deploy.install import ActivationError, Servers, activate, in_force, preload, prepare, provision, read_county
from deploy.installation import Installation, NoInstallationError, check_format, default_home
from deploy.progress import LogMilestones, NoProgressError, ProgressMonitor
from deploy.provision import ProvisioningError
from deploy.supervisor import CrashLoopError, Supervisor, programs

PARTITIONS = 4
"""Partitions of the topics that services share."""
ACTIVATED_BY = "make up"
"""Who activates the county's data on a new installation."""
STOP_S = 60.0
CHECK_INTERVAL_S = 1.0
"""Seconds between two checks of the servers."""
RETRY_AFTER_S = 5.0
"""Seconds before a failed start of a server is repeated."""
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "status", "serve"], help="serve: up, but in the foreground")
    parser.add_argument("--home", type=Path, default=default_home(), help="the installation's folder")
    parser.add_argument("--county", type=Path, default=DEMO_COUNTY, help="the county's folder of data")
    parser.add_argument("--detach", action="store_true", help="serve: once up, write to a log in that folder")
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
    except (
        StackError,
        ProvisioningError,
        ActivationError,
        CrashLoopError,
        NoInstallationError,
        NoProgressError,
    ) as error:
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
    """Start the installation in the background and return when every process is ready.

    SIGINT or SIGTERM during the start leaves no process, also in a shell's background job, which ignores SIGINT.
    """
    if read_state(home / "stack") is not None:
        print("已经在运行（Running already）。")
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
    forwarding = threading.Thread(target=_forward_output, args=(started,), daemon=True)
    forwarding.start()
    try:
        # The started process fails by itself if it makes no progress.
        while read_state(home / "stack") is None or lock_holder(home / "stack") != started.pid:
            if started.poll() is not None:
                forwarding.join(1)
                return 1
            time.sleep(0.05)
    except KeyboardInterrupt:
        with suppress(psutil.NoSuchProcess):
            _terminate([psutil.Process(started.pid)])
        print("已停止，没有留下任何进程（Stopped; no process is left behind）。", file=sys.stderr)
        return INTERRUPTED
    return status(home)


def _forward_output(started: "subprocess.Popen[str]") -> None:
    """Print the process's error output until it is up."""
    assert started.stderr is not None
    for line in started.stderr:
        print(line, end="", file=sys.stderr, flush=True)


def down(home: Path) -> int:
    """Stop every process of the installation, if it runs."""
    process = lock_holder(home / "stack")
    if process is None:
        print("没有在运行（Nothing is running）。")
        return 0
    try:
        first = psutil.Process(process)
        family = [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []  # It has ended since.
    _terminate(family)
    print("已停止（Stopped）。")
    return 0


def _terminate(family: list[psutil.Process]) -> None:
    """Terminate the first process, which stops the others in order; kill those left after the time limit."""
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
    """Print the addresses of the running installation, without passwords."""
    state = read_state(home / "stack")
    if state is None:
        print("没有在运行，请用 make up 启动。")
        return 1
    print(f"Kafka         {state['kafka']['bootstrap']} (SASL_PLAINTEXT, SCRAM-SHA-512)")
    print(f"PostgreSQL    127.0.0.1:{state['postgres']['port']}, socket {state['postgres']['socket_directory']}")
    print(f"服务 Services {', '.join(SERVICES)} and the clock, supervised by process {lock_holder(home / 'stack')}")
    print(f"安装 Installation {home} (log-ins, keys, logs)")
    print("查看运行情况：.venv/bin/hutong status；停止：make down")
    return 0


def serve(home: Path, county: Path, *, detach: bool) -> int:
    """Run the installation until SIGTERM or Ctrl-C."""
    return asyncio.run(_interruptible(home, county, detach=detach))


async def _interruptible(home: Path, county: Path, *, detach: bool) -> int:
    tell = Reporter()
    running = asyncio.create_task(_run(home, county, tell, detach=detach))
    stopping = False

    def end() -> None:
        nonlocal stopping
        if not stopping:  # A second signal must not interrupt the shutdown.
            stopping = True
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        # Every process has ended; a thread may still wait a minute for the stopped broker.
        sys.stderr.flush()
        os._exit(0)
    except CrashLoopError as error:
        tell(f"Stopped: {error}.")
    return 1


class Reporter:
    """Prints to standard error, with a time stamp once it is redirected to a log."""

    def __init__(self) -> None:
        self._stamped = False

    def __call__(self, line: str) -> None:
        stamp = f"{datetime.now(COUNTY_TIME):%Y-%m-%d %H:%M:%S} " if self._stamped else ""
        with suppress(OSError):  # A full disk or a closed pipe must not stop the installation.
            print(stamp + line, file=sys.stderr, flush=True)

    def redirect_to(self, log: Path) -> None:
        """Redirect standard output and error to a file that only its owner may read."""
        with log.open("ab") as file:
            log.chmod(0o600)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
                os.dup2(file.fileno(), stream.fileno())
        self._stamped = True


async def _run(home: Path, folder: Path, report: Reporter, *, detach: bool) -> None:
    """Start servers, installation, county, services and clock, then monitor them.

    Raises:
        CrashLoopError: a service keeps dying.
    """
    county = read_county(folder, home)
    stack = LocalStack(home / "stack", postgres_port=0)
    supervisor: Supervisor | None = None
    watching: asyncio.Task[None] | None = None
    try:
        report("正在启动 Kafka 和 PostgreSQL（Starting Kafka and PostgreSQL）……")
        loading = asyncio.create_task(asyncio.to_thread(preload))
        await _run_in_thread(stack.start, stack.stop)
        await loading
        report("正在建立主题、账号、访问权限和表（Making topics, users, access lists and schemas）……")
        installation = prepare(Servers.from_state(stack.state()), home, county, PARTITIONS)
        installation.clear_state_files()
        supervisor = Supervisor(programs(installation, with_clock=True), report, held=True)
        await supervisor.start()
        await provision(installation, county)
        today = datetime.now(COUNTY_TIME).date()
        ruling = await asyncio.to_thread(in_force, installation, today)
        if ruling is None:
            await asyncio.to_thread(activate, installation, county, today, ACTIVATED_BY)
            report(f"{county.name}的县数据 {county.version} 版自 {today} 起生效（in force）。")
        elif ruling.version != county.version:
            report(
                f"现行县数据是 {ruling.version} 版，{folder} 里是 {county.version} 版；"
                f"要启用它：hutong county activate {folder} --from 日期 --by 单位/人员。"
            )
        report("正在启动五个服务和业务日期程序（Starting five services and the clock）……")
        supervisor.release()
        await _wait_until_ready(installation, supervisor)
        if detach:
            report.redirect_to(installation.logs / "supervisor.log")  # The parent process stops reading from here on.
        stack.write_state()
        watching = asyncio.create_task(
            kill_unresponsive(installation, supervisor.services, supervisor.process_id, report)
        )
        await _monitor_servers(stack, supervisor, report)
    finally:
        if watching is not None:
            watching.cancel()
        if supervisor is not None:
            await supervisor.stop()
        await asyncio.to_thread(stack.stop)


async def _run_in_thread(work: Callable[[], object], undo: Callable[[], object]) -> None:
    """Run blocking work in a thread. On cancellation run ``undo`` beside it and return when both have ended."""
    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.to_thread(undo)
        await asyncio.gather(running, return_exceptions=True)
        raise


async def _wait_until_ready(installation: Installation, supervisor: Supervisor) -> None:
    """Wait until every process is ready.

    Raises:
        NoProgressError: the services stalled.
        CrashLoopError: one of them keeps dying.
    """
    progress = ProgressMonitor("the services' start", f"see their logs in {installation.logs}")
    milestones = {name: LogMilestones(installation.logs / f"{name}.log", LOG_EVENT) for name in supervisor.services}
    waiting = supervisor.services
    while waiting:
        supervisor.check()
        if await asyncio.to_thread(problems, installation, waiting[0], "/health/ready") == []:
            waiting.pop(0)
        else:
            ready = len(milestones) - len(waiting)
            progress.check(ready + sum(log.count() for log in milestones.values()), "events of different kinds")
            await asyncio.sleep(0.1)


async def _monitor_servers(stack: LocalStack, supervisor: Supervisor, report: Reporter) -> None:
    """Restart the servers when they die, as the supervisor restarts the services.

    Raises:
        CrashLoopError: a service keeps dying.
    """
    while True:
        supervisor.check()
        for name, server in (("Kafka", stack.kafka), ("PostgreSQL", stack.postgres)):
            if not server.running():
                report(f"{name} ended")
                try:
                    await _run_in_thread(server.start, server.stop)
                    stack.write_state()
                except (StackError, OSError) as error:
                    report(f"{name} could not be started: {error}")
                    await asyncio.sleep(RETRY_AFTER_S)  # The cause may be gone by then, such as a full disk.
                else:
                    report(f"{name} started")
        await asyncio.sleep(CHECK_INTERVAL_S)


if __name__ == "__main__":
    sys.exit(main())
