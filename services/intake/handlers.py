"""Load, decide, save, emit: how intake processes what units submit and what their people do."""

from itertools import groupby
from typing import cast

from contracts.intake import Action, Begin, End, Row
from contracts.topics import RESTRICTED_ACTION
from runtime import Batch, InboundEvent, OutboundEvent, Tx
from services.intake import store
from services.intake.actions import ActionProcessor
from services.intake.domain.action import Account
from services.intake.malformed import MalformedMessage
from services.intake.parsers import ParserCache
from services.intake.rows import RowProcessor
from services.intake.secrets import Secrets
from services.intake.submissions import SubmissionProcessor


async def on_records(
    batch: Batch[Begin | Row | End | MalformedMessage], tx: Tx, *, secrets: Secrets, parsers: ParserCache
) -> list[OutboundEvent]:
    """Process one unit's files and rows (a row: ``RowProcessor.process``); return changed records and the receipts.

    Consecutive rows are processed together. A beginning or an end is saved before the next event, which may be
    compared with it.
    """
    unit = _unit(batch.topic)
    named = {inbound.event.submission for inbound in batch.events if inbound.event.submission is not None}
    files = await store.load_submissions(tx, unit, named)
    county_parsers = parsers.parsers(batch.county)
    submissions = SubmissionProcessor(tx, unit, county_parsers, batch.now, files)
    rows = RowProcessor(tx, unit, county_parsers, secrets, batch.now, files)
    emitted: list[OutboundEvent] = []
    for are_rows, group in groupby(batch.events, key=lambda inbound: _is_row(inbound.event)):
        if are_rows:
            emitted += await rows.process(cast("list[InboundEvent[Row | MalformedMessage]]", list(group)))
            continue
        for inbound in group:
            if isinstance(inbound.event, MalformedMessage):
                emitted += submissions.answer_malformed(cast("InboundEvent[MalformedMessage]", inbound))
                continue
            if isinstance(inbound.event, Begin):
                emitted += await submissions.begin(cast("InboundEvent[Begin]", inbound))
            else:
                emitted += await submissions.end(cast("InboundEvent[End]", inbound))
            await submissions.save()  # the next file is compared with it
    await submissions.save()
    return emitted


async def on_actions(
    batch: Batch[Action | MalformedMessage], tx: Tx, *, secrets: Secrets, parsers: ParserCache
) -> list[OutboundEvent]:
    """Check the actions of one log-in; return those that are accepted, and the receipts."""
    unit = _unit(batch.topic)
    account = Account(unit, restricted=batch.topic == RESTRICTED_ACTION.name_for(unit))
    ce_ids = {inbound.envelope.id for inbound in batch.events}
    accepted = await store.load_accepted_actions(tx, account.principal, ce_ids)
    actions = ActionProcessor(account, parsers.parsers(batch.county), secrets, batch.now, accepted)
    emitted = [event for inbound in batch.events for event in actions.process(inbound)]
    await store.save_actions(tx, account.principal, actions.newly_accepted)
    return emitted


def _is_row(event: Begin | Row | End | MalformedMessage) -> bool:
    return isinstance(event, Row) or (isinstance(event, MalformedMessage) and event.is_row)


def _unit(topic: str) -> str:
    """Return the unit that a topic belongs to."""
    return topic.split(".")[1]
