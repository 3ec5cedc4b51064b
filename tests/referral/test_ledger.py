"""The key-care ledger: proposed on grounds, opened by a person, kept by duties, closed by two people."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.county import Cadence, WorkingDays
from contracts.event import Event
from contracts.referral import (
    DutyChanged,
    LedgerEntryChanged,
    ProposalEnded,
    ProposalMade,
    ReferralActionRefused,
    ReferralChanged,
)
from contracts.vocabulary import Answer, DutyKind, FindingCode, LedgerReason, Level, Verb
from services.referral import store
from services.referral.domain import duties
from services.referral.domain.duties import Duty, period_of
from tests.county import a_county
from tests.referral.harness import (
    LEAD,
    POLICE,
    QIDU,
    QIDU_CODE,
    RENLI,
    SCHOOLS,
    World,
    a_child,
    at,
    gap,
    lane_of,
    only,
)

HARDSHIP = gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3)
DIRECTOR: dict[str, Any] = {"role": "child_director"}


def of_ledger(events: Iterable[object]) -> list[ProposalMade]:
    return [event for event in events if isinstance(event, ProposalMade) and event.subject == "ledger"]


async def on_the_ledger(world: World, entry: date, *, child: UUID | None = None) -> UUID:
    """A child whose family asked for help, entered on a day."""
    child = child or a_child()
    await world.turn_to(entry)
    said = await world.hear(world.finding(FindingCode.HELP_REQUESTED, child=child))
    [proposal] = of_ledger(said)
    await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)
    return child


def due(events: Iterable[object]) -> list[tuple[str, str, str]]:
    """The duties moved: kind, period, move."""
    return [(one.duty_kind, one.period, one.change) for one in events if isinstance(one, DutyChanged)]


# ---------------------------------------------------------------- entry


@pytest.mark.parametrize(
    ("code", "reason", "topic"),
    [
        (FindingCode.SUDDEN_HARDSHIP, LedgerReason.FAMILY_HARDSHIP, "referral.case.v1"),
        (FindingCode.DISABILITY_UNSERVED, LedgerReason.DISABILITY, "referral.case.v1"),
        (FindingCode.NO_GUARDIAN, LedgerReason.GUARDIANSHIP_ABSENT, "referral.restricted.v1"),
        (FindingCode.RUNAWAY_OR_VAGRANT, LedgerReason.VAGRANCY, "referral.restricted.v1"),
        (FindingCode.BEHAVIOUR_CONCERN, LedgerReason.MIND_OR_BEHAVIOUR, "referral.restricted.v1"),
        (FindingCode.HELP_REQUESTED, LedgerReason.REQUEST, "referral.case.v1"),
    ],
)
async def test_each_of_the_six_reasons_is_put_to_the_township_on_discovery(
    world: World, code: FindingCode, reason: LedgerReason, topic: str
) -> None:
    """The plan's five and the family's request (A2-1, A2-2); what comes from restricted routes stays there."""
    [proposal] = of_ledger(await world.hear(world.finding(code)))

    assert (proposal.ledger_reasons, proposal.unit, proposal.topic_name) == ((reason,), RENLI, topic)


async def test_a_finding_that_is_no_reason_proposes_no_entry(world: World) -> None:
    assert of_ledger(await world.hear(world.finding(FindingCode.OUT_OF_SCHOOL))) == []


@pytest.mark.parametrize(
    ("code", "migrant", "statistical", "proposed"),
    [
        (FindingCode.SUDDEN_HARDSHIP, Answer.YES, Answer.YES, True),
        (FindingCode.SUDDEN_HARDSHIP, Answer.UNKNOWN, Answer.UNKNOWN, True),  # G8
        (FindingCode.SUDDEN_HARDSHIP, Answer.NO, Answer.YES, False),
        (FindingCode.HELP_REQUESTED, Answer.NO, Answer.YES, True),  # moved inside the county, and asked (A2-2)
        (FindingCode.HELP_REQUESTED, Answer.NO, Answer.NO, False),
    ],
)
async def test_whom_the_ledger_is_for(
    world: World, code: FindingCode, migrant: Answer, statistical: Answer, proposed: bool
) -> None:
    await world.hear(world.assessed(migrant=migrant, statistical=statistical))

    assert bool(of_ledger(await world.hear(world.finding(code)))) is proposed


async def test_what_facts_show_is_proposed_when_the_day_turns_and_it_still_stands(world: World) -> None:
    assert of_ledger(await world.hear(world.assessed(HARDSHIP))) == []
    [proposal] = of_ledger(await world.turn())

    assert proposal.ledger_reasons == (LedgerReason.FAMILY_HARDSHIP,)
    assert of_ledger(await world.turn()) == []


async def test_a_child_who_becomes_a_migrant_child_is_proposed_then(world: World) -> None:
    await world.hear(world.assessed(HARDSHIP, migrant=Answer.NO, statistical=Answer.NO))
    assert of_ledger(await world.turn()) == []
    await world.hear(world.assessed(HARDSHIP, migrant=Answer.YES))

    assert len(of_ledger(await world.turn())) == 1


async def test_an_entry_whose_facts_are_gone_is_no_longer_proposed(world: World) -> None:
    await world.hear(world.assessed(HARDSHIP))
    await world.turn()
    await world.hear(world.assessed())

    ended = [one for one in only(await world.turn(), ProposalEnded) if one.subject == "ledger"]
    assert [one.outcome for one in ended] == ["no_longer_shown"]


async def test_a_declined_entry_is_not_proposed_on_the_same_ground_but_on_a_new_one(world: World) -> None:
    await world.hear(world.assessed(HARDSHIP))
    [proposal] = of_ledger(await world.turn())
    await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await world.hear(world.assessed(HARDSHIP))
    assert of_ledger(await world.turn()) == []

    assert len(of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))) == 1


async def test_a_person_opens_the_entry_and_the_first_duties_are_there(world: World) -> None:
    [proposal] = of_ledger(await world.hear(world.finding(FindingCode.HELP_REQUESTED)))
    said = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")

    [moved] = only(said, LedgerEntryChanged)
    assert (moved.change, moved.reasons) == ("opened", (LedgerReason.REQUEST,))
    assert (moved.actor_unit, moved.actor_role) == (RENLI, "township_civil_affairs")
    assert DutyKind.FIRST_VISIT in {one.duty_kind for one in only(said, DutyChanged)}


async def test_a_further_reason_changes_the_entry(world: World) -> None:
    await on_the_ledger(world, world.on)
    [proposal] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    said = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)

    [moved] = only(said, LedgerEntryChanged)
    assert (moved.change, moved.reasons) == ("changed", (LedgerReason.FAMILY_HARDSHIP, LedgerReason.REQUEST))
    assert due(said) == []
    assert of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP))) == []  # stands there already


async def test_an_answer_on_one_ground_answers_the_same_question_on_another(world: World) -> None:
    [first] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    [second] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP, unit=POLICE)))
    said = await world.do(Verb.CONFIRM, RENLI, proposal=first.proposal)

    assert {one.proposal: one.outcome for one in only(said, ProposalEnded)} == {
        first.proposal: "confirmed",
        second.proposal: "confirmed",
    }
    assert len(only(said, LedgerEntryChanged)) == 1


@pytest.mark.parametrize("code", [FindingCode.SUDDEN_HARDSHIP, FindingCode.HELP_REQUESTED])
@pytest.mark.parametrize(
    ("migrant", "statistical"), [(Answer.NO, Answer.NO), (Answer.NO, Answer.YES), (Answer.YES, Answer.YES)]
)
async def test_a_finding_before_its_child_is_known_and_after_lead_to_the_same(
    world: World, code: FindingCode, migrant: Answer, statistical: Answer
) -> None:
    """The two travel on different ways; when the day has turned, nothing tells which came first."""

    async def asked(*, finding_first: bool) -> list[str]:
        await world.forget()
        found, assessed = world.finding(code), world.assessed(migrant=migrant, statistical=statistical)
        for event in (found, assessed) if finding_first else (assessed, found):
            await world.hear(event)
        await world.turn()
        rows = await world.session.fetch(
            "select grounds, ledger_reasons from proposal where state = 'open' and what = 'ledger' order by id"
        )
        return [str(dict(row)) for row in rows]

    before, after = await asked(finding_first=True), await asked(finding_first=False)
    assert before == after
    assert bool(after) is (migrant is Answer.YES or (code is FindingCode.HELP_REQUESTED and statistical is Answer.YES))


async def test_what_a_person_found_is_put_to_the_township_once_the_child_is_one_for_the_ledger(world: World) -> None:
    await world.hear(world.assessed(migrant=Answer.NO, statistical=Answer.NO))
    assert of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP))) == []
    await world.hear(world.assessed(migrant=Answer.YES))

    [proposal] = of_ledger(await world.turn())
    assert proposal.ledger_reasons == (LedgerReason.FAMILY_HARDSHIP,)
    await world.do(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await world.hear(world.assessed(migrant=Answer.UNKNOWN))
    assert of_ledger(await world.turn()) == []  # the same finding, and a person has answered


async def test_leaving_migrant_status_never_closes_the_ledger(world: World) -> None:
    """Turning 16 is not leaving protection (policy 3.17): closing always needs a person."""
    await on_the_ledger(world, world.on)
    await world.hear(world.assessed(migrant=Answer.NO, statistical=Answer.NO))
    said = await world.turn_to(date(2026, 12, 1))

    assert only(said, LedgerEntryChanged) == []
    assert ("contact", "2026-12", "created") in due(said)


# ---------------------------------------------------------------- first obligations


@pytest.mark.parametrize(
    ("entry", "first"),
    [(date(2026, 12, 20), "2026-12"), (date(2026, 12, 21), "2027-01"), (date(2026, 12, 31), "2027-01")],
)
async def test_entry_until_the_twentieth_owes_this_month_s_contact(world: World, entry: date, first: str) -> None:
    await on_the_ledger(world, entry)
    said = await world.turn_to(date(2027, 1, 1))

    created = [period for kind, period, move in due([one.event for one in world.said]) if kind == "contact"]
    assert created[0] == first
    assert ("contact", "2027-01", "created") in due(said)


async def test_the_first_visit_is_due_within_seven_working_days_of_entry(world: World) -> None:
    """Entered on Tuesday 24 November: until Thursday 3 December."""
    await on_the_ledger(world, world.on)
    [visit] = [one for one in only((one.event for one in world.said), DutyChanged) if one.duty_kind == "first_visit"]

    assert visit.due_on == date(2026, 12, 3)
    assert ("first_visit", "2026Q4", "missed") not in due(await world.turn_to(date(2026, 12, 3)))
    assert ("first_visit", "2026Q4", "missed") in due(await world.turn_to(date(2026, 12, 4)))


def publish_2027(world: World) -> None:
    days = world.county.working_days
    world.county = a_county(
        working_days=WorkingDays(
            published_years=(*days.published_years, 2027),
            holidays=(*days.holidays, date(2027, 1, 1)),
            make_up_days=days.make_up_days,
        )
    )


async def test_a_first_visit_counted_into_an_unpublished_year_says_so_and_moves_when_it_is_published(
    world: World,
) -> None:
    await on_the_ledger(world, date(2026, 12, 28))
    [visit] = [one for one in only((one.event for one in world.said), DutyChanged) if one.duty_kind == "first_visit"]
    assert (visit.due_on, visit.provisional) == (date(2027, 1, 6), True)
    assert ("first_visit", "2026Q4", "reminded") not in due(await world.turn_to(date(2026, 12, 30)))

    publish_2027(world)
    [moved] = [one for one in only(await world.turn(), DutyChanged) if one.duty_kind == "first_visit"]
    assert (moved.change, moved.due_on, moved.provisional) == ("reminded", date(2027, 1, 7), False)
    later = due(await world.turn_to(date(2027, 1, 7)))
    assert ("first_visit", "2026Q4", "missed") not in later
    assert ("first_visit", "2026Q4", "missed") in due(await world.turn())


@pytest.mark.parametrize("visited", [True, False])
async def test_a_first_visit_that_is_over_is_not_counted_again_and_concerns_no_day(world: World, visited: bool) -> None:
    """Made, or called missed, before the year's working days were published."""
    child = await on_the_ledger(world, date(2026, 12, 28))
    await world.turn()
    if visited:
        await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert (("first_visit", "2026Q4", "missed") in due(await world.turn_to(date(2027, 1, 7)))) is not visited
    publish_2027(world)

    assert due(await world.turn()) == []
    tomorrow = world.on + timedelta(days=1)
    years = world.county.working_days.published_years
    assert await store.concerned(world.session, lane_of(child), at(tomorrow, 0), tomorrow, None, 500, years) == []


# ---------------------------------------------------------------- every month, every quarter


async def test_a_year_on_the_ledger_owes_twelve_contacts_and_a_visit_a_quarter(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    said = [one.event for one in world.said]
    for _ in range(365):
        said += await world.turn()

    created = [(kind, period) for kind, period, move in due(said) if move == "created"]
    assert [period for kind, period in created if kind == "contact"] == [
        "2026-12",
        *(f"2027-{month:02}" for month in range(1, 13)),
    ]
    assert [period for kind, period in created if kind == "visit"] == ["2027Q1", "2027Q2", "2027Q3", "2027Q4"]
    assert len(created) == len(set(created))


async def test_reminded_on_the_twentieth_and_missed_on_the_first(world: World) -> None:
    await on_the_ledger(world, world.on)
    await world.turn_to(date(2026, 12, 1))

    assert ("contact", "2026-12", "reminded") not in due(await world.turn_to(date(2026, 12, 19)))
    assert ("contact", "2026-12", "reminded") in due(await world.turn())
    later = due(await world.turn_to(date(2026, 12, 31)))
    assert [move for kind, period, move in later if period == "2026-12"] == []
    first = due(await world.turn())
    assert ("contact", "2026-12", "missed") in first
    assert ("contact", "2027-01", "created") in first


async def test_a_visit_is_reminded_thirty_and_ten_days_before_the_quarter_ends(world: World) -> None:
    await on_the_ledger(world, world.on)
    await world.turn_to(date(2026, 12, 31))
    reminded = []
    while world.on < date(2027, 4, 1):
        said = due(await world.turn())
        reminded += [world.on for kind, _, move in said if (kind, move) == ("visit", "reminded")]
        missed = ("visit", "2027Q1", "missed") in said

    assert reminded == [date(2027, 3, 1), date(2027, 3, 21)]
    assert missed  # on 1 April


async def test_a_day_done_twice_does_nothing_twice(world: World) -> None:
    await on_the_ledger(world, world.on)
    await world.turn_to(date(2026, 12, 20))
    before = await world.state()

    assert await world.turn(date(2026, 12, 20)) == []
    assert await world.state() == before


# ---------------------------------------------------------------- what fulfils


async def test_a_contact_fulfils_the_month_and_no_visit(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    said = await world.do(Verb.CONTACT, RENLI, reached=True, mode="phone", **DIRECTOR)

    assert due(said) == [("contact", "2026-12", "fulfilled")]
    assert due(await world.do(Verb.CONTACT, RENLI, reached=True, mode="phone", **DIRECTOR)) == []


@pytest.mark.parametrize("reached", [False, None])
async def test_an_attempt_is_no_contact(world: World, reached: bool | None) -> None:
    await on_the_ledger(world, date(2026, 12, 1))

    assert due(await world.do(Verb.CONTACT, RENLI, reached=reached, mode="phone", **DIRECTOR)) == []


async def test_a_visit_at_home_fulfils_visit_first_visit_and_contact(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    said = await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)

    assert set(due(said)) == {("contact", "2026-12", "fulfilled"), ("first_visit", "2026Q4", "fulfilled")}


@pytest.mark.parametrize(
    ("changes", "fulfilled"),
    [
        ({"at_residence": False}, []),
        ({"at_residence": None}, []),
        ({"at_residence": True, "reached": False}, []),  # nobody was at home
        ({"at_residence": False, "reached": True}, ["contact"]),  # met elsewhere: a contact, no visit
    ],
)
async def test_only_a_visit_at_the_residence_is_a_visit(
    world: World, changes: dict[str, Any], fulfilled: list[str]
) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    said = await world.do(Verb.VISIT, RENLI, **changes, **DIRECTOR)

    assert [kind for kind, _, _ in due(said)] == fulfilled


async def test_a_contact_in_time_that_is_recorded_late_is_fulfilled_late(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.turn_to(date(2027, 1, 3))
    said = await world.do(Verb.CONTACT, RENLI, reached=True, on=date(2026, 12, 30), **DIRECTOR)

    assert due(said) == [("contact", "2026-12", "fulfilled_late")]


async def test_a_contact_after_the_month_makes_good_for_it_and_counts_for_its_own(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.turn_to(date(2027, 1, 3))
    said = await world.do(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)

    assert due(said) == [("contact", "2026-12", "fulfilled_late"), ("contact", "2027-01", "fulfilled")]


async def test_what_was_done_before_the_page_turned_counts_for_the_new_month(world: World) -> None:
    """The first call of January is heard before the lane has turned to January."""
    await on_the_ledger(world, date(2026, 12, 1))
    await world.turn_to(date(2026, 12, 31))
    await world.do(Verb.CONTACT, RENLI, reached=True, on=date(2027, 1, 1), **DIRECTOR)

    said = due(await world.turn())
    assert [one for one in said if one[1] == "2027-01"] == [
        ("contact", "2027-01", "created"),
        ("contact", "2027-01", "fulfilled"),
    ]


async def test_a_late_first_visit_is_recorded_as_late(world: World) -> None:
    await on_the_ledger(world, world.on)
    await world.turn_to(date(2026, 12, 10))
    said = await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)

    assert ("first_visit", "2026Q4", "fulfilled_late") in due(said)


async def test_a_contact_by_a_unit_that_does_not_look_after_the_child_is_refused(world: World) -> None:
    await on_the_ledger(world, world.on)

    assert await world.refused(Verb.CONTACT, POLICE, reached=True) == "not_yours"
    assert due(await world.do(Verb.CONTACT, LEAD, reached=True)) == []  # may; November's contact is not owed


async def test_contacts_and_attempts_are_kept_and_owe_nobody_anything_off_the_ledger(world: World) -> None:
    assert await world.do(Verb.CONTACT, RENLI, reached=True, mode="phone") == []
    assert await world.do(Verb.CONTACT, RENLI, reached=False, mode="phone") == []

    rows = await world.session.fetch("select reached from act order by recorded_at, reached desc")
    assert [row["reached"] for row in rows] == [True, False]


async def test_what_a_visit_finds_is_a_finding(world: World) -> None:
    """The child director sees that the child is out of school: nobody has to write it twice."""
    said = await world.do(Verb.VISIT, RENLI, at_residence=True, findings=(FindingCode.OUT_OF_SCHOOL,), **DIRECTOR)

    [moved] = only(said, ReferralChanged)
    assert (moved.to_unit, moved.from_unit, moved.reporter_unit) == (SCHOOLS, RENLI, RENLI)


async def test_what_a_stranger_finds_on_a_visit_counts_although_the_visit_does_not(world: World) -> None:
    """A teacher at the door of a child on the ledger: what is owed stays owed, what was seen is acted on."""
    await on_the_ledger(world, date(2026, 12, 1))
    said = await world.do(
        Verb.VISIT, SCHOOLS, at_residence=True, role="teacher", findings=(FindingCode.SUSPECTED_VIOLENCE,)
    )

    assert [one.to_unit for one in only(said, ReferralChanged)] == [POLICE]
    assert [one.code for one in only(said, ReferralActionRefused)] == ["not_yours"]
    assert due(said) == []


async def test_a_child_who_moves_is_the_new_township_s_from_the_next_period(world: World) -> None:
    await world.hear(world.assessed())
    await on_the_ledger(world, date(2026, 12, 1))
    await world.hear(world.assessed(township=QIDU_CODE))
    said = only(await world.turn_to(date(2027, 1, 1)), DutyChanged)

    assert {(one.unit, one.township) for one in said if one.period == "2027-01"} == {("341722-qidu", QIDU_CODE)}
    assert due(await world.do(Verb.CONTACT, RENLI, reached=True, on=date(2026, 12, 31), **DIRECTOR))


# ---------------------------------------------------------------- two missed running


async def test_two_contacts_missed_running_are_a_guardianship_risk_to_look_at(world: World) -> None:
    """Policy 3.12: monthly contact impossible twice running."""
    await on_the_ledger(world, date(2026, 12, 1))
    first = await world.turn_to(date(2027, 1, 31))
    assert [one for one in only(first, ProposalMade) if one.subject == "referral"] == []

    second = await world.turn()
    [risk] = [one for one in only(second, ProposalMade) if one.subject == "referral"]
    assert (risk.findings, risk.unit) == ((FindingCode.GUARDIANSHIP_AT_RISK,), RENLI)
    assert risk.restricted
    third = await world.turn_to(date(2027, 4, 1))
    assert [one for one in only(third, ProposalMade) if one.subject == "referral"] == []

    [moved] = only(await world.do(Verb.CONFIRM, RENLI, proposal=risk.proposal), ReferralChanged)
    assert (moved.route, moved.findings) == ("R34", (FindingCode.GUARDIANSHIP_AT_RISK,))


async def test_a_risk_the_township_is_asked_about_already_is_not_asked_about_twice(world: World) -> None:
    calm = gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    await on_the_ledger(world, date(2026, 12, 1))
    await world.hear(world.assessed(calm))
    said = await world.turn_to(date(2027, 2, 2))

    assert [one for one in only(said, ProposalMade) if one.subject == "referral"] == []


async def test_a_third_missed_contact_is_no_news_to_who_has_looked_at_two(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    [risk] = [one for one in only(await world.turn_to(date(2027, 2, 1)), ProposalMade) if one.subject == "referral"]
    await world.do(Verb.DECLINE, RENLI, proposal=risk.proposal)

    third = await world.turn_to(date(2027, 4, 2))
    assert [one for one in only(third, ProposalMade) if one.subject == "referral"] == []


async def test_two_missed_contacts_with_a_month_between_that_owed_none_are_not_running(world: World) -> None:
    """December is missed; late in January the entry begins anew for everybody to see, and owes from February."""
    await confirm_all(world, await world.hear(world.finding(FindingCode.MENTAL_DISTRESS)))
    await world.turn_to(date(2027, 1, 25))
    await confirm_all(world, await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    said = await world.turn_to(date(2027, 3, 2))

    assert ("contact", "2027-02", "missed") in due(said)
    assert [one for one in only(said, ProposalMade) if one.subject == "referral"] == []


async def test_a_contact_in_between_is_no_running_miss(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.turn_to(date(2027, 1, 15))
    await world.do(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)
    said = await world.turn_to(date(2027, 3, 1))

    assert [one for one in only(said, ProposalMade) if one.subject == "referral"] == []


# ---------------------------------------------------------------- closing


async def ask_to_close(world: World, unit: str = RENLI, **changes: Any) -> list[Event]:
    return await world.do(
        Verb.CLOSE, unit, **{"role": "township_civil_affairs", "person": "rl-01", "noted": True, **changes}
    )


async def test_closing_takes_a_reason_a_visit_and_a_second_person(world: World) -> None:
    """G12: the township asks, the county agrees, and the duties end."""
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await world.turn_to(date(2027, 1, 5))
    [proposal] = only(await ask_to_close(world), ProposalMade)
    assert (proposal.subject, proposal.unit) == ("ledger_closing", LEAD)

    said = await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01")
    [moved] = only(said, LedgerEntryChanged)
    assert (moved.change, moved.actor_unit) == ("closed", LEAD)
    assert set(due(said)) == {("contact", "2027-01", "cancelled"), ("visit", "2027Q1", "cancelled")}
    assert due(await world.turn_to(date(2027, 3, 1))) == []


async def test_what_was_missed_is_owed_no_longer_when_the_entry_is_closed_and_stays_in_the_books(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert ("contact", "2027-01", "missed") in due(await world.turn_to(date(2027, 2, 1)))
    [proposal] = only(await ask_to_close(world), ProposalMade)

    said = await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01")

    cancelled = {("contact", "2027-01"), ("contact", "2027-02"), ("visit", "2027Q1")}
    assert set(due(said)) == {(*duty, "cancelled") for duty in cancelled}
    assert await world.session.fetchval("select state from duty where period = '2027-01'") == "missed"


async def test_what_an_entry_that_is_closed_left_missed_the_next_one_neither_owes_nor_makes_good(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await world.turn_to(date(2027, 2, 1))
    [proposal] = only(await ask_to_close(world), ProposalMade)
    await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01")
    await on_the_ledger(world, date(2027, 2, 3))

    said = await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert set(due(said)) == {("contact", "2027-02", "fulfilled"), ("first_visit", "2027Q1", "fulfilled")}
    assert await world.session.fetchval("select state from duty where period = '2027-01'") == "missed"


@pytest.mark.parametrize(
    ("visited", "changes", "code"),
    [
        (False, {}, "visit_missing"),
        (True, {"noted": False}, "reason_missing"),
        (True, {"unit": POLICE}, "not_yours"),
    ],
)
async def test_closing_is_refused_by_name(world: World, visited: bool, changes: dict[str, Any], code: str) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    if visited:
        await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    unit = str(changes.get("unit", RENLI))
    rest = {name: value for name, value in changes.items() if name != "unit"}

    assert await world.refused(Verb.CLOSE, unit, **{"noted": True, **rest}) == code


async def test_closing_what_is_not_open_is_refused(world: World) -> None:
    assert await world.refused(Verb.CLOSE, RENLI, noted=True) == "not_on_ledger"


async def test_a_visit_from_before_the_grounds_changed_does_not_close(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await world.turn_to(date(2026, 12, 10))
    [proposal] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)

    assert await world.refused(Verb.CLOSE, RENLI, noted=True) == "visit_missing"


async def test_a_closing_asked_for_before_the_grounds_changed_is_not_agreed_to(world: World) -> None:
    """Asked on the fifth, another reason on the sixth: somebody looks first."""
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [closing] = only(await ask_to_close(world), ProposalMade)
    await world.turn_to(date(2026, 12, 6))
    [further] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    await world.do(Verb.CONFIRM, RENLI, proposal=further.proposal)

    assert await world.refused(Verb.CONFIRM, LEAD, proposal=closing.proposal) == "visit_missing"
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    closed = await world.do(Verb.CONFIRM, LEAD, proposal=closing.proposal)
    assert [one.change for one in only(closed, LedgerEntryChanged)] == ["closed"]


async def test_closing_asked_for_by_the_county_is_agreed_to_where_the_child_lives_now(world: World) -> None:
    await world.hear(world.assessed())
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await world.hear(world.assessed(township=QIDU_CODE))
    [proposal] = only(await ask_to_close(world, LEAD, role="county_civil_affairs"), ProposalMade)

    assert (proposal.unit, proposal.township) == (QIDU, QIDU_CODE)


async def test_nobody_agrees_with_himself(world: World) -> None:
    """The lead unit asks: another role, or the township, agrees."""
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    said = await ask_to_close(world, LEAD, role="county_civil_affairs", person="mzj-01")
    [proposal] = only(said, ProposalMade)
    assert proposal.unit == RENLI
    assert await world.refused(Verb.CLOSE, RENLI, noted=True) == "asked_already"

    same: dict[str, Any] = {"proposal": proposal.proposal, "role": "county_civil_affairs"}
    assert await world.refused(Verb.CONFIRM, LEAD, person="mzj-01", **same) == "second_person_needed"
    assert await world.refused(Verb.CONFIRM, LEAD, person="mzj-04", **same) == "second_person_needed"
    agreed = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")
    assert [one.change for one in only(agreed, LedgerEntryChanged)] == ["closed"]


async def test_a_declined_closing_leaves_the_entry_and_can_be_asked_again(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [first] = only(await ask_to_close(world), ProposalMade)
    await world.do(Verb.DECLINE, LEAD, proposal=first.proposal)
    [second] = only(await ask_to_close(world), ProposalMade)

    assert second.proposal != first.proposal


async def test_a_child_who_comes_back_has_a_second_entry_with_duties_of_its_own(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [proposal] = only(await ask_to_close(world), ProposalMade)
    await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal)
    before = {one.duty for one in only((one.event for one in world.said), DutyChanged)}
    await on_the_ledger(world, date(2026, 12, 3))

    after = {one.duty for one in only((one.event for one in world.said), DutyChanged)}
    assert len(after) == len(before) + 2


# ---------------------------------------------------------------- what must not be seen


def seen(world: World) -> list[tuple[str, str, str]]:
    """What a reader of the ordinary topics sees, without the names that things were given."""
    kept = []
    for one in world.said:
        if one.sensitivity == "restricted":
            assert ".restricted." in one.event.topic_name
            continue
        assert ".restricted." not in one.event.topic_name
        body = one.event.model_dump(mode="json", exclude={"duty", "proposal", "ce_id"})
        kept.append((one.event.topic_name, type(one.event).__name__, json.dumps(body, sort_keys=True)))
    return kept


async def confirm_all(world: World, said: Iterable[Event]) -> None:
    for proposal in of_ledger(said):
        await world.do(Verb.CONFIRM, RENLI, child=proposal.child, proposal=proposal.proposal)


async def test_an_entry_that_restricted_reasons_hold_leaves_no_trace_on_an_ordinary_topic(world: World) -> None:
    """Its opening, duties, reminders, misses, contacts, refusals, closing: its whole life."""
    await world.hear(world.assessed())
    await confirm_all(world, await world.hear(world.finding(FindingCode.MENTAL_DISTRESS)))
    await world.refused(Verb.CONTACT, POLICE, reached=True)
    await world.refused(Verb.CLOSE, RENLI, noted=True, restricted=True)
    await world.turn_to(date(2027, 2, 2))  # two contacts missed running
    await world.do(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)
    await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [proposal] = only(await ask_to_close(world, restricted=True), ProposalMade)
    await world.refused(Verb.CLOSE, RENLI, noted=True, restricted=True)
    await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal)

    moves = {one.event.change for one in world.said if isinstance(one.event, DutyChanged)}
    assert moves == {"created", "reminded", "missed", "fulfilled", "fulfilled_late"}
    assert seen(world) == []


async def test_a_hidden_entry_is_none_to_who_asks_from_the_ordinary_log_in(world: World) -> None:
    await world.hear(world.assessed())
    before = await world.refused(Verb.CLOSE, RENLI, noted=True)
    await confirm_all(world, await world.hear(world.finding(FindingCode.MENTAL_DISTRESS)))

    assert await world.refused(Verb.CLOSE, RENLI, noted=True) == before == "not_on_ledger"
    first, second = (one.event for one in world.said if isinstance(one.event, ReferralActionRefused))
    assert first.topic_name == second.topic_name == "referral.case.v1"


@pytest.mark.parametrize("secret_day", [0, 3, 40])
async def test_restricted_reasons_change_nothing_that_everybody_sees(world: World, secret_day: int) -> None:
    """The same child with and without them, told of before the ordinary reason and after: one and the same view."""

    async def lived(*, with_secret: bool) -> list[tuple[str, str, str]]:
        await world.forget()
        await world.hear(world.assessed())
        for day in range(1, 100):
            await world.turn()
            if day == secret_day and with_secret:
                await confirm_all(world, await world.hear(world.finding(FindingCode.RUNAWAY_OR_VAGRANT)))
            if day == 2 and with_secret and secret_day == 0:
                await confirm_all(world, await world.hear(world.finding(FindingCode.NO_GUARDIAN)))
                await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
            if day == 3:
                world.now = at(world.on, 12)
                found = world.finding(FindingCode.SUDDEN_HARDSHIP, unit=POLICE, finding=UUID(int=3))
                await confirm_all(world, await world.hear(found))
            if day == 50:
                await world.do(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
        [proposal] = only(await ask_to_close(world), ProposalMade)
        await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal)
        return seen(world)

    plain, secret = await lived(with_secret=False), await lived(with_secret=True)
    assert [line[1] for line in plain].count("LedgerEntryChanged") == 2
    assert secret == plain


async def test_a_finding_of_both_kinds_asks_about_each_by_itself(world: World) -> None:
    """Confirmed in either order: the ordinary topics name the ordinary reason alone."""
    codes = (FindingCode.SUDDEN_HARDSHIP, FindingCode.MENTAL_DISTRESS)
    for restricted_first in (True, False):
        await world.forget()
        asked = of_ledger(await world.hear(world.finding(*codes)))
        assert [(one.restricted, one.ledger_reasons) for one in asked] == [
            (False, (LedgerReason.FAMILY_HARDSHIP,)),
            (True, (LedgerReason.MIND_OR_BEHAVIOUR,)),
        ]
        for proposal in reversed(asked) if restricted_first else asked:
            await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
        moves = only((one.event for one in world.said), LedgerEntryChanged)
        assert [(one.change, one.reasons) for one in moves if not one.restricted] == [
            ("opened", (LedgerReason.FAMILY_HARDSHIP,))
        ]


async def test_a_refusal_about_a_restricted_finding_is_restricted(world: World) -> None:
    finding = world.finding(FindingCode.SUSPECTED_VIOLENCE)
    await world.hear(finding)
    known = finding.event.finding  # type: ignore[attr-defined]

    assert await world.refused(Verb.PHONE_REPORT, "341722-fy", finding=known, child=None, reached=True) == "not_yours"
    assert seen(world) == []


# ---------------------------------------------------------------- periods


@pytest.mark.parametrize(
    ("day", "months", "label", "first", "last"),
    [
        (date(2026, 11, 30), 1, "2026-11", date(2026, 11, 1), date(2026, 11, 30)),
        (date(2026, 12, 31), 1, "2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        (date(2028, 2, 29), 1, "2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 12, 31), 3, "2026Q4", date(2026, 10, 1), date(2026, 12, 31)),
        (date(2027, 1, 1), 3, "2027Q1", date(2027, 1, 1), date(2027, 3, 31)),
        (date(2026, 7, 1), 6, "2026H2", date(2026, 7, 1), date(2026, 12, 31)),
        (date(2026, 7, 1), 12, "2026", date(2026, 1, 1), date(2026, 12, 31)),
        (date(2026, 6, 30), 2, "2026-05/2", date(2026, 5, 1), date(2026, 6, 30)),
    ],
)
def test_periods_are_calendar_periods(day: date, months: int, label: str, first: date, last: date) -> None:
    found = period_of(day, months)

    assert (found.label, found.first, found.last) == (label, first, last)


async def test_the_cadence_of_2026_asks_for_a_visit_a_month(world: World) -> None:
    """A switch of the county: the plan's own values are the default (G10)."""
    world.county = a_county(cadence=Cadence(visit_months=1))
    await on_the_ledger(world, date(2026, 12, 1))
    said = due(await world.turn_to(date(2027, 2, 1)))

    assert [period for kind, period, move in said if (kind, move) == ("visit", "created")] == ["2027-01", "2027-02"]


def test_the_due_day_itself_is_in_time() -> None:
    month = period_of(date(2026, 12, 1), 1)
    duty = Duty(
        id=UUID(int=1),
        child=a_child(),
        kind=DutyKind.CONTACT,
        period=month.label,
        first=month.first,
        due_on=month.last,
        unit=RENLI,
        township=None,
        story=UUID(int=2),
    )

    assert duties.miss(duty, month.last) == (duty, False)
    assert duties.miss(duty, month.next_first)[1]
    assert duty.next_on == month.next_first
    assert duties.fulfil(duty, date(2026, 11, 30)) is None  # the month before
    assert [getattr(duties.fulfil(duty, on), "state", None) for on in (month.first, month.last, month.next_first)] == [
        "fulfilled",
        "fulfilled",
        "fulfilled_late",
    ]


def test_reminders_that_have_passed_are_not_owed() -> None:
    cadence = duties.Cadence(1, 3, 7, 20, 20, (30, 10))
    quarter = period_of(date(2026, 12, 15), 3)

    assert duties.visit_reminders(quarter, cadence, date(2026, 12, 15)) == (date(2026, 12, 21),)
    assert duties.contact_reminders(period_of(date(2026, 12, 21), 1), cadence, date(2026, 12, 21)) == ()
    assert duties.contact_reminders(period_of(date(2026, 12, 20), 1), cadence, date(2026, 12, 20)) == (
        date(2026, 12, 20),
    )
