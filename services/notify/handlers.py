"""Notifies every responsible unit of each event, once: load, decide, save, emit."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import uuid5

from contracts.event import Event, at_midnight
from runtime import Batch, DayPage, DayPageResult, OutboundEvent, Tx
from services.notify import events, store
from services.notify.domain import digest
from services.notify.plans import NotificationPlan, plan_notifications
from services.notify.recipients import NoticeDraft
from services.notify.store import AlarmEntry, InboxEntry
from services.notify.unit_directory import UnitDirectory


async def on_case(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Notify of referrals, proposals, the ledger, duties and refused actions; ordinary or restricted."""
    return await _notify(batch, tx)


async def on_review(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Notify of reviews that the registry requests, and of actions that it refused."""
    return await _notify(batch, tx)


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """Emit the day's digests.

    Every partition counts its own children when it completes the day, so the numbers are those of the end of the day
    and the same in every replay. The partition that finishes last adds them up and emits them. The topics of restricted
    matters have no watermarks, so that their numbers are the current ones.
    """
    phase, _, after = (page.resume or "count:").partition(":")
    if phase == "count":
        last = await store.count_obligations(tx, page.day, page.index, at_midnight(page.day), after, page.limit)
        if last is not None:
            return DayPageResult([], f"count:{last}")
        counted = await store.mark_partition_counted(tx, page.day, page.index)
        return DayPageResult([], "emit:" if counted >= page.partitions else None)
    return await _emit_digests(page, tx, after)


async def _notify(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    directory = UnitDirectory.of(batch.county)
    planned = [(inbound, plan_notifications(inbound.event, directory, batch.partition)) for inbound in batch.events]
    entries: list[list[InboxEntry]] = []
    alarms: list[list[AlarmEntry]] = []
    for inbound, plan in planned:
        cause, time = inbound.envelope.id, inbound.envelope.time
        own = events.inbox_entries(plan, cause, time, directory)
        entries.append(own)
        raised = events.alarm_entries(plan, cause, time, directory)
        alarms.append(raised + events.unattended_alarms(own, plan.on, time, directory))

    new_entries = await store.add_entries(tx, [entry for own in entries for entry in own])
    new_alarms = await store.add_alarms(tx, _unique(alarm for raised in alarms for alarm in raised))
    await store.save_obligations(tx, store.newest([owed for _, plan in planned for owed in plan.obligations]))

    emitted: list[OutboundEvent] = []
    for (inbound, _), own, raised in zip(planned, entries, alarms, strict=True):
        for alarm in raised:
            if alarm.alarm.alarm in new_alarms:
                new_alarms.remove(alarm.alarm.alarm)
                emitted.append(inbound.emit(alarm.alarm))
        for entry in own:
            if entry.notice.notice in new_entries:
                new_entries.remove(entry.notice.notice)
                emitted.append(events.emit_notice(inbound.emit(entry.notice)))
    return emitted


def _unique(alarms: Iterable[AlarmEntry]) -> list[AlarmEntry]:
    return list({entry.alarm.alarm: entry for entry in alarms}.values())


async def _emit_digests(page: DayPage, tx: Tx, after: str) -> DayPageResult:
    directory = UnitDirectory.of(page.county)
    rows = await store.county_counts(tx, page.day, after, page.limit)
    entries = [
        entry for unit, restricted, counts in rows for entry in _digests(page, directory, unit, restricted, counts)
    ]
    alarms = _unique(events.unattended_alarms(entries, page.day, at_midnight(page.day), directory))

    new_entries = await store.add_entries(tx, entries)
    new_alarms = await store.add_alarms(tx, alarms)

    # The cause is the digest, not the page: which partition finishes last is chance and must not change an event.
    emitted = [
        replace(page.emit(entry.alarm), cause=entry.alarm.alarm) for entry in alarms if entry.alarm.alarm in new_alarms
    ]
    emitted += [
        events.emit_notice(replace(page.emit(entry.notice), cause=entry.cause))
        for entry in entries
        if entry.notice.notice in new_entries
    ]
    if len({unit for unit, _, _ in rows}) == page.limit:
        return DayPageResult(emitted, f"emit:{rows[-1][0]}")
    await store.delete_partial_counts(tx, page.day)
    return DayPageResult(emitted, None)


def _digests(
    page: DayPage, directory: UnitDirectory, unit: str, restricted: bool, counts: digest.Counts
) -> list[InboxEntry]:
    texts = {"digest.daily": digest.daily(counts)}
    if page.day.day == 1:
        texts["digest.monthly"] = digest.monthly(counts)
    plan = NotificationPlan(restricted, page.day, None, None)
    return [
        events.inbox_entry(
            NoticeDraft(unit, template, {"due": page.day, "counts": text, "soonest": counts.next_due}),
            plan,
            uuid5(events.NAMESPACE, f"{template}/{page.day}/{unit}/{restricted}"),
            at_midnight(page.day),
            directory,
        )
        for template, text in texts.items()
        if text is not None
    ]
