"""The admin client, while one of three brokers is dead."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.embedded.stack import LocalStack
from runtime import Settings, kafka
from tests.runtime.harness import eventually

PARTITIONS = [("brokers", partition) for partition in range(6)]
"""Each broker leads two of them."""


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("three"), brokers=3, durable=False) as stack:
        admin = AdminClient(stack.kafka.admin_config)
        admin.create_topics([NewTopic("brokers", len(PARTITIONS), 3)])["brokers"].result(30)
        producer = Producer(stack.kafka.admin_config)
        for topic, partition in PARTITIONS:
            for _ in range(partition + 1):
                producer.produce(topic, b"said", partition=partition)
        assert producer.flush(30) == 0
        yield stack


async def test_a_dead_leader_raises_an_error_without_a_busy_loop(
    three_brokers: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing answer is no offset, the client waits between its requests, and then the new leader answers."""
    monkeypatch.setattr(kafka, "_WAIT", 3.0)
    cluster = three_brokers.kafka
    settings = Settings(
        kafka=cluster.bootstrap, kafka_user=cluster.admin_user, kafka_password=cluster.admin_password,
        postgres="", county="341722", partitions=4,
    )  # fmt: skip
    admin = kafka.Admin(settings, "test")
    ends = {partition: partition[1] + 1 for partition in PARTITIONS}
    assert await admin.end_offsets(PARTITIONS) == ends
    cluster.kill(0)
    worked, began = time.process_time(), time.monotonic()
    with pytest.raises(OSError, match="list offsets"):
        await admin.end_offsets(PARTITIONS)
    assert time.process_time() - worked < (time.monotonic() - began) / 4

    async def answered() -> bool:
        try:
            return await admin.end_offsets(PARTITIONS) == ends and await admin.first_offsets(
                PARTITIONS
            ) == dict.fromkeys(PARTITIONS, 0)
        except OSError:
            return False

    await eventually(answered, what="the new leaders answer")
    described = (await admin.describe(["brokers"]))["brokers"]
    assert described is not None
    assert described.partitions == len(PARTITIONS)
