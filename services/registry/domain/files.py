"""What a child's file is, and what may happen to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from contracts.vocabulary import FactName
from services.registry.domain.facts import INTERNAL, VERIFY, Laid, Source, Value
from services.registry.domain.matching import Evidence

State = Literal["candidate", "on_file", "absorbed"]


@dataclass(frozen=True, slots=True)
class ChildFile:
    """One child's file."""

    child: UUID
    number: str
    """The child's number, from which the id follows."""
    founding: str
    """What the file was opened for. With the county's secret it gives the number again."""
    opened_at: datetime
    version: int = 0
    """Input events applied to it."""
    confirmed: tuple[UUID, ...] = ()
    """Files (this one, those it absorbed) whose child a named person saw."""
    absorbed_by: UUID | None = None
    absorbs: tuple[UUID, ...] = ()
    split_from: UUID | None = None
    sources: Mapping[UUID, Source] = field(default_factory=dict)
    told: frozenset[FactName] = frozenset()
    """Facts whose contradiction was reported: once is enough."""
    brought: tuple[UUID, ...] = ()
    """Of an absorbed file: the sources it had, so that the merge can be undone."""
    contested: tuple[str, ...] = ()
    asked: bool = False
    """There is or was a match question about it."""
    destroyed: bool = False
    """Its key was destroyed: who it is about nobody can say any more, and nothing is added to it."""
    laid: Laid | None = None
    """None: nothing was laid over it since it was loaded."""

    @property
    def state(self) -> State:
        if self.absorbed_by is not None:
            return "absorbed"
        if self.confirmed or any(source.dataset not in INTERNAL for source in self.sources.values()):
            return "on_file"
        return "candidate"

    @property
    def records(self) -> list[UUID]:
        """Source records, without what persons verified."""
        return [source.record for source in self.sources.values() if source.dataset != VERIFY]

    @property
    def datasets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Departments' datasets that know the child, and those of them that no longer report it."""
        known = {source.dataset for source in self.sources.values() if source.dataset not in INTERNAL}
        speaking = {source.dataset for source in self.sources.values() if not source.silent}
        return tuple(sorted(known)), tuple(sorted(known - speaking))


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a source record has its place."""

    child: UUID
    evidence: Evidence
    content: str
    recorded_at: datetime
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Which child a finding is about. ``named``: the person who reported it said so."""

    child: UUID
    named: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Whether two files are one child's."""

    question: UUID
    child: UUID
    other: UUID
    evidence: tuple[str, ...]
    conflicts: tuple[str, ...]
    state: Literal["open", "merged", "kept_apart", "split"]
    asked_of: tuple[UUID, UUID]
    """The two files it is really about; ``child`` and ``other`` stand for them now."""

    @property
    def pair(self) -> frozenset[UUID]:
        return frozenset((self.child, self.other))


@dataclass(frozen=True, slots=True)
class Reading:
    """A department's row as it was read, its identity turned into evidence."""

    record: UUID
    evidence: Evidence | None
    """None: the row is as it was when it was last read, so nobody looked who it is about."""
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    recorded_at: datetime
    recorded_on: date
    whole: bool
    """A row of a whole file; else a row on its own, which only adds."""
    content: str
    facts: Mapping[FactName, Value]
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Who decided, in which role, on which day."""

    unit: str
    role: str
    on: date


# ------------------------------------------------------------------------------------------- what may not be skipped


@dataclass(frozen=True, slots=True)
class Asked:
    question: Question


@dataclass(frozen=True, slots=True)
class Settled:
    question: UUID
    child: UUID
    other: UUID
    outcome: Literal["merged", "kept_apart", "split"]
    by: Person | None
    """None: the same valid number turned up on both sides."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    child: UUID
    from_child: UUID
    reason: Literal["merge", "split", "matched"]
    findings: tuple[UUID, ...]
    records: tuple[UUID, ...]
    by: Person | None = None


@dataclass(frozen=True, slots=True)
class Contradicted:
    child: UUID
    name: FactName
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    child: UUID | None
    code: str


Outcome = Asked | Settled | HandedOver | Contradicted | Refused
