"""Assess a child when its file changes and on days when an answer may change; emit what is news.

Both handlers load the stored files, let the :class:`Assessor` decide, save files and decisions, and return the events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from uuid import UUID

from contracts.county import County
from contracts.eligibility import ChildAssessed
from contracts.registry import ChildChanged
from contracts.vocabulary import FactName
from runtime import Batch, DayPage, DayPageResult, OutboundEvent, Tx, UnprocessableEvent, partition_of
from services.eligibility import store
from services.eligibility.domain.assessment import assess, withdrawn_assessment
from services.eligibility.domain.facts import Claim, UnreadableFact, parse_facts
from services.eligibility.domain.rulebook import RULESET
from services.eligibility.events import child_assessed, serialize_answers
from services.eligibility.mapping import (
    parse_claims,
    rule_basis,
    rule_parameters,
    serialize_claims,
    to_claims,
)
from services.eligibility.store import AssessmentFile, Decision

_LEAST_ID = UUID(int=0)
_EVERYONE = "everyone"
_DUE = "due"


async def on_children(batch: Batch[ChildChanged], tx: Tx) -> list[OutboundEvent]:
    """Assess each newer snapshot separately and in order, so that the events do not depend on batch boundaries."""
    files = await store.load(tx, {inbound.event.child for inbound in batch.events})
    assessor = Assessor(batch.county)
    changed: dict[UUID, AssessmentFile] = {}
    emitted: list[OutboundEvent] = []
    for inbound in batch.events:
        event = inbound.event
        stored = files.get(event.child)
        if stored is not None and event.child_version <= stored.child_version:
            continue
        on = batch.on or inbound.envelope.on
        claims = to_claims(event.facts)
        file = _received(event, stored, claims, batch.partitions)
        assessed = None
        if stored is None or not assessor.is_unchanged(stored, file, on):
            file, assessed = assessor.decide(file, claims, on)
        files[event.child] = changed[event.child] = file
        if assessed is not None:
            emitted.append(inbound.emit(assessed))
    await store.save(tx, list(changed.values()))
    await store.insert_decisions(tx, assessor.decisions)
    return emitted


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """Assess the children whose answers may differ on this day, or all when the rules or county data have changed.

    The resume position is ``everyone:<child>`` or ``due:<day>/<child>``, after the last child of the previous page.
    """
    basis = rule_basis(page.county)
    phase, _, after = (page.resume or "").partition(":")
    if not phase:
        phase = _DUE if await store.load_basis(tx, page.index) == basis else _EVERYONE
    if phase == _EVERYONE:
        files = await store.load_on_other_basis(tx, page.index, basis, UUID(after) if after else _LEAST_ID, page.limit)
        emitted = await _reassess(files, page, tx)
        if len(files) == page.limit:
            return DayPageResult(emitted, f"{_EVERYONE}:{files[-1].child}")
        await store.save_basis(tx, page.index, basis)
        return DayPageResult(emitted, f"{_DUE}:")
    files = await store.load_due(tx, page.index, page.day, _parse_position(after), page.limit)
    emitted = await _reassess(files, page, tx)
    if len(files) < page.limit:
        return DayPageResult(emitted, None)
    last_day, last_child = max((file.until, file.child) for file in files if file.until is not None)
    return DayPageResult(emitted, f"{_DUE}:{last_day.isoformat()}/{last_child}")


async def _reassess(files: Iterable[AssessmentFile], page: DayPage, tx: Tx) -> list[OutboundEvent]:
    assessor = Assessor(page.county)
    changed: list[AssessmentFile] = []
    emitted: list[OutboundEvent] = []
    for stored in files:
        file, assessed = assessor.decide(stored, parse_claims(stored.claims), page.day)
        changed.append(file)
        if assessed is not None:
            emitted.append(page.emit(assessed))
    await store.save(tx, changed)
    await store.insert_decisions(tx, assessor.decisions)
    return emitted


class Assessor:
    """Assesses files by one version of the county's data, and collects the decisions to be stored."""

    def __init__(self, county: County) -> None:
        self._county = county
        self._parameters = rule_parameters(county)
        self._basis = rule_basis(county)
        self.decisions: list[Decision] = []

    def is_unchanged(self, stored: AssessmentFile, received: AssessmentFile, on: date) -> bool:
        """Whether the answers cannot differ: the facts and rules are the same, and ``until`` has not been reached."""
        return (
            stored.basis == self._basis
            and stored.assessed_on <= on
            and (stored.until is None or on < stored.until)
            and received == replace(stored, child_version=received.child_version)
        )

    def decide(
        self, file: AssessmentFile, claims: Sequence[Claim], on: date
    ) -> tuple[AssessmentFile, ChildAssessed | None]:
        """Return the file as assessed on a day, and the event to emit if the answers differ from those last emitted.

        Raises:
            UnprocessableEvent: a fact's value does not have the type of its fact.
        """
        answers, until = self.evaluate(file, claims, on)
        digest = blake2b(answers, digest_size=16).digest()
        file = replace(file, assessed_on=on, basis=self._basis, until=until)
        if digest == file.answers_digest:
            return file, None
        file = replace(file, answers_digest=digest, assessment=file.assessment + 1)
        self.decisions.append(Decision(file, RULESET, self._county.version))
        return file, child_assessed(file.child, file.child_version, file.assessment, on, answers)

    def evaluate(self, file: AssessmentFile, claims: Sequence[Claim], on: date) -> tuple[bytes, date | None]:
        """Return the answers as JSON, and the day until which they hold. An absorbed file has no answers."""
        if file.state == "absorbed":
            assessment, residence = withdrawn_assessment(self._parameters), None
        else:
            try:
                facts = parse_facts(claims)
            except UnreadableFact as error:
                raise UnprocessableEvent(f"unreadable_fact {error.name}") from error
            assessment = assess(facts, self._parameters, on)
            residence = facts.codes.get(FactName.RESIDENCE_DIVISION)
        answers = serialize_answers(
            assessment,
            self._county,
            state=file.state,
            absorbed_by=file.absorbed_by,
            absorbs=file.absorbs,
            residence=residence,
        )
        return answers, assessment.until


def _received(
    event: ChildChanged, stored: AssessmentFile | None, claims: Sequence[Claim], partitions: int
) -> AssessmentFile:
    """Return a child's file with the content of its newest snapshot, not yet assessed."""
    serialized = serialize_claims(claims)
    if stored is not None:
        return replace(
            stored,
            child_version=event.child_version,
            state=event.state,
            absorbed_by=event.absorbed_by,
            absorbs=event.absorbs,
            claims=serialized,
        )
    return AssessmentFile(
        child=event.child,
        partition=partition_of(str(event.child), partitions),
        child_version=event.child_version,
        state=event.state,
        absorbed_by=event.absorbed_by,
        absorbs=event.absorbs,
        claims=serialized,
        assessment=0,
        assessed_on=date.min,
        basis="",
        answers_digest=b"",
        until=None,
    )


def _parse_position(after: str) -> tuple[date, UUID]:
    day, _, child = after.partition("/")
    return (date.fromisoformat(day), UUID(child)) if child else (date.min, _LEAST_ID)
