"""Tells when the house is at rest: everything that was said has been heard, and nothing waits to be said.

Reads the services' own tables with the operator's role and the ends of the topics. At rest means that at one moment
every cursor stood at the end of its topic, every outbox was empty and the day had turned everywhere.
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

BETWEEN = 0.025
"""Seconds between two looks."""
PATIENCE = 120.0
"""Seconds without any progress after which waiting is given up."""

Ends = dict[tuple[str, int], int]


class NotSettledError(Exception):
    """The house does not come to rest. Says what it waits for."""


@dataclass(frozen=True, slots=True)
class State:
    """One look at all services, in one database transaction."""

    cursors: dict[tuple[str, str, int], tuple[int, int]]
    """(service, topic, partition) -> (slowest cursor, how many consumers)."""
    outbox: dict[str, int]
    """Service -> events not published yet."""
    later: dict[str, int]
    """Service -> news kept back while more of a file is on its way."""
    days: dict[str, tuple[date | None, date | None]]
    """Service -> the earliest and the latest day its lanes are in."""
    parked: dict[str, int]
    dead: dict[str, int]


_LOOK_AT_ONE = """
SELECT '{0}' AS service, 'cursor' AS what, topic, partition, min(next_offset) AS number, count(*) AS many,
       NULL::date AS early, NULL::date AS late
  FROM "{0}".consumer_cursor GROUP BY topic, partition
UNION ALL SELECT '{0}', 'outbox', NULL, NULL, coalesce(sum(row_count), 0), 0, NULL, NULL FROM "{0}".outbox_waiting
UNION ALL SELECT '{0}', 'later', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".coalesced
UNION ALL SELECT '{0}', 'parked', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".parked_key
UNION ALL SELECT '{0}', 'dead', NULL, NULL, count(*), 0, NULL, NULL FROM "{0}".dead_letter
UNION ALL SELECT '{0}', 'day', NULL, NULL, count(*) - count(day), 0, min(day), max(day) FROM "{0}".day_state
"""

_LOOK = " UNION ALL ".join(_LOOK_AT_ONE.format(service) for service in SERVICES)


class Watch:
    """Looks at an installation until it is at rest."""

    def __init__(self, admin: AdminClient, database: "asyncpg.Connection[asyncpg.Record]", county: County) -> None:
        self._admin = admin
        self._database = database
        self._heard = {
            (service, topic.name) for topic in county_topics(county) for service in topic.readers if service in SERVICES
        }
        topics = {name for _, name in self._heard}
        described = admin.list_topics(timeout=30).topics
        self._partitions = {name: sorted(topic.partitions) for name, topic in described.items()}
        self._lanes = [(name, partition) for name in sorted(topics) for partition in self._partitions[name]]

    async def state(self) -> State:
        """Look once."""
        found = State({}, {}, {}, {}, {}, {})
        for row in await self._database.fetch(_LOOK):
            service = row["service"]
            match row["what"]:
                case "cursor":
                    found.cursors[service, row["topic"], row["partition"]] = (row["number"], row["many"])
                case "outbox":
                    found.outbox[service] = row["number"]
                case "later":
                    found.later[service] = row["number"]
                case "parked":
                    found.parked[service] = row["number"]
                case "dead":
                    found.dead[service] = row["number"]
                case _:
                    # A lane that is in no day yet is earlier than any.
                    found.days[service] = (None if row["number"] else row["early"], row["late"])
        return found

    def ends(self) -> Ends:
        """The end of every topic that a service hears."""
        return self._ends(self._lanes)

    def ends_of(self, topics: Iterable[str]) -> Ends:
        """The ends of other topics."""
        return self._ends([(name, partition) for name in topics for partition in self._partitions[name]])

    def _new_ends(self) -> Ends:
        """The ends, once more from new leaders if the old ones have died: the client does not look by itself."""
        try:
            return self.ends()
        except KafkaException:
            self._admin.list_topics(timeout=30)
            return self.ends()

    def _ends(self, lanes: Iterable[tuple[str, int]]) -> Ends:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(name, partition): latest for name, partition in lanes}
        answers = self._admin.list_offsets(asked, request_timeout=10)
        ends = {(lane.topic, lane.partition): future.result().offset for lane, future in answers.items()}
        silent = next((lane for lane, end in ends.items() if end < 0), None)
        if silent is not None:  # which is all the client says when a partition's leader has not answered
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, f"{silent[0]}/{silent[1]}"))
        return ends

    @staticmethod
    def _not_done(state: State, day: date | None) -> Iterator[str]:
        """What the tables alone show to be unfinished, in words."""
        for service, waiting in state.outbox.items():
            if waiting:
                yield f"{service} has {waiting} events to publish"
        for service, waiting in state.later.items():
            if waiting:
                yield f"{service} has kept {waiting} news back"
        if day is not None:
            for service, (early, late) in state.days.items():
                if late is not None and (early is None or early < day):
                    yield f"{service} has not turned {day} in every lane"

    def _not_read(self, state: State, ends: Ends) -> Iterator[str]:
        """What has been said and not been heard, in words."""
        for service, topic in sorted(self._heard):
            for partition in self._partitions[topic]:
                held = state.cursors.get((service, topic, partition))
                if held is None:
                    yield f"{service} has not begun to read {topic}/{partition}"
                elif held[0] < ends[topic, partition]:
                    yield f"{service} is {ends[topic, partition] - held[0]} behind on {topic}/{partition}"

    async def turned(self, service: str, day: date, patience: float = PATIENCE) -> None:
        """Wait until every lane of one service is in ``day``.

        Raises:
            NotSettledError: it is not within ``patience`` seconds.
        """
        deadline = time.monotonic() + patience
        query = f'SELECT count(*) > 0 AND bool_and(day >= $1) FROM "{service}".day_state'  # noqa: S608
        while not await self._database.fetchval(query, day):
            if time.monotonic() > deadline:
                raise NotSettledError(f"{service} has not turned {day} in every lane")
            await asyncio.sleep(BETWEEN)

    async def settled(self, day: date | None = None, patience: float = PATIENCE, between: float = BETWEEN) -> State:
        """Wait until everything is at rest, and every service that keeps days is in ``day``.

        Raises:
            NotSettledError: nothing has moved for ``patience`` seconds.
        """
        last: State | None = None
        moved = time.monotonic()
        while True:
            state = await self.state()
            # The tables are asked first: the broker has better things to do than to tell its ends all the time.
            waiting = list(self._not_done(state, day))
            if not waiting:
                try:
                    waiting = list(self._not_read(state, await asyncio.to_thread(self._new_ends)))
                except KafkaException as error:
                    waiting = [f"the brokers do not tell the ends of their topics ({error.args[0].name()})"]
                # No cursor has moved meanwhile, so nobody had anything to say after the ends were told.
                if not waiting and await self.state() == state:
                    return state
            if last != state:
                last, moved = state, time.monotonic()
            elif time.monotonic() - moved > patience:
                more = f" (and {len(waiting) - 3} more)" if len(waiting) > 3 else ""
                raise NotSettledError("; ".join(waiting[:3]) + more)
            await asyncio.sleep(between)
