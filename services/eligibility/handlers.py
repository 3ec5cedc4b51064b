"""Assess a child when its file changes, and when a day may change an answer; say what is news."""

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
from services.eligibility.domain.assessment import assess, withdrawn
from services.eligibility.domain.facts import Claim, UnreadableFact, facts_of
from services.eligibility.domain.rulebook import RULESET
from services.eligibility.store import Decision, File
from services.eligibility.wire import assessed, basis_of, claims_of, content_of, packed, terms_of, unpacked

_FIRST = UUID(int=0)
_EVERYONE = "everyone"
_DUE = "due"


async def on_children(batch: Batch[ChildChanged], tx: Tx) -> list[OutboundEvent]:
    """Each newer snapshot is assessed on its own, in order, so that what is said does not depend on the cut."""
    files = await store.load(tx, {heard.event.child for heard in batch.events})
    desk = Desk(batch.county)
    touched: dict[UUID, File] = {}
    said: list[OutboundEvent] = []
    for heard in batch.events:
        event = heard.event
        known = files.get(event.child)
        if known is not None and event.child_version <= known.child_version:
            continue
        on = batch.on or heard.envelope.on
        claims = claims_of(event.facts)
        file = _received(event, known, claims, batch.partitions)
        news = None
        if known is None or not desk.still_says(known, file, on):
            file, news = desk.decide(file, claims, on)
        files[event.child] = touched[event.child] = file
        if news is not None:
            said.append(heard.emit(news))
    await store.save(tx, list(touched.values()))
    await store.keep(tx, desk.decisions)
    return said


async def on_day(page: DayPage, tx: Tx) -> DayPageResult:
    """Children whose answers may differ on this day; all of them when the rules or the county's data have changed."""
    basis = basis_of(page.county)
    phase, _, after = (page.resume or "").partition(":")
    if not phase:
        phase = _DUE if await store.basis_of(tx, page.index) == basis else _EVERYONE
    if phase == _EVERYONE:
        files = await store.on_other_basis(tx, page.index, basis, UUID(after) if after else _FIRST, page.limit)
        said = await _assess_again(files, page, tx)
        if len(files) == page.limit:
            return DayPageResult(said, f"{_EVERYONE}:{files[-1].child}")
        await store.set_basis(tx, page.index, basis)
        return DayPageResult(said, f"{_DUE}:")
    files = await store.due(tx, page.index, page.day, _place(after), page.limit)
    said = await _assess_again(files, page, tx)
    if len(files) < page.limit:
        return DayPageResult(said, None)
    last_day, last_child = max((file.until, file.child) for file in files if file.until is not None)
    return DayPageResult(said, f"{_DUE}:{last_day.isoformat()}/{last_child}")


async def _assess_again(files: Iterable[File], page: DayPage, tx: Tx) -> list[OutboundEvent]:
    desk = Desk(page.county)
    changed: list[File] = []
    said: list[OutboundEvent] = []
    for known in files:
        file, news = desk.decide(known, unpacked(known.claims), page.day)
        changed.append(file)
        if news is not None:
            said.append(page.emit(news))
    await store.save(tx, changed)
    await store.keep(tx, desk.decisions)
    return said


class Desk:
    """Decides files under one version of the county's data, and remembers what must be written down."""

    def __init__(self, county: County) -> None:
        self._county = county
        self._terms = terms_of(county)
        self._basis = basis_of(county)
        self.decisions: list[Decision] = []

    def still_says(self, known: File, file: File, on: date) -> bool:
        """Whether a newer version asks nothing new: the same facts and rules, before the day of any change."""
        return (
            known.basis == self._basis
            and known.assessed_on <= on
            and (known.until is None or on < known.until)
            and file == replace(known, child_version=file.child_version)
        )

    def decide(self, file: File, claims: Sequence[Claim], on: date) -> tuple[File, ChildAssessed | None]:
        """The file as assessed on a day, and the snapshot to say if anything in it is news.

        Raises:
            Unprocessable: a fact's value is not of its kind.
        """
        content, until = self.assess(file, claims, on)
        digest = blake2b(content, digest_size=16).digest()
        file = replace(file, assessed_on=on, basis=self._basis, until=until)
        if digest == file.content:
            return file, None
        file = replace(file, content=digest, assessment=file.assessment + 1)
        self.decisions.append(Decision(file, RULESET, self._county.version))
        return file, assessed(file.child, file.child_version, file.assessment, on, content)

    def assess(self, file: File, claims: Sequence[Claim], on: date) -> tuple[bytes, date | None]:
        """What the rules say of a file on a day, as JSON, and until when. An absorbed file has no answers left."""
        if file.state == "absorbed":
            result, residence = withdrawn(self._terms), None
        else:
            try:
                facts = facts_of(claims)
            except UnreadableFact as error:
                raise UnprocessableEvent(f"unreadable_fact {error.name}") from error
            result, residence = assess(facts, self._terms, on), facts.codes.get(FactName.RESIDENCE_DIVISION)
        content = content_of(
            result,
            self._county,
            state=file.state,
            absorbed_by=file.absorbed_by,
            absorbs=file.absorbs,
            residence=residence,
        )
        return content, result.until


def _received(event: ChildChanged, known: File | None, claims: Sequence[Claim], partitions: int) -> File:
    """A child's file as its newest snapshot has it, not yet assessed."""
    stored = packed(claims)
    if known is not None:
        return replace(
            known,
            child_version=event.child_version,
            state=event.state,
            absorbed_by=event.absorbed_by,
            absorbs=event.absorbs,
            claims=stored,
        )
    return File(
        child=event.child,
        partition=partition_of(str(event.child), partitions),
        child_version=event.child_version,
        state=event.state,
        absorbed_by=event.absorbed_by,
        absorbs=event.absorbs,
        claims=stored,
        assessment=0,
        assessed_on=date.min,
        basis="",
        content=b"",
        until=None,
    )


def _place(after: str) -> tuple[date, UUID]:
    day, _, child = after.partition("/")
    return (date.fromisoformat(day), UUID(child)) if child else (date.min, _FIRST)
