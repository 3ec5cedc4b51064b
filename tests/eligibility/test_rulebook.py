"""The rulebook as a text: it quotes the plan, states its interpretation, and reads no forbidden data."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from contracts.vocabulary import FactName, FindingCode
from county.citations import PolicyText
from services.eligibility import labels
from services.eligibility.domain import facts
from services.eligibility.domain.assessment import RULEBOOK, assess
from services.eligibility.domain.facts import parse_facts
from services.eligibility.domain.rulebook import GAP_RULES, DuplicateRule, Rule, in_list_order, rule
from services.eligibility.domain.sources import SOURCES, Citation
from services.eligibility.mapping import rule_parameters
from tests.county import demo_county
from tests.eligibility.harness import MIGRANT, claims
from tests.policy.test_cases import FILES, ask, read

N = TypeVar("N", bound=ast.AST)

PLAN = Path(os.environ.get("HUTONG_PLAN", Path(__file__).parents[3] / "shared" / "domain" / "plan.txt"))
DOMAIN = Path(facts.__file__).parent
MODULES = sorted(DOMAIN.rglob("*.py"))

WRITTEN = (
    "B-1(1)", "B-1(2)", "B-3(1)", "B-3(2)", "B-4(1)", "B-4(2)", "B-4(3)", "B-4(4)", "B-4(5)", "B-4(6)", "B-4(7)",
    "B-8(1)", "B-8(2)", "B-12(1)", "B-12(2)", "B-14(1)", "B-14(2)", "B-16", "B-17", "B-19(1)", "B-19(2)", "B-19(3)",
    "B-19(4)", "B-19(5)",
)  # fmt: skip


def quoted() -> list[tuple[str, Citation]]:
    """Return every quotation of the plan with its cited place."""
    of_rules = [(rule.item, rule.citation) for rule in RULEBOOK]
    return [(code, one) for code, one in [*of_rules, *SOURCES.items()] if one.article is not None]


@pytest.mark.skipif(not PLAN.exists(), reason="the plan's text is the county's document and is not here")
@pytest.mark.parametrize(("code", "cited"), quoted(), ids=[code for code, _ in quoted()])
def test_every_quotation_is_at_the_location_it_cites(code: str, cited: Citation) -> None:
    """A quotation is verbatim: a reader can search for it and find it in that row or article."""
    source = PolicyText.read(PLAN)
    assert cited.phrase is not None
    if cited.article == "opening":
        opening = source.parts[""].partition("一、监测摸排建立台账")[0]
        assert cited.phrase in opening
    else:
        assert cited.article in source.parts
        assert source.has(cited.article, cited.phrase)


def test_exactly_the_implemented_items_have_rules() -> None:
    """A row without a rule is absent, not unknown."""
    assert tuple(rule.item for rule in RULEBOOK) == WRITTEN


@pytest.mark.parametrize("one", RULEBOOK, ids=[one.item for one in RULEBOOK])
def test_every_rule_quotes_its_own_row_and_states_its_reading(one: Rule) -> None:
    row = one.item.removeprefix("B-").partition("(")[0]
    assert one.citation.article == f"row {row}"
    assert one.reading


def test_every_implemented_item_is_in_the_demo_county_s_list() -> None:
    missing = [rule.item for rule in RULEBOOK if demo_county().item(rule.item) is None]
    assert missing == []


def test_an_item_the_county_does_not_list_is_absent() -> None:
    county = demo_county().model_copy(update={"catalogue": ()})
    assert assess(parse_facts([]), rule_parameters(county), read(FILES[0]).on).items == ()


def test_an_item_has_one_rule() -> None:
    with pytest.raises(DuplicateRule):
        rule("B-16", Citation("row 16", "x"), audience=RULEBOOK[0].audience, reading="x")(RULEBOOK[0].condition)


def test_rules_are_in_the_order_of_the_list() -> None:
    assert [one.item for one in in_list_order(tuple(reversed(RULEBOOK)))] == list(WRITTEN)


# ---------------------------------------------------------------- what it may read


def test_no_rule_reads_conduct() -> None:
    """Behaviour data never enters a rule: no fact for it exists, and no rule derives its finding."""
    conduct = ("behaviour", "conduct", "truan", "offence", "crime", "punish", "gang", "drug")
    assert [name for name in FactName if any(word in name.value for word in conduct)] == []
    assert FindingCode.BEHAVIOUR_CONCERN not in {gap.code for gap in GAP_RULES}
    named = {node.attr for _, node in _nodes(ast.Attribute)}
    assert "BEHAVIOUR_CONCERN" not in named
    assert {name for name in named if name.isupper() and "FLAG" in name} == set()


def test_no_rule_reads_the_clock_or_imports_from_outside_the_domain() -> None:
    allowed = ("contracts.vocabulary", "services.eligibility.domain")
    standard = {"calendar", "collections.abc", "dataclasses", "datetime", "enum", "functools", "typing"}
    for module, node in _nodes(ast.ImportFrom):
        assert node.module is not None
        assert node.module in standard or node.module.startswith(allowed), module
    assert [module for module, _ in _nodes(ast.Import)] == []
    clocks = {"today", "now", "utcnow", "time_ns", "monotonic"}
    assert {node.attr for _, node in _nodes(ast.Attribute)} & clocks == set()


# ---------------------------------------------------------------- what it states


def test_reasons_and_sentences_correspond_one_to_one() -> None:
    assert _reason_codes() == set(labels.REASONS)


def test_every_fact_and_every_value_has_a_name() -> None:
    assert set(labels.FACTS) == set(FactName)
    assert {value for values in facts.ALLOWED_CODES.values() for value in values} <= set(labels.VALUES)


def test_every_answer_of_every_case_has_labels() -> None:
    """Sentences take their parameters, citations have a text, and every holder of a fact is a unit of the county."""
    for file in FILES:
        case = read(file)
        assessment = ask(case)
        for verdict in (assessment.migrant, assessment.statistical, *assessment.items):
            for reason in verdict.grounds:
                assert "{" not in labels.reason_text(reason.code, reason.params, case.county)
            assert [code for code in verdict.citations if labels.find_citation(code, case.county) is None] == []
            for missing in verdict.missing:
                assert missing.held_by
                assert [unit for unit in missing.held_by if case.county.unit(unit) is None] == []
        for one in assessment.derived:
            assert [labels.reason_text(reason.code, reason.params, case.county) for reason in one.grounds]
            assert case.county.route(one.route) is not None


def test_an_answer_cites_the_item_s_own_phrase_first() -> None:
    for verdict in ask(read(FILES[0])).items:
        assert verdict.citations[0] == verdict.subject


def _nodes(kind: type[N]) -> Iterator[tuple[str, N]]:
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, kind):
                yield module.name, node


def _reason_codes() -> set[str]:
    """Every reason code that a call in the domain can pass."""
    codes: set[str] = set()
    for module, node in _nodes(ast.Call):
        name = getattr(node.func, "id", None)
        if (
            module == "answer.py"
            or name not in ("yes", "no", "unknown", "made", "with_one_ground", "Ground")
            or not node.args
        ):
            continue
        for one in ast.walk(node.args[0]):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                codes |= (
                    {one.value, f"not_{one.value}", f"unsure_{one.value}"} if name == "with_one_ground" else {one.value}
                )
    return codes


def test_no_rule_sees_a_date_whose_change_emits_no_snapshot() -> None:
    """An answer that depended on such a date would be as old as the last snapshot, despite later reports."""
    facts = {**MIGRANT, "school_grade": 4, "residence_permit": True, "hardship_lasting": True}
    assert parse_facts(claims(**facts)).valid_on.keys() == {FactName.SCHOOL_GRADE, FactName.RESIDENCE_PERMIT}
    assert len(parse_facts(claims(**facts, guardian_status="absent")).valid_on) == len(facts) + 1, (
        "a person has checked"
    )
