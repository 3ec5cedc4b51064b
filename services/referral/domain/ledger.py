"""The key-care ledger (重点关爱服务对象信息台账): reasons for an entry, who may enter, conditions of closing.

Sources: 石民函〔2025〕3号 （二), which names five reasons; the family's own request; policy A2-1, A2-2, G8, G9, G12.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from contracts.vocabulary import Answer, FindingCode, LedgerReason
from services.referral.domain.referrals import TransitionRefused

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
"""Reasons that come from restricted routes and never appear on the ordinary topics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """The entry of a child."""

    child: UUID
    open: bool
    reasons: tuple[LedgerReason, ...]
    unit: str
    township: str | None
    number: int
    """Counts the child's entries: a child may enter again."""
    opened_on: date
    changed_on: date
    """When it was opened or its reasons last changed: closing requires a later visit."""
    last_contact_on: date | None = None
    last_visit_on: date | None = None
    closed_on: date | None = None
    contact_from: date | None = None
    """The first day of the next period for which a contact duty is created."""
    visit_from: date | None = None

    @property
    def restricted_only(self) -> bool:
        """Whether all its reasons are restricted, so that it never appears on the ordinary topics."""
        return not open_reasons(self.reasons)


def sorted_reasons(reasons: Iterable[LedgerReason]) -> tuple[LedgerReason, ...]:
    """Return each reason once, in the order of the vocabulary."""
    present = frozenset(reasons)
    return tuple(reason for reason in LedgerReason if reason in present)


def reasons_of(findings: Iterable[FindingCode]) -> tuple[LedgerReason, ...]:
    """Return the reasons for an entry that these findings are."""
    return sorted_reasons(REASON_OF[code] for code in findings if code in REASON_OF)


def may_enter(reason: LedgerReason, migrant: Answer | None, statistical: Answer | None) -> bool:
    """Return whether a child may enter: migrant children, and on request also those who moved within the county.

    An unknown answer does not exclude a child (G8): a vagrant child has no file yet.
    """
    if migrant is not Answer.NO:
        return True
    return reason is LedgerReason.REQUEST and statistical is not Answer.NO


def open_reasons(reasons: Iterable[LedgerReason]) -> tuple[LedgerReason, ...]:
    """Return the reasons that may appear on the ordinary topics."""
    return tuple(reason for reason in reasons if reason not in RESTRICTED)


def check_closing(entry: LedgerEntry | None, *, reason_given: bool, already_requested: bool) -> None:
    """Check the conditions of requesting that an entry be closed: a reason, and a visit since its last change (G12).

    Raises:
        TransitionRefused: ``not_on_ledger``, ``reason_missing``, ``visit_missing`` or ``asked_already``.
    """
    if entry is None or not entry.open:
        raise TransitionRefused("not_on_ledger")
    if not reason_given:
        raise TransitionRefused("reason_missing")
    if entry.last_visit_on is None or entry.last_visit_on < entry.changed_on:
        raise TransitionRefused("visit_missing")
    if already_requested:
        raise TransitionRefused("asked_already")
