"""The services' handlers one after another, each on tables of its own, with every record that they publish kept."""

import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
from joserfc import jwe
from joserfc.jwk import ECKey

import services
from contracts.county import County
from contracts.event import Envelope, Event
from contracts.intake import Action
from contracts.registry import Disclosed
from runtime import Batch, DayPage, InboundEvent, OutboundEvent, partition_of
from runtime.sealing import Sealer
from services.intake import handlers as intake
from services.intake.plans import Desk
from services.intake.secrets import Secrets
from services.notify import handlers as notify
from services.referral import handlers as referral
from services.registry import disclosing
from services.registry import handlers as registry
from tests.registry.house import PUBLIC, a_vault

SERVICES = ("intake", "registry", "referral", "notify")
FOLDER = Path(services.__path__[0])
SPACE = UUID("00000000-0000-5000-8000-000000000777")
PARTITIONS = 4
MONDAY = date(2026, 11, 23)
Handler = Callable[[Batch[Any], Any], Any]


@dataclass(frozen=True, slots=True)
class Published:
    """One record as a reader of its topic sees it."""

    kind: str
    key: str
    sensitivity: str
    body: str | None
    """JSON with sorted keys; None: a tombstone. A disclosure is opened: its ciphertext is never the same twice."""


@dataclass(slots=True)
class Chain:
    """One county's services. Eligibility is left out: it hears no action and no referral."""

    sessions: Mapping[str, Any]
    county: County
    keys: Mapping[bool, ECKey]
    """The private keys of every unit's two log-ins: restricted or not."""
    topics: dict[str, list[Published]] = field(default_factory=lambda: defaultdict(list))
    sealed: list[Disclosed] = field(default_factory=list)
    today: date = MONDAY
    _handlers: dict[str, tuple[tuple[str, Handler], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vault = a_vault()
        acting = partial(intake.on_actions, secrets=Secrets(bytes(range(32)), Sealer(PUBLIC)), desk=Desk())
        cases = (("registry", partial(disclosing.on_referrals, vault=vault)), ("notify", notify.on_case))
        self._handlers = {
            "action": (("intake", acting),),
            "intake.record.v1": (("registry", partial(registry.on_records, vault=vault)),),
            "intake.action.v1": (
                ("registry", partial(registry.on_findings, vault=vault)),
                ("registry", partial(registry.on_actions, vault=vault)),
                ("referral", referral.on_actions),
            ),
            "registry.finding.v1": (("referral", referral.on_findings),),
            "registry.review.v1": (("notify", notify.on_review),),
            "referral.case.v1": cases,
            "referral.restricted.v1": cases,
        }

    @property
    def now(self) -> datetime:
        return datetime(self.today.year, self.today.month, self.today.day, 4, tzinfo=UTC)

    async def act(self, unit: str, name: str, *, restricted: bool = False, **fields: Any) -> None:
        """One action from one of a unit's log-ins, and all that comes of it. The same name is the same ``ce_id``."""
        topic = f"action.{unit}.restricted.v1" if restricted else f"action.{unit}.v1"
        event = Action.model_validate(fields)
        self._publish(topic, event, event.sensitivity)
        await self.tell(event, topic, ce_id(name))

    async def tell(self, event: Event, topic: str, made: UUID) -> None:
        """An event on a topic, and all that comes of it."""
        waiting = deque([(event, topic, made)])
        while waiting:
            event, topic, made = waiting.popleft()
            envelope = Envelope(made, f"/{topic}", event.kind, self.now, event.key, self.county.code, made)
            partition = partition_of(event.key, PARTITIONS)
            batch = Batch([InboundEvent(event, envelope, topic, partition, 0)], topic, partition, self.today, self.now,
                          self.county, PARTITIONS)  # fmt: skip
            family = "action" if topic.startswith("action.") else topic
            for place, (service, handler) in enumerate(self._handlers.get(family, ())):
                async with self.sessions[service].transaction():
                    said = await handler(batch, self.sessions[service])
                waiting += self._said(said, uuid5(made, str(place)))

    async def turn(self) -> None:
        """The next day begins, for every service and partition."""
        self.today += timedelta(days=1)
        for service, on_day in (
            ("registry", registry.on_day),
            ("referral", referral.on_day),
            ("notify", notify.on_day),
        ):
            for index in range(PARTITIONS):
                resume: str | None = None
                while True:
                    cause = uuid5(SPACE, f"{service}/{self.today}/{index}/{resume}")
                    page = DayPage(self.today, index, PARTITIONS, resume, 500, self.county, self.now, cause, cause,
                                self.county.code)  # fmt: skip
                    async with self.sessions[service].transaction():
                        done = await on_day(page, self.sessions[service])
                    for event, topic, made in self._said(done.events, cause):
                        await self.tell(event, topic, made)
                    resume = done.resume
                    if resume is None:
                        break

    def _said(self, said: list[OutboundEvent], cause: UUID) -> list[tuple[Event, str, UUID]]:
        """Keep what is said, and name it after its cause, so that nothing said beside it changes its name."""
        named: Counter[str] = Counter()
        told = []
        for one in said:
            topic = one.event.topic_name
            self._publish(topic, one.event, one.sensitivity)
            name = f"{topic}/{one.event.kind}/{one.event.key}"
            named[name] += 1
            told.append((one.event, topic, uuid5(cause, f"{name}/{named[name]}")))
        return told

    def _publish(self, topic: str, event: Event, sensitivity: str) -> None:
        body = None
        if not event.tombstone:
            fields = json.loads(event.encoded())
            if isinstance(event, Disclosed):
                self.sealed.append(event)
                opened = jwe.decrypt_compact(str(event.jwe), self.keys[event.restricted])
                fields["jwe"] = json.loads(opened.plaintext or b"")
            body = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        self.topics[topic].append(Published(event.kind, event.key, sensitivity, body))

    def read(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.topics[topic] if one.body is not None]


def ce_id(name: str) -> UUID:
    """Of the action that a test calls so."""
    return uuid5(SPACE, name)


async def connect(dsn: str, service: str) -> Any:
    return await asyncpg.connect(dsn, server_settings={"search_path": service, "timezone": "UTC"})
