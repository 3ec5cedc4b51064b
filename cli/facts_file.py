"""Reads a facts file, and says in Chinese what is wrong with it.

It is YAML in the vocabulary of ``registry.child.v1``, about an invented child::

    facts:
      birth_date: 2016-02-29
      hukou_division: "341702"
      residence_since:                      # each claim with its source
        - {value: 2025-03-01, dataset: residence, valid_on: 2025-09-30}
        - {value: 2025-02-20, dataset: school}

A plain value is valid on the day that is asked about. Of several claims the newest is used, or the one marked
``chosen: true``; every claimed day of arrival counts. A file may also override the county's folder (``county``) and
state the expected answers (``expect``): a policy case can be read unchanged.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contracts.county import County
from contracts.vocabulary import NUMBER_BOUNDS, FactName
from services.eligibility import labels
from services.eligibility.offline import (
    ALLOWED_CODES,
    CODES,
    DATES,
    EARLIEST,
    FLAGS,
    LATEST,
    NUMBERS,
    Claim,
    UnreadableFact,
    parse_facts,
)

_PROVENANCE = frozenset({"value", "unit", "dataset", "period", "valid_on", "recorded_on", "chosen", "verified"})
_PARTS = frozenset({"why", "on", "county", "facts", "expect"})
_DIVISIONS: Mapping[FactName, str] = {
    FactName.HUKOU_DIVISION: r"\d{6}(\d{3}){0,2}|abroad",
    FactName.RESIDENCE_DIVISION: r"\d{9}(\d{3})?",
    FactName.INSURED_DIVISION: r"\d{6}",
}
_HOW_TO_WRITE = {
    FactName.HUKOU_DIVISION: "请写六、九或十二位区划代码，加引号，如 '341702'；国外写 abroad",
    FactName.RESIDENCE_DIVISION: "请写到乡镇或村：九或十二位区划代码，加引号，如 '341722100'",
    FactName.INSURED_DIVISION: "请写六位区划代码，加引号，如 '341722'",
}
_NAMES = "可用的名称见 tests/policy/README.md"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a facts file and its remedy, in Chinese. It never contains the value itself."""

    fact: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.fact}：{self.message}。{self.remedy}"


class FactsUnreadable(ValueError):
    """A facts file cannot be read. ``problems`` lists what is wrong, by fact."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class _Loader(yaml.CSafeLoader):
    """A YAML loader that reports a repeated key, and reads a day that does not exist as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} 写了两次", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else key)
        return super().construct_mapping(node, deep)

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


def read_facts_file(path: Path | str) -> dict[str, Any]:
    """Return the sections of a facts file, of which ``facts`` is one.

    Raises:
        FactsUnreadable: the file is missing, or not YAML, or not a facts file.
    """
    name = str(path)
    try:
        content = yaml.load(Path(path).read_text("utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise FactsUnreadable([Problem(name, "打不开这个文件", "请检查文件名")]) from error
    except UnicodeDecodeError as error:
        raise FactsUnreadable([Problem(name, "不是 UTF-8 编码", "请另存为 UTF-8")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"第{mark.line + 1}行" if mark is not None else ""
        # The parser's own messages are English, and are not shown.
        detail = f"（{error.problem}）" if error.problem and not error.problem.isascii() else ""
        problem = Problem(name, f"{where}写法不对{detail}", "请检查缩进、冒号和引号")
        raise FactsUnreadable([problem]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise FactsUnreadable([Problem(name, "不是 YAML 文件", "请对照 tests/policy 里的案例")]) from error
    if content is None:
        raise FactsUnreadable([Problem(name, "是空的", "请写成 facts: {birth_date: 2016-02-29, …}")])
    if not isinstance(content, dict) or not isinstance(content.get("facts"), dict):
        raise FactsUnreadable([Problem(name, "没有 facts 一节", "请写成 facts: {birth_date: 2016-02-29, …}")])
    # YAML 1.1 reads the bare word "on" as a truth value.
    parts = {"on" if key is True else str(key): value for key, value in content.items()}
    strange = sorted(set(parts) - _PARTS)
    if strange:
        raise FactsUnreadable([Problem(strange[0], "没有这一节", f"可写 {'、'.join(sorted(_PARTS))}")])
    return parts


def apply_county_changes(county: County, changes: Any) -> County:
    """Return the county with a file's changes. Criteria are added to the county's; an empty list removes all of them.

    Raises:
        FactsUnreadable: it changes anything but ``thresholds`` and ``criteria``, or a value is invalid.
    """
    if not changes:
        return county
    try:
        if not isinstance(changes, dict) or set(changes) - {"thresholds", "criteria"}:
            raise TypeError
        thresholds = {**dict(county.thresholds), **changes.get("thresholds", {})}
        criteria = county.criteria
        if "criteria" in changes:
            criteria = changes["criteria"] and (*county.criteria, *changes["criteria"])
        version = f"{county.version}（按文件改过）"
        return County.model_validate(
            {**dict(county), "version": version, "thresholds": thresholds, "criteria": criteria}
        )
    except (TypeError, ValidationError) as error:
        remedy = "可写 thresholds、criteria，写法见 tests/policy/README.md"
        raise FactsUnreadable([Problem("county", "写法不对", remedy)]) from error


def claims_in(facts: Mapping[Any, Any], on: date) -> list[Claim]:
    """Return the claims of a mapping from fact to value, or to a list of claims with their provenance.

    Raises:
        FactsUnreadable: a name is not a fact's, or a value is not of its fact's kind.
    """
    problems: list[Problem] = []
    claims: list[Claim] = []
    for key, value in facts.items():
        try:
            name = FactName(str(key))
        except ValueError:
            near = get_close_matches(str(key), [fact.value for fact in FactName], 1)
            remedy = f"是不是 {near[0]}（{labels.FACTS[FactName(near[0])]}）" if near else _NAMES
            problems.append(Problem(str(key), "没有这个事实", remedy))
            continue
        claims += _claims_of(name, value, on, problems)
    wrong = (claim.name for claim in claims if not _of_its_kind(claim))
    problems.extend(Problem(name.value, "值不对", how_to_write(name)) for name in wrong)
    if problems:
        raise FactsUnreadable(problems)
    return claims


def _claims_of(name: FactName, stated: Any, on: date, problems: list[Problem]) -> list[Claim]:
    values = stated if isinstance(stated, list) else [stated]
    given = [value if isinstance(value, dict) else {"value": value} for value in values]
    claims = []
    for entry in given:
        wrong = _claim_problem(entry, on)
        if wrong is not None:
            problems.append(Problem(name.value, *wrong))
            continue
        valid_on: date = entry.get("valid_on", on)
        claims.append(
            Claim(
                name,
                _value(name, entry["value"]),
                str(entry.get("unit", "")),
                str(entry.get("dataset", "")),
                entry.get("period"),
                valid_on,
                entry.get("recorded_on", valid_on),
                entry.get("chosen", False),
                entry.get("verified", False),
            )
        )
    chosen = sum(claim.chosen for claim in claims)
    if chosen > 1:
        problems.append(Problem(name.value, "有不止一条写了 chosen: true", "请只留一条；都不写，就以最新的为准"))
    if not given:
        problems.append(Problem(name.value, "没有写值", "不知道就整行不写"))
    if claims and not chosen:
        newest = max(range(len(claims)), key=lambda index: (claims[index].valid_on, -index))
        claims[newest] = claims[newest]._replace(chosen=True)
    return claims


def _claim_problem(entry: dict[Any, Any], on: date) -> tuple[str, str] | None:
    """Return what is wrong with how a claim is written, and the remedy."""
    strange = sorted(set(map(str, entry)) - _PROVENANCE)
    if strange or "value" not in entry:
        message = f"不认识 {'、'.join(strange)}" if strange else "没有 value"
        return message, f"可写 {'、'.join(sorted(_PROVENANCE))}"
    if entry["value"] is None:
        return "没有写值", "不知道就整行不写"
    for name in ("valid_on", "recorded_on"):
        day = entry.get(name, on)
        if type(day) is not date or not EARLIEST <= day <= LATEST:
            return f"{name} 不是日期", "请写成 2026-09-30"
    for name in ("chosen", "verified"):
        if not isinstance(entry.get(name, False), bool):
            return f"{name} 不是是非", "请写 true 或 false"
    return None


def _value(name: FactName, value: Any) -> Any:
    """Return a value as the vocabulary writes it: YAML reads dates, and codes without quotes, as other types."""
    if isinstance(value, date):
        return value.isoformat()
    if name in CODES and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _of_its_kind(claim: Claim) -> bool:
    form = _DIVISIONS.get(claim.name)
    if form is not None:
        return isinstance(claim.value, str) and re.fullmatch(form, claim.value, re.ASCII) is not None
    try:
        parse_facts([claim])
    except UnreadableFact:
        return False
    return True


def how_to_write(name: FactName) -> str:
    """Return how a fact's value is written in a file, as a remedy."""
    if name in DATES:
        return "请写日期，如 2026-09-30"
    if name in FLAGS:
        return "请写 true 或 false；不知道就不写"
    if name in NUMBERS:
        least, greatest = NUMBER_BOUNDS[name]
        return f"请写{least}到{greatest}的整数"
    return _HOW_TO_WRITE.get(name) or f"可写 {'、'.join(sorted(ALLOWED_CODES[name]))}"
