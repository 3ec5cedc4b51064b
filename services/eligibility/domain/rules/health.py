"""Rules of row 8 of the list (病有所医)."""

from services.eligibility.domain.answer import UNCONDITIONAL, Evaluation
from services.eligibility.domain.case import Case
from services.eligibility.domain.rulebook import rule
from services.eligibility.domain.rules.definition import migrant_here
from services.eligibility.domain.rules.stages import insured
from services.eligibility.domain.sources import Citation


@rule(
    "B-8(1)",
    Citation("row 8", "做好流动儿童医疗保障相关工作"),
    audience=migrant_here,
    reading="每个流动儿童都有：在居住地参保（实施方案（四））",
)
def medical_insurance(case: Case) -> Evaluation:
    return UNCONDITIONAL


@rule(
    "B-8(2)",
    Citation("row 8", "提供异地就医直接结算服务"),
    audience=migrant_here,
    reading="当年已参保的，不论在哪里参保：在参保地以外就医时直接结算",
)
def settlement_elsewhere(case: Case) -> Evaluation:
    return insured(case)
