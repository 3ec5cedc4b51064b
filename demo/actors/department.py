"""A department's own system: it submits a file or single rows with a Kafka client and imports nothing of Hutong.

``python -m demo.actors.department --help`` runs it alone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.kafka_client import KafkaClient

RECEIPT_TIMEOUT = 60.0
"""Seconds within which a receipt must arrive."""


def submit(client: KafkaClient, submission: Mapping[str, Any]) -> None:
    """Send one submission: a whole file as Begin, rows and End, or its rows one by one."""
    unit, whole = submission["unit"], submission["channel"] == "file"
    topic = f"department.{unit}.v1"
    submission_id = submission["submission"]
    if whole:
        begin = {
            "submission": submission_id,
            "dataset": submission["dataset"],
            "period": submission["period"],
            "columns": submission["columns"],
            "rows": len(submission["rows"]),
            "coverage": "full",
        }
        client.send(topic, "department.Begin.v1", submission_id, begin)
    for row in submission["rows"]:
        body: dict[str, Any] = {"number": row["number"], "cells": dict(row["cells"])}
        body |= {"submission": submission_id} if whole else {"dataset": submission["dataset"]}
        client.send(topic, "department.Row.v1", submission_id if whole else "row", body, ce_id=row["ce_id"])
    if whole:
        client.send(
            topic, "department.End.v1", submission_id, {"submission": submission_id, "rows": len(submission["rows"])}
        )
    client.flush()


def wait_for_receipt(client: KafkaClient, submission: Mapping[str, Any]) -> dict[str, int]:
    """Read the unit's receipts until every row is answered; return the number of rows by outcome.

    Raises:
        TimeoutError: no receipt within a minute.
    """
    counts = dict.fromkeys(("accepted", "accepted_with_drops", "refused", "unchanged"), 0)
    waiting = {row["ce_id"] for row in submission["rows"]}
    seen: set[str] = set()
    deadline = time.monotonic() + RECEIPT_TIMEOUT
    while time.monotonic() < deadline:
        for record in client.read_new(f"receipt.{submission['unit']}.v1"):
            if record.ce_id in seen or record.body is None:
                continue
            seen.add(record.ce_id)
            if submission["channel"] == "file":
                if (
                    record.kind == "intake.SubmissionAnswered.v1"
                    and record.body["submission"] == submission["submission"]
                ):
                    return {name: record.body[name] for name in counts}
            elif record.kind == "intake.RowsAnswered.v1" and waiting.intersection(record.body["answers"]):
                waiting -= set(record.body["answers"])
                for name in counts:
                    counts[name] += record.body[name]
                if not waiting:
                    return counts
    raise TimeoutError(f"no receipt for {submission['dataset']} of {submission['unit']} within {RECEIPT_TIMEOUT:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.actors.department", description=__doc__)
    parser.add_argument("file", type=Path, help="a submission as JSON, as the demo writes it")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--user", required=True, help="the unit's id; its password is in HUTONG_UNIT_PASSWORD")
    options = parser.parse_args()
    kafka = {
        "bootstrap.servers": options.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": options.user,
        "sasl.password": os.environ.get("HUTONG_UNIT_PASSWORD", ""),
    }
    client = KafkaClient(kafka, options.user)
    submission = json.loads(options.file.read_text())
    submit(client, submission)
    print(json.dumps(wait_for_receipt(client, submission)))
    client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
