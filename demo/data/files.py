"""Write the ground truth and the submissions as files; the same seed gives the same bytes.

``truth.json`` is for the checks and the clients; the product never reads it. Workbooks are as a clerk would send
them; what plain Kafka clients send is one JSON file for each submission.
"""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
from openpyxl.styles import Font

from demo.data.datasets import Cell
from demo.data.population import Child, Population
from demo.data.submissions import Submission
from deploy.files import private_folder, write_private

_MADE = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""The time in every workbook: a file's bytes must not depend on when it was written."""


def write(folder: Path, population: Population, submissions: Iterable[Submission]) -> Path:
    """Write ``truth.json``, ``workbooks/*.xlsx`` and ``events/*.json``; returns the path of the truth."""
    private_folder(folder)
    written = []
    for submission in submissions:
        entry = _plain(asdict(submission))
        name = f"{submission.day:%m%d}-{submission.unit}-{submission.dataset}-{submission.expect}"
        if submission.channel == "workbook":
            file = folder / "workbooks" / f"{name}.xlsx"
            write_private(file, workbook(submission))
        else:
            file = folder / "events" / f"{name}.json"
            write_private(file, json.dumps(entry, ensure_ascii=False, indent=1))
        written.append(entry | {"file": str(file.relative_to(folder))})
    truth = {
        "seed": population.seed,
        "first_day": population.first_day.isoformat(),
        "days": population.days,
        "children": [_child(child) for child in population.children],
        "planted_findings": [_plain(asdict(finding)) for finding in population.planted_findings],
        "service_gaps": [_plain(asdict(gap)) for gap in population.service_gaps],
        "submissions": written,
    }
    path = folder / "truth.json"
    write_private(path, json.dumps(truth, ensure_ascii=False, indent=1))
    return path


def workbook(submission: Submission) -> bytes:
    """Return the workbook as the unit's clerk would send it: perhaps a title, an empty line, a sum at the end."""
    book = openpyxl.Workbook()
    book.properties.created = book.properties.modified = _MADE
    sheet = book.active
    assert sheet is not None
    sheet.title = "Sheet1"
    if submission.title is not None:
        sheet.append([submission.title])
        sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(submission.columns))
    sheet.append(list(submission.columns))
    for cell in sheet[sheet.max_row]:
        cell.font = Font(bold=True)
    for row in submission.rows:
        sheet.append([value for _, value in row.cells])
    if submission.with_sum:
        sheet.append([None] * len(submission.columns))
        sheet.append(["合计", len(submission.rows)])
    out = io.BytesIO()
    book.save(out)
    return _timeless(out.getvalue())


def _timeless(content: bytes) -> bytes:
    """Return the same archive with one date on every part."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "docProps/core.xml":
                body = _undated(body)
            part = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            part.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(part, body)
    return out.getvalue()


def _undated(core: bytes) -> bytes:
    """Replace the time of saving, which the library writes over the one that was set."""
    text = core.decode()
    start = text.index(">", text.index("<dcterms:modified")) + 1
    end = text.index("</dcterms:modified>")
    return (text[:start] + _MADE.strftime("%Y-%m-%dT%H:%M:%SZ") + text[end:]).encode()


def _child(child: Child) -> dict[str, Any]:
    migrant = child.migrant
    fields: dict[str, Any] = _plain(asdict(child))
    return fields | {
        "migrant_from": migrant[0].isoformat() if migrant else None,
        "migrant_until": migrant[1].isoformat() if migrant else None,
    }


def _plain(value: Any) -> Any:
    """JSON's own types; dates in ISO form, sets sorted."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(part) for part in value)
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value


__all__ = ["Cell", "workbook", "write"]
