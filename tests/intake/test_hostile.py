"""Any input is answered: what can be accepted is accepted, no identity is shown, and no partition halts."""

import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.event import Event
from contracts.intake import (
    Action,
    ActionAccepted,
    ActionAnswered,
    Cell,
    FindingReported,
    RecordRead,
    Row,
    RowsAnswered,
    SubmissionAnswered,
    SubmissionEnded,
)
from contracts.vocabulary import FindingCode
from services.intake.domain.text import MAX_RAW_LENGTH, mask, mask_date
from services.intake.malformed import MalformedMessage, repair_action, repair_record
from tests.intake.harness import NOON, SCHOOL, Harness, Receipt, a_file, an_id, only
from tests.intake.test_actions import CHILD, MZJ, REFERRAL, RENLI, an_action
from tests.intake.test_files import a_child, children
from tests.intake.test_id_number import a_number

ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADERS = [
    *a_child(0),
    "性别",
    "联系电话",
    "母亲身份证号",
    "监护人姓名",
    "户口所在地",
    "入学年月",
    "备注",
    "不认识的列",
]

# ------------------------------------------------------------------ rows

odd_cells = st.sampled_from(
    [
        2**63,
        -(2**70),
        10**400,
        float("nan"),
        float("inf"),
        2147483648,
        1e300,
        "0000-00-00",
        "9999-12-31",
        "3.41722E+17",
        "=1+1",
        "#REF!",
        "\x00\x01姓名\x1f",
        "例\u202e小\u2067明\u200d",
        "\ud800",
        "例" * 2000,
        "9" * 100_000,
        [1, [2]],
        {"a": {}},
    ]
)
cells_of_any_kind = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | odd_cells


@settings(ANY_TIME, max_examples=60)
@given(
    cells=st.dictionaries(st.sampled_from(HEADERS) | st.text(max_size=5), cells_of_any_kind, max_size=8),
    number=st.integers() | st.sampled_from([None, 2**31, 2**64, "3", "x", 2.5, [1]]),
)
async def test_a_row_with_any_cells_is_answered_once_and_the_counts_add_up(
    intake: Harness, cells: dict[str, Any], number: Any
) -> None:
    submission = str(uuid4())
    begin = {"submission": submission, "dataset": "school", "period": "2026H2", "columns": HEADERS, "rows": 1}
    emitted = await intake.send_raw("department.Begin.v1", begin | {"coverage": "delta"})
    emitted += await intake.send_raw("department.Row.v1", {"submission": submission, "number": number, "cells": cells})
    emitted += await intake.send_raw("department.End.v1", {"submission": submission, "rows": 1})

    receipt = Receipt(emitted)
    assert receipt.answer.outcome == "taken"
    assert sum(receipt.counts) == receipt.answer.rows == 1
    [part] = receipt.parts
    assert (part.read, part.accepted + part.accepted_with_drops + part.refused + part.unchanged) == (1, 1)
    assert len(receipt.records) == part.accepted + part.accepted_with_drops
    assert (part.refused == 1) == any(problem.refused == "row" for problem in part.problems)
    assert (part.accepted_with_drops == 1) <= any(problem.refused == "cell" for problem in part.problems)
    for event in emitted:
        event.model_dump_json()


names = st.text("测龘靐齉齾爩鱻麤", min_size=2, max_size=4)
numbers = st.builds(
    lambda days, sequence: a_number(date(2010, 1, 1) + timedelta(days=days), sequence=f"{sequence:03d}"),
    st.integers(0, 5000),
    st.integers(1, 999),
)
phones = st.builds(lambda tail: f"139{tail:08d}", st.integers(0, 10**8 - 1)) | st.integers(2 * 10**6, 8 * 10**6).map(
    str
)
between = st.sampled_from(["", " ", "　", "：", "\u200b", "-", "，电话"])


@settings(ANY_TIME, max_examples=80)
@given(
    name=names,
    number=numbers,
    phone=phones,
    glue=between,
    placed=st.lists(st.tuples(st.sampled_from(HEADERS), st.sampled_from(range(7))), min_size=1, max_size=8),
)
async def test_a_receipt_never_shows_a_whole_number_phone_or_name(
    intake: Harness, name: str, number: str, phone: str, glue: str, placed: list[tuple[str, int]]
) -> None:
    """It holds for any column that personal data are in, any text beside them, and personal data as headers.

    What a file itself announces as its columns is repeated to its sender, but for numbers.
    """
    contents: list[Cell] = [
        name,
        number,
        phone,
        f"{name}{glue}{phone}",
        f"{name}{glue}{number}",
        f"{number}{glue}{name}",
        int(phone),
    ]
    emitted = await intake.send_events(
        Row(dataset="school", cells={header: contents[which] for header, which in placed})
    )
    headless: dict[str, Cell] = {name: phone, f"{phone}{glue}{name}": number, number: name}
    emitted += await intake.send_events(Row(submission=uuid4(), cells=headless), Row(dataset="school", cells=headless))
    for columns, cells in (([*a_child(0), *headless], {name: number}), ([*a_child(0)], headless)):
        emitted += await intake.send_events(*a_file([cells], submission=uuid4(), columns=columns, coverage="delta"))

    codes = [problem.code for part in only(emitted, RowsAnswered) for problem in part.problems]
    assert {"column_unknown", "column_not_announced"} <= {*codes}
    rows = "".join(event.model_dump_json() for event in only(emitted, RowsAnswered))
    files = "".join(event.model_dump_json() for event in only(emitted, SubmissionAnswered))
    for secret in (number, phone):
        assert secret not in rows + files
    assert name not in rows


@given(name=names, number=numbers, phone=phones, glue=between)
def test_a_mask_hides_names_beside_numbers(name: str, number: str, phone: str, glue: str) -> None:
    for content in (f"{name}{glue}{phone}", f"{phone}{glue}{name}", f"{name}{glue}{number}", f"{number}{glue}{name}"):
        for shown in (mask(content), mask_date(content)):
            assert name not in shown
            assert phone not in shown
            assert number not in shown
    assert mask_date(phone) != phone


async def test_a_huge_cell_is_rejected_unread(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1, 姓名="例" * 900_000, 出生日期="9" * 900_000)])

    assert receipt.codes == Counter({"too_long": 2})
    assert receipt.counts == (0, 1, 0, 0)
    assert all(len(problem.excerpt) < 50 for part in receipt.parts for problem in part.problems)
    assert MAX_RAW_LENGTH < 1000


async def test_thousands_of_columns_are_accepted(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1) | {f"第{number}列": "1" for number in range(5000)}])

    assert receipt.counts == (1, 0, 0, 0)
    assert receipt.codes == Counter({"column_unknown": 1})
    assert len(receipt.answer.model_dump_json()) < 5000


async def test_a_column_announced_twice_is_read_once(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1, 年级="毕业班")], columns=[*a_child(0), *a_child(0)])

    assert receipt.codes == Counter({"word_unknown": 1})


async def test_an_absurd_number_is_rejected_by_name_in_a_row_that_seemed_unchanged(
    intake: Harness,
) -> None:
    await intake.send_events(Row(dataset="school", cells=a_child(1)))
    emitted = await intake.send_events(Row(dataset="school", cells=a_child(1, 年级=10**30)))

    [part] = only(emitted, RowsAnswered)
    assert [problem.code for problem in part.problems] == ["number_absurd"]


async def test_two_rows_with_impossible_row_numbers_are_still_distinct(intake: Harness) -> None:
    begin, *_, end = a_file([a_child(1)], announced=2, ended=2)
    rows = [
        Row(submission=an_id("submission", "one"), number=2**40, cells=a_child(1)),
        Row(submission=an_id("submission", "one"), number=-(2**70), cells=a_child(1, 年级="四年级")),
    ]
    receipt = Receipt(await intake.send_events(begin, *rows, end))

    assert receipt.counts == (1, 0, 1, 0)
    assert receipt.codes == Counter({"duplicate_row": 1})


async def test_a_date_in_the_year_9999_is_no_date(intake: Harness) -> None:
    """Systems write 9999-12-31 for an open end; no day follows it that could be computed."""
    emitted = await intake.send_events(Row(dataset="school", cells=a_child(1, 入学年月="9999-12-31")))

    assert only(emitted, RowsAnswered)[0].problems[0].code == "date_future"


async def test_invisible_characters_do_not_make_two_names_of_one(intake: Harness) -> None:
    emitted = await intake.send_events(
        Row(dataset="school", cells=a_child(1, 姓名="例小明", 学籍号="a")),
        Row(dataset="school", cells=a_child(1, 姓名="\u2067例\u061c小\U000e0100明\ufe00\u2069", 学籍号="b")),
    )

    assert {intake.open_identity(record)["name"] for record in only(emitted, RecordRead)} == {"例小明"}


# ------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("begin", "code"),
    [
        ({"period": "0000H1"}, "period_unreadable"),
        ({"period": "１９９９H2"}, "period_unreadable"),
        ({"period": "２０２６H2"}, "period_unreadable"),
        ({"period": "1999H2"}, "period_unreadable"),
        ({"period": "9999H2"}, "period_future"),
        ({"columns": ["姓名", "身份证号", "备\x00注"]}, "header_unreadable"),
        ({"columns": []}, "columns_missing"),
        ({"dataset": "x\x00" * 50_000}, "dataset_unknown"),
    ],
)
async def test_an_absurd_beginning_is_refused(intake: Harness, begin: dict[str, Any], code: str) -> None:
    receipt = await intake.submit([{"姓名": "测试甲", "身份证号": a_number(date(2015, 3, 12))}], **begin)

    assert (receipt.answer.outcome, receipt.codes) == ("refused", Counter({code: 1}))
    assert receipt.counts == (0, 0, 1, 0)


async def test_absurd_row_counts_are_limited(intake: Harness) -> None:
    receipt = await intake.submit([a_child(1)], announced=10**30, ended=10**40)

    assert receipt.counts == (1, 0, 0, 0)
    assert receipt.codes == Counter({"row_count_differs": 1})


async def test_a_malformed_hash_is_ignored(intake: Harness) -> None:
    malformed_hash = "".join(random.Random(1).choices("0123456789abcdef\x00", k=100_000))
    await intake.submit(children(2), submission=1, file_sha256=malformed_hash)
    receipt = await intake.submit(children(2), submission=2, file_sha256=malformed_hash)

    assert receipt.answer.outcome == "taken"


async def test_nothing_of_a_refused_file_is_stored(intake: Harness) -> None:
    """A file without a header row has personal data as headers; a file with a forbidden column has forbidden data."""
    headless = [*a_child(1).values()]
    await intake.submit([], submission=1, columns=[str(cell) for cell in headless], coverage="delta")
    await intake.submit([a_child(2)], submission=2, columns=[*a_child(0), "有无前科"])
    await intake.submit([a_child(3)], submission=3)

    kept = str(await intake.tx.fetch("SELECT * FROM submission"))
    for cell in (*headless, "前科", "姓名"):
        assert str(cell) not in kept


async def test_another_file_under_the_same_id_is_refused(intake: Harness) -> None:
    """Another file under the id of an accepted one is refused, and its sender is informed."""
    await intake.submit(children(2), submission=1, file_sha256="a")
    other = await intake.submit(children(3), submission=1, file_sha256="b")
    after_end = await intake.send_events(Row(submission=an_id("submission", 1), number=2, cells=a_child(9)))
    repeated = await intake.submit(children(2), submission=1, file_sha256="a")

    assert (other.answer.outcome, other.codes) == ("refused", Counter({"submission_reused": 1}))
    assert only(after_end, RowsAnswered)[0].problems[0].code == "after_end"
    assert repeated.answer.outcome == "same_again"


@pytest.mark.parametrize(("announced", "ended"), [(4, 3), (3, 4)])
async def test_a_file_of_which_rows_were_lost_can_be_sent_again(intake: Harness, announced: int, ended: int) -> None:
    """Its receipt asked for the file again; the file is then read under the same id or another."""
    await intake.submit(children(3), submission=1, announced=announced, ended=ended, file_sha256="a")
    other_id = await intake.submit(children(4), submission=2, file_sha256="a")
    await intake.submit(children(3), submission=3, announced=announced, ended=ended, file_sha256="b")
    same_id = await intake.submit(children(4), submission=3, file_sha256="b")

    assert (other_id.answer.outcome, other_id.counts) == ("taken", (1, 0, 0, 3))
    assert (same_id.answer.outcome, same_id.counts) == ("taken", (0, 0, 0, 4))


async def test_a_full_file_is_processed_after_the_same_file_as_delta(intake: Harness) -> None:
    await intake.submit(children(3), submission=1)
    await intake.submit(children(2), submission=2, coverage="delta", file_sha256="a")
    receipt = await intake.submit(children(2), submission=3, file_sha256="a")

    assert (receipt.answer.outcome, receipt.answer.disappeared) == ("taken", 1)


@pytest.mark.parametrize("size", [1, 1000])
async def test_an_open_file_changes_nothing_once_a_newer_period_is_accepted(intake: Harness, size: int) -> None:
    """It began first, and a file of a later period has ended before it."""
    older = a_file([a_child(number, 年级="二年级") for number in range(3)], submission=1, period="2026H1")
    newer = a_file(children(3), submission=2)
    emitted = await intake.send_events(*older[:2], *newer, *older[2:], size=size)
    after = await intake.submit(children(3), submission=3)

    second, first = Receipt(emitted).answers
    assert (second.outcome, first.outcome) == ("taken", "older_period")
    assert (first.accepted, first.unchanged, first.rows) == (1, 2, 3)
    assert after.counts == (0, 0, 0, 3)


async def test_every_input_twice_emits_every_record_once(intake: Harness) -> None:
    """A client repeats every message: Begin, rows, End and single rows."""
    events: list[Event] = [
        *a_file([*children(5), a_child(3, 年级="四年级"), {"姓名": "测试甲"}], columns=[*a_child(0)]),
        Row(dataset="school", cells=a_child(9)),
    ]
    once = await intake.send_events(*events)
    state = await intake.tx.fetch("SELECT * FROM record ORDER BY record")
    other = Harness(intake.tx)
    await intake.tx.execute("TRUNCATE submission, dataset_state, record, seen_row")
    twice = await other.send_events(*(event for event in events for _ in range(2)), size=3)

    assert [record.record for record in only(twice, RecordRead)] == [record.record for record in only(once, RecordRead)]
    assert await intake.tx.fetch("SELECT * FROM record ORDER BY record") == state
    answers = only(twice, SubmissionAnswered)
    assert [answer.outcome for answer in answers] == ["taken", "same_again"]
    assert answers[0] == only(once, SubmissionAnswered)[0]
    assert sum(Receipt([*only(twice, RowsAnswered), answers[0]]).counts) == answers[0].rows == 7


def a_malformed_row(*, submission: object = "one", number: int) -> MalformedMessage:
    """Return the substitute for a malformed row of a file."""
    return MalformedMessage(
        type=Row.kind, fields=("valid_on",), submission=an_id("submission", submission), number=number
    )


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_file_with_duplicate_rows_is_answered_as_without_them(intake: Harness, size: int) -> None:
    """The file counts as complete; this includes refused and malformed rows and an older period."""
    await intake.submit(children(6), submission=1)
    without_identity: list[dict[str, Cell]] = [{"姓名": "测试甲"}, {"姓名": "测试乙", "身份证号": "12"}]
    rows = [*children(4), a_child(3, 年级="四年级"), *without_identity]
    announced = len(rows) + 1
    for period, evidence in (("2026H2", ["full"]), ("2026H1", [])):
        begin, *others, end = a_file(
            rows, submission=2, period=period, columns=[*a_child(0)], announced=announced, ended=announced
        )
        others.insert(2, a_malformed_row(submission=2, number=announced + 1))
        once = await intake.send_events(begin, *others, end, size=size)
        begin, *others, end = a_file(
            rows, submission=3, period=period, columns=[*a_child(0)], announced=announced, ended=announced
        )
        others.insert(2, a_malformed_row(submission=3, number=announced + 1))
        twice = await intake.send_events(begin, *(row for row in others for _ in range(2)), *others, end, size=size)
        first, second = Receipt(once), Receipt(twice)
        assert second.answer.rows == first.answer.rows == announced
        for emitted in (once, twice):
            assert [ended.coverage for ended in only(emitted, SubmissionEnded)] == evidence
        assert second.answer.problems == first.answer.problems
        assert second.codes == first.codes


async def test_a_corrected_row_of_an_open_file_is_read(intake: Harness) -> None:
    begin, row, end = a_file([{"姓名": "测试甲"}], columns=[*a_child(0)])
    corrected = row.model_copy(update={"cells": a_child(1)})
    receipt = Receipt(await intake.send_events(begin, row, corrected, end))
    assert (receipt.counts, len(receipt.records)) == ((1, 0, 1, 0), 1)


# ------------------------------------------------------------------ malformed messages


@pytest.mark.parametrize(
    ("kind", "body", "fields"),
    [
        ("department.Begin.v1", {"submission": str(an_id("s")), "dataset": "school", "period": "26年"}, "period"),
        ("department.Begin.v1", "{", "JSON"),
        ("department.Begin.v1", b"\xff\xfe", "JSON"),
        ("department.End.v1", {"submission": str(an_id("s")), "rows": -1}, "rows"),
        ("department.Row.v1", {"dataset": "school", "cells": {}, "valid_on": "昨天"}, "valid_on"),
        ("department.Row.v1", {"dataset": "school", "cells": [1]}, "cells"),
        ("department.Row.v1", "[" * 100_000, "JSON"),
        ("department.row", {"dataset": "school", "cells": {}}, "ce_type"),
    ],
)
async def test_the_answer_to_a_malformed_message_names_the_field(
    intake: Harness, kind: str, body: Any, fields: str
) -> None:
    ce_id = an_id("mine")
    [answer] = await intake.send_raw(kind, body, ce_id=ce_id)

    assert isinstance(answer, RowsAnswered | SubmissionAnswered)
    [problem] = answer.problems
    assert problem.code == "unreadable"
    assert fields in problem.message
    if isinstance(answer, RowsAnswered):
        assert answer.answers == (ce_id,)
        assert answer.read == answer.refused


def test_a_message_of_a_later_version_is_parked() -> None:
    envelope: Any = type("E", (), {"type": "department.Row.v2"})
    other: Any = type("E", (), {"type": "action.Action.v2"})

    assert repair_record(envelope, b"{}", "unknown ce_type department.Row.v2") is None
    assert repair_action(other, b"{}", "unknown ce_type action.Action.v2") is None


@pytest.mark.parametrize("form", ["right", "wrong"])
async def test_a_message_on_the_wrong_topic_is_answered(intake: Harness, form: str) -> None:
    """No later version will read it there, so it is answered instead of parked."""
    row = {"dataset": "school", "cells": a_child(1)} if form == "right" else {}
    action = json.loads(an_action("report").model_dump_json(exclude_none=True)) if form == "right" else {}
    ce_id = an_id("mine")
    [to_row] = await intake.send_raw("department.Row.v1", row, unit=MZJ, ce_id=ce_id, is_action=True)
    [to_action] = await intake.send_raw("action.Action.v1", action, ce_id=ce_id, is_action=False)

    assert isinstance(to_row, ActionAnswered)
    assert (to_row.outcome, to_row.code, to_row.ce_id) == ("refused", "unreadable", ce_id)
    assert "ce_type" in to_row.message
    assert isinstance(to_action, RowsAnswered)
    assert to_action.answers == (ce_id,)
    assert [problem.code for problem in to_action.problems] == ["unreadable"]
    assert "ce_type" in to_action.problems[0].message


async def test_a_malformed_row_of_a_file_counts_as_refused(intake: Harness) -> None:
    begin, row, end = a_file([a_child(1)], announced=2, ended=2)
    emitted = await intake.send_events(begin, row)
    emitted += await intake.send_raw("department.Row.v1", {"submission": str(an_id("submission", "one")), "number": 3})
    emitted += await intake.send_events(end)

    assert Receipt(emitted).counts == (1, 0, 1, 0)
    assert Receipt(emitted).codes == Counter({"unreadable": 1})


async def test_well_formed_and_malformed_rows_are_processed_together(intake: Harness) -> None:
    """They keep the order of the file; a separate run for each row would cost as much as a whole file."""
    begin, one, other, end = a_file([a_child(1), a_child(2, 年级="毕业班")], announced=4, ended=4)
    receipt = Receipt(
        await intake.send_events(begin, one, a_malformed_row(number=4), other, a_malformed_row(number=5), end)
    )

    [part] = receipt.parts
    assert (part.read, part.refused) == (4, 2)
    assert [(problem.code, problem.row) for problem in part.problems] == [
        ("unreadable", 4),
        ("word_unknown", 3),
        ("unreadable", 5),
    ]


async def test_a_malformed_cell_costs_only_the_cell(intake: Harness) -> None:
    emitted = await intake.send_raw(
        "department.Row.v1",
        {"dataset": "school", "number": "二", "cells": a_child(1) | {"年级": [3], "姓名": "例\ud800"}},
    )

    [part] = only(emitted, RowsAnswered)
    assert {problem.code for problem in part.problems} == {"word_unknown", "name_unreadable_character"}
    assert part.accepted_with_drops == 1


@pytest.mark.parametrize(
    ("changes", "fields", "verb"),
    [
        ({"reason": "not my duty"}, "reason", "return"),
        ({"days": 61}, "days", "return"),
        ({"child": "某某"}, "child", "return"),
        ({"verb": "give-back"}, "verb", None),
        ({"role": None}, "role", "return"),
    ],
)
async def test_a_malformed_action_is_refused_by_field(
    intake: Harness, changes: dict[str, Any], fields: str, verb: str | None
) -> None:
    """The same id can be used for the corrected action."""
    ce_id = an_id("mine")
    whole = json.loads(an_action("return").model_dump_json(exclude_none=True))
    [refused] = await intake.send_raw("action.Action.v1", whole | changes, unit=MZJ, ce_id=ce_id)
    emitted = await intake.send_raw("action.Action.v1", whole, unit=MZJ, ce_id=ce_id)

    assert isinstance(refused, ActionAnswered)
    assert (refused.outcome, refused.code, refused.verb, refused.ce_id) == ("refused", "unreadable", verb, ce_id)
    assert fields in refused.message
    assert only(emitted, ActionAccepted)


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"identity": {"name": "测试甲", "sex": 1, "phone": 13900000000}}, ""),
        ({"identity": {"name": "测试甲", "nickname": "小甲"}}, ""),
        ({"identity": "穿红衣服的孩子"}, ""),
        ({"note": "在" * 5000}, ""),
        ({"level": "紧急"}, "level"),
        ({"child": "不知道", "at": "刚才"}, "child"),
        ({"facts": {"lives_alone": None}}, "facts"),
        ({"findings": ["unattended", "beaten"]}, "findings"),
    ],
)
async def test_malformed_contents_do_not_delay_a_report(
    intake: Harness, changes: dict[str, Any], left_out: str
) -> None:
    """The contents are read as far as possible; the answer names what was left out."""
    whole = {"verb": "report", "role": "child_director", "findings": ["unattended"], "note": "\ud83d"}
    emitted = await intake.send_raw("action.Action.v1", whole | changes, unit=RENLI)

    [finding] = only(emitted, FindingReported)
    [answer] = only(emitted, ActionAnswered)
    assert finding.findings == (FindingCode.UNATTENDED,)
    assert (answer.outcome, answer.finding) == ("taken", finding.finding)
    assert left_out in answer.message
    assert (answer.code == "left_out") == bool(left_out)
    sealed = intake.open_identity(finding)
    for word in ("小甲", "穿红衣服的孩子"):
        assert (word in sealed.get("narrative", "")) == (word in str(changes))


async def test_a_report_without_a_known_finding_code_is_refused(intake: Harness) -> None:
    whole = {"verb": "report", "role": "child_director", "findings": ["beaten"]}
    [answer] = await intake.send_raw("action.Action.v1", whole, unit=RENLI)

    assert isinstance(answer, ActionAnswered)
    assert answer.outcome == "refused"


async def test_a_report_of_any_length_stays_small_enough_to_be_sent(intake: Harness) -> None:
    identity = {"name": "甲" * 300_000, "address": "乙" * 300_000, "narrative": "丙" * 300_000}
    emitted = await intake.act(an_action("report", identity=identity, note="丁" * 500), unit=RENLI)

    [finding] = only(emitted, FindingReported)
    assert len(finding.model_dump_json()) < 100_000
    assert "丁" * 500 in intake.open_identity(finding)["narrative"]


# ------------------------------------------------------------------ actions


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)}, "at_future"),
        ({"at": datetime(1, 1, 1, tzinfo=UTC)}, "day_absurd"),
        ({"at": datetime.fromisoformat("0001-01-01T00:00:00+14:00")}, "day_absurd"),
        ({"on": date(1, 1, 1)}, "day_absurd"),
        ({"on": date(9999, 12, 31)}, "on_future"),
    ],
)
async def test_days_at_the_ends_of_the_calendar_are_refused(
    intake: Harness, changes: dict[str, Any], code: str
) -> None:
    [answer] = await intake.act(an_action("phone-report", **changes), unit=MZJ)

    assert isinstance(answer, ActionAnswered)
    assert answer.code == code


async def test_an_answer_repeats_no_possible_name_or_number(intake: Harness) -> None:
    emitted = await intake.act(
        an_action("visit", role="例小明 13900000000"),
        an_action("visit", role="例小明"),
        an_action("reroute", to_unit="例小明"),
        unit=MZJ,
    )

    assert [answer.code for answer in only(emitted, ActionAnswered)] == [
        "role_unknown",
        "role_unknown",
        "to_unit_unknown",
    ]
    text = "".join(event.model_dump_json() for event in emitted)
    assert "例小明" not in text
    assert "13900000000" not in text


async def test_a_childs_place_on_the_ledger_is_closed_without_a_referral(intake: Harness) -> None:
    [accepted, _] = await intake.act(an_action("close", referral=None, channel=None, note="家庭已好转"), unit=MZJ)

    assert isinstance(accepted, ActionAccepted)
    assert (accepted.referral, accepted.noted) == (None, True)


async def test_an_event_states_that_a_reason_was_given_but_not_the_reason(intake: Harness) -> None:
    emitted = await intake.act(
        an_action("withdraw", note="误报，例小明在家"), an_action("withdraw", note="  "), unit=MZJ
    )

    assert [accepted.noted for accepted in only(emitted, ActionAccepted)] == [True, False]
    assert "例小明" not in "".join(event.model_dump_json() for event in emitted)


async def test_the_outcome_of_actions_does_not_depend_on_batch_boundaries(intake: Harness) -> None:
    """Reports, answers, refusals and repetitions have the same events and state in batches of 1, of 7 and in one."""
    actions: list[Action] = [
        an_action("report", identity={"name": "测试甲", "birth_date": "2015-03-12"}),
        *(an_action(verb, child=an_id("child", number)) for number, verb in enumerate(["visit", "contact"] * 8)),
        an_action("merge"),
        an_action("merge", other=CHILD),
        an_action("close", referral=REFERRAL),
        an_action("visit", child=None),
        an_action("report", findings=[]),
    ]
    ids = [an_id("ce", number % 15) for number in range(2 * len(actions))]
    results: list[Any] = []
    for size in (1, 7, 1000):
        outer = intake.tx.transaction()
        await outer.start()
        emitted = await Harness(intake.tx).act(*actions, *actions, unit=MZJ, ce_ids=ids, size=size)
        state = await intake.tx.fetch("SELECT * FROM accepted_action ORDER BY ce_id")
        results.append(([event.model_dump(exclude={"identity"}) for event in emitted], state))
        await outer.rollback()

    assert results[0] == results[1] == results[2]
    assert len(results[0][1]) < len(actions)


async def test_a_unit_claims_no_other_county(intake: Harness) -> None:
    """Headers are stored with a zero byte between them."""
    inbound = intake._inbound(Row(dataset="school", cells=a_child(1)), f"department.{SCHOOL}.v1")
    changed: Any = inbound.envelope.__class__(
        an_id("e"), "/x", inbound.envelope.type, NOON, "k", "999999\x00", an_id("c")
    )
    outbound_events = await intake.emit_for([inbound.__class__(inbound.event, changed, inbound.topic, 0, 1)])
    assert {each.county for each in outbound_events} == {"341722"}
