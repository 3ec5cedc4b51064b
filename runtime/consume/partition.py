"""Processes one input partition: each batch is one transaction, retried until it is committed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol

from runtime.backoff import Backoff
from runtime.consume.attempt import BatchAttempt, Blocked, OffsetGap, PartitionState
from runtime.consume.circuit_breaker import CircuitBreaker
from runtime.consume.coalescing import Coalescing
from runtime.consume.decode import RecordDecoder, UnreadableEvent
from runtime.consume.handling import EventHandling
from runtime.consume.partition_state import load_state, save_attempt
from runtime.consume.reading import BatchReader
from runtime.consume.reporting import PartitionReporter
from runtime.consume.sequence import SequenceTracker
from runtime.consume.watermarks import Watermarks
from runtime.context import RuntimeContext
from runtime.errors import Halt, RetryLater, UnprocessableEvent
from runtime.handlers import InboundEvent
from runtime.observe.failpoints import failpoint
from runtime.offload import run_in_thread
from runtime.publish.outbox import OutboxRow
from runtime.records import ConsumerRecord
from runtime.storage import sql
from runtime.storage.database import LOCK_TIMEOUT, Session, infrastructure
from runtime.subscription import Subscription


class PartitionOwner(Protocol):
    """The interface of a consumer group that a partition uses."""

    slots: asyncio.Semaphore
    interrupt: asyncio.Event

    @property
    def leaving(self) -> bool:
        """True when the partition is being revoked or the service stops: no new attempt is begun."""

    def halt(self, topic: str, partition: int, reason: str) -> None:
        """Stop reading the partition until the process is started again, and report why."""

    def block(self, topic: str, partition: int) -> None:
        """Stop reading the partition until its day is complete."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read the partition again from an offset."""

    def committed(self, topic: str, partition: int, next_offset: int) -> None:
        """Record that a transaction was committed and that the cursor is at ``next_offset``."""


class PartitionProcessor:
    """Processes the records of one (consumer, topic, partition)."""

    def __init__(
        self, context: RuntimeContext, subscription: Subscription, owner: PartitionOwner, topic: str, partition: int
    ) -> None:
        settings = context.settings
        self._context = context
        self._subscription = subscription
        self._owner = owner
        self.topic = topic
        self.partition = partition
        self.place = (topic, partition)
        self._consumer_place = (subscription.name, topic, partition)
        self._entry = context.topics.topic(topic)
        self._one_partition = self._entry.partitions == "one"
        self._units_write = context.topics.is_written_by_units(topic)
        self.carries_days = topic in subscription.day_topics
        self._handling = EventHandling(context, subscription, topic, partition)
        decoder = RecordDecoder(
            self._entry,
            topic,
            settings.county,
            units_write=self._units_write,
            carries_watermarks=self._entry.carries_watermarks,
            day_source=self.carries_days and not self._entry.carries_watermarks,
            reads=subscription.reads,
        )
        self._reader = BatchReader(
            decoder,
            subscription.malformed if self._handling.handles else None,
            carries_days=self.carries_days,
            gap_timeout=settings.gap_timeout,
        )
        self._coalescing = Coalescing(context.outbox, coalesces=subscription.coalesce)
        self._reporter = PartitionReporter(context.metrics, subscription.name, topic, partition)
        self._state: PartitionState | None = None
        self._accepted_gap: tuple[int, int] | None = None
        self._breaker = CircuitBreaker(settings.breaker_in_a_row)
        self._began_at: float | None = None
        self._attempt_at: float | None = None
        self._locked_at: float | None = None
        """Monotonic seconds at which the current attempt, or the one that has just failed, locked its cursor."""

    @property
    def uncommitted_seconds(self) -> float:
        """Seconds since the first attempt at the current batch; 0 without one."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    @property
    def attempt_seconds(self) -> float:
        """Seconds since the current attempt began; 0 without one."""
        return 0.0 if self._attempt_at is None else time.monotonic() - self._attempt_at

    @property
    def coalescing_since(self) -> float | None:
        """Monotonic seconds since which snapshots may be coalesced, by this process or the partition's former owner."""
        return self._coalescing.since

    def may_have_coalesced(self) -> None:
        """Assume that snapshots were coalesced that this process does not know of."""
        self._coalescing.may_hold_some()

    async def apply(self, raws: Sequence[ConsumerRecord], *, more_to_come: bool = False) -> bool:
        """Apply records until they are committed (True), or the partition is halted, blocked or taken away.

        ``more_to_come``: more of a file is expected. Without records, a part of the coalesced snapshots is emitted.
        """
        backoff = Backoff(self._context.settings)
        tries = 0
        isolate = False
        try:
            while not self._owner.leaving:
                try:
                    return await self._attempt(raws, isolate, more_to_come)
                except Halt as halt:
                    self._owner.halt(self.topic, self.partition, str(halt))
                    return False
                except Blocked:
                    self._owner.block(self.topic, self.partition)
                    return False
                except OffsetGap as gap:
                    if await self._handle_gap(gap, backoff):
                        return False
                except UnprocessableEvent as error:
                    if isolate:
                        raise RuntimeError("bisecting did not find the unprocessable event") from error
                    isolate = True
                except Exception as error:
                    if _is_cancelled():
                        raise asyncio.CancelledError from error
                    long = self._ran_too_long(error)
                    tries = await self._handle_failure(error, tries, backoff)
                    isolate = isolate or tries >= self._context.settings.tries
                    if long and len(raws) > 1:
                        # The whole batch would exceed the time limit again, as on a slow machine.
                        middle = len(raws) // 2
                        halves = raws[:middle], raws[middle:]
                        return await self.apply(halves[0], more_to_come=more_to_come) and await self.apply(
                            halves[1], more_to_come=more_to_come
                        )
            return False
        finally:
            self._began_at = self._attempt_at = None
            self._reader.forget()

    async def flush_coalesced(self) -> None:
        """Emit all coalesced snapshots: no more of the file is expected, or their time limit has passed."""
        while self.coalescing_since is not None and await self.apply(()):
            pass

    async def release(self, session: Session, raws: Sequence[ConsumerRecord]) -> list[OutboxRow]:
        """Apply parked events on the current day of the partition.

        Raises:
            UnprocessableEvent: one of them still cannot be read.
        """
        facts = await session.fetchrow(sql.FACTS, self._subscription.name, self.partition, self._one_partition)
        assert facts is not None
        attempt = BatchAttempt(raws, facts["day"], facts["now"], facts["county"], None)
        events = self._reader.events(raws)
        if not events or not self._handling.handles:
            return []
        return await self._handling.decide(session, attempt, events)

    async def _attempt(self, raws: Sequence[ConsumerRecord], isolate: bool, more_to_come: bool) -> bool:
        """Run one transaction when a slot is free. A partition that waits for a retry holds no slot."""
        async with self._owner.slots:
            if self._owner.leaving:
                return False
            self._attempt_at, self._locked_at = time.monotonic(), None
            self._began_at = self._began_at or self._attempt_at
            return await self._transact(raws, isolate, more_to_come)

    def _ran_too_long(self, error: Exception) -> bool:
        """Return whether the infrastructure ended an attempt that had run for longer than a session may be idle."""
        if self._locked_at is None or not infrastructure(error):
            return False
        return time.monotonic() - self._locked_at > self._context.settings.idle_in_transaction_timeout

    async def _handle_failure(self, error: Exception, tries: int, backoff: Backoff) -> int:
        """Wait after a failure; return the number of unexpected failures so far."""
        self._state = None
        self._attempt_at = None
        if not isinstance(error, RetryLater) and not infrastructure(error):
            tries += 1
        self._reporter.failed(error, tries=tries, retry_after=backoff.following)
        await backoff.wait(self._owner.interrupt, self._context.county_changed)
        return tries

    async def _handle_gap(self, gap: OffsetGap, backoff: Backoff) -> bool:
        """Handle an offset gap.

        Return True if the batch is over: the partition was halted, or is fetched again from the cursor.
        """
        try:
            first = (await self._context.admin.first_offsets([self.place]))[self.place]
        except OSError:
            await backoff.wait(self._owner.interrupt)
            return False
        if first > gap.wanted:
            self._owner.halt(self.topic, self.partition, f"retention overran the cursor: {gap.wanted} is gone")
            return True
        # A plain client's transactions leave offset gaps without loss; a gap that is found twice at the same offset
        # is accepted.
        self._accepted_gap = (gap.wanted, gap.found)
        self._owner.seek(self.topic, self.partition, gap.wanted)
        return True

    async def _transact(self, raws: Sequence[ConsumerRecord], isolate: bool, more_to_come: bool) -> bool:
        """Run one transaction. Records after a watermark are read again when the day is complete."""
        context = self._context
        started = time.perf_counter()
        await run_in_thread(len(raws), self._reader.decode_all, raws)
        async with context.pool.acquire(timeout=LOCK_TIMEOUT) as session:  # noqa: SIM117
            async with session.transaction():
                cursor = await session.fetchrow(sql.LOCK_CURSOR, *self._consumer_place)
                if cursor is None:
                    raise Halt("there is no cursor")
                self._locked_at = time.monotonic()
                fresh = self._after_fence(raws, cursor["next_offset"]) if raws else raws
                if raws and not fresh:
                    self.may_have_coalesced()
                    return True
                producer_id = cursor["producer_id"]
                attempt, sequences, watermarks = await self._prepare(session, cursor, fresh)
                await self._handling.handle(session, attempt, isolate=isolate)
                may_be_left = await self._coalescing.apply(session, attempt, producer_id, more_to_come=more_to_come)
                outcomes = _outcomes(attempt, of_unit=self._units_write)
                self._breaker.run = cursor["breaker_run"]
                run = self._breaker.check(outcomes)
                await context.outbox.write(session, producer_id, attempt.rows)
                next_offset = fresh[attempt.consumed - 1].offset + 1 if fresh else cursor["next_offset"]
                await save_attempt(
                    session, context.parking_cipher, self._consumer_place, attempt, sequences, watermarks
                )
                await session.execute(sql.MOVE_CURSOR, *self._consumer_place, next_offset, run, attempt.watermark_day)
                if attempt.rows or attempt.coalesced:
                    failpoint("before_commit")
        if attempt.rows or attempt.coalesced:
            failpoint("after_commit")
        self._breaker.record(outcomes, run)
        self._state = PartitionState(next_offset, sequences.seen, watermarks.by_producer)
        self._coalescing.committed(may_be_left=may_be_left)
        self._after_commit(attempt, next_offset, time.perf_counter() - started)
        return not attempt.completes_day

    def _after_fence(self, raws: Sequence[ConsumerRecord], next_offset: int) -> Sequence[ConsumerRecord]:
        fresh = raws if raws[0].offset >= next_offset else [raw for raw in raws if raw.offset >= next_offset]
        if len(fresh) < len(raws):
            self._reporter.fenced(len(raws) - len(fresh))
        if fresh and fresh[0].offset > next_offset and not self._entry.compacted:
            if self._accepted_gap != (next_offset, fresh[0].offset):
                raise OffsetGap(next_offset, fresh[0].offset)
            self._reporter.passed_gap()
        return fresh

    async def _prepare(
        self, session: Session, cursor: Any, fresh: Sequence[ConsumerRecord]
    ) -> tuple[BatchAttempt, SequenceTracker, Watermarks]:
        """Load the state that the batch needs, and read it up to the watermark that ends the partition's day."""
        facts = await session.fetchrow(sql.FACTS, self._subscription.name, self.partition, self._one_partition)
        assert facts is not None
        watermark_day = cursor["watermark_day"]
        if self.carries_days and watermark_day is not None and (facts["day"] is None or facts["day"] < watermark_day):
            raise Blocked
        state = self._state
        if state is None or state.next_offset != cursor["next_offset"]:
            state = await load_state(
                session, *self._consumer_place, cursor["next_offset"], carries_days=self.carries_days
            )
        sequences = SequenceTracker(state.seen, from_first=cursor["from_first"])
        watermarks = Watermarks(dict(state.watermarks))
        attempt = BatchAttempt(fresh, facts["day"], facts["now"], facts["county"], watermark_day)
        self._reader.read_all(attempt, sequences, watermarks, facts["at"])
        if facts["parked"]:
            await self._handling.load_parked(session, attempt)
        return attempt, sequences, watermarks

    def _after_commit(self, attempt: BatchAttempt, next_offset: int, seconds: float) -> None:
        self._reporter.committed(attempt, seconds)
        if attempt.completes_day:
            self._owner.block(self.topic, self.partition)
        self._owner.committed(self.topic, self.partition, next_offset)
        if attempt.rows:
            self._context.outbox_written.set()


def _outcomes(attempt: BatchAttempt, *, of_unit: bool) -> list[bool]:
    """Return in offset order whether each event failed; an event that only queued behind another is not counted.

    Nor are unreadable records on a unit's own topic, so that a unit cannot halt its partition by sending them.
    """
    bad = attempt.parked.bad | {dead.raw.offset for dead in attempt.dead}
    queued = {raw.offset for _, raw in attempt.parked.queued} - bad
    offsets = [read.offset for read in attempt.reads if isinstance(read, InboundEvent)]
    if not of_unit:
        offsets += [dead.raw.offset for dead in attempt.dead]
        offsets += [read.raw.offset for read in attempt.reads if isinstance(read, UnreadableEvent)]
    return [offset in bad for offset in sorted(offsets) if offset not in queued]


def _is_cancelled() -> bool:
    """Return whether this task was cancelled though another error, such as the rollback's, ended its attempt."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
