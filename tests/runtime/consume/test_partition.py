"""One partition processor on a real database, with records that come twice, too early or too late."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
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
from tests.runtime.consume.harness import PARTITION, apply, audited, put
from tests.runtime.harness import ModelSystem, eventually, replace_handlers


async def test_records_polled_again_are_fenced(system: ModelSystem, service: Service) -> None:
    first = [put(system, offset) for offset in range(3)]
    await apply(service, *first)
    await apply(service, *first, put(system, 3))
    await apply(service, *first)
    assert await audited(service) == [0, 1, 2, 3]
    assert await service.context.pool.fetchval("select count(*) from outbox") == 4


async def test_two_processes_with_the_same_partition_apply_each_record_once(
    system: ModelSystem, service: Service
) -> None:
    """A zombie and its successor apply at the same moment; the cursor's row lock admits one after the other."""
    other = model.alpha(system.settings_of("alpha"))
    await other.open()
    other.consumers["main"].ready.add(PARTITION)
    records = [put(system, offset) for offset in range(40)]
    await asyncio.gather(*(apply(each, *records[: 10 + 5 * n]) for n in range(6) for each in (service, other)))
    await apply(other, *records)
    await other.close()
    assert await audited(service) == list(range(40))
    numbers = [
        row["seq"]
        for row in await service.context.pool.fetch("select seq from outbox where partition = 3 order by position")
    ]
    rows = await service.context.pool.fetch("select partition, seq from outbox order by position")
    assert len(rows) == 40
    assert numbers == sorted(numbers)


async def test_an_offset_gap_is_accepted_when_it_is_read_twice(system: ModelSystem, service: Service) -> None:
    await apply(service, put(system, 0))
    after_gap = [put(system, 5), put(system, 6)]
    await apply(service, *after_gap)
    assert await audited(service) == [0], "the records are first read again from the cursor"
    await apply(service, *after_gap)
    assert await audited(service) == [0, 5, 6], "the offsets of a client's aborted transactions are no loss"
    assert not service.consumers["main"].halted


async def test_a_handler_that_raises_retry_later_is_retried_and_parks_nothing(
    system: ModelSystem, service: Service
) -> None:
    attempts = 0

    async def raise_retry_later(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        nonlocal attempts
        attempts += 1
        await tx.execute("update control set ticks = ticks + 1")
        if attempts < 8:
            raise RetryLater("a prerequisite is missing")
        return []

    replace_handlers(service.consumers["main"], {PARTITION[0]: raise_retry_later})
    await apply(service, put(system, 0))
    assert attempts == 8
    assert await service.context.pool.fetchval("select ticks from control") == 1, "seven attempts were rolled back"
    assert await service.context.pool.fetchval("select count(*) from parked_key") == 0


async def test_a_failing_handler_is_retried_before_its_event_is_parked(system: ModelSystem, service: Service) -> None:
    calls: list[int] = []

    async def buggy(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        calls.append(len(batch.events))
        if any(inbound.event.n == 5 for inbound in batch.events):
            raise KeyError("a person's name")
        await model.fold(batch, tx)
        return []

    replace_handlers(service.consumers["main"], {PARTITION[0]: buggy})
    await apply(service, *(put(system, offset, f"n{offset}") for offset in range(8)))
    assert calls[: service.settings.tries] == [8] * service.settings.tries
    assert await audited(service) == [0, 1, 2, 3, 4, 6, 7]
    reason = await service.context.pool.fetchval("select reason from parked_key")
    assert reason.startswith("KeyError in test_partition.py")
    assert "name" not in reason, "an error message may contain personal data"


async def test_a_retry_ends_when_the_partitions_are_revoked(system: ModelSystem, service: Service) -> None:
    async def never(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise RetryLater("indefinitely")

    consumer = service.consumers["main"]
    replace_handlers(consumer, {PARTITION[0]: never})
    applying = asyncio.create_task(apply(service, put(system, 0)))
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.on_revoked(), 5)
    await asyncio.wait_for(applying, 5)
    assert (
        await service.context.pool.fetchval("select next_offset from consumer_cursor where topic = $1", PARTITION[0])
        == 0
    )


async def test_outbox_sequence_numbers_are_dense_for_each_output_partition(
    system: ModelSystem, service: Service
) -> None:
    for start in range(0, 60, 12):
        await apply(service, *(put(system, start + n, f"name-{n % 9}") for n in range(12)))
    rows = await service.context.pool.fetch(
        "select topic, partition, array_agg(seq order by position) as numbers from outbox group by topic, partition"
    )
    assert len(rows) > 1
    for row in rows:
        assert row["numbers"] == list(range(len(row["numbers"])))


async def test_a_commit_whose_reply_was_lost_is_not_applied_again(
    system: ModelSystem, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is committed and its process does not know it; the cursor shows it."""
    commit = Transaction.__aexit__
    losses = 0

    async def lose_reply(transaction: Transaction, *failure: Any) -> None:
        nonlocal losses
        await commit(transaction, *failure)
        if not losses:
            losses += 1
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(Transaction, "__aexit__", lose_reply)
    await apply(service, *(put(system, offset) for offset in range(3)))
    await apply(service, *(put(system, offset) for offset in range(5)))

    assert losses == 1
    assert await audited(service) == [0, 1, 2, 3, 4]
    assert await service.context.pool.fetchval("select count(*) from outbox") == 5


async def test_a_batch_that_is_never_committed_is_a_health_problem(
    system: ModelSystem, service_with: Callable[..., Awaitable[Service]]
) -> None:
    async def never(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise RetryLater("indefinitely")

    service = await service_with(silence_timeout=0.2)
    consumer = service.consumers["main"]
    replace_handlers(consumer, {PARTITION[0]: never})
    applying = asyncio.create_task(apply(service, put(system, 0)))

    async def reported() -> bool:
        return any("has committed nothing for" in problem for problem in service.health.problems())

    await eventually(reported, what="the problem is reported")
    assert not stuck_handlers(service.consumers.values(), service.settings), (
        "it is retried: a restart of the process would not help"
    )
    await consumer.on_revoked()
    await applying
    assert service.health.problems() == []


async def test_a_handler_that_hangs_ends_the_process(
    system: ModelSystem, service_with: Callable[..., Awaitable[Service]]
) -> None:
    released = asyncio.Event()

    async def hangs(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        await released.wait()
        return []

    service = await service_with(attempt_timeout=0.2, watchdog_interval=0.05)
    replace_handlers(service.consumers["main"], {PARTITION[0]: hangs})
    applying = asyncio.create_task(apply(service, put(system, 0)))
    watchdog = asyncio.create_task(service.watchdog.run())

    async def ended() -> bool:
        return service.failure is not None

    try:
        await eventually(ended, what="the process ends")
        assert f"main {PARTITION[0]}/0 hangs" in service.health.liveness_failures()
    finally:
        service.watchdog.stop()
        released.set()
        await asyncio.gather(watchdog, applying)


async def test_a_failure_outside_of_the_handlers_ends_the_process(
    system: ModelSystem, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream would log the failure and continue with the next batch."""

    async def fail(*_: object) -> None:
        raise LookupError("a bug of the runtime")

    monkeypatch.setattr(PartitionProcessor, "apply", fail)
    await apply(service, put(system, 0))
    assert service.failure == "consumer main failed"


async def test_the_malformed_handler_replaces_a_malformed_message_with_an_event(
    system: ModelSystem, service: Service
) -> None:
    """The event keeps the message's position; a message that the handler does not answer is parked."""
    consumed: list[tuple[int, int]] = []

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        consumed.extend((inbound.offset, inbound.event.n) for inbound in batch.events)
        return []

    def on_malformed(envelope: Envelope, value: bytes, reason: str) -> Event | None:
        return None if b"future" in value else model.Put(name="a", n=-len(reason.split(";")))

    replace_handlers(service.consumers["main"], {PARTITION[0]: on_put}, malformed=on_malformed)
    records = [put(system, offset, f"n{offset}") for offset in range(4)]
    records[1].value = b'{"name": 1, "n": "x"}'
    records[3].value = b'{"name": 1, "n": "future"}'
    await apply(service, *records)
    assert consumed == [(0, 0), (1, -2), (2, 2)]
    assert await service.context.pool.fetchval("select array_agg(key) from parked_key") == ["n3"]


async def test_a_failure_of_the_decoder_affects_only_its_own_message(
    system: ModelSystem, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours are applied after an unexpected error and after one that looks like a lost connection."""
    decode = RecordDecoder.decode

    def fail_for_two(self: RecordDecoder, record: Any, envelope: Envelope) -> Any:
        match record.offset:
            case 1:
                raise OverflowError("例小明")
            case 2:
                raise OSError("例小明")
        return decode(self, record, envelope)

    monkeypatch.setattr(RecordDecoder, "decode", fail_for_two)
    await asyncio.wait_for(apply(service, *(put(system, offset, f"n{offset}") for offset in range(4))), 20)
    assert await audited(service) == [0, 3]
    reasons = [row["reason"] for row in await service.context.pool.fetch("select reason from dead_letter order by id")]
    assert [reason.split(":")[0] for reason in reasons] == [
        "OverflowError in test_partition.py",
        "OSError in test_partition.py",
    ]
    assert not service.consumers["main"].halted


async def test_a_failed_replay_changes_nothing_and_quotes_no_personal_data(
    system: ModelSystem, service: Service
) -> None:
    """The handler has already written when it reaches the event that fails."""

    async def refuse(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        raise UnprocessableEvent("refused")

    async def write_then_fail(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        outbound = await model.on_put(batch, tx)
        if len(batch.events) == 3:
            raise KeyError("例小明")
        return outbound

    consumer = service.consumers["main"]
    replace_handlers(consumer, {PARTITION[0]: refuse})
    await apply(service, put(system, 0), put(system, 1), put(system, 2))
    consumer._processors.clear()
    replace_handlers(consumer, {PARTITION[0]: write_then_fail})

    with pytest.raises(StillParked, match="from offset 0: KeyError in test_partition") as failed:
        await service.replay("a")

    assert "例小明" not in str(failed.value)
    assert await audited(service) == []
    assert await service.context.pool.fetchval("select count(*) from parked_event") == 3
    assert await service.context.pool.fetchval("select count(*) from outbox") == 0
    consumer._processors.clear()
    replace_handlers(consumer, {PARTITION[0]: model.on_put})
    assert await service.replay("a") == 3
    assert await audited(service) == [0, 1, 2]


async def test_a_replayed_event_is_processed_for_the_current_day(system: ModelSystem, service: Service) -> None:
    days: list[date | None] = []

    async def record_the_day(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        days.append(batch.on)
        if batch.on == date(2026, 3, 1):
            raise UnprocessableEvent("refused")
        return []

    replace_handlers(service.consumers["main"], {PARTITION[0]: record_the_day})
    await service.context.pool.execute("update day_state set day = '2026-03-01'")
    await apply(service, put(system, 0))
    await service.context.pool.execute("update day_state set day = '2026-03-09'")
    await service.replay("a")

    assert (days[0], days[-1]) == (date(2026, 3, 1), date(2026, 3, 9))


async def test_a_parked_record_decrypts_only_with_its_key_and_at_its_position(
    system: ModelSystem, service: Service
) -> None:
    stored = service.context.parking_cipher.encrypt(put(system, 7), "main")
    assert service.context.parking_cipher.decrypt(stored, "main", *PARTITION, 7).offset == 7
    with pytest.raises(CannotOpen):
        service.context.parking_cipher.decrypt(stored, "main", *PARTITION, 8)
    with pytest.raises(CannotOpen, match="another version"):
        service.context.parking_cipher.decrypt(b"\x02" + stored[1:], "main", *PARTITION, 7)


async def test_a_batch_that_exceeds_its_time_limit_is_bisected(system: ModelSystem, service: Service) -> None:
    """The server ends a session that is idle in a transaction; the whole batch would fail at every attempt."""
    limited = model.alpha(
        system.settings_of("alpha", HUTONG_IDLE_IN_TRANSACTION_TIMEOUT="0.5", HUTONG_RETRY_LAST="0.05")
    )
    await limited.open()
    consumer = limited.consumers["main"]
    consumer.ready.add(PARTITION)
    sizes: list[int] = []

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        sizes.append(len(batch.events))
        await asyncio.sleep(0.05 * len(batch.events))  # computation between two statements
        return await model.on_put(batch, tx)

    replace_handlers(consumer, {PARTITION[0]: on_put})
    try:
        await asyncio.wait_for(apply(limited, *(put(system, offset) for offset in range(16))), 20)
    finally:
        await consumer.on_revoked()
        await limited.close()
    assert await audited(service) == list(range(16))
    assert sizes == [16, 8, 8]
