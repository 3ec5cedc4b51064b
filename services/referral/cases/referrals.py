"""Sending a referral: one rule for findings, confirmed proposals and service gaps."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.vocabulary import FindingCode, Level
from services.referral import routing
from services.referral.domain import referrals
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.ids import content_id
from services.referral.domain.referrals import CLOCK, Actor, Referral
from services.referral.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralRequest:
    """What is to be referred, by whom and to which route."""

    route: str
    findings: tuple[FindingCode, ...]
    level: Level
    at: datetime
    correlation: UUID
    from_unit: str
    opening_key: str
    """Identifies the referral beside its child and route: a finding's id, or a code."""
    occurrence: int = 1
    """Counts the referrals of one opening key: the episode of a service gap."""
    item: str | None = None
    source: UUID | None = None
    """The person's finding that asks for the referral."""
    reporter_unit: str | None = None
    phone_reported: bool = False
    by_person: bool = True
    township: str | None = None
    actor: Actor = CLOCK


def refer(work: UnitOfWork, case: ChildCase, request: ReferralRequest, *, same_code: FindingCode | None = None) -> UUID:
    """Join the open referral of the route, reopen one that was closed lately, or send a new one; return its id.

    With ``same_code`` only a referral that names this finding counts as the same one.
    """
    on = county_day(request.at)
    receiver = routing.receiver(work.county, request.route, request.township)
    current = case.open_referral_on(request.route, same_code)
    if current is None:
        closed = case.last_closed_on(request.route, same_code)
        current = closed if closed is not None and referrals.may_reopen(closed, work.rules, request.at) else None
    if current is not None:
        transitions = referrals.join(
            replace(current, by_person=current.by_person or request.by_person),
            work.rules,
            request.actor,
            request.at,
            findings=request.findings,
            level=request.level,
            receiver=receiver.unit,
            source=request.source,
            reporter_unit=request.reporter_unit,
            phone_reported=request.phone_reported,
        )
        work.apply(transitions, on)
        return current.id
    child = case.child.id
    draft = Referral(
        id=content_id(child, request.route, request.opening_key, request.occurrence),
        child=child,
        owners=(child,),
        route=request.route,
        restricted=routing.is_restricted(work.county, request.route),
        level=request.level,
        findings=request.findings,
        sources=() if request.source is None else (request.source,),
        reporters=() if request.reporter_unit is None else (request.reporter_unit,),
        by_person=request.by_person,
        item=request.item,
        from_unit=request.from_unit,
        to_unit=receiver.unit,
        township=request.township,
        correlation=request.correlation,
        sent_at=request.at,
        phone_reported=request.phone_reported,
    )
    work.apply(referrals.send(draft, work.rules, request.actor, cause=receiver.cause), on)
    return draft.id
