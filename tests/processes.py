"""What the tests start ends with them, whatever happens: by process id, and looked for when the suite ends."""

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 20.0


def adopt_orphans() -> None:
    """What the tests' processes leave behind becomes a child of this process, so that :func:`left` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left() -> list[psutil.Process]:
    """Every process below this one that still runs."""
    return [process for process in psutil.Process().children(recursive=True) if runs(process)]


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
