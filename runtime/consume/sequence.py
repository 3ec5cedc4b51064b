"""The duplicate filter: of each producer, exactly the next number is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class SequenceCheck(Enum):
    """What a number means to its reader."""

    NEXT = "next"
    DUPLICATE = "had"
    OUT_OF_ORDER = "early"


@dataclass(slots=True)
class SequenceState:
    """The last number taken of one producer, and since when a later one has been waiting for the next."""

    last_sequence: int
    gap_since: datetime | None


class SequenceTracker:
    """The duplicate filter of one input partition: of each producer, exactly the next number is taken."""

    def __init__(self, seen: Mapping[tuple[str, int], SequenceState], *, from_first: bool) -> None:
        self._seen = {key: SequenceState(value.last_sequence, value.gap_since) for key, value in seen.items()}
        self._from_first = from_first
        self.changed: set[tuple[str, int]] = set()

    @property
    def seen(self) -> dict[tuple[str, int], SequenceState]:
        """The state of each producer, by source and producer id."""
        return self._seen

    def check(self, source: str, producer_id: int, sequence: int, now: datetime) -> SequenceCheck:
        """Judge one number and remember it."""
        key = (source, producer_id)
        state = self._seen.get(key)
        if state is None:
            # A whole log begins every producer with 0; of an older log any number may be the first.
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
