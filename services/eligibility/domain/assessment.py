"""The whole rulebook asked of one child on one day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from contracts.vocabulary import Answer, Certainty, FindingCode, Fulfilment, Level
from services.eligibility.domain import gaps as _gaps
from services.eligibility.domain.answer import Finding, Missing, Reason
from services.eligibility.domain.case import case_of
from services.eligibility.domain.facts import Facts
from services.eligibility.domain.rulebook import GAPS, RULES, RULESET, Rule, asked, in_order, shown
from services.eligibility.domain.rules import childcare, definition, development, health, livelihood, schooling
from services.eligibility.domain.terms import Terms

RULEBOOK: tuple[Rule, ...] = in_order(tuple(RULES.values()))
"""Every rule that is written, as the list numbers them."""
MODULES = (definition, childcare, schooling, health, livelihood, development, _gaps)
"""Where they are written; importing them declares them."""

_URGENCY = {level: rank for rank, level in enumerate(Level)}


class Verdict(NamedTuple):
    """The answer about ``migrant``, ``statistical`` or an item of the list."""

    subject: str
    answer: Answer
    reasons: tuple[Reason, ...]
    missing: tuple[Missing, ...]
    citations: tuple[str, ...]
    certainty: Certainty
    doing: Fulfilment | None
    until: date | None


@dataclass(frozen=True, slots=True)
class Derived:
    """A finding that the facts show, on the county's route for it."""

    code: FindingCode
    route: str
    level: Level
    item: str | None
    reasons: tuple[Reason, ...]
    confirm_first: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything the rules say of one child as of a day. Suggestions to a person."""

    migrant: Verdict
    statistical: Verdict
    items: tuple[Verdict, ...]
    derived: tuple[Derived, ...]
    until: date | None
    """The first day on which any of it may differ without news."""
    ruleset: str
    catalogue: str


def assess(facts: Facts, terms: Terms, on: date) -> Assessment:
    """Ask every rule that the county's list has an item for, and everything that could be wrong."""
    case = case_of(facts, terms, on)
    migrant = definition.migrant(case)
    statistical = definition.statistical(case)
    due = [migrant.until, statistical.until]
    items = []
    for rule in RULEBOOK:
        listed = terms.items.get(rule.item)
        if listed is None:
            continue
        found = asked(case, rule)
        due.append(found.until)
        doing = listed if rule.doing is None else rule.doing(case, listed)
        items.append(_verdict(rule.item, found, (rule.item, *found.citations), doing))
    derived: list[Derived] = []
    for gap in GAPS:
        way = terms.ways.get(gap.code)
        if way is None:
            continue
        found = shown(case, gap)
        due.append(found.until)
        if found.answer is Answer.YES:
            level = min(way.level, gap.at_least, key=_URGENCY.__getitem__)
            confirm = way.confirm_first or level in (Level.L0, Level.L1)
            derived.append(Derived(gap.code, way.route, level, gap.item, found.reasons, confirm))
    return Assessment(
        _verdict("migrant", migrant, migrant.citations),
        _verdict("statistical", statistical, statistical.citations),
        tuple(items),
        _one_each(derived),
        min((day for day in due if day is not None), default=None),
        RULESET,
        terms.catalogue,
    )


def withdrawn(terms: Terms) -> Assessment:
    """Of a file that was merged into another: nothing is known of it any more, and nothing shown."""
    reasons = (Reason("file_absorbed", None),)
    nothing = Verdict("migrant", Answer.UNKNOWN, reasons, (), (), Certainty.STATED, None, None)
    return Assessment(nothing, nothing._replace(subject="statistical"), (), (), None, RULESET, terms.catalogue)


def _verdict(subject: str, found: Finding, citations: tuple[str, ...], doing: Fulfilment | None = None) -> Verdict:
    return Verdict(subject, found.answer, found.reasons, found.missing, citations, found.certainty, doing, found.until)


def _one_each(found: Iterable[Derived]) -> tuple[Derived, ...]:
    """One finding of a code, at its most urgent level, with every reason that shows it."""
    merged: dict[FindingCode, Derived] = {}
    for one in found:
        known = merged.get(one.code)
        if known is None:
            merged[one.code] = one
            continue
        most = one if _URGENCY[one.level] < _URGENCY[known.level] else known
        merged[one.code] = replace(
            most,
            reasons=known.reasons + tuple(reason for reason in one.reasons if reason not in known.reasons),
            confirm_first=known.confirm_first or one.confirm_first,
        )
    return tuple(merged.values())
