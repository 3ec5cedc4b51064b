"""The examples run as their README says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.embedded import jars
from tests.conftest import embedded_only

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
UNIT = "341722-jtj"


def _run(*words: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """Return the log-in of one unit of a running installation."""
    home = tmp_path / "installation"
    stack = ("-m", "deploy.embedded")
    own = {"HUTONG_HOME": str(jars.home())}
    try:
        started = _run(*stack, "up", "--home", home, env=own)
        assert started.returncode == 0, started.stdout + started.stderr
        installation = json.loads((home / "installation.json").read_text())
        yield {
            "KAFKA_SERVER": installation["bootstrap"],
            "KAFKA_USER": UNIT,
            "KAFKA_PASSWORD": installation["users"][UNIT],
        }
    finally:
        stopped = _run(*stack, "down", "--home", home, env=own)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def test_every_example_is_listed() -> None:
    files = {file.name for file in EXAMPLES.iterdir() if file.is_file()} - {"README.md"}
    listed = re.findall(r"\]\(([\w.]+)\)", (EXAMPLES / "README.md").read_text("utf-8"))
    assert set(listed) == files


def test_the_client_imports_nothing_of_hutong() -> None:
    text = (EXAMPLES / "submit_rows.py").read_text("utf-8")
    modules = {name.split(".")[0] for name in re.findall(r"^(?:import|from) ([\w.]+)", text, re.MULTILINE)}
    assert modules - sys.stdlib_module_names == {"confluent_kafka"}


def test_explain_answers_for_the_child_of_the_example() -> None:
    answered = _run(Path(sys.executable).with_name("hutong"), "explain", EXAMPLES / "child.yaml", "--on", "2026-11-23")
    assert answered.returncode == 0, answered.stderr
    assert "流动儿童：是" in answered.stdout
    assert "R23" in answered.stdout


@embedded_only
@pytest.mark.timeout(240)
def test_a_unit_submits_rows_and_reads_its_receipt(login: Mapping[str, str]) -> None:
    """One row is accepted, one cell of the other is refused with its remedy; a repeated file is the same again."""
    sent = (EXAMPLES / "submit_rows.py", EXAMPLES / "rows.csv", "--dataset", "school", "--period", "2026H2")

    first = _run(*sent, "--coverage", "delta", env=login)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "row 3 出生日期: 日历上没有这一天。" in first.stdout
    assert "taken: 1 accepted, 1 refused, 0 unchanged" in first.stdout

    repeated = _run(*sent, "--coverage", "delta", env=login)
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    assert "same_again: 0 accepted, 0 refused" in repeated.stdout
