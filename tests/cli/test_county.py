"""`hutong county` reports the problems of a folder, and a named person puts one in force."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.county import named
from cli.main import app
from cli.session import CommandError
from tests.county import FOLDER, a_county, copy_county, replace_in_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_county(tmp_path)


def test_a_policy_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "方案.txt").write_bytes("方案".encode("gb18030"))
    for source in ("方案.txt", "没有.txt"):
        result = CliRunner().invoke(app, ["county", "check", str(FOLDER), "--source", str(tmp_path / source)])

        assert isinstance(result.exception, CommandError)
        assert "读不了方案原文" in str(result.exception)


def test_every_problem_is_reported_on_a_line_of_its_own(folder: Path) -> None:
    line = replace_in_file(folder, "units.yaml", "    recipient: tjj-01\n", "") - 3
    result = CliRunner().invoke(app, ["county", "check", str(folder)])

    problem = "341722-tjj 的收件箱没有负责人。请写 recipient（人员编号）；没有人收，系统会向牵头单位报警"
    assert result.stdout.splitlines() == [f"units.yaml:{line}: {problem}"]
    assert isinstance(result.exception, CommandError)


def test_a_county_is_activated_by_a_person_whom_it_lists() -> None:
    assert named("341722-mzj/mzj-01", a_county()) == "341722-mzj/county_civil_affairs/mzj-01"
    for nobody in ("341722-mzj/county_lead", "341722-mzj", "341722-gaj/mzj-01", "mzj-01", ""):
        with pytest.raises(CommandError, match="没有启用"):
            named(nobody, a_county())
