"""What referral hears, and through which consumer."""

from faststream.kafka import KafkaBroker

from contracts import topics
from runtime import Settings
from services.referral.app import create


def consumed_by(broker: KafkaBroker) -> dict[str, set[str]]:
    """Topics by consumer group."""
    return {str(subscriber.group_id): {topic.name for topic in subscriber.topics} for subscriber in broker.subscribers}  # type: ignore[attr-defined]


def test_findings_have_a_priority_consumer_of_their_own() -> None:
    """A consumer of its own for findings, one for the clock, one for what bears days."""
    service = create(Settings())
    groups = {group.rpartition(".")[2]: heard for group, heard in consumed_by(service.broker).items()}

    assert set(service.consumers) == {"main", "priority", "clock", "house"}
    assert {topics.REGISTRY_FINDING.name} in groups.values()
    assert {topics.ELIGIBILITY_CHILD.name, topics.INTAKE_ACTION.name} in groups.values()


def test_only_topics_with_watermarks_complete_days() -> None:
    """The express way and the clock carry no day marks: they hold up no page."""
    assert topics.ELIGIBILITY_CHILD.carries_watermarks
    assert topics.INTAKE_ACTION.carries_watermarks
    assert not topics.REGISTRY_FINDING.carries_watermarks


def test_it_may_read_every_topic_that_it_consumes() -> None:
    heard = (topics.ELIGIBILITY_CHILD, topics.INTAKE_ACTION, topics.REGISTRY_FINDING, topics.CLOCK)

    assert all("referral" in topic.readers for topic in heard)
