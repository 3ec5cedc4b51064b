"""Lists parked events, and releases them in order, in one transaction, on the current day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from runtime.consume.group import ConsumerGroup
from runtime.context import REPLAY_PRODUCER, RuntimeContext
from runtime.errors import RetryLater, UnprocessableEvent
from runtime.observe.logs import where
from runtime.publish.outbox import OutboxRow
from runtime.storage import sql
from runtime.storage.database import infrastructure
from runtime.storage.sealing import CannotOpen


class NothingParked(Exception):
    """No such key is parked. Remedy: ``--parked`` lists those that are."""


class StillParked(Exception):
    """The key's events still cannot be processed, so nothing was changed. The message says where and why."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """One parked key of one consumer."""

    consumer: str
    key: str
    topic: str
    partition: int
    first_offset: int
    reason: str
    since: datetime
    events: int


async def parked(context: RuntimeContext) -> list[ParkedKey]:
    """Return the parked keys, the oldest first."""
    return [ParkedKey(**dict(row)) for row in await context.pool.fetch(sql.PARKED)]


async def release(context: RuntimeContext, groups: Mapping[str, ConsumerGroup], key: str) -> int:
    """Apply a key's parked events, and return their number.

    Raises:
        NothingParked: no event is parked under this key.
        StillParked: one of them still cannot be processed, whatever the reason.
    """
    async with context.pool.acquire() as session, session.transaction():
        # Locked first, so that an event that arrives now waits and is then not parked.
        consumers = [row["consumer"] for row in await session.fetch(sql.LOCK_PARKED, key)]
        if not consumers:
            raise NothingParked(key)
        count = 0
        for name in consumers:
            stored = await session.fetch(sql.PARKED_EVENTS, name, key)
            rows: list[OutboxRow] = []
            for place, part in groupby(stored, key=lambda row: (row["topic"], row["partition"])):
                held = list(part)
                try:
                    raws = [context.parking_cipher.decrypt(row["record"], name, *place, row["offset"]) for row in held]
                    rows += await groups[name].processor(*place).release(session, raws)
                except Exception as error:
                    if infrastructure(error) and not isinstance(error, RetryLater):
                        raise
                    raise StillParked(f"{place[0]}/{place[1]} from offset {held[0]['offset']}: {_why(error)}") from None
                count += len(held)
            await context.outbox.write(session, context.producer_ids[REPLAY_PRODUCER, 0], rows)
            await session.execute(sql.RELEASE, name, key)
        await context.outbox.notify_relay(session)
        return count


def _why(error: Exception) -> str:
    """Return the message of one of Hutong's own errors; for any other error only its type and place.

    The message of another error may quote personal data.
    """
    ours = isinstance(error, UnprocessableEvent | RetryLater | CannotOpen)
    return str(error) if ours else f"{type(error).__name__} in {where(error)}"
