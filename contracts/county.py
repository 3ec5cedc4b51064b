"""The county's folder of data, as one document: activated from a date by a named person, read by every service.

Another county is another folder. Names people read are Chinese; ids are ASCII.
"""

from datetime import date
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.event import Event
from contracts.vocabulary import (
    Certainty,
    DutyKind,
    FactName,
    FindingCode,
    Fulfilment,
    IdentityField,
    Level,
    TextStatus,
    Verb,
)


class CountyModel(BaseModel):
    """A part of the county's data. Unknown keys are errors: a misspelt threshold must not be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Citation(CountyModel):
    """Where a rule or a route comes from."""

    place: str
    """``石民函〔2025〕3号 附件第4行`` or ``未成年人保护法第11条``."""
    phrase: str
    """A short phrase that stands there, word for word (checked with ``hutong county check --source``)."""
    certainty: Certainty = Certainty.STATED
    article: str | None = None
    """For the plan itself: ``一``..``八``, ``三、工作要求``, or ``row 1``..``row 21``; None for any other text."""


class Township(CountyModel):
    code: str = Field(pattern=r"^\d{9}$")
    name: str
    unit: str
    """The unit that answers for it."""


class Division(CountyModel):
    """An administrative division code and what became of it."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    district_of: str | None = None
    """For a 市辖区: the city's code (4 digits + ``00``), so that moves between two of them do not count."""
    successor: str | None = None
    """For an abolished code: the code that took its place."""


class Person(CountyModel):
    """A named role in a unit. Ids, never personal numbers."""

    id: str
    name: str
    role: str
    area: tuple[str, ...] = ()
    """Township or village codes this person answers for; empty: the whole unit."""


class Unit(CountyModel):
    """A unit with traffic of its own, or a smaller place that speaks through its parent."""

    id: str = Field(pattern=r"^\d{6}-[a-z0-9]+$")
    name: str
    short: str
    parent: str | None = None
    """For a school, clinic, village committee, 12355 ...: the unit whose topics it speaks through."""
    submits: tuple[str, ...] = ()
    """Datasets this unit hands over."""
    receives: bool = False
    """It has a referral queue."""
    receives_restricted: bool = False
    """It has a second queue, for other eyes."""
    inbox: bool = True
    recipient: str | None = None
    """The person (id) who answers for the inbox; None is an alarm, not a loss."""
    people: tuple[Person, ...] = ()
    public_key: str | None = None
    """JWK (JSON text) that disclosures of ordinary referrals are sealed to."""
    restricted_public_key: str | None = None
    """JWK (JSON text) that disclosures of restricted referrals are sealed to. Other people hold its private half."""
    reports_at_once: bool = True
    """Its people have the duty to report: what they report goes out at once."""

    @property
    def families(self) -> frozenset[str]:
        """The topic families this unit has topics in (``contracts.topics.Family``)."""
        if self.parent is not None:
            return frozenset()
        found = {"acting"}
        if self.submits:
            found.add("submitting")
        if self.receives:
            found.add("agency")
        if self.receives_restricted:
            found |= {"agency", "restricted_agency"}
        if self.inbox:
            found.add("inbox")
            if self.receives_restricted:
                found.add("restricted_inbox")
        return frozenset(found)

    def key_for(self, *, restricted: bool) -> str | None:
        """The public key that a disclosure of such a referral is sealed to; None: the unit has handed in none."""
        return self.restricted_public_key if restricted else self.public_key


class Column(CountyModel):
    """One column of a dataset."""

    field: str
    """An identity field, a fact name, or a reading of the dataset (``contracts.county.READINGS``)."""
    names: tuple[str, ...]
    """Headers under which it arrives, the usual one first."""


class Dataset(CountyModel):
    """What one unit hands over, registered with purpose and basis (personal-information duties P1)."""

    id: str
    unit: str
    name: str
    purpose: str
    legal_basis: str
    retention: str
    recipients: tuple[str, ...] = ()
    columns: tuple[Column, ...]
    row_number: str | None = None
    """The column field that is the unit's own number of a row; else the ID number, else name + birth date."""


class Item(CountyModel):
    """A row of the list (``B-4``) or one of its numbered items (``B-4(6)``)."""

    id: str = Field(pattern=r"^B-\d{1,2}(\(\d{1,2}\))?$")
    group: str
    audience: str
    title: str
    summary: str
    units: tuple[str, ...]
    fulfilment: Fulfilment
    citation: Citation
    text_status: TextStatus = TextStatus.COMPLETE
    sealed: bool = False


class Route(CountyModel):
    """Where a finding goes, and how fast (policy part 4.2)."""

    id: str = Field(pattern=r"^R\d{1,2}$")
    title: str
    findings: tuple[FindingCode, ...]
    unit: str
    """The receiving unit; ``township`` means the unit of the child's township."""
    inform: tuple[str, ...] = ()
    """Units that are told, without a referral of their own."""
    level: Level
    restricted: bool
    basis: tuple[Citation, ...]
    whitelist: tuple[IdentityField, ...]
    """What the receiving unit may see of who the child is."""
    confirm_derived: bool = True
    """A finding that the rules derive is confirmed by the township before it goes out."""
    expects: str = ""
    """What the receiver does, in Chinese."""


class Clock(CountyModel):
    """How long a level may take, counted from SENT. Hours or working days; proposals of the county."""

    accept_hours: int | None = None
    accept_days: int | None = None
    result_hours: int | None = None
    result_days: int | None = None
    phone_report_hours: int | None = None
    escalate_unacknowledged_hours: int | None = None
    confirm_hours: int = 24
    """How long a township may take to confirm a derived finding of this level."""


class Cadence(CountyModel):
    """Duties that time itself makes."""

    contact_months: int = 1
    visit_months: int = 3
    first_visit_days: int = 7
    """Working days after entry on the key-care ledger."""
    entry_cutoff_day: int = 20
    """Entry after this day of the month: the first contact is due next month."""
    contact_reminder_day: int = 20
    visit_reminders_days: tuple[int, ...] = (30, 10)
    submission_due: tuple[str, ...] = ("03-31", "09-30")
    submission_reminders_days: tuple[int, ...] = (14, 7, 1)


class Thresholds(CountyModel):
    """Policy part 11. Each has a source; what has none is the county's own choice."""

    age_limit: int = 16
    age_reached_on: Literal["birthday", "day_after"] = "birthday"
    residence_months: int = 6
    absence_breaks_after_days: int = 60
    rehab_max_age: int = 7
    """Exclusive."""
    max_returns: int = 2
    reopen_days: int = 90
    school_cutoff: str = "08-31"
    unattended_age: int = 8
    dibao_at_residence_enabled: bool = False
    notice_before_16_days: int = 30

    @property
    def cutoff(self) -> tuple[int, int]:
        """Month and day of ``school_cutoff``: the school year begins on the day after it."""
        month, _, day = self.school_cutoff.partition("-")
        return int(month), int(day)


class Criterion(CountyModel):
    """A term that the law leaves to the county. Not set: every rule that needs it answers unknown."""

    term: str
    """``kindergarten_nearby``, ``compulsory_public_school``, ``local_relief``, ``family_doctor`` ..."""
    text: str
    requires: tuple[tuple[FactName, str], ...] = ()
    """Facts that must have these values; all of them."""
    citation: Citation
    invented: bool = False
    """True in the demo's county: said wherever it is used."""


class WorkingDays(CountyModel):
    """The State Council's calendar. A year not listed is computed from weekends and marked provisional."""

    published_years: tuple[int, ...]
    holidays: tuple[date, ...]
    """Weekdays that are not worked."""
    make_up_days: tuple[date, ...]
    """Weekend days that are worked."""


class County(CountyModel):
    """Everything a county may decide for itself."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    version: str
    policy_source: str
    policy_effective_from: date
    divisions: tuple[Division, ...]
    townships: tuple[Township, ...]
    units: tuple[Unit, ...]
    lead_unit: str
    """县民政局."""
    duty_unit: str
    """Whose duty officer is alarmed for L0."""
    coordinating_unit: str
    """Where matters stuck between units go (R32)."""
    roles: dict[str, tuple[Verb, ...]]
    """Which verbs a person's role may use."""
    role_names: dict[str, str] = Field(default_factory=dict)
    """What each role is called where people read."""
    datasets: tuple[Dataset, ...]
    sealed_columns: tuple[str, ...]
    """Headers (or parts of headers) that refuse a file whole: sealed records have no column anywhere."""
    catalogue: tuple[Item, ...]
    catalogue_version: str
    routes: tuple[Route, ...]
    clocks: dict[Level, Clock]
    cadence: Cadence = Cadence()
    thresholds: Thresholds = Thresholds()
    criteria: tuple[Criterion, ...] = ()
    working_days: WorkingDays
    holders: dict[FactName, tuple[str, ...]] = Field(default_factory=dict)
    """Which units hold a fact: whom to ask when it is missing."""
    duty_clocks: dict[DutyKind, int] = Field(default_factory=dict)

    @cached_property
    def _units(self) -> dict[str, Unit]:
        return {unit.id: unit for unit in self.units}

    @cached_property
    def _routes(self) -> dict[str, Route]:
        return {route.id: route for route in self.routes}

    @cached_property
    def _townships(self) -> dict[str, Township]:
        return {township.code: township for township in self.townships}

    @cached_property
    def _datasets(self) -> dict[str, Dataset]:
        return {dataset.id: dataset for dataset in self.datasets}

    @cached_property
    def _items(self) -> dict[str, Item]:
        return {item.id: item for item in self.catalogue}

    @cached_property
    def _divisions(self) -> dict[str, Division]:
        return {division.code: division for division in self.divisions}

    @cached_property
    def _criteria(self) -> dict[str, Criterion]:
        return {criterion.term: criterion for criterion in self.criteria}

    @property
    def first_visit_days(self) -> int:
        """Working days after entry on the key-care ledger: the clock of the duty, or the cadence's."""
        return self.duty_clocks.get(DutyKind.FIRST_VISIT, self.cadence.first_visit_days)

    def unit(self, unit: str) -> Unit | None:
        return self._units.get(unit)

    def sending_unit(self, unit: str) -> Unit | None:
        """The unit whose topics a unit speaks through: itself, or its parent."""
        found = self._units.get(unit)
        if found is None or found.parent is None:
            return found
        return self._units.get(found.parent)

    def route(self, route: str) -> Route | None:
        return self._routes.get(route)

    def routes_for(self, finding: FindingCode) -> tuple[Route, ...]:
        return tuple(route for route in self.routes if finding in route.findings)

    def township(self, division: str | None) -> Township | None:
        """The township that a 9- or 12-digit division code lies in."""
        return self._townships.get(division[:9]) if division else None

    def dataset(self, dataset: str) -> Dataset | None:
        return self._datasets.get(dataset)

    def item(self, item: str) -> Item | None:
        return self._items.get(item)

    def division(self, code: str) -> Division | None:
        return self._divisions.get(code)

    def criterion(self, term: str) -> Criterion | None:
        return self._criteria.get(term)


READINGS = frozenset(
    {
        "row_number",  # the unit's own number of a row
        "id_paper_kind",
        "left_behind_flag",  # a department's flag is evidence under its own definition, never the decision
        "migrant_flag",
        "note",
        "ignored",
    }
)
"""Columns that are read but are neither a fact nor an identity field."""


class CountyActivated(Event):
    """A named person put this version of the county's data in force from a day on."""

    kind: ClassVar[str] = "county.CountyActivated.v1"
    topic: ClassVar[str] = "county.v1"

    county: County
    active_from: date
    activated_by: str
    """Role and unit of the person."""

    @property
    def key(self) -> str:
        return f"{self.county.code}/{self.county.version}"
