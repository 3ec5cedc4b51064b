"""The staff of the units that are not agencies: they report, confirm, reroute, check and close, contact and visit.

Like the agencies they use a plain Kafka client and their unit's inbox; nothing of Hutong is imported.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid5

from client.kafka_client import KafkaClient

NAMESPACE = UUID("7a1a2d0e-4e0a-5b8f-9f0e-5b1d7f7f6a20")

JudgeMatch = Callable[[str], bool | None]
"""Resolves a match review: True for one child, False for two, None if it cannot be decided today."""


@dataclass(slots=True)
class SupervisedChild:
    """A child on the ledger whom the unit supervises."""

    child: str
    since: int
    """Day of the demo."""
    neglected: bool


@dataclass(slots=True)
class UnitStaff:
    """One unit's staff. ``clients`` has the ordinary log-in and, for some units, the one for restricted matters."""

    id: str
    clients: Mapping[bool, KafkaClient]
    deciding_role: str
    """The role that confirms, reroutes and closes."""
    supervising_role: str | None = None
    """The role that contacts and visits."""
    seen: set[str] = field(default_factory=set)
    notices: list[dict[str, Any]] = field(default_factory=list)
    supervised: dict[str, SupervisedChild] = field(default_factory=dict)
    tasks: list[tuple[int, str, str, str, bool]] = field(default_factory=list)
    """Tasks as (day due, verb, referral, child, restricted)."""
    sent: int = 0

    def topics(self) -> tuple[str, ...]:
        return tuple(self._inbox(restricted) for restricted in self.clients)

    def _inbox(self, restricted: bool) -> str:
        return f"notify.inbox.{self.id}.restricted.v1" if restricted else f"notify.inbox.{self.id}.v1"

    def findings(self) -> dict[str, str]:
        """Return the finding of each report that has a new receipt."""
        findings: dict[str, str] = {}
        for record in self.clients[False].read_new(f"receipt.{self.id}.v1"):
            if record.kind == "intake.ActionAnswered.v1" and record.body["finding"]:
                findings[record.body["ce_id"]] = record.body["finding"]
        return findings

    def read(self, grown: Container[str]) -> list[dict[str, Any]]:
        """Return the new notices of these topics, deduplicated by ``ce_id``."""
        fresh: list[dict[str, Any]] = []
        for restricted, client in self.clients.items():
            if self._inbox(restricted) not in grown:
                continue
            for record in client.read_new(self._inbox(restricted)):
                if record.ce_id not in self.seen and record.body is not None:
                    self.seen.add(record.ce_id)
                    fresh.append(record.body)
        self.notices += fresh
        return fresh

    def act(self, verb: str, role: str, name: str, *, restricted: bool = False, **more: Any) -> str:
        """Send one action from the log-in of its case; the same ``name`` gives the same action."""
        ce_id = str(more.pop("ce_id", None) or uuid5(NAMESPACE, f"{self.id}/{verb}/{name}"))
        key = str(more.get("child") or more.get("referral") or "new")
        body = {"verb": verb, "role": role, **more}
        topic = f"action.{self.id}.restricted.v1" if restricted else f"action.{self.id}.v1"
        self.clients[restricted].send(topic, "action.Action.v1", key, body, ce_id=ce_id)
        self.sent += 1
        return ce_id

    def flush(self) -> None:
        for client in self.clients.values():
            client.flush()


class CountyStaff:
    """The staff of every unit that is not an agency."""

    def __init__(
        self,
        units: Sequence[UnitStaff],
        planted: Iterable[Mapping[str, Any]],
        children: Mapping[str, Mapping[str, Any]],
        is_same_child: JudgeMatch,
        reported_by_person: Callable[[str], bool],
        lead: str,
    ) -> None:
        self.units = {unit.id: unit for unit in units}
        self._planted = list(planted)
        self._children = children
        self._is_same_child = is_same_child
        self._reported_by_person = reported_by_person
        self._lead = lead
        self.confirmed = self.closed = self.rerouted = self.reviewed = self.visited = 0

    def report_findings(self, today: date) -> int:
        """Report today's findings and return their number."""
        reports = [report for report in self._planted if report["day"] == today.isoformat()]
        for report in reports:
            unit = self.units[report["unit"]]
            child = self._children[report["child"]]
            unit.act(
                "report",
                report["role"],
                report["ce_id"],
                ce_id=report["ce_id"],
                findings=[report["code"]],
                township=child["township"],
                identity=identity_of(child, on_file=report["on_file"]),
                note="演示：内容全部虚构。",
            )
            unit.clients[False].flush()
        return len(reports)

    def record_phone_reports(self, findings: Mapping[str, str], today: date, at: str) -> int:
        """Record the phone calls of today's urgent reports. ``found`` maps a report's ``ce_id`` to its finding."""
        made = [
            report
            for report in self._planted
            if report["day"] == today.isoformat() and report["phone_reported"] and report["ce_id"] in findings
        ]
        for report in made:
            unit = self.units[report["unit"]]
            unit.act(
                "phone-report",
                report["role"],
                report["ce_id"],
                finding=findings[report["ce_id"]],
                station="110",
                at=at,
                reached=True,
            )
            unit.clients[False].flush()
        return len(made)

    def work(self, day: int, today: date, grown: Container[str]) -> int:
        """Read the inboxes that have ``grown``, act on their notices and return the number of actions."""
        before = sum(unit.sent for unit in self.units.values())
        for unit in self.units.values():
            for notice in unit.read(grown):
                self._on_notice(unit, notice, day)
            self._do_due_tasks(unit, day)
            self._supervise(unit, day, today)
            unit.flush()
        return sum(unit.sent for unit in self.units.values()) - before

    def _on_notice(self, unit: UnitStaff, notice: Mapping[str, Any], day: int) -> None:
        about, child, restricted = notice["subject"], notice["child"], notice["restricted"]
        match notice["template"]:
            case "proposal.referral" | "proposal.ledger" if unit.deciding_role:
                unit.act("confirm", unit.deciding_role, about, proposal=about, restricted=restricted)
                self.confirmed += 1
            case "review.match":
                same = self._is_same_child(about)
                if same is not None:
                    unit.act("confirm" if same else "decline", unit.deciding_role, about, proposal=about)
                    self.reviewed += 1
            case "referral.returned":
                where: dict[str, Any] = {"child": child, "to_unit": self._lead, "restricted": restricted}
                unit.act("reroute", unit.deciding_role, about, referral=about, **where)
                self.rerouted += 1
            case "referral.result":
                if self._reported_by_person(about):
                    unit.tasks.append((day + 1, "inform-reporter", about, child, restricted))
                unit.tasks.append((day + 2, "close", about, child, restricted))
            case "ledger.opened" if unit.supervising_role and child is not None:
                unit.supervised.setdefault(child, SupervisedChild(child, day, neglected=len(unit.supervised) % 4 == 3))
            case "ledger.closed":
                unit.supervised.pop(child, None)
            case _:
                return

    def _do_due_tasks(self, unit: UnitStaff, day: int) -> None:
        for task in [task for task in unit.tasks if task[0] <= day]:
            unit.tasks.remove(task)
            due, verb, referral, child, restricted = task
            about: dict[str, Any] = {"referral": referral, "child": child, "restricted": restricted}
            unit.act(verb, unit.deciding_role, f"{referral}/{due}", channel="phone", **about)
            self.closed += verb == "close"

    def _supervise(self, unit: UnitStaff, day: int, today: date) -> None:
        role = unit.supervising_role
        if role is None:
            return
        for kept in unit.supervised.values():
            if kept.neglected:
                continue
            if day == kept.since + 3 or (today.month % 3 == 1 and today.day == 15):
                unit.act(
                    "visit",
                    role,
                    f"{kept.child}/{day}",
                    child=kept.child,
                    at_residence=True,
                    reached=True,
                    mode="in_person",
                )
                self.visited += 1
            elif today.day == 10:
                unit.act("contact", role, f"{kept.child}/{day}", child=kept.child, mode="phone", reached=True)
                self.visited += 1


def identity_of(child: Mapping[str, Any], *, on_file: bool) -> dict[str, str]:
    """Return what a reporter knows of a child: with ``on_file`` the number and the guardian, else only a name."""
    identity = {"name": child["name"], "reporter": "演示上报人"}
    if on_file and child["id_number"]:
        identity["id_number"] = child["id_number"]
    if on_file:
        identity["birth_date"] = child["born"]
        identity["guardian_name"] = child["family"]["mother"]["name"]
        identity["guardian_phone"] = child["family"]["mother"]["phone"]
    return identity
