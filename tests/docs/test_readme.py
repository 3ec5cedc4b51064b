"""The two READMEs have the same links and commands, and their list of files to read is complete."""

import re
from pathlib import Path

from contracts.topics import SERVICES

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text("utf-8")


def _links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh-CN.md"}


def test_the_chinese_page_is_linked_first() -> None:
    assert ENGLISH.splitlines()[2].startswith("**[中文说明](README.zh-CN.md)**")


def test_both_readmes_have_the_same_links_and_commands() -> None:
    assert _links(ENGLISH) == _links(CHINESE)
    commands = re.compile(r"^ {4}(\S+ \S+)", re.MULTILINE)
    assert commands.findall(ENGLISH) == commands.findall(CHINESE) == ["make demo", "make test"]


def test_the_reading_list_has_the_flow_and_the_handlers_of_each_service() -> None:
    reading_list = ["contracts/flow.py", *(f"services/{service}/handlers.py" for service in SERVICES)]
    for text in (ENGLISH, CHINESE):
        assert re.findall(r"\]\(([^)]+\.py)\)", text) == reading_list
