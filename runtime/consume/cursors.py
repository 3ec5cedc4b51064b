"""The stored cursors of a consumer's partitions."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.context import RuntimeContext
from runtime.errors import MissingTopics
from runtime.records import TopicPartition
from runtime.storage import sql


async def load(
    context: RuntimeContext, consumer: str, places: Sequence[TopicPartition]
) -> Mapping[TopicPartition, Any]:
    """Return the cursors of some partitions; missing ones are created at the beginning of the log.

    Raises:
        OSError: the broker did not answer.
    """
    stored = await stored_cursors(context, consumer)
    missing = [place for place in places if place not in stored]
    if missing:
        await _create(context, consumer, missing)
        stored = await stored_cursors(context, consumer)
    return stored


async def stored_cursors(context: RuntimeContext, consumer: str) -> dict[TopicPartition, Any]:
    """Return every cursor of a consumer."""
    rows = await context.pool.fetch(sql.CURSORS, consumer)
    return {(row["topic"], row["partition"]): row for row in rows}


async def prepare(context: RuntimeContext, consumer: str, topics: Sequence[str]) -> None:
    """Create the missing cursors of these topics' partitions.

    Raises:
        MissingTopics: a topic is missing or has another number of partitions.
    """
    described = await context.admin.describe(topics)
    places: list[TopicPartition] = []
    wrong: list[str] = []
    for name in topics:
        topic = described.get(name)
        wanted = context.topics.partitions(name, context.settings.partitions)
        if topic is None or topic.partitions != wanted:
            wrong.append(f"{name} ({topic.partitions if topic else 0} partitions, not {wanted})")
        places += [(name, partition) for partition in range(wanted)]
    if wrong:
        raise MissingTopics(", ".join(wrong))
    await load(context, consumer, places)


async def _create(context: RuntimeContext, consumer: str, missing: Sequence[TopicPartition]) -> None:
    described = await context.admin.describe({topic for topic, _ in missing})
    there = [(place, topic) for place in missing if (topic := described.get(place[0])) is not None]
    first = await context.admin.first_offsets([place for place, _ in there])
    names = [consumer] * len(there)
    topics = [place[0] for place, _ in there]
    partitions = [place[1] for place, _ in there]
    async with context.pool.acquire() as session, session.transaction():
        await session.execute(sql.NEW_PRODUCER_IDS, names, topics, partitions)
        await session.execute(
            sql.NEW_CURSORS,
            names,
            topics,
            partitions,
            [first[place] for place, _ in there],
            [topic.topic_id for _, topic in there],
        )
