"""Whatever bytes one unit sends, on the real broker: its neighbour's report is taken and answered meanwhile."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewTopic
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.county import CountyActivated
from deploy.embedded.stack import LocalStack
from runtime import Settings
from runtime.storage import migrations
from runtime.storage.sealing import new_keys
from tests.county import a_county
from tests.intake.harness import MIGRATIONS, SCHOOL
from tests.intake.test_actions import RENLI, an_action
from tests.runtime.harness import Process, World, eventually, servers_of

pytestmark = pytest.mark.timeout(600)
DATABASE = "intake_poison"
WRITABLE = (topics.DEPARTMENT.name_for(SCHOOL), topics.ACTION.name_for(SCHOOL))
"""All that a unit may write."""
KINDS = {
    WRITABLE[0]: ("department.Begin.v1", "department.Row.v1", "department.End.v1"),
    WRITABLE[1]: ("action.Action.v1",),
}
Headers = list[tuple[str, bytes | None]]
Message = tuple[str, bytes | None, bytes | None, Headers]
"""topic, key, value, headers"""

huge = st.sampled_from([b"9" * 4400, b"-1", b"9223372036854775808", "١٢".encode(), b"1" * 200_000])
moments = st.sampled_from([b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-12:00", b"2026-03-01T00:00:00", b"now"])
texts = st.sampled_from([b"", b"\xff\xfe", b"\xed\xa0\x80", b"a\x00b", "\u202e例".encode(), b"k" * 5000])
header_values = st.none() | st.binary(max_size=40) | huge | moments | texts
names = st.sampled_from(
    ["ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion", "ce_partitionkey", "ce_county", "ce_correlationid",
     "ce_causationid", "ce_sensitivity", "ce_producerid", "ce_sequence", "content-type", "ce_其他"]
)  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([10**400, "\ud800", "\0", "9" * 50_000, "9999-12-31", "0001-01-01T00:00:00+14:00"])
)  # fmt: skip
fields = st.sampled_from(
    ["submission", "dataset", "period", "columns", "rows", "number", "cells", "valid_on", "coverage", "verb", "role",
     "findings", "child", "referral", "at", "on", "days", "identity", "facts", "note", "file_sha256", "姓名"]
)  # fmt: skip
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=6), max_leaves=12
)
bodies = st.dictionaries(fields, trees, max_size=8).map(lambda body: json.dumps(body).encode())
deep = st.sampled_from(
    [b"[" * 200_000, b'{"cells":' * 5000, b'{"verb":"report","findings":' + b"[" * 990 + b"]" * 990 + b"}", b'"' * 9999]
)
values = st.none() | st.binary(max_size=200) | bodies | deep | st.just(b'{"number":' + b"9" * 4400 + b"}")


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Anything; often with the headers that an honest client sets, so that it is read a little further."""
    topic = draw(st.sampled_from(WRITABLE))
    honest: dict[str, bytes | None] = {}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(KINDS[topic]))
        honest = {"ce_id": str(draw(st.uuids())).encode(), "ce_source": b"/a client", "ce_type": kind.encode()}
    wrong = draw(st.dictionaries(names, header_values, max_size=5))
    return topic, draw(st.none() | st.binary(max_size=30) | texts), draw(values), list((honest | wrong).items())


class Intake:
    """The service as it runs, two units' topics, and what the neighbour is told."""

    def __init__(self, world: World, process: Process, database: asyncpg.Connection) -> None:
        self.world = world
        self.process = process
        self.database = database
        self._receipts = Consumer(world.stack.config() | {"group.id": f"reader-{uuid4()}", "enable.auto.commit": False})
        self._receipts.assign([TopicPartition(topics.RECEIPT.name_for(RENLI), 0, 0)])
        self._answered: dict[UUID, str] = {}

    def send(self, message: Message) -> None:
        topic, key, value, headers = message
        self.world.raw(topic, key, value, headers, 0)

    def report(self) -> UUID:
        """What the neighbour reports while all this is sent."""
        ce_id = uuid4()
        body = an_action("report", role="child_director").model_dump_json(exclude_none=True).encode()
        about = {"ce_id": str(ce_id), "ce_source": "/a neighbour", "ce_type": "action.Action.v1"}
        self.send(
            (topics.ACTION.name_for(RENLI), b"new", body, [(name, text.encode()) for name, text in about.items()])
        )
        return ce_id

    async def answer(self, ce_id: UUID) -> str:
        """Return the outcome on the other unit's receipt topic."""

        async def answered() -> bool:
            message = self._receipts.poll(0)
            while message is not None:
                assert message.error() is None
                body = json.loads(message.value() or b"{}")
                self._answered[UUID(body["ce_id"])] = body["outcome"]
                message = self._receipts.poll(0)
            return ce_id in self._answered

        await eventually(answered, what="the neighbour has its receipt")
        return self._answered[ce_id]

    async def passed(self) -> bool:
        """Return true if every cursor is at the end of its topic."""
        ends = {
            topic: self._receipts.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1] for topic in WRITABLE
        }
        rows = await self.database.fetch("select topic, next_offset from intake.consumer_cursor")
        cursors = {row["topic"]: row["next_offset"] for row in rows}
        return all(cursors[topic] == end for topic, end in ends.items())

    def close(self) -> None:
        self._receipts.close()


@pytest.fixture(scope="module")
async def intake(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    servers = servers_of(stack)
    admin = await asyncpg.connect(servers.postgres)
    await admin.execute(f'create database "{DATABASE}"')
    dsn = stack.postgres.dsn(stack.postgres.superuser, stack.postgres.superuser_password, DATABASE)
    database = await asyncpg.connect(dsn)
    folder = tmp_path_factory.mktemp("intake")
    world = World(servers, folder, database, ops_key=new_keys()[0])
    secrets = folder / "secrets.json"
    secrets.touch(mode=0o600)
    secrets.write_text(
        json.dumps(
            {
                "record_key": "00" * 32,
                "registry_public_key": new_keys()[1],
                "parking_key": new_keys()[0],
                "ops_public_key": new_keys()[1],
            }
        )
    )
    world.settings |= {"HUTONG_COUNTY": a_county().code, "HUTONG_POSTGRES": dsn}
    make_topics(world)
    world.house(CountyActivated(county=a_county(), active_from=date(2026, 1, 1), activated_by="测试"), "county.v1")
    await migrations.migrate("intake", Settings.from_environment(world.environment()), MIGRATIONS)
    process = Process(world, "services.intake.app:create")
    running = Intake(world, process, database)
    yield running
    running.close()
    process.kill()
    await database.close()
    await admin.execute(f'drop database "{DATABASE}" with (force)')
    await admin.close()


def make_topics(world: World) -> None:
    """Those of the two units, and what intake says to the services."""
    there = world.admin.list_topics(timeout=10).topics
    single = [*WRITABLE, topics.ACTION.name_for(RENLI), *(topics.RECEIPT.name_for(unit) for unit in (SCHOOL, RENLI))]
    shared = [topics.INTAKE_RECORD.name, topics.INTAKE_ACTION.name]
    wanted = [(name, 1) for name in single] + [(name, world.partitions) for name in shared]
    new = [NewTopic(name, many, 1) for name, many in wanted if name not in there]
    for future in world.admin.create_topics(new).values() if new else ():
        future.result(20)


def numbers_without_end() -> Iterator[Message]:
    for topic in WRITABLE:
        kind = KINDS[topic][-1].encode()
        about: Headers = [("ce_id", str(uuid4()).encode()), ("ce_source", b"/s"), ("ce_type", kind)]
        yield topic, b"k", b"{}", [*about, ("ce_producerid", b"9" * 4400), ("ce_sequence", b"9" * 4400)]


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(messages(), min_size=1, max_size=40))
@example(sent=list(numbers_without_end()))
@example(sent=[(topic, None, None, []) for topic in WRITABLE for _ in range(150)])
async def test_any_bytes_of_one_unit_leave_the_next_unit_served(intake: Intake, sent: list[Message]) -> None:
    for message in sent[: len(sent) // 2]:
        intake.send(message)
    ce_id = intake.report()
    for message in sent[len(sent) // 2 :]:
        intake.send(message)
    intake.world.flush()
    assert await intake.answer(ce_id) == "taken"
    await eventually(intake.passed, what="everything that was sent has been read")
    status, health = intake.process.get("/health")
    assert (status, intake.process.said("partition_halted")) == (200, []), health


async def test_a_message_without_readable_headers_is_answered(intake: Intake) -> None:
    """It is answered under a substitute id, so that a report without readable headers does not go unnoticed."""
    wrong: Any = [("ce_id", b"\xff"), ("ce_type", None), ("ce_time", b"9" * 4400), ("ce_sensitivity", b"\x00")]
    intake.send((topics.ACTION.name_for(RENLI), b"\xff", b"{}", wrong))
    intake.world.flush()
    before = set(intake._answered)

    async def answered() -> bool:
        await intake.answer(intake.report())
        return any(intake._answered[one] == "refused" for one in intake._answered.keys() - before)

    await eventually(answered, what="it is refused, and says so")
