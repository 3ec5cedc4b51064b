"""Runs one hop of the baseline: reads a batch, saves a row per record, writes an outbox and relays it.

``python -m benchmarks.hop <configuration as JSON> <hop>`` ends when the hop has passed all records on.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

BATCH = 1000


async def run(config: dict[str, Any], hop: int) -> None:
    source, target, records = f"baseline.{hop}", f"baseline.{hop + 1}", int(config["records"])
    partitions = int(config["partitions"])
    pool = await asyncpg.create_pool(
        config["dsn"], min_size=2, max_size=2, server_settings={"search_path": f"baseline{hop}"}
    )
    consumer = AIOKafkaConsumer(
        **config["kafka"], enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=BATCH
    )
    producer = AIOKafkaProducer(
        **config["kafka"], enable_idempotence=True, acks="all", compression_type="zstd", max_batch_size=256 * 1024
    )
    consumer.assign([TopicPartition(source, partition) for partition in range(partitions)])
    await consumer.start()
    await producer.start()
    inserted = asyncio.Event()
    try:
        relay = asyncio.create_task(_relay(pool, producer, target, records, inserted))
        seen = 0
        while seen < records:
            for topic_partition, batch in (await consumer.getmany(timeout_ms=100, max_records=BATCH)).items():
                await _apply(pool, topic_partition.partition, batch)
                inserted.set()
                seen += len(batch)
        await relay
    finally:
        await producer.stop()
        await consumer.stop()
        await pool.close()


async def _apply(pool: Any, partition: int, batch: Sequence[Any]) -> None:
    async with pool.acquire() as session, session.transaction():
        cursor = await session.fetchval("SELECT next_offset FROM cursor WHERE partition = $1 FOR UPDATE", partition)
        fresh = [record for record in batch if record.offset >= cursor]
        if not fresh:
            return
        latest = {record.key: record.value for record in fresh}
        await session.execute(
            "INSERT INTO state AS s (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[])"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = s.version + 1",
            list(latest),
            list(latest.values()),
        )
        first = await session.fetchval(
            "UPDATE producer SET next_seq = next_seq + $2 WHERE partition = $1 RETURNING next_seq - $2",
            partition,
            len(fresh),
        )
        await session.copy_records_to_table(
            "outbox",
            columns=["partition", "seq", "key", "value"],
            records=[(partition, first + n, record.key, record.value) for n, record in enumerate(fresh)],
        )
        last = fresh[-1].offset
        await session.execute("UPDATE cursor SET next_offset = $2 WHERE partition = $1", partition, last + 1)


async def _relay(pool: Any, producer: AIOKafkaProducer, target: str, records: int, inserted: asyncio.Event) -> None:
    sent = 0
    while sent < records:
        inserted.clear()
        async with pool.acquire() as session:
            rows = await session.fetch(
                "SELECT position, partition, seq, key, value FROM outbox ORDER BY position LIMIT $1", BATCH
            )
            if rows:
                futures = [
                    await producer.send(
                        target,
                        row["value"],
                        key=row["key"],
                        partition=row["partition"],
                        headers=[("seq", str(row["seq"]).encode())],
                    )
                    for row in rows
                ]
                await asyncio.gather(*futures)
                await session.execute("DELETE FROM outbox WHERE position <= $1", rows[-1]["position"])
                sent += len(rows)
                continue
        await inserted.wait()


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.argv[1]), int(sys.argv[2])))
