"""Decides link, review or non-link for two records, by the ladder of policy part 5.4, and clusters records.

1. The same valid ID number links.
2. Where one side has no number, the same name, birth date and guardian's ID number link.
3. A confusable name, the birth date, and the guardian's name or a phone lead to a clerical review.
4. Anything weaker is a non-link. Two different valid numbers never link, and are reviewed only if the exact name, the
   birth date and the guardian agree.

Missing evidence is a level of its own: it neither agrees nor disagrees. Keyed hashes are compared, which do not show
whose they are. The clusters are a function of the records and of persons' decisions, whatever their order.
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
CannotLink = frozenset[UUID]
"""Two must-link groups that a person decided are different children."""

NOTHING: frozenset[Hash] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source record shows of a child's identity, as keyed hashes.

    All values that the record ever had are kept, except for ID number and birth date. ``guardian_ids``, ``phones`` and
    ``pairs`` are hashed together with the birth date, so that they only find children born on that day.
    """

    record: UUID
    birth_date: date | None
    number: Hash | None = None
    """The child's valid ID number."""
    names: frozenset[Hash] = NOTHING
    forms: frozenset[Hash] = NOTHING
    """Sound and shape of the names, which confusable names share."""
    guardian_ids: frozenset[Hash] = NOTHING
    phones: frozenset[Hash] = NOTHING
    pairs: frozenset[Hash] = NOTHING
    """A form of the child's name together with the sound of a guardian's."""
    unmatchable: bool = False
    """The name lost a character, is long or is not Chinese, so that its forms do not decide."""
    must_link: UUID | None = None
    """Must-link group: a person decided that all records of the group belong to one child."""

    @property
    def linking_keys(self) -> frozenset[Hash]:
        """Blocking keys of records that may link without a review."""
        return self.guardian_ids if self.number is None else self.guardian_ids | {self.number}

    @property
    def blocking_keys(self) -> frozenset[Hash]:
        """Blocking keys of all records that may be compared."""
        return self.linking_keys | self.phones | self.pairs


class Agreement(Enum):
    SAME = "same"
    DIFFERENT = "different"
    MISSING = "missing"


class MatchDecision(Enum):
    LINK = "link"
    REVIEW = "review"
    NON_LINK = "non_link"


@dataclass(frozen=True, slots=True)
class Match:
    """The decision for two records, with the codes of ``registry.ReviewRequested``."""

    decision: MatchDecision
    evidence: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


NON_LINK = Match(MatchDecision.NON_LINK)

Similar = Callable[[UUID, UUID], bool]
"""Returns whether the plain names of two records may be confused; called only if one of them is unmatchable."""


def never_similar(one: UUID, other: UUID) -> bool:
    return False


def compare(one: Evidence, other: Evidence, similar: Similar = never_similar) -> Match:
    """Apply the ladder to two records. Symmetrical if ``similar`` is."""
    if one.birth_date is None or one.birth_date != other.birth_date:
        return NON_LINK
    numbers = agreement(one.number, other.number)
    if numbers is Agreement.SAME:
        return Match(MatchDecision.LINK, ("same_number", "same_birth_date"))
    same_name = not one.names.isdisjoint(other.names)
    if not same_name and not _confusable(one, other, similar):
        return NON_LINK
    codes = ["same_name" if same_name else "similar_name", "same_birth_date"]
    guardian_id = not one.guardian_ids.isdisjoint(other.guardian_ids)
    guardian_name = not one.pairs.isdisjoint(other.pairs)
    phone = not one.phones.isdisjoint(other.phones)
    codes += [
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
            return Match(MatchDecision.REVIEW, tuple(codes), (TWO_NUMBERS,))
        return NON_LINK
    if same_name and guardian_id:
        return Match(MatchDecision.LINK, tuple(codes))
    if guardian_id or guardian_name or phone:
        return Match(MatchDecision.REVIEW, tuple(codes))
    return NON_LINK


T = TypeVar("T")


def agreement(one: T | None, other: T | None) -> Agreement:
    """Compare two values; one that is missing neither agrees nor disagrees."""
    if one is None or other is None:
        return Agreement.MISSING
    return Agreement.SAME if one == other else Agreement.DIFFERENT


def _confusable(one: Evidence, other: Evidence, similar: Similar) -> bool:
    if not one.forms.isdisjoint(other.forms):
        return True
    return (one.unmatchable or other.unmatchable) and similar(one.record, other.record)


def accumulated(before: Evidence, now: Evidence) -> Evidence:
    """Return a record's new evidence together with what it showed before.

    A row that leaves out its ID number, or has a new phone, does not retract the former ones. A row whose ID number or
    birth date changes does: it is about another child, or is corrected, so that its former evidence and a person's
    decisions about it no longer apply.
    """
    if _contradicts(before, now):
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
        unmatchable=now.unmatchable or before.unmatchable,
        must_link=before.must_link,
    )


def _contradicts(before: Evidence, now: Evidence) -> bool:
    return (
        agreement(before.birth_date, now.birth_date) is Agreement.DIFFERENT
        or agreement(before.number, now.number) is Agreement.DIFFERENT
    )


@dataclass(slots=True)
class _Group:
    records: list[UUID]
    numbers: set[Hash] = field(default_factory=set)
    must_links: set[UUID] = field(default_factory=set)


def cluster(records: Collection[Evidence], cannot_link: Collection[CannotLink]) -> list[frozenset[UUID]]:
    """Cluster records: the same result for the same records and decisions, in whatever order they came.

    Records of a must-link group stay together. Then equal ID numbers link, then records without a number link to one
    that has it, then to one another. A record without a number that fits two different numbers goes to the one with
    the smaller hash: arbitrary, but the same in every order, and the two files are reviewed anyway.
    """
    by_id = {evidence.record: evidence for evidence in sorted(records, key=lambda evidence: evidence.record.bytes)}
    groups = {record: _Group([record]) for record in by_id}
    for record, evidence in by_id.items():
        if evidence.number is not None:
            groups[record].numbers.add(evidence.number)
        if evidence.must_link is not None:
            groups[record].must_links.add(evidence.must_link)
    for left, right in _links_by_strength(by_id):
        one, other = groups[left], groups[right]
        if one is other or not _may_link(one, other, by_id[left], by_id[right], cannot_link):
            continue
        one.records += other.records
        one.numbers |= other.numbers
        one.must_links |= other.must_links
        for record in other.records:
            groups[record] = one
    clusters = {id(group): frozenset(group.records) for group in groups.values()}
    return sorted(clusters.values(), key=lambda group: min(record.bytes for record in group))


def _may_link(one: _Group, other: _Group, left: Evidence, right: Evidence, cannot_link: Collection[CannotLink]) -> bool:
    if left.must_link is not None and left.must_link == right.must_link:
        return True
    if cannot_link and any(frozenset((a, b)) in cannot_link for a in one.must_links for b in other.must_links):
        return False
    return not one.numbers or not other.numbers or not one.numbers.isdisjoint(other.numbers)


def _links_by_strength(by_id: Mapping[UUID, Evidence]) -> Iterable[tuple[UUID, UUID]]:
    """Yield pairs that link, strongest first, in an order that depends only on their content."""
    held: dict[UUID, UUID] = {}
    numbered: dict[Hash, list[UUID]] = {}
    guarded: dict[Hash, list[UUID]] = {}
    # Must-link groups come first: if a person separated two holders of one number, the rest follows one of them.
    for evidence in sorted(by_id.values(), key=lambda evidence: (evidence.must_link is None, evidence.record.bytes)):
        if evidence.must_link is not None:
            yield held.setdefault(evidence.must_link, evidence.record), evidence.record
        if evidence.number is not None:
            numbered.setdefault(evidence.number, []).append(evidence.record)
        for guardian in evidence.guardian_ids:
            guarded.setdefault(guardian, []).append(evidence.record)
    for number in sorted(numbered):
        yield from combinations(numbered[number], 2)
    ranked: dict[tuple[UUID, UUID], tuple[bool, Hash, bytes, bytes]] = {}
    for records_of_guardian in guarded.values():
        for left, right in combinations(sorted(records_of_guardian, key=lambda record: record.bytes), 2):
            one, other = by_id[left], by_id[right]
            if one.number is None or other.number is None:
                if compare(one, other).decision is MatchDecision.LINK:
                    number = one.number or other.number or b""
                    ranked[left, right] = (not number, number, left.bytes, right.bytes)
    yield from sorted(ranked, key=lambda pair: ranked[pair])
