"""The versions of the county's data that a service has read from ``county.v1``, and the county's clock."""

from contracts.clock import DayBegan, TimePassed
from contracts.county import County, CountyActivated
from contracts.event import at_midnight
from runtime.errors import RetryLater
from runtime.handlers import Batch, OutboundEvent
from runtime.observe.logs import log
from runtime.storage import sql
from runtime.storage.database import Session
from runtime.transaction import Tx


class Counties:
    """Loads the versions that batches need, and caches them."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._counties: dict[str, County] = {}

    async def get(self, session: Session, version: str | None) -> County:
        """Return the county's data of one stored version.

        Raises:
            RetryLater: no version has been activated.
        """
        if version is None:
            raise RetryLater("no county is active")
        county = self._counties.get(version)
        if county is None:
            name, _, position = version.rpartition("@")
            body = await session.fetchval(sql.COUNTY, name, int(position))
            if body is None:
                raise RetryLater("the county was activated again")
            county = County.model_validate_json(body)
            if len(self._counties) > 8:
                self._counties.clear()
            self._counties[version] = county
        return county

    async def on_county(self, batch: Batch[CountyActivated], tx: Tx) -> list[OutboundEvent]:
        """Store activated versions of the county's data."""
        for inbound in batch.events:
            event = inbound.event
            if event.county.code != self._code:
                continue
            await tx.execute(sql.DROP_COUNTY, event.county.version)
            await tx.execute(
                sql.NEW_COUNTY,
                event.county.version,
                event.active_from,
                event.activated_by,
                event.county.model_dump_json(),
            )
            log.info("county_activated", version=event.county.version, active_from=event.active_from.isoformat())
        return []

    async def on_clock(self, batch: Batch[TimePassed | DayBegan], tx: Tx) -> list[OutboundEvent]:
        """Store the last time that the county's clock has published."""
        moments = [
            event.at if isinstance(event, TimePassed) else at_midnight(event.day)
            for event in (inbound.event for inbound in batch.events)
        ]
        await tx.execute(sql.SET_NOW, max(moments))
        return []
