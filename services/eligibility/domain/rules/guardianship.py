"""监护缺失 and its risk: what a person found, and facts that a person must verify (policy part 3.12).

No statute defines the phrase. The working definition is Hutong's own and cited as such.
"""

from collections.abc import Iterable
from datetime import date

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import Evaluation, all_of, earliest_until, no, unknown, yes
from services.eligibility.domain.case import Case, memoized, not_reported, younger_than

_CITES = ("guardianship",)
_UNABLE_STATUSES = frozenset({"dead", "missing", "not_found", "no_capacity", "revoked"})
"""The statuses of a parent who cannot act as guardian."""
_PARENTS = (FactName.FATHER_STATUS, FactName.MOTHER_STATUS)


@memoized
def guardianship_lacking_or_at_risk(case: Case) -> Evaluation:
    """A person's finding decides. What only the facts show gives UNKNOWN, so that a person verifies it."""
    status = case.facts.codes.get(FactName.GUARDIAN_STATUS)
    if status in ("absent", "at_risk"):
        return yes("guardian_status", cites=_CITES, certainty=Certainty.INFERRED, value=status)
    risks = (no_guardian(case), alone_under_age(case), entrusted_without_paper(case))
    until = earliest_until(risks)
    shown = [risk for risk in risks if risk.answer is Answer.YES]
    missing = (case.missing[FactName.GUARDIAN_STATUS],)
    if shown:
        grounds = tuple(ground for risk in shown for ground in risk.grounds)
        return Evaluation(Answer.UNKNOWN, grounds, missing, _CITES, Certainty.INFERRED, until)
    if status is None:
        fact = FactName.GUARDIAN_STATUS.value
        return unknown("not_told", missing, until=until, cites=_CITES, certainty=Certainty.INFERRED, fact=fact)
    return no("guardian_status", until=until, cites=_CITES, certainty=Certainty.INFERRED, value=status)


@memoized
def no_guardian(case: Case) -> Evaluation:
    """Neither parent can act as guardian, and no other legal guardian lives with the child (未保法 94)."""
    cites = ("no-guardian",)
    if _found_effective_later(case, _PARENTS):
        return no("guardian_status", cites=cites, certainty=Certainty.INFERRED, value="effective")
    statuses = [(name, case.facts.codes.get(name)) for name in _PARENTS]
    able = [name for name, status in statuses if status is not None and status not in _UNABLE_STATUSES]
    if able:
        return no("parent_can_act", cites=cites, fact=able[0].value)
    if case.facts.flags.get(FactName.LIVES_WITH_GUARDIAN):
        return no("guardian_lives_with", cites=cites)
    unreported = [name for name, status in statuses if status is None]
    if unreported:
        return not_reported(case, *unreported, cites=cites)
    if FactName.LIVES_WITH_GUARDIAN not in case.facts.flags:
        return unknown("parents_cannot_act", [case.missing[FactName.LIVES_WITH_GUARDIAN]], cites=cites)
    return yes("no_guardian", cites=cites, certainty=Certainty.LAW)


@memoized
def alone_under_age(case: Case) -> Evaluation:
    """A child under 16 lives alone (未保法 21). A later finding of effective guardianship overrides it."""
    cites, law = ("alone",), Certainty.LAW
    alone = case.facts.flags.get(FactName.LIVES_ALONE)
    if alone is None:
        return not_reported(case, FactName.LIVES_ALONE, cites=cites)
    if not alone:
        return no("told_no", cites=cites, fact=FactName.LIVES_ALONE.value)
    if _found_effective_later(case, (FactName.LIVES_ALONE,)):
        return no("guardian_status", cites=cites, certainty=Certainty.INFERRED, value="effective")
    living_alone = yes("told_yes", cites=cites, certainty=law, fact=FactName.LIVES_ALONE.value)
    return all_of(living_alone, younger_than(case, 16, cites=cites, certainty=law))


@memoized
def entrusted_without_paper(case: Case) -> Evaluation:
    """A caretaker looks after the child, no guardian lives there, and no written 委托照护 exists (未保法 22-23)."""
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
    """Return whether a person found the guardianship effective no earlier than the facts' ``valid_on``."""
    if case.facts.codes.get(FactName.GUARDIAN_STATUS) != "effective":
        return False
    valid_on = case.facts.valid_on
    found_on = valid_on[FactName.GUARDIAN_STATUS]
    return all(valid_on.get(name, date.min) <= found_on for name in names)
