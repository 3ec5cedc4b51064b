"""notify: every responsible unit is notified, once."""

from pathlib import Path

from contracts import topics
from runtime import Records, Service, Settings
from services.notify import handlers
from services.notify.alarms import AlarmChannel, AlarmSettings


def create(settings: Settings) -> Service:
    """Connect the topics that notify consumes with their handlers."""
    service = Service("notify", settings, migrations=Path(__file__).with_name("migrations"))
    alarm_settings = AlarmSettings.from_environment()
    by_command, by_webhook = AlarmChannel(alarm_settings, "command"), AlarmChannel(alarm_settings, "webhook")
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
                topics.REGISTRY_REVIEW.name: handlers.on_review,
            },
            day=handlers.on_day,
        )

    # Both consumers run, set or not: a channel that is set later has read on and delivers no alarm of days ago.
    @broker.subscriber(topics.ALARM.name, **service.exactly_once("command"))
    async def command(records: Records) -> None:
        await service.apply("command", records, {topics.ALARM.name: by_command.on_alarms})

    @broker.subscriber(topics.ALARM.name, **service.exactly_once("webhook"))
    async def webhook(records: Records) -> None:
        await service.apply("webhook", records, {topics.ALARM.name: by_webhook.on_alarms})

    return service
