"""Three brokers, of which one dies."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.embedded.stack import LocalStack
from runtime import Settings, kafka
from tests.runtime.harness import eventually

PLACES = [("brokers", partition) for partition in range(6)]
"""Two for each broker to lead."""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("three"), brokers=3, durable=False) as stack:
        admin = AdminClient(stack.kafka.admin_config)
        admin.create_topics([NewTopic("brokers", len(PLACES), 3)])["brokers"].result(30)
        producer = Producer(stack.kafka.admin_config)
        for topic, partition in PLACES:
            for _ in range(partition + 1):
                producer.produce(topic, b"said", partition=partition)
        assert producer.flush(30) == 0
        yield stack


async def test_a_leader_that_is_dead_is_neither_believed_nor_besieged(
    three: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it cannot say is not taken for an offset; it is asked in peace; and then its successor answers."""
    monkeypatch.setattr(kafka, "_WAIT", 3.0)
    cluster = three.kafka
    settings = Settings(
        kafka=cluster.bootstrap, kafka_user=cluster.admin_user, kafka_password=cluster.admin_password,
        postgres="", county="341722", partitions=4,
    )  # fmt: skip
    admin = kafka.Admin(settings, "test")
    ends = {place: place[1] + 1 for place in PLACES}
    assert await admin.end_offsets(PLACES) == ends
    cluster.kill(0)
    worked, began = time.process_time(), time.monotonic()
    with pytest.raises(OSError, match="list offsets"):
        await admin.end_offsets(PLACES)
    assert time.process_time() - worked < (time.monotonic() - began) / 4

    async def answered() -> bool:
        try:
            return await admin.end_offsets(PLACES) == ends and await admin.first_offsets(PLACES) == dict.fromkeys(
                PLACES, 0
            )
        except OSError:
            return False

    await eventually(answered, what="its successors answer")
    found = (await admin.describe(["brokers"]))["brokers"]
    assert found is not None
    assert found.partitions == len(PLACES)
