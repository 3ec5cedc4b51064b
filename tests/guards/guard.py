"""One guard: a line of code that keeps a promise, a mutation that removes it, and the test that must then fail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """The text ``old`` is in ``file`` exactly once. With ``new`` in its place, ``test`` (a pytest id) fails."""

    name: str
    file: str
    old: str
    new: str
    test: str
