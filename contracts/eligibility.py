"""Said by eligibility: what a child is entitled to and what is wrong, with reasons. Suggestions to a person."""

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event, Sensitivity
from contracts.vocabulary import Answer, Certainty, FactName, FindingCode, Fulfilment, Level


class Reason(BaseModel):
    """Why, as a code and its parameters; the words are looked up when a person reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    supports: bool | None
    """What this reason speaks for; None: it could not be told."""
    params: dict[str, str | int | bool] = {}


class MissingFact(BaseModel):
    """A fact nobody has told us, and who holds it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fact: FactName | None
    criterion: str | None = None
    """A term that the county has not defined."""
    held_by: tuple[str, ...] = ()


class Verdict(BaseModel):
    """One answer: yes, no or unknown, and until when it holds without any news."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: str
    """``migrant``, ``statistical`` or an item of the list (``B-4(1)``)."""
    answer: Answer
    reasons: tuple[Reason, ...] = ()
    missing: tuple[MissingFact, ...] = ()
    citations: tuple[str, ...] = ()
    """Codes of the rule's citations (``services.eligibility`` rulebook, county catalogue)."""
    certainty: Certainty = Certainty.STATED
    fulfilment: Fulfilment | None = None
    until: date | None = None
    """The first day on which the answer may differ without any news; None: never."""


class DerivedFinding(BaseModel):
    """A finding that the facts show. What becomes of it depends on its route and level."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: FindingCode
    route: str
    level: Level
    item: str | None
    reasons: tuple[Reason, ...] = ()
    confirm_first: bool
    """It points at police, psychiatry, guardianship or conduct, or is L0/L1: the township confirms."""


class ChildAssessmentSummary(Event):
    """What of an assessment somebody must act on. A reader of no more than this need not take the list's answers."""

    topic = "eligibility.child.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"
    snapshot: ClassVar[bool] = True

    child: UUID
    child_version: int
    assessment: int
    """Counts this child's assessments: orders snapshots of one version on different days."""
    on: date
    state: Literal["candidate", "on_file", "absorbed"]
    absorbed_by: UUID | None = None
    absorbs: tuple[UUID, ...] = ()
    residence_division: str | None
    township: str | None
    """9 digits, if the residence lies in the county."""
    migrant: Verdict
    statistical: Verdict
    derived: tuple[DerivedFinding, ...]

    @property
    def key(self) -> str:
        return str(self.child)


class ChildAssessed(ChildAssessmentSummary):
    """All answers about one child as of a day: a full snapshot. The newest (child_version, assessment) wins."""

    kind = "eligibility.ChildAssessed.v1"

    items: tuple[Verdict, ...]
    until: date | None
    ruleset: str
    catalogue: str
