"""Resolution of facts: newer validity wins, in whatever order claims arrive, and conflicts are kept."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vocabulary import FactName
from services.registry.domain.fact_resolution import (
    VERIFY,
    FactVersion,
    FileEnd,
    ResolvedFacts,
    Source,
    Value,
    as_of,
    keys_affected_by,
    no_longer_reported,
    resolve,
    with_row,
)
from services.registry.unit_of_work import holder_rank, school_year_of
from tests.county import a_county
from tests.registry.harness import an_id

JTJ, GAJ, WJW, TOWN = "341722-jtj", "341722-gaj", "341722-wjw", "341722-renli"
DATASET = {JTJ: "school", GAJ: "residence", WJW: "vaccination", TOWN: "village"}
HOLDER, SCHOOL_YEAR = holder_rank(a_county()), school_year_of(a_county())
MARCH, SEPTEMBER = date(2026, 3, 31), date(2026, 9, 30)
NEXT_MARCH, NEXT_AUTUMN = date(2027, 3, 31), date(2027, 9, 30)
GRADE, HOME, SINCE = FactName.SCHOOL_GRADE, FactName.RESIDENCE_DIVISION, FactName.RESIDENCE_SINCE


def says(
    unit: str, on: date, *, dataset: str | None = None, record: str = "", silent: bool = False, **facts: Value
) -> Source:
    """Return one record of a unit with these facts, valid from a day."""
    found = {FactName(name): value for name, value in facts.items()}
    of = dataset or DATASET[unit]
    return Source(an_id(unit, of, record), unit, of, 0, 0, silent, (FactVersion(on, None, on, found),))


def resolved(*sources: Source, ends: dict[tuple[str, str, int], FileEnd] | None = None) -> ResolvedFacts:
    return resolve(sources, ends or {}, HOLDER, SCHOOL_YEAR)


def standing(found: ResolvedFacts, name: FactName) -> tuple[Value, ...]:
    """Return the current value first, then the other claimed values."""
    claims = sorted((claim for claim in found.claims if claim[0].name == name), key=lambda claim: not claim[1])
    assert [chosen for _, chosen in claims].count(True) <= 1
    return tuple(claim.value for claim, _ in claims)


def test_the_claim_of_newer_validity_is_current_and_the_older_travels_with_it() -> None:
    found = resolved(says(JTJ, SEPTEMBER, school_grade=4), says(TOWN, MARCH, school_grade=3))
    assert standing(found, GRADE) == (4, 3)


def test_what_arrives_later_about_an_earlier_day_does_not_stand() -> None:
    late = Source(an_id("late"), TOWN, "village", 0, 0, False, (FactVersion(MARCH, None, NEXT_MARCH, {GRADE: 3}),))
    assert standing(resolved(says(JTJ, SEPTEMBER, school_grade=4), late), GRADE) == (4, 3)


def test_the_same_value_from_two_units_travels_once() -> None:
    found = resolved(says(JTJ, SEPTEMBER, school_grade=4), says(TOWN, MARCH, school_grade=4))
    [(claim, chosen)] = found.claims
    assert chosen
    assert claim.unit == JTJ


def test_of_claims_of_one_day_that_of_the_facts_authority_is_current() -> None:
    """In the county the education bureau is the authority for the grade, the police or township for the residence."""
    assert standing(resolved(says(JTJ, MARCH, school_grade=4), says(TOWN, MARCH, school_grade=3)), GRADE) == (4, 3)
    found = resolved(
        says(JTJ, MARCH, residence_division="341722101"), says(TOWN, MARCH, residence_division="341722100")
    )
    assert standing(found, HOME)[0] == "341722100"


def test_of_claims_of_one_day_a_verification_is_current() -> None:
    found = resolved(says(JTJ, MARCH, school_grade=4), says(TOWN, MARCH, dataset=VERIFY, school_grade=3))
    assert standing(found, GRADE) == (3, 4)
    assert [claim.verified for claim, chosen in found.claims if chosen] == [True]


def test_a_departments_claim_of_a_later_day_overrides_an_earlier_verification() -> None:
    found = resolved(says(JTJ, SEPTEMBER, school_grade=4), says(TOWN, MARCH, dataset=VERIFY, school_grade=3))
    assert standing(found, GRADE) == (4, 3)


# --------------------------------------------------------------------------------------------------- contradictions


def test_two_units_that_differ_about_the_same_half_year_contradict() -> None:
    found = resolved(says(JTJ, date(2026, 1, 1), school_grade=4), says(TOWN, date(2026, 6, 30), school_grade=3))
    assert found.conflicts == ((GRADE, (JTJ, TOWN)),)


def test_two_units_that_differ_about_different_half_years_do_not() -> None:
    found = resolved(says(JTJ, date(2026, 7, 1), school_grade=4), says(TOWN, date(2026, 6, 30), school_grade=3))
    assert found.conflicts == ()
    assert standing(found, GRADE) == (4, 3)


def test_one_unit_does_not_contradict_itself() -> None:
    found = resolved(says(JTJ, MARCH, school_grade=4), says(JTJ, MARCH, record="other", school_grade=3))
    assert found.conflicts == ()


def test_a_source_that_no_longer_reports_causes_no_conflict() -> None:
    found = resolved(says(JTJ, MARCH, school_grade=4), says(TOWN, MARCH, silent=True, school_grade=3))
    assert found.conflicts == ()
    assert standing(found, GRADE) == (4, 3)


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        ("341722100", "341722100201", False),
        ("341722100000", "341722100", False),
        ("341722100000", "341722100201", False),
        ("341722", "341722100", False),
        ("341722100", "341722101", True),
        ("341702", "341722100", True),
    ],
)
def test_a_more_exact_place_causes_no_conflict(one: str, other: str, contradict: bool) -> None:
    found = resolved(says(GAJ, MARCH, residence_division=one), says(TOWN, MARCH, residence_division=other))
    assert bool(found.conflicts) is contradict


def test_departments_own_dates_cause_no_conflict() -> None:
    found = resolved(says(GAJ, MARCH, residence_since="2025-09-10"), says(JTJ, MARCH, residence_since="2025-09-01"))
    assert found.conflicts == ()


# --------------------------------------------------------------------------------------------- when a residence began


def test_the_earliest_credible_day_of_the_present_residence_is_current_and_all_travel() -> None:
    found = resolved(
        says(GAJ, MARCH, residence_since="2025-09-10"),
        says(JTJ, SEPTEMBER, residence_since="2025-09-01"),
        says(WJW, MARCH, residence_since="2025-11-03"),
    )
    assert standing(found, SINCE) == ("2025-09-01", "2025-09-10", "2025-11-03")


def test_a_day_before_birth_or_in_the_future_is_not_credible() -> None:
    found = resolved(
        says(GAJ, MARCH, residence_since="2015-01-01", birth_date="2016-03-05"),
        says(JTJ, MARCH, residence_since="2026-04-01"),
        says(WJW, MARCH, residence_since="2026-03-31"),
    )
    assert standing(found, SINCE) == ("2026-03-31",)


def test_the_day_of_birth_is_credible() -> None:
    found = resolved(says(GAJ, MARCH, residence_since="2016-03-05", birth_date="2016-03-05"))
    assert standing(found, SINCE) == ("2016-03-05",)


def test_a_stay_elsewhere_is_not_the_present_residence() -> None:
    """A clinic of another county still has the child, who has lived here since last September."""
    found = resolved(
        says(WJW, MARCH, residence_division="341702001", residence_since="2020-01-01"),
        says(GAJ, SEPTEMBER, residence_division="341722100", residence_since="2025-09-10"),
    )
    assert standing(found, SINCE) == ("2025-09-10",)


def test_a_move_within_the_county_does_not_begin_a_new_stay() -> None:
    found = resolved(
        says(TOWN, MARCH, residence_division="341722101", residence_since="2024-02-01"),
        says(GAJ, SEPTEMBER, residence_division="341722100", residence_since="2025-09-10"),
    )
    assert standing(found, SINCE)[0] == "2024-02-01"


def test_a_stay_that_ended_does_not_count_for_the_one_after_it() -> None:
    found = resolved(
        says(TOWN, MARCH, residence_since="2022-02-01", residence_ended="2024-07-01"),
        says(GAJ, SEPTEMBER, residence_since="2025-09-10"),
    )
    assert standing(found, SINCE) == ("2025-09-10",)


def test_a_stay_that_ended_without_a_new_one_is_still_published() -> None:
    found = resolved(says(TOWN, MARCH, residence_since="2022-02-01", residence_ended="2024-07-01"))
    assert standing(found, SINCE) == ("2022-02-01",)


# --------------------------------------------------------------------------------------------------------- one record


def test_a_row_of_a_file_is_the_whole_row() -> None:
    """The child is back from an absence: the new row leaves the column empty."""
    source = says(TOWN, MARCH, away_since="2026-02-01", lives_alone=False)
    again = with_row(
        source, FactVersion(SEPTEMBER, "2026H2", SEPTEMBER, {FactName.LIVES_ALONE: False}), {}, full_file=True
    )
    assert [dict(version.facts) for version in again.versions] == [{FactName.LIVES_ALONE: False}]


def test_a_row_on_its_own_only_adds() -> None:
    source = says(JTJ, MARCH, school_grade=4, school_status="enrolled")
    again = with_row(
        source, FactVersion(SEPTEMBER, None, SEPTEMBER, {FactName.SCHOOL_STATUS: "dropped_out"}), {}, full_file=False
    )
    assert resolve([again], {}, HOLDER, SCHOOL_YEAR).current == {GRADE: 4, FactName.SCHOOL_STATUS: "dropped_out"}


def test_an_older_row_that_comes_late_changes_nothing_that_is_newer() -> None:
    source = says(JTJ, SEPTEMBER, school_grade=5)
    for whole in (True, False):
        again = with_row(
            source, FactVersion(MARCH, "2026H1", SEPTEMBER, {GRADE: 4, FactName.DIBAO: True}), {}, full_file=whole
        )
        assert resolve([again], {}, HOLDER, SCHOOL_YEAR).current == {GRADE: 5, FactName.DIBAO: True}


def test_a_whole_file_dates_every_record_that_it_still_has() -> None:
    source = says(JTJ, MARCH, school_grade=4)
    ends = {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)}
    [version] = as_of(source, ends)
    assert (version.valid_on, version.period) == (SEPTEMBER, "2026H2")


def test_a_record_that_disappeared_stays_as_old_as_it_is() -> None:
    source = no_longer_reported(says(JTJ, MARCH, school_grade=4), {}, "2026H2")
    [version] = as_of(source, {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)})
    assert version.valid_on == MARCH


def test_a_row_on_its_own_after_a_file_does_not_make_the_rest_of_the_record_old_again() -> None:
    ends = {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)}
    source = says(JTJ, MARCH, school_grade=4)
    later = date(2026, 10, 20)
    again = with_row(
        source, FactVersion(later, None, later, {FactName.SCHOOL_STATUS: "suspended"}), ends, full_file=False
    )
    assert [(version.valid_on, dict(version.facts)) for version in as_of(again, ends)] == [
        (later, {FactName.SCHOOL_STATUS: "suspended"}),
        (SEPTEMBER, {GRADE: 4}),
    ]


def test_a_source_whose_newer_validity_could_change_the_facts_is_a_dependency() -> None:
    assert resolved(says(JTJ, MARCH, dibao=True), says(TOWN, SEPTEMBER, dibao=True)).dependency_keys == ()
    found = resolved(says(JTJ, MARCH, dibao=True), says(TOWN, SEPTEMBER, dibao=False))
    assert found.dependency_keys == (f"{JTJ} school 0", f"{TOWN} village 0")


def test_a_grade_is_one_of_its_school_year() -> None:
    """Grade 4 reported again in the next school year is a change: the child repeats it. In the same year it is none."""
    autumn, spring, next_autumn = (
        resolved(says(JTJ, day, school_grade=4)) for day in (SEPTEMBER, NEXT_MARCH, NEXT_AUTUMN)
    )
    assert autumn.days == spring.days == ((GRADE, "2026"),)
    assert next_autumn.days == ((GRADE, "2027"),)
    for year, found in (("2026", spring), ("2027", next_autumn)):
        assert found.dependency_keys == (f"{JTJ} school 0 {year}",)
    assert set(spring.dependency_keys) <= keys_affected_by(JTJ, "school", 0, NEXT_AUTUMN, SCHOOL_YEAR)
    assert keys_affected_by(JTJ, "school", 0, NEXT_MARCH, SCHOOL_YEAR).isdisjoint(spring.dependency_keys)
    assert resolved(says(JTJ, MARCH, silent=True, school_grade=4)).dependency_keys == ()


@pytest.mark.parametrize(("on", "begun"), [(date(2026, 8, 31), 2025), (date(2026, 9, 1), 2026), (MARCH, 2025)])
def test_a_school_year_begins_on_the_day_after_the_countys_cutoff(on: date, begun: int) -> None:
    assert SCHOOL_YEAR(on) == begun


def test_what_was_found_of_the_guardianship_is_weighed_by_days() -> None:
    """The dates are part of the snapshot, and every source is a dependency."""
    found = resolved(
        says(TOWN, SEPTEMBER, dataset=VERIFY, guardian_status="effective"),
        says(JTJ, MARCH, lives_with_caretaker=True),
    )
    assert found.days == ((FactName.GUARDIAN_STATUS, "2026-09-30"), (FactName.LIVES_WITH_CARETAKER, "2026-03-31"))
    assert f"{JTJ} school 0" in found.dependency_keys


# ------------------------------------------------------------------------------------------------------- any order

DAYS = st.sampled_from([date(2026, 1, 1), MARCH, SEPTEMBER, date(2026, 12, 31)])
VALUES: dict[FactName, st.SearchStrategy[Any]] = {
    GRADE: st.integers(1, 3),
    HOME: st.sampled_from(["341722", "341722100", "341722101", "341702001"]),
    SINCE: st.sampled_from(["2020-01-01", "2025-09-01", "2026-03-31", "2027-01-01", "unreadable"]),
    FactName.RESIDENCE_ENDED: st.sampled_from(["2024-07-01", "2026-01-01"]),
    FactName.BIRTH_DATE: st.sampled_from(["2016-03-05", "2021-03-05"]),
    FactName.DIBAO: st.booleans(),
}


@st.composite
def sources(draw: st.DrawFn) -> Source:
    unit = draw(st.sampled_from(sorted(DATASET)))
    dataset = draw(st.sampled_from([DATASET[unit], VERIFY]))
    facts: dict[FactName, Value] = {name: draw(VALUES[name]) for name in draw(st.sets(st.sampled_from(list(VALUES))))}
    version = FactVersion(draw(DAYS), None, draw(DAYS), facts)
    record = draw(st.uuids(version=4))
    return Source(
        record, unit, dataset, draw(st.integers(0, 1)), draw(st.integers(0, 1)), draw(st.booleans()), (version,)
    )


ENDS = {
    (JTJ, "school", 0): FileEnd(1, "2026H1", MARCH),
    (TOWN, "village", 1): FileEnd(1, "2026H2", SEPTEMBER),
}


@settings(deadline=None)
@given(st.lists(sources(), max_size=6, unique_by=lambda source: source.record), st.randoms())
def test_current_facts_do_not_depend_on_the_order_of_arrival(found: list[Source], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(found, ENDS, HOLDER, SCHOOL_YEAR) == resolve(shuffled, ENDS, HOLDER, SCHOOL_YEAR)


@settings(deadline=None)
@given(st.lists(sources(), max_size=6, unique_by=lambda source: source.record))
def test_every_value_travels_and_one_is_current(found: list[Source]) -> None:
    """The exception is the start of a residence, where claims that are not credible do not travel."""
    result = resolve(found, ENDS, HOLDER, SCHOOL_YEAR)
    for name in VALUES:
        claimed = {version.facts[name] for source in found for version in source.versions if name in version.facts}
        stands = standing(result, name)
        if name is SINCE:
            assert set(stands) <= claimed
            assert not stands or stands[0] == min(map(str, stands))
        else:
            assert set(stands) == claimed
