"""What referral promises, taken out one by one."""

from tests.guards.guard import Guard

_MACHINE = "tests/referral/test_machine.py::"
_CALENDAR = "tests/referral/test_calendar.py::"
_FINDINGS = "tests/referral/test_findings.py::"
_FACTS = "tests/referral/test_facts.py::"
_CLOCKS = "tests/referral/test_clocks.py::"
_LEDGER = "tests/referral/test_ledger.py::"
_FILES = "tests/referral/test_files.py::"
_ACTIONS = "tests/referral/test_actions.py::"
_DOMAIN = "services/referral/domain/"

GUARDS = [
    Guard(
        "referral: the table of moves is the policy's",
        _DOMAIN + "referral.py",
        "    (SENT, Move.WITHDRAWN): WITHDRAWN,\n",
        "    (SENT, Move.WITHDRAWN): WITHDRAWN,\n    (SENT, Move.STARTED): IN_PROGRESS,\n",
        _MACHINE + "test_the_table_is_the_one_of_the_policy",
    ),
    Guard(
        "referral: nothing is closed before the reporter knows",
        _DOMAIN + "referral.py",
        "if referral.reporter_unit is not None and not referral.reporter_informed:",
        "if False:",
        _MACHINE + "TestAnyLife",
    ),
    Guard(
        "referral: what the table does not name is refused",
        _DOMAIN + "referral.py",
        '    if after is None:\n        raise Refused("illegal_move", referral.state)\n    return after\n',
        "    return after or referral.state\n",
        _MACHINE + "test_every_pair_that_is_not_in_the_table_is_refused_by_name",
    ),
    Guard(
        "referral: a guardian's refusal does not end an urgent matter",
        _DOMAIN + "referral.py",
        "    return referral.result is Result.REFUSED_BY_GUARDIAN and referral.level in URGENT",
        "    return False",
        _MACHINE + "test_closing_needs_a_result_a_check_and_word_to_the_reporter",
    ),
    Guard(
        "referral: two returns and no third",
        _DOMAIN + "referral.py",
        "    if referral.returns >= rules.max_returns:\n        raise",
        "    if referral.returns > rules.max_returns:\n        raise",
        _MACHINE + "test_the_second_return_goes_up_at_once_and_a_third_is_refused",
    ),
    Guard(
        "referral: each clock runs out once",
        _DOMAIN + "referral.py",
        "ran_out=(*referral.ran_out, overdue)",
        "ran_out=referral.ran_out",
        _MACHINE + "test_each_clock_runs_out_once",
    ),
    Guard(
        "referral: a worked Saturday is worked",
        _DOMAIN + "calendar.py",
        "        if day in self.make_up_days:",
        "        if day in self.holidays:",
        _CALENDAR + "test_holidays_are_not_worked_and_make_up_weekends_are",
    ),
    Guard(
        "referral: a level never falls",
        _DOMAIN + "referral.py",
        "    risen = most_urgent(referral.level, level)",
        "    risen = level",
        _MACHINE + "test_a_level_rises_and_never_falls",
    ),
    Guard(
        "referral: a unit without a second queue gets no restricted matter",
        "services/referral/routing.py",
        "not speaker.receives_restricted and speaker.id != county.lead_unit",
        "speaker.receives_restricted and speaker.id is None",
        _FINDINGS + "test_a_restricted_matter_for_a_unit_without_a_second_queue_goes_to_the_lead_unit",
    ),
    Guard(
        "referral: a call heard before its finding is not forgotten",
        "services/referral/actions.py",
        "        if action.reached:\n",
        "        if action.reached is None:\n",
        _FINDINGS + "test_a_call_that_is_heard_before_its_finding_is_not_forgotten",
    ),
    Guard(
        "referral: urgent findings are confirmed by a person, whatever the route says",
        _DOMAIN + "gaps.py",
        "        return self.confirm_first or self.level in URGENT",
        "        return self.confirm_first",
        _FACTS + "test_urgent_findings_are_confirmed_whatever_the_route_says",
    ),
    Guard(
        "referral: an older assessment changes nothing",
        "services/referral/handlers.py",
        "<= (before.version, before.assessment)",
        "< (0, 0)",
        _FACTS + "test_an_older_assessment_changes_nothing",
    ),
    Guard(
        "referral: facts do not take back what a person confirmed",
        _DOMAIN + "referral.py",
        "    if referral.by_person or referral.state not in UNANSWERED:",
        "    if referral.state not in UNANSWERED:",
        _FACTS + "test_what_a_person_confirmed_is_not_taken_back_by_facts",
    ),
    Guard(
        "referral: the tick leaves days to the day",
        "services/referral/handlers.py",
        "        if only_ticking and not referral.ticks(matter):\n            continue\n",
        "",
        _CLOCKS + "test_ticks_look_at_urgent_matters_only",
    ),
    Guard(
        "referral: an attempt is no contact",
        "services/referral/actions.py",
        "    contact = action.reached is True\n",
        "    contact = action.reached is not None\n",
        _LEDGER + "test_an_attempt_is_no_contact",
    ),
    Guard(
        "referral: nobody closes the ledger alone",
        _DOMAIN + "proposals.py",
        '    if yes and proposal.what == "ledger_closing" and _same_person(proposal, actor):\n',
        "    if False:\n",
        _LEDGER + "test_nobody_agrees_with_himself",
    ),
    Guard(
        "referral: an action that names the absorbed file finds its referral",
        "services/referral/actions.py",
        "    return child in matter.owners or desk.of(child).child.id == matter.child",
        "    return child == matter.child",
        _FILES + "test_an_action_that_names_the_absorbed_file_still_finds_its_referral",
    ),
    Guard(
        "referral: the tombstone waits for the next day",
        "services/referral/desk.py",
        "            tombstones_from = on + DAY\n",
        "            tombstones_from = on\n",
        _ACTIONS + "test_the_tombstone_follows_when_the_day_turns_and_only_once",
    ),
]
