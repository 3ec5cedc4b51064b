"""Eligibility decides which of the listed services a child is entitled to, and which service gaps its facts show."""

from pathlib import Path

from contracts import topics
from runtime import Application, Service, Settings
from services.eligibility import handlers


def create(settings: Settings) -> Service:
    """Build the service. It consumes ``registry.child.v1`` and emits on ``eligibility.child.v1``."""
    service = Service("eligibility", settings, migrations=Path(__file__).with_name("migrations"))
    service.consumer(
        "main",
        topics=(topics.REGISTRY_CHILD,),
        handlers={topics.REGISTRY_CHILD: handlers.on_children},
        on_day=handlers.on_day,
        linger_seconds=0.5,
    )
    return service


app = Application("eligibility", create)
