"""Which county and which township a division code names, and whether two codes name the same."""

from enum import Enum

from contracts.vocabulary import PROVINCES
from services.eligibility.domain.parameters import RuleParameters

_NOT_MAINLAND = ("71", "81", "82", "83")
"""Taiwan, Hong Kong, Macao; 83 stands on residence permits of people from Taiwan."""
_ONE_PROVINCE_ONCE = (frozenset({"44", "46"}), frozenset({"50", "51"}))
"""Hainan was a part of Guangdong to 1988, Chongqing of Sichuan to 1997: an old code may name a place of the other."""


class PlaceRelation(Enum):
    """How two places lie to one another."""

    SAME_COUNTY = "same county"
    DISTRICTS = "two districts of one city"
    TWO_COUNTIES = "two counties"
    NO_HUKOU_COUNTY = "no hukou county"
    UNCLEAR = "unclear"


def relate(hukou: str, residence: str, parameters: RuleParameters) -> PlaceRelation:
    """Compare the counties of two codes of 6, 9 or 12 digits.

    A county lists its own province whole and the others in part: a code that is not listed is not guessed, but it
    lies in the province that it names.
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
    """Whether two codes of one county name the same township. None: they do not tell."""
    left, right = hukou[:9], residence[:9]
    if len(left) < 9 or len(right) < 9:
        return None
    if left == right:
        return True
    if left[:6] != right[:6]:
        # One is written with an abolished county code: its township digits follow another table.
        return None
    if left[:6] != parameters.county:
        return False
    # A statistical pseudo-township belongs to the unit that administers the place.
    unit, other = parameters.townships.get(left), parameters.townships.get(right)
    if unit is None or other is None:
        return None
    return unit == other


def current_county(division: str, parameters: RuleParameters) -> str | None:
    """The county that stands today for a code. None: not listed."""
    code = division[:6]
    return code if code == parameters.county else parameters.current_codes.get(code)


def is_outside(division: str, parameters: RuleParameters) -> bool:
    """Not in this county: another one that is listed, or any place of another province."""
    county = current_county(division, parameters)
    return _in_two_provinces(division, parameters.county) if county is None else county != parameters.county


def _in_two_provinces(one: str, other: str) -> bool:
    provinces = frozenset({one[:2], other[:2]})
    return len(provinces) == 2 and provinces <= PROVINCES and provinces not in _ONE_PROVINCE_ONCE


def _relate_city(code: str, here: str, parameters: RuleParameters) -> PlaceRelation:
    """A code of a whole city names no county, but may rule ours out."""
    if not code.endswith("00") or code[:4] not in parameters.cities or here.startswith(code[:4]):
        return PlaceRelation.UNCLEAR
    return PlaceRelation.TWO_COUNTIES


def _is_code(code: str) -> bool:
    return len(code) == 6 and code.isascii() and code.isdigit()
