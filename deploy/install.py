"""Installs Hutong on running servers: provisions the broker and the database, migrates, activates the county."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient

import services
from client.kafka_client import KafkaClient
from contracts.county import County, CountyActivated, Unit
from contracts.event import Envelope, at_midnight
from contracts.topics import COUNTY, SERVICES
from county.checks import check
from county.problem import CountyInvalid
from county.reader import load
from deploy.embedded.files import HOST, SOCKET_PORT
from deploy.installation import ADMIN, DATABASE, Installation, agency_keys
from deploy.provision import provision_broker, provision_database, wanted
from services.eligibility.requirements import REQUIREMENTS

NAMESPACE = UUID("c2d2b1de-30c4-5b0a-8f3c-6b4a9b1b7c30")
PATIENCE = 30.0


class ActivationError(Exception):
    """The broker did not take the county's data. Says why."""


def read_county(folder: Path, home: Path) -> County:
    """The county of a folder. A log-in whose agency has handed in no public key gets a pair of this installation's.

    Raises:
        CountyInvalid: the folder is no county, or something is wrong with it.
    """
    if problems := check(folder, REQUIREMENTS):
        raise CountyInvalid(problems)
    plain = load(folder)
    keys = agency_keys(home, [principal for unit in plain.units for principal in _lacking(unit).values()])
    units = tuple(
        unit.model_copy(update={name: keys[principal] for name, principal in _lacking(unit).items()})
        for unit in plain.units
    )
    return plain.model_copy(update={"units": units})


def _lacking(unit: Unit) -> dict[str, str]:
    """The public keys that disclosures to the unit need and that it has not handed in -> whose they are."""
    needed = {}
    if "agency" in unit.families:
        needed["public_key"] = unit.id
    if "restricted_agency" in unit.families:
        needed["restricted_public_key"] = f"{unit.id}-restricted"
    return {name: principal for name, principal in needed.items() if getattr(unit, name) is None}


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the broker and the database are, and how their administrators log in."""

    bootstrap: str
    admin_password: str = field(repr=False)
    postgres_host: str
    postgres_port: int
    postgres_admin: str = field(repr=False)
    """Data source name of a superuser."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Of a running embedded stack (``LocalStack.state``): on loopback if it listens there, else by its socket."""
        kafka, postgres = state["kafka"], state["postgres"]
        return cls(
            kafka["bootstrap"],
            kafka["admin_password"],
            HOST if postgres["port"] else postgres["socket_directory"],
            postgres["port"] or SOCKET_PORT,
            postgres["superuser_dsn"],
        )


async def install(servers: Servers, home: Path, county: County, partitions: int) -> Installation:
    """Bring running servers to what this version of the code needs; safe to run again.

    Raises:
        ProvisioningError: the broker or the database refused a part.
    """
    installation = Installation.prepare(
        home,
        county,
        partitions,
        bootstrap=servers.bootstrap,
        admin_password=servers.admin_password,
        postgres_host=servers.postgres_host,
        postgres_port=servers.postgres_port,
        postgres_admin=servers.postgres_admin,
    )
    broker = asyncio.to_thread(
        lambda: provision_broker(
            AdminClient(installation.kafka(ADMIN)), wanted(county, installation.partitions), installation.users
        )
    )
    await asyncio.gather(broker, _database(installation))
    return installation


async def _database(installation: Installation) -> None:
    from runtime.migrations import migrate
    from runtime.settings import Settings

    await provision_database(installation.postgres_admin, DATABASE, installation.roles)
    folder = Path(services.__path__[0])
    await asyncio.gather(
        *(
            migrate(
                service, Settings.from_environment(installation.settings_env(service)), folder / service / "migrations"
            )
            for service in SERVICES
        )
    )


def in_force(installation: Installation, today: date) -> County | None:
    """The county's data that rules on a day, chosen among what was activated as the services choose it.

    Raises:
        BrokerRefusedError: the broker does not answer.
    """
    client = KafkaClient(installation.kafka(ADMIN), ADMIN)
    held: dict[str, CountyActivated] = {}
    try:
        for record in client.read_new(COUNTY.name):
            if record.body is not None:
                event = CountyActivated.model_validate(record.body)
                held.pop(event.county.version, None)  # a version activated again is a later word
                held[event.county.version] = event
    finally:
        client.close()
    if not held:
        return None
    ruling = [event for event in reversed(held.values()) if event.active_from <= today]
    if ruling:
        return max(ruling, key=lambda event: event.active_from).county
    return min(held.values(), key=lambda event: event.active_from).county


def activate(installation: Installation, county: County, active_from: date, by: str) -> UUID:
    """Put this version of the county's data in force from a day on; the id of the event.

    ``by``: role and unit of the named person. Said again, it is the same event.

    Raises:
        ActivationError: the broker did not take it.
    """
    event = CountyActivated(county=county, active_from=active_from, activated_by=by)
    event_id = uuid5(NAMESPACE, f"{event.key}/{active_from}/{by}")
    envelope = Envelope(
        id=event_id,
        source="operator",
        type=event.kind,
        time=at_midnight(active_from),
        key=event.key,
        county=county.code,
        correlation=event_id,
    )
    told: list[KafkaError | None] = []
    producer = Producer({**installation.kafka("operator"), "acks": "all", "enable.idempotence": True})
    producer.produce(
        event.topic_name,
        event.model_dump_json().encode(),
        event.key.encode(),
        headers=list(envelope.headers()),
        on_delivery=lambda error, _record: told.append(error),
    )
    producer.flush(PATIENCE)
    if told != [None]:
        raise ActivationError(told[0].str() if told and told[0] is not None else "the broker did not answer")
    return event_id
