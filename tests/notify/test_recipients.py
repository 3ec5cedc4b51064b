"""Every responsible unit is notified, once, in its own inbox."""

import random
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from contracts.vocabulary import DutyKind, FactName, Level, ReferralState, Result, ReturnReason, Transition, Verb
from services.notify import store
from tests.county import a_county
from tests.notify.conftest import Notify, alarms, notices
from tests.notify.events import (
    CHILD,
    a_duty,
    a_fact_conflict,
    a_ledger_change,
    a_mandatory_report,
    a_proposal,
    a_proposal_ended,
    a_referral,
    a_refusal,
    a_registry_refusal,
    a_review_request,
    an_id,
    every_event,
)


def notified(emitted: Any) -> set[tuple[str, str]]:
    return {(notice.unit.removeprefix("341722-"), notice.template) for notice in notices(emitted)}


async def test_a_referral_is_a_notice_in_its_receivers_inbox_with_its_due_time(notify: Notify) -> None:
    emitted = await notify.consume(a_referral())
    [notice] = notices(emitted)
    assert notice.unit == "341722-jtj"
    assert notice.topic_name == "notify.inbox.341722-jtj.v1"
    assert notice.text == "有一条转介待办（L2），请到转介队列查看，于11月26日17时前签收。"
    assert notice.urgency == "normal"
    assert (notice.subject, notice.child) == (an_id("referral"), CHILD)
    [stored] = await store.inbox(notify.connection, "341722-jtj")
    assert (stored["notice"], stored["text"]) == (notice.notice, notice.text)


async def test_a_mandatory_report_makes_receiver_reporter_and_duty_unit_call_and_raises_an_alarm(
    notify: Notify,
) -> None:
    emitted = await notify.consume(a_mandatory_report(phone_by=datetime(2026, 11, 23, 2, tzinfo=UTC)))
    assert {(notice.unit, notice.template) for notice in notices(emitted) if notice.urgency == "call"} == {
        ("341722-gaj", "referral.sent"),
        ("341722-renli", "referral.call_first"),
        ("341722-mzj", "alarm.l0"),
    }
    for notice in notices(emitted):
        assert notice.restricted
        assert notice.topic_name == f"notify.inbox.{notice.unit}.restricted.v1"
        assert notice.text.startswith("先打电话 110 / 120。") is (notice.urgency == "call")
    texts = {notice.template: notice.text for notice in notices(emitted)}
    assert texts["referral.sent"].endswith("请到限知事项队列查看，于11月26日17时前签收。")
    assert texts["referral.call_first"].endswith("打完电话请于11月23日10时前用 phone-report 补记。")
    [alarm] = alarms(emitted)
    assert (alarm.unit, alarm.trigger, alarm.subject) == ("341722-mzj", "l0", an_id("referral"))
    assert alarm.text == texts["alarm.l0"], "the inbox holds the alarm's text too"
    assert emitted[0].event is alarm, "the alarm precedes the notices"
    assert {outbound.sensitivity for outbound in emitted} == {"restricted"}


async def test_a_unit_only_informed_of_an_emergency_gets_an_urgent_notice_without_a_call(notify: Notify) -> None:
    informed = ("341722-mzj", "341722-jtj", "341722-jcy")
    emitted = await notify.consume(a_mandatory_report(inform=informed))
    lines = {notice.unit: notice for notice in notices(emitted) if notice.template == "referral.inform_urgent"}
    assert set(lines) == {"341722-jtj", "341722-jcy"}, "the duty unit gets another notice"
    for notice in lines.values():
        assert notice.urgency == "urgent"
        assert notice.text == "有一条紧急事项（L0）告知，承办单位是公安局，请立即知悉，按职责配合，不用签收。"


async def test_a_duty_unit_that_receives_the_emergency_itself_is_notified_once(notify: Notify) -> None:
    emitted = await notify.consume(a_mandatory_report(route="R4", to_unit="341722-mzj", inform=("341722-gaj",)))
    assert notified(emitted) == {
        ("mzj", "referral.sent"),
        ("gaj", "referral.inform_urgent"),
        ("renli", "referral.call_first"),
    }
    assert [alarm.unit for alarm in alarms(emitted)] == ["341722-mzj"]


@pytest.mark.parametrize("transition", [Transition.SENT, Transition.REOPENED])
async def test_a_duty_officer_is_notified_even_of_a_colleagues_report(notify: Notify, transition: Transition) -> None:
    own = a_mandatory_report(transition=transition, from_unit="341722-mzj", actor_unit="341722-mzj", reporter_unit=None)
    assert ("mzj", "alarm.l0") in notified(await notify.consume(own))


async def test_a_unit_that_has_called_already_is_not_asked_to_call(notify: Notify) -> None:
    emitted = await notify.consume(a_mandatory_report(phone_reported=True))
    assert ("renli", "referral.call_first") not in notified(emitted)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (a_referral(Transition.ACCEPTED, actor_unit="341722-jtj"), {("renli", "referral.accepted")}),
        (
            a_referral(Transition.RETURNED, actor_unit="341722-jtj", reason=ReturnReason.WRONG_AREA),
            {("renli", "referral.returned")},
        ),
        (
            a_referral(Transition.REROUTED, to_unit="341722-rsj", previous_unit="341722-jtj"),
            {("rsj", "referral.sent"), ("jtj", "referral.taken_over")},
        ),
        (a_referral(Transition.EXTENDED, actor_unit="341722-jtj"), {("renli", "referral.extended")}),
        (
            a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj", reporter_unit="341722-txw"),
            {("renli", "referral.result"), ("txw", "referral.reporter_result")},
        ),
        (
            a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj", reporter_unit="341722-renli"),
            {("renli", "referral.result")},
        ),
        (a_referral(Transition.CLOSED), {("jtj", "referral.closed")}),
        (a_referral(Transition.WITHDRAWN), {("jtj", "referral.withdrawn")}),
        (a_referral(Transition.REOPENED), {("jtj", "referral.reopened")}),
        (a_referral(Transition.STARTED), set()),
        (a_referral(Transition.REASSIGNED, actor_unit=None), set()),
        (a_ledger_change(), {("renli", "ledger.opened")}),
        (a_ledger_change(change="changed"), set()),
        (a_proposal(subject="ledger", level=None), {("renli", "proposal.ledger")}),
        (a_proposal_ended(), set()),
        (a_review_request(), {("mzj", "review.match")}),
        (a_fact_conflict(), {("gaj", "review.facts"), ("renli", "review.facts")}),
        (a_duty("created"), set()),
        (a_duty("reminded"), set()),
        (a_duty("missed"), {("renli", "duty.missed")}),
        (a_duty("fulfilled"), set()),
    ],
    ids=lambda value: getattr(value, "transition", None) or type(value).__name__,
)
async def test_each_event_notifies_the_units_it_concerns(
    notify: Notify, event: Any, expected: set[tuple[str, str]]
) -> None:
    assert notified(await notify.consume(event)) == expected


async def test_a_notice_of_a_returned_referral_has_the_reason(notify: Notify) -> None:
    emitted = await notify.consume(
        a_referral(Transition.RETURNED, actor_unit="341722-jtj", reason=ReturnReason.WRONG_AREA)
    )
    assert notices(emitted)[0].text == (
        "教体局退回了一条事项，理由：不属本辖区。请用 reroute 改派（补正后可以再派原单位），或用 withdraw 撤回。"
    )


@pytest.mark.parametrize(
    ("right_unit", "named"), [("341722-qidu", "七都镇"), ("341722-school1", "教体局"), ("no such unit", "其他单位")]
)
async def test_a_returned_referral_names_the_right_unit_and_never_a_school(
    notify: Notify, right_unit: str, named: str
) -> None:
    returned = a_referral(
        Transition.RETURNED,
        actor_unit="341722-wjw",
        previous_unit="341722-wjw",
        reason=ReturnReason.WRONG_AREA,
        right_unit=right_unit,
    )
    [notice] = notices(await notify.consume(returned))
    assert f"理由：不属本辖区，认为应由{named}办理。" in notice.text


async def test_a_unit_is_not_notified_of_its_own_action(notify: Notify) -> None:
    assert notified(await notify.consume(a_referral(Transition.CLOSED, to_unit="341722-renli"))) == set()


async def test_a_township_that_refers_to_itself_is_notified_of_its_work(notify: Notify) -> None:
    assert notified(await notify.consume(a_referral(to_unit="341722-renli"))) == {("renli", "referral.sent")}


async def test_an_escalation_notifies_both_units_and_raises_an_alarm(notify: Notify) -> None:
    emitted = await notify.consume(
        a_referral(Transition.ESCALATED, actor_unit=None, escalated_to="341722-feg", overdue="accept")
    )
    assert notified(emitted) == {("jtj", "referral.overdue"), ("feg", "referral.escalated")}
    [alarm] = alarms(emitted)
    assert (alarm.unit, alarm.trigger) == ("341722-feg", "escalated")
    assert "签收超期" in {notice.template: notice.text for notice in notices(emitted)}["referral.overdue"]


async def test_an_escalation_without_a_missed_time_limit_names_its_cause(notify: Notify) -> None:
    """After its last return it is with its sender and in no queue, until a unit above assigns it."""
    emitted = await notify.consume(
        a_referral(
            Transition.ESCALATED,
            state=ReferralState.RETURNED,
            to_unit="341722-renli",
            actor_unit=None,
            escalated_to="341722-feg",
            cause="returned_too_often",
        )
    )
    assert {notice.template: notice.text for notice in notices(emitted)} == {
        "referral.overdue_returned": "一条退回给您单位的事项多次被退回，已提级到妇儿工委办，"
        "请立即改派或撤回，或等妇儿工委办指定承办单位。",
        "referral.escalated_returned": "退回给仁里镇的一条事项（L2）多次被退回，请用 reroute 指定承办单位。",
    }


async def test_an_escalated_emergency_makes_the_duty_unit_call_and_no_other_unit_above(notify: Notify) -> None:
    late = {"transition": Transition.ESCALATED, "actor_unit": None, "overdue": "accept"}
    emitted = await notify.consume(a_mandatory_report(**late, escalated_to="341722-mzj"))
    assert {notice.unit: notice.urgency for notice in notices(emitted)} == {"341722-gaj": "call", "341722-mzj": "call"}
    emitted += await notify.consume(a_mandatory_report(**late, version=2, escalated_to="341722-feg"))
    above = {notice.unit: notice for notice in notices(emitted)}["341722-feg"]
    assert (above.urgency, above.text) == ("urgent", "公安局有一条事项（L0）签收超期，请联系该单位督办。")
    assert [alarm.text.startswith("先打电话") for alarm in alarms(emitted)] == [True, False]


async def test_units_that_had_to_call_are_reminded_to_record_the_call(notify: Notify) -> None:
    """The agency is not reminded: it has nothing to record."""
    late = a_mandatory_report(
        transition=Transition.ESCALATED,
        actor_unit=None,
        escalated_to="341722-mzj",
        overdue="phone_report",
        from_unit="341722-txw",
    )
    emitted = await notify.consume(late)
    assert notified(emitted) == {
        ("renli", "referral.phone_overdue"),
        ("txw", "referral.phone_overdue"),
        ("mzj", "referral.escalated"),
    }
    assert "团县委有一条事项（L0）补记电话报告超期" in alarms(emitted)[0].text


async def test_an_urgent_referral_that_a_guardian_refuses_is_not_ready_for_closing(notify: Notify) -> None:
    refused = {"level": Level.L1, "result": Result.REFUSED_BY_GUARDIAN, "state": ReferralState.RESULT_REPORTED}
    emitted = await notify.consume(
        a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj", **refused),
        a_referral(
            Transition.ESCALATED,
            version=2,
            actor_unit=None,
            cause="refused_by_guardian",
            escalated_to="341722-mzj",
            **refused,
        ),
    )
    assert notified(emitted) == {
        ("renli", "referral.result_blocked"),
        ("jtj", "referral.blocked"),
        ("mzj", "referral.escalated"),
    }
    less_urgent = a_referral(
        Transition.RESULT_REPORTED, actor_unit="341722-jtj", **{**refused, "level": Level.L2}, version=3
    )
    assert notified(await notify.consume(less_urgent)) == {("renli", "referral.result")}


async def test_a_unit_without_a_reporter_is_not_asked_to_inform_one(notify: Notify) -> None:
    reported = await notify.consume(
        a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj", reporter_unit="341722-txw")
    )
    derived = await notify.consume(a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj"))
    assert "请核实并告知报告人：" in notices(reported)[0].text
    assert "请核实：" in notices(derived)[0].text


async def test_every_reporter_is_notified_of_the_result(notify: Notify) -> None:
    done = a_referral(
        Transition.RESULT_REPORTED,
        actor_unit="341722-jtj",
        reporter_unit="341722-fl",
        reporters=("341722-txw", "341722-renli", "341722-fl"),
    )
    assert notified(await notify.consume(done)) == {
        ("renli", "referral.result"),
        ("txw", "referral.reporter_result"),
        ("fl", "referral.reporter_result"),
    }


async def test_a_provisional_due_time_is_marked_and_its_change_is_notified(notify: Notify) -> None:
    [sent] = notices(await notify.consume(a_referral(provisional=True)))
    assert sent.text.endswith("前签收。期限为暂定，节假日安排公布后可能调整。")
    recounted = a_referral(Transition.EXTENDED, version=2, actor_unit=None, cause="calendar_published")
    emitted = await notify.consume(recounted)
    assert {notice.unit: notice.text for notice in notices(emitted)} == dict.fromkeys(
        ("341722-jtj", "341722-renli"),
        "节假日安排已公布，教体局承办的一条事项重新计算期限：11月26日17时。",
    )


async def test_an_accepted_referral_whose_level_rises_need_not_be_accepted_again(notify: Notify) -> None:
    risen = a_referral(
        Transition.SENT, state=ReferralState.IN_PROGRESS, level=Level.L1, cause="level_raised", version=4
    )
    [notice] = notices(await notify.consume(risen))
    assert notice.text == "一条在办事项升为L1，请到转介队列查看，于12月7日17时前反馈结果。"


async def test_a_returned_referral_that_is_sent_again_notifies_the_unit_that_had_it(notify: Notify) -> None:
    sent_again = a_referral(cause="sent_again", version=4, previous_unit="341722-renli", actor_unit="341722-txw")
    assert notified(await notify.consume(sent_again)) == {("jtj", "referral.sent"), ("renli", "referral.taken_over")}


async def test_an_emergency_found_in_an_open_referral_raises_an_alarm_and_needs_another_call(notify: Notify) -> None:
    await notify.consume(a_mandatory_report(phone_reported=True))
    emitted = await notify.consume(a_mandatory_report(version=2, cause="finding_added", state=ReferralState.ACCEPTED))
    assert notified(emitted) == {("gaj", "referral.added"), ("renli", "referral.call_first"), ("mzj", "alarm.l0")}
    [alarm] = alarms(emitted)
    assert (alarm.unit, alarm.trigger) == ("341722-mzj", "l0")


async def test_a_finding_added_after_the_call_asks_for_no_other_call(notify: Notify) -> None:
    emitted = await notify.consume(a_mandatory_report(version=2, cause="finding_added", phone_reported=True))
    assert notified(emitted) == {("gaj", "referral.added")}
    assert alarms(emitted) == []


async def test_a_finding_added_to_an_ordinary_referral_raises_no_alarm(notify: Notify) -> None:
    emitted = await notify.consume(a_referral(version=2, cause="finding_added"))
    assert notified(emitted) == {("jtj", "referral.added")}
    assert alarms(emitted) == []


async def test_a_referral_that_becomes_an_emergency_raises_an_alarm(notify: Notify) -> None:
    await notify.consume(a_mandatory_report(level=Level.L1))
    emitted = await notify.consume(a_mandatory_report(version=2, cause="level_raised"))
    assert ("gaj", "referral.sent") in notified(emitted)
    assert [alarm.trigger for alarm in alarms(emitted)] == ["l0"]


async def test_a_unit_whose_call_reached_nobody_is_asked_to_call_again(notify: Notify) -> None:
    emitted = await notify.consume(
        a_mandatory_report(transition=Transition.PHONE_REPORTED, version=2, cause="not_reached")
    )
    [notice] = notices(emitted)
    assert (notice.unit, notice.urgency) == ("341722-renli", "call")
    assert notice.text.startswith("先打电话 110 / 120。上一次电话没有打通")
    reached = a_mandatory_report(transition=Transition.PHONE_REPORTED, version=3, phone_reported=True)
    assert await notify.consume(reached) == []


async def test_a_proposal_that_a_township_does_not_decide_in_time_goes_to_the_county(notify: Notify) -> None:
    emitted = await notify.consume(
        a_proposal(), a_proposal_ended(outcome="escalated", escalated_to="341722-mzj", actor_unit=None)
    )
    assert {("renli", "proposal.overdue"), ("mzj", "proposal.escalated")} <= notified(emitted)
    assert [alarm.trigger for alarm in alarms(emitted)] == ["escalated"]


async def test_a_late_ledger_proposal_raises_no_alarm(notify: Notify) -> None:
    emitted = await notify.consume(a_proposal_ended(subject="ledger", outcome="escalated", escalated_to="341722-mzj"))
    assert alarms(emitted) == []


async def test_a_derived_emergency_raises_an_alarm_before_it_is_confirmed(notify: Notify) -> None:
    emitted = await notify.consume(a_proposal(level=Level.L0))
    assert [alarm.trigger for alarm in alarms(emitted)] == ["l0"]
    assert notified(emitted) == {("renli", "proposal.referral"), ("mzj", "alarm.proposal")}
    assert {notice.urgency for notice in notices(emitted)} == {"call"}


@pytest.mark.parametrize("transition", Transition)
async def test_a_service_gap_makes_no_notice_and_no_alarm(notify: Notify, transition: Transition) -> None:
    """The unit is notified of service gaps (L3) in one monthly digest."""
    assert (
        await notify.consume(a_referral(transition, level=Level.L3, actor_unit=None, escalated_to="341722-feg")) == []
    )


async def test_a_refused_action_is_answered_with_the_reason_and_the_remedy(notify: Notify) -> None:
    emitted = await notify.consume(a_refusal(), a_registry_refusal())
    texts = {notice.unit: notice.text for notice in notices(emitted)}
    assert texts == {
        "341722-jtj": "您单位的一次操作（办结）没有办成：还没有告知报告人。请先记录已告知报告人，再办结。",
        "341722-mzj": "您单位的一次操作（合并档案）没有办成：没有这份档案。请核对档案编号，可能已合并。",
    }
    assert {notice.subject for notice in notices(emitted)} == {an_id("action"), an_id("merge")}


async def test_a_fact_conflict_names_the_data_unless_they_are_sensitive(notify: Notify) -> None:
    emitted = await notify.consume(a_fact_conflict(), a_fact_conflict(name=FactName.DISABILITY))
    texts = {notice.text for notice in notices(emitted)}
    assert texts == {
        f"您单位与其他单位报送的{what}不一致，请核对，有误的请更正后重新报送。" for what in ("居住信息", "一项数据")
    }


async def test_a_notice_of_a_missed_duty_names_the_command_that_records_its_fulfilment(notify: Notify) -> None:
    emitted = await notify.consume(
        a_duty("missed"),
        a_duty("missed", duty=an_id("first"), duty_kind=DutyKind.FIRST_VISIT),
    )
    assert [notice.text for notice in notices(emitted)] == [
        "一名儿童的每月联系到期（11月30日）没有完成，请尽快补做，用 contact 记录。",
        "一名儿童的首次走访到期（11月30日）没有完成，请尽快补做，用 visit 记录。",
    ]


async def test_a_refused_action_in_a_restricted_case_stays_restricted(notify: Notify) -> None:
    [notice] = notices(await notify.consume(a_refusal(restricted=True, unit="341722-gaj")))
    assert notice.restricted


async def test_a_refusal_without_a_label_is_not_copied_into_the_notice(notify: Notify) -> None:
    [notice] = notices(await notify.consume(a_refusal(code="child Zhang San is at school", verb=Verb.CLOSE)))
    assert "Zhang" not in notice.text
    assert "不符合办理条件" in notice.text


# ---------------------------------------------------------------- whose inbox


async def test_a_smaller_place_is_notified_through_its_parent(notify: Notify) -> None:
    emitted = await notify.consume(a_referral(inform=("341722-cdc",)))
    [notice] = [notice for notice in notices(emitted) if notice.template == "referral.inform"]
    assert notice.unit == "341722-wjw"
    assert notice.text.startswith("请转告疾控中心：")


async def test_a_lead_unit_without_a_recipient_raises_an_alarm_for_forwarded_notices_too(notify: Notify) -> None:
    notify.county = without_recipient("341722-mzj")
    emitted = await notify.consume(a_mandatory_report(inform=("341722-tjj",), phone_reported=True))
    unattended = [alarm for alarm in alarms(emitted) if alarm.trigger == "no_recipient"]
    assert [alarm.text for alarm in unattended] == ["民政局的收件箱没有负责人，通知已保存，请指定负责人。"]


async def test_two_smaller_places_under_one_parent_get_two_notices(notify: Notify) -> None:
    emitted = await notify.consume(a_referral(inform=("341722-cdc", "341722-hospital")))
    lines = [notice for notice in notices(emitted) if notice.template == "referral.inform"]
    assert [notice.unit for notice in lines] == ["341722-wjw", "341722-wjw"]
    assert len({notice.notice for notice in lines}) == 2


async def test_the_township_of_a_route_is_the_childs(notify: Notify) -> None:
    emitted = await notify.consume(a_referral(inform=("township",), township="341722104", from_unit="341722-mzj"))
    assert ("xiaohe", "referral.inform") in notified(emitted)


async def test_a_restricted_notice_never_falls_into_an_ordinary_inbox(notify: Notify) -> None:
    """统计局 has no restricted inbox: the lead unit passes the notice on."""
    emitted = await notify.consume(a_mandatory_report(inform=("341722-tjj",)))
    [line] = [notice for notice in notices(emitted) if notice.template == "referral.inform_urgent"]
    assert (line.unit, line.restricted) == ("341722-mzj", True)
    assert line.text.startswith("请转告统计局：")


@pytest.mark.parametrize("stranger", ["341722-gone", "340100-other"])
async def test_an_unknown_unit_raises_an_alarm_and_loses_no_notice(notify: Notify, stranger: str) -> None:
    emitted = await notify.consume(a_referral(to_unit=stranger))
    [notice] = notices(emitted)
    assert notice.unit == "341722-mzj"
    assert [(alarm.trigger, alarm.unit) for alarm in alarms(emitted)] == [("no_recipient", "341722-mzj")]
    assert len(await store.inbox(notify.connection, "341722-mzj")) == 1


def without_recipient(unit: str) -> Any:
    county = a_county()
    return a_county(
        units=tuple(
            listed.model_copy(update={"recipient": None}) if listed.id == unit else listed for listed in county.units
        )
    )


async def test_an_inbox_without_a_recipient_raises_one_alarm_a_day_and_keeps_its_notices(notify: Notify) -> None:
    notify.county = without_recipient("341722-jtj")
    emitted = await notify.consume(*(a_referral(referral=an_id(number)) for number in range(3)))
    assert len(notices(emitted)) == 3
    assert len(await store.inbox(notify.connection, "341722-jtj")) == 3
    assert [(alarm.trigger, alarm.unit) for alarm in alarms(emitted)] == [("no_recipient", "341722-mzj")]
    assert alarms(emitted)[0].text == "教体局的收件箱没有负责人，通知已保存，请指定负责人。"
    tomorrow = a_referral(referral=an_id("later"), on=date(2026, 11, 24))
    assert len(alarms(await notify.consume(tomorrow))) == 1


# ---------------------------------------------------------------- once each


async def state(notify: Notify) -> list[Any]:
    rows = await notify.connection.fetch(
        "SELECT notice, unit, text FROM inbox UNION ALL SELECT alarm, unit, text FROM alarm ORDER BY 1"
    )
    obligations = await notify.connection.fetch("SELECT * FROM obligation ORDER BY kind, id")
    return [tuple(row) for row in rows] + [tuple(row) for row in obligations]


async def test_a_duplicate_event_makes_no_second_notice(notify: Notify) -> None:
    inbound = [notify.inbound(event) for event in every_event()]
    first = await notify.consume(*inbound)
    before = await state(notify)
    assert len(notices(first)) > 25
    assert await notify.consume(*inbound) == []
    assert await notify.consume(*inbound[:7], batch_size=1) == []
    assert await state(notify) == before


async def test_the_same_event_twice_in_one_batch_notifies_once(notify: Notify) -> None:
    inbound = notify.inbound(a_referral())
    assert len(notices(await notify.consume(inbound, inbound))) == 1


async def test_the_result_does_not_depend_on_the_batch_boundaries(notify: Notify) -> None:
    inbound = [notify.inbound(event) for event in a_history()]
    results = []
    for batch_size in (1, 7, 1000):
        await notify.connection.execute("TRUNCATE inbox, obligation, alarm")
        emitted = await notify.consume(*inbound, batch_size=batch_size)
        results.append(([(outbound.cause, outbound.event) for outbound in emitted], await state(notify)))
    assert len(results[0][0]) > 100
    assert results[0] == results[1] == results[2]


def a_history() -> list[Any]:
    """Return events of sixty children: referrals with several transitions, duties, and some emergencies."""
    rng = random.Random(341722)
    events: list[Any] = []
    gap: dict[str, Any]
    for number in range(60):
        child = an_id(f"child {number}")
        common = {"child": child, "referral": an_id(f"referral {number}")}
        transitions = [
            Transition.SENT,
            Transition.ACCEPTED,
            Transition.STARTED,
            Transition.RESULT_REPORTED,
            Transition.CLOSED,
        ][: rng.randint(1, 5)]
        events += [
            a_referral(transition, version=count, **common) for count, transition in enumerate(transitions, start=1)
        ]
        events.append(a_duty(child=child))
        if rng.random() < 0.5:
            events.append(a_duty("fulfilled", child=child))
        if number % 4 == 0:
            gap = {"child": child, "referral": an_id(f"gap {number}"), "level": Level.L3, "actor_unit": None}
            events.append(a_referral(**gap))
            events.append(a_referral(Transition.ESCALATED, version=2, escalated_to="341722-feg", **gap))
            if number % 8 == 0:
                events.append(a_referral(Transition.REOPENED, version=3, **gap))
        if number % 10 == 0:
            events.append(a_mandatory_report(child=child, referral=an_id(f"report {number}")))
    return events


# ---------------------------------------------------------------- the next action


async def next_actions(notify: Notify) -> dict[UUID, tuple[str, str | None]]:
    rows = await notify.connection.fetch("SELECT id, unit, next_action, open FROM obligation")
    return {
        row["id"]: (row["unit"].removeprefix("341722-"), row["next_action"] if row["open"] else None) for row in rows
    }


async def test_an_obligation_is_with_the_unit_that_acts_next(notify: Notify) -> None:
    expected = [
        (Transition.SENT, ("jtj", "accept")),
        (Transition.ACCEPTED, ("jtj", "answer")),
        (Transition.RETURNED, ("renli", "check")),
        (Transition.REROUTED, ("jtj", "accept")),
        (Transition.RESULT_REPORTED, ("renli", "check")),
        (Transition.CLOSED, ("jtj", None)),
        (Transition.REOPENED, ("jtj", "accept")),
    ]
    for version, (transition, next_action) in enumerate(expected, start=1):
        await notify.consume(a_referral(transition, version=version))
        assert (await next_actions(notify))[an_id("referral")] == next_action, transition


async def test_an_older_change_read_later_changes_nothing(notify: Notify) -> None:
    """After a merge the transitions of a referral can arrive from two partitions."""
    await notify.consume(a_referral(Transition.CLOSED, version=5))
    await notify.consume(a_referral(Transition.ACCEPTED, version=2))
    assert (await next_actions(notify))[an_id("referral")] == ("jtj", None)
    await notify.consume(a_duty("fulfilled"))
    await notify.consume(a_duty("created"))
    assert (await next_actions(notify))[a_duty().duty] == ("renli", None)


async def test_an_older_change_in_the_same_batch_changes_nothing_either(notify: Notify) -> None:
    await notify.consume(a_referral(Transition.CLOSED, version=5), a_referral(Transition.ACCEPTED, version=2))
    assert (await next_actions(notify))[an_id("referral")] == ("jtj", None)


async def test_an_undecided_proposal_is_with_the_county(notify: Notify) -> None:
    await notify.consume(
        a_proposal(), a_proposal_ended(outcome="escalated", escalated_to="341722-mzj", actor_unit=None)
    )
    assert (await next_actions(notify))[an_id("proposal")] == ("mzj", "decide")
    await notify.consume(a_proposal_ended(outcome="declined", actor_unit="341722-mzj"))
    assert (await next_actions(notify))[an_id("proposal")][1] is None
