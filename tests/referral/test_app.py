"""Referral has a consumer for each priority of its topics."""

from faststream.kafka import KafkaBroker

from contracts import topics
from runtime import Settings
from services.referral.app import create


def consumed_by(broker: KafkaBroker) -> dict[str, set[str]]:
    """Return the topics of each consumer group."""
    return {str(subscriber.group_id): {topic.name for topic in subscriber.topics} for subscriber in broker.subscribers}  # type: ignore[attr-defined]


def test_findings_have_a_priority_consumer_of_their_own() -> None:
    """Findings, the clock, and the topics with watermarks have a consumer each."""
    service = create(Settings())
    groups = {group.rpartition(".")[2]: consumed for group, consumed in consumed_by(service.broker).items()}

    assert set(service.subscriptions) == {"main", "priority", "clock", "control"}
    assert {topics.REGISTRY_FINDING.name} in groups.values()
    assert {topics.ELIGIBILITY_CHILD.name, topics.INTAKE_ACTION.name} in groups.values()


def test_only_topics_with_watermarks_complete_days() -> None:
    """Findings and the clock carry no watermarks, so they delay no day."""
    assert topics.ELIGIBILITY_CHILD.carries_watermarks
    assert topics.INTAKE_ACTION.carries_watermarks
    assert not topics.REGISTRY_FINDING.carries_watermarks


def test_it_may_read_every_topic_that_it_consumes() -> None:
    consumed = (topics.ELIGIBILITY_CHILD, topics.INTAKE_ACTION, topics.REGISTRY_FINDING, topics.CLOCK)

    assert all("referral" in topic.readers for topic in consumed)
