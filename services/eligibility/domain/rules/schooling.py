"""Rules of row 4 of the list (学有所教)."""

from contracts.vocabulary import Answer, Certainty
from services.eligibility.domain.answer import UNCONDITIONAL, Evaluation, all_of, any_of, with_one_ground
from services.eligibility.domain.case import Case, county_criterion, memoized, younger_than
from services.eligibility.domain.rulebook import rule
from services.eligibility.domain.rules.definition import lives_here, migrant, moved_here_with_family
from services.eligibility.domain.rules.stages import aided, compulsory_stage, final_grade, pupil
from services.eligibility.domain.sources import Citation


@memoized
def in_compulsory_education(case: Case) -> Evaluation:
    """The audience of the rows on compulsory education: “义务教育阶段流动儿童”."""
    return all_of(_migrant_or_still_pupil(case), lives_here(case), compulsory_stage(case))


def _migrant_or_still_pupil(case: Case) -> Evaluation:
    """A pupil past 16 keeps the services that follow the pupil's status until 18 (policy part 3.17)."""
    child = with_one_ground("migrant_child", migrant(case))
    if child.answer is Answer.YES:
        return child
    past_sixteen = all_of(
        moved_here_with_family(case),
        younger_than(case, 18, cites=("student-status",), certainty=Certainty.INFERRED),
        pupil(case),
    )
    return any_of(child, with_one_ground("migrant_pupil", past_sixteen))


@rule(
    "B-4(1)",
    Citation("row 4", "保障流动儿童接受义务教育"),
    audience=in_compulsory_education,
    reading="按法定入学年龄起九个学年；在读的按学段、年级；辍学、未入学的同样有权",
)
def compulsory_education(case: Case) -> Evaluation:
    return UNCONDITIONAL


@rule(
    "B-4(2)",
    Citation("row 4", "按规定免除学杂费"),
    audience=in_compulsory_education,
    reading="义务教育阶段都免，不另设条件",
)
def no_tuition(case: Case) -> Evaluation:
    return UNCONDITIONAL


@rule(
    "B-4(3)",
    Citation("row 4", "免费提供教科书"),
    audience=in_compulsory_education,
    reading="义务教育阶段都免费，不另设条件",
)
def free_textbooks(case: Case) -> Evaluation:
    return UNCONDITIONAL


@rule(
    "B-4(4)",
    Citation("row 4", "为纳入资助对象的学生提供生活补助"),
    audience=in_compulsory_education,
    reading="要有学籍（休学保留学籍）；“纳入资助对象”以教体部门的资助名单为准",
)
def living_subsidy(case: Case) -> Evaluation:
    return all_of(pupil(case), aided(case))


@rule(
    "B-4(5)",
    Citation("row 4", "为就读义务教育学校且纳入资助对象的学生提供营养改善计划补助"),
    audience=in_compulsory_education,
    reading="就读义务教育学校，且在资助名单上",
)
def nutrition_subsidy(case: Case) -> Evaluation:
    return all_of(pupil(case), aided(case))


@rule(
    "B-4(6)",
    Citation("row 4", "符合条件的义务教育段随迁子女就近就读公办学校"),
    audience=in_compulsory_education,
    reading="“符合条件的”由县定口径；教育部门的“随迁子女”标记只是线索，不作判定",
)
def public_school_nearby(case: Case) -> Evaluation:
    return county_criterion(case, "compulsory_public_school")


@rule(
    "B-4(7)",
    Citation("row 4", "符合条件的随迁子女在居住地参加中考"),
    audience=in_compulsory_education,
    reading="到九年级才用得上；“符合条件的”由县定口径",
)
def senior_entrance_exam(case: Case) -> Evaluation:
    return all_of(final_grade(case), county_criterion(case, "senior_entrance_exam"))
