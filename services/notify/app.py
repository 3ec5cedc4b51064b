"""notify: every responsible unit is told, once."""

from pathlib import Path

from contracts import topics
from runtime import Records, Service, Settings
from services.notify import handlers
from services.notify.ringing import Bell, Ways


def create(settings: Settings) -> Service:
    """What notify hears, and who handles it."""
    service = Service("notify", settings, migrations=Path(__file__).with_name("migrations"))
    bell = Bell(Ways.from_environment())
    broker = service.broker

    @broker.subscriber(
        topics.REFERRAL_CASE.name,
        topics.REFERRAL_RESTRICTED.name,
        topics.REGISTRY_QUESTION.name,
        **service.exactly_once("main"),
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {
                topics.REFERRAL_CASE.name: handlers.on_case,
                topics.REFERRAL_RESTRICTED.name: handlers.on_case,
                topics.REGISTRY_QUESTION.name: handlers.on_question,
            },
            day=handlers.on_day,
        )

    @broker.subscriber(topics.ALARM.name, **service.exactly_once("alarms"))
    async def alarms(records: Records) -> None:
        await service.apply("alarms", records, {topics.ALARM.name: bell.on_alarms})

    return service
