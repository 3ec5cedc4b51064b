"""Invented people, recognisably so: families, names, ID numbers, telephones and addresses that belong to nobody.

Surnames are characters that are nobody's family name (测 演 例 拟 ...), ID numbers end in an order number from 980 on
with a right checksum, telephones begin with 1990000, villages are called 虚构. Everything comes from one seed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from stdnum.cn.ric import calc_check_digit

SURNAMES = "测演例拟仿虚试样"
FIRST = "梓浩欣雨诗俊思佳子宇若可嘉语博文晨奕芷沐"
SECOND = "涵轩怡宇萱琪杰妍诺辰彤泽睿瑶霖桐"
ADULT = "国建志秀桂明玉海春金兰伟芳强红军"
HOMOPHONES = {
    "梓": "子",
    "子": "梓",
    "涵": "晗",
    "轩": "萱",
    "萱": "轩",
    "怡": "仪",
    "佳": "嘉",
    "嘉": "佳",
    "诗": "施",
}
"""Characters that clerks take for one another because they sound alike."""

FIRST_ORDER = 980
"""Order numbers of ID numbers are taken from here to 999: odd for boys, even for girls."""


@dataclass(frozen=True, slots=True)
class Parent:
    name: str
    id_number: str
    phone: str


@dataclass(frozen=True, slots=True)
class Family:
    """People who live together."""

    key: str
    surname: str
    father: Parent
    mother: Parent
    address: str
    hukou_address: str
    size: int

    def guardian(self, with_father: bool) -> Parent:
        return self.father if with_father else self.mother


@dataclass(slots=True)
class NumberAllocator:
    """Gives every number once."""

    taken: set[str] = field(default_factory=set)
    phones: int = 0

    def id_number(self, area: str, born: date, sex: int) -> str:
        """Return a valid number (GB 11643) of an invented person. ``sex``: 1 male, 2 female.

        Raises:
            ValueError: the ten numbers of this area, day and sex are used up.
        """
        for order in range(FIRST_ORDER + (sex == 1), 1000, 2):
            number = with_check(f"{area}{born:%Y%m%d}{order:03d}")
            if number not in self.taken:
                self.taken.add(number)
                return number
        raise ValueError(f"no invented number is left for {area} and {born}")

    def phone(self) -> str:
        self.phones += 1
        return f"1990{self.phones:07d}"


def with_check(first_17: str) -> str:
    """Return the 18-digit number with its check digit (ISO 7064 MOD 11-2)."""
    return first_17 + calc_check_digit(f"{first_17}0")


def valid(number: str) -> bool:
    """Return whether the form and the check digit are right."""
    return len(number) == 18 and number[:17].isdigit() and with_check(number[:17]) == number


def given_names(rng: random.Random) -> Iterator[str]:
    """Given names of children, the next one never a homophone of the one before."""
    while True:
        pairs = [first + second for first in FIRST for second in SECOND if first != second]
        rng.shuffle(pairs)
        last = ""
        for pair in pairs:
            if not last or (pair[0] != last[0] and HOMOPHONES.get(pair[0]) != last[0]):
                yield pair
                last = pair


def adult_name(surname: str, rng: random.Random) -> str:
    return surname + rng.choice(ADULT) + rng.choice(ADULT)


def born_between(rng: random.Random, first: date, last: date) -> date:
    """Return a day from ``first`` to ``last``, both included."""
    return first + timedelta(days=rng.randint(0, (last - first).days))


def add_months(day: date, months: int) -> date:
    """Return the same day of a later or earlier month, or its last day if it has no such day (Civil Code 202)."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    for number in (day.day, 30, 29, 28):
        try:
            return date(year, month, number)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th day")


def age_on(born: date, day: date) -> int:
    """Full years, reached on the birthday; 29 February is kept on 28 February in common years."""
    years = day.year - born.year
    return years if add_months(born, 12 * years) <= day else years - 1
