"""Lays what every department said over one child's file: newer validity wins, contradictions are kept.

What stands does not depend on the order in which departments arrived. A claim's validity is the day it speaks of;
ties are settled by: seen on the spot by a named person, who holds the fact in this county, unit, dataset, record.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple
from uuid import UUID

from contracts.vocabulary import SCHOOL_YEAR_FACTS, FactName

Value = bool | int | str
Holder = Callable[[FactName, str], int]
"""Rank of a unit for a fact: 0 holds it, larger numbers know it by hearsay."""
SchoolYear = Callable[[date], int]
"""The calendar year in which the school year of a day began."""

VERIFY = "verify"
"""The dataset of what a named person saw on the spot."""
FINDING = "finding"
"""The dataset of identities that came with a person's finding."""
INTERNAL = frozenset({VERIFY, FINDING})
"""No department's dataset: they do not count among those who know the child."""

_DIVISIONS = frozenset({FactName.HUKOU_DIVISION, FactName.RESIDENCE_DIVISION, FactName.INSURED_DIVISION})
_OWN_EVENTS = frozenset(
    {
        FactName.RESIDENCE_SINCE,
        FactName.RESIDENCE_PERMIT_SIGNED,
        FactName.SCHOOL_SINCE,
        FactName.HEALTH_LAST_CHECK,
    }
)
"""Dates of each department's own event (a registration, an entry, a check): different ones contradict nobody."""
_SCHOOL_YEARS = 12
"""No school fact that nobody has said again for so long is watched any more."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Facts of one record that hold from the same day."""

    valid_on: date
    period: str | None
    recorded_on: date
    facts: Mapping[FactName, Value]


@dataclass(frozen=True, slots=True)
class Source:
    """One source record: what it says, the newest layer first. No fact stands in two layers."""

    record: UUID
    unit: str
    dataset: str
    lane: int
    """Partition of the record topic that last brought it. A record's key is its birth date, or the record itself where
    that is unknown: a corrected date may bring it on another partition, and a child whose records were read with
    different dates (or none), or whose files were merged, has sources of several. Each is dated by the ends of its own.
    """
    ended: int
    """How many whole files of its dataset had ended in its lane when it was last heard."""
    silent: bool
    """The last whole file did not have it any more."""
    layers: tuple[Layer, ...]
    finding: UUID | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The last whole file of a dataset that ended in one lane.

    The end of a file comes once on every partition of the record topic, behind the file's records of that partition:
    one lane of intake wrote them all, for a unit's topic has one partition. So it concerns the records of its own
    partition alone, however far the others are, and the file is complete in the registry when every partition has it.
    """

    number: int
    """How many have ended there. The same file has the same number in every lane."""
    period: str
    valid_on: date


Ends = Mapping[tuple[str, str, int], End]
"""By unit, dataset and lane."""


def complete(ends: Ends, unit: str, dataset: str, valid_on: date, lanes: int) -> bool:
    """Whether the whole file that speaks of this day, or a later one, has ended in every lane."""
    found = [ends.get((unit, dataset, lane)) for lane in range(lanes)]
    return all(end is not None and end.valid_on >= valid_on for end in found)


class Claim(NamedTuple):
    """One fact as one source says it."""

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
class Laid:
    """A file laid over."""

    claims: tuple[tuple[Claim, bool], ...]
    """What stands (True), and every other value that somebody claims, by name of the fact."""
    contradictions: tuple[tuple[FactName, tuple[str, ...]], ...]
    """Facts of which two units say different things of the same half-year, and those units."""
    contested: tuple[str, ...]
    """Sources of which a newer validity could change what stands or when it was said: ``unit dataset lane``, and for
    what is said of a year the school year behind it."""
    days: tuple[tuple[FactName, str], ...] = ()
    """When what stands was said, where that is part of what is said."""

    @property
    def outcome(self) -> dict[FactName, Value]:
        return {claim.name: claim.value for claim, chosen in self.claims if chosen}

    def value(self, name: FactName) -> Value | None:
        """What stands of one fact."""
        for claim, chosen in self.claims:
            if chosen and claim.name == name:
                return claim.value
        return None


def source_key(unit: str, dataset: str, lane: int) -> str:
    return f"{unit} {dataset} {lane}"


def watched_by(unit: str, dataset: str, lane: int, valid_on: date, school_year: SchoolYear) -> frozenset[str]:
    """What ``Laid.contested`` says of files that a whole file of this day may change."""
    key = source_key(unit, dataset, lane)
    year = school_year(valid_on)
    return frozenset((key, *(f"{key} {year - ago}" for ago in range(1, _SCHOOL_YEARS + 1))))


def as_of(source: Source, ends: Ends) -> tuple[Layer, ...]:
    """A source's layers, dated by the last whole file that still had the record.

    Files whose rows did not change cost nothing: their end says that every record which did not disappear now
    speaks for the new period.
    """
    end = ends.get((source.unit, source.dataset, source.lane))
    if end is None or source.silent or end.number <= source.ended:
        return source.layers
    if all(layer.valid_on >= end.valid_on for layer in source.layers):
        return source.layers
    return _tidy(
        replace(layer, valid_on=end.valid_on, period=end.period) if layer.valid_on < end.valid_on else layer
        for layer in source.layers
    )


def heard(source: Source, layer: Layer, ends: Ends, *, whole: bool) -> Source:
    """The source after its record was read again.

    A row of a file is the whole row: facts of the same or an older day that it leaves out are no longer claimed.
    A row on its own only adds to what is known.
    """
    kept = as_of(source, ends)
    if whole:
        kept = tuple(old for old in kept if old.valid_on > layer.valid_on)
    return _settled(source, ends, _tidy((layer, *kept)), silent=False)


def fell_silent(source: Source, ends: Ends, period: str) -> Source:
    """The source after a whole file no longer had its record: its facts stay, as old as they are."""
    end = ends.get((source.unit, source.dataset, source.lane))
    layers = source.layers if end is not None and end.period == period else as_of(source, ends)
    return _settled(source, ends, layers, silent=True)


def _settled(source: Source, ends: Ends, layers: tuple[Layer, ...], *, silent: bool) -> Source:
    record, unit, dataset, lane = source.record, source.unit, source.dataset, source.lane
    end = ends.get((unit, dataset, lane))
    # Written out in the order of the fields: this is done for every row.
    return Source(record, unit, dataset, lane, 0 if end is None else end.number, silent, layers, source.finding)


def _tidy(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Newest first; of layers of the same day the one given first. A fact stays in its newest layer only."""
    known: set[FactName] = set()
    tidy: list[Layer] = []
    for layer in sorted(layers, key=lambda one: one.valid_on, reverse=True):
        if known.isdisjoint(layer.facts):
            left = layer
        else:
            left = replace(layer, facts={name: value for name, value in layer.facts.items() if name not in known})
        if left.facts:
            known.update(left.facts)
            tidy.append(left)
    return tuple(tidy)


def lay(sources: Collection[Source], ends: Ends, holder: Holder, school_year: SchoolYear) -> Laid:
    """What stands, what contradicts it, and whose news could change it."""
    by_name: dict[FactName, list[Claim]] = {}
    by_record = {source.record: source for source in sources}
    for source in sources:
        verified = source.dataset == VERIFY
        for layer in as_of(source, ends):
            # Written out in the order of the fields: this is the registry's innermost loop.
            more = (
                source.unit,
                source.dataset,
                layer.period,
                layer.valid_on,
                layer.recorded_on,
                verified,
                source.record,
            )
            for name, value in layer.facts.items():
                claim = Claim(name, value, *more)
                known = by_name.get(name)
                if known is None:
                    by_name[name] = [claim]
                else:
                    known.append(claim)
    claims: list[tuple[Claim, bool]] = []
    contested: set[str] = set()
    contradictions: list[tuple[FactName, tuple[str, ...]]] = []
    stays = by_name.pop(FactName.RESIDENCE_SINCE, None)
    for name in sorted(by_name):
        said = by_name[name]
        if len(said) == 1:
            claims.append((said[0], True))
            continue
        value = said[0].value
        if all(claim.value == value for claim in said):
            claims.append((max(said, key=lambda claim: _rank(claim, holder)), True))
            continue
        said.sort(key=lambda claim: _rank(claim, holder), reverse=True)
        claims += _standing(said)
        contested.update(_key_of(by_record[claim.record]) for claim in said)
        units = _contradicting(name, [claim for claim in said if not by_record[claim.record].silent])
        if units:
            contradictions.append((name, units))
    if stays:
        stays.sort(key=lambda claim: _rank(claim, holder), reverse=True)
        claims += _stays(stays, claims, by_name)
        claims.sort(key=lambda one: one[0].name)
        # A date still to come, seen from its source, may be in the past once the source speaks again.
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
        # What was found of the guardianship is weighed against what was said before and after it.
        days = [(claim.name, claim.valid_on.isoformat()) for claim, chosen in claims if chosen]
        contested.update(map(_key_of, sources))
    else:
        days = [
            (claim.name, str(school_year(claim.valid_on)))
            for claim, chosen in claims
            if chosen and claim.name in SCHOOL_YEAR_FACTS
        ]
    return Laid(tuple(claims), tuple(contradictions), tuple(sorted(contested)), tuple(days))


def _key_of(source: Source) -> str:
    return source_key(source.unit, source.dataset, source.lane)


def _rank(claim: Claim, holder: Holder) -> tuple[object, ...]:
    return (
        claim.valid_on,
        claim.verified,
        -holder(claim.name, claim.unit),
        claim.unit,
        claim.dataset,
        claim.record.int,
    )


def _standing(ranked: list[Claim]) -> list[tuple[Claim, bool]]:
    """The best claim stands; of every other value the best claim travels with it."""
    standing = [(ranked[0], True)]
    seen = [ranked[0].value]
    for claim in ranked[1:]:
        if claim.value not in seen:
            seen.append(claim.value)
            standing.append((claim, False))
    return standing


def _contradicting(name: FactName, said: list[Claim]) -> tuple[str, ...]:
    """Units that say different things of the same half-year."""
    if name in _OWN_EVENTS:
        return ()
    found: set[str] = set()
    for at, one in enumerate(said):
        for other in said[at + 1 :]:
            if one.unit == other.unit or _half_year(one.valid_on) != _half_year(other.valid_on):
                continue
            if not _agree(name, one.value, other.value):
                found |= {one.unit, other.unit}
    return tuple(sorted(found))


def _half_year(day: date) -> tuple[int, int]:
    return day.year, (day.month - 1) // 6


def _agree(name: FactName, one: Value, other: Value) -> bool:
    if name in _DIVISIONS and isinstance(one, str) and isinstance(other, str):
        short, long = sorted((_place(one), _place(other)), key=len)
        return long.startswith(short)
    return one == other


def _place(division: str) -> str:
    """A division's code without the zeros that only fill it up: county 6, township 9, village 12 digits."""
    for length in (9, 6):
        if len(division) > length and not division[length:].strip("0"):
            division = division[:length]
    return division


def _stays(
    said: list[Claim], claims: list[tuple[Claim, bool]], by_name: Mapping[FactName, list[Claim]]
) -> list[tuple[Claim, bool]]:
    """Every credible claim of when the present residence began; the earliest stands (policy part 3.1).

    Credible: a date between birth and the day the claim speaks of. Of the present residence: the record that claims
    it places the child in the county where the child now lives, or says no place; and if a stay has ended and another
    claim begins after that, only those after it.
    """
    chosen = {claim.name: claim for claim, stands in claims if stands}
    born = chosen.get(FactName.BIRTH_DATE)
    home = chosen.get(FactName.RESIDENCE_DIVISION)
    homes = {claim.record: claim.value for claim in by_name.get(FactName.RESIDENCE_DIVISION, ())}
    found: dict[tuple[str, str, str], tuple[date, Claim]] = {}
    for claim in said:
        since = _day(claim.value)
        if since is None or since > claim.valid_on:
            continue
        if born is not None and str(claim.value) < str(born.value):
            continue
        place = homes.get(claim.record)
        if place is not None and home is not None and str(place)[:6] != str(home.value)[:6]:
            continue
        found.setdefault((str(claim.value), claim.unit, claim.dataset), (since, claim))
    credible = list(found.values())
    ends = [day for claim in by_name.get(FactName.RESIDENCE_ENDED, ()) if (day := _day(claim.value)) is not None]
    for end in sorted(ends, reverse=True):
        later = [one for one in credible if one[0] > end]
        if later:
            credible = later
            break
    if not credible:
        return []
    # Of claims of the same first day the best ranked stands: they come in that order.
    first = min(credible, key=lambda one: one[0])
    return [(claim, claim is first[1]) for _, claim in credible]


def _day(value: Value) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
