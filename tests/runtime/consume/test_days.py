"""Days are completed in order, once and page by page, even when processes die."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from runtime import partition_of
from runtime.observe.failpoints import EXIT_CODE
from tests.runtime.consume.harness import DAY_1, DAY_2, DAY_4, produce_step, produce_watermark
from tests.runtime.harness import ModelSystem, eventually


async def wait_until_complete(system: ModelSystem, service: str, day: date) -> None:
    async def check() -> bool:
        return bool(
            await system.value(service, "select count(*) = $1 from day_state where day = $2", system.partitions, day)
        )

    await eventually(check, what=f"{service} has completed {day}")


async def test_a_day_is_processed_once_for_every_name_and_forwarded_in_band(system: ModelSystem) -> None:
    system.settings["HUTONG_PAGE_SIZE"] = "3"
    system.start("alpha")
    system.start("beta")
    system.produce_puts(100, names=20)
    await system.wait_until_applied("beta")
    system.begin_day(DAY_1)
    await wait_until_complete(system, "beta", DAY_1)
    pages = await system.sql("alpha", "select name, count(*) as times from day_audit group by name")
    assert {row["name"]: row["times"] for row in pages} == {f"name-{number:03}": 1 for number in range(20)}
    counted = await system.sql("beta", "select name, day, version, processed_on from counted")
    assert len(counted) == 20
    assert {row["version"] for row in counted} == {5}
    assert {row["processed_on"] for row in counted} == {None}, (
        "a day's events precede the completion of the consumer's day"
    )

    system.produce_puts(20, names=20)
    await system.wait_until_applied("beta")
    days = await system.sql("beta", "select distinct day from audit where n > 5")
    assert [row["day"] for row in days] == [DAY_1], "records behind the watermark belong to the new day"
    assert await system.value("beta", "select count(*) from day_audit") == system.partitions


async def test_missed_days_are_processed_in_order(system: ModelSystem) -> None:
    system.start("alpha")
    system.start("beta")
    system.produce_puts(20, names=10)
    await system.wait_until_applied("beta")
    system.begin_day(DAY_1)
    system.begin_day(DAY_4)
    system.begin_day(DAY_2)
    await wait_until_complete(system, "beta", DAY_4)
    for index in range(system.partitions):
        rows = await system.sql("beta", "select day from day_audit where index = $1 order by id", index)
        assert [row["day"].day for row in rows] == [1, 2, 3, 4]
    per_name = await system.sql("beta", "select name, array_agg(day order by id) as days from counted group by name")
    assert len(per_name) == 10
    assert all([day.day for day in row["days"]] == [1, 2, 3, 4] for row in per_name)


async def test_records_behind_a_watermark_wait_until_the_day_is_complete(system: ModelSystem) -> None:
    """On the watermark's partition, records behind it are not applied while the day is incomplete."""
    system.start("beta")
    produce_step(system, 9, 0, "a", 0)

    async def applied(count: int) -> bool:
        return bool(await system.value("beta", "select count(*) = $1 from audit", count))

    await eventually(lambda: applied(1), what="the first is applied")
    async with system.database.transaction():
        await system.database.execute(f'select * from "{system.schema("beta")}".day_state where index = 0 for update')
        for producer in range(4):
            produce_watermark(system, producer, DAY_1)
        produce_step(system, 9, 1, "a", 0)
        cursors_at_day = (
            f"""select count(*) = 4 from "{system.schema("beta")}".consumer_cursor where watermark_day = '2026-03-01'"""
        )

        async def all_at_day() -> bool:
            return bool(await system.database.fetchval(cursors_at_day))

        await eventually(all_at_day, what="every partition has reached the day")
        await asyncio.sleep(0.7)  # longer than a poll, so that the next record would have been applied
        assert await system.database.fetchval(f'select count(*) from "{system.schema("beta")}".audit') == 1
    await eventually(lambda: applied(2), what="the second is applied")
    assert await system.value("beta", "select day from audit where n = 1") == DAY_1


@pytest.mark.parametrize("point", ["before_page", "after_page"])
async def test_a_killed_day_resumes_at_its_last_page(system: ModelSystem, point: str) -> None:
    system.settings["HUTONG_PAGE_SIZE"] = "2"
    system.start("beta")
    doomed = system.start("alpha", HUTONG_KILL_AT=f"{point}:4")
    system.produce_puts(60, names=30)
    await system.wait_until_applied("beta")
    system.begin_day(DAY_1)
    assert await doomed.wait_for_exit() == EXIT_CODE
    assert await system.value("alpha", "select count(*) from day_state where resume is not null") > 0
    system.produce_puts(30, names=30)
    system.start("alpha")
    await wait_until_complete(system, "beta", DAY_1)
    pages = await system.sql("alpha", "select name, count(*) as times from day_audit group by name")
    assert {row["times"] for row in pages} == {1}
    assert len(pages) == 30
    assert await system.value("beta", "select count(*) from counted") == 30
    await system.assert_exactly_once("alpha", "beta")


async def test_a_day_that_fails_for_one_index_does_not_delay_the_others(system: ModelSystem) -> None:
    """One index fails; the others complete the day and continue. After the repair the index catches up."""
    alpha = system.start("alpha")
    failing = partition_of("no day", system.partitions)
    healthy = next(
        name for name in (f"name-{n}" for n in range(20)) if partition_of(name, system.partitions) != failing
    )
    system.put("no day")
    system.put(healthy)
    system.flush()
    await system.wait_until_applied("alpha")
    system.begin_day(DAY_1)

    async def others_complete(day: date) -> bool:
        complete = await system.value("alpha", "select count(*) from day_state where day = $1", day)
        return bool(complete == system.partitions - 1)

    await eventually(lambda: others_complete(DAY_1), what="the others complete the day")
    system.put(healthy)
    system.flush()
    await system.wait_until_applied("alpha")
    assert (
        await system.value("alpha", "select day from audit where name = $1 order by id desc limit 1", healthy) == DAY_1
    )

    async def reported() -> bool:
        return f"day's work of index {failing} fails: KeyError" in alpha.get("/health")[1]

    await eventually(reported, what="the problem is reported")
    assert alpha.get("/health/live")[0] == 200
    await system.sql("alpha", "update control set repaired = true")
    await wait_until_complete(system, "alpha", DAY_1)
    system.begin_day(DAY_2)
    await wait_until_complete(system, "alpha", DAY_2)
    assert alpha.get("/health")[0] == 200


async def test_a_day_is_completed_when_every_upstream_partition_has_its_watermark(system: ModelSystem) -> None:
    """With three of four watermarks the day is not completed, and nothing is delayed."""
    beta = system.start("beta")
    for producer in range(3):
        produce_watermark(system, producer, DAY_1)
    system.flush()
    produce_step(system, 9, 0, "a")

    async def applied() -> bool:
        return bool(await system.value("beta", "select count(*) = 1 from audit"))

    await eventually(applied, what="the event is applied")
    assert await system.value("beta", "select count(*) from day_state where day is not null") == 0
    produce_watermark(system, 3, DAY_1)
    system.flush()
    await wait_until_complete(system, "beta", DAY_1)
    assert beta.running


async def test_the_county_clock_is_stored(system: ModelSystem) -> None:
    alpha = system.start("alpha")
    system.tick(datetime(2026, 3, 1, 8, 10, tzinfo=UTC))
    system.tick(datetime(2026, 3, 1, 8, 0, tzinfo=UTC))

    async def both_consumed() -> bool:
        now = await system.value("alpha", "select now from county_clock")
        return (
            bool(now == datetime(2026, 3, 1, 8, 10, tzinfo=UTC))
            and await system.value("alpha", "select ticks from control") == 2
        )

    await eventually(both_consumed, what="both ticks are consumed")
    assert alpha.running


async def test_a_watermark_on_a_topic_without_watermarks_is_a_dead_letter(system: ModelSystem) -> None:
    system.start("alpha")
    body = b'{"day": "2026-03-01", "producers": 1}'
    envelope = system.envelope("clock.DayWatermark.v1", "day").with_sequence(0, 0)
    system.produce(system.input, "day", body, envelope.headers(), 0)
    system.produce_puts(10)
    await system.wait_until_applied("alpha")

    async def refused() -> str | None:
        return await system.value("alpha", "select reason from dead_letter")  # type: ignore[no-any-return]

    assert "watermark" in (await eventually(refused) or "")
    assert await system.value("alpha", "select count(*) from day_state where day is not null") == 0
