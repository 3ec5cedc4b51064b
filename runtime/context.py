"""The objects that the parts of one service process share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.county_config import Counties
from runtime.kafka import Admin
from runtime.observe.metrics import Metrics
from runtime.publish.outbox import Outbox
from runtime.settings import Settings
from runtime.storage.database import Database
from runtime.storage.parking_cipher import ParkingCipher
from runtime.topic_catalogue import TopicCatalogue

DAY_PRODUCER = "@day"
"""The input whose producer ids number a day's events; its partition is the index."""
REPLAY_PRODUCER = "@replay"
"""The input whose producer id numbers the events that a replay emits."""


@dataclass(frozen=True, slots=True)
class RuntimeContext:
    """One service's settings, database, outbox and metrics. Made once, when the database is open."""

    service: str
    settings: Settings
    topics: TopicCatalogue
    metrics: Metrics
    counties: Counties
    admin: Admin
    pool: Database
    outbox: Outbox
    parking_cipher: ParkingCipher
    producer_ids: Mapping[tuple[str, int], int]
    """The producer ids of what no consumer reads: ``(DAY_PRODUCER, index)`` and ``(REPLAY_PRODUCER, 0)``."""
    outbox_written: asyncio.Event
    """Wakes the relay."""
    county_changed: asyncio.Event
    """Wakes every retry that may have waited for a county's data."""
    days_changed: asyncio.Event
    """Wakes the day scheduler: a partition has reached a day, or partitions came or went."""
    fail: Callable[[str], None]
    """Ends the process with an error and a reason, so that its supervisor starts it again."""

    def county_stored(self) -> None:
        """Wake every retry: a county's data may be in the database now."""
        self.county_changed.set()
        self.county_changed.clear()
