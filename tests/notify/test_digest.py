"""When a day completes, each unit receives one digest that counts its obligations."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid5

import pytest

from contracts.event import at_midnight
from contracts.vocabulary import DutyKind, Level, Transition
from runtime import DayPageResult, OutboundEvent, partition_of
from services.notify import events, handlers
from services.notify.domain.digest import Counts, daily, monthly
from tests.notify.conftest import Notify, alarms, notices
from tests.notify.events import a_duty, a_mandatory_report, a_proposal, a_referral, a_review_request, an_id
from tests.notify.test_recipients import without_recipient

TUESDAY = date(2026, 11, 24)


def texts(emitted: list[OutboundEvent]) -> dict[str, str]:
    return {notice.topic_name.removeprefix("notify.inbox.341722-"): notice.text for notice in notices(emitted)}


async def consume_ordinary_events(notify: Notify) -> None:
    """Consume events of children in every partition, with referrals, duties, proposals and a review."""
    children = [an_id(f"child {number}") for number in range(12)]
    assert {partition_of(str(child), notify.partitions) for child in children} == set(range(notify.partitions))
    await notify.consume(
        a_referral(child=children[0], referral=an_id(0)),
        a_referral(child=children[1], referral=an_id(1), accept_by=datetime(2026, 11, 23, 9, tzinfo=UTC)),
        a_referral(Transition.ACCEPTED, child=children[2], referral=an_id(2)),
        a_referral(Transition.CLOSED, child=children[3], referral=an_id(3)),
        a_duty(child=children[4]),
        a_duty(child=children[5]),
        a_duty(child=children[6], duty_kind=DutyKind.VISIT, period="2026Q4", due_on=date(2026, 12, 31)),
        a_duty("fulfilled", child=children[7]),
        a_review_request(child=children[8]),
        a_mandatory_report(child=children[9], referral=an_id(9), accept_by=datetime(2026, 11, 23, 2, tzinfo=UTC)),
        a_proposal(child=children[10]),
        a_referral(child=children[11], referral=an_id(11), level=Level.L3, to_unit="341722-wjw"),
    )


async def test_a_digest_counts_a_units_obligations(notify: Notify) -> None:
    await consume_ordinary_events(notify)
    assert texts(await notify.complete_day(TUESDAY)) == {
        "jtj.v1": "11月24日待办：待签收2件、待反馈1件，其中超期1件，最近的期限是11月26日17时。"
        "明细见转介队列和本收件箱。",
        "renli.v1": "11月24日待办：待联系2名、待走访1名，最近的期限是11月30日24时。明细见转介队列和本收件箱。",
        "mzj.v1": "11月24日待办：待核对1件。明细见转介队列和本收件箱。",
        "gaj.restricted.v1": "11月24日待办：待签收1件，其中超期1件。明细见限知事项队列和本收件箱。",
        "renli.restricted.v1": "11月24日待办：待审定1件，最近的期限是11月24日9时。明细见限知事项队列和本收件箱。",
    }


async def test_a_duty_with_a_reminder_is_counted_as_due_soon(notify: Notify) -> None:
    children = [an_id(number) for number in range(3)]
    await notify.consume(*(a_duty(child=child) for child in children), a_duty("reminded", child=children[0]))
    assert texts(await notify.complete_day(TUESDAY))["renli.v1"].startswith(
        "11月24日待办：待联系3名，其中临期1名，最近"
    )
    await notify.consume(a_duty("fulfilled", child=children[0]))
    assert texts(await notify.complete_day(date(2026, 11, 25)))["renli.v1"].startswith("11月25日待办：待联系2名，最近")


@pytest.mark.parametrize(
    ("kind", "word"), [(DutyKind.CONTACT, "联系"), (DutyKind.VISIT, "走访"), (DutyKind.FIRST_VISIT, "首次走访")]
)
async def test_a_missed_duty_is_counted_as_late_until_it_is_made_good(
    notify: Notify, kind: DutyKind, word: str
) -> None:
    """A child is counted once, although the next period's duty is owed as well."""
    missed: dict[str, Any] = {"duty_kind": kind, "duty": an_id("missed"), "due_on": date(2026, 11, 23)}
    await notify.consume(a_duty("missed", **missed), a_duty(duty_kind=kind, duty=an_id("next")))
    assert texts(await notify.complete_day(TUESDAY))["renli.v1"].startswith(
        f"11月24日待办：待{word}1名，其中超期1名，最近"
    )
    await notify.consume(a_duty("fulfilled_late", **missed))
    assert texts(await notify.complete_day(date(2026, 11, 25)))["renli.v1"].startswith(
        f"11月25日待办：待{word}1名，最近"
    )


async def test_the_next_due_time_leaves_out_late_and_monthly_items(notify: Notify) -> None:
    late, soon, never = (datetime(2026, 11, day, 9, tzinfo=UTC) for day in (23, 27, 25))
    await notify.consume(
        a_referral(child=an_id(0), referral=an_id(0), accept_by=late),
        a_referral(child=an_id(1), referral=an_id(1), accept_by=soon),
        a_referral(child=an_id(2), referral=an_id(2), accept_by=never, level=Level.L3),
    )
    assert "最近的期限是11月27日17时" in texts(await notify.complete_day(TUESDAY))["jtj.v1"]


async def test_restricted_items_are_not_counted_in_the_ordinary_inbox(notify: Notify) -> None:
    await notify.consume(a_mandatory_report(to_unit="341722-jtj"))
    emitted = notices(await notify.complete_day(TUESDAY))
    assert [(notice.topic_name, notice.restricted) for notice in emitted] == [
        ("notify.inbox.341722-jtj.restricted.v1", True)
    ]


async def test_an_ordinary_digest_is_the_same_with_and_without_restricted_items(
    notify: Notify,
) -> None:
    """No line, number, date or word about where to look differs."""

    async def ordinary(*days: date) -> list[str]:
        emitted = [notice for day in days for notice in notices(await notify.complete_day(day))]
        return [notice.model_dump_json(exclude={"notice"}) for notice in emitted if not notice.restricted]

    await consume_ordinary_events(notify)
    await notify.connection.execute("DELETE FROM obligation WHERE restricted")
    without = await ordinary(TUESDAY, date(2026, 12, 1))
    await notify.connection.execute("TRUNCATE inbox, obligation, alarm, digest_count, digest_day, digest_partition")
    await consume_ordinary_events(notify)
    await notify.consume(
        a_mandatory_report(child=an_id(1), referral=an_id("r"), to_unit="341722-jtj", level=Level.L3),
        a_duty("reminded", child=an_id(2), restricted=True, due_on=date(2026, 11, 24)),
        a_proposal(unit="341722-jtj", proposal=an_id("p"), decide_by=at_midnight(TUESDAY)),
    )
    assert len(without) == 7
    assert await ordinary(TUESDAY, date(2026, 12, 1)) == without


async def test_a_unit_without_obligations_gets_no_digest(notify: Notify) -> None:
    await notify.consume(a_referral(), a_referral(Transition.CLOSED, version=2))
    assert await notify.complete_day(TUESDAY) == []


async def test_there_is_one_digest_a_day(notify: Notify) -> None:
    await consume_ordinary_events(notify)
    first = await notify.complete_day(TUESDAY)
    assert len(notices(first)) == 5
    assert await notify.complete_day(TUESDAY) == []
    second = await notify.complete_day(date(2026, 11, 25))
    assert len(notices(second)) == 5
    assert not {notice.notice for notice in notices(first)} & {notice.notice for notice in notices(second)}


async def test_the_digests_are_emitted_when_the_last_partition_has_counted(notify: Notify) -> None:
    """The numbers would be wrong without a partition that lags behind: the digests wait for it."""
    await consume_ordinary_events(notify)
    assert await notify.complete_day(TUESDAY, partitions=[0, 1, 3]) == []
    assert len(notices(await notify.complete_day(TUESDAY, partitions=[2]))) == 5


async def test_events_of_the_new_day_are_not_in_the_old_days_numbers(notify: Notify) -> None:
    child = an_id("early")
    early = partition_of(str(child), notify.partitions)
    await notify.complete_day(TUESDAY, partitions=[early])
    await notify.consume(a_referral(child=child, referral=an_id("of tuesday")))
    others = [partition for partition in range(notify.partitions) if partition != early]
    assert await notify.complete_day(TUESDAY, partitions=others) == []
    assert len(notices(await notify.complete_day(date(2026, 11, 25)))) == 1


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
async def test_which_partition_is_last_changes_no_event(notify: Notify, order: list[int]) -> None:
    await consume_ordinary_events(notify)
    emitted = await notify.complete_day(TUESDAY, partitions=order)
    assert [(outbound.cause, outbound.event, outbound.time) for outbound in emitted] == [
        (uuid5(events.NAMESPACE, f"digest.daily/2026-11-24/{unit}/{restricted}"), outbound.event, outbound.time)
        for outbound, (unit, restricted) in zip(
            emitted,
            [
                ("341722-gaj", True),
                ("341722-jtj", False),
                ("341722-mzj", False),
                ("341722-renli", False),
                ("341722-renli", True),
            ],
            strict=True,
        )
    ]


@pytest.mark.parametrize("limit", [1, 2, 500])
async def test_a_days_work_is_divided_into_pages(notify: Notify, limit: int) -> None:
    await consume_ordinary_events(notify)
    assert len(notices(await notify.complete_day(TUESDAY, limit=limit))) == 5


async def test_exactly_one_of_two_concurrent_partitions_emits_the_digests(connect: Callable[[], Any]) -> None:
    """The second waits until the first has committed, sees its partition counted, and emits the digests."""
    notify = Notify(await connect())
    await consume_ordinary_events(notify)
    await notify.complete_day(TUESDAY, partitions=[0, 1])
    first, second = await connect(), await connect()

    async def finish_second() -> DayPageResult:
        async with second.transaction():
            return await handlers.on_day(notify.page(TUESDAY, 3, None), second)

    async def is_blocked() -> bool:
        blocked = "SELECT cardinality(pg_blocking_pids($1)) > 0"
        return bool(await notify.connection.fetchval(blocked, second.get_server_pid()))

    async with first.transaction():
        not_last = await handlers.on_day(notify.page(TUESDAY, 2, None), first)
        finishing = asyncio.create_task(finish_second())
        while not finishing.done() and not await is_blocked():  # noqa: ASYNC110 - no event tells of another session
            await asyncio.sleep(0.01)
    last = await finishing
    assert (not_last.resume, last.resume) == (None, "emit:")


async def test_a_digest_for_an_inbox_without_a_recipient_is_kept_and_raises_an_alarm(notify: Notify) -> None:
    notify.county = without_recipient("341722-jtj")
    await notify.consume(a_referral())
    emitted = await notify.complete_day(TUESDAY)
    assert [alarm.trigger for alarm in alarms(emitted)] == ["no_recipient"]
    assert [notice.unit for notice in notices(emitted)] == ["341722-jtj"]


# ---------------------------------------------------------------- the monthly digest


async def test_service_gaps_are_notified_in_one_digest_a_month(notify: Notify) -> None:
    late = datetime(2026, 11, 24, 9, tzinfo=UTC)
    gaps = [a_referral(child=an_id(n), referral=an_id(n), level=Level.L3, accept_by=late) for n in range(5)]
    emitted = await notify.consume(*gaps)
    days = [date(2026, 11, day) for day in range(24, 31)] + [date(2026, 12, day) for day in range(1, 32)]
    for day in days:
        emitted += await notify.complete_day(day)
    [digest] = notices(emitted)
    assert (digest.on, digest.template) == (date(2026, 12, 1), "digest.monthly")
    assert digest.text == "12月1日服务类待办汇总：未办结5件，其中超期5件。请到转介队列集中办理。"


async def test_an_escalated_gap_is_counted_at_the_unit_it_went_to(notify: Notify) -> None:
    """It makes no notice of its own, and is still counted."""
    gaps: list[dict[str, Any]] = [
        {"child": an_id(n), "referral": an_id(n), "level": Level.L3, "actor_unit": None} for n in range(4)
    ]
    await notify.consume(*(a_referral(**gap) for gap in gaps))
    escalation = {"escalated_to": "341722-feg", "overdue": "accept"}
    assert (
        await notify.consume(*(a_referral(Transition.ESCALATED, version=2, **escalation, **gap) for gap in gaps)) == []
    )
    await notify.consume(a_referral(Transition.CLOSED, version=3, **gaps[0]))
    await notify.consume(a_referral(Transition.ACCEPTED, version=3, **gaps[1]))
    await notify.consume(
        a_referral(Transition.CLOSED, version=3, **gaps[2]), a_referral(Transition.REOPENED, version=4, **gaps[2])
    )
    assert texts(await notify.complete_day(date(2026, 12, 1))) == {
        "feg.v1": "12月1日服务类待办汇总：由您单位督办2件。请到转介队列集中办理。",
        "jtj.v1": "12月1日服务类待办汇总：未办结3件，其中超期2件。请到转介队列集中办理。",
    }


async def test_a_month_without_gaps_has_no_monthly_digest(notify: Notify) -> None:
    await notify.consume(a_referral())
    assert {notice.template for notice in notices(await notify.complete_day(date(2026, 12, 1)))} == {"digest.daily"}


# ---------------------------------------------------------------- in numbers


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (Counts(), None),
        (Counts(monthly=3), None),
        (Counts(accept=1), "待签收1件"),
        (Counts(accept=1, overdue=1), "待签收1件，其中超期1件"),
        (Counts(contact=3, visit=1), "待联系3名、待走访1名"),
        (Counts(contact=3, visit=1, due_soon=2), "待联系3名、待走访1名，其中临期2名"),
        (Counts(first_visit=2, missed=1, due_soon=1), "待首次走访2名，其中超期1名、临期1名"),
        (
            Counts(accept=1, answer=2, check=3, decide=4, review=5, overdue=6, contact=7, visit=8, first_visit=9),
            "待签收1件、待反馈2件、待办结3件、待审定4件、待核对5件，其中超期6件；待联系7名、待走访8名、待首次走访9名",
        ),
    ],
)
def test_a_digest_counts_each_kind_of_obligation(counts: Counts, text: str | None) -> None:
    assert daily(counts) == text


def test_a_monthly_digest_counts_overdue_items() -> None:
    assert monthly(Counts(accept=1)) is None
    assert monthly(Counts(monthly=2)) == "未办结2件"
    assert monthly(Counts(monthly=2, monthly_overdue=1)) == "未办结2件，其中超期1件"
    assert monthly(Counts(monthly=2, escalated=1)) == "未办结2件；由您单位督办1件"
    assert monthly(Counts(escalated=1)) == "由您单位督办1件"
