r"""Submit the rows of a CSV file as one unit, and print the receipt.

It needs ``confluent-kafka`` and nothing of Hutong. The environment names the broker and the unit's log-in::

    KAFKA_SERVER=host:port KAFKA_USER=341722-jtj KAFKA_PASSWORD=... \
        python submit_rows.py rows.csv --dataset school --period 2026H2 --coverage delta

Exit code: 0 when the file was taken or was sent before, 1 when it was refused or nobody answered.
"""

import argparse
import csv
import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

SECONDS_TO_ANSWER = 60
"""Hutong answers a file of some thousand rows within a minute."""


def main() -> int:
    """Send the file that the command line names; wait for its receipt."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path)
    options.add_argument("--dataset", required=True)
    options.add_argument("--period", required=True, help="half-year, for example 2026H2")
    options.add_argument("--coverage", required=True, choices=["full", "delta"])
    chosen = options.parse_args()

    unit = os.environ["KAFKA_USER"]
    with chosen.file.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    # The same content has the same ids, however often it is sent: Hutong counts it once.
    content = json.dumps([chosen.dataset, chosen.period, chosen.coverage, rows], ensure_ascii=False)
    submission = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{unit}/{content}"))

    receipts = open_receipts(unit)
    send(unit, submission, messages(submission, chosen.dataset, chosen.period, chosen.coverage, rows))
    answer = receipt_of(receipts, submission)
    receipts.close()
    if answer is None:
        print(f"No receipt within {SECONDS_TO_ANSWER} seconds; the file is not lost.", file=sys.stderr)
        return 1
    accepted = answer["accepted"] + answer["accepted_with_drops"]
    print(f"{answer['outcome']}: {accepted} accepted, {answer['refused']} refused, {answer['unchanged']} unchanged")
    return 0 if answer["outcome"] in ("taken", "same_again") else 1


def messages(
    submission: str, dataset: str, period: str, coverage: str, rows: list[dict[str, str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every message of one file, in order: its ``ce_type`` and its content. The header counts as row 1."""
    begin = {"submission": submission, "dataset": dataset, "period": period, "coverage": coverage}
    yield "department.Begin.v1", begin | {"columns": list(rows[0]) if rows else [], "rows": len(rows)}
    for number, cells in enumerate(rows, start=2):
        yield "department.Row.v1", {"submission": submission, "number": number, "cells": cells}
    yield "department.End.v1", {"submission": submission, "rows": len(rows)}


def send(unit: str, submission: str, contents: Iterator[tuple[str, dict[str, Any]]]) -> None:
    """Write all messages to the unit's topic, keyed by the submission, and wait until the broker has them."""
    failed: list[str] = []

    def delivered(error: Any, _: Message) -> None:
        if error is not None:
            failed.append(error.str())

    producer = Producer(login() | {"enable.idempotence": True})
    for place, (kind, content) in enumerate(contents):
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid5(uuid.UUID(submission), str(place))),
            "ce_type": kind,
            "ce_source": f"/{unit}/submit_rows",
        }
        producer.produce(
            f"department.{unit}.v1",
            json.dumps(content, ensure_ascii=False),
            key=submission,
            headers=list(headers.items()),
            on_delivery=delivered,
        )
        producer.poll(0)
    producer.flush()
    if failed:
        raise SystemExit(f"The broker refused {len(failed)} messages: {failed[0]}")


def open_receipts(unit: str) -> Consumer:
    """Open a consumer at the present end of the unit's receipts, before anything is sent."""
    consumer = Consumer(login() | {"group.id": f"{unit}.submit_rows", "enable.auto.commit": False})
    receipts = TopicPartition(f"receipt.{unit}.v1", 0)
    _, end = consumer.get_watermark_offsets(receipts)
    receipts.offset = end
    consumer.assign([receipts])
    return consumer


def receipt_of(receipts: Consumer, submission: str) -> dict[str, Any] | None:
    """Print every problem of the submission; return the final answer, or None if the topic stays silent."""
    while (message := receipts.poll(SECONDS_TO_ANSWER)) is not None:
        if (error := message.error()) is not None:
            raise SystemExit(f"Cannot read receipts: {error.str()}")
        if (message.key() or b"").decode() != submission:
            continue
        answer: dict[str, Any] = json.loads(message.value() or b"{}")
        for problem in answer["problems"]:
            where = f"row {problem['row']}" if problem["row"] else "file"
            print(f"{where} {problem['column'] or ''}: {problem['message']} {problem['remedy']}")
        if dict(message.headers() or [])["ce_type"] == b"intake.SubmissionAnswered.v1":
            return answer
    return None


def login() -> dict[str, str]:
    """Return the settings that every client of the broker needs."""
    return {
        "bootstrap.servers": os.environ["KAFKA_SERVER"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": os.environ["KAFKA_USER"],
        "sasl.password": os.environ["KAFKA_PASSWORD"],
    }


if __name__ == "__main__":
    sys.exit(main())
