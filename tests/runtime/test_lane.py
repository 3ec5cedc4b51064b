"""One lane by itself, on a real database: what it does with records it was given twice, too early or too late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from contracts.event import Envelope, Event
from runtime import RetryLater, Service, Tx, UnprocessableEvent
from runtime.consume.decode import RecordDecoder
from runtime.consume.partition import PartitionProcessor
from runtime.handlers import Batch, OutboundEvent
from runtime.operate.replay import StillParked
from runtime.operate.watchdog import stuck_handlers
from runtime.storage.sealing import CannotOpen
from tests.runtime import model
from tests.runtime.harness import World, applied, eventually, handle

PLACE = (model.INPUT.name, 0)


def put(world: World, offset: int, name: str = "a", what: str = "ok") -> Any:
    envelope = world.envelope("model.Put.v1", name, None)
    body = f'{{"name": "{name}", "n": {offset}, "what": "{what}"}}'.encode()
    return SimpleNamespace(
        topic=PLACE[0],
        partition=0,
        offset=offset,
        timestamp=0,
        key=name.encode(),
        value=body,
        headers=envelope.headers(),
    )


async def audited(service: Service) -> list[int]:
    return [row["n"] for row in await service.context.pool.fetch("select n from audit order by id")]


async def apply(service: Service, *records: Any) -> None:
    await applied(service.consumers["main"], records)


async def test_records_polled_again_are_fenced(world: World, service: Service) -> None:
    first = [put(world, offset) for offset in range(3)]
    await apply(service, *first)
    await apply(service, *first, put(world, 3))
    await apply(service, *first)
    assert await audited(service) == [0, 1, 2, 3]
    assert await service.context.pool.fetchval("select count(*) from outbox") == 4


async def test_two_that_hold_the_same_partition_apply_each_record_once(world: World, service: Service) -> None:
    """A zombie and its successor at the same moment: the cursor's row lock lets one through after the other."""
    other = model.alpha(world.of("alpha"))
    await other.open()
    other.consumers["main"].ready.add(PLACE)
    records = [put(world, offset) for offset in range(40)]
    await asyncio.gather(*(apply(which, *records[: 10 + 5 * n]) for n in range(6) for which in (service, other)))
    await apply(other, *records)
    await other.close()
    assert await audited(service) == list(range(40))
    numbers = [
        row["seq"]
        for row in await service.context.pool.fetch("select seq from outbox where partition = 3 order by position")
    ]
    everything = await service.context.pool.fetch("select partition, seq from outbox order by position")
    assert len(everything) == 40
    assert numbers == sorted(numbers)


async def test_a_jump_of_the_log_is_seen_twice_before_it_is_believed(world: World, service: Service) -> None:
    await apply(service, put(world, 0))
    late = [put(world, 5), put(world, 6)]
    await apply(service, *late)
    assert await audited(service) == [0], "first it is read again from the cursor"
    await apply(service, *late)
    assert await audited(service) == [0, 5, 6], "aborted transactions of a plain client are no loss"
    assert not service.consumers["main"].halted


async def test_what_cannot_work_yet_is_tried_until_it_can_and_parks_nothing(world: World, service: Service) -> None:
    tries = 0

    async def not_yet(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        nonlocal tries
        tries += 1
        await tx.execute("update ward set ticks = ticks + 1")
        if tries < 8:
            raise RetryLater("something is awaited")
        return []

    handle(service.consumers["main"], {PLACE[0]: not_yet})
    await apply(service, put(world, 0))
    assert tries == 8
    assert await service.context.pool.fetchval("select ticks from ward") == 1, "seven tries were rolled back"
    assert await service.context.pool.fetchval("select count(*) from parked_key") == 0


async def test_a_bug_is_tried_a_few_times_before_its_event_is_parked(world: World, service: Service) -> None:
    calls: list[int] = []

    async def buggy(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        calls.append(len(batch.events))
        if any(one.event.n == 5 for one in batch.events):
            raise KeyError("some person's name")
        await model.fold(batch, tx)
        return []

    handle(service.consumers["main"], {PLACE[0]: buggy})
    await apply(service, *(put(world, offset, f"n{offset}") for offset in range(8)))
    assert calls[: service.settings.tries] == [8] * service.settings.tries
    assert await audited(service) == [0, 1, 2, 3, 4, 6, 7]
    reason = await service.context.pool.fetchval("select reason from parked_key")
    assert reason.startswith("KeyError in test_lane.py")
    assert "name" not in reason, "a message may quote somebody's data"


async def test_a_waiting_handler_gives_way_when_its_partitions_are_taken(world: World, service: Service) -> None:
    async def never(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise RetryLater("for ever")

    consumer = service.consumers["main"]
    handle(consumer, {PLACE[0]: never})
    work = asyncio.create_task(apply(service, put(world, 0)))
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.on_revoked(), 5)
    await asyncio.wait_for(work, 5)
    assert (
        await service.context.pool.fetchval("select next_offset from consumer_cursor where topic = $1", PLACE[0]) == 0
    )


async def test_outbox_numbers_are_dense_for_each_output_partition(world: World, service: Service) -> None:
    for start in range(0, 60, 12):
        await apply(service, *(put(world, start + n, f"name-{n % 9}") for n in range(12)))
    rows = await service.context.pool.fetch(
        "select topic, partition, array_agg(seq order by position) as numbers from outbox group by topic, partition"
    )
    assert len(rows) > 1
    for row in rows:
        assert row["numbers"] == list(range(len(row["numbers"])))


async def test_a_commit_whose_answer_was_lost_is_not_done_again(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is in the database and its process does not know: the cursor does."""
    done = Transaction.__aexit__
    lost = 0

    async def torn(transaction: Transaction, *failure: Any) -> None:
        nonlocal lost
        await done(transaction, *failure)
        if not lost:
            lost += 1
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(Transaction, "__aexit__", torn)
    await apply(service, *(put(world, offset) for offset in range(3)))
    await apply(service, *(put(world, offset) for offset in range(5)))

    assert lost == 1
    assert await audited(service) == [0, 1, 2, 3, 4]
    assert await service.context.pool.fetchval("select count(*) from outbox") == 5


async def test_a_batch_that_is_never_committed_is_told_though_the_process_polls(
    world: World, service_with: Callable[..., Awaitable[Service]]
) -> None:
    async def never(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise RetryLater("for ever")

    service = await service_with(silence_timeout=0.2)
    consumer = service.consumers["main"]
    handle(consumer, {PLACE[0]: never})
    work = asyncio.create_task(apply(service, put(world, 0)))

    async def told() -> bool:
        return any("has committed nothing for" in trouble for trouble in service.health.problems())

    await eventually(told, what="somebody is told")
    assert not stuck_handlers(service.consumers.values(), service.settings), (
        "it is tried again and again: starting the process anew would not help"
    )
    await consumer.on_revoked()
    await work
    assert service.health.problems() == []


async def test_a_handler_that_waits_for_what_never_comes_ends_the_process(
    world: World, service_with: Callable[..., Awaitable[Service]]
) -> None:
    over = asyncio.Event()

    async def hangs(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        await over.wait()
        return []

    service = await service_with(attempt_timeout=0.2, watchdog_interval=0.05)
    handle(service.consumers["main"], {PLACE[0]: hangs})
    work = asyncio.create_task(apply(service, put(world, 0)))
    watching = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return service.failure is not None

    try:
        await eventually(ended, what="the process ends")
        assert f"main {PLACE[0]}/0 hangs" in service.health.liveness_failures()
    finally:
        service.watchdog.stop()
        over.set()
        await asyncio.gather(watching, work)


async def test_a_failure_outside_of_the_handlers_ends_the_process(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to nobody else: FastStream would write a line and go on with the next batch."""

    async def broken(*_: object) -> None:
        raise LookupError("a bug of our own")

    monkeypatch.setattr(PartitionProcessor, "apply", broken)
    await apply(service, put(world, 0))
    assert service.failure == "consumer main failed"


async def test_what_cannot_be_read_goes_to_the_handler_that_answers_it(world: World, service: Service) -> None:
    """In its place among the others, and parked only if nobody knows what to say to it."""
    heard: list[tuple[int, int]] = []

    async def answers(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        heard.extend((one.offset, one.event.n) for one in batch.events)
        return []

    def misread(envelope: Envelope, value: bytes, reason: str) -> Event | None:
        return None if b"future" in value else model.Put(name="a", n=-len(reason.split(";")))

    handle(service.consumers["main"], {PLACE[0]: answers}, malformed=misread)
    records = [put(world, offset, f"n{offset}") for offset in range(4)]
    records[1].value = b'{"name": 1, "n": "x"}'
    records[3].value = b'{"name": 1, "n": "future"}'
    await apply(service, *records)
    assert heard == [(0, 0), (1, -2), (2, 2)]
    assert await service.context.pool.fetchval("select array_agg(key) from parked_key") == ["n3"]


async def test_whatever_fails_while_a_message_is_read_is_that_messages_own(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what nobody thought of, and what looks like a failure of a connection: its neighbours are applied."""
    decode = RecordDecoder.decode

    def breaks(self: RecordDecoder, raw: Any, envelope: Envelope) -> Any:
        match raw.offset:
            case 1:
                raise OverflowError("例小明")
            case 2:
                raise OSError("例小明")
        return decode(self, raw, envelope)

    monkeypatch.setattr(RecordDecoder, "decode", breaks)
    await asyncio.wait_for(apply(service, *(put(world, offset, f"n{offset}") for offset in range(4))), 20)
    assert await audited(service) == [0, 3]
    reasons = [row["reason"] for row in await service.context.pool.fetch("select reason from dead_letter order by id")]
    assert [reason.split(":")[0] for reason in reasons] == ["OverflowError in test_lane.py", "OSError in test_lane.py"]
    assert not service.consumers["main"].halted


async def test_a_replay_that_fails_changes_nothing_and_quotes_nobody(world: World, service: Service) -> None:
    """The handler has written already when it comes to the event that cannot work."""

    async def refuses(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise UnprocessableEvent("refused")

    async def writes_then_fails(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        said = await model.on_put(batch, tx)
        if len(batch.events) == 3:
            raise KeyError("例小明")
        return said

    consumer = service.consumers["main"]
    handle(consumer, {PLACE[0]: refuses})
    await apply(service, put(world, 0), put(world, 1), put(world, 2))
    consumer._processors.clear()
    handle(consumer, {PLACE[0]: writes_then_fails})

    with pytest.raises(StillParked, match="from offset 0: KeyError in test_lane") as failed:
        await service.replay("a")

    assert "例小明" not in str(failed.value)
    assert await audited(service) == []
    assert await service.context.pool.fetchval("select count(*) from parked_event") == 3
    assert await service.context.pool.fetchval("select count(*) from outbox") == 0
    consumer._processors.clear()
    handle(consumer, {PLACE[0]: model.on_put})
    assert await service.replay("a") == 3
    assert await audited(service) == [0, 1, 2]


async def test_what_is_replayed_is_decided_for_today(world: World, service: Service) -> None:
    days: list[date | None] = []

    async def keeps_the_day(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        days.append(batch.on)
        if batch.on == date(2026, 3, 1):
            raise UnprocessableEvent("refused")
        return []

    handle(service.consumers["main"], {PLACE[0]: keeps_the_day})
    await service.context.pool.execute("update day_state set day = '2026-03-01'")
    await apply(service, put(world, 0))
    await service.context.pool.execute("update day_state set day = '2026-03-09'")
    await service.replay("a")

    assert (days[0], days[-1]) == (date(2026, 3, 1), date(2026, 3, 9))


async def test_a_parked_event_opens_with_its_key_and_in_its_place_alone(world: World, service: Service) -> None:
    stored = service.context.parking_cipher.encrypt(put(world, 7), "main")
    assert service.context.parking_cipher.decrypt(stored, "main", *PLACE, 7).offset == 7
    with pytest.raises(CannotOpen):
        service.context.parking_cipher.decrypt(stored, "main", *PLACE, 8)
    with pytest.raises(CannotOpen, match="another version"):
        service.context.parking_cipher.decrypt(b"\x02" + stored[1:], "main", *PLACE, 7)


async def test_a_batch_that_is_too_long_for_this_machine_is_done_in_halves(world: World, service: Service) -> None:
    """The server cuts off who is silent in a transaction; tried whole again and again, it would be cut off for ever."""
    slow = model.alpha(world.of("alpha", HUTONG_IDLE_IN_TRANSACTION_TIMEOUT="0.5", HUTONG_RETRY_LAST="0.05"))
    await slow.open()
    consumer = slow.consumers["main"]
    consumer.ready.add(PLACE)
    sizes: list[int] = []

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        sizes.append(len(batch.events))
        await asyncio.sleep(0.05 * len(batch.events))  # what it computes between two statements
        return await model.on_put(batch, tx)

    handle(consumer, {PLACE[0]: on_put})
    try:
        await asyncio.wait_for(apply(slow, *(put(world, offset) for offset in range(16))), 20)
    finally:
        await consumer.on_revoked()
        await slow.close()
    assert await audited(service) == list(range(16))
    assert sizes == [16, 8, 8]
