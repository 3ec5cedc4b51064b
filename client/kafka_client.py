"""A unit's own Kafka client, as any department could write it: it imports no other package of Hutong.

It relies on the departments' guide alone: CloudEvents in binary mode, one topic to write and one to read. A caller
must drop an event whose ``ce_id`` it has seen before.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

TIMEOUT = 30.0
"""Seconds to wait for the broker."""


class BrokerRefusedError(Exception):
    """The broker refused a write or a read. The message names the topic and the reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    body: Any
    """The JSON value; None for a tombstone."""

    @property
    def kind(self) -> str:
        """Return the event's type, for example ``intake.ActionAnswered.v1``; an empty text if the record names none."""
        return self.headers.get("ce_type", "")

    @property
    def ce_id(self) -> str:
        """Return the event's id, which is the same when an event arrives twice; an empty text if it has none."""
        return self.headers.get("ce_id", "")


class KafkaClient:
    """Writes to and reads from topics as one user of the broker."""

    def __init__(self, kafka: Mapping[str, Any], user: str) -> None:
        self._kafka = dict(kafka)
        self._user = user
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        self._positions: dict[tuple[str, int], int] = {}
        self._failures: list[str] = []

    # ------------------------------------------------------------ writing

    def send(
        self, topic: str, kind: str, key: str, body: Mapping[str, Any], *, ce_id: str | None = None, source: str = ""
    ) -> str:
        """Send one event and return its ``ce_id``, which must be the same when the event is sent again."""
        if self._producer is None:
            self._producer = Producer({**self._kafka, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
        event_id = ce_id or str(uuid.uuid4())
        headers: list[tuple[str, str | bytes | None]] = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", event_id.encode()),
            ("ce_source", (source or self._user).encode()),
            ("ce_type", kind.encode()),
        ]
        value = json.dumps(body, ensure_ascii=False).encode()
        while True:
            try:
                self._producer.produce(topic, value, key.encode(), headers=headers, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        return event_id

    def flush(self) -> None:
        """Wait until the broker has acknowledged everything.

        Raises:
            BrokerRefusedError: the broker refused a record, or did not acknowledge it in time.
        """
        left = 0 if self._producer is None else self._producer.flush(TIMEOUT)
        if self._failures or left:
            raise BrokerRefusedError(self._failures[0] if self._failures else f"{left} records were not acknowledged")

    def _delivered(self, error: KafkaError | None, record: Any) -> None:
        if error is not None:
            self._failures.append(f"{record.topic()}: {error.str()}")

    # ------------------------------------------------------------ reading

    def read_new(self, topic: str) -> Iterator[Record]:
        """Yield the records of a topic since this client last read it; the first time, from the beginning.

        A duplicate on the topic is yielded twice, as any reader would see it.

        Raises:
            BrokerRefusedError: the topic cannot be read.
        """
        reader = self._reader()
        try:
            described = reader.list_topics(topic, timeout=TIMEOUT).topics[topic]
            if described.error is not None:
                raise BrokerRefusedError(f"{topic}: {described.error.str()}")
            partitions = [
                TopicPartition(topic, partition, self._positions.get((topic, partition), OFFSET_BEGINNING))
                for partition in described.partitions
            ]
            reader.assign(partitions)
            unread = {partition.partition for partition in partitions}
            while unread:
                message = reader.poll(TIMEOUT)
                if message is None:
                    raise BrokerRefusedError(f"{topic}: the broker does not answer")
                error = message.error()
                partition = message.partition()
                assert partition is not None
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise BrokerRefusedError(f"{topic}: {error.str()}")
                    unread.discard(partition)
                    continue
                offset = message.offset()
                assert offset is not None
                self._positions[topic, partition] = offset + 1
                yield _record(topic, partition, offset, message)
        except KafkaException as error:
            raise BrokerRefusedError(f"{topic}: {error.args[0].str()}") from error
        finally:
            reader.unassign()

    def close(self) -> None:
        """Close the connection that reads. A later read opens another one."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _reader(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    **self._kafka,
                    "group.id": f"{self._user}.reader",
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 10,
                }
            )
        return self._consumer


def _record(topic: str, partition: int, offset: int, message: Any) -> Record:
    value = message.value()
    key = message.key()
    return Record(
        topic,
        partition,
        offset,
        "" if key is None else key.decode(),
        {name: (value or b"").decode() for name, value in message.headers() or []},
        None if value is None else json.loads(value),
    )
