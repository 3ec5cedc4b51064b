"""Processes a day page by page for each partition index, and then emits the watermarks of the completed day.

A page is one transaction that locks the index's row, so that any process can do it, and a process that dies loses
nothing: the next page begins where the last committed one stopped.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from contracts.event import at_midnight
from runtime.backoff import Backoff
from runtime.consume.group import ConsumerGroup
from runtime.context import DAY_PRODUCER, RuntimeContext
from runtime.handlers import DayPage, DayPageResult
from runtime.observe.failpoints import failpoint
from runtime.observe.logs import log
from runtime.publish.outbox import day_page_ids
from runtime.storage import sql
from runtime.storage.database import LOCK_TIMEOUT, Session, infrastructure

_CHECK_SECONDS = 0.5


class StuckDayPage(Exception):
    """A day handler returned the resume position that it was given, which would repeat the page forever."""


class DayScheduler:
    """Completes one service's days."""

    def __init__(
        self, context: RuntimeContext, groups: Mapping[str, ConsumerGroup], group: ConsumerGroup | None
    ) -> None:
        """``group``: the consumer group whose topics carry watermarks; None for a service without days."""
        self._context = context
        self._groups = groups
        self._group = group
        self._stop = asyncio.Event()
        self._working: dict[int, bool] = {}
        """The indexes whose days are being completed; True for those to check again afterwards."""
        # The limit leaves database sessions for the partitions.
        self._limit = asyncio.Semaphore(context.settings.parallel)
        self.failing: dict[int, str] = {}

    def stop(self) -> None:
        """End :meth:`run` after the current page."""
        self._stop.set()
        self._context.days_changed.set()

    async def run(self) -> None:
        """Complete days until stopped. Each index has a separate task, so that a failing one delays no other."""
        wake = self._context.days_changed
        async with asyncio.TaskGroup() as indexes:
            while not self._stop.is_set():
                waiting = any(group.blocked for group in self._groups.values())
                with contextlib.suppress(TimeoutError):  # another process may have completed the day
                    await asyncio.wait_for(wake.wait(), _CHECK_SECONDS if waiting else 30 * _CHECK_SECONDS)
                wake.clear()
                if self._group is not None and not self._stop.is_set():
                    for index in self._own_indexes(self._group):
                        if index in self._working:
                            self._working[index] = True
                        else:
                            self._working[index] = False
                            indexes.create_task(self._complete(self._group, index))
                await self._unblock()

    async def _complete(self, group: ConsumerGroup, index: int) -> None:
        while True:
            self._working[index] = False
            await self._index(group, index)
            if not self._working[index]:
                break
        del self._working[index]
        await self._unblock()

    def _own_indexes(self, group: ConsumerGroup) -> list[int]:
        indexes: set[int] = set()
        for topic, partition in group.assigned:
            if topic not in group.subscription.day_topics:
                continue
            if self._context.topics.topic(topic).partitions == "services":
                indexes.add(partition)
            else:
                indexes.update(range(self._context.settings.partitions))
        return sorted(indexes)

    async def _index(self, group: ConsumerGroup, index: int) -> None:
        backoff = Backoff(self._context.settings)
        tries = 0
        while not self._stop.is_set() and index in self._own_indexes(group):
            try:
                async with self._limit:
                    more = await self._page(group, index)
                self.failing.pop(index, None)
                if not more:
                    return
                tries = 0
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - a day is never left out
                tries += 1
                cause = type(error).__name__
                if infrastructure(error):
                    log.warning("day_retry_scheduled", index=index, error=cause)
                else:
                    log.error("day_failed", index=index, error=cause, tries=tries, exc_info=tries == 1)
                if tries >= self._context.settings.tries:
                    self.failing[index] = cause
                await backoff.wait(self._stop, self._context.county_changed)
        self.failing.pop(index, None)  # the index is no longer assigned to this process

    async def _page(self, group: ConsumerGroup, index: int) -> bool:
        """Process one page in one transaction. Return False if there is nothing to do for this index."""
        context = self._context
        topics = sorted(group.subscription.day_topics)
        on_day = group.subscription.on_day
        shared = [context.topics.topic(topic).partitions == "services" for topic in topics]
        async with context.pool.acquire(timeout=LOCK_TIMEOUT) as session:  # noqa: SIM117
            async with session.transaction():
                state = await session.fetchrow(sql.LOCK_DAY, index)
                assert state is not None
                target = await session.fetchval(
                    sql.DAY_TARGET, group.name, topics, [index if many else 0 for many in shared]
                )
                day, resume = _following(state, target)
                if day is None:
                    return False
                page = await self._open(session, group, day, index, resume)
                done = await on_day(page, session) if on_day is not None else DayPageResult([], None)
                if done.resume is not None and done.resume == resume:
                    raise StuckDayPage
                rows = context.outbox.rows(done.events)
                if done.resume is None:
                    rows += context.outbox.watermarks(page)
                    await session.execute(sql.SAVE_DAY, index, day, None, None)
                else:
                    await session.execute(sql.SAVE_DAY, index, state["day"], day, done.resume)
                await context.outbox.write(session, context.producer_ids[DAY_PRODUCER, index], rows)
                failpoint("before_page")
        failpoint("after_page")
        context.metrics.pages.inc()
        context.outbox_written.set()
        if done.resume is None:
            log.info("day_completed", index=index, day=day.isoformat())
        return True

    async def _open(self, session: Session, group: ConsumerGroup, day: date, index: int, resume: str | None) -> DayPage:
        context = self._context
        facts = await session.fetchrow(sql.DAY_FACTS, day)
        assert facts is not None
        cause, correlation = day_page_ids(
            county=context.settings.county, service=context.service, day=day, index=index, resume=resume
        )
        county: Any = None
        if group.subscription.on_day is not None:
            county = await context.counties.get(session, facts["county"])
        now: datetime = facts["now"] or at_midnight(day)
        return DayPage(
            day=day,
            index=index,
            partitions=context.settings.partitions,
            resume=resume,
            limit=context.settings.page_size,
            county=county,
            now=now.astimezone(UTC),
            cause=cause,
            correlation=correlation,
            county_code=context.settings.county,
        )

    async def _unblock(self) -> None:
        for group in self._groups.values():
            if not group.blocked or group.leaving:
                continue
            try:
                await group.position(sorted(group.blocked))
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("unblocking_failed", consumer=group.name, error=type(error).__name__)


def _following(state: Any, target: date | None) -> tuple[date | None, str | None]:
    """Return the next day and its resume position. Missed days follow in order; a new index starts at the target."""
    if state["work_day"] is not None:
        return state["work_day"], state["resume"]
    if target is None:
        return None, None
    if state["day"] is None:
        return target, None
    if state["day"] >= target:
        return None, None
    return state["day"] + timedelta(days=1), None
