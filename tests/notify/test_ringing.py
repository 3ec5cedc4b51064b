"""The duty officer is rung by a command and by a webhook that really run; twice at worst, and then with the same id."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from contracts import topics
from contracts.event import Event
from contracts.notify import AlarmDelivered, AlarmRaised
from runtime import InboundEvent, OutboundEvent, RetryLater
from runtime.settings import Settings
from services.notify import store
from services.notify.app import create
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
            self.send_response(found.status if self.path == "/ring" else 204)
            self.send_header("Location", "/elsewhere")
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
        trigger="l0",
        subject=an_id("referral"),
        text="先打电话 110 / 120。有一条紧急事项（L0）已转公安局。",
        on=TODAY,
    )


def by_command(program: Program, **settings: Any) -> Bell:
    return Bell(Ways(command=program.command, **settings), "command")


def by_webhook(web: Web, **settings: Any) -> Bell:
    return Bell(Ways(webhook=web.url, **settings), "webhook")


async def ring(notify: Notify, bell: Bell, *events: Event | InboundEvent[Event]) -> list[OutboundEvent]:
    heard = [event if isinstance(event, InboundEvent) else notify.heard(event, number=1) for event in events]
    async with notify.connection.transaction():
        return await bell.on_alarms(notify.batch(heard, topics.ALARM.name), notify.connection)


async def ring_until_said(notify: Notify, bell: Bell, *events: Event) -> tuple[list[OutboundEvent], int]:
    """Ring as the runtime does: again whenever it is not yet. What was said, and how often it was tried."""
    for tried in range(1, 50):
        try:
            return await ring(notify, bell, *events), tried
        except RetryLater:
            continue
    raise AssertionError("it rings for ever")


def rang(said: list[OutboundEvent]) -> list[tuple[str, str, str]]:
    return [
        (event.channel, event.outcome, event.detail)
        for event in (say.event for say in said)
        if isinstance(event, AlarmDelivered)
    ]


async def test_a_command_is_run_with_the_text_and_the_alarms_id(notify: Notify, program: Program) -> None:
    said = await ring(notify, by_command(program), an_alarm())
    assert rang(said) == [("command", "done", "exit:0")]
    [call] = program.calls
    assert call["text"] == an_alarm().text
    assert call["argv"] == [str(an_id("alarm"))]
    assert call["id"] == str(an_id("alarm"))


async def test_a_command_learns_nothing_of_the_services_secrets(
    notify: Notify, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_POSTGRES", "postgresql://secret")
    await ring(notify, by_command(program), an_alarm())
    assert {name for name in program.calls[0]["names"] if name.startswith("HUTONG")} == {
        "HUTONG_ALARM_ABOUT",
        "HUTONG_ALARM_ID",
        "HUTONG_ALARM_UNIT",
        "HUTONG_ALARM_WHAT",
    }


async def test_a_webhook_is_called_with_the_alarms_id_as_its_key(notify: Notify, web: Web) -> None:
    said = await ring(notify, by_webhook(web), an_alarm())
    assert rang(said) == [("webhook", "done", "status:204")]
    [(key, body)] = web.calls
    assert key == str(an_id("alarm"))
    assert body == {
        "alarm": str(an_id("alarm")),
        "unit": "341722-mzj",
        "trigger": "l0",
        "subject": str(an_id("referral")),
        "text": an_alarm().text,
        "on": "2026-11-23",
    }


async def test_a_crash_before_the_commit_rings_again_with_the_same_id_and_then_never_more(
    notify: Notify, program: Program, web: Web
) -> None:
    """At least once: what was rung is forgotten with the transaction; the receiver knows the id."""
    for bell in (by_command(program), by_webhook(web)):
        transaction = notify.connection.transaction()
        await transaction.start()
        await bell.on_alarms(notify.batch([notify.heard(an_alarm())], topics.ALARM.name), notify.connection)
        await transaction.rollback()
    for bell in (by_command(program), by_webhook(web)):  # the process that was started again
        assert len(await ring(notify, bell, an_alarm())) == 1
        assert await ring(notify, bell, an_alarm()) == []
    assert [call["id"] for call in program.calls] == [str(an_id("alarm"))] * 2
    assert [key for key, _ in web.calls] == [str(an_id("alarm"))] * 2


async def test_an_alarm_that_was_rung_is_not_rung_again(notify: Notify, program: Program) -> None:
    await ring(notify, by_command(program), an_alarm())
    assert await ring(notify, by_command(program), an_alarm()) == []
    assert len(program.calls) == 1


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_it_does_not_matter_how_the_alarms_are_cut(notify: Notify, program: Program, cut: int) -> None:
    heard: list[InboundEvent[Event]] = [notify.heard(an_alarm(str(number)), number=number) for number in range(9)]
    bell = by_command(program)
    twice = [*heard, *heard[:4]]
    said = [await ring(notify, bell, *twice[start : start + cut]) for start in range(0, len(twice), cut)]
    assert [say.event.key for part in said for say in part] == [str(an_id(str(number))) for number in range(9)]
    assert len(program.calls) == 9


async def test_a_way_that_fails_is_tried_again_and_the_other_rings_meanwhile(
    notify: Notify, program: Program, web: Web
) -> None:
    """Each way has a consumer of its own: an alarm that comes while one is stuck rings the other way at once."""
    web.status = 500
    ways = Ways(command=program.command, webhook=web.url, tries=5)
    stuck, other = Bell(ways, "webhook"), Bell(ways, "command")
    with pytest.raises(RetryLater):
        await ring(notify, stuck, an_alarm("first"))
    for name in ("first", "second"):
        assert rang(await ring(notify, other, an_alarm(name))) == [("command", "done", "exit:0")]
    web.status = 204
    assert rang(await ring(notify, stuck, an_alarm("first"))) == [("webhook", "done", "status:204")]
    assert (len(program.calls), len(web.calls)) == (2, 2)


def test_each_way_has_a_consumer_of_its_own() -> None:
    assert {"command", "webhook"} <= set(create(Settings()).consumers)


async def test_what_fails_to_the_limit_is_said_and_told_to_the_lead_unit(notify: Notify, web: Web) -> None:
    web.status = 503
    bell = by_webhook(web, tries=3)
    said, tried = await ring_until_said(notify, bell, an_alarm())
    assert tried == 3
    assert len(web.calls) == 3
    assert rang(said) == [("webhook", "failed", "status:503")]
    [notice] = notices(said)
    assert (notice.unit, notice.restricted, notice.template) == ("341722-mzj", True, "alarm.failed")


async def test_both_ways_failing_is_one_line(notify: Notify, program: Program, web: Web) -> None:
    web.status = 500
    program.ends_with(1)
    ways = Ways(command=program.command, webhook=web.url, tries=1)
    heard = notify.heard(an_alarm())
    said = [say for way in ("command", "webhook") for say in await ring(notify, Bell(ways, way), heard)]
    assert len(rang(said)) == 2
    assert len(notices(said)) == 1


async def test_one_alarm_that_fails_does_not_keep_another_from_ringing(notify: Notify, program: Program) -> None:
    program.ends_with(1)
    bell = by_command(program, tries=9)
    with pytest.raises(RetryLater):
        await ring(notify, bell, an_alarm("first"), an_alarm("second"))
    assert {call["id"] for call in program.calls} == {str(an_id("first")), str(an_id("second"))}


@pytest.mark.parametrize(
    ("ways", "detail"),
    [
        (Ways(command=("/nowhere/ring",), tries=1), "not_started:FileNotFoundError"),
        (Ways(command=(sys.executable, "-c", "import time; time.sleep(60)"), timeout=0.2, tries=1), "timeout"),
        (Ways(command=(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), tries=1), "exit:-9"),
        (Ways(webhook="http://127.0.0.1:1/ring", tries=1), "not_reached:ConnectError"),
    ],
    ids=["no such program", "a program that hangs", "a program that is killed", "a server that is not there"],
)
async def test_whatever_is_wrong_is_a_failed_attempt_in_one_word(notify: Notify, ways: Ways, detail: str) -> None:
    bell = Bell(ways, "webhook" if ways.webhook else "command")
    assert [way[1:] for way in rang(await ring(notify, bell, an_alarm()))] == [("failed", detail)]


async def test_what_a_command_prints_is_nobodys_business(notify: Notify) -> None:
    """Rubbish without end, on both ends, and the text it was given not read: it is the exit status that counts."""
    rubbish = "import os; [os.write(n, b'\\xff\\x00' * 100000) for n in (1, 2) for _ in range(20)]"
    bell = Bell(Ways(command=(sys.executable, "-c", rubbish)), "command")
    assert rang(await ring(notify, bell, an_alarm())) == [("command", "done", "exit:0")]


async def test_a_server_that_takes_the_call_and_never_answers_is_a_failed_attempt(notify: Notify) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ring"
    async with server:
        said = await ring(notify, Bell(Ways(webhook=url, timeout=0.3, tries=1), "webhook"), an_alarm())
    [(way, outcome, detail)] = rang(said)
    assert (way, outcome) == ("webhook", "failed")
    assert detail in ("not_reached:ReadTimeout", "not_reached:TimeoutError")


async def test_a_server_that_answers_and_goes_on_talking_has_answered(notify: Notify) -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        await reader.read()  # until the other side has heard enough
        writer.close()

    server = await asyncio.start_server(talkative, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ring"
    async with server:
        said = await ring(notify, Bell(Ways(webhook=url, timeout=5, tries=1), "webhook"), an_alarm())
    assert rang(said) == [("webhook", "done", "status:200")]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 500, 503])
async def test_a_redirect_is_not_followed_and_an_error_is_not_done(notify: Notify, web: Web, status: int) -> None:
    web.status = status
    assert rang(await ring(notify, by_webhook(web, tries=1), an_alarm())) == [("webhook", "failed", f"status:{status}")]
    assert len(web.calls) == 1


async def test_without_any_way_it_says_so(notify: Notify) -> None:
    assert await ring(notify, Bell(Ways(), "webhook"), an_alarm()) == []
    said = await ring(notify, Bell(Ways(), "command"), an_alarm())
    assert rang(said) == [("none", "no_way_set", "")]
    assert await store.rung(notify.connection, [an_id("alarm")], "none") == {an_id("alarm")}


async def test_a_way_that_is_not_set_says_nothing_where_the_other_is(
    notify: Notify, program: Program, web: Web
) -> None:
    assert await ring(notify, Bell(Ways(webhook=web.url), "command"), an_alarm()) == []
    assert await ring(notify, Bell(Ways(command=program.command), "webhook"), an_alarm()) == []
    assert (program.calls, web.calls) == ([], [])


async def test_how_it_rang_is_heard_and_makes_nothing_more(notify: Notify, program: Program) -> None:
    heard = AlarmDelivered(alarm=an_id("alarm"), channel="command", outcome="done")
    assert await ring(notify, by_command(program), heard) == []
    assert program.calls == []


async def test_a_slow_command_does_not_lose_the_transaction(notify: Notify) -> None:
    """PostgreSQL cuts off a transaction that is silent for too long; ringing keeps it alive."""
    await notify.connection.execute("set idle_in_transaction_session_timeout = '1500ms'")
    bell = Bell(Ways(command=(sys.executable, "-c", "import time; time.sleep(2.5)")), "command")
    assert rang(await ring(notify, bell, an_alarm())) == [("command", "done", "exit:0")]


CHILD_OF_A_SHELL = """
import select, subprocess, sys
if len(sys.argv) == 2:
    sys.exit(subprocess.call([sys.executable, __file__, sys.argv[1], "the child"]))
pipe = open(sys.argv[1], "w")
print("up", file=pipe, flush=True)
nobody_reads = select.poll()
nobody_reads.register(pipe, 0)
nobody_reads.poll()
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A child of the command says through it that it is up, and holds it open as long as it lives.

    It lives until it is ended, or nobody reads the pipe any more: a test that fails leaves nothing behind.
    """
    (tmp_path / "shell.py").write_text(CHILD_OF_A_SHELL, "utf-8")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def shell(pipe: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"{sys.executable} {pipe.parent / 'shell.py'} {pipe}; exit")


@asynccontextmanager
async def heard_through(pipe: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Opens it when the other end does. Waiting for what comes can be given up, as it cannot in a thread."""
    reader = asyncio.StreamReader()
    end = await asyncio.to_thread(pipe.open, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), end)
    try:
        yield reader
    finally:
        transport.close()


async def test_a_service_that_stops_leaves_no_command_behind(notify: Notify, pipe: Path) -> None:
    bell = Bell(Ways(command=shell(pipe), timeout=50), "command")
    task = asyncio.create_task(ring(notify, bell, an_alarm()))
    async with heard_through(pipe) as child:
        assert await child.readline() == b"up\n"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            assert await child.read() == b"", "the command and what it waited for have ended"


async def test_a_command_that_hangs_is_ended_with_all_that_it_waits_for(notify: Notify, pipe: Path) -> None:
    bell = Bell(Ways(command=shell(pipe), timeout=3, tries=1), "command")
    task = asyncio.create_task(ring(notify, bell, an_alarm()))
    async with heard_through(pipe) as child:
        async with asyncio.timeout(20):
            assert await child.read() == b"up\n", "and then it has ended"
    assert rang(await task) == [("command", "failed", "timeout")]


async def test_a_command_that_ends_in_the_moment_it_is_given_up_is_a_failed_attempt_like_any_other(
    notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended and been waited for, and asyncio has not said so yet: there is nobody left to end."""
    end = os.killpg

    def too_late(group: int, how: int) -> None:
        end(group, how)
        with suppress(ChildProcessError):  # the thread that watches it was faster
            os.waitpid(group, 0)
        end(group, how)

    monkeypatch.setattr(os, "killpg", too_late)
    bell = Bell(Ways(command=("/bin/sh", "-c", "exec sleep 50"), timeout=0.3, tries=1), "command")
    assert rang(await ring(notify, bell, an_alarm())) == [("command", "failed", "timeout")]


# ---------------------------------------------------------------- settings


def test_a_command_is_words_or_a_list() -> None:
    assert Ways.from_environment({"HUTONG_ALARM_COMMAND": "ring --to 'duty officer'"}).command == (
        "ring",
        "--to",
        "duty officer",
    )
    assert Ways.from_environment({"HUTONG_ALARM_COMMAND": '["ring", "a b"]'}).command == ("ring", "a b")
    assert Ways.from_environment({}) == Ways()


@pytest.mark.parametrize(
    "environment",
    [
        {"HUTONG_ALARM_COMMAND": '["ring"'},
        {"HUTONG_ALARM_COMMAND": "[1]"},
        {"HUTONG_ALARM_COMMAND": "ring 'duty officer"},
        {"HUTONG_ALARM_WEBHOOK": "ftp://example.invalid"},
        {"HUTONG_ALARM_WEBHOOK": "http://ring:bell/"},
        {"HUTONG_ALARM_WEBHOOK": "https:///ring"},
        {"HUTONG_ALARM_TIMEOUT": "soon"},
        {"HUTONG_ALARM_TIMEOUT": "0"},
        {"HUTONG_ALARM_TIMEOUT": "nan"},
        {"HUTONG_ALARM_TIMEOUT": "3600"},
        {"HUTONG_ALARM_TRIES": "0"},
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_by_name(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="HUTONG_ALARM"):
        Ways.from_environment(environment)
