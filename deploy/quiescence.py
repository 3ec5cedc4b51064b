"""Detect that an installation is idle: every event has been consumed and nothing waits to be published.

The operator's role reads the services' tables, and the broker gives the end offsets of the topics. The system is idle
when at one moment every cursor is at the end of its topic, every outbox is empty and every service has begun the day.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import asyncpg
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from contracts.county import County
from contracts.topics import SERVICES
from deploy.provision import county_topics

POLL_INTERVAL = 0.025
"""Seconds between two checks."""
IDLE_TIMEOUT = 120.0
"""Seconds without progress after which waiting fails."""

EndOffsets = dict[tuple[str, int], int]


class NotQuiescentError(Exception):
    """The system does not become idle. The message says what is still pending."""


@dataclass(frozen=True, slots=True)
class SystemState:
    """The state of all services, read in one query."""

    cursors: dict[tuple[str, str, int], tuple[int, int]]
    """(service, topic, partition) -> (lowest next offset, number of consumers)."""
    outbox: dict[str, int]
    """Service -> number of events that are not published yet."""
    coalescing: dict[str, int]
    """Service -> number of changes in the coalescing buffer."""
    days: dict[str, tuple[date | None, date | None]]
    """Service -> the earliest and the latest day that its partitions have begun."""
    parked: dict[str, int]
    dead_letters: dict[str, int]


_SERVICE_STATE_QUERY = """
SELECT '{0}' AS service, 'cursor' AS what, topic, partition, min(next_offset) AS number, count(*) AS many,
       NULL::date AS early, NULL::date AS late
  FROM "{0}".consumer_cursor GROUP BY topic, partition
UNION ALL SELECT '{0}', 'outbox', NULL, NULL, coalesce(sum(row_count), 0), 0, NULL, NULL FROM "{0}".outbox_waiting
UNION ALL SELECT '{0}', 'later', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".coalesced
UNION ALL SELECT '{0}', 'parked', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".parked_key
UNION ALL SELECT '{0}', 'dead', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".dead_letter
UNION ALL SELECT '{0}', 'day', NULL, NULL, count(*) - count(day), 0, min(day), max(day) FROM "{0}".day_state
"""

_STATE_QUERY = " UNION ALL ".join(_SERVICE_STATE_QUERY.format(service) for service in SERVICES)


class QuiescenceMonitor:
    """Waits until an installation is idle."""

    def __init__(self, admin: AdminClient, database: "asyncpg.Connection[asyncpg.Record]", county: County) -> None:
        self._admin = admin
        self._database = database
        self._consumed = {
            (service, topic.name) for topic in county_topics(county) for service in topic.readers if service in SERVICES
        }
        topics = {name for _, name in self._consumed}
        described = admin.list_topics(timeout=30).topics
        self._partitions = {name: sorted(topic.partitions) for name, topic in described.items()}
        self._consumed_partitions = [
            (name, partition) for name in sorted(topics) for partition in self._partitions[name]
        ]

    async def state(self) -> SystemState:
        """Read the state of all services once."""
        found = SystemState({}, {}, {}, {}, {}, {})
        for row in await self._database.fetch(_STATE_QUERY):
            service = row["service"]
            match row["what"]:
                case "cursor":
                    found.cursors[service, row["topic"], row["partition"]] = (row["number"], row["many"])
                case "outbox":
                    found.outbox[service] = row["number"]
                case "later":
                    found.coalescing[service] = row["number"]
                case "parked":
                    found.parked[service] = row["number"]
                case "dead":
                    found.dead_letters[service] = row["number"]
                case _:
                    # A partition that has begun no day counts as earlier than every day.
                    found.days[service] = (None if row["number"] else row["early"], row["late"])
        return found

    def end_offsets(self) -> EndOffsets:
        """Return the end offset of every partition that a service consumes."""
        return self._end_offsets(self._consumed_partitions)

    def end_offsets_of(self, topics: Iterable[str]) -> EndOffsets:
        """Return the end offsets of the partitions of these topics."""
        return self._end_offsets([(name, partition) for name in topics for partition in self._partitions[name]])

    def _refreshed_end_offsets(self) -> EndOffsets:
        """Return the end offsets; if that fails, refresh the metadata, as the leader may have changed, and retry."""
        try:
            return self.end_offsets()
        except KafkaException:
            self._admin.list_topics(timeout=30)
            return self.end_offsets()

    def _end_offsets(self, partitions: Iterable[tuple[str, int]]) -> EndOffsets:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(name, partition): latest for name, partition in partitions}
        answers = self._admin.list_offsets(asked, request_timeout=10)
        ends = {(answer.topic, answer.partition): future.result().offset for answer, future in answers.items()}
        # A negative offset is the client's only sign that the leader of a partition has not answered.
        unanswered = next((partition for partition, end in ends.items() if end < 0), None)
        if unanswered is not None:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, f"{unanswered[0]}/{unanswered[1]}"))
        return ends

    @staticmethod
    def _unfinished(state: SystemState, day: date | None) -> Iterator[str]:
        """Yield a sentence for each kind of pending work that the tables show."""
        for service, waiting in state.outbox.items():
            if waiting:
                yield f"{service} has {waiting} events to publish"
        for service, waiting in state.coalescing.items():
            if waiting:
                yield f"{service} has {waiting} changes in its coalescing buffer"
        if day is not None:
            for service, (early, late) in state.days.items():
                if late is not None and (early is None or early < day):
                    yield f"{service} has not begun {day} in every partition"

    def _unread(self, state: SystemState, ends: EndOffsets) -> Iterator[str]:
        """Yield a sentence for each partition with unconsumed events."""
        for service, topic in sorted(self._consumed):
            for partition in self._partitions[topic]:
                held = state.cursors.get((service, topic, partition))
                if held is None:
                    yield f"{service} has not begun to read {topic}/{partition}"
                elif held[0] < ends[topic, partition]:
                    yield f"{service} is {ends[topic, partition] - held[0]} behind on {topic}/{partition}"

    async def wait_for_day(self, service: str, day: date, stall_timeout: float = IDLE_TIMEOUT) -> None:
        """Wait until every partition of one service has begun ``day``.

        Raises:
            NotQuiescentError: it is not within ``patience`` seconds.
        """
        deadline = time.monotonic() + stall_timeout
        query = f'SELECT count(*) > 0 AND bool_and(day >= $1) FROM "{service}".day_state'  # noqa: S608
        while not await self._database.fetchval(query, day):
            if time.monotonic() > deadline:
                raise NotQuiescentError(f"{service} has not begun {day} in every partition")
            await asyncio.sleep(POLL_INTERVAL)

    async def wait_until_idle(
        self, day: date | None = None, stall_timeout: float = IDLE_TIMEOUT, interval: float = POLL_INTERVAL
    ) -> SystemState:
        """Wait until the system is idle and every service that keeps days has begun ``day``.

        Raises:
            NotQuiescentError: nothing has moved for ``patience`` seconds.
        """
        last: SystemState | None = None
        moved = time.monotonic()
        while True:
            state = await self.state()
            # The tables are read first, so that the broker is asked only when they show nothing pending.
            waiting = list(self._unfinished(state, day))
            if not waiting:
                try:
                    waiting = list(self._unread(state, await asyncio.to_thread(self._refreshed_end_offsets)))
                except KafkaException as error:
                    waiting = [f"the brokers do not return the end offsets ({error.args[0].name()})"]
                # No cursor has moved since the end offsets were read, so no event was published after them.
                if not waiting and await self.state() == state:
                    return state
            if last != state:
                last, moved = state, time.monotonic()
            elif time.monotonic() - moved > stall_timeout:
                more = f" (and {len(waiting) - 3} more)" if len(waiting) > 3 else ""
                raise NotQuiescentError("; ".join(waiting[:3]) + more)
            await asyncio.sleep(interval)
