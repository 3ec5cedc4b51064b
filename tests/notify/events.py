"""Builds ordinary events of one child: a test states only what is unusual."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from contracts.referral import (
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    ReferralActionRefused,
    ReferralChanged,
)
from contracts.registry import FactConflictFound, RegistryActionRefused, ReviewRequested, ReviewResolved
from contracts.vocabulary import (
    DutyKind,
    FactName,
    FindingCode,
    LedgerReason,
    Level,
    ReferralState,
    ReturnReason,
    Transition,
    Verb,
)

NAMESPACE = UUID("00000000-0000-5000-8000-000000000002")
TODAY = date(2026, 11, 23)


def an_id(name: object) -> UUID:
    return uuid5(NAMESPACE, str(name))


CHILD = an_id("child")

STATE_AFTER = {
    Transition.SENT: ReferralState.SENT,
    Transition.REROUTED: ReferralState.SENT,
    Transition.REOPENED: ReferralState.SENT,
    Transition.ACCEPTED: ReferralState.ACCEPTED,
    Transition.STARTED: ReferralState.IN_PROGRESS,
    Transition.RETURNED: ReferralState.RETURNED,
    Transition.RESULT_REPORTED: ReferralState.RESULT_REPORTED,
    Transition.CLOSED: ReferralState.CLOSED,
    Transition.WITHDRAWN: ReferralState.WITHDRAWN,
}


def a_referral(transition: Transition = Transition.SENT, **changes: Any) -> ReferralChanged:
    """Build a referral of an out-of-school child (L2), sent by 仁里镇 to 教体局."""
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": False,
        "on": TODAY,
        "referral": an_id("referral"),
        "version": 1,
        "transition": transition,
        "state": STATE_AFTER.get(transition, ReferralState.SENT),
        "route": "R12",
        "level": Level.L2,
        "findings": (FindingCode.OUT_OF_SCHOOL,),
        "finding": None,
        "item": None,
        "from_unit": "341722-renli",
        "to_unit": "341722-jtj",
        "township": "341722100",
        "whitelist": (),
        "sent_at": datetime(2026, 11, 23, 1, tzinfo=UTC),
        "accept_by": datetime(2026, 11, 26, 9, tzinfo=UTC),
        "result_by": datetime(2026, 12, 7, 9, tzinfo=UTC),
        "call_first": changes.get("level") is Level.L0,
        "phone_reported": False,
        "actor_unit": "341722-renli",
        "actor_role": "township_civil_affairs",
    }
    return ReferralChanged(**{**fields, **changes})


def a_mandatory_report(**changes: Any) -> ReferralChanged:
    """Build a mandatory report (R1), sent by a township to the police immediately."""
    fields: dict[str, Any] = {
        "restricted": True,
        "route": "R1",
        "level": Level.L0,
        "findings": (FindingCode.SUSPECTED_VIOLENCE,),
        "finding": an_id("finding"),
        "to_unit": "341722-gaj",
        "inform": ("341722-mzj", "341722-jtj"),
        "reporter_unit": "341722-renli",
    }
    return a_referral(**{**fields, **changes})


def a_proposal(**changes: Any) -> ProposalMade:
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": True,
        "on": TODAY,
        "proposal": an_id("proposal"),
        "subject": "referral",
        "unit": "341722-renli",
        "route": "R5",
        "level": Level.L1,
        "township": "341722100",
        "decide_by": datetime(2026, 11, 24, 1, tzinfo=UTC),
    }
    return ProposalMade(**{**fields, **changes})


def a_proposal_ended(**changes: Any) -> ProposalEnded:
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": True,
        "on": TODAY,
        "proposal": an_id("proposal"),
        "subject": "referral",
        "outcome": "confirmed",
        "unit": "341722-renli",
        "actor_unit": "341722-renli",
        "actor_role": "child_supervisor",
    }
    return ProposalEnded(**{**fields, **changes})


def a_duty(change: str = "created", **changes: Any) -> DutyChanged:
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": False,
        "on": TODAY,
        "duty": an_id(f"duty {changes.get('child', CHILD)}"),
        "duty_kind": DutyKind.CONTACT,
        "change": change,
        "period": "2026-11",
        "due_on": date(2026, 11, 30),
        "unit": "341722-renli",
        "township": "341722100",
    }
    return DutyChanged(**{**fields, **changes})


def a_ledger_change(**changes: Any) -> LedgerEntryChanged:
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": False,
        "on": TODAY,
        "change": "opened",
        "reasons": (LedgerReason.FAMILY_HARDSHIP,),
        "unit": "341722-renli",
        "township": "341722100",
        "actor_unit": "341722-renli",
        "actor_role": "township_civil_affairs",
    }
    return LedgerEntryChanged(**{**fields, **changes})


def a_review_request(**changes: Any) -> ReviewRequested:
    fields: dict[str, Any] = {
        "review": an_id("question"),
        "child": CHILD,
        "other": an_id("other child"),
        "evidence": ("same_name", "same_birth_date"),
        "unit": "341722-mzj",
        "on": TODAY,
    }
    return ReviewRequested(**{**fields, **changes})


def a_review_resolution(**changes: Any) -> ReviewResolved:
    fields: dict[str, Any] = {
        "review": an_id("question"),
        "child": CHILD,
        "other": an_id("other child"),
        "outcome": "cannot_link",
        "unit": "341722-mzj",
        "role": "county_civil_affairs",
        "on": TODAY,
    }
    return ReviewResolved(**{**fields, **changes})


def a_fact_conflict(**changes: Any) -> FactConflictFound:
    fields: dict[str, Any] = {
        "child": CHILD,
        "name": FactName.RESIDENCE_DIVISION,
        "units": ("341722-gaj", "341722-renli"),
        "on": TODAY,
    }
    return FactConflictFound(**{**fields, **changes})


def a_refusal(**changes: Any) -> ReferralActionRefused:
    fields: dict[str, Any] = {
        "child": CHILD,
        "restricted": False,
        "on": TODAY,
        "unit": "341722-jtj",
        "ce_id": an_id("action"),
        "verb": Verb.CLOSE,
        "referral": an_id("referral"),
        "code": "reporter_not_informed",
    }
    return ReferralActionRefused(**{**fields, **changes})


def a_registry_refusal(**changes: Any) -> RegistryActionRefused:
    fields: dict[str, Any] = {
        "child": None,
        "restricted": False,
        "unit": "341722-mzj",
        "ce_id": an_id("merge"),
        "verb": Verb.MERGE,
        "code": "unknown_child",
        "on": TODAY,
    }
    return RegistryActionRefused(**{**fields, **changes})


def every_event() -> list[Any]:
    """Return an event of each kind that notify consumes, and every transition of a referral."""
    transitions = [
        a_referral(
            transition,
            version=number,
            actor_unit=None,
            previous_unit="341722-wjw",
            reason=ReturnReason.NOT_MY_DUTY,
            reporter_unit="341722-txw",
            escalated_to="341722-feg",
            overdue="accept",
            inform=("341722-gaj", "341722-cdc"),
        )
        for number, transition in enumerate(Transition, start=1)
    ]
    return [
        *transitions,
        a_mandatory_report(referral=an_id("report")),
        a_proposal(),
        a_proposal(proposal=an_id("ledger"), subject="ledger", level=None, restricted=False),
        a_proposal(proposal=an_id("closing"), subject="ledger_closing", level=None, restricted=False),
        a_proposal_ended(outcome="escalated", escalated_to="341722-mzj", actor_unit=None, actor_role=None),
        a_ledger_change(),
        a_ledger_change(change="closed"),
        a_duty(),
        a_duty("missed"),
        a_review_request(),
        a_review_resolution(),
        a_fact_conflict(),
        a_refusal(),
        a_registry_refusal(),
    ]
