"""What a unit's person did: checked, passed on, answered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import cast
from uuid import UUID, uuid5

from contracts.intake import Action, ActionAccepted, ActionAnswered, FactValue, FindingReported, RecordRead
from contracts.registry import FACT_TYPES
from contracts.vocabulary import FactName, IdentityField, Verb
from runtime import InboundEvent, OutboundEvent
from services.intake.domain.action import OTHER_STATION, Refusal, find_refusal, invalid_facts, station_name
from services.intake.domain.row import read_row
from services.intake.events import canonical_json, county_day, emit, facts_of, in_county_time, iso, recorded_time
from services.intake.malformed import MalformedMessage
from services.intake.parsers import Parsers
from services.intake.secrets import Seal, Secrets

_SPACE = UUID("8e0a7a52-5a1f-5c7e-8b43-d2f7f5c0e9aa")
"""Of findings: an id is made from what the unit says, not from a secret."""
FINDING_DATASET = "finding"
"""The dataset of identities that came with a person's finding."""
_LABELS = {
    "name": "姓名",
    "id_number": "身份证件号码",
    "birth_date": "出生日期",
    "sex": "性别",
    "phone": "电话",
    "guardian_name": "监护人姓名",
    "guardian_id_number": "监护人证件号码",
    "guardian_phone": "监护人电话",
    "father_name": "父亲姓名",
    "father_id_number": "父亲证件号码",
    "father_phone": "父亲电话",
    "mother_name": "母亲姓名",
    "mother_id_number": "母亲证件号码",
    "mother_phone": "母亲电话",
    "household_size": "家庭人口",
}
"""What a person reads before content that could not be read as what it was given as."""


_LONGEST_NARRATIVE = 8000
"""Characters: whatever comes with a finding, it stays small enough to be sent."""


@dataclass(frozen=True, slots=True)
class Account:
    """The log-in that an action came by, as its topic shows it."""

    unit: str
    restricted: bool
    """The unit's second one, for restricted matters: no answer to it is read by the first."""

    @property
    def principal(self) -> str:
        return f"{self.unit}-restricted" if self.restricted else self.unit


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The action was refused, or had been taken before."""

    events: list[OutboundEvent]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The action was taken now."""

    events: list[OutboundEvent]
    finding: UUID | None


def accept(
    heard: InboundEvent[Action | MalformedMessage],
    account: Account,
    plans: Parsers,
    secrets: Secrets,
    seal: Seal,
    now: datetime | None,
    before: Mapping[UUID, UUID | None],
) -> Accepted | NotAccepted:
    """Decide about one action. ``before``: the account's actions that were taken, with the finding each made."""
    event, ce_id = heard.event, heard.envelope.id
    at, on = recorded_time(heard, now)
    if ce_id in before:
        again = _answer(account, ce_id, event.verb, "same_again", None, before[ce_id])
        return NotAccepted([_answered(heard, again, at)])
    left_out: Refusal | None = None
    if isinstance(event, MalformedMessage):
        wrong = (("fields", "、".join(event.fields)),)
        if event.report is None:
            unread = _answer(account, ce_id, event.verb, "refused", Refusal("unreadable", wrong))
            return NotAccepted([_answered(heard, unread, at)])
        left_out = Refusal("left_out", wrong) if event.fields else None
        event = event.report
    bad = invalid_facts(event.facts, FACT_TYPES, on=on)
    unreadable = Refusal("fact_unreadable", (("facts", "、".join(bad)),)) if bad else None
    refusal = find_refusal(event, plans.sender(account.unit), on=on, call_date=county_day(event.at))
    if refusal is None and event.verb is not Verb.REPORT:
        refusal = unreadable
    if refusal is not None:
        return NotAccepted([_answered(heard, _answer(account, ce_id, event.verb, "refused", refusal), at)])
    if event.verb is not Verb.REPORT:
        taken = _taken(event, account, plans.unit_names, ce_id, at, on)
        elsewhere = Refusal("station_unknown") if taken.station == OTHER_STATION else None
        answer = _answer(account, ce_id, event.verb, "taken", elsewhere)
        return Accepted([emit(heard, taken, at), _answered(heard, answer, at)], None)
    finding = uuid5(_SPACE, f"{account.principal}/{ce_id}")
    facts = {name: value for name, value in event.facts.items() if name not in bad}
    report = cast("InboundEvent[Action]", replace(heard, event=event))
    said, remark = _finding(report, account, finding, facts, plans, secrets, seal, at, on)
    answer = _answer(account, ce_id, event.verb, "taken", left_out or unreadable or remark, finding)
    return Accepted([*said, _answered(heard, answer, at)], finding)


def _answered(heard: InboundEvent[Action | MalformedMessage], answer: ActionAnswered, at: datetime) -> OutboundEvent:
    said = emit(heard, answer, at)
    return replace(said, sensitivity="restricted") if answer.restricted else said


def _answer(
    account: Account, ce_id: UUID, verb: Verb | None, outcome: str, remark: Refusal | None, finding: UUID | None = None
) -> ActionAnswered:
    return ActionAnswered.model_validate(
        {
            "unit": account.unit,
            "restricted": account.restricted,
            "ce_id": ce_id,
            "verb": verb,
            "outcome": outcome,
            "finding": finding,
            "code": remark.code if remark is not None else "",
            "message": remark.message if remark is not None else "",
            "remedy": remark.remedy if remark is not None else "",
        }
    )


def _taken(
    event: Action, account: Account, offices: Collection[str], ce_id: UUID, at: datetime, on: date
) -> ActionAccepted:
    return ActionAccepted(
        verb=event.verb,
        unit=account.unit,
        restricted=account.restricted,
        place=event.place,
        role=event.role,
        person=event.person,
        on=event.on or on,
        recorded_at=at,
        ce_id=ce_id,
        child=event.child,
        referral=event.referral,
        finding=event.finding,
        proposal=event.proposal,
        station=station_name(event.station, offices),
        at=in_county_time(event.at),
        reached=event.reached,
        mode=event.mode,
        at_residence=event.at_residence,
        reason=event.reason,
        to_unit=event.to_unit,
        days=event.days,
        result=event.result,
        channel=event.channel,
        outcome=event.outcome,
        noted=bool(event.note.strip()),
        facts=event.facts,
        findings=event.findings,
        other=event.other,
        records=event.records,
    )


def _finding(
    heard: InboundEvent[Action],
    account: Account,
    finding: UUID,
    facts: dict[FactName, FactValue],
    plans: Parsers,
    secrets: Secrets,
    seal: Seal,
    at: datetime,
    on: date,
) -> tuple[list[OutboundEvent], Refusal | None]:
    """A person's finding, and the identity that came with it if it names somebody. Nothing in it holds it up."""
    event = heard.event
    row = read_row(
        plans.identity_mapping, {str(name): text for name, text in event.identity.items()}, number=None, on=on
    )
    who = dict(row.identity)
    parts = [who.pop(IdentityField.NARRATIVE, ""), event.note]
    parts += [
        f"{_LABELS.get(trouble.column, trouble.column)}（原文）：{event.identity[IdentityField(trouble.column)]}"
        for trouble in row.problems
        if trouble.refused == "cell" and trouble.column is not None
    ]
    narrative = "\n".join(part for part in parts if part)[:_LONGEST_NARRATIVE]
    reporter = who.pop(IdentityField.REPORTER, None)
    whole = dict(who)
    if narrative:
        whole[IdentityField.NARRATIVE] = narrative
    if reporter is not None:
        whole[IdentityField.REPORTER] = reporter
    named = row.identifies_person and row.birth_date is not None
    township = event.township if plans.county.township(event.township) is not None else None
    day = event.on or on
    reported = FindingReported(
        finding=finding,
        unit=account.unit,
        restricted=account.restricted,
        place=event.place,
        role=event.role,
        child=event.child,
        findings=event.findings,
        level=event.level,
        township=township,
        on=day,
        recorded_at=at,
        has_identity=named,
        identity=seal(canonical_json(whole), finding),
        phone_reported_at=in_county_time(event.at),
        ce_id=heard.envelope.id,
    )
    said = [emit(heard, reported, at)]
    remark = Refusal("township_unknown") if event.township is not None and township is None else None
    if not named:
        return said, Refusal("facts_not_taken") if facts else remark
    record = secrets.record_id(account.unit, FINDING_DATASET, ("finding", str(finding)))
    identity = canonical_json(who)
    stated = {**facts_of(row), **facts}
    read_as = RecordRead(
        record=record,
        unit=account.unit,
        dataset=FINDING_DATASET,
        period=None,
        submission=None,
        valid_on=day,
        recorded_at=at,
        birth_date=iso(row.birth_date),
        finding=finding,
        identity=seal(identity, record),
        facts=stated,
        content=secrets.content_hash(identity, canonical_json(stated), ",".join(row.flags).encode()).hex(),
        flags=row.flags,
    )
    return [*said, emit(heard, read_as, at)], remark
