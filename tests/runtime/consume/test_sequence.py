"""A consumer accepts exactly the next sequence number of each producer; the relay sends early records again."""

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from contracts import (
    intake,  # noqa: F401 - makes its events known
)
from runtime.consume.sequence import SequenceCheck, SequenceState, SequenceTracker
from tests.runtime.harness import ModelSystem, eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def produce_step(system: ModelSystem, sequence: int, partition: int = 0) -> None:
    """Produce a ``Step`` of producer 7 on beta's input."""
    body = f'{{"name": "a", "n": {sequence}, "digest": ""}}'.encode()
    envelope = system.envelope("model.Step.v1", "a").with_sequence(7, sequence)
    system.produce(system.step, "a", body, envelope.headers(), partition)
    system.flush()


async def applied_numbers(system: ModelSystem) -> list[int]:
    """Return the numbers that beta has applied, in order."""
    return [row["n"] for row in await system.sql("beta", "select n from audit order by id")]


async def test_an_out_of_order_record_is_applied_in_its_sequence(system: ModelSystem) -> None:
    beta = system.start("beta")
    for sequence in (0, 1, 2, 3, 4, 6, 7):
        produce_step(system, sequence)

    async def is_out_of_order() -> bool:
        return len(beta.logged("sequence_out_of_order")) >= 1

    await eventually(is_out_of_order, what="the consumer logs the early record")
    for sequence in (5, 6, 7, 3, 8):
        produce_step(system, sequence)

    async def all_applied() -> bool:
        return await applied_numbers(system) == list(range(9))

    await eventually(all_applied, what="every number is applied once, in order")
    assert beta.metric("hutong_duplicates_total") == 1
    assert await system.value("beta", "select count(*) from producer_sequence where gap_since is not null") == 0
    assert beta.get("/health")[0] == 200


async def test_a_complete_log_is_applied_from_sequence_number_zero(system: ModelSystem) -> None:
    system.start("beta")
    produce_step(system, 1)
    await asyncio.sleep(0)
    produce_step(system, 0)
    produce_step(system, 1)

    async def both_applied() -> bool:
        return await applied_numbers(system) == [0, 1]

    await eventually(both_applied, what="0 and 1 are applied in order")


async def test_a_lasting_sequence_gap_halts_only_its_partition(system: ModelSystem) -> None:
    system.settings["HUTONG_GAP_TIMEOUT"] = "1"
    beta = system.start("beta")
    produce_step(system, 0)
    produce_step(system, 2)

    async def halted() -> bool:
        return beta.state.exists() and bool(beta.logged("partition_halted"))

    await eventually(halted, what="the partition halts")
    assert "number 1 of producer 7" in beta.logged("partition_halted")[0]["reason"]
    assert beta.get("/health")[0] == 503
    produce_step(system, 0, partition=1)

    async def other_applied() -> bool:
        return await applied_numbers(system) == [0, 0]

    await eventually(other_applied, what="the other partition continues")
    produce_step(system, 3)
    assert await applied_numbers(system) == [0, 0]


@given(st.lists(st.integers(0, 8), max_size=60))
def test_sequence_numbers_are_accepted_densely_and_once_in_any_order(sequences: list[int]) -> None:
    tracker = SequenceTracker({}, from_first=True)
    accepted = [sequence for sequence in sequences if tracker.check("/s", 1, sequence, NOW) is SequenceCheck.NEXT]
    assert accepted == list(range(len(accepted)))


def test_a_known_producer_continues_at_its_last_sequence_number() -> None:
    tracker = SequenceTracker({("/s", 1): SequenceState(4, None)}, from_first=True)
    assert tracker.check("/s", 1, 4, NOW) is SequenceCheck.DUPLICATE
    assert tracker.check("/s", 1, 5, NOW) is SequenceCheck.NEXT
    assert tracker.check("/s", 1, 7, NOW) is SequenceCheck.OUT_OF_ORDER
    assert tracker.seen["/s", 1] == SequenceState(5, NOW)
    assert tracker.check("/another incarnation", 1, 0, NOW) is SequenceCheck.NEXT, "a recreated database starts at 0"


def test_any_sequence_number_may_be_the_first_of_a_truncated_log() -> None:
    tracker = SequenceTracker({}, from_first=False)
    assert tracker.check("/s", 1, 57, NOW) is SequenceCheck.NEXT
    assert tracker.check("/s", 1, 56, NOW) is SequenceCheck.DUPLICATE
