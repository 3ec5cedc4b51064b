"""What can be wrong with a county's folder: where, what, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""Keys and places that lead to a value."""
Violation = tuple[Location, str, str]
"""Where, what is wrong, what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a county's folder."""

    file: str
    line: int
    """Counted from 1."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}。{self.remedy}"


class CountyInvalid(ValueError):
    """The folder is no county. ``problems`` says by line what is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
