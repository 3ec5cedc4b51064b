"""How intake says things: when the county learned of them, in events small enough, without anybody's name."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import orjson

from contracts.event import COUNTY_TIME, Event
from contracts.intake import Cell, FactValue
from contracts.intake import Problem as Told
from contracts.vocabulary import FactName
from runtime import InboundEvent, OutboundEvent
from services.intake.domain.problem import Problem
from services.intake.domain.row import ReadRow

_MOST_BYTES = 400_000
"""Of one receipt's troubles: an event stays under 500 kB."""
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""``traceparent`` of W3C Trace Context. Headers are stored with zero bytes between them: nothing else goes in."""


def recorded_time(heard: InboundEvent[Any], now: datetime | None) -> tuple[datetime, date]:
    """When the county learned of it: by its own clock; before that ever told the time, by the record's."""
    at = now or heard.envelope.time
    return at, _day_of(at)


@lru_cache(maxsize=64)
def _day_of(at: datetime) -> date:
    """The county's day. At either end of what can be counted the sender's own day is as good."""
    try:
        return at.astimezone(COUNTY_TIME).date()
    except OverflowError:
        return at.date()


def emit(heard: InboundEvent[Any], event: Event, at: datetime, correlation: UUID | None = None) -> OutboundEvent:
    """Like ``heard.say``; but a unit's own idea of time and county travels no further."""
    cause = heard.envelope
    trace = cause.traceparent if cause.traceparent and _TRACE.fullmatch(cause.traceparent) else None
    return OutboundEvent(
        event, cause.id, correlation or cause.correlation, at, _county_of(heard.topic), event.sensitivity, trace
    )


@lru_cache
def _county_of(topic: str) -> str:
    """The topic says who spoke, and so of which county he is: ``action.341722-jtj.v1``."""
    return topic.split(".")[1].partition("-")[0]


def iso(day: date | None) -> str | None:
    """A birth date as contracts write it."""
    return None if day is None else day.isoformat()


def in_county_time(at: datetime | None) -> datetime | None:
    """A moment without an offset is told in the county's time."""
    return at.replace(tzinfo=COUNTY_TIME) if at is not None and at.tzinfo is None else at


def county_day(at: datetime | None) -> date | None:
    told = in_county_time(at)
    return None if told is None else _day_of(told)


def facts_of(row: ReadRow) -> dict[FactName, FactValue]:
    """The names are those of ``FactName``; the event makes them so."""
    return cast("dict[FactName, FactValue]", row.facts)


def canonical_json(content: object) -> bytes:
    """The same bytes for the same content."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def canonical_cells(cells: Mapping[str, Cell]) -> bytes | None:
    """The cells of a row as bytes. None: a number in them is too large for anything, and will be refused by name."""
    try:
        return canonical_json(cells)
    except orjson.JSONEncodeError:
        return None


def published_problems(troubles: Iterable[Problem]) -> tuple[Told, ...]:
    """Troubles as they stand on a receipt."""
    return tuple(
        Told(
            row=trouble.row,
            column=None if trouble.column is None else trouble.column[:200],
            code=trouble.code,
            message=trouble.message,
            remedy=trouble.remedy,
            excerpt=trouble.excerpt,
            refused=trouble.refused,
        )
        for trouble in troubles
    )


def split_by_size(troubles: Sequence[Told]) -> Iterator[tuple[Told, ...]]:
    """Parts that each stay small enough for one event; at least one, be it empty."""
    part: list[Told] = []
    size = 0
    for trouble in troubles:
        weight = 150 + 3 * len(trouble.message + trouble.remedy + trouble.excerpt + (trouble.column or ""))
        if part and size + weight > _MOST_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(trouble)
        size += weight
    yield tuple(part)
