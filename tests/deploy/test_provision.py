"""The broker and the database match the contracts: their state is read back and access is tried."""

import time

import asyncpg
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from contracts import topics
from contracts.county import County
from deploy import acl_check, provision
from deploy.installation import Installation
from tests.conftest import Database


def test_the_broker_has_exactly_the_topics_users_and_access_of_the_contracts(
    installed: Installation, county: County
) -> None:
    """Every topic, setting and user exists, and no principal may do more or less than the contracts grant."""
    admin = AdminClient(installed.kafka("admin"))

    assert provision.compare(admin, provision.broker_spec(county, 4)) == provision.Difference()


def test_every_writer_and_reader_of_every_topic_has_a_grant(county: County) -> None:
    """Only the principals that a topic names have a grant on it."""
    want = provision.broker_spec(county, 4)
    for named in provision.county_topics(county):
        lines = {(g.principal, g.operation) for g in want.grants if g.resource == "topic" and g.name == named.name}
        may = {(principal, "WRITE") for principal in named.writers} | {
            (principal, "READ") for principal in named.readers
        }
        assert {line for line in lines if line[1] != "DESCRIBE"} == may
        assert {principal for principal, operation in lines if operation == "DESCRIBE"} == {
            *named.writers,
            *named.readers,
        }


def test_units_never_read_submissions_of_other_departments(county: County) -> None:
    """Only intake reads identities in plain text."""
    for named in provision.county_topics(county):
        if named.topic in (topics.DEPARTMENT, topics.ACTION):
            assert named.readers == ("intake",)


def differs(admin: AdminClient, want: provision.BrokerSpec) -> provision.Difference:
    """Return the first difference found; the broker asked may receive the change later than the controller."""
    deadline = time.monotonic() + 20
    while not (difference := provision.compare(admin, want)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return difference


def test_a_surplus_grant_is_detected_and_removed(installed: Installation, county: County) -> None:
    """An access granted by hand is reported as a difference, and provisioning again removes it."""
    admin = AdminClient(installed.kafka("admin"))
    want = provision.broker_spec(county, 4)
    by_hand = AclBinding(
        ResourceType.TOPIC,
        "intake.record.v1",
        ResourcePatternType.LITERAL,
        "User:341722-jtj",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    for future in admin.create_acls([by_hand]).values():
        future.result(20)

    difference = differs(admin, want)

    assert [(g.principal, g.name) for g in difference.surplus_grants] == [("341722-jtj", "intake.record.v1")]
    provision.provision_broker(admin, want, installed.users)
    assert not provision.compare(admin, want)


@pytest.mark.parametrize(
    ("name", "pattern", "host", "permission"),
    [
        ("registry.", ResourcePatternType.PREFIXED, "*", AclPermissionType.ALLOW),
        ("registry.child.v1", ResourcePatternType.LITERAL, "127.0.0.1", AclPermissionType.ALLOW),
        ("registry.child.v1", ResourcePatternType.LITERAL, "*", AclPermissionType.DENY),
    ],
)
def test_a_grant_of_another_form_is_detected_and_removed(
    installed: Installation,
    county: County,
    name: str,
    pattern: ResourcePatternType,
    host: str,
    permission: AclPermissionType,
) -> None:
    """A prefix, a single host and a denial differ from the contracts even if the names are the same."""
    admin = AdminClient(installed.kafka("admin"))
    want = provision.broker_spec(county, 4)
    by_hand = AclBinding(ResourceType.TOPIC, name, pattern, "User:eligibility", host, AclOperation.READ, permission)
    for future in admin.create_acls([by_hand]).values():
        future.result(20)

    difference = differs(admin, want)

    assert [(grant.principal, grant.name.split()[0]) for grant in difference.surplus_grants] == [("eligibility", name)]
    provision.provision_broker(admin, want, installed.users)
    assert not provision.compare(admin, want)


def test_each_kind_of_access_is_allowed_or_denied_as_listed(installed: Installation, county: County) -> None:
    """Own topics work; another unit's, a service's and a wrong password are refused by the broker."""
    tried = list(acl_check.attempts(installed, county, "341722-jtj", "341722-gaj"))

    assert {attempt.allowed for attempt in tried} == {True, False}
    assert len(tried) == 14
    assert [attempt for attempt in tried if not attempt.as_expected] == []


def test_a_closed_referral_is_deleted_within_a_day(county: County) -> None:
    """The cleaner's lag and the retention of tombstones on compacted topics are within the limit of the contracts."""
    want = {topic.name: topic.configs for topic in provision.broker_spec(county, 4).topics}
    disclosure = want["disclosure.341722-gaj.v1"]

    assert disclosure["cleanup.policy"] == "compact"
    assert int(disclosure["max.compaction.lag.ms"]) < topics.DAY
    assert int(disclosure["delete.retention.ms"]) == topics.DAY


async def test_no_role_reads_another_service_s_schema(database: Database) -> None:
    """Each service's role works in its own schema; every other schema, and public, is closed to it."""
    passwords = {role: f"{role}-secret" for role in (*topics.SERVICES, provision.OPERATOR_ROLE)}
    await provision.provision_database(database.dsn, database.name, passwords)
    await provision.provision_database(database.dsn, database.name, passwords)

    for service in topics.SERVICES:
        own = await asyncpg.connect(database.dsn_for(service, passwords[service]))
        try:
            assert await own.fetchval("SELECT current_schema()") == service
            await own.execute("CREATE TABLE secret (word text)")
            await own.execute("INSERT INTO secret VALUES ('x')")
        finally:
            await own.close()
    for service in topics.SERVICES:
        own = await asyncpg.connect(database.dsn_for(service, passwords[service]))
        try:
            for other in topics.SERVICES:
                if other != service:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await own.fetch(f'SELECT * FROM "{other}".secret')
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await own.execute("CREATE TABLE public.here (word text)")
        finally:
            await own.close()


async def test_the_operator_reads_every_schema_and_writes_none(database: Database) -> None:
    """The ops team's tools see every service's tables and change nothing."""
    passwords = {role: f"{role}-secret" for role in (*topics.SERVICES, provision.OPERATOR_ROLE)}
    await provision.provision_database(database.dsn, database.name, passwords)
    intake = await asyncpg.connect(database.dsn_for("intake", passwords["intake"]))
    await intake.execute("CREATE TABLE example (word text)")
    await intake.close()

    operator = await asyncpg.connect(database.dsn_for("operator", passwords["operator"]))
    try:
        assert await operator.fetch("SELECT * FROM intake.example") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute("INSERT INTO intake.example VALUES ('x')")
    finally:
        await operator.close()


async def test_a_wrong_database_password_is_refused(database: Database) -> None:
    """PostgreSQL asks for passwords on the local stack too."""
    passwords = {role: f"{role}-secret" for role in (*topics.SERVICES, provision.OPERATOR_ROLE)}
    await provision.provision_database(database.dsn, database.name, passwords)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(database.dsn_for("registry", "not-the-password"))
