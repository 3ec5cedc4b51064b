"""Declaration and evaluation of rules. A rule has an item of the list, the phrase it implements and its reading."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.vocabulary import Answer, FindingCode, Fulfilment, Level
from services.eligibility.domain.answer import UNCONDITIONAL, Evaluation, all_of, earliest_until
from services.eligibility.domain.case import Case, Question
from services.eligibility.domain.sources import Citation

RULESET = "2025-02-17/1"
"""The plan's date and the version of the rules. Every change of an answer or ground increments the version."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one item of the list."""

    item: str
    citation: Citation
    reading: str
    """How ambiguous words of the phrase are read, in Chinese."""
    audience: Question
    """服务对象: whether the row applies to the child."""
    condition: Question
    """What the item requires beyond its audience."""
    fulfilment: Callable[[Case, Fulfilment], Fulfilment] | None
    """Where the item is granted for this child, given the catalogue's value; None if the catalogue's value holds."""


@dataclass(frozen=True, slots=True)
class GapRule:
    """A rule for a service gap or risk, whose code the county's routes contain."""

    code: FindingCode
    item: str | None
    at_least: Level
    """The least urgent level of the finding, which applies if the route's level is less urgent."""
    audience: Question
    condition: Question


RULES: dict[str, Rule] = {}
GAP_RULES: list[GapRule] = []


class DuplicateRule(TypeError):
    """Two functions are declared as the rule of one item."""

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
    """Decorate a function as the rule of an item of the list.

    Raises:
        DuplicateRule: the item already has a rule.
    """

    def declared(question: Question) -> Question:
        if item in RULES:
            raise DuplicateRule(item)
        RULES[item] = Rule(item, citation, reading, audience, question, fulfilment)
        return question

    return declared


def gap(
    code: FindingCode, *, audience: Question, item: str | None = None, at_least: Level = Level.L3
) -> Callable[[Question], Question]:
    """Decorate a function as a gap rule. Several functions may show the same finding."""

    def declared(question: Question) -> Question:
        GAP_RULES.append(GapRule(code, item, at_least, audience, question))
        return question

    return declared


def evaluate_rule(case: Case, rule: Rule) -> Evaluation:
    """Evaluate a rule. The condition is skipped if the child does not belong to the audience."""
    audience = rule.audience(case)
    if audience.answer is Answer.NO:
        return audience
    condition = rule.condition(case)
    return audience if condition is UNCONDITIONAL else all_of(audience, condition)


def evaluate_gap(case: Case, rule: GapRule) -> Evaluation:
    """Evaluate a gap rule. Only YES is published, so only YES has grounds."""
    audience = rule.audience(case)
    if audience.answer is Answer.NO:
        return audience
    condition = rule.condition(case)
    if condition.answer is Answer.NO:
        return condition
    if audience.answer is condition.answer is Answer.YES:
        return all_of(audience, condition)
    return Evaluation(Answer.UNKNOWN, until=earliest_until((audience, condition)))


def in_list_order(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Sort rules in the order of the list: ``B-4(2)`` before ``B-12(1)``."""

    def number(rule: Rule) -> tuple[int, int]:
        row, _, part = rule.item.removeprefix("B-").partition("(")
        return int(row), int(part.rstrip(")") or 0)

    return tuple(sorted(rules, key=number))
