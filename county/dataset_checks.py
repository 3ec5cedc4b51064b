"""Checks of the data sets and their columns."""

from collections.abc import Iterator

from contracts.county import READINGS, County, Dataset
from contracts.vocabulary import TOWNSHIP, FactName, IdentityField
from county.problem import Location, Violation
from county.unit_checks import unknown_unit


def datasets(county: County) -> Iterator[Violation]:
    """Every column has one meaning, and no forbidden content has a column."""
    fields = {*FactName, *IdentityField, *READINGS}
    for index, dataset in enumerate(county.datasets):
        at: Location = ("datasets", index)
        yield from unknown_unit(county, (*at, "unit"), dataset.unit, township=True)
        for unit in dataset.recipients:
            yield from unknown_unit(county, (*at, "recipients"), unit)
        for name in ("purpose", "legal_basis", "retention"):
            if not getattr(dataset, name).strip():
                yield (*at, name), f"数据集 {dataset.id} 没有写 {name}", "没有目的、依据和期限的数据不能收"
        if dataset.row_number is not None and dataset.row_number not in {c.field for c in dataset.columns}:
            yield (*at, "row_number"), f"没有 {dataset.row_number} 这一列", "请写 columns 里有的字段"
        if "name" not in {column.field for column in dataset.columns}:
            yield (*at, "columns"), f"数据集 {dataset.id} 没有姓名列，认不出是谁", "请加上 field: name"
        yield from _columns(county, dataset, at, fields)
        yield from _senders(county, dataset, at)
    towns = {township.unit for township in county.townships}
    for index, sender in enumerate(county.units):
        for name in sender.submits:
            named = county.dataset(name)
            if named is not None and not (named.unit == sender.id or (named.unit == TOWNSHIP and sender.id in towns)):
                yield ("units", index, "submits"), f"数据集 {name} 登记的是 {named.unit} 报送", "请改正其中一处"


def _columns(county: County, dataset: Dataset, at: Location, fields: set[str]) -> Iterator[Violation]:
    fields_seen: set[str] = set()
    owner: dict[str, str] = {}
    for position, column in enumerate(dataset.columns):
        where: Location = (*at, "columns", position)
        if column.field not in fields:
            yield (*where, "field"), f"没有 {column.field} 这个字段", "请写身份字段、事实名或读数"
        if column.field in fields_seen:
            yield (*where, "field"), f"字段 {column.field} 在 {dataset.id} 里写了两次", "请把表头并到一处"
        fields_seen.add(column.field)
        if not column.names:
            yield (*where, "names"), f"字段 {column.field} 没有表头", "请至少写一个表头"
        for header in column.names:
            if header in owner:
                yield (
                    (*where, "names"),
                    f"表头 {header} 在 {dataset.id} 里既是 {owner[header]} 又是 {column.field}",
                    "一个表头只能是一个字段",
                )
            owner.setdefault(header, column.field)
            for word in county.forbidden_columns:
                if word.lower() in header.lower():
                    yield (*where, "names"), f"表头 {header} 含有封存字样“{word}”", "封存的内容没有列，请删去"


def _senders(county: County, dataset: Dataset, at: Location) -> Iterator[Violation]:
    if dataset.id == "finding":
        return
    if not any(dataset.id in unit.submits for unit in county.units):
        yield (*at, "id"), f"没有单位报送数据集 {dataset.id}", "请在 units.yaml 的 submits 里加上，或删去"
