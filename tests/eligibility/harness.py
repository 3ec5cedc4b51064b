"""Builds ordinary children; a test states only what is unusual about its child."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from contracts.vocabulary import FactName
from services.eligibility.domain.facts import Claim, Facts, parse_facts

ON = date(2026, 11, 23)

MIGRANT: Mapping[str, Any] = {
    "birth_date": "2016-03-15",
    "hukou_division": "341702",
    "residence_division": "341722100",
    "residence_since": "2025-09-01",
    "lives_with_mother": True,
}
"""Moved from 贵池区 to 仁里镇 with the mother fourteen months before, ten years old."""


def claims(recorded_on: date = ON, *, dataset: str = "village", **facts: Any) -> list[Claim]:
    """Return claims of these facts, all recorded on one day; a fact with the value None has no claim."""
    return [
        Claim(FactName(name), value, "341722-renli", dataset, "2026H2", recorded_on, recorded_on, True, False)
        for name, value in facts.items()
        if value is not None
    ]


def a_migrant_child(recorded_on: date = ON, **changes: Any) -> Facts:
    return parse_facts(claims(recorded_on, **{**MIGRANT, **changes}))
