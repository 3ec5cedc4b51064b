"""The express way: a finding is about a child at once; matching comes later and the finding follows the child."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from contracts.registry import ChildChanged, FileReassigned, FindingAssigned, RegistryActionRefused
from contracts.vocabulary import FactName, IdentityField, Verb
from services.registry import handlers
from services.registry.names import identity_of, report_of
from tests.registry.house import House, action, an_id, candidate_id, only, read, reported
from tests.registry.people import Row, a_row, clinic, police


def as_found(row: Row, name: str = "finding") -> Row:
    """The identity that a teacher gave with a finding, as a record of its own kind."""
    return replace(row, key=f"finding/{name}", unit="341722-jtj", dataset="finding", period=None, facts={})


async def test_a_finding_about_a_stranger_opens_a_candidate_and_goes_on(house: House) -> None:
    said = await house.report(reported())

    [passed] = only(said, FindingAssigned)
    assert passed.candidate
    assert passed.child == candidate_id(an_id("finding"))
    assert passed.township == "341722100"
    [file] = only(said, ChildChanged)
    assert (file.child, file.state, file.child_version, file.facts) == (passed.child, "candidate", 1, ())


async def test_a_finding_that_names_a_child_is_about_that_child(house: House) -> None:
    row = a_row(facts={FactName.RESIDENCE_DIVISION: "341722100201"})
    await house.rows(row)
    child = await house.child_of(row)

    said = await house.report(reported(child=child, township=None))

    [passed] = only(said, FindingAssigned)
    assert (passed.child, passed.candidate) == (child, False)
    assert (passed.township, passed.residence_division) == ("341722100", "341722100201")
    assert only(said, ChildChanged) == []


async def test_a_finding_that_names_an_unknown_child_is_never_lost(house: House) -> None:
    """It goes on about a candidate of the registry's own: no unit can open a file under an id that it made up."""
    said = await house.report(reported(child=an_id("nobody")))

    [passed] = only(said, FindingAssigned)
    assert (passed.child, passed.candidate) == (candidate_id(an_id("finding")), True)
    [refused] = only(said, RegistryActionRefused)
    assert (refused.code, refused.verb, refused.unit) == ("unknown_child", Verb.REPORT, "341722-jtj")


async def test_a_finding_whose_identity_does_not_open_goes_on_all_the_same(house: House) -> None:
    said = await house.report(reported(sealed_as="bm90IHNlYWxlZA=="))

    assert len(only(said, FindingAssigned)) == 1
    assert await house.tx.fetchval("SELECT sealed IS NOT NULL FROM finding")


async def test_a_finding_about_a_merged_file_is_about_the_survivor(house: House) -> None:
    one, other = a_row("one"), police(a_row("other", id_number=None, guardian_id_number=None))
    await house.rows(one, other)
    survivor, absorbed = await house.child_of(one), await house.child_of(other)
    await house.act(action(Verb.MERGE, child=survivor, other=absorbed))

    [passed] = only(await house.report(reported(child=absorbed)), FindingAssigned)

    assert passed.child == survivor


@pytest.mark.parametrize("size", [1, 1000])
async def test_the_record_after_the_finding_matches_and_the_finding_follows(house: House, size: int) -> None:
    """The candidate is absorbed by the file that its identity belongs to."""
    row = a_row()
    await house.rows(row, size=size)
    child = await house.child_of(row)
    [passed] = only(await house.report(reported()), FindingAssigned)

    said = await house.hear(read(as_found(clinic(row)), finding=an_id("finding")), size=size)

    [handed] = only(said, FileReassigned)
    assert (handed.child, handed.from_child, handed.reason) == (child, passed.child, "matched")
    assert house.snapshot(passed.child).absorbed_by == child
    assert house.snapshot(child).absorbs == (passed.child,)
    assert house.snapshot(child).sources == ("school",)


async def test_the_record_before_the_finding_is_remembered(house: House) -> None:
    row = a_row()
    await house.rows(row)
    child = await house.child_of(row)
    await house.hear(read(as_found(clinic(row)), finding=an_id("finding")))

    said = await house.report(reported())

    [passed] = only(said, FindingAssigned)
    assert (passed.child, passed.candidate) == (child, False)
    assert await house.count("child") == 1


async def test_a_record_of_a_stranger_before_the_finding_opens_the_same_candidate(house: House) -> None:
    await house.hear(read(as_found(a_row()), finding=an_id("finding")))
    [file] = only(house.said, ChildChanged)

    said = await house.report(reported())

    [passed] = only(said, FindingAssigned)
    assert (passed.child, passed.candidate) == (file.child, True)
    assert file.child == candidate_id(an_id("finding"))
    assert only(said, ChildChanged) == []


async def test_a_departments_record_puts_a_candidate_on_file(house: House) -> None:
    await house.report(reported())
    await house.hear(read(as_found(a_row()), finding=an_id("finding")))

    said = await house.rows(a_row())

    [file] = only(said, ChildChanged)
    assert file.state == "on_file"
    assert file.child == candidate_id(an_id("finding"))
    assert only(said, FileReassigned) == []


async def test_the_identity_of_a_finding_with_a_named_child_stays_with_that_child(house: House) -> None:
    """The teacher chose the child from the list: what the identity looks like does not overrule that."""
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await house.rows(one, other)
    await house.report(reported(child=await house.child_of(other)))

    await house.hear(read(as_found(one), finding=an_id("finding")))

    assert await house.child_of(as_found(one)) == await house.child_of(other)
    await house.rows(one)
    assert await house.child_of(as_found(one)) == await house.child_of(other)


async def test_two_findings_about_one_child_become_one_file(house: House) -> None:
    first, second = as_found(a_row(), "first"), as_found(a_row(), "second")
    said = await house.report(reported("first"), reported("second"))
    assert len({passed.child for passed in only(said, FindingAssigned)}) == 2

    await house.hear(read(first, finding=an_id("first")), read(second, finding=an_id("second")))

    assert await house.child_of(first) == await house.child_of(second)
    assert house.snapshot(await house.child_of(first)).state == "candidate"


async def test_who_reported_is_kept_apart_from_who_the_child_is(house: House) -> None:
    who = {
        IdentityField.NAME: "例小明",
        IdentityField.REPORTER: "例老师",
        IdentityField.NARRATIVE: "例：多日无人照看",
    }
    [passed] = only(await house.report(reported(identity=who)), FindingAssigned)

    identity = await identity_of(house.tx, house.vault, [passed.child])
    report = await report_of(house.tx, house.vault, [an_id("finding")])

    assert identity == {passed.child: {IdentityField.NAME: "例小明"}}
    assert report[an_id("finding")][IdentityField.REPORTER] == "例老师"


async def test_what_a_department_says_of_a_child_goes_before_what_came_with_a_finding(house: House) -> None:
    row = a_row()
    await house.rows(row)
    child = await house.child_of(row)
    nickname = {IdentityField.NAME: "例毛毛", IdentityField.ADDRESS: "例村1号"}
    await house.report(reported(child=child, identity=nickname))

    identity = (await identity_of(house.tx, house.vault, [child]))[child]

    assert identity[IdentityField.NAME] == "例小明"
    assert identity[IdentityField.ADDRESS] == "例村1号"


async def test_actions_of_other_kinds_are_none_of_the_express_ways_business(house: House) -> None:
    assert await house.report(action(Verb.VERIFY, child=an_id("x")), action(Verb.ACCEPT, child=an_id("x"))) == []


async def test_finding_and_record_at_the_same_moment_agree_on_the_child(house: House, database: Any) -> None:
    """Whichever lane commits first, the other waits for it and uses its child."""
    row = a_row()
    await house.rows(row)
    child = await house.child_of(row)
    other = House(await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"}))

    async def records() -> None:
        async with house.tx.transaction():
            batch = house.batch([read(as_found(clinic(row)), finding=an_id("finding"))])
            await handlers.on_records(batch, house.tx, vault=house.vault)
            waiting = asyncio.create_task(other.report(reported()))
            assert await house.holds_up(other, waiting), "the express way waits for a matching that is under way"
        await waiting

    await records()
    [passed] = only(other.said, FindingAssigned)
    assert passed.child == child
    await other.tx.close()
