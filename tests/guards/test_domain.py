"""Decisions are pure, and no service reads the clock or a random number. Import rules cannot express either."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services"

PURE = {
    "__future__", "calendar", "collections", "dataclasses", "datetime", "enum", "functools", "itertools", "math", "re",
    "string", "typing", "unicodedata", "uuid", "zoneinfo",
}  # fmt: skip
"""Modules of the standard library without input, output, waiting and random numbers."""
THIRD_PARTY = {"pypinyin", "rapidfuzz", "stdnum"}
"""Pure libraries for the pronunciation of names, the distance of words and check digits."""
SHARED = {"contracts.vocabulary", "contracts.child_number", "workbooks.headers", "workbooks.text"}
"""The shared codes, and the normalisation of headers and texts that the workbook reader uses too."""

IMPURE_CALLS = {"now", "today", "utcnow", "time", "time_ns", "uuid1", "uuid4", "random", "token_hex", "urandom"}
RANDOM_KEYS = {"registry/vault.py"}
"""Modules whose keys and nonces must be random; nothing that is compared or emitted depends on them."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_decisions_import_the_standard_library_the_vocabulary_and_named_pure_libraries_only() -> None:
    for path in SERVICES.glob("*/domain/**/*.py"):
        own = f"services.{path.relative_to(SERVICES).parts[0]}.domain"
        for name in imported(path):
            allowed = name in SHARED or name.startswith(own) or name.split(".")[0] in PURE | THIRD_PARTY
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_no_service_reads_the_clock_or_a_random_number() -> None:
    """Time is an event and ids are derived from their causes, so a replay of a log gives the same state."""
    for path in SERVICES.rglob("*.py"):
        if str(path.relative_to(SERVICES)) in RANDOM_KEYS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                assert called not in IMPURE_CALLS, f"{path.relative_to(ROOT)}:{node.lineno} calls {called}"
