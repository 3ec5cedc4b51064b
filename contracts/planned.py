"""Events that later work will publish (``contracts.flow.PLANNED``): their shapes are settled, no code uses them yet.

Whoever builds one moves it to the module of the service that publishes it.
"""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.event import Event, Sensitivity
from contracts.intake import ActionAccepted
from contracts.vocabulary import ApplicationState, Verb


class MessagesRefused(Event):
    """The answer to messages of a unit that could not be read at all: by place, as no id could be read."""

    kind: ClassVar[str] = "intake.MessagesRefused.v1"
    topic: ClassVar[str] = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    """The messages came by the unit's log-in for restricted matters."""
    topic_written: str
    partition: int
    first_offset: int
    last_offset: int
    """One answer may cover a range of offsets."""
    count: int
    code: str
    message: str
    """Chinese sentence: what is wrong."""
    remedy: str
    """Chinese sentence: what to do."""

    @property
    def key(self) -> str:
        return f"{self.topic_written}/{self.partition}"

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"


class AlertRaised(Event):
    """Something at intake that a person must hear of now: a broken message that may be a report, or a flood."""

    kind: ClassVar[str] = "intake.AlertRaised.v1"
    topic: ClassVar[str] = "intake.alert.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alert: UUID
    unit: str
    reason: Literal["unreadable_report", "flood"]
    count: int
    """Since the last alert of this unit and reason; a unit has one in ten minutes."""
    at: datetime

    @property
    def key(self) -> str:
        return self.unit


class SubmissionWithdrawn(Event):
    """The newest file of a dataset was withdrawn by its unit within thirty days: the file before it holds again."""

    kind: ClassVar[str] = "intake.SubmissionWithdrawn.v1"
    topic: ClassVar[str] = "intake.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"
    broadcast: ClassVar[bool] = True

    submission: UUID
    unit: str
    dataset: str
    period: str
    on: date

    @property
    def key(self) -> str:
        return str(self.submission)


class RegistryDecidedAction(Event):
    """What an action did, by the service that owns its verb (``contracts.vocabulary.OWNER_OF``), success included."""

    kind: ClassVar[str] = "registry.ActionDecided.v1"
    topic: ClassVar[str] = "registry.decision.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    ce_id: UUID
    unit: str
    restricted: bool
    """The action came from the unit's restricted log-in, and its answer goes there."""
    verb: Verb
    outcome: Literal["done", "not_done"]
    code: str
    child: UUID | None
    on: date

    @property
    def key(self) -> str:
        return str(self.ce_id)


class ActionForwarded(Event):
    """An action about a child, keyed by the file that holds now: merges are resolved, unknown children refused."""

    kind: ClassVar[str] = "registry.ActionForwarded.v1"
    topic: ClassVar[str] = "registry.action.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    child: UUID
    named: UUID
    """The child as the unit named it."""
    action: ActionAccepted

    @property
    def key(self) -> str:
        return str(self.child)


class ReferralDecidedAction(Event):
    """What an action did, by the service that owns its verb (``contracts.vocabulary.OWNER_OF``), success included."""

    kind: ClassVar[str] = "referral.ActionDecided.v1"
    topic: ClassVar[str] = "referral.decision.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    ce_id: UUID
    unit: str
    restricted: bool
    """The action came from the unit's restricted log-in, and its answer goes there."""
    verb: Verb
    outcome: Literal["done", "not_done"]
    code: str
    referral: UUID | None
    on: date

    @property
    def key(self) -> str:
        return str(self.ce_id)


class ApplicationChanged(Event):
    """An application for a listed service: applied for, not approved, granted, or waived by the guardian.

    It stands apart from being entitled (eligibility's answer) and from receiving (a fact of the registry).
    """

    kind: ClassVar[str] = "referral.ApplicationChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    child: UUID
    application: UUID
    version: int
    item: str
    state: ApplicationState
    unit: str
    actor_unit: str
    actor_role: str
    on: date

    @property
    def key(self) -> str:
        return str(self.child)


class ActionAnswered(Event):
    """The second receipt of an action: what it did, in a sentence, within two seconds; success too."""

    kind: ClassVar[str] = "notify.ActionAnswered.v1"
    topic: ClassVar[str] = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    ce_id: UUID
    outcome: Literal["done", "not_done"]
    code: str
    message: str
    """Chinese sentence: what became of it."""
    remedy: str
    """Chinese sentence: what to do instead; empty when it was done."""

    @property
    def key(self) -> str:
        return str(self.ce_id)

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"
