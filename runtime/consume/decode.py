"""Decodes raw records into events, unreadable events, watermarks or dead letters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from contracts import bounds
from contracts.clock import DayBegan, DayWatermark
from contracts.event import KINDS, Envelope, Event, MalformedEnvelope
from contracts.flow import FLOW
from contracts.topics import Topic
from runtime.consume.undecodable import Undecodable
from runtime.handlers import InboundEvent
from runtime.records import ConsumerRecord, moment_of


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """An event that this code cannot read: its key is known, so it is parked."""

    raw: ConsumerRecord
    envelope: Envelope
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is no event. It has no key to park it under, so it is stored as a dead letter."""

    raw: ConsumerRecord
    reason: str


@dataclass(frozen=True, slots=True)
class WatermarkRecord:
    """The watermark of one upstream producer."""

    raw: ConsumerRecord
    envelope: Envelope
    event: DayWatermark | DayBegan


Decoded = InboundEvent[Any] | UnreadableEvent | DeadLetter | WatermarkRecord | None
"""The result of decoding a record. None for a tombstone, which no handler gets."""


class RecordDecoder:
    """Decodes the records of one topic."""

    def __init__(
        self,
        entry: Topic,
        name: str,
        county: str,
        *,
        units_write: bool,
        carries_watermarks: bool,
        day_source: bool,
        reads: Mapping[str, type[Event]] | None = None,
    ) -> None:
        self._entry = entry
        self._name = name
        self._county = county
        self._units_write = units_write
        self._carries_watermarks = carries_watermarks
        self._day_source = day_source
        self._kinds = {**KINDS, **(reads or {})}

    def envelope(self, raw: ConsumerRecord) -> Envelope | DeadLetter:
        """Return the record's envelope. On a unit's own topic, headers that are missing or malformed are replaced."""
        if isinstance(raw, Undecodable):
            return DeadLetter(raw, "in a batch with a header whose name is not UTF-8")
        if self._units_write:
            return Envelope.from_unit(
                raw.headers, raw.key, raw.value, topic=self._name, received=moment_of(raw), county=self._county
            )
        try:
            return Envelope.read(raw.headers, raw.key)
        except MalformedEnvelope as error:
            return DeadLetter(raw, str(error))

    def _belongs(self, kind: type[Event], event: Event) -> bool:
        """Return whether an event may be on this topic: a restricted matter has the same type as an ordinary one."""
        return (
            self._entry.name in _FAMILIES.get(kind, ())
            or kind.topic == self._entry.name
            or self._name in (kind.topic, event.topic_name)
        )

    def decode(self, raw: ConsumerRecord, envelope: Envelope) -> Decoded:
        """Decode the record's value."""
        if raw.value is None:
            return None if self._entry.compacted else DeadLetter(raw, "null value on a topic that is not compacted")
        kind = self._kinds.get(envelope.type)
        if kind is None:
            return UnreadableEvent(raw, envelope, f"unknown ce_type {_kind(envelope.type)}".rstrip())
        if kind is DayWatermark and not self._carries_watermarks:
            return DeadLetter(raw, "a watermark on a topic without watermarks")
        try:
            event: Event = kind.model_validate_json(raw.value)
        except ValidationError as error:
            return UnreadableEvent(raw, envelope, _places(error, kind))
        except RecursionError:
            return UnreadableEvent(raw, envelope, "nested too deeply")
        if kind is not DayWatermark and not self._belongs(kind, event):
            return UnreadableEvent(raw, envelope, f"{envelope.type} does not belong on this topic")
        if isinstance(event, DayWatermark) or (self._day_source and isinstance(event, DayBegan)):
            return (
                WatermarkRecord(raw, envelope, event)
                if _is_possible(event)
                else DeadLetter(raw, "a watermark out of bounds")
            )
        return InboundEvent(event, envelope, raw.topic, raw.partition, raw.offset)


def is_shallow(value: bytes) -> bool:
    """Return whether JSON is nested no more deeply than anything that is read."""
    depth = 0
    for bracket in _BRACKETS.finditer(value):
        if bracket.lastgroup == "opens":
            depth += 1
            if depth > bounds.DEEPEST_JSON:
                return False
        elif bracket.lastgroup == "closes":
            depth -= 1
    return True


_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|(?P<opens>[\[{])|(?P<closes>[\]}])', re.DOTALL)
"""Matches strings whole, so that brackets inside them are not counted."""


def _is_possible(watermark: DayWatermark | DayBegan) -> bool:
    producers = watermark.producers if isinstance(watermark, DayWatermark) else 1
    return bounds.FIRST_YEAR <= watermark.day.year <= bounds.LAST_YEAR and 0 < producers <= bounds.LARGEST_PRODUCER_ID


_FAMILIES = {step.event: frozenset(topic.name for topic in step.topics) for step in FLOW}
"""The topics, or families of topics, of each event."""


def _places(error: ValidationError, kind: type[Event]) -> str:
    """Return the invalid fields and their errors. A mapping's keys may be personal data and are not repeated."""
    field_names = _field_names(kind)
    details = error.errors(include_url=False, include_context=False, include_input=False)
    problems = []
    for detail in details[:5]:
        place = ".".join(str(part) if isinstance(part, int) or part in field_names else "*" for part in detail["loc"])
        problems.append(f"{place}: {detail['type']}")
    return "; ".join(problems)[:300]


@lru_cache
def _field_names(kind: type[Event]) -> frozenset[str]:
    """Return the fields of an event and of all its parts."""
    return frozenset(_properties(kind.model_json_schema()))


def _properties(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _properties(part)


_KIND = re.compile(r"[a-z]+\.[A-Za-z]+\.v[0-9]+")


def _kind(text: str) -> str:
    """Return the text if it has the form of an event type, otherwise an empty text: it may be personal data."""
    return text[:100] if _KIND.fullmatch(text) else ""
