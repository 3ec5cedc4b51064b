"""The facts of one child that the rules read: codes, dates, numbers and flags. Unreported facts are absent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from contracts.vocabulary import FACT_TYPES, NUMBER_BOUNDS, SCHOOL_YEAR_FACTS, FactName

Value = bool | int | str

DATES, NUMBERS, CODES, FLAGS = (
    frozenset(name for name, kind in FACT_TYPES.items() if kind == wanted)
    for wanted in ("date", "number", "code", "bool")
)

ARRIVALS = frozenset({FactName.RESIDENCE_SINCE, FactName.SCHOOL_SINCE, FactName.RESIDENCE_PERMIT_SIGNED})
"""Facts that prove residence since a day (policy part 3.1: registration, permit, school entry, statement)."""

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
"""The values of closed codes. Another value would match no rule, so it is rejected."""

EARLIEST = date(1900, 1, 1)
LATEST = date(2999, 12, 31)
"""Later dates are reduced to this day: registers write 9999-12-31 for "never", from which nothing could be counted."""


class UnreadableFact(ValueError):
    """A value does not have the type of its fact. The error names the fact, never the value."""

    def __init__(self, name: FactName) -> None:
        super().__init__(f"the value of {name} does not have its type")
        self.name = name


class Claim(NamedTuple):
    """One claim about the child, with source, validity and day of receipt. It is a tuple because there are many."""

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
    """A day since which the child has lived at the residence, and the dataset that shows it."""

    on: date
    evidence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The chosen claims by type of value, and all days of arrival."""

    flags: Mapping[FactName, bool]
    dates: Mapping[FactName, date]
    numbers: Mapping[FactName, int]
    codes: Mapping[FactName, str]
    valid_on: Mapping[FactName, date]
    """Fact -> ``valid_on`` of its claim, where a newer day leads to a new snapshot (``SCHOOL_YEAR_FACTS``)."""
    arrivals: tuple[Arrival, ...] = ()
    """In ascending order."""

    def criterion_value(self, name: FactName) -> str | None:
        """Return the value in the form of the county's criteria: ``true``, ``3``, ``enrolled`` or ``2026-03-01``."""
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
    """Parse a child's claims by type of value.

    Raises:
        UnreadableFact: a value does not have the type of its fact.
    """
    flags: dict[FactName, bool] = {}
    dates: dict[FactName, date] = {}
    numbers: dict[FactName, int] = {}
    codes: dict[FactName, str] = {}
    valid_on: dict[FactName, date] = {}
    arrivals: list[Arrival] = []
    for claim in claims:
        name, value = claim.name, claim.value
        if name in DATES:
            day = _parse_date(name, value)
            if name in ARRIVALS and (claim.chosen or name is FactName.RESIDENCE_SINCE):
                arrivals.append(Arrival(day, claim.dataset))
            if not claim.chosen:
                continue
            dates[name] = day
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
        valid_on[name] = claim.valid_on
    if FactName.GUARDIAN_STATUS not in valid_on:
        valid_on = {name: day for name, day in valid_on.items() if name in SCHOOL_YEAR_FACTS}
    arrivals.sort()
    return Facts(flags, dates, numbers, codes, valid_on, tuple(arrivals))


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
    allowed = ALLOWED_CODES.get(name)
    if allowed is not None and value not in allowed:
        raise UnreadableFact(name)
    return value
