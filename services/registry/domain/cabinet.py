"""The files at hand while events are applied to them, one by one, in order.

A cabinet holds what a batch needs of the store. It decides; it reads and writes nothing outside itself. Where it
turns out that more is needed it says so (``Missing``), and the batch begins anew with more at hand.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from contracts.vocabulary import FactName
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.facts import (
    FINDING,
    VERIFY,
    End,
    Holder,
    Laid,
    Layer,
    SchoolYear,
    Source,
    Value,
    fell_silent,
    heard,
    lay,
    watched_by,
)
from services.registry.domain.files import (
    Asked,
    ChildFile,
    Contradicted,
    HandedOver,
    Outcome,
    Person,
    Question,
    Reading,
    Refused,
    Seat,
    Settled,
    Told,
)
from services.registry.domain.matching import (
    TWO_NUMBERS,
    Alike,
    Evidence,
    Hash,
    Holds,
    Verdict,
    arrange,
    compare,
    remembered,
)

How = Literal["new", "added", "same", "late", "unread"]
"""What a row's identity is to its record: all there is; added to what it said before; what it said before; older than
that, and ignored; or not what it was said to be, so that it must be opened first."""


class Missing(Exception):
    """More of the store is needed: these files with all their records, whatever these keys find, these names."""

    def __init__(self, children: Iterable[UUID] = (), keys: Iterable[Hash] = (), names: Iterable[UUID] = ()) -> None:
        super().__init__()
        self.children = frozenset(children)
        self.keys = frozenset(keys)
        self.names = frozenset(names)


@dataclass(slots=True)
class Cabinet:
    """The files at hand. Every public method applies one event, ``n`` being its place in the batch."""

    lane: int
    holder: Holder
    school_year: SchoolYear
    new_id: Callable[[str], UUID]
    """Makes the same id of the same words."""
    numbers: ChildNumbers
    new_question_id: Callable[[str], UUID]
    alike: Alike
    cause: Callable[[int], str]
    """Says which event is being applied, in words that never repeat."""
    files: dict[UUID, ChildFile] = field(default_factory=dict)
    foundings: Mapping[UUID, str] = field(default_factory=dict)
    """What files that are not at hand were opened for: their numbers are taken."""
    nowhere: set[UUID] = field(default_factory=set)
    """Children that were looked for and are not on file."""
    seats: dict[UUID, Seat] = field(default_factory=dict)
    finds: dict[Hash, set[UUID]] = field(default_factory=dict)
    """Key -> children, for every key that was looked up."""
    questions: dict[UUID, Question] = field(default_factory=dict)
    apart: set[Holds] = field(default_factory=set)
    findings: dict[UUID, Told] = field(default_factory=dict)
    ends: dict[tuple[str, str, int], End] = field(default_factory=dict)

    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)
    touched: dict[UUID, int] = field(default_factory=dict)
    """Child -> the last event that was applied to it."""
    moved: set[UUID] = field(default_factory=set)
    """Records whose seat changed."""
    keyed: dict[tuple[Hash, UUID], bool] = field(default_factory=dict)
    """Keys under which a file is to be found from now on (True), or no longer."""
    _stale: set[UUID] = field(default_factory=set)
    _asked: dict[UUID, set[UUID]] = field(default_factory=dict)
    """Child -> questions about it."""
    _bound: dict[UUID, UUID] = field(default_factory=dict)
    _unasked: set[UUID] = field(default_factory=set)
    """Records of which others must be asked now."""

    def __post_init__(self) -> None:
        for found in self.questions.values():
            self._note(found)

    # --------------------------------------------------------------------------------------------------- records

    def read(self, n: int, reading: Reading) -> How:
        """A row was read: whose is it, and what does it change?"""
        record = reading.record
        seat = self._seat_in_use(record)
        if seat is not None and reading.recorded_at < seat.recorded_at:
            # Its birth date was corrected, and an older version comes late in the other lane.
            return "late"
        if reading.evidence is None:
            if seat is None or seat.content != reading.content:
                return "unread"
            self.seats[record] = Seat(seat.child, seat.evidence, seat.content, reading.recorded_at, seat.finding)
            self._lay_down(n, seat.child, reading, anew=False)
            self._lay_over(n)
            return "same"
        evidence = reading.evidence if seat is None else remembered(seat.evidence, reading.evidence)
        anew = seat is not None and evidence is reading.evidence
        child = self._place(n, reading, seat, evidence)
        self._seat(record, Seat(child, evidence, reading.content, reading.recorded_at, reading.finding))
        told = self._told(reading)
        if told is not None and reading.finding is not None and self._is_nowhere(told.child):
            # The record came before its finding, and is not the first of its child.
            self.findings[reading.finding] = replace(told, child=child)
        self._lay_down(n, child, reading, anew=anew)
        if seat is None or evidence != seat.evidence:
            self._unasked.add(record)
        self._ask_around(n)
        self._lay_over(n)
        return "new" if seat is None or anew else "added"

    def _lay_down(self, n: int, child: UUID, reading: Reading, *, anew: bool) -> None:
        """Add what a row says to its file."""
        file = self._at(child)
        source = None if anew else file.sources.get(reading.record)
        if source is None:
            source = Source(reading.record, reading.unit, reading.dataset, self.lane, 0, False, (), reading.finding)
        elif source.lane != self.lane:
            # Files are counted alike in every lane, and this one has ended in it if the record came after its end.
            source = replace(source, lane=self.lane)
        layer = Layer(reading.valid_on, reading.period, reading.recorded_on, reading.facts)
        source = heard(source, layer, self.ends, whole=reading.whole)
        self._put(n, file, sources={**file.sources, reading.record: source})

    def disappear(self, n: int, record: UUID, period: str) -> None:
        """The last whole file had it, this one has not. Its facts stay."""
        seat = self._seat_in_use(record)
        if seat is None:
            return
        file = self._at(seat.child)
        source = file.sources[record]
        if source.lane != self.lane:
            # Its birth date was corrected since: the other lane has spoken of it later.
            return
        self._put(n, file, sources={**file.sources, record: fell_silent(source, self.ends, period)})
        self._lay_over(n)

    def end(self, n: int, unit: str, dataset: str, period: str, valid_on: date) -> None:
        """A whole file was taken: its records of this lane that did not disappear now speak for this period.

        Only files in which somebody contradicts somebody, or in which it matters when something was said, can look
        different afterwards, and only those that do count the event.
        """
        place = (unit, dataset, self.lane)
        before = self.ends.get(place)
        if before is not None and before.valid_on >= valid_on:
            return
        keys = watched_by(*place, valid_on, self.school_year)
        watched = sorted(
            (file.child for file in self.files.values() if not keys.isdisjoint(file.contested)), key=_in_order
        )
        stood = {child: self._lay(child) for child in watched}
        self.ends[place] = End(1 if before is None else before.number + 1, period, valid_on)
        for child in watched:
            file = self.files[child]
            laid, was = self._lay(child), stood[child]
            if (
                laid.outcome != was.outcome
                or laid.days != was.days
                or any(name not in file.told for name, _ in laid.contradictions)
            ):
                self._put(n, file)
            else:
                # What is told of it stays as it was when an event was last applied to it, whatever the batch.
                self.files[child] = replace(file, contested=laid.contested)
        self._lay_over(n)

    # --------------------------------------------------------------------------------------------------- persons

    def verify(
        self, n: int, child: UUID, by: Person, recorded_on: date, facts: Mapping[FactName, Value], *, seen: bool
    ) -> UUID | None:
        """A named person looked. ``seen``: the child is there. Returns the file that this is about; None: refused."""
        file = self._resolved(n, child)
        if file is None:
            return None
        sources = dict(file.sources)
        if facts:
            # Of the file that the person named: should it stand on its own again, this goes with it.
            record = self._verification(child, by.unit)
            source = sources.get(record) or Source(record, by.unit, VERIFY, -1, 0, False, ())
            sources[record] = heard(source, Layer(by.on, None, recorded_on, facts), self.ends, whole=False)
        confirmed = (*file.confirmed, child) if seen and child not in file.confirmed else file.confirmed
        self._put(n, file, sources=sources, confirmed=confirmed)
        self._lay_over(n)
        return file.child

    def merge(self, n: int, child: UUID, other: UUID, by: Person) -> None:
        """A person says: these two files are one child's. ``other`` is absorbed; both histories are kept."""
        survivor = self._resolved(n, child)
        absorbed = self._resolved(n, other) if survivor is not None else None
        if survivor is None or absorbed is None:
            return
        if survivor.child == absorbed.child:
            self._say(n, Refused(survivor.child, "same_file"))
            return
        self._merge(n, survivor.child, absorbed.child, by)
        self._lay_over(n)

    def confirm(self, n: int, question: UUID, by: Person) -> None:
        """A person's answer to a question: the same child."""
        ends = self._answered(n, question)
        if ends is None:
            return
        survivor, absorbed = sorted(ends, key=_seniority)
        self._merge(n, survivor.child, absorbed.child, by)
        self._lay_over(n)

    def decline(self, n: int, question: UUID, by: Person) -> None:
        """A person's answer to a question: two children. Not asked again for the same evidence."""
        ends = self._answered(n, question)
        if ends is None:
            return
        one, other = ends
        self._keep_apart(n, one.child, other.child)
        for found in self._open_between(one.child, other.child):
            self._settle(n, found, "kept_apart", by)
        self._lay_over(n)

    def split(self, n: int, child: UUID, records: Collection[UUID], other: UUID | None, by: Person) -> None:
        """A person says: these records are somebody else's.

        They go to a new file, or to ``other``; if ``other`` was absorbed by this file it stands again. Without
        ``records`` the merge is undone: ``other`` takes back what it brought and what came for it since, and both
        files are as they would have been. What is split never joins again by itself.
        """
        file = self._resolved(n, child)
        target = self._target(n, file, other) if file is not None else None
        if file is None or target is None:
            return
        code = self._why_not(file, target, set(records))
        if code is not None:
            self._say(n, Refused(file.child, code))
            return
        tree = self._tree(target) if target.child in file.absorbs else set()
        findings = {found for found, told in self.findings.items() if told.child in tree}
        leaving, late = self._leaving(file, target, records, tree, findings)
        self._put(
            n,
            file,
            absorbs=tuple(one for one in file.absorbs if one != target.child),
            confirmed=tuple(one for one in file.confirmed if one not in tree),
        )
        seen = tuple(one for one in file.confirmed if one in tree)
        self._put(n, target, absorbed_by=None, brought=(), split_from=file.child, confirmed=seen or target.confirmed)
        for record in sorted(leaving, key=_in_order):
            if record in file.sources:
                self._move(n, record, file.child, target.child)
        moved = {source.finding for record in leaving if (source := file.sources.get(record)) and source.finding}
        for finding in (moved - findings) & self.findings.keys():
            self.findings[finding] = replace(self.findings[finding], child=target.child)
        goes = tuple(sorted(moved | findings, key=_in_order)), tuple(sorted(leaving, key=_in_order))
        self._say(n, HandedOver(target.child, file.child, "split", *goes, by))
        self._keep_apart(n, file.child, target.child, but=late)
        self._rearrange(n, {file.child, target.child}, file.opened_at)
        self._follow(n, file.child, target.child, by)
        self._part_questions(n, file.child, target.child, by)
        self._tell_again(file.child, target.child)
        self._lay_over(n)

    # --------------------------------------------------------------------------------------------------- results

    def resolve(self, child: UUID) -> UUID | None:
        """The file that now stands for a child's id. None: nobody has this id, or its key was destroyed."""
        while True:
            if child in self.nowhere:
                return None
            file = self._at(child)
            if file.destroyed:
                return None
            if file.absorbed_by is None:
                return child
            child = file.absorbed_by

    def open_questions(self, child: UUID) -> int:
        return sum(1 for found in self._about(child) if found.state == "open")

    def laid(self, child: UUID) -> Laid:
        """A file laid over, as it was after the last event that was applied to it."""
        return self.files[child].laid or self._lay(child)

    # ------------------------------------------------------------------------------------------------- placement

    def _place(self, n: int, reading: Reading, seat: Seat | None, evidence: Evidence) -> UUID:
        """The file that a record belongs in. Opens, joins and parts files as the ladder says."""
        told = self._told(reading)
        here = seat.child if seat is not None else self.resolve(told.child) if told is not None else None
        if seat is None and here is not None and told is not None and told.named:
            return self._bind(n, evidence.record, here)
        before = seat.evidence if seat is not None else None
        if here is not None and before is not None and _joins_alike(before, evidence):
            return here
        near = self._near(evidence.joining | (before.joining if before is not None else frozenset()))
        if here is None and not near:
            return self._open(n, self._founding(n, reading), reading.recorded_at)
        if here is None and evidence.number is not None and len(near) == 1 and self.finds[evidence.number] == near:
            return next(iter(near))
        if not near and before is None and here is not None and not self._at(here).records:
            return here
        return self._regroup(n, reading, evidence, here, near)

    def _regroup(self, n: int, reading: Reading, evidence: Evidence, here: UUID | None, near: set[UUID]) -> UUID:
        """Arrange anew everybody whom this record could join or part."""
        record = evidence.record
        around = self._around(near if here is None else near | {here}, but=record) | {record: evidence}
        where = {one: self.seats[one].child for one in around if one != record}
        return self._arrange(n, around, where | {record: here}, reading.recorded_at, reading)[record]

    def _rearrange(self, n: int, files: set[UUID], at: datetime) -> None:
        """Arrange anew everybody whom these files' records could join or part."""
        keys = {key for child in files for one in self._members(child) for key in one.joining}
        around = self._around(files | self._near(keys))
        self._arrange(n, around, {one: self.seats[one].child for one in around}, at)

    def _arrange(
        self,
        n: int,
        around: Mapping[UUID, Evidence],
        where: Mapping[UUID, UUID | None],
        at: datetime,
        reading: Reading | None = None,
    ) -> dict[UUID, UUID]:
        """Give each group of records that belong together its file. Returns where each record is now.

        Of ``reading`` there may be no seat yet, and no file (None in ``where``).
        """
        groups = arrange(around.values(), self.apart)
        newest = reading.record if reading is not None else None
        kept = self._kept(groups, around, where, newest)
        now: dict[UUID, UUID] = {}
        absorbed: list[tuple[UUID, UUID]] = []
        for group in groups:
            own = sorted((self._at(child) for child in kept.get(group, ())), key=_seniority)
            first = min(group, key=_in_order)
            if own:
                target = own[0].child
                absorbed += [(target, other.child) for other in own[1:]]
            elif reading is not None and where[first] is None and len(group) == 1:
                target = self._open(n, self._founding(n, reading), at)
            else:
                target = self._open(n, f"{first}/{self.cause(n)}", at, split_from=where[first])
            inside = {file.child for file in own}
            for one in sorted(group, key=_in_order):
                now[one] = target
                left = where[one]
                if left is not None and left not in inside:
                    self._depart(n, one, left, target, reading.finding if reading and one == newest else None)
        for survivor, other in absorbed:
            self._absorb(n, survivor, other, "matched")
            for found in self._open_between(survivor, other):
                self._settle(n, found, "merged", None)
        return now

    def _around(self, files: set[UUID], but: UUID | None = None) -> dict[UUID, Evidence]:
        """Everybody in these files, and through records without a number those in the files of their neighbours."""
        around: dict[UUID, Evidence] = {}
        todo = set(files)
        done: set[UUID] = set()
        while todo:
            done |= todo
            keys: set[Hash] = set()
            for child in todo:
                for one in self._members(child):
                    if one.record == but:
                        continue
                    around[one.record] = one
                    if one.number is None:
                        keys |= one.guardian_ids
            todo = self._near(keys) - done
        return around

    def _kept(
        self,
        groups: list[frozenset[UUID]],
        around: Mapping[UUID, Evidence],
        where: Mapping[UUID, UUID | None],
        record: UUID | None,
    ) -> dict[frozenset[UUID], list[UUID]]:
        """Which group keeps which file: where most of its records are that a person holds together, then where most
        of all are, not counting the one that is being read.
        """
        best: dict[UUID, tuple[tuple[int, int, bytes], frozenset[UUID]]] = {}
        for group in groups:
            counts: dict[UUID, tuple[int, int]] = {}
            for one in group:
                at = where[one]
                if at is not None and one != record:
                    held, count = counts.get(at, (0, 0))
                    counts[at] = held + (around[one].hold is not None), count + 1
                elif at is not None:
                    counts.setdefault(at, (0, 0))
            smallest = bytes(255 - byte for byte in min(group, key=_in_order).bytes)
            for child, many in counts.items():
                rank = (*many, smallest)
                if child not in best or rank > best[child][0]:
                    best[child] = (rank, group)
        kept: dict[frozenset[UUID], list[UUID]] = {}
        for child, (_, group) in best.items():
            kept.setdefault(group, []).append(child)
        return kept

    def _depart(self, n: int, record: UUID, at: UUID, target: UUID, finding: UUID | None) -> None:
        """One record leaves a file by itself; a finding that came with it goes along."""
        seat = self.seats.get(record)
        if seat is not None:
            finding = seat.finding
            self._move(n, record, at, target)
            self._unasked.add(record)
        if finding is not None and finding in self.findings:
            self.findings[finding] = replace(self.findings[finding], child=target)
            self._say(n, HandedOver(target, at, "split", (finding,), (record,)))

    def _bind(self, n: int, record: UUID, child: UUID) -> UUID:
        """A person named the child: the record is held together with all the file's others."""
        hold = self._hold(n, child)
        if hold is not None:
            self._bound[record] = hold
        return child

    def _founding(self, n: int, reading: Reading) -> str:
        """The words of which the id of a record's own file is made: another id once its key was destroyed."""
        words = str(reading.record) if reading.finding is None else f"{FINDING}/{reading.finding}"
        seat, told = self.seats.get(reading.record), self._told(reading)
        before = {seat.child if seat is not None else None, told.child if told is not None else None} - {None}
        lost = any(self.files[child].destroyed for child in before if child in self.files)
        return f"{words}/{self.cause(n)}" if lost else words

    def _told(self, reading: Reading) -> Told | None:
        return self.findings.get(reading.finding) if reading.finding is not None else None

    def _seat_in_use(self, record: UUID) -> Seat | None:
        """A record's seat. Of a file whose key was destroyed nobody is heard again."""
        seat = self.seats.get(record)
        return None if seat is None or self._at(seat.child).destroyed else seat

    def _is_nowhere(self, child: UUID) -> bool:
        return child in self.nowhere or self._at(child).destroyed

    def _open(self, n: int, words: str, at: datetime, split_from: UUID | None = None) -> UUID:
        file = replace(self._new_file(words, at), version=1, split_from=split_from)
        self.nowhere.discard(file.child)
        self.files[file.child] = file
        self.touched[file.child] = n
        self._stale.add(file.child)
        return file.child

    def _new_file(self, founding: str, at: datetime) -> ChildFile:
        """Return an empty file with a number that no other file has."""
        child, number = self.numbers.choose(founding, self._founding_of)
        return ChildFile(child, number, founding, at)

    def _founding_of(self, child: UUID) -> str | None:
        file = self.files.get(child)
        return self.foundings.get(child) if file is None else file.founding

    def _move(self, n: int, record: UUID, origin: UUID, target: UUID) -> None:
        here, there = self._at(origin), self._at(target)
        source = here.sources[record]
        self._put(n, here, sources={one: kept for one, kept in here.sources.items() if one != record})
        self._put(n, there, sources={**there.sources, record: source})
        seat = self.seats.get(record)
        if seat is not None:
            self._seat(record, replace(seat, child=target))

    def _seat(self, record: UUID, seat: Seat) -> None:
        hold = self._bound.pop(record, None)
        if hold is not None:
            seat = replace(seat, evidence=replace(seat.evidence, hold=hold))
        before = self.seats.get(record)
        self.seats[record] = seat
        self.moved.add(record)
        for key in seat.evidence.keys:
            self._stand(key, seat.child, stands=True)
        if before is None:
            return
        gone = before.evidence.keys if before.child != seat.child else before.evidence.keys - seat.evidence.keys
        if not gone:
            return
        left = {
            key for one in self._at(before.child).records if one != record for key in self._seat_of(one).evidence.keys
        }
        for key in gone - left:
            self._stand(key, before.child, stands=False)

    def _stand(self, key: Hash, child: UUID, *, stands: bool) -> None:
        """A file is found under a key from now on, or no longer."""
        known = self.finds.get(key)
        if known is None:
            self.keyed[key, child] = stands
        elif (child in known) is not stands:
            self.keyed[key, child] = stands
            if stands:
                known.add(child)
            else:
                known.discard(child)

    def _absorb(
        self, n: int, survivor: UUID, other: UUID, reason: Literal["merge", "matched"], by: Person | None = None
    ) -> None:
        gone = self._at(other)
        brought = tuple(sorted(gone.sources, key=_in_order))
        self._members(other)
        for record in brought:
            self._move(n, record, other, survivor)
        file = self._at(survivor)
        self._put(
            n,
            file,
            absorbs=(*file.absorbs, other),
            confirmed=(*file.confirmed, *gone.confirmed),
            told=file.told | gone.told,
            asked=file.asked or gone.asked,
        )
        self._put(n, self._at(other), absorbed_by=survivor, brought=brought)
        for found in self._about(other):
            self._readdress(found)
        self._say(n, HandedOver(survivor, other, reason, (), brought, by))

    # ------------------------------------------------------------------------------------------------- questions

    def _ask_around(self, n: int) -> None:
        """Ask about every file that records which have come, changed or moved may be one child's with."""
        for record in sorted(self._unasked, key=_in_order):
            self._ask_about(n, self.seats[record])
        self._unasked.clear()

    def _ask_about(self, n: int, seat: Seat) -> None:
        for child in sorted(self._near(seat.evidence.keys) - {seat.child}, key=_in_order):
            members = self._members(child)
            evidence, conflicts = self._shared([seat.evidence], members)
            if not evidence:
                continue
            if _differ(self._members(seat.child), members):
                conflicts = tuple(sorted({*conflicts, TWO_NUMBERS}))
            self._ask(n, seat.child, child, evidence, conflicts)

    def _shared(
        self, some: Collection[Evidence], others: Collection[Evidence]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Everything that speaks for one child, and against it, between two files."""
        evidence: set[str] = set()
        conflicts: set[str] = set()
        for one in some:
            for other in others:
                match = compare(one, other, self.alike)
                if match.verdict is not Verdict.APART:
                    evidence.update(match.evidence)
                    conflicts.update(match.conflicts)
        return tuple(sorted(evidence)), tuple(sorted(conflicts))

    def _ask(self, n: int, child: UUID, other: UUID, evidence: tuple[str, ...], conflicts: tuple[str, ...]) -> None:
        first, second = sorted((child, other), key=_in_order)
        for found in self._between(first, second):
            if found.state == "open" or (found.state != "merged" and set(evidence) <= set(found.evidence)):
                return
        words = f"question/{first}/{second}/{' '.join(evidence)}/{' '.join(conflicts)}"
        if self.new_question_id(words) in self.questions:
            # Asked and answered before, or of files that stood for others then: this is another question.
            words = f"{words}/{self.cause(n)}"
        question = Question(self.new_question_id(words), first, second, evidence, conflicts, "open", (first, second))
        self._note(question)
        for one in (first, second):
            self._put(n, self._at(one), asked=True)
        self._say(n, Asked(question))

    def _settle(
        self, n: int, found: Question, outcome: Literal["merged", "kept_apart", "split"], by: Person | None
    ) -> None:
        evidence = found.evidence
        if outcome != "merged":
            more, _ = self._shared(self._members(found.child), self._members(found.other))
            evidence = tuple(sorted({*evidence, *more}))
        self._note(replace(found, state=outcome, evidence=evidence))
        for one in (found.child, found.other):
            self._put(n, self._at(one), asked=True)
        self._say(n, Settled(found.question, found.child, found.other, outcome, by))

    def _note(self, question: Question) -> None:
        """Keep a new or changed question."""
        before = self.questions.get(question.question)
        for child in before.pair if before is not None else ():
            self._asked.setdefault(child, set()).discard(question.question)
        self.questions[question.question] = question
        for child in question.pair:
            self._asked.setdefault(child, set()).add(question.question)

    def _about(self, child: UUID) -> list[Question]:
        return [self.questions[one] for one in sorted(self._asked.get(child, ()), key=_in_order)]

    def _between(self, one: UUID, other: UUID) -> list[Question]:
        return [found for found in self._about(one) if other in found.pair]

    def _open_between(self, one: UUID, other: UUID) -> list[Question]:
        found = [question for question in self._between(one, other) if question.state == "open"]
        return sorted(found, key=lambda question: question.question.bytes)

    def _made_up(self, n: int, child: UUID, other: UUID) -> Question:
        """A decision that nobody was asked for."""
        made = self.new_question_id(f"decision/{self.cause(n)}")
        return Question(made, child, other, (), (), "open", (child, other))

    def _readdress(self, question: Question) -> None:
        """Let a question be about the files that now stand for those it was asked about."""
        one, other = (self.resolve(child) for child in question.asked_of)
        if question.state != "merged" and one is not None and other is not None and one != other:
            self._note(replace(question, child=one, other=other))

    def _part_questions(self, n: int, child: UUID, other: UUID, by: Person) -> None:
        """Two files stand where one stood: each keeps the questions that are about it, and the one between them is
        answered.
        """
        stays, returns = self.resolve(child), self.resolve(other)
        if stays is not None and returns is not None:
            for found in self._about(stays):
                self._readdress(found)
            for found in [one for one in self._about(stays) if one.state == "open" and returns not in one.pair]:
                self._readdress_by_evidence(n, found, stays, returns)
            for found in self._open_between(stays, returns):
                self._settle(n, found, "split", by)
            self._unasked |= {record for one in (stays, returns) for record in self._at(one).records}
        self._settle(n, self._made_up(n, child, other), "split", by)
        self._ask_around(n)

    def _readdress_by_evidence(self, n: int, question: Question, stays: UUID, returns: UUID) -> None:
        """A question asked of the one file that two were, for what only the other of them shows, is about that one."""
        [third] = question.pair - {stays}
        mine, theirs = (self._shared(self._members(one), self._members(third))[0] for one in (stays, returns))
        if theirs and not set(question.evidence) <= set(mine):
            self._note(replace(question, child=returns, other=third, asked_of=(returns, third)))
            self._put(n, self._at(returns), asked=True)

    def _answered(self, n: int, question: UUID) -> tuple[ChildFile, ChildFile] | None:
        found = self.questions[question]
        if found.state != "open":
            self._say(n, Refused(found.child, "already_settled"))
            return None
        one, other = self._resolved(n, found.child), self._resolved(n, found.other)
        if one is None or other is None:
            return None
        return one, other

    # --------------------------------------------------------------------------------------------------- persons

    def _merge(self, n: int, survivor: UUID, absorbed: UUID, by: Person) -> None:
        asked = self._open_between(survivor, absorbed)
        self._hold_together(n, survivor, absorbed)
        self._absorb(n, survivor, absorbed, "merge", by)
        for found in asked or [self._made_up(n, survivor, absorbed)]:
            self._settle(n, found, "merged", by)

    def _hold_together(self, n: int, survivor: UUID, absorbed: UUID) -> None:
        both = [*self._members(survivor), *self._members(absorbed)]
        hold = self.new_id(f"hold/{self.cause(n)}")
        self._carry_over({one.hold for one in both if one.hold is not None}, hold)
        self._hold_all(both, hold)

    def _keep_apart(self, n: int, one: UUID, other: UUID, but: Collection[UUID] = ()) -> None:
        first, second = self._hold(n, one, but), self._hold(n, other, but)
        if first is not None and second is not None:
            self.apart.add(frozenset((first, second)))

    def _hold(self, n: int, child: UUID, but: Collection[UUID] = ()) -> UUID | None:
        """Hold a file's records together. None: it has none."""
        members = [one for one in self._members(child) if one.record not in but]
        if not members:
            return None
        hold = self.new_id(f"hold/{self.cause(n)}/{child}")
        self._carry_over({one.hold for one in members if one.hold is not None}, hold)
        self._hold_all(members, hold)
        return hold

    def _carry_over(self, before: set[UUID], hold: UUID) -> None:
        """What was kept apart from the old holds is kept apart from the new one, but for what it now unites."""
        for pair in list(self.apart):
            others = pair - before
            if len(others) == 1:
                self.apart.add(others | {hold})

    def _hold_all(self, members: Iterable[Evidence], hold: UUID) -> None:
        for one in members:
            seat = self.seats[one.record]
            self.seats[one.record] = replace(seat, evidence=replace(seat.evidence, hold=hold))
            self.moved.add(one.record)

    def _target(self, n: int, file: ChildFile, other: UUID | None) -> ChildFile | None:
        """The file that split records go to; opens a new one. None: refused."""
        if other is None:
            return self._new_file(f"split/{self.cause(n)}", file.opened_at)
        if self._is_nowhere(other):
            self._say(n, Refused(file.child, "unknown_child"))
            return None
        target = self._at(other)
        if target.child == file.child:
            self._say(n, Refused(file.child, "same_file"))
            return None
        if target.absorbed_by is not None and target.absorbed_by != file.child:
            self._say(n, Refused(file.child, "absorbed_elsewhere"))
            return None
        return target

    def _why_not(self, file: ChildFile, target: ChildFile, records: set[UUID]) -> str | None:
        if not records and target.child not in file.absorbs:
            return "records_missing"
        if not records <= set(file.sources) | set(target.brought):
            return "record_not_in_file"
        if records and set(file.records) <= records:
            return "nothing_left"
        return None

    def _leaving(
        self, file: ChildFile, target: ChildFile, records: Collection[UUID], tree: set[UUID], findings: set[UUID]
    ) -> tuple[set[UUID], set[UUID]]:
        """The sources that leave a file in a split, and those of which nobody has decided where they belong.

        ``tree``: the absorbed file that stands again, and all it absorbed. ``findings``: what was found of it.
        """
        # What a person verified on the absorbed file goes back with it.
        verified = {self._verification(one, source.unit) for one in tree for source in file.sources.values()}
        leaving = set(records) | (verified & file.sources.keys())
        if records:
            return leaving, set()
        reported = {record for record, source in file.sources.items() if source.finding in findings}
        held = {one.record for one in self._members(file.child) if one.hold is not None}
        # What came since a person merged them, or has become somebody else's since, was held together with nobody.
        late = set(file.records) - held - reported if held else set()
        leaving |= reported | set(target.brought)
        # A file that has nothing of its own drew nobody: whoever came, came for what the other one brought.
        return leaving if set(file.records) - leaving - late else leaving | late, late

    def _follow(self, n: int, stays: UUID, returns: UUID, by: Person) -> None:
        """A third file that matching drew into the one that two were goes where all its records have gone."""
        for child in self._at(stays).absorbs:
            gone = self._at(child)
            seats = {seat.child for record in gone.brought if (seat := self.seats.get(record)) is not None}
            if seats != {returns}:
                continue
            tree = self._tree(gone)
            here, there = self._at(stays), self._at(returns)
            seen = tuple(one for one in here.confirmed if one in tree)
            findings = tuple(sorted((one for one, told in self.findings.items() if told.child in tree), key=_in_order))
            self._put(
                n,
                here,
                absorbs=tuple(one for one in here.absorbs if one != child),
                confirmed=tuple(one for one in here.confirmed if one not in tree),
            )
            self._put(n, there, absorbs=(*there.absorbs, child), confirmed=(*there.confirmed, *seen))
            self._put(n, gone, absorbed_by=returns)
            self._say(n, HandedOver(returns, stays, "split", findings, (), by))

    def _tree(self, file: ChildFile) -> set[UUID]:
        """A file and all it absorbed."""
        tree = {file.child}
        for child in file.absorbs:
            tree |= self._tree(self._at(child))
        return tree

    def _verification(self, child: UUID, unit: str) -> UUID:
        """The record of what a unit's people saw of a child."""
        return self.new_id(f"{VERIFY}/{child}/{unit}")

    def _tell_again(self, stays: UUID, returns: UUID) -> None:
        """What the two were told to contradict as one file counts as told only where it still does."""
        both = self.files[stays].told
        for child, before in ((stays, frozenset[FactName]()), (returns, self.files[returns].told)):
            file = self.files[child]
            still = {name for name, _ in self._lay(child).contradictions}
            self.files[child] = replace(file, told=before | (both & still))

    def _resolved(self, n: int, child: UUID) -> ChildFile | None:
        found = self.resolve(child)
        if found is None:
            self._say(n, Refused(None, "unknown_child"))
            return None
        return self._at(found)

    # ----------------------------------------------------------------------------------------------------- ground

    def _at(self, child: UUID) -> ChildFile:
        file = self.files.get(child)
        if file is None:
            raise Missing(children=[child])
        return file

    def _near(self, keys: Iterable[Hash]) -> set[UUID]:
        """Files that stand under any of these keys."""
        near: set[UUID] = set()
        unknown = [key for key in keys if key not in self.finds]
        if unknown:
            raise Missing(keys=unknown)
        for key in keys:
            near |= self.finds[key]
        return near

    def _members(self, child: UUID) -> list[Evidence]:
        """The evidence of all of a file's records."""
        return [self._seat_of(record).evidence for record in self._at(child).records]

    def _seat_of(self, record: UUID) -> Seat:
        seat = self.seats.get(record)
        if seat is None:
            raise Missing(children=[child for child, file in self.files.items() if record in file.sources])
        return seat

    def _put(self, n: int, file: ChildFile, **changes: Any) -> None:
        """Keep a file and what changes in it. However often one event changes it, its version counts it once."""
        if self.touched.get(file.child) != n:
            self.touched[file.child] = n
            changes["version"] = file.version + 1
        self.files[file.child] = replace(file, **changes) if changes else file
        self._stale.add(file.child)

    def _lay(self, child: UUID) -> Laid:
        return lay(self.files[child].sources.values(), self.ends, self.holder, self.school_year)

    def _lay_over(self, n: int) -> None:
        """Lay over every file that this event changed; tell of contradictions that are new."""
        for child in sorted(self._stale, key=_in_order):
            file = self.files[child]
            laid = self._lay(child)
            new = [(name, units) for name, units in laid.contradictions if name not in file.told]
            told = file.told.union(name for name, _ in new) if new else file.told
            self.files[child] = replace(file, laid=laid, contested=laid.contested, told=told)
            for name, units in new:
                self._say(n, Contradicted(child, name, units))
        self._stale.clear()

    def _say(self, n: int, outcome: Outcome) -> None:
        self.outcomes.append((n, outcome))


def _differ(some: Collection[Evidence], others: Collection[Evidence]) -> bool:
    """Both have valid numbers, and none in common."""
    one, other = ({evidence.number for evidence in found} - {None} for found in (some, others))
    return bool(one) and bool(other) and one.isdisjoint(other)


def _joins_alike(before: Evidence, now: Evidence) -> bool:
    """Nothing changed that joins or parts records."""
    return (
        before.number == now.number
        and before.birth_date == now.birth_date
        and before.guardian_ids == now.guardian_ids
        and before.names == now.names
    )


def _seniority(file: ChildFile) -> tuple[bool, datetime, bytes]:
    """Of two files the one on file stays, then the older one."""
    return file.state != "on_file", file.opened_at, file.child.bytes


def _in_order(one: UUID) -> bytes:
    return one.bytes
