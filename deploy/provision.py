"""Make the broker and the database what the contracts say: topics, users, access lists, schemas and roles.

Everything comes from ``contracts.topics`` and the county's units; nothing here names a topic. Running it again
changes only what differs, and :func:`compare` reads back what the broker holds.
"""

import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import asyncpg
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from contracts.county import County
from contracts.topics import DAY, SERVICES, ProvisionedTopic, provisioned_topics
from deploy.progress import BETWEEN, PATIENCE, Progress, start_limit

BETWEEN_LOOKS = 0.05
"""Seconds between two looks at what has reached a broker."""
PARTS = "topics, lines and users"
MAX_RECORD_BYTES = 1024 * 1024
"""Largest batch a topic takes; ``runtime.settings.Settings.max_event_bytes`` lies below it."""
SCRAM_ITERATIONS = 4096
"""What RFC 7677 asks for at least; passwords are random, so more would only slow the log-in."""
OPERATOR_ROLE = "operator"
"""The database role of the ops team's tools: reads every service's schema, writes none."""


T = TypeVar("T")


class ProvisioningError(Exception):
    """The broker or the database refused a part of the installation. Says which and why, never a password."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One line of an access list: a principal may do an operation on one topic, a group prefix or the cluster."""

    principal: str
    resource: str
    """``topic``, ``group`` or ``cluster``."""
    name: str
    """A topic's name; for ``group`` a prefix."""
    operation: str
    """``READ``, ``WRITE``, ``DESCRIBE`` or ``IDEMPOTENT_WRITE``."""


@dataclass(frozen=True, slots=True)
class WantedTopic:
    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a county's broker must hold."""

    topics: tuple[WantedTopic, ...]
    grants: frozenset[Grant]
    principals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """How the broker differs from what is wanted. Truthy when it does."""

    missing_topics: tuple[str, ...] = ()
    wrong_partitions: tuple[str, ...] = ()
    wrong_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Topic -> setting -> the value it should have."""
    missing_grants: frozenset[Grant] = frozenset()
    surplus_grants: frozenset[Grant] = frozenset()
    missing_users: tuple[str, ...] = ()

    def parts(self) -> int:
        """How many things differ."""
        return sum(
            map(
                len,
                (
                    self.missing_topics,
                    self.wrong_partitions,
                    self.wrong_configs,
                    self.missing_grants,
                    self.surplus_grants,
                    self.missing_users,
                ),
            )
        )

    def __bool__(self) -> bool:
        return self.parts() > 0


def wanted(county: County, partitions: int) -> Wanted:
    """Topics, access lists and users of a county.

    ``partitions``: of the topics that the services share. How many copies of each is the brokers' own to say
    (``default.replication.factor``).
    """
    topics = tuple(county_topics(county))
    grants = {grant for topic in topics for grant in _grants_on(topic)}
    principals = sorted({principal for topic in topics for principal in (*topic.writers, *topic.readers)})
    for principal in principals:
        prefix = group_prefix(principal)
        grants |= {Grant(principal, "group", prefix, "READ"), Grant(principal, "group", prefix, "DESCRIBE")}
    writers = {principal for topic in topics for principal in topic.writers}
    grants |= {Grant(principal, "cluster", "kafka-cluster", "IDEMPOTENT_WRITE") for principal in writers}
    return Wanted(
        tuple(
            WantedTopic(
                topic.name,
                partitions if topic.topic.partitions == "services" else 1,
                _configs(topic),
            )
            for topic in topics
        ),
        frozenset(grants),
        tuple(principals),
    )


def county_topics(county: County) -> Iterable[ProvisionedTopic]:
    """Every topic that a county has."""
    return provisioned_topics((unit.id, unit.families) for unit in county.units)


def group_prefix(principal: str) -> str:
    """How the names of a principal's consumer groups begin."""
    return f"hutong.{principal}." if principal in SERVICES else f"{principal}."


def compare(admin: AdminClient, want: Wanted) -> Difference:
    """Read back what the broker holds. Surplus: an access that ``contracts.topics`` does not give."""
    return _compare(admin, want, {topic.name for topic in want.topics})


def _compare(admin: AdminClient, want: Wanted, with_configs: Container[str]) -> Difference:
    """As :func:`compare`, with the settings of some topics only: they are the slow part of it."""
    there = admin.list_topics(timeout=PATIENCE).topics
    existing = [topic for topic in want.topics if topic.name in there]
    held = _held_grants(admin)
    return Difference(
        missing_topics=tuple(topic.name for topic in want.topics if topic.name not in there),
        wrong_partitions=tuple(
            topic.name for topic in existing if len(there[topic.name].partitions) != topic.partitions
        ),
        wrong_configs=_wrong_configs(admin, [topic for topic in existing if topic.name in with_configs]),
        missing_grants=want.grants - held.keys(),
        surplus_grants=frozenset(held.keys() - want.grants),
        missing_users=tuple(sorted(set(want.principals) - _held_users(admin))),
    )


def provision_broker(
    admin: AdminClient, want: Wanted, passwords: Mapping[str, str], renew: Iterable[str] = ()
) -> Difference:
    """Bring the broker to what is wanted and say what had to be changed.

    ``passwords``: of every principal; ``renew``: principals whose password is set even though the user exists. It
    waits for the broker as long as that makes progress.

    Raises:
        ProvisioningError: the broker refused something, or a topic has another number of partitions than
            configured (that is never changed in place).
        NoProgressError: nothing more was made.
    """
    progress = Progress("the making of topics, users and access lists", "the broker's log says what it does")
    try:
        found = compare(admin, want)
        if found.wrong_partitions:
            raise ProvisioningError(
                f"topics {', '.join(found.wrong_partitions)} have another number of partitions than configured; "
                "the number is never changed in place"
            )
        users = sorted({*found.missing_users, *renew})
        asked = [
            *_create_topics(admin, [topic for topic in want.topics if topic.name in found.missing_topics]),
            *_alter_configs(admin, found.wrong_configs),
            *_create_grants(admin, sorted(found.missing_grants)),
            *_delete_grants(admin, found.surplus_grants),
            *_set_passwords(admin, {user: passwords[user] for user in users}),
        ]
        _await(asked, progress)
        if found or users:
            _wait_until_known(admin, want, found, progress)
    except KafkaException as error:
        raise ProvisioningError(f"the broker refused: {_reason(error)}") from error
    return found


Asked = tuple[Any, "Future[Any]"]
"""A part of a request (a topic, a line, a user), and what will be answered to it."""
BATCH = 64
"""Parts of one request: a slow broker answers each in reasonable time, and each answer is progress."""


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + BATCH] for start in range(0, len(things), BATCH))


def _create_topics(admin: AdminClient, missing: Sequence[WantedTopic]) -> Iterator[Asked]:
    for batch in _batches(missing):
        made = [NewTopic(topic.name, topic.partitions, config=dict(topic.configs)) for topic in batch]
        yield from admin.create_topics(made, operation_timeout=_limit(), request_timeout=_limit()).items()


def _alter_configs(admin: AdminClient, wrong: Mapping[str, Mapping[str, str]]) -> Iterator[Asked]:
    for batch in _batches(list(wrong.items())):
        resources = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in configs.items()
                ],
            )
            for topic, configs in batch
        ]
        yield from admin.incremental_alter_configs(resources, request_timeout=_limit()).items()


def _create_grants(admin: AdminClient, missing: Sequence[Grant]) -> Iterator[Asked]:
    for batch in _batches(missing):
        yield from admin.create_acls([_binding(grant) for grant in batch], request_timeout=_limit()).items()


def _delete_grants(admin: AdminClient, surplus: Collection[Grant]) -> Iterator[Asked]:
    if not surplus:
        return
    held = _held_grants(admin)
    for batch in _batches(sorted(surplus & held.keys())):
        lines = [_filter(held[grant]) for grant in batch]
        yield from admin.delete_acls(lines, request_timeout=_limit()).items()


def _set_passwords(admin: AdminClient, passwords: Mapping[str, str]) -> Iterator[Asked]:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    for batch in _batches(list(passwords.items())):
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, how, password.encode()) for user, password in batch
        ]
        yield from admin.alter_user_scram_credentials(changes, request_timeout=_limit()).items()


def _limit() -> float:
    """Seconds for a request in all; its progress is watched beside. The client allows no more than an hour."""
    return min(start_limit(), 3600.0)


def _await(asked: Sequence[Asked], progress: Progress) -> None:
    """Until everything is answered; the first refusal ends it."""
    waiting = {future for _, future in asked}
    while waiting:
        _, waiting = wait(waiting, timeout=BETWEEN)
        progress.look(len(asked) - len(waiting), PARTS)
    for what, future in asked:
        try:
            future.result()
        except KafkaException as error:
            raise ProvisioningError(f"the broker refused {what}: {_reason(error)}") from error


def _wait_until_known(admin: AdminClient, want: Wanted, found: Difference, progress: Progress) -> None:
    """The controller has agreed; a broker answers and admits by what has reached it since.

    A topic that it knows it knows with its settings, so that only changed ones are read again.
    """
    parts = found.parts()
    while left := _compare(admin, want, found.wrong_configs):
        progress.look(2 * parts - left.parts(), PARTS)
        time.sleep(BETWEEN_LOOKS)


def _configs(topic: ProvisionedTopic) -> dict[str, str]:
    days = topic.topic.retention_days
    configs = {
        "max.message.bytes": str(MAX_RECORD_BYTES),
        # Retention counts from arrival: a unit's wrong clock, or a replayed year, must not age a record.
        "message.timestamp.type": "LogAppendTime",
        # A segment is dropped whole, so that one that never closes would keep identity past its days.
        "segment.ms": str(DAY),
    }
    if topic.topic.compacted:
        configs |= {
            "cleanup.policy": "compact",
            # Cleaned within half the bound, so that a closed referral is gone within the whole of it.
            "max.compaction.lag.ms": str(days * DAY // 2),
            "min.cleanable.dirty.ratio": "0.1",
            "delete.retention.ms": str(days * DAY),
        }
    else:
        configs |= {"cleanup.policy": "delete", "retention.ms": str(days * DAY)}
    return configs


def _grants_on(topic: ProvisionedTopic) -> Iterable[Grant]:
    for writer in topic.writers:
        yield Grant(writer, "topic", topic.name, "WRITE")
        yield Grant(writer, "topic", topic.name, "DESCRIBE")
    for reader in topic.readers:
        yield Grant(reader, "topic", topic.name, "READ")
        yield Grant(reader, "topic", topic.name, "DESCRIBE")


_RESOURCES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}


def _pattern(resource: str) -> ResourcePatternType:
    return ResourcePatternType.PREFIXED if resource == "group" else ResourcePatternType.LITERAL


def _binding(grant: Grant) -> AclBinding:
    return AclBinding(
        _RESOURCES[grant.resource],
        grant.name,
        _pattern(grant.resource),
        f"User:{grant.principal}",
        "*",
        AclOperation[grant.operation],
        AclPermissionType.ALLOW,
    )


def _filter(binding: AclBinding) -> AclBindingFilter:
    """Exactly this line."""
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _held_grants(admin: AdminClient) -> dict[Grant, AclBinding]:
    anyone = cast(str, None)
    anything = AclBindingFilter(
        ResourceType.ANY,
        anyone,
        ResourcePatternType.ANY,
        anyone,
        anyone,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    words = {kind: word for word, kind in _RESOURCES.items()}
    held: dict[Grant, AclBinding] = {}
    for binding in admin.describe_acls(anything, request_timeout=PATIENCE).result():
        word = words.get(binding.restype, binding.restype.name.lower())
        right_form = (
            binding.permission_type == AclPermissionType.ALLOW
            and binding.host == "*"
            and binding.resource_pattern_type == _pattern(word)
        )
        # A line of another form (a denial, a prefix on topics, one host) is a difference too; its name shows it.
        form = f"{binding.permission_type.name} {binding.resource_pattern_type.name} {binding.host}"
        name = binding.name if right_form else f"{binding.name} ({form})"
        held[Grant(binding.principal.removeprefix("User:"), word, name, binding.operation.name)] = binding
    return held


def _held_users(admin: AdminClient) -> set[str]:
    described = cast("Future[dict[str, Any]]", admin.describe_user_scram_credentials(None, request_timeout=PATIENCE))
    return set(described.result())


def _wrong_configs(admin: AdminClient, topics: Sequence[WantedTopic]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    answers = admin.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics], request_timeout=PATIENCE
    )
    held = {resource.name: answer.result() for resource, answer in answers.items()}
    wrong = {
        topic.name: {name: value for name, value in topic.configs.items() if held[topic.name][name].value != value}
        for topic in topics
    }
    return {topic: configs for topic, configs in wrong.items() if configs}


def _reason(error: KafkaException) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


# ---------------------------------------------------------------- database

# A frozen process must let go of its cursor before its successor loses patience, whatever its settings said.
_IDLE_IN_TRANSACTION = "5s"


async def provision_database(admin_dsn: str, database: str, passwords: Mapping[str, str]) -> None:
    """A database with one schema and one role for each service, none of which can read another's.

    ``admin_dsn``: a superuser's, on any existing database of the server. ``passwords``: of every service and of
    ``OPERATOR_ROLE``. Running it again sets the passwords anew and changes nothing else.

    Raises:
        ProvisioningError: the server refused something.
    """
    try:
        server = await asyncpg.connect(admin_dsn)
        try:
            if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await server.execute(f"CREATE DATABASE {_quoted(database)} ENCODING 'UTF8' TEMPLATE template0")
            for role in (*SERVICES, OPERATOR_ROLE):
                await _role(server, role, passwords[role])
        finally:
            await server.close()
        inside = await asyncpg.connect(admin_dsn, database=database)
        try:
            async with inside.transaction():
                await _shut_public(inside, database)
                for service in SERVICES:
                    await _schema(inside, database, service)
        finally:
            await inside.close()
    except (asyncpg.PostgresError, OSError) as error:
        raise ProvisioningError(f"the database refused: {error}") from error


async def _role(server: "asyncpg.Connection[asyncpg.Record]", role: str, password: str) -> None:
    verb = "ALTER" if await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    statement = await server.fetchval(
        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD %L', "
        "$1::text, $2::text, $3::text)",
        verb,
        role,
        password,
    )
    await server.execute(statement)


async def _shut_public(inside: "asyncpg.Connection[asyncpg.Record]", database: str) -> None:
    await inside.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")
    await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    await inside.execute(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(OPERATOR_ROLE)}")


async def _schema(inside: "asyncpg.Connection[asyncpg.Record]", database: str, service: str) -> None:
    role, place, operator = _quoted(service), _quoted(database), _quoted(OPERATOR_ROLE)
    await inside.execute(f"CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role}")
    await inside.execute(f"GRANT CONNECT ON DATABASE {place} TO {role}")
    await inside.execute(f"ALTER ROLE {role} IN DATABASE {place} SET search_path = {role}")
    await inside.execute(
        f"ALTER ROLE {role} IN DATABASE {place} SET idle_in_transaction_session_timeout = '{_IDLE_IN_TRANSACTION}'"
    )
    await inside.execute(f"GRANT USAGE ON SCHEMA {role} TO {operator}")
    await inside.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {operator}")
    await inside.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {role} GRANT SELECT ON TABLES TO {operator}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
