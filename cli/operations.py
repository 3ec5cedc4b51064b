"""The ops team's commands: status, topics, parked events and their replay."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.child_reference import child_numbers
from cli.session import CommandError, InstallationSession
from contracts.child_number import InvalidChildNumber, child_id, parse_child_number
from contracts.topics import SERVICES, TOPICS
from contracts.vocabulary import COUNTY_TIME
from deploy.health_probe import problems
from deploy.installation import Installation
from deploy.provision import Difference, broker_spec, compare
from deploy.quiescence import QuiescenceMonitor

_PARKED_IN = """
SELECT '{0}' AS service, c.consumer, c.key, c.reason, c.since, c.topic, count(e.position) AS events
  FROM "{0}".parked_key c LEFT JOIN "{0}".parked_event e USING (consumer, key)
 GROUP BY 1, 2, 3, 4, 5, 6
"""
_PARKED = " UNION ALL ".join(_PARKED_IN.format(service) for service in SERVICES)


def status(context: typer.Context) -> None:
    session = InstallationSession(context.obj)
    figures, now = asyncio.run(_read_status(session))
    problems = {service: _problems_of(session.installation, service) for service in SERVICES}
    table = Table("服务", "进程", "还没读", "还没发", "被搁置", "无法识别的消息", "处理到", title="五个服务")
    for service in SERVICES:
        answer = problems[service]
        process = "没有答复" if answer is None else "有问题" if answer else "正常"
        table.add_row(service, process, *figures[service])
    console = Console()
    console.print(table)
    console.print(f"业务日期：{now.astimezone(COUNTY_TIME):%Y-%m-%d %H:%M}" if now else "还没有业务日期。")
    for service, answer in problems.items():
        for problem in answer or ():
            console.print(f"{service}：{problem}", markup=False, highlight=False)
    wrong = [service for service in SERVICES if problems[service] != []]
    if wrong:
        raise CommandError(f"{'、'.join(wrong)} 没有正常运行。", f"原因见日志：{session.installation.logs}。")


def _problems_of(installation: Installation, service: str) -> list[str] | None:
    """Return the problems that a service's processes report, or None if none of them answers."""
    answers = {process: problems(installation, process) for process in installation.started_processes(service)}
    if len(answers) == 1 or all(answer is None for answer in answers.values()):
        return answers[service]
    by_process = {process: ["没有答复"] if answer is None else answer for process, answer in answers.items()}
    return [f"{process} {problem}" for process, answer in by_process.items() for problem in answer]


async def _read_status(session: InstallationSession) -> tuple[dict[str, tuple[str, ...]], datetime | None]:
    """Return each service's figures, and the time that the county's clock has reached."""
    county = await asyncio.to_thread(session.county)
    connection = await session.database()
    try:
        monitor = QuiescenceMonitor(session.admin(), connection, county)
        state = await monitor.state()
        ends = await asyncio.to_thread(monitor.end_offsets)
        now: datetime | None = await connection.fetchval("SELECT now FROM intake.county_clock")
    finally:
        await connection.close()
    rows: dict[str, tuple[str, ...]] = {}
    for service in SERVICES:
        behind = sum(
            max(0, ends.get((topic, partition), 0) - cursor)
            for (owner, topic, partition), (cursor, _) in state.cursors.items()
            if owner == service
        )
        early, late = state.days.get(service, (None, None))
        day = "–" if late is None else str(late) if early == late else f"{early or '–'} … {late}"
        rows[service] = (
            str(behind),
            str(state.outbox.get(service, 0) + state.coalescing.get(service, 0)),
            str(state.parked.get(service, 0)),
            str(state.dead_letters.get(service, 0)),
            day,
        )
    return rows, now


def topics(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="与消息服务器上的主题、账号和权限核对。")] = False,
) -> None:
    table = Table("主题", "键", "分区", "保留", "谁写", "谁读")
    for topic in TOPICS:
        keep = "压缩" if topic.compacted else f"{topic.retention_days} 天"
        parts = "1" if topic.partitions == "one" else "服务分区数"
        table.add_row(topic.name, topic.key, parts, keep, " ".join(topic.writers), " ".join(topic.readers))
    Console().print(table)
    if not check:
        return
    session = InstallationSession(context.obj)
    county = session.county()
    lines = list(_describe(compare(session.admin(), broker_spec(county, session.installation.partitions))))
    for line in lines:
        Console().print(line, markup=False, highlight=False, soft_wrap=True)
    if lines:
        raise CommandError(
            f"消息服务器与清单有 {len(lines)} 处不一致，见上。", "重新安装（make up）会补齐少的，多的要人来删。"
        )
    Console().print("消息服务器上的主题、账号和权限与清单一致。")


def _describe(difference: Difference) -> Iterator[str]:
    """Yield a line for each difference between the broker and the list of topics."""
    yield from (f"少了主题 {name}" for name in difference.missing_topics)
    yield from (f"分区数不对：{topic}" for topic in difference.wrong_partitions)
    for topic, configs in difference.wrong_configs.items():
        yield from (f"主题 {topic} 的 {name} 应是 {value}" for name, value in configs.items())
    yield from (f"少了账号 {user}" for user in difference.missing_users)
    for what, grants in (("少了", difference.missing_grants), ("多了", difference.surplus_grants)):
        yield from (
            f"{what}权限：{grant.principal} 对 {grant.resource} {grant.name} {grant.operation}"
            for grant in sorted(grants)
        )


def parked(context: typer.Context) -> None:
    session = InstallationSession(context.obj)
    rows = asyncio.run(session.fetch(_PARKED + " ORDER BY 1, 2, 5"))
    if not rows:
        Console().print("没有被搁置的事件。")
        return
    numbers = asyncio.run(child_numbers(session.fetch, (row["key"] for row in rows)))
    for row in rows:
        since = f"{row['since'].astimezone(COUNTY_TIME):%Y-%m-%d %H:%M}"
        child = f"（儿童 {numbers[row['key']]}）" if row["key"] in numbers else ""
        print(f"{row['service']}（{row['consumer']}）  {row['key']}{child}  {row['events']} 个事件，自 {since}")
        print(f"    {row['topic']}：{row['reason']}")
    print("原因改正以后，用 hutong replay 服务 键 放行。")


def _parked_key(session: InstallationSession, typed: str) -> str:
    """Return the key that was typed, or the id of the child whose short number was typed."""
    try:
        number = parse_child_number(typed)
    except InvalidChildNumber:
        return typed
    return str(child_id(session.county().code, number))


def replay(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="服务", help="intake、registry、eligibility、referral 或 notify。")],
    key: Annotated[str, typer.Argument(metavar="键", help="hutong parked 里的键，或儿童编号。")],
) -> None:
    if service not in SERVICES:
        raise CommandError(f"没有 {service} 这个服务。", f"可以用：{'、'.join(SERVICES)}。", 2)
    session = InstallationSession(context.obj)
    key = _parked_key(session, key)
    # The replay itself would wait indefinitely for a database.
    if not asyncio.run(session.fetch(f'SELECT FROM "{service}".parked_key WHERE key = $1', key)):
        raise CommandError(f"{service} 里没有以 {key} 搁置的事件。", "用 hutong parked 看有哪些。")
    installation = session.installation
    environment = os.environ | installation.settings_env(service)
    environment.pop("HUTONG_STATE_FILE", None)
    done = subprocess.run(
        [sys.executable, "-m", "runtime", service, "--replay", key],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or "没有说明").splitlines()[-1]
        raise CommandError(f"没有放行：{last.rstrip('。')}。", "先改正原因，再放行一次。")
    Console().print(f"{service} 里 {key} 的 {done.stdout.strip()} 个事件已按顺序放行。")
