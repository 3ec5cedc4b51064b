"""The demo county for tests: read once from its folder, changed as a test needs it."""

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
    """The demo county, with these fields changed. The changed county is validated like any other."""
    return County.model_validate({**dict(demo_county()), **changes}) if changes else demo_county()
