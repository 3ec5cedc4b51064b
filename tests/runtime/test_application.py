"""A service as a FastStream application: its command line, its document, and the test broker that it refuses."""

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
from tests.runtime.harness import ROOT, World

FASTSTREAM = str(Path(sys.executable).with_name("faststream"))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def faststream_run(world: World, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(
            [FASTSTREAM, "run", "tests.runtime.model:app", "--host", "127.0.0.1", "--port", str(free_port())],
            cwd=ROOT, env=os.environ | world.environment(), stdout=out, stderr=out,
        )  # fmt: skip


async def test_faststream_run_starts_a_service_with_the_settings_of_its_environment(world: World) -> None:
    log = world.folder / "faststream.log"
    process = faststream_run(world, log)
    try:
        world.many(40)
        await world.arrived("alpha")
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
    """Made without settings, secrets, broker or database."""
    path = tmp_path / "asyncapi.json"
    subprocess.run(
        [FASTSTREAM, "docs", "gen", f"services.{service}.app:app", "--out", str(path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads(path.read_text()) == json.loads(json.dumps(asyncapi()))


async def test_a_test_broker_is_refused_in_one_sentence() -> None:
    """It would hand records to handlers without a cursor, a transaction or an outbox, and prove nothing."""
    service = Service("parts", Settings())
    service.consumer("main", topics=(CLOCK,), handlers={})
    with pytest.raises(TypeError, match="its cursors are in PostgreSQL"):
        async with TestKafkaBroker(service.broker):
            pass
