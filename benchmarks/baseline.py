"""Measures the baseline: four concurrent hops of bare aiokafka and asyncpg, without any logic."""

import asyncio
import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import asyncpg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.embedded.stack import LocalStack

HOPS = 4
PAYLOAD = 350
"""Bytes."""

_TABLES = """
CREATE SCHEMA {schema};
SET search_path TO {schema};
CREATE TABLE cursor (partition int PRIMARY KEY, next_offset bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE producer (partition int PRIMARY KEY, next_seq bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE state (key bytea PRIMARY KEY, value bytea, version bigint NOT NULL DEFAULT 1);
CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, partition int, seq bigint, key bytea,
    value bytea);
INSERT INTO cursor (partition) SELECT generate_series(0, {partitions} - 1);
INSERT INTO producer (partition) SELECT generate_series(0, {partitions} - 1);
"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The time that all hops needed to pass the records on."""

    records: int
    seconds: float

    @property
    def rate(self) -> float:
        """Return the records per second through all four hops."""
        return self.records / self.seconds


def measure(stack: LocalStack, records: int, partitions: int) -> Baseline:
    """Load the first topic, start four hops together, and wait until the last has passed everything on."""
    asyncio.run(_prepare(stack, partitions))
    _topics(stack, partitions)
    _load(stack, records)
    config = json.dumps(
        {
            "kafka": stack.kafka.aiokafka_kwargs(stack.kafka.admin_user, stack.kafka.admin_password),
            "dsn": stack.postgres.superuser_dsn,
            "records": records,
            "partitions": partitions,
        }
    )
    started = time.perf_counter()
    hops = [subprocess.Popen([sys.executable, "-m", "benchmarks.hop", config, str(hop)]) for hop in range(HOPS)]
    try:
        for hop in hops:
            if hop.wait(timeout=600) != 0:
                raise SystemExit("a hop of the baseline failed; its error is above")
    finally:
        for hop in hops:
            if hop.poll() is None:
                hop.kill()
                hop.wait()
    return Baseline(records, time.perf_counter() - started)


async def _prepare(stack: LocalStack, partitions: int) -> None:
    session: Any = await asyncpg.connect(stack.postgres.superuser_dsn)
    try:
        for hop in range(HOPS):
            await session.execute(_TABLES.format(schema=f"baseline{hop}", partitions=partitions))
    finally:
        await session.close()


def _topics(stack: LocalStack, partitions: int) -> None:
    admin = AdminClient(stack.kafka.admin_config)
    wanted = [NewTopic(f"baseline.{hop}", num_partitions=partitions, replication_factor=1) for hop in range(HOPS + 1)]
    for created in admin.create_topics(wanted).values():
        created.result()


def _load(stack: LocalStack, records: int) -> None:
    rng = random.Random(1)
    producer = Producer(stack.kafka.admin_config | {"compression.type": "zstd", "linger.ms": 20})
    for number in range(records):
        value = json.dumps({"n": number, "pad": f"{rng.getrandbits(1200):0300x}"}).encode()[:PAYLOAD]
        producer.produce("baseline.0", value, key=f"child-{number % (records // 2)}")
        producer.poll(0)
    producer.flush()
