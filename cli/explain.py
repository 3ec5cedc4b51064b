"""Applies the rules offline: shows a child's entitlements, the missing facts, and the days on which answers change.

A facts file is YAML in the vocabulary of ``registry.child.v1``, about an invented child::

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

import orjson
import yaml
from pydantic import ValidationError

from contracts.county import County
from contracts.vocabulary import NUMBER_BOUNDS, Answer, FactName
from county.reader import load
from deploy.counties import DEMO_COUNTY
from services.eligibility import labels
from services.eligibility.offline import (
    ALLOWED_CODES,
    CODES,
    DATES,
    EARLIEST,
    FLAGS,
    LATEST,
    NUMBERS,
    Assessment,
    Claim,
    Facts,
    GapFinding,
    Ground,
    MissingInput,
    RuleResult,
    UnreadableFact,
    assess,
    parse_facts,
    rule_parameters,
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


def explain(
    facts_path: Path | str,
    on: date,
    json: bool = False,
    until: date | None = None,
    *,
    folder: Path | str = DEMO_COUNTY,
) -> str:
    """Return every answer about one child on a day, as text or, with ``json``, as JSON.

    ``until`` adds every day up to it on which an answer changes without new facts.

    Raises:
        FactsUnreadable: the file is not a facts file; the message says what to write instead.
        county.problem.CountyInvalid: the county's folder is invalid.
    """
    if until is not None and until < on:
        raise FactsUnreadable([Problem("--until", "早于 --on", "请写 --on 之后的一天")])
    parts = read_facts_file(facts_path)
    county = apply_county_changes(load(folder), parts.get("county"))
    facts = parse_facts(claims_in(parts["facts"], on))
    now = assess(facts, rule_parameters(county), on)
    changes = list(changes_until(facts, county, now, on, until)) if until is not None else None
    if json:
        data = _as_data(now, county, on)
        if changes is not None:
            data["changes"] = [change.as_data(county) for change in changes]
        return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    lines = _as_text(now, county, on)
    if changes is not None:
        lines += ["", f"到{until}为止，没有新消息也会变的"]
        lines += [line for change in changes for line in change.as_text(county)] or ["  没有"]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- a facts file


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


# ---------------------------------------------------------------- what changes when


@dataclass(frozen=True, slots=True)
class Change:
    """A day on which answers change, and the changes."""

    on: date
    answers: tuple[tuple[RuleResult, RuleResult], ...]
    """Pairs of the result before and the result after."""
    begun: tuple[GapFinding, ...]
    ended: tuple[GapFinding, ...]

    def as_text(self, county: County) -> list[str]:
        lines = [str(self.on)]
        for before, after in self.answers:
            change = f"{labels.ANSWERS[before.answer]} → {labels.ANSWERS[after.answer]}"
            lines.append(f"  {_title(after.subject, county)}：{change}")
            lines += [f"    {line}" for line in _reasons(after.grounds, county)]
        lines += [f"  出现 {_finding(gap, county)}" for gap in self.begun]
        lines += [f"  不再出现 {_finding(gap, county)}" for gap in self.ended]
        return lines

    def as_data(self, county: County) -> dict[str, Any]:
        return {
            "on": self.on,
            "answers": [{"before": before.answer, **_verdict_data(after, county)} for before, after in self.answers],
            "begun": [_derived_data(gap, county) for gap in self.begun],
            "ended": [_derived_data(gap, county) for gap in self.ended],
        }


def changes_until(facts: Facts, county: County, now: Assessment, on: date, until: date) -> Iterable[Change]:
    """Yield the days on which an answer changes, by checking each day on which one may change."""
    terms = rule_parameters(county)
    while now.until is not None and now.until <= until:
        on = now.until
        then = assess(facts, terms, on)
        before = {verdict.subject: verdict for verdict in _verdicts(now)}
        answers = tuple(
            (before[verdict.subject], verdict)
            for verdict in _verdicts(then)
            if verdict.answer is not before[verdict.subject].answer
        )
        after, earlier = {gap.code for gap in then.derived}, {gap.code for gap in now.derived}
        begun = tuple(gap for gap in then.derived if gap.code not in earlier)
        ended = tuple(gap for gap in now.derived if gap.code not in after)
        if answers or begun or ended:
            yield Change(on, answers, begun, ended)
        now = then


# ---------------------------------------------------------------- output


def _verdicts(assessment: Assessment) -> tuple[RuleResult, ...]:
    return (assessment.migrant, assessment.statistical, *assessment.items)


def _as_text(assessment: Assessment, county: County, on: date) -> list[str]:
    lines = [
        f"{county.name}　{on}",
        f"规则 {assessment.ruleset}　清单 {assessment.catalogue}　县数据 {county.version}",
        "以下都是提示，由人认定；不确定的不是拒绝。",
    ]
    for verdict in _verdicts(assessment):
        lines.append("")
        held = f"（{verdict.until}前不变）" if verdict.until is not None else ""
        lines.append(f"{_title(verdict.subject, county)}：{labels.ANSWERS[verdict.answer]}{held}")
        if verdict.fulfilment is not None and verdict.answer is not Answer.NO:
            lines.append(f"  办理 {labels.FULFILMENTS[verdict.fulfilment]}")
        lines += [f"  因为 {line}" for line in _reasons(verdict.grounds, county)]
        lines += [f"  还缺 {line}" for line in _missing(verdict.missing, county)]
        lines += [f"  依据 {line}" for line in _citations(verdict.citations, county)]
        reading = labels.find_reading(verdict.subject)
        if reading is not None:
            lines.append(f"  读法 {reading}")
        lines.append(f"  把握 {labels.CERTAINTIES[verdict.certainty]}")
    lines += ["", "从事实看出、要有人去办的"]
    for gap in assessment.derived:
        lines.append(f"  {_finding(gap, county)}")
        lines += [f"    因为 {line}" for line in _reasons(gap.grounds, county)]
    if not assessment.derived:
        lines.append("  没有")
    if assessment.until is not None:
        lines += ["", f"没有新消息的话，{assessment.until}起可能有变化。"]
    return lines


def _as_data(assessment: Assessment, county: County, on: date) -> dict[str, Any]:
    return {
        "county": county.code,
        "on": on,
        "ruleset": assessment.ruleset,
        "catalogue": assessment.catalogue,
        "county_version": county.version,
        "answers": [_verdict_data(verdict, county) for verdict in _verdicts(assessment)],
        "derived": [_derived_data(gap, county) for gap in assessment.derived],
        "until": assessment.until,
    }


def _verdict_data(verdict: RuleResult, county: County) -> dict[str, Any]:
    return {
        "subject": verdict.subject,
        "title": _title(verdict.subject, county),
        "answer": verdict.answer,
        "fulfilment": verdict.fulfilment,
        "reasons": [_reason_data(reason, county) for reason in verdict.grounds],
        "missing": [
            {"fact": absent.fact, "criterion": absent.criterion, "held_by": absent.held_by, "text": text}
            for absent, text in zip(verdict.missing, _missing(verdict.missing, county), strict=True)
        ],
        "citations": [
            {"code": code, "text": text}
            for code, text in zip(verdict.citations, _citations(verdict.citations, county), strict=True)
        ],
        "reading": labels.find_reading(verdict.subject),
        "certainty": verdict.certainty,
        "until": verdict.until,
    }


def _derived_data(gap: GapFinding, county: County) -> dict[str, Any]:
    return {
        "code": gap.code,
        "route": gap.route,
        "level": gap.level,
        "item": gap.item,
        "confirm_first": gap.confirm_first,
        "text": _finding(gap, county),
        "reasons": [_reason_data(reason, county) for reason in gap.grounds],
    }


def _reason_data(reason: Ground, county: County) -> dict[str, Any]:
    text = labels.reason_text(reason.code, reason.params, county)
    return {"code": reason.code, "supports": reason.supports, "params": reason.params, "text": text}


def _title(subject: str, county: County) -> str:
    item = county.item(subject)
    return f"{subject} {item.title}" if item is not None else labels.SUBJECTS[subject]


def _reasons(reasons: Iterable[Ground], county: County) -> list[str]:
    return [labels.reason_text(reason.code, reason.params, county) for reason in reasons]


def _missing(missing: Iterable[MissingInput], county: County) -> list[str]:
    texts = []
    for absent in missing:
        what = (
            labels.FACTS[absent.fact]
            if absent.fact is not None
            else f"县定口径“{labels.term_label(absent.criterion or '', county)}”"
        )
        held = "、".join(labels.unit_label(unit, county) for unit in absent.held_by)
        ask = "掌握" if absent.fact is not None else "可以定"
        texts.append(f"{what}（{held}{ask}）" if held else what)
    return texts


def _citations(codes: Iterable[str], county: County) -> list[str]:
    texts = []
    for code in codes:
        cited = labels.find_citation(code, county)
        if cited is None:
            texts.append(code)
        else:
            phrase = f"“{cited.phrase}”" if cited.phrase is not None else ""
            texts.append(f"{cited.where}{phrase}（{labels.CERTAINTIES[cited.certainty]}）")
    return texts


def _finding(gap: GapFinding, county: County) -> str:
    route = county.route(gap.route)
    title = route.title if route is not None else gap.code.value
    first = "，先由乡镇核实" if gap.confirm_first else ""
    return f"{gap.route} {title}（{gap.level} {labels.LEVELS[gap.level]}{first}）"
