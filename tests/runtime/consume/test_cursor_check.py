"""A cursor that no longer fits its partition is reported with the reason."""

from typing import Any

from runtime.consume import cursor_check
from runtime.kafka import Described


def test_a_changed_partition_has_a_cursor_problem() -> None:
    def problem_of(described: Described, **changes: Any) -> str | None:
        values: dict[str, Any] = {
            "topic_id": "a",
            "partitions": 4,
            "next_offset": 10,
            "first_offset": 10,
            "compacted": False,
        }
        return cursor_check.cursor_problem(described, **(values | changes))

    assert problem_of(Described("a", 4)) is None
    assert "created again" in (problem_of(Described("b", 4)) or "")
    assert "8 partitions, not 4" in (problem_of(Described("a", 8)) or "")
    assert "10 is gone" in (problem_of(Described("a", 4), first_offset=11) or "")
    assert problem_of(Described("a", 4), first_offset=11, compacted=True) is None, "compaction deletes replaced records"
