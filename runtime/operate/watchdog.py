"""Detects at an interval what aiokafka does not report: recreated topics, lost records, sequence gaps, silence."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping

from aiokafka import TopicPartition

from contracts.event import at_midnight
from runtime.consume import day_state
from runtime.consume.group import ConsumerGroup
from runtime.context import RuntimeContext
from runtime.kafka import Described
from runtime.observe.logs import log
from runtime.settings import Settings
from runtime.storage import sql
from runtime.storage.database import infrastructure

_MISSING_CHECKS = 3
"""Consecutive checks that must find a topic missing; metadata is incomplete for a moment after a broker's restart."""
_REST_CHECKS = 10
"""While all groups are idle, one check in ten queries the broker and the database."""


class Watchdog:
    """Watches one service process."""

    def __init__(self, context: RuntimeContext, groups: Mapping[str, ConsumerGroup]) -> None:
        self._context = context
        self._groups = groups
        self._missing: dict[str, int] = {}
        self._stop = asyncio.Event()
        self.checked_at = time.monotonic()

    def stop(self) -> None:
        """End :meth:`run` at its next check."""
        self._stop.set()

    def checked(self) -> None:
        """Remember that everything has been checked now."""
        self.checked_at = time.monotonic()

    async def run(self) -> None:
        """Check at each interval until stopped. A failure of the infrastructure is logged and does not end it."""
        skipped = 0
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._context.settings.watchdog_interval)
            try:
                self._check_silence()
                skipped = skipped + 1 if all(group.at_rest for group in self._groups.values()) else _REST_CHECKS
                if skipped < _REST_CHECKS:
                    continue
                skipped = 0
                await self._check()
                self.checked()
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("watchdog_failed", error=type(error).__name__)

    async def _check(self) -> None:
        context = self._context
        consumers = list(self._groups.values())
        places = {place for consumer in consumers for place in consumer.assigned}
        # Also check topics without an assigned partition: a deleted topic's assignment ends without an error.
        described = await context.admin.describe({topic for consumer in consumers for topic in consumer.topics})
        for topic, description in described.items():
            self._missing[topic] = 0 if description is not None else self._missing.get(topic, 0) + 1
        there = [place for place in places if described.get(place[0]) is not None]
        first = await context.admin.first_offsets(there)
        end = await context.admin.end_offsets(there)
        for consumer in consumers:
            await self._check_cursors(consumer, described, first, end)
        await self._gauges()

    async def _check_cursors(
        self,
        consumer: ConsumerGroup,
        described: dict[str, Described | None],
        first: dict[tuple[str, int], int],
        end: dict[tuple[str, int], int],
    ) -> None:
        context = self._context
        cursors = {
            (row["topic"], row["partition"]): row for row in await context.pool.fetch(sql.CURSORS, consumer.name)
        }
        for place, cursor in sorted(cursors.items()):
            if place[0] not in consumer.topics:
                continue
            topic = described.get(place[0])
            if topic is None:
                if self._missing.get(place[0], 0) >= _MISSING_CHECKS:
                    consumer.halt(*place, "the topic is gone")
                continue
            reason = consumer.cursor_problem(place, topic, cursor, first.get(place, cursor["next_offset"]))
            if reason is not None:
                consumer.halt(*place, reason)
            if place in consumer.assigned and place in end:
                context.metrics.lag.labels(consumer.name, place[0], str(place[1])).set(
                    max(0, end[place] - cursor["next_offset"])
                )
        for gap in await context.pool.fetch(sql.OLD_GAPS, consumer.name, context.settings.gap_timeout):
            if (gap["topic"], gap["partition"]) in consumer.assigned:
                reason = (
                    f"number {gap['last_seq'] + 1} of producer {gap['producer_id']} of {gap['source']} does not come"
                )
                consumer.halt(gap["topic"], gap["partition"], reason)

    def _check_silence(self) -> None:
        """Report a consumer that had no assignment or fetch for too long: the process must be started again."""
        hanging = stuck_handlers(self._groups.values(), self._context.settings)
        if hanging:
            self._context.fail(hanging[0])
        now = time.monotonic()
        for consumer in self._groups.values():
            if not self._is_silent(consumer):
                consumer.silent_since = None
            elif consumer.silent_since is None:
                consumer.silent_since = now
            elif now - consumer.silent_since > self._context.settings.silence_timeout:
                self._context.fail(f"consumer {consumer.name} has been silent for too long")

    def _is_silent(self, consumer: ConsumerGroup) -> bool:
        if consumer.kafka is None:
            return True
        if not consumer.assigned:
            return not (consumer.assignments and self._is_standby(consumer))
        if consumer.leaving:
            return not consumer.stopping  # its partitions are being revoked, and nothing follows
        if not consumer.idle:
            return False
        longest_ms = self._context.settings.silence_timeout * 1000 / 2
        polled = [consumer.kafka.last_poll_timestamp(TopicPartition(*place)) for place in consumer.ready]
        return not any(at is not None and time.time() * 1000 - at < longest_ms for at in polled)

    def _is_standby(self, consumer: ConsumerGroup) -> bool:
        """Return whether this process is a standby: there are more processes than partitions (or units' topics)."""
        context = self._context
        most = [context.topics.partitions(name, context.settings.partitions) for name in consumer.topics]
        return context.settings.ordinal >= (sum(most) if consumer.subscription.unit_topics else max(most, default=0))

    async def _gauges(self) -> None:
        context = self._context
        outbox = await context.pool.fetchrow(sql.OUTBOX_STATE)
        assert outbox is not None
        context.metrics.outbox_rows.set(outbox["rows"])
        context.metrics.outbox_age.set(outbox["oldest"])
        coalesced = await context.pool.fetchrow(sql.COALESCED_STATE)
        assert coalesced is not None
        context.metrics.coalesced_rows.set(coalesced["rows"])
        context.metrics.coalesced_age.set(coalesced["oldest"])
        for index, day in (await day_state.load(context.pool)).items():
            if day is not None:
                context.metrics.day.labels(str(index)).set(at_midnight(day).timestamp())
        parked = {row["consumer"]: row for row in await context.pool.fetch(sql.PARKED_STATE)}
        for name in self._groups:
            row = parked.get(name)
            context.metrics.parked_keys.labels(name).set(row["keys"] if row else 0)
            context.metrics.parked_oldest.labels(name).set(row["oldest"] if row else 0)


def stuck_handlers(groups: Iterable[ConsumerGroup], settings: Settings) -> list[str]:
    """Return the partitions whose attempt lasts longer than ``attempt_timeout``."""
    return [
        f"{group.name} {processor.topic}/{processor.partition} hangs"
        for group in groups
        for processor in group.processors
        if processor.attempt_seconds > settings.attempt_timeout
    ]
