"""A service's consumers: their static ids and their coalescing."""

from typing import Any

import pytest

from contracts.topics import CLOCK
from runtime import Service, Settings


def a_service(ordinal: int = 0, **more: Any) -> Service:
    """Return a service with a consumer besides the one that every service has."""
    service = Service("parts", Settings(ordinal=ordinal))
    service.consumer("main", topics=(CLOCK,), handlers={}, **more)
    return service


def test_no_two_processes_have_the_same_static_id() -> None:
    """Kafka would let them fence one another without an error."""
    ids = {
        subscriber._connection_args["group_instance_id"]  # type: ignore[attr-defined]
        for ordinal in range(3)
        for subscriber in a_service(ordinal).broker.subscribers
    }
    assert len(ids) == 6


def test_coalescing_needs_lingering() -> None:
    with pytest.raises(ValueError, match="does not linger"):
        a_service(coalesce=True)
