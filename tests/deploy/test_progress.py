"""Slow work is awaited while it makes progress; stalled work is abandoned."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy import progress
from deploy.embedded import StackError
from deploy.embedded.kafka import EmbeddedKafka
from deploy.progress import LIMIT_SETTING, LogMilestones, NoProgressError, ProgressMonitor
from tests.conftest import embedded_only

LINE = re.compile(r"recovered (\d+)")
SLOW = """
import socket, sys, time
for segment in range(12):
    print(f"INFO LogLoader: Recovering unflushed segment {segment}. 0 recovered for topic-0.", flush=True)
    time.sleep(0.25)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""
HANGS = """
import time
while True:
    print("INFO LogLoader: Recovering unflushed segment 0. 0 recovered for topic-0.", flush=True)
    time.sleep(0.1)
"""
STALL_TIMEOUT = 1.5
"""Seconds; half of what SLOW takes."""


class SlowBroker(EmbeddedKafka):
    """The embedded broker with another program in place of Java."""

    code = SLOW

    def _format(self, node: int) -> None:
        self._node_folder(node).mkdir()

    def _java(self, folder: Path, name: str, options: Sequence[str], main: str, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", self.code, str(self._require_identity().ports[0])]

    def _all_joined(self, client: object) -> bool:
        return True


class HangingBroker(SlowBroker):
    code = HANGS


@embedded_only
def test_a_broker_that_recovers_for_longer_than_the_stall_timeout_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "STALL_TIMEOUT", STALL_TIMEOUT)
    broker = SlowBroker(tmp_path)
    try:
        broker.start()
        assert broker.running()
    finally:
        broker.kill()


@embedded_only
def test_a_broker_that_repeats_one_log_line_is_abandoned_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "STALL_TIMEOUT", STALL_TIMEOUT)
    broker = HangingBroker(tmp_path)
    try:
        with pytest.raises(
            StackError,
            match=r"^Kafka's start made no progress for 2 s \(it had reached 1 logs and segments .*kafka\.log",
        ):
            broker.start()
        assert not broker.running()
    finally:
        broker.kill()


def test_the_outer_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The total time is limited even while there is progress; a slow machine can raise the limit."""
    monkeypatch.setenv(LIMIT_SETTING, "1")
    waiting = ProgressMonitor("The start", "check the log", stall_timeout=60)
    waiting._began -= 2
    with pytest.raises(NoProgressError, match=f"it had reached 7 steps.*set {LIMIT_SETTING} to more than 1 seconds"):
        waiting.check(7)
    monkeypatch.setenv(LIMIT_SETTING, "an hour")
    with pytest.raises(NoProgressError, match=f"^{LIMIT_SETTING} must be a whole number of seconds, not 'an hour'"):
        ProgressMonitor("The start", "check the log")


def test_only_new_log_lines_count_as_progress(tmp_path: Path) -> None:
    """Lines of an earlier process, incomplete lines and repeated lines do not count."""
    log = tmp_path / "log"
    log.write_text("recovered 1\n")
    milestones = LogMilestones(log, LINE)
    assert milestones.count() == 0
    for text, count in (("recovered 1\n", 1), ("12:01 recovered 1\n", 1), ("recovered 2", 1), ("3\n", 2), ("", 2)):
        with log.open("a") as file:
            file.write(text)
        assert milestones.count() == count


async def test_stalled_work_is_cancelled() -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(NoProgressError, match=r"^The work made no progress for .* had not moved at all"):
        await ProgressMonitor("The work", "check the log", stall_timeout=0.3).run(hang(), lambda: 0)
    assert ended.is_set()


async def test_work_that_makes_progress_is_awaited() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", "import time; time.sleep(1)", stdin=subprocess.DEVNULL
    )
    steps = iter(range(10**6))
    assert (
        await ProgressMonitor("The work", "check the log", stall_timeout=0.5).run(process.wait(), lambda: next(steps))
        == 0
    )
