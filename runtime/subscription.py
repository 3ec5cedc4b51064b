"""The topics and handlers of one consumer of a service."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contracts.event import Event
from contracts.topics import UNIT, Topic
from runtime.handlers import DayHandler, Handler, MalformedHandler, ParkKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One consumer group's topics and handlers. Declared with :meth:`runtime.service.Service.consumer`."""

    name: str
    group: str
    topics: tuple[Topic, ...]
    county: str
    """The county whose units' topics are read."""
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    """Handlers by the name of a topic or of a family of topics."""
    on_day: DayHandler | None = None
    day_source: Topic | None = None
    park_key: ParkKey | None = None
    malformed: MalformedHandler | None = None
    reads: Mapping[str, type[Event]] = field(default_factory=dict)
    """Event type -> the part of the event that is read instead of the whole."""
    needs_county: bool = True
    linger_seconds: float = 0.0
    coalesce: bool = False
    day_topics: frozenset[str] = frozenset()
    """The inputs whose watermarks complete the service's day; empty for all consumers but one."""

    def __post_init__(self) -> None:
        if self.coalesce and not self.linger_seconds:
            raise ValueError(f"{self.name} cannot know that more is coming: it does not linger")

    @property
    def unit_topics(self) -> bool:
        """True if it reads units' own topics, which have one partition each."""
        return any(UNIT in topic.name for topic in self.topics)

    @property
    def pattern(self) -> str:
        """The topics as a regular expression: a new unit's topic is read as soon as it exists."""
        unit = rf"{re.escape(self.county)}-[a-z0-9]+"
        names = (re.escape(topic.name).replace(re.escape(UNIT), unit) for topic in self.topics)
        return rf"(?:{'|'.join(names)})$"

    def topic_names(self, existing: Iterable[str]) -> list[str]:
        """Return the topics to read: those it names; if it reads units' topics, those of ``existing`` that match."""
        if not self.unit_topics:
            return sorted(topic.name for topic in self.topics)
        pattern = re.compile(self.pattern)
        return sorted(name for name in existing if pattern.match(name))

    def day_bearing(self) -> frozenset[str]:
        """Return the topics whose watermarks, or whose days, could complete the service's day."""
        bearing = {topic.name for topic in self.topics if topic.carries_watermarks and UNIT not in topic.name}
        return frozenset(bearing | ({self.day_source.name} if self.day_source else set()))
