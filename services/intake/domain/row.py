"""Reads one row: whom it identifies, its facts, and the problems with its cells.

:func:`services.intake.domain.fields.map_columns` makes a column mapping once for a dataset and a file's headers;
reading a row then costs one look-up and one reader call per cell.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from services.intake.domain import cells as cell_reader
from services.intake.domain import id_number
from services.intake.domain.divisions import Divisions
from services.intake.domain.problem import CellRejected, Problem
from services.intake.domain.text import MAX_RAW_LENGTH, Cell, compact, formula_problem, mask, mask_date

Value = bool | int | str
"""The value of a fact: a code, an ISO date, a whole number, true or false."""
CellReader = Callable[["RowBuilder", "MappedColumn", Cell], None]
"""Reads one cell of a column into a row.

Raises:
    CellRejected: the cell cannot be read.
"""
_ADULT_ID_FIELDS = ("guardian_id_number", "father_id_number", "mother_id_number")
_NAMES_ALLOWED_VALUES = frozenset({"word_unknown", "number_unreadable"})
"""Problem codes whose text lists the values that are allowed."""


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column of a file whose cells are read."""

    field: str
    header: str
    reader: "CellReader"
    may_hold_certificate: bool
    """True if the header names disability certificates, which contain an ID number."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How the rows of one file are read."""

    columns: tuple[MappedColumn, ...]
    headers: frozenset[str]
    document_kind_headers: tuple[str, ...]
    """Headers under which a row states the kind of document that its number belongs to."""
    unregistered: tuple[str, ...]
    """Headers that are not registered; their cells are not read."""
    forbidden: tuple[str, ...]
    """Headers with a forbidden word; the file is refused as a whole."""
    divisions: Divisions
    own_number: str | None
    """The field that holds the unit's own number of a row."""
    date_1904: bool
    """Bare serial dates count from 1904."""

    @property
    def can_identify_person(self) -> bool:
        """False if no row of this file could identify a person."""
        fields = {column.field for column in self.columns}
        return "id_number" in fields or {"name", "birth_date"} <= fields


class ReadRow(NamedTuple):
    """The content of a row as it was read."""

    key: tuple[str, str] | None
    """The row's natural key: ``number``, ``id`` or ``person``, and its value; None if the row has none."""
    identifies_person: bool
    """The row has an ID number, or a name and a birth date."""
    birth_date: date | None
    """From the ID number if there is one, so that all rows with that number share a partition; else as reported."""
    identity: Mapping[str, str]
    facts: Mapping[str, Value]
    flags: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_row(mapping: ColumnMapping, cells: Mapping[str, Cell], *, number: int | None, on: date) -> ReadRow:
    """Read one row as of the day ``on``.

    A cell that cannot be read is left out and listed among the problems; its content is never guessed.

    Args:
        mapping: the columns of the file.
        cells: header -> content.
        number: the row's number in its file, for its problems.
        on: dates after this day are rejected.
    """
    row = RowBuilder(mapping, cells, number, on)
    for column in mapping.columns:
        cell = cells.get(column.header)
        if cell is None or cell == "":
            continue
        try:
            _check_form(cell)
            column.reader(row, column, cell)
        except CellRejected as rejected:
            row.reject(column, cell, rejected.code)
    return row.build()


def _check_form(cell: str | float) -> None:
    """Reject what no column may hold.

    Raises:
        CellRejected: ``too_long``, ``formula_error``, ``formula_not_computed``, ``number_absurd``.
    """
    if isinstance(cell, str):
        if len(cell) > MAX_RAW_LENGTH:
            raise CellRejected("too_long")
        if cell[0] in "#=" and (code := formula_problem(cell)) is not None:
            raise CellRejected(code)
    elif not -1e21 < cell < 1e21:
        raise CellRejected("number_absurd")


def natural_key(mapping: ColumnMapping, cells: Mapping[str, Cell]) -> tuple[str, str] | None:
    """Predict the key that :func:`read_row` will give a row, from one cell; None if that takes reading the row.

    The prediction serves to look the row up, never to decide anything.
    """
    for column in mapping.columns:
        if column.field == mapping.own_number:
            cell = cells.get(column.header)
            if isinstance(cell, str) and cell:
                return None if column.may_hold_certificate else ("number", compact(cell).lstrip("'"))
    for column in mapping.columns:
        if column.field == "id_number":
            cell = cells.get(column.header)
            return ("id", cell) if isinstance(cell, str) and len(cell) == 18 else None
    return None


class RowBuilder:
    """Collects the cells of one row while it is read, then reconciles them with each other."""

    __slots__ = (
        "birth_column",
        "birth_date",
        "cells",
        "certificate",
        "facts",
        "flags",
        "id_column",
        "id_number",
        "identity",
        "mapping",
        "number",
        "on",
        "own_number",
        "problems",
        "stage_of_grade",
    )

    def __init__(self, mapping: ColumnMapping, cells: Mapping[str, Cell], number: int | None, on: date) -> None:
        self.mapping = mapping
        self.cells = cells
        self.number = number
        self.on = on
        self.identity: dict[str, str] = {}
        self.facts: dict[str, Value] = {}
        self.flags: list[str] = []
        self.problems: list[Problem] = []
        self.own_number: str | None = None
        self.certificate: tuple[id_number.DisabilityCertificate, MappedColumn] | None = None
        self.id_number: id_number.IdNumber | None = None
        self.id_column: MappedColumn | None = None
        self.birth_date: date | None = None
        self.birth_column: MappedColumn | None = None
        self.stage_of_grade: str | None = None

    def reject(self, column: MappedColumn, cell: Cell, code: str) -> None:
        """Record that a cell was not taken, and why."""
        excerpt = mask_date(cell) if code.startswith("date_") else mask(cell)
        parameters = cell_reader.allowed_values(column.field) if code in _NAMES_ALLOWED_VALUES else ()
        self.problems.append(Problem(code, "cell", self.number, column.header, excerpt, parameters))
        if column.field == "id_number":
            self.flag(code if code.startswith("id_") else "id_unreadable")

    def remark(self, column: MappedColumn, code: str) -> None:
        """Record a remark about a cell that was taken."""
        cell = self.cells.get(column.header)
        excerpt = mask_date(cell) if column.field == "birth_date" else mask(cell)
        self.problems.append(Problem(code, "nothing", self.number, column.header, excerpt))

    def flag(self, name: str) -> None:
        """Record a quality flag once."""
        if name not in self.flags:
            self.flags.append(name)

    def build(self) -> ReadRow:
        """Reconcile the cells and return the row."""
        self._reconcile_certificate()
        self._reconcile_id()
        self._reconcile_birth_date()
        self._reconcile_grade()
        if self.id_number is not None:
            self.facts.setdefault("sex", self.id_number.sex)
        elif not any(flag.startswith("id_") for flag in self.flags):
            self.flag("id_missing")
        birth_date = self.id_number.birth_date if self.id_number is not None else self.birth_date
        return ReadRow(
            self._key(),
            self.id_number is not None or ("name" in self.identity and self.birth_date is not None),
            birth_date,
            self.identity,
            self.facts,
            tuple(self.flags),
            tuple(self.problems),
        )

    def _key(self) -> tuple[str, str] | None:
        own = self.mapping.own_number
        number = self.own_number if own == "row_number" else self.identity.get(own) if own is not None else None
        if number is not None:
            return "number", number
        if self.id_number is not None:
            return "id", self.id_number.number
        name = self.identity.get("name")
        if name is not None and self.birth_date is not None:
            return "person", f"{name}|{self.birth_date.isoformat()}"
        return None

    def _reconcile_certificate(self) -> None:
        """Take ID number, kind and grade from a disability certificate where the row does not state them itself."""
        if self.certificate is None:
            return
        certificate, column = self.certificate
        self.facts.setdefault("disability", True)
        self.facts.setdefault("disability_certified", True)
        self.facts.setdefault("disability_kind", certificate.kind)
        self.facts.setdefault("disability_grade", certificate.grade)
        if self.id_number is None:
            self.id_number, self.id_column = certificate.holder, column
            self.identity["id_number"] = certificate.holder.number

    def _reconcile_id(self) -> None:
        """Reject an ID number that belongs to a parent."""
        id_number = self.id_number
        if id_number is None or self.id_column is None:
            return
        code = None
        if id_number.number in (self.identity.get(field) for field in _ADULT_ID_FIELDS):
            code = "id_is_guardians"
        elif (
            self.birth_date is not None
            and _age_in_years(id_number.birth_date, self.on) >= 18
            and _age_in_years(self.birth_date, self.on) < 18
        ):
            code = "id_of_adult"
        if code is not None:
            self.reject(self.id_column, self.cells.get(self.id_column.header), code)
            self.id_number = None
            del self.identity["id_number"]

    def _reconcile_birth_date(self) -> None:
        """Take a missing birth date from the ID number; flag one that contradicts it, and keep both.

        The number decides the partition; the reported date stays the department's claim. A number's check character
        makes a slip in it unlikely, but only the household register proves a birth date.
        """
        if self.id_number is None:
            return
        if self.birth_date is None:
            self.birth_date = self.id_number.birth_date
            self.identity["birth_date"] = self.birth_date.isoformat()
            self.facts["birth_date"] = self.birth_date.isoformat()
        elif self.birth_date != self.id_number.birth_date and self.birth_column is not None:
            self.flag("birth_date_conflict")
            self.remark(self.birth_column, "birth_date_conflict")

    def _reconcile_grade(self) -> None:
        """Count grades from primary school; ``一年级`` of a junior school is grade 7.

        Kindergartens and vocational schools have no grades.
        """
        grade, stage = self.facts.get("school_grade"), self.facts.get("school_stage")
        if stage is None:
            if self.stage_of_grade is not None:
                self.facts["school_stage"] = self.stage_of_grade
        elif isinstance(grade, int):
            if stage in ("kindergarten", "vocational"):
                del self.facts["school_grade"]
            elif stage in ("junior", "senior") and grade <= 3:
                self.facts["school_grade"] = grade + (6 if stage == "junior" else 9)


def _age_in_years(birth_date: date, on: date) -> int:
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))
