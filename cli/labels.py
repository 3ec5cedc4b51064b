"""The Chinese labels of codes on the command line, apart from those that a service has.

Facts, their values and reasons are in ``services.eligibility.labels``; return reasons, duties, verbs and refusals in
``services.notify.labels``; routes, items, units, roles and datasets have their names in the county's data.
"""

from collections.abc import Mapping
from typing import Any

from contracts.county import County
from contracts.vocabulary import (
    Answer,
    FactName,
    FindingCode,
    IdentityField,
    LedgerReason,
    ReferralState,
    Result,
    Transition,
)
from services.eligibility import labels as eligibility
from services.intake.labels import TEXTS as PROBLEMS
from services.notify import labels as notices

STATES: Mapping[ReferralState, str] = {
    ReferralState.DRAFT: "草拟",
    ReferralState.SENT: "已转出",
    ReferralState.ACCEPTED: "已签收",
    ReferralState.IN_PROGRESS: "办理中",
    ReferralState.RETURNED: "已退回",
    ReferralState.RESULT_REPORTED: "已反馈",
    ReferralState.CLOSED: "已办结",
    ReferralState.WITHDRAWN: "已撤回",
}

TRANSITIONS: Mapping[Transition, str] = {
    Transition.SENT: "转出",
    Transition.ACCEPTED: "签收",
    Transition.STARTED: "开始办理",
    Transition.RETURNED: "退回",
    Transition.REROUTED: "改派",
    Transition.ESCALATED: "提级督办",
    Transition.EXTENDED: "延期",
    Transition.RESULT_REPORTED: "反馈结果",
    Transition.REPORTER_INFORMED: "告知报告人",
    Transition.PHONE_REPORTED: "补记电话报告",
    Transition.CLOSED: "办结",
    Transition.WITHDRAWN: "撤回",
    Transition.REOPENED: "重启",
    Transition.REASSIGNED: "档案合并，转介随之转到新的儿童编号（期限不变）",
}

RESULTS: Mapping[Result, str] = {
    Result.RESOLVED: "已解决",
    Result.SERVICE_IN_PLACE: "服务已落实",
    Result.NOT_ELIGIBLE: "不符合条件",
    Result.REFUSED_BY_GUARDIAN: "监护人拒绝",
    Result.MOVED_AWAY: "已离开本县",
    Result.REACHED_18: "已满十八周岁",
    Result.ERROR: "情况不实或报错了人",
}

FINDINGS: Mapping[FindingCode, str] = {
    FindingCode.INJURY_PRIVATE_PARTS: "隐私部位受伤或异常",
    FindingCode.SEXUAL_ABUSE_UNDER_14: "不满十四周岁女性未成年人遭受或疑似遭受性侵害、怀孕、流产",
    FindingCode.SUSPECTED_SEXUAL_ABUSE: "十四周岁以上女性未成年人疑似因性侵怀孕、流产",
    FindingCode.SUSPECTED_VIOLENCE: "多处损伤、严重营养不良、意识不清，疑似遭受暴力、欺凌、虐待",
    FindingCode.ABNORMAL_DEATH_OR_DISABILITY: "自杀、自残、工伤、中毒等非正常死亡或伤残",
    FindingCode.ABANDONED_OR_LONG_UNATTENDED: "被遗弃或长期无人照料",
    FindingCode.UNKNOWN_ORIGIN_OR_TRAFFICKED: "来源不明、失踪或被拐卖",
    FindingCode.ORGANISED_BEGGING: "被组织乞讨",
    FindingCode.OTHER_SERIOUS_HARM: "其他严重侵害或面临危险",
    FindingCode.GUARDIAN_FAILS_DUTY: "监护人履职不到位",
    FindingCode.GUARDIAN_FAILS_DUTY_SERIOUSLY: "监护人严重失职或侵害",
    FindingCode.UNATTENDED: "未满八周岁无人看护，或未满十六周岁脱离监护单独生活",
    FindingCode.GUARDIAN_MISSING: "监护人下落不明",
    FindingCode.NO_GUARDIAN: "监护缺失",
    FindingCode.GUARDIANSHIP_AT_RISK: "有监护风险",
    FindingCode.GUARDIANSHIP_TO_REVOKE: "须申请撤销监护人资格",
    FindingCode.ORPHAN_OR_UNSUPPORTED: "疑似孤儿或事实无人抚养",
    FindingCode.DOMESTIC_VIOLENCE: "家庭暴力",
    FindingCode.RUNAWAY_OR_VAGRANT: "离家出走或流浪乞讨",
    FindingCode.BEHAVIOUR_CONCERN: "行为需要关注（不写情形）",
    FindingCode.BULLYING_OR_HARASSMENT: "严重欺凌或校园性骚扰",
    FindingCode.OUT_OF_SCHOOL: "义务教育阶段辍学",
    FindingCode.NEVER_ENROLLED: "适龄未入学",
    FindingCode.NOT_IN_KINDERGARTEN: "适龄未入园",
    FindingCode.MENTAL_DISTRESS: "心理困扰，无即时危险",
    FindingCode.MENTAL_DANGER: "有伤害自己或他人的危险",
    FindingCode.SUDDEN_HARDSHIP: "突发困难",
    FindingCode.LASTING_HARDSHIP: "长期困难",
    FindingCode.DISABILITY_UNSERVED: "残疾儿童未得到服务",
    FindingCode.VACCINATION_GAP: "接种缺漏",
    FindingCode.HEALTH_VISIT_MISSING: "健康随访缺失",
    FindingCode.UNINSURED: "未参加医保",
    FindingCode.HOUSING_DIFFICULTY: "住房困难",
    FindingCode.NO_HUKOU: "没有户口",
    FindingCode.CHILD_LABOUR: "未满十六周岁做工",
    FindingCode.FAMILY_EDUCATION_NEED: "家庭教育需求",
    FindingCode.LEGAL_HELP_NEED: "法律援助需求",
    FindingCode.PARENT_SEEKS_WORK: "父母就业需求",
    FindingCode.LEAVING_COUNTY: "离开本县",
    FindingCode.HELP_REQUESTED: "主动求助",
}

IDENTITY: Mapping[IdentityField, str] = {
    IdentityField.NAME: "姓名",
    IdentityField.ID_NUMBER: "身份证件号",
    IdentityField.OTHER_PAPER: "其他证件号",
    IdentityField.BIRTH_DATE: "出生日期",
    IdentityField.SEX: "性别",
    IdentityField.PHONE: "电话",
    IdentityField.ADDRESS: "现住址",
    IdentityField.HUKOU_ADDRESS: "户籍地址",
    IdentityField.SCHOOL: "学校",
    IdentityField.GUARDIAN_NAME: "监护人姓名",
    IdentityField.GUARDIAN_ID_NUMBER: "监护人证件号",
    IdentityField.GUARDIAN_PHONE: "监护人电话",
    IdentityField.FATHER_NAME: "父亲姓名",
    IdentityField.FATHER_ID_NUMBER: "父亲证件号",
    IdentityField.FATHER_PHONE: "父亲电话",
    IdentityField.MOTHER_NAME: "母亲姓名",
    IdentityField.MOTHER_ID_NUMBER: "母亲证件号",
    IdentityField.MOTHER_PHONE: "母亲电话",
    IdentityField.REPORTER: "报告人",
    IdentityField.NARRATIVE: "情况说明",
    IdentityField.HOUSEHOLD_SIZE: "家庭人口数",
}

LEDGER_REASONS: Mapping[LedgerReason, str] = {
    LedgerReason.FAMILY_HARDSHIP: "家庭生活困难",
    LedgerReason.DISABILITY: "自身残疾",
    LedgerReason.GUARDIANSHIP_ABSENT: "监护缺失",
    LedgerReason.VAGRANCY: "流浪",
    LedgerReason.MIND_OR_BEHAVIOUR: "心理和行为异常",
    LedgerReason.REQUEST: "主动提出救助帮扶需求",
}

CODES: Mapping[str, str] = {
    # causes of a transition for which no person chose a reason
    "no_longer_shown": "数据已不再显示",
    "finding_added": "又有报告",
    "level_raised": "级别调高",
    "shown_again": "数据再次显示",
    "sent_again": "补充后再次转出",
    "refused_by_guardian": "监护人拒绝",
    "not_reached": "没有打通",
    "no_restricted_queue": "该单位没有限知事项队列",
    "township_unknown": "不知道在哪个乡镇",
    "no_such_route": "县里没有这条路径",
    "no_such_unit": "县里没有这个单位",
    "calendar_published": "工作日历已公布",
    # proposals
    "referral": "转介",
    "ledger": "纳入台账",
    "ledger_closing": "移出台账",
    "escalated": "超期，已提级督办",
    # the ledger and its duties
    "opened": "列入台账",
    "changed": "列入原因有变",
    "closed": "移出台账",
    "created": "生成",
    "reminded": "已提醒",
    "fulfilled": "已完成",
    "missed": "逾期未做",
    "fulfilled_late": "补做",
    "cancelled": "取消",
    # record linkage
    "same_number": "证件号相同",
    "same_name": "姓名相同",
    "similar_name": "姓名相近",
    "same_birth_date": "出生日期相同",
    "same_guardian_number": "监护人证件号相同",
    "same_guardian_name": "监护人姓名相同",
    "same_phone": "电话相同",
    "two_valid_numbers": "有两个不同的有效证件号",
    "merged": "是同一名儿童，已合并",
    "cannot_link": "不是同一名儿童",
    "split": "拆开",
    "merge": "由人合并",
    "matched": "证件信息相符",
    # flags of a row
    "id_missing": "没有证件号",
    "id_other_paper": "用的是其他证件",
    "says_migrant": "表中填为随迁子女",
    "says_left_behind": "表中填为留守儿童",
    # urgency of a notice
    "call": "先打电话",
    "urgent": "紧急",
    "normal": "一般",
    "digest": "摘要",
}

PROPOSAL_OUTCOMES: Mapping[tuple[str, str], str] = {
    ("referral", "confirmed"): "属实",
    ("referral", "declined"): "不属实",
    ("ledger", "confirmed"): "同意列入",
    ("ledger", "declined"): "不同意",
    ("ledger_closing", "confirmed"): "同意移出",
    ("ledger_closing", "declined"): "不同意",
}
"""(subject, outcome) of a proposal -> label. A clue is verified; an entry of the ledger is approved."""

SOURCES: Mapping[str, str] = {"finding": "人员报告", "verify": "当场核实"}
"""Labels of the datasets that no unit submits."""

_NUMBERS: Mapping[str, Mapping[str, str]] = {
    FactName.SEX: {"1": "男", "2": "女"},
    FactName.DISABILITY_KIND: {
        "1": "视力",
        "2": "听力",
        "3": "言语",
        "4": "肢体",
        "5": "智力",
        "6": "精神",
        "7": "多重",
    },
    FactName.DISABILITY_GRADE: {"1": "一级", "2": "二级", "3": "三级", "4": "四级"},
}
_DIVISIONS = (FactName.HUKOU_DIVISION, FactName.RESIDENCE_DIVISION, FactName.INSURED_DIVISION)
_OUTSIDE = {"810000": "香港", "820000": "澳门", "830000": "台湾", "abroad": "国外"}


def code(value: str) -> str:
    """Return the label of an event's code, or the code itself if this version does not know it."""
    for table in (CODES, notices.WHY):
        if value in table:
            return table[value]
    return PROBLEMS[value][0].rstrip("。") if value in PROBLEMS else value


def _label(table: Mapping[Any, str], value: str) -> str:
    """Return the label of a code of the vocabulary, or the code itself if this version does not know it."""
    return table.get(value, value)


def proposal_outcome(subject: str, outcome: str) -> str:
    return PROPOSAL_OUTCOMES.get((subject, outcome)) or code(outcome)


def asked(subject: str) -> str:
    return "核实" if subject == "referral" else "审定"


def state(value: str) -> str:
    return _label(STATES, value)


def transition(value: str) -> str:
    return _label(TRANSITIONS, value)


def result(value: str) -> str:
    return _label(RESULTS, value)


def duty(value: str) -> str:
    return _label(notices.DUTIES, value)


def verb(value: str) -> str:
    return _label(notices.VERBS, value)


def refusal(value: str) -> str:
    return notices.REFUSALS.get(value, notices.OTHER_REFUSAL)[0]


def return_reason(value: str) -> str:
    return _label(notices.REASONS, value)


def findings(codes: list[str]) -> str:
    return "、".join(_label(FINDINGS, code) for code in codes)


def fields(names: list[str]) -> str:
    return "、".join(_label(IDENTITY, name) for name in names)


def ledger(reasons: list[str]) -> str:
    return "、".join(_label(LEDGER_REASONS, reason) for reason in reasons)


def answer(value: Answer) -> str:
    return eligibility.ANSWERS[value]


def fact_name(name: str) -> str:
    return _label(eligibility.FACTS, name)


def fact(name: str, value: object, county: County) -> str:
    """Return a fact with its value: 性别 男, 户籍地区划 石台县, 年级 3."""
    if isinstance(value, bool):
        shown = "是" if value else "否"
    elif name in _DIVISIONS:
        shown = place(str(value), county)
    else:
        shown = _NUMBERS.get(name, eligibility.VALUES).get(str(value), str(value))
    return f"{fact_name(name)} {shown}"


def place(code: str, county: County) -> str:
    """Return a division's name, its county's name and its code, or its code alone, whichever is known."""
    if (town := county.township(code)) is not None:
        return town.name
    division = county.division(code[:6])
    if division is None:
        return _OUTSIDE.get(code, code)
    return division.name if len(code.rstrip("0")) <= 6 else f"{division.name}（{code}）"


def unit(value: str, county: County) -> str:
    """Return the usual name of a unit, or of a smaller place of one."""
    return eligibility.unit_label(value, county)


def role(value: str, county: County) -> str:
    return county.role_names.get(value, value)


def dataset(value: str, county: County) -> str:
    entry = county.dataset(value)
    return entry.name if entry is not None else SOURCES.get(value, value)
