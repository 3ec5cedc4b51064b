"""Checks of the units, the people in them, their keys, and the divisions."""

import json
import re
from collections.abc import Iterator
from typing import Any

from contracts.county import County, Unit
from contracts.vocabulary import TOWNSHIP, Verb
from county.problem import Location, Violation


def unknown_unit(county: County, path: Location, unit: str, *, township: bool = False) -> Iterator[Violation]:
    """Report a unit that the county does not have; with ``township``, the word "township" names one too."""
    if unit == TOWNSHIP and township:
        return
    if county.unit(unit) is None:
        yield path, f"没有 {unit} 这个单位", "请核对单位代码，或在 units.yaml 里加上"


def town_units(county: County) -> list[Unit]:
    """Return the units of the townships."""
    return [unit for unit in county.units if unit.id in {township.unit for township in county.townships}]


def offices(county: County) -> Iterator[Violation]:
    """The units that the county names for a function exist and can perform it."""
    for name in ("lead_unit", "duty_unit", "coordinating_unit"):
        yield from unknown_unit(county, (name,), getattr(county, name))
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
        yield from unknown_unit(county, ("townships", index, "unit"), township.unit)
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
