"""The demo county for tests: read once from its folder and changed as a test needs."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from contracts.county import County
from county.reader import load

FOLDER = Path(__file__).parents[2] / "deploy" / "counties" / "341722"


@cache
def demo_county() -> County:
    return load(FOLDER)


def a_county(**changes: Any) -> County:
    """Return the demo county with these fields changed. The changed county is validated like any other."""
    return County.model_validate({**dict(demo_county()), **changes}) if changes else demo_county()


def copy_county(folder: Path) -> Path:
    """Return a copy of the demo county's folder, to be changed."""
    return Path(shutil.copytree(FOLDER, folder / FOLDER.name))


def replace_in_file(folder: Path, file: str, old: str, new: str) -> int:
    """Replace the only occurrence of ``old``; return its line number."""
    path = folder / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {file}"
    path.write_text(text.replace(old, new), "utf-8")
    return text[: text.index(old)].count("\n") + 1
