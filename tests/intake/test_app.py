"""Intake consumes its own county's units and the clock, actions separately from files."""

import json
from pathlib import Path

from contracts import topics
from runtime import Settings
from runtime.storage.sealing import new_keys
from services.intake.app import create
from tests.county import a_county


async def test_files_and_actions_have_separate_consumers_and_other_counties_none(tmp_path: Path) -> None:
    """One consumer reads files and the clock that completes the day; another reads actions."""
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"record_key": "00" * 32, "registry_public_key": new_keys()[1]}))
    secrets.chmod(0o600)
    service = create(Settings(county="341722", secrets_file=secrets))
    names = [
        provisioned_topic.name
        for provisioned_topic in topics.provisioned_topics((unit.id, unit.families) for unit in a_county().units)
    ]
    existing = [*names, "department.341723-jtj.v1", "department.341722-jtj.v1.old", "action.341722.v1"]
    topics_of = {name: set(service.subscriptions[name].topic_names(existing)) for name in ("main", "actions")}
    assert topics_of["main"] == {name for name in names if name.startswith("department.")} | {topics.CLOCK.name}
    assert topics_of["actions"] == {name for name in names if name.startswith("action.")}
    assert len(topics_of["main"]) > 8
    assert len(topics_of["actions"]) > 20
