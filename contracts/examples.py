"""An example of every published event, for the AsyncAPI document.

They tell one invented case: a school reports 例小明, who has left school, and the county's education bureau is asked to
act. Sealed values are placeholders.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from contracts import registry
from contracts.child_number import child_id
from contracts.clock import DayBegan, DayWatermark, TimePassed
from contracts.county import (
    Citation,
    Clock,
    Column,
    County,
    CountyActivated,
    Dataset,
    Division,
    Item,
    Person,
    Route,
    Township,
    Unit,
    WorkingDays,
)
from contracts.eligibility import ChildAssessed, DerivedFinding, MissingFact, Reason, Verdict
from contracts.event import Envelope, Event
from contracts.intake import (
    Action,
    ActionAccepted,
    ActionAnswered,
    Begin,
    End,
    FindingReported,
    Problem,
    RecordDisappeared,
    RecordRead,
    Row,
    RowsAnswered,
    SubmissionAnswered,
    SubmissionEnded,
)
from contracts.notify import AlarmDelivered, AlarmRaised, Notice
from contracts.referral import (
    Basis,
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    QueueEntry,
    ReferralActionRefused,
    ReferralChanged,
)
from contracts.vocabulary import (
    Answer,
    DutyKind,
    FactName,
    FindingCode,
    Fulfilment,
    IdentityField,
    LedgerReason,
    Level,
    ReferralState,
    Transition,
    Verb,
)

COUNTY = "341722"
SCHOOLS, CIVIL_AFFAIRS, TOWNSHIP_UNIT = "341722-jtj", "341722-mzj", "341722-renli"
TOWNSHIP = "341722100"
NUMBER, OTHER_NUMBER = "482109375516", "117302264089"
CHILD, OTHER_CHILD = child_id(COUNTY, NUMBER), child_id(COUNTY, OTHER_NUMBER)
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
ACCEPT_BY, RESULT_BY = datetime(2026, 11, 25, 16, tzinfo=UTC), datetime(2026, 12, 7, 16, tzinfo=UTC)
SEALED = "c2VhbGVk"


def _id(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


SUBMISSION, RECORD, FINDING, REFERRAL = map(_id, ("submission", "record", "finding", "referral"))
PROPOSAL, DUTY, ACTION, ALARM = map(_id, ("proposal", "duty", "action", "alarm"))
REVIEW = registry.review_id(_id("review"))
SCHOOL: dict[str, Any] = {"unit": SCHOOLS, "dataset": "school", "period": "2026H2"}
OUT_OF_SCHOOL = (FindingCode.OUT_OF_SCHOOL,)
WHITELIST = (IdentityField.NAME, IdentityField.BIRTH_DATE, IdentityField.SCHOOL)
BASIS: dict[str, Any] = {"place": "义务教育法第13条", "phrase": "采取措施防止适龄儿童、少年辍学"}


def examples() -> Mapping[str, Event]:
    """Return an example of every published event, by kind."""
    parts = (_clock(), _county(), _from_units(), _from_intake(), _from_registry(), _from_eligibility())
    return {event.kind: event for part in (*parts, _from_referral(), _from_notify()) for event in part}


def example_headers(event: Event) -> dict[str, str]:
    """Return the headers with which the example is published."""
    envelope = Envelope(
        id=_id(event.kind),
        source=f"/{event.kind.partition('.')[0]}",
        type=event.kind,
        time=NOW,
        key=event.key,
        county=COUNTY,
        correlation=_id("correlation"),
        sensitivity=event.sensitivity,
    )
    return {name: value.decode() for name, value in envelope.headers()}


def _clock() -> Iterator[Event]:
    yield DayBegan(day=TODAY)
    yield TimePassed(at=NOW)
    yield DayWatermark(day=TODAY, producers=4)


def _county() -> Iterator[Event]:
    citation = Citation(**BASIS)
    yield CountyActivated(
        active_from=TODAY,
        activated_by=f"{CIVIL_AFFAIRS}/county_civil_affairs/mzj-01",
        county=County(
            code=COUNTY,
            name="石台县",
            version="2026-11",
            policy_source="石民函〔2025〕3号",
            policy_effective_from=date(2025, 3, 1),
            divisions=(Division(code=COUNTY, name="石台县"),),
            townships=(Township(code=TOWNSHIP, name="仁里镇", unit=TOWNSHIP_UNIT),),
            units=(
                Unit(
                    id=SCHOOLS,
                    name="石台县教育体育局",
                    short="教体局",
                    submits=("school",),
                    receives=True,
                    people=(Person(id="jtj-01", name="例科长", role="agency_officer"),),
                ),
            ),
            lead_unit=CIVIL_AFFAIRS,
            duty_unit=CIVIL_AFFAIRS,
            coordinating_unit=CIVIL_AFFAIRS,
            roles={"agency_officer": (Verb.ACCEPT, Verb.RESULT)},
            role_names={"agency_officer": "部门经办人"},
            datasets=(
                Dataset(
                    id="school",
                    unit=SCHOOLS,
                    name="在校在园儿童信息",
                    purpose="控辍保学",
                    legal_basis="义务教育法第13条",
                    retention="2 years",
                    columns=(Column(field="name", names=("姓名",)), Column(field="birth_date", names=("出生日期",))),
                ),
            ),
            forbidden_columns=("前科",),
            catalogue=(
                Item(
                    id="B-4",
                    group="教育",
                    audience="适龄流动儿童",
                    title="义务教育",
                    summary="接受义务教育",
                    units=(SCHOOLS,),
                    fulfilment=Fulfilment.LOCAL,
                    citation=citation,
                ),
            ),
            catalogue_version="2025-03",
            routes=(
                Route(
                    id="R12",
                    title="义务教育阶段辍学",
                    findings=OUT_OF_SCHOOL,
                    unit=SCHOOLS,
                    level=Level.L2,
                    restricted=False,
                    basis=(citation,),
                    whitelist=WHITELIST,
                ),
            ),
            clocks={Level.L2: Clock(accept_days=2, result_days=10)},
            working_days=WorkingDays(published_years=(2026,), holidays=(date(2026, 10, 1),), make_up_days=()),
        ),
    )


def _from_units() -> Iterator[Event]:
    yield Begin(
        submission=SUBMISSION, dataset="school", period="2026H2", columns=("姓名", "出生日期"), rows=1, coverage="full"
    )
    yield Row(submission=SUBMISSION, number=2, cells={"姓名": "例小明", "出生日期": "2016-03-05"})
    yield End(submission=SUBMISSION, rows=1)
    yield Action(verb=Verb.ACCEPT, role="agency_officer", person="jtj-01", child=CHILD, referral=REFERRAL)


def _from_intake() -> Iterator[Event]:
    yield RecordRead(
        record=RECORD, submission=SUBMISSION, valid_on=date(2026, 9, 30), recorded_at=NOW, birth_date="2016-03-05",
        identity=SEALED, facts={FactName.SCHOOL_STATUS: "enrolled"}, content="6f0c1b1e", **SCHOOL,
    )  # fmt: skip
    yield RecordDisappeared(record=_id("earlier record"), birth_date="2015-07", **SCHOOL)
    yield SubmissionEnded(submission=SUBMISSION, valid_on=date(2026, 9, 30), coverage="full", **SCHOOL)
    yield FindingReported(
        finding=FINDING, unit=SCHOOLS, place=None, role="teacher", child=CHILD, findings=OUT_OF_SCHOOL, level=None,
        township=TOWNSHIP, on=TODAY, recorded_at=NOW, has_identity=True, identity=SEALED, ce_id=ACTION,
    )  # fmt: skip
    yield ActionAccepted(
        verb=Verb.ACCEPT, unit=SCHOOLS, place=None, role="agency_officer", person="jtj-01", on=TODAY, recorded_at=NOW,
        ce_id=ACTION, child=CHILD, referral=REFERRAL,
    )  # fmt: skip
    problem = Problem(
        row=3, column="出生日期", code="no_such_day", message="日历上没有这一天。", remedy="请改成实际的日期。",
        refused="cell",
    )  # fmt: skip
    counts: dict[str, Any] = {"accepted": 1, "accepted_with_drops": 0, "refused": 0, "unchanged": 0}
    yield RowsAnswered(unit=SCHOOLS, submission=SUBMISSION, read=1, problems=(problem,), **counts)
    yield SubmissionAnswered(submission=SUBMISSION, outcome="taken", rows=1, **SCHOOL, **counts)
    yield ActionAnswered(ce_id=ACTION, unit=SCHOOLS, verb=Verb.ACCEPT, outcome="taken", restricted=False)


def _from_registry() -> Iterator[Event]:
    fact = registry.Fact(
        name=FactName.SCHOOL_STATUS, value="enrolled", valid_on=date(2026, 9, 30), recorded_on=TODAY, chosen=True,
        **SCHOOL,
    )  # fmt: skip
    yield registry.ChildChanged(
        child=CHILD, number=NUMBER, child_version=2, state="on_file", facts=(fact,), sources=("school",)
    )
    yield registry.FindingAssigned(
        finding=FINDING, child=CHILD, number=NUMBER, candidate=False, findings=OUT_OF_SCHOOL, level=None, unit=SCHOOLS,
        place=None, role="teacher", township=TOWNSHIP, residence_division="341722100", on=TODAY, recorded_at=NOW,
        ce_id=ACTION,
    )  # fmt: skip
    yield registry.FileReassigned(child=CHILD, from_child=OTHER_CHILD, reason="merge", on=TODAY)
    yield registry.ReviewRequested(
        review=REVIEW, child=CHILD, other=OTHER_CHILD, evidence=("same_name", "same_birth_date"), unit=CIVIL_AFFAIRS,
        on=TODAY,
    )  # fmt: skip
    yield registry.ReviewResolved(
        review=REVIEW, child=CHILD, other=OTHER_CHILD, outcome="merged", unit=CIVIL_AFFAIRS,
        role="county_civil_affairs", on=TODAY,
    )  # fmt: skip
    yield registry.FactConflictFound(child=CHILD, name=FactName.SCHOOL_STATUS, units=(SCHOOLS, TOWNSHIP_UNIT), on=TODAY)
    yield registry.RegistryActionRefused(
        child=CHILD, restricted=False, unit=CIVIL_AFFAIRS, ce_id=ACTION, verb=Verb.MERGE, code="same_file", on=TODAY
    )
    yield registry.Disclosed(unit=SCHOOLS, restricted=False, referral=REFERRAL, fields=WHITELIST, jwe=SEALED)


def _from_eligibility() -> Iterator[Event]:
    reason = Reason(code="crossed_counties", supports=True)
    missing = MissingFact(fact=FactName.SCHOOL_STATUS, held_by=(SCHOOLS,))
    yield ChildAssessed(
        child=CHILD, child_version=2, assessment=1, on=TODAY, state="on_file", residence_division="341722100",
        township=TOWNSHIP, migrant=Verdict(subject="migrant", answer=Answer.YES, reasons=(reason,)),
        statistical=Verdict(subject="statistical", answer=Answer.YES, reasons=(reason,)),
        items=(Verdict(subject="B-4", answer=Answer.UNKNOWN, missing=(missing,)),),
        derived=(
            DerivedFinding(code=FindingCode.OUT_OF_SCHOOL, route="R12", level=Level.L2, item=None, confirm_first=False),
        ),
        until=date(2032, 3, 5), ruleset="2026-11", catalogue="2025-03",
    )  # fmt: skip


def _from_referral() -> Iterator[Event]:
    case: dict[str, Any] = {"child": CHILD, "restricted": False, "on": TODAY}
    limits: dict[str, Any] = {"sent_at": NOW, "accept_by": ACCEPT_BY, "result_by": RESULT_BY}
    referral: dict[str, Any] = {
        "referral": REFERRAL, "version": 1, "state": ReferralState.SENT, "route": "R12", "level": Level.L2,
        "findings": OUT_OF_SCHOOL, "item": None, "from_unit": TOWNSHIP_UNIT, "township": TOWNSHIP, "call_first": False,
        "phone_reported": False, **limits,
    }  # fmt: skip
    yield ReferralChanged(
        transition=Transition.SENT, finding=FINDING, to_unit=SCHOOLS, whitelist=WHITELIST, actor_unit=None,
        actor_role=None, **case, **referral,
    )  # fmt: skip
    yield QueueEntry(
        unit=SCHOOLS, restricted=False, child=CHILD, assigned=True, title="义务教育阶段辍学",
        expects="学校劝返，无效的书面报教体局；返校后办结", basis=(Basis(**BASIS),), disclosure=True, **referral,
    )  # fmt: skip
    yield ProposalMade(
        proposal=PROPOSAL, subject="ledger", route=None, level=None, unit=TOWNSHIP_UNIT, township=TOWNSHIP,
        ledger_reasons=(LedgerReason.FAMILY_HARDSHIP,), decide_by=ACCEPT_BY, **case,
    )  # fmt: skip
    person: dict[str, Any] = {"actor_unit": TOWNSHIP_UNIT, "actor_role": "township_civil_affairs"}
    yield ProposalEnded(proposal=PROPOSAL, subject="ledger", outcome="confirmed", unit=TOWNSHIP_UNIT, **person, **case)
    yield LedgerEntryChanged(
        change="opened", reasons=(LedgerReason.FAMILY_HARDSHIP,), unit=TOWNSHIP_UNIT, township=TOWNSHIP, **person,
        **case,
    )  # fmt: skip
    yield DutyChanged(
        duty=DUTY, duty_kind=DutyKind.CONTACT, period="2026-12", change="created", due_on=date(2026, 12, 31),
        unit=TOWNSHIP_UNIT, township=TOWNSHIP, **case,
    )  # fmt: skip
    yield ReferralActionRefused(
        referral=REFERRAL, unit=SCHOOLS, ce_id=ACTION, verb=Verb.CLOSE, code="reporter_not_informed", **case
    )


def _from_notify() -> Iterator[Event]:
    yield Notice(
        notice=_id("notice"), unit=SCHOOLS, restricted=False, template="referral.sent", text="转介待办（L2）。",
        urgency="normal", subject=REFERRAL, child=CHILD, due=ACCEPT_BY, on=TODAY,
    )  # fmt: skip
    yield AlarmRaised(
        alarm=ALARM, unit=CIVIL_AFFAIRS, trigger="escalated", subject=REFERRAL, text="一条事项超期，请督办。", on=TODAY
    )
    yield AlarmDelivered(alarm=ALARM, channel="command", outcome="done")
