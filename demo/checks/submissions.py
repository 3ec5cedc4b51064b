"""Checks that every file, row, planted defect and report has its answer."""

from collections import Counter, defaultdict
from typing import Any

from demo.checks.outcome import Check, Outcome

CODES_OF_DEFECTS = {
    "id_as_number": {"id_damaged"},
    "id_masked": {"id_masked"},
    "id_mistyped": {"id_checksum"},
    "date_impossible": {"date_impossible", "date_unreadable"},
    "names_nobody": {"names_nobody"},
}
"""Planted defect -> the codes that the receipt may give it."""


def files_answered(outcome: Outcome) -> Check:
    """Every whole file has one receipt; its numbers add up to the rows that were sent."""
    answers: dict[tuple[str, bool], list[dict[str, Any]]] = defaultdict(list)
    for record in outcome.of("receipt.", "intake.SubmissionAnswered.v1"):
        # A file sent again is the same submission, answered a second time.
        answers[record.body["submission"], record.body["outcome"] == "same_again"].append(record.body)
    wrong: list[str] = []
    files = [submission for submission in outcome.truth["submissions"] if submission["channel"] != "rows"]
    for submission in files:
        name = f"{submission['unit']} {submission['dataset']} ({submission['expect']})"
        submission_id = outcome.sent.get(submission["submission"], "")
        receipts = answers.get((submission_id, submission["expect"] == "same_again"), [])
        if len(receipts) != 1:
            wrong.append(f"{name}: {len(receipts)} receipts")
            continue
        answer = receipts[0]
        total = sum(answer[part] for part in ("accepted", "accepted_with_drops", "refused", "unchanged"))
        if answer["outcome"] != submission["expect"]:
            wrong.append(f"{name}: the receipt says {answer['outcome']}")
        if not total == answer["rows"] == len(submission["rows"]):
            wrong.append(f"{name}: {len(submission['rows'])} rows sent, {answer['rows']} read, {total} answered")
    return Check("every file has one receipt, and its numbers add up to its rows", len(files), tuple(wrong))


def rows_answered(outcome: Outcome) -> Check:
    """Every single row is answered exactly once."""
    answered = Counter(
        ce_id for record in outcome.of("receipt.", "intake.RowsAnswered.v1") for ce_id in record.body["answers"]
    )
    rows = [
        row["ce_id"]
        for submission in outcome.truth["submissions"]
        if submission["channel"] == "rows"
        for row in submission["rows"]
    ]
    wrong = [f"row {ce_id}: {answered[ce_id]} answers" for ce_id in rows if answered[ce_id] != 1]
    return Check("every single row is answered exactly once", len(rows), tuple(wrong))


def defects_reported(outcome: Outcome) -> Check:
    """The receipt reports every cell with an irreparable defect, at its row."""
    reported: dict[tuple[str, str | None, int | None], set[str]] = defaultdict(set)
    for record in outcome.of("receipt.", "intake.RowsAnswered.v1"):
        for problem in record.body["problems"]:
            reported[record.body["unit"], record.body["submission"], problem["row"]].add(problem["code"])
    wrong: list[str] = []
    planted = 0
    for submission in outcome.truth["submissions"]:
        if submission["expect"] != "taken":
            continue
        submission_id = None if submission["channel"] == "rows" else outcome.sent.get(submission["submission"])
        for row in submission["rows"]:
            codes = CODES_OF_DEFECTS.get(row["defect"])
            if codes is None:
                continue
            planted += 1
            codes_reported = reported.get((submission["unit"], submission_id, row["number"]), set())
            if not codes_reported & codes:
                wrong.append(
                    f"{submission['unit']} {submission['dataset']} row {row['number']}: {row['defect']} was planted, "
                    f"the receipt says {', '.join(sorted(codes_reported)) or 'nothing'}"
                )
    return Check("every spoilt cell is named in the receipt, at its row", planted, tuple(wrong))


def reports_taken(outcome: Outcome) -> Check:
    """Every report has one receipt that says it was taken, with the finding's id."""
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in outcome.of("receipt.", "intake.ActionAnswered.v1"):
        answers[record.body["ce_id"]].append(record.body)
    wrong = []
    for planted in outcome.truth["planted_findings"]:
        receipts = answers[planted["ce_id"]]
        if [(receipt["outcome"], receipt["finding"] is not None) for receipt in receipts] != [("taken", True)]:
            outcomes = [(receipt["outcome"], receipt["code"]) for receipt in receipts]
            wrong.append(f"report {planted['ce_id']}: {outcomes}")
    return Check("every report of a person was taken once", len(outcome.truth["planted_findings"]), tuple(wrong))
