"""The `hutong` command in this process, and one installation for all tests that need one running."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import main
from deploy.embedded import jars
from deploy.installation import PROCESSES, SETTINGS, Installation
from tests.processes import ends_with_the_test, running_from

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Hutong = Callable[..., CommandResult]


@pytest.fixture
def hutong(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Hutong:
    """Return a function that runs `hutong WORDS...` as the console script does."""

    def run(*words: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["hutong", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        output = capfd.readouterr()
        return CommandResult(int(ended.value.code or 0), output.out, output.err)

    return run


def local(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make up` or `make down` runs, in a folder of the test's own."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.embedded", command, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "HUTONG_HOME": str(jars.home())},
    )


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Start an installation as `make up` does, with eligibility in two processes, and stop it after these tests."""
    home = tmp_path_factory.mktemp("embedded") / "installation"
    home.mkdir()
    (home / SETTINGS).write_text(json.dumps({"eligibility": {PROCESSES: 2}}))
    with ends_with_the_test(home):
        started = local("up", home)
        assert started.returncode == 0, started.stdout + started.stderr
        yield Installation.load(home)
        stopped = local("down", home)
        assert (stopped.returncode, stopped.stdout) == (0, "已停止（Stopped）。\n"), stopped.stdout + stopped.stderr
        assert running_from(home) == []
