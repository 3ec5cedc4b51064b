"""Planned events of the desk, a web application for people, and its access rules.

The desk is a channel like a unit's own topics: it publishes what a person does, intake accepts it on behalf of the
unit, and the desk receives the answer. Only on these topics are unit and person read from the payload, because only
the desk may write to them.
"""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.event import Event, Sensitivity
from contracts.vocabulary import Verb


class DeskAction(Event):
    """A submitted form. ``ce_id`` is the form's id, so that sending it twice has one effect."""

    kind: ClassVar[str] = "desk.Action.v1"
    topic: ClassVar[str] = "desk.action.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    unit: str
    person: str
    """The person's id in the county's data."""
    role: str
    verb: Verb
    child: UUID | None = None
    fields: dict[str, str | int | bool | None] = Field(default_factory=dict)
    """The other fields of ``contracts.intake.Action`` that the verb requires: codes, dates and ids."""
    identity: str = ""
    """The child's identity and any free text, encrypted for intake."""

    @property
    def key(self) -> str:
        return str(self.child or self.unit)


class DeskRecord(Event):
    """A part of a file submitted at the desk. Its key is the unit, so that two files of one unit stay in order."""

    kind: ClassVar[str] = "desk.Record.v1"
    topic: ClassVar[str] = "desk.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    unit: str
    person: str
    submission: UUID
    part: Literal["begin", "row", "end"]
    content: str
    """The JSON of ``contracts.intake.Begin``, ``Row`` or ``End``, encrypted for intake."""

    @property
    def key(self) -> str:
        return self.unit


class DeskAnswer(Event):
    """The outcome of a form or file of the desk, which its page displays."""

    kind: ClassVar[str] = "intake.DeskAnswer.v1"
    topic: ClassVar[str] = "desk.receipt.v1"

    unit: str
    answers: UUID
    """The id of the form or submission."""
    outcome: Literal["taken", "refused", "duplicate", "done", "not_done"]
    """``taken`` or ``refused`` by intake; ``done`` or ``not_done`` by the service that owns the verb."""
    code: str = ""

    @property
    def key(self) -> str:
        return str(self.answers)


class PersonChanged(Event):
    """A change of a person's role, area or log-in at the desk, encrypted for the registry."""

    kind: ClassVar[str] = "desk.PersonChanged.v1"
    topic: ClassVar[str] = "desk.access.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    person: str
    version: int
    """Counts the person's changes; the highest is current."""
    content: str
    """Unit, role, area, state and credential verifiers, encrypted for the registry."""

    @property
    def key(self) -> str:
        return self.person


class AuthorisationChanged(Event):
    """授权单: an authorisation for a person to see children's names in certain cases until a date. It is encrypted."""

    kind: ClassVar[str] = "desk.AuthorisationChanged.v1"
    topic: ClassVar[str] = "desk.access.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    authorisation: UUID
    person: str
    version: int
    valid_from: date
    valid_until: date
    """At most six months after ``valid_from``."""
    revoked: bool = False
    """True for a revocation, which takes effect immediately."""
    content: str
    """Area, cases, purpose and signer, encrypted for the registry."""

    @property
    def key(self) -> str:
        return self.person


class RecusalChanged(Event):
    """回避: a person must not see one child's file (as kin, suspect or party). It is encrypted for the registry."""

    kind: ClassVar[str] = "desk.RecusalChanged.v1"
    topic: ClassVar[str] = "desk.access.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    person: str
    version: int
    content: str
    """The child, the ground and the person who stated it, encrypted for the registry."""

    @property
    def key(self) -> str:
        return self.person


class StateSnapshot(Event):
    """The current state of one entity of a service, to rebuild the desk's read model.

    An operator requests it; the owning service writes its state in resumable pages. Only the desk reads these topics.
    """

    kind: ClassVar[str] = "desk.StateSnapshot.v1"
    topic: ClassVar[str] = "registry.state.v1"
    sensitivity: ClassVar[Sensitivity] = "restricted"
    snapshot: ClassVar[bool] = True

    service: Literal["registry", "eligibility", "referral", "notify"]
    entity: Literal["child", "assessment", "referral", "proposal", "ledger_entry", "duty", "notice", "review"]
    id: UUID
    version: int
    rebuild: UUID
    """The id of the operator's request."""
    at: datetime
    state: dict[str, str | int | bool | None]
    """Codes, dates and ids, as in the entity's own event."""

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def topic_name(self) -> str:
        return f"{self.service}.state.v1"
