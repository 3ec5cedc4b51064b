"""Processes the actions of one log-in: each is checked, passed on and answered."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple, cast
from uuid import UUID, uuid5

from contracts.intake import Action, FactValue
from contracts.vocabulary import FACT_TYPES, FactName, IdentityField, Verb
from runtime import InboundEvent, OutboundEvent
from services.intake import events
from services.intake.domain.action import OTHER_STATION, Account, Refusal, find_refusal, invalid_facts
from services.intake.domain.row import ReadRow, read_row
from services.intake.labels import IDENTITY_LABELS
from services.intake.malformed import MalformedMessage
from services.intake.parsers import Parsers
from services.intake.secrets import Seal, Secrets

_NAMESPACE = UUID("8e0a7a52-5a1f-5c7e-8b43-d2f7f5c0e9aa")
"""The ids of findings are made in this namespace, from what the unit sends and not from a secret."""
_MAX_NARRATIVE = 8000
"""Characters. A finding stays small enough to be published, whatever comes with it."""


class _Checked(NamedTuple):
    """An action without the parts that could not be used, and what is wrong with them."""

    action: Action
    facts: dict[FactName, FactValue]
    malformed: Refusal | None
    """Fields of a report that could not be decoded."""
    invalid_facts: Refusal | None


class ActionProcessor:
    """Processes actions against those that were accepted before, to which it adds."""

    def __init__(
        self,
        account: Account,
        parsers: Parsers,
        secrets: Secrets,
        now: datetime | None,
        accepted: dict[UUID, UUID | None],
    ) -> None:
        """Begin with ``accepted``, the log-in's actions that were accepted before, each with the finding it made."""
        self._account = account
        self._parsers = parsers
        self._secrets = secrets
        self._seal: Seal = secrets.new_seal()
        self._now = now
        self._accepted = accepted
        self.newly_accepted: dict[UUID, UUID | None] = {}

    def process(self, inbound: InboundEvent[Action | MalformedMessage]) -> list[OutboundEvent]:
        """Return what an action causes: the accepted action or finding, and its receipt."""
        event, ce_id = inbound.event, inbound.envelope.id
        at, on = events.recorded_time(inbound, self._now)
        if ce_id in self._accepted:
            return [self._answer(inbound, event.verb, "same_again", finding=self._accepted[ce_id])]
        checked = _check_form(event, on)
        if isinstance(checked, Refusal):
            return [self._answer(inbound, event.verb, "refused", checked)]
        refusal = self._find_refusal(checked, on)
        if refusal is not None:
            return [self._answer(inbound, event.verb, "refused", refusal)]
        if checked.action.verb is Verb.REPORT:
            return self._report(inbound, checked, at, on)
        accepted = events.action_accepted(checked.action, self._account, self._parsers.unit_names, ce_id, at, on)
        self._remember(ce_id, None)
        remark = Refusal("station_unknown") if accepted.station == OTHER_STATION else None
        return [events.emit(inbound, accepted, at), self._answer(inbound, event.verb, "taken", remark)]

    def _find_refusal(self, checked: _Checked, on: date) -> Refusal | None:
        """Return why an action is refused. Invalid facts refuse any action but a report."""
        action, sender = checked.action, self._parsers.sender(self._account.unit)
        refusal = find_refusal(action, sender, on=on, call_date=events.county_day(action.at))
        if refusal is None and action.verb is not Verb.REPORT:
            return checked.invalid_facts
        return refusal

    def _report(
        self, inbound: InboundEvent[Action | MalformedMessage], checked: _Checked, at: datetime, on: date
    ) -> list[OutboundEvent]:
        """Accept a report. Nothing that is wrong with its contents holds it up."""
        ce_id = inbound.envelope.id
        finding = uuid5(_NAMESPACE, f"{self._account.principal}/{ce_id}")
        report = cast("InboundEvent[Action]", replace(inbound, event=checked.action))
        emitted, remark = self._finding(report, finding, checked.facts, at, on)
        self._remember(ce_id, finding)
        remark = checked.malformed or checked.invalid_facts or remark
        return [*emitted, self._answer(inbound, Verb.REPORT, "taken", remark, finding)]

    def _finding(
        self, inbound: InboundEvent[Action], finding: UUID, facts: dict[FactName, FactValue], at: datetime, on: date
    ) -> tuple[list[OutboundEvent], Refusal | None]:
        """Return the finding, a record of the identity that came with it if it identifies a person, and a remark."""
        event, account = inbound.event, self._account
        texts = {str(name): text for name, text in event.identity.items()}
        row = read_row(self._parsers.identity_mapping, texts, number=None, on=on)
        identifies_person = row.identifies_person and row.birth_date is not None
        identity, full_identity = _identities(event, row)
        township = event.township if self._parsers.county.township(event.township) is not None else None
        day = event.on or on
        reported = events.finding_reported(
            event,
            account,
            finding=finding,
            ce_id=inbound.envelope.id,
            township=township,
            on=day,
            at=at,
            has_identity=identifies_person,
            identity=self._seal(events.canonical_json(full_identity), finding),
        )
        emitted = [events.emit(inbound, reported, at)]
        remark = Refusal("township_unknown") if event.township is not None and township is None else None
        if not identifies_person:
            return emitted, Refusal("facts_not_taken") if facts else remark
        record = self._secrets.record_id(account.unit, events.FINDING_DATASET, ("finding", str(finding)))
        plain_identity = events.canonical_json(identity)
        stated = {**events.facts_of(row), **facts}
        parts = plain_identity, events.canonical_json(stated), ",".join(row.flags).encode()
        record_read = events.finding_record(
            row,
            record=record,
            unit=account.unit,
            finding=finding,
            on=day,
            at=at,
            identity=self._seal(plain_identity, record),
            facts=stated,
            content_hash=self._secrets.content_hash(*parts),
        )
        return [*emitted, events.emit(inbound, record_read, at)], remark

    def _remember(self, ce_id: UUID, finding: UUID | None) -> None:
        self._accepted[ce_id] = self.newly_accepted[ce_id] = finding

    def _answer(
        self,
        inbound: InboundEvent[Action | MalformedMessage],
        verb: Verb | None,
        outcome: str,
        remark: Refusal | None = None,
        finding: UUID | None = None,
    ) -> OutboundEvent:
        at, _ = events.recorded_time(inbound, self._now)
        return events.action_answered(inbound, at, self._account, verb, outcome, remark, finding)


def _check_form(event: Action | MalformedMessage, on: date) -> _Checked | Refusal:
    """Leave out what could not be decoded of a report; refuse any other malformed message."""
    malformed: Refusal | None = None
    if isinstance(event, MalformedMessage):
        fields = (("fields", "、".join(event.fields)),)
        if event.report is None:
            return Refusal("unreadable", fields)
        malformed = Refusal("left_out", fields) if event.fields else None
        event = event.report
    invalid = invalid_facts(event.facts, FACT_TYPES, on=on)
    remark = Refusal("fact_unreadable", (("facts", "、".join(invalid)),)) if invalid else None
    facts = {name: value for name, value in event.facts.items() if name not in invalid}
    return _Checked(event, facts, malformed, remark)


def _identities(event: Action, row: ReadRow) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return whom a report is about, and the same with narrative and reporter.

    The narrative is what the person wrote, the note, and the content of cells that could not be read.
    """
    identity = dict(row.identity)
    parts = [identity.pop(IdentityField.NARRATIVE, ""), event.note]
    rejected = [problem.column for problem in row.problems if problem.refused == "cell" and problem.column is not None]
    parts += [f"{IDENTITY_LABELS.get(name, name)}（原文）：{event.identity[IdentityField(name)]}" for name in rejected]
    narrative = "\n".join(part for part in parts if part)[:_MAX_NARRATIVE]
    reporter = identity.pop(IdentityField.REPORTER, None)
    full_identity = dict(identity)
    if narrative:
        full_identity[IdentityField.NARRATIVE] = narrative
    if reporter is not None:
        full_identity[IdentityField.REPORTER] = reporter
    return identity, full_identity
