"""The days that upstream partitions have marked in one input partition."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(slots=True)
class Watermarks:
    """Which upstream lanes have marked which day in this partition."""

    by_lane: dict[tuple[str, int], tuple[int, date]]
    changed: set[tuple[str, int]] = field(default_factory=set)

    def reached(self, source: str, lane: int, lanes: int, day: date) -> date | None:
        """Remember a mark; the day that all lanes of this writer have reached, if they all have one."""
        key = (source, lane)
        known = self.by_lane.get(key)
        if known is None or known[1] < day:
            self.by_lane[key] = (lanes, day)
            self.changed.add(key)
        of_writer = [mark for (writer, _), mark in self.by_lane.items() if writer == source]
        return min(marked for _, marked in of_writer) if len(of_writer) >= lanes else None
