"""The county's data that the rules read: thresholds, divisions, criteria, list of services and routes."""

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
"""Every term that the county defines -> the item whose units can define it; None for the lead unit."""


@dataclass(frozen=True, slots=True)
class CountyCriterion:
    """The county's definition of a term: facts that must all have these values."""

    term: str
    requires: tuple[tuple[FactName, str], ...]
    certainty: Certainty
    invented: bool


@dataclass(frozen=True, slots=True)
class GapRoute:
    """The county's route for a finding."""

    route: str
    level: Level
    confirm_first: bool


@dataclass(frozen=True, slots=True)
class MissingInputs:
    """The missing inputs for children of one township, with the units to ask."""

    by_fact: Mapping[FactName, MissingInput]
    evaluations: dict[tuple[tuple[FactName, ...], tuple[str, ...]], Evaluation] = field(
        default_factory=dict, compare=False
    )
    """Memoized "not reported" evaluations, because most facts of most children are not known."""


@dataclass(frozen=True, slots=True)
class RuleParameters:
    """The rules' parameters from one version of the county's data."""

    county: str
    """The county's division code, 6 digits."""
    basis: str
    """The name of this version of the county's data together with the rules' version."""
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
    """Every listed division code -> the code in force today."""
    districts: Mapping[str, str]
    """市辖区 -> the city it belongs to."""
    cities: frozenset[str]
    """The first four digits of the codes in force today."""
    townships: Mapping[str, str]
    """9-digit code of the county's townships -> the unit responsible for it."""
    criteria: Mapping[str, CountyCriterion]
    """Term -> the county's definition."""
    items: Mapping[str, Fulfilment]
    """Item of the county's list -> where it is granted."""
    routes: Mapping[FindingCode, GapRoute]
    undefined_terms: Mapping[str, Evaluation]
    """Term -> the answer if the county has not defined it."""
    missing_inputs: Mapping[str | None, MissingInputs]
    """Unit of the child's township -> missing inputs; None for a child whose township is not known."""


def undefined_term(term: str, units: tuple[str, ...]) -> Evaluation:
    """Answer unknown because the county has not defined a term."""
    return unknown("criterion_not_set", [MissingInput(None, term, units)], term=term)
