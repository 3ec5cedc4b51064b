"""The duty officer is rung by a command and by a webhook that really run; twice at worst, and then with the same id."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from contracts import topics
from contracts.event import Event
from contracts.notify import AlarmRaised, AlarmRang
from runtime import Heard, NotYet, Say
from services.notify import store
from services.notify.ringing import Bell, Ways
from tests.notify.conftest import Notify, notices
from tests.notify.events import TODAY, an_id

RECORDER = """
import json, os, sys
with open(sys.argv[1], "a", encoding="utf-8") as book:
    book.write(json.dumps({"argv": sys.argv[2:], "text": sys.stdin.buffer.read().decode(),
                           "id": os.environ["HUTONG_ALARM_ID"], "names": sorted(os.environ)}) + "\\n")
sys.exit(int(open(sys.argv[1] + ".status").read()))
"""


@dataclass
class Program:
    """A command that writes down how it was called, and ends with the status it is told to."""

    folder: Path

    def __post_init__(self) -> None:
        self.ends_with(0)
        (self.folder / "ring.py").write_text(RECORDER, "utf-8")

    def ends_with(self, status: int) -> None:
        (self.folder / "book.status").write_text(str(status))

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, str(self.folder / "ring.py"), str(self.folder / "book"))

    @property
    def calls(self) -> list[dict[str, Any]]:
        book = self.folder / "book"
        return [json.loads(line) for line in book.read_text("utf-8").splitlines()] if book.exists() else []


@dataclass
class Web:
    """A server that writes down what it is sent, and answers what it is told to."""

    url: str
    status: int = 204
    calls: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.calls.append((self.headers["Idempotency-Key"], body))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found = Web(f"http://127.0.0.1:{server.server_port}/ring")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def an_alarm(name: str = "alarm") -> AlarmRaised:
    return AlarmRaised(
        alarm=an_id(name),
        unit="341722-mzj",
        what="l0",
        about=an_id("referral"),
        text="先打电话 110 / 120。有一条紧急事项（L0）已转公安局。",
        on=TODAY,
    )


async def ring(notify: Notify, bell: Bell, *events: Event | Heard[Event]) -> list[Say]:
    heard = [event if isinstance(event, Heard) else notify.heard(event, number=1) for event in events]
    async with notify.connection.transaction():
        return await bell.on_alarms(notify.batch(heard, topics.ALARM.name), notify.connection)


async def ring_until_said(notify: Notify, bell: Bell, *events: Event) -> tuple[list[Say], int]:
    """Ring as the runtime does: again whenever it is not yet. What was said, and how often it was tried."""
    for tried in range(1, 50):
        try:
            return await ring(notify, bell, *events), tried
        except NotYet:
            continue
    raise AssertionError("it rings for ever")


def rang(said: list[Say]) -> list[tuple[str, str, str]]:
    return [
        (event.way, event.outcome, event.detail)
        for event in (say.event for say in said)
        if isinstance(event, AlarmRang)
    ]


async def test_a_command_is_run_with_the_text_and_the_alarms_id(notify: Notify, program: Program) -> None:
    bell = Bell(Ways(command=program.command))
    said = await ring(notify, bell, an_alarm())
    assert rang(said) == [("command", "done", "exit:0")]
    [call] = program.calls
    assert call["text"] == an_alarm().text
    assert call["argv"] == [str(an_id("alarm"))]
    assert call["id"] == str(an_id("alarm"))


async def test_a_command_learns_nothing_of_the_services_secrets(
    notify: Notify, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_POSTGRES", "postgresql://secret")
    await ring(notify, Bell(Ways(command=program.command)), an_alarm())
    assert {name for name in program.calls[0]["names"] if name.startswith("HUTONG")} == {
        "HUTONG_ALARM_ID",
        "HUTONG_ALARM_UNIT",
        "HUTONG_ALARM_WHAT",
    }


async def test_a_webhook_is_called_with_the_alarms_id_as_its_key(notify: Notify, web: Web) -> None:
    said = await ring(notify, Bell(Ways(webhook=web.url)), an_alarm())
    assert rang(said) == [("webhook", "done", "status:204")]
    [(key, body)] = web.calls
    assert key == str(an_id("alarm"))
    assert body == {
        "alarm": str(an_id("alarm")),
        "unit": "341722-mzj",
        "what": "l0",
        "text": an_alarm().text,
        "on": "2026-11-23",
    }


async def test_a_crash_before_the_commit_rings_again_with_the_same_id(
    notify: Notify, program: Program, web: Web
) -> None:
    """At least once: what was rung is forgotten with the transaction; the receiver knows the id."""
    ways = Ways(command=program.command, webhook=web.url)
    transaction = notify.connection.transaction()
    await transaction.start()
    await Bell(ways).on_alarms(notify.batch([notify.heard(an_alarm())], topics.ALARM.name), notify.connection)
    await transaction.rollback()
    assert len(await ring(notify, Bell(ways), an_alarm())) == 2
    assert [call["id"] for call in program.calls] == [str(an_id("alarm"))] * 2
    assert [key for key, _ in web.calls] == [str(an_id("alarm"))] * 2


async def test_an_alarm_that_was_rung_is_not_rung_again(notify: Notify, program: Program) -> None:
    ways = Ways(command=program.command)
    await ring(notify, Bell(ways), an_alarm())
    assert await ring(notify, Bell(ways), an_alarm()) == []
    assert len(program.calls) == 1


async def test_a_way_that_fails_is_tried_again_and_the_other_is_not_rung_twice(
    notify: Notify, program: Program, web: Web
) -> None:
    program.ends_with(3)
    bell = Bell(Ways(command=program.command, webhook=web.url, tries=5))
    with pytest.raises(NotYet):
        await ring(notify, bell, an_alarm())
    program.ends_with(0)
    said = await ring(notify, bell, an_alarm())
    assert rang(said) == [("command", "done", "exit:0"), ("webhook", "done", "status:204")]
    assert (len(program.calls), len(web.calls)) == (2, 1)


async def test_what_fails_to_the_limit_is_said_and_told_to_the_lead_unit(notify: Notify, web: Web) -> None:
    web.status = 503
    bell = Bell(Ways(webhook=web.url, tries=3))
    said, tried = await ring_until_said(notify, bell, an_alarm())
    assert tried == 3
    assert len(web.calls) == 3
    assert rang(said) == [("webhook", "failed", "status:503")]
    [notice] = notices(said)
    assert (notice.unit, notice.restricted, notice.template) == ("341722-mzj", True, "alarm.failed")


async def test_both_ways_failing_is_one_line(notify: Notify, program: Program, web: Web) -> None:
    web.status = 500
    program.ends_with(1)
    bell = Bell(Ways(command=program.command, webhook=web.url, tries=1))
    said = await ring(notify, bell, an_alarm())
    assert len(rang(said)) == 2
    assert len(notices(said)) == 1


async def test_one_alarm_that_fails_does_not_keep_another_from_ringing(notify: Notify, program: Program) -> None:
    program.ends_with(1)
    bell = Bell(Ways(command=program.command, tries=9))
    with pytest.raises(NotYet):
        await ring(notify, bell, an_alarm("first"), an_alarm("second"))
    assert {call["id"] for call in program.calls} == {str(an_id("first")), str(an_id("second"))}


@pytest.mark.parametrize(
    ("ways", "detail"),
    [
        (Ways(command=("/nowhere/ring",), tries=1), "not_started:FileNotFoundError"),
        (Ways(command=(sys.executable, "-c", "import time; time.sleep(60)"), timeout=0.2, tries=1), "timeout"),
        (Ways(webhook="http://127.0.0.1:1/ring", tries=1), "not_reached:ConnectError"),
    ],
    ids=["no such program", "a program that hangs", "a server that is not there"],
)
async def test_whatever_is_wrong_is_a_failed_attempt_in_one_word(notify: Notify, ways: Ways, detail: str) -> None:
    assert [way[1:] for way in rang(await ring(notify, Bell(ways), an_alarm()))] == [("failed", detail)]


async def test_a_redirect_is_not_followed(notify: Notify, web: Web) -> None:
    web.status = 302
    assert rang(await ring(notify, Bell(Ways(webhook=web.url, tries=1)), an_alarm())) == [
        ("webhook", "failed", "status:302")
    ]


async def test_without_any_way_it_says_so(notify: Notify) -> None:
    said = await ring(notify, Bell(Ways()), an_alarm())
    assert rang(said) == [("none", "no_way_set", "")]
    assert await store.rung(notify.connection, [an_id("alarm")]) == {(an_id("alarm"), "none")}


async def test_how_it_rang_is_heard_and_makes_nothing_more(notify: Notify, program: Program) -> None:
    heard = AlarmRang(alarm=an_id("alarm"), way="command", outcome="done")
    assert await ring(notify, Bell(Ways(command=program.command)), heard) == []
    assert program.calls == []


async def test_a_slow_command_does_not_lose_the_transaction(notify: Notify) -> None:
    """PostgreSQL cuts off a transaction that is silent for too long; ringing keeps it alive."""
    await notify.connection.execute("set idle_in_transaction_session_timeout = '1500ms'")
    bell = Bell(Ways(command=(sys.executable, "-c", "import time; time.sleep(2.5)")))
    assert rang(await ring(notify, bell, an_alarm())) == [("command", "done", "exit:0")]


async def test_a_service_that_stops_leaves_no_command_behind(notify: Notify, tmp_path: Path) -> None:
    """The command tells its process id through a pipe that it keeps open as long as it lives."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"import time; pipe = open({str(pipe)!r}, 'w'); pipe.write('up\\n'); pipe.flush(); time.sleep(60)"
    bell = Bell(Ways(command=(sys.executable, "-c", code), timeout=50))
    task = asyncio.create_task(ring(notify, bell, an_alarm()))
    reader = await asyncio.to_thread(pipe.open)
    with reader:
        assert await asyncio.to_thread(reader.readline) == "up\n"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(reader.read) == "", "the command has ended"


# ---------------------------------------------------------------- settings


def test_a_command_is_words_or_a_list() -> None:
    assert Ways.from_environment({"HUTONG_ALARM_COMMAND": "ring --to 'duty officer'"}).command == (
        "ring",
        "--to",
        "duty officer",
    )
    assert Ways.from_environment({"HUTONG_ALARM_COMMAND": '["ring", "a b"]'}).command == ("ring", "a b")
    assert Ways.from_environment({}).configured == ()


@pytest.mark.parametrize(
    "environment",
    [
        {"HUTONG_ALARM_COMMAND": '["ring"'},
        {"HUTONG_ALARM_COMMAND": "[1]"},
        {"HUTONG_ALARM_WEBHOOK": "ftp://example.invalid"},
        {"HUTONG_ALARM_TIMEOUT": "soon"},
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_by_name(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="HUTONG_ALARM"):
        Ways.from_environment(environment)
