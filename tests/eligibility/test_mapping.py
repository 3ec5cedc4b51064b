"""The mapping between events and rules: the county's data and facts in, an assessment out, with nothing lost."""

import re
from datetime import date
from typing import Any

import orjson
import pytest

from contracts.county import Division
from contracts.eligibility import ChildAssessed
from contracts.registry import Fact
from contracts.vocabulary import NUMBER_BOUNDS, Answer, FactName
from services.eligibility.domain.assessment import assess, withdrawn_assessment
from services.eligibility.domain.divisions import PlaceRelation, is_outside, relate, same_township
from services.eligibility.domain.facts import NUMBERS, Claim, UnreadableFact, parse_facts
from services.eligibility.events import child_assessed, serialize_answers
from services.eligibility.mapping import (
    parse_claims,
    rule_basis,
    rule_parameters,
    serialize_claims,
    to_claims,
)
from tests.county import a_county, demo_county
from tests.eligibility.conftest import child_id
from tests.eligibility.harness import ON, a_migrant_child, claims
from tests.policy.test_cases import FILES, ask, read

TERMS = rule_parameters(demo_county())


def test_claims_survive_storage_unchanged() -> None:
    stored = claims(insured=True, school_grade=4, birth_date="2016-03-15", hukou_division="341702")
    stored.append(stored[0]._replace(period=None, recorded_on=date(2027, 1, 1), chosen=False, verified=True))

    assert parse_claims(serialize_claims(stored)) == stored


def test_a_snapshot_s_facts_become_claims_with_their_provenance() -> None:
    fact = Fact(
        name=FactName.INSURED,
        value=True,
        unit="341722-rsj",
        dataset="insurance",
        period="2026H2",
        valid_on=date(2026, 9, 30),
        recorded_on=date(2026, 10, 2),
        chosen=True,
        verified=True,
    )

    assert to_claims([fact]) == [
        Claim(
            FactName.INSURED,
            True,
            "341722-rsj",
            "insurance",
            "2026H2",
            date(2026, 9, 30),
            date(2026, 10, 2),
            True,
            True,
        )
    ]


def test_claims_that_are_not_chosen_do_not_count_but_every_arrival_does() -> None:
    stored = claims(insured=True, residence_since="2026-05-01")
    stored += [one._replace(chosen=False) for one in claims(insured=False, residence_since="2026-04-01")]
    facts = parse_facts(stored)

    assert facts.flags[FactName.INSURED] is True
    assert [arrival.on for arrival in facts.arrivals] == [date(2026, 4, 1), date(2026, 5, 1)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (FactName.INSURED, "true"),
        (FactName.INSURED, 1),
        (FactName.BIRTH_DATE, "20160315x"),
        (FactName.BIRTH_DATE, 20160315),
        (FactName.SCHOOL_GRADE, "4"),
        (FactName.SCHOOL_GRADE, True),
        (FactName.HUKOU_DIVISION, 341702),
        (FactName.SCHOOL_STATUS, "在读"),
        (FactName.SCHOOL_GRADE, 0),
        (FactName.SCHOOL_GRADE, 13),
        (FactName.DISABILITY_GRADE, 0),
        (FactName.DISABILITY_GRADE, 5),
        (FactName.DISABILITY_KIND, 8),
        (FactName.INSURED_YEAR, 1999),
        (FactName.SEX, 3),
        (FactName.SCHOOL_COUNT, -1),
        (FactName.BIRTH_DATE, "1899-12-31"),
    ],
)
def test_a_value_of_another_type_is_rejected_and_the_error_names_the_fact(name: FactName, value: Any) -> None:
    with pytest.raises(UnreadableFact, match=name.value) as refused:
        parse_facts([Claim(name, value, "u", "d", None, ON, ON, True, False)])

    assert refused.value.name is name
    assert str(value) not in str(refused.value).replace(name.value, "")


def test_the_bounds_of_each_number_and_the_earliest_date_are_accepted() -> None:
    for name, bounds in NUMBER_BOUNDS.items():
        for value in bounds:
            assert parse_facts([Claim(name, value, "u", "d", None, ON, ON, True, False)]).numbers == {name: value}
    assert set(NUMBER_BOUNDS) == NUMBERS
    assert parse_facts(claims(birth_date="1900-01-01")).dates == {FactName.BIRTH_DATE: date(1900, 1, 1)}


def test_everything_in_an_assessment_arrives_in_the_event() -> None:
    for file in FILES:
        case = read(file)
        assessment = ask(case)
        content = serialize_answers(
            assessment, case.county, state="on_file", absorbed_by=None, absorbs=(), residence="341722100"
        )

        written = child_assessed(child_id(1), 7, 2, case.on, content)
        event = ChildAssessed.model_validate_json(written.encoded())

        assert (written.key, written.kind, written.topic_name) == (event.key, event.kind, event.topic_name)

        assert (event.child_version, event.assessment, event.on, event.until) == (7, 2, case.on, assessment.until)
        assert [one.subject for one in event.items] == [one.subject for one in assessment.items]
        for emitted, meant in zip((event.migrant, event.statistical, *event.items), _verdicts(assessment), strict=True):
            assert (emitted.answer, emitted.until, emitted.fulfilment) == (meant.answer, meant.until, meant.fulfilment)
            assert (emitted.certainty, emitted.citations) == (meant.certainty, meant.citations)
            assert [(one.code, one.supports, one.params) for one in emitted.reasons] == [
                (one.code, one.supports, one.params) for one in meant.grounds
            ]
            assert [(one.fact, one.criterion, one.held_by) for one in emitted.missing] == [
                (one.fact, one.criterion, one.held_by) for one in meant.missing
            ]
        assert [(one.code, one.route, one.level, one.item) for one in event.derived] == [
            (one.code, one.route, one.level, one.item) for one in assessment.derived
        ]
        assert _within(orjson.loads(written.encoded()), event.model_dump(mode="json"))


def _within(written: Any, read: Any) -> bool:
    """Every written value is read back unchanged; an omitted one has the default of its contract."""
    if isinstance(written, dict):
        return all(name in read and _within(part, read[name]) for name, part in written.items())
    if isinstance(written, list):
        return len(written) == len(read) and all(map(_within, written, read))
    return bool(written == read)


def test_no_event_contains_anything_that_could_be_an_identity() -> None:
    """The event has no 18-digit number, no phone number, and codes instead of Chinese text."""
    content = serialize_answers(
        assess(a_migrant_child(), TERMS, ON),
        demo_county(),
        state="on_file",
        absorbed_by=None,
        absorbs=(),
        residence="341722100",
    ).decode()

    assert not re.search(r"\d{11,}", content)
    assert not re.search(r"[\u4e00-\u9fff]", content)


def test_an_abolished_code_is_followed_to_the_current_one_and_a_cycle_ends() -> None:
    county = a_county(
        divisions=(
            Division(code="341722", name="石台县"),
            Division(code="342922", name="旧", successor="342923"),
            Division(code="342923", name="较旧", successor="341722"),
            Division(code="111111", name="甲", successor="222222"),
            Division(code="222222", name="乙", successor="111111"),
        )
    )

    assert rule_parameters(county).current_codes["342922"] == "341722"
    assert rule_parameters(county).current_codes["111111"] in ("111111", "222222")


@pytest.mark.parametrize(
    ("hukou", "residence", "expected"),
    [
        ("341702", "341722100", PlaceRelation.TWO_COUNTIES),
        ("341722", "341722100", PlaceRelation.SAME_COUNTY),
        ("342922", "341722100", PlaceRelation.SAME_COUNTY),
        ("340102", "340103001", PlaceRelation.DISTRICTS),
        ("340203", "340202001", PlaceRelation.DISTRICTS),
        ("340102", "340123001", PlaceRelation.TWO_COUNTIES),
        ("810000", "341722100", PlaceRelation.NO_HUKOU_COUNTY),
        ("710000", "341722100", PlaceRelation.NO_HUKOU_COUNTY),
        ("abroad", "341722100", PlaceRelation.NO_HUKOU_COUNTY),
        ("330000", "341722100", PlaceRelation.TWO_COUNTIES),
        ("340000", "341722100", PlaceRelation.UNCLEAR),
        ("341700", "341722100", PlaceRelation.UNCLEAR),
        ("340100", "341722100", PlaceRelation.TWO_COUNTIES),
        ("341200", "341722100", PlaceRelation.TWO_COUNTIES),
        ("349900", "341722100", PlaceRelation.UNCLEAR),
        ("341299", "341722100", PlaceRelation.UNCLEAR),
        ("341702", "341299001", PlaceRelation.UNCLEAR),
        ("522701", "341722100", PlaceRelation.TWO_COUNTIES),
        ("520000", "341722100", PlaceRelation.TWO_COUNTIES),
        ("341722", "522701001", PlaceRelation.TWO_COUNTIES),
        ("522701", "430999001", PlaceRelation.TWO_COUNTIES),
        ("522701", "522702001", PlaceRelation.UNCLEAR),
        ("991234", "341722100", PlaceRelation.UNCLEAR),
        ("341722", "991234100", PlaceRelation.UNCLEAR),
        ("460003", "440306001", PlaceRelation.UNCLEAR),
        ("510202", "500112001", PlaceRelation.UNCLEAR),
        ("330106", "330106001", PlaceRelation.SAME_COUNTY),
        ("330000", "330000", PlaceRelation.UNCLEAR),
        ("522701", "522701001", PlaceRelation.SAME_COUNTY),
        ("820000", "341722100", PlaceRelation.NO_HUKOU_COUNTY),
        ("33", "341722100", PlaceRelation.UNCLEAR),
        ("341702", "52", PlaceRelation.UNCLEAR),
        ("安徽石台", "341722100", PlaceRelation.UNCLEAR),
        ("", "341722100", PlaceRelation.UNCLEAR),
    ],
)
def test_the_relation_of_two_places(hukou: str, residence: str, expected: PlaceRelation) -> None:
    assert relate(hukou, residence, TERMS) is expected


def test_any_place_of_any_other_province_lies_in_another_county() -> None:
    """A county lists its own province only; most children from farther away come from unlisted places."""
    provinces = re.findall("..", "111213141521222331323335363741424344454650515253546162636465")
    assert len(provinces) == 30

    for province in provinces:
        assert relate(f"{province}9971", "341722100", TERMS) is PlaceRelation.TWO_COUNTIES
        assert is_outside(f"{province}9971001", TERMS)
    assert not is_outside("349971001", TERMS)
    assert not is_outside("342922100", TERMS)
    assert is_outside("341702001", TERMS)


@pytest.mark.parametrize(
    ("hukou", "residence", "expected"),
    [
        ("341722100", "341722100", True),
        ("341722100001", "341722100002", True),
        ("341722101", "341722100", False),
        ("341722", "341722100", None),
        ("342922100", "341722100", None),
        ("341722401", "341722101", True),
        ("341722999", "341722101", None),
        ("341722101", "341722999", None),
        ("341702001", "341702002", False),
        ("341702001", "341702001", True),
        ("341702", "341702001", None),
        ("341702001", "341702", None),
    ],
)
def test_whether_two_codes_name_one_township(hukou: str, residence: str, expected: bool | None) -> None:
    assert same_township(hukou, residence, TERMS) is expected


def test_the_child_s_township_is_asked_or_the_lead_unit_if_it_is_not_known() -> None:
    known = assess(a_migrant_child(residence_since=None), TERMS, ON).migrant
    nowhere = assess(a_migrant_child(residence_since=None, residence_division=None), TERMS, ON).migrant

    assert known.missing[0].held_by == ("341722-gaj", "341722-renli")
    assert ("341722-gaj", "341722-mzj") in [one.held_by for one in nowhere.missing]


def test_another_version_name_or_other_data_is_another_basis() -> None:
    demo = demo_county()

    assert rule_basis(demo) == rule_basis(demo.model_copy())
    assert rule_basis(demo) != rule_basis(demo.model_copy(update={"version": "2027-01"}))
    assert rule_basis(demo) != rule_basis(demo.model_copy(update={"name": "别的县"}))


def test_a_withdrawn_assessment_decides_nothing() -> None:
    assessment = withdrawn_assessment(TERMS)

    assert (assessment.migrant.answer, assessment.statistical.answer) == (Answer.UNKNOWN, Answer.UNKNOWN)
    assert (assessment.items, assessment.derived, assessment.until) == ((), (), None)


def _verdicts(assessment: Any) -> Any:
    return (assessment.migrant, assessment.statistical, *assessment.items)
