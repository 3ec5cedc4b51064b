"""Checks that every finding and service gap is one referral, on the right queue."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from client.kafka_client import Record
from demo.checks.outcome import Check, Outcome


def transitions(outcome: Outcome) -> list[Record]:
    return [
        *outcome.of("referral.case.v1", "referral.ReferralChanged.v1"),
        *outcome.of("referral.restricted.v1", "referral.ReferralChanged.v1"),
    ]


def queue_of(outcome: Outcome) -> dict[str, set[str]]:
    """Referral -> the queue topics it was ever on."""
    queues: dict[str, set[str]] = defaultdict(set)
    for topic, records in outcome.events.items():
        if topic.startswith("referral.queue."):
            for record in records:
                queues[record.key].add(topic)
    return queues


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
        referrals = sent.get(finding_of.get(planted["ce_id"], ""), {})
        if len(referrals) != 1:
            wrong.append(f"{name}: {len(referrals)} referrals")
            continue
        referral, transition = next(iter(referrals.items()))
        queue = first_queue(planted["to_unit"], planted["restricted"])
        if (transition["route"], transition["to_unit"]) != (planted["route"], planted["to_unit"]):
            wrong.append(f"{name}: went by {transition['route']} to {transition['to_unit']}")
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
        referrals: dict[str, dict[str, Any]] = {}
        for child in files.get(gap["child"], ()):
            referrals |= sent.get((child, gap["code"]), {})
        if len(referrals) != 1:
            wrong.append(f"{name}: {len(referrals)} referrals")
            continue
        referral, transition = next(iter(referrals.items()))
        if (transition["route"], transition["to_unit"]) != (gap["route"], gap["to_unit"]):
            wrong.append(f"{name}: went by {transition['route']} to {transition['to_unit']}")
        elif first_queue(gap["to_unit"], False) not in queues[referral]:
            wrong.append(f"{name}: is not on the queue of {gap['to_unit']}")
    return Check(
        "every gap in the facts is one referral on the right queue", len(outcome.truth["service_gaps"]), tuple(wrong)
    )


def queues_once(outcome: Outcome) -> Check:
    """On every queue each version of a referral appears once, and versions only grow."""
    wrong = []
    examined = 0
    for topic, records in outcome.events.items():
        if not topic.startswith("referral.queue."):
            continue
        last: dict[str, int] = {}
        for record in records:
            if record.body is None:
                continue
            examined += 1
            if record.body["version"] <= last.get(record.key, 0):
                wrong.append(f"{topic}: version {record.body['version']} of {record.key} comes again")
            last[record.key] = record.body["version"]
    return Check("no queue shows the same state of a referral twice", examined, tuple(wrong))


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
    examined = 0
    for topic, records in outcome.events.items():
        if not topic.startswith(families) or topic.endswith(".restricted.v1"):
            continue
        for record in records:
            examined += 1
            texts = {record.key, *(text for text in (record.body or {}).values() if isinstance(text, str))}
            wrong += [f"{topic}: {record.kind} names {matter}" for matter in sorted(hidden & texts)]
    return Check("no ordinary topic of a unit names a restricted matter", examined, tuple(wrong))
