"""The files at hand while events are applied to them, one by one, in order.

A cabinet holds what a batch needs of the store. It decides; it reads and writes nothing outside itself. Where it
turns out that more is needed it says so (``Missing``), and the batch begins anew with more at hand.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from contracts.vocabulary import FactName
from services.registry.domain.facts import (
    FINDING,
    VERIFY,
    End,
    Holder,
    Laid,
    Layer,
    Source,
    Value,
    as_of,
    fell_silent,
    heard,
    lay,
    source_key,
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
    Alike,
    Evidence,
    Hash,
    Holds,
    Verdict,
    arrange,
    compare,
    remembered,
)


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
    new_id: Callable[[str], UUID]
    """Makes the same id of the same words."""
    alike: Alike
    cause: Callable[[int], str]
    """Says which event is being applied, in words that never repeat."""
    files: dict[UUID, ChildFile] = field(default_factory=dict)
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

    def __post_init__(self) -> None:
        for found in self.questions.values():
            self._note(found)

    # --------------------------------------------------------------------------------------------------- records

    def read(self, n: int, reading: Reading) -> Literal["new", "added", "late"]:
        """A row was read: whose is it, and what does it change?

        Returns whether its identity is all there is (``new``), adds to what the record said before (``added``), or
        is older than that (``late``: ignored).
        """
        record = reading.evidence.record
        seat = self.seats.get(record)
        if seat is not None and reading.recorded_at < seat.recorded_at:
            # Its birth date was corrected, and an older version comes late in the other lane.
            return "late"
        evidence = reading.evidence if seat is None else remembered(seat.evidence, reading.evidence)
        anew = seat is not None and evidence is reading.evidence
        child = self._place(n, reading, seat, evidence)
        self._seat(record, Seat(child, evidence, reading.content, reading.recorded_at, reading.finding))
        file = self._at(child)
        source = None if anew else file.sources.get(record)
        if source is None:
            source = Source(record, reading.unit, reading.dataset, self.lane, 0, False, (), reading.finding)
        elif source.lane != self.lane:
            source = replace(source, layers=as_of(source, self.ends), lane=self.lane)
        layer = Layer(reading.valid_on, reading.period, reading.recorded_on, reading.facts)
        source = heard(source, layer, self.ends, whole=reading.whole)
        self._put(n, replace(file, sources={**file.sources, record: source}))
        told = self.findings.get(reading.finding) if reading.finding is not None else None
        if told is not None and reading.finding is not None and told.child in self.nowhere:
            # The record came before its finding, and is not the first of its child.
            self.findings[reading.finding] = replace(told, child=child)
        if seat is None or evidence != seat.evidence:
            self._ask_around(n, record)
        self._lay_over(n)
        return "new" if seat is None or anew else "added"

    def disappear(self, n: int, record: UUID, period: str) -> None:
        """The last whole file had it, this one has not. Its facts stay."""
        seat = self.seats.get(record)
        if seat is None:
            return
        file = self._at(seat.child)
        source = fell_silent(file.sources[record], self.ends, period)
        self._put(n, replace(file, sources={**file.sources, record: source}))
        self._lay_over(n)

    def end(self, n: int, unit: str, dataset: str, period: str, valid_on: date) -> None:
        """A whole file was taken: its records that did not disappear now speak for this period.

        Only files in which somebody contradicts somebody can look different afterwards, and only those that do
        count the event.
        """
        place = (unit, dataset, self.lane)
        before = self.ends.get(place)
        if before is not None and before.valid_on >= valid_on:
            return
        key = source_key(*place)
        watched = sorted((file.child for file in self.files.values() if key in file.contested), key=_in_order)
        outcomes = {child: self._lay(child).outcome for child in watched}
        self.ends[place] = End(1 if before is None else before.number + 1, period, valid_on)
        for child in watched:
            file = self.files[child]
            laid = self._lay(child)
            if laid.outcome != outcomes[child] or any(name not in file.told for name, _ in laid.contradictions):
                self._put(n, file)
            else:
                # What is told of it stays as it was when an event was last applied to it, whatever the batch.
                self.files[child] = replace(file, contested=laid.contested)
        self._lay_over(n)

    # --------------------------------------------------------------------------------------------------- persons

    def verify(
        self, n: int, child: UUID, by: Person, recorded_on: date, facts: Mapping[FactName, Value], *, seen: bool
    ) -> None:
        """A named person looked. ``seen``: the child is there."""
        file = self._resolved(n, child)
        if file is None:
            return
        sources = dict(file.sources)
        if facts:
            record = self.new_id(f"{VERIFY}/{file.child}/{by.unit}")
            source = sources.get(record) or Source(record, by.unit, VERIFY, -1, 0, False, ())
            sources[record] = heard(source, Layer(by.on, None, recorded_on, facts), self.ends, whole=False)
        self._put(n, replace(file, sources=sources, confirmed=file.confirmed or seen))
        self._lay_over(n)

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

        They go to a new file, or to ``other``; if ``other`` was absorbed by this file it stands again, and without
        ``records`` it takes back what it brought. What is split never joins again by itself.
        """
        file = self._resolved(n, child)
        if file is None:
            return
        target = self._target(n, file, other)
        if target is None:
            return
        leaving = set(records) or set(target.brought)
        code = self._why_not(file, target, leaving)
        if code is not None:
            self._say(n, Refused(file.child, code))
            return
        # What a person verified on the absorbed file goes back with it.
        leaving |= {record for record in target.brought if self._is_verified(file, record)}
        findings = {found for found, told in self.findings.items() if told.child == target.child}
        undone = target.child in file.absorbs
        self._put(n, replace(file, absorbs=tuple(one for one in file.absorbs if one != target.child)))
        self._put(n, replace(target, absorbed_by=None, brought=(), split_from=file.child))
        for record in sorted(leaving, key=_in_order):
            if record in file.sources:
                self._move(n, record, file.child, target.child)
        moved = {source.finding for record in leaving if (source := file.sources.get(record)) and source.finding}
        for finding in moved & self.findings.keys():
            self.findings[finding] = replace(self.findings[finding], child=target.child)
        if undone:
            moved |= findings
        self._say(
            n,
            HandedOver(
                target.child,
                file.child,
                "split",
                tuple(sorted(moved, key=_in_order)),
                tuple(sorted(leaving, key=_in_order)),
                by,
            ),
        )
        self._keep_apart(n, file.child, target.child)
        for found in self._open_between(file.child, target.child):
            self._settle(n, found, "split", by)
        self._settle(n, self._made_up(n, file.child, target.child), "split", by)
        self._lay_over(n)

    # --------------------------------------------------------------------------------------------------- results

    def resolve(self, child: UUID) -> UUID | None:
        """The file that now stands for a child's id. None: nobody has this id."""
        while True:
            if child in self.nowhere:
                return None
            file = self._at(child)
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
        told = self.findings.get(reading.finding) if reading.finding is not None else None
        here = seat.child if seat is not None else self.resolve(told.child) if told is not None else None
        if seat is None and here is not None and told is not None and told.named:
            return self._bind(n, evidence.record, here)
        before = seat.evidence if seat is not None else None
        if here is not None and before is not None and _joins_alike(before, evidence):
            return here
        near = self._near(evidence.joining | (before.joining if before is not None else frozenset()))
        if here is None and not near:
            return self._open(n, self._founding(reading), reading.recorded_at)
        if here is None and evidence.number is not None and len(near) == 1 and self.finds[evidence.number] == near:
            return next(iter(near))
        if not near and before is None and here is not None and not self._at(here).records:
            return here
        return self._regroup(n, reading, evidence, here, near)

    def _regroup(self, n: int, reading: Reading, evidence: Evidence, here: UUID | None, near: set[UUID]) -> UUID:
        """Arrange anew everybody whom this record could join or part, and give each group its file."""
        record = evidence.record
        around = self._around(evidence, here, near)
        groups = arrange(around.values(), self.apart)
        where: dict[UUID, UUID | None] = {one: self.seats[one].child for one in around if one != record}
        where[record] = here
        kept = self._kept(groups, where, record)
        mine = here
        absorbed: list[tuple[UUID, UUID]] = []
        for group in groups:
            own = sorted((self._at(child) for child in kept.get(group, ())), key=_seniority)
            if own:
                target = own[0].child
                absorbed += [(target, other.child) for other in own[1:]]
            elif where[record] is None and group == frozenset((record,)):
                target = self._open(n, self._founding(reading), reading.recorded_at)
            else:
                left = where[min(group, key=_in_order)]
                words = f"{min(group, key=_in_order)}/{self.cause(n)}"
                target = self._open(n, words, reading.recorded_at, split_from=left)
            inside = {file.child for file in own}
            for one in sorted(group, key=_in_order):
                at = where[one]
                if at is not None and at not in inside:
                    self._depart(n, one, at, target, reading.finding if one == record else None)
            if record in group:
                mine = target
        for survivor, other in absorbed:
            self._absorb(n, survivor, other, "matched")
            for found in self._open_between(survivor, other):
                self._settle(n, found, "merged", None)
        assert mine is not None
        return mine

    def _around(self, evidence: Evidence, here: UUID | None, near: set[UUID]) -> dict[UUID, Evidence]:
        """Everybody whose place may depend on this record: its neighbours' files, and through records without a
        number the neighbours of those.
        """
        around = {evidence.record: evidence}
        todo = set(near) if here is None else near | {here}
        done: set[UUID] = set()
        while todo:
            done |= todo
            keys: set[Hash] = set()
            for child in todo:
                for one in self._members(child):
                    if one.record == evidence.record:
                        continue
                    around[one.record] = one
                    if one.number is None:
                        keys |= one.guardian_ids
            todo = self._near(keys) - done
        return around

    def _kept(
        self, groups: list[frozenset[UUID]], where: Mapping[UUID, UUID | None], record: UUID
    ) -> dict[frozenset[UUID], list[UUID]]:
        """Which group keeps which file: where most of its records are, not counting the one that is being read."""
        best: dict[UUID, tuple[tuple[int, bytes], frozenset[UUID]]] = {}
        for group in groups:
            counts: dict[UUID, int] = {}
            for one in group:
                at = where[one]
                if at is not None:
                    counts[at] = counts.get(at, 0) + (one != record)
            smallest = bytes(255 - byte for byte in min(group, key=_in_order).bytes)
            for child, count in counts.items():
                rank = (count, smallest)
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
        if finding is not None and finding in self.findings:
            self.findings[finding] = replace(self.findings[finding], child=target)
            self._say(n, HandedOver(target, at, "split", (finding,), (record,)))

    def _bind(self, n: int, record: UUID, child: UUID) -> UUID:
        """A person named the child: the record is held together with all the file's others."""
        hold = self._hold(n, child)
        if hold is not None:
            self._bound[record] = hold
        return child

    def _founding(self, reading: Reading) -> str:
        return str(reading.evidence.record) if reading.finding is None else f"{FINDING}/{reading.finding}"

    def _open(self, n: int, words: str, at: datetime, split_from: UUID | None = None) -> UUID:
        child = self.new_id(words)
        self.nowhere.discard(child)
        self._put(n, ChildFile(child, at, split_from=split_from))
        return child

    def _move(self, n: int, record: UUID, origin: UUID, target: UUID) -> None:
        here, there = self._at(origin), self._at(target)
        source = here.sources[record]
        self._put(n, replace(here, sources={one: kept for one, kept in here.sources.items() if one != record}))
        self._put(n, replace(there, sources={**there.sources, record: source}))
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
            replace(
                file,
                absorbs=(*file.absorbs, other),
                confirmed=file.confirmed or gone.confirmed,
                told=file.told | gone.told,
                asked=file.asked or gone.asked,
            ),
        )
        self._put(n, replace(self._at(other), absorbed_by=survivor, brought=brought))
        for found in self._about(other):
            if found.state == "open" and survivor not in found.pair:
                child = survivor if found.child == other else found.child
                third = survivor if found.other == other else found.other
                self._note(replace(found, child=child, other=third))
        self._say(n, HandedOver(survivor, other, reason, (), brought, by))

    # ------------------------------------------------------------------------------------------------- questions

    def _ask_around(self, n: int, record: UUID) -> None:
        seat = self.seats[record]
        for child in sorted(self._near(seat.evidence.keys) - {seat.child}, key=_in_order):
            evidence, conflicts = self._shared([seat.evidence], self._members(child))
            if evidence:
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
        question = Question(self.new_id(words), first, second, evidence, conflicts, "open")
        if question.question in self.questions and self.questions[question.question].state == "open":
            return
        self._note(question)
        for one in (first, second):
            self._put(n, replace(self._at(one), asked=True))
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
            self._put(n, replace(self._at(one), asked=True))
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
        return Question(self.new_id(f"decision/{self.cause(n)}"), child, other, (), (), "open")

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
        both = {one.hold for child in (survivor, absorbed) for one in self._members(child)} - {None}
        hold = self.new_id(f"hold/{self.cause(n)}")
        self._carry_over({one for one in both if one is not None}, hold)
        for child in (survivor, absorbed):
            self._hold_all(child, hold)

    def _keep_apart(self, n: int, one: UUID, other: UUID) -> None:
        first, second = self._hold(n, one), self._hold(n, other)
        if first is not None and second is not None:
            self.apart.add(frozenset((first, second)))

    def _hold(self, n: int, child: UUID) -> UUID | None:
        """Hold all of a file's records together. None: it has none."""
        members = self._members(child)
        if not members:
            return None
        hold = self.new_id(f"hold/{self.cause(n)}/{child}")
        self._carry_over({one.hold for one in members if one.hold is not None}, hold)
        self._hold_all(child, hold)
        return hold

    def _carry_over(self, before: set[UUID], hold: UUID) -> None:
        """What was kept apart from the old holds is kept apart from the new one, but for what it now unites."""
        for pair in list(self.apart):
            others = pair - before
            if len(others) == 1:
                self.apart.add(others | {hold})

    def _hold_all(self, child: UUID, hold: UUID) -> None:
        for one in self._members(child):
            seat = self.seats[one.record]
            self.seats[one.record] = replace(seat, evidence=replace(seat.evidence, hold=hold))
            self.moved.add(one.record)

    def _target(self, n: int, file: ChildFile, other: UUID | None) -> ChildFile | None:
        """The file that split records go to; opens a new one. None: refused."""
        if other is None:
            return ChildFile(self.new_id(f"split/{self.cause(n)}"), file.opened_at)
        if other in self.nowhere:
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

    def _why_not(self, file: ChildFile, target: ChildFile, leaving: set[UUID]) -> str | None:
        if not leaving and target.child not in file.absorbs:
            return "records_missing"
        if not leaving <= set(file.sources) | set(target.brought):
            return "record_not_in_file"
        if file.records and set(file.records) <= leaving:
            return "nothing_left"
        return None

    def _is_verified(self, file: ChildFile, record: UUID) -> bool:
        source = file.sources.get(record)
        return source is not None and source.dataset == VERIFY

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

    def _put(self, n: int, file: ChildFile) -> None:
        """Keep a changed file. However often one event changes it, its version counts the event once."""
        if self.touched.get(file.child) != n:
            self.touched[file.child] = n
            file = replace(file, version=file.version + 1)
        self.files[file.child] = file
        self._stale.add(file.child)

    def _lay(self, child: UUID) -> Laid:
        return lay(self.files[child].sources.values(), self.ends, self.holder)

    def _lay_over(self, n: int) -> None:
        """Lay over every file that this event changed; tell of contradictions that are new."""
        for child in sorted(self._stale, key=_in_order):
            file = self.files[child]
            laid = self._lay(child)
            new = [(name, units) for name, units in laid.contradictions if name not in file.told]
            self.files[child] = replace(
                file, laid=laid, contested=laid.contested, told=file.told.union(name for name, _ in new)
            )
            for name, units in new:
                self._say(n, Contradicted(child, name, units))
        self._stale.clear()

    def _say(self, n: int, outcome: Outcome) -> None:
        self.outcomes.append((n, outcome))


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
