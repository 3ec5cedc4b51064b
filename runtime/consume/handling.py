"""Calls a partition's handler, bisects a failing batch to find the event that fails, and parks that event."""

from collections.abc import Sequence
from typing import Any

from runtime.consume.attempt import BatchAttempt
from runtime.consume.decode import UnreadableEvent
from runtime.context import RuntimeContext
from runtime.errors import Halt, UnprocessableEvent
from runtime.handlers import Batch, InboundEvent
from runtime.observe.logs import where
from runtime.offload import run_in_thread
from runtime.publish.outbox import OutboxRow
from runtime.records import ConsumerRecord
from runtime.storage import sql
from runtime.storage.database import Session, infrastructure
from runtime.subscription import Subscription


class EventHandling:
    """Applies one partition's events, except those that queue behind a parked one."""

    def __init__(self, context: RuntimeContext, subscription: Subscription, topic: str, partition: int) -> None:
        self._context = context
        self._subscription = subscription
        self._topic = topic
        self._partition = partition
        self._handler = subscription.handlers.get(topic) or subscription.handlers.get(context.topics.topic(topic).name)
        self._park_key = subscription.park_key if self._handler else None
        self._units_write = context.topics.is_written_by_units(topic)

    @property
    def handles(self) -> bool:
        """True if the subscription has a handler for this topic."""
        return self._handler is not None

    async def load_parked(self, session: Session, attempt: BatchAttempt) -> None:
        """Load the parked keys that events of the attempt queue behind."""
        keys = {key for read in attempt.reads for key in self._keys(read)}
        rows = await session.fetch(sql.PARKED_KEYS, self._subscription.name, sorted(keys))
        attempt.parked.keys = {row["key"] for row in rows}

    async def handle(self, session: Session, attempt: BatchAttempt, *, isolate: bool) -> None:
        """Apply the attempt's events and store the emitted events as its rows.

        ``isolate``: whether a failing batch is bisected and its failing events are parked.
        """
        events: list[InboundEvent[Any]] = []
        raws = {raw.offset: raw for raw in attempt.raws} if attempt.parked.keys or isolate else {}
        for read in attempt.reads:
            offset = read.offset if isinstance(read, InboundEvent) else read.raw.offset
            parked_key = attempt.parked.parked_among(*self._keys(read)) if attempt.parked.keys else None
            if parked_key is not None:
                attempt.parked.queue(parked_key, raws.get(offset) or _raw(attempt.raws, offset))
            elif isinstance(read, UnreadableEvent):
                attempt.parked.park(self._keys(read)[0], read.raw, read.reason)
            else:
                events.append(read)
        if not events or self._handler is None:
            return
        if isolate:
            attempt.rows = await self._bisect(session, attempt, events, raws)
        else:
            attempt.rows = await self.decide(session, attempt, events)
        attempt.applied = len(events) - len(attempt.parked.bad.intersection(event.offset for event in events))

    async def decide(
        self, session: Session, attempt: BatchAttempt, events: Sequence[InboundEvent[Any]]
    ) -> list[OutboxRow]:
        """Call the handler once with these events, and return the rows of the emitted events."""
        assert self._handler is not None
        county = await self._county(session, attempt.county)
        batch: Batch[Any] = Batch(
            events=events,
            topic=self._topic,
            partition=self._partition,
            on=attempt.day,
            now=attempt.now,
            county=county,
            partitions=self._context.settings.partitions,
        )
        emitted = await self._handler(batch, session)
        return await run_in_thread(len(emitted), self._context.outbox.rows, emitted)

    async def _county(self, session: Session, version: str | None) -> Any:
        if not self._subscription.needs_county:
            return None
        return await self._context.counties.get(session, version)

    def _keys(self, read: InboundEvent[Any] | UnreadableEvent) -> tuple[str, ...]:
        """Return the keys that an event queues behind: its park key, and its record's key (that of unreadable events).

        On a unit's own topic an unreadable event queues behind itself alone: the unit chooses the record keys, which
        may all be equal.
        """
        envelope = read.envelope
        if isinstance(read, UnreadableEvent):
            return (str(envelope.id),) if self._units_write else (envelope.key,)
        if self._park_key is None:
            return (envelope.key,)
        own = self._park_key(read.event, envelope)
        return (own,) if self._units_write else (own, envelope.key)

    async def _bisect(
        self,
        session: Session,
        attempt: BatchAttempt,
        events: Sequence[InboundEvent[Any]],
        raws: dict[int, ConsumerRecord],
    ) -> list[OutboxRow]:
        """Find the failing events: apply each half in a savepoint, down to single events."""
        events = self._not_parked(attempt, events, raws)
        if not events:
            return []
        try:
            async with session.transaction():
                return await self.decide(session, attempt, events)
        except Exception as error:
            if infrastructure(error) or isinstance(error, Halt):
                raise
            if len(events) == 1:
                self._park(attempt, events[0], raws[events[0].offset], error)
                return []
        middle = len(events) // 2
        first = await self._bisect(session, attempt, events[:middle], raws)
        return first + await self._bisect(session, attempt, events[middle:], raws)

    def _not_parked(
        self, attempt: BatchAttempt, events: Sequence[InboundEvent[Any]], raws: dict[int, ConsumerRecord]
    ) -> list[InboundEvent[Any]]:
        free: list[InboundEvent[Any]] = []
        for event in events:
            parked_key = attempt.parked.parked_among(*self._keys(event))
            if parked_key is None:
                free.append(event)
            else:
                attempt.parked.queue(parked_key, raws[event.offset])
        return free

    def _park(self, attempt: BatchAttempt, event: InboundEvent[Any], raw: ConsumerRecord, error: Exception) -> None:
        reason = str(error) if isinstance(error, UnprocessableEvent) else f"{type(error).__name__} in {where(error)}"
        attempt.parked.park(self._keys(event)[0], raw, reason)


def _raw(raws: Sequence[ConsumerRecord], offset: int) -> ConsumerRecord:
    return next(raw for raw in raws if raw.offset == offset)
