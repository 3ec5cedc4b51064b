"""A stack that another process runs, for many test runs that are shorter than the start of a stack."""

import os
from pathlib import Path
from typing import Any

import asyncpg

from deploy.embedded.errors import StackError
from deploy.embedded.kafka import EmbeddedKafka
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.stack import LocalStack, read_state

FOLDER_SETTING = "HUTONG_TEST_RUNNING_STACK"
"""Environment variable: the folder of the running stack, which contains its state file; empty if there is none."""


class RunningKafka(EmbeddedKafka):
    """A broker that another process runs."""

    def __init__(self, directory: Path, state: dict[str, Any]) -> None:
        super().__init__(directory)
        self._state = state

    @property
    def bootstrap(self) -> str:
        return str(self._state["bootstrap"])

    @property
    def admin_password(self) -> str:
        return str(self._state["admin_password"])

    @property
    def pids(self) -> list[int]:
        return list(self._state["pids"])


class RunningPostgres(EmbeddedPostgres):
    """A database server that another process runs."""

    def __init__(self, directory: Path, state: dict[str, Any]) -> None:
        super().__init__(directory, port=state["port"])
        self._state = state

    @property
    def superuser_password(self) -> str:
        return str(self._state["superuser_password"])

    @property
    def socket_directory(self) -> Path:
        return Path(self._state["socket_directory"])

    @property
    def pid(self) -> int:
        return int(self._state["pid"])


class RunningStack(LocalStack):
    """The stack that another process runs in a folder. That process starts and stops it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        state = read_state(directory)
        if state is None:
            raise StackError(f"No stack is running in {directory}.")
        self.kafka = RunningKafka(directory, state["kafka"])
        self.postgres = RunningPostgres(directory, state["postgres"])


def running_stack() -> RunningStack | None:
    """Return the stack that the environment names, or None."""
    folder = os.environ.get(FOLDER_SETTING)
    return RunningStack(Path(folder)) if folder else None


async def remove_databases(dsn: str) -> None:
    """Remove every database and schema that earlier runs made, so that the next run may use their names."""
    server = await asyncpg.connect(dsn)
    try:
        made = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"
        for row in await server.fetch(made):
            await server.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
        made = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public$|information_schema$)'"
        for row in await server.fetch(made):
            await server.execute(f'DROP SCHEMA "{row["nspname"]}" CASCADE')
    finally:
        await server.close()
