"""The relay on the real broker and database: after any failure a new producer sends the prefix again."""

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
from tests.runtime.harness import ModelSystem, eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 60


class Producers:
    """A factory of real producers whose sends fail as a test decides; it counts producers and sends."""

    def __init__(self, fails: Callable[[int], Exception | None], *, appended: bool = False) -> None:
        self.made = 0
        self.sends = 0
        self.partitions: list[int] = []
        self._fails = fails
        self._appended = appended
        self._real = kafka.producer

    def __call__(self, *arguments: Any) -> Any:
        self.made += 1
        producer = self._real(*arguments)
        send_batch = producer.send_batch

        async def send(*batch: Any, **more: Any) -> Any:
            self.sends += 1
            self.partitions.append(more["partition"])
            error = self._fails(self.sends)
            if error is None:
                return await send_batch(*batch, **more)
            if self._appended:
                await (await send_batch(*batch, **more))
            raise error

        producer.send_batch = send
        return producer


NINE_NAMES = [f"name-{n}" for n in range(9)]


async def write_outbox(
    service: Service,
    system: ModelSystem,
    count: int = ROWS,
    names: Sequence[str] = NINE_NAMES,
    *,
    producer: int = 0,
    start: int = 0,
) -> None:
    """Write the events of a handler to the outbox."""
    events = []
    for n in range(start, start + count):
        envelope: Envelope = system.envelope("model.Put.v1", "cause")
        inbound = InboundEvent(model.Put(name="cause", n=n), envelope, "", 0, n)
        events.append(inbound.emit(model.Step(name=names[n % len(names)], n=n, digest="")))
    async with service.context.pool.acquire() as session, session.transaction():
        await service.context.outbox.write(
            session, list(service.context.producer_ids.values())[producer], service.context.outbox.rows(events)
        )
    service.context.outbox_written.set()


def consumed(service: Service, system: ModelSystem) -> tuple[list[int], int]:
    """Return the events of this service that a consumer accepts, and how many records it drops."""
    tracker = SequenceTracker({}, from_first=True)
    accepted: list[int] = []
    dropped = 0
    for message in system.records_of(model.STEP.name):
        envelope = Envelope.read(message.headers(), message.key())
        if envelope.source != service.context.outbox.source:
            continue
        assert envelope.producer_id is not None
        assert envelope.sequence is not None
        # Sequence numbers are counted for each partition.
        check = tracker.check(f"{message.partition()}", envelope.producer_id, envelope.sequence, NOW)
        if check is SequenceCheck.NEXT:
            accepted.append(model.Step.model_validate_json(message.value()).n)
        dropped += check is not SequenceCheck.NEXT
    return accepted, dropped


async def wait_until_published(service: Service) -> None:
    async def empty() -> bool:
        return bool(await service.context.pool.fetchval("select count(*) = 0 from outbox"))

    await eventually(empty, what="everything is published")


@pytest.mark.parametrize("appended", [False, True])
@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), ProducerFenced(), KafkaTimeoutError(), KeyError("dead")])
async def test_after_any_failure_a_new_producer_sends_the_prefix_again(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch, error: Exception, appended: bool
) -> None:
    """The second and the fifth send fail, whether or not the broker has taken the batch."""
    producers = Producers(lambda nth: error if nth in (2, 5) else None, appended=appended)
    monkeypatch.setattr(kafka, "producer", producers)
    await write_outbox(service, system)
    relaying = asyncio.create_task(service.relay.run())

    await wait_until_published(service)
    await write_outbox(service, system)
    await wait_until_published(service)
    service.relay.stop()
    await relaying

    assert producers.made == 3
    accepted, dropped = consumed(service, system)
    assert sorted(accepted) == sorted([*range(ROWS)] * 2)
    assert (dropped > 0) is appended
    sequences = await service.context.pool.fetch(
        "select next_seq, published_seq from outbox_sequence natural join outbox_published"
    )
    assert len(sequences) > 1
    assert all(producer["next_seq"] == producer["published_seq"] for producer in sequences)


async def test_a_missing_row_halts_the_relay_before_a_sequence_gap_is_published(
    service: Service, system: ModelSystem
) -> None:
    await write_outbox(service, system)
    lost = await service.context.pool.fetchrow(
        "delete from outbox where position = (select position from outbox where seq = 3 limit 1) "
        "returning topic, partition"
    )
    assert lost is not None

    await asyncio.wait_for(service.relay.run(), 30)

    assert service.relay.halted is not None
    assert f"{lost['topic']}/{lost['partition']} goes on with 4, not 3" in service.relay.halted
    assert any("relay halted" in problem for problem in service.health.problems())
    accepted, dropped = consumed(service, system)
    assert (accepted, dropped) == ([], 0)


async def test_a_relay_that_keeps_failing_is_a_health_problem_until_it_works(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not write a topic: nothing is lost, and health reports it."""
    allowed = False
    producers = Producers(lambda _: None if allowed else TopicAuthorizationFailedError())
    monkeypatch.setattr(kafka, "producer", producers)
    await write_outbox(service, system)
    relaying = asyncio.create_task(service.relay.run())

    async def reported() -> bool:
        return "relay fails: TopicAuthorizationFailedError" in service.health.problems()

    await eventually(reported, what="the failure is reported")
    assert await service.context.pool.fetchval("select count(*) from outbox") == ROWS
    allowed = True
    await wait_until_published(service)
    await eventually(lambda: _not(reported()), what="the failure is no longer reported")
    service.relay.stop()
    await relaying
    assert sorted(consumed(service, system)[0]) == [*range(ROWS)]


async def _not(check: Any) -> bool:
    return not await check


async def test_a_standby_relay_is_not_woken_by_its_own_outbox(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The active process publishes; this one tries the lock at its own interval, however much is written here."""
    monkeypatch.setattr(relay, "_STANDBY", 0.2)
    tries: list[float] = []
    fetchval = asyncpg.Connection.fetchval

    async def count_tries(session: Any, query: str, *values: Any, **more: Any) -> Any:
        if query == sql.TRY_LOCK and session is not system.database:
            tries.append(time.monotonic())
        return await fetchval(session, query, *values, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", count_tries)
    assert await system.database.fetchval(sql.TRY_LOCK, relay._LOCK_SPACE, service.name)
    await write_outbox(service, system)
    relaying = asyncio.create_task(service.relay.run())

    async def three_tries() -> bool:
        return len(tries) >= 3

    await eventually(three_tries, what="it tries the lock three times")
    assert tries[2] - tries[0] >= 2 * 0.2
    assert await service.context.pool.fetchval("select count(*) from outbox") == ROWS
    assert await system.database.fetchval(
        "select pg_advisory_unlock($1, hashtext($2))", relay._LOCK_SPACE, service.name
    )
    await wait_until_published(service)
    service.relay.stop()
    await relaying


async def test_the_active_relay_publishes_rows_of_another_process_immediately(
    service: Service,
    service_with: Callable[..., Awaitable[Service]],
    system: ModelSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is notified: it does not look for rows by itself within the time of this test."""
    monkeypatch.setattr(relay, "_IDLE", 3600.0)
    other = await service_with(ordinal=1)
    relaying = asyncio.create_task(service.relay.run())

    async def is_waiting() -> bool:
        """Return whether the relay's session is idle after a query for rows."""
        return bool(
            await system.database.fetchval(
                "select count(*) from pg_stat_activity "
                "where state = 'idle' and application_name like $1 and query like '%outbox_waiting%'",
                f"hutong-{service.name}-%",
            )
        )

    await eventually(is_waiting, what="the relay has read no rows and waits")
    standing_by = asyncio.create_task(other.relay.run())
    await write_outbox(other, system)
    await wait_until_published(service)
    other.relay.stop()
    service.relay.stop()
    await asyncio.gather(relaying, standing_by)
    assert sorted(consumed(service, system)[0]) == [*range(ROWS)]


async def test_a_relay_on_standby_is_no_longer_a_health_problem(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database was unreachable; now it waits for the lock, which is no problem."""
    monkeypatch.setattr(relay, "_STANDBY", 0.05)
    unreachable = True

    async def open_if_reachable(*arguments: Any, **more: Any) -> Any:
        if unreachable:
            raise ConnectionRefusedError
        return await open_session(*arguments, **more)

    monkeypatch.setattr(relay, "open_session", open_if_reachable)
    assert await system.database.fetchval(sql.TRY_LOCK, relay._LOCK_SPACE, service.name)
    relaying = asyncio.create_task(service.relay.run())

    async def reported() -> bool:
        return "relay fails: ConnectionRefusedError" in service.health.problems()

    await eventually(reported, what="the failure is reported")
    unreachable = False
    await eventually(lambda: _not(reported()), what="the failure is no longer reported")
    assert not service.relay.is_active
    service.relay.stop()
    await relaying
    assert await system.database.fetchval(
        "select pg_advisory_unlock($1, hashtext($2))", relay._LOCK_SPACE, service.name
    )


async def test_a_backlog_on_one_partition_does_not_delay_the_others(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_WAVE", 5)
    producers = Producers(lambda _: None)
    monkeypatch.setattr(kafka, "producer", producers)
    await write_outbox(service, system, names=["much"])
    await write_outbox(service, system, 1, names=["few"])
    relaying = asyncio.create_task(service.relay.run())
    await wait_until_published(service)
    service.relay.stop()
    await relaying

    much, few = partition_of("much", 4), partition_of("few", 4)
    assert producers.partitions.count(much) == ROWS / 5
    assert few in producers.partitions[:2], "it was written last and is sent with the first"
    accepted, dropped = consumed(service, system)
    assert (sorted(accepted), dropped) == ([0, *range(ROWS)], 0)


async def test_rows_of_one_key_from_several_producers_are_published_in_their_order(
    service: Service, system: ModelSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows are read at a time, they are published in the order in which they were written."""
    monkeypatch.setattr(relay, "_WAVE", 3)
    for round_number in range(6):
        await write_outbox(
            service, system, 1 + round_number, ["same"], producer=round_number % 2, start=10 * round_number
        )
    relaying = asyncio.create_task(service.relay.run())
    await wait_until_published(service)
    service.relay.stop()
    await relaying
    assert consumed(service, system) == (
        [10 * round_number + n for round_number in range(6) for n in range(1 + round_number)],
        0,
    )
