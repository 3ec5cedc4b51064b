"""The envelope is CloudEvents 1.0 over Kafka in binary mode: the public SDK reads our headers and we read the SDK's."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from contracts import bounds
from contracts.event import Envelope, MalformedEnvelope

ID = UUID("00000000-0000-5000-8000-000000000001")


def envelope(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "id": ID, "source": "/hutong/341722/registry/x", "type": "registry.ChildChanged.v1",
        "time": datetime(2026, 3, 1, 8, 30, tzinfo=UTC), "key": "child-1", "county": "341722",
        "correlation": UUID(int=2), "causation": UUID(int=3), "producer_id": 4, "sequence": 5,
        "sensitivity": "identity",
    }  # fmt: skip
    return Envelope(**(values | changes))


def headers(**changes: bytes | None) -> list[tuple[str, bytes | None]]:
    """Return the headers of `envelope` with some changed."""
    wire_headers: dict[str, bytes | None] = dict(envelope().headers())
    return list((wire_headers | changes).items())


def test_the_sdk_reads_written_headers() -> None:
    sent = envelope()
    event = from_binary(KafkaMessage(dict(sent.headers()), sent.key.encode(), b'{"a": 1}'), JSONFormat())
    assert event.get_id() == str(sent.id)
    assert event.get_source() == sent.source
    assert event.get_type() == sent.type
    assert event.get_time() == sent.time
    assert event.get_specversion() == "1.0"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == {"a": 1}
    names = ("partitionkey", "county", "producerid", "sequence", "sensitivity")
    assert {name: event.get_extension(name) for name in names} == {
        "partitionkey": "child-1", "county": "341722", "producerid": "4", "sequence": "5", "sensitivity": "identity",
    }  # fmt: skip
    assert event.get_extension("correlationid") == str(sent.correlation)
    assert event.get_extension("causationid") == str(sent.causation)


def test_headers_written_by_the_sdk_are_read() -> None:
    attributes = {
        "id": str(ID), "source": "/a department", "type": "department.Row.v1", "county": "341722",
        "time": datetime(2026, 3, 1, 16, 30, tzinfo=timezone(timedelta(hours=8))),
        "datacontenttype": "application/json", "partitionkey": "row-7",
    }  # fmt: skip
    message = to_binary(CloudEvent(attributes, {"a": 1}), JSONFormat())
    key = message.key.encode() if isinstance(message.key, str) else message.key
    read = Envelope.read(message.headers.items(), key)
    assert (read.id, read.source, read.type, read.key, read.county) == (
        ID, "/a department", "department.Row.v1", "row-7", "341722",
    )  # fmt: skip
    assert read.time == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    assert read.correlation == ID, "the first event of a flow is its own correlation"
    assert (read.causation, read.producer_id, read.sequence) == (None, None, None)


def test_chinese_header_values_are_read_on_both_sides() -> None:
    """Header values are UTF-8, not percent-encoded as over HTTP."""
    sent = envelope(source="/341722/教体局", key="儿童-1")
    event = from_binary(KafkaMessage(dict(sent.headers()), sent.key.encode(), b"{}"), JSONFormat())
    assert (event.get_source(), event.get_extension("partitionkey")) == ("/341722/教体局", "儿童-1")
    attributes = {
        "id": str(ID), "source": "/341722-jtj/学籍 系统", "type": "department.Row.v1", "county": "341722",
        "time": datetime(2026, 3, 1, tzinfo=UTC), "datacontenttype": "application/json", "partitionkey": "行-7",
    }  # fmt: skip
    message = to_binary(CloudEvent(attributes, {"a": 1}), JSONFormat())
    read = Envelope.read(message.headers.items(), None)
    assert (read.source, read.key) == ("/341722-jtj/学籍 系统", "行-7")


def test_every_extension_header_has_a_name_that_cloudevents_allows() -> None:
    for name, _ in envelope().headers():
        assert name == "content-type" or re.fullmatch("ce_[a-z0-9]{1,20}", name)


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(
    st.uuids(), texts, texts,
    st.datetimes(timezones=st.just(UTC)).filter(lambda time: bounds.FIRST_YEAR <= time.year <= bounds.LAST_YEAR),
    st.integers(0, bounds.LARGEST_PRODUCER_ID), st.integers(0, bounds.LARGEST_SEQUENCE),
)  # fmt: skip
def test_headers_are_read_back_unchanged(
    event: UUID, source: str, key: str, time: datetime, producer_id: int, sequence: int
) -> None:
    sent = envelope(id=event, source=source, key=key, time=time, producer_id=producer_id, sequence=sequence)
    assert Envelope.read(sent.headers(), key.encode()) == sent


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ce_id", None, "ce_id is null"), ("ce_id", b"7", "ce_id must be a UUID"),
        ("ce_source", b"", "ce_source is missing"),
        ("ce_type", b"\xff", "ce_type must be UTF-8"), ("ce_time", b"yesterday", "RFC 3339"),
        ("ce_time", b"2026-03-01T00:00:00", "offset from UTC"), ("ce_producerid", b"-1", "whole number"),
        ("ce_sequence", b"1.5", "whole number"), ("ce_sequence", "１".encode(), "whole number"),
        ("ce_sensitivity", b"secret", "ce_sensitivity"), ("ce_specversion", b"2.0", "ce_specversion"),
        ("ce_correlationid", b"x", "ce_correlationid"), ("ce_county", b"", "ce_county"),
        ("ce_source", b"a\x00b", "zero bytes"), ("ce_causationid", b"0" * (bounds.LONGEST_HEADER + 1), "1024 bytes"),
        ("ce_producerid", b"9" * 4400, "ce_producerid must be"), ("ce_producerid", b"2147483648", "2147483647 at most"),
        ("ce_sequence", b"9" * 1024, "whole number"), ("ce_sequence", b"9223372036854775808", "at most"),
        ("ce_time", b"0001-01-01T00:00:00+14:00", "between 1900"), ("ce_time", b"9999-12-31T23:59:59Z", "and 2999"),
        ("ce_partitionkey", b"k" * (bounds.LONGEST_KEY + 1), "1000 bytes"),
    ],
)  # fmt: skip
def test_an_error_names_the_header_and_never_its_value(name: str, value: bytes | None, message: str) -> None:
    with pytest.raises(MalformedEnvelope, match=message):
        Envelope.read(headers(**{name: value}), b"key")


def test_unknown_headers_are_ignored() -> None:
    pairs: list[tuple[str, bytes | None]] = [*headers(), ("x-other", None), ("y", b"\xff")]
    assert Envelope.read(pairs, b"key") == envelope()


def test_a_key_that_is_not_text_is_refused_unless_the_header_has_the_key() -> None:
    without = [(name, value) for name, value in headers() if name != "ce_partitionkey"]
    with pytest.raises(MalformedEnvelope, match="key must be UTF-8"):
        Envelope.read(without, b"\xff")
    assert Envelope.read(headers(), b"\xff").key == "child-1"


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 2, 28, 16, tzinfo=UTC), date(2026, 3, 1)),
    ],
)
def test_the_day_of_a_time_is_in_the_countys_time_zone(moment: datetime, day: date) -> None:
    assert envelope(time=moment).on == day


UNIT: dict[str, Any] = {
    "topic": "action.341722-jtj.v1",
    "received": datetime(2026, 3, 2, tzinfo=UTC),
    "county": "341722",
}


def test_only_the_headers_that_a_unit_may_set_are_read() -> None:
    """A unit must not set a producer id, a sequence number or another flow's correlation id."""
    sent = envelope()
    read = Envelope.from_unit(headers(ce_producerid=b"9" * 4400, ce_county=b"999999"), b"key", b"{}", **UNIT)
    assert (read.id, read.source, read.type, read.time, read.key) == (
        sent.id, sent.source, sent.type, sent.time, sent.key,
    )  # fmt: skip
    assert (read.producer_id, read.sequence, read.causation) == (None, None, None)
    assert (read.correlation, read.county, read.sensitivity) == (sent.id, "341722", "normal")


@pytest.mark.parametrize("wrong", [None, b"", b"\xff", b"a\x00b", b"7" * 5000])
def test_a_malformed_header_of_a_unit_is_ignored(wrong: bytes | None) -> None:
    broken = {name: wrong for name, _ in headers()}
    read = Envelope.from_unit(list(broken.items()), b"\xff" if wrong is None else wrong, b"{}", **UNIT)
    assert (read.source, read.type, read.key, read.time) == ("/action.341722-jtj.v1", "", "", UNIT["received"])


def test_a_message_without_a_uuid_has_the_same_id_when_the_same_is_sent_again() -> None:
    def an_id(value: bytes, text: bytes | None = b"7") -> UUID:
        return Envelope.from_unit([("ce_id", text)], None, value, **UNIT).id

    assert an_id(b"a") == an_id(b"a")
    assert len({an_id(b"a"), an_id(b"b"), an_id(b"a", b"8"), an_id(b"a", None)}) == 4
