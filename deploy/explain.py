"""The rules at a desk, without any broker: what a child may have, what is missing, and what changes when.

A facts file is YAML in the vocabulary of ``registry.child.v1``, about an invented child::

    facts:
      birth_date: 2016-02-29
      hukou_division: "341702"
      residence_since:                      # who said what, where it matters
        - {value: 2025-03-01, dataset: residence, valid_on: 2025-09-30}
        - {value: 2025-02-20, dataset: school}

A fact given plainly was said on the day asked about. Of several claims the newest stands, or the one marked
``chosen: true``; every claimed day of arrival counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import orjson
import yaml

from contracts.county import County
from contracts.vocabulary import Answer, FactName
from deploy.county import load
from services.eligibility import words
from services.eligibility.domain.answer import Missing, Reason
from services.eligibility.domain.assessment import Assessment, Derived, Verdict, assess
from services.eligibility.domain.facts import (
    CODES,
    DAYS,
    FLAGS,
    NUMBERS,
    WORDS,
    Claim,
    Facts,
    UnreadableFact,
    Value,
    facts_of,
)
from services.eligibility.wire import terms_of

COUNTY = Path(__file__).parent / "counties" / "341722"
_PROVENANCE = frozenset({"value", "unit", "dataset", "period", "valid_on", "recorded_on", "chosen", "verified"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a facts file, and what to do about it. In Chinese; never the value itself."""

    fact: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.fact}：{self.message}。{self.remedy}"


class FactsUnreadable(ValueError):
    """A facts file cannot be read. ``problems`` says by fact what is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def explain(
    facts_path: Path | str,
    on: date,
    json: bool = False,
    until: date | None = None,
    *,
    folder: Path | str = COUNTY,
) -> str:
    """Every answer about one child on a day, as a person reads it or, with ``json``, as a machine does.

    ``until``: also every day up to it on which an answer changes without any news.

    Raises:
        FactsUnreadable: the file is no facts file; says what to write instead.
        deploy.county.CountyInvalid: the county's folder is no county.
    """
    county = load(folder)
    facts = facts_of(claims_in(facts_path, on))
    now = assess(facts, terms_of(county), on)
    changes = list(line_of_changes(facts, county, now, on, until)) if until is not None else None
    if json:
        told = _as_data(now, county, on)
        if changes is not None:
            told["changes"] = [change.as_data(county) for change in changes]
        return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
    lines = _as_text(now, county, on)
    if changes is not None:
        lines += ["", f"到{until}为止，没有新消息也会变的"]
        lines += [line for change in changes for line in change.as_text(county)] or ["  没有"]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- a facts file


def claims_in(path: Path | str, on: date) -> list[Claim]:
    """The claims of a facts file.

    Raises:
        FactsUnreadable: it is not there, no YAML, or says something that is no fact.
    """
    file = Path(path)
    try:
        told = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise FactsUnreadable([Problem(str(path), "打不开这个文件", "请检查文件名")]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FactsUnreadable([Problem(str(path), "不是 UTF-8 的 YAML 文件", "请检查缩进和引号")]) from error
    if not isinstance(told, dict) or not isinstance(told.get("facts"), dict):
        raise FactsUnreadable([Problem("facts", "没有 facts 一节", "请写成 facts: {birth_date: 2016-02-29, …}")])
    return claims_told(told["facts"], on)


def claims_told(told: Mapping[Any, Any], on: date) -> list[Claim]:
    """The claims of a mapping from fact to value, or to a list of claims with their provenance.

    Raises:
        FactsUnreadable: something in it is no fact, or not of its fact's kind.
    """
    problems: list[Problem] = []
    claims: list[Claim] = []
    for key, value in told.items():
        try:
            name = FactName(str(key))
        except ValueError:
            near = get_close_matches(str(key), [fact.value for fact in FactName], 1)
            remedy = f"是不是 {near[0]}（{words.FACTS[FactName(near[0])]}）" if near else "可用的名称见部门指南"
            problems.append(Problem(str(key), "没有这个事实", remedy))
            continue
        claims += _claims_of(name, value, on, problems)
    for claim in claims:
        try:
            facts_of([claim])
        except UnreadableFact:
            problems.append(Problem(claim.name.value, "值不对", _how_to_write(claim.name)))
    if problems:
        raise FactsUnreadable(problems)
    return claims


def _claims_of(name: FactName, told: Any, on: date, problems: list[Problem]) -> list[Claim]:
    given = [one if isinstance(one, dict) else {"value": one} for one in (told if isinstance(told, list) else [told])]
    claims = []
    for one in given:
        strange = sorted(set(map(str, one)) - _PROVENANCE)
        if strange or "value" not in one:
            message = f"不认识 {'、'.join(strange)}" if strange else "没有 value"
            problems.append(Problem(name.value, message, f"可写 {'、'.join(sorted(_PROVENANCE))}"))
            continue
        valid_on = one.get("valid_on", on)
        recorded_on = one.get("recorded_on", valid_on)
        if type(valid_on) is not date or type(recorded_on) is not date:
            problems.append(Problem(name.value, "valid_on、recorded_on 不是日期", "请写成 2026-09-30"))
            continue
        claims.append(
            Claim(
                name,
                _value(name, one["value"]),
                str(one.get("unit", "")),
                str(one.get("dataset", "")),
                one.get("period"),
                valid_on,
                recorded_on,
                bool(one.get("chosen", False)),
                bool(one.get("verified", False)),
            )
        )
    if claims and not any(claim.chosen for claim in claims):
        newest = max(range(len(claims)), key=lambda index: (claims[index].valid_on, -index))
        claims[newest] = claims[newest]._replace(chosen=True)
    return claims


def _value(name: FactName, value: Any) -> Value:
    """YAML reads dates and codes its own way; an unquoted code is still a code."""
    if isinstance(value, date):
        return value.isoformat()
    if name in CODES and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, bool | int | str) else ""


def _how_to_write(name: FactName) -> str:
    if name in DAYS:
        return "请写日期，如 2026-09-30"
    if name in FLAGS:
        return "请写 true 或 false；不知道就不写"
    if name in NUMBERS:
        return "请写整数"
    known = WORDS.get(name)
    return f"可写 {'、'.join(sorted(known))}" if known else "请写代码，并加引号"


# ---------------------------------------------------------------- what changes when


@dataclass(frozen=True, slots=True)
class Change:
    """A day on which something is answered differently, and what."""

    on: date
    answers: tuple[tuple[Verdict, Verdict], ...]
    """Before and after."""
    begun: tuple[Derived, ...]
    ended: tuple[Derived, ...]

    def as_text(self, county: County) -> list[str]:
        lines = [str(self.on)]
        for before, after in self.answers:
            change = f"{words.ANSWERS[before.answer]} → {words.ANSWERS[after.answer]}"
            lines.append(f"  {_title(after.subject, county)}：{change}")
            lines += [f"    {line}" for line in _reasons(after.reasons, county)]
        lines += [f"  出现 {_finding(one, county)}" for one in self.begun]
        lines += [f"  不再出现 {_finding(one, county)}" for one in self.ended]
        return lines

    def as_data(self, county: County) -> dict[str, Any]:
        return {
            "on": self.on,
            "answers": [{"before": before.answer, **_verdict_data(after, county)} for before, after in self.answers],
            "begun": [_derived_data(one, county) for one in self.begun],
            "ended": [_derived_data(one, county) for one in self.ended],
        }


def line_of_changes(facts: Facts, county: County, now: Assessment, on: date, until: date) -> Iterable[Change]:
    """Jump from one day on which an answer may differ to the next, and tell those on which it does."""
    terms = terms_of(county)
    while now.until is not None and now.until <= until:
        on = now.until
        then = assess(facts, terms, on)
        before = {verdict.subject: verdict for verdict in _verdicts(now)}
        answers = tuple(
            (before[verdict.subject], verdict)
            for verdict in _verdicts(then)
            if verdict.answer is not before[verdict.subject].answer
        )
        shown, known = {one.code for one in then.derived}, {one.code for one in now.derived}
        begun = tuple(one for one in then.derived if one.code not in known)
        ended = tuple(one for one in now.derived if one.code not in shown)
        if answers or begun or ended:
            yield Change(on, answers, begun, ended)
        now = then


# ---------------------------------------------------------------- telling it


def _verdicts(assessment: Assessment) -> tuple[Verdict, ...]:
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
        lines.append(f"{_title(verdict.subject, county)}：{words.ANSWERS[verdict.answer]}{held}")
        if verdict.doing is not None and verdict.answer is not Answer.NO:
            lines.append(f"  办理 {words.DOINGS[verdict.doing]}")
        lines += [f"  因为 {line}" for line in _reasons(verdict.reasons, county)]
        lines += [f"  还缺 {line}" for line in _missing(verdict.missing, county)]
        lines += [f"  依据 {line}" for line in _citations(verdict.citations, county)]
        reading = words.reading(verdict.subject)
        if reading is not None:
            lines.append(f"  读法 {reading}")
        lines.append(f"  把握 {words.CERTAINTIES[verdict.certainty]}")
    lines += ["", "从事实看出、要有人去办的"]
    for one in assessment.derived:
        lines.append(f"  {_finding(one, county)}")
        lines += [f"    因为 {line}" for line in _reasons(one.reasons, county)]
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
        "derived": [_derived_data(one, county) for one in assessment.derived],
        "until": assessment.until,
    }


def _verdict_data(verdict: Verdict, county: County) -> dict[str, Any]:
    return {
        "subject": verdict.subject,
        "title": _title(verdict.subject, county),
        "answer": verdict.answer,
        "doing": verdict.doing,
        "reasons": [_reason_data(reason, county) for reason in verdict.reasons],
        "missing": [
            {"fact": one.fact, "criterion": one.criterion, "held_by": one.held_by, "text": text}
            for one, text in zip(verdict.missing, _missing(verdict.missing, county), strict=True)
        ],
        "citations": [
            {"code": code, "text": text}
            for code, text in zip(verdict.citations, _citations(verdict.citations, county), strict=True)
        ],
        "reading": words.reading(verdict.subject),
        "certainty": verdict.certainty,
        "until": verdict.until,
    }


def _derived_data(one: Derived, county: County) -> dict[str, Any]:
    return {
        "code": one.code,
        "route": one.route,
        "level": one.level,
        "item": one.item,
        "confirm_first": one.confirm_first,
        "text": _finding(one, county),
        "reasons": [_reason_data(reason, county) for reason in one.reasons],
    }


def _reason_data(reason: Reason, county: County) -> dict[str, Any]:
    text = words.sentence(reason.code, reason.params, county)
    return {"code": reason.code, "ok": reason.ok, "params": reason.params, "text": text}


def _title(subject: str, county: County) -> str:
    item = county.item(subject)
    return f"{subject} {item.title}" if item is not None else words.SUBJECTS[subject]


def _reasons(reasons: Iterable[Reason], county: County) -> list[str]:
    return [words.sentence(reason.code, reason.params, county) for reason in reasons]


def _missing(missing: Iterable[Missing], county: County) -> list[str]:
    told = []
    for one in missing:
        what = words.FACTS[one.fact] if one.fact is not None else f"县定口径“{words.term(one.criterion or '', county)}”"
        held = "、".join(words.unit(unit, county) for unit in one.held_by)
        ask = "掌握" if one.fact is not None else "可以定"
        told.append(f"{what}（{held}{ask}）" if held else what)
    return told


def _citations(codes: Iterable[str], county: County) -> list[str]:
    told = []
    for code in codes:
        cited = words.citation(code, county)
        if cited is None:
            told.append(code)
        else:
            phrase = f"“{cited.phrase}”" if cited.phrase is not None else ""
            told.append(f"{cited.where}{phrase}（{words.CERTAINTIES[cited.certainty]}）")
    return told


def _finding(one: Derived, county: County) -> str:
    route = county.route(one.route)
    title = route.title if route is not None else one.code.value
    first = "，先由乡镇核实" if one.confirm_first else ""
    return f"{one.route} {title}（{one.level} {words.LEVELS[one.level]}{first}）"
