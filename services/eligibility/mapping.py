"""Map published data to the rules' input."""

from collections.abc import Iterable
from datetime import date
from hashlib import blake2b

import orjson

from contracts.county import County, Route
from contracts.registry import Fact
from contracts.vocabulary import TOWNSHIP, FactName, FindingCode
from services.eligibility.domain.answer import MissingInput
from services.eligibility.domain.facts import Claim
from services.eligibility.domain.parameters import (
    COUNTY_TERMS,
    CountyCriterion,
    GapRoute,
    MissingInputs,
    RuleParameters,
    undefined_term,
)
from services.eligibility.domain.rulebook import RULESET

_parameters_cache: dict[int, tuple[County, RuleParameters]] = {}
"""Keyed by ``id(county)``. Each entry keeps its county alive, so that the id cannot be reused."""


def rule_parameters(county: County) -> RuleParameters:
    """Return the parameters that the rules read from the county's data. They are built once for each version."""
    cached = _parameters_cache.get(id(county))
    if cached is not None:
        return cached[1]
    parameters = _build_parameters(county)
    if len(_parameters_cache) >= 16:
        _parameters_cache.clear()
    _parameters_cache[id(county)] = (county, parameters)
    return parameters


def _build_parameters(county: County) -> RuleParameters:
    limits = county.thresholds
    current = {division.code: _current_code(county, division.code) for division in county.divisions}
    current[county.code] = county.code
    return RuleParameters(
        county=county.code,
        basis=f"{RULESET} {county.version} {_digest(county)}",
        catalogue=county.catalogue_version,
        age_limit=limits.age_limit,
        ages_day_after=limits.age_reached_on == "day_after",
        residence_months=limits.residence_months,
        absence_days=limits.absence_breaks_after_days,
        rehab_max_age=limits.rehab_max_age,
        unattended_age=limits.unattended_age,
        school_cutoff=limits.cutoff,
        dibao_at_residence=limits.dibao_at_residence_enabled,
        current_codes=current,
        districts={
            division.code: division.district_of for division in county.divisions if division.district_of is not None
        },
        cities=frozenset(code[:4] for code in current.values()),
        townships={town.code: town.unit for town in county.townships},
        criteria={
            criterion.term: CountyCriterion(
                criterion.term, criterion.requires, criterion.citation.certainty, criterion.invented
            )
            for criterion in county.criteria
        },
        items={item.id: item.fulfilment for item in county.catalogue},
        undefined_terms={term: undefined_term(term, _definers(county, item)) for term, item in COUNTY_TERMS.items()},
        routes={code: _gap_route(routes[0]) for code in FindingCode if (routes := county.routes_for(code))},
        missing_inputs={
            town: MissingInputs({name: MissingInput(name, None, _holders(county, name, town)) for name in FactName})
            for town in (None, *dict.fromkeys(town.unit for town in county.townships))
        },
    )


def _definers(county: County, item: str | None) -> tuple[str, ...]:
    """Return the units of the item that needs a term; the lead unit for a term that no item needs."""
    listed = county.item(item) if item is not None else None
    return listed.units if listed is not None else (county.lead_unit,)


def _holders(county: County, name: FactName, town: str | None) -> tuple[str, ...]:
    """Return the units that hold a fact. ``township`` means the township's unit, or the lead unit if it is unknown."""
    held = (town or county.lead_unit if unit == TOWNSHIP else unit for unit in county.holders.get(name, ()))
    return tuple(dict.fromkeys(held))


def _digest(county: County) -> str:
    return blake2b(county.model_dump_json().encode(), digest_size=8).hexdigest()


def _current_code(county: County, code: str) -> str:
    """Follow an abolished code to the code in force today. A cycle of successors ends at its first repeated code."""
    seen = {code}
    while (division := county.division(code)) is not None and division.successor is not None:
        code = division.successor
        if code in seen:
            return code
        seen.add(code)
    return code


def _gap_route(route: Route) -> GapRoute:
    return GapRoute(route.id, route.level, route.restricted or route.confirm_derived)


def to_claims(facts: Iterable[Fact]) -> list[Claim]:
    """Return a snapshot's facts as the rules' claims."""
    return [
        Claim(
            fact.name,
            fact.value,
            fact.unit,
            fact.dataset,
            fact.period,
            fact.valid_on,
            fact.recorded_on,
            fact.chosen,
            fact.verified,
        )
        for fact in facts
    ]


def serialize_claims(claims: Iterable[Claim]) -> str:
    """Serialize claims for storage, as a JSON array of arrays."""
    return orjson.dumps([tuple(claim) for claim in claims]).decode()


def parse_claims(stored: str) -> list[Claim]:
    """Read claims that :func:`serialize_claims` wrote."""
    return [
        Claim(
            FactName(name),
            value,
            unit,
            dataset,
            period,
            date.fromisoformat(valid_on),
            date.fromisoformat(recorded_on),
            chosen,
            verified,
        )
        for name, value, unit, dataset, period, valid_on, recorded_on, chosen, verified in orjson.loads(stored)
    ]


def rule_basis(county: County) -> str:
    """Name the rules and the county's data. The name contains a digest: two documents of one version name differ."""
    return rule_parameters(county).basis
