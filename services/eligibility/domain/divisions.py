"""Compare administrative division codes (GB/T 2260) by county and township."""

from enum import Enum

from contracts.vocabulary import PROVINCES
from services.eligibility.domain.parameters import RuleParameters

_NOT_MAINLAND = ("71", "81", "82", "83")
"""Taiwan, Hong Kong and Macao; residence permits of people from Taiwan have 83."""
_ONE_PROVINCE_ONCE = (frozenset({"44", "46"}), frozenset({"50", "51"}))
"""Hainan was part of Guangdong until 1988 and Chongqing of Sichuan until 1997, so an old code may name either."""


class PlaceRelation(Enum):
    """The relation of two places."""

    SAME_COUNTY = "same county"
    DISTRICTS = "two districts of one city"
    TWO_COUNTIES = "two counties"
    NO_HUKOU_COUNTY = "no hukou county"
    UNCLEAR = "unclear"


def relate(hukou: str, residence: str, parameters: RuleParameters) -> PlaceRelation:
    """Compare the counties of two codes of 6, 9 or 12 digits.

    The county's table has all divisions of its own province and some of others. An unlisted code is not guessed, but
    its first two digits still name its province.
    """
    if hukou == "abroad" or hukou.startswith(_NOT_MAINLAND):
        return PlaceRelation.NO_HUKOU_COUNTY
    left, right = hukou[:6], residence[:6]
    if not (_is_code(left) and _is_code(right)):
        return PlaceRelation.UNCLEAR
    if left == right:
        return PlaceRelation.UNCLEAR if left.endswith("00") else PlaceRelation.SAME_COUNTY
    here = parameters.current_codes.get(right)
    there = parameters.current_codes.get(left)
    if here is None or there is None:
        if _in_two_provinces(left, right):
            return PlaceRelation.TWO_COUNTIES
        return PlaceRelation.UNCLEAR if here is None else _relate_city(left, here, parameters)
    if there == here:
        return PlaceRelation.SAME_COUNTY
    city = parameters.districts.get(there)
    if city is not None and city == parameters.districts.get(here):
        return PlaceRelation.DISTRICTS
    return PlaceRelation.TWO_COUNTIES


def same_township(hukou: str, residence: str, parameters: RuleParameters) -> bool | None:
    """Return whether two codes of one county name the same township; None if the codes do not show it."""
    left, right = hukou[:9], residence[:9]
    if len(left) < 9 or len(right) < 9:
        return None
    if left == right:
        return True
    if left[:6] != right[:6]:
        # One has an abolished county code, whose township digits belong to another table.
        return None
    if left[:6] != parameters.county:
        return False
    # A statistical area that is not a township belongs to the unit that administers it.
    unit, other = parameters.townships.get(left), parameters.townships.get(right)
    if unit is None or other is None:
        return None
    return unit == other


def current_county(division: str, parameters: RuleParameters) -> str | None:
    """Return the current code of the county that a code names; None if it is not listed."""
    code = division[:6]
    return code if code == parameters.county else parameters.current_codes.get(code)


def is_outside(division: str, parameters: RuleParameters) -> bool:
    """Return whether a code names another listed county, or a place in another province."""
    county = current_county(division, parameters)
    return _in_two_provinces(division, parameters.county) if county is None else county != parameters.county


def _in_two_provinces(one: str, other: str) -> bool:
    provinces = frozenset({one[:2], other[:2]})
    return len(provinces) == 2 and provinces <= PROVINCES and provinces not in _ONE_PROVINCE_ONCE


def _relate_city(code: str, here: str, parameters: RuleParameters) -> PlaceRelation:
    """Compare the code of a whole city, which names no county but may exclude this one."""
    if not code.endswith("00") or code[:4] not in parameters.cities or here.startswith(code[:4]):
        return PlaceRelation.UNCLEAR
    return PlaceRelation.TWO_COUNTIES


def _is_code(code: str) -> bool:
    return len(code) == 6 and code.isascii() and code.isdigit()
