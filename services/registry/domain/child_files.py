"""The working set of children's files to which the events of a batch are applied, one by one and in order.

``ChildFiles`` holds what a batch needs from the store. It decides, and reads or writes nothing outside itself. When
it needs more than was loaded it raises ``LoadRequired``; the unit of work then loads more and applies the batch again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from contracts.vocabulary import FactName
from services.registry.domain.child_file import (
    ActionRefusal,
    ChildFile,
    FactConflict,
    FindingAssignment,
    Outcome,
    Person,
    Reading,
    Reassignment,
    RecordAssignment,
    Review,
    ReviewClosed,
    ReviewOpened,
)
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.fact_resolution import (
    FINDING,
    VERIFY,
    FactVersion,
    FileEnd,
    Holder,
    ResolvedFacts,
    SchoolYear,
    Source,
    Value,
    keys_affected_by,
    no_longer_reported,
    resolve,
    with_row,
)
from services.registry.domain.matching import (
    TWO_NUMBERS,
    CannotLink,
    Evidence,
    Hash,
    MatchDecision,
    Similar,
    accumulated,
    cluster,
    compare,
)

ReadOutcome = Literal["new", "added", "same", "late", "unread"]
"""What a row's identity means for its record.

``new``: it is the whole identity. ``added``: it is merged into the stored one. ``same``: it is the stored one.
``late``: it is older than the stored one and is ignored. ``unread``: the stored content differs from what was
expected, so that the identity must be opened first.
"""


class LoadRequired(Exception):
    """More must be loaded: these files with all their records, the hits of these blocking keys, these names."""

    def __init__(self, children: Iterable[UUID] = (), keys: Iterable[Hash] = (), names: Iterable[UUID] = ()) -> None:
        super().__init__()
        self.children = frozenset(children)
        self.keys = frozenset(keys)
        self.names = frozenset(names)


@dataclass(slots=True)
class ChildFiles:
    """The files of a batch. Every public method applies one event; ``n`` is its index in the batch."""

    partition: int
    holder: Holder
    school_year: SchoolYear
    derived_id: Callable[[str], UUID]
    """Returns the same id for the same words."""
    numbers: ChildNumbers
    derived_review_id: Callable[[str], UUID]
    similar: Similar
    event_id: Callable[[int], str]
    """Returns the id of the event with this index."""
    files: dict[UUID, ChildFile] = field(default_factory=dict)
    foundings: Mapping[UUID, str] = field(default_factory=dict)
    """Founding of files that are not loaded; their numbers are taken."""
    not_on_file: set[UUID] = field(default_factory=set)
    """Ids that were looked up and that no file has."""
    assignments: dict[UUID, RecordAssignment] = field(default_factory=dict)
    index_hits: dict[Hash, set[UUID]] = field(default_factory=dict)
    """Blocking key -> files, for every key that was looked up."""
    reviews: dict[UUID, Review] = field(default_factory=dict)
    cannot_link: set[CannotLink] = field(default_factory=set)
    findings: dict[UUID, FindingAssignment] = field(default_factory=dict)
    ends: dict[tuple[str, str, int], FileEnd] = field(default_factory=dict)

    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)
    touched: dict[UUID, int] = field(default_factory=dict)
    """File -> index of the last event applied to it."""
    reassigned: set[UUID] = field(default_factory=set)
    """Records whose assignment changed."""
    index_changes: dict[tuple[Hash, UUID], bool] = field(default_factory=dict)
    """Index entries to add (True) or to remove (False)."""
    _stale: set[UUID] = field(default_factory=set)
    _review_ids: dict[UUID, set[UUID]] = field(default_factory=dict)
    """File -> reviews about it."""
    _must_link: dict[UUID, UUID] = field(default_factory=dict)
    _unreviewed: set[UUID] = field(default_factory=set)
    """Records that must still be compared with other files."""

    def __post_init__(self) -> None:
        for review in self.reviews.values():
            self._track(review)

    # --------------------------------------------------------------------------------------------------- records

    def apply_record(self, n: int, reading: Reading) -> ReadOutcome:
        """Apply a row: assign its record to a file and add its facts there."""
        record = reading.record
        assignment = self._active_assignment(record)
        if assignment is not None and reading.recorded_at < assignment.recorded_at:
            # The birth date was corrected, and an older version arrives late on the other partition.
            return "late"
        if reading.evidence is None:
            if assignment is None or assignment.content != reading.content:
                return "unread"
            self.assignments[record] = RecordAssignment(
                assignment.child, assignment.evidence, assignment.content, reading.recorded_at, assignment.finding
            )
            self._store_facts(n, assignment.child, reading, replaces=False)
            self._resolve_stale(n)
            return "same"
        evidence = reading.evidence if assignment is None else accumulated(assignment.evidence, reading.evidence)
        replaces = assignment is not None and evidence is reading.evidence
        child = self._choose_file(n, reading, assignment, evidence)
        self._assign(record, RecordAssignment(child, evidence, reading.content, reading.recorded_at, reading.finding))
        assigned = self._finding_assignment(reading)
        if assigned is not None and reading.finding is not None and self._is_unavailable(assigned.child):
            # The record arrived before its finding, and belongs to a file that already exists.
            self.findings[reading.finding] = replace(assigned, child=child)
        self._store_facts(n, child, reading, replaces=replaces)
        if assignment is None or evidence != assignment.evidence:
            self._unreviewed.add(record)
        self._request_reviews(n)
        self._resolve_stale(n)
        return "new" if assignment is None or replaces else "added"

    def _store_facts(self, n: int, child: UUID, reading: Reading, *, replaces: bool) -> None:
        """Add the facts of a row to its file; with ``replaces``, in place of what the record said before."""
        file = self._file(child)
        source = None if replaces else file.sources.get(reading.record)
        if source is None:
            source = Source(
                reading.record, reading.unit, reading.dataset, self.partition, 0, False, (), reading.finding
            )
        elif source.partition != self.partition:
            # Whole files have the same count on every partition, and this one has ended if the record came after it.
            source = replace(source, partition=self.partition)
        version = FactVersion(reading.valid_on, reading.period, reading.recorded_on, reading.facts)
        source = with_row(source, version, self.ends, full_file=reading.full_file)
        self._update(n, file, sources={**file.sources, reading.record: source})

    def apply_disappearance(self, n: int, record: UUID, period: str) -> None:
        """Mark a record that the latest whole file no longer contains. Its facts are kept."""
        assignment = self._active_assignment(record)
        if assignment is None:
            return
        file = self._file(assignment.child)
        source = file.sources[record]
        if source.partition != self.partition:
            # The birth date was corrected since: the other partition has reported the record later.
            return
        self._update(n, file, sources={**file.sources, record: no_longer_reported(source, self.ends, period)})
        self._resolve_stale(n)

    def close_submission(self, n: int, unit: str, dataset: str, period: str, valid_on: date) -> None:
        """Apply the end of a whole file: records of this partition that did not disappear are valid for its period.

        Only files whose dependency keys match can change, and only those that do change count the event.
        """
        place = (unit, dataset, self.partition)
        before = self.ends.get(place)
        if before is not None and before.valid_on >= valid_on:
            return
        keys = keys_affected_by(*place, valid_on, self.school_year)
        watched = sorted(
            (file.child for file in self.files.values() if not keys.isdisjoint(file.dependency_keys)), key=_id_order
        )
        stood = {child: self._resolve_facts(child) for child in watched}
        self.ends[place] = FileEnd(1 if before is None else before.number + 1, period, valid_on)
        for child in watched:
            file = self.files[child]
            resolved, was = self._resolve_facts(child), stood[child]
            if (
                resolved.current != was.current
                or resolved.days != was.days
                or any(name not in file.reported_conflicts for name, _ in resolved.conflicts)
            ):
                self._update(n, file)
            else:
                # The resolved facts stay those of the last event applied, so that batch boundaries do not matter.
                self.files[child] = replace(file, dependency_keys=resolved.dependency_keys)
        self._resolve_stale(n)

    # --------------------------------------------------------------------------------------------------- persons

    def verify(
        self, n: int, child: UUID, by: Person, recorded_on: date, facts: Mapping[FactName, Value], *, seen: bool
    ) -> UUID | None:
        """Apply a verification on the spot by a named person. ``seen``: the person confirmed the child.

        Returns the current file of the child, or None if the action was refused.
        """
        file = self._current_or_refuse(n, child)
        if file is None:
            return None
        sources = dict(file.sources)
        if facts:
            # The record belongs to the file that was named, so that an unmerge takes it back there.
            record = self._verification_record(child, by.unit)
            source = sources.get(record) or Source(record, by.unit, VERIFY, -1, 0, False, ())
            sources[record] = with_row(source, FactVersion(by.on, None, recorded_on, facts), self.ends, full_file=False)
        confirmed = (*file.confirmed, child) if seen and child not in file.confirmed else file.confirmed
        self._update(n, file, sources=sources, confirmed=confirmed)
        self._resolve_stale(n)
        return file.child

    def merge(self, n: int, child: UUID, other: UUID, by: Person) -> None:
        """Merge two files by a person's decision. ``other`` is absorbed; both histories are kept."""
        survivor = self._current_or_refuse(n, child)
        absorbed = self._current_or_refuse(n, other) if survivor is not None else None
        if survivor is None or absorbed is None:
            return
        if survivor.child == absorbed.child:
            self._add_outcome(n, ActionRefusal(survivor.child, "same_file"))
            return
        self._merge(n, survivor.child, absorbed.child, by)
        self._resolve_stale(n)

    def confirm(self, n: int, review: UUID, by: Person) -> None:
        """Resolve a review as the same child, and merge the two files."""
        ends = self._files_under_review(n, review)
        if ends is None:
            return
        survivor, absorbed = sorted(ends, key=_survivor_order)
        self._merge(n, survivor.child, absorbed.child, by)
        self._resolve_stale(n)

    def decline(self, n: int, review: UUID, by: Person) -> None:
        """Resolve a review as two children. No review is requested again for the same evidence."""
        ends = self._files_under_review(n, review)
        if ends is None:
            return
        first, second = ends
        self._cannot_link_files(n, first.child, second.child)
        for open_review in self._open_reviews_between(first.child, second.child):
            self._resolve_review(n, open_review, "cannot_link", by)
        self._resolve_stale(n)

    def split(self, n: int, child: UUID, records: Collection[UUID], other: UUID | None, by: Person) -> None:
        """Split records off a file by a person's decision, or undo a merge.

        The records go to a new file, or to ``other``; if this file had absorbed ``other``, it becomes current again.
        Without ``records`` the merge is undone: ``other`` takes back what it contributed and what came for it since,
        and both files are as they would have been. Matching never links again what was split.
        """
        file = self._current_or_refuse(n, child)
        target = self._target(n, file, other) if file is not None else None
        if file is None or target is None:
            return
        code = self._refusal_code(file, target, set(records))
        if code is not None:
            self._add_outcome(n, ActionRefusal(file.child, code))
            return
        tree = self._merge_tree(target) if target.child in file.absorbs else set()
        findings = {finding for finding, assigned in self.findings.items() if assigned.child in tree}
        leaving, late = self._records_leaving(file, target, records, tree, findings)
        self._update(
            n,
            file,
            absorbs=tuple(absorbed for absorbed in file.absorbs if absorbed != target.child),
            confirmed=tuple(kept for kept in file.confirmed if kept not in tree),
        )
        seen = tuple(kept for kept in file.confirmed if kept in tree)
        self._update(
            n, target, absorbed_by=None, contributed=(), split_from=file.child, confirmed=seen or target.confirmed
        )
        for record in sorted(leaving, key=_id_order):
            if record in file.sources:
                self._move_record(n, record, file.child, target.child)
        moved = {source.finding for record in leaving if (source := file.sources.get(record)) and source.finding}
        for finding in (moved - findings) & self.findings.keys():
            self.findings[finding] = replace(self.findings[finding], child=target.child)
        goes = tuple(sorted(moved | findings, key=_id_order)), tuple(sorted(leaving, key=_id_order))
        self._add_outcome(n, Reassignment(target.child, file.child, "split", *goes, by))
        self._cannot_link_files(n, file.child, target.child, but=late)
        self._recluster(n, {file.child, target.child}, file.opened_at)
        self._follow_records(n, file.child, target.child, by)
        self._divide_reviews(n, file.child, target.child, by)
        self._retract_conflicts(file.child, target.child)
        self._resolve_stale(n)

    # --------------------------------------------------------------------------------------------------- results

    def current_file(self, child: UUID) -> UUID | None:
        """Return the current file for a child's id, or None if no file has it or its key was destroyed."""
        while True:
            if child in self.not_on_file:
                return None
            file = self._file(child)
            if file.destroyed:
                return None
            if file.absorbed_by is None:
                return child
            child = file.absorbed_by

    def open_reviews(self, child: UUID) -> int:
        return sum(1 for review in self._reviews_of(child) if review.state == "open")

    def resolved_facts(self, child: UUID) -> ResolvedFacts:
        """Return a file's facts as resolved after the last event that was applied to it."""
        return self.files[child].resolved or self._resolve_facts(child)

    # ------------------------------------------------------------------------------------------------- placement

    def _choose_file(self, n: int, reading: Reading, assignment: RecordAssignment | None, evidence: Evidence) -> UUID:
        """Return the file that a record belongs to. Opens, merges and divides files as matching decides."""
        assigned = self._finding_assignment(reading)
        here = (
            assignment.child
            if assignment is not None
            else self.current_file(assigned.child)
            if assigned is not None
            else None
        )
        if assignment is None and here is not None and assigned is not None and assigned.named:
            return self._link_to_named(n, evidence.record, here)
        before = assignment.evidence if assignment is not None else None
        if here is not None and before is not None and _links_equally(before, evidence):
            return here
        near = self._candidates(evidence.linking_keys | (before.linking_keys if before is not None else frozenset()))
        if here is None and not near:
            return self._open_file(n, self._founding(n, reading), reading.recorded_at)
        if here is None and evidence.number is not None and len(near) == 1 and self.index_hits[evidence.number] == near:
            return next(iter(near))
        if not near and before is None and here is not None and not self._file(here).records:
            return here
        return self._recluster_around(n, reading, evidence, here, near)

    def _recluster_around(
        self, n: int, reading: Reading, evidence: Evidence, here: UUID | None, near: set[UUID]
    ) -> UUID:
        """Cluster every record again that this record could link or separate."""
        record = evidence.record
        around = self._neighbourhood(near if here is None else near | {here}, but=record) | {record: evidence}
        where = {other: self.assignments[other].child for other in around if other != record}
        return self._assign_clusters(n, around, where | {record: here}, reading.recorded_at, reading)[record]

    def _recluster(self, n: int, files: set[UUID], at: datetime) -> None:
        """Cluster every record again that the records of these files could link or separate."""
        keys = {key for child in files for evidence in self._members(child) for key in evidence.linking_keys}
        around = self._neighbourhood(files | self._candidates(keys))
        self._assign_clusters(n, around, {record: self.assignments[record].child for record in around}, at)

    def _assign_clusters(
        self,
        n: int,
        around: Mapping[UUID, Evidence],
        where: Mapping[UUID, UUID | None],
        at: datetime,
        reading: Reading | None = None,
    ) -> dict[UUID, UUID]:
        """Assign each cluster of records to a file. Returns the file of each record.

        The record of ``reading`` may have no assignment yet, and no file (None in ``where``).
        """
        groups = cluster(around.values(), self.cannot_link)
        newest = reading.record if reading is not None else None
        kept = self._files_kept(groups, around, where, newest)
        now: dict[UUID, UUID] = {}
        absorbed: list[tuple[UUID, UUID]] = []
        for group in groups:
            own = sorted((self._file(child) for child in kept.get(group, ())), key=_survivor_order)
            first = min(group, key=_id_order)
            if own:
                target = own[0].child
                absorbed += [(target, other.child) for other in own[1:]]
            elif reading is not None and where[first] is None and len(group) == 1:
                target = self._open_file(n, self._founding(n, reading), at)
            else:
                target = self._open_file(n, f"{first}/{self.event_id(n)}", at, split_from=where[first])
            inside = {file.child for file in own}
            for record in sorted(group, key=_id_order):
                now[record] = target
                left = where[record]
                if left is not None and left not in inside:
                    self._leave(n, record, left, target, reading.finding if reading and record == newest else None)
        for survivor, other in absorbed:
            self._absorb(n, survivor, other, "matched")
            for review in self._open_reviews_between(survivor, other):
                self._resolve_review(n, review, "merged", None)
        return now

    def _neighbourhood(self, files: set[UUID], but: UUID | None = None) -> dict[UUID, Evidence]:
        """Return the evidence in these files and, through records without an ID number, in their neighbours' files."""
        around: dict[UUID, Evidence] = {}
        todo = set(files)
        done: set[UUID] = set()
        while todo:
            done |= todo
            keys: set[Hash] = set()
            for child in todo:
                for evidence in self._members(child):
                    if evidence.record == but:
                        continue
                    around[evidence.record] = evidence
                    if evidence.number is None:
                        keys |= evidence.guardian_ids
            todo = self._candidates(keys) - done
        return around

    def _files_kept(
        self,
        groups: list[frozenset[UUID]],
        around: Mapping[UUID, Evidence],
        where: Mapping[UUID, UUID | None],
        record: UUID | None,
    ) -> dict[frozenset[UUID], list[UUID]]:
        """Return the files that each cluster keeps.

        A file goes to the cluster with most of its must-link records, then with most of its records, not counting
        the one that is being read.
        """
        best: dict[UUID, tuple[tuple[int, int, bytes], frozenset[UUID]]] = {}
        for group in groups:
            counts: dict[UUID, tuple[int, int]] = {}
            for member in group:
                at = where[member]
                if at is not None and member != record:
                    held, count = counts.get(at, (0, 0))
                    counts[at] = held + (around[member].must_link is not None), count + 1
                elif at is not None:
                    counts.setdefault(at, (0, 0))
            smallest = bytes(255 - byte for byte in min(group, key=_id_order).bytes)
            for child, many in counts.items():
                rank = (*many, smallest)
                if child not in best or rank > best[child][0]:
                    best[child] = (rank, group)
        kept: dict[frozenset[UUID], list[UUID]] = {}
        for child, (_, group) in best.items():
            kept.setdefault(group, []).append(child)
        return kept

    def _leave(self, n: int, record: UUID, at: UUID, target: UUID, finding: UUID | None) -> None:
        """Move one record to another file, with the finding that it came with."""
        assignment = self.assignments.get(record)
        if assignment is not None:
            finding = assignment.finding
            self._move_record(n, record, at, target)
            self._unreviewed.add(record)
        if finding is not None and finding in self.findings:
            self.findings[finding] = replace(self.findings[finding], child=target)
            self._add_outcome(n, Reassignment(target, at, "split", (finding,), (record,)))

    def _link_to_named(self, n: int, record: UUID, child: UUID) -> UUID:
        """Must-link a record with all others of the file that a person named."""
        group = self._must_link_file(n, child)
        if group is not None:
            self._must_link[record] = group
        return child

    def _founding(self, n: int, reading: Reading) -> str:
        """Return the founding of a record's own file: a different one after crypto-shredding."""
        words = str(reading.record) if reading.finding is None else f"{FINDING}/{reading.finding}"
        assignment, assigned = self.assignments.get(reading.record), self._finding_assignment(reading)
        before = {
            assignment.child if assignment is not None else None,
            assigned.child if assigned is not None else None,
        } - {None}
        lost = any(self.files[child].destroyed for child in before if child in self.files)
        return f"{words}/{self.event_id(n)}" if lost else words

    def _finding_assignment(self, reading: Reading) -> FindingAssignment | None:
        return self.findings.get(reading.finding) if reading.finding is not None else None

    def _active_assignment(self, record: UUID) -> RecordAssignment | None:
        """Return a record's assignment, unless the key of its file was destroyed."""
        assignment = self.assignments.get(record)
        return None if assignment is None or self._file(assignment.child).destroyed else assignment

    def _is_unavailable(self, child: UUID) -> bool:
        return child in self.not_on_file or self._file(child).destroyed

    def _open_file(self, n: int, words: str, at: datetime, split_from: UUID | None = None) -> UUID:
        file = replace(self._new_file(words, at), version=1, split_from=split_from)
        self.not_on_file.discard(file.child)
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

    def _move_record(self, n: int, record: UUID, origin: UUID, target: UUID) -> None:
        here, there = self._file(origin), self._file(target)
        source = here.sources[record]
        self._update(n, here, sources={other: kept for other, kept in here.sources.items() if other != record})
        self._update(n, there, sources={**there.sources, record: source})
        assignment = self.assignments.get(record)
        if assignment is not None:
            self._assign(record, replace(assignment, child=target))

    def _assign(self, record: UUID, assignment: RecordAssignment) -> None:
        group = self._must_link.pop(record, None)
        if group is not None:
            assignment = replace(assignment, evidence=replace(assignment.evidence, must_link=group))
        before = self.assignments.get(record)
        self.assignments[record] = assignment
        self.reassigned.add(record)
        for key in assignment.evidence.blocking_keys:
            self._update_index(key, assignment.child, present=True)
        if before is None:
            return
        gone = (
            before.evidence.blocking_keys
            if before.child != assignment.child
            else before.evidence.blocking_keys - assignment.evidence.blocking_keys
        )
        if not gone:
            return
        left = {
            key
            for other in self._file(before.child).records
            if other != record
            for key in self._assignment(other).evidence.blocking_keys
        }
        for key in gone - left:
            self._update_index(key, before.child, present=False)

    def _update_index(self, key: Hash, child: UUID, *, present: bool) -> None:
        """Add a file to, or remove it from, the hits of a blocking key."""
        hits = self.index_hits.get(key)
        if hits is None:
            self.index_changes[key, child] = present
        elif (child in hits) is not present:
            self.index_changes[key, child] = present
            if present:
                hits.add(child)
            else:
                hits.discard(child)

    def _absorb(
        self, n: int, survivor: UUID, other: UUID, reason: Literal["merge", "matched"], by: Person | None = None
    ) -> None:
        gone = self._file(other)
        contributed = tuple(sorted(gone.sources, key=_id_order))
        self._members(other)
        for record in contributed:
            self._move_record(n, record, other, survivor)
        file = self._file(survivor)
        self._update(
            n,
            file,
            absorbs=(*file.absorbs, other),
            confirmed=(*file.confirmed, *gone.confirmed),
            reported_conflicts=file.reported_conflicts | gone.reported_conflicts,
            reviewed=file.reviewed or gone.reviewed,
        )
        self._update(n, self._file(other), absorbed_by=survivor, contributed=contributed)
        for review in self._reviews_of(other):
            self._readdress(review)
        self._add_outcome(n, Reassignment(survivor, other, reason, (), contributed, by))

    # ---------------------------------------------------------------------------------------------------- reviews

    def _request_reviews(self, n: int) -> None:
        """Request reviews of files that new, changed or moved records may share a child with."""
        for record in sorted(self._unreviewed, key=_id_order):
            self._request_reviews_of(n, self.assignments[record])
        self._unreviewed.clear()

    def _request_reviews_of(self, n: int, assignment: RecordAssignment) -> None:
        for child in sorted(self._candidates(assignment.evidence.blocking_keys) - {assignment.child}, key=_id_order):
            members = self._members(child)
            evidence, conflicts = self._comparison([assignment.evidence], members)
            if not evidence:
                continue
            if _numbers_differ(self._members(assignment.child), members):
                conflicts = tuple(sorted({*conflicts, TWO_NUMBERS}))
            self._request_review(n, assignment.child, child, evidence, conflicts)

    def _comparison(
        self, some: Collection[Evidence], others: Collection[Evidence]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the codes that speak for and against one child between two files."""
        evidence: set[str] = set()
        conflicts: set[str] = set()
        for one in some:
            for other in others:
                match = compare(one, other, self.similar)
                if match.decision is not MatchDecision.NON_LINK:
                    evidence.update(match.evidence)
                    conflicts.update(match.conflicts)
        return tuple(sorted(evidence)), tuple(sorted(conflicts))

    def _request_review(
        self, n: int, child: UUID, other: UUID, evidence: tuple[str, ...], conflicts: tuple[str, ...]
    ) -> None:
        first, second = sorted((child, other), key=_id_order)
        for review in self._reviews_between(first, second):
            if review.state == "open" or (review.state != "merged" and set(evidence) <= set(review.evidence)):
                return
        words = f"review/{first}/{second}/{' '.join(evidence)}/{' '.join(conflicts)}"
        if self.derived_review_id(words) in self.reviews:
            # The same review was resolved before, or was about files that were merged then: this is another one.
            words = f"{words}/{self.event_id(n)}"
        review = Review(self.derived_review_id(words), first, second, evidence, conflicts, "open", (first, second))
        self._track(review)
        for file_id in (first, second):
            self._update(n, self._file(file_id), reviewed=True)
        self._add_outcome(n, ReviewOpened(review))

    def _resolve_review(
        self, n: int, review: Review, outcome: Literal["merged", "cannot_link", "split"], by: Person | None
    ) -> None:
        evidence = review.evidence
        if outcome != "merged":
            more, _ = self._comparison(self._members(review.child), self._members(review.other))
            evidence = tuple(sorted({*evidence, *more}))
        self._track(replace(review, state=outcome, evidence=evidence))
        for file_id in (review.child, review.other):
            self._update(n, self._file(file_id), reviewed=True)
        self._add_outcome(n, ReviewClosed(review.review, review.child, review.other, outcome, by))

    def _track(self, review: Review) -> None:
        """Keep a new or changed review."""
        before = self.reviews.get(review.review)
        for child in before.pair if before is not None else ():
            self._review_ids.setdefault(child, set()).discard(review.review)
        self.reviews[review.review] = review
        for child in review.pair:
            self._review_ids.setdefault(child, set()).add(review.review)

    def _reviews_of(self, child: UUID) -> list[Review]:
        return [self.reviews[review] for review in sorted(self._review_ids.get(child, ()), key=_id_order)]

    def _reviews_between(self, one: UUID, other: UUID) -> list[Review]:
        return [review for review in self._reviews_of(one) if other in review.pair]

    def _open_reviews_between(self, one: UUID, other: UUID) -> list[Review]:
        reviews = [review for review in self._reviews_between(one, other) if review.state == "open"]
        return sorted(reviews, key=lambda review: review.review.bytes)

    def _unrequested_review(self, n: int, child: UUID, other: UUID) -> Review:
        """Return a review for a decision that was made without one."""
        made = self.derived_review_id(f"decision/{self.event_id(n)}")
        return Review(made, child, other, (), (), "open", (child, other))

    def _readdress(self, review: Review) -> None:
        """Point a review to the current files of those that it was requested for."""
        one, other = (self.current_file(child) for child in review.requested_for)
        if review.state != "merged" and one is not None and other is not None and one != other:
            self._track(replace(review, child=one, other=other))

    def _divide_reviews(self, n: int, child: UUID, other: UUID, by: Person) -> None:
        """Divide the reviews of a file that was split, and resolve those between its two parts."""
        stays, returns = self.current_file(child), self.current_file(other)
        if stays is not None and returns is not None:
            for review in self._reviews_of(stays):
                self._readdress(review)
            for open_review in [
                review for review in self._reviews_of(stays) if review.state == "open" and returns not in review.pair
            ]:
                self._readdress_by_evidence(n, open_review, stays, returns)
            for open_review in self._open_reviews_between(stays, returns):
                self._resolve_review(n, open_review, "split", by)
            self._unreviewed |= {record for part in (stays, returns) for record in self._file(part).records}
        self._resolve_review(n, self._unrequested_review(n, child, other), "split", by)
        self._request_reviews(n)

    def _readdress_by_evidence(self, n: int, review: Review, stays: UUID, returns: UUID) -> None:
        """Point a review of the merged file to the part whose records show its evidence."""
        [third] = review.pair - {stays}
        mine, theirs = (self._comparison(self._members(part), self._members(third))[0] for part in (stays, returns))
        if theirs and not set(review.evidence) <= set(mine):
            self._track(replace(review, child=returns, other=third, requested_for=(returns, third)))
            self._update(n, self._file(returns), reviewed=True)

    def _files_under_review(self, n: int, review: UUID) -> tuple[ChildFile, ChildFile] | None:
        under_review = self.reviews[review]
        if under_review.state != "open":
            self._add_outcome(n, ActionRefusal(under_review.child, "already_resolved"))
            return None
        one, other = self._current_or_refuse(n, under_review.child), self._current_or_refuse(n, under_review.other)
        if one is None or other is None:
            return None
        return one, other

    # --------------------------------------------------------------------------------------------------- persons

    def _merge(self, n: int, survivor: UUID, absorbed: UUID, by: Person) -> None:
        requested = self._open_reviews_between(survivor, absorbed)
        self._must_link_files(n, survivor, absorbed)
        self._absorb(n, survivor, absorbed, "merge", by)
        for open_review in requested or [self._unrequested_review(n, survivor, absorbed)]:
            self._resolve_review(n, open_review, "merged", by)

    def _must_link_files(self, n: int, survivor: UUID, absorbed: UUID) -> None:
        both = [*self._members(survivor), *self._members(absorbed)]
        group = self.derived_id(f"must-link/{self.event_id(n)}")
        self._carry_cannot_links({evidence.must_link for evidence in both if evidence.must_link is not None}, group)
        self._set_must_link(both, group)

    def _cannot_link_files(self, n: int, one: UUID, other: UUID, but: Collection[UUID] = ()) -> None:
        first, second = self._must_link_file(n, one, but), self._must_link_file(n, other, but)
        if first is not None and second is not None:
            self.cannot_link.add(frozenset((first, second)))

    def _must_link_file(self, n: int, child: UUID, but: Collection[UUID] = ()) -> UUID | None:
        """Put a file's records into one must-link group. Returns the group, or None if the file has no records."""
        members = [evidence for evidence in self._members(child) if evidence.record not in but]
        if not members:
            return None
        group = self.derived_id(f"must-link/{self.event_id(n)}/{child}")
        self._carry_cannot_links({evidence.must_link for evidence in members if evidence.must_link is not None}, group)
        self._set_must_link(members, group)
        return group

    def _carry_cannot_links(self, before: set[UUID], group: UUID) -> None:
        """Carry cannot-link constraints over to a new group, except between the groups that it unites."""
        for pair in list(self.cannot_link):
            others = pair - before
            if len(others) == 1:
                self.cannot_link.add(others | {group})

    def _set_must_link(self, members: Iterable[Evidence], group: UUID) -> None:
        for evidence in members:
            assignment = self.assignments[evidence.record]
            self.assignments[evidence.record] = replace(
                assignment, evidence=replace(assignment.evidence, must_link=group)
            )
            self.reassigned.add(evidence.record)

    def _target(self, n: int, file: ChildFile, other: UUID | None) -> ChildFile | None:
        """Return the file that split records go to, or None if the action was refused."""
        if other is None:
            return self._new_file(f"split/{self.event_id(n)}", file.opened_at)
        if self._is_unavailable(other):
            self._add_outcome(n, ActionRefusal(file.child, "unknown_child"))
            return None
        target = self._file(other)
        if target.child == file.child:
            self._add_outcome(n, ActionRefusal(file.child, "same_file"))
            return None
        if target.absorbed_by is not None and target.absorbed_by != file.child:
            self._add_outcome(n, ActionRefusal(file.child, "absorbed_elsewhere"))
            return None
        return target

    def _refusal_code(self, file: ChildFile, target: ChildFile, records: set[UUID]) -> str | None:
        if not records and target.child not in file.absorbs:
            return "records_missing"
        if not records <= set(file.sources) | set(target.contributed):
            return "record_not_in_file"
        if records and set(file.records) <= records:
            return "nothing_left"
        return None

    def _records_leaving(
        self, file: ChildFile, target: ChildFile, records: Collection[UUID], tree: set[UUID], findings: set[UUID]
    ) -> tuple[set[UUID], set[UUID]]:
        """Return the sources that leave a file in a split, and those whose place no person has decided.

        ``tree`` is the absorbed file that becomes current again with all that it absorbed; ``findings`` are about it.
        """
        # Verifications of the absorbed file go back with it.
        verified = {self._verification_record(child, source.unit) for child in tree for source in file.sources.values()}
        leaving = set(records) | (verified & file.sources.keys())
        if records:
            return leaving, set()
        reported = {record for record, source in file.sources.items() if source.finding in findings}
        held = {evidence.record for evidence in self._members(file.child) if evidence.must_link is not None}
        # Records that came or changed after the merge are in no must-link group.
        late = set(file.records) - held - reported if held else set()
        leaving |= reported | set(target.contributed)
        # A file without records of its own attracted none: later ones came for what the other one contributed.
        return leaving if set(file.records) - leaving - late else leaving | late, late

    def _follow_records(self, n: int, stays: UUID, returns: UUID, by: Person) -> None:
        """Move a third file, which matching merged into the split one, to where all its records went."""
        for child in self._file(stays).absorbs:
            gone = self._file(child)
            assignments = {
                assignment.child
                for record in gone.contributed
                if (assignment := self.assignments.get(record)) is not None
            }
            if assignments != {returns}:
                continue
            tree = self._merge_tree(gone)
            here, there = self._file(stays), self._file(returns)
            seen = tuple(kept for kept in here.confirmed if kept in tree)
            findings = tuple(
                sorted(
                    (finding for finding, assigned in self.findings.items() if assigned.child in tree), key=_id_order
                )
            )
            self._update(
                n,
                here,
                absorbs=tuple(absorbed for absorbed in here.absorbs if absorbed != child),
                confirmed=tuple(kept for kept in here.confirmed if kept not in tree),
            )
            self._update(n, there, absorbs=(*there.absorbs, child), confirmed=(*there.confirmed, *seen))
            self._update(n, gone, absorbed_by=returns)
            self._add_outcome(n, Reassignment(returns, stays, "split", findings, (), by))

    def _merge_tree(self, file: ChildFile) -> set[UUID]:
        """Return a file and all that it absorbed, directly or not."""
        tree = {file.child}
        for child in file.absorbs:
            tree |= self._merge_tree(self._file(child))
        return tree

    def _verification_record(self, child: UUID, unit: str) -> UUID:
        """Return the id of the record that holds a unit's verifications of a child."""
        return self.derived_id(f"{VERIFY}/{child}/{unit}")

    def _retract_conflicts(self, stays: UUID, returns: UUID) -> None:
        """Keep a conflict of the merged file as reported only in the part where it still exists."""
        both = self.files[stays].reported_conflicts
        for child, before in ((stays, frozenset[FactName]()), (returns, self.files[returns].reported_conflicts)):
            file = self.files[child]
            still = {name for name, _ in self._resolve_facts(child).conflicts}
            self.files[child] = replace(file, reported_conflicts=before | (both & still))

    def _current_or_refuse(self, n: int, child: UUID) -> ChildFile | None:
        current = self.current_file(child)
        if current is None:
            self._add_outcome(n, ActionRefusal(None, "unknown_child"))
            return None
        return self._file(current)

    # ---------------------------------------------------------------------------------------------------- access

    def _file(self, child: UUID) -> ChildFile:
        file = self.files.get(child)
        if file is None:
            raise LoadRequired(children=[child])
        return file

    def _candidates(self, keys: Iterable[Hash]) -> set[UUID]:
        """Return the files that share any of these blocking keys."""
        near: set[UUID] = set()
        unknown = [key for key in keys if key not in self.index_hits]
        if unknown:
            raise LoadRequired(keys=unknown)
        for key in keys:
            near |= self.index_hits[key]
        return near

    def _members(self, child: UUID) -> list[Evidence]:
        """Return the evidence of all records of a file."""
        return [self._assignment(record).evidence for record in self._file(child).records]

    def _assignment(self, record: UUID) -> RecordAssignment:
        assignment = self.assignments.get(record)
        if assignment is None:
            raise LoadRequired(children=[child for child, file in self.files.items() if record in file.sources])
        return assignment

    def _update(self, n: int, file: ChildFile, **changes: Any) -> None:
        """Store changes of a file. Its version counts an event once, however often the event changes it."""
        if self.touched.get(file.child) != n:
            self.touched[file.child] = n
            changes["version"] = file.version + 1
        self.files[file.child] = replace(file, **changes) if changes else file
        self._stale.add(file.child)

    def _resolve_facts(self, child: UUID) -> ResolvedFacts:
        return resolve(self.files[child].sources.values(), self.ends, self.holder, self.school_year)

    def _resolve_stale(self, n: int) -> None:
        """Resolve the facts of every file that this event changed, and report new conflicts."""
        for child in sorted(self._stale, key=_id_order):
            file = self.files[child]
            resolved = self._resolve_facts(child)
            new = [(name, units) for name, units in resolved.conflicts if name not in file.reported_conflicts]
            assigned = file.reported_conflicts.union(name for name, _ in new) if new else file.reported_conflicts
            self.files[child] = replace(
                file, resolved=resolved, dependency_keys=resolved.dependency_keys, reported_conflicts=assigned
            )
            for name, units in new:
                self._add_outcome(n, FactConflict(child, name, units))
        self._stale.clear()

    def _add_outcome(self, n: int, outcome: Outcome) -> None:
        self.outcomes.append((n, outcome))


def _numbers_differ(some: Collection[Evidence], others: Collection[Evidence]) -> bool:
    """Return whether both have valid ID numbers, and none in common."""
    one, other = ({evidence.number for evidence in side} - {None} for side in (some, others))
    return bool(one) and bool(other) and one.isdisjoint(other)


def _links_equally(before: Evidence, now: Evidence) -> bool:
    """Return whether nothing changed that links or separates records."""
    return (
        before.number == now.number
        and before.birth_date == now.birth_date
        and before.guardian_ids == now.guardian_ids
        and before.names == now.names
    )


def _survivor_order(file: ChildFile) -> tuple[bool, datetime, bytes]:
    """Sort key: the file that is on file survives, then the older one, then the smaller id."""
    return file.state != "on_file", file.opened_at, file.child.bytes


def _id_order(id_: UUID) -> bytes:
    return id_.bytes
