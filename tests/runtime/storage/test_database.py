"""Which errors come from the infrastructure, and how rows are written."""

import ast
from pathlib import Path

import asyncpg
import pytest
from aiokafka.errors import KafkaTimeoutError

from runtime import RetryLater, UnprocessableEvent
from runtime.storage.database import infrastructure


@pytest.mark.parametrize(
    ("error", "is_infrastructure"),
    [
        (asyncpg.SerializationError(), True), (asyncpg.DeadlockDetectedError(), True),
        (asyncpg.LockNotAvailableError(), True), (asyncpg.AdminShutdownError(), True),
        (asyncpg.TooManyConnectionsError(), True), (asyncpg.DiskFullError(), True),
        (asyncpg.IdleInTransactionSessionTimeoutError(), True), (asyncpg.QueryCanceledError(), True),
        (asyncpg.UndefinedTableError(), True), (asyncpg.InsufficientPrivilegeError(), True),
        (asyncpg.InterfaceError(""), True), (asyncpg.InternalClientError(), True), (ConnectionResetError(), True),
        (TimeoutError(), True), (KafkaTimeoutError(), True), (RetryLater(), True),
        (asyncpg.UniqueViolationError(), False), (asyncpg.DivisionByZeroError(), False), (asyncpg.DataError(""), False),
        (asyncpg.ProgramLimitExceededError(), False),
        (KeyError(), False), (UnprocessableEvent(), False), (ValueError(), False),
    ],
)  # fmt: skip
def test_infrastructure_errors_are_distinguished_from_errors_of_an_event(
    error: Exception, is_infrastructure: bool
) -> None:
    assert infrastructure(error) is is_infrastructure


def test_the_code_does_not_use_copy() -> None:
    """While COPY waits for a frozen client, no server timeout ends it, and a successor waits indefinitely."""
    root = Path(__file__).parents[3]
    calls = [
        f"{file.relative_to(root)}:{node.lineno}"
        for folder in ("runtime", "services")
        for file in sorted((root / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("copy_records_to_table", "copy_to_table")
    ]
    assert calls == []
