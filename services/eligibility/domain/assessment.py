"""The whole rulebook asked of one child on one day."""

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
"""Every rule that is written, as the list numbers them."""
MODULES = (definition, childcare, schooling, health, livelihood, development, _gaps)
"""Where they are written; importing them declares them."""

_URGENCY = {level: rank for rank, level in enumerate(Level)}


class RuleResult(NamedTuple):
    """The answer about ``migrant``, ``statistical`` or an item of the list."""

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
    """A finding that the facts show, on the county's route for it."""

    code: FindingCode
    route: str
    level: Level
    item: str | None
    grounds: tuple[Ground, ...]
    confirm_first: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything the rules say of one child as of a day. Suggestions to a person."""

    migrant: RuleResult
    statistical: RuleResult
    items: tuple[RuleResult, ...]
    derived: tuple[GapFinding, ...]
    until: date | None
    """The first day on which any of it may differ without news."""
    ruleset: str
    catalogue: str


def assess(facts: Facts, parameters: RuleParameters, on: date) -> Assessment:
    """Ask every rule that the county's list has an item for, and everything that could be wrong."""
    case = new_case(facts, parameters, on)
    migrant = definition.migrant(case)
    statistical = definition.statistical(case)
    due = [migrant.until, statistical.until]
    items = []
    for rule in RULEBOOK:
        listed = parameters.items.get(rule.item)
        if listed is None:
            continue
        found = evaluate_rule(case, rule)
        due.append(found.until)
        doing = listed if rule.fulfilment is None else rule.fulfilment(case, listed)
        items.append(_rule_result(rule.item, found, (rule.item, *found.citations), doing))
    derived: list[GapFinding] = []
    for gap in GAP_RULES:
        way = parameters.routes.get(gap.code)
        if way is None:
            continue
        found = evaluate_gap(case, gap)
        due.append(found.until)
        if found.answer is Answer.YES:
            level = min(way.level, gap.at_least, key=_URGENCY.__getitem__)
            confirm = way.confirm_first or level in (Level.L0, Level.L1)
            derived.append(GapFinding(gap.code, way.route, level, gap.item, found.grounds, confirm))
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
    """Of a file that was merged into another: nothing is known of it any more, and nothing shown."""
    reasons = (Ground("file_absorbed", None),)
    nothing = RuleResult("migrant", Answer.UNKNOWN, reasons, (), (), Certainty.STATED, None, None)
    return Assessment(nothing, nothing._replace(subject="statistical"), (), (), None, RULESET, parameters.catalogue)


def _rule_result(
    subject: str, found: Evaluation, citations: tuple[str, ...], doing: Fulfilment | None = None
) -> RuleResult:
    return RuleResult(
        subject, found.answer, found.grounds, found.missing, citations, found.certainty, doing, found.until
    )


def _merge_by_code(found: Iterable[GapFinding]) -> tuple[GapFinding, ...]:
    """One finding of a code, at its most urgent level, with every reason that shows it."""
    merged: dict[FindingCode, GapFinding] = {}
    for one in found:
        known = merged.get(one.code)
        if known is None:
            merged[one.code] = one
            continue
        most = one if _URGENCY[one.level] < _URGENCY[known.level] else known
        merged[one.code] = replace(
            most,
            grounds=known.grounds + tuple(reason for reason in one.grounds if reason not in known.grounds),
            confirm_first=known.confirm_first or one.confirm_first,
        )
    return tuple(merged.values())
