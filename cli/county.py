"""`hutong county` checks a county's folder of data, and puts it in force from a day."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.chinese_help import ChineseTyper
from cli.session import CommandError, InstallationSession
from contracts.county import County
from county.checks import check as problems_of
from county.problem import CountyInvalid
from deploy.install import ActivationError, read_county
from deploy.install import activate as put_in_force
from services.eligibility.requirements import REQUIREMENTS

app = ChineseTyper(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(metavar="文件夹", help="县的数据文件夹，例如 deploy/counties/341722。")]


@app.command()
def check(
    folder: Folder,
    source: Annotated[
        Path | None, typer.Option(help="方案原文（文本）。给了就核对每条依据的短语是否真在那一条、那一行。")
    ] = None,
) -> None:
    """逐行指出这个文件夹有什么问题。"""
    try:
        problems = problems_of(folder, REQUIREMENTS, source)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"读不了方案原文 {source}。", "请给一份 UTF-8 的文本文件。") from error
    for problem in problems:
        # Lines are not wrapped, so that an editor can jump to file:line.
        Console().print(str(problem), markup=False, highlight=False, soft_wrap=True)
    if problems:
        raise CommandError(f"{folder} 有 {len(problems)} 处问题，见上。", "改好再启用。")
    compared = "，依据与原文相符" if source is not None else "（没有给 --source，依据未与原文核对）"
    Console().print(f"{folder} 没有问题{compared}。")


@app.command()
def activate(
    context: typer.Context,
    folder: Folder,
    from_: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="从哪一天起生效。")],
    by: Annotated[str, typer.Option(help="谁决定的：单位和人员编号，例如 341722-mzj/mzj-01。")],
) -> None:
    """从某一天起启用；须写明由谁决定。"""
    session = InstallationSession(context.obj)
    try:
        county = read_county(folder, session.installation.home)
    except CountyInvalid as error:
        remedy = f"先运行 hutong county check {folder}。"
        raise CommandError(f"{folder} 有 {len(error.problems)} 处问题，没有启用。", remedy) from error
    session.require_broker()
    try:
        event = put_in_force(session.installation, county, from_.date(), named(by, county))
    except ActivationError as error:
        raise CommandError(f"没有启用：{error}。", "请用 hutong status 看消息服务器是否在运行。", 3) from error
    Console().print(f"{county.name} {county.version} 从 {from_.date()} 起生效（事件 {event}）。")


def named(by: str, county: County) -> str:
    """Return unit, role and id of the person who decides.

    Raises:
        CommandError: the county has no such person.
    """
    unit_id, _, person_id = by.partition("/")
    unit = county.unit(unit_id)
    for person in unit.people if unit is not None else ():
        if person.id == person_id:
            return f"{unit_id}/{person.role}/{person.id}"
    raise CommandError(f"没有启用：县数据里没有 {by} 这个人。", "请写单位和人员编号，例如 341722-mzj/mzj-01。")
