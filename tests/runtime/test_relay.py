"""The relay by itself, on the real broker and database: whatever fails, the prefix is sent again by a new producer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumber, ProducerFenced, TopicAuthorizationFailedError

from contracts.event import Envelope
from runtime import Service, kafka, partition_of
from runtime.consume.sequence import SequenceCheck, SequenceTracker
from runtime.handlers import InboundEvent
from runtime.publish import relay
from runtime.storage import sql
from runtime.storage.database import open_session
from tests.runtime import model
from tests.runtime.harness import World, eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MANY = 60


class Producers:
    """Makes real producers whose sends fail as a test wishes, and counts them."""

    def __init__(self, fails: Callable[[int], Exception | None], *, appended: bool = False) -> None:
        self.made = 0
        self.sends = 0
        self.places: list[int] = []
        self._fails = fails
        self._appended = appended
        self._real = kafka.producer

    def __call__(self, *arguments: Any) -> Any:
        self.made += 1
        made = self._real(*arguments)
        send_batch = made.send_batch

        async def send(*batch: Any, **more: Any) -> Any:
            self.sends += 1
            self.places.append(more["partition"])
            error = self._fails(self.sends)
            if error is None:
                return await send_batch(*batch, **more)
            if self._appended:
                await (await send_batch(*batch, **more))
            raise error

        made.send_batch = send
        return made


NINE = [f"name-{n}" for n in range(9)]


async def say(
    service: Service, world: World, count: int = MANY, names: Sequence[str] = NINE, *, lane: int = 0, start: int = 0
) -> None:
    """Write to the outbox what a handler would have said."""
    said = []
    for n in range(start, start + count):
        envelope: Envelope = world.envelope("model.Put.v1", "cause")
        heard = InboundEvent(model.Put(name="cause", n=n), envelope, "", 0, n)
        said.append(heard.emit(model.Step(name=names[n % len(names)], n=n, digest="")))
    async with service.context.pool.acquire() as session, session.transaction():
        await service.context.outbox.write(
            session, list(service.context.producer_ids.values())[lane], service.context.outbox.rows(said)
        )
    service.context.outbox_written.set()


def on_topic(service: Service, world: World) -> tuple[list[int], int]:
    """What a reader takes of this service's events, and how many records it drops."""
    numbers = SequenceTracker({}, from_first=True)
    taken: list[int] = []
    dropped = 0
    for message in world.log_of(model.STEP.name):
        envelope = Envelope.read(message.headers(), message.key())
        if envelope.source != service.context.outbox.source:
            continue
        assert envelope.producer_id is not None
        assert envelope.sequence is not None
        # Lanes are numbered for each partition.
        turn = numbers.check(f"{message.partition()}", envelope.producer_id, envelope.sequence, NOW)
        if turn is SequenceCheck.NEXT:
            taken.append(model.Step.model_validate_json(message.value()).n)
        dropped += turn is not SequenceCheck.NEXT
    return taken, dropped


async def published(service: Service) -> None:
    async def empty() -> bool:
        return bool(await service.context.pool.fetchval("select count(*) = 0 from outbox"))

    await eventually(empty, what="everything is published")


@pytest.mark.parametrize("appended", [False, True])
@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), ProducerFenced(), KafkaTimeoutError(), KeyError("dead")])
async def test_after_any_failure_a_new_producer_sends_the_prefix_again(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, appended: bool
) -> None:
    """The second and the fifth send fail, whether or not the broker has taken the batch."""
    producers = Producers(lambda nth: error if nth in (2, 5) else None, appended=appended)
    monkeypatch.setattr(kafka, "producer", producers)
    await say(service, world)
    relaying = asyncio.create_task(service.relay.run())

    await published(service)
    await say(service, world)
    await published(service)
    service.relay.stop()
    await relaying

    assert producers.made == 3
    taken, dropped = on_topic(service, world)
    assert sorted(taken) == sorted([*range(MANY)] * 2)
    assert (dropped > 0) is appended
    lanes = await service.context.pool.fetch(
        "select next_seq, published_seq from outbox_sequence natural join outbox_published"
    )
    assert len(lanes) > 1
    assert all(lane["next_seq"] == lane["published_seq"] for lane in lanes)


async def test_a_row_that_is_missing_stops_the_relay_before_a_hole_is_made(service: Service, world: World) -> None:
    await say(service, world)
    lost = await service.context.pool.fetchrow(
        "delete from outbox where position = (select position from outbox where seq = 3 limit 1) "
        "returning topic, partition"
    )
    assert lost is not None

    await asyncio.wait_for(service.relay.run(), 30)

    assert service.relay.halted is not None
    assert f"{lost['topic']}/{lost['partition']} goes on with 4, not 3" in service.relay.halted
    assert any("relay halted" in trouble for trouble in service.health.problems())
    taken, dropped = on_topic(service, world)
    assert (taken, dropped) == ([], 0)


async def test_a_relay_that_fails_again_and_again_says_so_until_it_works(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not write a topic: nothing is lost, and somebody is told."""
    allowed = False
    producers = Producers(lambda _: None if allowed else TopicAuthorizationFailedError())
    monkeypatch.setattr(kafka, "producer", producers)
    await say(service, world)
    relaying = asyncio.create_task(service.relay.run())

    async def told() -> bool:
        return "relay fails: TopicAuthorizationFailedError" in service.health.problems()

    await eventually(told, what="it says that it fails")
    assert await service.context.pool.fetchval("select count(*) from outbox") == MANY
    allowed = True
    await published(service)
    await eventually(lambda: _not(told()), what="it says so no longer")
    service.relay.stop()
    await relaying
    assert sorted(on_topic(service, world)[0]) == [*range(MANY)]


async def _not(check: Any) -> bool:
    return not await check


async def test_who_stands_by_is_not_woken_by_what_it_says_itself(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process publishes that: this one asks for its place from time to time, however much is said here."""
    monkeypatch.setattr(relay, "_STANDBY", 0.2)
    asked: list[float] = []
    fetchval = asyncpg.Connection.fetchval

    async def counted(session: Any, query: str, *values: Any, **more: Any) -> Any:
        if query == sql.TRY_LOCK and session is not world.database:
            asked.append(time.monotonic())
        return await fetchval(session, query, *values, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", counted)
    assert await world.database.fetchval(sql.TRY_LOCK, relay._LOCK_SPACE, service.name)
    await say(service, world)
    relaying = asyncio.create_task(service.relay.run())

    async def thrice() -> bool:
        return len(asked) >= 3

    await eventually(thrice, what="it asks again and again")
    assert asked[2] - asked[0] >= 2 * 0.2
    assert await service.context.pool.fetchval("select count(*) from outbox") == MANY
    assert await world.database.fetchval("select pg_advisory_unlock($1, hashtext($2))", relay._LOCK_SPACE, service.name)
    await published(service)
    service.relay.stop()
    await relaying


async def test_a_relay_publishes_at_once_what_another_process_has_written(
    service: Service,
    service_with: Callable[..., Awaitable[Service]],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is notified: it does not look for rows by itself within the time of this test."""
    monkeypatch.setattr(relay, "_IDLE", 3600.0)
    other = await service_with(ordinal=1)
    relaying = asyncio.create_task(service.relay.run())

    async def active() -> bool:
        return service.relay.is_active

    await eventually(active, what="it is active")
    standing_by = asyncio.create_task(other.relay.run())
    await say(other, world)
    await published(service)
    other.relay.stop()
    service.relay.stop()
    await asyncio.gather(relaying, standing_by)
    assert sorted(on_topic(service, world)[0]) == [*range(MANY)]


async def test_who_stands_by_again_is_no_longer_failing(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database was away; now it waits for its place in peace, and nobody is to look after it."""
    monkeypatch.setattr(relay, "_STANDBY", 0.05)
    away = True

    async def sometimes(*arguments: Any, **more: Any) -> Any:
        if away:
            raise ConnectionRefusedError
        return await open_session(*arguments, **more)

    monkeypatch.setattr(relay, "open_session", sometimes)
    assert await world.database.fetchval(sql.TRY_LOCK, relay._LOCK_SPACE, service.name)
    relaying = asyncio.create_task(service.relay.run())

    async def told() -> bool:
        return "relay fails: ConnectionRefusedError" in service.health.problems()

    await eventually(told, what="it says that it fails")
    away = False
    await eventually(lambda: _not(told()), what="it says so no longer")
    assert not service.relay.is_active
    service.relay.stop()
    await relaying
    assert await world.database.fetchval("select pg_advisory_unlock($1, hashtext($2))", relay._LOCK_SPACE, service.name)


async def test_much_on_one_partition_does_not_hold_up_the_others(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_WAVE", 5)
    producers = Producers(lambda _: None)
    monkeypatch.setattr(kafka, "producer", producers)
    await say(service, world, names=["much"])
    await say(service, world, 1, names=["few"])
    relaying = asyncio.create_task(service.relay.run())
    await published(service)
    service.relay.stop()
    await relaying

    much, few = partition_of("much", 4), partition_of("few", 4)
    assert producers.places.count(much) == MANY / 5
    assert few in producers.places[:2], "it was said last, and is sent with the first"
    taken, dropped = on_topic(service, world)
    assert (sorted(taken), dropped) == ([0, *range(MANY)], 0)


async def test_lanes_that_speak_of_the_same_are_published_in_the_order_they_spoke(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little of each is taken at a time: what one lane decided after the other is read after it."""
    monkeypatch.setattr(relay, "_WAVE", 3)
    for turn in range(6):
        await say(service, world, 1 + turn, ["same"], lane=turn % 2, start=10 * turn)
    relaying = asyncio.create_task(service.relay.run())
    await published(service)
    service.relay.stop()
    await relaying
    assert on_topic(service, world) == ([10 * turn + n for turn in range(6) for n in range(1 + turn)], 0)
