"""The submissions of six departments and eight townships, derived from the ground truth, with defects of real files.

Headers are the county's own synonyms. ``DEFECT_RATES`` gives the frequency of each defect of policy part 5.3; the
ground truth records the defect of each row.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid5

from contracts.county import County
from demo.data.datasets import DATASET_FACTS, DATASET_FIELDS, Cell
from demo.data.identities import HOMOPHONES, with_check
from demo.data.population import NAMESPACE, SERVICE_GAPS, Child, Population

DEFECT_RATES: dict[str, float] = {
    # Irreparable or implausible: the receipt reports the cell.
    "id_as_number": 0.01,  # through a spreadsheet as a number: the last three digits are gone
    "id_masked": 0.006,
    "id_mistyped": 0.006,
    "date_impossible": 0.006,
    "names_nobody": 0.004,
    # Repairable by the reader.
    "id_look_alike": 0.03,  # full-width digits, spaces, an apostrophe, x for X
    "name_spaced": 0.02,
    "date_other_form": 0.05,
    # The row is accepted with less or different information.
    "id_missing": 0.02,
    "id_of_mother": 0.004,
    "name_homophone": 0.01,
    "birth_other": 0.003,  # another day than the number says
    "row_twice": 0.008,  # two schools, two clinic cards
}
"""Share of rows with each defect. A row has at most one."""

WITHOUT_NUMBER = {"vaccination": 0.25, "village": 0.12}
"""Share of rows without an ID number, for the datasets where that is common."""

WORKBOOK_DATASETS = ("school", "insurance", "relief", "disability")
FILE_DATASETS = ("hukou", "residence", "vaccination", "health")
"""Sent as whole files by plain Kafka clients. Half of the townships send workbooks, half single rows."""

CONDUCT_COLUMN = "有无前科"
"""A column no file may have: the whole file is refused by name."""


@dataclass(frozen=True, slots=True)
class SubmittedRow:
    number: int
    """Row number in the file; the header is row 1."""
    ce_id: UUID
    child: str | None
    """Key of the child, or None for a row without name and number."""
    cells: tuple[tuple[str, Cell], ...]
    defect: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One file, or one unit's single rows."""

    submission: UUID
    unit: str
    dataset: str
    period: str
    day: date
    channel: str
    """``workbook``, ``file`` (Begin, rows, End as events) or ``rows`` (single rows)."""
    columns: tuple[str, ...]
    rows: tuple[SubmittedRow, ...]
    title: str | None
    """A title above the header, as clerks write it (workbooks)."""
    with_sum: bool
    """A last row with 合计 (workbooks)."""
    expect: str
    """``taken``, ``refused`` (whole) or ``same_again``."""


def generate(county: County, population: Population) -> tuple[Submission, ...]:
    """Generate all submissions in order; the same population gives the same submissions."""
    rng = random.Random(f"{population.seed}/handover/{len(population.children)}")
    period = f"{population.first_day.year}H{1 if population.first_day.month <= 6 else 2}"
    submissions: list[Submission] = []
    departments = [*FILE_DATASETS, *WORKBOOK_DATASETS]
    span = max(3, min(24, population.days // 4))
    for place, dataset in enumerate(departments):
        unit = next(entry.unit for entry in county.datasets if entry.id == dataset)
        day = population.first_day + timedelta(days=1 + place * (span - 1) // len(departments))
        way = "file" if dataset in FILE_DATASETS else "workbook"
        submissions.append(_submission(county, population, rng, unit, dataset, period, day, way))
    townships = [township for township in county.townships if township.code[6:] != "401"]
    for place, township in enumerate(townships):
        day = population.first_day + timedelta(days=1 + place * (span - 1) // len(townships))
        way = "workbook" if place % 2 else "rows"
        submissions.append(
            _submission(county, population, rng, township.unit, "village", period, day, way, township=township.code)
        )
    submissions += _mishaps(submissions)
    return tuple(
        sorted(
            submissions, key=lambda submission: (submission.day, submission.unit, submission.dataset, submission.expect)
        )
    )


def _mishaps(files: Sequence[Submission]) -> Iterator[Submission]:
    """Yield a file with a forbidden column, which is refused, and a file that is sent a second time."""
    books = [file for file in files if file.channel == "workbook"]
    village = next(file for file in books if file.dataset == "village")
    yield Submission(
        uuid5(NAMESPACE, f"{village.submission}/conduct"),
        village.unit,
        village.dataset,
        village.period,
        village.day - timedelta(days=1),
        "workbook",
        (*village.columns, CONDUCT_COLUMN),
        tuple(
            SubmittedRow(
                row.number,
                uuid5(NAMESPACE, f"{row.ce_id}/conduct"),
                None,
                (*row.cells, (CONDUCT_COLUMN, "无")),
            )
            for row in village.rows
        ),
        village.title,
        village.with_sum,
        "refused",
    )
    school = next(file for file in books if file.dataset == "school")
    yield Submission(
        uuid5(NAMESPACE, f"{school.submission}/again"),
        school.unit,
        school.dataset,
        school.period,
        school.day + timedelta(days=1),
        "workbook",
        school.columns,
        school.rows,
        school.title,
        school.with_sum,
        "same_again",
    )


def _submission(
    county: County,
    population: Population,
    rng: random.Random,
    unit: str,
    dataset: str,
    period: str,
    day: date,
    channel: str,
    *,
    township: str | None = None,
) -> Submission:
    submission = uuid5(NAMESPACE, f"{population.seed}/{unit}/{dataset}/{period}")
    headers = _headers(county, dataset, rng)
    writes = _CellStyle(rng, channel)
    rows: list[SubmittedRow] = []
    counter = 1
    for child in population.children:
        if township is not None and child.township != township:
            continue
        facts = DATASET_FACTS[dataset](child, population, day)
        if facts is None:
            continue
        defect = _choose_defect(rng, dataset, channel, child)
        cells = _cells(facts, headers, writes, defect, child, rng, dataset)
        for _ in range(2 if defect == "row_twice" else 1):
            counter += 1
            row = dict(cells)
            if defect == "row_twice" and rows and rows[-1].child == child.key:
                row = _other_card(row, headers, dataset)
            rows.append(
                SubmittedRow(
                    counter,
                    uuid5(submission, f"row/{counter}"),
                    None if defect == "names_nobody" else child.key,
                    tuple((header, row.get(header)) for header in headers.values()),
                    defect,
                )
            )
    title = f"{period[:4]}年{'上' if period.endswith('1') else '下'}半年情况表（演示，全部虚构）"
    return Submission(
        submission,
        unit,
        dataset,
        period,
        day,
        channel,
        tuple(headers.values()),
        tuple(rows),
        title if channel == "workbook" and rng.random() < 0.5 else None,
        channel == "workbook" and rng.random() < 0.5,
        "taken",
    )


def _headers(county: County, dataset: str, rng: random.Random) -> dict[str, str]:
    """Return the header that this unit uses for each field, mostly the usual one."""
    definition = county.dataset(dataset)
    assert definition is not None, f"the county has no dataset {dataset}"
    headers: dict[str, str] = {}
    for column in definition.columns:
        if column.field in DATASET_FIELDS[dataset]:
            name = column.names[0] if rng.random() < 0.7 else rng.choice(column.names)
            if name not in headers.values():
                headers[column.field] = name
    return headers


# ---------------------------------------------------------------- cells


class _CellStyle:
    """How one unit writes dates and sexes."""

    def __init__(self, rng: random.Random, way: str) -> None:
        forms: list[Callable[[date], Cell]] = [
            lambda day: f"{day:%Y%m%d}",
            lambda day: f"{day:%Y-%m-%d}",
            lambda day: f"{day.year}/{day.month}/{day.day}",
            lambda day: f"{day.year}年{day.month}月{day.day}日",
            lambda day: f"{day.year}.{day.month}.{day.day}",
        ]
        if way == "workbook":
            forms.append(lambda day: day)
        self._forms = forms
        self._usual = rng.randrange(len(forms))
        sexes: tuple[dict[Cell, Cell], ...] = ({"男": "男", "女": "女"}, {"男": 1, "女": 2})
        self._sexes = rng.choice(sexes)

    def write(self, field: str, value: Cell, *, otherwise: bool = False) -> Cell:
        if isinstance(value, date) and not isinstance(value, datetime):
            return self._forms[(self._usual + (1 if otherwise else 0)) % len(self._forms)](value)
        if field == "sex":
            return self._sexes[value]
        return value


def _choose_defect(rng: random.Random, dataset: str, way: str, child: Child) -> str | None:
    without, roll = rng.random() < WITHOUT_NUMBER.get(dataset, 0), rng.random()
    if child.states & SERVICE_GAPS.keys():
        return None  # what was planted must be read, or nobody could find it
    if without and child.id_number is not None:
        return "id_missing"
    for defect, rate in DEFECT_RATES.items():
        roll -= rate
        if roll < 0:
            return defect if _fits(defect, dataset, way, child) else None
    return None


def _fits(defect: str, dataset: str, way: str, child: Child) -> bool:
    if child.id_number is None and defect.startswith("id_"):
        return False
    if defect == "id_as_number":
        return way == "workbook"
    if defect == "id_missing":
        return dataset != "insurance"  # nobody is insured without a number
    if defect == "row_twice":
        return dataset in ("school", "vaccination")
    if defect == "name_homophone":
        return any(character in HOMOPHONES for character in child.name[1:])
    return True


def _cells(
    facts: dict[str, Cell],
    headers: dict[str, str],
    style: _CellStyle,
    defect: str | None,
    child: Child,
    rng: random.Random,
    dataset: str,
) -> dict[str, Cell]:
    facts = dict(facts)
    number = child.id_number
    otherwise = defect == "date_other_form"
    match defect:
        case "id_as_number":
            assert number is not None
            facts["id_number"] = float(int(number[:15])) * 1000
        case "id_masked":
            assert number is not None
            facts["id_number"] = f"{number[:6]}********{number[14:]}"
        case "id_mistyped":
            assert number is not None
            facts["id_number"] = number[:16] + str((int(number[16]) + 1) % 10) + number[17]
        case "id_look_alike":
            assert number is not None
            facts["id_number"] = _look_alike(number, rng)
        case "id_missing":
            facts["id_number"] = None
            if dataset in ("school", "disability"):
                facts["row_number"] = f"L341722{child.key[1:]:0>12}" if dataset == "school" else None
        case "id_of_mother":
            facts["id_number"] = child.family.mother.id_number
        case "name_homophone":
            facts["name"] = child.name[0] + "".join(HOMOPHONES.get(c, c) for c in child.name[1:])
        case "name_spaced":
            facts["name"] = f"{child.name[0]}　{child.name[1:]}"
        case "date_impossible":
            facts["birth_date"] = rng.choice(("0000-00-00", f"{child.born.year}-02-30"))
        case "birth_other":
            facts["birth_date"] = child.born + timedelta(days=1)
        case "names_nobody":
            for field in ("name", "id_number", "row_number", "other_paper"):
                facts[field] = None
        case _:
            pass
    return {
        header: style.write(field, facts.get(field), otherwise=otherwise)
        for field, header in headers.items()
        if facts.get(field) is not None
    }


def _look_alike(number: str, rng: random.Random) -> str:
    return rng.choice(
        (
            number.translate(str.maketrans("0123456789", "０１２３４５６７８９")),
            f"{number[:6]} {number[6:14]} {number[14:]}",
            f"'{number}",
            number.replace("X", "x"),
        )
    )


def _other_card(cells: dict[str, Cell], headers: dict[str, str], dataset: str) -> dict[str, Cell]:
    """Return the row with a second school, or a second clinic card, of the same child."""
    number = headers.get("row_number")
    if number is not None and cells.get(number) is not None:
        cells[number] = f"{cells[number]}B" if dataset == "school" else str(int(str(cells[number])) + 5000)
    school = headers.get("school")
    if dataset == "school" and school is not None:
        cells[school] = f"{cells[school]}（旧校）"
    return cells


def checksum_is_wrong(number: str) -> bool:
    """Return whether a mistyped number is invalid."""
    return with_check(number[:17]) != number
