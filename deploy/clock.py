"""The county's clock: says on ``clock.v1`` that a day has begun, and every ten minutes that time has passed.

In real use a small process (``python -m deploy.clock``) that first catches up every missed day in order; in the demo
and in tests a :class:`Simulator` that is told which day it is. Nobody else in the house asks what time it is.
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
from contracts.event import COUNTY_TIME, Envelope, Event, at_midnight

EVERY = timedelta(minutes=10)
PATIENCE = 30.0
"""Seconds the broker may take to answer."""
NAMESPACE = UUID("5b1a3c52-6d0b-5d0e-9a43-0f3c1c6f6f10")
"""Under which the ids of the clock's events are made: two clocks say the same event twice, not two events."""


class ClockError(Exception):
    """The broker did not take or give what the clock needs. Says which and why."""


class Clock:
    """Writes ``clock.v1``."""

    def __init__(self, kafka: Mapping[str, Any], county: str) -> None:
        self._kafka = dict(kafka)
        self._county = county
        self._producer = Producer({**self._kafka, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
        self._failed: list[str] = []

    def begin_day(self, day: date) -> None:
        """Say that the county's day has begun."""
        self._say(DayBegan(day=day), f"day/{day.isoformat()}", at_midnight(day))

    def pass_time(self, at: datetime) -> None:
        """Say that the county's clock has reached this moment."""
        self._say(TimePassed(at=at), f"time/{at.astimezone(UTC).isoformat()}", at)

    def flush(self) -> None:
        """Wait until the broker has taken everything.

        Raises:
            ClockError: it has not, within 30 s.
        """
        left = self._producer.flush(PATIENCE)
        if self._failed or left:
            raise ClockError(self._failed[0] if self._failed else "the broker did not answer within 30 s")

    def last(self) -> tuple[date | None, datetime | None]:
        """The last day and the last moment that were said; None where there is none."""
        group = "clock.last"
        reader = Consumer(
            {**self._kafka, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )
        try:
            lane = TopicPartition(topics.CLOCK.name, 0)
            low, high = reader.get_watermark_offsets(lane, timeout=PATIENCE)
            reader.assign([TopicPartition(topics.CLOCK.name, 0, low)])
            day: date | None = None
            at: datetime | None = None
            position = low
            while position < high:
                record = reader.poll(PATIENCE)
                if record is None:
                    raise ClockError("the broker did not answer within 30 s")
                if (trouble := record.error()) is not None:
                    raise ClockError(f"clock.v1 cannot be read: {trouble.str()}")
                position = (record.offset() or 0) + 1
                kind = dict(record.headers() or []).get("ce_type")
                if kind == DayBegan.kind.encode():
                    said = DayBegan.model_validate_json(record.value() or b"").day
                    day = said if day is None else max(day, said)
                elif kind == TimePassed.kind.encode():
                    moment = TimePassed.model_validate_json(record.value() or b"").at
                    at = moment if at is None else max(at, moment)
            return day, at
        except KafkaException as error:
            raise ClockError(f"clock.v1 cannot be read: {error.args[0].str()}") from error
        finally:
            reader.close()

    def _say(self, event: Event, name: str, time: datetime) -> None:
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
            self._failed.append(f"the broker did not take the clock's event: {error.str()}")


class Simulator:
    """The clock of the demo and of tests: days pass when told to."""

    def __init__(self, clock: Clock, hours: Iterable[int] = (1, 8, 12, 18)) -> None:
        self._clock = clock
        self._hours = tuple(sorted(hours))
        self.day: date | None = None

    def begin(self, day: date) -> None:
        """The day begins, and it is the first of its hours (office hours have not begun).

        Raises:
            ValueError: a day is skipped or goes back.
        """
        if self.day is not None and day != self.day + timedelta(days=1):
            raise ValueError(f"after {self.day} comes the next day, not {day}")
        self.day = day
        self._clock.begin_day(day)
        self._clock.pass_time(_moment(day, self._hours[0]))
        self._clock.flush()

    def go_on(self) -> None:
        """The rest of the day's hours pass."""
        if self.day is None:
            raise ValueError("no day has begun")
        for hour in self._hours[1:]:
            self._clock.pass_time(_moment(self.day, hour))
        self._clock.flush()


def missed(last: date | None, today: date) -> Iterator[date]:
    """The days that must still begin, in order: those after ``last`` up to today; at the very first, today alone."""
    day = today if last is None else last + timedelta(days=1)
    while day <= today:
        yield day
        day += timedelta(days=1)


def tens(now: datetime) -> datetime:
    """The last full ten minutes."""
    return now.astimezone(UTC).replace(minute=now.minute - now.minute % 10, second=0, microsecond=0)


def run(clock: Clock, told: threading.Event) -> None:
    """Keep the county's time until told to stop."""
    day, at = clock.last()
    while True:
        now = datetime.now(UTC)
        for begun in missed(day, now.astimezone(COUNTY_TIME).date()):
            clock.begin_day(begun)
            day = begun
        if at is None or tens(now) > at:
            at = tens(now)
            clock.pass_time(at)
        clock.flush()
        until = (tens(now) + EVERY - datetime.now(UTC)).total_seconds()
        if told.wait(max(until, 0.1)):
            return


def _moment(day: date, hour: int) -> datetime:
    return at_midnight(day) + timedelta(hours=hour)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.clock", description=__doc__)
    parser.add_argument("--held", action="store_true", help="begin when standard input ends")
    if parser.parse_args().held:
        sys.stdin.read()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    kafka: dict[str, Any] = {"bootstrap.servers": os.environ.get("HUTONG_KAFKA", "127.0.0.1:9092")}
    if user := os.environ.get("HUTONG_KAFKA_USER"):
        kafka |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": os.environ.get("HUTONG_KAFKA_PASSWORD", ""),
        }
    try:
        run(Clock(kafka, os.environ.get("HUTONG_COUNTY", "341722")), told)
    except ClockError as error:
        print(f"The clock stops: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
