"""The matching ladder of policy part 5.4: each rung, from both sides."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vocabulary import IdentityField
from services.registry.domain import identifiers, names
from services.registry.domain.matching import (
    Agreement,
    Evidence,
    Match,
    MatchDecision,
    accumulated,
    agreement,
    cluster,
    compare,
)
from tests.registry.harness import a_vault, an_id
from tests.registry.people import BORN, FATHER, MOTHER, PHONE, a_number

VAULT = a_vault()


def an_evidence(
    key: str, identity: Mapping[str, str], *, born: date | None = BORN, flags: tuple[str, ...] = ()
) -> Evidence:
    """Return the evidence of a row with only these identity fields."""
    fields = {IdentityField(name): text for name, text in identity.items()}
    return VAULT.evidence(an_id(key), born, fields, flags)


def a_match(one: dict[str, str], other: dict[str, str]) -> Match:
    """Compare two rows; plain names are available for the few that are compared letter by letter."""
    left, right = an_evidence("one", one), an_evidence("other", other)
    return compare(left, right, lambda *_: names.similar(one.get("name", ""), other.get("name", "")))


NAME = {"name": "例小明"}
NUMBER = {"id_number": a_number()}
WITH_MOTHER = NAME | {"guardian_name": "例妈妈", "guardian_id_number": MOTHER, "guardian_phone": PHONE}
TWIN = {**WITH_MOTHER, "name": "例小亮"}
LINK, REVIEW, NON_LINK = MatchDecision.LINK, MatchDecision.REVIEW, MatchDecision.NON_LINK


@pytest.mark.parametrize(
    ("one", "other", "decision"),
    [
        # Rung 1: the same valid number, whatever the other evidence.
        pytest.param(NUMBER, NUMBER, LINK, id="the same number and nothing else"),
        pytest.param(NUMBER | NAME, NUMBER | {"name": "例大明"}, LINK, id="the same number, another name"),
        # Rung 2: a number missing on one side.
        pytest.param(NUMBER | WITH_MOTHER, WITH_MOTHER, LINK, id="no number on one side, mother's number agrees"),
        pytest.param(WITH_MOTHER, WITH_MOTHER, LINK, id="no number on either side, mother's number agrees"),
        pytest.param(
            NAME | {"guardian_id_number": MOTHER},
            NAME | {"mother_id_number": MOTHER},
            LINK,
            id="guardian is the mother",
        ),
        pytest.param(
            NAME | {"guardian_id_number": MOTHER},
            {"name": "例 小•明", "mother_id_number": MOTHER},
            LINK,
            id="separators and spaces are no other name",
        ),
        pytest.param(
            {"name": "張曉東", "guardian_id_number": MOTHER},
            {"name": "张晓东", "guardian_id_number": MOTHER},
            LINK,
            id="traditional characters are no other name",
        ),
        # Rung 3: a clerical review.
        pytest.param(
            NUMBER | NAME | {"guardian_phone": PHONE}, NAME | {"phone": PHONE}, REVIEW, id="name, birth date and phone"
        ),
        pytest.param(
            NAME | {"guardian_name": "例妈妈"}, NAME | {"mother_name": "例妈妈"}, REVIEW, id="name and mother's name"
        ),
        pytest.param(
            {"name": "张梓萱", "guardian_phone": PHONE},
            {"name": "张子轩", "guardian_phone": PHONE},
            REVIEW,
            id="homophones and a phone",
        ),
        pytest.param(
            {"name": "张梓萱", "guardian_id_number": MOTHER},
            {"name": "张子轩", "guardian_id_number": MOTHER},
            REVIEW,
            id="homophones and mother's number are reviewed, not linked",
        ),
        pytest.param(
            {"name": "李未", "guardian_name": "王丽"},
            {"name": "李末", "guardian_name": "王莉"},
            REVIEW,
            id="characters of one shape",
        ),
        pytest.param(
            {"name": "张□轩", "guardian_phone": PHONE},
            {"name": "张子轩", "guardian_phone": PHONE},
            REVIEW,
            id="a lost character",
        ),
        pytest.param(
            {"name": "阿依古丽·买买提", "guardian_phone": PHONE},
            {"name": "阿依古丽", "guardian_phone": PHONE},
            REVIEW,
            id="a long name cut off",
        ),
        # Two different valid numbers.
        pytest.param(
            NUMBER | WITH_MOTHER,
            {"id_number": a_number(sequence=3)} | WITH_MOTHER,
            REVIEW,
            id="two valid numbers, name and mother agree: reviewed, never linked",
        ),
        pytest.param(
            NUMBER | NAME | {"guardian_phone": PHONE},
            {"id_number": a_number(sequence=3)} | NAME | {"guardian_phone": PHONE},
            NON_LINK,
            id="two valid numbers, only a phone agrees: not even reviewed",
        ),
        pytest.param(
            NUMBER | {"name": "张梓萱", "guardian_id_number": MOTHER},
            {"id_number": a_number(sequence=3), "name": "张子轩", "guardian_id_number": MOTHER},
            NON_LINK,
            id="two valid numbers, names only sound alike: twins",
        ),
        # Twins, siblings, neighbours.
        pytest.param(WITH_MOTHER, TWIN, NON_LINK, id="twins without numbers"),
        pytest.param(
            WITH_MOTHER | {"id_number": a_number(sequence=11)},
            TWIN | {"id_number": a_number(sequence=12)},
            NON_LINK,
            id="twins with consecutive numbers",
        ),
        pytest.param(
            WITH_MOTHER | {"id_number": a_number(sequence=11)}, TWIN, NON_LINK, id="twins, one of them without a number"
        ),
        pytest.param(
            {"name": "张□轩", "guardian_phone": PHONE},
            {"name": "张□□", "guardian_phone": PHONE},
            NON_LINK,
            id="too much is lost",
        ),
        # Anything weaker.
        pytest.param(NAME, NAME, NON_LINK, id="same name and birthday by chance"),
        pytest.param({"guardian_phone": PHONE}, {"guardian_phone": PHONE}, NON_LINK, id="a phone alone"),
        pytest.param({"school": "例学校"}, {"school": "例学校"}, NON_LINK, id="a school alone"),
        pytest.param({"address": "例村1号"}, {"address": "例村1号"}, NON_LINK, id="an address alone"),
        pytest.param(
            {"name": "例小明", "guardian_phone": PHONE},
            {"name": "例大山", "guardian_phone": PHONE},
            NON_LINK,
            id="a teacher's phone on two pupils",
        ),
        pytest.param(
            NAME | {"guardian_id_number": MOTHER},
            NAME | {"guardian_id_number": FATHER},
            NON_LINK,
            id="different guardians",
        ),
        pytest.param(NAME | {"guardian_id_number": MOTHER}, NAME, NON_LINK, id="guardian missing on one side"),
        pytest.param(
            NAME | {"guardian_id_number": MOTHER[:-1] + ("1" if MOTHER[-1] != "1" else "2")},
            NAME | {"guardian_id_number": MOTHER[:-1] + ("1" if MOTHER[-1] != "1" else "2")},
            NON_LINK,
            id="a damaged guardian's number is none",
        ),
    ],
)
def test_the_ladder(one: dict[str, str], other: dict[str, str], decision: MatchDecision) -> None:
    assert a_match(one, other).decision is decision
    assert a_match(other, one) == a_match(one, other)


def test_siblings_born_on_different_days_share_no_blocking_key() -> None:
    one = an_evidence("one", WITH_MOTHER)
    other = an_evidence("other", WITH_MOTHER, born=date(2018, 1, 1))
    assert compare(one, other).decision is NON_LINK
    assert one.blocking_keys.isdisjoint(other.blocking_keys)


def test_nothing_links_without_a_birth_date() -> None:
    assert (
        compare(an_evidence("one", WITH_MOTHER, born=None), an_evidence("other", WITH_MOTHER, born=None)).decision
        is NON_LINK
    )
    one, other = (replace(an_evidence(name, WITH_MOTHER), birth_date=None) for name in ("one", "other"))
    assert compare(one, other).decision is NON_LINK


def test_the_evidence_of_a_review_is_in_codes() -> None:
    match = a_match(NUMBER | WITH_MOTHER, {"id_number": a_number(sequence=3)} | WITH_MOTHER)
    assert match.evidence == (
        "same_name",
        "same_birth_date",
        "same_guardian_number",
        "same_guardian_name",
        "same_phone",
    )
    assert match.conflicts == ("two_valid_numbers",)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(a_number()[:-3] + "000", id="lost its last digits in a spreadsheet"),
        pytest.param(MOTHER, id="the mother's in the child's column"),
        pytest.param(a_number(date(2016, 3, 6)), id="of somebody born the day after"),
        pytest.param("990000********0110", id="masked"),
        pytest.param("", id="empty"),
    ],
)
def test_a_number_that_cannot_be_the_childs_is_no_number(number: str) -> None:
    assert an_evidence("one", {"id_number": number}).number is None


def test_a_number_flagged_as_damaged_is_no_number() -> None:
    """Intake saw that a spreadsheet stored it as a number; its check digit may still fit by chance."""
    assert an_evidence("one", {"id_number": a_number()}).number is not None
    assert an_evidence("one", {"id_number": a_number()}, flags=("id_damaged",)).number is None


def test_a_guardians_15_digit_number_equals_the_18_digit_one() -> None:
    """A number had 15 digits until 1999; the century and a check digit complete it."""
    assert identifiers.guardian_id_number(MOTHER[:6] + MOTHER[8:17]) == MOTHER


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, Agreement.SAME),
        (1, 2, Agreement.DIFFERENT),
        (None, 2, Agreement.MISSING),
        (1, None, Agreement.MISSING),
        (None, None, Agreement.MISSING),
    ],
)
def test_missing_evidence_neither_agrees_nor_disagrees(one: int | None, other: int | None, expected: Agreement) -> None:
    assert agreement(one, other) is expected


@pytest.mark.parametrize(
    ("cell", "digits"),
    [
        ("199 0000 0001", ("19900000001",)),
        ("+86-19900000001", ("19900000001",)),
        ("19900000001/0566-6000000", ("19900000001", "05666000000")),
        ("无", ()),
        ("12345", ()),
    ],
)
def test_phones_are_compared_as_digits(cell: str, digits: tuple[str, ...]) -> None:
    assert identifiers.phones(cell) == digits


# ------------------------------------------------------------------------------------------------ accumulated evidence


def test_a_row_with_missing_fields_keeps_the_former_evidence() -> None:
    """In the later row the number is damaged and the phone is new."""
    before = an_evidence("one", NUMBER | WITH_MOTHER)
    now = an_evidence("one", WITH_MOTHER | {"guardian_phone": "19900000002"})
    both = accumulated(before, now)
    assert both.number == before.number
    assert both.phones == before.phones | now.phones


def test_a_row_whose_number_changes_is_about_another_child() -> None:
    before = an_evidence("one", NUMBER | WITH_MOTHER)
    now = an_evidence("one", {"id_number": a_number(sequence=3), "name": "例大山"})
    assert accumulated(before, now) is now


# ---------------------------------------------------------------------------------------------------------- clusters

HASHES = st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16])
SOME_HASHES = st.frozensets(HASHES, max_size=2)
MUST_LINK_GROUPS = st.sampled_from([None, None, None, UUID(int=1), UUID(int=2), UUID(int=3)])


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    name = draw(HASHES)
    return Evidence(
        draw(st.uuids(version=4)),
        draw(st.sampled_from([BORN, BORN, BORN, date(2018, 1, 1), None])),
        number=draw(st.none() | HASHES),
        names=frozenset((name,)),
        forms=frozenset((name,)),
        guardian_ids=draw(SOME_HASHES),
        phones=draw(SOME_HASHES),
        pairs=draw(SOME_HASHES),
        unmatchable=draw(st.booleans()),
        must_link=draw(MUST_LINK_GROUPS),
    )


@settings(deadline=None)
@given(evidences(), evidences(), st.booleans())
def test_matching_is_symmetric(one: Evidence, other: Evidence, similar: bool) -> None:
    assert compare(one, other, lambda *_: similar) == compare(other, one, lambda *_: similar)


CASES = st.lists(evidences(), max_size=7, unique_by=lambda one: one.record)
CANNOT_LINK = st.sets(
    st.sampled_from([frozenset((UUID(int=a), UUID(int=b))) for a, b in ((1, 2), (1, 3), (2, 3))]), max_size=2
)


@settings(deadline=None)
@given(CASES, CANNOT_LINK, st.randoms())
def test_clusters_do_not_depend_on_the_order(
    records: list[Evidence], cannot_link: set[frozenset[UUID]], random: object
) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cluster(records, cannot_link) == cluster(shuffled, cannot_link)


@settings(deadline=None)
@given(CASES, CANNOT_LINK)
def test_two_valid_numbers_are_in_one_cluster_only_by_a_persons_must_link(
    records: list[Evidence], cannot_link: set[frozenset[UUID]]
) -> None:
    ungrouped = [evidence for evidence in records if evidence.must_link is None]
    by_id = {evidence.record: evidence for evidence in ungrouped}
    for group in cluster(ungrouped, cannot_link):
        assert len({by_id[record].number for record in group} - {None}) <= 1


@settings(deadline=None)
@given(CASES, CANNOT_LINK)
def test_must_link_groups_stay_together_and_cannot_link_groups_stay_apart(
    records: list[Evidence], cannot_link: set[frozenset[UUID]]
) -> None:
    must_link_of = {evidence.record: evidence.must_link for evidence in records}
    groups = cluster(records, cannot_link)
    for must_link in {evidence.must_link for evidence in records} - {None}:
        assert len([group for group in groups if must_link in {must_link_of[record] for record in group}]) == 1
    for group in groups:
        groups_of_cluster = {must_link_of[record] for record in group} - {None}
        assert not any(frozenset((a, b)) in cannot_link for a in groups_of_cluster for b in groups_of_cluster)


def test_a_record_that_fits_two_numbers_goes_to_the_same_one_in_every_order() -> None:
    """The clinic's row names both parents; each of two schools has an ID number and names one of the parents."""
    clinic = an_evidence("clinic", NAME | {"mother_id_number": MOTHER, "father_id_number": FATHER})
    one = an_evidence("one", NAME | {"mother_id_number": MOTHER, "id_number": a_number(sequence=1)})
    other = an_evidence("other", NAME | {"father_id_number": FATHER, "id_number": a_number(sequence=3)})
    clusters = {tuple(cluster(list(order), set())) for order in permutations((clinic, one, other))}
    assert len(clusters) == 1
    assert sorted(len(group) for group in clusters.pop()) == [1, 2]


# -------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("张 三", "张三"),
        ("张　三", "张三"),
        ("阿依古丽·买买提", "阿依古丽•买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("劉偉", "刘伟"),
        ("John  Li", "john li"),
    ],
)
def test_the_same_name_written_differently(one: str, other: str) -> None:
    assert names.normalized(one) == names.normalized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("梓", "子"), ("萱", "轩"), ("王莉", "王丽"), ("林静", "林晶"), ("刘娜", "牛娜"), ("张志", "章治")],
)
def test_names_that_sound_alike_share_a_form(one: str, other: str) -> None:
    assert set(names.variants(names.normalized(one))) & set(names.variants(names.normalized(other)))


@pytest.mark.parametrize(("one", "other"), [("例小明", "例小亮"), ("张子轩", "张子涵"), ("王芳", "王方方")])
def test_different_given_names_share_no_form(one: str, other: str) -> None:
    assert not set(names.variants(names.normalized(one))) & set(names.variants(names.normalized(other)))


NAMES = st.text(alphabet="张章李子梓轩萱□·买提abc 某", max_size=9)


@settings(deadline=None)
@given(NAMES, NAMES)
def test_likeness_is_symmetric(one: str, other: str) -> None:
    assert names.similar(one, other) == names.similar(other, one)


@settings(deadline=None)
@given(NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert names.normalized(names.normalized(name)) == names.normalized(name)
