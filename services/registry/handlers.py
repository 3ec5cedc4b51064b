"""What the registry does with what it hears: load, decide, save, say."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson

from contracts.county import County
from contracts.event import COUNTY_TIME, Event, PreSerialized
from contracts.intake import ActionAccepted, FindingReported, RecordDisappeared, RecordRead, SubmissionEnded
from contracts.registry import (
    ChildChanged,
    FactConflictFound,
    FileReassigned,
    FindingAssigned,
    RegistryActionRefused,
    ReviewRequested,
    ReviewResolved,
    is_review,
)
from contracts.vocabulary import FactName, IdentityField, Verb
from runtime import (
    Batch,
    DayPage,
    DayPageResult,
    InboundEvent,
    OutboundEvent,
    RetryLater,
    Tx,
    UnprocessableEvent,
    log,
    partition_of,
    run_in_thread,
)
from runtime.sealing import CannotOpen
from services.registry import disclosing, store
from services.registry.desk import Desk, Said
from services.registry.domain.cabinet import Cabinet, How
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.facts import FINDING, watched_by
from services.registry.domain.files import (
    Asked,
    ChildFile,
    Contradicted,
    HandedOver,
    Outcome,
    Person,
    Reading,
    Refused,
    Settled,
    Told,
)
from services.registry.domain.matching import Evidence
from services.registry.vault import Identity, Vault, encrypt

BY_RULE = "rule"
"""The role in a settled question that nobody had to answer: a valid number turned up on both sides."""

# ------------------------------------------------------------------------------------------------------------ records


async def on_records(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """Departments' rows: whose are they, and what stands now?"""
    desk = _desk(batch, tx, vault)
    # A part of a file vouches for its own rows only.
    ended = [event for heard in batch.events if isinstance(event := heard.event, SubmissionEnded) and _is_whole(event)]
    await store.watch_ends(tx, closing=bool(ended))
    for heard in batch.events:
        if isinstance(heard.event, RecordRead | RecordDisappeared):
            desk.records.add(heard.event.record)
    known = await desk.contents()
    read = await run_in_thread(len(batch.events), _read, batch.events, known, vault)
    for reading, _ in read.values():
        if reading.evidence is not None:
            desk.shown.append(reading.evidence)
            if reading.finding is not None:
                desk.findings[reading.finding] = Told(vault.new_id(f"{FINDING}/{reading.finding}"), named=False)
    if ended:
        year = desk.school_year
        keys = (watched_by(end.unit, end.dataset, batch.partition, end.valid_on, year) for end in ended)
        desk.children |= await store.contested(tx, frozenset().union(*keys))

    def apply(cabinet: Cabinet) -> None:
        for n, heard in enumerate(batch.events):
            event = heard.event
            if isinstance(event, RecordRead):
                reading, identity = read[n]
                if reading.evidence is not None:
                    desk.clear[event.record] = identity.get(IdentityField.NAME, "")
                _put_down(desk, cabinet.read(n, reading), reading, identity)
            elif isinstance(event, RecordDisappeared):
                cabinet.disappear(n, event.record, event.period)
            elif isinstance(event, SubmissionEnded) and _is_whole(event):
                cabinet.end(n, event.unit, event.dataset, event.period, event.valid_on)

    cabinet = await desk.decide(len(batch.events), apply)
    news = await desk.save(cabinet)
    for unit, dataset, period in sorted(desk.completed(cabinet)):
        log.info("submission_complete", unit=unit, dataset=dataset, period=period)
    said = await run_in_thread(len(news), _told, batch, cabinet, news, _at_once(batch, cabinet))
    return said + await _disclosed_anew(batch, tx, vault, cabinet, desk.said.keys())


def _is_whole(event: SubmissionEnded) -> bool:
    return event.coverage == "full"


def _at_once(batch: Batch[Event], cabinet: Cabinet) -> set[UUID]:
    """Children whose files are said at once however much is coming: reported, joined, parted, asked about."""
    at_once: set[UUID] = set()
    for heard in batch.events:
        if isinstance(heard.event, RecordRead) and heard.event.finding is not None:
            at_once.add(cabinet.seats[heard.event.record].child)
    for _, outcome in cabinet.outcomes:
        match outcome:
            case Asked(question):
                at_once |= question.pair
            case Settled(_, child, other):
                at_once |= {child, other}
            case HandedOver(child, origin):
                at_once |= {child, origin}
    return at_once


def _read(
    events: Sequence[InboundEvent[Event]], known: dict[UUID, str], vault: Vault
) -> dict[int, tuple[Reading, Identity]]:
    """Rows by their place in the batch; ``known`` are the contents of records as they were last read."""
    read: dict[int, tuple[Reading, Identity]] = {}
    for n, heard in enumerate(events):
        event = heard.event
        if not isinstance(event, RecordRead):
            continue
        if known.get(event.record) == event.content:
            # As it was when it was last read: nobody needs to look again who it is about.
            read[n] = _reading(event, None), {}
            continue
        known.pop(event.record, None)
        evidence, identity = _opened(event, vault)
        read[n] = _reading(event, evidence), identity
    return read


def _opened(event: RecordRead, vault: Vault) -> tuple[Evidence, Identity]:
    try:
        identity = vault.opened(event.identity, event.record)
    except (CannotOpen, ValueError):
        # The reason is shown to whoever looks after what is parked: which record, never what it says.
        raise UnprocessableEvent(f"the identity of record {event.record} does not open") from None
    return vault.evidence(event.record, _exact(event.birth_date), identity, event.flags), identity


def _exact(birth_date: str | None) -> date | None:
    """The day of birth, where it is known to the day: nothing less is evidence of who somebody is."""
    return date.fromisoformat(birth_date) if birth_date is not None and len(birth_date) == len("2015-03-14") else None


def _reading(event: RecordRead, evidence: Evidence | None) -> Reading:
    facts = dict(event.facts)
    if (born := _exact(event.birth_date)) is not None:
        facts.setdefault(FactName.BIRTH_DATE, born.isoformat())
    return Reading(
        record=event.record,
        evidence=evidence,
        unit=event.unit,
        dataset=event.dataset,
        period=event.period,
        valid_on=event.valid_on,
        recorded_at=event.recorded_at,
        recorded_on=event.recorded_at.astimezone(COUNTY_TIME).date(),
        whole=event.period is not None,
        content=event.content,
        facts=facts,
        finding=event.finding,
    )


def _put_down(desk: Desk, how: How, reading: Reading, identity: Identity) -> None:
    """Remember what a record says of who the child is, for when its file is known."""
    record = reading.record
    match how:
        case "new":
            desk.same.pop(record, None)
            desk.said[record] = Said([(reading.valid_on, identity)], False, reading.dataset != FINDING)
        case "added" if record in desk.said:
            desk.said[record].parts.append((reading.valid_on, identity))
        case "added":
            before: list[tuple[date, Identity]] = [(day, {}) for day in desk.same.pop(record, ())]
            desk.said[record] = Said([*before, (reading.valid_on, identity)], True, reading.dataset != FINDING)
        case "same":
            desk.same.setdefault(record, []).append(reading.valid_on)
        case "unread":
            raise RetryLater(f"another lane has just changed record {record}")


# ------------------------------------------------------------------------------------------------------------ persons

_DECISIONS = frozenset({Verb.MERGE, Verb.SPLIT, Verb.CONFIRM, Verb.DECLINE})


async def on_actions(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """What persons decided about files: verified, merged, split, answered. Other verbs are others' matters."""
    mine = [
        (n, heard, heard.event)
        for n, heard in enumerate(batch.events)
        if isinstance(heard.event, ActionAccepted) and _is_mine(heard.event)
    ]
    if not mine:
        return []
    await store.watch_ends(tx, closing=False)
    answered = {
        event.proposal
        for _, _, event in mine
        if event.proposal is not None and event.verb in (Verb.CONFIRM, Verb.DECLINE)
    }
    questions = await store.questions(tx, answered)
    asked_of = {one: unit for one, (_, unit) in questions.items()}
    desk = _desk(batch, tx, vault)
    desk.with_findings = True
    desk.asked = {one: question for one, (question, _) in questions.items()}
    for _, _, event in mine:
        ends = {event.child, event.other} - {None}
        if event.proposal is not None and event.proposal in questions:
            asked, _ = questions[event.proposal]
            ends = {asked.child, asked.other}
        for child in ends:
            if child is not None:
                desk.children.add(child)
                if event.verb in _DECISIONS:
                    desk.whole.add(child)

    verified: dict[int, UUID] = {}

    def apply(cabinet: Cabinet) -> None:
        verified.clear()
        for n, _, event in mine:
            child = _act(cabinet, n, event, asked_of)
            if child is not None:
                verified[n] = child

    cabinet = await desk.decide(len(mine), apply)
    news = await desk.save(cabinet)
    await store.verified(
        tx,
        [
            (heard.envelope.id, verified[n], event.unit, event.role, event.person, event.on, event.outcome)
            for n, heard, event in mine
            if n in verified
        ],
    )
    said = _told(batch, cabinet, news, news.keys())
    return said + await _disclosed_anew(batch, tx, vault, cabinet, ())


def _is_mine(event: ActionAccepted) -> bool:
    if event.verb in (Verb.CONFIRM, Verb.DECLINE):
        return event.proposal is not None and is_review(event.proposal)
    return event.verb in (Verb.VERIFY, Verb.MERGE, Verb.SPLIT)


def _act(cabinet: Cabinet, n: int, event: ActionAccepted, asked: dict[UUID, str]) -> UUID | None:
    """Apply one action. Returns the child that was verified, if one was."""
    by = Person(event.unit, event.role, event.on)
    match event:
        case ActionAccepted(verb=Verb.CONFIRM | Verb.DECLINE, proposal=UUID() as question):
            if question not in asked:
                cabinet.outcomes.append((n, Refused(None, "unknown_proposal")))
            elif asked[question] != event.unit:
                cabinet.outcomes.append((n, Refused(event.child, "not_yours")))
            elif event.verb is Verb.CONFIRM:
                cabinet.confirm(n, question, by)
            else:
                cabinet.decline(n, question, by)
        case ActionAccepted(verb=Verb.VERIFY, child=UUID() as child):
            recorded_on = event.recorded_at.astimezone(COUNTY_TIME).date()
            return cabinet.verify(n, child, by, recorded_on, event.facts, seen=event.outcome == "confirmed")
        case ActionAccepted(verb=Verb.MERGE, child=UUID() as child, other=UUID() as other):
            cabinet.merge(n, child, other, by)
        case ActionAccepted(verb=Verb.SPLIT, child=UUID() as child):
            cabinet.split(n, child, event.records, event.other, by)
        case _:
            cabinet.outcomes.append((n, Refused(event.child, "child_missing")))
    return None


# -------------------------------------------------------------------------------------------------- the express way


async def on_findings(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """A person's finding is about a child at once: the one it names, or a candidate. Matching comes later."""
    reported = [(heard, heard.event) for heard in batch.events if isinstance(heard.event, FindingReported)]
    if not reported:
        return []
    named = await store.standing(tx, {event.child for _, event in reported if event.child is not None})
    known = {child for child, place in named.items() if not place.destroyed}
    assigned = await store.told(tx, {event.finding for _, event in reported})
    strangers = [event for _, event in reported if event.finding not in assigned and event.child not in known]
    candidates = await _candidates(tx, ChildNumbers(batch.county.code, vault.child_number), strangers)
    tell = {finding: Told(file.child, named=False) for finding, file in candidates.items()}
    for _, event in reported:
        if event.child is not None and event.child in known and event.finding not in assigned:
            tell.setdefault(event.finding, Told(event.child, named=True))
    await store.tell(tx, tell)
    told = assigned | await store.told(tx, tell)
    standing = await store.standing(tx, {one.child for one in told.values()})

    news: list[tuple[InboundEvent[Event], ChildFile]] = []
    said: list[OutboundEvent] = []
    for heard, event in reported:
        child = told[event.finding].child
        if child not in standing:
            file = candidates[event.finding]
            news.append((heard, file))
            standing[child] = store.Standing(child, file.number, file.state, None)
        place = standing[child]
        if event.child is not None and event.child not in known:
            said.append(heard.emit(_refusal(event, None, Verb.REPORT, "unknown_child")))
        said.append(heard.emit(_passed_on(event, place, batch.county)))
    await _open(batch, tx, [file for _, file in news])
    readable = {finding: one.child for finding, one in told.items() if not standing[one.child].destroyed}
    await _keep(tx, vault, [event for _, event in reported if event.finding in readable], readable)
    said += [heard.emit(_snapshot(file, 0)) for heard, file in news]
    # What a person says of a child on file may be what an agency was lacking.
    new = {file.child for _, file in news}
    changed = {
        standing[readable[event.finding]].child: heard
        for heard, event in reported
        if event.has_identity and event.finding in readable and readable[event.finding] not in new
    }
    changed |= {one: changed[top] for one, top in (await store.absorbed(tx, changed)).items()}
    return said + await disclosing.anew(batch, tx, changed, vault=vault)


async def _candidates(tx: Tx, numbers: ChildNumbers, reported: Sequence[FindingReported]) -> dict[UUID, ChildFile]:
    """Return a new file for each finding of a child that is not on file."""
    taken: dict[UUID, str] = {}
    while True:
        holders = dict(taken)
        files: dict[UUID, ChildFile] = {}
        for event in reported:
            if event.finding not in files:
                founding = f"{FINDING}/{event.finding}"
                child, number = numbers.choose(founding, holders.get)
                holders[child] = founding
                files[event.finding] = ChildFile(child, number, founding, event.recorded_at, version=1)
        others = await store.foundings(tx, {file.child for file in files.values()})
        if all(others.get(file.child, file.founding) == file.founding for file in files.values()):
            return files
        taken |= others


def _passed_on(event: FindingReported, place: store.Standing, county: County) -> FindingAssigned:
    home = county.township(place.residence)
    return FindingAssigned(
        finding=event.finding,
        child=place.child,
        number=place.number,
        candidate=place.state == "candidate",
        findings=event.findings,
        level=event.level,
        unit=event.unit,
        place=event.place,
        role=event.role,
        township=event.township or (home.code if home is not None else None),
        residence_division=place.residence,
        on=event.on,
        recorded_at=event.recorded_at,
        phone_reported_at=event.phone_reported_at,
        ce_id=event.ce_id,
    )


async def _open(batch: Batch[Event], tx: Tx, files: Sequence[ChildFile]) -> None:
    rows = [
        store.ToSave(file, partition_of(str(file.child), batch.partitions), None, None)
        for file in sorted(files, key=lambda file: file.child.bytes)
    ]
    if not await store.open_files(tx, rows):
        raise RetryLater("another lane has just opened one of these candidates")


async def _keep(tx: Tx, vault: Vault, reported: Sequence[FindingReported], child_of: dict[UUID, UUID]) -> None:
    """Who was reported by whom, in whose words: under the child's key."""
    children = set(child_of.values())
    wrapped = await store.keys(tx, children)
    if children - wrapped.keys():
        await store.new_keys(tx, {child: vault.new_key(child).wrapped for child in children - wrapped.keys()})
        wrapped = await store.keys(tx, children)
    rows: list[tuple[UUID, bytes | None, bytes | None]] = []
    for event in reported:
        child = child_of[event.finding]
        try:
            identity = vault.opened(event.identity, event.finding) if event.identity else {}
        except (CannotOpen, ValueError):
            # A finding is never held up: what does not open is kept as it came, and the finding goes on.
            rows.append((event.finding, None, event.identity.encode()))
            continue
        if identity:
            rows.append((event.finding, encrypt(vault.key(child, wrapped[child]), event.finding, identity), None))
    await store.keep_findings(tx, rows)


# ---------------------------------------------------------------------------------------------------- a day's work


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """What was taken back yesterday is taken back once more.

    A record may have made an agency's copy anew from another lane in the very moment its referral closed; whatever
    order the two were published in, the last word is that it is gone.
    """
    after = UUID(page.resume) if page.resume is not None else UUID(int=0)
    rows = await store.gone(tx, page.index, after, page.limit)
    gone = [disclosing.gone(one.referral, unit, one.restricted) for one in rows for unit in one.gone_from]
    said = [disclosing.said_as(page.emit(tombstone), tombstone) for tombstone in gone]
    await store.forget_gone(tx, [one.referral for one in rows])
    return DayPageResult(said, str(rows[-1].referral) if len(rows) == page.limit else None)


# -------------------------------------------------------------------------------------------------------------- say


def _desk(batch: Batch[Event], tx: Tx, vault: Vault) -> Desk:
    events = batch.events
    return Desk(tx, vault, batch.county, batch.partition, batch.partitions, lambda n: events[n].envelope)


def _told(
    batch: Batch[Event], cabinet: Cabinet, news: dict[UUID, ChildFile], at_once: Collection[UUID]
) -> list[OutboundEvent]:
    """What may not be skipped, in the order it happened; then each child's file, once."""
    said = [batch.events[n].emit(_event(batch.events[n], outcome, batch.county)) for n, outcome in cabinet.outcomes]
    return said + [
        batch.events[cabinet.touched[child]].emit(
            _snapshot(file, cabinet.open_questions(child) if file.asked else 0), bypass_coalescing=child in at_once
        )
        for child, file in news.items()
    ]


def _event(heard: InboundEvent[Event], outcome: Outcome, county: County) -> Event:
    on = heard.envelope.on
    match outcome:
        case Asked(question):
            return ReviewRequested(
                review=question.question,
                child=question.child,
                other=question.other,
                evidence=question.evidence,
                conflicts=question.conflicts,
                unit=county.lead_unit,
                on=on,
            )
        case Settled(question, child, other, how, by):
            return ReviewResolved(
                review=question,
                child=child,
                other=other,
                outcome=how,
                unit=county.lead_unit if by is None else by.unit,
                role=BY_RULE if by is None else by.role,
                on=on if by is None else by.on,
            )
        case HandedOver(child, origin, reason, findings, _, by):
            return FileReassigned(
                child=child, from_child=origin, reason=reason, findings=findings, on=on if by is None else by.on
            )
        case Contradicted(child, name, units):
            return FactConflictFound(child=child, name=name, units=units, on=on)
        case Refused(child, code):
            action = heard.event
            assert isinstance(action, ActionAccepted)
            return _refusal(action, child, action.verb, code)


def _refusal(
    action: ActionAccepted | FindingReported, child: UUID | None, verb: Verb, code: str
) -> RegistryActionRefused:
    return RegistryActionRefused(
        child=child,
        restricted=action.restricted,
        unit=action.unit,
        ce_id=action.ce_id,
        verb=verb,
        code=code,
        on=action.on,
    )


class Written(PreSerialized, ChildChanged):
    """A snapshot as the registry wrote it."""


def _snapshot(file: ChildFile, questions: int) -> ChildChanged:
    known, silent = file.datasets
    claims = file.laid.claims if file.laid is not None else ()
    found: dict[str, Any] = {
        "child": file.child,
        "number": file.number,
        "child_version": file.version,
        "state": file.state,
        "absorbed_by": file.absorbed_by,
        "absorbs": file.absorbs,
        "split_from": file.split_from,
        "facts": [
            {
                "name": claim.name,
                "value": claim.value,
                "unit": claim.unit,
                "dataset": claim.dataset,
                "period": claim.period,
                "valid_on": claim.valid_on,
                "recorded_on": claim.recorded_on,
                "chosen": chosen,
                "verified": claim.verified,
            }
            for claim, chosen in claims
        ],
        "sources": known,
        "silent_sources": silent,
        "open_reviews": questions,
    }
    # The database's UUIDs are a class of their own, which only `str` writes like any other.
    return Written.of(orjson.dumps(found, default=str), child=file.child)


async def _disclosed_anew(
    batch: Batch[Event], tx: Tx, vault: Vault, cabinet: Cabinet, records: Iterable[UUID]
) -> list[OutboundEvent]:
    """Who a child is has changed while an agency is to know it: seal the newest."""
    children = {cabinet.seats[record].child for record in {*records, *cabinet.moved}}
    for _, outcome in cabinet.outcomes:
        if isinstance(outcome, HandedOver):
            children |= {outcome.child, outcome.from_child}
    changed = {child: batch.events[cabinet.touched[child]] for child in children}
    merged = [child for child in changed if cabinet.files[child].absorbs]
    for child, top in (await store.absorbed(tx, merged)).items():
        changed[child] = changed[top]
    return await disclosing.anew(batch, tx, changed, vault=vault)
