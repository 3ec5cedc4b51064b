"""Seals small byte strings to a public key: one data key per batch, wrapped once.

AES-256-GCM under a random data key; the data key is wrapped with AES-256-GCM under a key agreed by X25519 between
a key made for this batch and the recipient's (HKDF-SHA256), in the manner of HPKE's base mode (RFC 9180).
A sealed string needs nothing but the private key to be opened. It holds a version, the recipient's key id, the batch's
public key and wrapped data key (the same 89 bytes for the whole batch, which compression removes), a nonce, and the
ciphertext with its tag.
"""

import base64
import binascii
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = 1
_KEY_ID = 8
_PUBLIC = 32
_WRAPPED = 48
_HEAD = 1 + _KEY_ID + _PUBLIC + _WRAPPED
_NONCE = 12
_INFO = b"hutong sealing v1"
_NO_NONCE = bytes(_NONCE)


class CannotOpen(Exception):
    """What was sealed is damaged, for another key or of another purpose. Never carries the content."""


class BadKey(ValueError):
    """A key is not 32 bytes in base64url. Never carries the key."""


def new_keys() -> tuple[str, str]:
    """Return a new (private, public) pair of keys as base64url text."""
    private = X25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def key_id(public: str) -> str:
    """Return a public key's id, as a sealed string carries it (hexadecimal)."""
    return _id_of(_bytes(public)).hex()


def sealed_to(sealed: bytes) -> str:
    """Return the id of the key that ``sealed`` was sealed to."""
    if len(sealed) < _HEAD + _NONCE + 16 or sealed[0] != _VERSION:
        raise CannotOpen("not sealed by this version")
    return sealed[1 : 1 + _KEY_ID].hex()


class SealedBatch:
    """Seals many strings under one data key. Not to be shared by processes."""

    __slots__ = ("_aead", "_head", "_next")

    def __init__(self, head: bytes, data_key: bytes) -> None:
        self._head = head
        self._aead = AESGCM(data_key)
        self._next = 0

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Seal one string. ``aad`` says what it belongs to and must be given again to open it."""
        # The data key is new with every batch, so a counter never repeats a nonce under it.
        nonce = self._next.to_bytes(_NONCE, "big")
        self._next += 1
        return self._head + nonce + self._aead.encrypt(nonce, plain, self._head + aad)


class Sealer:
    """Seals to one public key."""

    def __init__(self, public: str) -> None:
        raw = _bytes(public)
        self._recipient = X25519PublicKey.from_public_bytes(raw)
        self._raw = raw
        self.key_id = _id_of(raw).hex()

    def batch(self) -> SealedBatch:
        """Return a batch with a new data key, wrapped."""
        once = X25519PrivateKey.generate()
        once_public = once.public_key().public_bytes_raw()
        data_key = os.urandom(32)
        wrapping = _agreed(once.exchange(self._recipient), once_public, self._raw)
        start = bytes([_VERSION]) + _id_of(self._raw) + once_public
        # The wrapping key is used for this one message, so the fixed nonce never repeats under it.
        wrapped = AESGCM(wrapping).encrypt(_NO_NONCE, data_key, start)
        return SealedBatch(start + wrapped, data_key)


class Opener:
    """Opens what was sealed to any of its keys, and remembers the data keys it has unwrapped."""

    def __init__(self, private: str | Iterable[str], *, remember: int = 4096) -> None:
        keys = [private] if isinstance(private, str) else list(private)
        self._keys: dict[bytes, tuple[X25519PrivateKey, bytes]] = {}
        for text in keys:
            key = X25519PrivateKey.from_private_bytes(_bytes(text))
            public = key.public_key().public_bytes_raw()
            self._keys[_id_of(public)] = (key, public)
        self._unwrapped: OrderedDict[bytes, AESGCM] = OrderedDict()
        self._remember = remember

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the string that was sealed.

        Raises:
            CannotOpen: damaged, sealed to a key this opener has not, or with another ``aad``.
        """
        sealed_to(sealed)
        head = sealed[:_HEAD]
        nonce = sealed[_HEAD : _HEAD + _NONCE]
        try:
            return self._data_key(head).decrypt(nonce, sealed[_HEAD + _NONCE :], head + aad)
        except InvalidTag:
            raise CannotOpen("damaged, or not what it was sealed as") from None

    def _data_key(self, head: bytes) -> AESGCM:
        unwrapped = self._unwrapped.get(head)
        if unwrapped is not None:
            self._unwrapped.move_to_end(head)
            return unwrapped
        key_pair = self._keys.get(head[1 : 1 + _KEY_ID])
        if key_pair is None:
            raise CannotOpen(f"sealed to key {head[1 : 1 + _KEY_ID].hex()}, which is not here")
        key, public = key_pair
        start = head[: 1 + _KEY_ID + _PUBLIC]
        once_public = start[1 + _KEY_ID :]
        wrapping = _agreed(key.exchange(X25519PublicKey.from_public_bytes(once_public)), once_public, public)
        try:
            data_key = AESGCM(wrapping).decrypt(_NO_NONCE, head[len(start) :], start)
        except InvalidTag:
            raise CannotOpen("the wrapped key is damaged") from None
        self._unwrapped[head] = AESGCM(data_key)
        if len(self._unwrapped) > self._remember:
            self._unwrapped.popitem(last=False)
        return self._unwrapped[head]


def _agreed(shared: bytes, once_public: bytes, public: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=once_public + public, info=_INFO).derive(shared)


def _id_of(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:_KEY_ID]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise BadKey("a key is 32 bytes in base64url") from None
    if len(raw) != 32:
        raise BadKey("a key is 32 bytes in base64url")
    return raw
