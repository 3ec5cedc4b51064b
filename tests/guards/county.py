"""What is checked of a county's data before it is put in force, taken out one by one."""

from tests.guards.guard import Guard

_READER = "county/reader.py"
_CHECKS = "county/checks.py"
_CITATIONS = "county/citations.py"
_TESTS = "tests/county/test_checks.py::"
_LINE = _TESTS + "test_what_is_wrong_is_named_with_its_line"

GUARDS = [
    Guard(
        "county: a key that no county has is told",
        "contracts/county.py",
        '    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)\n',
        '    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)\n',
        _LINE,
    ),
    Guard(
        "county: a key stands in one file",
        _READER,
        "            if key in draft.values:\n",
        "            if not key:\n",
        _LINE,
    ),
    Guard(
        "county: a day that does not exist is told",
        _READER,
        "        return loader.construct_object(node)\n    except ValueError:",
        "        return loader.construct_object(node)\n    except KeyError:",
        _LINE,
    ),
    Guard(
        "county: one name for two things is told first",
        _CHECKS,
        "list(unique_names(county)) or [",
        "list(unique_names(county)) + [",
        _TESTS + "test_one_name_for_two_things_is_told_before_anything_that_follows_from_it",
    ),
    Guard(
        "county: a restricted matter goes only to other eyes",
        _CHECKS,
        "            if route.restricted and not receiver.receives_restricted:",
        "            if not route.id:",
        _LINE,
    ),
    Guard(
        "county: what points at police, mind or guardianship is restricted",
        _CHECKS,
        "        if route.id in RESTRICTED_ROUTES and not route.restricted:",
        "        if not route.id:",
        _LINE,
    ),
    Guard(
        "county: every finding goes somewhere",
        _CHECKS,
        "        if code not in routed:",
        "        if not code:",
        _LINE,
    ),
    Guard(
        "county: an inbox has somebody who answers for it",
        _CHECKS,
        "        elif unit.inbox and unit.recipient is None:",
        "        elif not unit.id:",
        _LINE,
    ),
    Guard(
        "county: a private key is no public key",
        _CHECKS,
        '    if "d" in jwk:',
        "    if not jwk:",
        _LINE,
    ),
    Guard(
        "county: sealed matters have no column",
        _CHECKS,
        "                if word.lower() in header.lower():",
        "                if not header:",
        _LINE,
    ),
    Guard(
        "county: whatever may be missing, somebody can be asked",
        _CHECKS,
        "        if not county.holders.get(fact):",
        "        if not fact:",
        _LINE,
    ),
    Guard(
        "county: a term that no rule asks for is told",
        _CHECKS,
        "        if criterion.term not in terms:",
        "        if not criterion.term:",
        _LINE,
    ),
    Guard(
        "county: nothing lasts less than a day",
        _CHECKS,
        '    for part in ("cadence", "thresholds", "clocks", "duty_clocks"):',
        "    for part in ():",
        _LINE,
    ),
    Guard(
        "county: an item quotes its own row",
        _CHECKS,
        "        if item.citation.article != own and item.text_status is TextStatus.COMPLETE:",
        "        if not own:",
        _LINE,
    ),
    Guard(
        "county: working days have no gaps",
        _CHECKS,
        "        if year not in years:",
        "        if not year:",
        _LINE,
    ),
    Guard(
        "county: a phrase is looked up where it is said to stand",
        _CITATIONS,
        "        elif not source.has(citation.article, citation.phrase):",
        "        elif not citation.phrase:",
        _TESTS + "test_what_is_quoted_and_every_row_are_looked_up_in_the_policy",
    ),
    Guard(
        "county: what the rules quote is looked up as well",
        _CHECKS,
        "*rule_citations(county, requirements, text), ",
        "",
        _TESTS + "test_what_is_quoted_and_every_row_are_looked_up_in_the_policy",
    ),
    Guard(
        "county: the ordinary log-in's key does not open what is restricted",
        _CHECKS,
        "    if other != called:\n",
        "    if not other:\n",
        _LINE,
    ),
    Guard(
        "county: a restricted agency has a second key",
        "deploy/install.py",
        '        needed["restricted_public_key"] = f"{unit.id}-restricted"',
        '        needed["restricted_public_key"] = unit.id',
        "tests/deploy/test_install.py::test_public_keys_come_at_activation",
    ),
    Guard(
        "county: what the check refuses comes into no house",
        "deploy/install.py",
        "    if problems := check(folder, REQUIREMENTS):",
        "    if problems := []:",
        "tests/deploy/test_install.py::test_what_the_check_refuses_comes_into_no_house",
    ),
    Guard(
        "county: somebody whom the county names puts it in force",
        "cli/county.py",
        "        if person.id == person_id:",
        "        if person.id:",
        "tests/cli/test_county.py::test_a_county_is_put_in_force_by_somebody_whom_it_names",
    ),
]
