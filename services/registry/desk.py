"""Lays on the desk what a batch needs of the store, and puts back what changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import orjson

from contracts.county import County
from contracts.event import Envelope
from contracts.vocabulary import FactName, IdentityField
from runtime import RetryLater, Tx, partition_of, run_in_thread
from services.registry import store
from services.registry.domain import names
from services.registry.domain.cabinet import Cabinet, Missing
from services.registry.domain.child_numbers import ChildNumbers
from services.registry.domain.facts import End, Holder, SchoolYear, complete
from services.registry.domain.files import Asked, ChildFile, HandedOver, Question, Seat, Settled, Told
from services.registry.domain.matching import Evidence, Hash
from services.registry.store import Stored, ToSave
from services.registry.vault import ChildKey, Identity, Vault, decrypt, encrypt

TOWNSHIP = "township"
"""Among a fact's holders: whichever township the child lives in."""


def holder_of(county: County) -> Holder:
    """Rank of a unit for a fact, as the county's data says who holds it."""
    townships = {township.unit for township in county.townships}
    ranks: dict[tuple[FactName, str], int] = {}

    def rank(name: FactName, unit: str) -> int:
        known = ranks.get((name, unit))
        if known is None:
            holders = county.holders.get(name, ())
            known = len(holders)
            for place, holder in enumerate(holders):
                if holder == unit or (holder == TOWNSHIP and unit in townships):
                    known = place
                    break
            ranks[name, unit] = known
        return known

    return rank


def school_year_of(county: County) -> SchoolYear:
    """The county's school year: it begins on the day after the cut-off."""
    cutoff = county.thresholds.cutoff
    return lambda on: on.year if (on.month, on.day) > cutoff else on.year - 1


@dataclass(slots=True)
class Said:
    """What a record said of who the child is, part by part as it was read, each with the day it speaks of."""

    parts: list[tuple[date, Identity]]
    adds: bool
    """To what is stored; else it is all there is."""
    department: bool

    def over(self, stored: Identity, valid_on: date | None) -> tuple[Identity, date]:
        """Laid over what is stored: newer validity wins, then newer arrival."""
        identity, newest = stored, valid_on or date.min
        for day, part in self.parts:
            identity = identity | part if day >= newest else part | identity
            newest = max(newest, day)
        return identity, newest


@dataclass(slots=True)
class Desk:
    """One batch's papers. Everything it loads is locked until the transaction ends."""

    tx: Tx
    vault: Vault
    county: County
    lane: int
    partitions: int
    heard: Callable[[int], Envelope]
    """The envelope of an event of the batch."""

    children: set[UUID] = field(default_factory=set)
    """Files that are needed."""
    whole: set[UUID] = field(default_factory=set)
    """Files of which every record is needed."""
    records: set[UUID] = field(default_factory=set)
    """Records whose place is needed."""
    shown: list[Evidence] = field(default_factory=list)
    """What records that are about to be read now show."""
    findings: dict[UUID, Told] = field(default_factory=dict)
    """Findings that are needed, and what they are about if nobody has said so yet."""
    with_findings: bool = False
    """Also needed: findings about the files that are loaded whole that brought no record."""
    asked: dict[UUID, Question] = field(default_factory=dict)
    """Questions that are about to be answered."""

    said: dict[UUID, Said] = field(default_factory=dict)
    """Identities that this batch brought, by record."""
    same: dict[UUID, list[date]] = field(default_factory=dict)
    """Records that said what they had said before, and of which days."""
    clear: dict[UUID, str] = field(default_factory=dict)
    """Names that this batch brought, by record."""

    _stored: dict[UUID, Stored] = field(default_factory=dict)
    _nowhere: set[UUID] = field(default_factory=set)
    _records: dict[UUID, store.StoredSeat] = field(default_factory=dict)
    _looked_up: set[UUID] = field(default_factory=set)
    _members: dict[UUID, Seat] = field(default_factory=dict)
    _whole: set[UUID] = field(default_factory=set)
    _finds: dict[Hash, dict[UUID, int]] = field(default_factory=dict)
    _told: dict[UUID, Told] = field(default_factory=dict)
    _questions: dict[UUID, Question] = field(default_factory=dict)
    _names: dict[UUID, str] = field(default_factory=dict)
    _foundings: dict[UUID, str | None] = field(default_factory=dict)
    """Child -> what its file was opened for, for every id that was looked up; None: no file has it."""
    _keys: dict[UUID, ChildKey] = field(default_factory=dict)
    _ends_before: dict[tuple[str, str, int], End] = field(default_factory=dict)
    _apart_before: set[frozenset[UUID]] = field(default_factory=set)

    @property
    def school_year(self) -> SchoolYear:
        return school_year_of(self.county)

    # ------------------------------------------------------------ load

    async def contents(self) -> dict[UUID, str]:
        """What the needed records said when they were last read, as a keyed hash."""
        await self._look_up(self.records)
        return {record: one.seat.content for record, one in self._records.items()}

    async def decide(self, many: int, apply: Callable[[Cabinet], None]) -> Cabinet:
        """Load what is known to be needed and apply ``many`` events; where more turns out to be needed, begin anew."""
        if self.findings:
            await store.tell(self.tx, self.findings)
            self._told = await store.told(self.tx, self.findings)
            self.children |= {told.child for told in self._told.values()}
        keys: set[Hash] = set()
        while True:
            await self._load(keys)
            cabinet = await self._cabinet()
            self.said.clear()
            self.same.clear()
            self.clear.clear()
            try:
                await run_in_thread(many, apply, cabinet)
            except Missing as more:
                new = more.children - self._whole, more.keys - self._finds.keys(), more.names - self._names.keys()
                if not any(new):
                    raise RuntimeError("the cabinet asks again for what it has") from more
                self.children |= more.children
                self.whole |= more.children
                keys |= more.keys
                if more.names:
                    await self._name(more.names)
                continue
            if await self._numbers_are_free(cabinet):
                return cabinet

    async def _numbers_are_free(self, cabinet: Cabinet) -> bool:
        """Look up who has the numbers of the new files. False: another child has one of them."""
        opened = cabinet.touched.keys() - self._stored.keys()
        unknown = opened - self._foundings.keys()
        self._foundings |= dict.fromkeys(unknown) | await store.foundings(self.tx, unknown)
        return all(self._foundings[child] in (None, cabinet.files[child].founding) for child in opened)

    async def _load(self, keys: set[Hash]) -> None:
        """Everything that is needed, and what that needs in its turn, until nothing is missing or moved meanwhile."""
        while True:
            unread = self.records - self._looked_up
            if unread:
                await self._look_up(unread)
            wanted = (await run_in_thread(len(self.shown), self._keys_needed) | keys) - self._finds.keys()
            if wanted:
                self._finds |= {key: {} for key in wanted}
                for key, child, version in await store.find(self.tx, wanted):
                    self._finds[key][child] = version
                    self.children.add(child)
            missing = self.children - self._stored.keys() - self._nowhere
            if missing:
                found_files = await store.lock(self.tx, missing)
                self._stored |= found_files
                self._nowhere |= missing - found_files.keys()
                self.children |= {
                    one.file.absorbed_by for one in found_files.values() if one.file.absorbed_by is not None
                }
            if await run_in_thread(len(self._stored), self._forget_what_moved):
                continue
            self.whole |= await run_in_thread(len(self.shown), self._unclear)
            whole = (self.whole & self._stored.keys()) - self._whole
            if whole:
                self._members |= await store.records_of(self.tx, whole)
                self._whole |= whole
                came = {seat.finding for seat in self._members.values() if seat.finding is not None}
                self._told |= await store.told(self.tx, came - self._told.keys())
                if self.with_findings:
                    self._told |= await store.told_of(self.tx, (await store.absorbed(self.tx, whole)).keys())
                continue
            if not missing:
                return

    async def _look_up(self, records: set[UUID]) -> None:
        found = await store.records(self.tx, records)
        self._looked_up |= records
        self._records |= found
        self.children |= {one.seat.child for one in found.values()}

    def _keys_needed(self) -> set[Hash]:
        """Of records that are about to be read; of members without a number, whom their guardian's may draw away."""
        keys = {
            key for seat in self._members.values() if seat.evidence.number is None for key in seat.evidence.guardian_ids
        }
        for evidence in self.shown:
            stored = self._records.get(evidence.record)
            if stored is None:
                keys |= evidence.keys
            elif not _repeats(stored.seat.evidence, evidence):
                keys |= evidence.keys | stored.seat.evidence.keys
        return keys

    def _unclear(self) -> set[UUID]:
        """Files that a record may join, part or be asked about: all but the one that its number alone finds."""
        unclear: set[UUID] = set()
        for evidence in self.shown:
            stored = self._records.get(evidence.record)
            if stored is not None and _repeats(stored.seat.evidence, evidence):
                continue
            near = {child for key in evidence.keys for child in self._finds.get(key, ())}
            if stored is None and len(near) == 1 and evidence.number is not None and self._finds[evidence.number]:
                continue
            unclear |= near
            if stored is not None:
                unclear |= {child for key in stored.seat.evidence.keys for child in self._finds.get(key, ())}
                unclear.add(stored.seat.child)
        return unclear

    def _forget_what_moved(self) -> bool:
        """Read again what another transaction changed between our reading it and our locking it."""
        again = False
        for record, one in list(self._records.items()):
            locked = self._stored.get(one.seat.child)
            if locked is not None and locked.file.version != one.child_version:
                del self._records[record]
                self._looked_up.discard(record)
                again = True
        for key, found in list(self._finds.items()):
            for child, version in found.items():
                locked = self._stored.get(child)
                if locked is not None and locked.file.version != version:
                    del self._finds[key]
                    again = True
                    break
        return again

    async def _cabinet(self) -> Cabinet:
        seats = {record: one.seat for record, one in self._records.items()} | self._members
        asked = {child for child, one in self._stored.items() if one.file.asked}
        self._questions = await store.questions_of(self.tx, asked)
        holds = {seat.evidence.hold for seat in seats.values()} - {None}
        apart = await store.apart(self.tx, {hold for hold in holds if hold is not None})
        ends = await store.ends(self.tx)
        self._ends_before = dict(ends)
        self._apart_before = set(apart)
        return Cabinet(
            lane=self.lane,
            holder=holder_of(self.county),
            school_year=self.school_year,
            new_id=self.vault.new_id,
            numbers=ChildNumbers(self.county.code, self.vault.child_number),
            new_question_id=self.vault.new_question_id,
            alike=self._alike,
            cause=lambda n: str(self.heard(n).id),
            files={child: one.file for child, one in self._stored.items()},
            foundings={child: founding for child, founding in self._foundings.items() if founding is not None},
            nowhere=set(self._nowhere),
            seats=seats,
            finds={key: set(found) for key, found in self._finds.items()},
            questions=self.asked | self._questions,
            apart=apart,
            findings=dict(self._told),
            ends=ends,
        )

    def _alike(self, one: UUID, other: UUID) -> bool:
        clear = []
        for record in (one, other):
            if record not in self.clear and record not in self._names:
                raise Missing(names=(one, other))
            clear.append(self.clear.get(record) or self._names.get(record, ""))
        return names.alike(clear[0], clear[1])

    async def _name(self, wanted: Iterable[UUID]) -> None:
        """Clear names, for the few that only letters can compare."""
        found = await store.identities(self.tx, list(wanted))
        for record in wanted:
            stored = found.get(record)
            identity = self._read(stored) if stored is not None else {}
            self._names[record] = identity.get(IdentityField.NAME, "")

    def _read(self, stored: store.EncryptedIdentity) -> Identity:
        """What is stored of one record or finding; nothing if the child's key was destroyed."""
        key = self._key(stored.child)
        return {} if key is None else decrypt(key, stored.belongs_to, stored.identity)

    def _key(self, child: UUID) -> ChildKey | None:
        key = self._keys.get(child)
        if key is None:
            stored = self._stored.get(child)
            if stored is None or stored.wrapped is None:
                return None
            key = self._keys[child] = self.vault.key(child, stored.wrapped)
        return key

    def completed(self, cabinet: Cabinet) -> set[tuple[str, str, str]]:
        """(unit, dataset, period) of whole files whose end this batch brought to the last lane that had not had it."""
        return {
            (unit, dataset, end.period)
            for (unit, dataset, lane), end in cabinet.ends.items()
            if end != self._ends_before.get((unit, dataset, lane))
            and complete(cabinet.ends, unit, dataset, end.valid_on, self.partitions)
        }

    # ------------------------------------------------------------ save

    async def save(self, cabinet: Cabinet) -> dict[UUID, ChildFile]:
        """Put back what changed. Returns the files whose content is news, by child, in the order of their events."""
        news = await self._save_files(cabinet)
        await self._save_records(cabinet)
        await store.stand(self.tx, cabinet.keyed)
        await store.save_ends(
            self.tx, {place: end for place, end in cabinet.ends.items() if self._ends_before.get(place) != end}
        )
        await store.keep_apart(self.tx, cabinet.apart - self._apart_before)
        await self._save_findings(cabinet)
        await self._save_history(cabinet)
        return news

    async def _save_files(self, cabinet: Cabinet) -> dict[UUID, ChildFile]:
        new, changed, news = await run_in_thread(len(cabinet.touched), self._files, cabinet)
        if not await store.open_files(self.tx, new):
            raise RetryLater("another lane has just opened one of these files")
        await store.change_files(self.tx, changed)
        return news

    def _files(self, cabinet: Cabinet) -> tuple[list[ToSave], list[ToSave], dict[UUID, ChildFile]]:
        """New files, changed ones, and those of them whose content is news."""
        new: list[ToSave] = []
        changed: list[ToSave] = []
        news: dict[UUID, ChildFile] = {}
        order = sorted(cabinet.touched, key=lambda child: (cabinet.touched[child], child.bytes))
        for child in order:
            file = cabinet.files[child]
            stored = self._stored.get(child)
            digest = self._digest(file, cabinet.open_questions(child) if file.asked else 0)
            if stored is None or stored.said != digest:
                news[child] = file
            (changed if stored is not None else new).append(self._row(cabinet, file, digest))
        for child, file in cabinet.files.items():
            # Not an event of theirs, but what is watched about them changed.
            stored = self._stored.get(child)
            if child not in cabinet.touched and stored is not None and file.contested != stored.file.contested:
                changed.append(self._row(cabinet, file, stored.said))
        return new, changed, news

    def _row(self, cabinet: Cabinet, file: ChildFile, said: bytes | None) -> ToSave:
        residence = cabinet.laid(file.child).value(FactName.RESIDENCE_DIVISION)
        place = partition_of(str(file.child), self.partitions)
        return ToSave(file, place, None if residence is None else str(residence), said)

    def _digest(self, file: ChildFile, questions: int) -> bytes:
        """Of a snapshot's content. A claim that only grew younger is no news, unless its day is part of it."""
        laid = file.laid
        assert laid is not None
        known, silent = file.datasets
        content = [
            file.state,
            file.absorbed_by,
            file.absorbs,
            file.split_from,
            [
                (claim.name, claim.value, claim.unit, claim.dataset, chosen, claim.verified)
                for claim, chosen in laid.claims
            ],
            laid.days,
            known,
            silent,
            questions,
        ]
        # The database's UUIDs are a class of their own, which only `str` writes like any other.
        return self.vault.hash("snapshot", orjson.dumps(content, default=str).decode())

    async def _save_records(self, cabinet: Cabinet) -> None:
        before = {record: one.seat for record, one in self._records.items()} | self._members
        rekeyed = {
            record
            for record in cabinet.moved
            if record in before and before[record].child != cabinet.seats[record].child and record not in self.said
        }
        added_to = {record for record, said in self.said.items() if said.adds and record in self._records}
        stored = await store.identities(self.tx, rekeyed | added_to) if rekeyed or added_to else {}
        made: dict[UUID, bytes] = {}
        new, changed = await run_in_thread(len(self.said), self._encrypted, cabinet, stored, made)
        moved: list[tuple[UUID, Seat, bool, bytes | None]] = []
        for record in sorted(cabinet.moved - self.said.keys(), key=lambda one: one.bytes):
            seat = cabinet.seats[record]
            again = None
            if record in stored:
                identity = self._read(stored[record])
                if identity:
                    again = encrypt(self._key_for(seat.child, made), record, identity)
            moved.append((record, seat, record in rekeyed, again))
        await store.new_keys(self.tx, made)
        if not await store.new_records(self.tx, new):
            raise RetryLater("another lane has just read one of these records")
        await store.change_records(self.tx, changed)
        await store.move_records(self.tx, moved)
        await store.read_again(
            self.tx, [(record, cabinet.seats[record].recorded_at, max(days)) for record, days in self.same.items()]
        )

    def _encrypted(
        self, cabinet: Cabinet, stored: Mapping[UUID, store.EncryptedIdentity], made: dict[UUID, bytes]
    ) -> tuple[list[store.RecordToSave], list[store.RecordToSave]]:
        """New records and changed ones, each under its child's key."""
        new: list[store.RecordToSave] = []
        changed: list[store.RecordToSave] = []
        for record, said in self.said.items():
            seat = cabinet.seats[record]
            before_it = stored.get(record) if said.adds else None
            identity, valid_on = said.over(
                {} if before_it is None else self._read(before_it), None if before_it is None else before_it.valid_on
            )
            encrypted = encrypt(self._key_for(seat.child, made), record, identity)
            row = store.RecordToSave(record, seat, valid_on, said.department, encrypted)
            (changed if record in self._records else new).append(row)
        return new, changed

    def _key_for(self, child: UUID, made: dict[UUID, bytes]) -> ChildKey:
        key = self._key(child)
        if key is None:
            key = self._keys[child] = self.vault.new_key(child)
            made[child] = key.wrapped
        return key

    async def _save_findings(self, cabinet: Cabinet) -> None:
        moved = {
            finding: told.child
            for finding, told in cabinet.findings.items()
            if finding in self._told and self._told[finding].child != told.child
        }
        if not moved:
            return
        stored = await store.finding_identities(self.tx, moved)
        wanted = {one.child for one in stored.values()} | set(moved.values())
        wrapped = await store.keys(self.tx, wanted)
        self._keys |= {child: self.vault.key(child, key) for child, key in wrapped.items() if child not in self._keys}
        made: dict[UUID, bytes] = {}
        rows: list[tuple[UUID, UUID, bytes | None]] = []
        for finding, child in sorted(moved.items()):
            encrypted = None
            found = stored.get(finding)
            if found is not None and found.child in self._keys:
                identity = decrypt(self._keys[found.child], finding, found.identity)
                encrypted = encrypt(self._key_for(child, made), finding, identity)
            rows.append((finding, child, encrypted))
        await store.new_keys(self.tx, made)
        await store.move_findings(self.tx, rows)

    async def _save_history(self, cabinet: Cabinet) -> None:
        """Questions, who answered them, and which records went from file to file."""
        asked_on: dict[UUID, date] = {}
        answers: dict[UUID, tuple[date, str, str]] = {}
        handed: list[tuple[object, ...]] = []
        for n, outcome in cabinet.outcomes:
            match outcome:
                case Asked(question):
                    asked_on.setdefault(question.question, self.heard(n).on)
                case Settled(settled, _, _, _, by):
                    asked_on.setdefault(settled, self.heard(n).on if by is None else by.on)
                    if by is not None:
                        answers[settled] = (by.on, by.unit, by.role)
                case HandedOver(child, origin, reason, _, records, by):
                    who = (self.heard(n).on, None, None) if by is None else (by.on, by.unit, by.role)
                    handed.append((self.heard(n).id, child, origin, reason, list(records), *who))
        changed = [one for one in cabinet.questions.values() if self._questions.get(one.question) != one]
        await store.save_questions(
            self.tx,
            # The day counts for those only that are new; each of them was asked or settled here.
            [(one, asked_on.get(one.question, date.min)) for one in changed],
            self.county.lead_unit,
        )
        await store.settled(self.tx, answers)
        await store.hand_over(self.tx, handed)


def _repeats(before: Evidence, now: Evidence) -> bool:
    """A record shows nothing that it did not show before."""
    return (
        now.birth_date == before.birth_date
        and now.number in (None, before.number)
        and now.names <= before.names
        and now.forms <= before.forms
        and now.guardian_ids <= before.guardian_ids
        and now.phones <= before.phones
        and now.pairs <= before.pairs
    )
