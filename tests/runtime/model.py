"""Two small services in a row whose tables show every lost, duplicated or reordered event.

Each keeps an append-only audit and, per name, a chain of digests that depends on order. Their names and topics contain
``MODEL_RUN``, so that every test has its own services and topics on one shared stack.
"""

import hashlib
import os
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from contracts.clock import DayBegan, TimePassed
from contracts.event import Event
from contracts.topics import CLOCK, TOPICS, Topic
from runtime import (
    Application,
    Batch,
    DayPage,
    DayPageResult,
    InboundEvent,
    OutboundEvent,
    RetryLater,
    Service,
    Settings,
    Tx,
    UnprocessableEvent,
)

RUN = os.environ.get("MODEL_RUN", "none")
INPUT = Topic(f"model-{RUN}.input.v1", "name", ("driver",), (f"alpha_{RUN}",), partitions="services")
UNIT_INPUT = Topic(f"model-{RUN}." + "{unit}.v1", "name", ("{unit}",), (f"alpha_{RUN}",))
STEP = Topic(
    f"model-{RUN}.step.v1", "name", (f"alpha_{RUN}",), (f"beta_{RUN}",), partitions="services", carries_watermarks=True
)
END = Topic(f"model-{RUN}.end.v1", "name", (f"beta_{RUN}",), (), partitions="services", carries_watermarks=True)
MODEL_TOPICS = (*TOPICS, INPUT, STEP, END, UNIT_INPUT)
MIGRATIONS = Path(__file__).with_name("model_migrations")


class Put(Event):
    """An event of the test driver, which alpha consumes."""

    kind: ClassVar[str] = "model.Put.v1"
    topic: ClassVar[str] = INPUT.name

    name: str
    n: int
    what: str = "ok"

    @property
    def key(self) -> str:
        return self.name


class UnitPut(Put):
    """An event of a unit on the unit's own topic."""

    kind: ClassVar[str] = "model.UnitPut.v1"
    topic: ClassVar[str] = UNIT_INPUT.name


class Step(Event):
    """Alpha's event for each ``Put``."""

    kind: ClassVar[str] = "model.Step.v1"
    topic: ClassVar[str] = STEP.name

    name: str
    n: int
    digest: str
    on: date | None = None
    padding: str = ""

    @property
    def key(self) -> str:
        return self.name


class Counted(Event):
    """Alpha's event for each name when a day is completed."""

    kind: ClassVar[str] = "model.Counted.v1"
    topic: ClassVar[str] = STEP.name

    name: str
    day: date
    version: int

    @property
    def key(self) -> str:
        return self.name


class End(Event):
    """Beta's event for each ``Step``."""

    kind: ClassVar[str] = "model.End.v1"
    topic: ClassVar[str] = END.name

    name: str
    n: int
    digest: str

    @property
    def key(self) -> str:
        return self.name


class TallySnapshot(Event):
    """The tally of a name; beta coalesces it while more records arrive."""

    kind: ClassVar[str] = "model.TallySnapshot.v1"
    topic: ClassVar[str] = END.name
    snapshot: ClassVar[bool] = True

    name: str
    version: int
    digest: str

    @property
    def key(self) -> str:
        return self.name


def chain_digest(before: str, *facts: object) -> str:
    """Return the digest after one more event."""
    return hashlib.sha256("|".join([before, *map(str, facts)]).encode()).hexdigest()[:16]


AUDIT = """
insert into audit (name, n, event, topic, partition, at_offset, day)
select * from unnest($1::text[], $2::int[], $3::uuid[], $4::text[], $5::int[], $6::bigint[], $7::date[])"""
LOAD = "select name, version, digest from tally where name = any($1::text[]) order by name for update"
SAVE = """
insert into tally (name, partition, version, digest)
select n.name, n.partition, n.version, n.digest
from unnest($1::text[], $2::int[], $3::int[], $4::text[]) as n (name, partition, version, digest)
on conflict (name) do update set version = excluded.version, digest = excluded.digest"""
DAY_PAGE = """
select name, version from tally where partition = $1 and name > $2 order by name limit $3"""


async def fold(batch: Batch[Put | Step], tx: Tx) -> list[tuple[str, int, str]]:
    """Record every event in the audit and chain the digests; return (name, n, digest) after each event."""
    events = batch.events
    await tx.execute(
        AUDIT,
        [inbound.event.name for inbound in events],
        [inbound.event.n for inbound in events],
        [inbound.envelope.id for inbound in events],
        [inbound.topic for inbound in events],
        [inbound.partition for inbound in events],
        [inbound.offset for inbound in events],
        [batch.on] * len(events),
    )
    names = sorted({inbound.event.name for inbound in events})
    tallies = {row["name"]: (row["version"], row["digest"]) for row in await tx.fetch(LOAD, names)}
    after: list[tuple[str, int, str]] = []
    for inbound in events:
        version, digest = tallies.get(inbound.event.name, (0, ""))
        digest = chain_digest(digest, inbound.event.n)
        tallies[inbound.event.name] = (version + 1, digest)
        after.append((inbound.event.name, inbound.event.n, digest))
    await tx.execute(
        SAVE,
        names,
        [batch.partition] * len(names),
        [tallies[name][0] for name in names],
        [tallies[name][1] for name in names],
    )
    return after


async def on_put(batch: Batch[Put], tx: Tx) -> list[OutboundEvent]:
    for inbound in batch.events:
        await misbehave(inbound.event, tx)
    after = await fold(batch, tx)
    return [
        inbound.emit(Step(name=name, n=n, digest=digest, on=batch.on, padding="x" * padding(inbound.event)))
        for inbound, (name, n, digest) in zip(batch.events, after, strict=True)
    ]


def padding(event: Put) -> int:
    return 2_000_000 if event.what == "too large" else 100


async def misbehave(event: Put, tx: Tx) -> None:
    """Fail in the way that the event asks for, unless the test has set ``repaired``."""
    if event.what in ("ok", "too large") or await tx.fetchval("select repaired from control"):
        return
    if event.what == "unprocessable":
        raise UnprocessableEvent("the model refuses it")
    if event.what == "not yet":
        raise RetryLater("the model waits")
    if event.what == "bug":
        raise KeyError("a bug")
    if event.what == "bad data":
        await tx.execute("insert into tally (name, partition, version, digest) values ($1, 0, 1 / 0, '')", event.name)
    if event.what.startswith("sleep"):
        await tx.execute("select pg_sleep($1)", float(event.what.split()[1]))


async def on_step(batch: Batch[Step | Counted], tx: Tx) -> list[OutboundEvent]:
    for inbound in batch.events:
        if isinstance(inbound.event, Counted):
            await tx.execute(
                "insert into counted (name, day, version, processed_on) values ($1, $2, $3, $4)",
                inbound.event.name, inbound.event.day, inbound.event.version, batch.on,
            )  # fmt: skip
    steps: list[InboundEvent[Any]] = [inbound for inbound in batch.events if isinstance(inbound.event, Step)]
    if not steps:
        return []
    step_batch: Batch[Step] = Batch(
        steps, batch.topic, batch.partition, batch.on, batch.now, batch.county, batch.partitions
    )
    after = await fold(step_batch, tx)
    ends = [
        inbound.emit(End(name=name, n=n, digest=digest))
        for inbound, (name, n, digest) in zip(steps, after, strict=True)
    ]
    newest = {inbound.event.name: inbound for inbound in steps}
    tallies = {row["name"]: row for row in await tx.fetch(LOAD, list(newest))}
    return ends + [inbound.emit(TallySnapshot(**dict(tallies[name]))) for name, inbound in newest.items()]


async def on_clock(batch: Batch[TimePassed | DayBegan], tx: Tx) -> list[OutboundEvent]:
    await tx.execute("update control set ticks = ticks + $1", len(batch.events))
    return []


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    rows = await tx.fetch(DAY_PAGE, page.index, page.resume or "", page.limit)
    await tx.execute(
        "insert into day_audit (day, index, name) select $1, $2, * from unnest($3::text[])",
        page.day, page.index, [row["name"] for row in rows],
    )  # fmt: skip
    if any(row["name"].startswith("no day") for row in rows) and not await tx.fetchval("select repaired from control"):
        raise KeyError("a bug")
    counted = [page.emit(Counted(name=row["name"], day=page.day, version=row["version"])) for row in rows]
    return DayPageResult(counted, rows[-1]["name"] if len(rows) == page.limit else None)


async def on_beta_day(page: DayPage, tx: Tx) -> DayPageResult:
    await tx.execute("insert into day_audit (day, index, name) values ($1, $2, '')", page.day, page.index)
    return DayPageResult([], None)


def alpha(settings: Settings) -> Service:
    """Return the first service; its days come from the clock."""
    service = Service(f"alpha_{RUN}", settings, migrations=MIGRATIONS, topics=MODEL_TOPICS)
    service.consumer(
        "main",
        topics=(INPUT, CLOCK),
        handlers={INPUT: on_put, CLOCK: on_clock},
        on_day=on_day,
        day_source=CLOCK,
    )
    return service


def beta(settings: Settings) -> Service:
    """Return the second service; its days come from alpha's watermarks."""
    service = Service(f"beta_{RUN}", settings, migrations=MIGRATIONS, topics=MODEL_TOPICS)
    service.consumer(
        "main",
        topics=(STEP,),
        handlers={STEP: on_step},
        on_day=on_beta_day,
        linger_seconds=0.2,
        coalesce=True,
    )
    return service


def gamma(settings: Settings) -> Service:
    """Return a service that consumes every unit's topic, of one partition each; its days come from the clock."""
    service = Service(f"alpha_{RUN}", settings, migrations=MIGRATIONS, topics=MODEL_TOPICS)
    service.consumer(
        "main",
        topics=(UNIT_INPUT, CLOCK),
        handlers={UNIT_INPUT: on_unit},
        on_day=on_day,
        day_source=CLOCK,
        park_key=park_key_of,
    )
    return service


async def on_unit(batch: Batch[UnitPut], tx: Tx) -> list[OutboundEvent]:
    for inbound in batch.events:
        await misbehave(inbound.event, tx)
    await fold(batch, tx)
    return []


def park_key_of(event: UnitPut, _: object) -> str:
    return f"name {event.name}"


app = Application(f"alpha_{RUN}", alpha)
