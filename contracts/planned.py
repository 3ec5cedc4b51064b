"""Events that later work will publish (``contracts.flow.PLANNED``). Their fields are agreed, but no code uses them yet.

An event moves to the module of its service when it is implemented.
"""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.event import Event, Sensitivity
from contracts.intake import ActionAccepted
from contracts.vocabulary import ApplicationState, Verb


class MessagesRefused(Event):
    """The answer to messages of a unit that could not be read. It names offsets, because no id could be read."""

    kind: ClassVar[str] = "intake.MessagesRefused.v1"
    topic: ClassVar[str] = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    """True if the messages came from the unit's log-in for restricted matters."""
    topic_written: str
    partition: int
    first_offset: int
    last_offset: int
    """One answer may cover a range of offsets."""
    count: int
    code: str
    message: str
    """A Chinese sentence that says what is wrong."""
    remedy: str
    """A Chinese sentence that says what to do."""

    @property
    def key(self) -> str:
        return f"{self.topic_written}/{self.partition}"

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"


class AlertRaised(Event):
    """An urgent problem at intake: a malformed message that may be a report, or a flood of messages."""

    kind: ClassVar[str] = "intake.AlertRaised.v1"
    topic: ClassVar[str] = "intake.alert.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    alert: UUID
    unit: str
    reason: Literal["unreadable_report", "flood"]
    count: int
    """The number of occurrences since the last alert of this unit and reason. Alerts are at least ten minutes apart."""
    at: datetime

    @property
    def key(self) -> str:
        return self.unit


class SubmissionWithdrawn(Event):
    """A unit withdrew the newest file of a dataset within thirty days, so that the previous file is current again."""

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
    """The outcome of an action, also a success, by the service that owns its verb (``vocabulary.OWNER_OF``)."""

    kind: ClassVar[str] = "registry.ActionDecided.v1"
    topic: ClassVar[str] = "registry.decision.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    ce_id: UUID
    unit: str
    restricted: bool
    """True if the action came from the unit's restricted log-in, which also receives the answer."""
    verb: Verb
    outcome: Literal["done", "not_done"]
    code: str
    child: UUID | None
    on: date

    @property
    def key(self) -> str:
        return str(self.ce_id)


class ActionForwarded(Event):
    """An action about a child, keyed by the current file after merges. Unknown children have been refused."""

    kind: ClassVar[str] = "registry.ActionForwarded.v1"
    topic: ClassVar[str] = "registry.action.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    child: UUID
    named: UUID
    """The child that the unit named."""
    action: ActionAccepted

    @property
    def key(self) -> str:
        return str(self.child)


class ReferralDecidedAction(Event):
    """The outcome of an action, also a success, by the service that owns its verb (``vocabulary.OWNER_OF``)."""

    kind: ClassVar[str] = "referral.ActionDecided.v1"
    topic: ClassVar[str] = "referral.decision.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    ce_id: UUID
    unit: str
    restricted: bool
    """True if the action came from the unit's restricted log-in, which also receives the answer."""
    verb: Verb
    outcome: Literal["done", "not_done"]
    code: str
    referral: UUID | None
    on: date

    @property
    def key(self) -> str:
        return str(self.ce_id)


class SealedFactDisclosed(Event):
    """A fact about a child that no ordinary topic shows, encrypted for the unit that needs it; a tombstone ends it.

    Ordinary topics carry one constant for every child instead, or the answer of the rule that needs the fact.
    """

    kind: ClassVar[str] = "registry.SealedFactDisclosed.v1"
    topic: ClassVar[str] = "disclosure.{unit}.restricted.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"

    unit: str
    child: UUID
    item: str
    """The item of the list that the fact belongs to."""
    jwe: str | None
    """Compact JWE of a JSON object; null in the tombstone."""

    @property
    def key(self) -> str:
        return f"{self.child}/{self.item}"

    @property
    def topic_name(self) -> str:
        return f"disclosure.{self.unit}.restricted.v1"

    @property
    def tombstone(self) -> bool:
        return self.jwe is None


class ApplicationChanged(Event):
    """An application for a listed service was made, granted, not approved, or waived by the guardian.

    It is independent of entitlement (eligibility's answer) and of receipt (a fact of the registry).
    """

    kind: ClassVar[str] = "referral.ApplicationChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    child: UUID
    restricted: bool
    """Whether the case is restricted (限知事项)."""
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

    @property
    def topic_name(self) -> str:
        return "referral.restricted.v1" if self.restricted else "referral.case.v1"


class ActionOutcomeAnswered(Event):
    """The second receipt of an action, within two seconds: its outcome in a sentence, success included."""

    kind: ClassVar[str] = "notify.ActionOutcomeAnswered.v1"
    topic: ClassVar[str] = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    ce_id: UUID
    outcome: Literal["done", "not_done"]
    code: str
    message: str
    """A Chinese sentence that states the outcome."""
    remedy: str
    """A Chinese sentence that says what to do instead; empty if the action was done."""

    @property
    def key(self) -> str:
        return str(self.ce_id)

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"
