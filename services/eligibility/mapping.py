"""Map published data to the rules' input, and the rules' results to the published assessment."""

from collections.abc import Iterable
from datetime import date
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from contracts.county import County, Route
from contracts.eligibility import ChildAssessed
from contracts.event import PreSerialized
from contracts.registry import Fact
from contracts.vocabulary import TOWNSHIP, Certainty, FactName, FindingCode
from services.eligibility.domain.answer import Ground, MissingInput
from services.eligibility.domain.assessment import Assessment, RuleResult
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
    """What :func:`packed` stored."""
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


def serialize_answers(
    assessment: Assessment,
    county: County,
    *,
    state: str,
    absorbed_by: UUID | None,
    absorbs: tuple[UUID, ...],
    residence: str | None,
) -> bytes:
    """Serialize everything a consumer may act on as JSON. The caller compares its digest to decide whether it is news.

    Fields that have their contract's default are left out, which halves the size.
    """
    town = county.township(residence)
    return orjson.dumps(
        {
            "state": state,
            "absorbed_by": str(absorbed_by) if absorbed_by is not None else None,
            "absorbs": [str(child) for child in absorbs],
            "residence_division": residence,
            "township": town.code if town is not None else None,
            "migrant": _verdict(assessment.migrant),
            "statistical": _verdict(assessment.statistical),
            "items": [_verdict(result) for result in assessment.items],
            "derived": [
                {
                    "code": finding.code,
                    "route": finding.route,
                    "level": finding.level,
                    "item": finding.item,
                    "reasons": [_reason(ground) for ground in finding.grounds],
                    "confirm_first": finding.confirm_first,
                }
                for finding in assessment.derived
            ],
            "until": assessment.until,
            "ruleset": assessment.ruleset,
            "catalogue": assessment.catalogue,
        }
    )


def _verdict(result: RuleResult) -> dict[str, Any]:
    verdict: dict[str, Any] = {"subject": result.subject, "answer": result.answer}
    if result.grounds:
        verdict["reasons"] = [_reason(ground) for ground in result.grounds]
    if result.missing:
        verdict["missing"] = [_missing_fact(missing) for missing in result.missing]
    if result.citations:
        verdict["citations"] = result.citations
    if result.certainty is not Certainty.STATED:
        verdict["certainty"] = result.certainty
    if result.fulfilment is not None:
        verdict["fulfilment"] = result.fulfilment
    if result.until is not None:
        verdict["until"] = result.until
    return verdict


def _reason(ground: Ground) -> dict[str, Any]:
    if ground.params:
        return {"code": ground.code, "supports": ground.supports, "params": ground.params}
    return {"code": ground.code, "supports": ground.supports}


def _missing_fact(missing: MissingInput) -> dict[str, Any]:
    if missing.criterion is None:
        return {"fact": missing.fact, "held_by": missing.held_by}
    return {"fact": missing.fact, "criterion": missing.criterion, "held_by": missing.held_by}


class SerializedAssessment(PreSerialized, ChildAssessed):
    """A ``ChildAssessed`` that carries its JSON instead of parsed fields."""


def to_event(child: UUID, child_version: int, number: int, on: date, content: bytes) -> SerializedAssessment:
    """Return the event for answers that :func:`serialize_answers` wrote. The first assessment has number 1."""
    head = orjson.dumps({"child": str(child), "child_version": child_version, "assessment": number, "on": on})
    return SerializedAssessment.of(head[:-1] + b"," + content[1:], child=child)
