"""Everything referral keeps about one child: loaded once for a batch, decided on event by event, saved once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from contracts.vocabulary import Answer, DutyKind, FindingCode, LedgerReason
from services.referral.domain.duties import Duty
from services.referral.domain.gaps import Key, ServiceGap
from services.referral.domain.ledger import LedgerEntry, may_enter, reasons_of
from services.referral.domain.proposals import Proposal
from services.referral.domain.referrals import CLOSED, Referral

Ground = tuple[str, FindingCode]
"""The name of a ground for a ledger entry, and the finding it consists of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What referral needs of a child's latest assessment."""

    id: UUID
    version: int = -1
    assessment: int = -1
    township: str | None = None
    migrant: Answer | None = None
    statistical: Answer | None = None
    absorbed_by: UUID | None = None
    person_grounds: bool = False
    """A person's finding is a ground for an entry on the key-care ledger."""
    pending: bool = False
    """The next completed day must process this child's gaps and ledger proposals."""


@dataclass(slots=True)
class ChildCase:
    """The case of one child. The values in it are frozen; a change replaces them."""

    child: Child
    referrals: dict[UUID, Referral] = field(default_factory=dict)
    gaps: dict[Key, ServiceGap] = field(default_factory=dict)
    proposals: dict[UUID, Proposal] = field(default_factory=dict)
    entry: LedgerEntry | None = None
    """The child's latest entry on the key-care ledger, open or closed."""
    duties: dict[UUID, Duty] = field(default_factory=dict)

    def has_finding(self, finding: UUID, route: str) -> bool:
        """Return whether this finding has already been referred or proposed on this route."""
        referred = any(referral.route == route and finding in referral.sources for referral in self.referrals.values())
        return referred or any(
            proposal.route == route and proposal.finding == finding for proposal in self.proposals.values()
        )

    def referrals_in_order(self) -> list[Referral]:
        """Return the referrals, oldest first."""
        return sorted(self.referrals.values(), key=lambda referral: (referral.sent_at, referral.id))

    def open_referral_on(self, route: str, code: FindingCode | None = None) -> Referral | None:
        """Return the oldest open referral on a route, or the oldest that names the finding ``code``."""
        for referral in self.referrals_in_order():
            if referral.open and referral.route == route and (code is None or code in referral.findings):
                return referral
        return None

    def last_closed_on(self, route: str, code: FindingCode | None = None) -> Referral | None:
        """Return the referral closed last on a route, or the last that names the finding ``code``."""
        closed = [
            referral
            for referral in self.referrals_in_order()
            if referral.state is CLOSED and referral.route == route and (code is None or code in referral.findings)
        ]
        return max(closed, key=lambda referral: referral.closed_at or referral.sent_at, default=None)

    def undecided_proposals(self) -> list[Proposal]:
        """Return the proposals that await a decision, the most pressing first."""
        return sorted(
            (proposal for proposal in self.proposals.values() if proposal.undecided),
            key=lambda proposal: (proposal.decide_by, proposal.id),
        )

    def new_grounds(self, grounds: Iterable[Ground]) -> list[tuple[str, LedgerReason]]:
        """Return the grounds, each with its reason, that have not been proposed and would let the child enter.

        A ground whose proposal ended as ``no_longer_shown`` may be proposed again.
        """
        proposed = {
            (ground, reason)
            for proposal in self.proposals.values()
            if proposal.subject == "ledger" and proposal.state != "no_longer_shown"
            for ground in proposal.grounds
            for reason in proposal.ledger_reasons
        }
        present = self.current_entry.reasons if self.current_entry is not None else ()
        return [
            (ground, reason)
            for ground, code in grounds
            for reason in reasons_of((code,))
            if (ground, reason) not in proposed and reason not in present and self.may_enter(reason)
        ]

    def may_enter(self, reason: LedgerReason) -> bool:
        """Return whether the child may enter the ledger for this reason."""
        return may_enter(reason, self.child.migrant, self.child.statistical)

    def reported_grounds(self) -> list[Ground]:
        """Return the grounds from persons' findings in open referrals and undecided proposals."""
        referred = [
            (f"finding:{source}", code)
            for referral in self.referrals_in_order()
            if referral.open
            for source in referral.sources
            for code in referral.findings
        ]
        return referred + [
            (f"finding:{proposal.finding}", code)
            for proposal in self.undecided_proposals()
            if proposal.finding is not None
            for code in proposal.findings
        ]

    def outstanding_duties(self, *kinds: DutyKind) -> list[Duty]:
        """Return the outstanding duties of the latest entry, oldest first; all kinds if none is named.

        What was missed when an earlier entry was closed is not owed any more.
        """
        return sorted(
            (
                duty
                for duty in self.duties.values()
                if duty.outstanding
                and (not kinds or duty.kind in kinds)
                and (self.entry is None or duty.due_on >= self.entry.opened_on)
            ),
            key=lambda duty: (duty.due_on, duty.kind, duty.id),
        )

    @property
    def current_entry(self) -> LedgerEntry | None:
        """The open entry on the key-care ledger."""
        return self.entry if self.entry is not None and self.entry.open else None
