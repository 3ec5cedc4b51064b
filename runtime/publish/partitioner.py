"""The partition of a key, as Kafka's own clients compute it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def partition_of(key: str, partitions: int) -> int:
    """Return the partition of ``key`` in a topic with ``partitions`` partitions (Kafka's default partitioner)."""
    if partitions == 1:
        return 0
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions
