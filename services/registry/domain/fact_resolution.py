"""Resolves the claims of all departments about one child: newer validity wins, and conflicts are kept.

The current facts do not depend on the order in which departments arrived. A claim's validity is the day that it is
about; ties are broken by: verified on the spot by a named person, rank of the unit for the fact, unit, dataset, record.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple
from uuid import UUID

from contracts.vocabulary import SCHOOL_YEAR_FACTS, FactName

Value = bool | int | str
Holder = Callable[[FactName, str], int]
"""Returns the rank of a unit for a fact: 0 is its authority, larger numbers know it at second hand."""
SchoolYear = Callable[[date], int]
"""The calendar year in which the school year of a day began."""

VERIFY = "verify"
"""The dataset of verifications by a named person on the spot."""
FINDING = "finding"
"""The dataset of identities that were reported with a person's finding."""
INTERNAL = frozenset({VERIFY, FINDING})
"""Datasets of no department; they do not put a child on file."""

_DIVISIONS = frozenset({FactName.HUKOU_DIVISION, FactName.RESIDENCE_DIVISION, FactName.INSURED_DIVISION})
_OWN_EVENTS = frozenset(
    {
        FactName.RESIDENCE_SINCE,
        FactName.RESIDENCE_PERMIT_SIGNED,
        FactName.SCHOOL_SINCE,
        FactName.HEALTH_LAST_CHECK,
    }
)
"""Dates of each department's own event (a registration, an entry, a check): different ones are no conflict."""
_SCHOOL_YEARS = 12
"""School facts that were not reported for this many school years no longer depend on the end of a file."""


@dataclass(frozen=True, slots=True)
class FactVersion:
    """Facts of one record that are valid from the same day."""

    valid_on: date
    period: str | None
    recorded_on: date
    facts: Mapping[FactName, Value]


@dataclass(frozen=True, slots=True)
class Source:
    """One source record with its facts, the newest version first. No fact is in two versions."""

    record: UUID
    unit: str
    dataset: str
    partition: int
    """Partition of the record topic on which it last arrived.

    A record's key is its birth date, or the record itself if that is unknown: a corrected date may move it to another
    partition, and a child whose records were read with different dates (or none), or whose files were merged, has
    sources of several. Each source is dated by the ends of its own partition.
    """
    ends_seen: int
    """How many whole files of its dataset had ended in its partition when it was last updated."""
    silent: bool
    """The latest whole file no longer contains it."""
    versions: tuple[FactVersion, ...]
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The last whole file of a dataset that ended in one partition.

    The end of a file arrives once on every partition of the record topic, after the file's records of that partition:
    one input partition of intake wrote them all, because a unit's topic has one partition. It therefore concerns the
    records of its own partition alone, and the file is complete in the registry when every partition has its end.
    """

    number: int
    """How many have ended there. The same file has the same number in every partition."""
    period: str
    valid_on: date


FileEnds = Mapping[tuple[str, str, int], FileEnd]
"""By unit, dataset and partition."""


def is_complete(ends: FileEnds, unit: str, dataset: str, valid_on: date, partitions: int) -> bool:
    """Return whether the whole file of this day, or a later one, has ended in every partition."""
    file_ends = [ends.get((unit, dataset, partition)) for partition in range(partitions)]
    return all(end is not None and end.valid_on >= valid_on for end in file_ends)


class Claim(NamedTuple):
    """One fact as one source claims it."""

    name: FactName
    value: Value
    unit: str
    dataset: str
    period: str | None
    valid_on: date
    recorded_on: date
    verified: bool
    record: UUID


@dataclass(frozen=True, slots=True)
class ResolvedFacts:
    """The resolved facts of a file."""

    claims: tuple[tuple[Claim, bool], ...]
    """The current claim of each fact (True) and the best claim of every other value, by name of the fact."""
    conflicts: tuple[tuple[FactName, tuple[str, ...]], ...]
    """Facts for which two units claim different values in the same half-year, and those units."""
    dependency_keys: tuple[str, ...]
    """Sources whose newer validity could change the current facts or their dates: ``unit dataset partition``, followed
    by the school year for facts of a school year."""
    days: tuple[tuple[FactName, str], ...] = ()
    """Dates of current facts, where the date is part of the fact."""

    @property
    def current(self) -> dict[FactName, Value]:
        return {claim.name: claim.value for claim, chosen in self.claims if chosen}

    def value(self, name: FactName) -> Value | None:
        """Return the current value of one fact."""
        for claim, chosen in self.claims:
            if chosen and claim.name == name:
                return claim.value
        return None


def source_key(unit: str, dataset: str, partition: int) -> str:
    return f"{unit} {dataset} {partition}"


def keys_affected_by(
    unit: str, dataset: str, partition: int, valid_on: date, school_year: SchoolYear
) -> frozenset[str]:
    """Return the dependency keys of files that the end of a whole file of this day may change."""
    key = source_key(unit, dataset, partition)
    year = school_year(valid_on)
    return frozenset((key, *(f"{key} {year - ago}" for ago in range(1, _SCHOOL_YEARS + 1))))


def as_of(source: Source, ends: FileEnds) -> tuple[FactVersion, ...]:
    """Return a source's versions, dated by the last whole file that still contained the record.

    Rows that did not change cost nothing: the end of their file makes every record that did not disappear valid for
    the new period.
    """
    end = ends.get((source.unit, source.dataset, source.partition))
    if end is None or source.silent or end.number <= source.ends_seen:
        return source.versions
    if all(version.valid_on >= end.valid_on for version in source.versions):
        return source.versions
    return _newest_only(
        replace(version, valid_on=end.valid_on, period=end.period) if version.valid_on < end.valid_on else version
        for version in source.versions
    )


def with_row(source: Source, version: FactVersion, ends: FileEnds, *, full_file: bool) -> Source:
    """Return the source after its record was read again.

    A row of a whole file replaces: facts of the same or an older day that it leaves out are no longer claimed.
    A single row only adds facts.
    """
    kept = as_of(source, ends)
    if full_file:
        kept = tuple(old for old in kept if old.valid_on > version.valid_on)
    return _refreshed(source, ends, _newest_only((version, *kept)), silent=False)


def no_longer_reported(source: Source, ends: FileEnds, period: str) -> Source:
    """Return the source after a whole file no longer contained its record; its facts keep their dates."""
    end = ends.get((source.unit, source.dataset, source.partition))
    versions = source.versions if end is not None and end.period == period else as_of(source, ends)
    return _refreshed(source, ends, versions, silent=True)


def _refreshed(source: Source, ends: FileEnds, versions: tuple[FactVersion, ...], *, silent: bool) -> Source:
    record, unit, dataset, partition = source.record, source.unit, source.dataset, source.partition
    end = ends.get((unit, dataset, partition))
    # Positional arguments: this runs for every row.
    return Source(record, unit, dataset, partition, 0 if end is None else end.number, silent, versions, source.finding)


def _newest_only(versions: Iterable[FactVersion]) -> tuple[FactVersion, ...]:
    """Sort versions, newest first and otherwise in the given order, and keep each fact in its newest version only."""
    names: set[FactName] = set()
    tidy: list[FactVersion] = []
    for version in sorted(versions, key=lambda version: version.valid_on, reverse=True):
        if names.isdisjoint(version.facts):
            left = version
        else:
            left = replace(version, facts={name: value for name, value in version.facts.items() if name not in names})
        if left.facts:
            names.update(left.facts)
            tidy.append(left)
    return tuple(tidy)


def resolve(sources: Collection[Source], ends: FileEnds, holder: Holder, school_year: SchoolYear) -> ResolvedFacts:
    """Return the current facts, the conflicts between them, and the sources that could change them."""
    by_name: dict[FactName, list[Claim]] = {}
    by_record = {source.record: source for source in sources}
    for source in sources:
        verified = source.dataset == VERIFY
        for version in as_of(source, ends):
            # Positional arguments: this is the registry's innermost loop.
            more = (
                source.unit,
                source.dataset,
                version.period,
                version.valid_on,
                version.recorded_on,
                verified,
                source.record,
            )
            for name, value in version.facts.items():
                claim = Claim(name, value, *more)
                claims_of_name = by_name.get(name)
                if claims_of_name is None:
                    by_name[name] = [claim]
                else:
                    claims_of_name.append(claim)
    claims: list[tuple[Claim, bool]] = []
    contested: set[str] = set()
    contradictions: list[tuple[FactName, tuple[str, ...]]] = []
    stays = by_name.pop(FactName.RESIDENCE_SINCE, None)
    for name in sorted(by_name):
        claims_of_fact = by_name[name]
        if len(claims_of_fact) == 1:
            claims.append((claims_of_fact[0], True))
            continue
        value = claims_of_fact[0].value
        if all(claim.value == value for claim in claims_of_fact):
            claims.append((max(claims_of_fact, key=lambda claim: _rank(claim, holder)), True))
            continue
        claims_of_fact.sort(key=lambda claim: _rank(claim, holder), reverse=True)
        claims += _current_and_rivals(claims_of_fact)
        contested.update(_key_of(by_record[claim.record]) for claim in claims_of_fact)
        units = _conflicting_units(name, [claim for claim in claims_of_fact if not by_record[claim.record].silent])
        if units:
            contradictions.append((name, units))
    if stays:
        stays.sort(key=lambda claim: _rank(claim, holder), reverse=True)
        claims += _residence_claims(stays, claims, by_name)
        claims.sort(key=lambda rival: rival[0].name)
        # A date that is in the future for its source may be in the past once the source is valid for a later day.
        contested.update(
            _key_of(by_record[claim.record]) for claim in stays if str(claim.value) > claim.valid_on.isoformat()
        )
    for name in SCHOOL_YEAR_FACTS & by_name.keys():
        contested.update(
            f"{_key_of(source)} {school_year(claim.valid_on)}"
            for claim in by_name[name]
            if not (source := by_record[claim.record]).silent
        )
    if FactName.GUARDIAN_STATUS in by_name:
        # The status of the guardian is weighed against what was claimed before and after it.
        days = [(claim.name, claim.valid_on.isoformat()) for claim, chosen in claims if chosen]
        contested.update(map(_key_of, sources))
    else:
        days = [
            (claim.name, str(school_year(claim.valid_on)))
            for claim, chosen in claims
            if chosen and claim.name in SCHOOL_YEAR_FACTS
        ]
    return ResolvedFacts(tuple(claims), tuple(contradictions), tuple(sorted(contested)), tuple(days))


def _key_of(source: Source) -> str:
    return source_key(source.unit, source.dataset, source.partition)


def _rank(claim: Claim, holder: Holder) -> tuple[object, ...]:
    return (
        claim.valid_on,
        claim.verified,
        -holder(claim.name, claim.unit),
        claim.unit,
        claim.dataset,
        claim.record.int,
    )


def _current_and_rivals(ranked: list[Claim]) -> list[tuple[Claim, bool]]:
    """Return the best claim as current, and the best claim of every other value."""
    travelling = [(ranked[0], True)]
    seen = [ranked[0].value]
    for claim in ranked[1:]:
        if claim.value not in seen:
            seen.append(claim.value)
            travelling.append((claim, False))
    return travelling


def _conflicting_units(name: FactName, claims_of_fact: list[Claim]) -> tuple[str, ...]:
    """Return the units that claim different values for the same half-year."""
    if name in _OWN_EVENTS:
        return ()
    units: set[str] = set()
    for at, one in enumerate(claims_of_fact):
        for other in claims_of_fact[at + 1 :]:
            if one.unit == other.unit or _half_year(one.valid_on) != _half_year(other.valid_on):
                continue
            if not _agree(name, one.value, other.value):
                units |= {one.unit, other.unit}
    return tuple(sorted(units))


def _half_year(day: date) -> tuple[int, int]:
    return day.year, (day.month - 1) // 6


def _agree(name: FactName, one: Value, other: Value) -> bool:
    if name in _DIVISIONS and isinstance(one, str) and isinstance(other, str):
        short, long = sorted((_place(one), _place(other)), key=len)
        return long.startswith(short)
    return one == other


def _place(division: str) -> str:
    """Return a division's code without padding zeros: county 6, township 9, village 12 digits."""
    for length in (9, 6):
        if len(division) > length and not division[length:].strip("0"):
            division = division[:length]
    return division


def _residence_claims(
    claims_of_fact: list[Claim], claims: list[tuple[Claim, bool]], by_name: Mapping[FactName, list[Claim]]
) -> list[tuple[Claim, bool]]:
    """Return every credible claim of when the present residence began; the earliest is current (policy part 3.1).

    A claim is credible if its date lies between birth and the day that the claim is about. It concerns the present
    residence if its record places the child in the county where the child now lives, or names no place; if a stay has
    ended and another claim begins after that, only later claims count.
    """
    chosen = {claim.name: claim for claim, is_current in claims if is_current}
    born = chosen.get(FactName.BIRTH_DATE)
    home = chosen.get(FactName.RESIDENCE_DIVISION)
    homes = {claim.record: claim.value for claim in by_name.get(FactName.RESIDENCE_DIVISION, ())}
    by_claim: dict[tuple[str, str, str], tuple[date, Claim]] = {}
    for claim in claims_of_fact:
        since = _day(claim.value)
        if since is None or since > claim.valid_on:
            continue
        if born is not None and str(claim.value) < str(born.value):
            continue
        place = homes.get(claim.record)
        if place is not None and home is not None and str(place)[:6] != str(home.value)[:6]:
            continue
        by_claim.setdefault((str(claim.value), claim.unit, claim.dataset), (since, claim))
    credible = list(by_claim.values())
    ends = [day for claim in by_name.get(FactName.RESIDENCE_ENDED, ()) if (day := _day(claim.value)) is not None]
    for end in sorted(ends, reverse=True):
        later = [dated for dated in credible if dated[0] > end]
        if later:
            credible = later
            break
    if not credible:
        return []
    # Claims are sorted by rank, so that of several with the same first day the best one is current.
    first = min(credible, key=lambda dated: dated[0])
    return [(claim, claim is first[1]) for _, claim in credible]


def _day(value: Value) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
