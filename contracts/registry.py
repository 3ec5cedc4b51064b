"""Events of the registry: one file per child in codes and dates, and the reviews that a person must decide."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event, Sensitivity
from contracts.intake import FactValue
from contracts.vocabulary import FactName, FindingCode, IdentityField, Level, Verb


class Fact(BaseModel):
    """One claim about a child: the fact, its value, its source, and the day for which it holds."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    name: FactName
    value: FactValue
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    """The day for which the claim holds. The newest ``valid_on`` wins, not the newest arrival."""
    recorded_on: date
    """The county day on which the claim was received."""
    chosen: bool
    """Whether this claim is the current value. If departments contradict one another, all claims are included."""
    verified: bool = False
    """Whether a named person verified it on the spot."""


class ChildChanged(Event):
    """A child's current file, a full snapshot. The highest ``child_version`` is current; versions may be skipped."""

    kind = "registry.ChildChanged.v1"
    topic = "registry.child.v1"
    sensitivity: ClassVar[Sensitivity] = "normal"
    snapshot: ClassVar[bool] = True

    child: UUID
    number: str
    """The child's number: twelve digits, from which the id follows (``contracts.child_number``)."""
    child_version: int
    """Counts the input events of this child, independently of batches."""
    state: Literal["candidate", "on_file", "absorbed"]
    absorbed_by: UUID | None = None
    """The child whose file absorbed this one in a merge. Consumers move what they derived from this file."""
    absorbs: tuple[UUID, ...] = ()
    """The children whose files this one has absorbed."""
    split_from: UUID | None = None
    facts: tuple[Fact, ...]
    sources: tuple[str, ...]
    """The datasets that report this child."""
    silent_sources: tuple[str, ...] = ()
    """The datasets that no longer report the child."""
    open_reviews: int = 0
    """The number of open reviews of whether this file and another are the same child."""

    @property
    def key(self) -> str:
        return str(self.child)


class FindingAssigned(Event):
    """A person's report, assigned to a child. It goes to a priority consumer and is never delayed."""

    kind = "registry.FindingAssigned.v1"
    topic = "registry.finding.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    finding: UUID
    child: UUID
    number: str
    """The child's number, twelve digits."""
    candidate: bool
    """True if the child is not on file yet."""
    findings: tuple[FindingCode, ...]
    level: Level | None
    unit: str
    place: str | None
    role: str
    township: str | None
    """The township where the child was found, otherwise the township on file."""
    residence_division: str | None
    on: date
    recorded_at: datetime
    phone_reported_at: datetime | None = None
    ce_id: UUID

    @property
    def key(self) -> str:
        return str(self.child)


class FileReassigned(Event):
    """A merge or split by a person, for consumers that keep cases by child. Its key is the receiving file."""

    kind = "registry.FileReassigned.v1"
    topic = "registry.finding.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    child: UUID
    """The child whose file receives."""
    from_child: UUID
    reason: Literal["merge", "split", "matched"]
    findings: tuple[UUID, ...] = ()
    """split: only what came from these reports moves. merge, matched: empty, because everything moves."""
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


_QUESTION = 8


def review_id(made: UUID) -> UUID:
    """Return the id marked as the id of a review, by its UUID version."""
    return UUID(int=made.int & ~(0xF << 76) | _QUESTION << 76)


def is_review(asked: UUID) -> bool:
    """Whether a confirm or decline belongs to the registry; with any other id it belongs to referral.

    So exactly one of the two services refuses an id that neither knows.
    """
    return asked.version == _QUESTION


class ReviewRequested(Event):
    """Two files may be the same child and a person must decide (clerical review). The evidence is in codes."""

    kind = "registry.ReviewRequested.v1"
    topic = "registry.review.v1"

    review: UUID
    child: UUID
    other: UUID
    evidence: tuple[str, ...]
    """Codes of what agrees, such as ``same_name``, ``same_birth_date``, ``same_guardian_name`` and ``same_phone``."""
    conflicts: tuple[str, ...] = ()
    unit: str
    """The unit that decides."""
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class ReviewResolved(Event):
    """A person has decided a review, or a split has reversed an earlier merge."""

    kind = "registry.ReviewResolved.v1"
    topic = "registry.review.v1"

    review: UUID
    child: UUID
    other: UUID
    outcome: Literal["merged", "cannot_link", "split"]
    unit: str
    role: str
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class FactConflictFound(Event):
    """Two departments report different values of one fact for the same child and time."""

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
    """The registry refused an action that intake had accepted; notify informs the unit."""

    kind = "registry.ActionRefused.v1"
    topic = "registry.review.v1"

    child: UUID | None
    restricted: bool
    """True if the action came from the unit's log-in for restricted matters, which also receives the answer."""
    unit: str
    ce_id: UUID
    verb: Verb
    code: str
    on: date

    @property
    def key(self) -> str:
        return str(self.child or self.ce_id)


class Disclosed(Event):
    """The identity fields an agency needs, encrypted for its public key; a tombstone once the referral is closed."""

    kind = "registry.Disclosed.v1"
    topic = "disclosure.{unit}.v1"

    unit: str
    restricted: bool
    """True if it is encrypted for the unit's second key and published on the topic of its restricted log-in."""
    referral: UUID
    fields: tuple[IdentityField, ...]
    """The names of the encrypted fields; only fields of the route's whitelist occur."""
    jwe: str | None
    """Compact JWE of a JSON object; null in the tombstone."""

    @property
    def key(self) -> str:
        return str(self.referral)

    @property
    def topic_name(self) -> str:
        return f"disclosure.{self.unit}.restricted.v1" if self.restricted else f"disclosure.{self.unit}.v1"

    @property
    def tombstone(self) -> bool:
        return self.jwe is None
