"""A county's data as one document, which a named person activates from a date and every service reads.

Another county has another folder of data. Names for people are Chinese; ids are ASCII.
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
    """The base of all county data. Unknown keys are errors, so that a misspelt threshold is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Citation(CountyModel):
    """The text that a rule or route rests on."""

    place: str
    """The document and place, such as ``石民函〔2025〕3号 附件第4行`` or ``未成年人保护法第11条``."""
    phrase: str
    """A short verbatim quotation (``hutong county check --source`` compares it with the text)."""
    certainty: Certainty = Certainty.STATED
    article: str | None = None
    """The part of the plan: ``一``..``八``, ``三、工作要求`` or ``row 1``..``row 21``; null for another text."""


class Township(CountyModel):
    """A township of the county."""

    code: str = Field(pattern=r"^\d{9}$")
    name: str
    unit: str
    """The unit that is responsible for the township."""


class Division(CountyModel):
    """An administrative division code (GB/T 2260) and its successor."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    district_of: str | None = None
    """For a 市辖区, the city's code (4 digits + ``00``): a move between two districts of one city does not count."""
    successor: str | None = None
    """For an abolished code, the code that replaced it."""


class Person(CountyModel):
    """A person with a role in a unit. It has an id, never an ID number or telephone number."""

    id: str
    name: str
    role: str
    area: tuple[str, ...] = ()
    """The codes of the townships or villages the person is responsible for. If empty, the whole unit."""


class Unit(CountyModel):
    """A unit with topics of its own, or a smaller place that sends through its parent unit."""

    id: str = Field(pattern=r"^\d{6}-[a-z0-9]+$")
    name: str
    short: str
    parent: str | None = None
    """For a school, clinic, village committee or hotline, the unit whose topics it uses."""
    submits: tuple[str, ...] = ()
    """The datasets that the unit submits."""
    receives: bool = False
    """Whether it has a referral queue."""
    receives_restricted: bool = False
    """Whether it has a second queue for restricted matters, read with another log-in."""
    inbox: bool = True
    """Whether it has an inbox for notices."""
    recipient: str | None = None
    """The id of the person responsible for the inbox. If it is missing, an alarm is raised."""
    people: tuple[Person, ...] = ()
    public_key: str | None = None
    """The JWK (JSON text) with which disclosures of ordinary referrals are encrypted."""
    restricted_public_key: str | None = None
    """The JWK (JSON text) with which disclosures of restricted referrals are encrypted, for other people."""
    mandatory_reporter: bool = True
    """Whether its people have the statutory duty to report, so that their reports are sent without confirmation."""

    @property
    def families(self) -> frozenset[str]:
        """The topic families this unit has topics in (``contracts.topics.Family``)."""
        if self.parent is not None:
            return frozenset()
        families = {"acting"}
        if self.submits:
            families.add("submitting")
        if self.receives:
            families.add("agency")
        if self.receives_restricted:
            families |= {"agency", "restricted_agency"}
        if self.inbox:
            families.add("inbox")
            if self.receives_restricted:
                families.add("restricted_inbox")
        return frozenset(families)

    def key_for(self, *, restricted: bool) -> str | None:
        """Return the public key for disclosures of such a referral; None if the unit has not provided one."""
        return self.restricted_public_key if restricted else self.public_key


class Column(CountyModel):
    """One column of a dataset."""

    field: str
    """An identity field, a fact name, or another meaning that intake knows (``contracts.county.READINGS``)."""
    names: tuple[str, ...]
    """The headers it may have, the usual one first."""


class Dataset(CountyModel):
    """The data that one unit submits, registered with purpose and legal basis (personal-information duty P1)."""

    id: str
    unit: str
    name: str
    purpose: str
    legal_basis: str
    retention: str
    recipients: tuple[str, ...] = ()
    columns: tuple[Column, ...]
    row_number: str | None = None
    """The column with the unit's own number of a row. Default: the ID number, or name and birth date."""


class Item(CountyModel):
    """A row of the list of services (``B-4``) or one of its numbered items (``B-4(6)``)."""

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
    """The unit that receives a finding, and its level (policy part 4.2)."""

    id: str = Field(pattern=r"^R\d{1,2}$")
    title: str
    findings: tuple[FindingCode, ...]
    unit: str
    """The receiving unit. ``township`` means the unit of the child's township."""
    inform: tuple[str, ...] = ()
    """Units that are informed without a referral of their own."""
    level: Level
    restricted: bool
    basis: tuple[Citation, ...]
    whitelist: tuple[IdentityField, ...]
    """The identity fields that may be disclosed to the receiving unit."""
    confirm_derived: bool = True
    """Whether the township confirms a derived finding before it is referred."""
    expects: str = ""
    """What the receiving unit is expected to do, in Chinese."""


class Clock(CountyModel):
    """The time limits of a level, counted from SENT in hours or working days. They are the county's own proposals."""

    accept_hours: int | None = None
    accept_days: int | None = None
    result_hours: int | None = None
    result_days: int | None = None
    phone_report_hours: int | None = None
    escalate_unacknowledged_hours: int | None = None
    confirm_hours: int = 24
    """The hours within which a township confirms a derived finding of this level."""


class Cadence(CountyModel):
    """The intervals of recurring duties."""

    contact_months: int = 1
    visit_months: int = 3
    first_visit_days: int = 7
    """Working days after entry on the key-care ledger."""
    entry_cutoff_day: int = 20
    """After an entry later than this day of the month, the first contact is due in the next month."""
    contact_reminder_day: int = 20
    visit_reminders_days: tuple[int, ...] = (30, 10)
    submission_due: tuple[str, ...] = ("03-31", "09-30")
    submission_reminders_days: tuple[int, ...] = (14, 7, 1)


class Thresholds(CountyModel):
    """Thresholds of the rules (policy part 11). Those without a source are the county's own choice."""

    age_limit: int = 16
    age_reached_on: Literal["birthday", "day_after"] = "birthday"
    residence_months: int = 6
    absence_breaks_after_days: int = 60
    rehab_max_age: int = 7
    """The age in years at which the aid ends."""
    max_returns: int = 2
    reopen_days: int = 90
    school_cutoff: str = "08-31"
    unattended_age: int = 8
    dibao_at_residence_enabled: bool = False
    notice_before_16_days: int = 30

    @property
    def cutoff(self) -> tuple[int, int]:
        """Month and day of ``school_cutoff``. The school year begins on the day after it."""
        month, _, day = self.school_cutoff.partition("-")
        return int(month), int(day)


class Criterion(CountyModel):
    """The definition of a term that the law leaves to the county. Without it, rules that need it answer unknown."""

    term: str
    """The id of the term, such as ``kindergarten_nearby``, ``compulsory_public_school`` or ``local_relief``."""
    text: str
    """The definition, in Chinese."""
    requires: tuple[tuple[FactName, str], ...] = ()
    """The facts that must all have these values."""
    citation: Citation
    invented: bool = False
    """True for the demo county's invented criteria, which every answer that uses them states."""


class WorkingDays(CountyModel):
    """The State Council's calendar of working days. For other years, weekends count and due dates are provisional."""

    published_years: tuple[int, ...]
    holidays: tuple[date, ...]
    """Weekdays on which nobody works."""
    make_up_days: tuple[date, ...]
    """Weekend days on which people work."""


class County(CountyModel):
    """Everything that a county decides for itself."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    version: str
    policy_source: str
    policy_effective_from: date
    divisions: tuple[Division, ...]
    townships: tuple[Township, ...]
    units: tuple[Unit, ...]
    lead_unit: str
    """The unit that leads the work: 县民政局."""
    duty_unit: str
    """The unit whose duty officer is alarmed about findings of level 0."""
    coordinating_unit: str
    """The unit that decides cases on which units cannot agree (R32)."""
    roles: dict[str, tuple[Verb, ...]]
    """Role -> the verbs it may use."""
    role_names: dict[str, str] = Field(default_factory=dict)
    """Role -> its Chinese name."""
    datasets: tuple[Dataset, ...]
    forbidden_columns: tuple[str, ...]
    """Headers, or parts of headers, whose presence refuses a whole file: their contents must not be submitted."""
    catalogue: tuple[Item, ...]
    catalogue_version: str
    routes: tuple[Route, ...]
    clocks: dict[Level, Clock]
    cadence: Cadence = Cadence()
    thresholds: Thresholds = Thresholds()
    criteria: tuple[Criterion, ...] = ()
    working_days: WorkingDays
    holders: dict[FactName, tuple[str, ...]] = Field(default_factory=dict)
    """Fact -> the units that hold it and are asked when it is missing."""
    duty_clocks: dict[DutyKind, int] = Field(default_factory=dict)
    """Duty -> working days within which it is fulfilled."""

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
        """Working days after entry on the key-care ledger, from ``duty_clocks`` or else ``cadence``."""
        return self.duty_clocks.get(DutyKind.FIRST_VISIT, self.cadence.first_visit_days)

    def unit(self, unit: str) -> Unit | None:
        """Return the unit with this id."""
        return self._units.get(unit)

    def sending_unit(self, unit: str) -> Unit | None:
        """Return the unit whose topics a unit uses: the unit itself, or its parent."""
        sender = self._units.get(unit)
        if sender is None or sender.parent is None:
            return sender
        return self._units.get(sender.parent)

    def route(self, route: str) -> Route | None:
        """Return the route with this id."""
        return self._routes.get(route)

    def routes_for(self, finding: FindingCode) -> tuple[Route, ...]:
        """Return the routes of a finding, in the county's order."""
        return tuple(route for route in self.routes if finding in route.findings)

    def township(self, division: str | None) -> Township | None:
        """Return the township of a 9- or 12-digit division code."""
        return self._townships.get(division[:9]) if division else None

    def dataset(self, dataset: str) -> Dataset | None:
        """Return the dataset with this id."""
        return self._datasets.get(dataset)

    def item(self, item: str) -> Item | None:
        """Return the item of the list with this id."""
        return self._items.get(item)

    def division(self, code: str) -> Division | None:
        """Return the division with this 6-digit code."""
        return self._divisions.get(code)

    def criterion(self, term: str) -> Criterion | None:
        """Return the county's definition of a term."""
        return self._criteria.get(term)


READINGS = frozenset(
    {
        "row_number",  # the unit's own number of the row
        "id_paper_kind",
        "left_behind_flag",  # a department's flag is evidence under its own definition, never the decision
        "migrant_flag",
        "note",
        "ignored",
    }
)
"""The meanings of columns that are neither a fact nor an identity field."""


class CountyActivated(Event):
    """A named person activated this version of the county's data from a day on."""

    kind: ClassVar[str] = "county.CountyActivated.v1"
    topic: ClassVar[str] = "county.v1"

    county: County
    active_from: date
    activated_by: str
    """The person's role and unit."""

    @property
    def key(self) -> str:
        return f"{self.county.code}/{self.county.version}"
