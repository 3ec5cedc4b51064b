"""What import rules cannot say: decisions are pure, and nothing in a service depends on when or where it runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services"

PURE = {
    "__future__", "calendar", "collections", "dataclasses", "datetime", "enum", "functools", "itertools", "math", "re",
    "string", "typing", "unicodedata", "uuid", "zoneinfo",
}  # fmt: skip
"""Of the standard library: nothing that reads, writes, waits or throws dice."""
NAMED = {"pypinyin", "rapidfuzz", "stdnum"}
"""Pure libraries: how names sound, how far words are apart, what a number's last digit must be."""
OURS = {"contracts.vocabulary", "contracts.child_number", "workbooks.headers", "workbooks.text"}
"""The codes that everybody shares, and how a header or a text is folded, which the reader of workbooks does alike."""

BY_CHANCE = {"now", "today", "utcnow", "time", "time_ns", "uuid1", "uuid4", "random", "token_hex", "urandom"}
SECRETS_ALONE = {"registry/vault.py"}
"""Keys and nonces must be random; nothing that is compared or said comes of them."""


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
            allowed = name in OURS or name.startswith(own) or name.split(".")[0] in PURE | NAMED
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_no_service_asks_for_the_time_or_for_chance() -> None:
    """Time is an event and ids come of their causes: a log that is read again gives the same state."""
    for path in SERVICES.rglob("*.py"):
        if str(path.relative_to(SERVICES)) in SECRETS_ALONE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                assert called not in BY_CHANCE, f"{path.relative_to(ROOT)}:{node.lineno} calls {called}"
