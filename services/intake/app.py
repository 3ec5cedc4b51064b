"""Intake, through which all units' data and actions enter: what it consumes."""

import re
from functools import partial
from pathlib import Path

from contracts import topics
from contracts.event import Envelope
from runtime import Records, Service, Settings
from services.intake import handlers, malformed
from services.intake.parsers import ParserCache
from services.intake.secrets import Secrets


def create(settings: Settings) -> Service:
    """Return the service, ready to run."""
    service = Service("intake", settings, migrations=Path(__file__).with_name("migrations"))
    broker = service.broker
    secrets, parsers = Secrets.from_settings(settings), ParserCache()
    on_records = partial(handlers.on_records, secrets=secrets, parsers=parsers)
    on_actions = partial(handlers.on_actions, secrets=secrets, parsers=parsers)

    # Patterns: a unit that is added is consumed as soon as its topics exist.
    submitted = _family(topics.DEPARTMENT, settings.county)
    action_topics = (topics.ACTION, topics.RESTRICTED_ACTION)
    acted = "|".join(_family(topic, settings.county) for topic in action_topics)

    @broker.subscriber(
        pattern=rf"(?:{submitted}|{re.escape(topics.CLOCK.name)})$", **service.exactly_once("main", of_units=True)
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {topics.DEPARTMENT.name: on_records},
            day_source=topics.CLOCK.name,
            park_by={topics.DEPARTMENT.name: _by_event_id},
            misread={topics.DEPARTMENT.name: malformed.repair_record},
        )

    # Actions have a consumer of their own, so that no file delays a report.
    @broker.subscriber(pattern=rf"(?:{acted})$", **service.exactly_once("actions", of_units=True))
    async def actions(records: Records) -> None:
        await service.apply(
            "actions",
            records,
            {topic.name: on_actions for topic in action_topics},
            park_by={topic.name: _by_event_id for topic in action_topics},
            misread={topic.name: malformed.repair_action for topic in action_topics},
        )

    return service


def _family(topic: topics.Topic, county: str) -> str:
    """Return a pattern for the topics of one family in one county."""
    return re.escape(topic.name).replace(re.escape(topics.UNIT), rf"{county}-[a-z0-9]+")


def _by_event_id(event: object, envelope: Envelope) -> str:
    """Park each undecodable event alone: a unit chooses its keys, and may use one key for everything."""
    return str(envelope.id)
