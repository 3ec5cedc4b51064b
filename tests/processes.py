"""What the tests start ends with them, whatever happens: by process id, and looked for when the suite ends."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

MARK = "TESTS_OF_PROCESS"
"""In the environment of whatever the suite starts: not one of the names that the supervisor leaves out."""
PATIENCE_S = 20.0


def mark() -> None:
    """What this process starts from now on can be told by its environment, also when its parent has gone."""
    os.environ[MARK] = str(os.getpid())


def left() -> list[psutil.Process]:
    """Every process that was started by this one, or by one of those, and still runs."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK) == str(os.getpid())
        and process.pid != os.getpid()
        and runs(process)
    ]


def runs(process: psutil.Process) -> bool:
    """A zombie only waits for somebody to notice its end."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(processes: Iterable[psutil.Process]) -> None:
    """Ends these, and returns when they are gone."""
    ended = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            ended.append(process)
    psutil.wait_procs(ended, PATIENCE_S)


def running_from(home: Path) -> list[psutil.Process]:
    """Every process that has to do with an installation: by its words, or by what it was told."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(process.info["cmdline"] or ())
        told = (process.info["environ"] or {}).get("HUTONG_STATE_FILE", "")
        if process.pid != os.getpid() and (str(home) in words or told.startswith(str(home))):
            found.append(process)
    return found


@contextmanager
def ends_with_the_test(home: Path) -> Iterator[None]:
    """Whatever runs from this folder is ended at the end; a test that is to end it asserts so itself, inside."""
    try:
        yield
    finally:
        kill(running_from(home))
