"""One service: its broker, its consumers, its relay, its days."""

import asyncio
import importlib
import logging
import pkgutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faststream import AckPolicy
from faststream.asgi import AsgiFastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage

import contracts
from contracts.event import Event
from contracts.topics import CLOCK, COUNTY, TOPICS, Topic
from runtime import kafka
from runtime.backoff import Backoff
from runtime.consume import days, undecodable
from runtime.consume.group import LONG_POLL_MS, ConsumerGroup, Place
from runtime.consume.parking import ParkingCipher
from runtime.county_config import Counties
from runtime.errors import OrdinalTaken, SchemaMissing
from runtime.handlers import DayHandler, Handler, MalformedHandler, ParkKey
from runtime.observe.logs import log
from runtime.observe.metrics import Metrics
from runtime.operate import replay as releasing
from runtime.operate.health import routes
from runtime.operate.watchdog import Watchdog
from runtime.publish.outbox import Outbox
from runtime.publish.relay import Relay
from runtime.settings import MissingSecret, OpenSecrets, Settings
from runtime.storage import migrations, sql
from runtime.storage.database import Database, infrastructure, open_pool, open_session
from runtime.topic_catalogue import TopicCatalogue

Records = tuple[Any, ...]
"""What FastStream hands to a subscriber: raw Kafka records, untouched."""

CONTROL = "house"
"""The consumer that every service has: it hears the county's data and its clock."""
OWN = "@service"
_TELL_EVERY = 1.0
_LOOK_EVERY = 0.25
_ORDINALS = 0x6F_72_64
_ORDINAL_TRIES, _ORDINAL_EVERY = 50, 0.2
"""Long enough for the database to notice that a killed process has gone."""


class Subscription(TypedDict):
    """The keyword arguments of a subscriber, by FastStream's names."""

    batch: Literal[True]
    group_id: str
    group_instance_id: str
    ack_policy: AckPolicy
    parser: Callable[[object], Awaitable[KafkaMessage]]
    decoder: Callable[[KafkaMessage], Awaitable[object]]
    listener: object
    no_reply: bool
    fetch_max_wait_ms: int
    auto_offset_reset: Literal["none"]
    partition_assignment_strategy: Sequence[type[object]]
    session_timeout_ms: int
    heartbeat_interval_ms: int
    rebalance_timeout_ms: int
    max_poll_interval_ms: int
    isolation_level: Literal["read_committed"]
    include_in_schema: bool


class MissingTopics(Exception):
    """The broker lacks topics that this service hears, or they have another number of partitions."""


class Service:
    """Everything around a service's handlers."""

    def __init__(
        self, name: str, settings: Settings, *, migrations: Path | None = None, topics: Iterable[Topic] = TOPICS
    ) -> None:
        for module in pkgutil.iter_modules(contracts.__path__):
            importlib.import_module(f"contracts.{module.name}")  # so that every event that can be said is known
        undecodable.install()
        self.name = name
        self.settings = settings
        self.catalogue = TopicCatalogue(topics)
        self.metrics = Metrics()
        self.counties = Counties(settings.county)
        self.consumers: dict[str, ConsumerGroup] = {}
        self.days = days.DayScheduler(self)
        self.watchdog = Watchdog(self)
        self.relay = Relay(name, settings, self.metrics)
        self.admin = kafka.Admin(settings, f"hutong-{name}-{settings.ordinal}")
        self.county_changed = asyncio.Event()
        self.stopping = False
        self._begun_at = time.monotonic()
        self.failure: str | None = None
        self.on_failure: Callable[[], None] | None = None
        self.producer_ids: dict[tuple[str, int], int] = {}
        self.pool: Database
        self.outbox: Outbox
        self.parking_cipher: ParkingCipher
        self._migrations = migrations
        self._tasks: list[asyncio.Task[None]] = []
        self._ordinal: Any = None
        """The session that holds this process's ordinal."""
        self.broker = KafkaBroker(
            settings.kafka.split(","),
            client_id=f"hutong-{name}-{settings.ordinal}",
            security=kafka.security(settings),
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=settings.stop_timeout,
            metadata_max_age_ms=30_000,
            logger=logging.getLogger("hutong.faststream"),
            log_level=logging.DEBUG,
        )
        self.broker.subscriber(COUNTY.name, CLOCK.name, **self.exactly_once(CONTROL, needs_county=False))(self._house)

    def exactly_once(
        self,
        consumer: str,
        *,
        needs_county: bool = True,
        of_units: bool = False,
        gathers: float = 0.0,
        keeps_back: bool = False,
    ) -> Subscription:
        """The keyword arguments of a FastStream subscriber whose records go to :meth:`apply`.

        ``needs_county``: handlers wait until a county's data is in force. ``of_units``: its topics are units' own, with
        one partition each, and several processes share the topics; of other topics each process has the same
        partitions, so that no two meet in one lane. ``gathers``: files come this way and nobody waits for a single
        row: for so many seconds, where there is much, it waits for more. ``keeps_back``: while more of a file comes,
        snapshots that need not go at once are kept back, and a newer one of the same key takes the place of an older.
        """
        if consumer in self.consumers:
            raise ValueError(f"two consumers are called {consumer}")
        self.consumers[consumer] = ConsumerGroup(
            self,
            consumer,
            needs_county=needs_county,
            unit_topics=of_units,
            linger_seconds=gathers,
            coalesces=keeps_back,
        )
        settings = self.settings
        # The second is what a group that knows no other is still held together by.
        assignors = (RoundRobinPartitionAssignor, RangePartitionAssignor) if of_units else (RangePartitionAssignor,)
        return {
            "batch": True,
            "group_id": self.consumers[consumer].group,
            "group_instance_id": f"hutong-{self.name}-{consumer}-{settings.ordinal}",
            "ack_policy": AckPolicy.MANUAL,
            "parser": _untouched,
            "decoder": _raw_records,
            "listener": self.consumers[consumer].listener,
            "no_reply": True,
            "fetch_max_wait_ms": LONG_POLL_MS,
            "auto_offset_reset": "none",
            "partition_assignment_strategy": assignors,
            "session_timeout_ms": int(settings.session_timeout * 1000),
            "heartbeat_interval_ms": int(min(3.0, settings.session_timeout / 4) * 1000),
            "rebalance_timeout_ms": int(settings.rebalance_timeout * 1000),
            # A handler that waits for the database waits for ever; whether it still lives is ours to say.
            "max_poll_interval_ms": 24 * 3600 * 1000,
            "isolation_level": "read_committed",
            "include_in_schema": consumer != CONTROL,
        }

    async def apply(
        self,
        consumer: str,
        records: Records,
        handlers: Mapping[str, Handler],
        *,
        day: DayHandler | None = None,
        day_source: str | None = None,
        park_by: Mapping[str, ParkKey] | None = None,
        misread: Mapping[str, MalformedHandler] | None = None,
        reads: Mapping[type[Event], type[Event]] | None = None,
    ) -> None:
        """Hand a poll over to the workers of its partitions: one transaction per batch, tried until it is committed.

        A worker that tries again holds up no other partition, and the next poll does not wait for it.

        Args:
            consumer: the name given to :meth:`exactly_once`.
            records: what FastStream handed over.
            handlers: by topic, or by the name of a topic's family.
            day: does one page of a day's work; its consumer is the one whose inputs turn the service's day.
            day_source: a topic without upstream marks whose ``DayBegan`` turns the day (``clock.v1``, for intake).
            park_by: per topic, what an event is parked under instead of its record's key.
            misread: per topic, what the handler hears of an event that cannot be read, to answer it.
            reads: an event, and the part of it that is all this consumer needs: the rest is not even read.
        """
        found = self.consumers[consumer]
        if not records:
            found.learn(handlers, day, day_source, park_by, misread, reads)
            return
        found.dispatch(records)

    async def _house(self, records: Records) -> None:
        await self.apply(CONTROL, records, {COUNTY.name: self.counties.on_county, CLOCK.name: self.counties.on_clock})

    async def replay(self, key: str) -> int:
        """Release a parked key's events, in order, and decide them for today. Returns how many."""
        return await releasing.release(self, key)

    async def parked(self) -> list[releasing.ParkedKey]:
        """What is parked, the oldest first."""
        return await releasing.parked(self)

    async def migrate(self) -> list[str]:
        """Bring the schema up to date; returns what was applied."""
        return await migrations.migrate(self.name, self.settings, self._migrations)

    def app(self) -> AsgiFastStream:
        """The process: FastStream's life cycle with the runtime's tasks, health and metrics."""
        return AsgiFastStream(
            self.broker,
            asgi_routes=routes(self),
            logger=logging.getLogger("hutong.faststream"),
            on_startup=[self._start],
            after_startup=[self._work],
            on_shutdown=[self._leave],
            after_shutdown=[self._stop],
        )

    async def open(self, *, wait: bool = True) -> None:
        """Connect to the database and learn what the service does with its topics.

        ``wait``: until the database answers, however long that takes.

        Raises:
            SchemaMissing: the schema is not up to date.
            MissingSecret: it cannot lock away what it parks.
        """
        self.parking_cipher = ParkingCipher(self.settings)
        backoff = Backoff(self.settings)
        while True:
            try:
                await self._open()
                break
            except Exception as error:
                if not wait or not infrastructure(error):
                    raise
                log.warning("database_awaited", error=type(error).__name__)
                await backoff.wait()
        await self._learn()

    async def _open(self) -> None:
        """One attempt: whatever cuts it off, the next one begins with sessions of its own."""
        self.pool = await open_pool(self.name, self.settings)
        try:
            if not await migrations.is_migrated(self.pool, self.name, self._migrations):
                raise SchemaMissing(
                    f"schema {self.name} is not up to date: run `python -m runtime {self.name} --migrate`"
                )
            incarnation = await self.pool.fetchval(sql.INCARNATION)
            await self._own_lanes()
        except BaseException:
            await self.close()
            raise
        source = f"/hutong/{self.settings.county}/{self.name}/{incarnation}"
        self.outbox = Outbox(
            self.name,
            source,
            self.catalogue,
            self.settings.partitions,
            self.settings.max_event_bytes,
            keeps_back=any(consumer.coalesces for consumer in self.consumers.values()),
        )

    async def close(self) -> None:
        """Give the database's sessions back."""
        try:
            await asyncio.wait_for(self.pool.close(), 3)
        except TimeoutError:
            self.pool.terminate()

    async def cursors(self, consumer: ConsumerGroup, places: Sequence[Place]) -> dict[Place, Any]:
        """The cursors of some input partitions; those that are missing begin where the log begins."""
        found = await self._cursors(consumer)
        missing = [place for place in places if place not in found]
        if missing:
            described = await self.admin.describe({topic for topic, _ in missing})
            there = [(place, about) for place in missing if (about := described.get(place[0])) is not None]
            first = await self.admin.first_offsets([place for place, _ in there])
            names = [consumer.name] * len(there)
            topics = [place[0] for place, _ in there]
            partitions = [place[1] for place, _ in there]
            async with self.pool.acquire() as session, session.transaction():
                await session.execute(sql.NEW_LANE, names, topics, partitions)
                await session.execute(
                    sql.NEW_CURSOR,
                    names,
                    topics,
                    partitions,
                    [first[place] for place, _ in there],
                    [about.topic_id for _, about in there],
                )
            found = await self._cursors(consumer)
        return found

    async def _cursors(self, consumer: ConsumerGroup) -> dict[Place, Any]:
        rows = await self.pool.fetch(sql.CURSORS, consumer.name)
        return {(row["topic"], row["partition"]): row for row in rows}

    def county_stored(self) -> None:
        """Whoever waits for a county's data looks again."""
        self.county_changed.set()
        self.county_changed.clear()

    def fail(self, reason: str) -> None:
        """End the process with an error, so that its supervisor starts it again."""
        if self.failure is None:
            self.failure = reason
            log.error("process_fails", reason=reason)
            if self.on_failure is not None:
                self.on_failure()

    def problems(self) -> list[str]:
        """What a person must look at."""
        found = [
            f"{consumer.name} {topic}/{partition} halted: {reason}"
            for consumer in self.consumers.values()
            for (topic, partition), reason in sorted(consumer.halted.items())
        ]
        patience = self.settings.silence_timeout
        found += [
            f"{consumer.name} {lane.topic}/{lane.partition} has committed nothing for {lane.uncommitted_seconds:.0f} s"
            for consumer in self.consumers.values()
            for lane in consumer.processors
            if lane.uncommitted_seconds > patience
        ]
        found += [f"day's work of index {index} fails: {reason}" for index, reason in sorted(self.days.failing.items())]
        if self.relay.halted is not None:
            found.append(f"relay halted: {self.relay.halted}")
        if self.relay.failing is not None:
            found.append(f"relay fails: {self.relay.failing}")
        return found

    def liveness_failures(self) -> list[str]:
        """What starting again might cure."""
        patience = self.settings.silence_timeout
        now = time.monotonic()
        found = [
            f"consumer {consumer.name} is silent"
            for consumer in self.consumers.values()
            if consumer.silent_since is not None and now - consumer.silent_since > patience / 2
        ]
        found += self.hanging()
        if not self._tasks and not self.stopping and now - self._begun_at > 2 * patience:
            found.append("it has been starting for too long")
        if self._tasks and now - self.watchdog.checked_at > patience:
            found.append("the watch has not looked for too long")
        found += [f"task {task.get_name()} has ended" for task in self._tasks if task.done() and not self.stopping]
        return found

    def hanging(self) -> list[str]:
        """Handlers that wait for what never comes."""
        return [
            f"{consumer.name} {lane.topic}/{lane.partition} hangs"
            for consumer in self.consumers.values()
            for lane in consumer.processors
            if lane.attempt_seconds > self.settings.attempt_timeout
        ]

    def unready(self) -> list[str]:
        """What it does not have yet."""
        if not self._tasks:
            return ["starting"]
        return [
            f"consumer {consumer.name} has no partitions"
            for consumer in self.consumers.values()
            if not consumer.assignments
        ]

    async def _start(self) -> None:
        try:
            await self.open()
            await self._take_ordinal()
            await self._prepare_cursors()
        except (SchemaMissing, OrdinalTaken, MissingTopics, MissingSecret, OpenSecrets) as error:
            log.error("cannot_start", reason=str(error))
            raise
        except Exception as error:
            log.error("cannot_start", reason=type(error).__name__, exc_info=True)
            raise

    async def _take_ordinal(self) -> None:
        """Its static member ids are made of the ordinal, so no other process may have it when this one starts."""
        for _ in range(_ORDINAL_TRIES):
            if await self._has_ordinal():
                return
            await asyncio.sleep(_ORDINAL_EVERY)
        raise OrdinalTaken(f"another process of {self.name} has ordinal {self.settings.ordinal}")

    async def _has_ordinal(self) -> bool:
        """What the database answers, however long it is away."""
        backoff = Backoff(self.settings)
        while True:
            try:
                if self._ordinal is None or self._ordinal.is_closed():
                    self._ordinal = await open_session(self.name, self.settings)
                key = f"{self.name}/{self.settings.ordinal}"
                return bool(await self._ordinal.fetchval(sql.TRY_LOCK, _ORDINALS, key))
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("database_awaited", error=type(error).__name__)
                await backoff.wait()

    async def _work(self) -> None:
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "relay": self.relay.run,
            "days": self.days.run,
            "watch": self.watchdog.run,
            "later": self._catch_up,
            "tell": self._tell,
            "loop": self._measure_loop,
        }
        self.watchdog.checked_at = time.monotonic()
        for name, run in work.items():
            task = asyncio.create_task(_coroutine(run), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        log.info("works", consumers=sorted(self.consumers))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.stopping:
            return
        error = task.exception()
        if error is not None:
            log.error("task_failed", task=task.get_name(), error=type(error).__name__, exc_info=error)
            self.fail(f"task {task.get_name()} failed")

    async def _leave(self) -> None:
        """First of all on the way out: nothing waits any more, and what is in flight is done."""
        self.stopping = True
        for consumer in self.consumers.values():
            consumer.interrupt.set()
        self.days.stop()
        self.watchdog.stop()
        log.info("leaves")
        resting = [asyncio.create_task(consumer.drain()) for consumer in self.consumers.values()]
        await asyncio.wait(resting, timeout=self.settings.stop_timeout)

    async def _stop(self) -> None:
        """After the consumers have stopped: publish what was said, then let go."""
        self.relay.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=5)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for consumer in self.consumers.values():
            await consumer.listener.stop()
        if self._ordinal is not None:
            self._ordinal.terminate()
        if hasattr(self, "pool"):
            await self.close()
        log.info("stopped")

    async def _own_lanes(self) -> None:
        wanted = [(days.DAY_PRODUCER, index) for index in range(self.settings.partitions)] + [
            (releasing.REPLAY_PRODUCER, 0)
        ]
        await self.pool.execute(
            sql.NEW_LANE, [OWN] * len(wanted), [name for name, _ in wanted], [index for _, index in wanted]
        )
        for name, index in wanted:
            self.producer_ids[name, index] = await self.pool.fetchval(sql.LANE_OF, OWN, name, index)
        await self.pool.execute(sql.NEW_INDEXES, self.settings.partitions)

    async def _learn(self) -> None:
        """Ask each subscriber for its handlers, by calling it once with nothing."""
        by_group = {consumer.group: consumer for consumer in self.consumers.values()}
        for subscriber in self.broker.subscribers:
            found = by_group.get(getattr(subscriber, "group_id", None) or "")
            if found is None:
                continue
            found.subscriber = subscriber
            subscriber.get_msg = found.poll  # type: ignore[attr-defined]
            for call in subscriber.calls:
                await call.handler._original_call(())
        self._find_days()

    def _find_days(self) -> None:
        bearing: dict[str, frozenset[str]] = {}
        for consumer in self.consumers.values():
            if consumer.subscriber is not None:
                heard = consumer.topic_names(self.catalogue.single_names)
                with_days = {name for name in heard if self.catalogue.topic(name).carries_watermarks}
                bearing[consumer.name] = frozenset(
                    with_days | ({consumer.day_source} if consumer.day_source else set())
                )
        said = [consumer for consumer in self.consumers.values() if consumer.day or consumer.day_source]
        if len(said) > 1:
            raise ValueError(f"{self.name} has days in more than one consumer")
        chosen = said[0] if said else self.consumers.get("main")
        if chosen is not None and bearing.get(chosen.name):
            chosen.day_topics = bearing[chosen.name]
            self.days.consumer = chosen

    async def _prepare_cursors(self) -> None:
        """A cursor for every input partition, before anything is heard."""
        backoff = Backoff(self.settings)
        while True:
            try:
                await self._prepare_all()
                return
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("broker_awaited", error=type(error).__name__, reason=str(error))
                await backoff.wait()

    async def _prepare_all(self) -> None:
        existing = await self.admin.names()
        for consumer in self.consumers.values():
            if consumer.subscriber is None:
                continue
            consumer.topics = consumer.topic_names(existing)
            described = await self.admin.describe(consumer.topics)
            places: list[Place] = []
            wrong: list[str] = []
            for name in consumer.topics:
                about = described.get(name)
                wanted = self.catalogue.partitions(name, self.settings.partitions)
                if about is None or about.partitions != wanted:
                    wrong.append(f"{name} ({about.partitions if about else 0} partitions, not {wanted})")
                places += [(name, partition) for partition in range(wanted)]
            if wrong:
                raise MissingTopics(", ".join(wrong))
            await self.cursors(consumer, places)

    async def _tell(self) -> None:
        while not self.stopping:
            await asyncio.sleep(_TELL_EVERY)
            for consumer in self.consumers.values():
                await consumer.commit_to_kafka()

    async def _catch_up(self) -> None:
        while not self.stopping:
            await asyncio.sleep(_LOOK_EVERY)
            for consumer in self.consumers.values():
                consumer.flush_coalesced()

    async def _measure_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.stopping:
            before = loop.time()
            await asyncio.sleep(0.5)
            self.metrics.loop_lag.set(max(0.0, loop.time() - before - 0.5))


async def _coroutine(run: Callable[[], Awaitable[None]]) -> None:
    await run()


async def _untouched(message: object) -> KafkaMessage:
    """The records as they are: no header is decoded, so none can fail here."""
    return KafkaMessage(raw_message=message, body=b"", consumer=FAKE_CONSUMER)


async def _raw_records(message: KafkaMessage) -> object:
    return message.raw_message
