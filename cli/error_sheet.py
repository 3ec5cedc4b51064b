"""Writes the error sheet of a submission beside the file that was submitted."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contracts.intake import Problem
from deploy.files import NotOursError, write_private
from workbooks.error_sheet import error_sheet, is_unchanged_error_sheet
from workbooks.reader import Sheet


def write_error_sheet(path: Path, sheet: Sheet, problems: Iterable[Problem | Mapping[str, Any]]) -> Path:
    """Write the sender's own rows that have problems to a workbook that only its owner may read.

    An unchanged file that this function wrote before is replaced. Any other file of this name is left alone, and the
    workbook is written under the next free name (``name2.xlsx``).

    Returns:
        The path of the workbook.

    Raises:
        OSError: the workbook cannot be written.
    """
    content = error_sheet(sheet, problems)
    names = (f"{path.stem}{number}{path.suffix}" for number in itertools.count(2))
    places = itertools.chain([path], map(path.with_name, names))
    return next(place for place in places if _write_unless_taken(place, content))


def _write_unless_taken(place: Path, content: bytes) -> bool:
    """Write the content, and return false if another file has the name."""
    try:
        write_private(place, content, recognise=is_unchanged_error_sheet)
    except NotOursError:
        return False
    return True
