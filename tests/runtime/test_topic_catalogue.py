"""Topics are looked up by name and by family."""

import pytest

from contracts.topics import TOPICS
from runtime.errors import UnknownTopic
from runtime.topic_catalogue import TopicCatalogue


def test_topics_are_found_by_name_and_by_family() -> None:
    catalogue = TopicCatalogue(TOPICS)
    assert catalogue.topic("department.341722-jtj.v1").name == "department.{unit}.v1"
    assert catalogue.topic("referral.queue.341722-gaj.restricted.v1").family == "restricted_agency"
    assert catalogue.topic("referral.queue.341722-gaj.v1").family == "agency"
    assert catalogue.is_written_by_units("action.341722-jtj.v1")
    assert not catalogue.is_written_by_units("intake.record.v1")
    assert (catalogue.partitions("intake.record.v1", 4), catalogue.partitions("clock.v1", 4)) == (4, 1)
    with pytest.raises(UnknownTopic):
        catalogue.topic("department.a.b.v1")
