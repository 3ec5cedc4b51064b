"""Serves health and metrics over HTTP on this machine only, for the supervisor and Prometheus."""

import json
from collections.abc import Callable
from typing import Any

from faststream.asgi import AsgiResponse, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from runtime.operate.health import Health

Observed = tuple[Health, CollectorRegistry]


def routes(observed: Callable[[], Observed | None]) -> list[tuple[str, Any]]:
    """Return the HTTP routes of a service. ``observed`` returns None until the service is created."""

    @get(include_in_schema=False)
    async def health(scope: Any) -> AsgiResponse:
        """Return every problem, such as halted partitions, failing days and silent consumers."""
        return _answer(lambda it: it.problems() + it.liveness_failures() + it.unready())

    @get(include_in_schema=False)
    async def live(scope: Any) -> AsgiResponse:
        """Return the failures that a restart may end."""
        return _answer(Health.liveness_failures)

    @get(include_in_schema=False)
    async def ready(scope: Any) -> AsgiResponse:
        """Return whether the process is ready."""
        return _answer(Health.unready)

    @get(include_in_schema=False)
    async def metrics(scope: Any) -> AsgiResponse:
        """Return the metrics in Prometheus's text format."""
        state = observed()
        text = generate_latest(state[1]) if state else b""
        return AsgiResponse(text, 200, {"content-type": CONTENT_TYPE_LATEST})

    def _answer(judge: Callable[[Health], list[str]]) -> AsgiResponse:
        state = observed()
        problems = judge(state[0]) if state else ["starting"]
        body = json.dumps({"ok": not problems, "problems": problems}, ensure_ascii=False).encode()
        return AsgiResponse(body, 503 if problems else 200, {"content-type": "application/json"})

    return [("/health", health), ("/health/live", live), ("/health/ready", ready), ("/metrics", metrics)]
