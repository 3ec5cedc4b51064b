"""Passes events to intake's handlers in batches of any size, and returns what they emit."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID, uuid5

from contracts.county import County
from contracts.event import Envelope, Event
from contracts.intake import (
    Action,
    Begin,
    Cell,
    End,
    FindingReported,
    RecordRead,
    Row,
    RowsAnswered,
    SubmissionAnswered,
)
from contracts.topics import ACTION, DEPARTMENT, Topic
from runtime import Batch, InboundEvent, OutboundEvent
from runtime.consume.decode import RecordDecoder, UnreadableEvent
from runtime.storage.sealing import Opener, Sealer, new_keys
from services.intake import handlers, malformed
from services.intake.parsers import ParserCache
from services.intake.secrets import Secrets
from tests.county import a_county

MIGRATIONS = Path(handlers.__file__).with_name("migrations")
NAMESPACE = UUID("00000000-0000-5000-8000-0000000000aa")
SCHOOL = "341722-jtj"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""Noon in the county."""
E = TypeVar("E", bound=Event)


def an_id(*parts: object) -> UUID:
    return uuid5(NAMESPACE, "/".join(map(str, parts)))


class Harness:
    """Intake's handlers with a county and a clock."""

    def __init__(self, connection: Any, county: County | None = None) -> None:
        self.tx = connection
        self.county = county or a_county()
        self.now: datetime | None = NOON
        private, public = new_keys()
        self.opener = Opener(private)
        self.secrets = Secrets(bytes(range(32)), Sealer(public))
        self.parsers = ParserCache()
        self._offset = 0

    async def send_events(self, *events: Event, unit: str = SCHOOL, size: int = 1000) -> list[Event]:
        """Pass events of a unit's department topic; return what intake emits."""
        inbound = [self._inbound(event, f"department.{unit}.v1") for event in events]
        return await self._apply(handlers.on_records, inbound, size)

    async def act(
        self,
        *actions: Action,
        unit: str = SCHOOL,
        ce_ids: Sequence[UUID] = (),
        size: int = 1000,
        restricted: bool = False,
    ) -> list[Event]:
        """Pass actions from one of a unit's log-ins; return what intake emits."""
        topic = f"action.{unit}.restricted.v1" if restricted else f"action.{unit}.v1"
        inbound = [
            self._inbound(action, topic, ce_ids[index] if index < len(ce_ids) else None)
            for index, action in enumerate(actions)
        ]
        return await self._apply(handlers.on_actions, inbound, size)

    async def send_raw(
        self,
        kind: str,
        body: object,
        *,
        unit: str = SCHOOL,
        ce_id: UUID | None = None,
        is_action: bool | None = None,
    ) -> list[Event]:
        """Pass a message as a unit's client sends it, bytes and texts unchanged; return what intake emits.

        ``is_action``: whether it is on the unit's action topic or its department topic; by default its kind decides.
        """
        if is_action is None:
            is_action = kind.startswith("action.")
        entry, repair = (ACTION, malformed.repair_action) if is_action else (DEPARTMENT, malformed.repair_record)
        inbound = self._decoded(entry, repair, entry.name_for(unit), kind, body, ce_id)
        handler = handlers.on_actions if is_action else handlers.on_records
        return await self._apply(handler, [inbound], 1)

    async def submit(
        self, rows: Sequence[Mapping[str, Cell]], *, unit: str = SCHOOL, size: int = 1000, **begin: Any
    ) -> "Receipt":
        """Pass a whole file; return its receipt."""
        return Receipt(await self.send_events(*a_file(rows, **begin), unit=unit, size=size))

    async def count(self, table: str) -> int:
        return int(await self.tx.fetchval(f"SELECT count(*) FROM {table}"))

    def open_identity(self, event: RecordRead | FindingReported) -> dict[str, str]:
        """Open the identity of an event, as the registry does."""
        belongs_to = event.record if isinstance(event, RecordRead) else event.finding
        identity: dict[str, str] = json.loads(self.opener.open(b64decode(event.identity), str(belongs_to).encode()))
        return identity

    def _inbound(self, event: Event, topic: str, ce_id: UUID | None = None) -> InboundEvent[Any]:
        self._offset += 1
        ce_id = ce_id or an_id("event", self._offset)
        kind, key = (event.type, "key") if isinstance(event, malformed.MalformedMessage) else (event.kind, event.key)
        envelope = Envelope(ce_id, f"/{topic}", kind, NOON, key, self.county.code, ce_id)
        return InboundEvent(event, envelope, topic, 0, self._offset)

    def _decoded(
        self, entry: Topic, repair: Any, topic: str, kind: str, body: object, ce_id: UUID | None
    ) -> InboundEvent[Any]:
        """Decode a message as the runtime does."""
        value = (
            body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        self._offset += 1
        ce_id = ce_id or an_id("event", self._offset)
        envelope = Envelope(ce_id, "/a-client", kind, NOON, "key", self.county.code, ce_id)
        decoder = RecordDecoder(
            entry, topic, self.county.code, units_write=True, carries_watermarks=False, day_source=False
        )
        raw: Any = SimpleNamespace(topic=topic, partition=0, offset=self._offset, value=value)
        decoded = decoder.decode(raw, envelope)
        if isinstance(decoded, UnreadableEvent):
            event = repair(envelope, value, decoded.reason)
            assert event is not None, "the message would be parked"
            decoded = InboundEvent(event, envelope, topic, 0, self._offset)
        assert isinstance(decoded, InboundEvent)
        return decoded

    async def emit_for(self, inbound: Sequence[InboundEvent[Any]]) -> list[OutboundEvent]:
        """Return what the handler of records emits, with envelopes."""
        batch = Batch(inbound, inbound[0].topic, 0, None, self.now, self.county, 4)
        return await handlers.on_records(batch, self.tx, secrets=self.secrets, parsers=self.parsers)

    async def _apply(self, handler: Any, inbound: Sequence[InboundEvent[Any]], size: int) -> list[Event]:
        emitted: list[OutboundEvent] = []
        for start in range(0, len(inbound), size):
            events_of_batch = inbound[start : start + size]
            batch = Batch(events_of_batch, events_of_batch[0].topic, 0, None, self.now, self.county, 4)
            async with self.tx.transaction():
                emitted += await handler(batch, self.tx, secrets=self.secrets, parsers=self.parsers)
        for outbound in emitted:
            assert outbound.time == (self.now or NOON)
        return [outbound.event for outbound in emitted]


class Receipt:
    """The events that intake emitted for one file."""

    def __init__(self, emitted: list[Event]) -> None:
        self.events = emitted
        self.parts = only(emitted, RowsAnswered)
        self.answers = only(emitted, SubmissionAnswered)
        self.records = only(emitted, RecordRead)

    @property
    def answer(self) -> SubmissionAnswered:
        [answer] = self.answers
        return answer

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The number of rows accepted whole, accepted with drops, refused and unchanged."""
        answer = self.answer
        return answer.accepted, answer.accepted_with_drops, answer.refused, answer.unchanged

    @property
    def codes(self) -> Counter[str]:
        lists = [
            *(events_of_batch.problems for events_of_batch in self.parts),
            *(answer.problems for answer in self.answers),
        ]
        return Counter(problem.code for problems in lists for problem in problems)


def only(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def a_file(
    rows: Sequence[Mapping[str, Cell]],
    *,
    submission: object = "one",
    dataset: str = "school",
    period: str = "2026H2",
    columns: Sequence[str] | None = None,
    coverage: Any = "full",
    announced: int | None = None,
    ended: int | None = None,
    file_sha256: str | None = None,
    valid_on: date | None = None,
) -> list[Event]:
    """Return Begin, rows and End as a unit sends them."""
    submission = an_id("submission", submission)
    headers = columns if columns is not None else list(dict.fromkeys(header for row in rows for header in row))
    return [
        Begin(
            submission=submission,
            dataset=dataset,
            period=period,
            columns=tuple(headers),
            rows=len(rows) if announced is None else announced,
            coverage=coverage,
            file_sha256=file_sha256,
            valid_on=valid_on,
        ),
        *(Row(submission=submission, number=number, cells=dict(row)) for number, row in enumerate(rows, start=2)),
        End(submission=submission, rows=len(rows) if ended is None else ended),
    ]
