"""Rings the duty officer: a command, a webhook, or both. Said first (``AlarmRaised``), done here, told afterwards.

Each way has a consumer of its own: while a webhook that does not answer is tried again, and later alarms wait behind
it in order, the command rings them all at once.

The effect happens before this transaction commits, and so can happen twice: after a crash, or when another alarm of
the same batch must be tried again. That is why the alarm's id goes with it as the idempotency key: whoever is rung
drops what he has had. The other order would be worse: committed first, an alarm could be lost in between. The decision
that a person must be rung was committed long before, with the event that this one hears.
"""

import asyncio
import json
import os
import shlex
import signal
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from uuid import UUID

import httpx

from contracts.event import Event
from contracts.notify import AlarmDelivered, AlarmRaised
from runtime import Batch, OutboundEvent, RetryLater, Tx
from services.notify import handlers, store

Tried = Literal["command", "webhook"]
Way = Literal["command", "webhook", "none"]
T = TypeVar("T")

TIMEOUT = 5.0
LONGEST = 60.0
"""Seconds that one attempt may take at most: its transaction stays open meanwhile."""
TRIES = 20
AT_ONCE = 8
"""How many are rung at the same time."""
KEPT = 1.0
"""Seconds after which a waiting transaction shows that it is alive."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How this installation rings (``HUTONG_ALARM_*``)."""

    command: tuple[str, ...] = ()
    """Program and arguments; the text comes on standard input, the alarm's id as the last argument and in
    ``HUTONG_ALARM_ID``, the matter's in ``HUTONG_ALARM_ABOUT``. Exit status 0: done."""
    webhook: str = ""
    """Receives a POST with JSON and ``Idempotency-Key``. Any 2xx: done. Redirects are not followed."""
    timeout: float = TIMEOUT
    """Seconds for each attempt."""
    tries: int = TRIES
    """Attempts of each way before it is given up and told so."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Ways":
        """Read the environment. The command is a JSON list of strings, or words as a shell would split them.

        Raises:
            ValueError: a value cannot be read; names the variable.
        """
        found = os.environ if environment is None else environment
        try:
            timeout = float(found.get("HUTONG_ALARM_TIMEOUT") or TIMEOUT)
            tries = int(found.get("HUTONG_ALARM_TRIES") or TRIES)
        except ValueError:
            raise ValueError("HUTONG_ALARM_TIMEOUT and HUTONG_ALARM_TRIES must be numbers") from None
        if not (0 < timeout <= LONGEST and tries > 0):
            raise ValueError(f"HUTONG_ALARM_TIMEOUT must be up to {LONGEST:g} seconds, HUTONG_ALARM_TRIES at least 1")
        webhook = found.get("HUTONG_ALARM_WEBHOOK", "")
        if webhook and not _is_address(webhook):
            raise ValueError("HUTONG_ALARM_WEBHOOK must be an http or https address")
        return cls(_argv(found.get("HUTONG_ALARM_COMMAND", "")), webhook, timeout, tries)

    def of(self, bell: Tried) -> Way | None:
        """The way a bell rings. The command's says so when there is none at all."""
        if bell == "webhook":
            return "webhook" if self.webhook else None
        if self.command:
            return "command"
        return None if self.webhook else "none"


def _is_address(text: str) -> bool:
    try:
        address = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return address.scheme in ("http", "https") and bool(address.host)


def _argv(text: str) -> tuple[str, ...]:
    try:
        argv = json.loads(text) if text.strip().startswith("[") else shlex.split(text)
    except ValueError:
        argv = None
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise ValueError("HUTONG_ALARM_COMMAND must be a JSON list of strings, or words")
    return tuple(argv)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went. ``detail`` is a code: what a command prints is nobody's business here."""

    done: bool
    detail: str


@dataclass(slots=True)
class Bell:
    """The hook that rings one way. Remembers between transactions what a roll-back would forget."""

    ways: Ways
    rings: Tried
    _failed: dict[UUID, int] = field(default_factory=dict)
    _ended: dict[UUID, Attempt] = field(default_factory=dict)

    async def on_alarms(self, batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
        """Ring for every alarm that has not been rung; say how it went.

        Raises:
            RetryLater: an attempt failed and is to be made again.
        """
        way = self.ways.of(self.rings)
        if way is None:
            return []
        raised = {
            heard.event.alarm: (heard, heard.event) for heard in batch.events if isinstance(heard.event, AlarmRaised)
        }
        self._ended = {alarm: attempt for alarm, attempt in self._ended.items() if alarm in raised}
        known = await store.rung(tx, list(raised), way)
        wanted = [event for alarm, (_, event) in raised.items() if alarm not in known]
        await self._ring(tx, wanted, way)
        desk = handlers.Desk.of(batch.county)
        said: list[OutboundEvent] = []
        for event in wanted:
            heard, _ = raised[event.alarm]
            rang = _rang(event, way, self._ended[event.alarm])
            await store.keep_ringing(tx, rang.alarm, rang.channel, rang.outcome, rang.detail)
            said.append(heard.emit(rang))
            if rang.outcome == "failed":
                said += await handlers.tell_failure(heard, event, desk, tx)
        return said

    async def _ring(self, tx: Tx, wanted: Sequence[AlarmRaised], way: Way) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        await _kept_alive(tx, asyncio.gather(*(self._try(event, way, slots) for event in wanted)))
        waiting = sum(event.alarm not in self._ended for event in wanted)
        if waiting:
            raise RetryLater(f"{waiting} rings failed and will be tried again")

    async def _try(self, event: AlarmRaised, way: Way, slots: asyncio.Semaphore) -> None:
        alarm = event.alarm
        if alarm in self._ended:
            return
        if way == "none":
            self._ended[alarm] = Attempt(False, "")
            return
        async with slots:
            attempt = await (self._command(event) if way == "command" else self._webhook(event))
        failed = self._failed.get(alarm, 0) + (not attempt.done)
        self._failed[alarm] = failed
        if attempt.done or failed >= self.ways.tries:
            del self._failed[alarm]
            self._ended[alarm] = attempt

    async def _command(self, event: AlarmRaised) -> Attempt:
        alarm = str(event.alarm)
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "HOME") if name in os.environ}
        environment |= {
            "HUTONG_ALARM_ID": alarm,
            "HUTONG_ALARM_UNIT": event.unit,
            "HUTONG_ALARM_WHAT": event.trigger,
            "HUTONG_ALARM_ABOUT": "" if event.subject is None else str(event.subject),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self.ways.command,
                alarm,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return Attempt(False, f"not_started:{type(error).__name__}")
        try:
            await asyncio.wait_for(process.communicate(event.text.encode()), self.ways.timeout)
        except TimeoutError:
            return Attempt(False, "timeout")
        finally:
            if process.returncode is None:
                # Its whole group: a shell that is killed alone would leave what it waits for behind.
                # It may have ended by itself this very moment, and asyncio not have said so yet.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Attempt(process.returncode == 0, f"exit:{process.returncode}")

    async def _webhook(self, event: AlarmRaised) -> Attempt:
        alarm = str(event.alarm)
        body = {
            "alarm": alarm,
            "unit": event.unit,
            "trigger": event.trigger,
            "subject": None if event.subject is None else str(event.subject),
            "text": event.text,
            "on": event.on.isoformat(),
        }
        try:
            async with (
                asyncio.timeout(self.ways.timeout),
                httpx.AsyncClient(timeout=self.ways.timeout, follow_redirects=False) as client,
                # The status is the answer; what else it has to say may be long.
                client.stream("POST", self.ways.webhook, json=body, headers={"Idempotency-Key": alarm}) as answer,
            ):
                return Attempt(answer.is_success, f"status:{answer.status_code}")
        except (httpx.HTTPError, TimeoutError) as error:
            return Attempt(False, f"not_reached:{type(error).__name__}")


def _rang(event: AlarmRaised, way: Way, attempt: Attempt) -> AlarmDelivered:
    outcome: Literal["done", "failed", "no_way_set"] = "done" if attempt.done else "failed"
    if way == "none":
        outcome = "no_way_set"
    return AlarmDelivered(alarm=event.alarm, channel=way, outcome=outcome, detail=attempt.detail)


async def _kept_alive(tx: Tx, work: Awaitable[T]) -> T:
    """Wait for something outside while the transaction stays open: PostgreSQL ends one that is silent for long."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=KEPT)
            if not task.done():
                await store.still_here(tx)
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
