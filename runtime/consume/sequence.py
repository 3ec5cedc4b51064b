"""The duplicate filter: for each producer it accepts only the next sequence number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class SequenceCheck(Enum):
    """The result of checking a sequence number."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"


@dataclass(slots=True)
class SequenceState:
    """The last accepted number of one producer, and the time since which a later one has shown a gap."""

    last_sequence: int
    gap_since: datetime | None


class SequenceTracker:
    """The duplicate filter of one input partition: for each producer it accepts only the next sequence number."""

    def __init__(self, seen: Mapping[tuple[str, int], SequenceState], *, from_first: bool) -> None:
        self._seen = {key: SequenceState(value.last_sequence, value.gap_since) for key, value in seen.items()}
        self._from_first = from_first
        self.changed: set[tuple[str, int]] = set()

    @property
    def seen(self) -> dict[tuple[str, int], SequenceState]:
        """The state of each producer, by source and producer id."""
        return self._seen

    def check(self, source: str, producer_id: int, sequence: int, now: datetime) -> SequenceCheck:
        """Check one number and record it."""
        key = (source, producer_id)
        state = self._seen.get(key)
        if state is None:
            # A complete log has every producer's numbers from 0; in a truncated log any number may be the first.
            start = 0 if self._from_first else sequence
            state = self._seen[key] = SequenceState(start - 1, None)
        if sequence <= state.last_sequence:
            return SequenceCheck.DUPLICATE
        self.changed.add(key)
        if sequence > state.last_sequence + 1:
            state.gap_since = state.gap_since or now
            return SequenceCheck.OUT_OF_ORDER
        state.last_sequence = sequence
        state.gap_since = None
        return SequenceCheck.NEXT
