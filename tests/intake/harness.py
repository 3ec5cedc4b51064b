"""Hands events to intake's handlers in batches of any size, and looks at what they say."""

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
SPACE = UUID("00000000-0000-5000-8000-0000000000aa")
SCHOOL = "341722-jtj"
NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""Noon in the county."""
E = TypeVar("E", bound=Event)


def an_id(*parts: object) -> UUID:
    return uuid5(SPACE, "/".join(map(str, parts)))


class Harness:
    """One intake, its county and its clock."""

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
        """What a unit's own topic brings, and what intake says to it."""
        heard = [self._inbound(event, f"department.{unit}.v1") for event in events]
        return await self._apply(handlers.on_records, heard, size)

    async def act(
        self,
        *actions: Action,
        unit: str = SCHOOL,
        ce_ids: Sequence[UUID] = (),
        size: int = 1000,
        restricted: bool = False,
    ) -> list[Event]:
        """What a unit's people do, from one of its log-ins, and what intake says to it."""
        topic = f"action.{unit}.restricted.v1" if restricted else f"action.{unit}.v1"
        heard = [
            self._inbound(action, topic, ce_ids[index] if index < len(ce_ids) else None)
            for index, action in enumerate(actions)
        ]
        return await self._apply(handlers.on_actions, heard, size)

    async def send_raw(
        self,
        kind: str,
        body: object,
        *,
        unit: str = SCHOOL,
        ce_id: UUID | None = None,
        of_people: bool | None = None,
    ) -> list[Event]:
        """What intake says to the bytes a unit's client sends; bytes and texts are sent as they are.

        ``of_people``: on the unit's action topic, or else its department topic; None: on the one its kind belongs on.
        """
        if of_people is None:
            of_people = kind.startswith("action.")
        entry, mended = (ACTION, malformed.repair_action) if of_people else (DEPARTMENT, malformed.repair_record)
        heard = self._decoded(entry, mended, entry.name_for(unit), kind, body, ce_id)
        handler = handlers.on_actions if of_people else handlers.on_records
        return await self._apply(handler, [heard], 1)

    async def submit(
        self, rows: Sequence[Mapping[str, Cell]], *, unit: str = SCHOOL, size: int = 1000, **begin: Any
    ) -> "Receipt":
        """A whole file; what came of it."""
        return Receipt(await self.send_events(*a_file(rows, **begin), unit=unit, size=size))

    async def count(self, table: str) -> int:
        return int(await self.tx.fetchval(f"SELECT count(*) FROM {table}"))

    def open_identity(self, event: RecordRead | FindingReported) -> dict[str, str]:
        """Who an event is about, as the registry will read it."""
        belongs_to = event.record if isinstance(event, RecordRead) else event.finding
        found: dict[str, str] = json.loads(self.opener.open(b64decode(event.identity), str(belongs_to).encode()))
        return found

    def _inbound(self, event: Event, topic: str, ce_id: UUID | None = None) -> InboundEvent[Any]:
        self._offset += 1
        ce_id = ce_id or an_id("event", self._offset)
        kind, key = (event.type, "key") if isinstance(event, malformed.MalformedMessage) else (event.kind, event.key)
        envelope = Envelope(ce_id, f"/{topic}", kind, NOON, key, self.county.code, ce_id)
        return InboundEvent(event, envelope, topic, 0, self._offset)

    def _decoded(
        self, entry: Topic, mended: Any, topic: str, kind: str, body: object, ce_id: UUID | None
    ) -> InboundEvent[Any]:
        """As a lane of the runtime reads it."""
        value = (
            body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        self._offset += 1
        ce_id = ce_id or an_id("event", self._offset)
        envelope = Envelope(ce_id, "/a-client", kind, NOON, "key", self.county.code, ce_id)
        reader = RecordDecoder(entry, topic, self.county.code, units_write=True, marks=False, day_source=False)
        raw: Any = SimpleNamespace(topic=topic, partition=0, offset=self._offset, value=value)
        read = reader.decode(raw, envelope)
        if isinstance(read, UnreadableEvent):
            event = mended(envelope, value, read.reason)
            assert event is not None, "it would be parked"
            read = InboundEvent(event, envelope, topic, 0, self._offset)
        assert isinstance(read, InboundEvent)
        return read

    async def emit_for(self, heard: Sequence[InboundEvent[Any]]) -> list[OutboundEvent]:
        """What the handler of records hands to the runtime."""
        batch = Batch(heard, heard[0].topic, 0, None, self.now, self.county, 4)
        return await handlers.on_records(batch, self.tx, secrets=self.secrets, parsers=self.parsers)

    async def _apply(self, handler: Any, heard: Sequence[InboundEvent[Any]], size: int) -> list[Event]:
        said: list[OutboundEvent] = []
        for start in range(0, len(heard), size):
            part = heard[start : start + size]
            batch = Batch(part, part[0].topic, 0, None, self.now, self.county, 4)
            async with self.tx.transaction():
                said += await handler(batch, self.tx, secrets=self.secrets, desk=self.parsers)
        for one in said:
            assert one.time == (self.now or NOON)
        return [one.event for one in said]


class Receipt:
    """What intake said about one file."""

    def __init__(self, said: list[Event]) -> None:
        self.events = said
        self.parts = only(said, RowsAnswered)
        self.answers = only(said, SubmissionAnswered)
        self.records = only(said, RecordRead)

    @property
    def answer(self) -> SubmissionAnswered:
        [answer] = self.answers
        return answer

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Accepted whole, accepted with drops, refused, unchanged."""
        answer = self.answer
        return answer.accepted, answer.accepted_with_drops, answer.refused, answer.unchanged

    @property
    def codes(self) -> Counter[str]:
        told = [*(part.problems for part in self.parts), *(answer.problems for answer in self.answers)]
        return Counter(trouble.code for troubles in told for trouble in troubles)


def only(said: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in said if isinstance(event, kind)]


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
    """Begin, rows and End as a unit sends them."""
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
