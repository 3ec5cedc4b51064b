"""Run one server and stop it when the owning process dies for any reason.

Run as a script of its own, on the standard library alone: `python -I -S parent_guard.py OPTIONS -- COMMAND`. The
kernel's own "signal me when my parent dies" belongs to the thread that forked, and threads end early; so the owner's
threads start this small process, which watches the owner by its pid and has a main thread for the server to depend on.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

POLL_S = 0.2
GRACE_S = 5.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the server; return its exit code, or 1 if the owner was gone before it started."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, required=True, help="pid of the process that must live")
    parser.add_argument("--signal", type=int, default=signal.SIGKILL, help="what the server gets when the owner dies")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--log", required=True, help="file for the server's output")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def follow_guard() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, options.signal, 0, 0, 0)

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(options.log, flags, 0o600), "ab") as log:
        server = subprocess.Popen(
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=options.uid,
            group=options.gid,
            extra_groups=None if options.gid is None else [],
            # Safe here: this process has one thread.
            preexec_fn=follow_guard,  # noqa: PLW1509
        )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        server.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, pass_on)
    # The owner reads the pid from here, then the pipe closes.
    os.write(1, f"{server.pid}\n".encode())
    os.close(1)

    while True:
        try:
            return server.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if os.getppid() != options.owner:
                break
    server.send_signal(options.signal)
    deadline = time.monotonic() + GRACE_S
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if server.poll() is None:
        server.kill()
    server.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
