"""`make up` starts a whole installation that `hutong` works on; `make down` leaves no process."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import openpyxl
import pytest

from contracts.child_number import child_id, parse_child_number
from contracts.topics import SERVICES
from deploy.embedded import jars
from deploy.embedded.stack import read_state
from deploy.health_probe import problems
from deploy.installation import Installation
from tests.cli.conftest import ROOT, CommandResult, Hutong, local
from tests.conftest import embedded_only
from tests.processes import ends_with_the_test, running_from

pytestmark = [embedded_only, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _use_installation(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_INSTALLATION", str(installation.home))


def ok(result: CommandResult) -> str:
    """Return the output of a command that succeeded."""
    assert (result.code, result.err) == (0, ""), result.err
    return result.out


def test_every_read_command_answers_after_make_up(hutong: Hutong) -> None:
    status = ok(hutong("status"))
    assert all(re.search(rf"{service}\s+│ 正常", status) for service in SERVICES), status
    assert re.search(r"业务日期：\d{4}-\d\d-\d\d \d\d:\d\d", status)
    assert "与清单一致" in ok(hutong("topics", "--check"))
    assert "没有被搁置的事件" in ok(hutong("parked"))
    assert "在册" in ok(hutong("ledger"))
    assert "没有通知" in ok(hutong("inbox", "网信办"))


def test_a_second_make_up_reports_that_it_is_running(installation: Installation) -> None:
    second = local("up", installation.home)
    assert second.returncode == 0
    assert second.stdout.startswith("已经在运行（Running already）。\nKafka ")
    assert installation.bootstrap in second.stdout


def test_a_workbook_comes_back_with_its_errors_marked(hutong: Hutong, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (("姓名", "出生日期", "年级"), ("例小冬", "2016-03-15", "三年级"), ("例小红", "2015-13-40", "一年级")):
        book.active.append(row)
    file = tmp_path / "学校.xlsx"
    book.save(file)

    output = ok(hutong("submit", file, "--unit", "教体局", "--period", "2026H2", "--full"))

    assert "日历上没有这一天" in output
    marked = openpyxl.load_workbook(tmp_path / "学校.错误.xlsx")
    assert "日历上没有这一天" in str([cell.value for row in marked.worksheets[0] for cell in row])


def test_a_finding_is_handled_from_report_to_result(hutong: Hutong) -> None:
    """It is reported, accepted, telephoned and answered, and its trace is Chinese throughout."""
    reported = ok(
        hutong("act", "report", "--unit", "民政局", "--role", "child_director", "--finding", "suspected_violence",
               "--township", "341722100", "--identity", "name=例小明", "--identity", "birth_date=2016-04-05")
    )  # fmt: skip
    finding = re.findall(r"[0-9a-f-]{36}", reported)[1]
    while not (ids := re.search(r"转介 (\S+)　儿童 (\S+)", ok(hutong("queue", "公安局", "--restricted")))):
        pass
    referral, child = ids.groups()
    file = child_id("341722", parse_child_number(child))
    options = ("--child", child, "--referral", referral)
    police = ("--unit", "公安局", "--role", "police_officer", "--restricted")
    ok(hutong("act", "accept", *police, *options))
    ok(hutong("act", "start", *police, *options))
    ok(
        hutong(
            "act",
            "phone-report",
            "--unit",
            "民政局",
            "--role",
            "child_director",
            "--finding",
            finding,
            "--station",
            "110",
            "--reached",
        )
    )
    ok(hutong("act", "result", *police, *options, "--result", "resolved"))
    while "已反馈（已解决）" not in (trace := ok(hutong("trace", finding))):
        pass
    assert f"儿童 {child}（档案 {file}）" in trace
    assert ok(hutong("trace", child)) == ok(hutong("trace", file)) == trace
    inbox = ok(hutong("inbox", "公安局", "--restricted"))
    assert f"儿童 {child}" in inbox
    assert str(file) not in inbox
    assert "向公安局提供信息（加密）：出生日期、姓名" in trace
    assert not re.findall(r"\b[a-z]+_[a-z_]+\b", trace)
    assert "例小明" not in trace
    assert "转介待办（L0）" in inbox
    assert hutong("queue", "公安局").out.endswith("未办 0 件，已办结 0 件。\n")


def test_what_is_parked_for_a_child_is_shown_and_replayed_by_its_short_number(
    installation: Installation, hutong: Hutong
) -> None:
    ok(
        hutong("act", "report", "--unit", "示例医院", "--role", "doctor", "--finding", "uninsured",
               "--township", "341722100", "--identity", "name=例小红", "--identity", "birth_date=2015-06-07")
    )  # fmt: skip
    while not (child := re.search(r"儿童 (\d{4}-\d{4}-\d{4}-[A-Z])", ok(hutong("queue", "341722-rsj")))):
        pass
    number = child[1]
    key = str(child_id("341722", parse_child_number(number)))
    asyncio.run(_park(installation, key))
    assert f"{key}（儿童 {number}）  0 个事件" in ok(hutong("parked"))
    assert ok(hutong("replay", "referral", number)) == f"referral 里 {key} 的 0 个事件已按顺序放行。\n"
    assert "没有被搁置的事件" in ok(hutong("parked"))


async def _park(installation: Installation, key: str) -> None:
    """Park a key of referral without any event."""
    connection = await asyncpg.connect(installation.dsn("referral"))
    try:
        await connection.execute(
            "INSERT INTO referral.parked_key (consumer, key, topic, partition, first_offset, reason)"
            " VALUES ('referral-findings', $1, 'registry.finding.v1', 0, 0, 'test')",
            key,
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("queue", "航天局"), 1, "没有“航天局”这个单位。可以用：民政局、"),
        (("queue", "网信办"), 1, "石台县委网信办没有转介队列。用 hutong topics 看谁有。"),
        (("ledger", "--township", "火星镇"), 1, "没有“火星镇”这个乡镇。可以用：仁里镇、"),
        (("trace", str(uuid4())), 1, "没有编号为 "),
        (("replay", "intake", "nobody"), 1, "intake 里没有以 nobody 搁置的事件。用 hutong parked 看有哪些。"),
        (("submit", "/nobody.xlsx", "--unit", "教体局", "--period", "2026H2"), 1, "打不开"),
        (("submit", "x.xlsx", "--unit", "网信办", "--period", "2026H2"), 1, "没有登记的数据集"),
        (("submit", "x.xlsx", "--unit", "公安局", "--period", "2026H2"), 2, "有几个数据集"),
        (
            ("act", "accept", "--unit", "教体局", "--role", "emperor", "--child", str(uuid4()),
             "--referral", str(uuid4())),
            1,
            "没有这个岗位",
        ),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_done_is_refused_in_one_sentence(
    hutong: Hutong, words: tuple[str, ...], code: int, sentence: str
) -> None:
    result = hutong(*words)
    assert result.code == code
    assert sentence in result.err
    assert result.err.count("\n") == 1


def test_a_killed_service_and_a_killed_broker_come_back(installation: Installation, hutong: Hutong) -> None:
    before = json.loads(installation.state_file("registry").read_text())["pid"]
    os.kill(before, signal.SIGKILL)
    state = read_state(installation.home / "stack")
    assert state is not None
    os.kill(state["kafka"]["pids"][0], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while json.loads(installation.state_file("registry").read_text())["pid"] == before or any(
        problems(installation, service) != [] for service in SERVICES
    ):
        assert time.monotonic() < deadline, hutong("status").out
        time.sleep(0.2)
    ok(hutong("status"))
    log = (installation.logs / "supervisor.log").read_text()
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d registry ended with signal SIGKILL$", log, re.MULTILINE)
    assert re.search(r" Kafka ended\n.* Kafka started$", log, re.MULTILINE | re.DOTALL)


def test_a_second_process_of_a_service_is_probed_too(installation: Installation, hutong: Hutong) -> None:
    """The supervisor restarts it like the first; while it does not answer, the status names it."""
    second = json.loads(installation.state_file("eligibility.1").read_text())["pid"]
    assert problems(installation, "eligibility.1") == []
    os.kill(second, signal.SIGSTOP)
    try:
        result = hutong("status")
        assert (result.code, "eligibility：eligibility.1 没有答复" in result.out) == (1, True), result.out
    finally:
        os.kill(second, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while problems(installation, "eligibility.1") != []:
        assert time.monotonic() < deadline, hutong("status").out
        time.sleep(0.2)
    assert json.loads(installation.state_file("eligibility.1").read_text())["pid"] != second


@pytest.mark.parametrize(("number", "progress"), [(signal.SIGINT, "Making topics"), (signal.SIGTERM, "Starting Kafka")])
def test_a_signal_during_the_start_leaves_no_process(tmp_path: Path, number: signal.Signals, progress: str) -> None:
    """A shell's background job, which is started with SIGINT ignored, can be stopped too."""
    home = tmp_path / "installation"
    with ends_with_the_test(home):
        started = subprocess.Popen(
            [sys.executable, "-m", "deploy.embedded", "up", "--home", str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "HUTONG_HOME": str(jars.home())},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
        )
        assert started.stderr is not None
        for line in started.stderr:
            if progress in line:
                break
        started.send_signal(number)
        _, errors = started.communicate(timeout=90)
        assert started.returncode == 130
        assert errors.endswith("已停止，没有留下任何进程（Stopped; no process is left behind）。\n")
        assert "Traceback" not in errors
        assert running_from(home) == []


def test_an_invalid_county_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "county").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "deploy.embedded",
            "up",
            "--home",
            str(tmp_path / "home"),
            "--county",
            str(tmp_path / "county"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/county is no county's data" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_and_status_report_that_nothing_runs(tmp_path: Path) -> None:
    down, status = local("down", tmp_path), local("status", tmp_path)
    assert (down.returncode, down.stdout) == (0, "没有在运行（Nothing is running）。\n")
    assert (status.returncode, status.stdout) == (1, "没有在运行，请用 make up 启动。\n")
