"""Persons verify, merge, split and resolve reviews; both histories are kept, and every decision can be undone."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.registry import (
    ChildChanged,
    FactConflictFound,
    FileReassigned,
    FindingAssigned,
    RegistryActionRefused,
    ReviewRequested,
    ReviewResolved,
    is_review,
    review_id,
)
from contracts.vocabulary import FactName, IdentityField, Verb
from services.registry.identity import identity_of
from tests.registry.harness import (
    MZJ,
    NOON,
    TODAY,
    Registry,
    Step,
    an_action,
    an_id,
    candidate_id,
    finding_reported,
    only,
    record_read,
)
from tests.registry.people import FATHER, PHONE, Row, a_number, a_row, clinic, police, village

ONE = a_row("one", guardian_id_number=None)
OTHER = village(ONE)
"""It may be the same child's row: name, birth date, guardian's name and phone agree."""


async def two_files(registry: Registry) -> tuple[UUID, UUID, ReviewRequested]:
    emitted = await registry.rows(ONE, OTHER)
    [review] = only(emitted, ReviewRequested)
    return await registry.child_of(ONE), await registry.child_of(OTHER), review


def with_another_phone(row: Row) -> Row:
    """Return the row with changed evidence, so that it is compared again, but without new evidence for one child."""
    return replace(row, identity={**row.identity, IdentityField.GUARDIAN_PHONE: "19900000002"})


def refusal(emitted: list[Any]) -> str:
    [refused] = only(emitted, RegistryActionRefused)
    return refused.code


# -------------------------------------------------------------------------------------------------------------- verify


async def test_a_verification_is_marked_and_current_for_its_day(registry: Registry) -> None:
    await registry.rows(ONE)
    child = await registry.child_of(ONE)

    emitted = await registry.act(
        an_action(
            Verb.VERIFY,
            unit="341722-renli",
            role="child_director",
            child=child,
            outcome="confirmed",
            facts={FactName.SCHOOL_GRADE: 5},
        )
    )

    [file] = only(emitted, ChildChanged)
    [grade] = [fact for fact in file.facts if fact.name is FactName.SCHOOL_GRADE and fact.chosen]
    assert (grade.value, grade.verified, grade.unit) == (5, True, "341722-renli")
    assert file.sources == ("school",)
    row = await registry.tx.fetchrow("SELECT * FROM verification")
    assert (row["child_id"], row["outcome"], row["role"]) == (child, "confirmed", "child_director")


async def test_a_verification_that_found_no_child_is_stored_without_a_fact(registry: Registry) -> None:
    await registry.rows(ONE)
    emitted = await registry.act(an_action(Verb.VERIFY, child=await registry.child_of(ONE), outcome="not_found"))
    assert emitted == []
    assert await registry.tx.fetchval("SELECT outcome FROM verification") == "not_found"
    assert (await registry.file(await registry.child_of(ONE)))["child_version"] == 2


async def test_a_candidate_whom_a_person_verified_is_on_file(registry: Registry) -> None:
    await registry.report(finding_reported())
    child = candidate_id(an_id("finding"))
    [file] = only(await registry.act(an_action(Verb.VERIFY, child=child, outcome="confirmed")), ChildChanged)
    assert file.state == "on_file"


async def test_the_verification_of_an_unknown_child_is_refused(registry: Registry) -> None:
    assert refusal(await registry.act(an_action(Verb.VERIFY, child=an_id("nobody")))) == "unknown_child"
    assert await registry.count("verification") == 0


# --------------------------------------------------------------------------------------------------------- merge, split


async def test_a_merge_assigns_everything_to_the_survivor(registry: Registry) -> None:
    survivor, absorbed, review = await two_files(registry)

    emitted = await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))

    [reassignment] = only(emitted, FileReassigned)
    assert (reassignment.child, reassignment.from_child, reassignment.reason) == (survivor, absorbed, "merge")
    [resolution] = only(emitted, ReviewResolved)
    assert (resolution.review, resolution.outcome, resolution.role) == (review.review, "merged", "county_civil_affairs")
    assert registry.snapshot(survivor).sources == ("school", "village")
    assert registry.snapshot(survivor).absorbs == (absorbed,)
    assert registry.snapshot(survivor).open_reviews == 0
    gone = registry.snapshot(absorbed)
    assert (gone.state, gone.absorbed_by, gone.facts, gone.sources) == ("absorbed", survivor, (), ())


@pytest.mark.parametrize("by_records", [True, False])
async def test_a_merge_is_undone_and_both_files_are_as_they_were(registry: Registry, by_records: bool) -> None:
    """Merge, split, and merge again: nothing is lost and nothing is left behind."""
    survivor, absorbed, _ = await two_files(registry)
    await registry.act(an_action(Verb.VERIFY, child=absorbed, facts={FactName.HOUSING_DIFFICULTY: True}))
    before = {child: await registry.file(child) for child in (survivor, absorbed)}
    identity = await identity_of(registry.tx, registry.vault, [survivor, absorbed])
    await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))

    records = (an_id("record", OTHER.key),) if by_records else ()
    emitted = await registry.act(an_action(Verb.SPLIT, child=survivor, other=absorbed, records=records))

    [reassignment] = only(emitted, FileReassigned)
    assert (reassignment.child, reassignment.from_child, reassignment.reason) == (absorbed, survivor, "split")
    after = {child: await registry.file(child) for child in (survivor, absorbed)}
    for child in (survivor, absorbed):
        for column in ("state", "absorbed_by", "absorbs", "residence", "dependency_keys"):
            assert after[child][column] == before[child][column]
        assert after[child]["child_version"] == before[child]["child_version"] + 2
    assert registry.chosen(absorbed)[FactName.HOUSING_DIFFICULTY] is True
    assert FactName.HOUSING_DIFFICULTY not in registry.chosen(survivor)
    assert registry.snapshot(absorbed).split_from == survivor
    assert await identity_of(registry.tx, registry.vault, [survivor, absorbed]) == identity
    assert await registry.child_of(OTHER) == absorbed

    await registry.act(an_action(Verb.MERGE, name="again", child=survivor, other=absorbed))
    assert await registry.child_of(OTHER) == survivor
    assert registry.snapshot(absorbed).state == "absorbed"


async def test_a_split_assigns_records_that_came_after_the_merge_to_the_file_that_they_fit(registry: Registry) -> None:
    """The police's row has the number of the first file, the clinic's row the mother of the second."""
    one, other = a_row("one", guardian_id_number=None), a_row("other", id_number=None, guardian_phone=None)
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))
    await registry.rows(police(one), clinic(other))
    assert await registry.child_of(clinic(other)) == survivor

    await registry.act(an_action(Verb.SPLIT, child=survivor, other=absorbed))

    assert await registry.child_of(police(one)) == survivor
    assert await registry.child_of(clinic(other)) == absorbed
    assert registry.snapshot(survivor).sources == ("hukou", "school")
    assert registry.snapshot(absorbed).sources == ("school", "vaccination")
    await registry.rows(replace(clinic(other), facts={FactName.DIBAO: True}), clinic(one), replace(other, facts={}))
    assert await registry.child_of(clinic(other)) == await registry.child_of(other) == absorbed


async def test_a_record_that_could_not_link_to_the_merged_file_links_to_the_part_that_it_fits(
    registry: Registry,
) -> None:
    """The merged file had another number than the new record, which could therefore not link to it."""
    one, other = a_row("one", name="例大山", guardian_id_number=FATHER), a_row("other", id_number=None)
    newcomer = a_row("newcomer", id_number=a_number(sequence=3))
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))
    emitted = await registry.consume(record_read(newcomer, at=NOON + timedelta(hours=1)))
    alone = await registry.child_of(newcomer)
    assert alone != survivor
    [review] = only(emitted, ReviewRequested)
    assert review.conflicts == ("two_valid_numbers",)

    emitted = await registry.act(an_action(Verb.SPLIT, child=survivor, other=absorbed))

    assert await registry.child_of(newcomer) == await registry.child_of(other) == absorbed
    assert [
        (reassignment.child, reassignment.from_child, reassignment.reason)
        for reassignment in only(emitted, FileReassigned)
    ] == [
        (absorbed, survivor, "split"),
        (absorbed, alone, "matched"),
    ]
    # The review of the survivor is resolved: the new record belongs to the other part, which a person split off.
    assert (review.review, "split") in [
        (resolution.review, resolution.outcome) for resolution in only(emitted, ReviewResolved)
    ]
    assert registry.snapshot(absorbed).open_reviews == registry.snapshot(survivor).open_reviews == 0


async def test_a_split_gives_back_the_file_that_a_candidate_absorbed(registry: Registry) -> None:
    """Everything that the candidate has came from the other file, so the split restores it."""
    await registry.rows(ONE)
    child = await registry.child_of(ONE)
    [assigned] = only(await registry.report(finding_reported()), FindingAssigned)
    await registry.act(an_action(Verb.MERGE, child=assigned.child, other=child))
    assert registry.snapshot(assigned.child).state == "on_file"

    [reassignment] = only(await registry.act(an_action(Verb.SPLIT, child=assigned.child, other=child)), FileReassigned)

    assert (reassignment.child, reassignment.findings) == (child, ())
    assert await registry.child_of(ONE) == child
    assert registry.snapshot(assigned.child).state == "candidate"


@pytest.mark.parametrize("named", ["survivor", "absorbed"])
async def test_a_verification_belongs_to_the_file_that_it_named(registry: Registry, named: str) -> None:
    [first] = only(await registry.report(finding_reported("first")), FindingAssigned)
    [second] = only(await registry.report(finding_reported("second")), FindingAssigned)
    await registry.act(an_action(Verb.MERGE, child=first.child, other=second.child))
    verified = first.child if named == "survivor" else second.child
    facts = {FactName.LIVES_ALONE: True}
    await registry.act(an_action(Verb.VERIFY, child=verified, outcome="confirmed", facts=facts))
    assert registry.chosen(first.child)[FactName.LIVES_ALONE] is True

    await registry.act(an_action(Verb.SPLIT, child=first.child, other=second.child))

    other = second.child if named == "survivor" else first.child
    assert (registry.snapshot(verified).state, registry.snapshot(other).state) == ("on_file", "candidate")
    assert registry.chosen(verified) == facts
    assert registry.chosen(other) == {}


async def test_a_finding_about_the_absorbed_file_goes_back_with_its_record(registry: Registry) -> None:
    one, other, _ = await two_files(registry)
    await registry.act(an_action(Verb.MERGE, child=one, other=other))
    await registry.report(finding_reported(child=other, identity=OTHER.identity))
    found = replace(OTHER, key="found", unit="341722-jtj", dataset="finding", period=None, facts={})
    await registry.consume(record_read(found, finding=an_id("finding")))
    assert await registry.child_of(found) == one

    [reassignment] = only(await registry.act(an_action(Verb.SPLIT, child=one, other=other)), FileReassigned)

    assert reassignment.findings == (an_id("finding"),)
    assert await registry.child_of(found) == await registry.child_of(OTHER) == other


async def test_findings_of_a_file_within_a_file_go_back_with_it(registry: Registry) -> None:
    """The candidate was merged into one file, and that file into another."""
    one, other, _ = await two_files(registry)
    [assigned] = only(await registry.report(finding_reported()), FindingAssigned)
    await registry.act(an_action(Verb.MERGE, name="1", child=other, other=assigned.child))
    await registry.act(an_action(Verb.MERGE, name="2", child=one, other=other))

    [reassignment] = only(await registry.act(an_action(Verb.SPLIT, child=one, other=other)), FileReassigned)

    assert reassignment.findings == (an_id("finding"),)
    assert registry.snapshot(other).absorbs == (assigned.child,)
    [reassignment] = only(await registry.act(an_action(Verb.SPLIT, child=other, other=assigned.child)), FileReassigned)
    assert (reassignment.child, reassignment.findings) == (assigned.child, (an_id("finding"),))


async def test_a_conflict_of_a_merged_file_is_reported_again_for_the_part_that_has_it(registry: Registry) -> None:
    one = replace(ONE, facts={FactName.SCHOOL_GRADE: 4})
    other = replace(OTHER, facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    [conflict] = only(await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed)), FactConflictFound)
    assert conflict.child == survivor
    await registry.act(an_action(Verb.SPLIT, child=survivor, other=absorbed))

    emitted = await registry.rows(police(one, facts={FactName.SCHOOL_GRADE: 6}))

    [later] = only(emitted, FactConflictFound)
    assert (later.child, later.units) == (survivor, ("341722-gaj", "341722-jtj"))


async def test_matching_never_links_split_records_again(registry: Registry) -> None:
    """Two children under one number: a person takes the clinic's row out, and later rows do not put it back."""
    row = a_row()
    await registry.rows(row, police(row), clinic(row))
    child = await registry.child_of(row)

    emitted = await registry.act(an_action(Verb.SPLIT, child=child, records=(an_id("record", police(row).key),)))
    [reassignment] = only(emitted, FileReassigned)
    later = await registry.rows(
        police(row), replace(police(row), facts={FactName.HUKOU_DIVISION: "341703"}), clinic(row)
    )

    assert await registry.child_of(police(row)) == reassignment.child != child
    assert await registry.child_of(clinic(row)) == child
    assert only(later, FileReassigned) == []
    assert only(later, ReviewRequested) == []


async def test_a_new_record_of_a_split_number_finds_one_of_the_two(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row, police(row))
    await registry.act(
        an_action(Verb.SPLIT, child=await registry.child_of(row), records=(an_id("record", police(row).key),))
    )

    await registry.rows(replace(row, key="third", dataset="insurance", unit="341722-rsj"))

    assert len(await registry.clusters()) == 2


async def test_after_a_merge_by_a_person_its_rows_stay_together(registry: Registry) -> None:
    """Other names and guardians, or two valid numbers later, do not separate them."""
    one = a_row("one")
    other = a_row("other", id_number=None, name="例大山", guardian_id_number=None)
    await registry.rows(one, other)
    await registry.act(an_action(Verb.MERGE, child=await registry.child_of(one), other=await registry.child_of(other)))

    await registry.rows(
        replace(one, facts={FactName.SCHOOL_GRADE: 5}),
        replace(other, identity={**other.identity, IdentityField.MOTHER_ID_NUMBER: FATHER}),
    )
    assert await registry.child_of(one) == await registry.child_of(other)

    await registry.rows(replace(other, identity={**other.identity, IdentityField.ID_NUMBER: a_number(sequence=3)}))
    assert await registry.child_of(one) == await registry.child_of(other)


async def test_a_split_of_a_findings_record_moves_the_finding(registry: Registry) -> None:
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
    await registry.rows(row)
    child = await registry.child_of(row)
    await registry.report(finding_reported())
    await registry.consume(record_read(found, finding=an_id("finding")))
    assert await registry.child_of(found) == child

    emitted = await registry.act(an_action(Verb.SPLIT, child=child, records=(an_id("record", "found"),)))

    [reassignment] = only(emitted, FileReassigned)
    assert reassignment.findings == (an_id("finding"),)
    assert await registry.tx.fetchval("SELECT child_id FROM finding") == reassignment.child


async def test_undoing_a_merge_gives_a_candidate_its_findings_back(registry: Registry) -> None:
    await registry.rows(ONE)
    child = await registry.child_of(ONE)
    await registry.report(finding_reported())
    candidate = candidate_id(an_id("finding"))
    await registry.act(an_action(Verb.MERGE, child=child, other=candidate))

    emitted = await registry.act(an_action(Verb.SPLIT, child=child, other=candidate))

    [reassignment] = only(emitted, FileReassigned)
    assert (reassignment.child, reassignment.findings) == (candidate, (an_id("finding"),))
    assert registry.snapshot(candidate).state == "candidate"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("an unknown child", "unknown_child"),
        ("an unknown other", "unknown_child"),
        ("itself", "same_file"),
        ("merged already", "same_file"),
    ],
)
async def test_an_impossible_merge_is_refused_with_a_code(registry: Registry, how: str, code: str) -> None:
    one, other, _ = await two_files(registry)
    if how == "an unknown child":
        emitted = await registry.act(an_action(Verb.MERGE, child=an_id("nobody"), other=one))
    elif how == "an unknown other":
        emitted = await registry.act(an_action(Verb.MERGE, child=one, other=an_id("nobody")))
    elif how == "itself":
        emitted = await registry.act(an_action(Verb.MERGE, child=one, other=one))
    else:
        await registry.act(an_action(Verb.MERGE, child=one, other=other))
        emitted = await registry.act(an_action(Verb.MERGE, name="again", child=one, other=other))
    assert refusal(emitted) == code


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
async def test_an_impossible_split_is_refused_with_a_code(registry: Registry, how: str, code: str) -> None:
    one, _, _ = await two_files(registry)
    mine, foreign = an_id("record", ONE.key), an_id("record", OTHER.key)
    fields: dict[str, dict[str, Any]] = {
        "of nobody": {"child": an_id("nobody"), "records": (mine,)},
        "of another's record": {"child": one, "records": (foreign,)},
        "of everything": {"child": one, "records": (mine,)},
        "of nothing": {"child": one},
        "to an unknown file": {"child": one, "records": (mine,), "other": an_id("nobody")},
        "to itself": {"child": one, "records": (mine,), "other": one},
    }
    before = await registry.clusters()
    assert refusal(await registry.act(an_action(Verb.SPLIT, **fields[how]))) == code
    assert await registry.clusters() == before


# -------------------------------------------------------------------------------------------------------------- reviews


async def test_a_confirmed_review_merges(registry: Registry) -> None:
    one, other, review = await two_files(registry)

    emitted = await registry.act(an_action(Verb.CONFIRM, proposal=review.review))

    [resolution] = only(emitted, ReviewResolved)
    assert (resolution.review, resolution.outcome) == (review.review, "merged")
    [reassignment] = only(emitted, FileReassigned)
    assert reassignment.reason == "merge"
    assert {reassignment.child, reassignment.from_child} == {one, other}


async def test_a_declined_review_is_not_requested_again_for_the_same_evidence(registry: Registry) -> None:
    one, other, review = await two_files(registry)

    emitted = await registry.act(an_action(Verb.DECLINE, proposal=review.review))
    later = await registry.rows(*(with_another_phone(row) for row in (ONE, OTHER)))

    [resolution] = only(emitted, ReviewResolved)
    assert resolution.outcome == "cannot_link"
    assert only(later, ReviewRequested) == []
    assert await registry.child_of(ONE) == one
    assert await registry.child_of(OTHER) == other


async def test_new_evidence_is_reviewed_and_does_not_overrule_a_person(registry: Registry) -> None:
    """The village's row gets the number of the school's row: a person decided two children, so it is reviewed."""
    one, other, review = await two_files(registry)
    await registry.act(an_action(Verb.DECLINE, proposal=review.review))

    emitted = await registry.rows(replace(OTHER, identity=ONE.identity))

    assert await registry.child_of(ONE) == one
    assert await registry.child_of(OTHER) == other
    [later] = only(emitted, ReviewRequested)
    assert "same_number" in later.evidence
    assert later.review != review.review


async def test_a_review_is_resolved_once(registry: Registry) -> None:
    _, _, review = await two_files(registry)
    await registry.act(an_action(Verb.DECLINE, proposal=review.review))
    assert refusal(await registry.act(an_action(Verb.CONFIRM, proposal=review.review))) == "already_resolved"


async def test_a_review_is_resolved_by_the_unit_that_decides(registry: Registry) -> None:
    _, _, review = await two_files(registry)
    emitted = await registry.act(an_action(Verb.CONFIRM, unit="341722-renli", proposal=review.review))
    assert refusal(emitted) == "not_yours"
    assert len(await registry.clusters()) == 2


async def test_the_registry_ignores_proposals_of_other_services(registry: Registry) -> None:
    emitted = await registry.act(
        an_action(Verb.CONFIRM, child=an_id("x"), proposal=an_id("a derived finding")),
        an_action(Verb.DECLINE, child=an_id("x"), proposal=an_id("a ledger entry")),
        an_action(Verb.ACCEPT, child=an_id("x"), referral=an_id("a referral")),
        finding_reported(),
    )
    assert emitted == []


@pytest.mark.parametrize("verb", [Verb.CONFIRM, Verb.DECLINE])
async def test_the_resolution_of_an_unknown_review_is_refused_and_changes_nothing(
    registry: Registry, verb: Verb
) -> None:
    one, _, review = await two_files(registry)
    before = await registry.state()
    unknown_review = review_id(an_id("nobody's"))

    [refused] = await registry.act(
        an_action(verb, child=one, proposal=unknown_review), an_action(Verb.ACCEPT, proposal=unknown_review)
    )

    assert isinstance(refused, RegistryActionRefused)
    assert (refused.unit, refused.verb, refused.code, refused.child) == (MZJ, verb, "unknown_proposal", None)
    assert await registry.state() == before
    assert review.review != unknown_review


async def test_the_id_of_a_review_is_recognisable_and_no_child_has_one(registry: Registry) -> None:
    """Reviews for decisions made without a request are included: referral leaves them to the registry too."""
    one, other, review = await two_files(registry)
    emitted = await registry.act(
        an_action(Verb.MERGE, child=one, other=other), an_action(Verb.SPLIT, child=one, other=other)
    )
    reviews = [review.review, *(resolution.review for resolution in only(emitted, ReviewResolved))]
    assert len(set(reviews)) == 2
    assert all(map(is_review, reviews))
    assert not any(map(is_review, (one, other)))


async def test_a_review_follows_its_file_into_a_merge(registry: Registry) -> None:
    """One file may be the village's child; it is merged into a third file, which the resolution then concerns."""
    one, other, review = await two_files(registry)
    third = a_row(
        "third", name="例大山", id_number=None, guardian_id_number=None, guardian_name=None, guardian_phone=None
    )
    await registry.rows(third)
    survivor = await registry.child_of(third)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=one))
    assert registry.snapshot(survivor).open_reviews == 1

    emitted = await registry.act(an_action(Verb.CONFIRM, proposal=review.review))

    [reassignment] = only(emitted, FileReassigned)
    assert {reassignment.child, reassignment.from_child} == {survivor, other}


async def test_a_review_goes_back_to_its_file_when_a_merge_is_undone(registry: Registry) -> None:
    """A later confirmation concerns the file it was requested for, not the one that had absorbed it meanwhile."""
    one, other, review = await two_files(registry)
    third = a_row("third", name="例大山", id_number=None, guardian_id_number=None, guardian_name=None)
    await registry.rows(replace(third, identity={IdentityField.NAME: "例大山"}))
    survivor = await registry.child_of(third)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=one))
    await registry.act(an_action(Verb.SPLIT, child=survivor, other=one))
    assert [registry.snapshot(child).open_reviews for child in (survivor, one, other)] == [0, 1, 1]

    [reassignment] = only(await registry.act(an_action(Verb.CONFIRM, proposal=review.review)), FileReassigned)

    assert {reassignment.child, reassignment.from_child} == {one, other}


async def test_equal_reviews_of_two_files_stay_with_each_when_a_merge_is_undone(
    registry: Registry,
) -> None:
    """The village's child may be the school's or the clinic's, for the same reasons: no review is requested twice."""
    third = clinic(ONE)
    emitted = await registry.rows(ONE, third, OTHER)
    one, clinics, other = [await registry.child_of(row) for row in (ONE, third, OTHER)]
    reviews = {frozenset((review.child, review.other)): review for review in only(emitted, ReviewRequested)}
    assert set(reviews) == {frozenset((one, clinics)), frozenset((one, other)), frozenset((clinics, other))}
    await registry.act(an_action(Verb.MERGE, child=clinics, other=one))

    emitted = await registry.act(an_action(Verb.SPLIT, child=clinics, other=one))

    assert only(emitted, ReviewRequested) == []
    assert [registry.snapshot(child).open_reviews for child in (one, clinics, other)] == [1, 1, 2]
    [reassignment] = only(
        await registry.act(an_action(Verb.CONFIRM, proposal=reviews[frozenset((one, other))].review)), FileReassigned
    )
    assert {reassignment.child, reassignment.from_child} == {one, other}


async def test_a_declined_review_is_not_requested_again_when_a_merge_is_undone(registry: Registry) -> None:
    one, _, review = await two_files(registry)
    await registry.act(an_action(Verb.DECLINE, proposal=review.review))
    third = replace(a_row("third"), identity={IdentityField.NAME: "例大山"})
    await registry.rows(third)
    survivor = await registry.child_of(third)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=one))

    emitted = await registry.act(an_action(Verb.SPLIT, child=survivor, other=one))

    assert only(emitted, ReviewRequested) == []


async def test_a_review_of_a_merged_file_goes_to_the_part_that_it_is_about(registry: Registry) -> None:
    third = replace(a_row("third"), identity={IdentityField.NAME: "例大山"})
    await registry.rows(third, ONE)
    survivor, one = await registry.child_of(third), await registry.child_of(ONE)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=one))
    [review] = only(await registry.rows(OTHER), ReviewRequested)
    other = await registry.child_of(OTHER)
    assert {review.child, review.other} == {survivor, other}

    await registry.act(an_action(Verb.SPLIT, child=survivor, other=one))

    assert [registry.snapshot(child).open_reviews for child in (survivor, one, other)] == [0, 1, 1]
    [reassignment] = only(await registry.act(an_action(Verb.CONFIRM, proposal=review.review)), FileReassigned)
    assert {reassignment.child, reassignment.from_child} == {one, other}


async def test_a_declined_review_is_not_requested_of_the_file_that_absorbs_one_of_the_two(registry: Registry) -> None:
    one, other, review = await two_files(registry)
    await registry.act(an_action(Verb.DECLINE, proposal=review.review))
    third = replace(a_row("third"), identity={IdentityField.NAME: "例大山"})
    await registry.rows(third)
    await registry.act(an_action(Verb.MERGE, child=await registry.child_of(third), other=one))

    emitted = await registry.rows(with_another_phone(OTHER))

    assert only(emitted, ReviewRequested) == []
    assert await registry.child_of(OTHER) == other


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_decision_is_on_record_with_its_own_day_and_its_own_file(registry: Registry, size: int) -> None:
    """A verification before a merge counts for the file at that time, and a review keeps its day, in any batch."""
    await registry.rows(ONE)
    await registry.apply_log(
        [
            Step("intake.record.v1", 0, record_read(OTHER), NOON),
            Step("intake.record.v1", 0, record_read(a_row("next")), NOON + timedelta(days=1)),
        ],
        size,
    )
    one, other = await registry.child_of(ONE), await registry.child_of(OTHER)
    await registry.act(
        an_action(Verb.VERIFY, child=other, outcome="confirmed"),
        an_action(Verb.MERGE, child=one, other=other),
        size=size,
    )
    assert await registry.tx.fetchval("SELECT child_id FROM verification") == other
    assert await registry.tx.fetchval("SELECT requested_on FROM review ORDER BY requested_on LIMIT 1") == TODAY


@pytest.mark.parametrize("size", [1, 1000])
async def test_decisions_in_one_batch_or_in_many_end_the_same(registry: Registry, size: int) -> None:
    one, other, review = await two_files(registry)
    emitted = await registry.act(
        an_action(Verb.MERGE, name="1", child=one, other=other),
        an_action(Verb.SPLIT, name="2", child=one, other=other),
        an_action(Verb.VERIFY, name="3", child=other, facts={FactName.DIBAO: True}),
        an_action(Verb.MERGE, name="4", child=other, other=one),
        an_action(Verb.VERIFY, name="5", child=one, outcome="moved"),
        size=size,
    )
    assert [resolution.outcome for resolution in only(emitted, ReviewResolved)] == ["merged", "split", "merged"]
    assert registry.snapshot(one).state == "absorbed"
    assert registry.snapshot(one).child_version == 5
    assert (await registry.file(other))["child_version"] == 6
    assert await registry.tx.fetchval("SELECT child_id FROM verification WHERE outcome = 'moved'") == other
    history = await registry.tx.fetch("SELECT reason, unit, role, done_on FROM reassignment ORDER BY reason")
    assert [row["reason"] for row in history] == ["merge", "merge", "split"]
    assert {(row["unit"], row["role"], row["done_on"]) for row in history} == {
        (MZJ, "county_civil_affairs", date(2026, 11, 23))
    }
    assert review.review is not None
    assert PHONE not in repr(history)
