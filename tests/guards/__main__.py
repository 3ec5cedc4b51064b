"""Breaks each promise on purpose: takes one guard out, runs the one test that must notice, puts the next one out.

Every module of this package with a list ``GUARDS`` is read. The tree itself is never touched: a copy is patched.
``python -m tests.guards [NAME ...]`` runs all guards, or those whose name contains one of the words.
"""

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.guards
from tests.guards.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    *("contracts", "workbooks", "county", "client", "runtime", "services", "deploy", "cli", "demo"),
    *("tests", "benchmarks", "scripts", "pyproject.toml"),
)
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache")
PATIENCE_S = 400
FAILED = 1
"""pytest's exit code when tests ran and failed. Any other (nothing collected, a usage error) proves nothing."""


class StaleGuard(Exception):
    """A guard's text stands not exactly once in its file: the code has changed and the list has not."""


def main(words: list[str]) -> int:
    """0 when every removal was noticed."""
    guards = [guard for guard in all_guards() if not words or any(word in guard.name for word in words)]
    table = Table("guard", "file", "test", "seconds", "noticed")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="hutong-guards-") as scratch:
        tree = Path(scratch)
        copy_tree(tree)
        if not untouched_passes(tree, guards):
            return 1
        for guard in guards:
            started = time.monotonic()
            said = attempt(tree, guard)
            missed += said != "yes"
            table.add_row(guard.name, guard.file, guard.test, f"{time.monotonic() - started:.0f}", said)
            print(f"{guard.name}: {said}", file=sys.stderr, flush=True)
    Console(width=200).print(table)
    return 1 if missed else 0


def all_guards() -> list[Guard]:
    """What every module of this package lists."""
    found: list[Guard] = []
    for module in pkgutil.iter_modules(tests.guards.__path__):
        if not module.name.startswith("_"):
            found += getattr(importlib.import_module(f"tests.guards.{module.name}"), "GUARDS", [])
    return found


def copy_tree(tree: Path) -> None:
    """What the tests need, with the environment and the jars of the real tree."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=SKIPPED)
        elif source.exists():
            shutil.copy(source, tree / name)


def attempt(tree: Path, guard: Guard) -> str:
    """Take the guard out, run its test, put it back: ``yes`` when the test failed."""
    path = tree / guard.file
    whole = path.read_text("utf-8")
    if whole.count(guard.old) != 1:
        raise StaleGuard(f"{guard.name}: its text stands {whole.count(guard.old)} times in {guard.file}")
    path.write_text(whole.replace(guard.old, guard.new), "utf-8")
    try:
        said = _run(tree, guard)
        # A stack that did not start on a busy machine proves nothing, neither way.
        return _run(tree, guard) if said.startswith("unclear") else said
    finally:
        path.write_text(whole, "utf-8")


def untouched_passes(tree: Path, guards: list[Guard]) -> bool:
    """A test that fails anyway notices nothing: all of them must pass before anything is taken out."""
    done = _pytest(tree, sorted({guard.test for guard in guards}), PATIENCE_S * 10)
    if done.returncode != 0:
        print(done.stdout[-4000:], "The tests fail with every guard in place: nothing was tried.", file=sys.stderr)
    return done.returncode == 0


def _run(tree: Path, guard: Guard) -> str:
    try:
        done = _pytest(tree, [guard.test], PATIENCE_S)
    except subprocess.TimeoutExpired:
        return "unclear: no answer in time"
    return noticed(done.returncode, done.stdout)


def noticed(code: int, said: str) -> str:
    """``yes`` when the test ran and failed. What broke before it ran (a fixture, an import) proves nothing."""
    last = said.rstrip().rpartition("\n")[2]
    if code == FAILED and re.search(r"\b[0-9]+ failed\b", last):
        return "yes"
    return "NO" if code == 0 else f"unclear: pytest ended with {code}"


def _pytest(tree: Path, tests: list[str], patience: float) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        # The copy comes before the editable install of the real tree.
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HUTONG_TEST_TIMEOUT": os.environ.get("HUTONG_TEST_TIMEOUT", "30"),
        "HUTONG_HOME": os.environ.get("HUTONG_HOME", str(ROOT / ".hutong")),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(tree), *tests]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=patience, check=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
