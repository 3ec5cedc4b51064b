"""What persons decide: verify, merge, split, answer. Both histories are kept, and everything can be undone."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from contracts.registry import ChildChanged, FileHandedOver, MatchAsked, MatchSettled, RegistryRefusedAction
from contracts.vocabulary import FactName, IdentityField, Verb
from services.registry.names import identity_of
from tests.registry.house import MZJ, House, action, an_id, only, read, reported
from tests.registry.people import PHONE, a_row, clinic, police, village

ONE = a_row("one", guardian_id_number=None)
OTHER = village(ONE)
"""Could be the same child: name, birth date, guardian's name and phone agree."""


async def two_files(house: House) -> tuple[UUID, UUID, MatchAsked]:
    said = await house.rows(ONE, OTHER)
    [asked] = only(said, MatchAsked)
    return await house.child_of(ONE), await house.child_of(OTHER), asked


def refusal(said: list[Any]) -> str:
    [refused] = only(said, RegistryRefusedAction)
    return refused.code


# -------------------------------------------------------------------------------------------------------------- verify


async def test_what_a_named_person_saw_is_marked_and_stands_for_its_day(house: House) -> None:
    await house.rows(ONE)
    child = await house.child_of(ONE)

    said = await house.act(
        action(
            Verb.VERIFY,
            unit="341722-renli",
            role="child_director",
            child=child,
            outcome="confirmed",
            facts={FactName.SCHOOL_GRADE: 5},
        )
    )

    [file] = only(said, ChildChanged)
    [stands] = [fact for fact in file.facts if fact.name is FactName.SCHOOL_GRADE and fact.chosen]
    assert (stands.value, stands.verified, stands.unit) == (5, True, "341722-renli")
    assert file.sources == ("school",)
    row = await house.tx.fetchrow("SELECT * FROM verification")
    assert (row["child_id"], row["outcome"], row["role"]) == (child, "confirmed", "child_director")


async def test_a_person_who_found_nobody_is_remembered_without_a_fact(house: House) -> None:
    await house.rows(ONE)
    said = await house.act(action(Verb.VERIFY, child=await house.child_of(ONE), outcome="not_found"))
    assert said == []
    assert await house.tx.fetchval("SELECT outcome FROM verification") == "not_found"
    assert (await house.file(await house.child_of(ONE)))["child_version"] == 2


async def test_a_candidate_whom_a_person_saw_is_on_file(house: House) -> None:
    await house.report(reported())
    child = house.vault.candidate(an_id("finding"))
    [file] = only(await house.act(action(Verb.VERIFY, child=child, outcome="confirmed")), ChildChanged)
    assert file.state == "on_file"


async def test_nobody_verifies_an_unknown_child(house: House) -> None:
    assert refusal(await house.act(action(Verb.VERIFY, child=an_id("nobody")))) == "unknown_child"
    assert await house.count("verification") == 0


# --------------------------------------------------------------------------------------------------------- merge, split


async def test_a_merge_hands_everything_to_the_survivor(house: House) -> None:
    survivor, absorbed, asked = await two_files(house)

    said = await house.act(action(Verb.MERGE, child=survivor, other=absorbed))

    [handed] = only(said, FileHandedOver)
    assert (handed.child, handed.from_child, handed.reason) == (survivor, absorbed, "merge")
    [settled] = only(said, MatchSettled)
    assert (settled.question, settled.outcome, settled.role) == (asked.question, "merged", "county_civil_affairs")
    assert house.snapshot(survivor).sources == ("school", "village")
    assert house.snapshot(survivor).absorbs == (absorbed,)
    assert house.snapshot(survivor).questions == 0
    gone = house.snapshot(absorbed)
    assert (gone.state, gone.absorbed_by, gone.facts, gone.sources) == ("absorbed", survivor, (), ())


@pytest.mark.parametrize("by_records", [True, False])
async def test_a_merge_is_undone_and_both_files_are_as_they_were(house: House, by_records: bool) -> None:
    """Merge, split, and merge again: nothing is lost and nothing is left behind."""
    survivor, absorbed, _ = await two_files(house)
    await house.act(action(Verb.VERIFY, child=absorbed, facts={FactName.HOUSING_DIFFICULTY: True}))
    before = {child: await house.file(child) for child in (survivor, absorbed)}
    who = await identity_of(house.tx, house.vault, [survivor, absorbed])
    await house.act(action(Verb.MERGE, child=survivor, other=absorbed))

    records = (an_id("record", OTHER.key),) if by_records else ()
    said = await house.act(action(Verb.SPLIT, child=survivor, other=absorbed, records=records))

    [handed] = only(said, FileHandedOver)
    assert (handed.child, handed.from_child, handed.reason) == (absorbed, survivor, "split")
    after = {child: await house.file(child) for child in (survivor, absorbed)}
    for child in (survivor, absorbed):
        for column in ("state", "absorbed_by", "absorbs", "residence", "contested"):
            assert after[child][column] == before[child][column]
        assert after[child]["child_version"] == before[child]["child_version"] + 2
    assert house.chosen(absorbed)[FactName.HOUSING_DIFFICULTY] is True
    assert FactName.HOUSING_DIFFICULTY not in house.chosen(survivor)
    assert house.snapshot(absorbed).split_from == survivor
    assert await identity_of(house.tx, house.vault, [survivor, absorbed]) == who
    assert await house.child_of(OTHER) == absorbed

    await house.act(action(Verb.MERGE, name="again", child=survivor, other=absorbed))
    assert await house.child_of(OTHER) == survivor
    assert house.snapshot(absorbed).state == "absorbed"


async def test_what_is_split_never_joins_again_by_itself(house: House) -> None:
    """Two children under one number: a person takes the clinic's row out, and later rows do not put it back."""
    row = a_row()
    await house.rows(row, police(row), clinic(row))
    child = await house.child_of(row)

    said = await house.act(action(Verb.SPLIT, child=child, records=(an_id("record", police(row).key),)))
    [handed] = only(said, FileHandedOver)
    again = await house.rows(police(row), replace(police(row), facts={FactName.HUKOU_DIVISION: "341703"}), clinic(row))

    assert await house.child_of(police(row)) == handed.child != child
    assert await house.child_of(clinic(row)) == child
    assert only(again, FileHandedOver) == []
    assert only(again, MatchAsked) == []


async def test_a_new_record_of_a_split_number_finds_one_of_the_two(house: House) -> None:
    row = a_row()
    await house.rows(row, police(row))
    await house.act(action(Verb.SPLIT, child=await house.child_of(row), records=(an_id("record", police(row).key),)))

    await house.rows(replace(row, key="third", dataset="insurance", unit="341722-rsj"))

    assert len(await house.partition()) == 2


async def test_after_a_merge_by_a_person_two_numbers_stay_together(house: House) -> None:
    one = a_row("one")
    other = a_row(
        "other",
        id_number=a_row().identity[IdentityField.ID_NUMBER][:-1] + "0",
        flags=("id_damaged",),
        name="例大山",
        guardian_id_number=None,
    )
    await house.rows(one, other)
    await house.act(action(Verb.MERGE, child=await house.child_of(one), other=await house.child_of(other)))

    await house.rows(replace(one, facts={FactName.SCHOOL_GRADE: 5}), replace(other, facts={FactName.DIBAO: True}))

    assert await house.child_of(one) == await house.child_of(other)


async def test_a_split_of_what_a_finding_brought_takes_the_finding_along(house: House) -> None:
    found = replace(
        ONE,
        key="found",
        dataset="finding",
        period=None,
        identity={
            **OTHER.identity,
            IdentityField.GUARDIAN_ID_NUMBER: a_row().identity[IdentityField.GUARDIAN_ID_NUMBER],
        },
    )
    row = a_row()
    await house.rows(row)
    child = await house.child_of(row)
    await house.report(reported())
    await house.hear(read(found, finding=an_id("finding")))
    assert await house.child_of(found) == child

    said = await house.act(action(Verb.SPLIT, child=child, records=(an_id("record", "found"),)))

    [handed] = only(said, FileHandedOver)
    assert handed.findings == (an_id("finding"),)
    assert await house.tx.fetchval("SELECT child_id FROM finding") == handed.child


async def test_undoing_a_merge_gives_a_candidate_its_findings_back(house: House) -> None:
    await house.rows(ONE)
    child = await house.child_of(ONE)
    await house.report(reported())
    candidate = house.vault.candidate(an_id("finding"))
    await house.act(action(Verb.MERGE, child=child, other=candidate))

    said = await house.act(action(Verb.SPLIT, child=child, other=candidate))

    [handed] = only(said, FileHandedOver)
    assert (handed.child, handed.findings) == (candidate, (an_id("finding"),))
    assert house.snapshot(candidate).state == "candidate"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("an unknown child", "unknown_child"),
        ("an unknown other", "unknown_child"),
        ("itself", "same_file"),
        ("merged already", "same_file"),
    ],
)
async def test_a_merge_that_cannot_be_is_refused_by_name(house: House, how: str, code: str) -> None:
    one, other, _ = await two_files(house)
    if how == "an unknown child":
        said = await house.act(action(Verb.MERGE, child=an_id("nobody"), other=one))
    elif how == "an unknown other":
        said = await house.act(action(Verb.MERGE, child=one, other=an_id("nobody")))
    elif how == "itself":
        said = await house.act(action(Verb.MERGE, child=one, other=one))
    else:
        await house.act(action(Verb.MERGE, child=one, other=other))
        said = await house.act(action(Verb.MERGE, name="again", child=one, other=other))
    assert refusal(said) == code


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("of nobody", "unknown_child"),
        ("of another's record", "record_not_in_file"),
        ("of everything", "nothing_left"),
        ("of nothing", "records_missing"),
        ("to an unknown file", "unknown_child"),
        ("to itself", "same_file"),
    ],
)
async def test_a_split_that_cannot_be_is_refused_by_name(house: House, how: str, code: str) -> None:
    one, _, _ = await two_files(house)
    mine, foreign = an_id("record", ONE.key), an_id("record", OTHER.key)
    ways: dict[str, dict[str, Any]] = {
        "of nobody": {"child": an_id("nobody"), "records": (mine,)},
        "of another's record": {"child": one, "records": (foreign,)},
        "of everything": {"child": one, "records": (mine,)},
        "of nothing": {"child": one},
        "to an unknown file": {"child": one, "records": (mine,), "other": an_id("nobody")},
        "to itself": {"child": one, "records": (mine,), "other": one},
    }
    before = await house.partition()
    assert refusal(await house.act(action(Verb.SPLIT, **ways[how]))) == code
    assert await house.partition() == before


# ------------------------------------------------------------------------------------------------------------ questions


async def test_a_confirmed_question_merges(house: House) -> None:
    one, other, asked = await two_files(house)

    said = await house.act(action(Verb.CONFIRM, proposal=asked.question))

    [settled] = only(said, MatchSettled)
    assert (settled.question, settled.outcome) == (asked.question, "merged")
    [handed] = only(said, FileHandedOver)
    assert handed.reason == "merge"
    assert {handed.child, handed.from_child} == {one, other}


async def test_a_declined_question_is_not_asked_again_for_the_same_evidence(house: House) -> None:
    one, other, asked = await two_files(house)

    said = await house.act(action(Verb.DECLINE, proposal=asked.question))
    again = await house.rows(replace(ONE, facts={}), replace(OTHER, facts={}))

    [settled] = only(said, MatchSettled)
    assert settled.outcome == "kept_apart"
    assert only(again, MatchAsked) == []
    assert await house.child_of(ONE) == one
    assert await house.child_of(OTHER) == other


async def test_new_evidence_is_asked_about_and_does_not_overrule_a_person(house: House) -> None:
    """The village's row gets the very number of the school's: a person said two children, so a person is asked."""
    one, other, asked = await two_files(house)
    await house.act(action(Verb.DECLINE, proposal=asked.question))

    said = await house.rows(replace(OTHER, identity=ONE.identity))

    assert await house.child_of(ONE) == one
    assert await house.child_of(OTHER) == other
    [again] = only(said, MatchAsked)
    assert "same_number" in again.evidence
    assert again.question != asked.question


async def test_a_question_is_answered_once(house: House) -> None:
    _, _, asked = await two_files(house)
    await house.act(action(Verb.DECLINE, proposal=asked.question))
    assert refusal(await house.act(action(Verb.CONFIRM, proposal=asked.question))) == "already_settled"


async def test_a_question_is_answered_by_the_unit_it_was_put_to(house: House) -> None:
    _, _, asked = await two_files(house)
    said = await house.act(action(Verb.CONFIRM, unit="341722-renli", proposal=asked.question))
    assert refusal(said) == "not_yours"
    assert len(await house.partition()) == 2


async def test_somebody_elses_proposals_are_none_of_the_registrys_business(house: House) -> None:
    said = await house.act(
        action(Verb.CONFIRM, child=an_id("x"), proposal=an_id("a derived finding")),
        action(Verb.DECLINE, child=an_id("x"), proposal=an_id("a ledger entry")),
        action(Verb.ACCEPT, child=an_id("x"), referral=an_id("a referral")),
        reported(),
    )
    assert said == []


async def test_a_question_follows_its_file_into_a_merge(house: House) -> None:
    """One could be the village's; one is merged into a third; the answer then concerns the third."""
    one, other, asked = await two_files(house)
    third = a_row(
        "third", name="例大山", id_number=None, guardian_id_number=None, guardian_name=None, guardian_phone=None
    )
    await house.rows(third)
    survivor = await house.child_of(third)
    await house.act(action(Verb.MERGE, child=survivor, other=one))
    assert house.snapshot(survivor).questions == 1

    said = await house.act(action(Verb.CONFIRM, proposal=asked.question))

    [handed] = only(said, FileHandedOver)
    assert {handed.child, handed.from_child} == {survivor, other}


@pytest.mark.parametrize("size", [1, 1000])
async def test_decisions_in_one_batch_or_in_many_end_the_same(house: House, size: int) -> None:
    one, other, asked = await two_files(house)
    said = await house.act(
        action(Verb.MERGE, name="1", child=one, other=other),
        action(Verb.SPLIT, name="2", child=one, other=other),
        action(Verb.VERIFY, name="3", child=other, facts={FactName.DIBAO: True}),
        action(Verb.MERGE, name="4", child=other, other=one),
        action(Verb.VERIFY, name="5", child=one, outcome="moved"),
        size=size,
    )
    assert [settled.outcome for settled in only(said, MatchSettled)] == ["merged", "split", "merged"]
    assert house.snapshot(one).state == "absorbed"
    assert house.snapshot(one).child_version == 5
    assert (await house.file(other))["child_version"] == 6
    assert await house.tx.fetchval("SELECT child_id FROM verification WHERE outcome = 'moved'") == other
    history = await house.tx.fetch("SELECT reason, unit, role, done_on FROM hand_over ORDER BY reason")
    assert [row["reason"] for row in history] == ["merge", "merge", "split"]
    assert {(row["unit"], row["role"], row["done_on"]) for row in history} == {
        (MZJ, "county_civil_affairs", date(2026, 11, 23))
    }
    assert asked.question is not None
    assert PHONE not in repr(history)
