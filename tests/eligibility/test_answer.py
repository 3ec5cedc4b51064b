"""Three-valued answers and their ``until``: the laws of logic, and a brute-force check over days."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import (
    Evaluation,
    Ground,
    MissingInput,
    all_of,
    any_of,
    no,
    not_,
    unknown,
    unless_no,
    with_one_ground,
    yes,
)

START = date(2026, 1, 1)
HORIZON = 40
RANK = {Answer.NO: 0, Answer.UNKNOWN: 1, Answer.YES: 2}
WEAKNESS = list(Certainty)

Part = Callable[[int], Evaluation]
"""A question whose answer depends on the day (counted from START)."""


def an_evaluation(
    answer: Answer, until: int | None = None, certainty: Certainty = Certainty.STATED, name: str = "x"
) -> Evaluation:
    missing = (MissingInput(FactName.DIBAO),) if answer is Answer.UNKNOWN else ()
    ok = {Answer.YES: True, Answer.NO: False, Answer.UNKNOWN: None}[answer]
    day = None if until is None else START + timedelta(days=until)
    return Evaluation(answer, (Ground(name, ok),), missing, (name,), certainty, day)


EVALUATIONS = st.builds(
    an_evaluation,
    st.sampled_from(Answer),
    st.none() | st.integers(1, HORIZON),
    st.sampled_from(Certainty),
    st.sampled_from("abcd"),
)


def stepping(steps: list[tuple[int, Answer]], cautious: int) -> Part:
    """A question whose answer changes on these days; if ``cautious``, its ``until`` may be some days early."""

    def ask(day: int) -> Evaluation:
        answer, until = Answer.UNKNOWN, None
        for change, then in sorted(steps):
            if change <= day:
                answer = then
            elif until is None:
                until = max(day + 1, change - cautious)
        return an_evaluation(answer, until)

    return ask


PARTS = st.builds(
    stepping,
    st.lists(st.tuples(st.integers(0, HORIZON), st.sampled_from(Answer)), max_size=4),
    st.integers(0, 3),
)


def _nested(inner: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    several = st.lists(inner, min_size=1, max_size=3)
    return (
        st.builds(lambda parts: lambda day: all_of(*(part(day) for part in parts)), several)
        | st.builds(lambda parts: lambda day: any_of(*(part(day) for part in parts)), several)
        | st.builds(lambda part: lambda day: not_(part(day)), inner)
        | st.builds(lambda part: lambda day: unless_no(part(day)), inner)
        | st.builds(lambda part: lambda day: with_one_ground("whole", part(day)), inner)
    )


RULES = st.recursive(PARTS, _nested, max_leaves=8)


@given(RULES, st.integers(0, HORIZON))
def test_before_until_the_answer_is_the_same(rule: Part, day: int) -> None:
    """The guarantee of ``until`` holds for any rule whose parts keep it."""
    result = rule(day)
    until = HORIZON + 5 if result.until is None else (result.until - START).days

    assert until > day
    for later in range(day, until):
        assert rule(later).answer is result.answer


@pytest.mark.parametrize(("left", "right"), list(product(Answer, Answer)))
def test_all_of_and_any_of_follow_the_three_valued_table(left: Answer, right: Answer) -> None:
    """Kleene's strong logic: NO < UNKNOWN < YES."""
    both, either = all_of(an_evaluation(left), an_evaluation(right)), any_of(an_evaluation(left), an_evaluation(right))

    assert RANK[both.answer] == min(RANK[left], RANK[right])
    assert RANK[either.answer] == max(RANK[left], RANK[right])


@given(st.lists(EVALUATIONS, min_size=1, max_size=5))
def test_de_morgans_laws_hold_for_answers_and_untils(parts: list[Evaluation]) -> None:
    left, right = not_(all_of(*parts)), any_of(*(not_(part) for part in parts))

    assert (left.answer, left.until, left.certainty) == (right.answer, right.until, right.certainty)


@given(st.lists(EVALUATIONS, min_size=1, max_size=5), st.randoms())
def test_the_order_of_the_parts_does_not_matter(parts: list[Evaluation], rng: Random) -> None:
    mixed = list(parts)
    rng.shuffle(mixed)
    left, right = all_of(*parts), all_of(*mixed)

    assert (left.answer, left.until, left.certainty) == (right.answer, right.until, right.certainty)
    assert set(left.citations) == set(right.citations)


@given(EVALUATIONS)
def test_double_negation_changes_nothing(part: Evaluation) -> None:
    assert not_(not_(part)) == part


@given(st.lists(EVALUATIONS, max_size=5))
def test_only_an_unknown_answer_names_missing_inputs(parts: list[Evaluation]) -> None:
    for result in (all_of(*parts), any_of(*parts)):
        assert bool(result.missing) == (result.answer is Answer.UNKNOWN)


@given(st.lists(EVALUATIONS, min_size=1, max_size=5))
def test_an_answer_has_the_certainty_of_its_decisive_ground(parts: list[Evaluation]) -> None:
    """Of parts that decide together the lowest certainty counts; of parts that each decide alone, the highest."""
    result = all_of(*parts)
    decisive = [WEAKNESS.index(part.certainty) for part in parts if part.answer is result.answer]

    expected = min(decisive) if result.answer is Answer.NO else max(decisive)
    assert WEAKNESS.index(result.certainty) == expected


def test_one_no_decides_and_only_its_ground_is_kept() -> None:
    result = all_of(yes("fine"), no("too_old"), unknown("not_recorded", [MissingInput(FactName.DIBAO)]))

    assert result.answer is Answer.NO
    assert [reason.code for reason in result.grounds] == ["too_old"]
    assert result.missing == ()


def test_a_no_lasts_as_long_as_the_last_of_its_grounds() -> None:
    soon, late = START + timedelta(days=3), START + timedelta(days=9)

    assert all_of(no("a", until=soon), no("b", until=late)).until == late
    assert all_of(no("a", until=soon), no("b")).until is None
    assert all_of(yes("a", until=soon), yes("b", until=late)).until == soon


def test_unknown_lists_each_missing_input_of_its_undecided_parts_once() -> None:
    dibao, orphan = MissingInput(FactName.DIBAO), MissingInput(FactName.ORPHAN)

    result = all_of(yes("a"), unknown("b", [dibao]), unknown("c", [orphan, dibao]))

    assert result.missing == (dibao, orphan)


def test_a_missing_fact_does_not_hide_a_risk_but_a_known_no_does() -> None:
    assert unless_no(unknown("a", [MissingInput(FactName.DIBAO)])).answer is Answer.YES
    assert unless_no(no("a")).answer is Answer.NO


def test_an_empty_conjunction_is_yes_and_an_empty_disjunction_is_no() -> None:
    assert all_of().answer is Answer.YES
    assert any_of().answer is Answer.NO
