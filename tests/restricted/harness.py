"""A harness that calls the services' handlers in turn, each on its own tables, and keeps every published record."""

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
from runtime.storage.sealing import Sealer
from services.intake import handlers as intake
from services.intake.parsers import ParserCache
from services.intake.secrets import Secrets
from services.notify import handlers as notify
from services.referral import handlers as referral
from services.registry import disclosures
from services.registry import handlers as registry
from tests.registry.harness import PUBLIC, a_vault

SERVICES = ("intake", "registry", "referral", "notify")
FOLDER = Path(services.__path__[0])
NAMESPACE = UUID("00000000-0000-5000-8000-000000000777")
PARTITIONS = 4
MONDAY = date(2026, 11, 23)
Handler = Callable[[Batch[Any], Any], Any]


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """A record as a reader of its topic sees it."""

    kind: str
    key: str
    sensitivity: str
    body: str | None
    """JSON with sorted keys, or None for a tombstone. A disclosure is decrypted, since ciphertexts differ."""


@dataclass(slots=True)
class ServicesHarness:
    """The services of one county. Eligibility is left out: a test publishes its assessments itself."""

    sessions: Mapping[str, Any]
    county: County
    keys: Mapping[bool, ECKey]
    """The private keys of the two log-ins of every unit, by whether the log-in is the restricted one."""
    topics: dict[str, list[PublishedRecord]] = field(default_factory=lambda: defaultdict(list))
    sealed: list[Disclosed] = field(default_factory=list)
    today: date = MONDAY
    _handlers: dict[str, tuple[tuple[str, Handler], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vault = a_vault()
        acting = partial(intake.on_actions, secrets=Secrets(bytes(range(32)), Sealer(PUBLIC)), parsers=ParserCache())
        cases = (("registry", partial(disclosures.on_referrals, vault=vault)), ("notify", notify.on_case))
        self._handlers = {
            "action": (("intake", acting),),
            "intake.record.v1": (("registry", partial(registry.on_records, vault=vault)),),
            "intake.action.v1": (
                ("registry", partial(registry.on_findings, vault=vault)),
                ("registry", partial(registry.on_actions, vault=vault)),
                ("referral", referral.on_actions),
            ),
            "eligibility.child.v1": (("referral", referral.on_assessed),),
            "registry.finding.v1": (("referral", referral.on_findings),),
            "registry.review.v1": (("notify", notify.on_review),),
            "referral.case.v1": cases,
            "referral.restricted.v1": cases,
        }

    @property
    def now(self) -> datetime:
        return datetime(self.today.year, self.today.month, self.today.day, 4, tzinfo=UTC)

    async def act(self, unit: str, name: str, *, restricted: bool = False, **fields: Any) -> None:
        """Publish an action from one of a unit's log-ins and process what follows. The name gives the ``ce_id``."""
        topic = f"action.{unit}.restricted.v1" if restricted else f"action.{unit}.v1"
        event = Action.model_validate(fields)
        self._publish(topic, event, event.sensitivity)
        await self.consume(event, topic, ce_id(name))

    async def consume(self, event: Event, topic: str, event_id: UUID) -> None:
        """Process an event on a topic and all events that follow from it."""
        waiting = deque([(event, topic, event_id)])
        while waiting:
            event, topic, event_id = waiting.popleft()
            envelope = Envelope(event_id, f"/{topic}", event.kind, self.now, event.key, self.county.code, event_id)
            partition = partition_of(event.key, PARTITIONS)
            batch = Batch([InboundEvent(event, envelope, topic, partition, 0)], topic, partition, self.today, self.now,
                          self.county, PARTITIONS)  # fmt: skip
            family = "action" if topic.startswith("action.") else topic
            for position, (service, handler) in enumerate(self._handlers.get(family, ())):
                async with self.sessions[service].transaction():
                    events = await handler(batch, self.sessions[service])
                waiting += self._publish_all(events, uuid5(event_id, str(position)))

    async def complete_day(self) -> None:
        """Complete the next day for every service and partition."""
        self.today += timedelta(days=1)
        for service, on_day in (
            ("registry", registry.on_day),
            ("referral", referral.on_day),
            ("notify", notify.on_day),
        ):
            for index in range(PARTITIONS):
                resume: str | None = None
                while True:
                    cause = uuid5(NAMESPACE, f"{service}/{self.today}/{index}/{resume}")
                    page = DayPage(self.today, index, PARTITIONS, resume, 500, self.county, self.now, cause, cause,
                                self.county.code)  # fmt: skip
                    async with self.sessions[service].transaction():
                        result = await on_day(page, self.sessions[service])
                    for event, topic, event_id in self._publish_all(result.events, cause):
                        await self.consume(event, topic, event_id)
                    resume = result.resume
                    if resume is None:
                        break

    def _publish_all(self, events: list[OutboundEvent], cause: UUID) -> list[tuple[Event, str, UUID]]:
        """Publish events; return each with its topic and an id that depends on its cause and kind alone."""
        named: Counter[str] = Counter()
        caused = []
        for outbound in events:
            topic = outbound.event.topic_name
            self._publish(topic, outbound.event, outbound.sensitivity)
            name = f"{topic}/{outbound.event.kind}/{outbound.event.key}"
            named[name] += 1
            caused.append((outbound.event, topic, uuid5(cause, f"{name}/{named[name]}")))
        return caused

    def _publish(self, topic: str, event: Event, sensitivity: str) -> None:
        body = None
        if not event.tombstone:
            fields = json.loads(event.encoded())
            if isinstance(event, Disclosed):
                self.sealed.append(event)
                decrypted = jwe.decrypt_compact(str(event.jwe), self.keys[event.restricted])
                fields["jwe"] = json.loads(decrypted.plaintext or b"")
            body = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        self.topics[topic].append(PublishedRecord(event.kind, event.key, sensitivity, body))

    def read(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(each.body) for each in self.topics[topic] if each.body is not None]


def ce_id(name: str) -> UUID:
    """Return the id of the action to which a test gives this name."""
    return uuid5(NAMESPACE, name)


async def connect(dsn: str, service: str) -> Any:
    return await asyncpg.connect(dsn, server_settings={"search_path": service, "timezone": "UTC"})
