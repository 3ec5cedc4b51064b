"""`hutong submit` sends a workbook row by row, and writes a copy in which its errors are marked."""

import re
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.error_sheet import write_error_sheet
from cli.session import CommandError, InstallationSession
from client.kafka_client import KafkaClient
from contracts.county import County, Unit
from contracts.intake import PERIOD
from contracts.topics import DEPARTMENT, RECEIPT
from workbooks.error_sheet import is_error_sheet
from workbooks.headers import find_forbidden
from workbooks.reader import Sheet, WorkbookUnreadable, read_workbook

NAMESPACE = UUID("0f5b6c1e-8f0f-5f3a-9a7c-3f2f3d1f7a10")
"""Namespace of submission ids: the same file for the same period is the same submission."""
Coverage = Literal["full", "delta"]
RECEIPT_TIMEOUT = 60.0
"""Seconds to wait for a receipt."""


def submit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="文件", help="工作簿：.xlsx 或 .csv（UTF-8、GB18030）。")],
    unit: Annotated[str, typer.Option(help="哪个单位报的，例如 教体局。")],
    period: Annotated[str, typer.Option(help="报送期，例如 2026H2。")],
    dataset: Annotated[str | None, typer.Option(help="数据集；单位只有一个时不用写。")] = None,
    full: Annotated[bool | None, typer.Option("--full/--delta", help="完整名单，还是只报变化；必须写明。")] = None,
) -> None:
    if not (period.isascii() and re.fullmatch(PERIOD, period)):
        raise CommandError(f"报送期“{period}”写得不对。", "请用半角字符，例如 --period 2026H2（2026年下半年）。", 2)
    session = InstallationSession(context.obj)
    county = session.county()
    sender = session.unit(county, unit)
    chosen = choose_dataset(county, sender, dataset)
    sheet = read_sheet(county, file, chosen)
    coverage = choose_coverage(sheet, full=full)
    forbidden = find_forbidden(sheet.columns, county.forbidden_columns)
    if forbidden:
        raise CommandError(
            f"“{forbidden[0]}”一列属于封存或行为信息，整份文件没有发出。",
            "请删去这一列再报；这类数据除法律规定的查询外，不得提供给任何单位（预防未成年人犯罪法第五十九条）。",
        )
    with session.client(sender.id) as client, Progress(transient=True) as progress:
        answer, problems = send_submission(client, sender.id, chosen, period, sheet, coverage, progress)
    _print(answer, problems)
    if any(problem["row"] is not None for problem in problems):
        marked = file.with_name(f"{file.stem}.错误.xlsx")
        try:
            marked = write_error_sheet(marked, sheet, problems)
        except OSError:
            raise CommandError(
                f"文件已报送，结果见上，但错误写不进 {marked}。", "请关闭正在使用它的程序、确认文件夹可写，再报一次。"
            ) from None
        Console().print(f"错误已标在 {marked}", markup=False, highlight=False, soft_wrap=True)
    if answer["outcome"] == "refused":
        raise CommandError("整份文件没有收。", "原因见上；改好后重新报送。")


def choose_dataset(county: County, unit: Unit, named: str | None) -> str:
    """Return the dataset that a file belongs to.

    Raises:
        CommandError: the unit submits no dataset, or not this one, or several of which none was named.
    """
    own = unit.submits
    names = "、".join(own)
    if not own:
        raise CommandError(f"{unit.name}没有登记的数据集。", "请检查 --unit。")
    if named is None:
        if len(own) > 1:
            raise CommandError(f"{unit.name}有几个数据集：{names}。", "请用 --dataset 指明。", 2)
        return own[0]
    if named not in own:
        raise CommandError(f"{unit.name}没有登记数据集 {named}。", f"可以用：{names}。", 2)
    return named


def choose_coverage(sheet: Sheet, *, full: bool | None) -> Coverage:
    """Return whether a file is a complete list or only changes. ``full``: what the sender states, None if nothing.

    A marked copy holds only the rows that need correction, so it is never a complete list.

    Raises:
        CommandError: the sender states nothing, or states that a marked copy is a complete list.
    """
    if is_error_sheet(sheet):
        if full:
            raise CommandError(
                "这是标出错误的副本，只有需要更正的行，不是完整名单，没有发出。",
                "请改用 --delta，或者在原来的完整表格里改好再用 --full 报送。",
                2,
            )
        return "delta"
    if full is None:
        raise CommandError(
            "没有写明这份文件是完整名单还是只报变化，没有发出。",
            "请加上 --full（完整名单：没有写到的孩子记为本期名单未见）或 --delta（只报变化：没有写到的孩子不变）。",
            2,
        )
    return "full" if full else "delta"


def read_sheet(county: County, file: Path, dataset: str) -> Sheet:
    """Return the file's rows unchanged.

    Raises:
        CommandError: the file cannot be read.
    """
    registered = county.dataset(dataset)
    headers = [name for column in registered.columns for name in column.names] if registered else []
    try:
        return read_workbook(file, headers)
    except WorkbookUnreadable as error:
        raise CommandError(str(error)) from error


def send_submission(
    client: KafkaClient,
    unit: str,
    dataset: str,
    period: str,
    sheet: Sheet,
    coverage: Coverage,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Send a sheet as Begin, rows and End, wait for its receipt, and return the receipt and every problem.

    Raises:
        CommandError: no receipt came within a minute.
    """
    submission = str(
        uuid5(NAMESPACE, f"{unit}/{dataset}/{period}/{sheet.sha256}{'/delta' if coverage == 'delta' else ''}")
    )
    topic = DEPARTMENT.name_for(unit)
    submission_id = UUID(submission)
    task = progress.add_task("发送", total=len(sheet.rows)) if progress else None
    begin = {
        "submission": submission,
        "dataset": dataset,
        "period": period,
        "columns": list(sheet.columns),
        "rows": len(sheet.rows),
        "coverage": coverage,
        "file_sha256": sheet.sha256,
        "date_1904": sheet.date_1904,
    }
    receipt = RECEIPT.name_for(unit)
    for _ in client.read_new(receipt):
        pass  # earlier answers are about other files
    client.send(topic, "department.Begin.v1", submission, begin, ce_id=str(uuid5(submission_id, "begin")))
    for number, cells in sheet.rows:
        body = {"submission": submission, "number": number, "cells": cells}
        client.send(topic, "department.Row.v1", submission, body, ce_id=str(uuid5(submission_id, str(number))))
        if progress and task is not None:
            progress.advance(task)
    end = {"submission": submission, "rows": len(sheet.rows)}
    client.send(topic, "department.End.v1", submission, end, ce_id=str(uuid5(submission_id, "end")))
    client.flush()
    return _receipt(client, receipt, submission)


def _receipt(client: KafkaClient, topic: str, submission: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    problems: list[dict[str, Any]] = []
    seen: set[str] = set()
    deadline = time.monotonic() + RECEIPT_TIMEOUT
    while time.monotonic() < deadline:
        for record in client.read_new(topic):
            if record.ce_id in seen or record.body is None or record.body.get("submission") != submission:
                continue
            seen.add(record.ce_id)
            problems.extend(record.body["problems"])
            if record.kind == "intake.SubmissionAnswered.v1":
                return record.body, problems
    raise CommandError(
        "一分钟内没有等到回执。",
        "文件已发出，不会丢；请用 hutong status 看 intake 是否在运行，稍后再报一次同一文件即可查询。",
    )


def _print(answer: dict[str, Any], problems: list[dict[str, Any]]) -> None:
    outcome = {
        "taken": "已收",
        "refused": "整份拒收",
        "same_again": "与上次相同，没有新内容",
        "older_period": "比已有的旧，留作历史",
    }
    table = Table("结果", "行数", "整行收下", "部分收下（剔除有误单元格）", "拒收", "无变化", "本期名单未见")
    counts = ("rows", "accepted", "accepted_with_drops", "refused", "unchanged", "disappeared")
    table.add_row(outcome[answer["outcome"]], *(str(answer[name]) for name in counts))
    console = Console()
    console.print(table)
    for (message, remedy), times in Counter(
        (problem["message"], problem["remedy"]) for problem in problems
    ).most_common(12):
        console.print(f"  {times} 处：{message}{remedy}", markup=False, highlight=False, soft_wrap=True)
