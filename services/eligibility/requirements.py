"""What the rules require of a county's data. ``county.checks`` verifies it before the data is activated."""

from collections.abc import Iterable, Mapping

from county.requirements import Quotation, Requirements
from services.eligibility.domain.assessment import RULEBOOK
from services.eligibility.domain.parameters import COUNTY_TERMS
from services.eligibility.domain.sources import SOURCES, Citation


def _quotations(cited: Iterable[tuple[str, Citation]]) -> Mapping[str, Quotation]:
    """Return quotations of the policy itself, where its wording was available."""
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
