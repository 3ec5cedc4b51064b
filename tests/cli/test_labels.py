"""The command line shows Chinese: every code has a label, and no trace shows a raw code."""

import inspect
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, get_args
from uuid import uuid4

import pytest

from cli import labels
from cli.trace import CaseHistory, children_in, render
from client.kafka_client import Record
from contracts.child_number import check_letter, format_child_number
from contracts.referral import DutyChanged, LedgerEntryChanged, ProposalEnded, ProposalMade, ReferralChanged
from contracts.registry import FileReassigned, ReviewResolved
from contracts.vocabulary import (
    DutyKind,
    FactName,
    FindingCode,
    IdentityField,
    LedgerReason,
    ReferralState,
    Result,
    ReturnReason,
    Transition,
    Verb,
)
from services.intake.domain.fields import _FLAGS
from services.notify.domain import templates
from services.registry.domain import matching
from tests.county import demo_county

COUNTY = demo_county()
CHILD, REFERRAL = uuid4(), uuid4()
RAW = re.compile(r"[a-z]+_[a-z_]+|\b(?:sent|accepted|opened|merged|created|missed|contact|visit|return|resolved)\b")
"""Matches a raw code."""


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (ReferralState, labels.STATES),
        (Transition, labels.TRANSITIONS),
        (Result, labels.RESULTS),
        (FindingCode, labels.FINDINGS),
        (IdentityField, labels.IDENTITY),
        (LedgerReason, labels.LEDGER_REASONS),
        (ReturnReason, templates.REASONS),
        (DutyKind, templates.DUTIES),
        (Verb, templates.VERBS),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_code_of_the_vocabulary_has_a_label(codes: type[StrEnum], table: Mapping[StrEnum, str]) -> None:
    assert set(table) == set(codes)
    assert not [word for word in table.values() if RAW.search(word)]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (ProposalMade, "subject"),
        (LedgerEntryChanged, "change"),
        (DutyChanged, "change"),
        (FileReassigned, "reason"),
        (ReviewResolved, "outcome"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_literal_of_an_event_has_a_label(event: Any, field: str) -> None:
    for code in get_args(event.model_fields[field].annotation):
        assert labels.code(code) != code


def test_a_clue_is_verified_and_an_entry_of_the_ledger_is_approved() -> None:
    outcomes = get_args(ProposalEnded.model_fields["outcome"].annotation)
    shown = {
        subject: [labels.proposal_outcome(subject, outcome) for outcome in outcomes]
        for subject in get_args(ProposalMade.model_fields["subject"].annotation)
    }
    assert outcomes == ("confirmed", "declined", "escalated", "no_longer_shown")
    assert shown == {
        "referral": ["属实", "不属实", "超期，已提级督办", "数据已不再显示"],
        "ledger": ["同意列入", "不同意", "超期，已提级督办", "数据已不再显示"],
        "ledger_closing": ["同意移出", "不同意", "超期，已提级督办", "数据已不再显示"],
    }


def test_every_cause_of_a_transition_has_a_label() -> None:
    """The contract lists the causes in its description."""
    listed = re.search(r'cause: str \| None = None\n    """(.*?)"""', inspect.getsource(ReferralChanged), re.DOTALL)
    assert listed is not None
    for code in re.findall(r"``(\w+)``", listed[1]):
        assert labels.code(code) != code, code


def test_every_flag_of_a_row_and_evidence_of_a_match_has_a_label() -> None:
    for code in (*_FLAGS.values(), "id_missing", "id_other_paper", "id_damaged", "birth_date_conflict"):
        assert labels.code(code) != code
    for code in re.findall(r'"((?:same|similar|two)_\w+)"', inspect.getsource(matching)):
        assert labels.code(code) != code


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (FactName.SEX, 1, "性别 男"),
        (FactName.DISABILITY_KIND, 5, "残疾类别 智力"),
        (FactName.DISABILITY_GRADE, 2, "残疾等级 二级"),
        (FactName.SCHOOL_GRADE, 3, "年级 3"),
        (FactName.SCHOOL_STATUS, "dropped_out", "在读状态 辍学"),
        (FactName.FATHER_STATUS, "away", "父亲状况 外出"),
        (FactName.DIBAO, True, "家庭享受低保 是"),
        (FactName.BIRTH_DATE, "2016-03-05", "出生日期 2016-03-05"),
        (FactName.RESIDENCE_DIVISION, COUNTY.townships[0].code, f"居住地区划 {COUNTY.townships[0].name}"),
        (FactName.HUKOU_DIVISION, "341722", "户籍地区划 石台县"),
        (FactName.HUKOU_DIVISION, "abroad", "户籍地区划 国外"),
        (FactName.HUKOU_DIVISION, "999999", "户籍地区划 999999"),
    ],
)
def test_a_fact_is_shown_with_its_value_in_words(name: FactName, value: object, text: str) -> None:
    assert labels.fact(name, value, COUNTY) == text


def test_units_datasets_and_roles_have_the_countys_names() -> None:
    assert labels.dataset("hukou", COUNTY) == "常住人口（户籍）信息"
    assert labels.dataset("verify", COUNTY) == "当场核实"
    assert labels.role("child_director", COUNTY) == "儿童主任"
    assert labels.unit("341722-jtj", COUNTY) == "教体局"


def record(kind: str, **body: Any) -> Record:
    headers = {"ce_type": kind, "ce_id": str(uuid4()), "ce_time": "2026-11-25T18:10:00+00:00"}
    return Record("topic", 0, 0, str(CHILD), headers, body)


def a_transition(transition: str, state: str, **more: Any) -> Record:
    base: dict[str, Any] = dict.fromkeys(
        ("accept_by", "result_by", "reason", "cause", "overdue", "result", "escalated_to", "actor_unit")
    )
    body = {"referral": str(REFERRAL), "route": "R12", "level": "L2", "to_unit": "341722-jtj", "version": 1}
    return record("referral.ReferralChanged.v1", **{**base, **body, "transition": transition, "state": state, **more})


def test_a_whole_case_history_shows_no_raw_code() -> None:
    """The history contains every kind of event about a child."""
    other, review = str(uuid4()), str(uuid4())
    fact = {"unit": "341722-jtj", "valid_on": "2026-09-01", "chosen": True, "verified": True}
    history = CaseHistory(
        CHILD,
        records=[
            record(
                "intake.RecordRead.v1", unit="341722-jtj", dataset="school", period="2026H2", submission="x",
                valid_on="2026-09-01", facts={"sex": 1, "school_status": "enrolled", "hukou_division": "341722"},
                flags=["says_migrant", "says_left_behind", "id_missing", "id_damaged"],
            ),
            record("intake.RecordDisappeared.v1", unit="341722-gaj", dataset="residence", period="2026H2"),
        ],
        findings=[
            record(
                "registry.FindingAssigned.v1", unit="341722-jtj", place=None, role="teacher", candidate=True,
                findings=["out_of_school", "suspected_violence"],
            ),
            record("registry.FileReassigned.v1", on="2026-11-01", from_child=other, reason="matched"),
        ],
        files=[
            record(
                "registry.ChildChanged.v1", child_version=2, sources=["hukou", "insurance"],
                facts=[{"name": "sex", "value": 1, **fact}, {"name": "mother_status", "value": "away", **fact}],
            )
        ],
        reviews=[
            record(
                "registry.ReviewRequested.v1", on="2026-11-02", other=other, question=review,
                evidence=["same_name", "same_phone"], conflicts=["two_valid_numbers"],
            ),
            record("registry.ReviewResolved.v1", on="2026-11-03", unit="341722-mzj", outcome="cannot_link"),
            record("registry.FactConflictFound.v1", on="2026-11-03", name="school_status", units=["341722-jtj"]),
            record("registry.ActionRefused.v1", on="2026-11-03", unit="341722-jtj", verb="merge", code="same_file"),
        ],
        cases=[
            a_transition("sent", "sent", accept_by="2026-12-01T16:00:00Z"),
            a_transition("returned", "returned", reason="not_my_duty", actor_unit="341722-jtj"),
            a_transition("rerouted", "sent", to_unit="341722-renli", actor_unit="341722-mzj"),
            a_transition("escalated", "sent", overdue="accept", escalated_to="341722-mzj"),
            a_transition("escalated", "returned", cause="returned_too_often", escalated_to="341722-feg"),
            a_transition("result_reported", "result_reported", result="service_in_place", actor_unit="341722-jtj"),
            a_transition("withdrawn", "withdrawn", cause="no_longer_shown"),
            record(
                "referral.ProposalMade.v1", subject="ledger", route=None, ledger_reasons=["family_hardship"],
                unit="341722-renli", decide_by="2026-12-01T16:00:00Z",
            ),
            record(
                "referral.ProposalMade.v1", subject="referral", route="R34", ledger_reasons=[], unit="341722-renli",
                decide_by="2026-12-01T16:00:00Z",
            ),
            record("referral.ProposalEnded.v1", subject="ledger", outcome="confirmed", actor_unit="341722-renli"),
            record("referral.LedgerEntryChanged.v1", change="opened", reasons=["mind_or_behaviour"]),
            record(
                "referral.DutyChanged.v1", duty_kind="first_visit", period="2026-11", change="missed",
                due_on="2026-11-20",
            ),
            record("referral.ActionRefused.v1", unit="341722-jtj", verb="close", code="reporter_not_informed"),
        ],
        disclosures=[
            record("registry.Disclosed.v1", unit="341722-gaj", fields=["address", "birth_date", "guardian_phone"])
        ],
    )  # fmt: skip
    text = "\n".join(render(history, COUNTY))
    assert not RAW.findall(text), RAW.findall(text)
    for chinese in (
        "教体局《在校在园儿童信息》（2026H2 整份文件）：性别 男，在读状态 在读，户籍地区划 石台县",
        "表中填为随迁子女",
        "教体局（教师）报告：义务教育阶段辍学",
        "来源：常住人口（户籍）信息、城乡居民医保参保信息",
        "姓名相同、电话相同、有两个不同的有效证件号",
        "民政局判断：不是同一名儿童",
        "教体局退回 → 教体局，已退回（不属本单位职责）",
        "反馈结果 → 教体局，已反馈（服务已落实）",
        "提请仁里镇审定：纳入台账（家庭生活困难）",
        "首次走访 2026-11：逾期未做",
        "教体局的“办结”没有办成：还没有告知报告人",
        "向公安局提供信息（加密）：现住址、出生日期、监护人电话",
    ):
        assert chinese in text, chinese


def test_a_history_names_children_by_their_short_numbers() -> None:
    """A review names the other file, whichever of the two it was requested about."""
    merged, first, second = (str(uuid4()) for _ in range(3))
    review = {"on": "2026-11-02", "review": str(uuid4()), "evidence": ["same_name"], "conflicts": []}
    history = CaseHistory(
        CHILD,
        findings=[record("registry.FileReassigned.v1", on="2026-11-01", from_child=merged, reason="merge")],
        files=[record("registry.ChildChanged.v1", child_version=1, sources=[], facts=[])],
        reviews=[
            record("registry.ReviewRequested.v1", child=str(CHILD), other=first, **review),
            record("registry.ReviewRequested.v1", child=second, other=str(CHILD), **review),
        ],
    )
    assert children_in(history) == {str(CHILD), merged, first, second}
    history.numbers = {
        child: format_child_number(f"48210937551{digit}")
        for digit, child in enumerate((str(CHILD), merged, first, second))
    }
    text = "\n".join(render(history, COUNTY))
    assert text.startswith(f"儿童 4821-0937-5510-{check_letter('482109375510')}（档案 {CHILD}）\n")
    assert [f"档案 {history.numbers[merged]} 并入" in text] + [
        f"与 {history.numbers[other]} 是不是" in text for other in (first, second)
    ] == [True] * 3


LATER = "code_of_a_later_version"


@pytest.mark.parametrize(
    "label",
    [
        labels.code,
        labels.state,
        labels.transition,
        labels.result,
        labels.duty,
        labels.verb,
        labels.return_reason,
        labels.fact_name,
        lambda code: labels.findings([code]),
        lambda code: labels.fields([code]),
        lambda code: labels.ledger([code]),
        lambda code: labels.role(code, COUNTY),
        lambda code: labels.dataset(code, COUNTY),
        lambda code: labels.unit(code, COUNTY),
    ],
    ids=[
        *("code", "state", "transition", "result", "duty", "verb", "return_reason", "fact_name"),
        *("findings", "fields", "ledger", "role", "dataset", "unit"),
    ],
)
def test_a_code_of_a_later_version_stays_readable(label: Callable[[str], str]) -> None:
    """A tool that is older than the events shows the code itself."""
    assert label(LATER) == LATER


def test_a_fact_and_a_refusal_of_a_later_version_are_shown() -> None:
    assert labels.fact(LATER, "7", COUNTY) == f"{LATER} 7"
    assert labels.refusal(LATER) == templates.OTHER_REFUSAL[0]


def test_a_history_of_a_later_version_is_rendered_completely() -> None:
    history = CaseHistory(
        CHILD,
        cases=[
            a_transition(LATER, LATER, reason=LATER),
            a_transition("result_reported", "result_reported", result=LATER),
            record("referral.LedgerEntryChanged.v1", change=LATER, reasons=[LATER]),
            record("referral.DutyChanged.v1", duty_kind=LATER, period="2026-11", change=LATER, due_on="2026-11-20"),
        ],
    )
    text = "\n".join(render(history, COUNTY))
    for line in (
        f"{LATER} → 教体局，{LATER}（{LATER}）",
        f"反馈结果 → 教体局，已反馈（{LATER}）",
        f"重点关爱台账{LATER}（{LATER}）",
        f"{LATER} 2026-11：{LATER}",
    ):
        assert line in text, text
