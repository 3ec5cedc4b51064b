"""Load, decide, save, say: what intake does with what units hand over and what their people do."""

from itertools import groupby
from typing import cast
from uuid import UUID

from contracts.intake import Action, Begin, End, Row
from contracts.topics import RESTRICTED_ACTION
from runtime import Batch, InboundEvent, OutboundEvent, Tx
from services.intake import store
from services.intake.counter import Counter
from services.intake.misread import Misread
from services.intake.people import Account, Taken, take
from services.intake.plans import Desk
from services.intake.secrets import Secrets


async def on_records(
    batch: Batch[Begin | Row | End | Misread], tx: Tx, *, secrets: Secrets, desk: Desk
) -> list[OutboundEvent]:
    """Read rows, take files, answer both."""
    unit = _unit(batch.topic)
    named = {heard.event.submission for heard in batch.events if heard.event.submission is not None}
    files = await store.submissions(tx, unit, named)
    counter = Counter(tx, unit, desk.plans(batch.county), secrets, batch.now, files)
    said: list[OutboundEvent] = []
    for are_rows, run in groupby(batch.events, key=lambda heard: _is_row(heard.event)):
        if are_rows:
            said += await counter.rows(cast("list[InboundEvent[Row | Misread]]", list(run)))
            continue
        for heard in run:
            if isinstance(heard.event, Misread):
                said += counter.misread(cast("InboundEvent[Misread]", heard))
                continue
            if isinstance(heard.event, Begin):
                said += await counter.begin(cast("InboundEvent[Begin]", heard))
            else:
                said += await counter.end(cast("InboundEvent[End]", heard))
            await counter.save()  # what the next file is compared with
    await counter.save()
    return said


async def on_actions(batch: Batch[Action | Misread], tx: Tx, *, secrets: Secrets, desk: Desk) -> list[OutboundEvent]:
    """Check each action, pass it on, answer it."""
    unit = _unit(batch.topic)
    account = Account(unit, restricted=batch.topic == RESTRICTED_ACTION.name_for(unit))
    plans = desk.plans(batch.county)
    before = await store.taken_actions(tx, account.principal, {heard.envelope.id for heard in batch.events})
    newly: dict[UUID, UUID | None] = {}
    said: list[OutboundEvent] = []
    seal = secrets.sealing()
    for heard in batch.events:
        answer = take(heard, account, plans, secrets, seal, batch.now, before)
        if isinstance(answer, Taken):
            before[heard.envelope.id] = newly[heard.envelope.id] = answer.finding
        said += answer.said
    await store.save_actions(tx, account.principal, newly)
    return said


def _is_row(event: Begin | Row | End | Misread) -> bool:
    return isinstance(event, Row) or (isinstance(event, Misread) and event.is_row)


def _unit(topic: str) -> str:
    """The topic says who spoke."""
    return topic.split(".")[1]
