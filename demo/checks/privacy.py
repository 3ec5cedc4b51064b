"""Search for personal data where none may be: in every topic but the units' own, every table and every log.

Nothing of Hutong is imported. It searches for the names, numbers and telephones of the invented people, and for
anything that has the form of an ID number with a right check digit or of a mobile telephone.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stdnum.cn.ric import calc_check_digit

_DIGITS = re.compile(r"\d{11,}[Xx]?")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")
_PHONE = re.compile(r"(?<![0-9A-Za-z.])1[3-9]\d{9}(?![0-9A-Za-z.])")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_OPEN_TOPICS = ("department.", "action.")
"""Topics that the units' staff write; they may hold identities and are kept for days only."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Personal data in a forbidden place: the place and the kind, never the data."""

    place: str
    kind: str


@dataclass(slots=True)
class Identities:
    """The identities to search for."""

    names: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    surnames: str = ""

    @classmethod
    def from_truth(cls, truth: Mapping[str, Any]) -> "Identities":
        identities = cls()
        for child in truth["children"]:
            identities.names.add(child["name"])
            if child["id_number"]:
                identities.numbers.add(child["id_number"])
            for parent in (child["family"]["father"], child["family"]["mother"]):
                identities.names.add(parent["name"])
                identities.numbers.add(parent["id_number"])
                identities.phones.add(parent["phone"])
        identities.surnames = "".join(sorted({name[0] for name in identities.names}))
        return identities

    def find(self, text: str) -> Iterator[str]:
        """Yield the kinds of personal data in a text."""
        if "\\u" in text:
            text += _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
        for match in re.finditer(f"[{self.surnames}]" + "(?=([\u4e00-\u9fff]{1,3}))", text):
            rest = match[1]
            if any(match[0] + rest[:length] in self.names for length in range(1, len(rest) + 1)):
                yield "name"
                break
        kinds: set[str] = set()
        for digits in _DIGITS.findall(text):
            if digits[-18:].upper() in self.numbers or any(
                digits[place : place + 18].upper() in self.numbers for place in range(len(digits) - 17)
            ):
                kinds.add("ID number")
            if any(digits[place : place + 11] in self.phones for place in range(len(digits) - 10)):
                kinds.add("telephone")
        if any(_is_number(number) for number in _NUMBER.findall(text)):
            kinds.add("18-digit number")
        if _PHONE.search(text):
            kinds.add("telephone-like number")
        yield from sorted(kinds)


def in_topics(identities: Identities, topics: Mapping[str, Iterable[Any]]) -> Iterator[Leak]:
    """Look through records: keys, headers and values of every topic but the units' own."""
    for topic, records in topics.items():
        if topic.startswith(_OPEN_TOPICS):
            continue
        kinds: set[str] = set()
        for record in records:
            text = (
                record.key + " " + json.dumps(dict(record.headers)) + " " + json.dumps(record.body, ensure_ascii=False)
            )
            kinds.update(identities.find(text))
        for kind in sorted(kinds):
            yield Leak(f"topic {topic}", kind)


async def in_tables(identities: Identities, database: Any) -> Iterator[Leak]:
    """Look through every row of every table of every service, the registry's encrypted store included."""
    leaks: list[Leak] = []
    tables = await database.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        name = f'"{table["schemaname"]}"."{table["tablename"]}"'
        kinds: set[str] = set()
        for row in await database.fetch(f"SELECT * FROM {name}"):  # noqa: S608 - the names come from the catalogue
            kinds.update(identities.find(" ".join(_text(value) for value in row.values())))
        leaks += [Leak(f"table {table['schemaname']}.{table['tablename']}", kind) for kind in sorted(kinds)]
    return iter(leaks)


def in_logs(identities: Identities, files: Iterable[Any]) -> Iterator[Leak]:
    """Look through log files, line by line."""
    for path in files:
        kinds: set[str] = set()
        with path.open(errors="replace") as lines:
            for line in lines:
                kinds.update(identities.find(line))
        for kind in sorted(kinds):
            yield Leak(f"log {path.name}", kind)


def _text(value: Any) -> str:
    return value.decode(errors="ignore") if isinstance(value, bytes) else str(value)


def _is_number(number: str) -> bool:
    """Return whether the digits hold a possible birth date and the right check digit, unlike a hash or an offset."""
    year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
    if not (1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    return calc_check_digit(number) == number[17].upper()
