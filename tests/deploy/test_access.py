"""The access table, derived by hand from law and policy, is compared with the access lists and with the broker.

The table below repeats nothing of ``contracts.topics``: it states what must be true. Personal data reach only those
whom the purpose requires (个人信息保护法 6, 28). Restricted routes have topics of their own, and readers of the
ordinary topics cannot find out that they exist (policy, part 4).
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from contracts import topics
from contracts.county import County
from deploy import provision
from deploy.installation import Installation

COUNTY = "341722"
SERVICES = ("intake", "registry", "eligibility", "referral", "notify")
STRANGER = "a-stranger"
"""A user who can log in but is on no access list."""

# Topic -> who writes it, who reads it. Everybody else: nothing.
INNER = {
    "clock.v1": ("clock", "clock intake registry eligibility referral notify"),
    "county.v1": ("operator", "intake registry eligibility referral notify"),
    "intake.record.v1": ("intake", "registry"),
    "intake.action.v1": ("intake", "registry referral"),
    "registry.child.v1": ("registry", "eligibility"),
    "registry.finding.v1": ("registry", "referral"),
    "registry.review.v1": ("registry", "notify"),
    "eligibility.child.v1": ("eligibility", "referral"),
    "referral.case.v1": ("referral", "registry notify"),
    "referral.restricted.v1": ("referral", "registry notify"),
    "notify.alarm.v1": ("notify", "notify"),
}
SUBMITTING = {"department.{unit}.v1": ("{unit}", "intake")}
EVERY_UNIT = {
    "action.{unit}.v1": ("{unit}", "intake"),
    "receipt.{unit}.v1": ("intake", "{unit}"),
    "notify.inbox.{unit}.v1": ("notify", "{unit}"),
}
AGENCY = {
    "referral.queue.{unit}.v1": ("referral", "{unit}"),
    "disclosure.{unit}.v1": ("registry", "{unit}"),
}
RESTRICTED_AGENCY = {
    "action.{unit}.restricted.v1": ("{unit}-restricted", "intake"),
    "receipt.{unit}.restricted.v1": ("intake", "{unit}-restricted"),
    "referral.queue.{unit}.restricted.v1": ("referral", "{unit}-restricted"),
    "disclosure.{unit}.restricted.v1": ("registry", "{unit}-restricted"),
    "notify.inbox.{unit}.restricted.v1": ("notify", "{unit}-restricted"),
}
TOWNSHIPS = "renli qidu xianyu dingxiang xiaohe hengdu dayan jitan"
SUBMIT = f"mzj jtj gaj wjw rsj cl {TOWNSHIPS}".split()
RESTRICTED = f"mzj zfw fy jcy jtj gaj wjw rsj feg txw fl cl {TOWNSHIPS}".split()
RECEIVE = [*RESTRICTED, "zjj"]
UNITS = [*RECEIVE, "wxb", "fgw", "czj", "jtys", "wlj", "tjj", "sjzx"]

Access = tuple[str, str, str]
"""Principal, ``READ`` or ``WRITE``, topic."""


def expected() -> set[Access]:
    """Return every access that is allowed."""
    named = [(name, *access) for name, access in INNER.items()]
    for family, units in (
        (SUBMITTING, SUBMIT),
        (EVERY_UNIT, UNITS),
        (AGENCY, RECEIVE),
        (RESTRICTED_AGENCY, RESTRICTED),
    ):
        for name, (writer, readers) in family.items():
            for short in units:
                unit = f"{COUNTY}-{short}"
                named.append((name.format(unit=unit), writer.format(unit=unit), readers.format(unit=unit)))
    return {(writer, "WRITE", name) for name, writer, _ in named} | {
        (reader, "READ", name) for name, _, readers in named for reader in readers.split()
    }


def principals(units: Iterable[str] = UNITS) -> list[str]:
    ordinary = [f"{COUNTY}-{unit}" for unit in units]
    return [*SERVICES, "clock", "operator", STRANGER, *ordinary, *(f"{unit}-restricted" for unit in ordinary)]


def violations(granted: set[Access], users: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return every read or write access that differs from the table."""
    allowed = expected()
    tried = {(principal, does, topic) for principal in users for does in ("READ", "WRITE") for topic in names}
    assert allowed & tried
    return sorted(
        f"{principal} {'may' if (principal, does, topic) in granted else 'may not'} {does} {topic}"
        for principal, does, topic in tried
        if ((principal, does, topic) in granted) is not ((principal, does, topic) in allowed)
    )


def every_topic() -> set[str]:
    return {topic for _, _, topic in expected()}


def granted_by_lists(county: County) -> set[Access]:
    """Return the accesses that the lists of the contracts grant; an entry for any other topic is an error."""
    lines = {
        (grant.principal, grant.operation, grant.name)
        for grant in provision.broker_spec(county, 4).grants
        if grant.resource == "topic" and grant.operation in ("READ", "WRITE")
    }
    assert {topic for _, _, topic in lines} == every_topic()
    assert {principal for principal, _, _ in lines} <= set(principals())
    return lines


# ---------------------------------------------------------------- the lists


def test_every_principal_has_exactly_the_access_in_the_table(county: County) -> None:
    assert violations(granted_by_lists(county), principals(), every_topic()) == []


@pytest.mark.parametrize("family", RESTRICTED_AGENCY)
def test_an_ordinary_log_in_on_a_restricted_topic_is_reported(
    family: str, county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contracts are changed so that the unit's ordinary log-in may write and read beside the restricted one."""
    [topic] = [each for each in topics.TOPICS if each.name == family]
    planted = replace(topic, writers=(*topic.writers, "{unit}"), readers=(*topic.readers, "{unit}"))
    monkeypatch.setattr(topics, "TOPICS", tuple(planted if each is topic else each for each in topics.TOPICS))

    problems = violations(granted_by_lists(county), principals(), every_topic())

    name = family.format(unit=f"{COUNTY}-gaj")
    assert f"{COUNTY}-gaj may READ {name}" in problems
    assert f"{COUNTY}-gaj may WRITE {name}" in problems
    assert len(problems) == 2 * len(RESTRICTED)


@pytest.mark.parametrize(
    "planted",
    [
        (f"{COUNTY}-gaj-restricted", "READ", f"disclosure.{COUNTY}-gaj.v1"),
        (f"{COUNTY}-jtj-restricted", "READ", f"disclosure.{COUNTY}-gaj.restricted.v1"),
        (f"{COUNTY}-gaj", "READ", "referral.restricted.v1"),
        ("notify", "READ", f"disclosure.{COUNTY}-gaj.restricted.v1"),
        (STRANGER, "WRITE", f"action.{COUNTY}-gaj.restricted.v1"),
    ],
)
def test_any_surplus_or_missing_access_is_reported(planted: Access, county: County) -> None:
    lines = granted_by_lists(county)
    principal, does, topic = planted
    assert violations(lines | {planted}, principals(), every_topic()) == [f"{principal} may {does} {topic}"]
    lost = (f"{COUNTY}-gaj-restricted", "READ", f"disclosure.{COUNTY}-gaj.restricted.v1")
    assert violations(lines - {lost}, principals(), every_topic()) == [f"{lost[0]} may not READ {lost[2]}"]


# ---------------------------------------------------------------- the broker

TOO_LARGE = b"0" * (provision.MAX_RECORD_BYTES + 1)
"""A principal who may write gets the error that it is too large, and nothing is stored; any other is denied."""
TIMEOUT_SECONDS = 60.0
DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.fixture(scope="session")
def stranger(installed: Installation) -> Installation:
    """Return the installation with one additional user."""
    word = "a-word-of-its-own"
    admin = AdminClient(installed.kafka("admin"))
    mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, provision.SCRAM_ITERATIONS)
    results = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(STRANGER, mechanism, word.encode())])
    for future in results.values():
        future.result(20)
    return installed.with_addresses(users={**installed.users, STRANGER: word})


def tried_units() -> tuple[str, ...]:
    return ("gaj", "jtj", "zjj", "czj")


def tried_topics() -> list[str]:
    """Return every inner topic and every topic of these units: one of each kind and a second of the first kind."""
    shown = {f"{COUNTY}-{unit}" for unit in tried_units()}
    return sorted(topic for topic in every_topic() if topic in INNER or set(topic.split(".")) & shown)


@pytest.mark.parametrize("principal", [user for user in principals(("gaj", "jtj", "zjj")) if "zjj-" not in user])
def test_the_broker_enforces_the_access_table_for_each_principal(principal: str, stranger: Installation) -> None:
    kafka = stranger.kafka(principal)
    granted = {(principal, "READ", topic) for topic in readable(kafka, principal, tried_topics())}
    granted |= {(principal, "WRITE", topic) for topic in writable(kafka, tried_topics())}

    allowed = {each for each in expected() if each[0] == principal and each[2] in tried_topics()}
    assert granted == allowed


def readable(kafka: dict[str, object], principal: str, names: Iterable[str]) -> Iterator[str]:
    """Return the topics that the broker lets the principal read: it returns a record or the end, or else refuses."""
    group = f"{provision.group_prefix(principal)}attempt"
    # The broker reports the end of a topic when this wait is over.
    reader = Consumer({**kafka, "group.id": group, "enable.partition.eof": True, "fetch.wait.max.ms": 10})
    try:
        waiting = {topic for topic in names if not unknown(reader, topic)}
        if waiting:
            reader.assign([TopicPartition(topic, 0, 0) for topic in waiting])
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while waiting:
            assert time.monotonic() < deadline, f"no answer about {', '.join(sorted(waiting))}"
            record = reader.poll(0.2)
            if record is None or record.topic() not in waiting:
                continue
            waiting.discard(str(record.topic()))
            error = record.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                yield str(record.topic())
            else:
                assert error.code() == DENIED, error.str()
    finally:
        reader.close()


def unknown(reader: Consumer, topic: str) -> bool:
    """Return whether the broker denies even the description of the topic."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            error = reader.list_topics(topic, timeout=5).topics[topic].error
        except KafkaException as failed:
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer about {topic}") from failed
            continue
        assert error is None or error.code() == DENIED, error.str()
        return error is not None


def writable(kafka: dict[str, object], names: Iterable[str]) -> list[str]:
    """Return the topics to which the broker would accept a record of valid size."""
    codes: dict[str, int | None] = {}

    def answered(error: KafkaError | None, record: Message) -> None:
        codes[str(record.topic())] = None if error is None else error.code()

    size = {"message.max.bytes": 2 * len(TOO_LARGE), "message.timeout.ms": int(TIMEOUT_SECONDS * 1000)}
    writer = Producer({**kafka, **size, "acks": "all"})
    for topic in names:
        try:
            writer.produce(topic, TOO_LARGE, b"attempt", partition=0, on_delivery=answered)
        except KafkaException as refused:  # refused before it is sent
            codes[topic] = refused.args[0].code()
    assert writer.flush(TIMEOUT_SECONDS) == 0
    assert set(codes.values()) <= {DENIED, KafkaError.MSG_SIZE_TOO_LARGE}, codes
    return [topic for topic, code in codes.items() if code == KafkaError.MSG_SIZE_TOO_LARGE]
