"""Events of eligibility: what a child is entitled to and which gaps its facts show. They are suggestions to people."""

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event, Sensitivity
from contracts.vocabulary import Answer, Certainty, FactName, FindingCode, Fulfilment, Level


class Reason(BaseModel):
    """Why an answer was given, as a code with parameters. Consumers look up the text when a person reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    """The code of the sentence, such as `crossed_counties`."""
    supports: bool | None
    """True if the reason speaks for the answer yes, false for no, null if it could not be determined."""
    params: dict[str, str | int | bool] = {}
    """The values that the sentence of the code contains: codes, dates and numbers."""


class MissingFact(BaseModel):
    """A fact that no source has reported, or a term that the county has not defined, and the units that hold it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fact: FactName | None
    """The fact that is missing; null if a term is missing."""
    criterion: str | None = None
    """The term that the county has not defined; null if a fact is missing."""
    held_by: tuple[str, ...] = ()
    """Ids of the units that can report the fact or define the term."""


class Verdict(BaseModel):
    """One answer (yes, no or unknown), its reasons, and the day until which it holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: str
    """What was asked: ``migrant``, ``statistical`` or an item of the list (``B-4(1)``)."""
    answer: Answer
    reasons: tuple[Reason, ...] = ()
    missing: tuple[MissingFact, ...] = ()
    """What must be reported or defined before an unknown answer can become yes or no."""
    citations: tuple[str, ...] = ()
    """Codes of the texts that the answer rests on, from the rulebook and the county's catalogue."""
    certainty: Certainty = Certainty.STATED
    """The certainty of the weakest text that the answer needs."""
    fulfilment: Fulfilment | None = None
    """Where the item is granted; null for a subject that is not an item."""
    until: date | None = None
    """The first day on which the answer may differ although no fact has changed; null if there is no such day."""


class DerivedFinding(BaseModel):
    """A finding that the facts show. Its route and level determine what happens to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: FindingCode
    route: str
    """The county's route for the finding, such as `R4`."""
    level: Level
    """How urgent it is: the route's level, or a more urgent one that the rule requires."""
    item: str | None
    """The item of the list that the finding concerns, if any."""
    reasons: tuple[Reason, ...] = ()
    confirm_first: bool
    """Whether the township confirms the finding before a referral is sent: restricted routes, L0 and L1."""


class ChildAssessmentSummary(Event):
    """The part of an assessment that requires action. A consumer of this part need not parse the items' answers."""

    topic = "eligibility.child.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"
    snapshot: ClassVar[bool] = True

    child: UUID
    child_version: int
    """The version of the registry's snapshot (``registry.ChildChanged.v1``) that was assessed."""
    assessment: int
    """Counts this child's assessments. It orders assessments of one version on different days."""
    on: date
    """The county day as of which the answers hold."""
    state: Literal["candidate", "on_file", "absorbed"]
    """`candidate`: the child is not on file yet; `absorbed`: the file was merged into another and has no answers."""
    absorbed_by: UUID | None = None
    """The child whose file absorbed this one."""
    absorbs: tuple[UUID, ...] = ()
    """The children whose files this one has absorbed."""
    residence_division: str | None
    """Division code of the residence, 6, 9 or 12 digits; null if it is not known."""
    township: str | None
    """The residence's township, a 9-digit code; null if the residence is outside the county or unknown."""
    migrant: Verdict
    """Whether the child is a migrant child (流动儿童)."""
    statistical: Verdict
    """Whether the child belongs to the wider group of the statistics (统计分析对象)."""
    derived: tuple[DerivedFinding, ...]
    """Service gaps and risks that the facts show."""

    @property
    def key(self) -> str:
        return str(self.child)


class ChildAssessed(ChildAssessmentSummary):
    """All answers about one child as of a day, a full snapshot. The highest (child_version, assessment) is current."""

    kind = "eligibility.ChildAssessed.v1"

    items: tuple[Verdict, ...]
    """One answer for each item of the list that the county offers."""
    until: date | None
    """The earliest `until` of all answers and gaps: the day on which the child is assessed again."""
    ruleset: str
    """The version of the rules."""
    catalogue: str
    """The version of the county's list of services."""
