"""The notification rules: who is notified of a change, whose duty officer an alarm reaches, and who acts next.

Every function here is pure. Units are ids of the county's data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.referral import ProposalEnded, ProposalMade, ReferralChanged
from contracts.vocabulary import Level, ReferralState, Result, Transition
from services.notify.domain.digest import NextAction
from services.notify.domain.templates import Value
from services.notify.unit_directory import UnitDirectory


@dataclass(frozen=True, slots=True)
class NoticeDraft:
    """One sentence to one unit, before it has an inbox."""

    unit: str
    template: str
    values: Mapping[str, Value] = field(default_factory=dict)
    call: bool = False
    """The reader must telephone first."""
    due: datetime | None = None
    provisional: bool = False
    """The working days of a year are not published yet: the due time may move."""


@dataclass(frozen=True, slots=True)
class AlarmDraft:
    """The duty officer of a unit must be reached now."""

    unit: str
    trigger: Literal["l0", "escalated"]
    template: str
    values: Mapping[str, Value] = field(default_factory=dict)
    call: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """What a unit has to do next in a referral that is open."""

    unit: str
    next_action: NextAction
    due: datetime | None


# ---------------------------------------------------------------- what a change of a referral means


def why(event: ReferralChanged) -> str | None:
    """Return the code of why the referral moved: the time limit that ran out, or another cause."""
    return event.overdue or event.cause


def needs_call(event: ReferralChanged) -> bool:
    return event.level is Level.L0


def is_alarming(event: ReferralChanged) -> bool:
    """Return whether an L0 referral goes out, or more is found in one before anybody has telephoned about it."""
    if event.transition is Transition.SENT and why(event) == "finding_added":
        return needs_call(event) and not event.phone_reported
    return needs_call(event) and event.transition in (Transition.SENT, Transition.REOPENED)


def reporters(event: ReferralChanged) -> tuple[str, ...]:
    """Every unit that reported."""
    return event.reporters or ((event.reporter_unit,) if event.reporter_unit else ())


def callers(event: ReferralChanged) -> tuple[str, ...]:
    """Return the units that must telephone until one of them has: the last reporter and the sender."""
    return tuple(dict.fromkeys((event.reporter_unit or event.from_unit, event.from_unit)))


def late_unit(event: ReferralChanged) -> str:
    """Return the unit that let a time limit run out: the sender records the call."""
    return event.from_unit if why(event) == "phone_report" else event.to_unit


def is_blocked(event: ReferralChanged) -> bool:
    """Return whether a guardian refuses help in an urgent referral, which may not be closed then."""
    return event.result is Result.REFUSED_BY_GUARDIAN and event.level in (Level.L0, Level.L1)


# ---------------------------------------------------------------- notices of a referral

_EVEN_TO_THE_ACTOR = frozenset(
    {
        "referral.sent",
        "referral.raised",
        "referral.reopened",
        "referral.call_first",
        "referral.call_again",
        "alarm.l0",
    }
)
"""Templates that also go to the unit that acted: the work is its own, the call is still to be made, and its duty
officer is another person."""


def referral_notices(event: ReferralChanged, directory: UnitDirectory) -> list[NoticeDraft]:
    """Return the notices of one change. An L3 referral makes none: it is counted in the monthly digest."""
    if event.level is Level.L3:
        return []
    return [
        draft
        for draft in _notices(event, directory)
        if draft.unit != event.actor_unit or draft.template in _EVEN_TO_THE_ACTOR
    ]


def _notices(event: ReferralChanged, directory: UnitDirectory) -> Iterator[NoticeDraft]:
    to, sender, call = event.to_unit, event.from_unit, needs_call(event)
    match event.transition:
        case Transition.SENT if why(event) == "finding_added":
            yield NoticeDraft(to, "referral.added", {"level": event.level}, call)
            yield from _emergency(event, directory)
        case Transition.SENT if event.state is not ReferralState.SENT:
            yield _with_due_time("referral.raised", event, event.result_by)
            yield from _emergency(event, directory)
        case Transition.SENT | Transition.REROUTED:
            yield _with_due_time("referral.sent", event, event.accept_by)
            if event.previous_unit not in (None, to):
                yield NoticeDraft(str(event.previous_unit), "referral.taken_over", {"unit": to})
            if event.transition is Transition.SENT:
                yield from _informed(event, directory)
            yield from _emergency(event, directory)
        case Transition.REOPENED:
            yield _with_due_time("referral.reopened", event, event.accept_by)
            yield from _emergency(event, directory)
        case Transition.ACCEPTED:
            values: dict[str, Value] = {"unit": to, "due": event.result_by}
            yield NoticeDraft(sender, "referral.accepted", values, due=event.result_by)
        case Transition.RETURNED:
            values = {"unit": event.previous_unit or to, "reason": event.reason, "right": event.right_unit}
            yield NoticeDraft(sender, "referral.returned", values, call)
        case Transition.ESCALATED:
            yield from _escalated(event, directory)
        case Transition.EXTENDED if why(event) == "calendar_published":
            due = event.accept_by if event.state is ReferralState.SENT else event.result_by
            for unit in dict.fromkeys((to, sender)):
                yield NoticeDraft(unit, "referral.recounted", {"unit": to, "due": due}, due=due)
        case Transition.EXTENDED:
            values = {"unit": to, "due": event.result_by}
            yield NoticeDraft(sender, "referral.extended", values, due=event.result_by)
        case Transition.RESULT_REPORTED if is_blocked(event):
            yield NoticeDraft(sender, "referral.result_blocked", {"unit": to})
        case Transition.RESULT_REPORTED:
            yield NoticeDraft(sender, "referral.result", {"unit": to, "reporter": bool(reporters(event))})
            for unit in reporters(event):
                if unit != sender:
                    yield NoticeDraft(unit, "referral.reporter_result")
        case Transition.CLOSED:
            yield NoticeDraft(to, "referral.closed")
        case Transition.WITHDRAWN:
            yield NoticeDraft(to, "referral.withdrawn")
        case Transition.PHONE_REPORTED:
            if why(event) == "not_reached":
                yield NoticeDraft(event.actor_unit or sender, "referral.call_again", call=True)
        case Transition.STARTED | Transition.REPORTER_INFORMED | Transition.REASSIGNED:
            return


def _with_due_time(template: str, event: ReferralChanged, due: datetime | None) -> NoticeDraft:
    values: dict[str, Value] = {"level": event.level, "due": due}
    return NoticeDraft(event.to_unit, template, values, needs_call(event), due, event.provisional)


def _informed(event: ReferralChanged, directory: UnitDirectory) -> Iterator[NoticeDraft]:
    """Units that are only informed have no referral and no call to make; an emergency is urgent for them too."""
    call = needs_call(event)
    template = "referral.inform_urgent" if call else "referral.inform"
    for unit in dict.fromkeys(event.inform):
        # The duty unit gets a notice that says more.
        if unit != event.to_unit and not (call and unit == directory.duty):
            yield NoticeDraft(unit, template, {"unit": event.to_unit})


def _emergency(event: ReferralChanged, directory: UnitDirectory) -> Iterator[NoticeDraft]:
    """Ask the reporter of an L0 referral to telephone, and put what the alarm says into the duty unit's inbox.

    The receiver's own notice already tells it to telephone.
    """
    if not is_alarming(event):
        return
    if directory.duty != event.to_unit:
        yield NoticeDraft(directory.duty, "alarm.l0", {"unit": event.to_unit}, call=True)
    if not event.phone_reported:
        for unit in callers(event):
            values: dict[str, Value] = {"unit": event.to_unit, "due": event.phone_by}
            yield NoticeDraft(unit, "referral.call_first", values, True, event.phone_by)


def _escalated(event: ReferralChanged, directory: UnitDirectory) -> Iterator[NoticeDraft]:
    """Notify the unit that is late and the unit above it. Of the units above, only the duty unit telephones."""
    to, call = event.to_unit, needs_call(event)
    returned = event.state is ReferralState.RETURNED
    above = event.escalated_to or directory.lead
    values: dict[str, Value] = {"why": why(event), "unit": above}
    if why(event) == "phone_report":
        for unit in callers(event):
            yield NoticeDraft(unit, "referral.phone_overdue", {"unit": above}, call)
    elif returned:
        yield NoticeDraft(to, "referral.overdue_returned", values, call)
    elif why(event) == "refused_by_guardian":
        yield NoticeDraft(to, "referral.blocked", values)
    else:
        yield NoticeDraft(to, "referral.overdue", values, call)
    template = "referral.escalated_returned" if returned else "referral.escalated"
    above_values: dict[str, Value] = {"why": why(event), "unit": late_unit(event), "level": event.level}
    yield NoticeDraft(above, template, above_values, call and above == directory.duty)


def referral_alarms(event: ReferralChanged, directory: UnitDirectory) -> list[AlarmDraft]:
    """Return the alarms of one change: for L0, and for the unit an escalation goes to. L3 raises none."""
    if is_alarming(event):
        return [AlarmDraft(directory.duty, "l0", "alarm.l0", {"unit": event.to_unit}, call=True)]
    if event.transition is Transition.ESCALATED and event.level is not Level.L3:
        values: dict[str, Value] = {"unit": late_unit(event), "level": event.level, "why": why(event)}
        unit = event.escalated_to or directory.duty
        call = needs_call(event) and unit == directory.duty
        return [AlarmDraft(unit, "escalated", "alarm.escalated", values, call)]
    return []


def owed_in(event: ReferralChanged) -> Owed | None:
    """Return who has to do what after a change; None when nobody has to do anything."""
    match event.state:
        case ReferralState.SENT:
            return Owed(event.to_unit, "accept", event.accept_by)
        case ReferralState.ACCEPTED | ReferralState.IN_PROGRESS:
            return Owed(event.to_unit, "answer", event.result_by)
        case ReferralState.RETURNED | ReferralState.RESULT_REPORTED:
            return Owed(event.from_unit, "check", None)
        case ReferralState.DRAFT | ReferralState.CLOSED | ReferralState.WITHDRAWN:
            return None


def supervisor_of(event: ReferralChanged) -> str | None:
    """Return the unit that an escalated L3 referral goes to: it gets no notice, only the count in its monthly digest.

    Returns:
        The unit; an empty text when nobody supervises it any more; None when nothing changes.
    """
    if event.level is not Level.L3:
        return None
    if event.transition is Transition.ESCALATED:
        return event.escalated_to
    return "" if event.transition is Transition.REOPENED else None


# ---------------------------------------------------------------- proposals


def proposal_notices(event: ProposalMade, directory: UnitDirectory) -> list[NoticeDraft]:
    """Notify the unit that decides a rule's proposal, and the duty unit of what the alarm says."""
    call = event.subject == "referral" and event.level is Level.L0
    values: dict[str, Value] = {"level": event.level or Level.L2, "due": event.decide_by}
    drafts = [NoticeDraft(event.unit, f"proposal.{event.subject}", values, call, event.decide_by)]
    if call and directory.duty != event.unit:
        drafts.append(NoticeDraft(directory.duty, "alarm.proposal", {"unit": event.unit}, call=True))
    return drafts


def proposal_alarms(event: ProposalMade, directory: UnitDirectory) -> list[AlarmDraft]:
    if event.level is not Level.L0:
        return []
    return [AlarmDraft(directory.duty, "l0", "alarm.proposal", {"unit": event.unit}, call=True)]


def late_proposal_notices(event: ProposalEnded, directory: UnitDirectory) -> list[NoticeDraft]:
    """Nobody decided in time: the unit and the unit above it are notified."""
    above = event.escalated_to or directory.lead
    return [
        NoticeDraft(event.unit, "proposal.overdue", {"unit": above}),
        NoticeDraft(above, "proposal.escalated", {"unit": event.unit}),
    ]


def late_proposal_alarms(event: ProposalEnded, directory: UnitDirectory) -> list[AlarmDraft]:
    """Raise an alarm for a clue that nobody verified in time, because a child may be at risk."""
    if event.subject != "referral":
        return []
    unit = event.escalated_to or directory.duty
    return [AlarmDraft(unit, "escalated", "alarm.proposal_late", {"unit": event.unit})]
