"""Halts a partition when too many of its events fail, because the deployed version is then the likely cause."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.errors import Halt

SHARE = 0.5
"""The share of failures among the last ``WINDOW`` events above which the partition halts."""
WINDOW = 1000


@dataclass(slots=True)
class CircuitBreaker:
    """The share of recent failures of one partition."""

    limit: int
    share: float = SHARE
    window: int = WINDOW
    run: int = 0
    """Failures in a row. Stored with the cursor, so that a restart does not reset it."""
    _recent: deque[bool] = field(default_factory=deque)
    _bad: int = 0

    def check(self, outcomes: Sequence[bool]) -> int:
        """Count outcomes in offset order (True for a failure), and return the new run without storing it.

        Raises:
            Halt: too many failures in a row, or too great a share of failures.
        """
        if not outcomes:
            return self.run  # no new events; earlier ones were counted when they were applied
        run, bad, seen = self.run, self._bad, len(self._recent)
        for outcome in outcomes:
            run = run + 1 if outcome else 0
            bad += outcome
            seen += 1
            if run > self.limit:
                raise Halt(f"more than {self.limit} events in a row could not be processed")
        if seen >= self.window and bad > seen * self.share:
            raise Halt(f"{bad} of the last {seen} events could not be processed")
        return run

    def record(self, outcomes: Sequence[bool], run: int) -> None:
        """Record the outcomes of a committed batch."""
        self.run = run
        for outcome in outcomes:
            self._recent.append(outcome)
            self._bad += outcome
            if len(self._recent) > self.window:
                self._bad -= self._recent.popleft()
