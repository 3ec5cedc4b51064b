"""Delivers alarms to the duty officer: by a command, a webhook, or both.

The decision that a person must be reached was committed before, with the event ``AlarmRaised`` that is consumed here;
``AlarmDelivered`` reports the outcome afterwards. Each channel has a consumer of its own: while a webhook that does not
answer is retried, and later alarms wait behind it in order, the command delivers them all immediately.

The effect happens before this transaction commits, and so can happen twice: after a crash, or when another alarm of
the same batch must be retried. The alarm's id therefore goes with it as the idempotency key, and the receiver drops a
repeated id. With the opposite order, commit first, a crash in between would lose the alarm.
"""

import asyncio
import json
import os
import shlex
import signal
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar, assert_never
from uuid import UUID

import httpx

from contracts.event import Event
from contracts.notify import AlarmDelivered, AlarmRaised
from runtime import Batch, InboundEvent, OutboundEvent, RetryLater, Tx
from services.notify import events, store
from services.notify.unit_directory import UnitDirectory

ChannelName = Literal["command", "webhook"]
DeliveredBy = Literal[ChannelName, "none"]
T = TypeVar("T")

TIMEOUT = 5.0
MAX_TIMEOUT = 60.0
"""Seconds that one attempt may take at most: its transaction stays open meanwhile."""
TRIES = 20
CONCURRENCY = 8
"""How many alarms one channel delivers at the same time."""
KEEP_ALIVE_SECONDS = 1.0
"""How often an open transaction that waits for a delivery runs a statement."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """The channels of this installation (``HUTONG_ALARM_*``)."""

    command: tuple[str, ...] = ()
    """Program and arguments. The text comes on standard input, the alarm's id as the last argument and in
    ``HUTONG_ALARM_ID``, the id of the subject in ``HUTONG_ALARM_SUBJECT``. Exit status 0: delivered."""
    webhook: str = ""
    """Receives a POST with JSON and ``Idempotency-Key``. Any 2xx: delivered. Redirects are not followed."""
    timeout: float = TIMEOUT
    """Seconds for each attempt."""
    tries: int = TRIES
    """Attempts of each channel before it gives up and reports the failure."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "AlarmSettings":
        """Read the environment. The command is a JSON list of strings, or words as a shell would split them.

        Raises:
            ValueError: a value cannot be read; the message names the variable.
        """
        variables = os.environ if environment is None else environment
        try:
            timeout = float(variables.get("HUTONG_ALARM_TIMEOUT") or TIMEOUT)
            tries = int(variables.get("HUTONG_ALARM_TRIES") or TRIES)
        except ValueError:
            raise ValueError("HUTONG_ALARM_TIMEOUT and HUTONG_ALARM_TRIES must be numbers") from None
        if not (0 < timeout <= MAX_TIMEOUT and tries > 0):
            limits = f"HUTONG_ALARM_TIMEOUT must be up to {MAX_TIMEOUT:g} seconds, HUTONG_ALARM_TRIES at least 1"
            raise ValueError(limits)
        webhook = variables.get("HUTONG_ALARM_WEBHOOK", "")
        if webhook and not _is_address(webhook):
            raise ValueError("HUTONG_ALARM_WEBHOOK must be an http or https address")
        return cls(_argv(variables.get("HUTONG_ALARM_COMMAND", "")), webhook, timeout, tries)

    def delivered_by(self, channel: ChannelName) -> DeliveredBy | None:
        """Return how a channel delivers; None when it does nothing.

        The command's consumer reports "none" when no channel is set at all.
        """
        match channel:
            case "webhook":
                return "webhook" if self.webhook else None
            case "command" if self.command:
                return "command"
            case "command":
                return None if self.webhook else "none"
            case _:
                assert_never(channel)


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
    """The outcome of one attempt. ``detail`` is a code: a command's output is not read."""

    done: bool
    detail: str


@dataclass(slots=True)
class AlarmChannel:
    """Delivers alarms over one channel. Remembers attempts that a roll-back would forget."""

    settings: AlarmSettings
    channel: ChannelName
    _failures: dict[UUID, int] = field(default_factory=dict)
    _ended: dict[UUID, Attempt] = field(default_factory=dict)

    async def on_alarms(self, batch: Batch[Event], tx: Tx) -> list[OutboundEvent]:
        """Deliver every alarm that this channel has not delivered yet, and report each outcome.

        Raises:
            RetryLater: an attempt failed and must be made again.
        """
        means = self.settings.delivered_by(self.channel)
        if means is None:
            return []
        raised = {
            inbound.event.alarm: (inbound, inbound.event)
            for inbound in batch.events
            if isinstance(inbound.event, AlarmRaised)
        }
        self._ended = {alarm: attempt for alarm, attempt in self._ended.items() if alarm in raised}
        delivered = await store.delivered_alarms(tx, list(raised), means)
        pending = [event for alarm, (_, event) in raised.items() if alarm not in delivered]
        await self._deliver(tx, pending, means)
        directory = UnitDirectory.of(batch.county)
        emitted: list[OutboundEvent] = []
        for event in pending:
            inbound, _ = raised[event.alarm]
            delivery = _delivery(event, means, self._ended[event.alarm])
            await store.add_delivery(tx, delivery)
            emitted.append(inbound.emit(delivery))
            if delivery.outcome == "failed":
                emitted += await _report_failure(inbound, event, directory, tx)
        return emitted

    async def _deliver(self, tx: Tx, pending: Sequence[AlarmRaised], means: DeliveredBy) -> None:
        slots = asyncio.Semaphore(CONCURRENCY)
        await _keep_alive(tx, asyncio.gather(*(self._try(event, means, slots) for event in pending)))
        waiting = sum(event.alarm not in self._ended for event in pending)
        if waiting:
            raise RetryLater(f"{waiting} alarms were not delivered and will be tried again")

    async def _try(self, event: AlarmRaised, means: DeliveredBy, slots: asyncio.Semaphore) -> None:
        alarm = event.alarm
        if alarm in self._ended:
            return
        if means == "none":
            self._ended[alarm] = Attempt(False, "")
            return
        async with slots:
            attempt = await self._attempt(event, means)
        failures = self._failures.get(alarm, 0) + (not attempt.done)
        self._failures[alarm] = failures
        if attempt.done or failures >= self.settings.tries:
            del self._failures[alarm]
            self._ended[alarm] = attempt

    async def _attempt(self, event: AlarmRaised, means: ChannelName) -> Attempt:
        match means:
            case "command":
                return await self._run_command(event)
            case "webhook":
                return await self._call_webhook(event)
            case _:
                assert_never(means)

    async def _run_command(self, event: AlarmRaised) -> Attempt:
        alarm = str(event.alarm)
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "HOME") if name in os.environ}
        environment |= {
            "HUTONG_ALARM_ID": alarm,
            "HUTONG_ALARM_UNIT": event.unit,
            "HUTONG_ALARM_TRIGGER": event.trigger,
            "HUTONG_ALARM_SUBJECT": "" if event.subject is None else str(event.subject),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self.settings.command,
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
            await asyncio.wait_for(process.communicate(event.text.encode()), self.settings.timeout)
        except TimeoutError:
            return Attempt(False, "timeout")
        finally:
            if process.returncode is None:
                # The whole group: killing only a shell would leave its children running.
                # The process may have ended a moment ago, before asyncio has noticed.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Attempt(process.returncode == 0, f"exit:{process.returncode}")

    async def _call_webhook(self, event: AlarmRaised) -> Attempt:
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
                asyncio.timeout(self.settings.timeout),
                httpx.AsyncClient(timeout=self.settings.timeout, follow_redirects=False) as client,
                # Only the status counts; the body may be long.
                client.stream("POST", self.settings.webhook, json=body, headers={"Idempotency-Key": alarm}) as answer,
            ):
                return Attempt(answer.is_success, f"status:{answer.status_code}")
        except (httpx.HTTPError, TimeoutError) as error:
            return Attempt(False, f"not_reached:{type(error).__name__}")


def _delivery(event: AlarmRaised, means: DeliveredBy, attempt: Attempt) -> AlarmDelivered:
    outcome: Literal["done", "failed", "no_channel"] = "done" if attempt.done else "failed"
    if means == "none":
        outcome = "no_channel"
    return AlarmDelivered(alarm=event.alarm, channel=means, outcome=outcome, detail=attempt.detail)


async def _report_failure(
    inbound: InboundEvent[Event], alarm: AlarmRaised, directory: UnitDirectory, tx: Tx
) -> list[OutboundEvent]:
    """Notify the lead unit that an alarm was not delivered, once however many channels failed."""
    entries = events.failure_entries(alarm, inbound.envelope.id, inbound.envelope.time, directory)
    new = await store.add_entries(tx, entries)
    return [events.emit_notice(inbound.emit(entry.notice)) for entry in entries if entry.notice.notice in new]


async def _keep_alive(tx: Tx, work: Awaitable[T]) -> T:
    """Await ``work`` while the transaction stays open: PostgreSQL ends one that is idle for too long."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=KEEP_ALIVE_SECONDS)
            if not task.done():
                await store.keep_alive(tx)
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
