"""A department's own system: hands over a file, or single rows, with any Kafka client. Nothing of Hutong is imported.

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

PATIENCE = 60.0
"""Seconds until a receipt is missed."""


def hand_over(client: KafkaClient, handed: Mapping[str, Any]) -> None:
    """Send one hand-over: a whole file as Begin, rows, End; or its rows one by one."""
    unit, whole = handed["unit"], handed["way"] == "file"
    topic = f"department.{unit}.v1"
    submission = handed["submission"]
    if whole:
        begin = {
            "submission": submission,
            "dataset": handed["dataset"],
            "period": handed["period"],
            "columns": handed["columns"],
            "rows": len(handed["rows"]),
            "coverage": "full",
        }
        client.send(topic, "department.Begin.v1", submission, begin)
    for row in handed["rows"]:
        body: dict[str, Any] = {"number": row["number"], "cells": dict(row["cells"])}
        body |= {"submission": submission} if whole else {"dataset": handed["dataset"]}
        client.send(topic, "department.Row.v1", submission if whole else "row", body, ce_id=row["ce_id"])
    if whole:
        client.send(topic, "department.End.v1", submission, {"submission": submission, "rows": len(handed["rows"])})
    client.flush()


def wait_for_receipt(client: KafkaClient, handed: Mapping[str, Any]) -> dict[str, int]:
    """Read the unit's receipts until this hand-over is answered whole; how its rows fared.

    Raises:
        TimeoutError: no receipt within a minute.
    """
    counts = dict.fromkeys(("accepted", "accepted_with_drops", "refused", "unchanged"), 0)
    waiting = {row["ce_id"] for row in handed["rows"]}
    seen: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for record in client.read_new(f"receipt.{handed['unit']}.v1"):
            if record.ce_id in seen or record.body is None:
                continue
            seen.add(record.ce_id)
            if handed["way"] == "file":
                if record.kind == "intake.SubmissionAnswered.v1" and record.body["submission"] == handed["submission"]:
                    return {name: record.body[name] for name in counts}
            elif record.kind == "intake.RowsAnswered.v1" and waiting.intersection(record.body["answers"]):
                waiting -= set(record.body["answers"])
                for name in counts:
                    counts[name] += record.body[name]
                if not waiting:
                    return counts
    raise TimeoutError(f"no receipt for {handed['dataset']} of {handed['unit']} within {PATIENCE:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.actors.department", description=__doc__)
    parser.add_argument("file", type=Path, help="a hand-over as JSON (the demo writes them)")
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
    handed = json.loads(options.file.read_text())
    hand_over(client, handed)
    print(json.dumps(wait_for_receipt(client, handed)))
    client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
