"""Single cells: readable and unreadable contents of each kind."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import FACT_TYPES, FactName, IdentityField
from services.intake.domain import cells, fields, row
from services.intake.domain.divisions import Divisions
from services.intake.domain.problem import TEXTS, CellRejected, Problem
from services.intake.domain.text import Cell, mask, mask_date, read_text


def code_of_rejection(reader: Any, *arguments: Any) -> str:
    with pytest.raises(CellRejected) as caught:
        reader(*arguments)
    return caught.value.code


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("张　三", "张三"),
        (" 张 三 ", "张三"),
        ("张\n三", "张三"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("阿依古丽‧买买提", "阿依古丽·买买提"),
        ("阿依古丽・买买提", "阿依古丽·买买提"),
        ("阿依古丽.买买提", "阿依古丽·买买提"),
        ("ＪＯＨＮ　Ｓｍｉｔｈ", "JOHN Smith"),
        ("张三〇", "张三〇"),
        ("𬭊测试", "𬭊测试"),
    ],
)
def test_a_name_has_one_form(typed: str, name: str) -> None:
    assert cells.read_name(typed) == name


@pytest.mark.parametrize("name", ["张\ue000", "张□", "张\ufffd", "张?", "张*", "张\U000f0001"])
def test_a_name_with_a_lost_character_is_rejected(name: str) -> None:
    assert code_of_rejection(cells.read_name, name) == "name_unreadable_character"


@pytest.mark.parametrize("name", ["张三1", "13900000000", "……", "甲" * 61])
def test_a_cell_without_a_name_is_rejected(name: str) -> None:
    assert code_of_rejection(cells.read_name, name) == "name_unreadable"


@pytest.mark.parametrize("cell", [None, "", " ", "无", "不详", "/", "——"])
def test_a_placeholder_reads_as_an_empty_cell(cell: Cell) -> None:
    assert cells.read_name(cell) is None
    assert cells.read_phone(cell) is None
    assert read_text(cell) is None


@pytest.mark.parametrize(
    ("typed", "phone", "two"),
    [
        ("13900000000", "13900000000", False),
        (13900000000, "13900000000", False),
        (13900000000.0, "13900000000", False),
        ("+86 139-0000-0000", "13900000000", False),
        ("0086 13900000000", "13900000000", False),
        ("8613900000000", "13900000000", False),
        ("１３９００００００００", "13900000000", False),
        ("0566-6020000", "05666020000", False),
        ("(0566)6020000", "05666020000", False),
        ("+86 566 6020000", "05666020000", False),
        ("6020000", "6020000", False),
        ("13900000000/13900000001", "13900000000", True),
        ("13900000000、13900000001", "13900000000", True),
        ("13900000000 13900000001", "13900000000", True),
        ("母13900000000 父13900000001", "13900000000", True),
        ("13900000000（母亲）", "13900000000", False),
        ("13900000000（班主任）", None, False),
    ],
)
def test_a_phone_number_has_one_form(typed: Cell, phone: str | None, two: bool) -> None:
    if phone is None:
        assert code_of_rejection(cells.read_phone, typed) == "phone_unreadable"
    else:
        assert cells.read_phone(typed) == (phone, two)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("1390000000", "phone_unreadable"),
        ("139000000000", "phone_unreadable"),
        ("12900000000", "phone_unreadable"),
        ("1.39E+10", "phone_damaged"),
        ("+1 2025550100", "phone_unreadable"),
    ],
)
def test_a_cell_without_a_phone_number_is_rejected(typed: str, code: str) -> None:
    assert code_of_rejection(cells.read_phone, typed) == code


@pytest.mark.parametrize(
    ("cell", "sex"),
    [("男", 1), ("女", 2), (1, 1), (2.0, 2), ("m", 1), ("Ｆ", 2), ("男性", 1), ("0", None), (9, None), (None, None)],
)
def test_sex(cell: Cell, sex: int | None) -> None:
    assert cells.read_sex(cell) == sex


def test_a_sex_that_is_neither_is_refused() -> None:
    assert code_of_rejection(cells.read_sex, "3") == "sex_unreadable"


@pytest.mark.parametrize("cell", ["是", "有", "1", 1, 1.0, True, "√", "Ｙ", "yes", "TRUE"])
def test_yes(cell: Cell) -> None:
    assert cells.read_yes_no(cell) is True


@pytest.mark.parametrize("cell", ["否", "无", "0", 0, 0.0, False, "×", "n", "没有", "false"])
def test_no(cell: Cell) -> None:
    assert cells.read_yes_no(cell) is False


@pytest.mark.parametrize("cell", [None, "", "-", "不详"])
def test_a_placeholder_is_neither_yes_nor_no(cell: Cell) -> None:
    assert cells.read_yes_no(cell) is None


@pytest.mark.parametrize("cell", ["2", 2, "大概", "正常"])
def test_a_cell_that_is_neither_yes_nor_no_is_rejected(cell: Cell) -> None:
    assert code_of_rejection(cells.read_yes_no, cell) == "yes_no_unreadable"


def test_a_word_counts_only_where_it_is_used() -> None:
    assert cells.read_yes_no("正常缴费", FactName.INSURED) is True
    assert cells.read_yes_no("停保", FactName.INSURED) is False
    assert code_of_rejection(cells.read_yes_no, "停保", FactName.LIVES_ALONE) == "yes_no_unreadable"


@pytest.mark.parametrize(
    ("fact", "cell", "code"),
    [
        (FactName.SCHOOL_STATUS, "在读", "enrolled"),
        (FactName.SCHOOL_STATUS, "01-在校", "enrolled"),
        (FactName.SCHOOL_STATUS, "休学", "suspended"),
        (FactName.SCHOOL_STATUS, "dropped_out", "dropped_out"),
        (FactName.SCHOOL_STAGE, "普通高中", "senior"),
        (FactName.SCHOOL_STAGE, "技工学校", "vocational"),
        (FactName.VACCINATION_STATUS, "全程接种", "complete"),
        (FactName.VACCINATION_STATUS, "漏种", "overdue"),
        (FactName.VACCINATION_STATUS, "未接种", "none"),
        (FactName.FATHER_STATUS, "外出务工", "away"),
        (FactName.MOTHER_STATUS, "失联", "not_found"),
        (FactName.GUARDIAN_STATUS, "监护缺失", "absent"),
        (FactName.SCHOOL_STATUS, "", None),
    ],
)
def test_a_known_word_is_read_as_its_code(fact: FactName, cell: Cell, code: str | None) -> None:
    assert cells.read_code(cell, fact) == code


def test_an_unlisted_word_is_rejected() -> None:
    assert code_of_rejection(cells.read_code, "转学", FactName.SCHOOL_STATUS) == "word_unknown"


@pytest.mark.parametrize(
    ("cell", "grade"),
    [
        ("一年级", (1, "primary")),
        ("六年级", (6, "primary")),
        ("七年级", (7, "junior")),
        ("九年级(2)班", (9, "junior")),
        ("初一", (7, "junior")),
        ("初三", (9, "junior")),
        ("初中二年级", (8, "junior")),
        ("高一", (10, "senior")),
        ("高中三年级", (12, "senior")),
        ("小学三年级", (3, "primary")),
        ("十二年级", (12, "senior")),
        ("3", (3, "primary")),
        (8, (8, "junior")),
        ("大班", (None, "kindergarten")),
        ("小班(1)班", (None, "kindergarten")),
        ("中职一年级", (None, "vocational")),
        ("", None),
    ],
)
def test_a_grade_is_read_with_its_stage(cell: Cell, grade: tuple[int | None, str | None] | None) -> None:
    assert cells.read_grade(cell) == grade


@pytest.mark.parametrize("cell", ["13", "0", "2023级", "毕业班", "初七"])
def test_a_cell_without_a_grade_is_rejected(cell: str) -> None:
    assert code_of_rejection(cells.read_grade, cell) == "word_unknown"


@pytest.mark.parametrize(
    ("cell", "kind"), [("视力", 1), ("肢体残疾", 4), ("64", 4), ("4", 4), (7, 7), ("多重", 7), ("无", None)]
)
def test_disability_kinds_are_mapped_not_compared(cell: Cell, kind: int | None) -> None:
    """GB/T 2261.3 writes 61 to 67 for what the certificate calls 1 to 7."""
    assert cells.read_disability_kind(cell) == kind


@pytest.mark.parametrize(("cell", "grade"), [("一级", 1), ("4", 4), ("Ⅱ级", 2), ("二", 2), ("无", None)])
def test_disability_grades(cell: Cell, grade: int | None) -> None:
    assert cells.read_disability_grade(cell) == grade


def test_the_ends_of_disability_codes() -> None:
    assert code_of_rejection(cells.read_disability_kind, "8") == "word_unknown"
    assert code_of_rejection(cells.read_disability_kind, "0") == "word_unknown"
    assert code_of_rejection(cells.read_disability_grade, "五级") == "word_unknown"
    assert code_of_rejection(cells.read_disability_grade, "0") == "word_unknown"


@pytest.mark.parametrize(
    ("cell", "year"), [("2026", 2026), (2026.0, 2026), ("2026年", 2026), ("2000", 2000), (2100, 2100)]
)
def test_years_of_insurance(cell: Cell, year: int) -> None:
    assert cells.read_whole_number(cell, 2000, 2100) == year


@pytest.mark.parametrize("cell", ["1999", 2101, "二〇二六", "2026.5"])
def test_years_out_of_bounds(cell: Cell) -> None:
    assert code_of_rejection(cells.read_whole_number, cell, 2000, 2100) == "number_unreadable"


# ------------------------------------------------------------------ masks


@given(st.text(max_size=60) | st.integers(0, 10**18))
def test_a_mask_never_shows_a_number(content: str | int) -> None:
    shown = mask(content)

    assert max((len(part) for part in _digit_runs(shown)), default=0) <= 6
    assert len(shown) <= 40


def test_masks() -> None:
    assert mask("341722201503120110") == "341722********0110"
    assert mask("13900000000") == "139****00"
    assert mask("张三丰") == "张**"
    assert mask_date("2015年2月30日") == "2015年2月30日"
    assert mask_date("13900000000") == "139****00"


def _digit_runs(text: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in text).split()


# ------------------------------------------------------------------ completeness of the tables


def test_every_field_a_county_may_name_is_read() -> None:
    """A registered column without a reader would be lost unnoticed."""
    for field in {*FactName, *IdentityField, "row_number", "left_behind_flag", "migrant_flag"}:
        assert field in fields.FIELD_READERS


ANY_OF_ITS_KIND: dict[str, Cell] = {"date": "2015-03-12", "number": "2", "bool": "是"}


def test_every_fact_is_read_as_the_registry_types_it() -> None:
    """A date is read as an ISO date, a number as a whole number, a yes as True."""
    expected = {"date": "2015-03-12", "number": 2, "bool": True}
    for fact, kind in FACT_TYPES.items():
        if kind == "code":
            continue
        cell = "2026" if fact is FactName.INSURED_YEAR else ANY_OF_ITS_KIND[kind]
        mapping = fields.map_columns(
            [fields.RegisteredColumn(fact, ("列",))], ["列"], forbidden=(), divisions=Divisions("341722", (), ())
        )
        facts = row.read_row(mapping, {"列": cell}, number=2, on=date(2026, 11, 23)).facts

        assert facts[fact] == (2026 if fact is FactName.INSURED_YEAR else expected[kind]), fact
        assert type(facts[fact]) is type(expected[kind]), fact


BRACES = ("first", "columns", "dataset", "period", "read", "announced", "allowed", "low", "high", "fields")


def test_every_problem_has_a_message_and_a_remedy() -> None:
    for code, (message, remedy) in TEXTS.items():
        problem = Problem(code, "cell", parameters=tuple((name, "x") for name in BRACES))
        assert problem.message.endswith("。"), code
        assert problem.remedy.endswith(("。", "）。")), code
        assert message
        assert remedy
