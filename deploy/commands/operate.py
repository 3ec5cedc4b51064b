"""What the ops team asks: status, topics, what is parked, and its release."""

import asyncio
import os
import subprocess
import sys
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from contracts.topics import SERVICES, TOPICS
from deploy.commands.house import CommandError, House
from deploy.provision import OPERATOR_ROLE, compare, wanted
from deploy.settled import Watch

_PARKED_IN = """
SELECT '{0}' AS service, c.consumer, c.key, c.reason, c.since, c.topic, count(e.n) AS events
  FROM "{0}".parked_child c LEFT JOIN "{0}".parked_event e USING (consumer, key)
 GROUP BY 1, 2, 3, 4, 5, 6
"""
_PARKED = " UNION ALL ".join(_PARKED_IN.format(service) for service in SERVICES)


def status(context: typer.Context) -> None:
    house = House(context.obj)
    found = asyncio.run(_look(house))
    table = Table("服务", "还没读", "还没发", "被搁置", "不成事件", "走到", title="五个服务")
    for service in SERVICES:
        table.add_row(service, *found[service])
    Console().print(table)


async def _look(house: House) -> dict[str, tuple[str, ...]]:
    county = await asyncio.to_thread(house.county)
    session = await asyncpg.connect(house.installation.dsn(OPERATOR_ROLE))
    try:
        watch = Watch(house.admin(), session, county)
        state = await watch.state()
        ends = await asyncio.to_thread(watch.ends)
    finally:
        await session.close()
    rows: dict[str, tuple[str, ...]] = {}
    for service in SERVICES:
        behind = sum(
            max(0, ends.get((topic, partition), 0) - cursor)
            for (who, topic, partition), (cursor, _) in state.cursors.items()
            if who == service
        )
        early, late = state.days.get(service, (None, None))
        day = "–" if late is None else str(late) if early == late else f"{early or '–'} … {late}"
        rows[service] = (
            str(behind),
            str(state.outbox.get(service, 0)),
            str(state.parked.get(service, 0)),
            str(state.dead.get(service, 0)),
            day,
        )
    return rows


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
    house = House(context.obj)
    difference = compare(house.admin(), wanted(house.county(), house.installation.partitions))
    if difference:
        raise CommandError(f"消息服务器与清单不一致：{difference}。", "重新运行 make up 会补齐。")
    Console().print("消息服务器上的主题、账号和权限与清单一致。")


def parked(context: typer.Context) -> None:
    house = House(context.obj)
    rows = asyncio.run(house.ask(_PARKED + " ORDER BY 1, 2, 5"))
    if not rows:
        Console().print("没有被搁置的事件。")
        return
    table = Table("服务", "消费者", "键", "事件数", "自", "原因")
    for row in rows:
        since = f"{row['since']:%Y-%m-%d %H:%M}"
        table.add_row(row["service"], row["consumer"], row["key"], str(row["events"]), since, row["reason"])
    Console().print(table)


def replay(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="intake、registry、eligibility、referral 或 notify。")],
    key: Annotated[str, typer.Argument(help="hutong parked 里的键。")],
) -> None:
    if service not in SERVICES:
        raise CommandError(f"没有 {service} 这个服务。", f"可以用：{'、'.join(SERVICES)}。", 2)
    installation = House(context.obj).installation
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
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CommandError(f"没有放行：{last[-1] if last else '没有说明'}。", "先改正原因，再放行一次。")
    Console().print(f"{service} 里 {key} 的事件已按顺序放行。{done.stdout.strip()}")
