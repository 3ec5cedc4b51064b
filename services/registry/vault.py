"""Uses the registry's secrets to open, encrypt and hash. The only module that handles names in plain text.

Identities are encrypted with AES-256-GCM under a key per child, which is wrapped under the master key: without its
row in ``child_key`` the child cannot be read any more. Lookups are keyed hashes (HMAC-SHA-256, 16 bytes).
"""

import base64
import binascii
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.child_number import DIGITS, child_number
from contracts.registry import review_id
from contracts.vocabulary import IdentityField
from runtime import Settings
from runtime.storage.sealing import Opener
from services.registry.domain import identifiers, names
from services.registry.domain.matching import NOTHING, Evidence, Hash

Identity = dict[IdentityField, str]

_NONCE_BYTES = 12
_GUARDIAN_NAMES = (IdentityField.GUARDIAN_NAME, IdentityField.FATHER_NAME, IdentityField.MOTHER_NAME)
_GUARDIAN_NUMBERS = (
    IdentityField.GUARDIAN_ID_NUMBER,
    IdentityField.FATHER_ID_NUMBER,
    IdentityField.MOTHER_ID_NUMBER,
)
_PHONES = (
    IdentityField.PHONE,
    IdentityField.GUARDIAN_PHONE,
    IdentityField.FATHER_PHONE,
    IdentityField.MOTHER_PHONE,
)
FLAG_ID_DAMAGED = "id_damaged"
"""Flag of a row whose ID number lost digits in a spreadsheet; such a number is ignored."""


class IdentityUnreadable(Exception):
    """The child's key was destroyed, or the bytes were changed. The message names ids, never content."""


@dataclass(frozen=True, slots=True)
class ChildKey:
    """One child's key, as a cipher and wrapped as it is stored."""

    cipher: AESGCM
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Vault:
    """The county's secrets, as ``app.py`` reads them from the settings."""

    opener: Opener
    master: AESGCM
    lookup_key: bytes = field(repr=False)
    child_id_key: bytes = field(repr=False)
    digits: int = DIGITS
    """The number of digits of a child number; fewer than twelve only in tests."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Vault":
        """Read ``registry_private_key``, ``master_key``, ``lookup_key`` and ``child_id_key`` from the secrets."""
        return cls(
            Opener(settings.secret("registry_private_key")),
            AESGCM(bytes.fromhex(settings.secret("master_key"))),
            bytes.fromhex(settings.secret("lookup_key")),
            bytes.fromhex(settings.secret("child_id_key")),
        )

    # ------------------------------------------------------------ ids

    def derived_id(self, text: str) -> UUID:
        """Return the id derived from a text; without the county's secret it can be neither derived nor reversed."""
        return UUID(bytes=hmac.digest(self.child_id_key, text.encode(), "sha256")[:16], version=5)

    def derived_review_id(self, text: str) -> UUID:
        return review_id(self.derived_id(text))

    def child_number(self, founding: str, counter: int) -> str:
        """Return the number of the file opened for ``founding``; ``counter``: how many of its numbers were taken."""
        mac = hmac.digest(self.child_id_key, f"child/{founding}/{counter}".encode(), "sha256")
        return child_number(mac, digits=self.digits)

    # ------------------------------------------------------------ sealed identities

    def unseal(self, sealed: str, belongs_to: UUID) -> Identity:
        """Open an identity that intake sealed for the registry.

        Raises:
            runtime.storage.sealing.CannotOpen: damaged, for another key, or of another id.
            ValueError: no JSON object of identity fields.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
        return _identity(orjson.loads(self.opener.open(raw, str(belongs_to).encode())))

    # ------------------------------------------------------------ a key per child

    def new_key(self, child: UUID) -> ChildKey:
        """Return a new random key, wrapped for this child."""
        key = os.urandom(32)
        nonce = os.urandom(_NONCE_BYTES)
        return ChildKey(AESGCM(key), nonce + self.master.encrypt(nonce, key, child.bytes))

    def key(self, child: UUID, wrapped: bytes) -> ChildKey:
        """Unwrap a stored key.

        Raises:
            IdentityUnreadable: it was wrapped for another child or under another master key.
        """
        try:
            key = self.master.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], child.bytes)
        except InvalidTag:
            raise IdentityUnreadable(f"the key of {child} does not open") from None
        return ChildKey(AESGCM(key), wrapped)

    # ------------------------------------------------------------ keyed hashes

    def hash(self, kind: str, *parts: str) -> Hash:
        """Return a keyed hash; ``kind`` keeps hashes of phones and of ID numbers apart."""
        return self._digest("\x1f".join((kind, *parts)))

    def _digest(self, words: str) -> Hash:
        return hmac.digest(self.lookup_key, words.encode(), "sha256")[:16]

    def evidence(
        self, record: UUID, birth_date: date | None, identity: Mapping[IdentityField, str], flags: Iterable[str]
    ) -> Evidence:
        """Return the evidence in a record's identity as hashes. Damaged ID numbers are ignored."""
        if birth_date is None:
            return Evidence(record, None)
        born = birth_date.isoformat()
        number = identity.get(IdentityField.ID_NUMBER)
        valid = identifiers.child_id_number(number, birth_date) if number and FLAG_ID_DAMAGED not in flags else None
        plain = names.normalized(identity.get(IdentityField.NAME, ""))
        forms = names.variants(plain)
        guardian_sounds = {
            names.sound(guardian)
            for field_ in _GUARDIAN_NAMES
            if (text := identity.get(field_)) and names.variants(guardian := names.normalized(text))
        }
        guardian_numbers = {
            adult
            for field_ in _GUARDIAN_NUMBERS
            if (text := identity.get(field_)) and (adult := identifiers.guardian_id_number(text))
        }
        phones = {phone for field_ in _PHONES if (text := identity.get(field_)) for phone in identifiers.phones(text)}
        digest = self._digest
        # The words are joined here as `hash` joins them, because this runs for every row.
        return Evidence(
            record,
            birth_date,
            number=digest(f"number\x1f{valid}") if valid else None,
            names=frozenset((digest(f"name\x1f{plain}"),)) if forms else NOTHING,
            forms=frozenset([digest(f"form\x1f{form}") for form in forms]),
            guardian_ids=frozenset([digest(f"guardian\x1f{born}\x1f{adult}") for adult in guardian_numbers]),
            phones=frozenset([digest(f"phone\x1f{born}\x1f{phone}") for phone in phones]),
            pairs=frozenset(
                [digest(f"pair\x1f{born}\x1f{form}\x1f{sound}") for form in forms for sound in guardian_sounds]
            ),
            unmatchable=bool(plain) and names.unmatchable(plain),
        )


def encrypt(key: ChildKey, belongs_to: UUID, identity: Mapping[IdentityField, str]) -> bytes:
    """Encrypt identity fields under a child's key; ``belongs_to`` is the record or finding they came with."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key.cipher.encrypt(nonce, identity_json(identity), belongs_to.bytes)


def identity_json(identity: Mapping[IdentityField, str]) -> bytes:
    """Return identity fields as a JSON object."""
    return orjson.dumps(identity, option=orjson.OPT_NON_STR_KEYS)


def decrypt(key: ChildKey, belongs_to: UUID, encrypted: bytes) -> Identity:
    """Return the fields that were given to ``encrypt``.

    Raises:
        IdentityUnreadable: another key, or not what was encrypted.
    """
    try:
        plain = key.cipher.decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], belongs_to.bytes)
    except InvalidTag:
        raise IdentityUnreadable(f"{belongs_to} does not open with this key") from None
    return _identity(orjson.loads(plain))


_FIELD_BY_NAME = {field_.value: field_ for field_ in IdentityField}


def _identity(content: Any) -> Identity:
    if not isinstance(content, dict):
        raise ValueError("no object of identity fields")
    return {
        _FIELD_BY_NAME[name]: str(text)
        for name, text in content.items()
        if name in _FIELD_BY_NAME and text not in (None, "")
    }
