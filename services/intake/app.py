"""Intake: takes units' submissions and actions from their own topics."""

from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope
from runtime import Application, Service, Settings
from services.intake import handlers, malformed
from services.intake.parsers import ParserCache
from services.intake.secrets import Secrets


def create(settings: Settings) -> Service:
    """Return the service, ready to run. Actions have a separate consumer, so that a file does not delay them."""
    service = Service("intake", settings, migrations=Path(__file__).with_name("migrations"))
    secrets, parsers = Secrets.from_settings(settings), ParserCache()
    on_records = partial(handlers.on_records, secrets=secrets, parsers=parsers)
    on_actions = partial(handlers.on_actions, secrets=secrets, parsers=parsers)
    service.consumer(
        "main",
        topics=(topics.DEPARTMENT, topics.CLOCK),
        handlers={topics.DEPARTMENT: on_records},
        day_source=topics.CLOCK,
        park_key=_park_key,
        malformed=malformed.repair_record,
    )
    service.consumer(
        "actions",
        topics=(topics.ACTION, topics.RESTRICTED_ACTION),
        handlers={topics.ACTION: on_actions, topics.RESTRICTED_ACTION: on_actions},
        park_key=_park_key,
        malformed=malformed.repair_action,
    )
    return service


def _park_key(event: object, envelope: Envelope) -> str:
    """Return the event's own id: a unit chooses its record keys, and may give all records the same one."""
    return str(envelope.id)


app = Application("intake", create)
