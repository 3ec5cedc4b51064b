"""Load, decide, save, say: what intake does with what units hand over and what their people do."""

from itertools import groupby
from typing import cast
from uuid import UUID

from contracts.intake import Action, Begin, End, Row
from contracts.topics import RESTRICTED_ACTION
from runtime import Batch, InboundEvent, OutboundEvent, Tx
from services.intake import store
from services.intake.actions import Accepted, Account, accept
from services.intake.malformed import MalformedMessage
from services.intake.parsers import ParserCache
from services.intake.secrets import Secrets
from services.intake.submissions import SubmissionProcessor


async def on_records(
    batch: Batch[Begin | Row | End | MalformedMessage], tx: Tx, *, secrets: Secrets, parsers: ParserCache
) -> list[OutboundEvent]:
    """Read rows, take files, answer both."""
    unit = _unit(batch.topic)
    named = {heard.event.submission for heard in batch.events if heard.event.submission is not None}
    files = await store.load_submissions(tx, unit, named)
    counter = SubmissionProcessor(tx, unit, parsers.parsers(batch.county), secrets, batch.now, files)
    said: list[OutboundEvent] = []
    for are_rows, run in groupby(batch.events, key=lambda heard: _is_row(heard.event)):
        if are_rows:
            said += await counter.rows(cast("list[InboundEvent[Row | MalformedMessage]]", list(run)))
            continue
        for heard in run:
            if isinstance(heard.event, MalformedMessage):
                said += counter.answer_malformed(cast("InboundEvent[MalformedMessage]", heard))
                continue
            if isinstance(heard.event, Begin):
                said += await counter.begin(cast("InboundEvent[Begin]", heard))
            else:
                said += await counter.end(cast("InboundEvent[End]", heard))
            await counter.save()  # what the next file is compared with
    await counter.save()
    return said


async def on_actions(
    batch: Batch[Action | MalformedMessage], tx: Tx, *, secrets: Secrets, parsers: ParserCache
) -> list[OutboundEvent]:
    """Check each action, pass it on, answer it."""
    unit = _unit(batch.topic)
    account = Account(unit, restricted=batch.topic == RESTRICTED_ACTION.name_for(unit))
    plans = parsers.parsers(batch.county)
    before = await store.load_accepted_actions(tx, account.principal, {heard.envelope.id for heard in batch.events})
    newly: dict[UUID, UUID | None] = {}
    said: list[OutboundEvent] = []
    seal = secrets.new_seal()
    for heard in batch.events:
        answer = accept(heard, account, plans, secrets, seal, batch.now, before)
        if isinstance(answer, Accepted):
            before[heard.envelope.id] = newly[heard.envelope.id] = answer.finding
        said += answer.events
    await store.save_actions(tx, account.principal, newly)
    return said


def _is_row(event: Begin | Row | End | MalformedMessage) -> bool:
    return isinstance(event, Row) or (isinstance(event, MalformedMessage) and event.is_row)


def _unit(topic: str) -> str:
    """The topic says who spoke."""
    return topic.split(".")[1]
