"""Said by the registry: one file per child, in codes and dates; and what it must ask a person."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event, Sensitivity
from contracts.intake import FactValue
from contracts.vocabulary import FactName, FindingCode, IdentityField, Level, Verb


class Fact(BaseModel):
    """One claim: what, from whom, since when, said when."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    name: FactName
    value: FactValue
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    """The day the claim speaks of. A newer validity wins, not a newer arrival."""
    recorded_on: date
    chosen: bool
    """The claim that stands. Where departments contradict one another, the others travel too."""
    verified: bool = False
    """A named person saw it on the spot."""


class ChildChanged(Event):
    """The child's file as it stands: a full snapshot. The newest ``child_version`` wins; holes are legal."""

    kind = "registry.ChildChanged.v1"
    topic = "registry.child.v1"
    sensitivity: ClassVar[Sensitivity] = "normal"
    snapshot: ClassVar[bool] = True

    child: UUID
    number: str
    """The child's number: twelve digits, from which the id follows (``contracts.child_number``)."""
    child_version: int
    """Counts the input events of this child, not batches."""
    state: Literal["candidate", "on_file", "absorbed"]
    absorbed_by: UUID | None = None
    """Set on a file that was merged into another: everything derived follows."""
    absorbs: tuple[UUID, ...] = ()
    """The hand-over on the survivor."""
    split_from: UUID | None = None
    facts: tuple[Fact, ...]
    sources: tuple[str, ...]
    """Datasets that know this child."""
    silent_sources: tuple[str, ...] = ()
    """Datasets that no longer report the child."""
    open_reviews: int = 0
    """Match questions open about this file."""

    @property
    def key(self) -> str:
        return str(self.child)


class FindingAssigned(Event):
    """A person's finding, now about a child. The express way: never held up."""

    kind = "registry.FindingAssigned.v1"
    topic = "registry.finding.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    finding: UUID
    child: UUID
    number: str
    """The child's number, twelve digits."""
    candidate: bool
    """The child is not on file (yet)."""
    findings: tuple[FindingCode, ...]
    level: Level | None
    unit: str
    place: str | None
    role: str
    township: str | None
    """Where the child was found; else the child's township on file."""
    residence_division: str | None
    on: date
    recorded_at: datetime
    phone_reported_at: datetime | None = None
    ce_id: UUID

    @property
    def key(self) -> str:
        return str(self.child)


class FileReassigned(Event):
    """A merge or a split by a person, for those who keep matters by child. Keyed by the file that receives."""

    kind = "registry.FileReassigned.v1"
    topic = "registry.finding.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    child: UUID
    """Receives."""
    from_child: UUID
    reason: Literal["merge", "split", "matched"]
    findings: tuple[UUID, ...] = ()
    """split: only what came from these findings moves. merge, matched: everything."""
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


_QUESTION = 8


def review_id(made: UUID) -> UUID:
    """The same id, marked as a question's."""
    return UUID(int=made.int & ~(0xF << 76) | _QUESTION << 76)


def is_review(asked: UUID) -> bool:
    """Whose a confirm or decline is: a question's is the registry's, any other id is referral's.

    An id that neither of the two knows is thus refused by one of them, and never by both.
    """
    return asked.version == _QUESTION


class ReviewRequested(Event):
    """Rung 3: two files could be one child. A person decides; the evidence is in codes."""

    kind = "registry.ReviewRequested.v1"
    topic = "registry.review.v1"

    review: UUID
    child: UUID
    other: UUID
    evidence: tuple[str, ...]
    """``same_name``, ``same_birth_date``, ``same_guardian_name``, ``same_phone``, ``two_valid_numbers`` ..."""
    conflicts: tuple[str, ...] = ()
    unit: str
    """Who decides."""
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class ReviewResolved(Event):
    kind = "registry.ReviewResolved.v1"
    topic = "registry.review.v1"

    review: UUID
    child: UUID
    other: UUID
    outcome: Literal["merged", "kept_apart", "split"]
    unit: str
    role: str
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class FactConflictFound(Event):
    """Two departments say different things of the same child and the same time."""

    kind = "registry.FactConflictFound.v1"
    topic = "registry.review.v1"

    child: UUID
    name: FactName
    units: tuple[str, ...]
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class RegistryActionRefused(Event):
    """An action that intake let in but the registry cannot do: notify answers the unit."""

    kind = "registry.ActionRefused.v1"
    topic = "registry.review.v1"

    child: UUID | None
    restricted: bool
    """The action came by the unit's log-in for restricted matters, and so does its answer."""
    unit: str
    ce_id: UUID
    verb: Verb
    code: str
    on: date

    @property
    def key(self) -> str:
        return str(self.child or self.ce_id)


class Disclosed(Event):
    """What an agency must know to act, sealed to its key; without a value once the referral is closed."""

    kind = "registry.Disclosed.v1"
    topic = "disclosure.{unit}.v1"

    unit: str
    restricted: bool
    """Sealed to the unit's second key, on a topic that its other log-in reads."""
    referral: UUID
    fields: tuple[IdentityField, ...]
    """Names of the sealed fields: only what the route's whitelist names."""
    jwe: str | None
    """Compact JWE of a JSON object; None: the tombstone."""

    @property
    def key(self) -> str:
        return str(self.referral)

    @property
    def topic_name(self) -> str:
        return f"disclosure.{self.unit}.restricted.v1" if self.restricted else f"disclosure.{self.unit}.v1"

    @property
    def tombstone(self) -> bool:
        return self.jwe is None


_DATES = {
    FactName.BIRTH_DATE,
    FactName.RESIDENCE_SINCE,
    FactName.RESIDENCE_ENDED,
    FactName.AWAY_SINCE,
    FactName.RESIDENCE_PERMIT_SIGNED,
    FactName.SCHOOL_SINCE,
    FactName.HEALTH_LAST_CHECK,
    FactName.DECEASED,
}
_NUMBERS = {
    FactName.SEX,
    FactName.SCHOOL_GRADE,
    FactName.SCHOOL_COUNT,
    FactName.INSURED_YEAR,
    FactName.DISABILITY_KIND,
    FactName.DISABILITY_GRADE,
}
_CODES = {
    FactName.HUKOU_DIVISION,
    FactName.RESIDENCE_DIVISION,
    FactName.INSURED_DIVISION,
    FactName.FATHER_STATUS,
    FactName.MOTHER_STATUS,
    FactName.GUARDIAN_STATUS,
    FactName.SCHOOL_STATUS,
    FactName.SCHOOL_STAGE,
    FactName.VACCINATION_STATUS,
}

FACT_TYPES: dict[FactName, Literal["date", "number", "code", "bool"]] = {
    name: "date" if name in _DATES else "number" if name in _NUMBERS else "code" if name in _CODES else "bool"
    for name in FactName
}
"""How each fact's value is written: an ISO date, a whole number, a code, or true / false."""
