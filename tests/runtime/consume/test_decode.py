"""A record becomes an event, an unreadable event or a dead letter, whatever its writer sent."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from contracts import (
    bounds,
    intake,  # noqa: F401 - makes its events known
)
from contracts.topics import DEPARTMENT, INTAKE_RECORD
from runtime.consume.decode import DeadLetter, RecordDecoder, UnreadableEvent, is_shallow


def a_decoder(**changes: Any) -> RecordDecoder:
    options: dict[str, Any] = {"units_write": False, "carries_watermarks": False, "day_source": False} | changes
    return RecordDecoder(INTAKE_RECORD, INTAKE_RECORD.name, "999901", **options)


def a_record(headers: dict[str, bytes | None], value: bytes | None = b"{}") -> Any:
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


def test_sequence_numbers_and_watermarks_of_units_are_ignored() -> None:
    unit_decoder = a_decoder(units_write=True)
    envelope = unit_decoder.envelope(a_record(GOOD))
    assert not isinstance(envelope, DeadLetter)
    assert (envelope.producer_id, envelope.sequence) == (None, None)
    assert isinstance(unit_decoder.decode(a_record(GOOD), envelope), DeadLetter)
    own = a_decoder().envelope(a_record(GOOD))
    assert not isinstance(own, DeadLetter)
    assert (own.producer_id, own.sequence) == (0, 0)


def test_a_departments_client_need_not_set_time_and_county() -> None:
    minimal = {name: value for name, value in GOOD.items() if name not in ("ce_time", "ce_county")}
    envelope = a_decoder(units_write=True).envelope(a_record(minimal))
    assert not isinstance(envelope, DeadLetter)
    assert (envelope.county, envelope.time) == ("999901", datetime(1970, 1, 1, tzinfo=UTC))
    assert isinstance(a_decoder().envelope(a_record(minimal)), DeadLetter)


@pytest.mark.parametrize("milliseconds", [-(2**63), -6 * 10**13, 2**63 - 1, 10**14, -1])
def test_any_record_timestamp_becomes_a_valid_event_time(milliseconds: int) -> None:
    record = a_record(GOOD | {"ce_time": b"9" * 500})
    record.timestamp = milliseconds
    envelope = a_decoder(units_write=True).envelope(record)
    assert not isinstance(envelope, DeadLetter)
    assert 1900 <= envelope.on.year <= 2999


@pytest.mark.parametrize(
    "watermark", ['{"day": "9999-12-31", "producers": 4}', '{"day": "2026-03-01", "producers": 2147483648}']
)
def test_an_impossible_watermark_is_a_dead_letter(watermark: str) -> None:
    watermark_decoder = a_decoder(carries_watermarks=True)
    record = a_record(GOOD, watermark.encode())
    envelope = watermark_decoder.envelope(record)
    assert not isinstance(envelope, DeadLetter)
    assert isinstance(watermark_decoder.decode(record, envelope), DeadLetter)


def test_the_depth_of_json_is_known_before_it_is_parsed() -> None:
    deepest = b"[" * bounds.DEEPEST_JSON
    assert is_shallow(deepest + b"]" * bounds.DEEPEST_JSON)
    assert not is_shallow(deepest + b'{"a": 1')
    assert is_shallow(b'{"a": "' + b"[" * 1000 + rb"\"" + b"[" * 1000 + b'"}')
    assert is_shallow(b"[]" * 1000)


def test_an_event_of_another_topic_is_unreadable() -> None:
    other_applied = a_record(GOOD | {"ce_type": b"clock.TimePassed.v1"}, b'{"at": "2026-03-01T00:00:00Z"}')
    envelope = a_decoder().envelope(other_applied)
    assert not isinstance(envelope, DeadLetter)
    assert isinstance(a_decoder().decode(other_applied, envelope), UnreadableEvent)


def test_the_reason_of_an_unreadable_event_repeats_none_of_its_content() -> None:
    """It repeats neither an invalid type nor the columns that a unit made up: they may be a person's name."""
    unit_decoder = RecordDecoder(
        DEPARTMENT, "department.999901-jtj.v1", "999901", units_write=True, carries_watermarks=False, day_source=False
    )

    def reason(kind: str, body: str = "{}") -> str:
        record = a_record(GOOD | {"ce_type": kind.encode()}, body.encode())
        envelope = unit_decoder.envelope(record)
        assert not isinstance(envelope, DeadLetter)
        decoded = unit_decoder.decode(record, envelope)
        assert isinstance(decoded, UnreadableEvent)
        return decoded.reason

    assert reason("department.Row.v9") == "unknown ce_type department.Row.v9"
    assert reason("例小明") == "unknown ce_type"
    unreadable = reason("department.Row.v1", '{"number": 2, "cells": {"例小明": {"a": 1}, "13900000000": [2]}}')
    assert "cells.*" in unreadable
    assert "例小明" not in unreadable
    assert "13900000000" not in unreadable
