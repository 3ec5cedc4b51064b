"""Writes an assessment, and what changes later, as Chinese text or as data for JSON."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from cli.assessment_changes import Change, results
from contracts.county import County
from contracts.vocabulary import Answer
from services.eligibility import labels
from services.eligibility.offline import Assessment, GapFinding, Ground, MissingInput, RuleResult


def as_text(assessment: Assessment, county: County, on: date) -> list[str]:
    lines = [
        f"{county.name}　{on}",
        f"规则 {assessment.ruleset}　清单 {assessment.catalogue}　县数据 {county.version}",
        "以下都是提示，由人认定；不确定的不是拒绝。",
    ]
    for result in results(assessment):
        lines.append("")
        held = f"（{result.until}前不变）" if result.until is not None else ""
        lines.append(f"{_title(result.subject, county)}：{labels.ANSWERS[result.answer]}{held}")
        if result.fulfilment is not None and result.answer is not Answer.NO:
            lines.append(f"  办理 {labels.FULFILMENTS[result.fulfilment]}")
        lines += [f"  因为 {line}" for line in _reasons(result.grounds, county)]
        lines += [f"  还缺 {line}" for line in _missing(result.missing, county)]
        lines += [f"  依据 {line}" for line in _citations(result.citations, county)]
        reading = labels.find_reading(result.subject)
        if reading is not None:
            lines.append(f"  读法 {reading}")
        lines.append(f"  把握 {labels.CERTAINTIES[result.certainty]}")
    lines += ["", "从事实看出、要有人去办的"]
    for gap in assessment.derived:
        lines.append(f"  {_finding(gap, county)}")
        lines += [f"    因为 {line}" for line in _reasons(gap.grounds, county)]
    if not assessment.derived:
        lines.append("  没有")
    if assessment.until is not None:
        lines += ["", f"没有新消息的话，{assessment.until}起可能有变化。"]
    return lines


def as_data(assessment: Assessment, county: County, on: date) -> dict[str, Any]:
    return {
        "county": county.code,
        "on": on,
        "ruleset": assessment.ruleset,
        "catalogue": assessment.catalogue,
        "county_version": county.version,
        "answers": [_result_data(result, county) for result in results(assessment)],
        "derived": [_derived_data(gap, county) for gap in assessment.derived],
        "until": assessment.until,
    }


def _result_data(result: RuleResult, county: County) -> dict[str, Any]:
    return {
        "subject": result.subject,
        "title": _title(result.subject, county),
        "answer": result.answer,
        "fulfilment": result.fulfilment,
        "reasons": [_reason_data(reason, county) for reason in result.grounds],
        "missing": [
            {"fact": absent.fact, "criterion": absent.criterion, "held_by": absent.held_by, "text": text}
            for absent, text in zip(result.missing, _missing(result.missing, county), strict=True)
        ],
        "citations": [
            {"code": code, "text": text}
            for code, text in zip(result.citations, _citations(result.citations, county), strict=True)
        ],
        "reading": labels.find_reading(result.subject),
        "certainty": result.certainty,
        "until": result.until,
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


def change_as_text(change: Change, county: County) -> list[str]:
    """Return the lines of one day of changes."""
    lines = [str(change.on)]
    for before, after in change.answers:
        answers = f"{labels.ANSWERS[before.answer]} → {labels.ANSWERS[after.answer]}"
        lines.append(f"  {_title(after.subject, county)}：{answers}")
        lines += [f"    {line}" for line in _reasons(after.grounds, county)]
    lines += [f"  出现 {_finding(gap, county)}" for gap in change.begun]
    lines += [f"  不再出现 {_finding(gap, county)}" for gap in change.ended]
    return lines


def change_as_data(change: Change, county: County) -> dict[str, Any]:
    """Return one day of changes as data for JSON."""
    return {
        "on": change.on,
        "answers": [{"before": before.answer, **_result_data(after, county)} for before, after in change.answers],
        "begun": [_derived_data(gap, county) for gap in change.begun],
        "ended": [_derived_data(gap, county) for gap in change.ended],
    }
