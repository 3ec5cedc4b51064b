"""What a county's broker must hold, from the contracts and the county's units: topics, access lists, users."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.county import County
from contracts.topics import DAY, SERVICES, ProvisionedTopic, provisioned_topics

MAX_RECORD_BYTES = 1024 * 1024
"""Largest batch a topic takes; ``runtime.publish.outbox.MAX_EVENT_BYTES`` lies below it."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One entry of an access list: a principal may perform an operation on a topic, a group prefix or the cluster."""

    principal: str
    resource: str
    """``topic``, ``group`` or ``cluster``."""
    name: str
    """The name of a topic; for ``group`` a prefix."""
    operation: str
    """``READ``, ``WRITE``, ``DESCRIBE`` or ``IDEMPOTENT_WRITE``."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """Everything that a county's broker must hold."""

    topics: tuple[TopicSpec, ...]
    grants: frozenset[Grant]
    principals: tuple[str, ...]


def broker_spec(county: County, partitions: int) -> BrokerSpec:
    """Return the topics, access lists and users of a county.

    ``partitions`` is the number for the topics that services share. The replication factor is the brokers' default
    (``default.replication.factor``).
    """
    topics = tuple(county_topics(county))
    grants = {grant for topic in topics for grant in _grants_on(topic)}
    principals = sorted({principal for topic in topics for principal in (*topic.writers, *topic.readers)})
    for principal in principals:
        prefix = group_prefix(principal)
        grants |= {Grant(principal, "group", prefix, "READ"), Grant(principal, "group", prefix, "DESCRIBE")}
    writers = {principal for topic in topics for principal in topic.writers}
    grants |= {Grant(principal, "cluster", "kafka-cluster", "IDEMPOTENT_WRITE") for principal in writers}
    return BrokerSpec(
        tuple(
            TopicSpec(
                topic.name,
                partitions if topic.topic.partitions == "services" else 1,
                _configs(topic),
            )
            for topic in topics
        ),
        frozenset(grants),
        tuple(principals),
    )


def county_topics(county: County) -> Iterable[ProvisionedTopic]:
    """Return every topic of a county."""
    return provisioned_topics((unit.id, unit.families) for unit in county.units)


def group_prefix(principal: str) -> str:
    """Return the prefix of a principal's consumer groups."""
    return f"hutong.{principal}." if principal in SERVICES else f"{principal}."


def _configs(topic: ProvisionedTopic) -> dict[str, str]:
    days = topic.topic.retention_days
    configs = {
        "max.message.bytes": str(MAX_RECORD_BYTES),
        # Retention counts from arrival, so a unit's wrong clock or a replay does not age a record.
        "message.timestamp.type": "LogAppendTime",
        # Segments are deleted whole; one that never closes would keep identity data past its retention.
        "segment.ms": str(DAY),
    }
    if topic.topic.compacted:
        configs |= {
            "cleanup.policy": "compact",
            # Compaction runs within half the bound, so a closed referral is gone within the whole of it.
            "max.compaction.lag.ms": str(days * DAY // 2),
            "min.cleanable.dirty.ratio": "0.1",
            "delete.retention.ms": str(days * DAY),
        }
    else:
        configs |= {"cleanup.policy": "delete", "retention.ms": str(days * DAY)}
    return configs


def _grants_on(topic: ProvisionedTopic) -> Iterable[Grant]:
    for writer in topic.writers:
        yield Grant(writer, "topic", topic.name, "WRITE")
        yield Grant(writer, "topic", topic.name, "DESCRIBE")
    for reader in topic.readers:
        yield Grant(reader, "topic", topic.name, "READ")
        yield Grant(reader, "topic", topic.name, "DESCRIBE")
