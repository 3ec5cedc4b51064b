"""The county's clock: it emits on ``clock.v1`` that a day has begun, and every ten minutes the time of day.

In production this is a small process (``python -m deploy.clock``), which first emits every missed day in order. The
demo and the tests use a :class:`Simulator`. No service reads the system's clock for its decisions.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from contracts import topics
from contracts.clock import DayBegan, TimePassed
from contracts.event import Envelope, Event, at_midnight
from contracts.vocabulary import COUNTY_TIME

INTERVAL = timedelta(minutes=10)
BROKER_TIMEOUT = 30.0
"""Seconds within which the broker must answer."""
NAMESPACE = UUID("5b1a3c52-6d0b-5d0e-9a43-0f3c1c6f6f10")
"""Namespace of the event ids: two clocks emit the same event twice, which consumers deduplicate."""


class ClockError(Exception):
    """The broker did not accept or return the clock's events. The message gives the reason."""


class Clock:
    """Emits the events of ``clock.v1``."""

    def __init__(self, kafka: Mapping[str, Any], county: str) -> None:
        self._kafka = dict(kafka)
        self._county = county
        self._producer = Producer({**self._kafka, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
        self._failed: list[str] = []

    def begin_day(self, day: date) -> None:
        """Emit that the county's day has begun."""
        self._emit(DayBegan(day=day), f"day/{day.isoformat()}", at_midnight(day))

    def pass_time(self, at: datetime) -> None:
        """Emit that the county's clock has reached this moment."""
        self._emit(TimePassed(at=at), f"time/{at.astimezone(UTC).isoformat()}", at)

    def flush(self) -> None:
        """Wait until the broker has acknowledged every event.

        Raises:
            ClockError: the broker has not done so within 30 s.
        """
        left = self._producer.flush(BROKER_TIMEOUT)
        if self._failed or left:
            raise ClockError(self._failed[0] if self._failed else "the broker did not answer within 30 s")

    def last_emitted(self) -> tuple[date | None, datetime | None]:
        """Return the last day and the last moment that were emitted, each None if there is none."""
        group = "clock.last"
        reader = Consumer(
            {**self._kafka, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )
        try:
            low, high = reader.get_watermark_offsets(TopicPartition(topics.CLOCK.name, 0), timeout=BROKER_TIMEOUT)
            reader.assign([TopicPartition(topics.CLOCK.name, 0, low)])
            day: date | None = None
            at: datetime | None = None
            position = low
            while position < high:
                record = reader.poll(BROKER_TIMEOUT)
                if record is None:
                    raise ClockError("the broker did not answer within 30 s")
                if (trouble := record.error()) is not None:
                    raise ClockError(f"clock.v1 cannot be read: {trouble.str()}")
                position = (record.offset() or 0) + 1
                kind = dict(record.headers() or []).get("ce_type")
                if kind == DayBegan.kind.encode():
                    begun = DayBegan.model_validate_json(record.value() or b"").day
                    day = begun if day is None else max(day, begun)
                elif kind == TimePassed.kind.encode():
                    moment = TimePassed.model_validate_json(record.value() or b"").at
                    at = moment if at is None else max(at, moment)
            return day, at
        except KafkaException as error:
            raise ClockError(f"clock.v1 cannot be read: {error.args[0].str()}") from error
        finally:
            reader.close()

    def _emit(self, event: Event, name: str, time: datetime) -> None:
        event_id = uuid5(NAMESPACE, f"{self._county}/{name}")
        envelope = Envelope(
            id=event_id,
            source=f"clock/{self._county}",
            type=event.kind,
            time=time,
            key=event.key,
            county=self._county,
            correlation=event_id,
        )
        self._producer.produce(
            event.topic_name,
            event.model_dump_json().encode(),
            event.key.encode(),
            partition=0,
            headers=list(envelope.headers()),
            on_delivery=self._delivered,
        )
        self._producer.poll(0)

    def _delivered(self, error: Any, _record: Any) -> None:
        if error is not None:
            self._failed.append(f"the broker did not accept the clock's event: {error.str()}")


class Simulator:
    """The clock of the demo and of tests: its caller decides when time passes."""

    def __init__(self, clock: Clock, hours: Iterable[int] = (1, 8, 12, 18)) -> None:
        self._clock = clock
        self._hours = tuple(sorted(hours))
        self.day: date | None = None

    def begin_day(self, day: date) -> None:
        """Begin a day, at the first of its hours (before office hours).

        Raises:
            ValueError: a day is skipped or goes back.
        """
        if self.day is not None and day != self.day + timedelta(days=1):
            raise ValueError(f"after {self.day} comes the next day, not {day}")
        self.day = day
        self._clock.begin_day(day)
        self._clock.pass_time(_moment(day, self._hours[0]))
        self._clock.flush()

    def finish_day(self) -> None:
        """Pass the remaining hours of the day."""
        if self.day is None:
            raise ValueError("no day has begun")
        for hour in self._hours[1:]:
            self._clock.pass_time(_moment(self.day, hour))
        self._clock.flush()


def missed_days(last: date | None, today: date) -> Iterator[date]:
    """Yield the days to begin, in order: those after ``last`` up to today, or today alone if there is no last day."""
    day = today if last is None else last + timedelta(days=1)
    while day <= today:
        yield day
        day += timedelta(days=1)


def last_interval(now: datetime) -> datetime:
    """Return the last full ten minutes before a moment, in UTC."""
    return now.astimezone(UTC).replace(minute=now.minute - now.minute % 10, second=0, microsecond=0)


def run(clock: Clock, stopped: threading.Event) -> None:
    """Emit the county's time until ``stopped`` is set."""
    day, at = clock.last_emitted()
    while True:
        now = datetime.now(UTC)
        for begun in missed_days(day, now.astimezone(COUNTY_TIME).date()):
            clock.begin_day(begun)
            day = begun
        if at is None or last_interval(now) > at:
            at = last_interval(now)
            clock.pass_time(at)
        clock.flush()
        until = (last_interval(now) + INTERVAL - datetime.now(UTC)).total_seconds()
        if stopped.wait(max(until, 0.1)):
            return


def _moment(day: date, hour: int) -> datetime:
    return at_midnight(day) + timedelta(hours=hour)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.clock", description=__doc__)
    parser.add_argument("--held", action="store_true", help="begin when standard input ends")
    if parser.parse_args().held:
        sys.stdin.read()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    kafka: dict[str, Any] = {"bootstrap.servers": os.environ.get("HUTONG_KAFKA", "127.0.0.1:9092")}
    if user := os.environ.get("HUTONG_KAFKA_USER"):
        kafka |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": os.environ.get("HUTONG_KAFKA_PASSWORD", ""),
        }
    try:
        run(Clock(kafka, os.environ.get("HUTONG_COUNTY", "341722")), stopped)
    except ClockError as error:
        print(f"The clock stops: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
