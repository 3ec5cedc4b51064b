"""One input partition: its fence, its sequence numbers, its day; one batch, one transaction, tried until committed."""

import asyncio
import time
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Protocol

from contracts.clock import DayBegan
from contracts.event import Envelope
from runtime.backoff import Backoff
from runtime.consume import parking
from runtime.consume.attempt import BatchAttempt, Blocked, OffsetGap, PartitionState
from runtime.consume.circuit_breaker import CircuitBreaker
from runtime.consume.decode import (
    DeadLetter,
    Decoded,
    RecordDecoder,
    UnreadableEvent,
    WatermarkRecord,
    is_shallow,
)
from runtime.consume.sequence import SequenceCheck, SequenceState, SequenceTracker
from runtime.consume.watermarks import Watermarks
from runtime.context import RuntimeContext
from runtime.errors import Halt, RetryLater, UnprocessableEvent
from runtime.handlers import Batch, InboundEvent
from runtime.observe.failpoints import failpoint
from runtime.observe.logs import log, where
from runtime.offload import run_in_thread
from runtime.publish.outbox import OutboxRow
from runtime.records import ConsumerRecord
from runtime.storage import sql
from runtime.storage.database import LOCK_TIMEOUT, Session, infrastructure
from runtime.subscription import Subscription

_LONGEST_CLOCK_JUMP = 400
"""Days. A clock that jumps further is wrong, not late."""
_FLUSH_ROWS = 1000
"""Coalesced snapshots that one transaction emits."""


class PartitionOwner(Protocol):
    """What holds a partition: its consumer group, as the partition sees it."""

    slots: asyncio.Semaphore
    interrupt: asyncio.Event

    @property
    def leaving(self) -> bool: ...
    def halt(self, topic: str, partition: int, reason: str) -> None: ...
    def block(self, topic: str, partition: int) -> None: ...
    def seek(self, topic: str, partition: int, offset: int) -> None: ...
    def committed(self, topic: str, partition: int, next_offset: int) -> None: ...


class PartitionProcessor:
    """One (consumer, topic, partition)."""

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
        self._labels = (subscription.name, topic, str(partition))
        self._entry = context.topics.topic(topic)
        self._one_partition = self._entry.partitions == "one"
        self._units_write = context.topics.is_written_by_units(topic)
        self.carries_days = topic in subscription.day_topics
        self._decoder = RecordDecoder(
            self._entry,
            topic,
            settings.county,
            units_write=self._units_write,
            marks=self._entry.carries_watermarks,
            day_source=self.carries_days and not self._entry.carries_watermarks,
            reads=subscription.reads,
        )
        self._handler = subscription.handlers.get(topic) or subscription.handlers.get(self._entry.name)
        self.coalescing_since: float | None = None
        """Since when snapshots may have been coalesced, by this process or by the partition's former owner."""
        self.may_have_coalesced()
        self._park_key = subscription.park_key if self._handler else None
        self._malformed = subscription.malformed if self._handler else None
        self._state: PartitionState | None = None
        self._decoded: dict[int, tuple[Envelope, Decoded] | DeadLetter] = {}
        self._legal_gap: tuple[int, int] | None = None
        self._breaker = CircuitBreaker(settings.breaker_in_a_row)
        self._began_at: float | None = None
        self._attempt_at: float | None = None
        self._locked_at: float | None = None
        """When the attempt that is going on, or has just failed, had its cursor."""

    @property
    def uncommitted_seconds(self) -> float:
        """For how many seconds the same batch has been waiting to be committed."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    @property
    def attempt_seconds(self) -> float:
        """For how many seconds one attempt has been going on."""
        return 0.0 if self._attempt_at is None else time.monotonic() - self._attempt_at

    async def apply(self, raws: Sequence[ConsumerRecord], *, more_to_come: bool = False) -> bool:
        """Apply records until they are committed (True), or the partition is halted, blocked or taken away.

        ``more_to_come``: more of a file is coming. No records: coalesced snapshots are emitted, a part at a time.
        """
        backoff = Backoff(self._context.settings)
        tries = 0
        careful = False
        try:
            while not self._owner.leaving:
                try:
                    return await self._attempt(raws, careful, more_to_come)
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
                    if careful:
                        raise RuntimeError("an unprocessable event was not found by halving") from error
                    careful = True
                except Exception as error:
                    if _is_cancelled():
                        raise asyncio.CancelledError from error
                    long = self._ran_too_long(error)
                    tries = await self._handle_failure(error, tries, backoff)
                    careful = careful or tries >= self._context.settings.tries
                    if long and len(raws) > 1:
                        # The whole batch would be cut off again, as on a slow machine.
                        middle = len(raws) // 2
                        halves = raws[:middle], raws[middle:]
                        return await self.apply(halves[0], more_to_come=more_to_come) and await self.apply(
                            halves[1], more_to_come=more_to_come
                        )
            return False
        finally:
            self._began_at = self._attempt_at = None
            self._decoded.clear()

    async def _attempt(self, raws: Sequence[ConsumerRecord], careful: bool, more: bool) -> bool:
        """One transaction, as soon as there is a session for it. Who waits to try again leaves his to others."""
        async with self._owner.slots:
            if self._owner.leaving:
                return False
            self._attempt_at, self._locked_at = time.monotonic(), None
            self._began_at = self._began_at or self._attempt_at
            return await self._transact(raws, careful, more)

    async def flush_coalesced(self) -> None:
        """Emit coalesced snapshots: no more is coming, or they have been held for long enough."""
        while self.coalescing_since is not None and await self.apply(()):
            pass

    async def release(self, session: Session, raws: Sequence[ConsumerRecord]) -> list[OutboxRow]:
        """Decide parked events, for the day that the partition is in now.

        Raises:
            Unprocessable: one of them still cannot be read.
        """
        facts = await session.fetchrow(sql.FACTS, self._subscription.name, self.partition, self._one_partition)
        assert facts is not None
        work = BatchAttempt(raws, facts["day"], facts["now"], facts["county"], None)
        events: list[InboundEvent[Any]] = []
        for raw in raws:
            decoded = self._decode_one(raw)
            read = decoded if isinstance(decoded, DeadLetter) else decoded[1]
            if isinstance(read, UnreadableEvent | DeadLetter):
                raise UnprocessableEvent(read.reason)
            if isinstance(read, InboundEvent):
                events.append(read)
        if not events or self._handler is None:
            return []
        return await self._decide(session, work, events)

    def _ran_too_long(self, error: Exception) -> bool:
        """Whether an attempt failed at no event, after it had worked for longer than a session may be idle."""
        if self._locked_at is None or not infrastructure(error):
            return False
        return time.monotonic() - self._locked_at > self._context.settings.idle_in_transaction_timeout

    async def _handle_failure(self, error: Exception, tries: int, backoff: Backoff) -> int:
        """Wait after a failure; the number of unexpected ones so far."""
        cause = type(error).__name__
        self._state = None
        self._attempt_at = None
        self._context.metrics.retries.labels(self._subscription.name, cause).inc()
        about = {"consumer": self._subscription.name, "topic": self.topic, "partition": self.partition, "error": cause}
        if isinstance(error, RetryLater):
            log.info("event_deferred", reason=str(error), **about)
        elif infrastructure(error):
            log.warning("retry_scheduled", after=round(backoff.following, 2), **about)
        else:
            tries += 1
            log.error("handler_failed", tries=tries, where=where(error), **about)
        await backoff.wait(self._owner.interrupt, self._context.county_changed)
        return tries

    async def _handle_gap(self, gap: OffsetGap, backoff: Backoff) -> bool:
        """Judge a jump of the log. True: this batch is over (halted, or fetched again from the cursor)."""
        place = (self.topic, self.partition)
        try:
            first = (await self._context.admin.first_offsets([place]))[place]
        except OSError:
            await backoff.wait(self._owner.interrupt)
            return False
        if first > gap.wanted:
            self._owner.halt(self.topic, self.partition, f"retention overran the cursor: {gap.wanted} is gone")
            return True
        # Transactions of a plain client leave jumps that are no loss: seen twice in the same place, it is one.
        self._legal_gap = (gap.wanted, gap.found)
        self._owner.seek(self.topic, self.partition, gap.wanted)
        return True

    async def _transact(self, raws: Sequence[ConsumerRecord], careful: bool, more: bool) -> bool:
        """Run one transaction. Records behind a watermark are left: they are read again when the day is complete."""
        context = self._context
        started = time.perf_counter()
        await run_in_thread(len(raws), self._decode_all, raws)
        async with context.pool.acquire(timeout=LOCK_TIMEOUT) as session:  # noqa: SIM117
            async with session.transaction():
                cursor = await session.fetchrow(sql.LOCK_CURSOR, self._subscription.name, self.topic, self.partition)
                if cursor is None:
                    raise Halt("there is no cursor")
                self._locked_at = time.monotonic()
                fresh = self._after_fence(raws, cursor["next_offset"]) if raws else raws
                if raws and not fresh:
                    self.may_have_coalesced()
                    return True
                work, numbers, marks = await self._prepare(session, cursor, fresh)
                await self._handle(session, work, careful)
                keeps = await self._coalesce(session, work, cursor["producer_id"], more)
                outcomes = _outcomes(work, of_unit=self._units_write)
                self._breaker.run = cursor["breaker_run"]
                run = self._breaker.check(outcomes)
                await context.outbox.write(session, cursor["producer_id"], work.rows)
                next_offset = fresh[work.consumed - 1].offset + 1 if fresh else cursor["next_offset"]
                await self._save(session, work, numbers, marks, next_offset, run)
                if work.rows or work.coalesced:
                    failpoint("before_commit")
        if work.rows or work.coalesced:
            failpoint("after_commit")
        self._breaker.record(outcomes, run)
        self._state = PartitionState(next_offset, numbers.seen, marks.by_producer)
        self.coalescing_since = None if not keeps else self.coalescing_since or time.monotonic()
        self._report(work, next_offset, time.perf_counter() - started)
        return not work.completes_day

    def may_have_coalesced(self) -> None:
        """Assume that snapshots were coalesced that this process does not know of."""
        if self._subscription.coalesce:
            self.coalescing_since = self.coalescing_since or time.monotonic()

    async def _coalesce(self, session: Session, work: BatchAttempt, producer_id: int, more: bool) -> bool:
        """Coalesce snapshots, or emit the coalesced: all of them before the day ends. True if some may be left."""
        if not self._subscription.coalesce:
            return False
        outbox = self._context.outbox
        keeps = self.coalescing_since is not None
        if more:
            emitted = len(work.rows)
            work.rows = await outbox.coalesce(session, producer_id, work.rows)
            work.coalesced = emitted - len(work.rows)
            keeps = keeps or work.coalesced > 0
        kept: list[OutboxRow] = []
        while work.completes_day or not work.raws:
            taken = await outbox.take_coalesced(session, producer_id, _FLUSH_ROWS)
            kept += taken
            keeps = len(taken) == _FLUSH_ROWS
            if not keeps or not work.completes_day:
                break
        work.rows = kept + work.rows
        return keeps

    def _after_fence(self, raws: Sequence[ConsumerRecord], next_offset: int) -> Sequence[ConsumerRecord]:
        fresh = raws if raws[0].offset >= next_offset else [raw for raw in raws if raw.offset >= next_offset]
        if len(fresh) < len(raws):
            self._context.metrics.fenced.labels(*self._labels).inc(len(raws) - len(fresh))
            log.info("records_fenced", consumer=self._subscription.name, topic=self.topic, partition=self.partition,
                     records=len(raws) - len(fresh))  # fmt: skip
        if fresh and fresh[0].offset > next_offset and not self._entry.compacted:
            if self._legal_gap != (next_offset, fresh[0].offset):
                raise OffsetGap(next_offset, fresh[0].offset)
            self._context.metrics.gaps.labels(*self._labels).inc()
        return fresh

    async def _prepare(
        self, session: Session, cursor: Any, fresh: Sequence[ConsumerRecord]
    ) -> tuple[BatchAttempt, SequenceTracker, Watermarks]:
        """Read what the batch needs and decode it, up to the watermark that ends the partition's day."""
        consumer = self._subscription.name
        facts = await session.fetchrow(sql.FACTS, consumer, self.partition, self._one_partition)
        assert facts is not None
        watermark_day = cursor["watermark_day"]
        if self.carries_days and watermark_day is not None and (facts["day"] is None or facts["day"] < watermark_day):
            raise Blocked
        known = self._state
        if known is None or known.next_offset != cursor["next_offset"]:
            known = await self._load_state(session, cursor["next_offset"])
        numbers = SequenceTracker(known.seen, from_first=cursor["from_first"])
        marks = Watermarks(dict(known.marks))
        work = BatchAttempt(fresh, facts["day"], facts["now"], facts["county"], watermark_day)
        for raw in fresh:
            work.consumed += 1
            if self._read(raw, work, numbers, marks, facts["at"]):
                break
        if facts["parked"]:
            work.parked.keys = await self._parked_among(session, work.reads)
        return work, numbers, marks

    async def _load_state(self, session: Session, next_offset: int) -> PartitionState:
        place = (self._subscription.name, self.topic, self.partition)
        seen = {
            (row["source"], row["producer_id"]): SequenceState(row["last_seq"], row["gap_since"])
            for row in await session.fetch(sql.SEQUENCES, *place)
        }
        marks: dict[tuple[str, int], tuple[int, date]] = {}
        if self.carries_days:
            rows = await session.fetch(sql.WATERMARKS, *place)
            marks = {(row["source"], row["producer_id"]): (row["producers"], row["day"]) for row in rows}
        return PartitionState(next_offset, seen, marks)

    def _read(
        self, raw: ConsumerRecord, work: BatchAttempt, numbers: SequenceTracker, marks: Watermarks, now: datetime
    ) -> bool:
        """Take one record into the batch. True if it is the watermark that ends the partition's day."""
        decoded = self._decoded[raw.offset]
        if isinstance(decoded, DeadLetter):
            work.dead.append(decoded)
            return False
        envelope, read = decoded
        if envelope.producer_id is not None and envelope.sequence is not None:
            turn = numbers.check(envelope.source, envelope.producer_id, envelope.sequence, now)
            if turn is SequenceCheck.DUPLICATE:
                work.duplicates += 1
                return False
            if turn is SequenceCheck.OUT_OF_ORDER:
                work.out_of_order += 1
                self._check_gap_timeout(numbers, envelope, now)
                return False
        if isinstance(read, WatermarkRecord):
            return self.carries_days and self._apply_watermark(read, work, marks)
        if isinstance(read, DeadLetter):
            work.dead.append(read)
        elif read is not None:
            work.reads.append(read)
        return False

    def _decode_all(self, raws: Sequence[ConsumerRecord]) -> None:
        for raw in raws:
            if raw.offset not in self._decoded:
                self._decoded[raw.offset] = self._decode_one(raw)

    def _decode_one(self, raw: ConsumerRecord) -> tuple[Envelope, Decoded] | DeadLetter:
        """Read one record. Nothing is asked of anybody here, so whatever fails is this record's own matter."""
        try:
            envelope = self._decoder.envelope(raw)
            return envelope if isinstance(envelope, DeadLetter) else (envelope, self._decode(raw, envelope))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - what nobody thought of must stop no other record
            return DeadLetter(raw, f"{type(error).__name__} in {where(error)}")

    def _decode(self, raw: ConsumerRecord, envelope: Envelope) -> Decoded:
        """Return an event; for one that cannot be read, the event that the service makes of it, if any."""
        read = self._decoder.decode(raw, envelope)
        if isinstance(read, UnreadableEvent) and self._malformed is not None and raw.value is not None:
            event = self._malformed(envelope, raw.value if is_shallow(raw.value) else b"", read.reason)
            if event is not None:
                return InboundEvent(event, envelope, raw.topic, raw.partition, raw.offset)
        return read

    def _check_gap_timeout(self, numbers: SequenceTracker, envelope: Envelope, now: datetime) -> None:
        assert envelope.producer_id is not None
        seen = numbers.seen[envelope.source, envelope.producer_id]
        patience = self._context.settings.gap_timeout
        if seen.gap_since is not None and (now - seen.gap_since).total_seconds() > patience:
            raise Halt(
                f"number {seen.last_sequence + 1} of producer {envelope.producer_id} of {envelope.source} does not come"
            )

    def _apply_watermark(self, mark: WatermarkRecord, work: BatchAttempt, marks: Watermarks) -> bool:
        event = mark.event
        if isinstance(event, DayBegan):
            day: date | None = event.day
            if work.watermark_day is not None and (event.day - work.watermark_day).days > _LONGEST_CLOCK_JUMP:
                raise Halt(f"the clock jumped from {work.watermark_day} to {event.day}")
        elif mark.envelope.producer_id is None:
            work.dead.append(DeadLetter(mark.raw, "a watermark without a producer id"))
            return False
        else:
            day = marks.reached(mark.envelope.source, mark.envelope.producer_id, event.producers, event.day)
        if day is None or (work.watermark_day is not None and day <= work.watermark_day):
            return False
        work.watermark_day = day
        work.completes_day = True
        return True

    async def _parked_among(self, session: Session, reads: Sequence[InboundEvent[Any] | UnreadableEvent]) -> set[str]:
        keys = {key for read in reads for key in self._keys(read)}
        rows = await session.fetch(sql.PARKED_KEYS, self._subscription.name, sorted(keys))
        return {row["key"] for row in rows}

    def _keys(self, read: InboundEvent[Any] | UnreadableEvent) -> tuple[str, ...]:
        """What an event queues behind: its own park key, and its record's key, under which the unreadable park.

        On a unit's own topic the unreadable park alone: its keys are its own choice, and may all be the same.
        """
        envelope = read.envelope
        if isinstance(read, UnreadableEvent):
            return (str(envelope.id),) if self._units_write else (envelope.key,)
        if self._park_key is None:
            return (envelope.key,)
        own = self._park_key(read.event, envelope)
        return (own,) if self._units_write else (own, envelope.key)

    async def _handle(self, session: Session, work: BatchAttempt, careful: bool) -> None:
        events: list[InboundEvent[Any]] = []
        raws = {raw.offset: raw for raw in work.raws} if work.parked.keys or careful else {}
        for read in work.reads:
            offset = read.offset if isinstance(read, InboundEvent) else read.raw.offset
            held = work.parked.parked_among(*self._keys(read)) if work.parked.keys else None
            if held is not None:
                work.parked.queue(held, raws.get(offset) or _raw(work.raws, offset))
            elif isinstance(read, UnreadableEvent):
                work.parked.park(self._keys(read)[0], read.raw, read.reason)
            else:
                events.append(read)
        if not events or self._handler is None:
            return
        if careful:
            work.rows = await self._bisect(session, work, events, raws)
        else:
            work.rows = await self._decide(session, work, events)
        work.applied = len(events) - len(work.parked.bad.intersection(event.offset for event in events))

    async def _decide(
        self, session: Session, work: BatchAttempt, events: Sequence[InboundEvent[Any]]
    ) -> list[OutboxRow]:
        assert self._handler is not None
        county = await self._county(session, work.county)
        batch: Batch[Any] = Batch(
            events=events,
            topic=self.topic,
            partition=self.partition,
            on=work.day,
            now=work.now,
            county=county,
            partitions=self._context.settings.partitions,
        )
        emitted = await self._handler(batch, session)
        return await run_in_thread(len(emitted), self._context.outbox.rows, emitted)

    async def _county(self, session: Session, version: str | None) -> Any:
        if not self._subscription.needs_county:
            return None
        return await self._context.counties.get(session, version)

    async def _bisect(
        self, session: Session, work: BatchAttempt, events: Sequence[InboundEvent[Any]], raws: dict[int, ConsumerRecord]
    ) -> list[OutboxRow]:
        """Find the events that cannot work: each half in a savepoint of its own, down to one event."""
        events = self._not_parked(work, events, raws)
        if not events:
            return []
        try:
            async with session.transaction():
                return await self._decide(session, work, events)
        except Exception as error:
            if infrastructure(error) or isinstance(error, Halt):
                raise
            if len(events) == 1:
                self._park(work, events[0], raws[events[0].offset], error)
                return []
        middle = len(events) // 2
        first = await self._bisect(session, work, events[:middle], raws)
        return first + await self._bisect(session, work, events[middle:], raws)

    def _not_parked(
        self, work: BatchAttempt, events: Sequence[InboundEvent[Any]], raws: dict[int, ConsumerRecord]
    ) -> list[InboundEvent[Any]]:
        free: list[InboundEvent[Any]] = []
        for event in events:
            held = work.parked.parked_among(*self._keys(event))
            if held is None:
                free.append(event)
            else:
                work.parked.queue(held, raws[event.offset])
        return free

    def _park(self, work: BatchAttempt, event: InboundEvent[Any], raw: ConsumerRecord, error: Exception) -> None:
        reason = str(error) if isinstance(error, UnprocessableEvent) else f"{type(error).__name__} in {where(error)}"
        work.parked.park(self._keys(event)[0], raw, reason)

    async def _save(
        self,
        session: Session,
        work: BatchAttempt,
        numbers: SequenceTracker,
        marks: Watermarks,
        next_offset: int,
        run: int,
    ) -> None:
        place = (self._subscription.name, self.topic, self.partition)
        if work.parked.queued:
            await parking.save_parked(session, self._context.parking_cipher, *place, work.parked)
        if work.dead:
            await parking.save_dead_letters(session, self._context.parking_cipher, *place, work.dead)
        if numbers.changed:
            keys = sorted(numbers.changed)
            seen = [numbers.seen[key] for key in keys]
            await session.execute(
                sql.SAVE_SEQUENCES,
                *place,
                [source for source, _ in keys],
                [producer_id for _, producer_id in keys],
                [one.last_sequence for one in seen],
                [one.gap_since for one in seen],
            )
        if marks.changed:
            keys = sorted(marks.changed)
            await session.execute(
                sql.SAVE_WATERMARKS,
                *place,
                [source for source, _ in keys],
                [producer_id for _, producer_id in keys],
                [marks.by_producer[key][0] for key in keys],
                [marks.by_producer[key][1] for key in keys],
            )
        await session.execute(sql.MOVE_CURSOR, *place, next_offset, run, work.watermark_day)

    def _report(self, work: BatchAttempt, next_offset: int, seconds: float) -> None:
        metrics = self._context.metrics
        consumer = self._subscription.name
        metrics.events.labels(*self._labels).inc(work.applied)
        if work.consumed:
            metrics.batch_size.labels(consumer).observe(work.consumed)
        metrics.transaction.labels(consumer).observe(seconds)
        metrics.emitted.labels(consumer).inc(len(work.rows))
        about = {"consumer": consumer, "topic": self.topic, "partition": self.partition}
        if work.duplicates:
            metrics.duplicates.labels(*self._labels).inc(work.duplicates)
        if work.out_of_order:
            metrics.out_of_order.labels(*self._labels).inc(work.out_of_order)
            log.warning("sequence_out_of_order", records=work.out_of_order, **about)
        for key, offset, reason in work.parked.new:
            metrics.parked.labels(consumer).inc()
            log.warning("event_parked", key=key, offset=offset, reason=reason, **about)
        for dead in work.dead:
            metrics.dead_letters.labels(consumer).inc()
            log.warning("record_dead_lettered", offset=dead.raw.offset, reason=dead.reason, **about)
        if work.completes_day:
            self._owner.block(self.topic, self.partition)
        log.debug(
            "batch_committed", records=work.consumed, emitted=len(work.rows), ms=round(seconds * 1000, 1), **about
        )
        self._owner.committed(self.topic, self.partition, next_offset)
        if work.rows:
            self._context.outbox_written.set()


def _outcomes(work: BatchAttempt, *, of_unit: bool) -> list[bool]:
    """Good and bad in offset order; what only queued behind another is neither.

    On a unit's own topic nor is what cannot be read: its sender may send any amount of it, and is still read.
    """
    bad = work.parked.bad | {dead.raw.offset for dead in work.dead}
    queued = {raw.offset for _, raw in work.parked.queued} - bad
    offsets = [read.offset for read in work.reads if isinstance(read, InboundEvent)]
    if not of_unit:
        offsets += [dead.raw.offset for dead in work.dead]
        offsets += [read.raw.offset for read in work.reads if isinstance(read, UnreadableEvent)]
    return [offset in bad for offset in sorted(offsets) if offset not in queued]


def _is_cancelled() -> bool:
    """True if this task was cancelled, though what ended its attempt was another error: the rollback's, for example."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _raw(raws: Sequence[ConsumerRecord], offset: int) -> ConsumerRecord:
    return next(raw for raw in raws if raw.offset == offset)
