"""Looks every two seconds at what aiokafka does not see: topics made anew, lost records, holes, silence."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from contracts.event import at_midnight
from runtime.kafka import Described
from runtime.observe.logs import log
from runtime.storage import sql
from runtime.storage.database import infrastructure

if TYPE_CHECKING:
    from runtime.consume.group import ConsumerGroup
    from runtime.service import Service

_TRUSTED = 3
"""A topic must be missing this often in a row: metadata is behind for a moment after a broker's restart."""


class Watchdog:
    """Watches one service process."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._missing: dict[str, int] = {}
        self._stop = asyncio.Event()
        self.checked_at = time.monotonic()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._service.settings.watchdog_interval)
            try:
                self._check_silence()
                await self._check()
                self.checked_at = time.monotonic()
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("watch_blind", error=type(error).__name__)

    async def _check(self) -> None:
        service = self._service
        consumers = list(service.consumers.values())
        places = {place for consumer in consumers for place in consumer.assigned}
        # Of topics too whose partitions nobody has: a topic that goes takes its assignment along, in silence.
        described = await service.admin.describe({topic for consumer in consumers for topic in consumer.topics})
        for topic, found in described.items():
            self._missing[topic] = 0 if found is not None else self._missing.get(topic, 0) + 1
        there = [place for place in places if described.get(place[0]) is not None]
        first = await service.admin.first_offsets(there)
        end = await service.admin.end_offsets(there)
        for consumer in consumers:
            await self._check_cursors(consumer, described, first, end)
        await self._gauges()

    async def _check_cursors(
        self,
        consumer: "ConsumerGroup",
        described: dict[str, Described | None],
        first: dict[tuple[str, int], int],
        end: dict[tuple[str, int], int],
    ) -> None:
        service = self._service
        cursors = {
            (row["topic"], row["partition"]): row for row in await service.pool.fetch(sql.CURSORS, consumer.name)
        }
        for place, cursor in sorted(cursors.items()):
            if place[0] not in consumer.topics:
                continue
            topic = described.get(place[0])
            if topic is None:
                if self._missing.get(place[0], 0) >= _TRUSTED:
                    consumer.halt(*place, "the topic is gone")
                continue
            reason = consumer.cursor_problem(place, topic, cursor, first.get(place, cursor["next_offset"]))
            if reason is not None:
                consumer.halt(*place, reason)
            if place in consumer.assigned and place in end:
                service.metrics.lag.labels(consumer.name, place[0], str(place[1])).set(
                    max(0, end[place] - cursor["next_offset"])
                )
        for hole in await service.pool.fetch(sql.OLD_HOLES, consumer.name, service.settings.gap_timeout):
            if (hole["topic"], hole["partition"]) in consumer.assigned:
                reason = f"number {hole['last_seq'] + 1} of lane {hole['lane']} of {hole['source']} does not come"
                consumer.halt(hole["topic"], hole["partition"], reason)

    def _check_silence(self) -> None:
        """A consumer without assignment or fetch is silent; silent for too long, the process must be started again."""
        hanging = self._service.hanging()
        if hanging:
            self._service.fail(hanging[0])
        now = time.monotonic()
        for consumer in self._service.consumers.values():
            if not self._is_silent(consumer):
                consumer.silent_since = None
            elif consumer.silent_since is None:
                consumer.silent_since = now
            elif now - consumer.silent_since > self._service.settings.silence_timeout:
                self._service.fail(f"consumer {consumer.name} has been silent for too long")

    def _is_silent(self, consumer: "ConsumerGroup") -> bool:
        if consumer.kafka is None:
            return True
        if not consumer.assigned:
            return not (consumer.assignments and self._is_standby(consumer))
        if not consumer.idle:
            return False
        patience = self._service.settings.silence_timeout * 1000 / 2
        polled = [consumer.kafka.last_poll_timestamp(TopicPartition(*place)) for place in consumer.ready]
        return not any(at is not None and time.time() * 1000 - at < patience for at in polled)

    def _is_standby(self, consumer: "ConsumerGroup") -> bool:
        """More processes than partitions, or than units' topics: this one waits to take over."""
        service = self._service
        most = [service.catalogue.partitions(name, service.settings.partitions) for name in consumer.topics]
        return service.settings.ordinal >= (sum(most) if consumer.unit_topics else max(most, default=0))

    async def _gauges(self) -> None:
        service = self._service
        outbox = await service.pool.fetchrow(sql.OUTBOX_STATE)
        assert outbox is not None
        service.metrics.outbox_rows.set(outbox["rows"])
        service.metrics.outbox_age.set(outbox["oldest"])
        kept = await service.pool.fetchrow(sql.KEPT_BACK_STATE)
        assert kept is not None
        service.metrics.kept_back_rows.set(kept["rows"])
        service.metrics.kept_back_age.set(kept["oldest"])
        for index, day in (await service.days.state()).items():
            if day is not None:
                service.metrics.day.labels(str(index)).set(at_midnight(day).timestamp())
        parked = {row["consumer"]: row for row in await service.pool.fetch(sql.PARKED_STATE)}
        for name in service.consumers:
            row = parked.get(name)
            service.metrics.parked_children.labels(name).set(row["children"] if row else 0)
            service.metrics.parked_oldest.labels(name).set(row["oldest"] if row else 0)
