"""A restricted referral from finding to closing leaves no trace on any ordinary topic."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwe
from joserfc.errors import JoseError

from contracts.eligibility import ChildAssessed, DerivedFinding, Verdict
from contracts.vocabulary import Answer, FindingCode, Level
from tests.county import a_county
from tests.registry.harness import an_id, record_read
from tests.registry.people import a_row, police
from tests.restricted.conftest import KEYS
from tests.restricted.harness import MONDAY, PublishedRecord, ServicesHarness, ce_id

POLICE, SCHOOLS, TOWNSHIP, LEAD = "341722-gaj", "341722-jtj", "341722-renli", "341722-mzj"
Begin = Callable[[], AbstractAsyncContextManager[ServicesHarness]]

# The routes that policy part 4 restricts, each with a finding that takes it and the unit that receives it.
ROUTES = {
    "R1": ("suspected_violence", POLICE),
    "R2": ("guardian_fails_duty", TOWNSHIP),
    "R3": ("guardian_fails_duty_seriously", POLICE),
    "R4": ("unattended", LEAD),
    "R5": ("no_guardian", LEAD),
    "R6": ("guardianship_to_revoke", "341722-fy"),
    "R7": ("domestic_violence", "341722-fy"),
    "R8": ("runaway_or_vagrant", POLICE),
    "R9": ("behaviour_concern", "341722-zfw"),
    "R11": ("bullying_or_harassment", POLICE),
    "R14": ("mental_distress", "341722-wjw"),
    "R15": ("mental_danger", "341722-wjw"),
}
# The restricted routes that eligibility derives findings for, each with a finding and the unit that receives it.
DERIVED = {
    "R4": ("unattended", LEAD),
    "R5": ("no_guardian", LEAD),
    "R14": ("mental_distress", "341722-wjw"),
    "R34": ("guardianship_at_risk", LEAD),
}
ROLES = {
    POLICE: "police_officer",
    TOWNSHIP: "township_civil_affairs",
    LEAD: "county_civil_affairs",
    "341722-fy": "judicial_officer",
    "341722-zfw": "agency_officer",
    "341722-wjw": "agency_officer",
}


@dataclass(frozen=True, slots=True)
class RestrictedReferral:
    """What the ordinary log-in of an agency could guess about a restricted referral."""

    unit: str
    child: str
    referral: str
    finding: str


async def run_case(
    system: ServicesHarness, code: str | None, guessed: RestrictedReferral | None, unit: str
) -> RestrictedReferral | None:
    """Run some days of one child's case, with the finding ``code`` reported by the school if it is given."""
    row = police(a_row())
    await system.consume(record_read(row), "intake.record.v1", an_id("record"))
    [child] = {each["child"] for each in system.read("registry.child.v1")}
    reported: dict[str, Any] = {
        "verb": "report",
        "role": "township_civil_affairs",
        "child": child,
        "township": "341722100",
    }
    await system.act(TOWNSHIP, "ordinary", **reported, findings=["no_hukou"])
    await system.act(TOWNSHIP, "hardship", **reported, findings=["sudden_hardship"])
    target = guessed
    if code is not None:
        identity = {"narrative": "只给承办人看的话", "reporter": "例老师"}
        report: dict[str, Any] = {"verb": "report", "role": "teacher", "findings": [code], "identity": identity}
        await system.act(SCHOOLS, "restricted", **report, child=child, township="341722100")
        target = _restricted_referral_of(system, unit, child)
        await _work_on(system, target)
    assert target is not None
    for entry in system.read(f"referral.queue.{POLICE}.v1")[:1]:
        await system.act(POLICE, "accept", **action_on(POLICE, entry["referral"], child), verb="accept")
    await _probe(system, target)
    for _ in range(3):
        await system.complete_day()
    return target


def action_on(unit: str, referral: str, child: str) -> dict[str, Any]:
    return {"role": ROLES[unit], "referral": referral, "child": child}


def _restricted_referral_of(system: ServicesHarness, unit: str, child: str) -> RestrictedReferral:
    [entry] = {each["referral"]: each for each in system.read(f"referral.queue.{unit}.restricted.v1")}.values()
    [receipt] = [each for each in system.read(f"receipt.{SCHOOLS}.v1") if each["finding"]]
    return RestrictedReferral(unit, child, entry["referral"], receipt["finding"])


async def _work_on(system: ServicesHarness, target: RestrictedReferral) -> None:
    """Take the referral from acceptance to closing, with one action that is refused."""
    action_fields = action_on(target.unit, target.referral, target.child)
    await system.act(target.unit, "r-accept", restricted=True, verb="accept", **action_fields)
    await system.act(target.unit, "r-again", restricted=True, verb="accept", **action_fields)
    await system.act(target.unit, "r-start", restricted=True, verb="start", **action_fields)
    await system.act(target.unit, "r-result", restricted=True, verb="result", result="resolved", **action_fields)
    await system.act(target.unit, "r-inform", restricted=True, verb="inform-reporter", channel="phone", **action_fields)
    close = {
        "verb": "close",
        "role": "agency_officer",
        "referral": target.referral,
        "child": target.child,
    }
    await system.act(SCHOOLS, "r-close", restricted=True, channel="phone", **close)


async def _probe(system: ServicesHarness, target: RestrictedReferral) -> None:
    """Try every action on the referral from the agency's ordinary log-in."""
    action_fields = action_on(target.unit, target.referral, target.child)
    call: dict[str, Any] = {"verb": "phone-report", "station": "110", "at": "2026-11-23T01:00:00Z", "reached": True}
    await system.act(target.unit, "p-accept", verb="accept", **action_fields)
    await system.act(
        target.unit,
        "p-bare",
        verb="start",
        role=ROLES[target.unit],
        referral=target.referral,
    )
    await system.act(target.unit, "p-result", verb="result", result="resolved", **action_fields)
    await system.act(target.unit, "p-call", **call, **action_fields)
    await system.act(
        target.unit,
        "p-finding",
        **call,
        role=ROLES[target.unit],
        finding=target.finding,
    )
    await system.act(target.unit, "r-accept", verb="accept", **action_fields)  # an id that the other log-in has used


def _id(name: str) -> str:
    return str(ce_id(name))


def ordinary(system: ServicesHarness) -> dict[str, list[PublishedRecord]]:
    """Return the records of every ordinary unit topic except the reporter's own actions and receipts."""
    own = {f"action.{SCHOOLS}.v1", f"receipt.{SCHOOLS}.v1"}
    families = ("action.", "receipt.", "referral.queue.", "disclosure.", "notify.inbox.")
    return {
        topic: records
        for topic, records in sorted(system.topics.items())
        if topic.startswith(families) and ".restricted." not in topic and topic not in own and records
    }


@pytest.mark.parametrize("route", ROUTES)
async def test_every_ordinary_topic_is_the_same_with_and_without_a_restricted_referral(
    route: str, begin: Begin
) -> None:
    code, unit = ROUTES[route]
    async with begin() as system:
        target = await run_case(system, code, None, unit)
        with_referral = ordinary(system)
        hidden = {topic for topic in system.topics if topic.endswith(f"{unit}.restricted.v1")}
        assert [each["route"] for each in system.read(f"referral.queue.{unit}.restricted.v1")][:1] == [route]
    async with begin() as system:
        await run_case(system, None, target, unit)
        without_referral = ordinary(system)

    assert {topic for topic in with_referral if POLICE in topic} == {
        f"{family}.{POLICE}.v1" for family in ("action", "receipt", "referral.queue", "disclosure", "notify.inbox")
    }
    assert hidden == {
        f"{family}.{unit}.restricted.v1"
        for family in ("action", "receipt", "referral.queue", "disclosure", "notify.inbox")
    }
    assert with_referral == without_referral


def test_every_restricted_route_with_a_finding_has_a_case() -> None:
    county = a_county()
    restricted = {route.id for route in county.routes if route.restricted and route.findings}
    assert restricted == ROUTES.keys() | DERIVED.keys()


def an_assessment(child: str, *derived: DerivedFinding) -> ChildAssessed:
    """Return an assessment of a migrant child of the township with the findings that its facts show."""
    return ChildAssessed(
        child=UUID(child),
        child_version=1,
        assessment=1,
        on=MONDAY,
        state="on_file",
        residence_division="341722100",
        township="341722100",
        migrant=Verdict(subject="migrant", answer=Answer.YES),
        statistical=Verdict(subject="statistical", answer=Answer.YES),
        items=(),
        derived=derived,
        until=None,
        ruleset="test",
        catalogue="test",
    )


async def run_derived_case(
    system: ServicesHarness, derived: DerivedFinding | None, guessed: str | None, *, decides: bool
) -> str:
    """Run some days of one child's case, with a restricted finding that its facts show if ``derived`` is given.

    Returns:
        The id of the restricted proposal, which the township's ordinary log-in tries to decide in either case.
    """
    await system.consume(record_read(a_row()), "intake.record.v1", an_id("record"))
    [child] = {each["child"] for each in system.read("registry.child.v1")}
    decision: dict[str, Any] = {"role": ROLES[TOWNSHIP], "child": child}
    await system.act(TOWNSHIP, "ordinary", **decision, verb="report", township="341722100", findings=["no_hukou"])
    out_of_school = DerivedFinding(
        code=FindingCode.OUT_OF_SCHOOL, route="R12", level=Level.L1, item="B-4(1)", confirm_first=True
    )
    findings = (out_of_school,) if derived is None else (out_of_school, derived)
    await system.consume(an_assessment(child, *findings), "eligibility.child.v1", an_id("assessment"))
    target = guessed
    if derived is not None:
        [target] = {
            each["proposal"] for each in system.read("referral.restricted.v1") if each.get("subject") == "referral"
        }
    assert target is not None
    for verb in ("confirm", "decline"):
        await system.act(TOWNSHIP, f"p-{verb}", **decision, verb=verb, proposal=target)
    if derived is not None and decides:
        await system.act(TOWNSHIP, "r-confirm", restricted=True, **decision, verb="confirm", proposal=target)
    for _ in range(3):
        await system.complete_day()
    return target


@pytest.mark.parametrize("decides", [True, False])
@pytest.mark.parametrize("route", DERIVED)
async def test_every_ordinary_topic_is_the_same_with_and_without_a_restricted_derived_finding(
    route: str, decides: bool, begin: Begin
) -> None:
    code, unit = DERIVED[route]
    derived = DerivedFinding(code=FindingCode(code), route=route, level=Level.L1, item=None, confirm_first=True)
    async with begin() as system:
        target = await run_derived_case(system, derived, None, decides=decides)
        with_finding = ordinary(system)
        queue = [each["route"] for each in system.read(f"referral.queue.{unit}.restricted.v1")]
        inbox = [each["subject"] for each in system.read(f"notify.inbox.{TOWNSHIP}.restricted.v1")]
    async with begin() as system:
        await run_derived_case(system, None, target, decides=decides)
        without_finding = ordinary(system)

    assert set(queue) == ({route} if decides else set())
    assert target in inbox
    assert {f"notify.inbox.{TOWNSHIP}.v1", f"receipt.{TOWNSHIP}.v1"} <= with_finding.keys()
    assert with_finding == without_finding


async def test_a_restricted_referral_is_accepted_processed_and_closed_from_the_restricted_log_in_alone(
    begin: Begin,
) -> None:
    async with begin() as system:
        target = await run_case(system, "suspected_violence", None, POLICE)
        assert target is not None

        states = [each["state"] for each in system.read(f"referral.queue.{POLICE}.restricted.v1")]
        assert list(dict.fromkeys(states)) == ["sent", "accepted", "in_progress", "result_reported", "closed"]
        answers = [each["outcome"] for each in system.read(f"receipt.{POLICE}.restricted.v1")]
        assert answers == ["taken"] * 5
        inbox = system.read(f"notify.inbox.{POLICE}.restricted.v1")
        assert [each["subject"] for each in inbox if each["template"] == "action.refused"] == [_id("r-again")]
        first, *_, last = system.topics[f"disclosure.{POLICE}.restricted.v1"]
        assert json.loads(str(first.body))["jwe"]["name"] == "例小明"
        assert json.loads(str(first.body))["jwe"]["narrative"] == "只给承办人看的话"
        assert last.body is None
        for records in (system.topics[topic] for topic in system.topics if topic.endswith(f"{POLICE}.restricted.v1")):
            assert {record.sensitivity for record in records} <= {"restricted", "identity"}


async def test_the_ordinary_log_in_gets_the_same_refusal_as_for_an_unknown_referral(begin: Begin) -> None:
    async with begin() as system:
        target = await run_case(system, "suspected_violence", None, POLICE)
        refused = {
            each["subject"]: each["text"]
            for each in system.read(f"notify.inbox.{POLICE}.v1")
            if each["template"] == "action.refused"
        }
        assert target is not None
        await system.act(POLICE, "unknown", verb="accept", **action_on(POLICE, str(UUID(int=1)), target.child))
        last = system.read(f"notify.inbox.{POLICE}.v1")[-1]

    assert set(refused) == {_id(name) for name in ("p-accept", "p-result", "p-call", "r-accept")}
    assert refused[_id("p-accept")] == last["text"]


async def test_the_ordinary_key_does_not_decrypt_a_restricted_disclosure(begin: Begin) -> None:
    async with begin() as system:
        await run_case(system, "suspected_violence", None, POLICE)

    sealed = [each for each in system.sealed if each.unit == POLICE]
    assert {each.restricted for each in sealed} == {False, True}
    for disclosed in sealed:
        with pytest.raises(JoseError):
            jwe.decrypt_compact(str(disclosed.jwe), KEYS[not disclosed.restricted])
