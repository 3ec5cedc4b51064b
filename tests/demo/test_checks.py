"""The outcome check reports each deliberate violation and accepts a correct outcome."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from client.kafka_client import Record
from demo.checks import privacy
from demo.checks.outcome import Outcome
from demo.checks.suite import check
from demo.data.identities import with_check

PLAIN = (
    "demo.actors.department",
    "demo.actors.agency",
    "demo.actors.county_staff",
    "demo.checks.suite",
    "demo.checks.privacy",
)

NAME = "测梓涵"
NUMBER = with_check("34172120150102980")
PHONE = "19900000001"
ROW = "00000000-0000-5000-8000-000000000001"
REPORT = "00000000-0000-5000-8000-000000000002"


def record(
    topic: str, kind: str, body: dict[str, Any], *, n: int = 0, cause: str | None = None, key: str = "k"
) -> Record:
    """The n-th event of a service on the only partition of a topic."""
    headers = {
        "ce_id": f"{topic}-{n}",
        "ce_type": kind,
        "ce_source": "service",
        "ce_producerid": "1",
        "ce_sequence": str(n),
    }
    if cause is not None:
        headers["ce_causationid"] = cause
    return Record(topic, 0, n, key, headers, body)


def parent(name: str, number: str) -> dict[str, str]:
    return {"name": name, "id_number": number, "phone": PHONE}


def truth() -> dict[str, Any]:
    """The ground truth of one child with one row in one file and one report."""
    family = {
        "father": parent("测国军", with_check("34172119800102981")),
        "mother": parent("演秀兰", with_check("34172119810102980")),
    }
    child = {
        "key": "c1",
        "cohort": "settled",
        "name": NAME,
        "id_number": NUMBER,
        "family": family,
        "migrant_from": "2025-01-01",
        "migrant_until": "2031-01-02",
    }
    rows = [{"number": 2, "ce_id": ROW, "child": "c1", "cells": [["姓名", NAME]], "defect": None}]
    other = {**child, "key": "c2", "name": "例浩轩", "id_number": with_check("34172120160102980")}
    return {
        "children": [child, other],
        "submissions": [
            {
                "submission": "s1", "unit": "u", "dataset": dataset, "channel": "file", "expect": "taken", "rows": rows,
                "day": "2026-09-02", "title": None,
            }
            for dataset in ("hukou", "residence")
        ],
        "planted_findings": [
            {
                "ce_id": REPORT, "child": "c1", "unit": "u", "day": "2026-09-03", "code": "unattended", "route": "R4",
                "to_unit": "341722-mzj", "restricted": True, "on_file": True,
            }
        ],
        "service_gaps": [{"child": "c1", "code": "uninsured", "route": "R25", "to_unit": "341722-rsj"}],
    }  # fmt: skip


def moved(referral: str, finding: str | None, code: str, route: str, to_unit: str, **more: Any) -> dict[str, Any]:
    return {
        "referral": referral, "transition": "sent", "finding": finding, "findings": [code], "route": route,
        "to_unit": to_unit, "child": "file-1", **more,
    }  # fmt: skip


def topics() -> dict[str, list[Record]]:
    """The records of a correct outcome."""
    answer = {
        "submission": "s1", "outcome": "taken", "rows": 1, "accepted": 1, "accepted_with_drops": 0, "refused": 0,
        "unchanged": 0, "problems": [], "unit": "u",
    }  # fmt: skip
    action = {"ce_id": REPORT, "outcome": "taken", "finding": "f1", "code": ""}
    notice = {
        "notice": "n1", "unit": "u", "restricted": False, "template": "referral.sent", "subject": "r2",
        "child": "file-1", "text": "有一条转介待办", "on": "2026-09-03",
    }  # fmt: skip
    assessed = {"child": "file-1", "on": "2026-09-03", "migrant": {"answer": "yes"}}
    return {
        "receipt.u.v1": [
            record("receipt.u.v1", "intake.SubmissionAnswered.v1", answer),
            record("receipt.u.v1", "intake.ActionAnswered.v1", action, n=1),
        ],
        "department.u.v1": [],
        "intake.record.v1": [
            record("intake.record.v1", "intake.RecordRead.v1", {"record": "rec-1"}, cause=ROW),
        ],
        "eligibility.child.v1": [record("eligibility.child.v1", "eligibility.ChildAssessed.v1", assessed)],
        "referral.restricted.v1": [
            record(
                "referral.restricted.v1",
                "referral.ReferralChanged.v1",
                moved("r1", "f1", "unattended", "R4", "341722-mzj"),
            )
        ],
        "referral.case.v1": [
            record(
                "referral.case.v1", "referral.ReferralChanged.v1", moved("r2", None, "uninsured", "R25", "341722-rsj")
            )
        ],
        "referral.queue.341722-mzj.restricted.v1": [
            record("q1", "referral.QueueEntry.v1", {"version": 1}, key="r1"),
        ],
        "referral.queue.341722-rsj.v1": [record("q2", "referral.QueueEntry.v1", {"version": 1}, key="r2")],
        "notify.inbox.u.v1": [record("notify.inbox.u.v1", "notify.Notice.v1", notice)],
    }


def outcome(
    change: Callable[[dict[str, list[Record]]], None] = lambda records_by_topic: None,
    files: dict[str, str] | None = None,
) -> Outcome:
    records_by_topic = topics()
    change(records_by_topic)
    return Outcome(truth(), records_by_topic, files or {"rec-1": "file-1"}, {"s1": "s1"}, "2026-09-30")


def wrong(found: Outcome) -> list[str]:
    return [one.statement for one in check(found) if not one.passed]


def test_a_right_outcome_passes() -> None:
    assert wrong(outcome()) == []


def _rows_lost(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["receipt.u.v1"][0].body["accepted"] = 0


def _report_refused(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["receipt.u.v1"][1].body.update(outcome="refused", finding=None)


def _referred_twice(records_by_topic: dict[str, list[Record]]) -> None:
    again = moved("r9", "f1", "unattended", "R4", "341722-mzj")
    records_by_topic["referral.restricted.v1"].append(
        record("referral.restricted.v1", "referral.ReferralChanged.v1", again, n=1)
    )


def _seen_by_all(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["referral.queue.341722-mzj.v1"] = [
        record("q3", "referral.QueueEntry.v1", {"version": 1}, key="r1")
    ]


def _disclosed_to_all(records_by_topic: dict[str, list[Record]]) -> None:
    sealed = {"referral": "r1", "fields": ["name"], "jwe": "x"}
    records_by_topic["disclosure.341722-mzj.v1"] = [record("d1", "registry.Disclosed.v1", sealed, key="r1")]


def _announced_to_all(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["notify.inbox.u.v1"][0].body["subject"] = "r1"


def _gap_forgotten(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["referral.case.v1"].clear()


def _same_state_twice(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["referral.queue.341722-rsj.v1"].append(
        record("q2", "referral.QueueEntry.v1", {"version": 1}, n=1, key="r2")
    )


def _notified_twice(records_by_topic: dict[str, list[Record]]) -> None:
    again = {**records_by_topic["notify.inbox.u.v1"][0].body, "notice": "n2"}
    records_by_topic["notify.inbox.u.v1"].append(record("notify.inbox.u.v1", "notify.Notice.v1", again, n=1))


def _event_lost(records_by_topic: dict[str, list[Record]]) -> None:
    later = records_by_topic["eligibility.child.v1"][0].body
    records_by_topic["eligibility.child.v1"].append(
        record("eligibility.child.v1", "eligibility.ChildAssessed.v1", later, n=2)
    )


def _wrong_answer(records_by_topic: dict[str, list[Record]]) -> None:
    records_by_topic["eligibility.child.v1"][0].body["migrant"]["answer"] = "unknown"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_rows_lost, "every file has one receipt"),
        (_report_refused, "every report of a person was taken once"),
        (_referred_twice, "every reported finding is one referral"),
        (_seen_by_all, "every reported finding is one referral"),
        (_disclosed_to_all, "no ordinary topic of a unit names a restricted matter"),
        (_announced_to_all, "no ordinary topic of a unit names a restricted matter"),
        (_gap_forgotten, "every gap in the facts is one referral"),
        (_same_state_twice, "no queue shows the same state"),
        (_notified_twice, "no notice comes twice"),
        (_event_lost, "no event of any service is missing"),
        (_wrong_answer, "who is a migrant child"),
    ],
)
def test_each_violation_is_reported(change: Callable[[dict[str, list[Record]]], None], what: str) -> None:
    """One record is made wrong, and the check for it fails."""
    assert any(statement.startswith(what) for statement in wrong(outcome(change)))


def test_a_duplicate_on_a_topic_is_not_a_violation() -> None:
    """The relay of a killed service publishes again; consumers and the outcome check drop the duplicate by its id."""

    def sent_again(records_by_topic: dict[str, list[Record]]) -> None:
        for records in records_by_topic.values():
            records.extend(list(records))

    assert wrong(outcome(sent_again)) == []


def test_two_children_in_one_file_are_reported() -> None:
    def second(records_by_topic: dict[str, list[Record]]) -> None:
        records_by_topic["intake.record.v1"].append(
            record("intake.record.v1", "intake.RecordRead.v1", {"record": "rec-2"}, n=1, cause=REPORT)
        )

    found = outcome(second, {"rec-1": "file-1", "rec-2": "file-1"})
    assert wrong(found) == []
    found.truth["planted_findings"][0]["child"] = "c2"
    assert "no file holds records of two children" in wrong(found)


def test_a_lost_record_is_reported() -> None:
    found = outcome()
    found.record_child.clear()
    assert any("none is lost" in what for what in wrong(found))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (f"child {NAME} came", {"name"}),
        (f'{{"x": "{NAME}"}}'.encode("unicode_escape").decode(), {"name"}),
        (f"G{NUMBER}", {"ID number"}),
        (f"id={NUMBER};", {"ID number", "18-digit number"}),
        ("id=11010519491231002X", {"18-digit number"}),
        (f"call {PHONE}", {"telephone", "telephone-like number"}),
        ("call 13800138000", {"telephone-like number"}),
        ("test offset 341721201501029801", set()),
        ("dead13800138000beef", set()),
        ("测试完成", set()),
        ("2026-09-03T01:00:00Z 1795475827.281", set()),
    ],
)
def test_only_personal_data_is_found(text: str, kinds: set[str]) -> None:
    """Names are found when escaped and ID numbers inside longer numbers; hashes and times are not mistaken for them."""
    assert set(privacy.Identities.from_truth(truth()).find(text)) == kinds


@pytest.mark.parametrize("module", PLAIN)
def test_actors_and_checks_import_nothing_of_hutong_but_the_client(module: str) -> None:
    """The clients and the outcome check use only confluent-kafka, joserfc and the standard library."""
    code = (
        f"import sys; import {module}; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] in "
        "('contracts', 'workbooks', 'county', 'runtime', 'services', 'deploy', 'cli', 'faststream')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
