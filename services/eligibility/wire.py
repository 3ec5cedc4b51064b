"""Between the wire and the rules: the county's data and a child's facts in, an assessment out."""

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
from contracts.vocabulary import Certainty, FactName, FindingCode
from services.eligibility.domain.answer import Missing, Reason
from services.eligibility.domain.assessment import Assessment, Verdict
from services.eligibility.domain.facts import Claim
from services.eligibility.domain.rulebook import RULESET
from services.eligibility.domain.terms import COUNTY_TERMS, Asks, CountyCriterion, Terms, Way, not_defined

TOWNSHIP = "township"
"""In the county's data: the unit of the child's township."""

_built: dict[int, tuple[County, Terms]] = {}
"""By identity of the county's document, which is kept alive here so that its identity stays its own."""


def terms_of(county: County) -> Terms:
    """What the rules may look at of the county. Built once for each version."""
    known = _built.get(id(county))
    if known is not None:
        return known[1]
    terms = _terms(county)
    if len(_built) >= 16:
        _built.clear()
    _built[id(county)] = (county, terms)
    return terms


def _terms(county: County) -> Terms:
    limits = county.thresholds
    current = {division.code: _today(county, division.code) for division in county.divisions}
    current[county.code] = county.code
    return Terms(
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
        current=current,
        districts={
            division.code: division.district_of for division in county.divisions if division.district_of is not None
        },
        cities=frozenset(code[:4] for code in current.values()),
        towns={town.code: town.unit for town in county.townships},
        criteria={
            criterion.term: CountyCriterion(
                criterion.term, criterion.requires, criterion.citation.certainty, criterion.invented
            )
            for criterion in county.criteria
        },
        items={item.id: item.fulfilment for item in county.catalogue},
        undefined={term: not_defined(term, _definers(county, item)) for term, item in COUNTY_TERMS.items()},
        ways={code: _way(routes[0]) for code in FindingCode if (routes := county.routes_for(code))},
        asks={
            town: Asks({name: Missing(name, None, _holders(county, name, town)) for name in FactName})
            for town in (None, *dict.fromkeys(town.unit for town in county.townships))
        },
    )


def _definers(county: County, item: str | None) -> tuple[str, ...]:
    """The units of the item that needs a term; for a term of no item, the lead unit."""
    listed = county.item(item) if item is not None else None
    return listed.units if listed is not None else (county.lead_unit,)


def _holders(county: County, name: FactName, town: str | None) -> tuple[str, ...]:
    """``township`` stands for the unit of the child's township, or the lead unit while that is not known."""
    held = (town or county.lead_unit if unit == TOWNSHIP else unit for unit in county.holders.get(name, ()))
    return tuple(dict.fromkeys(held))


def _digest(county: County) -> str:
    return blake2b(county.model_dump_json().encode(), digest_size=8).hexdigest()


def _today(county: County, code: str) -> str:
    """Follow an abolished code to the one that stands today."""
    seen = {code}
    while (division := county.division(code)) is not None and division.successor is not None:
        code = division.successor
        if code in seen:
            return code
        seen.add(code)
    return code


def _way(route: Route) -> Way:
    return Way(route.id, route.level, route.restricted or route.confirm_derived)


def claims_of(facts: Iterable[Fact]) -> list[Claim]:
    """A snapshot's facts as the rules know them."""
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


def packed(claims: Iterable[Claim]) -> str:
    """Claims as they are stored: a JSON array of arrays."""
    return orjson.dumps([tuple(claim) for claim in claims]).decode()


def unpacked(stored: str) -> list[Claim]:
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


def basis_of(county: County) -> str:
    """The rules and the county's data, as a name: two counties' data under one version name still differ."""
    return terms_of(county).basis


def content_of(
    assessment: Assessment,
    county: County,
    *,
    state: str,
    absorbed_by: UUID | None,
    absorbs: tuple[UUID, ...],
    residence: str | None,
) -> bytes:
    """Everything that is said and that a reader may act on, as JSON: compared to see whether it is news.

    Half of an assessment is what its contract has as a default, which is left out.
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
            "items": [_verdict(one) for one in assessment.items],
            "derived": [
                {
                    "code": one.code,
                    "route": one.route,
                    "level": one.level,
                    "item": one.item,
                    "reasons": [_reason(reason) for reason in one.reasons],
                    "confirm_first": one.confirm_first,
                }
                for one in assessment.derived
            ],
            "until": assessment.until,
            "ruleset": assessment.ruleset,
            "catalogue": assessment.catalogue,
        }
    )


def _verdict(one: Verdict) -> dict[str, Any]:
    said: dict[str, Any] = {"subject": one.subject, "answer": one.answer}
    if one.reasons:
        said["reasons"] = [_reason(reason) for reason in one.reasons]
    if one.missing:
        said["missing"] = [_missing(missing) for missing in one.missing]
    if one.citations:
        said["citations"] = one.citations
    if one.certainty is not Certainty.STATED:
        said["certainty"] = one.certainty
    if one.doing is not None:
        said["fulfilment"] = one.doing
    if one.until is not None:
        said["until"] = one.until
    return said


def _reason(one: Reason) -> dict[str, Any]:
    if one.params:
        return {"code": one.code, "supports": one.ok, "params": one.params}
    return {"code": one.code, "supports": one.ok}


def _missing(one: Missing) -> dict[str, Any]:
    if one.criterion is None:
        return {"fact": one.fact, "held_by": one.held_by}
    return {"fact": one.fact, "criterion": one.criterion, "held_by": one.held_by}


class Written(PreSerialized, ChildAssessed):
    """A snapshot as the rules wrote it."""


def assessed(child: UUID, child_version: int, number: int, on: date, content: bytes) -> Written:
    """The snapshot that is said."""
    head = orjson.dumps({"child": str(child), "child_version": child_version, "assessment": number, "on": on})
    return Written.of(head[:-1] + b"," + content[1:], child=child)
