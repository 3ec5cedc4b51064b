"""The two READMEs say the same to people and to machines, and the journey that they name is complete."""

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


def test_both_name_the_same_files_and_commands() -> None:
    assert _links(ENGLISH) == _links(CHINESE)
    commands = re.compile(r"^ {4}(\S+ \S+)", re.MULTILINE)
    assert commands.findall(ENGLISH) == commands.findall(CHINESE) == ["make demo", "make test"]


def test_one_record_is_followed_through_the_flow_and_each_service() -> None:
    journey = ["contracts/flow.py", *(f"services/{service}/handlers.py" for service in SERVICES)]
    for text in (ENGLISH, CHINESE):
        assert re.findall(r"\]\(([^)]+\.py)\)", text) == journey
