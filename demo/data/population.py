"""The ground truth of one invented county, generated from a seed: its children, their status, needs and findings.

The ground truth never enters the product. ``demo.data.submissions`` derives what departments submit, and
``demo.data.files`` writes both to a folder for clients and checks that import nothing of the product.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from uuid import UUID, uuid5

from contracts.county import County, Township
from demo.data.identities import (
    SURNAMES,
    Family,
    NumberAllocator,
    Parent,
    add_months,
    adult_name,
    age_on,
    born_between,
    given_names,
)

NAMESPACE = UUID("0b9f5a52-9d1c-5f0a-8a55-6a0d5a5a7f01")

COHORTS: dict[str, float] = {
    "settled": 0.50,  # a migrant child all the time
    "six_months": 0.14,  # becomes one within the months of the demo
    "newcomer": 0.05,  # has not been here for six months when they end
    "turns_16": 0.06,  # is one until the sixteenth birthday
    "over_16": 0.02,
    "local": 0.12,  # registered and living here
    "mover": 0.05,  # from another township of this county: counted, but no migrant child
    "without_parents": 0.03,  # with relatives who are no guardians
    "no_hukou": 0.01,  # registered nowhere: no number
    "hong_kong": 0.01,
    "registered_here": 0.01,  # the household registration was moved in
}
"""Shares of the children. Every cohort has at least one child."""

CONDITIONS: dict[str, float] = {
    "out_of_school": 0.015,
    "uninsured": 0.04,
    "vaccination_overdue": 0.03,
    "disabled": 0.03,
    "poor": 0.04,
}
"""Shares of the settled children of the age concerned. Every state has at least one child."""

HOME_COUNTIES = (
    ("340223", "安徽省南陵县"),
    ("340825", "安徽省太湖县"),
    ("340826", "安徽省宿松县"),
    ("341221", "安徽省临泉县"),
    ("341225", "安徽省阜南县"),
    ("341721", "安徽省东至县"),
    ("341723", "安徽省青阳县"),
    ("341702", "安徽省池州市贵池区"),
    ("411525", "河南省固始县"),
    ("360222", "江西省浮梁县"),
    ("361128", "江西省鄱阳县"),
    ("421126", "湖北省蕲春县"),
)
HERE = "341722"
VILLAGES = 5


@dataclass(frozen=True, slots=True)
class Child:
    """One invented child."""

    key: str
    cohort: str
    family: Family
    name: str
    sex: int
    born: date
    id_number: str | None
    other_paper: str | None
    hukou: str | None
    """6 digits; None: registered nowhere."""
    township: str
    """9 digits: where the child lives."""
    village: str
    """12 digits."""
    came: date | None
    """None: always lived here."""
    with_father: bool
    with_mother: bool
    states: frozenset[str]
    school: str | None

    @property
    def migrant(self) -> tuple[date, date] | None:
        """First day and day after the last on which the child is a migrant child, or None if it never is."""
        away = self.hukou != HERE and self.hukou is not None
        if not away or self.came is None or not (self.with_father or self.with_mother):
            return None
        first, end = add_months(self.came, 6), add_months(self.born, 16 * 12)
        return (first, end) if first < end else None


@dataclass(frozen=True, slots=True)
class PlantedFinding:
    """A finding that a person will report, and the queue that it must reach."""

    ce_id: UUID
    child: str
    day: date
    unit: str
    place: str | None
    role: str
    code: str
    route: str
    to_unit: str
    restricted: bool
    level: str
    on_file: bool
    """False: the reporter knows a first name and little else."""
    phone_reported: bool


@dataclass(frozen=True, slots=True)
class ServiceGap:
    """A finding that follows from the facts, and the unit that it must reach."""

    child: str
    code: str
    route: str
    to_unit: str


@dataclass(frozen=True, slots=True)
class Population:
    seed: int
    first_day: date
    days: int
    children: tuple[Child, ...]
    planted_findings: tuple[PlantedFinding, ...]
    service_gaps: tuple[ServiceGap, ...]

    @property
    def last_day(self) -> date:
        return self.first_day + timedelta(days=self.days - 1)


# What people will find, in turn: code, route, receiving unit, restricted, level, reporting unit, place, role.
# The receiving units are those of the policy's list of routes (part 4.2); ``township`` is the child's own.
FINDINGS: tuple[tuple[str, str, str, bool, str, str, str], ...] = (
    ("suspected_violence", "R1", "gaj", True, "L0", "jtj", "teacher"),
    ("no_hukou", "R27", "gaj", False, "L2", "township", "township_civil_affairs"),
    ("mental_distress", "R14", "wjw", True, "L2", "jtj", "teacher"),
    ("unattended", "R4", "mzj", True, "L0", "township", "child_director"),
    ("runaway_or_vagrant", "R8", "gaj", True, "L0", "township", "child_director"),
    ("sudden_hardship", "R19", "township", False, "L1", "township", "child_director"),
    ("child_labour", "R28", "rsj", False, "L1", "township", "child_director"),
    ("abandoned_or_long_unattended", "R1", "gaj", True, "L0", "wjw", "doctor"),
    ("family_education_need", "R29", "fl", False, "L3", "jtj", "teacher"),
    ("no_hukou", "R27", "gaj", False, "L2", "wjw", "doctor"),
    ("housing_difficulty", "R26", "zjj", False, "L3", "township", "child_director"),
    ("parent_seeks_work", "R31", "rsj", False, "L3", "township", "child_director"),
)

SERVICE_GAPS: dict[str, tuple[str, str, str]] = {
    "out_of_school": ("out_of_school", "R12", "jtj"),
    "uninsured": ("uninsured", "R25", "rsj"),
    "vaccination_overdue": ("vaccination_gap", "R23", "wjw"),
}
"""State -> the finding that the facts show, its route and unit."""


def generate(county: County, children: int, seed: int, first_day: date, days: int) -> Population:
    """Generate a population; the same arguments give the same population.

    ``children`` must be at least 40, so that every cohort and condition has a child.
    """
    if children < 40:
        raise ValueError("the demo needs at least 40 children")
    rng = random.Random(f"{seed}/{children}/{first_day}/{days}")
    people = tuple(_children(county, children, rng, first_day, days))
    return Population(
        seed,
        first_day,
        days,
        people,
        tuple(_planted_findings(county, people, rng, seed, first_day, days)),
        tuple(_service_gaps(county, people, first_day)),
    )


def apportion(total: int, rates: dict[str, float]) -> dict[str, int]:
    """``total`` split by rates that add up to one, each at least 1; what is left over goes to the first."""
    numbers = {name: max(1, round(total * rate)) for name, rate in rates.items()}
    first = next(iter(rates))
    numbers[first] += total - sum(numbers.values())
    return numbers


@dataclass(slots=True)
class _PopulationBuilder:
    county: County
    rng: random.Random
    first_day: date
    days: int
    numbers: NumberAllocator = field(default_factory=NumberAllocator)
    families: int = 0
    made: int = 0
    names: Iterator[str] = field(init=False)
    townships: list[Township] = field(init=False)

    def __post_init__(self) -> None:
        self.names = given_names(self.rng)
        self.townships = [t for t in self.county.townships if t.code[6:] != "401"]

    @property
    def last_day(self) -> date:
        return self.first_day + timedelta(days=self.days - 1)

    def family(self, hukou: str | None, hukou_name: str, township: str, village: int) -> Family:
        self.families += 1
        surname = self.rng.choice(SURNAMES)
        others = SURNAMES.replace(surname, "")
        area = hukou or HOME_COUNTIES[0][0]
        town = next(t.name for t in self.townships if t.code == township)
        born = born_between(self.rng, date(1980, 1, 1), date(1996, 12, 31))
        father = Parent(adult_name(surname, self.rng), self.numbers.id_number(area, born, 1), self.numbers.phone())
        born = born_between(self.rng, date(1982, 1, 1), date(1998, 12, 31))
        mother = Parent(
            adult_name(self.rng.choice(others), self.rng),
            self.numbers.id_number(area, born, 2),
            self.numbers.phone(),
        )
        return Family(
            f"f{self.families:05d}",
            surname,
            father,
            mother,
            f"石台县{town}虚构{village}村{self.rng.randint(1, 12)}组{self.families}号",
            f"{hukou_name}虚构镇{self.rng.randint(1, 9)}组",
            self.rng.choice((3, 4, 5)),
        )

    def child(self, cohort: str, family: Family, born: date, **more: object) -> Child:
        self.made += 1
        sex = self.rng.choice((1, 2))
        hukou = more.get("hukou")
        area = {"hong_kong": "810000"}.get(cohort, str(hukou))
        without_number = cohort == "no_hukou"
        return Child(
            key=f"c{self.made:05d}",
            cohort=cohort,
            family=family,
            name=family.surname + next(self.names),
            sex=sex,
            born=born,
            id_number=None if without_number else self.numbers.id_number(area, born, sex),
            other_paper=f"演示出生证{self.made:05d}" if without_number else None,
            states=frozenset(),
            school=None,
            **more,  # type: ignore[arg-type]
        )


def _children(county: County, total: int, rng: random.Random, first_day: date, days: int) -> Iterator[Child]:
    maker = _PopulationBuilder(county, rng, first_day, days)
    made: list[Child] = []
    for cohort, wanted in apportion(total, COHORTS).items():
        brood: list[Child] = []
        while len(brood) < wanted:
            brood += _siblings(maker, cohort, wanted - len(brood))
        made += brood
    yield from _with_states([_with_school(maker, child) for child in made], rng, first_day)


def _siblings(maker: _PopulationBuilder, cohort: str, most: int) -> list[Child]:
    """One family of a cohort: mostly one child, sometimes two or three, sometimes twins."""
    rng = maker.rng
    hukou, hukou_name = _hukou_of(cohort, rng)
    township = rng.choice(maker.townships).code
    village = rng.randint(1, VILLAGES)
    family = maker.family(hukou, hukou_name, township, village)
    born = _birth_date(maker, cohort)
    came = _arrival_date(maker, cohort)
    if came is not None and cohort not in ("six_months", "newcomer"):
        came = max(came, born + timedelta(days=40))
    alone = cohort == "without_parents"
    both = rng.random() < 0.7
    father_only = not both and rng.random() < 0.4
    more: dict[str, object] = {
        "hukou": hukou,
        "township": township,
        "village": f"{township}{200 + village}",
        "came": came,
        "with_father": not alone and (both or father_only),
        "with_mother": not alone and (both or not father_only),
    }
    siblings = [maker.child(cohort, family, born, **more)]
    roll = rng.random()
    if most > 1 and roll < 0.02:  # twins: same day, same parents, consecutive numbers
        siblings.append(maker.child(cohort, family, born, **more))
    elif most > 1 and roll < 0.27 and cohort not in ("turns_16", "over_16"):
        second = _birth_date(maker, cohort)
        if second < born - timedelta(days=300):
            siblings.append(maker.child(cohort, family, second, **more))
    return siblings


def _hukou_of(cohort: str, rng: random.Random) -> tuple[str | None, str]:
    if cohort in ("local", "mover", "registered_here"):
        return HERE, "安徽省石台县"
    if cohort == "no_hukou":
        return None, "安徽省南陵县"
    if cohort == "hong_kong":
        return "810000", "香港特别行政区"
    return rng.choice(HOME_COUNTIES)


def _arrival_date(maker: _PopulationBuilder, cohort: str) -> date | None:
    rng, first, last = maker.rng, maker.first_day, maker.last_day
    if cohort == "local":
        return None
    if cohort == "six_months":
        mark = born_between(rng, first + timedelta(days=maker.days // 4), last - timedelta(days=2))
        came = add_months(mark, -6)
        return came.replace(day=min(came.day, 28))
    if cohort == "newcomer":
        return born_between(rng, add_months(last, -6) + timedelta(days=5), first - timedelta(days=3))
    return born_between(rng, date(first.year - 3, 1, 1), add_months(first, -7))


def _birth_date(maker: _PopulationBuilder, cohort: str) -> date:
    rng, first, last = maker.rng, maker.first_day, maker.last_day
    if cohort == "turns_16":
        birthday = born_between(rng, first + timedelta(days=maker.days // 4), last - timedelta(days=2))
        return add_months(birthday, -16 * 12)
    if cohort == "over_16":
        return born_between(rng, add_months(first, -17 * 12 - 6), add_months(first, -16 * 12 - 1))
    if cohort == "no_hukou":
        return born_between(rng, add_months(first, -4 * 12), add_months(first, -12))
    # Sixteen only after the demo's months.
    return born_between(rng, add_months(last, -15 * 12 - 6), add_months(first, -14))


def _with_school(maker: _PopulationBuilder, child: Child) -> Child:
    age = age_on(child.born, date(maker.first_day.year, 8, 31))
    town = next(t.name for t in maker.townships if t.code == child.township)
    if age < 3 or age > 17 or (age < 6 and maker.rng.random() < 0.2):
        return child
    kind = "幼儿园" if age < 6 else "小学" if age < 12 else "中学"
    return replace(child, school=f"{town}虚构{kind}")


def _with_states(children: Sequence[Child], rng: random.Random, first_day: date) -> Iterator[Child]:
    ages = {child.key: age_on(child.born, first_day) for child in children}
    settled = [child for child in children if child.cohort == "settled" and child.school]
    fitting = {
        "out_of_school": [c for c in settled if 8 <= ages[c.key] <= 14],
        "uninsured": settled,
        "vaccination_overdue": [c for c in children if c.cohort == "settled" and ages[c.key] < 6],
        "disabled": settled,
        "poor": settled,
    }
    states: dict[str, set[str]] = {child.key: set() for child in children}
    taken: set[str] = set()
    for state, rate in CONDITIONS.items():
        choice = [child for child in fitting[state] if child.key not in taken]
        for child in rng.sample(choice, min(len(choice), max(1, round(len(children) * rate)))):
            states[child.key].add(state)
            taken.add(child.key)
    for child in children:
        yield replace(child, states=frozenset(states[child.key]))


def _planted_findings(
    county: County, children: Sequence[Child], rng: random.Random, seed: int, first_day: date, days: int
) -> Iterator[PlantedFinding]:
    migrants = [child for child in children if child.cohort == "settled" and not child.states and child.school]
    unregistered = [child for child in children if child.cohort == "no_hukou"]
    number = max(len(FINDINGS), len(children) // 25)
    for index, drawn in enumerate(rng.sample(migrants, min(number, len(migrants)))):
        code, route, to, restricted, level, reporter, role = FINDINGS[index % len(FINDINGS)]
        child = unregistered.pop() if code == "no_hukou" and unregistered else drawn
        township = next(t.unit for t in county.townships if t.code == child.township)
        yield PlantedFinding(
            ce_id=uuid5(NAMESPACE, f"{seed}/finding/{index}/{child.key}"),
            child=child.key,
            day=first_day + timedelta(days=rng.randint(days // 5, days * 2 // 3)),
            unit=township if reporter == "township" else f"{county.code}-{reporter}",
            place=None,
            role=role,
            code=code,
            route=route,
            to_unit=township if to == "township" else f"{county.code}-{to}",
            restricted=restricted,
            level=level,
            on_file=index % 5 != 4,
            phone_reported=level == "L0" and index % 2 == 0,
        )


def _service_gaps(county: County, children: Sequence[Child], first_day: date) -> Iterator[ServiceGap]:
    for child in children:
        for state in sorted(child.states & SERVICE_GAPS.keys()):
            code, route, to = SERVICE_GAPS[state]
            if state == "vaccination_overdue" and age_on(child.born, first_day) >= 6:
                continue
            yield ServiceGap(child.key, code, route, f"{county.code}-{to}")
