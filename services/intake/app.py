"""Intake: takes units' submissions and actions from their own topics."""

from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope
from runtime import Application, Service, Settings
from services.intake import handlers, misread
from services.intake.plans import Desk
from services.intake.secrets import Secrets


def create(settings: Settings) -> Service:
    """Return the service, ready to run. A file must not hold up what a person reports: actions have a consumer."""
    service = Service("intake", settings, migrations=Path(__file__).with_name("migrations"))
    secrets, desk = Secrets.of(settings), Desk()
    on_records = partial(handlers.on_records, secrets=secrets, desk=desk)
    on_actions = partial(handlers.on_actions, secrets=secrets, desk=desk)
    service.consumer(
        "main",
        topics=(topics.DEPARTMENT, topics.CLOCK),
        handlers={topics.DEPARTMENT: on_records},
        day_source=topics.CLOCK,
        park_key=_event_id,
        malformed=misread.on_records,
    )
    service.consumer(
        "actions",
        topics=(topics.ACTION, topics.RESTRICTED_ACTION),
        handlers={topics.ACTION: on_actions, topics.RESTRICTED_ACTION: on_actions},
        park_key=_event_id,
        malformed=misread.on_actions,
    )
    return service


def _event_id(event: object, envelope: Envelope) -> str:
    """Park each unreadable event alone: a unit chooses its keys, and may give every record the same one."""
    return str(envelope.id)


app = Application("intake", create)
