"""A harness that calls referral's handlers as the runtime does, while the test sets the time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

import asyncpg

from contracts import topics
from contracts.clock import TimePassed
from contracts.county import County
from contracts.eligibility import ChildAssessed, DerivedFinding, Verdict
from contracts.event import Envelope, Event
from contracts.intake import ActionAccepted
from contracts.referral import ProposalMade, QueueEntry, ReferralActionRefused, ReferralChanged
from contracts.registry import FileReassigned, FindingAssigned
from contracts.vocabulary import COUNTY_TIME, Answer, FindingCode, Level, ReferralState, Verb
from runtime import Batch, DayPage, InboundEvent, OutboundEvent, partition_of
from services.referral import handlers
from tests.county import a_county

MIGRATIONS = Path(handlers.__file__).with_name("migrations")
NAMESPACE = UUID("00000000-0000-5000-8000-000000000341")
PARTITIONS = 4
TUESDAY = date(2026, 11, 24)
TABLES = (
    "child",
    "referral",
    "referral_transition",
    "finding",
    "service_gap",
    "proposal",
    "ledger_entry",
    "duty",
    "contact",
)

LEAD, POLICE, SCHOOLS, HEALTH, COURT, COORDINATOR = (
    f"341722-{unit}" for unit in ("mzj", "gaj", "jtj", "wjw", "fy", "feg")
)
RENLI, QIDU = "341722-renli", "341722-qidu"
RENLI_CODE, QIDU_CODE = "341722100", "341722101"

E_ = TypeVar("E_", bound=Event)


def a_child(number: int = 1) -> UUID:
    return uuid5(NAMESPACE, f"child/{number}")


def at(day: date, hour: int = 9, minute: int = 0) -> datetime:
    """Return a moment of the county's day, in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=COUNTY_TIME).astimezone(UTC)


def a_gap(
    code: FindingCode = FindingCode.OUT_OF_SCHOOL,
    route: str = "R12",
    level: Level = Level.L2,
    *,
    confirm_first: bool = False,
    item: str | None = None,
) -> DerivedFinding:
    """Return a finding that the facts show, by default that a child is out of school."""
    return DerivedFinding(code=code, route=route, level=level, item=item, confirm_first=confirm_first)


UNATTENDED = a_gap(FindingCode.UNATTENDED, "R4", Level.L0, confirm_first=True)


@dataclass(slots=True)
class ReferralHarness:
    """Referral of one county on one database, with the time that the test sets."""

    session: Any
    county: County = field(default_factory=a_county)
    now: datetime = field(default_factory=lambda: at(TUESDAY))
    emitted: list[OutboundEvent] = field(default_factory=list)
    on: date = TUESDAY
    batch: int = 1000
    """The number of events in a batch."""
    _offset: int = 0
    _versions: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def open(cls, dsn: str) -> Self:
        session = await asyncpg.connect(dsn, server_settings={"search_path": "referral"})
        harness = cls(session)
        await harness.reset()
        return harness

    async def reset(self) -> None:
        """Empty the tables and restart the sequence of event ids."""
        await self.session.execute(f"truncate {', '.join(TABLES)}")
        self.emitted.clear()
        self.batch = 1000
        self._offset = 0
        self._versions.clear()
        self.now, self.on = at(TUESDAY), TUESDAY

    async def close(self) -> None:
        await self.session.close()

    # ------------------------------------------------------------ making events

    def inbound(self, event: Event, topic: str) -> InboundEvent[Event]:
        self._offset += 1
        event_id = uuid5(NAMESPACE, f"event/{self._offset}")
        envelope = Envelope(
            id=event_id,
            source="/test",
            type=event.kind,
            time=event.recorded_at if isinstance(event, FindingAssigned | ActionAccepted) else self.now,
            key=event.key,
            county=self.county.code,
            correlation=event_id,
        )
        return InboundEvent(event, envelope, topic, 0, self._offset)

    def finding(
        self,
        *codes: FindingCode,
        child: UUID | None = None,
        unit: str = SCHOOLS,
        level: Level | None = None,
        township: str | None = RENLI_CODE,
        **changes: Any,
    ) -> InboundEvent[Event]:
        """Return a person's finding, by default a teacher's in 仁里镇."""
        number = self._offset + 1
        values: dict[str, Any] = {
            "finding": uuid5(NAMESPACE, f"finding/{number}"),
            "child": child or a_child(),
            "number": "000000000000",
            "candidate": False,
            "findings": codes or (FindingCode.OUT_OF_SCHOOL,),
            "level": level,
            "unit": unit,
            "place": None,
            "role": "teacher",
            "township": township,
            "residence_division": township,
            "on": self.on,
            "recorded_at": self.now,
            "ce_id": uuid5(NAMESPACE, f"ce/{number}"),
        }
        return self.inbound(FindingAssigned(**values | changes), topics.REGISTRY_FINDING.name)

    def action(
        self,
        verb: Verb,
        unit: str,
        referral: UUID | None = None,
        *,
        child: UUID | None = None,
        **changes: Any,
    ) -> InboundEvent[Event]:
        values: dict[str, Any] = {
            "verb": verb,
            "unit": unit,
            "place": None,
            "role": "agency_officer",
            "person": "",
            "on": self.on,
            "recorded_at": self.now,
            "ce_id": uuid5(NAMESPACE, f"ce/{self._offset + 1}"),
            "child": child or a_child(),
            "referral": referral,
            "restricted": self.is_restricted(referral or changes.get("proposal")),
        }
        return self.inbound(ActionAccepted(**values | changes), topics.INTAKE_ACTION.name)

    def assessed(
        self,
        *derived: DerivedFinding,
        child: UUID | None = None,
        township: str | None = RENLI_CODE,
        migrant: Answer = Answer.YES,
        statistical: Answer = Answer.YES,
        **changes: Any,
    ) -> InboundEvent[Event]:
        child = child or a_child()
        self._versions[child] = self._versions.get(child, 0) + 1
        values: dict[str, Any] = {
            "child": child,
            "child_version": self._versions[child],
            "assessment": self._versions[child],
            "on": self.on,
            "state": "on_file",
            "residence_division": township,
            "township": township,
            "migrant": Verdict(subject="migrant", answer=migrant),
            "statistical": Verdict(subject="statistical", answer=statistical),
            "items": (),
            "derived": derived,
            "until": None,
            "ruleset": "test",
            "catalogue": "test",
        }
        return self.inbound(ChildAssessed(**values | changes), topics.ELIGIBILITY_CHILD.name)

    def is_restricted(self, named: UUID | None) -> bool:
        """Return whether a referral or proposal was emitted as restricted: its unit acts from the restricted log-in."""
        return any(
            outbound.event.restricted
            and named in (getattr(outbound.event, "referral", None), getattr(outbound.event, "proposal", None))
            for outbound in self.emitted
            if named is not None and isinstance(outbound.event, ReferralChanged | ProposalMade)
        )

    def reassigned(self, child: UUID, from_child: UUID, reason: str = "merge", *findings: UUID) -> InboundEvent[Event]:
        event = FileReassigned.model_validate(
            {"child": child, "from_child": from_child, "reason": reason, "findings": findings, "on": self.on}
        )
        return self.inbound(event, topics.REGISTRY_FINDING.name)

    # ------------------------------------------------------------ applying events

    async def consume(self, *inputs: InboundEvent[Event]) -> list[Event]:
        """Apply events of one partition in batches of ``batch``; return what was emitted."""
        events: list[OutboundEvent] = []
        for start in range(0, len(inputs), self.batch):
            part = inputs[start : start + self.batch]
            topic = part[0].topic
            batch = Batch(part, topic, 0, self.on, self.now, self.county, PARTITIONS)
            async with self.session.transaction():
                events += await _HANDLERS[topic](batch, self.session)
        return self._record(events)

    async def tick(self, moment: datetime | None = None) -> list[Event]:
        self.now = moment or self.now
        return await self.consume(self.inbound(self.tick_event(), topics.CLOCK.name))

    def tick_event(self) -> TimePassed:
        return TimePassed(at=self.now)

    async def complete_day(self, day: date | None = None, *, limit: int = 500) -> list[Event]:
        """Complete a day, by default the next one, for every partition index."""
        self.on = day or self.on + timedelta(days=1)
        self.now = max(self.now, at(self.on, 0))
        events: list[OutboundEvent] = []
        for index in range(PARTITIONS):
            resume: str | None = None
            while True:
                page = self._page(index, resume, limit)
                async with self.session.transaction():
                    result = await handlers.on_day(page, self.session)
                events += result.events
                resume = result.resume
                if resume is None:
                    break
        self.now = max(self.now, at(self.on))
        return self._record(events)

    async def complete_days_until(self, day: date) -> list[Event]:
        """Complete every day up to and including this one, in order."""
        events: list[Event] = []
        while self.on < day:
            events += await self.complete_day()
        return events

    def _page(self, index: int, resume: str | None, limit: int) -> DayPage:
        cause = uuid5(NAMESPACE, f"page/{self.on}/{index}/{resume}")
        correlation = uuid5(NAMESPACE, f"day/{self.on}")
        return DayPage(
            self.on, index, PARTITIONS, resume, limit, self.county, self.now, cause, correlation, self.county.code
        )

    def _record(self, events: Sequence[OutboundEvent]) -> list[Event]:
        self.emitted += events
        return [event.event for event in events]

    # ------------------------------------------------------------ actions of people

    async def report(self, *codes: FindingCode, **changes: Any) -> list[ReferralChanged]:
        """Report a finding; return the transitions that follow."""
        return only(await self.consume(self.finding(*codes, **changes)), ReferralChanged)

    async def act(self, verb: Verb, unit: str, referral: UUID | None = None, **changes: Any) -> list[Event]:
        return await self.consume(self.action(verb, unit, referral, **changes))

    async def transition(self, verb: Verb, unit: str, referral: UUID, **changes: Any) -> ReferralChanged:
        """Apply an action that must succeed; return its first transition."""
        events = await self.act(verb, unit, referral, **changes)
        assert not only(events, ReferralActionRefused), events
        return only(events, ReferralChanged)[0]

    async def refusal(self, verb: Verb, unit: str, referral: UUID | None = None, **changes: Any) -> str:
        """Apply an action that must be refused; return the code."""
        events = await self.act(verb, unit, referral, **changes)
        [refusal] = only(events, ReferralActionRefused)
        assert refusal.unit == unit
        return refusal.code

    async def work(self, referral: UUID, unit: str, *, until: ReferralState) -> None:
        """Let the receiving unit work on a referral until it has a state."""
        steps: tuple[tuple[Verb, dict[str, Any]], ...] = (
            (Verb.ACCEPT, {}),
            (Verb.START, {}),
            (Verb.RESULT, {"result": "resolved"}),
        )
        states = (ReferralState.ACCEPTED, ReferralState.IN_PROGRESS, ReferralState.RESULT_REPORTED)
        for (verb, changes), state in zip(steps, states, strict=True):
            await self.transition(verb, unit, referral, **changes)
            if state is until:
                return

    async def finish(self, referral: UUID, unit: str, sender: str) -> ReferralChanged:
        """Take a referral from SENT to CLOSED."""
        await self.work(referral, unit, until=ReferralState.RESULT_REPORTED)
        reporters = await self.session.fetchval("select reporters from referral where id = $1", referral)
        if reporters:
            await self.transition(Verb.INFORM_REPORTER, unit, referral, channel="phone")
        return await self.transition(Verb.CLOSE, sender, referral, channel="phone")

    async def state(self) -> dict[str, list[str]]:
        """Return every row of every table."""
        rows_by_table = {}
        for table in TABLES:
            rows = await self.session.fetch(f"select to_jsonb(t)::text as row from {table} t order by 1")
            rows_by_table[table] = [row["row"] for row in rows]
        return rows_by_table

    def history(self) -> list[tuple[str, str]]:
        """Return every event emitted so far with its cause."""
        return [
            (str(outbound.cause), json.dumps(outbound.event.model_dump(mode="json"), sort_keys=True))
            for outbound in self.emitted
        ]


_HANDLERS = {
    topics.REGISTRY_FINDING.name: handlers.on_findings,
    topics.ELIGIBILITY_CHILD.name: handlers.on_assessed,
    topics.INTAKE_ACTION.name: handlers.on_actions,
    topics.CLOCK.name: handlers.on_ticks,
}


def only(events: Iterable[Event], kind: type[E_]) -> list[E_]:
    return [event for event in events if isinstance(event, kind)]


def queue(events: Iterable[Event]) -> list[tuple[str, bool, str]]:
    """Return the queue entries among events: unit, whether it is assigned, and its state or ``gone``."""
    return [
        (entry.unit, entry.assigned, "gone" if entry.deleted else entry.state) for entry in only(events, QueueEntry)
    ]


def partition_index_of(child: UUID) -> int:
    return partition_of(str(child), PARTITIONS)
