"""Evaluate all rules for one child on one day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from contracts.vocabulary import Answer, Certainty, FindingCode, Fulfilment, Level
from services.eligibility.domain import gaps as _gaps
from services.eligibility.domain.answer import Evaluation, Ground, MissingInput
from services.eligibility.domain.case import new_case
from services.eligibility.domain.facts import Facts
from services.eligibility.domain.parameters import RuleParameters
from services.eligibility.domain.rulebook import (
    GAP_RULES,
    RULES,
    RULESET,
    Rule,
    evaluate_gap,
    evaluate_rule,
    in_list_order,
)
from services.eligibility.domain.rules import childcare, definition, development, health, livelihood, schooling

RULEBOOK: tuple[Rule, ...] = in_list_order(tuple(RULES.values()))
"""Every implemented rule, in the order of the list."""
MODULES = (definition, childcare, schooling, health, livelihood, development, _gaps)
"""The modules of the rules. Importing them declares the rules."""

_URGENCY = {level: rank for rank, level in enumerate(Level)}


class RuleResult(NamedTuple):
    """The result for ``migrant``, ``statistical`` or an item of the list."""

    subject: str
    answer: Answer
    grounds: tuple[Ground, ...]
    missing: tuple[MissingInput, ...]
    citations: tuple[str, ...]
    certainty: Certainty
    fulfilment: Fulfilment | None
    until: date | None


@dataclass(frozen=True, slots=True)
class GapFinding:
    """A service gap or risk that the facts show, with the county's route for it."""

    code: FindingCode
    route: str
    level: Level
    item: str | None
    grounds: tuple[Ground, ...]
    confirm_first: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """All results for one child as of a day. They are suggestions to a person."""

    migrant: RuleResult
    statistical: RuleResult
    items: tuple[RuleResult, ...]
    derived: tuple[GapFinding, ...]
    until: date | None
    """The first day on which any result may differ although no fact has changed."""
    ruleset: str
    catalogue: str


def assess(facts: Facts, parameters: RuleParameters, on: date) -> Assessment:
    """Evaluate the rule of every item of the county's list, and every gap rule that has a route."""
    case = new_case(facts, parameters, on)
    migrant = definition.migrant(case)
    statistical = definition.statistical(case)
    due = [migrant.until, statistical.until]
    items = []
    for rule in RULEBOOK:
        listed = parameters.items.get(rule.item)
        if listed is None:
            continue
        evaluation = evaluate_rule(case, rule)
        due.append(evaluation.until)
        fulfilment = listed if rule.fulfilment is None else rule.fulfilment(case, listed)
        items.append(_rule_result(rule.item, evaluation, (rule.item, *evaluation.citations), fulfilment))
    derived: list[GapFinding] = []
    for gap in GAP_RULES:
        route = parameters.routes.get(gap.code)
        if route is None:
            continue
        evaluation = evaluate_gap(case, gap)
        due.append(evaluation.until)
        if evaluation.answer is Answer.YES:
            level = min(route.level, gap.at_least, key=_URGENCY.__getitem__)
            confirm = route.confirm_first or level in (Level.L0, Level.L1)
            derived.append(GapFinding(gap.code, route.route, level, gap.item, evaluation.grounds, confirm))
    return Assessment(
        _rule_result("migrant", migrant, migrant.citations),
        _rule_result("statistical", statistical, statistical.citations),
        tuple(items),
        _merge_by_code(derived),
        min((day for day in due if day is not None), default=None),
        RULESET,
        parameters.catalogue,
    )


def withdrawn_assessment(parameters: RuleParameters) -> Assessment:
    """Return the assessment of an absorbed file: nothing is known and no gap is shown."""
    reasons = (Ground("file_absorbed", None),)
    nothing = RuleResult("migrant", Answer.UNKNOWN, reasons, (), (), Certainty.STATED, None, None)
    return Assessment(nothing, nothing._replace(subject="statistical"), (), (), None, RULESET, parameters.catalogue)


def _rule_result(
    subject: str, evaluation: Evaluation, citations: tuple[str, ...], fulfilment: Fulfilment | None = None
) -> RuleResult:
    return RuleResult(
        subject,
        evaluation.answer,
        evaluation.grounds,
        evaluation.missing,
        citations,
        evaluation.certainty,
        fulfilment,
        evaluation.until,
    )


def _merge_by_code(findings: Iterable[GapFinding]) -> tuple[GapFinding, ...]:
    """Merge findings of one code into one with the most urgent level and all grounds."""
    merged: dict[FindingCode, GapFinding] = {}
    for finding in findings:
        first = merged.get(finding.code)
        if first is None:
            merged[finding.code] = finding
            continue
        most_urgent = finding if _URGENCY[finding.level] < _URGENCY[first.level] else first
        merged[finding.code] = replace(
            most_urgent,
            grounds=first.grounds + tuple(ground for ground in finding.grounds if ground not in first.grounds),
            confirm_first=first.confirm_first or finding.confirm_first,
        )
    return tuple(merged.values())
