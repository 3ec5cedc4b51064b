"""The embedded stack answers, refuses unknown users, keeps its data and never outlives its owner."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as AIOKafkaError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.embedded import StackError, jars
from deploy.embedded.errors import from_server
from deploy.embedded.kafka import ClientConfig, EmbeddedKafka
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.embedded.stack import STATE, LocalStack, lock_holder, read_state
from tests.conftest import Database, embedded_only

ROOT = Path(__file__).resolve().parents[3]
QUIET = {"log_level": "0"}


def make_topic(admin: ClientConfig, name: str) -> None:
    client = AdminClient(admin)
    for future in client.create_topics([NewTopic(name, 1, 1)]).values():
        future.result(15)


async def read_one(kwargs: dict[str, str], topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, auto_offset_reset="earliest", enable_auto_commit=False, **kwargs)
    await consumer.start()
    try:
        value: bytes | None = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()


async def write_one(kwargs: dict[str, str], topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(**kwargs)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def test_an_event_passes_through_kafka_and_a_row_through_postgres(
    kafka_admin: ClientConfig, kafka_kwargs: dict[str, str], database: Database
) -> None:
    topic = f"round-trip-{uuid.uuid4()}"
    make_topic(kafka_admin, topic)
    await write_one(kafka_kwargs, topic, "护童".encode())
    assert await read_one(kafka_kwargs, topic) == "护童".encode()

    connection = await asyncpg.connect(database.dsn)
    try:
        assert await connection.fetchval("SELECT current_setting('server_version_num')::int / 10000") == 18
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SELECT current_database()") == database.name
    finally:
        await connection.close()


def test_kafka_refuses_a_wrong_password(kafka: EmbeddedKafka) -> None:
    codes: list[int] = []
    client = AdminClient(
        {**kafka.client_config(kafka.admin_user, "wrong"), **QUIET}, error_cb=lambda error: codes.append(error.code())
    )
    while KafkaError._AUTHENTICATION not in codes:
        client.poll(0.1)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.1)


async def test_postgres_refuses_a_wrong_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn(postgres.superuser, "wrong"))


async def test_a_user_without_access_is_denied(kafka: EmbeddedKafka, kafka_admin: ClientConfig) -> None:
    topic = f"closed-{uuid.uuid4()}"
    make_topic(kafka_admin, topic)
    user = f"stranger-{uuid.uuid4()}"
    credential = UserScramCredentialUpsertion(
        user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"known to it"
    )
    client = AdminClient(kafka_admin)
    for future in client.alter_user_scram_credentials([credential]).values():
        future.result(15)

    with pytest.raises(AIOKafkaError, match=r"(?i)authoriz"):
        await write_one(kafka.aiokafka_kwargs(user, "known to it"), topic, b"no")


def test_a_jar_with_one_changed_byte_is_refused_by_name(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    kept = {path.name: path for path in jars.fetch()}
    for name, path in kept.items():
        (tmp_path / name).symlink_to(path)
    changed = tmp_path / f"kafka-clients-{jars.KAFKA}.jar"
    changed.unlink()
    content = bytearray(kept[changed.name].read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)

    with pytest.raises(StackError, match=rf"^{changed.name} is not the jar"):
        jars.fetch(tmp_path)


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "lock").symlink_to(tmp_path / "theirs")

    with pytest.raises(OSError, match="symbolic link"), jars.exclusive(tmp_path, "lock"):
        pass
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_the_lock_names_every_jar_once_and_no_address() -> None:
    text = jars.LOCK.read_text("utf-8")
    assert "://" not in text
    names = [jar.name for jar in jars.read_lock()]
    assert len(names) == len(set(names))
    assert {f"kafka_2.13-{jars.KAFKA}.jar", f"kafka-clients-{jars.KAFKA}.jar"} <= set(names)


async def test_a_stack_keeps_its_data_through_restart_and_kill(stack_class: type[LocalStack], tmp_path: Path) -> None:
    with stack_class(tmp_path / "stack") as stack:
        kwargs = stack.kafka.aiokafka_kwargs(stack.kafka.admin_user, stack.kafka.admin_password)
        make_topic(stack.kafka.admin_config, "kept")
        await write_one(kwargs, "kept", b"still here")
        connection = await asyncpg.connect(stack.postgres.superuser_dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        await connection.close()
        bootstrap = stack.kafka.bootstrap

        stack.restart()
        assert stack.kafka.bootstrap == bootstrap
        assert await read_one(kwargs, "kept") == b"still here"

        stack.kafka.kill()
        stack.postgres.kill()
        stack.kafka.start()
        stack.postgres.start()
        assert await read_one(kwargs, "kept") == b"still here"
        connection = await asyncpg.connect(stack.postgres.superuser_dsn)
        assert await connection.fetchval("SELECT number FROM kept") == 7
        await connection.close()

        with pytest.raises(StackError, match="already running"):
            stack_class(tmp_path / "stack").start()


@embedded_only
async def test_the_records_that_a_killed_broker_recovers_are_counted(tmp_path: Path) -> None:
    """The start waits for these log lines: another version of Kafka must still write them."""
    kafka = EmbeddedKafka(tmp_path / "kafka", brief=True)
    try:
        kafka.start()
        client = AdminClient(kafka.admin_config)
        for future in client.create_topics([NewTopic("kept", 1, 1, config={"segment.bytes": str(2**20)})]).values():
            future.result(15)
        kwargs = kafka.aiokafka_kwargs(kafka.admin_user, kafka.admin_password)
        for number in range(5):
            await write_one(kwargs, "kept", bytes([number]) * 700_000)
        kafka.kill()
        kafka.start()
        assert kafka._recovery[0].count() >= 6  # the metadata, the topic's segments, the topic
        assert await read_one(kwargs, "kept") == bytes(700_000)
    finally:
        kafka.kill()


@embedded_only
def test_no_process_remains_after_its_owner_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from deploy.embedded.stack import LocalStack
        stack = LocalStack(Path(sys.argv[1]))
        stack.start()
        print(stack.kafka.pid, stack.postgres.pid, flush=True)
        time.sleep(600)
        """
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "stack")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HUTONG_HOME": str(jars.home())},
    )
    assert owner.stdout is not None
    try:
        line = owner.stdout.readline()
        assert line, "the stack did not start"
        family = psutil.Process(owner.pid).children(recursive=True)
        assert {int(pid) for pid in line.split()} <= {process.pid for process in family}
        assert any("postgres" in process.name() for process in family)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        owner.stdout.close()

    def alive(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + 15
    while any(map(alive, family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [process for process in family if alive(process)]


@embedded_only
def test_a_port_in_use_is_reported_in_one_sentence(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        second = EmbeddedKafka(tmp_path / "kafka", port=port)
        with pytest.raises(StackError, match=f"^Port {port} is taken"):
            second.start()
        third = EmbeddedPostgres(tmp_path / "postgres", port=port)
        with pytest.raises(StackError, match=f"^Port {port} is taken"):
            third.start()


@embedded_only
def test_an_automatically_chosen_port_may_change_at_the_next_start(tmp_path: Path) -> None:
    """The free port of the first start may belong to somebody else after the machine has restarted."""
    directory = tmp_path / "postgres"
    first = EmbeddedPostgres(directory, port=0, durable=False)
    first.start()
    port = first.port
    first.restart()
    assert first.port == port
    first.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert port is not None
        other.bind(("127.0.0.1", port))
        other.listen()
        second = EmbeddedPostgres(directory, port=0, durable=False)
        second.start()
        second.stop()
    assert second.port not in (None, 0, port)
    assert second.superuser_password == first.superuser_password


def test_a_server_without_disk_space_is_reported_as_a_full_disk() -> None:
    line = 'FATAL:  could not write to file "base/4/1247": No space left on device.'
    assert str(from_server(line, "PostgreSQL's data could not be made")) == (
        "The disk is full: PostgreSQL's data could not be made."
    )
    assert str(from_server("FATAL:  no", "It could not be made")) == "It could not be made: FATAL:  no"


def test_the_owner_of_a_stack_is_known_only_while_it_runs(tmp_path: Path) -> None:
    """The state file of a killed owner remains but names no running owner."""
    stack = LocalStack(tmp_path)
    (tmp_path / STATE).write_text("{}")
    assert (lock_holder(tmp_path), read_state(tmp_path)) == (None, None)
    stack._lock_directory()
    try:
        assert (lock_holder(tmp_path), read_state(tmp_path)) == (os.getpid(), None)
        with pytest.raises(StackError, match="already running"):
            LocalStack(tmp_path).start()
        assert lock_holder(tmp_path) == os.getpid()
    finally:
        stack.stop()
    assert lock_holder(tmp_path) is None


@embedded_only
def test_only_the_owner_can_read_a_servers_log(postgres: EmbeddedPostgres, kafka: EmbeddedKafka) -> None:
    assert [stat.S_IMODE(log.stat().st_mode) for log in (postgres.log, kafka.log)] == [0o600, 0o600]


@embedded_only
def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 20) / "postgres"
    server = EmbeddedPostgres(directory, durable=False)
    server.start()
    try:
        sockets = server.socket_directory
        assert not sockets.is_relative_to(directory)
        server.kill()
        server.start()
        assert server.socket_directory == sockets
    finally:
        server.stop()
    assert not sockets.exists()
    shutil.rmtree(directory, ignore_errors=True)
