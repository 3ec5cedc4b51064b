"""Coalesces a partition's snapshots during a bulk load, and emits them after it or at the end of the day."""

import time

from runtime.consume.attempt import BatchAttempt
from runtime.publish.outbox import Outbox, OutboxRow
from runtime.storage.database import Session

_FLUSH_ROWS = 1000
"""Coalesced snapshots that one statement takes."""


class Coalescing:
    """The coalesced snapshots of one partition."""

    def __init__(self, outbox: Outbox, *, coalesces: bool) -> None:
        self._outbox = outbox
        self._coalesces = coalesces
        self.since: float | None = None
        """Monotonic seconds since which snapshots may be coalesced, by this process or the partition's former owner."""
        self.may_hold_some()

    def may_hold_some(self) -> None:
        """Assume that snapshots were coalesced that this process does not know of."""
        if self._coalesces:
            self.since = self.since or time.monotonic()

    def committed(self, *, may_be_left: bool) -> None:
        """Record whether the committed transaction may have left coalesced snapshots."""
        self.since = None if not may_be_left else self.since or time.monotonic()

    async def apply(self, session: Session, attempt: BatchAttempt, producer_id: int, *, more_to_come: bool) -> bool:
        """Coalesce the attempt's snapshots if more is expected; otherwise emit coalesced ones (all, when the day ends).

        Return whether some may be left.
        """
        if not self._coalesces:
            return False
        may_be_left = self.since is not None
        if more_to_come:
            emitted = len(attempt.rows)
            attempt.rows = await self._outbox.coalesce(session, producer_id, attempt.rows)
            attempt.coalesced = emitted - len(attempt.rows)
            may_be_left = may_be_left or attempt.coalesced > 0
        flushed: list[OutboxRow] = []
        while attempt.completes_day or not attempt.raws:
            rows = await self._outbox.take_coalesced(session, producer_id, _FLUSH_ROWS)
            flushed += rows
            may_be_left = len(rows) == _FLUSH_ROWS
            if not may_be_left or not attempt.completes_day:
                break
        attempt.rows = flushed + attempt.rows
        return may_be_left
