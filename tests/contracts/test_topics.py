"""Every topic has a writer and a reader, and every service receives the days."""

import re

import pytest

from contracts import topics
from contracts.topics import SERVICES, TOPICS, UNIT, Topic, provisioned_topics
from tests.county import a_county

PRINCIPALS = {*SERVICES, "clock", "operator", UNIT, UNIT + "-restricted"}
ids = [topic.name for topic in TOPICS]


def test_every_topic_is_listed_once() -> None:
    declared = [value for value in vars(topics).values() if isinstance(value, Topic)]
    every = (*TOPICS, *(topic for topic in topics.PLANNED if topic not in topics.STATES))
    assert len(declared) == len(every)
    assert len({topic.name for topic in (*every, *topics.STATES)}) == len(every) + len(topics.STATES)


@pytest.mark.parametrize("topic", TOPICS, ids=ids)
def test_a_topic_has_one_writer_and_a_reader(topic: Topic) -> None:
    assert len(topic.writers) == 1
    assert topic.readers
    assert {*topic.writers, *topic.readers} <= PRINCIPALS


@pytest.mark.parametrize("topic", TOPICS, ids=ids)
def test_a_topic_name_has_its_version_and_a_family_its_unit(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(\.([a-z]+|\{unit\}))*\.v1", topic.name)
    assert (UNIT in topic.name) is (topic.family != "none")
    assert (topic.partitions == "services") <= (topic.family == "none"), "a unit's own topic has one partition"


@pytest.mark.parametrize("topic", TOPICS, ids=ids)
def test_topics_that_services_consume_as_events_are_not_compacted(topic: Topic) -> None:
    """Only what is read as a table is compacted: queues, disclosures, and the county's data."""
    if topic.compacted and topic is not topics.COUNTY:
        assert not set(topic.readers) & set(SERVICES)


@pytest.mark.parametrize("topic", TOPICS, ids=ids)
def test_a_topic_with_names_in_plain_text_is_kept_for_days_only(topic: Topic) -> None:
    if topic.sensitivity == "identity" and UNIT in topic.writers:
        assert topic.retention_days <= 7


def test_restricted_topics_of_units_are_read_with_the_restricted_log_in() -> None:
    for topic in TOPICS:
        if topic.name.endswith(".restricted.v1") and topic.family != "none":
            assert {*topic.writers, *topic.readers} & {UNIT, UNIT + "-restricted"} == {UNIT + "-restricted"}


# ---------------------------------------------------------------- days


def test_topics_with_watermarks_have_matching_partitions() -> None:
    """A day completes by partition index: every topic with watermarks has as many partitions as the services."""
    for topic in TOPICS:
        if topic.carries_watermarks:
            assert topic.partitions == "services"
            assert topic.writers[0] in SERVICES


def test_every_service_after_the_first_receives_watermarks() -> None:
    for service in SERVICES[1:]:
        bearing = [topic for topic in TOPICS if topic.carries_watermarks and service in topic.readers]
        assert bearing, f"{service} would never complete a day"


def test_watermarks_have_no_cycle() -> None:
    """A service that waited for the day of a later service would wait for itself.

    The registry reads referral's cases, which carry watermarks: it must not wait for those.
    """
    order = {name: position for position, name in enumerate(SERVICES)}
    backwards = {
        (topic.writers[0], reader)
        for topic in TOPICS
        if topic.carries_watermarks
        for reader in topic.readers
        if order[reader] <= order[topic.writers[0]]
    }
    assert backwards <= {("referral", "registry")}


def test_topics_of_priority_consumers_carry_no_watermarks() -> None:
    assert not topics.REGISTRY_FINDING.carries_watermarks
    assert not topics.REFERRAL_RESTRICTED.carries_watermarks
    assert not topics.ALARM.carries_watermarks


# ---------------------------------------------------------------- a county's topics


def test_a_county_has_the_topics_of_its_units() -> None:
    county = a_county()
    names = {topic.name for topic in provisioned_topics((unit.id, unit.families) for unit in county.units)}
    assert {"department.341722-jtj.v1", "referral.queue.341722-gaj.restricted.v1", "clock.v1"} <= names
    assert "department.341722-czj.v1" not in names, "财政局 submits no data"
    assert not [name for name in names if "341722-cdc" in name], "a smaller place uses the topics of its parent"
    assert not [name for name in names if "{" in name]


def test_a_topic_of_one_unit_is_written_and_read_by_it_and_no_other() -> None:
    county = a_county()
    for topic in provisioned_topics((unit.id, unit.families) for unit in county.units):
        for principal in (*topic.writers, *topic.readers):
            if principal not in {*SERVICES, "clock", "operator"}:
                assert principal.removesuffix("-restricted") == topic.unit
