"""The stages of childhood that the list's rows name, and what is known of a child's schooling (policy part 3.16).

A grade or stage holds for the school year in which it was said: when that year is over and nobody has told more, it is
a question, not a promotion.
"""

from datetime import date

from contracts.vocabulary import Certainty, FactName
from services.eligibility.domain.answer import Finding, any_of, no, unknown, yes
from services.eligibility.domain.case import Case, is_so, not_told, shared, younger_than
from services.eligibility.domain.dates import compulsory_from, reaches, school_year_of, years_on

COMPULSORY_YEARS = 9
_COMPULSORY = ("compulsory", "school-cutoff")
_AFTER = frozenset({"senior", "vocational"})
_WITHIN = frozenset({"primary", "junior"})
_PUPIL = frozenset({"enrolled", "suspended"})
"""休学 keeps the pupil's status."""


def stage(case: Case) -> str | None:
    """The stage that was told, or that a grade of 1..12 names."""
    told = case.facts.codes.get(FactName.SCHOOL_STAGE)
    if told is not None:
        return told
    grade = case.facts.numbers.get(FactName.SCHOOL_GRADE)
    if grade is None:
        return None
    return "primary" if grade <= 6 else "junior" if grade <= COMPULSORY_YEARS else "senior"


@shared
def under_seven(case: Case) -> Finding:
    """0-6岁: until the day before the seventh birthday."""
    return younger_than(case, 7, cites=("health-norm",), certainty=Certainty.SEEN)


@shared
def preschool_age(case: Case) -> Finding:
    """From three until entering primary school."""
    cites = ("preschool",)
    if stage(case) in _WITHIN | _AFTER:
        return no("beyond_kindergarten", cites=cites, certainty=Certainty.LAW)
    born = case.facts.days.get(FactName.BIRTH_DATE)
    if born is None:
        return not_told(case, FactName.BIRTH_DATE, cites=cites)
    if case.on < born:
        return unknown("birth_date_ahead", [case.asks[FactName.BIRTH_DATE]], until=born, cites=cites)
    three = reaches(born, 3, day_after=case.terms.ages_day_after)
    begins = compulsory_from(born, case.terms.school_cutoff)
    deferred = years_on(begins, 1)
    if case.on < three:
        return no("younger_than", until=three, cites=cites, certainty=Certainty.LAW, age=3, day=three.isoformat())
    if case.on < begins:
        return yes("preschool_age", until=begins, cites=cites, certainty=Certainty.LAW, day=begins.isoformat())
    if case.on < deferred:
        if _in_kindergarten_since(case, begins):
            return yes("school_deferred", until=deferred, cites=cites, certainty=Certainty.LAW)
        return unknown("may_have_entered_school", [case.asks[FactName.SCHOOL_STAGE]], until=deferred, cites=cites)
    return no("school_age", cites=_COMPULSORY, certainty=Certainty.RECALLED, day=begins.isoformat())


@shared
def compulsory_stage(case: Case) -> Finding:
    """义务教育阶段: nine school years from the one in which the child is six by the cut-off."""
    told = stage(case)
    if told in _AFTER:
        return no("beyond_compulsory", cites=("compulsory",), certainty=Certainty.LAW)
    born = case.facts.days.get(FactName.BIRTH_DATE)
    if told in _WITHIN:
        return _in_compulsory_school(case, born)
    if born is None:
        return not_told(case, FactName.BIRTH_DATE, cites=_COMPULSORY)
    if case.on < born:
        return unknown("birth_date_ahead", [case.asks[FactName.BIRTH_DATE]], until=born, cites=_COMPULSORY)
    begins = compulsory_from(born, case.terms.school_cutoff)
    ends = years_on(begins, COMPULSORY_YEARS)
    day = begins.isoformat()
    if case.on < begins:
        return no("below_school_age", until=begins, cites=_COMPULSORY, certainty=Certainty.RECALLED, day=day)
    deferred = years_on(begins, 1)
    if case.on < deferred and _in_kindergarten_since(case, begins):
        missing = [case.asks[FactName.SCHOOL_STAGE]]
        return unknown("school_deferred", missing, until=deferred, cites=_COMPULSORY)
    if case.on < ends:
        return yes("school_age", until=ends, cites=_COMPULSORY, certainty=Certainty.RECALLED, day=day)
    missing = [case.asks[FactName.SCHOOL_STAGE]]
    return unknown("school_years_over", missing, cites=_COMPULSORY, day=ends.isoformat())


@shared
def pupil(case: Case) -> Finding:
    """Holds a pupil's status now."""
    status = case.facts.codes.get(FactName.SCHOOL_STATUS)
    if status is None:
        return not_told(case, FactName.SCHOOL_STATUS)
    if status in _PUPIL:
        return yes("school_status", value=status)
    return no("school_status", value=status)


@shared
def in_kindergarten(case: Case) -> Finding:
    """Attends a kindergarten."""
    told = stage(case)
    if told is not None and told != "kindergarten":
        return no("beyond_kindergarten")
    status = case.facts.codes.get(FactName.SCHOOL_STATUS)
    if status is not None and status not in _PUPIL:
        return no("school_status", value=status)
    untold = [
        name for name, value in ((FactName.SCHOOL_STAGE, told), (FactName.SCHOOL_STATUS, status)) if value is None
    ]
    if untold:
        return not_told(case, *untold)
    return yes("in_kindergarten")


@shared
def final_grade(case: Case) -> Finding:
    """In the last compulsory year, at whose end the 中考 is. Grades may be repeated, not jumped: below is a safe no."""
    told = stage(case)
    if told is None:
        return not_told(case, FactName.SCHOOL_GRADE)
    if told in _AFTER:
        return no("beyond_compulsory")
    grade = _grade(case)
    if grade is None and told == "junior":
        return not_told(case, FactName.SCHOOL_GRADE)
    highest = grade if grade is not None else 6 if told == "primary" else 0
    last = years_on(_year_said(case), COMPULSORY_YEARS - highest)
    over = years_on(last, 1)
    if case.on < last:
        return no("not_final_grade", until=last, day=last.isoformat())
    if grade == COMPULSORY_YEARS and case.on < over:
        return yes("final_grade", until=over)
    return unknown("school_year_over", [case.asks[FactName.SCHOOL_GRADE]])


@shared
def aided(case: Case) -> Finding:
    """纳入资助对象: on the school authority's list. A group usually aided but not on it is a question for the list."""
    flag = case.facts.flags.get(FactName.AIDED_STUDENT)
    if flag:
        return is_so(case, FactName.AIDED_STUDENT)
    for group in (FactName.DIBAO, FactName.TEKUN, FactName.ORPHAN, FactName.UNSUPPORTED, FactName.DISABILITY):
        if case.facts.flags.get(group):
            return unknown(
                "usually_aided",
                [case.asks[FactName.AIDED_STUDENT]],
                cites=("aid-groups",),
                certainty=Certainty.INFERRED,
                fact=group.value,
            )
    return is_so(case, FactName.AIDED_STUDENT)


@shared
def insured(case: Case) -> Finding:
    """Insured for the year asked about: what was said of one year says nothing of the next."""
    flag = case.facts.flags.get(FactName.INSURED)
    if flag is None:
        return not_told(case, FactName.INSURED)
    year = case.facts.numbers.get(FactName.INSURED_YEAR)
    if year is None:
        return is_so(case, FactName.INSURED)
    next_year = date(year + 1, 1, 1)
    if case.on >= next_year:
        return unknown("insurance_year_over", [case.asks[FactName.INSURED_YEAR]], year=year)
    if flag:
        return yes("insured_for", until=next_year, year=year)
    return no("not_insured_for", until=next_year, year=year)


@shared
def disabled(case: Case) -> Finding:
    """A certificate, or a disability that was told without one. A kind or grade says as much."""
    facts = case.facts
    if FactName.DISABILITY in facts.flags:
        return is_so(case, FactName.DISABILITY)
    if FactName.DISABILITY_KIND in facts.numbers or FactName.DISABILITY_GRADE in facts.numbers:
        return yes("told_yes", fact=FactName.DISABILITY.value)
    if facts.flags.get(FactName.DISABILITY_CERTIFIED):
        return yes("told_yes", fact=FactName.DISABILITY.value)
    return not_told(case, FactName.DISABILITY)


@shared
def in_difficulty(case: Case) -> Finding:
    """困境: poverty, own disability, or guardianship found lacking by a person (policy part 3.4)."""
    seen = Certainty.SEEN
    grounds = (
        FactName.DIBAO,
        FactName.TEKUN,
        FactName.HARDSHIP_LASTING,
        FactName.ORPHAN,
        FactName.UNSUPPORTED,
    )
    return any_of(
        *(is_so(case, name, cites=("difficulty",), certainty=seen) for name in grounds),
        disabled(case),
        guardian_absent(case),
    )


@shared
def guardian_absent(case: Case) -> Finding:
    """A person found that nobody acts as guardian."""
    status = case.facts.codes.get(FactName.GUARDIAN_STATUS)
    if status is None:
        return not_told(case, FactName.GUARDIAN_STATUS)
    if status == "absent":
        return yes("guardian_status", cites=("guardianship",), certainty=Certainty.INFERRED, value=status)
    return no("guardian_status", cites=("guardianship",), certainty=Certainty.INFERRED, value=status)


def _in_compulsory_school(case: Case, born: date | None) -> Finding:
    cites, law = ("compulsory",), Certainty.LAW
    if stage(case) == "junior" and case.facts.codes.get(FactName.SCHOOL_STATUS) == "graduated":
        return no("beyond_compulsory", cites=cites, certainty=law)
    grade = _grade(case)
    said = _year_said(case)
    if grade is not None:
        ends = years_on(said, COMPULSORY_YEARS + 1 - grade)
    else:
        ends = years_on(said, 1)
        if born is not None:
            ends = max(ends, years_on(compulsory_from(born, case.terms.school_cutoff), COMPULSORY_YEARS))
    if case.on < ends:
        return yes("in_compulsory_school", until=ends, cites=cites, certainty=law)
    missing = [case.asks[FactName.SCHOOL_STAGE]]
    return unknown("school_years_over", missing, cites=cites, certainty=law, day=ends.isoformat())


def _grade(case: Case) -> int | None:
    """The compulsory grade, unless a stage was told in a later school year than it."""
    grade = case.facts.numbers.get(FactName.SCHOOL_GRADE)
    if grade is None or not 1 <= grade <= COMPULSORY_YEARS:
        return None
    stage_said = case.facts.said.get(FactName.SCHOOL_STAGE)
    return None if stage_said is not None and _year(case, stage_said) > _year_of_grade(case) else grade


def _year_said(case: Case) -> date:
    """The school year in which the grade was said, or, without a usable grade, the stage."""
    if _grade(case) is not None or FactName.SCHOOL_STAGE not in case.facts.said:
        return _year_of_grade(case)
    return _year(case, case.facts.said[FactName.SCHOOL_STAGE])


def _year_of_grade(case: Case) -> date:
    return _year(case, case.facts.said[FactName.SCHOOL_GRADE])


def _year(case: Case, day: date) -> date:
    return school_year_of(day, case.terms.school_cutoff)


def _in_kindergarten_since(case: Case, begins: date) -> bool:
    """Said to be in kindergarten after the day school should have begun."""
    return stage(case) == "kindergarten" and case.facts.said.get(FactName.SCHOOL_STAGE, begins) >= begins
