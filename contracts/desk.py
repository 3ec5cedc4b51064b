"""Events of the desk, where people work in a browser; and who may see whom.

The desk is a channel like a unit's own topics: what a person does there is published here, intake takes it as that
unit's, and the answer comes back. Unit and person are taken from the payload on these topics only, because only the
desk may write them.
"""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.event import Event, Sensitivity
from contracts.vocabulary import Verb


class DeskAction(Event):
    """A form that a person filled in. ``ce_id`` is the form's id, so that it counts once however often it is sent."""

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
    """The other fields of ``contracts.intake.Action`` that the verb needs: codes, dates and ids."""
    identity: str = ""
    """Who the child is, and what was written in words; sealed for intake."""

    @property
    def key(self) -> str:
        return str(self.child or self.unit)


class DeskRecord(Event):
    """A part of a file that was handed in at the desk. Keyed by unit: two files of one unit stay in order."""

    kind: ClassVar[str] = "desk.Record.v1"
    topic: ClassVar[str] = "desk.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    unit: str
    person: str
    submission: UUID
    part: Literal["begin", "row", "end"]
    content: str
    """The JSON of ``contracts.intake.Begin``, ``Row`` or ``End``; sealed for intake."""

    @property
    def key(self) -> str:
        return self.unit


class DeskAnswer(Event):
    """What became of a form or a file of the desk; its page shows it."""

    kind: ClassVar[str] = "intake.DeskAnswer.v1"
    topic: ClassVar[str] = "desk.receipt.v1"

    unit: str
    answers: UUID
    """The form or the submission."""
    outcome: Literal["taken", "refused", "duplicate", "done", "not_done"]
    """``taken`` or ``refused`` by intake; ``done`` or ``not_done`` by the service that owns the verb."""
    code: str = ""

    @property
    def key(self) -> str:
        return str(self.answers)


class PersonChanged(Event):
    """A person at the desk: role, area, and whether the log-in is valid. Sealed for the registry."""

    kind: ClassVar[str] = "desk.PersonChanged.v1"
    topic: ClassVar[str] = "desk.access.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    person: str
    version: int
    """Counts the person's changes; the newest wins."""
    content: str
    """Unit, role, area, state and credentials' verifiers; sealed for the registry."""

    @property
    def key(self) -> str:
        return self.person


class AuthorisationChanged(Event):
    """授权单: who may see which children's names, in which matters, until when, signed by whom. Sealed."""

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
    """A revocation acts at once."""
    content: str
    """Area, matters, purpose and signer; sealed for the registry."""

    @property
    def key(self) -> str:
        return self.person


class RecusalChanged(Event):
    """回避: a person who must not see one child's file (kin, suspect, party). Sealed for the registry."""

    kind: ClassVar[str] = "desk.RecusalChanged.v1"
    topic: ClassVar[str] = "desk.access.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    person: str
    version: int
    content: str
    """Child, ground, who stated it; sealed for the registry."""

    @property
    def key(self) -> str:
        return self.person


class StateSnapshot(Event):
    """The current state of one thing a service owns, for a desk whose read model is filled anew.

    An operator asks for it; the owner writes its state in resumable pages. Only the desk reads these topics.
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
    """The operator's request."""
    at: datetime
    state: dict[str, str | int | bool | None]
    """Codes, dates and ids, as the entity's own event has them."""

    @property
    def key(self) -> str:
        return str(self.id)

    @property
    def topic_name(self) -> str:
        return f"{self.service}.state.v1"
