"""Halts a partition when too many of its events fail: that is not the events' fault."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.errors import Halt

SHARE = 0.5
"""Of the last ``WINDOW`` events of a partition."""
WINDOW = 1000


@dataclass(slots=True)
class CircuitBreaker:
    """How much of one partition was bad lately: too much of it is not the events' fault."""

    limit: int
    share: float = SHARE
    window: int = WINDOW
    run: int = 0
    """Failures in a row. Stored with the cursor, so that a restart does not reset it."""
    _recent: deque[bool] = field(default_factory=deque)
    _bad: int = 0

    def check(self, outcomes: Sequence[bool]) -> int:
        """Count outcomes in offset order (True: bad); returns the new run without keeping it.

        Raises:
            Halt: too many in a row, or too great a share.
        """
        if not outcomes:
            return self.run  # with nothing new there is nothing to judge: what was passed was judged then
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
        """Remember what was committed."""
        self.run = run
        for outcome in outcomes:
            self._recent.append(outcome)
            self._bad += outcome
            if len(self._recent) > self.window:
                self._bad -= self._recent.popleft()
