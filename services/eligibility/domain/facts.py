"""What the rules may look at: what is known of one child, in codes, dates and truth values. None: nobody has told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from contracts.vocabulary import NUMBER_BOUNDS, SCHOOL_YEAR_FACTS, FactName

Value = bool | int | str

DATES = frozenset(
    {
        FactName.BIRTH_DATE,
        FactName.RESIDENCE_SINCE,
        FactName.RESIDENCE_ENDED,
        FactName.AWAY_SINCE,
        FactName.RESIDENCE_PERMIT_SIGNED,
        FactName.SCHOOL_SINCE,
        FactName.HEALTH_LAST_CHECK,
        FactName.DECEASED,
    }
)
NUMBERS = frozenset(
    {
        FactName.SEX,
        FactName.SCHOOL_GRADE,
        FactName.SCHOOL_COUNT,
        FactName.INSURED_YEAR,
        FactName.DISABILITY_KIND,
        FactName.DISABILITY_GRADE,
    }
)
CODES = frozenset(
    {
        FactName.HUKOU_DIVISION,
        FactName.RESIDENCE_DIVISION,
        FactName.INSURED_DIVISION,
        FactName.FATHER_STATUS,
        FactName.MOTHER_STATUS,
        FactName.GUARDIAN_STATUS,
        FactName.SCHOOL_STATUS,
        FactName.SCHOOL_STAGE,
        FactName.VACCINATION_STATUS,
    }
)
FLAGS = frozenset(FactName) - DATES - NUMBERS - CODES

ARRIVALS = frozenset({FactName.RESIDENCE_SINCE, FactName.SCHOOL_SINCE, FactName.RESIDENCE_PERMIT_SIGNED})
"""Facts that show the child was living here by a day (policy 3.1: registration, permit, school entry, statement)."""

ALLOWED_CODES: Mapping[FactName, frozenset[str]] = {
    FactName.FATHER_STATUS: frozenset(
        {"present", "away", "dead", "missing", "not_found", "no_capacity", "revoked", "unsupporting"}
    ),
    FactName.MOTHER_STATUS: frozenset(
        {"present", "away", "dead", "missing", "not_found", "no_capacity", "revoked", "unsupporting"}
    ),
    FactName.GUARDIAN_STATUS: frozenset({"effective", "absent", "at_risk"}),
    FactName.SCHOOL_STATUS: frozenset({"enrolled", "suspended", "dropped_out", "not_enrolled", "graduated"}),
    FactName.SCHOOL_STAGE: frozenset({"kindergarten", "primary", "junior", "senior", "vocational"}),
    FactName.VACCINATION_STATUS: frozenset({"complete", "overdue", "none"}),
}
"""The values of closed codes. A value outside them would otherwise fall through every rule in silence."""

EARLIEST = date(1900, 1, 1)
LATEST = date(2999, 12, 31)
"""Registers write 9999-12-31 for "never". Held here, counting on from it stays within the calendar."""


class UnreadableFact(ValueError):
    """A fact's value is not of its kind. Names the fact, never its value."""

    def __init__(self, name: FactName) -> None:
        super().__init__(f"the value of {name} is not of its kind")
        self.name = name


class Claim(NamedTuple):
    """One thing said of the child: by whom, of which day, learned when. A tuple: there are many."""

    name: FactName
    value: Value
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    recorded_on: date
    chosen: bool
    verified: bool


class Arrival(NamedTuple):
    """A day by which the child lived at the residence, and what shows it."""

    on: date
    evidence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The chosen claims by kind of value, and every credible day of arrival."""

    flags: Mapping[FactName, bool]
    dates: Mapping[FactName, date]
    numbers: Mapping[FactName, int]
    codes: Mapping[FactName, str]
    valid_on: Mapping[FactName, date]
    """The day each chosen claim speaks of, where a newer day would be news (``SCHOOL_YEAR_FACTS``)."""
    arrivals: tuple[Arrival, ...] = ()
    """Earliest first."""

    def criterion_value(self, name: FactName) -> str | None:
        """The value as the county's criteria write it: ``true``, ``3``, ``enrolled``, ``2026-03-01``."""
        if name in FLAGS:
            flag = self.flags.get(name)
            return None if flag is None else "true" if flag else "false"
        if name in DATES:
            day = self.dates.get(name)
            return None if day is None else day.isoformat()
        if name in NUMBERS:
            number = self.numbers.get(name)
            return None if number is None else str(number)
        return self.codes.get(name)


def parse_facts(claims: Iterable[Claim]) -> Facts:
    """Sort a child's claims by kind.

    Raises:
        UnreadableFact: a value is not of its fact's kind.
    """
    flags: dict[FactName, bool] = {}
    days: dict[FactName, date] = {}
    numbers: dict[FactName, int] = {}
    codes: dict[FactName, str] = {}
    said: dict[FactName, date] = {}
    arrivals: list[Arrival] = []
    for claim in claims:
        name, value = claim.name, claim.value
        if name in DATES:
            day = _parse_date(name, value)
            if name in ARRIVALS and (claim.chosen or name is FactName.RESIDENCE_SINCE):
                arrivals.append(Arrival(day, claim.dataset))
            if not claim.chosen:
                continue
            days[name] = day
        elif not claim.chosen:
            continue
        elif name in FLAGS:
            if not isinstance(value, bool):
                raise UnreadableFact(name)
            flags[name] = value
        elif name in CODES:
            codes[name] = _parse_code(name, value)
        else:
            numbers[name] = _parse_number(name, value)
        said[name] = claim.valid_on
    if FactName.GUARDIAN_STATUS not in said:
        said = {name: day for name, day in said.items() if name in SCHOOL_YEAR_FACTS}
    arrivals.sort()
    return Facts(flags, days, numbers, codes, said, tuple(arrivals))


def _parse_date(name: FactName, value: Value) -> date:
    if not isinstance(value, str):
        raise UnreadableFact(name)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise UnreadableFact(name) from None
    if day < EARLIEST:
        raise UnreadableFact(name)
    return min(day, LATEST)


def _parse_number(name: FactName, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableFact(name)
    least, greatest = NUMBER_BOUNDS[name]
    if not least <= value <= greatest:
        raise UnreadableFact(name)
    return value


def _parse_code(name: FactName, value: Value) -> str:
    if not isinstance(value, str):
        raise UnreadableFact(name)
    words = ALLOWED_CODES.get(name)
    if words is not None and value not in words:
        raise UnreadableFact(name)
    return value
