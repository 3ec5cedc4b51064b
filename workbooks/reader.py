"""Reads a unit's workbook as it stands, and gives it back with what must be mended marked in it."""

import csv
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.xml.functions import fromstring
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from contracts.intake import Cell, Problem
from workbooks.headers import fold

MAX_BYTES = 100 * 1024 * 1024
"""Bytes. A county's largest file is a few megabytes."""
MAX_HEADER_ROW = 30
"""Rows: titles, units and dates stand above a header, never more than these."""

_SAVE_AS = "请用表格软件打开，另存为 .xlsx 后重新报送。"
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SUM = re.compile(r"[合总小共累]\s*计(?:人数)?[:：]?")
_SIGNED = re.compile(r"(?:制表|填表|填报|审核|负责人|经办|单位盖章|盖章|注[:：]|说明[:：]|备注[:：])")
_FORMULA_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*)(?<!/)>(.*?)</(?:\w+:)?c>", re.DOTALL)
_ERROR = re.compile(rb"\bt=[\"']e[\"']")
_TEXT = re.compile(rb"\bt=[\"']str[\"']")
_FORMULA = re.compile(rb"<(?:\w+:)?f\b")
_RESULT = re.compile(rb"<(?:\w+:)?v\b[^>]*>([^<]+)<")
_DATE_1904 = re.compile(rb"<(?:\w+:)?workbookPr\b[^>]*\bdate1904\s*=\s*[\"'](?:1|true)[\"']")
_PLACE = re.compile(rb"\br=[\"']([A-Z]+[0-9]+)[\"']")
_HIDDEN_FORM = ("\ufeff", "\u200b")

_BLANK: list[Any] = []

Grid = list[list[Any]]
Merged = list[tuple[tuple[int, int], tuple[int, int]]]


class WorkbookUnreadable(Exception):
    """A file cannot be read. The message says why and what to do, in Chinese; it never carries content."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}{remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one file."""

    columns: tuple[str, ...]
    """The headers as they stand. One that stands twice is marked ``#2``; two header rows are read as one."""
    rows: list[tuple[int, dict[str, Cell]]]
    """(number, header -> content). The header is row 1, an empty line counts; empty cells are left out."""
    sha256: str
    header_row: int = 1
    """The (last) row of the header in the file itself, counted from 1."""
    date_1904: bool = False
    """Bare serial dates count from 1904, the workbook says."""


def read_workbook(path: Path, known_headers: Iterable[str] = ()) -> Sheet:
    """Read .xlsx, .xls or .csv (UTF-8, GB18030).

    ``known``: headers the dataset may have, by which the header row is told from the titles above it.

    Raises:
        WorkbookUnreadable: there is no such file, it is of another kind, protected, damaged, or without a header.
    """
    content = _content(path)
    names = frozenset(fold(name) for name in known_headers)
    if content.startswith((_ZIP, _OLE)):
        grid, merged, left = _worksheet(content, names)
        date_1904 = _counts_from_1904(content)
    else:
        grid, merged, left, date_1904 = _text_rows(content), [], 0, False
    top, bottom = _header(grid, merged, names)
    columns = _columns(grid, merged, top, bottom, left)
    rows: list[tuple[int, dict[str, Cell]]] = []
    for place, row in enumerate(grid[bottom + 1 :], start=2):
        if not _is_footer(row):
            cells = {columns[index]: cell for index, cell in enumerate(row) if index in columns and cell is not None}
            if cells:
                rows.append((place, cells))
    if not rows:
        raise WorkbookUnreadable("表头下面没有数据行。", "请核对导出的内容后重新报送。")
    return Sheet(tuple(columns.values()), rows, hashlib.sha256(content).hexdigest(), bottom + 1, date_1904)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WorkbookUnreadable("文件过大。", "请按乡镇或学校分开，分几份报送。")
        content = path.read_bytes()
    except OSError:
        raise WorkbookUnreadable("文件打不开。", "请核对文件名和所在的文件夹，并关闭正在使用它的程序。") from None
    if not content.strip():
        raise WorkbookUnreadable("文件是空的。", "请重新导出后再报送。")
    return content


# ---------------------------------------------------------------- workbooks


def _worksheet(content: bytes, names: Collection[str]) -> tuple[Grid, Merged, int]:
    """The one visible sheet that has a header, and the column its cells begin with."""
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        visible = [
            one.name
            for one in book.sheets_metadata
            if one.visible is SheetVisibleEnum.Visible and one.typ is SheetTypeEnum.WorkSheet
        ]
        found = [(sheet, _grid(sheet)) for sheet in map(book.get_sheet_by_name, visible)]
        for sheet, grid in found:
            _fill_in(grid, _left(sheet), _formulas(content, sheet.name))
    except PasswordError:
        raise WorkbookUnreadable("工作簿有打开密码。", "请去掉密码，另存后重新报送。") from None
    except (CalamineError, zipfile.BadZipFile, ValueError):
        protected = "EncryptedPackage".encode("utf-16-le") in content
        if protected:
            raise WorkbookUnreadable("工作簿有打开密码。", "请去掉密码，另存后重新报送。") from None
        raise WorkbookUnreadable("文件已损坏，或者不是工作簿。", _SAVE_AS) from None
    scored = [(max(map(len, grid), default=0) and _score(grid, names), sheet, grid) for sheet, grid in found]
    good = [one for one in scored if one[0] >= min(2, len(names) or 2)]
    if len(good) > 1:
        listed = "、".join(sheet.name for _, sheet, _ in good[:5])
        raise WorkbookUnreadable(f"工作簿里有几张表都有数据：{listed}。", "请把每张表另存为一个文件，分别报送。")
    if not scored:
        raise WorkbookUnreadable("工作簿里没有可见的表。", "请取消隐藏要报送的表后重新报送。")
    _, sheet, grid = good[0] if good else max(scored, key=lambda one: one[0])
    left = _left(sheet)
    merged = [
        ((top, max(first - left, 0)), (bottom, last - left))
        for (top, first), (bottom, last) in sheet.merged_cell_ranges or []
    ]
    return grid, merged, left


def _left(sheet: CalamineSheet) -> int:
    """The first column that holds anything: what stands left of it is not read, and places count from the first."""
    return 0 if sheet.start is None else sheet.start[1]


def _grid(sheet: CalamineSheet) -> Grid:
    """Lines that are empty cost nothing: a blank at the foot of the sheet makes a million of them."""
    return [_BLANK if row.count("") == len(row) else [_cell(cell) for cell in row] for row in sheet.iter_rows()]


def _cell(cell: Any) -> Cell:
    """As it stands; days in ISO form. What a spreadsheet kept as a large number stays a number: it is damaged."""
    if isinstance(cell, str):
        return _stripped(cell)
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 1e15 else cell
    if isinstance(cell, int):
        return cell
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, time | timedelta):
        return str(cell)
    return str(cell)


def _formulas(content: bytes, sheet: str) -> dict[tuple[int, int], str]:
    """Place (from 0) -> what became of the formula there: its error, or ``=`` where the file has no result of it.

    Calamine gives both as empty cells. Only .xlsx tells.
    """
    if not content.startswith(_ZIP):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        page = _page(book, sheet)
    if not (_ERROR.search(page) or _FORMULA.search(page)):
        return {}
    found: dict[tuple[int, int], str] = {}
    for cell in _CELL.finditer(page):
        attributes, inside = cell.groups()
        place, result = _PLACE.search(attributes), _RESULT.search(inside)
        if _ERROR.search(attributes) and result is not None:
            text = result[1].decode()
        elif result is None and _FORMULA.search(inside) and not _TEXT.search(attributes):
            text = "="
        else:
            continue
        if place is not None:
            column, row = coordinate_from_string(place[1].decode())
            found[row - 1, column_index_from_string(column) - 1] = text
    return found


def _page(book: zipfile.ZipFile, sheet: str) -> bytes:
    """The part of a workbook that holds a sheet; nothing in a workbook of another kind."""
    names = book.namelist()
    if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
        return b""
    try:
        sheets = fromstring(book.read("xl/workbook.xml")).findall(".//{*}sheet")
        parts = list(fromstring(book.read("xl/_rels/workbook.xml.rels")))
    except SyntaxError:
        return b""  # calamine is more lenient: what it can read is read
    ids = {value for one in sheets if one.get("name") == sheet for name, value in one.items() if name.endswith("}id")}
    for one in parts:
        target = one.get("Target", "")
        part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
        if one.get("Id") in ids and part in names:
            return book.read(part)
    return b""


def _fill_in(grid: Grid, left: int, formulas: Mapping[tuple[int, int], str]) -> None:
    """A row that holds nothing but such cells is one of a form that nobody has filled in: it stays empty."""
    for (row, column), text in formulas.items():
        if row < len(grid) and grid[row] and grid[row][column - left] is None:
            grid[row][column - left] = text


def _counts_from_1904(content: bytes) -> bool:
    if not content.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            return _DATE_1904.search(book.read("xl/workbook.xml")) is not None
    except (zipfile.BadZipFile, KeyError):
        return False


# ---------------------------------------------------------------- text


def _text_rows(content: bytes) -> Grid:
    text = _decoded(content)
    start = text.lstrip()[:200].lower()
    if start.startswith(("<html", "<!doctype", "<?xml", "<table")):
        raise WorkbookUnreadable("这是网页格式的导出文件，不是工作簿。", _SAVE_AS)
    if "\x00" in text:
        raise WorkbookUnreadable("不能识别的文件。", "请报送 .xlsx 或 .csv 文件。")
    delimiter = max(",\t;，", key="".join(text.splitlines()[:MAX_HEADER_ROW]).count)
    try:
        # Strict: a quotation mark that is never closed would swallow every row after it without a word.
        lines = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter, strict=True)
        return [[_stripped(cell) for cell in row] for row in lines]
    except csv.Error:
        raise WorkbookUnreadable("文件的分隔或引号有误。", _SAVE_AS) from None


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise WorkbookUnreadable("文字编码不能识别。", "请另存为 UTF-8 编码的 .csv，或者 .xlsx，然后重新报送。")


def _stripped(text: str) -> str | None:
    protected = _FORMULA_TEXT.fullmatch(text.strip())
    text = (protected[1] if protected else text).strip("".join(_HIDDEN_FORM) + " \t\r\n\u3000")
    return text or None


# ---------------------------------------------------------------- header and footer


def _score(grid: Grid, names: Collection[str]) -> int:
    return max((_matches(row, names) for row in grid[:MAX_HEADER_ROW]), default=0)


def _matches(row: Sequence[Any], names: Collection[str]) -> int:
    """How much a row looks like a header: known names, or, when none are known, cells with text."""
    texts = [cell for cell in row if isinstance(cell, str)]
    return sum(fold(text) in names for text in texts) if names else len(texts)


def _header(grid: Grid, merged: Merged, names: Collection[str]) -> tuple[int, int]:
    """First and last row of the header (from 0): vertical merges, or groups above it, make it more than one."""
    enough = 1 if names else 2
    best = max(range(min(len(grid), MAX_HEADER_ROW)), key=lambda row: (_matches(grid[row], names), -row), default=None)
    if best is None or _matches(grid[best], names) < enough:
        raise WorkbookUnreadable("没有找到表头。", "请把列名（如“姓名”“身份证号”“出生日期”）写在一行里，放在数据上面。")
    top = bottom = best
    for (first, _), (last, _) in merged:
        if first < last and first <= best <= last:
            top, bottom = min(top, first), max(bottom, last)
    width = max(map(len, grid))
    groups = [(left, right) for (first, left), (last, right) in merged if first == last == best - 1 and left < right]
    if top == best and groups and all(right - left + 1 < width for left, right in groups):
        top = best - 1
    return top, bottom


def _columns(grid: Grid, merged: Merged, top: int, bottom: int, before: int) -> dict[int, str]:
    """Place -> header. A group's header stands before those of its columns: 家庭成员1 and 姓名 are 家庭成员1姓名."""
    width = max(map(len, grid))
    texts = [[_at(grid, row, column) for column in range(width)] for row in range(top, bottom + 1)]
    for (first, left), (last, right) in merged:
        if top <= first <= bottom:
            for row in range(first, min(last, bottom) + 1):
                for column in range(left, min(right, width - 1) + 1):
                    texts[row - top][column] = _at(grid, first, left)
    found: dict[int, str] = {}
    seen: dict[str, int] = {}
    for column in range(width):
        parts = list(dict.fromkeys(row[column] for row in texts if row[column]))
        header = "".join(parts)
        if not header:
            if not any(_at(grid, row, column) for row in range(bottom + 1, len(grid))):
                continue
            header = f"第{get_column_letter(before + column + 1)}列（无列名）"
        key = fold(header)
        seen[key] = seen.get(key, 0) + 1
        found[column] = header if seen[key] == 1 else f"{header}#{seen[key]}"
    return found


def _at(grid: Grid, row: int, column: int) -> str:
    if row >= len(grid) or column >= len(grid[row]) or grid[row][column] is None:
        return ""
    return str(grid[row][column])


def _is_footer(row: Sequence[Any]) -> bool:
    """A sum, or who signed. Never a row that holds an identity number."""
    filled = [cell for cell in row if cell is not None]
    if not filled or any(sum(map(str.isdigit, str(cell))) >= 15 for cell in filled):
        return False
    first = str(filled[0]).strip()
    return _SUM.fullmatch(first) is not None or (len(filled) <= 4 and _SIGNED.match(first) is not None)


# ---------------------------------------------------------------- the way back

_REFUSED = PatternFill("solid", fgColor="FFC7CE")
_REMARKED = PatternFill("solid", fgColor="FFEB9C")
_HEAD = PatternFill("solid", fgColor="D9E1F2")
_AUTHOR = "hutong"
_SAVED_BY_US = f"<cp:lastModifiedBy>{_AUTHOR}</cp:lastModifiedBy>".encode()
_PROPERTIES_AT_MOST = 10_000
"""Bytes. Those that are written here take a few hundred."""
_PLACE_IN_SOURCE = "原表行号"
_EXPLANATION = ("问题", "怎样更正")
_SCOPES = {"cell": "此格未收", "row": "整行未收", "file": "整份未收", "nothing": "已收，请留意"}
_WRAPPED = Alignment(wrap_text=True, vertical="top")


def is_error_sheet(sheet: Sheet) -> bool:
    """True when a file was made by ``error_sheet``, as its columns tell: it holds some rows of a list only."""
    return sheet.columns[:1] == (_PLACE_IN_SOURCE,) and sheet.columns[-2:] == _EXPLANATION


def error_sheet(sheet: Sheet, problems: Iterable[Problem | Mapping[str, Any]]) -> bytes:
    """The sender's own rows that have troubles, as a workbook: marked cells, and beside them fault and remedy."""
    told = [one if isinstance(one, Problem) else Problem.model_validate(one) for one in problems]
    by_row: dict[int, list[Problem]] = {}
    for one in told:
        if one.row is not None:
            by_row.setdefault(one.row, []).append(one)
    book = openpyxl.Workbook()
    book.properties.lastModifiedBy = _AUTHOR
    page = book.active
    assert isinstance(page, Worksheet)
    page.title = "需要更正的行"
    _write_rows(page, sheet, by_row)
    whole = [one for one in told if one.row is None]
    if whole:
        _write_whole(book.create_sheet("整份文件"), whole)
        if not by_row:
            book.remove(page)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def is_unchanged_error_sheet(file: BinaryIO) -> bool:
    """True when a file is an error sheet as it was written: any program that saves it puts its user's name there."""
    try:
        with zipfile.ZipFile(file) as book, book.open("docProps/core.xml") as properties:
            return _SAVED_BY_US in properties.read(_PROPERTIES_AT_MOST)
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, EOFError):
        return False


def _write_rows(page: Worksheet, sheet: Sheet, by_row: Mapping[int, Sequence[Problem]]) -> None:
    headers = [_PLACE_IN_SOURCE, *sheet.columns, *_EXPLANATION]
    for column, header in enumerate(headers, start=1):
        cell = page.cell(1, column)
        _put(cell, header)
        cell.font = Font(bold=True)
        cell.fill = _HEAD
    place = {header: column for column, header in enumerate(sheet.columns, start=2)}
    contents = dict(sheet.rows)
    for line, number in enumerate(sorted(by_row), start=2):
        page.cell(line, 1, number + sheet.header_row - 1)
        for header, content in contents.get(number, {}).items():
            _put(page.cell(line, place[header]), content)
        found = by_row[number]
        for one in found:
            column = place.get(one.column or "", 1)
            cell = page.cell(line, column)
            if cell.fill.fgColor.rgb != _REFUSED.fgColor.rgb:
                cell.fill = _REMARKED if one.refused == "nothing" else _REFUSED
            note = f"{one.message}\n{one.remedy}"
            cell.comment = Comment(note if cell.comment is None else f"{cell.comment.text}\n{note}", "intake")
        wrong = [f"{_named(one)}{one.message}（{_SCOPES[one.refused]}）" for one in found]
        for column, lines in ((len(headers) - 1, wrong), (len(headers), [one.remedy for one in found])):
            cell = page.cell(line, column)
            _put(cell, "\n".join(dict.fromkeys(lines)))
            cell.alignment = _WRAPPED
    page.freeze_panes = "B2"
    for column in range(1, len(headers) + 1):
        page.column_dimensions[get_column_letter(column)].width = 60 if column >= len(headers) - 1 else 18


def _write_whole(page: Worksheet, whole: Sequence[Problem]) -> None:
    for column, header in enumerate(("问题", "怎样更正"), start=1):
        cell = page.cell(1, column)
        _put(cell, header)
        cell.font = Font(bold=True)
        cell.fill = _HEAD
        page.column_dimensions[get_column_letter(column)].width = 60
    for line, one in enumerate(whole, start=2):
        for column, text in enumerate((f"{one.message}（{_SCOPES[one.refused]}）", one.remedy), start=1):
            _put(page.cell(line, column), text)
            page.cell(line, column).alignment = _WRAPPED


def _named(one: Problem) -> str:
    return f"“{one.column}”：" if one.column else ""


def _put(cell: Any, content: Cell) -> None:
    """Write content so that the next program neither computes it nor takes an identity number for a number."""
    if isinstance(content, str) or (isinstance(content, int | float) and abs(content) >= 1e11):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", str(content))[:32_000]
        cell.data_type = "s"
        cell.number_format = "@"
    else:
        cell.value = content
