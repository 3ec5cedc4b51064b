"""Actions of a unit's staff: their authority, their required fields, and that each is accepted once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from contracts.event import Event
from contracts.intake import Action, ActionAccepted, ActionAnswered, FindingReported, RecordRead
from contracts.vocabulary import FactName, FindingCode, IdentityField, Verb
from services.intake.domain.action import TEXTS
from tests.county import a_county
from tests.intake.harness import NOON, Harness, an_id, only
from tests.intake.test_id_number import a_number

MZJ, RENLI, GAJ = "341722-mzj", "341722-renli", "341722-gaj"
CHILD, REFERRAL, OTHER = an_id("child"), an_id("referral"), an_id("other")
TODAY = date(2026, 11, 23)


def an_action(verb: str, **changes: Any) -> Action:
    """Return an action of the county's civil affairs with everything that its verb needs."""
    needed: dict[str, dict[str, Any]] = {
        "report": {"findings": ["unattended"]},
        "phone-report": {"child": CHILD, "referral": REFERRAL, "station": "仁里派出所", "at": NOON, "reached": True},
        "accept": {"child": CHILD, "referral": REFERRAL},
        "start": {"child": CHILD, "referral": REFERRAL},
        "return": {"child": CHILD, "referral": REFERRAL, "reason": "not_my_duty"},
        "reroute": {"child": CHILD, "referral": REFERRAL, "to_unit": GAJ},
        "extend": {"child": CHILD, "referral": REFERRAL, "days": 5},
        "result": {"child": CHILD, "referral": REFERRAL, "result": "resolved"},
        "withdraw": {"child": CHILD, "referral": REFERRAL},
        "inform-reporter": {"child": CHILD, "referral": REFERRAL, "channel": "phone"},
        "close": {"child": CHILD, "referral": REFERRAL, "channel": "phone"},
        "reopen": {"child": CHILD, "referral": REFERRAL},
        "contact": {"child": CHILD, "mode": "phone", "reached": True},
        "visit": {"child": CHILD, "at_residence": True},
        "verify": {"child": CHILD, "outcome": "confirmed"},
        "confirm": {"child": CHILD, "proposal": an_id("proposal")},
        "decline": {"child": CHILD, "proposal": an_id("proposal")},
        "merge": {"child": CHILD, "other": OTHER},
        "split": {"child": CHILD, "records": [an_id("record")]},
    }
    return Action.model_validate({"verb": verb, "role": "county_civil_affairs", **needed[verb], **changes})


async def refusal(intake: Harness, action: Action, unit: str = MZJ) -> str:
    """Return the code of the refusal; assert that nothing else was emitted."""
    [answer] = await intake.act(action, unit=unit)
    assert isinstance(answer, ActionAnswered)
    assert answer.outcome == "refused"
    assert answer.message.endswith("。")
    assert answer.remedy.endswith("。")
    return answer.code


@pytest.mark.parametrize("verb", [verb.value for verb in Verb if verb is not Verb.REPORT])
async def test_a_complete_action_is_emitted_under_the_childs_key(intake: Harness, verb: str) -> None:
    accepted, answer = await intake.act(an_action(verb), unit=MZJ)

    assert isinstance(accepted, ActionAccepted)
    assert isinstance(answer, ActionAnswered)
    assert (accepted.verb, accepted.unit, accepted.role) == (verb, MZJ, "county_civil_affairs")
    assert (accepted.key, accepted.on, accepted.recorded_at) == (str(CHILD), TODAY, NOON)
    assert (answer.outcome, answer.ce_id) == ("taken", accepted.ce_id)


@pytest.mark.parametrize(
    ("verb", "without"),
    [
        *((verb, name) for verb in ("accept", "start", "return", "reroute", "extend", "result", "withdraw",
                                    "inform-reporter", "reopen") for name in ("child", "referral")),
        ("close", "child"),
        ("return", "reason"),
        ("reroute", "to_unit"),
        ("extend", "days"),
        ("result", "result"),
        ("inform-reporter", "channel"),
        ("close", "channel"),
        ("close", "referral"),
        ("phone-report", "station"),
        ("phone-report", "at"),
        ("phone-report", "reached"),
        ("phone-report", "child"),
        ("phone-report", "referral"),
        ("contact", "child"),
        ("contact", "mode"),
        ("contact", "reached"),
        ("visit", "child"),
        ("visit", "at_residence"),
        ("verify", "child"),
        ("verify", "outcome"),
        ("confirm", "proposal"),
        ("decline", "proposal"),
        ("merge", "child"),
        ("merge", "other"),
        ("split", "child"),
    ],
)  # fmt: skip
async def test_an_action_without_a_field_that_its_verb_needs_is_refused(
    intake: Harness, verb: str, without: str
) -> None:
    assert await refusal(intake, an_action(verb, **{without: None})) == "field_missing"


async def test_empty_lists_are_missing_too(intake: Harness) -> None:
    assert await refusal(intake, an_action("split", records=[])) == "field_missing"
    assert await refusal(intake, an_action("report", findings=[])) == "field_missing"


async def test_a_merge_is_undone_by_naming_the_two_files(intake: Harness) -> None:
    """The sender does not know the ids of their records; the registry knows what each file contributed."""
    emitted = await intake.act(an_action("split", records=[], other=an_id("other")), unit=MZJ)

    assert [(each.other, each.records) for each in only(emitted, ActionAccepted)] == [(an_id("other"), ())]


async def test_false_is_a_value_and_not_a_missing_field(intake: Harness) -> None:
    """An unsuccessful call and a visit elsewhere are emitted; referral evaluates them."""
    emitted = await intake.act(an_action("contact", reached=False), an_action("visit", at_residence=False), unit=MZJ)

    assert len(only(emitted, ActionAccepted)) == 2


async def test_a_phone_report_may_name_the_finding_instead(intake: Harness) -> None:
    accepted, _ = await intake.act(
        an_action("phone-report", child=None, referral=None, finding=an_id("finding")), unit=MZJ
    )

    assert accepted.key == str(an_id("finding"))


async def test_a_return_for_the_wrong_area_must_name_the_right_unit(intake: Harness) -> None:
    wrong = an_action("return", reason="wrong_area")

    assert await refusal(intake, wrong) == "field_missing"
    assert await refusal(intake, an_action("return", reason="wrong_area", to_unit="341722-nobody")) == "to_unit_unknown"
    accepted, _ = await intake.act(an_action("return", reason="wrong_area", to_unit=RENLI), unit=MZJ)
    assert isinstance(accepted, ActionAccepted)


@pytest.mark.parametrize(
    ("unit", "changes", "code"),
    [
        (MZJ, {"unit": GAJ}, "unit_mismatch"),
        ("341722-nobody", {}, "unit_unknown"),
        (MZJ, {"place": "341722-nobody"}, "place_unknown"),
        (MZJ, {"place": RENLI}, "place_unknown"),
        (MZJ, {"role": "mayor"}, "role_unknown"),
        (MZJ, {"role": "child_director"}, "role_may_not"),
        (MZJ, {"person": "mzj-02"}, "person_role"),
        (MZJ, {"person": "某某某"}, "person_unknown"),
        (MZJ, {"person": "341722201503120110"}, "person_unknown"),
        (MZJ, {"person": "p13900000000"}, "person_unknown"),
        (RENLI, {}, "role_not_here"),
        (GAJ, {"role": "police_officer"}, "role_may_not"),
    ],
)
async def test_an_action_without_authority_is_refused(
    intake: Harness, unit: str, changes: dict[str, Any], code: str
) -> None:
    assert await refusal(intake, an_action("confirm", **changes), unit) == code


async def test_a_smaller_place_acts_through_its_parent_unit_only(intake: Harness) -> None:
    smaller_unit = next(unit for unit in intake.county.units if unit.parent is not None)
    assert smaller_unit.parent is not None
    other = RENLI if smaller_unit.parent != RENLI else GAJ
    report = an_action("report", place=smaller_unit.id, role="volunteer")

    emitted = await intake.act(report, unit=smaller_unit.parent)
    assert only(emitted, FindingReported)[0].place == smaller_unit.id
    assert await refusal(intake, report, other) == "place_unknown"


async def test_a_listed_person_acts_in_the_listed_role(intake: Harness) -> None:
    emitted = await intake.act(an_action("confirm", person="mzj-01"), unit=MZJ)

    assert only(emitted, ActionAccepted)[0].person == "mzj-01"


@pytest.mark.parametrize("verb", ["report", "phone-report"])
async def test_anybody_may_report(intake: Harness, verb: str) -> None:
    """Everybody may report; other actions need a role that the county has listed at the unit."""
    emitted = await intake.act(an_action(verb, role="doctor"), unit=RENLI)

    assert only(emitted, ActionAnswered)[0].outcome == "taken"


@pytest.mark.parametrize("verb", ["merge", "split", "confirm", "decline"])
async def test_a_role_alone_is_not_enough(intake: Harness, verb: str) -> None:
    """Whatever a role may do, only the lead unit and townships merge files and confirm risks."""
    roles = dict(a_county().roles)
    for role in ("police_officer", "township_civil_affairs"):
        roles[role] = (*roles[role], Verb(verb)) if Verb(verb) not in roles[role] else roles[role]
    intake.county = a_county(roles=roles)

    assert await refusal(intake, an_action(verb, role="police_officer"), GAJ) == "unit_may_not"
    assert only(await intake.act(an_action(verb, role="township_civil_affairs"), unit=RENLI), ActionAccepted)
    assert only(await intake.act(an_action(verb), unit=MZJ), ActionAccepted)


async def test_a_file_is_not_merged_with_itself(intake: Harness) -> None:
    assert await refusal(intake, an_action("merge", other=CHILD)) == "same_child"
    assert await refusal(intake, an_action("split", other=CHILD)) == "same_child"


async def test_no_role_issues_an_order_of_family_education() -> None:
    """Orders of a court or the police are recorded elsewhere; there is no verb for them."""
    with pytest.raises(ValueError, match="verb"):
        Action.model_validate({"verb": "order-family-education", "role": "judicial_officer"})


async def test_an_action_in_the_future_is_refused(intake: Harness) -> None:
    assert await refusal(intake, an_action("visit", on=TODAY + timedelta(days=1))) == "on_future"
    emitted = await intake.act(an_action("visit", on=TODAY), an_action("visit", on=TODAY - timedelta(days=3)), unit=MZJ)
    assert [accepted.on for accepted in only(emitted, ActionAccepted)] == [TODAY, TODAY - timedelta(days=3)]


async def test_the_county_day_begins_at_midnight_in_the_county(intake: Harness) -> None:
    intake.now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

    assert only(await intake.act(an_action("visit", on=date(2026, 11, 24)), unit=MZJ), ActionAccepted)


async def test_a_call_later_the_same_day_is_accepted(intake: Harness) -> None:
    """The county's clock ticks every ten minutes; the call may be younger than its last tick."""
    late = datetime(2026, 11, 23, 23, 59)  # noqa: DTZ001
    emitted = await intake.act(an_action("phone-report", at=late), unit=MZJ)

    [accepted] = only(emitted, ActionAccepted)
    assert accepted.at == datetime(2026, 11, 23, 15, 59, tzinfo=UTC)
    assert await refusal(intake, an_action("phone-report", at=NOON + timedelta(days=1))) == "at_future"


@pytest.mark.parametrize(
    ("typed", "published", "code"),
    [
        ("110", "110", ""),
        ("１１０、１２０", "110、120", ""),
        ("仁里派出所 例警官 13900000000，110", "仁里派出所、110", ""),
        ("例警官（石台县公安局）", "石台县公安局", ""),
        ("例小明家里，一三九零零零零零零零零", "其他", "station_unknown"),
        ("13911012355", "其他", "station_unknown"),
        ("演示派出所", "其他", "station_unknown"),
    ],
)
async def test_a_called_station_is_published_by_the_countys_name_and_nothing_else_typed_is(
    intake: Harness, typed: str, published: str, code: str
) -> None:
    """It is published in plain text. An unknown station delays nothing; the answer says how to write it."""
    emitted = await intake.act(an_action("phone-report", station=typed), unit=MZJ)

    assert only(emitted, ActionAccepted)[0].station == published
    [answer] = only(emitted, ActionAnswered)
    assert (answer.outcome, answer.code) == ("taken", code)


# ------------------------------------------------------------------ once


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_repeated_action_is_accepted_once(intake: Harness, size: int) -> None:
    ce_id = an_id("event")
    emitted = await intake.act(an_action("visit"), an_action("visit"), unit=MZJ, ce_ids=[ce_id, ce_id], size=size)
    emitted += await intake.act(an_action("visit"), unit=MZJ, ce_ids=[ce_id])

    assert len(only(emitted, ActionAccepted)) == 1
    assert [answer.outcome for answer in only(emitted, ActionAnswered)] == ["taken", "same_again", "same_again"]


async def test_two_units_may_use_the_same_id(intake: Harness) -> None:
    ce_id = an_id("event")
    emitted = await intake.act(an_action("report"), unit=MZJ, ce_ids=[ce_id])
    emitted += await intake.act(an_action("report"), unit=RENLI, ce_ids=[ce_id])

    one, other = only(emitted, FindingReported)
    assert one.finding != other.finding


async def test_the_two_log_ins_of_a_unit_have_separate_ids_and_answers(intake: Harness) -> None:
    """Each is answered on its own topic, whatever ids the other has used."""
    ce_id = an_id("event")
    emitted = await intake.act(an_action("report"), unit=GAJ, ce_ids=[ce_id], restricted=True)
    emitted += await intake.act(an_action("report"), unit=GAJ, ce_ids=[ce_id])
    emitted += await intake.act(an_action("visit", child=None), unit=GAJ, restricted=True)

    assert [(answer.topic_name, answer.outcome) for answer in only(emitted, ActionAnswered)] == [
        ("receipt.341722-gaj.restricted.v1", "taken"),
        ("receipt.341722-gaj.v1", "taken"),
        ("receipt.341722-gaj.restricted.v1", "refused"),
    ]
    one, other = only(emitted, FindingReported)
    assert (one.restricted, other.restricted) == (True, False)
    assert one.finding != other.finding


async def test_a_refused_action_may_be_sent_again_under_the_same_id(intake: Harness) -> None:
    ce_id = an_id("event")
    await intake.act(an_action("visit", child=None), unit=MZJ, ce_ids=[ce_id])
    emitted = await intake.act(an_action("visit"), unit=MZJ, ce_ids=[ce_id])

    assert len(only(emitted, ActionAccepted)) == 1


# ------------------------------------------------------------------ findings


def an_identity(**changes: Any) -> dict[IdentityField, str]:
    return {
        IdentityField.NAME: "测试　甲",
        IdentityField.ID_NUMBER: a_number(date(2015, 3, 12)),
        IdentityField.GUARDIAN_PHONE: "139-0000-0000",
        IdentityField.REPORTER: "举报人甲",
        **{IdentityField(name): value for name, value in changes.items()},
    }


async def test_a_finding_about_a_child_not_on_file_contains_the_sealed_identity(intake: Harness) -> None:
    emitted = await intake.act(
        an_action(
            "report", identity=an_identity(), note="在街上独自一人", township="341722100", station="110", at=NOON
        ),
        unit=RENLI,
    )

    finding, record, answer = emitted
    assert isinstance(finding, FindingReported)
    assert isinstance(record, RecordRead)
    assert isinstance(answer, ActionAnswered)
    assert (finding.key, finding.child, finding.has_identity) == (str(finding.finding), None, True)
    assert (finding.township, finding.phone_reported_at) == ("341722100", NOON)
    assert finding.findings == (FindingCode.UNATTENDED,)
    assert intake.open_identity(finding) == {
        "name": "测试甲",
        "id_number": a_number(date(2015, 3, 12)),
        "birth_date": "2015-03-12",
        "guardian_phone": "13900000000",
        "reporter": "举报人甲",
        "narrative": "在街上独自一人",
    }
    assert (record.dataset, record.finding, record.key) == ("finding", finding.finding, "2015-03")
    assert (answer.outcome, answer.finding) == ("taken", finding.finding)


async def test_only_the_finding_contains_the_reporter(intake: Harness) -> None:
    """The reporter is secret: a record is matched and merged into a file without the reporter's name."""
    emitted = await intake.act(an_action("report", identity=an_identity(), note="在街上独自一人"), unit=RENLI)

    [record] = only(emitted, RecordRead)
    assert set(intake.open_identity(record)) == {"name", "id_number", "birth_date", "guardian_phone"}


async def test_no_event_about_a_finding_shows_an_identity(intake: Harness) -> None:
    emitted = await intake.act(
        an_action("report", identity=an_identity(address="仁里镇某村"), note="孩子叫测试甲"), unit=RENLI
    )

    text = "".join(event.model_dump_json() for event in emitted)
    for secret in ("测试", "3417222015", "13900000000", "举报人", "某村"):
        assert secret not in text


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        ({}, False),
        ({"name": "测试甲"}, False),
        ({"birth_date": "2015-03-12"}, False),
        ({"name": "测试甲", "birth_date": "2015-03-12"}, True),
        ({"id_number": a_number(date(2015, 3, 12))}, True),
        ({"id_number": "341722201503120111"}, False),
        ({"name": "测试甲", "birth_date": "2015年3月"}, False),
    ],
)
async def test_a_finding_is_accepted_with_any_identity_fields(
    intake: Harness, identity: dict[str, str], named: bool
) -> None:
    emitted = await intake.act(an_action("report", identity=identity), unit=RENLI)

    [finding] = only(emitted, FindingReported)
    assert finding.has_identity is named
    assert len(only(emitted, RecordRead)) == int(named)


async def test_unreadable_parts_of_an_identity_are_kept_in_the_narrative(intake: Harness) -> None:
    emitted = await intake.act(
        an_action("report", identity={"name": "测试甲", "birth_date": "2015年3月", "id_number": "341722********0110"}),
        unit=RENLI,
    )

    [finding] = only(emitted, FindingReported)
    assert intake.open_identity(finding) == {
        "name": "测试甲",
        "narrative": "身份证件号码（原文）：341722********0110\n出生日期（原文）：2015年3月",
    }


async def test_a_finding_about_a_child_on_file_is_keyed_by_the_child(intake: Harness) -> None:
    emitted = await intake.act(an_action("report", child=CHILD), unit=RENLI)

    [finding] = only(emitted, FindingReported)
    assert finding.key == str(CHILD)


async def test_the_same_report_is_the_same_finding_in_a_new_database(intake: Harness) -> None:
    ce_id = an_id("event")
    emitted = await intake.act(an_action("report"), unit=RENLI, ce_ids=[ce_id])
    await intake.tx.execute("DELETE FROM accepted_action")
    repeated = await intake.act(an_action("report"), unit=RENLI, ce_ids=[ce_id])

    assert only(emitted, FindingReported)[0].finding == only(repeated, FindingReported)[0].finding


async def test_a_finding_is_not_delayed_by_unreadable_fields(intake: Harness) -> None:
    """An unknown township and unreadable facts do not delay the finding; the answer names them."""
    emitted: list[Event] = []
    emitted += await intake.act(an_action("report", township="341722999"), unit=RENLI)
    emitted += await intake.act(an_action("report", facts={"lives_alone": True}), unit=RENLI)
    emitted += await intake.act(an_action("report", facts={"lives_alone": "是"}), unit=RENLI)

    assert len(only(emitted, FindingReported)) == 3
    assert [answer.code for answer in only(emitted, ActionAnswered)] == [
        "township_unknown",
        "facts_not_taken",
        "fact_unreadable",
    ]
    assert {answer.outcome for answer in only(emitted, ActionAnswered)} == {"taken"}


async def test_the_record_contains_the_facts_of_a_report(intake: Harness) -> None:
    emitted = await intake.act(an_action("report", identity=an_identity(), facts={"lives_alone": True}), unit=RENLI)

    [record] = only(emitted, RecordRead)
    assert dict(record.facts) == {FactName.BIRTH_DATE: "2015-03-12", FactName.SEX: 1, FactName.LIVES_ALONE: True}


# ------------------------------------------------------------------ facts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lives_alone", True),
        ("lives_alone", False),
        ("residence_since", "2026-03-01"),
        ("sex", 2),
        ("school_grade", 12),
        ("school_status", "enrolled"),
        ("guardian_status", "at_risk"),
        ("hukou_division", "341702"),
        ("hukou_division", "abroad"),
        ("residence_division", "341722100"),
        ("residence_division", "341722100201"),
        ("insured_year", 2026),
    ],
)
async def test_verified_facts_are_published(intake: Harness, name: str, value: object) -> None:
    emitted = await intake.act(an_action("verify", facts={name: value}), unit=MZJ)

    [accepted] = only(emitted, ActionAccepted)
    assert accepted.facts == {FactName(name): value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lives_alone", "yes"),
        ("lives_alone", 1),
        ("residence_since", "2026-3-1"),
        ("residence_since", "2026-02-30"),
        ("residence_since", "2026-11-24"),
        ("residence_since", 42075),
        ("sex", 3),
        ("sex", True),
        ("sex", "1"),
        ("school_grade", 0),
        ("school_grade", 13),
        ("school_status", "在读"),
        ("hukou_division", "石台"),
        ("hukou_division", "34170"),
        ("residence_division", "341722"),
        ("residence_division", "abroad"),
        ("insured_division", "341722100"),
    ],
)
async def test_malformed_facts_are_refused(intake: Harness, name: str, value: object) -> None:
    assert await refusal(intake, an_action("verify", facts={name: value})) == "fact_unreadable"


def test_every_refusal_has_a_message_and_a_remedy() -> None:
    for message, remedy in TEXTS.values():
        assert message.endswith("。")
        assert remedy.endswith("。")
