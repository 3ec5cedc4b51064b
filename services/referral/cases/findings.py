"""What a person reports: referred at once, or proposed to the township."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.vocabulary import FindingCode, Level
from services.referral import routing
from services.referral.cases.ledger import propose_entry
from services.referral.cases.proposals import record_decision
from services.referral.cases.referrals import ReferralRequest, refer
from services.referral.domain import ledger
from services.referral.domain.calendar import county_day
from services.referral.domain.child_case import ChildCase
from services.referral.domain.ids import content_id
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import Actor
from services.referral.domain.rules import most_urgent
from services.referral.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFinding:
    """What a person found about a child."""

    finding: UUID
    codes: tuple[FindingCode, ...]
    level: Level | None
    actor: Actor
    unit: str
    place: str | None
    township: str | None
    """The code of the township where the child was found, if it is one of the county's."""
    at: datetime
    called: bool
    """Whether the reporters have called the police station or a hotline."""
    correlation: UUID
    callers: frozenset[str] = frozenset()
    """Units whose call about this finding arrived before the finding."""


def report_finding(work: UnitOfWork, case: ChildCase, report: ReportedFinding) -> None:
    """Refer the finding on each of its routes, or propose that where the reporters have no duty to report.

    A finding of level L0 never waits for a confirmation.
    """
    county = work.county
    township = case.child.township or report.township
    direct = routing.may_send_directly(county, report.unit, report.place)
    for route, codes in routing.routes_of(county, report.codes):
        if case.has_finding(report.finding, route.id):
            continue
        level = most_urgent(route.level, report.level)
        receiver = routing.receiver(county, route.id, township).unit
        counted_callers = {report.unit, receiver, county.lead_unit, county.duty_unit}
        called = report.called or not report.callers.isdisjoint(counted_callers)
        if direct or level is Level.L0:
            request = ReferralRequest(
                route=route.id,
                findings=codes,
                level=level,
                at=report.at,
                correlation=report.correlation,
                from_unit=report.unit,
                opening_key=str(report.finding),
                source=report.finding,
                reporter_unit=report.unit,
                phone_reported=called,
                township=township,
                actor=report.actor,
            )
            _confirm_answered(work, case, refer(work, case, request), report)
            continue
        proposal = Proposal(
            id=content_id(case.child.id, "referral", route.id, report.finding),
            child=case.child.id,
            subject="referral",
            unit=routing.township_unit(county, township),
            restricted=routing.is_restricted(county, route.id),
            decide_by=work.rules.confirm_by(level, report.at),
            correlation=report.correlation,
            township=township,
            route=route.id,
            level=level,
            findings=codes,
            finding=report.finding,
            reporter_unit=report.unit,
            phone_reported=called,
            opening_key=str(report.finding),
            grounds=(f"finding:{report.finding}",),
        )
        work.propose(proposal, county_day(report.at))
    if ledger.reasons_of(report.codes) and not case.child.person_grounds:
        work.record_child(replace(case.child, person_grounds=True))
    grounds = [(f"finding:{report.finding}", code) for code in report.codes]
    propose_entry(work, case, grounds, report.at, report.correlation, township)


def _confirm_answered(work: UnitOfWork, case: ChildCase, sent: UUID, report: ReportedFinding) -> None:
    """Confirm the proposals from facts that this report answers: the township need not decide on them any more."""
    referral = case.referrals[sent]
    for proposal in case.undecided_proposals():
        covered = proposal.route == referral.route and set(proposal.findings) <= set(referral.findings)
        from_facts = proposal.finding is None
        if covered and from_facts and proposal.level is not None and referral.level <= proposal.level:
            work.end_proposal(replace(proposal, state="confirmed"), county_day(report.at), report.actor)
            record_decision(work, case, proposal, sent)
