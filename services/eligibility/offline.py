"""The rules without a broker: callers pass the facts of one child and get an assessment."""

from services.eligibility.domain.answer import Ground, MissingInput
from services.eligibility.domain.assessment import Assessment, GapFinding, RuleResult, assess
from services.eligibility.domain.facts import (
    ALLOWED_CODES,
    CODES,
    DATES,
    EARLIEST,
    FLAGS,
    LATEST,
    NUMBERS,
    Claim,
    Facts,
    UnreadableFact,
    parse_facts,
)
from services.eligibility.mapping import rule_parameters

__all__ = [
    "ALLOWED_CODES",
    "CODES",
    "DATES",
    "EARLIEST",
    "FLAGS",
    "LATEST",
    "NUMBERS",
    "Assessment",
    "Claim",
    "Facts",
    "GapFinding",
    "Ground",
    "MissingInput",
    "RuleResult",
    "UnreadableFact",
    "assess",
    "parse_facts",
    "rule_parameters",
]
