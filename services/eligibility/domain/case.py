"""One child on one day, and the questions that many rules ask of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, wraps

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import (
    Finding,
    Missing,
    Param,
    Reason,
    all_of,
    no,
    not_,
    unknown,
    yes,
)
from services.eligibility.domain.dates import add_months, reaches
from services.eligibility.domain.facts import Facts
from services.eligibility.domain.terms import Asks, Terms

PERMIT_MONTHS = 13
"""How long it is believed that a residence permit works: the year of a signature and a month of grace (part 8.3)."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule is asked about."""

    facts: Facts
    terms: Terms
    on: date
    holders: Asks
    """Whom to ask, for a child of this township."""
    known: dict["Question", Finding] = field(default_factory=dict, compare=False, repr=False)
    """Questions already answered for this child and day."""

    @property
    def asks(self) -> Mapping[FactName, Missing]:
        """What to say when a fact is missing."""
        return self.holders.missing


Question = Callable[[Case], Finding]


def case_of(facts: Facts, terms: Terms, on: date) -> Case:
    """A child on a day."""
    residence = facts.codes.get(FactName.RESIDENCE_DIVISION)
    town = terms.towns.get(residence[:9]) if residence is not None else None
    return Case(facts, terms, on, terms.asks[town])


def shared(question: Question) -> Question:
    """A question that several rules ask: answered once for a child and day."""

    @wraps(question)
    def once(case: Case) -> Finding:
        found = case.known.get(question)
        if found is None:
            found = case.known[question] = question(case)
        return found

    return once


def not_told(case: Case, *names: FactName, cites: tuple[str, ...] = ()) -> Finding:
    """Nobody has told these facts."""
    known = case.holders.untold
    found = known.get((names, cites))
    if found is None:
        reasons = tuple(Reason("not_told", None, {"fact": name.value}) for name in names)
        missing = tuple(case.asks[name] for name in names)
        found = known[names, cites] = Finding(Answer.UNKNOWN, reasons, missing, cites)
    return found


def is_so(
    case: Case, name: FactName, *, cites: tuple[str, ...] = (), certainty: Certainty = Certainty.STATED
) -> Finding:
    """What was said of a fact that is true or false."""
    flag = case.facts.flags.get(name)
    return not_told(case, name, cites=cites) if flag is None else _told(name, flag, cites, certainty)


def is_not_so(case: Case, name: FactName, *, cites: tuple[str, ...] = ()) -> Finding:
    """The opposite: YES when it was said not to be so."""
    flag = case.facts.flags.get(name)
    return not_told(case, name, cites=cites) if flag is None else _told_not(name, flag, cites)


@cache
def _told_not(name: FactName, flag: bool, cites: tuple[str, ...]) -> Finding:
    return not_(_told(name, flag, cites, Certainty.STATED))


@cache
def _told(name: FactName, flag: bool, cites: tuple[str, ...], certainty: Certainty) -> Finding:
    made = yes if flag else no
    return made("told_yes" if flag else "told_no", cites=cites, certainty=certainty, fact=name.value)


def younger_than(
    case: Case, age: int, *, cites: tuple[str, ...] = (), certainty: Certainty = Certainty.STATED
) -> Finding:
    """不满 ``age`` 周岁: until the day the age is reached, which the county may set to the day after the birthday."""
    born = case.facts.days.get(FactName.BIRTH_DATE)
    if born is None:
        return not_told(case, FactName.BIRTH_DATE, cites=cites)
    if case.on < born:
        return unknown("birth_date_ahead", [case.asks[FactName.BIRTH_DATE]], until=born, cites=cites)
    day = reaches(born, age, day_after=case.terms.ages_day_after)
    if case.on < day:
        return yes("younger_than", until=day, cites=cites, certainty=certainty, age=age, day=day.isoformat())
    return no("reached_age", cites=cites, certainty=certainty, age=age, day=day.isoformat())


def county_says(case: Case, term: str) -> Finding:
    """符合条件的: a term that the county defines. Not defined: unknown, never invented."""
    criterion = case.terms.criteria.get(term)
    if criterion is None:
        return case.terms.undefined[term]
    params: dict[str, Param] = {"term": term}
    if criterion.invented:
        params["invented"] = True
    cites, certainty = (f"criterion:{term}",), criterion.certainty
    met = Finding(Answer.YES, (Reason("criterion_met", True, params),), (), cites, certainty)
    parts = [met]
    for name, wanted in criterion.requires:
        told = case.facts.told(name)
        about = {**params, "fact": name.value}
        if told is None:
            asked = (case.asks[name],)
            parts.append(Finding(Answer.UNKNOWN, (Reason("criterion_open", None, about),), asked, cites, certainty))
        elif told != wanted:
            parts.append(Finding(Answer.NO, (Reason("criterion_not_met", False, about),), (), cites, certainty))
        elif name is FactName.RESIDENCE_PERMIT and told == "true":
            parts.append(_permit_signed(case, cites))
    return all_of(*parts)


def _permit_signed(case: Case, cites: tuple[str, ...]) -> Finding:
    """A permit is signed every year and does not work unsigned (居住证暂行条例 10): old evidence is a question."""
    seen = case.facts.said[FactName.RESIDENCE_PERMIT]
    signed = case.facts.days.get(FactName.RESIDENCE_PERMIT_SIGNED)
    since = seen if signed is None else max(seen, signed)
    due = add_months(since, PERMIT_MONTHS)
    if case.on < due:
        return Finding(Answer.YES, until=due)
    return unknown(
        "permit_unsigned",
        [case.asks[FactName.RESIDENCE_PERMIT_SIGNED]],
        cites=(*cites, "permit-signature"),
        certainty=Certainty.INFERRED,
        since=since.isoformat(),
        months=PERMIT_MONTHS,
    )
