"""Rules for service gaps and risks that the facts show. The county's routes determine where each finding is sent.

Gaps concern migrant children here, and children of the wider statistical group whose families asked for help (article
二). Risks to safety concern any minor here who is not known to live in the hukou township, because a child who lives
alone never counts as accompanied.
"""

from datetime import timedelta

from contracts.vocabulary import Certainty, FactName, FindingCode, Level
from services.eligibility.domain.answer import Evaluation, all_of, any_of, no, not_, with_one_ground, yes
from services.eligibility.domain.case import Case, flag_is_false, flag_is_true, memoized, not_reported, younger_than
from services.eligibility.domain.dates import add_months, earliest
from services.eligibility.domain.rulebook import gap
from services.eligibility.domain.rules.definition import (
    lives_here,
    migrant_here,
    minor_living_here,
    statistical,
    young_and_not_known_local,
)
from services.eligibility.domain.rules.guardianship import (
    alone_under_age,
    entrusted_without_paper,
    no_guardian,
)
from services.eligibility.domain.rules.livelihood import disability_subsidies, rehabilitation_aid
from services.eligibility.domain.rules.stages import (
    compulsory_stage,
    disabled,
    preschool_age,
    stage,
    under_seven,
)

HEALTH_VISITS = (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72)
"""The ages in months of the health visits for 0-6岁 (policy part 1.10, B-1)."""
VISIT_LEEWAY = timedelta(days=30)
"""A visit may be this much early, and a missing visit is a gap when it is this much late (policy part 8.3)."""
PARENTS = (FactName.FATHER_STATUS, FactName.MOTHER_STATUS)
NO_SUPPORT = frozenset({"dead", "missing", "not_found", "revoked", "unsupporting"})
"""The statuses of a parent who gives no support. ``unsupporting`` is an authority's result without its ground."""


@memoized
def service_gap_audience(case: Case) -> Evaluation:
    """A 流动儿童 here, or a child who left the hukou township and “主动提出救助帮扶需求”."""
    requested = all_of(
        flag_is_true(case, FactName.HELP_REQUESTED, cites=("request",)),
        with_one_ground("statistical_child", statistical(case)),
        lives_here(case),
    )
    return any_of(migrant_here(case), requested)


@gap(FindingCode.NEVER_ENROLLED, item="B-4(1)", at_least=Level.L2, audience=service_gap_audience)
def never_enrolled(case: Case) -> Evaluation:
    """A child of school age is in no school, and no school has ever reported it."""
    return all_of(compulsory_stage(case), _not_in_school(case), not_(_was_in_school(case)))


@gap(FindingCode.OUT_OF_SCHOOL, item="B-4(1)", at_least=Level.L2, audience=service_gap_audience)
def out_of_school(case: Case) -> Evaluation:
    """A child of school age was in a compulsory school and is no longer a pupil."""
    return all_of(compulsory_stage(case), _not_in_school(case), _was_in_school(case))


@gap(FindingCode.NOT_IN_KINDERGARTEN, item="B-3(1)", audience=service_gap_audience)
def not_in_kindergarten(case: Case) -> Evaluation:
    return all_of(preschool_age(case), _not_in_school(case))


@gap(FindingCode.VACCINATION_GAP, item="B-1(2)", audience=service_gap_audience)
def vaccination_gap(case: Case) -> Evaluation:
    return all_of(under_seven(case), _vaccination_lacking(case))


@gap(FindingCode.VACCINATION_GAP, audience=service_gap_audience)
def vaccination_to_catch_up(case: Case) -> Evaluation:
    """After seven, row 1 ends but catch-up vaccination continues: “适龄儿童” of article 四 (part 3.16)."""
    return all_of(not_(under_seven(case)), _vaccination_lacking(case))


@gap(FindingCode.HEALTH_VISIT_MISSING, item="B-1(1)", audience=service_gap_audience)
def health_visit_missing(case: Case) -> Evaluation:
    return all_of(under_seven(case), _visit_missing(case))


@gap(FindingCode.UNINSURED, item="B-8(1)", audience=service_gap_audience)
def uninsured(case: Case) -> Evaluation:
    """The last report says not insured. The gap continues into a new year until another report arrives."""
    return flag_is_false(case, FactName.INSURED, cites=("insurance",))


@gap(FindingCode.DISABILITY_UNSERVED, item="B-12(2)", audience=service_gap_audience)
def without_rehabilitation(case: Case) -> Evaluation:
    return all_of(rehabilitation_aid(case), flag_is_false(case, FactName.REHABILITATION))


@gap(FindingCode.DISABILITY_UNSERVED, item="B-12(1)", audience=service_gap_audience)
def without_certificate(case: Case) -> Evaluation:
    return all_of(disabled(case), flag_is_false(case, FactName.DISABILITY_CERTIFIED))


@gap(FindingCode.DISABILITY_UNSERVED, item="B-12(1)", audience=service_gap_audience)
def without_subsidy(case: Case) -> Evaluation:
    return all_of(disability_subsidies(case), flag_is_false(case, FactName.DISABILITY_SUBSIDY))


@gap(FindingCode.LASTING_HARDSHIP, item="B-14(1)", audience=service_gap_audience)
def lasting_hardship(case: Case) -> Evaluation:
    """A person found hardship, and neither 低保 nor 特困 is reported. Missing reports of these do not prevent help."""
    drawn = [name for name in (FactName.DIBAO, FactName.TEKUN) if case.facts.flags.get(name)]
    if drawn:
        return no("already_granted", fact=drawn[0].value)
    return flag_is_true(case, FactName.HARDSHIP_LASTING)


@gap(FindingCode.SUDDEN_HARDSHIP, item="B-16", at_least=Level.L1, audience=minor_living_here)
def sudden_hardship(case: Case) -> Evaluation:
    """The hukou must not prevent relief (policy part 3.11)."""
    return flag_is_true(case, FactName.HARDSHIP_SUDDEN, cites=("relief",))


@gap(FindingCode.ORPHAN_OR_UNSUPPORTED, item="B-11(1)", audience=service_gap_audience)
def looks_unsupported(case: Case) -> Evaluation:
    """疑似孤儿或事实无人抚养: each parent is dead, missing, without custody or meets an official ground (3.5, 3.6)."""
    recognised = [name for name in (FactName.ORPHAN, FactName.UNSUPPORTED) if case.facts.flags.get(name)]
    if recognised:
        return no("already_granted", fact=recognised[0].value)
    return all_of(*(_gives_no_support(case, name) for name in PARENTS))


@gap(FindingCode.HOUSING_DIFFICULTY, item="B-10", audience=service_gap_audience)
def housing_difficulty(case: Case) -> Evaluation:
    return flag_is_true(case, FactName.HOUSING_DIFFICULTY)


@gap(FindingCode.MENTAL_DISTRESS, item="B-19(2)", at_least=Level.L2, audience=service_gap_audience)
def psychological_need(case: Case) -> Evaluation:
    return flag_is_true(case, FactName.PSYCHOLOGICAL_NEED)


@gap(FindingCode.HELP_REQUESTED, audience=young_and_not_known_local)
def help_requested(case: Case) -> Evaluation:
    """The sixth ground of the key-care ledger, which includes moves within the county (policy part 0.2)."""
    return flag_is_true(case, FactName.HELP_REQUESTED, cites=("request",))


@gap(FindingCode.UNATTENDED, item="B-17", at_least=Level.L0, audience=young_and_not_known_local)
def unattended(case: Case) -> Evaluation:
    """无人看护: a child under eight lives alone (未保法 21)."""
    return all_of(alone_under_age(case), _under_unattended_age(case))


@gap(FindingCode.GUARDIANSHIP_AT_RISK, item="B-17", at_least=Level.L1, audience=young_and_not_known_local)
def alone_under_sixteen(case: Case) -> Evaluation:
    return all_of(alone_under_age(case), not_(_under_unattended_age(case)))


@gap(FindingCode.NO_GUARDIAN, item="B-17", at_least=Level.L1, audience=young_and_not_known_local)
def without_guardian(case: Case) -> Evaluation:
    return no_guardian(case)


@gap(FindingCode.GUARDIAN_MISSING, item="B-17", audience=young_and_not_known_local)
def guardian_absent(case: Case) -> Evaluation:
    return _guardian_status(case, "absent")


@gap(FindingCode.GUARDIANSHIP_AT_RISK, item="B-17", at_least=Level.L2, audience=young_and_not_known_local)
def guardian_at_risk(case: Case) -> Evaluation:
    return _guardian_status(case, "at_risk")


@gap(FindingCode.GUARDIANSHIP_AT_RISK, item="B-17", at_least=Level.L2, audience=young_and_not_known_local)
def entrusted_without_agreement(case: Case) -> Evaluation:
    return entrusted_without_paper(case)


@memoized
def _under_unattended_age(case: Case) -> Evaluation:
    return younger_than(case, case.parameters.unattended_age, cites=("alone",), certainty=Certainty.LAW)


@memoized
def _vaccination_lacking(case: Case) -> Evaluation:
    """Doses are overdue, or the residence has no vaccination file."""
    status = case.facts.codes.get(FactName.VACCINATION_STATUS)
    here = case.facts.flags.get(FactName.VACCINATION_FILE_HERE)
    cites = ("vaccination",)
    if status in ("overdue", "none"):
        return yes("vaccination_status", cites=cites, value=status)
    if here is False:
        return yes("told_no", cites=cites, fact=FactName.VACCINATION_FILE_HERE.value)
    if status is None:
        return not_reported(case, FactName.VACCINATION_STATUS, cites=cites)
    return no("vaccination_status", cites=cites, value=status)


@memoized
def _not_in_school(case: Case) -> Evaluation:
    """The child is in no school or kindergarten. A graduate is not counted, because the next school's list follows."""
    status = case.facts.codes.get(FactName.SCHOOL_STATUS)
    if status is None:
        return not_reported(case, FactName.SCHOOL_STATUS)
    if status in ("dropped_out", "not_enrolled"):
        return yes("school_status", value=status)
    return no("school_status", value=status)


@memoized
def _was_in_school(case: Case) -> Evaluation:
    """A compulsory school reported the child before: its stage or grade, or that it left."""
    reported = stage(case)
    left = reported is None and case.facts.codes.get(FactName.SCHOOL_STATUS) == "dropped_out"
    if left or reported in ("primary", "junior"):
        return yes("was_in_school", cites=("school-duty",))
    return no("never_in_school", cites=("school-duty",))


@memoized
def _visit_missing(case: Case) -> Evaluation:
    """The last due health visit is missing, or the residence has no health file."""
    cites, seen = ("health-norm",), Certainty.SEEN
    facts = case.facts
    if facts.flags.get(FactName.HEALTH_FILE_HERE) is False:
        return yes("told_no", cites=cites, certainty=seen, fact=FactName.HEALTH_FILE_HERE.value)
    born = facts.dates.get(FactName.BIRTH_DATE)
    if born is None:
        return not_reported(case, FactName.BIRTH_DATE, cites=cites)
    last = facts.dates.get(FactName.HEALTH_LAST_CHECK)
    if last is None:
        return not_reported(case, FactName.HEALTH_LAST_CHECK, cites=cites)
    missed: int | None = None
    until = None
    for months in HEALTH_VISITS:
        day = add_months(born, months)
        if last >= day - VISIT_LEEWAY:
            missed = None
            continue
        overdue = day + VISIT_LEEWAY + timedelta(days=1)
        if case.on >= overdue:
            missed = months if missed is None else missed
        else:
            until = earliest(until, overdue)
    if missed is not None:
        return yes("visit_missed", cites=cites, certainty=seen, months=missed)
    return no("visits_made", until=until, cites=cites, certainty=seen)


def _gives_no_support(case: Case, parent: FactName) -> Evaluation:
    status = case.facts.codes.get(parent)
    if status is None:
        return not_reported(case, parent)
    made = yes if status in NO_SUPPORT else no
    return made("parent_status", cites=("unsupported",), certainty=Certainty.SEEN, fact=parent.value, value=status)


def _guardian_status(case: Case, value: str) -> Evaluation:
    status = case.facts.codes.get(FactName.GUARDIAN_STATUS)
    if status is None:
        return not_reported(case, FactName.GUARDIAN_STATUS)
    made = yes if status == value else no
    return made("guardian_status", cites=("guardianship",), certainty=Certainty.INFERRED, value=status)
