"""Rules of rows 1 and 3 of the list (幼有所育)."""

from services.eligibility.domain.answer import Evaluation, all_of
from services.eligibility.domain.case import Case, county_criterion
from services.eligibility.domain.rulebook import rule
from services.eligibility.domain.rules.definition import migrant_here
from services.eligibility.domain.rules.stages import aided, in_kindergarten, preschool_age, under_seven
from services.eligibility.domain.sources import Citation


@rule(
    "B-1(1)",
    Citation("row 1", "按照国家基本公共卫生服务规范提供“一站式”健康管理服务"),
    audience=migrant_here,
    reading="“0-6岁”到满七周岁的前一天为止",
)
def health_management(case: Case) -> Evaluation:
    return under_seven(case)


@rule(
    "B-1(2)",
    Citation("row 1", "按照国家免疫规划疫苗免疫程序提供接种服务"),
    audience=migrant_here,
    reading="本行对象是0-6岁；七周岁以后的补种按实施方案（四）“适龄儿童”处理，由接种缺口提示，不占本行",
)
def vaccination(case: Case) -> Evaluation:
    return under_seven(case)


@rule(
    "B-3(1)",
    Citation("row 3", "符合条件的就近在普惠性幼儿园入园"),
    audience=migrant_here,
    reading="“3-6岁”是三周岁到入小学前；“符合条件的”由县定口径",
)
def kindergarten_nearby(case: Case) -> Evaluation:
    return all_of(preschool_age(case), county_criterion(case, "kindergarten_nearby"))


@rule(
    "B-3(2)",
    Citation("row 3", "为纳入资助对象的流动儿童提供保育费资助"),
    audience=migrant_here,
    reading="保育费随在园产生，所以要在园；“纳入资助对象”以教体部门的资助名单为准",
)
def kindergarten_aid(case: Case) -> Evaluation:
    return all_of(preschool_age(case), in_kindergarten(case), aided(case))
