"""Runs the demo: four months of one invented county, from the first file to the closed referral, then the check."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import submit, trace
from cli.error_sheet import write_error_sheet
from client.kafka_client import KafkaClient
from contracts.county import County
from contracts.topics import INTAKE_RECORD
from demo import report
from demo.actors import department
from demo.actors.agency import AgencySystem
from demo.actors.county_staff import CountyPeople, Unit
from demo.checks import privacy
from demo.checks.outcome import Check, Outcome, check, files_of, read_topics, read_truth, whose
from demo.data import files, population, submissions
from demo.model import Demo, DemoError, Kill, Options
from deploy import acl_check
from deploy.clock import Clock, Simulator
from deploy.counties import DEMO_COUNTY
from deploy.embedded.stack import LocalStack
from deploy.files import private_folder
from deploy.install import Servers, activate, install, read_county
from deploy.installation import ADMIN
from deploy.provision import OPERATOR_ROLE, compare, county_topics, wanted
from deploy.quiescence import State, Watch
from deploy.supervisor import Supervisor, programs

PARTITIONS = 4
FIRST_DAY = date(2026, 9, 1)
KILLED = "registry"
"""The service that is killed while the largest workbook is on its way."""
AGENCIES = {"gaj": "police_officer", "jtj": "agency_officer", "wjw": "agency_officer", "mzj": "county_civil_affairs"}
"""Agencies with a system of their own in the demo, and the role in which it answers."""


async def run(options: Options, console: Console) -> int:
    """Run the demo; the exit code: 0 when every check holds."""
    began = time.monotonic()
    home = options.home.resolve()
    private_folder(home, 0o711)
    _clear(home)
    stack = LocalStack(home / "stack", postgres_port=0)
    supervisor: Supervisor | None = None
    database: asyncpg.Connection[asyncpg.Record] | None = None
    demo: Demo | None = None
    try:
        with console.status("starting Kafka and PostgreSQL, inventing a county"):
            county, (folder, truth) = await _start(stack, options, home)
        where = f"{stack.kafka.bootstrap} and 127.0.0.1:{stack.postgres.port}"
        console.print(f"[green]✓[/] Kafka and PostgreSQL run on {where} ({time.monotonic() - began:.1f} s)")
        with console.status("making topics, users, access lists, schemas"):
            installation = await install(Servers.of(stack.state()), home, county, PARTITIONS)
            activate(installation, county, FIRST_DAY, "county_civil_affairs of 341722-mzj (demo)")
        told: list[str] = []
        supervisor = Supervisor(programs(installation, with_clock=False), told.append)
        await supervisor.start()
        database = await asyncpg.connect(installation.dsn(OPERATOR_ROLE))
        admin = AdminClient(installation.kafka(ADMIN))
        demo = Demo(
            options,
            console,
            stack,
            county,
            truth,
            folder,
            installation,
            supervisor,
            Watch(admin, database, county),
            database,
            Simulator(Clock(installation.kafka("clock"), county.code)),
            told=told,
        )
        _people(demo)
        with console.status("starting five services"):
            await _settle(demo, None)
        topics = len(list(county_topics(county)))
        console.print(f"[green]✓[/] {topics} topics, {len(installation.users)} users with passwords and access lists, "
                      f"five services under a supervisor ({time.monotonic() - began:.1f} s)")  # fmt: skip
        demo.first_record_at = time.monotonic() - began
        tried = asyncio.create_task(asyncio.to_thread(_tried, demo))
        job = time.monotonic()
        await _days(demo)
        seconds = time.monotonic() - job
        code = await _conclude(demo, await tried, seconds)
        if options.keep:
            console.print(f"Everything keeps running; look with `hutong --home {home} status`. Ctrl-C ends it.")
            with contextlib.suppress(asyncio.CancelledError):  # being told to end is how it ends
                await supervisor.wait()
        return code
    finally:
        if demo is not None:
            demo.ending.set()
        if database is not None:
            await asyncio.shield(database.close())
        if supervisor is not None:
            await asyncio.shield(supervisor.stop())
        await asyncio.shield(asyncio.to_thread(stack.stop))


def _clear(home: Path) -> None:
    """The demo begins with nothing, so that the same seed meets the same state."""
    for name in ("stack", "run", "logs", "secrets", "agencies", "truth", "installation.json"):
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


async def _start(stack: LocalStack, options: Options, home: Path) -> tuple[County, tuple[Path, dict[str, Any]]]:
    """Start the servers and invent the county side by side."""
    starting = asyncio.create_task(asyncio.to_thread(stack.start))
    try:
        county = await asyncio.to_thread(read_county, DEMO_COUNTY, home)
        invented = await asyncio.to_thread(_invent, county, options, home / "truth")
        await asyncio.shield(starting)
    except BaseException:
        # Stopped while it starts: what a thread has begun is ended before anything else is.
        await asyncio.gather(starting, return_exceptions=True)
        raise
    return county, invented


def _invent(county: County, options: Options, folder: Path) -> tuple[Path, dict[str, Any]]:
    made = population.make(county, options.children, options.seed, FIRST_DAY, options.days)
    path = files.write(folder, made, submissions.make(county, made))
    return folder, read_truth(path)


def _people(demo: Demo) -> None:
    """Everybody who acts: four agencies with systems of their own, and the people of the other units."""
    units = {unit.id: unit for unit in demo.county.units if unit.parent is None}

    def users(unit: str) -> dict[bool, str]:
        return {False: unit} | ({True: f"{unit}-restricted"} if units[unit].receives_restricted else {})

    def clients(unit: str) -> dict[bool, KafkaClient]:
        return {
            restricted: KafkaClient(demo.installation.kafka(user), user) for restricted, user in users(unit).items()
        }

    for short, role in AGENCIES.items():
        unit = f"{demo.county.code}-{short}"
        keys = {
            restricted: json.loads(demo.installation.agency_key_file(user).read_text())
            for restricted, user in users(unit).items()
        }
        demo.agencies.append(AgencySystem(unit, role, clients(unit), keys, returns=1 if short == "gaj" else 0))
    people = [
        Unit(f"{demo.county.code}-{short}", clients(f"{demo.county.code}-{short}"), role)
        for short, role in (("mzj", "county_civil_affairs"), ("jtj", "agency_officer"), ("wjw", "agency_officer"))
    ]
    for township in demo.county.townships:
        if township.unit not in {unit.id for unit in people}:
            people.append(Unit(township.unit, clients(township.unit), "township_civil_affairs", "child_director"))
    children = {child["key"]: child for child in demo.truth["children"]}
    demo.people = CountyPeople(
        people, demo.truth["planted"], children, _papers(demo), _by_person(demo), demo.county.lead_unit
    )


def _by_person(demo: Demo) -> Callable[[str], bool]:
    """Whether a referral came from somebody's report: who sent it knows."""
    loop = asyncio.get_running_loop()
    query = "SELECT cardinality(sources) > 0 FROM referral.referral WHERE id = $1"

    def known(referral: str) -> bool:
        asked = asyncio.run_coroutine_threadsafe(demo.database.fetchval(query, UUID(referral)), loop)
        return bool(asked.result(60))

    return known


def _papers(demo: Demo) -> Callable[[str], bool | None]:
    """How a person decides a match question in the demo: by looking at the papers, which here are the truth."""
    known: dict[str, bool] = {}

    def same(question: str) -> bool | None:
        if question not in known:
            known.update(asyncio.run_coroutine_threadsafe(_same_children(demo), loop).result(60))
        return known.get(question)

    loop = asyncio.get_running_loop()
    return same


async def _same_children(demo: Demo) -> dict[str, bool]:
    rows = await demo.database.fetch("SELECT question_id, child_id, other_id FROM registry.question")
    records = await report.records_of(demo.database)
    outcome = await asyncio.to_thread(_read, demo, ("department.", "intake.record.v1"), records)
    persons = whose(outcome)
    inside: dict[str, set[str]] = {}
    for record, child in records.items():
        if record in persons:
            inside.setdefault(child, set()).add(persons[record][0])
    return {
        str(row["question_id"]): len(one) == 1 and one == other
        for row in rows
        if (one := inside.get(str(row["child_id"]), set())) and (other := inside.get(str(row["other_id"]), set()))
    }


# ---------------------------------------------------------------- the days


async def _days(demo: Demo) -> None:
    """Every day: it begins, files and reports come in, agencies and people work, the rest of the day passes."""
    due: dict[str, list[dict[str, Any]]] = {}
    for handed in demo.truth["handovers"]:
        due.setdefault(handed["day"], []).append(handed)
    assert demo.people is not None
    with Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} days"),
        TimeElapsedColumn(),
        console=demo.console,
        transient=True,
    ) as progress:
        task = progress.add_task("days", total=demo.options.days)
        for number in range(demo.options.days):
            today = FIRST_DAY + timedelta(days=number)
            progress.update(task, description=today.isoformat(), advance=1)
            await asyncio.to_thread(demo.simulator.begin, today)
            await _morning(demo, number, today, due.get(today.isoformat(), []))
            await asyncio.to_thread(demo.simulator.go_on)
            demo.settled = await _settle(demo, today)


async def _morning(demo: Demo, number: int, today: date, handed: list[dict[str, Any]]) -> None:
    """Files and reports of the day, then everybody reads what is new and answers."""
    assert demo.people is not None
    reported = any(one["day"] == today.isoformat() for one in demo.truth["planted"])
    if handed or reported:
        await demo.watch.turned("intake", today)
    for one in handed:
        await _hand_over(demo, one)
    if reported:
        await asyncio.to_thread(demo.people.report, today)
        await _settle(demo, today)
        found = await asyncio.to_thread(_findings, demo)
        at = f"{today.isoformat()}T01:00:00+08:00"
        if await asyncio.to_thread(demo.people.phone, found, today, at):
            await _settle(demo, today)
    grown = await _grown(demo)
    worked = 0
    for agency in demo.agencies:
        worked += await asyncio.to_thread(agency.work, number, grown)
    worked += await asyncio.to_thread(demo.people.work, number, today, grown)
    if worked and reported:
        # Signed for within the hour: the rest of the day does not begin before that is heard.
        await _settle(demo, today)


async def _grown(demo: Demo) -> set[str]:
    """The queues, disclosures and inboxes that have grown since they were last read."""
    assert demo.people is not None
    names = {topic for agency in demo.agencies for topic in agency.topics()}
    names |= {topic for unit in demo.people.units.values() for topic in unit.topics()}
    ends = await asyncio.to_thread(demo.watch.ends_of, sorted(names))
    grown = {topic for (topic, partition), end in ends.items() if end != demo.inboxes_at.get((topic, partition), 0)}
    demo.inboxes_at = ends
    return grown


def _findings(demo: Demo) -> dict[str, str]:
    """Report -> finding, from the receipts of the units that report."""
    assert demo.people is not None
    found: dict[str, str] = {}
    for unit in {one["unit"] for one in demo.truth["planted"]}:
        found |= demo.people.units[unit].findings()
    return found


async def _hand_over(demo: Demo, handed: dict[str, Any]) -> None:
    """A workbook goes the way of ``hutong submit``; anything else by a plain client that knows nothing of Hutong."""
    kill = demo.kill is None and handed["dataset"] == "school" and handed["expect"] == "taken"
    if handed["way"] == "workbook":
        sending = asyncio.create_task(asyncio.to_thread(_submit, demo, handed))
    else:
        sending = asyncio.create_task(asyncio.to_thread(_send, demo, handed))
    if kill:
        await _kill(demo, handed)
    await sending
    if demo.kill is not None and not demo.kill.seconds:
        began = time.monotonic()
        await _settle(demo, None)
        demo.kill.seconds = time.monotonic() - began


async def _kill(demo: Demo, handed: dict[str, Any]) -> None:
    """Kills one service with -9 as soon as this file has begun to reach it."""
    before = await asyncio.to_thread(demo.watch.ends_of, [INTAKE_RECORD.name])
    ends = before
    while ends == before:
        ends = await asyncio.to_thread(demo.watch.ends_of, [INTAKE_RECORD.name])
    process = demo.supervisor.process_id(KILLED)
    if process is None:
        raise DemoError(f"{KILLED} was not running when it was to be killed")
    os.kill(process, signal.SIGKILL)
    demo.kill = Kill(KILLED, process, len(handed["rows"]))


def _submit(demo: Demo, handed: dict[str, Any]) -> None:
    """What ``hutong submit`` does, without its tables."""
    unit, dataset, path = handed["unit"], handed["dataset"], demo.folder / handed["file"]
    sheet = submit.read_sheet(demo.county, path, dataset)
    client = KafkaClient(demo.installation.kafka(unit), unit)
    try:
        answer, troubles = submit.send_submission(client, unit, dataset, handed["period"], sheet, "full")
    finally:
        client.close()
    if troubles and answer["outcome"] == "taken":
        write_error_sheet(path.with_name(f"{path.stem}.errors.xlsx"), sheet, troubles)
    demo.sent[handed["submission"]] = answer["submission"]


def _send(demo: Demo, handed: dict[str, Any]) -> None:
    client = KafkaClient(demo.installation.kafka(handed["unit"]), handed["unit"])
    try:
        department.hand_over(client, handed)
    finally:
        client.close()
    demo.sent[handed["submission"]] = handed["submission"]


async def _settle(demo: Demo, day: date | None) -> State:
    demo.supervisor.check()
    state = await demo.watch.settled(day)
    demo.supervisor.check()
    stuck = {service: number for service, number in state.parked.items() if number}
    dead = {service: number for service, number in state.dead.items() if number}
    if stuck or dead:
        raise DemoError(f"events could not be processed: parked {stuck}, not readable {dead}; see `hutong parked`")
    return state


# ---------------------------------------------------------------- what came of it


def _tried(demo: Demo) -> list[acl_check.Attempt]:
    unit, other = f"{demo.county.code}-jtj", f"{demo.county.code}-gaj"
    return list(acl_check.attempts(demo.installation, demo.county, unit, other, demo.ending))


def _read(demo: Demo, prefixes: tuple[str, ...], records: dict[str, str]) -> Outcome:
    names = [topic.name for topic in county_topics(demo.county) if topic.name.startswith(prefixes)]
    client = KafkaClient(demo.installation.kafka(ADMIN), "checker")
    try:
        topics = read_topics(client, names)
    finally:
        client.close()
    last = (FIRST_DAY + timedelta(days=demo.options.days - 1)).isoformat()
    return Outcome(demo.truth, topics, records, demo.sent, last)


async def _conclude(demo: Demo, tried: list[acl_check.Attempt], seconds: float) -> int:
    """Show what happened, then check it."""
    records = await report.records_of(demo.database)
    with demo.console.status("reading every topic"):
        outcome = await asyncio.to_thread(_read, demo, ("",), records)
    await report.everything(demo, outcome, seconds)
    await _story(demo, outcome)
    with demo.console.status("checking"):
        checks = await asyncio.to_thread(check, outcome)
        checks.append(await asyncio.to_thread(_lists, demo, tried))
        checks.append(await _private(demo, outcome))
    report.checks(demo.console, checks)
    wrong = [one for one in checks if not one.right]
    if wrong:
        demo.console.print(f"[red]The demo failed: it is not so that {wrong[0].what} ({wrong[0].wrong[0]}).[/]")
        return 1
    return 0


async def _story(demo: Demo, outcome: Outcome) -> None:
    """One child's way from the row in the workbook to the closed referral, as `hutong trace` tells it."""
    persons = whose(outcome)
    files = files_of(outcome, persons)
    chosen = next((gap for gap in demo.truth["gaps"] if gap["code"] == "out_of_school"), demo.truth["gaps"][0])
    child = next(iter(files.get(chosen["child"], ())), None)
    if child is None:
        raise DemoError("the child whose way was to be told is on no file")
    records = {record for record, held in outcome.record_child.items() if held == child}

    def collect() -> trace.CaseHistory:
        client = KafkaClient(demo.installation.kafka(ADMIN), "trace")
        try:
            return trace.read_history(client, demo.county, UUID(child), records)
        finally:
            client.close()

    story = await asyncio.to_thread(collect)
    row = next(
        (
            (one, row)
            for one in demo.truth["handovers"]
            for row in one["rows"]
            if one["dataset"] == "school" and one["expect"] == "taken" and row["child"] == chosen["child"]
        ),
        None,
    )
    demo.console.rule("One child's way (hutong trace): from the row in the workbook to the closed referral")
    if row is not None:
        name = Path(row[0]["file"]).name
        demo.console.print(f"It began in row {row[1]['number']} of {name}: a child who has left school.")
    for line in trace.render(story, demo.county):
        demo.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lists(demo: Demo, tried: list[acl_check.Attempt]) -> Check:
    want = wanted(demo.county, PARTITIONS)
    found = compare(AdminClient(demo.installation.kafka(ADMIN)), want)
    wrong = [f"{attempt.what}: {attempt.happened}" for attempt in tried if not attempt.right]
    if found:
        wrong.insert(0, f"the broker's lists differ from the contracts: {found}")
    return Check(
        "the broker's access lists are those of the contracts, and live attempts behave so",
        len(want.grants) + len(tried),
        tuple(wrong),
    )


async def _private(demo: Demo, outcome: Outcome) -> Check:
    people = privacy.People.of(demo.truth)
    leaks = await asyncio.to_thread(lambda: list(privacy.in_topics(people, outcome.topics)))
    database = await asyncpg.connect(demo.installation.postgres_admin, database="hutong")
    try:
        leaks += await privacy.in_tables(people, database)
    finally:
        await database.close()
    logs = [*demo.installation.logs.glob("*.log"), demo.stack.kafka.log, demo.stack.postgres.log]
    leaks += await asyncio.to_thread(lambda: list(privacy.in_logs(people, [log for log in logs if log.exists()])))
    return Check(
        "no name, ID number or telephone stands in any other topic, any table or any log",
        sum(map(len, outcome.topics.values())),
        tuple(f"{leak.kind} in {leak.place}" for leak in leaks),
    )
