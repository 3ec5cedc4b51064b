"""Check the outcome against the ground truth. Nothing of Hutong is imported here.

It reads the topics as any Kafka client with the operator's rights could, and two tables of the registry (which record
lies in which file), and compares with ``truth.json``.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.kafka_client import KafkaClient, Record

CODES_OF_DEFECTS = {
    "id_as_number": {"id_damaged"},
    "id_masked": {"id_masked"},
    "id_mistyped": {"id_checksum"},
    "date_impossible": {"date_impossible", "date_unreadable"},
    "names_nobody": {"names_nobody"},
}
"""Planted defect -> the codes that the receipt may give it."""
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


@dataclass(frozen=True, slots=True)
class Check:
    """One checked statement about the outcome."""

    statement: str
    """The statement, in words that a newcomer understands."""
    examined: int
    failures: tuple[str, ...]
    """One line for each violation, with codes and ids only."""

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(slots=True)
class Outcome:
    """Everything that the system emitted, as read from outside."""

    truth: dict[str, Any]
    topics: dict[str, list[Record]]
    record_child: dict[str, str]
    """Record -> its child's file, with mergers followed."""
    sent: dict[str, str]
    """Submission id in the ground truth -> the id under which it was sent."""
    last_day: str
    children: dict[str, dict[str, Any]] = field(init=False)
    events: dict[str, list[Record]] = field(init=False)
    """Topic -> its events, each once."""

    def __post_init__(self) -> None:
        self.children = {child["key"]: child for child in self.truth["children"]}
        self.events = {topic: list(deduplicated(records)) for topic, records in self.topics.items()}

    def of(self, prefix: str, kind: str | None = None) -> Iterator[Record]:
        """Events of all topics with this prefix."""
        for topic in sorted(self.events):
            if topic.startswith(prefix):
                for record in self.events[topic]:
                    if record.body is not None and (kind is None or record.kind == kind):
                        yield record


def deduplicated(records: Iterable[Record]) -> Iterator[Record]:
    """Yield each event once, by partition and ``ce_id``. A tombstone has an id of its own."""
    seen: set[tuple[int, str]] = set()
    for record in records:
        mark = (record.partition, record.ce_id)
        if mark not in seen:
            seen.add(mark)
            yield record


def read_topics(client: KafkaClient, names: Sequence[str]) -> dict[str, list[Record]]:
    """Every record of every topic."""
    return {name: list(client.read_new(name)) for name in names}


def read_truth(path: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(path.read_text())
    return truth


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
        joins_right(outcome, persons),
        joins_complete(outcome, persons),
        migrants_right(outcome, files),
        notices_once(outcome),
        nothing_missing(outcome),
    ]


# ---------------------------------------------------------------- submissions


def files_answered(outcome: Outcome) -> Check:
    """Every whole file has one receipt; its numbers add up to the rows that were sent."""
    answers: dict[tuple[str, bool], list[dict[str, Any]]] = defaultdict(list)
    for record in outcome.of("receipt.", "intake.SubmissionAnswered.v1"):
        # A file sent again is the same submission, answered a second time.
        answers[record.body["submission"], record.body["outcome"] == "same_again"].append(record.body)
    wrong: list[str] = []
    files = [one for one in outcome.truth["submissions"] if one["channel"] != "rows"]
    for submission in files:
        name = f"{submission['unit']} {submission['dataset']} ({submission['expect']})"
        found = answers.get((outcome.sent.get(submission["submission"], ""), submission["expect"] == "same_again"), [])
        if len(found) != 1:
            wrong.append(f"{name}: {len(found)} receipts")
            continue
        answer = found[0]
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
    rows = [row["ce_id"] for one in outcome.truth["submissions"] if one["channel"] == "rows" for row in one["rows"]]
    wrong = [f"row {ce_id}: {answered[ce_id]} answers" for ce_id in rows if answered[ce_id] != 1]
    return Check("every single row is answered exactly once", len(rows), tuple(wrong))


def defects_reported(outcome: Outcome) -> Check:
    """The receipt reports every cell with an irreparable defect, at its row."""
    named: dict[tuple[str, str | None, int | None], set[str]] = defaultdict(set)
    for record in outcome.of("receipt.", "intake.RowsAnswered.v1"):
        for trouble in record.body["problems"]:
            named[record.body["unit"], record.body["submission"], trouble["row"]].add(trouble["code"])
    wrong: list[str] = []
    looked = 0
    for submission in outcome.truth["submissions"]:
        if submission["expect"] != "taken":
            continue
        submission_id = None if submission["channel"] == "rows" else outcome.sent.get(submission["submission"])
        for row in submission["rows"]:
            codes = CODES_OF_DEFECTS.get(row["defect"])
            if codes is None:
                continue
            looked += 1
            said = named.get((submission["unit"], submission_id, row["number"]), set())
            if not said & codes:
                wrong.append(
                    f"{submission['unit']} {submission['dataset']} row {row['number']}: {row['defect']} was planted, "
                    f"the receipt says {', '.join(sorted(said)) or 'nothing'}"
                )
    return Check("every spoilt cell is named in the receipt, at its row", looked, tuple(wrong))


# ---------------------------------------------------------------- who is who


def persons_by_record(outcome: Outcome) -> dict[str, tuple[str, str | None]]:
    """Return for each record its real child and the defect of its row, found by the causing event."""
    by_row: dict[str, tuple[str | None, str | None]] = {}
    by_place: dict[tuple[str, int], tuple[str | None, str | None]] = {}
    for submission in outcome.truth["submissions"]:
        for row in submission["rows"]:
            person = (row["child"], row["defect"])
            by_row[row["ce_id"]] = person
            if submission["channel"] == "workbook" and submission["expect"] == "taken":
                by_place[outcome.sent.get(submission["submission"], ""), row["number"]] = person
    for record in outcome.of("department.", "department.Row.v1"):
        place = (str(record.body.get("submission")), record.body.get("number") or 0)
        if place in by_place:
            by_row[record.ce_id] = by_place[place]
    for planted in outcome.truth["planted_findings"]:
        by_row[planted["ce_id"]] = (planted["child"], None if planted["on_file"] else "id_missing")
    found: dict[str, tuple[str, str | None]] = {}
    for record in outcome.of("intake.record.v1", "intake.RecordRead.v1"):
        speaks_of, its_trouble = by_row.get(record.headers.get("ce_causationid", ""), (None, None))
        if speaks_of is not None:
            found[record.body["record"]] = (speaks_of, its_trouble)
    return found


def files_of(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> dict[str, Counter[str]]:
    """Return for each child the files that hold its records, with their number."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record, (person, _) in persons.items():
        child = outcome.record_child.get(record)
        if child is not None:
            found[person][child] += 1
    return found


def joins_right(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> Check:
    """No file holds records of two children."""
    inside: dict[str, set[str]] = defaultdict(set)
    for record, (person, _) in persons.items():
        child = outcome.record_child.get(record)
        if child is not None:
            inside[child].add(person)
    wrong = [f"file {child} holds records of {', '.join(sorted(who))}" for child, who in inside.items() if len(who) > 1]
    return Check("no file holds records of two children", len(inside), tuple(wrong))


def joins_complete(outcome: Outcome, persons: Mapping[str, tuple[str, str | None]]) -> Check:
    """All records of a child that carry the child's number lie in one file."""
    together: dict[str, set[str]] = defaultdict(set)
    lost = [record for record in persons if record not in outcome.record_child]
    for record, (person, trouble) in persons.items():
        child = outcome.children[person]
        if child["id_number"] and trouble in NUMBER_IS_GOOD and record in outcome.record_child:
            together[person].add(outcome.record_child[record])
    wrong = [f"{person} has {len(files)} files" for person, files in together.items() if len(files) != 1]
    wrong += [f"record {record} lies in no file" for record in lost]
    return Check("records with the same number lie in one file, and none is lost", len(persons), tuple(wrong))


# ---------------------------------------------------------------- findings


def reports_taken(outcome: Outcome) -> Check:
    """Every report has one receipt that says it was taken, with the finding's id."""
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in outcome.of("receipt.", "intake.ActionAnswered.v1"):
        answers[record.body["ce_id"]].append(record.body)
    wrong = []
    for planted in outcome.truth["planted_findings"]:
        found = answers[planted["ce_id"]]
        if [(one["outcome"], one["finding"] is not None) for one in found] != [("taken", True)]:
            wrong.append(f"report {planted['ce_id']}: {[(one['outcome'], one['code']) for one in found]}")
    return Check("every report of a person was taken once", len(outcome.truth["planted_findings"]), tuple(wrong))


def transitions(outcome: Outcome) -> list[Record]:
    return [
        *outcome.of("referral.case.v1", "referral.ReferralChanged.v1"),
        *outcome.of("referral.restricted.v1", "referral.ReferralChanged.v1"),
    ]


def queue_of(outcome: Outcome) -> dict[str, set[str]]:
    """Referral -> the queue topics it was ever on."""
    found: dict[str, set[str]] = defaultdict(set)
    for topic, records in outcome.events.items():
        if topic.startswith("referral.queue."):
            for record in records:
                found[record.key].add(topic)
    return found


def first_queue(unit: str, restricted: bool) -> str:
    return f"referral.queue.{unit}.restricted.v1" if restricted else f"referral.queue.{unit}.v1"


def planted_once(outcome: Outcome) -> Check:
    """Every reported finding is one referral, on the right unit's queue."""
    finding_of = {
        record.body["ce_id"]: record.body["finding"]
        for record in outcome.of("receipt.", "intake.ActionAnswered.v1")
        if record.body["finding"]
    }
    sent: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in transitions(outcome):
        if record.body["transition"] == "sent" and record.body["finding"] is not None:
            sent[record.body["finding"]].setdefault(record.body["referral"], record.body)
    queues = queue_of(outcome)
    wrong = []
    for planted in outcome.truth["planted_findings"]:
        name = f"{planted['code']} reported by {planted['unit']} on {planted['day']}"
        found = sent.get(finding_of.get(planted["ce_id"], ""), {})
        if len(found) != 1:
            wrong.append(f"{name}: {len(found)} referrals")
            continue
        referral, move = next(iter(found.items()))
        queue = first_queue(planted["to_unit"], planted["restricted"])
        if (move["route"], move["to_unit"]) != (planted["route"], planted["to_unit"]):
            wrong.append(f"{name}: went by {move['route']} to {move['to_unit']}")
        elif queue not in queues[referral]:
            wrong.append(f"{name}: is not on {queue}")
        elif not planted["restricted"] and any("restricted" in topic for topic in queues[referral]):
            wrong.append(f"{name}: is on a restricted queue")
        elif planted["restricted"] and any("restricted" not in topic for topic in queues[referral]):
            wrong.append(f"{name}: is on an ordinary queue")
    return Check(
        "every reported finding is one referral on the right queue",
        len(outcome.truth["planted_findings"]),
        tuple(wrong),
    )


def gaps_once(outcome: Outcome, files: Mapping[str, Counter[str]]) -> Check:
    """Every gap that the facts show is one referral, on the right unit's queue."""
    sent: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in transitions(outcome):
        if record.body["transition"] == "sent" and record.body["finding"] is None:
            for code in record.body["findings"]:
                sent[record.body["child"], code].setdefault(record.body["referral"], record.body)
    queues = queue_of(outcome)
    wrong = []
    for gap in outcome.truth["service_gaps"]:
        name = f"{gap['code']} of {gap['child']}"
        found: dict[str, dict[str, Any]] = {}
        for child in files.get(gap["child"], ()):
            found |= sent.get((child, gap["code"]), {})
        if len(found) != 1:
            wrong.append(f"{name}: {len(found)} referrals")
            continue
        referral, move = next(iter(found.items()))
        if (move["route"], move["to_unit"]) != (gap["route"], gap["to_unit"]):
            wrong.append(f"{name}: went by {move['route']} to {move['to_unit']}")
        elif first_queue(gap["to_unit"], False) not in queues[referral]:
            wrong.append(f"{name}: is not on the queue of {gap['to_unit']}")
    return Check(
        "every gap in the facts is one referral on the right queue", len(outcome.truth["service_gaps"]), tuple(wrong)
    )


def queues_once(outcome: Outcome) -> Check:
    """On every queue each version of a referral appears once, and versions only grow."""
    wrong = []
    looked = 0
    for topic, records in outcome.events.items():
        if not topic.startswith("referral.queue."):
            continue
        last: dict[str, int] = {}
        for record in records:
            if record.body is None:
                continue
            looked += 1
            if record.body["version"] <= last.get(record.key, 0):
                wrong.append(f"{topic}: version {record.body['version']} of {record.key} comes again")
            last[record.key] = record.body["version"]
    return Check("no queue shows the same state of a referral twice", looked, tuple(wrong))


def restricted_apart(outcome: Outcome) -> Check:
    """No topic of a unit's ordinary log-in names a restricted referral or proposal."""
    hidden = {
        record.body[name]
        for record in outcome.of("referral.restricted.v1")
        for name in ("referral", "proposal")
        if record.body.get(name) is not None
    }
    families = ("action.", "receipt.", "referral.queue.", "disclosure.", "notify.inbox.")
    wrong = []
    looked = 0
    for topic, records in outcome.events.items():
        if not topic.startswith(families) or topic.endswith(".restricted.v1"):
            continue
        for record in records:
            looked += 1
            named = {record.key, *(text for text in (record.body or {}).values() if isinstance(text, str))}
            wrong += [f"{topic}: {record.kind} names {one}" for one in sorted(hidden & named)]
    return Check("no ordinary topic of a unit names a restricted matter", looked, tuple(wrong))


# ---------------------------------------------------------------- answers


def migrants_right(outcome: Outcome, files: Mapping[str, Counter[str]]) -> Check:
    """The migrant status and its first and last day are as in the ground truth."""
    told = [one for one in outcome.truth["submissions"] if one["dataset"] in ("hukou", "residence")]
    clean: Counter[str] = Counter()
    first_known: dict[str, str] = {}
    harmless = {None, "id_look_alike", "name_spaced", "date_other_form", "name_homophone", "row_twice"}
    spoilt = {
        row["child"]
        for one in outcome.truth["submissions"]
        for row in one["rows"]
        if row["defect"] in ("birth_other", "id_of_mother")
    }
    for submission in told:
        for row in submission["rows"]:
            if row["child"] is not None and row["defect"] in harmless:
                clean[row["child"]] += 1
                first_known[row["child"]] = max(first_known.get(row["child"], ""), submission["day"])
    answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in outcome.of("eligibility.child.v1", "eligibility.ChildAssessed.v1"):
        answers[record.body["child"]].append((record.body["on"], record.body["migrant"]["answer"]))
    wrong = []
    looked = 0
    for key, child in outcome.children.items():
        if clean[key] != 2 or key in spoilt or not files.get(key):
            continue
        looked += 1
        file = files[key].most_common(1)[0][0]
        line = answers.get(file, [])
        last = line[-1][1] if line else "nothing"
        first, end = child["migrant_from"], child["migrant_until"]
        should = "yes" if first is not None and first <= outcome.last_day < end else "no"
        if last != should:
            wrong.append(f"{key} ({child['cohort']}): answered {last} at the end, is {should}")
            continue
        if first is not None and first_known[key] < first <= outcome.last_day:
            day = next((on for on, answer in line if answer == "yes"), None)
            if day != first:
                wrong.append(f"{key}: becomes a migrant child on {first}, answered yes on {day}")
        if end is not None and first_known[key] < end <= outcome.last_day:
            was = next((place for place, (_, answer) in enumerate(line) if answer == "yes"), len(line))
            day = next((on for on, answer in line[was:] if answer == "no"), None)
            if day != end:
                wrong.append(f"{key}: turns 16 on {end}, answered no on {day}")
    return Check("who is a migrant child, from and until which day, is answered as it is", looked, tuple(wrong))


def notices_once(outcome: Outcome) -> Check:
    """No unit receives the same notice twice."""
    ids: Counter[str] = Counter()
    sentences: Counter[tuple[Any, ...]] = Counter()
    for record in outcome.of("notify.inbox.", "notify.Notice.v1"):
        body = record.body
        ids[body["notice"]] += 1
        if body["subject"] is not None:
            told = (body["unit"], body["restricted"], body["template"], body["subject"], body["on"], body["text"])
            sentences[told] += 1
    wrong = [f"notice {notice}: {number} times" for notice, number in ids.items() if number > 1]
    wrong += [f"{said[0]} is told {said[2]} about {said[3]} {number} times on {said[4]}"
              for said, number in sentences.items() if number > 1]  # fmt: skip
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
