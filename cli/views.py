"""The commands that show an explanation, a queue, an inbox or the ledger."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import labels
from cli.child_reference import child_numbers
from cli.explain import explain
from cli.session import CommandError, InstallationSession
from contracts.topics import QUEUE, RESTRICTED_QUEUE
from contracts.vocabulary import COUNTY_TIME
from deploy.counties import DEMO_COUNTY

UnitName = Annotated[str, typer.Argument(metavar="单位", help="单位：编号、简称或全称，例如 公安局。")]
Restricted = Annotated[bool, typer.Option("--restricted", help="限知事项（须用专人账号查看）。")]


def explain_facts(
    facts: Annotated[Path, typer.Argument(metavar="事实文件", help="事实文件（YAML），写法见 tests/policy。")],
    on: Annotated[datetime, typer.Option("--on", formats=["%Y-%m-%d"], help="哪一天的答案。")],
    as_json: Annotated[bool, typer.Option("--json", help="给机器读。")] = False,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="列出到这一天为止会变的全部答案。")
    ] = None,
    county: Annotated[Path, typer.Option("--county", help="县的数据文件夹。")] = DEMO_COUNTY,
) -> None:
    text = explain(facts, on.date(), as_json, until.date() if until else None, folder=county)
    print(text, end="" if text.endswith("\n") else "\n")


def queue(context: typer.Context, unit: UnitName, restricted: Restricted = False) -> None:
    session = InstallationSession(context.obj)
    county = session.county()
    owner = session.unit(county, unit)
    family, wanted = (RESTRICTED_QUEUE, "restricted_agency") if restricted else (QUEUE, "agency")
    if wanted not in owner.families:
        raise CommandError(f"{owner.name}没有{'限知事项' if restricted else '转介'}队列。", "用 hutong topics 看谁有。")
    latest: dict[str, dict[str, object]] = {}
    with session.reader() as client:
        for record in client.read_new(family.name_for(owner.id)):
            if record.body is None:
                latest.pop(record.key, None)
            elif record.body["version"] >= int(str(latest.get(record.key, {}).get("version", 0))):
                latest[record.key] = record.body
    print(f"{owner.name}的{'限知事项' if restricted else '转介'}队列")
    assigned = [entry for entry in latest.values() if entry["assigned"]]
    numbers = asyncio.run(child_numbers(session.fetch, (entry["child"] for entry in assigned)))
    for entry in sorted(assigned, key=lambda entry: (str(entry["level"]), str(entry["sent_at"]))):
        call = "　先打电话" if entry["call_first"] and not entry["phone_reported"] else ""
        print(f"{entry['level']}　{labels.state(str(entry['state']))}　{entry['route']} {entry['title']}{call}")
        print(f"    转介 {entry['referral']}　儿童 {numbers.get(str(entry['child']), entry['child'])}")
        print(f"    签收期限 {_moment(entry['accept_by'])}　结果期限 {_moment(entry['result_by'])}")
    print(f"未办 {len(assigned)} 件，已办结 {len(latest) - len(assigned)} 件。")


def inbox(
    context: typer.Context,
    unit: UnitName,
    restricted: Restricted = False,
    last: Annotated[int, typer.Option(help="最近多少条。")] = 40,
) -> None:
    session = InstallationSession(context.obj)
    owner = session.unit(session.county(), unit)
    rows = asyncio.run(
        session.fetch(
            "SELECT on_day, urgency, text, subject, child FROM notify.inbox WHERE unit = $1 AND restricted = $2"
            " ORDER BY position DESC LIMIT $3",
            owner.id,
            restricted,
            last,
        )
    )
    numbers = asyncio.run(child_numbers(session.fetch, (row["child"] for row in rows if row["child"])))
    print(f"{owner.name}的{'限知事项' if restricted else ''}收件箱")
    for row in reversed(rows):
        ids = [f"事项 {row['subject']}"] if row["subject"] else []
        ids += [f"儿童 {numbers.get(str(row['child']), row['child'])}"] if row["child"] else []
        print(f"{row['on_day']}　{labels.code(row['urgency'])}　{row['text']}")
        if ids:
            print(f"    {'　'.join(ids)}")
    print(f"最近 {len(rows)} 条。" if rows else "没有通知。")


def ledger(
    context: typer.Context,
    township: Annotated[str | None, typer.Option(help="只看一个乡镇（九位代码或名称）。")] = None,
) -> None:
    session = InstallationSession(context.obj)
    county = session.county()
    code = next((town.code for town in county.townships if township in (town.code, town.name)), None)
    if township is not None and code is None:
        raise CommandError(
            f"没有“{township}”这个乡镇。", f"可以用：{'、'.join(town.name for town in county.townships)}。"
        )
    rows = asyncio.run(
        session.fetch(
            "SELECT l.child, l.open, l.reasons, l.unit, l.opened_on, l.last_contact_on, l.last_visit_on,"
            " count(d.id) FILTER (WHERE d.state = 'missed') AS missed"
            " FROM referral.ledger_entry l LEFT JOIN referral.duty d ON d.child = l.child"
            " WHERE $1::text IS NULL OR l.township = $1"
            " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY l.opened_on, l.child",
            code,
        )
    )
    numbers = asyncio.run(child_numbers(session.fetch, (row["child"] for row in rows)))
    print("重点关爱服务对象信息台账")
    for row in rows:
        state = f"{row['opened_on']} 列入台账" + ("" if row["open"] else "，已移出")
        print(f"{labels.unit(row['unit'], county)}　{labels.ledger(row['reasons'])}　{state}")
        print(f"    儿童 {numbers.get(str(row['child']), row['child'])}")
        contact, visit = row["last_contact_on"] or "还没有", row["last_visit_on"] or "还没有"
        print(f"    最近联系 {contact}　最近走访 {visit}　逾期未做 {row['missed']} 次")
    print(f"在册 {sum(row['open'] for row in rows)} 名。")


def _moment(value: object) -> str:
    if value is None:
        return "–"
    return f"{datetime.fromisoformat(str(value)).astimezone(COUNTY_TIME):%Y-%m-%d %H:%M}"
