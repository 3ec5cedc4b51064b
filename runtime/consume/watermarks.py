"""The watermarks of upstream producers in one input partition."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(slots=True)
class Watermarks:
    """The last day that each upstream producer has completed in this partition."""

    by_producer: dict[tuple[str, int], tuple[int, date]]
    changed: set[tuple[str, int]] = field(default_factory=set)

    def reached(self, source: str, producer_id: int, producers: int, day: date) -> date | None:
        """Record a watermark, and return the day that all producers of its source have completed, or None."""
        key = (source, producer_id)
        watermark = self.by_producer.get(key)
        if watermark is None or watermark[1] < day:
            self.by_producer[key] = (producers, day)
            self.changed.add(key)
        of_source = [latest for (other, _), latest in self.by_producer.items() if other == source]
        return min(completed for _, completed in of_source) if len(of_source) >= producers else None
