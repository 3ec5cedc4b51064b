"""The county's units as notify needs them: their inboxes, their short names, who leads and who is on duty."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.county import County
from contracts.vocabulary import TOWNSHIP
from services.notify.domain.addressing import Address, UnitInbox, address


@dataclass(frozen=True, slots=True)
class UnitDirectory:
    """Looks up units. ``inboxes`` and ``names`` are keyed by unit id."""

    county: County
    inboxes: Mapping[str, UnitInbox]
    names: Mapping[str, str]

    @classmethod
    def of(cls, county: County) -> "UnitDirectory":
        return cls(
            county,
            {
                unit.id: UnitInbox(unit.parent, unit.inbox, unit.receives_restricted, unit.recipient)
                for unit in county.units
            },
            {unit.id: unit.short for unit in county.units},
        )

    @property
    def lead(self) -> str:
        return self.county.lead_unit

    @property
    def duty(self) -> str:
        """The unit whose duty officer an alarm reaches."""
        return self.county.duty_unit

    def resolve(self, unit: str, township: str | None) -> str:
        """Return the unit itself, or the unit of the township where a route names only "township"."""
        if unit != TOWNSHIP:
            return unit
        town = self.county.township(township)
        return town.unit if town is not None else self.county.lead_unit

    def sending_unit(self, unit: str | None) -> str | None:
        """Return the unit that a smaller place reports through: the name of a school would reveal too much."""
        sender = self.county.sending_unit(unit) if unit is not None else None
        return unit if sender is None else sender.id

    def address(self, unit: str, *, restricted: bool) -> Address:
        return address(self.inboxes, self.lead, unit, restricted=restricted)
