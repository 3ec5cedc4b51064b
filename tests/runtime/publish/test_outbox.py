"""Rows of the outbox: ids, headers, partitions, tombstones and watermarks."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from uuid import UUID

import pytest

from contracts.event import Envelope, Event
from contracts.topics import Topic
from runtime import UnprocessableEvent, partition_of
from runtime.errors import UnknownTopic
from runtime.handlers import DayPage, InboundEvent
from runtime.publish.outbox import MAX_EVENT_BYTES, Outbox, day_page_ids
from runtime.topic_catalogue import TopicCatalogue


class SmallEvent(Event):
    kind: ClassVar[str] = "parts.Small.v1"
    topic: ClassVar[str] = "parts.v1"

    name: str
    gone: bool = False

    @property
    def key(self) -> str:
        return self.name

    @property
    def tombstone(self) -> bool:
        return self.gone


def an_outbox() -> Outbox:
    topics = (
        Topic("parts.v1", "name", ("parts",), (), partitions="services", carries_watermarks=True),
        Topic("single.v1", "name", ("parts",), (), carries_watermarks=True),
        Topic("others.v1", "name", ("another",), (), carries_watermarks=True),
    )
    return Outbox("parts", "/hutong/999901/parts/x", TopicCatalogue(topics), 4)


def an_inbound_event(number: int) -> InboundEvent[Any]:
    cause = UUID(int=number)
    envelope = Envelope(
        id=cause, source="/s", type="t", time=datetime(2026, 3, 1, tzinfo=UTC), key="k", county="999901",
        correlation=UUID(int=99),
    )  # fmt: skip
    return InboundEvent(SmallEvent(name="in"), envelope, "in.v1", 0, number)


def headers(row: Any) -> dict[str, str]:
    parts = row.headers.split(b"\x00")
    return {name.decode(): value.decode() for name, value in zip(parts[::2], parts[1::2], strict=True)}


def test_an_emitted_event_inherits_its_correlation_and_has_a_stable_id() -> None:
    events = [
        an_inbound_event(1).emit(SmallEvent(name="a")),
        an_inbound_event(1).emit(SmallEvent(name="a")),
        an_inbound_event(2).emit(SmallEvent(name="a")),
    ]
    rows = an_outbox().rows(events)
    ids = [headers(row)["ce_id"] for row in rows]
    assert len(set(ids)) == 3
    assert [headers(row)["ce_id"] for row in an_outbox().rows(events)] == ids
    first = headers(rows[0])
    assert first["ce_causationid"] == str(UUID(int=1))
    assert first["ce_correlationid"] == str(UUID(int=99))
    assert first["ce_time"] == "2026-03-01T00:00:00+00:00"
    assert first["ce_county"] == "999901"
    assert first["ce_source"] == "/hutong/999901/parts/x"
    assert rows[0].partition == partition_of("a", 4)


def test_a_value_over_the_brokers_limit_is_rejected_before_the_commit() -> None:
    longest = MAX_EVENT_BYTES - len(SmallEvent(name="").model_dump_json())
    assert an_outbox().rows([an_inbound_event(1).emit(SmallEvent(name="x" * longest))])
    with pytest.raises(UnprocessableEvent, match="larger than the broker accepts"):
        an_outbox().rows([an_inbound_event(1).emit(SmallEvent(name="x" * (longest + 1)))])


@pytest.mark.parametrize("changes", [{"county": "9999\x00"}, {"event": SmallEvent(name="a\x00b")}])
def test_a_header_with_a_zero_byte_is_rejected_before_the_commit(changes: dict[str, Any]) -> None:
    """A zero byte is valid UTF-8; a row with one in the outbox would block every row behind it."""
    with pytest.raises(UnprocessableEvent, match="a header with a zero byte"):
        an_outbox().rows([replace(an_inbound_event(1).emit(SmallEvent(name="a")), **changes)])


def test_a_broadcast_event_has_its_own_id_on_every_partition() -> None:
    class BroadcastEvent(SmallEvent):
        kind: ClassVar[str] = "parts.Everywhere.v1"
        broadcast: ClassVar[bool] = True

    events = [
        an_inbound_event(1).emit(BroadcastEvent(name="a")),
        an_inbound_event(1).emit(BroadcastEvent(name="a")),
        an_inbound_event(1).emit(SmallEvent(name="a")),
    ]
    rows = an_outbox().rows(events)
    assert [row.partition for row in rows] == [*range(4), *range(4), partition_of("a", 4)]
    assert {(row.topic, row.key, row.value) for row in rows} == {("parts.v1", b"a", rows[0].value)}
    ids = [headers(row)["ce_id"] for row in rows]
    assert len(set(ids)) == 9
    assert [headers(row)["ce_id"] for row in an_outbox().rows(events)] == ids, "the ids are stable"


def test_a_tombstone_has_no_value() -> None:
    assert an_outbox().rows([an_inbound_event(1).emit(SmallEvent(name="a", gone=True))])[0].value is None


def test_watermarks_go_to_every_partition_of_the_services_topics_that_carry_them() -> None:
    cause, correlation = day_page_ids(county="999901", service="parts", day=date(2026, 3, 1), index=2, resume=None)
    page = DayPage(
        day=date(2026, 3, 1), index=2, partitions=4, resume=None, limit=500, county=None,  # type: ignore[arg-type]
        now=datetime(2026, 3, 1, tzinfo=UTC), cause=cause, correlation=correlation, county_code="999901",
    )  # fmt: skip
    watermarks = an_outbox().watermarks(page)
    assert [(watermark.topic, watermark.partition) for watermark in watermarks] == [
        *[("parts.v1", n) for n in range(4)],
        ("single.v1", 0),
    ]
    assert {watermark.value for watermark in watermarks} == {b'{"day":"2026-03-01","producers":4}'}
    assert headers(watermarks[0])["ce_time"] == "2026-02-28T16:00:00+00:00", "midnight in the county"


def test_an_event_for_a_topic_of_another_writer_is_rejected() -> None:
    class OtherWritersEvent(SmallEvent):
        kind: ClassVar[str] = "parts.Elsewhere.v1"
        topic: ClassVar[str] = "others.v1"

    with pytest.raises(UnknownTopic, match="may not write"):
        an_outbox().rows([an_inbound_event(1).emit(OtherWritersEvent(name="a"))])
