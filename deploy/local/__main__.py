"""`python -m deploy.local up | down | status`: a stack in the background, for work by hand."""

import argparse
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import psutil

from deploy.local.errors import StackError
from deploy.local.stack import STATE, LocalStack, default_directory, read_state

START_S = 300.0
STOP_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "status", "serve"], help="serve: in the foreground")
    parser.add_argument("--directory", type=Path, default=default_directory())
    options = parser.parse_args()
    try:
        return {"up": up, "down": down, "status": status, "serve": serve}[options.what](options.directory)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1


def up(directory: Path) -> int:
    """Starts a holder of the stack in the background and returns when the stack answers."""
    if read_state(directory) is None:
        holder = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "serve", "--directory", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert holder.stderr is not None
        said: list[str] = []

        def listen(lines: list[str] = said) -> None:
            assert holder.stderr is not None
            for line in holder.stderr:
                lines.append(line.strip())
                print(line, end="", file=sys.stderr, flush=True)

        threading.Thread(target=listen, daemon=True).start()
        deadline = time.monotonic() + START_S
        while (state := read_state(directory)) is None or state["holder"] != holder.pid:
            if holder.poll() is not None:
                time.sleep(0.1)
                return 1
            if time.monotonic() > deadline:
                holder.terminate()
                raise StackError(f"The stack did not start within {START_S:.0f} s.")
            time.sleep(0.05)
    return status(directory)


def down(directory: Path) -> int:
    """Stops the stack and its holder; nothing happens when none runs."""
    state = read_state(directory)
    if state is None:
        print("No stack is running.")
        return 0
    try:
        holder = psutil.Process(state["holder"])
        holder.send_signal(signal.SIGTERM)
        holder.wait(STOP_S)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        holder.kill()
    print("Stopped.")
    return 0


def status(directory: Path) -> int:
    """Where the running stack is to be found; the passwords stay in the state file."""
    state = read_state(directory)
    if state is None:
        print("No stack is running; `make up` starts one.")
        return 1
    print(f"Kafka       {state['kafka']['bootstrap']} (SASL_PLAINTEXT, SCRAM-SHA-512)")
    print(f"PostgreSQL  127.0.0.1:{state['postgres']['port']}, socket {state['postgres']['socket_directory']}")
    print(f"Passwords   {directory / STATE}")
    return 0


def serve(directory: Path) -> int:
    """Runs the stack until SIGTERM or Ctrl-C."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if ended.is_set():
            return
        ended.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    stack = LocalStack(directory, postgres_port=0)
    try:
        with stack:
            stack.write_state(holder=psutil.Process().pid)
            while not ended.wait(3600):
                pass
    except KeyboardInterrupt:
        pass
    finally:
        (directory / STATE).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
