"""What referral consumes: findings, assessments, actions and the clock."""

from pathlib import Path

from contracts import topics
from contracts.eligibility import ChildAssessed, ChildAssessmentSummary
from runtime import Records, Service, Settings
from services.referral import handlers


def create(settings: Settings) -> Service:
    """Return the service. Persons' findings have a priority consumer of their own, so that nothing else delays them."""
    service = Service("referral", settings, migrations=Path(__file__).with_name("migrations"))
    broker = service.broker

    @broker.subscriber(
        topics.ELIGIBILITY_CHILD.name, topics.INTAKE_ACTION.name, **service.exactly_once("main", gathers=0.5)
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {
                topics.ELIGIBILITY_CHILD.name: handlers.on_assessed,
                topics.INTAKE_ACTION.name: handlers.on_actions,
            },
            day=handlers.on_day,
            reads={ChildAssessed: ChildAssessmentSummary},
        )

    @broker.subscriber(topics.REGISTRY_FINDING.name, **service.exactly_once("priority"))
    async def priority(records: Records) -> None:
        await service.apply("priority", records, {topics.REGISTRY_FINDING.name: handlers.on_findings})

    @broker.subscriber(topics.CLOCK.name, **service.exactly_once("clock"))
    async def clock(records: Records) -> None:
        await service.apply("clock", records, {topics.CLOCK.name: handlers.on_ticks})

    return service
