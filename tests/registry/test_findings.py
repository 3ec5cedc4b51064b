"""The priority consumer assigns a finding to a child immediately; later it follows the matching of its record."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from contracts.registry import ChildChanged, FileReassigned, FindingAssigned, RegistryActionRefused
from contracts.vocabulary import FactName, IdentityField, Verb
from services.registry import handlers
from services.registry.identity import identity_of, report_of
from tests.registry.harness import Registry, an_action, an_id, candidate_id, finding_reported, only, record_read
from tests.registry.people import Row, a_row, clinic, police


def a_finding_record(row: Row, name: str = "finding") -> Row:
    """Return the record of the identity that a teacher gave with a finding."""
    return replace(row, key=f"finding/{name}", unit="341722-jtj", dataset="finding", period=None, facts={})


async def test_a_finding_about_an_unknown_child_opens_a_candidate_and_is_assigned_to_it(registry: Registry) -> None:
    emitted = await registry.report(finding_reported())

    [assigned] = only(emitted, FindingAssigned)
    assert assigned.candidate
    assert assigned.child == candidate_id(an_id("finding"))
    assert assigned.township == "341722100"
    [file] = only(emitted, ChildChanged)
    assert (file.child, file.state, file.child_version, file.facts) == (assigned.child, "candidate", 1, ())


async def test_a_finding_that_names_a_child_is_assigned_to_that_child(registry: Registry) -> None:
    row = a_row(facts={FactName.RESIDENCE_DIVISION: "341722100201"})
    await registry.rows(row)
    child = await registry.child_of(row)

    emitted = await registry.report(finding_reported(child=child, township=None))

    [assigned] = only(emitted, FindingAssigned)
    assert (assigned.child, assigned.candidate) == (child, False)
    assert (assigned.township, assigned.residence_division) == ("341722100", "341722100201")
    assert only(emitted, ChildChanged) == []


async def test_a_finding_that_names_an_unknown_child_is_assigned_to_a_candidate(registry: Registry) -> None:
    """The candidate has an id of the registry, because a unit cannot choose the id of a file."""
    emitted = await registry.report(finding_reported(child=an_id("nobody")))

    [assigned] = only(emitted, FindingAssigned)
    assert (assigned.child, assigned.candidate) == (candidate_id(an_id("finding")), True)
    [refused] = only(emitted, RegistryActionRefused)
    assert (refused.code, refused.verb, refused.unit) == ("unknown_child", Verb.REPORT, "341722-jtj")


async def test_a_finding_whose_identity_cannot_be_decrypted_is_assigned(registry: Registry) -> None:
    emitted = await registry.report(finding_reported(sealed_as="bm90IHNlYWxlZA=="))

    assert len(only(emitted, FindingAssigned)) == 1
    assert await registry.tx.fetchval("SELECT sealed IS NOT NULL FROM finding")


async def test_a_finding_about_a_merged_file_is_assigned_to_the_survivor(registry: Registry) -> None:
    one, other = a_row("one"), police(a_row("other", id_number=None, guardian_id_number=None))
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))

    [assigned] = only(await registry.report(finding_reported(child=absorbed)), FindingAssigned)

    assert assigned.child == survivor


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_finding_follows_its_record_to_the_file_that_it_matches(registry: Registry, size: int) -> None:
    """The candidate is absorbed by the file that its identity belongs to."""
    row = a_row()
    await registry.rows(row, size=size)
    child = await registry.child_of(row)
    [assigned] = only(await registry.report(finding_reported()), FindingAssigned)

    emitted = await registry.consume(record_read(a_finding_record(clinic(row)), finding=an_id("finding")), size=size)

    [reassignment] = only(emitted, FileReassigned)
    assert (reassignment.child, reassignment.from_child, reassignment.reason) == (child, assigned.child, "matched")
    assert registry.snapshot(assigned.child).absorbed_by == child
    assert registry.snapshot(child).absorbs == (assigned.child,)
    assert registry.snapshot(child).sources == ("school",)


async def test_a_finding_after_its_record_is_assigned_to_the_records_child(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    await registry.consume(record_read(a_finding_record(clinic(row)), finding=an_id("finding")))

    emitted = await registry.report(finding_reported())

    [assigned] = only(emitted, FindingAssigned)
    assert (assigned.child, assigned.candidate) == (child, False)
    assert await registry.count("child") == 1


async def test_a_record_of_an_unknown_child_before_its_finding_opens_the_same_candidate(registry: Registry) -> None:
    await registry.consume(record_read(a_finding_record(a_row()), finding=an_id("finding")))
    [file] = only(registry.events, ChildChanged)

    emitted = await registry.report(finding_reported())

    [assigned] = only(emitted, FindingAssigned)
    assert (assigned.child, assigned.candidate) == (file.child, True)
    assert file.child == candidate_id(an_id("finding"))
    assert only(emitted, ChildChanged) == []


async def test_a_departments_record_puts_a_candidate_on_file(registry: Registry) -> None:
    await registry.report(finding_reported())
    await registry.consume(record_read(a_finding_record(a_row()), finding=an_id("finding")))

    emitted = await registry.rows(a_row())

    [file] = only(emitted, ChildChanged)
    assert file.state == "on_file"
    assert file.child == candidate_id(an_id("finding"))
    assert only(emitted, FileReassigned) == []


async def test_the_identity_of_a_finding_with_a_named_child_stays_with_that_child(registry: Registry) -> None:
    """The teacher chose the child from the list, and the identity fields do not overrule that."""
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(one, other)
    await registry.report(finding_reported(child=await registry.child_of(other)))

    await registry.consume(record_read(a_finding_record(one), finding=an_id("finding")))

    assert await registry.child_of(a_finding_record(one)) == await registry.child_of(other)
    await registry.rows(one)
    assert await registry.child_of(a_finding_record(one)) == await registry.child_of(other)


async def test_two_findings_about_one_child_become_one_file(registry: Registry) -> None:
    first, second = a_finding_record(a_row(), "first"), a_finding_record(a_row(), "second")
    emitted = await registry.report(finding_reported("first"), finding_reported("second"))
    assert len({assigned.child for assigned in only(emitted, FindingAssigned)}) == 2

    await registry.consume(record_read(first, finding=an_id("first")), record_read(second, finding=an_id("second")))

    assert await registry.child_of(first) == await registry.child_of(second)
    assert registry.snapshot(await registry.child_of(first)).state == "candidate"


async def test_the_reporter_is_stored_apart_from_the_childs_identity(registry: Registry) -> None:
    fields = {
        IdentityField.NAME: "例小明",
        IdentityField.REPORTER: "例老师",
        IdentityField.NARRATIVE: "例：多日无人照看",
    }
    [assigned] = only(await registry.report(finding_reported(identity=fields)), FindingAssigned)

    identity = await identity_of(registry.tx, registry.vault, [assigned.child])
    report = await report_of(registry.tx, registry.vault, [an_id("finding")])

    assert identity == {assigned.child: {IdentityField.NAME: "例小明"}}
    assert report[an_id("finding")][IdentityField.REPORTER] == "例老师"


async def test_a_departments_identity_fields_precede_those_of_a_finding(registry: Registry) -> None:
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    nickname = {IdentityField.NAME: "例毛毛", IdentityField.ADDRESS: "例村1号"}
    await registry.report(finding_reported(child=child, identity=nickname))

    identity = (await identity_of(registry.tx, registry.vault, [child]))[child]

    assert identity[IdentityField.NAME] == "例小明"
    assert identity[IdentityField.ADDRESS] == "例村1号"


async def test_the_priority_consumer_ignores_actions_of_other_kinds(registry: Registry) -> None:
    assert (
        await registry.report(an_action(Verb.VERIFY, child=an_id("x")), an_action(Verb.ACCEPT, child=an_id("x"))) == []
    )


async def test_a_concurrent_finding_and_record_agree_on_the_child(registry: Registry, database: Any) -> None:
    """Whichever partition commits first, the other waits for it and uses its child."""
    row = a_row()
    await registry.rows(row)
    child = await registry.child_of(row)
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )

    async def records() -> None:
        async with registry.tx.transaction():
            batch = registry.batch([record_read(a_finding_record(clinic(row)), finding=an_id("finding"))])
            await handlers.on_records(batch, registry.tx, vault=registry.vault)
            waiting = asyncio.create_task(other.report(finding_reported()))
            assert await registry.blocks(other, waiting), "the priority consumer waits for a concurrent matching"
        await waiting

    await records()
    [assigned] = only(other.events, FindingAssigned)
    assert assigned.child == child
    await other.tx.close()
