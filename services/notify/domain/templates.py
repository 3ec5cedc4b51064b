"""Every sentence that notify can write. Only counts, dates, levels and units' names are ever filled in.

A notice tells its reader in the morning what to do, until when, and where: in which queue, or by which verb of
``hutong act`` and the action topic. Calling 110 is for the reporter, the receiver and the duty officer.

Bystanders may read a notice: it names no child, no school, no illness and no conduct (未成年人保护法第103条). No text
from outside is copied into a sentence: units are looked up in the county's data, codes in the tables below, and a
value that is not there is left out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from contracts.vocabulary import COUNTY_TIME, DutyKind, FactName, Level, ReturnReason, Verb

CALL_FIRST = "先打电话 110 / 120。"

Units = Mapping[str, str]
"""Unit id -> short name, from the county's data."""
Value = str | int | date | datetime | None


Urgency = Literal["call", "urgent", "normal", "digest"]


class InvalidValue(TypeError):
    """A template was given a value that it may not contain. The message names the placeholder, never the value."""


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence and its urgency when no call is needed."""

    text: str
    urgency: Urgency = "normal"


TEMPLATES: dict[str, Template] = {
    "referral.sent": Template("有一条转介待办（{level}），请到{queue}查看，于{due}前签收。"),
    "referral.raised": Template("一条在办事项升为{level}，请到{queue}查看，于{due}前反馈结果。", "urgent"),
    "referral.added": Template("一条在办事项有新的情况补充（{level}），请到{queue}查看。", "urgent"),
    "referral.call_again": Template("上一次电话没有打通，请再打，打通后用 phone-report 补记。", "urgent"),
    "referral.inform": Template("有一条事项告知，承办单位是{unit}，请知悉，按职责配合，不用签收。"),
    "referral.inform_urgent": Template(
        "有一条紧急事项（L0）告知，承办单位是{unit}，请立即知悉，按职责配合，不用签收。", "urgent"
    ),
    "referral.call_first": Template(
        "您单位报告或转出的紧急事项已到{unit}，打完电话请于{due}前用 phone-report 补记。", "urgent"
    ),
    "referral.accepted": Template("{unit}已签收您单位转出的一条事项，应于{due}前反馈。"),
    "referral.returned": Template(
        "{unit}退回了一条事项，理由：{reason}{right}。请用 reroute 改派（补正后可以再派原单位），或用 withdraw 撤回。",
        "urgent",
    ),
    "referral.taken_over": Template("原在您单位的一条待办已转{unit}，不用再办。"),
    "referral.overdue": Template("有一条待办{why}，已提级由{unit}督办，请到{queue}查看，立即办理。", "urgent"),
    "referral.overdue_returned": Template(
        "一条退回给您单位的事项{why}，已提级到{unit}，请立即改派或撤回，或等{unit}指定承办单位。", "urgent"
    ),
    "referral.phone_overdue": Template(
        "一条紧急事项的电话报告没有按时补记，已提级到{unit}。没有打的请立即打，打完用 phone-report 补记。", "urgent"
    ),
    "referral.blocked": Template("您单位反馈的一条事项办理受阻，已提级到{unit}协调，请等候安排。", "urgent"),
    "referral.escalated": Template("{unit}有一条事项（{level}）{why}，请联系该单位督办。", "urgent"),
    "referral.escalated_returned": Template(
        "退回给{unit}的一条事项（{level}）{why}，请用 reroute 指定承办单位。", "urgent"
    ),
    "referral.extended": Template("{unit}的一条事项已延期，新的反馈期限是{due}。"),
    "referral.recounted": Template("节假日安排已公布，{unit}承办的一条事项重新计算期限：{due}。"),
    "referral.result": Template(
        "{unit}已反馈一条事项的办理结果，请核实{reporter}：属实的用 close 办结，不属实的用 reopen 重启。"
    ),
    "referral.result_blocked": Template(
        "{unit}反馈一条事项办理受阻，不能办结，已提级协调；需要原单位再办的用 reopen 重启。", "urgent"
    ),
    "referral.reporter_result": Template("您单位报告的一条事项已有办理结果，由转出单位告知。"),
    "referral.closed": Template("您单位承办的一条事项已办结，不用再办。"),
    "referral.withdrawn": Template("一条待办已撤回，不用再办。"),
    "referral.reopened": Template("一条事项重新启动（{level}），请到{queue}查看，于{due}前签收。", "urgent"),
    "proposal.referral": Template(
        "比对发现一条线索（{level}），请于{due}前核实：属实用 confirm，不属实用 decline，无法核实用 verify 记录。",
        "urgent",
    ),
    "proposal.ledger": Template(
        "建议把一名儿童纳入重点关爱服务对象信息台账，请于{due}前审定：同意列入用 confirm，不同意用 decline。"
    ),
    "proposal.ledger_closing": Template(
        "有人申请把一名儿童移出重点关爱服务对象信息台账，请于{due}前由另一人审定：同意用 confirm，不同意用 decline。"
    ),
    "proposal.overdue": Template("有一条待审定事项超期，已报{unit}，请尽快用 confirm 或 decline 审定。", "urgent"),
    "proposal.escalated": Template("{unit}有一条待审定事项超期，请督办，或直接用 confirm 或 decline 审定。", "urgent"),
    "ledger.opened": Template(
        "一名儿童已纳入重点关爱服务对象信息台账，请在{days}个工作日内首次走访（visit），之后按月联系（contact）、按季走访。"
    ),
    "ledger.closed": Template("一名儿童已移出重点关爱服务对象信息台账，不用再联系和走访。"),
    "duty.missed": Template("一名儿童的{duty}到期（{due}）没有完成，请尽快补做{act}。", "urgent"),
    "review.match": Template("有两份档案可能是同一名儿童，请核对：是同一人的用 confirm 合并，不是的用 decline 分开。"),
    "review.facts": Template("您单位与其他单位报送的{fact}不一致，请核对，有误的请更正后重新报送。"),
    "action.refused": Template("您单位的一次操作（{verb}）没有办成：{refusal}。{remedy}。", "urgent"),
    "digest.daily": Template("{due}待办：{counts}{soonest}。明细见{queue}和本收件箱。", "digest"),
    "digest.monthly": Template("{due}服务类待办汇总：{counts}。请到{queue}集中办理。", "digest"),
    "alarm.l0": Template("有一条紧急事项（L0）已转{unit}，请立即核对是否有人到场、电话报告是否补记。", "call"),
    "alarm.proposal": Template("比对发现一条紧急线索（L0），请立即联系{unit}核实。", "call"),
    "alarm.proposal_late": Template("{unit}有一条待核实的线索超期未办，请立即督办。", "urgent"),
    "alarm.escalated": Template("{unit}有一条事项（{level}）{why}，请立即督办。", "urgent"),
    "alarm.no_recipient": Template("{unit}的收件箱没有负责人，通知已保存，请指定负责人。", "urgent"),
    "alarm.failed": Template("有一次报警没有送达值班员，请改用电话联系，并检查报警设置。", "urgent"),
}
"""Template code -> sentence."""

PROVISIONAL = "期限为暂定，节假日安排公布后可能调整。"
FORWARDED = "请转告{unit}："

REASONS: dict[ReturnReason, str] = {
    ReturnReason.NOT_MY_DUTY: "不属本单位职责",
    ReturnReason.WRONG_AREA: "不属本辖区",
    ReturnReason.CANNOT_FIND_CHILD: "找不到人",
    ReturnReason.DUPLICATE: "重复转介",
    ReturnReason.INFORMATION_MISSING: "信息不全",
}

WHY = {
    "accept": "签收超期",
    "result": "反馈超期",
    "phone_report": "补记电话报告超期",
    "confirm": "核实超期",
    "returned_too_often": "多次被退回",
    "refused_by_guardian": "办理受阻",
}
"""Why a referral is escalated: the time limit that ran out, or another cause."""

DUTIES: dict[DutyKind, str] = {
    DutyKind.CONTACT: "每月联系",
    DutyKind.VISIT: "季度走访",
    DutyKind.FIRST_VISIT: "首次走访",
}

RECORDED_BY: dict[DutyKind, Verb] = {
    DutyKind.CONTACT: Verb.CONTACT,
    DutyKind.VISIT: Verb.VISIT,
    DutyKind.FIRST_VISIT: Verb.VISIT,
}

FACTS: dict[FactName, str] = {
    FactName.BIRTH_DATE: "出生日期",
    FactName.HUKOU_DIVISION: "户籍信息",
    FactName.RESIDENCE_DIVISION: "居住信息",
    FactName.RESIDENCE_SINCE: "居住信息",
    FactName.RESIDENCE_ENDED: "居住信息",
    FactName.SCHOOL_STATUS: "就学信息",
    FactName.SCHOOL_STAGE: "就学信息",
    FactName.SCHOOL_GRADE: "就学信息",
    FactName.SCHOOL_SINCE: "就学信息",
    FactName.SCHOOL_COUNT: "就学信息",
    FactName.INSURED: "参保信息",
    FactName.INSURED_YEAR: "参保信息",
    FactName.INSURED_DIVISION: "参保信息",
}
"""The subject of a conflict of facts, where naming it reveals nothing. Any other fact is 一项数据."""

VERBS: dict[Verb, str] = {
    Verb.REPORT: "报告",
    Verb.PHONE_REPORT: "补记电话报告",
    Verb.ACCEPT: "签收",
    Verb.START: "开始办理",
    Verb.RETURN: "退回",
    Verb.REROUTE: "改派",
    Verb.EXTEND: "延期",
    Verb.RESULT: "反馈结果",
    Verb.WITHDRAW: "撤回",
    Verb.INFORM_REPORTER: "告知报告人",
    Verb.CLOSE: "办结",
    Verb.REOPEN: "重启",
    Verb.CONTACT: "联系",
    Verb.VISIT: "走访",
    Verb.VERIFY: "核实",
    Verb.CONFIRM: "确认",
    Verb.DECLINE: "不予确认",
    Verb.MERGE: "合并档案",
    Verb.SPLIT: "拆分档案",
}

REFUSALS: dict[str, tuple[str, str]] = {
    "not_yours": ("这件事项现在不由您单位办理", "请核对事项编号，需要接手的请承办单位改派"),
    "illegal_move": ("事项现在的状态不能做这一步", "请先在队列里看最新状态，再按顺序办理"),
    "unknown_referral": ("没有这件事项", "请核对事项编号"),
    "unknown_proposal": ("没有这件待审定或待核对的事项", "请核对 proposal 编号"),
    "unknown_child": ("没有这份档案", "请核对档案编号，可能已合并"),
    "records_missing": ("没有写明要拆出哪些记录", "请写明来源记录的编号后重新提交"),
    "record_not_in_file": ("所写的来源记录不在这份档案里", "请核对记录编号，或先查到它所在的档案"),
    "nothing_left": ("拆出后原档案不剩任何记录", "请至少留下一条记录；整份认错人的，请改用合并"),
    "unknown_unit": ("没有这个单位，或它没有队列", "请核对单位代码"),
    "other_child": ("事项编号和档案编号不是同一名儿童", "请核对两个编号"),
    "child_missing": ("没有写是哪一份档案", "请补上档案编号后重新提交"),
    "reason_missing": ("没有写理由", "请选一种理由重新提交"),
    "right_unit_missing": ("以辖区不对退回，却没有写应当由谁办", "请写明应当办理的单位后重新提交"),
    "right_unit_is_yours": ("退回时写的应办单位就是您单位", "请写明另一个单位，或直接签收"),
    "to_unit_missing": ("没有写改派给谁", "请写明单位后重新提交"),
    "days_missing": ("没有写延期几天", "请写明工作日数后重新提交"),
    "already_extended": ("已经延期过一次", "请按现有期限办理，办不了的请改派或报协调单位"),
    "too_many_returns": ("退回次数已到上限", "事项已提级，请等待协调单位指定"),
    "result_missing": ("还没有反馈结果", "请先反馈结果，再办结"),
    "no_reporter": ("这件事项没有报告人", "不用告知，可以直接办下一步"),
    "reporter_not_informed": ("还没有告知报告人", "请先记录已告知报告人，再办结"),
    "reached_missing": ("没有写电话有没有打通", "请写明是否打通后重新提交"),
    "check_missing": ("没有写用什么方式核实的", "请写明电话、上门等核实方式后再办结"),
    "self_check": ("办结须由转出单位核实", "请由转出单位提交"),
    "guardian_refused": ("对方拒绝的紧急事项不能办结", "请按提级后的安排继续办理"),
    "others_reported": ("别的单位也报告了同一件事，不能由您单位一家撤回", "请由承办单位反馈结果后办结"),
    "too_late_to_reopen": ("超过可以重启的期限", "请按新情况重新报告"),
    "already_decided": ("已经审定过", "不用重复提交"),
    "second_person_needed": ("移出台账须由另一个人审定", "请换一位有权限的人员提交"),
    "not_on_ledger": ("这名儿童不在台账上", "请先纳入台账，或核对编号"),
    "visit_missing": ("移出台账前须有一次入户走访", "请先走访并记录，再申请移出"),
    "asked_already": ("已经申请过移出台账", "请等待审定，不用重复提交"),
    "already_resolved": ("这个核对问题已有人答复", "不用重复提交"),
    "same_file": ("两个编号是同一份档案", "请核对编号"),
    "absorbed_elsewhere": ("这份档案已并入另一份档案", "请用合并后的档案编号"),
}
"""Refusal code -> (reason, remedy)."""
OTHER_REFUSAL = ("不符合办理条件", "请核对后重新提交，仍不成功请联系县民政局")


def render(
    template: str,
    units: Units,
    values: Mapping[str, Value],
    *,
    call: bool = False,
    provisional: bool = False,
    forward_to: str | None = None,
) -> str:
    """Render a template with one value for each placeholder (``placeholders``).

    ``call`` puts the telephone numbers first, and ``provisional`` adds that the due time may move. ``forward_to`` is
    the unit that is meant, where the inbox is another unit's.

    Raises:
        InvalidValue: a value is missing or is not of its placeholder's kind.
    """
    text = _filled(TEMPLATES[template].text, units, values)
    if call:
        text = CALL_FIRST + text
    if provisional:
        text += PROVISIONAL
    if forward_to is not None:
        text = _filled(FORWARDED, units, {"unit": forward_to}) + text
    return text


def urgency(template: str, *, call: bool = False) -> Urgency:
    return "call" if call else TEMPLATES[template].urgency


def placeholders(template: str) -> tuple[str, ...]:
    """Return the names of the values that a template needs."""
    placeholders = re.findall(r"\{(\w+)\}", TEMPLATES[template].text)
    return tuple(dict.fromkeys(_VALUE_OF.get(placeholder, placeholder) for placeholder in placeholders))


def _filled(text: str, units: Units, values: Mapping[str, Value]) -> str:
    def rendered(match: re.Match[str]) -> str:
        name = match[1]
        return _RENDERERS[name](units, values.get(_VALUE_OF.get(name, name)))

    return re.sub(r"\{(\w+)\}", rendered, text)


def _unit(units: Units, value: Value) -> str:
    return units.get(value, "其他单位") if isinstance(value, str) else "县里"


def _due(units: Units, value: Value) -> str:
    match value:
        case datetime():
            local = value.astimezone(COUNTY_TIME)
            hour = f"{local.hour}时{local.minute:02d}分" if local.minute else f"{local.hour}时"
            if hour == "0时":  # midnight is the end of the day before
                local, hour = local - timedelta(days=1), "24时"
            return f"{local.month}月{local.day}日{hour}"
        case date():
            return f"{value.month}月{value.day}日"
        case None:
            return "规定时限"
        case _:
            raise InvalidValue("due")


def _soonest(units: Units, value: Value) -> str:
    return "" if value is None else f"，最近的期限是{_due(units, value)}"


def _queue(units: Units, value: Value) -> str:
    return "限知事项队列" if value is True else "转介队列"


def _right(units: Units, value: Value) -> str:
    return "" if value is None else f"，认为应由{_unit(units, value)}办理"


def _reporter(units: Units, value: Value) -> str:
    return "并告知报告人" if value is True else ""


def _days(units: Units, value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidValue("days")


def _level(units: Units, value: Value) -> str:
    return _member(Level, value, "level")


def _member(kind: type[StrEnum], value: Value, placeholder: str) -> str:
    if isinstance(value, str) and value in set(kind):
        return str(kind(value))
    raise InvalidValue(placeholder)


def _reason(units: Units, value: Value) -> str:
    return REASONS[ReturnReason(_member(ReturnReason, value, "reason"))] if value is not None else "没有说明"


def _why(units: Units, value: Value) -> str:
    return WHY.get(value, "需要协调") if isinstance(value, str) else "需要协调"


def _duty(units: Units, value: Value) -> str:
    return DUTIES[DutyKind(_member(DutyKind, value, "duty"))]


def _act(units: Units, value: Value) -> str:
    return f"，用 {RECORDED_BY[DutyKind(_member(DutyKind, value, 'duty'))].value} 记录"


def _fact(units: Units, value: Value) -> str:
    return FACTS.get(FactName(_member(FactName, value, "fact")), "一项数据")


def _verb(units: Units, value: Value) -> str:
    return VERBS[Verb(_member(Verb, value, "verb"))]


def _refusal(units: Units, value: Value) -> str:
    return REFUSALS.get(value, OTHER_REFUSAL)[0] if isinstance(value, str) else OTHER_REFUSAL[0]


def _remedy(units: Units, value: Value) -> str:
    return REFUSALS.get(value, OTHER_REFUSAL)[1] if isinstance(value, str) else OTHER_REFUSAL[1]


def _counts(units: Units, value: Value) -> str:
    if isinstance(value, str) and re.fullmatch(_COUNTS, value):
        return value
    raise InvalidValue("counts")


COUNT_FORMS = (
    "待签收{}件",
    "待反馈{}件",
    "待办结{}件",
    "待审定{}件",
    "待核对{}件",
    "超期{}件",
    "待联系{}名",
    "待走访{}名",
    "待首次走访{}名",
    "超期{}名",
    "临期{}名",
    "未办结{}件",
    "由您单位督办{}件",
)
"""The numbers of a digest, in their order (see ``digest``)."""
_ONE = "|".join(form.format(r"\d{1,7}") for form in COUNT_FORMS)
_COUNTS = rf"(?:{_ONE})(?:[，、；](?:其中)?(?:{_ONE}))*"

_RENDERERS: dict[str, Callable[[Units, Value], str]] = {
    "unit": _unit,
    "due": _due,
    "level": _level,
    "reason": _reason,
    "why": _why,
    "duty": _duty,
    "verb": _verb,
    "refusal": _refusal,
    "remedy": _remedy,
    "counts": _counts,
    "soonest": _soonest,
    "queue": _queue,
    "right": _right,
    "reporter": _reporter,
    "days": _days,
    "act": _act,
    "fact": _fact,
}
_VALUE_OF = {"remedy": "refusal", "act": "duty"}
"""Placeholders that are rendered from another placeholder's value."""
