"""Test the access lists from outside: permitted operations succeed and the broker refuses all others.

:func:`deploy.provision.compare` reads the lists back; this module verifies their effect with real clients.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from contracts import topics
from contracts.county import County
from deploy.installation import Installation

ANSWER_TIMEOUT = 20.0
"""Seconds within which the broker must accept or refuse an operation."""

_REFUSALS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One operation that was attempted."""

    description: str
    """A sentence for the summary."""
    allowed: bool
    """Whether ``contracts.topics`` permits it."""
    result: str
    """``allowed``, ``refused``, or the broker's other error message."""

    @property
    def as_expected(self) -> bool:
        return self.result == ("allowed" if self.allowed else "refused")


def attempts(
    installation: Installation, county: County, unit: str, other: str, cancelled: Event | None = None
) -> Iterator[Attempt]:
    """Attempt one operation of each class: on the unit's own topics, another unit's, a service's, a wrong password.

    The attempts leave no data behind: only forbidden topics are written to. Another thread sets ``cancelled`` when
    the results are no longer needed.
    """
    cancelled = cancelled or Event()
    own, others = topics.RECEIPT.name_for(unit), topics.RECEIPT.name_for(other)
    log_in = installation.kafka(unit)
    yield Attempt(f"{unit} reads its own {own}", True, _read(log_in, own, unit, cancelled))
    yield Attempt(f"{unit} reads {others}", False, _read(log_in, others, unit, cancelled))
    yield Attempt(
        f"{unit} reads {topics.INTAKE_RECORD.name}", False, _read(log_in, topics.INTAKE_RECORD.name, unit, cancelled)
    )
    yield Attempt(f"{unit} joins a group of a service", False, _join(log_in, own, "hutong.intake.main", cancelled))
    yield Attempt(
        f"{unit} writes {topics.DEPARTMENT.name_for(other)}",
        False,
        _write(log_in, topics.DEPARTMENT.name_for(other), cancelled),
    )
    yield Attempt(
        f"{unit} writes {topics.REGISTRY_CHILD.name}", False, _write(log_in, topics.REGISTRY_CHILD.name, cancelled)
    )
    ordinary = installation.kafka(other)
    for topic in (
        topics.RESTRICTED_QUEUE,
        topics.RESTRICTED_DISCLOSURE,
        topics.RESTRICTED_RECEIPT,
        topics.RESTRICTED_INBOX,
    ):
        name = topic.name_for(other)
        yield Attempt(f"{other} reads {name}", False, _read(ordinary, name, other, cancelled))
    action = topics.RESTRICTED_ACTION.name_for(other)
    yield Attempt(f"{other} writes {action}", False, _write(ordinary, action, cancelled))
    reader = installation.kafka("eligibility")
    yield Attempt(
        f"eligibility reads {topics.INTAKE_RECORD.name}",
        False,
        _read(reader, topics.INTAKE_RECORD.name, "hutong.eligibility", cancelled),
    )
    yield Attempt(
        f"eligibility writes {topics.REGISTRY_CHILD.name}", False, _write(reader, topics.REGISTRY_CHILD.name, cancelled)
    )
    wrong = {**log_in, "sasl.password": "not-the-password"}
    yield Attempt(f"{unit} logs in with a wrong password", False, _read(wrong, own, unit, cancelled))


def _read(kafka: dict[str, Any], topic: str, group: str, cancelled: Event) -> str:
    """Read the topic's first partition: a record or the end of the partition proves access."""
    errors: list[KafkaError] = []
    settings = {"group.id": f"{group}.attempt", "enable.partition.eof": True, "error_cb": errors.append}
    reader = Consumer({**kafka, **settings})
    try:
        reader.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline and not cancelled.is_set():
            record = reader.poll(0.2)
            if record is not None:
                trouble = record.error()
                if trouble is None or trouble.code() in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):
                    return "allowed"
                return _result_of(trouble)
            if any(error.code() in _REFUSALS for error in errors):
                return "refused"
            try:
                described = reader.list_topics(topic, timeout=1).topics[topic].error
            except KafkaException:
                continue  # There is no connection yet; a refused log-in reaches the error callback.
            if described is not None:
                return _result_of(described)
        return "no answer"
    finally:
        reader.close()


def _join(kafka: dict[str, Any], topic: str, group: str, cancelled: Event) -> str:
    errors: list[KafkaError] = []
    reader = Consumer({**kafka, "group.id": group, "error_cb": errors.append})
    try:
        reader.subscribe([topic])
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while time.monotonic() < deadline and not cancelled.is_set():
            record = reader.poll(0.2)
            trouble = record.error() if record is not None else None
            if trouble is not None:
                return _result_of(trouble)
            if any(error.code() in _REFUSALS for error in errors):
                return "refused"
            if reader.assignment():
                return "allowed"
        return "no answer"
    finally:
        reader.close()


def _write(kafka: dict[str, Any], topic: str, cancelled: Event) -> str:
    results: list[KafkaError | None] = []
    writer = Producer({**kafka, "acks": "all", "message.timeout.ms": int(ANSWER_TIMEOUT * 1000)})
    writer.produce(topic, b"{}", b"attempt", on_delivery=lambda error, _record: results.append(error))
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while not results and time.monotonic() < deadline and not cancelled.is_set():
        writer.flush(0.2)
    if not results:
        writer.purge()
        return "no answer"
    error = results[0]
    return "allowed" if error is None else _result_of(error)


def _result_of(error: KafkaError) -> str:
    return "refused" if error.code() in _REFUSALS else error.str()
