"""A running county for the golden path: its services as processes, and what people and agencies use of it."""

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
from contracts.child_number import child_id, parse_child_number
from contracts.county import County
from demo.actors.agency import AgencySystem
from demo.checks import privacy
from demo.checks.outcome import read_topics
from deploy.clock import Clock, Simulator
from deploy.embedded.stack import LocalStack
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, DATABASE, Installation
from deploy.provision import OPERATOR_ROLE, county_topics
from deploy.quiescence import QuiescenceMonitor
from tests.county import FOLDER

PARTITIONS = 4
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class RunningCounty:
    """A county whose services run. Each action returns when the services are idle again."""

    county: County
    installation: Installation
    supervisor: subprocess.Popen[bytes]
    stack: LocalStack
    folder: Path
    """The folder of its workbooks."""
    _simulator: Simulator = field(init=False)
    _clients: dict[str, KafkaClient] = field(default_factory=dict)
    _agencies: dict[str, AgencySystem] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._simulator = Simulator(Clock(self.installation.kafka("clock"), self.county.code))

    # ------------------------------------------------------------ actions of people

    def begin(self, day: date) -> None:
        """Begin a day of the county."""
        self._simulator.begin_day(day)
        self._wait_until_idle()

    def submit(self, unit: str, dataset: str, row: Mapping[str, Any]) -> str:
        """Submit a workbook of one row by ``hutong submit``; return the receipt's text."""
        book = openpyxl.Workbook()
        assert book.active is not None
        book.active.append(list(row))
        book.active.append(list(row.values()))
        file = self.folder / f"{dataset}.xlsx"
        book.save(file)
        return self._run("submit", file, "--unit", unit, "--dataset", dataset, "--period", "2026H2", "--delta")

    def act(self, verb: str, unit: str, role: str, *flags: str, **options: object) -> str:
        """Act by ``hutong act``; return the receipt's text. An option may be a list."""
        words = [
            word
            for name, value in options.items()
            for each in (value if isinstance(value, list) else [value])
            for word in (f"--{name.replace('_', '-')}", each)
        ]
        return self._run("act", verb, "--unit", unit, "--role", role, *flags, *words)

    # ------------------------------------------------------------ what people read

    def output_of(self, *words: object) -> str:
        """Return what ``hutong WORDS...`` prints, run as the console script runs it."""
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["hutong", "--home", str(self.installation.home), *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main.main()
        assert ended.value.code == 0, err.getvalue()
        return out.getvalue()

    def notice(self, unit: str, sentence: str) -> tuple[str, str]:
        """Return the subject and the child's number of the newest notice in a unit's inbox with this sentence."""
        inbox = self.output_of("inbox", unit)
        matches = re.findall(rf"{sentence}.*\n    事项 (\S+)　儿童 (\S+)", inbox)
        assert matches, inbox
        subject, child = matches[-1]
        return subject, child

    def child_id(self, number: str) -> str:
        """Return the id, as events carry it, of the child with a short number."""
        return str(child_id(self.county.code, parse_child_number(number)))

    def agency(self, unit: str) -> AgencySystem:
        """Return an agency's own Kafka client, with its log-in and private key, after it has read all new records."""
        if unit not in self._agencies:
            key = json.loads(self.installation.agency_key_file(unit).read_text())
            self._agencies[unit] = AgencySystem(unit, "agency_officer", {False: self._client(unit)}, {False: key})
        agency = self._agencies[unit]
        agency.read(agency.topics())
        return agency

    def rows_accepted(self, receipt: str) -> int:
        """Return the number of rows that a receipt says were accepted whole."""
        return int(_only_match(r"已收\s*│\s*\d+\s*│\s*(\d+)", receipt))

    def report_number(self, receipt: str) -> str:
        """Return the number that a receipt gives to a report."""
        return _only_match(r"报告编号 (\S+?)。", receipt)

    def disclosed_fields(self, unit: str, referral: str) -> set[str]:
        """Return the names of the fields that an agency can decrypt, not their content: a failing test prints it."""
        return set(self.agency(unit).disclosed.get(referral, ()))

    # ------------------------------------------------------------ stored data

    def topics(self) -> dict[str, list[Record]]:
        """Return every record of every topic, as the operator sees it."""
        names = [topic.name for topic in county_topics(self.county)]
        return read_topics(self._client(ADMIN), names)

    def logs(self) -> list[Path]:
        """Return every log of the services and of their servers."""
        servers = [self.stack.kafka.log, self.stack.postgres.log]
        return [*self.installation.logs.glob("*.log"), *(log for log in servers if log.exists())]

    def in_tables(self, people: privacy.Identities) -> list[privacy.Leak]:
        """Return the identities found in any table of any service."""
        return asyncio.run(self._in_tables(people))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    # ------------------------------------------------------------ mechanics

    async def _in_tables(self, people: privacy.Identities) -> list[privacy.Leak]:
        database = await asyncpg.connect(self.installation.postgres_admin, database=DATABASE)
        try:
            return list(await privacy.in_tables(people, database))
        finally:
            await database.close()

    def _client(self, user: str) -> KafkaClient:
        return self._clients.setdefault(user, KafkaClient(self.installation.kafka(user), user))

    def _run(self, *words: object) -> str:
        receipt = self.output_of(*words)
        self._wait_until_idle()
        return receipt

    def _wait_until_idle(self) -> None:
        assert self.supervisor.poll() is None, "the supervisor has stopped; see its log"
        asyncio.run(self._idle())

    async def _idle(self) -> None:
        """Wait until all events are consumed and all outboxes are empty, and check that no event is parked."""
        database = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        try:
            quiescence = QuiescenceMonitor(AdminClient(self.installation.kafka(ADMIN)), database, self.county)
            state = await quiescence.wait_until_idle(self._simulator.day)
        finally:
            await database.close()
        assert not any((*state.parked.values(), *state.dead_letters.values())), "see `hutong parked`"


def _only_match(pattern: str, text: str) -> str:
    [match] = re.findall(pattern, text)
    return str(match)


@contextmanager
def running_county(stack: LocalStack, folder: Path, first_day: date) -> Iterator[RunningCounty]:
    """Install the demo county on these servers, start its five services and begin its first day."""
    home = folder / "installation"
    county = read_county(FOLDER, home)
    installation = asyncio.run(install(Servers.from_state(stack.state()), home, county, PARTITIONS))
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
