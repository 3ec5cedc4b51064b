"""What intake can do with its secrets: make keyed hashes, and seal identities that only the registry opens.

The keyed hash is BLAKE2b in its keyed mode, a MAC of its own (RFC 7693); several times as fast as HMAC.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from runtime import Settings
from runtime.sealing import Sealer

Seal = Callable[[bytes, UUID], str]
"""Seals one identity; the id it belongs to must be given again to open it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made by ``app.py`` from the settings; tests make their own."""

    record_key: bytes
    sealer: Sealer

    @classmethod
    def from_settings(cls, settings: Settings) -> "Secrets":
        return cls(bytes.fromhex(settings.secret("record_key")), Sealer(settings.secret("registry_public_key")))

    def record_id(self, unit: str, dataset: str, key: tuple[str, str]) -> UUID:
        """The id of a row: the same for the same row of the same dataset of the same unit, for ever."""
        message = "\x1f".join((unit, dataset, *key)).encode()
        hashed = hashlib.blake2b(message, digest_size=16, key=self.record_key[:64], person=b"record")
        return UUID(bytes=hashed.digest(), version=5)

    def content_hash(self, *parts: bytes) -> bytes:
        """The keyed hash of a row as understood (16 bytes)."""
        message = b"\x1f".join(parts)
        return hashlib.blake2b(message, digest_size=16, key=self.record_key[:64], person=b"content").digest()

    def new_seal(self) -> Seal:
        """Seals under one new data key: for one batch."""
        batch = self.sealer.batch()

        def seal(plain: bytes, belongs_to: UUID) -> str:
            return base64.b64encode(batch.seal(plain, str(belongs_to).encode())).decode()

        return seal
