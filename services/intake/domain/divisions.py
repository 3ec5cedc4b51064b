"""Reads administrative divisions: codes, former codes, and names that only one division has."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from services.intake.domain.id_number import ID_PROVINCES
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell, number_text, read_text

NO_COUNTY = frozenset({"810000", "820000", "830000"})
"""Hong Kong, Macao and Taiwan, where nobody has a hukou county."""
ABROAD = "abroad"
_CITIES_WITHOUT_COUNTIES = frozenset({"441900", "442000", "460400", "620200"})
"""东莞, 中山, 儋州, 嘉峪关: the city's code is the county's."""
_MUNICIPALITIES = frozenset({"11", "12", "31", "50"})
_PROVINCE_NAMES = {
    "11": "北京", "12": "天津", "13": "河北", "14": "山西", "15": "内蒙古", "21": "辽宁", "22": "吉林", "23": "黑龙江",
    "31": "上海", "32": "江苏", "33": "浙江", "34": "安徽", "35": "福建", "36": "江西", "37": "山东", "41": "河南",
    "42": "湖北", "43": "湖南", "44": "广东", "45": "广西", "46": "海南", "50": "重庆", "51": "四川", "52": "贵州",
    "53": "云南", "54": "西藏", "61": "陕西", "62": "甘肃", "63": "青海", "64": "宁夏", "65": "新疆",
}  # fmt: skip
_PROVINCE = re.compile(f"({'|'.join(_PROVINCE_NAMES.values())})(?:壮族自治区|回族自治区|维吾尔自治区|自治区|省|市)?")
_WITHOUT_COUNTY = {"香港": "810000", "澳门": "820000", "台湾": "830000"}
_ABROAD = frozenset({"国外", "境外", "外国", "外籍", "abroad"})
_CITY = re.compile(r".{2,10}?(?:市|自治州|地区|盟)")
_CODE = re.compile(r"[0-9]{6}(?:[0-9]{3}){0,2}")
_CODE_AND_NAME = re.compile(r"([0-9]{6,12})[^0-9]+")


@dataclass(frozen=True, slots=True)
class Division:
    """A division of the county's data."""

    code: str
    name: str
    successor: str | None = None
    """The code that replaced this one."""


class Divisions:
    """The county's table of divisions: complete for its own province, a selection of the others."""

    def __init__(self, county: str, places: Iterable[Division], townships: Iterable[tuple[str, str]]) -> None:
        """``county``: 6-digit code. ``townships``: 9-digit code and name of each of the county's townships."""
        self.county = county
        listed = tuple(places)
        self._successors = {place.code: place.successor for place in listed if place.successor}
        self._current = {place.code: place.name for place in listed if not place.successor}
        self._townships = dict(townships)
        self._cities = {
            name.removesuffix("市辖区"): code[:4] for code, name in self._current.items() if name.endswith("市市辖区")
        }
        self._cached = lru_cache(maxsize=16_384)(self._read)
        """Cells repeat: a file names a few hundred divisions in thousands of rows."""

    def read_hukou(self, cell: Cell) -> str | None:
        """Return a county or a part of it: 6, 9 or 12 digits of current codes, or ``abroad``.

        Raises:
            CellRejected: ``division_unreadable``, ``division_unknown``, ``division_too_wide``.
        """
        return self._cached(cell if isinstance(cell, str) else _number(cell), township=False)

    def read_county(self, cell: Cell) -> str | None:
        """Return the county alone: 6 digits.

        Raises:
            CellRejected: as :meth:`read_hukou`.
        """
        division = self.read_hukou(cell)
        return division if division is None or division == ABROAD else division[:6]

    def read_residence(self, cell: Cell) -> str | None:
        """Return a township or village: 9 or 12 digits. Inside the county it must be one of the county's townships.

        Raises:
            CellRejected: as :meth:`read_hukou`; ``division_no_township``, ``division_not_township``.
        """
        return self._cached(cell if isinstance(cell, str) else _number(cell), township=True)

    def _read(self, cell: str, *, township: bool) -> str | None:
        text = _text(cell)
        if text is None:
            return None
        if text.isascii() and text[0].isdigit():
            code = self._code(text)
            if township:
                if len(code) < 9:
                    raise CellRejected("division_no_township")
                if code[:6] == self.county and code[:9] not in self._townships:
                    raise CellRejected("division_not_township")
            return code
        if township:
            return self._find_township(text)
        return self._find_county(text)

    def _code(self, text: str) -> str:
        if _CODE.fullmatch(text) is None:
            raise CellRejected("division_unreadable")
        if len(text) == 12 and text.endswith("000"):
            text = text[:9]
        if len(text) == 9 and text.endswith("000"):
            text = text[:6]
        county = text[:6]
        if county in self._successors:
            # The table does not say what a township's code became when its county's changed.
            return self._successors[county]
        if county in self._current or county in NO_COUNTY or county in _CITIES_WITHOUT_COUNTIES:
            return text
        if county[:2] not in ID_PROVINCES:
            raise CellRejected("division_unknown")
        if county.endswith("00"):
            raise CellRejected("division_too_wide")
        if county[:2] == self.county[:2]:
            raise CellRejected("division_unknown")
        return text

    def _find_county(self, text: str) -> str:
        if text in _ABROAD:
            return ABROAD
        for name, code in _WITHOUT_COUNTY.items():
            if text.startswith((name, f"中国{name}")):
                return code
        province, rest = self._split_province(text)
        counties = self._counties_named(rest, province, None)
        match = _CITY.match(rest)
        if not counties and match is not None:
            city = self._cities.get(match[0])
            if city is not None and province in (None, city[:2]):
                province = city[:2]
            counties = self._counties_named(rest[match.end() :], province, city)
        if len(counties) == 1:
            return counties.pop()
        if not counties and (rest == "" or (match is not None and match.end() == len(rest))):
            raise CellRejected("division_too_wide")
        raise CellRejected("division_unreadable")

    def _counties_named(self, text: str, province: str | None, city: str | None) -> set[str]:
        """Return the current counties of a name, by default in the county's own province, whose list is complete."""
        counties: set[str] = set()
        if len(text) < 2:
            return counties
        within = province or self.county[:2]
        for code, name in self._current.items():
            if not code.startswith(city or within):
                continue
            if not text.startswith(name) and not self._is_short_name(text, name):
                continue
            if within != self.county[:2] and name.endswith("区") and city is None and within not in _MUNICIPALITIES:
                # Several districts may have one name, and the list of another province is not complete.
                continue
            counties.add(code)
        return counties

    def _is_short_name(self, text: str, name: str) -> bool:
        """Return true for ``石台``, short for 石台县, but not for ``黄山``, which is also a city."""
        return len(name) > 2 and text == name[:-1] and name[-1] in "县区市旗" and f"{text}市" not in self._cities

    def _find_township(self, text: str) -> str:
        county = self._current.get(self.county, "")
        for code, name in self._townships.items():
            before, there, _ = text.partition(name)
            if there and (not before or before.endswith(county) or (county and before.endswith(county[:-1]))):
                return code
        self._find_county(text)
        raise CellRejected("division_no_township")

    def _split_province(self, text: str) -> tuple[str | None, str]:
        match = _PROVINCE.match(text)
        if match is None:
            return None, text
        code = next(code for code, name in _PROVINCE_NAMES.items() if name == match[1])
        return code, text[match.end() :]


def _number(cell: float | bool | None) -> str:
    if isinstance(cell, bool):
        raise CellRejected("division_unreadable")
    return "" if cell is None else number_text(cell)


def _text(cell: str) -> str | None:
    text = read_text(cell)
    if text is None:
        return None
    text = text.replace(" ", "").lstrip("'")
    both = _CODE_AND_NAME.fullmatch(text)
    return (both[1] if both else text) or None
