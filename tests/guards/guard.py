"""One guard: where it stands, what takes it out, and the test that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """``old`` stands exactly once in ``file``; with ``new`` in its place ``test`` (a pytest id) fails."""

    name: str
    file: str
    old: str
    new: str
    test: str
