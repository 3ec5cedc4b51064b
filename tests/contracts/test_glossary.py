"""The glossary is true: every identifier exists where its row says, and closed lists are complete."""

import importlib
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import cli.labels
import services.notify.labels
from contracts import vocabulary
from contracts.vocabulary import (
    DutyKind,
    FactName,
    FindingCode,
    IdentityField,
    LedgerReason,
    ReferralState,
    Result,
    ReturnReason,
    Transition,
    Verb,
)

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
HEADER = "| 中文 | English | identifier | place | definition |"
IN_THE_GUIDE = {FactName, FindingCode, IdentityField}
"""Listed in the departments' guide, and checked there (``tests/cli/test_guide.py``)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the glossary."""

    chinese: str
    english: str
    identifiers: tuple[str, ...]
    locations: tuple[str, ...]
    definition: str


def _rows() -> Iterator[Row]:
    for table in GLOSSARY.split(HEADER)[1:]:
        for line in table.split("\n\n")[0].splitlines()[2:]:
            chinese, english, identifiers, locations, definition = (cell.strip() for cell in line.split("|")[1:-1])
            yield Row(
                chinese,
                english,
                tuple(re.findall(r"`([^`]+)`", identifiers)),
                tuple(re.findall(r"`([^`]+)`", locations)),
                definition,
            )


ROWS = list(_rows())


def _names_in(location: str) -> set[str]:
    """Return every name and value that a module, a class, a field or a file contains."""
    if "/" in location:
        return set(re.findall(r"[\w-]+", (ROOT / location).read_text("utf-8")))
    parts = location.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        break
    else:
        raise AssertionError(f"no such module: {location}")
    owner: Any = None
    for part in parts[length:]:
        owner, value = value, _field(value, part)
    if isinstance(value, type) and issubclass(value, StrEnum):
        return {member.value for member in value}
    if owner is not None and not isinstance(value, type):
        return _values(value)
    return {*dir(value), *getattr(value, "model_fields", ())}


def _field(owner: Any, name: str) -> Any:
    """Return a module's attribute or the annotation of a model's field."""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        return owner.model_fields[name].annotation
    return getattr(owner, name)


def _values(annotation: Any) -> set[str]:
    """Return the values of a ``Literal``, alone or in a union."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return {value for part in typing.get_args(annotation) for value in _values(part)}


def test_the_glossary_has_rows() -> None:
    assert len(ROWS) > 100
    assert len(ROWS) == len(re.findall(r"^\|(?! 中文|---)", GLOSSARY, re.MULTILINE))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.english}: {row.locations}")
def test_every_identifier_is_in_the_place_that_its_row_names(row: Row) -> None:
    names = {name for location in row.locations for name in _names_in(location)}
    assert set(row.identifiers) <= names
    assert bool(row.identifiers) == bool(row.locations)
    assert row.english
    assert row.definition.endswith(".")


@pytest.mark.parametrize(
    "enumeration",
    [
        value
        for value in vars(vocabulary).values()
        if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum and value not in IN_THE_GUIDE
    ],
    ids=lambda enumeration: enumeration.__name__,
)
def test_every_closed_list_of_values_is_complete(enumeration: type[StrEnum]) -> None:
    """Answers, levels, states, verbs: each value has its Chinese term."""
    location = f"contracts.vocabulary.{enumeration.__name__}"
    listed = [name for row in ROWS if location in row.locations for name in row.identifiers]
    assert sorted(listed) == sorted(enumeration)
    assert all(row.chinese != "—" for row in ROWS if location in row.locations)


@pytest.mark.parametrize(
    "enumeration",
    [ReferralState, Transition, Result, ReturnReason, LedgerReason, DutyKind, Verb],
    ids=lambda enumeration: enumeration.__name__,
)
def test_a_chinese_term_matches_the_label_shown_to_people(enumeration: type[StrEnum]) -> None:
    """The labels of the command line and of notices begin with that term."""
    location = f"contracts.vocabulary.{enumeration.__name__}"
    chinese = {
        name: word
        for row in ROWS
        if location in row.locations
        for name, word in zip(row.identifiers, row.chinese.split(" / "), strict=True)
    }
    tables = [
        table
        for module in (cli.labels, services.notify.labels)
        for table in vars(module).values()
        if isinstance(table, Mapping) and table and all(isinstance(key, enumeration) for key in table)
    ]
    assert tables
    for table in tables:
        assert {word: label for word, label in table.items() if not label.startswith(chinese[word])} == {}


def test_no_identifier_of_one_place_has_two_meanings() -> None:
    pairs = [(name, location) for row in ROWS for location in row.locations for name in row.identifiers]
    assert len(pairs) == len(set(pairs))
