"""Maps plans to the events that notify publishes, each notice with the inbox it goes into."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from contracts.notify import AlarmRaised, Notice
from runtime import OutboundEvent
from services.notify.domain import templates
from services.notify.plans import NotificationPlan
from services.notify.recipients import NoticeDraft
from services.notify.store import AlarmEntry, InboxEntry
from services.notify.unit_directory import UnitDirectory

NAMESPACE = uuid5(NAMESPACE_URL, "hutong/notify")


def inbox_entries(plan: NotificationPlan, cause: UUID, time: datetime, directory: UnitDirectory) -> list[InboxEntry]:
    """Return the notices of a plan with their inboxes; a unit gets each template once."""
    entries: dict[tuple[str, str], InboxEntry] = {}
    for draft in plan.notices:
        entries.setdefault((draft.unit, draft.template), inbox_entry(draft, plan, cause, time, directory))
    return list(entries.values())


def inbox_entry(
    draft: NoticeDraft, plan: NotificationPlan, cause: UUID, time: datetime, directory: UnitDirectory
) -> InboxEntry:
    """Render one notice and choose its inbox. ``cause``: the event, or the digest, that it comes from."""
    to = directory.address(draft.unit, restricted=plan.restricted)
    text = templates.render(
        draft.template,
        directory.names,
        {**draft.values, "queue": plan.restricted},
        call=draft.call,
        provisional=draft.provisional,
        forward_to=to.forward_to,
    )
    notice = Notice(
        notice=uuid5(NAMESPACE, f"{cause}/{draft.unit}/{draft.template}"),
        unit=to.inbox,
        restricted=plan.restricted,
        template=draft.template,
        text=text,
        urgency=templates.urgency(draft.template, call=draft.call),
        subject=plan.subject,
        child=plan.child,
        due=draft.due,
        on=plan.on,
    )
    return InboxEntry(notice, cause, draft.unit, time)


def alarm_entries(plan: NotificationPlan, cause: UUID, time: datetime, directory: UnitDirectory) -> list[AlarmEntry]:
    """Return the alarms of a plan."""
    return [
        AlarmEntry(
            AlarmRaised(
                alarm=uuid5(NAMESPACE, f"{cause}/{draft.trigger}/{draft.unit}"),
                unit=draft.unit,
                trigger=draft.trigger,
                subject=plan.subject,
                text=templates.render(draft.template, directory.names, draft.values, call=draft.call),
                on=plan.on,
            ),
            time,
        )
        for draft in plan.alarms
    ]


def unattended_alarms(
    entries: Iterable[InboxEntry], on: date, time: datetime, directory: UnitDirectory
) -> list[AlarmEntry]:
    """Alert the lead unit to inboxes that have no recipient, once a day for each unit."""
    alarms: dict[str, AlarmEntry] = {}
    for entry in entries:
        unit = directory.address(entry.addressee, restricted=entry.notice.restricted).unattended
        if unit is not None and unit not in alarms:
            alarm = AlarmRaised(
                alarm=uuid5(NAMESPACE, f"no_recipient/{unit}/{on}"),
                unit=directory.lead,
                trigger="no_recipient",
                subject=None,
                text=templates.render("alarm.no_recipient", directory.names, {"unit": unit}),
                on=on,
            )
            alarms[unit] = AlarmEntry(alarm, time)
    return list(alarms.values())


def failure_entries(alarm: AlarmRaised, cause: UUID, time: datetime, directory: UnitDirectory) -> list[InboxEntry]:
    """Return the lead unit's notice that an alarm was not delivered."""
    failed = NoticeDraft(directory.lead, "alarm.failed")
    return inbox_entries(NotificationPlan(True, alarm.on, alarm.subject, None, [failed]), cause, time, directory)


def emit_notice(outbound: OutboundEvent) -> OutboundEvent:
    """Mark a restricted notice as restricted."""
    restricted = isinstance(outbound.event, Notice) and outbound.event.restricted
    return replace(outbound, sensitivity="restricted") if restricted else outbound
