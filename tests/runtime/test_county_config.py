"""What a service stores of ``county.v1``."""

from datetime import date
from uuid import uuid4

from contracts.county import CountyActivated
from contracts.topics import COUNTY
from runtime import Batch, Service
from runtime.county_config import Counties
from runtime.handlers import InboundEvent
from tests.runtime.harness import COUNTY_CODE, ModelSystem, county


async def test_the_data_of_another_county_is_not_stored(system: ModelSystem, service: Service) -> None:
    own = county().model_copy(update={"version": "2"})
    foreign = own.model_copy(update={"code": "999902", "version": "3"})
    events = [
        CountyActivated(county=which, active_from=date(2026, 1, 1), activated_by="测试") for which in (own, foreign)
    ]
    inbound = [
        InboundEvent(event, system.envelope(event.kind, event.key, uuid4()), COUNTY.name, 0, offset)
        for offset, event in enumerate(events)
    ]
    batch = Batch(inbound, COUNTY.name, 0, None, None, own, system.partitions)
    async with service.context.pool.acquire() as session, session.transaction():
        await Counties(COUNTY_CODE).on_county(batch, session)
    stored = await service.context.pool.fetch("SELECT version FROM county ORDER BY version")
    assert [row["version"] for row in stored] == ["1", "2"], "the fixture has stored the first"
