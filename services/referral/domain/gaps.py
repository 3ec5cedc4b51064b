"""Service gaps: what the facts show of one child, episode by episode.

An episode lasts from the day on which a finding is current until a day is completed on which it is not. A finding that
is current again within the day belongs to the same episode: what a person has declined stays declined, and what was
referred is not referred twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from contracts.vocabulary import FindingCode, Level
from services.referral.domain.rules import URGENT

Key = tuple[str, FindingCode]
"""The key of a gap among those of one child: route and finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding that the latest assessment derives from facts."""

    route: str
    code: FindingCode
    level: Level
    item: str | None
    confirm_first: bool

    @property
    def needs_confirming(self) -> bool:
        """Whether a person must confirm it before it is referred. L0 and L1 always require that."""
        return self.confirm_first or self.level in URGENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceGap:
    """A finding derived from one child's facts: as last assessed, and what was done about it."""

    child: UUID
    route: str
    code: FindingCode
    level: Level
    item: str | None
    needs_confirming: bool
    current: bool
    """The last assessment contains the finding."""
    episode_over: bool
    """The episode has ended: a day was completed on which the finding was not current."""
    pending: bool
    """The next completed day must process it."""
    episode: int
    correlation: UUID
    proposals: int = 0
    """Proposals made in this episode."""
    proposal: UUID | None = None
    """The undecided proposal."""
    decided_level: Level | None = None
    """The level at which a person confirmed or declined it in this episode."""
    referral: UUID | None = None

    @property
    def key(self) -> Key:
        return self.route, self.code

    @property
    def ground(self) -> str:
        """The name of this episode as a ground for the key-care ledger."""
        return f"gap:{self.route}/{self.code}#{self.episode}"

    @property
    def needs_proposal(self) -> bool:
        """Whether to propose it to a person: for the first time, or because it has become more urgent."""
        if not (self.current and self.needs_confirming) or self.proposal is not None:
            return False
        return self.decided_level is None or self.level < self.decided_level


def compare(
    child: UUID, previous: Mapping[Key, ServiceGap], findings: Iterable[ShownFinding], correlation: UUID
) -> tuple[ServiceGap, ...]:
    """Return the gaps that change when an assessment contains these findings, in order of route and code."""
    by_key: dict[Key, ShownFinding] = {}
    for finding in findings:
        key = (finding.route, finding.code)
        if key not in by_key or finding.level < by_key[key].level:
            by_key[key] = finding
    changed = []
    for key in sorted(previous.keys() | by_key.keys()):
        before = previous.get(key)
        if key in by_key and before is not None and _is_unchanged(before, by_key[key]):
            continue
        after = _appeared(child, before, by_key[key], correlation) if key in by_key else _vanished(before)
        if after is not None:
            changed.append(after)
    return tuple(changed)


def _is_unchanged(gap: ServiceGap, finding: ShownFinding) -> bool:
    """Return whether the finding is current exactly as before."""
    before = (gap.level, gap.item, gap.needs_confirming)
    return gap.current and before == (finding.level, finding.item, finding.needs_confirming)


def processed(gap: ServiceGap) -> ServiceGap:
    """Return the gap after a completed day has processed it."""
    return replace(gap, pending=False, episode_over=not gap.current)


def _appeared(child: UUID, before: ServiceGap | None, finding: ShownFinding, correlation: UUID) -> ServiceGap:
    if before is None or before.episode_over:
        return ServiceGap(
            child=child,
            route=finding.route,
            code=finding.code,
            level=finding.level,
            item=finding.item,
            needs_confirming=finding.needs_confirming,
            current=True,
            episode_over=False,
            pending=True,
            episode=1 if before is None else before.episode + 1,
            correlation=correlation,
        )
    eased = before.needs_confirming and not finding.needs_confirming
    return replace(
        before,
        level=finding.level,
        item=finding.item,
        needs_confirming=finding.needs_confirming,
        current=True,
        pending=before.pending or not before.current or eased,
    )


def _vanished(before: ServiceGap | None) -> ServiceGap | None:
    if before is None or not before.current:
        return None
    return replace(before, current=False, pending=True)
