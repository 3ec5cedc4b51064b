"""The priority consumer assigns a finding to a child immediately; matching comes later and the finding follows it."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from contracts.registry import ChildChanged, FileReassigned, FindingAssigned, RegistryActionRefused
from contracts.vocabulary import FactName, IdentityField, Verb
from services.registry import handlers
from services.registry.identity import identity_of, report_of
from tests.registry.harness import Registry, action, an_id, candidate_id, only, read, reported
from tests.registry.people import Row, a_row, clinic, police


def as_found(row: Row, name: str = "finding") -> Row:
    """The identity that a teacher gave with a finding, as a record of its own kind."""
    return replace(row, key=f"finding/{name}", unit="341722-jtj", dataset="finding", period=None, facts={})


async def test_a_finding_about_a_stranger_opens_a_candidate_and_goes_on(registry: Registry) -> None:
    emitted = await registry.report(reported())

    [passed] = only(emitted, FindingAssigned)
    assert passed.candidate
    assert passed.child == candidate_id(an_id("finding"))
    assert passed.township == "341722100"
    [file] = only(emitted, ChildChanged)
    assert (file.child, file.state, file.child_version, file.facts) == (passed.child, "candidate", 1, ())


async def test_a_finding_that_names_a_child_is_about_that_child(registry: Registry) -> None:
    row = a_row(facts={FactName.RESIDENCE_DIVISION: "341722100201"})
    await registry.rows(row)
    child = await registry.child_of(row)

    emitted = await registry.report(reported(child=child, township=None))

    [passed] = only(emitted, FindingAssigned)
    assert (passed.child, passed.candidate) == (child, False)
    assert (passed.township, passed.residence_division) == ("341722100", "341722100201")
    assert only(emitted, ChildChanged) == []


async def test_a_finding_that_names_an_unknown_child_is_never_lost(registry: Registry) -> None:
    """It goes on about a candidate of the registry's own: no unit can open a file under an id that it made up."""
    emitted = await registry.report(reported(child=an_id("nobody")))

    [passed] = only(emitted, FindingAssigned)
    assert (passed.child, passed.candidate) == (candidate_id(an_id("finding")), True)
    [refused] = only(emitted, RegistryActionRefused)
    assert (refused.code, refused.verb, refused.unit) == ("unknown_child", Verb.REPORT, "341722-jtj")


async def test_a_finding_whose_identity_does_not_open_goes_on_all_the_same(registry: Registry) -> None:
    emitted = await registry.report(reported(sealed_as="bm90IHNlYWxlZA=="))

    assert len(only(emitted, FindingAssigned)) == 1
    assert await registry.tx.fetchval("SELECT sealed IS NOT NULL FROM finding")


async def test_a_finding_about_a_merged_file_is_about_the_survivor(registry: Registry) -> None:
    one, other = a_row("one"), police(a_row("other", id_number=None, guardian_id_number=None))
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    await registry.act(action(Verb.MERGE, child=survivor, other=absorbed))

    [passed] = only(await registry.report(reported(child=absorbed)), FindingAssigned)

    assert passed.child == survivor


@pytest.mark.parametrize("size", [1, 1000])
async def test_the_record_after_the_finding_matches_and_the_finding_follows(registry: Registry, size: int) -> None:
    """The candidate is absorbed by the file that its identity belongs to."""
    row = a_row()
    await registry.rows(row, size=size)
    child = await registry.child_of(row)
    [passed] = only(await registry.report(reported()), FindingAssigned)

    emitted = await registry.consume(read(as_found(clinic(row)), finding=an_id("finding")), size=size)

    [handed] = only(emitted, FileReassigned)
    assert (handed.child, handed.from_child, handed.reason) == (child, passed.child, "matched")
    assert registry.snapshot(passed.child).absorbed_by == child
    assert registry.snapshot(child).absorbs == (passed.child,)
    assert registry.snapshot(child).sources == ("school",)


async def test_the_record_before_the_finding_is_remembered(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    await registry.consume(read(as_found(clinic(row)), finding=an_id("finding")))

    emitted = await registry.report(reported())

    [passed] = only(emitted, FindingAssigned)
    assert (passed.child, passed.candidate) == (child, False)
    assert await registry.count("child") == 1


async def test_a_record_of_a_stranger_before_the_finding_opens_the_same_candidate(registry: Registry) -> None:
    await registry.consume(read(as_found(a_row()), finding=an_id("finding")))
    [file] = only(registry.events, ChildChanged)

    emitted = await registry.report(reported())

    [passed] = only(emitted, FindingAssigned)
    assert (passed.child, passed.candidate) == (file.child, True)
    assert file.child == candidate_id(an_id("finding"))
    assert only(emitted, ChildChanged) == []


async def test_a_departments_record_puts_a_candidate_on_file(registry: Registry) -> None:
    await registry.report(reported())
    await registry.consume(read(as_found(a_row()), finding=an_id("finding")))

    emitted = await registry.rows(a_row())

    [file] = only(emitted, ChildChanged)
    assert file.state == "on_file"
    assert file.child == candidate_id(an_id("finding"))
    assert only(emitted, FileReassigned) == []


async def test_the_identity_of_a_finding_with_a_named_child_stays_with_that_child(registry: Registry) -> None:
    """The teacher chose the child from the list: what the identity looks like does not overrule that."""
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(one, other)
    await registry.report(reported(child=await registry.child_of(other)))

    await registry.consume(read(as_found(one), finding=an_id("finding")))

    assert await registry.child_of(as_found(one)) == await registry.child_of(other)
    await registry.rows(one)
    assert await registry.child_of(as_found(one)) == await registry.child_of(other)


async def test_two_findings_about_one_child_become_one_file(registry: Registry) -> None:
    first, second = as_found(a_row(), "first"), as_found(a_row(), "second")
    emitted = await registry.report(reported("first"), reported("second"))
    assert len({passed.child for passed in only(emitted, FindingAssigned)}) == 2

    await registry.consume(read(first, finding=an_id("first")), read(second, finding=an_id("second")))

    assert await registry.child_of(first) == await registry.child_of(second)
    assert registry.snapshot(await registry.child_of(first)).state == "candidate"


async def test_the_reporter_is_stored_apart_from_the_childs_identity(registry: Registry) -> None:
    who = {
        IdentityField.NAME: "例小明",
        IdentityField.REPORTER: "例老师",
        IdentityField.NARRATIVE: "例：多日无人照看",
    }
    [passed] = only(await registry.report(reported(identity=who)), FindingAssigned)

    identity = await identity_of(registry.tx, registry.vault, [passed.child])
    report = await report_of(registry.tx, registry.vault, [an_id("finding")])

    assert identity == {passed.child: {IdentityField.NAME: "例小明"}}
    assert report[an_id("finding")][IdentityField.REPORTER] == "例老师"


async def test_what_a_department_says_of_a_child_goes_before_what_came_with_a_finding(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    nickname = {IdentityField.NAME: "例毛毛", IdentityField.ADDRESS: "例村1号"}
    await registry.report(reported(child=child, identity=nickname))

    identity = (await identity_of(registry.tx, registry.vault, [child]))[child]

    assert identity[IdentityField.NAME] == "例小明"
    assert identity[IdentityField.ADDRESS] == "例村1号"


async def test_the_priority_consumer_ignores_actions_of_other_kinds(registry: Registry) -> None:
    assert await registry.report(action(Verb.VERIFY, child=an_id("x")), action(Verb.ACCEPT, child=an_id("x"))) == []


async def test_finding_and_record_at_the_same_moment_agree_on_the_child(registry: Registry, database: Any) -> None:
    """Whichever partition commits first, the other waits for it and uses its child."""
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )

    async def records() -> None:
        async with registry.tx.transaction():
            batch = registry.batch([read(as_found(clinic(row)), finding=an_id("finding"))])
            await handlers.on_records(batch, registry.tx, vault=registry.vault)
            waiting = asyncio.create_task(other.report(reported()))
            assert await registry.blocks(other, waiting), "the priority consumer waits for a matching that is under way"
        await waiting

    await records()
    [passed] = only(other.events, FindingAssigned)
    assert passed.child == child
    await other.tx.close()
