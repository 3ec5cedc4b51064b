"""What the rules may look at of the county: its thresholds, divisions, criteria, list and routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.vocabulary import Certainty, FactName, FindingCode, Fulfilment, Level
from services.eligibility.domain.answer import Evaluation, MissingInput, unknown

COUNTY_TERMS: Mapping[str, str | None] = {
    "no_hukou_county": None,
    "kindergarten_nearby": "B-3(1)",
    "compulsory_public_school": "B-4(6)",
    "senior_entrance_exam": "B-4(7)",
    "disability_subsidy_extended": "B-12(1)",
    "dibao_terms": "B-14(1)",
    "local_relief": "B-16",
    "community_rehabilitation": "B-19(4)",
}
"""Every term that the rules leave to the county, with the item whose units could define it; None: the lead unit."""


@dataclass(frozen=True, slots=True)
class CountyCriterion:
    """A term the county has defined: facts that must have these values, all of them."""

    term: str
    requires: tuple[tuple[FactName, str], ...]
    certainty: Certainty
    invented: bool


@dataclass(frozen=True, slots=True)
class GapRoute:
    """The route of a finding."""

    route: str
    level: Level
    confirm_first: bool


@dataclass(frozen=True, slots=True)
class MissingInputs:
    """Whom to ask for a missing fact about a child of one township."""

    by_fact: Mapping[FactName, MissingInput]
    evaluations: dict[tuple[tuple[FactName, ...], tuple[str, ...]], Evaluation] = field(
        default_factory=dict, compare=False
    )
    """Answers to "nobody has told", made once: most of what is asked of most children is not known."""


@dataclass(frozen=True, slots=True)
class RuleParameters:
    """One version of the county's data."""

    county: str
    """6 digits."""
    basis: str
    """Names this version of the county's data together with the rules."""
    catalogue: str
    age_limit: int
    ages_day_after: bool
    residence_months: int
    absence_days: int
    rehab_max_age: int
    unattended_age: int
    school_cutoff: tuple[int, int]
    dibao_at_residence: bool
    current_codes: Mapping[str, str]
    """Every division code the county lists, abolished ones with the code that stands today."""
    districts: Mapping[str, str]
    """市辖区 -> the city it belongs to."""
    cities: frozenset[str]
    """The first four digits of the codes that stand today."""
    townships: Mapping[str, str]
    """9-digit code of the county's townships -> the unit that answers for it."""
    criteria: Mapping[str, CountyCriterion]
    """Terms that the county has defined."""
    items: Mapping[str, Fulfilment]
    """The items of the county's list, and where each is done."""
    routes: Mapping[FindingCode, GapRoute]
    undefined_terms: Mapping[str, Evaluation]
    """What to say of a term that the county has not defined."""
    missing_inputs: Mapping[str | None, MissingInputs]
    """For a child of each township's unit, and for one of no known township."""


def undefined_term(term: str, units: tuple[str, ...]) -> Evaluation:
    """What is said wherever a rule needs a term that the county has not defined."""
    return unknown("criterion_not_set", [MissingInput(None, term, units)], term=term)
