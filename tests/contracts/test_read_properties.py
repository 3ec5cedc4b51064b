"""No event, topic, setting or part of the county's data declares a field that no code reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.flow import FLOW, PLANNED, PLANNED_PROPERTIES, READ_BY_FIELD_NAME, Properties
from contracts.topics import RESTRICTED_UNIT, UNIT
from tests.read_properties import ROOT, Declarations, find_declarations, production


@pytest.fixture(scope="module")
def declarations() -> Declarations:
    return production()


def full(properties: Properties) -> Iterator[str]:
    for kind, names in properties.items():
        yield from (f"{kind.__module__}.{kind.__qualname__}.{name}" for name in names.split())


def listed() -> list[str]:
    return [
        each for properties in (*READ_BY_FIELD_NAME.values(), *PLANNED_PROPERTIES.values()) for each in full(properties)
    ]


@pytest.mark.timeout(300)
def test_every_declared_field_is_read_by_code_or_listed_in_the_flow(declarations: Declarations) -> None:
    """Units and agencies read whole values of their topics; nothing reads planned fields yet."""
    wholes = [step.event for step in FLOW if {UNIT, RESTRICTED_UNIT} & set(step.consumers)]
    wholes += [planned.step.event for planned in PLANNED]
    read_whole = declarations.classes_of(f"{kind.__module__}.{kind.__qualname__}" for kind in wholes)
    named = set(listed())
    unread = [
        f"{each.location}: nothing reads {each.name}"
        for each in declarations.unread()
        if each.name not in named and each.name.rpartition(".")[0] not in read_whole
    ]
    assert unread == []


def test_the_lists_in_the_flow_contain_only_fields_that_code_does_not_read(declarations: Declarations) -> None:
    """Each field is listed once."""
    unread = {each.name for each in declarations.unread()}
    assert sorted(set(listed()) - unread) == []
    assert len(listed()) == len(set(listed()))


@pytest.mark.parametrize("file", READ_BY_FIELD_NAME)
def test_a_file_that_reads_fields_by_name_contains_their_names(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    missing = [
        each for each in full(READ_BY_FIELD_NAME[file]) if not re.search(rf'["\']{each.rpartition(".")[2]}["\']', text)
    ]
    assert missing == []


PACKAGE = {
    "sent": """
        from collections.abc import Sequence
        from dataclasses import dataclass
        from typing import ClassVar, Protocol

        class Sent:
            broadcast: ClassVar[bool] = False
            topic: ClassVar[str] = "sent"
            only_written: int = 0

            @property
            def key(self) -> str:
                return ""

            @property
            def unread(self) -> str:
                return self.topic

        class Ended(Sent):
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
        from sent import Asks, Ended, Other, Sent

        def read(one: Sent | None, other: Other, anything: Any) -> object:
            other.only_written += 1
            match one:
                case Ended(matched=matched):
                    return matched
                case Sent():
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
def package(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        lines = text.strip("\n").splitlines()
        (tmp_path / "package").mkdir(exist_ok=True)
        (tmp_path / "package" / f"{name}.py").write_text("\n".join(line[8:] for line in lines))
    return tmp_path / "package"


def unread_in(package: Path) -> set[str]:
    declarations = find_declarations(
        [package / "sent.py", package / "reads.py"], package, package / "cache", ("sent.",)
    )
    return {each.name for each in declarations.unread()}


@pytest.mark.timeout(300)
def test_reading_a_field_of_another_class_does_not_count(package: Path) -> None:
    """Neither does an assignment to the field or a read from a value of type ``Any``."""
    never = {"sent.Sent.broadcast", "sent.Sent.only_written", "sent.Sent.unread", "sent.Ended.broadcast"}
    assert unread_in(package) == never | {"sent.Ended.any"}


@pytest.mark.timeout(300)
def test_reading_a_field_of_the_base_class_counts_for_its_overrides(package: Path) -> None:
    reads = package / "reads.py"
    reads.write_text(reads.read_text() + "\n\ndef fan_out(one: Sent) -> bool:\n    return one.broadcast\n")
    assert not {name for name in unread_in(package) if name.endswith("broadcast")}
