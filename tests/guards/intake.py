"""What intake promises, taken out one by one."""

from tests.guards.guard import Guard

_FILES = "tests/intake/test_files.py::"
_ACTIONS = "tests/intake/test_actions.py::"
_NUMBERS = "tests/intake/test_id_number.py::"
_ROWS = "tests/intake/test_row.py::"
_INTAKE = "services/intake/"

GUARDS = [
    Guard(
        "intake: what a spreadsheet left of a number is never guessed",
        _INTAKE + "domain/id_number.py",
        'if text.endswith("000") and not typed:',
        'if text == "000" and not typed:',
        _NUMBERS + "test_a_number_that_a_spreadsheet_took_for_a_number_is_damaged",
    ),
    Guard(
        "intake: a wrong digit is noticed",
        _INTAKE + "domain/id_number.py",
        "    if not check_passes(text):",
        "    if not text:",
        _NUMBERS + "test_one_wrong_digit_is_always_noticed",
    ),
    Guard(
        "intake: rows with one number meet, whatever date stands beside it",
        _INTAKE + "domain/row.py",
        "born = self.id_number.birth_date if self.id_number is not None else self.birth_date",
        "born = self.birth_date",
        _ROWS + "test_number_and_birth_date_that_differ_are_both_kept_and_told",
    ),
    Guard(
        "intake: a parent's number is not the child's",
        _INTAKE + "domain/row.py",
        "        if code is not None:\n            self.drop(self.id_source",
        "        if code is not None and not self.identity:\n            self.drop(self.id_source",
        _ROWS + "test_a_mothers_number_in_the_childs_column_is_dropped",
    ),
    Guard(
        "intake: the next file of a batch is compared with this one",
        _INTAKE + "handlers.py",
        "            await counter.save()  # what the next file is compared with\n",
        "",
        _FILES + "test_the_outcome_does_not_depend_on_how_the_log_was_cut",
    ),
    Guard(
        "intake: a sealed column refuses the file whole",
        _INTAKE + "domain/submission.py",
        "    if plan.sealed:",
        "    if plan.sealed and not plan.headers:",
        _FILES + "test_a_file_is_refused_whole_before_a_row_is_read",
    ),
    Guard(
        "intake: no column comes in after the door was passed",
        _INTAKE + "counter.py",
        "            if not event.cells.keys() <= plan.headers:",
        "            if not event.cells:",
        _FILES + "test_a_row_with_a_column_that_was_not_announced_is_refused",
    ),
    Guard(
        "intake: silence is evidence only from a complete file",
        _INTAKE + "domain/submission.py",
        "    return submission.read == said == submission.announced",
        "    return submission.read >= 0",
        _FILES + "test_a_file_whose_rows_do_not_add_up_is_taken_but_its_silence_is_no_evidence",
    ),
    Guard(
        "intake: an older period changes nothing",
        _INTAKE + "counter.py",
        'if newest is not None and event.period < newest:\n                outcome = "older_period"',
        'if newest is not None and event.period < newest:\n                outcome = "taken"',
        _FILES + "test_an_older_period_is_checked_but_changes_nothing",
    ),
    Guard(
        "intake: a row that stands twice with another content is a question",
        _INTAKE + "counter.py",
        "if before is not None and before[1] is not None and before[1] != one.content:",
        "if before is not None and before[1] is not None and not one.content:",
        _FILES + "test_a_row_that_stands_twice_is_taken_once",
    ),
    Guard(
        "intake: only a row that was whole is known again unread",
        _INTAKE + "counter.py",
        "        if troubles:\n            one.raw = None\n",
        "",
        _FILES + "test_what_is_wrong_with_an_unchanged_row_is_told_every_time",
    ),
    Guard(
        "intake: what is known again may have changed since",
        _INTAKE + "counter.py",
        'return "unchanged" if known is not None and known.content == one.content else "said"',
        'return "unchanged" if known is not None and (one.row is None or known.content == one.content) else "said"',
        _FILES + "test_a_row_that_changes_back_is_said_again",
    ),
    Guard(
        "intake: an action is taken once",
        _INTAKE + "people.py",
        "    if ce_id in before:",
        "    if ce_id is None:",
        _ACTIONS + "test_the_same_action_is_taken_once",
    ),
    Guard(
        "intake: a role alone does not merge files",
        _INTAKE + "domain/action.py",
        "if action.verb in (Verb.MERGE, Verb.SPLIT) and not speaker.keeps_files:",
        "if action.verb in (Verb.MERGE, Verb.SPLIT) and not speaker.known:",
        _ACTIONS + "test_files_are_merged_by_the_lead_and_townships_only",
    ),
    Guard(
        "intake: the reporter travels with the finding alone",
        _INTAKE + "people.py",
        "    identity = json_of(who)\n",
        "    identity = json_of(whole)\n",
        _ACTIONS + "test_the_reporter_travels_with_the_finding_alone",
    ),
]
