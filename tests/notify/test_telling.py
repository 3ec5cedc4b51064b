"""Every responsible unit is told, once, in its own inbox."""

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
    a_contradiction,
    a_duty,
    a_ledger_move,
    a_mandatory_report,
    a_proposal,
    a_proposal_ended,
    a_question,
    a_referral,
    a_refusal,
    a_registry_refusal,
    an_id,
    every_event,
)


def told(said: Any) -> set[tuple[str, str]]:
    return {(notice.unit.removeprefix("341722-"), notice.template) for notice in notices(said)}


async def test_a_referral_is_a_line_in_its_receivers_inbox_with_the_day_it_is_due(notify: Notify) -> None:
    said = await notify.tell(a_referral())
    [notice] = notices(said)
    assert notice.unit == "341722-jtj"
    assert notice.topic_name == "notify.inbox.341722-jtj.v1"
    assert notice.text == "有一条转介待办（L2），请到转介队列查看，于11月26日17时前签收。"
    assert notice.urgency == "normal"
    assert (notice.subject, notice.child) == (an_id("referral"), CHILD)
    [kept] = await store.inbox(notify.connection, "341722-jtj")
    assert (kept["notice"], kept["text"]) == (notice.notice, notice.text)


async def test_a_mandatory_report_tells_who_receives_who_reports_and_the_duty_unit_to_call_and_rings(
    notify: Notify,
) -> None:
    said = await notify.tell(a_mandatory_report(phone_by=datetime(2026, 11, 23, 2, tzinfo=UTC)))
    assert {(notice.unit, notice.template) for notice in notices(said) if notice.urgency == "call"} == {
        ("341722-gaj", "referral.sent"),
        ("341722-renli", "referral.call_first"),
        ("341722-mzj", "alarm.l0"),
    }
    for notice in notices(said):
        assert notice.restricted
        assert notice.topic_name == f"notify.inbox.{notice.unit}.restricted.v1"
        assert notice.text.startswith("先打电话 110 / 120。") is (notice.urgency == "call")
    texts = {notice.template: notice.text for notice in notices(said)}
    assert texts["referral.sent"].endswith("请到限知事项队列查看，于11月26日17时前签收。")
    assert texts["referral.call_first"].endswith("打完电话请于11月23日10时前用 phone-report 补记。")
    [alarm] = alarms(said)
    assert (alarm.unit, alarm.trigger, alarm.subject) == ("341722-mzj", "l0", an_id("referral"))
    assert alarm.text == texts["alarm.l0"], "what rings stands in the inbox too"
    assert said[0].event is alarm, "the ring goes out before the lines"
    assert {say.sensitivity for say in said} == {"restricted"}


async def test_who_is_only_informed_of_an_emergency_is_told_at_once_but_not_to_call(notify: Notify) -> None:
    informed = ("341722-mzj", "341722-jtj", "341722-jcy")
    said = await notify.tell(a_mandatory_report(inform=informed))
    lines = {notice.unit: notice for notice in notices(said) if notice.template == "referral.inform_urgent"}
    assert set(lines) == {"341722-jtj", "341722-jcy"}, "the duty unit is told more"
    for notice in lines.values():
        assert notice.urgency == "urgent"
        assert notice.text == "有一条紧急事项（L0）告知，承办单位是公安局，请立即知悉，按职责配合，不用签收。"


async def test_a_duty_unit_that_receives_the_emergency_itself_is_told_once(notify: Notify) -> None:
    said = await notify.tell(a_mandatory_report(route="R4", to_unit="341722-mzj", inform=("341722-gaj",)))
    assert told(said) == {("mzj", "referral.sent"), ("gaj", "referral.inform_urgent"), ("renli", "referral.call_first")}
    assert [alarm.unit for alarm in alarms(said)] == ["341722-mzj"]


@pytest.mark.parametrize("move", [Transition.SENT, Transition.REOPENED])
async def test_a_duty_officer_is_told_even_of_what_another_of_the_unit_sent(notify: Notify, move: Transition) -> None:
    own = a_mandatory_report(transition=move, from_unit="341722-mzj", actor_unit="341722-mzj", reporter_unit=None)
    assert ("mzj", "alarm.l0") in told(await notify.tell(own))


async def test_whoever_has_called_already_is_not_told_to_call(notify: Notify) -> None:
    said = await notify.tell(a_mandatory_report(phone_reported=True))
    assert ("renli", "referral.call_first") not in told(said)


@pytest.mark.parametrize(
    ("event", "lines"),
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
        (a_referral(Transition.HANDED_OVER, actor_unit=None), set()),
        (a_ledger_move(), {("renli", "ledger.opened")}),
        (a_ledger_move(change="changed"), set()),
        (a_proposal(subject="ledger", level=None), {("renli", "proposal.ledger")}),
        (a_proposal_ended(), set()),
        (a_question(), {("mzj", "question.match")}),
        (a_contradiction(), {("gaj", "question.facts"), ("renli", "question.facts")}),
        (a_duty("created"), set()),
        (a_duty("reminded"), set()),
        (a_duty("missed"), {("renli", "duty.missed")}),
        (a_duty("fulfilled"), set()),
    ],
    ids=lambda value: getattr(value, "move", None) or type(value).__name__,
)
async def test_each_event_tells_those_whom_it_concerns(notify: Notify, event: Any, lines: set[tuple[str, str]]) -> None:
    assert told(await notify.tell(event)) == lines


async def test_a_returned_referral_says_why(notify: Notify) -> None:
    said = await notify.tell(a_referral(Transition.RETURNED, actor_unit="341722-jtj", reason=ReturnReason.WRONG_AREA))
    assert notices(said)[0].text == (
        "教体局退回了一条事项，理由：不属本辖区。请用 reroute 改派（补正后可以再派原单位），或用 withdraw 撤回。"
    )


@pytest.mark.parametrize(
    ("right_unit", "named"), [("341722-qidu", "七都镇"), ("341722-school1", "教体局"), ("no such unit", "其他单位")]
)
async def test_a_returned_referral_names_whose_it_is_and_never_a_school(
    notify: Notify, right_unit: str, named: str
) -> None:
    returned = a_referral(
        Transition.RETURNED,
        actor_unit="341722-wjw",
        previous_unit="341722-wjw",
        reason=ReturnReason.WRONG_AREA,
        right_unit=right_unit,
    )
    [notice] = notices(await notify.tell(returned))
    assert f"理由：不属本辖区，认为应由{named}办理。" in notice.text


async def test_nobody_is_told_of_what_it_did_itself(notify: Notify) -> None:
    assert told(await notify.tell(a_referral(Transition.CLOSED, to_unit="341722-renli"))) == set()


async def test_a_township_that_refers_to_itself_is_told_that_it_has_work(notify: Notify) -> None:
    assert told(await notify.tell(a_referral(to_unit="341722-renli"))) == {("renli", "referral.sent")}


async def test_an_escalation_tells_both_and_rings(notify: Notify) -> None:
    said = await notify.tell(
        a_referral(Transition.ESCALATED, actor_unit=None, escalated_to="341722-feg", overdue="accept")
    )
    assert told(said) == {("jtj", "referral.overdue"), ("feg", "referral.escalated")}
    [alarm] = alarms(said)
    assert (alarm.unit, alarm.trigger) == ("341722-feg", "escalated")
    assert "签收超期" in {notice.template: notice.text for notice in notices(said)}["referral.overdue"]


async def test_an_escalation_that_no_clock_made_says_what_did(notify: Notify) -> None:
    """Returned for the last time: it lies with who sent it, on nobody's queue, until somebody assigns it."""
    said = await notify.tell(
        a_referral(
            Transition.ESCALATED,
            state=ReferralState.RETURNED,
            to_unit="341722-renli",
            actor_unit=None,
            escalated_to="341722-feg",
            cause="returned_too_often",
        )
    )
    assert {notice.template: notice.text for notice in notices(said)} == {
        "referral.overdue_returned": "一条退回给您单位的事项多次被退回，已提级到妇儿工委办，"
        "请立即改派或撤回，或等妇儿工委办指定承办单位。",
        "referral.escalated_returned": "退回给仁里镇的一条事项（L2）多次被退回，请用 reroute 指定承办单位。",
    }


async def test_an_emergency_that_is_escalated_tells_the_duty_unit_to_call_and_no_other_above(notify: Notify) -> None:
    late = {"move": Transition.ESCALATED, "actor_unit": None, "overdue": "accept"}
    said = await notify.tell(a_mandatory_report(**late, escalated_to="341722-mzj"))
    assert {notice.unit: notice.urgency for notice in notices(said)} == {"341722-gaj": "call", "341722-mzj": "call"}
    said += await notify.tell(a_mandatory_report(**late, version=2, escalated_to="341722-feg"))
    above = {notice.unit: notice for notice in notices(said)}["341722-feg"]
    assert (above.urgency, above.text) == ("urgent", "公安局有一条事项（L0）签收超期，请联系该单位督办。")
    assert [alarm.text.startswith("先打电话") for alarm in alarms(said)] == [True, False]


async def test_a_call_that_nobody_recorded_is_asked_of_who_had_to_make_it(notify: Notify) -> None:
    """Not of the agency: it has nothing to record."""
    late = a_mandatory_report(
        transition=Transition.ESCALATED,
        actor_unit=None,
        escalated_to="341722-mzj",
        overdue="phone_report",
        from_unit="341722-txw",
    )
    said = await notify.tell(late)
    assert told(said) == {
        ("renli", "referral.phone_overdue"),
        ("txw", "referral.phone_overdue"),
        ("mzj", "referral.escalated"),
    }
    assert "团县委有一条事项（L0）补记电话报告超期" in alarms(said)[0].text


async def test_an_urgent_matter_that_a_guardian_refuses_is_not_said_to_be_ready_for_closing(notify: Notify) -> None:
    refused = {"level": Level.L1, "result": Result.REFUSED_BY_GUARDIAN, "state": ReferralState.RESULT_REPORTED}
    said = await notify.tell(
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
    assert told(said) == {
        ("renli", "referral.result_blocked"),
        ("jtj", "referral.blocked"),
        ("mzj", "referral.escalated"),
    }
    lasting = a_referral(
        Transition.RESULT_REPORTED, actor_unit="341722-jtj", **{**refused, "level": Level.L2}, version=3
    )
    assert told(await notify.tell(lasting)) == {("renli", "referral.result")}


async def test_who_has_nobody_to_inform_is_not_told_to(notify: Notify) -> None:
    reported = await notify.tell(
        a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj", reporter_unit="341722-txw")
    )
    derived = await notify.tell(a_referral(Transition.RESULT_REPORTED, actor_unit="341722-jtj"))
    assert "请核实并告知报告人：" in notices(reported)[0].text
    assert "请核实：" in notices(derived)[0].text


async def test_everybody_who_reported_hears_that_there_is_a_result(notify: Notify) -> None:
    done = a_referral(
        Transition.RESULT_REPORTED,
        actor_unit="341722-jtj",
        reporter_unit="341722-fl",
        reporters=("341722-txw", "341722-renli", "341722-fl"),
    )
    assert told(await notify.tell(done)) == {
        ("renli", "referral.result"),
        ("txw", "referral.reporter_result"),
        ("fl", "referral.reporter_result"),
    }


async def test_a_deadline_that_may_move_says_so_and_who_is_bound_by_it_hears_when_it_does(notify: Notify) -> None:
    [sent] = notices(await notify.tell(a_referral(provisional=True)))
    assert sent.text.endswith("前签收。期限为暂定，节假日安排公布后可能调整。")
    recounted = a_referral(Transition.EXTENDED, version=2, actor_unit=None, cause="calendar_published")
    said = await notify.tell(recounted)
    assert {notice.unit: notice.text for notice in notices(said)} == dict.fromkeys(
        ("341722-jtj", "341722-renli"),
        "节假日安排已公布，教体局承办的一条事项重新计算期限：11月26日17时。",
    )


async def test_a_matter_that_was_signed_for_and_rises_is_not_to_be_signed_for_again(notify: Notify) -> None:
    risen = a_referral(
        Transition.SENT, state=ReferralState.IN_PROGRESS, level=Level.L1, cause="level_raised", version=4
    )
    [notice] = notices(await notify.tell(risen))
    assert notice.text == "一条在办事项升为L1，请到转介队列查看，于12月7日17时前反馈结果。"


async def test_a_returned_matter_that_goes_out_again_is_taken_off_who_had_it_back(notify: Notify) -> None:
    again = a_referral(cause="sent_again", version=4, previous_unit="341722-renli", actor_unit="341722-txw")
    assert told(await notify.tell(again)) == {("jtj", "referral.sent"), ("renli", "referral.taken_over")}


async def test_an_emergency_found_in_one_that_is_in_hand_rings_and_is_to_be_called_about_anew(notify: Notify) -> None:
    await notify.tell(a_mandatory_report(phone_reported=True))
    said = await notify.tell(a_mandatory_report(version=2, cause="finding_added", state=ReferralState.ACCEPTED))
    assert told(said) == {("gaj", "referral.added"), ("renli", "referral.call_first"), ("mzj", "alarm.l0")}
    [alarm] = alarms(said)
    assert (alarm.unit, alarm.trigger) == ("341722-mzj", "l0")


async def test_a_finding_added_to_a_matter_that_was_called_about_asks_for_no_call(notify: Notify) -> None:
    said = await notify.tell(a_mandatory_report(version=2, cause="finding_added", phone_reported=True))
    assert told(said) == {("gaj", "referral.added")}
    assert alarms(said) == []


async def test_a_finding_added_to_an_ordinary_matter_rings_nobody(notify: Notify) -> None:
    said = await notify.tell(a_referral(version=2, cause="finding_added"))
    assert told(said) == {("jtj", "referral.added")}
    assert alarms(said) == []


async def test_a_matter_that_becomes_an_emergency_rings(notify: Notify) -> None:
    await notify.tell(a_mandatory_report(level=Level.L1))
    said = await notify.tell(a_mandatory_report(version=2, cause="level_raised"))
    assert ("gaj", "referral.sent") in told(said)
    assert [alarm.trigger for alarm in alarms(said)] == ["l0"]


async def test_whoever_reached_nobody_is_told_to_call_again(notify: Notify) -> None:
    said = await notify.tell(a_mandatory_report(transition=Transition.PHONE_REPORTED, version=2, cause="not_reached"))
    [notice] = notices(said)
    assert (notice.unit, notice.urgency) == ("341722-renli", "call")
    assert notice.text.startswith("先打电话 110 / 120。上一次电话没有打通")
    reached = a_mandatory_report(transition=Transition.PHONE_REPORTED, version=3, phone_reported=True)
    assert await notify.tell(reached) == []


async def test_a_township_that_does_not_decide_in_time_makes_the_county_decide(notify: Notify) -> None:
    said = await notify.tell(
        a_proposal(), a_proposal_ended(outcome="escalated", escalated_to="341722-mzj", actor_unit=None)
    )
    assert {("renli", "proposal.overdue"), ("mzj", "proposal.escalated")} <= told(said)
    assert [alarm.trigger for alarm in alarms(said)] == ["escalated"]


async def test_a_late_ledger_proposal_wakes_nobody(notify: Notify) -> None:
    said = await notify.tell(a_proposal_ended(subject="ledger", outcome="escalated", escalated_to="341722-mzj"))
    assert alarms(said) == []


async def test_a_derived_emergency_rings_before_anybody_has_confirmed_it(notify: Notify) -> None:
    said = await notify.tell(a_proposal(level=Level.L0))
    assert [alarm.trigger for alarm in alarms(said)] == ["l0"]
    assert told(said) == {("renli", "proposal.referral"), ("mzj", "alarm.proposal")}
    assert {notice.urgency for notice in notices(said)} == {"call"}


@pytest.mark.parametrize("move", Transition)
async def test_a_service_gap_makes_no_single_line_and_never_rings(notify: Notify, move: Transition) -> None:
    """L3: the unit hears of it in one bundle a month."""
    assert await notify.tell(a_referral(move, level=Level.L3, actor_unit=None, escalated_to="341722-feg")) == []


async def test_a_refused_action_comes_back_with_the_reason_and_what_to_do(notify: Notify) -> None:
    said = await notify.tell(a_refusal(), a_registry_refusal())
    texts = {notice.unit: notice.text for notice in notices(said)}
    assert texts == {
        "341722-jtj": "您单位的一次操作（办结）没有办成：还没有告知报告人。请先记录已告知报告人，再办结。",
        "341722-mzj": "您单位的一次操作（合并档案）没有办成：没有这份档案。请核对档案编号，可能已合并。",
    }
    assert {notice.subject for notice in notices(said)} == {an_id("action"), an_id("merge")}


async def test_a_contradiction_says_which_data_where_that_gives_nothing_away(notify: Notify) -> None:
    said = await notify.tell(a_contradiction(), a_contradiction(name=FactName.DISABILITY))
    texts = {notice.text for notice in notices(said)}
    assert texts == {
        f"您单位与其他单位报送的{what}不一致，请核对，有误的请更正后重新报送。" for what in ("居住信息", "一项数据")
    }


async def test_a_missed_duty_says_how_to_record_that_it_was_made_good(notify: Notify) -> None:
    said = await notify.tell(
        a_duty("missed"),
        a_duty("missed", duty=an_id("first"), duty_kind=DutyKind.FIRST_VISIT),
        a_duty("missed", duty=an_id("meeting"), duty_kind=DutyKind.MEETING),
    )
    assert [notice.text for notice in notices(said)] == [
        "一名儿童的每月联系到期（11月30日）没有完成，请尽快补做，用 contact 记录。",
        "一名儿童的首次走访到期（11月30日）没有完成，请尽快补做，用 visit 记录。",
        "一名儿童的年度推进会议到期（11月30日）没有完成，请尽快补做。",
    ]


async def test_a_refused_action_in_a_restricted_matter_stays_restricted(notify: Notify) -> None:
    [notice] = notices(await notify.tell(a_refusal(restricted=True, unit="341722-gaj")))
    assert notice.restricted


async def test_a_reason_that_nobody_worded_is_not_copied_out(notify: Notify) -> None:
    [notice] = notices(await notify.tell(a_refusal(code="child Zhang San is at school", verb=Verb.CLOSE)))
    assert "Zhang" not in notice.text
    assert "不符合办理条件" in notice.text


# ---------------------------------------------------------------- whose inbox


async def test_a_small_place_is_told_through_its_parent(notify: Notify) -> None:
    said = await notify.tell(a_referral(inform=("341722-cdc",)))
    [notice] = [notice for notice in notices(said) if notice.template == "referral.inform"]
    assert notice.unit == "341722-wjw"
    assert notice.text.startswith("请转告疾控中心：")


async def test_a_lead_unit_without_a_recipient_is_an_alarm_for_what_it_should_pass_on_too(notify: Notify) -> None:
    notify.county = without_recipient("341722-mzj")
    said = await notify.tell(a_mandatory_report(inform=("341722-tjj",), phone_reported=True))
    unattended = [alarm for alarm in alarms(said) if alarm.trigger == "no_recipient"]
    assert [alarm.text for alarm in unattended] == ["民政局的收件箱没有负责人，通知已保存，请指定负责人。"]


async def test_two_small_places_under_one_parent_are_two_lines(notify: Notify) -> None:
    said = await notify.tell(a_referral(inform=("341722-cdc", "341722-hospital")))
    lines = [notice for notice in notices(said) if notice.template == "referral.inform"]
    assert [notice.unit for notice in lines] == ["341722-wjw", "341722-wjw"]
    assert len({notice.notice for notice in lines}) == 2


async def test_the_township_of_a_route_is_the_childs(notify: Notify) -> None:
    said = await notify.tell(a_referral(inform=("township",), township="341722104", from_unit="341722-mzj"))
    assert ("xiaohe", "referral.inform") in told(said)


async def test_a_restricted_line_never_falls_into_an_ordinary_inbox(notify: Notify) -> None:
    """统计局 has no restricted inbox: the lead unit passes the line on."""
    said = await notify.tell(a_mandatory_report(inform=("341722-tjj",)))
    [line] = [notice for notice in notices(said) if notice.template == "referral.inform_urgent"]
    assert (line.unit, line.restricted) == ("341722-mzj", True)
    assert line.text.startswith("请转告统计局：")


@pytest.mark.parametrize("stranger", ["341722-gone", "340100-other"])
async def test_a_unit_that_is_not_there_is_an_alarm_and_not_a_loss(notify: Notify, stranger: str) -> None:
    said = await notify.tell(a_referral(to_unit=stranger))
    [notice] = notices(said)
    assert notice.unit == "341722-mzj"
    assert [(alarm.trigger, alarm.unit) for alarm in alarms(said)] == [("no_recipient", "341722-mzj")]
    assert len(await store.inbox(notify.connection, "341722-mzj")) == 1


def without_recipient(unit: str) -> Any:
    county = a_county()
    return a_county(
        units=tuple(one.model_copy(update={"recipient": None}) if one.id == unit else one for one in county.units)
    )


async def test_an_inbox_without_a_recipient_is_an_alarm_once_a_day_and_the_line_is_kept(notify: Notify) -> None:
    notify.county = without_recipient("341722-jtj")
    said = await notify.tell(*(a_referral(referral=an_id(number)) for number in range(3)))
    assert len(notices(said)) == 3
    assert len(await store.inbox(notify.connection, "341722-jtj")) == 3
    assert [(alarm.trigger, alarm.unit) for alarm in alarms(said)] == [("no_recipient", "341722-mzj")]
    assert alarms(said)[0].text == "教体局的收件箱没有负责人，通知已保存，请指定负责人。"
    tomorrow = a_referral(referral=an_id("later"), on=date(2026, 11, 24))
    assert len(alarms(await notify.tell(tomorrow))) == 1


# ---------------------------------------------------------------- once each


async def state(notify: Notify) -> list[Any]:
    rows = await notify.connection.fetch(
        "select notice, unit, text from inbox union all select alarm, unit, text from alarm order by 1"
    )
    matters = await notify.connection.fetch("select * from matter order by kind, id")
    return [tuple(row) for row in rows] + [tuple(row) for row in matters]


async def test_an_event_read_again_tells_nobody_again(notify: Notify) -> None:
    heard = [notify.heard(event) for event in every_event()]
    first = await notify.tell(*heard)
    before = await state(notify)
    assert len(notices(first)) > 25
    assert await notify.tell(*heard) == []
    assert await notify.tell(*heard[:7], cut=1) == []
    assert await state(notify) == before


async def test_the_same_event_twice_in_one_batch_tells_once(notify: Notify) -> None:
    heard = notify.heard(a_referral())
    assert len(notices(await notify.tell(heard, heard))) == 1


async def test_it_does_not_matter_how_the_log_is_cut(notify: Notify) -> None:
    heard = [notify.heard(event) for event in story()]
    ends = []
    for cut in (1, 7, 1000):
        await notify.connection.execute("truncate inbox, matter, alarm")
        said = await notify.tell(*heard, cut=cut)
        ends.append(([(say.cause, say.event) for say in said], await state(notify)))
    assert len(ends[0][0]) > 100
    assert ends[0] == ends[1] == ends[2]


def story() -> list[Any]:
    """Sixty children, each with a referral that moves on, a duty and now and then an emergency."""
    chance = random.Random(341722)
    events: list[Any] = []
    gap: dict[str, Any]
    for number in range(60):
        child = an_id(f"child {number}")
        about = {"child": child, "referral": an_id(f"referral {number}")}
        moves = [
            Transition.SENT,
            Transition.ACCEPTED,
            Transition.STARTED,
            Transition.RESULT_REPORTED,
            Transition.CLOSED,
        ][: chance.randint(1, 5)]
        events += [a_referral(move, version=count, **about) for count, move in enumerate(moves, start=1)]
        events.append(a_duty(child=child))
        if chance.random() < 0.5:
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


# ---------------------------------------------------------------- whose turn it is


async def turns(notify: Notify) -> dict[UUID, tuple[str, str | None]]:
    rows = await notify.connection.fetch("select id, unit, turn, open from matter")
    return {row["id"]: (row["unit"].removeprefix("341722-"), row["turn"] if row["open"] else None) for row in rows}


async def test_a_matter_lies_with_whoever_has_to_move_next(notify: Notify) -> None:
    expected = [
        (Transition.SENT, ("jtj", "accept")),
        (Transition.ACCEPTED, ("jtj", "answer")),
        (Transition.RETURNED, ("renli", "check")),
        (Transition.REROUTED, ("jtj", "accept")),
        (Transition.RESULT_REPORTED, ("renli", "check")),
        (Transition.CLOSED, ("jtj", None)),
        (Transition.REOPENED, ("jtj", "accept")),
    ]
    for version, (move, turn) in enumerate(expected, start=1):
        await notify.tell(a_referral(move, version=version))
        assert (await turns(notify))[an_id("referral")] == turn, move


async def test_an_older_move_read_later_changes_nothing(notify: Notify) -> None:
    """After a merge a matter's moves can arrive by two lanes."""
    await notify.tell(a_referral(Transition.CLOSED, version=5))
    await notify.tell(a_referral(Transition.ACCEPTED, version=2))
    assert (await turns(notify))[an_id("referral")] == ("jtj", None)
    await notify.tell(a_duty("fulfilled"))
    await notify.tell(a_duty("created"))
    assert (await turns(notify))[a_duty().duty] == ("renli", None)


async def test_an_older_move_in_the_same_batch_changes_nothing_either(notify: Notify) -> None:
    await notify.tell(a_referral(Transition.CLOSED, version=5), a_referral(Transition.ACCEPTED, version=2))
    assert (await turns(notify))[an_id("referral")] == ("jtj", None)


async def test_a_proposal_that_nobody_decided_lies_with_the_county(notify: Notify) -> None:
    await notify.tell(a_proposal(), a_proposal_ended(outcome="escalated", escalated_to="341722-mzj", actor_unit=None))
    assert (await turns(notify))[an_id("proposal")] == ("mzj", "decide")
    await notify.tell(a_proposal_ended(outcome="declined", actor_unit="341722-mzj"))
    assert (await turns(notify))[an_id("proposal")][1] is None
