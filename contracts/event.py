"""The envelope: CloudEvents 1.0 over Kafka, binary mode.

An event's data is the JSON value of a Kafka record; its producer, time and cause are in the record's headers
(``ce_*``, UTF-8). Sources: CloudEvents 1.0.2 core specification and its Kafka protocol binding; the
``partitionkey``, ``sequence`` and distributed-tracing extensions. The other extensions (``county``, ``producerid``,
``correlationid``, ``causationid``, ``sensitivity``) are defined here, in lower-case letters as CloudEvents requires.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import ClassVar, Literal, Self, cast
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, PrivateAttr

from contracts import bounds
from contracts.vocabulary import COUNTY_TIME

CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"
_MISSING_ID_NAMESPACE = UUID("0b1f6a53-5a0f-5f0e-9d3a-3d3a6d2f7c11")
"""The UUID namespace for the ids of messages that carry no UUID."""
_UNIT_HEADERS = frozenset({"ce_id", "ce_source", "ce_type", "ce_time", "ce_partitionkey"})
"""The only headers that are read from a message of a unit's client."""
_KNOWN_HEADERS = _UNIT_HEADERS | {
    "ce_specversion", "ce_county", "ce_correlationid", "ce_causationid", "ce_sensitivity", "ce_producerid",
    "ce_sequence",
}  # fmt: skip

Sensitivity = Literal["normal", "restricted", "identity"]

KINDS: dict[str, type["Event"]] = {}
"""Every event type by its ``ce_type``."""


class Event(BaseModel):
    """The base of all published events. Unknown fields are ignored, so that contracts can grow.

    Validation errors never contain the offending value, because it may be a person's name. The docstrings below the
    fields are published as the descriptions in the JSON Schemas.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    kind: ClassVar[str]
    """The ``ce_type``, ``<service>.<Name>.v<major>``. A new major version is a new class."""
    topic: ClassVar[str]
    """The topic's name, or the name of its family with ``{unit}`` in it (``contracts.topics``)."""
    sensitivity: ClassVar[Sensitivity] = "normal"
    snapshot: ClassVar[bool] = False
    """True if the event has a version and replaces all older events of its key. Other events may not be skipped."""
    broadcast: ClassVar[bool] = False
    """True if the event is emitted on every partition of its topic instead of its key's partition only."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        if kind in KINDS:
            raise TypeError(f"two events are called {kind}")
        KINDS[kind] = cls

    @property
    def key(self) -> str:
        """The record's key; records of one key stay in order. Every event type defines it."""
        raise TypeError(f"{type(self).__name__} defines no key")

    @property
    def topic_name(self) -> str:
        """The topic this event is published to. Events of a topic family fill in their unit."""
        return self.topic

    def encoded(self) -> bytes:
        """Return the record's value: the JSON, in UTF-8."""
        return self.model_dump_json().encode()

    @property
    def tombstone(self) -> bool:
        """True if the record is published without a value, so that compaction removes its key."""
        return False


class PreSerialized(BaseModel):
    """A mixin for events whose producer has already written the JSON, which is cheaper than building a model."""

    _value: bytes = PrivateAttr()

    def encoded(self) -> bytes:
        """Return the JSON that was passed to :meth:`of`."""
        return self._value

    @classmethod
    def of(cls, value: bytes, **parts: object) -> Self:
        """Build the event from its JSON. ``parts`` are the fields that determine its key and topic."""
        event = cast("Self", cls.model_construct(None, **parts))  # mypy infers the mixin itself
        event._value = value
        return event


class MalformedEnvelope(ValueError):
    """The headers are not those of an event. The error names the header and its rule, never its content."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event's metadata: its id, producer, time and cause."""

    id: UUID
    source: str
    type: str
    time: datetime
    """When the county learned of it, as an aware datetime. It never comes from a service's own clock."""
    key: str
    county: str
    correlation: UUID
    """The id of the first event in this chain of causes."""
    causation: UUID | None = None
    """The id of the event that caused this one; None for the first of a chain."""
    sensitivity: Sensitivity = "normal"
    producer_id: int | None = None
    """The producer's input partition. ``sequence`` counts without gaps per source, producer id and output partition."""
    sequence: int | None = None

    @property
    def on(self) -> date:
        """The calendar day of ``time`` in the county's time zone."""
        return self.time.astimezone(COUNTY_TIME).date()

    def with_sequence(self, producer_id: int, sequence: int) -> Self:
        """Return a copy with its position in the producer's output."""
        return replace(self, producer_id=producer_id, sequence=sequence)

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of CloudEvents' binary mode."""
        pairs: list[tuple[str, str]] = [
            ("content-type", CONTENT_TYPE),
            ("ce_specversion", SPEC_VERSION),
            ("ce_id", str(self.id)),
            ("ce_source", self.source),
            ("ce_type", self.type),
            ("ce_time", self.time.isoformat()),
            ("ce_partitionkey", self.key),
            ("ce_county", self.county),
            ("ce_correlationid", str(self.correlation)),
            ("ce_sensitivity", self.sensitivity),
        ]
        if self.causation is not None:
            pairs.append(("ce_causationid", str(self.causation)))
        if self.producer_id is not None:
            pairs.append(("ce_producerid", str(self.producer_id)))
        if self.sequence is not None:
            pairs.append(("ce_sequence", str(self.sequence)))
        return [(name, value.encode()) for name, value in pairs]

    @classmethod
    def read(cls, headers: Iterable[tuple[str, bytes | None]], key: bytes | None) -> Self:
        """Read the headers of a record that a Hutong service or tool wrote.

        Raises:
            MalformedEnvelope: a required header is missing, or a header is null, not UTF-8, too long or malformed.
        """
        attributes = _decoded_headers(headers)
        if attributes.get("ce_specversion", SPEC_VERSION) != SPEC_VERSION:
            raise MalformedEnvelope(f"ce_specversion must be {SPEC_VERSION}")
        event_id = _uuid(attributes, "ce_id")
        return cls(
            id=event_id,
            source=_required(attributes, "ce_source"),
            type=_required(attributes, "ce_type"),
            time=_time(attributes),
            key=_key(attributes, key),
            county=_required(attributes, "ce_county"),
            correlation=_uuid(attributes, "ce_correlationid", default=event_id),
            causation=_uuid(attributes, "ce_causationid") if "ce_causationid" in attributes else None,
            sensitivity=_sensitivity(attributes),
            producer_id=_number(attributes, "ce_producerid", bounds.LARGEST_PRODUCER_ID),
            sequence=_number(attributes, "ce_sequence", bounds.LARGEST_SEQUENCE),
        )

    @classmethod
    def from_unit(
        cls,
        headers: Iterable[tuple[str, bytes | None]],
        key: bytes | None,
        value: bytes | None,
        *,
        topic: str,
        received: datetime,
        county: str,
    ) -> Self:
        """Read what a unit's client claims about its message; a claim that cannot be read is ignored.

        A message without a readable type gets the type ``""``. A message whose id is not a UUID gets an id derived
        from the id's text and the value, so that sending it again gives the same id. Producer id, sequence, county,
        correlation, causation, sensitivity and trace are set by the services only and not read here.

        Args:
            headers: the record's headers.
            key: the record's key, used if ``ce_partitionkey`` is missing.
            value: the record's value.
            topic: the topic the message was read from.
            received: the broker's time of the message, used if ``ce_time`` is missing or unreadable.
            county: the county's code.
        """
        claims = _unit_headers(headers)
        event_id = _claimed_id(claims.get("ce_id", ""), topic, value)
        return cls(
            id=event_id,
            source=claims.get("ce_source") or f"/{topic}",
            type=claims.get("ce_type", ""),
            time=_claimed_time(claims, received),
            key=_text(claims.get("ce_partitionkey", "").encode() or key, bounds.LONGEST_KEY) or "",
            county=county,
            correlation=event_id,
        )


def at_midnight(day: date) -> datetime:
    """Return the moment at which a day of the county begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=COUNTY_TIME).astimezone(UTC)


def _text(value: bytes | None, longest: int) -> str | None:
    """Return the text of ``value``; None if it is missing, too long, not UTF-8 or contains a zero byte."""
    if value is None or len(value) > longest or b"\x00" in value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _decoded_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    decoded: dict[str, str] = {}
    for name, value in headers:
        if name not in _KNOWN_HEADERS:
            continue
        if value is None:
            raise MalformedEnvelope(f"header {name} is null")
        text = _text(value, bounds.LONGEST_HEADER)
        if text is None:
            raise MalformedEnvelope(
                f"header {name} must be UTF-8 without zero bytes, of {bounds.LONGEST_HEADER} bytes at most"
            )
        decoded[name] = text
    return decoded


def _unit_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    claims = ((name, _text(value, bounds.LONGEST_HEADER)) for name, value in headers if name in _UNIT_HEADERS)
    return {name: text for name, text in claims if text is not None}


def _claimed_id(text: str, topic: str, value: bytes | None) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(_MISSING_ID_NAMESPACE, f"{topic}/{text}/{sha256(value or b'').hexdigest()}")


def _claimed_time(attributes: Mapping[str, str], received: datetime) -> datetime:
    try:
        return _time(attributes)
    except MalformedEnvelope:
        return received


def _key(attributes: Mapping[str, str], key: bytes | None) -> str:
    text = attributes.get("ce_partitionkey") or _text(key or b"", bounds.LONGEST_KEY)
    if text is None or len(text.encode()) > bounds.LONGEST_KEY:
        raise MalformedEnvelope(
            f"the record's key must be UTF-8 without zero bytes, of {bounds.LONGEST_KEY} bytes at most"
        )
    return text


def _required(attributes: Mapping[str, str], name: str) -> str:
    value = attributes.get(name)
    if not value:
        raise MalformedEnvelope(f"header {name} is missing")
    return value


def _uuid(attributes: Mapping[str, str], name: str, default: UUID | None = None) -> UUID:
    if default is not None and name not in attributes:
        return default
    try:
        return UUID(_required(attributes, name))
    except ValueError as error:
        if isinstance(error, MalformedEnvelope):
            raise
        raise MalformedEnvelope(f"header {name} must be a UUID") from None


def _number(attributes: Mapping[str, str], name: str, largest: int) -> int | None:
    value = attributes.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and int(value) <= largest):
        raise MalformedEnvelope(f"header {name} must be a whole number, {largest} at most")
    return int(value)


def _sensitivity(attributes: Mapping[str, str]) -> Sensitivity:
    match attributes.get("ce_sensitivity", "normal"):
        case "normal":
            return "normal"
        case "restricted":
            return "restricted"
        case "identity":
            return "identity"
        case _:
            raise MalformedEnvelope("ce_sensitivity must be normal, restricted or identity")


def _time(attributes: Mapping[str, str]) -> datetime:
    try:
        time = datetime.fromisoformat(_required(attributes, "ce_time"))
    except ValueError as error:
        if isinstance(error, MalformedEnvelope):
            raise
        raise MalformedEnvelope("header ce_time must be RFC 3339") from None
    if time.tzinfo is None:
        raise MalformedEnvelope("header ce_time must carry its offset from UTC")
    if not bounds.FIRST_YEAR <= time.year <= bounds.LAST_YEAR:
        raise MalformedEnvelope(f"header ce_time must be between {bounds.FIRST_YEAR} and {bounds.LAST_YEAR}")
    return time
