"""Records become files by link, non-link or review, with the same result in batches of any size."""

import asyncio
import random
from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from contracts.event import Event
from contracts.registry import ChildChanged, FactConflictFound, FileReassigned, ReviewRequested, ReviewResolved
from contracts.vocabulary import FactName, IdentityField, Verb
from runtime import RetryLater, UnprocessableEvent
from services.registry import handlers
from services.registry.identity import identity_of
from services.registry.store import files as file_store
from services.registry.store import records as assignment_store
from tests.registry.harness import (
    MZJ,
    NOON,
    Registry,
    Step,
    an_action,
    an_id,
    file_id,
    finding_reported,
    only,
    record_disappeared,
    record_read,
    submission_ended,
)
from tests.registry.people import BORN, FATHER, MOTHER, PHONE, Row, a_number, a_row, clinic, police, village


async def test_a_first_row_opens_a_file(registry: Registry) -> None:
    emitted = await registry.rows(a_row())

    [file] = only(emitted, ChildChanged)
    assert (file.state, file.child_version, file.sources) == ("on_file", 1, ("school",))
    assert registry.chosen(file.child) == {FactName.BIRTH_DATE: "2016-03-05", FactName.SCHOOL_GRADE: 4}


async def test_three_departments_know_one_child(registry: Registry) -> None:
    """The same number links; a row without a number links by name, birth date and guardian's number."""
    row = a_row()

    emitted = await registry.rows(row, police(row), clinic(row))

    assert len(await registry.clusters()) == 1
    [file] = only(emitted, ChildChanged)
    assert file.sources == ("hukou", "school", "vaccination")
    assert file.child_version == 3


async def test_the_ids_of_children_do_not_depend_on_the_run_but_on_the_countys_secret(registry: Registry) -> None:
    await registry.rows(a_row())
    child = await registry.child_of(a_row())
    assert child == file_id(an_id("record", "row"))
    assert child != an_id("record", "row")


async def test_twins_have_two_files(registry: Registry) -> None:
    one = a_row("one", name="例小明", id_number=a_number(sequence=11))
    other = a_row("other", name="例小亮", id_number=a_number(sequence=12))

    emitted = await registry.rows(one, other, clinic(one), clinic(other))

    assert await registry.child_of(one) != await registry.child_of(other)
    assert await registry.child_of(clinic(one)) == await registry.child_of(one)
    assert await registry.child_of(clinic(other)) == await registry.child_of(other)
    assert only(emitted, ReviewRequested) == []


async def test_the_same_evidence_is_reviewed_once(registry: Registry) -> None:
    """Name, birth date and a phone agree: a person decides, and each file shows that a review is open.

    More of the same evidence does not open another review.
    """
    row = a_row(guardian_id_number=None)
    lead = village(row)
    before = village(a_row(guardian_id_number=None, guardian_name=None))

    emitted = await registry.rows(row, before)
    emitted_again = await registry.rows(lead)

    [review] = only(emitted, ReviewRequested)
    assert review.unit == MZJ
    assert review.evidence == ("same_birth_date", "same_name", "same_phone")
    assert {review.child, review.other} == {await registry.child_of(row), await registry.child_of(lead)}
    assert [registry.snapshot(child).open_reviews for child in (review.child, review.other)] == [1, 1]
    assert only(emitted_again, ReviewRequested) == []


async def test_names_with_a_lost_character_are_compared_letter_by_letter(registry: Registry) -> None:
    """Their names are decrypted for this comparison only."""
    row = a_row(name="张子轩", guardian_id_number=None, guardian_name=None)
    lead = a_row("lead", name="张□轩", id_number=None, guardian_id_number=None, guardian_name=None)
    stranger = a_row("stranger", name="王□轩", id_number=None, guardian_id_number=None, guardian_name=None)

    await registry.rows(row)
    emitted = await registry.rows(lead, stranger)

    [review] = only(emitted, ReviewRequested)
    assert {review.child, review.other} == {await registry.child_of(row), await registry.child_of(lead)}


async def test_two_valid_numbers_are_reviewed_and_never_linked(registry: Registry) -> None:
    one = a_row("one", id_number=a_number(sequence=1))
    other = a_row("other", id_number=a_number(sequence=3))

    emitted = await registry.rows(one, other)

    assert len(await registry.clusters()) == 2
    [review] = only(emitted, ReviewRequested)
    assert review.conflicts == ("two_valid_numbers",)


async def test_a_row_that_gets_its_number_links_to_the_file_that_has_it(registry: Registry) -> None:
    """The clinic's file is absorbed; this is published once, and the review is resolved."""
    row = a_row(guardian_id_number=None)
    late = clinic(row)
    later = NOON + timedelta(hours=1)
    await registry.consume(record_read(row), record_read(late, at=later))
    survivor, absorbed = await registry.child_of(row), await registry.child_of(late)

    emitted = await registry.consume(record_read(replace(late, identity=row.identity), at=later))

    [reassignment] = only(emitted, FileReassigned)
    assert (reassignment.child, reassignment.from_child, reassignment.reason) == (survivor, absorbed, "matched")
    [resolution] = only(emitted, ReviewResolved)
    assert resolution.outcome == "merged"
    assert registry.snapshot(absorbed).state == "absorbed"
    assert registry.snapshot(absorbed).absorbed_by == survivor
    assert registry.snapshot(absorbed).facts == ()
    assert registry.snapshot(survivor).absorbs == (absorbed,)
    assert registry.snapshot(survivor).sources == ("school", "vaccination")
    assert registry.snapshot(survivor).open_reviews == 0


async def test_a_row_whose_number_is_corrected_leaves_the_file_it_was_in(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row, police(row))
    before = await registry.child_of(row)

    wrong = police(row, identity={**row.identity, IdentityField.ID_NUMBER: a_number(sequence=5)})
    emitted = await registry.rows(wrong)

    assert await registry.child_of(row) == before
    assert await registry.child_of(wrong) != before
    assert registry.snapshot(before).sources == ("school",)
    [review] = only(emitted, ReviewRequested)
    assert review.conflicts == ("two_valid_numbers",)


async def test_a_row_that_was_linked_by_a_corrected_row_moves_to_the_other_file_that_it_fits(
    registry: Registry,
) -> None:
    """The clinic knows no number but both parents: its row fits two files, and the one that it is in is corrected.

    The other file shares nothing with the corrected row: only the clinic's row leads there.
    """
    rows = (a_row("mother's"), a_row("father's", id_number=a_number(sequence=3), guardian_id_number=FATHER))
    both = clinic(a_row("both", mother_id_number=MOTHER, father_id_number=FATHER, guardian_id_number=None))
    await registry.rows(*rows, both)
    first, second = sorted(
        [(await registry.child_of(row) != await registry.child_of(both), row.key, row) for row in rows]
    )
    left, joined = first[2], second[2]
    assert await registry.child_of(left) == await registry.child_of(both)

    corrected = {IdentityField.NAME: "例小明", IdentityField.ID_NUMBER: a_number(sequence=5)}
    await registry.rows(replace(left, identity=corrected))

    assert await registry.child_of(both) == await registry.child_of(joined) != await registry.child_of(left)


async def test_a_row_that_lost_its_number_in_a_spreadsheet_stays(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row, police(row))

    await registry.rows(replace(row, identity={IdentityField.NAME: "例小明"}, flags=("id_damaged",)))

    assert len(await registry.clusters()) == 1


async def test_a_row_with_only_the_month_of_birth_opens_a_separate_file(registry: Registry) -> None:
    """A month is no evidence of identity: the row links to no other."""
    row = a_row()
    await registry.rows(row)
    vague = record_read(police(row)).model_copy(update={"birth_date": "2016-03"})

    await registry.consume(vague)

    assert len(await registry.clusters()) == 2
    assert vague.key == record_read(row).key


async def test_a_corrected_birth_date_moves_a_row_to_another_partition(registry: Registry) -> None:
    """Its versions on the former partition are older and change nothing."""
    row = a_row()
    corrected = replace(
        row, born=date(2016, 3, 6), identity={**row.identity, IdentityField.ID_NUMBER: a_number(date(2016, 3, 6))}
    )
    await registry.rows(row, partition=0)
    child = await registry.child_of(row)
    await registry.consume(record_read(corrected, at=NOON + timedelta(minutes=10)), partition=3)
    version = (await registry.file(child))["child_version"]

    await registry.rows(row, partition=0)

    assert await registry.child_of(row) == child
    assert registry.chosen(child)[FactName.BIRTH_DATE] == "2016-03-06"
    assert (await registry.file(child))["child_version"] == version


async def test_older_versions_of_a_corrected_row_on_its_former_partition_change_nothing(registry: Registry) -> None:
    """The row was missing from a file, and came back with another birth date, whichever partition is faster."""
    row = a_row()
    corrected = replace(
        row, born=date(2016, 3, 6), identity={**row.identity, IdentityField.ID_NUMBER: a_number(date(2016, 3, 6))}
    )
    await registry.rows(row, partition=0)
    await registry.consume(record_read(corrected, at=NOON + timedelta(minutes=10)), partition=3)

    emitted = await registry.consume(record_disappeared(row), partition=0)

    assert emitted == []
    assert registry.snapshot(await registry.child_of(row)).silent_sources == ()


async def test_an_unchanged_row_is_not_decrypted_again(registry: Registry) -> None:
    """Its content hash shows this. It is valid for its new period nevertheless."""
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    await registry.rows(row, village(a_row(), facts={FactName.SCHOOL_GRADE: 5}))
    child = await registry.child_of(row)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5
    before = await registry.tx.fetchrow(
        "SELECT identity, evidence FROM record WHERE record_id = $1", an_id("record", "row")
    )

    emitted_again = record_read(replace(row, period="2027H1", valid_on=date(2027, 3, 31)), at=NOON + timedelta(days=1))
    sealed_for_somebody_else = emitted_again.model_copy(update={"identity": "bm90IHNlYWxlZA=="})
    await registry.consume(sealed_for_somebody_else)

    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    after = await registry.tx.fetchrow("SELECT * FROM record WHERE record_id = $1", an_id("record", "row"))
    assert (after["identity"], after["evidence"]) == tuple(before)
    assert (after["valid_on"], after["recorded_at"]) == (date(2027, 3, 31), NOON + timedelta(days=1))


async def test_a_row_that_changes_and_changes_back_in_one_batch_has_its_first_content(registry: Registry) -> None:
    row = a_row()
    other = replace(row, identity={**row.identity, IdentityField.GUARDIAN_PHONE: "19900000002"})
    await registry.rows(row)
    child = await registry.child_of(row)

    await registry.rows(row, other, row)

    identity = (await identity_of(registry.tx, registry.vault, [child]))[child]
    assert identity[IdentityField.GUARDIAN_PHONE] == PHONE


async def test_a_record_that_changes_while_it_is_read_is_read_again(registry: Registry, database: Any) -> None:
    """Its content had not changed until another partition corrected it, so that its identity must be opened."""
    row = a_row()
    changed = replace(row, facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(row)
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )

    async def correct(rows: Any) -> Any:
        await other.rows(changed, partition=1)
        return rows

    tx = InterruptedTransaction(registry.tx, assignment_store.ASSIGNMENTS, correct)
    with pytest.raises(RetryLater):
        async with registry.tx.transaction():
            await handlers.on_records(registry.batch([record_read(row)]), tx, vault=registry.vault)

    await other.tx.close()


@pytest.mark.parametrize("size", [1, 1000])
async def test_the_identity_of_newer_validity_is_current_not_the_one_of_newer_arrival(
    registry: Registry, size: int
) -> None:
    """A row without a file about last spring comes after the autumn's file: its phone is the older one."""
    autumn = a_row()
    spring = a_row(
        period=None, valid_on=date(2026, 5, 1), guardian_phone="19900000009", address="例村1号", id_number=None
    )
    await registry.apply_log([Step("intake.record.v1", 0, record_read(row)) for row in (autumn, spring)], size)
    child = await registry.child_of(autumn)

    identity = (await identity_of(registry.tx, registry.vault, [child]))[child]

    assert identity[IdentityField.GUARDIAN_PHONE] == PHONE
    assert identity[IdentityField.ADDRESS] == "例村1号"
    assert await registry.tx.fetchval("SELECT valid_on FROM record") == autumn.valid_on


async def test_identical_content_is_not_emitted_twice(registry: Registry) -> None:
    """The version counts the event, but the snapshot has not changed."""
    await registry.rows(a_row())
    emitted = await registry.rows(a_row())

    assert emitted == []
    child = await registry.child_of(a_row())
    assert (await registry.file(child))["child_version"] == 2


async def test_reviews_and_reports_bypass_coalescing(registry: Registry) -> None:
    """A file that absorbs another one bypasses too; snapshots of departments' rows alone may be coalesced."""
    reviewed = a_row(guardian_id_number=None)
    matched = a_row("met", name="例小海", id_number=a_number(sequence=21))
    later = a_row("later", id_number=None, guardian_id_number=None, guardian_name=None, phone=None, name="例小山")
    await registry.report(finding_reported(identity={IdentityField.NAME: "例小海"}))
    await registry.rows(reviewed, matched, a_row("other", name="例小川", id_number=a_number(sequence=31)), later)
    assert registry.bypassing_coalescing == []

    rereported = replace(matched, facts={FactName.SCHOOL_GRADE: 5})
    await registry.consume(
        record_read(village(reviewed)),
        record_read(rereported, finding=an_id("finding")),
        record_read(replace(later, facts={})),
    )

    children = [await registry.child_of(row) for row in (reviewed, village(reviewed), matched)]
    assert {file.child for file in registry.bypassing_coalescing} == set(children)


async def test_an_identity_that_cannot_be_decrypted_is_parked(registry: Registry) -> None:
    broken = record_read(a_row()).model_copy(update={"identity": record_read(a_row("other")).identity})
    with pytest.raises(UnprocessableEvent, match=str(broken.record)):
        await registry.consume(broken)


# ---------------------------------------------------------------------------------------------- whole files and time


async def test_a_record_that_disappears_makes_its_source_silent_and_keeps_the_child(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row, police(row))

    emitted = await registry.consume(record_disappeared(row))

    [file] = only(emitted, ChildChanged)
    assert file.silent_sources == ("school",)
    assert file.sources == ("hukou", "school")
    assert registry.chosen(file.child)[FactName.SCHOOL_GRADE] == 4


async def test_a_record_that_reappears_is_reported_again(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    await registry.consume(record_disappeared(row))
    emitted = await registry.rows(replace(row, period="2027H2", valid_on=date(2027, 9, 30)))
    [file] = only(emitted, ChildChanged)
    assert file.silent_sources == ()


async def test_the_disappearance_of_an_unknown_record_changes_nothing(registry: Registry) -> None:
    assert await registry.consume(record_disappeared(a_row())) == []


async def test_a_whole_file_without_changes_emits_nothing(registry: Registry) -> None:
    """No claim conflicts with the school's, so its new date changes no current fact: no event, no version."""
    row = a_row()
    await registry.rows(row, police(row))

    emitted = await registry.consume(submission_ended(row))

    assert emitted == []
    assert (await registry.file(await registry.child_of(row)))["child_version"] == 2


async def test_a_whole_file_that_makes_an_older_claim_newer_changes_the_current_fact(registry: Registry) -> None:
    """The township reported grade 5 last autumn; the school's file of March still has 4."""
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    town = village(a_row(), facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(row, town)
    child = await registry.child_of(row)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5

    emitted = await registry.consume(submission_ended(row))

    [file] = only(emitted, ChildChanged)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    [grade] = [fact for fact in file.facts if fact.name is FactName.SCHOOL_GRADE and fact.chosen]
    assert (grade.valid_on, grade.period) == (date(2027, 3, 31), "2027H1")
    assert file.child_version == 3


@pytest.mark.parametrize("how", ["disappeared", "part of a file", "another partition", "an older file"])
async def test_a_whole_file_dates_only_the_records_that_it_contains(registry: Registry, how: str) -> None:
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    town = village(a_row(), facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(row, town)
    if how == "disappeared":
        await registry.consume(record_disappeared(row), submission_ended(row))
    elif how == "part of a file":
        await registry.consume(submission_ended(row, coverage="delta"))
    elif how == "another partition":
        await registry.consume(submission_ended(row), partition=1)
    else:
        await registry.consume(submission_ended(row, "2025H2", date(2025, 9, 30)))
    assert registry.chosen(await registry.child_of(row))[FactName.SCHOOL_GRADE] == 5


async def test_a_file_is_complete_when_every_partition_has_its_end(registry: Registry) -> None:
    """The ends may come in any order; an end that comes again completes nothing."""
    end = submission_ended(a_row())
    with capture_logs() as lines:
        for partition in (2, 0, 1, 2, 0):
            await registry.consume(end, partition=partition)
        assert lines == []
        await registry.consume(submission_ended(a_row(), coverage="delta"), partition=3)
        assert lines == []
        await registry.consume(end, end, partition=3)
        await registry.consume(end, partition=1)
    submission = {"unit": "341722-jtj", "dataset": "school", "period": "2027H1"}
    assert lines == [{"event": "submission_completed", "log_level": "info", **submission}]


async def test_a_child_with_records_on_two_partitions_is_dated_by_each_of_them_alone(registry: Registry) -> None:
    """Two rows of one file have different birth dates; a person decides that they are about one child."""
    old = a_row("old", valid_on=date(2026, 3, 31), period="2026H1")
    born = date(2016, 5, 3)
    other = a_row("other", born=born, id_number=a_number(born), valid_on=date(2026, 6, 30), period="2026H1")
    await registry.rows(old, partition=0)
    await registry.rows(replace(other, facts={FactName.SCHOOL_GRADE: 5}), partition=1)
    child = await registry.child_of(old)
    await registry.act(an_action(Verb.MERGE, child=child, other=await registry.child_of(other)))
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5

    await registry.consume(submission_ended(old), partition=0)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    await registry.consume(submission_ended(old), partition=1)

    days = {fact.value: fact.valid_on for fact in registry.snapshot(child).facts if fact.name is FactName.SCHOOL_GRADE}
    assert days == {4: date(2027, 3, 31), 5: date(2027, 3, 31)}


@pytest.mark.parametrize("first", [0, 1])
async def test_facts_read_before_a_birth_date_was_known_are_dated_by_the_file_between(
    registry: Registry, first: int
) -> None:
    """The file ended on both partitions before the date was added, however far the partition of the record is."""
    old = a_row(born=None, valid_on=date(2026, 3, 31), period="2026H1")
    added = {FactName.SCHOOL_STATUS: "enrolled"}
    corrected = replace(old, born=BORN, period=None, valid_on=date(2027, 4, 1), facts=added)
    await registry.rows(old, partition=0)
    end = submission_ended(old)
    if first == 0:
        await registry.consume(end, partition=0)
    await registry.consume(end, record_read(corrected, at=NOON + timedelta(hours=1)), partition=1)
    if first == 1:
        await registry.consume(end, partition=0)
    days = {fact.name: fact.valid_on for fact in registry.snapshot(await registry.child_of(old)).facts}
    assert days[FactName.SCHOOL_GRADE] == date(2027, 3, 31)
    assert days[FactName.SCHOOL_STATUS] == date(2027, 4, 1)


@pytest.mark.parametrize(
    ("period", "on", "year"), [("2027H1", date(2027, 3, 31), 2026), ("2027H2", date(2027, 9, 30), 2027)]
)
async def test_a_grade_in_the_next_school_years_file_is_published(
    registry: Registry, period: str, on: date, year: int
) -> None:
    """The row has not changed: only the end of the file shows that the child repeats the grade."""
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)

    emitted = await registry.consume(submission_ended(row, period, on))

    assert len(only(emitted, ChildChanged)) == (year == 2027)
    [grade] = [fact for fact in registry.snapshot(child).facts if fact.name is FactName.SCHOOL_GRADE]
    assert grade.valid_on == (on if year == 2027 else row.valid_on)
    assert (await registry.file(child))["dependency_keys"] == [f"341722-jtj school 0 {year}"]


async def test_a_permit_in_the_next_years_file_is_published(registry: Registry) -> None:
    """A permit expires some time after it was last reported, so consumers need the date of each report."""
    row = police(a_row(), facts={FactName.RESIDENCE_PERMIT: True})
    await registry.rows(row)

    [file] = only(await registry.consume(submission_ended(row, "2027H2", date(2027, 9, 30))), ChildChanged)

    [permit] = [fact for fact in file.facts if fact.name is FactName.RESIDENCE_PERMIT]
    assert permit.valid_on == date(2027, 9, 30)


async def test_a_guardians_status_in_a_file_after_a_verification_is_published(registry: Registry) -> None:
    """A person found the guardianship effective; half a year later the village's list has its former value."""
    row = village(a_row(), facts={FactName.LIVES_WITH_CARETAKER: True})
    await registry.rows(row)
    child = await registry.child_of(row)
    await registry.act(an_action(Verb.VERIFY, child=child, facts={FactName.GUARDIAN_STATUS: "effective"}))

    [file] = only(await registry.consume(submission_ended(row)), ChildChanged)

    days = {fact.name: fact.valid_on for fact in file.facts}
    assert days[FactName.LIVES_WITH_CARETAKER] > days[FactName.GUARDIAN_STATUS]


async def test_no_other_batch_changes_a_file_while_a_whole_file_ends(registry: Registry, database: Any) -> None:
    """A concurrent merge makes a child one that the end of the file changes.

    Neither file alone depends on the end of the file: it has no conflict and no fact with a school year, so that the
    end does not wait for a lock on a child.
    """
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1", facts={FactName.RESIDENCE_DIVISION: "341722100201"})
    town = village(a_row(name="例大山", guardian_id_number=None), facts={FactName.RESIDENCE_DIVISION: "341722100202"})
    await registry.rows(row, town)
    child, absorbed = await registry.child_of(row), await registry.child_of(town)
    assert [(await registry.file(each))["dependency_keys"] for each in (child, absorbed)] == [[], []]
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )

    async with registry.tx.transaction():
        merge = registry.batch([an_action(Verb.MERGE, child=child, other=absorbed)], "intake.action.v1", 1)
        await handlers.on_actions(merge, registry.tx, vault=registry.vault)
        ending = asyncio.create_task(other.consume(submission_ended(row)))
        assert await registry.blocks(other, ending), "the file ends while another partition changes a child"
    emitted = await ending

    assert child in [file.child for file in only(emitted, ChildChanged)]
    assert other.chosen(child)[FactName.RESIDENCE_DIVISION] == "341722100201"
    await other.tx.close()


async def test_a_conflict_between_departments_is_reported_once(registry: Registry) -> None:
    row = a_row()
    town = village(row, facts={FactName.SCHOOL_GRADE: 5})

    emitted = await registry.rows(row, town)
    emitted_again = await registry.rows(replace(town, facts={FactName.SCHOOL_GRADE: 6}))

    [conflict] = only(emitted, FactConflictFound)
    assert (conflict.name, conflict.units) == (FactName.SCHOOL_GRADE, ("341722-jtj", "341722-renli"))
    assert only(emitted_again, FactConflictFound) == []
    claims = [fact for fact in registry.snapshot(conflict.child).facts if fact.name is FactName.SCHOOL_GRADE]
    assert {(fact.value, fact.chosen) for fact in claims} == {(4, True), (6, False)}


async def test_the_file_does_not_depend_on_the_order_of_departments(registry: Registry) -> None:
    row = a_row(facts={FactName.SCHOOL_GRADE: 4, FactName.RESIDENCE_SINCE: "2025-09-01"})
    rows = (
        row,
        police(row, facts={FactName.RESIDENCE_SINCE: "2025-09-10", FactName.HUKOU_DIVISION: "341702"}),
        clinic(row, facts={FactName.RESIDENCE_SINCE: "2025-11-01", FactName.SCHOOL_GRADE: 5}),
    )
    snapshots = set()
    for order in permutations(rows):
        await registry.reset()
        emitted = await registry.rows(*order)
        [file] = only(emitted, ChildChanged)
        assert file.child_version == 3
        snapshots.add(file.model_copy(update={"child": an_id("one"), "number": ""}).model_dump_json())
    assert len(snapshots) == 1


# ------------------------------------------------------------------------------------------------- batches of any size


def a_crowd(seed: int, children: int = 12) -> list[Event]:
    """Return half a year's events about similar children: twins, lost numbers, corrections, ends of files."""
    rng = random.Random(seed)
    events: list[Event] = []
    rows: dict[str, Row] = {}
    for step in range(children * 8):
        n = rng.randrange(children)
        name = ["例小明", "例小亮", "例小名", "例□明"][n % 4]
        row = a_row(
            f"{n}",
            name=name,
            id_number=rng.choice([a_number(sequence=n + 1), None]),
            guardian_id_number=rng.choice([MOTHER, FATHER, None]),
            guardian_phone=rng.choice([PHONE, None]),
            facts={
                FactName.SCHOOL_GRADE: rng.randint(1, 3),
                FactName.RESIDENCE_SINCE: f"2025-0{rng.randint(1, 9)}-01",
            },
            valid_on=date(2026, rng.choice([3, 9]), 30),
        )
        row = rng.choice([row, police(row), clinic(row)])
        if row.dataset == "hukou":
            row = replace(row, facts={**row.facts, FactName.SCHOOL_GRADE: 9})
        roll = rng.random()
        if roll < 0.75 or not rows:
            rows[row.key] = row
            events.append(record_read(row, at=NOON + timedelta(minutes=step)))
        elif roll < 0.9:
            events.append(record_disappeared(rng.choice(list(rows.values()))))
        else:
            row_of_file = rng.choice(list(rows.values()))
            day = date(2026, 12, 31) + timedelta(days=step)
            events.append(submission_ended(row_of_file, f"2027H{1 + step % 2}", day))
    return events


@pytest.mark.parametrize("seed", range(4))
async def test_batches_of_any_size_end_in_the_same_state(registry: Registry, seed: int) -> None:
    """Events of which every one counts are the same; snapshots are emitted less often in larger batches."""
    events = a_crowd(seed)
    states, other_events, files = [], [], []
    for size in (1, 7, 1000):
        await registry.reset()
        emitted = await registry.consume(*events, size=size)
        states.append(await registry.state())
        other_events.append(sorted(event.model_dump_json() for event in emitted if not isinstance(event, ChildChanged)))
        files.append(
            {
                child: registry.snapshot(child).model_copy(update={"child_version": 0})
                for child in {snapshot.child for snapshot in only(emitted, ChildChanged)}
            }
        )
    assert states[0] == states[1] == states[2]
    assert other_events[0] == other_events[1] == other_events[2]
    assert _content(files[0]) == _content(files[1]) == _content(files[2])
    assert len(other_events[0]) > 0


def _content(files: dict[Any, ChildChanged]) -> dict[Any, Any]:
    """Return files without the dates of claims, which may be older in a snapshot that was emitted earlier."""
    return {
        child: [
            file.state,
            file.absorbed_by,
            set(file.absorbs),
            file.sources,
            file.silent_sources,
            file.open_reviews,
            [(fact.name, fact.value, fact.unit, fact.chosen) for fact in file.facts],
        ]
        for child, file in files.items()
    }


@pytest.mark.parametrize("seed", range(3))
async def test_linking_does_not_depend_on_the_order_or_on_batches(registry: Registry, seed: int) -> None:
    """The index returns every record that could link, in any order and in batches of any size."""
    rng = random.Random(seed)
    rows = [
        a_row(
            str(n),
            name=rng.choice(["例小明", "例小亮"]),
            id_number=rng.choice([a_number(sequence=1), a_number(sequence=2), None, None]),
            guardian_id_number=rng.choice([MOTHER, None]),
            father_id_number=rng.choice([FATHER, None]),
        )
        for n in range(10)
    ]
    results = set()
    for size in (1, 3, 1000):
        rng.shuffle(rows)
        await registry.reset()
        await registry.rows(*rows, size=size)
        results.add(frozenset(await registry.clusters()))
    assert len(results) == 1


class InterruptedTransaction:
    """A transaction in which something else happens once, immediately after a query."""

    def __init__(self, tx: Any, query: str, interrupt: Any) -> None:
        self._tx, self._query, self._interrupt = tx, query, interrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def fetch(self, query: str, *args: Any) -> Any:
        rows = await self._tx.fetch(query, *args)
        if query == self._query and self._interrupt is not None:
            interrupt, self._interrupt = self._interrupt, None
            return await interrupt(rows)
        return rows


class RecordingTransaction:
    """A transaction that records which files were loaded."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx
        self.loaded: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def fetch(self, query: str, *args: Any) -> Any:
        rows = await self._tx.fetch(query, *args)
        if query == file_store.LOCK_FILES:
            self.loaded += rows
        return rows


async def test_children_born_on_one_day_do_not_slow_each_other(registry: Registry) -> None:
    """Only files with a common hash are loaded: among a hundred of one birthday a stranger loads none."""

    def a_stranger(n: int) -> Row:
        return a_row(
            str(n),
            id_number=a_number(sequence=n),
            guardian_id_number=None,
            guardian_name=None,
            guardian_phone=f"1990000{n:04d}",
        )

    await registry.rows(*(a_stranger(n) for n in range(1, 101)))
    recording = RecordingTransaction(registry.tx)
    batch = registry.batch([record_read(a_stranger(n)) for n in range(101, 201)])
    async with registry.tx.transaction():
        await handlers.on_records(batch, recording, vault=registry.vault)
    assert recording.loaded == []
