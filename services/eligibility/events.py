"""Map the rules' results to the published assessment."""

from datetime import date
from typing import Any
from uuid import UUID

import orjson

from contracts.county import County
from contracts.eligibility import ChildAssessed
from contracts.event import PreSerialized
from contracts.vocabulary import Certainty
from services.eligibility.domain.answer import Ground, MissingInput
from services.eligibility.domain.assessment import Assessment, RuleResult


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
            "migrant": _result(assessment.migrant),
            "statistical": _result(assessment.statistical),
            "items": [_result(result) for result in assessment.items],
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


def _result(result: RuleResult) -> dict[str, Any]:
    serialized: dict[str, Any] = {"subject": result.subject, "answer": result.answer}
    if result.grounds:
        serialized["reasons"] = [_reason(ground) for ground in result.grounds]
    if result.missing:
        serialized["missing"] = [_missing_fact(missing) for missing in result.missing]
    if result.citations:
        serialized["citations"] = result.citations
    if result.certainty is not Certainty.STATED:
        serialized["certainty"] = result.certainty
    if result.fulfilment is not None:
        serialized["fulfilment"] = result.fulfilment
    if result.until is not None:
        serialized["until"] = result.until
    return serialized


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


def child_assessed(child: UUID, child_version: int, number: int, on: date, content: bytes) -> SerializedAssessment:
    """Return the event for answers that :func:`serialize_answers` wrote. The first assessment has number 1."""
    head = orjson.dumps({"child": str(child), "child_version": child_version, "assessment": number, "on": on})
    return SerializedAssessment.of(head[:-1] + b"," + content[1:], child=child)
