"""Bad events halt a partition when there are too many of them."""

import pytest

from runtime.consume.circuit_breaker import CircuitBreaker
from runtime.errors import Halt


def test_bad_events_beyond_the_limit_halt_and_a_good_one_resets_the_count() -> None:
    breaker = CircuitBreaker(limit=3, share=0.5, window=10)
    assert breaker.check([True, True, True]) == 3
    breaker.record([True, True, True], 3)
    with pytest.raises(Halt, match="more than 3"):
        breaker.check([True])
    assert breaker.check([False, True]) == 1


def test_a_share_of_bad_events_halts_only_with_a_full_window() -> None:
    breaker = CircuitBreaker(limit=100, share=0.5, window=10)
    assert breaker.check([True] * 6) == 6
    assert breaker.check([True, False] * 5) == 0
    with pytest.raises(Halt, match="6 of the last 10"):
        breaker.check([True] * 6 + [False] * 4)


def test_an_empty_batch_does_not_halt() -> None:
    """The window's share of bad events may exceed the limit; it is checked only when new events come."""
    breaker = CircuitBreaker(100, 0.5, 10)
    breaker.record([False] * 7 + [True] * 3, 0)
    breaker.record([True] * 3 + [False] * 3, 0)
    breaker._recent.clear()
    breaker._recent.extend([True] * 6 + [False] * 4)
    breaker._bad = 6
    with pytest.raises(Halt):
        breaker.check([False])
    assert breaker.check([]) == 0
