"""The departments' guide is true: its tables match the code, and its example runs as it is printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli import labels
from contracts.topics import TOPICS
from contracts.vocabulary import FactName, FindingCode, IdentityField, Result, ReturnReason, Verb
from deploy.installation import Installation
from services.eligibility.labels import FACTS
from services.intake.domain.action import _CHILD_VERBS, _REFERRAL_VERBS, _REQUIRED_FIELDS
from services.notify.domain.templates import REASONS
from services.registry.disclosures import public_key
from tests.cli.conftest import ROOT, Hutong
from tests.conftest import embedded_only
from tests.county import demo_county

GUIDE = (ROOT / "docs" / "departments.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
UNIT = "341722-jtj"
RESTRICTED = "341722-gaj"
"""The unit with a second log-in, as an example."""


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading: word in backticks -> the other cells."""
    body = re.split(r"\n## ", GUIDE.split(f"\n## {heading}", 1)[1])[0]
    table: dict[str, list[str]] = {}
    for line in body.partition("|---|")[2].splitlines():
        if (cells := re.match(r"\| `([\w-]+)` \| (.*) \|$", line)) is not None:
            table.setdefault(cells[1], cells[2].split(" | "))
    return table


def test_the_guide_lists_every_verb_with_the_fields_it_needs() -> None:
    listed = rows("8.")
    assert set(listed) == {verb.value for verb in Verb}
    for verb in Verb:
        needed = [*_REQUIRED_FIELDS.get(verb, ())]
        needed += ["child", "referral"] if verb in _REFERRAL_VERBS else ["child"] if verb in _CHILD_VERBS else []
        missing = [name for name in needed if f"`{name}`" not in listed[verb.value][1]]
        assert not missing, (verb, missing)


def test_the_guide_lists_every_role_with_its_verbs() -> None:
    county = demo_county()
    assert rows("9.") == {
        role: [county.role_names[role], " ".join(f"`{verb}`" for verb in verbs)] for role, verbs in county.roles.items()
    }


def test_the_guide_lists_every_finding_with_its_route_and_level() -> None:
    """A finding that must be telephoned first is marked."""
    listed = rows("10.")
    assert set(listed) == {code.value for code in FindingCode}
    for code in FindingCode:
        routes = [route for route in demo_county().routes if code in route.findings]
        level = min(route.level for route in routes)
        call = "，先打电话" if level == "L0" else ""
        assert listed[code.value] == [labels.FINDINGS[code], "、".join(route.id for route in routes), f"{level}{call}"]


@pytest.mark.parametrize(
    "named",
    [
        {field.value: labels.IDENTITY[field] for field in IdentityField},
        {fact.value: FACTS[fact] for fact in FactName},
        {reason.value: REASONS[reason] for reason in ReturnReason},
        {result.value: labels.RESULTS[result] for result in Result},
    ],
    ids=["identity", "facts", "reasons", "results"],
)
def test_the_guide_lists_every_code_with_its_label(named: dict[str, str]) -> None:
    assert not [code for code, word in named.items() if f"`{code}` {word}" not in GUIDE]


def test_the_guide_lists_every_topic_of_a_unit() -> None:
    for topic in TOPICS:
        if topic.family != "none":
            unit = RESTRICTED if "restricted" in topic.name else UNIT
            assert f"`{topic.name_for(unit)}`" in GUIDE, topic.name


def test_the_example_imports_no_package_of_hutong() -> None:
    imported = {
        line.split()[1] for block in BLOCKS for line in block.splitlines() if line.startswith(("import", "from"))
    }
    assert {name.split(".")[0].rstrip(",") for name in imported} == {"json", "confluent_kafka", "joserfc"}


def test_disclosures_can_be_sealed_to_the_guides_key(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BLOCKS[0]], check=True, cwd=tmp_path)
    public = (tmp_path / "public.jwk").read_text()
    assert public_key(public) is not None
    assert '"d"' not in public
    assert '"d"' in (tmp_path / "private.jwk").read_text()


@embedded_only
@pytest.mark.timeout(240)
def test_the_guides_example_runs_as_it_is_printed(
    installation: Installation, hutong: Hutong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It submits a file, reads the receipt, finds the referral on its queue, decrypts the disclosure, and accepts."""
    monkeypatch.setenv("HUTONG_INSTALLATION", str(installation.home))
    reported = hutong(
        "act", "report", "--unit", "教体局", "--role", "teacher", "--finding", "out_of_school",
        "--township", "341722100", "--identity", "name=例小亮", "--identity", "birth_date=2014-03-05",
    )  # fmt: skip
    assert reported.code == 0, reported.err
    shutil.copy(installation.agency_key_file(UNIT), tmp_path / "private.jwk")
    server = {"KAFKA_SERVER": installation.bootstrap, "KAFKA_PASSWORD": installation.users[UNIT]}

    def example() -> str:
        done = subprocess.run(
            [sys.executable, "-c", BLOCKS[1]],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **server},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state() -> str:
        queue = hutong("queue", "教体局")
        assert queue.code == 0, queue.err
        return queue.out

    while "义务教育阶段辍学" not in state():
        pass
    output = example()
    assert "回执： taken 收下 1 拒收 1" in output
    assert "3 出生日期 日历上没有这一天。" in output
    assert re.search(r"L2 义务教育阶段辍学 期限 \S+ 可知 birth_date、name", output)
    while "L2　已签收　R12 义务教育阶段辍学" not in state():
        pass
    assert "回执： same_again 收下 0 拒收 0" in example()
    assert "L2　已签收　R12 义务教育阶段辍学" in state()
