"""Who is told what when something happens, and whose turn it is afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.vocabulary import DutyKind, Level, ReferralState, Result, ReturnReason, Transition
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
    provisional: bool = False
    """The calendar of a year is not published yet: the due date may move."""


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

    move: Transition
    state: ReferralState
    level: Level
    to_unit: str
    from_unit: str
    previous_unit: str | None
    inform: tuple[str, ...]
    reporter_unit: str | None
    """Who reported last."""
    reporters: tuple[str, ...]
    """Everybody who reported."""
    actor_unit: str | None
    escalated_to: str | None
    why: str | None
    """A code: the clock that ran out, or what else made the move."""
    reason: ReturnReason | None
    right_unit: str | None
    """Who should have it, by the word of the unit that returned it."""
    result: Result | None
    accept_by: datetime | None
    result_by: datetime | None
    phone_by: datetime | None
    phone_reported: bool
    provisional: bool

    @property
    def call(self) -> bool:
        return self.level is Level.L0

    @property
    def alarming(self) -> bool:
        """An L0 matter goes out, or more is found in one before anybody has called about that."""
        if self.move is Transition.SENT and self.why == "finding_added":
            return self.call and not self.phone_reported
        return self.call and self.move in (Transition.SENT, Transition.REOPENED)

    @property
    def returned(self) -> bool:
        """It lies with who sent it, and on nobody's queue."""
        return self.state is ReferralState.RETURNED

    @property
    def callers(self) -> tuple[str, ...]:
        """Calling is for who reported and who sent, until one of them has."""
        return tuple(dict.fromkeys((self.reporter_unit or self.from_unit, self.from_unit)))

    @property
    def late_unit(self) -> str:
        """Who let a clock run out: a call is recorded by who sent it."""
        return self.from_unit if self.why == "phone_report" else self.to_unit

    @property
    def blocked(self) -> bool:
        """A guardian refuses an urgent matter: it may not be closed."""
        return self.result is Result.REFUSED_BY_GUARDIAN and self.level in (Level.L0, Level.L1)


def of_move(moved: Moved, offices: Offices) -> list[Line]:
    """The lines of one move. An L3 matter makes none: its unit hears of it in one bundle a month."""
    if moved.level is Level.L3:
        return []
    return [
        line for line in _of_move(moved, offices) if line.unit != moved.actor_unit or line.template in _EVEN_ITS_OWN
    ]


_EVEN_ITS_OWN = frozenset(
    {
        "referral.sent",
        "referral.raised",
        "referral.reopened",
        "referral.call_first",
        "referral.call_again",
        "alarm.l0",
    }
)
"""Told even to the unit that did it: the work is its own, the call is still to be made, its duty officer is another."""


def _of_move(moved: Moved, offices: Offices) -> Iterator[Line]:
    to, sender, call = moved.to_unit, moved.from_unit, moved.call
    match moved.move:
        case Transition.SENT if moved.why == "finding_added":
            yield Line(to, "referral.added", {"level": moved.level}, call)
            yield from _emergency(moved, offices)
        case Transition.SENT if moved.state is not ReferralState.SENT:
            yield _timed("referral.raised", to, moved, moved.result_by)
            yield from _emergency(moved, offices)
        case Transition.SENT | Transition.REROUTED:
            yield _timed("referral.sent", to, moved, moved.accept_by)
            if moved.previous_unit not in (None, to):
                yield Line(str(moved.previous_unit), "referral.taken_over", {"unit": to})
            if moved.move is Transition.SENT:
                yield from _informed(moved, offices)
            yield from _emergency(moved, offices)
        case Transition.REOPENED:
            yield _timed("referral.reopened", to, moved, moved.accept_by)
            yield from _emergency(moved, offices)
        case Transition.ACCEPTED:
            yield Line(sender, "referral.accepted", {"unit": to, "due": moved.result_by}, due=moved.result_by)
        case Transition.RETURNED:
            back_from = moved.previous_unit or to
            words: dict[str, Word] = {"unit": back_from, "reason": moved.reason, "right": moved.right_unit}
            yield Line(sender, "referral.returned", words, call)
        case Transition.ESCALATED:
            yield from _escalated(moved, offices)
        case Transition.EXTENDED if moved.why == "calendar_published":
            due = moved.accept_by if moved.state is ReferralState.SENT else moved.result_by
            for unit in dict.fromkeys((to, sender)):
                yield Line(unit, "referral.recounted", {"unit": to, "due": due}, due=due)
        case Transition.EXTENDED:
            yield Line(sender, "referral.extended", {"unit": to, "due": moved.result_by}, due=moved.result_by)
        case Transition.RESULT_REPORTED if moved.blocked:
            yield Line(sender, "referral.result_blocked", {"unit": to})
        case Transition.RESULT_REPORTED:
            yield Line(sender, "referral.result", {"unit": to, "reporter": bool(moved.reporters)})
            for unit in moved.reporters:
                if unit != sender:
                    yield Line(unit, "referral.reporter_result")
        case Transition.CLOSED:
            yield Line(to, "referral.closed")
        case Transition.WITHDRAWN:
            yield Line(to, "referral.withdrawn")
        case Transition.PHONE_REPORTED:
            if moved.why == "not_reached":
                yield Line(moved.actor_unit or sender, "referral.call_again", call=True)
        case Transition.STARTED | Transition.REPORTER_INFORMED | Transition.HANDED_OVER:
            return


def _timed(template: str, unit: str, moved: Moved, due: datetime | None) -> Line:
    return Line(unit, template, {"level": moved.level, "due": due}, moved.call, due, moved.provisional)


def _informed(moved: Moved, offices: Offices) -> Iterator[Line]:
    """Without a referral of their own, and so without a call to make: told at once if it is urgent, no more."""
    template = "referral.inform_urgent" if moved.call else "referral.inform"
    for unit in dict.fromkeys(moved.inform):
        # The duty unit is told more than that.
        if unit != moved.to_unit and not (moved.call and unit == offices.duty):
            yield Line(unit, template, {"unit": moved.to_unit})


def _emergency(moved: Moved, offices: Offices) -> Iterator[Line]:
    """Who reported an L0 matter has to call, and what rings at the duty unit stands there too.

    Who receives it is told to call in its own line.
    """
    if not moved.alarming:
        return
    if offices.duty != moved.to_unit:
        yield Line(offices.duty, "alarm.l0", {"unit": moved.to_unit}, call=True)
    if not moved.phone_reported:
        for unit in moved.callers:
            words: dict[str, Word] = {"unit": moved.to_unit, "due": moved.phone_by}
            yield Line(unit, "referral.call_first", words, True, moved.phone_by)


def _escalated(moved: Moved, offices: Offices) -> Iterator[Line]:
    """Who let it slip, and who sees to it now. Of those above, only the duty unit calls."""
    to, call = moved.to_unit, moved.call
    above = moved.escalated_to or offices.lead
    words: dict[str, Word] = {"why": moved.why, "unit": above}
    if moved.why == "phone_report":
        for unit in moved.callers:
            yield Line(unit, "referral.phone_overdue", {"unit": above}, call)
    elif moved.returned:
        yield Line(to, "referral.overdue_returned", words, call)
    elif moved.why == "refused_by_guardian":
        yield Line(to, "referral.blocked", words)
    else:
        yield Line(to, "referral.overdue", words, call)
    template = "referral.escalated_returned" if moved.returned else "referral.escalated"
    above_words: dict[str, Word] = {"why": moved.why, "unit": moved.late_unit, "level": moved.level}
    yield Line(above, template, above_words, call and above == offices.duty)


def rings_of_move(moved: Moved, offices: Offices) -> list[Ring]:
    """L0 rings; an escalation rings whoever it went to. L3 never rings."""
    if moved.alarming:
        return [Ring(offices.duty, "l0", "alarm.l0", {"unit": moved.to_unit}, call=True)]
    if moved.move is Transition.ESCALATED and moved.level is not Level.L3:
        words: dict[str, Word] = {"unit": moved.late_unit, "level": moved.level, "why": moved.why}
        unit = moved.escalated_to or offices.duty
        return [Ring(unit, "escalated", "alarm.escalated", words, call=moved.call and unit == offices.duty)]
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
    if moved.move is Transition.ESCALATED:
        return moved.escalated_to
    return "" if moved.move is Transition.REOPENED else None


def of_proposal(
    what: Literal["referral", "ledger", "ledger_closing"],
    unit: str,
    level: Level | None,
    by: datetime,
    offices: Offices,
) -> list[Line]:
    """A rule suggests: the unit decides. What rings at the duty unit stands there too."""
    call = what == "referral" and level is Level.L0
    lines = [Line(unit, f"proposal.{what}", {"level": level or Level.L2, "due": by}, call, by)]
    if call and offices.duty != unit:
        lines.append(Line(offices.duty, "alarm.proposal", {"unit": unit}, call=True))
    return lines


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
"""Duties that a digest counts: once reminded of, as due soon; once missed, as late until they are made good. They make
no line of their own before they are missed."""

DUTY_RANK = {"created": 1, "reminded": 2, "missed": 3, "cancelled": 4, "fulfilled": 4, "fulfilled_late": 4}
"""A duty never goes back, whatever order its moves are read in after a merge."""
