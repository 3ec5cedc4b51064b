"""All checks of the outcome."""

from demo.checks.answers import migrants_right, nothing_missing, notices_once
from demo.checks.linkage import files_of, links_complete, links_right, persons_by_record
from demo.checks.outcome import Check, Outcome
from demo.checks.referrals import gaps_once, planted_once, queues_once, restricted_apart
from demo.checks.submissions import defects_reported, files_answered, reports_taken, rows_answered


def check(outcome: Outcome) -> list[Check]:
    """Run all checks, in the order in which a record is processed."""
    persons = persons_by_record(outcome)
    files = files_of(outcome, persons)
    return [
        files_answered(outcome),
        rows_answered(outcome),
        defects_reported(outcome),
        reports_taken(outcome),
        planted_once(outcome),
        gaps_once(outcome, files),
        queues_once(outcome),
        restricted_apart(outcome),
        links_right(outcome, persons),
        links_complete(outcome, persons),
        migrants_right(outcome, files),
        notices_once(outcome),
        nothing_missing(outcome),
    ]
