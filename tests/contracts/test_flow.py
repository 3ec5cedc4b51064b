"""The story on one page is the one that is played."""

import ast
import importlib
from pathlib import Path

import pytest

from contracts import flow, topics
from contracts.clock import DayTurned
from contracts.event import Event
from contracts.flow import RESTRICTED_UNIT, STORY
from contracts.schemas import kinds
from contracts.topics import SERVICES, TOPICS, UNIT

SERVICES_FOLDER = Path(__file__).parents[2] / "services"
HOUSE_TOPICS = {topics.CLOCK.name, topics.COUNTY.name}
"""Every service hears them through the runtime."""
RUNTIMES = {"DayBegan", "TimePassed", "DayTurned", "CountyActivated"}
"""Events of the house topics and day marks: the runtime handles them; a service may use them too."""


def test_every_event_has_its_place_in_the_story_once() -> None:
    told = [step.event for step in STORY]
    assert len(told) == len(set(told))
    assert set(told) == set(kinds().values())


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.event.__name__)
def test_an_event_goes_where_it_says_it_goes(step: flow.Step) -> None:
    if step.event is DayTurned:
        assert set(step.on) == {topic for topic in TOPICS if topic.days}
    else:
        assert step.on[0].name == step.event.topic


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.event.__name__)
def test_who_says_and_hears_it_may_write_and_read_its_topics(step: flow.Step) -> None:
    for topic in step.on:
        assert set(step.said_by) & set(topic.writers), topic.name
        assert set(step.heard_by) & set(topic.readers), topic.name
    assert set(step.said_by) <= {name for topic in step.on for name in topic.writers}
    assert set(step.heard_by) <= {name for topic in step.on for name in topic.readers}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_whoever_may_write_a_topic_says_something_on_it_and_whoever_may_read_it_hears_something(
    topic: topics.Topic,
) -> None:
    steps = [step for step in STORY if topic in step.on]
    assert set(topic.writers) == {name for step in steps for name in step.said_by} & set(topic.writers)
    assert set(topic.readers) <= {name for step in steps for name in step.heard_by}
    assert steps


def test_an_event_is_as_secret_as_the_topic_it_may_go_to() -> None:
    """Nothing restricted or identifying is ever on a topic of lower sensitivity."""
    rank = {"normal": 0, "restricted": 1, "identity": 2}
    for step in STORY:
        if step.event is not DayTurned:
            lowest = min(rank[topic.sensitivity] for topic in step.on)
            assert rank[step.event.sensitivity] <= lowest, step.event.kind


def test_nothing_flows_backwards() -> None:
    """No service hears one to its right; the registry, which seals what referral sends, decides nothing by it."""
    order = {name: place for place, name in enumerate(SERVICES)}
    backwards = {
        (speaker, listener)
        for step in STORY
        if step.event is not DayTurned
        for speaker in step.said_by
        for listener in step.heard_by
        if speaker in order and listener in order and order[listener] < order[speaker]
    }
    assert backwards <= {("referral", "registry"), ("notify", "notify")}


# ---------------------------------------------------------------- what the services really do

BUILT = [name for name in SERVICES if (SERVICES_FOLDER / name / "app.py").exists()]


@pytest.mark.parametrize("service", BUILT)
def test_a_service_subscribes_to_what_the_story_lets_it_hear(service: str) -> None:
    named = topics_named_in(SERVICES_FOLDER / service / "app.py") - HOUSE_TOPICS
    assert named == {topic.name for step in heard_by(service) for topic in step.on} - HOUSE_TOPICS


@pytest.mark.parametrize("service", BUILT)
def test_a_service_knows_the_events_that_it_says_and_hears_and_no_others(service: str) -> None:
    used = {event.__name__ for event in events_imported_in(SERVICES_FOLDER / service)} - RUNTIMES
    story = {step.event.__name__ for step in STORY if service in step.said_by or service in step.heard_by} - RUNTIMES
    assert used == story


def heard_by(service: str) -> list[flow.Step]:
    return [step for step in STORY if service in step.heard_by and step.event is not DayTurned]


def topics_named_in(file: Path) -> set[str]:
    """``topics.X`` wherever it stands in the file."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "topics":
            named = getattr(topics, node.attr)
            if isinstance(named, topics.Topic):
                found.add(named.name)
    return found


def events_imported_in(folder: Path) -> set[type[Event]]:
    """Event classes that any module of the folder imports."""
    found: set[type[Event]] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contracts."):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    named = getattr(module, alias.name)
                    if isinstance(named, type) and issubclass(named, Event) and "kind" in named.__dict__:
                        found.add(named)
    return found


def test_units_read_only_what_is_theirs() -> None:
    for step in STORY:
        if RESTRICTED_UNIT in step.heard_by:
            assert any(RESTRICTED_UNIT in topic.readers for topic in step.on)
            for topic in step.on:
                if topic.sensitivity == "restricted" and topic is not topics.DISCLOSURE:
                    assert UNIT not in topic.readers
