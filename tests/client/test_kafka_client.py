"""A unit's own client reads what was written, each record once, and reports a refusal."""

import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from client.kafka_client import BrokerRefusedError, KafkaClient
from deploy.embedded.kafka import ClientConfig


@pytest.fixture
def topic(kafka_admin: ClientConfig) -> str:
    name = f"unit.{secrets.token_hex(6)}"
    admin = AdminClient(kafka_admin)
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(30)
    return name


@pytest.fixture
def client(kafka_admin: ClientConfig) -> Iterator[KafkaClient]:
    opened = KafkaClient(kafka_admin, "unit")
    yield opened
    opened.close()


def test_records_are_read_once_and_in_the_order_of_their_key(client: KafkaClient, topic: str) -> None:
    for number in range(20):
        client.send(topic, "unit.Row.v1", f"key-{number % 4}", {"number": number})
    client.flush()

    read = list(client.read_new(topic))

    assert {record.kind for record in read} == {"unit.Row.v1"}
    for key in range(4):
        assert [record.body["number"] for record in read if record.key == f"key-{key}"] == list(range(key, 20, 4))
    assert list(client.read_new(topic)) == []


def test_an_event_sent_again_keeps_its_id_and_is_read_twice(client: KafkaClient, topic: str) -> None:
    first = client.send(topic, "unit.Row.v1", "key", {"number": 1})
    client.send(topic, "unit.Row.v1", "key", {"number": 1}, ce_id=first)
    client.flush()

    assert [record.ce_id for record in client.read_new(topic)] == [first, first]


def test_a_topic_that_is_not_there_is_refused_by_name(client: KafkaClient) -> None:
    with pytest.raises(BrokerRefusedError, match=r"^unit\.nobody: "):
        list(client.read_new("unit.nobody"))


def test_it_imports_no_other_package_of_hutong() -> None:
    code = (
        "import sys; import client.kafka_client; "
        "print(sorted({n.split('.')[0] for n in sys.modules} & "
        "{'contracts', 'workbooks', 'county', 'runtime', 'services', 'deploy', 'cli', 'demo'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
