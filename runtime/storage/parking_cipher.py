"""Encrypts parked records and seals dead letters.

Either may contain personal data: parked records are encrypted with the service's own key (secret ``parking_key``),
dead letters are sealed to the ops team (secret ``ops_public_key``).
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.records import ConsumerRecord
from runtime.settings import Settings
from runtime.storage.sealing import CannotOpen, Sealer

_VERSION = b"\x01"
_NONCE = 12


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A parked record, in the form that the reader needs."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class ParkingCipher:
    """Encrypts parked records and dead letters.

    No service starts without its keys, because it could store neither safely.
    """

    def __init__(self, settings: Settings) -> None:
        """Needs ``parking_key`` and ``ops_public_key``.

        Raises:
            MissingSecret: one of them is not in the secrets file.
        """
        self._parking = AESGCM(_key(settings.secret("parking_key")))
        self._sealer = Sealer(settings.secret("ops_public_key"))

    def encrypt(self, raw: ConsumerRecord, consumer: str) -> bytes:
        """Encrypt a record under the parking key, bound to its place."""
        nonce = os.urandom(_NONCE)
        place = _place(consumer, raw.topic, raw.partition, raw.offset)
        return _VERSION + nonce + self._parking.encrypt(nonce, _packed(raw), place)

    def decrypt(self, stored: bytes, consumer: str, topic: str, partition: int, offset: int) -> StoredRecord:
        """Decrypt a parked record.

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
        """Return dead letters, sealed to the ops team under ``consumer/topic/partition/offset``."""
        batch = self._sealer.batch()
        return [batch.seal(_packed(raw), _place(consumer, raw.topic, raw.partition, raw.offset)) for raw in raws]


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
