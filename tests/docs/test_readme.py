"""The two READMEs have the same links and commands, and their list of functions to read is true."""

import importlib
import re
from operator import attrgetter
from pathlib import Path

import pytest

from contracts.topics import SERVICES

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
FUNCTION = re.compile(r"`([\w/]+)\.py::([\w.]+)`")
STEP = re.compile(r"^(\d+)\. \[`([\w/.]+)::([\w.]+)`\]\(([^)]+)\)", re.MULTILINE)


def _links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh-CN.md"}


def test_the_chinese_page_is_linked_first() -> None:
    assert ENGLISH.splitlines()[2].startswith("**[中文说明](README.zh-CN.md)**")


def test_both_readmes_have_the_same_links_and_commands() -> None:
    assert _links(ENGLISH) == _links(CHINESE)
    commands = re.compile(r"^ {4}(\S+ \S+)", re.MULTILINE)
    assert commands.findall(ENGLISH) == commands.findall(CHINESE) == ["make demo", "make test"]


def test_the_reading_list_is_the_same_and_passes_every_service_in_at_most_twelve_files() -> None:
    steps = STEP.findall(ENGLISH)
    assert STEP.findall(CHINESE) == steps
    assert [int(number) for number, *_ in steps] == list(range(1, len(steps) + 1))
    assert all(file == link for _, file, _, link in steps)
    assert len(steps) <= 12
    services = [file.split("/")[1] for _, file, *_ in steps if file.startswith("services/")]
    assert list(dict.fromkeys(services)) == list(SERVICES)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, ARCHITECTURE], ids=["english", "chinese", "architecture"])
def test_every_function_to_read_exists(text: str) -> None:
    names = FUNCTION.findall(text)
    assert len(names) > 8
    for module, name in names:
        assert attrgetter(name)(importlib.import_module(module.replace("/", ".")))
