"""The event flow of the contracts is the flow that the services implement."""

import ast
import importlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts import flow, topics
from contracts.clock import DayBegan, DayWatermark, TimePassed
from contracts.county import CountyActivated
from contracts.event import Event
from contracts.flow import FLOW
from contracts.schemas import kinds
from contracts.topics import RESTRICTED_UNIT, SERVICES, TOPICS, UNIT, provisioned_topics
from runtime import Settings
from runtime.storage.sealing import new_keys
from tests.county import a_county

SERVICES_FOLDER = Path(__file__).parents[2] / "services"
SYSTEM_TOPICS = {topics.CLOCK.name, topics.COUNTY.name}
"""Every service consumes them through the runtime."""
RUNTIMES = {"DayBegan", "TimePassed", "DayWatermark", "CountyActivated"}
"""Events of the system topics and day watermarks: the runtime handles them; a service may use them too."""


def test_every_event_is_in_the_flow_once() -> None:
    events_in_flow = [step.event for step in FLOW]
    assert len(events_in_flow) == len(set(events_in_flow))
    assert set(events_in_flow) == set(kinds().values())


@pytest.mark.parametrize("step", FLOW, ids=lambda step: step.event.__name__)
def test_an_event_is_published_to_the_topic_it_declares(step: flow.Step) -> None:
    if step.event is DayWatermark:
        assert set(step.topics) == {topic for topic in TOPICS if topic.carries_watermarks}
    else:
        assert step.topics[0].name == step.event.topic


@pytest.mark.parametrize("step", FLOW, ids=lambda step: step.event.__name__)
def test_producers_may_write_and_consumers_may_read_the_topics(step: flow.Step) -> None:
    for topic in step.topics:
        assert set(step.producers) & set(topic.writers), topic.name
        assert set(step.consumers) & set(topic.readers), topic.name
    assert set(step.producers) <= {name for topic in step.topics for name in topic.writers}
    assert set(step.consumers) <= {name for topic in step.topics for name in topic.readers}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_writer_of_a_topic_produces_and_every_reader_consumes(
    topic: topics.Topic,
) -> None:
    steps = [step for step in FLOW if topic in step.topics]
    assert set(topic.writers) == {name for step in steps for name in step.producers} & set(topic.writers)
    assert set(topic.readers) <= {name for step in steps for name in step.consumers}
    assert steps


def test_an_event_has_the_sensitivity_of_its_topic() -> None:
    """Nothing restricted or identifying is ever on a topic of lower sensitivity."""
    rank = {"normal": 0, "restricted": 1, "identity": 2}
    for step in FLOW:
        if step.event is not DayWatermark:
            lowest = min(rank[topic.sensitivity] for topic in step.topics)
            assert rank[step.event.sensitivity] <= lowest, step.event.kind


def test_no_event_flows_backwards() -> None:
    """No service consumes events of a later one; the registry only seals what referral sends."""
    order = {name: position for position, name in enumerate(SERVICES)}
    backwards = {
        (producer, consumer)
        for step in FLOW
        if step.event is not DayWatermark
        for producer in step.producers
        for consumer in step.consumers
        if producer in order and consumer in order and order[consumer] < order[producer]
    }
    assert backwards <= {("referral", "registry"), ("notify", "notify")}


# ---------------------------------------------------------------- what the services do


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write newly generated keys for every service; return the file."""
    private, public = new_keys()
    keys = dict.fromkeys(("record_key", "master_key", "lookup_key", "child_id_key", "parking_key"), "00" * 32)
    file = tmp_path_factory.mktemp("keys") / "secrets.json"
    file.write_text(json.dumps({**keys, "registry_private_key": private, "registry_public_key": public}))
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_subscribes_to_the_topics_of_the_flow(service: str, secrets: Path) -> None:
    """The service's own subscriptions are matched against every topic of a county."""
    service_app = importlib.import_module(f"services.{service}.app").create(Settings(secrets_file=secrets))
    existing = [
        provisioned_topic.name
        for provisioned_topic in provisioned_topics((unit.id, unit.families) for unit in a_county().units)
    ]
    read: set[str] = set()
    for subscription in service_app.subscriptions.values():
        read |= set(subscription.topic_names(existing))
    families = {
        provisioned_topic.name: provisioned_topic.topic.name
        for provisioned_topic in provisioned_topics((unit.id, unit.families) for unit in a_county().units)
    }
    assert read <= set(families), "a topic that is on no list"
    consumed = {topic.name for step in consumed_by(service) for topic in step.topics}
    assert {families[name] for name in read} == consumed | SYSTEM_TOPICS
    assert read == {name for name, family in families.items() if family in consumed | SYSTEM_TOPICS}, "of all units"


@pytest.mark.parametrize("service", SERVICES)
def test_the_flow_names_the_handlers_of_a_service(service: str, secrets: Path) -> None:
    """Each named function handles the event's topic, or the day, and no handler of a service is left out."""
    service_app = importlib.import_module(f"services.{service}.app").create(Settings(secrets_file=secrets))
    named = {
        (topic.name, handler)
        for step in FLOW
        if step.event is not DayWatermark
        for topic in step.topics
        for handler in step.handlers
        if handler.startswith(f"services.{service}.")
    }
    registered = {
        (topic, dotted_name(handler))
        for subscription in service_app.subscriptions.values()
        for topic, handler in subscription.handlers.items()
    }
    assert named == {(topic, handler) for topic, handler in registered if handler.startswith("services.")}
    days = {dotted_name(each.on_day) for each in service_app.subscriptions.values() if each.on_day is not None}
    [watermark] = [step for step in FLOW if step.event is DayWatermark]
    assert {handler for handler in watermark.handlers if handler.startswith(f"services.{service}.")} == days
    unhandled = [step.event.kind for step in consumed_by(service) if not any(service in name for name in step.handlers)]
    assert set(unhandled) <= {event.kind for event in (DayBegan, TimePassed, CountyActivated)}


def dotted_name(handler: Any) -> str:
    """Return module and name of a handler; ``partial`` gives it its secrets, and a method belongs to its class."""
    function = handler.func if isinstance(handler, partial) else handler
    return f"{function.__module__}.{function.__qualname__}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_only_the_events_it_produces_or_consumes(service: str) -> None:
    used = set(events_named_in(SERVICES_FOLDER / service)) - RUNTIMES
    in_flow = {
        step.event.__name__ for step in FLOW if service in step.producers or service in step.consumers
    } - RUNTIMES
    assert used == in_flow


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_creates_only_the_events_it_produces(service: str) -> None:
    """A service must not create an event that it only consumes, but may parse it from data (``model_validate``)."""
    created, read = events_created_in(SERVICES_FOLDER / service)
    emitted = {step.event.__name__ for step in FLOW if service in step.producers} - RUNTIMES
    consumed = {step.event.__name__ for step in consumed_by(service)}
    assert created - RUNTIMES <= emitted
    assert read <= emitted | consumed
    assert emitted <= created | read, "in the flow, but emitted by nobody"


def consumed_by(service: str) -> list[flow.Step]:
    return [step for step in FLOW if service in step.consumers and step.event is not DayWatermark]


def events_named_in(folder: Path) -> dict[str, type[Event]]:
    """Return the event classes that any module of the folder imports, by their names."""
    return {event.__name__: event for file in folder.rglob("*.py") for event in imported_in(file).values()}


def imported_in(file: Path) -> dict[str, type[Event]]:
    """Return the event classes that a module imports, by their local names."""
    events: dict[str, type[Event]] = {}
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contracts."):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                named_ = getattr(module, alias.name)
                if isinstance(named_, type) and issubclass(named_, Event) and "kind" in named_.__dict__:
                    events[alias.asname or alias.name] = named_
    return events


def events_created_in(folder: Path) -> tuple[set[str], set[str]]:
    """Return the event classes that any module of the folder calls or parses from data (``PreSerialized.of`` too)."""
    created: set[str] = set()
    read: set[str] = set()
    for file in folder.rglob("*.py"):
        events = imported_in(file)
        nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
        for node in nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in events:
                    events[node.name] = events[base.id]  # a subclass that only serializes differently is the same event
        for node in nodes:
            if not isinstance(node, ast.Call):
                continue
            called, found = node.func, created
            if isinstance(called, ast.Attribute) and called.attr.startswith("model_"):
                called, found = called.value, read
            elif isinstance(called, ast.Attribute) and called.attr == "of":
                called = called.value
            if isinstance(called, ast.Name) and called.id in events:
                found.add(events[called.id].__name__)
    return created, read


def test_services_import_contracts_by_name_only() -> None:
    """These tests see every use: there is no ``import contracts.x`` and no alias of an event class."""
    for file in SERVICES_FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if alias.name.split(".")[0] == "contracts"], file
            if isinstance(node, ast.ImportFrom) and node.module == "contracts":
                assert {alias.name for alias in node.names} <= {"topics"}, file
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contracts."):
                assert "*" not in {alias.name for alias in node.names}, file


def test_units_read_only_their_own_topics() -> None:
    for step in FLOW:
        if RESTRICTED_UNIT in step.consumers:
            assert any(RESTRICTED_UNIT in topic.readers for topic in step.topics)
            for topic in step.topics:
                if topic.sensitivity == "restricted":
                    assert UNIT not in topic.readers
