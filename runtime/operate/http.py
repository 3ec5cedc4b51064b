"""Health and metrics over HTTP on this machine only, for the supervisor and for Prometheus."""

import json
from collections.abc import Callable
from typing import Any

from faststream.asgi import AsgiResponse, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from runtime.operate.health import Health

Observed = tuple[Health, CollectorRegistry]


def routes(observed: Callable[[], Observed | None]) -> list[tuple[str, Any]]:
    """Return the paths of a service's HTTP side. ``observed``: None until the service is made."""

    @get(include_in_schema=False)
    async def health(scope: Any) -> AsgiResponse:
        """Everything that is wrong: halted partitions, days that fail, silence."""
        return _answer(lambda it: it.problems() + it.liveness_failures() + it.unready())

    @get(include_in_schema=False)
    async def live(scope: Any) -> AsgiResponse:
        """Whether starting the process again would help."""
        return _answer(Health.liveness_failures)

    @get(include_in_schema=False)
    async def ready(scope: Any) -> AsgiResponse:
        """Whether it has what it needs to work."""
        return _answer(Health.unready)

    @get(include_in_schema=False)
    async def metrics(scope: Any) -> AsgiResponse:
        """Prometheus text."""
        state = observed()
        text = generate_latest(state[1]) if state else b""
        return AsgiResponse(text, 200, {"content-type": CONTENT_TYPE_LATEST})

    def _answer(judge: Callable[[Health], list[str]]) -> AsgiResponse:
        state = observed()
        problems = judge(state[0]) if state else ["starting"]
        body = json.dumps({"ok": not problems, "problems": problems}, ensure_ascii=False).encode()
        return AsgiResponse(body, 503 if problems else 200, {"content-type": "application/json"})

    return [("/health", health), ("/health/live", live), ("/health/ready", ready), ("/metrics", metrics)]
