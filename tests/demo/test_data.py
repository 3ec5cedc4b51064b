"""The invented county: one seed gives one ground truth, recognisably invented people, and defects at stated rates."""

import hashlib
from collections import Counter
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from contracts.vocabulary import FindingCode, Verb
from demo.data import files, population, submissions
from demo.data.identities import FIRST_ORDER, SURNAMES, add_months, age_on, valid, with_check
from tests.county import demo_county

FIRST_DAY = date(2026, 9, 1)
"""Modules of the demo that stand for other people's systems, or check ours."""


@pytest.fixture(scope="module")
def generated() -> population.Population:
    return population.generate(demo_county(), 300, 11, FIRST_DAY, 122)


@pytest.fixture(scope="module")
def submitted(generated: population.Population) -> tuple[submissions.Submission, ...]:
    return submissions.generate(demo_county(), generated)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_generates_the_same_bytes(tmp_path: Path) -> None:
    """The ground truth, events and workbooks are the same; another seed generates others."""
    county = demo_county()
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        people = population.generate(county, 60, seed, FIRST_DAY, 40)
        files.write(tmp_path / name, people, submissions.generate(county, people))

    assert digest(tmp_path / "one") == digest(tmp_path / "again")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_every_id_number_is_valid_and_of_the_invented_sequence(generated: population.Population) -> None:
    """Each has a valid checksum, the child's own birthday and an order number from 980 on, and none occurs twice."""
    numbers = [child.id_number for child in generated.children if child.id_number]
    for child in generated.children:
        if child.id_number:
            assert valid(child.id_number)
            assert child.id_number[6:14] == f"{child.born:%Y%m%d}"
            assert int(child.id_number[14:17]) >= FIRST_ORDER
            assert int(child.id_number[16]) % 2 == child.sex % 2
    assert len(set(numbers)) == len(numbers)


def test_a_checksum_computed_by_hand() -> None:
    """The example of GB 11643-1999."""
    assert with_check("11010519491231002") == "11010519491231002X"
    assert not valid("110105194912310021")


def test_every_person_is_recognisably_invented(generated: population.Population) -> None:
    """Surnames and telephone numbers belong to nobody, and villages are marked as invented."""
    for child in generated.children:
        assert child.name[0] in SURNAMES
        assert child.family.father.phone.startswith("1990000")
        assert "虚构" in child.family.address


def test_every_cohort_and_state_occurs(generated: population.Population) -> None:
    """Each has its stated share and at least one child."""
    cohorts = Counter(child.cohort for child in generated.children)
    assert cohorts.keys() == population.COHORTS.keys()
    for cohort, share in population.COHORTS.items():
        assert abs(cohorts[cohort] - share * 300) <= 2 or cohort == "settled"
    states = Counter(state for child in generated.children for state in child.states)
    assert states.keys() == population.CONDITIONS.keys()


def test_sixteenth_birthdays_and_six_month_dates_fall_within_the_demo(generated: population.Population) -> None:
    """The days on which answers change are within the demo, after the files are submitted."""
    for child in generated.children:
        if child.cohort == "turns_16":
            birthday = add_months(child.born, 192)
            assert FIRST_DAY < birthday <= generated.last_day
            assert (age_on(child.born, birthday), child.migrant and child.migrant[1]) == (16, birthday)
        if child.cohort == "six_months":
            assert child.migrant is not None
            assert FIRST_DAY < child.migrant[0] <= generated.last_day
        if child.cohort in ("local", "mover", "over_16", "without_parents", "no_hukou", "registered_here"):
            span = child.migrant
            assert span is None or not span[0] <= FIRST_DAY < span[1]


def test_months_end_where_the_civil_code_ends_them() -> None:
    """Civil Code 202 sets the corresponding day, or else the last day of the month."""
    assert add_months(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert add_months(date(2026, 8, 28), 6) == date(2027, 2, 28)
    assert add_months(date(2012, 2, 29), 12 * 14) == date(2026, 2, 28)
    assert add_months(date(2026, 3, 31), -1) == date(2026, 2, 28)
    assert age_on(date(2010, 9, 2), date(2026, 9, 1)) == 15
    assert age_on(date(2010, 9, 1), date(2026, 9, 1)) == 16


def test_twins_and_siblings_share_family_details(generated: population.Population) -> None:
    """Siblings share an address and a telephone number; twins share the birthday too, but no ID number."""
    by_family: dict[str, list[population.Child]] = {}
    for child in generated.children:
        by_family.setdefault(child.family.key, []).append(child)
    siblings = [family for family in by_family.values() if len(family) > 1]
    assert siblings
    assert any(each.born == other.born for each, other, *_ in siblings)
    for family in siblings:
        assert len({child.name for child in family}) == len(family)
        assert len({child.id_number for child in family}) == len(family)


def test_every_header_is_known_to_the_county(submitted: tuple[submissions.Submission, ...]) -> None:
    """Files use the county's own synonyms; the one forbidden column is planted on purpose."""
    county = demo_county()
    for each in submitted:
        dataset = county.dataset(each.dataset)
        assert dataset is not None
        names = {name for column in dataset.columns for name in column.names}
        strange = set(each.columns) - names
        assert strange == ({submissions.CONDUCT_COLUMN} if each.expect == "refused" else set())
        unit = county.unit(each.unit)
        assert unit is not None
        assert each.dataset in unit.submits


def test_six_departments_and_eight_townships_submit_half_as_events(
    submitted: tuple[submissions.Submission, ...],
) -> None:
    """They submit workbooks, whole files as events and single rows; every unit with data submits some."""
    accepted = [each for each in submitted if each.expect == "taken"]
    assert len({each.unit for each in accepted if each.dataset == "village"}) == 8
    assert len({each.unit for each in accepted if each.dataset != "village"}) == 6
    rows: Counter[str] = Counter()
    for each in accepted:
        rows["workbook" if each.channel == "workbook" else "events"] += len(each.rows)
    assert 0.4 < rows["workbook"] / rows.total() < 0.6


def test_defects_occur_at_their_rates_and_not_in_planted_gaps() -> None:
    """Rates are counted over many rows; a row with a planted gap stays readable."""
    county = demo_county()
    large_population = population.generate(county, 3000, 5, FIRST_DAY, 122)
    planted = {gap.child for gap in large_population.service_gaps}
    rows = [
        row for each in submissions.generate(county, large_population) if each.expect == "taken" for row in each.rows
    ]
    defects = Counter(row.defect for row in rows)
    for defect in ("id_mistyped", "date_impossible", "name_spaced", "id_look_alike", "date_other_form"):
        assert defects[defect] / len(rows) == pytest.approx(submissions.DEFECT_RATES[defect], rel=0.5)
    assert all(row.defect is None for row in rows if row.child in planted)


def test_every_planted_finding_may_be_reported_by_a_person(generated: population.Population) -> None:
    """The routes and roles of the ground truth are those of the county's data."""
    county = demo_county()
    assert (
        len({planted_finding.ce_id for planted_finding in generated.planted_findings})
        == len({planted_finding.child for planted_finding in generated.planted_findings})
        == len(generated.planted_findings)
    )
    for planted_finding in generated.planted_findings:
        route = county.route(planted_finding.route)
        assert route is not None
        assert FindingCode(planted_finding.code) in route.findings
        assert route.unit in (planted_finding.to_unit, "township")
        assert (route.restricted, route.level.value) == (planted_finding.restricted, planted_finding.level)
        assert Verb.REPORT in county.roles[planted_finding.role]
    for gap in generated.service_gaps:
        route = county.route(gap.route)
        assert route is not None
        assert (FindingCode(gap.code) in route.findings, route.unit) == (True, gap.to_unit)


def test_a_workbook_looks_like_a_clerks(submitted: tuple[submissions.Submission, ...], tmp_path: Path) -> None:
    """Some have a title above the header or a sum below; the header's cells are the columns."""
    books = [each for each in submitted if each.channel == "workbook"]
    assert {book.title is None for book in books} == {True, False}
    assert {book.with_sum for book in books} == {True, False}
    for book in books:
        path = tmp_path / "book.xlsx"
        path.write_bytes(files.workbook(book))
        rows = list(openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True))
        header = rows[0 if book.title is None else 1]
        assert header[: len(book.columns)] == book.columns
        assert len(rows) == 1 + (book.title is not None) + len(book.rows) + 2 * book.with_sum
