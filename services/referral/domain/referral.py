"""One referral: the table of its legal moves, what each move demands, and the clocks that run meanwhile.

States and rules are those of policy 4.4. What that table leaves open is settled here, for the child's safety:

- ``SENT`` in an open state is another finding that joins the referral: the state stays, the level may rise. Only what
  was returned goes out again with it: news of a child does not wait on a desk that cannot act.
- A person's L0 finding that joins asks for a call of its own: the one made before was about something else.
- After a reported result, and after closing, a new finding or a failed check brings the referral back to its agency
  (``REOPENED``), with a new clock.
- A returned referral goes back to who sent it; its clocks go on, so that it cannot be forgotten between two units.
- Each ``SENT`` (first, rerouted, reopened) starts the clocks anew; ``ACCEPTED`` never does.
- A rerouted or reopened referral keeps the count of its returns: after the last one only forced assignment is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.vocabulary import FindingCode, Level, ReferralState, Result, ReturnReason, Transition
from services.referral.domain.calendar import county_day
from services.referral.domain.rules import URGENT, Overdue, Rules, most_urgent

DRAFT = ReferralState.DRAFT
SENT = ReferralState.SENT
ACCEPTED = ReferralState.ACCEPTED
IN_PROGRESS = ReferralState.IN_PROGRESS
RETURNED = ReferralState.RETURNED
RESULT_REPORTED = ReferralState.RESULT_REPORTED
CLOSED = ReferralState.CLOSED
WITHDRAWN = ReferralState.WITHDRAWN

MOVES: dict[tuple[ReferralState, Transition], ReferralState] = {
    (DRAFT, Transition.SENT): SENT,
    # nobody has signed for it
    (SENT, Transition.SENT): SENT,
    (SENT, Transition.ACCEPTED): ACCEPTED,
    (SENT, Transition.RETURNED): RETURNED,
    (SENT, Transition.ESCALATED): SENT,
    (SENT, Transition.PHONE_REPORTED): SENT,
    (SENT, Transition.WITHDRAWN): WITHDRAWN,
    (SENT, Transition.HANDED_OVER): SENT,
    # signed for, not begun
    (ACCEPTED, Transition.SENT): ACCEPTED,
    (ACCEPTED, Transition.STARTED): IN_PROGRESS,
    (ACCEPTED, Transition.ESCALATED): ACCEPTED,
    (ACCEPTED, Transition.PHONE_REPORTED): ACCEPTED,
    (ACCEPTED, Transition.WITHDRAWN): WITHDRAWN,
    (ACCEPTED, Transition.HANDED_OVER): ACCEPTED,
    # being worked on
    (IN_PROGRESS, Transition.SENT): IN_PROGRESS,
    (IN_PROGRESS, Transition.EXTENDED): IN_PROGRESS,
    (IN_PROGRESS, Transition.RESULT_REPORTED): RESULT_REPORTED,
    (IN_PROGRESS, Transition.ESCALATED): IN_PROGRESS,
    (IN_PROGRESS, Transition.PHONE_REPORTED): IN_PROGRESS,
    (IN_PROGRESS, Transition.WITHDRAWN): WITHDRAWN,
    (IN_PROGRESS, Transition.HANDED_OVER): IN_PROGRESS,
    # back with who sent it
    (RETURNED, Transition.SENT): SENT,
    (RETURNED, Transition.REROUTED): SENT,
    (RETURNED, Transition.ESCALATED): RETURNED,
    (RETURNED, Transition.PHONE_REPORTED): RETURNED,
    (RETURNED, Transition.WITHDRAWN): WITHDRAWN,
    (RETURNED, Transition.HANDED_OVER): RETURNED,
    # waiting for the sender's check
    (RESULT_REPORTED, Transition.REPORTER_INFORMED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.CLOSED): CLOSED,
    (RESULT_REPORTED, Transition.REOPENED): SENT,
    (RESULT_REPORTED, Transition.ESCALATED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.PHONE_REPORTED): RESULT_REPORTED,
    (RESULT_REPORTED, Transition.WITHDRAWN): WITHDRAWN,
    (RESULT_REPORTED, Transition.HANDED_OVER): RESULT_REPORTED,
    # over, but it may come back
    (CLOSED, Transition.REOPENED): SENT,
}
"""Every legal move and the state after it. What is not here is refused as ``illegal_move``."""

OVER = frozenset({CLOSED, WITHDRAWN})
UNANSWERED = frozenset({SENT, RETURNED})
"""Nobody has signed for it: the clock of acceptance runs."""
UNFINISHED = frozenset({SENT, RETURNED, ACCEPTED, IN_PROGRESS})
"""No result yet: the clock of the result runs."""
ON_THE_DESK = frozenset({SENT, ACCEPTED, IN_PROGRESS, RESULT_REPORTED})
"""The receiving unit has it."""


class Refused(Exception):
    """A move that may not be made. ``code`` names why; the county's people read it in words in their inbox."""

    def __init__(self, code: str, state: ReferralState | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.state = state


@dataclass(frozen=True, slots=True)
class Actor:
    """Who moves a referral. The clock is nobody."""

    unit: str | None = None
    role: str | None = None
    person: str = ""


CLOCK = Actor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """One matter of one child for one unit."""

    id: UUID
    child: UUID
    owners: tuple[UUID, ...]
    """Every child it has hung on, the present one last: an action may still name an absorbed file."""
    route: str
    restricted: bool
    level: Level
    findings: tuple[FindingCode, ...]
    sources: tuple[UUID, ...]
    """The persons' findings it came from, first one first; none: derived from facts."""
    reporters: tuple[str, ...] = ()
    """The units of these persons, in the same order: each is owed word of the result."""
    shared: bool = False
    """Somebody else than its sender has sent it too."""
    by_person: bool
    """A person reported or confirmed it: only a person takes it back."""
    item: str | None
    from_unit: str
    to_unit: str
    """Who must move next: the receiving unit, or, once returned, who sent it."""
    township: str | None
    story: UUID
    sent_at: datetime
    state: ReferralState = DRAFT
    version: int = 0
    accept_by: datetime | None = None
    accept_alarm_at: datetime | None = None
    result_by: datetime | None = None
    phone_by: datetime | None = None
    counted_from: datetime | None = None
    """The moment its clocks count from: SENT, or the finding that raised its level."""
    provisional: bool = False
    """A clock reaches into a year whose working days nobody has published: it may move."""
    ran_out: tuple[Overdue, ...] = ()
    returns: int = 0
    return_reason: ReturnReason | None = None
    right_unit: str | None = None
    extended: bool = False
    extended_days: int = 0
    phone_reported: bool = False
    reporter_informed: bool = False
    """Of the result, and all of them: whoever reports afterwards is owed word again."""
    result: Result | None = None
    escalated_to: str | None = None
    closed_at: datetime | None = None
    on_queue: tuple[str, ...] = ()
    """Units on whose queue this referral stands, or stood until its tombstone is written."""
    tombstones_from: date | None = None
    """The first day that writes the tombstones of units that have nothing left to do."""

    @property
    def finding(self) -> UUID | None:
        return self.sources[0] if self.sources else None

    @property
    def reporter_unit(self) -> str | None:
        """Who reported last."""
        return self.reporters[-1] if self.reporters else None

    @property
    def call_first(self) -> bool:
        return self.level is Level.L0

    @property
    def open(self) -> bool:
        return self.state not in OVER

    @property
    def holder(self) -> str | None:
        """The unit that has it on its desk; None while it is returned, closed or withdrawn."""
        return self.to_unit if self.state in ON_THE_DESK else None

    @property
    def leaving(self) -> tuple[str, ...]:
        """Units on whose queue it still stands although nothing is left for them to do."""
        return tuple(unit for unit in self.on_queue if unit != self.holder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A referral after a move, and what only the move itself knows."""

    referral: Referral
    move: Transition
    actor: Actor
    at: datetime
    previous_unit: str | None = None
    reason: ReturnReason | None = None
    overdue: Overdue | None = None
    because: str | None = None
    escalated_to: str | None = None


Moves = tuple[Moved, ...]


def send(draft: Referral, rules: Rules, actor: Actor, *, because: str | None = None) -> Moves:
    """The clocks start now."""
    sent = _stepped(draft, Transition.SENT, _clocks(draft, rules, draft.sent_at))
    return (Moved(referral=sent, move=Transition.SENT, actor=actor, at=sent.sent_at, because=because),)


def join(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    findings: tuple[FindingCode, ...],
    level: Level,
    receiver: str,
    source: UUID | None = None,
    reporter_unit: str | None = None,
    phone_reported: bool = False,
) -> Moves:
    """Another finding joins an open referral, or reopens one with a result. Its level may rise, never fall.

    ``receiver``: who gets it if it was returned.
    """
    known = dict.fromkeys((*referral.findings, *findings))
    changes: dict[str, Any] = {"findings": tuple(known), "phone_reported": referral.phone_reported or phone_reported}
    if source is not None:
        assert reporter_unit is not None
        changes |= {
            "sources": (*referral.sources, source),
            "reporters": (*referral.reporters, reporter_unit),
            "reporter_informed": False,
            "by_person": True,
            "shared": referral.shared or (actor.unit or reporter_unit) != referral.from_unit,
        }
    calls = source is not None and level is Level.L0
    if calls:
        changes["phone_reported"] = phone_reported
    risen = most_urgent(referral.level, level)
    joined = replace(referral, **changes, level=risen)
    if referral.state in (RESULT_REPORTED, CLOSED):
        because = "finding_added" if source is not None else "shown_again"
        return _reopened(joined, rules, actor, at, because=because)
    if referral.state is RETURNED:
        changes = _clocks(joined, rules, max(at, referral.sent_at)) | {"to_unit": receiver}
        back = referral.to_unit
        moved = _stepped(joined, Transition.SENT, changes)
        return (
            Moved(referral=moved, move=Transition.SENT, actor=actor, at=at, previous_unit=back, because="sent_again"),
        )
    if risen is not referral.level:
        moved = _stepped(joined, Transition.SENT, _hurried(referral, joined, rules, at))
        return (Moved(referral=moved, move=Transition.SENT, actor=actor, at=at, because="level_raised"),)
    moved = _stepped(joined, Transition.SENT, _call_due(referral, rules, at) if calls else None)
    return (Moved(referral=moved, move=Transition.SENT, actor=actor, at=at, because="finding_added"),)


def accept(referral: Referral, actor: Actor, at: datetime) -> Moves:
    _by_receiver(referral, actor)
    return (Moved(referral=_stepped(referral, Transition.ACCEPTED), move=Transition.ACCEPTED, actor=actor, at=at),)


def start(referral: Referral, actor: Actor, at: datetime) -> Moves:
    _by_receiver(referral, actor)
    return (Moved(referral=_stepped(referral, Transition.STARTED), move=Transition.STARTED, actor=actor, at=at),)


def give_back(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    reason: ReturnReason | None,
    right_unit: str | None,
) -> Moves:
    """Returned to who sent it. The last return that is allowed goes to the coordinating unit at once (R32)."""
    _by_receiver(referral, actor)
    _legal(referral, Transition.RETURNED)
    if referral.returns >= rules.max_returns:
        raise Refused("too_many_returns", referral.state)
    if reason is None:
        raise Refused("reason_missing", referral.state)
    if reason is ReturnReason.WRONG_AREA and right_unit is None:
        raise Refused("right_unit_missing", referral.state)
    if right_unit == referral.to_unit:
        raise Refused("right_unit_is_yours", referral.state)
    returned = _stepped(
        referral,
        Transition.RETURNED,
        {
            "to_unit": referral.from_unit,
            "returns": referral.returns + 1,
            "return_reason": reason,
            "right_unit": right_unit,
        },
    )
    moved = Moved(
        referral=returned, move=Transition.RETURNED, actor=actor, at=at, previous_unit=referral.to_unit, reason=reason
    )
    if returned.returns < rules.max_returns:
        return (moved,)
    return (moved, _escalated(returned, rules.coordinating_unit, at, because="returned_too_often"))


def reroute(
    referral: Referral,
    rules: Rules,
    actor: Actor,
    at: datetime,
    *,
    to_unit: str | None,
    because: str | None = None,
) -> Moves:
    """A person sends a returned referral to another unit, or to the same one again: a new clock."""
    if actor.unit not in _senders(referral, rules):
        raise Refused("not_yours")
    _legal(referral, Transition.REROUTED)
    if to_unit is None:
        raise Refused("to_unit_missing", referral.state)
    changes = _clocks(referral, rules, max(at, referral.sent_at)) | {"to_unit": to_unit}
    moved = _stepped(referral, Transition.REROUTED, changes)
    return (
        Moved(
            referral=moved,
            move=Transition.REROUTED,
            actor=actor,
            at=at,
            previous_unit=referral.to_unit,
            because=because,
        ),
    )


def extend(
    referral: Referral, rules: Rules, actor: Actor, at: datetime, *, days: int | None, reason_given: bool
) -> Moves:
    """Once, by working days, with a reason."""
    _by_receiver(referral, actor)
    _legal(referral, Transition.EXTENDED)
    if referral.extended:
        raise Refused("already_extended", referral.state)
    if days is None:
        raise Refused("days_missing", referral.state)
    if not reason_given:
        raise Refused("reason_missing", referral.state)
    result_by, provisional = rules.longer(referral.result_by, days)
    moved = _stepped(
        referral,
        Transition.EXTENDED,
        {
            "extended": True,
            "extended_days": days,
            "result_by": result_by,
            "provisional": referral.provisional or provisional,
            "ran_out": tuple(clock for clock in referral.ran_out if clock != "result"),
        },
    )
    return (Moved(referral=moved, move=Transition.EXTENDED, actor=actor, at=at),)


def report_result(referral: Referral, rules: Rules, actor: Actor, at: datetime, *, result: Result | None) -> Moves:
    """A code, never a story. A guardian's refusal of an urgent matter goes up at once."""
    _by_receiver(referral, actor)
    _legal(referral, Transition.RESULT_REPORTED)
    if result is None:
        raise Refused("result_missing", referral.state)
    reported = _stepped(referral, Transition.RESULT_REPORTED, {"result": result})
    moved = Moved(referral=reported, move=Transition.RESULT_REPORTED, actor=actor, at=at)
    if not _refusal_stands(reported):
        return (moved,)
    up = rules.escalates_to(reported.level, reported.to_unit)
    return (moved, _escalated(reported, up, at, because="refused_by_guardian"))


def inform_reporter(referral: Referral, rules: Rules, actor: Actor, at: datetime) -> Moves:
    """The reporter was told of the result (未成年人保护法第11条第3款): by the agency, the sender or the lead unit."""
    if actor.unit not in {referral.to_unit, referral.from_unit, rules.lead_unit}:
        raise Refused("not_yours")
    _legal(referral, Transition.REPORTER_INFORMED)
    if referral.reporter_unit is None:
        raise Refused("no_reporter", referral.state)
    moved = _stepped(referral, Transition.REPORTER_INFORMED, {"reporter_informed": True})
    return (Moved(referral=moved, move=Transition.REPORTER_INFORMED, actor=actor, at=at),)


def phone_report(referral: Referral, rules: Rules, actor: Actor, at: datetime, *, reached: bool | None) -> Moves:
    """The call that comes first, recorded once it was made. Nobody answered: recorded too, and the clock goes on."""
    if not may_call(referral, rules, actor.unit):
        raise Refused("not_yours")
    _legal(referral, Transition.PHONE_REPORTED)
    if reached is None:
        raise Refused("reached_missing", referral.state)
    moved = _stepped(referral, Transition.PHONE_REPORTED, {"phone_reported": referral.phone_reported or reached})
    return (
        Moved(
            referral=moved,
            move=Transition.PHONE_REPORTED,
            actor=actor,
            at=at,
            because=None if reached else "not_reached",
        ),
    )


def may_call(referral: Referral, rules: Rules, unit: str | None) -> bool:
    """Whose call counts: of who sends, reports or receives it, of the lead unit and of the duty unit."""
    parties = {referral.to_unit, referral.from_unit, *referral.reporters, rules.lead_unit, rules.duty_unit}
    return unit in parties


def close(referral: Referral, rules: Rules, actor: Actor, at: datetime, *, checked: bool) -> Moves:
    """By the sender or the lead unit, after a result, a check by call or visit, and word to the reporter."""
    if actor.unit not in {referral.from_unit, rules.lead_unit}:
        raise Refused("self_check" if actor.unit == referral.to_unit else "not_yours")
    _legal(referral, Transition.CLOSED)
    if referral.result is None:
        raise Refused("result_missing", referral.state)
    if _refusal_stands(referral):
        raise Refused("guardian_refused", referral.state)
    if not checked:
        raise Refused("check_missing", referral.state)
    if referral.reporter_unit is not None and not referral.reporter_informed:
        raise Refused("reporter_not_informed", referral.state)
    moved = _stepped(referral, Transition.CLOSED, {"closed_at": at})
    return (Moved(referral=moved, move=Transition.CLOSED, actor=actor, at=at),)


def withdraw(referral: Referral, actor: Actor, at: datetime, *, reason_given: bool) -> Moves:
    """By who sent it, with a reason; what others have sent too is not his to take back."""
    if actor.unit != referral.from_unit:
        raise Refused("not_yours")
    _legal(referral, Transition.WITHDRAWN)
    if not reason_given:
        raise Refused("reason_missing", referral.state)
    if referral.shared:
        raise Refused("others_reported", referral.state)
    return (Moved(referral=_stepped(referral, Transition.WITHDRAWN), move=Transition.WITHDRAWN, actor=actor, at=at),)


def no_longer_shown(referral: Referral, at: datetime) -> Moves:
    """The facts no longer show it. Nobody has begun: withdrawn. Signed for, or a person's matter: left to people.

    An agency that has signed for it may be the reason why the gap is gone; its result must not be lost.
    """
    if referral.by_person or referral.state not in UNANSWERED:
        return ()
    moved = _stepped(referral, Transition.WITHDRAWN)
    return (Moved(referral=moved, move=Transition.WITHDRAWN, actor=CLOCK, at=at, because="no_longer_shown"),)


def reopen(referral: Referral, rules: Rules, actor: Actor, at: datetime) -> Moves:
    """By the sender or the lead unit: the check failed, or it came back within the county's days."""
    if actor.unit not in {referral.from_unit, rules.lead_unit}:
        raise Refused("not_yours")
    _legal(referral, Transition.REOPENED)
    if referral.state is CLOSED and not may_reopen(referral, rules, at):
        raise Refused("too_late_to_reopen", referral.state)
    return _reopened(referral, rules, actor, at)


def may_reopen(referral: Referral, rules: Rules, at: datetime) -> bool:
    """Closed at most the county's number of days ago."""
    if referral.state is not CLOSED or referral.closed_at is None:
        return False
    return county_day(at) <= county_day(referral.closed_at) + timedelta(days=rules.reopen_days)


def hand_over(referral: Referral, child: UUID, at: datetime) -> tuple[Referral, Moves]:
    """It follows the child's file to another one. What is over follows without a word: nobody has to act on it."""
    owners = (*(owner for owner in referral.owners if owner != child), child)
    moved = replace(referral, child=child, owners=owners)
    if not referral.open:
        return moved, ()
    moved = _stepped(moved, Transition.HANDED_OVER)
    return moved, (Moved(referral=moved, move=Transition.HANDED_OVER, actor=CLOCK, at=at),)


def running(referral: Referral) -> Iterator[tuple[Overdue, datetime]]:
    """The clocks that run and have not run out yet, with the moment at which each does."""
    if referral.state not in UNFINISHED:
        return
    if referral.state in UNANSWERED and referral.accept_alarm_at is not None and "accept" not in referral.ran_out:
        yield "accept", referral.accept_alarm_at
    if referral.result_by is not None and "result" not in referral.ran_out:
        yield "result", referral.result_by
    if referral.phone_by is not None and not referral.phone_reported and "phone_report" not in referral.ran_out:
        yield "phone_report", referral.phone_by


def next_alarm(referral: Referral) -> datetime | None:
    """The moment at which its next clock runs out."""
    return min((deadline for _, deadline in running(referral)), default=None)


def run_out(referral: Referral, rules: Rules, now: datetime) -> Moves:
    """Escalates once for each clock that has run out by now."""
    moves: list[Moved] = []
    for overdue, deadline in sorted(running(referral), key=lambda clock: (clock[1], clock[0])):
        if deadline > now:
            continue
        marked = replace(referral, ran_out=(*referral.ran_out, overdue))
        moved = _escalated(marked, rules.escalates_to(referral.level, referral.to_unit), now, overdue=overdue)
        referral = moved.referral
        moves.append(moved)
    return tuple(moves)


def recount(referral: Referral, rules: Rules, at: datetime) -> tuple[Referral, Moves]:
    """The calendar of a year was published meanwhile: deadlines computed from weekends move (policy 3.0)."""
    if not referral.provisional:
        return referral, ()
    counted = rules.deadlines(referral.level, referral.counted_from or referral.sent_at)
    result_by, provisional = counted.result_by, counted.provisional
    if referral.extended_days:
        result_by, more = rules.longer(result_by, referral.extended_days)
        provisional = provisional or more
    if provisional:
        return referral, ()
    settled = replace(
        referral,
        accept_by=counted.accept_by,
        accept_alarm_at=counted.accept_alarm_at,
        result_by=result_by,
        provisional=False,
    )
    same = (settled.accept_by, settled.result_by) == (referral.accept_by, referral.result_by)
    if same or referral.state not in UNFINISHED:
        return settled, ()
    moved = replace(settled, version=referral.version + 1)
    return moved, (Moved(referral=moved, move=Transition.EXTENDED, actor=CLOCK, at=at, because="calendar_published"),)


def ticks(referral: Referral) -> bool:
    """Its clocks count hours, and the tick looks after them; else the turn of the day does."""
    return referral.level in URGENT


def _legal(referral: Referral, move: Transition) -> ReferralState:
    after = MOVES.get((referral.state, move))
    if after is None:
        raise Refused("illegal_move", referral.state)
    return after


def _stepped(referral: Referral, move: Transition, changes: dict[str, Any] | None = None) -> Referral:
    after = _legal(referral, move)
    return replace(referral, **(changes or {}), state=after, version=referral.version + 1)


def _by_receiver(referral: Referral, actor: Actor) -> None:
    if actor.unit != referral.to_unit:
        raise Refused("not_yours")


def _senders(referral: Referral, rules: Rules) -> set[str]:
    senders = {referral.from_unit, rules.lead_unit}
    if referral.returns >= rules.max_returns:
        senders.add(rules.coordinating_unit)
    return senders


def _refusal_stands(referral: Referral) -> bool:
    return referral.result is Result.REFUSED_BY_GUARDIAN and referral.level in URGENT


def _escalated(
    referral: Referral, up: str, at: datetime, *, overdue: Overdue | None = None, because: str | None = None
) -> Moved:
    return Moved(
        referral=_stepped(referral, Transition.ESCALATED, {"escalated_to": up}),
        move=Transition.ESCALATED,
        actor=CLOCK,
        at=at,
        overdue=overdue,
        because=because,
        escalated_to=up,
    )


def _reopened(referral: Referral, rules: Rules, actor: Actor, at: datetime, because: str | None = None) -> Moves:
    fresh = {
        "result": None,
        "reporter_informed": False,
        "closed_at": None,
        "extended": False,
        "extended_days": 0,
        "escalated_to": None,
    }
    restarted = _clocks(replace(referral, extended_days=0), rules, max(at, referral.sent_at))
    moved = _stepped(referral, Transition.REOPENED, restarted | fresh)
    return (Moved(referral=moved, move=Transition.REOPENED, actor=actor, at=at, because=because),)


def _clocks(referral: Referral, rules: Rules, sent_at: datetime) -> dict[str, Any]:
    deadlines = rules.deadlines(referral.level, sent_at)
    return {
        "sent_at": sent_at,
        "accept_by": deadlines.accept_by,
        "accept_alarm_at": deadlines.accept_alarm_at,
        "result_by": deadlines.result_by,
        "phone_by": deadlines.phone_by,
        "counted_from": sent_at,
        "provisional": deadlines.provisional,
        "ran_out": (),
        "extended_days": 0,
    }


def _hurried(referral: Referral, joined: Referral, rules: Rules, at: datetime) -> dict[str, Any]:
    """The level has risen: the new level's clocks count from now. A clock that still ran never gains time."""
    faster = rules.deadlines(joined.level, at)
    still = dict(running(referral))
    accepting, finishing = "accept" in still, "result" in still
    result_by = _earlier(referral.result_by if finishing else None, faster.result_by)
    return {
        "accept_by": _earlier(referral.accept_by if accepting else None, faster.accept_by),
        "accept_alarm_at": _earlier(still.get("accept"), faster.accept_alarm_at),
        "result_by": result_by,
        "phone_by": _earlier(still.get("phone_report"), faster.phone_by),
        "counted_from": at,
        # Counted again, the earlier deadline that was kept would become the later one of the new level.
        "provisional": faster.provisional and result_by == faster.result_by,
        "ran_out": (),
        "extended_days": 0,
    }


def _call_due(referral: Referral, rules: Rules, at: datetime) -> dict[str, Any]:
    """The call about another L0 finding: due within its own hour, or sooner if one was due already."""
    return {
        "phone_by": _earlier(dict(running(referral)).get("phone_report"), rules.deadlines(Level.L0, at).phone_by),
        "ran_out": tuple(clock for clock in referral.ran_out if clock != "phone_report"),
    }


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)
