"""How long the broker may hold a consumer's fetch request."""

from typing import Any


def set_fetch_wait(kafka: Any, milliseconds: int) -> None:
    """Change a running consumer's ``fetch_max_wait_ms``, from its next request on.

    aiokafka takes it only when a consumer is made. Too short, idle consumers and the broker exchange empty requests
    all day; too long, a partition that is resumed or assigned waits for the request that is under way without it.
    """
    kafka._fetcher._fetch_max_wait_ms = milliseconds
