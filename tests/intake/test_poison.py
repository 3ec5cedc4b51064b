"""On the real broker, a unit's report is accepted and answered while another unit sends arbitrary bytes."""

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
from tests.runtime.harness import ModelSystem, Process, eventually, servers_of

pytestmark = pytest.mark.timeout(600)
DATABASE = "intake_poison"
WRITABLE = (
    topics.DEPARTMENT.name_for(SCHOOL),
    topics.ACTION.name_for(SCHOOL),
    topics.RESTRICTED_ACTION.name_for(SCHOOL),
)
"""The topics that a unit may write, from its two log-ins."""
KINDS = {
    WRITABLE[0]: ("department.Begin.v1", "department.Row.v1", "department.End.v1"),
    WRITABLE[1]: ("action.Action.v1",),
    WRITABLE[2]: ("action.Action.v1",),
}
Headers = list[tuple[str, bytes | None]]
Message = tuple[str, bytes | None, bytes | None, Headers]
"""A topic, a key, a value and headers."""

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
    """Return any message, often with the headers that a regular client sets, so that more of it is decoded."""
    topic = draw(st.sampled_from(WRITABLE))
    regular: dict[str, bytes | None] = {}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(KINDS[topic]))
        regular = {"ce_id": str(draw(st.uuids())).encode(), "ce_source": b"/a client", "ce_type": kind.encode()}
    wrong = draw(st.dictionaries(names, header_values, max_size=5))
    return topic, draw(st.none() | st.binary(max_size=30) | texts), draw(values), list((regular | wrong).items())


class Intake:
    """The running service, the topics of two units, and the receipts of the other unit."""

    def __init__(self, system: ModelSystem, process: Process, database: asyncpg.Connection) -> None:
        self.system = system
        self.process = process
        self.database = database
        self._receipts = Consumer(
            system.stack.config() | {"group.id": f"reader-{uuid4()}", "enable.auto.commit": False}
        )
        self._receipts.assign([TopicPartition(topics.RECEIPT.name_for(RENLI), 0, 0)])
        self._answered: dict[UUID, str] = {}

    def send(self, message: Message) -> None:
        topic, key, value, headers = message
        self.system.produce(topic, key, value, headers, 0)

    def report(self) -> UUID:
        """Send the report of the other unit; return its ``ce_id``."""
        ce_id = uuid4()
        body = an_action("report", role="child_director").model_dump_json(exclude_none=True).encode()
        headers = {"ce_id": str(ce_id), "ce_source": "/a neighbour", "ce_type": "action.Action.v1"}
        self.send(
            (topics.ACTION.name_for(RENLI), b"new", body, [(name, text.encode()) for name, text in headers.items()])
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

        await eventually(answered, what="the other unit has its receipt")
        return self._answered[ce_id]

    async def has_consumed_everything(self) -> bool:
        """Return whether every cursor is at the end of its topic."""
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
    system = ModelSystem(servers, folder, database, ops_key=new_keys()[0])
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
    system.settings |= {"HUTONG_COUNTY": a_county().code, "HUTONG_POSTGRES": dsn}
    create_topics(system)
    system.produce_system_event(
        CountyActivated(county=a_county(), active_from=date(2026, 1, 1), activated_by="测试"), "county.v1"
    )
    await migrations.migrate("intake", Settings.from_environment(system.environment()), MIGRATIONS)
    process = Process(system, "services.intake.app:create")
    running = Intake(system, process, database)
    yield running
    running.close()
    process.kill()
    await database.close()
    await admin.execute(f'drop database "{DATABASE}" with (force)')
    await admin.close()


def create_topics(system: ModelSystem) -> None:
    """Create the topics of the two units and those of intake's events."""
    existing = system.admin.list_topics(timeout=10).topics
    receipts = [
        *(topics.RECEIPT.name_for(unit) for unit in (SCHOOL, RENLI)),
        topics.RESTRICTED_RECEIPT.name_for(SCHOOL),
    ]
    single = [*WRITABLE, topics.ACTION.name_for(RENLI), *receipts]
    shared = [topics.INTAKE_RECORD.name, topics.INTAKE_ACTION.name]
    partitions_by_topic = [(name, 1) for name in single] + [(name, system.partitions) for name in shared]
    new = [NewTopic(name, partitions, 1) for name, partitions in partitions_by_topic if name not in existing]
    for future in system.admin.create_topics(new).values() if new else ():
        future.result(20)


def endless_numbers() -> Iterator[Message]:
    for topic in WRITABLE:
        kind = KINDS[topic][-1].encode()
        headers: Headers = [("ce_id", str(uuid4()).encode()), ("ce_source", b"/s"), ("ce_type", kind)]
        yield topic, b"k", b"{}", [*headers, ("ce_producerid", b"9" * 4400), ("ce_sequence", b"9" * 4400)]


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(messages(), min_size=1, max_size=40))
@example(sent=list(endless_numbers()))
@example(sent=[(topic, None, None, []) for topic in WRITABLE for _ in range(150)])
async def test_arbitrary_bytes_of_one_unit_do_not_delay_another_unit(intake: Intake, sent: list[Message]) -> None:
    for message in sent[: len(sent) // 2]:
        intake.send(message)
    ce_id = intake.report()
    for message in sent[len(sent) // 2 :]:
        intake.send(message)
    intake.system.flush()
    assert await intake.answer(ce_id) == "taken"
    await eventually(intake.has_consumed_everything, what="everything that was sent has been read")
    status, health = intake.process.get("/health")
    assert (status, intake.process.logged("partition_halted")) == (200, []), health


async def test_a_message_without_readable_headers_is_answered(intake: Intake) -> None:
    """It is answered under a substitute id, so that a report without readable headers does not go unnoticed."""
    wrong: Any = [("ce_id", b"\xff"), ("ce_type", None), ("ce_time", b"9" * 4400), ("ce_sensitivity", b"\x00")]
    intake.send((topics.ACTION.name_for(RENLI), b"\xff", b"{}", wrong))
    intake.system.flush()
    before = set(intake._answered)

    async def answered() -> bool:
        await intake.answer(intake.report())
        return any(intake._answered[each] == "refused" for each in intake._answered.keys() - before)

    await eventually(answered, what="the message is refused with a receipt")
