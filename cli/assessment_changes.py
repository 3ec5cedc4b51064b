"""Finds the days on which a child's answers change though no new fact arrives."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from contracts.county import County
from services.eligibility.offline import Assessment, Facts, GapFinding, RuleResult, assess, rule_parameters


def results(assessment: Assessment) -> tuple[RuleResult, ...]:
    """Return all answers of an assessment: migrant, statistical, then item by item."""
    return (assessment.migrant, assessment.statistical, *assessment.items)


@dataclass(frozen=True, slots=True)
class Change:
    """A day on which answers change, and the changes."""

    on: date
    answers: tuple[tuple[RuleResult, RuleResult], ...]
    """Pairs of the result before and the result after."""
    begun: tuple[GapFinding, ...]
    ended: tuple[GapFinding, ...]


def changes_until(facts: Facts, county: County, now: Assessment, until: date) -> Iterable[Change]:
    """Yield the days on which an answer changes, by checking each day on which one may change."""
    terms = rule_parameters(county)
    while now.until is not None and now.until <= until:
        day = now.until
        then = assess(facts, terms, day)
        before = {result.subject: result for result in results(now)}
        answers = tuple(
            (before[result.subject], result)
            for result in results(then)
            if result.answer is not before[result.subject].answer
        )
        after, earlier = {gap.code for gap in then.derived}, {gap.code for gap in now.derived}
        begun = tuple(gap for gap in then.derived if gap.code not in earlier)
        ended = tuple(gap for gap in now.derived if gap.code not in after)
        if answers or begun or ended:
            yield Change(day, answers, begun, ended)
        now = then
