"""Who may know who a child is, and for how long: whoever has the referral, until it is done."""

from dataclasses import dataclass
from uuid import UUID

from contracts.vocabulary import ReferralState

_HELD = frozenset(
    {ReferralState.SENT, ReferralState.ACCEPTED, ReferralState.IN_PROGRESS, ReferralState.RESULT_REPORTED}
)
"""States in which the unit it was sent to still works on it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Which unit has a referral, about which child."""

    child: UUID
    version: int
    """Of the referral; an older move that comes late changes nothing."""
    unit: str | None
    """None: nobody."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a move of a referral means for disclosure."""

    holding: Holding
    takes_back: str | None
    """The unit that may no longer know."""
    gives: bool
    """The holder is told who the child is, anew."""


def after(before: Holding | None, child: UUID, version: int, state: ReferralState, to_unit: str) -> Step | None:
    """The step that a move brings. None: it is older than what is known."""
    if before is not None and version <= before.version:
        return None
    unit = to_unit if state in _HELD else None
    had = before.unit if before is not None else None
    return Step(
        Holding(child, version, unit),
        takes_back=had if had != unit else None,
        gives=unit is not None and (before is None or had != unit or before.child != child),
    )
