"""Checks of the list's items, the routes, the holders of facts, and the county's own terms."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import date
from difflib import get_close_matches

from contracts.county import County, Route, Unit
from contracts.vocabulary import FACT_TYPES, RESTRICTED_ROUTES, TOWNSHIP, FactName, FindingCode, TextStatus
from county.problem import Location, Violation
from county.unit_checks import town_units, unknown_unit


def catalogue(county: County) -> Iterator[Violation]:
    """Every item has a responsible unit, and every numbered item belongs to an existing row."""
    for index, item in enumerate(county.catalogue):
        at: Location = ("catalogue", index)
        if not item.units:
            yield (*at, "units"), f"{item.id} 没有责任单位", "请写 units"
        for unit in item.units:
            yield from unknown_unit(county, (*at, "units"), unit)
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
        yield from unknown_unit(county, (*at, "unit"), route.unit, township=True)
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
            yield from unknown_unit(county, (*at, "inform"), unit, township=True)
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
        return town_units(county)
    unit = county.unit(route.unit)
    return [unit] if unit is not None and unit.parent is None else []


def holders(county: County) -> Iterator[Violation]:
    """Every fact has a holder who can be asked for it."""
    for fact in FactName:
        if not county.holders.get(fact):
            yield ("holders",), f"没有写 {fact} 问谁", "请写掌握它的单位"
    for fact, names in county.holders.items():
        for unit in names:
            yield from unknown_unit(county, ("holders", fact), unit, township=True)


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
