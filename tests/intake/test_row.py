"""A row identifies a person or not; a rejected cell is dropped and reported."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.divisions import Division, Divisions
from services.intake.domain.fields import RegisteredColumn, map_columns
from services.intake.domain.row import ColumnMapping, ReadRow, read_row
from services.intake.domain.text import Cell
from tests.intake.test_id_number import a_number

TODAY = date(2026, 11, 23)
BORN = date(2015, 3, 12)
DIVISIONS = Divisions("341722", (Division("341722", "石台县"),), (("341722100", "仁里镇"),))
COLUMNS = (
    RegisteredColumn("name", ("姓名", "儿童姓名")),
    RegisteredColumn("id_number", ("身份证号", "公民身份号码", "残疾人证号")),
    RegisteredColumn("id_paper_kind", ("证件类型",)),
    RegisteredColumn("birth_date", ("出生日期",)),
    RegisteredColumn("sex", ("性别",)),
    RegisteredColumn("row_number", ("学籍号",)),
    RegisteredColumn("phone", ("联系电话",)),
    RegisteredColumn("mother_id_number", ("母亲身份证号",)),
    RegisteredColumn("residence_since", ("来本地日期", "登记日期")),
    RegisteredColumn("school_since", ("入学日期",)),
    RegisteredColumn("school_stage", ("学段",)),
    RegisteredColumn("school_grade", ("年级",)),
    RegisteredColumn("insured_year", ("参保年度",)),
    RegisteredColumn("left_behind_flag", ("留守儿童",)),
    RegisteredColumn("migrant_flag", ("居住类型",)),
    RegisteredColumn("disability_kind", ("残疾类别",)),
    RegisteredColumn("note", ("备注",)),
    RegisteredColumn("ignored", ("序号",)),
)


def a_mapping(headers: list[str], own_number: str | None = None) -> ColumnMapping:
    return map_columns(COLUMNS, headers, forbidden=("前科", "处罚"), divisions=DIVISIONS, own_number=own_number)


def a_row(cells: dict[str, Cell], own_number: str | None = None) -> ReadRow:
    return read_row(a_mapping(list(cells), own_number), cells, number=2, on=TODAY)


def codes(row: ReadRow) -> list[str]:
    return [problem.code for problem in row.problems]


def test_a_complete_row_is_read_completely() -> None:
    row = a_row({"姓名": "测试甲", "身份证号": a_number(BORN), "出生日期": "2015.3.12", "性别": "男"})

    assert row.identifies_person
    assert row.key == ("id", a_number(BORN))
    assert row.birth_date == BORN
    assert dict(row.identity) == {
        "name": "测试甲",
        "id_number": a_number(BORN),
        "birth_date": "2015-03-12",
        "sex": "1",
    }
    assert dict(row.facts) == {"birth_date": "2015-03-12", "sex": 1}
    assert (row.flags, row.problems) == ((), ())


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        *((error, "formula_error") for error in ("#N/A", "#REF!", "#VALUE!", "#name?", "#DIV/0!", "#SPILL!")),
        ("=A2&B2", "formula_not_computed"),
        ("=", "formula_not_computed"),
    ],
)
@pytest.mark.parametrize("header", ["身份证号", "联系电话", "年级", "学籍号"])
def test_a_formula_without_a_result_is_reported_and_dropped(cell: str, code: str, header: str) -> None:
    row = a_row({"姓名": "测试甲", "出生日期": "2015-03-12", header: cell}, own_number="row_number")

    assert [(problem.column, problem.code, problem.refused) for problem in row.problems] == [(header, code, "cell")]
    assert row.key == ("person", "测试甲|2015-03-12")
    assert row.identity.keys() == {"name", "birth_date"}


def test_a_room_number_is_no_error_of_a_formula() -> None:
    assert a_row({"姓名": "测试甲", "学籍号": "#3"}, own_number="row_number").key == ("number", "#3")


def test_a_number_contains_birth_date_and_sex_but_not_the_hukou() -> None:
    row = a_row({"身份证号": a_number(BORN, area="342922", sequence="002")})

    assert dict(row.facts) == {"birth_date": "2015-03-12", "sex": 2}


@pytest.mark.parametrize(
    ("cells", "key"),
    [
        ({"身份证号": a_number(BORN)}, "id"),
        ({"姓名": "测试甲", "出生日期": "2015-03-12"}, "person"),
        ({"姓名": "测试甲", "身份证号": "3.41702E+17", "出生日期": "2015-03-12"}, "person"),
        ({"姓名": "测试甲"}, None),
        ({"出生日期": "2015-03-12"}, None),
        ({"姓名": "测试甲", "身份证号": "3.41702E+17"}, None),
        ({"姓名": "测试甲", "出生日期": "2015年3月"}, None),
    ],
)
def test_a_row_identifies_a_person_by_a_valid_number_or_by_name_and_birth_date(
    cells: dict[str, Cell], key: str | None
) -> None:
    row = a_row(cells)

    assert row.identifies_person is (key is not None)
    assert (row.key[0] if row.key else None) == key


def test_the_units_own_number_is_the_key_even_of_a_row_without_identity() -> None:
    row = a_row({"姓名": "测试甲", "学籍号": "J1"}, own_number="row_number")

    assert not row.identifies_person
    assert row.key == ("number", "J1")
    assert a_row({"姓名": "测试甲", "学籍号": "J1"}).key is None


def test_a_bad_cell_is_dropped_and_listed_and_the_row_stays() -> None:
    row = a_row({"姓名": "测试甲", "出生日期": "2015-03-12", "身份证号": "341722********0110", "参保年度": "1999"})

    assert row.identifies_person
    assert codes(row) == ["id_masked", "number_unreadable"]
    assert [(problem.row, problem.column, problem.refused) for problem in row.problems] == [
        (2, "身份证号", "cell"),
        (2, "参保年度", "cell"),
    ]
    assert row.problems[1].remedy == "请填写2000至2100之间的整数；不知道的留空。"
    assert row.flags == ("id_masked",)
    assert "insured_year" not in row.facts


def test_a_missing_number_is_flagged_not_refused() -> None:
    row = a_row({"姓名": "测试甲", "出生日期": "2015-03-12", "身份证号": ""})

    assert (row.flags, row.problems) == (("id_missing",), ())


def test_a_birth_date_that_contradicts_the_number_is_kept_and_reported() -> None:
    """The number decides the record's key, which all rows with it share; the stated date is published."""
    row = a_row({"姓名": "测试甲", "身份证号": a_number(BORN), "出生日期": "2015-03-21"})

    assert row.birth_date == BORN
    assert row.facts["birth_date"] == "2015-03-21"
    assert row.flags == ("birth_date_conflict",)
    assert [(problem.code, problem.refused, problem.column) for problem in row.problems] == [
        ("birth_date_conflict", "nothing", "出生日期")
    ]


def test_a_mothers_number_in_the_childs_column_is_dropped() -> None:
    mothers_number = a_number(date(1988, 3, 12))
    by_age = a_row({"姓名": "测试甲", "身份证号": mothers_number, "出生日期": "2015-03-12"})
    by_content = a_row({"姓名": "测试甲", "身份证号": mothers_number, "母亲身份证号": mothers_number})

    assert codes(by_age) == ["id_of_adult"]
    assert by_age.key == ("person", "测试甲|2015-03-12")
    assert by_age.birth_date == BORN
    assert codes(by_content) == ["id_is_guardians"]
    assert not by_content.identifies_person
    assert by_content.identity == {"name": "测试甲", "mother_id_number": mothers_number}


def test_a_disability_certificate_gives_its_holders_number_kind_and_grade() -> None:
    number = a_number(BORN)
    row = a_row({"残疾人证号": f"{number}42"})

    assert row.key == ("id", number)
    assert {name: row.facts[name] for name in ("disability_kind", "disability_grade", "disability_certified")} == {
        "disability_kind": 4,
        "disability_grade": 2,
        "disability_certified": True,
    }
    assert codes(a_row({"姓名": "测试甲", "身份证号": f"{number}42"})) == ["id_disability_number"]


def test_the_earlier_of_two_dates_of_arrival_counts() -> None:
    cells: dict[str, Cell] = {"身份证号": a_number(BORN), "来本地日期": "2025-09-01", "登记日期": "2025-03-01"}

    assert a_row(cells).facts["residence_since"] == "2025-03-01"


def test_only_dates_known_beforehand_may_be_in_the_future() -> None:
    row = a_row({"身份证号": a_number(BORN), "入学日期": "2027-03-01", "来本地日期": "2027-03-01"})

    assert row.facts["school_since"] == "2027-03-01"
    assert codes(row) == ["date_future"]


@pytest.mark.parametrize(
    ("stage", "grade", "facts"),
    [
        ("", "三年级", {"school_stage": "primary", "school_grade": 3}),
        ("初中", "一年级", {"school_stage": "junior", "school_grade": 7}),
        ("高中", "三年级", {"school_stage": "senior", "school_grade": 12}),
        ("初中", "七年级", {"school_stage": "junior", "school_grade": 7}),
        ("中职", "一年级", {"school_stage": "vocational"}),
        ("", "大班", {"school_stage": "kindergarten"}),
    ],
)
def test_stage_and_grade_are_read_together(stage: str, grade: str, facts: dict[str, object]) -> None:
    row = a_row({"身份证号": a_number(BORN), "学段": stage, "年级": grade})

    assert {name: value for name, value in row.facts.items() if name.startswith("school")} == facts


def test_a_departments_flag_is_published_as_a_flag() -> None:
    row = a_row({"身份证号": a_number(BORN), "留守儿童": "2", "居住类型": "流动"})
    other = a_row({"身份证号": a_number(BORN), "留守儿童": "0", "居住类型": "本地"})

    assert set(row.flags) == {"says_left_behind", "says_migrant"}
    assert other.flags == ()


def test_notes_are_not_read() -> None:
    row = a_row({"身份证号": a_number(BORN), "备注": "随便写的话", "序号": 1})

    assert "随便写的话" not in repr(row)


def test_a_stated_document_kind_opens_the_column_to_other_documents() -> None:
    row = a_row({"姓名": "测试甲", "出生日期": "2015-03-12", "证件类型": "护照", "身份证号": "X 1234 99"})

    assert row.identity["other_paper"] == "X123499"
    assert row.flags == ("id_other_paper",)
    assert row.problems == ()


def test_a_mapping_distinguishes_registered_unregistered_and_forbidden_headers() -> None:
    mapping = a_mapping(["儿 童姓名", "身份证号（必填）", "家里几头牛", "有无前科", ""])

    assert mapping.unregistered == ("家里几头牛", "有无前科")
    assert mapping.forbidden == ("有无前科",)
    assert mapping.can_identify_person
    assert not a_mapping(["姓名", "性别"]).can_identify_person
    assert a_mapping(["姓名", "出生日期"]).can_identify_person


@pytest.mark.parametrize("cell", [10**400, -(10**30), float("inf"), float("nan"), 1e300])
@pytest.mark.parametrize("header", ["姓名", "身份证号", "出生日期", "学籍号", "联系电话", "年级", "参保年度"])
def test_absurd_numbers_are_rejected_by_name(cell: float, header: str) -> None:
    row = a_row({"母亲身份证号": "", header: cell})

    assert codes(row) == ["number_absurd"]


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)


@given(st.dictionaries(st.sampled_from([name for column in COLUMNS for name in column.names]), cells))
def test_any_cell_is_read_or_rejected_with_a_known_problem(content: dict[str, Cell]) -> None:
    row = a_row(content, own_number="row_number")

    assert row.identifies_person == (
        "id_number" in row.identity or ("name" in row.identity and "birth_date" in row.identity)
    )
    for problem in row.problems:
        assert problem.message
        assert problem.remedy
