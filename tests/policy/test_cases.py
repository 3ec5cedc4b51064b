"""Situations that a civil-affairs officer can read and correct: one YAML file each, assessed by the rules."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.facts_file import apply_county_changes, claims_in, read_facts_file
from contracts.county import County
from services.eligibility import labels
from services.eligibility.domain.assessment import RULEBOOK, Assessment, RuleResult, assess
from services.eligibility.domain.facts import parse_facts
from services.eligibility.domain.rulebook import GAP_RULES
from services.eligibility.mapping import rule_parameters
from tests.county import demo_county

FOLDER = Path(__file__).with_name("cases")
FILES = sorted(FOLDER.rglob("*.yaml"))

SUBJECTS = {text: subject for subject, text in labels.SUBJECTS.items()}
ANSWERS = {text: answer for answer, text in labels.ANSWERS.items()}
DERIVED = "要办的事"
EXPECTED = frozenset({"答", "因为", "还缺", "谁掌握", "办理", "把握", "前不变"})


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One file: the known facts, the day of the assessment and the expected answers."""

    why: str
    on: date
    county: County
    facts: dict[str, Any]
    expect: dict[str, Any]


def read(file: Path) -> PolicyCase:
    content = read_facts_file(file)
    county = apply_county_changes(demo_county(), content.get("county"))
    return PolicyCase(content["why"], content["on"], county, content["facts"], content["expect"])


def ask(case: PolicyCase) -> Assessment:
    return assess(parse_facts(claims_in(case.facts, case.on)), rule_parameters(case.county), case.on)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_the_rules_give_the_answers_of_the_case(file: Path) -> None:
    case = read(file)

    assessment = ask(case)

    for subject, expected in case.expect.items():
        if subject == DERIVED:
            assert sorted(_shown(assessment)) == sorted(expected), case.why
        else:
            _compare(_rule_result(assessment, subject), expected, case.why)


def test_every_item_has_cases_for_yes_and_no() -> None:
    """Every item with a rule, and the definition of a migrant child, has a case with yes and one with no."""
    seen: dict[str, set[str]] = {}
    for file in FILES:
        for subject, expected in read(file).expect.items():
            if subject != DERIVED:
                answer = expected["答"] if isinstance(expected, dict) else expected
                seen.setdefault(subject, set()).add(answer)

    assert len(FILES) >= 60
    asked = [*SUBJECTS, *(rule.item for rule in RULEBOOK)]
    assert [subject for subject in asked if not {"是", "否"} <= seen.get(subject, set())] == []


def test_every_gap_rule_has_a_case_that_shows_it() -> None:
    cases = [case for case in map(read, FILES) if DERIVED in case.expect]

    assert {one.code for case in cases for one in ask(case).derived} == {gap.code for gap in GAP_RULES}


def _compare(verdict: RuleResult, expected: Any, why: str) -> None:
    if not isinstance(expected, dict):
        assert labels.ANSWERS[verdict.answer] == expected, f"{why} {verdict.grounds}"
        return
    assert set(expected) <= EXPECTED
    assert labels.ANSWERS[verdict.answer] == expected["答"], f"{why} {verdict.grounds}"
    if "因为" in expected:
        assert set(expected["因为"]) <= {reason.code for reason in verdict.grounds}, why
    if "还缺" in expected:
        missing = [one.fact.value if one.fact is not None else one.criterion for one in verdict.missing]
        assert missing == expected["还缺"], why
    if "谁掌握" in expected:
        assert list(verdict.missing[0].held_by) == expected["谁掌握"], why
    if "办理" in expected:
        assert verdict.fulfilment == expected["办理"], why
    if "把握" in expected:
        assert verdict.certainty == expected["把握"], why
    if "前不变" in expected:
        assert verdict.until == expected["前不变"], why


def _rule_result(assessment: Assessment, subject: str) -> RuleResult:
    wanted = SUBJECTS.get(subject, subject)
    [found] = [one for one in (assessment.migrant, assessment.statistical, *assessment.items) if one.subject == wanted]
    return found


def _shown(assessment: Assessment) -> list[str]:
    """``R12/L2``, marked if the township must confirm it before it is referred."""
    return [f"{one.route}/{one.level}" + ("/先核实" if one.confirm_first else "") for one in assessment.derived]
