"""Turns the county's data into what the domain works with, once for each version of it."""

from collections.abc import Iterable

from contracts.county import County
from contracts.vocabulary import IdentityField
from services.intake.domain.action import Sender
from services.intake.domain.divisions import Division, Divisions
from services.intake.domain.fields import RegisteredColumn, map_columns
from services.intake.domain.row import ColumnMapping
from services.intake.domain.submission import RegisteredDataset

_MAX_MAPPINGS = 512
"""Column mappings that are kept. Rows without a file may each come with columns of their own."""
_IDENTIFYING_FIELDS = ("id_number", "name", "birth_date")


class Parsers:
    """Column mappings, datasets and senders under one version of the county's data."""

    def __init__(self, county: County) -> None:
        self.county = county
        self._divisions = Divisions(
            county.code,
            (Division(division.code, division.name, division.successor) for division in county.divisions),
            ((township.code, township.name) for township in county.townships),
        )
        self._mappings: dict[tuple[str, tuple[str, ...], bool], ColumnMapping] = {}
        self._senders: dict[str, Sender] = {}
        self.identity_mapping = map_columns(
            [RegisteredColumn(field, (field,)) for field in IdentityField],
            IdentityField,
            forbidden=(),
            divisions=self._divisions,
        )
        """Reads the identity that comes with a finding: its keys are its headers."""
        self.unit_names = frozenset(name for unit in county.units for name in (unit.name, unit.short))
        """Full and short names of the county's units."""

    def mapping(self, dataset: str, headers: Iterable[str], date_1904: bool = False) -> ColumnMapping | None:
        """Return how rows with these headers are read; None if the dataset is not registered."""
        registered = self.county.dataset(dataset)
        if registered is None:
            return None
        key = (dataset, tuple(headers), date_1904)
        mapping = self._mappings.get(key)
        if mapping is None:
            if len(self._mappings) >= _MAX_MAPPINGS:
                self._mappings.clear()
            mapping = self._mappings[key] = map_columns(
                [RegisteredColumn(column.field, column.names) for column in registered.columns],
                key[1],
                forbidden=self.county.forbidden_columns,
                divisions=self._divisions,
                own_number=registered.row_number,
                date_1904=date_1904,
            )
        return mapping

    def dataset(self, unit: str, dataset: str) -> RegisteredDataset | None:
        """Return a dataset, and whether this unit submits it; None if it is not registered."""
        registered = self.county.dataset(dataset)
        if registered is None:
            return None
        submitter = self.county.unit(unit)
        return RegisteredDataset(
            registered.id,
            submitter is not None and dataset in submitter.submits,
            tuple(column.names[0] for column in registered.columns if column.field in _IDENTIFYING_FIELDS),
        )

    def sender(self, unit: str) -> Sender:
        """Return the unit that owns a topic, and what its people may do."""
        sender = self._senders.get(unit)
        if sender is None:
            sender = self._senders[unit] = _sender(self.county, unit)
        return sender


def _sender(county: County, unit: str) -> Sender:
    registered = county.unit(unit)
    places = [place for place in county.units if place.parent == unit]
    people: dict[str, set[str]] = {}
    for member in ([registered] if registered is not None else []) + places:
        for person in member.people:
            people.setdefault(person.id, set()).add(person.role)
    townships = {township.unit for township in county.townships}
    return Sender(
        id=unit,
        registered=registered is not None and registered.parent is None,
        places=frozenset(place.id for place in places),
        roles=county.roles,
        people=people,
        held_roles=frozenset().union(*people.values()),
        units=frozenset(any_unit.id for any_unit in county.units),
        may_decide=unit in townships or unit in (county.lead_unit, county.duty_unit, county.coordinating_unit),
        may_merge=unit in townships or unit == county.lead_unit,
    )


class ParserCache:
    """Keeps the parsers of the version in force, and replaces them when another version comes into force."""

    def __init__(self) -> None:
        self._parsers: Parsers | None = None

    def parsers(self, county: County) -> Parsers:
        """Return the parsers for this version of the county's data."""
        if self._parsers is None or self._parsers.county is not county:
            self._parsers = Parsers(county)
        return self._parsers
