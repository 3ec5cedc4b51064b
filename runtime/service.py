"""A service: its broker, consumers, relay and day scheduler."""

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, TypedDict

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

import contracts
from contracts.event import Event
from contracts.topics import CLOCK, COUNTY, TOPICS, Topic
from runtime import kafka
from runtime.backoff import Backoff
from runtime.consume import cursors, undecodable
from runtime.consume.assignment import RebalanceListener
from runtime.consume.days import DayScheduler
from runtime.consume.group import LONG_POLL_MS, REST_POLL_MS, ConsumerGroup
from runtime.context import DAY_PRODUCER, REPLAY_PRODUCER, RuntimeContext
from runtime.county_config import Counties
from runtime.errors import SchemaMissing
from runtime.handlers import DayHandler, Handler, MalformedHandler, ParkKey
from runtime.observe.logs import log
from runtime.observe.metrics import Metrics
from runtime.operate import replay as replaying
from runtime.operate.health import Health
from runtime.operate.watchdog import Watchdog
from runtime.ordinal import Ordinal
from runtime.publish.outbox import Outbox
from runtime.publish.relay import Relay
from runtime.settings import Settings
from runtime.storage import migrations as schema
from runtime.storage import sql
from runtime.storage.database import Database, infrastructure, open_pool
from runtime.storage.parking_cipher import ParkingCipher
from runtime.subscription import Subscription
from runtime.topic_catalogue import TopicCatalogue

CONTROL = "control"
"""The consumer that every service has: it reads the county's data and its clock."""
STOP_TIMEOUT = 12.0
"""Seconds that a process may take to finish the work in flight."""
_OWN = "@service"
_COMMIT_SECONDS = 1.0
_FLUSH_SECONDS = 0.25
_LOOP_SECONDS = 1.0
_REBALANCE_TIMEOUT_MS = 60_000


class SubscriberOptions(TypedDict):
    """The keyword arguments of a FastStream subscriber, by FastStream's names."""

    batch: Literal[True]
    group_id: str
    group_instance_id: str
    ack_policy: AckPolicy
    parser: Callable[[object], Awaitable[KafkaMessage]]
    decoder: Callable[[KafkaMessage], Awaitable[object]]
    listener: RebalanceListener
    no_reply: bool
    fetch_max_wait_ms: int
    consumer_timeout_ms: int
    auto_offset_reset: Literal["none"]
    partition_assignment_strategy: Sequence[type[object]]
    session_timeout_ms: int
    heartbeat_interval_ms: int
    rebalance_timeout_ms: int
    max_poll_interval_ms: int
    isolation_level: Literal["read_committed"]


class Broker(KafkaBroker):
    """FastStream's broker, which only a service's own life cycle starts."""

    async def __aenter__(self) -> NoReturn:
        raise TypeError("a service has no TestKafkaBroker: its cursors are in PostgreSQL, so test it on a real broker")


@dataclass(frozen=True, slots=True)
class _Registered:
    subscription: Subscription
    subscriber: Any
    listener: RebalanceListener


class Service:
    """Runs a service's handlers: it registers their consumers, and starts and stops them with the relay."""

    context: RuntimeContext
    """Made by :meth:`open`."""

    def __init__(
        self, name: str, settings: Settings, *, migrations: Path | None = None, topics: Iterable[Topic] = TOPICS
    ) -> None:
        for module in pkgutil.iter_modules(contracts.__path__):
            importlib.import_module(f"contracts.{module.name}")  # so that every event type is registered
        undecodable.install()
        self.name = name
        self.settings = settings
        self.metrics = Metrics()
        self.consumers: dict[str, ConsumerGroup] = {}
        """By name; empty until the service is open."""
        self.failure: str | None = None
        self.on_failure: Callable[[str], None] | None = None
        self._topics = TopicCatalogue(topics)
        self._counties = Counties(settings.county)
        self._outbox_written = asyncio.Event()
        self.relay = Relay(name, settings, self.metrics, self._outbox_written)
        self.health = Health(settings, self.consumers, self.relay)
        self._migrations = migrations
        self._ordinal = Ordinal(name, settings)
        self._registered: dict[str, _Registered] = {}
        self.broker = Broker(
            settings.kafka.split(","),
            client_id=f"hutong-{name}-{settings.ordinal}",
            security=kafka.security(settings),
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=STOP_TIMEOUT,
            metadata_max_age_ms=30_000,
            logger=logging.getLogger("hutong.faststream"),
            log_level=logging.DEBUG,
        )
        self.consumer(
            CONTROL,
            topics=(COUNTY, CLOCK),
            handlers={COUNTY: self._counties.on_county, CLOCK: self._counties.on_clock},
            needs_county=False,
        )

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """The subscription of each consumer, by the consumer's name."""
        return {name: registered.subscription for name, registered in self._registered.items()}

    def consumer(
        self,
        name: str,
        *,
        topics: Sequence[Topic],
        handlers: Mapping[Topic, Handler],
        on_day: DayHandler | None = None,
        day_source: Topic | None = None,
        park_key: ParkKey | None = None,
        malformed: MalformedHandler | None = None,
        reads: Mapping[type[Event], type[Event]] | None = None,
        needs_county: bool = True,
        linger_seconds: float = 0.0,
        coalesce: bool = False,
    ) -> None:
        """Register a consumer group: a FastStream batch subscriber whose batches go to these handlers.

        Each partition has its own worker. A batch is one transaction, retried until it is committed; a partition that
        retries delays no other.

        Args:
            name: unique in the service; the last part of the group's id.
            topics: the topics that it reads. A family of units' topics means those of every unit of the county.
            handlers: by topic or family.
            on_day: processes one page of a day. The watermarks in its consumer's topics complete the service's days.
            day_source: a topic without watermarks whose ``DayBegan`` completes the day (``clock.v1``, for intake).
            park_key: returns the key that an event is parked under; by default the record's key.
            malformed: returns an event in place of an unreadable one, so that the handler can answer it.
            reads: an event type, and the part of it that is read instead of the whole.
            needs_county: False if its handlers run before a county's data is in force.
            linger_seconds: how long it polls for more records after a bulk poll. For files, whose rows are not urgent.
            coalesce: during a bulk load, keep only the newest snapshot of each key, and emit it afterwards.

        Raises:
            ValueError: the service has a consumer of this name, or one that coalesces does not linger.
        """
        if name in self._registered:
            raise ValueError(f"two consumers are called {name}")
        subscription = Subscription(
            name=name,
            group=f"hutong.{self.name}.{name}",
            topics=tuple(topics),
            county=self.settings.county,
            handlers={topic.name: handler for topic, handler in handlers.items()},
            on_day=on_day,
            day_source=day_source,
            park_key=park_key,
            malformed=malformed,
            reads={whole.kind: part for whole, part in (reads or {}).items()},
            needs_county=needs_county,
            linger_seconds=linger_seconds,
            coalesce=coalesce,
        )
        listener = RebalanceListener()
        options = self._options(subscription, listener)
        subscriber: Any = (
            self.broker.subscriber(pattern=subscription.pattern, **options)
            if subscription.unit_topics
            else self.broker.subscriber(*(topic.name for topic in topics), **options)
        )

        @subscriber  # type: ignore[untyped-decorator]
        async def consume(records: tuple[Any, ...]) -> None:
            self.consumers[name].dispatch(records)

        self._registered[name] = _Registered(subscription, subscriber, listener)

    def _options(self, subscription: Subscription, listener: RebalanceListener) -> SubscriberOptions:
        settings = self.settings
        # Units' topics have one partition each, so processes share the topics; of other topics each process has the
        # same partitions, so that no two write the same rows. Range second: a group with an older member agrees on it.
        assignors = (
            (RoundRobinPartitionAssignor, RangePartitionAssignor)
            if subscription.unit_topics
            else (RangePartitionAssignor,)
        )
        return {
            "batch": True,
            "group_id": subscription.group,
            "group_instance_id": f"hutong-{self.name}-{subscription.name}-{settings.ordinal}",
            "ack_policy": AckPolicy.MANUAL,
            "parser": _untouched,
            "decoder": _raw_records,
            "listener": listener,
            "no_reply": True,
            "fetch_max_wait_ms": LONG_POLL_MS,
            # aiokafka looks this often whether there is something new to fetch; what is new wakes it anyway.
            "consumer_timeout_ms": REST_POLL_MS,
            "auto_offset_reset": "none",
            "partition_assignment_strategy": assignors,
            "session_timeout_ms": int(settings.session_timeout * 1000),
            "heartbeat_interval_ms": int(settings.session_timeout * 1000 / 3),
            "rebalance_timeout_ms": _REBALANCE_TIMEOUT_MS,
            # A handler may wait for the database indefinitely; the watchdog, not Kafka, judges whether it is alive.
            "max_poll_interval_ms": 24 * 3600 * 1000,
            "isolation_level": "read_committed",
        }

    async def replay(self, key: str) -> int:
        """Apply a parked key's events, in order, on the current day, and return their number."""
        return await replaying.release(self.context, self.consumers, key)

    async def parked(self) -> list[replaying.ParkedKey]:
        """Return the parked keys, the oldest first."""
        return await replaying.parked(self.context)

    async def migrate(self) -> list[str]:
        """Bring the schema up to date, and return the names of the applied migrations."""
        return await schema.migrate(self.name, self.settings, self._migrations)

    async def open(self, *, wait: bool = True) -> None:
        """Connect to the database and make the consumer groups.

        ``wait``: until the database answers, however long that takes.

        Raises:
            SchemaMissing: the schema is not up to date.
            MissingSecret: the key that encrypts what is parked is missing.
        """
        cipher = ParkingCipher(self.settings)
        backoff = Backoff(self.settings)
        while True:
            try:
                self.context = await self._open(cipher)
                break
            except Exception as error:
                if not wait or not infrastructure(error):
                    raise
                log.warning("database_awaited", error=type(error).__name__)
                await backoff.wait()
        self._make_groups()

    async def _open(self, cipher: ParkingCipher) -> RuntimeContext:
        """Make one attempt. If it fails, its sessions are closed, and the next one opens others."""
        pool = await open_pool(self.name, self.settings)
        try:
            if not await schema.is_migrated(pool, self.name, self._migrations):
                raise SchemaMissing(
                    f"schema {self.name} is not up to date: run `python -m runtime {self.name} --migrate`"
                )
            incarnation = await pool.fetchval(sql.INCARNATION)
            producer_ids = await self._producer_ids(pool)
        except BaseException:
            await _close(pool)
            raise
        source = f"/hutong/{self.settings.county}/{self.name}/{incarnation}"
        coalesces = any(subscription.coalesce for subscription in self.subscriptions.values())
        return RuntimeContext(
            service=self.name,
            settings=self.settings,
            topics=self._topics,
            metrics=self.metrics,
            counties=self._counties,
            admin=kafka.Admin(self.settings, f"hutong-{self.name}-{self.settings.ordinal}"),
            pool=pool,
            outbox=Outbox(self.name, source, self._topics, self.settings.partitions, coalesces=coalesces),
            parking_cipher=cipher,
            producer_ids=producer_ids,
            outbox_written=self._outbox_written,
            county_changed=asyncio.Event(),
            days_changed=asyncio.Event(),
            fail=self.fail,
        )

    async def _producer_ids(self, pool: Database) -> dict[tuple[str, int], int]:
        wanted = [(DAY_PRODUCER, index) for index in range(self.settings.partitions)] + [(REPLAY_PRODUCER, 0)]
        names, indexes = [name for name, _ in wanted], [index for _, index in wanted]
        await pool.execute(sql.NEW_PRODUCER_IDS, [_OWN] * len(wanted), names, indexes)
        await pool.execute(sql.NEW_INDEXES, self.settings.partitions)
        return {(name, index): await pool.fetchval(sql.PRODUCER_ID_OF, _OWN, name, index) for name, index in wanted}

    def _make_groups(self) -> None:
        day_consumer = self._day_consumer()
        for name, registered in self._registered.items():
            subscription = registered.subscription
            if name == day_consumer:
                subscription = replace(subscription, day_topics=subscription.day_bearing())
            group = ConsumerGroup(self.context, subscription, registered.subscriber)
            self.consumers[name] = registered.listener.group = group
            registered.subscriber.get_msg = group.poll
        days_group = self.consumers[day_consumer] if day_consumer is not None else None
        self.days = self.health.days = DayScheduler(self.context, self.consumers, days_group)
        self.watchdog = self.health.watchdog = Watchdog(self.context, self.consumers)

    def _day_consumer(self) -> str | None:
        """Return the name of the consumer whose inputs complete the service's days."""
        declared = [name for name, it in self.subscriptions.items() if it.on_day or it.day_source]
        if len(declared) > 1:
            raise ValueError(f"{self.name} has days in more than one consumer")
        chosen = declared[0] if declared else "main"
        subscription = self.subscriptions.get(chosen)
        return chosen if subscription is not None and subscription.day_bearing() else None

    async def close(self) -> None:
        """Close the database's sessions."""
        await _close(self.context.pool)

    def fail(self, reason: str) -> None:
        """End the process with an error, so that its supervisor starts it again."""
        if self.failure is None:
            self.failure = reason
            log.error("process_failed", reason=reason)
            if self.on_failure is not None:
                self.on_failure(reason)

    async def start(self) -> None:
        """Prepare the start of the broker: open the database, take the ordinal, create missing cursors.

        Raises:
            SchemaMissing: the schema is not up to date.
            MissingSecret: a secret is missing.
            OrdinalTaken: another process of this service has the same ordinal.
            MissingTopics: the broker lacks a topic, or it has another number of partitions.
        """
        await self.open()
        await self._ordinal.take()
        backoff = Backoff(self.settings)
        while True:
            try:
                await self._prepare_cursors()
                return
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("broker_awaited", error=type(error).__name__, reason=str(error))
                await backoff.wait()

    async def _prepare_cursors(self) -> None:
        """Create the missing cursors of all input partitions, before records are read."""
        existing = await self.context.admin.names()
        for group in self.consumers.values():
            group.topics = group.subscription.topic_names(existing)
            await cursors.prepare(self.context, group.name, group.topics)

    def work(self) -> None:
        """Start the service's tasks. The broker's consumers have started."""
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "relay": self.relay.run,
            "days": self.days.run,
            "watchdog": self.watchdog.run,
            "commit": self._commit_to_kafka,
            "loop": self._measure_loop,
        }
        coalescing = [group for group in self.consumers.values() if group.subscription.coalesce]
        if coalescing:
            work["flush"] = partial(self._flush_coalesced, coalescing)
        self.watchdog.checked()
        for name, run in work.items():
            task = asyncio.create_task(_coroutine(run), name=name)
            task.add_done_callback(self._ended)
            self.health.tasks.append(task)
        log.info("service_started", consumers=sorted(self.consumers))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.health.stopping:
            return
        error = task.exception()
        if error is not None:
            log.error("task_failed", task=task.get_name(), error=type(error).__name__, exc_info=error)
            self.fail(f"task {task.get_name()} failed")

    async def leave(self) -> None:
        """End all waits and let the work in flight finish: the first step of stopping, before the consumers stop."""
        self.health.stopping = True
        log.info("service_stopping")
        if not self.consumers:
            return
        for group in self.consumers.values():
            group.stop()
        self.days.stop()
        self.watchdog.stop()
        draining = [asyncio.create_task(group.drain()) for group in self.consumers.values()]
        await asyncio.wait(draining, timeout=STOP_TIMEOUT)

    async def stop(self) -> None:
        """Publish the outbox, then close the connections: the last step of stopping."""
        self.relay.stop()
        tasks = self.health.tasks
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=5)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for registered in self._registered.values():
            await registered.listener.stop()
        self._ordinal.release()
        if hasattr(self, "context"):
            await self.close()
        log.info("service_stopped")

    async def _commit_to_kafka(self) -> None:
        while not self.health.stopping:
            await asyncio.sleep(_COMMIT_SECONDS)
            for group in self.consumers.values():
                await group.commit_to_kafka()

    async def _flush_coalesced(self, groups: Sequence[ConsumerGroup]) -> None:
        while not self.health.stopping:
            await asyncio.sleep(_FLUSH_SECONDS)
            for group in groups:
                group.flush_coalesced()

    async def _measure_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.health.stopping:
            before = loop.time()
            await asyncio.sleep(_LOOP_SECONDS)
            self.metrics.loop_lag.set(max(0.0, loop.time() - before - _LOOP_SECONDS))


async def _close(pool: Database) -> None:
    try:
        await asyncio.wait_for(pool.close(), 3)
    except TimeoutError:
        pool.terminate()


async def _coroutine(run: Callable[[], Awaitable[None]]) -> None:
    await run()


async def _untouched(message: object) -> KafkaMessage:
    """Return the records undecoded: no header can fail here."""
    return KafkaMessage(raw_message=message, body=b"", consumer=FAKE_CONSUMER)


async def _raw_records(message: KafkaMessage) -> object:
    return message.raw_message
