"""Three answers, why, what is missing, and until when: the kernel that every rule is written in.

``until`` is the first day on which an answer may differ without any news. Combining keeps it sound: asked with the
same facts on any earlier day, a combination gives the same answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple, TypeVar

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.dates import latest

Param = str | int | bool
T = TypeVar("T")

_RANK = {certainty: rank for rank, certainty in enumerate(Certainty)}


NO_PARAMS: Mapping[str, Param] = {}


class Reason(NamedTuple):
    """Why, as a code and its parameters. These come from facts, never from the day asked: they must not go stale."""

    code: str
    ok: bool | None
    """What it speaks for; None: it could not be told."""
    params: Mapping[str, Param] = NO_PARAMS


class Missing(NamedTuple):
    """A fact nobody has told, or a term the county has not defined; and who holds it."""

    fact: FactName | None
    criterion: str | None = None
    held_by: tuple[str, ...] = ()


class Finding(NamedTuple):
    """One answer to one question about one child on one day. A tuple, like what it holds: there are hundreds."""

    answer: Answer
    reasons: tuple[Reason, ...] = ()
    missing: tuple[Missing, ...] = ()
    citations: tuple[str, ...] = ()
    certainty: Certainty = Certainty.STATED
    until: date | None = None
    """None: never, without news."""


GRANTED = Finding(Answer.YES)
"""A condition nobody needs to hear about."""


def yes(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Finding:
    return Finding(Answer.YES, (Reason(code, True, params),), (), cites, certainty, until)


def no(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Finding:
    return Finding(Answer.NO, (Reason(code, False, params),), (), cites, certainty, until)


def unknown(
    code: str,
    missing: Sequence[Missing],
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Finding:
    """What could not be told, and what would tell it. An open question names whom to ask: never empty."""
    return Finding(Answer.UNKNOWN, (Reason(code, None, params),), tuple(missing), cites, certainty, until)


def all_of(*parts: Finding) -> Finding:
    """YES when every part is. One NO decides; failing that, one UNKNOWN leaves the question open."""
    return _combined(parts, Answer.NO, Answer.YES)


def any_of(*parts: Finding) -> Finding:
    """YES when one part is. Failing that, one UNKNOWN leaves the question open."""
    return _combined(parts, Answer.YES, Answer.NO)


def not_(part: Finding) -> Finding:
    """The opposite answer for the same reasons. An open question stays open."""
    if part.answer is Answer.UNKNOWN:
        return part
    reasons = tuple(Reason(reason.code, not reason.ok, reason.params) for reason in part.reasons)
    answer = Answer.NO if part.answer is Answer.YES else Answer.YES
    return Finding(answer, reasons, part.missing, part.citations, part.certainty, part.until)


def told_as(code: str, part: Finding) -> Finding:
    """The same answer under one reason: ``code``, ``not_code`` or ``unsure_code``. What is missing stays."""
    if part.answer is Answer.YES:
        reason = Reason(code, True)
    elif part.answer is Answer.NO:
        reason = Reason(f"not_{code}", False)
    else:
        reason = Reason(f"unsure_{code}", None)
    return Finding(part.answer, (reason,), part.missing, part.citations, part.certainty, part.until)


def unless_no(part: Finding) -> Finding:
    """YES unless the part is a known NO: for matters of safety, where not knowing must not silence a risk."""
    if part.answer is Answer.NO:
        return part
    return Finding(Answer.YES, (), (), part.citations, part.certainty, part.until)


def _combined(parts: tuple[Finding, ...], deciding: Answer, otherwise: Answer) -> Finding:
    decided: Finding | None = None
    still_open: Finding | None = None
    several_open = False
    for part in parts:
        if part.answer is deciding:
            if decided is not None:
                return _each_decides([part for part in parts if part.answer is deciding])
            decided = part
        elif part.answer is Answer.UNKNOWN:
            several_open = still_open is not None
            still_open = part
    if decided is not None:
        return decided
    if len(parts) == 1:
        return parts[0]
    # Any part that changes may decide: the earliest change of all of them bounds the answer.
    until = soonest(parts)
    if several_open:
        return _together(Answer.UNKNOWN, [part for part in parts if part.answer is Answer.UNKNOWN], until=until)
    if still_open is not None:
        if still_open.until == until:
            return still_open
        _, reasons, missing, citations, certainty, _ = still_open
        return Finding(Answer.UNKNOWN, reasons, missing, citations, certainty, until)
    return _together(otherwise, parts, until=until)


def _each_decides(parts: Sequence[Finding]) -> Finding:
    """Each part alone is enough: the answer stands while the last of them does, as sure as the surest of them."""
    until = parts[0].until
    surest = parts[0].certainty
    for part in parts[1:]:
        until = latest(until, part.until)
        if _RANK[part.certainty] < _RANK[surest]:
            surest = part.certainty
    return _together(parts[0].answer, parts, until=until, certainty=surest)


def _together(
    answer: Answer, parts: Sequence[Finding], *, until: date | None, certainty: Certainty | None = None
) -> Finding:
    """Everything the parts say, each thing once. Without a ``certainty``: as sure as the least sure of them."""
    weakest = Certainty.STATED
    reasons: tuple[Reason, ...] = ()
    missing: tuple[Missing, ...] = ()
    citations: tuple[str, ...] = ()
    for part in parts:
        if part.certainty is not weakest and _RANK[part.certainty] > _RANK[weakest]:
            weakest = part.certainty
        if part.reasons:
            reasons = _joined(reasons, part.reasons) if reasons else part.reasons
        if part.missing:
            missing = _joined(missing, part.missing) if missing else part.missing
        if part.citations:
            citations = _joined(citations, part.citations) if citations else part.citations
    return Finding(answer, reasons, missing, citations, weakest if certainty is None else certainty, until)


def soonest(parts: Iterable[Finding]) -> date | None:
    """The first day on which one of them may differ."""
    until: date | None = None
    for part in parts:
        if part.until is not None and (until is None or part.until < until):
            until = part.until
    return until


def _joined(kept: tuple[T, ...], more: tuple[T, ...]) -> tuple[T, ...]:
    if len(more) == 1:
        return kept if more[0] in kept else (*kept, *more)
    new = [thing for thing in more if thing not in kept]
    return (*kept, *new) if new else kept
