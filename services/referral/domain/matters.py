"""All that referral keeps of one child: loaded once for a batch, decided on event by event, saved once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from contracts.vocabulary import Answer, DutyKind, FindingCode
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Gap, Key
from services.referral.domain.ledger import Ledger, may_enter, reasons_of
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import CLOSED, Referral


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What the latest assessment says of a child, as far as referral needs it."""

    id: UUID
    version: int = -1
    assessment: int = -1
    township: str | None = None
    migrant: Answer | None = None
    statistical: Answer | None = None
    absorbed_by: UUID | None = None
    turn: bool = False
    """The next turn of the day has to look at this child."""


@dataclass(slots=True)
class Matters:
    """One child's matters. Its values are frozen; they are replaced here."""

    child: Child
    referrals: dict[UUID, Referral] = field(default_factory=dict)
    gaps: dict[Key, Gap] = field(default_factory=dict)
    proposals: dict[UUID, Proposal] = field(default_factory=dict)
    ledger: Ledger | None = None
    duties: dict[UUID, Duty] = field(default_factory=dict)

    def in_order(self) -> list[Referral]:
        """Referrals, oldest first."""
        return sorted(self.referrals.values(), key=lambda referral: (referral.sent_at, referral.id))

    def open_on(self, route: str, code: FindingCode | None = None) -> Referral | None:
        """The oldest open referral on a route; with a code: that speaks of it."""
        for referral in self.in_order():
            if referral.open and referral.route == route and (code is None or code in referral.findings):
                return referral
        return None

    def closed_on(self, route: str, code: FindingCode | None = None) -> Referral | None:
        """The one closed last on a route; with a code: that spoke of it."""
        found = [
            referral
            for referral in self.in_order()
            if referral.state is CLOSED and referral.route == route and (code is None or code in referral.findings)
        ]
        return max(found, key=lambda referral: str(referral.closed_at), default=None)

    def undecided(self) -> list[Proposal]:
        return sorted(
            (proposal for proposal in self.proposals.values() if proposal.undecided),
            key=lambda proposal: (proposal.decide_by, proposal.id),
        )

    def known_grounds(self) -> frozenset[str]:
        """Grounds on which a ledger entry has been proposed before, whatever was decided."""
        return frozenset(
            ground for proposal in self.proposals.values() if proposal.what == "ledger" for ground in proposal.grounds
        )

    def new_grounds(self, grounds: Iterable[tuple[str, FindingCode]]) -> list[tuple[str, FindingCode]]:
        """Of these grounds: those for the ledger, not proposed before, that the child may enter by and has not yet."""
        known = self.known_grounds()
        standing = set(self.ledger.reasons) if self.ledger is not None and self.ledger.open else set()
        return [
            (ground, code)
            for ground, code in grounds
            if ground not in known
            for reason in reasons_of((code,))
            if reason not in standing and may_enter(reason, self.child.migrant, self.child.statistical)
        ]

    def outstanding(self, *kinds: DutyKind) -> list[Duty]:
        return sorted(
            (duty for duty in self.duties.values() if duty.outstanding and (not kinds or duty.kind in kinds)),
            key=lambda duty: (duty.due_on, duty.kind, duty.id),
        )

    @property
    def on_ledger(self) -> Ledger | None:
        return self.ledger if self.ledger is not None and self.ledger.open else None
