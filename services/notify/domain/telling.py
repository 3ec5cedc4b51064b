"""Who is told what when something happens, and whose turn it is afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.vocabulary import DutyKind, Level, Move, ReferralState, ReturnReason
from services.notify.domain.wording import Word

MatterKind = Literal["referral", "proposal", "duty", "question"]
Turn = Literal["accept", "answer", "check", "decide", "question", "contact", "visit", "first_visit"]
"""What a unit owes in a matter."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence to one unit."""

    unit: str
    template: str
    words: Mapping[str, Word] = field(default_factory=dict)
    call: bool = False
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ring:
    """The duty officer of a unit must be reached now."""

    unit: str
    what: Literal["l0", "escalated"]
    template: str
    words: Mapping[str, Word] = field(default_factory=dict)
    call: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """Whose turn it is in a matter that is open."""

    unit: str
    turn: Turn
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Offices:
    """The units that the county names once."""

    lead: str
    duty: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A referral's move, as far as it matters to whom is told."""

    move: Move
    state: ReferralState
    level: Level
    to_unit: str
    from_unit: str
    previous_unit: str | None
    inform: tuple[str, ...]
    reporter_unit: str | None
    actor_unit: str | None
    escalated_to: str | None
    why: str | None
    """A code: the clock that ran out, or what else made the move."""
    reason: ReturnReason | None
    accept_by: datetime | None
    result_by: datetime | None
    phone_reported: bool


def of_move(moved: Moved, offices: Offices) -> list[Line]:
    """The lines of one move. An L3 matter makes none: its unit hears of it in one bundle a month."""
    if moved.level is Level.L3:
        return []
    return [
        line for line in _of_move(moved, offices) if line.unit != moved.actor_unit or line.template in _EVEN_ITS_OWN
    ]


_EVEN_ITS_OWN = frozenset({"referral.sent", "referral.reopened", "referral.call_first", "referral.call_again"})
"""Told even to the unit that did it: the work is its own, or the call is still to be made."""


def _of_move(moved: Moved, offices: Offices) -> Iterator[Line]:
    to, sender, call = moved.to_unit, moved.from_unit, moved.level is Level.L0
    match moved.move:
        case Move.SENT if moved.why == "finding_added":
            yield Line(to, "referral.added", {"level": moved.level}, call)
        case Move.SENT | Move.REROUTED:
            words: dict[str, Word] = {"level": moved.level, "due": moved.accept_by}
            yield Line(to, "referral.sent", words, call, moved.accept_by)
            if moved.move is Move.REROUTED and moved.previous_unit not in (None, to):
                yield Line(str(moved.previous_unit), "referral.taken_over", {"unit": to})
            if moved.move is Move.SENT:
                for unit in dict.fromkeys(moved.inform):
                    if unit != to:
                        yield Line(unit, "referral.inform", {"unit": to}, call)
                if call and not moved.phone_reported:
                    for unit in dict.fromkeys((moved.reporter_unit or sender, sender)):
                        yield Line(unit, "referral.call_first", {"unit": to}, call)
        case Move.ACCEPTED:
            yield Line(sender, "referral.accepted", {"unit": to, "due": moved.result_by}, due=moved.result_by)
        case Move.RETURNED:
            yield Line(sender, "referral.returned", {"unit": moved.previous_unit or to, "reason": moved.reason}, call)
        case Move.ESCALATED:
            above = moved.escalated_to or offices.lead
            yield Line(to, "referral.overdue", {"why": moved.why, "unit": above}, call)
            yield Line(above, "referral.escalated", {"why": moved.why, "unit": to}, call)
        case Move.EXTENDED:
            yield Line(sender, "referral.extended", {"unit": to, "due": moved.result_by}, due=moved.result_by)
        case Move.RESULT_REPORTED:
            yield Line(sender, "referral.result", {"unit": to})
            if moved.reporter_unit not in (None, sender):
                yield Line(str(moved.reporter_unit), "referral.reporter_result")
        case Move.CLOSED:
            yield Line(to, "referral.closed")
        case Move.WITHDRAWN:
            yield Line(to, "referral.withdrawn")
        case Move.REOPENED:
            words = {"level": moved.level, "due": moved.accept_by}
            yield Line(to, "referral.reopened", words, call, moved.accept_by)
        case Move.PHONE_REPORTED:
            if moved.why == "not_reached":
                yield Line(moved.actor_unit or sender, "referral.call_again", call=True)
        case Move.STARTED | Move.REPORTER_INFORMED | Move.HANDED_OVER:
            return


def rings_of_move(moved: Moved, offices: Offices) -> list[Ring]:
    """L0 rings when it goes out; an escalation rings whoever it went to. L3 never rings."""
    goes_out = moved.move is Move.REOPENED or (moved.move is Move.SENT and moved.why != "finding_added")
    if moved.level is Level.L0 and goes_out:
        return [Ring(offices.duty, "l0", "alarm.l0", {"unit": moved.to_unit}, call=True)]
    if moved.move is Move.ESCALATED and moved.level is not Level.L3:
        words: dict[str, Word] = {"unit": moved.to_unit, "level": moved.level, "why": moved.why}
        unit = moved.escalated_to or offices.duty
        return [Ring(unit, "escalated", "alarm.escalated", words, call=moved.level is Level.L0)]
    return []


def owed_in(moved: Moved) -> Owed | None:
    """Whose turn it is after a move; None: the referral is at rest."""
    match moved.state:
        case ReferralState.SENT:
            return Owed(moved.to_unit, "accept", moved.accept_by)
        case ReferralState.ACCEPTED | ReferralState.IN_PROGRESS:
            return Owed(moved.to_unit, "answer", moved.result_by)
        case ReferralState.RETURNED | ReferralState.RESULT_REPORTED:
            return Owed(moved.from_unit, "check", None)
        case ReferralState.DRAFT | ReferralState.CLOSED | ReferralState.WITHDRAWN:
            return None


def watched_by(moved: Moved) -> str | None:
    """An L3 matter that is escalated makes no line: whoever it goes to sees it counted in the month's bundle.

    Empty: nobody watches any more. None: nothing changes.
    """
    if moved.level is not Level.L3:
        return None
    if moved.move is Move.ESCALATED:
        return moved.escalated_to
    return "" if moved.move is Move.REOPENED else None


def of_proposal(
    what: Literal["referral", "ledger", "ledger_closing"], unit: str, level: Level | None, by: datetime
) -> Line:
    """A rule suggests: the unit decides."""
    call = what == "referral" and level is Level.L0
    return Line(unit, f"proposal.{what}", {"level": level or Level.L2, "due": by}, call, by)


def ring_of_proposal(unit: str, level: Level | None, offices: Offices) -> list[Ring]:
    if level is not Level.L0:
        return []
    return [Ring(offices.duty, "l0", "alarm.proposal", {"unit": unit}, call=True)]


def of_late_proposal(
    what: Literal["referral", "ledger", "ledger_closing"], unit: str, escalated_to: str | None, offices: Offices
) -> tuple[list[Line], list[Ring]]:
    """Nobody decided in time: the county is told; and rung, where a child may be at risk."""
    above = escalated_to or offices.lead
    lines = [Line(unit, "proposal.overdue", {"unit": above}), Line(above, "proposal.escalated", {"unit": unit})]
    if what != "referral":
        return lines, []
    return lines, [Ring(escalated_to or offices.duty, "escalated", "alarm.proposal_late", {"unit": unit})]


DUTY_TURNS: dict[DutyKind, Turn] = {
    DutyKind.CONTACT: "contact",
    DutyKind.VISIT: "visit",
    DutyKind.FIRST_VISIT: "first_visit",
}
"""Duties that a digest counts. They make no line of their own before they are missed."""

DUTY_RANK = {"created": 1, "reminded": 2, "missed": 3, "cancelled": 4, "fulfilled": 4, "fulfilled_late": 4}
"""A duty never goes back, whatever order its moves are read in after a merge."""
