"""Bystanders may read a notice: it contains no name, school, illness or conduct, whatever the event contains."""

import ast
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.event import Event
from contracts.notify import AlarmRaised, Notice
from contracts.referral import ReferralChanged
from contracts.vocabulary import DutyKind, FactName, Level, ReturnReason, Verb
from services.notify import recipients
from services.notify.domain import templates
from services.notify.domain.digest import DUTY_ACTIONS
from services.notify.domain.templates import CALL_FIRST, REFUSALS, TEMPLATES, InvalidValue, Value, placeholders, render
from services.notify.unit_directory import UnitDirectory
from tests.county import a_county
from tests.notify.conftest import Notify
from tests.notify.events import every_event

HOSTILE = (
    "张小演",
    "990000201503120136",
    "13900000000",
    "示例小学三年级二班",
    "抑郁发作",
    "盗窃",
    "{due}",
    "{unit}\n请回拨",
    "<b>",
)
NEVER = re.compile(
    r"\d{6}|姓名|身份证|学校|小学|中学|幼儿园|诊断|患|病|抑郁|精神|残疾|艾滋|不良|违法|犯罪|盗|欺凌|性侵|暴力|吸毒"
    r"|户籍(?!信息)|住址"
)
UNITS = {unit.id: unit.short for unit in a_county().units if unit.parent is None}
TIMES = (date(2026, 11, 26), datetime(2026, 11, 26, 9, 30, tzinfo=UTC), None)
EVERY: dict[str, tuple[Value, ...]] = {
    "unit": (*UNITS, "341722-gone", None),
    "right": (*UNITS, None),
    "due": TIMES,
    "soonest": TIMES,
    "level": tuple(Level),
    "reason": (*ReturnReason, None),
    "why": (*templates.WHY, None),
    "duty": tuple(DutyKind),
    "verb": tuple(Verb),
    "refusal": (*templates.REFUSALS, "a code that nobody worded"),
    "fact": tuple(FactName),
    "counts": ("待签收2件，其中超期1件", *(form.format(3) for form in templates.COUNT_FORMS)),
    "queue": (True, False),
    "reporter": (True, False),
    "days": (7,),
}
"""Placeholder -> every value that it can have; for counts, every form."""
RIGHT: dict[str, Value] = {placeholder: values[0] for placeholder, values in EVERY.items()}


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_template_contains_a_hostile_value(template: str) -> None:
    for placeholder in placeholders(template):
        for hostile in HOSTILE:
            text = rendered_or_refused(template, {**RIGHT, placeholder: hostile})
            assert hostile not in text
            assert not NEVER.search(text)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_a_whole_sentence_and_says_nothing_about_the_child(template: str) -> None:
    """The test tries every value of each placeholder."""
    for values in [
        {**RIGHT, placeholder: value} for placeholder in placeholders(template) for value in EVERY[placeholder]
    ] or [RIGHT]:
        for call in (False, True):
            text = render(template, UNITS, values, call=call, provisional=call)
            assert text.endswith("。")
            assert not re.search(r"[{}]|None|341722|，，|。。|：。|，。", text)
            assert not NEVER.search(text.replace(CALL_FIRST, "")), text
            assert text.startswith(CALL_FIRST) is call
            assert text.endswith(templates.PROVISIONAL) is call
    assert templates.urgency(template, call=True) == "call"
    assert templates.urgency(template) == TEMPLATES[template].urgency


def test_the_pattern_of_forbidden_words_matches_them() -> None:
    for forbidden in ("990000201503120136", "示例小学的一名儿童", "诊断", "抑郁发作", "吸毒", "户籍地址"):
        assert NEVER.search(f"有一条待办：{forbidden}。")
    assert set(EVERY) == {placeholder for template in TEMPLATES for placeholder in placeholders(template)}, (
        "every placeholder is tried"
    )


def rendered_or_refused(template: str, values: dict[str, Value]) -> str:
    """Return the sentence, or the message of the refusal to render it."""
    try:
        return render(template, UNITS, values)
    except InvalidValue as refusal:
        return str(refusal)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_without_values_never_shows_none(template: str) -> None:
    assert "None" not in rendered_or_refused(template, {})


def test_the_line_for_a_smaller_place_names_the_place_and_no_stranger() -> None:
    assert render("referral.closed", {**UNITS, "341722-cdc": "疾控中心"}, {}, forward_to="341722-cdc").startswith(
        "请转告疾控中心："
    )
    assert render("referral.closed", UNITS, {}, forward_to="张小演").startswith("请转告其他单位：")


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_text_from_an_event_is_never_copied_into_a_notice(notify: Notify, hostile: str) -> None:
    """Every free text of every event that notify consumes contains a text that must not appear."""
    emitted = await notify.consume(*(with_hostile_text(event, hostile, units=False) for event in every_event()))
    emitted += await notify.consume(*(with_hostile_text(event, hostile, units=True) for event in every_event()))
    texts = [outbound.event.text for outbound in emitted if isinstance(outbound.event, Notice | AlarmRaised)]
    assert len(texts) > 50
    for text in texts:
        assert hostile not in text
        assert not NEVER.search(text.replace(CALL_FIRST, "")), text
    kept = await notify.connection.fetch("SELECT text FROM inbox UNION ALL SELECT text FROM alarm")
    assert {row["text"] for row in kept} >= set(texts)


def with_hostile_text(event: Any, hostile: str, *, units: bool) -> Event:
    """Return the event with ``hostile`` in every free-text field; ``units``: in the fields of unit ids too."""
    changes: dict[str, Any] = {}
    for name, field in type(event).model_fields.items():
        if not units and (name.endswith("unit") or name in ("units", "inform", "escalated_to")):
            continue
        if field.annotation in (str, str | None):
            changes[name] = hostile
        if field.annotation == tuple[str, ...]:
            changes[name] = (hostile, "341722-jtj")
    changed: Event = type(event).model_validate({**dict(event), **changes})
    return changed


def test_every_code_of_the_vocabulary_has_a_label() -> None:
    assert set(templates.VERBS) == set(Verb)
    assert set(templates.REASONS) == set(ReturnReason)
    assert set(templates.DUTIES) == set(templates.RECORDED_BY) == set(DUTY_ACTIONS) == set(DutyKind)


def test_every_refusal_of_a_service_has_its_reason_and_remedy() -> None:
    codes = {code for service in ("referral", "registry") for code in refusals_of(service)}
    assert len(codes) > 30
    assert codes <= set(REFUSALS)
    assert set(REFUSALS) <= codes, "every label belongs to a code that a service uses"


REFUSAL_TYPES = {"TransitionRefused", "ActionRefusal"}


def refusals_of(service: str) -> set[str]:
    """Return every code that a refusal of a service can have, including one that another function chose."""
    codes: set[str] = set()
    for path in (Path(templates.__file__).parents[2] / service).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for function in functions.values():
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSAL_TYPES:
                    codes |= {code for argument in node.args for code in codes_of(argument, function, functions)}
    return codes


def codes_of(argument: ast.expr, function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> set[str]:
    """Return the codes that an argument may be. For ``code = self._why_not(...)`` these are its return values."""
    literal = {
        node.value for node in ast.walk(argument) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    if literal or not (isinstance(argument, ast.Name) and argument.id == "code"):
        return {code for code in literal if re.fullmatch("[a-z_]+", code)}
    [assigned] = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "code"
    ]
    assert isinstance(assigned, ast.Call), f"nobody can tell which codes {function.name} refuses with"
    assert isinstance(assigned.func, ast.Attribute)
    values = [node.value for node in ast.walk(functions[assigned.func.attr]) if isinstance(node, ast.Return)]
    return {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}


def test_no_refusal_says_anything_about_the_child() -> None:
    for reason, remedy in (*REFUSALS.values(), templates.OTHER_REFUSAL):
        assert not NEVER.search(reason + remedy)
        assert remedy.startswith(("请", "事项", "不用"))
        assert not (reason + remedy).endswith(("。", "，")), "the template ends the sentence"


@pytest.mark.parametrize(
    ("due", "text"),
    [
        (datetime(2026, 11, 26, 9, tzinfo=UTC), "11月26日17时"),
        (datetime(2026, 11, 26, 16, 5, tzinfo=UTC), "11月27日0时05分"),
        (datetime(2026, 11, 26, 16, tzinfo=UTC), "11月26日24时"),
        (datetime(2026, 12, 31, 16, tzinfo=UTC), "12月31日24时"),
        (date(2026, 3, 1), "3月1日"),
        (None, "规定时限"),
    ],
)
def test_a_due_date_is_the_countys_and_ends_with_its_own_day(due: Value, text: str) -> None:
    assert render("proposal.ledger", UNITS, {"due": due}).partition("，")[2].startswith(f"请于{text}前审定")


def test_every_change_of_a_referral_uses_a_template_that_exists() -> None:
    directory = UnitDirectory.of(a_county())
    for event in every_event():
        if isinstance(event, ReferralChanged):
            for draft in recipients.referral_notices(event, directory):
                assert draft.template in TEMPLATES
                assert set(placeholders(draft.template)) <= {*draft.values, "queue"}
