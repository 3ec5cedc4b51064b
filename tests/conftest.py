"""Fixtures for every test: one stack per session, started when a test first needs it, and one database per test.

`make test WORKERS=2` runs two sessions at once, the workers of pytest-xdist: each has a stack of its own.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from deploy.embedded import StackError
from deploy.embedded.kafka import ClientConfig, EmbeddedKafka
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.stack import LocalStack
from tests import processes
from tests.running_stack import running_stack


@dataclass(frozen=True, slots=True)
class Database:
    """The database of one test. `dsn` is the superuser's; `dsn_for` is for a role that the test made."""

    name: str
    dsn: str
    server: EmbeddedPostgres

    def dsn_for(self, role: str, password: str) -> str:
        return self.server.dsn(role, password, self.name)


STACK = os.environ.get("HUTONG_TEST_STACK", "embedded")
embedded_only = pytest.mark.skipif(
    STACK != "embedded", reason="is about the embedded stack itself, which `make test` covers"
)
containers_only = pytest.mark.skipif(STACK != "containers", reason="is about the containers of `make test-containers`")


LEFT = pytest.StashKey[list[str]]()
"""The command lines of processes that outlived their test."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT] = []
    processes.mark_environment()
    if hasattr(config, "workerinput"):
        return  # the process that started this worker has checked what follows
    if STACK == "containers":
        from tests.containers import check_engine

        try:
            check_engine()
        except StackError as error:
            raise pytest.UsageError(str(error)) from None
    elif STACK != "embedded":
        raise pytest.UsageError("HUTONG_TEST_STACK knows only 'embedded' and 'containers'.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first: begun last, one of them would be awaited when all other tests are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a process outlives its test, and kill it: it would disturb every later test.

    Each worker reports its own; the process that started the workers comes here when they have ended.
    """
    left = processes.remaining()
    lines = [f"{process.pid}: {' '.join(process.cmdline())[:300]}" for process in left]
    processes.kill(left)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = lines
        return
    session.config.stash[LEFT] += lines
    if session.config.stash[LEFT]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what an ended worker reports; one that has crashed reports nothing and fails the run."""
    node.config.stash[LEFT] += getattr(node, "workeroutput", {}).get("left", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[LEFT]:
        terminalreporter.write_line(f"LEFT RUNNING by a test, and ended now: {line}", red=True)


@pytest.fixture(scope="session")
def stack_class() -> type[LocalStack]:
    """LocalStack, or the class with the same interface over containers."""
    if STACK == "containers":
        from tests.containers import ContainerStack

        return ContainerStack
    return LocalStack


@pytest.fixture(scope="session")
def stack(stack_class: type[LocalStack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Kafka and PostgreSQL for the whole session; tests share them and name their own topics and databases."""
    if (shared := running_stack()) is not None:
        yield shared
        return
    # fsync is off: tests kill processes, not the machine.
    with stack_class(tmp_path_factory.mktemp("stack"), durable=False) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(stack: LocalStack) -> EmbeddedKafka:
    """The session's broker."""
    return stack.kafka


@pytest.fixture(scope="session")
def kafka_admin(kafka: EmbeddedKafka) -> ClientConfig:
    """Configuration of a confluent-kafka client (AdminClient) as the administrator."""
    return kafka.admin_config


@pytest.fixture(scope="session")
def kafka_kwargs(kafka: EmbeddedKafka) -> dict[str, str]:
    """Keyword arguments of an aiokafka client as the administrator: bootstrap_servers and SASL."""
    return kafka.aiokafka_kwargs(kafka.admin_user, kafka.admin_password)


@pytest.fixture(scope="session")
def postgres(stack: LocalStack) -> EmbeddedPostgres:
    """The session's PostgreSQL server."""
    return stack.postgres


@pytest.fixture(scope="session")
def database_template() -> str:
    """The database that `database` copies. A folder's conftest overrides it with a migrated one."""
    return "template1"


@pytest.fixture(scope="session")
async def superuser(postgres: EmbeddedPostgres) -> AsyncIterator[Any]:
    """One session of the superuser, which creates and drops databases."""
    connection = await asyncpg.connect(postgres.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def database(postgres: EmbeddedPostgres, superuser: Any, database_template: str) -> AsyncIterator[Database]:
    """A fresh copy of the template, dropped after the test together with any open connection."""
    name = f"test_{secrets.token_hex(6)}"
    await superuser.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database_template}"')
    yield Database(name, postgres.dsn(postgres.superuser, postgres.superuser_password, name), postgres)
    await superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
