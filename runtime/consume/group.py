"""One consumer group of a service: its assigned partitions, their positions, and the reasons for which they stop."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import IllegalStateError, KafkaError
from prometheus_client import Gauge

from runtime.consume import cursor_check, cursors, day_state
from runtime.consume.fetching import set_fetch_wait
from runtime.consume.partition import PartitionProcessor
from runtime.consume.worker import Worker
from runtime.context import RuntimeContext
from runtime.kafka import Described
from runtime.observe.logs import log
from runtime.records import ConsumerRecord, TopicPartition
from runtime.storage.database import LOCK_TIMEOUT
from runtime.subscription import Subscription

LONG_POLL_MS = 250
"""Poll timeout, and the longest that the broker waits for a record, while there is something to do."""
REST_POLL_MS = 3000
"""``LONG_POLL_MS`` at rest. A record ends the wait at once, but a partition that is reassigned waits for its end."""
WORKER_WAIT_SECONDS = 0.25
"""The longest that a poll waits for the workers."""
REST_AFTER_SECONDS = 5.0
"""Seconds without a record, a seek or an assignment after which a group is at rest."""
BATCHES_PER_POLL = 4
"""Full batches that one poll may return."""
BULK_IDLE_SECONDS = 0.5
"""Seconds without a bulk poll after which a file counts as complete."""
COALESCE_SECONDS = 60.0
"""The longest time that a snapshot is coalesced while more of a file is expected."""


class ConsumerGroup:
    """One consumer group of one service, as this process sees it."""

    def __init__(self, context: RuntimeContext, subscription: Subscription, subscriber: Any = None) -> None:
        settings = context.settings
        self.context = context
        self.subscription = subscription
        self.name = subscription.name
        self.largest_batch = settings.bulk_batch_records if subscription.linger_seconds else settings.max_records
        self.slots = asyncio.Semaphore(settings.parallel)
        """Held by the partitions that have a session; one that waits for a retry holds none."""
        self.subscriber = subscriber
        """FastStream's subscriber."""
        self.interrupt = asyncio.Event()
        """Set while partitions are being revoked or the process stops: waits end early."""
        self.stopping = False
        self.revoke_timeout = settings.transaction_timeout + LOCK_TIMEOUT
        """Seconds that a transaction in flight may take when its partition is revoked; below the rebalance timeout."""
        self.assigned: set[TopicPartition] = set()
        self.halted: dict[TopicPartition, str] = {}
        self.blocked: set[TopicPartition] = set()
        self.ready: set[TopicPartition] = set()
        """Assigned, positioned, and neither halted nor waiting for a day."""
        self.topics: list[str] = []
        """The topics of which it has had partitions since it started."""
        self.silent_since: float | None = None
        self.assignments = 0
        self.has_room = asyncio.Event()
        """Set when a worker has taken records from its queue."""
        self._positioning = asyncio.Lock()
        self._processors: dict[TopicPartition, PartitionProcessor] = {}
        self._workers: dict[TopicPartition, Worker] = {}
        self._to_commit: dict[TopicPartition, int] = {}
        self._bulk = False
        """True if the last poll looked like a bulk load."""
        self._bulk_at = 0.0
        """Time of the last bulk poll or bulk batch."""
        self._active_at = time.monotonic()
        """Time of the last record, seek or assignment."""
        self._fetch_wait_ms = LONG_POLL_MS

    @property
    def leaving(self) -> bool:
        """True while partitions are being revoked or the process stops."""
        return self.interrupt.is_set()

    @property
    def idle(self) -> list[TopicPartition]:
        """The ready partitions that have nothing to do."""
        return [place for place in self.ready if not self._worker(place).working]

    @property
    def kafka(self) -> Any:
        """The aiokafka consumer; None before start and after stop."""
        return self.subscriber.consumer if self.subscriber is not None else None

    async def poll(self, kafka: Any) -> tuple[ConsumerRecord, ...]:
        """Poll as FastStream does, but without the sleep it adds to an empty poll, which delays the next record.

        A consumer that lingers polls again during a bulk load: the larger a batch, the less each record costs, and a
        child's snapshot is emitted once instead of once per record.
        """
        settings = self.context.settings
        await self._await_workers()
        places = [KafkaPartition(*place) for place in self.ready if not self._worker(place).full]
        if self.ready and not places:
            await self._wait_for_room()
            return ()
        part, most = settings.max_records, BATCHES_PER_POLL * self.largest_batch
        polled: dict[Any, list[ConsumerRecord]] = await kafka.getmany(
            *places, timeout_ms=self._fetch_wait_ms, max_records=part
        )
        many = sum(map(len, polled.values()))
        if many:
            self._active_at = time.monotonic()
        self._set_fetch_wait(kafka)
        linger = self.subscription.linger_seconds
        until = time.monotonic() + linger
        self._bulk = linger > 0 and many >= settings.bulk_records
        if self._bulk:
            self.saw_bulk()
        while settings.bulk_records <= many < most and not self.leaving and time.monotonic() < until:
            self.saw_bulk()
            await asyncio.sleep(0)  # a poll that returns records does not yield to the loop
            more = await kafka.getmany(*places, timeout_ms=LONG_POLL_MS, max_records=min(part, most - many))
            if not more:
                break
            for place, raws in more.items():
                polled.setdefault(place, []).extend(raws)
                many += len(raws)
        return tuple(chain.from_iterable(polled.values()))

    async def _await_workers(self) -> None:
        """Wait for what was polled to be applied, but not for a worker that retries or takes long.

        Without this each poll would return a few records: many small transactions, which delay urgent consumers. A
        consumer that lingers also leaves them as much time as it has used, unless a whole file is coming.
        """
        began = time.monotonic()
        tasks = {worker.task: worker for worker in self._workers.values() if worker.task and not worker.is_slow}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=WORKER_WAIT_SECONDS)
        for task in late:
            tasks[task].is_slow = True
        if self.subscription.linger_seconds and not self._bulk and not self.leaving:
            await asyncio.sleep(time.monotonic() - began)

    async def _wait_for_room(self) -> None:
        """Wait until a worker can take more records, at most for the poll timeout."""
        self.has_room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.has_room.wait(), LONG_POLL_MS / 1000)

    @property
    def at_rest(self) -> bool:
        """True if nothing has happened for a while, and no partition waits for a day or its position.

        Such a partition will be read soon, and the broker must not hold a request then.
        """
        settled = self.ready | self.halted.keys()
        return self.assigned <= settled and time.monotonic() - self._active_at > REST_AFTER_SECONDS

    def _set_fetch_wait(self, kafka: Any) -> None:
        wait = REST_POLL_MS if self.at_rest else LONG_POLL_MS
        if wait != self._fetch_wait_ms:
            self._fetch_wait_ms = wait
            set_fetch_wait(kafka, wait)

    def _end_rest(self) -> None:
        self._active_at = time.monotonic()
        if self.kafka is not None:
            self._set_fetch_wait(self.kafka)

    @property
    def more_to_come(self) -> bool:
        """True while more of a file is expected."""
        return time.monotonic() - self._bulk_at < BULK_IDLE_SECONDS

    def saw_bulk(self) -> None:
        """Record that a bulk load continues."""
        self._bulk_at = time.monotonic()

    def dispatch(self, records: Sequence[ConsumerRecord]) -> None:
        """Queue polled records at the workers of their partitions."""
        for place, part in groupby(records, key=lambda raw: (raw.topic, raw.partition)):
            if place in self.ready and not self.leaving:
                self._worker(place).put(list(part), bulk=self._bulk)

    def flush_coalesced(self) -> None:
        """Make partitions emit coalesced snapshots when no more of a file is expected or the time limit is over."""
        # A halted partition still flushes: committed work must not wait until the halt is cleared.
        able = self.ready | self.halted.keys()
        for processor in self._due:
            if processor.place in able and not self.leaving:
                self._worker(processor.place).flush_coalesced()

    async def drain(self) -> None:
        """Wait until every worker has applied its queue or, while partitions are revoked, its batch in flight."""
        await asyncio.gather(*(worker.drain() for worker in self._workers.values()))

    def _worker(self, place: TopicPartition) -> Worker:
        worker = self._workers.get(place)
        if worker is None:
            worker = self._workers[place] = Worker(self, *place)
        return worker

    @property
    def _due(self) -> list[PartitionProcessor]:
        too_long = time.monotonic() - COALESCE_SECONDS
        return [
            processor
            for processor in self._processors.values()
            if processor.coalescing_since is not None
            and (not self._expects_more(processor) or processor.coalescing_since < too_long)
        ]

    def _expects_more(self, processor: PartitionProcessor) -> bool:
        return self.more_to_come or self._worker(processor.place).is_bulk

    @property
    def processors(self) -> Iterable[PartitionProcessor]:
        """The processors of the assigned partitions that have had records or may have coalesced some."""
        return list(self._processors.values())

    def processor(self, topic: str, partition: int) -> PartitionProcessor:
        """Return the processor of one partition."""
        place = (topic, partition)
        processor = self._processors.get(place)
        if processor is None:
            processor = self._processors[place] = PartitionProcessor(
                self.context, self.subscription, self, topic, partition
            )
        return processor

    def committed(self, topic: str, partition: int, next_offset: int) -> None:
        """Record the offset of a committed batch, which lag tools read from Kafka."""
        self._to_commit[topic, partition] = next_offset
        if not self.subscription.needs_county:
            self.context.county_stored()

    async def commit_to_kafka(self) -> None:
        """Commit offsets to Kafka, best effort: only lag tools use them."""
        offsets = {
            KafkaPartition(*place): offset for place, offset in self._to_commit.items() if place in self.assigned
        }
        self._to_commit.clear()
        if not offsets or self.kafka is None:
            return
        try:
            await self.kafka.commit(offsets)
        except (KafkaError, IllegalStateError) as error:
            log.debug("kafka_commit_failed", group=self.subscription.group, error=type(error).__name__)

    def fail(self) -> None:
        """End the process after an error after which no batch can be retried."""
        self.context.fail(f"consumer {self.name} failed")

    def halt(self, topic: str, partition: int, reason: str) -> None:
        """Stop one partition until the process is started again; the others continue."""
        place = (topic, partition)
        if place in self.halted:
            return
        self.halted[place] = reason
        self._pause(place)
        self.context.metrics.halted.labels(self.name, topic, str(partition)).set(1)
        log.error("partition_halted", consumer=self.name, topic=topic, partition=partition, reason=reason)

    def block(self, topic: str, partition: int) -> None:
        """Pause one partition until its index has completed the day that the partition has reached."""
        self.blocked.add((topic, partition))
        self._pause((topic, partition))
        self.context.days_changed.set()

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read a partition from another offset, and discard its queued records."""
        self._end_rest()
        self._worker((topic, partition)).discard()
        if (topic, partition) in self.assigned and self.kafka is not None:
            self.kafka.seek(KafkaPartition(topic, partition), offset)

    def _pause(self, place: TopicPartition) -> None:
        self.ready.discard(place)
        self._worker(place).discard()
        if place in self.assigned and self.kafka is not None:
            self.kafka.pause(KafkaPartition(*place))

    async def position(self, places: Iterable[TopicPartition]) -> None:
        """Seek partitions to their cursors and resume them, except those that are halted or wait for a day."""
        async with self._positioning:
            await self._position([place for place in places if place in self.assigned and place not in self.ready])

    async def _position(self, wanted: Sequence[TopicPartition]) -> None:
        if not wanted:
            return
        context = self.context
        stored = await cursors.load(context, self.name, wanted)
        described = await context.admin.describe({topic for topic, _ in wanted})
        first = await context.admin.first_offsets(place for place in wanted if described.get(place[0]) is not None)
        days = await day_state.load(context.pool)
        missing: set[str] = set()
        for place in wanted:
            if place not in self.assigned or self.kafka is None:
                continue
            topic = described.get(place[0])
            if topic is None:
                missing.add(place[0])
                continue
            cursor = stored[place]
            reason = self.cursor_problem(place, topic, cursor, first[place])
            if reason is not None:
                self.halt(*place, reason)
            if place in self.halted:
                continue
            if place[0] in self.subscription.day_topics and cursor["watermark_day"] is not None:
                reached = day_state.reached(days, context.topics, *place)
                if reached is None or reached < cursor["watermark_day"]:
                    self.blocked.add(place)
                    continue
            self.blocked.discard(place)
            self.seek(*place, cursor["next_offset"])
            self.ready.add(place)
            self.kafka.resume(KafkaPartition(*place))
        if missing:
            # Retried: metadata is incomplete for a moment after a broker's restart. A lasting absence halts (watchdog).
            raise ConnectionError(f"not on the broker: {', '.join(sorted(missing))}")

    def cursor_problem(self, place: TopicPartition, topic: Described, cursor: Any, first_offset: int) -> str | None:
        """Return the reason for which a partition must halt, or None."""
        topics = self.context.topics
        return cursor_check.cursor_problem(
            topic,
            topic_id=cursor["topic_id"],
            partitions=topics.partitions(place[0], self.context.settings.partitions),
            next_offset=cursor["next_offset"],
            first_offset=first_offset,
            compacted=topics.topic(place[0]).compacted,
        )

    async def on_revoked(self) -> None:
        """End waits, and let the transactions in flight finish before the partitions are revoked.

        A worker that takes longer than a transaction may is cancelled, so that the group does not wait indefinitely.
        """
        self.interrupt.set()
        self.ready.clear()
        await asyncio.gather(*(worker.end(self.revoke_timeout) for worker in self._workers.values()))
        for place, worker in self._workers.items():
            if worker.working:  # cancelled but not finished: the next worker must not share its processor
                self._processors.pop(place, None)
        self._workers.clear()
        for topic, partition in self.assigned:
            self._drop_gauge(self.context.metrics.lag, topic, partition)
        self.assigned = set()
        self.blocked.clear()

    def _drop_gauge(self, gauge: Gauge, topic: str, partition: int) -> None:
        """Remove the gauge of a partition that another process has taken over, so that its alert can clear."""
        with contextlib.suppress(KeyError):
            gauge.remove(self.name, topic, str(partition))

    def on_assigned(self, assigned: set[TopicPartition]) -> None:
        """Take over the partitions that were assigned; they are paused."""
        self.assigned = assigned
        self._end_rest()
        self.topics = sorted({*self.topics, *(topic for topic, _ in assigned)})
        self.assignments += 1
        self._processors = {place: processor for place, processor in self._processors.items() if place in assigned}
        if self.subscription.coalesce:
            for place in assigned:
                self.processor(*place).may_have_coalesced()  # its former owner may have left some
        for place in self.halted.keys() - assigned:
            self._drop_gauge(self.context.metrics.halted, *place)
            del self.halted[place]
        if not self.stopping:
            self.interrupt.clear()
        self.context.metrics.rebalances.labels(self.name).inc()
        places = [f"{topic}/{partition}" for topic, partition in sorted(assigned)]
        log.info("partitions_assigned", consumer=self.name, partitions=places)

    def stop(self) -> None:
        """End all waits, as the process stops."""
        self.stopping = True
        self.interrupt.set()
