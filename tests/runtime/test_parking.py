"""What can never work is parked or buried; nothing else waits for it, and its own followers keep their order."""

import json

import pytest

from runtime import partition_of
from runtime.storage.parking_cipher import ParkingCipher
from runtime.storage.sealing import Opener
from tests.runtime.harness import World, eventually


async def parked(world: World, events: int, which: str = "alpha") -> None:
    async def check() -> bool:
        return bool(await world.value(which, "select count(*) = $1 from parked_event", events))

    await eventually(check, what=f"{events} events are parked")


@pytest.mark.parametrize("what", ["unprocessable", "bug", "bad data", "too large"])
async def test_one_bad_event_parks_its_name_in_order_and_no_other(world: World, what: str) -> None:
    world.start("beta")
    world.many(40)
    world.put("name-003", what, kept=False)
    for _ in range(3):
        world.put("name-003", kept=False)
        world.put("name-004")
    world.many(0)
    alpha = world.start("alpha")
    await parked(world, 4)
    await world.exact("alpha", "beta")
    assert await world.value("alpha", "select key from parked_key") == "name-003"
    world.put("name-003", kept=False)
    world.put("name-005")
    world.flush()
    await parked(world, 5)
    assert alpha.metric("hutong_parked_total") == 1
    assert "name-003" in (await world.command("alpha", "--parked"))[1]


async def test_replay_releases_a_name_in_order_and_only_when_it_works(world: World) -> None:
    world.start("alpha")
    world.start("beta")
    world.put("a")
    world.put("a", "unprocessable")
    for _ in range(5):
        world.put("a")
    world.put("b")
    world.flush()
    await parked(world, 6)
    code, _ = await world.command("alpha", "--replay", "a")
    assert code == 1, "it still cannot work"
    await parked(world, 6)
    assert await world.value("alpha", "select count(*) from audit") == 2

    await world.sql("alpha", "update ward set cured = true")
    code, released = await world.command("alpha", "--replay", "a")
    assert (code, released.strip()) == (0, "6")
    world.put("a")
    world.flush()
    await world.exact("alpha", "beta")
    assert (await world.command("alpha", "--replay", "a"))[0] == 1, "nothing is parked any more"
    order = await world.sql("beta", "select n from audit where name = 'a' order by id")
    assert [row["n"] for row in order] == list(range(1, 9))


async def test_what_is_no_event_is_buried_sealed_and_its_neighbours_go_on(world: World) -> None:
    good = world.envelope("model.Put.v1", "x").headers()
    secret = "绝密姓名".encode()
    bad: list[tuple[bytes | None, list[tuple[str, bytes | None]], str]] = [
        (secret, [], "ce_id is missing"),
        (secret, [(name, None if name == "ce_type" else value) for name, value in good], "ce_type is null"),
        (secret, [*good[:-1], ("ce_source", b"\xff\xfe")], "ce_source must be UTF-8"),
        (None, list(good), "null value"),
    ]
    for body, headers, _ in bad:
        world.put("name-000")
        world.raw(world.input, "x", body, headers, 2)
    world.many(20)
    world.start("alpha")
    await world.exact("alpha")
    rows = await world.sql("alpha", 'select partition, "offset", topic, reason, record from dead_letter order by id')
    assert len(rows) == len(bad)
    for row, (body, _, reason) in zip(rows, bad, strict=True):
        assert reason in row["reason"]
        assert secret not in row["record"]
        place = f"main/{row['topic']}/{row['partition']}/{row['offset']}".encode()
        opened = json.loads(Opener(world.ops_key).open(row["record"], place))
        assert opened["value"] is None if body is None else opened["value"]


async def test_an_event_of_a_future_version_or_of_a_wrong_shape_is_parked(world: World) -> None:
    world.raw(world.input, "a", b"{}", world.envelope("model.Put.v2", "a").headers())
    world.raw(
        world.input, "b", '{"name": "绝密姓名", "n": "one"}'.encode(), world.envelope("model.Put.v1", "b").headers()
    )
    world.raw(world.input, "c", b"not json", world.envelope("model.Put.v1", "c").headers())
    world.raw(world.input, "d", b"{}", world.envelope("model.Step.v1", "d").headers())
    world.put("a", kept=False)
    body = b'{"name": "e", "n": 1, "a field of the future": true}'
    world.raw(world.input, "e", body, world.envelope("model.Put.v1", "e").headers())
    world.puts.append(("e", 1))
    world.many(10)
    world.start("alpha")
    await world.exact("alpha")
    await parked(world, 5)
    rows = await world.sql("alpha", "select key, reason from parked_key order by key")
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["reason"] == "unknown ce_type model.Put.v2"
    assert rows[1]["reason"] == "n: int_parsing"
    stored = await world.sql(
        "alpha", "select consumer, topic, partition, \"offset\", record from parked_event where key = 'b'"
    )
    assert "绝密".encode() not in stored[0]["record"]
    safe = ParkingCipher(world.of("alpha"))
    taken = safe.decrypt(stored[0]["record"], "main", world.input, stored[0]["partition"], stored[0]["offset"])
    assert "绝密".encode() in (taken.value or b"")


async def test_too_many_bad_events_in_a_row_halt_the_partition_and_no_other(world: World) -> None:
    world.settings["HUTONG_BREAKER_IN_A_ROW"] = "5"
    world.start("beta")
    alpha = world.start("alpha")
    for number in range(6):
        world.raw(world.input, f"bad-{number}", b"{}", world.envelope("model.Put.v1", f"bad-{number}").headers(), 2)
    names = [f"name-{number:03}" for number in range(40)]

    for name in names:
        world.put(name, kept=partition_of(name, 4) != 2)
    world.flush()
    await world.exact("alpha", "beta")

    async def halted() -> bool:
        return alpha.get("/health")[0] == 503

    await eventually(halted, what="health fails")
    assert "in a row" in alpha.get("/health")[1]
    assert alpha.get("/health/live")[0] == 200, "starting again would not help"
    assert alpha.metric("hutong_halted") == 1
    assert [line["partition"] for line in alpha.said("partition_halted")] == [2]
    assert await world.value("alpha", "select count(*) from parked_key") == 0
