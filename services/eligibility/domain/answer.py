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


class Ground(NamedTuple):
    """Why, as a code and its parameters. These come from facts, never from the day asked: they must not go stale."""

    code: str
    supports: bool | None
    """What it speaks for; None: it could not be told."""
    params: Mapping[str, Param] = NO_PARAMS


class MissingInput(NamedTuple):
    """A fact nobody has told, or a term the county has not defined; and who holds it."""

    fact: FactName | None
    criterion: str | None = None
    held_by: tuple[str, ...] = ()


class Evaluation(NamedTuple):
    """One answer to one question about one child on one day. A tuple, like what it holds: there are hundreds."""

    answer: Answer
    grounds: tuple[Ground, ...] = ()
    missing: tuple[MissingInput, ...] = ()
    citations: tuple[str, ...] = ()
    certainty: Certainty = Certainty.STATED
    until: date | None = None
    """None: never, without news."""


UNCONDITIONAL = Evaluation(Answer.YES)
"""A condition nobody needs to hear about."""


def yes(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Evaluation:
    return Evaluation(Answer.YES, (Ground(code, True, params),), (), cites, certainty, until)


def no(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Evaluation:
    return Evaluation(Answer.NO, (Ground(code, False, params),), (), cites, certainty, until)


def unknown(
    code: str,
    missing: Sequence[MissingInput],
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Evaluation:
    """What could not be told, and what would tell it. An open question names whom to ask: never empty."""
    return Evaluation(Answer.UNKNOWN, (Ground(code, None, params),), tuple(missing), cites, certainty, until)


def all_of(*parts: Evaluation) -> Evaluation:
    """YES when every part is. One NO decides; failing that, one UNKNOWN leaves the question open."""
    return _combine(parts, Answer.NO, Answer.YES)


def any_of(*parts: Evaluation) -> Evaluation:
    """YES when one part is. Failing that, one UNKNOWN leaves the question open."""
    return _combine(parts, Answer.YES, Answer.NO)


def not_(part: Evaluation) -> Evaluation:
    """The opposite answer for the same reasons. An open question stays open."""
    if part.answer is Answer.UNKNOWN:
        return part
    reasons = tuple(Ground(reason.code, not reason.supports, reason.params) for reason in part.grounds)
    answer = Answer.NO if part.answer is Answer.YES else Answer.YES
    return Evaluation(answer, reasons, part.missing, part.citations, part.certainty, part.until)


def with_one_ground(code: str, part: Evaluation) -> Evaluation:
    """The same answer under one reason: ``code``, ``not_code`` or ``unsure_code``. What is missing stays."""
    if part.answer is Answer.YES:
        reason = Ground(code, True)
    elif part.answer is Answer.NO:
        reason = Ground(f"not_{code}", False)
    else:
        reason = Ground(f"unsure_{code}", None)
    return Evaluation(part.answer, (reason,), part.missing, part.citations, part.certainty, part.until)


def unless_no(part: Evaluation) -> Evaluation:
    """YES unless the part is a known NO: for matters of safety, where not knowing must not silence a risk."""
    if part.answer is Answer.NO:
        return part
    return Evaluation(Answer.YES, (), (), part.citations, part.certainty, part.until)


def _combine(parts: tuple[Evaluation, ...], deciding: Answer, otherwise: Answer) -> Evaluation:
    decided: Evaluation | None = None
    still_open: Evaluation | None = None
    several_open = False
    for part in parts:
        if part.answer is deciding:
            if decided is not None:
                return _combine_deciding([part for part in parts if part.answer is deciding])
            decided = part
        elif part.answer is Answer.UNKNOWN:
            several_open = still_open is not None
            still_open = part
    if decided is not None:
        return decided
    if len(parts) == 1:
        return parts[0]
    # Any part that changes may decide: the earliest change of all of them bounds the answer.
    until = earliest_until(parts)
    if several_open:
        return _merge(Answer.UNKNOWN, [part for part in parts if part.answer is Answer.UNKNOWN], until=until)
    if still_open is not None:
        if still_open.until == until:
            return still_open
        _, reasons, missing, citations, certainty, _ = still_open
        return Evaluation(Answer.UNKNOWN, reasons, missing, citations, certainty, until)
    return _merge(otherwise, parts, until=until)


def _combine_deciding(parts: Sequence[Evaluation]) -> Evaluation:
    """Each part alone is enough: the answer stands while the last of them does, as sure as the surest of them."""
    until = parts[0].until
    surest = parts[0].certainty
    for part in parts[1:]:
        until = latest(until, part.until)
        if _RANK[part.certainty] < _RANK[surest]:
            surest = part.certainty
    return _merge(parts[0].answer, parts, until=until, certainty=surest)


def _merge(
    answer: Answer, parts: Sequence[Evaluation], *, until: date | None, certainty: Certainty | None = None
) -> Evaluation:
    """Everything the parts say, each thing once. Without a ``certainty``: as sure as the least sure of them."""
    weakest = Certainty.STATED
    reasons: tuple[Ground, ...] = ()
    missing: tuple[MissingInput, ...] = ()
    citations: tuple[str, ...] = ()
    for part in parts:
        if part.certainty is not weakest and _RANK[part.certainty] > _RANK[weakest]:
            weakest = part.certainty
        if part.grounds:
            reasons = _union(reasons, part.grounds) if reasons else part.grounds
        if part.missing:
            missing = _union(missing, part.missing) if missing else part.missing
        if part.citations:
            citations = _union(citations, part.citations) if citations else part.citations
    return Evaluation(answer, reasons, missing, citations, weakest if certainty is None else certainty, until)


def earliest_until(parts: Iterable[Evaluation]) -> date | None:
    """The first day on which one of them may differ."""
    until: date | None = None
    for part in parts:
        if part.until is not None and (until is None or part.until < until):
            until = part.until
    return until


def _union(kept: tuple[T, ...], more: tuple[T, ...]) -> tuple[T, ...]:
    if len(more) == 1:
        return kept if more[0] in kept else (*kept, *more)
    new = [thing for thing in more if thing not in kept]
    return (*kept, *new) if new else kept
