"""Service gaps and risks derived from the facts: the ages, values and days that decide them."""

from datetime import date, timedelta
from typing import Any

import pytest

from contracts.vocabulary import FindingCode, Level
from services.eligibility.domain.assessment import assess
from services.eligibility.domain.dates import add_months
from services.eligibility.domain.facts import parse_facts
from services.eligibility.mapping import rule_parameters
from tests.county import a_county, demo_county
from tests.eligibility.harness import MIGRANT, ON, a_migrant_child, claims

BORN = date(2018, 11, 23)


def shown(on: date = ON, **changes: Any) -> dict[FindingCode, Level]:
    assessment = assess(a_migrant_child(**changes), rule_parameters(demo_county()), on)
    return {each.code: each.level for each in assessment.derived}


@pytest.mark.parametrize("months", [3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72])
def test_a_health_visit_is_missing_after_thirty_days(months: int) -> None:
    """Policy part 1.10, B-1. A visit more than thirty days before does not count."""
    due = add_months(BORN, months)
    on_time, early = due - timedelta(days=30), due - timedelta(days=31)
    # A child younger than six months is not a migrant child and has no gap.
    last_day = max(due + timedelta(days=30), add_months(BORN, 6) - timedelta(days=1))

    def missing(on: date, check: date) -> bool:
        assessment = shown(
            on, birth_date=BORN.isoformat(), residence_since=BORN.isoformat(), health_last_check=check.isoformat()
        )
        return FindingCode.HEALTH_VISIT_MISSING in assessment

    assert not missing(last_day, early)
    assert missing(last_day + timedelta(days=1), early)
    assert not missing(last_day + timedelta(days=1), on_time)


@pytest.mark.parametrize("status", ["dead", "missing", "not_found", "revoked", "unsupporting"])
def test_a_parent_who_gives_no_support_may_leave_the_child_unsupported(status: str) -> None:
    """Policy parts 3.5 and 3.6: both parents, each on a separate ground."""
    assert FindingCode.ORPHAN_OR_UNSUPPORTED in shown(
        father_status=status, mother_status="unsupporting", lives_with_mother=None, lives_with_guardian=True
    )
    for other in ("present", "away", "no_capacity"):
        assert FindingCode.ORPHAN_OR_UNSUPPORTED not in shown(
            father_status=status, mother_status=other, lives_with_mother=None, lives_with_guardian=True
        )


@pytest.mark.parametrize("status", ["dead", "missing", "not_found", "no_capacity", "revoked"])
def test_a_parent_who_cannot_act_as_guardian_leaves_the_child_without_one(status: str) -> None:
    """Policy part 3.12: unless the other parent can, or another guardian lives there."""
    nobody: dict[str, Any] = {"father_status": status, "lives_with_mother": None, "lives_with_guardian": False}

    assert shown(**nobody, mother_status="dead")[FindingCode.NO_GUARDIAN] is Level.L1
    for able in ("present", "away", "unsupporting"):
        assert FindingCode.NO_GUARDIAN not in shown(**nobody, mother_status=able)
    assert FindingCode.NO_GUARDIAN not in shown(**{**nobody, "lives_with_guardian": True}, mother_status="dead")
    assert FindingCode.NO_GUARDIAN not in shown(**{**nobody, "lives_with_guardian": None}, mother_status="dead")


@pytest.mark.parametrize(
    ("facts", "levels"),
    [
        ({"lives_alone": True, "birth_date": "2018-11-24"}, {FindingCode.UNATTENDED: Level.L0}),
        ({"lives_alone": True, "birth_date": "2018-11-23"}, {FindingCode.GUARDIANSHIP_AT_RISK: Level.L1}),
        ({"lives_alone": True, "birth_date": "2010-11-24"}, {FindingCode.GUARDIANSHIP_AT_RISK: Level.L1}),
        ({"lives_alone": True, "birth_date": "2010-11-23"}, {}),
        ({"guardian_status": "absent"}, {FindingCode.GUARDIAN_MISSING: Level.L0}),
        ({"guardian_status": "at_risk"}, {FindingCode.GUARDIANSHIP_AT_RISK: Level.L2}),
        ({"guardian_status": "effective"}, {}),
        (
            {"guardian_status": "at_risk", "lives_alone": True},
            {FindingCode.GUARDIANSHIP_AT_RISK: Level.L1},
        ),
        (
            {"lives_with_caretaker": True, "written_care_agreement": False},
            {FindingCode.GUARDIANSHIP_AT_RISK: Level.L2},
        ),
        ({"lives_with_caretaker": True, "written_care_agreement": True}, {}),
        ({"lives_with_caretaker": True}, {}),
    ],
)
def test_a_guardianship_risk_has_the_level_of_its_facts(
    facts: dict[str, Any], levels: dict[FindingCode, Level]
) -> None:
    """If facts show one finding several times, the most urgent level counts."""
    assert shown(**{"lives_with_mother": None, **facts}) == levels


@pytest.mark.parametrize(
    "facts",
    [
        # Each is one step away from a gap.
        {"father_status": None, "mother_status": "dead", "lives_with_mother": None, "lives_with_guardian": False},
        {"father_status": "dead", "mother_status": None, "lives_with_mother": None, "lives_with_guardian": False},
        {"hardship_lasting": True, "tekun": True},
        {"hardship_lasting": True, "dibao": True},
        {"father_status": "dead", "mother_status": "unsupporting", "unsupported": True},
        {"father_status": "dead", "mother_status": "unsupporting", "orphan": True},
        {"disability": False, "disability_certified": False},
        {"lives_alone": False},
        {"disability": True, "disability_certified": True, "disability_grade": 3, "disability_subsidy": False},
        {"disability": True, "disability_certified": True, "disability_kind": 4, "rehabilitation": False},
        {"birth_date": "2018-11-23", "health_file_here": False},
        {"birth_date": "2011-06-01", "school_stage": "senior", "school_status": "dropped_out"},
        {"hukou_division": "341722100", "residence_division": "341702001", "help_requested": True, "insured": False},
        {"hukou_division": "341722101", "help_requested": False, "insured": False},
    ],
)
def test_facts_just_short_of_a_gap_show_none(facts: dict[str, Any]) -> None:
    assert shown(**facts) == {}


def test_a_finished_last_school_year_is_unknown_and_not_a_drop_out() -> None:
    left: dict[str, Any] = {
        "birth_date": "2011-06-01",
        "school_stage": "junior",
        "school_grade": 9,
        "school_status": "dropped_out",
    }

    assert shown(**left) == {FindingCode.OUT_OF_SCHOOL: Level.L2}
    assert FindingCode.OUT_OF_SCHOOL not in shown(recorded_on=date(2026, 6, 1), **left)


def test_a_later_finding_of_effective_guardianship_overrides_the_risk() -> None:
    orphan = claims(date(2026, 5, 1), **{**MIGRANT, "father_status": "dead", "mother_status": "dead"})
    orphan += claims(date(2026, 5, 1), lives_with_guardian=False)
    parameters = rule_parameters(demo_county())

    def findings_on(day: date) -> set[FindingCode]:
        facts = parse_facts([*orphan, *claims(day, guardian_status="effective")])
        return {each.code for each in assess(facts, parameters, ON).derived}

    assert FindingCode.NO_GUARDIAN in findings_on(date(2026, 4, 30))
    assert FindingCode.NO_GUARDIAN not in findings_on(date(2026, 5, 1))


def test_a_catch_up_vaccination_after_age_seven_belongs_to_no_item() -> None:
    parameters = rule_parameters(demo_county())
    items = []
    for birth in ("2019-11-24", "2019-11-23"):
        child = a_migrant_child(birth_date=birth, vaccination_status="overdue")
        [gap] = assess(child, parameters, ON).derived
        items.append(gap.item)

    assert items == ["B-1(2)", None]


def test_no_route_makes_a_safety_finding_less_urgent_than_the_rule() -> None:
    """Routes may be more urgent than the rules ask, never less."""
    routes = tuple(route.model_copy(update={"level": Level.L3}) for route in demo_county().routes)
    parameters = rule_parameters(a_county(routes=routes))
    facts: dict[str, Any] = {
        "lives_with_mother": None,
        "help_requested": True,
        "hardship_sudden": True,
        "psychological_need": True,
        "school_status": "not_enrolled",
        "insured": False,
    }

    def levels(**changes: Any) -> dict[FindingCode, str]:
        assessment = assess(a_migrant_child(**{**facts, **changes}), parameters, ON)
        return {each.code: f"{each.level}{'?' if each.confirm_first else ''}" for each in assessment.derived}

    assert levels(lives_alone=True, birth_date="2019-01-01") == {
        FindingCode.SUDDEN_HARDSHIP: "L1?",
        FindingCode.HELP_REQUESTED: "L3",
        FindingCode.UNATTENDED: "L0?",
    }
    with_mother = levels(lives_with_mother=True)
    assert with_mother[FindingCode.NEVER_ENROLLED] == "L2"
    assert with_mother[FindingCode.MENTAL_DISTRESS] == "L2?"
    assert with_mother[FindingCode.UNINSURED] == "L3"
    assert (
        levels(lives_with_mother=True, school_stage="primary", school_status="dropped_out")[FindingCode.OUT_OF_SCHOOL]
        == "L2"
    )
    assert levels(guardian_status="at_risk")[FindingCode.GUARDIANSHIP_AT_RISK] == "L2?"
    assert levels(lives_alone=True)[FindingCode.GUARDIANSHIP_AT_RISK] == "L1?"
    nobody = levels(father_status="dead", mother_status="dead", lives_with_guardian=False)
    assert nobody[FindingCode.NO_GUARDIAN] == "L1?"
