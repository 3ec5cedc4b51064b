"""One subscriber of a service: which partitions it holds, where each of them stands, and what stops it."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from prometheus_client import Gauge

from contracts.event import Event
from runtime.backoff import Backoff
from runtime.consume import cursor_check
from runtime.consume.decode import ConsumerRecord
from runtime.consume.partition import PartitionProcessor
from runtime.consume.worker import Worker
from runtime.handlers import DayHandler, Handler, MalformedHandler, ParkKey
from runtime.kafka import Described
from runtime.observe.logs import log
from runtime.storage.database import infrastructure

if TYPE_CHECKING:
    from runtime.service import Service

Place = tuple[str, int]
"""topic, partition"""
LONG_POLL_MS = 250
"""How long a poll waits where there is nothing; a consumer that is to stop waits no longer either."""
BATCHES_PER_POLL = 4
"""How many lanes' largest batches a poll takes at most."""
BULK_IDLE_SECONDS = 0.5
"""Seconds without much after which no more of a file is on its way."""


class ConsumerGroup:
    """One consumer group of one service, as this process sees it."""

    def __init__(
        self,
        service: "Service",
        name: str,
        *,
        needs_county: bool = True,
        of_units: bool = False,
        gathers: float = 0.0,
        keeps_back: bool = False,
    ) -> None:
        if keeps_back and not gathers:
            raise ValueError(f"{name} cannot know that more is on its way: it does not gather")
        self.service = service
        self.name = name
        self.group = f"hutong.{service.name}.{name}"
        self.needs_county = needs_county
        self.unit_topics = of_units
        self.linger_seconds = gathers
        self.coalesces = keeps_back
        self.largest_batch = service.settings.bulk_batch_records if gathers else service.settings.max_records
        self.slots = asyncio.Semaphore(service.settings.parallel)
        """Of those who have a session: who waits to try again has none."""
        self.handlers: Mapping[str, Handler] = {}
        self.day: DayHandler | None = None
        self.day_source: str | None = None
        self.reads: dict[str, type[Event]] = {}
        self.day_topics: frozenset[str] = frozenset()
        """The inputs whose marks turn the service's day; empty for all consumers but one."""
        self._park_by: Mapping[str, ParkKey] = {}
        self._misread: Mapping[str, MalformedHandler] = {}
        self.subscriber: Any = None
        self.listener = RebalanceListener(self)
        self.interrupt = asyncio.Event()
        """Set while partitions are being taken away or the process stops: waits end early."""
        self.assigned: set[Place] = set()
        self.halted: dict[Place, str] = {}
        self.blocked: set[Place] = set()
        self.silent_since: float | None = None
        self.assignments = 0
        self._positioning = asyncio.Lock()
        self._processors: dict[Place, PartitionProcessor] = {}
        self._workers: dict[Place, Worker] = {}
        self.has_room = asyncio.Event()
        """Set when a worker has taken what was queued."""
        self.ready: set[Place] = set()
        """Assigned, positioned, and neither halted nor waiting for a day."""
        self.topics: list[str] = []
        """The topics it has heard since it started, whoever has their partitions."""
        self._to_commit: dict[Place, int] = {}
        self._bulk = False
        """The last poll brought much."""
        self._bulk_at = 0.0
        """When much was last found on its way, or was last at work on it."""

    def learn(
        self,
        handlers: Mapping[str, Handler],
        day: DayHandler | None,
        day_source: str | None,
        park_by: Mapping[str, ParkKey] | None,
        misread: Mapping[str, MalformedHandler] | None = None,
        reads: Mapping[type[Event], type[Event]] | None = None,
    ) -> None:
        """Remember what the service does with each topic."""
        self.handlers = handlers
        self.day = day
        self.day_source = day_source
        self._park_by = park_by or {}
        self._misread = misread or {}
        self.reads = {whole.kind: part for whole, part in (reads or {}).items()}

    @property
    def leaving(self) -> bool:
        return self.interrupt.is_set()

    @property
    def idle(self) -> list[Place]:
        """The partitions that could go on and have nothing to do."""
        return [place for place in self.ready if not self._worker(place).working]

    @property
    def kafka(self) -> Any:
        """The aiokafka consumer; None before start and after stop."""
        return self.subscriber.consumer if self.subscriber is not None else None

    def topic_names(self, existing: Iterable[str]) -> list[str]:
        """The topics it hears: those it names, or those that exist and match its pattern."""
        if self.subscriber.pattern is not None:
            pattern = re.compile(self.subscriber.pattern.broker_address)
            return sorted(name for name in existing if pattern.fullmatch(name))
        return sorted(self.subscriber.topic_names_for_subscribe)

    async def poll(self, kafka: Any) -> tuple[ConsumerRecord, ...]:
        """FastStream's own poll without the sleep it adds to an empty one, which wakes in vain and makes news late.

        Where a file is on its way and nobody waits for a single row of it, more is gathered while more comes: the
        larger a batch, the less a record costs, and what is said of a child once is not said for every record.
        """
        settings = self.service.settings
        places = [TopicPartition(*place) for place in self.ready if not self._worker(place).full]
        if self.ready and not places:
            await self._wait_for_room()
            return ()
        part, most = settings.max_records, BATCHES_PER_POLL * self.largest_batch
        found: dict[Any, list[ConsumerRecord]] = await kafka.getmany(*places, timeout_ms=LONG_POLL_MS, max_records=part)
        many = sum(map(len, found.values()))
        until = time.monotonic() + self.linger_seconds
        self._bulk = self.linger_seconds > 0 and many >= settings.bulk_records
        if self._bulk:
            self.saw_bulk()
        while settings.bulk_records <= many < most and not self.leaving and time.monotonic() < until:
            self.saw_bulk()
            await asyncio.sleep(0)  # a poll that finds something does not let anybody else have a turn
            more = await kafka.getmany(*places, timeout_ms=LONG_POLL_MS, max_records=min(part, most - many))
            if not more:
                break
            for place, raws in more.items():
                found.setdefault(place, []).extend(raws)
                many += len(raws)
        return tuple(chain.from_iterable(found.values()))

    async def _wait_for_room(self) -> None:
        """Wait for a worker that can take more, no longer than a poll waits."""
        self.has_room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.has_room.wait(), LONG_POLL_MS / 1000)

    def handler_of(self, topic: str) -> Handler | None:
        return self.handlers.get(topic) or self.handlers.get(self.service.catalogue.topic(topic).name)

    @property
    def more_to_come(self) -> bool:
        """More of a file is on its way."""
        return time.monotonic() - self._bulk_at < BULK_IDLE_SECONDS

    def saw_bulk(self) -> None:
        self._bulk_at = time.monotonic()

    def park_by_of(self, topic: str) -> ParkKey | None:
        return self._park_by.get(topic) or self._park_by.get(self.service.catalogue.topic(topic).name)

    def misread_of(self, topic: str) -> MalformedHandler | None:
        return self._misread.get(topic) or self._misread.get(self.service.catalogue.topic(topic).name)

    def dispatch(self, records: Sequence[ConsumerRecord]) -> None:
        """Queue what was polled, each record at the worker of its partition."""
        for place, part in groupby(records, key=lambda raw: (raw.topic, raw.partition)):
            if place in self.ready and not self.leaving:
                self._worker(place).put(list(part), bulk=self._bulk)

    def flush_coalesced(self) -> None:
        """Let lanes say what they kept back: all if no more is on its way, else those that have kept it too long."""
        # A halted lane says what it had kept: what is committed is not held up by what stands before it now.
        able = self.ready | self.halted.keys()
        for lane in self._due:
            if (lane.topic, lane.partition) in able and not self.leaving:
                self._worker((lane.topic, lane.partition)).flush_coalesced()

    async def drain(self) -> None:
        """Wait until every worker has done what is queued; or, while partitions are being taken, what is in flight."""
        await asyncio.gather(*(worker.drain() for worker in self._workers.values()))

    def _worker(self, place: Place) -> Worker:
        worker = self._workers.get(place)
        if worker is None:
            worker = self._workers[place] = Worker(self, *place)
        return worker

    @property
    def _due(self) -> list[PartitionProcessor]:
        too_long = time.monotonic() - self.service.settings.coalesce_seconds
        return [
            lane
            for lane in self._processors.values()
            if lane.coalescing_since is not None and (not self._expects_more(lane) or lane.coalescing_since < too_long)
        ]

    def _expects_more(self, lane: PartitionProcessor) -> bool:
        return self.more_to_come or self._worker((lane.topic, lane.partition)).is_bulk

    @property
    def processors(self) -> Iterable[PartitionProcessor]:
        """The lanes of what is assigned, as far as anything was heard or may have been kept back."""
        return list(self._processors.values())

    def processor(self, topic: str, partition: int) -> PartitionProcessor:
        place = (topic, partition)
        lane = self._processors.get(place)
        if lane is None:
            lane = self._processors[place] = PartitionProcessor(self, topic, partition)
        return lane

    def committed(self, topic: str, partition: int, next_offset: int) -> None:
        """A batch is in the database: lag tools may know."""
        self._to_commit[topic, partition] = next_offset
        if not self.needs_county:
            self.service.county_stored()

    async def commit_to_kafka(self) -> None:
        """Best effort: Kafka's own offsets only feed lag tools and are never read back."""
        offsets = {
            TopicPartition(*place): offset for place, offset in self._to_commit.items() if place in self.assigned
        }
        self._to_commit.clear()
        if not offsets or self.kafka is None:
            return
        try:
            await self.kafka.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            log.debug("kafka_commit_missed", group=self.group, error=type(error).__name__)

    def halt(self, topic: str, partition: int, reason: str) -> None:
        """Stop one partition, loudly: paused until the process is started again; the others go on."""
        place = (topic, partition)
        if place in self.halted:
            return
        self.halted[place] = reason
        self._pause(place)
        self.service.metrics.halted.labels(self.name, topic, str(partition)).set(1)
        log.error("halted", consumer=self.name, topic=topic, partition=partition, reason=reason)

    def block(self, topic: str, partition: int) -> None:
        """Hold one partition until its index has turned the day it has reached."""
        self.blocked.add((topic, partition))
        self._pause((topic, partition))
        self.service.days.wake()

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read a partition from another place: what is queued of it is not applied."""
        self._worker((topic, partition)).discard()
        if (topic, partition) in self.assigned and self.kafka is not None:
            self.kafka.seek(TopicPartition(topic, partition), offset)

    def _pause(self, place: Place) -> None:
        self.ready.discard(place)
        self._worker(place).discard()
        if place in self.assigned and self.kafka is not None:
            self.kafka.pause(TopicPartition(*place))

    async def position(self, places: Iterable[Place]) -> None:
        """Seek partitions to their cursors and let them run: all but the halted and those waiting for a day."""
        async with self._positioning:
            await self._position(places)

    async def _position(self, places: Iterable[Place]) -> None:
        service = self.service
        wanted = [place for place in places if place in self.assigned and place not in self.ready]
        if not wanted:
            return
        cursors = await service.cursors(self, wanted)
        described = await service.admin.describe({topic for topic, _ in wanted})
        first = await service.admin.first_offsets(place for place in wanted if described.get(place[0]) is not None)
        days = await service.days.state()
        missing: set[str] = set()
        for place in wanted:
            if place not in self.assigned or self.kafka is None:
                continue
            topic = described.get(place[0])
            if topic is None:
                missing.add(place[0])
                continue
            cursor = cursors[place]
            reason = self.cursor_problem(place, topic, cursor, first[place])
            if reason is not None:
                self.halt(*place, reason)
            if place in self.halted:
                continue
            if place[0] in self.day_topics and cursor["lane_day"] is not None:
                reached = service.days.reached(days, *place)
                if reached is None or reached < cursor["lane_day"]:
                    self.blocked.add(place)
                    continue
            self.blocked.discard(place)
            self.seek(*place, cursor["next_offset"])
            self.ready.add(place)
            self.kafka.resume(TopicPartition(*place))
        if missing:
            # Tried again: metadata is behind for a moment after a broker's restart. The watch says when it stays so.
            raise ConnectionError(f"not on the broker: {', '.join(sorted(missing))}")

    def cursor_problem(self, place: Place, topic: Described, cursor: Any, first_offset: int) -> str | None:
        """Why one partition must not go on, if it must not."""
        service = self.service
        return cursor_check.cursor_problem(
            topic,
            topic_id=cursor["topic_id"],
            partitions=service.catalogue.partitions(place[0], service.settings.partitions),
            next_offset=cursor["next_offset"],
            first_offset=first_offset,
            compacted=service.catalogue.topic(place[0]).compacted,
        )

    async def on_revoked(self) -> None:
        """Partitions are being taken away: end waits, and let the transaction in flight finish."""
        self.interrupt.set()
        self.ready.clear()
        await self.drain()
        self._workers.clear()
        for topic, partition in self.assigned:
            self._drop_gauge(self.service.metrics.lag, topic, partition)
        self.assigned = set()
        self.blocked.clear()

    def _drop_gauge(self, gauge: Gauge, topic: str, partition: int) -> None:
        """What another process has now it tells itself; a figure that stays behind here would ring for ever."""
        with contextlib.suppress(KeyError):
            gauge.remove(self.name, topic, str(partition))

    def on_assigned(self, assigned: set[Place]) -> None:
        """Partitions were assigned, and are paused."""
        self.assigned = assigned
        self.topics = sorted({*self.topics, *(topic for topic, _ in assigned)})
        self.assignments += 1
        self._processors = {place: lane for place, lane in self._processors.items() if place in assigned}
        for place in assigned:
            if self.coalesces:
                self.processor(*place).may_have_coalesced()  # whoever had it before may have kept something back
        for place in self.halted.keys() - assigned:
            self._drop_gauge(self.service.metrics.halted, *place)
            del self.halted[place]
        if not self.service.stopping:
            self.interrupt.clear()
        self.service.metrics.rebalances.labels(self.name).inc()
        places = [f"{topic}/{partition}" for topic, partition in sorted(assigned)]
        log.info("assigned", consumer=self.name, partitions=places)


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Pauses first, then positions: aiokafka delivers records before an assignment's listener has finished."""

    def __init__(self, consumer: ConsumerGroup) -> None:
        self._consumer = consumer
        self._positioning: asyncio.Task[None] | None = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self.stop()
        await self._consumer.on_revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumer.kafka.pause(*assigned)
        # Any position will do while it is paused: without one aiokafka asks Kafka where the group stands,
        # and a group that has never committed makes FastStream sleep for five seconds.
        for place in assigned:
            self._consumer.kafka.seek(place, 0)
        await self.stop()
        self._consumer.on_assigned({(place.topic, place.partition) for place in assigned})
        # Not awaited: a database that is away must not hold up the group.
        self._positioning = asyncio.create_task(self._position())

    async def stop(self) -> None:
        if self._positioning is not None and not self._positioning.done():
            self._positioning.cancel()
            await asyncio.gather(self._positioning, return_exceptions=True)

    async def _position(self) -> None:
        consumer = self._consumer
        backoff = Backoff(consumer.service.settings)
        while not consumer.leaving:
            try:
                await consumer.position(sorted(consumer.assigned))
                consumer.service.days.wake()
                return
            except Exception as error:  # noqa: BLE001 - tried until it works or the partitions go
                known = infrastructure(error)
                log.warning("not_positioned", consumer=consumer.name, error=type(error).__name__, exc_info=not known)
                await backoff.wait(consumer.interrupt)
