"""Every import rule of ``pyproject.toml`` is kept; each rule is a test of its own."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
RULES = [contract["name"] for contract in CONTRACTS]


@cache
def lint_report() -> str:
    """Return what ``lint-imports`` prints."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES)
def test_an_import_rule_is_kept(rule: str) -> None:
    found = re.search(rf"^{re.escape(rule)}\b.* (KEPT|BROKEN)", lint_report(), re.MULTILINE)
    assert found is not None, lint_report()
    assert found[1] == "KEPT", lint_report()
