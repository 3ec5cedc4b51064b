"""All topics with their keys, partitions, retention, writers and readers.

Provisioning, access lists, the AsyncAPI document and the operations page are generated from this list. A name with
``{unit}`` is a family: one topic for each unit of the county that the family applies to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

DAY = 24 * 3600 * 1000
"""One day in milliseconds."""

Family = Literal["none", "submitting", "acting", "agency", "restricted_agency", "inbox", "restricted_inbox"]
"""The units for which a family has a topic (``contracts.county.Unit.families``)."""

SERVICES = ("intake", "registry", "eligibility", "referral", "notify")
UNIT = "{unit}"
"""Placeholder for the unit's own principal among a family's writers and readers."""
RESTRICTED_UNIT = UNIT + "-restricted"
"""The unit's second principal, for restricted matters, which other people use with a log-in of their own."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, or one family of topics."""

    name: str
    key: str
    """Describes the record key. Records of one key stay in order."""
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    partitions: Literal["one", "services"] = "one"
    """``services``: the configured number, the same for all of these topics and never changed in place."""
    compacted: bool = False
    retention_days: int = 14
    """Without compaction, longer than the longest outage. With compaction, the limit on a tombstone's delay."""
    sensitivity: Literal["normal", "restricted", "identity"] = "normal"
    family: Family = "none"
    carries_watermarks: bool = False
    """True if the producer emits a watermark on each partition for every day (``contracts.clock.DayWatermark``)."""

    def name_for(self, unit: str) -> str:
        """Return the topic's name for one unit."""
        return self.name.format(unit=unit)


DEPARTMENT = Topic(
    "department.{unit}.v1",
    "submission, or the unit's own row number",
    (UNIT,),
    ("intake",),
    retention_days=7,
    sensitivity="identity",
    family="submitting",
)
ACTION = Topic(
    "action.{unit}.v1",
    "child, referral or finding",
    (UNIT,),
    ("intake",),
    retention_days=7,
    sensitivity="identity",
    family="acting",
)
RESTRICTED_ACTION = Topic(
    "action.{unit}.restricted.v1",
    "child, referral or finding",
    (RESTRICTED_UNIT,),
    ("intake",),
    retention_days=7,
    sensitivity="identity",
    family="restricted_agency",
)
RECEIPT = Topic("receipt.{unit}.v1", "submission or action", ("intake",), (UNIT,), retention_days=30, family="acting")
RESTRICTED_RECEIPT = Topic(
    "receipt.{unit}.restricted.v1",
    "action",
    ("intake",),
    (RESTRICTED_UNIT,),
    retention_days=30,
    sensitivity="restricted",
    family="restricted_agency",
)
CLOCK = Topic("clock.v1", "clock", ("clock",), (*SERVICES, "clock"), retention_days=90)
"""The clock reads its own last day to catch up on missed days, so retention limits how long it may be down."""
COUNTY = Topic("county.v1", "county and version", ("operator",), SERVICES, compacted=True)
INTAKE_RECORD = Topic(
    "intake.record.v1",
    "month of birth",
    ("intake",),
    ("registry",),
    partitions="services",
    sensitivity="identity",
    carries_watermarks=True,
)
INTAKE_ACTION = Topic(
    "intake.action.v1",
    "child, or the finding while no child is known",
    ("intake",),
    ("registry", "referral"),
    partitions="services",
    sensitivity="identity",
    carries_watermarks=True,
)
REGISTRY_CHILD = Topic(
    "registry.child.v1", "child", ("registry",), ("eligibility",), partitions="services", carries_watermarks=True
)
REGISTRY_FINDING = Topic(
    "registry.finding.v1", "child", ("registry",), ("referral",), partitions="services", sensitivity="restricted"
)
REGISTRY_REVIEW = Topic(
    "registry.review.v1", "child", ("registry",), ("notify",), partitions="services", carries_watermarks=True
)
ELIGIBILITY_CHILD = Topic(
    "eligibility.child.v1",
    "child",
    ("eligibility",),
    ("referral",),
    partitions="services",
    sensitivity="restricted",
    carries_watermarks=True,
)
REFERRAL_CASE = Topic(
    "referral.case.v1", "child", ("referral",), ("notify", "registry"), partitions="services", carries_watermarks=True
)
REFERRAL_RESTRICTED = Topic(
    "referral.restricted.v1",
    "child",
    ("referral",),
    ("notify", "registry"),
    partitions="services",
    sensitivity="restricted",
)
QUEUE = Topic(
    "referral.queue.{unit}.v1", "referral", ("referral",), (UNIT,), compacted=True, retention_days=1, family="agency"
)
RESTRICTED_QUEUE = Topic(
    "referral.queue.{unit}.restricted.v1",
    "referral",
    ("referral",),
    (RESTRICTED_UNIT,),
    compacted=True,
    retention_days=1,
    sensitivity="restricted",
    family="restricted_agency",
)
DISCLOSURE = Topic(
    "disclosure.{unit}.v1",
    "referral",
    ("registry",),
    (UNIT,),
    compacted=True,
    retention_days=1,
    family="agency",
)
RESTRICTED_DISCLOSURE = Topic(
    "disclosure.{unit}.restricted.v1",
    "referral",
    ("registry",),
    (RESTRICTED_UNIT,),
    compacted=True,
    retention_days=1,
    sensitivity="restricted",
    family="restricted_agency",
)
INBOX = Topic("notify.inbox.{unit}.v1", "notice", ("notify",), (UNIT,), retention_days=90, family="inbox")
RESTRICTED_INBOX = Topic(
    "notify.inbox.{unit}.restricted.v1",
    "notice",
    ("notify",),
    (RESTRICTED_UNIT,),
    retention_days=90,
    sensitivity="restricted",
    family="restricted_inbox",
)
ALARM = Topic("notify.alarm.v1", "alarm", ("notify",), ("notify",), sensitivity="restricted")

TOPICS: tuple[Topic, ...] = (
    DEPARTMENT,
    ACTION,
    RESTRICTED_ACTION,
    RECEIPT,
    RESTRICTED_RECEIPT,
    CLOCK,
    COUNTY,
    INTAKE_RECORD,
    INTAKE_ACTION,
    REGISTRY_CHILD,
    REGISTRY_FINDING,
    REGISTRY_REVIEW,
    ELIGIBILITY_CHILD,
    REFERRAL_CASE,
    REFERRAL_RESTRICTED,
    QUEUE,
    RESTRICTED_QUEUE,
    DISCLOSURE,
    RESTRICTED_DISCLOSURE,
    INBOX,
    RESTRICTED_INBOX,
    ALARM,
)


REPORT = Topic(
    "report.{unit}.v1",
    "child or finding",
    (UNIT,),
    ("intake",),
    retention_days=7,
    sensitivity="identity",
    family="acting",
)
"""For reports only, so that a unit's other messages cannot delay them."""
INTAKE_ALERT = Topic("intake.alert.v1", "unit", ("intake",), ("notify",), sensitivity="restricted")
REGISTRY_ACTION = Topic(
    "registry.action.v1", "child", ("registry",), ("referral",), partitions="services", sensitivity="restricted"
)
REGISTRY_DECISION = Topic(
    "registry.decision.v1", "action", ("registry",), ("notify",), partitions="services", sensitivity="restricted"
)
REFERRAL_DECISION = Topic(
    "referral.decision.v1", "action", ("referral",), ("notify",), partitions="services", sensitivity="restricted"
)
DESK_ACTION = Topic(
    "desk.action.v1", "child or unit", ("desk",), ("intake",), partitions="services", sensitivity="identity"
)
DESK_RECORD = Topic("desk.record.v1", "unit", ("desk",), ("intake",), partitions="services", sensitivity="identity")
DESK_RECEIPT = Topic(
    "desk.receipt.v1", "form or submission", ("intake",), ("desk",), retention_days=30, sensitivity="restricted"
)
DESK_ACCESS = Topic("desk.access.v1", "person", ("desk",), ("registry",), sensitivity="identity")
STATES = tuple(
    Topic(f"{service}.state.v1", "id", (service,), ("desk",), partitions="services", sensitivity="restricted")
    for service in SERVICES
    if service != "intake"
)
"""A service's current state, to rebuild the desk's read model."""

PLANNED: tuple[Topic, ...] = (
    REPORT,
    INTAKE_ALERT,
    REGISTRY_ACTION,
    REGISTRY_DECISION,
    REFERRAL_DECISION,
    DESK_ACTION,
    DESK_RECORD,
    DESK_RECEIPT,
    DESK_ACCESS,
    *STATES,
)
"""Topics that no code uses yet and that are not provisioned; ``contracts.flow.PLANNED`` has their purpose."""


@dataclass(frozen=True, slots=True)
class ProvisionedTopic:
    """One topic on the broker: a family's topic for one unit, or a topic without family."""

    name: str
    topic: Topic
    unit: str | None

    @property
    def writers(self) -> tuple[str, ...]:
        """The principals that may write."""
        return _filled(self.topic.writers, self.unit)

    @property
    def readers(self) -> tuple[str, ...]:
        """The principals that may read."""
        return _filled(self.topic.readers, self.unit)


def provisioned_topics(units: Iterable[tuple[str, frozenset[str]]]) -> Iterator[ProvisionedTopic]:
    """Yield every topic of a county. ``units`` has each unit's id with the families it has topics in."""
    pairs = list(units)
    for topic in TOPICS:
        if topic.family == "none":
            yield ProvisionedTopic(topic.name, topic, None)
            continue
        for unit, families in pairs:
            if topic.family in families:
                yield ProvisionedTopic(topic.name_for(unit), topic, unit)


def _filled(principals: tuple[str, ...], unit: str | None) -> tuple[str, ...]:
    return tuple(principal.format(unit=unit) if unit is not None else principal for principal in principals)
