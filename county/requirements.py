"""What the rules in force ask of a county's data. The rules are a service's, which says it in these terms."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quotation:
    """Words of the policy: the article or row they are said to stand in, and the phrase, word for word."""

    article: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Requirements:
    """The terms that the rules leave to the county, and what the rules quote of the policy."""

    terms: frozenset[str]
    items: Mapping[str, Quotation]
    """By the item of the list that the rule answers."""
    sources: Mapping[str, Quotation]
    """By the name of what several rules rest on."""
