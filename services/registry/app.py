"""Registry: one file per child."""

from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope, Event
from contracts.intake import RecordDisappeared, RecordRead
from runtime import Application, Service, Settings
from services.registry import disclosures, handlers
from services.registry.vault import Vault


def create(settings: Settings) -> Service:
    """Return the service, ready to run. A file must not hold up what a person reports: findings have a consumer."""
    service = Service("registry", settings, migrations=Path(__file__).with_name("migrations"))
    vault = Vault.from_settings(settings)
    on_records = partial(handlers.on_records, vault=vault)
    on_actions = partial(handlers.on_actions, vault=vault)
    on_findings = partial(handlers.on_findings, vault=vault)
    on_referrals = partial(disclosures.on_referrals, vault=vault)
    service.consumer(
        "main",
        topics=(topics.INTAKE_RECORD, topics.INTAKE_ACTION),
        handlers={topics.INTAKE_RECORD: on_records, topics.INTAKE_ACTION: on_actions},
        on_day=handlers.on_day,
        park_key=_park_key,
        linger_seconds=2.0,
        coalesce=True,
    )
    service.consumer("priority", topics=(topics.INTAKE_ACTION,), handlers={topics.INTAKE_ACTION: on_findings})
    service.consumer(
        "disclosures",
        topics=(topics.REFERRAL_CASE, topics.REFERRAL_RESTRICTED),
        handlers={topics.REFERRAL_CASE: on_referrals, topics.REFERRAL_RESTRICTED: on_referrals},
    )
    return service


def _park_key(event: Event, envelope: Envelope) -> str:
    """Return the source record of an intake event: its record's key is shared by all children born in one month."""
    if isinstance(event, RecordRead | RecordDisappeared):
        return str(event.record)
    return envelope.key


app = Application("registry", create)
