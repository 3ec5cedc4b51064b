"""An event that cannot be processed is parked or becomes a dead letter; later events of its key keep their order."""

import json

import pytest

from runtime import partition_of
from runtime.storage.parking_cipher import ParkingCipher
from runtime.storage.sealing import Opener
from tests.runtime.harness import ModelSystem, eventually


async def wait_until_parked(system: ModelSystem, events: int, service: str = "alpha") -> None:
    async def check() -> bool:
        return bool(await system.value(service, "select count(*) = $1 from parked_event", events))

    await eventually(check, what=f"{events} events are parked")


@pytest.mark.parametrize("what", ["unprocessable", "bug", "bad data", "too large"])
async def test_a_bad_event_parks_only_its_own_key_in_order(system: ModelSystem, what: str) -> None:
    system.start("beta")
    system.produce_puts(40)
    system.put("name-003", what, expected=False)
    for _ in range(3):
        system.put("name-003", expected=False)
        system.put("name-004")
    system.produce_puts(0)
    alpha = system.start("alpha")
    await wait_until_parked(system, 4)
    await system.assert_exactly_once("alpha", "beta")
    assert await system.value("alpha", "select key from parked_key") == "name-003"
    system.put("name-003", expected=False)
    system.put("name-005")
    system.flush()
    await wait_until_parked(system, 5)
    assert alpha.metric("hutong_parked_total") == 1
    assert "name-003" in (await system.run_command("alpha", "--parked"))[1]


async def test_a_replay_releases_a_key_in_order_and_only_when_it_succeeds(system: ModelSystem) -> None:
    system.start("alpha")
    system.start("beta")
    system.put("a")
    system.put("a", "unprocessable")
    for _ in range(5):
        system.put("a")
    system.put("b")
    system.flush()
    await wait_until_parked(system, 6)
    code, _ = await system.run_command("alpha", "--replay", "a")
    assert code == 1, "the event still fails"
    await wait_until_parked(system, 6)
    assert await system.value("alpha", "select count(*) from audit") == 2

    await system.sql("alpha", "update control set repaired = true")
    code, released = await system.run_command("alpha", "--replay", "a")
    assert (code, released.strip()) == (0, "6")
    system.put("a")
    system.flush()
    await system.assert_exactly_once("alpha", "beta")
    assert (await system.run_command("alpha", "--replay", "a"))[0] == 1, "nothing is parked"
    order = await system.sql("beta", "select n from audit where name = 'a' order by id")
    assert [row["n"] for row in order] == list(range(1, 9))


async def test_a_record_that_is_no_event_becomes_an_encrypted_dead_letter(system: ModelSystem) -> None:
    good = system.envelope("model.Put.v1", "x").headers()
    secret = "绝密姓名".encode()
    invalid: list[tuple[bytes | None, list[tuple[str, bytes | None]], str]] = [
        (secret, [], "ce_id is missing"),
        (secret, [(name, None if name == "ce_type" else value) for name, value in good], "ce_type is null"),
        (secret, [*good[:-1], ("ce_source", b"\xff\xfe")], "ce_source must be UTF-8"),
        (None, list(good), "null value"),
    ]
    for body, headers, _ in invalid:
        system.put("name-000")
        system.produce(system.input, "x", body, headers, 2)
    system.produce_puts(20)
    system.start("alpha")
    await system.assert_exactly_once("alpha")
    rows = await system.sql("alpha", 'select partition, "offset", topic, reason, record from dead_letter order by id')
    assert len(rows) == len(invalid)
    for row, (body, _, reason) in zip(rows, invalid, strict=True):
        assert reason in row["reason"]
        assert secret not in row["record"]
        context = f"main/{row['topic']}/{row['partition']}/{row['offset']}".encode()
        opened = json.loads(Opener(system.ops_key).open(row["record"], context))
        assert opened["value"] is None if body is None else opened["value"]


async def test_an_event_of_an_unknown_version_or_shape_is_parked(system: ModelSystem) -> None:
    system.produce(system.input, "a", b"{}", system.envelope("model.Put.v2", "a").headers())
    system.produce(
        system.input, "b", '{"name": "绝密姓名", "n": "one"}'.encode(), system.envelope("model.Put.v1", "b").headers()
    )
    system.produce(system.input, "c", b"not json", system.envelope("model.Put.v1", "c").headers())
    system.produce(system.input, "d", b"{}", system.envelope("model.Step.v1", "d").headers())
    system.put("a", expected=False)
    body = b'{"name": "e", "n": 1, "a field of the future": true}'
    system.produce(system.input, "e", body, system.envelope("model.Put.v1", "e").headers())
    system.puts.append(("e", 1))
    system.produce_puts(10)
    system.start("alpha")
    await system.assert_exactly_once("alpha")
    await wait_until_parked(system, 5)
    rows = await system.sql("alpha", "select key, reason from parked_key order by key")
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["reason"] == "unknown ce_type model.Put.v2"
    assert rows[1]["reason"] == "n: int_parsing"
    stored = await system.sql(
        "alpha", "select consumer, topic, partition, \"offset\", record from parked_event where key = 'b'"
    )
    assert "绝密".encode() not in stored[0]["record"]
    cipher = ParkingCipher(system.settings_of("alpha"))
    record = cipher.decrypt(stored[0]["record"], "main", system.input, stored[0]["partition"], stored[0]["offset"])
    assert "绝密".encode() in (record.value or b"")


async def test_too_many_bad_events_in_a_row_halt_only_their_partition(system: ModelSystem) -> None:
    system.settings["HUTONG_BREAKER_IN_A_ROW"] = "5"
    system.start("beta")
    alpha = system.start("alpha")
    for number in range(6):
        system.produce(
            system.input, f"bad-{number}", b"{}", system.envelope("model.Put.v1", f"bad-{number}").headers(), 2
        )
    names = [f"name-{number:03}" for number in range(40)]

    for name in names:
        system.put(name, expected=partition_of(name, 4) != 2)
    system.flush()
    await system.assert_exactly_once("alpha", "beta")

    async def halted() -> bool:
        return alpha.get("/health")[0] == 503

    await eventually(halted, what="health reports a problem")
    assert "in a row" in alpha.get("/health")[1]
    assert alpha.get("/health/live")[0] == 200, "a restart would not help"
    assert alpha.metric("hutong_halted") == 1
    assert [line["partition"] for line in alpha.logged("partition_halted")] == [2]
    assert await system.value("alpha", "select count(*) from parked_key") == 0
