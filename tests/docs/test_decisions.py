"""Decision pages keep one form, are numbered without gaps, and are listed in their index."""

import re
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from contracts.flow import Stage

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives"]
STATUS = re.compile(r"proposed|accepted|accepted, shape only|superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)")


def _heading(page: Path) -> tuple[str, str, str, str]:
    """Return number, title, status and date of a page."""
    heading = re.match(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (.+)\n\n", page.read_text("utf-8"))
    assert heading is not None, f"{page.name} does not begin as template.md does"
    number, title, status, day = heading.groups()
    return number, title, status, day


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_the_form_of_the_template(page: Path) -> None:
    number, _, status, day = _heading(page)
    assert page.name.startswith(f"{int(number):04d}-")
    assert STATUS.fullmatch(status)
    assert date.fromisoformat(day).isoformat() == day
    assert re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_names_only_planned_stages(page: Path) -> None:
    named = re.findall(r'stage\s+"([^"]*)"', page.read_text("utf-8"))
    assert set(named) <= set(get_args(Stage))


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_the_index_lists_every_decision_as_its_page_states_it() -> None:
    rows = re.findall(
        r"^\| (\d+) \| \[(.+?)\]\(([\w.-]+)\) \| (.+) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    expected = []
    for page in PAGES:
        number, title, status, day = _heading(page)
        expected.append((number, title, page.name, status, day))
    assert rows == expected
