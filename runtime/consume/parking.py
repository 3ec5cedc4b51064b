"""Parks what can never work, keeps what comes after it in order, and keeps what was no event.

What is kept may be somebody's name: parked records are encrypted with the service's own key (secret
``parking_key``), dead letters are sealed to the ops team (secret ``ops_public_key``).
"""

import base64
import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.consume.decode import ConsumerRecord, DeadLetter, moment_of
from runtime.errors import Halt
from runtime.settings import Settings
from runtime.storage import sql
from runtime.storage.database import Session
from runtime.storage.sealing import CannotOpen, Sealer

_VERSION = b"\x01"
_NONCE = 12


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record read back from the parked events, as the reader takes it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class ParkingCipher:
    """Encrypts what is parked and what is dead. Without its keys no service starts: it would lose, or show, either."""

    def __init__(self, settings: Settings) -> None:
        """Needs ``parking_key`` and ``ops_public_key``.

        Raises:
            MissingSecret: one of them is not in the secrets file.
        """
        self._parking = AESGCM(_key(settings.secret("parking_key")))
        self._sealer = Sealer(settings.secret("ops_public_key"))

    def encrypt(self, raw: ConsumerRecord, consumer: str) -> bytes:
        """A record under the parking key, bound to its place."""
        nonce = os.urandom(_NONCE)
        place = _place(consumer, raw.topic, raw.partition, raw.offset)
        return _VERSION + nonce + self._parking.encrypt(nonce, _packed(raw), place)

    def decrypt(self, stored: bytes, consumer: str, topic: str, partition: int, offset: int) -> StoredRecord:
        """A parked record.

        Raises:
            CannotOpen: it was parked by another version, with another key, or in another place.
        """
        if stored[:1] != _VERSION:
            raise CannotOpen("parked by another version")
        nonce, sealed = stored[1 : 1 + _NONCE], stored[1 + _NONCE :]
        try:
            plain = self._parking.decrypt(nonce, sealed, _place(consumer, topic, partition, offset))
        except InvalidTag:
            raise CannotOpen("parked with another key") from None
        return _unpacked(plain, topic, partition, offset)

    def seal(self, raws: Sequence[ConsumerRecord], consumer: str) -> list[bytes]:
        """Dead records, sealed to the ops team under ``consumer/topic/partition/offset``."""
        batch = self._sealer.batch()
        return [batch.seal(_packed(raw), _place(consumer, raw.topic, raw.partition, raw.offset)) for raw in raws]


@dataclass(slots=True)
class CircuitBreaker:
    """How much of one partition was bad lately: too much of it is not the events' fault."""

    limit: int
    share: float
    window: int
    run: int = 0
    """In a row. Kept with the cursor, so that a restart does not begin to count anew."""
    _recent: deque[bool] = field(default_factory=deque)
    _bad: int = 0

    def check(self, outcomes: Sequence[bool]) -> int:
        """Count outcomes in offset order (True: bad); returns the new run without keeping it.

        Raises:
            Halt: too many in a row, or too great a share.
        """
        if not outcomes:
            return self.run  # with nothing new there is nothing to judge: what was passed was judged then
        run, bad, seen = self.run, self._bad, len(self._recent)
        for outcome in outcomes:
            run = run + 1 if outcome else 0
            bad += outcome
            seen += 1
            if run > self.limit:
                raise Halt(f"more than {self.limit} events in a row could not be processed")
        if seen >= self.window and bad > seen * self.share:
            raise Halt(f"{bad} of the last {seen} events could not be processed")
        return run

    def record(self, outcomes: Sequence[bool], run: int) -> None:
        """Remember what was committed."""
        self.run = run
        for outcome in outcomes:
            self._recent.append(outcome)
            self._bad += outcome
            if len(self._recent) > self.window:
                self._bad -= self._recent.popleft()


@dataclass(slots=True)
class Parked:
    """What one batch parks."""

    keys: set[str] = field(default_factory=set)
    """Parked before this batch or by it."""
    new: list[tuple[str, int, str]] = field(default_factory=list)
    """key, offset, reason"""
    queued: list[tuple[str, ConsumerRecord]] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    """Offsets that were found bad themselves, not only queued behind another."""

    def parked_among(self, *keys: str) -> str | None:
        """The key among these that is parked."""
        return next((key for key in keys if key in self.keys), None)

    def park(self, key: str, raw: ConsumerRecord, reason: str) -> None:
        if key not in self.keys:
            self.keys.add(key)
            self.new.append((key, raw.offset, reason[:300]))
        self.bad.add(raw.offset)
        self.queued.append((key, raw))

    def queue(self, key: str, raw: ConsumerRecord) -> None:
        self.queued.append((key, raw))


async def save_parked(
    session: Session, safe: ParkingCipher, consumer: str, topic: str, partition: int, parked: Parked
) -> None:
    """Write what a batch parked, in offset order."""
    if parked.new:
        keys, offsets, reasons = zip(*parked.new, strict=True)
        await session.execute(sql.PARK, consumer, topic, partition, list(keys), list(offsets), list(reasons))
    if parked.queued:
        parked.queued.sort(key=lambda one: one[1].offset)
        await session.execute(
            sql.PARK_EVENTS,
            consumer,
            topic,
            partition,
            [key for key, _ in parked.queued],
            [raw.offset for _, raw in parked.queued],
            [moment_of(raw) for _, raw in parked.queued],
            [safe.encrypt(raw, consumer) for _, raw in parked.queued],
        )


async def save_dead_letters(
    session: Session, safe: ParkingCipher, consumer: str, topic: str, partition: int, dead: Sequence[DeadLetter]
) -> None:
    """Write what was no event."""
    raws = [one.raw for one in dead]
    await session.execute(
        sql.DEAD_LETTERS,
        consumer,
        topic,
        partition,
        [raw.offset for raw in raws],
        [one.reason for one in dead],
        safe.seal(raws, consumer),
    )


def _place(consumer: str, topic: str, partition: int, offset: int) -> bytes:
    return f"{consumer}/{topic}/{partition}/{offset}".encode()


def _packed(raw: ConsumerRecord) -> bytes:
    body: dict[str, Any] = {
        "key": _b64(raw.key),
        "value": _b64(raw.value),
        "timestamp": raw.timestamp,
        "headers": [[name, _b64(value)] for name, value in raw.headers],
    }
    return json.dumps(body, ensure_ascii=True).encode()


def _unpacked(plain: bytes, topic: str, partition: int, offset: int) -> StoredRecord:
    body = json.loads(plain)
    headers = tuple((name, _unb64(value)) for name, value in body["headers"])
    return StoredRecord(
        topic, partition, offset, body["timestamp"], _unb64(body["key"]), _unb64(body["value"]), headers
    )


def _b64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _unb64(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _key(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(raw) != 32:
        raise ValueError("secret parking_key must be 32 bytes in base64url")
    return raw
