"""Records of the model topics, and what a service without its process has applied of them."""

from datetime import date
from types import SimpleNamespace
from typing import Any

from runtime import Service
from tests.runtime import model
from tests.runtime.harness import ModelSystem, dispatch_and_drain

PARTITION = (model.INPUT.name, 0)
"""The first partition of alpha's input."""
DAY_1, DAY_2, DAY_4 = date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 4)


def put(system: ModelSystem, offset: int, name: str = "a", what: str = "ok") -> Any:
    """Return a consumed record of a ``Put`` on ``PARTITION``."""
    envelope = system.envelope("model.Put.v1", name, None)
    body = f'{{"name": "{name}", "n": {offset}, "what": "{what}"}}'.encode()
    return SimpleNamespace(
        topic=PARTITION[0],
        partition=0,
        offset=offset,
        timestamp=0,
        key=name.encode(),
        value=body,
        headers=envelope.headers(),
    )


async def audited(service: Service) -> list[int]:
    """Return the numbers of the applied events, in order."""
    return [row["n"] for row in await service.context.pool.fetch("select n from audit order by id")]


async def apply(service: Service, *records: Any) -> None:
    """Dispatch records to the service's consumer and wait until its workers have finished."""
    await dispatch_and_drain(service.consumers["main"], records)


def produce_watermark(system: ModelSystem, producer: int, day: date) -> None:
    """Produce one upstream producer's watermark on every partition of beta's input."""
    body = f'{{"day": "{day}", "producers": 4}}'.encode()
    for partition in range(system.partitions):
        envelope = system.envelope("clock.DayWatermark.v1", "day").with_sequence(producer, 0)
        system.produce(system.step, "day", body, envelope.headers(), partition)


def produce_step(system: ModelSystem, producer: int, sequence: int, name: str, partition: int | None = None) -> None:
    """Produce one ``Step`` with a sequence number on beta's input."""
    body = f'{{"name": "{name}", "n": {sequence}, "digest": ""}}'.encode()
    envelope = system.envelope("model.Step.v1", name).with_sequence(producer, sequence)
    system.produce(system.step, name, body, envelope.headers(), partition)
    system.flush()
