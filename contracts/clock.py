"""Events of the clock. Time is an event, which every service forwards in-band; no domain code reads a clock.

``DayBegan`` is published once for each county day on ``clock.v1``, ``TimePassed`` every ten minutes. A service that
has completed a day's work emits ``DayWatermark`` on every partition of its output topics. A consumer starts a day when
it has received that day's watermark from all input partitions of its producer.
"""

from datetime import date, datetime
from typing import ClassVar

from contracts.event import Event


class DayBegan(Event):
    """A calendar day of the county (Asia/Shanghai) has begun."""

    kind = "clock.DayBegan.v1"
    topic = "clock.v1"

    day: date
    """The day that has begun."""

    @property
    def key(self) -> str:
        return "clock"


class TimePassed(Event):
    """The county's clock has reached a moment. Deadlines counted in hours depend on it."""

    kind = "clock.TimePassed.v1"
    topic = "clock.v1"

    at: datetime
    """The moment, with its offset from UTC."""

    @property
    def key(self) -> str:
        return "clock"


class DayWatermark(Event):
    """A watermark: an input partition of the producer has emitted everything about the days before ``day``.

    It travels on the producer's own output topics. A consumer starts the day once all ``producers`` of the partition
    have emitted it.
    """

    kind = "clock.DayWatermark.v1"
    topic: ClassVar[str] = "{any}"

    day: date
    """The day that may start."""
    producers: int
    """The number of input partitions of the producing service, each of which emits this watermark here."""

    @property
    def key(self) -> str:
        return "day"
