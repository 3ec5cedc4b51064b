"""The mechanics of a story: a county whose services run as processes, and the doors of its people and agencies."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import openpyxl
import pytest
from confluent_kafka.admin import AdminClient

from cli import main
from client.kafka_client import KafkaClient, Record
from contracts.county import County
from demo.actors.agency import AgencySystem
from demo.checks import privacy
from demo.checks.outcome import read_topics
from deploy.clock import Clock, Simulator
from deploy.embedded.stack import LocalStack
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, DATABASE, Installation
from deploy.provision import OPERATOR_ROLE, county_topics
from deploy.quiescence import Watch
from tests.county import FOLDER

PARTITIONS = 4
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class RunningCounty:
    """One county at work. What people do returns when the services are at rest again."""

    county: County
    installation: Installation
    supervisor: subprocess.Popen[bytes]
    stack: LocalStack
    folder: Path
    """Where its workbooks lie."""
    _simulator: Simulator = field(init=False)
    _clients: dict[str, KafkaClient] = field(default_factory=dict)
    _agencies: dict[str, AgencySystem] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._simulator = Simulator(Clock(self.installation.kafka("clock"), self.county.code))

    # ------------------------------------------------------------ what people do

    def begin(self, day: date) -> None:
        """The county's day begins."""
        self._simulator.begin(day)
        self._rest()

    def submit(self, unit: str, dataset: str, row: Mapping[str, Any]) -> str:
        """A workbook of one row goes by ``hutong submit``; what the receipt says."""
        book = openpyxl.Workbook()
        assert book.active is not None
        book.active.append(list(row))
        book.active.append(list(row.values()))
        file = self.folder / f"{dataset}.xlsx"
        book.save(file)
        return self._do("submit", file, "--unit", unit, "--dataset", dataset, "--period", "2026H2")

    def act(self, verb: str, unit: str, role: str, *flags: str, **options: object) -> str:
        """A person acts by ``hutong act``; what the receipt says. An option may be a list."""
        words = [
            word
            for name, value in options.items()
            for one in (value if isinstance(value, list) else [value])
            for word in (f"--{name.replace('_', '-')}", one)
        ]
        return self._do("act", verb, "--unit", unit, "--role", role, *flags, *words)

    # ------------------------------------------------------------ what people read

    def see(self, *words: object) -> str:
        """What ``hutong WORDS...`` prints, run as the console script runs it: ``queue``, ``ledger``, ``trace`` ..."""
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["hutong", "--home", str(self.installation.home), *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main.main()
        assert ended.value.code == 0, err.getvalue()
        return out.getvalue()

    def notice(self, unit: str, sentence: str) -> tuple[str, str]:
        """The newest notice of a unit's inbox that says this: what it is about, and the child."""
        inbox = self.see("inbox", unit)
        found = re.findall(rf"{sentence}.*\n    事项 (\S+)　儿童 (\S+)", inbox)
        assert found, inbox
        about, child = found[-1]
        return about, child

    def agency(self, unit: str) -> AgencySystem:
        """An agency's own Kafka client, with its own log-in and private key, when it has read what is new."""
        if unit not in self._agencies:
            key = json.loads(self.installation.agency_key_file(unit).read_text())
            self._agencies[unit] = AgencySystem(unit, "agency_officer", {False: self._client(unit)}, key)
        agency = self._agencies[unit]
        agency.read(agency.topics())
        return agency

    def taken(self, receipt: str) -> int:
        """How many rows a workbook's receipt says were taken whole."""
        return int(_only(r"已收\s*│\s*\d+\s*│\s*(\d+)", receipt))

    def finding(self, receipt: str) -> str:
        """The number that a report was given."""
        return _only(r"报告编号 (\S+?)。", receipt)

    def known_to(self, unit: str, referral: str) -> set[str]:
        """Which fields of a child an agency can open with its key. Never their content: a failing test prints it."""
        return set(self.agency(unit).disclosed.get(referral, ()))

    # ------------------------------------------------------------ what lies where

    def topics(self) -> dict[str, list[Record]]:
        """Every record of every topic, as the operator sees it."""
        names = [topic.name for topic in county_topics(self.county)]
        return read_topics(self._client(ADMIN), names)

    def logs(self) -> list[Path]:
        """Every log of the services and of their servers."""
        servers = [self.stack.kafka.log, self.stack.postgres.log]
        return [*self.installation.logs.glob("*.log"), *(log for log in servers if log.exists())]

    def in_tables(self, people: privacy.People) -> list[privacy.Leak]:
        """What tells who somebody is in any table of any service."""
        return asyncio.run(self._in_tables(people))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    # ------------------------------------------------------------ mechanics

    async def _in_tables(self, people: privacy.People) -> list[privacy.Leak]:
        database = await asyncpg.connect(self.installation.postgres_admin, database=DATABASE)
        try:
            return list(await privacy.in_tables(people, database))
        finally:
            await database.close()

    def _client(self, user: str) -> KafkaClient:
        return self._clients.setdefault(user, KafkaClient(self.installation.kafka(user), user))

    def _do(self, *words: object) -> str:
        receipt = self.see(*words)
        self._rest()
        return receipt

    def _rest(self) -> None:
        assert self.supervisor.poll() is None, "the supervisor gave up; its log says why"
        asyncio.run(self._settled())

    async def _settled(self) -> None:
        """Waits until every event was read and every outbox is empty; no event was parked."""
        database = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        try:
            watch = Watch(AdminClient(self.installation.kafka(ADMIN)), database, self.county)
            state = await watch.settled(self._simulator.day)
        finally:
            await database.close()
        assert not any((*state.parked.values(), *state.dead.values())), "see `hutong parked`"


def _only(pattern: str, text: str) -> str:
    [found] = re.findall(pattern, text)
    return str(found)


@contextmanager
def running_county(stack: LocalStack, folder: Path, first_day: date) -> Iterator[RunningCounty]:
    """Installs the demo county on these servers, starts its five services and begins its first day."""
    home = folder / "installation"
    county = read_county(FOLDER, home)
    installation = asyncio.run(install(Servers.of(stack.state()), home, county, PARTITIONS))
    activate(installation, county, first_day, f"county_civil_affairs of {county.lead_unit} (test)")
    command = [sys.executable, "-m", "deploy.supervisor", "--home", str(home), "--no-clock"]
    with (installation.logs / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    running = RunningCounty(county, installation, supervisor, stack, folder)
    try:
        running.begin(first_day)
        yield running
    finally:
        running.close()
        supervisor.terminate()
        supervisor.wait()
