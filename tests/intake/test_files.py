"""Whole files: every row is answered, no row is accepted twice, and only a complete file shows what is missing."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.event import Event
from contracts.intake import Cell, RecordDisappeared, RecordRead, Row, RowsAnswered, SubmissionEnded
from contracts.vocabulary import FactName
from services.intake.domain.submission import due_date, period_end, period_start, valid_date
from tests.county import a_county
from tests.intake.harness import NOON, SCHOOL, Harness, Receipt, a_file, an_id, only
from tests.intake.test_id_number import a_number

BORN = date(2015, 3, 12)


def a_child(number: int, **changes: Cell) -> dict[str, Cell]:
    """Return an ordinary row of the school's file with its own number."""
    born = BORN + timedelta(days=number % 1000)
    row: dict[str, Cell] = {
        "姓名": "测试" + "甲乙丙丁戊己庚辛壬癸"[number % 10],
        "身份证号": a_number(born, sequence=f"{number % 900 + 1:03d}"),
        "出生日期": born.isoformat(),
        "学籍号": f"G{number:018d}",
        "年级": "三年级",
        "是否受资助": "否",
    }
    return row | changes


def children(count: int) -> list[dict[str, Cell]]:
    return [a_child(number) for number in range(count)]


async def test_a_file_is_read_row_by_row_and_answered(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1), a_child(2, 年级="毕业班"), {"姓名": "测试丙", "年级": "三年级"}])

    assert receipt.counts == (1, 1, 1, 0)
    assert receipt.answer.rows == 3
    assert receipt.answer.outcome == "taken"
    assert receipt.codes == Counter({"word_unknown": 1, "names_nobody": 1})
    first, second = receipt.records
    assert first.recorded_at == NOON
    assert (first.unit, first.dataset, first.period, first.valid_on) == (SCHOOL, "school", "2026H2", date(2026, 11, 23))
    assert intake.open_identity(first)["name"] == "测试乙"
    assert dict(first.facts) == {
        "birth_date": "2015-03-13",
        "sex": 2,
        "school_grade": 3,
        "school_stage": "primary",
        "aided_student": False,
    }
    assert "school_grade" not in second.facts
    [ended] = only(receipt.events, SubmissionEnded)
    assert ended.coverage == "full"


async def test_no_event_shows_an_identity(intake: Harness) -> None:
    """Only the sealed identity contains it; receipts contain masked contents."""
    rows = [
        a_child(1),
        a_child(2, 身份证号="341722********0110"),
        a_child(3, 联系电话="1390000000"),
        a_child(4, 出生日期="测试丁"),
    ]
    receipt = await intake.submit(rows)

    for event in receipt.events:
        text = event.model_dump_json()
        for row in rows:
            assert str(row["姓名"]) not in text
            assert str(row["身份证号"]) not in text.replace("341722********0110", "")
        assert "1390000000" not in text


async def test_all_rows_with_one_number_have_the_same_key(intake: Harness) -> None:
    """The birth month in the number is the key of a record, whatever birth date a department writes."""
    receipt = await intake.submit([a_child(1), a_child(1, 学籍号="J2", 出生日期="2014-01-01")])

    assert {record.key for record in receipt.records} == {"2015-03"}
    assert receipt.records[1].facts[FactName.BIRTH_DATE] == "2014-01-01"
    assert receipt.records[1].flags == ("birth_date_conflict",)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_the_outcome_does_not_depend_on_batch_boundaries(intake: Harness, size: int) -> None:
    """Two half-years of one unit with all kinds of rows are applied in batches of 1, of 7 and in one."""
    first: list[Mapping[str, Cell]] = [
        *children(20),
        a_child(3),
        a_child(4, 年级="五年级"),
        {"姓名": "测试丙", "学籍号": "Z"},
        {"姓名": "测试丁"},
    ]
    second: list[Mapping[str, Cell]] = [
        *children(12),
        *(a_child(number, 年级="四年级") for number in range(12, 15)),
        {"姓名": "测试丙", "学籍号": "Z"},
    ]
    single = Row(dataset="school", cells=a_child(1, 年级="六年级"))
    headers = [*a_child(0), "是否残疾"]
    emitted = await intake.send_events(
        *a_file(first, submission=1, period="2026H1", columns=headers),
        single,
        *a_file(second, submission=2, columns=headers, file_sha256="b"),
        *a_file(second, submission=3, columns=headers, file_sha256="b"),
        size=size,
    )

    facts, receipts = summary(emitted)
    assert receipts == {
        None: (1, 1, 0, 0, 0),
        an_id("submission", 1): (24, 20, 0, 3, 1),
        an_id("submission", 2): (16, 4, 0, 1, 11),
    }
    [first_answer, second_answer, repeated] = Receipt(emitted).answers
    assert (first_answer.outcome, second_answer.outcome, repeated.outcome) == ("taken", "taken", "same_again")
    assert (first_answer.disappeared, second_answer.disappeared, repeated.disappeared) == (0, 5, 0)
    assert repeated.unchanged == repeated.rows == 16
    expected = getattr(test_the_outcome_does_not_depend_on_batch_boundaries, "facts", facts)
    test_the_outcome_does_not_depend_on_batch_boundaries.facts = facts  # type: ignore[attr-defined]
    assert facts == expected
    assert len(only(emitted, RecordRead)) == 20 + 1 + 4


def summary(emitted: list[Event]) -> tuple[list[Any], dict[Any, tuple[int, ...]]]:
    """Return what may not depend on batches: all but the division of row receipts and the sealed identities."""
    facts = [
        event.model_dump(exclude={"identity"}) | {"kind": event.kind}
        for event in emitted
        if not isinstance(event, RowsAnswered)
    ]
    receipts: dict[Any, tuple[int, ...]] = {}
    for part in only(emitted, RowsAnswered):
        before = receipts.get(part.submission, (0, 0, 0, 0, 0))
        now = (part.read, part.accepted, part.accepted_with_drops, part.refused, part.unchanged)
        receipts[part.submission] = tuple(a + b for a, b in zip(before, now, strict=True))
    return facts, receipts


async def test_a_repeated_file_is_answered_as_the_same_again(intake: Harness) -> None:
    await intake.submit(children(5), submission=1, file_sha256="a")
    by_content = await intake.submit(children(5), submission=2, file_sha256="a")
    by_id = await intake.submit(children(5), submission=1, file_sha256="a")

    for receipt in (by_content, by_id):
        assert receipt.answer.outcome == "same_again"
        assert receipt.counts == (0, 0, 0, 5)
        assert receipt.codes == Counter({"same_file": 1})
        assert (receipt.records, receipt.parts, only(receipt.events, SubmissionEnded)) == ([], [], [])


async def test_a_file_is_processed_again_under_another_version_of_the_county(intake: Harness) -> None:
    """The county has registered another header, so the same bytes may yield more."""
    await intake.submit(children(2), submission=1, file_sha256="a")
    intake.county = a_county(version="later")
    receipt = await intake.submit(children(2), submission=2, file_sha256="a")

    assert receipt.answer.outcome == "taken"
    assert receipt.counts == (0, 0, 0, 2)


async def test_unchanged_rows_emit_nothing_and_the_end_dates_them(intake: Harness) -> None:
    await intake.submit(children(5), submission=1, period="2026H1")
    receipt = await intake.submit([*children(4), a_child(4, 年级="四年级")], submission=2)

    assert receipt.counts == (1, 0, 0, 4)
    assert len(receipt.records) == 1
    [ended] = only(receipt.events, SubmissionEnded)
    assert (ended.period, ended.valid_on, ended.broadcast) == ("2026H2", date(2026, 11, 23), True)


async def test_problems_of_an_unchanged_row_are_reported_every_time(intake: Harness) -> None:
    """Unchanged whole rows are skipped by their hash; rows with problems are read again for the receipt."""
    rows = [a_child(1), a_child(2, 年级="毕业班")]
    await intake.submit(rows, submission=1, period="2026H1")
    receipt = await intake.submit(rows, submission=2)

    assert receipt.counts == (0, 0, 0, 2)
    assert receipt.codes == Counter({"word_unknown": 1})


async def test_a_row_typed_differently_is_the_same_row(intake: Harness) -> None:
    await intake.submit([a_child(1)], submission=1, period="2026H1")
    otherwise = a_child(1, 出生日期="2015年3月13日", 姓名="测 试乙", 年级="小学三年级")
    receipt = await intake.submit([otherwise], submission=2)
    repeated = await intake.submit([otherwise], submission=3)

    assert (receipt.counts, repeated.counts) == ((0, 0, 0, 1), (0, 0, 0, 1))


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_row_that_changes_back_is_emitted_again(intake: Harness, size: int) -> None:
    """The quick check knows its hash, but another content was emitted in between, in the same batch or before."""
    await intake.submit([a_child(1)], submission=1, period="2026H1")
    begin, row, end = a_file([a_child(1)], submission=2)
    changed = Row(dataset="school", cells=a_child(1, 年级="四年级"))
    emitted = await intake.send_events(begin, changed, row, end, size=size)

    assert [record.facts[FactName.SCHOOL_GRADE] for record in only(emitted, RecordRead)] == [4, 3]


async def test_a_record_absent_from_a_full_file_disappears_and_may_come_back(intake: Harness) -> None:
    await intake.submit(children(3), submission=1, period="2026H1")
    missing = await intake.submit(children(2), submission=2)
    reappeared = await intake.submit(children(3), submission=3)

    [disappeared] = only(missing.events, RecordDisappeared)
    assert missing.answer.disappeared == 1
    [ended] = only(missing.events, SubmissionEnded)
    assert missing.events.index(disappeared) < missing.events.index(ended)
    assert disappeared.birth_date == (BORN + timedelta(days=2)).isoformat()
    assert [record.record for record in reappeared.records] == [disappeared.record]
    assert reappeared.counts == (1, 0, 0, 2)


async def test_a_row_without_a_file_does_not_disappear_with_the_next_file(intake: Harness) -> None:
    """It never was in a full file, so its absence from one shows nothing."""
    await intake.submit(children(2), submission=1, period="2026H1")
    await intake.send_events(Row(dataset="school", cells=a_child(9)))
    receipt = await intake.submit(children(2), submission=2)

    assert receipt.answer.disappeared == 0


async def test_no_record_disappears_with_a_partial_file(intake: Harness) -> None:
    await intake.submit(children(3), submission=1, period="2026H1")
    receipt = await intake.submit([a_child(7)], submission=2, coverage="delta")
    full = await intake.submit(children(3), submission=3)

    assert receipt.answer.disappeared == 0
    assert only(receipt.events, SubmissionEnded)[0].coverage == "delta"
    assert full.answer.disappeared == 0


async def test_no_record_disappears_with_a_file_without_coverage_and_its_receipt_says_so_first(
    intake: Harness,
) -> None:
    """The next full file is not compared with it either."""
    await intake.submit(children(3), submission=1, period="2026H1")
    receipt = await intake.submit([a_child(7, 没有这一列="1"), a_child(8)], submission=2, coverage=None)
    full = await intake.submit(children(2), submission=3)

    assert (receipt.counts, receipt.answer.outcome, receipt.answer.disappeared) == ((2, 0, 0, 0), "taken", 0)
    assert [problem.code for problem in receipt.answer.problems] == ["coverage_missing", "column_unknown"]
    assert "full" in receipt.answer.problems[0].remedy
    assert only(receipt.events, SubmissionEnded)[0].coverage == "delta"
    assert [record.birth_date for record in only(full.events, RecordDisappeared)] == [
        (BORN + timedelta(days=2)).isoformat()
    ]


async def test_a_file_sent_again_with_its_coverage_is_processed_again(intake: Harness) -> None:
    """Its receipt asked for the coverage; with it the file is processed under the same id, and once only."""
    await intake.submit(children(4), submission=1, period="2026H1")
    await intake.submit(children(3), submission=2, coverage=None, file_sha256="a")
    unstated = await intake.submit(children(3), submission=2, coverage=None, file_sha256="a")
    stated = await intake.submit(children(3), submission=2, coverage="full", file_sha256="a")
    after = [
        await intake.submit(children(3), submission=2, coverage=stated_coverage, file_sha256="a")
        for stated_coverage in ("full", None)
    ]
    part = await intake.submit(children(3), submission=2, coverage="delta", file_sha256="a")

    assert unstated.answer.outcome == "same_again"
    assert (stated.answer.outcome, stated.counts, stated.answer.disappeared) == ("taken", (0, 0, 0, 3), 1)
    assert not stated.codes
    assert [receipt.answer.outcome for receipt in after] == ["same_again", "same_again"]
    assert (part.answer.outcome, part.codes) == ("refused", Counter({"submission_reused": 1}))


async def test_another_file_under_the_id_of_one_without_coverage_is_refused(intake: Harness) -> None:
    await intake.submit(children(3), submission=1, coverage=None)
    other = await intake.submit(children(2), submission=1)

    assert (other.answer.outcome, other.codes) == ("refused", Counter({"submission_reused": 1}))


@pytest.mark.parametrize("coverage", ["Full", "complete", "", 1])
async def test_an_unknown_coverage_is_refused_by_name(intake: Harness, coverage: Any) -> None:
    begin = {
        "submission": str(an_id("s")),
        "dataset": "school",
        "period": "2026H2",
        "columns": [*a_child(0)],
        "rows": 1,
    }
    receipt = Receipt(await intake.send_raw("department.Begin.v1", begin | {"coverage": coverage}))

    assert (receipt.answer.outcome, receipt.codes) == ("refused", Counter({"coverage_unknown": 1}))
    assert all(word in receipt.answer.problems[0].message for word in ("coverage", "full", "delta"))


@pytest.mark.parametrize(("announced", "ended"), [(4, 3), (3, 4), (3, 2), (2, 3)])
async def test_no_record_disappears_with_a_file_with_a_wrong_row_count(
    intake: Harness, announced: int, ended: int
) -> None:
    await intake.submit(children(5), submission=1, period="2026H1")
    receipt = await intake.submit(children(3), submission=2, announced=announced, ended=ended)
    after = await intake.submit(children(3), submission=3)

    assert receipt.codes == Counter({"row_count_differs": 1})
    assert (receipt.answer.rows, receipt.answer.disappeared) == (3, 0)
    assert sum(receipt.counts) == 3
    assert only(receipt.events, SubmissionEnded)[0].coverage == "delta"
    assert after.answer.disappeared == 2


async def test_no_record_disappears_with_a_mostly_unreadable_file(intake: Harness) -> None:
    await intake.submit(children(4), submission=1, period="2026H1")
    without_identity: Mapping[str, Cell] = {"姓名": "测试甲"}
    half = await intake.submit([*children(2), without_identity, without_identity], submission=2, columns=[*a_child(0)])
    await intake.submit(children(4), submission=3)
    most = await intake.submit([a_child(0), without_identity, without_identity], submission=4, columns=[*a_child(0)])

    assert (half.answer.disappeared, half.codes["mostly_refused"]) == (2, 0)
    assert (most.answer.disappeared, most.codes["mostly_refused"]) == (0, 1)


async def test_a_row_with_a_row_number_does_not_disappear_while_the_number_is_listed(intake: Harness) -> None:
    await intake.submit(children(4), submission=1, period="2026H1")
    blurred: dict[str, Cell] = {"学籍号": a_child(3)["学籍号"], "姓名": "测试丁"}
    receipt = await intake.submit([*children(3), blurred], submission=2)

    assert receipt.counts == (0, 0, 1, 3)
    assert receipt.answer.disappeared == 0


async def test_an_older_period_is_checked_but_changes_nothing(intake: Harness) -> None:
    await intake.submit(children(3), submission=1)
    older: list[Mapping[str, Cell]] = [a_child(0, 年级="二年级"), a_child(8), {"姓名": "测试甲", "学籍号": "Z"}]
    receipt = await intake.submit(older, submission=2, period="2026H1")
    newer = await intake.submit(children(3), submission=3)

    assert receipt.answer.outcome == "older_period"
    assert receipt.counts == (0, 0, 1, 2)
    assert receipt.codes == Counter({"names_nobody": 1, "older_period": 1})
    assert (receipt.records, only(receipt.events, SubmissionEnded)) == ([], [])
    assert newer.counts == (0, 0, 0, 3)


async def test_a_file_corrected_within_its_period_is_accepted(intake: Harness) -> None:
    await intake.submit(children(3), submission=1)
    receipt = await intake.submit([a_child(0, 年级="四年级"), a_child(1)], submission=2)

    assert receipt.answer.outcome == "taken"
    assert (receipt.counts, receipt.answer.disappeared) == ((1, 0, 0, 1), 1)


async def test_a_row_that_occurs_twice_is_accepted_once(intake: Harness) -> None:
    """A repeated row is unchanged; another content under the same number is a problem of the sender."""
    receipt = await intake.submit([a_child(0), a_child(0), a_child(0, 年级="四年级")])

    assert receipt.counts == (1, 0, 1, 1)
    [problem] = [problem for part in receipt.parts for problem in part.problems]
    assert (problem.code, problem.row, problem.refused) == ("duplicate_row", 4, "row")
    assert "第2行" in problem.message
    assert receipt.records[0].facts[FactName.SCHOOL_GRADE] == 3


async def test_rows_are_the_same_only_within_their_unit_and_dataset(intake: Harness) -> None:
    cells: dict[str, Cell] = {"姓名": "测试甲", "身份证号": a_number(BORN)}
    first_unit = await intake.send_events(Row(dataset="village", cells=cells), unit="341722-renli")
    second_unit = await intake.send_events(Row(dataset="village", cells=cells), unit="341722-qidu")

    [one], [other] = only(first_unit, RecordRead), only(second_unit, RecordRead)
    assert one.record != other.record


@pytest.mark.parametrize(
    ("begin", "code"),
    [
        ({"columns": ["姓名", "身份证号", "有无前科"]}, "column_forbidden"),
        ({"columns": ["姓名", "身份证号", "行政处罚"]}, "column_forbidden"),
        ({"columns": ["姓名", "身份证号", "不起诉决定"]}, "column_forbidden"),
        ({"columns": ["姓名", "身份证号", "不良　行为"]}, "column_forbidden"),
        ({"columns": ["姓名", "性别"]}, "columns_missing"),
        ({"dataset": "nobody-registered-this"}, "dataset_unknown"),
        ({"dataset": "vaccination"}, "dataset_of_another_unit"),
        ({"dataset": "finding"}, "dataset_of_another_unit"),
        ({"period": "2027H1"}, "period_future"),
    ],
)
async def test_a_file_is_refused_as_a_whole_before_a_row_is_read(
    intake: Harness, begin: dict[str, Any], code: str
) -> None:
    rows: list[dict[str, Cell]] = [{"姓名": "测试甲", "身份证号": a_number(BORN)}] * 2
    receipt = await intake.submit(rows, **begin)

    assert receipt.answer.outcome == "refused"
    assert receipt.counts == (0, 0, 2, 0)
    assert receipt.codes == Counter({code: 1})
    assert receipt.events == receipt.answers
    assert (await intake.count("record"), await intake.count("seen_row")) == (0, 0)


async def test_a_refused_file_may_be_sent_again_when_corrected(intake: Harness) -> None:
    await intake.submit(children(2), submission=1, columns=[*a_child(0), "处罚"], file_sha256="a")
    receipt = await intake.submit(children(2), submission=1, file_sha256="a")

    assert receipt.answer.outcome == "taken"
    assert receipt.counts == (2, 0, 0, 0)


async def test_no_record_disappears_with_an_empty_full_file(intake: Harness) -> None:
    await intake.submit(children(2), submission=1)
    receipt = await intake.submit([], submission=2, columns=[*a_child(0)])

    assert receipt.answer.outcome == "refused"
    assert receipt.codes == Counter({"file_empty": 1})


async def test_unregistered_columns_are_named_and_not_read(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1, 家里几头牛="3")])

    assert receipt.codes == Counter({"column_unknown": 1})
    assert receipt.answer.problems[0].refused == "nothing"
    assert "家里几头牛" in receipt.answer.problems[0].message
    assert receipt.counts == (1, 0, 0, 0)


async def test_a_row_with_a_column_that_was_not_announced_is_refused(intake: Harness) -> None:
    """Otherwise a forbidden column could be added after the file was checked."""
    receipt = await intake.submit([a_child(1), a_child(2, 前科="有")], columns=[*a_child(0)])

    assert receipt.counts == (1, 0, 1, 0)
    assert receipt.codes == Counter({"column_not_announced": 1})


async def test_rows_without_a_beginning_are_refused_and_so_is_their_end(intake: Harness) -> None:
    _, row, end = a_file([a_child(1)])
    emitted = await intake.send_events(row, end)

    [part] = only(emitted, RowsAnswered)
    assert (part.read, part.refused, part.problems[0].code) == (1, 1, "no_begin")
    assert Receipt(emitted).answer.outcome == "refused"
    assert Receipt(emitted).answer.rows == 0


async def test_rows_after_the_end_are_refused(intake: Harness) -> None:
    begin, row, end = a_file([a_child(1)])
    emitted = await intake.send_events(begin, row, end, row)

    last = emitted[-1]
    assert isinstance(last, RowsAnswered)
    assert (last.read, last.refused, last.problems[0].code) == (1, 1, "after_end")
    assert len(only(emitted, RecordRead)) == 1


async def test_a_repeated_end_is_answered_again_and_changes_nothing(intake: Harness) -> None:
    begin, row, end = a_file([a_child(1)])
    emitted = await intake.send_events(begin, row, end, end)

    first, second = Receipt(emitted).answers
    assert (first.outcome, second.outcome) == ("taken", "same_again")
    assert second.rows == 1


async def test_a_file_that_begins_again_is_read_from_the_start(intake: Harness) -> None:
    """If the sender's program fails midway, the emitted rows remain valid and are not emitted again."""
    events = a_file(children(4))
    emitted = await intake.send_events(*events[:3], *events)

    receipt = Receipt(emitted)
    assert receipt.counts == (2, 0, 0, 2)
    assert len(receipt.records) == 4


async def test_two_files_may_arrive_at_the_same_time(intake: Harness) -> None:
    one = a_file(children(3), submission=1)
    other = a_file([a_child(7), a_child(8)], submission=2, coverage="delta")
    mixed = [one[0], other[0], one[1], other[1], one[2], other[2], one[3], other[3], one[4]]
    emitted = await intake.send_events(*mixed)

    second, first = Receipt(emitted).answers
    assert (first.submission, first.accepted) == (an_id("submission", 1), 3)
    assert (second.submission, second.accepted) == (an_id("submission", 2), 2)


async def test_many_problems_are_reported_in_several_small_parts(intake: Harness) -> None:
    rows = [a_child(number, 身份证号="341722********0110", 年级="毕业班", 是否受资助="大概") for number in range(2000)]
    receipt = await intake.submit(rows, size=2000)

    assert receipt.codes["id_masked"] == receipt.codes["word_unknown"] == receipt.codes["yes_no_unreadable"] == 2000
    assert len(receipt.parts) > 1
    assert sum(part.read for part in receipt.parts) == receipt.answer.rows
    assert all(len(part.model_dump_json().encode()) < 500_000 for part in receipt.parts)


async def test_an_open_file_is_deleted_when_its_end_can_no_longer_arrive(intake: Harness) -> None:
    begin, row, _ = a_file([a_child(1)], submission=1)
    await intake.send_events(begin, row)
    intake.now = NOON + timedelta(days=7)
    await intake.submit([a_child(2)], submission=2)
    kept = await intake.count("submission")
    intake.now = NOON + timedelta(days=8)
    await intake.submit([a_child(2)], submission=3)

    assert kept == 2
    assert await intake.count("submission") == 2


@pytest.mark.parametrize(
    ("now", "period", "late"),
    [
        (datetime(2026, 9, 30, 15, 59, tzinfo=UTC), "2026H2", False),
        (datetime(2026, 9, 30, 16, 0, tzinfo=UTC), "2026H2", True),  # 1 October in the county
        (datetime(2026, 3, 31, 15, 59, tzinfo=UTC), "2026H1", False),
        (datetime(2026, 3, 31, 16, 0, tzinfo=UTC), "2026H1", True),
    ],
)
async def test_a_file_is_in_time_until_the_last_day_of_the_period(
    intake: Harness, now: datetime, period: str, late: bool
) -> None:
    intake.now = now
    receipt = await intake.submit([a_child(1)], period=period)

    assert receipt.answer.late is late


def test_half_years() -> None:
    assert (period_start("2026H1"), period_end("2026H1")) == (date(2026, 1, 1), date(2026, 6, 30))
    assert (period_start("2026H2"), period_end("2026H2")) == (date(2026, 7, 1), date(2026, 12, 31))
    assert due_date("2026H2", ("03-31", "09-30")) == date(2026, 9, 30)
    assert valid_date("2026H1", None, date(2026, 11, 23)) == date(2026, 6, 30)
    assert valid_date("2026H2", None, date(2026, 11, 23)) == date(2026, 11, 23)
    assert valid_date("2026H2", date(2026, 9, 1), date(2026, 11, 23)) == date(2026, 9, 1)
    assert valid_date("2026H2", date(2027, 1, 1), date(2026, 11, 23)) == date(2026, 11, 23)


# ------------------------------------------------------------------ rows without a file


async def test_a_row_without_a_file_is_answered_by_its_own_id(intake: Harness) -> None:
    emitted = await intake.send_events(Row(dataset="school", cells=a_child(1)), Row(dataset="school", cells=a_child(1)))

    [record] = only(emitted, RecordRead)
    [part] = only(emitted, RowsAnswered)
    assert (record.period, record.submission, record.valid_on) == (None, None, date(2026, 11, 23))
    assert (part.read, part.accepted, part.unchanged, len(part.answers)) == (2, 1, 1, 2)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (
            {"dataset": "school", "cells": {"姓名": "测试甲", "身份证号": a_number(BORN), "家里几头牛": 3}},
            "column_unknown",
        ),
        (
            {"dataset": "school", "cells": {"姓名": "测试甲", "身份证号": a_number(BORN), "前科": "无"}},
            "column_forbidden",
        ),
        ({"dataset": "hukou", "cells": {"姓名": "测试甲"}}, "dataset_of_another_unit"),
        ({"dataset": "other", "cells": {"姓名": "测试甲"}}, "dataset_unknown"),
        ({"cells": {"姓名": "测试甲"}}, "no_dataset"),
        ({"dataset": "school", "cells": {"姓名": "测试甲"}}, "names_nobody"),
    ],
)
async def test_a_row_without_a_file_is_refused_with_a_code(intake: Harness, row: dict[str, Any], code: str) -> None:
    emitted = await intake.send_events(Row(**row))

    [part] = emitted
    assert isinstance(part, RowsAnswered)
    assert (part.refused, [problem.code for problem in part.problems]) == (1, [code])


async def test_a_row_cannot_be_valid_from_tomorrow(intake: Harness) -> None:
    emitted = await intake.send_events(Row(dataset="school", cells=a_child(1), valid_on=date(2026, 11, 24)))

    [record] = only(emitted, RecordRead)
    [part] = only(emitted, RowsAnswered)
    assert record.valid_on == date(2026, 11, 23)
    assert part.problems[0].code == "valid_on_future"


async def test_an_unregistered_unit_submits_nothing(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1)], unit="341722-unknown")

    assert receipt.answer.outcome == "refused"
    assert receipt.codes == Counter({"unit_unknown": 1})


kinds = st.sampled_from(["whole", "dropped", "nobody", "stranger"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(kinds, st.integers(0, 5)), max_size=12),
    difference=st.integers(-1, 1),
    size=st.sampled_from([1, 3, 1000]),
)
async def test_the_sum_of_a_receipt_is_the_rows_that_were_read(
    intake: Harness, rows: list[tuple[str, int]], difference: int, size: int
) -> None:
    """The rows are arbitrary, and the counts of Begin and End may be wrong."""
    row_of_kind: dict[str, Any] = {
        "whole": lambda n: a_child(n),
        "dropped": lambda n: a_child(n, 年级="毕业班"),
        "nobody": lambda n: {"姓名": "测试甲"},
        "stranger": lambda n: a_child(n, 没有这一列="1"),
    }
    content = [row_of_kind[kind](n) for kind, n in rows]
    receipt = await intake.submit(
        content,
        submission=await intake.count("submission"),
        columns=[*a_child(0)],
        ended=max(0, len(rows) + difference),
        coverage="delta",
        size=size,
    )

    assert sum(receipt.counts) == receipt.answer.rows == len(rows)
    assert sum(part.read for part in receipt.parts) == len(rows)
    for name in ("accepted", "accepted_with_drops", "refused", "unchanged"):
        assert sum(getattr(part, name) for part in receipt.parts) == getattr(receipt.answer, name)
    assert len(receipt.records) == receipt.answer.accepted + receipt.answer.accepted_with_drops
