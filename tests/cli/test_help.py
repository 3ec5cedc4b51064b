"""The help of every command is Chinese and complete on a terminal of 80 columns."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from cli.main import app
from tests.cli.conftest import Hutong
from tests.cli.test_official_words import wrong_words

ENGLISH = re.compile(
    r"Usage|OPTIONS|COMMAND|ARGS|Options|Commands|Arguments|Show this|required|default"
    r"|\b(?:bool|datetime|int|list|path|str|ChildReference|UUID)\b|%Y"
)
"""Typer's own words."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of a command and of each of its subcommands."""
    yield path
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, (*path, name))


ALL = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_help_of_a_command_is_chinese(
    hutong: Hutong, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = hutong(*words, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.strip().startswith(" ".join(("用法：hutong", *words)))
    assert "显示这份说明。" in result.out
    assert ENGLISH.findall(result.out) == []
    assert wrong_words(result.out) == []


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_no_text_of_the_help_is_cut_off(
    hutong: Hutong, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert not re.search(r"(?<!…)…(?!…)", hutong(*words, "--help").out)


def test_the_help_of_a_command_lists_each_of_its_options(hutong: Hutong) -> None:
    listed = re.findall(r"--[a-z-]+", hutong("act", "split", "--help").out)
    assert listed == ["--unit", "--role", "--child", "--record", "--other", "--other", "--person", "--help"]


def test_the_help_shows_required_options_defaults_and_codes(hutong: Hutong) -> None:
    contact, inbox = hutong("act", "contact", "--help").out, hutong("inbox", "--help").out
    assert re.search(r"\* +--child +儿童编号 .*［必填］", contact, re.DOTALL)
    assert re.search(r"--mode +phone\|in_person\|message .*［默认 phone］", contact, re.DOTALL)
    assert re.search(r"--last +整数 .*［默认 40］", inbox)
    assert "hutong inbox [选项] {单位}" in inbox
