"""监护缺失 and its risk: what a person found, and what the facts show that a person must look at (policy part 3.12).

No statute defines the phrase: the working definition is ours, and says so.
"""

from collections.abc import Iterable
from datetime import date

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import Evaluation, all_of, earliest_until, no, unknown, yes
from services.eligibility.domain.case import Case, memoized, not_reported, younger_than

_CITES = ("guardianship",)
_UNABLE_STATUSES = frozenset({"dead", "missing", "not_found", "no_capacity", "revoked"})
"""A parent of whom this is said cannot act as guardian."""
_PARENTS = (FactName.FATHER_STATUS, FactName.MOTHER_STATUS)


@memoized
def guardianship_lacking_or_at_risk(case: Case) -> Evaluation:
    """A person's finding decides. What only the facts show is a question for a person."""
    status = case.facts.codes.get(FactName.GUARDIAN_STATUS)
    if status in ("absent", "at_risk"):
        return yes("guardian_status", cites=_CITES, certainty=Certainty.INFERRED, value=status)
    looked_at = (no_guardian(case), alone_under_age(case), entrusted_without_paper(case))
    until = earliest_until(looked_at)
    shown = [found for found in looked_at if found.answer is Answer.YES]
    asked = (case.missing[FactName.GUARDIAN_STATUS],)
    if shown:
        reasons = tuple(reason for found in shown for reason in found.grounds)
        return Evaluation(Answer.UNKNOWN, reasons, asked, _CITES, Certainty.INFERRED, until)
    if status is None:
        fact = FactName.GUARDIAN_STATUS.value
        return unknown("not_told", asked, until=until, cites=_CITES, certainty=Certainty.INFERRED, fact=fact)
    return no("guardian_status", until=until, cites=_CITES, certainty=Certainty.INFERRED, value=status)


@memoized
def no_guardian(case: Case) -> Evaluation:
    """Neither parent can act, and no other legal guardian lives with the child (未保法 94)."""
    cites = ("no-guardian",)
    if _found_effective_later(case, _PARENTS):
        return no("guardian_status", cites=cites, certainty=Certainty.INFERRED, value="effective")
    statuses = [(name, case.facts.codes.get(name)) for name in _PARENTS]
    able = [name for name, status in statuses if status is not None and status not in _UNABLE_STATUSES]
    if able:
        return no("parent_can_act", cites=cites, fact=able[0].value)
    if case.facts.flags.get(FactName.LIVES_WITH_GUARDIAN):
        return no("guardian_lives_with", cites=cites)
    untold = [name for name, status in statuses if status is None]
    if untold:
        return not_reported(case, *untold, cites=cites)
    if FactName.LIVES_WITH_GUARDIAN not in case.facts.flags:
        return unknown("parents_cannot_act", [case.missing[FactName.LIVES_WITH_GUARDIAN]], cites=cites)
    return yes("no_guardian", cites=cites, certainty=Certainty.LAW)


@memoized
def alone_under_age(case: Case) -> Evaluation:
    """Under 16 and living alone (未保法 21). A person who looked later and found a guardian at work is believed."""
    cites, law = ("alone",), Certainty.LAW
    alone = case.facts.flags.get(FactName.LIVES_ALONE)
    if alone is None:
        return not_reported(case, FactName.LIVES_ALONE, cites=cites)
    if not alone:
        return no("told_no", cites=cites, fact=FactName.LIVES_ALONE.value)
    if _found_effective_later(case, (FactName.LIVES_ALONE,)):
        return no("guardian_status", cites=cites, certainty=Certainty.INFERRED, value="effective")
    told = yes("told_yes", cites=cites, certainty=law, fact=FactName.LIVES_ALONE.value)
    return all_of(told, younger_than(case, 16, cites=cites, certainty=law))


@memoized
def entrusted_without_paper(case: Case) -> Evaluation:
    """In the care of a caretaker, no guardian in the house, and no written 委托照护 (未保法 22-23)."""
    cites = ("entrusted",)
    flags = case.facts.flags
    with_guardian = any(
        flags.get(name)
        for name in (FactName.LIVES_WITH_FATHER, FactName.LIVES_WITH_MOTHER, FactName.LIVES_WITH_GUARDIAN)
    )
    if with_guardian:
        return no("guardian_lives_with", cites=cites)
    if flags.get(FactName.LIVES_WITH_CARETAKER) is None:
        return not_reported(case, FactName.LIVES_WITH_CARETAKER, cites=cites)
    if not flags[FactName.LIVES_WITH_CARETAKER]:
        return no("told_no", cites=cites, fact=FactName.LIVES_WITH_CARETAKER.value)
    if _found_effective_later(case, (FactName.LIVES_WITH_CARETAKER, FactName.WRITTEN_CARE_AGREEMENT)):
        return no("guardian_status", cites=cites, certainty=Certainty.INFERRED, value="effective")
    if FactName.WRITTEN_CARE_AGREEMENT not in flags:
        return not_reported(case, FactName.WRITTEN_CARE_AGREEMENT, cites=cites)
    if flags[FactName.WRITTEN_CARE_AGREEMENT]:
        return no("care_agreement", cites=cites)
    return yes("no_care_agreement", cites=cites, certainty=Certainty.INFERRED)


def _found_effective_later(case: Case, names: Iterable[FactName]) -> bool:
    """A person found the guardianship effective on a day no earlier than what the facts speak of."""
    if case.facts.codes.get(FactName.GUARDIAN_STATUS) != "effective":
        return False
    said = case.facts.valid_on
    found = said[FactName.GUARDIAN_STATUS]
    return all(said.get(name, date.min) <= found for name in names)
