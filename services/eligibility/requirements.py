"""What the rules in force ask of a county's data, for whoever checks it before it is put in force."""

from collections.abc import Iterable, Mapping

from county.requirements import Quotation, Requirements
from services.eligibility.domain.assessment import RULEBOOK
from services.eligibility.domain.sources import SOURCES, Citation
from services.eligibility.domain.terms import COUNTY_TERMS


def _quotations(cited: Iterable[tuple[str, Citation]]) -> Mapping[str, Quotation]:
    """Of the policy alone, and where its words were at hand."""
    return {
        code: Quotation(citation.article, citation.phrase)
        for code, citation in cited
        if citation.article is not None and citation.phrase is not None
    }


REQUIREMENTS = Requirements(
    terms=frozenset(COUNTY_TERMS),
    items=_quotations((rule.item, rule.citation) for rule in RULEBOOK),
    sources=_quotations(SOURCES.items()),
)
