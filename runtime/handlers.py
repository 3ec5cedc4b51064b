"""What a handler gets and returns: batches of events in, events out."""

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
class OutboundEvent:
    """An event to be published, and what made it so. Made by :meth:`InboundEvent.emit` and :meth:`DayPage.emit`."""

    event: Event
    cause: UUID
    """Its id is derived from this one: the same cause gives the same ids, however often it is applied."""
    correlation: UUID
    time: datetime
    county: str
    sensitivity: Sensitivity
    bypass_coalescing: bool = False
    """True for a snapshot that is not coalesced, however much of a file is coming."""


@dataclass(frozen=True, slots=True)
class InboundEvent(Generic[E_co]):
    """One event as it was read."""

    event: E_co
    envelope: Envelope
    topic: str
    partition: int
    offset: int

    def emit(self, event: Event, *, correlation: UUID | None = None, bypass_coalescing: bool = False) -> OutboundEvent:
        """Return an event that this one causes. It inherits time, county and correlation."""
        cause = self.envelope
        return OutboundEvent(
            event=event,
            cause=cause.id,
            correlation=correlation or cause.correlation,
            time=cause.time,
            county=cause.county,
            sensitivity=event.sensitivity,
            bypass_coalescing=bypass_coalescing,
        )


@dataclass(frozen=True, slots=True)
class Batch(Generic[E_co]):
    """Consecutive events of one input partition, in offset order, all before the next watermark."""

    events: Sequence[InboundEvent[E_co]]
    topic: str
    partition: int
    on: date | None
    """The partition's day: the last that its index has completed. None before the first."""
    now: datetime | None
    """The last time that the county's clock has published to this service."""
    county: County
    """The county's data in force on ``on``."""
    partitions: int
    """Of the services' topics."""


@dataclass(frozen=True, slots=True)
class DayPage:
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
    correlation: UUID = field(repr=False)
    """The correlation of whatever this day causes."""
    county_code: str = field(repr=False)
    """The county's code."""

    def emit(self, event: Event, *, correlation: UUID | None = None, time: datetime | None = None) -> OutboundEvent:
        """Return an event that this day causes. Its time is the day's midnight unless ``time`` is given."""
        return OutboundEvent(
            event=event,
            cause=self.cause,
            correlation=correlation or self.correlation,
            time=time or at_midnight(self.day),
            county=self.county_code,
            sensitivity=event.sensitivity,
        )


@dataclass(slots=True)
class DayPageResult:
    """What a page emits, and where the next one starts. ``resume`` None: this index has completed the day."""

    events: list[OutboundEvent]
    resume: str | None


Handler = Callable[[Batch[Any], Tx], Awaitable[list[OutboundEvent]]]
DayHandler = Callable[[DayPage, Tx], Awaitable[DayPageResult]]
ParkKey = Callable[[Any, Envelope], str]
"""The key an event is parked under: ``(event, envelope) -> key``. The default is the record's key."""
MalformedHandler = Callable[[Envelope, bytes, str], Event | None]
"""Makes the event that a handler gets of one that cannot be read: ``(envelope, value, reason)``. None: it is parked."""
