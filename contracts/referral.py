"""Said by referral: every risk and duty is somebody's, with a clock, until it is done."""

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
    """The text a referral rests on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    place: str
    phrase: str


class _Case(Event):
    """Keyed by child, in order; restricted matters travel on a topic of their own."""

    child: UUID
    restricted: bool
    on: date

    @property
    def key(self) -> str:
        return str(self.child)

    @property
    def topic_name(self) -> str:
        return "referral.restricted.v1" if self.restricted else "referral.case.v1"


class ReferralChanged(_Case):
    """Something happened to a referral; its state afterwards."""

    kind = "referral.ReferralChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    referral: UUID
    version: int
    """Counts this referral's moves."""
    transition: Transition
    state: ReferralState
    route: str
    level: Level
    findings: tuple[FindingCode, ...]
    finding: UUID | None
    """The person's finding it came from; None: derived from facts."""
    item: str | None
    from_unit: str
    to_unit: str
    previous_unit: str | None = None
    """returned, rerouted: who had it."""
    right_unit: str | None = None
    """returned: who should have it, by the word of the unit that returned it. A person decides."""
    inform: tuple[str, ...] = ()
    township: str | None
    whitelist: tuple[IdentityField, ...]
    sent_at: datetime
    accept_by: datetime | None
    result_by: datetime | None
    provisional: bool = False
    """Counted into a year whose working days nobody has published yet: these clocks may move."""
    overdue: Literal["accept", "result", "phone_report", "confirm"] | None = None
    """escalated: which clock ran out."""
    call_first: bool
    phone_by: datetime | None = None
    """Until when the call that comes first is to be recorded."""
    phone_reported: bool
    reason: ReturnReason | None = None
    cause: str | None = None
    """Why, where no person chose a reason: ``no_longer_shown``, ``finding_added``, ``level_raised``, ``shown_again``,
    ``sent_again``, ``returned_too_often``, ``refused_by_guardian``, ``not_reached``, ``no_restricted_queue``,
    ``township_unknown``, ``no_such_route``, ``no_such_unit``, ``calendar_published``."""
    result: Result | None = None
    reporter_unit: str | None = None
    """Who reported last."""
    reporters: tuple[str, ...] = ()
    """Every unit that reported: each is owed word of the result."""
    reporter_informed: bool = False
    actor_unit: str | None
    """None: the clock."""
    actor_role: str | None
    escalated_to: str | None = None


class ProposalMade(_Case):
    """A rule suggests; the township confirms within the clock, or the county is told."""

    kind = "referral.ProposalMade.v1"
    topic: ClassVar[str] = "referral.case.v1"

    proposal: UUID
    subject: Literal["referral", "ledger", "ledger_closing"]
    unit: str
    route: str | None
    level: Level | None
    findings: tuple[FindingCode, ...] = ()
    ledger_reasons: tuple[LedgerReason, ...] = ()
    township: str | None
    decide_by: datetime


class ProposalEnded(_Case):
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
    """The key-care ledger: a child's entry opened, changed its grounds, or closed (by a person only)."""

    kind = "referral.LedgerEntryChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    change: Literal["opened", "changed", "closed"]
    reasons: tuple[LedgerReason, ...]
    unit: str
    township: str | None
    actor_unit: str
    actor_role: str


class DutyChanged(_Case):
    """A monthly contact or quarterly visit: created, reminded, fulfilled or missed."""

    kind = "referral.DutyChanged.v1"
    topic: ClassVar[str] = "referral.case.v1"

    duty: UUID
    duty_kind: DutyKind
    change: Literal["created", "reminded", "fulfilled", "missed", "fulfilled_late", "cancelled"]
    period: str
    """``2026-11`` or ``2026Q4``."""
    due_on: date
    provisional: bool = False
    """Counted into a year whose working days nobody has published yet: it may move, and is reminded of when it does."""
    unit: str
    township: str | None


class ReferralActionRefused(_Case):
    """An action that intake let in but referral cannot do: notify answers the unit with the reason."""

    kind = "referral.ActionRefused.v1"
    topic: ClassVar[str] = "referral.case.v1"

    unit: str
    ce_id: UUID
    verb: Verb
    referral: UUID | None
    code: str
    """``not_yours``, ``illegal_move``, ``unknown_referral``, ``unknown_proposal``, ``reporter_not_informed`` ..."""
    state: ReferralState | None = None


class QueueEntry(Event):
    """One referral as its agency sees it: the queue is a table, compacted by referral.

    A moved-on or closed referral says so in a last entry; its tombstone follows at the next turn of the day.
    """

    kind = "referral.QueueEntry.v1"
    topic: ClassVar[str] = "referral.queue.{unit}.v1"

    unit: str
    restricted: bool
    referral: UUID
    child: UUID
    version: int
    """Take the newest."""
    state: ReferralState
    assigned: bool
    """False: it went to another unit, was withdrawn or is closed; nothing is left to do."""
    route: str
    title: str
    level: Level
    findings: tuple[FindingCode, ...]
    item: str | None
    expects: str
    basis: tuple[Basis, ...]
    from_unit: str
    township: str | None
    sent_at: datetime
    accept_by: datetime | None
    result_by: datetime | None
    provisional: bool = False
    """Counted into a year whose working days nobody has published yet: these clocks may move."""
    call_first: bool
    hotlines: tuple[str, ...] = ()
    phone_reported: bool
    disclosure: bool
    """What you may know of the child is on your disclosure topic under the same key."""
    deleted: bool = False

    @property
    def key(self) -> str:
        return str(self.referral)

    @property
    def topic_name(self) -> str:
        return f"referral.queue.{self.unit}.restricted.v1" if self.restricted else f"referral.queue.{self.unit}.v1"

    @property
    def tombstone(self) -> bool:
        return self.deleted
