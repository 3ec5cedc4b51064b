"""Plans what one event leads to: notices, alarms, and what units have to do next. Pure."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

from contracts.event import Event, at_midnight
from contracts.referral import (
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    ReferralActionRefused,
    ReferralChanged,
)
from contracts.registry import FactConflictFound, RegistryActionRefused, ReviewRequested, ReviewResolved
from services.notify import recipients
from services.notify.domain.digest import DUTY_ACTIONS, DUTY_RANK, NextAction
from services.notify.domain.templates import Value
from services.notify.recipients import AlarmDraft, NoticeDraft
from services.notify.store import Obligation
from services.notify.unit_directory import UnitDirectory


@dataclass(slots=True)
class NotificationPlan:
    """What one event leads to."""

    restricted: bool
    on: date
    subject: UUID | None
    """The referral, proposal, duty, review or action that the notices are about."""
    child: UUID | None
    notices: list[NoticeDraft] = field(default_factory=list)
    alarms: list[AlarmDraft] = field(default_factory=list)
    obligations: list[Obligation] = field(default_factory=list)


def plan_notifications(event: Event, directory: UnitDirectory, partition: int) -> NotificationPlan:
    """Plan the notices, alarms and obligations of one event.

    Raises:
        TypeError: notify has no rule for events of this class.
    """
    match event:
        case ReferralChanged():
            return _plan_referral(event, directory, partition)
        case ProposalMade():
            return _plan_proposal(event, directory, partition)
        case ProposalEnded():
            return _plan_proposal_end(event, directory, partition)
        case LedgerEntryChanged():
            return _plan_ledger_entry(event, directory)
        case DutyChanged():
            return _plan_duty(event, partition)
        case ReviewRequested():
            return _plan_review(event, partition)
        case ReviewResolved():
            done = _obligation("review", event.review, 2, event.unit, event.child, partition)
            return NotificationPlan(False, event.on, event.review, event.child, obligations=[done])
        case FactConflictFound():
            units = dict.fromkeys(event.units)
            notices = [NoticeDraft(unit, "review.facts", {"fact": event.name}) for unit in units]
            return NotificationPlan(False, event.on, None, event.child, notices)
        case ReferralActionRefused() | RegistryActionRefused():
            refused = NoticeDraft(event.unit, "action.refused", {"verb": event.verb, "refusal": event.code})
            return NotificationPlan(event.restricted, event.on, event.ce_id, event.child, [refused])
        case _:
            raise TypeError(f"notify has no rule for {type(event).__name__}")


def _plan_referral(event: ReferralChanged, directory: UnitDirectory, partition: int) -> NotificationPlan:
    resolved = event.model_copy(
        update={
            "to_unit": directory.resolve(event.to_unit, event.township),
            "from_unit": directory.resolve(event.from_unit, event.township),
            "inform": tuple(directory.resolve(unit, event.township) for unit in event.inform),
            "right_unit": directory.sending_unit(event.right_unit),
        }
    )
    owed = recipients.owed_in(resolved)
    obligation = _obligation(
        "referral", event.referral, event.version, resolved.to_unit, event.child, partition, restricted=event.restricted
    )
    if owed is not None:
        obligation = replace(obligation, open=True, unit=owed.unit, next_action=owed.next_action, due=owed.due)
    return NotificationPlan(
        event.restricted,
        event.on,
        event.referral,
        event.child,
        recipients.referral_notices(resolved, directory),
        recipients.referral_alarms(resolved, directory),
        [replace(obligation, level=event.level.value, supervisor=recipients.supervisor_of(resolved))],
    )


def _plan_proposal(event: ProposalMade, directory: UnitDirectory, partition: int) -> NotificationPlan:
    obligation = _obligation(
        "proposal", event.proposal, 1, event.unit, event.child, partition, "decide", event.decide_by,
        restricted=event.restricted,
    )  # fmt: skip
    return NotificationPlan(
        event.restricted,
        event.on,
        event.proposal,
        event.child,
        recipients.proposal_notices(event, directory),
        recipients.proposal_alarms(event, directory),
        [replace(obligation, level=event.level.value if event.level is not None else None)],
    )


def _plan_proposal_end(event: ProposalEnded, directory: UnitDirectory, partition: int) -> NotificationPlan:
    plan = NotificationPlan(event.restricted, event.on, event.proposal, event.child)
    rank, unit = 3, event.unit
    next_action: NextAction | None = None
    if event.outcome == "escalated":
        rank, unit, next_action = 2, event.escalated_to or directory.lead, "decide"
        plan.notices = recipients.late_proposal_notices(event, directory)
        plan.alarms = recipients.late_proposal_alarms(event, directory)
    plan.obligations = [
        _obligation(
            "proposal", event.proposal, rank, unit, event.child, partition, next_action, restricted=event.restricted
        )
    ]
    return plan


def _plan_ledger_entry(event: LedgerEntryChanged, directory: UnitDirectory) -> NotificationPlan:
    plan = NotificationPlan(event.restricted, event.on, None, event.child)
    if event.change != "changed":
        values = {"days": directory.county.first_visit_days}
        plan.notices = [NoticeDraft(event.unit, f"ledger.{event.change}", values)]
    return plan


def _plan_duty(event: DutyChanged, partition: int) -> NotificationPlan:
    plan = NotificationPlan(event.restricted, event.on, event.duty, event.child)
    if event.change == "missed":
        values: dict[str, Value] = {"duty": event.duty_kind, "due": event.due_on}
        plan.notices = [NoticeDraft(event.unit, "duty.missed", values)]
    is_open = event.change in ("created", "reminded", "missed")
    due = at_midnight(event.due_on + timedelta(days=1))
    plan.obligations = [
        _obligation(
            "duty", event.duty, DUTY_RANK[event.change], event.unit, event.child, partition,
            DUTY_ACTIONS[event.duty_kind] if is_open else None, due, restricted=event.restricted,
        )
    ]  # fmt: skip
    return plan


def _plan_review(event: ReviewRequested, partition: int) -> NotificationPlan:
    obligation = _obligation("review", event.review, 1, event.unit, event.child, partition, "review")
    notice = NoticeDraft(event.unit, "review.match")
    return NotificationPlan(False, event.on, event.review, event.child, [notice], obligations=[obligation])


def _obligation(
    kind: Literal["referral", "proposal", "duty", "review"],
    subject: UUID,
    rank: int,
    unit: str,
    child: UUID,
    partition: int,
    next_action: NextAction | None = None,
    due: datetime | None = None,
    *,
    restricted: bool = False,
) -> Obligation:
    return Obligation(
        kind=kind,
        id=subject,
        rank=rank,
        open=next_action is not None,
        unit=unit,
        next_action=next_action,
        supervisor=None,
        level=None,
        restricted=restricted,
        due=due,
        child=child,
        partition=partition,
    )
