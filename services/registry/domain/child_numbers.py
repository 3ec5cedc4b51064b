"""Chooses the number of a new child's file, so that no two children of the county have the same one."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from contracts.child_number import child_id


@dataclass(frozen=True, slots=True)
class ChildNumbers:
    """Numbers of one county's children."""

    county: str
    """Six digits."""
    number: Callable[[str, int], str]
    """Returns the number for a founding and a counter: the same one each time, by a keyed hash."""

    def choose(self, founding: str, founding_of: Callable[[UUID], str | None]) -> tuple[UUID, str]:
        """Return the id and the number of the file that was, or is to be, opened for ``founding``.

        Counters are tried from 0 until the number is free or already belongs to this founding. Files are never
        deleted, so a replay passes over the same files and comes to the same number.

        Args:
            founding: what the file is opened for: its first record, a finding, or a split.
            founding_of: the founding of the file that has this id; None: as far as is known, no file has it.
        """
        for counter in count():
            number = self.number(founding, counter)
            child = child_id(self.county, number)
            if founding_of(child) in (None, founding):
                return child, number
        raise AssertionError
