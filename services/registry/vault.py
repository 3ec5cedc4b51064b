"""What the registry can do with its secrets: open, encrypt, find again. The only place that touches clear names.

Identities are encrypted with AES-256-GCM under a key per child, which is wrapped under the master key: without its
row in ``child_key`` nobody can read the child any more. Lookups are keyed hashes (HMAC-SHA-256, 16 bytes).
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
from runtime.sealing import Opener
from services.registry.domain import names, numbers
from services.registry.domain.matching import NOTHING, Evidence, Hash

Identity = dict[IdentityField, str]

_NONCE = 12
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
ID_DAMAGED = "id_damaged"
"""The flag of a row whose number lost digits on the way: such a number is none."""


class Unreadable(Exception):
    """The child's key was destroyed, or the bytes are not what was encrypted. Names ids, never content."""


@dataclass(frozen=True, slots=True)
class ChildKey:
    """One child's key, as it works and as it is stored."""

    cipher: AESGCM
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Vault:
    """Made by ``app.py`` from the settings; tests make their own."""

    opener: Opener
    master: AESGCM
    lookup_key: bytes = field(repr=False)
    child_id_key: bytes = field(repr=False)
    digits: int = DIGITS
    """Of a child's number; fewer than twelve only in tests."""

    @classmethod
    def of(cls, settings: Settings) -> "Vault":
        """Needs ``registry_private_key``, ``master_key``, ``lookup_key``, ``child_id_key``."""
        return cls(
            Opener(settings.secret("registry_private_key")),
            AESGCM(bytes.fromhex(settings.secret("master_key"))),
            bytes.fromhex(settings.secret("lookup_key")),
            bytes.fromhex(settings.secret("child_id_key")),
        )

    # ------------------------------------------------------------ ids

    def new_id(self, words: str) -> UUID:
        """The same id for the same words, which nobody without the county's secret can make or turn back."""
        return UUID(bytes=hmac.digest(self.child_id_key, words.encode(), "sha256")[:16], version=5)

    def new_question_id(self, words: str) -> UUID:
        return review_id(self.new_id(words))

    def child_number(self, founding: str, counter: int) -> str:
        """Return the number of the file opened for ``founding``; ``counter``: how many of its numbers were taken."""
        mac = hmac.digest(self.child_id_key, f"child/{founding}/{counter}".encode(), "sha256")
        return child_number(mac, digits=self.digits)

    # ------------------------------------------------------------ what intake sealed

    def opened(self, sealed: str, belongs_to: UUID) -> Identity:
        """What intake sealed for the registry.

        Raises:
            runtime.sealing.CannotOpen: damaged, for another key, or of another id.
            ValueError: no JSON object of identity fields.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
        return _identity(orjson.loads(self.opener.open(raw, str(belongs_to).encode())))

    # ------------------------------------------------------------ a key per child

    def new_key(self, child: UUID) -> ChildKey:
        """A new random key, wrapped for this child."""
        key = os.urandom(32)
        nonce = os.urandom(_NONCE)
        return ChildKey(AESGCM(key), nonce + self.master.encrypt(nonce, key, child.bytes))

    def key(self, child: UUID, wrapped: bytes) -> ChildKey:
        """A stored key.

        Raises:
            Unreadable: it was wrapped for another child or under another master key.
        """
        try:
            key = self.master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], child.bytes)
        except InvalidTag:
            raise Unreadable(f"the key of {child} does not open") from None
        return ChildKey(AESGCM(key), wrapped)

    # ------------------------------------------------------------ keyed hashes

    def hash(self, kind: str, *parts: str) -> Hash:
        """A keyed hash; ``kind`` keeps a phone from ever meeting a number."""
        return self._digest("\x1f".join((kind, *parts)))

    def _digest(self, words: str) -> Hash:
        return hmac.digest(self.lookup_key, words.encode(), "sha256")[:16]

    def evidence(
        self, record: UUID, birth_date: date | None, identity: Mapping[IdentityField, str], flags: Iterable[str]
    ) -> Evidence:
        """What a record's identity shows, as hashes. Damaged numbers show nothing."""
        if birth_date is None:
            return Evidence(record, None)
        born = birth_date.isoformat()
        number = identity.get(IdentityField.ID_NUMBER)
        valid = numbers.child_number(number, birth_date) if number and ID_DAMAGED not in flags else None
        plain = names.normal(identity.get(IdentityField.NAME, ""))
        forms = names.forms(plain)
        guardian_sounds = {
            names.sound(guardian)
            for field_ in _GUARDIAN_NAMES
            if (text := identity.get(field_)) and names.forms(guardian := names.normal(text))
        }
        guardian_numbers = {
            adult
            for field_ in _GUARDIAN_NUMBERS
            if (text := identity.get(field_)) and (adult := numbers.adult_number(text))
        }
        phones = {phone for field_ in _PHONES if (text := identity.get(field_)) for phone in numbers.phones(text)}
        digest = self._digest
        # Written out as `hash` would join them: this is done for every row.
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
            odd=bool(plain) and names.odd(plain),
        )


def encrypt(key: ChildKey, belongs_to: UUID, identity: Mapping[IdentityField, str]) -> bytes:
    """Identity fields under a child's key; ``belongs_to`` is the record or finding they came with."""
    nonce = os.urandom(_NONCE)
    return nonce + key.cipher.encrypt(nonce, written(identity), belongs_to.bytes)


def written(identity: Mapping[IdentityField, str]) -> bytes:
    """Identity fields as a JSON object."""
    return orjson.dumps(identity, option=orjson.OPT_NON_STR_KEYS)


def decrypt(key: ChildKey, belongs_to: UUID, encrypted: bytes) -> Identity:
    """What ``encrypt`` was given.

    Raises:
        Unreadable: another key, or not what was encrypted.
    """
    try:
        plain = key.cipher.decrypt(encrypted[:_NONCE], encrypted[_NONCE:], belongs_to.bytes)
    except InvalidTag:
        raise Unreadable(f"{belongs_to} does not open with this key") from None
    return _identity(orjson.loads(plain))


_FIELDS = {field_.value: field_ for field_ in IdentityField}


def _identity(found: Any) -> Identity:
    if not isinstance(found, dict):
        raise ValueError("no object of identity fields")
    return {_FIELDS[name]: str(text) for name, text in found.items() if name in _FIELDS and text not in (None, "")}
