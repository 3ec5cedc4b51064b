"""Finds the installation a command speaks to, and what the command may ask of it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka.admin import AdminClient

from contracts.county import County, CountyActivated, Unit
from contracts.topics import COUNTY
from deploy.demo.plain_client import PlainClient
from deploy.installation import ADMIN, Installation
from deploy.provision import OPERATOR_ROLE


class CommandError(Exception):
    """A command cannot be done. One sentence, and what to do about it."""

    def __init__(self, what: str, remedy: str = "", code: int = 1) -> None:
        super().__init__(f"{what}{remedy}" if not remedy else f"{what} {remedy}")
        self.code = code


def default_home() -> Path:
    """`HUTONG_INSTALLATION`, else the stack that `make up` keeps in the checkout."""
    told = os.environ.get("HUTONG_INSTALLATION")
    return Path(told) if told else Path(".hutong")


class House:
    """One installation, as the ops team sees it."""

    def __init__(self, home: Path) -> None:
        self.installation = Installation.load(home)

    @contextmanager
    def client(self, user: str) -> Iterator[PlainClient]:
        """A plain Kafka client logged in as one user of the broker."""
        client = PlainClient(self.installation.kafka(user), user)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def reader(self) -> Iterator[PlainClient]:
        """Reads any topic: the ops team's own log-in."""
        with self.client(ADMIN) as client:
            yield client

    def admin(self) -> AdminClient:
        return AdminClient(self.installation.kafka(ADMIN))

    async def ask(self, query: str, *arguments: object) -> list[Mapping[str, Any]]:
        """Rows of any service's tables, read with the operator's role."""
        session = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        try:
            return [dict(row) for row in await session.fetch(query, *arguments)]
        finally:
            await session.close()

    def county(self) -> County:
        """The county's data that was activated last.

        Raises:
            CommandError: none was activated yet.
        """
        with self.reader() as client:
            held = [record.body for record in client.read_new(COUNTY.name) if record.body is not None]
        if not held:
            raise CommandError(
                "这个安装还没有启用任何县的数据。",
                "请先运行 hutong county activate deploy/counties/341722 --from 日期。",
            )
        return CountyActivated.model_validate(held[-1]).county

    def unit(self, county: County, said: str) -> Unit:
        """A unit by id, short name or full name.

        Raises:
            CommandError: there is no such unit.
        """
        found = [
            unit
            for unit in county.units
            if said in (unit.id, unit.short, unit.name) or unit.id == f"{county.code}-{said}"
        ]
        if not found:
            names = "、".join(unit.short for unit in county.units if unit.parent is None)
            raise CommandError(f"没有“{said}”这个单位。", f"可以用：{names}。")
        return found[0]
