"""Reads raw records: takes exactly the next number of each writer's lane, and makes events of bytes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol

from pydantic import ValidationError

from contracts import bounds
from contracts.clock import DayBegan, DayTurned
from contracts.event import KINDS, Envelope, Event, MalformedEnvelope
from contracts.topics import Topic
from runtime.batches import Heard
from runtime.decoding import Undecodable


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
        self,
        entry: Topic,
        name: str,
        county: str,
        *,
        units_write: bool,
        marks: bool,
        day_source: bool,
        reads: Mapping[str, type[Event]] | None = None,
    ) -> None:
        self._entry = entry
        self._name = name
        self._county = county
        self._units_write = units_write
        self._marks = marks
        self._day_source = day_source
        self._kinds = {**KINDS, **(reads or {})}

    def envelope(self, raw: Raw) -> Envelope | NoEvent:
        """Who said it. On a unit's own topic whatever its plain client says of itself is read as far as it can be."""
        if isinstance(raw, Undecodable):
            return NoEvent(raw, "in a batch with a header whose name is not UTF-8")
        if self._units_write:
            return Envelope.of_unit(
                raw.headers, raw.key, raw.value, topic=self._name, received=moment_of(raw), county=self._county
            )
        try:
            return Envelope.read(raw.headers, raw.key)
        except MalformedEnvelope as error:
            return NoEvent(raw, str(error))

    def decode(self, raw: Raw, envelope: Envelope) -> Read:
        """Make an event of the record's bytes."""
        if raw.value is None:
            return None if self._entry.compacted else NoEvent(raw, "null value on a topic that is not compacted")
        kind = self._kinds.get(envelope.type)
        if kind is None:
            return Unreadable(raw, envelope, f"unknown ce_type {_kind(envelope.type)}".rstrip())
        if kind is DayTurned and not self._marks:
            return NoEvent(raw, "a day mark where nobody may set one")
        try:
            event: Event = kind.model_validate_json(raw.value)
        except ValidationError as error:
            return Unreadable(raw, envelope, _places(error, kind))
        except RecursionError:
            return Unreadable(raw, envelope, "nested too deeply")
        # The event itself says where it goes: a restricted matter has the same type as an ordinary one.
        if (
            kind is not DayTurned
            and self._name not in (kind.topic, event.topic_name)
            and kind.topic != self._entry.name
        ):
            return Unreadable(raw, envelope, f"{envelope.type} does not belong on this topic")
        if isinstance(event, DayTurned) or (self._day_source and isinstance(event, DayBegan)):
            return Mark(raw, envelope, event) if _is_possible(event) else NoEvent(raw, "a day mark out of bounds")
        return Heard(event, envelope, raw.topic, raw.partition, raw.offset)


def moment_of(raw: Raw) -> datetime:
    """When the record was written, by its writer's clock or the broker's; the epoch if that is no moment at all."""
    try:
        moment = datetime.fromtimestamp(raw.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
    return moment if bounds.FIRST_YEAR <= moment.year <= bounds.LAST_YEAR else _EPOCH


def is_shallow(value: bytes) -> bool:
    """False for JSON that is nested more deeply than anything we read."""
    depth = 0
    for bracket in _BRACKETS.finditer(value):
        if bracket.lastgroup == "opens":
            depth += 1
            if depth > bounds.DEEPEST_JSON:
                return False
        elif bracket.lastgroup == "closes":
            depth -= 1
    return True


_EPOCH = datetime.fromtimestamp(0, UTC)
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|(?P<opens>[\[{])|(?P<closes>[\]}])', re.DOTALL)
"""Strings, so that what stands in them is not counted."""


def _is_possible(mark: DayTurned | DayBegan) -> bool:
    lanes = mark.lanes if isinstance(mark, DayTurned) else 1
    return bounds.FIRST_YEAR <= mark.day.year <= bounds.LAST_YEAR and 0 < lanes <= bounds.LARGEST_LANE


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


def _places(error: ValidationError, kind: type[Event]) -> str:
    """Which fields are wrong and how. Keys of a mapping are the sender's words, not ours: they are not repeated."""
    known = _field_names(kind)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = []
    for one in found[:5]:
        place = ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in one["loc"])
        told.append(f"{place}: {one['type']}")
    return "; ".join(told)[:300]


@lru_cache
def _field_names(kind: type[Event]) -> frozenset[str]:
    """The fields of an event and of all it is made of."""
    return frozenset(_properties(kind.model_json_schema()))


def _properties(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _properties(part)


_KIND = re.compile(r"[a-z]+\.[A-Za-z]+\.v[0-9]+")


def _kind(text: str) -> str:
    """A type of the house's form; of anything else nothing is repeated."""
    return text[:100] if _KIND.fullmatch(text) else ""
