"""Applies one partition's records in order, in a separate task, so that a retry delays no other partition."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

from runtime.consume.partition import PartitionProcessor
from runtime.observe.logs import log
from runtime.records import ConsumerRecord

WAITING_BATCHES = 2
"""Full batches that may be queued: the next one and one more."""
WAITING_BYTES = 4 * 2**20
"""Bytes of queued values above which a partition is not polled."""


class WorkerOwner(Protocol):
    """The interface of a consumer group that a worker uses."""

    name: str
    largest_batch: int
    has_room: asyncio.Event

    @property
    def leaving(self) -> bool:
        """True when the partition is being revoked or the service stops: no new batch is begun."""

    @property
    def more_to_come(self) -> bool:
        """True while more of a file is expected on any partition."""

    def saw_bulk(self) -> None:
        """Record that a batch of a bulk load was applied now."""

    def processor(self, topic: str, partition: int) -> PartitionProcessor:
        """Return the partition's processor."""

    def fail(self) -> None:
        """End the process: a worker has failed unexpectedly."""


class Worker:
    """One partition's queue, and the task that applies its records."""

    def __init__(self, owner: WorkerOwner, topic: str, partition: int) -> None:
        self._owner = owner
        self._place = (topic, partition)
        self._queue: deque[ConsumerRecord] = deque()
        self._bytes = 0
        self._bulk = False
        """True if the last poll of this partition was a bulk poll."""
        self._flushes = False
        self.is_slow = False
        """True once a poll has waited for its present task in vain: the next polls do not wait for it."""
        self._task: asyncio.Task[None] | None = None

    @property
    def working(self) -> bool:
        """True while a batch is being applied or retried, or waits for a slot."""
        return self._task is not None and not self._task.done()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that applies what is queued; None if there is nothing to apply."""
        return self._task if self.working else None

    @property
    def full(self) -> bool:
        """True when the queue has reached its limit: the partition is not polled."""
        return len(self._queue) >= WAITING_BATCHES * self._owner.largest_batch or self._bytes >= WAITING_BYTES

    @property
    def is_bulk(self) -> bool:
        """True while it applies a bulk load."""
        return self.working and self._bulk

    def put(self, raws: Sequence[ConsumerRecord], *, bulk: bool) -> None:
        """Queue polled records. After a seek they replace those that were polled from the same offsets before.

        ``bulk``: whether it was a bulk poll.
        """
        for raw in raws:
            while self._queue and self._queue[-1].offset >= raw.offset:
                self._bytes -= len(self._queue.pop().value or b"")
            self._queue.append(raw)
            self._bytes += len(raw.value or b"")
        self._bulk = bulk
        self._start()

    def flush_coalesced(self) -> None:
        """Make the partition emit its coalesced snapshots after the current batch."""
        self._flushes = True
        self._start()

    def discard(self) -> None:
        """Empty the queue; its records are polled again from the offset at which the partition is positioned next."""
        self._queue.clear()
        self._bytes = 0
        self._owner.has_room.set()

    async def drain(self) -> None:
        """Wait until the queue has been applied."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def end(self, seconds: float) -> None:
        """Wait for the batch in flight; after ``seconds`` cancel it.

        Cancelling loses nothing: the cursor moves only with a commit, and the record is read again from there.
        """
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=seconds)
        for task in late:
            topic, partition = self._place
            log.error("worker_cancelled", consumer=self._owner.name, topic=topic, partition=partition,
                      awaits=awaited(task))  # fmt: skip
            task.cancel()

    def _start(self) -> None:
        if not self.working:
            self.is_slow = False
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        owner = self._owner
        try:
            while not owner.leaving and (self._flushes or self._queue):
                processor = owner.processor(*self._place)
                if self._flushes:
                    self._flushes = False
                    await processor.flush_coalesced()
                    continue
                await processor.apply(self._take(), more_to_come=self._bulk or owner.more_to_come)
                if self._bulk:
                    owner.saw_bulk()
        except Exception as error:  # noqa: BLE001 - the process ends after any failure
            # Nothing awaits this task: without this the failure would not be noticed, and its partition would stop.
            log.error("worker_failed", consumer=owner.name, error=type(error).__name__, exc_info=True)
            owner.fail()

    def _take(self) -> list[ConsumerRecord]:
        batch = list(islice(self._queue, self._owner.largest_batch))
        for raw in batch:
            self._queue.popleft()
            self._bytes -= len(raw.value or b"")
        self._owner.has_room.set()
        return batch


def awaited(task: asyncio.Task[None]) -> list[str]:
    """Return the functions in which a task is suspended, the outermost first."""
    names: list[str] = []
    inner: Any = task.get_coro()
    while inner is not None and len(names) < 50:
        code = getattr(inner, "cr_code", None) or getattr(inner, "gi_code", None)
        names.append(code.co_qualname if code is not None else type(inner).__name__)
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return names
