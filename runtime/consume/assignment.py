"""Handles a group's rebalances: it pauses new partitions first, then seeks each to its cursor."""

import asyncio

from aiokafka import ConsumerRebalanceListener, TopicPartition

from runtime.backoff import Backoff
from runtime.consume.group import ConsumerGroup
from runtime.observe.logs import log
from runtime.storage.database import infrastructure


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Pauses before it positions: aiokafka delivers records before an assignment's listener has finished."""

    group: ConsumerGroup
    """Set when the service is opened, before the broker starts."""

    def __init__(self) -> None:
        self._positioning: asyncio.Task[None] | None = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish or cancel the batches in flight before Kafka assigns the partitions elsewhere."""
        self.group.interrupt.set()  # positioning must end even if a failure takes the place of its cancellation
        await self.stop()
        await self.group.on_revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Pause the new partitions, and position them at their cursors in a separate task."""
        self.group.kafka.pause(*assigned)
        # Any position will do while it is paused: without one aiokafka asks Kafka for the group's offset,
        # and a group that has never committed makes FastStream sleep for five seconds.
        for place in assigned:
            self.group.kafka.seek(place, 0)
        await self.stop()
        self.group.on_assigned({(place.topic, place.partition) for place in assigned})
        # Not awaited: a database that does not answer must not delay the group.
        self._positioning = asyncio.create_task(self._position())

    async def stop(self) -> None:
        """Stop positioning."""
        if self._positioning is not None and not self._positioning.done():
            self._positioning.cancel()
            await asyncio.gather(self._positioning, return_exceptions=True)

    async def _position(self) -> None:
        group = self.group
        backoff = Backoff(group.context.settings)
        while not group.leaving:
            try:
                await group.position(sorted(group.assigned))
                group.context.days_changed.set()
                return
            except Exception as error:  # noqa: BLE001 - retried until it works or the partitions are revoked
                expected = infrastructure(error)
                log.warning(
                    "positioning_failed", consumer=group.name, error=type(error).__name__, exc_info=not expected
                )
                await backoff.wait(group.interrupt)
