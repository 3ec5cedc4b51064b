"""Checks the assessments and the notices, and that no event of any service was lost."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from demo.checks.outcome import Check, Outcome


def migrants_right(outcome: Outcome, files: Mapping[str, Counter[str]]) -> Check:
    """The migrant status and its first and last day are as in the ground truth."""
    clean: Counter[str] = Counter()
    first_known: dict[str, str] = {}
    harmless = {None, "id_look_alike", "name_spaced", "date_other_form", "name_homophone", "row_twice"}
    spoilt = {
        row["child"]
        for submission in outcome.truth["submissions"]
        for row in submission["rows"]
        if row["defect"] in ("birth_other", "id_of_mother")
    }
    for submission in outcome.truth["submissions"]:
        if submission["dataset"] not in ("hukou", "residence"):
            continue
        for row in submission["rows"]:
            if row["child"] is not None and row["defect"] in harmless:
                clean[row["child"]] += 1
                first_known[row["child"]] = max(first_known.get(row["child"], ""), submission["day"])
    answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in outcome.of("eligibility.child.v1", "eligibility.ChildAssessed.v1"):
        answers[record.body["child"]].append((record.body["on"], record.body["migrant"]["answer"]))
    wrong = []
    examined = 0
    for key, child in outcome.children.items():
        if clean[key] != 2 or key in spoilt or not files.get(key):
            continue
        examined += 1
        file = files[key].most_common(1)[0][0]
        assessments = answers.get(file, [])
        last = assessments[-1][1] if assessments else "nothing"
        first, end = child["migrant_from"], child["migrant_until"]
        expected = "yes" if first is not None and first <= outcome.last_day < end else "no"
        if last != expected:
            wrong.append(f"{key} ({child['cohort']}): answered {last} at the end, is {expected}")
            continue
        if first is not None and first_known[key] < first <= outcome.last_day:
            day = next((on for on, answer in assessments if answer == "yes"), None)
            if day != first:
                wrong.append(f"{key}: becomes a migrant child on {first}, answered yes on {day}")
        if end is not None and first_known[key] < end <= outcome.last_day:
            was = next((place for place, (_, answer) in enumerate(assessments) if answer == "yes"), len(assessments))
            day = next((on for on, answer in assessments[was:] if answer == "no"), None)
            if day != end:
                wrong.append(f"{key}: turns 16 on {end}, answered no on {day}")
    return Check("who is a migrant child, from and until which day, is answered as it is", examined, tuple(wrong))


def notices_once(outcome: Outcome) -> Check:
    """No unit receives the same notice twice."""
    ids: Counter[str] = Counter()
    notices: Counter[tuple[Any, ...]] = Counter()
    for record in outcome.of("notify.inbox.", "notify.Notice.v1"):
        body = record.body
        ids[body["notice"]] += 1
        if body["subject"] is not None:
            notice = (body["unit"], body["restricted"], body["template"], body["subject"], body["on"], body["text"])
            notices[notice] += 1
    wrong = [f"notice {notice_id}: {number} times" for notice_id, number in ids.items() if number > 1]
    wrong += [
        f"{unit} receives {template} about {subject} {number} times on {on}"
        for (unit, _, template, subject, on, _), number in notices.items()
        if number > 1
    ]
    return Check("no notice comes twice", sum(ids.values()), tuple(wrong))


def nothing_missing(outcome: Outcome) -> Check:
    """On every topic of the services the numbers of each writer are dense: nothing was lost on the way."""
    numbers: dict[tuple[str, int, str, str], set[int]] = defaultdict(set)
    for topic, records in outcome.topics.items():
        for record in records:
            if "ce_sequence" in record.headers:
                stream = (topic, record.partition, record.headers["ce_source"], record.headers.get("ce_producerid", ""))
                numbers[stream].add(int(record.headers["ce_sequence"]))
    wrong = [
        f"{stream[0]}/{stream[1]}: {max(seen) + 1 - len(seen)} events of {stream[2]} producer {stream[3]} are missing"
        for stream, seen in numbers.items()
        # Compacted topics are excepted: compaction removes events.
        if len(seen) != max(seen) + 1 and not stream[0].startswith(("referral.queue.", "disclosure.", "county."))
    ]
    return Check("no event of any service is missing from its topic", sum(map(len, numbers.values())), tuple(wrong))
