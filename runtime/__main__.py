"""Runs one service: ``python -m runtime SERVICE``; also ``--migrate``, ``--parked`` and ``--replay KEY``."""

import argparse
import asyncio
import contextlib
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType

import asyncpg
import uvicorn
import uvloop

from runtime.application import Application
from runtime.errors import SchemaMissing
from runtime.observe import logs
from runtime.observe.logs import log
from runtime.operate.replay import NothingParked, StillParked
from runtime.service import STOP_TIMEOUT, Service
from runtime.settings import MissingSecret, Settings

FAILED = 70
"""Exit code of a process that must be started again."""
_TICK_SECONDS = 1.0


def factory(name: str) -> Callable[[Settings], Service]:
    """Load and return what makes a service: ``services.<name>.app:create``, or any ``module:function``."""
    module, _, function = name.partition(":")
    made: Callable[[Settings], Service] = getattr(
        importlib.import_module(module if function else f"services.{name}.app"), function or "create"
    )
    return made


def create(name: str, settings: Settings) -> Service:
    """Make a service."""
    return factory(name)(settings)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runtime", description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--migrate", action="store_true", help="bring the schema up to date")
    parser.add_argument("--parked", action="store_true", help="list what is parked")
    parser.add_argument("--replay", metavar="KEY", help="release what is parked under KEY, for today")
    parser.add_argument("--held", action="store_true", help="load everything, begin when standard input ends")
    chosen = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        _print_error(f"环境变量不对：{error}。")
        return 2
    logs.configure(chosen.service.rpartition(":")[2], settings.ordinal, settings.log_level)
    serves = not chosen.migrate and not chosen.parked and chosen.replay is None
    try:
        if chosen.migrate:
            return uvloop.run(_migrate(chosen.service, settings))
        if chosen.parked:
            return uvloop.run(_parked(chosen.service, settings))
        if chosen.replay is not None:
            return uvloop.run(_replay(chosen.service, settings, chosen.replay))
        return uvloop.run(_serve(chosen.service, settings, held=chosen.held))
    except (SchemaMissing, MissingSecret, OSError) as error:
        why = str(error)
    except asyncpg.PostgresError as error:
        why = f"{type(error).__name__} from the database"
    if serves:
        log.error("start_failed", reason=why)
    else:
        _print_error(f"没有做成：{why}。")
    return FAILED


class _Server(uvicorn.Server):
    """uvicorn's server, which wakes once a second and when it is to end, instead of ten times a second."""

    async def main_loop(self) -> None:
        """Run until the process is to end."""
        self._loop = asyncio.get_running_loop()
        self._ends = asyncio.Event()
        while not await self.on_tick(0):  # each tick with number 0 renews the date that answers carry
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), _TICK_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the server on a signal."""
        super().handle_exit(sig, frame)
        self.end()

    def end(self) -> None:
        """End the server; callable from a signal handler."""
        self.should_exit = True
        if hasattr(self, "_ends"):  # before main_loop has started, should_exit is enough
            self._loop.call_soon_threadsafe(self._ends.set)


async def _migrate(name: str, settings: Settings) -> int:
    for step in await create(name, settings).migrate():
        _print(step)
    return 0


async def _parked(name: str, settings: Settings) -> int:
    async with _opened(name, settings) as service:
        for parked in await service.parked():
            place = f"{parked.topic}/{parked.partition}@{parked.first_offset}"
            since = f"{parked.since:%Y-%m-%d %H:%M}"
            _print("\t".join([parked.key, str(parked.events), since, parked.consumer, place, parked.reason]))
    return 0


async def _replay(name: str, settings: Settings, key: str) -> int:
    async with _opened(name, settings) as service:
        try:
            released = await service.replay(key)
        except NothingParked:
            _print_error(f"没有以 {key} 搁置的事件；用 --parked 查看搁置清单。")
            return 1
        except StillParked as error:
            _print_error(f"{key} 仍无法处理，未作任何改动：{error}")
            return 1
    log.info("key_replayed", key=key, events=released)
    _print(str(released))
    return 0


@contextlib.asynccontextmanager
async def _opened(name: str, settings: Settings) -> AsyncIterator[Service]:
    service = create(name, settings)
    await service.open(wait=False)
    try:
        yield service
    finally:
        await service.close()


async def _serve(name: str, settings: Settings, *, held: bool) -> int:
    application = Application(name, factory(name), settings)
    if held:
        sys.stdin.read()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", settings.http_port))
    port = listening.getsockname()[1]
    _write_state(settings.state_file, port)
    log.info("process_started", http_port=port)
    server = _Server(
        uvicorn.Config(application, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2)
    )
    application.on_failure = lambda: _end(server)
    # uvicorn raises the signal again when it has shut down: here that must not end the process with a signal.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # The application logs why it does not start; uvicorn would repeat it as a trace with every message in it.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    # Exclude start-up objects, which live as long as the process, from garbage collection.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    # A computing thread yields to the loop after half a millisecond, not after five.
    sys.setswitchinterval(0.0005)
    try:
        await server.serve(sockets=[listening])
    except SystemExit:
        return FAILED  # uvicorn's way to say that the service did not start
    if application.failure is not None:
        return FAILED
    return 0 if server.started else FAILED


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def _print_error(line: str) -> None:
    sys.stderr.write(line + "\n")


def _end(server: _Server) -> None:
    """Ask the server to end; a process that does not is ended."""
    server.end()
    timer = threading.Timer(STOP_TIMEOUT + 3, os._exit, (FAILED,))
    timer.daemon = True
    timer.start()


def _write_state(path: Path | None, port: int) -> None:
    if path is not None:
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps({"pid": os.getpid(), "port": port}))
        scratch.replace(path)


if __name__ == "__main__":
    sys.exit(main())
