"""Checks that every link and every named file in the documents exists: ``python -m tests.docs_links``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"`((?:contracts|runtime|services|deploy|tests|benchmarks|docs)/[\w./-]+)`")


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]


def broken(document: Path) -> Iterator[str]:
    """What a document points at and does not find, with the line it stands on."""
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        for target in LINK.findall(line):
            if "://" not in target and not (document.parent / target).exists():
                yield f"{document.relative_to(ROOT)}:{number}: no such file: {target}"
        for named in NAMED.findall(line):
            if not (ROOT / named).exists():
                yield f"{document.relative_to(ROOT)}:{number}: names a file that is not there: {named}"


def main() -> int:
    found = documents()
    if len(found) < 3:
        print(f"only {len(found)} documents found: run this from the checkout", file=sys.stderr)
        return 1
    problems = [problem for document in found for problem in broken(document)]
    print("\n".join(problems) or f"{len(found)} documents: every link leads somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
