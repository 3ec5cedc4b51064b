"""Rules of rows 12, 14, 16 and 17 of the list (弱有所扶)."""

from contracts.vocabulary import Answer, Certainty, FactName, Fulfilment
from services.eligibility.domain.answer import Evaluation, all_of, any_of, no, not_, unknown, yes
from services.eligibility.domain.case import Case, county_criterion, flag_is_true, memoized, not_reported, younger_than
from services.eligibility.domain.rulebook import rule
from services.eligibility.domain.rules.definition import (
    migrant_here,
    minor_living_here,
    moved_here_young,
)
from services.eligibility.domain.rules.guardianship import guardianship_lacking_or_at_risk
from services.eligibility.domain.rules.stages import disabled
from services.eligibility.domain.sources import Citation

_SUBSIDIES = ("subsidies",)
_SEVERE = 2
"""The highest grade number that counts as severe: grades 1 and 2."""
_MENTAL = 6
_LIVING_PARENT = frozenset({"present", "away", "no_capacity", "revoked", "unsupporting"})


@memoized
def draws_orphan_support(case: Case) -> Evaluation:
    """The child is recognised as an orphan. A living parent gives NO even if no source reports it."""
    if FactName.ORPHAN in case.facts.flags:
        return flag_is_true(case, FactName.ORPHAN)
    for status, lives in (
        (FactName.FATHER_STATUS, FactName.LIVES_WITH_FATHER),
        (FactName.MOTHER_STATUS, FactName.LIVES_WITH_MOTHER),
    ):
        if case.facts.codes.get(status) in _LIVING_PARENT or case.facts.flags.get(lives):
            return no("parent_lives", fact=status.value)
    return not_reported(case, FactName.ORPHAN)


@memoized
def severe_disability(case: Case) -> Evaluation:
    """重度残疾人护理补贴: grades 1-2. Some counties extend it to 3-4, which is a term of the granting county."""
    grade = case.facts.numbers.get(FactName.DISABILITY_GRADE)
    if grade is None:
        return not_reported(case, FactName.DISABILITY_GRADE, cites=_SUBSIDIES)
    if grade <= _SEVERE:
        return yes("disability_grade", cites=_SUBSIDIES, certainty=Certainty.RECALLED, grade=grade)
    return county_criterion(case, "disability_subsidy_extended")


@memoized
def rehabilitation_kind(case: Case) -> Evaluation:
    """Visual, hearing, speech, physical and intellectual disability and autism; multiple disability includes one."""
    cites = ("rehabilitation",)
    kind = case.facts.numbers.get(FactName.DISABILITY_KIND)
    if kind is None:
        return not_reported(case, FactName.DISABILITY_KIND, cites=cites)
    if kind == _MENTAL:
        # Autism is certified as a mental disability, and diagnoses are not stored.
        return unknown("autism_or_other", [case.missing[FactName.DISABILITY_KIND]], cites=cites)
    return yes("rehabilitation_kind", cites=cites, certainty=Certainty.LAW, kind=kind)


@rule(
    "B-12(1)",
    Citation("row 12", "协助符合条件的流动儿童向户籍地办理残疾人两项补贴"),
    audience=migrant_here,
    reading="生活补贴：持证、低保家庭、未领孤儿基本生活费；护理补贴：持证、一二级；由户籍地认定，这里只提示",
)
def disability_subsidies(case: Case) -> Evaluation:
    if disabled(case).answer is Answer.NO:
        return disabled(case)
    certified = flag_is_true(case, FactName.DISABILITY_CERTIFIED, cites=_SUBSIDIES, certainty=Certainty.RECALLED)
    living = all_of(flag_is_true(case, FactName.DIBAO), not_(draws_orphan_support(case)))
    return all_of(disabled(case), certified, any_of(severe_disability(case), living))


@rule(
    "B-12(2)",
    Citation("row 12", "协助其向户籍地申请残疾儿童康复救助，提供相关服务"),
    audience=migrant_here,
    reading="有诊断未持证的也算；年龄上限是县参数；实施方案（四）说“在居住地或户籍地”，先问居住地",
)
def rehabilitation_aid(case: Case) -> Evaluation:
    young = younger_than(
        case, case.parameters.rehab_max_age, cites=("rehabilitation-age",), certainty=Certainty.INFERRED
    )
    return all_of(disabled(case), young, rehabilitation_kind(case))


def _dibao_fulfilment(case: Case, listed: Fulfilment) -> Fulfilment:
    """Either place grants it if the county offers 居住地申办 to holders of a residence permit (policy part 3.8)."""
    if case.parameters.dibao_at_residence and case.facts.flags.get(FactName.RESIDENCE_PERMIT):
        return Fulfilment.EITHER
    return listed


@rule(
    "B-14(1)",
    Citation("row 14", "协助符合条件的流动儿童家庭向户籍地民政部门申请纳入最低生活保障范围"),
    audience=migrant_here,
    reading="已享受的不用再申请；收入和财产标准由户籍地定，没有口径就不判；困难由人发现",
    fulfilment=_dibao_fulfilment,
)
def dibao_application(case: Case) -> Evaluation:
    cites = ("assistance",)
    if case.facts.flags.get(FactName.DIBAO):
        return no("already_granted", cites=cites, fact=FactName.DIBAO.value)
    hardship = flag_is_true(case, FactName.HARDSHIP_LASTING, cites=cites)
    return all_of(hardship, county_criterion(case, "dibao_terms"))


@rule(
    "B-14(2)",
    Citation("row 14", "对获得最低生活保障金后生活仍有困难的儿童采取必要措施给予生活保障"),
    audience=migrant_here,
    reading="已享受低保，且工作人员发现仍有持续困难",
)
def beyond_dibao(case: Case) -> Evaluation:
    return all_of(flag_is_true(case, FactName.DIBAO), flag_is_true(case, FactName.HARDSHIP_LASTING))


@rule(
    "B-16",
    Citation("row 16", "对符合条件的流动儿童家庭发放临时救助金和有关物资，提供临时照护和转介服务"),
    audience=minor_living_here,
    reading="急难发生在哪里就在哪里求助：户籍、居住时长、是否与监护人同住都不作条件，十八周岁以下在本县的都算",
)
def temporary_relief(case: Case) -> Evaluation:
    sudden = flag_is_true(case, FactName.HARDSHIP_SUDDEN, cites=("relief",))
    return all_of(sudden, county_criterion(case, "local_relief"))


@rule(
    "B-17",
    Citation("row 17", "对存在监护缺失或面临监护缺失风险的流动儿童，纳入“助童成长计划”个案服务范畴"),
    audience=moved_here_young,
    reading="监护缺失的儿童往往没有监护人同住，所以不以“随父母或其他监护人”为条件；由人认定，数据只提示核实",
)
def guardianship_case(case: Case) -> Evaluation:
    return guardianship_lacking_or_at_risk(case)
