"""Said by the clock, and forwarded in-band by every service: time is an event.

No domain code asks what time it is. ``DayBegan`` is published once for each county day on ``clock.v1``;
``TimePassed`` every ten minutes. A service that has done a day's work says ``DayWatermark`` on every partition of
its output topics; a reader's day turns when it has it from all the writer's lanes.
"""

from datetime import date, datetime
from typing import ClassVar

from contracts.event import Event


class DayBegan(Event):
    """The county's calendar day (Asia/Shanghai) has begun."""

    kind = "clock.DayBegan.v1"
    topic = "clock.v1"

    day: date

    @property
    def key(self) -> str:
        return "clock"


class TimePassed(Event):
    """The county's clock has reached this moment. For clocks that count in hours."""

    kind = "clock.TimePassed.v1"
    topic = "clock.v1"

    at: datetime

    @property
    def key(self) -> str:
        return "clock"


class DayWatermark(Event):
    """A watermark: this lane of the writer has said everything it has to say about the days before ``day``.

    It travels on the writer's own output topics. ``lanes`` is how many lanes of this writer mark this partition;
    the page turns when all of them have.
    """

    kind = "clock.DayWatermark.v1"
    topic: ClassVar[str] = "{any}"

    day: date
    producers: int

    @property
    def key(self) -> str:
        return "day"
