"""Chinese labels of answers, facts and reasons, for people. They never contain a child's identity."""

from collections.abc import Mapping

from contracts.county import County
from contracts.vocabulary import Answer, Certainty, FactName, Fulfilment, Level
from services.eligibility.domain.answer import Param
from services.eligibility.domain.rulebook import RULES
from services.eligibility.domain.sources import SOURCES, Citation

ANSWERS: Mapping[Answer, str] = {Answer.YES: "是", Answer.NO: "否", Answer.UNKNOWN: "不确定"}

CERTAINTIES: Mapping[Certainty, str] = {
    Certainty.STATED: "方案原文",
    Certainty.LAW: "法律法规",
    Certainty.SEEN: "公开资料（只读到一部分）",
    Certainty.RECALLED: "凭记忆，尚未核对",
    Certainty.INFERRED: "我们的处理办法，没有依据可引",
}

FULFILMENTS: Mapping[Fulfilment, str] = {
    Fulfilment.LOCAL: "在居住地",
    Fulfilment.ASSIST: "协助向户籍地申请",
    Fulfilment.EITHER: "居住地、户籍地都可以",
}

LEVELS: Mapping[Level, str] = {Level.L0: "立即，先打电话", Level.L1: "当天", Level.L2: "及时", Level.L3: "一般"}

SUBJECTS: Mapping[str, str] = {"migrant": "流动儿童", "statistical": "统计分析对象"}

FACTS: Mapping[FactName, str] = {
    FactName.BIRTH_DATE: "出生日期",
    FactName.SEX: "性别",
    FactName.HUKOU_DIVISION: "户籍地区划",
    FactName.RESIDENCE_DIVISION: "居住地区划",
    FactName.RESIDENCE_SINCE: "来本地日期",
    FactName.RESIDENCE_ENDED: "离开居住地日期",
    FactName.AWAY_SINCE: "外出（未归）起始日期",
    FactName.RESIDENCE_PERMIT: "持有居住证",
    FactName.RESIDENCE_PERMIT_SIGNED: "居住证签注日期",
    FactName.LIVES_WITH_FATHER: "与父亲同住",
    FactName.LIVES_WITH_MOTHER: "与母亲同住",
    FactName.LIVES_WITH_GUARDIAN: "与父母以外的监护人同住",
    FactName.LIVES_WITH_CARETAKER: "与受托照护人同住",
    FactName.LIVES_ALONE: "单独生活",
    FactName.WRITTEN_CARE_AGREEMENT: "有书面委托照护",
    FactName.FATHER_STATUS: "父亲状况",
    FactName.MOTHER_STATUS: "母亲状况",
    FactName.GUARDIAN_STATUS: "监护状况（人工认定）",
    FactName.SCHOOL_STATUS: "在读状态",
    FactName.SCHOOL_STAGE: "学段",
    FactName.SCHOOL_GRADE: "年级",
    FactName.SCHOOL_SINCE: "入学日期",
    FactName.SCHOOL_COUNT: "登记在读的学校数",
    FactName.VACCINATION_STATUS: "接种情况",
    FactName.VACCINATION_FILE_HERE: "在居住地有接种档案",
    FactName.HEALTH_FILE_HERE: "在居住地有健康档案",
    FactName.HEALTH_LAST_CHECK: "最近一次体检日期",
    FactName.HEALTH_NEED: "有健康服务需求",
    FactName.INSURED: "参加居民医保",
    FactName.INSURED_YEAR: "参保年度",
    FactName.INSURED_DIVISION: "参保地区划",
    FactName.DISABILITY: "残疾",
    FactName.DISABILITY_KIND: "残疾类别",
    FactName.DISABILITY_GRADE: "残疾等级",
    FactName.DISABILITY_CERTIFIED: "持有残疾人证",
    FactName.REHABILITATION: "正在接受康复",
    FactName.DISABILITY_SUBSIDY: "已领残疾人两项补贴之一",
    FactName.DIBAO: "家庭享受低保",
    FactName.TEKUN: "纳入特困供养",
    FactName.ORPHAN: "已认定为孤儿",
    FactName.UNSUPPORTED: "已认定为事实无人抚养儿童",
    FactName.AIDED_STUDENT: "在资助名单上",
    FactName.HARDSHIP_LASTING: "家庭生活持续困难（人工发现）",
    FactName.HARDSHIP_SUDDEN: "家庭突发困难（人工发现）",
    FactName.HOUSING_DIFFICULTY: "家庭住房困难",
    FactName.PSYCHOLOGICAL_NEED: "有心理服务需求（人工发现）",
    FactName.HELP_REQUESTED: "主动提出救助帮扶需求",
    FactName.DECEASED: "死亡日期",
}

VALUES: Mapping[str, str] = {
    "present": "在",
    "away": "外出",
    "dead": "死亡",
    "missing": "失踪",
    "not_found": "查找不到",
    "no_capacity": "无监护能力",
    "revoked": "被撤销监护资格",
    "unsupporting": "符合事实无人抚养的情形（只记结论）",
    "effective": "有效",
    "absent": "缺失",
    "at_risk": "有风险",
    "enrolled": "在读",
    "suspended": "休学",
    "dropped_out": "辍学",
    "not_enrolled": "未入学（园）",
    "graduated": "已毕业",
    "kindergarten": "幼儿园",
    "primary": "小学",
    "junior": "初中",
    "senior": "普通高中",
    "vocational": "中等职业学校",
    "complete": "已按程序接种",
    "overdue": "有漏种",
    "none": "没有接种记录",
    "true": "是",
    "false": "否",
}

REASONS: Mapping[str, str] = {
    # The definition of a migrant child.
    "younger_than": "不满{age}周岁（{day}满）",
    "reached_age": "{day}起已满{age}周岁",
    "birth_date_ahead": "出生日期晚于所问的日子，须核对",
    "deceased": "已于{day}死亡",
    "crossed_counties": "户籍在{hukou}，居住在{residence}，跨县域",
    "same_county": "户籍与居住地在同一个县（{residence}）",
    "districts_of_one_city": "户籍{hukou}与居住地{residence}是同一城市的市辖区，不算跨县域",
    "no_hukou_county": "没有内地户籍县（{division}），方案没有说怎么算",
    "division_not_listed": "区划代码{division}不在县的区划表里，或没有到县一级，须核对",
    "left_township": "离开了户籍所在乡镇（户籍{hukou}，居住{residence}）",
    "same_township": "户籍与居住地在同一个乡镇（{residence}）",
    "township_unclear": "户籍与居住地在同一个县，但分不清乡镇（要九位区划代码）",
    "accompanied": "{fact}",
    "not_accompanied": "没有父母或其他监护人同住",
    "accompaniment_untold": "不知道是否有父母或其他监护人同住",
    "company_contradicted": "与谁同住，报告互相矛盾，须核实",
    "lives_alone": "单独生活，没有监护人同住",
    "caretaker_is_no_guardian": "同住的是受托照护人，照护人不是监护人",
    "here_long_enough": "自{since}居住在此（{evidence}），已满期限",
    "not_here_long_enough": "自{since}居住在此（{evidence}），到{day}才满期限",
    "residence_ended": "已于{day}离开居住地",
    "long_absence": "自{since}外出，已超过{days}天，是否还住在这里须核实",
    "lives_elsewhere": "不住在本县（居住地{division}）",
    "migrant_child": "是流动儿童",
    "not_migrant_child": "不属于本清单服务对象（见“流动儿童”一项），义务教育、预防接种等依法同等享有",
    "unsure_migrant_child": "是不是流动儿童还不确定（见“流动儿童”一项）",
    "migrant_pupil": "随家庭迁来并有学籍（满16周岁后按学籍继续）",
    "not_migrant_pupil": "也不是按学籍继续享受的随迁学生",
    "unsure_migrant_pupil": "是不是按学籍继续享受的随迁学生还不确定",
    "statistical_child": "是统计分析对象",
    "not_statistical_child": "不是统计分析对象",
    "unsure_statistical_child": "是不是统计分析对象还不确定",
    "file_absorbed": "这份档案已并入另一份",
    # Reported facts.
    "told_yes": "{fact}：是",
    "told_no": "{fact}：否",
    "not_told": "没有人报告过：{fact}",
    "already_granted": "{fact}，不用再申请",
    # Terms that the county defines.
    "criterion_met": "符合县定口径“{term}”",
    "criterion_not_met": "不符合县定口径“{term}”：{fact}",
    "criterion_open": "县定口径“{term}”还缺：{fact}",
    "criterion_not_set": "本县口径未定：{term}",
    "permit_unsigned": "居住证最近一次签注或报告是{since}，已过{months}个月，是否仍有效须核实",
    # Schooling.
    "preschool_age": "已满三周岁、未到入小学的年龄（{day}入学）",
    "beyond_kindergarten": "已上小学或以上",
    "may_have_entered_school": "已到入小学的年龄，是否已入学须核实",
    "school_deferred": "到了入学年龄仍在园（条件不具备的地区可到七周岁）",
    "school_age": "已到义务教育年龄（{day}起）",
    "below_school_age": "未到义务教育年龄（{day}入学）",
    "beyond_compulsory": "已读完义务教育",
    "in_compulsory_school": "在义务教育学段",
    "school_years_over": "按年级或年龄义务教育已满九年（{day}），是否还在读须核实",
    "school_status": "在读状态：{value}",
    "in_kindergarten": "在园",
    "final_grade": "在九年级",
    "not_final_grade": "还没有到九年级（最早{day}）",
    "school_year_over": "年级是上一学年说的，现在读几年级须核实",
    "usually_aided": "属于通常受资助的群体（{fact}），但不在资助名单上，请核对名单",
    "was_in_school": "曾在义务教育学校就读",
    "never_in_school": "各期在校名单均未见这个孩子",
    # Health.
    "insured_for": "已参加{year}年度居民医保",
    "not_insured_for": "未参加{year}年度居民医保",
    "insurance_year_over": "只知道{year}年度的参保情况",
    "vaccination_status": "接种情况：{value}",
    "visit_missed": "{months}月龄的健康检查没有做",
    "visits_made": "该做的健康检查都做了",
    # Livelihood.
    "disability_grade": "残疾等级{grade}级",
    "rehabilitation_kind": "残疾类别{kind}在康复救助范围内",
    "autism_or_other": "精神残疾中只有孤独症在康复救助范围内，由残联判断",
    "parent_lives": "父母一方健在（{fact}）",
    "parent_status": "{fact}：{value}",
    "in_difficulty": "属于困境儿童",
    "not_in_difficulty": "不属于困境儿童",
    "unsure_in_difficulty": "是否属于困境儿童还不确定",
    # Guardianship.
    "guardian_status": "人工认定的监护状况：{value}",
    "parent_can_act": "父母一方能够监护（{fact}）",
    "parents_cannot_act": "父母都不能监护，是否有其他监护人须核实",
    "guardian_lives_with": "有监护人同住",
    "no_guardian": "父母都不能监护，也没有其他监护人同住",
    "care_agreement": "有书面委托照护",
    "no_care_agreement": "由受托照护人照护，没有监护人同住，也没有书面委托",
}
"""Code -> sentence. A code has one sentence, whether it supports the answer or not."""

TERMS: Mapping[str, str] = {
    "kindergarten_nearby": "就近入普惠性幼儿园",
    "compulsory_public_school": "随迁子女就近就读公办学校",
    "senior_entrance_exam": "随迁子女在居住地参加中考",
    "local_relief": "本地临时救助情形",
    "dibao_terms": "最低生活保障条件的提示口径",
    "disability_subsidy_extended": "三、四级残疾是否享受护理补贴",
    "community_rehabilitation": "纳入精神障碍社区康复",
    "no_hukou_county": "没有内地户籍县的儿童如何计算",
}


class MissingLabel(KeyError):
    """A code has no Chinese sentence. A test excludes this for every code of the rules."""


def reason_text(code: str, params: Mapping[str, Param], county: County) -> str:
    """Return the Chinese sentence of a reason.

    Raises:
        MissingLabel: the code is not in :data:`REASONS`.
    """
    template = REASONS.get(code)
    if template is None:
        raise MissingLabel(code)
    text = template.format_map({name: _param_label(name, value, county) for name, value in params.items()})
    return f"{text}（演示口径，为演示编造）" if params.get("invented") else text


def find_citation(code: str, county: County) -> Citation | None:
    """Return the text of a citation code: an item's phrase, another source, or the county's criterion."""
    if code in RULES:
        return RULES[code].citation
    if code.startswith("criterion:"):
        criterion = county.criterion(code.removeprefix("criterion:"))
        if criterion is None:
            return None
        cited = criterion.citation
        return Citation(None, cited.phrase, f"县定口径“{criterion.text}”，{cited.place}", cited.certainty)
    return SOURCES.get(code)


def find_reading(subject: str) -> str | None:
    """Return how ambiguous words of an item are read; None for a subject that is not an item."""
    rule = RULES.get(subject)
    return rule.reading if rule is not None else None


def unit_label(name: str, county: County) -> str:
    """Return a unit's short name, or its id if the county does not list it."""
    unit = county.unit(name)
    return unit.short if unit is not None else name


def term_label(name: str, county: County) -> str:
    """Return the county's definition of a term, or the term's label if it is not defined."""
    criterion = county.criterion(name)
    return criterion.text if criterion is not None else TERMS.get(name, name)


def _param_label(name: str, value: Param, county: County) -> str:
    if name == "fact":
        return FACTS[FactName(str(value))]
    if name == "value":
        return VALUES[str(value)]
    if name == "term":
        return term_label(str(value), county)
    if name in ("hukou", "residence", "division"):
        return _place_label(str(value), county)
    if name == "evidence":
        dataset = county.dataset(str(value))
        return dataset.name if dataset is not None else "核实"
    return str(value)


def _place_label(code: str, county: County) -> str:
    town = county.township(code)
    if town is not None:
        return f"{town.name}（{code}）"
    division = county.division(code[:6])
    return f"{division.name}（{code}）" if division is not None else code
