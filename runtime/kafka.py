"""Connections to Kafka: FastStream's security, the relay's producer, the admin client."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from faststream.security import BaseSecurity, SASLScram512

from runtime.settings import Settings

_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class Described:
    """A topic as it is on the broker now."""

    topic_id: str
    partitions: int


def security(settings: Settings) -> BaseSecurity | None:
    """Return FastStream's security object; None without a log-in."""
    if settings.kafka_user is None:
        return None
    return SASLScram512(username=settings.kafka_user, password=settings.kafka_password or "", use_ssl=False)


def producer(settings: Settings, client_id: str) -> AIOKafkaProducer:
    """Return the relay's producer: idempotent, every replica, one batch per partition at a time."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka.split(","),
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        compression_type="zstd",
        max_batch_size=262_144,
        max_request_size=1_048_576,
        linger_ms=0,
        metadata_max_age_ms=30_000,
        **_sasl(settings),
    )


def _sasl(settings: Settings) -> dict[str, Any]:
    if settings.kafka_user is None:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.kafka_user,
        "sasl_plain_password": settings.kafka_password or "",
    }


class Admin:
    """Queries that aiokafka does not offer: topic ids, and offsets of partitions that are not assigned."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        config: dict[str, Any] = {
            "bootstrap.servers": settings.kafka,
            "client.id": client_id,
            "log_level": 2,
            "socket.timeout.ms": int(_WAIT * 1000),
            # Or it asks a dead broker, as fast as a processor can, until its request has run out of time.
            "enable.sparse.connections": False,
            # By default it would not learn of a partition's new leader for five minutes.
            "topic.metadata.refresh.interval.ms": 5000,
        }
        if settings.kafka_user is not None:
            config |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": settings.kafka_user,
                "sasl.password": settings.kafka_password or "",
            }
        self._client = AdminClient(config)

    async def names(self) -> list[str]:
        """Return the topics that this service may see."""
        return await asyncio.to_thread(self._names)

    async def describe(self, names: Iterable[str]) -> dict[str, Described | None]:
        """Return each topic as it is now; None if the broker has no such topic, or hides it.

        Raises:
            OSError: the broker did not answer.
        """
        return await asyncio.to_thread(self._describe, sorted(names))

    async def first_offsets(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the first offset of each partition's log.

        Raises:
            OSError: one of their leaders did not answer.
        """
        return await asyncio.to_thread(self._offsets, list(places), OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    async def end_offsets(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the end offset of each partition's log.

        Raises:
            OSError: one of their leaders did not answer.
        """
        return await asyncio.to_thread(self._offsets, list(places), OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def _names(self) -> list[str]:
        try:
            return sorted(self._client.list_topics(timeout=_WAIT).topics)
        except KafkaException as error:
            raise ConnectionError(f"list topics: {error.args[0].name()}") from None

    def _describe(self, names: list[str]) -> dict[str, Described | None]:
        if not names:
            return {}
        found: dict[str, Described | None] = {}
        for name, future in self._client.describe_topics(TopicCollection(names), request_timeout=_WAIT).items():
            try:
                topic = future.result(timeout=_WAIT + 1)
            except KafkaException as error:
                if error.args[0].name() not in ("UNKNOWN_TOPIC_OR_PART", "TOPIC_AUTHORIZATION_FAILED"):
                    raise ConnectionError(f"describe topics: {error.args[0].name()}") from None
                found[name] = None
                continue
            found[name] = Described(str(topic.topic_id), len(topic.partitions))
        return found

    def _offsets(self, places: list[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        asked = {TopicPartition(topic, partition): spec for topic, partition in places}
        found: dict[tuple[str, int], int] = {}
        for place, future in self._client.list_offsets(asked, request_timeout=_WAIT).items():
            try:
                offset = future.result(timeout=_WAIT + 1).offset
            except KafkaException as error:
                raise ConnectionError(f"list offsets: {error.args[0].name()}") from None
            if offset < 0:  # which is all the client says when a partition's leader has not answered
                raise ConnectionError(f"list offsets: the leader of {place.topic}/{place.partition} does not answer")
            found[place.topic, place.partition] = offset
        return found
