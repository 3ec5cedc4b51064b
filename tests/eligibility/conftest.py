"""A migrated database for each test, and the handlers called as the runtime does: one transaction per batch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid5

import asyncpg
import pytest

from contracts import topics
from contracts.county import County
from contracts.eligibility import ChildAssessed
from contracts.event import Envelope, at_midnight
from contracts.registry import ChildChanged, Fact
from contracts.vocabulary import FactName
from deploy.embedded.postgres import EmbeddedPostgres
from runtime import Batch, DayPage, InboundEvent, OutboundEvent, partition_of
from runtime.settings import Settings
from runtime.storage.migrations import migrate
from services.eligibility import handlers
from tests.conftest import Database
from tests.county import demo_county
from tests.eligibility.harness import MIGRANT, ON

MIGRATIONS = Path(handlers.__file__).with_name("migrations")
CORRELATION = UUID("00000000-0000-5000-8000-000000000003")
MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
"""Nine o'clock in the county."""


def child_id(number: int) -> UUID:
    return uuid5(CORRELATION, f"child {number}")


def a_file(
    child: UUID,
    version: int = 1,
    *,
    state: Literal["candidate", "on_file", "absorbed"] = "on_file",
    absorbed_by: UUID | None = None,
    absorbs: Sequence[UUID] = (),
    recorded_on: date = ON,
    **changes: Any,
) -> ChildChanged:
    """Return a snapshot of an ordinary migrant child's file."""
    values: Mapping[str, Any] = {**MIGRANT, **changes}
    facts = tuple(
        Fact(
            name=FactName(name),
            value=value,
            unit="341722-renli",
            dataset="village",
            period="2026H2",
            valid_on=recorded_on,
            recorded_on=recorded_on,
            chosen=True,
        )
        for name, value in values.items()
        if value is not None
    )
    return ChildChanged(
        child=child,
        number="000000000000",
        child_version=version,
        state=state,
        absorbed_by=absorbed_by,
        absorbs=tuple(absorbs),
        facts=facts,
        sources=("village",),
    )


@dataclass
class Eligibility:
    """The service's handlers on their own database."""

    connection: Any
    county: County = field(default_factory=demo_county)
    partitions: int = 4
    today: date | None = ON
    _offset: int = 0

    async def consume(
        self, *files: ChildChanged, batch_size: int = 1000, at: datetime = MORNING
    ) -> list[OutboundEvent]:
        """Consume snapshots, partition by partition, in batches of ``batch_size`` events; return the emitted events."""
        by_partition: dict[int, list[InboundEvent[ChildChanged]]] = {}
        for file in files:
            inbound = self._inbound(file, at)
            by_partition.setdefault(inbound.partition, []).append(inbound)
        emitted: list[OutboundEvent] = []
        for partition, inbound_events in sorted(by_partition.items()):
            for start in range(0, len(inbound_events), batch_size):
                batch = Batch(
                    events=inbound_events[start : start + batch_size],
                    topic=topics.REGISTRY_CHILD.name,
                    partition=partition,
                    on=self.today,
                    now=at,
                    county=self.county,
                    partitions=self.partitions,
                )
                async with self.connection.transaction():
                    emitted += await handlers.on_children(batch, self.connection)
        return emitted

    async def complete_day(self, day: date, *, limit: int = 500) -> list[OutboundEvent]:
        """Complete ``day`` in every partition; return the emitted events."""
        emitted: list[OutboundEvent] = []
        for index in range(self.partitions):
            resume: str | None = None
            while True:
                page = self._day_page(day, index, resume, limit)
                async with self.connection.transaction():
                    result = await handlers.on_day(page, self.connection)
                emitted += result.events
                resume = result.resume
                if resume is None:
                    break
        self.today = day
        return emitted

    async def table(self, name: str) -> list[dict[str, Any]]:
        """Return every row of a table, ordered by child."""
        order = "partition" if name == "partition_basis" else "child_id"
        rows = await self.connection.fetch(f"select * from {name} order by {order}, 2")
        return [dict(row) for row in rows]

    def _inbound(self, file: ChildChanged, at: datetime) -> InboundEvent[ChildChanged]:
        envelope = Envelope(
            id=uuid5(CORRELATION, f"{file.key}/{file.child_version}"),
            source="/341722/registry",
            type=file.kind,
            time=at,
            key=file.key,
            county=self.county.code,
            correlation=CORRELATION,
        )
        partition = partition_of(file.key, self.partitions)
        self._offset += 1
        return InboundEvent(file, envelope, file.topic_name, partition, self._offset)

    def _day_page(self, day: date, index: int, resume: str | None, limit: int) -> DayPage:
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


def assessed(emitted: Sequence[OutboundEvent]) -> list[ChildAssessed]:
    """Parse the emitted events as their consumers do."""
    return [ChildAssessed.model_validate_json(outbound.event.encoded()) for outbound in emitted]


@pytest.fixture(scope="session")
async def database_template(postgres: EmbeddedPostgres) -> str:
    """Return the name of a template database with the service's schema."""
    name = "template_eligibility"
    admin = await asyncpg.connect(postgres.superuser_dsn)
    await admin.execute(f"create database {name}")
    await admin.close()
    dsn = postgres.dsn(postgres.superuser, postgres.superuser_password, name)
    await migrate("eligibility", Settings(postgres=dsn), MIGRATIONS)
    return name


@pytest.fixture
async def eligibility(database: Database) -> AsyncIterator[Eligibility]:
    connection = await asyncpg.connect(database.dsn, server_settings={"search_path": "eligibility"})
    yield Eligibility(connection)
    await connection.close()
