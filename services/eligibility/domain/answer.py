"""Three-valued evaluations with grounds, missing inputs and an expiry day, and the operators that combine them.

``until`` is the first day on which an answer may differ although no fact has changed. The operators preserve this: with
the same facts, a combination has the same answer on every earlier day.
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
    """Why an answer was given, as a code with parameters.

    Parameters depend on facts only, never on the day of the evaluation, so that they stay true until ``until``.
    """

    code: str
    supports: bool | None
    """True if it speaks for yes, False for no, None if it could not be determined."""
    params: Mapping[str, Param] = NO_PARAMS


class MissingInput(NamedTuple):
    """A fact that no source has reported, or a term that the county has not defined, and the units that hold it."""

    fact: FactName | None
    criterion: str | None = None
    held_by: tuple[str, ...] = ()


class Evaluation(NamedTuple):
    """The answer to one question about one child on one day. It is a tuple because one child needs hundreds of them."""

    answer: Answer
    grounds: tuple[Ground, ...] = ()
    missing: tuple[MissingInput, ...] = ()
    citations: tuple[str, ...] = ()
    certainty: Certainty = Certainty.STATED
    until: date | None = None
    """The first day on which the answer may differ although no fact has changed; None if there is no such day."""


UNCONDITIONAL = Evaluation(Answer.YES)
"""The answer to a condition that always holds and needs no ground."""


def yes(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Evaluation:
    """Answer yes on one ground."""
    return Evaluation(Answer.YES, (Ground(code, True, params),), (), cites, certainty, until)


def no(
    code: str,
    *,
    until: date | None = None,
    cites: tuple[str, ...] = (),
    certainty: Certainty = Certainty.STATED,
    **params: Param,
) -> Evaluation:
    """Answer no on one ground."""
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
    """Answer unknown, with the inputs that would decide the question. ``missing`` must not be empty."""
    return Evaluation(Answer.UNKNOWN, (Ground(code, None, params),), tuple(missing), cites, certainty, until)


def all_of(*parts: Evaluation) -> Evaluation:
    """Conjunction: any NO gives NO, otherwise any UNKNOWN gives UNKNOWN, otherwise YES."""
    return _combine(parts, Answer.NO, Answer.YES)


def any_of(*parts: Evaluation) -> Evaluation:
    """Disjunction: any YES gives YES, otherwise any UNKNOWN gives UNKNOWN, otherwise NO."""
    return _combine(parts, Answer.YES, Answer.NO)


def not_(part: Evaluation) -> Evaluation:
    """Negation: the opposite answer on the same grounds. UNKNOWN stays UNKNOWN."""
    if part.answer is Answer.UNKNOWN:
        return part
    reasons = tuple(Ground(reason.code, not reason.supports, reason.params) for reason in part.grounds)
    answer = Answer.NO if part.answer is Answer.YES else Answer.YES
    return Evaluation(answer, reasons, part.missing, part.citations, part.certainty, part.until)


def with_one_ground(code: str, part: Evaluation) -> Evaluation:
    """Replace the grounds by one: ``code``, ``not_<code>`` or ``unsure_<code>``. Missing inputs are kept."""
    if part.answer is Answer.YES:
        reason = Ground(code, True)
    elif part.answer is Answer.NO:
        reason = Ground(f"not_{code}", False)
    else:
        reason = Ground(f"unsure_{code}", None)
    return Evaluation(part.answer, (reason,), part.missing, part.citations, part.certainty, part.until)


def unless_no(part: Evaluation) -> Evaluation:
    """Answer YES unless the part is NO. Risks to safety use it, because a missing fact must not hide a risk."""
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
    # A change of any part may decide the answer, so the earliest change of all parts bounds it.
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
    """Combine parts each of which is sufficient: the answer holds as long as the last, with the strongest certainty."""
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
    """Merge grounds, missing inputs and citations without duplicates. By default the weakest certainty applies."""
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
    """Return the first day on which any of the parts may differ."""
    until: date | None = None
    for part in parts:
        if part.until is not None and (until is None or part.until < until):
            until = part.until
    return until


def _union(kept: tuple[T, ...], more: tuple[T, ...]) -> tuple[T, ...]:
    if len(more) == 1:
        return kept if more[0] in kept else (*kept, *more)
    new = [item for item in more if item not in kept]
    return (*kept, *new) if new else kept
