"""The key-care ledger (重点关爱服务对象信息台账): why a child stands on it, who may enter, what closing demands.

石民函〔2025〕3号 （二）: five reasons, and the family's own request; policy A2-1, A2-2, G8, G9, G12.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from contracts.vocabulary import Answer, FindingCode, LedgerReason
from services.referral.domain.referral import Refused

REASON_OF: Mapping[FindingCode, LedgerReason] = {
    FindingCode.SUDDEN_HARDSHIP: LedgerReason.FAMILY_HARDSHIP,
    FindingCode.LASTING_HARDSHIP: LedgerReason.FAMILY_HARDSHIP,
    FindingCode.DISABILITY_UNSERVED: LedgerReason.DISABILITY,
    FindingCode.ABANDONED_OR_LONG_UNATTENDED: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.GUARDIAN_FAILS_DUTY_SERIOUSLY: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.GUARDIAN_MISSING: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.NO_GUARDIAN: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.UNATTENDED: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.ORPHAN_OR_UNSUPPORTED: LedgerReason.GUARDIANSHIP_ABSENT,
    FindingCode.RUNAWAY_OR_VAGRANT: LedgerReason.VAGRANCY,
    FindingCode.ORGANISED_BEGGING: LedgerReason.VAGRANCY,
    FindingCode.BEHAVIOUR_CONCERN: LedgerReason.MIND_OR_BEHAVIOUR,
    FindingCode.MENTAL_DISTRESS: LedgerReason.MIND_OR_BEHAVIOUR,
    FindingCode.MENTAL_DANGER: LedgerReason.MIND_OR_BEHAVIOUR,
    FindingCode.HELP_REQUESTED: LedgerReason.REQUEST,
}

RESTRICTED = frozenset({LedgerReason.GUARDIANSHIP_ABSENT, LedgerReason.VAGRANCY, LedgerReason.MIND_OR_BEHAVIOUR})
"""Reasons that come from restricted routes: no reader of the ordinary topics learns of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A child's entry."""

    child: UUID
    open: bool
    reasons: tuple[LedgerReason, ...]
    unit: str
    township: str | None
    entry: int
    """Counts the child's entries: a child may come back."""
    opened_on: date
    changed_on: date
    """Opened, or its grounds changed: the visit that closing demands is younger."""
    last_contact_on: date | None = None
    last_visit_on: date | None = None
    closed_on: date | None = None
    contact_from: date | None = None
    """The first day of the next period for which a contact falls due."""
    visit_from: date | None = None

    @property
    def hidden(self) -> bool:
        """No reader of the ordinary topics knows of it: restricted reasons alone hold it."""
        return not open_reasons(self.reasons)


def in_order(reasons: Iterable[LedgerReason]) -> tuple[LedgerReason, ...]:
    """Each once, in the order of the vocabulary."""
    found = frozenset(reasons)
    return tuple(reason for reason in LedgerReason if reason in found)


def reasons_of(findings: Iterable[FindingCode]) -> tuple[LedgerReason, ...]:
    """The entry reasons that these findings are."""
    return in_order(REASON_OF[code] for code in findings if code in REASON_OF)


def may_enter(reason: LedgerReason, migrant: Answer | None, statistical: Answer | None) -> bool:
    """Whom the ledger is for: migrant children, and on request also those who moved inside the county.

    Not knowing is no bar (G8): a vagrant child has no file yet.
    """
    if migrant is not Answer.NO:
        return True
    return reason is LedgerReason.REQUEST and statistical is not Answer.NO


def open_reasons(reasons: Iterable[LedgerReason]) -> tuple[LedgerReason, ...]:
    """Those that may be read on the ordinary topics."""
    return tuple(reason for reason in reasons if reason not in RESTRICTED)


def check_closing(ledger: Ledger | None, *, reason_given: bool, asked_already: bool) -> None:
    """Closing is asked for with a reason and after a visit; a second person agrees (G12).

    Raises:
        Refused: ``not_on_ledger``, ``reason_missing``, ``visit_missing`` or ``asked_already``.
    """
    if ledger is None or not ledger.open:
        raise Refused("not_on_ledger")
    if not reason_given:
        raise Refused("reason_missing")
    if ledger.last_visit_on is None or ledger.last_visit_on < ledger.changed_on:
        raise Refused("visit_missing")
    if asked_already:
        raise Refused("asked_already")
