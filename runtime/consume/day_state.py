"""The day that each partition index has completed."""

from collections.abc import Mapping
from datetime import date

from runtime.storage import sql
from runtime.storage.database import Database
from runtime.topic_catalogue import TopicCatalogue


async def load(pool: Database) -> dict[int, date | None]:
    """Return the day of every index."""
    rows = await pool.fetch(sql.DAYS)
    return {row["index"]: row["day"] for row in rows}


def reached(days: Mapping[int, date | None], topics: TopicCatalogue, topic: str, partition: int) -> date | None:
    """Return the day that a partition's index has completed; for a topic with one partition, the earliest of all."""
    if topics.topic(topic).partitions == "services":
        return days.get(partition)
    begun = [day for day in days.values() if day is not None]
    return min(begun) if days and len(begun) == len(days) else None
