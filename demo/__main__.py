"""``python -m demo``: run the whole system on one invented county and check it against the ground truth."""

import argparse
import asyncio
import errno
import signal
import sys
from pathlib import Path

import asyncpg
from rich.console import Console

from client.kafka_client import BrokerRefusedError
from demo.model import DemoError, Options
from demo.run import run
from deploy.embedded.errors import StackError
from deploy.embedded.jars import home
from deploy.install import ActivationError
from deploy.progress import NoProgressError
from deploy.provision import ProvisioningError
from deploy.quiescence import NotQuiescentError
from deploy.supervisor import CrashLoopError

INTERRUPTED = 130


def main() -> int:
    """Run the demo and return the exit code: 0 if every check holds, 130 after Ctrl-C, else 1 with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--children", type=int, default=400, help="how many are invented (at least 40)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed generates the same county")
    parser.add_argument("--days", type=int, default=122, help="how many days pass (at least 21)")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--home", type=Path, default=home() / "demo", help="where everything is kept")
    given = parser.parse_args()
    if given.children < 40 or given.days < 21:
        print("The demo needs at least 40 children and 21 days.", file=sys.stderr)
        return 2
    options = Options(given.children, given.seed, given.days, given.keep, given.home)
    try:
        return asyncio.run(_interruptible(options))
    except (StackError, ProvisioningError, ActivationError, DemoError, NoProgressError) as error:
        return _failed(str(error))
    except BrokerRefusedError as error:
        return _failed(f"the broker refused a client: {error}")
    except NotQuiescentError as error:
        return _failed(f"the services do not become idle: {error}")
    except CrashLoopError as error:
        return _failed(str(error))
    except TimeoutError as error:
        return _failed(str(error))
    except asyncpg.PostgresError as error:
        return _failed(f"the database refused: {error}")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _failed("the disk is full" if full else f"{error.strerror or error} ({error.filename or 'no file'})")


async def _interruptible(options: Options) -> int:
    """Ctrl-C and SIGTERM end the demo in order: no process is left behind."""
    # A file or a pipe has no width of its own.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    running = asyncio.create_task(run(options, console))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        console.print("Stopped; no process is left behind.")
        return INTERRUPTED


def _failed(sentence: str) -> int:
    text = sentence.rstrip(".")
    print(f"The demo failed: {text}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
