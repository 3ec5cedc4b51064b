"""Finds a topic's entry in ``contracts.topics`` by the name it has on the broker."""

import re
from collections.abc import Iterable

from contracts.topics import UNIT, Topic
from runtime.errors import UnknownTopic


class TopicCatalogue:
    """The topics by concrete name; families match by their pattern."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._families: list[tuple[re.Pattern[str], Topic]] = []
        self._topics: dict[str, Topic] = {}
        for topic in topics:
            if UNIT in topic.name:
                pattern = re.escape(topic.name).replace(re.escape(UNIT), r"[^.]+")
                self._families.append((re.compile(pattern), topic))
            else:
                self._topics[topic.name] = topic
        self._single = tuple(self._topics.values())

    def topic(self, name: str) -> Topic:
        """Return the entry of one topic.

        Raises:
            UnknownTopic: ``contracts.topics`` has no such topic.
        """
        topic = self._topics.get(name)
        if topic is None:
            topic = next((topic for pattern, topic in self._families if pattern.fullmatch(name)), None)
            if topic is None:
                raise UnknownTopic(f"contracts.topics has no {name}")
            self._topics[name] = topic
        return topic

    @property
    def single_names(self) -> list[str]:
        """The topics that are no families."""
        return [topic.name for topic in self._single]

    def partitions(self, name: str, configured: int) -> int:
        """Return a topic's number of partitions, which is ``configured`` for topics that services share."""
        return configured if self.topic(name).partitions == "services" else 1

    def is_written_by_units(self, name: str) -> bool:
        """Return whether units write the topic themselves, so that its headers are unverified claims."""
        return any(UNIT in writer for writer in self.topic(name).writers)

    def watermark_topics(self, service: str) -> list[str]:
        """Return the topics on which ``service`` writes a watermark for every completed day."""
        return [topic.name for topic in self._single if topic.carries_watermarks and service in topic.writers]
