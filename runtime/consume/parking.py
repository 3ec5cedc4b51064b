"""Parks events that cannot be processed together with the later events of their keys, and stores dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.consume.decode import DeadLetter
from runtime.records import ConsumerRecord, moment_of
from runtime.storage import sql
from runtime.storage.database import Session
from runtime.storage.parking_cipher import ParkingCipher


@dataclass(slots=True)
class Parked:
    """The records that one batch parks."""

    keys: set[str] = field(default_factory=set)
    """The keys that were parked before this batch or by it."""
    new: list[tuple[str, int, str]] = field(default_factory=list)
    """key, offset, reason"""
    queued: list[tuple[str, ConsumerRecord]] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    """The offsets of records that failed themselves, not of those that queue behind another."""

    def parked_among(self, *keys: str) -> str | None:
        """Return the first of these keys that is parked, or None."""
        return next((key for key in keys if key in self.keys), None)

    def park(self, key: str, raw: ConsumerRecord, reason: str) -> None:
        """Park a record that failed itself. The reason is stored for a key's first one, in 300 characters at most."""
        if key not in self.keys:
            self.keys.add(key)
            self.new.append((key, raw.offset, reason[:300]))
        self.bad.add(raw.offset)
        self.queued.append((key, raw))

    def queue(self, key: str, raw: ConsumerRecord) -> None:
        """Park a record because its key is parked; the record itself may be good."""
        self.queued.append((key, raw))


async def save_parked(
    session: Session, cipher: ParkingCipher, consumer: str, topic: str, partition: int, parked: Parked
) -> None:
    """Write the records that a batch parked, in offset order."""
    if parked.new:
        keys, offsets, reasons = zip(*parked.new, strict=True)
        await session.execute(sql.PARK, consumer, topic, partition, list(keys), list(offsets), list(reasons))
    if parked.queued:
        parked.queued.sort(key=lambda keyed: keyed[1].offset)
        await session.execute(
            sql.PARK_EVENTS,
            consumer,
            topic,
            partition,
            [key for key, _ in parked.queued],
            [raw.offset for _, raw in parked.queued],
            [moment_of(raw) for _, raw in parked.queued],
            [cipher.encrypt(raw, consumer) for _, raw in parked.queued],
        )


async def save_dead_letters(
    session: Session, cipher: ParkingCipher, consumer: str, topic: str, partition: int, dead: Sequence[DeadLetter]
) -> None:
    """Write dead letters."""
    raws = [dead_letter.raw for dead_letter in dead]
    await session.execute(
        sql.DEAD_LETTERS,
        consumer,
        topic,
        partition,
        [raw.offset for raw in raws],
        [dead_letter.reason for dead_letter in dead],
        cipher.seal(raws, consumer),
    )
