"""Files at hand: joining commutes with arrival, and a version counts what was applied to a child."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, product
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.vocabulary import FactName, IdentityField
from services.registry.desk import holder_of, school_year_of
from services.registry.domain.cabinet import Cabinet
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.files import HandedOver, Person, Reading, Told
from services.registry.domain.matching import Evidence, Verdict, arrange, compare, never_alike
from tests.county import a_county
from tests.registry.house import a_vault, an_id
from tests.registry.people import BORN, FATHER, MOTHER, a_number

VAULT = a_vault()
BY = Person("341722-mzj", "county_civil_affairs", date(2026, 11, 23))
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
UNITS = ("341722-jtj", "341722-gaj", "341722-wjw", "341722-cl")


def a_cabinet(records: Iterable[Evidence]) -> Cabinet:
    """With nothing on file, and every key of these records looked up."""
    return Cabinet(
        lane=0,
        holder=holder_of(a_county()),
        school_year=school_year_of(a_county()),
        new_id=VAULT.new_id,
        numbers=ChildNumbers("341722", VAULT.child_number),
        new_question_id=VAULT.new_question_id,
        alike=never_alike,
        cause=lambda n: str(an_id("event", n)),
        finds={key: set() for one in records for key in one.keys},
    )


def reading(evidence: Evidence, unit: str = UNITS[0], *, at: datetime = NOON) -> Reading:
    facts = {FactName.SCHOOL_GRADE: 4}
    return Reading(evidence.record, evidence, unit, unit, None, date(2026, 9, 30), at, at.date(), False, "", facts)


def groups(cabinet: Cabinet) -> set[frozenset[UUID]]:
    found: dict[UUID, set[UUID]] = {}
    for record, seat in cabinet.seats.items():
        found.setdefault(seat.child, set()).add(record)
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
        cabinet = a_cabinet(records)
        for n, one in enumerate(order):
            cabinet.read(n, reading(one, UNITS[n % 4]))
        assert groups(cabinet) == set(arrange(records, ()))


@settings(deadline=None)
@given(streams(), st.randoms())
def test_records_that_change_end_where_their_last_content_belongs(records: list[Evidence], random: object) -> None:
    """Each record is first read with another's content, then with its own: numbers and names move between rows."""
    others = list(records)
    random.shuffle(others)  # type: ignore[attr-defined]
    first = [replace(other, record=one.record) for one, other in zip(records, others, strict=True)]
    cabinet = a_cabinet(first + records)
    for n, one in enumerate(first + records):
        cabinet.read(n, reading(one))
    final = [seat.evidence for seat in cabinet.seats.values()]
    assert groups(cabinet) == set(arrange(final, ()))


@settings(deadline=None)
@given(streams())
def test_every_event_counts_once_for_the_child_it_is_about(records: list[Evidence]) -> None:
    cabinet = a_cabinet(records)
    for n, one in enumerate(records):
        before = {child: file.version for child, file in cabinet.files.items()}
        cabinet.read(n, reading(one))
        child = cabinet.seats[one.record].child
        for other, file in cabinet.files.items():
            assert file.version - before.get(other, 0) == (1 if cabinet.touched.get(other) == n else 0)
        assert cabinet.touched[child] == n


@settings(deadline=None)
@given(streams())
def test_every_record_has_its_source_and_its_keys_in_its_file_only(records: list[Evidence]) -> None:
    cabinet = a_cabinet(records)
    for n, one in enumerate(records):
        cabinet.read(n, reading(one))
    for child, file in cabinet.files.items():
        assert {record for record, seat in cabinet.seats.items() if seat.child == child} == set(file.records)
        keys = {key for record in file.records for key in cabinet.seats[record].evidence.keys}
        assert {key for key, found in cabinet.finds.items() if child in found} == keys
    absorbed = {file.child for file in cabinet.files.values() if file.state == "absorbed"}
    assert absorbed == {
        outcome.from_child
        for _, outcome in cabinet.outcomes
        if isinstance(outcome, HandedOver) and outcome.reason == "matched"
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


def live(cabinet: Cabinet, records: list[Evidence], steps: list[tuple[str, int, int]]) -> Iterator[str]:
    """Apply steps one by one: rows are read, and persons decide about whatever files and questions there are."""
    for n, (step, one, other) in enumerate(steps):
        standing = sorted((file.child for file in cabinet.files.values() if file.absorbed_by is None), key=str)
        gone = sorted((file.child for file in cabinet.files.values() if file.absorbed_by is not None), key=str)
        asked = sorted((found.question for found in cabinet.questions.values() if found.state == "open"), key=str)
        read = sorted(cabinet.seats, key=str)
        if step == "read":
            cabinet.read(n, reading(records[one % len(records)], at=NOON + timedelta(minutes=n)))
        elif step == "merge" and standing:
            cabinet.merge(n, standing[one % len(standing)], standing[other % len(standing)], BY)
        elif step == "undo" and gone:
            absorbed = cabinet.files[gone[one % len(gone)]]
            assert absorbed.absorbed_by is not None
            cabinet.split(n, absorbed.absorbed_by, (), absorbed.child, BY)
        elif step == "part" and read:
            record = read[one % len(read)]
            cabinet.split(n, cabinet.seats[record].child, (record,), None, BY)
        elif step == "confirm" and asked:
            cabinet.confirm(n, asked[one % len(asked)], BY)
        elif step == "decline" and asked:
            cabinet.decline(n, asked[one % len(asked)], BY)
        yield step


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_whatever_persons_decide_who_is_who_follows_from_rows_and_decisions(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """At every moment: as the ladder arranges them, each record in one file, found there and nowhere else."""
    cabinet = a_cabinet(records)
    for _ in live(cabinet, records, steps):
        assert groups(cabinet) == set(arrange([seat.evidence for seat in cabinet.seats.values()], cabinet.apart))
        for child, file in cabinet.files.items():
            assert {record for record, seat in cabinet.seats.items() if seat.child == child} == set(file.records)
            keys = {key for record in file.records for key in cabinet.seats[record].evidence.keys}
            assert {key for key, found in cabinet.finds.items() if child in found} == keys


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_whoever_might_be_one_child_is_asked_about_unless_a_person_said_so(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Whatever was merged and split meanwhile; and a question is always about files that stand."""
    cabinet = a_cabinet(records)
    for _ in live(cabinet, records, steps):
        standing = [file.child for file in cabinet.files.values() if file.absorbed_by is None]
        for one, other in combinations(standing, 2):
            left, right = (
                [cabinet.seats[record].evidence for record in cabinet.files[x].records] for x in (one, other)
            )
            alike = any(compare(a, b).verdict is not Verdict.APART for a, b in product(left, right))
            apart = any(frozenset((a.hold, b.hold)) in cabinet.apart for a, b in product(left, right))
            asked = [found for found in cabinet.questions.values() if found.pair == {one, other}]
            assert not alike or apart or any(found.state != "merged" for found in asked)
        for found in cabinet.questions.values():
            if found.state == "open":
                assert {cabinet.resolve(child) for child in found.asked_of} == found.pair <= set(standing)


@settings(deadline=None, max_examples=200)
@given(streams(4), STEPS)
def test_two_valid_numbers_are_in_one_file_only_where_a_person_put_them(
    records: list[Evidence], steps: list[tuple[str, int, int]]
) -> None:
    """Without a person's hold on them the members of a file have one number or none."""
    cabinet = a_cabinet(records)
    for _ in live(cabinet, records, steps):
        for file in cabinet.files.values():
            members = [cabinet.seats[record].evidence for record in file.records]
            if all(one.hold is None for one in members):
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
    for cabinet in (late, soon):
        assert list(live(cabinet, records, before))
    standing = sorted((file.child for file in late.files.values() if file.absorbed_by is None), key=str)
    assume(len(standing) > 1)
    first, second = standing[one % len(standing)], standing[(one + 1 + more % (len(standing) - 1)) % len(standing)]
    stood = {child: late.files[child] for child in (first, second)}
    for cabinet in (late, soon):
        cabinet.merge(100, first, second, BY)
    soon.split(101, first, (), second, BY)
    for cabinet in (late, soon):
        for at, row in enumerate(rows, 200):
            cabinet.read(at, reading(records[row % len(records)], at=NOON + timedelta(minutes=at)))
    # Where a valid number made the survivor part of an older file, that is the one to split.
    assume(all(cabinet.files[first].absorbed_by is None for cabinet in (late, soon)))

    late.split(300, first, (), second, BY)

    assert groups(late) == groups(soon)
    for child in standing:
        assert stands_for(late, child) == stands_for(soon, child)
    for child in (first, second):
        assert late.files[child].confirmed == soon.files[child].confirmed == stood[child].confirmed


def alike(n: int, *guardians: IdentityField) -> Evidence:
    """A record without a number: a name that many have, and guardians."""
    numbers = {IdentityField.MOTHER_ID_NUMBER: MOTHER, IdentityField.FATHER_ID_NUMBER: FATHER}
    told = {one: numbers[one] for one in guardians}
    return VAULT.evidence(an_id("record", n), BORN, {IdentityField.NAME: "例小明", **told} if told else {}, ())


def test_a_third_file_that_was_drawn_in_goes_with_its_records_when_a_merge_is_undone() -> None:
    mother, father = IdentityField.MOTHER_ID_NUMBER, IdentityField.FATHER_ID_NUMBER
    nobody, hers, his, both = alike(0), alike(1, mother), alike(2, father), alike(3, mother, father)
    cabinet = a_cabinet([nobody, hers, his, both])
    for n, one in enumerate((nobody, hers, his)):
        cabinet.read(n, reading(one, at=NOON + timedelta(minutes=n)))
    first, second, third = (cabinet.seats[one.record].child for one in (nobody, hers, his))
    finding = an_id("finding")
    cabinet.findings[finding] = Told(third, named=True)
    cabinet.merge(3, first, second, BY)
    cabinet.read(4, reading(both, at=NOON + timedelta(minutes=4)))
    assert cabinet.resolve(third) == first, "the row about both parents draws it in"

    cabinet.split(5, first, (), second, BY)

    assert cabinet.resolve(third) == second
    assert stands_for(cabinet, third) == {hers.record, his.record, both.record}
    assert cabinet.files[first].absorbs == ()
    handed = [one for n, one in cabinet.outcomes if n == 5 and isinstance(one, HandedOver) and finding in one.findings]
    assert [(one.child, one.from_child, one.reason) for one in handed] == [(second, first, "split")]


def test_a_file_that_has_nothing_of_its_own_keeps_nobody_when_a_merge_is_undone() -> None:
    mother = IdentityField.MOTHER_ID_NUMBER
    nobody, neither, hers, again = alike(0), alike(1), alike(2, mother), alike(3, mother)
    cabinet = a_cabinet([nobody, neither, hers, again])
    for n, one in enumerate((nobody, neither, hers)):
        cabinet.read(n, reading(one))
    empty, other, second = (cabinet.seats[one.record].child for one in (nobody, neither, hers))
    cabinet.merge(3, empty, other, BY)
    cabinet.split(4, empty, (nobody.record,), None, BY)
    cabinet.split(5, empty, (), other, BY)
    assert stands_for(cabinet, empty) == set()
    cabinet.merge(6, empty, second, BY)
    cabinet.read(7, reading(again))
    assert cabinet.seats[again.record].child == empty

    cabinet.split(8, empty, (), second, BY)

    assert (stands_for(cabinet, empty), stands_for(cabinet, second)) == (set(), {hers.record, again.record})


def stands_for(cabinet: Cabinet, child: UUID) -> set[UUID]:
    file = cabinet.resolve(child)
    assert file is not None
    return set(cabinet.files[file].sources)


def test_an_older_version_that_comes_late_is_ignored() -> None:
    """A corrected birth date moves a record to another lane; what the old lane still has is older."""
    new = VAULT.evidence(an_id("record"), BORN, {IdentityField.ID_NUMBER: a_number()}, ())
    old = VAULT.evidence(an_id("record"), date(2018, 1, 1), {}, ())
    cabinet = a_cabinet([new, old])
    cabinet.read(0, reading(new))
    assert cabinet.read(1, reading(old, at=NOON - timedelta(minutes=10))) == "late"
    [file] = cabinet.files.values()
    assert file.version == 1
    assert cabinet.seats[new.record].evidence == new
