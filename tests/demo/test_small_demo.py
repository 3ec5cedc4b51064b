"""A small run of the demo passes every check and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import embedded_only
from tests.processes import ends_with_the_test, running_from


def command(home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "demo", "--home", str(home), *more]


@embedded_only
@pytest.mark.timeout(900)
def test_a_small_county_passes_every_check(tmp_path: Path) -> None:
    """With sixty children, five weeks and one service killed meanwhile, the exit code is 0 and no process is left."""
    home = tmp_path / "demo"
    with ends_with_the_test(home):
        done = subprocess.run(
            command(home, "--children", "60", "--days", "35", "--seed", "3"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert "✗" not in done.stdout
        assert running_from(home) == []


@embedded_only
@pytest.mark.timeout(300)
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    """If it is interrupted while the services run, the exit code is 130 and nothing is left."""
    home = tmp_path / "demo"
    with ends_with_the_test(home):
        running = subprocess.Popen(
            command(home, "--children", "40", "--days", "21"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert running.stdout is not None
        with running, running.stdout:
            shown = []
            for line in running.stdout:
                shown.append(line)
                if "five services" in line:
                    break
            running.send_signal(signal.SIGINT)
            rest = running.stdout.read()
            assert running.wait(60) == 130, "".join(shown) + rest
        assert running_from(home) == []


def test_too_small_a_demo_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, "--children", "5"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
