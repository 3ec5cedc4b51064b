"""Drives the two model services on a real broker and database and compares them with expected results."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.clock import DayBegan, TimePassed
from contracts.county import County, CountyActivated, WorkingDays
from contracts.event import Envelope, Event
from contracts.topics import CLOCK, COUNTY
from deploy.embedded.stack import LocalStack
from runtime import Settings, partition_of
from runtime.consume.group import ConsumerGroup
from runtime.consume.partition import PartitionProcessor
from runtime.handlers import Handler, MalformedHandler
from runtime.storage.migrations import migrate
from runtime.storage.sealing import new_keys
from tests.runtime.model import INPUT, MIGRATIONS, chain_digest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = UUID("00000000-0000-5000-8000-000000000001")
COUNTY_CODE = "999901"
TIMEOUT_SECONDS = float(os.environ.get("HUTONG_TEST_TIMEOUT", "90"))
"""Seconds until a condition that does not become true fails its test."""


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """The addresses and credentials of the broker and the database."""

    kafka: str
    user: str | None
    password: str | None
    postgres: str

    def config(self) -> dict[str, Any]:
        if self.user is None:
            return {"bootstrap.servers": self.kafka, "log_level": "2"}
        return {
            "bootstrap.servers": self.kafka,
            "log_level": "2",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.user,
            "sasl.password": self.password or "",
        }


def servers_of(stack: LocalStack) -> ServerAddresses:
    """Return a running stack's addresses; the topics ``clock.v1`` and ``county.v1`` exist."""
    state = stack.state()
    kafka, postgres = state["kafka"], state["postgres"]
    addresses = ServerAddresses(
        kafka["bootstrap"], kafka["admin_user"], kafka["admin_password"], postgres["superuser_dsn"]
    )
    create_system_topics(AdminClient(addresses.config()))
    return addresses


def create_system_topics(admin: AdminClient) -> None:
    existing = admin.list_topics(timeout=10).topics
    missing = [name for name in (CLOCK.name, COUNTY.name) if name not in existing]
    topics = [
        NewTopic(name, 1, 1, config={"cleanup.policy": "compact"} if name == COUNTY.name else {}) for name in missing
    ]
    if topics:
        for future in admin.create_topics(topics).values():
            future.result(20)


def county() -> County:
    """Return the smallest valid county."""
    return County(
        code=COUNTY_CODE,
        name="测试县",
        version="1",
        policy_source="测试",
        policy_effective_from=date(2026, 1, 1),
        divisions=(),
        townships=(),
        units=(),
        lead_unit="999901-mzj",
        duty_unit="999901-mzj",
        coordinating_unit="999901-mzj",
        roles={},
        datasets=(),
        forbidden_columns=(),
        catalogue=(),
        catalogue_version="1",
        routes=(),
        clocks={},
        working_days=WorkingDays(published_years=(2026,), holidays=(), make_up_days=()),
    )


class Process:
    """One process of a service."""

    def __init__(self, system: "ModelSystem", service: str, ordinal: int = 0, **environment: str) -> None:
        self.service = service
        """The name of a model service, or ``module:function`` of any other."""
        self.log = system.folder / f"{service.partition(':')[0]}-{ordinal}-{uuid4().hex[:6]}.log"
        self.state = self.log.with_suffix(".json")
        variables = system.environment() | environment | {
            "HUTONG_ORDINAL": str(ordinal),
            "HUTONG_STATE_FILE": str(self.state),
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "runtime", service if ":" in service else f"tests.runtime.model:{service}"],
                cwd=ROOT, env=os.environ | variables, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        if self.running:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    async def wait_for_exit(self, timeout_seconds: float = TIMEOUT_SECONDS) -> int:
        """Wait until the process has ended and return its exit code."""
        await eventually(lambda: _value(not self.running), timeout_seconds, "the process ends")
        return self.popen.wait()

    async def stop(self) -> int:
        if self.running:
            self.signal(signal.SIGTERM)
        return await self.wait_for_exit()

    def lines(self) -> list[dict[str, Any]]:
        lines = []
        for line in self.log.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"event": "not json", "line": line})
        return lines

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this event."""
        return [line for line in self.lines() if line.get("event") == event]

    def get(self, path: str) -> tuple[int, str]:
        port = json.loads(self.state.read_text())["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        _, text = self.get("/metrics")
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name) and line[0] != "#"]
        return sum(float(value) for value in values)


async def _value(value: Any) -> Any:
    return value


async def eventually(
    check: Callable[[], Awaitable[Any]], timeout_seconds: float = TIMEOUT_SECONDS, what: str = "the check is true"
) -> Any:
    """Wait until the check returns a true value, and return it."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        result = await check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_seconds:.0f} s")
        await asyncio.sleep(0.05)


@dataclass
class ModelSystem:
    """The model services, topics and schemas of one test."""

    stack: ServerAddresses
    folder: Path
    database: asyncpg.Connection
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    partitions: int = 4
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    puts: list[tuple[str, int]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    ops_key: str = ""
    """The ops team's private key, which decrypts dead letters."""

    def __post_init__(self) -> None:
        if not self.ops_key:
            self._make_secrets()
        self.admin = AdminClient(self.stack.config())
        self.producer = Producer(self.stack.config() | {"linger.ms": 0})
        self.input = f"model-{self.run}.input.v1"
        self.step = f"model-{self.run}.step.v1"
        self.end = f"model-{self.run}.end.v1"

    def _make_secrets(self) -> None:
        self.ops_key, public = new_keys()
        parking, _ = new_keys()
        path = self.folder / "secrets.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"parking_key": parking, "ops_public_key": public}))

    def environment(self) -> dict[str, str]:
        environment = {
            "HUTONG_SECRETS_FILE": str(self.folder / "secrets.json"),
            "MODEL_RUN": self.run,
            "HUTONG_KAFKA": self.stack.kafka,
            "HUTONG_KAFKA_USER": self.stack.user or "",
            "HUTONG_KAFKA_PASSWORD": self.stack.password or "",
            "HUTONG_POSTGRES": self.stack.postgres,
            "HUTONG_COUNTY": COUNTY_CODE,
            "HUTONG_PARTITIONS": str(self.partitions),
            "HUTONG_SESSION_TIMEOUT": "6",
            "HUTONG_LOG_LEVEL": "DEBUG",
        }
        return environment | self.settings

    def settings_of(self, service: str, **more: Any) -> Settings:
        """Return the settings of a process of this system."""
        return Settings.from_environment(self.environment() | more)

    def create_topics(self, *names: str) -> None:
        topics = [NewTopic(name, num_partitions=self.partitions, replication_factor=1) for name in names]
        for future in self.admin.create_topics(topics).values() if topics else ():
            future.result(20)

    def delete_topic(self, name: str) -> None:
        for future in self.admin.delete_topics([name]).values():
            future.result(20)

    async def migrate(self, *services: str) -> None:
        for service in services:
            await migrate(self.schema(service), self.settings_of(service), MIGRATIONS)

    async def run_command(self, service: str, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime", f"tests.runtime.model:{service}", *arguments,
            cwd=ROOT, env=os.environ | self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    def start(self, service: str, ordinal: int = 0, **environment: str) -> Process:
        process = Process(self, service, ordinal, **environment)
        self.processes.append(process)
        return process

    def put(self, name: str, what: str = "ok", *, n: int | None = None, expected: bool = True, **headers: str) -> None:
        """Produce one ``Put``; ``expected``: it counts in the expected results."""
        if n is None:
            n = self._counts[name] = self._counts.get(name, 0) + 1
        body = json.dumps({"name": name, "n": n, "what": what}).encode()
        envelope = self.envelope("model.Put.v1", name, uuid5(NAMESPACE, f"{self.run}/{name}/{n}/{what}"))
        pairs = [(key, headers.get(key, value.decode()).encode()) for key, value in envelope.headers()]
        self.produce(self.input, name, body, pairs)
        if expected:
            self.puts.append((name, n))

    def produce(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        partition: int | None = None,
    ) -> None:
        if partition is None:
            partition = partition_of(key if isinstance(key, str) else (key or b"").decode(), self.partitions)
        self.producer.produce(topic, value=value, key=key, headers=list(headers), partition=partition)
        self.producer.poll(0)

    def envelope(self, kind: str, key: str, event: UUID | None = None, **more: Any) -> Envelope:
        event_id = event or uuid4()
        return Envelope(
            id=event_id, source="/hutong/driver", type=kind, time=datetime(2026, 3, 1, tzinfo=UTC), key=key,
            county=COUNTY_CODE, correlation=event_id, **more,
        )  # fmt: skip

    def produce_system_event(self, event: Event, topic: str) -> None:
        """Produce an event on ``clock.v1`` or ``county.v1``."""
        envelope = self.envelope(event.kind, event.key)
        self.produce(topic, event.key, event.model_dump_json().encode(), envelope.headers(), 0)
        self.flush()

    def begin_day(self, day: date) -> None:
        self.produce_system_event(DayBegan(day=day), "clock.v1")

    def tick(self, at: datetime) -> None:
        self.produce_system_event(TimePassed(at=at), "clock.v1")

    def activate_county(self) -> None:
        self.produce_system_event(
            CountyActivated(county=county(), active_from=date(2026, 1, 1), activated_by="测试"), "county.v1"
        )

    def flush(self) -> None:
        assert self.producer.flush(20) == 0

    def produce_puts(self, count: int, names: int = 20) -> None:
        """Produce ``count`` ordinary events; ``names`` names take turns."""
        for number in range(count):
            self.put(f"name-{(number * 7) % names:03}")
        self.flush()

    def schema(self, service: str) -> str:
        return f"{service}_{self.run}"

    async def sql(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.database.transaction():
            await self.database.execute(f'set local search_path to "{self.schema(service)}"')
            return await self.database.fetch(query, *arguments)

    async def value(self, service: str, query: str, *arguments: object) -> Any:
        rows = await self.sql(service, query, *arguments)
        return rows[0][0] if rows else None

    async def tallies(self, service: str) -> dict[str, tuple[int, str]]:
        rows = await self.sql(service, "select name, version, digest from tally")
        return {row["name"]: (row["version"], row["digest"]) for row in rows}

    def expected_tallies(self) -> dict[str, tuple[int, str]]:
        tallies: dict[str, tuple[int, str]] = {}
        for name, n in self.puts:
            version, digest = tallies.get(name, (0, ""))
            tallies[name] = (version + 1, chain_digest(digest, n))
        return tallies

    async def wait_until_applied(self, service: str = "beta", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until a service has applied every expected event; assert that its tallies are the expected ones."""
        expected = self.expected_tallies()

        async def all_applied() -> bool:
            return bool(await self.value(service, "select count(*) from audit") >= len(self.puts))

        await eventually(all_applied, timeout_seconds, f"{service} has applied {len(self.puts)} events")
        assert await self.tallies(service) == expected

    async def assert_exactly_once(self, *services: str) -> None:
        """Assert that no event was lost, duplicated or reordered and that every outbox is empty."""
        for service in services:
            await self.wait_until_applied(service)
            assert await self.value(service, "select count(*) from audit") == len(self.puts), (
                f"{service} applied one twice"
            )
            assert await self.value(service, "select count(*) from (select distinct name, n from audit) d") == len(
                self.puts
            )
            await eventually(lambda service=service: self.is_drained(service), what=f"{service}'s outbox is empty")  # type: ignore[misc]
            sequences = await self.sql(
                service,
                "select next_seq, published_seq from outbox_sequence"
                " left join outbox_published using (producer_id, topic, partition)",
            )
            assert all(sequence["next_seq"] == sequence["published_seq"] for sequence in sequences)
        if "beta" in services:
            assert self.latest_snapshots() == self.expected_tallies(), "each coalesced snapshot is published"

    async def is_drained(self, service: str) -> bool:
        """Return whether a service has nothing left to publish."""
        return bool(
            await self.value(service, "select not exists (select from outbox) and not exists (select from coalesced)")
        )

    def latest_snapshots(self) -> dict[str, tuple[int, str]]:
        """Return version and digest of each name, by beta's latest snapshot."""
        snapshots = {}
        for record in self.records_of(self.end):
            if dict(record.headers())["ce_type"] == b"model.TallySnapshot.v1":
                snapshot = json.loads(record.value())
                snapshots[snapshot["name"]] = snapshot["version"], snapshot["digest"]
        return snapshots

    def records_of(self, topic: str) -> list[Any]:
        """Return every record that is on a topic now, partition by partition."""
        consumer = Consumer(self.stack.config() | {"group.id": f"reader-{uuid4()}", "enable.auto.commit": False})
        partitions = range(self.partitions)
        offsets = [consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10) for n in partitions]
        consumer.assign([TopicPartition(topic, n, first) for n, (first, _) in zip(partitions, offsets, strict=True)])
        left = {n for n, (first, end) in zip(partitions, offsets, strict=True) if end > first}
        records: list[Any] = []
        while left:
            message = consumer.poll(10)
            assert message is not None, f"{topic} could not be read to its end"
            assert message.error() is None
            records.append(message)
            partition = message.partition() or 0
            if (message.offset() or 0) >= offsets[partition][1] - 1:
                left.discard(partition)
        consumer.close()
        return records

    async def close(self) -> None:
        for process in self.processes:
            if process.running:
                process.signal(signal.SIGCONT)
                process.kill()


async def dispatch_and_drain(consumer: ConsumerGroup, records: Sequence[Any]) -> None:
    """Dispatch records as a poll would, and wait until their workers have finished."""
    consumer.dispatch(records)
    await consumer.drain()


def replace_handlers(
    group: ConsumerGroup, handlers: Mapping[str, Handler], malformed: MalformedHandler | None = None
) -> None:
    """Replace a group's handlers, before its first record or between two processors."""
    group.subscription = replace(group.subscription, handlers=handlers, malformed=malformed)
    group._processors.clear()


def a_processor(group: ConsumerGroup) -> PartitionProcessor:
    """Return a second processor of the input's first partition, as a successor process would have."""
    return PartitionProcessor(group.context, group.subscription, group, INPUT.name, 0)


def keys_of(records: Iterable[Any], kind: str) -> list[str]:
    """Return the keys of one kind of event, in log order."""
    return [message.key().decode() for message in records if dict(message.headers())["ce_type"] == kind.encode()]
