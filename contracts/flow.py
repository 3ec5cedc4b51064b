"""The whole story on one page: who says which event on which topic, and who hears it.

Read from top to bottom it is one record's journey. ``tests/contracts/test_flow.py`` holds it true: against the events
and topics that there are, and against what each service subscribes to and imports. What is declared must also be read:
``tests/contracts/test_read_properties.py`` looks for the code that does, and where there is none in these lists.
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
    """One event's way. Services that read the topic but pass the event over do not hear it."""

    event: type[Event]
    producers: tuple[str, ...]
    topics: tuple[Topic, ...]
    """More than one: the event itself says which (``restricted``)."""
    consumers: tuple[str, ...]
    purpose: str


def _step(event: type[Event], said_by: str, on: Topic | tuple[Topic, ...], heard_by: str, so_that: str) -> Step:
    where = on if isinstance(on, tuple) else (on,)
    return Step(event, tuple(said_by.split()), where, tuple(heard_by.split()), so_that)


ALL = " ".join(SERVICES)
BOTH_LOGINS = f"{UNIT} {RESTRICTED_UNIT}"
"""A unit's two principals, each on its own topic."""
CASES = (topics.REFERRAL_CASE, topics.REFERRAL_RESTRICTED)

FLOW: tuple[Step, ...] = (
    # The county and its clock.
    _step(county.CountyActivated, "operator", topics.COUNTY, ALL, "every rule reads the county's own data"),
    _step(clock.DayBegan, "clock", topics.CLOCK, f"{ALL} clock", "the day enters at the head of the chain"),
    _step(clock.TimePassed, "clock", topics.CLOCK, f"{ALL} clock", "clocks in hours run"),
    _step(
        clock.DayWatermark,
        "intake registry eligibility referral",
        tuple(topic for topic in topics.TOPICS if topic.carries_watermarks),
        "registry eligibility referral notify",
        "a lane turns its page when all upstream lanes have",
    ),
    # Units hand over what they know, and do what they do.
    _step(intake.Begin, UNIT, topics.DEPARTMENT, "intake", "a whole file begins"),
    _step(intake.Row, UNIT, topics.DEPARTMENT, "intake", "one row, of a file or on its own"),
    _step(intake.End, UNIT, topics.DEPARTMENT, "intake", "the file is complete"),
    _step(
        intake.Action,
        BOTH_LOGINS,
        (topics.ACTION, topics.RESTRICTED_ACTION),
        "intake",
        "a person reports, answers, contacts, visits, decides",
    ),
    # Intake answers, and passes on what it let in.
    _step(intake.RowsAnswered, "intake", topics.RECEIPT, UNIT, "every refused cell is explained"),
    _step(intake.SubmissionAnswered, "intake", topics.RECEIPT, UNIT, "every row of a file is accounted for"),
    _step(
        intake.ActionAnswered,
        "intake",
        (topics.RECEIPT, topics.RESTRICTED_RECEIPT),
        BOTH_LOGINS,
        "an action is taken, or refused and why",
    ),
    _step(intake.RecordRead, "intake", topics.INTAKE_RECORD, "registry", "all records of one child meet in one lane"),
    _step(intake.RecordDisappeared, "intake", topics.INTAKE_RECORD, "registry", "a source falls silent about a child"),
    _step(intake.SubmissionEnded, "intake", topics.INTAKE_RECORD, "registry", "a dataset speaks for a new period"),
    _step(intake.FindingReported, "intake", topics.INTAKE_ACTION, "registry", "a finding gets its child at once"),
    _step(intake.ActionAccepted, "intake", topics.INTAKE_ACTION, "registry referral", "people's actions take effect"),
    # The registry keeps one file a child.
    _step(registry.ChildChanged, "registry", topics.REGISTRY_CHILD, "eligibility", "the file is assessed anew"),
    _step(registry.FindingAssigned, "registry", topics.REGISTRY_FINDING, "referral", "the express way"),
    _step(registry.FileReassigned, "registry", topics.REGISTRY_FINDING, "referral", "matters follow the child's file"),
    _step(registry.ReviewRequested, "registry", topics.REGISTRY_REVIEW, "notify", "a person decides who is who"),
    _step(registry.ReviewResolved, "registry", topics.REGISTRY_REVIEW, "notify", "the question is answered"),
    _step(registry.FactConflictFound, "registry", topics.REGISTRY_REVIEW, "notify", "departments check what they say"),
    _step(registry.RegistryActionRefused, "registry", topics.REGISTRY_REVIEW, "notify", "the unit learns why"),
    # Eligibility answers; referral makes it somebody's task.
    _step(eligibility.ChildAssessed, "eligibility", topics.ELIGIBILITY_CHILD, "referral", "what is wrong is acted on"),
    _step(referral.ReferralChanged, "referral", CASES, "notify registry", "units are told; the registry seals names"),
    _step(referral.ProposalMade, "referral", CASES, "notify", "a person confirms what a rule suggests"),
    _step(referral.ProposalEnded, "referral", CASES, "notify", "somebody decided, or nobody in time"),
    _step(referral.LedgerEntryChanged, "referral", CASES, "notify", "the key-care ledger changed"),
    _step(referral.DutyChanged, "referral", CASES, "notify", "contacts and visits come due"),
    _step(referral.ReferralActionRefused, "referral", CASES, "notify", "the unit learns why"),
    _step(
        referral.QueueEntry,
        "referral",
        (topics.QUEUE, topics.RESTRICTED_QUEUE),
        BOTH_LOGINS,
        "the agency's queue is a table",
    ),
    # The one who knows names seals them for the one who must act.
    _step(
        registry.Disclosed,
        "registry",
        (topics.DISCLOSURE, topics.RESTRICTED_DISCLOSURE),
        BOTH_LOGINS,
        "only what the whitelist names",
    ),
    # Everybody is told, once.
    _step(
        notify.Notice,
        "notify",
        (topics.INBOX, topics.RESTRICTED_INBOX),
        BOTH_LOGINS,
        "a line in Chinese without personal detail",
    ),
    _step(notify.AlarmRaised, "notify", topics.ALARM, "notify", "said first"),
    _step(notify.AlarmDelivered, "notify", topics.ALARM, "notify", "done second"),
)

Stage = Literal["door", "desk", "answers", "duties", "files"]
"""What a planned shape waits for: answers to units; the desk; silence and the four facts; duties; files of any form."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that later work builds. Its shape is settled here, so that nobody builds another beside it."""

    step: Step
    stage: Stage


def _planned(
    stage: Stage, event: type[Event], said_by: str, on: Topic | tuple[Topic, ...], heard_by: str, so_that: str
) -> Planned:
    return Planned(_step(event, said_by, on, heard_by, so_that), stage)


PLANNED: tuple[Planned, ...] = (
    _planned("door", planned.MessagesRefused, "intake", topics.RECEIPT, UNIT, "what cannot be read is answered too"),
    _planned("door", planned.AlertRaised, "intake", topics.INTAKE_ALERT, "notify", "a broken report reaches a person"),
    _planned("door", planned.SubmissionWithdrawn, "intake", topics.INTAKE_RECORD, "registry", "a wrong file is undone"),
    _planned("door", planned.ActionForwarded, "registry", topics.REGISTRY_ACTION, "referral", "merges are resolved"),
    _planned("door", planned.RegistryDecidedAction, "registry", topics.REGISTRY_DECISION, "notify", "said once"),
    _planned("door", planned.ReferralDecidedAction, "referral", topics.REFERRAL_DECISION, "notify", "said once"),
    _planned("door", planned.ActionAnswered, "notify", topics.RECEIPT, UNIT, "the unit learns what its action did"),
    _planned("desk", desk.DeskAction, "desk", topics.DESK_ACTION, "intake", "a form counts like a unit's action"),
    _planned("desk", desk.DeskRecord, "desk", topics.DESK_RECORD, "intake", "a file is handed in on a page"),
    _planned("desk", desk.DeskAnswer, "intake", topics.DESK_RECEIPT, "desk", "the page shows what became of it"),
    _planned("desk", desk.PersonChanged, "desk", topics.DESK_ACCESS, "registry", "the registry knows who asks"),
    _planned("desk", desk.AuthorisationChanged, "desk", topics.DESK_ACCESS, "registry", "no authorisation, no name"),
    _planned("desk", desk.RecusalChanged, "desk", topics.DESK_ACCESS, "registry", "kin do not see the file"),
    _planned("desk", desk.StateSnapshot, "registry eligibility referral notify", topics.STATES, "desk", "filled anew"),
    _planned("answers", planned.ApplicationChanged, "referral", CASES, "notify", "applied is not granted"),
)

PLANNED_TOPICS: Mapping[str, Stage] = {topics.REPORT.name: "door"}
"""Planned topics for events that exist: a report is ``contracts.intake.Action`` on a topic of its own."""

PLANNED_RULES: Mapping[str, Stage] = {
    "OWNER_OF": "door",
    "is_report_of_danger": "door",
}
"""Names of ``contracts.vocabulary`` that stand for what several services will ask in the same way."""

PLANNED_VERBS: Mapping[str, Stage] = {
    "confirm-disappearances": "door",  # of a full file without many who were in the one before
    "withdraw-submission": "door",
    "apply": "answers",
    "waive": "answers",  # 监护人放弃
    "map-heading": "files",  # a unit says what a heading means
    "confirm-heading": "files",  # the county agrees, from a date on
}
"""What people will be able to do; ``contracts.vocabulary.Verb`` takes each in when intake knows it."""

PLANNED_FIELDS: Mapping[str, Stage] = {
    "department.Begin.v1.population": "door",  # 口径、辖区、年龄段、期间、人数, and who signed the file
    "registry.ChildChanged.v1.not_seen": "answers",  # datasets whose whole file of the period lacks the child
    "eligibility.ChildAssessed.v1.items.scope": "answers",  # inside or outside this list
    "referral.ReferralChanged.v1.matter": "duties",  # several referrals of one matter
    "referral.ReferralChanged.v1.leads": "duties",
    "notify.AlarmRaised.v1.submission": "door",  # machine clues ring once a unit and file
    "county.CountyActivated.v1.county.routes.observed": "answers",  # answers are counted, nobody is told
    "county.CountyActivated.v1.county.datasets.absence_shows": "answers",
    "county.CountyActivated.v1.county.catalogue.rule": "answers",  # a row without code: all / any / not over facts
    "county.CountyActivated.v1.county.units.weekly_budget": "answers",
}
"""Fields that events in use will get. Growth: readers of today pass over them."""

# ---------------------------------------------------------------- what is read where no code shows it

Properties = Mapping[type[BaseModel], str]
"""Names of a class's properties, with spaces between."""

READ_BY_FIELD_NAME: Mapping[str, Properties] = {
    # What a record says, as JSON.
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
    # A dataset without them is refused.
    "county/checks.py": {county.Dataset: "purpose legal_basis retention"},
}
"""By the file that reads them under their names: type checkers do not see what ``record["name"]`` reads."""

PLANNED_PROPERTIES: Mapping[Stage, Properties] = {
    "door": {
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
        registry.ChildChanged: "split_from",
        registry.ReviewResolved: "role",
        registry.FindingAssigned: "on",
        referral.ReferralChanged: "findings item sent_at call_first reporter_informed actor_role",
        referral.ProposalMade: "findings township",
        referral.ProposalEnded: "actor_role",
        referral.LedgerEntryChanged: "township actor_role",
        referral.DutyChanged: "provisional township",
        county.Item: "group audience summary",
        county.Person: "name",
        county.Cadence: "submission_reminders_days",
        county.Thresholds: "notice_before_16_days",
    },
    "answers": {
        registry.ChildChanged: "silent_sources open_reviews",
        county.Item: "sealed",
    },
}
"""Properties that nobody reads yet, by the later work that will. What is done leaves nothing here."""
