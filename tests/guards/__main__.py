"""Removes each guard in turn from a copy of the tree and checks that its test fails.

The guards are the ``GUARDS`` lists of this package's modules. ``python -m tests.guards [WORD ...]`` checks all guards,
or those whose name contains one of the words.
"""

import asyncio
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.guards
from deploy.embedded.stack import LocalStack
from tests.guards.guard import Guard
from tests.running_stack import FOLDER_SETTING, remove_databases

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    *("contracts", "workbooks", "county", "client", "runtime", "services", "deploy", "cli", "demo"),
    *("tests", "benchmarks", "scripts", "pyproject.toml"),
)
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache")
TIMEOUT_S = 400.0
OWN_STACK = ("tests/deploy/", "tests/cli/")
"""Tests that provision a broker and a database server: each of their runs starts its own."""
FAILED = 1
"""pytest's exit status when a test or a fixture failed."""


class StaleGuard(Exception):
    """A guard's text is not in its file exactly once: the code has changed and the list has not."""


def main(words: list[str]) -> int:
    """Check the guards and print a table. Return 0 if the removal of every guard was noticed, else 1."""
    guards = [guard for guard in all_guards() if not words or any(word in guard.name for word in words)]
    table = Table("guard", "file", "test", "seconds", "noticed")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="hutong-guards-") as scratch:
        tree = Path(scratch)
        copy_tree(tree)
        if not unchanged_passes(tree, guards):
            return 1
        with LocalStack(tree / "stack", durable=False) as stack:
            stack.write_state()
            for guard in guards:
                started = time.monotonic()
                outcome = attempt(tree, guard, stack)
                missed += outcome != "yes"
                table.add_row(guard.name, guard.file, guard.test, f"{time.monotonic() - started:.0f}", outcome)
                print(f"{guard.name}: {outcome}", file=sys.stderr, flush=True)
    Console(width=200).print(table)
    return 1 if missed else 0


def all_guards() -> list[Guard]:
    """Return the guards of every module of this package."""
    found: list[Guard] = []
    for module in pkgutil.iter_modules(tests.guards.__path__):
        if not module.name.startswith("_"):
            found += getattr(importlib.import_module(f"tests.guards.{module.name}"), "GUARDS", [])
    return found


def copy_tree(tree: Path) -> None:
    """Copy what the tests need. The environment and the jars of the real tree are used."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=SKIPPED)
        elif source.exists():
            shutil.copy(source, tree / name)


def attempt(tree: Path, guard: Guard, stack: LocalStack) -> str:
    """Remove the guard, run its test and restore the file. Return the outcome as ``noticed`` does.

    Raises:
        StaleGuard: the guard's text is not in its file exactly once.
    """
    path = tree / guard.file
    whole = path.read_text("utf-8")
    if whole.count(guard.old) != 1:
        raise StaleGuard(f"{guard.name}: its text is {whole.count(guard.old)} times in {guard.file}")
    path.write_text(whole.replace(guard.old, guard.new), "utf-8")
    try:
        outcome = _run(tree, guard, stack)
        # On a busy machine a stack may fail to start.
        return _run(tree, guard, stack) if outcome.startswith("unclear") else outcome
    finally:
        path.write_text(whole, "utf-8")


def unchanged_passes(tree: Path, guards: list[Guard]) -> bool:
    """Return whether all tests pass with every guard in place: a test that fails anyway notices nothing."""
    done = _pytest(tree, sorted({guard.test for guard in guards}), 10 * TIMEOUT_S, {})
    if done.returncode != 0:
        print(done.stdout[-4000:], "The tests fail with every guard in place: no guard was checked.", file=sys.stderr)
    return done.returncode == 0


def _run(tree: Path, guard: Guard, stack: LocalStack) -> str:
    if guard.test.startswith(OWN_STACK):
        shared = {}
    else:
        asyncio.run(remove_databases(stack.postgres.superuser_dsn))
        shared = {FOLDER_SETTING: str(stack.directory)}
    try:
        done = _pytest(tree, [guard.test], TIMEOUT_S, shared)
    except subprocess.TimeoutExpired:
        return f"unclear: pytest did not end within {TIMEOUT_S:.0f} s"
    return noticed(done.returncode, done.stdout)


def noticed(status: int, output: str) -> str:
    """Return ``yes`` if the test ran and failed, ``NO`` if it passed, else ``unclear``.

    Whatever fails before the test runs (a fixture, an import, its collection) proves nothing.
    """
    summary = output.rstrip().rpartition("\n")[2]
    if status == FAILED and re.search(r"\b[0-9]+ failed\b", summary):
        return "yes"
    return "NO" if status == 0 else f"unclear: pytest ended with {status}"


def _pytest(
    tree: Path, tests: list[str], timeout: float, settings: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        # So that the copy is imported, not the editable install of the real tree.
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HUTONG_TEST_TIMEOUT": os.environ.get("HUTONG_TEST_TIMEOUT", "30"),
        "HUTONG_HOME": os.environ.get("HUTONG_HOME", str(ROOT / ".hutong")),
        **settings,
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(tree), *tests]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
