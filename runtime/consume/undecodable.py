"""Makes aiokafka skip a batch that it cannot decode.

The broker accepts a header whose name is not UTF-8, and aiokafka raises at its record whenever the batch is fetched, so
that no partition of that consumer would be read any more. A batch has one producer and one partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that cannot be decoded; only its topic, partition and offset are known."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class _Batches:
    """The batches of one fetch; ``read`` is the one that is being read."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.read: Any = None

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        self.read = self._batches.next_batch()
        return self.read


class _Records(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one fetch; from the first that cannot be decoded on, its batch consists of ``Undecodable``."""

    _records: Any
    _tp: Any
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        self._records = batches = _Batches(self._records)
        while True:
            try:
                yield from super()._unpack_records()
            except UnicodeDecodeError:
                batch = batches.read
                for offset in range(max(self.next_fetch_offset, batch.base_offset), batch.next_offset):
                    self.next_fetch_offset = offset + 1
                    yield Undecodable(self._tp.topic, self._tp.partition, offset, batch.max_timestamp)
            else:
                return


def install() -> None:
    """Replace the class that aiokafka's consumers decode with; aiokafka has no setting for it."""
    fetcher.PartitionRecords = _Records
