"""The envelope: CloudEvents 1.0 over Kafka, binary mode.

An event's facts are the JSON value of a Kafka record; who said it, when and because of what are its headers
(``ce_*``, UTF-8). Sources: CloudEvents 1.0.2 core specification and its Kafka protocol binding; the
``partitionkey``, ``sequence`` and distributed-tracing extensions. The others (``county``, ``lane``,
``correlationid``, ``causationid``, ``sensitivity``) are ours and lower-case alphanumeric, as extensions must be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import ClassVar, Literal, Self, cast
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, PrivateAttr

from contracts import bounds
from contracts.vocabulary import COUNTY_TIME as COUNTY_TIME  # noqa: PLC0414 -- exported from here too

CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"
_MISSING_ID_NAMESPACE = UUID("0b1f6a53-5a0f-5f0e-9d3a-3d3a6d2f7c11")
"""The namespace of the ids of messages that have none."""
_UNIT_HEADERS = frozenset({"ce_id", "ce_source", "ce_type", "ce_time", "ce_partitionkey"})
"""All that is read of the headers that a unit's client sets."""
_KNOWN_HEADERS = _UNIT_HEADERS | {
    "ce_specversion", "ce_county", "ce_correlationid", "ce_causationid", "ce_sensitivity", "ce_producerid",
    "ce_sequence", "ce_traceparent",
}  # fmt: skip

Sensitivity = Literal["normal", "restricted", "identity"]

KINDS: dict[str, type["Event"]] = {}
"""Every event type that can be said, by its ``ce_type``."""


class Event(BaseModel):
    """One thing that happened, as it is published. Unknown fields are ignored, so that contracts can grow.

    Validation errors never carry the offending value: it may be somebody's name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    kind: ClassVar[str]
    """``ce_type``: ``<service>.<Name>.v<major>``. A new major is a new class."""
    topic: ClassVar[str]
    """The topic's name, or the name of its family with ``{unit}`` in it (``contracts.topics``)."""
    sensitivity: ClassVar[Sensitivity] = "normal"
    snapshot: ClassVar[bool] = False
    """A snapshot replaces every older one of its key (it carries a version); anything else may not be skipped."""
    broadcast: ClassVar[bool] = False
    """Said once on every partition of its topic, not only on its key's."""

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
        """The record's key: what is kept in order. Each event says which."""
        raise TypeError(f"{type(self).__name__} does not say its key")

    @property
    def topic_name(self) -> str:
        """The topic this very event goes to. Families fill in their unit."""
        return self.topic

    def encoded(self) -> bytes:
        """The record's value."""
        return self.model_dump_json().encode()

    @property
    def tombstone(self) -> bool:
        """True when the record is published without a value, so that compaction forgets its key."""
        return False


class PreSerialized(BaseModel):
    """Mixed into an event whose writer has made its JSON: to make an object of it only to write it costs far more."""

    _value: bytes = PrivateAttr()

    def encoded(self) -> bytes:
        return self._value

    @classmethod
    def of(cls, value: bytes, **parts: object) -> Self:
        """``parts``: the fields that say where the event goes. The others are in the JSON alone."""
        said = cast("Self", cls.model_construct(None, **parts))  # mypy takes it for the mixin itself
        said._value = value
        return said


class MalformedEnvelope(ValueError):
    """The headers are not those of an event. Says which header and what it should be, never its content."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who said an event, when, and because of what."""

    id: UUID
    source: str
    type: str
    time: datetime
    """When the county learned of it (aware). Never a service's own clock."""
    key: str
    county: str
    correlation: UUID
    """The first event of the story this one belongs to."""
    causation: UUID | None = None
    """The event that made a service say this one."""
    sensitivity: Sensitivity = "normal"
    producer_id: int | None = None
    """The writer's lane; with ``source`` and ``sequence`` it numbers the events of one output partition densely."""
    sequence: int | None = None
    traceparent: str | None = None

    @property
    def on(self) -> date:
        """The county's calendar day of ``time``."""
        return self.time.astimezone(COUNTY_TIME).date()

    def with_sequence(self, producer_id: int, sequence: int) -> Self:
        return replace(self, producer_id=producer_id, sequence=sequence)

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of CloudEvents' binary mode."""
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
        if self.traceparent is not None:
            pairs.append(("ce_traceparent", self.traceparent))
        return [(name, value.encode()) for name, value in pairs]

    @classmethod
    def read(cls, headers: Iterable[tuple[str, bytes | None]], key: bytes | None) -> Self:
        """Read the headers of a record that one of our own services or tools wrote.

        Raises:
            MalformedEnvelope: a required header is missing, or one is null, not UTF-8, too long or not of its form.
        """
        found = _decoded_headers(headers)
        if found.get("ce_specversion", SPEC_VERSION) != SPEC_VERSION:
            raise MalformedEnvelope(f"ce_specversion must be {SPEC_VERSION}")
        event_id = _uuid(found, "ce_id")
        return cls(
            id=event_id,
            source=_required(found, "ce_source"),
            type=_required(found, "ce_type"),
            time=_time(found),
            key=_key(found, key),
            county=_required(found, "ce_county"),
            correlation=_uuid(found, "ce_correlationid", default=event_id),
            causation=_uuid(found, "ce_causationid") if "ce_causationid" in found else None,
            sensitivity=_sensitivity(found),
            producer_id=_number(found, "ce_producerid", bounds.LARGEST_PRODUCER_ID),
            sequence=_number(found, "ce_sequence", bounds.LARGEST_SEQUENCE),
            traceparent=found.get("ce_traceparent"),
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
        """What the client of a unit says of its message: claims, each of which is read if it can be read.

        A message without a readable type has the type ``""``. One without a UUID has the same id whenever the same
        bytes are sent with the same id text. Lane, sequence, county, correlation, causation, sensitivity and trace
        are for our own services to set: here they are not even read.
        """
        found = _unit_headers(headers)
        event_id = _claimed_id(found.get("ce_id", ""), topic, value)
        return cls(
            id=event_id,
            source=found.get("ce_source") or f"/{topic}",
            type=found.get("ce_type", ""),
            time=_claimed_time(found, received),
            key=_text(found.get("ce_partitionkey", "").encode() or key, bounds.LONGEST_KEY) or "",
            county=county,
            correlation=event_id,
        )


def at_midnight(day: date) -> datetime:
    """The moment the county's day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=COUNTY_TIME).astimezone(UTC)


def _text(value: bytes | None, longest: int) -> str | None:
    """The text that ``value`` is; None: it is no text that can be stored and sent on."""
    if value is None or len(value) > longest or b"\x00" in value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _decoded_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    found: dict[str, str] = {}
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
        found[name] = text
    return found


def _unit_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    claims = ((name, _text(value, bounds.LONGEST_HEADER)) for name, value in headers if name in _UNIT_HEADERS)
    return {name: text for name, text in claims if text is not None}


def _claimed_id(text: str, topic: str, value: bytes | None) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return uuid5(_MISSING_ID_NAMESPACE, f"{topic}/{text}/{sha256(value or b'').hexdigest()}")


def _claimed_time(found: Mapping[str, str], received: datetime) -> datetime:
    try:
        return _time(found)
    except MalformedEnvelope:
        return received


def _key(found: Mapping[str, str], key: bytes | None) -> str:
    text = found.get("ce_partitionkey") or _text(key or b"", bounds.LONGEST_KEY)
    if text is None or len(text.encode()) > bounds.LONGEST_KEY:
        raise MalformedEnvelope(
            f"the record's key must be UTF-8 without zero bytes, of {bounds.LONGEST_KEY} bytes at most"
        )
    return text


def _required(found: Mapping[str, str], name: str) -> str:
    value = found.get(name)
    if not value:
        raise MalformedEnvelope(f"header {name} is missing")
    return value


def _uuid(found: Mapping[str, str], name: str, default: UUID | None = None) -> UUID:
    if default is not None and name not in found:
        return default
    try:
        return UUID(_required(found, name))
    except ValueError as error:
        if isinstance(error, MalformedEnvelope):
            raise
        raise MalformedEnvelope(f"header {name} must be a UUID") from None


def _number(found: Mapping[str, str], name: str, largest: int) -> int | None:
    value = found.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and int(value) <= largest):
        raise MalformedEnvelope(f"header {name} must be a whole number, {largest} at most")
    return int(value)


def _sensitivity(found: Mapping[str, str]) -> Sensitivity:
    match found.get("ce_sensitivity", "normal"):
        case "normal":
            return "normal"
        case "restricted":
            return "restricted"
        case "identity":
            return "identity"
        case _:
            raise MalformedEnvelope("ce_sensitivity must be normal, restricted or identity")


def _time(found: Mapping[str, str]) -> datetime:
    try:
        time = datetime.fromisoformat(_required(found, "ce_time"))
    except ValueError as error:
        if isinstance(error, MalformedEnvelope):
            raise
        raise MalformedEnvelope("header ce_time must be RFC 3339") from None
    if time.tzinfo is None:
        raise MalformedEnvelope("header ce_time must carry its offset from UTC")
    if not bounds.FIRST_YEAR <= time.year <= bounds.LAST_YEAR:
        raise MalformedEnvelope(f"header ce_time must be between {bounds.FIRST_YEAR} and {bounds.LAST_YEAR}")
    return time
