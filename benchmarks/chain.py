"""The whole chain, measured: new records, a refresh in which one row in twenty changed, and a finding's way."""

import asyncio
import random
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

from contracts.county import County
from contracts.topics import ACTION, DEPARTMENT, RESTRICTED_QUEUE, SERVICES
from deploy.clock import Clock, Simulator
from deploy.demo import handover, world
from deploy.demo.plain_client import PlainClient
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, Installation
from deploy.local.stack import LocalStack
from deploy.provision import OPERATOR_ROLE
from deploy.settled import Watch
from deploy.supervisor import Supervisor, programs

NAMESPACE = UUID("3f0cdb7e-7f2b-5b0e-a5d1-52f7b2a9c4d0")
FIRST_DAY = date(2026, 9, 1)
FOLDER = Path(__file__).parents[1] / "deploy" / "counties" / "341722"
CHANGED = 0.05
"""Share of rows that a refresh changes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was handed over at once, and how long the chain took with it."""

    what: str
    rows: int
    seconds: float
    busy: dict[str, float]
    """Service -> seconds of processor time."""

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
        county = read_county(FOLDER, self._home)
        self.county: County = county
        self.installation: Installation = await install(
            Servers.of(self._stack.state()), self._home, county, self._partitions
        )
        activate(self.installation, county, FIRST_DAY, "operator of 341722-mzj (benchmark)")
        Simulator(Clock(self.installation.kafka("clock"), county.code)).begin(FIRST_DAY)
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        self._database: Any = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        self._watch = Watch(AdminClient(self.installation.kafka(ADMIN)), self._database, county)
        await self._watch.settled(FIRST_DAY)

    async def stop(self) -> None:
        await self._supervisor.stop()
        await self._database.close()

    async def take(self, what: str, files: Sequence[handover.HandOver], period: str) -> Load:
        """Hand everything over while nobody reads, then let the services have it."""
        await self._supervisor.stop()
        rows = 0
        for file in files:
            rows += self._send(file, period)
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        at = await self._moved()
        before = self._busy()
        await self._watch.settled(FIRST_DAY, patience=600)
        seconds = time.perf_counter() - at
        after = self._busy()
        return Load(what, rows, seconds, {name: after[name] - before[name] for name in SERVICES})

    async def findings(self, rate: float, files: Sequence[handover.HandOver], period: str, seconds: float) -> Way:
        """Report findings five times a second while rows come in at a steady rate."""
        rows = [(file, row) for file in files for row in file.rows]
        steady = asyncio.create_task(asyncio.to_thread(self._steadily, rows, rate, period, seconds))
        times = await asyncio.to_thread(self._report, seconds)
        await steady
        await self._watch.settled(FIRST_DAY, patience=600)
        return Way(rate, times)

    def _send(self, file: handover.HandOver, period: str) -> int:
        topic = DEPARTMENT.of(file.unit)
        submission = str(uuid5(NAMESPACE, f"{file.submission}/{period}"))
        client = PlainClient(self.installation.kafka(file.unit), file.unit)
        begin = {
            "submission": submission,
            "dataset": file.dataset,
            "period": period,
            "columns": list(file.columns),
            "rows": len(file.rows),
        }
        client.say(topic, "department.Begin.v1", submission, begin)
        for row in file.rows:
            body = {"submission": submission, "number": row.number, "cells": _plain(row)}
            client.say(topic, "department.Row.v1", submission, body)
        client.say(topic, "department.End.v1", submission, {"submission": submission, "rows": len(file.rows)})
        client.flush()
        client.close()
        return len(file.rows)

    def _steadily(
        self, rows: Sequence[tuple[handover.HandOver, handover.HandedRow]], rate: float, period: str, seconds: float
    ) -> None:
        clients: dict[str, PlainClient] = {}
        dice = random.Random(period)
        begun = time.perf_counter()
        sent = 0
        while (passed := time.perf_counter() - begun) < seconds:
            while sent < rate * passed:
                file, row = rows[sent % len(rows)]
                client = clients.setdefault(file.unit, PlainClient(self.installation.kafka(file.unit), file.unit))
                cells = _plain(row)
                cells[file.columns[-1]] = f"{dice.getrandbits(20)}"
                client.say(
                    DEPARTMENT.of(file.unit), "department.Row.v1", "row", {"dataset": file.dataset, "cells": cells}
                )
                sent += 1
            time.sleep(0.005)  # the pace of the load, not a wait for anything
        for client in clients.values():
            client.flush()
            client.close()

    def _report(self, seconds: float) -> list[float]:
        school, police = f"{self.county.code}-jtj", f"{self.county.code}-gaj"
        reporter = PlainClient(self.installation.kafka(school), school)
        reader = PlainClient(self.installation.kafka(f"{police}-restricted"), f"{police}-restricted")
        topic = RESTRICTED_QUEUE.of(police)
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
                ce_id = reporter.say(ACTION.of(school), "action.Action.v1", "new", body)
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
        found = {}
        for service in SERVICES:
            process = self._supervisor.process_id(service)
            times = psutil.Process(process).cpu_times() if process else None
            found[service] = times.user + times.system if times else 0.0
        return found


def files(county: County, children: int, seed: int) -> list[handover.HandOver]:
    """Six departments' and eight townships' whole files about an invented county, without the demo's mishaps."""
    made = handover.make(county, world.make(county, children, seed, FIRST_DAY, 30))
    return [file for file in made if file.expect == "taken"]


def refreshed(made: Sequence[handover.HandOver], seed: int) -> list[handover.HandOver]:
    """The same files half a year later: one row in twenty says something else (another telephone)."""
    dice = random.Random(seed)
    return [
        replace(file, rows=tuple(_changed(file, row, dice) for row in file.rows), day=file.day + timedelta(days=181))
        for file in made
    ]


def _changed(file: handover.HandOver, row: handover.HandedRow, dice: random.Random) -> handover.HandedRow:
    if dice.random() >= CHANGED:
        return row
    phones = [name for name, _ in row.cells if "电话" in name or "手机" in name]
    if not phones:
        return row
    fresh = f"1990000{dice.randrange(10_000):04d}"
    return replace(row, cells=tuple((name, fresh if name == phones[0] else cell) for name, cell in row.cells))


def _plain(row: handover.HandedRow) -> dict[str, Any]:
    """A row's cells as JSON holds them."""
    return {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.cells}
