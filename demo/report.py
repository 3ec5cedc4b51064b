"""Print a report of the run for a newcomer, from the submitted files to the closed referrals."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contracts.county import County
from demo.checks.linkage import files_of, persons_by_record
from demo.checks.outcome import Check, Outcome
from demo.model import DemoRun

CHANNELS = {"workbook": "workbook", "file": "events (whole file)", "rows": "events (single rows)"}
EXAMPLES = 8
"""Number of detail lines; further ones are only counted."""


async def children_by_record(database: Any) -> dict[str, str]:
    """Return the child's file of each record, with mergers followed."""
    rows = await database.fetch("SELECT child_id, absorbed_by FROM registry.child WHERE absorbed_by IS NOT NULL")
    into = {row["child_id"]: row["absorbed_by"] for row in rows}
    children: dict[str, str] = {}
    for row in await database.fetch("SELECT record_id, child_id FROM registry.record"):
        child = row["child_id"]
        while child in into:
            child = into[child]
        children[str(row["record_id"])] = str(child)
    return children


async def print_report(demo: DemoRun, outcome: Outcome, seconds: float) -> None:
    """Print every part, in the order in which a record is processed."""
    console = demo.console
    names = {unit.id: unit.short for unit in demo.county.units}
    console.rule(f"{demo.county.name}, {outcome.truth['first_day']} to {outcome.last_day}: invented people only")
    print_submissions(console, outcome, names)
    print_problems(console, outcome)
    await print_files(console, demo, outcome)
    print_assessments(console, outcome, demo.county)
    print_referrals(console, outcome, names)
    print_notices(console, outcome, names)
    print_work(console, demo, outcome, seconds)


def print_submissions(console: Console, outcome: Outcome, names: Mapping[str, str]) -> None:
    """Print one line for each submission, with its receipt."""
    table = Table(title="Submissions and their receipts")
    for heading in ("unit", "dataset", "sent as", "rows"):
        table.add_column(heading, justify="right" if heading == "rows" else "left")
    for heading in ("taken whole", "taken less some cells", "refused", "nothing new", "outcome"):
        table.add_column(heading, justify="left" if heading == "outcome" else "right")
    answers = {
        (record.body["submission"], record.body["outcome"] == "same_again"): record.body
        for record in outcome.of("receipt.", "intake.SubmissionAnswered.v1")
    }
    singles: dict[str, Counter[str]] = defaultdict(Counter)
    for record in outcome.of("receipt.", "intake.RowsAnswered.v1"):
        if record.body["submission"] is None:
            for part in ("accepted", "accepted_with_drops", "refused", "unchanged"):
                singles[record.body["unit"]][part] += record.body[part]
    total: Counter[str] = Counter()
    for submission in outcome.truth["submissions"]:
        if submission["channel"] == "rows":
            answer: Mapping[str, Any] = singles[submission["unit"]]
            what = "taken"
        else:
            answer = answers.get(
                (outcome.sent.get(submission["submission"], ""), submission["expect"] == "same_again"), {}
            )
            what = str(answer.get("outcome", "no receipt"))
        numbers = [answer.get(part, 0) for part in ("accepted", "accepted_with_drops", "refused", "unchanged")]
        total["rows"] += len(submission["rows"])
        for part, number in zip(("accepted", "drops", "refused", "unchanged"), numbers, strict=True):
            total[part] += number
        table.add_row(
            names.get(submission["unit"], submission["unit"]),
            submission["dataset"],
            CHANNELS[submission["channel"]],
            str(len(submission["rows"])),
            *map(str, numbers),
            what,
        )
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        str(total["rows"]),
        *(str(total[part]) for part in ("accepted", "drops", "refused", "unchanged")),
    )
    console.print(table)


def print_problems(console: Console, outcome: Outcome) -> None:
    """Print the problems by kind, in the words that the sender receives."""
    problems: Counter[str] = Counter()
    words: dict[str, tuple[str, str]] = {}
    for record in outcome.of("receipt."):
        for problem in record.body.get("problems", ()):
            problems[problem["code"]] += 1
            words.setdefault(problem["code"], (problem["message"], problem["remedy"]))
    table = Table("times", "what was wrong (as the sender reads it)", "what the sender is asked to do",
                  title="What was refused or remarked, and why")  # fmt: skip
    for code, number in problems.most_common():
        table.add_row(str(number), *(escape(text) for text in words[code]))
    console.print(table)


async def print_files(console: Console, demo: DemoRun, outcome: Outcome) -> None:
    """Print the number of files, merges and match reviews."""
    states = await demo.database.fetch("SELECT state, count(*) AS many FROM registry.child GROUP BY state")
    counts = {row["state"]: row["many"] for row in states}
    asked = await demo.database.fetch("SELECT state, count(*) AS many FROM registry.review GROUP BY state")
    questions = {row["state"]: row["many"] for row in asked}
    persons = persons_by_record(outcome)
    spread = files_of(outcome, persons)
    several = sum(len(files) > 1 for files in spread.values())
    contradictions = sum(1 for _ in outcome.of("registry.review.v1", "registry.FactConflictFound.v1"))
    console.print(
        f"[bold]Files.[/] {len(persons)} records of {len(spread)} children lie in "
        f"{len(set(outcome.record_child.values()))} files: {counts.get('on_file', 0)} on file, "
        f"{counts.get('candidate', 0)} candidates (nothing proves who they are), {counts.get('absorbed', 0)} merged. "
        f"{several} children still have more than one file. "
        f"Asked of a person: {sum(questions.values())} times whether two files are one child; "
        f"{questions.get('merged', 0)} merged, {questions.get('cannot_link', 0)} kept as two children, "
        f"{questions.get('open', 0)} open. {contradictions} contradictions between departments were reported."
    )


def print_assessments(console: Console, outcome: Outcome, county: County) -> None:
    """Print how many are migrant children, and the answers for the list's rows."""
    newest: dict[str, dict[str, Any]] = {}
    for record in outcome.of("eligibility.child.v1", "eligibility.ChildAssessed.v1"):
        newest[record.body["child"]] = record.body
    living = [assessment for assessment in newest.values() if assessment["state"] != "absorbed"]
    migrant = Counter(assessment["migrant"]["answer"] for assessment in living)
    counted = Counter(assessment["statistical"]["answer"] for assessment in living)
    console.print(
        f"[bold]Status.[/] Of {len(living)} files, {migrant['yes']} are migrant children, 流动儿童, "
        f"{migrant['no']} are not; of {migrant['unknown']} it is not known yet and the answer names who holds what "
        "is missing. "
        f"Counted for statistics: {counted['yes']} yes, {counted['no']} no, {counted['unknown']} unknown."
    )
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for assessment in living:
        if assessment["migrant"]["answer"] == "yes":
            for verdict in assessment["items"]:
                rows[verdict["subject"]][verdict["answer"]] += 1
    titles = {item.id: item.title for item in county.catalogue}
    table = Table("row", "what it is", "yes", "no", "unknown", title="The list's rows, for the migrant children")
    for subject in sorted(rows, key=_subject_order):
        answers = rows[subject]
        table.add_row(subject, titles.get(subject, ""), *(str(answers[word]) for word in ("yes", "no", "unknown")))
    console.print(table)


def _subject_order(subject: str) -> tuple[int, ...]:
    digits = "".join(character if character.isdigit() else " " for character in subject).split()
    return tuple(map(int, digits))


def print_referrals(console: Console, outcome: Outcome, names: Mapping[str, str]) -> None:
    """Print the referrals on each queue and the next due date."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for topic, records in outcome.events.items():
        if topic.startswith("referral.queue."):
            for record in records:
                if record.body is not None:
                    newest[topic, record.key] = record.body
    moved = Counter(
        record.body["transition"]
        for name in ("referral.case.v1", "referral.restricted.v1")
        for record in outcome.of(name, "referral.ReferralChanged.v1")
    )
    desks: dict[tuple[str, bool], list[dict[str, Any]]] = defaultdict(list)
    for entry in newest.values():
        desks[entry["unit"], entry["restricted"]].append(entry)
    table = Table(title="Referrals on each queue")
    for heading in ("unit", "queue", "came", "not signed for", "in hand", "answered", "gone", "L0/L1", "next clock"):
        table.add_column(heading, justify="right" if heading not in ("unit", "queue", "next clock") else "left")
    for (unit, restricted), entries in sorted(desks.items()):
        here = [entry for entry in entries if entry["assigned"]]
        states = Counter(entry["state"] for entry in here)
        clocks = [
            entry["accept_by"] if entry["state"] == "sent" else entry["result_by"]
            for entry in here
            if entry["state"] in ("sent", "accepted", "in_progress")
        ]
        soonest = min((clock for clock in clocks if clock), default=None)
        table.add_row(
            names.get(unit, unit),
            "restricted" if restricted else "ordinary",
            str(len(entries)),
            str(states["sent"]),
            str(states["accepted"] + states["in_progress"]),
            str(states["result_reported"]),
            str(len(entries) - len(here)),
            str(sum(entry["level"] in ("L0", "L1") for entry in entries)),
            "" if soonest is None else _local_time(soonest),
        )
    console.print(table)
    console.print(
        "Moves of referrals: " + ", ".join(f"{number} {move.replace('_', ' ')}" for move, number in moved.most_common())
    )


def print_notices(console: Console, outcome: Outcome, names: Mapping[str, str]) -> None:
    """Print the number of notices to each unit, with an example."""
    table = Table("unit", "call", "urgent", "normal", "digest", "for example", title="Notices in each unit's inbox")
    urgencies_by_unit: dict[str, Counter[str]] = defaultdict(Counter)
    example: dict[str, str] = {}
    for record in outcome.of("notify.inbox.", "notify.Notice.v1"):
        urgencies_by_unit[record.body["unit"]][record.body["urgency"]] += 1
        if record.body["urgency"] != "digest":
            example.setdefault(record.body["unit"], record.body["text"])
    for unit, urgencies in sorted(urgencies_by_unit.items()):
        table.add_row(
            names.get(unit, unit),
            *(str(urgencies[word]) for word in ("call", "urgent", "normal", "digest")),
            escape(example.get(unit, "")),
        )
    console.print(table)


def print_work(console: Console, demo: DemoRun, outcome: Outcome, seconds: float) -> None:
    """Print what the actors did, the killed service and the duration."""
    assert demo.staff is not None
    people = demo.staff
    police = demo.agencies[0]
    verbs = Counter(verb for agency in demo.agencies for verb, _ in agency.answered)
    console.print(
        f"[bold]People.[/] {len(outcome.truth['planted_findings'])} findings were reported; the police's system read "
        f"{len(police.seen)} entries, opened {police.opened} disclosures, accepted "
        f"{sum(verb == 'accept' for verb, _ in police.answered)}, returned {len(police.returned)} as 不属本单位职责 "
        f"and reported {sum(verb == 'result' for verb, _ in police.answered)} results. All agencies together: "
        + ", ".join(f"{number} {verb}" for verb, number in verbs.most_common())
        + f". Other units confirmed {people.confirmed} suggestions, sent {people.rerouted} returned referrals on, "
        f"asked to close {people.closed}, settled {people.reviewed} match questions, made {people.visited} contacts "
        "and visits."
    )
    doubled = sum(len(records) for records in outcome.topics.values()) - sum(map(len, outcome.events.values()))
    if demo.kill is not None:
        console.print(
            f"[bold]Kill.[/] {demo.kill.service} (process {demo.kill.process}) was killed with -9 while "
            f"a file of {demo.kill.rows} rows was being processed; the supervisor restarted it, and "
            f"{demo.kill.recovery_seconds:.1f} s later all work was done. "
            f"{doubled} events are duplicates on their topic; their readers dropped them."
        )
    events = sum(len(records) for records in outcome.topics.values())
    console.print(
        f"[bold]Time.[/] First record {demo.first_record_at:.1f} s after the start; {demo.options.days} days with "
        f"{events} events in {seconds:.1f} s."
    )


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print one line for each check, followed by its failures."""
    console.rule("Checked against the ground truth, by a program that imports nothing of Hutong")
    for check in checks:
        mark = "[green]✓[/]" if check.passed else "[red]✗[/]"
        console.print(f"{mark} {check.statement} [dim]({check.examined} looked at)[/]")
        for line in check.failures[:EXAMPLES]:
            console.print(f"    {escape(line)}")
        if len(check.failures) > EXAMPLES:
            console.print(f"    and {len(check.failures) - EXAMPLES} more")


def _local_time(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%m-%d %H:%M}"
