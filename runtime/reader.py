"""Reads raw records: takes exactly the next number of each writer's lane, and makes events of bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol

from pydantic import ValidationError

from contracts.clock import DayBegan, DayTurned
from contracts.event import KINDS, Envelope, Event, MalformedEnvelope
from contracts.topics import Topic
from runtime.batches import Heard


class Raw(Protocol):
    """A record as aiokafka reads it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event that this code cannot read: its key is known, so it is parked."""

    raw: Raw
    envelope: Envelope
    reason: str


@dataclass(frozen=True, slots=True)
class NoEvent:
    """Bytes that are no event: nobody's key is known, so they go to the dead letters."""

    raw: Raw
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A day mark of one upstream lane."""

    raw: Raw
    envelope: Envelope
    event: DayTurned | DayBegan


Read = Heard[Any] | Unreadable | NoEvent | Mark | None
"""None: a tombstone, which says nothing to a service."""


class Reader:
    """Decodes the records of one topic."""

    def __init__(
        self, entry: Topic, name: str, county: str, *, units_write: bool, marks: bool, day_source: bool
    ) -> None:
        self._entry = entry
        self._name = name
        self._county = county
        self._units_write = units_write
        self._marks = marks
        self._day_source = day_source

    def envelope(self, raw: Raw) -> Envelope | NoEvent:
        """Who said it. Headers a department's plain client need not set are filled in on a unit's own topic only."""
        try:
            if self._units_write:
                received = datetime.fromtimestamp(raw.timestamp / 1000, UTC)
                return Envelope.read(raw.headers, raw.key, received=received, county=self._county)
            return Envelope.read(raw.headers, raw.key)
        except MalformedEnvelope as error:
            return NoEvent(raw, str(error))

    def numbered(self, envelope: Envelope) -> bool:
        """True when the record carries a number that is to be believed: a unit's claims are not."""
        return not self._units_write and envelope.lane is not None and envelope.sequence is not None

    def decode(self, raw: Raw, envelope: Envelope) -> Read:
        """Make an event of the record's bytes."""
        if raw.value is None:
            return None if self._entry.compacted else NoEvent(raw, "null value on a topic that is not compacted")
        kind = KINDS.get(envelope.type)
        if kind is None:
            return Unreadable(raw, envelope, f"unknown ce_type {_short(envelope.type)}")
        if kind is DayTurned and not self._marks:
            return NoEvent(raw, "a day mark where nobody may set one")
        try:
            event: Event = kind.model_validate_json(raw.value)
        except ValidationError as error:
            return Unreadable(raw, envelope, _places(error))
        except RecursionError:
            return Unreadable(raw, envelope, "nested too deeply")
        # The event itself says where it goes: a restricted matter has the same type as an ordinary one.
        if (
            kind is not DayTurned
            and self._name not in (kind.topic, event.topic_name)
            and kind.topic != self._entry.name
        ):
            return Unreadable(raw, envelope, f"{kind.kind} does not belong on this topic")
        if isinstance(event, DayTurned) or (self._day_source and isinstance(event, DayBegan)):
            return Mark(raw, envelope, event)
        return Heard(event, envelope, raw.topic, raw.partition, raw.offset)


class Turn(Enum):
    """What a number means to its reader."""

    NEXT = "next"
    HAD = "had"
    EARLY = "early"


@dataclass(slots=True)
class Seen:
    last_seq: int
    hole_since: datetime | None


class Numbers:
    """The duplicate filter of one input partition: per writer and lane, exactly the next number is taken."""

    def __init__(self, seen: Mapping[tuple[str, int], Seen], *, from_first: bool) -> None:
        self._seen = {key: Seen(value.last_seq, value.hole_since) for key, value in seen.items()}
        self._from_first = from_first
        self.changed: set[tuple[str, int]] = set()

    @property
    def seen(self) -> dict[tuple[str, int], Seen]:
        return self._seen

    def turn(self, source: str, lane: int, sequence: int, now: datetime) -> Turn:
        """Judge one number and remember it."""
        key = (source, lane)
        known = self._seen.get(key)
        if known is None:
            # A log read from its first record begins every lane with 0; of an older log any number may be the first.
            start = 0 if self._from_first else sequence
            known = self._seen[key] = Seen(start - 1, None)
        if sequence <= known.last_seq:
            return Turn.HAD
        self.changed.add(key)
        if sequence > known.last_seq + 1:
            known.hole_since = known.hole_since or now
            return Turn.EARLY
        known.last_seq = sequence
        known.hole_since = None
        return Turn.NEXT


def _places(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    places = [f"{'.'.join(str(part) for part in one['loc'])}: {one['type']}" for one in found[:5]]
    return _short("; ".join(places))


def _short(text: str) -> str:
    return text[:300]
