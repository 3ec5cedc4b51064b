"""What must hold of a county's data before it is put in force."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from contracts.county import READINGS, County, Dataset, Route, Unit
from contracts.vocabulary import (
    FACT_TYPES,
    RESTRICTED_ROUTES,
    TOWNSHIP,
    FactName,
    FindingCode,
    IdentityField,
    Level,
    TextStatus,
    Verb,
)
from county.citations import PolicyText, catalogue_rows, citations, rule_citations
from county.problem import Location, Problem, Violation
from county.reader import build, read
from county.requirements import Requirements


def check(folder: Path | str, requirements: Requirements, source: Path | None = None) -> list[Problem]:
    """Return every problem of a folder, in order of file and line.

    ``requirements`` holds what the rules in force ask of a county. With ``source``, the policy's text, every citation,
    the rules' included, is looked up in the article or row it names, and every row of the list in the catalogue.

    Raises:
        OSError: the policy's text cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    draft = read(Path(folder))
    county = build(draft)
    if county is None:
        return sorted(set(draft.problems))
    # While names are ambiguous, further problems could point to the wrong item.
    violations = list(unique_names(county)) or [
        *(finding for examine in CHECKS for finding in examine(county)),
        *criteria(county, requirements.terms),
    ]
    if source is not None:
        text = PolicyText.read(source)
        violations += [
            *citations(county, text),
            *rule_citations(county, requirements, text),
            *catalogue_rows(county, text),
        ]
    return sorted({draft.problem(*violation) for violation in violations})


def _duplicates(values: Iterable[tuple[Location, str]], what: str) -> Iterator[Violation]:
    seen: dict[str, Location] = {}
    for path, value in values:
        if value in seen:
            yield path, f"{what} {value} 写了两次", "请只留一处"
        seen.setdefault(value, path)


def unique_names(county: County) -> Iterator[Violation]:
    """Every name is unique."""
    people = [
        (("units", index, "people", position, "id"), person.id)
        for index, unit in enumerate(county.units)
        for position, person in enumerate(unit.people)
    ]
    yield from _duplicates(people, "人员")
    for part, key, what in (
        ("divisions", "code", "代码"),
        ("townships", "code", "乡镇代码"),
        ("units", "id", "单位"),
        ("datasets", "id", "数据集"),
        ("catalogue", "id", "清单项"),
        ("routes", "id", "路线"),
        ("criteria", "term", "口径"),
    ):
        yield from _duplicates(
            (((part, index, key), getattr(entry, key)) for index, entry in enumerate(getattr(county, part))), what
        )


def _unknown_unit(county: County, path: Location, unit: str, *, township: bool = False) -> Iterator[Violation]:
    if unit == TOWNSHIP and township:
        return
    if county.unit(unit) is None:
        yield path, f"没有 {unit} 这个单位", "请核对单位代码，或在 units.yaml 里加上"


def _town_units(county: County) -> list[Unit]:
    return [unit for unit in county.units if unit.id in {township.unit for township in county.townships}]


def offices(county: County) -> Iterator[Violation]:
    """The units that the county names for a function exist and can perform it."""
    for name in ("lead_unit", "duty_unit", "coordinating_unit"):
        yield from _unknown_unit(county, (name,), getattr(county, name))
    for name in ("lead_unit", "coordinating_unit"):
        unit = county.unit(getattr(county, name))
        if unit is not None and not unit.receives_restricted:
            yield (name,), f"{unit.id} 没有限知通道的收件箱", "请在 units.yaml 给它加上 receives_restricted: true"
    if county.division(county.code) is None:
        yield ("divisions",), f"行政区划里没有本县 {county.code}", "请加上本县"
    for unit in county.units:
        if unit.id == county.duty_unit and not any(person.role == "duty_officer" for person in unit.people):
            yield ("duty_unit",), f"{unit.id} 没有值班员", "请在 units.yaml 给它加一名 role: duty_officer 的人员"


def divisions(county: County) -> Iterator[Violation]:
    """Every abolished code has a current successor."""
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


def units(county: County) -> Iterator[Violation]:
    """Every unit can be reached, and every person has an existing role."""
    areas = {township.code for township in county.townships}
    for index, unit in enumerate(county.units):
        at: Location = ("units", index)
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
            where: Location = (*at, "people", position)
            if person.role not in county.roles:
                yield (*where, "role"), f"没有 {person.role} 这个岗位", "请在 roles.yaml 里加上，或改正"
            for area in person.area:
                if area[:9] not in areas:
                    yield (*where, "area"), f"{area} 不在本县乡镇里", "请改正，或在 townships.yaml 里加上这个乡镇"
        for dataset in unit.submits:
            if county.dataset(dataset) is None:
                yield (*at, "submits"), f"没有登记数据集 {dataset}", "请在 datasets.yaml 里登记目的与依据"


_KEY_MATERIAL = ("kty", "crv", "x", "y", "n", "e")
"""The members of a JWK that are the key itself (RFC 7518, section 6)."""


def public_keys(county: County) -> Iterator[Violation]:
    """Every public key is valid and used by one log-in alone, else an ordinary one could open restricted data."""
    holders: dict[tuple[Any, ...], str] = {}
    for index, unit in enumerate(county.units):
        if unit.restricted_public_key is not None and not unit.receives_restricted:
            at: Location = ("units", index, "restricted_public_key")
            yield at, f"{unit.id} 没有限知通道，用不上限知通道的公钥", "请删去，或写 receives_restricted: true"
        for name in ("public_key", "restricted_public_key"):
            text = getattr(unit, name)
            if text is not None:
                yield from _public_key(text, f"{unit.id} 的 {name}", ("units", index, name), holders)


def _public_key(text: str, called: str, path: Location, holders: dict[tuple[Any, ...], str]) -> Iterator[Violation]:
    try:
        jwk = json.loads(text)
    except ValueError:
        jwk = None
    if not isinstance(jwk, dict) or "kty" not in jwk:
        yield path, f"{called} 不是 JWK", "请写一行 JSON，或留空由启用时提供"
        return
    if "d" in jwk:
        yield path, f"{called} 里带着私钥", "请立即作废这把钥匙，换新的，只写公钥部分"
    other = holders.setdefault(tuple(str(jwk.get(part)) for part in _KEY_MATERIAL), called)
    if other != called:
        yield path, f"{called} 和 {other} 是同一把", "每个账号另做一对密钥，私钥由该账号的人保管，只写公钥部分"


def roles(county: County) -> Iterator[Violation]:
    """At least one person can use each verb."""
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


def datasets(county: County) -> Iterator[Violation]:
    """Every column has one meaning, and no sealed content has a column."""
    fields = {*FactName, *IdentityField, *READINGS}
    for index, dataset in enumerate(county.datasets):
        at: Location = ("datasets", index)
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
            for word in county.sealed_columns:
                if word.lower() in header.lower():
                    yield (*where, "names"), f"表头 {header} 含有封存字样“{word}”", "封存的内容没有列，请删去"


def _senders(county: County, dataset: Dataset, at: Location) -> Iterator[Violation]:
    if dataset.id == "finding":
        return
    if not any(dataset.id in unit.submits for unit in county.units):
        yield (*at, "id"), f"没有单位报送数据集 {dataset.id}", "请在 units.yaml 的 submits 里加上，或删去"


def catalogue(county: County) -> Iterator[Violation]:
    """Every item has a responsible unit, and every numbered item belongs to an existing row."""
    for index, item in enumerate(county.catalogue):
        at: Location = ("catalogue", index)
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


def routes(county: County) -> Iterator[Violation]:
    """Every finding has a route, and every receiver has the queue it needs."""
    for index, route in enumerate(county.routes):
        at: Location = ("routes", index)
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
            informed = county.sending_unit(unit)
            if informed is not None and route.restricted and not informed.receives_restricted:
                yield (
                    (*at, "inform"),
                    f"{informed.id} 没有限制收件箱，不能告知 {route.id}",
                    "请在 units.yaml 写 receives_restricted: true，或不告知它",
                )
        if route.id in RESTRICTED_ROUTES and not route.restricted:
            yield (*at, "restricted"), f"{route.id} 必须走限知通道", "请写 restricted: true"
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


def clocks(county: County) -> Iterator[Violation]:
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


_MAY_BE_ZERO = frozenset({"absence_breaks_after_days", "max_returns", "reopen_days", "notice_before_16_days"})


def _numbers(path: Location, part: object) -> Iterator[Violation]:
    """Every duration and limit is positive, except those that may be zero."""
    if isinstance(part, BaseModel):
        part = dict(part)
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _numbers((*path, name), value)
    elif isinstance(part, int) and not isinstance(part, bool) and part < 1:
        if part < 0 or path[-1] not in _MAY_BE_ZERO:
            yield path, f"{path[-1]} 是 {part}，不会有这样的期限", "请写正整数"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(f"2025-{text}")
    except ValueError:
        return False
    return True


def holders(county: County) -> Iterator[Violation]:
    """Every fact has a holder who can be asked for it."""
    for fact in FactName:
        if not county.holders.get(fact):
            yield ("holders",), f"没有写 {fact} 问谁", "请写掌握它的单位"
    for fact, names in county.holders.items():
        for unit in names:
            yield from _unknown_unit(county, ("holders", fact), unit, township=True)


def criteria(county: County, terms: Collection[str]) -> Iterator[Violation]:
    """The county's own terms ask for values that a fact can have."""
    for index, criterion in enumerate(county.criteria):
        if criterion.term not in terms:
            near = get_close_matches(criterion.term, terms, 1) or sorted(terms)
            yield (
                ("criteria", index, "term"),
                f"没有规则用到口径 {criterion.term}，写了等于没写",
                f"是不是 {'、'.join(near)}",
            )
        for fact, value in criterion.requires:
            if not _VALUE_FORMS[FACT_TYPES[fact]](value):
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


_VALUE_FORMS: dict[str, Callable[[str], bool]] = {
    "bool": lambda text: text in ("true", "false"),
    "number": lambda text: text.isascii() and text.isdigit(),
    "date": _is_date,
    "code": bool,
}


def working_days(county: County) -> Iterator[Violation]:
    """The calendar has no gaps and is consistent with the weekdays."""
    at: Location = ("working_days",)
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


CHECKS: tuple[Callable[[County], Iterator[Violation]], ...] = (
    offices,
    divisions,
    units,
    public_keys,
    roles,
    datasets,
    catalogue,
    routes,
    clocks,
    holders,
    working_days,
)
