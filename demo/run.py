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
from demo.actors.county_staff import CountyStaff, UnitStaff
from demo.checks import privacy
from demo.checks.linkage import files_of, persons_by_record
from demo.checks.outcome import Check, Outcome, read_topics, read_truth
from demo.checks.suite import check
from demo.data import files, population, submissions
from demo.model import DemoError, DemoRun, KilledService, Options
from deploy import acl_check
from deploy.clock import Clock, Simulator
from deploy.counties import DEMO_COUNTY
from deploy.embedded.stack import LocalStack
from deploy.files import private_folder
from deploy.install import Servers, activate, preload, prepare, provision, read_county
from deploy.installation import ADMIN
from deploy.provision import OPERATOR_ROLE, broker_spec, compare, county_topics
from deploy.quiescence import QuiescenceMonitor, SystemState
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
    # The next run discards its data, so it need not survive a power cut.
    stack = LocalStack(home / "stack", postgres_port=0, durable=False)
    supervisor: Supervisor | None = None
    database: asyncpg.Connection[asyncpg.Record] | None = None
    demo: DemoRun | None = None
    try:
        with console.status("starting Kafka and PostgreSQL, inventing a county"):
            county, (folder, truth) = await _start(stack, options, home)
        where = f"{stack.kafka.bootstrap} and 127.0.0.1:{stack.postgres.port}"
        console.print(f"[green]✓[/] Kafka and PostgreSQL run on {where} ({time.monotonic() - began:.1f} s)")
        supervisor_log: list[str] = []
        with console.status("making topics, users, access lists, schemas"):
            installation = prepare(Servers.from_state(stack.state()), home, county, PARTITIONS)
            supervisor = Supervisor(programs(installation, with_clock=False), supervisor_log.append, held=True)
            await supervisor.start()
            await provision(installation, county)
            activate(installation, county, FIRST_DAY, "county_civil_affairs of 341722-mzj (demo)")
            supervisor.release()
        database = await asyncpg.connect(installation.dsn(OPERATOR_ROLE))
        admin = AdminClient(installation.kafka(ADMIN))
        demo = DemoRun(
            options,
            console,
            stack,
            county,
            truth,
            folder,
            installation,
            supervisor,
            QuiescenceMonitor(admin, database, county),
            database,
            Simulator(Clock(installation.kafka("clock"), county.code)),
            supervisor_log=supervisor_log,
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
            with contextlib.suppress(asyncio.CancelledError):  # a cancelled demo has ended as it should
                await supervisor.wait()
        return code
    finally:
        if demo is not None:
            demo.cancelled.set()
        if database is not None:
            await asyncio.shield(database.close())
        if supervisor is not None:
            await asyncio.shield(supervisor.stop())
        await asyncio.shield(asyncio.to_thread(stack.stop))


def _clear(home: Path) -> None:
    """Remove the state of an earlier run, so that the same seed gives the same result."""
    for name in ("stack", "run", "logs", "secrets", "agencies", "truth", "installation.json"):
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


async def _start(stack: LocalStack, options: Options, home: Path) -> tuple[County, tuple[Path, dict[str, Any]]]:
    """Start the servers and generate the county concurrently."""
    starting = asyncio.create_task(asyncio.to_thread(stack.start))
    try:
        county = await asyncio.to_thread(read_county, DEMO_COUNTY, home)
        invented = await asyncio.to_thread(_invent, county, options, home / "truth")
        await asyncio.to_thread(preload)
        await asyncio.shield(starting)
    except BaseException:
        # If the start is interrupted, wait for the thread that starts the servers before they are stopped.
        await asyncio.gather(starting, return_exceptions=True)
        raise
    return county, invented


def _invent(county: County, options: Options, folder: Path) -> tuple[Path, dict[str, Any]]:
    made = population.generate(county, options.children, options.seed, FIRST_DAY, options.days)
    path = files.write(folder, made, submissions.generate(county, made))
    return folder, read_truth(path)


def _people(demo: DemoRun) -> None:
    """Create the actors: four agencies with systems of their own and the staff of the other units."""
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
        UnitStaff(f"{demo.county.code}-{short}", clients(f"{demo.county.code}-{short}"), role)
        for short, role in (("mzj", "county_civil_affairs"), ("jtj", "agency_officer"), ("wjw", "agency_officer"))
    ]
    for township in demo.county.townships:
        if township.unit not in {unit.id for unit in people}:
            people.append(UnitStaff(township.unit, clients(township.unit), "township_civil_affairs", "child_director"))
    children = {child["key"]: child for child in demo.truth["children"]}
    demo.staff = CountyStaff(
        people, demo.truth["planted_findings"], children, _papers(demo), _by_person(demo), demo.county.lead_unit
    )


def _by_person(demo: DemoRun) -> Callable[[str], bool]:
    """Return a function that decides whether a referral came from a person's report, which its sender knows."""
    loop = asyncio.get_running_loop()
    query = "SELECT cardinality(sources) > 0 FROM referral.referral WHERE id = $1"

    def was_reported(referral: str) -> bool:
        asked = asyncio.run_coroutine_threadsafe(demo.database.fetchval(query, UUID(referral)), loop)
        return bool(asked.result(60))

    return was_reported


def _papers(demo: DemoRun) -> Callable[[str], bool | None]:
    """Return a function that resolves a match review from the papers, which in the demo are the ground truth."""
    same_by_review: dict[str, bool] = {}

    def same(question: str) -> bool | None:
        if question not in same_by_review:
            same_by_review.update(asyncio.run_coroutine_threadsafe(_same_children(demo), loop).result(60))
        return same_by_review.get(question)

    loop = asyncio.get_running_loop()
    return same


async def _same_children(demo: DemoRun) -> dict[str, bool]:
    rows = await demo.database.fetch("SELECT review_id, child_id, other_id FROM registry.review")
    records = await report.children_by_record(demo.database)
    outcome = await asyncio.to_thread(_read, demo, ("department.", "intake.record.v1"), records)
    persons = persons_by_record(outcome)
    inside: dict[str, set[str]] = {}
    for record, child in records.items():
        if record in persons:
            inside.setdefault(child, set()).add(persons[record][0])
    return {
        str(row["review_id"]): len(first) == 1 and first == second
        for row in rows
        if (first := inside.get(str(row["child_id"]), set())) and (second := inside.get(str(row["other_id"]), set()))
    }


# ---------------------------------------------------------------- the days


async def _days(demo: DemoRun) -> None:
    """Run every day: it begins, submissions and reports arrive, agencies and staff work, the day ends."""
    due: dict[str, list[dict[str, Any]]] = {}
    for submission in demo.truth["submissions"]:
        due.setdefault(submission["day"], []).append(submission)
    assert demo.staff is not None
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
            await asyncio.to_thread(demo.simulator.begin_day, today)
            await _morning(demo, number, today, due.get(today.isoformat(), []))
            await asyncio.to_thread(demo.simulator.finish_day)
            demo.final_state = await _settle(demo, today)


async def _morning(demo: DemoRun, number: int, today: date, submissions: list[dict[str, Any]]) -> None:
    """Deliver the day's submissions and reports, then let every actor read and answer."""
    assert demo.staff is not None
    reported = any(planted["day"] == today.isoformat() for planted in demo.truth["planted_findings"])
    if submissions or reported:
        await demo.monitor.wait_for_day("intake", today)
    for submission in submissions:
        await _deliver(demo, submission)
    if reported:
        await asyncio.to_thread(demo.staff.report_findings, today)
        await _settle(demo, today)
        findings = await asyncio.to_thread(_findings, demo)
        at = f"{today.isoformat()}T01:00:00+08:00"
        if await asyncio.to_thread(demo.staff.record_phone_reports, findings, today, at):
            await _settle(demo, today)
    grown = await _grown(demo)
    worked = 0
    for agency in demo.agencies:
        worked += await asyncio.to_thread(agency.work, number, grown)
    worked += await asyncio.to_thread(demo.staff.work, number, today, grown)
    if worked and reported:
        # Referrals are accepted within the hour: the day goes on only after the services have processed that.
        await _settle(demo, today)


async def _grown(demo: DemoRun) -> set[str]:
    """Return the queue, disclosure and inbox topics that have new events since the last call."""
    assert demo.staff is not None
    names = {topic for agency in demo.agencies for topic in agency.topics()}
    names |= {topic for unit in demo.staff.units.values() for topic in unit.topics()}
    ends = await asyncio.to_thread(demo.monitor.end_offsets_of, sorted(names))
    grown = {topic for (topic, partition), end in ends.items() if end != demo.inboxes_at.get((topic, partition), 0)}
    demo.inboxes_at = ends
    return grown


def _findings(demo: DemoRun) -> dict[str, str]:
    """Return finding ids by report id, from the receipts of the reporting units."""
    assert demo.staff is not None
    findings: dict[str, str] = {}
    for unit in {planted["unit"] for planted in demo.truth["planted_findings"]}:
        findings |= demo.staff.units[unit].findings()
    return findings


async def _deliver(demo: DemoRun, submission: dict[str, Any]) -> None:
    """Send a workbook as ``hutong submit`` does, and anything else by a plain Kafka client."""
    kill = demo.kill is None and submission["dataset"] == "school" and submission["expect"] == "taken"
    if submission["channel"] == "workbook":
        sending = asyncio.create_task(asyncio.to_thread(_submit, demo, submission))
    else:
        sending = asyncio.create_task(asyncio.to_thread(_send, demo, submission))
    if kill:
        await _kill(demo, submission)
    await sending
    if demo.kill is not None and not demo.kill.recovery_seconds:
        began = time.monotonic()
        await _settle(demo, None)
        demo.kill.recovery_seconds = time.monotonic() - began


async def _kill(demo: DemoRun, submission: dict[str, Any]) -> None:
    """Kill one service with SIGKILL as soon as the first records of this file have reached it."""
    before = await asyncio.to_thread(demo.monitor.end_offsets_of, [INTAKE_RECORD.name])
    ends = before
    while ends == before:
        ends = await asyncio.to_thread(demo.monitor.end_offsets_of, [INTAKE_RECORD.name])
    process = demo.supervisor.process_id(KILLED)
    if process is None:
        raise DemoError(f"{KILLED} was not running when it was to be killed")
    os.kill(process, signal.SIGKILL)
    demo.kill = KilledService(KILLED, process, len(submission["rows"]))


def _submit(demo: DemoRun, submission: dict[str, Any]) -> None:
    """Submit a workbook as ``hutong submit`` does, without its output."""
    unit, dataset, path = submission["unit"], submission["dataset"], demo.folder / submission["file"]
    sheet = submit.read_sheet(demo.county, path, dataset)
    client = KafkaClient(demo.installation.kafka(unit), unit)
    try:
        answer, problems = submit.send_submission(client, unit, dataset, submission["period"], sheet, "full")
    finally:
        client.close()
    if problems and answer["outcome"] == "taken":
        write_error_sheet(path.with_name(f"{path.stem}.errors.xlsx"), sheet, problems)
    demo.sent[submission["submission"]] = answer["submission"]


def _send(demo: DemoRun, submission: dict[str, Any]) -> None:
    client = KafkaClient(demo.installation.kafka(submission["unit"]), submission["unit"])
    try:
        department.submit(client, submission)
    finally:
        client.close()
    demo.sent[submission["submission"]] = submission["submission"]


async def _settle(demo: DemoRun, day: date | None) -> SystemState:
    demo.supervisor.check()
    state = await demo.monitor.wait_until_idle(day)
    demo.supervisor.check()
    stuck = {service: number for service, number in state.parked.items() if number}
    dead = {service: number for service, number in state.dead_letters.items() if number}
    if stuck or dead:
        raise DemoError(f"events could not be processed: parked {stuck}, not readable {dead}; see `hutong parked`")
    return state


# ---------------------------------------------------------------- the results


def _tried(demo: DemoRun) -> list[acl_check.Attempt]:
    unit, other = f"{demo.county.code}-jtj", f"{demo.county.code}-gaj"
    return list(acl_check.attempts(demo.installation, demo.county, unit, other, demo.cancelled))


def _read(demo: DemoRun, prefixes: tuple[str, ...], records: dict[str, str]) -> Outcome:
    names = [topic.name for topic in county_topics(demo.county) if topic.name.startswith(prefixes)]
    client = KafkaClient(demo.installation.kafka(ADMIN), "checker")
    try:
        topics = read_topics(client, names)
    finally:
        client.close()
    last = (FIRST_DAY + timedelta(days=demo.options.days - 1)).isoformat()
    return Outcome(demo.truth, topics, records, demo.sent, last)


async def _conclude(demo: DemoRun, tried: list[acl_check.Attempt], seconds: float) -> int:
    """Print the report, then run and print the checks."""
    records = await report.children_by_record(demo.database)
    with demo.console.status("reading every topic"):
        outcome = await asyncio.to_thread(_read, demo, ("",), records)
    await report.print_report(demo, outcome, seconds)
    await _story(demo, outcome)
    with demo.console.status("checking"):
        checks = await asyncio.to_thread(check, outcome)
        checks.append(await asyncio.to_thread(_lists, demo, tried))
        checks.append(await _private(demo, outcome))
    report.print_checks(demo.console, checks)
    wrong = [check for check in checks if not check.passed]
    if wrong:
        demo.console.print(f"[red]The demo failed the check that {wrong[0].statement} ({wrong[0].failures[0]}).[/]")
        return 1
    return 0


async def _story(demo: DemoRun, outcome: Outcome) -> None:
    """Print one child's history from the row in the workbook to the closed referral, as `hutong trace` does."""
    persons = persons_by_record(outcome)
    files = files_of(outcome, persons)
    chosen = next(
        (gap for gap in demo.truth["service_gaps"] if gap["code"] == "out_of_school"), demo.truth["service_gaps"][0]
    )
    child = next(iter(files.get(chosen["child"], ())), None)
    if child is None:
        raise DemoError("the child whose history was to be printed has no file")
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
            (submission, row)
            for submission in demo.truth["submissions"]
            for row in submission["rows"]
            if submission["dataset"] == "school" and submission["expect"] == "taken" and row["child"] == chosen["child"]
        ),
        None,
    )
    demo.console.rule("One child's history (hutong trace): from the row in the workbook to the closed referral")
    if row is not None:
        name = Path(row[0]["file"]).name
        demo.console.print(f"It began in row {row[1]['number']} of {name}: a child who has left school.")
    for line in trace.render(story, demo.county):
        demo.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lists(demo: DemoRun, tried: list[acl_check.Attempt]) -> Check:
    want = broker_spec(demo.county, PARTITIONS)
    differences = compare(AdminClient(demo.installation.kafka(ADMIN)), want)
    wrong = [f"{attempt.description}: {attempt.result}" for attempt in tried if not attempt.as_expected]
    if differences:
        wrong.insert(0, f"the broker's lists differ from the contracts: {differences}")
    return Check(
        "the broker's access lists are those of the contracts, and live attempts behave so",
        len(want.grants) + len(tried),
        tuple(wrong),
    )


async def _private(demo: DemoRun, outcome: Outcome) -> Check:
    people = privacy.Identities.from_truth(demo.truth)
    leaks = await asyncio.to_thread(lambda: list(privacy.in_topics(people, outcome.topics)))
    database = await asyncpg.connect(demo.installation.postgres_admin, database="hutong")
    try:
        leaks += await privacy.in_tables(people, database)
    finally:
        await database.close()
    logs = [*demo.installation.logs.glob("*.log"), demo.stack.kafka.log, demo.stack.postgres.log]
    leaks += await asyncio.to_thread(lambda: list(privacy.in_logs(people, [log for log in logs if log.exists()])))
    return Check(
        "no name, ID number or telephone number is in any other topic, any table or any log",
        sum(map(len, outcome.topics.values())),
        tuple(f"{leak.kind} in {leak.place}" for leak in leaks),
    )
