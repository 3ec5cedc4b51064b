"""Measures new records, a refresh in which one row in twenty changed, and a finding's latency, end to end."""

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
from demo.data.datasets import Cell
from deploy.clock import Clock, Simulator
from deploy.counties import DEMO_COUNTY
from deploy.embedded.stack import LocalStack
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN, Installation
from deploy.provision import OPERATOR_ROLE
from deploy.quiescence import QuiescenceMonitor
from deploy.supervisor import Supervisor, programs
from runtime.consume.group import REST_AFTER_SECONDS

NAMESPACE = UUID("3f0cdb7e-7f2b-5b0e-a5d1-52f7b2a9c4d0")
FIRST_DAY = date(2027, 3, 1)
"""Both half-years that are submitted have begun by then."""
_VILLAGE = re.compile(r"341722\d{6}")
CHANGED_SHARE = 0.05
"""Share of rows that a refresh changes."""
CHECK_INTERVAL = 0.25
"""Seconds between two checks of the services; each check costs measured time."""


class NotAcceptedError(Exception):
    """A submission was not accepted as expected, so its figures would be meaningless."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load that was submitted at once, and the time that the system took to process it."""

    description: str
    rows: int
    changed: int
    """Rows that differed from the stored records."""
    events: dict[str, int]
    """Service -> number of events that it published."""
    seconds: float
    processor_seconds: dict[str, float]
    """Service or server -> seconds of processor time."""

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class FindingLatency:
    """Seconds from a reporter's send to the entry in the agency's queue, under load."""

    load: float
    """Rows per second that were submitted meanwhile."""
    seconds: Sequence[float]

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Rest:
    """Processor use while nothing happens: service or server -> share of one core."""

    running: dict[str, float]
    """With all services running."""
    servers_alone: dict[str, float]
    """The same servers with the same data, when no service runs."""

    @property
    def services(self) -> float:
        """The share of the services' own processes."""
        return sum(self.running[name] for name in SERVICES)

    @property
    def caused(self) -> float:
        """The share that the services cause in the servers."""
        return sum(self.running[name] - share for name, share in self.servers_alone.items())


class EndToEnd:
    """An installation with five services, and the load generator."""

    def __init__(self, stack: LocalStack, home: Path, partitions: int) -> None:
        self._stack = stack
        self._home = home
        self._partitions = partitions

    async def start(self) -> None:
        county = read_county(DEMO_COUNTY, self._home)
        self.county: County = county
        self.installation: Installation = await install(
            Servers.from_state(self._stack.state()), self._home, county, self._partitions
        )
        activate(self.installation, county, FIRST_DAY, "operator of 341722-mzj (benchmark)")
        Simulator(Clock(self.installation.kafka("clock"), county.code)).begin_day(FIRST_DAY)
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        self._database: Any = await asyncpg.connect(self.installation.dsn(OPERATOR_ROLE))
        self._clients = {
            unit.id: KafkaClient(self.installation.kafka(unit.id), unit.id)
            for unit in county.units
            if unit.parent is None and unit.id in self.installation.users
        }
        self._monitor = QuiescenceMonitor(AdminClient(self.installation.kafka(ADMIN)), self._database, county)
        await self._monitor.wait_until_idle(FIRST_DAY)

    async def stop(self) -> None:
        await self._supervisor.stop()
        self._close_clients()
        await self._database.close()

    def _close_clients(self) -> None:
        while self._clients:
            self._clients.popitem()[1].close()

    async def measure_load(self, what: str, files: Sequence[submissions.Submission], period: str) -> Load:
        """Submit everything while the services are stopped, then measure how long they take to process it.

        Raises:
            NotAcceptedError: a file was not accepted, or its row counts do not add up.
        """
        await self._supervisor.stop()
        rows = sum(self._send(file, period) for file in files)
        published_before = await self._published_events()
        self._supervisor = Supervisor(programs(self.installation, with_clock=False))
        await self._supervisor.start()
        at = await self._first_cursor_move()
        before = self._processor_seconds()
        await self._monitor.wait_until_idle(FIRST_DAY, stall_timeout=600, interval=CHECK_INTERVAL)
        seconds = time.perf_counter() - at
        after = self._processor_seconds()
        published = await self._published_events()
        return Load(
            what,
            rows,
            self._accepted_rows(files, rows),
            {name: published[name] - published_before[name] for name in SERVICES},
            seconds,
            {name: after[name] - before[name] for name in after},
        )

    def _accepted_rows(self, files: Sequence[submissions.Submission], rows: int) -> int:
        """Return the number of changed rows from the receipts of these files, all of which must be accepted."""
        read = changed = answered = 0
        for unit in sorted({file.unit for file in files}):
            for record in self._clients[unit].read_new(RECEIPT.name_for(unit)):
                if record.headers["ce_type"] != "intake.SubmissionAnswered.v1" or record.body is None:
                    continue
                if record.body["outcome"] != "taken":
                    raise NotAcceptedError(f"a file of {unit} is {record.body['outcome']}")
                answered += 1
                read += record.body["rows"]
                changed += record.body["accepted"] + record.body["accepted_with_drops"]
        if (answered, read) != (len(files), rows):
            raise NotAcceptedError(f"{answered} of {len(files)} files are answered, {read} of {rows} rows")
        return changed

    async def _published_events(self) -> dict[str, int]:
        """Return the number of events that each service has published so far."""
        query = " UNION ALL ".join(
            f"SELECT '{name}' AS service, coalesce(sum(published_seq), 0) AS published FROM {name}.outbox_published"
            for name in SERVICES
        )
        return {row["service"]: int(row["published"]) for row in await self._database.fetch(query)}

    async def measure_findings(
        self, rate: float, files: Sequence[submissions.Submission], period: str, seconds: float
    ) -> FindingLatency:
        """Report findings five times a second while rows come in at a steady rate."""
        rows = [(file, row) for file in files for row in file.rows]
        steady = asyncio.create_task(asyncio.to_thread(self._send_steadily, rows, rate, period, seconds))
        times = await asyncio.to_thread(self._report_findings, seconds)
        await steady
        await self._monitor.wait_until_idle(FIRST_DAY, stall_timeout=600, interval=CHECK_INTERVAL)
        return FindingLatency(rate, times)

    async def measure_rest(self, seconds: float) -> Rest:
        """Measure an idle system, then its servers alone. The last measurement: it disconnects the load generator."""
        self._close_clients()
        await self._vacuum()  # or the database would do it while it is measured
        await self._monitor.wait_until_idle(FIRST_DAY, stall_timeout=600)
        await asyncio.sleep(2 * REST_AFTER_SECONDS)
        running = await self._processor_shares(seconds)
        await self._supervisor.stop()
        alone = await self._processor_shares(seconds)
        return Rest(running, {name: share for name, share in alone.items() if name not in SERVICES})

    async def _vacuum(self) -> None:
        session: Any = await asyncpg.connect(self._stack.postgres.superuser_dsn)
        try:
            await session.execute("VACUUM ANALYZE")
        finally:
            await session.close()

    async def _processor_shares(self, seconds: float) -> dict[str, float]:
        before, at = self._processor_seconds(), time.perf_counter()
        await asyncio.sleep(seconds)
        after, passed = self._processor_seconds(), time.perf_counter() - at
        return {name: (used - before[name]) / passed for name, used in after.items()}

    def _send(self, file: submissions.Submission, period: str) -> int:
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

    def _send_steadily(
        self,
        rows: Sequence[tuple[submissions.Submission, submissions.SubmittedRow]],
        rate: float,
        period: str,
        seconds: float,
    ) -> None:
        rng = random.Random(period)
        begun = time.perf_counter()
        sent = 0
        while (passed := time.perf_counter() - begun) < seconds:
            while sent < rate * passed:
                file, row = rows[sent % len(rows)]
                body = {"dataset": file.dataset, "cells": _plain(_changed(row, rng))}
                self._clients[file.unit].send(DEPARTMENT.name_for(file.unit), "department.Row.v1", "row", body)
                sent += 1
            time.sleep(0.005)  # the pace of the load, not a wait for anything
        for client in self._clients.values():
            client.flush()

    def _report_findings(self, seconds: float) -> list[float]:
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
                correlation = record.headers["ce_correlationid"]
                if correlation in waiting:
                    times.append(time.perf_counter() - waiting.pop(correlation))
        reporter.close()
        reader.close()
        if waiting:
            raise SystemExit(f"{len(waiting)} findings did not arrive within 30 s")
        return times

    async def _first_cursor_move(self) -> float:
        ends = {tuple(row) for row in await self._cursors()}
        while True:
            if {tuple(row) for row in await self._cursors()} != ends:
                return time.perf_counter()
            await asyncio.sleep(0.01)

    async def _cursors(self) -> Iterable[Any]:
        cursors: Iterable[Any] = await self._database.fetch(
            "SELECT topic, next_offset FROM intake.consumer_cursor WHERE topic LIKE 'department.%'"
        )
        return cursors

    def _processor_seconds(self) -> dict[str, float]:
        """Return the seconds of processor time of each service, of PostgreSQL with all its sessions, and of Kafka."""
        used = {}
        for service in SERVICES:
            process = self._supervisor.process_id(service)
            used[service] = _seconds(psutil.Process(process)) if process else 0.0
        server = psutil.Process(self._stack.postgres.pid)
        used["PostgreSQL"] = _seconds(server) + sum(map(_seconds, server.children()))
        used["Kafka"] = sum(_seconds(psutil.Process(pid)) for pid in self._stack.kafka.pids)
        return used


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def files(county: County, children: int, seed: int) -> list[submissions.Submission]:
    """Return the files of six departments and eight townships, without those that are expected to fail."""
    submitted = submissions.generate(county, population.generate(county, children, seed, FIRST_DAY, 30))
    return [file for file in submitted if file.expect == "taken"]


def refreshed(submitted: Sequence[submissions.Submission], seed: int) -> list[submissions.Submission]:
    """Return the same files half a year later, with one row in twenty changed."""
    rng = random.Random(seed)
    return [
        replace(
            file,
            rows=tuple(_changed(row, rng) if rng.random() < CHANGED_SHARE else row for row in file.rows),
            day=file.day + timedelta(days=181),
        )
        for file in submitted
    ]


def _changed(row: submissions.SubmittedRow, rng: random.Random) -> submissions.SubmittedRow:
    """Return the row with another village, telephone number or hukou address."""
    cells = tuple((name, _otherwise(name, cell, rng)) for name, cell in row.cells)
    assert cells != row.cells, f"none of {[name for name, _ in cells]} was changed"
    return replace(row, cells=cells)


def _otherwise(name: str, cell: Cell, rng: random.Random) -> Cell:
    if isinstance(cell, str) and _VILLAGE.fullmatch(cell):
        return f"{cell[:9]}{rng.randrange(1, 900):03d}"
    if "电话" in name or "手机" in name:
        return f"1990000{(int(str(cell)[-4:]) + rng.randrange(1, 10_000)) % 10_000:04d}"  # never the same again
    if name.startswith("户籍") and name.endswith("址"):
        return f"{cell}{rng.randrange(1, 900)}号"
    return cell


def _plain(row: submissions.SubmittedRow) -> dict[str, Any]:
    """Return a row's cells as JSON values."""
    return {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in row.cells}
