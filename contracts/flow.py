"""The event flow: which service emits which event on which topic, which services consume it, and for what purpose.

:data:`FLOW` is the table of contents of the system; read from top to bottom, it follows one record through the
services, and names the function that consumes each event. ``tests/contracts/test_flow.py`` compares it with the events
and topics and with what each service subscribes to, handles, imports and emits.
``tests/contracts/test_read_properties.py`` checks that every declared field is read by code or listed at the end of
this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from contracts import clock, county, desk, eligibility, intake, notify, planned, referral, registry, topics
from contracts.event import Event
from contracts.topics import RESTRICTED_UNIT, SERVICES, UNIT, Topic


@dataclass(frozen=True, slots=True)
class Step:
    """One event type with its producers, topics and consumers.

    A service that reads the topic but ignores the event is not a consumer.
    """

    event: type[Event]
    producers: tuple[str, ...]
    topics: tuple[Topic, ...]
    """If there are several, the event chooses its topic (field ``restricted``)."""
    consumers: tuple[str, ...]
    purpose: str
    """What its consumption achieves, as one sentence."""
    handlers: tuple[str, ...]
    """The functions of the services that consume it. The runtime's own work and a unit's client are not listed."""


def _step(
    event: type[Event],
    producers: str,
    on: Topic | tuple[Topic, ...],
    consumers: str,
    purpose: str,
    handlers: str = "",
) -> Step:
    where = on if isinstance(on, tuple) else (on,)
    return Step(event, tuple(producers.split()), where, tuple(consumers.split()), purpose, tuple(handlers.split()))


ALL = " ".join(SERVICES)
BOTH_LOGINS = f"{UNIT} {RESTRICTED_UNIT}"
"""A unit's two principals, each with a topic of its own."""
CASES = (topics.REFERRAL_CASE, topics.REFERRAL_RESTRICTED)
RECEIPTS = (topics.RECEIPT, topics.RESTRICTED_RECEIPT)

FLOW: tuple[Step, ...] = (
    # The county's data and the clock.
    _step(county.CountyActivated, "operator", topics.COUNTY, ALL, "Every service applies the county's own data."),
    _step(clock.DayBegan, "clock", topics.CLOCK, f"{ALL} clock", "A new county day starts at the first service."),
    _step(
        clock.TimePassed,
        "clock",
        topics.CLOCK,
        f"{ALL} clock",
        "Due times counted in hours are checked.",
        "services.referral.handlers.on_ticks",
    ),
    _step(
        clock.DayWatermark,
        "intake registry eligibility referral",
        tuple(topic for topic in topics.TOPICS if topic.carries_watermarks),
        "registry eligibility referral notify",
        "A consumer starts a day when all producers of its partition have completed the day before.",
        (
            "services.registry.handlers.on_day "
            "services.eligibility.handlers.on_day "
            "services.referral.handlers.on_day "
            "services.notify.handlers.on_day"
        ),
    ),
    # Units submit data and report actions.
    _step(
        intake.Begin,
        UNIT,
        topics.DEPARTMENT,
        "intake",
        "A unit starts to submit a file.",
        "services.intake.handlers.on_records",
    ),
    _step(
        intake.Row,
        UNIT,
        topics.DEPARTMENT,
        "intake",
        "A unit submits one row, of a file or on its own.",
        "services.intake.handlers.on_records",
    ),
    _step(
        intake.End,
        UNIT,
        topics.DEPARTMENT,
        "intake",
        "A unit has submitted all rows of a file.",
        "services.intake.handlers.on_records",
    ),
    _step(
        intake.Action,
        BOTH_LOGINS,
        (topics.ACTION, topics.RESTRICTED_ACTION),
        "intake",
        "A person in a unit reports a finding or acts on a case.",
        "services.intake.handlers.on_actions",
    ),
    # Intake answers the units and passes on what it accepts.
    _step(intake.RowsAnswered, "intake", topics.RECEIPT, UNIT, "The unit learns why a cell or row was refused."),
    _step(
        intake.SubmissionAnswered, "intake", topics.RECEIPT, UNIT, "The unit sees the outcome of all rows of a file."
    ),
    _step(
        intake.ActionAnswered,
        "intake",
        RECEIPTS,
        BOTH_LOGINS,
        "The unit learns whether an action was accepted, and if not, why.",
    ),
    _step(
        intake.RecordRead,
        "intake",
        topics.INTAKE_RECORD,
        "registry",
        "The registry links the record to a child; records of one birth month share a partition.",
        "services.registry.handlers.on_records",
    ),
    _step(
        intake.RecordDisappeared,
        "intake",
        topics.INTAKE_RECORD,
        "registry",
        "The registry notes that a source no longer reports a child.",
        "services.registry.handlers.on_records",
    ),
    _step(
        intake.SubmissionEnded,
        "intake",
        topics.INTAKE_RECORD,
        "registry",
        "The registry extends a dataset's unchanged records to the new period.",
        "services.registry.handlers.on_records",
    ),
    _step(
        intake.FindingReported,
        "intake",
        topics.INTAKE_ACTION,
        "registry",
        "The registry assigns a reported finding to a child without delay.",
        "services.registry.handlers.on_findings",
    ),
    _step(
        intake.ActionAccepted,
        "intake",
        topics.INTAKE_ACTION,
        "registry referral",
        "The service that owns the verb carries out the action.",
        ("services.registry.handlers.on_actions services.referral.handlers.on_actions"),
    ),
    # The registry keeps one file per child.
    _step(
        registry.ChildChanged,
        "registry",
        topics.REGISTRY_CHILD,
        "eligibility",
        "The changed file is assessed again.",
        "services.eligibility.handlers.on_children",
    ),
    _step(
        registry.FindingAssigned,
        "registry",
        topics.REGISTRY_FINDING,
        "referral",
        "A priority consumer turns a reported finding into referrals.",
        "services.referral.handlers.on_findings",
    ),
    _step(
        registry.FileReassigned,
        "registry",
        topics.REGISTRY_FINDING,
        "referral",
        "Cases follow the child's file after a merge or split.",
        "services.referral.handlers.on_findings",
    ),
    _step(
        registry.ReviewRequested,
        "registry",
        topics.REGISTRY_REVIEW,
        "notify",
        "A person is asked whether two files are the same child.",
        "services.notify.handlers.on_review",
    ),
    _step(
        registry.ReviewResolved,
        "registry",
        topics.REGISTRY_REVIEW,
        "notify",
        "The unit learns how a review was decided.",
        "services.notify.handlers.on_review",
    ),
    _step(
        registry.FactConflictFound,
        "registry",
        topics.REGISTRY_REVIEW,
        "notify",
        "Departments that contradict one another check their data.",
        "services.notify.handlers.on_review",
    ),
    _step(
        registry.RegistryActionRefused,
        "registry",
        topics.REGISTRY_REVIEW,
        "notify",
        "The unit learns why the registry refused its action.",
        "services.notify.handlers.on_review",
    ),
    # Eligibility assesses; referral assigns tasks.
    _step(
        eligibility.ChildAssessed,
        "eligibility",
        topics.ELIGIBILITY_CHILD,
        "referral",
        "Referrals and proposals are made for the gaps that the facts show.",
        "services.referral.handlers.on_assessed",
    ),
    _step(
        referral.ReferralChanged,
        "referral",
        CASES,
        "notify registry",
        "Units are notified, and the registry discloses or withdraws the child's identity.",
        ("services.notify.handlers.on_case services.registry.disclosures.on_referrals"),
    ),
    _step(
        referral.ProposalMade,
        "referral",
        CASES,
        "notify",
        "A person is asked to decide what a rule suggests.",
        "services.notify.handlers.on_case",
    ),
    _step(
        referral.ProposalEnded,
        "referral",
        CASES,
        "notify",
        "Units learn the decision or the escalation.",
        "services.notify.handlers.on_case",
    ),
    _step(
        referral.LedgerEntryChanged,
        "referral",
        CASES,
        "notify",
        "Units learn of a change on the key-care ledger.",
        "services.notify.handlers.on_case",
    ),
    _step(
        referral.DutyChanged,
        "referral",
        CASES,
        "notify",
        "Units are reminded of contacts and visits that are due.",
        "services.notify.handlers.on_case",
    ),
    _step(
        referral.ReferralActionRefused,
        "referral",
        CASES,
        "notify",
        "The unit learns why referral refused its action.",
        "services.notify.handlers.on_case",
    ),
    _step(
        referral.QueueEntry,
        "referral",
        (topics.QUEUE, topics.RESTRICTED_QUEUE),
        BOTH_LOGINS,
        "The agency reads its current referrals as a table.",
    ),
    # The registry, which alone knows identities, encrypts them for the agency that must act.
    _step(
        registry.Disclosed,
        "registry",
        (topics.DISCLOSURE, topics.RESTRICTED_DISCLOSURE),
        BOTH_LOGINS,
        "The agency learns the child's identity, limited to the route's whitelist.",
    ),
    # Notify informs each responsible unit once.
    _step(
        notify.Notice,
        "notify",
        (topics.INBOX, topics.RESTRICTED_INBOX),
        BOTH_LOGINS,
        "The unit reads in Chinese what it must do, without personal data.",
    ),
    _step(
        notify.AlarmRaised,
        "notify",
        topics.ALARM,
        "notify",
        "An alarm is recorded before it is delivered.",
        "services.notify.alarms.AlarmChannel.on_alarms",
    ),
    _step(
        notify.AlarmDelivered,
        "notify",
        topics.ALARM,
        "notify",
        "The outcome of the delivery is recorded.",
        "services.notify.alarms.AlarmChannel.on_alarms",
    ),
)

Stage = Literal["receipts", "desk", "coverage", "duties", "formats"]
"""The later work that a planned part belongs to.

``receipts``: complete answers to units; ``desk``: the web application; ``coverage``: what sources do not report and
which services are received; ``duties``: cases with several referrals, and duties of units; ``formats``: files with any
column headers.
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that later work implements. Its event is already defined, so that no second one is created for it."""

    step: Step
    stage: Stage


def _planned(
    stage: Stage, event: type[Event], producers: str, on: Topic | tuple[Topic, ...], consumers: str, purpose: str
) -> Planned:
    return Planned(_step(event, producers, on, consumers, purpose), stage)


PLANNED: tuple[Planned, ...] = (
    _planned("receipts", planned.MessagesRefused, "intake", RECEIPTS, BOTH_LOGINS, "Unreadable messages are answered."),
    _planned(
        "receipts", planned.AlertRaised, "intake", topics.INTAKE_ALERT, "notify", "A person sees an unreadable report."
    ),
    _planned(
        "receipts",
        planned.SubmissionWithdrawn,
        "intake",
        topics.INTAKE_RECORD,
        "registry",
        "The registry restores the state before a wrong file.",
    ),
    _planned(
        "receipts",
        planned.ActionForwarded,
        "registry",
        topics.REGISTRY_ACTION,
        "referral",
        "An action reaches the current file after merges.",
    ),
    _planned(
        "receipts",
        planned.RegistryDecidedAction,
        "registry",
        topics.REGISTRY_DECISION,
        "notify",
        "Exactly one service states the outcome of an action.",
    ),
    _planned(
        "receipts",
        planned.ReferralDecidedAction,
        "referral",
        topics.REFERRAL_DECISION,
        "notify",
        "Exactly one service states the outcome of an action.",
    ),
    _planned(
        "receipts",
        planned.ActionOutcomeAnswered,
        "notify",
        RECEIPTS,
        BOTH_LOGINS,
        "The unit learns the outcome of its action.",
    ),
    _planned(
        "desk", desk.DeskAction, "desk", topics.DESK_ACTION, "intake", "A form has the effect of a unit's action."
    ),
    _planned("desk", desk.DeskRecord, "desk", topics.DESK_RECORD, "intake", "A file is submitted in the browser."),
    _planned("desk", desk.DeskAnswer, "intake", topics.DESK_RECEIPT, "desk", "The page displays the outcome."),
    _planned("desk", desk.PersonChanged, "desk", topics.DESK_ACCESS, "registry", "The registry identifies the person."),
    _planned(
        "desk",
        desk.AuthorisationChanged,
        "desk",
        topics.DESK_ACCESS,
        "registry",
        "The registry shows names to authorised people only.",
    ),
    _planned(
        "desk", desk.RecusalChanged, "desk", topics.DESK_ACCESS, "registry", "A recused person cannot see the file."
    ),
    _planned(
        "desk",
        desk.StateSnapshot,
        "registry eligibility referral notify",
        topics.STATES,
        "desk",
        "The desk rebuilds its read model.",
    ),
    _planned(
        "coverage",
        planned.SealedFactDisclosed,
        "registry",
        topics.RESTRICTED_DISCLOSURE,
        RESTRICTED_UNIT,
        "The holder of a sealed fact is the only reader of it.",
    ),
    _planned(
        "coverage", planned.ApplicationChanged, "referral", CASES, "notify", "Units learn the state of an application."
    ),
)

PLANNED_TOPICS: Mapping[str, Stage] = {topics.REPORT.name: "receipts"}
"""Planned topics for events that exist: a report will be ``contracts.intake.Action`` on a separate topic."""

PLANNED_RULES: Mapping[str, Stage] = {
    "OWNER_OF": "receipts",
    "VERBS_ABOUT_A_CHILD": "receipts",
    "is_report_of_danger": "receipts",
}
"""Names of ``contracts.vocabulary`` that several services will use."""

PLANNED_VERBS: Mapping[str, Stage] = {
    "confirm-disappearances": "receipts",  # of a full file that lacks many children of the previous one
    "withdraw-submission": "receipts",
    "apply": "coverage",
    "waive": "coverage",  # 监护人放弃
    "map-heading": "formats",  # a unit defines the meaning of a column header
    "confirm-heading": "formats",  # the county approves the definition from a date on
}
"""Planned verbs. Each is added to ``contracts.vocabulary.Verb`` when intake implements it."""

PLANNED_VALUES: Mapping[str, Stage] = {
    "notify.AlarmRaised.v1.trigger=unreadable_report": "receipts",
    "notify.AlarmRaised.v1.trigger=flood": "receipts",
    "intake.ActionAccepted.v1.outcome=unfounded": "coverage",  # 不属实, beside 属实 and 无法核实
}
"""Planned values of fields that have a closed list of them."""

PLANNED_DUTIES: Mapping[str, Stage] = {
    "submission": "duties",  # 数据报送: a unit submits its datasets by the end of March and of September
    "verification": "coverage",  # 核实任务, bundled by unit and week
    "meeting": "duties",  # 年度推进会议
}
"""Planned duties of units. Each is added to ``contracts.vocabulary.DutyKind`` when referral creates it."""

PLANNED_FIELDS: Mapping[str, Stage] = {
    "action.Action.v1.submission": "receipts",  # confirm-disappearances, withdraw-submission
    "action.Action.v1.item": "coverage",  # apply, waive
    "action.Action.v1.application": "coverage",
    "action.Action.v1.dataset": "formats",  # map-heading, confirm-heading
    "action.Action.v1.heading": "formats",
    "action.Action.v1.field": "formats",
    "action.Action.v1.valid_from": "formats",
    "intake.ActionAccepted.v1.submission": "receipts",
    "intake.ActionAccepted.v1.item": "coverage",
    "intake.ActionAccepted.v1.application": "coverage",
    "intake.ActionAccepted.v1.dataset": "formats",
    "intake.ActionAccepted.v1.heading": "formats",
    "intake.ActionAccepted.v1.field": "formats",
    "intake.ActionAccepted.v1.valid_from": "formats",
    "intake.SubmissionAnswered.v1.pending_disappearances": "receipts",  # not applied before a person confirms them
    "intake.SubmissionAnswered.v1.confirm_by": "receipts",
    "eligibility.ChildAssessed.v1.number": "desk",  # the child's number, wherever a person reads of the child
    "referral.QueueEntry.v1.number": "desk",
    "notify.Notice.v1.number": "desk",
    "registry.ChildChanged.v1.rule_answers": "coverage",  # yes / no / unknown in place of kind and grade of disability
    "referral.DutyChanged.v1.asks": "coverage",  # verification: the facts that would settle the answer
    "referral.DutyChanged.v1.given_out_on": "coverage",  # the week in which a task within the work budget is given out
    "department.Begin.v1.population": "receipts",  # 口径、辖区、年龄段、期间、人数, and who signed the file
    "registry.ChildChanged.v1.not_seen": "coverage",  # datasets whose full file of the period lacks the child
    "eligibility.ChildAssessed.v1.items.scope": "coverage",  # inside or outside this list
    "referral.ReferralChanged.v1.matter": "duties",  # several referrals of one case
    "referral.ReferralChanged.v1.leads": "duties",
    "notify.AlarmRaised.v1.submission": "receipts",  # derived clues raise one alarm per unit and file
    "county.CountyActivated.v1.county.routes.observed": "coverage",  # findings are counted, but no unit is notified
    "county.CountyActivated.v1.county.datasets.absence_shows": "coverage",
    "county.CountyActivated.v1.county.catalogue.rule": "coverage",  # an item without code: all / any / not over facts
    "county.CountyActivated.v1.county.units.weekly_budget": "coverage",
}
"""Fields that current events will get. Consumers of today will ignore them."""

# ---------------------------------------------------------------- fields that type checkers do not see being read

Properties = Mapping[type[BaseModel], str]
"""Model -> names of its fields, separated by spaces."""

READ_BY_FIELD_NAME: Mapping[str, Properties] = {
    # It reads records as JSON.
    "cli/trace.py": {
        intake.RecordRead: "submission",
        intake.RecordDisappeared: "unit dataset",
        registry.ChildChanged: "sources",
        registry.FindingAssigned: "candidate",
        registry.FileReassigned: "on",
        registry.ReviewRequested: "other evidence conflicts",
        registry.ReviewResolved: "other outcome",
        referral.ProposalMade: "route ledger_reasons",
        referral.ProposalEnded: "actor_unit",
        referral.LedgerEntryChanged: "reasons actor_unit",
        referral.DutyChanged: "period",
    },
    # It refuses a dataset without them.
    "county/dataset_checks.py": {county.Dataset: "purpose legal_basis retention"},
}
"""File -> the fields that it reads by name, as in ``record["name"]``, which a type checker does not see."""

PLANNED_PROPERTIES: Mapping[Stage, Properties] = {
    "receipts": {
        intake.Begin: "submitted_by",
        registry.FindingAssigned: "ce_id",
        referral.ReferralActionRefused: "referral state",
    },
    "desk": {
        eligibility.Reason: "supports",
        eligibility.MissingFact: "held_by",
        eligibility.Verdict: "certainty fulfilment",
        eligibility.DerivedFinding: "reasons",
        eligibility.ChildAssessmentSummary: "absorbs",
        eligibility.ChildAssessed: "until ruleset catalogue",
        registry.ChildChanged: "number split_from",
        registry.ReviewResolved: "role",
        registry.FindingAssigned: "number on",
        referral.ReferralChanged: "findings item sent_at call_first reporter_informed actor_role",
        referral.ProposalMade: "findings township",
        referral.ProposalEnded: "actor_role",
        referral.LedgerEntryChanged: "township actor_role",
        referral.DutyChanged: "provisional township",
        county.Item: "group audience summary",
        county.Person: "name",
    },
    "coverage": {
        registry.ChildChanged: "silent_sources open_reviews",
        county.Item: "sealed",
    },
    "duties": {
        county.Cadence: "submission_reminders_days",
        county.Thresholds: "notice_before_16_days",
    },
}
"""Fields that no code reads yet, by the later work that will read them. Finished work has no entry."""
