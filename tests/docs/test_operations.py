"""The operations manual names metrics, settings and log lines that the code has."""

import re
from dataclasses import fields
from pathlib import Path

from deploy.installation import Installation
from runtime import Settings
from tests.county import demo_county

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


def test_every_setting_of_a_service_is_in_the_manual_with_its_default() -> None:
    """Those that the installation sets itself are named as such, without a default."""
    section = MANUAL.split("## 14. ")[1]
    table, own = section.split("Set by the installation")
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    defaults = {
        name: default
        for _, names, values, *_ in rows
        for name, default in zip(re.findall(r"`HUTONG_(\w+)`", names), values.strip().split(", "), strict=True)
    }
    set_by_installation = set(re.findall(r"`HUTONG_(\w+)`", own))
    settings = {setting.name.upper(): setting.default for setting in fields(Settings)}
    documented = defaults.keys() - {"PROCESSES", "ALARM_COMMAND"}
    assert documented | set_by_installation == settings.keys()
    assert documented.isdisjoint(set_by_installation)
    assert {name: f"{settings[name]:g}" if name != "LOG_LEVEL" else settings[name] for name in documented} == {
        name: defaults[name] for name in documented
    }


def test_the_settings_of_the_installation_are_those_that_it_gives_to_a_process(tmp_path: Path) -> None:
    installation = Installation.prepare(
        tmp_path, demo_county(), 4, bootstrap="127.0.0.1:1", admin_password="a", postgres_host="127.0.0.1",
        postgres_port=1, postgres_admin="postgresql:///postgres",
    )  # fmt: skip
    own = MANUAL.split("Set by the installation")[1]
    assert installation.settings_env("registry").keys() == set(re.findall(r"`(HUTONG_\w+)`", own))


def test_every_log_line_of_the_manual_is_written() -> None:
    lines = set(re.findall(r"(?:logs|log line|日志) `(\w+)`", MANUAL))
    assert lines
    assert {line for line in lines if f'"{line}"' not in SOURCES} == set()
