"""Turns emitted events into numbered outbox rows and writes them in the transaction of the state change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid5

from contracts.clock import DayWatermark
from contracts.event import Envelope, Event, at_midnight
from runtime.errors import UnknownTopic, UnprocessableEvent
from runtime.handlers import DayPage, OutboundEvent
from runtime.publish.partitioner import partition_of
from runtime.storage import sql
from runtime.storage.database import Session
from runtime.topic_catalogue import TopicCatalogue
from runtime.transaction import columns

SEPARATOR = b"\x00"
"""Separates the names and values of stored headers, which must not contain it."""
MAX_EVENT_BYTES = 900_000
"""Largest value that may be emitted: below the broker's ``message.max.bytes``, which includes key and headers."""
_INSERT_BYTES = 2_000_000
"""Bytes of values per INSERT statement; PostgreSQL spills larger ones to disk."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event as it is published, without its sequence number."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: bytes
    snapshot: bool = False
    bypass_coalescing: bool = False


def notification_channel(service: str) -> str:
    """Return the PostgreSQL channel on which other processes of a service tell its relay that they wrote rows."""
    return f"outbox_of_{service}"


class Outbox:
    """Writes one service's outbox."""

    def __init__(
        self,
        service: str,
        source: str,
        catalogue: TopicCatalogue,
        partitions: int,
        *,
        coalesces: bool = False,
    ) -> None:
        self._service = service
        self.source = source
        self._catalogue = catalogue
        self._partitions = partitions
        self._coalesces = coalesces
        self._days = catalogue.watermark_topics(service)
        self._of_topic: dict[str, int] = {}

    def rows(self, events: Sequence[OutboundEvent]) -> list[OutboxRow]:
        """Return rows in the order of the events. A broadcast event has one on every partition, each with its own id.

        Raises:
            UnprocessableEvent: a value is larger than the broker accepts, or a header contains a zero byte. It is
                checked here, so that the relay cannot be blocked.
            UnknownTopic: the topic is not in ``contracts.topics``, or this service may not write it.
        """
        counts: Counter[tuple[UUID, str, str]] = Counter()
        rows: list[OutboxRow] = []
        for outbound in events:
            event = outbound.event
            key = event.key
            counted = (outbound.cause, event.kind, key)
            nth = counts[counted]
            counts[counted] = nth + 1
            topic = event.topic_name
            partitions = self._partitions_of(topic)
            if event.broadcast:
                rows += [self._row(outbound, event, key, f"{nth}/{index}", topic, index) for index in range(partitions)]
            else:
                rows.append(self._row(outbound, event, key, nth, topic, partition_of(key, partitions)))
        return rows

    def watermarks(self, page: DayPage) -> list[OutboxRow]:
        """Return the watermarks of a completed day, one for every partition of every topic that carries watermarks."""
        event = DayWatermark(day=page.day, producers=self._partitions)
        outbound = page.emit(event)
        return [
            self._row(outbound, event, event.key, index, topic, index)
            for topic in self._days
            for index in range(self._catalogue.partitions(topic, self._partitions))
        ]

    async def coalesce(self, session: Session, producer_id: int, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Store snapshots in place of older ones, except for keys that bypass coalescing. Return the other rows."""
        bypassing = {(row.topic, row.key) for row in rows if row.snapshot and row.bypass_coalescing}
        kept = {(row.topic, row.key): row for row in rows if row.snapshot and (row.topic, row.key) not in bypassing}
        if not kept:
            return list(rows)
        stored = columns([(row.topic, row.key, row.partition, row.value, row.headers) for row in kept.values()])
        await session.execute(sql.COALESCE, producer_id, *stored)
        return [row for row in rows if not row.snapshot or (row.topic, row.key) in bypassing]

    async def take_coalesced(self, session: Session, producer_id: int, limit: int) -> list[OutboxRow]:
        """Take some of a producer's coalesced snapshots, and delete them."""
        return [OutboxRow(*row) for row in await session.fetch(sql.TAKE_COALESCED, producer_id, limit)]

    async def write(self, session: Session, producer_id: int, rows: Sequence[OutboxRow]) -> None:
        """Take the producer's next sequence numbers, under a lock until commit, and write the rows.

        The coalesced snapshots of the same keys are deleted, whichever producer coalesced them.
        """
        if not rows:
            return
        snapshots = [(row.topic, row.key) for row in rows if row.snapshot] if self._coalesces else []
        if snapshots:
            await session.execute(sql.DROP_COALESCED, *columns(snapshots))
        counts = Counter((row.topic, row.partition) for row in rows)
        places = sorted(counts)
        ends = await session.fetch(
            sql.NUMBER,
            producer_id,
            [topic for topic, _ in places],
            [partition for _, partition in places],
            [counts[place] for place in places],
        )
        following = {
            (end["topic"], end["partition"]): end["next_seq"] - counts[end["topic"], end["partition"]] for end in ends
        }
        numbered: list[tuple[object, ...]] = []
        size = 0
        for row in rows:
            place = (row.topic, row.partition)
            seq = following[place]
            following[place] = seq + 1
            numbered.append((row.topic, row.partition, seq, row.key, row.value, row.headers))
            size += len(row.value or b"")
            if size > _INSERT_BYTES:
                await session.execute(sql.WRITE, producer_id, *columns(numbered))
                numbered, size = [], 0
        if numbered:
            await session.execute(sql.WRITE, producer_id, *columns(numbered))

    async def notify_relay(self, session: Session) -> None:
        """Notify the service's relay, in whatever process it runs, when the transaction is committed."""
        await session.execute(sql.NOTIFY, notification_channel(self._service))

    def _partitions_of(self, topic: str) -> int:
        partitions = self._of_topic.get(topic)
        if partitions is None:
            entry = self._catalogue.topic(topic)
            if self._service not in entry.writers:
                raise UnknownTopic(f"{self._service} may not write {topic}")
            partitions = self._of_topic[topic] = self._catalogue.partitions(topic, self._partitions)
        return partitions

    def _row(
        self, outbound: OutboundEvent, event: Event, key: str, nth: int | str, topic: str, partition: int
    ) -> OutboxRow:
        kind = event.kind
        value = None if event.tombstone else event.encoded()
        if value is not None and len(value) > MAX_EVENT_BYTES:
            raise UnprocessableEvent(f"{kind} of {len(value)} bytes is larger than the broker accepts")
        envelope = Envelope(
            id=uuid5(outbound.cause, f"{self._service}|{kind}|{key}|{nth}"),
            source=self.source,
            type=kind,
            time=outbound.time,
            key=key,
            county=outbound.county,
            correlation=outbound.correlation,
            causation=outbound.cause,
            sensitivity=outbound.sensitivity,
        )
        pairs: list[bytes] = []
        for name, text in envelope.headers():
            pairs += (name.encode(), text)
        headers = SEPARATOR.join(pairs)
        if headers.count(SEPARATOR) != len(pairs) - 1:
            raise UnprocessableEvent("a header with a zero byte")
        snapshot = event.snapshot and value is not None
        return OutboxRow(topic, partition, key.encode(), value, headers, snapshot, outbound.bypass_coalescing)


def day_page_ids(*, county: str, service: str, day: date, index: int, resume: str | None) -> tuple[UUID, UUID]:
    """Return (cause, correlation) of one page of a day: the same each time it is processed."""
    correlation = uuid5(_DAYS, f"{county}|{at_midnight(day).isoformat()}")
    return uuid5(correlation, f"{service}|{index}|{resume or ''}"), correlation


_DAYS = UUID("6f0e2f4a-9b52-5a0e-8a55-6d2c31c0a1de")
