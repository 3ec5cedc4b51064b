"""Two tiny services in a row, made so that a lost, doubled or reordered event can be seen in their tables.

Each keeps an append-only audit and, per name, a chain of digests that depends on order. Their names and topics carry
``MODEL_RUN``, so that every test has its own on one shared stack.
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
    """What the driver says."""

    kind: ClassVar[str] = "model.Put.v1"
    topic: ClassVar[str] = INPUT.name

    name: str
    n: int
    what: str = "ok"

    @property
    def key(self) -> str:
        return self.name


class UnitPut(Put):
    """What a unit says on its own topic."""

    kind: ClassVar[str] = "model.UnitPut.v1"
    topic: ClassVar[str] = UNIT_INPUT.name


class Step(Event):
    """What alpha makes of it."""

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
    """What alpha says of a name when the day turns."""

    kind: ClassVar[str] = "model.Counted.v1"
    topic: ClassVar[str] = STEP.name

    name: str
    day: date
    version: int

    @property
    def key(self) -> str:
        return self.name


class End(Event):
    """What beta makes of a step."""

    kind: ClassVar[str] = "model.End.v1"
    topic: ClassVar[str] = END.name

    name: str
    n: int
    digest: str

    @property
    def key(self) -> str:
        return self.name


class Stands(Event):
    """Where a name stands: a snapshot, which beta keeps back while more comes."""

    kind: ClassVar[str] = "model.Stands.v1"
    topic: ClassVar[str] = END.name
    snapshot: ClassVar[bool] = True

    name: str
    version: int
    digest: str

    @property
    def key(self) -> str:
        return self.name


def chained(before: str, *facts: object) -> str:
    """The digest after one more event."""
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
    """Audit every event and chain the digests; (name, n, digest) after each."""
    heard = batch.events
    await tx.execute(
        AUDIT,
        [one.event.name for one in heard],
        [one.event.n for one in heard],
        [one.envelope.id for one in heard],
        [one.topic for one in heard],
        [one.partition for one in heard],
        [one.offset for one in heard],
        [batch.on] * len(heard),
    )
    names = sorted({one.event.name for one in heard})
    tallies = {row["name"]: (row["version"], row["digest"]) for row in await tx.fetch(LOAD, names)}
    after: list[tuple[str, int, str]] = []
    for one in heard:
        version, digest = tallies.get(one.event.name, (0, ""))
        digest = chained(digest, one.event.n)
        tallies[one.event.name] = (version + 1, digest)
        after.append((one.event.name, one.event.n, digest))
    await tx.execute(
        SAVE,
        names,
        [batch.partition] * len(names),
        [tallies[name][0] for name in names],
        [tallies[name][1] for name in names],
    )
    return after


async def on_put(batch: Batch[Put], tx: Tx) -> list[OutboundEvent]:
    for one in batch.events:
        await misbehave(one.event, tx)
    after = await fold(batch, tx)
    return [
        one.emit(Step(name=name, n=n, digest=digest, on=batch.on, padding="x" * padding(one.event)))
        for one, (name, n, digest) in zip(batch.events, after, strict=True)
    ]


def padding(event: Put) -> int:
    return 2_000_000 if event.what == "too large" else 100


async def misbehave(event: Put, tx: Tx) -> None:
    """What a test asks a handler to do wrong, unless the test has cured it since."""
    if event.what in ("ok", "too large") or await tx.fetchval("select cured from ward"):
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
    for one in batch.events:
        if isinstance(one.event, Counted):
            await tx.execute(
                "insert into counted (name, day, version, lane_day) values ($1, $2, $3, $4)",
                one.event.name, one.event.day, one.event.version, batch.on,
            )  # fmt: skip
    steps: list[InboundEvent[Any]] = [one for one in batch.events if isinstance(one.event, Step)]
    if not steps:
        return []
    part: Batch[Step] = Batch(steps, batch.topic, batch.partition, batch.on, batch.now, batch.county, batch.partitions)
    after = await fold(part, tx)
    said = [one.emit(End(name=name, n=n, digest=digest)) for one, (name, n, digest) in zip(steps, after, strict=True)]
    newest = {one.event.name: one for one in steps}
    stands = {row["name"]: row for row in await tx.fetch(LOAD, list(newest))}
    return said + [one.emit(Stands(**dict(stands[name]))) for name, one in newest.items()]


async def on_clock(batch: Batch[TimePassed | DayBegan], tx: Tx) -> list[OutboundEvent]:
    await tx.execute("update ward set ticks = ticks + $1", len(batch.events))
    return []


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    rows = await tx.fetch(DAY_PAGE, page.index, page.resume or "", page.limit)
    await tx.execute(
        "insert into day_audit (day, index, name) select $1, $2, * from unnest($3::text[])",
        page.day, page.index, [row["name"] for row in rows],
    )  # fmt: skip
    if any(row["name"].startswith("no day") for row in rows) and not await tx.fetchval("select cured from ward"):
        raise KeyError("a bug")
    said = [page.emit(Counted(name=row["name"], day=page.day, version=row["version"])) for row in rows]
    return DayPageResult(said, rows[-1]["name"] if len(rows) == page.limit else None)


async def on_beta_day(page: DayPage, tx: Tx) -> DayPageResult:
    await tx.execute("insert into day_audit (day, index, name) values ($1, $2, '')", page.day, page.index)
    return DayPageResult([], None)


def alpha(settings: Settings) -> Service:
    """Return the first of the two: its days come from the clock."""
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
    """Return the second: its days come in-band."""
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
    """Return one that reads every unit's topic, one partition each, and its days from the clock."""
    service = Service(f"alpha_{RUN}", settings, migrations=MIGRATIONS, topics=MODEL_TOPICS)
    service.consumer(
        "main",
        topics=(UNIT_INPUT, CLOCK),
        handlers={UNIT_INPUT: on_unit},
        on_day=on_day,
        day_source=CLOCK,
        park_key=by_name,
    )
    return service


async def on_unit(batch: Batch[UnitPut], tx: Tx) -> list[OutboundEvent]:
    for one in batch.events:
        await misbehave(one.event, tx)
    await fold(batch, tx)
    return []


def by_name(event: UnitPut, _: object) -> str:
    return f"name {event.name}"


app = Application(f"alpha_{RUN}", alpha)
