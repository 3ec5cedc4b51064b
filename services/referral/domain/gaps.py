"""What the facts show of one child, episode by episode: when it becomes a matter, and when it stops being one.

An episode lasts from the day a finding is shown until a day turns on which it is not. Shown again within the day, it
is the same episode: what a person has declined stays declined, and what was referred is not referred twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from contracts.vocabulary import FindingCode, Level
from services.referral.domain.rules import URGENT

Key = tuple[str, FindingCode]
"""Route and finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A finding that the latest assessment derives from facts."""

    route: str
    code: FindingCode
    level: Level
    item: str | None
    confirm_first: bool

    @property
    def needs_confirming(self) -> bool:
        """L0 and L1 always go to a person first, whatever the route says."""
        return self.confirm_first or self.level in URGENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A finding derived for one child: as it stands, and what has become of it."""

    child: UUID
    route: str
    code: FindingCode
    level: Level
    item: str | None
    needs_confirming: bool
    shown: bool
    over: bool
    """The episode has ended: a day turned on which it was not shown."""
    turn: bool
    """The next turn of the day has to look at it."""
    episode: int
    story: UUID
    proposals: int = 0
    """Proposals made in this episode."""
    proposal: UUID | None = None
    """The open one."""
    settled_level: Level | None = None
    """A person confirmed or declined it in this episode, at this level."""
    referral: UUID | None = None

    @property
    def key(self) -> Key:
        return self.route, self.code

    @property
    def ground(self) -> str:
        """Names this episode as a ground for the key-care ledger."""
        return f"gap:{self.route}/{self.code}#{self.episode}"

    @property
    def to_propose(self) -> bool:
        """A person must look at it: for the first time, or because it has become more urgent since."""
        if not (self.shown and self.needs_confirming) or self.proposal is not None:
            return False
        return self.settled_level is None or self.level < self.settled_level


def compare(child: UUID, known: Mapping[Key, Gap], shown: Iterable[Shown], story: UUID) -> tuple[Gap, ...]:
    """The gaps that change when an assessment shows these findings, in order of route and code."""
    now: dict[Key, Shown] = {}
    for finding in shown:
        key = (finding.route, finding.code)
        if key not in now or finding.level < now[key].level:
            now[key] = finding
    changed = []
    for key in sorted(known.keys() | now.keys()):
        before = known.get(key)
        if key in now and before is not None and _stands(before, now[key]):
            continue
        after = _appears(child, before, now[key], story) if key in now else _vanishes(before)
        if after is not None:
            changed.append(after)
    return tuple(changed)


def _stands(gap: Gap, finding: Shown) -> bool:
    """Shown as it was shown before: no news."""
    seen = (gap.level, gap.item, gap.needs_confirming)
    return gap.shown and seen == (finding.level, finding.item, finding.needs_confirming)


def turned(gap: Gap) -> Gap:
    """The day has turned and looked at it."""
    return replace(gap, turn=False, over=not gap.shown)


def _appears(child: UUID, before: Gap | None, finding: Shown, story: UUID) -> Gap:
    if before is None or before.over:
        return Gap(
            child=child,
            route=finding.route,
            code=finding.code,
            level=finding.level,
            item=finding.item,
            needs_confirming=finding.needs_confirming,
            shown=True,
            over=False,
            turn=True,
            episode=1 if before is None else before.episode + 1,
            story=story,
        )
    eased = before.needs_confirming and not finding.needs_confirming
    return replace(
        before,
        level=finding.level,
        item=finding.item,
        needs_confirming=finding.needs_confirming,
        shown=True,
        turn=before.turn or not before.shown or eased,
    )


def _vanishes(before: Gap | None) -> Gap | None:
    if before is None or not before.shown:
        return None
    return replace(before, shown=False, turn=True)
