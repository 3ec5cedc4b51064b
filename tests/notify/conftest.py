"""A migrated database for each test, and batches of events as the runtime passes them to handlers."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from contracts import topics
from contracts.county import County
from contracts.event import Envelope, Event, at_midnight
from contracts.notify import AlarmRaised, Notice
from deploy.embedded.postgres import EmbeddedPostgres
from runtime import Batch, DayPage, InboundEvent, OutboundEvent, partition_of
from runtime.settings import Settings
from runtime.storage.migrations import migrate
from services.notify import handlers
from tests.conftest import Database
from tests.county import a_county

MIGRATIONS = Path(handlers.__file__).with_name("migrations")
SEARCH = {"search_path": "notify"}
CORRELATION = UUID("00000000-0000-5000-8000-000000000001")
MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
"""Nine o'clock in the county, on a Monday."""


@pytest.fixture(scope="session")
async def database_template(postgres: EmbeddedPostgres) -> str:
    """Create a template database with notify's schema, once a session."""
    name = "template_notify"
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, name)
    await migrate("notify", Settings(postgres=dsn), MIGRATIONS)
    return name


@dataclass
class Notify:
    """Notify's handlers on their own database, called as the runtime calls them: one transaction a batch."""

    connection: Any
    county: County = field(default_factory=a_county)
    partitions: int = 4
    today: date = date(2026, 11, 23)
    _offsets: "itertools.count[int]" = field(default_factory=itertools.count)

    def inbound(self, event: Event, *, at: datetime = MORNING, number: int | None = None) -> InboundEvent[Event]:
        """Return an event as it is read. The same ``number`` makes the same event, read again."""
        offset = next(self._offsets)
        envelope = Envelope(
            id=uuid5(CORRELATION, f"{event.kind}/{event.key}/{offset if number is None else number}"),
            source="/341722/test",
            type=event.kind,
            time=at,
            key=event.key,
            county=self.county.code,
            correlation=CORRELATION,
        )
        partition = partition_of(event.key, self.partitions)
        return InboundEvent(event, envelope, event.topic_name, partition, offset)

    async def consume(self, *events: Event | InboundEvent[Event], batch_size: int = 1000) -> list[OutboundEvent]:
        """Consume events, partition by partition, in batches of ``batch_size``."""
        inbound = [event if isinstance(event, InboundEvent) else self.inbound(event) for event in events]
        emitted: list[OutboundEvent] = []
        by_partition: dict[tuple[str, int], list[InboundEvent[Event]]] = {}
        for inbound_event in inbound:
            by_partition.setdefault((inbound_event.topic, inbound_event.partition), []).append(inbound_event)
        for (topic, partition), in_order in sorted(by_partition.items()):
            handler = handlers.on_review if topic == topics.REGISTRY_REVIEW.name else handlers.on_case
            for start in range(0, len(in_order), batch_size):
                batch = self.batch(in_order[start : start + batch_size], topic, partition)
                async with self.connection.transaction():
                    emitted += await handler(batch, self.connection)
        return emitted

    def batch(self, inbound: Sequence[InboundEvent[Event]], topic: str, partition: int = 0) -> Batch[Event]:
        return Batch(
            events=inbound,
            topic=topic,
            partition=partition,
            on=self.today,
            now=MORNING,
            county=self.county,
            partitions=self.partitions,
        )

    async def complete_day(
        self, day: date, *, partitions: Sequence[int] | None = None, limit: int = 500
    ) -> list[OutboundEvent]:
        """Complete ``day`` in these partitions, one after the other; in all of them if none are given."""
        emitted: list[OutboundEvent] = []
        for index in range(self.partitions) if partitions is None else partitions:
            resume: str | None = None
            while True:
                page = self.page(day, index, resume, limit)
                async with self.connection.transaction():
                    result = await handlers.on_day(page, self.connection)
                emitted += result.events
                resume = result.resume
                if resume is None:
                    break
        self.today = day
        return emitted

    def page(self, day: date, index: int, resume: str | None, limit: int = 500) -> DayPage:
        return DayPage(
            day=day,
            index=index,
            partitions=self.partitions,
            resume=resume,
            limit=limit,
            county=self.county,
            now=at_midnight(day) + timedelta(minutes=5),
            cause=uuid5(CORRELATION, f"{day}/{index}/{resume}"),
            correlation=CORRELATION,
            county_code=self.county.code,
        )


@pytest.fixture
async def connect(database: Database) -> AsyncIterator[Callable[[], Any]]:
    """Return a function that opens sessions in notify's schema, on the test's own database."""
    opened: list[Any] = []

    async def session() -> Any:
        opened.append(await asyncpg.connect(database.dsn, server_settings=SEARCH))
        return opened[-1]

    yield session
    for connection in opened:
        await connection.close()


@pytest.fixture(scope="session")
async def shared(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[Any]:
    """Open one session for the tests that need no second one; each test rolls back its changes."""
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f"CREATE DATABASE notify_shared TEMPLATE {database_template}")
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, "notify_shared")
    connection = await asyncpg.connect(dsn, server_settings=SEARCH)
    yield connection
    await connection.close()


@pytest.fixture
async def notify(shared: Any) -> AsyncIterator[Notify]:
    transaction = shared.transaction()
    await transaction.start()
    yield Notify(shared)
    await transaction.rollback()


def notices(emitted: Sequence[OutboundEvent]) -> list[Notice]:
    return [outbound.event for outbound in emitted if isinstance(outbound.event, Notice)]


def alarms(emitted: Sequence[OutboundEvent]) -> list[AlarmRaised]:
    return [outbound.event for outbound in emitted if isinstance(outbound.event, AlarmRaised)]
