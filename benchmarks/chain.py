"""The whole chain, measured: new records, a refresh in which one row in twenty changed, and a finding's way."""

import asyncio
import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import psutil
from confluent_kafka.admin import AdminClient

from client.kafka_client import KafkaClient
from contracts.county import County
from contracts.topics import ACTION, DEPARTMENT, RECEIPT, RESTRICTED_QUEUE, SERVICES
from demo.data import population, submissions
from deploy.clock import Clock, Simulator
from deploy.counties import DEMO_COUNTY
from deploy.embedded.stack import LocalStack
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, Installation
from deploy.provision import OPERATOR_ROLE
from deploy.quiescence import Watch
from deploy.supervisor import Supervisor, programs

NAMESPACE = UUID("3f0cdb7e-7f2b-5b0e-a5d1-52f7b2a9c4d0")
FIRST_DAY = date(2027, 3, 1)
"""Both half-years that are handed over have begun."""
_VILLAGE = re.compile(r"341722\d{6}")
CHANGED = 0.05
"""Share of rows that a refresh changes."""


RARELY = 0.25
"""Seconds between two looks at the services: looking costs what is being measured."""


class NotTakenError(Exception):
    """What was handed over was not taken as it should be: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was handed over at once, and how long the chain took with it."""

    what: str
    rows: int
    changed: int
    """Rows that were no repetition of what was known."""
    said: dict[str, int]
    """Service -> events it said about it."""
    seconds: float
    busy: dict[str, float]
    """Service or server -> seconds of processor time."""

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Way:
    """Seconds from a reporter's send to the entry in the agency's queue, under load."""

    load: float
    """Rows per second that were handed over meanwhile."""
    seconds: Sequence[float]

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Chain:
    """An installation of its own, five services, and what is handed to it."""

    def __init__(self, stack: LocalStack, home: Path, partitions: int) -> None:
        self._stack = stack
        self._home = home
        self._partitions = partitions

    async def start(self) -> None:
        county = read_county(DEMO_COUNTY, self._home)
        self.county: County = county
        self.installation: Installation = await install(
            Servers.of(self._stack.state()), self._home, county, self._partitions
        )
        activate(self.installation, county, FIRST_DAY, "operator of 341722-mzj (benchmark)")
        Simulator(Clock(self.installation.kafka("clock"), county.code)).begin(FIRST_DAY)
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        self._database: Any = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        self._clients = {
            unit.id: KafkaClient(self.installation.kafka(unit.id), unit.id)
            for unit in county.units
            if unit.parent is None and unit.id in self.installation.users
        }
        self._watch = Watch(AdminClient(self.installation.kafka(ADMIN)), self._database, county)
        await self._watch.settled(FIRST_DAY)

    async def stop(self) -> None:
        await self._supervisor.stop()
        for client in self._clients.values():
            client.close()
        await self._database.close()

    async def take(self, what: str, files: Sequence[submissions.HandOver], period: str) -> Load:
        """Hand everything over while nobody reads, then let the services have it.

        Raises:
            NotTakenError: a file was not taken, or its numbers do not add up.
        """
        await self._supervisor.stop()
        rows = sum(self._send(file, period) for file in files)
        said_before = await self._said()
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        at = await self._moved()
        before = self._busy()
        await self._watch.settled(FIRST_DAY, patience=600, between=RARELY)
        seconds = time.perf_counter() - at
        after = self._busy()
        said = await self._said()
        return Load(
            what,
            rows,
            self._taken(files, rows),
            {name: said[name] - said_before[name] for name in SERVICES},
            seconds,
            {name: after[name] - before[name] for name in after},
        )

    def _taken(self, files: Sequence[submissions.HandOver], rows: int) -> int:
        """How many rows were news, from the receipts of these files, which must all have been taken."""
        read = news = answered = 0
        for unit in sorted({file.unit for file in files}):
            for record in self._clients[unit].read_new(RECEIPT.name_for(unit)):
                if record.headers["ce_type"] != "intake.SubmissionAnswered.v1" or record.body is None:
                    continue
                if record.body["outcome"] != "taken":
                    raise NotTakenError(f"a file of {unit} is {record.body['outcome']}")
                answered += 1
                read += record.body["rows"]
                news += record.body["accepted"] + record.body["accepted_with_drops"]
        if (answered, read) != (len(files), rows):
            raise NotTakenError(f"{answered} of {len(files)} files are answered, {read} of {rows} rows")
        return news

    async def _said(self) -> dict[str, int]:
        """How many events each service has published so far."""
        query = " union all ".join(
            f"select '{name}' as service, coalesce(sum(published_seq), 0) as said from {name}.outbox_mark"
            for name in SERVICES
        )
        return {row["service"]: int(row["said"]) for row in await self._database.fetch(query)}

    async def findings(self, rate: float, files: Sequence[submissions.HandOver], period: str, seconds: float) -> Way:
        """Report findings five times a second while rows come in at a steady rate."""
        rows = [(file, row) for file in files for row in file.rows]
        steady = asyncio.create_task(asyncio.to_thread(self._steadily, rows, rate, period, seconds))
        times = await asyncio.to_thread(self._report, seconds)
        await steady
        await self._watch.settled(FIRST_DAY, patience=600, between=RARELY)
        return Way(rate, times)

    def _send(self, file: submissions.HandOver, period: str) -> int:
        topic = DEPARTMENT.name_for(file.unit)
        submission = str(uuid5(NAMESPACE, f"{file.submission}/{period}"))
        client = self._clients[file.unit]
        begin = {
            "submission": submission,
            "dataset": file.dataset,
            "period": period,
            "columns": list(file.columns),
            "rows": len(file.rows),
            "coverage": "full",
        }
        client.send(topic, "department.Begin.v1", submission, begin)
        for row in file.rows:
            body = {"submission": submission, "number": row.number, "cells": _plain(row)}
            client.send(topic, "department.Row.v1", submission, body)
        client.send(topic, "department.End.v1", submission, {"submission": submission, "rows": len(file.rows)})
        client.flush()
        return len(file.rows)

    def _steadily(
        self,
        rows: Sequence[tuple[submissions.HandOver, submissions.HandedRow]],
        rate: float,
        period: str,
        seconds: float,
    ) -> None:
        dice = random.Random(period)
        begun = time.perf_counter()
        sent = 0
        while (passed := time.perf_counter() - begun) < seconds:
            while sent < rate * passed:
                file, row = rows[sent % len(rows)]
                body = {"dataset": file.dataset, "cells": _plain(_changed(row, dice))}
                self._clients[file.unit].send(DEPARTMENT.name_for(file.unit), "department.Row.v1", "row", body)
                sent += 1
            time.sleep(0.005)  # the pace of the load, not a wait for anything
        for client in self._clients.values():
            client.flush()

    def _report(self, seconds: float) -> list[float]:
        school, police = f"{self.county.code}-jtj", f"{self.county.code}-gaj"
        reporter = KafkaClient(self.installation.kafka(school), school)
        reader = KafkaClient(self.installation.kafka(f"{police}-restricted"), f"{police}-restricted")
        topic = RESTRICTED_QUEUE.name_for(police)
        for _ in reader.read_new(topic):
            pass
        waiting: dict[str, float] = {}
        times: list[float] = []
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds or (waiting and passed < seconds + 30):
            if passed < seconds and len(times) + len(waiting) < passed * 5:
                name = f"测{len(times) + len(waiting):05d}"
                body = {
                    "verb": "report",
                    "role": "teacher",
                    "findings": ["suspected_violence"],
                    "township": self.county.townships[0].code,
                    "identity": {"name": name},
                }
                ce_id = reporter.send(ACTION.name_for(school), "action.Action.v1", "new", body)
                reporter.flush()
                waiting[ce_id] = time.perf_counter()
            for record in reader.read_new(topic):
                if record.body is None or record.body["version"] != 1:
                    continue
                story = record.headers["ce_correlationid"]
                if story in waiting:
                    times.append(time.perf_counter() - waiting.pop(story))
        reporter.close()
        reader.close()
        if waiting:
            raise SystemExit(f"{len(waiting)} findings did not arrive within 30 s")
        return times

    async def _moved(self) -> float:
        ends = {tuple(row) for row in await self._cursors()}
        while True:
            if {tuple(row) for row in await self._cursors()} != ends:
                return time.perf_counter()
            await asyncio.sleep(0.01)

    async def _cursors(self) -> Iterable[Any]:
        found: Iterable[Any] = await self._database.fetch(
            "SELECT topic, next_offset FROM intake.consumer_cursor WHERE topic LIKE 'department.%'"
        )
        return found

    def _busy(self) -> dict[str, float]:
        """Seconds of processor time of each service, of PostgreSQL with all its sessions, and of Kafka."""
        found = {}
        for service in SERVICES:
            process = self._supervisor.process_id(service)
            found[service] = _seconds(psutil.Process(process)) if process else 0.0
        server = psutil.Process(self._stack.postgres.pid)
        found["PostgreSQL"] = _seconds(server) + sum(map(_seconds, server.children()))
        found["Kafka"] = sum(_seconds(psutil.Process(pid)) for pid in self._stack.kafka.pids)
        return found


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def files(county: County, children: int, seed: int) -> list[submissions.HandOver]:
    """Six departments' and eight townships' whole files about an invented county, without the demo's mishaps."""
    made = submissions.make(county, population.make(county, children, seed, FIRST_DAY, 30))
    return [file for file in made if file.expect == "taken"]


def refreshed(made: Sequence[submissions.HandOver], seed: int) -> list[submissions.HandOver]:
    """The same files half a year later: one row in twenty says something else."""
    dice = random.Random(seed)
    return [
        replace(
            file,
            rows=tuple(_changed(row, dice) if dice.random() < CHANGED else row for row in file.rows),
            day=file.day + timedelta(days=181),
        )
        for file in made
    ]


def _changed(row: submissions.HandedRow, dice: random.Random) -> submissions.HandedRow:
    """The same child, moved to another village where the row says which, with another telephone or registered house."""
    cells = tuple((name, _otherwise(name, cell, dice)) for name, cell in row.cells)
    assert cells != row.cells, f"none of {[name for name, _ in cells]} was changed"
    return replace(row, cells=cells)


def _otherwise(name: str, cell: submissions.Cell, dice: random.Random) -> submissions.Cell:
    if isinstance(cell, str) and _VILLAGE.fullmatch(cell):
        return f"{cell[:9]}{dice.randrange(1, 900):03d}"
    if "电话" in name or "手机" in name:
        return f"1990000{(int(str(cell)[-4:]) + dice.randrange(1, 10_000)) % 10_000:04d}"  # never the same again
    if name.startswith("户籍") and name.endswith("址"):
        return f"{cell}{dice.randrange(1, 900)}号"
    return cell


def _plain(row: submissions.HandedRow) -> dict[str, Any]:
    """A row's cells as JSON holds them."""
    return {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.cells}
