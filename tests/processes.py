"""Processes that tests start always end with them, by process id; the end of the suite checks that none remains."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ENVIRONMENT_MARK = "TESTS_OF_PROCESS"
"""In the environment of whatever the suite starts: not one of the names that the supervisor leaves out."""
KILL_TIMEOUT_S = 20.0


def mark_environment() -> None:
    """Mark the environment, so that processes started from now on are recognised even after their parent has ended."""
    os.environ[ENVIRONMENT_MARK] = str(os.getpid())


def remaining() -> list[psutil.Process]:
    """Return every descendant of this process that still runs."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(ENVIRONMENT_MARK) == str(os.getpid())
        and process.pid != os.getpid()
        and is_alive(process)
    ]


def is_alive(process: psutil.Process) -> bool:
    """Return whether the process runs; a zombie has already ended."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill these processes and return when they have ended."""
    ended = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            ended.append(process)
    psutil.wait_procs(ended, KILL_TIMEOUT_S)


def running_from(home: Path) -> list[psutil.Process]:
    """Return every process of an installation, recognised by its command line or its environment."""
    processes = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or ())
        state_file = (process.info["environ"] or {}).get("HUTONG_STATE_FILE", "")
        if process.pid != os.getpid() and (str(home) in command or state_file.startswith(str(home))):
            processes.append(process)
    return processes


@contextmanager
def ends_with_the_test(home: Path) -> Iterator[None]:
    """Kill whatever still runs from this folder at the end; a test that must end it asserts so inside the block."""
    try:
        yield
    finally:
        kill(running_from(home))
