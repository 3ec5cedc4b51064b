"""The hooks before a commit and ``make check`` are the same checks, and no hook needs the network."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
REPOSITORIES = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]


def test_every_hook_is_local() -> None:
    assert [repository["repo"] for repository in REPOSITORIES] == ["local"]
    assert all(hook["language"] == "system" for hook in REPOSITORIES[0]["hooks"])


def test_hooks_run_the_commands_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    commands = {_command(line.strip("\t@").replace("$(PY)", ".venv/bin/python")) for line in recipe[1].splitlines()}
    assert commands == {_command(hook["entry"]) for hook in REPOSITORIES[0]["hooks"]}


def _command(line: str) -> str:
    """Return a command without its options and folders."""
    words = [word for word in line.split() if not word.startswith("--") and word != "$(CODE)"]
    return " ".join(words)
