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
    action,
    an_id,
    disappeared,
    ended,
    file_id,
    only,
    read,
    reported,
)
from tests.registry.people import BORN, FATHER, MOTHER, PHONE, Row, a_number, a_row, clinic, police, village


async def test_a_first_row_opens_a_file(registry: Registry) -> None:
    emitted = await registry.rows(a_row())

    [file] = only(emitted, ChildChanged)
    assert (file.state, file.child_version, file.sources) == ("on_file", 1, ("school",))
    assert registry.chosen(file.child) == {FactName.BIRTH_DATE: "2016-03-05", FactName.SCHOOL_GRADE: 4}


async def test_three_departments_know_one_child(registry: Registry) -> None:
    """The same number joins; a row without a number joins by name, birth date and guardian's number."""
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


async def test_twins_are_two_children(registry: Registry) -> None:
    one = a_row("one", name="例小明", id_number=a_number(sequence=11))
    other = a_row("other", name="例小亮", id_number=a_number(sequence=12))

    emitted = await registry.rows(one, other, clinic(one), clinic(other))

    assert await registry.child_of(one) != await registry.child_of(other)
    assert await registry.child_of(clinic(one)) == await registry.child_of(one)
    assert await registry.child_of(clinic(other)) == await registry.child_of(other)
    assert only(emitted, ReviewRequested) == []


async def test_the_same_evidence_is_reviewed_once(registry: Registry) -> None:
    """Name, birth date and a phone agree: a person decides, and each file shows that a review is open.

    While it is, whatever else turns up is for the same person's answer.
    """
    row = a_row(guardian_id_number=None)
    lead = village(row)
    before = village(a_row(guardian_id_number=None, guardian_name=None))

    emitted = await registry.rows(row, before)
    again = await registry.rows(lead)

    [asked] = only(emitted, ReviewRequested)
    assert asked.unit == MZJ
    assert asked.evidence == ("same_birth_date", "same_name", "same_phone")
    assert {asked.child, asked.other} == {await registry.child_of(row), await registry.child_of(lead)}
    assert [registry.snapshot(child).open_reviews for child in (asked.child, asked.other)] == [1, 1]
    assert only(again, ReviewRequested) == []


async def test_names_with_a_lost_character_are_compared_letter_by_letter(registry: Registry) -> None:
    """Their clear names are opened for that, and for nothing else."""
    row = a_row(name="张子轩", guardian_id_number=None, guardian_name=None)
    lead = a_row("lead", name="张□轩", id_number=None, guardian_id_number=None, guardian_name=None)
    stranger = a_row("stranger", name="王□轩", id_number=None, guardian_id_number=None, guardian_name=None)

    await registry.rows(row)
    emitted = await registry.rows(lead, stranger)

    [asked] = only(emitted, ReviewRequested)
    assert {asked.child, asked.other} == {await registry.child_of(row), await registry.child_of(lead)}


async def test_two_valid_numbers_are_reviewed_and_never_linked(registry: Registry) -> None:
    one = a_row("one", id_number=a_number(sequence=1))
    other = a_row("other", id_number=a_number(sequence=3))

    emitted = await registry.rows(one, other)

    assert len(await registry.clusters()) == 2
    [asked] = only(emitted, ReviewRequested)
    assert asked.conflicts == ("two_valid_numbers",)


async def test_a_row_that_gets_its_number_links_to_the_file_that_has_it(registry: Registry) -> None:
    """The clinic's file is absorbed; this is published once, and the review is resolved."""
    row = a_row(guardian_id_number=None)
    late = clinic(row)
    later = NOON + timedelta(hours=1)
    await registry.consume(read(row), read(late, at=later))
    survivor, absorbed = await registry.child_of(row), await registry.child_of(late)

    emitted = await registry.consume(read(replace(late, identity=row.identity), at=later))

    [handed] = only(emitted, FileReassigned)
    assert (handed.child, handed.from_child, handed.reason) == (survivor, absorbed, "matched")
    [settled] = only(emitted, ReviewResolved)
    assert settled.outcome == "merged"
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
    [asked] = only(emitted, ReviewRequested)
    assert asked.conflicts == ("two_valid_numbers",)


async def test_who_belonged_to_a_corrected_row_joins_the_other_file_that_it_fits(registry: Registry) -> None:
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


async def test_a_row_that_knows_only_the_month_of_birth_opens_a_file_of_its_own(registry: Registry) -> None:
    """A month is no evidence of identity: the row links to no other."""
    row = a_row()
    await registry.rows(row)
    vague = read(police(row)).model_copy(update={"birth_date": "2016-03"})

    await registry.consume(vague)

    assert len(await registry.clusters()) == 2
    assert vague.key == read(row).key


async def test_a_corrected_birth_date_moves_a_row_to_another_partition(registry: Registry) -> None:
    """Its versions on the former partition are older and change nothing."""
    row = a_row()
    corrected = replace(
        row, born=date(2016, 3, 6), identity={**row.identity, IdentityField.ID_NUMBER: a_number(date(2016, 3, 6))}
    )
    await registry.rows(row, partition=0)
    child = await registry.child_of(row)
    await registry.consume(read(corrected, at=NOON + timedelta(minutes=10)), partition=3)
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
    await registry.consume(read(corrected, at=NOON + timedelta(minutes=10)), partition=3)

    emitted = await registry.consume(disappeared(row), partition=0)

    assert emitted == []
    assert registry.snapshot(await registry.child_of(row)).silent_sources == ()


async def test_a_row_that_is_as_it_was_is_not_opened_again(registry: Registry) -> None:
    """Its content hash shows this. It is valid for its new period nevertheless."""
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    await registry.rows(row, village(a_row(), facts={FactName.SCHOOL_GRADE: 5}))
    child = await registry.child_of(row)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5
    before = await registry.tx.fetchrow(
        "SELECT identity, evidence FROM record WHERE record_id = $1", an_id("record", "row")
    )

    again = read(replace(row, period="2027H1", valid_on=date(2027, 3, 31)), at=NOON + timedelta(days=1))
    sealed_for_somebody_else = again.model_copy(update={"identity": "bm90IHNlYWxlZA=="})
    await registry.consume(sealed_for_somebody_else)

    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    after = await registry.tx.fetchrow("SELECT * FROM record WHERE record_id = $1", an_id("record", "row"))
    assert (after["identity"], after["evidence"]) == tuple(before)
    assert (after["valid_on"], after["recorded_at"]) == (date(2027, 3, 31), NOON + timedelta(days=1))


async def test_a_row_that_changes_and_changes_back_in_one_batch_is_what_it_was(registry: Registry) -> None:
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

    async def correct(found: Any) -> Any:
        await other.rows(changed, partition=1)
        return found

    tx = After(registry.tx, assignment_store.ASSIGNMENTS, correct)
    with pytest.raises(RetryLater):
        async with registry.tx.transaction():
            await handlers.on_records(registry.batch([read(row)]), tx, vault=registry.vault)

    await other.tx.close()


@pytest.mark.parametrize("size", [1, 1000])
async def test_of_who_a_child_is_the_newer_validity_counts_not_the_newer_arrival(registry: Registry, size: int) -> None:
    """A row on its own about last spring comes after the autumn's file: its phone is the older one."""
    autumn = a_row()
    spring = a_row(
        period=None, valid_on=date(2026, 5, 1), guardian_phone="19900000009", address="例村1号", id_number=None
    )
    await registry.play([Step("intake.record.v1", 0, read(row)) for row in (autumn, spring)], size)
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
    asked = a_row(guardian_id_number=None)
    met = a_row("met", name="例小海", id_number=a_number(sequence=21))
    later = a_row("later", id_number=None, guardian_id_number=None, guardian_name=None, phone=None, name="例小山")
    await registry.report(reported(identity={IdentityField.NAME: "例小海"}))
    await registry.rows(asked, met, a_row("other", name="例小川", id_number=a_number(sequence=31)), later)
    assert registry.bypassing_coalescing == []

    seen = replace(met, facts={FactName.SCHOOL_GRADE: 5})
    await registry.consume(read(village(asked)), read(seen, finding=an_id("finding")), read(replace(later, facts={})))

    children = [await registry.child_of(row) for row in (asked, village(asked), met)]
    assert {file.child for file in registry.bypassing_coalescing} == set(children)


async def test_an_identity_that_does_not_open_is_parked_and_not_guessed(registry: Registry) -> None:
    broken = read(a_row()).model_copy(update={"identity": read(a_row("other")).identity})
    with pytest.raises(UnprocessableEvent, match=str(broken.record)):
        await registry.consume(broken)


# ---------------------------------------------------------------------------------------------- whole files and time


async def test_a_record_that_disappears_leaves_evidence_not_an_exit(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row, police(row))

    emitted = await registry.consume(disappeared(row))

    [file] = only(emitted, ChildChanged)
    assert file.silent_sources == ("school",)
    assert file.sources == ("hukou", "school")
    assert registry.chosen(file.child)[FactName.SCHOOL_GRADE] == 4


async def test_a_record_that_reappears_is_reported_again(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    await registry.consume(disappeared(row))
    emitted = await registry.rows(replace(row, period="2027H2", valid_on=date(2027, 9, 30)))
    [file] = only(emitted, ChildChanged)
    assert file.silent_sources == ()


async def test_the_disappearance_of_an_unknown_record_changes_nothing(registry: Registry) -> None:
    assert await registry.consume(disappeared(a_row())) == []


async def test_a_whole_file_without_changes_costs_nothing(registry: Registry) -> None:
    """No claim conflicts with the school's, so its new date changes no current fact: no event, no version."""
    row = a_row()
    await registry.rows(row, police(row))

    emitted = await registry.consume(ended(row))

    assert emitted == []
    assert (await registry.file(await registry.child_of(row)))["child_version"] == 2


async def test_a_whole_file_that_makes_an_older_claim_newer_changes_the_current_fact(registry: Registry) -> None:
    """The township reported grade 5 last autumn; the school's file of March still has 4."""
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    town = village(a_row(), facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(row, town)
    child = await registry.child_of(row)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5

    emitted = await registry.consume(ended(row))

    [file] = only(emitted, ChildChanged)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    [stands] = [fact for fact in file.facts if fact.name is FactName.SCHOOL_GRADE and fact.chosen]
    assert (stands.valid_on, stands.period) == (date(2027, 3, 31), "2027H1")
    assert file.child_version == 3


@pytest.mark.parametrize("how", ["disappeared", "part of a file", "another lane", "an older file"])
async def test_a_whole_file_dates_only_what_it_vouches_for(registry: Registry, how: str) -> None:
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1")
    town = village(a_row(), facts={FactName.SCHOOL_GRADE: 5})
    await registry.rows(row, town)
    if how == "disappeared":
        await registry.consume(disappeared(row), ended(row))
    elif how == "part of a file":
        await registry.consume(ended(row, coverage="delta"))
    elif how == "another lane":
        await registry.consume(ended(row), partition=1)
    else:
        await registry.consume(ended(row, "2025H2", date(2025, 9, 30)))
    assert registry.chosen(await registry.child_of(row))[FactName.SCHOOL_GRADE] == 5


async def test_a_file_is_complete_when_every_partition_has_its_end(registry: Registry) -> None:
    """In whatever order they come; and when one comes again, nothing is completed."""
    end = ended(a_row())
    with capture_logs() as lines:
        for partition in (2, 0, 1, 2, 0):
            await registry.consume(end, partition=partition)
        assert lines == []
        await registry.consume(ended(a_row(), coverage="delta"), partition=3)
        assert lines == []
        await registry.consume(end, end, partition=3)
        await registry.consume(end, partition=1)
    told = {"unit": "341722-jtj", "dataset": "school", "period": "2027H1"}
    assert lines == [{"event": "submission_completed", "log_level": "info", **told}]


async def test_a_child_with_records_on_two_partitions_is_dated_by_each_of_them_alone(registry: Registry) -> None:
    """Two rows of one file have different birth dates; a person decides that they are about one child."""
    old = a_row("old", valid_on=date(2026, 3, 31), period="2026H1")
    born = date(2016, 5, 3)
    other = a_row("other", born=born, id_number=a_number(born), valid_on=date(2026, 6, 30), period="2026H1")
    await registry.rows(old, partition=0)
    await registry.rows(replace(other, facts={FactName.SCHOOL_GRADE: 5}), partition=1)
    child = await registry.child_of(old)
    await registry.act(action(Verb.MERGE, child=child, other=await registry.child_of(other)))
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 5

    await registry.consume(ended(old), partition=0)
    assert registry.chosen(child)[FactName.SCHOOL_GRADE] == 4
    await registry.consume(ended(old), partition=1)

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
    end = ended(old)
    if first == 0:
        await registry.consume(end, partition=0)
    await registry.consume(end, read(corrected, at=NOON + timedelta(hours=1)), partition=1)
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
    """The row did not change: only the file's end shows that the child repeats the grade."""
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)

    emitted = await registry.consume(ended(row, period, on))

    assert len(only(emitted, ChildChanged)) == (year == 2027)
    [grade] = [fact for fact in registry.snapshot(child).facts if fact.name is FactName.SCHOOL_GRADE]
    assert grade.valid_on == (on if year == 2027 else row.valid_on)
    assert (await registry.file(child))["dependency_keys"] == [f"341722-jtj school 0 {year}"]


async def test_a_permit_in_the_next_years_file_is_published(registry: Registry) -> None:
    """A permit expires some time after it was last reported, so consumers need the date of each report."""
    row = police(a_row(), facts={FactName.RESIDENCE_PERMIT: True})
    await registry.rows(row)

    [file] = only(await registry.consume(ended(row, "2027H2", date(2027, 9, 30))), ChildChanged)

    [permit] = [fact for fact in file.facts if fact.name is FactName.RESIDENCE_PERMIT]
    assert permit.valid_on == date(2027, 9, 30)


async def test_a_guardians_status_in_a_file_after_a_verification_is_published(registry: Registry) -> None:
    """A person found the guardianship effective; half a year later the village's list has its former value."""
    row = village(a_row(), facts={FactName.LIVES_WITH_CARETAKER: True})
    await registry.rows(row)
    child = await registry.child_of(row)
    await registry.act(action(Verb.VERIFY, child=child, facts={FactName.GUARDIAN_STATUS: "effective"}))

    [file] = only(await registry.consume(ended(row)), ChildChanged)

    days = {fact.name: fact.valid_on for fact in file.facts}
    assert days[FactName.LIVES_WITH_CARETAKER] > days[FactName.GUARDIAN_STATUS]


async def test_no_other_batch_changes_a_file_while_a_whole_file_ends(registry: Registry, database: Any) -> None:
    """A merge makes a child one that the file's end changes: in the moment when such children are looked for.

    Neither file alone is one that the end of a file changes: nobody contradicts it, and no fact of it has a school
    year. So no lock on a child makes the end wait.
    """
    row = a_row(valid_on=date(2026, 3, 31), period="2026H1", facts={FactName.RESIDENCE_DIVISION: "341722100201"})
    town = village(a_row(name="例大山", guardian_id_number=None), facts={FactName.RESIDENCE_DIVISION: "341722100202"})
    await registry.rows(row, town)
    child, absorbed = await registry.child_of(row), await registry.child_of(town)
    assert [(await registry.file(one))["dependency_keys"] for one in (child, absorbed)] == [[], []]
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )

    async with registry.tx.transaction():
        merge = registry.batch([action(Verb.MERGE, child=child, other=absorbed)], "intake.action.v1", 1)
        await handlers.on_actions(merge, registry.tx, vault=registry.vault)
        ending = asyncio.create_task(other.consume(ended(row)))
        assert await registry.blocks(other, ending), "the file ends while another lane is changing a child"
    emitted = await ending

    assert child in [file.child for file in only(emitted, ChildChanged)]
    assert other.chosen(child)[FactName.RESIDENCE_DIVISION] == "341722100201"
    await other.tx.close()


async def test_a_conflict_between_departments_is_reported_once(registry: Registry) -> None:
    row = a_row()
    town = village(row, facts={FactName.SCHOOL_GRADE: 5})

    emitted = await registry.rows(row, town)
    again = await registry.rows(replace(town, facts={FactName.SCHOOL_GRADE: 6}))

    [found] = only(emitted, FactConflictFound)
    assert (found.name, found.units) == (FactName.SCHOOL_GRADE, ("341722-jtj", "341722-renli"))
    assert only(again, FactConflictFound) == []
    claims = [fact for fact in registry.snapshot(found.child).facts if fact.name is FactName.SCHOOL_GRADE]
    assert {(fact.value, fact.chosen) for fact in claims} == {(4, True), (6, False)}


async def test_the_file_does_not_depend_on_the_order_of_departments(registry: Registry) -> None:
    row = a_row(facts={FactName.SCHOOL_GRADE: 4, FactName.RESIDENCE_SINCE: "2025-09-01"})
    rows = (
        row,
        police(row, facts={FactName.RESIDENCE_SINCE: "2025-09-10", FactName.HUKOU_DIVISION: "341702"}),
        clinic(row, facts={FactName.RESIDENCE_SINCE: "2025-11-01", FactName.SCHOOL_GRADE: 5}),
    )
    seen = set()
    for order in permutations(rows):
        await registry.reset()
        emitted = await registry.rows(*order)
        [file] = only(emitted, ChildChanged)
        assert file.child_version == 3
        seen.add(file.model_copy(update={"child": an_id("one"), "number": ""}).model_dump_json())
    assert len(seen) == 1


# ------------------------------------------------------------------------------------------------- batches of any size


def a_crowd(seed: int, children: int = 12) -> list[Event]:
    """Half a year of records of children who have much in common: twins, lost numbers, corrections, files that end."""
    chance = random.Random(seed)
    events: list[Event] = []
    rows: dict[str, Row] = {}
    for step in range(children * 8):
        n = chance.randrange(children)
        name = ["例小明", "例小亮", "例小名", "例□明"][n % 4]
        row = a_row(
            f"{n}",
            name=name,
            id_number=chance.choice([a_number(sequence=n + 1), None]),
            guardian_id_number=chance.choice([MOTHER, FATHER, None]),
            guardian_phone=chance.choice([PHONE, None]),
            facts={
                FactName.SCHOOL_GRADE: chance.randint(1, 3),
                FactName.RESIDENCE_SINCE: f"2025-0{chance.randint(1, 9)}-01",
            },
            valid_on=date(2026, chance.choice([3, 9]), 30),
        )
        row = chance.choice([row, police(row), clinic(row)])
        if row.dataset == "hukou":
            row = replace(row, facts={**row.facts, FactName.SCHOOL_GRADE: 9})
        roll = chance.random()
        if roll < 0.75 or not rows:
            rows[row.key] = row
            events.append(read(row, at=NOON + timedelta(minutes=step)))
        elif roll < 0.9:
            events.append(disappeared(chance.choice(list(rows.values()))))
        else:
            some = chance.choice(list(rows.values()))
            day = date(2026, 12, 31) + timedelta(days=step)
            events.append(ended(some, f"2027H{1 + step % 2}", day))
    return events


@pytest.mark.parametrize("seed", range(4))
async def test_batches_of_any_size_end_in_the_same_state(registry: Registry, seed: int) -> None:
    """Events of which every one counts are the same; snapshots are emitted less often in larger batches."""
    events = a_crowd(seed)
    states, told, files = [], [], []
    for size in (1, 7, 1000):
        await registry.reset()
        emitted = await registry.consume(*events, size=size)
        states.append(await registry.state())
        told.append(sorted(event.model_dump_json() for event in emitted if not isinstance(event, ChildChanged)))
        files.append(
            {
                child: registry.snapshot(child).model_copy(update={"child_version": 0})
                for child in {one.child for one in only(emitted, ChildChanged)}
            }
        )
    assert states[0] == states[1] == states[2]
    assert told[0] == told[1] == told[2]
    assert _content(files[0]) == _content(files[1]) == _content(files[2])
    assert len(told[0]) > 0


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
async def test_what_joins_does_not_depend_on_the_order_nor_on_what_was_at_hand(registry: Registry, seed: int) -> None:
    """The store finds everybody whom a record could join: one batch or many, this order or that."""
    chance = random.Random(seed)
    rows = [
        a_row(
            str(n),
            name=chance.choice(["例小明", "例小亮"]),
            id_number=chance.choice([a_number(sequence=1), a_number(sequence=2), None, None]),
            guardian_id_number=chance.choice([MOTHER, None]),
            father_id_number=chance.choice([FATHER, None]),
        )
        for n in range(10)
    ]
    found = set()
    for size in (1, 3, 1000):
        chance.shuffle(rows)
        await registry.reset()
        await registry.rows(*rows, size=size)
        found.add(frozenset(await registry.clusters()))
    assert len(found) == 1


class After:
    """A transaction in which something else happens right after a query, once."""

    def __init__(self, tx: Any, query: str, happens: Any) -> None:
        self._tx, self._query, self._happens = tx, query, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def fetch(self, query: str, *args: Any) -> Any:
        found = await self._tx.fetch(query, *args)
        if query == self._query and self._happens is not None:
            happens, self._happens = self._happens, None
            return await happens(found)
        return found


class Watched:
    """A transaction that remembers which files were loaded."""

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
    """Only files that share a hash are loaded: among a hundred of one birthday a stranger loads nobody."""

    def a_stranger(n: int) -> Row:
        return a_row(
            str(n),
            id_number=a_number(sequence=n),
            guardian_id_number=None,
            guardian_name=None,
            guardian_phone=f"1990000{n:04d}",
        )

    await registry.rows(*(a_stranger(n) for n in range(1, 101)))
    watched = Watched(registry.tx)
    batch = registry.batch([read(a_stranger(n)) for n in range(101, 201)])
    async with registry.tx.transaction():
        await handlers.on_records(batch, watched, vault=registry.vault)
    assert watched.loaded == []
