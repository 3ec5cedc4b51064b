"""notify: every responsible unit is told, once."""

from pathlib import Path

from contracts import topics
from runtime import Records, Service, Settings
from services.notify import handlers
from services.notify.ringing import Bell, Ways


def create(settings: Settings) -> Service:
    """What notify hears, and who handles it."""
    service = Service("notify", settings, migrations=Path(__file__).with_name("migrations"))
    ways = Ways.from_environment()
    by_command, by_webhook = Bell(ways, "command"), Bell(ways, "webhook")
    broker = service.broker

    @broker.subscriber(
        topics.REFERRAL_CASE.name,
        topics.REFERRAL_RESTRICTED.name,
        topics.REGISTRY_REVIEW.name,
        **service.exactly_once("main", gathers=0.5),
    )
    async def main(records: Records) -> None:
        await service.apply(
            "main",
            records,
            {
                topics.REFERRAL_CASE.name: handlers.on_case,
                topics.REFERRAL_RESTRICTED.name: handlers.on_case,
                topics.REGISTRY_REVIEW.name: handlers.on_question,
            },
            day=handlers.on_day,
        )

    # One each, set or not: a way that is set later has read on, and rings no alarm of days ago.
    @broker.subscriber(topics.ALARM.name, **service.exactly_once("command"))
    async def command(records: Records) -> None:
        await service.apply("command", records, {topics.ALARM.name: by_command.on_alarms})

    @broker.subscriber(topics.ALARM.name, **service.exactly_once("webhook"))
    async def webhook(records: Records) -> None:
        await service.apply("webhook", records, {topics.ALARM.name: by_webhook.on_alarms})

    return service
