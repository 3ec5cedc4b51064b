"""`hutong act VERB` sends an action of a unit's staff, for units without a system of their own."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from cli.action_fields import identity_fields, iso_day, stated_facts, utc_time
from cli.action_sender import send
from cli.child_reference import ChildReference, child_reference
from contracts.vocabulary import FindingCode, Level, Result, ReturnReason, Verb

app = typer.Typer(no_args_is_help=True)

UnitName = Annotated[str, typer.Option("--unit", help="谁做的：单位编号、简称或全称；学校等小单位经上级报送。")]
Role = Annotated[str, typer.Option("--role", help="以什么角色（县的数据 roles.yaml）。")]
Person = Annotated[str, typer.Option("--person", help="办理人编号。")]
Place = Annotated[str | None, typer.Option("--place", help="学校、卫生院、村委会等，由本单位代为报送时写它的编号。")]
Child = Annotated[
    ChildReference, typer.Option("--child", parser=child_reference, help="儿童编号，例如 4821-0937-5516-P。")
]
MaybeChild = Annotated[
    ChildReference | None, typer.Option("--child", parser=child_reference, help="儿童编号，知道就写。")
]
Referral = Annotated[uuid.UUID, typer.Option("--referral", help="转介编号。")]
Reason = Annotated[str, typer.Option("--note", help="理由。系统只记写明了理由，不保存内容；请在本单位留存。")]
Facts = Annotated[
    list[str] | None, typer.Option("--fact", help="当场核实的事实，名称=值，例如 school_status=enrolled，可写几个。")
]
Restricted = Annotated[bool, typer.Option("--restricted", help="限知事项：由专人的账号办，答复也只到专人那里。")]
Called = Annotated[datetime | None, typer.Option("--at", help="什么时候打的电话（本县时间）。")]
Day = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="哪一天；默认今天。")]


class Means(StrEnum):
    PHONE = "phone"
    IN_PERSON = "in_person"
    LETTER = "letter"
    MESSAGE = "message"


Channel = Annotated[Means, typer.Option("--channel", help="用什么方式。")]


class ContactMode(StrEnum):
    PHONE = "phone"
    IN_PERSON = "in_person"
    MESSAGE = "message"


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    NOT_FOUND = "not_found"
    MOVED = "moved"
    REFUSED = "refused"


def _on_referral(verb: Verb) -> Callable[..., None]:
    """Return the command of a verb that needs a referral and nothing else."""

    def command(
        context: typer.Context,
        unit: UnitName,
        role: Role,
        child: Child,
        referral: Referral,
        person: Person = "",
        restricted: Restricted = False,
    ) -> None:
        send(context, verb, unit, role, child=child, referral=referral, person=person, restricted=restricted)

    return command


def _on_referral_with_reason(verb: Verb) -> Callable[..., None]:
    """Return the command of a verb that needs a referral and a reason."""

    def command(
        context: typer.Context,
        unit: UnitName,
        role: Role,
        child: Child,
        referral: Referral,
        note: Reason,
        person: Person = "",
        restricted: Restricted = False,
    ) -> None:
        send(context, verb, unit, role, child=child, referral=referral, person=person, note=note,
            restricted=restricted)  # fmt: skip

    return command


def _on_proposal(verb: Verb) -> Callable[..., None]:
    """Return the command of a verb that answers a proposal or a review."""

    def command(
        context: typer.Context,
        unit: UnitName,
        role: Role,
        child: Child,
        proposal: Annotated[uuid.UUID, typer.Option(help="建议或疑问的编号。")],
        person: Person = "",
        restricted: Restricted = False,
    ) -> None:
        send(context, verb, unit, role, child=child, proposal=proposal, person=person, restricted=restricted)

    return command


@app.command(Verb.REPORT.value)
def report(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    finding: Annotated[list[FindingCode], typer.Option(help="发现了什么（代码），可写几个。")],
    township: Annotated[str | None, typer.Option(help="在哪个乡镇发现（九位代码）。")] = None,
    child: MaybeChild = None,
    identity: Annotated[
        list[str] | None, typer.Option(help="身份信息，名称=值，可写几个；加密。写 - 从标准输入逐行读。")
    ] = None,
    level: Annotated[Level | None, typer.Option(help="情况比一般的急，就写级别；只会提高，不会降低。")] = None,
    station: Annotated[str | None, typer.Option(help="已经打了电话的，写打给了谁，例如 110。")] = None,
    at: Called = None,
    fact: Facts = None,
    on: Day = None,
    person: Person = "",
    place: Place = None,
    note: Annotated[str, typer.Option(help="情况说明；加密，只给必须办理的人看。")] = "",
    restricted: Restricted = False,
) -> None:
    """报告一名儿童的情况。紧急情况报告（先拨110、120）打完电话再在这里补记。"""
    send(context, Verb.REPORT, unit, role, findings=finding, township=township, child=child,
        identity=identity_fields(identity or []), level=level, station=station, at=utc_time(at),
        facts=stated_facts(fact), on=iso_day(on), person=person, place=place, note=note,
        restricted=restricted)  # fmt: skip


@app.command(Verb.PHONE_REPORT.value)
def phone_report(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    station: Annotated[str, typer.Option(help="打给了谁，例如 110。")],
    reached: Annotated[bool, typer.Option(help="打通了没有。")],
    child: MaybeChild = None,
    referral: Annotated[uuid.UUID | None, typer.Option(help="转介编号；要同时写 --child。")] = None,
    finding: Annotated[uuid.UUID | None, typer.Option(help="报告编号；儿童还没有编号时写它。")] = None,
    at: Called = None,
    person: Person = "",
    place: Place = None,
    restricted: Restricted = False,
) -> None:
    """补记电话报告：写明转介（和儿童），或者写明报告。"""
    send(context, Verb.PHONE_REPORT, unit, role, child=child, referral=referral, finding=finding, station=station,
        reached=reached, at=utc_time(at) or datetime.now(UTC).isoformat(), person=person, place=place,
        restricted=restricted)  # fmt: skip


app.command(Verb.ACCEPT.value, help="签收。")(_on_referral(Verb.ACCEPT))

app.command(Verb.START.value, help="开始办理。")(_on_referral(Verb.START))


@app.command(Verb.RETURN.value)
def give_back(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Referral,
    reason: Annotated[ReturnReason, typer.Option(help="为什么退回。")],
    to_unit: Annotated[str | None, typer.Option(help="不属本辖区时，该由谁办。")] = None,
    person: Person = "",
    restricted: Restricted = False,
) -> None:
    """退回。"""
    send(context, Verb.RETURN, unit, role, child=child, referral=referral, reason=reason, to_unit=to_unit,
        person=person, restricted=restricted)  # fmt: skip


@app.command(Verb.REROUTE.value)
def reroute(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Referral,
    to_unit: Annotated[str, typer.Option(help="改派给谁（单位编号）。")],
    person: Person = "",
    restricted: Restricted = False,
) -> None:
    """改派。"""
    send(context, Verb.REROUTE, unit, role, child=child, referral=referral, to_unit=to_unit, person=person,
        restricted=restricted)  # fmt: skip


@app.command(Verb.EXTEND.value)
def extend(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Referral,
    days: Annotated[int, typer.Option(help="延几个工作日；只能延一次。")],
    note: Reason,
    person: Person = "",
    restricted: Restricted = False,
) -> None:
    """延期。"""
    send(context, Verb.EXTEND, unit, role, child=child, referral=referral, days=days, person=person, note=note,
        restricted=restricted)  # fmt: skip


@app.command(Verb.RESULT.value)
def result(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Referral,
    outcome: Annotated[Result, typer.Option("--result", help="结果（代码）。")],
    person: Person = "",
    restricted: Restricted = False,
) -> None:
    """反馈结果。"""
    send(context, Verb.RESULT, unit, role, child=child, referral=referral, result=outcome, person=person,
        restricted=restricted)  # fmt: skip


app.command(Verb.WITHDRAW.value, help="撤回。")(_on_referral_with_reason(Verb.WITHDRAW))


@app.command(Verb.INFORM_REPORTER.value)
def inform_reporter(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Referral,
    channel: Channel,
    person: Person = "",
    restricted: Restricted = False,
) -> None:
    """把办理结果告知报告人。"""
    send(context, Verb.INFORM_REPORTER, unit, role, child=child, referral=referral, channel=channel, person=person,
        restricted=restricted)  # fmt: skip


@app.command(Verb.CLOSE.value)
def close(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    referral: Annotated[uuid.UUID | None, typer.Option(help="转介编号；不写，就是提请移出台账。")] = None,
    channel: Annotated[Means | None, typer.Option(help="怎样核实的。")] = None,
    person: Person = "",
    note: Reason = "",
    restricted: Restricted = False,
) -> None:
    """办结：有结果、核实过、告知过报告人，才能办结。"""
    send(context, Verb.CLOSE, unit, role, child=child, referral=referral, channel=channel, person=person, note=note,
        restricted=restricted)  # fmt: skip


app.command(Verb.REOPEN.value, help="九十天内重启。")(_on_referral_with_reason(Verb.REOPEN))


@app.command(Verb.CONTACT.value)
def contact(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    reached: Annotated[bool, typer.Option(help="联系上了没有；没联系上不算。")],
    mode: Annotated[ContactMode, typer.Option(help="怎样联系的。")] = ContactMode.PHONE,
    on: Day = None,
    person: Person = "",
    place: Place = None,
    restricted: Restricted = False,
) -> None:
    """每月联系。"""
    send(context, Verb.CONTACT, unit, role, child=child, reached=reached, mode=mode,
        on=iso_day(on), person=person, place=place, restricted=restricted)  # fmt: skip


@app.command(Verb.VISIT.value)
def visit(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    at_residence: Annotated[bool, typer.Option(help="是不是在住处当面；不是不算。")],
    finding: Annotated[list[FindingCode] | None, typer.Option(help="走访时发现了什么。")] = None,
    on: Day = None,
    person: Person = "",
    place: Place = None,
    restricted: Restricted = False,
) -> None:
    """每季走访。"""
    send(context, Verb.VISIT, unit, role, child=child, at_residence=at_residence, findings=finding,
        on=iso_day(on), person=person, place=place, restricted=restricted)  # fmt: skip


@app.command(Verb.VERIFY.value)
def verify(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    outcome: Annotated[Outcome, typer.Option(help="核实的结果。")],
    fact: Facts = None,
    on: Day = None,
    person: Person = "",
    place: Place = None,
    restricted: Restricted = False,
) -> None:
    """当场核实。"""
    send(context, Verb.VERIFY, unit, role, child=child, outcome=outcome, facts=stated_facts(fact), on=iso_day(on),
        person=person, place=place, restricted=restricted)  # fmt: skip


app.command(Verb.CONFIRM.value, help="属实（线索）、同意列入或移出（台账），或者确认两份档案是同一名儿童。")(
    _on_proposal(Verb.CONFIRM)
)

app.command(Verb.DECLINE.value, help="不属实（线索）、不同意（台账），或者判定两份档案不是同一名儿童。")(
    _on_proposal(Verb.DECLINE)
)


@app.command(Verb.MERGE.value)
def merge(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    other: Annotated[uuid.UUID, typer.Option(help="并进来的那一份。")],
    person: Person = "",
) -> None:
    """合并两份档案；随时可以再拆开。"""
    send(context, Verb.MERGE, unit, role, child=child, other=other, person=person)


@app.command(Verb.SPLIT.value)
def split(
    context: typer.Context,
    unit: UnitName,
    role: Role,
    child: Child,
    record: Annotated[
        list[uuid.UUID] | None, typer.Option(help="属于另一名儿童的记录；只写 --other，就是撤销合并。")
    ] = None,
    other: Annotated[uuid.UUID | None, typer.Option(help="那名儿童的档案，已有就写。")] = None,
    person: Person = "",
) -> None:
    """拆分一份档案。"""
    send(context, Verb.SPLIT, unit, role, child=child, records=record, other=other, person=person)
