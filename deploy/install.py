"""Install Hutong on running servers: provision the broker and the database, migrate, activate the county."""

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
from deploy.progress import ProgressMonitor
from deploy.provision import broker_spec, provision_broker, provision_database
from services.eligibility.requirements import REQUIREMENTS

NAMESPACE = UUID("c2d2b1de-30c4-5b0a-8f3c-6b4a9b1b7c30")
BROKER_TIMEOUT = 30.0


class ActivationError(Exception):
    """The broker did not accept the county's data. The message gives the reason."""


def read_county(folder: Path, home: Path) -> County:
    """Read a county's folder. A log-in whose agency has provided no public key gets a pair of this installation's.

    Raises:
        CountyInvalid: the folder has problems; the exception lists them.
    """
    if problems := check(folder, REQUIREMENTS):
        raise CountyInvalid(problems)
    plain = load(folder)
    keys = agency_keys(home, [principal for unit in plain.units for principal in _missing_keys(unit).values()])
    units = tuple(
        unit.model_copy(update={name: keys[principal] for name, principal in _missing_keys(unit).items()})
        for unit in plain.units
    )
    return plain.model_copy(update={"units": units})


def _missing_keys(unit: Unit) -> dict[str, str]:
    """Return the public keys that disclosures need and the unit lacks: attribute -> principal."""
    needed = {}
    if "agency" in unit.families:
        needed["public_key"] = unit.id
    if "restricted_agency" in unit.families:
        needed["restricted_public_key"] = f"{unit.id}-restricted"
    return {name: principal for name, principal in needed.items() if getattr(unit, name) is None}


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of the broker and the database, and their administrators' log-ins."""

    bootstrap: str
    admin_password: str = field(repr=False)
    postgres_host: str
    postgres_port: int
    postgres_admin: str = field(repr=False)
    """Data source name of a superuser."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the addresses of a running embedded stack (``LocalStack.state``): loopback or else its socket."""
        kafka, postgres = state["kafka"], state["postgres"]
        return cls(
            kafka["bootstrap"],
            kafka["admin_password"],
            HOST if postgres["port"] else postgres["socket_directory"],
            postgres["port"] or SOCKET_PORT,
            postgres["superuser_dsn"],
        )


async def install(servers: Servers, home: Path, county: County, partitions: int) -> Installation:
    """Prepare and provision running servers for this version of the code. It is idempotent.

    Raises:
        ProvisioningError: the broker or the database refused a part.
        NoProgressError: one of them stalled.
    """
    installation = prepare(servers, home, county, partitions)
    await provision(installation, county)
    return installation


def preload() -> None:
    """Import the modules that provisioning needs, which takes half a second, while the servers start."""
    import runtime.storage.migrations  # noqa: F401


def prepare(servers: Servers, home: Path, county: County, partitions: int) -> Installation:
    """Write the installation's folder for these servers; its services can load from then on."""
    return Installation.prepare(
        home,
        county,
        partitions,
        bootstrap=servers.bootstrap,
        admin_password=servers.admin_password,
        postgres_host=servers.postgres_host,
        postgres_port=servers.postgres_port,
        postgres_admin=servers.postgres_admin,
    )


async def provision(installation: Installation, county: County) -> None:
    """Create in the broker and the database everything that the services need.

    Raises:
        ProvisioningError: the broker or the database refused a part.
        NoProgressError: one of them stalled.
    """
    broker = asyncio.to_thread(
        lambda: provision_broker(
            AdminClient(installation.kafka(ADMIN)), broker_spec(county, installation.partitions), installation.users
        )
    )
    await asyncio.gather(broker, _database(installation))


async def _database(installation: Installation) -> None:
    from runtime.settings import Settings
    from runtime.storage.migrations import migrate

    applied: list[str] = []

    async def make() -> None:
        await provision_database(installation.postgres_admin, DATABASE, installation.roles)
        applied.append(DATABASE)
        await asyncio.gather(*(migrations(service) for service in SERVICES))

    async def migrations(service: str) -> None:
        settings = Settings.from_environment(installation.settings_env(service))
        await migrate(service, settings, Path(services.__path__[0]) / service / "migrations", applied.append)
        applied.append(service)

    progress = ProgressMonitor("provisioning the database", "see PostgreSQL's log")
    await progress.run(make(), lambda: len(applied), "migrations")


def in_force(installation: Installation, today: date) -> County | None:
    """Return the version of the county's data in force on a day, chosen as the services choose it.

    Raises:
        BrokerRefusedError: the broker does not answer.
    """
    client = KafkaClient(installation.kafka(ADMIN), ADMIN)
    held: dict[str, CountyActivated] = {}
    try:
        for record in client.read_new(COUNTY.name):
            if record.body is not None:
                event = CountyActivated.model_validate(record.body)
                held.pop(event.county.version, None)  # a repeated activation counts as the latest
                held[event.county.version] = event
    finally:
        client.close()
    if not held:
        return None
    in_effect = [event for event in reversed(held.values()) if event.active_from <= today]
    if in_effect:
        return max(in_effect, key=lambda event: event.active_from).county
    return min(held.values(), key=lambda event: event.active_from).county


def activate(installation: Installation, county: County, active_from: date, by: str) -> UUID:
    """Put this version of the county's data in force from a day on and return the event's id.

    ``by`` is the role and unit of the responsible person. The same arguments give the same event.

    Raises:
        ActivationError: the broker did not accept it.
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
    results: list[KafkaError | None] = []
    # A duplicate is the same event, so the slower start of an idempotent producer has no benefit.
    producer = Producer({**installation.kafka("operator"), "acks": "all"})
    producer.produce(
        event.topic_name,
        event.model_dump_json().encode(),
        event.key.encode(),
        headers=list(envelope.headers()),
        on_delivery=lambda error, _record: results.append(error),
    )
    producer.flush(BROKER_TIMEOUT)
    if results != [None]:
        raise ActivationError(results[0].str() if results and results[0] is not None else "the broker did not answer")
    return event_id
