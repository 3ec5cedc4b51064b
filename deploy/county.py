"""Reads a county's folder of data, and says by file and line what is wrong with it.

The folder is one document (``contracts.county.County``) cut into YAML files: every file is a mapping whose keys are
fields of the county, and a key may stand in one file only.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contracts.county import READINGS, Citation, County, Dataset, Route, Unit
from contracts.registry import FACT_TYPES
from contracts.vocabulary import RESTRICTED_ROUTES, FactName, FindingCode, IdentityField, Level, TextStatus, Verb
from services.eligibility.domain import sources
from services.eligibility.domain.assessment import RULEBOOK
from services.eligibility.domain.terms import COUNTY_TERMS

DEMO_COUNTY = Path(__file__).parent / "counties" / "341722"
"""The county that comes with the house."""
TOWNSHIP = "township"
"""Stands for the unit of the child's township wherever a unit is named."""

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a county's folder."""

    file: str
    line: int
    """Counted from 1."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}。{self.remedy}"


class CountyInvalid(ValueError):
    """The folder is no county. ``problems`` says by line what is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load(folder: Path | str) -> County:
    """The county of a folder, as far as it has the form of one: what else is wrong with it, :func:`check` says.

    Raises:
        CountyInvalid: a file cannot be read, a key is unknown or missing, or a value is not of its form.
    """
    draft = _read(Path(folder))
    county = _build(draft)
    if county is None:
        raise CountyInvalid(draft.problems)
    return county


def check(folder: Path | str, source: Path | None = None) -> list[Problem]:
    """Everything that is wrong with a folder, in order of file and line.

    ``source``: the policy's text; given, every citation of it is looked up in the article or row it names, the rules'
    own as well, and every row of its list in the catalogue.

    Raises:
        OSError: the policy's text cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    draft = _read(Path(folder))
    county = _build(draft)
    if county is None:
        return sorted(set(draft.problems))
    # While one name stands for two things, whatever else is said of it may be about the wrong one.
    found = list(names(county)) or [finding for examine in EXAMINATIONS for finding in examine(county)]
    if source is not None:
        text = Source.read(source)
        found += [finding for examine_by in (citations, rules, rows) for finding in examine_by(county, text)]
    return sorted({draft.at(*finding) for finding in found})


# ---------------------------------------------------------------- reading, with lines


@dataclass(slots=True)
class Draft:
    """What stands in the files, and where."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path_, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: Path_) -> tuple[str, int]:
        """File and line of a value, or of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(path[:length])
            if found is not None:
                return found
        return "county.yaml", 1

    def at(self, path: Path_, message: str, remedy: str) -> Problem:
        file, line = self.where(path)
        return Problem(file, line, message, remedy)


def _read(folder: Path) -> Draft:
    draft = Draft()
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        draft.problems.append(
            Problem(str(folder), 1, "文件夹里没有 .yaml 文件", "请给出县数据文件夹，例如 deploy/counties/341722")
        )
    for file in files:
        _read_file(file, draft)
    return draft


def _read_file(file: Path, draft: Draft) -> None:
    try:
        loader = yaml.CSafeLoader(file.read_text("utf-8"))
    except UnicodeDecodeError:
        draft.problems.append(Problem(file.name, 1, "文件不是 UTF-8 编码", "请另存为 UTF-8"))
        return
    except OSError:
        draft.problems.append(Problem(file.name, 1, "打不开这个文件", "请检查它的权限，或删去"))
        return
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            draft.problems.append(
                Problem(file.name, 1, "文件应当是“键: 值”的形式", "请对照 deploy/counties/341722 的同名文件")
            )
            return
        for key_node, value_node in node.value:
            key, line = _key(key_node), key_node.start_mark.line + 1
            if key in draft.values:
                first = draft.lines[(key,)]
                draft.problems.append(
                    Problem(file.name, line, f"{key} 已在 {first[0]} 第{first[1]}行写过", "一个键只写在一个文件里")
                )
                continue
            draft.lines[(key,)] = (file.name, line)
            draft.values[key] = _value(loader, value_node, (key,), file.name, draft)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        draft.problems.append(Problem(file.name, line, "YAML 写法不对", "请检查这一行和上一行的缩进、引号和冒号"))
    except yaml.YAMLError:
        draft.problems.append(Problem(file.name, 1, "文件里有不是文字的内容", "请用文本编辑器另存为 UTF-8"))
    except RecursionError:
        draft.problems.append(Problem(file.name, 1, "有一段引用了它自己", "请去掉 & 和 * 引用，照实写出来"))
    finally:
        loader.dispose()


def _value(loader: yaml.CSafeLoader, node: yaml.Node, path: Path_, file: str, draft: Draft) -> Any:
    draft.lines.setdefault(path, (file, node.start_mark.line + 1))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), file, draft) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key in found:
                draft.problems.append(
                    Problem(file, key_node.start_mark.line + 1, f"{key} 在这里写了两次", "请只留一处")
                )
                continue
            draft.lines[(*path, key)] = (file, key_node.start_mark.line + 1)
            found[key] = _value(loader, value_node, (*path, key), file, draft)
        return found
    try:
        return loader.construct_object(node)
    except ValueError:
        line = node.start_mark.line + 1
        draft.problems.append(Problem(file, line, f"读不懂 {node.value}（没有这一天，或不是数）", "请改正"))
        return None


def _key(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "（不是一个词）"


def _build(draft: Draft) -> County | None:
    """The county, or None with the reasons in ``draft.problems``."""
    if draft.problems:
        return None
    try:
        return County.model_validate(draft.values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            path: Path_ = tuple(part for part in detail["loc"] if part != "[key]")
            message, remedy = _in_chinese(detail["type"], path, dict(detail.get("ctx", {})), detail["input"])
            draft.problems.append(draft.at(path, message, remedy))
        return None


_KINDS: Mapping[str, tuple[str, str]] = {
    "string": ("应当是一段文字", "代码和编号要加引号"),
    "int": ("应当是整数", "例如 6"),
    "bool": ("应当是是非", "请写 true 或 false"),
    "date": ("应当是日期", "例如 2026-09-30"),
    "tuple": ("应当是一列值", "请写成 [甲, 乙]，或每行一个“- ”"),
    "list": ("应当是一列值", "请写成 [甲, 乙]，或每行一个“- ”"),
    "dict": ("应当是“键: 值”", "请对照 deploy/counties/341722 的同名文件"),
    "model": ("应当是“键: 值”", "请对照 deploy/counties/341722 的同名文件"),
}
"""By the first word of pydantic's kind of error."""


def _in_chinese(kind: str, path: Path_, context: Mapping[str, object], given: object) -> tuple[str, str]:
    name = ".".join(str(part) for part in path)
    match kind:
        case "missing":
            return f"缺少 {name}", "请补上"
        case "extra_forbidden":
            return f"不认识的键 {name}", "请检查拼写，或删去"
        case "enum" | "literal_error":
            return f"{name} 的值不在允许的范围内", _instead(str(context.get("expected", "")), given)
        case "string_pattern_mismatch":
            return f"{name} 的写法不对", f"应符合 {context.get('pattern', '')}"
        case _:
            told = _KINDS.get(kind.partition("_")[0])
            if told is None:
                return f"{name} 的写法不对", "请对照 deploy/counties/341722 的同名文件"
            return f"{name} {told[0]}", told[1]


def _instead(expected: str, given: object) -> str:
    """What could be meant; of a long list only what is near."""
    allowed = re.findall("'([^']+)'", expected)
    near = get_close_matches(str(given), allowed, 3)
    return f"是不是 {'、'.join(near)}" if near else f"可以写 {'、'.join(allowed)}"


# ---------------------------------------------------------------- what must hold

Found = tuple[Path_, str, str]
"""Where, what is wrong, what to do."""


def _twice(values: Iterable[tuple[Path_, str]], what: str) -> Iterator[Found]:
    seen: dict[str, Path_] = {}
    for path, value in values:
        if value in seen:
            yield path, f"{what} {value} 写了两次", "请只留一处"
        seen.setdefault(value, path)


def names(county: County) -> Iterator[Found]:
    """One name, one thing."""
    people = [
        (("units", index, "people", position, "id"), person.id)
        for index, unit in enumerate(county.units)
        for position, person in enumerate(unit.people)
    ]
    yield from _twice(people, "人员")
    for part, key, what in (
        ("divisions", "code", "代码"),
        ("townships", "code", "乡镇代码"),
        ("units", "id", "单位"),
        ("datasets", "id", "数据集"),
        ("catalogue", "id", "清单项"),
        ("routes", "id", "路线"),
        ("criteria", "term", "口径"),
    ):
        yield from _twice(
            (((part, index, key), getattr(one, key)) for index, one in enumerate(getattr(county, part))), what
        )


def _unknown_unit(county: County, path: Path_, unit: str, *, township: bool = False) -> Iterator[Found]:
    if unit == TOWNSHIP and township:
        return
    if county.unit(unit) is None:
        yield path, f"没有 {unit} 这个单位", "请核对单位代码，或在 units.yaml 里加上"


def _town_units(county: County) -> list[Unit]:
    return [unit for unit in county.units if unit.id in {township.unit for township in county.townships}]


def general(county: County) -> Iterator[Found]:
    """The offices that the county names once."""
    for name in ("lead_unit", "duty_unit", "coordinating_unit"):
        yield from _unknown_unit(county, (name,), getattr(county, name))
    for name in ("lead_unit", "coordinating_unit"):
        unit = county.unit(getattr(county, name))
        if unit is not None and not unit.receives_restricted:
            yield (name,), f"{unit.id} 没有限制通道的收件箱", "请在 units.yaml 给它加上 receives_restricted: true"
    if county.division(county.code) is None:
        yield ("divisions",), f"行政区划里没有本县 {county.code}", "请加上本县"
    for unit in county.units:
        if unit.id == county.duty_unit and not any(person.role == "duty_officer" for person in unit.people):
            yield ("duty_unit",), f"{unit.id} 没有值班员", "请在 units.yaml 给它加一名 role: duty_officer 的人员"


def divisions(county: County) -> Iterator[Found]:
    """Every abolished code leads to a living one."""
    for index, division in enumerate(county.divisions):
        if division.successor is not None:
            heir = county.division(division.successor)
            if heir is None:
                yield ("divisions", index, "successor"), f"承接代码 {division.successor} 不在表里", "请加上现行代码"
            elif heir.successor is not None:
                yield ("divisions", index, "successor"), f"承接代码 {heir.code} 本身已撤销", "请写现行代码"
        if division.district_of is not None and not re.fullmatch(r"\d{4}00", division.district_of):
            yield ("divisions", index, "district_of"), "district_of 应是设区市的代码（四位加 00）", "例如 341700"
    for index, township in enumerate(county.townships):
        yield from _unknown_unit(county, ("townships", index, "unit"), township.unit)
        if not township.code.startswith(county.code):
            yield ("townships", index, "code"), f"{township.code} 不是本县的乡镇", f"乡镇代码以 {county.code} 开头"


def units(county: County) -> Iterator[Found]:
    """Every unit can be spoken to, and every person has a role that exists."""
    areas = {township.code for township in county.townships}
    for index, unit in enumerate(county.units):
        at: Path_ = ("units", index)
        if not unit.id.startswith(county.code + "-"):
            yield (*at, "id"), f"单位代码 {unit.id} 不属于本县", f"单位代码以 {county.code}- 开头"
        if unit.parent is not None:
            parent = county.unit(unit.parent)
            if parent is None:
                yield (*at, "parent"), f"上级单位 {unit.parent} 不存在", "请核对单位代码"
            elif parent.parent is not None:
                yield (*at, "parent"), f"上级单位 {parent.id} 自己没有通道", "请写有通道的单位"
            for name in ("submits", "receives", "receives_restricted"):
                if getattr(unit, name):
                    yield (*at, name), f"{unit.id} 通过上级单位说话，自己没有通道", "请写在上级单位上"
        elif unit.inbox and unit.recipient is None:
            yield at, f"{unit.id} 的收件箱没有负责人", "请写 recipient（人员编号）；没有人收，系统会向牵头单位报警"
        if unit.recipient is not None and unit.recipient not in {person.id for person in unit.people}:
            yield (*at, "recipient"), f"{unit.recipient} 不在 {unit.id} 的人员里", "请写本单位人员的编号"
        if unit.receives_restricted and not unit.receives:
            yield (*at, "receives_restricted"), f"{unit.id} 有限制队列却没有普通队列", "请同时写 receives: true"
        for position, person in enumerate(unit.people):
            where: Path_ = (*at, "people", position)
            if person.role not in county.roles:
                yield (*where, "role"), f"没有 {person.role} 这个岗位", "请在 roles.yaml 里加上，或改正"
            for area in person.area:
                if area[:9] not in areas:
                    yield (*where, "area"), f"{area} 不在本县乡镇里", "请改正，或在 townships.yaml 里加上这个乡镇"
        if unit.public_key is not None:
            yield from _public_key(unit, (*at, "public_key"))
        for dataset in unit.submits:
            if county.dataset(dataset) is None:
                yield (*at, "submits"), f"没有登记数据集 {dataset}", "请在 datasets.yaml 里登记目的与依据"


def _public_key(unit: Unit, path: Path_) -> Iterator[Found]:
    try:
        jwk = json.loads(unit.public_key or "")
    except ValueError:
        jwk = None
    if not isinstance(jwk, dict) or "kty" not in jwk:
        yield path, f"{unit.id} 的公钥不是 JWK", "请写一行 JSON，或留空由启用时提供"
    elif "d" in jwk:
        yield path, f"{unit.id} 的公钥里带着私钥", "请立即作废这把钥匙，换新的，只写公钥部分"


def roles(county: County) -> Iterator[Found]:
    """Every verb can be used by somebody who exists."""
    held = {person.role for unit in county.units for person in unit.people}
    usable = {verb for role, verbs in county.roles.items() if role in held for verb in verbs}
    for verb in Verb:
        if verb not in usable:
            yield ("roles",), f"没有人能做 {verb} 这个动作", "请给一个有人担任的岗位加上"
    for role in county.roles:
        if role not in county.role_names:
            yield ("roles", role), f"岗位 {role} 没有中文名", "请在 role_names 里加上"
    for role in county.role_names:
        if role not in county.roles:
            yield ("role_names", role), f"岗位 {role} 没有写能做什么", "请在 roles 里加上，或删去"


def datasets(county: County) -> Iterator[Found]:
    """Every column means one thing, and nothing that is sealed has a column."""
    fields = {*FactName, *IdentityField, *READINGS}
    for index, dataset in enumerate(county.datasets):
        at: Path_ = ("datasets", index)
        yield from _unknown_unit(county, (*at, "unit"), dataset.unit, township=True)
        for unit in dataset.recipients:
            yield from _unknown_unit(county, (*at, "recipients"), unit)
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
            found = county.dataset(name)
            if found is not None and not (found.unit == sender.id or (found.unit == TOWNSHIP and sender.id in towns)):
                yield ("units", index, "submits"), f"数据集 {name} 登记的是 {found.unit} 报送", "请改正其中一处"


def _columns(county: County, dataset: Dataset, at: Path_, fields: set[str]) -> Iterator[Found]:
    fields_seen: set[str] = set()
    owner: dict[str, str] = {}
    for position, column in enumerate(dataset.columns):
        where: Path_ = (*at, "columns", position)
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
            for word in county.sealed_columns:
                if word.lower() in header.lower():
                    yield (*where, "names"), f"表头 {header} 含有封存字样“{word}”", "封存的内容没有列，请删去"


def _senders(county: County, dataset: Dataset, at: Path_) -> Iterator[Found]:
    if dataset.id == "finding":
        return
    if not any(dataset.id in unit.submits for unit in county.units):
        yield (*at, "id"), f"没有单位报送数据集 {dataset.id}", "请在 units.yaml 的 submits 里加上，或删去"


def catalogue(county: County) -> Iterator[Found]:
    """Every item is somebody's, and every numbered item stands under its row."""
    for index, item in enumerate(county.catalogue):
        at: Path_ = ("catalogue", index)
        if not item.units:
            yield (*at, "units"), f"{item.id} 没有责任单位", "请写 units"
        for unit in item.units:
            yield from _unknown_unit(county, (*at, "units"), unit)
        row = item.id.partition("(")[0]
        if county.item(row) is None:
            yield (*at, "id"), f"{item.id} 没有所在的行", "请先写这一行"
        own = row.replace("B-", "row ")
        if item.citation.article != own and item.text_status is TextStatus.COMPLETE:
            yield (*at, "citation"), f"{item.id} 引的不是它自己那一行", f"请写 article: {own}，或改 text_status"


def routes(county: County) -> Iterator[Found]:
    """Every finding goes somewhere, and every receiver has the queue it needs."""
    for index, route in enumerate(county.routes):
        at: Path_ = ("routes", index)
        yield from _unknown_unit(county, (*at, "unit"), route.unit, township=True)
        for receiver in _receivers(county, route):
            if not receiver.receives:
                yield (
                    (*at, "unit"),
                    f"{receiver.id} 没有转介队列，收不到 {route.id}",
                    "请在 units.yaml 写 receives: true",
                )
            if route.restricted and not receiver.receives_restricted:
                yield (
                    (*at, "unit"),
                    f"{receiver.id} 没有限制队列，收不到 {route.id}",
                    "请在 units.yaml 写 receives_restricted: true",
                )
        for unit in route.inform:
            yield from _unknown_unit(county, (*at, "inform"), unit, township=True)
            told = county.speaker(unit)
            if told is not None and route.restricted and not told.receives_restricted:
                yield (
                    (*at, "inform"),
                    f"{told.id} 没有限制收件箱，不能告知 {route.id}",
                    "请在 units.yaml 写 receives_restricted: true，或不告知它",
                )
        if route.id in RESTRICTED_ROUTES and not route.restricted:
            yield (*at, "restricted"), f"{route.id} 必须走限制通道", "请写 restricted: true"
        if not route.basis:
            yield (*at, "basis"), f"{route.id} 没有依据", "请至少引一条"
        if not route.whitelist:
            yield (*at, "whitelist"), f"{route.id} 没有写对方能看到什么", "请写最少够用的身份字段"
        if route.level not in county.clocks:
            yield (*at, "level"), f"{route.level} 没有时限", "请在 clocks.yaml 里加上"
    routed = Counter(code for route in county.routes for code in route.findings)
    for code in FindingCode:
        if code not in routed:
            yield ("routes",), f"情形 {code} 没有路线，报上来无处可转", "请写进一条路线的 findings"


def _receivers(county: County, route: Route) -> list[Unit]:
    if route.unit == TOWNSHIP:
        return _town_units(county)
    unit = county.unit(route.unit)
    return [unit] if unit is not None and unit.parent is None else []


def clocks(county: County) -> Iterator[Found]:
    """Every level has a time to accept and a time to report a result."""
    for level in Level:
        clock = county.clocks.get(level)
        if clock is None:
            yield ("clocks",), f"没有 {level} 的时限", "请加上"
            continue
        if clock.accept_hours is None and clock.accept_days is None:
            yield ("clocks", level), f"{level} 没有签收时限", "请写 accept_hours 或 accept_days"
        if clock.result_hours is None and clock.result_days is None:
            yield ("clocks", level), f"{level} 没有反馈时限", "请写 result_hours 或 result_days"
    for part in ("cadence", "thresholds", "clocks", "duty_clocks"):
        yield from _numbers((part,), getattr(county, part))
    for index, due in enumerate(county.cadence.submission_due):
        if not _is_day(due):
            yield ("cadence", "submission_due", index), f"{due} 不是“月-日”", "例如 03-31"
    if not _is_day(county.thresholds.school_cutoff):
        yield ("thresholds", "school_cutoff"), f"{county.thresholds.school_cutoff} 不是“月-日”", "例如 08-31"


_MAY_BE_NOUGHT = frozenset({"absence_breaks_after_days", "max_returns", "reopen_days", "notice_before_16_days"})


def _numbers(path: Path_, part: object) -> Iterator[Found]:
    """Nothing lasts less than a day, an hour or a month that is not said to be nought."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _numbers((*path, name), value)
    elif isinstance(part, int) and not isinstance(part, bool) and part < 1:
        if part < 0 or path[-1] not in _MAY_BE_NOUGHT:
            yield path, f"{path[-1]} 是 {part}，不会有这样的期限", "请写正整数"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(f"2025-{text}")
    except ValueError:
        return False
    return True


def holders(county: County) -> Iterator[Found]:
    """Whatever may be missing, somebody can be asked."""
    for fact in FactName:
        if not county.holders.get(fact):
            yield ("holders",), f"没有写 {fact} 问谁", "请写掌握它的单位"
    for fact, names in county.holders.items():
        for unit in names:
            yield from _unknown_unit(county, ("holders", fact), unit, township=True)


def criteria(county: County) -> Iterator[Found]:
    """The county's own terms ask for values that a fact can have."""
    for index, criterion in enumerate(county.criteria):
        if criterion.term not in COUNTY_TERMS:
            near = get_close_matches(criterion.term, COUNTY_TERMS, 1) or sorted(COUNTY_TERMS)
            yield (
                ("criteria", index, "term"),
                f"没有规则用到口径 {criterion.term}，写了等于没写",
                f"是不是 {'、'.join(near)}",
            )
        for fact, value in criterion.requires:
            if not _CAN_BE[FACT_TYPES[fact]](value):
                yield (
                    ("criteria", index, "requires"),
                    f"{fact} 不会是“{value}”",
                    '是非写 "true" 或 "false"，数字和日期照写',
                )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


_CAN_BE: dict[str, Callable[[str], bool]] = {
    "bool": lambda text: text in ("true", "false"),
    "number": lambda text: text.isascii() and text.isdigit(),
    "date": _is_date,
    "code": bool,
}


def working_days(county: County) -> Iterator[Found]:
    """The calendar has no gaps and says what the State Council's can say."""
    at: Path_ = ("working_days",)
    calendar = county.working_days
    years = sorted(calendar.published_years)
    if not years:
        yield (*at, "published_years"), "一年的节假日安排都没有", "请至少写上方案施行的那一年"
        return
    first = county.policy_effective_from.year
    if years[0] > first:
        yield (*at, "published_years"), f"缺 {first} 年（方案自这一年起施行）", "请补上"
    for year in range(years[0], years[-1] + 1):
        if year not in years:
            yield (*at, "published_years"), f"中间缺 {year} 年", "请补上这一年的安排"
    for year in years:
        if not any(day.year == year for day in calendar.holidays):
            yield (*at, "holidays"), f"{year} 年标为已公布，却没有一天放假", "请补上，或从 published_years 里去掉"
    for name, days, weekend, wrong in (
        ("holidays", calendar.holidays, False, "本来就是周末，不用写"),
        ("make_up_days", calendar.make_up_days, True, "不是周末，不是调休上班日"),
    ):
        for year in sorted({day.year for day in days} - {*years}):
            first_day = next(index for index, day in enumerate(days) if day.year == year)
            yield (*at, name, first_day), f"{year} 年不在 published_years 里，却写了日子", "请加上这一年，或删去这些天"
        for index, day in enumerate(days):
            if (day.weekday() >= 5) != weekend:
                yield (*at, name, index), f"{day} {wrong}", "请核对公布的安排"


EXAMINATIONS: tuple[Callable[[County], Iterator[Found]], ...] = (
    general,
    divisions,
    units,
    roles,
    datasets,
    catalogue,
    routes,
    clocks,
    holders,
    criteria,
    working_days,
)


# ---------------------------------------------------------------- the policy's text


@dataclass(frozen=True, slots=True)
class Source:
    """The policy's text, cut into its articles and rows. White space is layout and does not count."""

    parts: dict[str, str]
    """``opening``, ``一`` .. ``八``, ``三、工作要求``, ``row 1`` .. and, under the empty name, the whole."""

    @classmethod
    def read(cls, file: Path) -> "Source":
        lines = file.read_text("utf-8").splitlines()
        parts: dict[str, list[str]] = {"": lines}
        part, row, attached = "opening", 0, False
        for line in lines:
            text = line.strip()
            if text == "附件":
                attached, part = True, ""
            elif attached and text == str(row + 1):
                row += 1
                part = f"row {row}"
            elif not attached and (article := re.match(r"（([一二三四五六七八九十]+)）", text)):
                part = article[1]
            elif not attached and re.match(r"[一二三四五六七八九十]+、", text):
                part = text
            parts.setdefault(part, [])
            if part:
                parts[part].append(text)
        return cls({name: _squeezed("".join(found)) for name, found in parts.items()})

    def has(self, article: str | None, phrase: str) -> bool:
        return _squeezed(phrase) in self.parts.get(article or "", "")


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def citations(county: County, source: Source) -> Iterator[Found]:
    """Every phrase said to stand in the policy does stand in the article or row that is named."""
    for path, citation in _cited(county):
        if citation.article is None and not citation.place.startswith(county.policy_source):
            continue
        if citation.article is not None and citation.article not in source.parts:
            yield (*path, "article"), f"原文里没有 {citation.article}", "条写 一、二……，清单写 row 1、row 2……"
        elif not source.has(citation.article, citation.phrase):
            yield (
                (*path, "phrase"),
                f"“{citation.phrase}”不在原文 {citation.article or citation.place} 里",
                "请照原文引一小段，或改正出处",
            )


def rules(county: County, source: Source) -> Iterator[Found]:
    """What the rules quote stands there too: a county of another policy has other words, and needs other rules."""
    listed = {item.id: index for index, item in enumerate(county.catalogue)}
    quoted = [(rule.item, rule.citation) for rule in RULEBOOK if rule.item in listed]
    for code, citation in (*quoted, *sources.SOURCES.items()):
        if citation.article is None or citation.phrase is None or source.has(citation.article, citation.phrase):
            continue
        path: Path_ = ("catalogue", listed[code], "id") if code in listed else ("policy_source",)
        yield (
            path,
            f"规则 {code} 引的“{citation.phrase}”不在原文 {citation.article} 里",
            "规则与这份方案不符：请核对原文，或请维护规则的人改正",
        )


def rows(county: County, source: Source) -> Iterator[Found]:
    """Every row of the policy's list stands in the catalogue."""
    for part in source.parts:
        if part.startswith("row ") and county.item(f"B-{part[4:]}") is None:
            yield ("catalogue",), f"没有原文清单里的第{part[4:]}行", f"请在 catalogue.yaml 里写 B-{part[4:]}"


def _cited(county: County) -> Iterator[tuple[Path_, Citation]]:
    for index, item in enumerate(county.catalogue):
        yield ("catalogue", index, "citation"), item.citation
    for index, route in enumerate(county.routes):
        for position, basis in enumerate(route.basis):
            yield ("routes", index, "basis", position), basis
    for index, criterion in enumerate(county.criteria):
        yield ("criteria", index, "citation"), criterion.citation
