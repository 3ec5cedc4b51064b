"""Referral: consumes findings, assessments, actions and the clock, and makes every risk somebody's task."""

from pathlib import Path

from contracts import topics
from contracts.eligibility import ChildAssessed, ChildAssessmentSummary
from runtime import Application, Service, Settings
from services.referral import handlers


def create(settings: Settings) -> Service:
    """Return the service, ready to run. Nothing must hold up a person's finding: findings have a consumer."""
    service = Service("referral", settings, migrations=Path(__file__).with_name("migrations"))
    service.consumer(
        "main",
        topics=(topics.ELIGIBILITY_CHILD, topics.INTAKE_ACTION),
        handlers={topics.ELIGIBILITY_CHILD: handlers.on_assessed, topics.INTAKE_ACTION: handlers.on_actions},
        on_day=handlers.on_day,
        reads={ChildAssessed: ChildAssessmentSummary},
        linger_seconds=0.5,
    )
    service.consumer(
        "priority", topics=(topics.REGISTRY_FINDING,), handlers={topics.REGISTRY_FINDING: handlers.on_findings}
    )
    service.consumer("clock", topics=(topics.CLOCK,), handlers={topics.CLOCK: handlers.on_ticks})
    return service


app = Application("referral", create)
