"""Checks that an input partition is still the one that its cursor was created for."""

from runtime.kafka import Described


def cursor_problem(
    described: Described, *, topic_id: str, partitions: int, next_offset: int, first_offset: int, compacted: bool
) -> str | None:
    """Return the reason for which a partition must halt, or None.

    Offsets alone are not enough: a topic that was deleted, created and filled again has plausible ones.
    """
    if described.topic_id != topic_id:
        return "the topic was created again: its offsets mean other records"
    if described.partitions != partitions:
        return f"the topic has {described.partitions} partitions, not {partitions}"
    if first_offset > next_offset and not compacted:
        return f"retention overran the cursor: {next_offset} is gone"
    return None
