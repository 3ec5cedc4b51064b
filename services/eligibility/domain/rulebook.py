"""How a rule is written: an item of the list, the phrase it executes, and how we read it where it bends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.vocabulary import Answer, FindingCode, Fulfilment, Level
from services.eligibility.domain.answer import UNCONDITIONAL, Evaluation, all_of, earliest_until
from services.eligibility.domain.case import Case, Question
from services.eligibility.domain.sources import Citation

RULESET = "2025-02-17/1"
"""The plan's date and our count of changes to the rules. A change of any answer or reason raises it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of the list and the question that answers it."""

    item: str
    citation: Citation
    reading: str
    audience: Question
    """服务对象: whom the row is for."""
    condition: Question
    """What the item asks beyond that."""
    fulfilment: Callable[[Case, Fulfilment], Fulfilment] | None
    """Where it is done for this child, given what the catalogue says; None: as the catalogue says."""


@dataclass(frozen=True, slots=True)
class GapRule:
    """Something wrong that the facts may show, under its code in the county's routes."""

    code: FindingCode
    item: str | None
    at_least: Level
    """The route's level, or this one if it is more urgent."""
    audience: Question
    condition: Question


RULES: dict[str, Rule] = {}
GAP_RULES: list[GapRule] = []


class DuplicateRule(TypeError):
    """Two functions claim one item."""

    def __init__(self, item: str) -> None:
        super().__init__(f"two rules are written for {item}; an item has one")


def rule(
    item: str,
    citation: Citation,
    *,
    audience: Question,
    reading: str,
    fulfilment: Callable[[Case, Fulfilment], Fulfilment] | None = None,
) -> Callable[[Question], Question]:
    """Declare the function below as the rule of an item of the list."""

    def declared(question: Question) -> Question:
        if item in RULES:
            raise DuplicateRule(item)
        RULES[item] = Rule(item, citation, reading, audience, question, fulfilment)
        return question

    return declared


def gap(
    code: FindingCode, *, audience: Question, item: str | None = None, at_least: Level = Level.L3
) -> Callable[[Question], Question]:
    """Declare the function below as showing a finding. Several may show the same one."""

    def declared(question: Question) -> Question:
        GAP_RULES.append(GapRule(code, item, at_least, audience, question))
        return question

    return declared


def evaluate_rule(case: Case, rule: Rule) -> Evaluation:
    """Whom the item is for, and what it asks beyond that. Nothing more is asked about a child it is not for."""
    whom = rule.audience(case)
    if whom.answer is Answer.NO:
        return whom
    found = rule.condition(case)
    return whom if found is UNCONDITIONAL else all_of(whom, found)


def evaluate_gap(case: Case, rule: GapRule) -> Evaluation:
    """Whether the facts show it. Only a YES is told, so only a YES has its reasons."""
    whom = rule.audience(case)
    if whom.answer is Answer.NO:
        return whom
    found = rule.condition(case)
    if found.answer is Answer.NO:
        return found
    if whom.answer is found.answer is Answer.YES:
        return all_of(whom, found)
    return Evaluation(Answer.UNKNOWN, until=earliest_until((whom, found)))


def in_list_order(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """As the list numbers them: ``B-4(2)`` before ``B-12(1)``."""

    def number(one: Rule) -> tuple[int, int]:
        row, _, part = one.item.removeprefix("B-").partition("(")
        return int(row), int(part.rstrip(")") or 0)

    return tuple(sorted(rules, key=number))
