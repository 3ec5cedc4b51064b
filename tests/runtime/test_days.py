"""Time is an event: days turn in order, once, page by page, through whatever dies."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from runtime import partition_of
from runtime.observe.failpoints import EXIT_CODE
from tests.runtime.harness import World, eventually

DAY_1, DAY_2, DAY_4 = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 4)


async def turned(world: World, which: str, day: date) -> None:
    async def check() -> bool:
        return bool(
            await world.value(which, "select count(*) = $1 from day_state where day = $2", world.partitions, day)
        )

    await eventually(check, what=f"{which} has turned {day}")


async def test_a_day_is_worked_once_for_every_child_and_forwarded_in_band(world: World) -> None:
    world.settings["HUTONG_PAGE_SIZE"] = "3"
    world.start("alpha")
    world.start("beta")
    world.many(100, names=20)
    await world.arrived("beta")
    world.day(DAY_1)
    await turned(world, "beta", DAY_1)
    worked = await world.sql("alpha", "select name, count(*) as times from day_audit group by name")
    assert {row["name"]: row["times"] for row in worked} == {f"name-{number:03}": 1 for number in range(20)}
    counted = await world.sql("beta", "select name, day, version, lane_day from counted")
    assert len(counted) == 20
    assert {row["version"] for row in counted} == {5}
    assert {row["lane_day"] for row in counted} == {None}, "what a day causes comes before the reader's day turns"

    world.many(20, names=20)
    await world.arrived("beta")
    days = await world.sql("beta", "select distinct day from audit where n > 5")
    assert [row["day"] for row in days] == [DAY_1], "what comes after the mark belongs to the new day"
    assert await world.value("beta", "select count(*) from day_audit") == world.partitions


async def test_a_missed_day_is_caught_up_in_order(world: World) -> None:
    world.start("alpha")
    world.start("beta")
    world.many(20, names=10)
    await world.arrived("beta")
    world.day(DAY_1)
    world.day(DAY_4)
    world.day(DAY_2)
    await turned(world, "beta", DAY_4)
    for index in range(world.partitions):
        rows = await world.sql("beta", "select day from day_audit where index = $1 order by id", index)
        assert [row["day"].day for row in rows] == [1, 2, 3, 4]
    per_name = await world.sql("beta", "select name, array_agg(day order by id) as days from counted group by name")
    assert len(per_name) == 10
    assert all([day.day for day in row["days"]] == [1, 2, 3, 4] for row in per_name)


async def test_what_follows_the_mark_waits_for_the_days_work(world: World) -> None:
    """On the lane of the mark: what comes after it is not applied while the day's work is held up."""
    world.start("beta")
    step(world, 9, 0, "a", 0)

    async def applied(count: int) -> bool:
        return bool(await world.value("beta", "select count(*) = $1 from audit", count))

    await eventually(lambda: applied(1), what="the first is applied")
    async with world.database.transaction():
        await world.database.execute(f'select * from "{world.schema("beta")}".day_state where index = 0 for update')
        for lane in range(4):
            mark(world, lane, DAY_1)
        step(world, 9, 1, "a", 0)
        marked = (
            f"""select count(*) = 4 from "{world.schema("beta")}".consumer_cursor where watermark_day = '2026-03-01'"""
        )

        async def reached() -> bool:
            return bool(await world.database.fetchval(marked))

        await eventually(reached, what="every lane has reached the day")
        await asyncio.sleep(0.7)  # longer than a poll: nothing may come of the record that follows
        assert await world.database.fetchval(f'select count(*) from "{world.schema("beta")}".audit') == 1
    await eventually(lambda: applied(2), what="the second is applied")
    assert await world.value("beta", "select day from audit where n = 1") == DAY_1


@pytest.mark.parametrize("point", ["before_page", "after_page"])
async def test_a_days_work_goes_on_where_it_was_killed(world: World, point: str) -> None:
    world.settings["HUTONG_PAGE_SIZE"] = "2"
    world.start("beta")
    doomed = world.start("alpha", HUTONG_KILL_AT=f"{point}:4")
    world.many(60, names=30)
    await world.arrived("beta")
    world.day(DAY_1)
    assert await doomed.stopped() == EXIT_CODE
    assert await world.value("alpha", "select count(*) from day_state where resume is not null") > 0
    world.many(30, names=30)
    world.start("alpha")
    await turned(world, "beta", DAY_1)
    worked = await world.sql("alpha", "select name, count(*) as times from day_audit group by name")
    assert {row["times"] for row in worked} == {1}
    assert len(worked) == 30
    assert await world.value("beta", "select count(*) from counted") == 30
    await world.exact("alpha", "beta")


async def test_a_day_that_cannot_be_turned_for_some_holds_up_no_others(world: World) -> None:
    """One index fails; the others turn, go on, and turn the next day too. Cured, the one catches up."""
    alpha = world.start("alpha")
    ill = partition_of("no day", world.partitions)
    well = next(name for name in (f"name-{n}" for n in range(20)) if partition_of(name, world.partitions) != ill)
    world.put("no day")
    world.put(well)
    world.flush()
    await world.arrived("alpha")
    world.day(DAY_1)

    async def others(day: date) -> bool:
        turned = await world.value("alpha", "select count(*) from day_state where day = $1", day)
        return bool(turned == world.partitions - 1)

    await eventually(lambda: others(DAY_1), what="the others turn")
    world.put(well)
    world.flush()
    await world.arrived("alpha")
    assert await world.value("alpha", "select day from audit where name = $1 order by id desc limit 1", well) == DAY_1

    async def told() -> bool:
        return f"day's work of index {ill} fails: KeyError" in alpha.get("/health")[1]

    await eventually(told, what="somebody is told")
    assert alpha.get("/health/live")[0] == 200
    await world.sql("alpha", "update ward set cured = true")
    await turned(world, "alpha", DAY_1)
    world.day(DAY_2)
    await turned(world, "alpha", DAY_2)
    assert alpha.get("/health")[0] == 200


async def test_a_lane_waits_for_the_others_before_its_page_turns(world: World) -> None:
    """Three of four upstream lanes have marked the day: it does not turn, and nothing is held up."""
    beta = world.start("beta")
    for lane in range(3):
        mark(world, lane, DAY_1)
    world.flush()
    step(world, 9, 0, "a")

    async def applied() -> bool:
        return bool(await world.value("beta", "select count(*) = 1 from audit"))

    await eventually(applied, what="the event is applied")
    assert await world.value("beta", "select count(*) from day_state where day is not null") == 0
    mark(world, 3, DAY_1)
    world.flush()
    await turned(world, "beta", DAY_1)
    assert beta.running


async def test_the_countys_clock_reaches_every_batch(world: World) -> None:
    alpha = world.start("alpha")
    world.time(datetime(2026, 3, 1, 8, 10, tzinfo=UTC))
    world.time(datetime(2026, 3, 1, 8, 0, tzinfo=UTC))

    async def told() -> bool:
        now = await world.value("alpha", "select now from county_clock")
        return (
            bool(now == datetime(2026, 3, 1, 8, 10, tzinfo=UTC))
            and await world.value("alpha", "select ticks from ward") == 2
        )

    await eventually(told, what="both ticks are heard")
    assert alpha.running


async def test_a_mark_on_a_topic_that_carries_no_days_is_refused(world: World) -> None:
    world.start("alpha")
    body = b'{"day": "2026-03-01", "producers": 1}'
    envelope = world.envelope("clock.DayWatermark.v1", "day").with_sequence(0, 0)
    world.raw(world.input, "day", body, envelope.headers(), 0)
    world.many(10)
    await world.arrived("alpha")

    async def refused() -> str | None:
        return await world.value("alpha", "select reason from dead_letter")  # type: ignore[no-any-return]

    assert "watermark" in (await eventually(refused) or "")
    assert await world.value("alpha", "select count(*) from day_state where day is not null") == 0


def mark(world: World, lane: int, day: date) -> None:
    """One upstream lane's mark on every partition."""
    body = f'{{"day": "{day}", "producers": 4}}'.encode()
    for partition in range(world.partitions):
        envelope = world.envelope("clock.DayWatermark.v1", "day").with_sequence(lane, 0)
        world.raw(world.step, "day", body, envelope.headers(), partition)


def step(world: World, lane: int, sequence: int, name: str, partition: int | None = None) -> None:
    """One numbered event on beta's input."""
    body = f'{{"name": "{name}", "n": {sequence}, "digest": ""}}'.encode()
    envelope = world.envelope("model.Step.v1", name).with_sequence(lane, sequence)
    world.raw(world.step, name, body, envelope.headers(), partition)
    world.flush()
