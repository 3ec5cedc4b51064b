"""Requirements of the rules in force on a county's data; the eligibility service states them in these types."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quotation:
    """A verbatim phrase of the policy, and the article or row that it is quoted from."""

    article: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Requirements:
    """The terms that the rules leave to the county, and what the rules quote of the policy."""

    terms: frozenset[str]
    items: Mapping[str, Quotation]
    """Quotations by the item of the list that the rule answers."""
    sources: Mapping[str, Quotation]
    """Quotations by the name of a source that several rules share."""
