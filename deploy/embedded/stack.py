"""Kafka and PostgreSQL together, started concurrently and ended with the process that started them."""

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from deploy.embedded.errors import StackError, from_os_error
from deploy.embedded.kafka import EmbeddedKafka
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.files import private_folder, write_private

STATE = "state.json"
LOCK = "lock"
"""File that the process running the stack locks; it contains the process id."""


class LocalStack:
    """Both servers below `directory`, which one process at a time may use; data and passwords stay there.

    A context manager. Leaving it, Ctrl-C, an exception and even `kill -9` of this process end both servers.
    `durable=False` is for tests, which take minutes: see EmbeddedPostgres, and `brief` of EmbeddedKafka.
    """

    def __init__(
        self,
        directory: Path,
        *,
        brokers: int = 1,
        kafka_port: int | None = None,
        postgres_port: int | None = None,
        durable: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.kafka = EmbeddedKafka(self.directory / "kafka", brokers=brokers, port=kafka_port, brief=not durable)
        self.postgres = EmbeddedPostgres(self.directory / "postgres", port=postgres_port, durable=durable)
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Start both and return when they answer; if one cannot start, neither runs."""
        self._lock_directory()
        with ThreadPoolExecutor(2) as pool:
            try:
                futures = [pool.submit(self.kafka.start), pool.submit(self.postgres.start)]
                for future in futures:
                    future.result()
            except BaseException:
                # This ends the servers that a thread still waits for; those it starts later are stopped below.
                self._stop_servers()
                pool.shutdown()
                self.stop()
                raise

    def stop(self) -> None:
        """Shut both down cleanly, if they run."""
        self._stop_servers()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def restart(self) -> None:
        """Restart both on the same data, ports and passwords."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def state(self) -> dict[str, Any]:
        """Return everything needed to connect, passwords included."""
        return {
            "kafka": {
                "bootstrap": self.kafka.bootstrap,
                "admin_user": self.kafka.admin_user,
                "admin_password": self.kafka.admin_password,
                "pids": self.kafka.pids,
            },
            "postgres": {
                "superuser_dsn": self.postgres.superuser_dsn,
                "socket_directory": str(self.postgres.socket_directory),
                "port": self.postgres.port,
                "superuser": self.postgres.superuser,
                "superuser_password": self.postgres.superuser_password,
                "pid": self.postgres.pid,
            },
        }

    def write_state(self) -> None:
        """Write `state()` to the directory's state file, mode 0600, for other programs of the same user."""
        write_private(self.directory / STATE, json.dumps(self.state(), indent=2))

    def _stop_servers(self) -> None:
        try:
            self.kafka.stop()
        finally:
            self.postgres.stop()

    def _lock_directory(self) -> None:
        try:
            private_folder(self.directory, 0o711)
            lock = (self.directory / LOCK).open("a+")
        except OSError as error:
            raise from_os_error(error, "making the stack's folder") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StackError(f"A stack is already running in {self.directory}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        # A state file that a killed process left behind is out of date.
        (self.directory / STATE).unlink(missing_ok=True)
        self._lock = lock


def lock_holder(directory: Path) -> int | None:
    """Return the id of the process that runs, starts or stops the stack there, or None."""
    try:
        with (directory / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int((directory / LOCK).read_text() or 0) or None
    except FileNotFoundError:
        pass
    return None


def read_state(directory: Path) -> dict[str, Any] | None:
    """Return the state that `write_state` wrote there, or None if no stack runs."""
    if lock_holder(directory) is None:
        return None
    try:
        state: dict[str, Any] = json.loads((directory / STATE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return state
