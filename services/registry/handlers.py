"""Handlers of the registry's input events: load, decide, save, emit."""

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

from contracts.event import Event
from contracts.intake import ActionAccepted, FindingReported, RecordDisappeared, RecordRead, SubmissionEnded
from contracts.registry import (
    is_review,
)
from contracts.vocabulary import COUNTY_TIME, FactName, IdentityField, Verb
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
from runtime.storage.sealing import CannotOpen
from services.registry import disclosures, store
from services.registry.domain.child_file import (
    ActionRefusal,
    ChildFile,
    FindingAssignment,
    Person,
    Reading,
    Reassignment,
    ReviewClosed,
    ReviewOpened,
)
from services.registry.domain.child_files import ChildFiles, ReadOutcome
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.fact_resolution import FINDING, keys_affected_by
from services.registry.domain.matching import Evidence
from services.registry.events import action_refused, batch_events, finding_assigned, snapshot
from services.registry.unit_of_work import IdentityClaim, UnitOfWork
from services.registry.vault import Identity, Vault, encrypt

# ------------------------------------------------------------------------------------------------------------ records


async def on_records(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """Apply departments' rows: assign each to a child's file and resolve the file's facts."""
    work = _unit_of_work(batch, tx, vault)
    # The end of a part of a file says nothing about the rows that it does not contain.
    ended = [
        event for inbound in batch.events if isinstance(event := inbound.event, SubmissionEnded) and _is_whole(event)
    ]
    await store.lock_file_ends(tx, closing=bool(ended))
    for inbound in batch.events:
        if isinstance(inbound.event, RecordRead | RecordDisappeared):
            work.records.add(inbound.event.record)
    contents = await work.stored_contents()
    read = await run_in_thread(len(batch.events), _read_rows, batch.events, contents, vault)
    for reading, _ in read.values():
        if reading.evidence is not None:
            work.incoming.append(reading.evidence)
            if reading.finding is not None:
                # No file has this id: the finding is assigned to its record's file, once that is known.
                provisional = vault.derived_id(f"{FINDING}/{reading.finding}")
                work.findings[reading.finding] = FindingAssignment(provisional, named=False)
    if ended:
        year = work.school_year
        keys = (keys_affected_by(end.unit, end.dataset, batch.partition, end.valid_on, year) for end in ended)
        work.children |= await store.files_depending_on(tx, frozenset().union(*keys))

    # It runs again from the start, on new objects, when the domain asks for more stored files (LoadRequired).
    def apply(child_files: ChildFiles) -> None:
        for n, inbound in enumerate(batch.events):
            event = inbound.event
            if isinstance(event, RecordRead):
                reading, identity = read[n]
                if reading.evidence is not None:
                    work.plain_names[event.record] = identity.get(IdentityField.NAME, "")
                _record_identity(work, child_files.apply_record(n, reading), reading, identity)
            elif isinstance(event, RecordDisappeared):
                child_files.apply_disappearance(n, event.record, event.period)
            elif isinstance(event, SubmissionEnded) and _is_whole(event):
                child_files.close_submission(n, event.unit, event.dataset, event.period, event.valid_on)

    child_files = await work.decide(len(batch.events), apply)
    to_publish = await work.save(child_files)
    for unit, dataset, period in sorted(work.completed_submissions(child_files)):
        log.info("submission_completed", unit=unit, dataset=dataset, period=period)
    emitted = await run_in_thread(
        len(to_publish), batch_events, batch, child_files, to_publish, _bypassing_coalescing(batch, child_files)
    )
    return emitted + await _reseal_disclosures(batch, tx, vault, child_files, work.identities.keys())


def _is_whole(event: SubmissionEnded) -> bool:
    return event.coverage == "full"


def _bypassing_coalescing(batch: Batch[Event], child_files: ChildFiles) -> set[UUID]:
    """Return children whose snapshots bypass the coalescing buffer: reported, merged, split or under review."""
    bypassing: set[UUID] = set()
    for inbound in batch.events:
        if isinstance(inbound.event, RecordRead) and inbound.event.finding is not None:
            bypassing.add(child_files.assignments[inbound.event.record].child)
    for _, outcome in child_files.outcomes:
        match outcome:
            case ReviewOpened(review):
                bypassing |= review.pair
            case ReviewClosed(_, child, other):
                bypassing |= {child, other}
            case Reassignment(child, origin):
                bypassing |= {child, origin}
    return bypassing


def _read_rows(
    events: Sequence[InboundEvent[Event]], contents: dict[UUID, str], vault: Vault
) -> dict[int, tuple[Reading, Identity]]:
    """Return each row's reading and identity by its index in the batch.

    ``contents``: the stored content hash of each record.
    """
    read: dict[int, tuple[Reading, Identity]] = {}
    for n, inbound in enumerate(events):
        event = inbound.event
        if not isinstance(event, RecordRead):
            continue
        if contents.get(event.record) == event.content:
            # The row has not changed since it was last read: its identity need not be opened.
            read[n] = _reading(event, None), {}
            continue
        contents.pop(event.record, None)
        evidence, identity = _unseal(event, vault)
        read[n] = _reading(event, evidence), identity
    return read


def _unseal(event: RecordRead, vault: Vault) -> tuple[Evidence, Identity]:
    try:
        identity = vault.unseal(event.identity, event.record)
    except (CannotOpen, ValueError):
        # Operators read this reason: it names the record, never its content.
        raise UnprocessableEvent(f"the identity of record {event.record} does not open") from None
    return vault.evidence(event.record, _exact(event.birth_date), identity, event.flags), identity


def _exact(birth_date: str | None) -> date | None:
    """Return the birth date if it is known to the day; a less precise one is no evidence of identity."""
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
        full_file=event.period is not None,
        content=event.content,
        facts=facts,
        finding=event.finding,
    )


def _record_identity(work: UnitOfWork, how: ReadOutcome, reading: Reading, identity: Identity) -> None:
    """Keep the identity of a record until its file is saved."""
    record = reading.record
    match how:
        case "new":
            work.unchanged.pop(record, None)
            work.identities[record] = IdentityClaim([(reading.valid_on, identity)], False, reading.dataset != FINDING)
        case "added" if record in work.identities:
            work.identities[record].parts.append((reading.valid_on, identity))
        case "added":
            before: list[tuple[date, Identity]] = [(day, {}) for day in work.unchanged.pop(record, ())]
            work.identities[record] = IdentityClaim(
                [*before, (reading.valid_on, identity)], True, reading.dataset != FINDING
            )
        case "same":
            work.unchanged.setdefault(record, []).append(reading.valid_on)
        case "unread":
            raise RetryLater(f"another partition has just changed record {record}")


# ------------------------------------------------------------------------------------------------------------ persons

_DECISIONS = frozenset({Verb.MERGE, Verb.SPLIT, Verb.CONFIRM, Verb.DECLINE})


async def on_actions(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """Apply persons' decisions about files: verify, merge, split, and the resolution of reviews."""
    mine = [
        (n, inbound, inbound.event)
        for n, inbound in enumerate(batch.events)
        if isinstance(inbound.event, ActionAccepted) and _is_mine(inbound.event)
    ]
    if not mine:
        return []
    await store.lock_file_ends(tx, closing=False)
    answered = {
        event.proposal
        for _, _, event in mine
        if event.proposal is not None and event.verb in (Verb.CONFIRM, Verb.DECLINE)
    }
    reviews = await store.reviews(tx, answered)
    deciding_units = {review: unit for review, (_, unit) in reviews.items()}
    work = _unit_of_work(batch, tx, vault)
    work.with_findings = True
    work.answered_reviews = {review_id: review for review_id, (review, _) in reviews.items()}
    for _, _, event in mine:
        ends = {event.child, event.other} - {None}
        if event.proposal is not None and event.proposal in reviews:
            review, _ = reviews[event.proposal]
            ends = {review.child, review.other}
        for child in ends:
            if child is not None:
                work.children.add(child)
                if event.verb in _DECISIONS:
                    work.children_in_full.add(child)

    verified: dict[int, UUID] = {}

    def apply(child_files: ChildFiles) -> None:
        verified.clear()
        for n, _, event in mine:
            child = _apply_action(child_files, n, event, deciding_units)
            if child is not None:
                verified[n] = child

    child_files = await work.decide(len(mine), apply)
    to_publish = await work.save(child_files)
    await store.save_verifications(
        tx,
        [
            (inbound.envelope.id, verified[n], event.unit, event.role, event.person, event.on, event.outcome)
            for n, inbound, event in mine
            if n in verified
        ],
    )
    emitted = batch_events(batch, child_files, to_publish, to_publish.keys())
    return emitted + await _reseal_disclosures(batch, tx, vault, child_files, ())


def _is_mine(event: ActionAccepted) -> bool:
    if event.verb in (Verb.CONFIRM, Verb.DECLINE):
        return event.proposal is not None and is_review(event.proposal)
    return event.verb in (Verb.VERIFY, Verb.MERGE, Verb.SPLIT)


def _apply_action(
    child_files: ChildFiles, n: int, event: ActionAccepted, deciding_units: dict[UUID, str]
) -> UUID | None:
    """Apply one action. Returns the child that was verified, if any."""
    by = Person(event.unit, event.role, event.on)
    match event:
        case ActionAccepted(verb=Verb.CONFIRM | Verb.DECLINE, proposal=UUID() as review):
            if review not in deciding_units:
                child_files.outcomes.append((n, ActionRefusal(None, "unknown_proposal")))
            elif deciding_units[review] != event.unit:
                child_files.outcomes.append((n, ActionRefusal(event.child, "not_yours")))
            elif event.verb is Verb.CONFIRM:
                child_files.confirm(n, review, by)
            else:
                child_files.decline(n, review, by)
        case ActionAccepted(verb=Verb.VERIFY, child=UUID() as child):
            recorded_on = event.recorded_at.astimezone(COUNTY_TIME).date()
            return child_files.verify(n, child, by, recorded_on, event.facts, seen=event.outcome == "confirmed")
        case ActionAccepted(verb=Verb.MERGE, child=UUID() as child, other=UUID() as other):
            child_files.merge(n, child, other, by)
        case ActionAccepted(verb=Verb.SPLIT, child=UUID() as child):
            child_files.split(n, child, event.records, event.other, by)
        case _:
            child_files.outcomes.append((n, ActionRefusal(event.child, "child_missing")))
    return None


# ------------------------------------------------------------------------------------------------- priority consumer


async def on_findings(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """Assign a person's finding immediately to the child that it names or to a candidate. Matching comes later."""
    reported = [(inbound, inbound.event) for inbound in batch.events if isinstance(inbound.event, FindingReported)]
    if not reported:
        return []
    named = await store.current_files(tx, {event.child for _, event in reported if event.child is not None})
    existing = {child for child, place in named.items() if not place.destroyed}
    assigned = await store.finding_assignments(tx, {event.finding for _, event in reported})
    strangers = [event for _, event in reported if event.finding not in assigned and event.child not in existing]
    candidates = await _candidates(tx, ChildNumbers(batch.county.code, vault.child_number), strangers)
    to_assign = {finding: FindingAssignment(file.child, named=False) for finding, file in candidates.items()}
    for _, event in reported:
        if event.child is not None and event.child in existing and event.finding not in assigned:
            to_assign.setdefault(event.finding, FindingAssignment(event.child, named=True))
    await store.assign_findings(tx, to_assign)
    assigned_now = assigned | await store.finding_assignments(tx, to_assign)
    current = await store.current_files(tx, {assignment.child for assignment in assigned_now.values()})

    to_publish: list[tuple[InboundEvent[Event], ChildFile]] = []
    emitted: list[OutboundEvent] = []
    for inbound, event in reported:
        child = assigned_now[event.finding].child
        if child not in current:
            file = candidates[event.finding]
            to_publish.append((inbound, file))
            current[child] = store.CurrentFile(child, file.number, file.state, None)
        place = current[child]
        if event.child is not None and event.child not in existing:
            emitted.append(inbound.emit(action_refused(event, None, Verb.REPORT, "unknown_child")))
        emitted.append(inbound.emit(finding_assigned(event, place, batch.county)))
    await _insert_candidates(batch, tx, [file for _, file in to_publish])
    readable = {
        finding: assignment.child
        for finding, assignment in assigned_now.items()
        if not current[assignment.child].destroyed
    }
    await _store_findings(tx, vault, [event for _, event in reported if event.finding in readable], readable)
    emitted += [inbound.emit(snapshot(file, 0)) for inbound, file in to_publish]
    # The identity in a finding about a child on file may complete what an agency was given.
    new = {file.child for _, file in to_publish}
    changed = {
        current[readable[event.finding]].child: inbound
        for inbound, event in reported
        if event.has_identity and event.finding in readable and readable[event.finding] not in new
    }
    changed |= {child: changed[top] for child, top in (await store.merge_trees(tx, changed)).items()}
    return emitted + await disclosures.reseal(batch, tx, changed, vault=vault)


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


async def _insert_candidates(batch: Batch[Event], tx: Tx, files: Sequence[ChildFile]) -> None:
    rows = [
        store.FileToSave(file, partition_of(str(file.child), batch.partitions), None, None)
        for file in sorted(files, key=lambda file: file.child.bytes)
    ]
    if not await store.insert_files(tx, rows):
        raise RetryLater("another partition has just opened one of these candidates, or a file with its number")


async def _store_findings(
    tx: Tx, vault: Vault, reported: Sequence[FindingReported], child_of: dict[UUID, UUID]
) -> None:
    """Store the identities that came with findings, encrypted under the child's key."""
    children = set(child_of.values())
    wrapped = await store.child_keys(tx, children)
    if children - wrapped.keys():
        await store.insert_child_keys(tx, {child: vault.new_key(child).wrapped for child in children - wrapped.keys()})
        wrapped = await store.child_keys(tx, children)
    rows: list[tuple[UUID, bytes | None, bytes | None]] = []
    for event in reported:
        child = child_of[event.finding]
        try:
            identity = vault.unseal(event.identity, event.finding) if event.identity else {}
        except (CannotOpen, ValueError):
            # A finding is never delayed: an identity that does not open is stored as it was received.
            rows.append((event.finding, None, event.identity.encode()))
            continue
        if identity:
            rows.append((event.finding, encrypt(vault.key(child, wrapped[child]), event.finding, identity), None))
    await store.store_findings(tx, rows)


# ---------------------------------------------------------------------------------------------------- a day's work


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """Emit once more the tombstones of disclosures that were withdrawn since yesterday.

    A record on another partition may have resealed an agency's copy at the moment when its referral was closed. The
    second tombstone makes sure that the copy is gone, in whatever order the two events were published.
    """
    after = UUID(page.resume) if page.resume is not None else UUID(int=0)
    rows = await store.withdrawn_disclosures(tx, page.index, after, page.limit)
    gone = [
        disclosures.tombstone(disclosure.referral, unit, disclosure.restricted)
        for disclosure in rows
        for unit in disclosure.withdrawn_from
    ]
    emitted = [disclosures.with_sensitivity(page.emit(tombstone), tombstone) for tombstone in gone]
    await store.clear_withdrawn(tx, [disclosure.referral for disclosure in rows])
    return DayPageResult(emitted, str(rows[-1].referral) if len(rows) == page.limit else None)


def _unit_of_work(batch: Batch[Event], tx: Tx, vault: Vault) -> UnitOfWork:
    events = batch.events
    return UnitOfWork(tx, vault, batch.county, batch.partition, batch.partitions, lambda n: events[n].envelope)


async def _reseal_disclosures(
    batch: Batch[Event], tx: Tx, vault: Vault, child_files: ChildFiles, records: Iterable[UUID]
) -> list[OutboundEvent]:
    """Seal identities again that changed while a disclosure of them is open."""
    children = {child_files.assignments[record].child for record in {*records, *child_files.reassigned}}
    for _, outcome in child_files.outcomes:
        if isinstance(outcome, Reassignment):
            children |= {outcome.child, outcome.from_child}
    changed = {child: batch.events[child_files.touched[child]] for child in children}
    merged = [child for child in changed if child_files.files[child].absorbs]
    for child, top in (await store.merge_trees(tx, merged)).items():
        changed[child] = changed[top]
    return await disclosures.reseal(batch, tx, changed, vault=vault)
