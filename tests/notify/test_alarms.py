"""A real command and a real webhook deliver alarms, at worst twice and then with the same id."""

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
from typing import Any, get_args

import pytest

from contracts import topics
from contracts.event import Event
from contracts.notify import AlarmDelivered, AlarmRaised
from runtime import InboundEvent, OutboundEvent, RetryLater
from runtime.settings import Settings
from services.notify import store
from services.notify.alarms import AlarmChannel, AlarmSettings, ChannelName
from services.notify.app import create
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
    """A command that records how it was called, and ends with a status that the test sets."""

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
    """A server that records its requests, and answers with a status that the test sets."""

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
            recorded.calls.append((self.headers["Idempotency-Key"], body))
            self.send_response(recorded.status if self.path == "/ring" else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    recorded = Web(f"http://127.0.0.1:{server.server_port}/ring")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield recorded
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


def by_command(program: Program, **settings: Any) -> AlarmChannel:
    return AlarmChannel(AlarmSettings(command=program.command, **settings), "command")


def by_webhook(web: Web, **settings: Any) -> AlarmChannel:
    return AlarmChannel(AlarmSettings(webhook=web.url, **settings), "webhook")


async def deliver(notify: Notify, channel: AlarmChannel, *events: Event | InboundEvent[Event]) -> list[OutboundEvent]:
    inbound = [event if isinstance(event, InboundEvent) else notify.inbound(event, number=1) for event in events]
    async with notify.connection.transaction():
        return await channel.on_alarms(notify.batch(inbound, topics.ALARM.name), notify.connection)


async def deliver_with_retries(
    notify: Notify, channel: AlarmChannel, *events: Event
) -> tuple[list[OutboundEvent], int]:
    """Deliver as the runtime does, with retries; return the events and the number of attempts."""
    for attempts in range(1, 50):
        try:
            return await deliver(notify, channel, *events), attempts
        except RetryLater:
            continue
    raise AssertionError("the alarm is retried indefinitely")


def delivered(emitted: list[OutboundEvent]) -> list[tuple[str, str, str]]:
    return [
        (event.channel, event.outcome, event.detail)
        for event in (outbound.event for outbound in emitted)
        if isinstance(event, AlarmDelivered)
    ]


async def test_a_command_is_run_with_the_text_and_the_alarms_id(notify: Notify, program: Program) -> None:
    emitted = await deliver(notify, by_command(program), an_alarm())
    assert delivered(emitted) == [("command", "done", "exit:0")]
    [call] = program.calls
    assert call["text"] == an_alarm().text
    assert call["argv"] == [str(an_id("alarm"))]
    assert call["id"] == str(an_id("alarm"))


async def test_a_command_learns_nothing_of_the_services_secrets(
    notify: Notify, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_POSTGRES", "postgresql://secret")
    await deliver(notify, by_command(program), an_alarm())
    assert {name for name in program.calls[0]["names"] if name.startswith("HUTONG")} == {
        "HUTONG_ALARM_SUBJECT",
        "HUTONG_ALARM_ID",
        "HUTONG_ALARM_UNIT",
        "HUTONG_ALARM_TRIGGER",
    }


async def test_a_webhook_is_called_with_the_alarms_id_as_its_key(notify: Notify, web: Web) -> None:
    emitted = await deliver(notify, by_webhook(web), an_alarm())
    assert delivered(emitted) == [("webhook", "done", "status:204")]
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


async def test_a_crash_before_the_commit_delivers_again_with_the_same_id_and_then_never_more(
    notify: Notify, program: Program, web: Web
) -> None:
    """Delivery is at least once: the record of it rolls back with the transaction; the receiver recognises the id."""
    for channel in (by_command(program), by_webhook(web)):
        transaction = notify.connection.transaction()
        await transaction.start()
        await channel.on_alarms(notify.batch([notify.inbound(an_alarm())], topics.ALARM.name), notify.connection)
        await transaction.rollback()
    for channel in (by_command(program), by_webhook(web)):  # the process that was started again
        assert len(await deliver(notify, channel, an_alarm())) == 1
        assert await deliver(notify, channel, an_alarm()) == []
    assert [call["id"] for call in program.calls] == [str(an_id("alarm"))] * 2
    assert [key for key, _ in web.calls] == [str(an_id("alarm"))] * 2


async def test_a_delivered_alarm_is_not_delivered_again(notify: Notify, program: Program) -> None:
    await deliver(notify, by_command(program), an_alarm())
    assert await deliver(notify, by_command(program), an_alarm()) == []
    assert len(program.calls) == 1


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
async def test_the_deliveries_do_not_depend_on_the_batch_boundaries(
    notify: Notify, program: Program, batch_size: int
) -> None:
    inbound: list[InboundEvent[Event]] = [notify.inbound(an_alarm(str(number)), number=number) for number in range(9)]
    channel = by_command(program)
    twice = [*inbound, *inbound[:4]]
    emitted = [
        await deliver(notify, channel, *twice[start : start + batch_size]) for start in range(0, len(twice), batch_size)
    ]
    assert [outbound.event.key for part in emitted for outbound in part] == [
        str(an_id(str(number))) for number in range(9)
    ]
    assert len(program.calls) == 9


async def test_a_failing_channel_is_retried_while_the_other_delivers(
    notify: Notify, program: Program, web: Web
) -> None:
    """Each channel has its own consumer: while one fails, the other delivers a new alarm immediately."""
    web.status = 500
    settings = AlarmSettings(command=program.command, webhook=web.url, tries=5)
    stuck, other = AlarmChannel(settings, "webhook"), AlarmChannel(settings, "command")
    with pytest.raises(RetryLater):
        await deliver(notify, stuck, an_alarm("first"))
    for name in ("first", "second"):
        assert delivered(await deliver(notify, other, an_alarm(name))) == [("command", "done", "exit:0")]
    web.status = 204
    assert delivered(await deliver(notify, stuck, an_alarm("first"))) == [("webhook", "done", "status:204")]
    assert (len(program.calls), len(web.calls)) == (2, 2)


def test_each_channel_has_a_consumer_of_its_own() -> None:
    assert set(get_args(ChannelName)) <= set(create(Settings()).subscriptions)
    assert {*get_args(ChannelName), "none"} == set(get_args(AlarmDelivered.model_fields["channel"].annotation))


async def test_an_alarm_that_fails_to_the_limit_is_reported_and_the_lead_unit_is_notified(
    notify: Notify, web: Web
) -> None:
    web.status = 503
    channel = by_webhook(web, tries=3)
    emitted, attempts = await deliver_with_retries(notify, channel, an_alarm())
    assert attempts == 3
    assert len(web.calls) == 3
    assert delivered(emitted) == [("webhook", "failed", "status:503")]
    [notice] = notices(emitted)
    assert (notice.unit, notice.restricted, notice.template) == ("341722-mzj", True, "alarm.failed")


async def test_two_failing_channels_make_one_notice(notify: Notify, program: Program, web: Web) -> None:
    web.status = 500
    program.ends_with(1)
    settings = AlarmSettings(command=program.command, webhook=web.url, tries=1)
    inbound = notify.inbound(an_alarm())
    emitted = [
        outbound
        for name in ("command", "webhook")
        for outbound in await deliver(notify, AlarmChannel(settings, name), inbound)
    ]
    assert len(delivered(emitted)) == 2
    assert len(notices(emitted)) == 1


async def test_one_failing_alarm_does_not_delay_another(notify: Notify, program: Program) -> None:
    program.ends_with(1)
    channel = by_command(program, tries=9)
    with pytest.raises(RetryLater):
        await deliver(notify, channel, an_alarm("first"), an_alarm("second"))
    assert {call["id"] for call in program.calls} == {str(an_id("first")), str(an_id("second"))}


@pytest.mark.parametrize(
    ("settings", "detail"),
    [
        (AlarmSettings(command=("/nowhere/ring",), tries=1), "not_started:FileNotFoundError"),
        (AlarmSettings(command=(sys.executable, "-c", "import time; time.sleep(60)"), timeout=0.2, tries=1), "timeout"),
        (AlarmSettings(command=(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), tries=1), "exit:-9"),
        (AlarmSettings(webhook="http://127.0.0.1:1/ring", tries=1), "not_reached:ConnectError"),
    ],
    ids=["no such program", "a program that hangs", "a program that is killed", "a server that is not there"],
)
async def test_every_fault_is_a_failed_attempt_with_a_code(
    notify: Notify, settings: AlarmSettings, detail: str
) -> None:
    channel = AlarmChannel(settings, "webhook" if settings.webhook else "command")
    assert [outcome[1:] for outcome in delivered(await deliver(notify, channel, an_alarm()))] == [("failed", detail)]


async def test_the_output_of_a_command_is_ignored(notify: Notify) -> None:
    """The command floods both outputs and does not read its input: only the exit status counts."""
    flood = "import os; [os.write(n, b'\\xff\\x00' * 100000) for n in (1, 2) for _ in range(20)]"
    channel = AlarmChannel(AlarmSettings(command=(sys.executable, "-c", flood)), "command")
    assert delivered(await deliver(notify, channel, an_alarm())) == [("command", "done", "exit:0")]


async def test_a_server_that_never_answers_is_a_failed_attempt(notify: Notify) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ring"
    async with server:
        emitted = await deliver(
            notify, AlarmChannel(AlarmSettings(webhook=url, timeout=0.3, tries=1), "webhook"), an_alarm()
        )
    [(channel, outcome, detail)] = delivered(emitted)
    assert (channel, outcome) == ("webhook", "failed")
    assert detail in ("not_reached:ReadTimeout", "not_reached:TimeoutError")


async def test_an_endless_body_does_not_delay_the_answer(notify: Notify) -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        await reader.read()  # until the other side closes
        writer.close()

    server = await asyncio.start_server(talkative, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ring"
    async with server:
        emitted = await deliver(
            notify, AlarmChannel(AlarmSettings(webhook=url, timeout=5, tries=1), "webhook"), an_alarm()
        )
    assert delivered(emitted) == [("webhook", "done", "status:200")]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 500, 503])
async def test_a_redirect_is_not_followed_and_an_error_is_a_failure(notify: Notify, web: Web, status: int) -> None:
    web.status = status
    assert delivered(await deliver(notify, by_webhook(web, tries=1), an_alarm())) == [
        ("webhook", "failed", f"status:{status}")
    ]
    assert len(web.calls) == 1


async def test_an_installation_without_a_channel_reports_it(notify: Notify) -> None:
    assert await deliver(notify, AlarmChannel(AlarmSettings(), "webhook"), an_alarm()) == []
    emitted = await deliver(notify, AlarmChannel(AlarmSettings(), "command"), an_alarm())
    assert delivered(emitted) == [("none", "no_channel", "")]
    assert await store.delivered_alarms(notify.connection, [an_id("alarm")], "none") == {an_id("alarm")}


async def test_a_channel_that_is_not_set_is_silent_where_the_other_is_set(
    notify: Notify, program: Program, web: Web
) -> None:
    assert await deliver(notify, AlarmChannel(AlarmSettings(webhook=web.url), "command"), an_alarm()) == []
    assert await deliver(notify, AlarmChannel(AlarmSettings(command=program.command), "webhook"), an_alarm()) == []
    assert (program.calls, web.calls) == ([], [])


async def test_a_delivery_event_is_ignored(notify: Notify, program: Program) -> None:
    inbound = AlarmDelivered(alarm=an_id("alarm"), channel="command", outcome="done")
    assert await deliver(notify, by_command(program), inbound) == []
    assert program.calls == []


async def test_a_slow_command_does_not_lose_the_transaction(notify: Notify) -> None:
    """PostgreSQL ends a transaction that is idle for too long; a delivery keeps it alive."""
    await notify.connection.execute("SET idle_in_transaction_session_timeout = '1500ms'")
    channel = AlarmChannel(AlarmSettings(command=(sys.executable, "-c", "import time; time.sleep(2.5)")), "command")
    assert delivered(await deliver(notify, channel, an_alarm())) == [("command", "done", "exit:0")]


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
    """Create a pipe through which a child of the command reports its start, and which it holds open while it runs.

    The child ends when it is killed, or when the pipe has no reader: a failing test leaves no process behind.
    """
    (tmp_path / "shell.py").write_text(CHILD_OF_A_SHELL, "utf-8")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def shell(pipe: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"{sys.executable} {pipe.parent / 'shell.py'} {pipe}; exit")


@asynccontextmanager
async def opened_reader(pipe: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Open the pipe together with its other end, for reads that can be cancelled, unlike reads in a thread."""
    reader = asyncio.StreamReader()
    end = await asyncio.to_thread(pipe.open, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), end)
    try:
        yield reader
    finally:
        transport.close()


async def test_a_stopping_service_leaves_no_command_behind(notify: Notify, pipe: Path) -> None:
    channel = AlarmChannel(AlarmSettings(command=shell(pipe), timeout=50), "command")
    task = asyncio.create_task(deliver(notify, channel, an_alarm()))
    async with opened_reader(pipe) as child:
        assert await child.readline() == b"up\n"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20):
            assert await child.read() == b"", "the command and its child have ended"


async def test_a_hanging_command_is_killed_with_its_children(notify: Notify, pipe: Path) -> None:
    channel = AlarmChannel(AlarmSettings(command=shell(pipe), timeout=3, tries=1), "command")
    task = asyncio.create_task(deliver(notify, channel, an_alarm()))
    async with opened_reader(pipe) as child:
        async with asyncio.timeout(20):
            assert await child.read() == b"up\n", "the child has ended"
    assert delivered(await task) == [("command", "failed", "timeout")]


async def test_a_command_that_ends_as_it_times_out_is_a_failed_attempt(
    notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended and was reaped before asyncio noticed: there is no process left to kill."""
    end = os.killpg

    def too_late(group: int, how: int) -> None:
        end(group, how)
        with suppress(ChildProcessError):  # asyncio's thread has reaped it already
            os.waitpid(group, 0)
        end(group, how)

    monkeypatch.setattr(os, "killpg", too_late)
    channel = AlarmChannel(AlarmSettings(command=("/bin/sh", "-c", "exec sleep 50"), timeout=0.3, tries=1), "command")
    assert delivered(await deliver(notify, channel, an_alarm())) == [("command", "failed", "timeout")]


# ---------------------------------------------------------------- settings


def test_a_command_is_words_or_a_list() -> None:
    assert AlarmSettings.from_environment({"HUTONG_ALARM_COMMAND": "ring --to 'duty officer'"}).command == (
        "ring",
        "--to",
        "duty officer",
    )
    assert AlarmSettings.from_environment({"HUTONG_ALARM_COMMAND": '["ring", "a b"]'}).command == ("ring", "a b")
    assert AlarmSettings.from_environment({}) == AlarmSettings()


@pytest.mark.parametrize(
    "environment",
    [
        {"HUTONG_ALARM_COMMAND": '["ring"'},
        {"HUTONG_ALARM_COMMAND": "[1]"},
        {"HUTONG_ALARM_COMMAND": "ring 'duty officer"},
        {"HUTONG_ALARM_WEBHOOK": "ftp://example.invalid"},
        {"HUTONG_ALARM_WEBHOOK": "http://ring:channel/"},
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
        AlarmSettings.from_environment(environment)
