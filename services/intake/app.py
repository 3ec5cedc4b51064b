"""Intake, the only door: what it hears."""

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
    """The service, ready to run."""
    service = Service("intake", settings, migrations=Path(__file__).with_name("migrations"))
    broker = service.broker
    secrets, desk = Secrets.from_settings(settings), ParserCache()
    on_records = partial(handlers.on_records, secrets=secrets, parsers=desk)
    on_actions = partial(handlers.on_actions, secrets=secrets, parsers=desk)

    # Every unit of this county; a unit that is added is heard as soon as its topic exists.
    handed_over = _family(topics.DEPARTMENT, settings.county)
    acting = (topics.ACTION, topics.RESTRICTED_ACTION)
    done = "|".join(_family(topic, settings.county) for topic in acting)

    @broker.subscriber(
        pattern=rf"(?:{handed_over}|{re.escape(topics.CLOCK.name)})$", **service.exactly_once("main", of_units=True)
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {topics.DEPARTMENT.name: on_records},
            day_source=topics.CLOCK.name,
            park_by={topics.DEPARTMENT.name: _each_alone},
            misread={topics.DEPARTMENT.name: malformed.repair_record},
        )

    # A consumer of its own: no file holds up what a person reports.
    @broker.subscriber(pattern=rf"(?:{done})$", **service.exactly_once("actions", of_units=True))
    async def actions(records: Records) -> None:
        await service.apply(
            "actions",
            records,
            {topic.name: on_actions for topic in acting},
            park_by={topic.name: _each_alone for topic in acting},
            misread={topic.name: malformed.repair_action for topic in acting},
        )

    return service


def _family(topic: topics.Topic, county: str) -> str:
    """A pattern for the topics of one family in one county."""
    return re.escape(topic.name).replace(re.escape(topics.UNIT), rf"{county}-[a-z0-9]+")


def _each_alone(event: object, envelope: Envelope) -> str:
    """What cannot be read is parked alone: a unit's keys are its own choice, and may be the same for everything."""
    return str(envelope.id)
