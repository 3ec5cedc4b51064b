"""The rules without a broker, for whoever asks them about one child: facts in, an assessment out."""

from services.eligibility.domain.answer import Missing, Reason
from services.eligibility.domain.assessment import Assessment, Derived, Verdict, assess
from services.eligibility.domain.facts import (
    CODES,
    DAYS,
    EARLIEST,
    FLAGS,
    LATEST,
    NUMBERS,
    WORDS,
    Claim,
    Facts,
    UnreadableFact,
    facts_of,
)
from services.eligibility.wire import terms_of

__all__ = [
    "CODES",
    "DAYS",
    "EARLIEST",
    "FLAGS",
    "LATEST",
    "NUMBERS",
    "WORDS",
    "Assessment",
    "Claim",
    "Derived",
    "Facts",
    "Missing",
    "Reason",
    "UnreadableFact",
    "Verdict",
    "assess",
    "facts_of",
    "terms_of",
]
