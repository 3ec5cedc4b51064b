"""All that referral keeps of one child: loaded once for a batch, decided on event by event, saved once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from contracts.vocabulary import Answer, DutyKind, FindingCode, LedgerReason
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Gap, Key
from services.referral.domain.ledger import Ledger, may_enter, reasons_of
from services.referral.domain.proposals import Proposal
from services.referral.domain.referral import CLOSED, Referral

Ground = tuple[str, FindingCode]
"""What an entry on the ledger would rest on, by name, and what was found there."""


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
    person_grounds: bool = False
    """A person's finding speaks for an entry on the key-care ledger."""
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

    def heard_of(self, finding: UUID, route: str) -> bool:
        """Whether this finding has been referred or proposed on this route: whoever repeats it adds nothing."""
        return any(matter.route == route and finding in matter.sources for matter in self.referrals.values()) or any(
            asked.route == route and asked.finding == finding for asked in self.proposals.values()
        )

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
        return max(found, key=lambda referral: referral.closed_at or referral.sent_at, default=None)

    def undecided(self) -> list[Proposal]:
        return sorted(
            (proposal for proposal in self.proposals.values() if proposal.undecided),
            key=lambda proposal: (proposal.decide_by, proposal.id),
        )

    def new_grounds(self, grounds: Iterable[Ground]) -> list[tuple[str, LedgerReason]]:
        """Of these grounds, and as reasons: not asked about before, that the child may enter by and has not yet.

        What was no longer shown before anybody decided may be asked about again.
        """
        asked = {
            (ground, reason)
            for proposal in self.proposals.values()
            if proposal.what == "ledger" and proposal.state != "no_longer_shown"
            for ground in proposal.grounds
            for reason in proposal.ledger_reasons
        }
        standing = self.on_ledger.reasons if self.on_ledger is not None else ()
        return [
            (ground, reason)
            for ground, code in grounds
            for reason in reasons_of((code,))
            if (ground, reason) not in asked and reason not in standing and self.may_enter(reason)
        ]

    def may_enter(self, reason: LedgerReason) -> bool:
        return may_enter(reason, self.child.migrant, self.child.statistical)

    def reported_grounds(self) -> list[Ground]:
        """What persons have found of this child, and nobody has finished with."""
        found = [
            (f"finding:{source}", code)
            for matter in self.in_order()
            if matter.open
            for source in matter.sources
            for code in matter.findings
        ]
        return found + [
            (f"finding:{proposal.finding}", code)
            for proposal in self.undecided()
            if proposal.finding is not None
            for code in proposal.findings
        ]

    def outstanding(self, *kinds: DutyKind) -> list[Duty]:
        """What is owed to the child's latest entry: what an earlier one's closing left missed, nobody owes any more."""
        return sorted(
            (
                duty
                for duty in self.duties.values()
                if duty.outstanding
                and (not kinds or duty.kind in kinds)
                and (self.ledger is None or duty.due_on >= self.ledger.opened_on)
            ),
            key=lambda duty: (duty.due_on, duty.kind, duty.id),
        )

    @property
    def on_ledger(self) -> Ledger | None:
        return self.ledger if self.ledger is not None and self.ledger.open else None
