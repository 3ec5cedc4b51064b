"""Sets the time for which the broker may hold a consumer's fetch request."""

from typing import Any


def set_fetch_wait(kafka: Any, milliseconds: int) -> None:
    """Change a running consumer's ``fetch_max_wait_ms``, from its next request on.

    aiokafka accepts it only when a consumer is created. If it is too short, idle consumers exchange empty requests with
    the broker all day; if it is too long, a partition that is resumed or assigned waits for the current request.
    """
    kafka._fetcher._fetch_max_wait_ms = milliseconds
