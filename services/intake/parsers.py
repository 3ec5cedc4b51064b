"""Turns the county's data into what the domain reads with, once for each version of it."""

from collections.abc import Iterable

from contracts.county import County
from contracts.vocabulary import IdentityField
from services.intake.domain import row
from services.intake.domain.action import Sender
from services.intake.domain.divisions import Division, Divisions
from services.intake.domain.row import ColumnMapping, RegisteredColumn
from services.intake.domain.submission import RegisteredDataset

_KEPT = 512
"""Plans. Single rows may each come with columns of their own."""
_NAMING = ("id_number", "name", "birth_date")


class Parsers:
    """How rows are read under one version of the county's data."""

    def __init__(self, county: County) -> None:
        self.county = county
        self._divisions = Divisions(
            county.code,
            (Division(one.code, one.name, one.successor) for one in county.divisions),
            ((one.code, one.name) for one in county.townships),
        )
        self._plans: dict[tuple[str, tuple[str, ...], bool], ColumnMapping] = {}
        self._speakers: dict[str, Sender] = {}
        self.identity_mapping = row.map_columns(
            [RegisteredColumn(field, (field,)) for field in IdentityField],
            IdentityField,
            sealed=(),
            divisions=self._divisions,
        )
        """Reads the identity that comes with a finding: its keys are its headers."""
        self.unit_names = frozenset(name for unit in county.units for name in (unit.name, unit.short))
        """What the county's units are called."""

    def mapping(self, dataset: str, headers: Iterable[str], date_1904: bool = False) -> ColumnMapping | None:
        """How rows with these headers are read. None: nobody registered the dataset."""
        registered = self.county.dataset(dataset)
        if registered is None:
            return None
        key = (dataset, tuple(headers), date_1904)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            found = self._plans[key] = row.map_columns(
                [RegisteredColumn(column.field, column.names) for column in registered.columns],
                key[1],
                sealed=self.county.sealed_columns,
                divisions=self._divisions,
                own_number=registered.row_number,
                date_1904=date_1904,
            )
        return found

    def dataset(self, unit: str, dataset: str) -> RegisteredDataset | None:
        """The dataset, and whether this unit hands it over."""
        found = self.county.dataset(dataset)
        if found is None:
            return None
        speaks = self.county.unit(unit)
        return RegisteredDataset(
            found.id,
            speaks is not None and dataset in speaks.submits,
            tuple(column.names[0] for column in found.columns if column.field in _NAMING),
        )

    def sender(self, unit: str) -> Sender:
        """Who speaks on a unit's topic, and what its people may do."""
        found = self._speakers.get(unit)
        if found is None:
            found = self._speakers[unit] = _speaker(self.county, unit)
        return found


def _speaker(county: County, unit: str) -> Sender:
    found = county.unit(unit)
    places = [one for one in county.units if one.parent == unit]
    people: dict[str, set[str]] = {}
    for one in ([found] if found is not None else []) + places:
        for person in one.people:
            people.setdefault(person.id, set()).add(person.role)
    townships = {one.unit for one in county.townships}
    return Sender(
        id=unit,
        registered=found is not None and found.parent is None,
        places=frozenset(one.id for one in places),
        roles=county.roles,
        people=people,
        held_roles=frozenset().union(*people.values()),
        units=frozenset(one.id for one in county.units),
        may_decide=unit in townships or unit in (county.lead_unit, county.duty_unit, county.coordinating_unit),
        may_merge=unit in townships or unit == county.lead_unit,
    )


class ParserCache:
    """The plans of the version in force; made anew when another version comes into force."""

    def __init__(self) -> None:
        self._plans: Parsers | None = None

    def parsers(self, county: County) -> Parsers:
        if self._plans is None or self._plans.county is not county:
            self._plans = Parsers(county)
        return self._plans
