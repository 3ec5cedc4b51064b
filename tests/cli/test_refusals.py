"""`hutong` reports every error in one Chinese sentence with a remedy, and ends with an exit code."""

import asyncio
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from cli import operations
from cli.session import InstallationSession
from contracts.topics import SERVICES
from deploy import health_probe
from deploy.installation import SETTINGS, Installation, NoInstallationError, UnknownSettingError, check_format
from tests.cli.conftest import CommandResult, Hutong
from tests.county import FOLDER, demo_county

CHILD = "7f6b9c52-1d0e-4f3a-9a58-0c2d4e6f8a10"
NEED_AN_INSTALLATION = (
    ("status",),
    ("topics", "--check"),
    ("parked",),
    ("replay", "intake", "key"),
    ("queue", "公安局"),
    ("inbox", "公安局"),
    ("ledger",),
    ("trace", CHILD),
    ("submit", "nobody.xlsx", "--unit", "教体局", "--period", "2026H2"),
    ("act", "accept", "--unit", "公安局", "--role", "police_officer", "--child", CHILD, "--referral", CHILD),
    ("county", "activate", "deploy/counties/341722", "--from", "2026-12-01", "--by", "341722-mzj/mzj-01"),
)


def is_one_sentence(result: CommandResult) -> bool:
    """Return true if the error is one Chinese line without a traceback."""
    return result.err.count("\n") == 1 and "Traceback" not in result.err + result.out and "。" in result.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("quee",), "没有 quee 这个命令，是不是 queue。用 hutong --help 看写法。"),
        (("fly",), "没有 fly 这个命令。用 hutong --help 看写法。"),
        (("act", "acept"), "没有 acept 这个命令，是不是 accept。用 hutong act --help 看写法。"),
        (("--home", "x"), "没有写做哪件事。用 hutong --help 看写法。"),
        (("queue", "公安局", "--restricted=1"), "--restricted 后面不要写值。用 hutong --help 看写法。"),
        (("queue",), "缺少 单位。用 hutong queue --help 看写法。"),
        (("submit", "a.xlsx", "--unit", "教体局"), "缺少 --period。用 hutong submit --help 看写法。"),
        (("queue", "公安局", "--all"), "没有 --all 这个选项。用 hutong queue --help 看写法。"),
        (("inbox", "公安局", "教体局"), "多写了：教体局。用 hutong inbox --help 看写法。"),
        (("submit", "a.xlsx", "--period"), "--period 后面还要写一个值。用 hutong --help 看写法。"),
        (("inbox", "公安局", "--last", "x"), "--last 的写法不对：要写整数。用 hutong inbox --help 看写法。"),
        (("trace", "例小明"), "编号 的写法不对：编号要照抄，例如 .*。用 hutong trace --help 看写法。"),
        (
            ("explain", "a.yaml", "--on", "2026-13-01"),
            "--on 的写法不对：日期要写成 2026-11-23 这样。用 hutong explain --help 看写法。",
        ),
        (
            ("act", "report", "--unit", "教体局", "--role", "teacher", "--finding", "sad"),
            "--finding 的写法不对：“sad”不在可用的之列（injury_.*）。用 hutong act report --help 看写法。",
        ),
        (("replay", "nobody", "key"), "没有 nobody 这个服务。可以用：intake、.*。"),
    ],
)
def test_a_wrong_word_is_refused_with_the_right_ones(hutong: Hutong, words: tuple[str, ...], sentence: str) -> None:
    result = hutong(*words)
    assert result.code == 2
    assert is_one_sentence(result)
    assert re.fullmatch(sentence, result.err.rstrip("\n")), result.err


@pytest.mark.parametrize("words", [(), ("act",), ("county",)])
def test_a_command_without_arguments_shows_its_help(hutong: Hutong, words: tuple[str, ...]) -> None:
    result = hutong(*words)
    assert result.code == 2
    assert "用法：hutong" in result.out + result.err


@pytest.mark.parametrize("words", NEED_AN_INSTALLATION, ids=lambda words: " ".join(words[:2]))
def test_a_missing_installation_is_reported_with_its_folder_and_the_remedy(
    hutong: Hutong, tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = hutong("--home", tmp_path, *words)
    assert result.code == 1
    assert is_one_sentence(result)
    assert result.err.startswith(f"{tmp_path} 里没有安装。请先运行 make up")


def test_a_damaged_installation_is_named(hutong: Hutong, tmp_path: Path) -> None:
    (tmp_path / "installation.json").write_text('{"county": "341722", "users": {"intake": "a password"')
    result = hutong("--home", tmp_path, "status")
    assert (result.code, result.err) == (1, f"{tmp_path}/installation.json 读不出来。请改好它，或者从备份里恢复。\n")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(hutong: Hutong, tmp_path: Path) -> None:
    file = tmp_path / "installation.json"
    file.mkdir()
    result = hutong("--home", tmp_path, "status")
    assert (result.code, result.err) == (1, f"{file} 用不了：是文件夹，不是文件。请检查它在不在、能不能读写。\n")


@pytest.fixture
def stopped(tmp_path: Path) -> Installation:
    """Return an installation whose servers do not run."""
    return Installation.prepare(
        tmp_path / "home",
        demo_county(),
        4,
        bootstrap="127.0.0.1:1",
        admin_password="word",
        postgres_host="127.0.0.1",
        postgres_port=1,
        postgres_admin="postgresql:///postgres",
    )


@pytest.mark.parametrize("words", NEED_AN_INSTALLATION, ids=lambda words: " ".join(words[:2]))
def test_servers_that_do_not_run_are_reported_immediately(
    hutong: Hutong, stopped: Installation, words: tuple[str, ...]
) -> None:
    """The command does not wait for a client's timeout of half a minute."""
    result = hutong("--home", stopped.home, *words)
    assert result.code == 3
    assert is_one_sentence(result)
    assert re.match("连不上(消息服务器|数据库)（127.0.0.1:1）。请确认安装正在运行（make up 会启动它）。", result.err)


def test_the_ops_teams_settings_reach_only_their_service(stopped: Installation) -> None:
    (stopped.home / SETTINGS).write_text('{"notify": {"HUTONG_ALARM_COMMAND": ["ring", "a b"], "HUTONG_TRIES": 5}}')
    settings = stopped.settings_env("notify")
    assert (settings["HUTONG_ALARM_COMMAND"], settings["HUTONG_TRIES"]) == ('["ring", "a b"]', "5")
    assert "HUTONG_ALARM_COMMAND" not in stopped.settings_env("intake")


def test_the_installations_own_settings_cannot_be_overridden(stopped: Installation) -> None:
    (stopped.home / SETTINGS).write_text('{"notify": {"HUTONG_KAFKA": "elsewhere:9092"}}')
    assert stopped.settings_env("notify")["HUTONG_KAFKA"] == stopped.bootstrap


def test_a_service_runs_in_as_many_processes_as_are_set(stopped: Installation) -> None:
    """Each process has an ordinal, a port and a state file of its own."""
    (stopped.home / SETTINGS).write_text('{"registry": {"HUTONG_PROCESSES": 2, "HUTONG_HTTP_PORT": 9100}}')
    assert [name for name, (service, _) in stopped.processes().items() if service == "registry"] == [
        "registry",
        "registry.1",
    ]
    assert len(stopped.processes()) == len(SERVICES) + 1
    first, second = (stopped.settings_env("registry", ordinal) for ordinal in (0, 1))
    own = ("HUTONG_ORDINAL", "HUTONG_HTTP_PORT", "HUTONG_STATE_FILE")
    assert [first[name] for name in own] == ["0", "9100", str(stopped.state_file("registry"))]
    assert [second[name] for name in own] == ["1", "9101", str(stopped.state_file("registry.1"))]
    assert {name for name in first if first[name] != second[name]} == set(own)
    assert "HUTONG_PROCESSES" not in first


def test_two_processes_may_not_listen_on_one_port(stopped: Installation) -> None:
    ports = {"registry": {"HUTONG_PROCESSES": 2, "HUTONG_HTTP_PORT": 9100}, "eligibility": {"HUTONG_HTTP_PORT": 9101}}
    (stopped.home / SETTINGS).write_text(json.dumps(ports))
    with pytest.raises(NoInstallationError, match=r"registry\.1 and eligibility would both listen on 9101"):
        stopped.settings_env("notify")


@pytest.mark.parametrize(
    "text",
    [
        '{"notfiy": {}}',
        '{"notify": {"HUTONG_PROCESSES": 0}}',
        '{"notify": {"HUTONG_PROCESSES": "two"}}',
        '{"notify": {"HUTONG_HTTP_PORT": -1}}',
        '{"notify": {"HUTONG_HTTP_PORT": 65536}}',
        '{"notify"',
        "[]",
        '{"notify": 1}',
    ],
)
def test_settings_that_cannot_be_read_are_refused_by_name(stopped: Installation, text: str) -> None:
    (stopped.home / SETTINGS).write_text(text)
    with pytest.raises(NoInstallationError, match=f"{SETTINGS} cannot be read"):
        stopped.settings_env("notify")


@pytest.mark.parametrize(
    ("service", "name", "question"),
    [
        ("notify", "HUTONG_ALARM_COMAND", "，是不是 HUTONG_ALARM_COMMAND？"),
        ("registry", "HUTONG_PROCESES", "，是不是 HUTONG_PROCESSES？"),
        ("intake", "HUTONG_LOGLEVEL", "，是不是 HUTONG_LOG_LEVEL？"),
        ("notify", "ALARM_COMMAND", "，是不是 HUTONG_ALARM_COMMAND？"),
        ("notify", "colour", "。"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(
    stopped: Installation, service: str, name: str, question: str
) -> None:
    """It is refused before anything starts."""
    (stopped.home / SETTINGS).write_text(json.dumps({service: {name: "1"}}))
    refusal = f"{stopped.home / SETTINGS} 里写的 {name} 不是 {service} 的设置{question}请改好或者删去这一项，再启动。"
    with pytest.raises(UnknownSettingError) as error:
        check_format(stopped.home)
    assert str(error.value) == refusal


def test_only_notify_has_the_settings_of_alarms(stopped: Installation) -> None:
    (stopped.home / SETTINGS).write_text('{"intake": {"HUTONG_ALARM_COMMAND": "ring"}}')
    with pytest.raises(UnknownSettingError, match="HUTONG_ALARM_COMMAND 不是 intake 的设置"):
        stopped.settings_env("intake")


def test_an_empty_county_folder_is_reported_by_file(hutong: Hutong, tmp_path: Path) -> None:
    result = hutong("county", "check", tmp_path)
    assert result.code == 1
    assert "有 1 处问题" in result.err
    assert "文件夹里没有" in result.out


def test_a_county_with_something_wrong_is_not_put_in_force(
    hutong: Hutong, stopped: Installation, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "341722"))
    file = folder / "cadence.yaml"
    file.write_text(file.read_text().replace("residence_months: 6", "residence_months: -6"))
    by = ("--from", "2026-12-01", "--by", "341722-mzj/mzj-01")
    assert hutong("--home", stopped.home, "county", "activate", folder, *by) == CommandResult(
        1, "", f"{folder} 有 1 处问题，没有启用。先运行 hutong county check {folder}。\n"
    )


def test_facts_that_cannot_be_read_are_reported(hutong: Hutong, tmp_path: Path) -> None:
    result = hutong("explain", tmp_path / "nobody.yaml", "--on", "2026-11-23")
    assert result.code == 1
    assert "nobody.yaml" in result.err
    assert "Traceback" not in result.err


def test_ctrl_c_is_reported_and_ends_with_130(
    hutong: Hutong, stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(InstallationSession, "require_broker", interrupted)
    assert hutong("--home", stopped.home, "queue", "公安局") == CommandResult(130, "", "已中断。\n")


def test_an_unresponsive_service_is_killed(stopped: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not answer but its process exists: the supervisor can start it again only once the process has ended."""
    killed: list[tuple[int, int]] = []
    logged: list[str] = []
    monkeypatch.setattr(health_probe, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(health_probe, "LIVENESS_TIMEOUT", 0.05)
    monkeypatch.setattr(os, "kill", lambda process, number: killed.append((process, number)))

    async def run_until_done() -> None:
        processes = {"registry": 4711}
        probe = asyncio.create_task(
            health_probe.kill_unresponsive(stopped, list(processes), processes.get, logged.append)
        )
        while not killed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        probe.cancel()

    asyncio.run(run_until_done())
    assert killed[0] == (4711, signal.SIGKILL)
    assert logged[0].startswith("registry is not live (no answer)")


def test_a_new_process_is_not_killed_for_the_silence_of_the_former_one(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted process may not answer yet: each has the whole timeout for its own start."""
    monkeypatch.setattr(health_probe, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(health_probe, "LIVENESS_TIMEOUT", 0.05)
    logged: list[str] = []
    processes: list[int] = []

    def another(service: str) -> int | None:
        if service != "registry":
            return None
        processes.append(4711 + len(processes))
        return processes[-1]

    monkeypatch.setattr(os, "kill", lambda *_: None)

    async def run_until_done() -> None:
        probe = asyncio.create_task(health_probe.kill_unresponsive(stopped, ["registry"], another, logged.append))
        while len(processes) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        probe.cancel()

    asyncio.run(run_until_done())
    assert logged == []


def test_a_process_is_not_killed_while_its_start_makes_progress(
    stopped: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine it answers late; a process that logs only the same event again hangs, and is killed."""
    monkeypatch.setattr(health_probe, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(health_probe, "LIVENESS_TIMEOUT", 0.5)
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda process, _: killed.append(process))
    log = stopped.logs / "registry.log"

    async def run_until_done() -> None:
        probe = asyncio.create_task(
            health_probe.kill_unresponsive(stopped, ["registry"], lambda _: 4711, lambda _: None)
        )
        for step in range(10):
            with log.open("a") as file:
                file.write(f'{{"event": "step_{step}"}}\n')
            await asyncio.sleep(0.1)
        assert killed == []
        while not killed:
            with log.open("a") as file:
                file.write('{"event": "database_awaited"}\n')
            await asyncio.sleep(0.1)
        probe.cancel()

    asyncio.run(run_until_done())


def test_every_difference_on_the_broker_is_a_line() -> None:
    from deploy.provision import Difference, Grant

    lines = list(
        operations._describe(
            Difference(
                missing_topics=("clock.v1",),
                wrong_partitions=("registry.child.v1",),
                wrong_configs={"county.v1": {"cleanup.policy": "compact"}},
                missing_grants=frozenset({Grant("notify", "topic", "county.v1", "READ")}),
                surplus_grants=frozenset({Grant("341722-jtj", "topic", "clock.v1", "READ")}),
                missing_users=("registry",),
            )
        )
    )
    assert lines == [
        "少了主题 clock.v1",
        "分区数不对：registry.child.v1",
        "主题 county.v1 的 cleanup.policy 应是 compact",
        "少了账号 registry",
        "少了权限：notify 对 topic county.v1 READ",
        "多了权限：341722-jtj 对 topic clock.v1 READ",
    ]
