"""Settings come from the environment and secrets from a private file."""

import json
from pathlib import Path

import pytest

from runtime import MissingSecret, Settings
from runtime.settings import OpenSecrets


def test_settings_are_read_from_the_environment_and_name_the_wrong_one() -> None:
    settings = Settings.from_environment(
        {"HUTONG_PARTITIONS": "12", "HUTONG_KAFKA_PASSWORD": "geheim", "HUTONG_COUNTY": ""}
    )
    assert (settings.partitions, settings.county) == (12, "341722")
    assert "geheim" not in repr(settings)
    with pytest.raises(ValueError, match="HUTONG_PARTITIONS must be int"):
        Settings.from_environment({"HUTONG_PARTITIONS": "many"})


def test_secrets_are_read_from_a_private_file_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"a": "1"}))
    path.chmod(0o600)
    settings = Settings(secrets_file=path)
    assert settings.secret("a") == "1"
    with pytest.raises(MissingSecret):
        settings.secret("b")
    path.chmod(0o640)
    with pytest.raises(OpenSecrets):
        settings.secret("a")
    with pytest.raises(MissingSecret):
        Settings().secret("a")
