"""Eligibility decides which of the listed services a child is entitled to, and which service gaps its facts show."""

from pathlib import Path

from contracts import topics
from runtime import Records, Service, Settings
from services.eligibility import handlers


def create(settings: Settings) -> Service:
    """Build the service. It consumes ``registry.child.v1`` and emits on ``eligibility.child.v1``."""
    service = Service("eligibility", settings, migrations=Path(__file__).with_name("migrations"))

    @service.broker.subscriber(topics.REGISTRY_CHILD.name, **service.exactly_once("main", gathers=0.5))
    async def main(records: Records) -> None:
        await service.apply("main", records, {topics.REGISTRY_CHILD.name: handlers.on_children}, day=handlers.on_day)

    return service
