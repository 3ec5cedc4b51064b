"""What units say to intake, and what intake says.

Units write ``Begin``, ``Row``, ``End`` and ``Action`` on their own topics as CloudEvents in binary mode, with any
Kafka client: headers ``ce_id`` (a UUID, kept when the same thing is sent again), ``ce_type``, ``ce_source`` and
``ce_specversion``; the value is JSON. The topic says who spoke. An ``Action`` about a restricted matter comes from the
unit's second log-in, on a topic of its own, and is answered on another.
"""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.event import Event, Sensitivity
from contracts.vocabulary import FactName, FindingCode, IdentityField, Level, Result, ReturnReason, Verb

Cell = str | int | float | bool | None
FactValue = bool | int | str
PERIOD = r"^\d{4}H[12]$"

ReducedDate = Annotated[str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
"""A date as precise as it is known: ``2015-03-14``, ``2015-03`` or ``2015`` (ISO 8601, reduced precision)."""

_MONTH = len("2015-03")


def birth_key(birth_date: str | None, record: UUID) -> str:
    """The key of a child's records: the month of birth, so that 2015-03 and 2015-03-14 share a partition.

    A record that knows no more than the year, or nothing, is keyed by itself: a person reviews whose it is.
    """
    return birth_date[:_MONTH] if birth_date is not None and len(birth_date) >= _MONTH else str(record)


# ---------------------------------------------------------------- said by units


class Begin(Event):
    """A whole file begins: these columns, this many rows."""

    kind = "department.Begin.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID
    dataset: str
    period: str = Field(pattern=PERIOD)
    columns: tuple[str, ...]
    """The headers as they stand in the file."""
    rows: int = Field(ge=0)
    coverage: Literal["full", "delta"] | None = None
    """``full``: a child who was in the last full file and is not in this one is no longer reported. ``delta``: only
    these rows are spoken of. Not stated: taken as ``delta``, and the receipt says so."""
    file_sha256: str | None = None
    submitted_by: str = ""
    """Role, and the person's id in the county's data; never a name."""
    valid_on: date | None = None
    """The day the file speaks of; default: the last day of the period that is not in the future."""
    date_1904: bool = False
    """The workbook counts bare serial dates from 1904, as its own properties say."""

    @property
    def key(self) -> str:
        return str(self.submission)


class Row(Event):
    """One row: of a file (``submission``), or on its own, all year round (``dataset``)."""

    kind = "department.Row.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID | None = None
    dataset: str | None = None
    number: int | None = None
    """The row's place in the file, the header being row 1."""
    cells: dict[str, Cell]
    """Header -> content as it stands."""
    valid_on: date | None = None

    @property
    def key(self) -> str:
        return str(self.submission) if self.submission else "row"


class End(Event):
    """The file is complete."""

    kind = "department.End.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID
    rows: int = Field(ge=0)

    @property
    def key(self) -> str:
        return str(self.submission)


class Action(Event):
    """What one of a unit's people did. Which fields a verb needs is in the departments' guide."""

    kind = "action.Action.v1"
    topic = "action.{unit}.v1"
    """Or ``action.{unit}.restricted.v1``: whatever concerns a restricted matter."""
    sensitivity: ClassVar[Sensitivity] = "identity"

    verb: Verb
    role: str
    """The role in which the person acts (``County.roles``)."""
    person: str = ""
    """The person's id in the county's data."""
    place: str | None = None
    """A smaller place (school, clinic, village committee) that speaks through this unit: its id."""
    unit: str | None = None
    """If given, must be the topic's unit: a payload that claims another unit is refused."""
    on: date | None = None
    """The day it was done; default: the day it is taken in. Never in the future."""

    child: UUID | None = None
    referral: UUID | None = None
    finding: UUID | None = None
    proposal: UUID | None = None
    """What is confirmed or declined: a derived finding, a ledger entry, a match question."""

    findings: tuple[FindingCode, ...] = ()
    level: Level | None = None
    """Raises the route's level, never lowers it."""
    township: str | None = None
    """9-digit code of the place where the child was found."""
    identity: dict[IdentityField, str] = Field(default_factory=dict)
    """Who the child is, as far as known; who reported it. Sealed by intake."""
    facts: dict[FactName, FactValue] = Field(default_factory=dict)
    """What was verified on the spot."""

    station: str | None = None
    """phone-report: the police station or line that was called."""
    at: datetime | None = None
    """phone-report: when the call was made."""
    reached: bool | None = None
    """phone-report, contact: somebody answered. An attempt is no contact."""
    mode: Literal["phone", "in_person", "message"] | None = None
    at_residence: bool | None = None
    """visit: only an in-person visit at the residence counts."""
    reason: ReturnReason | None = None
    """return."""
    to_unit: str | None = None
    """return (wrong_area), reroute."""
    days: int | None = Field(default=None, ge=1, le=60)
    """extend: working days."""
    result: Result | None = None
    channel: Literal["phone", "in_person", "letter", "message"] | None = None
    """inform-reporter, close: how it was told or checked."""
    note: str = Field(default="", max_length=500)
    """Sealed by intake; never in an event outside the registry."""
    outcome: Literal["confirmed", "not_found", "moved", "refused"] | None = None
    """verify."""
    other: UUID | None = None
    """merge: the child whose file is absorbed. split: the file the records go to, if it exists."""
    records: tuple[UUID, ...] = ()
    """split: the source records that belong to somebody else; none: what the absorbed file ``other`` brought."""

    @property
    def key(self) -> str:
        return str(self.child or self.referral or self.finding or "new")


# ---------------------------------------------------------------- said by intake


class RecordRead(Event):
    """A department's row, read and normalised. Identity is sealed for the registry."""

    kind = "intake.RecordRead.v1"
    topic = "intake.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    record: UUID
    """The same row of the same dataset of the same unit, for ever (keyed hash)."""
    unit: str
    dataset: str
    period: str | None
    """``2026H2`` for a row of a file; None for a row on its own."""
    submission: UUID | None
    valid_on: date
    recorded_at: datetime
    birth_date: ReducedDate | None
    finding: UUID | None = None
    """Set when the row is the identity that came with a person's finding (dataset ``finding``)."""
    identity: str
    """Sealed JSON object of identity fields (``runtime.storage.sealing``), additional data: the record's id."""
    facts: dict[FactName, FactValue]
    content: str
    """Keyed hash of the whole row as understood: the registry does nothing twice for the same."""
    flags: tuple[str, ...] = ()
    """Quality: ``id_damaged``, ``id_missing``, ``birth_date_conflict`` ..."""

    @property
    def key(self) -> str:
        return birth_key(self.birth_date, self.record)


class RecordDisappeared(Event):
    """A row that the last full file of this dataset had is not in this one: evidence, not an exit."""

    kind = "intake.RecordDisappeared.v1"
    topic = "intake.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    record: UUID
    unit: str
    dataset: str
    period: str
    birth_date: ReducedDate | None

    @property
    def key(self) -> str:
        return birth_key(self.birth_date, self.record)


class SubmissionEnded(Event):
    """A whole file was taken: every record of this dataset that did not disappear now speaks for this period.

    It comes on every partition, behind the file's records there, and is about the records of that partition.
    """

    kind = "intake.SubmissionEnded.v1"
    topic = "intake.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"
    broadcast: ClassVar[bool] = True

    submission: UUID
    unit: str
    dataset: str
    period: str
    valid_on: date
    coverage: Literal["full", "delta"]

    @property
    def key(self) -> str:
        return str(self.submission)


class FindingReported(Event):
    """A person found something about a child, who may not be on file yet."""

    kind = "intake.FindingReported.v1"
    topic = "intake.action.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    finding: UUID
    unit: str
    place: str | None
    role: str
    child: UUID | None
    findings: tuple[FindingCode, ...]
    level: Level | None
    township: str | None
    on: date
    recorded_at: datetime
    has_identity: bool
    """The identity also travels as a ``RecordRead`` of dataset ``finding``, so that matching can follow."""
    identity: str
    """Sealed; additional data: the finding's id. Includes the reporter and the note."""
    phone_reported_at: datetime | None = None
    ce_id: UUID
    restricted: bool = False
    """It came by the unit's log-in for restricted matters, where its answers go."""

    @property
    def key(self) -> str:
        return str(self.child or self.finding)


class ActionAccepted(Event):
    """Any other action of a unit's people, checked for unit, role and authority. No free text, no identity."""

    kind = "intake.ActionAccepted.v1"
    topic = "intake.action.v1"
    sensitivity: ClassVar[Sensitivity] = "normal"

    verb: Verb
    unit: str
    place: str | None
    role: str
    person: str
    on: date
    recorded_at: datetime
    ce_id: UUID
    """The unit's own id of the action: (unit, ce_id) is taken once."""
    child: UUID | None = None
    referral: UUID | None = None
    finding: UUID | None = None
    proposal: UUID | None = None
    station: str | None = None
    at: datetime | None = None
    reached: bool | None = None
    mode: Literal["phone", "in_person", "message"] | None = None
    at_residence: bool | None = None
    reason: ReturnReason | None = None
    to_unit: str | None = None
    days: int | None = None
    result: Result | None = None
    channel: Literal["phone", "in_person", "letter", "message"] | None = None
    outcome: Literal["confirmed", "not_found", "moved", "refused"] | None = None
    noted: bool | None = None
    """A reason in words came with it (sealed in the registry, if anywhere). None: intake did not say."""
    facts: dict[FactName, FactValue] = Field(default_factory=dict)
    findings: tuple[FindingCode, ...] = ()
    other: UUID | None = None
    records: tuple[UUID, ...] = ()
    restricted: bool = False
    """It came by the unit's log-in for restricted matters, where its answers go."""

    @property
    def key(self) -> str:
        return str(self.child or self.referral or self.finding or self.proposal)


class Problem(BaseModel):
    """One refused cell or row, explained so that the sender can mend it. Contents are masked."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    row: int | None
    column: str | None
    code: str
    """``id_damaged``, ``date_unreadable``, ``names_nobody``, ``column_not_announced`` ..."""
    message: str
    """Chinese sentence: what is wrong."""
    remedy: str
    """Chinese sentence: what to do."""
    excerpt: str = ""
    """The content, masked."""
    refused: Literal["cell", "row", "file", "nothing"]
    """What was not taken. ``nothing``: a remark; the content was taken as far as it could be."""


class RowsAnswered(Event):
    """Part of a receipt: how some rows fared. Parts of one submission add up to its ``SubmissionAnswered``."""

    kind = "intake.RowsAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    submission: UUID | None
    """None: rows on their own."""
    read: int
    accepted: int
    """Whole."""
    accepted_with_drops: int
    refused: int
    unchanged: int
    problems: tuple[Problem, ...]
    answers: tuple[UUID, ...] = ()
    """``ce_id`` of the single rows that this part answers."""

    @property
    def key(self) -> str:
        return str(self.submission or "rows")

    @property
    def topic_name(self) -> str:
        return self.topic.format(unit=self.unit)


class SubmissionAnswered(Event):
    """The receipt of a whole file. accepted + accepted_with_drops + refused + unchanged = rows read, always."""

    kind = "intake.SubmissionAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    submission: UUID
    dataset: str
    period: str
    outcome: Literal["taken", "refused", "same_again", "older_period"]
    """``refused``: the file whole; ``same_again``: nothing new; ``older_period``: kept as history."""
    rows: int
    accepted: int
    accepted_with_drops: int
    refused: int
    unchanged: int
    disappeared: int = 0
    late: bool = False
    problems: tuple[Problem, ...] = ()
    """Troubles of the file as a whole; those of rows are in ``RowsAnswered``."""

    @property
    def key(self) -> str:
        return str(self.submission)

    @property
    def topic_name(self) -> str:
        return self.topic.format(unit=self.unit)


class ActionAnswered(Event):
    """The receipt of an action: taken, or refused and why."""

    kind = "intake.ActionAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    """The action came by the unit's log-in for restricted matters."""
    ce_id: UUID
    verb: Verb | None
    outcome: Literal["taken", "refused", "same_again"]
    finding: UUID | None = None
    code: str = ""
    message: str = ""
    remedy: str = ""

    @property
    def key(self) -> str:
        return str(self.ce_id)

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"
