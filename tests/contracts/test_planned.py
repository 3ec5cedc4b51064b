"""A planned item has a schema only: it is not provisioned, published or accepted before it is implemented."""

import re
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contracts import flow, topics, vocabulary
from contracts.event import KINDS, Event
from contracts.flow import (
    PLANNED,
    PLANNED_DUTIES,
    PLANNED_FIELDS,
    PLANNED_RULES,
    PLANNED_TOPICS,
    PLANNED_VALUES,
    PLANNED_VERBS,
)
from contracts.schemas import files, kinds
from contracts.vocabulary import DutyKind, FindingCode, Level, Verb, is_report_of_danger
from tests.county import a_county


def test_no_planned_event_is_in_the_flow_or_published() -> None:
    planned = {each.step.event for each in PLANNED}
    assert planned.isdisjoint(step.event for step in flow.FLOW)
    assert planned.isdisjoint(kinds().values())
    assert not {f"{event.kind}.json" for event in planned} & files().keys()


def test_every_event_of_the_contracts_is_published_or_planned() -> None:
    events = {event for event in KINDS.values() if event.__module__.startswith("contracts.")}
    assert events == {step.event for step in flow.FLOW} | {each.step.event for each in PLANNED}


@pytest.mark.parametrize("planned", PLANNED, ids=lambda planned: planned.step.event.__name__)
def test_a_planned_event_matches_its_step_and_topic(planned: flow.Planned) -> None:
    step = planned.step
    assert step.topics[0].name == step.event.topic
    assert possible_topics(step.event) <= {topic.name for topic in step.topics}
    rank = {"normal": 0, "restricted": 1, "identity": 2}
    assert rank[step.event.sensitivity] <= min(rank[topic.sensitivity] for topic in step.topics)
    for topic in step.topics:
        assert set(topic.writers) & set(step.producers) or topic in topics.TOPICS
        assert set(topic.readers) & set(step.consumers)


def possible_topics(event: type[Event]) -> set[str]:
    """Return the topics, or families of units' topics, on which instances of an event can be published."""
    if "{unit}" not in event.topic and "restricted" not in event.model_fields:
        return {event.topic}
    cases = (True, False) if "restricted" in event.model_fields else (False,)
    return {event.model_construct(unit="{unit}", restricted=case).topic_name for case in cases}


def test_no_two_events_have_one_name() -> None:
    names = [event.__name__ for event in KINDS.values() if event.__module__.startswith("contracts.")]
    assert len(names) == len(set(names))


def test_no_planned_topic_is_provisioned_and_each_has_a_plan() -> None:
    assert not set(topics.PLANNED) & set(topics.TOPICS)
    written = {topic.name for each in PLANNED for topic in each.step.topics}
    assert {topic.name for topic in topics.PLANNED} <= written | PLANNED_TOPICS.keys()


def test_no_planned_verb_is_accepted_yet() -> None:
    assert not PLANNED_VERBS.keys() & {verb.value for verb in Verb}


def test_a_kind_of_duty_is_planned_or_created_by_referral() -> None:
    """``services/referral/cases`` is the only place where duties are created."""
    cases = Path(__file__).parents[2] / "services" / "referral" / "cases"
    code = "\n".join(file.read_text("utf-8") for file in cases.glob("*.py"))
    created = {DutyKind[name] for name in re.findall(r"create_duty\(work, \w+, DutyKind\.(\w+),", code)}
    assert created == set(DutyKind)
    assert PLANNED_DUTIES.keys().isdisjoint(created)


@pytest.mark.parametrize("path", PLANNED_FIELDS)
def test_a_planned_field_has_a_parent_and_does_not_exist_yet(path: str) -> None:
    service, name, version, *fields = path.split(".")
    model: Any = kinds()[f"{service}.{name}.{version}"]
    for field in fields[:-1]:
        model = next(_models(model.model_fields[field].annotation))
    assert fields[-1] not in model.model_fields, "it is built: take it off the list"


@pytest.mark.parametrize("value", PLANNED_VALUES)
def test_a_planned_value_has_a_field_and_is_not_accepted_yet(value: str) -> None:
    path, _, word = value.partition("=")
    kind, _, field = path.rpartition(".")
    words = set(_words(kinds()[kind].model_fields[field].annotation))
    assert words, "the field has no closed list"
    assert word not in words, "it is built: take it off the list"


def _words(kind: Any) -> "typing.Iterator[str]":
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        yield from kind
    for part in typing.get_args(kind):
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part)


def _models(kind: Any) -> "typing.Iterator[type[BaseModel]]":
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in typing.get_args(kind):
        yield from _models(part)


@pytest.mark.parametrize("name", PLANNED_RULES)
def test_a_planned_rule_exists(name: str) -> None:
    assert hasattr(vocabulary, name)


DANGER = {
    FindingCode.SUSPECTED_VIOLENCE: True,
    FindingCode.DOMESTIC_VIOLENCE: True,
    FindingCode.MENTAL_DANGER: True,
    FindingCode.UNATTENDED: True,
    FindingCode.VACCINATION_GAP: False,
    FindingCode.UNINSURED: False,
    FindingCode.HOUSING_DIFFICULTY: False,
}


@pytest.mark.parametrize(("finding", "danger"), DANGER.items())
def test_a_report_of_danger_is_recognised_by_its_routes(finding: FindingCode, danger: bool) -> None:
    routes = [route.id for route in a_county().routes_for(finding)]
    assert is_report_of_danger(routes, None) is danger
    assert is_report_of_danger(routes, Level.L1) is danger


def test_a_report_raised_to_the_highest_level_is_danger_on_any_route() -> None:
    assert is_report_of_danger(["R28"], Level.L0)
    assert is_report_of_danger([], Level.L0)
    assert not is_report_of_danger([], None)
