"""A server process that never outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from deploy.embedded.errors import StackError

GUARD = Path(__file__).with_name("parent_guard.py")


class Server:
    """One running server, in a session of its own so that Ctrl-C does not reach it. It ends with this process.

    The constructor starts it. It receives `death_signal` if this process dies without stopping it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: tuple[int, int] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        environment: dict[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        options = ["--owner", str(os.getpid()), "--signal", str(int(death_signal)), "--log", str(log)]
        if user is not None:
            options += ["--uid", str(user[0]), "--gid", str(user[1])]
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            cwd=directory,
        )
        assert self._guard.stdout is not None
        with self._guard.stdout as answer:
            line = answer.readline()
        if not line:
            self._guard.wait()
            raise StackError(f"{Path(command[0]).name} could not be started.")
        self.pid = int(line)

    def running(self) -> bool:
        return self._guard.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server without waiting."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self, number: signal.Signals, timeout_s: float) -> None:
        """Asks with `how`, kills after `patience_s`; returns when the process and its children are gone."""
        if not self.running():
            return
        self.send_signal(number)
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the server and its children, as in a power cut, and return when they are gone."""
        if not self.running():
            return
        family = []
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.pid)
            # The server first, so that it cannot react to the loss of a child.
            family = [server, *server.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + 10
        while any(_alive(process) for process in family) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._guard.wait(10)


def _alive(process: psutil.Process) -> bool:
    # A killed grandchild waits as a zombie for the init process to notice: it holds nothing any more.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
