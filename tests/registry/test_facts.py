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


def a_source(
    unit: str, on: date, *, dataset: str | None = None, record: str = "", silent: bool = False, **facts: Value
) -> Source:
    """Return one record of a unit with these facts, valid from a day."""
    values = {FactName(name): value for name, value in facts.items()}
    dataset_name = dataset or DATASET[unit]
    return Source(
        an_id(unit, dataset_name, record), unit, dataset_name, 0, 0, silent, (FactVersion(on, None, on, values),)
    )


def resolved(*sources: Source, ends: dict[tuple[str, str, int], FileEnd] | None = None) -> ResolvedFacts:
    return resolve(sources, ends or {}, HOLDER, SCHOOL_YEAR)


def values_of(resolved_facts: ResolvedFacts, name: FactName) -> tuple[Value, ...]:
    """Return the current value first, then the other claimed values."""
    claims = sorted((claim for claim in resolved_facts.claims if claim[0].name == name), key=lambda claim: not claim[1])
    assert [chosen for _, chosen in claims].count(True) <= 1
    return tuple(claim.value for claim, _ in claims)


def test_the_claim_of_newer_validity_is_current_and_the_older_is_published_too() -> None:
    facts = resolved(a_source(JTJ, SEPTEMBER, school_grade=4), a_source(TOWN, MARCH, school_grade=3))
    assert values_of(facts, GRADE) == (4, 3)


def test_a_later_claim_about_an_earlier_day_is_not_current() -> None:
    late = Source(an_id("late"), TOWN, "village", 0, 0, False, (FactVersion(MARCH, None, NEXT_MARCH, {GRADE: 3}),))
    assert values_of(resolved(a_source(JTJ, SEPTEMBER, school_grade=4), late), GRADE) == (4, 3)


def test_the_same_value_from_two_units_is_published_once() -> None:
    facts = resolved(a_source(JTJ, SEPTEMBER, school_grade=4), a_source(TOWN, MARCH, school_grade=4))
    [(claim, chosen)] = facts.claims
    assert chosen
    assert claim.unit == JTJ


def test_among_claims_of_one_day_the_authoritys_is_current() -> None:
    """In the county the education bureau is the authority for the grade, the police or township for the residence."""
    assert values_of(resolved(a_source(JTJ, MARCH, school_grade=4), a_source(TOWN, MARCH, school_grade=3)), GRADE) == (
        4,
        3,
    )
    facts = resolved(
        a_source(JTJ, MARCH, residence_division="341722101"), a_source(TOWN, MARCH, residence_division="341722100")
    )
    assert values_of(facts, HOME)[0] == "341722100"


def test_among_claims_of_one_day_a_verification_is_current() -> None:
    facts = resolved(a_source(JTJ, MARCH, school_grade=4), a_source(TOWN, MARCH, dataset=VERIFY, school_grade=3))
    assert values_of(facts, GRADE) == (3, 4)
    assert [claim.verified for claim, chosen in facts.claims if chosen] == [True]


def test_a_departments_claim_of_a_later_day_overrides_an_earlier_verification() -> None:
    facts = resolved(a_source(JTJ, SEPTEMBER, school_grade=4), a_source(TOWN, MARCH, dataset=VERIFY, school_grade=3))
    assert values_of(facts, GRADE) == (4, 3)


# -------------------------------------------------------------------------------------------------------- conflicts


def test_two_units_that_differ_about_the_same_half_year_are_in_conflict() -> None:
    facts = resolved(a_source(JTJ, date(2026, 1, 1), school_grade=4), a_source(TOWN, date(2026, 6, 30), school_grade=3))
    assert facts.conflicts == ((GRADE, (JTJ, TOWN)),)


def test_two_units_that_differ_about_different_half_years_are_not_in_conflict() -> None:
    facts = resolved(a_source(JTJ, date(2026, 7, 1), school_grade=4), a_source(TOWN, date(2026, 6, 30), school_grade=3))
    assert facts.conflicts == ()
    assert values_of(facts, GRADE) == (4, 3)


def test_one_unit_is_not_in_conflict_with_itself() -> None:
    facts = resolved(a_source(JTJ, MARCH, school_grade=4), a_source(JTJ, MARCH, record="other", school_grade=3))
    assert facts.conflicts == ()


def test_a_source_that_no_longer_reports_causes_no_conflict() -> None:
    facts = resolved(a_source(JTJ, MARCH, school_grade=4), a_source(TOWN, MARCH, silent=True, school_grade=3))
    assert facts.conflicts == ()
    assert values_of(facts, GRADE) == (4, 3)


@pytest.mark.parametrize(
    ("one", "other", "in_conflict"),
    [
        ("341722100", "341722100201", False),
        ("341722100000", "341722100", False),
        ("341722100000", "341722100201", False),
        ("341722", "341722100", False),
        ("341722100", "341722101", True),
        ("341702", "341722100", True),
    ],
)
def test_a_more_exact_division_causes_no_conflict(one: str, other: str, in_conflict: bool) -> None:
    facts = resolved(a_source(GAJ, MARCH, residence_division=one), a_source(TOWN, MARCH, residence_division=other))
    assert bool(facts.conflicts) is in_conflict


def test_departments_own_dates_cause_no_conflict() -> None:
    facts = resolved(
        a_source(GAJ, MARCH, residence_since="2025-09-10"), a_source(JTJ, MARCH, residence_since="2025-09-01")
    )
    assert facts.conflicts == ()


# --------------------------------------------------------------------------------------------- when a residence began


def test_the_earliest_credible_day_of_the_present_residence_is_current_and_all_are_published() -> None:
    facts = resolved(
        a_source(GAJ, MARCH, residence_since="2025-09-10"),
        a_source(JTJ, SEPTEMBER, residence_since="2025-09-01"),
        a_source(WJW, MARCH, residence_since="2025-11-03"),
    )
    assert values_of(facts, SINCE) == ("2025-09-01", "2025-09-10", "2025-11-03")


def test_a_day_before_birth_or_in_the_future_is_not_credible() -> None:
    facts = resolved(
        a_source(GAJ, MARCH, residence_since="2015-01-01", birth_date="2016-03-05"),
        a_source(JTJ, MARCH, residence_since="2026-04-01"),
        a_source(WJW, MARCH, residence_since="2026-03-31"),
    )
    assert values_of(facts, SINCE) == ("2026-03-31",)


def test_the_day_of_birth_is_credible() -> None:
    facts = resolved(a_source(GAJ, MARCH, residence_since="2016-03-05", birth_date="2016-03-05"))
    assert values_of(facts, SINCE) == ("2016-03-05",)


def test_a_stay_elsewhere_is_not_the_present_residence() -> None:
    """A clinic of another county still has the child, who has lived here since last September."""
    facts = resolved(
        a_source(WJW, MARCH, residence_division="341702001", residence_since="2020-01-01"),
        a_source(GAJ, SEPTEMBER, residence_division="341722100", residence_since="2025-09-10"),
    )
    assert values_of(facts, SINCE) == ("2025-09-10",)


def test_a_move_within_the_county_does_not_begin_a_new_stay() -> None:
    facts = resolved(
        a_source(TOWN, MARCH, residence_division="341722101", residence_since="2024-02-01"),
        a_source(GAJ, SEPTEMBER, residence_division="341722100", residence_since="2025-09-10"),
    )
    assert values_of(facts, SINCE)[0] == "2024-02-01"


def test_a_stay_that_ended_does_not_count_for_the_one_after_it() -> None:
    facts = resolved(
        a_source(TOWN, MARCH, residence_since="2022-02-01", residence_ended="2024-07-01"),
        a_source(GAJ, SEPTEMBER, residence_since="2025-09-10"),
    )
    assert values_of(facts, SINCE) == ("2025-09-10",)


def test_a_stay_that_ended_without_a_new_one_is_still_published() -> None:
    facts = resolved(a_source(TOWN, MARCH, residence_since="2022-02-01", residence_ended="2024-07-01"))
    assert values_of(facts, SINCE) == ("2022-02-01",)


# --------------------------------------------------------------------------------------------------------- one record


def test_a_row_of_a_full_file_replaces_the_whole_row() -> None:
    """The child is back from an absence: the new row leaves the column empty."""
    source = a_source(TOWN, MARCH, away_since="2026-02-01", lives_alone=False)
    updated = with_row(
        source, FactVersion(SEPTEMBER, "2026H2", SEPTEMBER, {FactName.LIVES_ALONE: False}), {}, full_file=True
    )
    assert [dict(version.facts) for version in updated.versions] == [{FactName.LIVES_ALONE: False}]


def test_a_row_without_a_file_only_adds_facts() -> None:
    source = a_source(JTJ, MARCH, school_grade=4, school_status="enrolled")
    updated = with_row(
        source, FactVersion(SEPTEMBER, None, SEPTEMBER, {FactName.SCHOOL_STATUS: "dropped_out"}), {}, full_file=False
    )
    assert resolve([updated], {}, HOLDER, SCHOOL_YEAR).current == {GRADE: 4, FactName.SCHOOL_STATUS: "dropped_out"}


def test_an_older_row_that_comes_late_changes_nothing_that_is_newer() -> None:
    source = a_source(JTJ, SEPTEMBER, school_grade=5)
    for whole in (True, False):
        updated = with_row(
            source, FactVersion(MARCH, "2026H1", SEPTEMBER, {GRADE: 4, FactName.DIBAO: True}), {}, full_file=whole
        )
        assert resolve([updated], {}, HOLDER, SCHOOL_YEAR).current == {GRADE: 5, FactName.DIBAO: True}


def test_a_whole_file_dates_every_record_that_it_still_has() -> None:
    source = a_source(JTJ, MARCH, school_grade=4)
    ends = {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)}
    [version] = as_of(source, ends)
    assert (version.valid_on, version.period) == (SEPTEMBER, "2026H2")


def test_a_record_that_disappeared_keeps_its_date() -> None:
    source = no_longer_reported(a_source(JTJ, MARCH, school_grade=4), {}, "2026H2")
    [version] = as_of(source, {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)})
    assert version.valid_on == MARCH


def test_a_row_after_a_file_does_not_change_the_date_of_the_other_facts() -> None:
    ends = {(JTJ, "school", 0): FileEnd(1, "2026H2", SEPTEMBER)}
    source = a_source(JTJ, MARCH, school_grade=4)
    later = date(2026, 10, 20)
    updated = with_row(
        source, FactVersion(later, None, later, {FactName.SCHOOL_STATUS: "suspended"}), ends, full_file=False
    )
    assert [(version.valid_on, dict(version.facts)) for version in as_of(updated, ends)] == [
        (later, {FactName.SCHOOL_STATUS: "suspended"}),
        (SEPTEMBER, {GRADE: 4}),
    ]


def test_a_source_whose_newer_validity_could_change_the_facts_is_a_dependency() -> None:
    assert resolved(a_source(JTJ, MARCH, dibao=True), a_source(TOWN, SEPTEMBER, dibao=True)).dependency_keys == ()
    facts = resolved(a_source(JTJ, MARCH, dibao=True), a_source(TOWN, SEPTEMBER, dibao=False))
    assert facts.dependency_keys == (f"{JTJ} school 0", f"{TOWN} village 0")


def test_a_grade_belongs_to_its_school_year() -> None:
    """Grade 4 reported again in the next school year is a change: the child repeats it. In the same year it is none."""
    autumn, spring, next_autumn = (
        resolved(a_source(JTJ, day, school_grade=4)) for day in (SEPTEMBER, NEXT_MARCH, NEXT_AUTUMN)
    )
    assert autumn.days == spring.days == ((GRADE, "2026"),)
    assert next_autumn.days == ((GRADE, "2027"),)
    for year, facts in (("2026", spring), ("2027", next_autumn)):
        assert facts.dependency_keys == (f"{JTJ} school 0 {year}",)
    assert set(spring.dependency_keys) <= keys_affected_by(JTJ, "school", 0, NEXT_AUTUMN, SCHOOL_YEAR)
    assert keys_affected_by(JTJ, "school", 0, NEXT_MARCH, SCHOOL_YEAR).isdisjoint(spring.dependency_keys)
    assert resolved(a_source(JTJ, MARCH, silent=True, school_grade=4)).dependency_keys == ()


@pytest.mark.parametrize(("on", "year"), [(date(2026, 8, 31), 2025), (date(2026, 9, 1), 2026), (MARCH, 2025)])
def test_a_school_year_begins_on_the_day_after_the_countys_cutoff(on: date, year: int) -> None:
    assert SCHOOL_YEAR(on) == year


def test_facts_of_guardianship_are_compared_by_days() -> None:
    """The dates are part of the snapshot, and every source is a dependency."""
    facts = resolved(
        a_source(TOWN, SEPTEMBER, dataset=VERIFY, guardian_status="effective"),
        a_source(JTJ, MARCH, lives_with_caretaker=True),
    )
    assert facts.days == ((FactName.GUARDIAN_STATUS, "2026-09-30"), (FactName.LIVES_WITH_CARETAKER, "2026-03-31"))
    assert f"{JTJ} school 0" in facts.dependency_keys


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
def test_current_facts_do_not_depend_on_the_order_of_arrival(drawn: list[Source], random: object) -> None:
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(drawn, ENDS, HOLDER, SCHOOL_YEAR) == resolve(shuffled, ENDS, HOLDER, SCHOOL_YEAR)


@settings(deadline=None)
@given(st.lists(sources(), max_size=6, unique_by=lambda source: source.record))
def test_every_value_is_published_and_one_is_current(drawn: list[Source]) -> None:
    """The exception is the start of a residence, where claims that are not credible are not published."""
    result = resolve(drawn, ENDS, HOLDER, SCHOOL_YEAR)
    for name in VALUES:
        claimed = {version.facts[name] for source in drawn for version in source.versions if name in version.facts}
        values = values_of(result, name)
        if name is SINCE:
            assert set(values) <= claimed
            assert not values or values[0] == min(map(str, values))
        else:
            assert set(values) == claimed
