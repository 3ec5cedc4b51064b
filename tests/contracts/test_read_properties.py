"""No event, topic, setting or part of the county's data declares what nobody reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.flow import FLOW, PLANNED, PLANNED_PROPERTIES, READ_BY_FIELD_NAME, Properties
from contracts.topics import RESTRICTED_UNIT, UNIT
from tests.read_properties import ROOT, Found, find, production


@pytest.fixture(scope="module")
def found() -> Found:
    return production()


def full(properties: Properties) -> Iterator[str]:
    for kind, names in properties.items():
        yield from (f"{kind.__module__}.{kind.__qualname__}.{name}" for name in names.split())


def listed() -> list[str]:
    return [
        one for properties in (*READ_BY_FIELD_NAME.values(), *PLANNED_PROPERTIES.values()) for one in full(properties)
    ]


@pytest.mark.timeout(300)
def test_every_declared_field_is_read_by_code_or_listed_in_the_flow(found: Found) -> None:
    """Units and agencies read the values of their topics whole; what is planned is read by nobody yet."""
    wholes = [step.event for step in FLOW if {UNIT, RESTRICTED_UNIT} & set(step.consumers)]
    wholes += [planned.step.event for planned in PLANNED]
    held = found.held_by(f"{kind.__module__}.{kind.__qualname__}" for kind in wholes)
    named = set(listed())
    unread = [
        f"{one.place}: nothing reads {one.name}"
        for one in found.unread()
        if one.name not in named and one.name.rpartition(".")[0] not in held
    ]
    assert unread == []


def test_the_lists_in_the_flow_contain_only_fields_that_code_does_not_read(found: Found) -> None:
    """And each of them once."""
    unread = {one.name for one in found.unread()}
    assert sorted(set(listed()) - unread) == []
    assert len(listed()) == len(set(listed()))


@pytest.mark.parametrize("file", READ_BY_FIELD_NAME)
def test_a_file_that_reads_fields_by_name_contains_their_names(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    missing = [
        one for one in full(READ_BY_FIELD_NAME[file]) if not re.search(rf'["\']{one.rpartition(".")[2]}["\']', text)
    ]
    assert missing == []


HOUSE = {
    "said": """
        from collections.abc import Sequence
        from dataclasses import dataclass
        from typing import ClassVar, Protocol

        class Said:
            broadcast: ClassVar[bool] = False
            topic: ClassVar[str] = "said"
            only_written: int = 0

            @property
            def key(self) -> str:
                return ""

            @property
            def unread(self) -> str:
                return self.topic

        class Ended(Said):
            broadcast: ClassVar[bool] = True
            unit: str
            matched: str
            any: str
            asked: str

            @property
            def key(self) -> str:
                return self.unit

        @dataclass
        class Other:
            broadcast: bool
            unread: str
            only_written: int

        class Asks(Protocol):
            @property
            def asked(self) -> str: ...
        """,
    "reads": """
        from typing import Any
        from said import Asks, Ended, Other, Said

        def read(one: Said | None, other: Other, anything: Any) -> object:
            other.only_written += 1
            match one:
                case Ended(matched=matched):
                    return matched
                case Said():
                    one.only_written = 1
                    return one.key, other.broadcast, other.unread, anything.any
            return None

        def ask(one: Asks) -> str:
            return one.asked

        def main(one: Ended) -> str:
            return ask(one) + str([each.unit for each in (one,)])
        """,
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in HOUSE.items():
        lines = text.strip("\n").splitlines()
        (tmp_path / "house").mkdir(exist_ok=True)
        (tmp_path / "house" / f"{name}.py").write_text("\n".join(line[8:] for line in lines))
    return tmp_path / "house"


def unread_in(house: Path) -> set[str]:
    found = find([house / "said.py", house / "reads.py"], house, house / "cache", ("said.",))
    return {one.name for one in found.unread()}


@pytest.mark.timeout(300)
def test_reading_a_field_of_another_class_does_not_count(house: Path) -> None:
    """Nor does it count what is assigned to, or what is read of anything at all."""
    never = {"said.Said.broadcast", "said.Said.only_written", "said.Said.unread", "said.Ended.broadcast"}
    assert unread_in(house) == never | {"said.Ended.any"}


@pytest.mark.timeout(300)
def test_reading_a_field_of_the_base_class_counts_for_its_overrides(house: Path) -> None:
    reads = house / "reads.py"
    reads.write_text(reads.read_text() + "\n\ndef fan_out(one: Said) -> bool:\n    return one.broadcast\n")
    assert not {name for name in unread_in(house) if name.endswith("broadcast")}
