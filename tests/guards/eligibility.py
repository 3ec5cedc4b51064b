"""What eligibility promises, taken out one by one."""

from tests.guards.guard import Guard

_CASES = "tests/policy/test_cases.py"
_ANSWER = "tests/eligibility/test_answer.py::"
_UNTIL = "tests/eligibility/test_until.py::test_no_verdict_changes_before_its_until"
_HANDLERS = "tests/eligibility/test_handlers.py::"
_DOMAIN = "services/eligibility/domain/"

GUARDS = [
    Guard(
        "eligibility: a combination is due when the first of its parts is",
        _DOMAIN + "answer.py",
        "    until = soonest(parts)\n    if still_open:",
        "    until = None\n    if still_open:",
        _ANSWER + "test_before_until_the_answer_is_the_same",
    ),
    Guard(
        "eligibility: a no stands while the last of its grounds does",
        _DOMAIN + "answer.py",
        "        until = latest(until, part.until)",
        "        until = latest(until, until)",
        _ANSWER + "test_a_no_stands_while_the_last_of_its_grounds_does",
    ),
    Guard(
        "eligibility: one no decides",
        _DOMAIN + "answer.py",
        "    return _combined(parts, Answer.NO, Answer.YES)",
        "    return _combined(parts, Answer.UNKNOWN, Answer.YES)",
        _ANSWER + "test_all_of_and_any_of_follow_the_three_valued_table",
    ),
    Guard(
        "eligibility: a birthday is a day on which an answer may differ",
        _DOMAIN + "case.py",
        'return yes("younger_than", until=day, cites',
        'return yes("younger_than", cites',
        _UNTIL,
    ),
    Guard(
        "eligibility: an announced end of a stay is a day on which an answer may differ",
        _DOMAIN + "rules/definition.py",
        "    turn = ends if ends is not None and case.on < ends else None",
        "    turn = None",
        _CASES,
    ),
    Guard(
        "eligibility: six months include the sixth month's day",
        _DOMAIN + "rules/definition.py",
        "    if case.on >= full:",
        "    if case.on > full:",
        _CASES,
    ),
    Guard(
        "eligibility: sixteen is not under sixteen",
        _DOMAIN + "case.py",
        "    if case.on < day:\n        return yes(",
        "    if case.on <= day:\n        return yes(",
        _CASES,
    ),
    Guard(
        "eligibility: two districts of one city are no two counties",
        _DOMAIN + "divisions.py",
        "        return Apart.DISTRICTS",
        "        return Apart.TWO_COUNTIES",
        _CASES,
    ),
    Guard(
        "eligibility: a code that is not listed is not guessed",
        _DOMAIN + "divisions.py",
        "    if prefix is None or prefix not in terms.prefixes or here.startswith(prefix):",
        "    if prefix is not None and here.startswith(prefix):",
        _CASES,
    ),
    Guard(
        "eligibility: sixty days away are no question yet",
        _DOMAIN + "rules/definition.py",
        "timedelta(days=case.terms.absence_days + 1)",
        "timedelta(days=case.terms.absence_days)",
        _CASES,
    ),
    Guard(
        "eligibility: a term the county has not defined is not invented",
        _DOMAIN + "case.py",
        "        return case.terms.undefined[term]",
        '        return yes("criterion_met", term=term)',
        _CASES,
    ),
    Guard(
        "eligibility: nobody is referred while it is not known whether the plan is about the child",
        _DOMAIN + "rulebook.py",
        "    if whom.answer is found.answer is Answer.YES:\n        return all_of(whom, found)",
        "    if found.answer is Answer.YES:\n        return found",
        _CASES,
    ),
    Guard(
        "eligibility: not knowing does not silence a risk to safety",
        _DOMAIN + "answer.py",
        "    return Finding(Answer.YES, (), (), part.citations, part.certainty, part.until)",
        "    return part",
        _CASES,
    ),
    Guard(
        "eligibility: an older version changes nothing",
        "services/eligibility/handlers.py",
        "event.child_version <= known.child_version",
        "event.child_version < known.child_version",
        _HANDLERS + "test_the_newest_version_wins_whatever_comes_later",
    ),
    Guard(
        "eligibility: the newest wins in SQL",
        "services/eligibility/store.py",
        "     where known.child_version <= excluded.child_version\n",
        "",
        _HANDLERS + "test_an_older_row_never_overwrites_a_newer_one_in_sql",
    ),
    Guard(
        "eligibility: what is no news is not said",
        "services/eligibility/handlers.py",
        "        if digest == file.content:",
        "        if not digest:",
        _HANDLERS + "test_a_newer_version_without_a_changed_answer_is_no_news",
    ),
    Guard(
        "eligibility: new county data makes everybody due",
        "services/eligibility/handlers.py",
        "        phase = _DUE if await store.basis_of(tx, page.index) == basis else _EVERYONE",
        "        phase = _DUE",
        _HANDLERS + "test_new_county_data_makes_every_child_due_once",
    ),
    Guard(
        "eligibility: a page goes on where the last one stopped",
        "services/eligibility/handlers.py",
        "        if len(files) == page.limit:\n",
        "        if len(files) > page.limit:\n",
        _HANDLERS + "test_new_county_data_makes_every_child_due_once",
    ),
    Guard(
        "eligibility: an absorbed file has no answers left",
        "services/eligibility/handlers.py",
        '        if file.state == "absorbed":',
        '        if file.state == "gone":',
        _HANDLERS + "test_an_absorbed_file_loses_its_answers_and_names_its_heir",
    ),
]
