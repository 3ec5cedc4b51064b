"""The guarantee of ``until`` for the rules: random children are assessed again on the days before it."""

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.county import Citation, County, Criterion
from contracts.vocabulary import FactName
from services.eligibility.domain.assessment import Assessment, RuleResult, assess
from services.eligibility.domain.facts import ALLOWED_CODES, FLAGS, Claim, parse_facts
from services.eligibility.mapping import rule_parameters
from tests.county import a_county, demo_county
from tests.eligibility.harness import ON, a_migrant_child

HUKOU = (
    "341702", "341722", "341722100", "341722101001", "342922", "340102", "340103002", "341402", "810000", "abroad",
    "330000", "340000", "659999", "341722401",
)  # fmt: skip
RESIDENCE = ("341722100", "341722101", "341722401", "341702001", "340103001", "340181001")
EVERY_TERM = tuple(
    Criterion(
        term=term,
        text="测试口径",
        requires=((fact, value),),
        citation=Citation(place="测试", phrase="测试"),
        invented=True,
    )
    for term, fact, value in (
        ("kindergarten_nearby", FactName.SCHOOL_STATUS, "enrolled"),
        ("compulsory_public_school", FactName.RESIDENCE_PERMIT, "true"),
        ("senior_entrance_exam", FactName.SCHOOL_STATUS, "enrolled"),
        ("local_relief", FactName.DIBAO, "false"),
        ("dibao_terms", FactName.HARDSHIP_LASTING, "true"),
        ("disability_subsidy_extended", FactName.DISABILITY_KIND, "5"),
        ("community_rehabilitation", FactName.PSYCHOLOGICAL_NEED, "true"),
        ("no_hukou_county", FactName.RESIDENCE_PERMIT, "true"),
    )
)
COUNTIES = (
    demo_county(),
    a_county(criteria=EVERY_TERM),
    a_county(
        thresholds={**dict(demo_county().thresholds), "age_reached_on": "day_after", "dibao_at_residence_enabled": True}
    ),
)


_USUALLY = (FactName.BIRTH_DATE, FactName.HUKOU_DIVISION, FactName.RESIDENCE_DIVISION, FactName.RESIDENCE_SINCE)
_SELDOM = (FactName.DECEASED, FactName.RESIDENCE_ENDED, FactName.AWAY_SINCE, FactName.LIVES_ALONE)


def a_random_child(chance: Random) -> list[Claim]:
    """Return any facts a child may have; more than half of the children are close to being migrant children here."""
    ordinary = chance.random() < 0.6
    claims = []
    for name in FactName:
        share = 0.95 if name in _USUALLY else 0.12 if name in _SELDOM else 0.45
        if chance.random() < share or (ordinary and name is FactName.LIVES_WITH_MOTHER):
            value = _ordinary(chance, name) if ordinary else None
            claims.append(_claim(chance, name, _value(chance, name) if value is None else value, chosen=True))
    if chance.random() < 0.3:
        another = _value(chance, FactName.RESIDENCE_SINCE)
        claims.append(_claim(chance, FactName.RESIDENCE_SINCE, another, chosen=False))
    return claims


def _ordinary(chance: Random, name: FactName) -> Any:
    """Return a value that decides whether a child is migrant, around six months of residence and every age limit."""
    match name:
        case FactName.HUKOU_DIVISION:
            return chance.choice(("341702", "341702", "341722101", "340102"))
        case FactName.RESIDENCE_DIVISION:
            return "341722100"
        case FactName.RESIDENCE_SINCE:
            return _day(chance, 900, -90)
        case FactName.BIRTH_DATE:
            return _day(chance, 366 * 17, -30)
        case FactName.LIVES_WITH_MOTHER:
            return True
        case _:
            return None


def _value(chance: Random, name: FactName) -> Any:
    if name in FLAGS:
        return chance.random() < 0.5
    if name in ALLOWED_CODES:
        return chance.choice(sorted(ALLOWED_CODES[name]))
    match name:
        case FactName.BIRTH_DATE:
            return _day(chance, 366 * 19, 366)
        case FactName.HUKOU_DIVISION:
            return chance.choice(HUKOU)
        case FactName.RESIDENCE_DIVISION:
            return chance.choice(RESIDENCE)
        case FactName.RESIDENCE_ENDED:
            return _day(chance, 200, 400)
        case FactName.INSURED_DIVISION:
            return "341722"
        case FactName.INSURED_YEAR:
            return chance.randint(2024, 2028)
        case FactName.SCHOOL_GRADE:
            return chance.randint(1, 12)
        case FactName.DISABILITY_KIND:
            return chance.randint(1, 7)
        case FactName.DISABILITY_GRADE:
            return chance.randint(1, 4)
        case FactName.SEX | FactName.SCHOOL_COUNT:
            return chance.randint(1, 2)
        case _:
            return _day(chance, 800, 200)


def _day(chance: Random, before: int, after: int) -> str:
    return (ON + timedelta(days=chance.randint(-before, after))).isoformat()


def _claim(chance: Random, name: FactName, value: Any, *, chosen: bool) -> Claim:
    recorded = ON - timedelta(days=chance.randrange(0, 700))
    return Claim(name, value, "341722-renli", "village", None, recorded, recorded, chosen, False)


CHILDREN = st.integers(0, 2**32).map(lambda seed: a_random_child(Random(seed)))


def _verdicts(assessment: Assessment) -> tuple[RuleResult, ...]:
    return (assessment.migrant, assessment.statistical, *assessment.items)


@settings(max_examples=250, deadline=None)
@given(CHILDREN, st.sampled_from(COUNTIES), st.randoms(use_true_random=False))
def test_no_verdict_changes_before_its_until(claims: list[Claim], county: Any, chance: Random) -> None:
    """Each verdict keeps its own ``until``; before the child's ``until`` the derived findings do not change either."""
    facts, parameters = parse_facts(claims), rule_parameters(county)
    assessment = assess(facts, parameters, ON)
    horizon = ON + timedelta(days=366 * 20)
    days = {ON + timedelta(days=1)}
    for verdict in _verdicts(assessment):
        assert verdict.until is None or verdict.until > ON
        last = min(verdict.until or horizon, horizon) - timedelta(days=1)
        days |= {last, ON + timedelta(days=chance.randrange(0, max(1, (last - ON).days)))}
    if assessment.until is not None:
        days.add(assessment.until - timedelta(days=1))

    for day in chance.sample(sorted(days), min(10, len(days))):
        reassessed = assess(facts, parameters, day)
        for before, after in zip(_verdicts(assessment), _verdicts(reassessed), strict=True):
            if before.until is None or day < before.until:
                assert after.answer is before.answer, (before, after, day)
        if assessment.until is None or day < assessment.until:
            assert _shown(reassessed) == _shown(assessment)


@settings(max_examples=100, deadline=None)
@given(CHILDREN)
def test_the_child_is_due_on_the_first_day_that_any_answer_is(claims: list[Claim]) -> None:
    assessment = assess(parse_facts(claims), rule_parameters(demo_county()), ON)
    untils = [verdict.until for verdict in _verdicts(assessment) if verdict.until is not None]

    assert assessment.until is None or assessment.until > ON
    assert not untils or (assessment.until is not None and assessment.until <= min(untils))


@settings(max_examples=100, deadline=None)
@given(CHILDREN, st.randoms(use_true_random=False))
def test_the_order_of_the_claims_does_not_matter(claims: list[Claim], chance: Random) -> None:
    mixed = list(claims)
    chance.shuffle(mixed)
    parameters = rule_parameters(demo_county())

    assert assess(parse_facts(mixed), parameters, ON) == assess(parse_facts(claims), parameters, ON)


@settings(max_examples=100, deadline=None)
@given(CHILDREN, st.sampled_from(list(FactName)))
def test_removing_a_fact_never_reverses_the_decision_whether_a_child_is_migrant(
    claims: list[Claim], name: FactName
) -> None:
    """A yes may become unknown, never no, unless the removed fact records an end of stay, an absence or a death."""
    excluded = {FactName.RESIDENCE_ENDED, FactName.DECEASED, FactName.AWAY_SINCE, FactName.RESIDENCE_SINCE}
    excluded |= {FactName.SCHOOL_SINCE, FactName.RESIDENCE_PERMIT_SIGNED, FactName.BIRTH_DATE}
    if name in excluded:
        return
    parameters = rule_parameters(demo_county())
    before = assess(parse_facts(claims), parameters, ON).migrant.answer
    after = assess(parse_facts(claim for claim in claims if claim.name is not name), parameters, ON).migrant.answer

    assert after is before or "unknown" in (before, after)


CHANGES: Mapping[str, Mapping[str, Any]] = {
    "turns 3": {"birth_date": "2024-02-29"},
    "turns 6 and enters school": {"birth_date": "2021-08-31", "school_status": "not_enrolled"},
    "turns 6 after the cutoff, stays in kindergarten": {
        "birth_date": "2021-09-01",
        "school_stage": "kindergarten",
        "school_status": "enrolled",
    },
    "turns 7": {"birth_date": "2020-02-29", "disability": True, "disability_kind": 4, "rehabilitation": False},
    "turns 8, alone": {"birth_date": "2018-12-31", "lives_alone": True, "lives_with_mother": None},
    "turns 16": {"birth_date": "2010-12-31", "school_status": "enrolled", "school_stage": "junior", "school_grade": 9},
    "turns 18": {"birth_date": "2009-01-31", "school_status": "enrolled", "school_stage": "junior", "school_grade": 9},
    "six months full on the last of February": {"residence_since": "2026-08-31", "insured": False},
    "leaves on a day that is known": {"residence_ended": "2027-01-15", "school_since": "2027-03-01"},
    "away for long": {"away_since": "2026-11-01"},
    "insured by the year": {"insured": True, "insured_year": 2026},
    "a grade grows": {"school_status": "enrolled", "school_stage": "junior", "school_grade": 8},
    "a permit is signed": {"residence_permit": True, "residence_permit_signed": "2026-01-31"},
    "visits fall due": {"birth_date": "2024-11-30", "health_last_check": "2026-06-01"},
    "a birth date ahead": {"birth_date": "2027-02-01", "hardship_sudden": True},
    "a death reported for a day": {"deceased": "2027-01-01"},
    "came before birth": {"birth_date": "2026-08-30", "residence_since": "2024-01-01"},
}


@pytest.mark.parametrize("county", COUNTIES, ids=["demo", "every term set", "day after"])
@pytest.mark.parametrize("change", CHANGES)
def test_day_by_day_answers_change_only_on_announced_days(change: str, county: County) -> None:
    """Each child is assessed on every day for nearly two years, and every one of them changes."""
    facts, parameters = a_migrant_child(**CHANGES[change]), rule_parameters(county)
    before, changed = assess(facts, parameters, ON), 0
    for day in (ON + timedelta(days=days) for days in range(1, 700)):
        after = assess(facts, parameters, day)
        for was, now in zip(_verdicts(before), _verdicts(after), strict=True):
            if now.answer is not was.answer:
                assert was.until == day, (was, now)
                assert before.until == day
                changed += 1
        if _shown(before) != _shown(after):
            assert before.until == day
            changed += 1
        before = after

    assert changed


def _shown(assessment: Assessment) -> list[tuple[str, str]]:
    return [(each.code, each.level) for each in assessment.derived]
