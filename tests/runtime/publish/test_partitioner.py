"""Partitions are those of Kafka's default partitioner."""

import pytest

from runtime import partition_of


@pytest.mark.parametrize(
    ("text", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536),
     ("a-little-bit-longer-string", -1486304829), ("abc", 479470107),
     ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)],
)  # fmt: skip
def test_partitions_are_those_of_kafkas_default_partitioner(text: str, hashed: int) -> None:
    """Figures of Kafka's own test of ``Utils.murmur2``."""
    assert {n: partition_of(text, n) for n in range(1, 25)} == {n: (hashed & 0x7FFFFFFF) % n for n in range(1, 25)}
