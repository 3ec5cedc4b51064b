"""Problems of a county's folder: location, message and remedy."""

from collections.abc import Iterable
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""
Violation = tuple[Location, str, str]
"""(location, message, remedy)."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem of a county's folder."""

    file: str
    line: int
    """Counted from 1."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}。{self.remedy}"


class CountyInvalid(ValueError):
    """The folder is not a valid county; ``problems`` lists why, by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
