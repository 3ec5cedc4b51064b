"""Files at hand: joining commutes with arrival, and a version counts what was applied to a child."""

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


def a_cabinet(records: Iterable[Evidence]) -> ChildFiles:
    """With nothing on file, and every key of these records looked up."""
    return ChildFiles(
        partition=0,
        holder=holder_rank(a_county()),
        school_year=school_year_of(a_county()),
        new_id=VAULT.new_id,
        numbers=ChildNumbers("341722", VAULT.child_number),
        new_review_id=VAULT.new_review_id,
        similar=never_similar,
        event_id=lambda n: str(an_id("event", n)),
        index_hits={key: set() for one in records for key in one.blocking_keys},
    )


def reading(evidence: Evidence, unit: str = UNITS[0], *, at: datetime = NOON) -> Reading:
    facts = {FactName.SCHOOL_GRADE: 4}
    return Reading(evidence.record, evidence, unit, unit, None, date(2026, 9, 30), at, at.date(), False, "", facts)


def groups(files_at_hand: ChildFiles) -> set[frozenset[UUID]]:
    found: dict[UUID, set[UUID]] = {}
    for record, assignment in files_at_hand.assignments.items():
        found.setdefault(assignment.child, set()).add(record)
    return {frozenset(records) for records in found.values()}


IDENTITIES = st.fixed_dictionaries(
    {},
    optional={
        IdentityField.NAME: st.sampled_from(["例小明", "例小亮"]),
        IdentityField.ID_NUMBER: st.sampled_from([a_number(sequence=one) for one in (1, 2, 3)]),
        IdentityField.MOTHER_ID_NUMBER: st.just(MOTHER),
        IdentityField.FATHER_ID_NUMBER: st.just(FATHER),
        IdentityField.PHONE: st.just("19900000001"),
    },
)


@st.composite
def streams(draw: st.DrawFn, at_least: int = 1) -> list[Evidence]:
    """Records of some children who have much in common, each read once."""
    found = draw(st.lists(IDENTITIES, min_size=at_least, max_size=7))
    return [VAULT.evidence(an_id("record", n), BORN, identity, ()) for n, identity in enumerate(found)]


@settings(deadline=None)
@given(streams(), st.randoms())
def test_joining_commutes_with_the_order_of_arrival(records: list[Evidence], random: object) -> None:
    """Whoever comes first, the same records end in the same file: those that belong together."""
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for order in (records, shuffled):
        files_at_hand = a_cabinet(records)
        for n, one in enumerate(order):
            files_at_hand.apply_record(n, reading(one, UNITS[n % 4]))
        assert groups(files_at_hand) == set(cluster(records, ()))


@settings(deadline=None)
@given(streams(), st.randoms())
def test_records_that_change_end_where_their_last_content_belongs(records: list[Evidence], random: object) -> None:
    """Each record is first read with another's content, then with its own: numbers and names move between rows."""
    others = list(records)
    random.shuffle(others)  # type: ignore[attr-defined]
    first = [replace(other, record=one.record) for one, other in zip(records, others, strict=True)]
    files_at_hand = a_cabinet(first + records)
    for n, one in enumerate(first + records):
        files_at_hand.apply_record(n, reading(one))
    final = [assignment.evidence for assignment in files_at_hand.assignments.values()]
    assert groups(files_at_hand) == set(cluster(final, ()))


@settings(deadline=None)
@given(streams())
def test_every_event_counts_once_for_the_child_it_is_about(records: list[Evidence]) -> None:
    files_at_hand = a_cabinet(records)
    for n, one in enumerate(records):
        before = {child: file.version for child, file in files_at_hand.files.items()}
        files_at_hand.apply_record(n, reading(one))
        child = files_at_hand.assignments[one.record].child
        for other, file in files_at_hand.files.items():
            assert file.version - before.get(other, 0) == (1 if files_at_hand.touched.get(other) == n else 0)
        assert files_at_hand.touched[child] == n


@settings(deadline=None)
@given(streams())
def test_every_record_has_its_source_and_its_keys_in_its_file_only(records: list[Evidence]) -> None:
    files_at_hand = a_cabinet(records)
    for n, one in enumerate(records):
        files_at_hand.apply_record(n, reading(one))
    for child, file in files_at_hand.files.items():
        assert {record for record, assignment in files_at_hand.assignments.items() if assignment.child == child} == set(
            file.records
        )
        keys = {key for record in file.records for key in files_at_hand.assignments[record].evidence.blocking_keys}
        assert {key for key, found in files_at_hand.index_hits.items() if child in found} == keys
    absorbed = {file.child for file in files_at_hand.files.values() if file.state == "absorbed"}
    assert absorbed == {
        outcome.from_child
        for _, outcome in files_at_hand.outcomes
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


def live(files_at_hand: ChildFiles, records: list[Evidence], steps: list[tuple[str, int, int]]) -> Iterator[str]:
    """Apply steps one by one: rows are read, and persons decide about whatever files and questions there are."""
    for n, (step, one, other) in enumerate(steps):
        standing = sorted((file.child for file in files_at_hand.files.values() if file.absorbed_by is None), key=str)
        gone = sorted((file.child for file in files_at_hand.files.values() if file.absorbed_by is not None), key=str)
        asked = sorted((found.review for found in files_at_hand.reviews.values() if found.state == "open"), key=str)
        read = sorted(files_at_hand.assignments, key=str)
        if step == "read":
            files_at_hand.apply_record(n, reading(records[one % len(records)], at=NOON + timedelta(minutes=n)))
        elif step == "merge" and standing:
            files_at_hand.merge(n, standing[one % len(standing)], standing[other % len(standing)], BY)
        elif step == "undo" and gone:
            absorbed = files_at_hand.files[gone[one % len(gone)]]
            assert absorbed.absorbed_by is not None
            files_at_hand.split(n, absorbed.absorbed_by, (), absorbed.child, BY)
        elif step == "part" and read:
            record = read[one % len(read)]
            files_at_hand.split(n, files_at_hand.assignments[record].child, (record,), None, BY)
        elif step == "confirm" and asked:
            files_at_hand.confirm(n, asked[one % len(asked)], BY)
        elif step == "decline" and asked:
            files_at_hand.decline(n, asked[one % len(asked)], BY)
        yield step


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_whatever_persons_decide_who_is_who_follows_from_rows_and_decisions(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """At every moment: as the ladder arranges them, each record in one file, found there and nowhere else."""
    files_at_hand = a_cabinet(records)
    for _ in live(files_at_hand, records, steps):
        assert groups(files_at_hand) == set(
            cluster(
                [assignment.evidence for assignment in files_at_hand.assignments.values()], files_at_hand.cannot_link
            )
        )
        for child, file in files_at_hand.files.items():
            assert {
                record for record, assignment in files_at_hand.assignments.items() if assignment.child == child
            } == set(file.records)
            keys = {key for record in file.records for key in files_at_hand.assignments[record].evidence.blocking_keys}
            assert {key for key, found in files_at_hand.index_hits.items() if child in found} == keys


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_whoever_might_be_one_child_is_asked_about_unless_a_person_said_so(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Whatever was merged and split meanwhile; and a question is always about files that stand."""
    files_at_hand = a_cabinet(records)
    for _ in live(files_at_hand, records, steps):
        standing = [file.child for file in files_at_hand.files.values() if file.absorbed_by is None]
        for one, other in combinations(standing, 2):
            left, right = (
                [files_at_hand.assignments[record].evidence for record in files_at_hand.files[x].records]
                for x in (one, other)
            )
            similar = any(compare(a, b).decision is not MatchDecision.NON_LINK for a, b in product(left, right))
            cannot_link = any(
                frozenset((a.must_link, b.must_link)) in files_at_hand.cannot_link for a, b in product(left, right)
            )
            asked = [found for found in files_at_hand.reviews.values() if found.pair == {one, other}]
            assert not similar or cannot_link or any(found.state != "merged" for found in asked)
        for found in files_at_hand.reviews.values():
            if found.state == "open":
                assert (
                    {files_at_hand.current_file(child) for child in found.requested_for} == found.pair <= set(standing)
                )


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_two_valid_numbers_are_in_one_file_only_where_a_person_put_them(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Without a person's hold on them the members of a file have one number or none."""
    files_at_hand = a_cabinet(records)
    for _ in live(files_at_hand, records, steps):
        for file in files_at_hand.files.values():
            members = [files_at_hand.assignments[record].evidence for record in file.records]
            if all(one.must_link is None for one in members):
                assert len({one.number for one in members} - {None}) <= 1


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS, st.integers(0, 50), st.integers(1, 50), st.lists(st.integers(0, 6), min_size=3, max_size=10))
def test_a_merge_undone_leaves_the_files_as_they_would_have_been(
    records: list[Evidence], before: list[tuple[str, int, int]], one: int, more: int, rows: list[int]
) -> None:
    """Two lives of one registry: in the one a merge is undone after more rows came, in the other before.

    Every id stands for the same records in both. Under which of several ids they stand is not always the same: whoever
    stands again by a person's word may in the other life have been drawn into another.
    """
    late, soon = a_cabinet(records), a_cabinet(records)
    for files_at_hand in (late, soon):
        assert list(live(files_at_hand, records, before))
    standing = sorted((file.child for file in late.files.values() if file.absorbed_by is None), key=str)
    assume(len(standing) > 1)
    first, second = standing[one % len(standing)], standing[(one + 1 + more % (len(standing) - 1)) % len(standing)]
    stood = {child: late.files[child] for child in (first, second)}
    for files_at_hand in (late, soon):
        files_at_hand.merge(100, first, second, BY)
    soon.split(101, first, (), second, BY)
    for files_at_hand in (late, soon):
        for at, row in enumerate(rows, 200):
            files_at_hand.apply_record(at, reading(records[row % len(records)], at=NOON + timedelta(minutes=at)))
    # Where a valid number made the survivor part of an older file, that is the one to split.
    assume(all(files_at_hand.files[first].absorbed_by is None for files_at_hand in (late, soon)))

    late.split(300, first, (), second, BY)

    assert groups(late) == groups(soon)
    for child in standing:
        assert stands_for(late, child) == stands_for(soon, child)
    for child in (first, second):
        assert late.files[child].confirmed == soon.files[child].confirmed == stood[child].confirmed


def similar(n: int, *guardians: IdentityField) -> Evidence:
    """A record without a number: a name that many have, and guardians."""
    numbers = {IdentityField.MOTHER_ID_NUMBER: MOTHER, IdentityField.FATHER_ID_NUMBER: FATHER}
    told = {one: numbers[one] for one in guardians}
    return VAULT.evidence(an_id("record", n), BORN, {IdentityField.NAME: "例小明", **told} if told else {}, ())


def test_a_third_file_that_was_drawn_in_goes_with_its_records_when_a_merge_is_undone() -> None:
    mother, father = IdentityField.MOTHER_ID_NUMBER, IdentityField.FATHER_ID_NUMBER
    nobody, hers, his, both = similar(0), similar(1, mother), similar(2, father), similar(3, mother, father)
    files_at_hand = a_cabinet([nobody, hers, his, both])
    for n, one in enumerate((nobody, hers, his)):
        files_at_hand.apply_record(n, reading(one, at=NOON + timedelta(minutes=n)))
    first, second, third = (files_at_hand.assignments[one.record].child for one in (nobody, hers, his))
    finding = an_id("finding")
    files_at_hand.findings[finding] = FindingAssignment(third, named=True)
    files_at_hand.merge(3, first, second, BY)
    files_at_hand.apply_record(4, reading(both, at=NOON + timedelta(minutes=4)))
    assert files_at_hand.current_file(third) == first, "the row about both parents draws it in"

    files_at_hand.split(5, first, (), second, BY)

    assert files_at_hand.current_file(third) == second
    assert stands_for(files_at_hand, third) == {hers.record, his.record, both.record}
    assert files_at_hand.files[first].absorbs == ()
    handed = [
        one for n, one in files_at_hand.outcomes if n == 5 and isinstance(one, Reassignment) and finding in one.findings
    ]
    assert [(one.child, one.from_child, one.reason) for one in handed] == [(second, first, "split")]


def test_a_file_that_has_nothing_of_its_own_keeps_nobody_when_a_merge_is_undone() -> None:
    mother = IdentityField.MOTHER_ID_NUMBER
    nobody, neither, hers, again = similar(0), similar(1), similar(2, mother), similar(3, mother)
    files_at_hand = a_cabinet([nobody, neither, hers, again])
    for n, one in enumerate((nobody, neither, hers)):
        files_at_hand.apply_record(n, reading(one))
    empty, other, second = (files_at_hand.assignments[one.record].child for one in (nobody, neither, hers))
    files_at_hand.merge(3, empty, other, BY)
    files_at_hand.split(4, empty, (nobody.record,), None, BY)
    files_at_hand.split(5, empty, (), other, BY)
    assert stands_for(files_at_hand, empty) == set()
    files_at_hand.merge(6, empty, second, BY)
    files_at_hand.apply_record(7, reading(again))
    assert files_at_hand.assignments[again.record].child == empty

    files_at_hand.split(8, empty, (), second, BY)

    assert (stands_for(files_at_hand, empty), stands_for(files_at_hand, second)) == (set(), {hers.record, again.record})


def stands_for(files_at_hand: ChildFiles, child: UUID) -> set[UUID]:
    file = files_at_hand.current_file(child)
    assert file is not None
    return set(files_at_hand.files[file].sources)


def test_an_older_version_that_comes_late_is_ignored() -> None:
    """A corrected birth date moves a record to another lane; what the old lane still has is older."""
    new = VAULT.evidence(an_id("record"), BORN, {IdentityField.ID_NUMBER: a_number()}, ())
    old = VAULT.evidence(an_id("record"), date(2018, 1, 1), {}, ())
    files_at_hand = a_cabinet([new, old])
    files_at_hand.apply_record(0, reading(new))
    assert files_at_hand.apply_record(1, reading(old, at=NOON - timedelta(minutes=10))) == "late"
    [file] = files_at_hand.files.values()
    assert file.version == 1
    assert files_at_hand.assignments[new.record].evidence == new
