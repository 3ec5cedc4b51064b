"""Fixtures for every test: one stack per session, started when a test first needs it, and one database per test."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

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


def pytest_configure(config: pytest.Config) -> None:
    processes.mark_environment()
    if STACK == "containers":
        from tests.containers import check_engine

        try:
            check_engine()
        except StackError as error:
            raise pytest.UsageError(str(error)) from None
    elif STACK != "embedded":
        raise pytest.UsageError("HUTONG_TEST_STACK knows only 'embedded' and 'containers'.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a process outlives its test, and kill it: it would disturb every later test."""
    left = processes.remaining()
    if left:
        session.config.stash[LEFT] = [f"{process.pid}: {' '.join(process.cmdline())[:300]}" for process in left]
        processes.kill(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(LEFT, []):
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


@pytest.fixture
async def database(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[Database]:
    """A fresh copy of the template, dropped after the test together with any open connection."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(postgres.superuser_dsn)
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database_template}"')
        yield Database(name, postgres.dsn(postgres.superuser, postgres.superuser_password, name), postgres)
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()
