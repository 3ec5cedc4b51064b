"""Tells each event to every unit that it concerns: load, decide, save, say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from contracts.county import County
from contracts.event import Event, at_midnight
from contracts.notify import AlarmRaised, Notice
from contracts.referral import (
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    ReferralActionRefused,
    ReferralChanged,
)
from contracts.registry import FactConflictFound, RegistryActionRefused, ReviewRequested, ReviewResolved
from contracts.vocabulary import Level
from runtime import Batch, DayPage, DayPageResult, InboundEvent, OutboundEvent, Tx
from services.notify import store
from services.notify.domain import digest, telling, wording
from services.notify.domain.addressing import Office, address
from services.notify.domain.telling import Line, Offices, Ring, Turn
from services.notify.store import Matter, Raised, Told

IDS = uuid5(NAMESPACE_URL, "hutong/notify")
TOWNSHIP = "township"
"""Stands in the county's routes for the unit of the child's township."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What notify needs of the county: who has which inbox, and what everybody is called."""

    offices: Mapping[str, Office]
    names: Mapping[str, str]
    named: Offices

    @classmethod
    def of(cls, county: County) -> "Desk":
        return cls(
            {
                unit.id: Office(unit.short, unit.parent, unit.inbox, unit.receives_restricted, unit.recipient)
                for unit in county.units
            },
            {unit.id: unit.short for unit in county.units},
            Offices(county.lead_unit, county.duty_unit),
        )


@dataclass(slots=True)
class Heeded:
    """What one event comes to."""

    restricted: bool
    on: date
    about: UUID | None
    child: UUID | None
    lines: list[Line] = field(default_factory=list)
    rings: list[Ring] = field(default_factory=list)
    matters: list[Matter] = field(default_factory=list)


async def on_case(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """Referrals, proposals, the ledger, duties and refused actions; ordinary or restricted."""
    return await _tell(batch, tx)


async def on_question(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    """What the registry asks a person, and what it had to refuse."""
    return await _tell(batch, tx)


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """The day's digests.

    Every lane counts its own children when it turns its page, so that the numbers are those of the turn of the day
    and the same in every replay; the lane that finishes last adds them up and says them. Restricted matters travel
    without day marks: theirs are the numbers of the moment.
    """
    phase, _, after = (page.resume or "count:").partition(":")
    if phase == "count":
        last = await store.count_matters(tx, page.day, page.index, at_midnight(page.day), after, page.limit)
        if last is not None:
            return DayPageResult([], f"count:{last}")
        counted = await store.lane_counted(tx, page.day, page.index)
        return DayPageResult([], "say:" if counted >= page.partitions else None)
    return await _say_digests(page, tx, after)


async def _tell(batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
    desk = Desk.of(batch.county)
    heeded = [(heard, heed(heard.event, batch.county, desk, batch.partition)) for heard in batch.events]
    told = [_addressed(heard, what, desk) for heard, what in heeded]
    alarms = [_alarms(heard, what, lines, desk) for (heard, what), lines in zip(heeded, told, strict=True)]
    new_lines = await store.keep_lines(tx, [line for lines in told for line in lines])
    new_alarms = await store.raise_alarms(tx, _once(alarm for raised in alarms for alarm in raised))
    await store.keep_matters(tx, store.newest([matter for _, what in heeded for matter in what.matters]))
    said: list[OutboundEvent] = []
    for (heard, _), lines, raised in zip(heeded, told, alarms, strict=True):
        for alarm in raised:
            if alarm.alarm in new_alarms:
                new_alarms.remove(alarm.alarm)
                said.append(heard.emit(_alarm_event(alarm)))
        for line in lines:
            if line.notice in new_lines:
                new_lines.remove(line.notice)
                said.append(_said(heard.emit(_notice_event(line)), line))
    return said


# ---------------------------------------------------------------- what an event comes to


def heed(event: Event, county: County, desk: Desk, partition: int) -> Heeded:
    """Who is told what, who is rung, and whose turn it is."""
    match event:
        case ReferralChanged():
            return _of_referral(event, county, desk, partition)
        case ProposalMade():
            found = Heeded(event.restricted, event.on, event.proposal, event.child)
            found.lines = telling.of_proposal(event.subject, event.unit, event.level, event.decide_by, desk.named)
            found.rings = telling.ring_of_proposal(event.unit, event.level, desk.named)
            found.matters = [
                _matter("proposal", event.proposal, 1, event, event.unit, "decide", event.decide_by, partition)
            ]
            return found
        case ProposalEnded():
            found = Heeded(event.restricted, event.on, event.proposal, event.child)
            escalated = event.outcome == "escalated"
            if escalated:
                found.lines, found.rings = telling.of_late_proposal(
                    event.subject, event.unit, event.escalated_to, desk.named
                )
            unit = (event.escalated_to or desk.named.lead) if escalated else event.unit
            turn: Turn | None = "decide" if escalated else None
            found.matters = [
                _matter("proposal", event.proposal, 2 if escalated else 3, event, unit, turn, None, partition)
            ]
            return found
        case LedgerEntryChanged():
            found = Heeded(event.restricted, event.on, None, event.child)
            if event.change != "changed":
                found.lines = [Line(event.unit, f"ledger.{event.change}", {"days": county.first_visit_days})]
            return found
        case DutyChanged():
            return _of_duty(event, partition)
        case ReviewRequested():
            found = Heeded(False, event.on, event.review, event.child)
            found.lines = [Line(event.unit, "question.match")]
            found.matters = [_matter("question", event.review, 1, event, event.unit, "question", None, partition)]
            return found
        case ReviewResolved():
            found = Heeded(False, event.on, event.review, event.child)
            found.matters = [_matter("question", event.review, 2, event, event.unit, None, None, partition)]
            return found
        case FactConflictFound():
            found = Heeded(False, event.on, None, event.child)
            found.lines = [Line(unit, "question.facts", {"fact": event.name}) for unit in dict.fromkeys(event.units)]
            return found
        case ReferralActionRefused() | RegistryActionRefused():
            found = Heeded(event.restricted, event.on, event.ce_id, event.child)
            found.lines = [Line(event.unit, "action.refused", {"verb": event.verb, "refusal": event.code})]
            return found
        case _:
            raise TypeError(f"nobody said what {type(event).__name__} means to notify")


def _of_referral(event: ReferralChanged, county: County, desk: Desk, partition: int) -> Heeded:
    moved = telling.Moved(
        move=event.transition,
        state=event.state,
        level=event.level,
        to_unit=_unit(county, event.to_unit, event.township),
        from_unit=_unit(county, event.from_unit, event.township),
        previous_unit=event.previous_unit,
        inform=tuple(_unit(county, unit, event.township) for unit in event.inform),
        reporter_unit=event.reporter_unit,
        reporters=event.reporters or ((event.reporter_unit,) if event.reporter_unit else ()),
        actor_unit=event.actor_unit,
        escalated_to=event.escalated_to,
        why=event.overdue or event.cause,
        reason=event.reason,
        right_unit=_speaker(county, event.right_unit),
        result=event.result,
        accept_by=event.accept_by,
        result_by=event.result_by,
        phone_by=event.phone_by,
        phone_reported=event.phone_reported,
        provisional=event.provisional,
    )
    owed = telling.owed_in(moved)
    unit, turn, due = (owed.unit, owed.turn, owed.due) if owed else (moved.to_unit, None, None)
    matter = _matter("referral", event.referral, event.version, event, unit, turn, due, partition)
    return Heeded(
        event.restricted,
        event.on,
        event.referral,
        event.child,
        telling.of_move(moved, desk.named),
        telling.rings_of_move(moved, desk.named),
        [replace(matter, watcher=telling.watched_by(moved))],
    )


def _of_duty(event: DutyChanged, partition: int) -> Heeded:
    found = Heeded(event.restricted, event.on, event.duty, event.child)
    if event.change == "missed":
        found.lines = [Line(event.unit, "duty.missed", {"duty": event.duty_kind, "due": event.due_on})]
    turn = telling.DUTY_TURNS.get(event.duty_kind)
    if turn is not None:
        rank = telling.DUTY_RANK[event.change]
        is_open = event.change in ("created", "reminded", "missed")
        due = at_midnight(event.due_on + timedelta(days=1))
        found.matters = [
            _matter("duty", event.duty, rank, event, event.unit, turn if is_open else None, due, partition)
        ]
    return found


def _matter(
    kind: telling.MatterKind,
    matter: UUID,
    rank: int,
    event: ReferralChanged | ProposalMade | ProposalEnded | DutyChanged | ReviewRequested | ReviewResolved,
    unit: str,
    turn: Turn | None,
    due: datetime | None,
    partition: int,
) -> Matter:
    level = event.level if isinstance(event, ReferralChanged | ProposalMade) else None
    restricted = event.restricted if not isinstance(event, ReviewRequested | ReviewResolved) else False
    return Matter(
        kind=kind,
        id=matter,
        rank=rank,
        open=turn is not None,
        unit=unit,
        turn=turn,
        watcher=None,
        level=Level(level).value if level is not None else None,
        restricted=restricted,
        due=due,
        child=event.child,
        partition=partition,
    )


def _unit(county: County, unit: str, township: str | None) -> str:
    if unit != TOWNSHIP:
        return unit
    found = county.township(township)
    return found.unit if found is not None else county.lead_unit


def _speaker(county: County, unit: str | None) -> str | None:
    """The unit that a smaller place speaks through: which school it is would say too much of a child."""
    speaker = county.sending_unit(unit) if unit is not None else None
    return unit if speaker is None else speaker.id


# ---------------------------------------------------------------- into inboxes


def _addressed(heard: InboundEvent[Event], what: Heeded, desk: Desk) -> list[Told]:
    """The lines of an event with their inboxes; nobody is told the same twice."""
    found: dict[tuple[str, str], Told] = {}
    for line in what.lines:
        told = _line(line, heard.envelope.id, heard.envelope.time, what, desk)
        found.setdefault((line.unit, line.template), told)
    return list(found.values())


def _line(line: Line, cause: UUID, time: datetime, what: Heeded, desk: Desk) -> Told:
    to = address(desk.offices, desk.named.lead, line.unit, restricted=what.restricted)
    return Told(
        notice=uuid5(IDS, f"{cause}/{line.unit}/{line.template}"),
        cause=cause,
        meant_for=line.unit,
        template=line.template,
        unit=to.inbox,
        restricted=what.restricted,
        urgency=wording.urgency(line.template, call=line.call),
        text=wording.say(
            line.template,
            desk.names,
            {**line.words, "queue": what.restricted},
            call=line.call,
            provisional=line.provisional,
            answers_for=to.answers_for,
        ),
        about=what.about,
        child=what.child,
        due=line.due,
        on=what.on,
        said_at=time,
    )


def _alarms(heard: InboundEvent[Event], what: Heeded, told: Iterable[Told], desk: Desk) -> list[Raised]:
    time = heard.envelope.time
    raised = [
        Raised(
            alarm=uuid5(IDS, f"{heard.envelope.id}/{ring.what}/{ring.unit}"),
            unit=ring.unit,
            what=ring.what,
            about=what.about,
            text=wording.say(ring.template, desk.names, ring.words, call=ring.call),
            on=what.on,
            raised_at=time,
        )
        for ring in what.rings
    ]
    return raised + _unattended(told, desk, what.on, time)


def _unattended(told: Iterable[Told], desk: Desk, on: date, time: datetime) -> list[Raised]:
    """An inbox without anybody who answers for it: the lead unit is rung, once a day and unit."""
    found: dict[str, Raised] = {}
    for line in told:
        unit = address(desk.offices, desk.named.lead, line.meant_for, restricted=line.restricted).unattended
        if unit is not None and unit not in found:
            found[unit] = Raised(
                alarm=uuid5(IDS, f"no_recipient/{unit}/{on}"),
                unit=desk.named.lead,
                what="no_recipient",
                about=None,
                text=wording.say("alarm.no_recipient", desk.names, {"unit": unit}),
                on=on,
                raised_at=time,
            )
    return list(found.values())


def _once(alarms: Iterable[Raised]) -> list[Raised]:
    return list({alarm.alarm: alarm for alarm in alarms}.values())


def _notice_event(line: Told) -> Notice:
    return Notice(
        notice=line.notice,
        unit=line.unit,
        restricted=line.restricted,
        template=line.template,
        text=line.text,
        urgency=line.urgency,
        subject=line.about,
        child=line.child,
        due=line.due,
        on=line.on,
    )


def _alarm_event(alarm: Raised) -> AlarmRaised:
    return AlarmRaised(
        alarm=alarm.alarm, unit=alarm.unit, trigger=alarm.what, subject=alarm.about, text=alarm.text, on=alarm.on
    )


def _said(say: OutboundEvent, line: Told) -> OutboundEvent:
    return replace(say, sensitivity="restricted") if line.restricted else say


async def tell_failure(heard: InboundEvent[Any], alarm: AlarmRaised, desk: Desk, tx: Tx) -> list[OutboundEvent]:
    """An alarm did not get through: the lead unit reads so in its inbox, once however many ways failed."""
    what = Heeded(True, alarm.on, alarm.subject, None, [Line(desk.named.lead, "alarm.failed")])
    lines = _addressed(heard, what, desk)
    new = await store.keep_lines(tx, lines)
    return [_said(heard.emit(_notice_event(line)), line) for line in lines if line.notice in new]


# ---------------------------------------------------------------- digests


async def _say_digests(page: DayPage, tx: Tx, after: str) -> DayPageResult:
    desk = Desk.of(page.county)
    rows = await store.sums(tx, page.day, after, page.limit)
    told = [line for unit, restricted, counts in rows for line in _digests(page, desk, unit, restricted, counts)]
    new = await store.keep_lines(tx, told)
    midnight = at_midnight(page.day)
    alarms = _once(_unattended(told, desk, page.day, midnight))
    rung = await store.raise_alarms(tx, alarms)
    # The cause is the digest's own, not the page's: which lane comes last is chance, what it says is not.
    said = [replace(page.emit(_alarm_event(alarm)), cause=alarm.alarm) for alarm in alarms if alarm.alarm in rung]
    said += [
        _said(replace(page.emit(_notice_event(line)), cause=line.cause), line) for line in told if line.notice in new
    ]
    if len({unit for unit, _, _ in rows}) == page.limit:
        return DayPageResult(said, f"say:{rows[-1][0]}")
    await store.forget_parts(tx, page.day)
    return DayPageResult(said, None)


def _digests(page: DayPage, desk: Desk, unit: str, restricted: bool, counts: digest.Counts) -> list[Told]:
    texts = {"digest.daily": digest.daily(counts)}
    if page.day.day == 1:
        texts["digest.monthly"] = digest.monthly(counts)
    what = Heeded(restricted, page.day, None, None)
    return [
        _line(
            Line(unit, template, {"due": page.day, "counts": text, "soonest": counts.soonest}),
            uuid5(IDS, f"{template}/{page.day}/{unit}/{restricted}"),
            at_midnight(page.day),
            what,
            desk,
        )
        for template, text in texts.items()
        if text is not None
    ]
