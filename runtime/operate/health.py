"""The health of one process: the problems that need a person, and the failures that a restart may end."""

import asyncio
import time
from collections.abc import Mapping

from runtime.consume.days import DayScheduler
from runtime.consume.group import ConsumerGroup
from runtime.operate.watchdog import Watchdog, stuck_handlers
from runtime.publish.relay import Relay
from runtime.settings import Settings


class Health:
    """The health of one service process. Before the database is open it has neither groups, days nor watchdog."""

    def __init__(self, settings: Settings, groups: Mapping[str, ConsumerGroup], relay: Relay) -> None:
        self._settings = settings
        self._groups = groups
        self._relay = relay
        self.days: DayScheduler | None = None
        self.watchdog: Watchdog | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.stopping = False
        self.created_at = time.monotonic()

    def problems(self) -> list[str]:
        """Return the problems that need a person."""
        problems = [
            f"{group.name} {topic}/{partition} halted: {reason}"
            for group in self._groups.values()
            for (topic, partition), reason in sorted(group.halted.items())
        ]
        problems += [
            f"{group.name} {processor.topic}/{processor.partition} has committed nothing for "
            f"{processor.uncommitted_seconds:.0f} s"
            for group in self._groups.values()
            for processor in group.processors
            if processor.uncommitted_seconds > self._settings.silence_timeout
        ]
        if self.days is not None:
            problems += [
                f"day's work of index {index} fails: {why}" for index, why in sorted(self.days.failing.items())
            ]
        if self._relay.halted is not None:
            problems.append(f"relay halted: {self._relay.halted}")
        if self._relay.failing is not None:
            problems.append(f"relay fails: {self._relay.failing}")
        return problems

    def liveness_failures(self) -> list[str]:
        """Return the failures that a restart may end."""
        timeout = self._settings.silence_timeout
        now = time.monotonic()
        failures = [
            f"consumer {group.name} is silent"
            for group in self._groups.values()
            if group.silent_since is not None and now - group.silent_since > timeout / 2
        ]
        failures += stuck_handlers(self._groups.values(), self._settings)
        if not self.tasks and not self.stopping and now - self.created_at > 2 * timeout:
            failures.append("it has been starting for too long")
        if self.tasks and self.watchdog is not None and now - self.watchdog.checked_at > timeout:
            failures.append("the watchdog has not checked for too long")
        failures += [f"task {task.get_name()} has ended" for task in self.tasks if task.done() and not self.stopping]
        return failures

    def unready(self) -> list[str]:
        """Return the reasons for which the process is not ready yet."""
        if not self.tasks:
            return ["starting"]
        return [f"consumer {group.name} has no partitions" for group in self._groups.values() if not group.assignments]
