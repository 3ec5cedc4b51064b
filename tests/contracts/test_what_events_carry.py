"""After intake an event carries codes, dates and ids: no field can contain a name, an ID number or free text.

Every text field of every event is either closed by its type or listed here with its meaning. A new one fails until it
is listed. Only units send free text, which intake seals or answers.
"""

import re
import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contracts.county import County
from contracts.event import Event
from contracts.flow import FLOW
from contracts.schemas import kinds
from contracts.topics import RESTRICTED_UNIT, UNIT
from contracts.vocabulary import IdentityField
from tests.notify.events import every_event

UNITS_ID = r"\d{6}-[a-z0-9]+|township"
CODE = r"[a-z][a-z0-9_]*"
DIVISION = r"\d{6}|\d{9}|\d{12}|abroad"
PERIOD = r"\d{4}(H[12]|Q[1-4]|-\d{2}(/\d+)?)?"
ITEM = r"B-\d{1,2}(\(\d{1,2}\))?"
ROUTE = r"R\d{1,2}"
REDUCED_DATE = r"\d{4}(-\d{2}(-\d{2})?)?"

SHAPES: dict[str, tuple[str, ...]] = {
    UNITS_ID: (
        "unit", "units", "place", "from_unit", "to_unit", "previous_unit", "right_unit", "inform", "reporter_unit",
        "reporters", "actor_unit", "escalated_to", "held_by",
    ),
    CODE: (
        "role", "actor_role", "dataset", "sources", "silent_sources", "flags", "evidence", "conflicts", "code",
        "cause", "criterion",
    ),
    DIVISION: ("township", "residence_division"),
    PERIOD: ("period",),
    ITEM: ("item",),
    ROUTE: ("route",),
    REDUCED_DATE: ("birth_date",),
    r"\d{12}": ("number",),
    r"[A-Za-z][A-Za-z0-9_-]{0,31}|": ("person",),  # an id of the county's data: intake refuses what could be a name
    r"[a-z_]+(:[A-Za-z0-9_-]+)?|": ("detail",),  # the result of an alarm delivery, without the output of the command
    r"[a-z0-9_.]+": ("template",),
    r"[0-9]{3,5}": ("hotlines",),
    rf"migrant|statistical|{ITEM}": ("subject",),
    r"[^\s]{1,80}": ("citations", "ruleset", "catalogue"),  # codes and versions of rule books
}  # fmt: skip
SHAPE_OF = {name: shape for shape, names in SHAPES.items() for name in names}

SAID_IN_WORDS = {
    "Notice.text": "a template of notify's (tests/notify/test_templates.py)",
    "AlarmRaised.text": "a template of notify's",
    "QueueEntry.title": "the county's data",
    "QueueEntry.expects": "the county's data",
    "Basis.place": "the county's data",
    "Basis.phrase": "the county's data",
    "Reason.params": "codes and dates of eligibility's rules (tests/eligibility)",
    "Fact.value": "a code or a date: read or refused by intake (tests/intake)",
    "ActionAccepted.facts": "a code or a date: read or refused by intake",
    "ActionAccepted.station": "a line's number or a unit of the county: intake names no other (tests/intake)",
    "RecordRead.facts": "a code or a date: read or refused by intake",
    "RecordRead.identity": "sealed",
    "RecordRead.content": "a keyed hash",
    "FindingReported.identity": "sealed",
    "Disclosed.jwe": "sealed",
    "Problem.column": "the sender's own header, to the sender",
    "Problem.message": "a sentence of intake's",
    "Problem.remedy": "a sentence of intake's",
    "Problem.excerpt": "masked, to the sender",
    "ActionAnswered.message": "a sentence of intake's",
    "ActionAnswered.remedy": "a sentence of intake's",
    "CountyActivated.activated_by": "role and unit of an official",
}

SAID_BY_UNITS = {step.event for step in FLOW if set(step.producers) <= {UNIT, RESTRICTED_UNIT}}
SERVICE_EVENTS = [event for event in kinds().values() if event not in SAID_BY_UNITS]


def texts(model: type[BaseModel]) -> Iterator[str]:
    """Return ``Class.field`` of every field that can hold any text, at any depth."""
    for name, field in model.model_fields.items():
        if not any(hasattr(each, "pattern") for each in field.metadata):
            yield from _texts(field.annotation, f"{model.__name__}.{name}")


def _texts(kind: Any, location: str) -> Iterator[str]:
    if kind in (str, bytes, Any, object):
        yield location
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        if kind is not County:  # the county's own document: names of offices, no child's
            yield from texts(kind)
    elif typing.get_origin(kind) is not typing.Literal:
        for part in typing.get_args(kind):
            yield from _texts(part, location)


@pytest.mark.parametrize("event", SERVICE_EVENTS, ids=lambda event: event.kind)
def test_every_text_field_of_a_service_event_has_a_known_form_or_is_listed(event: type[Event]) -> None:
    unknown = {
        location
        for location in texts(event)
        if location not in SAID_IN_WORDS and location.partition(".")[2] not in SHAPE_OF
    }
    assert unknown == set(), "a text that could be anything: close its type, or list it here with its meaning"


def test_the_list_contains_only_existing_fields() -> None:
    locations = {location for event in SERVICE_EVENTS for location in texts(event)}
    assert set(SAID_IN_WORDS) <= locations
    assert set(SHAPE_OF) <= {location.partition(".")[2] for location in locations}


def test_a_free_text_is_detected_at_any_depth() -> None:
    class Part(BaseModel):
        remark: str | None

    class Whole(BaseModel):
        unit: str
        note: str = ""
        parts: tuple[Part, ...]
        words: dict[str, int]
        anything: Any
        closed: typing.Literal["a", "b"]
        code: IdentityField

    assert set(texts(Whole)) == {"Whole.unit", "Whole.note", "Part.remark", "Whole.words", "Whole.anything"}


@pytest.mark.parametrize("event", SERVICE_EVENTS, ids=lambda event: event.kind)
def test_no_service_event_identifies_a_child(event: type[Event]) -> None:
    """Events carry names of identity fields (those a route discloses), never their values, which are sealed."""
    closed = {"birth_date", "sex"}
    for name, field in event.model_fields.items():
        is_closed = isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum)
        if name in {str(each) for each in IdentityField} and not is_closed:
            assert name in closed
            assert event.sensitivity == "identity", "a birth date is for the registry, which matches by it"
        for key in _keys_of_mappings(field.annotation):
            assert not (isinstance(key, type) and issubclass(key, IdentityField))


def _keys_of_mappings(kind: Any) -> Iterator[Any]:
    if typing.get_origin(kind) is dict:
        yield typing.get_args(kind)[0]
    for part in typing.get_args(kind):
        yield from _keys_of_mappings(part)


def test_only_units_send_identities_in_plain_text_and_only_on_their_own_topics() -> None:
    for event in SAID_BY_UNITS:
        assert event.sensitivity == "identity"
        assert "{unit}" in event.topic


@pytest.mark.parametrize("event", kinds().values(), ids=lambda event: event.kind)
def test_a_validation_error_of_an_event_never_shows_the_value(event: type[Event]) -> None:
    with pytest.raises(ValidationError) as caught:
        event.model_validate({field: {"x": "例小明 13900000000"} for field in event.model_fields})
    assert "例小明" not in str(caught.value)


def test_published_events_have_the_listed_forms() -> None:
    tried = 0
    for event in every_event():
        for location, value in _values(event):
            if location not in SAID_IN_WORDS:
                tried += 1
                assert re.fullmatch(SHAPE_OF[location.partition(".")[2]], value), location
    assert tried > 150


def _values(model: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        for each in value if isinstance(value, tuple) else (value,):
            if (
                isinstance(each, str)
                and not isinstance(each, StrEnum)
                and f"{type(model).__name__}.{name}" in set(texts(type(model)))
            ):
                yield f"{type(model).__name__}.{name}", each
