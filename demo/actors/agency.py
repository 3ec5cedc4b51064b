"""An agency's own system (in the demo: the police's): reads its queues and its disclosures, and answers.

A restricted referral is read, opened and answered by the second log-in alone, with a key of its own. It is written
against the departments' guide alone: nothing of Hutong is imported. A queue is a table keyed by referral; an event seen
before (``ce_id``) is dropped; what it may know of a child is a JWE to its own key.
"""

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from joserfc import jwe
from joserfc.jwk import ECKey

from client.kafka_client import KafkaClient

NAMESPACE = UUID("b3a0c3c4-5a0e-5d3e-8d58-1f3f0a1d9a10")


@dataclass(slots=True)
class AgencyCase:
    """One referral in this agency's queue."""

    entry: dict[str, Any]
    restricted: bool
    accepted_on: int | None = None
    """Day of the demo, counted from 0."""
    answered: int = 0
    """The version that was answered last."""


class AgencySystem:
    """An agency's system and staff, which process its referrals.

    ``clients`` and ``private_keys`` are keyed by whether the log-in is the one for restricted matters. ``returns`` is
    the number of ordinary referrals that it returns as 不属本单位.
    """

    def __init__(
        self,
        unit: str,
        role: str,
        clients: Mapping[bool, KafkaClient],
        private_keys: Mapping[bool, Mapping[str, str]],
        *,
        returns: int = 0,
        days_to_result: int = 3,
    ) -> None:
        self.unit = unit
        self._role = role
        self._clients = clients
        self._keys = {restricted: ECKey.import_key(dict(key)) for restricted, key in private_keys.items()}
        self._returns_left = returns
        self._days = days_to_result
        self.cases: dict[str, AgencyCase] = {}
        self.disclosed: dict[str, dict[str, str]] = {}
        """Disclosed identity by referral, removed at the tombstone."""
        self.seen: set[str] = set()
        self.duplicates = 0
        self.opened = 0
        """Disclosures that could be read."""
        self.answered: list[tuple[str, str]] = []
        """(verb, referral) in the order sent."""
        self.returned: list[str] = []

    def topics(self) -> tuple[str, ...]:
        """Return the topics that it reads."""
        return tuple(
            name for restricted in self._clients for name in (self._queue(restricted), self._disclosures(restricted))
        )

    def work(self, day: int, grown: Container[str]) -> int:
        """Read new events, send the answers due on this day of the demo and return their number.

        ``grown`` holds the topics with new events.
        """
        self.read(grown)
        before = len(self.answered)
        for referral, matter in sorted(self.cases.items()):
            if matter.answered >= matter.entry["version"]:
                continue  # the answer to this state is on its way
            for verb, more in self._due(matter, day):
                self._answer(verb, referral, matter, **more)
        for client in self._clients.values():
            client.flush()
        return len(self.answered) - before

    def read(self, grown: Container[str]) -> None:
        """Read the new events of these topics into ``cases`` and ``disclosed``."""
        self._read_queues(grown)
        self._read_disclosures(grown)

    def _read_queues(self, grown: Container[str]) -> None:
        for restricted, client in self._clients.items():
            if self._queue(restricted) not in grown:
                continue
            for record in client.read_new(self._queue(restricted)):
                if record.ce_id in self.seen:
                    self.duplicates += 1
                    continue
                self.seen.add(record.ce_id)
                if record.body is None:
                    self.cases.pop(record.key, None)
                    continue
                case = self.cases.get(record.key)
                if case is None:
                    self.cases[record.key] = AgencyCase(record.body, restricted)
                elif record.body["version"] > case.entry["version"]:
                    case.entry = record.body

    def _read_disclosures(self, grown: Container[str]) -> None:
        for restricted, client in self._clients.items():
            if self._disclosures(restricted) not in grown:
                continue
            for record in client.read_new(self._disclosures(restricted)):
                if record.ce_id in self.seen:
                    self.duplicates += 1
                    continue
                self.seen.add(record.ce_id)
                if record.body is None:
                    self.disclosed.pop(record.key, None)
                    continue
                plain = jwe.decrypt_compact(record.body["jwe"], self._keys[restricted]).plaintext
                self.disclosed[record.key] = json.loads(plain or b"{}")
                self.opened += 1

    def _due(self, case: AgencyCase, day: int) -> Iterator[tuple[str, dict[str, Any]]]:
        entry = case.entry
        if not entry["assigned"]:
            return
        match entry["state"]:
            case "sent":
                if self._returns_left and not case.restricted:
                    self._returns_left -= 1
                    self.returned.append(entry["referral"])
                    yield "return", {"reason": "not_my_duty"}
                    return
                case.accepted_on = day
                yield "accept", {}
            case "accepted":
                yield "start", {}
            case "in_progress" if case.accepted_on is None or day >= case.accepted_on + self._days:
                yield "result", {"result": "resolved" if entry["level"] in ("L0", "L1") else "service_in_place"}
            case _:
                return

    def _answer(self, verb: str, referral: str, case: AgencyCase, **more: Any) -> None:
        body = {"verb": verb, "role": self._role, "referral": referral, "child": case.entry["child"], **more}
        # The same answer to the same state of the same referral has the same id, however often it is sent.
        ce_id = str(uuid5(NAMESPACE, f"{self.unit}/{referral}/{case.entry['version']}/{verb}"))
        topic = f"action.{self.unit}.restricted.v1" if case.restricted else f"action.{self.unit}.v1"
        self._clients[case.restricted].send(topic, "action.Action.v1", case.entry["child"], body, ce_id=ce_id)
        case.answered = case.entry["version"]
        self.answered.append((verb, referral))

    def _disclosures(self, restricted: bool) -> str:
        return f"disclosure.{self.unit}.restricted.v1" if restricted else f"disclosure.{self.unit}.v1"

    def _queue(self, restricted: bool) -> str:
        return f"referral.queue.{self.unit}.restricted.v1" if restricted else f"referral.queue.{self.unit}.v1"
