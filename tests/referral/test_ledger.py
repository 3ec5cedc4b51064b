"""The key-care ledger: entries are proposed on grounds, confirmed by a person, and closed by two people."""

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
from services.referral.domain.ledger import REASON_OF
from tests.county import a_county
from tests.referral.harness import (
    LEAD,
    POLICE,
    QIDU,
    QIDU_CODE,
    RENLI,
    SCHOOLS,
    ReferralHarness,
    a_child,
    a_gap,
    at,
    only,
    partition_index_of,
)

HARDSHIP = a_gap(FindingCode.LASTING_HARDSHIP, "R20", Level.L3)
DIRECTOR: dict[str, Any] = {"role": "child_director"}
NO_REASON = {
    FindingCode.INJURY_PRIVATE_PARTS,
    FindingCode.SEXUAL_ABUSE_UNDER_14,
    FindingCode.SUSPECTED_SEXUAL_ABUSE,
    FindingCode.SUSPECTED_VIOLENCE,
    FindingCode.ABNORMAL_DEATH_OR_DISABILITY,
    FindingCode.UNKNOWN_ORIGIN_OR_TRAFFICKED,
    FindingCode.OTHER_SERIOUS_HARM,
    FindingCode.GUARDIAN_FAILS_DUTY,
    FindingCode.GUARDIANSHIP_AT_RISK,
    FindingCode.GUARDIANSHIP_TO_REVOKE,
    FindingCode.DOMESTIC_VIOLENCE,
    FindingCode.BULLYING_OR_HARASSMENT,
    FindingCode.OUT_OF_SCHOOL,
    FindingCode.NEVER_ENROLLED,
    FindingCode.NOT_IN_KINDERGARTEN,
    FindingCode.VACCINATION_GAP,
    FindingCode.HEALTH_VISIT_MISSING,
    FindingCode.UNINSURED,
    FindingCode.HOUSING_DIFFICULTY,
    FindingCode.NO_HUKOU,
    FindingCode.CHILD_LABOUR,
    FindingCode.FAMILY_EDUCATION_NEED,
    FindingCode.LEGAL_HELP_NEED,
    FindingCode.PARENT_SEEKS_WORK,
    FindingCode.LEAVING_COUNTY,
}
"""Findings that give no reason for an entry by themselves."""


def ledger_proposals(events: Iterable[object]) -> list[ProposalMade]:
    return [event for event in events if isinstance(event, ProposalMade) and event.subject == "ledger"]


async def enter_ledger(system: ReferralHarness, entry: date, *, child: UUID | None = None) -> UUID:
    """Enter a child whose family asked for help, on a day; return the child."""
    child = child or a_child()
    await system.complete_days_until(entry)
    events = await system.consume(system.finding(FindingCode.HELP_REQUESTED, child=child))
    [proposal] = ledger_proposals(events)
    await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, child=child)
    return child


def duty_changes(events: Iterable[object]) -> list[tuple[str, str, str]]:
    """Return the changes of duties among events: kind, period, change."""
    return [(event.duty_kind, event.period, event.change) for event in events if isinstance(event, DutyChanged)]


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
async def test_each_of_the_six_reasons_is_proposed_to_the_township_on_discovery(
    system: ReferralHarness, code: FindingCode, reason: LedgerReason, topic: str
) -> None:
    """The plan names five, and the family's request is the sixth (A2-1, A2-2). Restricted ones stay restricted."""
    [proposal] = ledger_proposals(await system.consume(system.finding(code)))

    assert (proposal.ledger_reasons, proposal.unit, proposal.topic_name) == ((reason,), RENLI, topic)


def test_every_finding_is_a_reason_or_known_to_be_none() -> None:
    assert REASON_OF.keys() | NO_REASON == set(FindingCode)
    assert REASON_OF.keys().isdisjoint(NO_REASON)


async def test_a_finding_that_is_not_a_reason_proposes_no_entry(system: ReferralHarness) -> None:
    assert ledger_proposals(await system.consume(system.finding(FindingCode.OUT_OF_SCHOOL))) == []


@pytest.mark.parametrize(
    ("code", "migrant", "statistical", "proposed"),
    [
        (FindingCode.SUDDEN_HARDSHIP, Answer.YES, Answer.YES, True),
        (FindingCode.SUDDEN_HARDSHIP, Answer.UNKNOWN, Answer.UNKNOWN, True),  # G8
        (FindingCode.SUDDEN_HARDSHIP, Answer.NO, Answer.YES, False),
        (FindingCode.HELP_REQUESTED, Answer.NO, Answer.YES, True),  # moved within the county, and requested it (A2-2)
        (FindingCode.HELP_REQUESTED, Answer.NO, Answer.NO, False),
    ],
)
async def test_a_child_may_enter_the_ledger_by_migrant_status_or_request(
    system: ReferralHarness, code: FindingCode, migrant: Answer, statistical: Answer, proposed: bool
) -> None:
    await system.consume(system.assessed(migrant=migrant, statistical=statistical))

    assert bool(ledger_proposals(await system.consume(system.finding(code)))) is proposed


async def test_an_entry_on_facts_is_proposed_when_the_day_is_completed(system: ReferralHarness) -> None:
    assert ledger_proposals(await system.consume(system.assessed(HARDSHIP))) == []
    [proposal] = ledger_proposals(await system.complete_day())

    assert proposal.ledger_reasons == (LedgerReason.FAMILY_HARDSHIP,)
    assert ledger_proposals(await system.complete_day()) == []


async def test_a_child_who_becomes_a_migrant_child_is_proposed_then(system: ReferralHarness) -> None:
    await system.consume(system.assessed(HARDSHIP, migrant=Answer.NO, statistical=Answer.NO))
    assert ledger_proposals(await system.complete_day()) == []
    await system.consume(system.assessed(HARDSHIP, migrant=Answer.YES))

    assert len(ledger_proposals(await system.complete_day())) == 1


async def test_an_entry_whose_facts_are_gone_is_no_longer_proposed(system: ReferralHarness) -> None:
    await system.consume(system.assessed(HARDSHIP))
    await system.complete_day()
    await system.consume(system.assessed())

    ended = [proposal for proposal in only(await system.complete_day(), ProposalEnded) if proposal.subject == "ledger"]
    assert [each.outcome for each in ended] == ["no_longer_shown"]


async def test_a_declined_entry_is_not_proposed_on_the_same_ground_but_on_a_new_one(system: ReferralHarness) -> None:
    await system.consume(system.assessed(HARDSHIP))
    [proposal] = ledger_proposals(await system.complete_day())
    await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await system.consume(system.assessed(HARDSHIP))
    assert ledger_proposals(await system.complete_day()) == []

    assert len(ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))) == 1


async def test_a_confirmed_entry_is_opened_with_its_first_duties(system: ReferralHarness) -> None:
    [proposal] = ledger_proposals(await system.consume(system.finding(FindingCode.HELP_REQUESTED)))
    events = await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")

    [moved] = only(events, LedgerEntryChanged)
    assert (moved.change, moved.reasons) == ("opened", (LedgerReason.REQUEST,))
    assert (moved.actor_unit, moved.actor_role) == (RENLI, "township_civil_affairs")
    assert DutyKind.FIRST_VISIT in {duty.duty_kind for duty in only(events, DutyChanged)}


async def test_a_further_reason_changes_the_entry(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)
    [proposal] = ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))
    events = await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal)

    [moved] = only(events, LedgerEntryChanged)
    assert (moved.change, moved.reasons) == ("changed", (LedgerReason.FAMILY_HARDSHIP, LedgerReason.REQUEST))
    assert duty_changes(events) == []
    assert (
        ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP))) == []
    )  # already a reason of the entry


async def test_a_decision_on_one_ground_answers_the_proposal_of_the_same_reasons_on_another(
    system: ReferralHarness,
) -> None:
    [first] = ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))
    [second] = ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP, unit=POLICE)))
    events = await system.act(Verb.CONFIRM, RENLI, proposal=first.proposal)

    assert {proposal.proposal: proposal.outcome for proposal in only(events, ProposalEnded)} == {
        first.proposal: "confirmed",
        second.proposal: "confirmed",
    }
    assert len(only(events, LedgerEntryChanged)) == 1


@pytest.mark.parametrize("code", [FindingCode.SUDDEN_HARDSHIP, FindingCode.HELP_REQUESTED])
@pytest.mark.parametrize(
    ("migrant", "statistical"), [(Answer.NO, Answer.NO), (Answer.NO, Answer.YES), (Answer.YES, Answer.YES)]
)
async def test_a_finding_before_or_after_the_assessment_leads_to_the_same_proposal(
    system: ReferralHarness, code: FindingCode, migrant: Answer, statistical: Answer
) -> None:
    """The two travel on different topics; once the day is completed, their order makes no difference."""

    async def proposed(*, finding_first: bool) -> list[str]:
        await system.reset()
        finding, assessed = system.finding(code), system.assessed(migrant=migrant, statistical=statistical)
        for event in (finding, assessed) if finding_first else (assessed, finding):
            await system.consume(event)
        await system.complete_day()
        rows = await system.session.fetch(
            "select grounds, ledger_reasons from proposal where state = 'open' and subject = 'ledger' order by id"
        )
        return [str(dict(row)) for row in rows]

    before, after = await proposed(finding_first=True), await proposed(finding_first=False)
    assert before == after
    assert bool(after) is (migrant is Answer.YES or (code is FindingCode.HELP_REQUESTED and statistical is Answer.YES))


async def test_a_person_s_finding_is_proposed_once_the_child_may_enter_the_ledger(system: ReferralHarness) -> None:
    await system.consume(system.assessed(migrant=Answer.NO, statistical=Answer.NO))
    assert ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP))) == []
    await system.consume(system.assessed(migrant=Answer.YES))

    [proposal] = ledger_proposals(await system.complete_day())
    assert proposal.ledger_reasons == (LedgerReason.FAMILY_HARDSHIP,)
    await system.act(Verb.DECLINE, RENLI, proposal=proposal.proposal)
    await system.consume(system.assessed(migrant=Answer.UNKNOWN))
    assert ledger_proposals(await system.complete_day()) == []  # a person has decided on the same finding


async def test_losing_migrant_status_never_closes_the_entry(system: ReferralHarness) -> None:
    """Protection does not end at 16 (policy 3.17): only a person closes an entry."""
    await enter_ledger(system, system.on)
    await system.consume(system.assessed(migrant=Answer.NO, statistical=Answer.NO))
    events = await system.complete_days_until(date(2026, 12, 1))

    assert only(events, LedgerEntryChanged) == []
    assert ("contact", "2026-12", "created") in duty_changes(events)


# ---------------------------------------------------------------- first obligations


@pytest.mark.parametrize(
    ("entry", "first"),
    [(date(2026, 12, 20), "2026-12"), (date(2026, 12, 21), "2027-01"), (date(2026, 12, 31), "2027-01")],
)
async def test_an_entry_until_the_twentieth_creates_this_months_contact_duty(
    system: ReferralHarness, entry: date, first: str
) -> None:
    await enter_ledger(system, entry)
    events = await system.complete_days_until(date(2027, 1, 1))

    created = [
        period
        for kind, period, change in duty_changes([outbound.event for outbound in system.emitted])
        if kind == "contact"
    ]
    assert created[0] == first
    assert ("contact", "2027-01", "created") in duty_changes(events)


async def test_the_first_visit_is_due_within_seven_working_days_of_entry(system: ReferralHarness) -> None:
    """For an entry on Tuesday 24 November it is due by Thursday 3 December."""
    await enter_ledger(system, system.on)
    [visit] = [
        duty
        for duty in only((outbound.event for outbound in system.emitted), DutyChanged)
        if duty.duty_kind == "first_visit"
    ]

    assert visit.due_on == date(2026, 12, 3)
    assert ("first_visit", "2026Q4", "missed") not in duty_changes(await system.complete_days_until(date(2026, 12, 3)))
    assert ("first_visit", "2026Q4", "missed") in duty_changes(await system.complete_days_until(date(2026, 12, 4)))


def publish_2027(system: ReferralHarness) -> None:
    days = system.county.working_days
    system.county = a_county(
        working_days=WorkingDays(
            published_years=(*days.published_years, 2027),
            holidays=(*days.holidays, date(2027, 1, 1)),
            make_up_days=days.make_up_days,
        )
    )


async def test_a_first_visit_due_in_an_unpublished_year_is_provisional_and_moves_when_it_is_published(
    system: ReferralHarness,
) -> None:
    await enter_ledger(system, date(2026, 12, 28))
    [visit] = [
        duty
        for duty in only((outbound.event for outbound in system.emitted), DutyChanged)
        if duty.duty_kind == "first_visit"
    ]
    assert (visit.due_on, visit.provisional) == (date(2027, 1, 6), True)
    assert ("first_visit", "2026Q4", "reminded") not in duty_changes(
        await system.complete_days_until(date(2026, 12, 30))
    )

    publish_2027(system)
    [moved] = [duty for duty in only(await system.complete_day(), DutyChanged) if duty.duty_kind == "first_visit"]
    assert (moved.change, moved.due_on, moved.provisional) == ("reminded", date(2027, 1, 7), False)
    later = duty_changes(await system.complete_days_until(date(2027, 1, 7)))
    assert ("first_visit", "2026Q4", "missed") not in later
    assert ("first_visit", "2026Q4", "missed") in duty_changes(await system.complete_day())


@pytest.mark.parametrize("visited", [True, False])
async def test_a_first_visit_that_is_over_is_not_recomputed_and_is_due_on_no_day(
    system: ReferralHarness, visited: bool
) -> None:
    """The visit was made, or missed, before the year's working days were published."""
    child = await enter_ledger(system, date(2026, 12, 28))
    await system.complete_day()
    if visited:
        await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert (
        ("first_visit", "2026Q4", "missed") in duty_changes(await system.complete_days_until(date(2027, 1, 7)))
    ) is not visited
    publish_2027(system)

    assert duty_changes(await system.complete_day()) == []
    tomorrow = system.on + timedelta(days=1)
    years = system.county.working_days.published_years
    assert (
        await store.children_due(system.session, partition_index_of(child), at(tomorrow, 0), tomorrow, None, 500, years)
        == []
    )


# ---------------------------------------------------------------- every month, every quarter


async def test_a_year_on_the_ledger_creates_twelve_contact_duties_and_a_visit_duty_a_quarter(
    system: ReferralHarness,
) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    events = [outbound.event for outbound in system.emitted]
    for _ in range(365):
        events += await system.complete_day()

    created = [(kind, period) for kind, period, change in duty_changes(events) if change == "created"]
    assert [period for kind, period in created if kind == "contact"] == [
        "2026-12",
        *(f"2027-{month:02}" for month in range(1, 13)),
    ]
    assert [period for kind, period in created if kind == "visit"] == ["2027Q1", "2027Q2", "2027Q3", "2027Q4"]
    assert len(created) == len(set(created))


async def test_a_contact_is_reminded_on_the_twentieth_and_missed_on_the_first(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)
    await system.complete_days_until(date(2026, 12, 1))

    assert ("contact", "2026-12", "reminded") not in duty_changes(await system.complete_days_until(date(2026, 12, 19)))
    assert ("contact", "2026-12", "reminded") in duty_changes(await system.complete_day())
    later = duty_changes(await system.complete_days_until(date(2026, 12, 31)))
    assert [change for kind, period, change in later if period == "2026-12"] == []
    first = duty_changes(await system.complete_day())
    assert ("contact", "2026-12", "missed") in first
    assert ("contact", "2027-01", "created") in first


async def test_a_visit_is_reminded_thirty_and_ten_days_before_the_quarter_ends(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)
    await system.complete_days_until(date(2026, 12, 31))
    reminded = []
    while system.on < date(2027, 4, 1):
        events = duty_changes(await system.complete_day())
        reminded += [system.on for kind, _, change in events if (kind, change) == ("visit", "reminded")]
        missed = ("visit", "2027Q1", "missed") in events

    assert reminded == [date(2027, 3, 1), date(2027, 3, 21)]
    assert missed  # on 1 April


async def test_a_day_completed_twice_changes_nothing_more(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)
    await system.complete_days_until(date(2026, 12, 20))
    before = await system.state()

    assert await system.complete_day(date(2026, 12, 20)) == []
    assert await system.state() == before


# ---------------------------------------------------------------- what fulfils


async def test_a_contact_fulfils_the_month_and_no_visit(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    events = await system.act(Verb.CONTACT, RENLI, reached=True, mode="phone", **DIRECTOR)

    assert duty_changes(events) == [("contact", "2026-12", "fulfilled")]
    assert duty_changes(await system.act(Verb.CONTACT, RENLI, reached=True, mode="phone", **DIRECTOR)) == []


@pytest.mark.parametrize("reached", [False, None])
async def test_an_attempt_is_no_contact(system: ReferralHarness, reached: bool | None) -> None:
    await enter_ledger(system, date(2026, 12, 1))

    assert duty_changes(await system.act(Verb.CONTACT, RENLI, reached=reached, mode="phone", **DIRECTOR)) == []


async def test_a_visit_at_home_fulfils_visit_first_visit_and_contact(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    events = await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)

    assert set(duty_changes(events)) == {("contact", "2026-12", "fulfilled"), ("first_visit", "2026Q4", "fulfilled")}


@pytest.mark.parametrize(
    ("changes", "fulfilled"),
    [
        ({"at_residence": False}, []),
        ({"at_residence": None}, []),
        ({"at_residence": True, "reached": False}, []),  # nobody at home
        ({"at_residence": False, "reached": True}, ["contact"]),  # a contact elsewhere is not a visit
    ],
)
async def test_only_a_visit_at_the_residence_is_a_visit(
    system: ReferralHarness, changes: dict[str, Any], fulfilled: list[str]
) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    events = await system.act(Verb.VISIT, RENLI, **changes, **DIRECTOR)

    assert [kind for kind, _, _ in duty_changes(events)] == fulfilled


async def test_a_contact_in_time_that_is_recorded_late_is_fulfilled_late(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.complete_days_until(date(2027, 1, 3))
    events = await system.act(Verb.CONTACT, RENLI, reached=True, on=date(2026, 12, 30), **DIRECTOR)

    assert duty_changes(events) == [("contact", "2026-12", "fulfilled_late")]


async def test_a_late_contact_fulfils_the_missed_month_and_its_own(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.complete_days_until(date(2027, 1, 3))
    events = await system.act(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)

    assert duty_changes(events) == [("contact", "2026-12", "fulfilled_late"), ("contact", "2027-01", "fulfilled")]


async def test_a_contact_consumed_before_the_day_is_completed_counts_for_the_new_month(system: ReferralHarness) -> None:
    """The first call of January is consumed before the partition has completed the year."""
    await enter_ledger(system, date(2026, 12, 1))
    await system.complete_days_until(date(2026, 12, 31))
    await system.act(Verb.CONTACT, RENLI, reached=True, on=date(2027, 1, 1), **DIRECTOR)

    events = duty_changes(await system.complete_day())
    assert [event for event in events if event[1] == "2027-01"] == [
        ("contact", "2027-01", "created"),
        ("contact", "2027-01", "fulfilled"),
    ]


async def test_a_late_first_visit_is_recorded_as_late(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)
    await system.complete_days_until(date(2026, 12, 10))
    events = await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)

    assert ("first_visit", "2026Q4", "fulfilled_late") in duty_changes(events)


async def test_a_contact_by_a_unit_that_does_not_look_after_the_child_is_refused(system: ReferralHarness) -> None:
    await enter_ledger(system, system.on)

    assert await system.refusal(Verb.CONTACT, POLICE, reached=True) == "not_yours"
    assert duty_changes(await system.act(Verb.CONTACT, LEAD, reached=True)) == []  # allowed, but nothing is owed


async def test_contacts_and_attempts_are_kept_and_create_no_duty_off_the_ledger(system: ReferralHarness) -> None:
    assert await system.act(Verb.CONTACT, RENLI, reached=True, mode="phone") == []
    assert await system.act(Verb.CONTACT, RENLI, reached=False, mode="phone") == []

    rows = await system.session.fetch("select reached from contact order by recorded_at, reached desc")
    assert [row["reached"] for row in rows] == [True, False]


async def test_findings_of_a_visit_are_referred(system: ReferralHarness) -> None:
    """The child director sees that the child is out of school and need not report it separately."""
    events = await system.act(Verb.VISIT, RENLI, at_residence=True, findings=(FindingCode.OUT_OF_SCHOOL,), **DIRECTOR)

    [moved] = only(events, ReferralChanged)
    assert (moved.to_unit, moved.from_unit, moved.reporter_unit) == (SCHOOLS, RENLI, RENLI)


async def test_findings_of_a_stranger_s_visit_are_referred_although_the_visit_does_not_count(
    system: ReferralHarness,
) -> None:
    """A teacher visits a child on the ledger: the duty stays owed, and the finding is referred."""
    await enter_ledger(system, date(2026, 12, 1))
    events = await system.act(
        Verb.VISIT, SCHOOLS, at_residence=True, role="teacher", findings=(FindingCode.SUSPECTED_VIOLENCE,)
    )

    assert [referral.to_unit for referral in only(events, ReferralChanged)] == [POLICE]
    assert [refusal.code for refusal in only(events, ReferralActionRefused)] == ["not_yours"]
    assert duty_changes(events) == []


async def test_duties_of_a_child_who_moves_belong_to_the_new_township_from_the_next_period(
    system: ReferralHarness,
) -> None:
    await system.consume(system.assessed())
    await enter_ledger(system, date(2026, 12, 1))
    await system.consume(system.assessed(township=QIDU_CODE))
    events = only(await system.complete_days_until(date(2027, 1, 1)), DutyChanged)

    assert {(event.unit, event.township) for event in events if event.period == "2027-01"} == {
        ("341722-qidu", QIDU_CODE)
    }
    assert duty_changes(await system.act(Verb.CONTACT, RENLI, reached=True, on=date(2026, 12, 31), **DIRECTOR))


# ---------------------------------------------------------------- two missed running


async def test_two_consecutive_missed_contacts_propose_a_guardianship_risk(system: ReferralHarness) -> None:
    """Policy 3.12: the monthly contact was impossible twice in succession."""
    await enter_ledger(system, date(2026, 12, 1))
    first = await system.complete_days_until(date(2027, 1, 31))
    assert [proposal for proposal in only(first, ProposalMade) if proposal.subject == "referral"] == []

    second = await system.complete_day()
    [risk] = [proposal for proposal in only(second, ProposalMade) if proposal.subject == "referral"]
    assert (risk.findings, risk.unit) == ((FindingCode.GUARDIANSHIP_AT_RISK,), RENLI)
    assert risk.restricted
    third = await system.complete_days_until(date(2027, 4, 1))
    assert [proposal for proposal in only(third, ProposalMade) if proposal.subject == "referral"] == []

    [moved] = only(await system.act(Verb.CONFIRM, RENLI, proposal=risk.proposal), ReferralChanged)
    assert (moved.route, moved.findings) == ("R34", (FindingCode.GUARDIANSHIP_AT_RISK,))


async def test_a_risk_that_is_already_proposed_is_not_proposed_twice(system: ReferralHarness) -> None:
    calm = a_gap(FindingCode.GUARDIANSHIP_AT_RISK, "R34", Level.L2, confirm_first=True)
    await enter_ledger(system, date(2026, 12, 1))
    await system.consume(system.assessed(calm))
    events = await system.complete_days_until(date(2027, 2, 2))

    assert [proposal for proposal in only(events, ProposalMade) if proposal.subject == "referral"] == []


async def test_a_third_missed_contact_proposes_nothing_more(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    [risk] = [
        proposal
        for proposal in only(await system.complete_days_until(date(2027, 2, 1)), ProposalMade)
        if proposal.subject == "referral"
    ]
    await system.act(Verb.DECLINE, RENLI, proposal=risk.proposal)

    third = await system.complete_days_until(date(2027, 4, 2))
    assert [proposal for proposal in only(third, ProposalMade) if proposal.subject == "referral"] == []


async def test_two_missed_contacts_with_a_month_without_a_duty_between_them_are_not_consecutive(
    system: ReferralHarness,
) -> None:
    """December is missed; late in January the entry becomes visible as a new one, with duties from February."""
    await confirm_all(system, await system.consume(system.finding(FindingCode.MENTAL_DISTRESS)))
    await system.complete_days_until(date(2027, 1, 25))
    await confirm_all(system, await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))
    events = await system.complete_days_until(date(2027, 3, 2))

    assert ("contact", "2027-02", "missed") in duty_changes(events)
    assert [proposal for proposal in only(events, ProposalMade) if proposal.subject == "referral"] == []


async def test_missed_contacts_with_a_contact_between_them_are_not_consecutive(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.complete_days_until(date(2027, 1, 15))
    await system.act(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)
    events = await system.complete_days_until(date(2027, 3, 1))

    assert [proposal for proposal in only(events, ProposalMade) if proposal.subject == "referral"] == []


# ---------------------------------------------------------------- closing


async def ask_to_close(system: ReferralHarness, unit: str = RENLI, **changes: Any) -> list[Event]:
    return await system.act(
        Verb.CLOSE, unit, **{"role": "township_civil_affairs", "person": "rl-01", "noted": True, **changes}
    )


async def test_closing_takes_a_reason_a_visit_and_a_second_person(system: ReferralHarness) -> None:
    """The township requests it, the county confirms it, and the duties end (G12)."""
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await system.complete_days_until(date(2027, 1, 5))
    [proposal] = only(await ask_to_close(system), ProposalMade)
    assert (proposal.subject, proposal.unit) == ("ledger_closing", LEAD)

    events = await system.act(
        Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01"
    )
    [moved] = only(events, LedgerEntryChanged)
    assert (moved.change, moved.actor_unit) == ("closed", LEAD)
    assert set(duty_changes(events)) == {("contact", "2027-01", "cancelled"), ("visit", "2027Q1", "cancelled")}
    assert duty_changes(await system.complete_days_until(date(2027, 3, 1))) == []


async def test_a_missed_duty_is_no_longer_owed_when_the_entry_is_closed_and_stays_recorded_as_missed(
    system: ReferralHarness,
) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert ("contact", "2027-01", "missed") in duty_changes(await system.complete_days_until(date(2027, 2, 1)))
    [proposal] = only(await ask_to_close(system), ProposalMade)

    events = await system.act(
        Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01"
    )

    cancelled = {("contact", "2027-01"), ("contact", "2027-02"), ("visit", "2027Q1")}
    assert set(duty_changes(events)) == {(*duty, "cancelled") for duty in cancelled}
    assert await system.session.fetchval("select state from duty where period = '2027-01'") == "missed"


async def test_a_duty_missed_under_a_closed_entry_is_neither_owed_nor_fulfilled_under_the_next(
    system: ReferralHarness,
) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await system.complete_days_until(date(2027, 2, 1))
    [proposal] = only(await ask_to_close(system), ProposalMade)
    await system.act(Verb.CONFIRM, LEAD, proposal=proposal.proposal, role="county_civil_affairs", person="mzj-01")
    await enter_ledger(system, date(2027, 2, 3))

    events = await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    assert set(duty_changes(events)) == {("contact", "2027-02", "fulfilled"), ("first_visit", "2027Q1", "fulfilled")}
    assert await system.session.fetchval("select state from duty where period = '2027-01'") == "missed"


@pytest.mark.parametrize(
    ("visited", "changes", "code"),
    [
        (False, {}, "visit_missing"),
        (True, {"noted": False}, "reason_missing"),
        (True, {"unit": POLICE}, "not_yours"),
    ],
)
async def test_closing_is_refused_with_a_code(
    system: ReferralHarness, visited: bool, changes: dict[str, Any], code: str
) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    if visited:
        await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    unit = str(changes.get("unit", RENLI))
    rest = {name: value for name, value in changes.items() if name != "unit"}

    assert await system.refusal(Verb.CLOSE, unit, **{"noted": True, **rest}) == code


async def test_closing_an_entry_that_is_not_open_is_refused(system: ReferralHarness) -> None:
    assert await system.refusal(Verb.CLOSE, RENLI, noted=True) == "not_on_ledger"


async def test_a_visit_from_before_the_grounds_changed_does_not_close(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await system.complete_days_until(date(2026, 12, 10))
    [proposal] = ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))
    await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal)

    assert await system.refusal(Verb.CLOSE, RENLI, noted=True) == "visit_missing"


async def test_a_closing_requested_before_the_reasons_changed_cannot_be_confirmed(system: ReferralHarness) -> None:
    """It is requested on the fifth; a further reason on the sixth requires a visit first."""
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [closing] = only(await ask_to_close(system), ProposalMade)
    await system.complete_days_until(date(2026, 12, 6))
    [further] = ledger_proposals(await system.consume(system.finding(FindingCode.SUDDEN_HARDSHIP)))
    await system.act(Verb.CONFIRM, RENLI, proposal=further.proposal)

    assert await system.refusal(Verb.CONFIRM, LEAD, proposal=closing.proposal) == "visit_missing"
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    closed = await system.act(Verb.CONFIRM, LEAD, proposal=closing.proposal)
    assert [entry.change for entry in only(closed, LedgerEntryChanged)] == ["closed"]


async def test_a_closing_requested_by_the_county_is_confirmed_by_the_child_s_present_township(
    system: ReferralHarness,
) -> None:
    await system.consume(system.assessed())
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    await system.consume(system.assessed(township=QIDU_CODE))
    [proposal] = only(await ask_to_close(system, LEAD, role="county_civil_affairs"), ProposalMade)

    assert (proposal.unit, proposal.township) == (QIDU, QIDU_CODE)


async def test_the_unit_that_requests_a_closing_does_not_confirm_it(system: ReferralHarness) -> None:
    """If the lead unit requests it, another role or the township confirms it."""
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    events = await ask_to_close(system, LEAD, role="county_civil_affairs", person="mzj-01")
    [proposal] = only(events, ProposalMade)
    assert proposal.unit == RENLI
    assert await system.refusal(Verb.CLOSE, RENLI, noted=True) == "asked_already"

    same: dict[str, Any] = {"proposal": proposal.proposal, "role": "county_civil_affairs"}
    assert await system.refusal(Verb.CONFIRM, LEAD, person="mzj-01", **same) == "second_person_needed"
    assert await system.refusal(Verb.CONFIRM, LEAD, person="mzj-04", **same) == "second_person_needed"
    agreed = await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal, role="township_civil_affairs")
    assert [entry.change for entry in only(agreed, LedgerEntryChanged)] == ["closed"]


async def test_a_declined_closing_leaves_the_entry_open_and_can_be_requested_again(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [first] = only(await ask_to_close(system), ProposalMade)
    await system.act(Verb.DECLINE, LEAD, proposal=first.proposal)
    [second] = only(await ask_to_close(system), ProposalMade)

    assert second.proposal != first.proposal


async def test_a_child_who_enters_again_has_a_second_entry_with_separate_duties(system: ReferralHarness) -> None:
    await enter_ledger(system, date(2026, 12, 1))
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [proposal] = only(await ask_to_close(system), ProposalMade)
    await system.act(Verb.CONFIRM, LEAD, proposal=proposal.proposal)
    before = {duty.duty for duty in only((outbound.event for outbound in system.emitted), DutyChanged)}
    await enter_ledger(system, date(2026, 12, 3))

    after = {duty.duty for duty in only((outbound.event for outbound in system.emitted), DutyChanged)}
    assert len(after) == len(before) + 2


# ---------------------------------------------------------------- what must not be seen


def ordinary_view(system: ReferralHarness) -> list[tuple[str, str, str]]:
    """Return what a reader of the ordinary topics sees, without ids."""
    kept = []
    for outbound in system.emitted:
        if outbound.sensitivity == "restricted":
            assert ".restricted." in outbound.event.topic_name
            continue
        assert ".restricted." not in outbound.event.topic_name
        body = outbound.event.model_dump(mode="json", exclude={"duty", "proposal", "ce_id"})
        kept.append((outbound.event.topic_name, type(outbound.event).__name__, json.dumps(body, sort_keys=True)))
    return kept


async def confirm_all(system: ReferralHarness, events: Iterable[Event]) -> None:
    for proposal in ledger_proposals(events):
        await system.act(Verb.CONFIRM, RENLI, child=proposal.child, proposal=proposal.proposal)


async def test_an_entry_with_only_restricted_reasons_leaves_no_trace_on_an_ordinary_topic(
    system: ReferralHarness,
) -> None:
    """That covers opening, duties, reminders, misses, contacts, refusals and closing."""
    await system.consume(system.assessed())
    await confirm_all(system, await system.consume(system.finding(FindingCode.MENTAL_DISTRESS)))
    await system.refusal(Verb.CONTACT, POLICE, reached=True)
    await system.refusal(Verb.CLOSE, RENLI, noted=True, restricted=True)
    await system.complete_days_until(date(2027, 2, 2))  # two consecutive contacts missed
    await system.act(Verb.CONTACT, RENLI, reached=True, **DIRECTOR)
    await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
    [proposal] = only(await ask_to_close(system, restricted=True), ProposalMade)
    await system.refusal(Verb.CLOSE, RENLI, noted=True, restricted=True)
    await system.act(Verb.CONFIRM, LEAD, proposal=proposal.proposal)

    changes_seen = {outbound.event.change for outbound in system.emitted if isinstance(outbound.event, DutyChanged)}
    assert changes_seen == {"created", "reminded", "missed", "fulfilled", "fulfilled_late"}
    assert ordinary_view(system) == []


async def test_the_ordinary_log_in_gets_the_same_answer_for_a_restricted_entry_as_for_none(
    system: ReferralHarness,
) -> None:
    await system.consume(system.assessed())
    before = await system.refusal(Verb.CLOSE, RENLI, noted=True)
    await confirm_all(system, await system.consume(system.finding(FindingCode.MENTAL_DISTRESS)))

    assert await system.refusal(Verb.CLOSE, RENLI, noted=True) == before == "not_on_ledger"
    first, second = (outbound.event for outbound in system.emitted if isinstance(outbound.event, ReferralActionRefused))
    assert first.topic_name == second.topic_name == "referral.case.v1"


@pytest.mark.parametrize("secret_day", [0, 3, 40])
async def test_restricted_reasons_change_nothing_on_the_ordinary_topics(
    system: ReferralHarness, secret_day: int
) -> None:
    """The view is the same with and without them, reported before or after the ordinary reason."""

    async def run(*, with_secret: bool) -> list[tuple[str, str, str]]:
        await system.reset()
        await system.consume(system.assessed())
        for day in range(1, 100):
            await system.complete_day()
            if day == secret_day and with_secret:
                await confirm_all(system, await system.consume(system.finding(FindingCode.RUNAWAY_OR_VAGRANT)))
            if day == 2 and with_secret and secret_day == 0:
                await confirm_all(system, await system.consume(system.finding(FindingCode.NO_GUARDIAN)))
                await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
            if day == 3:
                system.now = at(system.on, 12)
                finding = system.finding(FindingCode.SUDDEN_HARDSHIP, unit=POLICE, finding=UUID(int=3))
                await confirm_all(system, await system.consume(finding))
            if day == 50:
                await system.act(Verb.VISIT, RENLI, at_residence=True, **DIRECTOR)
        [proposal] = only(await ask_to_close(system), ProposalMade)
        await system.act(Verb.CONFIRM, LEAD, proposal=proposal.proposal)
        return ordinary_view(system)

    plain, secret = await run(with_secret=False), await run(with_secret=True)
    assert [line[1] for line in plain].count("LedgerEntryChanged") == 2
    assert secret == plain


async def test_restricted_and_ordinary_reasons_are_proposed_separately(system: ReferralHarness) -> None:
    """The ordinary topics name the ordinary reason alone, in either order of confirmation."""
    codes = (FindingCode.SUDDEN_HARDSHIP, FindingCode.MENTAL_DISTRESS)
    for restricted_first in (True, False):
        await system.reset()
        proposals = ledger_proposals(await system.consume(system.finding(*codes)))
        assert [(proposal.restricted, proposal.ledger_reasons) for proposal in proposals] == [
            (False, (LedgerReason.FAMILY_HARDSHIP,)),
            (True, (LedgerReason.MIND_OR_BEHAVIOUR,)),
        ]
        for proposal in reversed(proposals) if restricted_first else proposals:
            await system.act(Verb.CONFIRM, RENLI, proposal=proposal.proposal)
        changes_seen = only((outbound.event for outbound in system.emitted), LedgerEntryChanged)
        assert [(each.change, each.reasons) for each in changes_seen if not each.restricted] == [
            ("opened", (LedgerReason.FAMILY_HARDSHIP,))
        ]


async def test_a_refusal_about_a_restricted_finding_is_restricted(system: ReferralHarness) -> None:
    finding = system.finding(FindingCode.SUSPECTED_VIOLENCE)
    await system.consume(finding)
    finding_id = finding.event.finding  # type: ignore[attr-defined]

    assert (
        await system.refusal(Verb.PHONE_REPORT, "341722-fy", finding=finding_id, child=None, reached=True)
        == "not_yours"
    )
    assert ordinary_view(system) == []


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
    period = period_of(day, months)

    assert (period.label, period.first, period.last) == (label, first, last)


async def test_the_cadence_of_2026_asks_for_a_visit_a_month(system: ReferralHarness) -> None:
    """The county may set it; the plan's own values are the default (G10)."""
    system.county = a_county(cadence=Cadence(visit_months=1))
    await enter_ledger(system, date(2026, 12, 1))
    events = duty_changes(await system.complete_days_until(date(2027, 2, 1)))

    assert [period for kind, period, change in events if (kind, change) == ("visit", "created")] == [
        "2027-01",
        "2027-02",
    ]


def test_a_contact_on_the_due_day_is_in_time() -> None:
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
        correlation=UUID(int=2),
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
