"""Which county and which township a division code names, and whether two codes name the same."""

from enum import Enum

from services.eligibility.domain.terms import Terms

_NOT_MAINLAND = ("71", "81", "82", "83")
"""Taiwan, Hong Kong, Macao; 83 stands on residence permits of people from Taiwan."""


class Apart(Enum):
    """How two places lie to one another."""

    SAME_COUNTY = "same county"
    DISTRICTS = "two districts of one city"
    TWO_COUNTIES = "two counties"
    NO_HUKOU_COUNTY = "no hukou county"
    UNCLEAR = "unclear"


def apart(hukou: str, residence: str, terms: Terms) -> Apart:
    """Compare the counties of two codes of 6, 9 or 12 digits. A code that the county does not list is not guessed."""
    if hukou == "abroad" or hukou.startswith(_NOT_MAINLAND):
        return Apart.NO_HUKOU_COUNTY
    left, right = hukou[:6], residence[:6]
    if not (_is_code(left) and _is_code(right)):
        return Apart.UNCLEAR
    here = terms.current.get(right)
    there = terms.current.get(left)
    if left == right:
        return Apart.UNCLEAR if left.endswith("00") else Apart.SAME_COUNTY
    if here is None:
        return Apart.UNCLEAR
    if there is None:
        return _by_prefix(left, here, terms)
    if there == here:
        return Apart.SAME_COUNTY
    city = terms.districts.get(there)
    if city is not None and city == terms.districts.get(here):
        return Apart.DISTRICTS
    return Apart.TWO_COUNTIES


def same_township(hukou: str, residence: str, terms: Terms) -> bool | None:
    """Whether two codes of one county name the same township. None: they do not tell."""
    left, right = hukou[:9], residence[:9]
    if len(left) < 9 or len(right) < 9:
        return None
    if left == right:
        return True
    if left[:6] != right[:6]:
        # One is written with an abolished county code: its township digits follow another table.
        return None
    if left[:6] != terms.county:
        return False
    # A statistical pseudo-township belongs to the unit that administers the place.
    unit, other = terms.towns.get(left), terms.towns.get(right)
    if unit is None or other is None:
        return None
    return unit == other


def county_of(division: str, terms: Terms) -> str | None:
    """The county that stands today for a code. None: not listed."""
    code = division[:6]
    return code if code == terms.county else terms.current.get(code)


def _by_prefix(code: str, here: str, terms: Terms) -> Apart:
    """A code of a whole province or city names no county, but may rule ours out."""
    prefix = code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else None
    if prefix is None or prefix not in terms.prefixes or here.startswith(prefix):
        return Apart.UNCLEAR
    return Apart.TWO_COUNTIES


def _is_code(code: str) -> bool:
    return len(code) == 6 and code.isascii() and code.isdigit()
