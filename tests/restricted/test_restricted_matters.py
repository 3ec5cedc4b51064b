"""A restricted referral from finding to closing: nothing on an ordinary topic shows that there is one."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwe
from joserfc.errors import JoseError

from tests.registry.harness import an_id, read
from tests.registry.people import a_row, police
from tests.restricted.chain import Chain, Published, ce_id
from tests.restricted.conftest import KEYS

POLICE, SCHOOLS, TOWNSHIP, LEAD = "341722-gaj", "341722-jtj", "341722-renli", "341722-mzj"
Begin = Callable[[], AbstractAsyncContextManager[Chain]]

# Policy, part 4: these routes travel on topics of their own. Route -> what somebody finds, and who receives it.
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
ROLES = {
    POLICE: "police_officer",
    TOWNSHIP: "township_civil_affairs",
    LEAD: "county_civil_affairs",
    "341722-fy": "judicial_officer",
    "341722-zfw": "agency_officer",
    "341722-wjw": "agency_officer",
}


@dataclass(frozen=True, slots=True)
class Matter:
    """The restricted referral, as far as the ordinary log-in of its agency could guess it."""

    unit: str
    child: str
    referral: str
    finding: str


async def lived(chain: Chain, code: str | None, guessed: Matter | None, unit: str) -> Matter | None:
    """Some days of one child. ``code``: what the school reports of it, if anything."""
    row = police(a_row())
    await chain.tell(read(row), "intake.record.v1", an_id("record"))
    [child] = {one["child"] for one in chain.read("registry.child.v1")}
    reported: dict[str, Any] = {
        "verb": "report",
        "role": "township_civil_affairs",
        "child": child,
        "township": "341722100",
    }
    await chain.act(TOWNSHIP, "ordinary", **reported, findings=["no_hukou"])
    await chain.act(TOWNSHIP, "hardship", **reported, findings=["sudden_hardship"])
    matter = guessed
    if code is not None:
        identity = {"narrative": "只给承办人看的话", "reporter": "例老师"}
        told: dict[str, Any] = {"verb": "report", "role": "teacher", "findings": [code], "identity": identity}
        await chain.act(SCHOOLS, "restricted", **told, child=child, township="341722100")
        matter = _matter_of(chain, unit, child)
        await _handled(chain, matter)
    assert matter is not None
    for entry in chain.read(f"referral.queue.{POLICE}.v1")[:1]:
        await chain.act(POLICE, "accept", **answer(POLICE, entry["referral"], child), verb="accept")
    await _probed(chain, matter)
    for _ in range(3):
        await chain.turn()
    return matter


def answer(unit: str, referral: str, child: str) -> dict[str, Any]:
    return {"role": ROLES[unit], "referral": referral, "child": child}


def _matter_of(chain: Chain, unit: str, child: str) -> Matter:
    [entry] = {one["referral"]: one for one in chain.read(f"referral.queue.{unit}.restricted.v1")}.values()
    [receipt] = [one for one in chain.read(f"receipt.{SCHOOLS}.v1") if one["finding"]]
    return Matter(unit, child, entry["referral"], receipt["finding"])


async def _handled(chain: Chain, matter: Matter) -> None:
    """Signed for, worked on, answered, told and closed; and once done in the wrong order."""
    about = answer(matter.unit, matter.referral, matter.child)
    await chain.act(matter.unit, "r-accept", restricted=True, verb="accept", **about)
    await chain.act(matter.unit, "r-again", restricted=True, verb="accept", **about)
    await chain.act(matter.unit, "r-start", restricted=True, verb="start", **about)
    await chain.act(matter.unit, "r-result", restricted=True, verb="result", result="resolved", **about)
    await chain.act(matter.unit, "r-inform", restricted=True, verb="inform-reporter", channel="phone", **about)
    close = {"verb": "close", "role": "agency_officer", "referral": matter.referral, "child": matter.child}
    await chain.act(SCHOOLS, "r-close", restricted=True, channel="phone", **close)


async def _probed(chain: Chain, matter: Matter) -> None:
    """The agency's ordinary log-in asks for the matter in every way that it has."""
    about = answer(matter.unit, matter.referral, matter.child)
    call: dict[str, Any] = {"verb": "phone-report", "station": "110", "at": "2026-11-23T01:00:00Z", "reached": True}
    await chain.act(matter.unit, "p-accept", verb="accept", **about)
    await chain.act(matter.unit, "p-bare", verb="start", role=ROLES[matter.unit], referral=matter.referral)
    await chain.act(matter.unit, "p-result", verb="result", result="resolved", **about)
    await chain.act(matter.unit, "p-call", **call, **about)
    await chain.act(matter.unit, "p-finding", **call, role=ROLES[matter.unit], finding=matter.finding)
    await chain.act(matter.unit, "r-accept", verb="accept", **about)  # an id that the other log-in has used


def _id(name: str) -> str:
    return str(ce_id(name))


def ordinary(chain: Chain) -> dict[str, list[Published]]:
    """Every topic of every unit's ordinary log-in, but for what the reporter itself wrote and was answered."""
    own = {f"action.{SCHOOLS}.v1", f"receipt.{SCHOOLS}.v1"}
    families = ("action.", "receipt.", "referral.queue.", "disclosure.", "notify.inbox.")
    return {
        topic: records
        for topic, records in sorted(chain.topics.items())
        if topic.startswith(families) and ".restricted." not in topic and topic not in own and records
    }


@pytest.mark.parametrize("route", ROUTES)
async def test_every_ordinary_topic_is_the_same_with_and_without_a_restricted_matter(route: str, begin: Begin) -> None:
    code, unit = ROUTES[route]
    async with begin() as chain:
        matter = await lived(chain, code, None, unit)
        seen = ordinary(chain)
        hidden = {topic for topic in chain.topics if topic.endswith(f"{unit}.restricted.v1")}
        assert [one["route"] for one in chain.read(f"referral.queue.{unit}.restricted.v1")][:1] == [route]
    async with begin() as chain:
        await lived(chain, None, matter, unit)
        without = ordinary(chain)

    assert {topic for topic in seen if POLICE in topic} == {
        f"{family}.{POLICE}.v1" for family in ("action", "receipt", "referral.queue", "disclosure", "notify.inbox")
    }
    assert hidden == {
        f"{family}.{unit}.restricted.v1"
        for family in ("action", "receipt", "referral.queue", "disclosure", "notify.inbox")
    }
    assert seen == without


async def test_it_is_signed_for_worked_on_and_closed_from_the_second_log_in_alone(begin: Begin) -> None:
    async with begin() as chain:
        matter = await lived(chain, "suspected_violence", None, POLICE)
        assert matter is not None

        states = [one["state"] for one in chain.read(f"referral.queue.{POLICE}.restricted.v1")]
        assert list(dict.fromkeys(states)) == ["sent", "accepted", "in_progress", "result_reported", "closed"]
        answers = [one["outcome"] for one in chain.read(f"receipt.{POLICE}.restricted.v1")]
        assert answers == ["taken"] * 5
        inbox = chain.read(f"notify.inbox.{POLICE}.restricted.v1")
        assert [one["subject"] for one in inbox if one["template"] == "action.refused"] == [_id("r-again")]
        first, *_, last = chain.topics[f"disclosure.{POLICE}.restricted.v1"]
        assert json.loads(str(first.body))["jwe"]["name"] == "例小明"
        assert json.loads(str(first.body))["jwe"]["narrative"] == "只给承办人看的话"
        assert last.body is None
        for records in (chain.topics[topic] for topic in chain.topics if topic.endswith(f"{POLICE}.restricted.v1")):
            assert {one.sensitivity for one in records} <= {"restricted", "identity"}


async def test_from_the_ordinary_log_in_it_is_refused_in_the_words_of_one_that_is_unknown(begin: Begin) -> None:
    async with begin() as chain:
        matter = await lived(chain, "suspected_violence", None, POLICE)
        refused = {
            one["subject"]: one["text"]
            for one in chain.read(f"notify.inbox.{POLICE}.v1")
            if one["template"] == "action.refused"
        }
        assert matter is not None
        await chain.act(POLICE, "unknown", verb="accept", **answer(POLICE, str(UUID(int=1)), matter.child))
        last = chain.read(f"notify.inbox.{POLICE}.v1")[-1]

    assert set(refused) == {_id(name) for name in ("p-accept", "p-result", "p-call", "r-accept")}
    assert refused[_id("p-accept")] == last["text"]


async def test_the_ordinary_key_does_not_open_it(begin: Begin) -> None:
    async with begin() as chain:
        await lived(chain, "suspected_violence", None, POLICE)

    sealed = [one for one in chain.sealed if one.unit == POLICE]
    assert {one.restricted for one in sealed} == {False, True}
    for disclosed in sealed:
        with pytest.raises(JoseError):
            jwe.decrypt_compact(str(disclosed.jwe), KEYS[not disclosed.restricted])
