"""Publishes the outbox in commit order, with one batch of each partition in flight, and deletes acknowledged rows.

One relay is active per service (it holds an advisory lock in the session that it reads with). The next batch of a
partition is sent only when the one before it is acknowledged, so that records cannot be reordered, whichever producers
the rows have; after a failure a new producer sends the remaining rows again.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from runtime import kafka
from runtime.backoff import Backoff
from runtime.errors import Halt
from runtime.observe.failpoints import failpoint
from runtime.observe.logs import log
from runtime.observe.metrics import Metrics
from runtime.publish.outbox import SEPARATOR, notification_channel
from runtime.settings import Settings
from runtime.storage import sql
from runtime.storage.database import infrastructure, open_session

_LOCK_SPACE = 0x72_65_6C
_WAVE = 250
"""Rows that are fetched per output partition at a time, so that a long one does not delay the others."""
_IDLE = 5.0
"""Seconds after which an idle relay looks for rows whose process ended before it could notify the relay."""
_STANDBY = 1.0

SequenceKey = tuple[int, str, int]
"""(producer id, topic, partition)"""


class LostRow(Halt):
    """A producer's next number in the outbox does not follow its last published one: a row is missing."""


@dataclass(slots=True)
class Sent:
    """The rows of one fetch that the broker has acknowledged."""

    positions: list[int]
    following: dict[SequenceKey, int]


class Relay:
    """One service's relay. Runs until it is stopped."""

    def __init__(self, service: str, settings: Settings, metrics: Metrics, written: asyncio.Event) -> None:
        """``written``: set when a transaction with outbox rows was committed."""
        self._service = service
        self._channel = notification_channel(service)
        self._settings = settings
        self._metrics = metrics
        self._wake = written
        self._stopping = asyncio.Event()
        self._names: dict[bytes, str] = {}
        self._failures = 0
        self.halted: str | None = None
        self.failing: str | None = None
        """The type of the error with which it has failed several times in a row."""
        self.is_active = False

    def stop(self) -> None:
        """End the relay when the outbox has been published."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Publish until stopped; start again after every failure."""
        backoff = Backoff(self._settings)
        while not self._stopping.is_set():
            try:
                await self._work(backoff)
            except LostRow as lost:
                self.halted = str(lost)
                log.error("relay_halted", reason=str(lost))
                return
            except Exception as error:  # noqa: BLE001 - after any failure a new producer starts again
                if not infrastructure(error):
                    log.error("relay_failed", error=type(error).__name__, exc_info=True)
                else:
                    log.warning("relay_restarted", error=type(error).__name__, after=round(backoff.following, 2))
                self._metrics.relay_failures.inc()
                self._failures += 1
                if self._failures >= self._settings.tries:
                    self.failing = type(error).__name__
                await backoff.wait(self._stopping)
            finally:
                self.is_active = False
                self._metrics.relay_working.set(0)

    async def _work(self, backoff: Backoff) -> None:
        # A frozen process must not keep its successor from publishing: PostgreSQL ends its idle session.
        session = await open_session(self._service, self._settings, idle_session_timeout="15000")
        try:
            if not await self._acquire(session, backoff):
                return
            producer = kafka.producer(self._settings, f"hutong-{self._service}-relay-{self._settings.ordinal}")
            try:
                await producer.start()
                await self._publish(session, producer, backoff)
            finally:
                await _close(producer)
        finally:
            await session.close(timeout=5)

    async def _acquire(self, session: Any, backoff: Backoff) -> bool:
        while not await session.fetchval(sql.TRY_LOCK, _LOCK_SPACE, self._service):
            if self._stopping.is_set():
                return False
            await self._stand_by(session)
            self._reset_failures(backoff)
        self.is_active = True
        self._metrics.relay_working.set(1)
        log.info("relay_started")
        return True

    async def _stand_by(self, session: Any) -> None:
        """Until the next try, notify the active relay, in another process, of rows that this process writes."""
        until = time.monotonic() + _STANDBY
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            await self._pause(self._wake, left)
            if self._wake.is_set():
                self._wake.clear()
                await session.execute(sql.NOTIFY, self._channel)

    async def _publish(self, session: Any, producer: AIOKafkaProducer, backoff: Backoff) -> None:
        await session.add_listener(self._channel, lambda *_: self._wake.set())
        published: dict[SequenceKey, int] = {
            (row["producer_id"], row["topic"], row["partition"]): row["published_seq"]
            for row in await session.fetch(sql.PUBLISHED_SEQUENCES)
        }
        while True:
            self._wake.clear()
            rows = await session.fetch(sql.TO_PUBLISH, _WAVE)
            if not rows:
                self._reset_failures(backoff)
                if self._stopping.is_set():
                    return
                await self._pause(self._wake, _IDLE)
                continue
            sent = Sent([], {})
            try:
                await self._send(producer, rows, published, sent)
            finally:
                if sent.positions:
                    failpoint("before_mark")
                    await self._record_published(session, sent)
                    published.update(sent.following)
            self._reset_failures(backoff)

    def _reset_failures(self, backoff: Backoff) -> None:
        self._failures, self.failing = 0, None
        backoff.reset()

    async def _send(
        self, producer: AIOKafkaProducer, rows: Sequence[Any], published: dict[SequenceKey, int], sent: Sent
    ) -> None:
        following = dict(published)
        by_place: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for row in rows:
            key = (row["producer_id"], row["topic"], row["partition"])
            if row["seq"] != following.get(key, 0):
                raise LostRow(
                    f"producer {key[0]} of {key[1]}/{key[2]} goes on with {row['seq']}, not {following.get(key, 0)}"
                )
            following[key] = row["seq"] + 1
            by_place[key[1], key[2]].append(row)
        results = await asyncio.gather(
            *(
                self._send_partition(producer, topic, partition, part, sent)
                for (topic, partition), part in by_place.items()
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _send_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[Any], sent: Sent
    ) -> None:
        start = 0
        while start < len(rows):
            batch = producer.create_batch()
            end = start
            while end < len(rows):
                row = rows[end]
                headers = self._headers(row)
                if batch.append(key=row["key"], value=row["value"], timestamp=None, headers=headers) is None:
                    break
                end += 1
            batch.close()
            done = await producer.send_batch(batch, topic, partition=partition)
            await done
            for row in rows[start:end]:
                sent.positions.append(row["position"])
                sent.following[row["producer_id"], topic, partition] = row["seq"] + 1
            start = end

    def _headers(self, row: Any) -> list[tuple[str, bytes]]:
        parts = row["headers"].split(SEPARATOR)
        headers = [(self._name(name), value) for name, value in zip(parts[::2], parts[1::2], strict=True)]
        headers.append(("ce_producerid", b"%d" % row["producer_id"]))
        headers.append(("ce_sequence", b"%d" % row["seq"]))
        return headers

    def _name(self, raw: bytes) -> str:
        name = self._names.get(raw)
        if name is None:
            name = self._names[raw] = raw.decode()
        return name

    async def _record_published(self, session: Any, sent: Sent) -> None:
        keys = sorted(sent.following)
        await session.execute(
            sql.PUBLISHED,
            sent.positions,
            [producer_id for producer_id, _, _ in keys],
            [topic for _, topic, _ in keys],
            [partition for _, _, partition in keys],
            [sent.following[key] for key in keys],
        )
        self._metrics.published.inc(len(sent.positions))

    @staticmethod
    async def _pause(until: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(until.wait(), seconds)
        except TimeoutError:
            return


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop a producer, and wait only for a few seconds, since its sender may be dead."""
    try:
        await asyncio.wait_for(producer.stop(), 5)
    except (KafkaError, TimeoutError) as error:
        log.debug("producer_abandoned", error=type(error).__name__)
