"""Health and metrics over HTTP on this machine only, for the supervisor and for Prometheus."""

import json
from typing import TYPE_CHECKING, Any

from faststream.asgi import AsgiResponse, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from runtime.service import Service


def routes(service: "Service") -> list[tuple[str, Any]]:
    """The paths of a service's HTTP side."""

    @get(include_in_schema=False)
    async def health(scope: Any) -> AsgiResponse:
        """Everything that is wrong: halted partitions, days that fail, silence."""
        return _answer(service.problems() + service.liveness_failures() + service.unready())

    @get(include_in_schema=False)
    async def live(scope: Any) -> AsgiResponse:
        """Whether starting the process again would help."""
        return _answer(service.liveness_failures())

    @get(include_in_schema=False)
    async def ready(scope: Any) -> AsgiResponse:
        """Whether it has what it needs to work."""
        return _answer(service.unready())

    @get(include_in_schema=False)
    async def metrics(scope: Any) -> AsgiResponse:
        """Prometheus text."""
        return AsgiResponse(generate_latest(service.metrics.registry), 200, {"content-type": CONTENT_TYPE_LATEST})

    return [("/health", health), ("/health/live", live), ("/health/ready", ready), ("/metrics", metrics)]


def _answer(troubles: list[str]) -> AsgiResponse:
    body = json.dumps({"ok": not troubles, "troubles": troubles}, ensure_ascii=False).encode()
    return AsgiResponse(body, 503 if troubles else 200, {"content-type": "application/json"})
