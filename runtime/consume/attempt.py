"""The state of one attempt at a batch: the records it has read and the changes it will write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from runtime.consume.decode import DeadLetter, UnreadableEvent
from runtime.consume.parking import Parked
from runtime.consume.sequence import SequenceState
from runtime.handlers import InboundEvent
from runtime.publish.outbox import OutboxRow
from runtime.records import ConsumerRecord


class Blocked(Exception):
    """The partition has reached a day that its index has not completed."""


class OffsetGap(Exception):
    """The first fetched offset is greater than the cursor's."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(f"{wanted} wanted, {found} found")
        self.wanted = wanted
        self.found = found


@dataclass(slots=True)
class PartitionState:
    """A partition's state between batches, valid only while no other process has moved the cursor."""

    next_offset: int
    seen: dict[tuple[str, int], SequenceState]
    watermarks: dict[tuple[str, int], tuple[int, date]]


@dataclass(slots=True)
class BatchAttempt:
    """One attempt at a batch."""

    raws: Sequence[ConsumerRecord]
    day: date | None
    now: datetime | None
    county: str | None
    watermark_day: date | None
    parked: Parked = field(default_factory=Parked)
    reads: list[InboundEvent[Any] | UnreadableEvent] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    coalesced: int = 0
    """Number of coalesced snapshots."""
    consumed: int = 0
    """Number of ``raws`` that this transaction moves the cursor past."""
    duplicates: int = 0
    out_of_order: int = 0
    rows: list[OutboxRow] = field(default_factory=list)
    applied: int = 0
    completes_day: bool = False
    """True if the batch ends with the watermark of a day: the partition waits for its index."""
