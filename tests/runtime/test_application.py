"""A service as a FastStream application: its command line, its document and the rejected test broker."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from faststream.kafka import TestKafkaBroker

from contracts.schemas import asyncapi
from contracts.topics import CLOCK
from runtime import Service, Settings
from tests.runtime.harness import ROOT, ModelSystem

FASTSTREAM = str(Path(sys.executable).with_name("faststream"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def faststream_run(system: ModelSystem, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as log_file:
        return subprocess.Popen(
            [FASTSTREAM, "run", "tests.runtime.model:app", "--host", "127.0.0.1", "--port", str(free_port())],
            cwd=ROOT, env=os.environ | system.environment(), stdout=log_file, stderr=log_file,
        )  # fmt: skip


async def test_faststream_run_starts_a_service_with_the_settings_of_its_environment(system: ModelSystem) -> None:
    log = system.folder / "faststream.log"
    process = faststream_run(system, log)
    try:
        system.produce_puts(40)
        await system.wait_until_applied("alpha")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{")]
    assert [event for event in events if event.startswith("service_")] == [
        "service_started",
        "service_stopping",
        "service_stopped",
    ]


@pytest.mark.parametrize("service", ["eligibility", "intake"])
def test_faststream_docs_are_the_published_contracts(service: str, tmp_path: Path) -> None:
    """The document needs no settings, secrets, broker or database."""
    path = tmp_path / "asyncapi.json"
    subprocess.run(
        [FASTSTREAM, "docs", "gen", f"services.{service}.app:app", "--out", str(path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads(path.read_text()) == json.loads(json.dumps(asyncapi()))


async def test_a_test_broker_is_rejected_with_a_reason() -> None:
    """A test broker calls handlers without a cursor, a transaction or an outbox, and so proves nothing."""
    service = Service("parts", Settings())
    service.consumer("main", topics=(CLOCK,), handlers={})
    with pytest.raises(TypeError, match="its cursors are in PostgreSQL"):
        async with TestKafkaBroker(service.broker):
            pass
