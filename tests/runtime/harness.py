"""Drives the two model services on a real broker and a real database, and compares them with a reference."""

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
from tests.runtime.model import INPUT, MIGRATIONS, chained

ROOT = Path(__file__).resolve().parents[2]
SPACE = UUID("00000000-0000-5000-8000-000000000001")
CODE = "999901"
PATIENCE = float(os.environ.get("HUTONG_TEST_PATIENCE", "90"))
"""Seconds. On a busy machine everything takes its time; what never comes is waited for this long."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the broker and the database are."""

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


def servers_of(stack: LocalStack) -> Stack:
    """A running stack's addresses, once it has the topics of the house."""
    state = stack.state()
    kafka, postgres = state["kafka"], state["postgres"]
    found = Stack(kafka["bootstrap"], kafka["admin_user"], kafka["admin_password"], postgres["superuser_dsn"])
    make_house_topics(AdminClient(found.config()))
    return found


def make_house_topics(admin: AdminClient) -> None:
    there = admin.list_topics(timeout=10).topics
    missing = [name for name in (CLOCK.name, COUNTY.name) if name not in there]
    topics = [
        NewTopic(name, 1, 1, config={"cleanup.policy": "compact"} if name == COUNTY.name else {}) for name in missing
    ]
    if topics:
        for future in admin.create_topics(topics).values():
            future.result(20)


def county() -> County:
    """The smallest county there can be."""
    return County(
        code=CODE,
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
        sealed_columns=(),
        catalogue=(),
        catalogue_version="1",
        routes=(),
        clocks={},
        working_days=WorkingDays(published_years=(2026,), holidays=(), make_up_days=()),
    )


class Process:
    """One service process."""

    def __init__(self, world: "World", which: str, ordinal: int = 0, **environment: str) -> None:
        self.which = which
        """One of the model services, or ``module:function`` of any other."""
        self.log = world.folder / f"{which.partition(':')[0]}-{ordinal}-{uuid4().hex[:6]}.log"
        self.state = self.log.with_suffix(".json")
        variables = world.environment() | environment | {
            "HUTONG_ORDINAL": str(ordinal),
            "HUTONG_STATE_FILE": str(self.state),
        }  # fmt: skip
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "runtime", which if ":" in which else f"tests.runtime.model:{which}"],
                cwd=ROOT, env=os.environ | variables, stdout=out, stderr=out,
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

    async def stopped(self, patience: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        await eventually(lambda: _value(not self.running), patience, "the process ends")
        return self.popen.wait()

    async def stop(self) -> int:
        if self.running:
            self.signal(signal.SIGTERM)
        return await self.stopped()

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": "not json", "line": line})
        return found

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("event") == event]

    def get(self, path: str) -> tuple[int, str]:
        port = json.loads(self.state.read_text())["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum over a metric's labels."""
        _, text = self.get("/metrics")
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name) and line[0] != "#"]
        return sum(float(value) for value in values)


async def _value(value: Any) -> Any:
    return value


async def eventually(check: Callable[[], Awaitable[Any]], patience: float = PATIENCE, what: str = "it happens") -> Any:
    """Wait until the check gives something true."""
    until = time.monotonic() + patience
    while True:
        found = await check()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"waited {patience:.0f} s in vain until {what}")
        await asyncio.sleep(0.05)


@dataclass
class World:
    """One test's services, topics and schemas."""

    stack: Stack
    folder: Path
    database: asyncpg.Connection
    run: str = field(default_factory=lambda: uuid4().hex[:8])
    partitions: int = 4
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    puts: list[tuple[str, int]] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    ops_key: str = ""
    """The ops team's private key: opens what was buried."""

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
        found = {
            "HUTONG_SECRETS_FILE": str(self.folder / "secrets.json"),
            "MODEL_RUN": self.run,
            "HUTONG_KAFKA": self.stack.kafka,
            "HUTONG_KAFKA_USER": self.stack.user or "",
            "HUTONG_KAFKA_PASSWORD": self.stack.password or "",
            "HUTONG_POSTGRES": self.stack.postgres,
            "HUTONG_COUNTY": CODE,
            "HUTONG_PARTITIONS": str(self.partitions),
            "HUTONG_SESSION_TIMEOUT": "6",
            "HUTONG_LOG_LEVEL": "DEBUG",
        }
        return found | self.settings

    def of(self, which: str, **more: Any) -> Settings:
        """The settings a process of this world has."""
        return Settings.from_environment(self.environment() | more)

    def make_topics(self, *names: str) -> None:
        topics = [NewTopic(name, num_partitions=self.partitions, replication_factor=1) for name in names]
        for future in self.admin.create_topics(topics).values() if topics else ():
            future.result(20)

    def delete_topic(self, name: str) -> None:
        for future in self.admin.delete_topics([name]).values():
            future.result(20)

    async def migrate(self, *which: str) -> None:
        for one in which:
            await migrate(self.schema(one), self.of(one), MIGRATIONS)

    async def command(self, which: str, *arguments: str) -> tuple[int, str]:
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "runtime", f"tests.runtime.model:{which}", *arguments,
            cwd=ROOT, env=os.environ | self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await done.communicate()
        return done.returncode or 0, out.decode()

    def start(self, which: str, ordinal: int = 0, **environment: str) -> Process:
        process = Process(self, which, ordinal, **environment)
        self.processes.append(process)
        return process

    def put(self, name: str, what: str = "ok", *, n: int | None = None, kept: bool = True, **headers: str) -> None:
        """Say one Put; ``kept``: the reference expects it."""
        if n is None:
            n = self._counts[name] = self._counts.get(name, 0) + 1
        body = json.dumps({"name": name, "n": n, "what": what}).encode()
        envelope = self.envelope("model.Put.v1", name, uuid5(SPACE, f"{self.run}/{name}/{n}/{what}"))
        pairs = [(key, headers.get(key, value.decode()).encode()) for key, value in envelope.headers()]
        self.raw(self.input, name, body, pairs)
        if kept:
            self.puts.append((name, n))

    def raw(
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
        found = event or uuid4()
        return Envelope(
            id=found, source="/hutong/driver", type=kind, time=datetime(2026, 3, 1, tzinfo=UTC), key=key,
            county=CODE, correlation=found, **more,
        )  # fmt: skip

    def house(self, event: Event, topic: str) -> None:
        """Say something on clock.v1 or county.v1."""
        envelope = self.envelope(event.kind, event.key)
        self.raw(topic, event.key, event.model_dump_json().encode(), envelope.headers(), 0)
        self.flush()

    def day(self, day: date) -> None:
        self.house(DayBegan(day=day), "clock.v1")

    def time(self, at: datetime) -> None:
        self.house(TimePassed(at=at), "clock.v1")

    def activate(self) -> None:
        self.house(CountyActivated(county=county(), active_from=date(2026, 1, 1), activated_by="测试"), "county.v1")

    def flush(self) -> None:
        assert self.producer.flush(20) == 0

    def many(self, count: int, names: int = 20) -> None:
        """Say ``count`` ordinary events of ``names`` names, mixed."""
        for number in range(count):
            self.put(f"name-{(number * 7) % names:03}")
        self.flush()

    def schema(self, which: str) -> str:
        return f"{which}_{self.run}"

    async def sql(self, which: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.database.transaction():
            await self.database.execute(f'set local search_path to "{self.schema(which)}"')
            return await self.database.fetch(query, *arguments)

    async def value(self, which: str, query: str, *arguments: object) -> Any:
        rows = await self.sql(which, query, *arguments)
        return rows[0][0] if rows else None

    async def tallies(self, which: str) -> dict[str, tuple[int, str]]:
        rows = await self.sql(which, "select name, version, digest from tally")
        return {row["name"]: (row["version"], row["digest"]) for row in rows}

    def reference(self) -> dict[str, tuple[int, str]]:
        tallies: dict[str, tuple[int, str]] = {}
        for name, n in self.puts:
            version, digest = tallies.get(name, (0, ""))
            tallies[name] = (version + 1, chained(digest, n))
        return tallies

    async def arrived(self, which: str = "beta", patience: float = PATIENCE) -> None:
        """Wait until a service has applied exactly what the reference expects."""
        wanted = self.reference()

        async def same() -> bool:
            return bool(await self.value(which, "select count(*) from audit") >= len(self.puts))

        await eventually(same, patience, f"{which} has applied {len(self.puts)} events")
        assert await self.tallies(which) == wanted

    async def exact(self, *which: str) -> None:
        """Nothing lost, doubled or reordered; nothing left in an outbox."""
        for one in which:
            await self.arrived(one)
            assert await self.value(one, "select count(*) from audit") == len(self.puts), f"{one} applied some twice"
            assert await self.value(one, "select count(*) from (select distinct name, n from audit) d") == len(
                self.puts
            )
            await eventually(lambda one=one: self._empty(one), what=f"{one}'s outbox is empty")  # type: ignore[misc]
            lanes = await self.sql(
                one,
                "select next_seq, published_seq from outbox_sequence"
                " left join outbox_published using (producer_id, topic, partition)",
            )
            assert all(lane["next_seq"] == lane["published_seq"] for lane in lanes)
        if "beta" in which:
            assert self.stands() == self.reference(), "what was kept back is said as it stands"

    async def _empty(self, which: str) -> bool:
        return bool(
            await self.value(which, "select not exists (select from outbox) and not exists (select from coalesced)")
        )

    def stands(self) -> dict[str, tuple[int, str]]:
        """Where every name stands, by what beta said last of it."""
        found = {}
        for record in self.log_of(self.end):
            if dict(record.headers())["ce_type"] == b"model.Stands.v1":
                said = json.loads(record.value())
                found[said["name"]] = said["version"], said["digest"]
        return found

    def log_of(self, topic: str) -> list[Any]:
        """Every record that stands on a topic now, partition by partition."""
        consumer = Consumer(self.stack.config() | {"group.id": f"reader-{uuid4()}", "enable.auto.commit": False})
        places = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        starts: dict[int, int] = {}
        ends: dict[int, int] = {}
        for place in places:
            starts[place.partition], ends[place.partition] = consumer.get_watermark_offsets(place, timeout=10)
        consumer.assign([TopicPartition(topic, place.partition, starts[place.partition]) for place in places])
        left = {partition for partition, end in ends.items() if end > starts[partition]}
        found: list[Any] = []
        while left:
            message = consumer.poll(10)
            assert message is not None, f"{topic} could not be read to its end"
            assert message.error() is None
            found.append(message)
            partition = message.partition() or 0
            if (message.offset() or 0) >= ends[partition] - 1:
                left.discard(partition)
        consumer.close()
        return found

    async def close(self) -> None:
        for process in self.processes:
            if process.running:
                process.signal(signal.SIGCONT)
                process.kill()


async def applied(consumer: ConsumerGroup, records: Sequence[Any]) -> None:
    """Hand records over as a poll would, and wait until their workers are done with them."""
    consumer.dispatch(records)
    await consumer.drain()


def handle(group: ConsumerGroup, handlers: Mapping[str, Handler], malformed: MalformedHandler | None = None) -> None:
    """Give a group other handlers, before its first record or between two processors."""
    group.subscription = replace(group.subscription, handlers=handlers, malformed=malformed)
    group._processors.clear()


def a_processor(group: ConsumerGroup) -> PartitionProcessor:
    """Return a second processor of the input's first partition, as a process that takes over would have."""
    return PartitionProcessor(group.context, group.subscription, group, INPUT.name, 0)


def names_of(log: Iterable[Any], kind: str) -> list[str]:
    """The keys of one kind of event, in log order."""
    return [message.key().decode() for message in log if dict(message.headers())["ce_type"] == kind.encode()]
