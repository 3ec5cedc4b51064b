"""Check that the documents' links, headings, files and commands exist. ``python -m scripts.check_docs``."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import typer

from cli.main import app

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(
    r"`((?:contracts|workbooks|county|client|runtime|services|deploy|cli|demo|tests|benchmarks|scripts|docs|examples)/[\w./-]+)`"
)
MAKE = re.compile(r"(?:`|^ {4})make ([a-z-]+)")
HUTONG = re.compile(r"(?:`|/|^ {4})hutong (?:--home \S+ )?([a-z][\w-]*)(?: ([a-z][\w-]*))?")
MODULE = re.compile(r"python -m ([\w.]+)")


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "examples").glob("*.md")]


def broken(document: Path) -> Iterator[str]:
    """Yield each missing target of a document, with its line number."""
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        for what in (*_links(document, line), *_commands(line)):
            yield f"{document.relative_to(ROOT)}:{number}: {what}"


def _links(document: Path, line: str) -> Iterator[str]:
    for target, heading in LINK.findall(line):
        if "://" in target:
            continue
        there = document.parent / target if target else document
        if not there.exists():
            yield f"no such file: {target}"
        elif heading and heading not in _headings(there):
            yield f"no such heading: {target}#{heading}"
    for named in NAMED.findall(line):
        if not (ROOT / named).exists():
            yield f"names a file that is not there: {named}"


def _commands(line: str) -> Iterator[str]:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    yield from (f"no such target: make {target}" for target in MAKE.findall(line) if target not in targets)
    for name, verb in HUTONG.findall(line):
        known = _hutong()
        if name not in known:
            yield f"no such command: hutong {name}"
        elif known[name] and verb and verb not in known[name]:
            yield f"no such command: hutong {name} {verb}"
    for module in MODULE.findall(line):
        if importlib.util.find_spec(module.rstrip(".")) is None:
            yield f"no such module: python -m {module}"


@cache
def _headings(document: Path) -> frozenset[str]:
    """Return the headings as links name them: lower case, no punctuation, dashes for spaces."""
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found)


@cache
def _hutong() -> dict[str, frozenset[str]]:
    """Every command of `hutong`, with the commands below it."""
    group = typer.main.get_command(app)
    return {name: frozenset(getattr(one, "commands", ())) for name, one in group.commands.items()}  # type: ignore[attr-defined]


def main() -> int:
    found = documents()
    if len(found) < 3:
        print(f"only {len(found)} documents found: run this from the checkout", file=sys.stderr)
        return 1
    problems = [problem for document in found for problem in broken(document)]
    print("\n".join(problems) or f"{len(found)} documents: every link, file and command is there")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
