"""A Kafka record as the runtime reads it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from contracts import bounds

TopicPartition = tuple[str, int]
"""(topic, partition)"""


class ConsumerRecord(Protocol):
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


def moment_of(raw: ConsumerRecord) -> datetime:
    """Return when the record was written, by its writer's clock or the broker's; the epoch if that is no valid time."""
    try:
        moment = datetime.fromtimestamp(raw.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
    return moment if bounds.FIRST_YEAR <= moment.year <= bounds.LAST_YEAR else _EPOCH


_EPOCH = datetime.fromtimestamp(0, UTC)
