"""A child's file, the assignment of records to it, and the outcomes that must be published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from contracts.vocabulary import FactName
from services.registry.domain.fact_resolution import INTERNAL, VERIFY, ResolvedFacts, Source, Value
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
    """Number of input events applied to it."""
    confirmed: tuple[UUID, ...] = ()
    """Files (this one and those it absorbed) whose child a named person confirmed."""
    absorbed_by: UUID | None = None
    absorbs: tuple[UUID, ...] = ()
    split_from: UUID | None = None
    sources: Mapping[UUID, Source] = field(default_factory=dict)
    reported_conflicts: frozenset[FactName] = frozenset()
    """Facts whose conflict was reported; it is reported once."""
    contributed: tuple[UUID, ...] = ()
    """Sources that an absorbed file contributed, so that the merge can be undone."""
    dependency_keys: tuple[str, ...] = ()
    reviewed: bool = False
    """A clerical review about it was requested at some time."""
    destroyed: bool = False
    """Its key was destroyed: it identifies nobody, and nothing is added to it."""
    resolved: ResolvedFacts | None = None
    """None until the facts are resolved after loading."""

    @property
    def state(self) -> State:
        if self.absorbed_by is not None:
            return "absorbed"
        if self.confirmed or any(source.dataset not in INTERNAL for source in self.sources.values()):
            return "on_file"
        return "candidate"

    @property
    def records(self) -> list[UUID]:
        """Source records without the verifications by persons."""
        return [source.record for source in self.sources.values() if source.dataset != VERIFY]

    @property
    def datasets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the departments' datasets that know the child, and those of them that no longer report it."""
        datasets = {source.dataset for source in self.sources.values() if source.dataset not in INTERNAL}
        speaking = {source.dataset for source in self.sources.values() if not source.silent}
        return tuple(sorted(datasets)), tuple(sorted(datasets - speaking))


@dataclass(frozen=True, slots=True)
class RecordAssignment:
    """The file that a source record is assigned to, and the evidence for it."""

    child: UUID
    evidence: Evidence
    content: str
    recorded_at: datetime
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class FindingAssignment:
    """The child that a finding is about. ``named``: the person who reported it named the child."""

    child: UUID
    named: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A clerical review of whether two files are about one child."""

    review: UUID
    child: UUID
    other: UUID
    evidence: tuple[str, ...]
    conflicts: tuple[str, ...]
    state: Literal["open", "merged", "cannot_link", "split"]
    requested_for: tuple[UUID, UUID]
    """The two files it was requested for; ``child`` and ``other`` are their current files."""

    @property
    def pair(self) -> frozenset[UUID]:
        return frozenset((self.child, self.other))


@dataclass(frozen=True, slots=True)
class Reading:
    """A row as it was read, its identity turned into evidence."""

    record: UUID
    evidence: Evidence | None
    """None if the row has not changed since it was last read; its identity is then not opened."""
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    recorded_at: datetime
    recorded_on: date
    full_file: bool
    """The row is from a whole file. A single row only adds facts."""
    content: str
    facts: Mapping[FactName, Value]
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """The unit that decided, the role of the person, and the day."""

    unit: str
    role: str
    on: date


# --------------------------------------------------------------------------------- outcomes that must be published


@dataclass(frozen=True, slots=True)
class ReviewOpened:
    review: Review


@dataclass(frozen=True, slots=True)
class ReviewClosed:
    review: UUID
    child: UUID
    other: UUID
    outcome: Literal["merged", "cannot_link", "split"]
    by: Person | None
    """None: matching resolved it, because the same valid ID number appeared on both sides."""


@dataclass(frozen=True, slots=True)
class Reassignment:
    child: UUID
    from_child: UUID
    reason: Literal["merge", "split", "matched"]
    findings: tuple[UUID, ...]
    records: tuple[UUID, ...]
    by: Person | None = None


@dataclass(frozen=True, slots=True)
class FactConflict:
    child: UUID
    name: FactName
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActionRefusal:
    child: UUID | None
    code: str


Outcome = ReviewOpened | ReviewClosed | Reassignment | FactConflict | ActionRefusal
