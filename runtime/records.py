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
    def topic(self) -> str:
        """The topic's name."""

    @property
    def partition(self) -> int:
        """The partition's number, from 0."""

    @property
    def offset(self) -> int:
        """The record's place in its partition."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970-01-01 UTC, by the writer's clock or the broker's."""

    @property
    def key(self) -> bytes | None:
        """The record's key."""

    @property
    def value(self) -> bytes | None:
        """The record's value; None for a tombstone."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """Names and values of the headers, in the order in which they were written."""


def moment_of(raw: ConsumerRecord) -> datetime:
    """Return when the record was written, by its writer's clock or the broker's; the epoch if that is no valid time."""
    try:
        moment = datetime.fromtimestamp(raw.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
    return moment if bounds.FIRST_YEAR <= moment.year <= bounds.LAST_YEAR else _EPOCH


_EPOCH = datetime.fromtimestamp(0, UTC)
