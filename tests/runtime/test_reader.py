"""A reader takes exactly the next number of each writer's lane: what came too early is sent again by the relay."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import (
    bounds,
    intake,  # noqa: F401 - makes its events known
)
from contracts.topics import DEPARTMENT, INTAKE_RECORD
from runtime.consume.decode import DeadLetter, RecordDecoder, UnreadableEvent, is_shallow
from runtime.consume.sequence import SequenceCheck, SequenceState, SequenceTracker
from tests.runtime.harness import World, eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def step(world: World, sequence: int, partition: int = 0) -> None:
    body = f'{{"name": "a", "n": {sequence}, "digest": ""}}'.encode()
    envelope = world.envelope("model.Step.v1", "a").with_sequence(7, sequence)
    world.raw(world.step, "a", body, envelope.headers(), partition)
    world.flush()


async def applied(world: World) -> list[int]:
    return [row["n"] for row in await world.sql("beta", "select n from audit order by id")]


async def test_what_comes_too_early_is_taken_when_its_turn_comes(world: World) -> None:
    beta = world.start("beta")
    for sequence in (0, 1, 2, 3, 4, 6, 7):
        step(world, sequence)

    async def early() -> bool:
        return len(beta.said("sequence_out_of_order")) >= 1

    await eventually(early, what="the reader sees the early number")
    for sequence in (5, 6, 7, 3, 8):
        step(world, sequence)

    async def all_there() -> bool:
        return await applied(world) == list(range(9))

    await eventually(all_there, what="every number is applied once, in order")
    assert beta.metric("hutong_duplicates_total") == 1
    assert await world.value("beta", "select count(*) from producer_sequence where gap_since is not null") == 0
    assert beta.get("/health")[0] == 200


async def test_a_first_number_that_is_not_the_first_is_not_taken_from_a_whole_log(world: World) -> None:
    world.start("beta")
    step(world, 1)
    await asyncio.sleep(0)
    step(world, 0)
    step(world, 1)

    async def both() -> bool:
        return await applied(world) == [0, 1]

    await eventually(both, what="0 and 1 are applied in order")


async def test_a_hole_that_stays_halts_its_partition_and_no_other(world: World) -> None:
    world.settings["HUTONG_GAP_TIMEOUT"] = "1"
    beta = world.start("beta")
    step(world, 0)
    step(world, 2)

    async def halted() -> bool:
        return beta.state.exists() and bool(beta.said("partition_halted"))

    await eventually(halted, what="the partition halts")
    assert "number 1 of producer 7" in beta.said("partition_halted")[0]["reason"]
    assert beta.get("/health")[0] == 503
    step(world, 0, partition=1)

    async def other() -> bool:
        return await applied(world) == [0, 0]

    await eventually(other, what="the other partition goes on")
    step(world, 3)
    assert await applied(world) == [0, 0]


@given(st.lists(st.integers(0, 8), max_size=60))
def test_whatever_order_numbers_come_in_they_are_taken_densely_and_once(sequences: list[int]) -> None:
    numbers = SequenceTracker({}, from_first=True)
    taken = [one for one in sequences if numbers.check("/s", 1, one, NOW) is SequenceCheck.NEXT]
    assert taken == list(range(len(taken)))


def test_a_lane_seen_before_goes_on_where_it_was() -> None:
    numbers = SequenceTracker({("/s", 1): SequenceState(4, None)}, from_first=True)
    assert numbers.check("/s", 1, 4, NOW) is SequenceCheck.DUPLICATE
    assert numbers.check("/s", 1, 5, NOW) is SequenceCheck.NEXT
    assert numbers.check("/s", 1, 7, NOW) is SequenceCheck.OUT_OF_ORDER
    assert numbers.seen["/s", 1] == SequenceState(5, NOW)
    assert numbers.check("/another incarnation", 1, 0, NOW) is SequenceCheck.NEXT, "a database made anew begins anew"


def test_of_a_log_whose_beginning_is_gone_any_number_may_be_the_first() -> None:
    numbers = SequenceTracker({}, from_first=False)
    assert numbers.check("/s", 1, 57, NOW) is SequenceCheck.NEXT
    assert numbers.check("/s", 1, 56, NOW) is SequenceCheck.DUPLICATE


def reader(**changes: Any) -> RecordDecoder:
    chosen: dict[str, Any] = {"units_write": False, "marks": False, "day_source": False} | changes
    return RecordDecoder(INTAKE_RECORD, INTAKE_RECORD.name, "999901", **chosen)


def raw(headers: dict[str, bytes | None], value: bytes | None = b"{}") -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=0, timestamp=0, key=b"k", value=value, headers=headers.items()
    )


GOOD: dict[str, bytes | None] = {
    "ce_id": b"00000000-0000-5000-8000-000000000001",
    "ce_source": b"/s",
    "ce_type": b"clock.DayWatermark.v1",
    "ce_time": b"2026-03-01T00:00:00+08:00",
    "ce_county": b"999901",
    "ce_producerid": b"0",
    "ce_sequence": b"0",
}


def test_what_a_unit_claims_about_numbers_is_not_believed_and_its_marks_are_refused() -> None:
    unit = reader(units_write=True)
    envelope = unit.envelope(raw(GOOD))
    assert not isinstance(envelope, DeadLetter)
    assert (envelope.producer_id, envelope.sequence) == (None, None)
    assert isinstance(unit.decode(raw(GOOD), envelope), DeadLetter)
    ours = reader().envelope(raw(GOOD))
    assert not isinstance(ours, DeadLetter)
    assert (ours.producer_id, ours.sequence) == (0, 0)


def test_a_departments_plain_client_need_not_set_time_and_county() -> None:
    few = {name: value for name, value in GOOD.items() if name not in ("ce_time", "ce_county")}
    envelope = reader(units_write=True).envelope(raw(few))
    assert not isinstance(envelope, DeadLetter)
    assert (envelope.county, envelope.time) == ("999901", datetime(1970, 1, 1, tzinfo=UTC))
    assert isinstance(reader().envelope(raw(few)), DeadLetter)


@pytest.mark.parametrize("milliseconds", [-(2**63), -6 * 10**13, 2**63 - 1, 10**14, -1])
def test_a_record_is_of_some_moment_whatever_its_writers_clock_says(milliseconds: int) -> None:
    record = raw(GOOD | {"ce_time": b"9" * 500})
    record.timestamp = milliseconds
    envelope = reader(units_write=True).envelope(record)
    assert not isinstance(envelope, DeadLetter)
    assert 1900 <= envelope.on.year <= 2999


@pytest.mark.parametrize(
    "mark", ['{"day": "9999-12-31", "producers": 4}', '{"day": "2026-03-01", "producers": 2147483648}']
)
def test_a_day_mark_that_cannot_be_is_none(mark: str) -> None:
    marked = reader(marks=True)
    record = raw(GOOD, mark.encode())
    envelope = marked.envelope(record)
    assert not isinstance(envelope, DeadLetter)
    assert isinstance(marked.decode(record, envelope), DeadLetter)


def test_how_deep_json_is_is_known_before_it_is_read() -> None:
    deepest = b"[" * bounds.DEEPEST_JSON
    assert is_shallow(deepest + b"]" * bounds.DEEPEST_JSON)
    assert not is_shallow(deepest + b'{"a": 1')
    assert is_shallow(b'{"a": "' + b"[" * 1000 + rb"\"" + b"[" * 1000 + b'"}')
    assert is_shallow(b"[]" * 1000)


def test_an_event_of_another_topic_is_not_read_here() -> None:
    other = raw(GOOD | {"ce_type": b"clock.TimePassed.v1"}, b'{"at": "2026-03-01T00:00:00Z"}')
    envelope = reader().envelope(other)
    assert not isinstance(envelope, DeadLetter)
    assert isinstance(reader().decode(other, envelope), UnreadableEvent)


def test_why_an_event_cannot_be_read_repeats_nothing_that_came_with_it() -> None:
    """Not its type when that is no type, nor the columns a unit made up: they may be somebody's name."""
    unit = RecordDecoder(
        DEPARTMENT, "department.999901-jtj.v1", "999901", units_write=True, marks=False, day_source=False
    )

    def reason(kind: str, body: str = "{}") -> str:
        record = raw(GOOD | {"ce_type": kind.encode()}, body.encode())
        envelope = unit.envelope(record)
        assert not isinstance(envelope, DeadLetter)
        read = unit.decode(record, envelope)
        assert isinstance(read, UnreadableEvent)
        return read.reason

    assert reason("department.Row.v9") == "unknown ce_type department.Row.v9"
    assert reason("例小明") == "unknown ce_type"
    wrong = reason("department.Row.v1", '{"number": 2, "cells": {"例小明": {"a": 1}, "13900000000": [2]}}')
    assert "cells.*" in wrong
    assert "例小明" not in wrong
    assert "13900000000" not in wrong
