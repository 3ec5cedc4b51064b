"""Messages from units to intake, and the events of intake.

Units write ``Begin``, ``Row``, ``End`` and ``Action`` on their own topics as CloudEvents in binary mode, with any
Kafka client: headers ``ce_id`` (a UUID, the same when a message is sent again), ``ce_type``, ``ce_source`` and
``ce_specversion``; the value is JSON. The topic identifies the sending unit. An ``Action`` about a restricted matter
comes from the unit's second log-in on a separate topic, and is answered on a separate topic too.
"""

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.event import Event, Sensitivity
from contracts.vocabulary import FactName, FindingCode, IdentityField, Level, Result, ReturnReason, Verb

Cell = str | int | float | bool | None
"""The content of one cell."""
FactValue = bool | int | str
"""The value of a fact; ``contracts.vocabulary.FACT_TYPES`` defines the type of each fact."""
PERIOD = r"^\d{4}H[12]$"
"""A half year, such as ``2026H2``."""

ReducedDate = Annotated[str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
"""A date with the known precision: ``2015-03-14``, ``2015-03`` or ``2015`` (ISO 8601, reduced precision)."""

_MONTH = len("2015-03")


def birth_key(birth_date: str | None, record: UUID) -> str:
    """Return the key of a record: the month of birth, so that 2015-03 and 2015-03-14 share a partition.

    A record without a month of birth is keyed by its own id; a person reviews which child it belongs to.
    """
    return birth_date[:_MONTH] if birth_date is not None and len(birth_date) >= _MONTH else str(record)


# ---------------------------------------------------------------- written by units


class Begin(Event):
    """Announces a file with its columns and number of rows. ``Row`` and ``End`` messages follow."""

    kind = "department.Begin.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID
    """The id of the file, chosen by the sender; the same when the file is sent again."""
    dataset: str
    """The dataset's id in the county's data."""
    period: str = Field(pattern=PERIOD)
    """The half year that the file covers, such as `2026H2`."""
    columns: tuple[str, ...]
    """The column headers exactly as in the file."""
    rows: int = Field(ge=0)
    """The number of rows without the header."""
    coverage: Literal["full", "delta"] | None = None
    """``full``: a child of the last full file who is not in this one is no longer reported. ``delta``: the file is
    about its own rows only. If missing, it counts as ``delta``, and the receipt says so."""
    file_sha256: str | None = None
    """The SHA-256 of the file, in hexadecimal digits."""
    submitted_by: str = ""
    """The role and the person's id in the county's data, never a name."""
    valid_on: date | None = None
    """The day for which the file's content holds. Default: the last day of the period that is not in the future."""
    date_1904: bool = False
    """True if the workbook's serial dates count from 1904 instead of 1900."""

    @property
    def key(self) -> str:
        return str(self.submission)


class Row(Event):
    """One row, either of a file (``submission``) or on its own at any time of the year (``dataset``)."""

    kind = "department.Row.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID | None = None
    """The file that the row belongs to."""
    dataset: str | None = None
    """The dataset of a row that belongs to no file."""
    number: int | None = None
    """The row's position in the file; the header is row 1."""
    cells: dict[str, Cell]
    """Column header -> content exactly as in the file."""
    valid_on: date | None = None
    """The day for which the row's content holds. Default: that of the file, or the day it is received."""

    @property
    def key(self) -> str:
        return str(self.submission) if self.submission else "row"


class End(Event):
    """Announces that all rows of a file have been sent."""

    kind = "department.End.v1"
    topic = "department.{unit}.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    submission: UUID
    rows: int = Field(ge=0)
    """The number of rows sent, to verify that none is missing."""

    @property
    def key(self) -> str:
        return str(self.submission)


class Action(Event):
    """An action of a person in a unit. The departments' guide lists the fields that each verb requires."""

    kind = "action.Action.v1"
    topic = "action.{unit}.v1"
    """Actions about a restricted matter go to ``action.{unit}.restricted.v1`` instead."""
    sensitivity: ClassVar[Sensitivity] = "identity"

    verb: Verb
    role: str
    """The role in which the person acts (``County.roles``)."""
    person: str = ""
    """The person's id in the county's data."""
    place: str | None = None
    """The id of a smaller place (school, clinic, village committee) that sends through this unit."""
    unit: str | None = None
    """If given, it must be the topic's unit; an action that claims another unit is refused."""
    on: date | None = None
    """The day of the action, not in the future. Default: the day it is received."""

    child: UUID | None = None
    """The child that the action concerns."""
    referral: UUID | None = None
    """The referral that the action concerns."""
    finding: UUID | None = None
    """The earlier report that the action concerns."""
    proposal: UUID | None = None
    """confirm, decline: the proposed referral, ledger entry or review of two files."""

    findings: tuple[FindingCode, ...] = ()
    """report: what the person found, in codes."""
    level: Level | None = None
    """report: a more urgent level than the route's. A less urgent one has no effect."""
    township: str | None = None
    """report: the 9-digit code of the township where the child was found."""
    identity: dict[IdentityField, str] = Field(default_factory=dict)
    """report: the child's identity as far as it is known, and the reporter. Intake encrypts it."""
    facts: dict[FactName, FactValue] = Field(default_factory=dict)
    """verify, report: facts that the person has verified on the spot."""

    station: str | None = None
    """phone-report: the police station or hotline that was called."""
    at: datetime | None = None
    """phone-report: when the call was made."""
    reached: bool | None = None
    """phone-report, contact: whether the call was answered. An attempt alone does not count as a contact."""
    mode: Literal["phone", "in_person", "message"] | None = None
    """contact, visit: how the child was contacted."""
    at_residence: bool | None = None
    """visit: whether it took place at the residence. Only an in-person visit at the residence counts."""
    reason: ReturnReason | None = None
    """return: why the unit returns the referral."""
    to_unit: str | None = None
    """return (wrong_area), reroute: the unit that should receive the referral."""
    days: int | None = Field(default=None, ge=1, le=60)
    """extend: the number of working days."""
    result: Result | None = None
    """result: the outcome of the referral."""
    channel: Literal["phone", "in_person", "letter", "message"] | None = None
    """inform-reporter, close: how the reporter was informed or the result was checked."""
    note: str = Field(default="", max_length=500)
    """Free text. Intake encrypts it; it appears in no event outside the registry."""
    outcome: Literal["confirmed", "not_found", "moved", "refused"] | None = None
    """verify: what the visit found."""
    other: UUID | None = None
    """merge: the child whose file is absorbed. split: the child whose existing file receives the records."""
    records: tuple[UUID, ...] = ()
    """split: the source records of another child. If empty, those that the absorbed ``other`` contributed."""

    @property
    def key(self) -> str:
        return str(self.child or self.referral or self.finding or "new")


# ---------------------------------------------------------------- emitted by intake


class RecordRead(Event):
    """A department's row, parsed and normalised. The identity is encrypted for the registry."""

    kind = "intake.RecordRead.v1"
    topic = "intake.record.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    record: UUID
    """The id of the source record, a keyed hash of unit, dataset and natural key. It never changes."""
    unit: str
    """The unit that sent the row."""
    dataset: str
    period: str | None
    """The half year of the file, such as ``2026H2``; null for a row that belongs to no file."""
    submission: UUID | None
    """The file; null for a row that belongs to no file."""
    valid_on: date
    """The day for which the row's content holds."""
    recorded_at: datetime
    """When the county received the row."""
    birth_date: ReducedDate | None
    """The child's birth date with the known precision."""
    finding: UUID | None = None
    """The report whose identity this record carries (dataset ``finding``)."""
    identity: str
    """Encrypted JSON object of identity fields; the record's id is the additional authenticated data."""
    facts: dict[FactName, FactValue]
    """The facts of the row."""
    content: str
    """Keyed hash of the parsed row. The registry skips a record whose content it has already processed."""
    flags: tuple[str, ...] = ()
    """Codes of data quality, such as ``id_damaged``, ``id_missing`` and ``birth_date_conflict``."""

    @property
    def key(self) -> str:
        return birth_key(self.birth_date, self.record)


class RecordDisappeared(Event):
    """A row of the dataset's last full file is missing in the newest one. This is evidence, not proof of departure."""

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
    """A whole file was accepted: all records of the dataset that did not disappear now hold for this period.

    It is emitted on every partition after the file's records there, and concerns the records of that partition.
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
    """A person reported findings about a child, who may not be on file yet."""

    kind = "intake.FindingReported.v1"
    topic = "intake.action.v1"
    sensitivity: ClassVar[Sensitivity] = "identity"

    finding: UUID
    """The id of the report."""
    unit: str
    """The unit that reported."""
    place: str | None
    """The smaller place of the unit, if any."""
    role: str
    """The role of the person who reported."""
    child: UUID | None
    """The child, if the report names one on file."""
    findings: tuple[FindingCode, ...]
    level: Level | None
    township: str | None
    on: date
    recorded_at: datetime
    has_identity: bool
    """Whether the identity is also emitted as a ``RecordRead`` of dataset ``finding``, for record linkage."""
    identity: str
    """Encrypted JSON with identity, reporter and note; the finding's id is the additional authenticated data."""
    phone_reported_at: datetime | None = None
    """When the call was made, if the report was first made by telephone."""
    ce_id: UUID
    """The unit's id of the action."""
    restricted: bool = False
    """True if it came from the unit's log-in for restricted matters, which also receives the answers."""

    @property
    def key(self) -> str:
        return str(self.child or self.finding)


class ActionAccepted(Event):
    """Any other action, checked for unit, role and authority. It contains no free text and no identity."""

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
    """The unit's id of the action. An action is accepted once for each (unit, ce_id)."""
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
    """Whether the action came with a free-text reason, which is not included. Null if intake did not record it."""
    facts: dict[FactName, FactValue] = Field(default_factory=dict)
    findings: tuple[FindingCode, ...] = ()
    other: UUID | None = None
    records: tuple[UUID, ...] = ()
    restricted: bool = False
    """True if it came from the unit's log-in for restricted matters, which also receives the answers."""

    @property
    def key(self) -> str:
        return str(self.child or self.referral or self.finding or self.proposal)


class Problem(BaseModel):
    """A problem of a cell, row or file, explained so that the sender can correct it. Contents are masked."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    row: int | None
    """The row's position in the file; null for a problem of the whole file."""
    column: str | None
    """The column's header; null for a problem of the whole row."""
    code: str
    """The kind of problem, such as ``id_damaged``, ``date_unreadable`` or ``column_not_announced``."""
    message: str
    """A Chinese sentence that says what is wrong."""
    remedy: str
    """A Chinese sentence that says what to do."""
    excerpt: str = ""
    """The masked content of the cell."""
    refused: Literal["cell", "row", "file", "nothing"]
    """What was refused. ``nothing`` marks a remark about content that was accepted."""


class RowsAnswered(Event):
    """A part of a receipt: the outcomes of some rows. The parts of a file add up to its ``SubmissionAnswered``."""

    kind = "intake.RowsAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    submission: UUID | None
    """The file; null for rows that belong to no file."""
    read: int
    """The number of rows of this part."""
    accepted: int
    """Rows accepted completely."""
    accepted_with_drops: int
    """Rows accepted without some cells, which were refused."""
    refused: int
    """Rows refused completely."""
    unchanged: int
    """Rows whose content had already been accepted."""
    problems: tuple[Problem, ...]
    answers: tuple[UUID, ...] = ()
    """The ``ce_id`` of each single row that this part answers."""

    @property
    def key(self) -> str:
        return str(self.submission or "rows")

    @property
    def topic_name(self) -> str:
        return self.topic.format(unit=self.unit)


class SubmissionAnswered(Event):
    """The receipt of a whole file. accepted + accepted_with_drops + refused + unchanged always equals the rows read."""

    kind = "intake.SubmissionAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    submission: UUID
    dataset: str
    period: str
    outcome: Literal["taken", "refused", "same_again", "older_period"]
    """``refused``: the whole file; ``same_again``: accepted before; ``older_period``: kept as history."""
    rows: int
    accepted: int
    accepted_with_drops: int
    refused: int
    unchanged: int
    disappeared: int = 0
    """Records of the last full file that this one lacks."""
    late: bool = False
    """Whether the file came after its due date."""
    problems: tuple[Problem, ...] = ()
    """Problems of the file as a whole; the problems of rows are in ``RowsAnswered``."""

    @property
    def key(self) -> str:
        return str(self.submission)

    @property
    def topic_name(self) -> str:
        return self.topic.format(unit=self.unit)


class ActionAnswered(Event):
    """The receipt of an action: accepted, or refused with the reason."""

    kind = "intake.ActionAnswered.v1"
    topic = "receipt.{unit}.v1"

    unit: str
    restricted: bool
    """True if the action came from the unit's log-in for restricted matters."""
    ce_id: UUID
    """The unit's id of the action."""
    verb: Verb | None
    """Null if the verb could not be read."""
    outcome: Literal["taken", "refused", "same_again"]
    """``same_again``: the action had been accepted before and has no second effect."""
    finding: UUID | None = None
    """The id given to a report."""
    code: str = ""
    """Why the action was refused, as a code."""
    message: str = ""
    """A Chinese sentence that says why."""
    remedy: str = ""
    """A Chinese sentence that says what to do."""

    @property
    def key(self) -> str:
        return str(self.ce_id)

    @property
    def topic_name(self) -> str:
        return f"receipt.{self.unit}.restricted.v1" if self.restricted else f"receipt.{self.unit}.v1"
