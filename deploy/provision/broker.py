"""Compares the broker with its spec, and changes what differs, many items in one request."""

import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

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

from deploy.progress import POLL_INTERVAL, STALL_TIMEOUT, ProgressMonitor, start_limit
from deploy.provision.errors import ProvisioningError
from deploy.provision.spec import BrokerSpec, Grant, TopicSpec

VISIBILITY_POLL_INTERVAL = 0.05
"""Seconds between two checks of whether a change is visible on the broker."""
PARTS = "topics, access entries and users"
SCRAM_ITERATIONS = 4096
"""The minimum of RFC 7677; passwords are random, so more iterations would only slow the log-in."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between the broker and its spec. It is falsy when there is none."""

    missing_topics: tuple[str, ...] = ()
    wrong_partitions: tuple[str, ...] = ()
    wrong_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Topic -> setting -> required value."""
    missing_grants: frozenset[Grant] = frozenset()
    surplus_grants: frozenset[Grant] = frozenset()
    missing_users: tuple[str, ...] = ()

    def size(self) -> int:
        """Return the number of differences."""
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
        return self.size() > 0


def compare(admin: AdminClient, spec: BrokerSpec) -> Difference:
    """Compare the broker with its spec. A surplus grant is one that ``contracts.topics`` does not give."""
    return _compare(admin, spec, {topic.name for topic in spec.topics})


def _compare(admin: AdminClient, spec: BrokerSpec, with_configs: Container[str]) -> Difference:
    """Compare as :func:`compare` does, with the settings of these topics only, since reading settings is slow."""
    there = admin.list_topics(timeout=STALL_TIMEOUT).topics
    existing = [topic for topic in spec.topics if topic.name in there]
    held = _existing_grants(admin)
    return Difference(
        missing_topics=tuple(topic.name for topic in spec.topics if topic.name not in there),
        wrong_partitions=tuple(
            topic.name for topic in existing if len(there[topic.name].partitions) != topic.partitions
        ),
        wrong_configs=_wrong_configs(admin, [topic for topic in existing if topic.name in with_configs]),
        missing_grants=spec.grants - held.keys(),
        surplus_grants=frozenset(held.keys() - spec.grants),
        missing_users=tuple(sorted(set(spec.principals) - _existing_users(admin))),
    )


def provision_broker(
    admin: AdminClient, spec: BrokerSpec, passwords: Mapping[str, str], renew: Iterable[str] = ()
) -> Difference:
    """Apply the spec to the broker and return the differences that there were.

    ``passwords`` holds every principal's; ``renew`` names principals whose password is set even if the user exists. It
    waits as long as the broker makes progress.

    Raises:
        ProvisioningError: the broker refused something, or a topic has another number of partitions than
            configured, which is never changed in place.
        NoProgressError: the broker stalled.
    """
    progress = ProgressMonitor("provisioning the broker", "see the broker's log")
    try:
        found = compare(admin, spec)
        if found.wrong_partitions:
            raise ProvisioningError(
                f"topics {', '.join(found.wrong_partitions)} have another number of partitions than configured; "
                "the number is never changed in place"
            )
        users = sorted({*found.missing_users, *renew})
        asked = [
            *_create_topics(admin, [topic for topic in spec.topics if topic.name in found.missing_topics]),
            *_alter_configs(admin, found.wrong_configs),
            *_create_grants(admin, sorted(found.missing_grants)),
            *_delete_grants(admin, found.surplus_grants),
            *_set_passwords(admin, {user: passwords[user] for user in users}),
        ]
        _await(asked, progress)
        if found or users:
            _wait_until_visible(admin, spec, found, progress)
    except KafkaException as error:
        raise ProvisioningError(f"the broker refused: {_reason(error)}") from error
    return found


PendingRequest = tuple[Any, "Future[Any]"]
"""One item of a request (a topic, an access entry, a user) and the future of its answer."""
BATCH = 64
"""Items of one request: small enough for a slow broker, and each answer counts as progress."""


def _batches(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + BATCH] for start in range(0, len(things), BATCH))


def _create_topics(admin: AdminClient, missing: Sequence[TopicSpec]) -> Iterator[PendingRequest]:
    for batch in _batches(missing):
        made = [NewTopic(topic.name, topic.partitions, config=dict(topic.configs)) for topic in batch]
        yield from admin.create_topics(
            made, operation_timeout=_request_timeout(), request_timeout=_request_timeout()
        ).items()


def _alter_configs(admin: AdminClient, wrong: Mapping[str, Mapping[str, str]]) -> Iterator[PendingRequest]:
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
        yield from admin.incremental_alter_configs(resources, request_timeout=_request_timeout()).items()


def _create_grants(admin: AdminClient, missing: Sequence[Grant]) -> Iterator[PendingRequest]:
    for batch in _batches(missing):
        yield from admin.create_acls([_binding(grant) for grant in batch], request_timeout=_request_timeout()).items()


def _delete_grants(admin: AdminClient, surplus: Collection[Grant]) -> Iterator[PendingRequest]:
    if not surplus:
        return
    held = _existing_grants(admin)
    for batch in _batches(sorted(surplus & held.keys())):
        lines = [_filter(held[grant]) for grant in batch]
        yield from admin.delete_acls(lines, request_timeout=_request_timeout()).items()


def _set_passwords(admin: AdminClient, passwords: Mapping[str, str]) -> Iterator[PendingRequest]:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    for batch in _batches(list(passwords.items())):
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, how, password.encode()) for user, password in batch
        ]
        yield from admin.alter_user_scram_credentials(changes, request_timeout=_request_timeout()).items()


def _request_timeout() -> float:
    """Return the seconds that a request may take, at most an hour; its progress is checked separately."""
    return min(start_limit(), 3600.0)


def _await(asked: Sequence[PendingRequest], progress: ProgressMonitor) -> None:
    """Wait for all answers and raise the first refusal."""
    waiting = {future for _, future in asked}
    while waiting:
        _, waiting = wait(waiting, timeout=POLL_INTERVAL)
        progress.check(len(asked) - len(waiting), PARTS)
    for what, future in asked:
        try:
            future.result()
        except KafkaException as error:
            raise ProvisioningError(f"the broker refused {what}: {_reason(error)}") from error


def _wait_until_visible(admin: AdminClient, spec: BrokerSpec, found: Difference, progress: ProgressMonitor) -> None:
    """Wait until the changes, which the controller has accepted, are visible on the broker.

    A new topic becomes visible together with its settings, so only altered settings are read again.
    """
    parts = found.size()
    while left := _compare(admin, spec, found.wrong_configs):
        progress.check(2 * parts - left.size(), PARTS)
        time.sleep(VISIBILITY_POLL_INTERVAL)


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
    """Return a filter that matches exactly this entry."""
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _existing_grants(admin: AdminClient) -> dict[Grant, AclBinding]:
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
    for binding in admin.describe_acls(anything, request_timeout=STALL_TIMEOUT).result():
        word = words.get(binding.restype, binding.restype.name.lower())
        right_form = (
            binding.permission_type == AclPermissionType.ALLOW
            and binding.host == "*"
            and binding.resource_pattern_type == _pattern(word)
        )
        # An entry of another form (a denial, a prefix on topics, one host) is a difference too; its name shows it.
        form = f"{binding.permission_type.name} {binding.resource_pattern_type.name} {binding.host}"
        name = binding.name if right_form else f"{binding.name} ({form})"
        held[Grant(binding.principal.removeprefix("User:"), word, name, binding.operation.name)] = binding
    return held


def _existing_users(admin: AdminClient) -> set[str]:
    described = cast(
        "Future[dict[str, Any]]", admin.describe_user_scram_credentials(None, request_timeout=STALL_TIMEOUT)
    )
    return set(described.result())


def _wrong_configs(admin: AdminClient, topics: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    answers = admin.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics], request_timeout=STALL_TIMEOUT
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

# A frozen process must release its cursor before its successor times out.
