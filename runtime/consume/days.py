"""The work of a day, page by page, for each partition index; then the mark that the day has turned.

A page is one transaction that locks the index's row, so it does not matter which process does it, nor how often
one dies: the next page begins where the last committed one stopped.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from contracts.event import at_midnight
from runtime.backoff import Backoff
from runtime.handlers import DayPage, DayPageResult
from runtime.observe.failpoints import failpoint
from runtime.observe.logs import log
from runtime.publish.outbox import day_page_ids
from runtime.storage import sql
from runtime.storage.database import Session, infrastructure

if TYPE_CHECKING:
    from runtime.consume.group import ConsumerGroup
    from runtime.service import Service

DAY_PRODUCER = "@day"
"""The input that a day's work is numbered by; its partition is the index."""
_LOOK = 0.5


class StuckDayPage(Exception):
    """A day handler returned the place it was given: it would never end."""


class DayScheduler:
    """Turns one service's days."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._look = False
        self._at_work: dict[int, bool] = {}
        """The indexes whose days are being turned. True: look once more when that is done."""
        # Never more at a time than leaves the lanes their sessions.
        self._limit = asyncio.Semaphore(service.settings.parallel)
        self.consumer: ConsumerGroup | None = None
        """The consumer whose inputs carry the days; None: this service knows no days."""
        self.failing: dict[int, str] = {}

    def wake(self) -> None:
        """A lane has reached a day, or partitions came or went."""
        self._look = True
        self._wake.set()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    async def state(self) -> dict[int, date | None]:
        """The day of every index."""
        rows = await self._service.pool.fetch(sql.DAYS)
        return {row["index"]: row["day"] for row in rows}

    def reached(self, days: dict[int, date | None], topic: str, partition: int) -> date | None:
        """The day an input partition is in: its index's; for a topic with one partition the least of all."""
        if self._service.catalogue.topic(topic).partitions == "services":
            return days.get(partition)
        known = [day for day in days.values() if day is not None]
        return min(known) if days and len(known) == len(days) else None

    async def run(self) -> None:
        """Work until stopped. Each index by itself: one whose day cannot be turned holds up no other."""
        async with asyncio.TaskGroup() as indexes:
            while not self._stop.is_set():
                waiting = any(consumer.blocked for consumer in self._service.consumers.values())
                try:
                    await asyncio.wait_for(self._wake.wait(), _LOOK if waiting else 30 * _LOOK)
                except TimeoutError:
                    self._look = True  # without a kick too: another process may have turned the day
                self._wake.clear()
                if self._look and self.consumer is not None and not self._stop.is_set():
                    self._look = False
                    for index in self._own_indexes(self.consumer):
                        if index in self._at_work:
                            self._at_work[index] = True
                        else:
                            self._at_work[index] = False
                            indexes.create_task(self._complete(self.consumer, index))
                await self._unblock()

    async def _complete(self, consumer: "ConsumerGroup", index: int) -> None:
        while True:
            self._at_work[index] = False
            await self._index(consumer, index)
            if not self._at_work[index]:
                break
        del self._at_work[index]
        self._wake.set()

    def _own_indexes(self, consumer: "ConsumerGroup") -> list[int]:
        indexes: set[int] = set()
        for topic, partition in consumer.assigned:
            if topic not in consumer.day_topics:
                continue
            if self._service.catalogue.topic(topic).partitions == "services":
                indexes.add(partition)
            else:
                indexes.update(range(self._service.settings.partitions))
        return sorted(indexes)

    async def _index(self, consumer: "ConsumerGroup", index: int) -> None:
        backoff = Backoff(self._service.settings)
        tries = 0
        while not self._stop.is_set() and index in self._own_indexes(consumer):
            try:
                async with self._limit:
                    more = await self._page(consumer, index)
                self.failing.pop(index, None)
                if not more:
                    return
                tries = 0
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - a day is never left out
                tries += 1
                cause = type(error).__name__
                if infrastructure(error):
                    log.warning("day_retry", index=index, error=cause)
                else:
                    log.error("day_failed", index=index, error=cause, tries=tries, exc_info=tries == 1)
                if tries >= self._service.settings.tries:
                    self.failing[index] = cause
                await backoff.wait(self._stop, self._service.county_changed)
        self.failing.pop(index, None)  # somebody else's now, or nobody's

    async def _page(self, consumer: "ConsumerGroup", index: int) -> bool:
        """Do one page in one transaction. False: there is nothing to do for this index."""
        service = self._service
        topics = sorted(consumer.day_topics)
        shared = [service.catalogue.topic(topic).partitions == "services" for topic in topics]
        async with service.pool.acquire(timeout=service.settings.lock_timeout) as session:  # noqa: SIM117
            async with session.transaction():
                state = await session.fetchrow(sql.LOCK_DAY, index)
                assert state is not None
                target = await session.fetchval(
                    sql.DAY_TARGET, consumer.name, topics, [index if many else 0 for many in shared]
                )
                day, resume = _following(state, target)
                if day is None:
                    return False
                page = await self._open(session, consumer, day, index, resume)
                done = await consumer.day(page, session) if consumer.day is not None else DayPageResult([], None)
                if done.resume is not None and done.resume == resume:
                    raise StuckDayPage
                rows = service.outbox.rows(done.events)
                if done.resume is None:
                    rows += service.outbox.watermarks(page)
                    await session.execute(sql.SAVE_DAY, index, day, None, None)
                else:
                    await session.execute(sql.SAVE_DAY, index, state["day"], day, done.resume)
                await service.outbox.write(session, service.producer_ids[DAY_PRODUCER, index], rows)
                failpoint("before_page")
        failpoint("after_page")
        service.metrics.pages.inc()
        service.relay.wake()
        if done.resume is None:
            log.info("day_turned", index=index, day=day.isoformat())
        return True

    async def _open(
        self, session: Session, consumer: "ConsumerGroup", day: date, index: int, resume: str | None
    ) -> DayPage:
        service = self._service
        facts = await session.fetchrow(sql.DAY_FACTS, day)
        assert facts is not None
        cause, story = day_page_ids(
            county=service.settings.county, service=service.name, day=day, index=index, resume=resume
        )
        county: Any = None
        if consumer.day is not None:
            county = await service.counties.get(session, facts["county"])
        now: datetime = facts["now"] or at_midnight(day)
        return DayPage(
            day=day,
            index=index,
            partitions=service.settings.partitions,
            resume=resume,
            limit=service.settings.page_size,
            county=county,
            now=now.astimezone(UTC),
            cause=cause,
            correlation=story,
            county_code=service.settings.county,
        )

    async def _unblock(self) -> None:
        for consumer in self._service.consumers.values():
            if not consumer.blocked or consumer.leaving:
                continue
            try:
                await consumer.position(sorted(consumer.blocked))
            except Exception as error:
                if not infrastructure(error):
                    raise
                log.warning("not_unblocked", consumer=consumer.name, error=type(error).__name__)


def _following(state: Any, target: date | None) -> tuple[date | None, str | None]:
    """The day to work on and where in it. A missed day is caught up in order; the first ever is taken as it is."""
    if state["work_day"] is not None:
        return state["work_day"], state["resume"]
    if target is None:
        return None, None
    if state["day"] is None:
        return target, None
    if state["day"] >= target:
        return None, None
    return state["day"] + timedelta(days=1), None
