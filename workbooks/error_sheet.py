"""Writes a unit's rows back as a workbook in which the problems are marked."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import openpyxl
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from contracts.intake import Cell, Problem
from workbooks.reader import Sheet

_REFUSED = PatternFill("solid", fgColor="FFC7CE")
_REMARKED = PatternFill("solid", fgColor="FFEB9C")
_HEAD = PatternFill("solid", fgColor="D9E1F2")
_AUTHOR = "hutong"
_LAST_MODIFIED_BY_US = f"<cp:lastModifiedBy>{_AUTHOR}</cp:lastModifiedBy>".encode()
_MAX_PROPERTIES = 10_000
"""Bytes. The properties written here take a few hundred."""
_SOURCE_ROW = "原表行号"
_EXPLANATION = ("问题", "怎样更正")
_SCOPES = {"cell": "此格未收", "row": "整行未收", "file": "整份未收", "nothing": "已收，请留意"}
_WRAPPED = Alignment(wrap_text=True, vertical="top")


def is_error_sheet(sheet: Sheet) -> bool:
    """Return true if the columns are those of ``error_sheet``: the file holds only some rows of a list."""
    return sheet.columns[:1] == (_SOURCE_ROW,) and sheet.columns[-2:] == _EXPLANATION


def error_sheet(sheet: Sheet, problems: Iterable[Problem | Mapping[str, Any]]) -> bytes:
    """Return a workbook of the sender's rows that have problems: marked cells, and beside them problem and remedy."""
    listed = [problem if isinstance(problem, Problem) else Problem.model_validate(problem) for problem in problems]
    by_row: dict[int, list[Problem]] = {}
    for problem in listed:
        if problem.row is not None:
            by_row.setdefault(problem.row, []).append(problem)
    book = openpyxl.Workbook()
    book.properties.lastModifiedBy = _AUTHOR
    page = book.active
    assert isinstance(page, Worksheet)
    page.title = "需要更正的行"
    _write_rows(page, sheet, by_row)
    whole = [problem for problem in listed if problem.row is None]
    if whole:
        _write_whole(book.create_sheet("整份文件"), whole)
        if not by_row:
            book.remove(page)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def is_unchanged_error_sheet(file: BinaryIO) -> bool:
    """Return true if a file is an unchanged error sheet: a program that saves it writes its user's name."""
    try:
        with zipfile.ZipFile(file) as book, book.open("docProps/core.xml") as properties:
            return _LAST_MODIFIED_BY_US in properties.read(_MAX_PROPERTIES)
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError, EOFError):
        return False


def _write_rows(page: Worksheet, sheet: Sheet, by_row: Mapping[int, Sequence[Problem]]) -> None:
    headers = [_SOURCE_ROW, *sheet.columns, *_EXPLANATION]
    for column, header in enumerate(headers, start=1):
        cell = page.cell(1, column)
        _put(cell, header)
        cell.font = Font(bold=True)
        cell.fill = _HEAD
    column_of = {header: column for column, header in enumerate(sheet.columns, start=2)}
    contents = dict(sheet.rows)
    for line, number in enumerate(sorted(by_row), start=2):
        page.cell(line, 1, number + sheet.header_row - 1)
        for header, content in contents.get(number, {}).items():
            _put(page.cell(line, column_of[header]), content)
        problems = by_row[number]
        for problem in problems:
            column = column_of.get(problem.column or "", 1)
            cell = page.cell(line, column)
            if cell.fill.fgColor.rgb != _REFUSED.fgColor.rgb:
                cell.fill = _REMARKED if problem.refused == "nothing" else _REFUSED
            note = f"{problem.message}\n{problem.remedy}"
            cell.comment = Comment(note if cell.comment is None else f"{cell.comment.text}\n{note}", "intake")
        messages = [f"{_prefix(problem)}{problem.message}（{_SCOPES[problem.refused]}）" for problem in problems]
        remedies = [problem.remedy for problem in problems]
        for column, lines in ((len(headers) - 1, messages), (len(headers), remedies)):
            cell = page.cell(line, column)
            _put(cell, "\n".join(dict.fromkeys(lines)))
            cell.alignment = _WRAPPED
    page.freeze_panes = "B2"
    for column in range(1, len(headers) + 1):
        page.column_dimensions[get_column_letter(column)].width = 60 if column >= len(headers) - 1 else 18


def _write_whole(page: Worksheet, whole: Sequence[Problem]) -> None:
    for column, header in enumerate(_EXPLANATION, start=1):
        cell = page.cell(1, column)
        _put(cell, header)
        cell.font = Font(bold=True)
        cell.fill = _HEAD
        page.column_dimensions[get_column_letter(column)].width = 60
    for line, problem in enumerate(whole, start=2):
        for column, text in enumerate((f"{problem.message}（{_SCOPES[problem.refused]}）", problem.remedy), start=1):
            _put(page.cell(line, column), text)
            page.cell(line, column).alignment = _WRAPPED


def _prefix(problem: Problem) -> str:
    return f"“{problem.column}”：" if problem.column else ""


def _put(cell: Any, content: Cell) -> None:
    """Write content so that no program computes it or stores an ID number as a number."""
    if isinstance(content, str) or (isinstance(content, int | float) and abs(content) >= 1e11):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", str(content))[:32_000]
        cell.data_type = "s"
        cell.number_format = "@"
    else:
        cell.value = content
