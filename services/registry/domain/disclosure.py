"""Which unit may know a child's identity: the one that has the referral, until it is closed."""

from dataclasses import dataclass
from uuid import UUID

from contracts.vocabulary import ReferralState

_HELD = frozenset(
    {ReferralState.SENT, ReferralState.ACCEPTED, ReferralState.IN_PROGRESS, ReferralState.RESULT_REPORTED}
)
"""States in which the unit it was sent to still works on it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The unit that has a referral, and the child it is about."""

    child: UUID
    version: int
    """Version of the referral; an older transition that arrives late changes nothing."""
    unit: str | None
    """None if no unit has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a transition of a referral means for disclosure."""

    holding: Holding
    withdraws_from: str | None
    """The unit that may no longer know."""
    discloses: bool
    """The identity must be sealed for the holder."""


def next_step(before: Holding | None, child: UUID, version: int, state: ReferralState, to_unit: str) -> Step | None:
    """Return the step for a transition, or None if the transition is older than what is known."""
    if before is not None and version <= before.version:
        return None
    unit = to_unit if state in _HELD else None
    had = before.unit if before is not None else None
    return Step(
        Holding(child, version, unit),
        withdraws_from=had if had != unit else None,
        discloses=unit is not None and (before is None or had != unit or before.child != child),
    )
