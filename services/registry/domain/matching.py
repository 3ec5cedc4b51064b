"""Same child, different child, or ask a person: the ladder of policy part 5.4.

1. the same valid ID number joins;
2. a number missing on one side: the same name, birth date and guardian's ID number join;
3. a name that may be confused, the birth date, and the guardian's name or a phone: a person is asked;
4. everything weaker stays apart. Two different valid numbers never join; a person is asked only where the very
   same name, the birth date and the guardian agree.

Missing evidence is a level of its own: it neither agrees nor disagrees. What is compared are keyed hashes; whoever
holds one cannot tell whose it is. Who belongs together is a function of the records and of what persons decided,
whatever the order in which they came (``arrange``).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from itertools import combinations
from typing import TypeVar
from uuid import UUID

Hash = bytes
TWO_NUMBERS = "two_valid_numbers"
Holds = frozenset[UUID]
"""Two holds that a person keeps apart."""

NOTHING: frozenset[Hash] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source record says of who the child is, as keyed hashes; all it ever said, except number and birth.

    ``guardian_ids``, ``phones`` and ``pairs`` are hashed together with the birth date, so that they find only
    children born on that day.
    """

    record: UUID
    birth_date: date | None
    number: Hash | None = None
    """The child's valid ID number."""
    names: frozenset[Hash] = NOTHING
    forms: frozenset[Hash] = NOTHING
    """Sound and shape of the names: what confusable names share."""
    guardian_ids: frozenset[Hash] = NOTHING
    phones: frozenset[Hash] = NOTHING
    pairs: frozenset[Hash] = NOTHING
    """A form of the child's name together with the sound of a guardian's."""
    odd: bool = False
    """The name has lost a character, is long or not Chinese: its forms do not settle it."""
    hold: UUID | None = None
    """A person's decision that keeps this record together with all others of the same hold."""

    @property
    def joining(self) -> frozenset[Hash]:
        """Keys under which records are found that may be joined without asking."""
        return self.guardian_ids if self.number is None else self.guardian_ids | {self.number}

    @property
    def keys(self) -> frozenset[Hash]:
        """Keys under which every record is found that may be compared at all."""
        return self.joining | self.phones | self.pairs


class Agreement(Enum):
    SAME = "same"
    DIFFERENT = "different"
    MISSING = "missing"


class Verdict(Enum):
    JOIN = "join"
    ASK = "ask"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Match:
    """What two records show together. Codes as in ``registry.ReviewRequested``."""

    verdict: Verdict
    evidence: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


APART = Match(Verdict.APART)

Alike = Callable[[UUID, UUID], bool]
"""Whether the clear names of two records may be confused; asked only where one of them is odd."""


def never_alike(one: UUID, other: UUID) -> bool:
    return False


def compare(one: Evidence, other: Evidence, alike: Alike = never_alike) -> Match:
    """The ladder for two records. Symmetrical if ``alike`` is."""
    if one.birth_date is None or one.birth_date != other.birth_date:
        return APART
    numbers = agreement(one.number, other.number)
    if numbers is Agreement.SAME:
        return Match(Verdict.JOIN, ("same_number", "same_birth_date"))
    same_name = not one.names.isdisjoint(other.names)
    if not same_name and not _confusable(one, other, alike):
        return APART
    found = ["same_name" if same_name else "similar_name", "same_birth_date"]
    guardian_id = not one.guardian_ids.isdisjoint(other.guardian_ids)
    guardian_name = not one.pairs.isdisjoint(other.pairs)
    phone = not one.phones.isdisjoint(other.phones)
    found += [
        code
        for code, agrees in (
            ("same_guardian_number", guardian_id),
            ("same_guardian_name", guardian_name),
            ("same_phone", phone),
        )
        if agrees
    ]
    if numbers is Agreement.DIFFERENT:
        if same_name and (guardian_id or guardian_name):
            return Match(Verdict.ASK, tuple(found), (TWO_NUMBERS,))
        return APART
    if same_name and guardian_id:
        return Match(Verdict.JOIN, tuple(found))
    if guardian_id or guardian_name or phone:
        return Match(Verdict.ASK, tuple(found))
    return APART


T = TypeVar("T")


def agreement(one: T | None, other: T | None) -> Agreement:
    """Missing on either side is neither agreement nor disagreement."""
    if one is None or other is None:
        return Agreement.MISSING
    return Agreement.SAME if one == other else Agreement.DIFFERENT


def _confusable(one: Evidence, other: Evidence, alike: Alike) -> bool:
    if not one.forms.isdisjoint(other.forms):
        return True
    return (one.odd or other.odd) and alike(one.record, other.record)


def remembered(before: Evidence, now: Evidence) -> Evidence:
    """What a record says now, together with what it said before.

    A row that leaves out its number this time, or gives a new telephone, has not taken back what it said. A row whose
    number or birth date changes has: it speaks of somebody else, or corrects itself, and starts anew, free of what a
    person decided about its former content.
    """
    if _starts_anew(before, now):
        return now
    return replace(
        now,
        birth_date=now.birth_date or before.birth_date,
        number=now.number or before.number,
        names=now.names | before.names,
        forms=now.forms | before.forms,
        guardian_ids=now.guardian_ids | before.guardian_ids,
        phones=now.phones | before.phones,
        pairs=now.pairs | before.pairs,
        odd=now.odd or before.odd,
        hold=before.hold,
    )


def _starts_anew(before: Evidence, now: Evidence) -> bool:
    return (
        agreement(before.birth_date, now.birth_date) is Agreement.DIFFERENT
        or agreement(before.number, now.number) is Agreement.DIFFERENT
    )


@dataclass(slots=True)
class _Group:
    records: list[UUID]
    numbers: set[Hash] = field(default_factory=set)
    holds: set[UUID] = field(default_factory=set)


def arrange(records: Collection[Evidence], apart: Collection[Holds]) -> list[frozenset[UUID]]:
    """Who belongs together: the same answer for the same records and decisions, in whatever order they came.

    Held records stay together. Then equal numbers join, then records without a number join one that has it, then
    one another. A record without number that would fit two different numbers goes to the one with the smaller hash:
    arbitrary, but the same in every order; the two files are a question for a person anyway.
    """
    by_id = {one.record: one for one in sorted(records, key=lambda one: one.record.bytes)}
    groups = {record: _Group([record]) for record in by_id}
    for record, evidence in by_id.items():
        if evidence.number is not None:
            groups[record].numbers.add(evidence.number)
        if evidence.hold is not None:
            groups[record].holds.add(evidence.hold)
    for left, right in _links(by_id):
        one, other = groups[left], groups[right]
        if one is other or not _may_join(one, other, by_id[left], by_id[right], apart):
            continue
        one.records += other.records
        one.numbers |= other.numbers
        one.holds |= other.holds
        for record in other.records:
            groups[record] = one
    found = {id(group): frozenset(group.records) for group in groups.values()}
    return sorted(found.values(), key=lambda group: min(record.bytes for record in group))


def _may_join(one: _Group, other: _Group, left: Evidence, right: Evidence, apart: Collection[Holds]) -> bool:
    if left.hold is not None and left.hold == right.hold:
        return True
    if apart and any(frozenset((a, b)) in apart for a in one.holds for b in other.holds):
        return False
    return not one.numbers or not other.numbers or not one.numbers.isdisjoint(other.numbers)


def _links(by_id: Mapping[UUID, Evidence]) -> Iterable[tuple[UUID, UUID]]:
    """Pairs that join, strongest first, in an order that depends on nothing but their content."""
    held: dict[UUID, UUID] = {}
    numbered: dict[Hash, list[UUID]] = {}
    guarded: dict[Hash, list[UUID]] = {}
    # Held records first: where a person keeps two holders of one number apart, the rest follows one of them.
    for one in sorted(by_id.values(), key=lambda one: (one.hold is None, one.record.bytes)):
        if one.hold is not None:
            yield held.setdefault(one.hold, one.record), one.record
        if one.number is not None:
            numbered.setdefault(one.number, []).append(one.record)
        for guardian in one.guardian_ids:
            guarded.setdefault(guardian, []).append(one.record)
    for number in sorted(numbered):
        yield from combinations(numbered[number], 2)
    ranked: dict[tuple[UUID, UUID], tuple[bool, Hash, bytes, bytes]] = {}
    for found in guarded.values():
        for left, right in combinations(sorted(found, key=lambda record: record.bytes), 2):
            one, other = by_id[left], by_id[right]
            if one.number is None or other.number is None:
                if compare(one, other).verdict is Verdict.JOIN:
                    number = one.number or other.number or b""
                    ranked[left, right] = (not number, number, left.bytes, right.bytes)
    yield from sorted(ranked, key=lambda pair: ranked[pair])
