"""The table of fields: how the cells of each registered field are read into a row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from contracts.vocabulary import FACT_TYPES, FactName, IdentityField
from services.intake.domain import cells, dates, id_number
from services.intake.domain.divisions import Divisions
from services.intake.domain.problem import CellRejected
from services.intake.domain.row import CellReader, ColumnMapping, MappedColumn, RowBuilder, Value
from services.intake.domain.text import Cell, compact, number_text, read_text
from workbooks.headers import find_forbidden, fold

_NOT_READ = frozenset({"note", "ignored"})
"""Fields that may be registered, so that their columns are expected, but are not read: they hold free text."""
_MAY_BE_FUTURE = frozenset({"school_since", "residence_ended"})
"""Dates that a department may know beforehand."""


@dataclass(frozen=True, slots=True)
class RegisteredColumn:
    """A registered column: its field, and the headers under which it arrives, the usual one first."""

    field: str
    names: tuple[str, ...]


def map_columns(
    columns: Sequence[RegisteredColumn],
    headers: Iterable[str],
    *,
    forbidden: Iterable[str],
    divisions: Divisions,
    own_number: str | None = None,
    date_1904: bool = False,
) -> ColumnMapping:
    """Find each registered column among a file's headers.

    Args:
        columns: the dataset's registered columns.
        headers: the file's headers; a repeated header counts once.
        forbidden: words that forbid a header.
        divisions: reads the division columns.
        own_number: the field that holds the unit's own number of a row.
        date_1904: bare serial dates count from 1904.
    """
    distinct = tuple(dict.fromkeys(headers))
    by_name: dict[str, list[str]] = {}
    for header in distinct:
        by_name.setdefault(fold(header), []).append(header)
    mapped: list[MappedColumn] = []
    document_kinds: list[str] = []
    registered: set[str] = set()
    for column in columns:
        for name in dict.fromkeys(fold(name) for name in column.names):
            for header in by_name.get(name, ()):
                registered.add(header)
                if column.field == "id_paper_kind":
                    document_kinds.append(header)
                elif column.field not in _NOT_READ:
                    mapped.append(MappedColumn(column.field, header, FIELD_READERS[column.field], "残疾" in name))
    return ColumnMapping(
        tuple(mapped),
        frozenset(distinct),
        tuple(document_kinds),
        tuple(header for header in distinct if header not in registered and fold(header)),
        find_forbidden(distinct, forbidden),
        divisions,
        own_number,
        date_1904,
    )


def _read_own_number(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if row.own_number is not None:
        return
    if isinstance(cell, int | float) and abs(cell) >= 1e15:
        raise CellRejected("number_damaged")
    text = read_text(cell)
    if text is None:
        return
    if column.may_hold_certificate:
        _read_certificate(row, column, cell)
    row.own_number = compact(text).lstrip("'")


def _read_id(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if row.id_number is not None:
        return
    if column.may_hold_certificate:
        _read_certificate(row, column, cell)
        return
    document = id_number.read_id(cell, on=row.on, document_kind=_document_kind(row))
    if isinstance(document, id_number.OtherDocument):
        row.identity.setdefault("other_paper", document.number)
        row.flag("id_other_paper")
    elif document is not None:
        row.id_number = document
        row.id_column = column
        row.identity["id_number"] = document.number


def _read_certificate(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    certificate = id_number.read_certificate(cell, on=row.on)
    if isinstance(certificate, id_number.DisabilityCertificate):
        row.certificate = (certificate, column)


def _document_kind(row: RowBuilder) -> str | None:
    for header in row.mapping.document_kind_headers:
        cell = row.cells.get(header)
        if isinstance(cell, str) and cell:
            return compact(cell)
    return None


def _read_adult_id(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if column.field not in row.identity:
        number = id_number.read_adult_id(cell, on=row.on)
        if number is not None:
            row.identity[column.field] = number


def _read_birth_date(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if row.birth_date is not None:
        return
    day = dates.read_date(cell, on=row.on, date_1904=row.mapping.date_1904)
    if day is not None:
        row.birth_date = day
        row.birth_column = column
        row.identity["birth_date"] = day.isoformat()
        row.facts["birth_date"] = day.isoformat()


def _read_name(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if column.field not in row.identity:
        name = cells.read_name(cell)
        if name is not None:
            row.identity[column.field] = name


def _read_phone(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if column.field in row.identity:
        return
    phone = cells.read_phone(cell)
    if phone is not None:
        row.identity[column.field] = phone[0]
        if phone[1]:
            row.remark(column, "phone_two")


def _read_plain_text(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    if column.field not in row.identity:
        text = read_text(cell)
        if text is not None:
            row.identity[column.field] = text


def _read_sex(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    sex = cells.read_sex(cell)
    if sex is not None and "sex" not in row.facts:
        row.identity["sex"] = str(sex)
        row.facts["sex"] = sex


def _read_household_size(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    size = cells.read_whole_number(cell, *cells.WHOLE_NUMBER_BOUNDS["household_size"])
    if size is not None:
        row.identity.setdefault("household_size", str(size))


def _read_date(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    day = dates.read_date(cell, on=row.on, future=column.field in _MAY_BE_FUTURE, date_1904=row.mapping.date_1904)
    if day is None:
        return
    stated = row.facts.get(column.field)
    # The earliest of several dates for the beginning of residence counts.
    if stated is None or (column.field == "residence_since" and day.isoformat() < str(stated)):
        row.facts[column.field] = day.isoformat()


def _fact_reader(reader: Callable[[RowBuilder, MappedColumn, Cell], Value | None]) -> CellReader:
    def read_once(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
        if column.field not in row.facts:
            value = reader(row, column, cell)
            if value is not None:
                row.facts[column.field] = value

    return read_once


def _code_reader(fact: FactName) -> CellReader:
    return _fact_reader(lambda row, column, cell: cells.read_code(cell, fact))


def _yes_no_reader(fact: FactName) -> CellReader:
    return _fact_reader(lambda row, column, cell: cells.read_yes_no(cell, fact))


def _read_grade(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    read = cells.read_grade(cell)
    if read is not None and "school_grade" not in row.facts:
        grade, stage = read
        if grade is not None:
            row.facts["school_grade"] = grade
        if stage is not None:
            row.stage_of_grade = stage


_FLAGS = {"left_behind_flag": "says_left_behind", "migrant_flag": "says_migrant"}
_FLAG_SET = frozenset({"2", "流动", "外来", "外地", "非本地", "随迁"})
"""The school system writes 2 for its second kind of left-behind child; the words appear in columns such as 居住类型."""
_FLAG_NOT_SET = frozenset({"本地", "常住", "本地常住", "非随迁", "非留守"})


def _read_flag(row: RowBuilder, column: MappedColumn, cell: Cell) -> None:
    """Read a department's own flag. Its definition is the department's, so it becomes a flag and never a fact."""
    text = compact(cell) if isinstance(cell, str) else number_text(cell or 0)
    if text in _FLAG_SET or (text not in _FLAG_NOT_SET and cells.read_yes_no(text)):
        row.flag(_FLAGS[column.field])


FIELD_READERS: dict[str, CellReader] = {
    "row_number": _read_own_number,
    "left_behind_flag": _read_flag,
    "migrant_flag": _read_flag,
    IdentityField.NAME: _read_name,
    IdentityField.GUARDIAN_NAME: _read_name,
    IdentityField.FATHER_NAME: _read_name,
    IdentityField.MOTHER_NAME: _read_name,
    IdentityField.REPORTER: _read_plain_text,
    IdentityField.ID_NUMBER: _read_id,
    IdentityField.GUARDIAN_ID_NUMBER: _read_adult_id,
    IdentityField.FATHER_ID_NUMBER: _read_adult_id,
    IdentityField.MOTHER_ID_NUMBER: _read_adult_id,
    IdentityField.OTHER_PAPER: _read_plain_text,
    IdentityField.BIRTH_DATE: _read_birth_date,
    IdentityField.SEX: _read_sex,
    IdentityField.PHONE: _read_phone,
    IdentityField.GUARDIAN_PHONE: _read_phone,
    IdentityField.FATHER_PHONE: _read_phone,
    IdentityField.MOTHER_PHONE: _read_phone,
    IdentityField.ADDRESS: _read_plain_text,
    IdentityField.HUKOU_ADDRESS: _read_plain_text,
    IdentityField.SCHOOL: _read_plain_text,
    IdentityField.NARRATIVE: _read_plain_text,
    IdentityField.HOUSEHOLD_SIZE: _read_household_size,
    FactName.HUKOU_DIVISION: _fact_reader(lambda row, column, cell: row.mapping.divisions.read_hukou(cell)),
    FactName.RESIDENCE_DIVISION: _fact_reader(lambda row, column, cell: row.mapping.divisions.read_residence(cell)),
    FactName.INSURED_DIVISION: _fact_reader(lambda row, column, cell: row.mapping.divisions.read_county(cell)),
    FactName.SCHOOL_GRADE: _read_grade,
    FactName.SCHOOL_COUNT: _fact_reader(
        lambda row, column, cell: cells.read_whole_number(cell, *cells.WHOLE_NUMBER_BOUNDS["school_count"])
    ),
    FactName.INSURED_YEAR: _fact_reader(
        lambda row, column, cell: cells.read_whole_number(cell, *cells.WHOLE_NUMBER_BOUNDS["insured_year"])
    ),
    FactName.DISABILITY_KIND: _fact_reader(lambda row, column, cell: cells.read_disability_kind(cell)),
    FactName.DISABILITY_GRADE: _fact_reader(lambda row, column, cell: cells.read_disability_grade(cell)),
    **{fact: _read_date for fact, kind in FACT_TYPES.items() if kind == "date" and fact is not FactName.BIRTH_DATE},
    **{fact: _code_reader(fact) for fact in cells.CODED_FACTS},
}
FIELD_READERS.update({fact: _yes_no_reader(fact) for fact in FactName if fact not in FIELD_READERS})
