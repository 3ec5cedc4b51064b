"""The stages of childhood that the list names, and a child's schooling (policy part 3.16).

A grade or stage holds for the school year in which it was reported. After that year the answer is unknown: the child is
not assumed to have been promoted.
"""

from datetime import date

from contracts.vocabulary import Certainty, FactName
from services.eligibility.domain.answer import Evaluation, any_of, no, unknown, yes
from services.eligibility.domain.case import Case, flag_is_true, memoized, not_reported, younger_than
from services.eligibility.domain.dates import compulsory_from, reaches, school_year_of, years_on

COMPULSORY_YEARS = 9
_COMPULSORY = ("compulsory", "school-cutoff")
_POST_COMPULSORY = frozenset({"senior", "vocational"})
_COMPULSORY_STAGES = frozenset({"primary", "junior"})
_PUPIL_STATUSES = frozenset({"enrolled", "suspended"})
"""休学 (suspended) keeps the pupil's status."""


def stage(case: Case) -> str | None:
    """Return the reported stage, or the stage of a grade from 1 to 12."""
    reported = case.facts.codes.get(FactName.SCHOOL_STAGE)
    if reported is not None:
        return reported
    grade = case.facts.numbers.get(FactName.SCHOOL_GRADE)
    if grade is None:
        return None
    return "primary" if grade <= 6 else "junior" if grade <= COMPULSORY_YEARS else "senior"


@memoized
def under_seven(case: Case) -> Evaluation:
    """0-6岁, which ends on the day before the seventh birthday."""
    return younger_than(case, 7, cites=("health-norm",), certainty=Certainty.SEEN)


@memoized
def preschool_age(case: Case) -> Evaluation:
    """From the third birthday until the child enters primary school."""
    cites = ("preschool",)
    if stage(case) in _COMPULSORY_STAGES | _POST_COMPULSORY:
        return no("beyond_kindergarten", cites=cites, certainty=Certainty.LAW)
    born = case.facts.dates.get(FactName.BIRTH_DATE)
    if born is None:
        return not_reported(case, FactName.BIRTH_DATE, cites=cites)
    if case.on < born:
        return unknown("birth_date_ahead", [case.missing[FactName.BIRTH_DATE]], until=born, cites=cites)
    three = reaches(born, 3, day_after=case.parameters.ages_day_after)
    begins = compulsory_from(born, case.parameters.school_cutoff)
    deferred = years_on(begins, 1)
    if case.on < three:
        return no("younger_than", until=three, cites=cites, certainty=Certainty.LAW, age=3, day=three.isoformat())
    if case.on < begins:
        return yes("preschool_age", until=begins, cites=cites, certainty=Certainty.LAW, day=begins.isoformat())
    if case.on < deferred:
        if _reported_in_kindergarten_since(case, begins):
            return yes("school_deferred", until=deferred, cites=cites, certainty=Certainty.LAW)
        return unknown("may_have_entered_school", [case.missing[FactName.SCHOOL_STAGE]], until=deferred, cites=cites)
    return no("school_age", cites=_COMPULSORY, certainty=Certainty.RECALLED, day=begins.isoformat())


@memoized
def compulsory_stage(case: Case) -> Evaluation:
    """义务教育阶段: nine school years from the first one whose cut-off finds the child six."""
    reported = stage(case)
    if reported in _POST_COMPULSORY:
        return no("beyond_compulsory", cites=("compulsory",), certainty=Certainty.LAW)
    born = case.facts.dates.get(FactName.BIRTH_DATE)
    if reported in _COMPULSORY_STAGES:
        return _in_compulsory_school(case, born)
    if born is None:
        return not_reported(case, FactName.BIRTH_DATE, cites=_COMPULSORY)
    if case.on < born:
        return unknown("birth_date_ahead", [case.missing[FactName.BIRTH_DATE]], until=born, cites=_COMPULSORY)
    begins = compulsory_from(born, case.parameters.school_cutoff)
    ends = years_on(begins, COMPULSORY_YEARS)
    day = begins.isoformat()
    if case.on < begins:
        return no("below_school_age", until=begins, cites=_COMPULSORY, certainty=Certainty.RECALLED, day=day)
    deferred = years_on(begins, 1)
    if case.on < deferred and _reported_in_kindergarten_since(case, begins):
        missing = [case.missing[FactName.SCHOOL_STAGE]]
        return unknown("school_deferred", missing, until=deferred, cites=_COMPULSORY)
    if case.on < ends:
        return yes("school_age", until=ends, cites=_COMPULSORY, certainty=Certainty.RECALLED, day=day)
    missing = [case.missing[FactName.SCHOOL_STAGE]]
    return unknown("school_years_over", missing, cites=_COMPULSORY, day=ends.isoformat())


@memoized
def pupil(case: Case) -> Evaluation:
    """The child has a pupil's status (学籍)."""
    status = case.facts.codes.get(FactName.SCHOOL_STATUS)
    if status is None:
        return not_reported(case, FactName.SCHOOL_STATUS)
    if status in _PUPIL_STATUSES:
        return yes("school_status", value=status)
    return no("school_status", value=status)


@memoized
def in_kindergarten(case: Case) -> Evaluation:
    """The child attends a kindergarten."""
    reported = stage(case)
    if reported is not None and reported != "kindergarten":
        return no("beyond_kindergarten")
    status = case.facts.codes.get(FactName.SCHOOL_STATUS)
    if status is not None and status not in _PUPIL_STATUSES:
        return no("school_status", value=status)
    unreported = [
        name for name, value in ((FactName.SCHOOL_STAGE, reported), (FactName.SCHOOL_STATUS, status)) if value is None
    ]
    if unreported:
        return not_reported(case, *unreported)
    return yes("in_kindergarten")


@memoized
def final_grade(case: Case) -> Evaluation:
    """The last compulsory year, which ends with the 中考. A lower grade gives NO, because grades are not skipped."""
    reported = stage(case)
    if reported is None:
        return not_reported(case, FactName.SCHOOL_GRADE)
    if reported in _POST_COMPULSORY:
        return no("beyond_compulsory")
    grade = _grade(case)
    if grade is None and reported == "junior":
        return not_reported(case, FactName.SCHOOL_GRADE)
    highest = grade if grade is not None else 6 if reported == "primary" else 0
    last = years_on(_reported_school_year(case), COMPULSORY_YEARS - highest)
    over = years_on(last, 1)
    if case.on < last:
        return no("not_final_grade", until=last, day=last.isoformat())
    if grade == COMPULSORY_YEARS and case.on < over:
        return yes("final_grade", until=over)
    return unknown("school_year_over", [case.missing[FactName.SCHOOL_GRADE]])


@memoized
def aided(case: Case) -> Evaluation:
    """纳入资助对象: on the school authority's list. A child of a usually aided group who is not on it gives UNKNOWN."""
    flag = case.facts.flags.get(FactName.AIDED_STUDENT)
    if flag:
        return flag_is_true(case, FactName.AIDED_STUDENT)
    for group in (FactName.DIBAO, FactName.TEKUN, FactName.ORPHAN, FactName.UNSUPPORTED, FactName.DISABILITY):
        if case.facts.flags.get(group):
            return unknown(
                "usually_aided",
                [case.missing[FactName.AIDED_STUDENT]],
                cites=("aid-groups",),
                certainty=Certainty.INFERRED,
                fact=group.value,
            )
    return flag_is_true(case, FactName.AIDED_STUDENT)


@memoized
def insured(case: Case) -> Evaluation:
    """The child is insured for the current year. A report about one year says nothing about the next."""
    flag = case.facts.flags.get(FactName.INSURED)
    if flag is None:
        return not_reported(case, FactName.INSURED)
    year = case.facts.numbers.get(FactName.INSURED_YEAR)
    if year is None:
        return flag_is_true(case, FactName.INSURED)
    next_year = date(year + 1, 1, 1)
    if case.on >= next_year:
        return unknown("insurance_year_over", [case.missing[FactName.INSURED_YEAR]], year=year)
    if flag:
        return yes("insured_for", until=next_year, year=year)
    return no("not_insured_for", until=next_year, year=year)


@memoized
def disabled(case: Case) -> Evaluation:
    """A certificate, or a reported disability without one. A kind or grade implies a disability."""
    facts = case.facts
    if FactName.DISABILITY in facts.flags:
        return flag_is_true(case, FactName.DISABILITY)
    if FactName.DISABILITY_KIND in facts.numbers or FactName.DISABILITY_GRADE in facts.numbers:
        return yes("told_yes", fact=FactName.DISABILITY.value)
    if facts.flags.get(FactName.DISABILITY_CERTIFIED):
        return yes("told_yes", fact=FactName.DISABILITY.value)
    return not_reported(case, FactName.DISABILITY)


@memoized
def in_difficulty(case: Case) -> Evaluation:
    """困境: poverty, a disability of the child, or a lack of guardianship that a person found (policy part 3.4)."""
    seen = Certainty.SEEN
    grounds = (
        FactName.DIBAO,
        FactName.TEKUN,
        FactName.HARDSHIP_LASTING,
        FactName.ORPHAN,
        FactName.UNSUPPORTED,
    )
    return any_of(
        *(flag_is_true(case, name, cites=("difficulty",), certainty=seen) for name in grounds),
        disabled(case),
        guardian_absent(case),
    )


@memoized
def guardian_absent(case: Case) -> Evaluation:
    """A person found that nobody acts as guardian (监护缺失)."""
    status = case.facts.codes.get(FactName.GUARDIAN_STATUS)
    if status is None:
        return not_reported(case, FactName.GUARDIAN_STATUS)
    if status == "absent":
        return yes("guardian_status", cites=("guardianship",), certainty=Certainty.INFERRED, value=status)
    return no("guardian_status", cites=("guardianship",), certainty=Certainty.INFERRED, value=status)


def _in_compulsory_school(case: Case, born: date | None) -> Evaluation:
    cites, law = ("compulsory",), Certainty.LAW
    if stage(case) == "junior" and case.facts.codes.get(FactName.SCHOOL_STATUS) == "graduated":
        return no("beyond_compulsory", cites=cites, certainty=law)
    grade = _grade(case)
    year = _reported_school_year(case)
    if grade is not None:
        ends = years_on(year, COMPULSORY_YEARS + 1 - grade)
    else:
        ends = years_on(year, 1)
        if born is not None:
            ends = max(ends, years_on(compulsory_from(born, case.parameters.school_cutoff), COMPULSORY_YEARS))
    if case.on < ends:
        return yes("in_compulsory_school", until=ends, cites=cites, certainty=law)
    missing = [case.missing[FactName.SCHOOL_STAGE]]
    return unknown("school_years_over", missing, cites=cites, certainty=law, day=ends.isoformat())


def _grade(case: Case) -> int | None:
    """Return the compulsory grade, unless a stage was reported in a later school year."""
    grade = case.facts.numbers.get(FactName.SCHOOL_GRADE)
    if grade is None or not 1 <= grade <= COMPULSORY_YEARS:
        return None
    stage_day = case.facts.valid_on.get(FactName.SCHOOL_STAGE)
    return None if stage_day is not None and _school_year(case, stage_day) > _school_year_of_grade(case) else grade


def _reported_school_year(case: Case) -> date:
    """Return the school year in which the grade was reported; without a usable grade, that of the stage."""
    if _grade(case) is not None or FactName.SCHOOL_STAGE not in case.facts.valid_on:
        return _school_year_of_grade(case)
    return _school_year(case, case.facts.valid_on[FactName.SCHOOL_STAGE])


def _school_year_of_grade(case: Case) -> date:
    return _school_year(case, case.facts.valid_on[FactName.SCHOOL_GRADE])


def _school_year(case: Case, day: date) -> date:
    return school_year_of(day, case.parameters.school_cutoff)


def _reported_in_kindergarten_since(case: Case, begins: date) -> bool:
    """Return whether kindergarten was reported for a day on or after the day school should have begun."""
    return stage(case) == "kindergarten" and case.facts.valid_on.get(FactName.SCHOOL_STAGE, begins) >= begins
