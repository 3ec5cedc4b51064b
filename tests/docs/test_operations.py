"""The operations manual names metrics, settings and log lines that the code has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs" / "operations.md").read_text("utf-8")
SOURCES = "\n".join(
    file.read_text("utf-8")
    for folder in ("runtime", "services", "deploy", "cli", "tests/containers.py")
    for file in ([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.py"))
)


def test_every_metric_of_the_manual_is_one_of_the_code() -> None:
    metrics = set(re.findall(r"`hutong_(\w+)`", MANUAL))
    assert len(metrics) > 5
    assert {metric for metric in metrics if f'"{metric}"' not in SOURCES} == set()


def test_every_setting_of_the_manual_is_read() -> None:
    """A setting is read by its full name or as a field of the services' settings."""
    settings = set(re.findall(r"\bHUTONG_(\w+)", MANUAL))
    assert len(settings) > 5
    unread = {name for name in settings if f"HUTONG_{name}" not in SOURCES and f"    {name.lower()}: " not in SOURCES}
    assert unread == set()


def test_every_log_line_of_the_manual_is_written() -> None:
    lines = set(re.findall(r"(?:logs|log line|日志) `(\w+)`", MANUAL))
    assert lines
    assert {line for line in lines if f'"{line}"' not in SOURCES} == set()
