"""Notify: every responsible unit is notified, once."""

from pathlib import Path

from contracts import topics
from runtime import Application, Service, Settings
from services.notify import handlers
from services.notify.alarms import AlarmChannel, AlarmSettings


def create(settings: Settings) -> Service:
    """Return the service, ready to run."""
    service = Service("notify", settings, migrations=Path(__file__).with_name("migrations"))
    alarm_settings = AlarmSettings.from_environment()
    by_command, by_webhook = AlarmChannel(alarm_settings, "command"), AlarmChannel(alarm_settings, "webhook")
    service.consumer(
        "main",
        topics=(topics.REFERRAL_CASE, topics.REFERRAL_RESTRICTED, topics.REGISTRY_REVIEW),
        handlers={
            topics.REFERRAL_CASE: handlers.on_case,
            topics.REFERRAL_RESTRICTED: handlers.on_case,
            topics.REGISTRY_REVIEW: handlers.on_review,
        },
        on_day=handlers.on_day,
        linger_seconds=0.5,
    )
    # One consumer per channel, configured or not: a channel that is configured later delivers no old alarms.
    service.consumer("command", topics=(topics.ALARM,), handlers={topics.ALARM: by_command.on_alarms})
    service.consumer("webhook", topics=(topics.ALARM,), handlers={topics.ALARM: by_webhook.on_alarms})
    return service


app = Application("notify", create)
