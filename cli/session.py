"""Connects a command to its installation: the broker, the database and the county's data."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka.admin import AdminClient

from client.kafka_client import KafkaClient
from contracts.county import County, Unit
from contracts.vocabulary import COUNTY_TIME
from deploy.install import in_force
from deploy.installation import ADMIN, Installation
from deploy.provision import OPERATOR_ROLE

CONNECT_TIMEOUT = 5.0
"""Seconds within which a server must accept the connection."""
START_REMEDY = "请确认安装正在运行（make up 会启动它）。"
EXIT_UNREACHABLE = 3
"""Exit code of a command that reached no server."""


class CommandError(Exception):
    """A command cannot be carried out. The message is one sentence, followed by a remedy."""

    def __init__(self, what: str, remedy: str = "", code: int = 1) -> None:
        super().__init__(f"{what}{remedy}")
        self.code = code


class InstallationSession:
    """A connection to one installation with the ops team's log-ins."""

    def __init__(self, home: Path) -> None:
        self.installation = Installation.load(home)

    def require_broker(self) -> None:
        """Check that a server listens at the broker's address, for which a client would wait half a minute.

        Raises:
            CommandError: no server does.
        """
        servers = self.installation.bootstrap.split(",")
        for server in servers:
            host, _, port = server.rpartition(":")
            try:
                socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
            except OSError:
                continue
            return
        raise CommandError(f"连不上消息服务器（{'、'.join(servers)}）。", START_REMEDY, EXIT_UNREACHABLE)

    @contextmanager
    def client(self, user: str) -> Iterator[KafkaClient]:
        """Open a Kafka client that is logged in as one user of the broker.

        Raises:
            CommandError: the broker cannot be reached.
        """
        self.require_broker()
        client = KafkaClient(self.installation.kafka(user), user)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def reader(self) -> Iterator[KafkaClient]:
        """Open a client with the ops team's log-in, which may read any topic."""
        with self.client(ADMIN) as client:
            yield client

    def admin(self) -> AdminClient:
        """Return a client with the broker administrator's log-in.

        Raises:
            CommandError: the broker cannot be reached.
        """
        self.require_broker()
        return AdminClient(self.installation.kafka(ADMIN))

    async def database(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Open a database session with the operator's role.

        Raises:
            CommandError: the database cannot be reached.
        """
        try:
            return await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE), timeout=CONNECT_TIMEOUT)
        except (OSError, asyncpg.PostgresError) as error:
            place = f"{self.installation.postgres_host}:{self.installation.postgres_port}"
            raise CommandError(f"连不上数据库（{place}）。", START_REMEDY, EXIT_UNREACHABLE) from error

    async def fetch(self, query: str, *arguments: object) -> list[Mapping[str, Any]]:
        """Return rows of any service's tables, read with the operator's role.

        Raises:
            CommandError: the database cannot be reached.
        """
        connection = await self.database()
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    def county(self) -> County:
        """Return the county's data in force today.

        Raises:
            CommandError: no data were activated yet, or the broker cannot be reached.
        """
        self.require_broker()
        county = in_force(self.installation, datetime.now(COUNTY_TIME).date())
        if county is None:
            raise CommandError(
                "这个安装还没有启用任何县的数据。",
                "请先运行 hutong county activate 文件夹 --from 日期 --by 单位/人员编号。",
            )
        return county

    def unit(self, county: County, name: str) -> Unit:
        """Return a unit by id, short name or full name.

        Raises:
            CommandError: there is no such unit.
        """
        matches = [
            unit
            for unit in county.units
            if name in (unit.id, unit.short, unit.name) or unit.id == f"{county.code}-{name}"
        ]
        if not matches:
            names = "、".join(unit.short for unit in county.units if unit.parent is None)
            raise CommandError(f"没有“{name}”这个单位。", f"可以用：{names}。")
        return matches[0]
