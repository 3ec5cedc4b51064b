"""Each day begins once, in order, and none is skipped."""

import json
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from contracts import topics
from contracts.vocabulary import COUNTY_TIME
from deploy import clock
from deploy.embedded.kafka import EmbeddedKafka


def test_every_missed_day_is_caught_up_in_order() -> None:
    """After an outage the days come one by one; at the very first start only today begins."""
    today = date(2026, 11, 23)
    assert list(clock.missed_days(date(2026, 11, 20), today)) == [date(2026, 11, day) for day in (21, 22, 23)]
    assert list(clock.missed_days(today, today)) == []
    assert list(clock.missed_days(None, today)) == [today]


def test_time_is_published_in_full_ten_minute_intervals() -> None:
    """The interval is checked just before and exactly at its end."""
    assert clock.last_interval(datetime(2026, 11, 23, 8, 9, 59, tzinfo=UTC)) == datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert clock.last_interval(datetime(2026, 11, 23, 8, 10, 0, tzinfo=UTC)) == datetime(
        2026, 11, 23, 8, 10, tzinfo=UTC
    )


@pytest.fixture
def clock_topic(kafka: EmbeddedKafka) -> EmbeddedKafka:
    """Return a broker with an empty topic ``clock.v1``."""
    admin = AdminClient(kafka.admin_config)
    if topics.CLOCK.name in admin.list_topics(timeout=20).topics:
        ends = admin.list_offsets({TopicPartition(topics.CLOCK.name, 0): clock_end()})
        end = next(iter(ends.values())).result().offset
        for future in admin.delete_records([TopicPartition(topics.CLOCK.name, 0, end)]).values():
            future.result(20)
    else:
        for future in admin.create_topics([NewTopic(topics.CLOCK.name, 1, 1)], operation_timeout=20).values():
            future.result(20)
    return kafka


def clock_end() -> OffsetSpec:
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    return latest


def published(kafka: EmbeddedKafka) -> list[tuple[str, str]]:
    reader = Consumer({**kafka.admin_config, "group.id": "test-clock"})
    try:
        low, high = reader.get_watermark_offsets(TopicPartition(topics.CLOCK.name, 0), timeout=20)
        reader.assign([TopicPartition(topics.CLOCK.name, 0, low)])
        events: list[tuple[str, str]] = []
        while len(events) < high - low:
            record = reader.poll(20)
            assert record is not None
            assert record.error() is None
            headers = dict(record.headers() or [])
            body = json.loads(record.value() or b"")
            events.append((str(headers["ce_type"]), body.get("day") or body["at"]))
        return events
    finally:
        reader.close()


def test_the_simulator_publishes_each_day_and_its_hours_in_order(clock_topic: EmbeddedKafka) -> None:
    """A day, its hours and the next day are emitted in order; skipping a day is refused."""
    simulator = clock.Simulator(clock.Clock(clock_topic.admin_config, "341722"), hours=(1, 18))
    simulator.begin_day(date(2026, 9, 1))
    simulator.finish_day()
    simulator.begin_day(date(2026, 9, 2))

    assert [moment for _, moment in published(clock_topic)] == [
        "2026-09-01",
        "2026-08-31T17:00:00Z",
        "2026-09-01T10:00:00Z",
        "2026-09-02",
        "2026-09-01T17:00:00Z",
    ]
    with pytest.raises(ValueError, match="comes the next day"):
        simulator.begin_day(date(2026, 9, 4))


def test_a_restarted_clock_catches_up_and_then_keeps_time(clock_topic: EmbeddedKafka) -> None:
    """It reads its own last day back from the topic."""
    today = datetime.now(COUNTY_TIME).date()
    old = clock.Clock(clock_topic.admin_config, "341722")
    old.begin_day(today - timedelta(days=2))
    old.flush()
    stop = threading.Event()
    stop.set()

    clock.run(clock.Clock(clock_topic.admin_config, "341722"), stop)

    days = [moment for kind, moment in published(clock_topic) if "DayBegan" in kind]
    assert days == [(today - timedelta(days=ago)).isoformat() for ago in (2, 1, 0)]
    assert old.last_emitted()[0] == today
