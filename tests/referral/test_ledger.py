"""The key-care ledger: proposed on grounds, opened by a person, kept by duties, closed by two people."""

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from contracts.county import Cadence
from contracts.event import Event
from contracts.referral import DutyMoved, LedgerMoved, ProposalEnded, ProposalMade, ReferralMoved
from contracts.vocabulary import Answer, DutyKind, FindingCode, LedgerReason, Level, Verb
from services.referral.domain import duties
from services.referral.domain.duties import period_of
from tests.county import a_county
from tests.referral.harness import (
    LEAD,
    POLICE,
    QIDU_CODE,
    RENLI,
    SCHOOLS,
    World,
    a_child,
    gap,
    only,
)

HARDSHIP = gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3)
DIRECTOR: dict[str, Any] = {"role": "child_director"}


def of_ledger(events: Iterable[object]) -> list[ProposalMade]:
    return [event for event in events if isinstance(event, ProposalMade) and event.what == "ledger"]


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
    return [(one.duty_kind, one.period, one.move) for one in events if isinstance(one, DutyMoved)]


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

    ended = [one for one in only(await world.turn(), ProposalEnded) if one.what == "ledger"]
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

    [moved] = only(said, LedgerMoved)
    assert (moved.move, moved.reasons) == ("opened", (LedgerReason.REQUEST,))
    assert (moved.actor_unit, moved.actor_role) == (RENLI, "township_civil_affairs")
    assert DutyKind.FIRST_VISIT in {one.duty_kind for one in only(said, DutyMoved)}


async def test_a_further_reason_changes_the_entry(world: World) -> None:
    await on_the_ledger(world, world.on)
    [proposal] = of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP)))
    said = await world.do(Verb.CONFIRM, RENLI, proposal=proposal.proposal)

    [moved] = only(said, LedgerMoved)
    assert (moved.move, moved.reasons) == ("changed", (LedgerReason.FAMILY_HARDSHIP, LedgerReason.REQUEST))
    assert due(said) == []
    assert of_ledger(await world.hear(world.finding(FindingCode.SUDDEN_HARDSHIP))) == []  # stands there already


async def test_leaving_migrant_status_never_closes_the_ledger(world: World) -> None:
    """Turning 16 is not leaving protection (policy 3.17): closing always needs a person."""
    await on_the_ledger(world, world.on)
    await world.hear(world.assessed(migrant=Answer.NO, statistical=Answer.NO))
    said = await world.turn_to(date(2026, 12, 1))

    assert only(said, LedgerMoved) == []
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
    [visit] = [one for one in only((one.event for one in world.said), DutyMoved) if one.duty_kind == "first_visit"]

    assert visit.due_on == date(2026, 12, 3)
    assert ("first_visit", "2026Q4", "missed") not in due(await world.turn_to(date(2026, 12, 3)))
    assert ("first_visit", "2026Q4", "missed") in due(await world.turn_to(date(2026, 12, 4)))


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

    [moved] = only(said, ReferralMoved)
    assert (moved.to_unit, moved.from_unit, moved.reporter_unit) == (SCHOOLS, RENLI, RENLI)


async def test_a_child_who_moves_is_the_new_township_s_from_the_next_period(world: World) -> None:
    await world.hear(world.assessed())
    await on_the_ledger(world, date(2026, 12, 1))
    await world.hear(world.assessed(township=QIDU_CODE))
    said = only(await world.turn_to(date(2027, 1, 1)), DutyMoved)

    assert {(one.unit, one.township) for one in said if one.period == "2027-01"} == {("341722-qidu", QIDU_CODE)}
    assert due(await world.do(Verb.CONTACT, RENLI, reached=True, on=date(2026, 12, 31), **DIRECTOR))


# ---------------------------------------------------------------- two missed running


async def test_two_contacts_missed_running_are_a_guardianship_risk_to_look_at(world: World) -> None:
    """Policy 3.12: monthly contact impossible twice running."""
    await on_the_ledger(world, date(2026, 12, 1))
    first = await world.turn_to(date(2027, 1, 31))
    assert [one for one in only(first, ProposalMade) if one.what == "referral"] == []

    second = await world.turn()
    [risk] = [one for one in only(second, ProposalMade) if one.what == "referral"]
    assert (risk.findings, risk.unit) == ((FindingCode.GUARDIANSHIP_AT_RISK,), RENLI)
    assert risk.restricted
    third = await world.turn_to(date(2027, 4, 1))
    assert [one for one in only(third, ProposalMade) if one.what == "referral"] == []

    [moved] = only(await world.do(Verb.CONFIRM, RENLI, proposal=risk.proposal), ReferralMoved)
    assert (moved.route, moved.findings) == ("R34", (FindingCode.GUARDIANSHIP_AT_RISK,))


async def test_a_contact_in_between_is_no_running_miss(world: World) -> None:
    await on_the_ledger(world, date(2026, 12, 1))
    await world.turn_to(date(2027, 1, 15))
    await world.do(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)
    said = await world.turn_to(date(2027, 3, 1))

    assert [one for one in only(said, ProposalMade) if one.what == "referral"] == []


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
    assert (proposal.what, proposal.unit) == ("ledger_closing", LEAD)

    said = await world.do(Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01")
    [moved] = only(said, LedgerMoved)
    assert (moved.move, moved.actor_unit) == ("closed", LEAD)
    assert set(due(said)) == {("contact", "2027-01", "cancelled"), ("visit", "2027Q1", "cancelled")}
    assert due(await world.turn_to(date(2027, 3, 1))) == []


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
    assert [one.move for one in only(agreed, LedgerMoved)] == ["closed"]


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
    before = {one.duty for one in only((one.event for one in world.said), DutyMoved)}
    await on_the_ledger(world, date(2026, 12, 3))

    after = {one.duty for one in only((one.event for one in world.said), DutyMoved)}
    assert len(after) == len(before) + 2


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


def test_reminders_that_have_passed_are_not_owed() -> None:
    cadence = duties.Cadence(1, 3, 7, 20, 20, (30, 10))
    quarter = period_of(date(2026, 12, 15), 3)

    assert duties.visit_reminders(quarter, cadence, date(2026, 12, 15)) == (date(2026, 12, 21),)
    assert duties.contact_reminders(period_of(date(2026, 12, 21), 1), cadence, date(2026, 12, 21)) == ()
    assert duties.contact_reminders(period_of(date(2026, 12, 20), 1), cadence, date(2026, 12, 20)) == (
        date(2026, 12, 20),
    )
