"""The small parts: partitions, settings, what is whose fault, waiting, poison, names of topics."""

import ast
import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from aiokafka.errors import KafkaTimeoutError

from contracts.event import Envelope, Event
from contracts.topics import CLOCK, TOPICS, Topic
from runtime import MissingSecret, RetryLater, Service, Settings, UnprocessableEvent, partition_of
from runtime.backoff import Backoff
from runtime.consume import cursor_check
from runtime.consume.circuit_breaker import CircuitBreaker
from runtime.errors import Halt, UnknownTopic
from runtime.handlers import DayPage, InboundEvent
from runtime.kafka import Described
from runtime.publish.outbox import MAX_EVENT_BYTES, Outbox, day_page_ids
from runtime.settings import OpenSecrets
from runtime.storage.database import infrastructure
from runtime.storage.parking_cipher import ParkingCipher
from runtime.topic_catalogue import TopicCatalogue


@pytest.mark.parametrize(
    ("text", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
     ("a-little-bit-longer-string", -1486304829), ("abc", 479470107),
     ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)],
)  # fmt: skip
def test_partitions_are_kafkas_own(text: str, hashed: int) -> None:
    """Figures of Kafka's own test of ``Utils.murmur2``."""
    assert {n: partition_of(text, n) for n in range(1, 25)} == {n: (hashed & 0x7FFFFFFF) % n for n in range(1, 25)}


def test_settings_come_from_the_environment_and_say_what_is_wrong() -> None:
    found = Settings.from_environment(
        {"HUTONG_PARTITIONS": "12", "HUTONG_KAFKA_PASSWORD": "geheim", "HUTONG_COUNTY": ""}
    )
    assert (found.partitions, found.county) == (12, "341722")
    assert "geheim" not in repr(found)
    with pytest.raises(ValueError, match="HUTONG_PARTITIONS must be int"):
        Settings.from_environment({"HUTONG_PARTITIONS": "many"})


def parts(ordinal: int = 0, **more: Any) -> Service:
    """A service with a consumer of its own beside the one that every service has."""
    service = Service("parts", Settings(ordinal=ordinal))
    service.consumer("main", topics=(CLOCK,), handlers={}, **more)
    return service


def test_no_two_processes_have_one_static_id() -> None:
    """Kafka would let them throw one another out, in silence."""
    ids = {
        subscriber._connection_args["group_instance_id"]  # type: ignore[attr-defined]
        for ordinal in range(3)
        for subscriber in parts(ordinal).broker.subscribers
    }
    assert len(ids) == 6


def test_secrets_are_read_from_a_private_file_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"a": "1"}))
    path.chmod(0o600)
    settings = Settings(secrets_file=path)
    assert settings.secret("a") == "1"
    with pytest.raises(MissingSecret):
        settings.secret("b")
    path.chmod(0o640)
    with pytest.raises(OpenSecrets):
        settings.secret("a")
    with pytest.raises(MissingSecret):
        Settings().secret("a")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.SerializationError(), True), (asyncpg.DeadlockDetectedError(), True),
        (asyncpg.LockNotAvailableError(), True), (asyncpg.AdminShutdownError(), True),
        (asyncpg.TooManyConnectionsError(), True), (asyncpg.DiskFullError(), True),
        (asyncpg.IdleInTransactionSessionTimeoutError(), True), (asyncpg.QueryCanceledError(), True),
        (asyncpg.UndefinedTableError(), True), (asyncpg.InsufficientPrivilegeError(), True),
        (asyncpg.InterfaceError(""), True), (asyncpg.InternalClientError(), True), (ConnectionResetError(), True),
        (TimeoutError(), True), (KafkaTimeoutError(), True), (RetryLater(), True),
        (asyncpg.UniqueViolationError(), False), (asyncpg.DivisionByZeroError(), False), (asyncpg.DataError(""), False),
        (asyncpg.ProgramLimitExceededError(), False),
        (KeyError(), False), (UnprocessableEvent(), False), (ValueError(), False),
    ],
)  # fmt: skip
def test_only_what_an_event_can_cause_is_held_against_it(error: Exception, expected: bool) -> None:
    assert infrastructure(error) is expected


async def test_waiting_doubles_up_to_a_bound_and_ends_when_something_is_new() -> None:
    backoff = Backoff(Settings(retry_first=0.001, retry_last=0.004))
    for expected in (0.001, 0.002, 0.004, 0.004):
        assert backoff.following == expected
        await backoff.wait()
    backoff = Backoff(Settings(retry_first=30, retry_last=30))
    wake = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, wake.set)
    started = time.monotonic()
    await backoff.wait(wake)
    assert time.monotonic() - started < 5


async def test_two_that_wait_do_not_come_back_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is somewhere between half and the whole of what it could be."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(50):
        await Backoff(Settings(retry_first=1.0)).wait()
    assert all(0.5 <= wait <= 1.0 for wait in waits)
    assert max(waits) - min(waits) > 0.1


def test_bad_events_halt_one_past_the_limit_and_good_ones_start_anew() -> None:
    poison = CircuitBreaker(limit=3, share=0.5, window=10)
    assert poison.check([True, True, True]) == 3
    poison.record([True, True, True], 3)
    with pytest.raises(Halt, match="more than 3"):
        poison.check([True])
    assert poison.check([False, True]) == 1


def test_a_share_of_bad_events_halts_only_when_enough_were_seen() -> None:
    poison = CircuitBreaker(limit=100, share=0.5, window=10)
    assert poison.check([True] * 6) == 6
    assert poison.check([True, False] * 5) == 0
    with pytest.raises(Halt, match="6 of the last 10"):
        poison.check([True] * 6 + [False] * 4)


def test_topics_are_found_by_name_and_by_family() -> None:
    catalogue = TopicCatalogue(TOPICS)
    assert catalogue.topic("department.341722-jtj.v1").name == "department.{unit}.v1"
    assert catalogue.topic("referral.queue.341722-gaj.restricted.v1").family == "restricted_agency"
    assert catalogue.topic("referral.queue.341722-gaj.v1").family == "agency"
    assert catalogue.is_written_by_units("action.341722-jtj.v1")
    assert not catalogue.is_written_by_units("intake.record.v1")
    assert (catalogue.partitions("intake.record.v1", 4), catalogue.partitions("clock.v1", 4)) == (4, 1)
    with pytest.raises(UnknownTopic):
        catalogue.topic("department.a.b.v1")


class Small(Event):
    kind: ClassVar[str] = "parts.Small.v1"
    topic: ClassVar[str] = "parts.v1"

    name: str
    gone: bool = False

    @property
    def key(self) -> str:
        return self.name

    @property
    def tombstone(self) -> bool:
        return self.gone


def outbox() -> Outbox:
    topics = (
        Topic("parts.v1", "name", ("parts",), (), partitions="services", carries_watermarks=True),
        Topic("single.v1", "name", ("parts",), (), carries_watermarks=True),
        Topic("others.v1", "name", ("another",), (), carries_watermarks=True),
    )
    return Outbox("parts", "/hutong/999901/parts/x", TopicCatalogue(topics), 4)


def heard(number: int) -> InboundEvent[Any]:
    cause = UUID(int=number)
    envelope = Envelope(
        id=cause, source="/s", type="t", time=datetime(2026, 3, 1, tzinfo=UTC), key="k", county="999901",
        correlation=UUID(int=99),
    )  # fmt: skip
    return InboundEvent(Small(name="in"), envelope, "in.v1", 0, number)


def headers(row: Any) -> dict[str, str]:
    parts = row.headers.split(b"\x00")
    return {name.decode(): value.decode() for name, value in zip(parts[::2], parts[1::2], strict=True)}


def test_what_is_said_inherits_its_story_and_has_the_same_id_whenever_it_is_said() -> None:
    said = [heard(1).emit(Small(name="a")), heard(1).emit(Small(name="a")), heard(2).emit(Small(name="a"))]
    rows = outbox().rows(said)
    ids = [headers(row)["ce_id"] for row in rows]
    assert len(set(ids)) == 3
    assert [headers(row)["ce_id"] for row in outbox().rows(said)] == ids
    first = headers(rows[0])
    assert first["ce_causationid"] == str(UUID(int=1))
    assert first["ce_correlationid"] == str(UUID(int=99))
    assert first["ce_time"] == "2026-03-01T00:00:00+00:00"
    assert first["ce_county"] == "999901"
    assert first["ce_source"] == "/hutong/999901/parts/x"
    assert rows[0].partition == partition_of("a", 4)


def test_a_value_over_the_brokers_limit_is_refused_before_it_is_committed() -> None:
    longest = MAX_EVENT_BYTES - len(Small(name="").model_dump_json())
    assert outbox().rows([heard(1).emit(Small(name="x" * longest))])
    with pytest.raises(UnprocessableEvent, match="larger than the broker takes"):
        outbox().rows([heard(1).emit(Small(name="x" * (longest + 1)))])


@pytest.mark.parametrize("changes", [{"county": "9999\x00"}, {"event": Small(name="a\x00b")}])
def test_a_header_that_would_be_taken_for_two_is_refused_before_it_is_committed(changes: dict[str, Any]) -> None:
    """A zero byte is UTF-8 like any other; once it stood in the outbox, nothing behind it would be published."""
    with pytest.raises(UnprocessableEvent, match="a header with a zero byte"):
        outbox().rows([replace(heard(1).emit(Small(name="a")), **changes)])


def test_a_broadcast_event_goes_to_every_partition_each_time_with_an_id_of_its_own() -> None:
    class Everywhere(Small):
        kind: ClassVar[str] = "parts.Everywhere.v1"
        broadcast: ClassVar[bool] = True

    said = [heard(1).emit(Everywhere(name="a")), heard(1).emit(Everywhere(name="a")), heard(1).emit(Small(name="a"))]
    rows = outbox().rows(said)
    assert [row.partition for row in rows] == [*range(4), *range(4), partition_of("a", 4)]
    assert {(row.topic, row.key, row.value) for row in rows} == {("parts.v1", b"a", rows[0].value)}
    ids = [headers(row)["ce_id"] for row in rows]
    assert len(set(ids)) == 9
    assert [headers(row)["ce_id"] for row in outbox().rows(said)] == ids, "the same whenever it is said"


def test_a_tombstone_has_no_value() -> None:
    assert outbox().rows([heard(1).emit(Small(name="a", gone=True))])[0].value is None


def test_marks_go_to_every_partition_of_the_topics_that_carry_this_services_days() -> None:
    cause, story = day_page_ids(county="999901", service="parts", day=date(2026, 3, 1), index=2, resume=None)
    page = DayPage(
        day=date(2026, 3, 1), index=2, partitions=4, resume=None, limit=500, county=None,  # type: ignore[arg-type]
        now=datetime(2026, 3, 1, tzinfo=UTC), cause=cause, correlation=story, county_code="999901",
    )  # fmt: skip
    marks = outbox().watermarks(page)
    assert [(mark.topic, mark.partition) for mark in marks] == [*[("parts.v1", n) for n in range(4)], ("single.v1", 0)]
    assert {mark.value for mark in marks} == {b'{"day":"2026-03-01","producers":4}'}
    assert headers(marks[0])["ce_time"] == "2026-02-28T16:00:00+00:00", "midnight in the county"


def test_an_event_nobody_provisioned_is_not_said() -> None:
    class Elsewhere(Small):
        kind: ClassVar[str] = "parts.Elsewhere.v1"
        topic: ClassVar[str] = "others.v1"

    with pytest.raises(UnknownTopic, match="may not write"):
        outbox().rows([heard(1).emit(Elsewhere(name="a"))])


def test_without_its_keys_nothing_can_be_parked_or_buried() -> None:
    with pytest.raises(MissingSecret, match="parking_key"):
        ParkingCipher(Settings())


def test_a_partition_that_is_no_longer_what_it_was_says_why() -> None:
    def broken(found: Described, **changes: Any) -> str | None:
        values: dict[str, Any] = {
            "topic_id": "a",
            "partitions": 4,
            "next_offset": 10,
            "first_offset": 10,
            "compacted": False,
        }
        return cursor_check.cursor_problem(found, **(values | changes))

    assert broken(Described("a", 4)) is None
    assert "created again" in (broken(Described("b", 4)) or "")
    assert "8 partitions, not 4" in (broken(Described("a", 8)) or "")
    assert "10 is gone" in (broken(Described("a", 4), first_offset=11) or "")
    assert broken(Described("a", 4), first_offset=11, compacted=True) is None, "compaction takes what is replaced"


def test_nothing_new_is_no_reason_to_halt() -> None:
    """What left the window since made the share of the rest worse: that was judged when it was committed."""
    poison = CircuitBreaker(100, 0.5, 10)
    poison.record([False] * 7 + [True] * 3, 0)
    poison.record([True] * 3 + [False] * 3, 0)
    poison._recent.clear()
    poison._recent.extend([True] * 6 + [False] * 4)
    poison._bad = 6
    with pytest.raises(Halt):
        poison.check([False])
    assert poison.check([]) == 0


def test_nothing_is_copied_into_the_database() -> None:
    """While COPY waits for a client that is frozen no timeout of the server ends it, and a successor waits for ever."""
    root = Path(__file__).parents[2]
    calls = [
        f"{file.relative_to(root)}:{node.lineno}"
        for folder in ("runtime", "services")
        for file in sorted((root / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("copy_records_to_table", "copy_to_table")
    ]
    assert calls == []


def test_who_does_not_gather_cannot_keep_back() -> None:
    with pytest.raises(ValueError, match="does not linger"):
        parts(coalesce=True)
