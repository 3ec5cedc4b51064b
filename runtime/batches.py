"""What a handler hears and says: batches of events in, events out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from contracts.county import County
from contracts.event import Envelope, Event, Sensitivity, at_midnight
from runtime.transaction import Tx

E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Say:
    """An event to be published, and what made it so. Made by :meth:`Heard.say` and :meth:`Page.say`."""

    event: Event
    cause: UUID
    """Its id is derived from this one: the same cause gives the same ids, however often it is applied."""
    correlation: UUID
    time: datetime
    county: str
    sensitivity: Sensitivity
    traceparent: str | None = None
    at_once: bool = False
    """A snapshot that is not kept back, however much of a file is on its way."""


@dataclass(frozen=True, slots=True)
class Heard(Generic[E_co]):
    """One event as it was read."""

    event: E_co
    envelope: Envelope
    topic: str
    partition: int
    offset: int

    def say(self, event: Event, *, correlation: UUID | None = None, at_once: bool = False) -> Say:
        """What this event causes. Time, county and correlation are inherited from it."""
        cause = self.envelope
        return Say(
            event=event,
            cause=cause.id,
            correlation=correlation or cause.correlation,
            time=cause.time,
            county=cause.county,
            sensitivity=event.sensitivity,
            traceparent=cause.traceparent,
            at_once=at_once,
        )


@dataclass(frozen=True, slots=True)
class Batch(Generic[E_co]):
    """Consecutive events of one input partition, in offset order, all before the next day mark."""

    events: Sequence[Heard[E_co]]
    topic: str
    partition: int
    on: date | None
    """The lane's day: the last that turned for this partition index. None before the first."""
    now: datetime | None
    """The last moment the county's clock told this service."""
    county: County
    """The county's data in force on ``on``."""
    partitions: int
    """Of the services' topics."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a day's work for one partition index."""

    day: date
    index: int
    partitions: int
    resume: str | None
    """Where the page before this one stopped. None: the day's first page."""
    limit: int
    county: County
    now: datetime
    cause: UUID = field(repr=False)
    """Of this page: derived from county, service, day, index and ``resume``."""
    story: UUID = field(repr=False)
    """The correlation of whatever this day causes."""
    code: str = field(repr=False)
    """The county's code."""

    def say(self, event: Event, *, correlation: UUID | None = None, time: datetime | None = None) -> Say:
        """What this day causes. Its time is the day's midnight unless said otherwise."""
        return Say(
            event=event,
            cause=self.cause,
            correlation=correlation or self.story,
            time=time or at_midnight(self.day),
            county=self.code,
            sensitivity=event.sensitivity,
        )


@dataclass(slots=True)
class PageDone:
    """What a page said, and where the next one starts. ``resume`` None: this index has done the day."""

    said: list[Say]
    resume: str | None


Handler = Callable[[Batch[Any], Tx], Awaitable[list[Say]]]
DayHandler = Callable[[Page, Tx], Awaitable[PageDone]]
ParkBy = Callable[[Any, Envelope], str]
"""The key an event is parked under: ``(event, envelope) -> key``. The default is the record's key."""
Misread = Callable[[Envelope, bytes, str], Event | None]
"""What a handler hears of an event that cannot be read: ``(envelope, value, reason) -> event``. None: it is parked."""
