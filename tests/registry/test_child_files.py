"""The working set of files: linking does not depend on the order of arrival, and a version counts applied events."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, product
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.vocabulary import FactName, IdentityField
from services.registry.domain.child_file import FindingAssignment, Person, Reading, Reassignment
from services.registry.domain.child_files import ChildFiles
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.matching import Evidence, MatchDecision, cluster, compare, never_similar
from services.registry.unit_of_work import holder_rank, school_year_of
from tests.county import a_county
from tests.registry.harness import a_vault, an_id
from tests.registry.people import BORN, FATHER, MOTHER, a_number

VAULT = a_vault()
BY = Person("341722-mzj", "county_civil_affairs", date(2026, 11, 23))
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
UNITS = ("341722-jtj", "341722-gaj", "341722-wjw", "341722-cl")


def a_working_set(records: Iterable[Evidence]) -> ChildFiles:
    """Return an empty working set in which every key of these records has been looked up."""
    return ChildFiles(
        partition=0,
        holder=holder_rank(a_county()),
        school_year=school_year_of(a_county()),
        derived_id=VAULT.derived_id,
        numbers=ChildNumbers("341722", VAULT.child_number),
        derived_review_id=VAULT.derived_review_id,
        similar=never_similar,
        event_id=lambda n: str(an_id("event", n)),
        index_hits={key: set() for record in records for key in record.blocking_keys},
    )


def reading(evidence: Evidence, unit: str = UNITS[0], *, at: datetime = NOON) -> Reading:
    facts = {FactName.SCHOOL_GRADE: 4}
    return Reading(evidence.record, evidence, unit, unit, None, date(2026, 9, 30), at, at.date(), False, "", facts)


def groups(child_files: ChildFiles) -> set[frozenset[UUID]]:
    records_by_child: dict[UUID, set[UUID]] = {}
    for record, assignment in child_files.assignments.items():
        records_by_child.setdefault(assignment.child, set()).add(record)
    return {frozenset(records) for records in records_by_child.values()}


IDENTITIES = st.fixed_dictionaries(
    {},
    optional={
        IdentityField.NAME: st.sampled_from(["例小明", "例小亮"]),
        IdentityField.ID_NUMBER: st.sampled_from([a_number(sequence=each) for each in (1, 2, 3)]),
        IdentityField.MOTHER_ID_NUMBER: st.just(MOTHER),
        IdentityField.FATHER_ID_NUMBER: st.just(FATHER),
        IdentityField.PHONE: st.just("19900000001"),
    },
)


@st.composite
def streams(draw: st.DrawFn, at_least: int = 1) -> list[Evidence]:
    """Return records of some similar children, each read once."""
    identities = draw(st.lists(IDENTITIES, min_size=at_least, max_size=7))
    return [VAULT.evidence(an_id("record", n), BORN, identity, ()) for n, identity in enumerate(identities)]


@settings(deadline=None)
@given(streams(), st.randoms())
def test_linking_does_not_depend_on_the_order_of_arrival(records: list[Evidence], random: object) -> None:
    """The same records end in the same files, in whatever order they arrive."""
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for order in (records, shuffled):
        child_files = a_working_set(records)
        for n, each in enumerate(order):
            child_files.apply_record(n, reading(each, UNITS[n % 4]))
        assert groups(child_files) == set(cluster(records, ()))


@settings(deadline=None)
@given(streams(), st.randoms())
def test_records_that_change_end_where_their_last_content_belongs(records: list[Evidence], random: object) -> None:
    """Each record is first read with another's content, then with its own: numbers and names move between rows."""
    others = list(records)
    random.shuffle(others)  # type: ignore[attr-defined]
    first = [replace(other, record=each.record) for each, other in zip(records, others, strict=True)]
    child_files = a_working_set(first + records)
    for n, each in enumerate(first + records):
        child_files.apply_record(n, reading(each))
    final = [assignment.evidence for assignment in child_files.assignments.values()]
    assert groups(child_files) == set(cluster(final, ()))


@settings(deadline=None)
@given(streams())
def test_every_event_counts_once_for_the_child_it_is_about(records: list[Evidence]) -> None:
    child_files = a_working_set(records)
    for n, each in enumerate(records):
        before = {child: file.version for child, file in child_files.files.items()}
        child_files.apply_record(n, reading(each))
        child = child_files.assignments[each.record].child
        for other, file in child_files.files.items():
            assert file.version - before.get(other, 0) == (1 if child_files.touched.get(other) == n else 0)
        assert child_files.touched[child] == n


@settings(deadline=None)
@given(streams())
def test_every_record_has_its_source_and_its_keys_in_its_file_only(records: list[Evidence]) -> None:
    child_files = a_working_set(records)
    for n, each in enumerate(records):
        child_files.apply_record(n, reading(each))
    for child, file in child_files.files.items():
        assert {record for record, assignment in child_files.assignments.items() if assignment.child == child} == set(
            file.records
        )
        keys = {key for record in file.records for key in child_files.assignments[record].evidence.blocking_keys}
        assert {key for key, children in child_files.index_hits.items() if child in children} == keys
    absorbed = {file.child for file in child_files.files.values() if file.state == "absorbed"}
    assert absorbed == {
        outcome.from_child
        for _, outcome in child_files.outcomes
        if isinstance(outcome, Reassignment) and outcome.reason == "matched"
    }


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "merge", "undo", "part", "confirm", "decline"]),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    min_size=5,
    max_size=16,
)


def apply_steps(child_files: ChildFiles, records: list[Evidence], steps: list[tuple[str, int, int]]) -> Iterator[str]:
    """Apply steps one by one: rows are read, and persons decide about the files and reviews that exist."""
    for n, (step, each, other) in enumerate(steps):
        current = sorted((file.child for file in child_files.files.values() if file.absorbed_by is None), key=str)
        absorbed_files = sorted(
            (file.child for file in child_files.files.values() if file.absorbed_by is not None), key=str
        )
        open_reviews = sorted(
            (review.review for review in child_files.reviews.values() if review.state == "open"), key=str
        )
        assigned_records = sorted(child_files.assignments, key=str)
        if step == "read":
            child_files.apply_record(n, reading(records[each % len(records)], at=NOON + timedelta(minutes=n)))
        elif step == "merge" and current:
            child_files.merge(n, current[each % len(current)], current[other % len(current)], BY)
        elif step == "undo" and absorbed_files:
            absorbed = child_files.files[absorbed_files[each % len(absorbed_files)]]
            assert absorbed.absorbed_by is not None
            child_files.split(n, absorbed.absorbed_by, (), absorbed.child, BY)
        elif step == "part" and assigned_records:
            record = assigned_records[each % len(assigned_records)]
            child_files.split(n, child_files.assignments[record].child, (record,), None, BY)
        elif step == "confirm" and open_reviews:
            child_files.confirm(n, open_reviews[each % len(open_reviews)], BY)
        elif step == "decline" and open_reviews:
            child_files.decline(n, open_reviews[each % len(open_reviews)], BY)
        yield step


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_clusters_follow_from_rows_and_decisions(records: list[Evidence], steps: list[tuple[str, int, int]]) -> None:
    """After every step the files are the ladder's clusters, and the index has each record in its file only."""
    child_files = a_working_set(records)
    for _ in apply_steps(child_files, records, steps):
        assert groups(child_files) == set(
            cluster([assignment.evidence for assignment in child_files.assignments.values()], child_files.cannot_link)
        )
        for child, file in child_files.files.items():
            assert {
                record for record, assignment in child_files.assignments.items() if assignment.child == child
            } == set(file.records)
            keys = {key for record in file.records for key in child_files.assignments[record].evidence.blocking_keys}
            assert {key for key, children in child_files.index_hits.items() if child in children} == keys


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_similar_files_are_reviewed_unless_a_person_decided(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Merges and splits do not change this, and a review is always about current files."""
    child_files = a_working_set(records)
    for _ in apply_steps(child_files, records, steps):
        current = [file.child for file in child_files.files.values() if file.absorbed_by is None]
        for each, other in combinations(current, 2):
            left, right = (
                [child_files.assignments[record].evidence for record in child_files.files[x].records]
                for x in (each, other)
            )
            are_similar = any(compare(a, b).decision is not MatchDecision.NON_LINK for a, b in product(left, right))
            cannot_link = any(
                frozenset((a.must_link, b.must_link)) in child_files.cannot_link for a, b in product(left, right)
            )
            reviews = [review for review in child_files.reviews.values() if review.pair == {each, other}]
            assert not are_similar or cannot_link or any(review.state != "merged" for review in reviews)
        for review in child_files.reviews.values():
            if review.state == "open":
                assert (
                    {child_files.current_file(child) for child in review.requested_for} == review.pair <= set(current)
                )


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_two_valid_numbers_are_in_one_file_only_by_a_persons_decision(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Without a must-link group the records of a file have at most one number."""
    child_files = a_working_set(records)
    for _ in apply_steps(child_files, records, steps):
        for file in child_files.files.values():
            members = [child_files.assignments[record].evidence for record in file.records]
            if all(evidence.must_link is None for evidence in members):
                assert len({evidence.number for evidence in members} - {None}) <= 1


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS, st.integers(0, 50), st.integers(1, 50), st.lists(st.integers(0, 6), min_size=3, max_size=10))
def test_an_undone_merge_leaves_the_files_as_if_it_had_not_happened(
    records: list[Evidence], before: list[tuple[str, int, int]], one: int, more: int, rows: list[int]
) -> None:
    """In one run a merge is undone after more rows have come, in the other run before them.

    Every id belongs to the same records in both runs. Which of several ids a merged file has may differ: a file that
    a person's decision restores in one run may have been absorbed in the other.
    """
    undone_late, undone_early = a_working_set(records), a_working_set(records)
    for child_files in (undone_late, undone_early):
        assert list(apply_steps(child_files, records, before))
    current = sorted((file.child for file in undone_late.files.values() if file.absorbed_by is None), key=str)
    assume(len(current) > 1)
    first, second = current[one % len(current)], current[(one + 1 + more % (len(current) - 1)) % len(current)]
    files_before = {child: undone_late.files[child] for child in (first, second)}
    for child_files in (undone_late, undone_early):
        child_files.merge(100, first, second, BY)
    undone_early.split(101, first, (), second, BY)
    for child_files in (undone_late, undone_early):
        for at, row in enumerate(rows, 200):
            child_files.apply_record(at, reading(records[row % len(records)], at=NOON + timedelta(minutes=at)))
    # Where a valid number made the survivor part of an older file, that is the one to split.
    assume(all(child_files.files[first].absorbed_by is None for child_files in (undone_late, undone_early)))

    undone_late.split(300, first, (), second, BY)

    assert groups(undone_late) == groups(undone_early)
    for child in current:
        assert records_of(undone_late, child) == records_of(undone_early, child)
    for child in (first, second):
        assert (
            undone_late.files[child].confirmed == undone_early.files[child].confirmed == files_before[child].confirmed
        )


def a_similar_record(n: int, *guardians: IdentityField) -> Evidence:
    """Return the evidence of a record without a number: a common name and guardians."""
    numbers = {IdentityField.MOTHER_ID_NUMBER: MOTHER, IdentityField.FATHER_ID_NUMBER: FATHER}
    fields = {guardian: numbers[guardian] for guardian in guardians}
    return VAULT.evidence(an_id("record", n), BORN, {IdentityField.NAME: "例小明", **fields} if fields else {}, ())


def test_a_third_file_that_matching_merged_follows_its_records_when_a_merge_is_undone() -> None:
    mother, father = IdentityField.MOTHER_ID_NUMBER, IdentityField.FATHER_ID_NUMBER
    no_parent, with_mother, with_father, with_both = (
        a_similar_record(0),
        a_similar_record(1, mother),
        a_similar_record(2, father),
        a_similar_record(3, mother, father),
    )
    child_files = a_working_set([no_parent, with_mother, with_father, with_both])
    for n, each in enumerate((no_parent, with_mother, with_father)):
        child_files.apply_record(n, reading(each, at=NOON + timedelta(minutes=n)))
    first, second, third = (
        child_files.assignments[each.record].child for each in (no_parent, with_mother, with_father)
    )
    finding = an_id("finding")
    child_files.findings[finding] = FindingAssignment(third, named=True)
    child_files.merge(3, first, second, BY)
    child_files.apply_record(4, reading(with_both, at=NOON + timedelta(minutes=4)))
    assert child_files.current_file(third) == first, "the row that names both parents merges it"

    child_files.split(5, first, (), second, BY)

    assert child_files.current_file(third) == second
    assert records_of(child_files, third) == {with_mother.record, with_father.record, with_both.record}
    assert child_files.files[first].absorbs == ()
    reassignments = [
        each
        for n, each in child_files.outcomes
        if n == 5 and isinstance(each, Reassignment) and finding in each.findings
    ]
    assert [(reassignment.child, reassignment.from_child, reassignment.reason) for reassignment in reassignments] == [
        (second, first, "split")
    ]


def test_a_file_without_records_of_its_own_keeps_none_when_a_merge_is_undone() -> None:
    mother = IdentityField.MOTHER_ID_NUMBER
    no_parent, second_without, with_mother, second_with_mother = (
        a_similar_record(0),
        a_similar_record(1),
        a_similar_record(2, mother),
        a_similar_record(3, mother),
    )
    child_files = a_working_set([no_parent, second_without, with_mother, second_with_mother])
    for n, each in enumerate((no_parent, second_without, with_mother)):
        child_files.apply_record(n, reading(each))
    empty, other, second = (
        child_files.assignments[each.record].child for each in (no_parent, second_without, with_mother)
    )
    child_files.merge(3, empty, other, BY)
    child_files.split(4, empty, (no_parent.record,), None, BY)
    child_files.split(5, empty, (), other, BY)
    assert records_of(child_files, empty) == set()
    child_files.merge(6, empty, second, BY)
    child_files.apply_record(7, reading(second_with_mother))
    assert child_files.assignments[second_with_mother.record].child == empty

    child_files.split(8, empty, (), second, BY)

    assert (records_of(child_files, empty), records_of(child_files, second)) == (
        set(),
        {with_mother.record, second_with_mother.record},
    )


def records_of(child_files: ChildFiles, child: UUID) -> set[UUID]:
    file = child_files.current_file(child)
    assert file is not None
    return set(child_files.files[file].sources)


def test_an_older_version_that_comes_late_is_ignored() -> None:
    """A corrected birth date moves a record to another partition; versions on the former one are older."""
    new = VAULT.evidence(an_id("record"), BORN, {IdentityField.ID_NUMBER: a_number()}, ())
    old = VAULT.evidence(an_id("record"), date(2018, 1, 1), {}, ())
    child_files = a_working_set([new, old])
    child_files.apply_record(0, reading(new))
    assert child_files.apply_record(1, reading(old, at=NOON - timedelta(minutes=10))) == "late"
    [file] = child_files.files.values()
    assert file.version == 1
    assert child_files.assignments[new.record].evidence == new
