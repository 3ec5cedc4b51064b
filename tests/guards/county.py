"""Guards of the checks on a county's data before activation, removed one at a time."""

from tests.guards.guard import Guard

_READER = "county/reader.py"
_CHECKS = "county/checks.py"
_CITATIONS = "county/citations.py"
_TESTS = "tests/county/test_checks.py::"
_LINE = _TESTS + "test_an_error_is_reported_with_its_line"

GUARDS = [
    Guard(
        "county: an unknown key is reported",
        "contracts/county.py",
        '    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)\n',
        '    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)\n',
        _LINE,
    ),
    Guard(
        "county: a key is in one file only",
        _READER,
        "            if key in draft.values:\n",
        "            if not key:\n",
        _LINE,
    ),
    Guard(
        "county: a day that does not exist is reported",
        _READER,
        "        return loader.construct_object(node)\n    except ValueError:",
        "        return loader.construct_object(node)\n    except KeyError:",
        _LINE,
    ),
    Guard(
        "county: a duplicate id is reported first",
        _CHECKS,
        "list(unique_names(county)) or [",
        "list(unique_names(county)) + [",
        _TESTS + "test_a_duplicate_id_is_reported_before_its_consequences",
    ),
    Guard(
        "county: a restricted referral goes to restricted log-ins only",
        "county/route_checks.py",
        "            if route.restricted and not receiver.receives_restricted:",
        "            if not route.id:",
        _LINE,
    ),
    Guard(
        "county: police, mental health and guardianship routes are restricted",
        "county/route_checks.py",
        "        if route.id in RESTRICTED_ROUTES and not route.restricted:",
        "        if not route.id:",
        _LINE,
    ),
    Guard(
        "county: every finding has a route",
        "county/route_checks.py",
        "        if code not in routed:",
        "        if not code:",
        _LINE,
    ),
    Guard(
        "county: an inbox has a responsible person",
        "county/unit_checks.py",
        "        elif unit.inbox and unit.recipient is None:",
        "        elif not unit.id:",
        _LINE,
    ),
    Guard(
        "county: a private key is not accepted as a public key",
        "county/unit_checks.py",
        '    if "d" in jwk:',
        "    if not jwk:",
        _LINE,
    ),
    Guard(
        "county: forbidden contents have no column",
        "county/dataset_checks.py",
        "                if word.lower() in header.lower():",
        "                if not header:",
        _LINE,
    ),
    Guard(
        "county: every fact that may be missing can be requested from a unit",
        "county/route_checks.py",
        "        if not county.holders.get(fact):",
        "        if not fact:",
        _LINE,
    ),
    Guard(
        "county: a term that no rule uses is reported",
        "county/route_checks.py",
        "        if criterion.term not in terms:",
        "        if not criterion.term:",
        _LINE,
    ),
    Guard(
        "county: no period is shorter than a day",
        "county/calendar_checks.py",
        '    for part in ("cadence", "thresholds", "clocks", "duty_clocks"):',
        "    for part in ():",
        _LINE,
    ),
    Guard(
        "county: an item quotes its own row",
        "county/route_checks.py",
        "        if item.citation.article != own and item.text_status is TextStatus.COMPLETE:",
        "        if not own:",
        _LINE,
    ),
    Guard(
        "county: working days have no gaps",
        "county/calendar_checks.py",
        "        if year not in years:",
        "        if not year:",
        _LINE,
    ),
    Guard(
        "county: a phrase is checked at its cited place",
        _CITATIONS,
        "        elif not source.has(citation.article, citation.phrase):",
        "        elif not citation.phrase:",
        _TESTS + "test_quotations_and_rows_are_checked_against_the_policy",
    ),
    Guard(
        "county: quotations of the rules are checked too",
        _CHECKS,
        "            *rule_citations(county, requirements, text),\n",
        "",
        _TESTS + "test_quotations_and_rows_are_checked_against_the_policy",
    ),
    Guard(
        "county: the ordinary log-in's key does not open restricted data",
        "county/unit_checks.py",
        "    if other != called:\n",
        "    if not other:\n",
        _LINE,
    ),
    Guard(
        "county: a restricted agency has a second key",
        "deploy/install.py",
        '        needed["restricted_public_key"] = f"{unit.id}-restricted"',
        '        needed["restricted_public_key"] = unit.id',
        "tests/deploy/test_install.py::test_public_keys_are_added_at_activation",
    ),
    Guard(
        "county: a county that fails the check is not installed",
        "deploy/install.py",
        "    if problems := check(folder, REQUIREMENTS):",
        "    if problems := []:",
        "tests/deploy/test_install.py::test_a_county_that_fails_the_check_is_not_installed",
    ),
    Guard(
        "county: a person named by the county activates its data",
        "cli/county.py",
        "        if person.id == person_id:",
        "        if person.id:",
        "tests/cli/test_county.py::test_a_county_is_activated_by_a_person_whom_it_lists",
    ),
]
