"""Makes keyed hashes, and seals identities that only the registry opens.

The keyed hash is BLAKE2b in its keyed mode, which is a MAC (RFC 7693) and several times as fast as HMAC.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from runtime import Settings
from runtime.storage.sealing import Sealer

Seal = Callable[[bytes, UUID], str]
"""``(plaintext, id) -> sealed``. The id that the identity belongs to is needed again to open it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Intake's secrets: the key of record ids and content hashes, and the registry's public key."""

    record_key: bytes
    sealer: Sealer

    @classmethod
    def from_settings(cls, settings: Settings) -> "Secrets":
        """Read the secrets ``record_key`` and ``registry_public_key``."""
        return cls(bytes.fromhex(settings.secret("record_key")), Sealer(settings.secret("registry_public_key")))

    def record_id(self, unit: str, dataset: str, key: tuple[str, str]) -> UUID:
        """Return the id of a row; it never changes for one row of one dataset of one unit.

        Args:
            unit: the unit that submits the row.
            dataset: the dataset of the row.
            key: the row's natural key.
        """
        message = "\x1f".join((unit, dataset, *key)).encode()
        hashed = hashlib.blake2b(message, digest_size=16, key=self.record_key[:64], person=b"record")
        return UUID(bytes=hashed.digest(), version=5)

    def content_hash(self, *parts: bytes) -> bytes:
        """Return the keyed hash of a row's content (16 bytes)."""
        message = b"\x1f".join(parts)
        return hashlib.blake2b(message, digest_size=16, key=self.record_key[:64], person=b"content").digest()

    def new_seal(self) -> Seal:
        """Return a seal with a new data key, for one batch."""
        batch = self.sealer.batch()

        def seal(plaintext: bytes, owner: UUID) -> str:
            return base64.b64encode(batch.seal(plaintext, str(owner).encode())).decode()

        return seal
