"""The list of guards: every text is in its file, every test exists, and every import rule has a guard."""

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.guards.__main__ import ROOT, all_guards, noticed
from tests.guards.guard import Guard
from tests.guards.test_imports import RULES

LISTED = all_guards()


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of the tests and classes of one file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):  # the test case of a Hypothesis state machine
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


@pytest.mark.parametrize("guard", LISTED, ids=lambda guard: guard.name)
def test_a_guards_text_is_in_its_file_once_and_its_test_exists(guard: Guard) -> None:
    whole = (ROOT / guard.file).read_text("utf-8")
    assert whole.count(guard.old) == 1, f"its text is {whole.count(guard.old)} times in {guard.file}"
    assert guard.new != guard.old
    if guard.file.endswith(".py"):
        compile(whole.replace(guard.old, guard.new), guard.file, "exec")  # a syntax error proves nothing
    file, *parts = guard.test.partition("[")[0].split("::")
    assert frozenset(parts) <= names_in(file), f"{file} has no {'::'.join(parts)}"


def test_no_mutation_uses_an_undefined_name(tmp_path: Path) -> None:
    """A NameError makes a test fail that would not notice the missing guard."""
    for number, guard in enumerate(LISTED):
        if guard.file.endswith(".py"):
            whole = (ROOT / guard.file).read_text("utf-8")
            (tmp_path / f"mutation_{number}.py").write_text(whole.replace(guard.old, guard.new), "utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, "check", "--isolated", "--no-cache", "--select", "F821", "--output-format", "concise", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_parameter_that_a_guard_names_is_collected() -> None:
    named = sorted({guard.test for guard in LISTED if "[" in guard.test})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *named],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_guards_have_one_name() -> None:
    assert [name for name, times in Counter(guard.name for guard in LISTED).items() if times > 1] == []


def test_every_import_rule_has_its_guard() -> None:
    """A rule whose violation was never seen may be one that cannot be violated."""
    guarded = {guard.test.partition("[")[2].rstrip("]") for guard in LISTED if "test_imports.py" in guard.test}
    assert guarded == set(RULES)


@pytest.mark.parametrize(
    ("status", "output", "expected"),
    [
        (1, "E   handler_failed\n1 failed in 2.00s\n", "yes"),
        (1, "1 failed, 3 passed, 1 warning in 2.00s", "yes"),
        (0, "3 passed in 1.00s", "NO"),
        (1, "handler_failed\n1 error in 2.00s", "unclear: pytest ended with 1"),
        (2, "Interrupted: 1 error during collection", "unclear: pytest ended with 2"),
        (5, "no tests ran in 0.01s", "unclear: pytest ended with 5"),
    ],
)
def test_only_a_test_that_ran_and_failed_has_noticed(status: int, output: str, expected: str) -> None:
    """A stack that did not start, a broken fixture and a collection error prove nothing."""
    assert noticed(status, output) == expected
