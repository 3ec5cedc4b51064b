"""Reads the rows of a unit's workbook."""

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from openpyxl.utils import get_column_letter
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string
from openpyxl.xml.functions import fromstring
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from contracts.intake import Cell
from workbooks.headers import fold

MAX_BYTES = 100 * 1024 * 1024
"""A county's largest file has a few megabytes."""
MAX_HEADER_ROW = 30
"""Rows. Titles, units and dates are above a header, never more of them."""

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
_INVISIBLE = ("\ufeff", "\u200b")

_BLANK: list[Any] = []

Grid = list[list[Any]]
Merged = list[tuple[tuple[int, int], tuple[int, int]]]


class WorkbookUnreadable(Exception):
    """A file cannot be read. The message says why and what to do, in Chinese, without content of the file."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}{remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one file."""

    columns: tuple[str, ...]
    """The headers. A repeated one is marked ``#2``; two header rows are read as one."""
    rows: list[tuple[int, dict[str, Cell]]]
    """(number, header -> content). The header is row 1, empty lines count, empty cells are left out."""
    sha256: str
    header_row: int = 1
    """The last row of the header in the file itself, counted from 1."""
    date_1904: bool = False
    """Bare serial dates count from 1904, as the workbook states."""


def read_workbook(path: Path, known_headers: Iterable[str] = ()) -> Sheet:
    """Read .xlsx, .xls or .csv (UTF-8, GB18030).

    ``known_headers``: headers that the dataset may have; they distinguish the header row from the titles above it.

    Raises:
        WorkbookUnreadable: the file is missing, of another kind, protected, damaged, or has no header.
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
    """Return the cells of the one visible sheet with a header, its merged ranges, and its first column."""
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        visible = [
            metadata.name
            for metadata in book.sheets_metadata
            if metadata.visible is SheetVisibleEnum.Visible and metadata.typ is SheetTypeEnum.WorkSheet
        ]
        grids = [(sheet, _grid(sheet)) for sheet in map(book.get_sheet_by_name, visible)]
        for sheet, grid in grids:
            _fill_in(grid, _left(sheet), _formulas(content, sheet.name))
    except PasswordError:
        raise WorkbookUnreadable("工作簿有打开密码。", "请去掉密码，另存后重新报送。") from None
    except (CalamineError, zipfile.BadZipFile, ValueError):
        protected = "EncryptedPackage".encode("utf-16-le") in content
        if protected:
            raise WorkbookUnreadable("工作簿有打开密码。", "请去掉密码，另存后重新报送。") from None
        raise WorkbookUnreadable("文件已损坏，或者不是工作簿。", _SAVE_AS) from None
    scored = [(max(map(len, grid), default=0) and _score(grid, names), sheet, grid) for sheet, grid in grids]
    good = [entry for entry in scored if entry[0] >= min(2, len(names) or 2)]
    if len(good) > 1:
        listed = "、".join(sheet.name for _, sheet, _ in good[:5])
        raise WorkbookUnreadable(f"工作簿里有几张表都有数据：{listed}。", "请把每张表另存为一个文件，分别报送。")
    if not scored:
        raise WorkbookUnreadable("工作簿里没有可见的表。", "请取消隐藏要报送的表后重新报送。")
    _, sheet, grid = good[0] if good else max(scored, key=lambda entry: entry[0])
    left = _left(sheet)
    merged = [
        ((top, max(first - left, 0)), (bottom, last - left))
        for (top, first), (bottom, last) in sheet.merged_cell_ranges or []
    ]
    return grid, merged, left


def _left(sheet: CalamineSheet) -> int:
    """Return the first column with content. Calamine counts cells from it, but merged ranges from the first column."""
    return 0 if sheet.start is None else sheet.start[1]


def _grid(sheet: CalamineSheet) -> Grid:
    """Return the cells by row. Empty rows share one list: a blank at the foot of a sheet makes a million of them."""
    return [_BLANK if row.count("") == len(row) else [_cell(cell) for cell in row] for row in sheet.iter_rows()]


def _cell(cell: Any) -> Cell:
    """Return a cell's content, dates in ISO form. A large number stays a number, as a sign that digits are lost."""
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
    """Return for each formula without a result its position (row, column, from 0) and its error, or ``=``.

    Calamine returns both as empty cells. Only .xlsx files contain this.
    """
    if not content.startswith(_ZIP):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        page = _page(book, sheet)
    if not (_ERROR.search(page) or _FORMULA.search(page)):
        return {}
    formulas: dict[tuple[int, int], str] = {}
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
            formulas[row - 1, column_index_from_string(column) - 1] = text
    return formulas


def _page(book: zipfile.ZipFile, sheet: str) -> bytes:
    """Return the XML part of a sheet; empty for a workbook of another kind."""
    names = book.namelist()
    if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
        return b""
    try:
        sheets = fromstring(book.read("xl/workbook.xml")).findall(".//{*}sheet")
        parts = list(fromstring(book.read("xl/_rels/workbook.xml.rels")))
    except SyntaxError:
        return b""  # calamine is more lenient, and what it can read is read
    ids = {
        value for entry in sheets if entry.get("name") == sheet for name, value in entry.items() if name.endswith("}id")
    }
    for relation in parts:
        target = relation.get("Target", "")
        part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
        if relation.get("Id") in ids and part in names:
            return book.read(part)
    return b""


def _fill_in(grid: Grid, left: int, formulas: Mapping[tuple[int, int], str]) -> None:
    """Add the formulas. A row with nothing else is an unused row of a form, and stays empty."""
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
        # Otherwise a quotation mark that is never closed would silently swallow every row after it.
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
    text = (protected[1] if protected else text).strip("".join(_INVISIBLE) + " \t\r\n\u3000")
    return text or None


# ---------------------------------------------------------------- header and footer


def _score(grid: Grid, names: Collection[str]) -> int:
    return max((_matches(row, names) for row in grid[:MAX_HEADER_ROW]), default=0)


def _matches(row: Sequence[Any], names: Collection[str]) -> int:
    """Return how many cells look like headers: known names, or any text if no names are known."""
    texts = [cell for cell in row if isinstance(cell, str)]
    return sum(fold(text) in names for text in texts) if names else len(texts)


def _header(grid: Grid, merged: Merged, names: Collection[str]) -> tuple[int, int]:
    """Return first and last row of the header, from 0. Vertical merges or groups above it make it more than one."""
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
    """Return column -> header. A group's header precedes its columns': 家庭成员1 and 姓名 make 家庭成员1姓名."""
    width = max(map(len, grid))
    texts = [[_at(grid, row, column) for column in range(width)] for row in range(top, bottom + 1)]
    for (first, left), (last, right) in merged:
        if top <= first <= bottom:
            for row in range(first, min(last, bottom) + 1):
                for column in range(left, min(right, width - 1) + 1):
                    texts[row - top][column] = _at(grid, first, left)
    columns: dict[int, str] = {}
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
        columns[column] = header if seen[key] == 1 else f"{header}#{seen[key]}"
    return columns


def _at(grid: Grid, row: int, column: int) -> str:
    if row >= len(grid) or column >= len(grid[row]) or grid[row][column] is None:
        return ""
    return str(grid[row][column])


def _is_footer(row: Sequence[Any]) -> bool:
    """Return true for a sum or a signature, but never for a row with an ID number."""
    filled = [cell for cell in row if cell is not None]
    if not filled or any(sum(map(str.isdigit, str(cell))) >= 15 for cell in filled):
        return False
    first = str(filled[0]).strip()
    return _SUM.fullmatch(first) is not None or (len(filled) <= 4 and _SIGNED.match(first) is not None)
