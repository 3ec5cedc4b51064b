"""Reads a row: what it says about whom, what in it could not be read, and why.

A plan is made once for a dataset and a file's headers; a row then costs one look-up and one reading for each cell.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from contracts.vocabulary import NUMBER_BOUNDS, FactName, IdentityField
from services.intake.domain import cells, dates, id_number
from services.intake.domain.divisions import Divisions
from services.intake.domain.problem import CellRejected, Problem
from services.intake.domain.text import (
    MAX_RAW_LENGTH,
    Cell,
    compact,
    formula_problem,
    mask,
    mask_date,
    number_text,
    read_text,
)
from workbooks.headers import find_sealed, fold

Value = bool | int | str
"""Of a fact: a code, an ISO date, a whole number, true or false."""


@dataclass(frozen=True, slots=True)
class RegisteredColumn:
    """One registered column: what it holds, and the headers under which it arrives, the usual one first."""

    field: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column of a file that is read."""

    field: str
    header: str
    reader: "Reader"
    may_hold_certificate: bool
    """The header says that it holds disability certificates."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How the rows of one file are read."""

    columns: tuple[MappedColumn, ...]
    headers: frozenset[str]
    document_kind_headers: tuple[str, ...]
    """Headers under which the row says what kind of paper its number is of."""
    unregistered: tuple[str, ...]
    """Headers that nobody registered; they are not read."""
    sealed: tuple[str, ...]
    """Headers that refuse the file whole."""
    divisions: Divisions
    own_number: str | None
    """The field that is the unit's own number of a row."""
    date_1904: bool

    @property
    def can_identify_person(self) -> bool:
        """False when no row of this file could say whom it is about."""
        fields = {source.field for source in self.columns}
        return "id_number" in fields or {"name", "birth_date"} <= fields


class ReadRow(NamedTuple):
    """What a row says."""

    key: tuple[str, str] | None
    """What makes it the same row for ever: ``number``, ``id`` or ``person``, and its content. None: nothing does."""
    identifies_person: bool
    birth_date: date | None
    """Of the ID number, where there is one: all rows with that number must meet. Else as reported."""
    identity: Mapping[str, str]
    facts: Mapping[str, Value]
    flags: tuple[str, ...]
    problems: tuple[Problem, ...]


def map_columns(
    columns: Sequence[RegisteredColumn],
    headers: Iterable[str],
    *,
    sealed: Iterable[str],
    divisions: Divisions,
    own_number: str | None = None,
    date_1904: bool = False,
) -> ColumnMapping:
    """Find each registered column among a file's headers."""
    standing = tuple(dict.fromkeys(headers))
    by_name: dict[str, list[str]] = {}
    for header in standing:
        by_name.setdefault(fold(header), []).append(header)
    sources: list[MappedColumn] = []
    papers: list[str] = []
    known: set[str] = set()
    for column in columns:
        for name in dict.fromkeys(fold(name) for name in column.names):
            for header in by_name.get(name, ()):
                known.add(header)
                if column.field == "id_paper_kind":
                    papers.append(header)
                elif column.field not in _NOT_READ:
                    sources.append(MappedColumn(column.field, header, _READERS[column.field], "残疾" in name))
    return ColumnMapping(
        tuple(sources),
        frozenset(standing),
        tuple(papers),
        tuple(header for header in standing if header not in known and fold(header)),
        find_sealed(standing, sealed),
        divisions,
        own_number,
        date_1904,
    )


def read_row(plan: ColumnMapping, content: Mapping[str, Cell], *, number: int | None, on: date) -> ReadRow:
    """Read one row as it stands on a day. A cell that cannot be read is dropped and listed; never guessed."""
    reading = _Reading(plan, content, number, on)
    find = content.get
    for source in plan.columns:
        cell = find(source.header)
        if cell is None or cell == "":
            continue
        try:
            if isinstance(cell, str):
                if len(cell) > MAX_RAW_LENGTH:
                    raise CellRejected("too_long")
                if cell[0] in "#=" and (code := formula_problem(cell)) is not None:
                    raise CellRejected(code)
            elif not -1e21 < cell < 1e21:
                raise CellRejected("number_absurd")
            source.reader(reading, source, cell)
        except CellRejected as refused:
            reading.drop(source, cell, refused.code)
    return reading.finished()


def natural_key(plan: ColumnMapping, content: Mapping[str, Cell]) -> tuple[str, str] | None:
    """What :func:`read` will most likely say makes the row the same, from one cell. For looking up, not for deciding.

    None: it takes reading to tell.
    """
    for source in plan.columns:
        if source.field == plan.own_number:
            cell = content.get(source.header)
            if isinstance(cell, str) and cell:
                return None if source.may_hold_certificate else ("number", compact(cell).lstrip("'"))
    for source in plan.columns:
        if source.field == "id_number":
            cell = content.get(source.header)
            return ("id", cell) if isinstance(cell, str) and len(cell) == 18 else None
    return None


class _Reading:
    """A row while it is read."""

    __slots__ = (
        "birth_date",
        "birth_source",
        "certificate",
        "content",
        "facts",
        "flags",
        "id_number",
        "id_source",
        "identity",
        "map_columns",
        "number",
        "on",
        "own_number",
        "stage_of_grade",
        "troubles",
    )

    def __init__(self, plan: ColumnMapping, content: Mapping[str, Cell], number: int | None, on: date) -> None:
        self.plan = plan
        self.content = content
        self.number = number
        self.on = on
        self.identity: dict[str, str] = {}
        self.facts: dict[str, Value] = {}
        self.flags: list[str] = []
        self.troubles: list[Problem] = []
        self.own_number: str | None = None
        self.certificate: tuple[id_number.Certificate, MappedColumn] | None = None
        self.id_number: id_number.IdNumber | None = None
        self.id_source: MappedColumn | None = None
        self.birth_date: date | None = None
        self.birth_source: MappedColumn | None = None
        self.stage_of_grade: str | None = None

    def drop(self, source: MappedColumn, cell: Cell, code: str) -> None:
        shown = mask_date(cell) if code.startswith("date_") else mask(cell)
        self.troubles.append(
            Problem(code, "cell", self.number, source.header, shown, _hints(source.field) if code in _HINTED else ())
        )
        if source.field == "id_number":
            self.flag(code if code.startswith("id_") else "id_unreadable")

    def remark(self, source: MappedColumn, code: str) -> None:
        cell = self.content.get(source.header)
        shown = mask_date(cell) if source.field == "birth_date" else mask(cell)
        self.troubles.append(Problem(code, "nothing", self.number, source.header, shown))

    def flag(self, name: str) -> None:
        if name not in self.flags:
            self.flags.append(name)

    def finished(self) -> ReadRow:
        self._settle_certificate()
        self._settle_id()
        self._settle_birth_date()
        self._settle_grade()
        if self.id_number is not None:
            self.facts.setdefault("sex", self.id_number.sex)
        elif not any(flag.startswith("id_") for flag in self.flags):
            self.flag("id_missing")
        name = self.identity.get("name")
        born = self.id_number.birth_date if self.id_number is not None else self.birth_date
        key: tuple[str, str] | None = None
        own = self.plan.own_number
        number = self.own_number if own == "row_number" else self.identity.get(own) if own is not None else None
        if number is not None:
            key = ("number", number)
        elif self.id_number is not None:
            key = ("id", self.id_number.number)
        elif name is not None and self.birth_date is not None:
            key = ("person", f"{name}|{self.birth_date.isoformat()}")
        return ReadRow(
            key,
            self.id_number is not None or (name is not None and self.birth_date is not None),
            born,
            self.identity,
            self.facts,
            tuple(self.flags),
            tuple(self.troubles),
        )

    def _settle_certificate(self) -> None:
        """A disability certificate's first 18 characters are the holder's number, the last two kind and grade."""
        if self.certificate is None:
            return
        held, source = self.certificate
        self.facts.setdefault("disability", True)
        self.facts.setdefault("disability_certified", True)
        self.facts.setdefault("disability_kind", held.kind)
        self.facts.setdefault("disability_grade", held.grade)
        if self.id_number is None:
            self.id_number, self.id_source = held.holder, source
            self.identity["id_number"] = held.holder.number

    def _settle_id(self) -> None:
        """A number that is a parent's is no number of the child's."""
        found = self.id_number
        if found is None or self.id_source is None:
            return
        code = None
        if found.number in (self.identity.get(field) for field in _ADULTS):
            code = "id_is_guardians"
        elif (
            self.birth_date is not None
            and _years(found.birth_date, self.on) >= 18
            and _years(self.birth_date, self.on) < 18
        ):
            code = "id_of_adult"
        if code is not None:
            self.drop(self.id_source, self.content.get(self.id_source.header), code)
            self.id_number = None
            del self.identity["id_number"]

    def _settle_birth_date(self) -> None:
        """The number decides where rows meet; the reported date stays the department's claim, and both are told.

        A number's check character makes a slip in it unlikely, but only the household register says when somebody
        was born, and which of the two is wrong cannot be seen here.
        """
        if self.id_number is None:
            return
        if self.birth_date is None:
            self.birth_date = self.id_number.birth_date
            self.identity["birth_date"] = self.birth_date.isoformat()
            self.facts["birth_date"] = self.birth_date.isoformat()
        elif self.birth_date != self.id_number.birth_date and self.birth_source is not None:
            self.flag("birth_date_conflict")
            self.remark(self.birth_source, "birth_date_conflict")

    def _settle_grade(self) -> None:
        """``一年级`` of a junior school is grade 7; kindergartens and vocational schools have no grades."""
        grade, stage = self.facts.get("school_grade"), self.facts.get("school_stage")
        if stage is None:
            if self.stage_of_grade is not None:
                self.facts["school_stage"] = self.stage_of_grade
        elif isinstance(grade, int):
            if stage in ("kindergarten", "vocational"):
                del self.facts["school_grade"]
            elif stage in ("junior", "senior") and grade <= 3:
                self.facts["school_grade"] = grade + (6 if stage == "junior" else 9)


def _years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


_ADULTS = ("guardian_id_number", "father_id_number", "mother_id_number")
_NOT_READ = frozenset({"note", "ignored"})
"""Registered so that they are expected, but not read: free text has no place here."""
_HINTED = frozenset({"word_unknown", "number_unreadable"})
_BOUNDS = {
    "insured_year": NUMBER_BOUNDS[FactName.INSURED_YEAR],
    "school_count": NUMBER_BOUNDS[FactName.SCHOOL_COUNT],
    "household_size": (1, 30),
}
_FUTURE = frozenset({"school_since", "residence_ended"})
"""Dates that a department may know beforehand."""

Reader = Callable[[_Reading, MappedColumn, Cell], None]


def _hints(field: str) -> tuple[tuple[str, str], ...]:
    if field in _BOUNDS:
        low, high = _BOUNDS[field]
        return ("low", str(low)), ("high", str(high))
    if field == "school_grade":
        return (("allowed", "一年级至九年级、高一至高三、小班、中班、大班"),)
    if field == "disability_kind":
        return (("allowed", "视力、听力、言语、肢体、智力、精神、多重"),)
    if field == "disability_grade":
        return (("allowed", "一级、二级、三级、四级"),)
    return (("allowed", cells.labels_of(FactName(field))),)


def _read_own_number(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if reading.own_number is not None:
        return
    if isinstance(cell, int | float) and abs(cell) >= 1e15:
        raise CellRejected("number_damaged")
    text = read_text(cell)
    if text is None:
        return
    if source.may_hold_certificate:
        _read_certificate(reading, source, cell)
    reading.own_number = compact(text).lstrip("'")


def _read_id(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if reading.id_number is not None:
        return
    if source.may_hold_certificate:
        _read_certificate(reading, source, cell)
        return
    found = id_number.read_id(cell, on=reading.on, document_kind=_paper(reading))
    if isinstance(found, id_number.OtherDocument):
        reading.identity.setdefault("other_paper", found.number)
        reading.flag("id_other_paper")
    elif found is not None:
        reading.id_number = found
        reading.id_source = source
        reading.identity["id_number"] = found.number


def _read_certificate(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    held = id_number.read_certificate(cell, on=reading.on)
    if isinstance(held, id_number.DisabilityCertificate):
        reading.certificate = (held, source)


def _paper(reading: _Reading) -> str | None:
    for header in reading.plan.document_kind_headers:
        cell = reading.content.get(header)
        if isinstance(cell, str) and cell:
            return compact(cell)
    return None


def _read_adults_id(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if source.field not in reading.identity:
        number = id_number.read_adult_id(cell, on=reading.on)
        if number is not None:
            reading.identity[source.field] = number


def _read_birth_date(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if reading.birth_date is not None:
        return
    day = dates.read_date(cell, on=reading.on, date_1904=reading.plan.date_1904)
    if day is not None:
        reading.birth_date = day
        reading.birth_source = source
        reading.identity["birth_date"] = day.isoformat()
        reading.facts["birth_date"] = day.isoformat()


def _read_name(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if source.field not in reading.identity:
        name = cells.read_name(cell)
        if name is not None:
            reading.identity[source.field] = name


def _read_phone(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if source.field in reading.identity:
        return
    found = cells.read_phone(cell)
    if found is not None:
        reading.identity[source.field] = found[0]
        if found[1]:
            reading.remark(source, "phone_two")


def _read_words(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    if source.field not in reading.identity:
        text = read_text(cell)
        if text is not None:
            reading.identity[source.field] = text


def _read_sex(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    sex = cells.read_sex(cell)
    if sex is not None and "sex" not in reading.facts:
        reading.identity["sex"] = str(sex)
        reading.facts["sex"] = sex


def _read_household_size(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    size = cells.read_whole_number(cell, *_BOUNDS["household_size"])
    if size is not None:
        reading.identity.setdefault("household_size", str(size))


def _read_day(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    day = dates.read_date(cell, on=reading.on, future=source.field in _FUTURE, date_1904=reading.plan.date_1904)
    if day is None:
        return
    known = reading.facts.get(source.field)
    # Of several dates that a row gives for the beginning of residence the earliest counts.
    if known is None or (source.field == "residence_since" and day.isoformat() < str(known)):
        reading.facts[source.field] = day.isoformat()


def _read_fact(reader: Callable[[_Reading, MappedColumn, Cell], Value | None]) -> Reader:
    def read_once(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
        if source.field not in reading.facts:
            value = reader(reading, source, cell)
            if value is not None:
                reading.facts[source.field] = value

    return read_once


def _code_of(fact: FactName) -> Reader:
    return _read_fact(lambda reading, source, cell: cells.read_code(cell, fact))


def _yes_no_of(fact: FactName) -> Reader:
    return _read_fact(lambda reading, source, cell: cells.read_yes_no(cell, fact))


def _read_grade(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    found = cells.read_grade(cell)
    if found is not None and "school_grade" not in reading.facts:
        grade, stage = found
        if grade is not None:
            reading.facts["school_grade"] = grade
        if stage is not None:
            reading.stage_of_grade = stage


_FLAGS = {"left_behind_flag": "says_left_behind", "migrant_flag": "says_migrant"}
_FLAGGED = frozenset({"2", "流动", "外来", "外地", "非本地", "随迁"})
"""2: the school system's second kind of left-behind child. The others stand in columns such as 居住类型."""
_NOT_FLAGGED = frozenset({"本地", "常住", "本地常住", "非随迁", "非留守"})


def _read_flag(reading: _Reading, source: MappedColumn, cell: Cell) -> None:
    """A department's flag is evidence under its own definition: it travels as a flag, never as a fact."""
    text = compact(cell) if isinstance(cell, str) else number_text(cell or 0)
    if text in _FLAGGED or (text not in _NOT_FLAGGED and cells.read_yes_no(text)):
        reading.flag(_FLAGS[source.field])


_READERS: dict[str, Reader] = {
    "row_number": _read_own_number,
    "left_behind_flag": _read_flag,
    "migrant_flag": _read_flag,
    IdentityField.NAME: _read_name,
    IdentityField.GUARDIAN_NAME: _read_name,
    IdentityField.FATHER_NAME: _read_name,
    IdentityField.MOTHER_NAME: _read_name,
    IdentityField.REPORTER: _read_words,
    IdentityField.ID_NUMBER: _read_id,
    IdentityField.GUARDIAN_ID_NUMBER: _read_adults_id,
    IdentityField.FATHER_ID_NUMBER: _read_adults_id,
    IdentityField.MOTHER_ID_NUMBER: _read_adults_id,
    IdentityField.OTHER_PAPER: _read_words,
    IdentityField.BIRTH_DATE: _read_birth_date,
    IdentityField.SEX: _read_sex,
    IdentityField.PHONE: _read_phone,
    IdentityField.GUARDIAN_PHONE: _read_phone,
    IdentityField.FATHER_PHONE: _read_phone,
    IdentityField.MOTHER_PHONE: _read_phone,
    IdentityField.ADDRESS: _read_words,
    IdentityField.HUKOU_ADDRESS: _read_words,
    IdentityField.SCHOOL: _read_words,
    IdentityField.NARRATIVE: _read_words,
    IdentityField.HOUSEHOLD_SIZE: _read_household_size,
    FactName.HUKOU_DIVISION: _read_fact(lambda reading, source, cell: reading.plan.divisions.read_hukou(cell)),
    FactName.RESIDENCE_DIVISION: _read_fact(lambda reading, source, cell: reading.plan.divisions.read_residence(cell)),
    FactName.INSURED_DIVISION: _read_fact(lambda reading, source, cell: reading.plan.divisions.read_county(cell)),
    FactName.SCHOOL_GRADE: _read_grade,
    FactName.SCHOOL_COUNT: _read_fact(
        lambda reading, source, cell: cells.read_whole_number(cell, *_BOUNDS["school_count"])
    ),
    FactName.INSURED_YEAR: _read_fact(
        lambda reading, source, cell: cells.read_whole_number(cell, *_BOUNDS["insured_year"])
    ),
    FactName.DISABILITY_KIND: _read_fact(lambda reading, source, cell: cells.read_disability_kind(cell)),
    FactName.DISABILITY_GRADE: _read_fact(lambda reading, source, cell: cells.read_disability_grade(cell)),
    **dict.fromkeys(
        (
            FactName.RESIDENCE_SINCE,
            FactName.RESIDENCE_ENDED,
            FactName.AWAY_SINCE,
            FactName.RESIDENCE_PERMIT_SIGNED,
            FactName.SCHOOL_SINCE,
            FactName.HEALTH_LAST_CHECK,
            FactName.DECEASED,
        ),
        _read_day,
    ),
    **{fact: _code_of(fact) for fact in cells.CODED_FACTS},
}
_READERS.update({fact: _yes_no_of(fact) for fact in FactName if fact not in _READERS})
