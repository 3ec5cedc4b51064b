"""The registry, one file per child: what it hears."""

from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope, Event
from contracts.intake import RecordDisappeared, RecordRead
from runtime import Records, Service, Settings
from services.registry import disclosing, handlers
from services.registry.vault import Vault


def create(settings: Settings) -> Service:
    """The service, ready to run."""
    service = Service("registry", settings, migrations=Path(__file__).with_name("migrations"))
    broker = service.broker
    vault = Vault.of(settings)
    on_records = partial(handlers.on_records, vault=vault)
    on_actions = partial(handlers.on_actions, vault=vault)
    on_findings = partial(handlers.on_findings, vault=vault)
    on_referrals = partial(disclosing.on_referrals, vault=vault)

    @broker.subscriber(
        topics.INTAKE_RECORD.name,
        topics.INTAKE_ACTION.name,
        **service.exactly_once("main", gathers=2.0, keeps_back=True),
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {topics.INTAKE_RECORD.name: on_records, topics.INTAKE_ACTION.name: on_actions},
            day=handlers.on_day,
            park_by={topics.INTAKE_RECORD.name: _by_record},
        )

    # A consumer of its own: no file holds up what a person reports.
    @broker.subscriber(topics.INTAKE_ACTION.name, **service.exactly_once("express"))
    async def express(records: Records) -> None:
        await service.apply("express", records, {topics.INTAKE_ACTION.name: on_findings})

    @broker.subscriber(
        topics.REFERRAL_CASE.name, topics.REFERRAL_RESTRICTED.name, **service.exactly_once("disclosures")
    )
    async def disclosures(records: Records) -> None:
        await service.apply(
            "disclosures",
            records,
            {topics.REFERRAL_CASE.name: on_referrals, topics.REFERRAL_RESTRICTED.name: on_referrals},
        )

    return service


def _by_record(event: Event, envelope: Envelope) -> str:
    """Before a child is known its source record is parked, not everybody born on that day."""
    if isinstance(event, RecordRead | RecordDisappeared):
        return str(event.record)
    return envelope.key
