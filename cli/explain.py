"""Applies the rules offline: shows a child's entitlements, the missing facts, and the days on which answers change."""

from datetime import date
from pathlib import Path

import orjson

from cli.assessment_changes import changes_until
from cli.assessment_text import as_data, as_text, change_as_data, change_as_text
from cli.facts_file import FactsUnreadable, Problem, apply_county_changes, claims_in, read_facts_file
from county.reader import load
from deploy.counties import DEMO_COUNTY
from services.eligibility.offline import assess, parse_facts, rule_parameters


def explain(
    facts_path: Path | str,
    on: date,
    json: bool = False,
    until: date | None = None,
    *,
    folder: Path | str = DEMO_COUNTY,
) -> str:
    """Return every answer about one child on a day, as text or, with ``json``, as JSON.

    ``until`` adds every day up to it on which an answer changes without new facts.

    Raises:
        FactsUnreadable: the file is not a facts file; the message says what to write instead.
        county.problem.CountyInvalid: the county's folder is invalid.
    """
    if until is not None and until < on:
        raise FactsUnreadable([Problem("--until", "早于 --on", "请写 --on 之后的一天")])
    parts = read_facts_file(facts_path)
    county = apply_county_changes(load(folder), parts.get("county"))
    facts = parse_facts(claims_in(parts["facts"], on))
    now = assess(facts, rule_parameters(county), on)
    changes = list(changes_until(facts, county, now, until)) if until is not None else None
    if json:
        data = as_data(now, county, on)
        if changes is not None:
            data["changes"] = [change_as_data(change, county) for change in changes]
        return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    lines = as_text(now, county, on)
    if changes is not None:
        lines += ["", f"到{until}为止，没有新消息也会变的"]
        lines += [line for change in changes for line in change_as_text(change, county)] or ["  没有"]
    return "\n".join(lines) + "\n"
