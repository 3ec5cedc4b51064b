"""What the system emitted, as read from outside. Nothing of Hutong is imported in this package.

The topics are read as any Kafka client with the operator's rights could read them, and two tables of the registry
(which record lies in which file). All of it is compared with ``truth.json``.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.kafka_client import KafkaClient, Record


@dataclass(frozen=True, slots=True)
class Check:
    """One checked statement about the outcome."""

    statement: str
    """The statement, in words that a newcomer understands."""
    examined: int
    failures: tuple[str, ...]
    """One line for each violation, with codes and ids only."""

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(slots=True)
class Outcome:
    """Everything that the system emitted, as read from outside."""

    truth: dict[str, Any]
    topics: dict[str, list[Record]]
    record_child: dict[str, str]
    """Record -> its child's file, with mergers followed."""
    sent: dict[str, str]
    """Submission id in the ground truth -> the id under which it was sent."""
    last_day: str
    children: dict[str, dict[str, Any]] = field(init=False)
    events: dict[str, list[Record]] = field(init=False)
    """Topic -> its events, each once."""

    def __post_init__(self) -> None:
        self.children = {child["key"]: child for child in self.truth["children"]}
        self.events = {topic: list(deduplicated(records)) for topic, records in self.topics.items()}

    def of(self, prefix: str, kind: str | None = None) -> Iterator[Record]:
        """Events of all topics with this prefix."""
        for topic in sorted(self.events):
            if topic.startswith(prefix):
                for record in self.events[topic]:
                    if record.body is not None and (kind is None or record.kind == kind):
                        yield record


def deduplicated(records: Iterable[Record]) -> Iterator[Record]:
    """Yield each event once, by partition and ``ce_id``. A tombstone has an id of its own."""
    seen: set[tuple[int, str]] = set()
    for record in records:
        mark = (record.partition, record.ce_id)
        if mark not in seen:
            seen.add(mark)
            yield record


def read_topics(client: KafkaClient, names: Sequence[str]) -> dict[str, list[Record]]:
    """Every record of every topic."""
    return {name: list(client.read_new(name)) for name in names}


def read_truth(path: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(path.read_text())
    return truth
