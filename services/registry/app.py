"""The registry, one file per child: the topics that it consumes."""

from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope, Event
from contracts.intake import RecordDisappeared, RecordRead
from runtime import Records, Service, Settings
from services.registry import handlers
from services.registry.disclosures import on_referrals as on_referral_events
from services.registry.vault import Vault


def create(settings: Settings) -> Service:
    """Return the service, ready to run."""
    service = Service("registry", settings, migrations=Path(__file__).with_name("migrations"))
    broker = service.broker
    vault = Vault.from_settings(settings)
    on_records = partial(handlers.on_records, vault=vault)
    on_actions = partial(handlers.on_actions, vault=vault)
    on_findings = partial(handlers.on_findings, vault=vault)
    on_referrals = partial(on_referral_events, vault=vault)

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

    # The priority consumer: no file delays a person's report.
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
    """Return the parking key: the source record instead of the event's key, which is shared by a whole birth date."""
    if isinstance(event, RecordRead | RecordDisappeared):
        return str(event.record)
    return envelope.key
