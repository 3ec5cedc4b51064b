"""Kafka and PostgreSQL together: started side by side, gone with the process that started them."""

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from deploy.local import jars
from deploy.local.errors import StackError, from_os_error
from deploy.local.files import write_private
from deploy.local.kafka import EmbeddedKafka
from deploy.local.postgres import EmbeddedPostgres

STATE = "state.json"


class LocalStack:
    """Both servers below `directory`, which one process at a time may use; data and passwords stay there.

    A context manager. Leaving it, Ctrl-C, an exception and even `kill -9` of this process end both servers.
    `durable=False` is for tests: see EmbeddedPostgres.
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
        self.kafka = EmbeddedKafka(self.directory / "kafka", brokers=brokers, port=kafka_port)
        self.postgres = EmbeddedPostgres(self.directory / "postgres", port=postgres_port, durable=durable)
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Returns when both answer; if one cannot start, neither runs."""
        self._take_directory()
        with ThreadPoolExecutor(2) as pool:
            try:
                futures = [pool.submit(self.kafka.start), pool.submit(self.postgres.start)]
                for future in futures:
                    future.result()
            except BaseException:
                # What a thread is still waiting for ends now; what it starts after this is ended below.
                self._end()
                pool.shutdown()
                self.stop()
                raise

    def stop(self) -> None:
        """Clean shutdown of both; nothing happens when they do not run."""
        self._end()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def restart(self) -> None:
        """Both again, on the same data, ports and passwords."""
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
        """Everything needed to connect, passwords included."""
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

    def write_state(self, **more: object) -> Path:
        """Writes `state()` to the directory's state file, mode 0600, for other programs of the same user."""
        path = self.directory / STATE
        write_private(path, json.dumps({**self.state(), **more}, indent=2))
        return path

    def _end(self) -> None:
        try:
            self.kafka.stop()
        finally:
            self.postgres.stop()

    def _take_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / "lock").open("w")
        except OSError as error:
            raise from_os_error(error, "making the stack's folder") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StackError(f"A stack is already running in {self.directory}.") from None
        self._lock = lock


def default_directory() -> Path:
    """Where `make up` keeps its stack."""
    return jars.home() / "stack"


def read_state(directory: Path | None = None) -> dict[str, Any] | None:
    """What `make up` wrote, or None when no stack runs there."""
    folder = directory or default_directory()
    try:
        with (folder / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # Held: somebody runs it.
        try:
            state: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return state
    except FileNotFoundError:
        pass
    return None
