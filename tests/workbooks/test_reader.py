"""A unit's file is read, and written back with its problems marked."""

import stat
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet

from cli.error_sheet import write_error_sheet
from contracts.intake import Problem
from workbooks.reader import Sheet, WorkbookUnreadable, read_workbook

KNOWN = ["姓名", "身份证号", "出生日期", "家庭成员1姓名", "家庭成员1电话", "备注"]
NUMBER = "34172220150312001X"


def a_workbook(path: Path, fill: Callable[[Worksheet], None], *, also: Callable[[Any], None] | None = None) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert isinstance(page, Worksheet)
    fill(page)
    if also:
        also(book)
    book.save(path)
    return path


def rows(*lines: list[Any]) -> Callable[[Worksheet], None]:
    def fill(page: Worksheet) -> None:
        for line in lines:
            page.append(line)

    return fill


def test_numbers_dates_and_texts_are_read_unchanged(tmp_path: Path) -> None:
    path = a_workbook(
        tmp_path / "a.xlsx",
        rows(
            ["姓名", "身份证号", "出生日期", "备注"],
            [" 测试甲 ", NUMBER, date(2015, 3, 12), True],
            ["测试乙", 990000201503120136, 42075, None],
            ["测试丙", "", datetime(2015, 3, 12, 8, 30), 1.5],  # noqa: DTZ001
        ),
    )
    sheet = read_workbook(path, KNOWN)

    assert sheet.columns == ("姓名", "身份证号", "出生日期", "备注")
    assert sheet.rows == [
        (2, {"姓名": "测试甲", "身份证号": NUMBER, "出生日期": "2015-03-12", "备注": True}),
        (3, {"姓名": "测试乙", "身份证号": pytest.approx(9.900002015031201e17), "出生日期": 42075}),
        (4, {"姓名": "测试丙", "出生日期": "2015-03-12 08:30:00", "备注": 1.5}),
    ]
    assert isinstance(sheet.rows[1][1]["身份证号"], float)


ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!")


def test_a_formula_without_a_result_is_read_as_its_error(tmp_path: Path) -> None:
    """Calamine reads errors, and formulas that nobody has computed, as empty cells."""

    def fill(page: Worksheet) -> None:
        for line, error in enumerate(ERRORS, start=3):
            page.cell(line, 2, "测试甲")
            page.cell(line, 3, error)
        rows(["姓名", "身份证号", "出生日期"])(page)
        page.move_range("A10:C10", rows=-8, cols=1)
        page["D3"] = "=DATE(2015,3,12)"
        page["D20"] = "#VALUE!"  # a form's row that nobody has filled in
        page["C21"] = "=MID(B21,7,8)"

    sheet = read_workbook(a_workbook(tmp_path / "a.xlsx", fill, also=second_page_of_errors), KNOWN)

    assert [cells["身份证号"] for _, cells in sheet.rows] == list(ERRORS)
    assert sheet.rows[0] == (2, {"姓名": "测试甲", "身份证号": "#N/A", "出生日期": "="})


def second_page_of_errors(book: Any) -> None:
    book.create_sheet("填表说明").append(["#N/A", "#N/A", "=A1"])


def test_a_formula_with_a_result_is_read_as_its_result(tmp_path: Path) -> None:
    """An empty result counts as one. openpyxl writes no results, so the test adds them to its file."""
    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号", "备注"], ["测试甲", "=A2", "=A2"]))
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    page = parts["xl/worksheets/sheet1.xml"]
    for before, after in (
        (b'<c r="B2"><f>A2</f><v /></c>', f'<c r="B2" t="str"><f>A2</f><v>{NUMBER}</v></c>'.encode()),
        (b'<c r="C2"><f>A2</f><v /></c>', b'<c r="C2" t="str"><f>A2</f><v></v></c>'),
    ):
        assert page.count(before) == 1
        page = page.replace(before, after)
    with zipfile.ZipFile(path, "w") as book:
        for name, part in {**parts, "xl/worksheets/sheet1.xml": page}.items():
            book.writestr(name, part)

    assert read_workbook(path, KNOWN).rows == [(2, {"姓名": "测试甲", "身份证号": NUMBER})]


def test_titles_empty_lines_and_sums_are_not_rows(tmp_path: Path) -> None:
    path = a_workbook(
        tmp_path / "a.xlsx",
        rows(
            ["石台县测试学校流动儿童名单"],
            ["填报单位：测试学校", None, "2026年9月"],
            ["姓名", "身份证号", "出生日期"],
            ["测试甲", NUMBER, "2015-03-12"],
            [None, None, None],
            ["合计", None, "1"],
            ["测试乙", NUMBER, "2015-03-12"],
            ["合 计", 2],
            ["制表人：测试丙", None, "审核：测试丁"],
        ),
    )
    sheet = read_workbook(path, KNOWN)

    assert [(number, cells["姓名"]) for number, cells in sheet.rows] == [(2, "测试甲"), (5, "测试乙")]
    assert sheet.header_row == 3


def test_a_row_with_an_identity_number_is_never_read_as_a_sum(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号"], ["合计", NUMBER]))

    assert len(read_workbook(path, KNOWN).rows) == 1


def test_headers_over_two_rows_are_read_as_one(tmp_path: Path) -> None:
    """Otherwise a family member's name would be taken for the child's."""

    def fill(page: Worksheet) -> None:
        rows(
            ["某校名单", None, None, None],
            ["姓名", "身份证号", "家庭成员1", None],
            [None, None, "姓名", "电话"],
            ["测试甲", NUMBER, "测试乙", "13900000000"],
        )(page)
        for merged in ("A1:D1", "A2:A3", "B2:B3", "C2:D2"):
            page.merge_cells(merged)

    sheet = read_workbook(a_workbook(tmp_path / "a.xlsx", fill), KNOWN)

    assert sheet.columns == ("姓名", "身份证号", "家庭成员1姓名", "家庭成员1电话")
    assert sheet.rows == [(2, dict(zip(sheet.columns, ["测试甲", NUMBER, "测试乙", "13900000000"], strict=True)))]


def test_a_table_that_begins_further_right_is_read_like_any_other(tmp_path: Path) -> None:
    """Otherwise its groups would be above other columns: a family member's name would be the child's."""

    def fill(page: Worksheet) -> None:
        page["A1"] = None
        for cell, content in {
            "C1": "某校名单",
            "C2": "姓名", "D2": "身份证号", "E2": "家庭成员1",
            "E3": "姓名", "F3": "电话",
            "C4": "测试甲", "D4": NUMBER, "E4": "测试乙", "F4": "13900000000", "G4": "x",
        }.items():  # fmt: skip
            page[cell] = content
        for merged in ("B1:G1", "C2:C3", "D2:D3", "E2:F2"):
            page.merge_cells(merged)

    sheet = read_workbook(a_workbook(tmp_path / "a.xlsx", fill), KNOWN)

    assert sheet.columns == ("姓名", "身份证号", "家庭成员1姓名", "家庭成员1电话", "第G列（无列名）")


def test_a_repeated_header_is_numbered(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号", "姓 名", None], ["测试甲", NUMBER, "测试乙", "x"]))
    sheet = read_workbook(path, KNOWN)

    assert sheet.columns == ("姓名", "身份证号", "姓 名#2", "第D列（无列名）")


def test_hidden_sheets_are_ignored(tmp_path: Path) -> None:
    def hide(book: Any) -> None:
        other = book.create_sheet("旧表")
        other.append(["姓名", "身份证号", "出生日期"])
        other.append(["测试旧", NUMBER, "2015-03-12"])
        other.sheet_state = "hidden"
        book.create_sheet("填表说明").append(["请按要求填写"])

    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号"], ["测试甲", NUMBER]), also=hide)

    assert [cells["姓名"] for _, cells in read_workbook(path, KNOWN).rows] == ["测试甲"]


def test_two_sheets_with_data_are_refused(tmp_path: Path) -> None:
    def second(book: Any) -> None:
        page = book.create_sheet("二年级")
        page.append(["姓名", "身份证号"])
        page.append(["测试乙", NUMBER])

    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号"], ["测试甲", NUMBER]), also=second)

    with pytest.raises(WorkbookUnreadable, match="二年级"):
        read_workbook(path, KNOWN)


def test_a_workbook_with_the_1904_date_system_is_recognised(tmp_path: Path) -> None:
    def epoch(book: Any) -> None:
        book.epoch = CALENDAR_MAC_1904

    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "出生日期"], ["测试甲", 40613]), also=epoch)
    other = a_workbook(tmp_path / "b.xlsx", rows(["姓名", "出生日期"], ["测试甲", 42075]))

    assert read_workbook(path, KNOWN).date_1904
    assert not read_workbook(other, KNOWN).date_1904


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_text_files_are_read_in_the_usual_encodings(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    lines = [
        ["某校名单"],
        ["姓名", "身份证号", "备注"],
        ["测试甲", f'="{NUMBER}"', '"两行\n备注"'],
        [],
        ["测试乙", "", ""],
    ]
    path.write_bytes("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    if delimiter != ",":
        lines[0] = ["某校名单", ""]
        path.write_bytes("\r\n".join(delimiter.join(line) for line in lines).encode(encoding))
    sheet = read_workbook(path, KNOWN)

    assert sheet.rows[0] == (2, {"姓名": "测试甲", "身份证号": NUMBER, "备注": "两行\n备注"})
    assert [number for number, _ in sheet.rows] == [2, 4]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xlsx", b"PK\x03\x04 broken", "损坏"),
        ("a.xls", b"\xd0\xcf\x11\xe0 broken", "损坏"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "密码"),
        ("a.xls", b"<html><table></table></html>", "网页"),
        ("a.csv", b"", "空"),
        ("a.csv", b"\x81\x20\xff\xff\xff", "编码"),
        ("a.csv", "甲,乙\n1,2\n".encode(), "没有找到表头"),
        ("a.csv", "姓名,身份证号\n".encode(), "没有数据行"),
        ("a.pdf", b"%PDF-1.7\n\x00\x01", "不能识别"),
    ],
)
def test_an_unreadable_file_is_reported_with_reason_and_remedy(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(WorkbookUnreadable) as caught:
        read_workbook(path, KNOWN)
    assert reason in caught.value.message
    assert caught.value.remedy.endswith("。")


def test_an_unclosed_quotation_mark_is_reported(tmp_path: Path) -> None:
    """A lenient reader would make one row of the rest, and every child after it would be missing."""
    path = tmp_path / "a.csv"
    path.write_text(f'姓名,身份证号\n"测试甲,{NUMBER}\n测试乙,{NUMBER}\n测试丙,{NUMBER}\n', "utf-8")

    with pytest.raises(WorkbookUnreadable, match="引号"):
        read_workbook(path, KNOWN)


def test_line_ends_of_every_system_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"姓名,身份证号\r测试甲,{NUMBER}\r测试乙,\r".encode())

    assert [cells["姓名"] for _, cells in read_workbook(path, KNOWN).rows] == ["测试甲", "测试乙"]


def test_a_blank_cell_below_the_table_is_no_row(tmp_path: Path) -> None:
    def fill(page: Worksheet) -> None:
        rows(["姓名", "身份证号"], ["测试甲", NUMBER])(page)
        page.cell(200_000, 9, " ")

    sheet = read_workbook(a_workbook(tmp_path / "a.xlsx", fill), KNOWN)

    assert [number for number, _ in sheet.rows] == [2]
    assert sheet.columns == ("姓名", "身份证号")


def test_a_missing_file_is_reported_plainly(tmp_path: Path) -> None:
    with pytest.raises(WorkbookUnreadable, match="打不开"):
        read_workbook(tmp_path / "nothing.xlsx", KNOWN)


def test_equal_files_have_the_same_hash(tmp_path: Path) -> None:
    path = a_workbook(tmp_path / "a.xlsx", rows(["姓名", "身份证号"], ["测试甲", NUMBER]))
    (tmp_path / "b.xlsx").write_bytes(path.read_bytes())

    assert read_workbook(path, KNOWN).sha256 == read_workbook(tmp_path / "b.xlsx", KNOWN).sha256


# ------------------------------------------------------------------ error sheets


SHEET = Sheet(("姓名",), [(2, {"姓名": "测试甲"})], "hash")


def a_problem(row: int | None, column: str | None, code: str = "id_masked", refused: Any = "cell") -> Problem:
    return Problem(row=row, column=column, code=code, message="有问题。", remedy="这样改。", refused=refused)


def test_the_error_sheet_has_the_senders_rows_with_the_cells_marked(tmp_path: Path) -> None:
    sheet = Sheet(
        ("姓名", "身份证号", "备注"),
        [(2, {"姓名": "测试甲"}), (3, {"姓名": "=1+1", "身份证号": 3.417e17, "备注": "坏\x01字"})],
        "hash",
        header_row=4,
    )
    path = tmp_path / "errors.xlsx"
    write_error_sheet(path, sheet, [a_problem(2, "姓名")])
    path.chmod(0o644)
    write_error_sheet(
        path,
        sheet,
        [
            a_problem(3, "身份证号"),
            a_problem(3, "姓名", refused="nothing"),
            a_problem(3, None, refused="row").model_dump(),
        ],
    )

    page = openpyxl.load_workbook(path)["需要更正的行"]
    assert [cell.value for cell in page[1]] == ["原表行号", "姓名", "身份证号", "备注", "问题", "怎样更正"]
    line = page[2]
    assert [cell.value for cell in line][:4] == [6, "=1+1", "3.417e+17", "坏字"]
    assert line[1].data_type == "s"
    assert (line[2].fill.fgColor.rgb, line[1].fill.fgColor.rgb) == ("00FFC7CE", "00FFEB9C")
    comment = line[2].comment
    assert comment is not None
    assert "这样改" in comment.text
    assert line[4].value == "“身份证号”：有问题。（此格未收）\n“姓名”：有问题。（已收，请留意）\n有问题。（整行未收）"
    assert line[5].value == "这样改。"
    assert page.max_row == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_problems_of_the_whole_file_have_their_own_sheet(tmp_path: Path) -> None:
    path = tmp_path / "errors.xlsx"
    write_error_sheet(
        path, Sheet(("姓名",), [(2, {"姓名": "测试甲"})], "hash"), [a_problem(None, None, refused="file")]
    )

    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["整份文件"]
    assert book["整份文件"]["A2"].value == "有问题。（整份未收）"
    assert zipfile.is_zipfile(path)


def a_link(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def a_hard_link(path: Path, elsewhere: Path) -> None:
    path.hardlink_to(elsewhere)


def a_file(path: Path, elsewhere: Path) -> None:
    path.write_bytes(elsewhere.read_bytes())


def an_edited_copy(path: Path, _: Path) -> None:
    """Write an error sheet that a person has begun to correct and has saved."""
    write_error_sheet(path, SHEET, [a_problem(2, "姓名")])
    book = openpyxl.load_workbook(path)
    book.properties.lastModifiedBy = "a clerk"
    book.save(path)


def another_workbook(path: Path, _: Path) -> None:
    openpyxl.Workbook().save(path)


def state_of(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    return status.st_ino, status.st_nlink, status.st_mode, status.st_mtime_ns, path.read_bytes()


@pytest.mark.parametrize("make", [a_link, a_hard_link, a_file, another_workbook, an_edited_copy])
def test_a_file_that_is_not_our_unchanged_error_sheet_is_left_alone(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """The marked copy is then written beside it, and the next one replaces that."""
    folder, secret = tmp_path / "a", tmp_path / "secret"
    folder.mkdir()
    secret.write_bytes(b"secret")
    path = folder / "errors.xlsx"
    make(path, secret)
    before = state_of(path), state_of(secret)

    paths = [write_error_sheet(path, SHEET, [a_problem(2, "姓名")]) for _ in range(2)]

    assert paths == [folder / "errors2.xlsx"] * 2
    assert (state_of(path), state_of(secret)) == before
    assert {each.name for each in folder.iterdir()} == {"errors.xlsx", "errors2.xlsx"}


def test_the_previous_error_sheet_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "errors.xlsx"
    scopes = ("cell", "nothing")
    paths = [write_error_sheet(path, SHEET, [a_problem(2, "姓名", refused=scope)]) for scope in scopes]

    assert paths == [path, path]
    assert [each.name for each in tmp_path.iterdir()] == ["errors.xlsx"]
    assert openpyxl.load_workbook(path).worksheets[0]["C2"].value == "“姓名”：有问题。（已收，请留意）"


def test_the_error_sheet_can_be_corrected_and_sent_again(tmp_path: Path) -> None:
    sheet = Sheet(("姓名", "身份证号"), [(2, {"姓名": "测试甲", "身份证号": NUMBER})], "hash")
    path = tmp_path / "errors.xlsx"
    write_error_sheet(path, sheet, [a_problem(2, "姓名")])

    corrected = read_workbook(path, KNOWN)
    assert corrected.rows[0][1]["身份证号"] == NUMBER
    assert set(corrected.columns) >= {"姓名", "身份证号"}
