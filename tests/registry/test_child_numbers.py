"""Each child of the county has its own number, and a replay assigns the same one."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations, count
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.child_number import child_id
from contracts.event import Event
from contracts.registry import ChildChanged, FindingAssigned
from contracts.vocabulary import Verb
from runtime import RetryLater
from services.registry import store
from services.registry.domain.child_numbers import ChildNumbers
from tests.registry.harness import Registry, a_vault, an_action, an_id, file_id, finding_reported, only, record_read
from tests.registry.people import Row, a_number, a_row
from tests.registry.test_logs import a_log

SHORT = replace(a_vault(), digits=2)
"""A vault with only a hundred numbers, so that children collide."""
PLAIN = {"guardian_id_number": None, "guardian_name": None, "guardian_phone": None}


def a_stranger(n: int) -> Row:
    """Return the row of a child who has nothing in common with the others."""
    born = date(2016, 1, 1) + timedelta(days=n)
    return a_row(str(n), born=born, id_number=a_number(born), **PLAIN)


def two_colliding_strangers() -> tuple[Row, Row]:
    numbers = {n: SHORT.child_number(str(an_id("record", str(n))), 0) for n in range(40)}
    one, other = next(pair for pair in combinations(numbers, 2) if numbers[pair[0]] == numbers[pair[1]])
    return a_stranger(one), a_stranger(other)


def a_finding_that_collides_with(row: Row) -> str:
    """Return the name of a finding whose candidate has the row's first number."""
    wanted = SHORT.child_number(str(an_id("record", row.key)), 0)
    named = (f"finding {n}" for n in count())
    return next(name for name in named if SHORT.child_number(f"finding/{an_id(name)}", 0) == wanted)


async def numbers(registry: Registry) -> dict[str, str]:
    """Return each file's founding record or finding and its number."""
    return {row["founding"]: row["number"] for row in await registry.tx.fetch("SELECT founding, number FROM child")}


def test_the_first_number_that_no_other_file_has_is_chosen() -> None:
    made = ChildNumbers("341722", lambda founding, counter: f"{counter}")
    holders = {child_id("341722", "0"): "another founding", child_id("341722", "1"): "mine"}
    assert made.choose("mine", holders.get) == (child_id("341722", "1"), "1")
    assert made.choose("a third one", holders.get) == (child_id("341722", "2"), "2")


async def test_child_numbers_are_unique_and_do_not_depend_on_batch_boundaries(registry: Registry) -> None:
    registry.vault = replace(a_vault(), digits=3)
    events = [record_read(a_stranger(n)) for n in range(200)]
    results = []
    for size in (1, 7, 1000, 1000):
        await registry.consume(*events, size=size)
        await registry.report(*(finding_reported(f"finding {n}") for n in range(60)), size=size)
        results.append(await numbers(registry))
        await registry.reset()
    assert len(set(results[0].values())) == 260
    collided = [
        founding for founding, number in results[0].items() if number != registry.vault.child_number(founding, 0)
    ]
    assert len(collided) > 10, "some children have collided"
    for other in results[1:]:
        assert other == results[0]


@pytest.mark.parametrize("seed", range(2))
async def test_colliding_child_numbers_do_not_depend_on_batch_boundaries(registry: Registry, seed: int) -> None:
    """The log contains splits, corrected birth dates and merges."""
    registry.vault = SHORT
    results = []
    for size in (1, 7, 1000):
        await registry.apply_log(a_log(seed, size=250, vault=SHORT), size=size)
        results.append(await registry.state())
        assigned = await numbers(registry)
        assert any(number != SHORT.child_number(founding, 0) for founding, number in assigned.items())
        await registry.reset()
    assert results[0] == results[1]
    assert results[0] == results[2]


async def test_two_partitions_that_open_a_file_on_one_number_are_resolved_by_the_index(
    registry: Registry, database: Any
) -> None:
    """The second one waits, must retry, and then takes the next number of its own child."""
    one, other_row = two_colliding_strangers()
    registry.vault = SHORT
    other = Registry(
        await asyncpg.connect(database.dsn, server_settings={"search_path": "registry", "timezone": "UTC"})
    )
    other.vault = SHORT

    async with registry.tx.transaction():
        await registry.rows(one)
        waiting = asyncio.create_task(other.rows(other_row, partition=1))
        assert await registry.blocks(other, waiting)
    with pytest.raises(RetryLater):
        await waiting
    await other.rows(other_row, partition=1)

    assert await numbers(registry) == {
        str(an_id("record", one.key)): SHORT.child_number(str(an_id("record", one.key)), 0),
        str(an_id("record", other_row.key)): SHORT.child_number(str(an_id("record", other_row.key)), 1),
    }
    await other.tx.close()


async def test_a_finding_is_never_assigned_to_a_child_because_of_a_number(registry: Registry) -> None:
    """The child, the finding or the finding's record may come first."""
    row = a_stranger(0)
    name = a_finding_that_collides_with(row)
    found = replace(a_stranger(1), key=f"finding/{name}", unit="341722-jtj", dataset="finding", period=None)
    record, finding = record_read(row), record_read(found, finding=an_id(name))
    registry.vault = SHORT
    for steps in (
        (record, finding_reported(name)),
        (finding_reported(name), record),
        (record, finding, finding_reported(name)),
    ):
        emitted: list[Event] = []
        for event in steps:
            emitted += await (
                registry.report(event) if event.kind == finding_reported(name).kind else registry.consume(event)
            )
        assert await registry.count("child") == 2
        [assigned] = only(emitted, FindingAssigned)
        assert assigned.child != await registry.child_of(row)
        assert assigned.number == (await numbers(registry))[f"finding/{an_id(name)}"]
        await registry.reset()
    await registry.consume(record, finding)
    assert await registry.child_of(row) != await registry.child_of(found)


async def test_an_event_contains_the_number_that_determines_its_childs_id(registry: Registry) -> None:
    emitted = await registry.rows(a_row()) + await registry.report(finding_reported())
    pairs = [(event.child, event.number) for event in only(emitted, ChildChanged)]
    pairs += [(event.child, event.number) for event in only(emitted, FindingAssigned)]
    assert len(pairs) == 3
    for child, number in pairs:
        assert child == child_id(registry.county.code, number)
        assert len(number) == 12


async def test_a_finding_under_an_absorbed_number_is_assigned_to_the_survivor(registry: Registry) -> None:
    one, other = a_stranger(0), a_stranger(1)
    await registry.rows(one, other)
    survivor, absorbed = await registry.child_of(one), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=survivor, other=absorbed))

    [assigned] = only(await registry.report(finding_reported(child=absorbed)), FindingAssigned)

    assert assigned.child == survivor
    assert assigned.number == (await numbers(registry))[str(an_id("record", one.key))]
    assert registry.snapshot(absorbed).number == (await numbers(registry))[str(an_id("record", other.key))]


async def test_after_crypto_shredding_the_record_opens_a_file_with_another_number(registry: Registry) -> None:
    await registry.rows(a_row())
    before = await registry.child_of(a_row())
    async with registry.tx.transaction():
        await store.destroy_keys(registry.tx, before)

    await registry.rows(replace(a_row(), facts={}))

    after: UUID = await registry.child_of(a_row())
    assert before == file_id(an_id("record", "row"))
    assert after != before
    assert len(set((await numbers(registry)).values())) == 2
