"""Checks that the registry linked the records of each child, and of one child only."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from demo.checks.outcome import Check, Outcome

NUMBER_IS_GOOD = {
    None,
    "id_look_alike",
    "name_spaced",
    "date_other_form",
    "name_homophone",
    "date_impossible",
    "row_twice",
}
"""Defects that leave a row's ID number valid."""


def persons_by_record(outcome: Outcome) -> dict[str, tuple[str, str | None]]:
    """Return for each record its real child and the defect of its row, found by the causing event."""
    by_row: dict[str, tuple[str | None, str | None]] = {}
    by_place: dict[tuple[str, int], tuple[str | None, str | None]] = {}
    for submission in outcome.truth["submissions"]:
        for row in submission["rows"]:
            child_and_defect = (row["child"], row["defect"])
            by_row[row["ce_id"]] = child_and_defect
            if submission["channel"] == "workbook" and submission["expect"] == "taken":
                by_place[outcome.sent.get(submission["submission"], ""), row["number"]] = child_and_defect
    for record in outcome.of("department.", "department.Row.v1"):
        place = (str(record.body.get("submission")), record.body.get("number") or 0)
        if place in by_place:
            by_row[record.ce_id] = by_place[place]
    for planted in outcome.truth["planted_findings"]:
        by_row[planted["ce_id"]] = (planted["child"], None if planted["on_file"] else "id_missing")
    persons: dict[str, tuple[str, str | None]] = {}
    for record in outcome.of("intake.record.v1", "intake.RecordRead.v1"):
        person, defect = by_row.get(record.headers.get("ce_causationid", ""), (None, None))
        if person is not None:
            persons[record.body["record"]] = (person, defect)
    return persons


def files_of(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> dict[str, Counter[str]]:
    """Return for each child the files that hold its records, with their number."""
    files: dict[str, Counter[str]] = defaultdict(Counter)
    for record, (person, _) in persons.items():
        child = outcome.record_child.get(record)
        if child is not None:
            files[person][child] += 1
    return files


def links_right(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> Check:
    """No file holds records of two children."""
    persons_of: dict[str, set[str]] = defaultdict(set)
    for record, (person, _) in persons.items():
        child = outcome.record_child.get(record)
        if child is not None:
            persons_of[child].add(person)
    wrong = [
        f"file {child} holds records of {', '.join(sorted(who))}" for child, who in persons_of.items() if len(who) > 1
    ]
    return Check("no file holds records of two children", len(persons_of), tuple(wrong))


def links_complete(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> Check:
    """All records of a child that carry the child's number lie in one file."""
    together: dict[str, set[str]] = defaultdict(set)
    lost = [record for record in persons if record not in outcome.record_child]
    for record, (person, defect) in persons.items():
        child = outcome.children[person]
        if child["id_number"] and defect in NUMBER_IS_GOOD and record in outcome.record_child:
            together[person].add(outcome.record_child[record])
    wrong = [f"{person} has {len(files)} files" for person, files in together.items() if len(files) != 1]
    wrong += [f"record {record} lies in no file" for record in lost]
    return Check("records with the same number lie in one file, and none is lost", len(persons), tuple(wrong))
