"""A test that leaves a process running is noticed when the suite ends."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
LEAVES = """
import subprocess, sys
from pathlib import Path

def test_a_grandchild_in_a_session_of_its_own() -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    code += "start_new_session=True, stdout=subprocess.DEVNULL).pid)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    Path(__file__).with_name("pid").write_text(done.stdout)
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_process_left_running_fails_the_run_and_is_killed(tmp_path: Path, workers: str) -> None:
    """In a run of one process, and in one that hands its tests to workers."""
    (tmp_path / "test_leaves.py").write_text(textwrap.dedent(LEAVES))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", workers,
         "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        # pytest closes its root folder to other users, of whom one runs this session's PostgreSQL.
        env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(tmp_path)},
    )  # fmt: skip
    process_id = int((tmp_path / "pid").read_text())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert f"LEFT RUNNING by a test, and ended now: {process_id}: " in done.stdout
    assert not psutil.pid_exists(process_id)
