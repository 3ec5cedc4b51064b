"""The arguments and results of handlers: batches of events in, events out."""

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
    """An event to be published and its cause. Made by :meth:`InboundEvent.emit` and :meth:`DayPage.emit`."""

    event: Event
    cause: UUID
    """The id that the event's id is derived from: the same cause always gives the same ids."""
    correlation: UUID
    time: datetime
    county: str
    sensitivity: Sensitivity
    bypass_coalescing: bool = False
    """True for a snapshot that is emitted immediately, even while a file is being read."""


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
    """The number of partitions of the services' topics."""


@dataclass(frozen=True, slots=True)
class DayPage:
    """One page of a day's work for one partition index."""

    day: date
    index: int
    partitions: int
    resume: str | None
    """The position at which the page before this one stopped; None for the day's first page."""
    limit: int
    county: County
    now: datetime
    cause: UUID = field(repr=False)
    """The id of this page, derived from county, service, day, index and ``resume``."""
    correlation: UUID = field(repr=False)
    """The correlation of all events that this day causes."""
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
    """The events of a page, and the start of the next one. ``resume`` is None if this index has completed the day."""

    events: list[OutboundEvent]
    resume: str | None


Handler = Callable[[Batch[Any], Tx], Awaitable[list[OutboundEvent]]]
DayHandler = Callable[[DayPage, Tx], Awaitable[DayPageResult]]
ParkKey = Callable[[Any, Envelope], str]
"""The key an event is parked under: ``(event, envelope) -> key``. The default is the record's key."""
MalformedHandler = Callable[[Envelope, bytes, str], Event | None]
"""Returns an event in place of an unreadable one: ``(envelope, value, reason) -> event``. With None it is parked."""
