"""Loads what a batch needs from the store, lets the batch decide, and saves what changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import orjson

from contracts.county import County
from contracts.event import Envelope
from contracts.vocabulary import TOWNSHIP, FactName, IdentityField
from runtime import RetryLater, Tx, partition_of, run_in_thread
from services.registry import store
from services.registry.domain import names
from services.registry.domain.child_file import (
    ChildFile,
    FindingAssignment,
    Reassignment,
    RecordAssignment,
    Review,
    ReviewClosed,
    ReviewOpened,
)
from services.registry.domain.child_files import ChildFiles, LoadRequired
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.fact_resolution import FileEnd, Holder, SchoolYear, is_complete
from services.registry.domain.matching import Evidence, Hash
from services.registry.store import FileToSave, LoadedFile
from services.registry.vault import ChildKey, Identity, Vault, decrypt, encrypt


def holder_rank(county: County) -> Holder:
    """Return the function that ranks units by the county's list of each fact's holders."""
    townships = {township.unit for township in county.townships}
    ranks: dict[tuple[FactName, str], int] = {}

    def rank(name: FactName, unit: str) -> int:
        position = ranks.get((name, unit))
        if position is None:
            holders = county.holders.get(name, ())
            position = len(holders)
            for place, holder in enumerate(holders):
                if holder == unit or (holder == TOWNSHIP and unit in townships):
                    position = place
                    break
            ranks[name, unit] = position
        return position

    return rank


def school_year_of(county: County) -> SchoolYear:
    """Return the county's school year function; a school year begins on the day after the cut-off."""
    cutoff = county.thresholds.cutoff
    return lambda on: on.year if (on.month, on.day) > cutoff else on.year - 1


@dataclass(slots=True)
class IdentityClaim:
    """The identity claimed by a record: its parts in the order they were read, each with the day it is valid on."""

    parts: list[tuple[date, Identity]]
    extends: bool
    """True if the parts extend the stored identity; otherwise they replace it."""
    department: bool
    """True if a department's record, False if a person's finding."""

    def merged_into(self, stored: Identity, valid_on: date | None) -> tuple[Identity, date]:
        """Merge the parts into the stored identity: newer validity wins, then newer arrival."""
        identity, newest = stored, valid_on or date.min
        for day, part in self.parts:
            identity = identity | part if day >= newest else part | identity
            newest = max(newest, day)
        return identity, newest


@dataclass(slots=True)
class UnitOfWork:
    """What one batch loads and saves. Loaded files are locked until the transaction ends."""

    tx: Tx
    vault: Vault
    county: County
    partition: int
    partitions: int
    envelope_of: Callable[[int], Envelope]
    """Returns the envelope of the event with this index in the batch."""

    children: set[UUID] = field(default_factory=set)
    """Files to load."""
    children_in_full: set[UUID] = field(default_factory=set)
    """Files to load with all their records."""
    records: set[UUID] = field(default_factory=set)
    """Records whose assignment is needed."""
    incoming: list[Evidence] = field(default_factory=list)
    """Evidence of the rows that this batch reads."""
    findings: dict[UUID, FindingAssignment] = field(default_factory=dict)
    """Findings that are needed, and the assignment to store for those that have none."""
    with_findings: bool = False
    """Also load findings without a record about the files that are loaded with all their records."""
    answered_reviews: dict[UUID, Review] = field(default_factory=dict)
    """Reviews that this batch resolves."""

    identities: dict[UUID, IdentityClaim] = field(default_factory=dict)
    """Identities that this batch read, by record."""
    unchanged: dict[UUID, list[date]] = field(default_factory=dict)
    """Records whose content did not change, and the days for which they were read."""
    plain_names: dict[UUID, str] = field(default_factory=dict)
    """Names in plain text that this batch read, by record."""

    _loaded: dict[UUID, LoadedFile] = field(default_factory=dict)
    _not_on_file: set[UUID] = field(default_factory=set)
    _assignments: dict[UUID, store.StoredAssignment] = field(default_factory=dict)
    _looked_up: set[UUID] = field(default_factory=set)
    _members: dict[UUID, RecordAssignment] = field(default_factory=dict)
    _loaded_in_full: set[UUID] = field(default_factory=set)
    _index_hits: dict[Hash, dict[UUID, int]] = field(default_factory=dict)
    _findings: dict[UUID, FindingAssignment] = field(default_factory=dict)
    _reviews: dict[UUID, Review] = field(default_factory=dict)
    _stored_names: dict[UUID, str] = field(default_factory=dict)
    _foundings: dict[UUID, str | None] = field(default_factory=dict)
    """Child -> what its file was opened for, for every id that was looked up; None: no file has it."""
    _child_keys: dict[UUID, ChildKey] = field(default_factory=dict)
    _ends_before: dict[tuple[str, str, int], FileEnd] = field(default_factory=dict)
    _cannot_link_before: set[frozenset[UUID]] = field(default_factory=set)

    @property
    def school_year(self) -> SchoolYear:
        return school_year_of(self.county)

    # ------------------------------------------------------------ load

    async def stored_contents(self) -> dict[UUID, str]:
        """Return the keyed hash of each needed record's content as it was last read."""
        await self._load_records(self.records)
        return {record: stored.assignment.content for record, stored in self._assignments.items()}

    async def decide(self, many: int, apply: Callable[[ChildFiles], None]) -> ChildFiles:
        """Load what is needed and apply ``many`` events; if they need more, load it and apply them again."""
        if self.findings:
            await store.assign_findings(self.tx, self.findings)
            self._findings = await store.finding_assignments(self.tx, self.findings)
            self.children |= {assignment.child for assignment in self._findings.values()}
        keys: set[Hash] = set()
        while True:
            await self._load(keys)
            child_files = await self._child_files()
            self.identities.clear()
            self.unchanged.clear()
            self.plain_names.clear()
            try:
                await run_in_thread(many, apply, child_files)
            except LoadRequired as more:
                new = (
                    more.children - self._loaded_in_full,
                    more.keys - self._index_hits.keys(),
                    more.names - self._stored_names.keys(),
                )
                if not any(new):
                    raise RuntimeError("files are requested that are already loaded") from more
                self.children |= more.children
                self.children_in_full |= more.children
                keys |= more.keys
                if more.names:
                    await self._load_names(more.names)
                continue
            if await self._numbers_are_free(child_files):
                return child_files

    async def _numbers_are_free(self, child_files: ChildFiles) -> bool:
        """Look up the holders of the new files' numbers. Returns False if another child has one of them."""
        opened = child_files.touched.keys() - self._loaded.keys()
        unknown = opened - self._foundings.keys()
        self._foundings |= dict.fromkeys(unknown) | await store.foundings(self.tx, unknown)
        return all(self._foundings[child] in (None, child_files.files[child].founding) for child in opened)

    async def _load(self, keys: set[Hash]) -> None:
        """Load everything that is needed, directly or not, until nothing is missing or was changed meanwhile."""
        while True:
            unread = self.records - self._looked_up
            if unread:
                await self._load_records(unread)
            wanted = (
                await run_in_thread(len(self.incoming), self._blocking_keys_needed) | keys
            ) - self._index_hits.keys()
            if wanted:
                self._index_hits |= {key: {} for key in wanted}
                for key, child, version in await store.find_files(self.tx, wanted):
                    self._index_hits[key][child] = version
                    self.children.add(child)
            missing = self.children - self._loaded.keys() - self._not_on_file
            if missing:
                found_files = await store.lock_files(self.tx, missing)
                self._loaded |= found_files
                self._not_on_file |= missing - found_files.keys()
                self.children |= {
                    loaded.file.absorbed_by for loaded in found_files.values() if loaded.file.absorbed_by is not None
                }
            if await run_in_thread(len(self._loaded), self._discard_outdated):
                continue
            self.children_in_full |= await run_in_thread(len(self.incoming), self._affected_files)
            whole = (self.children_in_full & self._loaded.keys()) - self._loaded_in_full
            if whole:
                self._members |= await store.assignments_of(self.tx, whole)
                self._loaded_in_full |= whole
                came = {assignment.finding for assignment in self._members.values() if assignment.finding is not None}
                self._findings |= await store.finding_assignments(self.tx, came - self._findings.keys())
                if self.with_findings:
                    self._findings |= await store.finding_assignments_of(
                        self.tx, (await store.merge_trees(self.tx, whole)).keys()
                    )
                continue
            if not missing:
                return

    async def _load_records(self, records: set[UUID]) -> None:
        stored_assignments = await store.assignments(self.tx, records)
        self._looked_up |= records
        self._assignments |= stored_assignments
        self.children |= {stored.assignment.child for stored in stored_assignments.values()}

    def _blocking_keys_needed(self) -> set[Hash]:
        """Return blocking keys of the rows of this batch, and of loaded records that only a guardian's number links."""
        keys = {
            key
            for assignment in self._members.values()
            if assignment.evidence.number is None
            for key in assignment.evidence.guardian_ids
        }
        for evidence in self.incoming:
            stored = self._assignments.get(evidence.record)
            if stored is None:
                keys |= evidence.blocking_keys
            elif not _adds_nothing(stored.assignment.evidence, evidence):
                keys |= evidence.blocking_keys | stored.assignment.evidence.blocking_keys
        return keys

    def _affected_files(self) -> set[UUID]:
        """Return files that a row may merge, divide or put under review: all but the only hit of its ID number."""
        unclear: set[UUID] = set()
        for evidence in self.incoming:
            stored = self._assignments.get(evidence.record)
            if stored is not None and _adds_nothing(stored.assignment.evidence, evidence):
                continue
            near = {child for key in evidence.blocking_keys for child in self._index_hits.get(key, ())}
            if stored is None and len(near) == 1 and evidence.number is not None and self._index_hits[evidence.number]:
                continue
            unclear |= near
            if stored is not None:
                unclear |= {
                    child for key in stored.assignment.evidence.blocking_keys for child in self._index_hits.get(key, ())
                }
                unclear.add(stored.assignment.child)
        return unclear

    def _discard_outdated(self) -> bool:
        """Discard what another transaction changed after it was read and before its file was locked."""
        again = False
        for record, stored in list(self._assignments.items()):
            locked = self._loaded.get(stored.assignment.child)
            if locked is not None and locked.file.version != stored.child_version:
                del self._assignments[record]
                self._looked_up.discard(record)
                again = True
        for key, hits in list(self._index_hits.items()):
            for child, version in hits.items():
                locked = self._loaded.get(child)
                if locked is not None and locked.file.version != version:
                    del self._index_hits[key]
                    again = True
                    break
        return again

    async def _child_files(self) -> ChildFiles:
        assignments = {record: stored.assignment for record, stored in self._assignments.items()} | self._members
        reviewed = {child for child, loaded in self._loaded.items() if loaded.file.reviewed}
        self._reviews = await store.reviews_of(self.tx, reviewed)
        groups = {assignment.evidence.must_link for assignment in assignments.values()} - {None}
        cannot_link = await store.cannot_links(self.tx, {group for group in groups if group is not None})
        ends = await store.file_ends(self.tx)
        self._ends_before = dict(ends)
        self._cannot_link_before = set(cannot_link)
        return ChildFiles(
            partition=self.partition,
            holder=holder_rank(self.county),
            school_year=self.school_year,
            derived_id=self.vault.derived_id,
            numbers=ChildNumbers(self.county.code, self.vault.child_number),
            derived_review_id=self.vault.derived_review_id,
            similar=self._similar,
            event_id=lambda n: str(self.envelope_of(n).id),
            files={child: loaded.file for child, loaded in self._loaded.items()},
            foundings={child: founding for child, founding in self._foundings.items() if founding is not None},
            not_on_file=set(self._not_on_file),
            assignments=assignments,
            index_hits={key: set(hits) for key, hits in self._index_hits.items()},
            reviews=self.answered_reviews | self._reviews,
            cannot_link=cannot_link,
            findings=dict(self._findings),
            ends=ends,
        )

    def _similar(self, one: UUID, other: UUID) -> bool:
        plain = []
        for record in (one, other):
            if record not in self.plain_names and record not in self._stored_names:
                raise LoadRequired(names=(one, other))
            plain.append(self.plain_names.get(record) or self._stored_names.get(record, ""))
        return names.similar(plain[0], plain[1])

    async def _load_names(self, wanted: Iterable[UUID]) -> None:
        """Load names in plain text, for the few that hashes cannot compare."""
        identities = await store.record_identities(self.tx, list(wanted))
        for record in wanted:
            stored = identities.get(record)
            identity = self._decrypt(stored) if stored is not None else {}
            self._stored_names[record] = identity.get(IdentityField.NAME, "")

    def _decrypt(self, stored: store.EncryptedIdentity) -> Identity:
        """Return a stored identity; empty if the child's key was destroyed."""
        key = self._child_key(stored.child)
        return {} if key is None else decrypt(key, stored.belongs_to, stored.identity)

    def _child_key(self, child: UUID) -> ChildKey | None:
        key = self._child_keys.get(child)
        if key is None:
            stored = self._loaded.get(child)
            if stored is None or stored.wrapped is None:
                return None
            key = self._child_keys[child] = self.vault.key(child, stored.wrapped)
        return key

    def completed_submissions(self, child_files: ChildFiles) -> set[tuple[str, str, str]]:
        """Return (unit, dataset, period) of whole files whose end has reached the last partition with this batch."""
        return {
            (unit, dataset, end.period)
            for (unit, dataset, partition), end in child_files.ends.items()
            if end != self._ends_before.get((unit, dataset, partition))
            and is_complete(child_files.ends, unit, dataset, end.valid_on, self.partitions)
        }

    # ------------------------------------------------------------ save

    async def save(self, child_files: ChildFiles) -> dict[UUID, ChildFile]:
        """Save what changed. Returns the files whose snapshot changed, by child, in the order of their events."""
        to_publish = await self._save_files(child_files)
        await self._save_records(child_files)
        await store.update_index(self.tx, child_files.index_changes)
        await store.save_file_ends(
            self.tx, {place: end for place, end in child_files.ends.items() if self._ends_before.get(place) != end}
        )
        await store.insert_cannot_links(self.tx, child_files.cannot_link - self._cannot_link_before)
        await self._save_findings(child_files)
        await self._save_history(child_files)
        return to_publish

    async def _save_files(self, child_files: ChildFiles) -> dict[UUID, ChildFile]:
        new, changed, to_publish = await run_in_thread(len(child_files.touched), self._changed_files, child_files)
        if not await store.insert_files(self.tx, new):
            raise RetryLater("another partition has just opened one of these files, or one with the same number")
        await store.update_files(self.tx, changed)
        return to_publish

    def _changed_files(
        self, child_files: ChildFiles
    ) -> tuple[list[FileToSave], list[FileToSave], dict[UUID, ChildFile]]:
        """Return new files, changed files, and those of both whose snapshot changed."""
        new: list[FileToSave] = []
        changed: list[FileToSave] = []
        to_publish: dict[UUID, ChildFile] = {}
        order = sorted(child_files.touched, key=lambda child: (child_files.touched[child], child.bytes))
        for child in order:
            file = child_files.files[child]
            stored = self._loaded.get(child)
            digest = self._digest(file, child_files.open_reviews(child) if file.reviewed else 0)
            if stored is None or stored.snapshot_digest != digest:
                to_publish[child] = file
            (changed if stored is not None else new).append(self._row(child_files, file, digest))
        for child, file in child_files.files.items():
            # No event was applied to this file, but its dependency keys changed.
            stored = self._loaded.get(child)
            if (
                child not in child_files.touched
                and stored is not None
                and file.dependency_keys != stored.file.dependency_keys
            ):
                changed.append(self._row(child_files, file, stored.snapshot_digest))
        return new, changed, to_publish

    def _row(self, child_files: ChildFiles, file: ChildFile, digest: bytes | None) -> FileToSave:
        residence = child_files.resolved_facts(file.child).value(FactName.RESIDENCE_DIVISION)
        place = partition_of(str(file.child), self.partitions)
        return FileToSave(file, place, None if residence is None else str(residence), digest)

    def _digest(self, file: ChildFile, reviews: int) -> bytes:
        """Hash a snapshot's content. A claim's newer date alone is no change, unless the date is part of the fact."""
        resolved = file.resolved
        assert resolved is not None
        datasets, silent = file.datasets
        content = [
            file.state,
            file.absorbed_by,
            file.absorbs,
            file.split_from,
            [
                (claim.name, claim.value, claim.unit, claim.dataset, chosen, claim.verified)
                for claim, chosen in resolved.claims
            ],
            resolved.days,
            datasets,
            silent,
            reviews,
        ]
        # asyncpg's UUID is a class of its own, which orjson does not write.
        return self.vault.hash("snapshot", orjson.dumps(content, default=str).decode())

    async def _save_records(self, child_files: ChildFiles) -> None:
        before = {record: stored.assignment for record, stored in self._assignments.items()} | self._members
        rekeyed = {
            record
            for record in child_files.reassigned
            if record in before
            and before[record].child != child_files.assignments[record].child
            and record not in self.identities
        }
        added_to = {
            record for record, claim in self.identities.items() if claim.extends and record in self._assignments
        }
        stored = await store.record_identities(self.tx, rekeyed | added_to) if rekeyed or added_to else {}
        made: dict[UUID, bytes] = {}
        new, changed = await run_in_thread(len(self.identities), self._encrypt_records, child_files, stored, made)
        moved: list[tuple[UUID, RecordAssignment, bool, bytes | None]] = []
        for record in sorted(child_files.reassigned - self.identities.keys(), key=lambda record_id: record_id.bytes):
            assignment = child_files.assignments[record]
            again = None
            if record in stored:
                identity = self._decrypt(stored[record])
                if identity:
                    again = encrypt(self._key_to_encrypt(assignment.child, made), record, identity)
            moved.append((record, assignment, record in rekeyed, again))
        await store.insert_child_keys(self.tx, made)
        if not await store.insert_records(self.tx, new):
            raise RetryLater("another partition has just read one of these records")
        await store.update_records(self.tx, changed)
        await store.move_records(self.tx, moved)
        await store.touch_records(
            self.tx,
            [
                (record, child_files.assignments[record].recorded_at, max(days))
                for record, days in self.unchanged.items()
            ],
        )

    def _encrypt_records(
        self, child_files: ChildFiles, stored: Mapping[UUID, store.EncryptedIdentity], made: dict[UUID, bytes]
    ) -> tuple[list[store.RecordToSave], list[store.RecordToSave]]:
        """Return new and changed records, each identity encrypted under its child's key."""
        new: list[store.RecordToSave] = []
        changed: list[store.RecordToSave] = []
        for record, claim in self.identities.items():
            assignment = child_files.assignments[record]
            before_it = stored.get(record) if claim.extends else None
            identity, valid_on = claim.merged_into(
                {} if before_it is None else self._decrypt(before_it), None if before_it is None else before_it.valid_on
            )
            encrypted = encrypt(self._key_to_encrypt(assignment.child, made), record, identity)
            row = store.RecordToSave(record, assignment, valid_on, claim.department, encrypted)
            (changed if record in self._assignments else new).append(row)
        return new, changed

    def _key_to_encrypt(self, child: UUID, made: dict[UUID, bytes]) -> ChildKey:
        key = self._child_key(child)
        if key is None:
            key = self._child_keys[child] = self.vault.new_key(child)
            made[child] = key.wrapped
        return key

    async def _save_findings(self, child_files: ChildFiles) -> None:
        moved = {
            finding: assignment.child
            for finding, assignment in child_files.findings.items()
            if finding in self._findings and self._findings[finding].child != assignment.child
        }
        if not moved:
            return
        stored = await store.finding_identities(self.tx, moved)
        wanted = {identity.child for identity in stored.values()} | set(moved.values())
        wrapped = await store.child_keys(self.tx, wanted)
        self._child_keys |= {
            child: self.vault.key(child, key) for child, key in wrapped.items() if child not in self._child_keys
        }
        made: dict[UUID, bytes] = {}
        rows: list[tuple[UUID, UUID, bytes | None]] = []
        for finding, child in sorted(moved.items()):
            encrypted = None
            stored_identity = stored.get(finding)
            if stored_identity is not None and stored_identity.child in self._child_keys:
                identity = decrypt(self._child_keys[stored_identity.child], finding, stored_identity.identity)
                encrypted = encrypt(self._key_to_encrypt(child, made), finding, identity)
            rows.append((finding, child, encrypted))
        await store.insert_child_keys(self.tx, made)
        await store.move_findings(self.tx, rows)

    async def _save_history(self, child_files: ChildFiles) -> None:
        """Save reviews, their resolutions, and the reassignment of records."""
        asked_on: dict[UUID, date] = {}
        answers: dict[UUID, tuple[date, str, str]] = {}
        handed: list[tuple[object, ...]] = []
        for n, outcome in child_files.outcomes:
            match outcome:
                case ReviewOpened(review):
                    asked_on.setdefault(review.review, self.envelope_of(n).on)
                case ReviewClosed(settled, _, _, _, by):
                    asked_on.setdefault(settled, self.envelope_of(n).on if by is None else by.on)
                    if by is not None:
                        answers[settled] = (by.on, by.unit, by.role)
                case Reassignment(child, origin, reason, _, records, by):
                    who = (self.envelope_of(n).on, None, None) if by is None else (by.on, by.unit, by.role)
                    handed.append((self.envelope_of(n).id, child, origin, reason, list(records), *who))
        changed = [review for review in child_files.reviews.values() if self._reviews.get(review.review) != review]
        await store.save_reviews(
            self.tx,
            # The day is stored for new reviews only; each of those was requested or resolved in this batch.
            [(review, asked_on.get(review.review, date.min)) for review in changed],
            self.county.lead_unit,
        )
        await store.save_resolutions(self.tx, answers)
        await store.save_reassignments(self.tx, handed)


def _adds_nothing(before: Evidence, now: Evidence) -> bool:
    """Return whether a record's evidence adds nothing to what it showed before."""
    return (
        now.birth_date == before.birth_date
        and now.number in (None, before.number)
        and now.names <= before.names
        and now.forms <= before.forms
        and now.guardian_ids <= before.guardian_ids
        and now.phones <= before.phones
        and now.pairs <= before.pairs
    )
