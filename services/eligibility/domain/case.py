"""One child on one day, and the questions that many rules share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, wraps

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import (
    Evaluation,
    Ground,
    MissingInput,
    Param,
    all_of,
    no,
    not_,
    unknown,
    yes,
)
from services.eligibility.domain.dates import add_months, reaches
from services.eligibility.domain.facts import Facts
from services.eligibility.domain.parameters import MissingInputs, RuleParameters

PERMIT_MONTHS = 13
"""A residence permit counts as valid for the year after its endorsement and one month of grace (policy part 8.3)."""


@dataclass(frozen=True, slots=True)
class Case:
    """The input of a rule: a child's facts, the county's parameters and the day."""

    facts: Facts
    parameters: RuleParameters
    on: date
    missing_inputs: MissingInputs
    """The missing inputs, with the units to ask about a child of this township."""
    evaluations: dict["Question", Evaluation] = field(default_factory=dict, compare=False, repr=False)
    """Memoized evaluations of this child and day."""

    @property
    def missing(self) -> Mapping[FactName, MissingInput]:
        """Fact -> the missing input to report when nobody has reported the fact."""
        return self.missing_inputs.by_fact


Question = Callable[[Case], Evaluation]


def new_case(facts: Facts, parameters: RuleParameters, on: date) -> Case:
    """Build the case of a child on a day."""
    residence = facts.codes.get(FactName.RESIDENCE_DIVISION)
    town = parameters.townships.get(residence[:9]) if residence is not None else None
    return Case(facts, parameters, on, parameters.missing_inputs[town])


def memoized(question: Question) -> Question:
    """Decorate a question that several rules share, so that it is evaluated once per child and day."""

    @wraps(question)
    def once(case: Case) -> Evaluation:
        evaluation = case.evaluations.get(question)
        if evaluation is None:
            evaluation = case.evaluations[question] = question(case)
        return evaluation

    return once


def not_reported(case: Case, *names: FactName, cites: tuple[str, ...] = ()) -> Evaluation:
    """Answer unknown because no source has reported these facts."""
    memoized_evaluations = case.missing_inputs.evaluations
    evaluation = memoized_evaluations.get((names, cites))
    if evaluation is None:
        reasons = tuple(Ground("not_told", None, {"fact": name.value}) for name in names)
        missing = tuple(case.missing[name] for name in names)
        evaluation = memoized_evaluations[names, cites] = Evaluation(Answer.UNKNOWN, reasons, missing, cites)
    return evaluation


def flag_is_true(
    case: Case, name: FactName, *, cites: tuple[str, ...] = (), certainty: Certainty = Certainty.STATED
) -> Evaluation:
    """Answer whether a flag is true; unknown if it has not been reported."""
    flag = case.facts.flags.get(name)
    return not_reported(case, name, cites=cites) if flag is None else _reported_flag(name, flag, cites, certainty)


def flag_is_false(case: Case, name: FactName, *, cites: tuple[str, ...] = ()) -> Evaluation:
    """Answer whether a flag is false; unknown if it has not been reported."""
    flag = case.facts.flags.get(name)
    return not_reported(case, name, cites=cites) if flag is None else _negated_flag(name, flag, cites)


@cache
def _negated_flag(name: FactName, flag: bool, cites: tuple[str, ...]) -> Evaluation:
    return not_(_reported_flag(name, flag, cites, Certainty.STATED))


@cache
def _reported_flag(name: FactName, flag: bool, cites: tuple[str, ...], certainty: Certainty) -> Evaluation:
    made = yes if flag else no
    return made("told_yes" if flag else "told_no", cites=cites, certainty=certainty, fact=name.value)


def younger_than(
    case: Case, age: int, *, cites: tuple[str, ...] = (), certainty: Certainty = Certainty.STATED
) -> Evaluation:
    """Answer 不满 ``age`` 周岁. The county may count an age as reached on the day after the birthday."""
    born = case.facts.dates.get(FactName.BIRTH_DATE)
    if born is None:
        return not_reported(case, FactName.BIRTH_DATE, cites=cites)
    if case.on < born:
        return unknown("birth_date_ahead", [case.missing[FactName.BIRTH_DATE]], until=born, cites=cites)
    day = reaches(born, age, day_after=case.parameters.ages_day_after)
    if case.on < day:
        return yes("younger_than", until=day, cites=cites, certainty=certainty, age=age, day=day.isoformat())
    return no("reached_age", cites=cites, certainty=certainty, age=age, day=day.isoformat())


def county_criterion(case: Case, term: str) -> Evaluation:
    """Answer whether the child meets the county's definition of a term (符合条件的); unknown if it is not defined."""
    criterion = case.parameters.criteria.get(term)
    if criterion is None:
        return case.parameters.undefined_terms[term]
    params: dict[str, Param] = {"term": term}
    if criterion.invented:
        params["invented"] = True
    cites, certainty = (f"criterion:{term}",), criterion.certainty
    met = Evaluation(Answer.YES, (Ground("criterion_met", True, params),), (), cites, certainty)
    parts = [met]
    for name, required in criterion.requires:
        value = case.facts.criterion_value(name)
        about = {**params, "fact": name.value}
        if value is None:
            asked = (case.missing[name],)
            parts.append(Evaluation(Answer.UNKNOWN, (Ground("criterion_open", None, about),), asked, cites, certainty))
        elif value != required:
            parts.append(Evaluation(Answer.NO, (Ground("criterion_not_met", False, about),), (), cites, certainty))
        elif name is FactName.RESIDENCE_PERMIT and value == "true":
            parts.append(_permit_in_force(case, cites))
    return all_of(*parts)


def _permit_in_force(case: Case, cites: tuple[str, ...]) -> Evaluation:
    """Answer whether the permit is in force. It lapses without a yearly endorsement (居住证暂行条例 10)."""
    seen = case.facts.valid_on[FactName.RESIDENCE_PERMIT]
    signed = case.facts.dates.get(FactName.RESIDENCE_PERMIT_SIGNED)
    since = seen if signed is None else max(seen, signed)
    due = add_months(since, PERMIT_MONTHS)
    if case.on < due:
        return Evaluation(Answer.YES, until=due)
    return unknown(
        "permit_unsigned",
        [case.missing[FactName.RESIDENCE_PERMIT_SIGNED]],
        cites=(*cites, "permit-signature"),
        certainty=Certainty.INFERRED,
        since=since.isoformat(),
        months=PERMIT_MONTHS,
    )
