"""Events of referral: every risk and duty has a responsible unit and a due date until it is done."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event
from contracts.vocabulary import (
    DutyKind,
    FindingCode,
    IdentityField,
    LedgerReason,
    Level,
    ReferralState,
    Result,
    ReturnReason,
    Transition,
    Verb,
)


class Basis(BaseModel):
    """The legal or policy text a referral rests on."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    place: str
    """The document and article."""
    phrase: str
    """A short verbatim quotation."""


class _Case(Event):
    """The base of case events. Their key is the child; events of restricted matters go to a separate topic."""

    child: UUID
    restricted: bool
    """Whether the case is restricted (限知事项)."""
    on: date
    """The county day of the event."""

    @property
    def key(self) -> str:
        return str(self.child)

    @property
    def topic_name(self) -> str:
        return "referral.restricted.v1" if self.restricted else "referral.case.v1"


class ReferralChanged(_Case):
    """A transition of a referral, with its state afterwards."""

    kind = "referral.ReferralChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    referral: UUID
    version: int
    """Counts this referral's transitions."""
    transition: Transition
    state: ReferralState
    route: str
    level: Level
    findings: tuple[FindingCode, ...]
    finding: UUID | None
    """The person's report it came from; null if the finding was derived from facts."""
    item: str | None
    """The item of the list that the referral concerns, if any."""
    from_unit: str
    """The unit that sent the referral."""
    to_unit: str
    """The unit that must act."""
    previous_unit: str | None = None
    """returned, rerouted: the unit that had it before."""
    right_unit: str | None = None
    """returned: the responsible unit according to the unit that returned it. A person decides."""
    inform: tuple[str, ...] = ()
    """Units that are informed without a referral of their own."""
    township: str | None
    """The child's township, a 9-digit code."""
    whitelist: tuple[IdentityField, ...]
    """The identity fields that may be disclosed to the receiving unit."""
    sent_at: datetime
    accept_by: datetime | None
    """The due time of the acceptance; null if the level sets none."""
    result_by: datetime | None
    """The due time of the result; null if the level sets none."""
    provisional: bool = False
    """True if a due date lies in a year whose working-day calendar is not published yet; it may change."""
    overdue: Literal["accept", "result", "phone_report", "confirm"] | None = None
    """escalated: the due date that was missed."""
    call_first: bool
    """Whether a telephone call must come before the written referral."""
    phone_by: datetime | None = None
    """The due time for recording that call."""
    phone_reported: bool
    """Whether that call has been recorded."""
    reason: ReturnReason | None = None
    cause: str | None = None
    """The cause if no person chose one: ``no_longer_shown``, ``finding_added``, ``level_raised``, ``shown_again``,
    ``sent_again``, ``returned_too_often``, ``refused_by_guardian``, ``not_reached``, ``no_restricted_queue``,
    ``township_unknown``, ``no_such_route``, ``no_such_unit``, ``calendar_published``."""
    result: Result | None = None
    reporter_unit: str | None = None
    """The unit that reported last."""
    reporters: tuple[str, ...] = ()
    """All units that reported. Each must be informed of the result."""
    reporter_informed: bool = False
    """Whether every reporter has been informed."""
    actor_unit: str | None
    """The unit whose person acted; null if time caused the transition."""
    actor_role: str | None
    """The role of that person."""
    escalated_to: str | None = None
    """escalated: the unit it was escalated to."""


class ProposalMade(_Case):
    """A rule suggests a referral or ledger change. The township decides before the due time, or it is escalated."""

    kind = "referral.ProposalMade.v1"
    topic: ClassVar[str] = "referral.case.v1"

    proposal: UUID
    subject: Literal["referral", "ledger", "ledger_closing"]
    unit: str
    """The unit that must decide."""
    route: str | None
    level: Level | None
    findings: tuple[FindingCode, ...] = ()
    ledger_reasons: tuple[LedgerReason, ...] = ()
    """The grounds on which the child may enter the ledger."""
    township: str | None
    decide_by: datetime
    """The due time of the decision."""


class ProposalEnded(_Case):
    """A proposal was decided, escalated, or withdrawn because the facts no longer show it."""

    kind = "referral.ProposalEnded.v1"
    topic: ClassVar[str] = "referral.case.v1"

    proposal: UUID
    subject: Literal["referral", "ledger", "ledger_closing"]
    outcome: Literal["confirmed", "declined", "escalated", "no_longer_shown"]
    unit: str
    actor_unit: str | None
    actor_role: str | None
    escalated_to: str | None = None


class LedgerEntryChanged(_Case):
    """A person opened or closed a child's entry on the key-care ledger, or its grounds changed."""

    kind = "referral.LedgerEntryChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    change: Literal["opened", "changed", "closed"]
    reasons: tuple[LedgerReason, ...]
    unit: str
    township: str | None
    actor_unit: str
    actor_role: str


class DutyChanged(_Case):
    """A duty (monthly contact, quarterly or first visit) was created, reminded of, fulfilled, missed or cancelled."""

    kind = "referral.DutyChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    duty: UUID
    duty_kind: DutyKind
    change: Literal["created", "reminded", "fulfilled", "missed", "fulfilled_late", "cancelled"]
    period: str
    """The period of the duty: a month (``2026-11``) or quarter (``2026Q4``)."""
    due_on: date
    """The last day on which the duty is fulfilled in time."""
    provisional: bool = False
    """True if ``due_on`` lies in a year whose working-day calendar is not published yet; it may change."""
    unit: str
    """The unit that must fulfil the duty."""
    township: str | None


class ReferralActionRefused(_Case):
    """Referral refused an action that intake had accepted; notify informs the unit of the reason."""

    kind = "referral.ActionRefused.v1"
    topic: ClassVar[str] = "referral.case.v1"

    unit: str
    ce_id: UUID
    verb: Verb
    referral: UUID | None
    code: str
    """Why, such as ``not_yours``, ``illegal_move``, ``unknown_referral`` or ``reporter_not_informed``."""
    state: ReferralState | None = None
    """The state of the referral, if the action named one."""


class QueueEntry(Event):
    """One referral as its agency sees it. The queue topic is a table, compacted by referral.

    A referral that has been reassigned or closed gets a last entry that says so; its tombstone follows on the next day.
    """

    kind = "referral.QueueEntry.v1"
    topic: ClassVar[str] = "referral.queue.{unit}.v1"

    unit: str
    restricted: bool
    referral: UUID
    child: UUID
    version: int
    """Counts the entries of this referral; the highest is current."""
    state: ReferralState
    assigned: bool
    """False if it was reassigned, withdrawn or closed, so that this unit has nothing left to do."""
    route: str
    title: str
    """The route's title, in Chinese."""
    level: Level
    findings: tuple[FindingCode, ...]
    item: str | None
    expects: str
    """What the unit is expected to do, in Chinese."""
    basis: tuple[Basis, ...]
    from_unit: str
    """The unit that sent the referral."""
    township: str | None
    sent_at: datetime
    accept_by: datetime | None
    result_by: datetime | None
    provisional: bool = False
    """True if a due date lies in a year whose working-day calendar is not published yet; it may change."""
    call_first: bool
    hotlines: tuple[str, ...] = ()
    """The numbers to call first."""
    phone_reported: bool
    disclosure: bool
    """Whether the child's identity is on the unit's disclosure topic under the same key."""
    deleted: bool = False
    """True only in the tombstone, which has no value."""

    @property
    def key(self) -> str:
        return str(self.referral)

    @property
    def topic_name(self) -> str:
        return f"referral.queue.{self.unit}.restricted.v1" if self.restricted else f"referral.queue.{self.unit}.v1"

    @property
    def tombstone(self) -> bool:
        return self.deleted
