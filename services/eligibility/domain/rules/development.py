"""Rules of row 19 of the list (发展保障)."""

from contracts.vocabulary import FactName
from services.eligibility.domain.answer import UNCONDITIONAL, Evaluation, with_one_ground
from services.eligibility.domain.case import Case, county_criterion, flag_is_true
from services.eligibility.domain.rulebook import rule
from services.eligibility.domain.rules.definition import migrant_here
from services.eligibility.domain.rules.stages import in_difficulty
from services.eligibility.domain.sources import Citation


@rule(
    "B-19(1)",
    Citation("row 19", "向流动儿童及其父母或其他监护人开展心理健康常识宣传"),
    audience=migrant_here,
    reading="每个流动儿童都有，不另设条件",
)
def psychological_knowledge(case: Case) -> Evaluation:
    return UNCONDITIONAL


@rule(
    "B-19(2)",
    Citation("row 19", "对有需要的流动儿童提供心理健康筛查、心理辅导、情绪疏导、心理慰藉等服务"),
    audience=migrant_here,
    reading="“有需要”由人发现或本人、监护人提出，不是诊断",
)
def counselling(case: Case) -> Evaluation:
    return flag_is_true(case, FactName.PSYCHOLOGICAL_NEED)


@rule(
    "B-19(3)",
    Citation("row 19", "建立困境流动儿童心理健康档案"),
    audience=migrant_here,
    reading="“困境”按困境儿童三类：家庭贫困、自身残疾、监护缺失",
)
def psychological_file(case: Case) -> Evaluation:
    return with_one_ground("in_difficulty", in_difficulty(case))


@rule(
    "B-19(4)",
    Citation("row 19", "符合条件的应当纳入精神障碍社区康复服务范围"),
    audience=migrant_here,
    reading="“符合条件的”以诊断为前提，诊断不进入本系统；县里没有口径就不判",
)
def community_rehabilitation(case: Case) -> Evaluation:
    return county_criterion(case, "community_rehabilitation")


@rule(
    "B-19(5)",
    Citation("row 19", "12355服务热线，为有需要的流动儿童提供心理咨询或结合实际提供线下服务"),
    audience=migrant_here,
    reading="热线谁都可以打；这里说的是主动安排",
)
def youth_hotline(case: Case) -> Evaluation:
    return flag_is_true(case, FactName.PSYCHOLOGICAL_NEED)
