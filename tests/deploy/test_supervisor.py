"""A process that dies is restarted, and nothing is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy import supervisor
from deploy.supervisor import CrashLoopError, Program, Supervisor

STAYS = "import time\nwhile True: time.sleep(0.05)"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n" + STAYS
ENDS = "raise SystemExit(3)"
WAITS = (
    """
import select, sys
print("held" if not select.select([sys.stdin], [], [], 0)[0] else "free", flush=True)
sys.stdin.read()
print("begins", flush=True)
"""
    + STAYS
)


def program(tmp_path: Path, code: str, name: str = "child") -> Program:
    return Program(name, (sys.executable, "-I", "-S", "-c", code), dict(os.environ), tmp_path / f"{name}.log")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, bounded by the test's own time limit."""
    while not condition():  # noqa: ASYNC110 - what is waited for is another process
        await asyncio.sleep(0.01)


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    """After a kill -9 a child has a new process soon, and the other child keeps its own."""
    keeper = Supervisor([program(tmp_path, STAYS, "one"), program(tmp_path, STAYS, "two")])
    await keeper.start()
    try:
        first, other = keeper.process_id("one"), keeper.process_id("two")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: keeper.restarts["one"] == 1)
        assert keeper.process_id("one") not in (None, first)
        assert keeper.process_id("two") == other
    finally:
        await keeper.stop()


async def test_held_programs_start_when_they_are_released(tmp_path: Path) -> None:
    """One that dies before its release waits again; one that dies later starts immediately."""
    keeper = Supervisor([program(tmp_path, WAITS)], held=True)
    log = tmp_path / "child.log"

    async def kill_when(text: str) -> None:
        await until(lambda: log.exists() and log.read_text() == text)
        process = keeper.process_id("child")
        assert process is not None
        os.kill(process, signal.SIGKILL)

    await keeper.start()
    try:
        await kill_when("held\n")
        await until(lambda: log.read_text() == "held\nheld\n")
        keeper.release()
        await kill_when("held\nheld\nbegins\n")
        await until(lambda: log.read_text() == "held\nheld\nbegins\nfree\nbegins\n")
    finally:
        await keeper.stop()


async def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    """Even a child that does not listen is gone when stop returns."""
    keeper = Supervisor([program(tmp_path, STAYS, "good"), program(tmp_path, DEAF, "deaf")])
    await keeper.start()
    await until(lambda: "deaf" in (tmp_path / "deaf.log").read_text())
    pids = [keeper.process_id("good"), keeper.process_id("deaf")]

    await keeper.stop(grace_period=0.5)

    assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)


async def test_a_child_that_always_dies_is_abandoned_with_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After many deaths the supervisor reports the child, the exit and the log, and stops restarting it."""
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(supervisor, "LONGEST_BACKOFF", 0.01)
    keeper = Supervisor([program(tmp_path, ENDS, "broken")])
    await keeper.start()
    try:
        with pytest.raises(CrashLoopError, match=r"broken ended 8 times .* exit code 3.*broken\.log"):
            await asyncio.wait_for(keeper.wait(), 30)
    finally:
        await keeper.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child that its parent died")
def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """A kill -9 of the supervisor also ends its children."""
    code = textwrap.dedent(
        f"""
        import asyncio, os, sys
        from pathlib import Path
        from deploy.supervisor import Program, Supervisor
        async def main():
            keeper = Supervisor([Program("one", (sys.executable, "-I", "-S", "-c", {STAYS!r}), dict(os.environ),
                                         Path({str(tmp_path)!r}) / "one.log")])
            await keeper.start()
            print(keeper.process_id("one"), flush=True)
            await keeper.wait()
        asyncio.run(main())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


@pytest.mark.parametrize(("state", "remedy"), [("", "start one with `make up`"), ("{", "restore it from a backup")])
def test_an_unusable_folder_is_reported_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, remedy: str
) -> None:
    """Advice to start a new installation while the old file can be repaired could lose the old one."""
    if state:
        (tmp_path / "installation.json").write_text(state)
    monkeypatch.setattr(sys, "argv", ["supervisor", "--home", str(tmp_path)])
    assert supervisor.main() == 3
    errors = capsys.readouterr().err
    assert errors.endswith(f"{remedy}.\n")
    assert state == "" or "make up" not in errors
